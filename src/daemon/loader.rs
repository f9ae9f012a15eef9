//! From the names in a request to units: which ones are meant, which files they are read from, what they pull in.
//!
//! Owns resolving names and reading definitions; each file is read once for a request. What a definition means, and
//! whether it comes into force, is the engine's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::engine::Moment;
use crate::engine::{Absent, Engine, State, UnitId};
use crate::sorted::Sorted;
use crate::unit::{self, Context, LoadError, SearchPath, Unit, UnitName, glob};
use crate::wire::{ErrorKind, Progress, ResultKind, UnitResult, WireError};

use super::answer;
use super::enabled::{Asked, Enabled};
use super::instances::Over;
use super::reread::changes;

/// Different patterns of one request: each looks at all units and all folders.
const PATTERNS_MAX: usize = 100;

/// Which names a pattern such as `worker@*` is matched against. A plain name is looked for everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    Loaded,
    LoadedAndFiles,
    /// For `enable`: the same, but a template that has instances stands for itself.
    Enabling,
    Enabled,
}

/// Whose file is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Those that are down.
    IfDown,
    /// All that are named; what they pull in only if it is down.
    Always,
}

/// The units that a request means.
#[derive(Debug)]
pub(super) struct Meant {
    /// Each once, in the order asked.
    pub(super) names: Vec<UnitName>,
    /// Those among them that nobody has named: a pattern or a folder brought them in.
    found: BTreeSet<UnitName>,
}

/// What a request brings to the engine.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) targets: Vec<UnitName>,
    pub(super) definitions: Vec<Unit>,
    pub(super) absent: Vec<Absent>,
    /// For the client: what changed in the files.
    pub(super) notices: Vec<Progress>,
    /// Of how many changed units nothing is told.
    pub(super) untold: usize,
    /// Answers of the shell's own: of what was found and cannot be started, above all. The engine never hears of it.
    pub(super) answered: Vec<UnitResult>,
    /// What is to be said besides if all of it is refused.
    pub(super) in_vain: Option<&'static str>,
    /// When this was asked first, if it is asked again.
    pub(super) first_asked: Option<Moment>,
}

/// Looks names up for one request.
pub(super) struct Loader<'a> {
    pub(super) engine: &'a Engine,
    pub(super) enabled: &'a Enabled,
    asked: BTreeMap<&'a UnitName, Asked<'a>>,
    pub(super) context: &'a Context,
    /// Absolute, best first.
    path: &'a SearchPath,
}

/// Where a unit's file is.
enum Place {
    At(PathBuf),
    /// Loaded from `.0`; the search path has `.1` for the same name.
    Two(PathBuf, PathBuf),
    Nowhere,
}

