//! What must be true of the engine whenever it has come to rest after an event: seen from outside, through what it
//! shows.

use std::collections::BTreeMap;

use diakonos::engine::{Engine, Event, FactGoal, FactPhase, Facts, Moment, RunId, State, View};
use diakonos::unit::{Need, UnitName};

use crate::model::{Check, Known, Model, Saved, fail};

/// Everything that can be looked at.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) now: Moment,
    pub(crate) event: &'a Event,
    pub(crate) engine: &'a Engine,
    pub(crate) saved: &'a BTreeMap<UnitName, Saved>,
    /// Every unit's facts before and after the event.
    pub(crate) before: &'a BTreeMap<UnitName, Facts>,
    pub(crate) after: &'a BTreeMap<UnitName, Facts>,
}

pub(crate) fn rests(phase: FactPhase) -> bool {
    matches!(
        phase,
        FactPhase::Stopped | FactPhase::Completed | FactPhase::Failed
    )
}

pub(crate) fn is_end(state: State) -> bool {
    matches!(state, State::Stopped | State::Completed | State::Failed)
}

fn is_up(phase: FactPhase) -> bool {
    matches!(
        phase,
        FactPhase::Running
            | FactPhase::Exited
            | FactPhase::Reloading
            | FactPhase::ReloadSignal
            | FactPhase::ReloadNotify
    )
}

fn starts(phase: FactPhase) -> bool {
    matches!(
        phase,
        FactPhase::Examining
            | FactPhase::StartPre
            | FactPhase::Starting
            | FactPhase::FindingMain
            | FactPhase::StartPost
    )
}

fn ends(phase: FactPhase) -> bool {
    !rests(phase)
        && !is_up(phase)
        && !starts(phase)
        && !matches!(phase, FactPhase::Waiting | FactPhase::Backoff)
}

/// Looks at everything.
pub(crate) fn sweep(scene: &Scene<'_>, model: &Model) -> Check {
    for id in scene.engine.units() {
        let Some(view) = scene.engine.view(id) else {
            return fail(format!("unit {id} is listed and cannot be looked at"));
        };
        let Some(facts) = scene.after.get(&view.unit.name) else {
            return fail(format!("{} has no facts", view.unit.name));
        };
        shown_as_published(&view, model)?;
        is_saved(scene, facts)?;
        goal_fits_phase(facts, model)?;
        timer_fits_phase(scene, &view, facts)?;
        waits_for_somebody(scene, &view, facts)?;
    }
    runs_are_known(scene, model)?;
    nobody_waits_in_a_ring(scene)?;
    stops_in_order(scene, model)?;
    if matches!(scene.event, Event::Tick)
        && let Some(next) = scene.engine.next_deadline()
        && next <= scene.now
    {
        return fail(format!(
            "after a tick the next deadline, {next:?}, is not later than now"
        ));
    }
    Ok(())
}

fn shown_as_published(view: &View<'_>, model: &Model) -> Check {
    let name = &view.unit.name;
    match model.states.get(name) {
        Some(state) if *state != view.state => fail(format!(
            "{name} shows {}, and the last change said {state}",
            view.state
        )),
        _ => Ok(()),
    }
}

/// What a successor would read is what is true now.
fn is_saved(scene: &Scene<'_>, facts: &Facts) -> Check {
    let name = &facts.unit;
    let Some(saved) = scene.saved.get(name) else {
        return match rests(facts.phase) {
            true => Ok(()),
            false => fail(format!("{name} was never saved: {facts:?}")),
        };
    };
    if saved.facts != *facts {
        let saved = &saved.facts;
        return fail(format!(
            "{name}: facts changed and were not saved: {saved:?} -> {facts:?}"
        ));
    }
    let id = scene.engine.id(name);
    let in_force = id.and_then(|id| scene.engine.unit(id));
    let next = id.and_then(|id| scene.engine.next_unit(id));
    if (in_force, next) != (Some(&saved.unit), saved.next.as_ref()) {
        return fail(format!("{name}: a definition changed and was not saved"));
    }
    Ok(())
}

fn goal_fits_phase(facts: &Facts, model: &Model) -> Check {
    let name = &facts.unit;
    let down = facts.goal == FactGoal::Down;
    let is_nothing_yet = matches!(
        facts.phase,
        FactPhase::Waiting | FactPhase::Examining | FactPhase::Backoff
    );
    if down && is_nothing_yet {
        return fail(format!("{name} is to be down and is {:?}", facts.phase));
    }
    if model.forbidden.contains(name) && !down && !rests(facts.phase) {
        return fail(format!(
            "{name} was stopped by hand, and its goal is {:?}",
            facts.goal
        ));
    }
    let is_down =
        rests(facts.phase) || matches!(facts.phase, FactPhase::Waiting | FactPhase::Examining);
    if facts.goal == FactGoal::Cycle && is_down {
        return fail(format!("{name} is down and is still to go down first"));
    }
    Ok(())
}

