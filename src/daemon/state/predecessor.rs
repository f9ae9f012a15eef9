//! What a predecessor has left: read once, at boot, by the one who follows; or looked at by whoever wants to know.
//!
//! Owns what is kept aside because nobody can read it. What the facts mean is the engine's to say.

use std::path::{Path, PathBuf};

use crate::engine::RunId;
use crate::sorted;
use crate::sys::process::error_text;
use crate::sys::{clock, files};
use crate::unit::UnitName;
use crate::wire::slot::{self, Slot};
use crate::wire::{Saved, decode_saved};

use super::super::home::Home;
use super::super::removing::remove;
use super::{DEFINITIONS, FACTS, FILE_LIMIT, LAST_RUN, States};

/// The folder for what cannot be read.
pub(super) const ASIDE: &str = "unreadable";
/// Bytes of the file of the last run: more than a number has digits.
const LAST_RUN_LIMIT: usize = 32;

/// All that a predecessor left.
#[derive(Debug)]
pub(in crate::daemon) struct Predecessor {
    /// By the names of the units.
    pub(in crate::daemon) units: Vec<(Saved, Slot)>,
    pub(in crate::daemon) last_run: RunId,
    /// Units of which nobody knows how they are.
    pub(in crate::daemon) unreadable: Vec<Unreadable>,
    /// The same, and an earlier daemon has found it out.
    pub(in crate::daemon) aside: Vec<PathBuf>,
    /// Units that have a pipe here and no facts: somebody has removed those.
    pub(in crate::daemon) strays: Vec<UnitName>,
    /// No daemon was ever here, or somebody has removed all that it left.
    pub(in crate::daemon) has_left_nothing: bool,
}

/// A file that cannot be read.
#[derive(Debug)]
pub(in crate::daemon) struct Unreadable {
    /// By the file's name, if that is one.
    pub(in crate::daemon) unit: Option<UnitName>,
    /// For the reader: which file, why, and where it is now.
    pub(in crate::daemon) text: String,
}

impl States {
    fn kept_last_run(&self) -> RunId {
        let bytes = files::read_own(&self.directory.join(LAST_RUN), LAST_RUN_LIMIT);
        let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        RunId(text.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
    }

    /// What a predecessor left. What belongs to another boot of the machine is removed: it tells nothing more than the
    /// number of its youngest run. What cannot be read may be of this boot, and is kept aside.
    pub(in crate::daemon) fn predecessor(&self) -> Predecessor {
        let all = files_in(&self.directory, FACTS);
        let last_run = self.kept_last_run();
        let mut left = Predecessor {
            units: Vec::new(),
            last_run,
            unreadable: Vec::new(),
            aside: files_in(&self.directory.join(ASIDE), FACTS),
            strays: self.strays(),
            has_left_nothing: all.is_empty() && last_run == RunId(0),
        };
        for path in all {
            let unit = unit_of(&path);
            match read_facts(&path, unit.as_ref()) {
                Ok((saved, slot)) => {
                    left.last_run = left.last_run.max(saved.facts.last_run);
                    if saved.boot_id == *self.boot_id {
                        left.units.push((saved, slot));
                    } else {
                        remove(&path);
                    }
                }
                Err(reason) => {
                    let text = self.set_aside(&path, &reason);
                    left.unreadable.push(Unreadable { unit, text });
                }
            }
        }
        // Of a unit that was never saved, or of another boot.
        for path in files_in(&self.directory, DEFINITIONS) {
            if path.with_extension(FACTS).symlink_metadata().is_err() {
                remove(&path);
            }
        }
        left
    }

    fn strays(&self) -> Vec<UnitName> {
        let pipes = files_in(&self.directory, "out");
        let units = pipes.iter().filter_map(|path| unit_of(path));
        let is_stray = |unit: &UnitName| {
            let facts = format!("{unit}.{FACTS}");
            let places = [
                self.directory.join(&facts),
                self.directory.join(ASIDE).join(facts),
            ];
            places.iter().all(|path| path.symlink_metadata().is_err())
        };
        units.filter(is_stray).collect()
    }

    /// What a daemon has saved here of this boot, or why it cannot be read; changes nothing.
    pub(in crate::daemon) fn saved(&self) -> impl Iterator<Item = Result<Saved, String>> {
        let read = |path: PathBuf| match read_facts(&path, unit_of(&path).as_ref()) {
            Ok((saved, _)) => Ok(saved),
            Err(reason) => Err(format!("cannot read {}: {reason}", path.display())),
        };
        let all = files_in(&self.directory, FACTS).into_iter().map(read);
        all.filter(|one| {
            one.as_ref()
                .map_or(true, |saved| saved.boot_id == *self.boot_id)
        })
    }

    /// Nothing of what was put aside runs any more.
    pub(in crate::daemon) fn forget_aside(&self, name: &UnitName) {
        for ending in [FACTS, DEFINITIONS] {
            remove(&self.directory.join(ASIDE).join(format!("{name}.{ending}")));
        }
    }

    /// Moves a file, and the definitions beside it, out of the way of those that are written.
    fn set_aside(&self, path: &Path, reason: &str) -> String {
        let folder = self.directory.join(ASIDE);
        let shown = path.display();
        let moved = files::private_directory(&folder).and_then(|()| {
            if let Some(unit) = unit_of(path) {
                self.set_definitions_aside(&unit);
            }
            let aside = folder.join(path.file_name().unwrap_or_default());
            std::fs::rename(path, &aside).map(|()| aside)
        });
        match moved {
            Ok(aside) => format!("{shown}: {reason}; kept as {}", aside.display()),
            Err(error) => format!("{shown}: {reason}; not moved: {}", error_text(&error)),
        }
    }

    /// The same for definitions alone, if there are any.
    pub(in crate::daemon) fn set_definitions_aside(&self, name: &UnitName) {
        let folder = self.directory.join(ASIDE);
        let path = self.path(name.as_str(), DEFINITIONS);
        if path.symlink_metadata().is_err() || files::private_directory(&folder).is_err() {
            return;
        }
        let aside = folder.join(path.file_name().unwrap_or_default());
        if let Err(error) = std::fs::rename(&path, &aside) {
            ::log::warn!("{} is not moved: {}", path.display(), error_text(&error));
        }
    }
}

/// Whether a daemon of this boot of the machine has died and left facts for a successor: one that ends in order leaves
/// none, and what is of an earlier boot is nobody's any more. What cannot be read counts.
#[must_use]
pub fn has_heritage(home: &Home) -> bool {
    let boot_id = clock::world_id().unwrap_or_default();
    files_in(&home.run(), FACTS).iter().any(|path| {
        read_facts(path, unit_of(path).as_ref()).map_or(true, |(saved, _)| saved.boot_id == boot_id)
    })
}

/// The files of a folder with this ending, sorted.
fn files_in(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    sorted::sort(&mut paths);
    paths
}

/// Whose file this is, by its name.
pub(in crate::daemon) fn unit_of(path: &Path) -> Option<UnitName> {
    let stem = path.file_stem()?.to_str()?;
    UnitName::parse(&format!("{stem}.service")).ok()
}

fn read_facts(path: &Path, unit: Option<&UnitName>) -> Result<(Saved, Slot), String> {
    let bytes = files::read_own(path, FILE_LIMIT).map_err(|error| error_text(&error))?;
    let (slot, payload) = slot::newest(&bytes).ok_or("nothing whole in it")?;
    let saved = decode_saved(payload).map_err(|error| error.to_string())?;
    if unit != Some(&saved.facts.unit) {
        return Err(format!("it is the state of {}", saved.facts.unit));
    }
    Ok((saved, slot))
}
