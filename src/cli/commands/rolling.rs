//! `restart --rolling`: one after the other, each ready before the next, so that the others serve meanwhile.

use super::{names, verbs};
use crate::cli::args::Given;
use crate::cli::client::Client;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::answer;
use crate::cli::place::Place;
use crate::cli::sequence::Sequence;
use crate::cli::units::{self, is_down};
use crate::engine::{Command, Scope, Wait};
use crate::unit::glob;
use crate::wire::UnitStatus;

/// Restarts the units in the order asked; those of a pattern by their names and numbers.
pub(super) fn restart(
    given: &Given,
    place: &Place,
    client: &mut Client,
    scope: Scope,
) -> Result<Exit, Failure> {
    if given.flag("--no-wait") {
        return Err(Failure::usage(
            "--rolling waits for each unit before the next: not with --no-wait",
        ));
    }
    let mut meant = units_meant(given, place, client)?;
    // The daemon leaves those alone, and nobody is to read that they are new.
    meant.retain(|status| scope == Scope::All || !is_down(status));
    if meant.is_empty() {
        return nothing_runs_of(given);
    }
    let steps = meant.into_iter().map(|status| {
        let name = status.name;
        let names = vec![name.clone()];
        let wait = Wait::Finished;
        (name, Command::Restart { names, wait, scope })
    });
    let steps: Vec<(String, Command)> = steps.collect();
    let only = match scope {
        Scope::All => "",
        Scope::Running => " --if-running",
    };
    let sequence = Sequence {
        given,
        place,
        verb: "restart",
        done: "new",
        left: "not come to",
    };
    let again = |left: &[&str]| format!("diakonos restart --rolling{only} {}", left.join(" "));
    sequence.run(client, &steps, &again)
}

/// Which units the names, templates and patterns mean, each once.
fn units_meant(
    given: &Given,
    place: &Place,
    client: &mut Client,
) -> Result<Vec<UnitStatus>, Failure> {
    let loaded = client.units(Command::List, &place.directories)?;
    let mut meant: Vec<UnitStatus> = Vec::new();
    for name in names(given)? {
        let found = if glob::is_pattern(&name) {
            let matching = loaded
                .iter()
                .filter(|status| glob::matches(&name, &status.name));
            let mut matching: Vec<UnitStatus> = matching.cloned().collect();
            units::sort(&mut matching, |status| &status.name);
            if matching.is_empty() && name != "*" {
                let message = format!("no unit matches `{name}`");
                return Err(Failure::new(Exit::NoSuchUnit, message)
                    .hint("a pattern means units that the daemon has loaded"));
            }
            matching
        } else {
            let names = vec![name];
            let asked = client.units(Command::Status { names }, &place.directories);
            asked.map_err(|failure| units::with_nearest(failure, place, &given.arguments))?
        };
        for status in found {
            if !meant.iter().any(|known| known.name == status.name) {
                meant.push(status);
            }
        }
    }
    Ok(meant)
}

/// What was asked for is so already.
fn nothing_runs_of(given: &Given) -> Result<Exit, Failure> {
    answer(format!("{}: nothing to restart\n", verbs::subject(given)))?;
    Ok(Exit::Done)
}