impl<'a> Loader<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        enabled: &'a Enabled,
        context: &'a Context,
        path: &'a SearchPath,
    ) -> Self {
        Self {
            engine,
            asked: enabled.asked(),
            enabled,
            context,
            path,
        }
    }

    /// The units that these names and patterns mean, each once, in the order asked.
    pub(super) fn resolve(
        &self,
        mut names: Vec<String>,
        among: Among,
    ) -> Result<Vec<UnitName>, WireError> {
        match among {
            Among::Loaded => drop(self.spread(&mut names, Over::Loaded)?),
            Among::LoadedAndFiles => drop(self.spread(&mut names, Over::Both)?),
            Among::Enabling | Among::Enabled => {}
        }
        self.meant(&names, &[], among).map(|meant| meant.names)
    }

    /// The same for a start, where it counts which of them were named. `found`: those of `names` that were not.
    pub(super) fn meant(
        &self,
        names: &[String],
        found: &[String],
        among: Among,
    ) -> Result<Meant, WireError> {
        let found: BTreeSet<&String> = found.iter().sorted_set();
        let (mut seen, mut exact) = (BTreeSet::new(), BTreeSet::new());
        let (mut targets, mut patterns) = (Vec::new(), BTreeSet::new());
        for name in names {
            let meant = if glob::is_pattern(name) {
                if !patterns.insert(name) {
                    continue;
                }
                // Each lists all folders anew.
                if patterns.len() > PATTERNS_MAX {
                    let message = format!("more than {PATTERNS_MAX} patterns in one request");
                    return Err(answer::error(ErrorKind::Usage, message, None));
                }
                self.matching(name, among)?
            } else if found.contains(name) {
                vec![parsed(name, among)?]
            } else {
                let name = self.named(name, among)?;
                exact.insert(name.clone());
                vec![name]
            };
            targets.extend(meant.into_iter().filter(|name| seen.insert(name.clone())));
        }
        Ok(Meant {
            names: targets,
            found: seen.difference(&exact).cloned().sorted_set(),
        })
    }

    /// Every name that is known, sorted.
    pub(super) fn candidates(&self, among: Among) -> BTreeSet<UnitName> {
        let enabled = self.enabled.files().map(|(name, _)| name.clone());
        if among == Among::Enabled {
            return enabled.sorted_set();
        }
        let units = self.engine.units();
        let loaded = units
            .filter_map(|id| self.engine.unit(id))
            .map(|unit| unit.name.clone());
        let mut names: BTreeSet<UnitName> = loaded.sorted_set();
        if among != Among::Loaded {
            names.extend(self.path.list().units.into_iter().map(|unit| unit.name));
        }
        names
    }

    fn named(&self, text: &str, among: Among) -> Result<UnitName, WireError> {
        let name = parsed(text, among)?;
        if among == Among::Enabled && self.enabled.contains(&name) {
            return Ok(name);
        }
        match self.place(&name) {
            Place::At(_) => Ok(name),
            Place::Two(loaded, found) => Err(two_files(&name, &loaded, &found)),
            Place::Nowhere => match self.enabled.alias(&name) {
                Some(meant) => Ok(meant.clone()),
                None => Err(self.no_such_unit(&name)),
            },
        }
    }

    pub(super) fn no_such_unit(&self, name: &UnitName) -> WireError {
        let candidates = self.candidates(Among::LoadedAndFiles);
        let hint = unit::unit_meant(name.as_str(), candidates.iter().map(UnitName::as_str));
        answer::error(ErrorKind::NoSuchUnit, self.not_found(name), hint)
    }

    fn not_found(&self, name: &UnitName) -> String {
        LoadError::NotFound {
            name: name.clone(),
            searched: self.path.directories.clone(),
        }
        .to_string()
    }

    /// Where the unit's file is: a loaded unit keeps its file as long as that exists.
    fn place(&self, name: &UnitName) -> Place {
        let found = self.path.find(name).map(|found| found.path);
        let loaded = self.engine.id(name).and_then(|id| self.engine.unit(id));
        match (loaded.map(|unit| unit.path.clone()), found) {
            (None, Some(found)) => Place::At(found),
            (None, None) => self
                .enabled
                .file(name)
                .map_or(Place::Nowhere, |file| Place::At(file.to_owned())),
            (Some(loaded), Some(found)) if !is_same_file(&loaded, &found) => {
                // In one folder an instance's own file has come, or gone, beside its template.
                if loaded.exists() && loaded.parent() != found.parent() {
                    Place::Two(loaded, found)
                } else {
                    Place::At(found)
                }
            }
            (Some(loaded), _) => Place::At(loaded),
        }
    }

    /// The file that a unit is, or would be, read from.
    pub(super) fn file_of(&self, name: &UnitName) -> Option<PathBuf> {
        match self.place(name) {
            Place::At(path) | Place::Two(path, _) => Some(path),
            Place::Nowhere => None,
        }
    }

    /// Reads the file of a unit that was named.
    pub(super) fn read_named(&self, name: &UnitName) -> Result<Unit, WireError> {
        let path = self.only_place(name)?;
        self.read(name, &path).map_err(|reason| {
            if path.exists() {
                return answer::error(ErrorKind::Failed, reason, None);
            }
            let hint = "restore the file; `diakonos list` shows what there is".to_owned();
            let message = format!(
                "there is no unit `{name}` any more: {} is gone",
                path.display()
            );
            // What runs is there, whatever has become of its file.
            let kind = match self.is_down(name) {
                true => ErrorKind::NoSuchUnit,
                false => ErrorKind::Failed,
            };
            answer::error(kind, message, Some(hint))
        })
    }

    fn only_place(&self, name: &UnitName) -> Result<PathBuf, WireError> {
        match self.place(name) {
            Place::At(path) => Ok(path),
            Place::Two(loaded, found) => Err(two_files(name, &loaded, &found)),
            Place::Nowhere => Err(self.no_such_unit(name)),
        }
    }

    /// Reads the file of a unit that another one needs; a loaded one stands, whatever else has its name.
    fn read_needed(&self, name: &UnitName) -> Result<Unit, String> {
        match self.place(name) {
            Place::At(path) | Place::Two(path, _) => self
                .read(name, &path)
                .map_err(|report| report.lines().next().unwrap_or_default().to_owned()),
            Place::Nowhere => Err(self.not_found(name)),
        }
    }

    /// Reads the file of a loaded unit again; nothing if it is as it was read, and enabled units ask of it what they
    /// did. What is wrong comes as the whole report.
    pub(super) fn read_again(&self, loaded: &Unit) -> Result<Option<Unit>, String> {
        let name = &loaded.name;
        let path = match self.place(name) {
            Place::At(path) | Place::Two(path, _) => path,
            Place::Nowhere => return Ok(None),
        };
        let is_same = |hash| hash == loaded.hash && path == loaded.path;
        if !unit::hash_on_disk(&path, name).is_ok_and(is_same) {
            return self.read(name, &path).map(Some);
        }
        // Some of it may be what an enabled unit has asked for that is enabled no more.
        let names_some = !loaded.wants.is_empty() || !loaded.requires.is_empty();
        if !names_some && !self.asked.contains_key(name) {
            return Ok(None);
        }
        let unit = self.read(name, &path)?;
        let is_same = unit.wants == loaded.wants && unit.requires == loaded.requires;
        Ok(Some(unit).filter(|_| !is_same))
    }

    /// The units that enabled ones have this one want, and require.
    pub(super) fn asked_of(&self, name: &UnitName) -> (Vec<UnitName>, Vec<UnitName>) {
        let (mut wants, mut requires) = (Vec::new(), Vec::new());
        if let Some(asked) = self.asked.get(name) {
            self.add(&mut wants, &asked.wants);
            self.add(&mut requires, &asked.requires);
        }
        (wants, requires)
    }

    /// Reads a file and adds what the enabled units ask of it with `WantedBy=` and `RequiredBy=`.
    fn read(&self, name: &UnitName, path: &Path) -> Result<Unit, String> {
        let mut unit = read_file(name, path, self.context)?;
        if let Some(asked) = self.asked.get(name) {
            self.add(&mut unit.wants, &asked.wants);
            self.add(&mut unit.requires, &asked.requires);
        }
        Ok(unit)
    }

    /// Everything that a start or a restart of these units needs. One that was named and cannot be read spoils it all;
    /// one that was found only itself, and what requires it.
    pub(super) fn for_start(&self, meant: Meant, reading: Reading) -> Result<Loaded, WireError> {
        let Meant { names, found } = meant;
        let mut loaded = Loaded::default();
        let mut needed = VecDeque::new();
        for name in names {
            let is_found = found.contains(&name);
            let read = if reading == Reading::Always || self.is_down(&name) {
                self.read_named(&name).map(Some)
            } else if is_found {
                self.only_place(&name).map(|_| None)
            } else {
                Ok(None)
            };
            match read {
                Err(error) if is_found => loaded.answered.push(answer::spoiled(&name, error)),
                Err(error) => return Err(error),
                Ok(unit) => {
                    if let Some(unit) = unit {
                        self.take(unit, &mut loaded, &mut needed);
                    }
                    loaded.targets.push(name);
                }
            }
        }
        self.follow(needed, &mut loaded, |name| self.is_down(name));
        self.part_with_cycles(&found, &mut loaded)?;
        self.part_with_hopeless(&found, &mut loaded);
        Ok(loaded)
    }

    /// Takes out what was found and requires what cannot be started: the engine would refuse all for it.
    fn part_with_hopeless(&self, found: &BTreeSet<UnitName>, loaded: &mut Loaded) {
        if found.is_empty() {
            return;
        }
        let targets = std::mem::take(&mut loaded.targets);
        let mut hopeless = self
            .engine
            .hopeless(&targets, &loaded.definitions, &loaded.absent);
        hopeless.retain(|name, _| found.contains(name));
        for name in targets {
            match hopeless.get(&name) {
                Some(refusal) => loaded.answered.push(answer::hopeless(&name, refusal)),
                None => loaded.targets.push(name),
            }
        }
    }

    /// The same for units that start with the daemon: one that cannot be read is among those that failed.
    pub(super) fn for_boot(&self, names: Vec<UnitName>) -> Loaded {
        let mut loaded = Loaded::default();
        let mut needed = VecDeque::new();
        for name in names {
            match self.read_named(&name) {
                Ok(unit) => {
                    self.take(unit, &mut loaded, &mut needed);
                    loaded.targets.push(name);
                }
                Err(error) => {
                    let failed = answer::plain(&name, ResultKind::Failed, error.message);
                    loaded.answered.push(failed);
                }
            }
        }
        self.follow(needed, &mut loaded, |name| self.is_down(name));
        let found = loaded.targets.iter().cloned().sorted_set();
        if let Err(error) = self.part_with_cycles(&found, &mut loaded) {
            // Nobody has named one, so that none is to spoil the others.
            ::log::error!("{}", error.message);
        }
        self.part_with_hopeless(&found, &mut loaded);
        loaded
    }

    /// What stops, reloads or signals these units: those that are not loaded are read, so that they can be spoken of.
    pub(super) fn for_loaded(&self, targets: Vec<UnitName>) -> Result<Loaded, WireError> {
        let mut loaded = Loaded::default();
        for name in &targets {
            if self.engine.id(name).is_none() {
                loaded.definitions.push(self.read_named(name)?);
            }
        }
        loaded.targets = targets;
        Ok(loaded)
    }

    /// Notes a definition, what changed in it, and what it pulls in.
    fn take(&self, unit: Unit, loaded: &mut Loaded, needed: &mut VecDeque<UnitName>) {
        let named = unit.neighbours();
        let named = named.filter(|(relation, _)| relation.need().is_some());
        needed.extend(named.map(|(_, name)| name.clone()));
        let before = self
            .engine
            .id(&unit.name)
            .and_then(|id| self.engine.unit(id));
        if let Some(before) = before.filter(|before| before.hash != unit.hash) {
            loaded.tell(|| changes(before, &unit));
        }
        loaded.definitions.push(unit);
    }

    /// Reads what is needed, and what that needs, as far as it `counts`.
    pub(super) fn follow(
        &self,
        mut needed: VecDeque<UnitName>,
        loaded: &mut Loaded,
        counts: impl Fn(&UnitName) -> bool,
    ) {
        let definitions = loaded.definitions.iter();
        let mut seen: BTreeSet<UnitName> = definitions.map(|unit| unit.name.clone()).sorted_set();
        while let Some(name) = needed.pop_front() {
            if !seen.insert(name.clone()) || !counts(&name) {
                continue;
            }
            match self.read_needed(&name) {
                Ok(unit) => self.take(unit, loaded, &mut needed),
                Err(reason) => loaded.absent.push(Absent { name, reason }),
            }
        }
    }

    /// Whether a start would take the file anew: the unit has no process, or nobody has heard of it.
    pub(super) fn is_down(&self, name: &UnitName) -> bool {
        let view = |id: UnitId| self.engine.view(id);
        let Some(view) = self.engine.id(name).and_then(view) else {
            return true;
        };
        match view.state {
            State::Stopped | State::Completed | State::Failed | State::Backoff => true,
            State::Waiting
            | State::Starting
            | State::Running
            | State::Exited
            | State::Reloading
            | State::Stopping => false,
        }
    }
}

