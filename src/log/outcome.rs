//! What became of bytes that were to be written to a log, and why not.
//!
//! Values only; whoever writes makes them, and tells nobody.

use crate::sys::process::errno_text;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// All of it is in the file.
    Written,
    /// All of it is in the file, after a line that says how many bytes before it were lost.
    Resumed { lost_bytes: u64 },
    /// Writing has begun to fail; so many bytes of this batch are lost.
    Failed { lost_bytes: u64 },
    /// Writing still fails; so many bytes of this batch are lost.
    StillFailing { lost_bytes: u64 },
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
