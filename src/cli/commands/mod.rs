//! The commands: each file holds its rows of the table and what they do.

pub(super) mod blame;
pub(super) mod cat;
pub(super) mod check;
pub(super) mod daemon;
mod daemon_logs;
pub(super) mod diff;
pub(super) mod edit;
pub(super) mod enable;
pub(super) mod events;
pub(super) mod freeze;
pub(super) mod help;
pub(super) mod list;
pub(super) mod logs;
pub(super) mod plan;
pub(super) mod probe;
pub(super) mod rolling;
pub(super) mod run;
pub(super) mod scale;
pub(super) mod schema;
pub(super) mod set;
pub(super) mod show;
pub(super) mod startup;
pub(super) mod status;
pub(super) mod tree;
pub(super) mod up;
pub(super) mod upgrade;
pub(super) mod verbs;
pub(super) mod why;

use super::args::Given;
use super::exit::{Exit, Failure};
use super::render::Page;
use crate::sys::clock::wall_ms;
use crate::unit::{UnitName, glob};

/// The names or patterns given, checked, without `.service`; `*` for `--all`.
fn names(given: &Given) -> Result<Vec<String>, Failure> {
    if given.flag("--all") {
        return Ok(vec!["*".to_owned()]);
    }
    checked_names(&given.arguments)
}

pub(super) fn checked_names(arguments: &[String]) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = Vec::new();
    for argument in arguments {
        let name = if glob::is_pattern(argument) {
            argument
                .strip_suffix(".service")
                .unwrap_or(argument)
                .to_owned()
        } else {
            UnitName::parse(argument).map_err(refused)?.to_string()
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn refused(error: impl std::fmt::Display) -> Failure {
    Failure::usage(error.to_string())
        .hint("a unit is named by its file without `.service`; --service-dir names the folder")
}

/// What the answer of a command is rendered for.
fn page(given: &Given) -> Page {
    use std::os::fd::AsFd as _;
    let width = crate::sys::terminal::width(std::io::stdout().as_fd());
    Page {
        palette: given.palette(),
        width: width.map(usize::from),
        now_ms: wall_ms(),
    }
}

/// Nobody runs a daemon: nothing is up, which is what was asked for.
fn nothing_runs(what: &str) -> Result<Exit, Failure> {
    super::output::answer(format!("no daemon runs: {what}\n"))?;
    Ok(Exit::Done)
}
