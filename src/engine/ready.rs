//! Readiness: what a start waits for once its program runs, and what is said where it waits in vain.

use crate::unit::{Readiness, Service as Definition};

use super::phase::{End, Phase, Why};
use super::{Effect, Engine, Failure, Notice, RunId, UnitId};

/// A start that lasts so long makes people wonder.
const LONG_MS: u64 = 1_000;

impl Engine {
    /// The program runs. For a process that is its own main process that is all there is to wait for, unless its unit
    /// says how it becomes ready.
    pub(super) fn launched(&mut self, unit: UnitId) {
        let Some(Phase::Starting { main }) = self.phase(unit).cloned() else {
            return;
        };
        let is_main = |definition: &Definition| definition.kind.is_main();
        if !self.definition(unit).is_some_and(is_main) {
            return;
        }
        match self.readiness(unit) {
            Some(_) => {
                let run = main.id;
                self.batch.push(Effect::AwaitReady { unit, run });
            }
            None => self.start_post_or_ready(unit, Some(main)),
        }
    }

    /// The main process is ready. Whoever does not wait for that has not asked for it.
    pub(super) fn main_ready(&mut self, unit: UnitId) {
        if let Some(Phase::Starting { main }) = self.phase(unit).cloned()
            && self.readiness(unit).is_some()
        {
            self.start_post_or_ready(unit, Some(main));
        }
    }

    /// Why it is not ready yet, as far as can be told from outside. Who waits is told once that takes long.
    pub(super) fn on_unready(&mut self, run: RunId, reason: Box<str>) {
        let now = self.now;
        let Some((unit, true)) = self.owner(run) else {
            return;
        };
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        service.unready = Some(reason);
        let takes_long = now.since_ms(service.begun) >= LONG_MS;
        if let (true, Some(awaited), Some(name)) = (takes_long, self.awaits(unit), self.name(unit))
        {
            let notice = Notice::NotReady {
                unit: name,
                awaited,
            };
            self.notify(unit, &notice);
        }
    }

    /// It will not be ready: there is nothing left to wait for.
    pub(super) fn on_hopeless(&mut self, run: RunId, reason: Box<str>) {
        let Some((unit, true)) = self.owner(run) else {
            return;
        };
        if !matches!(self.phase(unit), Some(Phase::Starting { .. })) {
            return;
        }
        if let Some(service) = self.service_mut(unit) {
            service.unready = Some(reason);
        }
        if let Some(awaited) = self.awaits(unit) {
            let failure = Failure::Hopeless {
                awaited: awaited.into(),
            };
            self.end_run(unit, End::new(Why::Failed(failure), None));
        }
    }

    /// The start ends without the process having become ready: nobody is to look any more.
    pub(super) fn stop_awaiting(&mut self, unit: UnitId, run: RunId) {
        if self.readiness(unit).is_some() {
            self.batch.push(Effect::StopAwaiting { run });
        }
    }

    /// What a start of the unit waits for beyond its program, if anything.
    pub(super) fn readiness(&self, unit: UnitId) -> Option<&Readiness> {
        let definition = self.definition(unit)?;
        let waits = definition.kind.is_main() && definition.readiness != Readiness::Executed;
        waits.then_some(&definition.readiness)
    }

    /// What a start that is under way waits for, and why that has not come: for `status`.
    pub(super) fn awaits(&self, unit: UnitId) -> Option<String> {
        let service = self.service(unit)?;
        let Phase::Starting { main } = &service.phase else {
            return None;
        };
        let readiness = self.readiness(unit).filter(|_| main.pid.is_some())?;
        Some(match &service.unready {
            _ if *readiness == Readiness::Notify => "READY=1, sd_notify(3)".to_owned(),
            Some(reason) => format!("ReadyWhen={readiness}: {reason}"),
            None => format!("ReadyWhen={readiness}"),
        })
    }

    /// The time for the start is over. Where the program ran and was not ready, that is what is said.
    pub(super) fn too_late(&self, unit: UnitId, failure: Failure) -> Failure {
        match (self.awaits(unit), failure) {
            (Some(awaited), Failure::StartTimeout { limit_ms, .. }) => Failure::ReadyTimeout {
                limit_ms,
                awaited: awaited.into(),
            },
            (_, failure) => failure,
        }
    }
}
