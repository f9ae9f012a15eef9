//! `plan`: what a command would do, in order and with the reason of each step, without doing it.

use std::path::PathBuf;

use super::verbs::{ALL, NO_SUCH};
use super::{checked_names, page};
use crate::cli::args::Given;
use crate::cli::client::other_answer;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::answer;
use crate::cli::place::Place;
use crate::cli::render;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::text::clean;
use crate::cli::units;
use crate::daemon::plan_alone;
use crate::engine::{Command, Planned, Scope};
use crate::unit::{did_you_mean, nearest};
use crate::wire::{Final, PlanAct, PlanStep};

/// What can be planned, as it is written.
const VERBS: [&str; 4] = ["start", "stop", "restart", "reload"];

pub(in crate::cli) const ROW: Row = Row {
    name: "plan",
    alias: None,
    group: Group::Looking,
    arguments: "VERB NAME…",
    count: Count::AtLeastOr(2, "--all"),
    options: &[
        ALL,
        Choice::flag(
            "",
            "--if-running",
            "with restart: leave those that are down as they are",
        ),
        Choice::flag(
            "",
            "--json",
            "an object: the steps, and what is left as it is",
        ),
    ],
    summary: "show what start, stop, restart or reload would do, and do nothing",
    help: &[
        "Numbers the steps in the order of their turns. Each says why it is there (you ask for it, or which unit brings it \
         in) and which steps it waits for; steps that do not wait for each other go at the same time. A restart is a stop \
         and a start.",
        "The plan is made of the unit files as they are now, as the command itself would do it. No daemon is started for \
         it. What is refused here would be refused there, with the same reason.",
    ],
    examples: &[
        (
            "diakonos plan stop database",
            "who stops with it, and in which order",
        ),
        ("diakonos plan restart --all --json", "for programs"),
    ],
    exits: &[
        (
            Exit::Failed,
            "the command, or its part about a unit, would be refused",
        ),
        NO_SUCH,
    ],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    let (wish, names) = wanted(given)?;
    let place = Place::find(given)?;
    let steps = match place.connect_or_succeed()? {
        Some(mut client) => {
            let command = Command::Plan {
                names: names.clone(),
                wish,
            };
            let named = |failure| units::with_nearest(failure, &place, &names);
            match client.ask(command, &place.directories).map_err(named)? {
                Final::Plan(steps) => steps,
                _ => return Err(other_answer()),
            }
        }
        None => alone(&place, names, wish)?,
    };
    if given.flag("--json") {
        answer(render::plan_json(wish.word(), &steps).document())?;
    } else {
        answer(render::plan(&steps, page(given)))?;
    }
    Ok(match steps.iter().any(would_fail) {
        true => Exit::Failed,
        false => Exit::Done,
    })
}

/// Whether the wish itself would answer with a failure of this unit.
fn would_fail(step: &PlanStep) -> bool {
    match step.act {
        PlanAct::Refused => true,
        // One that is merely wanted has no line of its own.
        PlanAct::LeftOut => !step.unit.is_empty(),
        PlanAct::Stop | PlanAct::Start | PlanAct::Keep | PlanAct::Reload | PlanAct::Nothing => {
            false
        }
    }
}

fn wanted(given: &Given) -> Result<(Planned, Vec<String>), Failure> {
    let Some((word, names)) = given.arguments.split_first() else {
        return Err(Failure::usage("`diakonos plan` needs a verb")
            .hint(format!("one of {}", VERBS.join(", "))));
    };
    let wish = Planned::of(word).ok_or_else(|| no_verb(word))?;
    let wish = match wish {
        Planned::Restart(_) if given.flag("--if-running") => Planned::Restart(Scope::Running),
        _ if given.flag("--if-running") => {
            return Err(Failure::usage("--if-running goes with `plan restart`"));
        }
        wish => wish,
    };
    let names = if given.flag("--all") {
        vec!["*".to_owned()]
    } else {
        checked_names(names)?
    };
    Ok((wish, names))
}

fn no_verb(word: &str) -> Failure {
    let failure = Failure::usage(format!("`{}` is nothing that can be planned", clean(word)));
    match nearest(word, VERBS) {
        Some(near) => failure.hint(did_you_mean(near)),
        None => failure.hint(format!(
            "one of {}; all others concern only the units that are named",
            VERBS.join(", ")
        )),
    }
}

/// No daemon runs, so no unit is up.
fn alone(place: &Place, names: Vec<String>, wish: Planned) -> Result<Vec<PlanStep>, Failure> {
    let directories = place.directories.iter().map(PathBuf::from).collect();
    let plan = plan_alone(&place.home, directories, names.clone(), wish);
    plan.map_err(|error| units::with_nearest(error.into(), place, &names))
}
