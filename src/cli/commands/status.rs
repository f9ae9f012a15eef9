//! `status`.

use super::{checked_names, page};
use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::json::Json;
use crate::cli::logtail;
use crate::cli::output::{answer, aside};
use crate::cli::past;
use crate::cli::place::Place;
use crate::cli::render;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::units;
use crate::wire::UnitStatus;

/// Log lines that are shown.
const LOG_LINES: usize = 10;

pub(in crate::cli) const ROW: Row = Row {
    name: "status",
    alias: None,
    group: Group::Looking,
    arguments: "[NAME…]",
    count: Count::Any,
    options: &[Choice::flag(
        "",
        "--json",
        "an array of objects, one for each unit",
    )],
    summary: "show units in full: state and why, processes, log",
    help: &[
        "State, since when and why, what it waits for, its file, its processes as a tree, CPU, memory, how it last ended, \
         when it is tried again, and its last log lines. Without a name: every unit that is loaded and not stopped.",
        "Does not start a daemon, unless one has died and left its services behind.",
    ],
    examples: &[("diakonos status web", "everything about web")],
    exits: &[
        (Exit::Done, "each of the units is up"),
        (Exit::NotRunning, "one of them is not up, or no daemon runs"),
        (Exit::NoSuchUnit, "no such unit"),
    ],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    let names = checked_names(&given.arguments)?;
    let place = Place::find(given)?;
    let mut client = place.connect_or_succeed()?;
    let no_daemon = client.is_none();
    if no_daemon {
        aside("no daemon runs, so no service does\n");
    }
    let mut items = if names.is_empty() {
        let templates = units::Templates::Hidden;
        let mut items = units::gather(&place, client.as_mut(), templates)?;
        let is_idle =
            |status: &UnitStatus| status.state == "stopped" && status.left_over.is_empty();
        items.retain(|item| !is_idle(&item.status));
        items
    } else {
        units::look_up(&place, client.as_mut(), &names)?
    };
    past::add(&mut items, &place.home);
    units::measure(&mut items);
    let page = page(given);
    let log = |item: &render::Item| logtail::last(&place.home, &item.status, LOG_LINES);
    if given.flag("--json") {
        let json = |item: &render::Item| render::status_json(item, &log(item), page.now_ms);
        answer(Json::List(items.iter().map(json).collect()).document())?;
    } else {
        let text = |item: &render::Item| render::status(item, &log(item), page);
        answer(items.iter().map(text).collect::<Vec<_>>().join("\n"))?;
    }
    let named = !names.is_empty();
    let all_up = items.iter().all(|item| units::is_active(&item.status));
    Ok(if no_daemon || (named && !all_up) {
        Exit::NotRunning
    } else {
        Exit::Done
    })
}
