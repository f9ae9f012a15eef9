//! The shadow's record: every change of state follows from an older entry, down to a wish that was taken up or to an
//! event that the shadow has seen. Whoever asks why is told the truth.
//!
//! Owns the chains. That changes are sound in themselves is `model.rs`'s.

use std::collections::{BTreeMap, BTreeSet};

use diakonos::engine::{
    Asker, Cause, Change, ChangeId, Effect, Ending, Event, Failure, Moment, NoMain, Role, RunId,
    Scope, State, Taken, Verb, Word,
};
use diakonos::unit::{Unit, UnitName};

use crate::model::{Check, RunRecord, Turn, fail};
use crate::sweep::is_end;
use crate::ties;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    entries: BTreeMap<ChangeId, Entry>,
    /// What has happened to each unit since it was last to start.
    lives: BTreeMap<UnitName, Life>,
    /// What had happened to it before: a daemon that dies may not have written down that another life began.
    past: BTreeMap<UnitName, Life>,
    /// Which way each unit was last sent by those who named it, and the first wish that did.
    ways: BTreeMap<UnitName, (Way, ChangeId)>,
    /// The last change of each unit that was published.
    last_of: BTreeMap<UnitName, ChangeId>,
    /// Units that had changed, and a daemon died before it had written that down: of what followed from it, nobody
    /// knows what it followed from.
    torn: BTreeSet<UnitName>,
}

#[derive(Debug)]
enum Entry {
    Wish {
        verb: Verb,
        by: Asker,
        targets: Vec<UnitName>,
    },
    /// Nothing follows from it.
    Refused,
    Change {
        unit: UnitName,
        at: Moment,
        to: State,
        because: Option<ChangeId>,
    },
}

#[derive(Debug)]
struct Life {
    begun: Moment,
    seen: Vec<Seen>,
    /// The last moment at which time itself was an event.
    ticked: Option<Moment>,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            begun: Moment(0),
            seen: Vec::new(),
            ticked: None,
        }
    }
}

/// An event that can be the end of a chain.
#[derive(Debug, PartialEq)]
enum Seen {
    Exited(Role, Ending),
    Unborn(Role),
    MainMissing(NoMain),
    Hopeless,
    GroupEmpty,
    Examined,
    OutOfMemory,
    SaysReload,
    SaysStop,
    SaysHung,
    /// A second shutdown waits for nobody.
    Hurried,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

impl Chains {
    /// The youngest entry.
    pub(crate) fn last(&self) -> ChangeId {
        let last = self.entries.last_key_value();
        last.map_or(ChangeId(0), |(id, _)| *id)
    }

    /// Whether this entry follows from a unit's end that came after `since`: by then nobody knew of it.
    pub(crate) fn is_news(&self, id: Option<ChangeId>, since: Option<ChangeId>) -> bool {
        let mut next = id.filter(|id| Some(*id) > since);
        while let Some(Entry::Change { to, because, .. }) =
            next.and_then(|id| self.entries.get(&id))
        {
            if is_end(*to) {
                return true;
            }
            next = because.filter(|id| Some(*id) > since);
        }
        false
    }

    /// What was not written down has not been wished.
    pub(crate) fn daemon_died(&mut self) {
        self.ways.clear();
        self.torn = self.last_of.keys().cloned().collect();
        for (name, past) in std::mem::take(&mut self.past) {
            let life = self.lives.entry(name).or_default();
            life.seen.extend(past.seen);
            life.ticked = life.ticked.max(past.ticked);
        }
    }

