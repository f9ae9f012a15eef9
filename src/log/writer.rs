//! The daemon's side: appending a service's bytes, rotating at line ends, and surviving a full disk.
//!
//! Nothing is buffered: a batch is one look at the file, one write (or one move from the service's pipe, so that a kill
//! loses nothing), and one small write to the index. Nothing that goes wrong here is the daemon's end; see `losing`.
//!
//! A file is rotated at the last line end that keeps it within `max_size`. A line is never divided between two
//! files, unless it alone is longer than [`LINE_DIVIDED_BYTES`]: then it is no line, and the bound on the disk counts
//! for more. With two streams, a file ends only where neither is within a line.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::sys::files;

use super::index::{Mark, RECORD_STEP, Record, Stream, What};
use super::outcome::{Appended, Failure};
use super::owed::{Note, Owed};
use super::paths::Paths;
use super::rotation::{self, Limits, Pair};

mod tending;
pub use tending::{Turned, is_full};

/// A file that is this much over `max_size` is rotated within a line.
const LINE_DIVIDED_BYTES: u64 = 64 * 1024 * 1024;
/// So many bytes before a rotation the quick way is left.
const LOOKED_AT_BYTES: u64 = 64 * 1024;
/// An index of half of `max_size` rotates its log too, but not a smaller one than this.
const INDEX_BOUND_MIN: u64 = 64 * 1024;

/// One service's log, being written.
#[derive(Debug)]
pub struct Writer {
    pub(super) paths: Paths,
    limits: Limits,
    /// Nothing after the files were lost and could not be made again; tried again with each batch.
    pub(super) current: Option<Current>,
    /// The run that is within a line, for each stream.
    pub(super) within_line: [Option<u64>; 2],
    /// Whether the present line's head was lost, for each stream.
    pub(super) is_line_lost: [bool; 2],
    pub(super) failure: Option<Failure>,
    pub(super) lost_bytes: u64,
    pub(super) owed: Owed,
    remade: Remade,
    /// Since somebody asked.
    rotations: u32,
    /// Bytes of logs and indexes, since somebody asked.
    written: u64,
}

/// Whether somebody has removed the log, and it was made again, since this was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remade {
    #[default]
    No,
    Yes,
}

#[derive(Debug)]
pub(super) struct Current {
    pub(super) pair: Pair,
    /// The size at which the log is rotated: `max_size`, and more where a rotation failed.
    bound: u64,
    /// The same for the index.
    pub(super) index_bound: u64,
    pub(super) ends: Ends,
}

impl Current {
    /// Beyond that nothing is added to the index: what divides no line may grow it past its bound.
    pub(super) fn index_most(&self) -> u64 {
        self.index_bound.saturating_mul(2)
    }

    /// Sees to it that the index can be told of one batch, after all that it is owed.
    pub(super) fn make_room(&mut self, owed: &Owed) -> io::Result<()> {
        let bound = self.index_most();
        self.pair.index.make_room(owed.notes().len() + 1, bound)
    }
}

/// How the log file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    WithLine,
    WithinLine,
}

/// What to do with the rest of a batch.
enum Step {
    /// Write so many bytes of it.
    Write(usize),
    Rotate,
}

impl Writer {
    /// Opens the log of service `name` in `directory`, made when missing, and puts right what a killed daemon left.
    ///
    /// # Errors
    /// The files cannot be made or read, or `name` is no file name.
    pub fn open(directory: &Path, name: &str, limits: Limits) -> io::Result<Writer> {
        let mut writer = Writer::unopened(directory, name, limits)?;
        writer.reopen()?;
        Ok(writer)
    }

    /// The same, opened with the first batch or mark; what comes while it cannot be opened is counted as lost.
    ///
    /// # Errors
    /// `name` is no file name.
    pub fn unopened(directory: &Path, name: &str, limits: Limits) -> io::Result<Writer> {
        Ok(Writer {
            paths: Paths::new(directory, name)?,
            limits: limits.least(),
            current: None,
            within_line: [None; 2],
            is_line_lost: [false; 2],
            failure: None,
            lost_bytes: 0,
            owed: Owed::default(),
            remade: Remade::No,
            rotations: 0,
            written: 0,
        })
    }

