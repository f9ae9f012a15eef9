//! One run of a command that looks at the service, as the service's user and in its group: what it says goes to the
//! service's log.

use std::os::fd::{AsFd, OwnedFd};

use mio::Token;

use crate::engine::{Ending, Role, RunId, Spawn, SpawnFailure, UnitId};
use crate::sys::cgroup::Cgroup;
use crate::sys::process::{self, ExecStatus, Pid, PidFd, Step, Wait, error_text, read_status};
use crate::unit::Exec;

use super::super::account::Account;
use super::super::births::main_of;
use super::super::ends::ending;
use super::super::lenience::Lenience;
use super::super::processes::{Processes, Turn};
use super::super::sandbox::{Ground, confine};
use super::super::sources::{Source, Sources};
use super::super::spawn::{Objects, Order, prepare};
use super::{Tried, Unable};

/// `ENOENT`.
const NOT_FOUND: i32 = 2;

/// See the module.
#[derive(Debug)]
pub(in crate::daemon) struct Command {
    pid: Pid,
    pidfd: PidFd,
    token: Token,
    status: OwnedFd,
    objects: Objects,
    life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    Reaped,
}

impl Command {
    pub(super) fn go_on(&mut self) -> Tried {
        if self.life == Life::Reaped {
            return Tried::Pending;
        }
        let wait = match self.pidfd.peek() {
            Ok(Wait::StillRunning) => return Tried::Pending,
            Ok(wait) => wait,
            Err(error) => return Tried::Bad(error_text(&error)),
        };
        // Whatever it has left behind goes with it.
        self.kill();
        // Its end was seen already.
        let _ = self.pidfd.wait();
        self.life = Life::Reaped;
        while let Ok(report) = read_status(self.status.as_fd()) {
            match report {
                ExecStatus::Tolerated { .. } => {}
                ExecStatus::Failed { step, errno } => {
                    let failure = self.objects.failure(step, errno);
                    return match unable(failure) {
                        Unable::Now(reason) => Tried::Bad(reason),
                        Unable::Ever(reason) => Tried::Hopeless(reason),
                    };
                }
                ExecStatus::Executed | ExecStatus::Pending => break,
            }
        }
        match ending(wait) {
            Ending::Code(0) => Tried::Well,
            other => Tried::Bad(other.to_string()),
        }
    }

    /// The command and what it has begun, while its number is still its own.
    fn kill(&self) {
        if self.life == Life::Running {
            // Who has left already is what is wanted.
            let _ = process::kill_group(self.pid);
        }
    }

    /// One that still runs is killed, and reaped as an orphan.
    pub(super) fn end(self, sources: &mut Sources) {
        self.kill();
        sources.remove(self.token, self.pidfd.as_fd());
    }

    pub(super) fn child(&self) -> Option<Pid> {
        (self.life == Life::Running).then_some(self.pid)
    }
}

/// A program that is not there will not be there a moment later.
fn unable(failure: SpawnFailure) -> Unable {
    let is_missing = *failure.step == *Step::Exec.name() && failure.errno == NOT_FOUND;
    let reason = String::from(failure.reason);
    if is_missing {
        Unable::Ever(reason)
    } else {
        Unable::Now(reason)
    }
}

impl Processes {
    pub(super) fn begin_command(
        &mut self,
        exec: &Exec,
        (unit_id, run): (UnitId, RunId),
        turn: &mut Turn<'_>,
    ) -> Result<Command, Unable> {
        let gone = || "the service is gone".to_owned();
        let unit = turn.engine.unit(unit_id).ok_or_else(gone)?;
        let service = unit.service.as_deref().ok_or_else(gone)?;
        let hold = self.holds.get(&unit_id).ok_or_else(gone)?;
        // What it goes without was told when the service itself was started.
        let lenience = &mut Lenience::of(service);
        let owner = Account::of_service(service, &self.ours, lenience).map_err(unable)?;
        let main_pid = self.runs.get(run).map(|run| run.pid.as_raw());
        let spawn = &Spawn {
            run,
            unit: unit_id,
            role: Role::StartPost,
            index: 0,
            main_pid,
            result: None,
            monitor: None,
        };
        let order = Order {
            unit,
            service,
            exec,
            spawn,
            account: if exec.privileged { &self.ours } else { &owner },
            invocation: &hold.invocation,
            ended: None,
        };
        let fifos = self.fifos(unit.name.as_str());
        let mut prepared = prepare(order, &fifos, lenience).map_err(unable)?;
        prepared.spare_files();
        let ground = Ground {
            temporary: &self.home.temporary(unit.name.as_str()),
            main: main_of(&self.runs, unit_id),
            begins: false,
            pipes: [&fifos.out, &fifos.err],
        };
        if let Some(confined) = confine(order, ground, lenience).map_err(unable)? {
            prepared.spawn.setting.confinement = Some(confined.confinement);
            prepared.objects.places = confined.places;
        }
        let beside = hold.beside(spawn.role).map_err(unable)?;
        let mut request = prepared.spawn;
        hold.endow(&mut request, self.limits);
        request.cgroup = beside.as_ref().map(Cgroup::entrance).or(request.cgroup);
        let spawned = process::spawn(&request).map_err(|error| error_text(&error))?;
        let process::Spawned { pid, pidfd, status } = spawned;
        match turn.sources.add(pidfd.as_fd(), Source::Probe(run)) {
            Ok(token) => Ok(Command {
                pid,
                pidfd,
                token,
                status,
                objects: prepared.objects,
                life: Life::Running,
            }),
            Err(error) => {
                // Nobody could watch it, so it must not live; it is reaped as an orphan.
                let _ = pidfd.signal(9);
                Err(error_text(&error).into())
            }
        }
    }
}
