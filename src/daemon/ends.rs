//! How a process comes to run its program, and how it ends: reports and exit statuses become events.
//!
//! A failed step is told only once the child has ended, so that an answer `SpawnFailed` means: there is no process. It
//! is reaped when what came of its end has been written down: should we die before that, a successor learns it anew.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use crate::engine::{Core, Ending, Event, Role, RunId, SpawnFailure, UnitId};
use crate::sorted::Sorted;
use crate::sys::process::{ExecStatus, Pid, Wait, error_text, read_status, reap_orphans};
use crate::sys::stranger::wait_for_stranger;
use crate::unit::Kind;

use super::group::Watched;
use super::memory::Kills;
use super::processes::{Hold, Processes, Turn};
use super::runs::Origin;
use super::setting::step_failure;
use super::spawn::failure;

/// What a newborn's report came to.
enum Report {
    Pending,
    Executed,
    Failed(SpawnFailure),
}

/// Whether a step of a birth has failed: then only the child's end is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Failure,
    NoFailure,
}

impl Processes {
    /// SIGCHLD: reaps adopted children that nobody watches, and looks who is left where only that can be noticed.
    pub(super) fn orphans(&mut self, turn: &mut Turn<'_>) {
        let ended = self.ended.iter().map(|(_, run)| run);
        let runs = self.runs.values().chain(ended).map(|run| run.pid);
        let looks = self.awaiting.values().filter_map(|one| one.child());
        let ours = looks
            .chain(self.rehearsing)
            .chain(self.log_care.packer.child());
        let known: BTreeSet<Pid> = runs.chain(ours).sorted_set();
        let reaped = reap_orphans(|pid| known.contains(&pid));
        self.keeper.closers.go_on();
        self.kin.forget(&reaped);
        let is_waiting = |hold: &Hold| hold.group.watched() != Watched::Not;
        let is_told = self.watches.is_working();
        let waiting = self.holds.iter().filter(|(_, hold)| is_waiting(hold));
        let silent = waiting.filter(|(_, hold)| !is_told || hold.group.cgroup().is_none());
        let units: Vec<UnitId> = silent.map(|(unit, _)| *unit).collect();
        for unit in units {
            self.look_again(unit, turn);
        }
    }

    /// The status pipe is readable or closed.
    pub(super) fn exec_status(&mut self, id: RunId, turn: &mut Turn<'_>) {
        if self.hear_report(id, turn) == Heard::Failure {
            self.exit(id, turn);
        }
    }

    fn hear_report(&mut self, id: RunId, turn: &mut Turn<'_>) -> Heard {
        match self.take_report(id, turn) {
            Report::Pending => {}
            Report::Executed => self.executed(id, turn),
            Report::Failed(failure) => {
                if let Some(run) = self.runs.get_mut(id) {
                    run.failure = Some(failure);
                }
                return Heard::Failure;
            }
        }
        Heard::NoFailure
    }

