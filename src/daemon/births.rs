//! How a process is born: an effect of the engine becomes a child in its group, with its pipes, watched from the first
//! moment.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use crate::engine::{Engine, Event, Role, Spawn, SpawnFailure, UnitId};
use crate::sys::cgroup::Cgroup;
use crate::sys::process::{self, PidFd, Spawned, error_text};
use crate::sys::{clock, files};
use crate::unit::{Service, Unit};

use super::account::Account;
use super::environment::Invocation;
use super::group::Group;
use super::home::Home;
use super::lenience::Lenience;
use super::machine::Limited;
use super::notify::hand_over;
use super::processes::{Hold, Processes, Turn};
use super::pump::UnitLog;
use super::runs::{Birth, Origin, Run, Runs};
use super::sandbox::{Ground, confine};
use super::sources::Source;
use super::spawn::{Fifos, Objects, Order, Prepared, command, failure, is_first, prepare, streams};

const SIGKILL: i32 = 9;
/// How many descriptors have to be free before another service starts: what a birth takes for a moment, and what it
/// takes to look after, to restart and to stop the services that run already.
const SPARE_DESCRIPTORS: usize = 24;
/// `EMFILE` and `ENFILE`.
const NO_DESCRIPTORS: [i32; 2] = [24, 23];

impl Processes {
    pub(super) fn spawn(&mut self, spawn: &Spawn, turn: &mut Turn<'_>) {
        if let Err(failure) = self.try_spawn(spawn, turn) {
            turn.events.push_back(Event::SpawnFailed {
                run: spawn.run,
                failure,
            });
            self.stirred.insert(spawn.unit);
        }
    }

    fn try_spawn(&mut self, spawn: &Spawn, turn: &mut Turn<'_>) -> Result<(), SpawnFailure> {
        let unknown = || failure("command", 0, "the unit has no such command".to_owned());
        let unit = turn.engine.unit(spawn.unit).ok_or_else(unknown)?;
        let service = unit.service.as_deref().ok_or_else(unknown)?;
        let exec = command(service, spawn.role, spawn.index).ok_or_else(unknown)?;
        if is_first(service, spawn) {
            let history = self.history.entry(spawn.unit).or_default();
            history.lives.begin(spawn.run);
        }
        // A service that is held already only comes back: it takes nothing that it did not have.
        let is_new = !self.holds.contains_key(&spawn.unit);
        if is_new && spawn.role.begins() {
            files::has_room_for(SPARE_DESCRIPTORS).map_err(|error| fork_failure(&error))?;
        }
        self.refuse_second_copy(&unit.name)?;
        let mut lenience = Lenience::of(service);
        let owner = Account::of_service(service, &self.ours, &mut lenience)?;
        let fifos = self.fifos(unit.name.as_str());
        self.open_hold(spawn, (unit, service));
        self.limit_group(spawn, service, &owner, &mut lenience)?;
        self.begin_folders(spawn, service, &owner, &mut lenience)?;
        self.open_pipes((spawn.unit, service), &fifos, &owner, turn)?;
        self.listen_for(spawn, (unit, service), &owner, turn)?;
        if spawn.role.begins() {
            self.announce(spawn.unit, turn.engine)?;
        }
        let ended = self.ended_life(spawn, turn.engine);
        let Some(hold) = self.holds.get_mut(&spawn.unit) else {
            return Err(unknown());
        };
        let account = if exec.privileged { &self.ours } else { &owner };
        let order = Order {
            unit,
            service,
            exec,
            spawn,
            account,
            invocation: &hold.invocation,
            ended: ended.as_ref(),
        };
        let mut prepared = prepare(order, &fifos, &mut lenience)?;
        let around = (&self.home, &self.runs, &fifos);
        restrict(&mut prepared, order, around, &mut lenience)?;
        self.forgone.add(spawn.unit, unit, lenience.into_reasons());
        let beside = hold.beside(spawn.role)?;
        let mut request: process::Spawn<'_> = prepared.spawn;
        hold.endow(&mut request, self.limits);
        request.cgroup = beside.as_ref().map(Cgroup::entrance).or(request.cgroup);
        if spawn.role == Role::Start {
            let given = (self.stores.of(spawn.unit), self.before.get(&spawn.unit));
            hand_over(&mut request, service, given)?;
        }
        let spawned = process::spawn(&request).map_err(|error| fork_failure(&error))?;
        drop(request);
        hold.group.add_root(spawned.pid);
        if let Some(log) = &mut hold.log {
            log.attribute(spawn.run);
        }
        self.watch_child(spawn, spawned, prepared.objects, turn)
    }

