//! Finding the first record of a time or a run, by bisection: first among the files, then within one index. What it
//! reads does not grow with the log.
//!
//! Times and runs grow from record to record. Where they do not, because a clock was set back or a process of an
//! earlier run still printed, what is found is one of the places where they pass the sought one.

use std::io;

use super::body::Body;
use super::cursor::{Cursor, Records};
use super::entry::LINE_BYTES_MAX;
use super::index::Record;
use super::paths::{FileId, Paths};
use super::shelf::Shelf;

/// Bytes of log before a place that are read at once, to find where a line begins.
const STEP_BYTES: usize = 4096;
/// [`STEP_BYTES`] as a file offset.
const STEP: u64 = 4096;
/// A line can have begun so many bytes before the place where the other stream's line ends, and still be whole.
const SLACK: u64 = 1024;
/// So many records after a run's last one may be of it still: of a process that went on printing.
const LATE_RECORDS: u64 = 256;

/// What a record has to be, or to come after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// Of this time or later (unix milliseconds).
    Since(u64),
    /// Later than this time.
    After(u64),
    /// Of this run or a later one.
    Run(u64),
    /// Of a later run than this one.
    Beyond(u64),
}

impl Sought {
    fn is_reached_by(self, record: &Record) -> bool {
        self.is_reached(record.time_ms, record.run)
    }

    fn is_reached(self, time_ms: u64, run: u64) -> bool {
        match self {
            Self::Since(least_ms) => time_ms >= least_ms,
            Self::After(last_ms) => time_ms > last_ms,
            Self::Run(least) => run >= least,
            Self::Beyond(last) => run > last,
        }
    }
}

/// What there is before a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    Something,
}

/// A byte of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) id: FileId,
    pub(super) offset: u64,
}

/// The first byte of what is sought, which may lie in the midst of a line, and whether there is nothing before it.
/// Nothing when there is no file. Nothing is unpacked for that.
pub(super) fn begin(paths: &Paths, sought: Sought) -> io::Result<Option<(Cursor, Before)>> {
    let mut shelf = Shelf::list(paths)?;
    let Some(mut found) = find_on(&mut shelf, sought)? else {
        return Ok(None);
    };
    found.cursor.offset = found.offset()?;
    let is_oldest = shelf.place_of(found.cursor.id) == shelf.count().checked_sub(1);
    let before = match is_oldest && found.place == 0 {
        true => Before::Nothing,
        false => Before::Something,
    };
    Ok(Some((found.cursor, before)))
}

/// Moves a cursor back so far that no line that reaches up to it begins in its midst: a little more than a line.
pub(super) fn to_line_start(cursor: &mut Cursor) -> io::Result<()> {
    let start = line_start(&cursor.log, cursor.offset.saturating_sub(SLACK))?;
    cursor.offset = start;
    if let Some(index) = &mut cursor.index {
        let place = index.partition(|record| record.offset >= start)?;
        let is_exact = index
            .at_or_after(place)?
            .is_some_and(|(_, record)| record.offset == start);
        index.seek(place.saturating_sub(u64::from(!is_exact)));
    }
    Ok(())
}

/// A place that all of what comes before the sought one lies before; nothing when there is no file.
pub(super) fn end(paths: &Paths, sought: Sought) -> io::Result<Option<Place>> {
    let Some(mut found) = find(paths, sought)? else {
        return Ok(None);
    };
    if matches!(sought, Sought::Run(_) | Sought::Beyond(_)) {
        found.place = found.place.saturating_add(LATE_RECORDS);
    }
    Ok(Some(Place {
        id: found.cursor.id,
        offset: found.offset()?,
    }))
}

