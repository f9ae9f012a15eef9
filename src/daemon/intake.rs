//! What all services' outputs share: the room in which bytes are looked at, a turn's worth of bytes, and the user's
//! allowance for large pipes.
//!
//! Owns who may take how much, and that nobody is passed over twice in a row. Does not own the pipes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::engine::UnitId;
use crate::log::Stream;
use crate::sys::files;

/// Bytes of one batch that is looked at: what a pipe of the usual size holds.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;
/// Bytes that are taken from all pipes before the loop looks at everything else again: less than a millisecond's work.
const TURN_BYTES: usize = 1024 * 1024;
/// The same for what is left out since a log is behind.
const SHED_BYTES: usize = 1024 * 1024;
/// What a pipe that was found full is enlarged to, step by step.
const PIPE_STEPS: [usize; 2] = [256 * 1024, 1024 * 1024];
/// Of what the user's pipes may have together, a share as large as this is spent on large ones: beyond the bound new
/// pipes are made smaller than usual, and others of this user make pipes, too.
const SHARE_DIVISOR: usize = 4;

/// One for all services.
#[derive(Debug)]
pub(super) struct Intake {
    /// Where a batch is looked at before it is moved, when the log asks for that.
    pub(super) buffer: Box<[u8]>,
    /// A pipe that is empty between batches.
    reader: OwnedFd,
    writer: OwnedFd,
    /// Bytes that may still be taken in this turn.
    left: usize,
    /// The same for what is left out since its log is behind.
    shed_left: usize,
    /// Who was due when nothing was left: the next turn begins there.
    passed_over: Option<(UnitId, Stream)>,
    /// Bytes by which pipes may still be enlarged; nothing until the first one is.
    allowance: Option<usize>,
    /// When some log has to tell what is missing in it, monotonic milliseconds.
    due_ms: Option<u64>,
}

impl Intake {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = files::pipe()?;
        Ok(Self {
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            reader,
            writer,
            left: TURN_BYTES,
            shed_left: SHED_BYTES,
            passed_over: None,
            allowance: None,
            due_ms: None,
        })
    }

    /// A new turn begins, with the pipe that the answer names, if one was passed over.
    pub(super) fn begin_turn(&mut self) -> Option<(UnitId, Stream)> {
        (self.left, self.shed_left) = (TURN_BYTES, SHED_BYTES);
        self.passed_over.take()
    }

    /// How many of the `wanted` bytes this pipe may give now; none when the turn's worth is taken.
    pub(super) fn grant(&mut self, pipe: (UnitId, Stream), wanted: usize) -> usize {
        if self.left == 0 {
            self.pass_over(pipe);
        }
        self.left.min(wanted)
    }

    /// This pipe gives nothing in this turn; the next one begins with the first of which that is said.
    pub(super) fn pass_over(&mut self, pipe: (UnitId, Stream)) {
        self.passed_over.get_or_insert(pipe);
    }

    pub(super) fn took(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Bytes that may still be left out in this turn since a log is behind.
    pub(super) fn shed_left(&self) -> usize {
        self.shed_left
    }

    pub(super) fn shed(&mut self, bytes: usize) {
        self.shed_left = self.shed_left.saturating_sub(bytes);
    }

    /// A log has to tell at that time what is missing in it.
    pub(super) fn remind(&mut self, due_ms: Option<u64>) {
        self.due_ms = self.due_ms.into_iter().chain(due_ms).min();
    }

    pub(super) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// Whether it is time; then each log is asked, and reminds us again where it is not its turn yet.
    pub(super) fn take_due(&mut self, now_ms: u64) -> bool {
        self.due_ms.take_if(|due_ms| *due_ms <= now_ms).is_some()
    }

    /// Looks at what lies at the head of a pipe, without taking it: the bytes are in `buffer`.
    pub(super) fn look(&mut self, pipe: BorrowedFd<'_>) -> io::Result<usize> {
        let scratch = (self.reader.as_fd(), self.writer.as_fd());
        files::peek_pipe(pipe, scratch, &mut self.buffer)
    }

    /// Enlarges a pipe of `size` bytes that gave `count` at once, if it was about full and there is an allowance left.
    /// Returns what it holds now.
    pub(super) fn enlarge(&mut self, pipe: BorrowedFd<'_>, size: usize, count: usize) -> usize {
        let step = PIPE_STEPS.into_iter().find(|step| *step > size);
        let Some(step) = step.filter(|_| count >= size / 2) else {
            return size;
        };
        let allowance = self.allowance.get_or_insert_with(share);
        match allowance.checked_sub(step - size) {
            Some(left) if files::enlarge_pipe(pipe, step).is_ok() => {
                *allowance = left;
                step
            }
            _ => size,
        }
    }

    /// A pipe is closed that was enlarged by so many bytes.
    pub(super) fn give_back(&mut self, granted: usize) {
        if let Some(allowance) = &mut self.allowance {
            *allowance += granted;
        }
    }
}

fn share() -> usize {
    files::pipes_soft_bytes() / SHARE_DIVISOR
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_turn_ends_and_the_next_begins_with_who_was_passed_over() {
        let mut intake = Intake::new().unwrap();
        let pipe = |number| (UnitId(number), Stream::Out);
        assert_eq!(intake.begin_turn(), None);
        assert_eq!(intake.grant(pipe(1), TURN_BYTES + 1), TURN_BYTES);
        intake.took(TURN_BYTES - 5);
        assert_eq!(intake.grant(pipe(2), 100), 5);
        intake.took(5);
        assert_eq!(intake.grant(pipe(3), 100), 0);
        assert_eq!(intake.grant(pipe(4), 100), 0);
        assert_eq!(intake.begin_turn(), Some(pipe(3)));
        assert_eq!(intake.grant(pipe(3), 100), 100);
        intake.pass_over(pipe(5));
        intake.pass_over(pipe(1));
        assert_eq!(intake.begin_turn(), Some(pipe(5)));
        assert_eq!(intake.begin_turn(), None);
        intake.shed(SHED_BYTES + 1);
        assert_eq!(intake.shed_left(), 0);
        intake.begin_turn();
        assert_eq!(intake.shed_left(), SHED_BYTES);
    }

    /// Many loud services have no more together than the user's other pipes can spare.
    #[test]
    fn large_pipes_share_an_allowance() {
        let mut intake = Intake::new().unwrap();
        intake.allowance = Some(PIPE_STEPS[1]);
        let pipes: Vec<_> = (0..6).map(|_| files::pipe().unwrap()).collect();
        let mut sizes: Vec<usize> = Vec::new();
        for (reader, _) in &pipes {
            let size = intake.enlarge(reader.as_fd(), BUFFER_BYTES, BUFFER_BYTES);
            sizes.push(intake.enlarge(reader.as_fd(), size, size));
        }
        // One has all that it may, and what that leaves is enough for none.
        assert_eq!(
            sizes,
            [
                PIPE_STEPS[1],
                BUFFER_BYTES,
                BUFFER_BYTES,
                BUFFER_BYTES,
                BUFFER_BYTES,
                BUFFER_BYTES
            ]
        );
        intake.give_back(sizes[0] - BUFFER_BYTES);
        let reader = pipes[1].0.as_fd();
        assert_eq!(
            intake.enlarge(reader, BUFFER_BYTES, 100),
            BUFFER_BYTES,
            "it is not loud"
        );
        assert_eq!(
            intake.enlarge(reader, BUFFER_BYTES, BUFFER_BYTES),
            PIPE_STEPS[0]
        );
    }
}
