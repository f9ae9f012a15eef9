//! `logs`.

use std::io::{self, BufWriter, IsTerminal as _};
use std::path::Path;

use super::{checked_names, daemon_logs};
use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::log_silence;
use crate::cli::logs::{
    Extras, Form, LogsError, Look, Options, Painter, Returns, RunWish, Shade, Times, View, follow,
};
use crate::cli::logwatch::LogWatch;
use crate::cli::moment;
use crate::cli::newcomers::{Newcomers, with_log};
use crate::cli::output::{Counted, aside};
use crate::cli::pattern::Pattern;
use crate::cli::place::Place;
use crate::cli::shown::Colors;
use crate::cli::sift::{Levels, Sift};
use crate::cli::style::{Palette, Tone};
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::tend_logs;
use crate::cli::text::{clean, local_time};
use crate::cli::units::no_such_unit;
use crate::cli::untold;
use crate::log::{self, Filter, Mode, Start, Stream};
use crate::sys::clock::wall_ms;
use crate::unit::{UnitName, glob};

/// Lines of each service when nobody says how many.
const LINES: u64 = 50;
const LINES_MAX: u64 = 1 << 40;
/// Bytes of each log that are looked through before what is followed, where only some lines are wanted.
const FOLLOWED_BYTES: u64 = 16 * 1024 * 1024;
/// So many runs back somebody may ask for.
const RUNS_BACK_MAX: usize = 10_000;
/// So many runs are listed for somebody who asked for one that there is not.
const RUNS_TOLD: usize = 12;

pub(in crate::cli) const ROW: Row = Row {
    name: "logs",
    alias: None,
    group: Group::Looking,
    arguments: "[NAME…]",
    count: Count::Any,
    options: &[
        Choice::flag("-f", "--follow", "go on with what comes, until Ctrl-C"),
        Choice::value(
            "-n",
            "--lines",
            "N",
            "so many lines of each service, or `all`; 50, and all where --since, --until, --run or --grep says which",
        ),
        Choice::value(
            "-S",
            "--since",
            "TIME",
            "only what came then or later: 10:00, -5min, \"2h ago\", yesterday, \"2026-11-22 10:00\", \
             2026-11-22T10:00:00Z, @1795300813",
        ),
        Choice::value("-U", "--until", "TIME", "only what came then or earlier"),
        Choice::value(
            "-g",
            "--grep",
            "PATTERN",
            "only lines with this in them, a regular expression; without capitals it finds both cases",
        ),
        Choice::value(
            "-p",
            "--priority",
            "LEVEL",
            "only lines of this level or a more urgent one, or of a range: err, 4, warning..info",
        ),
        Choice::flag(
            "",
            "--err",
            "only standard error; it is kept apart for services with StandardError = \"log:err\"",
        ),
        Choice::value(
            "",
            "--run",
            "N",
            "only one run of a service: by its number in `status`, `last` (or 0), -1 for the one before, and so on",
        ),
        Choice::flag(
            "",
            "--rotate",
            "begin new files and set the present ones aside, of every service where no NAME is given; says so, and shows no log",
        ),
        Choice::flag(
            "",
            "--flush",
            "remove all that was written, rotated files too, of every service where no NAME is given; says so, and shows no log",
        ),
        Choice::flag(
            "",
            "--daemon",
            "the daemon's own log instead: every change of state with its cause",
        ),
        Choice::flag("-t", "--timestamps", "when each line came, in local time"),
        Choice::flag("-q", "--quiet", "nothing but what services have printed"),
        Choice::flag(
            "",
            "--raw",
            "the bytes as they are, whatever they do to a terminal",
        ),
        Choice::flag("", "--json", "one JSON object a line"),
    ],
    summary: "show what services have printed",
    help: &[
        "Several services are merged by time, each line after the name of its service. Without a name: every service that \
         has a log. A `!` after the name instead of `|` marks standard error that is kept apart. Where a run begins or \
         ends, a line says so, unless only some lines are asked for.",
        "Control characters and bytes that are no UTF-8 are shown as `\\x1b`. Colours that a service prints are shown on a \
         terminal and left out elsewhere. Of a progress bar a terminal is shown the last state, unless --grep is \
         given. A line may begin with its level, `<3>` for an error, see sd-daemon(3), which is not shown. A line without one is `info`, or `err` where standard error is kept apart. --raw changes nothing.",
        "The files are read directly, and no daemon is started. They lie in logs/ in the daemon's home. A daemon that runs \
         is asked only what could not be written, which standard error tells: with --follow at its beginning; what is lost \
         later the log itself tells, once it can be written again.",
    ],
    examples: &[
        ("diakonos logs web", "the last 50 lines"),
        ("diakonos logs -f web database", "both, as they come"),
        (
            "diakonos logs --run last web",
            "all that the last run printed",
        ),
        (
            "diakonos logs --since -1h --grep timeout",
            "of all services, what of the last hour has it",
        ),
    ],
    exits: &[
        (Exit::Failed, "a log cannot be read, or has no such run"),
        (Exit::NoSuchUnit, "no such unit, and no log of that name"),
    ],
    run,
};

