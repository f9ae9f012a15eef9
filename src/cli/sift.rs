//! Which lines are wanted by what they say: how urgent they are, and a pattern.

use super::exit::Failure;
use super::pattern::Pattern;
use super::text::clean;
use crate::log::{Content, Entry, LEVELS, Level, Sieve, Stream};
use crate::sys::search;

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

impl Levels {
    fn contain(self, level: Level) -> bool {
        (self.most..=self.least).contains(&level)
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
    pub(super) fn wants(&self, level: Level, text: &[u8]) -> bool {
        self.levels.is_none_or(|levels| levels.contain(level))
            && self
                .pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_in(text))
    }
}

impl Sieve for Sift {
    fn lets_through(&mut self, entry: &Entry) -> bool {
        let Content::Line {
            stream,
            bytes,
            part,
            end: _,
        } = &entry.content
        else {
            return true;
        };
        let (level, text) = part.split_level(bytes);
        self.wants(level.unwrap_or(usual_level(*stream)), text)
    }

    fn skim(&self, stream: Stream, bytes: &[u8]) -> usize {
        let place = match (&self.pattern, self.levels) {
            (Some(pattern), _) => pattern.not_before(bytes),
            // Only a line that names its level can have another one than the usual.
            (None, Some(levels)) if !levels.contain(usual_level(stream)) => {
                match bytes.starts_with(b"<") {
                    true => 0,
                    false => search::text(b"\n<", bytes).map_or(bytes.len(), |at| at + 1),
                }
            }
            (None, _) => 0,
        };
        // The line that holds it is wanted whole.
        search::last(b'\n', &bytes[..place]).map_or(0, |at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::log::{LineEnd, Part};

    fn sifter(levels: &str) -> Sift {
        let levels = Levels::parse("--priority", levels).unwrap();
        Sift {
            levels: Some(levels),
            pattern: None,
        }
    }

    fn entry(stream: Stream, text: &str, part: Part) -> Entry {
        let bytes = text.as_bytes().to_vec();
        let content = Content::Line {
            stream,
            bytes,
            part,
            end: LineEnd::Newline,
        };
        Entry {
            time_ms: 1,
            run: 1,
            content,
        }
    }

    #[test]
    fn a_level_and_what_is_more_urgent() {
        let is = |levels: &str, stream, text: &str| {
            sifter(levels).lets_through(&entry(stream, text, Part::Head))
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
    fn what_is_skimmed_is_not_wanted() {
        let skim = |levels, bytes: &[u8]| sifter(levels).skim(Stream::Out, bytes);
        assert_eq!(skim("err", b"one\ntwo\n<3>three\n"), 8);
        assert_eq!(skim("err", b"<3>one\ntwo\n"), 0);
        assert_eq!(skim("err", b"one\ntwo\nbegun"), 8);
        assert_eq!(skim("info", b"one\ntwo\n"), 0);
        let pattern = Some(Pattern::parse("--grep", "two").unwrap());
        let sifter = Sift {
            pattern,
            levels: None,
        };
        assert_eq!(sifter.skim(Stream::Out, b"one\nis two\nthree\n"), 4);
        assert_eq!(sifter.skim(Stream::Out, b"one\nthree\n"), 10);
        assert_eq!(sifter.skim(Stream::Out, b""), 0);
    }

    #[test]
    fn the_head_of_a_line_speaks_for_its_rest() {
        let mut sifter = sifter("err");
        let mut is = |text, part| sifter.lets_through(&entry(Stream::Out, text, part));
        assert!(is("<6>er", Part::Rest(Some(Level::Error))));
        assert!(!is("<3>er", Part::Rest(Some(Level::Info))));
        assert!(!is("<3>er", Part::Rest(None)) && is("<3>long", Part::Head));
    }
}
