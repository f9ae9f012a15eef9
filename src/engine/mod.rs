//! The engine: the rules of the game, as one pure value.
//!
//! It owns every unit's definition, phase and goal, the requests under way, counters and deadlines. It knows no clock,
//! no file descriptor, no log and no randomness of its own: time comes as an argument, all that can happen is an
//! [`Event`], all that may be done to the world is an [`Effect`].
//!
//! Its methods are of four kinds. [`Engine::handle`] takes what has happened. [`Engine::poll_effect`] hands out what to
//! do next: call it until it is empty after each event. [`Engine::next_deadline`] says when to come back with
//! [`Event::Tick`]. All others only look.
//!
//! How an event is worked off: `request.rs` checks a wish, `plan.rs` makes a plan of it and `carry.rs` sets the goals
//! that it says; then `settle.rs` steps each unit that may be concerned: its turn comes or not. What a happening means
//! in a phase is the table in `cell.rs`; what it does is in `start.rs` and `stop.rs`. Nothing re-enters: a step that
//! concerns others puts them on the worklist.

mod atoms;
mod because;
mod carry;
mod cell;
mod clash;
mod command;
mod conclude;
mod condition;
mod cycle;
mod effect;
mod event;
mod examine;
mod facts;
mod follow;
mod foretell;
mod forget;
mod freeze;
mod graph;
mod happening;
mod id;
#[cfg(debug_assertions)]
mod invariants;
mod job;
mod kill;
mod memory;
mod monitor;
mod obstacle;
mod outlook;
mod oversight;
mod phase;
mod plan;
mod ready;
mod renew;
mod request;
mod restart;
mod restore;
mod resume;
mod saving;
mod service;
mod settle;
mod stage;
mod start;
mod start_post;
mod stop;
mod story;
mod story_text;
mod timer;
mod verb;
mod view;
mod way;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use cell::{Action, Input, action};
pub use command::{Asker, Command, LogWish, Planned, Scope, Verb, Wait};
pub use cycle::{find_cycle, find_cycles};
pub use effect::{
    Answer, Change, Effect, Impossible, Notice, Outcome, Refusal, Retry, Role, RunResult, Spawn,
    Taken, Target,
};
pub use event::{Absent, Core, Ending, Event, NoMain, SpawnFailure};
pub use facts::{FactFailure, FactGoal, FactPhase, FactReason, FactRun, Facts};
pub use id::{ChangeId, Moment, QuestionId, RequestId, RunId, UnitId};
pub use monitor::Monitor;
pub use obstacle::unfit;
pub use outlook::{Act, Outlook, Prospect, Untouched};
pub use oversight::Word;
pub use phase::failure_word;
pub use restart::{RestartPlan, restart_plan};
pub use resume::{Awaited, Pending};
pub use start::commands;
pub use story::{Cause, Failure, State};
pub use view::{MainView, View};

use crate::unit::{Span, Unit, UnitName};
use graph::Graph;
use happening::{Fate, Happening};
use phase::{End, Phase, Run};
use request::Requests;
use service::Service;
use timer::Timers;

/// Units that one daemon holds at most.
pub const UNITS_MAX: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub struct Engine {
    /// Boxed: a tree's nodes are half empty, and an empty place should be small.
    services: BTreeMap<UnitId, Box<Service>>,
    names: BTreeMap<UnitName, UnitId>,
    graph: Graph,
    timers: Timers,
    /// When a service has to have shown that it lives.
    watchdogs: Timers,
    /// When a service has run for long enough.
    runtimes: Timers,
    /// When a unit that is down and upheld is started.
    upholds: Timers,
    /// Upheld units whose start would stop something.
    held_back: BTreeSet<UnitId>,
    requests: Requests,
    /// Which unit a process belongs to, from the wish for it until its end.
    runs: BTreeMap<RunId, UnitId>,
    /// Units to be stepped before this event is worked off.
    work: BTreeSet<UnitId>,
    /// A predecessor's units that are not in the graph yet.
    unlinked: Vec<UnitId>,
    /// Units whose facts changed in this event.
    changed: BTreeSet<UnitId>,
    /// Units that a successor would not know: nothing has come of them yet.
    unsaved: BTreeSet<UnitId>,
    /// Effects of this event, in order; handed over behind its saves.
    batch: Vec<Effect>,
    effects: VecDeque<Effect>,
    mode: Mode,
    now: Moment,
    last_unit: u64,
    last_run: u64,
    last_change: u64,
    /// The wish that this event has brought, while it is taken up.
    wish: Option<ChangeId>,
    /// What tells of those that were down and passed a stop on, while a plan is carried out.
    passed: BTreeMap<UnitId, ChangeId>,
    last_question: u64,
    chance: u64,
    heritage: Heritage,
}

