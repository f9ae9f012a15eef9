//! `scale`: more or fewer instances of a template.

use super::verbs::{self, DETACHED, FAILED, NO_DAEMON, NO_SUCH, NO_WAIT};
use crate::cli::args::Given;
use crate::cli::client::Client;
use crate::cli::exit::{Exit, Failure};
use crate::cli::place::Place;
use crate::cli::sequence::Sequence;
use crate::cli::table::{Count, Group, Row};
use crate::cli::text::clean;
use crate::cli::units::{self, is_down};
use crate::cli::wait::Waiting;
use crate::engine::{Command, State, Wait};
use crate::sorted;
use crate::sys::clock::wall_ms;
use crate::unit::{INSTANCES_MAX, UnitName};
use crate::wire::{Final, UnitStatus};

pub(in crate::cli) const ROW: Row = Row {
    name: "scale",
    alias: None,
    group: Group::Services,
    arguments: "NAME N",
    count: Count::AtLeast(2),
    options: &[NO_WAIT],
    summary: "have N instances of a template: NAME@1 to NAME@N",
    help: &[
        "Starts the instances that are missing, the lowest number first, and stops those beyond N, the highest first; \
         each when the one before is ready, or down. It ends at the first that fails. Ctrl-C ends it after the one at hand. \
         With --no-wait all are asked for at once.",
        "The number takes the place of Instances= in the template's file, also after the end of the daemon and of the \
         machine: `start NAME@`, `enable NAME@` and patterns such as 'NAME@*' mean so many. Scaled to what the file says, \
         it follows the file again. Instances with other names, such as NAME@blue, are left alone.",
    ],
    examples: &[
        ("diakonos scale worker 4", "worker@1 to worker@4 run"),
        ("diakonos scale worker@ 0", "none of them does"),
    ],
    exits: &[FAILED, NO_SUCH, NO_DAEMON, DETACHED],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    let (name, count) = wanted(given)?;
    let place = Place::find(given)?;
    let mut client = place.connect_or_start()?;
    let begun_ms = wall_ms();
    let last = Waiting::new(given, &place, format!("scale {name}"))
        .carry_out(&mut client, Command::Scale { name, count })
        .map_err(|failure| units::with_nearest(failure, &place, &given.arguments[..1]))?;
    let Final::Results(results) = last else {
        return Err(crate::cli::client::other_answer());
    };
    let template = results
        .first()
        .and_then(|result| UnitName::parse(&result.unit).ok());
    let template = template.ok_or_else(crate::cli::client::other_answer)?;
    verbs::report(given, &place, &results, begun_ms)?;
    let known = client.units(Command::List, &place.directories)?;
    let surplus = surplus(&template, count, &known);
    let missing = missing(&template, count, &known);
    if given.flag("--no-wait") {
        return ask_at_once(given, &place, &mut client, (missing, surplus));
    }
    let again = |_: &[&str]| format!("diakonos scale {template} {count}");
    let row = |verb, done, left| Sequence {
        given,
        place: &place,
        verb,
        done,
        left,
    };
    let wait = Wait::Finished;
    let stops = surplus.into_iter().map(|name| {
        let names = vec![name.clone()];
        (name, Command::Stop { names, wait })
    });
    let starts = missing.into_iter().map(|name| {
        let (names, found) = (vec![name.clone()], Vec::new());
        (name, Command::Start { names, found, wait })
    });
    let (stops, starts): (Vec<_>, Vec<_>) = (stops.collect(), starts.collect());
    let exit = row("stop", "stopped", "not stopped").run(&mut client, &stops, &again)?;
    if exit != Exit::Done {
        return Ok(exit);
    }
    row("start", "started", "not started").run(&mut client, &starts, &again)
}

fn wanted(given: &Given) -> Result<(String, u32), Failure> {
    let [name, count] = given.arguments.as_slice() else {
        return Err(
            Failure::usage("`diakonos scale` takes one NAME and a number")
                .hint("usage: diakonos scale NAME N"),
        );
    };
    match count.parse() {
        Ok(number) if number <= INSTANCES_MAX => Ok((name.clone(), number)),
        _ => {
            let message = format!(
                "`{}` is no number of instances: it is 0 to {INSTANCES_MAX}",
                clean(count)
            );
            Err(Failure::usage(message).hint("usage: diakonos scale NAME N"))
        }
    }
}

/// The instances beyond this number that are not down, the highest first.
fn surplus(template: &UnitName, count: u32, known: &[UnitStatus]) -> Vec<String> {
    let up = known.iter().filter(|status| !is_down(status));
    let names = up.filter_map(|status| UnitName::parse(&status.name).ok());
    let mut names: Vec<UnitName> = names
        .filter(|name| name.template().as_ref() == Some(template))
        .filter(|name| name.number().is_some_and(|number| number > count))
        .collect();
    sorted::sort_by(&mut names, |one, other| other.by_number(one));
    names.iter().map(ToString::to_string).collect()
}

/// The instances up to this number that are down, the lowest first. One that has run to its end is not missing.
fn missing(template: &UnitName, count: u32, known: &[UnitStatus]) -> Vec<String> {
    let numbers = (1..=count).filter_map(|number| template.numbered(number));
    let names = numbers.map(|name| name.to_string());
    let is_missing = |name: &String| {
        let status = known.iter().find(|status| status.name == *name);
        status.is_none_or(|status| is_down(status) && status.state != State::Completed.word())
    };
    names.filter(is_missing).collect()
}

/// All of it in two requests, that nobody waits for.
fn ask_at_once(
    given: &Given,
    place: &Place,
    client: &mut Client,
    (missing, surplus): (Vec<String>, Vec<String>),
) -> Result<Exit, Failure> {
    let wait = Wait::Accepted;
    let stop = Command::Stop {
        names: surplus.clone(),
        wait,
    };
    let start = Command::Start {
        names: missing.clone(),
        found: Vec::new(),
        wait,
    };
    for (names, command) in [(surplus, stop), (missing, start)] {
        if names.is_empty() {
            continue;
        }
        let begun_ms = wall_ms();
        if let Final::Results(results) = client.ask(command, &place.directories)? {
            let exit = verbs::report(given, place, &results, begun_ms)?;
            if exit != Exit::Done {
                return Ok(exit);
            }
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_missing_comes_from_below_and_what_is_too_much_goes_from_above() {
        let status = |name: &str, state: State| UnitStatus {
            name: name.to_owned(),
            state: state.word().to_owned(),
            ..UnitStatus::default()
        };
        let known = [
            status("w@1", State::Running),
            status("w@2", State::Failed),
            status("w@3", State::Completed),
            status("w@4", State::Backoff),
            status("w@10", State::Exited),
            status("w@9", State::Running),
            status("w@8", State::Stopped),
            status("w@blue", State::Running),
            status("v@5", State::Running),
        ];
        let template = UnitName::parse("w@").unwrap();
        assert_eq!(missing(&template, 3, &known), ["w@2"]);
        assert_eq!(surplus(&template, 3, &known), ["w@10", "w@9", "w@4"]);
        assert_eq!(missing(&template, 6, &known), ["w@2", "w@5", "w@6"]);
        assert_eq!(surplus(&template, 0, &known), ["w@10", "w@9", "w@4", "w@1"]);
        assert!(missing(&template, 0, &known).is_empty());
    }
}
