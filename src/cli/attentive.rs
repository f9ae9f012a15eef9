//! Output whose reader may be slow, while a signal must be heard all the same: a full pipe does not keep `up` from its
//! end.
//!
//! Owns the wait for room or for a signal. What a signal means is `first`'s to say, and what is done the caller's.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd as _, BorrowedFd};

use super::first::{Meaning, Role};
use crate::sys::poll::{Came, wait_writable_or_readable};
use crate::sys::signals::{Received, Watched};

/// What is written at once, in bytes: a pipe that is writable has room for as much, `PIPE_BUF` of pipe(7).
const PIECE_BYTES: usize = 4096;

/// Waits for room; a signal that asks for the end makes this and every later write fail.
pub(super) struct Attentive<'a> {
    out: File,
    signals: &'a Watched,
    role: Role,
    /// The signals that mean something else.
    noted: &'a mut VecDeque<Received>,
    has_ended: bool,
}

impl<'a> Attentive<'a> {
    /// # Errors
    /// `EMFILE`.
    pub(super) fn new(
        out: BorrowedFd<'_>,
        signals: &'a Watched,
        role: Role,
        noted: &'a mut VecDeque<Received>,
    ) -> io::Result<Self> {
        Ok(Self {
            out: File::from(out.try_clone_to_owned()?),
            signals,
            role,
            noted,
            has_ended: false,
        })
    }
}

impl Write for Attentive<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while !self.has_ended {
            match wait_writable_or_readable(self.out.as_fd(), self.signals.as_fd())? {
                Came::Room => {
                    let piece = bytes.get(..PIECE_BYTES).unwrap_or(bytes);
                    return self.out.write(piece);
                }
                Came::Data => {
                    while let Some(received) = self.signals.read()? {
                        match self.role.meaning(received) {
                            Meaning::Stop => self.has_ended = true,
                            Meaning::HandOn(_) | Meaning::Reap => self.noted.push_back(received),
                        }
                    }
                }
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a write failed because nobody reads any more, or nobody wants to wait for who does.
pub(super) fn is_the_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::TimedOut
    )
}
