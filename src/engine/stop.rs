//! The way down: stop commands, signals, and the wait until nothing is left. What follows is `conclude.rs`'s.
//!
//! The steps are systemd.service(5)'s and systemd.kill(5)'s: `ExecStop=` (only after a successful start, also when the
//! service ended by itself), `KillSignal=` and SIGCONT, SIGKILL after `TimeoutStopSec=`, `ExecStopPost=` always, and
//! once more whatever that left. Which signals these are is `kill.rs`'s.

use std::time::Duration;

use crate::unit::{KillMode, Span};

use super::conclude::cause_of;
use super::phase::{End, Goal, Group, Left, Phase, Round, Stage, Why};
use super::restart;
use super::{
    Awaited, Cause, Effect, Ending, Engine, FactPhase, Failure, Fate, Notice, Outcome, Role, UnitId,
};

/// The shortest wait after SIGKILL. Nothing that a unit says makes the kernel quicker: on a busy machine the end of a
/// large process takes longer than a short `TimeoutStopSec=`, and "processes are left" would be false.
const KILL_WAIT: Duration = Duration::from_secs(10);

impl Engine {
    /// A start that has not begun, or an automatic restart, is given up.
    pub(super) fn drop_start(&mut self, unit: UnitId) {
        let goal = self.service(unit).map(|service| service.goal);
        if goal == Some(Goal::Cycle) {
            return self.start_again(unit);
        }
        self.renew(unit);
        self.enter(unit, Phase::Stopped, None);
        self.resolve(unit, Awaited::Down, &Outcome::Stopped);
        self.release_held_back();
    }

    /// The unit's turn to stop has come, whether it is up or only on its way.
    pub(super) fn stop(&mut self, unit: UnitId) {
        self.end_run(unit, End::new(Why::Asked, None));
    }

    /// The run is to end, or its main process has: `ExecStop=` first if the start had been complete.
    pub(super) fn end_run(&mut self, unit: UnitId, end: End) {
        let end = self.with_loss(unit, end);
        self.lose_reload(unit, &end);
        self.let_go(unit);
        let Some(service) = self.service(unit) else {
            return;
        };
        let was_ready = service.ready_at.is_some();
        match service.phase {
            Phase::Reloading { main, control } => {
                self.kill_run(unit, control);
                if let Some(service) = self.service_mut(unit) {
                    service.phase = Phase::Running { main };
                }
            }
            Phase::Starting { main } => self.stop_awaiting(unit, main.id),
            Phase::FindingMain { main } => {
                self.batch.push(Effect::StopFinding { run: main.id });
                self.runs.remove(&main.id);
                if let Some(service) = self.service_mut(unit) {
                    service.phase = Phase::Running { main: None };
                }
            }
            _ => {}
        }
        if was_ready && self.takes_time() && self.has(unit, Role::Stop, 0) {
            self.stop_command(unit, 0, end);
        } else {
            self.kill(unit, Round::Main, end);
        }
    }

    fn stop_command(&mut self, unit: UnitId, index: usize, end: End) {
        let main = self.living(self.phase(unit).and_then(Phase::main));
        let control = self.spawn(unit, Role::Stop, index, Some(&end));
        let cause = cause_of(&end);
        self.enter(unit, Phase::StopCommand { main, control, end }, cause);
        self.arm_stop(unit);
    }

    /// A stop command that fails is noted, and the signals come at once.
    pub(super) fn next_stop(&mut self, unit: UnitId, fate: Fate) {
        let Some(Phase::StopCommand {
            control, mut end, ..
        }) = self.phase(unit).cloned()
        else {
            return;
        };
        match self.command_failure(unit, control, fate) {
            None if self.has(unit, Role::Stop, control.index + 1) => {
                self.stop_command(unit, control.index + 1, end);
            }
            failure => {
                if let Some(failure) = failure {
                    end.fail(failure);
                }
                self.forget_control(unit);
                self.kill(unit, Round::Main, end);
            }
        }
    }