fn timer_fits_phase(scene: &Scene<'_>, view: &View<'_>, facts: &Facts) -> Check {
    let name = &facts.unit;
    if facts.phase == FactPhase::Backoff && facts.deadline.is_none() {
        return fail(format!("{name} waits for its restart without a deadline"));
    }
    let timeless = rests(facts.phase)
        || matches!(
            facts.phase,
            FactPhase::Waiting | FactPhase::Examining | FactPhase::Running | FactPhase::Exited
        );
    if timeless && facts.deadline.is_some() {
        return fail(format!("{name} is {:?} and has a deadline", facts.phase));
    }
    if let Some(deadline) = facts.deadline
        && facts.frozen.is_none()
        && scene
            .engine
            .next_deadline()
            .is_none_or(|next| next > deadline)
    {
        return fail(format!(
            "{name} has a deadline, and the engine's next one is later"
        ));
    }
    if view.main.is_some() && (rests(facts.phase) || facts.phase == FactPhase::Backoff) {
        return fail(format!(
            "{name} is {:?} and shows a main process",
            facts.phase
        ));
    }
    Ok(())
}

/// A unit that waits has somebody to wait for who can still come.
fn waits_for_somebody(scene: &Scene<'_>, view: &View<'_>, facts: &Facts) -> Check {
    if facts.phase != FactPhase::Waiting {
        return Ok(());
    }
    let name = &facts.unit;
    if view.waits_for.is_empty() {
        return fail(format!("{name} waits for nobody"));
    }
    for other in &view.waits_for {
        let phase = scene.after.get(other).map(|facts| facts.phase);
        if phase.is_none_or(rests) {
            return fail(format!("{name} waits for {other}, which is {phase:?}"));
        }
    }
    Ok(())
}

/// Live runs and those that the engine shows are the same ones.
fn runs_are_known(scene: &Scene<'_>, model: &Model) -> Check {
    let mut shown: BTreeMap<RunId, UnitName> = BTreeMap::new();
    for facts in scene.after.values() {
        for fact in [facts.main, facts.control].into_iter().flatten() {
            if shown.insert(fact.run, facts.unit.clone()).is_some() {
                return fail(format!("run {} stands twice in the facts", fact.run));
            }
            let Some(record) = model.runs.get(&fact.run) else {
                return fail(format!(
                    "{} has run {}, which never was",
                    facts.unit, fact.run
                ));
            };
            if record.unit != facts.unit {
                return fail(format!(
                    "{} has run {} of {}",
                    facts.unit, fact.run, record.unit
                ));
            }
            if record.known == Known::Over {
                return fail(format!(
                    "{} keeps run {}, which is over",
                    facts.unit, fact.run
                ));
            }
        }
    }
    let lost = model.runs.iter().find(|(run, record)| {
        let phase = scene.after.get(&record.unit).map(|facts| facts.phase);
        record.is_kept()
            && !shown.contains_key(run)
            && !model.spares_all(&record.unit)
            && !phase.is_some_and(|phase| model.may_give_up(record, phase))
    });
    match lost {
        Some((run, record)) => fail(format!(
            "run {run} of {} lives and the engine forgot it",
            record.unit
        )),
        None => Ok(()),
    }
}

fn nobody_waits_in_a_ring(scene: &Scene<'_>) -> Check {
    let mut edges: BTreeMap<UnitName, Vec<UnitName>> = BTreeMap::new();
    for id in scene.engine.units() {
        if let Some(view) = scene.engine.view(id)
            && view.state == State::Waiting
        {
            edges.insert(view.unit.name.clone(), view.waits_for);
        }
    }
    // Whoever waits for nobody that waits is cut off, again and again; a ring stays.
    loop {
        let free: Vec<UnitName> = edges
            .iter()
            .filter(|(_, waits_for)| !waits_for.iter().any(|name| edges.contains_key(name)))
            .map(|(name, _)| name.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            edges.remove(&name);
        }
    }
    if edges.is_empty() {
        return Ok(());
    }
    fail(format!("units wait for each other: {edges:?}"))
}

