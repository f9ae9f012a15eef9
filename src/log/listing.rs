//! The files of many logs of one folder, listed once for all of their readers.
//!
//! A listing costs as much as there are files in the folder, so a thousand readers that each make their own take a
//! thousand times as long. Does not own what becomes of files that were moved since: who opens one looks again then.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

use super::paths::{Files, Paths, Seen, is_same_listing};
use super::total::service_of;

/// See the module.
#[derive(Debug)]
pub struct Listing {
    directory: Box<Path>,
    logs: BTreeMap<String, Vec<Seen>>,
}

impl Listing {
    /// Of a folder that is not listed: each reader does so for itself.
    #[must_use]
    pub fn none(directory: &Path) -> Self {
        let (directory, logs) = (directory.into(), BTreeMap::new());
        Self { directory, logs }
    }

    /// Of these services. Where the folder cannot be read each reader finds that out for itself.
    #[must_use]
    pub fn of(directory: &Path, names: &[String]) -> Self {
        let mut listing = Self::none(directory);
        if names.len() > 1
            && let (Ok(first), Ok(second)) = (listed(directory, names), listed(directory, names))
        {
            listing.logs = first;
            // A listing while files are renamed can miss one.
            listing.logs.retain(|name, seen| {
                let again = second.get(name);
                again.is_some_and(|again| is_same_listing(seen, again))
            });
        }
        listing
    }

    /// The files of one service's log.
    pub(super) fn paths(&self, name: &str) -> io::Result<Paths> {
        let seen = self.logs.get(name).map_or(&[][..], Vec::as_slice);
        Paths::known(&self.directory, name, seen)
    }
}

fn listed(directory: &Path, names: &[String]) -> io::Result<BTreeMap<String, Vec<Seen>>> {
    let mut logs: BTreeMap<&str, Files> = BTreeMap::new();
    for name in names {
        logs.insert(name, Files::default());
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let file = entry.file_name();
        let file = file.to_str().unwrap_or_default();
        if let Some(name) = service_of(file)
            && let Some(files) = logs.get_mut(name)
        {
            files.add(&file.as_bytes()[name.len()..], entry.ino());
        }
    }
    let mut seen = BTreeMap::new();
    for (name, files) in logs {
        seen.insert(name.to_owned(), files.seen());
    }
    Ok(seen)
}
