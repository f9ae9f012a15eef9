//! What a successor must know, on disk: two files for each unit in `run/`, written in place.
//!
//! Owns the files `run/NAME.state` (the facts) and `run/NAME.unit` (the definitions that the facts name), not their
//! form (`wire`) and not their meaning (`engine`). A save is one write of one of two slots: whole or absent, whenever
//! the daemon is killed; nothing is renamed and nothing synced, since the facts outlive the daemon and not the machine.
//! The cost of a save follows the one unit that changed; definitions are written when they change, before the facts
//! that name them, and the slot before them stays: a successor finds what its facts name in one of the two.
//!
//! A unit at rest keeps its files while the daemon lives: "stopped by hand", "failed, and why" and "has run" are facts
//! that a successor needs as much as a PID. When the daemon ends in order everything is stopped, and the files go.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::{RunId, UnitId};
use crate::sorted;
use crate::sys::process::error_text;
use crate::sys::{clock, files};
use crate::unit::{Context, Unit, UnitName};
use crate::wire::slot::{self, Slot};
use crate::wire::{
    Saved, SavedDefinition, decode_definitions, decode_saved, encode_definitions, encode_saved,
};

use super::home::Home;
use super::slot_file::{remove, write};

/// The endings of the files' names.
const FACTS: &str = "state";
const DEFINITIONS: &str = "unit";
/// The file in which the youngest run's number outlives all units.
const LAST_RUN: &str = "last-run";
/// The folder for what cannot be read.
const ASIDE: &str = "unreadable";
/// Bytes of one file: two of the largest slots, and those that they grew out of.
const FILE_LIMIT: usize = 4 * 1024 * 1024;
/// Bytes of the file of the last run: more than a number has digits.
const LAST_RUN_LIMIT: usize = 32;

/// The files, and what was written last to each.
#[derive(Debug)]
pub(super) struct States {
    directory: PathBuf,
    boot_id: Box<str>,
    kept: BTreeMap<UnitId, Box<Kept>>,
    /// Those of them of which something is stale.
    stale: BTreeSet<UnitId>,
    health: Health,
}

#[derive(Debug, Default)]
struct Kept {
    facts: Option<Slot>,
    /// Of the payload, once it and all that it names are written: the same facts are not written twice.
    hash: Option<u64>,
    /// Why what is on disk is not what was to be saved last.
    stale: Option<(PathBuf, io::Error)>,
    definitions: Option<Slot>,
    /// Those in the newest slot, by their fingerprints.
    written: [Option<u64>; 2],
}

/// Whether writing works: said once when it ceases to, and once when it works again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    Failing,
}

/// All that a predecessor left.
#[derive(Debug)]
pub(super) struct Predecessor {
    /// By the names of the units.
    pub(super) units: Vec<(Saved, Slot)>,
    pub(super) last_run: RunId,
    /// Units of which nobody knows how they are.
    pub(super) unreadable: Vec<Unreadable>,
    /// The same, and an earlier daemon has found it out.
    pub(super) aside: Vec<PathBuf>,
}

/// A file that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// By the file's name, if that is one.
    pub(super) unit: Option<UnitName>,
    /// For the reader: which file, why, and where it is now.
    pub(super) text: String,
}

/// What a service was started with, and what comes next.
#[derive(Debug)]
pub(super) struct Definitions {
    pub(super) in_force: Box<Unit>,
    pub(super) next: Option<Box<Unit>>,
    place: Option<Slot>,
    written: [Option<u64>; 2],
}

impl Definitions {
    /// One that was not kept, and is in force for want of a better.
    pub(super) fn instead(in_force: Unit) -> Self {
        Self {
            in_force: Box::new(in_force),
            next: None,
            place: None,
            written: [None; 2],
        }
    }
}

impl States {
    pub(super) fn new(directory: PathBuf) -> Self {
        let boot_id = clock::world_id().unwrap_or_default().into();
        Self {
            directory,
            boot_id,
            kept: BTreeMap::new(),
            stale: BTreeSet::new(),
            health: Health::Good,
        }
    }

