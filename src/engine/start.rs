//! The way up: a start's turn, its commands, readiness, reload, automatic restart.

use crate::unit::{Exec, Kind, Service as Definition, Span};

use super::atoms::Occasion;
use super::phase::{End, Goal, Phase, Run, Why};
use super::restart;
use super::service::Reload;
use super::{
    Awaited, Cause, Effect, Ending, Engine, Failure, Fate, NoMain, Notice, Outcome, Role, UnitId,
};

/// What a command's end means.
pub(super) enum Verdict {
    Good,
    Bad(Failure),
    /// It was wished for by a daemon that died before it was born.
    Again,
}

impl Engine {
    /// The unit is to start: it waits for its turn, with its newest definition.
    pub(super) fn queue(&mut self, unit: UnitId, cause: Cause) {
        self.renew(unit);
        if let Some(service) = self.service_mut(unit) {
            service.goal = Goal::Up;
            service.told = None;
            let is_sequel = matches!(
                cause,
                Cause::AutoRestart { .. } | Cause::FailureOf(_) | Cause::SuccessOf(_)
            );
            if !is_sequel {
                service.monitor = None;
                service.led_by = None;
            }
            service.origin = Some(Box::new(cause.clone()));
        }
        self.enter(unit, Phase::Waiting, Some(cause));
    }

    /// Puts the newest definition into force; no process of the old one is left.
    pub(super) fn renew(&mut self, unit: UnitId) {
        if let Some(service) = self.service_mut(unit)
            && let Some(next) = service.next.take()
        {
            service.unit = next;
        }
    }

    pub(super) fn start(&mut self, unit: UnitId) {
        let now = self.now;
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        service.begun = now;
        service.unready = None;
        service.watchdog_ms = None;
        service.reload = Reload::Silent;
        if !self.examine(unit) {
            self.begin(unit);
        }
    }

    /// Nothing speaks against the start.
    pub(super) fn begin(&mut self, unit: UnitId) {
        match self.definition(unit) {
            None => self.ready(unit, None),
            Some(_) => self.before_main(unit, Role::Condition, 0),
        }
    }

    /// The next command before the main process: those of `ExecCondition=`, then those of `ExecStartPre=`.
    fn before_main(&mut self, unit: UnitId, role: Role, index: usize) {
        if self.has(unit, role, index) {
            let control = self.spawn(unit, role, index, None);
            self.enter(unit, Phase::StartPre { control }, None);
            return self.arm_start(unit);
        }
        if role == Role::Condition {
            self.before_main(unit, Role::StartPre, 0);
        } else {
            self.start_main(unit, 0);
        }
    }

    fn start_main(&mut self, unit: UnitId, index: usize) {
        let commands = self
            .definition(unit)
            .map_or(0, |definition| definition.start.len());
        if index >= commands {
            // A oneshot without ExecStart=: only its ExecStop= counts, systemd.service(5).
            return self.start_post_or_ready(unit, None);
        }
        let main = self.spawn(unit, Role::Start, index, None);
        self.enter(unit, Phase::Starting { main }, None);
        self.arm_start(unit);
    }

    pub(super) fn next_start_pre(&mut self, unit: UnitId, fate: Fate) {
        let Some(Phase::StartPre { control }) = self.phase(unit).cloned() else {
            return;
        };
        let (role, index) = (control.role, control.index);
        let fate = match self.judge_condition(unit, control, fate) {
            Ok(fate) => fate,
            Err(ending) => {
                let how = format!("its ExecCondition is not met: {ending}");
                let why = Why::Skipped(how.into());
                return self.end_run(unit, End::new(why, None));
            }
        };
        match self.judge_command(unit, control, fate) {
            Verdict::Again => self.before_main(unit, role, index),
            Verdict::Bad(failure) => self.end_run(unit, End::new(Why::Failed(failure), None)),
            Verdict::Good => self.before_main(unit, role, index + 1),
        }
    }

