//! The daemon's own settings, `daemon.toml` in its home: one section, `[daemon]`, written as a unit file is.
//!
//! Owns its keys, their bounds and what is wrong with a text. Reading the file, and what follows, are the daemon's.

use std::path::Path;

use super::file;
use super::report::{Fault, Report, Source, did_you_mean};
use super::value::{self, Value};
use super::{nearest, size};

const SECTION: &str = "daemon";
const KEYS: [&str; 3] = ["LogTotalMax", "LogMaxSize", "LogMaxFiles"];

/// The least that the logs of all services, and one file of the daemon's own log, may be bounded to, in bytes.
const LEAST_BYTES: u64 = 4096;
const FILES_MAX: i64 = 1_000;

/// What an operator can say to the daemon of a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that all services' logs may have together; `None`: each has its own bounds, and that is all.
    pub log_total_max: Option<u64>,
    /// Bytes of one file of the daemon's own log, at least 4096.
    pub own_log_max_size: u64,
    /// Files of it that are kept, the current one included, 1 to 1000.
    pub own_log_max_files: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            log_total_max: None,
            own_log_max_size: 4 << 20,
            own_log_max_files: 4,
        }
    }
}

/// Reads the text of the file at `path`.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub fn parse_settings(text: &str, path: &Path) -> Result<Settings, Report> {
    let source = Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let mirror = file::read(&source);
    let mut faults = mirror.syntax;
    faults.extend(mirror.faults);
    let mut settings = Settings::default();
    for section in &mirror.sections {
        let name = section.name.get_ref();
        if name != SECTION {
            let message = format!("there is no section [{}] here", value::shorten(name));
            let fault = Fault::new(section.name.span(), message);
            faults.push(fault.hint("all keys stand in [daemon]"));
            continue;
        }
        for pair in &section.pairs {
            let key = pair.key.get_ref();
            let read = match key.as_str() {
                "LogTotalMax" => total(&pair.node).map(|bytes| settings.log_total_max = bytes),
                "LogMaxSize" => bytes(&pair.node).map(|bytes| settings.own_log_max_size = bytes),
                "LogMaxFiles" => value::number(&pair.node, 1, FILES_MAX)
                    .map(|files| settings.own_log_max_files = files),
                _ => {
                    let key = value::shorten(key);
                    let near = nearest(&key, KEYS.iter().copied()).map(did_you_mean);
                    let message = format!("there is no key {key} in [daemon]");
                    let known = format!("the keys are {}", KEYS.join(", "));
                    let fault = Fault::new(pair.key.span(), message);
                    Err(fault.hint(near.unwrap_or(known)))
                }
            };
            faults.extend(read.err());
        }
    }
    if faults.is_empty() {
        return Ok(settings);
    }
    let findings = faults.into_iter().map(|fault| (0, fault)).collect();
    Err(Report::new(findings, &[source]))
}

/// A size, or `infinity` for no bound at all.
fn total(value: &Value) -> Result<Option<u64>, Fault> {
    match value.get_ref() {
        file::Node::Text(text) if text == "infinity" => Ok(None),
        _ => bytes(value).map(Some),
    }
}

fn bytes(value: &Value) -> Result<u64, Fault> {
    let bytes = value::size_in_bytes(value)?;
    if bytes < LEAST_BYTES {
        let least = size::show(LEAST_BYTES);
        return Err(value::fault(value, format!("at least {least} are needed")));
    }
    Ok(bytes)
}

/// Whether it is a key of that file.
pub(super) fn is_key(written: &str) -> bool {
    KEYS.contains(&written)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let read = parse_settings(text, Path::new("/h/daemon.toml"));
        read.map_err(|report| report.to_string())
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(read("").unwrap(), Settings::default());
        assert_eq!(read("[daemon]\n").unwrap(), Settings::default());
        let all = "[daemon]\nLogTotalMax = '1G'\nLogMaxSize = 8192\nLogMaxFiles = 2\n";
        let expected = Settings {
            log_total_max: Some(1 << 30),
            own_log_max_size: 8192,
            own_log_max_files: 2,
        };
        assert_eq!(read(all).unwrap(), expected);
        let none = read("[daemon]\nLogTotalMax = 'infinity'\n").unwrap();
        assert_eq!(none.log_total_max, None);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, told) in [
            ("LogTotalMax = '1G'\n", "begin the section above it"),
            (
                "[daemon]\nLogTotalMx = '1G'\n",
                "did you mean `LogTotalMax`?",
            ),
            ("[daemon]\nColour = 1\n", "the keys are LogTotalMax"),
            ("[log]\n", "all keys stand in [daemon]"),
            ("[daemon]\nLogTotalMax = '1X'\n", "this is not a size"),
            ("[daemon]\nLogTotalMax = 12\n", "at least 4K are needed"),
            ("[daemon]\nLogMaxFiles = 0\n", "out of range: 1 to 1000"),
            ("[daemon]\nLogMaxFiles = \n", "daemon.toml:2:"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(told), "{text}: {found}");
        }
    }
}
