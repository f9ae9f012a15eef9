//! `logs --rotate` and `logs --flush`: logs that are begun anew, by the daemon that writes them, or by ourselves where
//! none runs.

use super::args::Given;
use super::client::other_answer;
use super::commands::verbs::report;
use super::exit::{Exit, Failure};
use super::output::aside;
use super::place::{Place, home_hint};
use super::wait::Waiting;
use crate::daemon::{clear_rest, tend_unwritten, untended};
use crate::engine::{Command, LogWish};
use crate::log::{Limits, Stranded};
use crate::sys::clock::wall_ms;
use crate::sys::files;
use crate::sys::process::error_text;
use crate::wire::{Final, ResultKind, UnitResult};

/// What is wished for, if it is that; nothing of the logs is shown then.
pub(super) fn wish(given: &Given) -> Result<Option<LogWish>, Failure> {
    let wishes = [("--rotate", LogWish::Rotate), ("--flush", LogWish::Clear)];
    let Some((option, wish)) = wishes.into_iter().find(|(option, _)| given.flag(option)) else {
        return Ok(None);
    };
    let is_given = |option: &str| given.flag(option) || given.value(option).is_some();
    let mut others = given.row.options.iter().map(|choice| choice.long);
    match others.find(|other| *other != option && is_given(other)) {
        None => Ok(Some(wish)),
        Some(other) => Err(
            Failure::usage(format!("{option} and {other} do not go together")).hint(match other {
                "--flush" => "--flush removes also what --rotate would set aside".to_owned(),
                _ => format!("{option} shows no log"),
            }),
        ),
    }
}

/// Begins the logs of `names` anew.
pub(super) fn tend(
    given: &Given,
    place: &Place,
    names: Vec<String>,
    wish: LogWish,
) -> Result<Exit, Failure> {
    if names.is_empty() {
        aside("no service has a log yet\n");
        return Ok(Exit::Done);
    }
    let begun_ms = wall_ms();
    let results = match place.connect_or_succeed()? {
        Some(mut client) => {
            let purpose = match wish {
                LogWish::Rotate => "rotate the logs",
                LogWish::Clear => "empty the logs",
            };
            let mut waiting = Waiting::new(given, place, purpose.to_owned());
            match waiting.carry_out(&mut client, Command::Logs { names, wish })? {
                Final::Results(results) => results,
                _ => return Err(other_answer()),
            }
        }
        None => alone(place, &names, wish)?,
    };
    report(given, place, &results, begun_ms)
}

/// The same without a daemon, and such that none is made meanwhile.
fn alone(place: &Place, names: &[String], wish: LogWish) -> Result<Vec<UnitResult>, Failure> {
    let (root, logs) = (place.home.root(), place.home.logs());
    let failed = |error: std::io::Error| {
        let (path, reason) = (root.display(), error_text(&error));
        let message = format!("cannot use the daemon's folder {path}: {reason}");
        Failure::new(Exit::NotAllowed, message).hint(home_hint(root))
    };
    // Files of ours in another user's folder would be of no use to that user's daemon.
    files::private_directory(root).map_err(failed)?;
    let Some(_lock) = files::lock_exclusive(&place.home.lock()).map_err(failed)? else {
        let message = "a daemon begins or ends just now: nothing was done";
        return Err(Failure::new(Exit::NoDaemon, message).hint("try again"));
    };
    let tend = |name: &String| match tend_unwritten(&logs, name, Limits::WIDEST, wish) {
        Ok(text) => UnitResult {
            unit: name.clone(),
            kind: ResultKind::LogTended,
            text: text.to_owned(),
            retry_ms: None,
            hint: None,
            left: Vec::new(),
        },
        Err(error) => untended(&logs, name, &error),
    };
    let mut results: Vec<UnitResult> = names.iter().map(tend).collect();
    // Why the folder cannot be read each log that is in it has told already.
    let mut stranded = Stranded::list(&logs).unwrap_or_default();
    clear_rest(&logs, &mut stranded, &mut results, wish);
    Ok(results)
}
