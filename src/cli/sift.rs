//! Which lines are wanted by what they say: how urgent they are, and a pattern.

use super::exit::Failure;
use super::pattern::Pattern;
use super::text::clean;
use crate::log::{Content, Entry, LEVELS, Level, LineEnd, Sieve, Stream, split_level};

/// What a line has to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Sift {
    pub(super) pattern: Option<Pattern>,
    pub(super) levels: Option<Levels>,
}

/// Both ends count; the first is the more urgent one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Levels {
    most: Level,
    least: Level,
}

impl Levels {
    /// `err` is that and what is more urgent, `warning..notice` what is between.
    ///
    /// # Errors
    /// A word is no level: a failure that lists them.
    pub(super) fn parse(option: &str, text: &str) -> Result<Self, Failure> {
        let level = |word: &str| {
            Level::from_word(word.trim()).ok_or_else(|| {
                let message = format!("{option}: `{}` is no level", clean(word));
                let names = LEVELS.map(Level::name).join(", ");
                Failure::usage(message).hint(format!("levels are {names}, or 0 to 7"))
            })
        };
        let (one, other) = match text.split_once("..") {
            Some((one, other)) => (level(one)?, level(other)?),
            None => (Level::Emergency, level(text)?),
        };
        Ok(Self {
            most: one.min(other),
            least: one.max(other),
        })
    }
}

/// The level of a line that names none: what a service says on a standard error of its own is an error.
pub(super) fn usual_level(stream: Stream) -> Level {
    match stream {
        Stream::Out => Level::Info,
        Stream::Err => Level::Error,
    }
}

impl Sift {
    /// Whether a text of this level is wanted.
    pub(super) fn lets_through(&self, level: Level, text: &[u8]) -> bool {
        let is_level = |levels: &Levels| (levels.most..=levels.least).contains(&level);
        self.levels.as_ref().is_none_or(is_level)
            && self
                .pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_in(text))
    }

    /// For the lines of one service.
    pub(super) fn sieve(&self) -> Sifter {
        Sifter {
            sift: self.clone(),
            divided: None,
        }
    }
}

/// A [`Sift`] that sees the lines of one service one after the other.
#[derive(Debug)]
pub(super) struct Sifter {
    sift: Sift,
    /// The run and stream of a line of which a piece was seen, and its level: only its head names one.
    divided: Option<(u64, Stream, Level)>,
}

impl Sieve for Sifter {
    fn lets_through(&mut self, entry: &Entry) -> bool {
        let Content::Line { stream, bytes, end } = &entry.content else {
            return true;
        };
        let (level, text) = match self.divided.take() {
            Some((run, of, level)) if (run, of) == (entry.run, *stream) => (level, &bytes[..]),
            _ => {
                let (level, text) = split_level(bytes);
                (level.unwrap_or(usual_level(*stream)), text)
            }
        };
        if *end == LineEnd::Cut {
            self.divided = Some((entry.run, *stream, level));
        }
        self.sift.lets_through(level, text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn sifter(levels: &str) -> Sifter {
        let levels = Levels::parse("--priority", levels).unwrap();
        let sift = Sift {
            levels: Some(levels),
            pattern: None,
        };
        sift.sieve()
    }

    fn entry(stream: Stream, text: &str, end: LineEnd) -> Entry {
        let bytes = text.as_bytes().to_vec();
        let content = Content::Line { stream, bytes, end };
        Entry {
            time_ms: 1,
            run: 1,
            content,
        }
    }

    #[test]
    fn a_level_and_what_is_more_urgent() {
        let is = |levels: &str, stream, text: &str| {
            sifter(levels).lets_through(&entry(stream, text, LineEnd::Newline))
        };
        assert!(is("err", Stream::Out, "<3>x") && is("err", Stream::Out, "<0>x"));
        assert!(!is("err", Stream::Out, "<4>x") && !is("err", Stream::Out, "x"));
        assert!(is("err", Stream::Err, "x") && !is("err", Stream::Err, "<6>x"));
        assert!(is("info", Stream::Out, "x") && is("debug", Stream::Out, "<7>"));
        assert!(is("4..6", Stream::Out, "x") && !is("6..warning", Stream::Err, "x"));
        let failure = Levels::parse("--priority", "urgent").unwrap_err();
        assert!(
            failure
                .hint
                .unwrap()
                .contains("emerg, alert, crit, err, warning")
        );
    }

    #[test]
    fn the_head_of_a_line_speaks_for_its_rest() {
        let mut sifter = sifter("err");
        let mut is = |text, end| sifter.lets_through(&entry(Stream::Out, text, end));
        assert!(is("<3>long", LineEnd::Cut) && is("<6>er", LineEnd::Cut));
        assert!(is("end", LineEnd::Newline) && !is("next", LineEnd::Newline));
    }
}
