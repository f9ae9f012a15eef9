//! Looking at a unit, and carrying it from one daemon to the next: views, facts, and facts read back.

use crate::unit::{KillMode, Unit};

use super::cycle::find_cycle;
use super::freeze::Step;
use super::phase::{End, Goal, Group, Left, Phase, Round, Run, SKIPPED, Stage, Why, failure_word};
use super::service::Service;
use super::{
    ChangeId, Effect, Engine, Event, FactFailure, FactGoal, FactPhase, FactReason, FactRun, Facts,
    Failure, MainView, QuestionId, UnitId, View,
};

impl Engine {
    #[must_use]
    pub fn view(&self, id: UnitId) -> Option<View<'_>> {
        let service = self.service(id)?;
        let main = service.phase.main();
        let kind = service.kind();
        let frozen = service.freeze.filter(|freeze| freeze.step != Step::Thawing);
        let lives = kind == FactPhase::Waiting || kind.starts() || kind.is_up();
        Some(View {
            id,
            unit: &service.unit,
            state: service.shown,
            phase: service.kind().word(),
            since: service.shown_since(),
            cause: &service.cause,
            because: service.because,
            change: service.voice,
            origin: service.origin.as_deref().filter(|_| lives),
            main: main.and_then(|main| {
                Some(MainView {
                    run: main.id,
                    pid: main.pid?,
                })
            }),
            control: service.phase.control().map(|control| control.id),
            restarts: service.restarts,
            frozen: frozen.map(|freeze| freeze.since),
            deadline: self
                .timers
                .get(id)
                .or(self.runtimes.get(id))
                .or(self.upholds.get(id))
                .filter(|_| frozen.is_none()),
            awaits: self.awaits(id),
            waits_for: self.waits_for(id),
        })
    }

    /// What a successor must know of this unit.
    #[must_use]
    pub fn facts(&self, id: UnitId) -> Option<Facts> {
        let service = self.service(id)?;
        let end = match &service.phase {
            Phase::StopCommand { end, .. }
            | Phase::Killing { end, .. }
            | Phase::StopPost { end, .. } => Some(end),
            _ => None,
        };
        let lost = match &service.phase {
            Phase::StartPost { lost, .. } => *lost,
            _ => None,
        };
        let failure = match (&service.phase, end.map(|end| &end.why)) {
            (Phase::Failed(failure), _) | (_, Some(Why::Failed(failure))) => Some(FactFailure {
                result: failure_word(failure).to_owned(),
                text: failure.to_string(),
            }),
            (_, Some(Why::Skipped(how))) => Some(FactFailure {
                result: SKIPPED.to_owned(),
                text: how.as_ref().to_owned(),
            }),
            _ => None,
        };
        Some(Facts {
            unit: service.unit.name.clone(),
            goal: match service.goal {
                Goal::Up => FactGoal::Up,
                Goal::Down => FactGoal::Down,
                Goal::Cycle => FactGoal::Cycle,
            },
            phase: service.kind(),
            main: service.phase.main().map(fact_of),
            control: service.phase.control().map(fact_of),
            last_run: service.last_run,
            begun: service.begun,
            deadline: self.timers.get(id),
            since: service.since,
            reason: Some(service.reason().kept()),
            again: service.again.as_deref().cloned().map(FactReason::kept),
            origin: service.origin.clone().map(|cause| {
                FactReason {
                    cause: *cause,
                    because: None,
                }
                .kept()
            }),
            voice: service.voice,
            frozen: service.freeze.map(|freeze| freeze.since),
            ready_at: service.ready_at,
            restarts: service.restarts,
            attempt: service.attempt,
            starts: service.starts.to_vec(),
            failure,
            main_ending: end.and_then(|end| end.main).or(lost),
            watchdog_ms: service.watchdog_ms,
            runtime_due: self.runtimes.get(id),
            monitor: service.monitor.as_deref().cloned(),
        })
    }

    /// Takes a predecessor's unit over as its facts say. Nothing is stepped until the first event of another kind, when
    /// all units are there. Facts that contradict each other make a unit that rests.
    pub(super) fn on_restored(
        &mut self,
        (unit, next): (Box<Unit>, Option<Box<Unit>>),
        facts: &Facts,
    ) {
        if self.names.contains_key(&unit.name) || self.services.len() >= super::UNITS_MAX {
            return;
        }
        let id = self.add(unit);
        self.last_run = self.last_run.max(facts.last_run.0);
        self.count_changes_on_from(facts.voice.unwrap_or(ChangeId(0)));
        self.unlinked.push(id);
        let phase = self.phase_of(id, facts);
        if phase == Phase::Backoff || !phase.kind().rests() {
            self.timers.set(id, facts.deadline);
        }
        if phase == Phase::Backoff && facts.deadline.is_none() {
            self.timers.set(id, Some(self.now));
        }
        let watch = match &phase {
            Phase::Killing { left, .. } => left.group == Group::Watched,
            // Nobody knows its main process: its group alone tells when it is gone.
            Phase::Running { main: None }
            | Phase::Reloading { main: None, .. }
            | Phase::ReloadSignal { main: None }
            | Phase::ReloadNotify { main: None } => self
                .service(id)
                .is_some_and(|service| service.definition().is_some()),
            _ => false,
        };
        let again = match &phase {
            Phase::Killing {
                left, stage, round, ..
            } => Some((*left, (*stage, *round))),
            _ => None,
        };
        if let Some(service) = self.service_mut(id) {
            service.recall((phase, next), facts);
        }
        if self.service(id).is_some_and(Service::is_free) {
            self.renew(id);
        }
        self.oversee_again(id, facts);
        if let Some(since) = facts.frozen {
            self.restore_freeze(id, since);
        }
        // The predecessor may have died before its signals went out.
        let is_torn = self.is_torn();
        if let Some((left, how)) = again.filter(|_| is_torn) {
            self.send_kill(id, left, how);
        }
        if self.is_kind(id, FactPhase::Examining) {
            self.ask_again(id);
        }
        if is_torn && self.is_kind(id, FactPhase::ReloadSignal) {
            self.send_reload(id);
        }
        if watch {
            self.batch.push(Effect::WatchGroup { unit: id });
        }
        self.work.insert(id);
    }

    /// Makes the graph once all of a predecessor's units are there, which the first event of another kind says.
    /// Definitions of different ages may not fit together: where their order has a cycle, a unit's own order is
    /// forgotten until its file is read again.
    pub(super) fn link_restored(&mut self, event: &Event) {
        if self.unlinked.is_empty() || matches!(event, Event::Restored { .. }) {
            return;
        }
        self.unlinked.clear();
        while let Some(cycle) = find_cycle(self.services.values().map(|s| s.newest())) {
            let unit = self
                .services
                .iter_mut()
                .find(|(_, service)| cycle.contains(&service.unit.name) && service.is_ordered());
            let Some((id, service)) = unit else { break };
            service.forget_order();
            self.changed.insert(*id);
        }
        self.rebuild_graph();
        let led = self.services.iter().filter_map(|(unit, service)| {
            let by = self.names.get(&service.monitor.as_ref()?.unit)?;
            Some((*unit, *by))
        });
        for (unit, by) in led.collect::<Vec<_>>() {
            if let Some(service) = self.service_mut(unit) {
                service.led_by = Some(by);
            }
        }
    }

    fn oversee_again(&mut self, id: UnitId, facts: &Facts) {
        if self.service(id).is_some_and(|s| s.kind().is_overseen()) {
            self.runtimes.set(id, facts.runtime_due);
            // Whatever it has said since was not heard.
            self.arm_watchdog(id);
        }
    }

    fn phase_of(&mut self, id: UnitId, facts: &Facts) -> Phase {
        let main = facts.main.map(|fact| self.adopt(id, fact));
        let control = facts.control.map(|fact| self.adopt(id, fact));
        let failure = facts.failure.as_ref().map(|failure| Failure::Recorded {
            result: failure.result.as_str().into(),
            text: failure.text.as_str().into(),
        });
        let group = self
            .service(id)
            .is_some_and(|service| service.definition().is_none());
        let end = End::new(why_of(facts, failure.as_ref()), facts.main_ending);
        let left = self.left_of(id, main, control);
        if let Some((stage, round)) = kill_of(facts.phase) {
            return Phase::Killing {
                left,
                stage,
                round,
                end,
            };
        }
        let lost = || Phase::Failed(failure.clone().unwrap_or_else(senseless));
        match (facts.phase, main, control) {
            (FactPhase::Stopped, ..) => Phase::Stopped,
            (FactPhase::Completed, ..) => Phase::Completed,
            (FactPhase::Failed, ..) => lost(),
            (FactPhase::Waiting, ..) => Phase::Waiting,
            (FactPhase::Backoff, ..) => Phase::Backoff,
            (FactPhase::Examining, ..) => Phase::Examining {
                question: QuestionId(0),
            },
            (FactPhase::Exited, ..) => Phase::Exited,
            (FactPhase::Running, None, _) if group => Phase::Running { main: None },
            (FactPhase::Running, main, _) => Phase::Running { main },
            (FactPhase::ReloadSignal, main, _) => Phase::ReloadSignal { main },
            (FactPhase::ReloadNotify, main, _) => Phase::ReloadNotify { main },
            (FactPhase::Leaving, Some(main), _) => Phase::Leaving { main },
            (FactPhase::Starting, Some(main), _) => Phase::Starting { main },
            (FactPhase::FindingMain, Some(main), _) => Phase::FindingMain { main },
            (FactPhase::StartPre, _, Some(control)) => Phase::StartPre { control },
            (FactPhase::StartPost, main, Some(control)) => {
                let lost = facts.main_ending;
                Phase::StartPost {
                    main,
                    control,
                    lost,
                }
            }
            (FactPhase::Reloading, main, Some(control)) => Phase::Reloading { main, control },
            (FactPhase::StopCommand, main, Some(control)) => {
                Phase::StopCommand { main, control, end }
            }
            (FactPhase::StopPost, _, Some(control)) => Phase::StopPost { control, end },
            (
                FactPhase::Starting
                | FactPhase::Leaving
                | FactPhase::Aborting
                | FactPhase::Killing
                | FactPhase::KillingHard
                | FactPhase::FinalKilling
                | FactPhase::FinalKillingHard
                | FactPhase::FindingMain
                | FactPhase::StartPre
                | FactPhase::StartPost
                | FactPhase::Reloading
                | FactPhase::StopCommand
                | FactPhase::StopPost,
                ..,
            ) => lost(),
        }
    }

    /// What a kill that is under way waits for.
    fn left_of(&self, id: UnitId, main: Option<Run>, control: Option<Run>) -> Left {
        match self.definition(id).map(|d| d.kill.mode) {
            Some(KillMode::ControlGroup | KillMode::Mixed) => Left::watched(main, control),
            Some(KillMode::Process | KillMode::None) | None => Left::settled(main, control),
        }
    }

    fn adopt(&mut self, unit: UnitId, fact: FactRun) -> Run {
        self.runs.insert(fact.run, unit);
        self.last_run = self.last_run.max(fact.run.0);
        Run {
            id: fact.run,
            role: fact.role,
            index: fact.index,
            pid: fact.pid,
        }
    }
}

