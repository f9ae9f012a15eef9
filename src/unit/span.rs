//! Time spans, systemd.time(7).
//!
//! Owns reading and writing them; what a span limits is the engine's.

use std::fmt;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;
/// The longest finite span, in nanoseconds: systemd's, whose spans are 64 bits of microseconds.
const MAX_NANOSECONDS: u128 = u64::MAX as u128 * 1_000;

/// Every unit with its names, in nanoseconds. A month is 30.44 days and a year 365.25 days.
const UNITS: [(&[&str], u64); 10] = [
    (&["ns", "nsec"], 1),
    (&["us", "usec", "\u{b5}s", "\u{3bc}s"], 1_000),
    (&["ms", "msec"], 1_000_000),
    (&["s", "sec", "second", "seconds"], SECOND),
    (&["min", "m", "minute", "minutes"], 60 * SECOND),
    (&["h", "hr", "hour", "hours"], 3_600 * SECOND),
    (&["d", "day", "days"], 86_400 * SECOND),
    (&["w", "week", "weeks"], 604_800 * SECOND),
    (&["M", "month", "months"], 2_629_800 * SECOND),
    (&["y", "year", "years"], 31_557_600 * SECOND),
];

/// A length of time as a unit file gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    Finite(Duration),
    /// `infinity`.
    Infinite,
}

impl Span {
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::Finite(Duration::from_millis(millis))
    }

    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self::Finite(Duration::from_secs(seconds))
    }

    /// Whole milliseconds, rounded up so that a limit never turns into none; `None` is infinity.
    #[must_use]
    pub fn as_millis(self) -> Option<u64> {
        match self {
            Self::Infinite => None,
            Self::Finite(span) => {
                let millis = span.as_nanos().div_ceil(1_000_000);
                Some(u64::try_from(millis).unwrap_or(u64::MAX))
            }
        }
    }

    /// Reads `5min 20s`, `250ms`, `1.5h`, `90` (seconds) or `infinity`.
    ///
    /// # Errors
    /// What is wrong, as part of a sentence.
    pub fn parse(text: &str) -> Result<Self, SpanError> {
        let mut rest = text.trim();
        if rest == "infinity" {
            return Ok(Self::Infinite);
        }
        if rest.is_empty() {
            return Err(SpanError::Empty);
        }
        let mut total: u128 = 0;
        while !rest.is_empty() {
            let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
            if number.is_empty() {
                return Err(SpanError::Number(first_word(rest)));
            }
            let after = after.trim_start();
            let (unit, next) = split_while(after, |c| {
                !c.is_whitespace() && !c.is_ascii_digit() && c != '.'
            });
            total = total.saturating_add(scale(number, unit_nanoseconds(unit)?)?);
            if total > MAX_NANOSECONDS {
                return Err(SpanError::Long);
            }
            rest = next.trim_start();
        }
        from_nanoseconds(total)
    }

    /// A span of so many seconds, as a number in a unit file.
    ///
    /// # Errors
    /// Where the number is negative, too large or none.
    pub fn from_seconds(seconds: f64) -> Result<Self, SpanError> {
        if seconds < 0.0 {
            return Err(SpanError::Negative);
        }
        match Duration::try_from_secs_f64(seconds) {
            Ok(span) if span.as_nanos() <= MAX_NANOSECONDS => Ok(Self::Finite(span)),
            _ => Err(SpanError::Long),
        }
    }
}

/// Why a text is no time span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanError {
    Empty,
    Negative,
    Long,
    Number(String),
    Unit(String),
}

impl fmt::Display for SpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a time span cannot be empty"),
            Self::Negative => f.write_str("a time span cannot be negative"),
            Self::Long => f.write_str("the time span is too long: at most 584,542 years"),
            Self::Number(word) => {
                write!(
                    f,
                    "expected a number in a time span, found `{}`",
                    word.escape_debug()
                )
            }
            Self::Unit(unit) => {
                let unit = unit.escape_debug();
                write!(f, "`{unit}` is not a unit of time: ms, s, min, h, d, w …")
            }
        }
    }
}

impl std::error::Error for SpanError {}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn first_word(text: &str) -> String {
    text.split_whitespace()
        .next()
        .unwrap_or_default()
        .chars()
        .take(40)
        .collect()
}

