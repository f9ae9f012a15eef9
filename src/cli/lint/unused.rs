//! What lies in the service folders and is of no use: units that nothing starts, drop-ins that nobody reads.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Finding, Weight};
use crate::cli::edges::starts;
use crate::sorted::{self, Sorted};
use crate::unit::{SearchPath, Unit, UnitName};

/// So many units are named one by one.
const NAMED_MAX: usize = 20;

/// Which of these units nobody pulls in and nobody has enabled. In itself it is no fault, and one sentence: whoever
/// starts them by hand means it so.
pub(in crate::cli) fn unstarted<'u>(
    units: impl Iterator<Item = &'u Unit> + Clone,
    enabled: &[String],
) -> Vec<Finding> {
    let pulled: BTreeSet<&UnitName> = units.clone().flat_map(starts).sorted_set();
    let enabled: BTreeSet<&str> = enabled.iter().map(String::as_str).sorted_set();
    let is_left = |unit: &&Unit| {
        let name = &unit.name;
        !name.is_template() && !pulled.contains(name) && !enabled.contains(name.as_str())
    };
    let (mut hopeless, mut left) = (Vec::new(), Vec::new());
    for unit in units.filter(is_left) {
        match hopelessness(unit) {
            Some(finding) => hopeless.push(finding),
            None => left.push(unit.name.as_str()),
        }
    }
    if left.is_empty() {
        return hopeless;
    }
    let mut names = left[..left.len().min(NAMED_MAX)].join(", ");
    if left.len() > NAMED_MAX {
        names.push_str(&format!(" and {} more", left.len() - NAMED_MAX));
    }
    let message =
        format!("only a start by hand starts {names}: no unit pulls them in, and none is enabled");
    let hint = "`diakonos enable NAME` starts one with the daemon";
    hopeless.push(Finding::new(Weight::Note, message).hint(hint));
    hopeless
}

/// Why a unit that nobody pulls in cannot be up, if so.
fn hopelessness(unit: &Unit) -> Option<Finding> {
    let (name, relations) = (&unit.name, unit.relations());
    let message = if relations.refuse_manual_start {
        format!("nothing starts {name}: RefuseManualStart= is set, and no unit pulls it in")
    } else if relations.stop_when_unneeded {
        format!("{name} stops as soon as it is up: StopWhenUnneeded= is set, and no unit needs it")
    } else {
        return None;
    };
    Some(Finding::new(Weight::Warning, message))
}

/// Drop-ins that belong to no unit or have a name that is not read.
pub(in crate::cli) fn unread(path: &SearchPath) -> Vec<(PathBuf, String)> {
    let mut unread = Vec::new();
    for folder in &path.directories {
        let entries = folder.read_dir().into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "d") && path.is_dir())
            .collect();
        sorted::sort(&mut folders);
        for drop_ins in folders {
            unread.extend(unread_in(&drop_ins, folder, path));
        }
    }
    unread
}

fn unread_in(drop_ins: &Path, folder: &Path, path: &SearchPath) -> Vec<(PathBuf, String)> {
    let Some(name) = drop_ins.file_stem().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let Some(name) = name
        .strip_suffix(".service")
        .and_then(|name| UnitName::parse(name).ok())
    else {
        return Vec::new();
    };
    let whole = |reason: String| vec![(drop_ins.to_owned(), reason)];
    match path.find(&name) {
        None => {
            return whole(format!(
                "its drop-ins are not read: there is no unit `{name}`"
            ));
        }
        Some(found) if found.path.parent() != Some(folder) => {
            let file = found.path.display();
            return whole(format!(
                "its drop-ins are not read: `{name}` is {file}, and drop-ins lie beside it"
            ));
        }
        Some(_) => {}
    }
    let entries = drop_ins.read_dir().into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let strange = names.filter(|name| !name.starts_with('.') && !name.ends_with(".toml"));
    let mut files: Vec<PathBuf> = strange.map(|name| drop_ins.join(name)).collect();
    sorted::sort(&mut files);
    let reason = "it is not read: a drop-in is named NAME.toml";
    files
        .into_iter()
        .map(|file| (file, reason.to_owned()))
        .collect()
}
