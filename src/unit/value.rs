//! From a loosely typed value to one of the right type and range: one function for each form that a value can have.
//!
//! Owns the wording of what is wrong with a single value. Which key has which form is `keys.rs`; commands are
//! `exec.rs`.

use std::path::PathBuf;

use toml::Spanned;

use super::environment::is_variable_name;
use super::file::Node;
use super::report::{Fault, did_you_mean};
use super::specifier::{Scope, SpecifierError};
use super::{EnvironmentFile, Signal, Span, StatusSet, UnitName, WorkingDirectory, nearest, size};

pub(super) type Value = Spanned<Node>;

/// Exit codes that systemd knows by name, systemd.exec(5): those of the C library, LSB and BSD.
const EXIT_CODES: [(&str, u8); 23] = [
    ("SUCCESS", 0),
    ("FAILURE", 1),
    ("INVALIDARGUMENT", 2),
    ("NOTIMPLEMENTED", 3),
    ("NOPERMISSION", 4),
    ("NOTINSTALLED", 5),
    ("NOTCONFIGURED", 6),
    ("NOTRUNNING", 7),
    ("USAGE", 64),
    ("DATAERR", 65),
    ("NOINPUT", 66),
    ("NOUSER", 67),
    ("NOHOST", 68),
    ("UNAVAILABLE", 69),
    ("SOFTWARE", 70),
    ("OSERR", 71),
    ("OSFILE", 72),
    ("CANTCREAT", 73),
    ("IOERR", 74),
    ("TEMPFAIL", 75),
    ("PROTOCOL", 76),
    ("NOPERM", 77),
    ("CONFIG", 78),
];

/// A fault that covers the whole value.
pub(super) fn fault(value: &Value, message: impl Into<String>) -> Fault {
    Fault::new(value.span(), message)
}

/// The value has another type than it should.
pub(super) fn wrong_type(value: &Value, wanted: &str) -> Fault {
    let found = value.get_ref().describe();
    fault(value, format!("expected {wanted}, found {found}"))
}

/// The items of a list; a value that is no list is its own only item.
pub(super) fn items(value: &Value) -> &[Value] {
    match value.get_ref() {
        Node::List(items) => items,
        _ => std::slice::from_ref(value),
    }
}

pub(super) fn text(value: &Value) -> Result<&str, Fault> {
    match value.get_ref() {
        Node::Text(text) => Ok(text),
        _ => Err(wrong_type(value, "a string")),
    }
}

pub(super) fn flag(value: &Value) -> Result<bool, Fault> {
    let meant = match value.get_ref() {
        Node::Flag(flag) => return Ok(*flag),
        Node::Text(text) => match &*text.to_ascii_lowercase() {
            "yes" | "y" | "true" | "t" | "on" | "1" => Some("true"),
            "no" | "n" | "false" | "f" | "off" | "0" => Some("false"),
            _ => None,
        },
        Node::Integer(1) => Some("true"),
        Node::Integer(0) => Some("false"),
        _ => None,
    };
    let fault = wrong_type(value, "true or false");
    Err(fault.hint_if(meant.map(|word| format!("write `{word}`, without quotes"))))
}

/// A whole number within a range.
pub(super) fn integer(value: &Value, least: i64, most: i64) -> Result<i64, Fault> {
    match value.get_ref() {
        Node::Integer(number) if (least..=most).contains(number) => Ok(*number),
        Node::Integer(number) => {
            let message = format!("{number} is out of range: {least} to {most}");
            Err(fault(value, message))
        }
        _ => Err(wrong_type(
            value,
            &format!("a whole number from {least} to {most}"),
        )),
    }
}

/// A whole number from `least` to `most` that fits its type.
pub(super) fn number<T: TryFrom<i64>>(value: &Value, least: i64, most: i64) -> Result<T, Fault> {
    let number = integer(value, least, most)?;
    T::try_from(number).map_err(|_| fault(value, format!("{number} is out of range")))
}

