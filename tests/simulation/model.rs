//! The shadow: what must be true of everything that the engine does, whatever its own structures say.
//!
//! Owns the bookkeeping over events and effects: runs, requests, published states, wishes, automatic starts. What can
//! be seen by looking at the engine after an event is `sweep.rs`'s.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use diakonos::engine::{
    Answer, Asker, Cause, Change, ChangeId, Effect, Ending, Engine, Event, FactGoal, FactPhase,
    FactRun, Facts, Failure, Moment, RequestId, Role, RunId, Scope, Spawn, State, Target, UnitId,
    Verb, find_cycle,
};
use diakonos::unit::{Kill, KillMode, Kind, Signal, StartLimit, Unit, UnitName};

use crate::answers::refusals_do_nothing;
use crate::chain::Chains;
use crate::rules::{commands, is_going, kill_waits, restarts};
use crate::ties::{self, Ties};

/// What a check says: nothing, or what is wrong.
pub(crate) type Check = Result<(), String>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) runs: BTreeMap<RunId, RunRecord>,
    pub(crate) requests: BTreeMap<RequestId, Asked>,
    /// The last published state, since this daemon began.
    pub(crate) states: BTreeMap<UnitName, State>,
    last_change: Option<ChangeId>,
    /// The newest definitions that were taken up: their order counts at once.
    pub(crate) newest: BTreeMap<UnitName, Unit>,
    pub(crate) ties: Ties,
    /// How each unit's processes may be killed, by the definition that they were started with.
    kills: BTreeMap<UnitName, Kill>,
    /// Stopped by a request, and by no later one to be started.
    pub(crate) forbidden: BTreeSet<UnitName>,
    auto_starts: BTreeMap<UnitName, VecDeque<Moment>>,
    /// The limit that each unit's last automatic start has found, and whether a delay is given.
    counted_by: BTreeMap<UnitName, (StartLimit, bool)>,
    /// What is to follow the end of a main process: an automatic restart, or none.
    expected: BTreeMap<UnitName, bool>,
    /// Units of which processes may be left, from a run that might not kill them or could not.
    pub(crate) littered: BTreeSet<UnitName>,
    pub(crate) office: Office,
    pub(crate) chains: Chains,
    pub(crate) shutdowns: u32,
    pub(crate) has_exited: bool,
}

/// Whether the daemon knows its services, or takes them over just now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Office {
    #[default]
    Held,
    Handover,
}

#[derive(Clone, Debug)]
pub(crate) struct RunRecord {
    pub(crate) unit: UnitName,
    pub(crate) role: Role,
    pub(crate) known: Known,
    pub(crate) doom: Doom,
}

/// Whether SIGKILL was sent to it alone: a command then needs no more care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doom {
    None,
    Killed,
}

/// What the engine knows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Asked,
    Alive,
    Over,
    /// It lives, and the engine rightly looks no more: it may not be killed, or cannot be.
    Abandoned,
}

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) verb: Verb,
    /// When the client asked first.
    pub(crate) at: Moment,
    pub(crate) targets: Vec<UnitName>,
    pub(crate) client: Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Waits,
    Gone,
}

/// What a daemon has written down of one unit.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    pub(crate) unit: Unit,
    /// The newer definition, if there is one.
    pub(crate) next: Option<Unit>,
    pub(crate) facts: Facts,
}

impl Saved {
    pub(crate) fn newest(&self) -> &Unit {
        self.next.as_ref().unwrap_or(&self.unit)
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = FactRun> + use<> {
        [self.facts.main, self.facts.control].into_iter().flatten()
    }

    pub(crate) fn restored(&self) -> Event {
        Event::Restored {
            unit: Box::new(self.unit.clone()),
            next: self.next.clone().map(Box::new),
            facts: Box::new(self.facts.clone()),
        }
    }
}

/// One event, and what the engine made of it.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) now: Moment,
    pub(crate) event: &'a Event,
    pub(crate) batch: &'a [Effect],
    pub(crate) engine: &'a Engine,
    /// Every unit's facts as they were before the event.
    pub(crate) before: &'a BTreeMap<UnitName, Facts>,
    /// What the unit of an ended run was started with.
    pub(crate) ended: Option<&'a Unit>,
}

pub(crate) fn fail<T>(text: impl Into<String>) -> Result<T, String> {
    Err(text.into())
}

