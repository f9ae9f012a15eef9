//! Why a payload was refused, in words of our own: miniserde's error carries nothing.

use std::fmt;

/// What is wrong with a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Not UTF-8.
    NotText,
    /// Arrays and objects within each other deeper than any message has.
    Deep,
    /// More values than any message of this kind has.
    Many,
    /// Not JSON, or a value of the wrong type; the payload was to be a `what`.
    Malformed { what: &'static str },
    /// A field that this kind of message must have.
    Missing { field: &'static str },
    /// A verb that this version does not know.
    UnknownVerb(String),
    /// A word that this version does not know, cut to a readable length.
    UnknownWord { field: &'static str, word: String },
    /// A value outside its range.
    OutOfRange { field: &'static str },
    /// A list or text longer than it may be.
    Long { field: &'static str, limit: usize },
    /// A part of another answer than the one begun.
    Mixed,
    /// A saved state of a version that this program cannot read, since it is newer than the program.
    UnknownVersion { found: u32, newest: u32 },
}

/// How much of a stranger's word is repeated to the reader, in characters.
const SHOWN: usize = 64;

impl DecodeError {
    pub(super) fn unknown_word(field: &'static str, word: &str) -> Self {
        Self::UnknownWord {
            field,
            word: shown(word),
        }
    }

    pub(super) fn unknown_verb(verb: &str) -> Self {
        Self::UnknownVerb(shown(verb))
    }
}

/// A stranger's word, made fit for a terminal.
fn shown(word: &str) -> String {
    word.chars()
        .filter(|c| !c.is_control())
        .take(SHOWN)
        .collect()
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("not UTF-8"),
            Self::Deep => f.write_str("nested too deeply"),
            Self::Many => f.write_str("too many values"),
            Self::Malformed { what } => write!(f, "not the JSON of a {what}"),
            Self::Missing { field } => write!(f, "`{field}` is missing"),
            Self::UnknownVerb(verb) => write!(f, "unknown verb `{verb}`"),
            Self::UnknownWord { field, word } => write!(f, "unknown {field} `{word}`"),
            Self::OutOfRange { field } => write!(f, "`{field}` is out of range"),
            Self::Long { field, limit } => write!(f, "`{field}` is longer than {limit}"),
            Self::Mixed => f.write_str("parts of different answers"),
            Self::UnknownVersion { found, newest } => {
                write!(
                    f,
                    "it is of version {found}, and this program knows none beyond {newest}"
                )
            }
        }
    }
}

impl std::error::Error for DecodeError {}
