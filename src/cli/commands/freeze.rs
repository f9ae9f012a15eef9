//! `freeze` and `thaw`: services stand still, and go on.

use super::names;
use super::verbs::{ALL, FAILED, NO_SUCH, NOT_RUNNING, on_running};
use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::table::{Count, Group, Row};
use crate::engine::Command;

pub(in crate::cli) const FREEZE: Row = Row {
    name: "freeze",
    alias: None,
    group: Group::Services,
    arguments: "NAME…",
    count: Count::AtLeastOr(1, "--all"),
    options: &[ALL],
    summary: "have services stand still, with all their processes",
    help: &[
        "Every process of the service stops where it is and keeps what it has, until `thaw`. Time limits of the service \
         stand still meanwhile, and it stays frozen if the daemon dies. A stop or a restart thaws it first.",
        "Where there are no cgroups its processes get SIGSTOP, which some notice: a shell of the service's that \
         watches its jobs, for one.",
    ],
    examples: &[(
        "diakonos freeze import",
        "the disk is needed for something else",
    )],
    exits: &[FAILED, NOT_RUNNING, NO_SUCH],
    run: |given| run(given, "freeze", |names| Command::Freeze { names }),
};

pub(in crate::cli) const THAW: Row = Row {
    name: "thaw",
    alias: None,
    group: Group::Services,
    arguments: "NAME…",
    count: Count::AtLeastOr(1, "--all"),
    options: &[ALL],
    summary: "have frozen services go on",
    help: &["One that is not frozen is left alone."],
    examples: &[("diakonos thaw import", "it goes on where it stood")],
    exits: &[FAILED, NOT_RUNNING, NO_SUCH],
    run: |given| run(given, "thaw", |names| Command::Thaw { names }),
};

fn run(given: &Given, verb: &str, command: fn(Vec<String>) -> Command) -> Result<Exit, Failure> {
    let names = names(given)?;
    on_running(given, &names, (verb, command(names.clone())))
}
