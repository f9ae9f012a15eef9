//! The JSON Schema of a unit file, made from the same table of keys as the parser reads: draft 7, which editors know.
//!
//! Owns how a form is said in that language. A schema can say less than the parser checks, never more: what it refuses,
//! `check` refuses too.

use super::json::Json;
use crate::unit::{Bound, Form, Key, Signal, keys};

/// What a text begins with that is an absolute path, or becomes one by its specifier.
const PATH: &str = "^[/%]";
const SANDBOX_PATH: &str = "^-?\\+?[/%]";
const OPTIONAL_PATH: &str = "^-?[/%]";
/// Specifiers may stand in it; it ends with an `@` only where it is a template, which cannot be named.
const NAME: &str = "^[A-Za-z0-9:_\\\\%-]([A-Za-z0-9:_.\\\\@%-]*[A-Za-z0-9:_.\\\\%-])?$";
/// Each number is followed by its unit or by a blank: with one way only to read a text, a wrong one is refused as
/// quickly as a right one is matched.
const SPAN: &str = "^\\s*(infinity\\s*|([0-9.]+\\s*(ns|nsec|us|usec|\u{b5}s|\u{3bc}s|ms|msec|\
                    s|sec|seconds?|m|min|minutes?|h|hr|hours?|d|days?|w|weeks?|M|months?|y|years?)\\s*|\
                    [0-9.]+\\s+)*([0-9.]+)?)$";
const SIZE: &str = "^\\s*[0-9]+(\\.[0-9]*)?\\s*[KMGTPEB]?\\s*$";
const MEMORY: &str = "^(infinity|\\+?[0-9]+%|\\s*[0-9]+(\\.[0-9]*)?\\s*[KMGTPEB]?\\s*)$";
const SIGNAL: &str = "^([0-9]+|([Ss][Ii][Gg])?[A-Za-z][A-Za-z0-9]*([+-][0-9]+)?)$";
const LINK: &str = "^(https?://|file:|info:|man:|%)";
const VARIABLE: &str = "^[A-Za-z_%][A-Za-z0-9_%]*$";
const ASSIGNMENT: &str = "^[A-Za-z_%][A-Za-z0-9_%]*=";
const CHECK: &str = "^(tcp:|unix:|http:|exec:|file:)";
const READY: &str = "^(notify$|fd:[0-9]+$|log:|tcp:|unix:|http:|exec:|file:)";
const INPUT: &str = "^(null$|socket$|file:)";
const OUTPUT: &str = "^(log$|null$|inherit$|socket$|file:|append:|truncate:)";
const ERROR_OUTPUT: &str = "^(log$|log:err$|null$|inherit$|socket$|file:|append:|truncate:)";
/// The longest list, as the parser has it.
const ITEMS_MAX: u64 = 4_096;
/// The highest number of a user or group.
const ACCOUNT_MAX: i64 = u32::MAX as i64 - 1;

/// The whole document.
pub(super) fn schema() -> Json {
    let mut sections: Vec<(&'static str, Vec<(&'static str, Json)>)> = Vec::new();
    for key in keys() {
        let property = (key.name, property(key));
        match sections.iter_mut().find(|(name, _)| *name == key.section) {
            Some((_, properties)) => properties.push(property),
            None => sections.push((key.section, vec![property])),
        }
    }
    let sections = sections.into_iter().map(|(name, properties)| {
        let section = Json::Object(vec![
            ("description", Json::text(section_help(name))),
            ("type", Json::text("object")),
            ("properties", Json::Object(properties)),
            ("additionalProperties", Json::Bool(false)),
        ]);
        (name, section)
    });
    Json::Object(vec![
        (
            "$schema",
            Json::text("http://json-schema.org/draft-07/schema#"),
        ),
        ("title", Json::text("Diakonos unit file or drop-in")),
        ("type", Json::text("object")),
        ("properties", Json::Object(sections.collect())),
        ("additionalProperties", Json::Bool(false)),
    ])
}

fn section_help(section: &str) -> &'static str {
    match section {
        "unit" => "what the unit is, and what it is to others",
        "service" => {
            "its process; a file without this section is a group, nothing but dependencies"
        }
        "socket" => "sockets that are opened for the service",
        "timer" => "when the service starts by itself",
        "watch" => "files whose changes are acted on",
        "health" => "whether the service is well",
        "install" => "what `enable` does beside starting it with the daemon",
        _ => "",
    }
}

/// The form of a key with its description.
fn property(key: &Key) -> Json {
    let mut text = key.help().to_owned();
    let takes = key.form.describe();
    text.push_str(&format!(". Takes: {takes}."));
    if !key.default.is_empty() {
        text.push_str(&format!(" Default: {}.", key.default));
    }
    if !key.honoured {
        text.push_str(" Not supported by this version: `start` refuses a unit that has it.");
    }
    let mut fields = vec![("description", Json::Text(text))];
    if let Json::Object(form) = form(key.form) {
        fields.extend(form);
    }
    Json::Object(fields)
}

