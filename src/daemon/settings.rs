//! The daemon's own settings: where their file lies, and its reading.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::log::{Limits, PlainLog};
use crate::sys::files;
use crate::sys::process::error_text;
use crate::unit::{Report, Settings, parse_settings};

use super::home::Home;

/// A longer file is no settings, in bytes.
const FILE_MAX: usize = 64 << 10;

/// Why there are no settings, although there is a file.
#[derive(Debug)]
pub enum SettingsError {
    Read { path: PathBuf, cause: io::Error },
    Wrong(Report),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, cause } => {
                write!(f, "cannot read {}: {}", path.display(), error_text(cause))
            }
            Self::Wrong(report) => report.fmt(f),
        }
    }
}

impl std::error::Error for SettingsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { cause, .. } => Some(cause),
            Self::Wrong(_) => None,
        }
    }
}

/// Reads the settings of the daemon of this home; without a file there are the default ones.
///
/// # Errors
/// The file cannot be read, or something in it is wrong.
pub fn settings(home: &Home) -> Result<Settings, SettingsError> {
    let path = home.settings();
    let text = match files::read_regular(&path, FILE_MAX).and_then(|content| {
        String::from_utf8(content.bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
    }) {
        Ok(text) => text,
        // A home that is no folder is refused by whoever opens it, in better words.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Settings::default());
        }
        Err(cause) => return Err(SettingsError::Read { path, cause }),
    };
    parse_settings(&text, &path).map_err(SettingsError::Wrong)
}

/// The log that the daemon of this home and its guardian keep themselves.
#[must_use]
pub fn own_log(home: &Home, settings: &Settings) -> PlainLog {
    let limits = Limits {
        max_size: settings.own_log_max_size,
        max_files: settings.own_log_max_files,
    };
    PlainLog::new(home.own_log(), limits)
}