impl RunRecord {
    /// Whether the engine has to know of it.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self.known, Known::Asked | Known::Alive)
            && (self.role == Role::Start || self.doom == Doom::None)
    }
}

impl Turn<'_> {
    pub(crate) fn unit(&self, id: UnitId) -> Result<&Unit, String> {
        match self.engine.unit(id) {
            Some(unit) => Ok(unit),
            None => fail(format!(
                "an effect names unit {id}, which the engine does not know"
            )),
        }
    }

    pub(crate) fn definition(&self, name: &UnitName) -> Option<&Unit> {
        self.engine.unit(self.engine.id(name)?)
    }

    pub(crate) fn refuses(&self, wanted: RequestId) -> bool {
        self.batch.iter().any(|effect| {
            let Effect::Answer { request, answer } = effect else {
                return false;
            };
            *request == wanted && matches!(answer, Answer::Refused(_))
        })
    }
}

impl Model {
    /// These units and all that a start of them pulls in.
    fn pulled_in(&self, names: &[UnitName]) -> BTreeSet<UnitName> {
        ties::pulled_in(&self.newest, names)
    }

    /// Whether one that is needed names, in the end, the one that needs it.
    pub(crate) fn needs_back(&self, needed: &UnitName, by: &UnitName) -> bool {
        ties::named_in_the_end(&self.newest, needed).contains(by)
    }

    /// Definitions have changed: who hangs on whom.
    fn learn_ties(&mut self, facts: &BTreeMap<UnitName, Facts>) {
        self.ties.learn(&self.newest, facts);
        let self_starting = &self.ties.self_starting;
        self.forbidden.retain(|name| !self_starting.contains(name));
    }

    /// Whether what becomes of a unit hangs on more than wishes and its own processes.
    pub(crate) fn is_moved(&self, name: &UnitName) -> bool {
        self.ties.moved.contains(name)
    }

    /// Takes in one event and everything that came of it.
    pub(crate) fn turn(&mut self, turn: &Turn<'_>) -> Check {
        self.note_event(turn)?;
        self.wishes(turn);
        self.chains.turn(turn, &self.runs, &self.newest)?;
        for effect in turn.batch {
            self.effect(turn, effect)?;
        }
        for effect in turn.batch {
            if let Effect::Answer {
                request,
                answer: Answer::Outcomes(outcomes),
            } = effect
            {
                self.answers_are_true(*request, outcomes)?;
            }
        }
        for id in turn.engine.units() {
            self.learn_kill(turn, id);
        }
        refusals_do_nothing(turn)
    }

    fn learn_kill(&mut self, turn: &Turn<'_>, id: UnitId) {
        let Some(unit) = turn.engine.unit(id) else {
            return;
        };
        let Some(service) = &unit.service else { return };
        let was = self.kills.insert(unit.name.clone(), service.kill);
        if was.is_some_and(|was| was != service.kill) {
            self.kills_otherwise(turn, &unit.name);
        }
    }

    /// A unit's processes may be killed in another way than before: whom the engine was right to look after no more
    /// stays alone.
    fn kills_otherwise(&mut self, turn: &Turn<'_>, name: &UnitName) {
        let after = turn
            .engine
            .id(name)
            .and_then(|unit| turn.engine.facts(unit));
        let facts = turn.before.get(name).into_iter().chain(after.as_ref());
        let shown: BTreeSet<RunId> = facts
            .flat_map(|facts| [facts.main, facts.control])
            .flatten()
            .map(|fact| fact.run)
            .collect();
        for (run, record) in &mut self.runs {
            let is_left = record.unit == *name && record.is_kept() && !shown.contains(run);
            if is_left {
                record.known = Known::Abandoned;
                self.littered.insert(name.clone());
            }
        }
    }

    /// A unit is known to nobody any more. What it has left behind alive stays.
    pub(crate) fn forget(&mut self, name: &UnitName) {
        self.states.remove(name);
        self.newest.remove(name);
        self.forbidden.remove(name);
        self.auto_starts.remove(name);
        self.expected.remove(name);
    }

    /// The wishes whose clients wait.
    pub(crate) fn unanswered(&self) -> Vec<Asked> {
        let all = self.requests.values();
        all.filter(|asked| asked.client == Client::Waits && asked.verb != Verb::Reload)
            .cloned()
            .collect()
    }

