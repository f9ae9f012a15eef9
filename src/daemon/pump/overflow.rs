//! What of a service's output does not get into its log: left out by the user's wish, or not to be written.
//!
//! Owns the way of bytes that are looked at, and what is told of those that are missing. Which lines are left out is
//! `log::gate`'s, what cannot be written is `log::losing`'s.

use std::io;
use std::os::fd::AsFd;

use crate::log::{Appended, Failure, Gate, Missing, Owed, Pass, Rate, Remade, Stream, Writer};
use crate::sys::{clock, files};
use crate::unit::{LogLimits, LogPolicy, LogRate};

use super::super::intake::Intake;
use super::{Pipe, UnitLog};

/// While a log cannot be written, that is tried again so often.
const RETRY_MS: u64 = 1_000;

/// Whether more is missing in a log than was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) enum News {
    #[default]
    None,
    Some,
}

/// How what has come is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    Usual,
    Shed,
}

impl UnitLog {
    /// Notes in the log what is missing in it, if that is due. Returns when it is, if later.
    pub(in crate::daemon) fn on_time(&mut self, now_ms: u64) -> Option<u64> {
        if self.retry_ms.is_some_and(|retry_ms| retry_ms <= now_ms) {
            self.retry_ms = None;
            self.retry();
        }
        let told_ms = self.gate.as_ref().and_then(|gate| gate.due_ms());
        if told_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            self.tell_missing();
        }
        self.due_ms()
    }

    /// When it is to be told what is missing, or to be tried whether the log can be written again.
    pub(in crate::daemon) fn due_ms(&mut self) -> Option<u64> {
        let is_failing = self.failure().is_some();
        self.retry_ms = match self.retry_ms {
            Some(retry_ms) if is_failing => Some(retry_ms),
            None if is_failing => Some(clock::monotonic_ms().saturating_add(RETRY_MS)),
            _ => None,
        };
        let told_ms = self.gate.as_ref().and_then(|gate| gate.due_ms());
        self.retry_ms.into_iter().chain(told_ms).min()
    }

    pub(super) fn retry(&mut self) {
        let retried = self.writer.as_mut();
        let retried = retried.and_then(|writer| writer.retry(clock::wall_ms()));
        self.say_remade();
        if let Some(lost_bytes) = retried.filter(|lost_bytes| *lost_bytes > 0) {
            self.tell(Appended::Resumed { lost_bytes });
        }
        // What was lost since, too little at a time to be written down with each batch.
        let lost_bytes = self.missing().bytes;
        if self.failure().is_some() && lost_bytes != self.saved_bytes {
            self.saved_bytes = lost_bytes;
            self.news = News::Some;
        }
    }

    pub(super) fn tell_missing(&mut self) {
        let (Some(gate), Some(writer)) = (&mut self.gate, &mut self.writer) else {
            return;
        };
        if gate.due_ms().is_some() {
            self.news = News::Some;
        }
        for loss in gate.tell() {
            writer.note_loss(clock::wall_ms(), self.run.0, loss);
        }
    }

    /// Bytes are about to be taken: tells of the lines that were dropped just before them.
    pub(super) fn tell_gap(&mut self) {
        let gate = self.gate.as_mut();
        let gap = gate.and_then(|gate| gate.tell_gap(clock::monotonic_ms()));
        if let (Some(loss), Some(writer)) = (gap, &mut self.writer) {
            writer.note_loss(clock::wall_ms(), self.run.0, loss);
        }
    }

    /// What lies at the head of a pipe goes to the log, or is left out.
    pub(super) fn sort(&mut self, at: usize, bytes: &[u8], course: Course) -> io::Result<()> {
        let Some(stream) = self.pipes.get(at).map(|pipe| pipe.stream) else {
            return Ok(());
        };
        let now_ms = clock::monotonic_ms();
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = self.writer.as_ref();
            let within = within.is_some_and(|writer| writer.is_within_line(stream));
            let pass = match (&mut self.gate, course) {
                (None, _) => Pass::Keep(rest.len()),
                (Some(gate), Course::Usual) => gate.pass(now_ms, stream, within, rest),
                (Some(gate), Course::Shed) => gate.shed(now_ms, stream, within, rest),
            };
            let (Pass::Keep(count) | Pass::LeaveOut(count)) = pass;
            let (piece, after) = rest.split_at(count);
            if matches!(pass, Pass::Keep(_)) && !within {
                // What is missing was missing before this line.
                self.on_time(now_ms);
            }
            match (pass, self.pipes.get(at)) {
                (Pass::Keep(_), _) => self.keep(at, piece)?,
                (Pass::LeaveOut(_), Some(pipe)) => files::discard(pipe.reader.as_fd(), count)?,
                (Pass::LeaveOut(_), None) => {}
            }
            rest = after;
        }
        Ok(())
    }

    /// The log is behind, and the service is about to wait for it: what has come is left out, by whole lines; as much
    /// as a turn allows.
    pub(super) fn shed(&mut self, stream: Stream, intake: &mut Intake) {
        let is_full = |pipe: &Pipe| files::pipe_holds(pipe.reader.as_fd()) >= pipe.size / 2;
        let is_due = |pipe: &Pipe| pipe.stream == stream && is_full(pipe);
        while intake.shed_left() > 0
            && let Some(at) = self.pipes.iter().position(is_due)
            && let Some(pipe) = self.pipes.get(at)
            && let Ok(count @ 1..) = intake.look(pipe.reader.as_fd())
        {
            intake.shed(count);
            let bytes = intake.buffer.get(..count).unwrap_or_default();
            if let Some(spot) = &mut self.spot {
                spot.see(bytes);
            }
            if self.sort(at, bytes, Course::Shed).is_err() {
                return;
            }
        }
    }

    /// Moves what lies at the head of a pipe to the log; what that does not take is taken from the pipe all the same.
    fn keep(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        // Why it cannot be opened has been said; that is tried again with each batch.
        let _ = self.open_writer();
        let Some(pipe) = self.pipes.get(at) else {
            return Ok(());
        };
        let reader = pipe.reader.as_fd();
        let Some(writer) = &mut self.writer else {
            files::discard(reader, bytes.len())?;
            let lost_bytes = bytes.len() as u64;
            self.missing.bytes = self.missing.bytes.saturating_add(lost_bytes);
            self.tell(Appended::StillFailing { lost_bytes });
            return Ok(());
        };
        let of = (pipe.stream, self.run.0);
        let appended = writer.append_from(reader, clock::wall_ms(), of, bytes);
        match appended {
            Appended::Written | Appended::Resumed { .. } => {}
            Appended::Failed { lost_bytes } | Appended::StillFailing { lost_bytes } => {
                files::discard(reader, usize::try_from(lost_bytes).unwrap_or(bytes.len()))?;
            }
        }
        self.tell(appended);
        self.say_remade();
        Ok(())
    }

    pub(super) fn say_remade(&mut self) {
        let remade = self.writer.as_mut().map(Writer::take_remade);
        if remade == Some(Remade::Yes) {
            ::log::warn!(
                "{}: its log was removed or moved away: it is made anew",
                self.name
            );
        }
    }

    fn tell(&mut self, appended: Appended) {
        let lost_bytes = self.missing().bytes;
        match appended {
            Appended::Written => {}
            // A save with each batch would keep the service waiting.
            Appended::StillFailing { .. } if lost_bytes / 2 < self.saved_bytes => {}
            _ => {
                self.saved_bytes = lost_bytes;
                self.news = News::Some;
            }
        }
        match appended {
            Appended::Written | Appended::StillFailing { .. } => {}
            Appended::Failed { .. } => {
                let failure = self.writer.as_ref().and_then(Writer::failure);
                let reason = failure.map(|failure| failure.reason()).unwrap_or_default();
                ::log::warn!("{}: its log cannot be written: {reason}", self.name);
            }
            Appended::Resumed { lost_bytes } => {
                let name = &self.name;
                ::log::warn!("{name}: its log is written again, {lost_bytes} bytes lost");
            }
        }
    }

    /// What of the output is not in the log, since it was opened.
    pub(in crate::daemon) fn missing(&self) -> Missing {
        let unwritten = Missing {
            bytes: self.writer.as_ref().map_or(0, Writer::lost_bytes),
            ..Missing::default()
        };
        let left_out = self.gate.as_ref().map(|gate| gate.missing());
        let both = unwritten.and(left_out.unwrap_or_default());
        self.missing.and(both)
    }

    /// Why nothing can be written at present, if so.
    pub(in crate::daemon) fn failure(&self) -> Option<Failure> {
        self.writer.as_ref()?.failure()
    }

    /// Whether more is missing than when this was asked last.
    pub(in crate::daemon) fn take_news(&mut self) -> News {
        let changes = self.owed().map_or(0, Owed::changes);
        if std::mem::replace(&mut self.saved_changes, changes) != changes {
            self.news = News::Some;
        }
        std::mem::take(&mut self.news)
    }
}

pub(super) fn rate(limits: LogLimits) -> Option<Rate> {
    let LogRate { interval_ms, burst } = limits.rate?;
    Some(Rate {
        interval_ms: u64::from(interval_ms),
        burst,
    })
}

/// Nothing where all lines are to be kept.
pub(super) fn gate(limits: LogLimits) -> Option<Box<Gate>> {
    let is_of_use = limits.rate.is_some() || limits.policy == LogPolicy::Drop;
    is_of_use.then(|| Box::new(Gate::new(rate(limits))))
}
