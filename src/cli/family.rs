//! The services that `up` looks after: which they are, which of them it has started, and whether one still lives.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use super::client::Client;
use super::edges::starts;
use super::exit::{Exit, Failure};
use super::instances::Startable;
use super::place::Place;
use super::units::{is_down, no_such_unit};
use crate::daemon::unit_context;
use crate::engine::Command;
use crate::log::{Content, Ending, Filter, Mark, Mode, Reader, Start};
use crate::sorted::Sorted;
use crate::sys::process::{Pid, PidFd};
use crate::unit::{self, UnitName, glob};
use crate::wire::UnitStatus;

/// How soon a service that changes its state is looked at again.
const SETTLE_MS: u64 = 200;
/// Units that are followed from one to what it depends on.
const MEMBERS_MAX: usize = 10_000;

/// The units that `up` is to start.
pub(super) struct Meant {
    pub(super) names: Vec<String>,
    /// Those of them that were not named.
    pub(super) found: Vec<String>,
}

/// The units that these names and patterns mean; without one, every unit of the service folders (the home's own
/// folder counts only where there is no other).
pub(super) fn meant(place: &Place, arguments: &[String]) -> Result<Meant, Failure> {
    let mut path = place.search_path();
    let own = place.home.services();
    if arguments.is_empty() && path.directories.len() > 1 {
        path.directories.retain(|folder| *folder != own);
    }
    if arguments.is_empty() {
        // What was run by itself belongs to nobody's set of services.
        let transient = place.home.transient();
        path.directories.retain(|folder| *folder != transient);
    }
    let startable = Startable::of(place, &path);
    let known: Vec<&str> = startable.names.iter().map(UnitName::as_str).collect();
    if arguments.is_empty() {
        startable.warn("*");
        if known.is_empty() {
            let message = format!("no unit files lie in {}", place.shown_directories());
            return Err(
                Failure::new(Exit::NoSuchUnit, message).hint("--service-dir names another folder")
            );
        }
        let names: Vec<String> = known.into_iter().map(str::to_owned).collect();
        let found = names.clone();
        return Ok(Meant { names, found });
    }
    let mut exact: BTreeSet<String> = BTreeSet::new();
    let mut names: Vec<String> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for argument in super::commands::checked_names(arguments)? {
        let name = UnitName::parse(&argument);
        let template = name.as_ref().ok().filter(|name| name.is_template());
        let is_file = name.as_ref().is_ok_and(|name| path.find(name).is_some());
        let meant: Vec<String> = if glob::is_pattern(&argument) {
            startable.warn(&argument);
            let matching = known.iter().filter(|name| glob::matches(&argument, name));
            matching.map(|name| (*name).to_owned()).collect()
        } else if let Some(template) = template.filter(|_| is_file) {
            startable.instances(template)?
        } else if is_file {
            exact.insert(argument.clone());
            vec![argument.clone()]
        } else {
            Vec::new()
        };
        if meant.is_empty() {
            return Err(no_such_unit(
                &place.shown_directories(),
                &argument,
                known.iter().copied(),
            ));
        }
        let new = meant.into_iter().filter(|name| seen.insert(name.clone()));
        names.extend(new);
    }
    let found = names.iter().filter(|name| !exact.contains(*name));
    let found = found.cloned().collect();
    Ok(Meant { names, found })
}

/// The same with all that they start, at once or in case of need, as far as the files can be read.
pub(super) fn with_dependencies(place: &Place, names: &[String]) -> Vec<String> {
    let (path, context) = (place.search_path(), unit_context());
    let mut members: Vec<String> = names.to_vec();
    let mut known: BTreeSet<String> = names.iter().cloned().sorted_set();
    let mut pending: VecDeque<String> = names.iter().cloned().collect();
    while let Some(name) = pending.pop_front() {
        let Ok(name) = UnitName::parse(&name) else {
            continue;
        };
        let Ok(unit) = unit::load(&name, &path, &context) else {
            continue;
        };
        for started in starts(&unit) {
            let started = started.to_string();
            if members.len() < MEMBERS_MAX && known.insert(started.clone()) {
                members.push(started.clone());
                pending.push_back(started);
            }
        }
    }
    members
}

