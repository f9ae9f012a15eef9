//! Taking services back from a daemon that died: their facts go to the engine, their processes are held again.
//!
//! A process is taken for the one that was written down only if its identity is the same; its number alone proves
//! nothing.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::path::Path;

use crate::engine::{
    Ending, Engine, Event, FactPhase, FactRun, Facts, Moment, Role, SpawnFailure, UnitId,
};
use crate::sys::process::{Pid, PidFd, error_text};
use crate::sys::{clock, proc};
use crate::unit::{Service, Unit, UnitName};
use crate::wire::Saved;

use super::event_loop::Daemon;
use super::loader::read_file;

use super::account::Account;
use super::births::streams;
use super::environment::Invocation;
use super::group::Group;
use super::keeper::Keeper;
use super::processes::{History, Hold, Leftover, Origin, Processes, Run, Turn};
use super::pump::UnitLog;
use super::settling::is_rest;
use super::sources::{Source, Sources};
use super::spawn::{Fifos, failure};

impl Daemon {
    /// Takes back whatever a predecessor left. To be called once, at boot, before any request.
    pub(super) fn take_back(&mut self) {
        let Self {
            engine,
            processes,
            sources,
            events,
            context,
            ..
        } = self;
        let load = |saved: &Saved| {
            let unit = read_file(&saved.facts.unit, Path::new(&saved.file), context)?;
            if unit.hash != saved.hash {
                ::log::warn!("{}: its file has changed since it was started", unit.name);
            }
            Ok(Box::new(unit))
        };
        processes.restore(engine, sources, events, load);
        // Children that were inherited with our PID, and that nobody has told of.
        processes.orphans(engine, sources, events);
        self.settle();
    }
}

impl Processes {
    /// Takes back whatever a predecessor left in `run/`. `load` reads a unit's file, or says why it cannot be read. To
    /// be called once, at boot, before any request; the events that follow are queued.
    pub(super) fn restore(
        &mut self,
        engine: &mut Engine,
        sources: &mut Sources,
        events: &mut VecDeque<Event>,
        mut load: impl FnMut(&Saved) -> Result<Box<Unit>, String>,
    ) {
        let mut taken = Vec::new();
        let (predecessors, last_run) = self.states.predecessors();
        engine.count_on_from(last_run);
        for (saved, slot) in predecessors {
            match load(&saved) {
                Ok(unit) => {
                    let facts = Box::new(saved.facts.clone());
                    engine.handle(
                        Moment(clock::monotonic_ms()),
                        Event::Restored { unit, facts },
                    );
                    taken.push((saved, slot));
                }
                Err(reason) => self.leave(&saved, &reason),
            }
        }
        // Those that run come first: they must not lack the descriptors that the others take for a moment.
        taken.sort_by_key(|(saved, _)| saved.facts.main.is_none() && saved.facts.control.is_none());
        for (saved, slot) in taken {
            let turn = &mut Turn {
                engine,
                sources,
                events,
            };
            if let Some(id) = turn.engine.id(&saved.facts.unit) {
                self.states.resume(id, slot);
                let (log_lost, last_end) = (saved.log_lost, saved.last_end);
                self.history.insert(id, History { log_lost, last_end });
                self.take_back(id, &saved, turn);
            }
        }
        // Whatever is due by now, and whatever waited for its turn, is so again.
        events.push_back(Event::Tick);
    }

    /// A unit whose file cannot be read: its processes run on unwatched, and keep a second copy from being started.
    fn leave(&mut self, saved: &Saved, reason: &str) {
        let runs = [saved.facts.main, saved.facts.control]
            .into_iter()
            .flatten();
        let found = runs.filter_map(|run| self.find(run, saved));
        let is_alive = |pid| proc::stat(pid).is_ok_and(|stat| !stat.is_dead());
        let alive = found.filter(|(pid, ..)| is_alive(*pid));
        let left: Vec<Leftover> = alive
            .map(|(pid, _, identity)| Leftover { pid, identity })
            .collect();
        let name = &saved.facts.unit;
        let pids: Vec<String> = left.iter().map(|left| left.pid.to_string()).collect();
        if pids.is_empty() {
            ::log::warn!("{name} is not taken over: {reason}");
        } else {
            let pids = pids.join(", ");
            ::log::error!("{name} is not taken over, PID {pids} runs on unwatched: {reason}");
            self.leftovers.insert(name.clone(), left);
        }
    }

    /// Whether a process of an earlier daemon still does this unit's work.
    pub(super) fn refuse_second_copy(&mut self, name: &UnitName) -> Result<(), SpawnFailure> {
        let Some(left) = self.leftovers.get(name) else {
            return Ok(());
        };
        let identities = self.identities;
        let lives = |left: &&Leftover| {
            let is_dead = proc::stat(left.pid).map_or(true, |stat| stat.is_dead());
            let same = |pidfd: PidFd| identities.of(left.pid, &pidfd) == left.identity;
            !is_dead && PidFd::open(left.pid).is_ok_and(same)
        };
        if let Some(left) = left.iter().find(lives) {
            let pid = left.pid;
            let reason = format!("PID {pid}, which an earlier daemon started, still runs");
            return Err(failure("predecessor", 0, reason));
        }
        self.leftovers.remove(name);
        Ok(())
    }

