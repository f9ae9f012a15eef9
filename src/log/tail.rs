//! Finding where the last N lines begin, going backwards through the newest files in blocks.

use std::io;

use crate::sys::search;

use super::body::Body;
use super::cursor::{BLOCKS_MAX, Cursor, origin_of, unknown_origin};
use super::entry::Source;
use super::index::Record;
use super::paths::Paths;
use super::seek::{self, Place};
use super::shelf::Shelf;
use super::wanted::Filter;

/// Bytes of log read at once.
const BLOCK_BYTES: usize = 16 * 1024;
/// [`BLOCK_BYTES`] as a file offset.
const BLOCK_STEP: u64 = 16 * 1024;

/// What is sought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch<'a> {
    pub(super) lines: u64,
    /// At most so many bytes are looked at.
    pub(super) bytes: u64,
    pub(super) filter: Filter,
    /// What lies before the line that it lies in is not looked at.
    pub(super) floor: Option<&'a Cursor>,
    /// What lies after it is not looked at.
    pub(super) ceiling: Option<Place>,
}

/// What was found, if there is a file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) located: Option<Located>,
    /// Whether packed files are before it that were not looked at.
    pub(super) is_before_packed: bool,
}

/// Where the search has ended.
#[derive(Debug)]
pub(super) enum Located {
    /// Enough of what was sought comes after it.
    Enough(Cursor),
    /// It is the beginning of all there is, and so many line ends more would have been enough.
    Beginning { cursor: Cursor, missing: u64 },
}

/// A place after which, up to the ceiling, there are at least so many lines or bytes that the filter lets through, or
/// the beginning; nothing when there is no file. A packed file that cannot be unpacked has no lines.
pub(super) fn locate(paths: &Paths, stretch: Stretch<'_>) -> io::Result<Found> {
    let mut search = Search {
        filter: stretch.filter,
        newlines_left: stretch.lines.saturating_add(1),
        bytes_left: stretch.bytes,
        held: Vec::new(),
        held_at: 0,
    };
    let mut shelf = Shelf::list(paths)?;
    let ceiling_at = stretch
        .ceiling
        .and_then(|ceiling| shelf.place_of(ceiling.id));
    let mut oldest = None;
    let mut is_before_packed = false;
    for place in ceiling_at.unwrap_or(0)..shelf.count() {
        let Some(mut cursor) = shelf.open(place)? else {
            continue;
        };
        let is_packed = cursor.id.packing.is_some();
        if is_packed && stretch.bytes != u64::MAX {
            // Who wants only what lies near does not wait until it is unpacked.
            is_before_packed = true;
            break;
        }
        let is_lowest = stretch.floor.is_some_and(|floor| floor.id == cursor.id);
        let is_enough = match search.part(&mut cursor, stretch) {
            Err(_) if is_packed => false,
            searched => searched?,
        };
        if is_enough {
            return Ok(Found {
                located: Some(Located::Enough(cursor)),
                is_before_packed,
            });
        }
        oldest = Some(cursor);
        if is_lowest {
            break;
        }
    }
    let missing = search.newlines_left;
    Ok(Found {
        located: oldest.map(|cursor| Located::Beginning { cursor, missing }),
        is_before_packed,
    })
}

/// The cursor moved back to where its line begins; where its file cannot be unpacked it stays, for whoever reads there
/// to tell of that.
pub(super) fn whole(mut cursor: Cursor) -> io::Result<Cursor> {
    match seek::to_line_start(&mut cursor) {
        Err(_) if cursor.id.packing.is_some() => Ok(cursor),
        moved => moved.map(|()| cursor),
    }
}

struct Search {
    filter: Filter,
    /// The newline that ends the line before the first that is wanted counts too.
    newlines_left: u64,
    /// Bytes that may still be looked at.
    bytes_left: u64,
    /// Bytes of the file that is searched, and where they stand in it.
    held: Vec<u8>,
    held_at: u64,
}

