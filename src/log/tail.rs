//! Finding where the last N lines begin, going backwards through the newest files in blocks.

use std::fs::File;
use std::io;

use super::cursor::{BLOCK_RECORDS, Cursor, origin_of, read_at, unknown_origin};
use super::entry::Source;
use super::index::Record;
use super::paths::Paths;
use super::reader::Filter;

/// Bytes of log read at once.
const BLOCK_BYTES: usize = 16 * 1024;
/// [`BLOCK_BYTES`] as a file offset.
const BLOCK_STEP: u64 = 16 * 1024;

/// A place after which there are at least `lines` lines or `bytes` bytes that `filter` lets through, or the beginning
/// of all there is; nothing when there is no file.
pub(super) fn locate(
    paths: &Paths,
    lines: u64,
    bytes: u64,
    filter: Filter,
) -> io::Result<Option<Cursor>> {
    let mut search = Search {
        filter,
        newlines_left: lines.saturating_add(1),
        bytes_left: bytes,
    };
    let mut next = Cursor::pick(paths, |seen| seen.first().copied())?;
    let mut oldest = None;
    while let Some(mut cursor) = next {
        if search.file(&mut cursor)? {
            return Ok(Some(cursor));
        }
        let held = cursor.inode;
        next = Cursor::pick(paths, |seen| {
            let at = seen.iter().position(|seen| seen.inode == held)?;
            seen.get(at + 1).copied()
        })?;
        oldest = Some(cursor);
    }
    Ok(oldest)
}

struct Search {
    filter: Filter,
    /// The newline that ends the line before the first that is wanted counts too.
    newlines_left: u64,
    /// Bytes that may still be looked at.
    bytes_left: u64,
}

impl Search {
    /// Looks through a file from its end on; true when `cursor` was moved to the place that was sought.
    fn file(&mut self, cursor: &mut Cursor) -> io::Result<bool> {
        let mut end = cursor.log.metadata()?.len();
        let mut block = Vec::new();
        let mut place = match &cursor.index {
            Some(index) => index.count()?,
            None => 0,
        };
        while let (Some(index), true) = (&mut cursor.index, place > 0) {
            let first = place.saturating_sub(BLOCK_RECORDS as u64);
            index.read(first, &mut block)?;
            let count = usize::try_from(place - first).unwrap_or(BLOCK_RECORDS);
            for (at, record) in block.iter().enumerate().take(count).rev() {
                let Some(record) = record else { continue };
                let start = match self.is_wanted(record) {
                    true => self.range(&cursor.log, record.offset, end)?,
                    false => None,
                };
                if let Some(start) = start {
                    cursor.offset = start;
                    index.seek(first + at as u64);
                    return Ok(true);
                }
                end = end.min(record.offset);
            }
            place = first;
        }
        if self.filter.lets_through(unknown_origin(0, 0))
            && let Some(start) = self.range(&cursor.log, 0, end)?
        {
            cursor.offset = start;
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
    fn range(&mut self, log: &File, start: u64, end: u64) -> io::Result<Option<u64>> {
        let mut buffer = [0; BLOCK_BYTES];
        let mut end = end;
        while end > start {
            if self.bytes_left == 0 {
                return Ok(Some(end));
            }
            let step = BLOCK_STEP.min(self.bytes_left);
            let from = end.saturating_sub(step).max(start);
            let wanted = usize::try_from(end - from).unwrap_or(BLOCK_BYTES);
            let count = read_at(log, &mut buffer[..wanted], from)?;
            for at in (0..count).rev() {
                if buffer[at] == b'\n' {
                    self.newlines_left -= 1;
                    if self.newlines_left == 0 {
                        return Ok(Some(from + at as u64 + 1));
                    }
                }
            }
            self.bytes_left -= end - from;
            end = from;
        }
        Ok(None)
    }
}