    /// The daemon died: nobody waits any more; what it had not saved it has not promised.
    pub(crate) fn daemon_died(
        &mut self,
        saved: &BTreeMap<UnitName, Saved>,
        is_born: impl Fn(RunId) -> bool,
    ) {
        self.requests.clear();
        self.chains.daemon_died();
        self.states.clear();
        self.newest.clear();
        self.auto_starts = saved
            .iter()
            .map(|(name, one)| (name.clone(), one.facts.starts.iter().copied().collect()))
            .collect();
        self.last_change = None;
        self.expected.clear();
        self.shutdowns = 0;
        self.has_exited = false;
        // What was defined and not saved yet is forgotten: an edge that it had dropped is back.
        let wanted: BTreeSet<&UnitName> = saved
            .values()
            .filter(|one| one.facts.goal != FactGoal::Down)
            .flat_map(|one| &one.newest().requires)
            .collect();
        self.forbidden.retain(|name| {
            let is_down = |one: &Saved| one.facts.goal == FactGoal::Down;
            !wanted.contains(name) && saved.get(name).is_none_or(is_down)
        });
        let definitions = saved.iter();
        self.newest
            .extend(definitions.map(|(name, one)| (name.clone(), one.newest().clone())));
        // Of different ages they may make a ring of order: the engine then forgets some of it.
        if find_cycle(self.newest.values()).is_some() {
            for unit in self.newest.values_mut() {
                unit.after.clear();
                unit.before = diakonos::unit::List::default();
            }
        }
        for one in saved.values() {
            if one.facts.goal != FactGoal::Down {
                let needed = self.pulled_in(std::slice::from_ref(&one.unit.name));
                self.forbidden.retain(|name| !needed.contains(name));
            }
        }
        let facts = saved.iter();
        let facts = facts.map(|(name, one)| (name.clone(), one.facts.clone()));
        self.learn_ties(&facts.collect());
        let kept: BTreeSet<RunId> = saved
            .values()
            .flat_map(Saved::runs)
            .map(|fact| fact.run)
            .collect();
        // A run that was neither saved nor born has never been.
        self.runs.retain(|run, record| {
            let is_seen = matches!(record.known, Known::Alive | Known::Over);
            is_seen || kept.contains(run) || is_born(*run)
        });
        for (run, record) in &mut self.runs {
            if record.known != Known::Over && !kept.contains(run) {
                record.known = Known::Abandoned;
            }
        }
    }

    /// Whether a stop that has come so far may have given up on its processes.
    pub(crate) fn may_give_up(&self, record: &RunRecord, phase: FactPhase) -> bool {
        let past_first_kill = matches!(
            phase,
            FactPhase::StopPost | FactPhase::FinalKilling | FactPhase::FinalKillingHard
        );
        let spares = self
            .kills
            .get(&record.unit)
            .is_some_and(|kill| !kill.send_sigkill);
        past_first_kill && (spares || record.doom == Doom::Killed)
    }

    /// `KillMode=none`: a stop lets everything live.
    pub(crate) fn spares_all(&self, name: &UnitName) -> bool {
        self.kills
            .get(name)
            .is_some_and(|kill| kill.mode == KillMode::None)
    }

    fn note_event(&mut self, turn: &Turn<'_>) -> Check {
        match turn.event {
            Event::Request {
                request,
                verb,
                targets,
                first_asked,
                ..
            } => {
                let asked = Asked {
                    at: first_asked.unwrap_or(turn.now),
                    verb: *verb,
                    targets: targets.clone(),
                    client: Client::Waits,
                };
                self.requests.insert(*request, asked);
                self.shutdowns += u32::from(*verb == Verb::Shutdown);
                self.expected.clear();
            }
            Event::Detached { request } => {
                if let Some(asked) = self.requests.get_mut(request) {
                    asked.client = Client::Gone;
                }
            }
            Event::Spawned { run, .. } | Event::Executed { run } | Event::MainFound { run, .. } => {
                self.know(*run, Known::Alive);
            }
            Event::SpawnFailed { run, .. } | Event::MainMissing { run, .. } => {
                self.know(*run, Known::Over);
            }
            Event::Exited { run, ending } => {
                self.know(*run, Known::Over);
                self.expect(turn, *run, *ending);
            }
            Event::Examined { .. }
            | Event::Forgotten { .. }
            | Event::Ready { .. }
            | Event::Unready { .. }
            | Event::Hopeless { .. }
            | Event::Said { .. }
            | Event::GroupEmpty { .. }
            | Event::OomKilled { .. }
            | Event::Limited { .. }
            | Event::Frozen { .. }
            | Event::FreezeFailed { .. }
            | Event::Thawed { .. }
            | Event::ThawFailed { .. }
            | Event::Resumed { .. }
            | Event::Tick => {}
            Event::Restored { unit, next, facts } => {
                let newest = next.as_ref().unwrap_or(unit);
                self.newest
                    .entry(unit.name.clone())
                    .or_insert_with(|| (**newest).clone());
                for fact in [facts.main, facts.control].into_iter().flatten() {
                    if let Some(record) = self.runs.get_mut(&fact.run) {
                        record.known = Known::Asked;
                    }
                }
            }
        }
        Ok(())
    }

