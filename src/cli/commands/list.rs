//! `list`.

use super::page;
use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{answer, aside, hint_line};
use crate::cli::past;
use crate::cli::place::Place;
use crate::cli::render;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::units::{self, Templates};
use crate::daemon::Scales;
use crate::unit::UnitName;

pub(in crate::cli) const ROW: Row = Row {
    name: "list",
    alias: Some("ls"),
    group: Group::Looking,
    arguments: "",
    count: Count::None,
    options: &[
        Choice::flag("-a", "--all", "templates too"),
        Choice::flag("", "--json", "an array of objects, one for each unit"),
    ],
    summary: "show all units: state, PID, uptime, restarts, CPU, memory",
    help: &[
        "Shows the units that the daemon has loaded and those whose files lie in the service folders; a unit that was never \
         started is `stopped`, one whose file is wrong or gone is `error`. What needs a look is said below the table.",
        "CPU is the average since the service came up, in per cent of one CPU; memory and CPU count all processes of the \
         service.",
        "States: stopped, waiting (for what is ordered before it), starting, running, exited (a oneshot that remains), \
         completed (ended well, not restarted), reloading, stopping, restarting (waits for its next automatic start), \
         failed.",
    ],
    examples: &[
        ("diakonos list", "the table"),
        (
            "diakonos --service-dir /srv/units list --json",
            "for programs",
        ),
    ],
    exits: &[(
        Exit::NoDaemon,
        "the daemon did not start, or did not answer",
    )],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let mut client = place.connect_or_start()?;
    let templates = if given.flag("--all") {
        Templates::Shown
    } else {
        Templates::Hidden
    };
    let mut items = units::gather(&place, Some(&mut client), templates)?;
    past::add_refusals(&mut items, &place.home);
    units::measure(&mut items);
    let page = page(given);
    if given.flag("--json") {
        answer(render::list_json(&items, page.now_ms).document())?;
    } else if items.is_empty() {
        nothing(&place);
    } else {
        answer(render::list(&items, page))?;
    }
    Ok(Exit::Done)
}

/// Says why the table is empty: a template without instances has no line in it.
fn nothing(place: &Place) {
    let scales = Scales::read(place.home.scales());
    let listing = place.search_path().list();
    let templates = listing.units.iter().map(|listed| &listed.name);
    let reason = |name: &UnitName| match scales.count(name) {
        Some(0) => format!("{name} is scaled to 0"),
        _ => format!("{name} has no instances"),
    };
    let reasons: Vec<String> = templates.clone().map(reason).collect();
    let Some(first) = templates.clone().next() else {
        let folders = place.shown_directories();
        aside(&format!("no units: nothing lies in {folders}\n"));
        return;
    };
    aside(&format!("no units: {}\n", reasons.join(", ")));
    let hint = format!("`diakonos scale {first} 2` makes two; `diakonos list --all` shows it");
    aside(&hint_line(&hint, place.palette));
}
