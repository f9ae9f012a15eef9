//! `restart --rolling`: one after the other, each ready before the next, so that the others serve meanwhile.

use super::names;
use crate::cli::args::Given;
use crate::cli::client::Client;
use crate::cli::exit::{Exit, Failure};
use crate::cli::place::Place;
use crate::cli::sequence::Sequence;
use crate::cli::units;
use crate::engine::{Command, Scope, Wait};
use crate::unit::{UnitName, glob};

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
    let steps = units_meant(given, place, client)?.into_iter().map(|name| {
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
        left: "as before",
    };
    let again = |left: &[&str]| format!("diakonos restart --rolling{only} {}", left.join(" "));
    sequence.run(client, &steps, &again)
}

/// Which units the names, templates and patterns mean, each once.
fn units_meant(given: &Given, place: &Place, client: &mut Client) -> Result<Vec<String>, Failure> {
    let loaded = client.units(Command::List, &place.directories)?;
    let mut meant: Vec<String> = Vec::new();
    for name in names(given)? {
        let found = if glob::is_pattern(&name) {
            let mut matching: Vec<UnitName> = loaded
                .iter()
                .filter(|status| glob::matches(&name, &status.name))
                .filter_map(|status| UnitName::parse(&status.name).ok())
                .collect();
            matching.sort_by(UnitName::by_number);
            if matching.is_empty() && name != "*" {
                let message = format!("no unit matches `{name}`");
                return Err(Failure::new(Exit::NoSuchUnit, message)
                    .hint("a pattern means units that the daemon has loaded"));
            }
            matching.iter().map(ToString::to_string).collect()
        } else {
            let names = vec![name];
            let asked = client.units(Command::Status { names }, &place.directories);
            let asked =
                asked.map_err(|failure| units::with_nearest(failure, place, &given.arguments))?;
            let names = asked.into_iter().map(|status| status.name);
            names.collect::<Vec<String>>()
        };
        for name in found {
            if !meant.contains(&name) {
                meant.push(name);
            }
        }
    }
    Ok(meant)
}
