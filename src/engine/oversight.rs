//! What follows from a running service's words, and from its silence: reload by its own account, a stop that it
//! announces, the watchdog, the longest time that it may run. systemd.service(5) and sd_notify(3) give the rules.
//!
//! Readiness is `start.rs`'s.

use crate::unit::{Kind, Span};

use super::phase::{End, Goal, Phase, Round, Why};
use super::restart;
use super::service::Reload;
use super::{
    Awaited, Cause, Effect, Ending, Engine, FactPhase, Failure, Fate, Happening, Moment, Outcome,
    Role, Target, UnitId,
};

/// To what an extended time is rounded down, in milliseconds.
const TENTH_MS: u64 = 100;

/// What a service can say of itself, besides that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is ready, or has done reloading: so says a service of which nobody knows the main process.
    Ready,
    /// It has begun to reload, and when, if it says so; it will be ready when it is done.
    Reloading { begun: Option<Moment> },
    /// It goes down by itself.
    Stopping,
    /// It lives: the watchdog has been served.
    Alive,
    /// Something is wrong with it, as if the watchdog had not been served.
    Hung,
    /// So often it will serve the watchdog from now on; 0: not at all.
    WatchdogLimit { ms: u64 },
    /// No time limit passes for so long.
    Extend { ms: u64 },
}

impl Engine {
    pub(super) fn on_said(&mut self, unit: UnitId, word: Word) {
        // A process that was left behind may speak when its unit has become a group.
        if self.definition(unit).is_none() {
            return;
        }
        match word {
            Word::Ready if self.phase(unit).and_then(Phase::main).is_none() => {
                self.happen(unit, Happening::Ready);
            }
            // A known main process is heard by its run.
            Word::Ready => {}
            Word::Reloading { begun } => self.happen(unit, Happening::Reloading(begun)),
            Word::Stopping => self.happen(unit, Happening::Stopping),
            Word::Hung => self.happen(unit, Happening::Hung(None)),
            Word::Alive => self.arm_watchdog(unit),
            Word::WatchdogLimit { ms } => {
                if let Some(service) = self.service_mut(unit) {
                    service.watchdog_ms = Some(ms);
                    self.changed.insert(unit);
                    self.arm_watchdog(unit);
                }
            }
            Word::Extend { ms } => self.extend(unit, ms),
        }
    }

    /// The watchdog's time begins anew, where it counts.
    pub(super) fn arm_watchdog(&mut self, unit: UnitId) {
        let limit_ms = self.watchdog_ms(unit);
        let at = limit_ms.map(|ms| self.now.plus_ms(ms));
        self.watchdogs.set(unit, at);
    }

    /// How long the service may be silent now; `None` where that does not matter.
    fn watchdog_ms(&self, unit: UnitId) -> Option<u64> {
        let service = self.service(unit).filter(|s| s.kind().is_overseen())?;
        let given = service.definition()?.oversight().watchdog;
        let given = given.map(|limit| restart::ms(Span::Finite(limit)));
        service.watchdog_ms.or(given).filter(|ms| *ms > 0)
    }

    /// From now on the service is looked after: it is up.
    pub(super) fn oversee(&mut self, unit: UnitId) {
        self.arm_watchdog(unit);
        let limit = self.definition(unit).map_or(Span::Infinite, |definition| {
            definition.oversight().runtime_max
        });
        let at = match limit {
            Span::Finite(_) => Some(self.now.plus_ms(restart::ms(limit).max(1))),
            Span::Infinite => None,
        };
        self.runtimes.set(unit, at);
    }

    /// sd_notify(3): a limit that would pass later anyway stays.
    fn extend(&mut self, unit: UnitId, ms: u64) {
        let at = self.now.plus_ms(ms);
        let limit = self.timers.get(unit);
        let kind = self.service(unit).map(|service| service.kind());
        let is_limit = kind.is_some_and(|kind| kind.starts() || kind.is_up() || kind.ends());
        for timers in [&mut self.timers, &mut self.runtimes, &mut self.watchdogs] {
            if timers.get(unit).is_some_and(|due| is_limit && due < at) {
                timers.set(unit, Some(at));
                self.changed.insert(unit);
            }
        }
        let by = self.timers.get(unit).zip(limit);
        let by = by.map_or(0, |(later, limit)| later.since_ms(limit));
        if let Some(service) = self.service_mut(unit) {
            service.extended_ms = service.extended_ms.saturating_add(by);
        }
    }

    /// How long the phase that the unit is in might take, with what its time was extended by. `span`: what the
    /// definition gives it now, which may be newer than the limit that was set.
    pub(super) fn given_ms(&self, unit: UnitId, span: Span) -> u64 {
        let service = self.service(unit);
        let armed_ms = service.and_then(|service| service.armed_ms);
        let extended_ms = service.map_or(0, |service| service.extended_ms);
        match (armed_ms.unwrap_or(restart::ms(span)), extended_ms) {
            (limit, 0) => limit,
            // The moment at which it asked for more is no round number, and of no interest.
            (limit, more) => limit.saturating_add(more) / TENTH_MS * TENTH_MS,
        }
    }

    /// Makes a `notify-reload` service reload, systemd.service(5).
    pub(super) fn signal_reload(&mut self, unit: UnitId) {
        let main = self.phase(unit).and_then(Phase::main);
        self.enter(unit, Phase::ReloadSignal { main }, None);
        self.arm_start(unit);
        self.send_reload(unit);
    }