impl Painter for Palette {
    fn paint(&self, shade: Shade, text: &str) -> String {
        let tone = match shade {
            Shade::Name(place) => Tone::Nth(place),
            Shade::Time | Shade::Mark => Tone::Quiet,
            Shade::Notice => Tone::Bad,
        };
        Palette::paint(*self, tone, text)
    }
}

fn run(given: &Given) -> Result<Exit, Failure> {
    let options = options(given, wall_ms())?;
    let place = Place::find(given)?;
    if given.flag("--daemon") {
        return daemon_logs::show(given, &place, &options);
    }
    let names = named(given, &place)?;
    if let Some(wish) = tend_logs::wish(given)? {
        return tend_logs::tend(given, &place, names, wish);
    }
    let follows = options.mode == Mode::Follow;
    // Of one run there is no more than what there is.
    let patterns = match (follows, options.run) {
        (true, None) => patterns(given),
        _ => Vec::new(),
    };
    let newcomers = Newcomers::matching(patterns);
    if names.is_empty() {
        let is_named = !given.arguments.is_empty();
        aside(log_silence::nobody(is_named, newcomers.is_some()));
        if newcomers.is_none() {
            return Ok(Exit::Done);
        }
    }
    let asked = options.clone();
    let (filter, start, run) = (asked.filter, asked.start, asked.run);
    let is_quiet = options.look.extras == Extras::Nothing;
    let is_err = filter.stream == Some(Stream::Err);
    let mut has_told = is_err && !is_quiet && log_silence::tell_of_errors(&place, &names);
    let palette = given.palette();
    let mut output = Counted {
        inner: BufWriter::new(io::stdout().lock()),
        bytes: 0,
    };
    let folder = place.home.logs();
    if let Some(run) = run.filter(|_| follows) {
        check_run(&folder, &names, run)?;
    }
    let shown = if follows {
        let watch = LogWatch::begin(&folder, &names).map_err(LogsError::Wait);
        watch.and_then(|watch| {
            let mut view = View::open(&folder, &names, options)?;
            view.print(&palette, &mut output)?;
            untold::tell(&place, &names, &asked, &mut output)?;
            let mut watch = watch.until(filter.until_ms).with(newcomers);
            follow(&mut view, &mut watch, &palette, &mut output).map(|()| view)
        })
    } else {
        let view = View::open(&folder, &names, options);
        view.and_then(|mut view| view.print(&palette, &mut output).map(|()| view))
    };
    let view = shown.map_err(failure)?;
    if !follows {
        has_told |= untold::tell(&place, &names, &asked, &mut output).map_err(failure)?;
    }
    if let Some((name, damage)) = view.left_out().first() {
        let message = format!("the log of {name} cannot be read whole: {damage}");
        return Err(Failure::new(Exit::Failed, message));
    }
    let goes_on = follows && filter.until_ms.is_none();
    if output.bytes > 0 || goes_on || has_told || start == Start::Last(0) {
        return Ok(Exit::Done);
    }
    let is_picky = asked.sift.is_some() || filter.since_ms.is_some() || filter.until_ms.is_some();
    let told = nothing(&place, &names, (run, is_picky || is_err), filter.until_ms)?;
    if !is_quiet {
        aside(&told);
    }
    Ok(Exit::Done)
}

/// That there was nothing to show, and why; `is_picky`: only some of the lines were asked for.
fn nothing(
    place: &Place,
    names: &[String],
    (run, is_picky): (Option<RunWish>, bool),
    until_ms: Option<u64>,
) -> Result<String, Failure> {
    let named = names.join(", ");
    Ok(match run {
        Some(_) if log_silence::is_emptied(place, names) => {
            format!("{named}: nothing in the log since it was emptied\n")
        }
        Some(run) => {
            check_run(&place.home.logs(), names, run)?;
            format!("that run of {named} has nothing to show in the log\n")
        }
        None if is_picky => log_silence::nothing_of_that(place, names, until_ms),
        None => {
            let told = |name: &String| log_silence::empty(place, name) + "\n";
            names.iter().map(told).collect()
        }
    })
}

