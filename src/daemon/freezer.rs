//! What is done to a service's living processes: signals, `freeze` and `thaw`. The last two by its cgroup, and where it
//! has none by SIGSTOP and SIGCONT to each of its processes.
//!
//! Owns the way there and the answer that it has come to it. Whether and when is the engine's; who belongs to a service
//! is in `group.rs`.

use crate::engine::{Event, Target, UnitId};
use crate::sys::cgroup::Cgroup;
use crate::sys::inotify::Watch;
use crate::sys::process::error_text;
use crate::unit::Signal;

use super::group::is_gone;
use super::processes::{Processes, Turn};
use super::watches::Purpose;

const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

impl Processes {
    pub(super) fn signal(&mut self, unit: UnitId, to: Target, signal: Signal) {
        let result = match to {
            Target::Run(run) => self
                .runs
                .get(run)
                .map(|run| run.pidfd.signal(signal.number())),
            Target::Group => self
                .holds
                .get_mut(&unit)
                .map(|hold| hold.group.signal(signal.number(), &mut self.kin)),
        };
        match result {
            Some(Err(error)) if !is_gone(&error) => {
                let reason = error_text(&error);
                ::log::warn!("sending {signal} to a process of unit {unit}: {reason}");
            }
            _ => {}
        }
    }

    pub(super) fn freeze(&mut self, unit: UnitId, turn: &mut Turn<'_>) {
        let failed = match self.try_freeze(unit) {
            Ok(()) => return self.look_whether_frozen(unit, turn),
            Err(reason) => reason,
        };
        turn.events.push_back(Event::FreezeFailed {
            unit,
            reason: format!("cannot be frozen: {failed}").into(),
        });
    }

    fn try_freeze(&mut self, unit: UnitId) -> Result<(), String> {
        let Some(hold) = self.holds.get_mut(&unit) else {
            return Err("it has no process".to_owned());
        };
        if hold.group.cgroup().is_none() {
            let sent = hold.group.signal(SIGSTOP, &mut self.kin);
            return sent
                .map_err(|error| format!("SIGSTOP to its processes: {}", error_text(&error)));
        }
        let Some(cgroup) = hold.group.cgroup() else {
            return Ok(());
        };
        cgroup.freeze().map_err(|error| {
            let path = cgroup.path().join("cgroup.freeze");
            format!("{}: {}", path.display(), error_text(&error))
        })?;
        let path = cgroup.events_path();
        // Where changes are not told it is taken for done.
        if let Err(error) = self
            .watches
            .add(&path, Watch::Modified, Purpose::Freeze(unit))
        {
            ::log::warn!("watching {}: {}", path.display(), error_text(&error));
        }
        Ok(())
    }

    /// Tells that all processes of the unit stand still, if they do by now.
    pub(super) fn look_whether_frozen(&mut self, unit: UnitId, turn: &mut Turn<'_>) {
        let cgroup = self.holds.get(&unit).and_then(|hold| hold.group.cgroup());
        let waits = |cgroup: &Cgroup| cgroup.is_frozen().is_ok_and(|frozen| !frozen);
        if self.watches.is_working() && cgroup.is_some_and(waits) {
            return;
        }
        self.watches.remove(Purpose::Freeze(unit));
        turn.events.push_back(Event::Frozen { unit });
    }

    pub(super) fn thaw(&mut self, unit: UnitId, turn: &mut Turn<'_>) {
        self.watches.remove(Purpose::Freeze(unit));
        let kin = &mut self.kin;
        let done = self
            .holds
            .get_mut(&unit)
            .map(|hold| match hold.group.cgroup() {
                Some(cgroup) => cgroup.thaw(),
                None => hold.group.signal(SIGCONT, kin),
            });
        turn.events.push_back(match done {
            Some(Err(error)) => Event::ThawFailed {
                unit,
                reason: format!("cannot be thawed: {}", error_text(&error)).into(),
            },
            Some(Ok(())) | None => Event::Thawed { unit },
        });
    }
}
