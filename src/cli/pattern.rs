//! What `--grep` looks for. A text without special characters is looked for as it is, anything else as a regular
//! expression; a pattern without capitals finds both cases, as journalctl(1) has it.

use regex_lite::{Regex, RegexBuilder};

use super::exit::Failure;
use super::shown;
use super::text::clean;
use crate::sys::search;

/// What has a meaning of its own in a regular expression.
const SPECIAL: &str = r"\.+*?()|[]{}^$";
/// What logs are full of, the most frequent first.
const COMMON: &[u8] = b" etaoinsrhldcum0123456789-:./";
/// Bytes that a compiled pattern may take.
const SIZE_MAX: usize = 4 * 1024 * 1024;

/// What a line has to contain.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Text(Vec<u8>),
    /// In ASCII, and of either case.
    Caseless(Vec<u8>),
    Regex(Regex),
}

impl Pattern {
    /// # Errors
    /// It is no regular expression: a failure that shows the place.
    pub(super) fn parse(option: &str, text: &str) -> Result<Self, Failure> {
        let caseless = !text.chars().any(char::is_uppercase);
        if !text.contains(|c| SPECIAL.contains(c)) {
            let bytes = text.as_bytes().to_vec();
            match caseless {
                true if text.is_ascii() => return Ok(Self::Caseless(bytes)),
                true => {}
                false => return Ok(Self::Text(bytes)),
            }
        }
        let mut builder = RegexBuilder::new(text);
        builder.case_insensitive(caseless).size_limit(SIZE_MAX);
        builder.build().map(Self::Regex).map_err(|error| {
            let place = match wrong_at(text) {
                Some(at) => format!(
                    ", at character {} (`{}`)",
                    at + 1,
                    clean(&text.chars().skip(at).take(1).collect::<String>())
                ),
                None => String::new(),
            };
            let message = format!("{option}: `{}` is no pattern{place}: {error}", clean(text));
            let plain: String = text.chars().flat_map(escaped).collect();
            Failure::usage(message).hint(format!(
                "as a text, without special meanings: `{}`",
                clean(&plain)
            ))
        })
    }

    /// Whether it is in this line. Colours within the line are in nobody's way.
    pub(super) fn is_in(&self, line: &[u8]) -> bool {
        if self.is_within(line) {
            return true;
        }
        line.contains(&0x1b) && {
            let mut plain = Vec::with_capacity(line.len());
            shown::without_colors(line, &mut plain);
            self.is_within(&plain)
        }
    }

    fn is_within(&self, line: &[u8]) -> bool {
        match self {
            Self::Text(text) => search::text(text, line).is_some(),
            Self::Caseless(text) => find_caseless(text, line).is_some(),
            Self::Regex(regex) => regex.is_match(&String::from_utf8_lossy(line)),
        }
    }

    /// A place in these lines before which it is not for certain.
    pub(super) fn not_before(&self, lines: &[u8]) -> usize {
        let found = match self {
            Self::Text(text) => search::text(text, lines),
            Self::Caseless(text) => find_caseless(text, lines),
            Self::Regex(_) => return 0,
        };
        // Where there are colours, it may be between them.
        let found = found.unwrap_or(lines.len());
        search::first(0x1b, &lines[..found]).unwrap_or(found)
    }
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let backslash = SPECIAL.contains(c).then_some('\\');
    backslash.into_iter().chain([c])
}

