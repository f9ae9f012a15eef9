//! Folders that a service is given: `RuntimeDirectory=` and its four siblings, systemd.exec(5).
//!
//! Owns their forms and the places below which they lie. Making and removing them is the shell's.

use std::path::PathBuf;

use super::file::Node;
use super::parse::Reader;
use super::report::Fault;
use super::specifier::{Context, Scope};
use super::value::{self, Value, fault, shorten, unknown_word};

const SERVICE: &str = "service";
/// The mode of what systemd makes, too.
const MODE: u32 = 0o755;

/// What a folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// As long as the service runs.
    Runtime,
    State,
    Cache,
    Logs,
    Configuration,
}

/// The folders of one purpose; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Folders {
    pub purpose: Purpose,
    /// Below which they lie, absolute.
    pub base: PathBuf,
    /// Plain relative paths without `:`.
    pub names: Vec<String>,
    /// 0 to 0o777.
    pub mode: u32,
}

/// `RuntimeDirectoryPreserve=`: when the runtime folders outlast a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preserve {
    #[default]
    No,
    /// While the service is restarted, by hand or by itself.
    Restart,
    Always,
}

const PRESERVE: &str = "RuntimeDirectoryPreserve";

pub(super) const PURPOSES: [Purpose; 5] = [
    Purpose::Runtime,
    Purpose::State,
    Purpose::Cache,
    Purpose::Logs,
    Purpose::Configuration,
];

impl Purpose {
    /// The key that names the folders, and the one for their mode.
    pub(super) fn keys(self) -> (&'static str, &'static str) {
        match self {
            Self::Runtime => ("RuntimeDirectory", "RuntimeDirectoryMode"),
            Self::State => ("StateDirectory", "StateDirectoryMode"),
            Self::Cache => ("CacheDirectory", "CacheDirectoryMode"),
            Self::Logs => ("LogsDirectory", "LogsDirectoryMode"),
            Self::Configuration => ("ConfigurationDirectory", "ConfigurationDirectoryMode"),
        }
    }

    #[must_use]
    pub fn key(self) -> &'static str {
        self.keys().0
    }

    /// The variable in which the service finds them.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Runtime => "RUNTIME_DIRECTORY",
            Self::State => "STATE_DIRECTORY",
            Self::Cache => "CACHE_DIRECTORY",
            Self::Logs => "LOGS_DIRECTORY",
            Self::Configuration => "CONFIGURATION_DIRECTORY",
        }
    }

    fn base(self, context: &Context) -> &PathBuf {
        match self {
            Self::Runtime => &context.runtime,
            Self::State => &context.state,
            Self::Cache => &context.cache,
            Self::Logs => &context.logs,
            Self::Configuration => &context.configuration,
        }
    }
}

impl Folders {
    /// Their absolute paths.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.names.iter().map(|name| self.base.join(name))
    }
}

impl Preserve {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Restart => "restart",
            Self::Always => "yes",
        }
    }
}

pub(super) fn read(reader: &mut Reader) -> Vec<Folders> {
    PURPOSES
        .iter()
        .filter_map(|purpose| of_purpose(reader, *purpose))
        .collect()
}

fn of_purpose(reader: &mut Reader, purpose: Purpose) -> Option<Folders> {
    let (key, mode_key) = purpose.keys();
    let mut names: Vec<String> = Vec::new();
    let mut base = PathBuf::new();
    for (name, below) in reader.many(SERVICE, key, |value, scope| {
        Ok((folder(value, scope)?, purpose.base(scope.context).clone()))
    }) {
        base = below;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mode = reader.one(SERVICE, mode_key, |value, _| value::mode(value));
    if names.is_empty() {
        if mode.is_some() && !reader.is_wrong(SERVICE, key) {
            let message = format!("{mode_key}= without {key}=, whose mode it is");
            reader.complain(SERVICE, mode_key, message, None);
        }
        return None;
    }
    Some(Folders {
        purpose,
        base,
        names,
        mode: mode.unwrap_or(MODE),
    })
}

pub(super) fn preserve(reader: &mut Reader) -> Preserve {
    let read = reader.one(SERVICE, PRESERVE, |value, _| match value.get_ref() {
        Node::Text(word) => match &**word {
            "no" => Ok(Preserve::No),
            "yes" => Ok(Preserve::Always),
            "restart" => Ok(Preserve::Restart),
            word => Err(unknown_word(value, word, &["no", "yes", "restart"])),
        },
        _ => value::flag(value).map(|flag| match flag {
            true => Preserve::Always,
            false => Preserve::No,
        }),
    });
    read.unwrap_or_default()
}

/// A plain relative path. A colon would part it from the next in the variable.
pub(super) fn folder(value: &Value, scope: &Scope) -> Result<String, Fault> {
    let path = value::expanded(value, scope)?;
    if path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        let message = format!("`{}` is not a plain relative path", shorten(&path));
        return Err(fault(value, message));
    }
    if path.contains([':', '\0']) {
        let message = format!(
            "`{}` holds a colon, which no folder may have",
            shorten(&path)
        );
        return Err(fault(value, message).hint("the form NAME:LINK is not known here"));
    }
    Ok(path)
}