/// What the daemon is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Serving,
    /// Shutdown was asked: everything goes down in order.
    Ending,
    /// It was asked again: everything is killed.
    Hurrying,
    /// The exit was handed out.
    Over,
}

/// How a predecessor has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heritage {
    /// Perhaps between a save and what was to follow it.
    Torn,
    /// With everything done that it had asked for.
    Whole,
}

impl Engine {
    /// An engine that knows no unit. `seed` feeds the jitter of restart delays, nothing else.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            services: BTreeMap::new(),
            names: BTreeMap::new(),
            graph: Graph::default(),
            timers: Timers::default(),
            watchdogs: Timers::default(),
            runtimes: Timers::default(),
            upholds: Timers::default(),
            held_back: BTreeSet::new(),
            requests: Requests::default(),
            runs: BTreeMap::new(),
            work: BTreeSet::new(),
            unlinked: Vec::new(),
            changed: BTreeSet::new(),
            unsaved: BTreeSet::new(),
            batch: Vec::new(),
            effects: VecDeque::new(),
            mode: Mode::Serving,
            now: Moment(0),
            last_unit: 0,
            last_run: 0,
            last_change: 0,
            wish: None,
            passed: BTreeMap::new(),
            last_question: 0,
            chance: seed | 1,
            heritage: Heritage::Torn,
        }
    }

    /// Counts runs on from `last`, an earlier daemon's: logs know runs by their ids, and logs outlive daemons. To be
    /// called before the first event.
    pub fn count_on_from(&mut self, last: RunId) {
        debug_assert!(self.runs.is_empty(), "no run has an id yet");
        self.last_run = self.last_run.max(last.0);
    }

    /// The youngest run of all; 0 if there was none.
    #[must_use]
    pub fn last_run(&self) -> RunId {
        RunId(self.last_run)
    }

    /// Takes one thing that happened. `now` never goes back.
    pub fn handle(&mut self, now: Moment, event: Event) {
        debug_assert!(now >= self.now, "time goes forward");
        self.now = self.now.max(now);
        self.link_restored(&event);
        match event {
            Event::Request {
                request,
                verb,
                by,
                first_asked,
                targets,
                definitions,
                absent,
            } => {
                let wish = request::Wish {
                    request,
                    verb,
                    by,
                    first_asked,
                    targets,
                };
                self.on_request(&wish, definitions, &absent);
            }
            Event::Resumed {
                request,
                awaited,
                units,
            } => self.on_resumed(request, awaited, &units),
            Event::Detached { request } => self.requests.forget(request),
            Event::Spawned { run, pid } => self.on_spawned(run, pid),
            Event::Executed { run } => self.on_executed(run),
            Event::Ready { run } => self.on_ready(run),
            Event::Unready { run, reason } => self.on_unready(run, reason),
            Event::Hopeless { run, reason } => self.on_hopeless(run, reason),
            Event::Said { unit, word } => self.on_said(unit, word),
            Event::SpawnFailed { run, failure } => self.on_fate(run, Fate::Unborn(failure)),
            Event::Exited { run, ending } => self.on_fate(run, Fate::Ended(ending)),
            Event::MainFound { run, pid } => self.on_main(run, Happening::MainFound(pid)),
            Event::MainMissing { run, reason } => self.on_main(run, Happening::MainMissing(reason)),
            Event::Examined {
                unit,
                question,
                truths,
            } => self.happen(unit, Happening::Examined(question, truths)),
            Event::GroupEmpty { unit } => self.happen(unit, Happening::GroupEmpty),
            Event::OomKilled { unit } => self.happen(unit, Happening::OomKill),
            Event::Limited { unit, resources } => self.limited(unit, resources),
            Event::Frozen { unit } => self.on_frozen(unit),
            Event::FreezeFailed { unit, reason } => self.on_freeze_failed(unit, &reason),
            Event::Thawed { unit } => self.on_thawed(unit),
            Event::ThawFailed { unit, reason } => self.on_thaw_failed(unit, &reason),
            Event::Restored { unit, next, facts } => return self.on_restored((unit, next), &facts),
            Event::Forgotten { units } => self.on_forgotten(&units),
            Event::Tick => self.on_tick(),
        }
        self.settle();
        self.finish_shutdown();
        self.hand_over();
        #[cfg(debug_assertions)]
        self.check();
    }

    /// The next thing to do, in order; `None` when all is handed out.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let all = [&self.timers, &self.watchdogs, &self.runtimes, &self.upholds];
        all.into_iter().filter_map(Timers::next).min()
    }

    #[must_use]
    pub fn id(&self, name: &UnitName) -> Option<UnitId> {
        self.names.get(name).copied()
    }

    /// The definition in force: what the unit's processes were started with.
    #[must_use]
    pub fn unit(&self, id: UnitId) -> Option<&Unit> {
        self.services.get(&id).map(|service| &*service.unit)
    }

    /// The newer definition that comes into force with the unit's next start, if there is one.
    #[must_use]
    pub fn next_unit(&self, id: UnitId) -> Option<&Unit> {
        self.services.get(&id)?.next.as_deref()
    }

    /// Every unit, in the order of their names.
    pub fn units(&self) -> impl Iterator<Item = UnitId> + '_ {
        self.names.values().copied()
    }

    fn on_tick(&mut self) {
        while let Some(unit) = self.timers.pop_due(self.now) {
            self.happen(unit, Happening::Due);
        }
        self.oversight_due();
        self.upholds_due();
        debug_assert!(
            self.next_deadline().is_none_or(|next| next > self.now),
            "after a tick the next deadline is later than now"
        );
    }

    /// One cell of the table, carried out.
    fn happen(&mut self, unit: UnitId, happening: Happening) {
        let Some(service) = self.services.get(&unit) else {
            return;
        };
        let kind = service.kind();
        match (action(kind, happening.input()), happening) {
            (Action::Ignore, _) => {}
            (Action::Queue, Happening::Wake(cause)) => self.queue(unit, cause),
            (Action::Start, _) => self.start(unit),
            (Action::Judge, Happening::Examined(question, truths)) => {
                self.examined(unit, (question, &truths));
            }
            (Action::Drop, _) => self.drop_start(unit),
            (Action::Abort | Action::Stop, _) => self.stop(unit),
            (Action::RunReload, _) => self.run_reload(unit),
            (Action::Launched, _) => self.launched(unit),
            (Action::MainReady, _) => self.main_ready(unit),
            (Action::Reloading, Happening::Reloading(begun)) => self.reloading(unit, begun),
            (Action::Reloaded, _) => self.reloaded(unit),
            (Action::Leave, _) => self.leave(unit),
            (Action::Left, Happening::MainEnded(fate)) => self.left(unit, &fate),
            (Action::LeaveTooLong, _) => self.leave_too_long(unit),
            (Action::Abandon, Happening::Hung(limit_ms)) => self.hung(unit, limit_ms),
            (Action::Overrun, _) => self.overrun(unit),
            (Action::FirstEnded, Happening::MainEnded(fate)) => self.first_ended(unit, fate),
            (Action::FindAgain, _) => self.find_main(unit),
            (Action::MainLost, Happening::MainEnded(fate)) => self.main_lost(unit, &fate),
            (Action::NoteLoss, Happening::MainEnded(fate)) => self.note_loss(unit, &fate),
            (Action::NoteMain, Happening::MainEnded(fate)) => self.note_main(unit, &fate),
            (Action::NextStartPre, Happening::ControlEnded(fate)) => {
                self.next_start_pre(unit, fate)
            }
            (Action::NextStartPost, Happening::ControlEnded(fate)) => {
                self.next_start_post(unit, fate);
            }
            (Action::NextReload, Happening::ControlEnded(fate)) => self.next_reload(unit, fate),
            (Action::NextStop, Happening::ControlEnded(fate)) => self.next_stop(unit, fate),
            (Action::NextStopPost, Happening::ControlEnded(fate)) => {
                self.next_stop_post(unit, fate)
            }
            (Action::NoteControl, _) => self.note_control(unit),
            (Action::NameMain, Happening::MainFound(pid)) => self.name_main(unit, pid),
            (Action::GoOnWithoutMain, Happening::MainMissing(reason)) => {
                self.go_on_without_main(unit, reason);
            }
            (Action::OutOfMemory, _) => self.out_of_memory(unit),
            (Action::GroupLost, _) => self.group_lost(unit),
            (Action::GroupGone, _) => self.group_gone(unit),
            (Action::StartTooLong, _) => self.start_too_long(unit),
            (Action::ReloadTooLong, _) => self.reload_too_long(unit),
            (Action::StopCommandTooLong, _) => self.stop_command_too_long(unit),
            (Action::KillTooLong, _) => self.kill_too_long(unit),
            (Action::StopPostTooLong, _) => self.stop_post_too_long(unit),
            (Action::AutoRestart, _) => self.auto_restart(unit),
            (action, happening) => {
                debug_assert!(false, "{action:?} on {happening:?} in {kind:?}");
            }
        }
    }

    fn service(&self, unit: UnitId) -> Option<&Service> {
        self.services.get(&unit).map(|service| &**service)
    }

    fn service_mut(&mut self, unit: UnitId) -> Option<&mut Service> {
        self.services.get_mut(&unit).map(|service| &mut **service)
    }

    fn name(&self, unit: UnitId) -> Option<UnitName> {
        self.services
            .get(&unit)
            .map(|service| service.unit.name.clone())
    }

    /// Puts the unit into a phase, without a deadline, and everybody concerned on the worklist.
    fn enter(&mut self, unit: UnitId, phase: Phase, cause: Option<Cause>) {
        self.timers.set(unit, None);
        if !phase.kind().is_overseen() {
            self.watchdogs.set(unit, None);
            self.runtimes.set(unit, None);
        }
        if let Some(service) = self.services.get_mut(&unit) {
            service.phase = phase;
        }
        self.announce(unit, cause);
    }

    /// Publishes the unit's state if it is another one than before. Without a cause the present one stays in force.
    fn announce(&mut self, unit: UnitId, cause: Option<Cause>) {
        self.changed.insert(unit);
        self.work.insert(unit);
        self.work.extend(self.graph.neighbours(unit));
        if let Some(cause) = cause {
            self.give_cause(unit, cause);
        }
        let Some(service) = self.services.get_mut(&unit) else {
            return;
        };
        let to = service.state();
        if to == service.shown {
            return;
        }
        let from = std::mem::replace(&mut service.shown, to);
        service.since = self.now;
        let due = self.timers.get(unit).filter(|_| to == State::Backoff);
        let retry = due.map(|due| Retry {
            attempt: service.restarts.saturating_add(1),
            delay_ms: due.since_ms(self.now),
        });
        self.last_change += 1;
        let id = ChangeId(self.last_change);
        service.voice = Some(id);
        self.batch.push(Effect::Publish(Change {
            id,
            unit: service.unit.name.clone(),
            at: self.now,
            from,
            to,
            cause: service.cause.clone(),
            because: service.because,
            retry,
        }));
    }

    fn arm(&mut self, unit: UnitId, span: Span) {
        let at = match span {
            Span::Finite(_) => Some(self.now.plus_ms(restart::ms(span).max(1))),
            Span::Infinite => None,
        };
        self.timers.set(unit, at);
        if let Some(service) = self.service_mut(unit) {
            service.armed_ms = at.map(|_| restart::ms(span));
            service.extended_ms = 0;
        }
    }

    /// Wishes for a process.
    fn spawn(&mut self, unit: UnitId, role: Role, index: usize, end: Option<&End>) -> Run {
        let run = self.new_run(unit, role, index);
        let main = self.living(self.phase(unit).and_then(Phase::main));
        self.batch.push(Effect::Spawn(Spawn {
            run: run.id,
            unit,
            role,
            index,
            main_pid: main.and_then(|main| main.pid),
            result: end.map(End::result),
            monitor: self.monitor(unit, role),
        }));
        run
    }

    fn new_run(&mut self, unit: UnitId, role: Role, index: usize) -> Run {
        self.last_run += 1;
        let id = RunId(self.last_run);
        self.runs.insert(id, unit);
        if let Some(service) = self.service_mut(unit) {
            service.last_run = id;
        }
        Run {
            id,
            role,
            index,
            pid: None,
        }
    }

    /// Any number; a xorshift generator, seeded by the shell.
    fn draw(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance
    }
}