/// The last record that does not reach what is sought.
pub(super) fn last_before(shelf: &mut Shelf<'_>, sought: Sought) -> io::Result<Option<Record>> {
    let Some(found) = find_on(shelf, sought)? else {
        return Ok(None);
    };
    if let Some(index) = &found.cursor.index
        && let Some(record) = index.last_before(found.place)?
    {
        return Ok(Some(record));
    }
    let newer = shelf.place_of(found.cursor.id).unwrap_or(0);
    for place in newer + 1..shelf.count() {
        if let Some(cursor) = shelf.open(place)?
            && let Some(index) = &cursor.index
            && let Some(record) = index.last_before(index.count()?)?
        {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// The first record that reaches what is sought.
pub(super) fn first(paths: &Paths, sought: Sought) -> io::Result<Option<Record>> {
    let Some(found) = find(paths, sought)? else {
        return Ok(None);
    };
    let index = found.cursor.index.as_ref();
    let record = index.map(|index| index.at_or_after(found.place));
    Ok(record.transpose()?.flatten().map(|(_, record)| record))
}

struct Found {
    cursor: Cursor,
    /// Of the record; one past the last where no record of the newest file reaches what is sought.
    place: u64,
}

impl Found {
    /// The first byte of the record, or the end of the file.
    fn offset(&self) -> io::Result<u64> {
        if let Some(index) = &self.cursor.index
            && let Some((_, record)) = index.at_or_after(self.place)?
        {
            return Ok(record.offset);
        }
        match &self.cursor.index {
            // A packed file is not unpacked to see how long it is.
            Some(index) if self.cursor.id.packing.is_some() => {
                let last = index.last_before(index.count()?)?;
                Ok(last.map_or(0, |last| last.end()))
            }
            Some(_) => Ok(self.cursor.log.length()?),
            // Nothing is known of it but that some of it reaches what is sought.
            None => Ok(0),
        }
    }
}

/// The oldest file that reaches what is sought, or the newest where none does.
fn find(paths: &Paths, sought: Sought) -> io::Result<Option<Found>> {
    find_on(&mut Shelf::list(paths)?, sought)
}

fn find_on(shelf: &mut Shelf<'_>, sought: Sought) -> io::Result<Option<Found>> {
    // Places below `reached` reach it, as far as is known; those from `below` on do not.
    let (mut reached, mut below) = (0, shelf.count());
    let mut best = None;
    while reached < below {
        let middle = reached + (below - reached) / 2;
        let Some(cursor) = shelf.open(middle)? else {
            // It was removed, as the oldest ones are.
            below = middle;
            continue;
        };
        if middle == 0 || is_reached_within(&cursor, sought)? {
            (best, reached) = (Some(cursor), middle + 1);
        } else {
            below = middle;
        }
    }
    let Some(cursor) = best else {
        return Ok(None);
    };
    let place = match &cursor.index {
        Some(index) => index.partition(|record| sought.is_reached_by(record))?,
        None => 0,
    };
    Ok(Some(Found { cursor, place }))
}

fn is_reached_within(cursor: &Cursor, sought: Sought) -> io::Result<bool> {
    let last = match &cursor.index {
        Some(index) => index.last_before(index.count()?)?,
        None => None,
    };
    Ok(match last {
        Some(record) => sought.is_reached_by(&record),
        None => sought.is_reached(cursor.modified_ms()?, 0),
    })
}

/// Where the line that holds the byte before `offset` begins, or `offset` when that line is longer than a line is.
fn line_start(log: &Body, offset: u64) -> io::Result<u64> {
    let mut buffer = [0; STEP_BYTES];
    let mut end = offset;
    while end > 0 && offset - end < LINE_BYTES_MAX as u64 {
        let from = end.saturating_sub(STEP);
        let wanted = usize::try_from(end - from).unwrap_or(STEP_BYTES);
        let count = log.read_at(&mut buffer[..wanted], from)?;
        if let Some(at) = buffer[..count].iter().rposition(|byte| *byte == b'\n') {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(if end == 0 { 0 } else { offset })
}

impl Records {
    /// The first whole record at `place` or after it, and its place.
    pub(super) fn at_or_after(&self, place: u64) -> io::Result<Option<(u64, Record)>> {
        let mut block = Vec::new();
        let mut place = place;
        loop {
            self.read(place, &mut block)?;
            if block.is_empty() {
                return Ok(None);
            }
            for record in &block {
                if let Some(record) = record {
                    return Ok(Some((place, *record)));
                }
                place += 1;
            }
        }
    }

    /// The last whole record before `place`.
    pub(super) fn last_before(&self, place: u64) -> io::Result<Option<Record>> {
        let mut block = Vec::new();
        let mut end = place;
        while end > 0 {
            let first = self.read_back(end, 1, &mut block)?;
            if let Some(record) = block.iter().rev().find_map(|record| *record) {
                return Ok(Some(record));
            }
            end = first;
        }
        Ok(None)
    }

    /// How many records stand before the first that `reaches`.
    pub(super) fn partition(&self, reaches: impl Fn(&Record) -> bool) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.count()?);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.at_or_after(middle)? {
                Some((place, record)) if !reaches(&record) => low = place + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }
}
