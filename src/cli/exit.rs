//! How the program ends: its exit codes, and a failure as its user reads it.
//!
//! Scripts rely on the numbers: they are part of the command line's contract and never change their meaning.

use crate::wire::{ErrorKind, WireError};

/// The exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Done,
    /// The service failed, or a file is wrong.
    Failed,
    /// Bad usage.
    Usage,
    /// Not running: `status`, `is-active`, `pid`.
    NotRunning,
    NoSuchUnit,
    /// No daemon, or it did not answer.
    NoDaemon,
    NotAllowed,
    /// Something took longer than it may.
    OutOfTime,
    /// Ctrl-C while it waited: 128 + SIGINT, as a shell has it. The work goes on in the daemon.
    Detached,
    /// `up --exit-with`: another program's code.
    Code(u8),
}

impl Exit {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotRunning => 3,
            Self::NoSuchUnit => 4,
            Self::NoDaemon => 5,
            Self::NotAllowed => 6,
            Self::OutOfTime => 7,
            Self::Detached => 130,
            Self::Code(code) => code,
        }
    }

    /// What the number means, for the help.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "the service failed",
            Self::Usage => "bad usage",
            Self::NotRunning => "not running",
            Self::NoSuchUnit => "no such unit",
            Self::NoDaemon => "no daemon, or it did not answer",
            Self::NotAllowed => "not allowed",
            Self::OutOfTime => "out of time",
            Self::Detached => "Ctrl-C while waiting; the work goes on",
            Self::Code(_) => "the exit code of another program",
        }
    }
}

/// Why a command could not do its work. The message has no `error: ` in front; it may have several lines.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) source: Source,
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// This program.
    Ourselves,
    /// The daemon refused what it was asked for, and has done nothing of it.
    Daemon,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            source: Source::Ourselves,
        }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Ends the program with this code and says nothing (more).
    pub(super) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        let exit = match error.kind {
            ErrorKind::Failed => Exit::Failed,
            ErrorKind::Usage => Exit::Usage,
            ErrorKind::NoSuchUnit => Exit::NoSuchUnit,
            ErrorKind::Unavailable => Exit::NoDaemon,
            ErrorKind::NotAllowed => Exit::NotAllowed,
        };
        Self {
            exit,
            message: error.message,
            hint: error.hint,
            source: Source::Daemon,
        }
    }
}