    /// The mark of the life whose end has started this unit.
    fn ended_life(&self, spawn: &Spawn, engine: &Engine) -> Option<Invocation> {
        let ended = engine.id(&spawn.monitor.as_deref()?.unit)?;
        let held = self.holds.get(&ended).map(|hold| &hold.invocation);
        let history = self.history.get(&ended);
        held.or_else(|| history?.invocation.as_ref()).cloned()
    }

    /// Hears what the unit says of itself, from the first word on.
    fn listen_for(
        &mut self,
        spawn: &Spawn,
        (unit, service): (&Unit, &Service),
        owner: &Account,
        turn: &mut Turn<'_>,
    ) -> Result<(), SpawnFailure> {
        self.open_ear((spawn.unit, service), owner.uid, turn)?;
        if spawn.role == Role::Start {
            self.prepare_readiness(spawn, (unit, service), owner, turn)?;
        }
        Ok(())
    }

    /// Writes down that a process of the unit is about to be born.
    fn announce(&mut self, unit: UnitId, engine: &Engine) -> Result<(), SpawnFailure> {
        // By its mark and its group a successor finds the newborn, should we die before its PID is saved.
        self.save(unit, engine);
        // One that would not know of it at all would take it for stopped, and start it a second time.
        let Some((path, error)) = self.states.unknown(unit) else {
            return Ok(());
        };
        let errno = error.raw_os_error().unwrap_or(0);
        let (path, reason) = (path.display(), error_text(error));
        let then = "a daemon that dies would not know of it";
        Err(failure("state", errno, format!("{path}: {reason}; {then}")))
    }

    /// Holds the newborn by its pidfd, and waits for its report.
    fn watch_child(
        &mut self,
        spawn: &Spawn,
        spawned: Spawned,
        objects: Objects,
        turn: &mut Turn<'_>,
    ) -> Result<(), SpawnFailure> {
        let Spawned { pid, pidfd, status } = spawned;
        let exit = turn.sources.add(pidfd.as_fd(), Source::Exit(spawn.run));
        let report = turn
            .sources
            .add(status.as_fd(), Source::ExecStatus(spawn.run));
        let (exit, token) = match (exit, report) {
            (Ok(exit), Ok(report)) => (exit, report),
            (exit, report) => {
                // Nobody could watch it, so it must not live; it is reaped as an orphan.
                let _ = pidfd.signal(SIGKILL);
                if let Ok(token) = &exit {
                    turn.sources.remove(*token, pidfd.as_fd());
                }
                let error = exit.and(report).map(drop).err();
                return Err(fork_failure(
                    &error.unwrap_or_else(|| io::ErrorKind::Other.into()),
                ));
            }
        };
        let run = Run {
            unit: spawn.unit,
            role: spawn.role,
            origin: Origin::Spawned,
            pid,
            identity: self.identities.of(pid, &pidfd),
            pidfd,
            exit,
            birth: Some(Box::new(Birth {
                status,
                token,
                objects,
            })),
            failure: None,
        };
        self.runs.insert(spawn.run, run);
        turn.events.push_back(Event::Spawned {
            run: spawn.run,
            pid: pid.as_raw(),
        });
        Ok(())
    }

