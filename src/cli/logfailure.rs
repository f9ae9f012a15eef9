//! Why logs cannot be shown, in words.

use std::fmt;
use std::io;

use super::exit::{Exit, Failure};
use crate::sys::process::error_text;

/// Why logs cannot be shown.
#[derive(Debug)]
pub(super) enum LogsError {
    Read {
        name: String,
        cause: io::Error,
    },
    Wait(io::Error),
    /// A broken pipe is among these.
    Write(io::Error),
}

impl fmt::Display for LogsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { name, cause } => {
                let reason = error_text(cause);
                write!(f, "the log of {name} cannot be read: {reason}")
            }
            Self::Wait(cause) => write!(f, "the logs cannot be watched: {}", error_text(cause)),
            Self::Write(cause) => write!(f, "the logs cannot be printed: {}", error_text(cause)),
        }
    }
}

/// Somebody who closes the other end early has seen enough: that is success.
pub(super) fn failure(error: LogsError) -> Failure {
    match &error {
        LogsError::Write(cause) if cause.kind() == io::ErrorKind::BrokenPipe => {
            Failure::silent(Exit::Done)
        }
        _ => Failure::new(Exit::Failed, error.to_string()),
    }
}
