//! `LogCompress=`: how old log files are kept.

use super::value::{self, Value};

use super::report::Fault;

const WORDS: [(&str, LogCompress); 3] = [
    ("none", LogCompress::None),
    ("gzip", LogCompress::Gzip),
    ("zstd", LogCompress::Zstd),
];

/// How rotated log files are packed, but for the youngest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogCompress {
    /// Not at all.
    #[default]
    None,
    Gzip,
    Zstd,
}

impl LogCompress {
    #[must_use]
    pub fn word(self) -> &'static str {
        let named = WORDS.iter().find(|(_, compress)| *compress == self);
        named.map_or("none", |(word, _)| word)
    }
}

pub(super) fn read(value: &Value) -> Result<LogCompress, Fault> {
    value::choice(value, &WORDS)
}
