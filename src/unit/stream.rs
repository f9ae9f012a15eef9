//! `StandardInput=`, `StandardOutput=` and `StandardError=`, systemd.exec(5).
//!
//! Owns the words of these three keys, for reading and for printing. Opening what they name is the shell's.

use std::path::{Path, PathBuf};

use super::report::{Fault, did_you_mean};
use super::specifier::Scope;
use super::value::{Value, absolute, fault, shorten, text};
use super::{Input, Output, Service, nearest};

/// A stream that is known; [`Later`](Stream::Later) is one that this version does not act on.
pub(super) enum Stream<T> {
    Now(T),
    Later,
}

pub(super) fn input(value: &Value, scope: &Scope) -> Result<Stream<Input>, Fault> {
    let word = text(value)?;
    match word.split_once(':') {
        None if word == "null" => Ok(Stream::Now(Input::Null)),
        None if word == "socket" => Ok(Stream::Later),
        Some(("file", path)) => file(value, path, scope).map(Input::File).map(Stream::Now),
        _ => Err(unknown(value, word, &["null", "file:PATH", "socket"])),
    }
}

pub(super) fn output(value: &Value, scope: &Scope) -> Result<Stream<Output>, Fault> {
    let word = text(value)?;
    let output = match word.split_once(':') {
        None => match word {
            "log" => Output::Log,
            "null" => Output::Null,
            "inherit" => Output::Inherit,
            "socket" => return Ok(Stream::Later),
            _ => return Err(unknown_output(value, word)),
        },
        Some(("file", path)) => Output::File(file(value, path, scope)?),
        Some(("append", path)) => Output::Append(file(value, path, scope)?),
        Some(("truncate", path)) => Output::Truncate(file(value, path, scope)?),
        Some(_) => return Err(unknown_output(value, word)),
    };
    Ok(Stream::Now(output))
}

pub(super) fn error_output(value: &Value, scope: &Scope) -> Result<Stream<Output>, Fault> {
    match text(value)? {
        "log:err" => Ok(Stream::Now(Output::LogErr)),
        _ => output(value, scope),
    }
}

fn file(value: &Value, path: &str, scope: &Scope) -> Result<PathBuf, Fault> {
    absolute(value, path, scope)
}

fn unknown_output(value: &Value, word: &str) -> Fault {
    let known = [
        "log",
        "null",
        "file:PATH",
        "append:PATH",
        "truncate:PATH",
        "inherit",
        "socket",
    ];
    match word {
        "log:err" => fault(value, "`log:err` is for StandardError= only"),
        "journal" | "syslog" | "kmsg" | "journal+console" => {
            unknown(value, word, &known).hint("`log` is the service's own log: see `diakonos logs`")
        }
        _ => unknown(value, word, &known),
    }
}

fn unknown(value: &Value, word: &str, known: &[&'static str]) -> Fault {
    let message = format!("`{}` is not one of {}", shorten(word), known.join(", "));
    let near = nearest(word, known.iter().copied());
    fault(value, message).hint_if(near.map(did_you_mean))
}

impl Service {
    /// Which of its streams go elsewhere than to its log, each `KEY=VALUE`.
    #[must_use]
    pub fn streams_elsewhere(&self) -> Vec<String> {
        let streams = [
            ("StandardOutput", &self.stdout),
            ("StandardError", &self.stderr),
        ];
        let elsewhere = streams
            .iter()
            .filter(|(_, output)| !matches!(output, Output::Log | Output::LogErr));
        elsewhere
            .map(|(key, output)| format!("{key}={}", output_word(output)))
            .collect()
    }
}

/// The word for an input, before specifiers: `%` is not doubled.
pub(super) fn input_word(input: &Input) -> String {
    match input {
        Input::Null => "null".to_owned(),
        Input::File(path) => with_path("file", path),
    }
}

/// The word for an output, before specifiers: `%` is not doubled.
pub(super) fn output_word(output: &Output) -> String {
    match output {
        Output::Log => "log".to_owned(),
        Output::LogErr => "log:err".to_owned(),
        Output::Null => "null".to_owned(),
        Output::Inherit => "inherit".to_owned(),
        Output::File(path) => with_path("file", path),
        Output::Append(path) => with_path("append", path),
        Output::Truncate(path) => with_path("truncate", path),
    }
}

fn with_path(kind: &str, path: &Path) -> String {
    format!("{kind}:{}", path.display())
}
