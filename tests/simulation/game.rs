//! One game: an engine, a world, a model and somebody who wants things, on a virtual clock.
//!
//! Owns the turn (event, effects, saves first, the rest in order), the daemon's death and its successor, and the kind
//! ending in which everything must settle. Stands alone, so that a fuzz target can include it with its neighbours.

use std::collections::{BTreeMap, BTreeSet};

use diakonos::engine::{
    Absent, Asker, Effect, Ending, Engine, Event, FactGoal, FactPhase, Facts, Moment, RequestId,
    RunId, UnitId, Verb, Word,
};
use diakonos::unit::{Unit, UnitName};

use crate::entropy::Entropy;
use crate::foresight::Foresight;
use crate::grammar::{Action, Weights};
use crate::life::{self, Temper};
use crate::model::{Asked, Check, Client, Known, Model, Office, Saved, Turn, fail};
use crate::sweep::{self, Scene};
use crate::trace::{Trace, What};
use crate::units::{self, Edges};
use crate::world::World;

/// Events that a game may take to settle in the end.
const KIND_TURNS: u32 = 20_000;
/// Turns after which nobody waits any more for whom the daemon does not watch.
const PATIENT_TURNS: u32 = 1_000;

#[derive(Debug)]
struct Game<'a> {
    engine: Engine,
    world: World,
    model: Model,
    now: Moment,
    /// The unit files.
    disk: BTreeMap<UnitName, Unit>,
    /// How many names there are.
    count: usize,
    /// What `run/` holds.
    saved: BTreeMap<UnitName, Saved>,
    /// Every unit's facts as they are now.
    facts: BTreeMap<UnitName, Facts>,
    /// So many effects and saves from now the daemon dies.
    fuse: Option<u32>,
    /// What a daemon has written down of its youngest run when it forgot a unit.
    last_run: RunId,
    next_request: u64,
    trace: &'a mut Trace,
}

/// Whether the daemon still is the same one after an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Daemon {
    Lives,
    Died,
}

/// Plays a game of so many steps and lets it settle.
///
/// # Errors
/// The first thing that was not as it must be.
pub(crate) fn run(entropy: &mut Entropy, steps: usize, trace: &mut Trace) -> Check {
    let weights = Weights::draw(entropy);
    let temper = Temper::draw(entropy);
    let definitions = units::draw_all(entropy);
    let mut game = Game {
        engine: Engine::new(u64::from(entropy.below(1000))),
        world: World::new(temper),
        model: Model::default(),
        now: Moment(1_000),
        count: definitions.len(),
        disk: BTreeMap::new(),
        saved: BTreeMap::new(),
        facts: BTreeMap::new(),
        fuse: None,
        last_run: RunId(0),
        next_request: 1,
        trace,
    };
    for unit in definitions {
        game.write(unit);
    }
    for _ in 0..steps {
        if entropy.is_spent() {
            break;
        }
        entropy.segment();
        let action = weights.choose(entropy);
        game.act(entropy, action)?;
    }
    // The kind ending draws nothing: it only takes the kindest choice each time.
    game.settle(&mut Entropy::taped(Vec::new()))
}

