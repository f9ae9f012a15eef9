//! `check`: unit files and their graph, without a daemon.

use std::path::{Path, PathBuf};

use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::answer;
use crate::cli::place::Place;
use crate::cli::table::{Count, Group, Row};

pub(in crate::cli) const ROW: Row = Row {
    name: "check",
    alias: None,
    group: Group::Files,
    arguments: "[FILE…]",
    count: Count::Any,
    options: &[],
    summary: "find mistakes in unit files and their dependencies",
    help: &[
        "Without a file: every unit file of the service folders. Shows each mistake with its place, and looks further than \
         the file: a cycle in the order, a dependency that has no file, a program that is not there, a user that does not \
         exist, Requires= without After=. For each service that is restarted it prints the real delays.",
        "Asks no daemon and starts none.",
    ],
    examples: &[
        ("diakonos check", "all of ./services"),
        ("diakonos check web.service", "one file, with its folder for its dependencies"),
    ],
    exits: &[
        (Exit::Done, "no mistake; there may be warnings"),
        (Exit::Failed, "there are mistakes"),
    ],
    run,
};
