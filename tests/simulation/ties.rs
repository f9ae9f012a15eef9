//! The shadow of the dependency keys: who is moved by whom, from what the definitions say alone, and what must be true
//! of units that are tied to each other.
//!
//! Owns the closures over the keys and the checks of a settled engine. It looks at names and phases, never at the
//! engine's graph.

use std::collections::{BTreeMap, BTreeSet};

use diakonos::engine::{FactGoal, FactPhase, Facts, Verb};
use diakonos::unit::{Need, Relation, Unit, UnitName};

use crate::model::{Check, fail};

/// Keys by which a start brings others up.
const PULLS: [Relation; 4] = [
    Relation::Requires,
    Relation::Wants,
    Relation::BindsTo,
    Relation::Upholds,
];
/// Keys by which a stop of the named one takes a unit along.
const FOLLOWS: [Relation; 4] = [
    Relation::Requires,
    Relation::Requisite,
    Relation::BindsTo,
    Relation::PartOf,
];
/// Keys by which a unit comes up without a wish for it.
const STARTS: [Relation; 3] = [Relation::Upholds, Relation::OnFailure, Relation::OnSuccess];
/// Keys that keep the named one from being unneeded.
const HOLDS: [Relation; 5] = [
    Relation::Requires,
    Relation::Requisite,
    Relation::Wants,
    Relation::BindsTo,
    Relation::Upholds,
];

type Units = BTreeMap<UnitName, Unit>;

/// What the definitions in force come to.
#[derive(Debug, Default)]
pub(crate) struct Ties {
    /// Units that start without a wish for them: upheld ones, handlers, and what these pull in.
    pub(crate) self_starting: BTreeSet<UnitName>,
    /// These, and what goes down without a wish for it and its own end: what becomes of them hangs on others.
    pub(crate) moved: BTreeSet<UnitName>,
    /// Pairs that conflict.
    opponents: BTreeSet<(UnitName, UnitName)>,
    /// Of those, pairs that were side by side before they said that they cannot be.
    tolerated: BTreeSet<(UnitName, UnitName)>,
}

fn names(unit: &Unit, keys: &[Relation], other: &UnitName) -> bool {
    let mut named = keys.iter().map(|key| unit.named_in(*key));
    named.any(|names| names.contains(other))
}

/// Whether the unit cannot start without the other one.
pub(crate) fn needs(unit: &Unit, other: &UnitName) -> bool {
    let mut all = unit.neighbours();
    all.any(|(relation, name)| relation.need() == Some(Need::Must) && name == other)
}

/// These units and all that a start of them pulls in.
pub(crate) fn pulled_in(units: &Units, from: &[UnitName]) -> BTreeSet<UnitName> {
    closure(units, from, |unit, other| names(unit, &PULLS, &other.name))
}

/// This unit and all that it names to be there or to be started, at whatever distance.
pub(crate) fn named_in_the_end(units: &Units, from: &UnitName) -> BTreeSet<UnitName> {
    closure(units, std::slice::from_ref(from), |unit, other| {
        let mut all = unit.neighbours();
        all.any(|(relation, name)| relation.need().is_some() && *name == other.name)
    })
}

/// These units and all that a stop of them takes along.
pub(crate) fn taken_along(units: &Units, from: &[UnitName]) -> BTreeSet<UnitName> {
    closure(units, from, |unit, other| {
        names(other, &FOLLOWS, &unit.name)
    })
}

fn closure(
    units: &Units,
    from: &[UnitName],
    leads: impl Fn(&Unit, &Unit) -> bool,
) -> BTreeSet<UnitName> {
    let mut found: BTreeSet<UnitName> = from.iter().cloned().collect();
    let mut open: Vec<UnitName> = from.to_vec();
    while let Some(name) = open.pop() {
        let Some(unit) = units.get(&name) else {
            continue;
        };
        for other in units.values() {
            if leads(unit, other) && found.insert(other.name.clone()) {
                open.push(other.name.clone());
            }
        }
    }
    found
}

/// These, but for those of which no person may ask that.
pub(crate) fn askable(units: &Units, asked: &[UnitName], verb: Verb) -> Vec<UnitName> {
    let is_askable = |name: &&UnitName| {
        let Some(relations) = units.get(*name).map(Unit::relations) else {
            return true;
        };
        let (start, stop) = (relations.refuse_manual_start, relations.refuse_manual_stop);
        match verb {
            Verb::Start => !start,
            Verb::Stop => !stop,
            Verb::Restart(_) => !start && !stop,
            _ => true,
        }
    };
    asked.iter().filter(is_askable).cloned().collect()
}

fn rests(phase: FactPhase) -> bool {
    matches!(
        phase,
        FactPhase::Stopped | FactPhase::Completed | FactPhase::Failed
    )
}

/// It has processes, or is up without.
fn runs(facts: &Facts) -> bool {
    !rests(facts.phase) && !matches!(facts.phase, FactPhase::Waiting | FactPhase::Backoff)
}

fn is_up(facts: &Facts) -> bool {
    facts.goal == FactGoal::Up
        && matches!(
            facts.phase,
            FactPhase::Running
                | FactPhase::Exited
                | FactPhase::Reloading
                | FactPhase::ReloadSignal
                | FactPhase::ReloadNotify
        )
}