/// Where a text of either case is. Only the places of its rarest byte are looked at.
fn find_caseless(text: &[u8], bytes: &[u8]) -> Option<usize> {
    let rank = |byte: u8| {
        let place = COMMON
            .iter()
            .position(|common| *common == byte.to_ascii_lowercase());
        place.unwrap_or(COMMON.len())
    };
    let Some((offset, rarest)) = text
        .iter()
        .copied()
        .enumerate()
        .max_by_key(|(_, byte)| rank(*byte))
    else {
        return Some(0);
    };
    let (small, large) = (rarest.to_ascii_lowercase(), rarest.to_ascii_uppercase());
    let after = |byte, from: usize| {
        let found = search::first(byte, bytes.get(from..).unwrap_or_default());
        found.map(|at| at + from)
    };
    let mut next_small = after(small, 0);
    let mut next_large = after(large, 0).filter(|_| large != small);
    loop {
        let at = next_small.into_iter().chain(next_large).min()?;
        let found = at
            .checked_sub(offset)
            .and_then(|at| bytes.get(at..at + text.len()));
        if found.is_some_and(|found| found.eq_ignore_ascii_case(text)) {
            return at.checked_sub(offset);
        }
        if next_small == Some(at) {
            next_small = after(small, at + 1);
        } else {
            next_large = after(large, at + 1);
        }
    }
}

/// The character (counted from 0) that has no partner, or repeats nothing, as far as a short look tells.
fn wrong_at(pattern: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut class: Option<usize> = None;
    let mut before = None;
    let mut chars = pattern.chars().enumerate();
    while let Some((at, c)) = chars.next() {
        match (c, class) {
            // What follows has no meaning of its own, and is passed.
            ('\\', _) if chars.next().is_none() => return Some(at),
            (']', Some(begun)) if at > begun + 1 => class = None,
            (_, Some(_)) => {}
            ('[', None) => class = Some(at),
            ('(', None) => open.push(at),
            (')', None) if open.pop().is_none() => return Some(at),
            ('*' | '+' | '?', None) if matches!(before, None | Some('|')) => return Some(at),
            ('*' | '+', None) if before == Some('(') => return Some(at),
            _ => {}
        }
        before = Some(c);
    }
    class.or(open.last().copied())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn is_in(pattern: &str, line: &[u8]) -> bool {
        Pattern::parse("--grep", pattern).unwrap().is_in(line)
    }

    #[test]
    fn a_small_letter_is_either() {
        assert!(is_in("error", b"an ERROR here") && is_in("error", b"error"));
        assert!(is_in("Error", b"an Error here") && !is_in("Error", b"an error here"));
        assert!(is_in("err.r", b"an ERROR here") && !is_in("Err.r", b"an ERROR"));
        assert!(is_in("", b"") && is_in("", b"x") && !is_in("long", b"lon"));
        assert!(is_in("grün", "ist grün".as_bytes()));
    }

    #[test]
    fn bytes_and_colours_are_in_nobodys_way() {
        assert!(is_in("b c", b"\xffb c\xfe") && is_in("b.c", b"\xffb c\xfe"));
        assert!(is_in("error: x", b"\x1b[31mERROR\x1b[0m: x"));
        assert!(is_in("^error: x$", b"\x1b[31mERROR\x1b[0m: x"));
    }

    #[test]
    fn nothing_is_passed_that_may_be_it() {
        let lines = b"one two\nTHREE three\nzoo";
        for (pattern, at) in [
            ("three", 8),
            ("zoo", 20),
            ("z", 20),
            ("Three", lines.len()),
            ("", 0),
        ] {
            assert_eq!(
                Pattern::parse("--grep", pattern).unwrap().not_before(lines),
                at
            );
        }
        let colored = Pattern::parse("--grep", "three").unwrap();
        assert_eq!(colored.not_before(b"one\nth\x1b[0mree three"), 6);
        assert_eq!(
            Pattern::parse("--grep", "thr.e").unwrap().not_before(lines),
            0
        );
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_place() {
        for (pattern, place) in [
            ("a(b", "at character 2 (`(`)"),
            ("[a", "at character 1 (`[`)"),
            ("a)b", "at character 2 (`)`)"),
            ("*x", "at character 1 (`*`)"),
            ("x\\", "at character 2 (`\\`)"),
            ("a(b(c)", "at character 2 (`(`)"),
        ] {
            let failure = Pattern::parse("--grep", pattern).unwrap_err();
            assert!(failure.message.contains(place), "{}", failure.message);
        }
        let failure = Pattern::parse("--grep", "a(b.c").unwrap_err();
        assert!(failure.hint.unwrap().ends_with("`a\\(b\\.c`"));
    }
}