    /// The process of a start ended before the unit was up.
    pub(super) fn first_ended(&mut self, unit: UnitId, fate: Fate) {
        let Some(main) = self.phase(unit).and_then(Phase::main) else {
            return;
        };
        let Some(definition) = self.definition(unit) else {
            return;
        };
        let kind = definition.kind;
        if matches!(self.phase(unit), Some(Phase::FindingMain { .. })) {
            // A predecessor was looking for it; so do we.
            return self.find_main(unit);
        }
        let ending = match fate {
            Fate::Ended(Ending::Unknown) if main.pid.is_none() => {
                return self.start_main(unit, main.index);
            }
            Fate::Ended(ending) => ending,
            Fate::Unborn(_) if forgives(definition, Role::Start, main.index) => Ending::Code(0),
            Fate::Unborn(failure) => {
                let failure = Failure::Spawn {
                    role: Role::Start,
                    failure,
                };
                return self.end_run(unit, End::new(Why::Failed(failure), None));
            }
        };
        match restart::judge(definition, main.index, ending) {
            Why::Finished if kind == Kind::Oneshot => self.next_oneshot(unit, main.index),
            Why::Finished if kind == Kind::Forking => self.find_main(unit),
            Why::Finished if self.readiness(unit).is_some() => {
                let why = Why::Failed(Failure::NeverReady { ending });
                self.end_run(unit, End::new(why, Some(ending)));
            }
            why => self.end_run(unit, End::new(why, Some(ending))),
        }
    }

    fn next_oneshot(&mut self, unit: UnitId, index: usize) {
        if self.has(unit, Role::Start, index + 1) {
            self.start_main(unit, index + 1);
        } else {
            self.start_post_or_ready(unit, None);
        }
    }

    pub(super) fn find_main(&mut self, unit: UnitId) {
        let main = self.new_run(unit, Role::Start, 0);
        self.batch.push(Effect::FindMain { unit, run: main.id });
        self.enter(unit, Phase::FindingMain { main }, None);
        self.arm_start(unit);
    }

    pub(super) fn name_main(&mut self, unit: UnitId, pid: u32) {
        let Some(Phase::FindingMain { main }) = self.phase(unit).cloned() else {
            return;
        };
        self.start_post_or_ready(
            unit,
            Some(Run {
                pid: Some(pid),
                ..main
            }),
        );
    }

    pub(super) fn go_on_without_main(&mut self, unit: UnitId, reason: NoMain) {
        let Some(Phase::FindingMain { main }) = self.phase(unit).cloned() else {
            return;
        };
        self.runs.remove(&main.id);
        match reason {
            NoMain::Ambiguous => self.start_post_or_ready(unit, None),
            NoMain::Gone | NoMain::Foreign => {
                if let Some(service) = self.service_mut(unit) {
                    // The process that was looked for is nobody's to wait for.
                    service.phase = Phase::Running { main: None };
                }
                let why = Why::Failed(Failure::NoMain { reason });
                self.end_run(unit, End::new(why, None));
            }
        }
    }

    pub(super) fn start_post_or_ready(&mut self, unit: UnitId, main: Option<Run>) {
        if self.has(unit, Role::StartPost, 0) {
            self.start_post(unit, (main, None), 0);
        } else {
            self.ready(unit, main);
        }
    }

    pub(super) fn start_post(
        &mut self,
        unit: UnitId,
        (main, lost): (Option<Run>, Option<Ending>),
        index: usize,
    ) {
        if let Some(service) = self.service_mut(unit) {
            service.phase = Phase::Running { main };
        }
        let control = self.spawn(unit, Role::StartPost, index, None);
        self.enter(
            unit,
            Phase::StartPost {
                main,
                control,
                lost,
            },
            None,
        );
        self.arm_start(unit);
    }