    /// Holds other limits from now on. A file that is too long by them is rotated with the next line.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits.least();
        if let Some(current) = &mut self.current {
            current.bound = self.limits.max_size;
            current.index_bound = index_bound(self.limits);
        }
    }

    /// Appends bytes that `run` wrote to `stream` and that came at `now_ms` (unix milliseconds).
    pub fn append(&mut self, now_ms: u64, stream: Stream, run: u64, bytes: &[u8]) -> Appended {
        self.take(now_ms, (stream, run), bytes, None)
    }

    /// Appends `bytes`, which lie at the head of `pipe`, by moving them over: a kill at any moment finds each of them
    /// in the pipe or in the log, and never in both. What is lost stays in the pipe: it is the caller's to remove.
    pub fn append_from(
        &mut self,
        pipe: BorrowedFd<'_>,
        now_ms: u64,
        of: (Stream, u64),
        bytes: &[u8],
    ) -> Appended {
        self.take(now_ms, of, bytes, Some(pipe))
    }

    /// Moves at most `most` bytes from `pipe` without a look at them, which is the quick way while the next rotation is
    /// not near. Returns how many; 0 is end of file.
    ///
    /// # Errors
    /// `WouldBlock` when the pipe is empty.
    ///
    /// `None`: this way is not open now, and nothing was taken; see [`Self::append_from`].
    pub fn move_from(
        &mut self,
        pipe: BorrowedFd<'_>,
        now_ms: u64,
        (stream, run): (Stream, u64),
        most: usize,
    ) -> Option<io::Result<usize>> {
        let is_troubled = self.failure.is_some() || self.is_line_lost != [false; 2];
        if is_troubled || self.check_file().is_err() || self.index_is_full() {
            return None;
        }
        let current = self.current.as_mut()?;
        current.make_room(&self.owed).ok()?;
        let start = current.pair.length;
        // What comes last before a rotation is looked at, for its line ends.
        let room = current
            .bound
            .checked_sub(start.saturating_add(LOOKED_AT_BYTES));
        let room = usize::try_from(room.filter(|room| *room > 0)?).unwrap_or(usize::MAX);
        let most = most.min(room);
        let log = &current.pair.log;
        match files::move_to_file(pipe, log.as_fd(), start, most) {
            Ok(0) => Some(Ok(0)),
            Ok(count) => {
                current.pair.length += count as u64;
                let last = byte_at(log, current.pair.length - 1);
                self.note_bytes(now_ms, (stream, run), count, last);
                Some(Ok(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(Err(error)),
            // The other way finds out more.
            Err(_) => None,
        }
    }

    fn take(
        &mut self,
        now_ms: u64,
        (stream, run): (Stream, u64),
        bytes: &[u8],
        pipe: Option<BorrowedFd<'_>>,
    ) -> Appended {
        if bytes.is_empty() {
            return Appended::Written;
        }
        let (lost, bytes) = bytes.split_at(self.rest_of_lost(stream, bytes));
        if let Err(error) = self.lose_rest(now_ms, (stream, run), lost, pipe) {
            return self.lose(&error, now_ms, (stream, run), bytes);
        }
        if bytes.is_empty() {
            return Appended::Written;
        }
        let checked = self.check_file();
        if let Err(error) = checked.and_then(|()| self.end_cut_line(now_ms)) {
            return self.lose(&error, now_ms, (stream, run), bytes);
        }
        let mut resumed = 0;
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = match self.step(stream, run, rest) {
                Step::Write(count) => count,
                Step::Rotate if self.rotate().is_ok() => continue,
                Step::Rotate => rest.len(),
            };
            let (piece, after) = rest.split_at(count);
            let (written, result) = self.write(piece, pipe);
            let last = piece[..written].last().copied();
            if last.is_some() {
                resumed += self.resume(written);
            }
            self.note_bytes(now_ms, (stream, run), written, last);
            if let Err(error) = result {
                return self.lose(&error, now_ms, (stream, run), &rest[written..]);
            }
            rest = after;
        }
        match resumed {
            0 => Appended::Written,
            lost_bytes => Appended::Resumed { lost_bytes },
        }
    }

    /// Notes in the index that a run begins or ends; its last bytes are appended before its end is marked. Here a log
    /// that was moved by hand, or an index that was removed, is noticed too.
    pub fn mark(&mut self, now_ms: u64, run: u64, mark: Mark) {
        let is_current = |now: &Current| {
            rotation::is_current(&self.paths, &now.pair.log) && !now.pair.index.is_removed()
        };
        let is_gone = |now: &mut Current| !is_current(now);
        let was_removed = self.current.take_if(is_gone).is_some();
        if matches!(mark, Mark::Begin { .. }) {
            self.is_line_lost = [false; 2];
        }
        if let Err(error) = self.check_file() {
            self.fail(&error);
            self.owed.push(Note {
                time_ms: now_ms,
                run,
                mark,
            });
            return;
        }
        if was_removed {
            self.remade = Remade::Yes;
        }
        for within in &mut self.within_line {
            // An ended run's last line has no continuation; nor has any other's, once the next run begins.
            *within = within.filter(|owner| matches!(mark, Mark::Begin { .. }) == (*owner == run));
        }
        if self.index_is_full() && self.within_line == [None; 2] {
            // Where that fails, the index may grow on, and the next batch tries again.
            let _ = self.rotate();
        }
        self.written += RECORD_STEP;
        self.note_mark(now_ms, run, mark);
    }

    /// Whether what comes next of this stream is the rest of a line, whose head is in the log, or was lost.
    #[must_use]
    pub fn is_within_line(&self, stream: Stream) -> bool {
        self.within_line[stream.slot()].is_some() || self.is_line_lost[stream.slot()]
    }

    /// Whether the log was removed and made again.
    pub fn take_remade(&mut self) -> Remade {
        std::mem::take(&mut self.remade)
    }

    /// Opens the current files, and finds out which streams are within a line there.
    fn reopen(&mut self) -> io::Result<()> {
        let pair = rotation::open(&self.paths, self.limits.max_files)?;
        let ends = if pair.length == 0 || byte_at(&pair.log, pair.length - 1) == Some(b'\n') {
            Ends::WithLine
        } else {
            Ends::WithinLine
        };
        self.current = Some(Current {
            pair,
            bound: self.limits.max_size,
            index_bound: index_bound(self.limits),
            ends,
        });
        self.attribute();
        Ok(())
    }

    /// Finds out whose the last lines are.
    pub(super) fn attribute(&mut self) {
        let Some(Current { pair, .. }) = &mut self.current else {
            return;
        };
        if let Some(last) = self.owed.notes().last() {
            pair.index.give_uncovered_to(last.run);
        }
        for (within, stream) in self.within_line.iter_mut().zip([Stream::Out, Stream::Err]) {
            let last = pair.index.last_of(stream);
            let is_within = |last: &Record| byte_at(&pair.log, last.end() - 1) != Some(b'\n');
            *within = last.filter(is_within).map(|last| last.run);
        }
    }

    /// Sees what somebody else did to the log: removed, it is made again; emptied, it goes on from there.
    pub(super) fn check_file(&mut self) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return self.reopen();
        };
        let metadata = current.pair.log.metadata()?;
        if metadata.nlink() == 0 {
            self.current = None;
            self.reopen()?;
            self.remade = Remade::Yes;
            return Ok(());
        }
        let length = metadata.len();
        if length < current.pair.length {
            return self.reopen();
        }
        // Bytes that are not ours stay without a record.
        current.pair.length = length;
        Ok(())
    }

    /// How much of `rest` goes into the current file, or that the next one is due.
    fn step(&self, stream: Stream, run: u64, rest: &[u8]) -> Step {
        let Some(current) = &self.current else {
            return Step::Write(rest.len());
        };
        let (length, bound) = (current.pair.length, current.bound);
        let is_index_full = self.index_is_full();
        let fits = length.saturating_add(rest.len() as u64) <= bound;
        if fits && !is_index_full {
            return Step::Write(rest.len());
        }
        if length > bound.saturating_add(LINE_DIVIDED_BYTES) {
            return Step::Rotate;
        }
        let other = self.within_line[1 - stream.slot()];
        if other == Some(run) {
            return Step::Write(rest.len());
        }
        let room = usize::try_from(bound.saturating_sub(length)).unwrap_or(usize::MAX);
        let room = if is_index_full {
            0
        } else {
            room.min(rest.len())
        };
        if let Some(at) = rest[..room].iter().rposition(|byte| *byte == b'\n') {
            return Step::Write(at + 1);
        }
        let has_something = length > 0 || is_index_full;
        if has_something && self.within_line[stream.slot()] != Some(run) {
            return Step::Rotate;
        }
        let line_end = rest[room..].iter().position(|byte| *byte == b'\n');
        Step::Write(line_end.map_or(rest.len(), |at| room + at + 1))
    }

    /// Goes on in an empty file. Where that cannot be, the old one may grow by as much again before the next try.
    fn rotate(&mut self) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        match rotation::rotate(&self.paths, self.limits.max_files) {
            Ok(pair) => {
                self.rotations = self.rotations.saturating_add(1);
                current.pair = pair;
                current.bound = self.limits.max_size;
                current.index_bound = index_bound(self.limits);
                current.ends = Ends::WithLine;
                Ok(())
            }
            Err(error) => {
                current.bound = current.pair.length.saturating_add(self.limits.max_size);
                let more = index_bound(self.limits);
                current.index_bound = current.pair.index.length().saturating_add(more);
                Err(error)
            }
        }
    }

    /// Writes to the log and returns how much of it is there, with the error that kept the rest away. Bytes at the head
    /// of a pipe are moved.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        pipe: Option<BorrowedFd<'_>>,
    ) -> (usize, io::Result<()>) {
        let Some(current) = &mut self.current else {
            return (0, Err(io::ErrorKind::NotFound.into()));
        };
        if let Err(error) = current.make_room(&self.owed) {
            return (0, Err(error));
        }
        let mut written = 0;
        let result = loop {
            let rest = &bytes[written..];
            if rest.is_empty() {
                break Ok(());
            }
            let offset = current.pair.length + written as u64;
            let done = match pipe {
                Some(pipe) => move_or_copy(pipe, &current.pair.log, offset, rest),
                None => files::write_at(current.pair.log.as_fd(), rest, offset),
            };
            match done {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) => break Err(error),
            }
        };
        current.pair.length += written as u64;
        (written, result)
    }

    /// Notes `count` bytes of the service that were just written, in the index and for the next rotation.
    pub(super) fn note_bytes(
        &mut self,
        now_ms: u64,
        (stream, run): (Stream, u64),
        count: usize,
        last: Option<u8>,
    ) {
        let Some(current) = self.current.as_mut().filter(|_| count > 0) else {
            return;
        };
        self.written += count as u64 + RECORD_STEP;
        let length = u32::try_from(count).unwrap_or(u32::MAX);
        let offset = current.pair.length - count as u64;
        let what = What::Bytes { stream, length };
        let record = Record {
            time_ms: now_ms,
            offset,
            run,
            what,
        };
        let bound = current.index_most();
        current.pair.index.note(record, bound);
        let is_ended = last == Some(b'\n');
        current.ends = if is_ended {
            Ends::WithLine
        } else {
            Ends::WithinLine
        };
        self.within_line[stream.slot()] = (!is_ended).then_some(run);
    }

    fn index_is_full(&self) -> bool {
        let is_full = |now: &Current| now.pair.index.length() >= now.index_bound;
        self.current.as_ref().is_some_and(is_full)
    }
}

/// Where the file system cannot take bytes from a pipe, a kill may find them in both.
fn move_or_copy(pipe: BorrowedFd<'_>, log: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    match files::move_to_file(pipe, log.as_fd(), offset, bytes.len()) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            let written = files::write_at(log.as_fd(), bytes, offset)?;
            files::discard(pipe, written)?;
            Ok(written)
        }
        moved => moved,
    }
}

fn index_bound(limits: Limits) -> u64 {
    (limits.max_size / 2).max(INDEX_BOUND_MIN)
}

fn byte_at(file: &File, offset: u64) -> Option<u8> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).ok().map(|()| byte[0])
}
