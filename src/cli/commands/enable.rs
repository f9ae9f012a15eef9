//! `enable` and `disable`.

use super::verbs::ALL;
use super::{names, verbs};
use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::place::Place;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::units;
use crate::cli::wait::Waiting;
use crate::engine::{Command, Wait};
use crate::sys::clock::wall_ms;
use crate::wire::Final;

const EXITS: &[(Exit, &str)] = &[
    (
        Exit::Failed,
        "it could not be written down, or with --now: a unit failed",
    ),
    (Exit::NoSuchUnit, "no such unit; nothing was done"),
    (
        Exit::NoDaemon,
        "the daemon did not start, or did not answer",
    ),
];

pub(in crate::cli) const ENABLE: Row = Row {
    name: "enable",
    alias: None,
    group: Group::Services,
    arguments: "NAME…",
    count: Count::AtLeastOr(1, "--all"),
    options: &[ALL, Choice::flag("", "--now", "start them now, too")],
    summary: "have units start with the daemon",
    help: &["A unit with WantedBy= or RequiredBy= in [install] starts with those groups instead."],
    examples: &[(
        "diakonos enable --now web",
        "starts web now, and whenever the daemon starts",
    )],
    exits: EXITS,
    run: |given| {
        let names = names(given)?;
        let wait = Wait::Finished;
        let start = Command::Start {
            found: Vec::new(),
            names: names.clone(),
            wait,
        };
        run(given, "enable", [Command::Enable { names }, start])
    },
};

pub(in crate::cli) const DISABLE: Row = Row {
    name: "disable",
    alias: None,
    group: Group::Services,
    arguments: "NAME…",
    count: Count::AtLeastOr(1, "--all"),
    options: &[ALL, Choice::flag("", "--now", "stop them now, too")],
    summary: "no longer have units start with the daemon",
    help: &["Without --now, those that are up stay up."],
    examples: &[("diakonos disable web", "web starts by hand only")],
    exits: EXITS,
    run: |given| {
        let names = names(given)?;
        let wait = Wait::Finished;
        let stop = Command::Stop {
            names: names.clone(),
            wait,
        };
        run(given, "disable", [Command::Disable { names }, stop])
    },
};

/// The first command, and with `--now` the second one, too.
fn run(given: &Given, verb: &str, commands: [Command; 2]) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let mut client = place.connect_or_start()?;
    let many = if given.flag("--now") { 2 } else { 1 };
    for command in commands.into_iter().take(many) {
        let begun_ms = wall_ms();
        let purpose = format!("{verb} {}", verbs::subject(given));
        let last = Waiting::new(given, &place, purpose)
            .carry_out(&mut client, command)
            .map_err(|failure| units::with_nearest(failure, &place, &given.arguments))?;
        if let Final::Results(results) = last {
            let exit = verbs::report(given, &place, &results, begun_ms)?;
            if exit != Exit::Done {
                return Ok(exit);
            }
        }
    }
    Ok(Exit::Done)
}
