//! The text of a unit file from what a command line says: a unit that nobody has written down.
//!
//! Owns how words of a shell become values of TOML. Whether they make a unit is the parser's to say, which shows the
//! places in this text.

use std::fmt;

use super::form::Form;
use super::keys::{self, Key};
use super::nearest;
use super::print::string;
use super::report::did_you_mean;
use super::value::shorten;

/// What a command line says of a unit.
#[derive(Clone, Copy, Debug)]
pub struct Wording<'a> {
    pub description: &'a str,
    /// The program and its arguments, taken as they are; at least one.
    pub command: &'a [String],
    /// Absolute.
    pub directory: &'a str,
    /// `NAME=value`, taken as they are.
    pub variables: &'a [String],
    /// `KEY=VALUE`, any key of a unit file. One that takes several values may come several times.
    pub properties: &'a [String],
}

/// Words that no file can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    pub message: String,
    pub hint: Option<String>,
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Unclear {}

/// Keys that the command line says in another way, and how.
const SAID_OTHERWISE: [(&str, &str); 1] = [("ExecStart", "the command stands behind `--`")];

/// A unit file that says the same.
///
/// # Errors
/// A property that is no `KEY=VALUE`, whose key there is not, or which takes one value and comes twice.
pub fn compose(wording: &Wording<'_>) -> Result<String, Unclear> {
    let mut given: Vec<(&'static Key, Vec<&str>)> = Vec::new();
    for property in wording.properties {
        let (key, value) = property_of(property)?;
        match given.iter_mut().find(|(known, _)| known.name == key.name) {
            Some((_, values)) if takes_several(key.form) => values.push(value),
            Some(_) => return Err(unclear(format!("{}= is given twice", key.name), None)),
            None => given.push((key, vec![value])),
        }
    }
    let mut page = String::from("[unit]\n");
    let has = |name: &str| given.iter().any(|(key, _)| key.name == name);
    if !has("Description") {
        page.push_str(&line("Description", &string(&literal(wording.description))));
    }
    page.push_str(&lines("unit", &given));
    page.push_str("[service]\n");
    // An array is the words of one command, taken as they are.
    let words = wording.command.iter().map(|word| string(word));
    page.push_str(&line("ExecStart", &array(words)));
    if !has("WorkingDirectory") {
        let directory = string(&literal(wording.directory));
        page.push_str(&line("WorkingDirectory", &directory));
    }
    let variables = wording.variables.iter();
    let mut variables: Vec<String> = variables.map(|one| string(&literal(one))).collect();
    for (_, values) in given.iter().filter(|(key, _)| key.name == "Environment") {
        // What was said last of a variable holds.
        for value in values {
            variables.extend(assignments(value)?);
        }
    }
    if !variables.is_empty() {
        page.push_str(&line("Environment", &array(variables.into_iter())));
    }
    given.retain(|(key, _)| key.name != "Environment");
    page.push_str(&lines("service", &given));
    for section in keys::SECTIONS {
        let own = lines(section, &given);
        if !matches!(section, "unit" | "service") && !own.is_empty() {
            page.push_str(&format!("[{section}]\n{own}"));
        }
    }
    Ok(page)
}

fn property_of(property: &str) -> Result<(&'static Key, &str), Unclear> {
    let Some((name, value)) = property.split_once('=') else {
        let message = format!("`{}` is no property", shorten(property));
        return Err(unclear(message, Some("write KEY=VALUE".to_owned())));
    };
    let name = name.trim();
    if let Some((_, hint)) = SAID_OTHERWISE.iter().find(|(key, _)| *key == name) {
        let message = format!("{name}= cannot be a property");
        return Err(unclear(message, Some((*hint).to_owned())));
    }
    match keys::keys().iter().find(|key| key.name == name) {
        Some(key) => Ok((key, value.trim())),
        None => {
            let near = nearest(name, keys::keys().iter().map(|key| key.name));
            let message = format!("a unit file has no key `{}`", shorten(name));
            Err(unclear(message, near.map(did_you_mean)))
        }
    }
}

/// The items of one `Environment=`, as TOML has them: it stands in one array with the variables of `--set`.
fn assignments(value: &str) -> Result<Option<String>, Unclear> {
    if value.starts_with('{') {
        let message = "Environment= as a property takes no table".to_owned();
        let hint = "write --set NAME=VALUE, once for each";
        return Err(unclear(message, Some(hint.to_owned())));
    }
    let inner = value
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let Some(inner) = inner else {
        let is_written_out = value.starts_with(['"', '\'']);
        return Ok(Some(if is_written_out {
            value.to_owned()
        } else {
            string(value)
        }));
    };
    let items = inner.trim().trim_end_matches(',').trim_end();
    Ok((!items.is_empty()).then(|| items.to_owned()))
}

fn unclear(message: String, hint: Option<String>) -> Unclear {
    Unclear { message, hint }
}

/// What stands of these in a section.
fn lines(section: &str, given: &[(&'static Key, Vec<&str>)]) -> String {
    let mine = given.iter().filter(|(key, _)| key.section == section);
    mine.map(|(key, values)| line(key.name, &written(key.form, values)))
        .collect()
}

fn line(key: &str, value: &str) -> String {
    format!("{key} = {value}\n")
}

fn array(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    format!("[{}]", items.join(", "))
}

fn takes_several(form: Form) -> bool {
    form.is_list()
        || matches!(
            form,
            Form::Commands
                | Form::Environment
                | Form::Statuses
                | Form::Capabilities
                | Form::Families
                | Form::SystemCalls
        )
}

fn written(form: Form, values: &[&str]) -> String {
    match values {
        [one] => value(form, one),
        // An array would be the words of one command.
        several if form == Form::Commands => string(&several.join(" ; ")),
        several => array(several.iter().map(|one| value(form, one))),
    }
}

/// A value as TOML has it where it is TOML, and else as a string.
fn value(form: Form, text: &str) -> String {
    let is_written_out = text.starts_with(['[', '{', '"', '\'']);
    let is_word = matches!(text, "true" | "false") && is_flag(form);
    let is_number = text.parse::<i64>().is_ok() && is_number(form);
    let is_fraction = matches!(form, Form::Span | Form::Spans) && is_decimal(text);
    // As a pattern may begin, and no array of TOML does.
    let is_pattern = text.starts_with('[') && !text.ends_with(']');
    if (is_written_out && !is_pattern) || is_word || is_number || is_fraction {
        return text.to_owned();
    }
    string(text)
}

fn is_flag(form: Form) -> bool {
    matches!(form, Form::Flag | Form::FlagOr(_) | Form::FlagOrTexts)
}

fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.')
        .is_some_and(|(a, b)| digits(a) && digits(b))
}

fn is_number(form: Form) -> bool {
    matches!(
        form,
        Form::Integer(..)
            | Form::Percent
            | Form::Weight
            | Form::Tasks
            | Form::Span
            | Form::Spans
            | Form::Size
            | Form::Memory
            | Form::Limit(_)
            | Form::Signal
            | Form::Statuses
            | Form::Account
            | Form::Accounts
            | Form::Addresses
            | Form::Cpus
    )
}

/// Guards what is meant as it stands from being read as a specifier.
fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

    use std::path::Path;

    use super::super::{Context, Policy, Unit, UnitName, parse};
    use super::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn composed(properties: &[&str]) -> Result<String, Unclear> {
        let command = owned(&["/bin/echo", "100%", "$HOME", "a \"b\"\n"]);
        let variables = owned(&["PATH=/a:/b", "RATE=5%d"]);
        compose(&Wording {
            description: "echo 100%",
            command: &command,
            directory: "/srv/50%",
            variables: &variables,
            properties: &owned(properties),
        })
    }

    fn read(properties: &[&str]) -> Unit {
        let context = Context::example();
        let text = composed(properties).unwrap();
        let name = UnitName::parse("echo-1").unwrap();
        parse(&text, Path::new("/t/echo-1.service"), &name, &context)
            .unwrap_or_else(|report| panic!("{text}\n{report}"))
    }

    #[test]
    fn what_is_said_is_taken_as_it_stands() {
        let unit = read(&[]);
        assert_eq!(unit.description, "echo 100%");
        let service = unit.service.unwrap();
        assert_eq!(service.start[0].arguments, ["100%", "$HOME", "a \"b\"\n"]);
        assert!(!service.start[0].expand);
        assert_eq!(service.environment[1].1, "5%d");
        assert_eq!(
            service.working_directory,
            super::super::WorkingDirectory::Path {
                path: "/srv/50%".into(),
                optional: false
            }
        );
    }

    #[test]
    fn properties_are_read_as_their_keys_want_them() {
        let unit = read(&[
            "Restart=always",
            "RestartSec=1.5",
            "UMask=022",
            "TasksMax=10",
            "MemoryMax=20%",
            "NoNewPrivileges=true",
            "SuccessExitStatus=3",
            "SuccessExitStatus=SIGUSR1",
            "ExecStartPre=/bin/a b",
            "ExecStartPre=/bin/c",
            "ExecStopPost=[\"/bin/d\", \"$e\"]",
            "Environment=A=b c",
            "Environment=[\"B=1\", 'C=2',]",
            "Environment='D=3'",
            "Environment=[]",
            "After=db",
            "After=cache",
            "Description=7",
            "WorkingDirectory=/",
        ]);
        assert_eq!(unit.description, "7");
        assert_eq!(unit.after.len(), 2);
        let service = unit.service.unwrap();
        assert_eq!(service.restart.policy, Policy::Always);
        assert_eq!(service.umask, 0o022);
        assert_eq!(service.restart.success.codes, [3]);
        assert_eq!(service.restart.success.signals.len(), 1);
        assert_eq!(service.start_pre.len(), 2);
        assert_eq!(service.stop_post[0].arguments, ["$e"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            service.environment[2..],
            [
                pair("A", "b c"),
                pair("B", "1"),
                pair("C", "2"),
                pair("D", "3")
            ]
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refused = |property: &[&str]| {
            let unclear = composed(property).unwrap_err();
            format!("{} | {}", unclear.message, unclear.hint.unwrap_or_default())
        };
        assert!(refused(&["Restrat=always"]).contains("did you mean `Restart`?"));
        assert!(refused(&["Restart"]).contains("KEY=VALUE"));
        assert!(refused(&["ExecStart=/bin/a"]).contains("behind `--`"));
        assert!(refused(&["Environment={ A = \"1\" }"]).contains("--set NAME=VALUE"));
        assert!(refused(&["Restart=no", "Restart=always"]).contains("twice"));
    }
}
