//! `Condition…=` and `Assert…=`, systemd.unit(5): what is to be true of the machine when a unit's turn to start comes.
//!
//! Owns their words. How several are taken together is the engine's, and whether one is true is for the daemon to find.

use std::fmt;
use std::path::PathBuf;

use super::environment::is_variable_name;
use super::file::Node;
use super::parse::Reader;
use super::report::Fault;
use super::specifier::Scope;
use super::value::{self, Value, fault, shorten};

/// One condition or assertion.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    pub demand: Demand,
    pub weight: Weight,
    /// What its test has to be.
    pub wanted: Truth,
    pub test: Test,
}

/// What it means that it is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Demand {
    /// The start is skipped, and that is no failure.
    Condition,
    /// The start fails.
    Assert,
}

/// How it counts among others of its demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weight {
    /// It has to be met.
    Each,
    /// Prefix `|`: of all these, at least one has to be met.
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Truth {
    True,
    /// Prefix `!` wants it so.
    Untrue,
}

impl From<bool> for Truth {
    fn from(is_true: bool) -> Self {
        if is_true { Self::True } else { Self::Untrue }
    }
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// Absolute.
    PathExists(PathBuf),
    /// Absolute; a link to a folder counts.
    PathIsDirectory(PathBuf),
    /// Absolute: a regular file that has a length.
    FileNotEmpty(PathBuf),
    /// A variable of the daemon's own environment: that it is there, or (`NAME=value`) that this is its value.
    Environment(String),
    /// The user that the daemon runs as, by name or number; `@system` is any of the system's own.
    User(String),
    /// The machine's name as a pattern in which case does not count, or the id of the machine or of this boot.
    Host(String),
}

/// The keys, conditions first.
const KEYS: [(Demand, &str); 12] = [
    (Demand::Condition, "ConditionPathExists"),
    (Demand::Condition, "ConditionPathIsDirectory"),
    (Demand::Condition, "ConditionFileNotEmpty"),
    (Demand::Condition, "ConditionEnvironment"),
    (Demand::Condition, "ConditionUser"),
    (Demand::Condition, "ConditionHost"),
    (Demand::Assert, "AssertPathExists"),
    (Demand::Assert, "AssertPathIsDirectory"),
    (Demand::Assert, "AssertFileNotEmpty"),
    (Demand::Assert, "AssertEnvironment"),
    (Demand::Assert, "AssertUser"),
    (Demand::Assert, "AssertHost"),
];

impl Condition {
    /// The key that it is written in.
    #[must_use]
    pub fn key(&self) -> &'static str {
        let (conditions, asserts) = KEYS.split_at(KEYS.len() / 2);
        let keys = match self.demand {
            Demand::Condition => conditions,
            Demand::Assert => asserts,
        };
        let index = match self.test {
            Test::PathExists(_) => 0,
            Test::PathIsDirectory(_) => 1,
            Test::FileNotEmpty(_) => 2,
            Test::Environment(_) => 3,
            Test::User(_) => 4,
            Test::Host(_) => 5,
        };
        keys.get(index).map_or("", |(_, key)| key)
    }

    /// As it is written behind its key.
    #[must_use]
    pub fn value(&self) -> String {
        let any = match self.weight {
            Weight::Each => "",
            Weight::Any => "|",
        };
        let not = match self.wanted {
            Truth::True => "",
            Truth::Untrue => "!",
        };
        let what = match &self.test {
            Test::PathExists(path) | Test::PathIsDirectory(path) | Test::FileNotEmpty(path) => {
                path.to_string_lossy()
            }
            Test::Environment(text) | Test::User(text) | Test::Host(text) => text.as_str().into(),
        };
        format!("{any}{not}{what}")
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key(), self.value())
    }
}

/// All of a unit, key by key.
pub(super) fn read(reader: &mut Reader) -> Box<[Condition]> {
    let mut all = Vec::new();
    for (demand, key) in KEYS {
        all.extend(reader.many("unit", key, |value, scope| {
            condition(value, scope, (demand, key))
        }));
    }
    all.into()
}

/// The key and the values of each key that is used, as they are written.
pub(super) fn lines(conditions: &[Condition]) -> impl Iterator<Item = (&'static str, Vec<String>)> {
    KEYS.iter().filter_map(|(_, key)| {
        let mine = conditions.iter().filter(|one| one.key() == *key);
        let values: Vec<String> = mine.map(Condition::value).collect();
        (!values.is_empty()).then_some((*key, values))
    })
}

