//! Scenes with exact expectations on the virtual clock: one rule each, where the simulation only says what never may
//! be.
//!
//! Owns [`Stage`], on which a test plays the shell and the world by hand.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod bonds;
mod condition;
mod foretold;
mod freeze;
mod jobs;
mod memory;
mod obstacle;
mod order;
mod oversight;
mod relations;
mod renew;
mod repeat;
mod restart;
mod saving;
mod start;
mod stop;
mod unneeded;

use std::collections::{BTreeMap, BTreeSet};

use diakonos::engine::{
    Answer, Asker, Cause, Core, Effect, Ending, Engine, Event, Facts, Moment, Notice, Outcome,
    QuestionId, RequestId, Role, RunId, Spawn, SpawnFailure, State, Target, UnitId, Verb,
};
use diakonos::unit::{Service, Truth, Unit};

use crate::units::name;

/// An engine, a clock and everything that the engine has asked for.
pub(crate) struct Stage {
    pub(crate) engine: Engine,
    pub(crate) now: Moment,
    disk: Vec<Unit>,
    /// Everything since the beginning.
    effects: Vec<Effect>,
    /// Effects up to here were looked at.
    seen: usize,
    /// Spawned and not over, by run.
    live: BTreeMap<RunId, Spawn>,
    watched: BTreeSet<String>,
    /// Units of which processes are left that nobody named.
    crowded: BTreeSet<String>,
    next_request: u64,
    next_pid: u32,
    /// Questions that nobody has answered.
    questions: Vec<(UnitId, QuestionId)>,
}

pub(crate) fn signal(number: u8) -> Ending {
    Ending::Signal {
        number,
        core: Core::None,
    }
}

/// A unit with its service changed.
pub(crate) fn with(mut unit: Unit, change: impl FnOnce(&mut Service)) -> Unit {
    if let Some(service) = &mut unit.service {
        change(service);
    }
    unit
}

/// A unit with what stands in `[unit]` changed.
pub(crate) fn edged(mut unit: Unit, change: impl FnOnce(&mut Unit)) -> Unit {
    change(&mut unit);
    unit
}

impl Stage {
    pub(crate) fn new(disk: Vec<Unit>) -> Self {
        Self {
            engine: Engine::new(1),
            now: Moment(1_000_000),
            disk,
            effects: Vec::new(),
            seen: 0,
            live: BTreeMap::new(),
            watched: BTreeSet::new(),
            crowded: BTreeSet::new(),
            next_request: 1,
            next_pid: 500,
            questions: Vec::new(),
        }
    }

    /// One event, and the answers to `WatchGroup` that follow from it.
    pub(crate) fn feed(&mut self, event: Event) {
        if let Event::Exited { run, .. } | Event::SpawnFailed { run, .. } = &event {
            self.live.remove(run);
        }
        self.engine.handle(self.now, event);
        while let Some(effect) = self.engine.poll_effect() {
            match &effect {
                Effect::Spawn(spawn) => {
                    self.live.insert(spawn.run, spawn.clone());
                }
                Effect::WatchGroup { unit } => {
                    let unit = self.engine.unit(*unit).expect("a known unit");
                    self.watched.insert(unit.name.to_string());
                }
                Effect::Examine { unit, question } => self.questions.push((*unit, *question)),
                _ => {}
            }
            self.effects.push(effect);
        }
        self.tell_empty_groups();
    }

    /// The oldest question is answered.
    pub(crate) fn examined(&mut self, truths: &[Truth]) {
        let (unit, question) = self.questions.remove(0);
        let truths = truths.to_vec();
        self.feed(Event::Examined {
            unit,
            question,
            truths,
        });
    }

    /// How many questions wait for their answers.
    pub(crate) fn questions(&self) -> usize {
        self.questions.len()
    }

    fn tell_empty_groups(&mut self) {
        let alive: BTreeSet<String> = self
            .live
            .values()
            .filter_map(|spawn| self.engine.unit(spawn.unit))
            .map(|unit| unit.name.to_string())
            .collect();
        let empty = self
            .watched
            .iter()
            .find(|unit| !alive.contains(*unit) && !self.crowded.contains(*unit))
            .cloned();
        if let Some(unit) = empty {
            self.watched.remove(&unit);
            let unit = self.engine.id(&name(&unit)).expect("a known unit");
            self.feed(Event::GroupEmpty { unit });
        }
    }

    /// A client's wish; every file is read that the daemon does not hold as running.
    pub(crate) fn ask(&mut self, verb: Verb, targets: &[&str]) -> RequestId {
        self.ask_since(None, verb, targets)
    }

