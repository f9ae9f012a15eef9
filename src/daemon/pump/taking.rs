//! From the pipe to the log: a turn's worth, or all that is there.
//!
//! Owns how much is taken, and that what the log does not take leaves the pipe all the same. Bytes that nobody has to
//! look at are moved unseen; the way of the others is `overflow`'s.

use std::io;
use std::os::fd::AsFd;

use crate::engine::UnitId;
use crate::log::Stream;
use crate::sys::clock;
use crate::sys::process::error_text;
use crate::unit::LogPolicy;

use super::super::intake::Intake;
use super::UnitLog;
use super::overflow::Course;
use super::spot::Found;

/// Bytes that are taken from one pipe before others have their turn.
const TURN_BYTES: usize = 512 * 1024;
/// Bytes that are taken at most when a run has ended, before its end is marked: all that a pipe can hold, and more.
const DRAIN_BYTES: usize = 2 * 1024 * 1024;

/// How far a pipe was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Pumped {
    /// It is empty; somebody can still write to it.
    Empty,
    /// It is empty, and nobody has it open for writing.
    End,
    /// There may be more: come again.
    More,
}

impl UnitLog {
    /// Takes a turn's worth from one pipe.
    pub(in crate::daemon) fn pump(
        &mut self,
        pipe: (UnitId, Stream),
        intake: &mut Intake,
    ) -> Pumped {
        let granted = intake.grant(pipe, TURN_BYTES);
        let (taken, pumped) = self.take(pipe.1, intake, granted);
        intake.took(taken);
        if pumped == Pumped::More && self.policy == LogPolicy::Drop {
            self.shed(pipe.1, intake);
        }
        intake.remind(self.due_ms());
        pumped
    }

    /// Takes what is there from all pipes. [`Pumped::End`]: nobody can write any more.
    pub(in crate::daemon) fn drain(&mut self, intake: &mut Intake) -> Pumped {
        let mut all = Pumped::End;
        for stream in [Stream::Out, Stream::Err] {
            match (self.take(stream, intake, DRAIN_BYTES).1, all) {
                (Pumped::End, _) | (_, Pumped::More) => {}
                (other, _) => all = other,
            }
        }
        intake.remind(self.due_ms());
        all
    }

    /// Takes at most `budget` bytes of a stream, or one batch more. Returns how many.
    fn take(&mut self, stream: Stream, intake: &mut Intake, budget: usize) -> (usize, Pumped) {
        let (mut taken, mut all) = (0, Pumped::End);
        if budget > 0 {
            self.tell_gap();
        }
        for at in 0..self.pipes.len() {
            if self.pipes.get(at).is_none_or(|pipe| pipe.stream != stream) {
                continue;
            }
            let (count, pumped) = self.take_from(at, intake, budget - budget.min(taken));
            taken += count;
            match pumped {
                Pumped::More => {
                    // One that never ceases must not keep those out that have its stream, too: they come first then.
                    if let Some(rest) = self.pipes.get_mut(at..).filter(|_| count > 0) {
                        rest.rotate_left(1);
                    }
                    return (taken, pumped);
                }
                Pumped::Empty => all = pumped,
                Pumped::End => {}
            }
        }
        (taken, all)
    }

    /// The same of one pipe.
    fn take_from(&mut self, at: usize, intake: &mut Intake, budget: usize) -> (usize, Pumped) {
        let mut taken = 0;
        while taken < budget {
            match self.take_batch(at, intake, budget - taken) {
                Ok(0) => return (taken, Pumped::End),
                Ok(count) => {
                    taken += count;
                    if let Some(pipe) = self.pipes.get_mut(at) {
                        let size = intake.enlarge(pipe.reader.as_fd(), pipe.size, count);
                        pipe.granted += size - pipe.size;
                        pipe.size = size;
                    }
                }
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        let reason = error_text(&error);
                        ::log::warn!("{}: reading its output: {reason}", self.name);
                    }
                    return (taken, Pumped::Empty);
                }
            }
        }
        (taken, Pumped::More)
    }

    /// From the pipe to the log; what the log does not take is taken from the pipe all the same.
    fn take_batch(&mut self, at: usize, intake: &mut Intake, most: usize) -> io::Result<usize> {
        let Some(pipe) = self.pipes.get(at) else {
            return Ok(0);
        };
        let is_open = self.gate.as_ref().is_none_or(|gate| gate.is_open());
        let reader = pipe.reader.as_fd();
        let of = (pipe.stream, self.run.0);
        let unseen = is_open && self.found() != Some(Found::NotYet);
        let writer = self.writer.as_mut().filter(|_| unseen);
        let moved = writer.and_then(|writer| {
            let now_ms = clock::wall_ms();
            writer.move_from(reader, now_ms, of, most)
        });
        if let Some(moved) = moved {
            self.say_remade();
            return moved;
        }
        let count = intake.look(reader)?;
        let bytes = intake.buffer.get(..count).unwrap_or_default();
        if let Some(spot) = &mut self.spot {
            spot.see(bytes);
        }
        self.sort(at, bytes, Course::Usual)?;
        Ok(count)
    }
}
