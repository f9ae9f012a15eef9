//! `plan`: what a wish would do, in words, and nothing done.
//!
//! The plan is the engine's own, made of the files as they are now. With no daemon there is nothing up, and the client
//! asks the same of an engine that knows no unit.

use std::path::PathBuf;

use crate::engine::{Engine, Planned, Prospect, State, Untouched};
use crate::unit::{SearchPath, UnitName};
use crate::wire::{Final, PlanAct, PlanStep, WireError};

use super::answer;
use super::context::unit_context;
use super::enabled::Enabled;
use super::enabling::know;
use super::event_loop::Daemon;
use super::home::Home;
use super::instances::Over;
use super::loader::{Among, Loaded, Loader, Reading};
use super::scales::Scales;
use super::text;

/// What a wish would do in a home that has no daemon.
///
/// # Errors
/// The wish would be refused, or names what there is not.
pub fn plan_alone(
    home: &Home,
    directories: Vec<PathBuf>,
    names: Vec<String>,
    wish: Planned,
) -> Result<Vec<PlanStep>, WireError> {
    let engine = Engine::new(0);
    let mut enabled = Enabled::read(home.enabled(), Scales::read(home.scales()));
    know(&mut enabled, &unit_context());
    let (context, path) = (unit_context(), SearchPath { directories });
    let loader = Loader::new(&engine, &enabled, &context, &path);
    let loaded = load(&loader, names, wish)?;
    plan(&engine, loaded, wish)
}

impl Daemon {
    /// What a wish would do, as an answer.
    pub(super) fn foresee(
        &self,
        names: Vec<String>,
        wish: Planned,
        path: &SearchPath,
    ) -> Result<Final, WireError> {
        let loader = self.loader(path);
        let loaded = match wish {
            Planned::Start => self.to_start((names, Vec::new()), Reading::IfDown, path)?,
            Planned::Restart(_) => {
                let loaded = self.to_start((names, Vec::new()), Reading::Always, path)?;
                self.without_unfit(loaded)
            }
            Planned::Stop => self.to_stop(names, &loader)?,
            Planned::Reload => loader.for_loaded(loader.resolve(names, Among::Loaded)?)?,
        };
        plan(&self.engine, loaded, wish).map(Final::Plan)
    }
}

/// What a wish would do with what it brings.
fn plan(engine: &Engine, loaded: Loaded, wish: Planned) -> Result<Vec<PlanStep>, WireError> {
    let Loaded {
        targets,
        definitions,
        absent,
        answered,
        ..
    } = loaded;
    let outlook = engine
        .outlook(wish.verb(), targets, &definitions, &absent)
        .map_err(|refusal| answer::refused(&refusal))?;
    let steps = outlook.steps.into_iter().chain(outlook.foretold).map(step);
    let untouched = outlook.untouched.into_iter().map(|(unit, why)| PlanStep {
        unit: unit.to_string(),
        ..still(act_of(why), words(why))
    });
    let left_out = outlook.left_out.into_iter();
    let left_out = left_out.map(|text| still(PlanAct::LeftOut, text));
    let answered = answered.into_iter().map(|result| PlanStep {
        unit: result.unit,
        ..still(PlanAct::LeftOut, result.text)
    });
    Ok(steps
        .chain(untouched)
        .chain(left_out)
        .chain(answered)
        .collect())
}

/// The same units as the wish itself would load where nothing is up and no process is left.
fn load(loader: &Loader<'_>, mut names: Vec<String>, wish: Planned) -> Result<Loaded, WireError> {
    let (over, among, reading) = match wish {
        Planned::Start => (Over::Counted, Among::LoadedAndFiles, Reading::IfDown),
        Planned::Restart(_) => (Over::Both, Among::Loaded, Reading::Always),
        Planned::Stop => {
            loader.spread(&mut names, Over::Loaded)?;
            return loader.for_loaded(loader.resolve(names, Among::Loaded)?);
        }
        Planned::Reload => return loader.for_loaded(loader.resolve(names, Among::Loaded)?),
    };
    let found = loader.spread(&mut names, over)?;
    loader.for_start(loader.meant(&names, &found, among)?, reading)
}

fn step(prospect: Prospect) -> PlanStep {
    let act = match prospect.act {
        crate::engine::Act::Stop => PlanAct::Stop,
        crate::engine::Act::Start => PlanAct::Start,
        crate::engine::Act::Keep => PlanAct::Keep,
        crate::engine::Act::Reload => PlanAct::Reload,
    };
    let number = |place: usize| u32::try_from(place.saturating_add(1)).unwrap_or(u32::MAX);
    let unit = prospect.unit.to_string();
    let waits = |(on, state): (UnitName, State)| {
        if on == prospect.unit {
            format!("its own stop, which is under way ({state})")
        } else {
            format!("{on}, which is {state}")
        }
    };
    PlanStep {
        unit,
        act,
        reason: prospect.reason,
        after: prospect.after.into_iter().map(number).collect(),
        waits_for: prospect.waits_for.into_iter().map(waits).collect(),
    }
}

/// What has no turn.
fn still(act: PlanAct, reason: String) -> PlanStep {
    PlanStep {
        unit: String::new(),
        act,
        reason,
        after: Vec::new(),
        waits_for: Vec::new(),
    }
}

/// What the wish itself would come to: it is so already, or an error.
fn act_of(why: Untouched) -> PlanAct {
    match why {
        Untouched::Is(_) | Untouched::Reloads => PlanAct::Nothing,
        Untouched::Impossible(_) => PlanAct::Refused,
    }
}

fn words(why: Untouched) -> String {
    match why {
        Untouched::Is(state) => format!("it is {state}"),
        Untouched::Reloads => "it reloads already".to_owned(),
        Untouched::Impossible(reason) => text::impossible(reason).to_owned(),
    }
}
