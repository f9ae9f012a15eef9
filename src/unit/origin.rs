//! Where the keys of a unit are written: in its file or in which of its drop-ins, and on which line.
//!
//! Owns only the places; what a key comes to is the model's. Files that are wrong have places, too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::search::read_sources;
use super::{LoadError, UnitName, file, keys};

/// Where a key got its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub path: PathBuf,
    /// From 1.
    pub line: u32,
}

/// The places of all keys that are written, by section and name; of one that is written twice the place that counts.
///
/// # Errors
/// A file cannot be read.
pub fn origins(
    path: &Path,
    name: &UnitName,
) -> Result<BTreeMap<(&'static str, &'static str), Origin>, LoadError> {
    let mut found = BTreeMap::new();
    for source in read_sources(path, name)? {
        for section in file::read(&source).sections {
            for pair in section.pairs {
                let known = keys::find(section.name.get_ref(), pair.key.get_ref());
                let Some(key) = known else { continue };
                let line = source.line_at(pair.key.span().start);
                let path = source.path.clone();
                found.insert((key.section, key.name), Origin { path, line });
            }
        }
    }
    Ok(found)
}