    fn know(&mut self, run: RunId, known: Known) {
        // News of a run that was given up do not bring it back.
        if let Some(record) = self.runs.get_mut(&run)
            && (known == Known::Over || record.known == Known::Asked)
        {
            record.known = known;
        }
    }

    /// A later wish takes an earlier one's place.
    fn wishes(&mut self, turn: &Turn<'_>) {
        let Event::Request {
            request,
            verb,
            targets,
            definitions,
            ..
        } = turn.event
        else {
            return;
        };
        if turn.refuses(*request) {
            return;
        }
        for unit in definitions {
            self.newest.insert(unit.name.clone(), unit.clone());
        }
        if !definitions.is_empty() {
            self.learn_ties(turn.before);
        }
        let targets = match turn.event {
            Event::Request {
                by: Asker::Client { .. },
                ..
            } => &ties::askable(&self.newest, targets, *verb),
            _ => targets,
        };
        match verb {
            Verb::Start => self.allow(targets),
            Verb::Restart(Scope::All) => {
                self.allow(targets);
                self.allow_along(targets);
            }
            Verb::Restart(Scope::Running) => self.allow_along(targets),
            Verb::Stop => {
                for name in ties::taken_along(&self.newest, targets) {
                    self.forbidden.insert(name);
                }
            }
            Verb::Shutdown => {
                let all = turn.engine.units().filter_map(|id| turn.engine.unit(id));
                self.forbidden.extend(all.map(|unit| unit.name.clone()));
            }
            Verb::Reset => {
                for name in targets {
                    self.auto_starts.remove(name);
                }
            }
            Verb::Reload | Verb::Renew | Verb::Signal(_) | Verb::Freeze | Verb::Thaw => {}
        }
        let self_starting = &self.ties.self_starting;
        self.forbidden.retain(|name| !self_starting.contains(name));
    }

    fn allow(&mut self, names: &[UnitName]) {
        for name in self.pulled_in(names) {
            self.forbidden.remove(&name);
            self.auto_starts.remove(&name);
        }
    }

    /// A restart starts again, with what they pull in, those that were not to stay down.
    fn allow_along(&mut self, targets: &[UnitName]) {
        let mut again = ties::taken_along(&self.newest, targets);
        again.retain(|name| !self.forbidden.contains(name));
        let again: Vec<UnitName> = again.into_iter().collect();
        self.allow(&again);
    }

