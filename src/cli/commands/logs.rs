//! `logs`.

use std::io::{self, BufWriter, Write};

use super::daemon_logs;
use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::log_silence;
use crate::cli::logchoice::options;
use crate::cli::logfailure::{LogsError, failure};
use crate::cli::lognames::{named, patterns};
use crate::cli::logruns::check_run;
use crate::cli::logs::{Extras, Options, Painter, Pause, RunWish, Shade, View, follow};
use crate::cli::logwatch::LogWatch;
use crate::cli::newcomers::Newcomers;
use crate::cli::output::{Counted, aside};
use crate::cli::place::Place;
use crate::cli::style::{Palette, Tone};
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::tend_logs;
use crate::cli::untold::Untold;
use crate::log::{Mode, Start, Stream};
use crate::sys::clock::wall_ms;

/// While logs are followed the daemon is asked so often, in milliseconds, what could not be written: no file tells of
/// that, and nothing else wakes whoever waits for one. It is rare enough to cost nothing.
const LOOK_MS: u64 = 10_000;

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
        "Control characters and bytes that are no UTF-8 are shown as `\\x1b` or `\\u{82}`. Colours that a service prints are shown on a \
         terminal and left out elsewhere; of a link only its text is shown. Of a progress bar a terminal is shown the last state, unless --grep is \
         given. A line may begin with its level, `<3>` for an error, see sd-daemon(3), which is not shown. A line without one is `info`, or `err` where standard error is kept apart. --raw changes nothing.",
        "The files are read directly, and no daemon is started. They lie in logs/ in the daemon's home. A daemon that runs \
         is asked only what could not be written, which standard error tells; with --follow again every 10 s. The log itself \
         tells of it once it can be written again.",
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
    let mut options = options(given, wall_ms())?;
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
    let is_quiet = options.look.extras == Extras::Nothing;
    let is_err = options.filter.stream == Some(Stream::Err);
    let mut has_told = is_err && !is_quiet && tell_of_errors(&place, &names, &mut options);
    let asked = options.clone();
    let (filter, start, run) = (asked.filter, asked.start, asked.run);
    let palette = given.palette();
    let mut output = Counted {
        inner: BufWriter::new(io::stdout().lock()),
        bytes: 0,
    };
    let folder = place.home.logs();
    if let Some(run) = run.filter(|_| follows) {
        check_run(&folder, &names, run)?;
    }
    let mut untold = Untold::of(&place, &asked);
    let shown = if follows {
        let watch = LogWatch::begin(&folder, &names).map_err(LogsError::Wait);
        watch.and_then(|watch| {
            let mut view = View::open(&folder, &names, options)?;
            view.print(&palette, &mut output)?;
            let mut watch = watch.until(filter.until_ms).with(newcomers);
            if untold.is_wanted() {
                watch = watch.looking_every(LOOK_MS);
            }
            go_on(&mut view, &mut watch, (&palette, &mut untold), &mut output).map(|()| view)
        })
    } else {
        let view = View::open(&folder, &names, options);
        view.and_then(|mut view| view.print(&palette, &mut output).map(|()| view))
    };
    let view = shown.map_err(failure)?;
    if !follows {
        has_told |= untold.tell(&names, &mut output).map_err(failure)?;
    }
    check_whole(&view)?;
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

/// Says of which services there is no standard error to be shown. Whether it is of any.
fn tell_of_errors(place: &Place, names: &[String], options: &mut Options) -> bool {
    let mixed = log_silence::tell_of_errors(place, names);
    if mixed > 0 && mixed == names.len() {
        // Of runs of which nothing can be shown there is nothing to be said.
        options.look.extras = Extras::Losses;
    }
    mixed > 0
}

/// Follows, and looks from time to time for what no log tells of.
fn go_on(
    view: &mut View,
    watch: &mut LogWatch,
    (palette, untold): (&Palette, &mut Untold<'_>),
    output: &mut dyn Write,
) -> Result<(), LogsError> {
    loop {
        untold.tell(view.names(), output)?;
        match follow(view, watch, palette, output)? {
            Pause::Due => {}
            Pause::Over => return Ok(()),
        }
    }
}

/// Refuses to call a log whole of which files were left out.
fn check_whole(view: &View) -> Result<(), Failure> {
    let left_out = view.left_out();
    let message = match left_out.as_slice() {
        [] => return Ok(()),
        [(name, damage)] => format!("the log of {name} cannot be read whole: {damage}"),
        [(name, _), ..] => {
            let told = left_out
                .iter()
                .map(|(name, damage)| format!("{name}: {damage}\n"));
            aside(&told.collect::<String>());
            let whose = match left_out.iter().all(|(other, _)| other == name) {
                true => format!("the log of {name}"),
                false => "the logs".to_owned(),
            };
            format!(
                "{whose} cannot be read whole: {} files are left out",
                left_out.len()
            )
        }
    };
    Err(Failure::new(Exit::Failed, message))
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
        None => log_silence::all_empty(place, names),
    })
}
