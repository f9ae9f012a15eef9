//! The record: what has become of every unit and why, one JSON object a line.
//!
//! Owns the lines' form and their limits. The daemon writes them, clients read them, and `events --json` shows them as
//! they are: a field, once there, keeps its name and meaning. Which files they stand in is the daemon's.

use miniserde::{Deserialize, Serialize, json};

use super::DecodeError;
use super::parse::{Bounds, parse, required};

pub use super::reason::cause_word;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts all entries of a home. A number that is missing was lost with a daemon that was killed.
    pub id: u64,
    /// Unix milliseconds.
    pub at_ms: u64,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Change(Changed),
    Request(Asked),
    Daemon(Stage),
}

/// A unit has come into another state; or, where both are the same, another cause is behind what it is at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    pub unit: String,
    pub from: String,
    pub to: String,
    /// One of a few words: `asked`, `requires`, `failed` …
    pub cause: String,
    /// The same for people, a sentence without the unit's name.
    pub text: String,
    /// The other unit that brought it about.
    pub other: Option<String>,
    /// systemd's word for a failure: `exit-code`, `timeout` …
    pub result: Option<String>,
    /// The older entry that it follows from; nothing where it follows from an event of its own.
    pub because: Option<u64>,
    /// The automatic restart that follows: which one it is, and when.
    pub attempt: Option<u32>,
    pub delay_ms: Option<u64>,
}

/// A wish was taken up, or refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub verb: String,
    /// Those that were named; the first [`UNITS_MAX`] of them.
    pub units: Vec<String>,
    /// How many units that were not written down.
    pub more: u32,
    /// `client`, `boot`, `signal` or `memory`.
    pub by: String,
    /// A client's, by its socket.
    pub uid: Option<u32>,
    pub user: Option<String>,
    pub pid: Option<u32>,
    pub command: Option<String>,
    /// Why nothing comes of it.
    pub refused: Option<String>,
    /// Its client asks again, since it has lost the answer with a daemon.
    pub repeated: bool,
}

/// The daemon began or ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// `began`, `upgraded` or `ended`.
    pub stage: String,
    pub pid: u32,
    pub version: String,
    /// Whether the machine was started anew since the daemon before; then nothing of that one runs any more.
    pub boot_id: String,
}

/// Bytes of a line at most; what is longer is none of ours.
pub const LINE_MAX: usize = 16 << 10;
/// Units of a request that are written down.
pub const UNITS_MAX: usize = 32;
/// Bytes of a text at most.
pub const TEXT_MAX: usize = 1 << 10;
const ENTRY: Bounds = Bounds {
    what: "entry of the record",
    values: UNITS_MAX + 32,
};

#[derive(Serialize)]
struct ChangeLine<'a> {
    id: u64,
    at_ms: u64,
    kind: &'a str,
    unit: &'a str,
    from: &'a str,
    to: &'a str,
    cause: &'a str,
    text: &'a str,
    other: &'a Option<String>,
    result: &'a Option<String>,
    because: Option<u64>,
    attempt: Option<u32>,
    delay_ms: Option<u64>,
}

#[derive(Serialize)]
struct RequestLine<'a> {
    id: u64,
    at_ms: u64,
    kind: &'a str,
    verb: &'a str,
    units: &'a Vec<String>,
    more: u32,
    by: &'a str,
    uid: Option<u32>,
    user: &'a Option<String>,
    pid: Option<u32>,
    command: &'a Option<String>,
    refused: Option<&'a str>,
    repeated: bool,
}

#[derive(Serialize)]
struct DaemonLine<'a> {
    id: u64,
    at_ms: u64,
    kind: &'a str,
    stage: &'a str,
    pid: u32,
    version: &'a str,
    boot_id: &'a str,
}

/// All fields of all kinds.
#[derive(Deserialize)]
struct Line {
    id: Option<u64>,
    at_ms: Option<u64>,
    kind: Option<String>,
    unit: Option<String>,
    from: Option<String>,
    to: Option<String>,
    cause: Option<String>,
    text: Option<String>,
    other: Option<String>,
    result: Option<String>,
    because: Option<u64>,
    attempt: Option<u32>,
    delay_ms: Option<u64>,
    verb: Option<String>,
    units: Option<Vec<String>>,
    more: Option<u32>,
    by: Option<String>,
    uid: Option<u32>,
    user: Option<String>,
    pid: Option<u32>,
    command: Option<String>,
    refused: Option<String>,
    repeated: Option<bool>,
    stage: Option<String>,
    version: Option<String>,
    boot_id: Option<String>,
}