/// The unit whose end is waited for: one of those that are started.
pub(super) fn exit_with(name: &str, members: &[String]) -> Result<String, Failure> {
    let name = super::commands::checked_names(&[name.to_owned()])?
        .pop()
        .unwrap_or_default();
    if members.contains(&name) {
        return Ok(name);
    }
    let near = unit::nearest(&name, members.iter().map(String::as_str));
    let failure = Failure::usage(format!(
        "--exit-with {name}: it is not among what is started"
    ));
    Err(match near {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure.hint("it must be one of the units named, or one that they depend on"),
    })
}

/// What `up` has started, and what it knows of it.
pub(super) struct Family {
    /// Those that it is to stop: what was down before.
    ours: BTreeSet<String>,
    /// As they were when last looked at.
    statuses: Vec<UnitStatus>,
    /// Their main processes, each with what polls readable when it ends.
    mains: Vec<Main>,
    /// PIDs of main processes that have ended, which the daemon may not have noticed yet.
    ended: BTreeSet<u32>,
    lost_one: bool,
}

struct Main {
    pid: u32,
    pidfd: PidFd,
}

/// Which main processes could be taken hold of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    All,
    Some,
}

/// What a look at the family brought.
pub(super) struct Look {
    /// Whether a service of ours has a process, or will have one.
    pub(super) alive: bool,
    pub(super) failed: bool,
    /// When to look again, if there is a reason.
    pub(super) again_ms: Option<u64>,
}

impl Family {
    /// Before anything is started: what is up already, or on its way there, is not ours.
    pub(super) fn of_the_down(client: &mut Client, members: Vec<String>) -> Result<Self, Failure> {
        let before = client.units(Command::List, &[])?;
        let not_down = before.iter().filter(|status| !is_down(status));
        let up: BTreeSet<&str> = not_down.map(|status| status.name.as_str()).sorted_set();
        let was_down = |name: &String| !up.contains(name.as_str());
        Ok(Self::of_all(members.into_iter().filter(was_down).collect()))
    }

    /// All of them are ours, whatever they were.
    pub(super) fn of_all(members: Vec<String>) -> Self {
        Self {
            ours: members.into_iter().sorted_set(),
            statuses: Vec::new(),
            mains: Vec::new(),
            ended: BTreeSet::new(),
            lost_one: false,
        }
    }

    /// What polls readable when a main process ends, in the order that [`Family::note_ends`] expects.
    pub(super) fn mains(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.mains.iter().map(|main| main.pidfd.as_fd())
    }

    pub(super) fn note_ends(&mut self, ready: &[bool]) {
        let mut place = 0;
        let ended = &mut self.ended;
        let before = self.mains.len();
        self.mains.retain(|main| {
            let is_over = ready.get(place) == Some(&true);
            place += 1;
            if is_over {
                ended.insert(main.pid);
            }
            !is_over
        });
        self.lost_one |= self.mains.len() < before;
    }

    /// Whether a main process has ended since this was last asked.
    pub(super) fn has_lost_one(&mut self) -> bool {
        std::mem::take(&mut self.lost_one)
    }