fn condition(
    value: &Value,
    scope: &Scope,
    (demand, key): (Demand, &'static str),
) -> Result<Condition, Fault> {
    if let (Node::Integer(_), "ConditionUser" | "AssertUser") = (value.get_ref(), key) {
        return Ok(Condition {
            demand,
            weight: Weight::Each,
            wanted: Truth::True,
            test: Test::User(value::account(value, scope)?),
        });
    }
    let text = value::text(value)?;
    let (weight, text) = match text.strip_prefix('|') {
        Some(rest) => (Weight::Any, rest.trim_start()),
        None => (Weight::Each, text),
    };
    let (wanted, text) = match text.strip_prefix('!') {
        Some(rest) => (Truth::Untrue, rest.trim_start()),
        None => (Truth::True, text),
    };
    if text.is_empty() {
        let hint = "to have none, write []";
        return Err(fault(value, "nothing is named that is to be true").hint(hint));
    }
    if wanted == Truth::Untrue && text.starts_with('|') {
        return Err(fault(value, "`|` stands before `!`").hint(format!("write `|!{}`", &text[1..])));
    }
    let path = || value::absolute(value, text, scope);
    let word = || value::expand(value, text, scope);
    let kind = key
        .trim_start_matches("Condition")
        .trim_start_matches("Assert");
    let test = match kind {
        "PathExists" => Test::PathExists(path()?),
        "PathIsDirectory" => Test::PathIsDirectory(path()?),
        "FileNotEmpty" => Test::FileNotEmpty(path()?),
        "Environment" => Test::Environment(variable(value, word()?)?),
        "User" => Test::User(user(value, word()?)?),
        _ => Test::Host(word()?),
    };
    Ok(Condition {
        demand,
        weight,
        wanted,
        test,
    })
}

fn variable(value: &Value, text: String) -> Result<String, Fault> {
    let name = text.split_once('=').map_or(&*text, |(name, _)| name);
    if is_variable_name(name) {
        return Ok(text);
    }
    Err(value::not_a_variable(value, name))
}

fn user(value: &Value, text: String) -> Result<String, Fault> {
    if text.starts_with('@') && text != "@system" {
        let message = format!("`{}` is no group of users", shorten(&text));
        return Err(fault(value, message).hint("a name, a number or @system"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

    use std::path::Path;

    use super::super::{Context, Unit, UnitName, parse, to_toml};

    fn read(lines: &str) -> Result<Unit, String> {
        let context = Context::example();
        let name = UnitName::parse("web").unwrap();
        let text = format!("[unit]\n{lines}\n[service]\nExecStart = \"/bin/true\"\n");
        parse(&text, Path::new("/srv/web.service"), &name, &context)
            .map_err(|report| report.to_string())
    }

    #[test]
    fn signs_and_specifiers_are_read_and_printed_again() {
        let unit = read(
            "ConditionPathExists = [\"|! %h/a\", \"/b%%\"]\nConditionUser = 0\n\
             AssertEnvironment = \"!A=b\"\nAssertHost = \"| web-*\"",
        )
        .unwrap_or_else(|report| panic!("{report}"));
        let written: Vec<String> = unit.conditions.iter().map(ToString::to_string).collect();
        assert_eq!(
            written,
            [
                "ConditionPathExists=|!/home/ada/a",
                "ConditionPathExists=/b%",
                "ConditionUser=0",
                "AssertEnvironment=!A=b",
                "AssertHost=|web-*",
            ]
        );
        let printed = to_toml(&unit);
        let section: String = printed
            .lines()
            .skip(1)
            .take_while(|line| !line.starts_with('['))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(read(&section).unwrap().conditions, unit.conditions);
    }

    #[test]
    fn what_asks_for_nothing_is_refused() {
        for (line, why) in [
            ("ConditionPathExists = \"\"", "nothing is named"),
            ("ConditionPathExists = \"|!\"", "nothing is named"),
            ("ConditionPathExists = \"!|/a\"", "write `|!/a`"),
            ("ConditionPathExists = \"here\"", "absolute"),
            ("ConditionEnvironment = \"1 = 2\"", "not a variable's name"),
            ("ConditionUser = \"@staff\"", "no group of users"),
            ("ConditionHost = 7", "expected a string"),
        ] {
            let report = read(line).unwrap_err();
            assert!(report.contains(why), "{line}: {report}");
        }
    }
}