    fn effect(&mut self, turn: &Turn<'_>, effect: &Effect) -> Check {
        match effect {
            Effect::Save { unit } => {
                turn.unit(*unit)?;
                if turn.engine.facts(*unit).is_none() {
                    return fail(format!("unit {unit} is to be saved and has no facts"));
                }
                Ok(())
            }
            Effect::Spawn(spawn) => self.spawn(turn, spawn),
            Effect::FindMain { unit, run } => {
                let unit = turn.unit(*unit)?;
                self.new_run(turn, unit, *run, Role::Start)
            }
            Effect::StopFinding { run } => match self.runs.get_mut(run) {
                Some(record) => {
                    record.known = Known::Over;
                    Ok(())
                }
                None => fail(format!("StopFinding names run {run}, which never was")),
            },
            Effect::AwaitReady { unit, run } => {
                let name = &turn.unit(*unit)?.name;
                self.run_of(name, *run, "AwaitReady")
            }
            Effect::StopAwaiting { run } => match self.runs.get(run) {
                Some(_) => Ok(()),
                None => fail(format!("StopAwaiting names run {run}, which never was")),
            },
            Effect::Signal { unit, to, signal } => self.signal(turn, *unit, *to, *signal),
            Effect::Examine { unit, .. } => self.examine(turn, *unit),
            Effect::WatchGroup { unit } | Effect::Freeze { unit } | Effect::Thaw { unit } => {
                turn.unit(*unit).map(|_| ())
            }
            Effect::Renew { unit, .. } => {
                // The same event may end it.
                if !kill_waits(turn.batch, &turn.unit(*unit)?.name) {
                    self.learn_kill(turn, *unit);
                }
                Ok(())
            }
            Effect::Taken(_) | Effect::Explain(_) | Effect::Withheld { .. } => Ok(()),
            Effect::Publish(change) => self.publish(turn, change),
            Effect::Notify { request, .. } => match self.requests.get(request) {
                Some(Asked {
                    client: Client::Waits,
                    ..
                }) => Ok(()),
                Some(_) => fail(format!(
                    "request {request} is told something after its client went"
                )),
                None => fail(format!(
                    "request {request} is told something and is not open"
                )),
            },
            Effect::Answer { request, answer } => self.answer(*request, answer),
            Effect::Exit => {
                self.has_exited = true;
                if self.shutdowns == 0 {
                    return fail("the daemon is to end and nobody asked for it");
                }
                Ok(())
            }
        }
    }

    /// Only a unit that has conditions asks, and nobody who was stopped by hand does.
    fn examine(&self, turn: &Turn<'_>, unit: UnitId) -> Check {
        let phase = turn.engine.facts(unit).map(|facts| facts.phase);
        let unit = turn.unit(unit)?;
        // It may have been given up since, and have another definition.
        if phase != Some(FactPhase::Examining) {
            return Ok(());
        }
        if unit.conditions.is_empty() {
            return fail(format!("{} asks and has no conditions", unit.name));
        }
        let is_down = self.forbidden.contains(&unit.name);
        if is_down && self.office == Office::Held {
            return fail(format!("{} was stopped by hand and asks", unit.name));
        }
        Ok(())
    }

    fn run_of(&self, name: &UnitName, run: RunId, what: &str) -> Check {
        match self.runs.get(&run) {
            None => fail(format!("{what} names run {run}, which never was")),
            Some(record) if record.unit != *name => fail(format!(
                "{what} names run {run} for {name}, but it is {}'s",
                record.unit
            )),
            Some(_) => Ok(()),
        }
    }

    fn spawn(&mut self, turn: &Turn<'_>, spawn: &Spawn) -> Check {
        let unit = turn.unit(spawn.unit)?;
        let name = &unit.name;
        let starts = matches!(
            spawn.role,
            Role::Condition | Role::StartPre | Role::Start | Role::StartPost | Role::Reload
        );
        // A start under way goes on until the turn to stop has come; a new one may not begin.
        let goes_on = turn.before.get(name).is_some_and(|facts| {
            matches!(
                facts.phase,
                FactPhase::Examining
                    | FactPhase::StartPre
                    | FactPhase::Starting
                    | FactPhase::FindingMain
                    | FactPhase::StartPost
            )
        });
        if starts && !goes_on && self.forbidden.contains(name) {
            return fail(format!(
                "{name} was stopped by hand and spawns {:?}",
                spawn.role
            ));
        }
        let commands = commands(unit, spawn.role);
        if spawn.index >= commands {
            return fail(format!("{name} has no {:?}[{}]", spawn.role, spawn.index));
        }
        // A second main process, or two commands at once.
        let clash = self.runs.values().any(|record| {
            let same_place = (record.role == Role::Start) == (spawn.role == Role::Start);
            record.unit == *name
                && record.is_kept()
                && (same_place
                    || matches!(spawn.role, Role::Start | Role::StartPre | Role::Condition))
        });
        let spares = self.kills.get(name).is_some_and(|kill| {
            kill.mode == KillMode::None || (!kill.send_sigkill && spawn.role == Role::StopPost)
        });
        if clash && !spares {
            return fail(format!(
                "{name} spawns {:?} while another process of its lives",
                spawn.role
            ));
        }
        // The same event may end it, and may have brought its definition.
        self.learn_kill(turn, spawn.unit);
        self.new_run(turn, unit, spawn.run, spawn.role)
    }

