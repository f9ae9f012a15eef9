//! Who is left of a unit, and what becomes of what it holds when nobody is.
//!
//! Groups are watched, pipes are pumped, and a unit at rest is closed, so that it costs no descriptor.

use crate::engine::{Engine, Event, RunId, State, UnitId};
use crate::log::Stream;
use crate::sys::clock;
use crate::sys::kin::Kin;
use crate::sys::process::error_text;
use crate::unit::Unit;

use super::group::{Group, Watched};
use super::processes::{Processes, Progress, Turn};
use super::pump::{News, Pumped, UnitLog};
use super::removing::remove;
use super::sandbox::remove_temporary;
use super::sources::Sources;
use super::watches::Purpose;

/// How often somebody is looked for who is to be waited for, and has gone when it is to be held.
const LOOKS_MAX: usize = 4;

impl Processes {
    pub(super) fn watch_group(&mut self, unit: UnitId, turn: &mut Turn<'_>) {
        match self.holds.get_mut(&unit) {
            Some(hold) => hold.group.watch(Watched::Asked, &mut self.watches),
            None => turn.events.push_back(Event::GroupEmpty { unit }),
        }
        self.check_group(unit, turn);
    }

    /// Tells, once, that a watched group has become empty.
    fn check_group(&mut self, unit: UnitId, turn: &mut Turn<'_>) {
        let has_run = self.runs.has(unit);
        let Some(hold) = self.holds.get_mut(&unit) else {
            return;
        };
        let watched = hold.group.watched();
        if watched == Watched::Not {
            return;
        }
        if has_run {
            // Its end makes us look again, and who else is there is asked only then: where members are found, a look
            // costs as much as there are processes.
            return;
        }
        if !is_gone(&mut hold.group, turn.sources, &mut self.kin) {
            return;
        }
        hold.group.unwatch(turn.sources, &mut self.watches);
        if watched == Watched::Asked {
            remove_pid_file(unit, turn);
            turn.events.push_back(Event::GroupEmpty { unit });
        }
        self.stirred.insert(unit);
    }

    /// Looks who is left of those units to whose processes something has happened: of all that this turn has to tell,
    /// one look at everybody.
    pub(super) fn check_doubtful(&mut self, turn: &mut Turn<'_>) {
        if self.doubtful.is_empty() {
            return;
        }
        self.kin.look_anew();
        for unit in std::mem::take(&mut self.doubtful) {
            self.check_group(unit, turn);
        }
    }

    /// Something happened to the unit's processes that does not say by itself what.
    pub(super) fn look_again(&mut self, unit: UnitId, turn: &mut Turn<'_>) {
        self.doubtful.insert(unit);
        let mine = self
            .finding
            .iter()
            .filter(|(_, finding)| finding.unit == unit);
        let runs: Vec<RunId> = mine.map(|(run, _)| *run).collect();
        for run in runs {
            self.look_for_main(run, turn);
        }
    }

    pub(super) fn read_watches(&mut self, turn: &mut Turn<'_>) -> Progress {
        let (purposes, is_drained) = self.watches.read();
        for purpose in purposes {
            match purpose {
                Purpose::Group(unit) => self.look_again(unit, turn),
                Purpose::Memory(unit) => self.memory_event(unit, turn),
                Purpose::Freeze(unit) => self.look_whether_frozen(unit, turn),
                Purpose::PidFile(run) => self.look_for_main(run, turn),
                Purpose::Ready(run) => self.look_whether_ready(run, turn),
            }
        }
        if is_drained {
            Progress::Drained
        } else {
            Progress::More
        }
    }

    pub(super) fn pump(
        &mut self,
        (unit, stream): (UnitId, Stream),
        turn: &mut Turn<'_>,
    ) -> Progress {
        let log = self.holds.get_mut(&unit).and_then(|hold| hold.log.as_mut());
        let pumped = log.map(|log| log.pump((unit, stream), &mut self.intake));
        self.pumped(unit, pumped, turn)
    }

    /// Takes all that its processes have written by now, whoever has precedence over log bytes: for somebody who counts
    /// on it.
    pub(super) fn take_in(&mut self, unit: UnitId, turn: &mut Turn<'_>) {
        let log = self.holds.get_mut(&unit).and_then(|hold| hold.log.as_mut());
        let pumped = log.map(|log| log.drain(&mut self.intake));
        self.pumped(unit, pumped, turn);
    }

    /// What follows when bytes were taken.
    fn pumped(&mut self, unit: UnitId, pumped: Option<Pumped>, turn: &mut Turn<'_>) -> Progress {
        self.mind_growth(unit, turn.engine);
        self.log_was_read(unit, turn);
        self.save_missing(unit, turn.engine);
        match pumped {
            Some(Pumped::More) => return Progress::More,
            Some(Pumped::End) => {
                self.stirred.insert(unit);
            }
            Some(Pumped::Empty) | None => {}
        }
        Progress::Drained
    }

    /// Tells in the logs what is missing there, where that is due.
    pub(super) fn tell_missing(&mut self, turn: &Turn<'_>) {
        let now_ms = clock::monotonic_ms();
        if !self.intake.take_due(now_ms) {
            return;
        }
        let units: Vec<UnitId> = self.holds.keys().copied().collect();
        for unit in units {
            let log = self.holds.get_mut(&unit).and_then(|hold| hold.log.as_mut());
            self.intake.remind(log.and_then(|log| log.on_time(now_ms)));
            self.save_missing(unit, turn.engine);
        }
    }