/// A stop goes backwards: whoever comes after, and is to go down too, goes first.
fn stops_in_order(scene: &Scene<'_>, model: &Model) -> Check {
    if model.shutdowns > 1 {
        return Ok(());
    }
    for (name, after) in scene.after {
        let Some(before) = scene.before.get(name) else {
            continue;
        };
        let begins = (is_up(before.phase) || starts(before.phase)) && ends(after.phase);
        if !begins || after.goal == FactGoal::Up || concerns(scene, name, before, model) {
            continue;
        }
        let Some(unit) = model.newest.get(name) else {
            continue;
        };
        for (other, facts) in scene.after {
            let definition = model.newest.get(other);
            let follows = unit.before.contains(other)
                || definition.is_some_and(|definition| definition.after.contains(name));
            let to_go = facts.goal != FactGoal::Up
                && !rests(facts.phase)
                && facts.phase != FactPhase::Waiting;
            let cause = facts.reason.as_ref().and_then(|reason| reason.because);
            // An end on the way may send others down, and bring up a handler that conflicts with them.
            let was_known = !model.chains.is_news(cause, after.voice);
            if follows && to_go && was_known {
                return fail(format!(
                    "{name} begins to stop before {other}, which comes after it"
                ));
            }
        }
    }
    Ok(())
}

/// Whether the event is the unit's own: then its end is no matter of order.
fn concerns(scene: &Scene<'_>, name: &UnitName, before: &Facts, model: &Model) -> bool {
    match scene.event {
        Event::Exited { run, .. }
        | Event::SpawnFailed { run, .. }
        | Event::MainMissing { run, .. }
        | Event::MainFound { run, .. }
        | Event::Spawned { run, .. }
        | Event::Ready { run }
        | Event::Unready { run, .. }
        | Event::Hopeless { run, .. }
        | Event::Executed { run } => model
            .runs
            .get(run)
            .is_some_and(|record| record.unit == *name),
        Event::Examined { unit, .. }
        | Event::GroupEmpty { unit }
        | Event::Said { unit, .. }
        | Event::OomKilled { unit }
        | Event::Limited { unit, .. }
        | Event::Frozen { unit }
        | Event::FreezeFailed { unit, .. }
        | Event::Thawed { unit }
        | Event::ThawFailed { unit, .. } => scene.engine.id(name) == Some(*unit),
        // Its watchdog or its longest time to run may have passed as well, and the former is in no facts.
        Event::Tick => {
            let is_overseen = is_up(before.phase) && before.phase != FactPhase::Exited;
            is_overseen || before.deadline.is_some_and(|at| at <= scene.now)
        }
        Event::Forgotten { units } => scene.engine.id(name).is_some_and(|id| units.contains(&id)),
        Event::Request { .. } | Event::Detached { .. } => false,
        Event::Restored { .. } | Event::Resumed { .. } => true,
    }
}

/// However few of an event's saves were written: whose end starts another is not written down as ended before that
/// one as started, and nobody as about to start before what it cannot do without.
pub(crate) fn half_is_no_whole(
    (engine, before, look): (
        &Engine,
        &BTreeMap<UnitName, Facts>,
        &BTreeMap<UnitName, Facts>,
    ),
    all: &BTreeMap<UnitName, Saved>,
    model: &Model,
) -> Check {
    for (name, facts) in look {
        let saved = all.get(name);
        if let Some(monitor) = &facts.monitor
            && let Some(ended) = all.get(&monitor.unit)
            && !rests(facts.phase)
            && rests(ended.facts.phase)
            // It may have ended before that, and what the end of the start since then did is still to be written.
            && look.get(&monitor.unit).is_some_and(|newest| newest.voice == ended.facts.voice)
            && saved.is_none_or(|saved| saved.facts.monitor.is_none())
        {
            let by = &monitor.unit;
            return fail(format!("{by} is saved as ended, and {name} is not started"));
        }
        let Some(saved) = saved.filter(|one| one.facts.phase == FactPhase::Waiting) else {
            continue;
        };
        for (relation, needed) in saved.newest().neighbours() {
            let is_needed = relation.need() == Some(Need::Must) && needed != name;
            // One that waits since before what it needs was known, which had been cleared, is no half of this event.
            let is_older = before.get(name) == Some(&saved.facts) && !before.contains_key(needed);
            let is_known = engine.id(needed).is_some() && !is_older;
            let is_lost = is_known && !all.contains_key(needed);
            if is_needed && is_lost && !model.needs_back(needed, name) {
                return fail(format!("{name} is saved as waiting, and not {needed}"));
            }
        }
    }
    Ok(())
}