/// Appends the line, with its end.
pub fn encode_entry(entry: &Entry, out: &mut Vec<u8>) {
    let (id, at_ms) = (entry.id, entry.at_ms);
    let text = match &entry.what {
        What::Change(change) => json::to_string(&ChangeLine {
            id,
            at_ms,
            kind: "change",
            unit: &change.unit,
            from: &change.from,
            to: &change.to,
            cause: &change.cause,
            text: cut(&change.text),
            other: &change.other,
            result: &change.result,
            because: change.because,
            attempt: change.attempt,
            delay_ms: change.delay_ms,
        }),
        What::Request(asked) => json::to_string(&RequestLine {
            id,
            at_ms,
            kind: "request",
            verb: &asked.verb,
            units: &asked.units,
            more: asked.more,
            by: &asked.by,
            uid: asked.uid,
            user: &asked.user,
            pid: asked.pid,
            command: &asked.command,
            refused: asked.refused.as_deref().map(cut),
            repeated: asked.repeated,
        }),
        What::Daemon(stage) => json::to_string(&DaemonLine {
            id,
            at_ms,
            kind: "daemon",
            stage: &stage.stage,
            pid: stage.pid,
            version: &stage.version,
            boot_id: &stage.boot_id,
        }),
    };
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

/// As much of it as has room.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Reads one line, without its end.
///
/// # Errors
/// What is wrong with it. An entry of a kind that this version does not know is an error, too.
pub fn decode_entry(line: &[u8]) -> Result<Entry, DecodeError> {
    let line: Line = parse(line, ENTRY)?;
    let what = match required("kind", line.kind)?.as_str() {
        "change" => What::Change(Changed {
            unit: required("unit", line.unit)?,
            from: required("from", line.from)?,
            to: required("to", line.to)?,
            cause: required("cause", line.cause)?,
            text: line.text.unwrap_or_default(),
            other: line.other,
            result: line.result,
            because: line.because,
            attempt: line.attempt,
            delay_ms: line.delay_ms,
        }),
        "request" => What::Request(Asked {
            verb: required("verb", line.verb)?,
            units: line.units.unwrap_or_default(),
            more: line.more.unwrap_or_default(),
            by: required("by", line.by)?,
            uid: line.uid,
            user: line.user,
            pid: line.pid,
            command: line.command,
            refused: line.refused,
            repeated: line.repeated.unwrap_or_default(),
        }),
        "daemon" => What::Daemon(Stage {
            stage: required("stage", line.stage)?,
            pid: line.pid.unwrap_or_default(),
            version: line.version.unwrap_or_default(),
            boot_id: line.boot_id.unwrap_or_default(),
        }),
        other => return Err(DecodeError::unknown_word("kind", other)),
    };
    Ok(Entry {
        id: required("id", line.id)?,
        at_ms: required("at_ms", line.at_ms)?,
        what,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn entries() -> Vec<Entry> {
        let change = Changed {
            unit: "web@a".to_owned(),
            from: "running".to_owned(),
            to: "restarting".to_owned(),
            cause: "failed".to_owned(),
            text: "exit code 1: \"ü\"\n".to_owned(),
            other: Some("db".to_owned()),
            result: Some("exit-code".to_owned()),
            because: Some(u64::MAX - 1),
            attempt: Some(3),
            delay_ms: Some(200),
        };
        let asked = Asked {
            verb: "start".to_owned(),
            units: (0..UNITS_MAX).map(|n| format!("w@{n}")).collect(),
            more: 9_968,
            by: "client".to_owned(),
            uid: Some(1000),
            user: Some("alice".to_owned()),
            pid: Some(77),
            command: Some("diakonos start '*'".to_owned()),
            refused: Some("no such unit: w@9".to_owned()),
            repeated: true,
        };
        let stage = Stage {
            stage: "began".to_owned(),
            pid: 7,
            version: "0.1.0".to_owned(),
            boot_id: "b007".to_owned(),
        };
        let plain = Changed {
            unit: "web".to_owned(),
            from: "stopped".to_owned(),
            to: "waiting".to_owned(),
            cause: "asked".to_owned(),
            ..Changed::default()
        };
        let all = [
            What::Change(change),
            What::Change(plain),
            What::Request(asked),
            What::Request(Asked {
                verb: "stop".to_owned(),
                by: "boot".to_owned(),
                ..Asked::default()
            }),
            What::Daemon(stage),
        ];
        let number = |(n, what): (usize, What)| Entry {
            id: u64::MAX - u64::try_from(n).unwrap(),
            at_ms: 1_795_300_813_007,
            what,
        };
        all.into_iter().enumerate().map(number).collect()
    }

    #[test]
    fn every_kind_of_entry_comes_back_as_it_was_and_is_one_line() {
        for entry in entries() {
            let mut line = Vec::new();
            encode_entry(&entry, &mut line);
            assert_eq!(line.pop(), Some(b'\n'));
            assert!(!line.contains(&b'\n') && line.len() < LINE_MAX);
            assert_eq!(decode_entry(&line), Ok(entry));
        }
    }

    #[test]
    fn what_is_no_entry_is_an_error() {
        let lines = [
            "",
            "{}",
            "x",
            r#"{"id":1}"#,
            r#"{"id":1,"at_ms":2,"kind":"change"}"#,
            r#"{"id":1,"at_ms":2,"kind":"of-tomorrow"}"#,
            r#"{"at_ms":2,"kind":"daemon","stage":"began"}"#,
        ];
        for line in lines {
            assert!(decode_entry(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ü".repeat(TEXT_MAX);
        assert_eq!(cut(&text).len(), TEXT_MAX);
        assert_eq!(cut(&format!("x{text}")).len(), TEXT_MAX - 1);
    }
}