    /// What is missing in a log is to be known to a successor, too.
    fn save_missing(&mut self, unit: UnitId, engine: &Engine) {
        let log = self.holds.get_mut(&unit).and_then(|hold| hold.log.as_mut());
        if log.map(UnitLog::take_news) == Some(News::Some) {
            self.save(unit, engine);
        }
    }

    /// The daemon ends: what is in the pipes goes to the logs, and what stands for units without processes is removed.
    pub(super) fn finish(&mut self, turn: &mut Turn<'_>) {
        let units: Vec<UnitId> = self.holds.keys().copied().collect();
        for unit in units {
            self.settle_unit(unit, turn);
        }
        let engine = turn.engine;
        self.states.keep_last_run(engine.last_run());
        for unit in engine.units() {
            self.look_at_folders(unit, engine);
            if let Some(definition) = engine
                .unit(unit)
                .filter(|_| !self.holds.contains_key(&unit))
                && self.left_over(&definition.name).is_empty()
            {
                self.states.remove(unit, &definition.name);
            }
        }
        if let (Some(tree), true) = (&self.tree, self.holds.is_empty()) {
            tree.switch_off();
            // Somebody else's group in it keeps it, which is as it should be.
            let _ = tree.remove();
        }
    }

    /// Closes what a unit without processes holds. What still has a writer, or a process, stays until that is over.
    pub(super) fn settle_unit(&mut self, unit: UnitId, turn: &mut Turn<'_>) {
        let is_busy =
            self.runs.has(unit) || self.finding.values().any(|finding| finding.unit == unit);
        let Some(hold) = self.holds.get_mut(&unit).filter(|_| !is_busy) else {
            return;
        };
        if hold.group.watched() == Watched::Not {
            hold.group.watch(Watched::Ours, &mut self.watches);
        }
        if hold.group.watched() == Watched::Asked {
            return;
        }
        if !is_gone(&mut hold.group, turn.sources, &mut self.kin) {
            return;
        }
        let pumped = hold.log.as_mut().map(|log| log.drain(&mut self.intake));
        if matches!(pumped, Some(Pumped::Empty | Pumped::More)) {
            return;
        }
        hold.group.unwatch(turn.sources, &mut self.watches);
        self.watches.remove(Purpose::Memory(unit));
        self.looks.forget(unit);
        if let Err(error) = hold.group.remove() {
            ::log::warn!("removing the cgroup of unit {unit}: {}", error_text(&error));
        }
        self.remove_temporary(unit, turn);
        self.forget_before(unit, turn.sources);
        self.ears.close(unit, turn.sources, &mut self.keeper);
        self.stores.close(unit, turn.sources, &mut self.keeper);
        self.mind_growth(unit, turn.engine);
        let Some(hold) = self.holds.remove(&unit) else {
            return;
        };
        let history = self.history.entry(unit).or_default();
        if turn.engine.unit(unit).is_some_and(is_monitored) {
            history.invocation = Some(hold.invocation);
        }
        if let Some(mut log) = hold.log {
            log.close(&mut self.intake, (&mut *turn.sources, &mut self.keeper));
            history.missing = history.missing.and(log.missing());
            history.legacy = log.legacy();
            // Also where all has been paid in this turn: a successor would pay it again.
            if history.legacy.is_some() || log.take_news() == News::Some {
                self.save(unit, turn.engine);
            }
        }
    }
}

/// Whether its end starts another unit, which is told whose end that was.
fn is_monitored(unit: &Unit) -> bool {
    let relations = unit.relations();
    !relations.on_failure.is_empty() || !relations.on_success.is_empty()
}

/// Whether nobody is left; if somebody is, the end of some of them is waited for.
fn is_gone(group: &mut Group, sources: &mut Sources, kin: &mut Kin) -> bool {
    for _ in 0..LOOKS_MAX {
        if group.is_empty(kin) {
            return true;
        }
        if group.hold_members(sources, kin) {
            return false;
        }
        // Whoever was seen has gone since, and nobody will tell of it.
        kin.look_anew();
    }
    false
}

impl Processes {
    /// What the service had in its own `/tmp` ends with it.
    fn remove_temporary(&self, unit: UnitId, turn: &Turn<'_>) {
        let Some(unit) = turn.engine.unit(unit) else {
            return;
        };
        let sandbox = unit
            .service
            .as_ref()
            .and_then(|service| service.sandbox.as_ref());
        if sandbox.is_some_and(|sandbox| sandbox.private_tmp) {
            remove_temporary(&self.home.temporary(unit.name.as_str()));
        }
    }
}

/// Once the service is down nobody has a use for its PID file, and the number in it may become somebody else's:
/// systemd.service(5) has the manager remove it.
fn remove_pid_file(unit: UnitId, turn: &Turn<'_>) {
    let service = turn
        .engine
        .unit(unit)
        .and_then(|unit| unit.service.as_deref());
    let Some(path) = service.and_then(|service| service.pid_file.as_deref()) else {
        return;
    };
    remove(path);
}

/// Whether a unit in this state has no use for what it holds open. In automatic restart it will need it again soon.
pub(super) fn is_rest(state: Option<State>) -> bool {
    match state {
        None | Some(State::Stopped | State::Exited | State::Completed | State::Failed) => true,
        Some(
            State::Waiting
            | State::Starting
            | State::Running
            | State::Reloading
            | State::Stopping
            | State::Backoff,
        ) => false,
    }
}