    /// Makes sure that the unit has a group and a log, and that each life of the service has its own mark.
    fn open_hold(&mut self, spawn: &Spawn, (unit, service): (&Unit, &Service)) {
        let is_new = !self.holds.contains_key(&spawn.unit);
        let (tree, logs) = (self.tree.as_ref(), self.home.logs());
        let name = unit.name.as_str();
        let invocations = &mut self.invocations;
        let hold = self.holds.entry(spawn.unit).or_insert_with(|| Hold {
            group: Group::new(spawn.unit, name, tree),
            invocation: invocations.next(),
            started_ms: 0,
            youngest: None,
            log: None,
            limited: Limited::default(),
        });
        if is_first(service, spawn) && !is_new {
            hold.invocation = self.invocations.next();
        }
        if is_first(service, spawn) || is_new {
            hold.started_ms = clock::wall_ms();
            hold.group.add_mark(hold.invocation.mark(), &mut self.kin);
            self.ears.forget_words(spawn.unit);
            self.forgone.begin(spawn.unit, unit);
        }
        hold.youngest = Some(spawn.run);
        if hold.log.is_none() && !streams(service).is_empty() {
            let mut log = UnitLog::new(name, &logs, service.log);
            let history = self.history.get_mut(&spawn.unit);
            if let Some(legacy) = history.and_then(|history| history.legacy.take()) {
                log.inherit(*legacy);
                self.intake.remind(log.due_ms());
            }
            hold.log = Some(log);
            let packer = &mut self.log_care.packer;
            packer.consider(name, service.log.compress);
        }
    }

    fn open_pipes(
        &mut self,
        (unit, service): (UnitId, &Service),
        fifos: &Fifos,
        owner: &Account,
        turn: &mut Turn<'_>,
    ) -> Result<(), SpawnFailure> {
        let Some(log) = self.holds.get_mut(&unit).and_then(|hold| hold.log.as_mut()) else {
            return Ok(());
        };
        for stream in streams(service) {
            let path = fifos.path(stream);
            let kept = (&mut *turn.sources, &mut self.keeper);
            let opened = log.open_pipe((unit, stream), path, owner.owner(), kept);
            opened.map_err(|error| {
                let reason = format!("{}: {}", path.display(), error_text(&error));
                failure(
                    step_of(&error, "log pipe"),
                    error.raw_os_error().unwrap_or(0),
                    reason,
                )
            })?;
        }
        Ok(())
    }

    /// Where the FIFOs of a unit are.
    pub(super) fn fifos(&self, name: &str) -> Fifos {
        let path = |ending: &str| -> PathBuf { self.home.run().join(format!("{name}.{ending}")) };
        Fifos {
            out: path("out"),
            err: path("err"),
            console: self.console,
        }
    }
}

/// Puts the service's restrictions into what is to be started.
fn restrict(
    prepared: &mut Prepared,
    order: Order<'_>,
    (home, runs, fifos): (&Home, &Runs, &Fifos),
    lenience: &mut Lenience<'_>,
) -> Result<(), SpawnFailure> {
    let ground = Ground {
        temporary: &home.temporary(order.unit.name.as_str()),
        main: main_of(runs, order.spawn.unit),
        begins: is_first(order.service, order.spawn),
        pipes: [&fifos.out, &fifos.err],
    };
    if let Some(confined) = confine(order, ground, lenience)? {
        prepared.spawn.setting.confinement = Some(confined.confinement);
        prepared.objects.places = confined.places;
    }
    Ok(())
}

/// The process that its unit is up with.
pub(super) fn main_of(runs: &Runs, unit: UnitId) -> Option<&PidFd> {
    let main = runs.of(unit).rfind(|(_, run)| run.role == Role::Start);
    main.map(|(_, run)| &run.pidfd)
}

fn step_of(error: &io::Error, other: &'static str) -> &'static str {
    let is_scarce = error
        .raw_os_error()
        .is_some_and(|errno| NO_DESCRIPTORS.contains(&errno));
    if is_scarce { "descriptors" } else { other }
}

fn fork_failure(error: &io::Error) -> SpawnFailure {
    let errno = error.raw_os_error().unwrap_or(0);
    failure(step_of(error, "fork"), errno, error_text(error))
}