    fn take_back(&mut self, id: UnitId, saved: &Saved, turn: &mut Turn<'_>) {
        let facts = &saved.facts;
        let engine = turn.engine;
        let Some(unit) = engine.unit(id) else { return };
        let Some(service) = unit.service.as_deref() else {
            return;
        };
        self.reopen_hold(id, (unit, service), saved, turn);
        let finds_main = facts.phase == FactPhase::FindingMain;
        for run in [facts.main, facts.control].into_iter().flatten() {
            let known = self.find(run, saved);
            let found = known.or_else(|| self.find_newborn(id, run, saved));
            match found {
                Some(found) => self.hold_again((id, run), found, facts.phase, turn),
                // The first process of a forking service has done its duty.
                None if finds_main && run.role == Role::Start => {}
                None => {
                    let (run, role, ending) = (run.run, run.role, Ending::Unknown);
                    if role == Role::Start {
                        self.main_ended(id, ending);
                    }
                    turn.events.push_back(Event::Exited { run, ending });
                }
            }
        }
        if let (true, Some(main)) = (finds_main, facts.main) {
            self.find_main(id, main.run, turn);
        }
        self.stirred.insert(id);
        if is_rest(engine.view(id).map(|view| view.state)) {
            self.settle_unit(id, turn);
        }
    }

    /// The process of a run, if it is the one that was written down and has not been reaped.
    fn find(&self, run: FactRun, saved: &Saved) -> Option<(Pid, PidFd, u64)> {
        let pid = run.pid.and_then(Pid::from_raw)?;
        let (_, expected) = *saved.inodes.iter().find(|(id, _)| *id == run.run)?;
        let pidfd = PidFd::open(pid).ok()?;
        let identity = self.identities.of(pid, &pidfd);
        (identity == expected).then_some((pid, pidfd, identity))
    }

    fn reopen_hold(
        &mut self,
        id: UnitId,
        (unit, service): (&Unit, &Service),
        saved: &Saved,
        turn: &mut Turn<'_>,
    ) {
        let name = unit.name.as_str();
        let known = saved.invocation.as_deref().and_then(Invocation::from_text);
        let invocation = known.unwrap_or_else(|| self.invocations.next());
        let mut group = Group::reopen(id, name, saved.cgroup.as_deref(), self.tree.as_ref());
        group.add_mark(invocation.mark());
        let has_log = !streams(service).is_empty();
        let log = has_log.then(|| UnitLog::new(name, &self.home.logs(), service.log));
        let mut hold = Hold {
            group,
            invocation,
            started_ms: 0,
            log,
        };
        if let Some(log) = &mut hold.log {
            let fifos = self.fifos(name);
            let kept = (&mut *turn.sources, &mut self.keeper);
            let opened = reopen_pipes((id, service), &fifos, (log, &self.ours), kept);
            if let Err(failed) = opened {
                ::log::error!("{name}: its output is not taken over: {}", failed.reason);
            }
            resume(log, &saved.facts);
        }
        self.holds.insert(id, hold);
    }

    fn hold_again(
        &mut self,
        (unit, run): (UnitId, FactRun),
        (pid, pidfd, identity): (Pid, PidFd, u64),
        phase: FactPhase,
        turn: &mut Turn<'_>,
    ) {
        let id = run.run;
        let exit = match turn.sources.add(pidfd.as_fd(), Source::Exit(id)) {
            Ok(exit) => exit,
            Err(error) => {
                ::log::error!("PID {pid} cannot be watched: {}", error_text(&error));
                return;
            }
        };
        if let Some(hold) = self.holds.get_mut(&unit) {
            hold.group.add_root(pid);
            if let (Some(log), Role::Start, None) = (&mut hold.log, run.role, run.pid) {
                log.begin(id, pid.as_raw());
            }
        }
        let mut found = Run::found((unit, run.role), (pid, pidfd), exit, identity);
        if phase == FactPhase::Starting {
            // A forking service's first process may still hand its duty on.
            found.origin = Origin::Spawned;
        }
        self.runs.insert(id, found);
        turn.events.push_back(Event::Spawned {
            run: id,
            pid: pid.as_raw(),
        });
        // Its report went to the predecessor. A program that was not executed after all ends by itself.
        turn.events.push_back(Event::Executed { run: id });
        // One that has ended meanwhile is a child of ours, or of whoever reaps for us: its status is read at once, while
        // nobody has reaped it.
        self.exit(id, turn);
    }
}

fn reopen_pipes(
    (unit, service): (UnitId, &Service),
    fifos: &Fifos,
    (log, ours): (&mut UnitLog, &Account),
    (sources, keeper): (&mut Sources, &mut Keeper),
) -> Result<(), SpawnFailure> {
    let owner = Account::of_service(service, ours)?;
    for stream in streams(service) {
        let path = fifos.path(stream);
        log.open_pipe((unit, stream), path, owner.owner(), (sources, keeper))
            .map_err(|error| {
                failure(
                    "log pipe",
                    0,
                    format!("{}: {}", path.display(), error_text(&error)),
                )
            })?;
    }
    Ok(())
}

/// Bytes in the pipes are the present main process's, if it had begun.
fn resume(log: &mut UnitLog, facts: &Facts) {
    let main = facts.main.filter(|main| main.role == Role::Start);
    match (
        main.and_then(|main| Some((main.run, main.pid?))),
        facts.control,
    ) {
        (Some((run, pid)), _) => log.resume(run, pid),
        (None, Some(control)) => log.attribute(control.run),
        (None, None) => {}
    }
}