    pub(super) fn stop_command_too_long(&mut self, unit: UnitId) {
        let Some(Phase::StopCommand { mut end, .. }) = self.phase(unit).cloned() else {
            return;
        };
        end.fail(self.stop_timeout(unit));
        self.kill(unit, Round::Main, end);
    }

    /// Sends the signals of `KillMode=` and waits until they have worked.
    pub(super) fn kill(&mut self, unit: UnitId, round: Round, end: End) {
        let Some(definition) = self.definition(unit) else {
            // A group has no process: its end is its word.
            return self.conclude(unit, end);
        };
        let mode = definition.kill.mode;
        let (main, control) = match (round, self.phase(unit)) {
            (Round::Main | Round::Abort, Some(phase)) => {
                (self.living(phase.main()), self.living(phase.control()))
            }
            // A command that took too long was killed and is to be gone, too.
            (Round::Final, Some(phase)) => (None, self.living(phase.control())),
            (_, None) => (None, None),
        };
        let cause = cause_of(&end);
        let (left, stage) = match mode {
            KillMode::ControlGroup => (Left::watched(main, control), Stage::Gentle),
            KillMode::Mixed
                if main.is_none() && control.is_none() && definition.kill.send_sigkill =>
            {
                (Left::watched(None, None), Stage::Hard)
            }
            KillMode::Mixed => (Left::watched(main, control), Stage::Gentle),
            KillMode::Process => (Left::settled(main, control), Stage::Gentle),
            KillMode::None if round == Round::Final => {
                (Left::settled(None, control), Stage::Gentle)
            }
            KillMode::None => (Left::settled(None, None), Stage::Gentle),
        };
        self.send_kill(unit, left, (stage, round));
        if left.group == Group::Watched {
            self.batch.push(Effect::WatchGroup { unit });
        }
        self.enter(
            unit,
            Phase::Killing {
                left,
                stage,
                round,
                end,
            },
            cause,
        );
        match (stage, round) {
            (Stage::Gentle, Round::Abort) => self.arm_abort(unit),
            (Stage::Gentle, Round::Main | Round::Final) => self.arm_stop(unit),
            (Stage::Hard, _) => self.arm_kill(unit),
        }
        self.tell_stopping(unit, stage);
        self.advance_kill(unit);
        if !self.takes_time() {
            self.harden(unit);
        }
    }

    /// The main process ended while the unit was up.
    pub(super) fn main_lost(&mut self, unit: UnitId, fate: &Fate) {
        self.let_go(unit);
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        match &mut service.phase {
            Phase::Running { main } | Phase::Reloading { main, .. } => *main = None,
            _ => {}
        }
        let ending = match fate {
            Fate::Ended(ending) => *ending,
            Fate::Unborn(_) => Ending::Unknown,
        };
        let Some(definition) = self.definition(unit) else {
            return;
        };
        let remains = definition.remain_after_exit;
        let why = restart::judge(definition, 0, ending);
        if why == Why::Finished && remains && self.is_kind(unit, FactPhase::Running) {
            return self.enter(unit, Phase::Exited, Some(Cause::Ended(ending)));
        }
        self.end_run(unit, End::new(why, Some(ending)));
    }

    /// A forking service without a known main process has no process any more.
    pub(super) fn group_lost(&mut self, unit: UnitId) {
        let Some(service) = self.service(unit) else {
            return;
        };
        if service.phase.main().is_some() || service.definition().is_none() {
            return;
        }
        let remains = service.definition().is_some_and(|d| d.remain_after_exit);
        let kind = service.kind();
        self.let_go(unit);
        if remains && kind == FactPhase::Running {
            return self.enter(unit, Phase::Exited, Some(Cause::Gone));
        }
        self.end_run(unit, End::new(Why::Finished, None));
    }

