//! What a predecessor left and nobody can take back: its files are torn, foreign, newer than this program or gone.
//!
//! Such a unit's processes, if there are any, run on unwatched and are signalled by nobody: nothing is done on a doubt.
//! They keep a second copy from being started.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::engine::SpawnFailure;
use crate::sorted::Sorted;
use crate::sys::cgroup::{Cgroup, Tree};
use crate::sys::proc;
use crate::sys::process::{Pid, PidFd};
use crate::unit::{UnitName, glob};
use crate::wire::{ResultKind, Saved, UnitResult, UnitStatus};

use super::event_loop::Daemon;
use super::loader::{Loaded, Loader};
use super::processes::Processes;
use super::spawn::failure;
use super::state::{Predecessor, unit_of};
use super::status;

/// The step that fails where a predecessor's process does the unit's work.
pub(super) const STEP: &str = "predecessor";
/// So many files that cannot be read are told of one by one.
const TOLD_MAX: usize = 100;
/// So many processes are told of by their numbers.
const PIDS_MAX: usize = 10;

/// What could not be taken back.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    units: BTreeMap<UnitName, Leftover>,
    /// The trees that the services of this home are in: ours, and those of daemons in other places.
    trees: Vec<PathBuf>,
    /// For the reader, one line each, as far as they are told; and how many more there are.
    told: Vec<String>,
    more: usize,
}

/// Where processes of one unit may be, besides those that have its log's pipe open.
#[derive(Debug)]
enum Leftover {
    /// In a cgroup of its name.
    Anywhere,
    /// In the cgroup that was written down, and those that were written down with their identities.
    Known(Option<PathBuf>, Vec<(Pid, u64)>),
}

impl Daemon {
    /// The units of which nothing is known but that processes of them run.
    pub(super) fn only_left(&self, loader: &Loader<'_>) -> Vec<UnitStatus> {
        let left = self.processes.all_left_over().into_iter();
        left.filter(|(name, _)| self.engine.id(name).is_none())
            .map(|(name, pids)| {
                let unit = loader.read_named(&name).ok();
                let found = (self.enabled.is_enabled(&name), &pids);
                status::not_loaded(&name, unit.as_ref(), found)
            })
            .collect()
    }
}

impl Leftovers {
    pub(super) fn tell(&mut self, text: String) {
        if self.told.len() < TOLD_MAX {
            self.told.push(text);
        } else {
            self.more += 1;
        }
    }

    /// What `daemon-status` tells.
    pub(super) fn told(&self) -> Vec<String> {
        let mut told = self.told.clone();
        if self.more > 0 {
            told.push(format!("and {} more", self.more));
        }
        told
    }
}

impl Processes {
    /// Tells of what cannot be read.
    pub(super) fn note_leftovers(&mut self, left: &Predecessor) {
        let groups = left
            .units
            .iter()
            .filter_map(|(saved, _)| saved.cgroup.as_deref());
        let trees = groups.filter_map(|group| Path::new(group).parent());
        let mut trees: BTreeSet<&Path> = trees.sorted_set();
        trees.extend(self.tree.as_ref().map(Tree::path));
        self.leftovers.trees = trees.into_iter().map(Path::to_owned).collect();
        for unreadable in &left.unreadable {
            let name = unreadable.unit.as_ref();
            let living = name.map(|name| self.living(name, &Leftover::Anywhere));
            let text = match living.as_ref().and_then(shown) {
                None => unreadable.text.clone(),
                Some(pids) => format!("{}; {pids} runs on unwatched", unreadable.text),
            };
            ::log::error!("{text}");
            self.leftovers.tell(text);
            self.suspect(unreadable.unit.clone());
        }
        self.note_strays(left);
        for path in &left.aside {
            let text = format!("{}: could not be read by an earlier daemon", path.display());
            self.leftovers.tell(text);
            self.suspect(unit_of(path));
        }
    }

    /// Tells of what runs and of which nothing is written down any more.
    fn note_strays(&mut self, left: &Predecessor) {
        let mut names: BTreeSet<UnitName> = left.strays.iter().cloned().sorted_set();
        if left.has_left_nothing {
            let groups = self.leftovers.trees.iter().flat_map(std::fs::read_dir);
            let groups = groups.flatten().flatten();
            names.extend(groups.filter_map(|group| {
                let name = group.file_name();
                UnitName::parse(name.to_str()?).ok()
            }));
        }
        for name in names {
            if let Some(pids) = shown(&self.living(&name, &Leftover::Anywhere)) {
                let run = self.home.run();
                let run = run.display();
                let text =
                    format!("{name}: its state was removed from {run}; {pids} runs on unwatched");
                ::log::error!("{text}");
                self.leftovers.tell(text);
                self.suspect(Some(name));
            }
        }
    }

    fn suspect(&mut self, unit: Option<UnitName>) {
        let known = unit.map(|unit| (unit, Leftover::Anywhere));
        self.leftovers.units.extend(known);
    }

    /// A unit of which the definition is lost.
    pub(super) fn leave(&mut self, saved: &Saved, reason: &str) {
        let facts = &saved.facts;
        let name = &facts.unit;
        let runs = [facts.main, facts.control].into_iter().flatten();
        let found = runs.filter_map(|run| self.find(run, saved));
        let tree = self.home.tree_name();
        let is_ours = |path: &&Path| Cgroup::reopen(path, &tree, name.as_str()).is_ok();
        let group = saved.cgroup.as_deref().map(Path::new).filter(is_ours);
        let leftover = Leftover::Known(
            group.map(Path::to_owned),
            found.map(|(pid, _, identity)| (pid, identity)).collect(),
        );
        let text = match shown(&self.living(name, &leftover)) {
            None => format!("{name} is not taken over: {reason}"),
            Some(pids) => format!("{name} is not taken over, {pids} runs on unwatched: {reason}"),
        };
        ::log::error!("{text}");
        self.leftovers.tell(text);
        self.leftovers.units.insert(name.clone(), leftover);
    }