    /// The same wish again, of a client that lost the answer.
    pub(crate) fn ask_again(&mut self, first: Moment, verb: Verb, targets: &[&str]) -> RequestId {
        self.ask_since(Some(first), verb, targets)
    }

    fn ask_since(
        &mut self,
        first_asked: Option<Moment>,
        verb: Verb,
        targets: &[&str],
    ) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let starts = matches!(verb, Verb::Start | Verb::Restart(_) | Verb::Renew);
        let is_read = |unit: &&Unit| {
            let down = |state| matches!(state, State::Stopped | State::Completed | State::Failed);
            let id = self.engine.id(&unit.name);
            let state = id.and_then(|id| self.engine.view(id)).map(|v| v.state);
            targets.contains(&unit.name.as_str()) || state.is_none_or(down)
        };
        let definitions = if starts {
            self.disk.iter().filter(is_read).cloned().collect()
        } else {
            Vec::new()
        };
        self.feed(Event::Request {
            request,
            verb,
            by: Asker::Client { uid: 0, pid: 1 },
            first_asked,
            targets: targets.iter().map(|target| name(target)).collect(),
            definitions,
            absent: Vec::new(),
        });
        request
    }

    pub(crate) fn start(&mut self, target: &str) -> RequestId {
        self.ask(Verb::Start, &[target])
    }

    pub(crate) fn stop(&mut self, target: &str) -> RequestId {
        self.ask(Verb::Stop, &[target])
    }

    /// The daemon dies, and a successor takes every unit and every process back.
    pub(crate) fn succeed_daemon(&mut self) {
        let ids: Vec<_> = self.engine.units().collect();
        let told = |id: &_| {
            let unit = self.engine.unit(*id).expect("a known unit").clone();
            (unit, self.engine.facts(*id).expect("its facts"))
        };
        let saved: Vec<(Unit, Facts)> = ids.iter().map(told).collect();
        self.engine = Engine::new(2);
        self.watched.clear();
        self.questions.clear();
        for (unit, facts) in &saved {
            let (unit, facts) = (Box::new(unit.clone()), Box::new(facts.clone()));
            let next = None;
            self.feed(Event::Restored { unit, next, facts });
        }
        for (_, facts) in &saved {
            for fact in [facts.main, facts.control].into_iter().flatten() {
                let run = fact.run;
                if let (true, Some(pid)) = (self.live.contains_key(&run), fact.pid) {
                    self.feed(Event::Spawned { run, pid });
                    self.feed(Event::Executed { run });
                } else {
                    let ending = Ending::Unknown;
                    self.feed(Event::Exited { run, ending });
                }
            }
        }
        self.feed(Event::Tick);
    }

    /// Another file from now on.
    pub(crate) fn rewrite(&mut self, unit: Unit) {
        self.disk.retain(|old| old.name != unit.name);
        self.disk.push(unit);
    }

    /// Time passes; whatever falls due on the way happens at its moment.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.feed(Event::Tick);
        }
        self.now = end;
    }

    /// The live run of this role.
    pub(crate) fn run(&self, unit: &str, role: Role) -> RunId {
        self.live_run(unit, role)
            .unwrap_or_else(|| panic!("{unit} has no {role:?}; it is {:?}", self.state(unit)))
            .run
    }

    fn live_run(&self, unit: &str, role: Role) -> Option<&Spawn> {
        let id = self.engine.id(&name(unit))?;
        self.live
            .values()
            .rfind(|spawn| spawn.unit == id && spawn.role == role)
    }

    pub(crate) fn has_run(&self, unit: &str, role: Role) -> bool {
        self.live_run(unit, role).is_some()
    }

    pub(crate) fn spawn_of(&self, unit: &str, role: Role) -> Spawn {
        self.live_run(unit, role).expect("a live run").clone()
    }

    /// The process comes about and its program runs.
    pub(crate) fn launch(&mut self, unit: &str, role: Role) -> RunId {
        let run = self.run(unit, role);
        self.next_pid += 1;
        let pid = self.next_pid;
        self.feed(Event::Spawned { run, pid });
        self.feed(Event::Executed { run });
        run
    }

    pub(crate) fn end(&mut self, run: RunId, ending: Ending) {
        self.feed(Event::Exited { run, ending });
    }

    /// A command comes about and ends well.
    pub(crate) fn succeed(&mut self, unit: &str, role: Role) {
        let run = self.launch(unit, role);
        self.end(run, Ending::Code(0));
    }

    pub(crate) fn cannot_spawn(&mut self, unit: &str, role: Role, errno: i32) {
        let run = self.run(unit, role);
        let failure = SpawnFailure {
            step: "exec".into(),
            errno,
            reason: "/bin/main: no".into(),
        };
        self.feed(Event::SpawnFailed { run, failure });
    }

    /// A plain service up and running.
    pub(crate) fn bring_up(&mut self, unit: &str) -> RunId {
        self.start(unit);
        let run = self.launch(unit, Role::Start);
        assert_eq!(self.state(unit), State::Running);
        run
    }

    /// Processes that nobody named stay in the unit's group, or are gone.
    pub(crate) fn crowd(&mut self, unit: &str) {
        self.crowded.insert(unit.to_owned());
    }

    pub(crate) fn uncrowd(&mut self, unit: &str) {
        self.crowded.remove(unit);
        self.tell_empty_groups();
    }

    /// The process ends, and nobody tells the engine.
    pub(crate) fn lose(&mut self, run: RunId) {
        self.live.remove(&run);
    }

    /// Whether a change of the unit's state had this cause.
    pub(crate) fn told_cause(&self, unit: &str, cause: &Cause) -> bool {
        self.effects.iter().any(|effect| match effect {
            Effect::Publish(change) => change.unit.as_str() == unit && change.cause == *cause,
            _ => false,
        })
    }

    pub(crate) fn state(&self, unit: &str) -> State {
        let id = self.engine.id(&name(unit));
        id.and_then(|id| self.engine.view(id))
            .map_or(State::Stopped, |view| view.state)
    }

    pub(crate) fn facts(&self, unit: &str) -> Facts {
        let id = self.engine.id(&name(unit)).expect("a known unit");
        self.engine.facts(id).expect("facts of a known unit")
    }

    /// The deadline that the unit shows, from now.
    pub(crate) fn due_in(&self, unit: &str) -> Option<u64> {
        self.facts(unit).deadline.map(|at| at.since_ms(self.now))
    }

    pub(crate) fn waits_for(&self, unit: &str) -> Vec<String> {
        let id = self.engine.id(&name(unit)).expect("a known unit");
        let view = self.engine.view(id).expect("a view of a known unit");
        view.waits_for.iter().map(ToString::to_string).collect()
    }

    pub(crate) fn answer(&self, request: RequestId) -> Option<Answer> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Answer { request: r, answer } if *r == request => Some(answer.clone()),
            _ => None,
        })
    }

    pub(crate) fn outcome(&self, request: RequestId, unit: &str) -> Option<Outcome> {
        match self.answer(request)? {
            Answer::Outcomes(list) => list
                .into_iter()
                .find(|(n, _)| n.as_str() == unit)
                .map(|(_, o)| o),
            Answer::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    pub(crate) fn notices(&self, request: RequestId) -> Vec<Notice> {
        let told = |effect: &Effect| match effect {
            Effect::Notify { request: r, notice } if *r == request => Some(notice.clone()),
            _ => None,
        };
        self.effects.iter().filter_map(told).collect()
    }

    /// What came since the last look.
    pub(crate) fn fresh(&mut self) -> Vec<Effect> {
        let fresh = self.effects[self.seen..].to_vec();
        self.seen = self.effects.len();
        fresh
    }

    /// Signals since the last look: to whom, and which.
    pub(crate) fn signals(&mut self) -> Vec<(Target, i32)> {
        let sent = |effect| match effect {
            Effect::Signal { to, signal, .. } => Some((to, signal.number())),
            _ => None,
        };
        self.fresh().into_iter().filter_map(sent).collect()
    }

    /// Every state that the unit went through, in order.
    pub(crate) fn path(&self, unit: &str) -> Vec<State> {
        let step = |effect: &Effect| match effect {
            Effect::Publish(change) if change.unit.as_str() == unit => Some(change.to),
            _ => None,
        };
        self.effects.iter().filter_map(step).collect()
    }

    /// What did not follow for a unit, and why.
    pub(crate) fn withheld(&self, unit: &str) -> Vec<String> {
        let told = |effect: &Effect| match effect {
            Effect::Withheld {
                unit: one,
                cause,
                why,
            } if one.as_str() == unit => Some(format!("{cause}: {why}")),
            _ => None,
        };
        self.effects.iter().filter_map(told).collect()
    }

    /// Which units spawned their main processes, in order.
    pub(crate) fn started(&self) -> Vec<String> {
        let spawned = |effect: &Effect| match effect {
            Effect::Spawn(spawn) if spawn.role == Role::Start => self
                .engine
                .unit(spawn.unit)
                .map(|unit| unit.name.to_string()),
            _ => None,
        };
        self.effects.iter().filter_map(spawned).collect()
    }
}