    /// The main process of a unit that goes down has ended. A bad status makes the whole run a failed one; an
    /// unknown one does so only where nobody asked for the end. (One that had to be killed has failed by its time
    /// limit.)
    pub(super) fn note_main(&mut self, unit: UnitId, fate: &Fate) {
        let verdict = match (fate, self.definition(unit)) {
            (Fate::Ended(ending), Some(definition)) => {
                Some((*ending, restart::judge(definition, 0, *ending)))
            }
            (Fate::Unborn(_), _) | (_, None) => None,
        };
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        let (Phase::StopCommand { main, end, .. }
        | Phase::Killing {
            left: Left { main, .. },
            end,
            ..
        }) = &mut service.phase
        else {
            return;
        };
        *main = None;
        if let Some((ending, why)) = verdict {
            end.main = Some(ending);
            match why {
                // How the process ended nobody can say, but it went when it was asked to.
                Why::Failed(_) if ending == Ending::Unknown && end.why == Why::Asked => {}
                Why::Failed(failure) => end.fail(failure),
                Why::Asked | Why::Finished | Why::Skipped(_) => {}
            }
        }
        self.changed.insert(unit);
        self.advance_kill(unit);
    }

    pub(super) fn note_control(&mut self, unit: UnitId) {
        self.forget_control(unit);
        self.advance_kill(unit);
    }

    fn forget_control(&mut self, unit: UnitId) {
        self.changed.insert(unit);
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        match &mut service.phase {
            Phase::Killing { left, .. } => left.control = None,
            // The command has ended: what is left is the main process, if that.
            Phase::StopCommand { main, .. } => {
                let main = *main;
                service.phase = Phase::Running { main };
            }
            _ => {}
        }
    }

    pub(super) fn group_gone(&mut self, unit: UnitId) {
        if let Some(service) = self.service_mut(unit)
            && let Phase::Killing { left, .. } = &mut service.phase
        {
            left.group = Group::Settled;
        }
        self.advance_kill(unit);
    }

    /// A kill that a predecessor began may wait for nobody by the KillMode= that came since.
    pub(super) fn end_idle_kill(&mut self, unit: UnitId) {
        if let Some(Phase::Killing { left, .. }) = self.phase(unit)
            && left.group == Group::Settled
        {
            self.advance_kill(unit);
        }
    }

    /// Goes on where a kill has worked.
    fn advance_kill(&mut self, unit: UnitId) {
        let Some(Phase::Killing { left, stage, .. }) = self.phase(unit) else {
            return;
        };
        let (left, stage) = (*left, *stage);
        if left.main.is_some() || left.control.is_some() {
            return;
        }
        let kills_rest = self
            .definition(unit)
            .is_some_and(|d| d.kill.mode == KillMode::Mixed && d.kill.send_sigkill);
        match (left.group, stage) {
            (Group::Settled, _) => self.round_done(unit),
            // KillMode=mixed: the main process has ended, the rest gets SIGKILL if it may.
            // That is as it should be, so that it is no failure and no warning.
            (Group::Watched, Stage::Gentle) if kills_rest => {
                self.send_last(unit);
                self.tell_stopping(unit, Stage::Hard);
            }
            (Group::Watched, _) => {}
        }
    }

    pub(super) fn kill_too_long(&mut self, unit: UnitId) {
        let Some(Phase::Killing { stage, .. }) = self.phase(unit) else {
            return;
        };
        let stage = *stage;
        let may_kill = self.definition(unit).is_some_and(|d| d.kill.send_sigkill);
        if stage == Stage::Gentle && may_kill {
            let failure = self.stop_timeout(unit);
            self.fail_end(unit, |end| end.fail(failure));
            self.harden(unit);
            return;
        }
        // Nothing may start over what is left, so this stands before any other failure.
        self.fail_end(unit, |end| end.why = Why::Failed(Failure::Remains));
        self.round_done(unit);
    }

    fn fail_end(&mut self, unit: UnitId, change: impl FnOnce(&mut End)) {
        if let Some(service) = self.service_mut(unit)
            && let Phase::Killing { end, .. } = &mut service.phase
        {
            change(end);
        }
    }

    /// SIGKILL for whatever this kill waits for, since its time is over.
    pub(super) fn harden(&mut self, unit: UnitId) {
        if self.send_last(unit)
            && let Some(name) = self.name(unit)
        {
            let last = self.last_signal(unit);
            self.notify(unit, &Notice::Killing { unit: name, last });
        }
    }

