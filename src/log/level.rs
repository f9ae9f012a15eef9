//! How urgent a line is, by the mark at its head, sd-daemon(3): `<3>no room left` is an error.
//!
//! Owns the mark and the levels' names. The mark stays in the file; who shows the line decides what to leave out.

/// How urgent a line is, syslog(3). The most urgent is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

/// Every level, at the place of its number.
pub const LEVELS: [Level; 8] = [
    Level::Emergency,
    Level::Alert,
    Level::Critical,
    Level::Error,
    Level::Warning,
    Level::Notice,
    Level::Info,
    Level::Debug,
];

/// Other words for a level, which syslog(3) and other programs have.
const OTHER_NAMES: [(&str, Level); 6] = [
    ("emergency", Level::Emergency),
    ("panic", Level::Emergency),
    ("critical", Level::Critical),
    ("error", Level::Error),
    ("warn", Level::Warning),
    ("information", Level::Info),
];

impl Level {
    /// Its number in syslog(3), 0 to 7.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Emergency => 0,
            Self::Alert => 1,
            Self::Critical => 2,
            Self::Error => 3,
            Self::Warning => 4,
            Self::Notice => 5,
            Self::Info => 6,
            Self::Debug => 7,
        }
    }

    /// Its name, as journalctl(1) takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Emergency => "emerg",
            Self::Alert => "alert",
            Self::Critical => "crit",
            Self::Error => "err",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The level of a name or a number; nothing for any other word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let is_it =
            |level: &Level| level.name().eq_ignore_ascii_case(word) || digit(word) == Some(*level);
        let other = || {
            let mut others = OTHER_NAMES.iter();
            others.find(|(name, _)| name.eq_ignore_ascii_case(word))
        };
        let named = LEVELS.iter().copied().find(is_it);
        named.or_else(|| other().map(|(_, level)| *level))
    }
}

/// The level that a line names at its head, and the line without the mark. A line without one is given back whole: what
/// only looks alike (`<8>`, `< 3>`, `<30>`, which would be a facility of syslog) is its own text.
#[must_use]
pub fn split_level(line: &[u8]) -> (Option<Level>, &[u8]) {
    match line {
        [b'<', number @ b'0'..=b'7', b'>', rest @ ..] => {
            let level = LEVELS.get(usize::from(number - b'0')).copied();
            (level, rest)
        }
        _ => (None, line),
    }
}

fn digit(word: &str) -> Option<Level> {
    match word.as_bytes() {
        [number @ b'0'..=b'7'] => LEVELS.get(usize::from(number - b'0')).copied(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_at_the_head_of_a_line_is_its_level() {
        let cases: [(&[u8], Option<Level>, &[u8]); 12] = [
            (b"<3>no room", Some(Level::Error), b"no room"),
            (b"<0>", Some(Level::Emergency), b""),
            (b"<7> \xff", Some(Level::Debug), b" \xff"),
            (b"<3><4>twice", Some(Level::Error), b"<4>twice"),
            (b"<8>", None, b"<8>"),
            (b"<30>", None, b"<30>"),
            (b"<3", None, b"<3"),
            (b"<>", None, b"<>"),
            (b"< 3>", None, b"< 3>"),
            (b" <3>", None, b" <3>"),
            (b"<p>", None, b"<p>"),
            (b"", None, b""),
        ];
        for (line, level, rest) in cases {
            assert_eq!(split_level(line), (level, rest));
        }
    }

    #[test]
    fn a_level_has_a_name_and_a_number() {
        for (number, level) in (0..).zip(LEVELS) {
            assert_eq!(level.number(), number);
            assert_eq!(Level::from_word(level.name()), Some(level));
            assert_eq!(Level::from_word(&number.to_string()), Some(level));
        }
        assert_eq!(Level::from_word("Error"), Some(Level::Error));
        assert!(Level::Error < Level::Warning);
        for word in ["", "8", "-1", "33", "err ", "lots"] {
            assert_eq!(Level::from_word(word), None, "{word}");
        }
    }
}
