//! The writer's bad times: what cannot be written is counted, and told in the index when writing works again.
//!
//! What follows a loss begins with a whole line: the rest of a line whose head was lost is lost with it, and a line
//! whose end was lost is ended. Nothing else is ever put into a log file that the service has not written.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::sys::files;

use super::index::{Loss, Mark, Stream};
use super::outcome::{Appended, Failure};
use super::owed::{Note, Owed};
use super::writer::{Ends, Writer};

impl Writer {
    /// Bytes that could not be written since the log was opened.
    #[must_use]
    pub fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }

    /// Why nothing can be written at present, if so.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Opens the log, if that has not been done.
    ///
    /// # Errors
    /// The files cannot be made or read.
    pub fn look(&mut self) -> io::Result<()> {
        self.check_file()
    }

    /// What the index is still to be told.
    #[must_use]
    pub fn owed(&self) -> &Owed {
        &self.owed
    }

    /// Notes in the index that something of `run` is missing here.
    pub fn note_loss(&mut self, now_ms: u64, run: u64, loss: Loss) {
        self.note_mark(now_ms, run, Mark::Lost(loss));
    }

    /// Notes a mark at the end of the log, after all that is owed; where that cannot be, it is owed too.
    pub(super) fn note_mark(&mut self, time_ms: u64, run: u64, mark: Mark) {
        let note = Note { time_ms, run, mark };
        // Where nothing else is owed it never is, and nobody has to write it down for a successor.
        if self.owed.is_empty() && self.add(note).is_ok() {
            return;
        }
        self.owed.push(note);
        if let Err(error) = self.settle(0) {
            self.fail(&error);
        }
    }

    /// Tries whether the log can be written again, without a line that comes. Where it can, returns how many bytes are
    /// lost; where it cannot, the index may still be told how many there are.
    pub fn retry(&mut self, now_ms: u64) -> Option<u64> {
        let failure = self.failure?;
        self.check_file().ok()?;
        let has_room = self.end_cut_line(now_ms).is_ok() && self.has_room();
        if has_room || self.owed.is_due() {
            self.settle(0).ok()?;
        }
        if !has_room {
            return None;
        }
        self.failure = None;
        self.owed.end();
        Some(failure.lost_bytes)
    }

    /// Where that cannot be known, the next line shows it.
    fn has_room(&mut self) -> bool {
        let Some(current) = &mut self.current else {
            return false;
        };
        let has_room = files::has_room(current.pair.log.as_fd(), current.pair.length);
        has_room && current.make_room(&self.owed).is_ok()
    }

    /// Nothing can be written, though nothing is lost by that yet.
    pub(super) fn fail(&mut self, error: &io::Error) {
        let errno = error.raw_os_error();
        self.failure.get_or_insert(Failure {
            lost_bytes: 0,
            errno,
        });
    }

    /// How many of `bytes` are the rest of a line whose head was lost.
    pub(super) fn rest_of_lost(&self, stream: Stream, bytes: &[u8]) -> usize {
        if !self.is_line_lost[stream.slot()] {
            return 0;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        end.map_or(bytes.len(), |at| at + 1)
    }

    /// Counts these bytes as lost to `error`.
    pub(super) fn lose(
        &mut self,
        error: &io::Error,
        now_ms: u64,
        (stream, run): (Stream, u64),
        bytes: &[u8],
    ) -> Appended {
        let lost_bytes = self.count_lost(stream, bytes);
        let errno = error.raw_os_error();
        self.owed.lose((now_ms, run), lost_bytes, errno);
        let before = self.failure.map_or(0, |failure| failure.lost_bytes);
        self.failure = Some(Failure {
            lost_bytes: before + lost_bytes,
            errno,
        });
        match before {
            0 => Appended::Failed { lost_bytes },
            _ => Appended::StillFailing { lost_bytes },
        }
    }

    /// Leaves out the rest of a line whose head was lost, and takes it from the pipe that it lies in.
    pub(super) fn lose_rest(
        &mut self,
        now_ms: u64,
        (stream, run): (Stream, u64),
        rest: &[u8],
        pipe: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        if let Some(pipe) = pipe {
            files::discard(pipe, rest.len())?;
        }
        let lost_bytes = self.count_lost(stream, rest);
        self.owed.lose_more((now_ms, run), lost_bytes);
        if let Some(failure) = &mut self.failure {
            failure.lost_bytes += lost_bytes;
        }
        Ok(())
    }

    fn count_lost(&mut self, stream: Stream, bytes: &[u8]) -> u64 {
        if let Some(last) = bytes.last() {
            self.is_line_lost[stream.slot()] = *last != b'\n';
        }
        let count = bytes.len() as u64;
        self.lost_bytes += count;
        count
    }

    /// Ends the line that was cut off when nothing more could be written; whether there is room again is to be seen.
    pub(super) fn end_cut_line(&mut self, now_ms: u64) -> io::Result<()> {
        let ends = self.current.as_ref().map(|current| current.ends);
        let has_lost = self.failure.is_some_and(|failure| failure.lost_bytes > 0);
        if !has_lost || ends != Some(Ends::WithinLine) {
            return Ok(());
        }
        let before = self.within_line;
        let owner = |stream: Stream| Some((stream, before[stream.slot()]?));
        // That of a run that is over has its end with the run's; another run's would have an empty line.
        let Some(cut) = owner(Stream::Out).or_else(|| owner(Stream::Err)) else {
            return Ok(());
        };
        self.write(b"\n", None).1?;
        // What is missing is missing there, in front of the line's end, which is ours; a reader shows it so.
        let _ = self.settle(1);
        self.note_bytes(now_ms, cut, 1, Some(b'\n'));
        self.within_line = [None; 2];
        Ok(())
    }

    /// Something was written, the last `count` bytes of the log: tells the index what is missing in front of them.
    /// Returns how many bytes are, if nothing could be written before.
    pub(super) fn resume(&mut self, count: usize) -> u64 {
        if !self.owed.is_empty() {
            // What cannot be told now is tried again with the next mark.
            let _ = self.settle(count as u64);
        }
        let Some(failure) = self.failure.take() else {
            return 0;
        };
        self.owed.end();
        failure.lost_bytes
    }

    /// Adds a note to the index, at the end of the log.
    fn add(&mut self, note: Note) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let bound = current.index_most();
        let record = note.at(current.pair.length);
        current.pair.index.add(record, bound)
    }

    /// Tells the index what it is owed, at so many bytes before the end of the log.
    fn settle(&mut self, before_end: u64) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let offset = current.pair.length.saturating_sub(before_end);
        let bound = current.index_most();
        let index = &mut current.pair.index;
        self.owed.pay(|note| index.add(note.at(offset), bound))
    }
}
