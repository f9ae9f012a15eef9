//! What a reader of a log gets: lines, notices and marks; and the making of lines from batches of bytes. Pure.
//!
//! Each stream of each run has its own unfinished line, so a line of standard error that came in the midst of a line
//! of standard output divides neither. A line's time is that of its first byte.

use std::collections::VecDeque;

use crate::sys::search;

use super::index::{Loss, Mark, Stream};
use super::level::{Level, split_level};
use super::wanted::Sieve;

/// A line longer than this many bytes is given in pieces of this length, so that memory stays bounded.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// At most so many unfinished lines are kept apart; one more ends the oldest.
const UNFINISHED_MAX: usize = 8;

/// One thing in a log, in the order it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Unix milliseconds.
    pub time_ms: u64,
    pub run: u64,
    pub content: Content,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A line, or a piece of one, without its newline.
    Line {
        stream: Stream,
        bytes: Vec<u8>,
        part: Part,
        end: LineEnd,
    },
    /// Our own line about bytes that were lost.
    Notice { bytes: Vec<u8> },
    /// A run began or ended.
    Mark(Mark),
}

/// Which part of a line a piece begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Head,
    /// It goes on with a line that is longer than [`LINE_BYTES_MAX`]; with the level that the head of that names.
    Rest(Option<Level>),
}

impl Part {
    /// The level of the line, if it names one, and the bytes without it.
    #[must_use]
    pub fn split_level(self, bytes: &[u8]) -> (Option<Level>, &[u8]) {
        match self {
            Self::Head => split_level(bytes),
            Self::Rest(level) => (level, bytes),
        }
    }
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    Newline,
    /// It is longer than [`LINE_BYTES_MAX`]; the rest is in a later entry of the same run and stream.
    Cut,
    /// There is no newline: the run ended so, bytes after it were lost, or the log ends here for now.
    Unfinished,
}

/// What the index says of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) time_ms: u64,
    pub(super) run: u64,
    pub(super) source: Source,
}

/// Who wrote bytes: the service, or we.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Service(Stream),
    Notice,
}

/// Makes entries from bytes and marks.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    unfinished: Vec<Line>,
    /// Whose lines were cut where bytes could not be written: the writer has ended them in the log.
    cut: Vec<Origin>,
    ready: VecDeque<Entry>,
}

#[derive(Debug)]
struct Line {
    origin: Origin,
    part: Part,
    bytes: Vec<u8>,
}

impl Assembler {
    /// The next entry, if one is complete.
    pub(super) fn next(&mut self) -> Option<Entry> {
        self.ready.pop_front()
    }

    /// Whether the next byte of this origin goes on with a line.
    fn is_within_line(&self, origin: Origin) -> bool {
        self.unfinished.iter().any(|line| line.is_of(origin))
    }

    pub(super) fn bytes(&mut self, origin: Origin, bytes: &[u8]) {
        if origin.source == Source::Notice {
            // What was within a line goes on after lost bytes, so its line ends here.
            self.finish(|line| line.origin.source != Source::Notice);
        }
        let is_cut = |cut: &Origin| (cut.run, cut.source) == (origin.run, origin.source);
        let mut rest = bytes;
        if let Some(at) = self.cut.iter().position(is_cut) {
            self.cut.swap_remove(at);
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(at) = search::first(b'\n', rest) {
            self.grow(origin, &rest[..at]);
            self.end_line(origin);
            rest = &rest[at + 1..];
        }
        if !rest.is_empty() {
            self.grow(origin, rest);
        }
    }

    /// Takes in the lines that a sieve may let through.
    pub(super) fn sifted(
        &mut self,
        sieve: &dyn Sieve,
        (origin, stream): (Origin, Stream),
        bytes: &[u8],
    ) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if !self.is_within_line(origin) {
                rest = rest.get(sieve.skim(stream, rest)..).unwrap_or_default();
            }
            let length = search::first(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(length);
            if !line.is_empty() {
                self.bytes(origin, line);
            }
            rest = after;
        }
    }

    pub(super) fn mark(&mut self, time_ms: u64, run: u64, mark: Mark) {
        match mark {
            Mark::Begin { .. } => {
                self.cut.clear();
                self.finish(|line| line.origin.run != run);
            }
            Mark::End(_) => self.finish(|line| line.origin.run == run),
            Mark::Lost(Loss::Unwritten { .. }) => {
                let is_of_run = |line: &Line| line.origin.run == run;
                let cut = self.unfinished.iter().filter(|line| is_of_run(line));
                self.cut.extend(cut.map(|line| line.origin));
                self.finish(is_of_run);
            }
            Mark::Lost(Loss::Dropped { .. } | Loss::Limited { .. }) => {}
            Mark::Cleared => self.finish_all(),
        }
        self.ready.push_back(Entry {
            time_ms,
            run,
            content: Content::Mark(mark),
        });
    }

    /// Puts a notice of our own among the entries that stands in no file.
    pub(super) fn notice(&mut self, time_ms: u64, run: u64, text: &str) {
        let bytes = text.as_bytes().to_vec();
        self.ready.push_back(Entry {
            time_ms,
            run,
            content: Content::Notice { bytes },
        });
    }

    /// Ends the unfinished lines that are `chosen`, oldest first.
    fn finish(&mut self, chosen: impl Fn(&Line) -> bool) {
        for line in std::mem::take(&mut self.unfinished) {
            if chosen(&line) {
                self.ready.extend(line.entry(LineEnd::Unfinished));
            } else {
                self.unfinished.push(line);
            }
        }
    }

    /// Ends every unfinished line: nothing more comes.
    pub(super) fn finish_all(&mut self) {
        self.finish(|_| true);
    }

