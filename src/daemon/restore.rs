//! Taking services back from a daemon that died: their facts go to the engine, their processes are held again.
//!
//! A process is taken for the one that was written down only if its identity is the same; its number alone proves
//! nothing.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::unix::process::parent_id;
use std::path::Path;

use crate::engine::{
    Ending, Engine, Event, FactPhase, FactRun, Facts, Moment, Role, SpawnFailure, UnitId,
};
use crate::log::{Legacy, Missing};
use crate::sorted;
use crate::sys::clock;
use crate::sys::process::{Pid, PidFd, error_text};
use crate::unit::{Context, NotifyAccess, Service, Unit};
use crate::wire::Saved;

use super::account::Account;
use super::environment::Invocation;
use super::event_loop::Daemon;
use super::group::Group;
use super::keeper::Keeper;
use super::lenience::Lenience;
use super::lives::{History, Lives};
use super::loader::read_file;
use super::machine::Limited;
use super::newborn::Scan;
use super::processes::{Hold, Processes, Turn};
use super::pump::UnitLog;
use super::runs::{Origin, Run};
use super::settling::is_rest;
use super::sources::{Source, Sources};
use super::spawn::{Fifos, failure, streams};
use super::state::{Definitions, States};

const SIGTERM: i32 = 15;
/// So many services that were taken back are told of by their names.
const TOLD_MAX: usize = 20;

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
        processes.restore(engine, sources, (events, context));
        // Children that were inherited with our PID, and that nobody has told of.
        let (processes, mut turn) = self.with_turn();
        processes.orphans(&mut turn);
        self.settle();
    }
}

impl Processes {
    /// Takes back whatever a predecessor left in `run/`; the events that follow are queued.
    fn restore(
        &mut self,
        engine: &mut Engine,
        sources: &mut Sources,
        (events, context): (&mut VecDeque<Event>, &Context),
    ) {
        self.inherit();
        let left = self.states.predecessor();
        engine.count_on_from(left.last_run);
        self.note_leftovers(&left);
        let mut taken = Vec::new();
        for (saved, slot) in left.units {
            let definitions = match self.definitions(&saved, context) {
                Ok(definitions) => definitions,
                Err(reason) => {
                    self.leave(&saved, &reason);
                    continue;
                }
            };
            engine.handle(
                Moment(clock::monotonic_ms()),
                Event::Restored {
                    unit: definitions.in_force.clone(),
                    next: definitions.next.clone(),
                    facts: Box::new(saved.facts.clone()),
                },
            );
            if let Some(id) = engine.id(&saved.facts.unit) {
                self.states.resume(id, slot, &definitions);
                taken.push((id, saved));
            }
        }
        // Those that run come first: they must not lack the descriptors that the others take for a moment.
        sorted::sort_by_key(&mut taken, |(_, saved)| !runs(saved));
        let mut scan = Scan::default();
        let turn = &mut Turn {
            engine,
            sources,
            events,
        };
        for (id, saved) in &taken {
            let id = *id;
            let missing = Missing {
                bytes: saved.log_lost,
                dropped_lines: saved.log_dropped,
                limited_lines: saved.log_limited,
            };
            // Of one that rests it is that of its last life; otherwise it is held with the present one.
            let known = saved.invocation.as_deref().filter(|_| is_over(saved));
            let invocation = known.and_then(Invocation::from_text);
            let history = History {
                missing,
                legacy: legacy(&saved.log_owed),
                last_end: saved.last_end,
                invocation,
                lives: Lives {
                    last: saved.life,
                    before: saved.life_before,
                },
            };
            self.history.insert(id, Box::new(history));
            self.ears.remember(id, saved.said.as_deref());
            self.forgone.remember(id, saved.forgone.as_deref());
            self.take_back(id, saved, &mut scan, turn);
        }
        self.disinherit();
        self.tell_taken(&taken);
        // Whatever is due by now, and whatever waited for its turn, is so again.
        events.push_back(Event::Tick);
    }

    /// One line for those who wonder what became of their services.
    fn tell_taken(&self, taken: &[(UnitId, Saved)]) {
        if taken.is_empty() {
            return;
        }
        let alive = |(id, saved): &(UnitId, Saved)| {
            let mut all = self.runs.of(*id);
            let run = all.find(|(_, run)| run.role == Role::Start);
            let (_, run) = run.or_else(|| self.runs.of(*id).next())?;
            Some(format!("{} (PID {})", saved.facts.unit, run.pid))
        };
        let mut alive: Vec<String> = taken.iter().filter_map(alive).collect();
        let (count, rest) = (alive.len(), taken.len() - alive.len());
        if count > TOLD_MAX {
            alive.truncate(TOLD_MAX);
            alive.push(format!("and {} more", count - TOLD_MAX));
        }
        let (services, colon) = match count {
            0 => ("services", ""),
            1 => ("service", ": "),
            _ => ("services", ": "),
        };
        let alive = alive.join(", ");
        ::log::info!(
            "took back {count} running {services} of the daemon before{colon}{alive}; {rest} at rest"
        );
    }