    /// The same without a word. Whether it was not sent before.
    fn send_last(&mut self, unit: UnitId) -> bool {
        let Some(Phase::Killing {
            left,
            round,
            end,
            stage: Stage::Gentle,
        }) = self.phase(unit).cloned()
        else {
            return false;
        };
        self.send_kill(unit, left, (Stage::Hard, round));
        self.enter(
            unit,
            Phase::Killing {
                left,
                stage: Stage::Hard,
                round,
                end,
            },
            None,
        );
        self.arm_kill(unit);
        true
    }

    fn round_done(&mut self, unit: UnitId) {
        let Some(Phase::Killing { round, end, .. }) = self.phase(unit).cloned() else {
            return;
        };
        if round != Round::Final && self.takes_time() && self.has(unit, Role::StopPost, 0) {
            self.stop_post(unit, 0, end);
        } else {
            self.conclude(unit, end);
        }
    }

    fn stop_post(&mut self, unit: UnitId, index: usize, end: End) {
        let control = self.spawn(unit, Role::StopPost, index, Some(&end));
        self.enter(unit, Phase::StopPost { control, end }, None);
        self.arm_stop(unit);
    }

    pub(super) fn next_stop_post(&mut self, unit: UnitId, fate: Fate) {
        let Some(Phase::StopPost { control, mut end }) = self.phase(unit).cloned() else {
            return;
        };
        match self.command_failure(unit, control, fate) {
            None if self.has(unit, Role::StopPost, control.index + 1) => {
                self.stop_post(unit, control.index + 1, end);
            }
            failure => {
                if let Some(failure) = failure {
                    end.fail(failure);
                }
                self.kill(unit, Round::Final, end);
            }
        }
    }

    pub(super) fn stop_post_too_long(&mut self, unit: UnitId) {
        let Some(Phase::StopPost { control, mut end }) = self.phase(unit).cloned() else {
            return;
        };
        end.fail(self.stop_timeout(unit));
        self.kill_run(unit, control);
        self.kill(unit, Round::Final, end);
    }

    pub(super) fn stop_timeout(&self, unit: UnitId) -> Failure {
        let limit_ms = self
            .definition(unit)
            .map_or(0, |d| self.given_ms(unit, d.timeout_stop));
        Failure::StopTimeout { limit_ms }
    }

    pub(super) fn arm_stop(&mut self, unit: UnitId) {
        let span = self
            .definition(unit)
            .map_or(Span::Infinite, |d| d.timeout_stop);
        self.arm(unit, span);
    }

    fn arm_kill(&mut self, unit: UnitId) {
        let wait = match self.definition(unit).map(|d| d.timeout_stop) {
            Some(Span::Finite(limit)) => limit.max(KILL_WAIT),
            // Only a process that the kernel holds needs any time.
            Some(Span::Infinite) | None => KILL_WAIT,
        };
        self.arm(unit, Span::Finite(wait));
    }

    fn tell_stopping(&mut self, unit: UnitId, stage: Stage) {
        let Some(definition) = self.definition(unit) else {
            return;
        };
        // In the second stage it was sent already.
        let kills = stage == Stage::Gentle
            && definition.kill.send_sigkill
            && definition.kill.mode != KillMode::None;
        let kill_at = if kills { self.timers.get(unit) } else { None };
        let last = self.last_signal(unit);
        if let Some(name) = self.name(unit) {
            self.notify(
                unit,
                &Notice::Stopping {
                    unit: name,
                    kill_at,
                    last,
                },
            );
        }
    }

    /// Whether stop commands still run: not once the daemon was told not to wait.
    fn takes_time(&self) -> bool {
        self.mode != super::Mode::Hurrying
    }

    pub(super) fn is_kind(&self, unit: UnitId, kind: FactPhase) -> bool {
        self.service(unit)
            .is_some_and(|service| service.kind() == kind)
    }
}