impl Search {
    /// Looks through the part of a file between floor and ceiling; true when `cursor` was moved to the place that was
    /// sought. Else it is where the part begins.
    fn part(&mut self, cursor: &mut Cursor, stretch: Stretch<'_>) -> io::Result<bool> {
        if let Some(floor) = stretch.floor.filter(|floor| floor.id == cursor.id) {
            cursor.offset = floor.offset;
            seek::to_line_start(cursor)?;
        }
        let length = cursor.log.length()?;
        let ceiling = stretch.ceiling.filter(|ceiling| ceiling.id == cursor.id);
        let end = ceiling.map_or(length, |ceiling| ceiling.offset.min(length));
        let start = cursor.offset;
        self.file(cursor, start, end)
    }

    /// Looks through a file from `end` back to `start`; true when `cursor` was moved to the place that was sought.
    fn file(&mut self, cursor: &mut Cursor, start: u64, end: u64) -> io::Result<bool> {
        let mut end = end;
        let mut block = Vec::new();
        let mut blocks = 1;
        let mut place = match &cursor.index {
            Some(index) => index.partition(|record| record.offset >= end)?,
            None => 0,
        };
        self.held.clear();
        while let (Some(index), true) = (&mut cursor.index, place > 0 && end > start) {
            let first = index.read_back(place, blocks, &mut block)?;
            blocks = (blocks * 2).min(BLOCKS_MAX);
            for (at, record) in block.iter().enumerate().rev() {
                let Some(record) = record else { continue };
                let from = record.offset.max(start);
                let found = match self.is_wanted(record) {
                    true => self.range(&cursor.log, from, end)?,
                    false => None,
                };
                if let Some(found) = found {
                    cursor.offset = found;
                    index.seek(first + at as u64);
                    return Ok(true);
                }
                end = end.min(from);
            }
            place = first;
        }
        if end > start
            && self.filter.lets_through(unknown_origin(0, 0))
            && let Some(found) = self.range(&cursor.log, start, end)?
        {
            cursor.offset = found;
            return Ok(true);
        }
        Ok(false)
    }

    fn is_wanted(&self, record: &Record) -> bool {
        origin_of(record).is_some_and(|origin| {
            matches!(origin.source, Source::Service(_)) && self.filter.lets_through(origin)
        })
    }

    /// Counts the newlines between two offsets, backwards; the offset after the last that is needed, or where no more
    /// bytes may be looked at.
    fn range(&mut self, log: &Body, start: u64, end: u64) -> io::Result<Option<u64>> {
        let mut end = end;
        while end > start {
            if self.bytes_left == 0 {
                return Ok(Some(end));
            }
            self.hold(log, end)?;
            let least = end.saturating_sub(self.bytes_left).max(start);
            let from = least.max(self.held_at);
            let part = |offset: u64| usize::try_from(offset - self.held_at).unwrap_or(usize::MAX);
            let Some(bytes) = self.held.get(part(from)..part(end)) else {
                // The file was cut off meanwhile.
                return Ok(None);
            };
            let mut before = bytes;
            while let Some(at) = search::last(b'\n', before) {
                self.newlines_left -= 1;
                if self.newlines_left == 0 {
                    return Ok(Some(from + at as u64 + 1));
                }
                before = &before[..at];
            }
            self.bytes_left -= end - from;
            end = from;
        }
        Ok(None)
    }

    /// Holds the bytes before `end`, however small the records are that tell of them.
    fn hold(&mut self, log: &Body, end: u64) -> io::Result<()> {
        let held = self.held_at + self.held.len() as u64;
        if self.held.is_empty() || end <= self.held_at || end > held {
            self.held_at = end.saturating_sub(BLOCK_STEP);
            self.held.resize(BLOCK_BYTES, 0);
            let wanted = usize::try_from(end - self.held_at).unwrap_or(BLOCK_BYTES);
            let count = log.read_at(&mut self.held[..wanted], self.held_at)?;
            self.held.truncate(count);
        }
        Ok(())
    }
}