    pub(crate) fn turn(
        &mut self,
        turn: &Turn<'_>,
        runs: &BTreeMap<RunId, RunRecord>,
        units: &BTreeMap<UnitName, Unit>,
    ) -> Check {
        self.see(turn, runs);
        for effect in turn.batch {
            match effect {
                Effect::Taken(taken) => {
                    let meant = match taken.by {
                        Asker::Client { .. } => ties::askable(units, &taken.targets, taken.verb),
                        _ => taken.targets.clone(),
                    };
                    self.taken(turn, taken, &meant)?;
                }
                Effect::Publish(change) => self.changed(change)?,
                Effect::Explain(change) => self.changed(change)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn see(&mut self, turn: &Turn<'_>, runs: &BTreeMap<RunId, RunRecord>) {
        let of_run = |run: &RunId| runs.get(run).map(|record| (&record.unit, record.role));
        let of_unit = |unit| turn.engine.unit(unit).map(|unit| &unit.name);
        let seen = match turn.event {
            Event::Exited { run, ending } => {
                of_run(run).map(|(unit, role)| (unit, Seen::Exited(role, *ending)))
            }
            Event::SpawnFailed { run, .. } => {
                of_run(run).map(|(unit, role)| (unit, Seen::Unborn(role)))
            }
            Event::MainMissing { run, reason } => {
                of_run(run).map(|(unit, _)| (unit, Seen::MainMissing(*reason)))
            }
            Event::Hopeless { run, .. } => of_run(run).map(|(unit, _)| (unit, Seen::Hopeless)),
            Event::GroupEmpty { unit } => of_unit(*unit).map(|unit| (unit, Seen::GroupEmpty)),
            Event::Examined { unit, .. } => of_unit(*unit).map(|unit| (unit, Seen::Examined)),
            Event::OomKilled { unit } => of_unit(*unit).map(|unit| (unit, Seen::OutOfMemory)),
            Event::Said { unit, word } => of_unit(*unit).zip(match word {
                Word::Reloading { .. } => Some(Seen::SaysReload),
                Word::Stopping => Some(Seen::SaysStop),
                Word::Hung => Some(Seen::SaysHung),
                Word::Ready | Word::Alive | Word::WatchdogLimit { .. } | Word::Extend { .. } => {
                    None
                }
            }),
            Event::Tick => {
                for life in self.lives.values_mut() {
                    life.ticked = Some(turn.now);
                }
                None
            }
            Event::Restored { facts, .. } => {
                if self.last_of.get(&facts.unit).copied() <= facts.voice {
                    self.torn.remove(&facts.unit);
                }
                None
            }
            Event::Request {
                verb: Verb::Shutdown,
                ..
            } => {
                for life in self.lives.values_mut() {
                    life.seen.push(Seen::Hurried);
                }
                None
            }
            _ => None,
        };
        if let Some((unit, seen)) = seen {
            self.lives.entry(unit.clone()).or_default().seen.push(seen);
        }
    }

    /// `meant`: the named ones of which that may be asked.
    fn taken(&mut self, turn: &Turn<'_>, taken: &Taken, meant: &[UnitName]) -> Check {
        let is_repeated = matches!(
            turn.event,
            Event::Request {
                first_asked: Some(_),
                ..
            }
        );
        let way = match taken.verb {
            _ if taken.refused.is_some() => None,
            // What it was about may have been done.
            Verb::Start | Verb::Restart(_) if is_repeated => None,
            Verb::Start | Verb::Restart(_) => Some(Way::Up),
            Verb::Stop => Some(Way::Down),
            _ => None,
        };
        for name in meant.iter().filter(|_| way.is_some()) {
            let known = self.ways.get(name).map(|(way, _)| *way);
            if taken.verb == Verb::Restart(Scope::Running) {
                // Who is down stays down, and who is up comes up again.
                self.ways.remove(name);
            } else if let Some(way) = way.filter(|way| Some(*way) != known) {
                // Where it was sent before nobody knows: it may be on its way there already.
                let first = known.map_or(ChangeId(0), |_| taken.id);
                self.ways.insert(name.clone(), (way, first));
            }
        }
        let entry = match &taken.refused {
            Some(_) => Entry::Refused,
            None => Entry::Wish {
                verb: taken.verb,
                by: taken.by,
                targets: meant.to_vec(),
            },
        };
        self.add(taken.id, entry)
    }

    fn add(&mut self, id: ChangeId, entry: Entry) -> Check {
        if id <= self.last() {
            return fail(format!("entry {id} comes after entry {}", self.last()));
        }
        self.entries.insert(id, entry);
        Ok(())
    }

    fn changed(&mut self, change: &Change) -> Check {
        if change.to == State::Waiting && change.from != State::Waiting {
            let life = Life {
                begun: change.at,
                ..Life::default()
            };
            let past = self.lives.insert(change.unit.clone(), life);
            self.past
                .insert(change.unit.clone(), past.unwrap_or_default());
        }
        let entry = Entry::Change {
            unit: change.unit.clone(),
            at: change.at,
            to: change.to,
            because: change.because,
        };
        let link = match change.because {
            None => self.is_an_event(change),
            Some(older) => self
                .follows(change, older)
                .and_then(|()| self.is_the_last_word(change, older)),
        };
        if let Err(why) = link {
            let Change {
                unit, to, cause, ..
            } = change;
            return fail(format!("{unit} becomes {to} because of {cause:?}: {why}"));
        }
        self.last_of.insert(change.unit.clone(), change.id);
        self.torn.remove(&change.unit);
        self.add(change.id, entry)?;
        self.ends(change.id)
    }

    /// Whether what is named is older, and of the one who brought this about.
    fn follows(&self, change: &Change, older: ChangeId) -> Check {
        match self.entries.get(&older) {
            None => fail(format!("entry {older} is not in the record")),
            Some(Entry::Refused) => fail(format!("wish {older} was refused")),
            Some(Entry::Change { unit, at, .. }) => {
                let meant = change.cause.other().unwrap_or(&change.unit);
                // Whoever has let go of it last.
                let was_held = change.cause == Cause::Unneeded;
                let life = self.lives.get(&change.unit);
                if was_held && life.is_some_and(|life| *at < life.begun) {
                    return fail(format!("entry {older} is of an earlier life"));
                }
                match unit == meant || was_held {
                    true => Ok(()),
                    false => fail(format!("entry {older} is {unit}'s")),
                }
            }
            Some(Entry::Wish { verb, by, targets }) => match &change.cause {
                Cause::Asked(asker) => {
                    let is_named = targets.contains(&change.unit) && asker == by;
                    // One that is on its way elsewhere is explained before it gets there.
                    let is_there = change.from != change.to;
                    if !is_named || (is_there && !fits(*verb, change.to)) {
                        return fail(format!("wish {older} is {verb:?} {targets:?} by {by:?}"));
                    }
                    Ok(())
                }
                Cause::Shutdown if *verb == Verb::Shutdown => Ok(()),
                Cause::Shutdown => fail(format!("wish {older} is {verb:?}")),
                cause if cause.other().is_some() => Ok(()),
                // What was brought about by a cause that was not published.
                Cause::Ready | Cause::Reloaded | Cause::AutoRestart { .. } => Ok(()),
                _ => fail(format!("wish {older} has nothing to do with it")),
            },
        }
    }

    /// A unit that was sent another way since does not go by an older wish.
    fn is_the_last_word(&self, change: &Change, older: ChangeId) -> Check {
        let way = match change.to {
            _ if change.from == change.to => return Ok(()),
            State::Stopped => Way::Down,
            _ => return Ok(()),
        };
        let mut wish = older;
        while let Some(Entry::Change {
            unit,
            because: Some(next),
            ..
        }) = self.entries.get(&wish)
        {
            if *unit != change.unit {
                return Ok(());
            }
            wish = *next;
        }
        let Some(Entry::Wish { verb, targets, .. }) = self.entries.get(&wish) else {
            return Ok(());
        };
        // What a wish sends elsewhere may go down by the files that came with it.
        if !matches!(verb, Verb::Stop | Verb::Restart(_)) {
            return Ok(());
        }
        match self
            .ways
            .get(&change.unit)
            .filter(|_| targets.contains(&change.unit))
        {
            Some((last, first)) if *last == way && wish < *first => {
                fail(format!("wish {wish} is older than wish {first}"))
            }
            _ => Ok(()),
        }
    }

    /// The chain comes to an end.
    fn ends(&self, change: ChangeId) -> Check {
        let mut next = Some(change);
        while let Some(id) = next {
            next = match self.entries.get(&id) {
                Some(Entry::Change { because, .. }) => *because,
                Some(Entry::Wish { .. }) => None,
                Some(Entry::Refused) => return fail(format!("wish {id} was refused")),
                None => return fail(format!("entry {id} is not in the record")),
            };
            if next.is_some_and(|next| next >= id) {
                return fail(format!("entry {id} follows from a later one"));
            }
        }
        Ok(())
    }

    /// Whether the shadow has seen what a chain ends in.
    fn is_an_event(&self, change: &Change) -> Check {
        let none = Life::default();
        let life = self.lives.get(&change.unit).unwrap_or(&none);
        let has = |what: &Seen| life.seen.contains(what);
        let is_seen = match &change.cause {
            // An end that is forgiven counts as a good one.
            Cause::Ended(Ending::Code(0)) => life
                .seen
                .iter()
                .any(|seen| matches!(seen, Seen::Exited(..) | Seen::Unborn(_))),
            Cause::Ended(ending) => life
                .seen
                .iter()
                .any(|seen| matches!(seen, Seen::Exited(Role::Start, found) if found == ending)),
            Cause::Failed(failure) => life.has_failed(failure),
            Cause::Skipped(_) => life.seen.iter().any(|seen| {
                matches!(
                    seen,
                    Seen::Examined | Seen::Exited(Role::Condition, Ending::Code(_))
                )
            }),
            Cause::Gone => has(&Seen::GroupEmpty),
            Cause::Leaving => has(&Seen::SaysStop),
            Cause::Reloads => has(&Seen::SaysReload),
            // Nobody has ever named it: that needs no event.
            Cause::Unneeded => true,
            // These are what others, or somebody, brought about.
            cause => cause.other().is_some_and(|other| self.torn.contains(other)),
        };
        match is_seen {
            true => Ok(()),
            false => fail(format!("there was no such event: {life:?}")),
        }
    }
}

/// Whether a wish of this kind can bring a unit that it names into this state.
fn fits(verb: Verb, to: State) -> bool {
    match to {
        State::Waiting | State::Starting | State::Running | State::Exited => {
            matches!(verb, Verb::Start | Verb::Restart(_))
        }
        // One whose stop had not begun goes on with its reload.
        State::Reloading => matches!(verb, Verb::Reload | Verb::Start | Verb::Restart(_)),
        State::Stopping => matches!(verb, Verb::Stop | Verb::Restart(_)),
        State::Stopped => matches!(verb, Verb::Stop | Verb::Restart(_) | Verb::Reset),
        State::Completed | State::Backoff | State::Failed => false,
    }
}

impl Life {
    fn has_failed(&self, failure: &Failure) -> bool {
        let has = |what: &Seen| self.seen.contains(what);
        // How long the limit was is not looked at: one that is changed while it counts is told as it is by then.
        let was_due = has(&Seen::Hurried) || self.ticked.is_some();
        match failure {
            Failure::Spawn { role, .. } => has(&Seen::Unborn(*role)),
            // Of one that was never born nobody knows how it ended, once its unit was on its way down.
            Failure::Ended {
                role,
                ending: Ending::Unknown,
            } => has(&Seen::Exited(*role, Ending::Unknown)) || has(&Seen::Unborn(*role)),
            Failure::Ended { role, ending } => has(&Seen::Exited(*role, *ending)),
            Failure::NeverReady { ending } => has(&Seen::Exited(Role::Start, *ending)),
            Failure::NoMain { reason } => has(&Seen::MainMissing(*reason)),
            Failure::Assertion { .. } => has(&Seen::Examined),
            Failure::Hopeless { .. } => has(&Seen::Hopeless),
            Failure::OutOfMemory => has(&Seen::OutOfMemory),
            Failure::Watchdog { limit_ms: None } => has(&Seen::SaysHung),
            Failure::Watchdog { limit_ms: Some(_) }
            | Failure::StartTimeout { .. }
            | Failure::ReadyTimeout { .. }
            | Failure::MainTimeout { .. }
            | Failure::StopTimeout { .. }
            | Failure::Runtime { .. } => was_due,
            Failure::Remains => self.ticked.is_some(),
            // Whatever it was, it was an event; its words are a predecessor's.
            Failure::StartLimit { .. } | Failure::Recorded { .. } => {
                !self.seen.is_empty() || self.ticked.is_some()
            }
            // That one was never published: it has no story.
            Failure::Dependency { .. } => true,
        }
    }
}