    /// A run that has never been, and of which a successor would know.
    fn new_run(&mut self, turn: &Turn<'_>, unit: &Unit, run: RunId, role: Role) -> Check {
        let name = &unit.name;
        if let Some(record) = self.runs.get(&run) {
            return fail(format!(
                "run {run} is {}'s and is used again for {name}",
                record.unit
            ));
        }
        let saved = turn.engine.id(name).map(|unit| Effect::Save { unit });
        if saved.is_none_or(|save| !turn.batch.contains(&save)) {
            return fail(format!("{name} begins run {run} that was not saved before"));
        }
        let record = RunRecord {
            unit: name.clone(),
            role,
            known: Known::Asked,
            doom: Doom::None,
        };
        self.runs.insert(run, record);
        Ok(())
    }

    fn signal(&mut self, turn: &Turn<'_>, unit: UnitId, to: Target, signal: Signal) -> Check {
        let name = &turn.unit(unit)?.name;
        match to {
            Target::Group => {
                let all = self.runs.values_mut().filter(|record| record.unit == *name);
                for record in all.filter(|_| signal == Signal::KILL) {
                    record.doom = Doom::Killed;
                }
                Ok(())
            }
            Target::Run(run) => {
                self.run_of(name, run, "a signal")?;
                let over = self
                    .runs
                    .get(&run)
                    .is_some_and(|record| record.known == Known::Over);
                if over && self.office == Office::Held {
                    return fail(format!(
                        "signal {} goes to run {run}, which is over",
                        signal.number()
                    ));
                }
                if let Some(record) = self.runs.get_mut(&run)
                    && signal == Signal::KILL
                {
                    record.doom = Doom::Killed;
                }
                Ok(())
            }
        }
    }

    fn publish(&mut self, turn: &Turn<'_>, change: &Change) -> Check {
        let name = &change.unit;
        if change.from == change.to {
            return fail(format!("{name}: a change from {} to itself", change.from));
        }
        if self.last_change.is_some_and(|last| change.id <= last) {
            return fail(format!("change {} comes after a later one", change.id));
        }
        self.last_change = Some(change.id);
        if change.at != turn.now {
            return fail(format!(
                "{name}: a change is dated {:?} and not now",
                change.at
            ));
        }
        if let Some(state) = self.states.get(name)
            && *state != change.from
        {
            return fail(format!(
                "{name} was {state}, and a change says that it was {}",
                change.from
            ));
        }
        self.states.insert(name.clone(), change.to);
        if !is_going(change.to) {
            self.leave_behind(change)?;
        }
        if change.to == State::Starting && change.from == State::Waiting {
            self.start_order(turn, change)?;
        }
        if change.to == State::Waiting {
            self.start_limit(turn, change)?;
        }
        self.fulfil(change)
    }

    /// The end of a run leaves nobody, but for what may not be killed or cannot be.
    fn leave_behind(&mut self, change: &Change) -> Check {
        let name = &change.unit;
        let kill = self.kills.get(name).copied();
        let spares = kill.is_some_and(|kill| kill.mode == KillMode::None || !kill.send_sigkill);
        let is_whole = kill.is_none_or(|kill| kill.mode != KillMode::Process);
        if spares || !is_whole || change.to == State::Failed {
            self.littered.insert(name.clone());
        }
        for (run, record) in &mut self.runs {
            let lives = matches!(record.known, Known::Asked | Known::Alive);
            if record.unit != *name || !lives {
                continue;
            }
            if !spares && change.to != State::Failed && record.is_kept() {
                return fail(format!(
                    "{name} becomes {}, and its run {run} lives",
                    change.to
                ));
            }
            let is_watched = kill.is_some_and(|kill| kill.mode != KillMode::None);
            if change.to == State::Backoff && is_watched && record.is_kept() {
                return fail(format!("{name} is to be restarted over run {run}"));
            }
            record.known = Known::Abandoned;
        }
        Ok(())
    }