impl Game<'_> {
    fn act(&mut self, entropy: &mut Entropy, action: Action) -> Check {
        match action {
            Action::GoOn => return self.go_on(entropy),
            Action::Vanish => return self.vanish(entropy),
            Action::Strike => self.strike(entropy),
            Action::Rewrite => self.rewrite(entropy),
            Action::SmallStep => {
                let ms = entropy.between(1, 200);
                self.pass(u64::from(ms));
            }
            Action::HugeStep => {
                let ms = entropy.between(1_000, 2_000_000);
                self.pass(u64::from(ms));
            }
            Action::Crash => {
                let after = entropy.below(12);
                if after == 0 {
                    return self.crash(entropy);
                }
                self.fuse = Some(after);
            }
            Action::Speak => return self.speak(entropy),
            Action::Forget => return self.forget(entropy),
            Action::Compare => return self.compare(),
            Action::Start
            | Action::Stop
            | Action::Restart
            | Action::RestartIfRunning
            | Action::Reload
            | Action::Reset
            | Action::Signal
            | Action::Freeze
            | Action::Thaw
            | Action::Renew
            | Action::Shutdown => return self.wish(entropy, action),
        }
        Ok(())
    }

    /// Unless the daemon ends, whoever is tied to others stands as the ties have it.
    fn ties_hold(&mut self) -> Check {
        if self.model.shutdowns > 0 {
            return Ok(());
        }
        let units = &self.model.newest;
        self.model.ties.check(units, &self.facts)?;
        let is_to_come = |name: &UnitName| {
            let id = self.engine.id(name);
            let view = id.and_then(|id| self.engine.view(id));
            view.is_some_and(|view| view.deadline.is_some())
        };
        self.model.ties.is_upheld(units, &self.facts, is_to_come)
    }

    /// Nobody stands still whom the engine takes for one that runs.
    fn frozen_are_known(&self) -> Check {
        let forgotten =
            |facts: &&Facts| facts.frozen.is_none() && self.world.is_frozen(&facts.unit);
        match self.facts.values().find(forgotten) {
            Some(facts) => Err(format!("{} is frozen, and nobody knows", facts.unit)),
            None => Ok(()),
        }
    }

    /// One report, a tick that is due, or time up to the next of either.
    fn go_on(&mut self, entropy: &mut Entropy) -> Check {
        let ticks = self.engine.next_deadline().is_some_and(|at| at <= self.now);
        let waiting = self.world.reports().len();
        let choices = u32::try_from(waiting).unwrap_or(0) + u32::from(ticks);
        if choices == 0 {
            self.sleep();
            return Ok(());
        }
        let choice = entropy.below(choices) as usize;
        match self.world.take_report(choice) {
            Some(event) => self.feed(entropy, event).map(|_| ()),
            None => self.feed(entropy, Event::Tick).map(|_| ()),
        }
    }

    /// Lets time pass until somebody has something to say; whether there is such a moment.
    fn sleep(&mut self) -> bool {
        let wakes = [self.world.next_wake(), self.engine.next_deadline()];
        let Some(at) = wakes.into_iter().flatten().min() else {
            return false;
        };
        self.now = self.now.max(at);
        self.world.advance(self.now);
        true
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.world.advance(self.now);
        self.trace.say(self.now, format!("{ms} ms pass"));
    }

    fn vanish(&mut self, entropy: &mut Entropy) -> Check {
        let open: Vec<RequestId> = self
            .model
            .requests
            .iter()
            .filter(|(_, asked)| asked.client == Client::Waits)
            .map(|(request, _)| *request)
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let request = entropy.pick(&open);
        self.feed(entropy, Event::Detached { request }).map(|_| ())
    }

    fn strike(&mut self, entropy: &mut Entropy) {
        let pids = self.world.pids();
        if pids.is_empty() {
            return;
        }
        let pid = entropy.pick(&pids);
        let ending = life::draw_ending(entropy);
        if let Some(process) = self.world.process(pid) {
            let text = format!("process {pid} of {} ends: {ending:?}", process.unit);
            self.trace.say(self.now, text);
        }
        self.world.end(pid, ending);
    }

    /// A unit is cleared away. Its definition is read again by whoever names it.
    fn forget(&mut self, entropy: &mut Entropy) -> Check {
        let units: Vec<UnitId> = self.engine.units().collect();
        if units.is_empty() {
            return Ok(());
        }
        let unit = entropy.pick(&units);
        self.feed(entropy, Event::Forgotten { units: vec![unit] })
            .map(|_| ())
    }

    /// The engine has forgotten a unit: so does everybody.
    fn drop_forgotten(&mut self, event: &Event) -> Check {
        let Event::Forgotten { units } = event else {
            return Ok(());
        };
        let gone = |name: &UnitName| self.engine.id(name).is_none();
        let names: Vec<UnitName> = self
            .facts
            .keys()
            .filter(|name| gone(name))
            .cloned()
            .collect();
        for name in names {
            let facts = self.facts.remove(&name);
            if !facts.is_some_and(|facts| sweep::rests(facts.phase)) {
                return fail(format!(
                    "units {units:?}, {name}, are forgotten, and one does not rest"
                ));
            }
            self.saved.remove(&name);
            self.last_run = self.engine.last_run();
            self.model.forget(&name);
        }
        Ok(())
    }

    /// A unit whose process lives says something, to the point or not.
    fn speak(&mut self, entropy: &mut Entropy) -> Check {
        let living: Vec<UnitName> = self
            .facts
            .values()
            .filter(|facts| self.world.of_unit(&facts.unit).next().is_some())
            .map(|facts| facts.unit.clone())
            .collect();
        if living.is_empty() {
            return Ok(());
        }
        let index = entropy.below(u32::try_from(living.len()).unwrap_or(1)) as usize;
        let name = living[index].clone();
        let ms = u64::from(entropy.pick(&[20_000_u32, 0, 1, 300, 100_000]));
        let word = match entropy.below(9) {
            0 | 1 => Word::Alive,
            2 => Word::Reloading { begun: None },
            3 => Word::Reloading {
                begun: Some(self.now),
            },
            4 => return self.say_ready(entropy, &name),
            5 => Word::Stopping,
            6 => Word::Hung,
            7 => Word::WatchdogLimit { ms },
            _ => Word::Extend { ms },
        };
        self.say(entropy, &name, word)
    }

    fn say(&mut self, entropy: &mut Entropy, name: &UnitName, word: Word) -> Check {
        match self.engine.id(name) {
            Some(unit) => self.feed(entropy, Event::Said { unit, word }).map(|_| ()),
            None => Ok(()),
        }
    }

    fn say_ready(&mut self, entropy: &mut Entropy, name: &UnitName) -> Check {
        match self.facts.get(name).and_then(|facts| facts.main) {
            Some(main) => {
                let run = main.run;
                self.feed(entropy, Event::Ready { run }).map(|_| ())
            }
            None => self.say(entropy, name, Word::Ready),
        }
    }

    /// In a kind world whoever reloads says so and says when it is done, and whoever says that it goes does so. Whether
    /// there was anybody.
    fn keep_word(&mut self, entropy: &mut Entropy) -> Result<bool, String> {
        let promises = |facts: &&Facts| {
            matches!(
                facts.phase,
                FactPhase::ReloadSignal | FactPhase::ReloadNotify | FactPhase::Leaving
            )
        };
        let facts = self.facts.values().filter(promises);
        let facts = facts.filter(|facts| self.world.of_unit(&facts.unit).next().is_some());
        let all: Vec<Facts> = facts.cloned().collect();
        for Facts {
            unit, phase, main, ..
        } in all
        {
            match phase {
                FactPhase::Leaving => match main.and_then(|main| main.pid) {
                    Some(pid) if self.world.process(pid).is_some() => {
                        self.world.end(pid, Ending::Code(0));
                    }
                    Some(_) | None => continue,
                },
                FactPhase::ReloadSignal => {
                    let begun = Some(self.now);
                    self.say(entropy, &unit, Word::Reloading { begun })?;
                }
                _ => self.say_ready(entropy, &unit)?,
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn rewrite(&mut self, entropy: &mut Entropy) {
        let index = entropy.below(u32::try_from(self.count).unwrap_or(1)) as usize;
        let unit = units::draw(entropy, index, self.count, Edges::Anyhow);
        if entropy.chance(15) {
            self.trace
                .say(self.now, format!("file   {} disappears", unit.name));
            self.disk.remove(&unit.name);
        } else {
            self.write(unit);
        }
    }

    fn write(&mut self, unit: Unit) {
        self.trace
            .add(self.now, What::Written(Box::new(unit.clone())));
        self.disk.insert(unit.name.clone(), unit);
    }

    /// A client, or now and then the daemon itself, wants something.
    fn wish(&mut self, entropy: &mut Entropy, action: Action) -> Check {
        let Some(verb) = action.verb(entropy) else {
            return Ok(());
        };
        let mut names: Vec<UnitName> = self.disk.keys().cloned().collect();
        names.push(units::name("nobody"));
        let mut targets = Vec::new();
        if verb != Verb::Shutdown {
            for _ in 0..entropy.pick(&[1, 1, 1, 2, 3]) {
                // The name that nobody has is rarer than the others.
                let known = u32::try_from(names.len() - 1).unwrap_or(0);
                let index = if known == 0 || entropy.chance(3) {
                    names.len() - 1
                } else {
                    entropy.below(known) as usize
                };
                targets.push(names[index].clone());
            }
        }
        if verb == Verb::Renew {
            targets.retain(|name| self.engine.id(name).is_some());
        }
        let (definitions, absent) = self.load(verb, &targets);
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let by = match entropy.below(6) {
            0 if verb == Verb::Start => Asker::Boot,
            0 if verb == Verb::Shutdown => Asker::Signal,
            _ => Asker::Client { uid: 1000, pid: 77 },
        };
        let event = Event::Request {
            request,
            verb,
            by,
            first_asked: None,
            targets,
            definitions,
            absent,
        };
        self.feed(entropy, event).map(|_| ())
    }

    /// Reads files as the shell does: the named ones and, of what they pull in, what is down or unknown.
    fn load(&self, verb: Verb, targets: &[UnitName]) -> (Vec<Unit>, Vec<Absent>) {
        let (mut definitions, mut absent) = (Vec::new(), Vec::new());
        if verb == Verb::Renew {
            let named: BTreeSet<&UnitName> = targets.iter().collect();
            let read = named.into_iter().filter_map(|name| self.disk.get(name));
            return (read.cloned().collect(), absent);
        }
        if !matches!(verb, Verb::Start | Verb::Restart(_)) {
            return (definitions, absent);
        }
        let mut open: Vec<UnitName> = targets.to_vec();
        let mut seen: BTreeSet<UnitName> = BTreeSet::new();
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let named = targets.contains(&name);
            let rests = self
                .facts
                .get(&name)
                .is_none_or(|facts| sweep::rests(facts.phase));
            let known = self.engine.id(&name).is_some();
            if !named && !rests {
                continue;
            }
            match self.disk.get(&name) {
                Some(unit) => {
                    let named = unit.neighbours();
                    let named = named.filter(|(relation, _)| relation.need().is_some());
                    open.extend(named.map(|(_, name)| name.clone()));
                    definitions.push(unit.clone());
                }
                None if known => {}
                None => absent.push(Absent {
                    name,
                    reason: "not found".to_owned(),
                }),
            }
        }
        (definitions, absent)
    }

    /// One event, all that comes of it, and a look at everything.
    fn feed(&mut self, entropy: &mut Entropy, event: Event) -> Result<Daemon, String> {
        self.trace.add(self.now, What::Event(event.clone()));
        let ended = self.ended(&event);
        let foresight = Foresight::of(&self.engine, &event);
        self.engine.handle(self.now, event.clone());
        let mut batch = Vec::new();
        while let Some(effect) = self.engine.poll_effect() {
            batch.push(effect);
        }
        self.learn_names();
        for effect in &batch {
            self.trace.add(self.now, What::Effect(effect.clone()));
        }
        self.model.turn(&Turn {
            now: self.now,
            event: &event,
            batch: &batch,
            engine: &self.engine,
            before: &self.facts,
            ended: ended.as_ref(),
        })?;
        if let Some(foresight) = foresight {
            let looks = (&self.facts, &self.look());
            let self_starting = &self.model.ties.self_starting;
            foresight.came_true(&self.engine, &batch, looks, self_starting)?;
        }
        self.not_so_simple(&event);
        self.drop_forgotten(&event)?;
        if self.carry_out(entropy, &batch)? == Daemon::Died {
            return Ok(Daemon::Died);
        }
        let after = self.look();
        let before = std::mem::replace(&mut self.facts, after);
        sweep::sweep(
            &Scene {
                now: self.now,
                event: &event,
                engine: &self.engine,
                saved: &self.saved,
                before: &before,
                after: &self.facts,
            },
            &self.model,
        )?;
        self.ties_hold()?;
        self.frozen_are_known()?;
        if self.model.has_exited {
            self.begin_anew()?;
        }
        Ok(Daemon::Lives)
    }

    fn ended(&self, event: &Event) -> Option<Unit> {
        let Event::Exited { run, .. } = event else {
            return None;
        };
        let name = &self.model.runs.get(run)?.unit;
        self.engine.unit(self.engine.id(name)?).cloned()
    }

    fn learn_names(&mut self) {
        for id in self.engine.units() {
            if let Some(unit) = self.engine.unit(id) {
                self.trace.name(id, &unit.name);
            }
        }
    }

    fn look(&self) -> BTreeMap<UnitName, Facts> {
        self.engine
            .units()
            .filter_map(|id| self.engine.facts(id))
            .map(|facts| (facts.unit.clone(), facts))
            .collect()
    }

    /// A main process that leaves others behind does not end in peace.
    fn not_so_simple(&mut self, event: &Event) {
        if let Event::Exited { run, .. } = event
            && let Some(record) = self.model.runs.get(run)
        {
            let name = record.unit.clone();
            if self.world.of_unit(&name).next().is_some() {
                self.model.leaves_others(&name);
            }
        }
    }

    /// As the shell does it: every save first, then the rest in order. The daemon may die anywhere between.
    fn carry_out(&mut self, entropy: &mut Entropy, batch: &[Effect]) -> Result<Daemon, String> {
        let (saves, others): (Vec<&Effect>, Vec<&Effect>) = batch
            .iter()
            .partition(|effect| matches!(effect, Effect::Save { .. }));
        for effect in saves.into_iter().chain(others) {
            if let Some(left) = self.fuse {
                self.fuse = left.checked_sub(1);
                if left == 0 {
                    sweep::half_is_no_whole(
                        (&self.engine, &self.facts, &self.look()),
                        &self.saved,
                        &self.model,
                    )?;
                    self.crash(entropy)?;
                    return Ok(Daemon::Died);
                }
            }
            self.apply(entropy, effect);
        }
        Ok(Daemon::Lives)
    }

    fn apply(&mut self, entropy: &mut Entropy, effect: &Effect) {
        let of = |id| self.engine.unit(id).cloned();
        match effect {
            Effect::Save { unit } => {
                let newer = self.engine.next_unit(*unit);
                if let (Some(unit), Some(facts)) = (of(*unit), self.engine.facts(*unit)) {
                    let next = newer.cloned();
                    let saved = Saved { unit, next, facts };
                    self.saved.insert(saved.facts.unit.clone(), saved);
                }
            }
            Effect::Spawn(spawn) => {
                if let Some(unit) = of(spawn.unit) {
                    self.world.spawn(entropy, self.now, spawn, &unit);
                }
            }
            Effect::Examine { unit, question } => {
                if let Some(definition) = of(*unit) {
                    self.world.examine(entropy, &definition, (*unit, *question));
                }
            }
            Effect::FindMain { unit, run } => {
                if let Some(unit) = of(*unit) {
                    self.world.find_main(entropy, self.now, *run, &unit);
                }
            }
            Effect::StopFinding { run } => self.world.stop_finding(*run),
            Effect::Signal { unit, to, signal } => {
                if let Some(unit) = of(*unit) {
                    self.world.signal(self.now, &unit.name, *to, *signal);
                }
            }
            Effect::WatchGroup { unit } => {
                if let Some(definition) = of(*unit) {
                    self.world.watch_group(&definition.name, *unit);
                }
            }
            // A process says by itself when it is ready.
            Effect::AwaitReady { .. } | Effect::StopAwaiting { .. } => {}
            Effect::Freeze { unit } => {
                if let Some(definition) = of(*unit) {
                    self.world.freeze(entropy, &definition.name, *unit);
                }
            }
            Effect::Thaw { unit } => {
                if let Some(definition) = of(*unit) {
                    self.world.thaw(self.now, &definition.name, *unit);
                }
            }
            // No limit is held here.
            Effect::Renew { .. } => {}
            Effect::Taken(_)
            | Effect::Explain(_)
            | Effect::Withheld { .. }
            | Effect::Publish(_)
            | Effect::Notify { .. }
            | Effect::Answer { .. }
            | Effect::Exit => {}
        }
    }

    /// The daemon dies, and a successor takes its services back.
    fn crash(&mut self, entropy: &mut Entropy) -> Check {
        self.fuse = None;
        self.trace.say(self.now, "the daemon dies");
        self.world.daemon_dies(entropy.chance(50));
        if entropy.chance(30) {
            let ms = entropy.between(1, 100_000);
            self.pass(u64::from(ms));
        }
        self.nobody_is_unknown()?;
        let unanswered = self.model.unanswered();
        self.model
            .daemon_died(&self.saved, |run| self.world.is_born(run));
        self.model.office = Office::Handover;
        self.engine = Engine::new(u64::from(entropy.below(1000)));
        self.engine.count_changes_on_from(self.model.chains.last());
        self.engine.count_on_from(self.last_run);
        self.facts.clear();
        let saved = self.saved.clone();
        for one in saved.values() {
            self.hand_back(entropy, one.restored())?;
        }
        // The shell finds the processes before it tells of any: signals of a stop under way reach them.
        let mut found = Vec::new();
        for (name, one) in &saved {
            for fact in one.runs() {
                found.extend(self.world.adopt(name, fact));
            }
        }
        for event in found {
            self.hand_back(entropy, event)?;
        }
        self.model.office = Office::Held;
        self.keeps_wishes(&saved)?;
        let mut daemon = self.feed(entropy, Event::Tick)?;
        for asked in unanswered {
            if daemon == Daemon::Lives && entropy.chance(50) {
                daemon = self.repeat(entropy, asked)?;
            }
        }
        Ok(())
    }

    /// A client lost its answer with the daemon and asks again. Whoever was started since it asked first stays.
    fn repeat(&mut self, entropy: &mut Entropy, asked: Asked) -> Result<Daemon, String> {
        let (definitions, absent) = self.load(asked.verb, &asked.targets);
        let is_up = |facts: &Facts| facts.goal == FactGoal::Up && facts.phase == FactPhase::Running;
        let is_same = |name: &UnitName| {
            let is_this = |unit: &&Unit| unit.name == *name;
            let id = self.engine.id(name);
            let force = id.and_then(|id| self.engine.unit(id));
            let waits = id.and_then(|id| self.engine.next_unit(id));
            let read = definitions.iter().find(is_this);
            waits.is_none() && read.is_none_or(|unit| Some(unit) == force)
        };
        let begun = self
            .facts
            .values()
            .filter(|facts| is_up(facts) && facts.begun >= asked.at);
        let stays: Vec<UnitName> = match asked.verb {
            Verb::Start | Verb::Restart(_) => begun.map(|facts| facts.unit.clone()).collect(),
            _ => Vec::new(),
        };
        let stays = stays.into_iter().filter(is_same);
        let stays: Vec<UnitName> = stays.filter(|name| !self.model.is_moved(name)).collect();
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let event = Event::Request {
            request,
            verb: asked.verb,
            by: Asker::Client { uid: 1000, pid: 77 },
            first_asked: Some(asked.at),
            targets: asked.targets,
            definitions,
            absent,
        };
        let daemon = self.feed(entropy, event)?;
        // What has just been read may tie it to others.
        let lost = |name: &&UnitName| {
            !self.facts.get(*name).is_some_and(is_up) && !self.model.is_moved(name)
        };
        match stays.iter().find(lost).filter(|_| daemon == Daemon::Lives) {
            Some(name) => fail(format!(
                "{name} is stopped by a wish that was fulfilled before"
            )),
            None => Ok(daemon),
        }
    }

    /// While a successor takes over, only the model looks: not everybody is there yet.
    fn hand_back(&mut self, entropy: &mut Entropy, event: Event) -> Check {
        self.trace.add(self.now, What::Event(event.clone()));
        self.engine.handle(self.now, event.clone());
        self.learn_names();
        let mut batch = Vec::new();
        while let Some(effect) = self.engine.poll_effect() {
            self.trace.add(self.now, What::Effect(effect.clone()));
            batch.push(effect);
        }
        self.model.turn(&Turn {
            now: self.now,
            event: &event,
            batch: &batch,
            engine: &self.engine,
            before: &self.facts,
            ended: None,
        })?;
        self.carry_out(entropy, &batch)?;
        self.facts = self.look();
        Ok(())
    }

    /// Every process that a daemon began stands in what it saved, unless it was left alone on purpose.
    fn nobody_is_unknown(&self) -> Check {
        for (run, record) in &self.model.runs {
            let spared = self.model.spares_all(&record.unit);
            let asked = record.known == Known::Asked && record.is_kept();
            if !asked || spared || !self.world.is_born(*run) {
                continue;
            }
            let saved = self.saved.get(&record.unit);
            let known = saved.is_some_and(|one| {
                one.runs().any(|fact| fact.run == *run)
                    || self.model.may_give_up(record, one.facts.phase)
            });
            if !known {
                return fail(format!(
                    "run {run} of {} lives and stands in no facts",
                    record.unit
                ));
            }
        }
        Ok(())
    }

    /// A successor wants what its predecessor wanted.
    fn keeps_wishes(&self, saved: &BTreeMap<UnitName, Saved>) -> Check {
        let brought_up = self.model.ties.brought_up(&self.model.newest);
        for (name, Saved { facts: old, .. }) in saved {
            let Some(new) = self.facts.get(name) else {
                return fail(format!("{name} was saved and is not known any more"));
            };
            if self.model.is_moved(name) {
                continue;
            }
            let is_down = old.goal == FactGoal::Down && !brought_up.contains(name);
            if is_down && new.goal != FactGoal::Down {
                return fail(format!(
                    "{name} was to be down, and its goal is {:?}",
                    new.goal
                ));
            }
            if old.goal != FactGoal::Down && new.goal == FactGoal::Down && !sweep::rests(new.phase)
            {
                return fail(format!(
                    "{name} was to be up, and it goes down: {:?}",
                    new.phase
                ));
            }
        }
        Ok(())
    }

    /// What is saved and read back by a successor to whom nothing has happened is saved the same again.
    fn compare(&mut self) -> Check {
        let mut other = Engine::new(7);
        for saved in self.saved.values() {
            other.handle(self.now, saved.restored());
        }
        for (name, saved) in &self.saved {
            let id = other.id(name);
            let definitions = id.map(|id| (other.unit(id), other.next_unit(id)));
            if definitions != Some((Some(&saved.unit), saved.next.as_ref())) {
                return fail(format!("{name}: its definitions are not what was saved"));
            }
            let (facts, restored) = (&saved.facts, id.and_then(|id| other.facts(id)));
            if restored.as_ref() != Some(facts) {
                return fail(format!("{name}: {facts:?} reads back as {restored:?}"));
            }
        }
        Ok(())
    }

    /// The daemon has ended in peace.
    fn begin_anew(&mut self) -> Check {
        for (name, facts) in &self.facts {
            if !sweep::rests(facts.phase) {
                return fail(format!("the daemon ends, and {name} is {:?}", facts.phase));
            }
        }
        let waits = |client: Client| client == Client::Waits;
        if let Some((request, _)) = self.model.requests.iter().find(|(_, a)| waits(a.client)) {
            return fail(format!(
                "the daemon ends, and request {request} has no answer"
            ));
        }
        self.trace.say(self.now, "a new daemon begins");
        self.engine = Engine::new(7);
        self.world.daemon_ends();
        let littered = std::mem::take(&mut self.model.littered);
        self.model = Model::default();
        self.model.littered = littered;
        self.saved.clear();
        self.facts.clear();
        self.fuse = None;
        Ok(())
    }

    /// Faults off, time forward: everything must come to rest.
    fn settle(&mut self, entropy: &mut Entropy) -> Check {
        self.fuse = None;
        self.trace.say(self.now, "from here on the world is kind");
        self.world.become_kind(self.now);
        for turn in 1..=KIND_TURNS {
            let ticks = self.engine.next_deadline().is_some_and(|at| at <= self.now);
            if !self.world.reports().is_empty() || ticks {
                self.go_on(entropy)?;
            } else if self.keep_word(entropy)? {
                // There may be more of them.
            } else if turn > PATIENT_TURNS && self.end_the_unwatched() {
                // Another unit may go down and up for ever, so that there is always something to sleep until.
            } else if self.is_settled() || (!self.sleep() && !self.end_the_unwatched()) {
                return self.has_settled();
            }
        }
        let why = self.has_settled().err();
        fail(format!("the game does not settle: {why:?}"))
    }

    /// Whoever the daemon does not watch ends, in the end: a stop without a limit and without SIGKILL waits for that.
    /// Whether there was anybody.
    fn end_the_unwatched(&mut self) -> bool {
        let facts = self.facts.values();
        let watched = facts.flat_map(|facts| [facts.main, facts.control].into_iter().flatten());
        let watched = watched.map(|run| run.run).collect();
        self.world.end_all_but(self.now, &watched)
    }

    fn is_settled(&self) -> bool {
        self.world.next_wake().is_none() && self.has_settled().is_ok()
    }

    fn has_settled(&self) -> Check {
        for (name, facts) in &self.facts {
            let stays_up = facts.goal == FactGoal::Up
                && matches!(facts.phase, FactPhase::Running | FactPhase::Exited);
            if !sweep::rests(facts.phase) && !stays_up {
                return fail(format!(
                    "{name} has not settled: {:?}, {:?}",
                    facts.goal, facts.phase
                ));
            }
            if sweep::rests(facts.phase) && self.leaves_nothing(name) {
                let left = self.world.of_unit(name).count();
                if left > 0 {
                    return fail(format!(
                        "{name} is {:?}, and {left} processes are left",
                        facts.phase
                    ));
                }
            }
        }
        for (request, asked) in &self.model.requests {
            if asked.client == Client::Waits {
                let pending = self.engine.pending(*request);
                return fail(format!(
                    "request {request} ({:?}) has no answer: {pending:?}",
                    asked.verb
                ));
            }
        }
        Ok(())
    }

    /// Whether a stop of this unit is to leave no process at all.
    fn leaves_nothing(&self, name: &UnitName) -> bool {
        !self.model.littered.contains(name)
    }
}
