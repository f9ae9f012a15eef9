//! Small lists that outlive the daemon and the machine: a file of lines, each a name, a tab and a value.
//!
//! Owns reading them, and writing them anew as a whole. What a value is and means is its owner's: which units are
//! enabled (`enabled.rs`), how many instances templates have (`scales.rs`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::sys::process::error_text;
use crate::unit::UnitName;

/// Reads the file; one that is missing says nothing, a line that makes no sense is logged and left out. `what`: "a
/// template and a number".
pub(super) fn read<T>(
    path: &Path,
    what: &str,
    value: impl Fn(&UnitName, &str) -> Option<T>,
) -> BTreeMap<UnitName, T> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                let reason = error_text(&error);
                ::log::error!("cannot read {}: {reason}", path.display());
            }
            String::new()
        }
    };
    let entry = |line: &str| {
        let (name, text) = line.split_once('\t')?;
        let name = UnitName::parse(name).ok()?;
        let value = value(&name, text)?;
        Some((name, value))
    };
    let mut entries = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        match entry(line) {
            Some((name, value)) => drop(entries.insert(name, value)),
            None => ::log::warn!("{}:{number}: not {what}", path.display()),
        }
    }
    entries
}

/// Writes the file anew: whoever reads it finds the old lines or the new ones, also after the power failed.
pub(super) fn write<'a>(
    path: &Path,
    entries: impl Iterator<Item = (&'a UnitName, String)>,
) -> io::Result<()> {
    let mut text = String::new();
    for (name, value) in entries {
        text.push_str(&format!("{name}\t{value}\n"));
    }
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // Whoever was told that it is written finds it so after the power failed: the new name is on the disk, too.
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