fn unit_nanoseconds(unit: &str) -> Result<u64, SpanError> {
    if unit.is_empty() {
        return Ok(SECOND);
    }
    UNITS
        .iter()
        .find(|(names, _)| names.contains(&unit))
        .map(|(_, nanoseconds)| *nanoseconds)
        .ok_or_else(|| SpanError::Unit(unit.chars().take(40).collect()))
}

/// `number` (digits with at most one dot) times `unit`; fractions of a nanosecond are dropped.
fn scale(number: &str, unit: u64) -> Result<u128, SpanError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(SpanError::Number(first_word(number)));
    }
    let mut total: u128 = 0;
    if !whole.is_empty() {
        let whole: u64 = whole.parse().map_err(|_| SpanError::Long)?;
        total = u128::from(whole) * u128::from(unit);
    }
    let mut place = u128::from(unit);
    for digit in fraction.bytes() {
        place /= 10;
        total += place * u128::from(digit - b'0');
    }
    Ok(total)
}

fn from_nanoseconds(nanoseconds: u128) -> Result<Span, SpanError> {
    let seconds = u64::try_from(nanoseconds / u128::from(SECOND)).map_err(|_| SpanError::Long)?;
    let rest = u32::try_from(nanoseconds % u128::from(SECOND)).map_err(|_| SpanError::Long)?;
    Ok(Span::Finite(Duration::new(seconds, rest)))
}

/// `5min 20s`, `250ms`, `0`, `infinity`: a form that reads back as the same span.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Finite(span) = self else {
            return f.write_str("infinity");
        };
        let mut rest = span.as_nanos();
        if rest == 0 {
            return f.write_str("0");
        }
        let mut gap = "";
        for name in ["d", "h", "min", "s", "ms", "us", "ns"] {
            let unit = UNITS.iter().find(|(names, _)| names[0] == name);
            let unit = unit.map_or(1, |(_, unit)| u128::from(*unit));
            if rest >= unit {
                write!(f, "{gap}{}{name}", rest / unit)?;
                rest %= unit;
                gap = " ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn millis(text: &str) -> Option<u64> {
        Span::parse(text).unwrap().as_millis()
    }

    #[test]
    fn spans_read_as_in_systemd() {
        for (text, expected) in [
            ("0", 0),
            ("2", 2_000),
            ("1.5", 1_500),
            (".5s", 500),
            ("2 h", 7_200_000),
            ("2hours", 7_200_000),
            ("48hr", 172_800_000),
            ("1y 12month", 63_115_200_000),
            ("55s500ms", 55_500),
            ("300ms20s 5day", 432_020_300),
            ("5min 20s", 320_000),
            ("250ms", 250),
            ("1us", 1),
            ("1.00000000000000000001s", 1_000),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        assert_eq!(millis("infinity"), None);
        assert_eq!(Span::from_seconds(0.25), Ok(Span::from_millis(250)));
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        for (bad, reason) in [
            ("", "empty"),
            ("   ", "empty"),
            ("-5", "found `-5`"),
            ("5 lightyears", "`lightyears` is not a unit"),
            ("abc", "found `abc`"),
            ("1.2.3s", "found `1.2.3`"),
            (".", "found `.`"),
            ("99999999999999999999", "too long"),
            ("18446744073709551615y", "too long"),
            ("5s infinity", "found `infinity`"),
        ] {
            let error = Span::parse(bad).unwrap_err().to_string();
            assert!(error.contains(reason), "{bad:?}: {error}");
        }
        assert_eq!(Span::from_seconds(-1.0), Err(SpanError::Negative));
        assert_eq!(Span::from_seconds(f64::NAN), Err(SpanError::Long));
        assert_eq!(Span::from_seconds(f64::INFINITY), Err(SpanError::Long));
    }

    #[test]
    fn what_is_shown_reads_back() {
        for (text, shown) in [
            ("320", "5min 20s"),
            ("90", "1min 30s"),
            ("0.25", "250ms"),
            ("0", "0"),
            ("infinity", "infinity"),
            ("90061.001001001", "1d 1h 1min 1s 1ms 1us 1ns"),
            ("1w", "7d"),
            ("584542y", "213503965d 12h"),
        ] {
            let span = Span::parse(text).unwrap();
            assert_eq!(span.to_string(), shown);
            assert_eq!(Span::parse(shown), Ok(span));
        }
    }
}