    /// Asks the daemon how they are.
    pub(super) fn look(&mut self, client: &mut Client) -> Result<Look, Failure> {
        let mut statuses = client.units(Command::List, &[])?;
        statuses.retain(|status| self.ours.contains(&status.name));
        self.statuses = statuses;
        let mut look = Look {
            alive: false,
            failed: false,
            again_ms: None,
        };
        let now_ms = crate::sys::clock::wall_ms();
        for status in &self.statuses {
            look.failed |= status.state == "failed";
            look.alive |= status.kind != "group" && !is_over(status);
            let again_ms = match status.state.as_str() {
                "waiting" | "starting" | "stopping" | "reloading" => Some(SETTLE_MS),
                "restarting" => {
                    let due_ms = status.deadline_ms.unwrap_or(0);
                    Some(due_ms.saturating_sub(now_ms).saturating_add(SETTLE_MS))
                }
                _ => match status.pid {
                    Some(pid) if self.ended.contains(&pid) => Some(SETTLE_MS),
                    _ => None,
                },
            };
            look.again_ms = [look.again_ms, again_ms].into_iter().flatten().min();
        }
        if self.hold_mains() == Held::Some {
            look.again_ms = Some(look.again_ms.map_or(SETTLE_MS, |ms| ms.min(SETTLE_MS)));
        }
        Ok(look)
    }

    /// Takes hold of the main processes that are new. One that ended between the daemon's answer and now cannot be
    /// held, and nothing else would say that it has.
    fn hold_mains(&mut self) -> Held {
        let mut held = Held::All;
        let known: BTreeSet<u32> = self.mains.iter().map(|main| main.pid).sorted_set();
        for status in &self.statuses {
            let Some(pid) = status.pid.filter(|pid| !self.ended.contains(pid)) else {
                continue;
            };
            if known.contains(&pid) {
                continue;
            }
            match Pid::from_raw(pid).and_then(|pid| PidFd::open(pid).ok()) {
                Some(pidfd) => self.mains.push(Main { pid, pidfd }),
                None => {
                    self.ended.insert(pid);
                    held = Held::Some;
                }
            }
        }
        held
    }

    /// Whether this unit is down, and nothing restarts it. One that could not even be loaded is.
    pub(super) fn is_over(&self, name: &str) -> bool {
        match self.statuses.iter().find(|status| status.name == name) {
            Some(status) => is_over(status),
            None => self.ours.contains(name),
        }
    }

    /// How the unit's last run ended, as a shell has it: its exit code, or 128 and the signal's number.
    pub(super) fn exit_code(&self, place: &Place, name: &str) -> u8 {
        let Some(status) = self.statuses.iter().find(|status| status.name == name) else {
            return 1;
        };
        let least = u8::from(status.state == "failed");
        // The log may tell of an earlier life of the daemon.
        let ending = status.last_end.as_ref();
        let code = match ending.and_then(|_| last_ending(&place.home.logs(), name)) {
            Some(Ending::Exited { code }) => u8::try_from(code).unwrap_or(1),
            Some(Ending::Signaled { signal }) => u8::try_from(128 + signal).unwrap_or(1),
            Some(Ending::Unknown) => 1,
            None => 0,
        };
        code.max(least)
    }

    /// Whether this unit has failed, as far as was seen when last looked.
    pub(super) fn has_failed(&self, name: &str) -> bool {
        let status = self.statuses.iter().find(|status| status.name == name);
        status.is_some_and(|status| status.state == "failed")
    }

    /// Those of ours that the daemon knows and that are not down.
    pub(super) fn to_stop(&self, client: &mut Client) -> Result<Vec<String>, Failure> {
        let statuses = client.units(Command::List, &[])?.into_iter();
        let ours = statuses.filter(|status| self.ours.contains(&status.name));
        let up = ours.filter(|status| !is_down(status));
        Ok(up.map(|status| status.name).collect())
    }
}

/// Whether no process of it runs, nor will by itself.
fn is_over(status: &UnitStatus) -> bool {
    is_down(status) || status.state == "exited"
}

/// The last mark in the log that says how a run ended.
fn last_ending(logs: &Path, name: &str) -> Option<Ending> {
    let filter = Filter::default();
    // The mark stands behind the run's last byte, however long its last line is.
    let start = Start::Near { lines: 1, bytes: 1 };
    let mut reader = Reader::open(logs, name, start, Mode::Once, filter).ok()?;
    let mut ending = None;
    while let Ok(Some(entry)) = reader.next_entry() {
        if let Content::Mark(Mark::End(how)) = entry.content {
            ending = Some(how);
        }
    }
    ending
}