fn form(form: Form) -> Json {
    match form {
        Form::Flag => typed("boolean"),
        Form::Integer(least, most) => integer(least, most),
        Form::Word(words) => words_of(words),
        Form::FlagOr(words) => any([typed("boolean"), words_of(words)]),
        Form::FlagOrTexts => any([typed("boolean"), list(typed("string"))]),
        Form::Spans => list(span()),
        Form::Line => typed("string"),
        Form::Texts => list(text()),
        // A user can be a number.
        Form::Conditions => list(any([integer(0, ACCOUNT_MAX), text()])),
        Form::Links => list(pattern(LINK)),
        Form::Names => list(pattern(NAME)),
        Form::Keys => {
            let service = keys().iter().filter(|key| key.section == "service");
            let names: Vec<Json> = service.map(|key| Json::text(key.name)).collect();
            list(Json::Object(vec![("enum", Json::List(names))]))
        }
        Form::Commands => commands(),
        Form::Environment => environment(),
        Form::Variables => list(pattern(VARIABLE)),
        Form::Unset => list(any([pattern(VARIABLE), pattern(ASSIGNMENT)])),
        Form::Statuses => list(any([integer(0, 255), pattern("^[A-Za-z0-9+-]+$")])),
        Form::Capabilities | Form::Families | Form::SystemCalls => list(typed("string")),
        Form::Cpus => list(any([integer(0, 8_191), pattern("^[0-9, +-]+$")])),
        Form::Addresses => list(any([integer(1, 65_535), text()])),
        Form::Bandwidths => list(pattern("^\\s*/.*\\s.*[0-9]")),
        Form::Percent
        | Form::Quota
        | Form::Weight
        | Form::Tasks
        | Form::Span
        | Form::Size
        | Form::Memory
        | Form::Limit(_)
        | Form::Mode
        | Form::Signal => number(form),
        Form::Account
        | Form::Accounts
        | Form::Path
        | Form::Paths
        | Form::PidFile
        | Form::Directory
        | Form::Folders
        | Form::EnvironmentFiles
        | Form::Input
        | Form::Output
        | Form::ErrorOutput
        | Form::Ready
        | Form::Check => place(form),
    }
}

/// The forms of amounts: a number, or a text that stands for one.
fn number(form: Form) -> Json {
    let amount = |text| any([integer(0, i64::MAX), pattern(text)]);
    match form {
        Form::Percent => any([integer(0, 100), pattern("^\\+?[0-9]+%$")]),
        Form::Quota => pattern("^\\+?[0-9]+%$"),
        Form::Weight => any([integer(1, 10_000), pattern("^idle$")]),
        Form::Tasks => amount("^(infinity|\\+?[0-9]+%)$"),
        Form::Span => span(),
        Form::Size => amount(SIZE),
        Form::Memory => amount(MEMORY),
        Form::Limit(Bound::Nice) => any([integer(-20, 40), text()]),
        Form::Limit(_) => any([integer(0, i64::MAX), text()]),
        Form::Mode => pattern("^0*[0-7]{1,3}$"),
        _ => any([integer(1, i64::from(Signal::MOST)), pattern(SIGNAL)]),
    }
}

/// The forms of what the service finds: users, paths, streams, and what is looked at from outside.
fn place(form: Form) -> Json {
    let account = || any([integer(0, ACCOUNT_MAX), text()]);
    match form {
        Form::Account => account(),
        Form::Accounts => list(account()),
        Form::Path => pattern(PATH),
        Form::Paths => list(pattern(SANDBOX_PATH)),
        Form::Folders => list(pattern("^[^/]")),
        Form::EnvironmentFiles => list(pattern(OPTIONAL_PATH)),
        Form::Input => pattern(INPUT),
        Form::Output => pattern(OUTPUT),
        Form::ErrorOutput => pattern(ERROR_OUTPUT),
        Form::Ready => pattern(READY),
        Form::Check => pattern(CHECK),
        _ => text(),
    }
}

fn typed(name: &str) -> Json {
    Json::Object(vec![("type", Json::text(name))])
}

/// A text with something in it.
fn text() -> Json {
    Json::Object(vec![
        ("type", Json::text("string")),
        ("minLength", Json::Number(1)),
    ])
}

fn pattern(pattern: &str) -> Json {
    Json::Object(vec![
        ("type", Json::text("string")),
        ("pattern", Json::text(pattern)),
    ])
}

fn integer(least: i64, most: i64) -> Json {
    let mut fields = vec![
        ("type", Json::text("integer")),
        ("minimum", Json::Integer(least)),
    ];
    if most < i64::MAX {
        fields.push(("maximum", Json::Integer(most)));
    }
    Json::Object(fields)
}

fn span() -> Json {
    let seconds = Json::Object(vec![
        ("type", Json::text("number")),
        ("minimum", Json::Number(0)),
    ]);
    any([seconds, pattern(SPAN)])
}

fn words_of(words: &[&str]) -> Json {
    let words = words.iter().map(|word| Json::text(word));
    Json::Object(vec![("enum", Json::List(words.collect()))])
}

fn any<const N: usize>(forms: [Json; N]) -> Json {
    Json::Object(vec![("anyOf", Json::List(forms.into()))])
}

fn array(item: Json) -> Json {
    Json::Object(vec![
        ("type", Json::text("array")),
        ("items", item),
        ("maxItems", Json::Number(ITEMS_MAX)),
    ])
}

/// A list; one item may stand alone.
fn list(item: Json) -> Json {
    any([item.clone(), array(item)])
}

/// A command line, the words of one command, or several such arrays.
fn commands() -> Json {
    let words = || array(typed("string"));
    any([text(), words(), array(words())])
}

fn environment() -> Json {
    let table = Json::Object(vec![
        ("type", Json::text("object")),
        (
            "additionalProperties",
            any([typed("string"), typed("integer")]),
        ),
    ]);
    any([pattern(ASSIGNMENT), array(pattern(ASSIGNMENT)), table])
}
