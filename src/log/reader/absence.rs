//! A rotated file that somebody has removed from among the others: its index, which is still there, tells of it. A
//! notice stands in its place.
//!
//! Without its index nobody can tell it from one that a rotation is about to move there.

use std::io;

use super::super::cursor::Cursor;
use super::super::paths::exists;
use super::Reader;

/// So many files that are missing side by side are told of.
const TOLD_MAX: usize = 16;

impl Reader {
    /// Tells of files that are missing between the one that is held and `newer`.
    pub(super) fn tell_missing(&mut self, newer: &Cursor) -> io::Result<()> {
        let Some(held) = self.cursor.as_ref().filter(|held| !newer.follows(held)) else {
            return Ok(());
        };
        let (time_ms, run) = (held.modified_ms()?, held.run());
        let is_past = |until_ms| time_ms > until_ms;
        if self.filter.until_ms.is_some_and(is_past) {
            return Ok(());
        }
        let seen = self.paths.list_anew()?;
        let at = |id| {
            let found = seen.iter().find(|seen| seen.id == id);
            found.map(|seen| seen.number)
        };
        let (Some(first), Some(end)) = (at(newer.id), at(held.id)) else {
            return Ok(());
        };
        let is_missing = |number: &u32| {
            let has_index = |number: u32| exists(&self.paths.index(number));
            let has_log = || self.paths.has(*number);
            // A rotation moves a log first, leaves its index behind for a moment, and goes on to the next lower number.
            // In this order, whatever it does in between: with both indexes, the log has come before the last look.
            !has_log() && has_index(*number + 1) && has_index(*number) && !has_log()
        };
        let numbers = (first.saturating_add(1)..end).rev().filter(is_missing);
        let numbers: Vec<u32> = numbers.take(TOLD_MAX).collect();
        // What is asked for may begin in one of them.
        let time_ms = time_ms.max(self.filter.since_ms.unwrap_or(0));
        if !numbers.is_empty() {
            self.assembler.finish_all();
        }
        for number in numbers {
            let file = self.paths.log(number);
            let text = format!("{}: it is missing", file.display());
            self.leave_word(time_ms, run, text);
        }
        Ok(())
    }
}