    /// The boot of the machine, or the life of the container, that all moments, PIDs and inodes belong to.
    pub(super) fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Writes a unit's state, unless it is what was written last; before that its definitions, if they are others than
    /// those written last. A failure is told in the log; the next save tries again.
    pub(super) fn save(
        &mut self,
        unit: UnitId,
        saved: &Saved,
        definitions: impl FnOnce() -> Vec<SavedDefinition>,
    ) {
        let payload = encode_saved(saved);
        let hash = hash_of(&payload);
        let mut kept = self.kept.remove(&unit).unwrap_or_default();
        if kept.facts.is_some() && kept.hash == Some(hash) {
            kept.stale = None;
            self.keep(unit, kept);
            return;
        }
        let name = saved.facts.unit.as_str();
        let named = [saved.definition, saved.next];
        let is_written = |one: &Option<u64>| one.is_none() || kept.written.contains(one);
        let has_all = saved.text.is_some() || named.iter().all(is_written);
        let defined = if has_all {
            Ok(())
        } else {
            self.define(name, &mut kept, definitions())
        };
        let path = self.path(name, FACTS);
        let stated = match write(&path, kept.facts, &payload) {
            Ok(slot) => {
                // Facts without their definitions are better than none, and are written again with them.
                (kept.facts, kept.hash) = (Some(slot), defined.is_ok().then_some(hash));
                Ok(())
            }
            Err(error) => {
                // The disk that keeps a log from being written may well be this one, and these are few bytes less:
                // enough for a daemon that dies, and not for one that could wait.
                let mut bare = saved.clone();
                if !std::mem::take(&mut bare.log_owed).is_empty()
                    && let Ok(slot) = write(&path, kept.facts, &encode_saved(&bare))
                {
                    (kept.facts, kept.hash) = (Some(slot), None);
                }
                Err((path, error))
            }
        };
        kept.stale = stated.and(defined).err();
        self.keep(unit, kept);
    }

    /// Notes what is on disk of a unit, and whether writing works.
    fn keep(&mut self, unit: UnitId, kept: Box<Kept>) {
        if kept.stale.is_some() {
            self.stale.insert(unit);
        } else {
            self.stale.remove(&unit);
        }
        self.kept.insert(unit, kept);
        self.report();
    }