/// Reads one unit file; what is wrong with it comes as the whole report.
pub(super) fn read_file(name: &UnitName, path: &Path, context: &Context) -> Result<Unit, String> {
    unit::load_file(path, name, context).map_err(|error| error.to_string().trim_end().to_owned())
}

/// A name that can be that of a unit to start, or of a template to enable.
fn parsed(text: &str, among: Among) -> Result<UnitName, WireError> {
    let name = UnitName::parse(text)
        .map_err(|error| answer::error(ErrorKind::Usage, error.to_string(), None))?;
    let takes_templates = matches!(among, Among::Enabling | Among::Enabled);
    if name.is_template() && !takes_templates {
        let message = format!("{name} is a template: it needs an instance to be started as");
        let hint = format!("for example `{name}1`");
        return Err(answer::error(ErrorKind::Usage, message, Some(hint)));
    }
    Ok(name)
}

/// Whether two paths lead to one file.
fn is_same_file(a: &Path, b: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    a == b || matches!((identity(a), identity(b)), (Ok(a), Ok(b)) if a == b)
}

fn two_files(name: &UnitName, loaded: &Path, found: &Path) -> WireError {
    let (loaded, found) = (loaded.display(), found.display());
    answer::error(
        ErrorKind::Failed,
        format!("{name} is loaded from {loaded}, but here it would be {found}"),
        Some("rename one of the two, or run the command where the loaded one is found".to_owned()),
    )
}
