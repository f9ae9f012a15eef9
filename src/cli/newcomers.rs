//! Services whose logs begin while logs are followed.
//!
//! Owns which of them are wanted, and finding them. Does not own the watch of the folder.

use std::path::Path;

use crate::log;
use crate::unit::{UnitName, glob};

/// Services that may come, by patterns of their names.
#[derive(Clone, Debug)]
pub(super) struct Newcomers {
    patterns: Vec<String>,
}

impl Newcomers {
    /// Nothing where no pattern is.
    pub(super) fn matching(patterns: Vec<String>) -> Option<Newcomers> {
        (!patterns.is_empty()).then_some(Newcomers { patterns })
    }

    /// The service that this file in the folder of logs belongs to, if that is wanted.
    pub(super) fn of_file(&self, file: &[u8]) -> Option<String> {
        let file = std::str::from_utf8(file).ok()?;
        let name = file
            .strip_suffix(".log")
            .or_else(|| file.strip_suffix(".idx"))?;
        let is_wanted = |pattern: &String| glob::matches(pattern, name);
        let is_name = UnitName::parse(name).is_ok();
        (is_name && self.patterns.iter().any(is_wanted)).then(|| name.to_owned())
    }

    /// Those that have a log now.
    pub(super) fn there(&self, folder: &Path) -> Vec<String> {
        let mut there = with_log(folder);
        there.retain(|name| self.of_file(format!("{name}.log").as_bytes()).is_some());
        there
    }
}

/// The services that have a log in this folder, by name.
pub(super) fn with_log(folder: &Path) -> Vec<String> {
    let names = log::with_log(folder).unwrap_or_default();
    let names = names.into_iter();
    names.filter(|name| UnitName::parse(name).is_ok()).collect()
}
