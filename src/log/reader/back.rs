//! Where reading begins when it is asked for by a number of lines, or by a time or a run.
//!
//! Owns counting lines up to the end. Does not own the search backwards, nor that in the index.

use std::io;

use super::super::cursor::Cursor;
use super::super::entry::Assembler;
use super::super::seek::{self, Place, Sought};
use super::super::tail::{self, Located, Stretch};
use super::{End, Packed, Reader, end_now};

/// Where a sieve holds lines back, so many are looked through at first, and then this many times as many.
const SIFTED_LINES: u64 = 1000;
const STRETCH_GROWTH: u64 = 4;

impl Reader {
    /// Goes back to a place that lies `lines` lines or more before the end, or `bytes` bytes, and counts how many lines
    /// too many they are. Where a sieve holds lines back it goes on in longer and longer stretches until enough are
    /// found.
    pub(super) fn go_back(&mut self, lines: u64, bytes: u64) -> io::Result<()> {
        let end = self.end;
        // A writer can be faster than who counts, so a follower counts up to what is there now.
        if let (End::Never { .. }, Some((id, offset))) = (end, end_now(&self.paths)?) {
            self.end = End::Pause { id, offset };
        }
        let gone = self.go_back_to(lines, bytes, end);
        if let End::Never { .. } = end {
            self.end = end;
        }
        gone
    }

    fn go_back_to(&mut self, lines: u64, bytes: u64, end: End) -> io::Result<()> {
        let floor = self.floor()?;
        let mut ceiling = self.ceiling()?.or(match self.end {
            End::At { id, offset } | End::Pause { id, offset } if !id.is_none() => {
                Some(Place { id, offset })
            }
            End::At { .. } | End::Pause { .. } | End::Reached | End::Never { .. } => None,
        });
        let mut stretch_lines = match self.sieve {
            Some(_) if lines > 0 => lines.max(SIFTED_LINES),
            _ => lines,
        };
        let mut count = 0;
        loop {
            let stretch = Stretch {
                lines: stretch_lines,
                bytes,
                filter: self.filter,
                floor: floor.as_ref(),
                ceiling,
            };
            let found = tail::locate(&self.paths, stretch)?;
            if found.is_before_packed {
                self.packed = Packed::Before;
            }
            let (cursor, is_beginning) = match found.located {
                None => match self.nothing_near(found.is_before_packed, end)? {
                    Some(cursor) => (cursor, true),
                    None => return Ok(()),
                },
                Some(Located::Enough(cursor)) => (cursor, bytes != u64::MAX),
                // No line too many, also when one more has no line end: nothing need be counted.
                Some(Located::Beginning { cursor, missing })
                    if missing > 1 && self.sieve.is_none() =>
                {
                    self.go_to(cursor, end);
                    return Ok(());
                }
                Some(Located::Beginning { cursor, .. }) => (cursor, true),
            };
            let place = cursor.try_clone()?;
            count += self.count_from(cursor)?;
            if lines == 0 {
                // What was there is passed over, marks too; only the line that is not finished is kept.
                return Ok(());
            }
            let begun = Place {
                id: place.id,
                offset: place.offset,
            };
            self.go_to(place, end);
            if count >= lines || is_beginning {
                self.skip = count.saturating_sub(lines);
                return Ok(());
            }
            // What has been counted is not looked at again.
            ceiling = Some(begun);
            self.end = End::At {
                id: begun.id,
                offset: begun.offset,
            };
            stretch_lines = stretch_lines.saturating_mul(STRETCH_GROWTH);
        }
    }

    /// There is nothing, or nothing near. A follower would go on from the oldest file, so it has the newest one, packed
    /// as it is; any other reader is at its end.
    fn nothing_near(&mut self, is_before_packed: bool, end: End) -> io::Result<Option<Cursor>> {
        if let End::At { .. } = end {
            self.end = End::Reached;
            return Ok(None);
        }
        match is_before_packed {
            true => Cursor::pick(&self.paths, |seen| seen.first().copied()),
            false => Ok(None),
        }
    }

    /// Reads on from `cursor` to the end, and counts the lines.
    fn count_from(&mut self, cursor: Cursor) -> io::Result<u64> {
        self.cursor = Some(cursor);
        let mut count = 0;
        while let Some(entry) = self.next_entry()? {
            count += u64::from(self.counts(&entry));
        }
        Ok(count)
    }

    fn go_to(&mut self, cursor: Cursor, end: End) {
        self.cursor = Some(cursor);
        self.end = end;
        self.assembler = Assembler::default();
        self.buffer.empty();
        self.later = 0;
    }

    /// Where what is wanted begins, if that is not the beginning of all there is; a line can have begun before it.
    pub(super) fn floor(&self) -> io::Result<Option<Cursor>> {
        match (self.filter.since_ms, self.filter.run) {
            (Some(since_ms), _) => seek::begin(&self.paths, Sought::Since(since_ms)),
            (None, Some(run)) => seek::begin(&self.paths, Sought::Run(run)),
            (None, None) => Ok(None),
        }
    }

    /// Where what is wanted ends, if that is not the end of all there is.
    fn ceiling(&self) -> io::Result<Option<Place>> {
        match (self.filter.until_ms, self.filter.run) {
            (Some(until_ms), _) => seek::end(&self.paths, Sought::After(until_ms)),
            (None, Some(run)) => seek::end(&self.paths, Sought::Beyond(run)),
            (None, None) => Ok(None),
        }
    }
}
