//! What a predecessor left and nobody can take back: its files are torn, foreign or newer than this program.
//!
//! Such a unit's processes, if there are any, run on unwatched and are signalled by nobody: nothing is done on a doubt.
//! They keep a second copy from being started.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::engine::SpawnFailure;
use crate::sys::cgroup::Cgroup;
use crate::sys::proc;
use crate::sys::process::{Pid, PidFd};
use crate::unit::UnitName;
use crate::wire::Saved;

use super::identity::Identities;
use super::processes::Processes;
use super::spawn::failure;
use super::state::Predecessor;

/// The step that fails where a predecessor's process does the unit's work.
pub(super) const STEP: &str = "predecessor";
/// So many files that cannot be read are told of one by one.
const TOLD_MAX: usize = 100;
/// So many processes are told of by their numbers.
const PIDS_MAX: usize = 10;

/// Where processes of one unit may be.
#[derive(Debug, Default)]
pub(super) struct Leftover {
    /// Its cgroup, or where that may lie.
    groups: Vec<PathBuf>,
    /// Those that were written down, with their identities.
    processes: Vec<(Pid, u64)>,
}

impl Processes {
    /// Tells of what cannot be read.
    pub(super) fn note_leftovers(&mut self, left: &Predecessor) {
        // The trees that the services of this home are in: ours, and those of daemons in other places.
        let groups = left
            .units
            .iter()
            .filter_map(|(saved, _)| saved.cgroup.as_deref());
        let mut trees: BTreeSet<&Path> = groups
            .filter_map(|group| Path::new(group).parent())
            .collect();
        trees.extend(self.tree.as_ref().map(|tree| tree.path()));
        for unreadable in &left.unreadable {
            ::log::error!("{}", unreadable.text);
            if let Some(unit) = &unreadable.unit {
                let places = trees.iter().map(|tree| Cgroup::place(tree, unit.as_str()));
                let groups = places.collect();
                let leftover = Leftover {
                    groups,
                    processes: Vec::new(),
                };
                self.leftovers.insert(unit.clone(), leftover);
            }
        }
        self.unreadable = left.unreadable.iter().map(|one| one.text.clone()).collect();
    }

    /// A unit of which the definition is lost.
    pub(super) fn leave(&mut self, saved: &Saved, reason: &str) {
        let facts = &saved.facts;
        let runs = [facts.main, facts.control].into_iter().flatten();
        let found = runs.filter_map(|run| self.find(run, saved));
        let tree = self.home.tree_name();
        let is_ours = |path: &&Path| Cgroup::reopen(path, &tree, facts.unit.as_str()).is_ok();
        let group = saved.cgroup.as_deref().map(Path::new).filter(is_ours);
        let leftover = Leftover {
            groups: group.into_iter().map(Path::to_owned).collect(),
            processes: found.map(|(pid, _, identity)| (pid, identity)).collect(),
        };
        let name = &facts.unit;
        let text = match told(&leftover.living(self.identities, &self.log_pipe(name))) {
            None => format!("{name} is not taken over: {reason}"),
            Some(pids) => format!("{name} is not taken over, {pids} runs on unwatched: {reason}"),
        };
        ::log::error!("{text}");
        self.unreadable.push(text);
        self.leftovers.insert(name.clone(), leftover);
    }

    /// Whether a process of an earlier daemon still does this unit's work.
    pub(super) fn refuse_second_copy(&mut self, name: &UnitName) -> Result<(), SpawnFailure> {
        let Some(leftover) = self.leftovers.get(name) else {
            return Ok(());
        };
        if let Some(pids) = told(&leftover.living(self.identities, &self.log_pipe(name))) {
            let reason = format!(
                "{pids}, which an earlier daemon started, still runs, and what it wrote down cannot be read"
            );
            return Err(failure(STEP, 0, reason));
        }
        self.leftovers.remove(name);
        Ok(())
    }

    /// Which its processes have open, wherever they are.
    fn log_pipe(&self, name: &UnitName) -> PathBuf {
        self.fifos(name.as_str()).out
    }

    /// What `daemon-status` tells.
    pub(super) fn unreadable(&self) -> Vec<String> {
        let mut told: Vec<String> = self.unreadable.iter().take(TOLD_MAX).cloned().collect();
        if let Some(more @ 1..) = self.unreadable.len().checked_sub(TOLD_MAX) {
            told.push(format!("and {more} more"));
        }
        told
    }
}

impl Leftover {
    /// Members of the groups, those that were written down, and whoever has the log's pipe open.
    fn living(&self, identities: Identities, pipe: &Path) -> Vec<Pid> {
        let groups = self
            .groups
            .iter()
            .filter_map(|path| Cgroup::open(path.clone()).ok());
        let mut living: BTreeSet<Pid> = groups
            .filter_map(|group| group.procs().ok())
            .flatten()
            .collect();
        let known = self.processes.iter().filter(|(pid, identity)| {
            let same = |pidfd: PidFd| identities.of(*pid, &pidfd) == *identity;
            PidFd::open(*pid).is_ok_and(same)
        });
        living.extend(known.map(|(pid, _)| *pid));
        living.extend(proc::writers(pipe));
        living.retain(|pid| proc::stat(*pid).is_ok_and(|stat| !stat.is_dead()));
        living.into_iter().collect()
    }
}

/// `PID 1, 2`; nothing if there is none.
fn told(pids: &[Pid]) -> Option<String> {
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
