//! `why`: the chain of causes that led to the state that a unit is in.

use std::fs;

use std::path::Path;

use super::{checked_names, page};
use crate::cli::args::Given;
use crate::cli::client::Client;
use crate::cli::exit::{Exit, Failure};
use crate::cli::json::Json;
use crate::cli::lint::{Delays, Reach};
use crate::cli::logtail;
use crate::cli::output::answer;
use crate::cli::place::Place;
use crate::cli::render::{self, Item, Why};
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::{record, units, why};
use crate::daemon::unit_context;
use crate::engine::{Command, RestartPlan, restart_plan};
use crate::unit::{self, UnitName};
use crate::wire::UnitStatus;
use crate::wire::record::Entry;

/// Delays after the next try that are told.
const DELAYS: u32 = 4;
/// Lines that are shown of a run that has failed.
const LOG_LINES: usize = 5;

pub(in crate::cli) const ROW: Row = Row {
    name: "why",
    alias: None,
    group: Group::Looking,
    arguments: "NAME…",
    count: Count::AtLeast(1),
    options: &[Choice::flag(
        "",
        "--json",
        "an array of objects, one for each unit",
    )],
    summary: "the chain of causes behind the state that a unit is in",
    help: &[
        "What the unit's state goes back to: a wish and who had it (user, PID, command line), the end of a process, a \
         time limit that has passed, or what became of another unit, and by which dependency. Below it each step, the \
         youngest first. For a unit that waits: what for, and until when. For one that restarts: the delays to come.",
        "The steps come from the record of events, see `events`. Where it does not go back far enough, that is said.",
        "Does not start a daemon, unless one has died and left its services behind.",
    ],
    examples: &[
        ("diakonos why web", "why is it in this state?"),
        ("diakonos why '*'", "the same of all units"),
    ],
    exits: &[(Exit::NoSuchUnit, "no such unit")],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    let names = checked_names(&given.arguments)?;
    let place = Place::find(given)?;
    let mut client = place.connect_or_succeed()?;
    let has_daemon = client.is_some();
    let items = units::look_up(&place, client.as_mut(), &names)?;
    let record = record::all(&place.home)?;
    let mut all = Vec::new();
    for item in &items {
        let mut awaited = Vec::new();
        if let Some(client) = client.as_mut() {
            awaited = others(&item.status, client, &place);
        }
        let log = place.home.logs().join(format!("{}.log", item.status.name));
        all.push(Why {
            has_log: fs::metadata(log).is_ok_and(|log| log.len() > 0),
            ..explain(item, (&record, awaited), has_daemon)
        });
    }
    let page = page(given);
    if given.flag("--json") {
        let json = all.iter().map(render::why_json).collect();
        answer(Json::List(json).document())?;
    } else {
        let text = |why: &Why<'_>| {
            let words = logtail::before_failure(&place.home, &why.item.status, LOG_LINES);
            format!("{}{}", render::why(why, page), render::words(&words, page))
        };
        let texts: Vec<String> = all.iter().map(text).collect();
        answer(texts.join("\n"))?;
    }
    Ok(Exit::Done)
}

fn explain<'a>(
    item: &'a Item,
    (record, awaited): (&'a [Entry], Vec<UnitStatus>),
    has_daemon: bool,
) -> Why<'a> {
    Why {
        chain: why::chain(&item.status, record),
        setbacks: why::setbacks(&item.status.name, record),
        refused: why::refusal(&item.status.name, record),
        awaited,
        plan: plan(&item.status),
        begins_ms: record.first().map(|first| first.at_ms),
        has_daemon,
        has_log: false,
        item,
    }
}

/// What it waits for. Whoever has gone meanwhile is not described.
fn others(status: &UnitStatus, client: &mut Client, place: &Place) -> Vec<UnitStatus> {
    let names = status.waits_for.clone();
    if names.is_empty() {
        return Vec::new();
    }
    let found = client.units(Command::Status { names }, &place.directories);
    found.unwrap_or_default()
}

/// The delays after the next try, by the unit's file.
fn plan(status: &UnitStatus) -> Option<RestartPlan> {
    let name = UnitName::parse(&format!("{}.service", status.name)).ok()?;
    let unit = unit::load_file(Path::new(&status.file), &name, &unit_context()).ok()?;
    let service = unit.service.as_deref()?;
    // The next one's is running already.
    let done = status.restarts.saturating_add(1);
    let mut plan = restart_plan(
        unit.start_limit,
        &service.restart,
        done.saturating_add(DELAYS),
    );
    let skipped = usize::try_from(done).unwrap_or(usize::MAX);
    plan.delays_ms = plan.delays_ms.into_iter().skip(skipped).collect();
    // A limit that these delays never come to does not end anything.
    let limit = Delays::of(&unit, service).and_then(|delays| delays.limit);
    let is_reached = limit.is_some_and(|limit| limit.reach == Reach::Reached);
    plan.limit = plan.limit.filter(|_| is_reached);
    Some(plan)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_limit_that_is_never_reached_is_not_forecast() {
        let name = format!("diakonos-why-{}.service", std::process::id());
        let file = std::env::temp_dir().join(name);
        let limit = |keys: &str| {
            let text = format!("[service]\nExecStart = \"/bin/true\"\n{keys}\n");
            std::fs::write(&file, text).unwrap();
            let status = UnitStatus {
                name: "web".to_owned(),
                file: file.display().to_string(),
                ..UnitStatus::default()
            };
            plan(&status).unwrap().limit
        };
        let slow = limit("Restart = \"on-failure\"\nRestartSec = 60");
        let fast = limit("Restart = \"on-failure\"\nRestartSec = 1");
        std::fs::remove_file(&file).unwrap();
        assert_eq!((slow, fast), (None, Some((5, 10_000))));
    }
}