/// Why the run ends, or did.
fn why_of(facts: &Facts, failure: Option<&Failure>) -> Why {
    match (&facts.failure, failure, facts.goal) {
        (Some(skipped), ..) if skipped.result == SKIPPED => {
            Why::Skipped(skipped.text.as_str().into())
        }
        (_, Some(failure), _) => Why::Failed(failure.clone()),
        (_, None, FactGoal::Up) => Why::Finished,
        (_, None, FactGoal::Down | FactGoal::Cycle) => Why::Asked,
    }
}

fn senseless() -> Failure {
    Failure::Recorded {
        result: "resources".into(),
        text: "what the daemon before wrote down of it makes no sense".into(),
    }
}

/// How far a kill had come.
fn kill_of(phase: FactPhase) -> Option<(Stage, Round)> {
    Some(match phase {
        FactPhase::Aborting => (Stage::Gentle, Round::Abort),
        FactPhase::Killing => (Stage::Gentle, Round::Main),
        FactPhase::KillingHard => (Stage::Hard, Round::Main),
        FactPhase::FinalKilling => (Stage::Gentle, Round::Final),
        FactPhase::FinalKillingHard => (Stage::Hard, Round::Final),
        _ => return None,
    })
}

fn fact_of(run: Run) -> FactRun {
    FactRun {
        run: run.id,
        role: run.role,
        index: run.index,
        pid: run.pid,
    }
}
