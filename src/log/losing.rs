//! The writer's bad times: what cannot be written is counted, and told in the index when writing works again.
//!
//! What follows a loss begins with a whole line: the rest of a line whose head was lost is lost with it, and a line
//! whose end was lost is ended. Nothing else is ever put into a log file that the service has not written.

use std::io;
use std::os::fd::BorrowedFd;

use crate::sys::files;

use super::index::{Loss, Mark, Record, Stream, What};
use super::outcome::{Appended, Failure};
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

    /// Notes in the index that something of `run` is missing here.
    pub fn note_loss(&mut self, now_ms: u64, run: u64, loss: Loss) {
        if let Some(length) = self.current.as_ref().map(|current| current.pair.length) {
            self.note_loss_at(length, now_ms, run, loss);
        }
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
    pub(super) fn lose(&mut self, error: &io::Error, stream: Stream, bytes: &[u8]) -> Appended {
        let lost_bytes = self.count_lost(stream, bytes);
        let errno = error.raw_os_error();
        match &mut self.failure {
            Some(failure) => {
                failure.lost_bytes += lost_bytes;
                failure.errno = errno;
                Appended::StillFailing { lost_bytes }
            }
            None => {
                self.failure = Some(Failure { lost_bytes, errno });
                Appended::Failed { lost_bytes }
            }
        }
    }

    /// Leaves out the rest of a line whose head was lost, and takes it from the pipe that it lies in.
    pub(super) fn lose_rest(
        &mut self,
        stream: Stream,
        rest: &[u8],
        pipe: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        if let Some(pipe) = pipe {
            files::discard(pipe, rest.len())?;
        }
        let lost_bytes = self.count_lost(stream, rest);
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
    pub(super) fn end_cut_line(&mut self, now_ms: u64, run: u64) -> io::Result<()> {
        let ends = self.current.as_ref().map(|current| current.ends);
        if self.failure.is_none() || ends != Some(Ends::WithinLine) {
            return Ok(());
        }
        let before = self.within_line;
        let owner = |stream: Stream| Some((stream, before[stream.slot()]?));
        let cut = owner(Stream::Out).or_else(|| owner(Stream::Err));
        self.write(b"\n", None).1?;
        self.note_bytes(now_ms, cut.unwrap_or((Stream::Out, run)), 1, Some(b'\n'));
        self.within_line = [None; 2];
        Ok(())
    }

    /// Something was written, the last `count` bytes of the log: if nothing could be before, notes what is missing in
    /// front of them. Returns how many bytes are.
    pub(super) fn resume(&mut self, now_ms: u64, run: u64, count: usize) -> u64 {
        let (Some(failure), Some(current)) = (self.failure.take(), &self.current) else {
            return 0;
        };
        let offset = current.pair.length.saturating_sub(count as u64);
        let errno = failure.errno.and_then(|errno| u8::try_from(errno).ok());
        let loss = Loss::Unwritten {
            bytes: u32::try_from(failure.lost_bytes).unwrap_or(u32::MAX),
            errno: errno.unwrap_or(0),
        };
        self.note_loss_at(offset, now_ms, run, loss);
        failure.lost_bytes
    }

    fn note_loss_at(&mut self, offset: u64, now_ms: u64, run: u64, loss: Loss) {
        if let Some(current) = &mut self.current {
            let record = Record {
                time_ms: now_ms,
                offset,
                run,
                what: What::Mark(Mark::Lost(loss)),
            };
            let bound = current.index_bound.saturating_mul(2);
            current.pair.index.note(record, bound);
        }
    }
}