    /// The start is complete.
    pub(super) fn ready(&mut self, unit: UnitId, main: Option<Run>) {
        let now = self.now;
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        service.ready_at = Some(now);
        let group = service.definition().is_none();
        let oneshot = service
            .definition()
            .is_some_and(|d| d.kind == Kind::Oneshot);
        if oneshot && !service.definition().is_some_and(|d| d.remain_after_exit) {
            return self.end_run(unit, End::new(Why::Finished, Some(Ending::Code(0))));
        }
        if oneshot {
            self.enter(unit, Phase::Exited, Some(Cause::Ready));
        } else {
            self.enter(unit, Phase::Running { main }, Some(Cause::Ready));
            self.oversee(unit);
            if main.is_none() && !group {
                self.batch.push(Effect::WatchGroup { unit });
            }
        }
        if self
            .service(unit)
            .is_some_and(|service| service.goal == Goal::Up)
        {
            self.resolve(unit, Awaited::Up, &Outcome::Started);
        }
    }

    pub(super) fn run_reload(&mut self, unit: UnitId) {
        if let Some(service) = self.service_mut(unit) {
            service.reload = Reload::Silent;
        }
        if self.has(unit, Role::Reload, 0) {
            self.reload_command(unit, 0);
        } else {
            self.signal_reload(unit);
        }
    }

    fn reload_command(&mut self, unit: UnitId, index: usize) {
        let Some(main) = self.phase(unit).map(Phase::main) else {
            return;
        };
        let control = self.spawn(unit, Role::Reload, index, None);
        self.enter(unit, Phase::Reloading { main, control }, None);
        self.arm_start(unit);
    }

    pub(super) fn next_reload(&mut self, unit: UnitId, fate: Fate) {
        let Some(Phase::Reloading { main, control }) = self.phase(unit).cloned() else {
            return;
        };
        // A unit whose stop waits for its turn reloads no further.
        let goes_on = self.service(unit).is_some_and(|s| s.goal == Goal::Up);
        let outcome = match self.judge_command(unit, control, fate) {
            Verdict::Again if goes_on => return self.reload_command(unit, control.index),
            Verdict::Again => Outcome::Reloaded,
            Verdict::Good if goes_on && self.has(unit, Role::Reload, control.index + 1) => {
                return self.reload_command(unit, control.index + 1);
            }
            Verdict::Good if goes_on && self.reload_goes_on(unit) => return,
            Verdict::Good => Outcome::Reloaded,
            Verdict::Bad(failure) => Outcome::Failed {
                failure,
                retry_ms: None,
            },
        };
        self.reload_done(unit, main, &outcome);
    }

    /// A reload that takes too long fails; the service it was for runs on.
    pub(super) fn reload_too_long(&mut self, unit: UnitId) {
        let Some(phase) = self.phase(unit) else {
            return;
        };
        let (main, control) = (phase.main(), phase.control());
        if let Some(control) = control {
            self.kill_run(unit, control);
        }
        let failure = self.start_timeout(unit, Role::Reload);
        self.reload_done(
            unit,
            main,
            &Outcome::Failed {
                failure,
                retry_ms: None,
            },
        );
    }

    pub(super) fn reload_done(&mut self, unit: UnitId, main: Option<Run>, outcome: &Outcome) {
        self.enter(unit, Phase::Running { main }, Some(Cause::Reloaded));
        if main.is_none() {
            self.batch.push(Effect::WatchGroup { unit });
        }
        self.resolve(unit, Awaited::Reload, outcome);
    }

    pub(super) fn start_too_long(&mut self, unit: UnitId) {
        let role = match self.phase(unit) {
            Some(Phase::StartPre { control }) => control.role,
            Some(Phase::StartPost { .. }) => Role::StartPost,
            Some(_) | None => Role::Start,
        };
        let failure = match (self.phase(unit), self.start_timeout(unit, role)) {
            // Its command has long ended; it is the PID file that did not come.
            (Some(Phase::FindingMain { .. }), Failure::StartTimeout { limit_ms, .. }) => {
                Failure::MainTimeout { limit_ms }
            }
            (_, failure) => self.too_late(unit, failure),
        };
        self.end_run(unit, End::new(Why::Failed(failure), None));
    }

