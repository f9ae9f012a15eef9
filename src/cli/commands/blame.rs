//! `blame`: what took how long to start.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{checked_names, page};
use crate::cli::args::Given;
use crate::cli::blame::{Link, Start, critical_chain, failed_start, starts};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{answer, aside};
use crate::cli::place::Place;
use crate::cli::record;
use crate::cli::render::{self, Blame};
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::text::{clean, date};
use crate::daemon::unit_context;
use crate::engine::Command;
use crate::sorted::Sorted;
use crate::unit::{self, Unit, UnitName, glob};
use crate::wire::record::{Entry, What};

pub(in crate::cli) const ROW: Row = Row {
    name: "blame",
    alias: None,
    group: Group::Looking,
    arguments: "[NAME…]",
    count: Count::Any,
    options: &[Choice::flag("", "--json", "one object: units and chain")],
    summary: "what took how long to start, and the critical chain",
    help: &[
        "For each unit its last start: the time from its turn until it was up, the slowest first. What it waited for in \
         order is not counted. Below it the critical chain of the unit that was up last, or of NAME: at each step, the \
         one among those that it comes after (`After`, `Before`) that was up last before its turn came.",
        "The times come from the record of events, see `events`; the order from the unit files as they are now.",
    ],
    examples: &[
        ("diakonos blame", "what made the start slow?"),
        ("diakonos blame web", "what did web wait for?"),
    ],
    exits: &[
        (Exit::Failed, "the last start of that unit came to nothing"),
        (Exit::NoSuchUnit, "no start of such a unit is in the record"),
    ],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    let names = checked_names(&given.arguments)?;
    let place = Place::find(given)?;
    let record = record::all(&place.home)?;
    let all = starts(&record);
    let is_meant = |unit: &str| {
        let fits = |name: &String| match glob::is_pattern(name) {
            true => glob::matches(name, unit),
            false => name == unit,
        };
        names.is_empty() || names.iter().any(fits)
    };
    let meant = all.iter().filter(|(name, _)| is_meant(name));
    let shown: BTreeMap<String, Start> = meant
        .map(|(name, start)| (name.clone(), *start))
        .sorted_map();
    let failed = names
        .iter()
        .find_map(|name| Some((name, failed_start(name, &record)?)));
    if let (true, Some((name, (at_ms, change)))) = (shown.is_empty(), failed) {
        let (from, to, text) = (&change.from, &change.to, clean(&change.text));
        let since = date(at_ms);
        let message = format!("{name} did not come up: {from} -> {to} on {since}: {text}");
        return Err(
            Failure::new(Exit::Failed, message).hint(format!("`diakonos why {name}` says more"))
        );
    }
    if shown.is_empty() && !names.is_empty() {
        let message = format!("no start of {} is in the record", names.join(", "));
        return Err(Failure::new(Exit::NoSuchUnit, message)
            .hint("`diakonos events` shows what is; `diakonos why` says more"));
    }
    if shown.is_empty() {
        aside("no start is in the record\n");
    }
    let last = shown.iter().max_by_key(|(_, start)| start.up_ms);
    let units = known_units(&place)?;
    let after = |name: &str| firsts(name, &units);
    let chain = last.map_or_else(Vec::new, |(name, _)| critical_chain(name, &all, &after));
    let blame = Blame {
        starts: &shown,
        since_ms: since(&chain, &record),
        chain: &chain,
    };
    if given.flag("--json") {
        answer(render::blame_json(&blame).document())?;
    } else {
        answer(render::blame(&blame, page(given)))?;
    }
    Ok(Exit::Done)
}

/// From when on the chain is told: from the wish that its last unit goes back to, or from when that was wanted.
fn since(chain: &[Link], record: &[Entry]) -> u64 {
    let Some(last) = chain.first() else {
        return 0;
    };
    let mut because = last.start.because;
    while let Some(id) = because {
        let place = record.binary_search_by_key(&id, |entry| entry.id).ok();
        let Some(entry) = place.and_then(|place| record.get(place)) else {
            break;
        };
        because = match &entry.what {
            What::Request(_) => return entry.at_ms,
            What::Change(change) => change.because.filter(|older| *older < id),
            What::Daemon(_) => None,
        };
    }
    last.start.wanted_ms
}

/// Every unit whose file can be read: those that the daemon has loaded, wherever their files lie, and those of the
/// search path.
fn known_units(place: &Place) -> Result<Vec<Unit>, Failure> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for listed in place.search_path().list().units {
        files.insert(listed.name.to_string(), listed.found.path);
    }
    if let Some(mut client) = place.connect()? {
        for status in client.units(Command::List, &place.directories)? {
            files.insert(status.name, PathBuf::from(status.file));
        }
    }
    let context = unit_context();
    let read = |(name, file): (&String, &PathBuf)| {
        let name = UnitName::parse(&format!("{name}.service")).ok()?;
        unit::load_file(file, &name, &context).ok()
    };
    Ok(files.iter().filter_map(read).collect())
}

/// What a unit comes after.
fn firsts(name: &str, units: &[Unit]) -> Vec<String> {
    let Ok(name) = UnitName::parse(&format!("{name}.service")) else {
        return Vec::new();
    };
    let own = units.iter().filter(|unit| unit.name == name);
    let mut firsts: Vec<String> = own
        .flat_map(|unit| &unit.after)
        .map(ToString::to_string)
        .collect();
    let before = units.iter().filter(|unit| unit.before.contains(&name));
    firsts.extend(before.map(|unit| unit.name.to_string()));
    firsts
}
