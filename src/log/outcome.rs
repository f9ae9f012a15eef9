//! What became of bytes that were to be written to a log, and why not.
//!
//! Values only; whoever writes makes them, and tells nobody.

use crate::sys::process::errno_text;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// All of it is in the file.
    Written,
    /// Writing works again; so many bytes are lost, of this batch at most the rest of a line that was lost before.
    Resumed { lost_bytes: u64 },
    /// Writing has begun to fail; so many bytes of this batch are lost.
    Failed { lost_bytes: u64 },
    /// Writing still fails; so many bytes of this batch are lost.
    StillFailing { lost_bytes: u64 },
}

/// What of a service's output is not in its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Bytes that could not be written.
    pub bytes: u64,
    /// Lines that came faster than the log took them, `LogPolicy=drop`.
    pub dropped_lines: u64,
    /// Lines over `LogRateLimitBurst=`.
    pub limited_lines: u64,
}

impl Missing {
    /// Both together.
    #[must_use]
    pub fn and(self, more: Missing) -> Missing {
        Missing {
            bytes: self.bytes.saturating_add(more.bytes),
            dropped_lines: self.dropped_lines.saturating_add(more.dropped_lines),
            limited_lines: self.limited_lines.saturating_add(more.limited_lines),
        }
    }
}

/// Why nothing can be written at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Bytes lost since it began.
    pub lost_bytes: u64,
    /// The system's error number, where it gave one.
    pub errno: Option<i32>,
}

impl Failure {
    /// The system's words for it, such as `No space left on device`.
    #[must_use]
    pub fn reason(&self) -> String {
        let Some(errno) = self.errno else {
            return "nothing was written".to_owned();
        };
        errno_text(errno)
    }
}