/// What the options ask for.
fn options(given: &Given, now_ms: u64) -> Result<Options, Failure> {
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

/// Refuses a run of which no log knows, and says which there are.
fn check_run(folder: &Path, names: &[String], wanted: RunWish) -> Result<(), Failure> {
    let mut told = Vec::new();
    for name in names {
        let failed = |cause| {
            let name = name.clone();
            failure(LogsError::Read { name, cause })
        };
        if wanted.find(folder, name).map_err(failed)?.is_some() {
            return Ok(());
        }
        let mut runs = log::last_runs(folder, name, RUNS_TOLD + 1).map_err(failed)?;
        let are_all = runs.len() <= RUNS_TOLD;
        runs.truncate(RUNS_TOLD);
        let whose = match names {
            [_] => "it".to_owned(),
            _ => name.clone(),
        };
        told.extend(runs_text(&whose, &runs, are_all));
    }
    let named = names.join(", ");
    let message = match wanted {
        RunWish::Number(run) => format!("the log of {named} has no run {run}"),
        RunWish::Back(0) => format!("the log of {named} has no run"),
        RunWish::Back(1) => format!("the log of {named} has no run before the last one"),
        RunWish::Back(back) => format!("the log of {named} has no {back} runs before the last one"),
    };
    Err(
        Failure::new(Exit::Failed, message).hint(match told.is_empty() {
            false => told.join("; "),
            true => "it has none yet".to_owned(),
        }),
    )
}

/// Which runs there are, the youngest first in `runs`. Their numbers need not follow each other.
fn runs_text(whose: &str, runs: &[u64], are_all: bool) -> Option<String> {
    let (last, earlier) = runs.split_first()?;
    let Some((before, _)) = earlier.split_first() else {
        return Some(format!("{whose} has run {last}"));
    };
    let which = if are_all { "" } else { "older ones and " };
    let listed: Vec<String> = earlier.iter().rev().map(u64::to_string).collect();
    let listed = listed.join(", ");
    Some(format!(
        "{whose} has runs {which}{listed} and {last}; -1 is {before}"
    ))
}

/// Somebody who closes the other end early has seen enough: that is success.
pub(super) fn failure(error: LogsError) -> Failure {
    match &error {
        LogsError::Write(cause) if cause.kind() == io::ErrorKind::BrokenPipe => {
            Failure::silent(Exit::Done)
        }
        _ => Failure::new(Exit::Failed, error.to_string()),
    }
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

/// Of a template: what its instances have said.
fn wide(name: &str) -> String {
    match name.ends_with('@') {
        true => format!("{name}?*"),
        false => name.to_owned(),
    }
}

/// What a service has to be called to be followed as soon as it has a log.
fn patterns(given: &Given) -> Vec<String> {
    if given.arguments.is_empty() {
        return vec!["*".to_owned()];
    }
    let names = checked_names(&given.arguments).unwrap_or_default();
    let wide = names.iter().map(|name| wide(name));
    wide.filter(|name| glob::is_pattern(name)).collect()
}

/// The services whose logs are meant, in the order asked.
fn named(given: &Given, place: &Place) -> Result<Vec<String>, Failure> {
    let with_log = with_log(&place.home.logs());
    if given.arguments.is_empty() {
        return Ok(with_log);
    }
    let mut names: Vec<String> = Vec::new();
    for name in checked_names(&given.arguments)? {
        let mut meant = vec![name.clone()];
        let name = wide(&name);
        if glob::is_pattern(&name) {
            let matching = with_log.iter().filter(|known| glob::matches(&name, known));
            meant = matching.cloned().collect();
            if let Some(template) = name.strip_suffix("?*").filter(|name| name.ends_with('@'))
                && meant.is_empty()
                && !has_file(place, template)
            {
                return Err(no_such_unit(
                    &place.shown_directories(),
                    template,
                    with_log.iter().map(String::as_str),
                ));
            }
        } else if !with_log.contains(&name) && !has_file(place, &name) {
            let listing = place.search_path().list();
            let files = listing.units.iter().map(|listed| listed.name.as_str());
            let known = with_log.iter().map(String::as_str).chain(files);
            return Err(no_such_unit(&place.shown_directories(), &name, known));
        }
        for name in meant {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

fn has_file(place: &Place, name: &str) -> bool {
    UnitName::parse(name).is_ok_and(|name| place.search_path().find(&name).is_some())
}