    /// Adds bytes without a newline to the unfinished line of their origin, giving away whole pieces.
    fn grow(&mut self, origin: Origin, bytes: &[u8]) {
        let at = self.line_of(origin);
        let mut rest = bytes;
        while self.unfinished[at].bytes.len() + rest.len() > LINE_BYTES_MAX {
            let line = &mut self.unfinished[at];
            let (piece, after) = rest.split_at(LINE_BYTES_MAX - line.bytes.len());
            line.bytes.extend_from_slice(piece);
            let full = Line {
                origin: line.origin,
                part: line.part,
                bytes: std::mem::take(&mut line.bytes),
            };
            if full.part == Part::Head {
                line.part = Part::Rest(split_level(&full.bytes).0);
            }
            self.ready.extend(full.entry(LineEnd::Cut));
            rest = after;
        }
        self.unfinished[at].bytes.extend_from_slice(rest);
    }

    fn end_line(&mut self, origin: Origin) {
        let at = self.line_of(origin);
        let line = self.unfinished.remove(at);
        self.ready.extend(line.entry(LineEnd::Newline));
    }

    /// The place of the unfinished line that bytes of `origin` belong to, made when there is none.
    fn line_of(&mut self, origin: Origin) -> usize {
        let is_same = |line: &Line| line.is_of(origin);
        if let Some(at) = self.unfinished.iter().position(is_same) {
            return at;
        }
        if self.unfinished.len() >= UNFINISHED_MAX {
            let oldest = self.unfinished.remove(0);
            self.ready.extend(oldest.entry(LineEnd::Unfinished));
        }
        self.unfinished.push(Line {
            origin,
            part: Part::Head,
            bytes: Vec::new(),
        });
        self.unfinished.len() - 1
    }
}

impl Line {
    fn is_of(&self, origin: Origin) -> bool {
        (self.origin.run, self.origin.source) == (origin.run, origin.source)
    }

    /// The line as an entry. Nothing comes of an empty notice: the newline that sets it off from what was before.
    fn entry(self, end: LineEnd) -> Option<Entry> {
        let Line {
            origin:
                Origin {
                    time_ms,
                    run,
                    source,
                },
            part,
            bytes,
        } = self;
        let content = match source {
            Source::Service(stream) => Content::Line {
                stream,
                bytes,
                part,
                end,
            },
            Source::Notice if bytes.is_empty() => return None,
            Source::Notice => Content::Notice { bytes },
        };
        Some(Entry {
            time_ms,
            run,
            content,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(run: u64, stream: Stream) -> Origin {
        Origin {
            time_ms: 5,
            run,
            source: Source::Service(stream),
        }
    }

    fn texts(assembler: &mut Assembler) -> Vec<(u64, String, LineEnd)> {
        let mut all = Vec::new();
        while let Some(entry) = assembler.next() {
            if let Content::Line { bytes, end, .. } = entry.content {
                all.push((entry.run, String::from_utf8_lossy(&bytes).into_owned(), end));
            }
        }
        all
    }

    #[test]
    fn streams_and_runs_do_not_divide_each_others_lines() {
        let mut assembler = Assembler::default();
        assembler.bytes(origin(1, Stream::Out), b"on");
        assembler.bytes(origin(1, Stream::Err), b"oops\n");
        assembler.bytes(origin(1, Stream::Out), b"e\nrest");
        assembler.mark(6, 2, Mark::Begin { pid: 9 });
        assembler.bytes(origin(2, Stream::Out), b"new\n\n");
        let expected = [
            (1, "oops", LineEnd::Newline),
            (1, "one", LineEnd::Newline),
            (1, "rest", LineEnd::Unfinished),
            (2, "new", LineEnd::Newline),
            (2, "", LineEnd::Newline),
        ];
        let expected = expected.map(|(run, text, end)| (run, text.to_owned(), end));
        assert_eq!(texts(&mut assembler), expected);
    }

    #[test]
    fn a_long_line_comes_in_pieces() {
        let mut assembler = Assembler::default();
        let mut long = vec![b'x'; LINE_BYTES_MAX * 2 + 3];
        long[..3].copy_from_slice(b"<3>");
        for part in long.chunks(1000) {
            assembler.bytes(origin(1, Stream::Out), part);
        }
        assembler.bytes(origin(1, Stream::Out), b"\n");
        let parts = assembler.ready.iter().map(|entry| match entry.content {
            Content::Line { part, .. } => Some(part),
            Content::Notice { .. } | Content::Mark(_) => None,
        });
        let rest = Some(Part::Rest(Some(Level::Error)));
        assert_eq!(parts.collect::<Vec<_>>(), [Some(Part::Head), rest, rest]);
        let lengths: Vec<_> = texts(&mut assembler)
            .into_iter()
            .map(|(_, text, end)| (text.len(), end))
            .collect();
        let piece = (LINE_BYTES_MAX, LineEnd::Cut);
        assert_eq!(lengths, [piece, piece, (3, LineEnd::Newline)]);
    }

    #[test]
    fn a_notice_ends_what_went_before() {
        let mut assembler = Assembler::default();
        assembler.bytes(origin(1, Stream::Out), b"half");
        let notice = Origin {
            time_ms: 7,
            run: 1,
            source: Source::Notice,
        };
        assembler.bytes(notice, b"\n[lost]\n");
        let half = Content::Line {
            stream: Stream::Out,
            bytes: b"half".to_vec(),
            part: Part::Head,
            end: LineEnd::Unfinished,
        };
        let said = Content::Notice {
            bytes: b"[lost]".to_vec(),
        };
        assert_eq!(assembler.next().map(|entry| entry.content), Some(half));
        assert_eq!(assembler.next().map(|entry| entry.content), Some(said));
        assert_eq!(assembler.next(), None);
    }
}