    /// Definitions that are longer than any file may be are left to the unit's own file.
    fn define(
        &self,
        name: &str,
        kept: &mut Kept,
        definitions: Vec<SavedDefinition>,
    ) -> Result<(), (PathBuf, io::Error)> {
        let path = self.path(name, DEFINITIONS);
        match write(&path, kept.definitions, &encode_definitions(&definitions)) {
            Ok(slot) => kept.definitions = Some(slot),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                ::log::warn!("{name}: its definition is too long to be kept for a successor");
            }
            Err(error) => return Err((path, error)),
        }
        kept.written = fingerprints(&definitions);
        Ok(())
    }

    fn report(&mut self) {
        let stale = self.stale.first().and_then(|unit| self.kept.get(unit));
        let stale = stale.and_then(|kept| kept.stale.as_ref());
        match (self.health, stale) {
            (Health::Good, Some((path, error))) => {
                let (path, reason) = (path.display(), error_text(error));
                ::log::error!("writing {path}: {reason}; a successor would not know");
                self.health = Health::Failing;
            }
            (Health::Failing, None) => {
                ::log::info!("the services' state is written again");
                self.health = Health::Good;
            }
            (Health::Good, None) | (Health::Failing, Some(_)) => {}
        }
    }

    /// Forgets a unit: nothing of it is left that a successor would have to know.
    pub(super) fn remove(&mut self, unit: UnitId, name: &UnitName) {
        self.kept.remove(&unit);
        self.stale.remove(&unit);
        for ending in [FACTS, DEFINITIONS] {
            remove(&self.path(name.as_str(), ending));
        }
    }

    /// Keeps the number of the youngest run beyond the end of the daemon, since the logs know runs by their numbers.
    /// To be called before the units' own states go.
    pub(super) fn keep_last_run(&self, last: RunId) {
        let (path, beside) = (
            self.directory.join(LAST_RUN),
            self.directory.join(format!("{LAST_RUN}.new")),
        );
        let written = std::fs::write(&beside, format!("{last}\n"));
        if let Err(error) = written.and_then(|()| std::fs::rename(&beside, &path)) {
            ::log::warn!("writing {}: {}", path.display(), error_text(&error));
        }
    }

    fn kept_last_run(&self) -> RunId {
        let bytes = files::read_own(&self.directory.join(LAST_RUN), LAST_RUN_LIMIT);
        let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        RunId(text.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
    }

    /// What a predecessor left. What belongs to another boot of the machine is removed: it tells nothing more than the
    /// number of its youngest run. What cannot be read may be of this boot, and is kept aside.
    pub(super) fn predecessor(&self) -> Predecessor {
        let mut left = Predecessor {
            units: Vec::new(),
            last_run: self.kept_last_run(),
            unreadable: Vec::new(),
            aside: files_in(&self.directory.join(ASIDE), FACTS),
        };
        for path in files_in(&self.directory, FACTS) {
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

    /// Whether every unit's last save was written.
    pub(super) fn is_good(&self) -> bool {
        self.stale.is_empty()
    }

    /// Why a successor would know nothing at all of a unit: the file that cannot be written.
    pub(super) fn unknown(&self, unit: UnitId) -> Option<&(PathBuf, io::Error)> {
        let kept = self.kept.get(&unit)?;
        kept.stale.as_ref().filter(|_| kept.facts.is_none())
    }

    /// What a daemon has saved here of this boot, or why it cannot be read; changes nothing.
    pub(super) fn saved(&self) -> impl Iterator<Item = Result<Saved, String>> {
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
    pub(super) fn forget_aside(&self, name: &UnitName) {
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
    pub(super) fn set_definitions_aside(&self, name: &UnitName) {
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

    /// The definitions that the facts name.
    ///
    /// # Errors
    /// Why the one in force cannot be had. That a newer one cannot is told in the log.
    pub(super) fn definitions(
        &self,
        saved: &Saved,
        context: &Context,
    ) -> Result<Definitions, String> {
        let in_force = saved
            .definition
            .ok_or("the daemon before did not keep it")?;
        let name = &saved.facts.unit;
        if let Some(here) = saved.definition_here() {
            return here.unit(name, context).map(Definitions::instead);
        }
        let path = self.path(name.as_str(), DEFINITIONS);
        let place = |reason: String| format!("{}: {reason}", path.display());
        let bytes = files::read_own(&path, FILE_LIMIT);
        let bytes = bytes.map_err(|error| place(error_text(&error)))?;
        let mut found = Vec::new();
        let mut refused = None;
        for (_, payload) in slot::whole(&bytes) {
            match decode_definitions(payload) {
                Ok(definitions) => found.extend(definitions),
                Err(error) => refused = Some(error.to_string()),
            }
        }
        let find = |wanted: u64| {
            let known = found.iter().find(|one| one.fingerprint == wanted);
            let missing = || {
                refused
                    .clone()
                    .unwrap_or_else(|| "nothing whole in it".to_owned())
            };
            let unit = known
                .ok_or_else(missing)
                .and_then(|one| one.unit(name, context));
            unit.map(Box::new).map_err(place)
        };
        let next = saved.next.map(find).transpose().unwrap_or_else(|reason| {
            ::log::warn!("{name}: its newer definition is lost: {reason}");
            None
        });
        let in_force = find(in_force)?;
        let newest = slot::newest(&bytes);
        let read = newest.and_then(|(_, payload)| decode_definitions(payload).ok());
        Ok(Definitions {
            in_force,
            next,
            place: newest.map(|(slot, _)| slot),
            written: fingerprints(&read.unwrap_or_default()),
        })
    }

    /// The definitions, where the only one is known to be this.
    pub(super) fn unchanged(&self, in_force: Unit) -> Definitions {
        let bytes = files::read_own(&self.path(in_force.name.as_str(), DEFINITIONS), FILE_LIMIT);
        let bytes = bytes.unwrap_or_default();
        let fingerprint = in_force.fingerprint();
        let holds_it = |payload: &[u8]| payload_has(payload, fingerprint);
        match slot::newest(&bytes).filter(|(_, payload)| holds_it(payload)) {
            Some((slot, _)) => Definitions {
                place: Some(slot),
                written: [Some(fingerprint), None],
                ..Definitions::instead(in_force)
            },
            None => {
                let path = self.path(in_force.name.as_str(), DEFINITIONS);
                ::log::warn!("{} is unreadable, and is written anew", path.display());
                self.set_definitions_aside(&in_force.name);
                Definitions::instead(in_force)
            }
        }
    }

    /// Goes on in the files that a predecessor left: what is in them stands until the next save is whole.
    pub(super) fn resume(&mut self, unit: UnitId, facts: Slot, definitions: &Definitions) {
        let kept = Kept {
            facts: Some(facts),
            hash: None,
            stale: None,
            definitions: definitions.place,
            written: definitions.written,
        };
        self.kept.insert(unit, Box::new(kept));
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.directory.join(format!("{name}.{ending}"))
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
pub(super) fn unit_of(path: &Path) -> Option<UnitName> {
    let stem = path.file_stem()?.to_str()?;
    UnitName::parse(&format!("{stem}.service")).ok()
}

/// Whether saved definitions have this one among them, without reading them all.
fn payload_has(payload: &[u8], fingerprint: u64) -> bool {
    let number = format!("\"fingerprint\":{fingerprint},");
    let mut places = payload.windows(number.len());
    places.any(|place| place == number.as_bytes())
}

fn fingerprints(definitions: &[SavedDefinition]) -> [Option<u64>; 2] {
    let at = |index: usize| definitions.get(index).map(|one| one.fingerprint);
    [at(0), at(1)]
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

/// FNV-1a.
fn hash_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use crate::daemon::unit_context;
    use crate::engine::{FactGoal, FactPhase, Facts, Moment};
    use crate::unit;

    use super::*;

    fn saved(name: &str, boot_id: &str, restarts: u32) -> Saved {
        let facts = Facts {
            unit: UnitName::parse(name).unwrap(),
            goal: FactGoal::Down,
            phase: FactPhase::Stopped,
            main: None,
            control: None,
            deadline: None,
            since: Moment(1),
            reason: None,
            again: None,
            origin: None,
            voice: None,
            frozen: None,
            ready_at: None,
            restarts,
            attempt: 0,
            starts: vec![],
            last_run: RunId(7),
            begun: Moment(3),
            failure: None,
            main_ending: None,
            watchdog_ms: None,
            runtime_due: None,
            monitor: None,
        };
        Saved {
            facts,
            file: "/units/web.service".to_owned(),
            hash: 1,
            definition: None,
            next: None,
            text: None,
            boot_id: boot_id.to_owned(),
            inodes: vec![],
            cgroup: None,
            invocation: None,
            last_end: None,
            life: None,
            life_before: None,
            log_lost: 0,
            log_owed: Vec::new(),
            log_dropped: 0,
            log_limited: 0,
            stored: Vec::new(),
            oom_kills: None,
            said: None,
            access: None,
            forgone: None,
        }
    }

    fn folder(name: &str) -> PathBuf {
        let name = format!("diakonos-state-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn definition(program: &str) -> Unit {
        let text = format!("[service]\nExecStart = \"{program}\"");
        let name = UnitName::parse("web").unwrap();
        unit::parse(
            &text,
            Path::new("/units/web.service"),
            &name,
            &unit_context(),
        )
        .unwrap()
    }

    fn save(states: &mut States, saved: &Saved) {
        states.save(UnitId(1), saved, Vec::new);
    }

    #[test]
    fn a_successor_reads_the_last_save_and_nothing_of_another_boot() {
        let folder = folder("last");
        let mut states = States::new(folder.clone());
        let boot = states.boot_id().to_owned();
        for restarts in 0..5 {
            save(&mut states, &saved("web", &boot, restarts));
        }
        states.save(UnitId(2), &saved("old", "another boot", 0), Vec::new);
        fs::write(folder.join("of-nobody.unit"), "").unwrap();

        let mut successor = States::new(folder.clone());
        let left = successor.predecessor();
        assert_eq!((left.units.len(), left.last_run), (1, RunId(7)));
        assert!(left.unreadable.is_empty());
        let (last, slot) = &left.units[0];
        assert_eq!(last, &saved("web", &boot, 4));
        assert!(!folder.join("old.state").exists() && !folder.join("of-nobody.unit").exists());
        let definitions = Definitions::instead(definition("/bin/web"));
        successor.resume(UnitId(9), *slot, &definitions);
        successor.save(UnitId(9), &saved("web", &boot, 5), Vec::new);
        assert_eq!(successor.predecessor().units[0].0.facts.restarts, 5);
        successor.remove(UnitId(9), &UnitName::parse("web").unwrap());
        successor.keep_last_run(RunId(12));
        let left = successor.predecessor();
        assert_eq!((left.units, left.last_run), (vec![], RunId(12)));
        fs::remove_dir_all(&folder).unwrap();
    }

    /// Whichever of the two writes was the last one before the kill.
    #[test]
    fn definitions_that_the_facts_name_are_found_between_the_two_writes() {
        let folder = folder("definitions");
        let mut states = States::new(folder.clone());
        let context = unit_context();
        let units: Vec<Unit> = (0..4)
            .map(|count| definition(&format!("/bin/{count}")))
            .collect();
        let boot = states.boot_id().to_owned();
        let facts = |in_force: &Unit, next: Option<&Unit>| Saved {
            definition: Some(in_force.fingerprint()),
            next: next.map(Unit::fingerprint),
            ..saved("web", &boot, 0)
        };
        let steps = [
            (0, None),
            (0, Some(1)),
            (1, None),
            (2, None),
            (2, Some(3)),
            (2, Some(0)),
        ];
        let mut before: Option<Saved> = None;
        for (in_force, next) in steps {
            let in_force: &Unit = &units[in_force];
            let next: Option<&Unit> = next.map(|next| &units[next]);
            let now = facts(in_force, next);
            states.save(UnitId(1), &now, || {
                let both = [Some(in_force), next].into_iter().flatten();
                both.map(SavedDefinition::of).collect()
            });
            let found = states.definitions(&now, &context).unwrap();
            assert_eq!((&*found.in_force, found.next.as_deref()), (in_force, next));
            if let Some(before) = &before {
                let found = states.definitions(before, &context).unwrap();
                assert_eq!(Some(found.in_force.fingerprint()), before.definition);
                assert_eq!(found.next.map(|next| next.fingerprint()), before.next);
            }
            before = Some(now);
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    /// It stands there alone, goes to a file of its own beside a newer one, and comes back.
    #[test]
    fn a_definition_that_stands_with_the_facts_is_found_there() {
        let folder = folder("together");
        let mut states = States::new(folder.clone());
        let units = [definition("/bin/0"), definition("/bin/1")];
        let boot = states.boot_id().to_owned();
        let own_file = folder.join("web.unit");
        let saved_of = |of: &Unit, next: Option<&Unit>| Saved {
            hash: of.hash,
            definition: Some(of.fingerprint()),
            next: next.map(Unit::fingerprint),
            text: next.is_none().then(|| unit::to_toml(of)),
            ..saved("web", &boot, 0)
        };
        for (of, next, has_own) in [(0, None, false), (0, Some(1), true), (1, None, true)] {
            let (of, next): (&Unit, _) = (&units[of], next.map(|next: usize| &units[next]));
            let now = saved_of(of, next);
            states.save(UnitId(1), &now, || {
                let both = [Some(of), next].into_iter().flatten();
                both.map(SavedDefinition::of).collect()
            });
            assert_eq!(own_file.exists(), has_own);
            let left = &states.predecessor().units;
            assert_eq!(left[0].0, now);
            let found = states.definitions(&now, &unit_context()).unwrap();
            assert_eq!((&*found.in_force, found.next.as_deref()), (of, next));
        }
        states.remove(UnitId(1), &UnitName::parse("web").unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir_all(&folder).unwrap();
    }

    /// A folder in a file's place fails a write as a full disk does.
    #[test]
    fn a_save_that_failed_is_not_good_until_it_is_written_itself() {
        let folder = folder("stale");
        let mut states = States::new(folder.clone());
        let boot = states.boot_id().to_owned();
        fs::create_dir_all(folder.join("web.unit")).unwrap();
        let unit = definition("/bin/web");
        let web = Saved {
            definition: Some(unit.fingerprint()),
            ..saved("web", &boot, 0)
        };
        let define = || vec![SavedDefinition::of(&unit)];
        states.save(UnitId(1), &web, define);
        assert!(!states.is_good());
        states.save(UnitId(2), &saved("other", &boot, 0), Vec::new);
        assert!(!states.is_good(), "another unit's save says nothing of it");
        fs::remove_dir(folder.join("web.unit")).unwrap();
        // The same facts: what failed was the definition.
        states.save(UnitId(1), &web, define);
        assert!(states.is_good());
        let found = states.definitions(&web, &unit_context()).unwrap();
        assert_eq!(*found.in_force, unit);

        fs::create_dir_all(folder.join("third.state")).unwrap();
        states.save(UnitId(3), &saved("third", &boot, 0), Vec::new);
        assert!(!states.is_good());
        states.remove(UnitId(3), &UnitName::parse("third").unwrap());
        assert!(states.is_good());
        fs::remove_dir_all(&folder).unwrap();
    }

    /// What a log is owed may be what does not fit; nobody is to be replaced on purpose meanwhile.
    #[test]
    fn facts_without_what_a_log_is_owed_are_kept_but_not_good() {
        let folder = folder("bare");
        let mut states = States::new(folder.clone());
        let boot = states.boot_id().to_owned();
        let mut web = saved("web", &boot, 1);
        web.log_owed = vec![1; slot::PAYLOAD_MAX];
        save(&mut states, &web);
        assert!(!states.is_good());
        web.log_owed.clear();
        let left = states.predecessor().units;
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].0, web);
        save(&mut states, &web);
        assert!(states.is_good());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_kept_aside_and_told_by_name() {
        let folder = folder("aside");
        let mut states = States::new(folder.clone());
        let boot = states.boot_id().to_owned();
        save(&mut states, &saved("sound", &boot, 0));
        let copy = fs::read(folder.join("sound.state")).unwrap();
        fs::write(folder.join("open.state"), &copy).unwrap();
        let wide = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs::set_permissions(folder.join("open.state"), wide).unwrap();
        fs::write(folder.join("copied.state"), &copy).unwrap();
        fs::write(folder.join("rubbish.state"), "rubbish").unwrap();
        fs::write(folder.join("rubbish.unit"), "rubbish").unwrap();
        fs::write(folder.join("empty.state"), "").unwrap();
        fs::write(folder.join("torn.state"), &copy[..100]).unwrap();
        let newer = String::from_utf8(encode_saved(&saved("newer", &boot, 0))).unwrap();
        let newer = newer.replacen("\"version\":2", "\"version\":99", 1);
        let slot = Slot::first(newer.as_bytes()).unwrap();
        fs::write(folder.join("newer.state"), slot.encode(newer.as_bytes())).unwrap();
        let huge = fs::File::create(folder.join("huge.state")).unwrap();
        huge.set_len(1 << 40).unwrap();
        fs::create_dir_all(folder.join("folder.state/below")).unwrap();
        files::make_fifo(&folder.join("pipe.state"), 0o600, None).unwrap();
        std::os::unix::fs::symlink(folder.join("sound.state"), folder.join("link.state")).unwrap();
        fs::write(folder.join("no name.state"), "").unwrap();

        let left = states.predecessor();
        assert_eq!(left.units, [(saved("sound", &boot, 0), left.units[0].1)]);
        let told: Vec<&str> = left
            .unreadable
            .iter()
            .map(|one| one.text.as_str())
            .collect();
        for (name, reason) in [
            ("copied", "it is the state of sound"),
            ("empty", "nothing whole in it"),
            ("folder", "it is not a regular file"),
            ("huge", "File too large"),
            ("link", "it is a symbolic link"),
            (
                "newer",
                "it is of version 99, and this program knows none beyond 2",
            ),
            ("no name", "nothing whole in it"),
            ("open", "others may write to it"),
            ("pipe", "it is not a regular file"),
            ("rubbish", "nothing whole in it"),
            ("torn", "nothing whole in it"),
        ] {
            let path = folder.join(format!("{name}.state"));
            let aside = folder.join(ASIDE).join(format!("{name}.state"));
            let (path, aside) = (path.display(), aside.display());
            let line = format!("{path}: {reason}; kept as {aside}");
            assert!(told.contains(&line.as_str()), "{line}\n{told:#?}");
        }
        let named = left.unreadable.iter().filter(|one| one.unit.is_some());
        assert_eq!((named.count(), told.len()), (10, 11));
        assert!(folder.join(ASIDE).join("rubbish.unit").exists());
        assert!(states.predecessor().unreadable.is_empty());
        fs::remove_dir_all(&folder).unwrap();
    }
}
