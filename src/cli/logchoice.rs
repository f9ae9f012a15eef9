//! Which lines `logs` is asked for, and in which form: its options as values.
//!
//! Owns what an option means and which do not go together. Does not own whose logs are meant (`lognames`).

use std::io::{self, IsTerminal as _};

use super::args::Given;
use super::exit::Failure;
use super::logs::{Extras, Form, Look, Options, Returns, RunWish, Times};
use super::moment;
use super::pattern::Pattern;
use super::shown::Colors;
use super::sift::{Levels, Sift};
use super::style::Palette;
use super::text::{clean, local_time};
use crate::log::{Filter, Mode, Start, Stream};

/// Lines of each service when nobody says how many.
const LINES: u64 = 50;
const LINES_MAX: u64 = 1 << 40;
/// Bytes of each log that are looked through before what is followed, where only some lines are wanted.
const FOLLOWED_BYTES: u64 = 16 * 1024 * 1024;
/// So many runs back somebody may ask for.
const RUNS_BACK_MAX: usize = 10_000;
/// What the options ask for.
pub(super) fn options(given: &Given, now_ms: u64) -> Result<Options, Failure> {
    let moment = |option: &str| {
        let text = given.value(option);
        text.map(|text| moment::parse(option, text, now_ms))
            .transpose()
    };
    let filter = Filter {
        stream: given.flag("--err").then_some(Stream::Err),
        run: None,
        since_ms: moment("--since")?,
        until_ms: moment("--until")?,
    };
    if filter
        .until_ms
        .is_some_and(|until_ms| until_ms < filter.since_ms.unwrap_or(0))
    {
        let (since, until) = (filter.since_ms.unwrap_or(0), filter.until_ms.unwrap_or(0));
        let message = "--until is earlier than --since, so nothing can be between";
        return Err(Failure::usage(message).hint(format!(
            "--since is {}, --until is {}",
            local_time(since),
            local_time(until)
        )));
    }
    let pattern = given.value("--grep");
    let pattern = pattern
        .map(|text| Pattern::parse("--grep", text))
        .transpose()?;
    let levels = given.value("--priority");
    let levels = levels
        .map(|text| Levels::parse("--priority", text))
        .transpose()?;
    let is_sifted = pattern.is_some() || levels.is_some();
    Ok(Options {
        start: start(given)?,
        mode: match given.flag("--follow") {
            true => Mode::Follow,
            false => Mode::Once,
        },
        filter,
        run: given.value("--run").map(parse_run).transpose()?,
        sift: is_sifted.then_some(Sift { pattern, levels }),
        look: look(given)?,
    })
}

fn look(given: &Given) -> Result<Look, Failure> {
    let form = match (given.flag("--json"), given.flag("--raw")) {
        (true, true) => {
            return Err(Failure::usage("--json and --raw do not go together")
                .hint("with --json, `bytes` holds what is no UTF-8"));
        }
        (true, false) => Form::Json,
        (false, true) => Form::Raw,
        (false, false) => Form::Text(match given.palette() {
            Palette::Colored => Colors::Kept,
            Palette::Plain => Colors::Removed,
        }),
    };
    let times = match given.flag("--timestamps") {
        true => Times::Shown,
        false => Times::Hidden,
    };
    let extras = match (given.flag("--quiet"), given.value("--run"), form) {
        (true, _, _) => Extras::Nothing,
        // One run alone: there is little to be said of where it begins and ends.
        (false, Some(_), Form::Raw | Form::Text(_)) => Extras::Losses,
        (false, _, _) => Extras::All,
    };
    // What was searched for may be what was overwritten.
    let is_seen = io::stdout().is_terminal() && given.value("--grep").is_none();
    Ok(Look {
        form,
        times,
        extras,
        returns: Returns::on(is_seen),
    })
}

/// `7`, `last`, `0`, `-1`.
fn parse_run(text: &str) -> Result<RunWish, Failure> {
    let back = match text.strip_prefix('-') {
        Some(back) => back.parse().ok().filter(|back| *back <= RUNS_BACK_MAX),
        None if text == "last" || text == "0" => Some(0),
        None => None,
    };
    let number = || text.parse().ok().map(RunWish::Number);
    back.map(RunWish::Back).or_else(number).ok_or_else(|| {
        let message = format!("--run: `{}` is no run", clean(text));
        Failure::usage(message)
            .hint("a run is its number in `status`, `last`, or -1 for the one before")
    })
}

fn start(given: &Given) -> Result<Start, Failure> {
    if given.value("--lines") == Some("all") {
        return Ok(Start::Oldest);
    }
    let lines = given.number("--lines", LINES_MAX);
    if let Some(lines) = lines.map_err(|failure| failure.hint("`all` shows all there are"))? {
        return Ok(Start::Last(lines));
    }
    let is_given = |option: &&str| given.value(option).is_some();
    // What is described is wanted whole, unless somebody says how much of it.
    let whole = ["--since", "--until", "--run"];
    let is_sifted = is_given(&"--grep");
    if whole.iter().any(is_given) || is_sifted && !given.flag("--follow") {
        return Ok(Start::Oldest);
    }
    // Whoever follows wants to see what comes, not to wait until the whole log is looked through.
    Ok(
        match given.flag("--follow") && (is_sifted || is_given(&"--priority")) {
            true => Start::Near {
                lines: LINES,
                bytes: FOLLOWED_BYTES,
            },
            false => Start::Last(LINES),
        },
    )
}