pub(super) fn span(value: &Value) -> Result<Span, Fault> {
    let read = match value.get_ref() {
        Node::Text(text) => Span::parse(text),
        Node::Float(seconds) => Span::from_seconds(*seconds),
        Node::Integer(seconds) => match u64::try_from(*seconds) {
            Ok(seconds) => Ok(Span::from_secs(seconds)),
            Err(_) => Err(super::SpanError::Negative),
        },
        _ => {
            return Err(wrong_type(
                value,
                "a time span: seconds, or a string such as \"5min 20s\"",
            ));
        }
    };
    read.map_err(|error| fault(value, error.to_string()))
}

/// A time limit: 0 is none, as in systemd.
pub(super) fn limit_span(value: &Value) -> Result<Span, Fault> {
    let span = span(value)?;
    Ok(if span == Span::from_millis(0) {
        Span::Infinite
    } else {
        span
    })
}

pub(super) fn size_in_bytes(value: &Value) -> Result<u64, Fault> {
    let size = match value.get_ref() {
        Node::Text(text) => size::parse(text),
        Node::Integer(bytes) => u64::try_from(*bytes).ok(),
        _ => {
            return Err(wrong_type(
                value,
                "a size: bytes, or a string such as \"512M\"",
            ));
        }
    };
    size.ok_or_else(|| {
        fault(value, "this is not a size")
            .hint("write bytes, or a number with K, M, G or T: \"512M\"")
    })
}