    /// Nothing starts before what it comes after, where that is on its way too.
    fn start_order(&self, turn: &Turn<'_>, change: &Change) -> Check {
        let name = &change.unit;
        if matches!(turn.event, Event::Restored { .. }) {
            return Ok(());
        }
        let Some(unit) = self.newest.get(name) else {
            return fail(format!("{name} changes and is not known"));
        };
        for other in self.newest.values() {
            if !unit.after.contains(&other.name) && !other.before.contains(name) {
                continue;
            }
            let pending = match self.states.get(&other.name) {
                Some(State::Waiting | State::Starting) => true,
                Some(State::Backoff) => ties::needs(unit, &other.name),
                _ => false,
            };
            if pending && other.name != *name {
                return fail(format!(
                    "{name} starts, and {}, which comes before it, is {:?}",
                    other.name,
                    self.states.get(&other.name)
                ));
            }
        }
        Ok(())
    }

    /// Automatic starts stay within `StartLimitBurst=`.
    fn start_limit(&mut self, turn: &Turn<'_>, change: &Change) -> Check {
        if !matches!(change.cause, Cause::AutoRestart { .. }) {
            return Ok(());
        }
        // What it has come to need under a new definition, it starts as a wish would.
        if !self.forbidden.contains(&change.unit) {
            let needed = self.pulled_in(std::slice::from_ref(&change.unit));
            self.forbidden.retain(|name| !needed.contains(name));
        }
        let Some(unit) = turn.definition(&change.unit) else {
            return Ok(());
        };
        let limit = unit.start_limit;
        let has_delay = unit
            .service
            .as_ref()
            .is_some_and(|service| service.restart.delay.is_some());
        let counted_by = self
            .counted_by
            .insert(change.unit.clone(), (limit, has_delay));
        let starts = self.auto_starts.entry(change.unit.clone()).or_default();
        if counted_by.is_some_and(|before| before != (limit, has_delay)) {
            // It was decided under another limit, and so were those before it.
            starts.clear();
            return Ok(());
        }
        starts.push_back(turn.now);
        if limit.burst.is_none() && limit.interval.is_none() && !has_delay {
            return Ok(());
        }
        let interval_ms = limit.interval.map_or(Some(10_000), |span| span.as_millis());
        let burst = limit.burst.unwrap_or(5) as usize;
        if interval_ms == Some(0) || burst == 0 {
            return Ok(());
        }
        let within = starts
            .iter()
            .filter(|at| interval_ms.is_none_or(|ms| turn.now.since_ms(**at) < ms))
            .count();
        if within > burst {
            return fail(format!(
                "{} started by itself {within} times, {burst} are allowed",
                change.unit
            ));
        }
        Ok(())
    }

    /// The table of `Restart=`, for a service that ends in peace while it runs and leaves nobody.
    fn expect(&mut self, turn: &Turn<'_>, run: RunId, ending: Ending) {
        let Some(name) = self.runs.get(&run).map(|record| record.unit.clone()) else {
            return;
        };
        let Some(facts) = turn.before.get(&name) else {
            return;
        };
        let Some(service) = turn.ended.and_then(|unit| unit.service.as_ref()) else {
            return;
        };
        let is_main = facts.main.is_some_and(|main| main.run == run);
        let peaceful = facts.phase == FactPhase::Running
            && facts.goal == FactGoal::Up
            && is_main
            && !service.remain_after_exit
            && service.stop.is_empty()
            && service.stop_post.is_empty()
            && !service.start.iter().any(|exec| exec.ignore_failure);
        if peaceful && service.kind != Kind::Oneshot {
            self.expected
                .insert(name, restarts(&service.restart, ending));
        } else {
            self.expected.remove(&name);
        }
    }

    /// Whether others of its group still live makes an end less simple: no expectation then.
    pub(crate) fn leaves_others(&mut self, name: &UnitName) {
        self.expected.remove(name);
    }

    fn fulfil(&mut self, change: &Change) -> Check {
        let gave_up = matches!(
            change.cause,
            Cause::Failed(
                Failure::StartLimit { .. } | Failure::Remains | Failure::StopTimeout { .. }
            )
        );
        let again = match change.to {
            State::Backoff => true,
            State::Stopped | State::Completed | State::Failed => false,
            _ => return Ok(()),
        };
        match self.expected.remove(&change.unit) {
            Some(true) if !again && self.is_moved(&change.unit) => Ok(()),
            Some(expected) if expected != again && !gave_up => fail(format!(
                "{}: an automatic restart {} to follow, and it is {}",
                change.unit,
                if expected { "was" } else { "was not" },
                change.to
            )),
            _ => Ok(()),
        }
    }
}