impl Ties {
    /// The definitions are others now, or the daemon is: whoever conflicts by them and is side by side is so for a
    /// while.
    pub(crate) fn learn(&mut self, units: &Units, facts: &BTreeMap<UnitName, Facts>) {
        let named = units.values().flat_map(|unit| {
            let names = STARTS.into_iter().flat_map(|key| unit.named_in(key));
            names.cloned()
        });
        self.self_starting = pulled_in(units, &named.collect::<Vec<_>>());
        self.opponents.clear();
        let mut falls: Vec<UnitName> = self.self_starting.iter().cloned().collect();
        for unit in units.values() {
            let relations = unit.relations();
            for other in &relations.conflicts {
                falls.extend([unit.name.clone(), other.clone()]);
                self.opponents.insert((unit.name.clone(), other.clone()));
            }
            if !relations.binds_to.is_empty() || relations.stop_when_unneeded {
                falls.push(unit.name.clone());
            }
        }
        self.moved = taken_along(units, &falls);
        let run = |name: &UnitName| facts.get(name).is_some_and(runs);
        let pairs = self.opponents.iter();
        let beside = pairs.filter(|(one, other)| run(one) && run(other));
        self.tolerated = beside.cloned().collect();
    }

    /// Who comes up, without a wish, with those whose course hangs on others: one of them that is taken through a
    /// restart has all that it needs started with it.
    pub(crate) fn brought_up(&self, units: &Units) -> BTreeSet<UnitName> {
        let moved: Vec<UnitName> = self.moved.iter().cloned().collect();
        pulled_in(units, &moved)
    }

    /// What ties ask for once an event is worked off.
    pub(crate) fn check(&mut self, units: &Units, facts: &BTreeMap<UnitName, Facts>) -> Check {
        let runs = |name: &UnitName| facts.get(name).is_some_and(runs);
        self.tolerated
            .retain(|(one, other)| runs(one) && runs(other));
        for pair in &self.opponents {
            let (one, other) = pair;
            if runs(one) && runs(other) && !self.tolerated.contains(pair) {
                return fail(format!("{one} runs beside {other}, and they conflict"));
            }
        }
        for unit in units.values() {
            let Some(own) = facts.get(&unit.name) else {
                continue;
            };
            self.is_bound(unit, own, facts)?;
            is_needed(unit, own, units, facts)?;
        }
        Ok(())
    }

    /// Nobody stays up without what it is bound to.
    fn is_bound(&self, unit: &Unit, own: &Facts, facts: &BTreeMap<UnitName, Facts>) -> Check {
        let stays = own.goal == FactGoal::Up && runs(own) && (is_up(own) || starts(own.phase));
        for to in unit.relations().binds_to.iter().filter(|_| stays) {
            if let Some(other) = facts.get(to)
                && (rests(other.phase) || other.phase == FactPhase::Backoff)
            {
                return fail(format!(
                    "{} is {:?} and bound to {to}, which is {:?}",
                    unit.name, own.phase, other.phase
                ));
            }
        }
        Ok(())
    }

    /// What is upheld by a unit that is up comes up again, unless something that it conflicts with runs.
    pub(crate) fn is_upheld(
        &self,
        units: &Units,
        facts: &BTreeMap<UnitName, Facts>,
        is_to_come: impl Fn(&UnitName) -> bool,
    ) -> Check {
        for unit in units.values() {
            if !facts.get(&unit.name).is_some_and(is_up) {
                continue;
            }
            for named in &unit.relations().upholds {
                let is_down = facts.get(named).is_some_and(|facts| rests(facts.phase));
                let waits = is_to_come(named) || lacks(units, named);
                if is_down && !waits && !self.is_opposed(units, named, facts) {
                    return fail(format!("{} upholds {named}, which stays down", unit.name));
                }
            }
        }
        Ok(())
    }

    /// Whether a start of the unit would stop something.
    fn is_opposed(
        &self,
        units: &Units,
        name: &UnitName,
        facts: &BTreeMap<UnitName, Facts>,
    ) -> bool {
        let pulled = pulled_in(units, std::slice::from_ref(name));
        let stays = |name: &UnitName| facts.get(name).is_some_and(|facts| !rests(facts.phase));
        let is_stopped = |name: &&UnitName| stays(name) && facts[*name].goal != FactGoal::Up;
        if pulled.iter().any(|name| is_stopped(&name)) {
            return true;
        }
        self.opponents.iter().any(|(one, other)| {
            (pulled.contains(one) && stays(other))
                || (pulled.contains(other) && stays(one))
                || (pulled.contains(one) && pulled.contains(other))
        })
    }
}

/// Whether the unit requires, itself or further down, what there is not.
pub(crate) fn lacks(units: &Units, name: &UnitName) -> bool {
    let mut seen = BTreeSet::from([name]);
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        let Some(unit) = units.get(name) else {
            return true;
        };
        let required = unit.neighbours();
        let required = required.filter(|(relation, _)| relation.need() == Some(Need::Must));
        open.extend(
            required
                .map(|(_, name)| name)
                .filter(|name| seen.insert(name)),
        );
    }
    false
}

fn starts(phase: FactPhase) -> bool {
    matches!(
        phase,
        FactPhase::StartPre | FactPhase::Starting | FactPhase::FindingMain | FactPhase::StartPost
    )
}

/// Nobody stays up for nobody who is to stop then.
fn is_needed(unit: &Unit, own: &Facts, units: &Units, facts: &BTreeMap<UnitName, Facts>) -> Check {
    if !unit.relations().stop_when_unneeded || !is_up(own) {
        return Ok(());
    }
    let holds = |other: &Unit| {
        let lives = |facts: &Facts| !rests(facts.phase);
        names(other, &HOLDS, &unit.name) && facts.get(&other.name).is_some_and(lives)
    };
    match units.values().any(holds) {
        true => Ok(()),
        false => fail(format!("{} is up and needed by nobody", unit.name)),
    }
}