/// One of several words, each with what it stands for.
pub(super) fn choice<T: Clone>(value: &Value, words: &[(&'static str, T)]) -> Result<T, Fault> {
    let word = text(value)?;
    let known = words.iter().find(|(known, _)| *known == word);
    known.map(|(_, meaning)| meaning.clone()).ok_or_else(|| {
        let names: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
        unknown_word(value, word, &names)
    })
}

/// A word that is none of those allowed.
pub(super) fn unknown_word(value: &Value, word: &str, allowed: &[&'static str]) -> Fault {
    let word = shorten(word);
    let message = format!("`{word}` is not one of {}", allowed.join(", "));
    fault(value, message).hint_if(nearest(&word, allowed.iter().copied()).map(did_you_mean))
}

/// A text fit to be quoted in a message.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

pub(super) fn signal(value: &Value) -> Result<Signal, Fault> {
    let signal = match value.get_ref() {
        Node::Integer(number) => i32::try_from(*number).ok().and_then(Signal::from_number),
        Node::Text(name) => Signal::parse(name),
        _ => return Err(wrong_type(value, "a signal such as \"SIGTERM\"")),
    };
    signal
        .ok_or_else(|| fault(value, "there is no such signal").hint("write its name: \"SIGTERM\""))
}

/// An access mode of three octal digits, or four with 0 in front.
pub(super) fn mode(value: &Value) -> Result<u32, Fault> {
    let Node::Text(digits) = value.get_ref() else {
        // A number would be decimal to TOML and octal to whoever writes it.
        let fault = wrong_type(value, "a string of octal digits");
        return Err(fault.hint("write it in quotes: \"022\""));
    };
    let octal = !digits.is_empty() && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    octal
        .then(|| u32::from_str_radix(digits, 8).ok())
        .flatten()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| {
            fault(value, "expected octal digits from 000 to 777").hint("such as \"022\"")
        })
}

/// A text with its specifiers expanded; not empty.
pub(super) fn expanded(value: &Value, scope: &Scope) -> Result<String, Fault> {
    let text = text(value)?;
    if text.is_empty() {
        return Err(fault(value, "this cannot be empty").hint("leave the key out"));
    }
    expand(value, text, scope)
}

/// Expands the specifiers of a text that is (part of) a value.
pub(super) fn expand(value: &Value, text: &str, scope: &Scope) -> Result<String, Fault> {
    scope.expand(text).map_err(|error| {
        let sign = !matches!(error, SpecifierError::Utf8(_));
        let hint = sign.then(|| "write `%%` for a per cent sign".to_owned());
        fault(value, error.to_string()).hint_if(hint)
    })
}

/// A text of one line, for people.
pub(super) fn line(value: &Value, scope: &Scope) -> Result<String, Fault> {
    let text = expand(value, text(value)?, scope)?;
    if text.chars().any(char::is_control) {
        return Err(fault(
            value,
            "expected one line, without control characters",
        ));
    }
    Ok(text)
}

/// The name of another unit, specifiers expanded.
pub(super) fn name(value: &Value, scope: &Scope) -> Result<UnitName, Fault> {
    let text = expanded(value, scope)?;
    let spaced = text.contains(char::is_whitespace);
    let hint = spaced.then(|| "write several as an array: [\"a\", \"b\"]".to_owned());
    let name = UnitName::parse(&text);
    let name = name.map_err(|error| fault(value, error.to_string()).hint_if(hint))?;
    if name.is_template() {
        let message = format!("`{name}` is a template, which cannot run itself");
        return Err(fault(value, message).hint(format!("name an instance, such as `{name}1`")));
    }
    Ok(name)
}

/// An absolute path, specifiers expanded.
pub(super) fn path(value: &Value, scope: &Scope) -> Result<PathBuf, Fault> {
    absolute(value, text(value)?, scope)
}

/// Reads an absolute path from (part of) a value.
pub(super) fn absolute(value: &Value, text: &str, scope: &Scope) -> Result<PathBuf, Fault> {
    let path = PathBuf::from(expand(value, text, scope)?);
    if path.is_absolute() {
        return Ok(path);
    }
    let message = format!("`{}` is not an absolute path", shorten(text));
    Err(fault(value, message).hint("`%Y/` stands for the folder of the unit file"))
}

/// `PIDFile=`: a relative one lies in the folder for what lasts as long as the service.
pub(super) fn pid_file(value: &Value, scope: &Scope) -> Result<PathBuf, Fault> {
    Ok(scope.context.runtime.join(expanded(value, scope)?))
}

/// A path that may be missing if `-` stands before it.
pub(super) fn environment_file(value: &Value, scope: &Scope) -> Result<EnvironmentFile, Fault> {
    let text = text(value)?;
    let bare = text.strip_prefix('-');
    Ok(EnvironmentFile {
        path: absolute(value, bare.unwrap_or(text), scope)?,
        optional: bare.is_some(),
    })
}

/// `~`, or a path: relative to the folder of the unit file, optional with `-` before it.
pub(super) fn working_directory(value: &Value, scope: &Scope) -> Result<WorkingDirectory, Fault> {
    let text = text(value)?;
    let bare = text.strip_prefix('-');
    let place = bare.unwrap_or(text);
    if place == "~" {
        return match bare {
            None => Ok(WorkingDirectory::Home),
            Some(_) => Err(fault(value, "`-` does not go with `~`")),
        };
    }
    if place.is_empty() || place.starts_with('~') {
        let fault = fault(
            value,
            format!("`{}` is not a directory's path", shorten(place)),
        );
        return Err(
            fault.hint("write an absolute path, one from the unit file's folder, or `~` alone")
        );
    }
    let path = scope.folder().join(expand(value, place, scope)?);
    Ok(WorkingDirectory::Path {
        // Takes out the `.` of `./data`.
        path: path.components().collect(),
        optional: bare.is_some(),
    })
}

/// A user or group, by name or number.
pub(super) fn account(value: &Value, scope: &Scope) -> Result<String, Fault> {
    if let Node::Integer(_) = value.get_ref() {
        // The highest number stands for "no user" in system calls.
        return integer(value, 0, i64::from(u32::MAX) - 1).map(|id| id.to_string());
    }
    let name = expanded(value, scope)?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '/' | ',');
    if name.contains(odd) || name.starts_with('-') {
        let message = format!("`{}` is not the name of a user or group", shorten(&name));
        return Err(fault(value, message));
    }
    Ok(name)
}

/// The name of an environment variable.
pub(super) fn variable(value: &Value, scope: &Scope) -> Result<String, Fault> {
    let name = expanded(value, scope)?;
    if is_variable_name(&name) {
        return Ok(name);
    }
    Err(not_a_variable(value, &name))
}

/// A variable's name, or `NAME=value`, as `UnsetEnvironment=` takes them.
pub(super) fn unset(value: &Value, scope: &Scope) -> Result<String, Fault> {
    let text = expanded(value, scope)?;
    let name = text.split_once('=').map_or(&*text, |(name, _)| name);
    if !is_variable_name(name) {
        return Err(not_a_variable(value, name));
    }
    if name == "INVOCATION_ID" {
        let fault = fault(value, "INVOCATION_ID cannot be taken away");
        return Err(fault.hint("by it the service's processes are known"));
    }
    Ok(text)
}

pub(super) fn not_a_variable(value: &Value, name: &str) -> Fault {
    fault(
        value,
        format!("`{}` is not a variable's name", shorten(name)),
    )
}

/// `Environment=`: `KEY=value` items, or a table.
pub(super) fn environment(
    value: &Value,
    scope: &Scope,
    faults: &mut Vec<Fault>,
) -> Vec<(String, String)> {
    let mut variables = vec![];
    let mut take = |variable: Result<(String, String), Fault>| match variable {
        Ok(variable) => variables.push(variable),
        Err(fault) => faults.push(fault),
    };
    match value.get_ref() {
        Node::Table(entries) => {
            for (key, value) in entries {
                take(table_variable(key, value, scope));
            }
        }
        _ => items(value)
            .iter()
            .for_each(|item| take(assignment(item, scope))),
    }
    variables
}

fn assignment(value: &Value, scope: &Scope) -> Result<(String, String), Fault> {
    let text = text(value)?;
    let Some((name, content)) = text.split_once('=') else {
        let fault = fault(value, format!("`{}` assigns nothing", shorten(text)));
        return Err(fault.hint("write \"KEY=value\""));
    };
    let name = expand(value, name, scope)?;
    if !is_variable_name(&name) {
        return Err(not_a_variable(value, &name));
    }
    Ok((name, expand(value, content, scope)?))
}

fn table_variable(
    key: &Spanned<String>,
    value: &Value,
    scope: &Scope,
) -> Result<(String, String), Fault> {
    let name = key.get_ref();
    if !is_variable_name(name) {
        let message = format!("`{}` is not a variable's name", shorten(name));
        return Err(Fault::new(key.span(), message));
    }
    let content = match value.get_ref() {
        Node::Text(text) => expand(value, text, scope)?,
        Node::Integer(number) => number.to_string(),
        _ => return Err(wrong_type(value, "a string")),
    };
    Ok((name.clone(), content))
}

/// `SuccessExitStatus=` and its kin: exit codes by number or name, and signals by name.
pub(super) fn statuses(value: &Value, faults: &mut Vec<Fault>) -> StatusSet {
    let mut set = StatusSet::default();
    for item in items(value) {
        match status(item) {
            Ok(Status::Code(code)) if !set.codes.contains(&code) => set.codes.push(code),
            Ok(Status::Signal(signal)) if !set.signals.contains(&signal) => {
                set.signals.push(signal);
            }
            Ok(_) => {}
            Err(fault) => faults.push(fault),
        }
    }
    set
}

enum Status {
    Code(u8),
    Signal(Signal),
}

fn status(value: &Value) -> Result<Status, Fault> {
    let text = match value.get_ref() {
        Node::Integer(_) => return number(value, 0, 255).map(Status::Code),
        Node::Text(text) => text,
        _ => return Err(wrong_type(value, "an exit code or a signal")),
    };
    let code = EXIT_CODES.iter().find(|(name, _)| name == text);
    let code = code.map(|(_, code)| *code).or_else(|| text.parse().ok());
    if let Some(code) = code {
        return Ok(Status::Code(code));
    }
    Signal::from_name(text).map(Status::Signal).ok_or_else(|| {
        let hint = if text.contains(char::is_whitespace) {
            Some("write several as an array: [1, \"SIGKILL\"]".to_owned())
        } else {
            nearest(text, EXIT_CODES.iter().map(|(name, _)| *name)).map(did_you_mean)
        };
        let message = format!("`{}` is neither an exit code nor a signal", shorten(text));
        fault(value, message).hint_if(hint)
    })
}
