//! How `logs` shows what services have printed: in which form, and what beside it.
//!
//! Owns the choices and what a carriage return does to a line. Does not own the options that lead to them.

use super::shown::Colors;
use crate::log::LineEnd;

/// How logs are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) form: Form,
    pub(super) times: Times,
    pub(super) extras: Extras,
    pub(super) returns: Returns,
}

impl Look {
    /// What is left of a line, or of a piece of one, in which something was overwritten; nothing where all of it is to
    /// be shown.
    pub(super) fn after_returns(self, bytes: &[u8], end: LineEnd) -> Option<&[u8]> {
        let (Form::Text(_), Returns::Obeyed) = (self.form, self.returns) else {
            return None;
        };
        // At the end of a line it overwrites nothing, before the next piece it may.
        let is_return = |byte: &u8| *byte == b'\r';
        let length = match end {
            LineEnd::Cut => bytes.len(),
            LineEnd::Newline | LineEnd::Unfinished => {
                bytes.iter().rposition(|byte| !is_return(byte))? + 1
            }
        };
        let line = bytes.get(..length)?;
        let at = line.iter().rposition(is_return)?;
        line.get(at + 1..)
    }
}

/// What a line becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Its bytes as they are.
    Raw,
    /// Text that commands no terminal, without the level at its head.
    Text(Colors),
    /// An object.
    Json,
}

/// Whether the time stands before a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    Shown,
    Hidden,
}

/// Which of our own lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extras {
    /// Where a run begins and ends, and what was lost.
    All,
    /// What was lost.
    Losses,
    Nothing,
}

/// What becomes of carriage returns within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returns {
    /// What they overwrite, as the earlier states of a progress bar, is left out.
    Obeyed,
    /// They are escaped, as other control characters are.
    Shown,
}

impl Returns {
    pub(super) fn on(is_terminal: bool) -> Self {
        match is_terminal {
            true => Self::Obeyed,
            false => Self::Shown,
        }
    }
}