    /// Whether a process of an earlier daemon still does this unit's work.
    pub(super) fn refuse_second_copy(&mut self, name: &UnitName) -> Result<(), SpawnFailure> {
        let Some(leftover) = self.leftovers.units.get(name) else {
            return Ok(());
        };
        if let Some(pids) = shown(&self.living(name, leftover)) {
            return Err(failure(STEP, 0, still_runs(&pids)));
        }
        self.leftovers.units.remove(name);
        self.states.forget_aside(name);
        Ok(())
    }

    /// The processes of this unit that nobody watches.
    pub(super) fn left_over(&self, name: &UnitName) -> BTreeSet<Pid> {
        let leftover = self.leftovers.units.get(name);
        leftover.map_or_else(BTreeSet::new, |leftover| self.living(name, leftover))
    }

    /// Every unit that has such processes.
    fn all_left_over(&self) -> BTreeMap<UnitName, BTreeSet<Pid>> {
        let units = self.leftovers.units.iter();
        units
            .map(|(name, leftover)| (name.clone(), self.living(name, leftover)))
            .filter(|(_, pids)| !pids.is_empty())
            .sorted_map()
    }

    /// What is known of a unit's processes in `run/` is not to be replaced by what the engine believes.
    pub(super) fn is_left(&self, name: &UnitName) -> bool {
        self.leftovers.units.contains_key(name)
    }

    /// Takes those out of `names` that are units with such processes; they may have no file any more.
    pub(super) fn part_with_left(&self, names: &mut Vec<String>) -> Vec<UnitResult> {
        let mut refused = Vec::new();
        names.retain(|name| {
            let name = UnitName::parse(name).ok();
            let result = name.and_then(|name| self.refusal(&name));
            let is_none = result.is_none();
            refused.extend(result);
            is_none
        });
        refused
    }

    /// The refusals of those such units that a pattern among `names` means.
    pub(super) fn left_that_match(&self, names: &[String]) -> Vec<UnitResult> {
        let is_meant = |unit: &&UnitName| {
            let mut patterns = names.iter().filter(|name| glob::is_pattern(name));
            patterns.any(|name| glob::matches(name, unit.as_str()))
        };
        let units = self.leftovers.units.keys().filter(is_meant);
        units.filter_map(|unit| self.refusal(unit)).collect()
    }

    /// Takes such units out of a request: the engine believes that they are down, and would do something about that.
    pub(super) fn without_left(&self, mut loaded: Loaded, refused: Vec<UnitResult>) -> Loaded {
        let Loaded {
            targets, answered, ..
        } = &mut loaded;
        answered.extend(refused);
        targets.retain(|name| {
            let result = self.refusal(name);
            let is_none = result.is_none();
            let is_new =
                |result: &UnitResult| answered.iter().all(|known| known.unit != result.unit);
            let result = result.filter(is_new);
            answered.extend(result);
            is_none
        });
        loaded
    }

    fn refusal(&self, name: &UnitName) -> Option<UnitResult> {
        let pids = self.left_over(name);
        let numbers: Vec<String> = pids
            .iter()
            .take(PIDS_MAX)
            .map(ToString::to_string)
            .collect();
        let numbers = numbers.join(" ");
        Some(UnitResult {
            unit: name.to_string(),
            kind: ResultKind::Failed,
            text: still_runs(&shown(&pids)?),
            retry_ms: None,
            hint: Some(format!(
                "nothing was signalled; `kill {numbers}`, then `diakonos start {name}`"
            )),
            left: Vec::new(),
        })
    }

    fn living(&self, name: &UnitName, leftover: &Leftover) -> BTreeSet<Pid> {
        let mut living: BTreeSet<Pid> = match leftover {
            Leftover::Anywhere => {
                let trees = self.leftovers.trees.iter();
                let groups = trees.map(|tree| Cgroup::place(tree, name.as_str()));
                groups.flat_map(members).sorted_set()
            }
            Leftover::Known(group, processes) => {
                let known = processes.iter().filter(|(pid, identity)| {
                    let same = |pidfd: PidFd| self.identities.of(*pid, &pidfd) == *identity;
                    PidFd::open(*pid).is_ok_and(same)
                });
                let known = known.map(|(pid, _)| *pid);
                group
                    .iter()
                    .cloned()
                    .flat_map(members)
                    .chain(known)
                    .sorted_set()
            }
        };
        living.extend(proc::writers(&self.fifos(name.as_str()).out));
        living.retain(|pid| proc::stat(*pid).is_ok_and(|stat| !stat.is_dead()));
        living
    }
}

fn members(group: PathBuf) -> Vec<Pid> {
    let members = Cgroup::open(group).and_then(|group| group.procs());
    members.unwrap_or_default()
}

fn still_runs(pids: &str) -> String {
    format!("{pids}, which an earlier daemon started, still runs")
}

/// `PID 1, 2`; nothing if there is none.
fn shown(pids: &BTreeSet<Pid>) -> Option<String> {
    let more = if pids.len() > PIDS_MAX {
        " and others"
    } else {
        ""
    };
    let shown: Vec<String> = pids
        .iter()
        .take(PIDS_MAX)
        .map(ToString::to_string)
        .collect();
    (!shown.is_empty()).then(|| format!("PID {}{more}", shown.join(", ")))
}