    /// The delay is over. What the unit requires is started with it; what it merely wants is not, since the user may
    /// have stopped that by hand.
    pub(super) fn auto_restart(&mut self, unit: UnitId) {
        let now = self.now;
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        service.restarts = service.restarts.saturating_add(1);
        let given = service.unit.start_limit;
        if service
            .definition()
            .is_some_and(|d| restart::limit(given, &d.restart).is_some())
        {
            service.starts.push(now);
        }
        let attempt = service.restarts;
        self.queue(unit, Cause::AutoRestart { attempt });
        self.spread(unit, Occasion::Revival);
    }

    /// Tells whoever waits for this unit, directly or for what it brings up, that it will be tried again.
    pub(super) fn tell_retry(&mut self, unit: UnitId, failure: &Failure, delay_ms: u64) {
        if let Some(name) = self.name(unit) {
            let notice = Notice::Retries {
                unit: name,
                failure: failure.clone(),
                delay_ms,
            };
            self.notify(unit, &notice);
        }
    }

    pub(super) fn judge_command(&mut self, unit: UnitId, run: Run, fate: Fate) -> Verdict {
        let forgiven = self
            .definition(unit)
            .is_some_and(|d| forgives(d, run.role, run.index));
        match fate {
            Fate::Ended(Ending::Unknown) if run.pid.is_none() => Verdict::Again,
            Fate::Ended(Ending::Code(0)) => Verdict::Good,
            Fate::Ended(_) | Fate::Unborn(_) if forgiven => Verdict::Good,
            Fate::Ended(ending) => Verdict::Bad(Failure::Ended {
                role: run.role,
                ending,
            }),
            Fate::Unborn(failure) => Verdict::Bad(Failure::Spawn {
                role: run.role,
                failure,
            }),
        }
    }

    /// The failure of a command that ends well or not; `None` if it ended well.
    pub(super) fn command_failure(
        &mut self,
        unit: UnitId,
        run: Run,
        fate: Fate,
    ) -> Option<Failure> {
        match self.judge_command(unit, run, fate) {
            Verdict::Good | Verdict::Again => None,
            Verdict::Bad(failure) => Some(failure),
        }
    }

    fn start_timeout(&self, unit: UnitId, role: Role) -> Failure {
        let limit_ms = self
            .definition(unit)
            .map_or(0, |d| self.given_ms(unit, d.timeout_start));
        Failure::StartTimeout { role, limit_ms }
    }

    pub(super) fn arm_start(&mut self, unit: UnitId) {
        let span = self
            .definition(unit)
            .map_or(Span::Infinite, |d| d.timeout_start);
        self.arm(unit, span);
    }

    pub(super) fn definition(&self, unit: UnitId) -> Option<&Definition> {
        self.service(unit).and_then(|service| service.definition())
    }

    pub(super) fn phase(&self, unit: UnitId) -> Option<&Phase> {
        self.service(unit).map(|service| &service.phase)
    }

    pub(super) fn has(&self, unit: UnitId, role: Role, index: usize) -> bool {
        self.definition(unit)
            .is_some_and(|d| commands(d, role).len() > index)
    }
}

/// The commands of a role's key.
#[must_use]
pub fn commands(definition: &Definition, role: Role) -> &[Exec] {
    match role {
        Role::Condition => &definition.condition,
        Role::StartPre => &definition.start_pre,
        Role::Start => &definition.start,
        Role::StartPost => &definition.start_post,
        Role::Reload => &definition.reload,
        Role::Stop => &definition.stop,
        Role::StopPost => &definition.stop_post,
    }
}

pub(super) fn forgives(definition: &Definition, role: Role, index: usize) -> bool {
    commands(definition, role)
        .get(index)
        .is_some_and(|exec| exec.ignore_failure)
}