    /// Reads the report; once there is one, the pipe is done with.
    fn take_report(&mut self, id: RunId, turn: &mut Turn<'_>) -> Report {
        let Some(run) = self.runs.get_mut(id) else {
            return Report::Pending;
        };
        let Some(birth) = &run.birth else {
            return Report::Pending;
        };
        let unit = turn.engine.unit(run.unit);
        let service = unit.and_then(|unit| unit.service.as_deref());
        let failed = |step, errno| {
            let of_setting = service.and_then(|service| step_failure(service, step, errno));
            of_setting.unwrap_or_else(|| birth.objects.failure(step, errno))
        };
        let report = loop {
            break match read_status(birth.status.as_fd()) {
                Ok(ExecStatus::Pending) => return Report::Pending,
                Ok(ExecStatus::Tolerated { step, errno }) => {
                    let reason = failed(step, errno).reason;
                    if let Some(unit) = unit {
                        self.forgone.add(run.unit, unit, vec![reason]);
                    }
                    continue;
                }
                Ok(ExecStatus::Executed) => Report::Executed,
                Ok(ExecStatus::Failed { step, errno }) => Report::Failed(failed(step, errno)),
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(0);
                    Report::Failed(failure("status pipe", errno, error_text(&error)))
                }
            };
        };
        if let Some(birth) = run.birth.take() {
            turn.sources.remove(birth.token, birth.status.as_fd());
        }
        report
    }

    fn executed(&mut self, id: RunId, turn: &mut Turn<'_>) {
        turn.events.push_back(Event::Executed { run: id });
        let Some(run) = self.runs.get(id).filter(|run| run.role == Role::Start) else {
            return;
        };
        let hold = self.holds.get_mut(&run.unit);
        if let Some(log) = hold.and_then(|hold| hold.log.as_mut()) {
            log.begin(id, run.pid.as_raw());
        }
    }

    /// The pidfd is readable: the process has ended. Its report is read first, since the two may come at once.
    pub(super) fn exit(&mut self, id: RunId, turn: &mut Turn<'_>) {
        self.hear_report(id, turn);
        let Some(run) = self.runs.get(id) else {
            return;
        };
        let ending = match run.pidfd.peek() {
            Ok(Wait::StillRunning) => return,
            Ok(Wait::NotOurChild) => match wait_for_stranger(run.pid, &run.pidfd) {
                Wait::StillRunning => return,
                wait => ending(wait),
            },
            Ok(wait) => ending(wait),
            Err(error) => {
                ::log::warn!("waiting for process {}: {}", run.pid, error_text(&error));
                Ending::Unknown
            }
        };
        let Some(mut run) = self.runs.remove(id) else {
            return;
        };
        let (unit, role) = (run.unit, run.role);
        let (ending, kills) = self.explained(unit, ending);
        let is_victim = ending == Ending::OomKilled;
        if kills == Kills::More && !is_victim {
            turn.events.push_back(Event::OomKilled { unit });
        }
        let event = match run.failure.take() {
            Some(failure) => Event::SpawnFailed { run: id, failure },
            None => {
                let goes_on = run.origin == Origin::Spawned && is_forked_off(unit, ending, turn);
                if role == Role::Start && !goes_on {
                    self.main_ended(unit, ending);
                }
                Event::Exited { run: id, ending }
            }
        };
        run.leave(turn.sources);
        self.ended.push((id, run));
        turn.events.push_back(event);
        if is_victim && role != Role::Start {
            turn.events.push_back(Event::OomKilled { unit });
        }
        self.stirred.insert(unit);
        self.doubtful.insert(unit);
    }

    pub(super) fn main_ended(&mut self, unit: UnitId, ending: Ending) {
        self.history.entry(unit).or_default().last_end = Some(ending);
        let log = self.holds.get_mut(&unit).and_then(|hold| hold.log.as_mut());
        if let Some(log) = log {
            log.end(ending, Some(&mut self.intake));
        }
    }
}

/// Whether this is a forking service's first process, done: then the service's run goes on in another process.
fn is_forked_off(unit: UnitId, ending: Ending, turn: &Turn<'_>) -> bool {
    let service = turn
        .engine
        .unit(unit)
        .and_then(|unit| unit.service.as_deref());
    let is_forking = service.is_some_and(|service| service.kind == Kind::Forking);
    is_forking && ending == Ending::Code(0)
}

pub(super) fn ending(wait: Wait) -> Ending {
    match wait {
        Wait::Exited(code) => u8::try_from(code).map_or(Ending::Unknown, Ending::Code),
        Wait::Signaled { signal, core } => {
            u8::try_from(signal).map_or(Ending::Unknown, |number| Ending::Signal {
                number,
                core: if core { Core::Dumped } else { Core::None },
            })
        }
        Wait::NotOurChild | Wait::StillRunning => Ending::Unknown,
    }
}
