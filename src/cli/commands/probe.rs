//! For scripts: `is-active`, `is-failed`, `is-enabled`, `pid`. None of them starts the daemon.

use super::names;
use super::verbs::ALL;
use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{answer, aside};
use crate::cli::place::Place;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::text::clean;
use crate::cli::units;
use crate::wire::UnitStatus;

const OPTIONS: &[Choice] = &[
    ALL,
    Choice::flag("-q", "--quiet", "print nothing; the exit code says it"),
];

pub(in crate::cli) const IS_ACTIVE: Row = Row {
    name: "is-active",
    alias: None,
    group: Group::Scripts,
    arguments: "NAME…",
    count: Count::AtLeastOr(1, "--all"),
    options: OPTIONS,
    summary: "whether one of the units is up",
    help: &[
        "Prints systemd's word for the state of each: active, reloading, inactive, failed, activating or deactivating. Does \
         not start the daemon: without one, all units are inactive.",
    ],
    examples: &[(
        "diakonos is-active -q web && echo up",
        "asks, and prints nothing itself",
    )],
    exits: &[
        (Exit::Done, "at least one is active or reloading"),
        (Exit::NotRunning, "none is"),
        (Exit::NoSuchUnit, "no such unit"),
    ],
    run: |given| {
        let word = |status: &UnitStatus| status.active.clone();
        probe(given, word, units::is_active, Exit::NotRunning)
    },
};

pub(in crate::cli) const IS_FAILED: Row = Row {
    name: "is-failed",
    alias: None,
    group: Group::Scripts,
    arguments: "NAME…",
    count: Count::AtLeastOr(1, "--all"),
    options: OPTIONS,
    summary: "whether one of the units has failed",
    help: &["Prints systemd's word for the state of each, as is-active does."],
    examples: &[("diakonos is-failed web", "prints the state")],
    exits: &[
        (Exit::Done, "at least one has failed"),
        (Exit::Failed, "none has"),
        (Exit::NoSuchUnit, "no such unit"),
    ],
    run: |given| {
        let word = |status: &UnitStatus| status.active.clone();
        probe(
            given,
            word,
            |status| status.active == "failed",
            Exit::Failed,
        )
    },
};

pub(in crate::cli) const IS_ENABLED: Row = Row {
    name: "is-enabled",
    alias: None,
    group: Group::Scripts,
    arguments: "NAME…",
    count: Count::AtLeastOr(1, "--all"),
    options: OPTIONS,
    summary: "whether one of the units starts with the daemon",
    help: &["Prints `enabled` or `disabled` for each."],
    examples: &[],
    exits: &[
        (Exit::Done, "at least one is enabled"),
        (Exit::Failed, "none is"),
        (Exit::NoSuchUnit, "no such unit"),
    ],
    run: |given| {
        let word = |status: &UnitStatus| match status.enabled {
            true => "enabled".to_owned(),
            false => "disabled".to_owned(),
        };
        probe(given, word, |status| status.enabled, Exit::Failed)
    },
};

pub(in crate::cli) const PID: Row = Row {
    name: "pid",
    alias: None,
    group: Group::Scripts,
    arguments: "NAME…",
    count: Count::AtLeast(1),
    options: &[],
    summary: "print the PID of each unit's main process",
    help: &["One line for each unit that has a main process now."],
    examples: &[(
        "kill -USR2 $(diakonos pid web)",
        "what `diakonos signal USR2 web` does too",
    )],
    exits: &[
        (Exit::NotRunning, "one of them has no main process"),
        (Exit::NoSuchUnit, "no such unit"),
    ],
    run: |given| {
        let statuses = statuses(given)?;
        let pids: Vec<u32> = statuses.iter().filter_map(|status| status.pid).collect();
        answer(
            pids.iter()
                .map(|pid| format!("{pid}\n"))
                .collect::<String>(),
        )?;
        for status in statuses.iter().filter(|status| status.pid.is_none()) {
            let (name, state) = (clean(&status.name), clean(&status.state));
            aside(&format!("{name} has no main process: it is {state}\n"));
        }
        Ok(if pids.len() == statuses.len() {
            Exit::Done
        } else {
            Exit::NotRunning
        })
    },
};

fn statuses(given: &Given) -> Result<Vec<UnitStatus>, Failure> {
    let names = names(given)?;
    let place = Place::find(given)?;
    let mut client = place.connect_or_succeed()?;
    let items = units::look_up(&place, client.as_mut(), &names)?;
    Ok(items.into_iter().map(|item| item.status).collect())
}

/// Prints a word for each unit; done if the test holds for one of them.
fn probe(
    given: &Given,
    word: fn(&UnitStatus) -> String,
    test: fn(&UnitStatus) -> bool,
    otherwise: Exit,
) -> Result<Exit, Failure> {
    let statuses = statuses(given)?;
    if !given.flag("--quiet") {
        answer(
            statuses
                .iter()
                .map(|status| word(status) + "\n")
                .collect::<String>(),
        )?;
    }
    Ok(if statuses.iter().any(test) {
        Exit::Done
    } else {
        otherwise
    })
}
