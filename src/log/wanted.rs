//! What a reader is asked for: which lines, from where on and how far.

use std::fmt;

use super::entry::{Entry, Origin, Source};
use super::index::Stream;

/// What is wanted. Our own lines about lost bytes are given whatever the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub stream: Option<Stream>,
    pub run: Option<u64>,
    /// Only what came at this time or later, unix milliseconds.
    pub since_ms: Option<u64>,
    /// Only what came at this time or earlier, unix milliseconds.
    pub until_ms: Option<u64>,
}

impl Filter {
    pub(super) fn lets_through(self, origin: Origin) -> bool {
        let is_stream = match (self.stream, origin.source) {
            (Some(wanted), Source::Service(stream)) => wanted == stream,
            (None, _) | (_, Source::Notice) => true,
        };
        is_stream && self.is_run(origin.run)
    }

    pub(super) fn is_run(self, run: u64) -> bool {
        self.run.is_none_or(|wanted| wanted == run)
    }
}

/// What else a line must be, which only its text tells.
pub trait Sieve: fmt::Debug {
    /// Asked for lines, or pieces of lines, only, in their order.
    fn lets_through(&mut self, entry: &Entry) -> bool;

    /// How many bytes at the beginning are whole lines that it would hold back for certain; so much need not be made
    /// into lines. The first byte is the first of a line.
    fn skim(&self, stream: Stream, bytes: &[u8]) -> usize;
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest byte that there is.
    Oldest,
    /// So many lines before the end; 0 is the end, or the beginning of a line that is not finished yet.
    Last(u64),
    /// As `Last`, but at most so many bytes before the end: of a log whose lines are very long, or that has none, the
    /// first line is only the end of one.
    Near { lines: u64, bytes: u64 },
}

/// How reading ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// At what was there when the reader was opened; a line that is not finished is given as it is.
    Once,
    /// Never: after the last entry more may come, and only whole lines are given.
    Follow,
}

/// Where reading begins and how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    pub start: Start,
    pub mode: Mode,
}