    /// What the unit was started with; where that was not kept, what its file says.
    fn definitions(&mut self, saved: &Saved, context: &Context) -> Result<Definitions, String> {
        let name = &saved.facts.unit;
        let read = read_file(name, Path::new(&saved.file), context);
        // Most files still say what was kept, and in far fewer words.
        if let (Ok(unit), None) = (&read, saved.next)
            && saved.definition == Some(unit.fingerprint())
        {
            return Ok(match saved.text {
                Some(_) => Definitions::instead(unit.clone()),
                None => self.states.unchanged(unit.clone()),
            });
        }
        let reason = match self.states.definitions(saved, context) {
            Ok(definitions) => return Ok(definitions),
            Err(reason) => reason,
        };
        let unit = in_its_place(read, &reason)?;
        let since = match unit.hash == saved.hash {
            true => "",
            false => ", which has changed since it was started",
        };
        if saved.definition.is_some() || !since.is_empty() {
            let text = format!("{name}: its definition is lost ({reason}); its file counts{since}");
            ::log::warn!("{text}");
            self.leftovers.tell(text);
        }
        self.states.set_definitions_aside(name);
        Ok(Definitions::instead(unit))
    }

    fn take_back(&mut self, id: UnitId, saved: &Saved, scan: &mut Scan, turn: &mut Turn<'_>) {
        let facts = &saved.facts;
        let engine = turn.engine;
        let Some(unit) = engine.unit(id) else { return };
        let Some(service) = unit.service.as_deref() else {
            return;
        };
        if !is_over(saved) {
            self.standing.note(id, service);
        }
        // What is in the cgroup of one that is down is what was left of it, and not ours to signal.
        let is_down = facts.main.is_none() && facts.control.is_none();
        if !(is_down && self.is_left(&unit.name)) {
            self.reopen_hold(id, (unit, service), saved, turn);
        }
        let finds_main = facts.phase == FactPhase::FindingMain;
        for run in [facts.main, facts.control].into_iter().flatten() {
            // The first process of a forking service has done its duty; the main one is looked for below.
            if finds_main && run.role == Role::Start {
                continue;
            }
            let known = self.find(run, saved);
            let found = known.or_else(|| self.find_newborn(id, run, (saved, scan)));
            match found {
                Some(found) => self.hold_again((id, run), found, facts.phase, turn),
                None => {
                    let (run, role) = (run.run, run.role);
                    let (ending, _) = self.explained(id, Ending::Unknown);
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
    pub(super) fn find(&self, run: FactRun, saved: &Saved) -> Option<(Pid, PidFd, u64)> {
        let pid = run
            .pid
            .and_then(Pid::from_raw)
            .filter(|pid| !is_family(*pid))?;
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
        let path = saved.cgroup.as_deref().map(Path::new);
        let mut group = Group::reopen((id, name), path, self.tree.as_ref(), &self.home.tree_name());
        group.add_mark(invocation.mark(), &mut self.kin);
        let has_log = !streams(service).is_empty();
        let log = has_log.then(|| UnitLog::new(name, &self.home.logs(), service.log));
        self.log_care.packer.consider(name, service.log.compress);
        let mut hold = Hold {
            group,
            invocation,
            started_ms: 0,
            youngest: saved.facts.main.or(saved.facts.control).map(|run| run.run),
            log,
            limited: Limited::taken_over(service, saved.oom_kills),
        };
        if let Some(log) = &mut hold.log {
            let fifos = self.fifos(name);
            let kept = (&mut *turn.sources, &mut self.keeper);
            let opened = reopen_pipes((id, service), &fifos, (log, &self.ours), kept);
            if let Err(failed) = opened {
                ::log::error!("{name}: its output is not taken over: {}", failed.reason);
            }
            let history = self.history.get_mut(&id);
            if let Some(legacy) = history.and_then(|history| history.legacy.take()) {
                log.inherit(*legacy);
            }
            resume(log, &saved.facts);
            self.intake.remind(log.due_ms());
        }
        let memory = &mut hold.limited.memory;
        let told = (&mut self.watches, &mut self.looks);
        memory.begin((id, service), &hold.group, told);
        if turn.engine.is_torn() {
            hold.limited
                .hold_again(&hold.group, &self.machine, (&unit.name, service));
        }
        hold.limited.watch_again(&hold.group);
        self.holds.insert(id, Box::new(hold));
        self.listen_again((id, name), service, turn);
        self.ears.set_access(id, saved.access);
        let lost = self.stores.take_back(id, &saved.stored, turn.sources);
        if lost > 0 {
            ::log::warn!("{name}: {lost} of the descriptors that it has stored are lost");
        }
    }

    /// Where somebody has removed the FIFO that it was born with, another one has its name by now.
    fn reopen_removed(&mut self, id: UnitId, writer: Pid, turn: &mut Turn<'_>) {
        let Some(unit) = turn.engine.unit(id) else {
            return;
        };
        let fifos = self.fifos(unit.name.as_str());
        let log = self.holds.get_mut(&id).and_then(|hold| hold.log.as_mut());
        let (Some(service), Some(log)) = (unit.service.as_deref(), log) else {
            return;
        };
        for stream in streams(service) {
            let kept = (&mut *turn.sources, &mut self.keeper);
            let opened = log.reopen_removed((id, stream), fifos.path(stream), writer, kept);
            if let Err(error) = opened {
                let (name, reason) = (&unit.name, error_text(&error));
                ::log::error!("{name}: the output of PID {writer} is not taken over: {reason}");
            }
        }
    }

    fn listen_again(&mut self, (id, name): (UnitId, &str), service: &Service, turn: &mut Turn<'_>) {
        if service.oversight().access == NotifyAccess::None {
            return;
        }
        let opened = Account::of_service(service, &self.ours, &mut Lenience::of(service))
            .and_then(|owner| self.open_ear((id, service), owner.uid, turn));
        if let Err(failed) = opened {
            ::log::error!("{name}: it is not heard any more: {}", failed.reason);
        }
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
                let reason = error_text(&error);
                ::log::error!("PID {pid} cannot be watched and is stopped: {reason}");
                // Nobody would learn of its end, so that it counts as ended, and what is left in its group is stopped
                // before anything is started in its place.
                if let Some(hold) = self.holds.get_mut(&unit) {
                    hold.group.add_root(pid);
                }
                // One that has ended meanwhile is what is wanted.
                let _ = pidfd.signal(SIGTERM);
                if run.role == Role::Start {
                    self.main_ended(unit, Ending::Unknown);
                }
                turn.events.push_back(Event::Exited {
                    run: id,
                    ending: Ending::Unknown,
                });
                return;
            }
        };
        self.reopen_removed(unit, pid, turn);
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
        // One that has ended meanwhile is a child of ours, or of whoever reaps for us: its status is read at once,
        // while nobody has reaped it.
        self.exit(id, turn);
    }
}

/// Whether this program can take back all that a daemon has saved; changes nothing.
///
/// # Errors
/// What cannot be read, and why.
pub(super) fn rehearse(states: &States, context: &Context) -> Result<(), String> {
    for saved in states.saved() {
        let saved = saved?;
        if let Err(reason) = states.definitions(&saved, context) {
            let name = &saved.facts.unit;
            let read = read_file(name, Path::new(&saved.file), context);
            in_its_place(read, &reason).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(())
}

/// Where what a unit was started with is lost for this `reason`, its file counts.
fn in_its_place(read: Result<Unit, String>, reason: &str) -> Result<Unit, String> {
    read.map_err(|error| format!("its definition is lost ({reason}), and {error}"))
}

fn runs(saved: &Saved) -> bool {
    saved.facts.main.is_some() || saved.facts.control.is_some()
}

/// What the predecessor's log writer left.
fn legacy(bytes: &[u8]) -> Option<Box<Legacy>> {
    (!bytes.is_empty()).then(|| Box::new(Legacy::from_bytes(bytes)))
}

fn is_over(saved: &Saved) -> bool {
    matches!(
        saved.facts.phase,
        FactPhase::Stopped | FactPhase::Completed | FactPhase::Failed
    )
}

/// Whom no service can be: the first process, ourselves, and who made us.
fn is_family(pid: Pid) -> bool {
    [1, std::process::id(), parent_id()].contains(&pid.as_raw())
}

fn reopen_pipes(
    (unit, service): (UnitId, &Service),
    fifos: &Fifos,
    (log, ours): (&mut UnitLog, &Account),
    (sources, keeper): (&mut Sources, &mut Keeper),
) -> Result<(), SpawnFailure> {
    let owner = Account::of_service(service, ours, &mut Lenience::of(service))?;
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