    pub(super) fn send_reload(&mut self, unit: UnitId) {
        let main = self.phase(unit).and_then(Phase::main);
        let signal = self
            .definition(unit)
            .map(|definition| definition.oversight().reload_signal);
        if let (Some(main), Some(signal)) = (self.living(main), signal) {
            let to = Target::Run(main.id);
            self.batch.push(Effect::Signal { unit, to, signal });
        }
    }

    /// The commands of a reload are through. Whether anything is left to be waited for.
    pub(super) fn reload_goes_on(&mut self, unit: UnitId) -> bool {
        let Some(service) = self.service(unit) else {
            return false;
        };
        if service.definition().map(|definition| definition.kind) == Some(Kind::NotifyReload) {
            self.signal_reload(unit);
            return true;
        }
        if service.reload == Reload::Begun {
            self.await_reloaded(unit);
            return true;
        }
        false
    }

    fn await_reloaded(&mut self, unit: UnitId) {
        let main = self.phase(unit).and_then(Phase::main);
        let by_itself = self.is_kind(unit, FactPhase::Running);
        let cause = by_itself.then_some(Cause::Reloads);
        self.enter(unit, Phase::ReloadNotify { main }, cause);
        self.arm_start(unit);
    }

    /// The service says that it reloads: by itself, or as it was told to.
    pub(super) fn reloading(&mut self, unit: UnitId, begun: Option<Moment>) {
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        match service.kind() {
            FactPhase::Reloading => service.reload = Reload::Begun,
            // What began before it was told to is another reload: systemd.service(5), `notify-reload`.
            FactPhase::ReloadSignal if begun.is_some_and(|begun| begun < service.since) => {}
            _ => {
                self.let_go(unit);
                self.await_reloaded(unit);
            }
        }
    }

    /// It is done, or never began: the latter where a reload under way is what `ExecReload=` does.
    pub(super) fn reloaded(&mut self, unit: UnitId) {
        if let Some(service) = self.service_mut(unit) {
            service.reload = Reload::Silent;
            if service.kind() == FactPhase::Reloading {
                return;
            }
        }
        let main = self.phase(unit).and_then(Phase::main);
        self.reload_done(unit, main, &Outcome::Reloaded);
    }

    /// The service says that it goes down by itself: nothing is sent to it before its time limit has passed.
    pub(super) fn leave(&mut self, unit: UnitId) {
        let Some(main) = self.phase(unit).and_then(Phase::main) else {
            return;
        };
        self.let_go(unit);
        let cause = Cause::Leaving;
        let outcome = Outcome::Superseded {
            cause: cause.clone(),
        };
        self.resolve(unit, Awaited::Reload, &outcome);
        self.enter(unit, Phase::Leaving { main }, Some(cause));
        self.arm_stop(unit);
    }

    /// It has.
    pub(super) fn left(&mut self, unit: UnitId, fate: &Fate) {
        let Some(definition) = self.definition(unit) else {
            return;
        };
        let ending = fate.ending();
        let why = restart::judge(definition, 0, ending);
        self.kill(unit, Round::Main, End::new(why, Some(ending)));
    }

    pub(super) fn leave_too_long(&mut self, unit: UnitId) {
        let failure = self.stop_timeout(unit);
        self.kill(unit, Round::Main, End::new(Why::Failed(failure), None));
        self.harden(unit);
    }

    /// The watchdog was not served, within `limit_ms` if that is known. No `ExecStop=`: what hangs is not asked nicely.
    pub(super) fn hung(&mut self, unit: UnitId, limit_ms: Option<u64>) {
        let failure = Failure::Watchdog { limit_ms };
        self.let_go(unit);
        let end = End::new(Why::Failed(failure), None);
        self.lose_reload(unit, &end);
        self.kill(unit, Round::Abort, end);
    }

    /// `RuntimeMaxSec=` has passed.
    pub(super) fn overrun(&mut self, unit: UnitId) {
        let limit_ms = self.definition(unit).map_or(0, |definition| {
            restart::ms(definition.oversight().runtime_max)
        });
        let failure = Failure::Runtime { limit_ms };
        self.end_run(unit, End::new(Why::Failed(failure), None));
    }

    /// A reload that is under way comes to nothing: the run ends.
    pub(super) fn lose_reload(&mut self, unit: UnitId, end: &End) {
        let is_lost = self
            .service(unit)
            .is_some_and(|s| s.kind().reloads() && s.goal == Goal::Up);
        if !is_lost {
            return;
        }
        let failure = match &end.why {
            Why::Failed(failure) => failure.clone(),
            Why::Asked | Why::Finished | Why::Skipped(_) => Failure::Ended {
                role: Role::Start,
                ending: end.main.unwrap_or(Ending::Unknown),
            },
        };
        let retry_ms = None;
        self.resolve(
            unit,
            Awaited::Reload,
            &Outcome::Failed { failure, retry_ms },
        );
    }

    /// Whose watchdog or time to run has passed.
    pub(super) fn oversight_due(&mut self) {
        while let Some(unit) = self.watchdogs.pop_due(self.now) {
            let limit_ms = self.watchdog_ms(unit);
            self.happen(unit, Happening::Hung(limit_ms));
        }
        while let Some(unit) = self.runtimes.pop_due(self.now) {
            self.happen(unit, Happening::Overrun);
        }
    }

    /// `TimeoutAbortSec=`, or what any stop may take.
    pub(super) fn arm_abort(&mut self, unit: UnitId) {
        match self
            .definition(unit)
            .and_then(|d| d.oversight().timeout_abort)
        {
            Some(span) => self.arm(unit, span),
            None => self.arm_stop(unit),
        }
    }
}
