//! A packed file that cannot be unpacked, because it is damaged or its program is missing: it is left out, a notice
//! stands in its place, and reading goes on with the next one.

use std::io;

use super::super::index::Record;
use super::{End, Reader, Step};
use crate::sys::process::error_text;

impl Reader {
    /// Goes on after `cause`, unless it tells of something else than of a packed file.
    pub(super) fn leave_out(&mut self, cause: io::Error) -> io::Result<Step> {
        let Some(cursor) = self
            .cursor
            .as_ref()
            .filter(|held| held.id.packing.is_some())
        else {
            return Err(cause);
        };
        let record = match &cursor.index {
            Some(index) => index.at_or_after(0)?.map(|(_, record)| record),
            None => None,
        };
        let is_last =
            matches!(self.end, End::At { id, .. } | End::Pause { id, .. } if id == cursor.id);
        let is_beyond = |record: &Record| self.filter.run.is_some_and(|run| record.run > run);
        self.assembler.finish_all();
        // Where nothing follows yet a follower comes here with each change.
        let is_told = self.told_damage == Some(cursor.id);
        self.told_damage = Some(cursor.id);
        if !is_told && !record.as_ref().is_some_and(is_beyond) {
            let begun_ms = record.as_ref().map(|record| record.time_ms);
            let begun_ms = begun_ms.map_or_else(|| cursor.modified_ms(), Ok)?;
            // What is left out reaches into what is asked for, also where it begins before that.
            let time_ms = begun_ms.max(self.filter.since_ms.unwrap_or(0));
            let text = format!("{}; it is left out", error_text(&cause));
            self.leave_word(time_ms, record.map_or(0, |record| record.run), text);
        }
        let gone_on = match is_last {
            true => self.finish(),
            false => self.go_on(),
        };
        // There is the notice to be given, whether or not there is more.
        gone_on.map(|step| if is_told { step } else { Step::Went })
    }

    /// Puts a notice of a file that is left out in its place.
    pub(super) fn leave_word(&mut self, time_ms: u64, run: u64, text: String) {
        self.assembler.notice(time_ms, run, &text);
        // Who counts lines from the end comes by more than once.
        if !self.left_out.contains(&text) {
            self.left_out.push(text);
        }
    }
}
