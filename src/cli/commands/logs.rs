//! `logs`.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::checked_names;
use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::logs::{LogWatch, LogsError, Options, Painter, Shade, View, follow};
use crate::cli::output::aside;
use crate::cli::own_log::{self, Wanted};
use crate::cli::place::Place;
use crate::cli::style::{Palette, Tone};
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::tend_logs;
use crate::cli::units::no_such_unit;
use crate::engine::LogWish;
use crate::log::{Filter, Mode, Reader, Start, Stream};
use crate::sys::process::error_text;
use crate::unit::{UnitName, glob};

/// Lines of each service when nobody says how many.
const LINES: u64 = 50;
const LINES_MAX: u64 = 1 << 40;

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
            "so many lines of each service (50), or `all`",
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
            "only one run of a service, by its number in `status`",
        ),
        Choice::flag(
            "",
            "--rotate",
            "begin new files and set the present ones aside; shows nothing",
        ),
        Choice::flag(
            "",
            "--flush",
            "remove all that was written, rotated files too; shows nothing",
        ),
        Choice::flag(
            "",
            "--daemon",
            "the daemon's own log instead: every change of state with its cause",
        ),
    ],
    summary: "show what services have printed",
    help: &[
        "Several services are merged by time, each line after the name of its service. Without a name: every service that \
         has a log. Where a run begins or ends, a line says so.",
        "The files are read directly: no daemon is asked and none is started. They lie in logs/ in the daemon's home.",
    ],
    examples: &[
        ("diakonos logs web", "the last 50 lines"),
        ("diakonos logs -f web database", "both, as they come"),
        ("diakonos logs -n all --run 7 web", "all that run 7 printed"),
        (
            "diakonos logs --daemon -f",
            "what the daemon does, as it does it",
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
            Shade::Mark => Tone::Quiet,
            Shade::Notice => Tone::Bad,
        };
        Palette::paint(*self, tone, text)
    }
}

fn run(given: &Given) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    if given.flag("--daemon") {
        return daemon_log(given, &place);
    }
    let names = named(given, &place)?;
    if let Some(wish) = tending(given)? {
        return tend_logs::tend(given, &place, names, wish);
    }
    if names.is_empty() {
        aside("no service has a log yet\n");
        return Ok(Exit::Done);
    }
    let follows = given.flag("--follow");
    let options = Options {
        start: start(given)?,
        mode: if follows { Mode::Follow } else { Mode::Once },
        filter: Filter {
            stream: given.flag("--err").then_some(Stream::Err),
            run: given.number("--run", u64::MAX)?,
            ..Filter::default()
        },
    };
    let palette = given.palette();
    let mut output = Counted {
        inner: BufWriter::new(io::stdout().lock()),
        bytes: 0,
    };
    let folder = place.home.logs();
    let shown = if follows {
        let watch = LogWatch::begin(&folder, &names).map_err(LogsError::Wait);
        watch.and_then(|mut watch| {
            let mut view = View::open(&folder, &names, options)?;
            follow(&mut view, &mut watch, &palette, &mut output)
        })
    } else {
        View::open(&folder, &names, options).and_then(|mut view| view.print(&palette, &mut output))
    };
    shown.map_err(failure)?;
    if output.bytes == 0 && !follows && options.start != Start::Last(0) {
        let named = names.join(", ");
        aside(&match options.filter.run {
            Some(run) => {
                check_run(&folder, &names, run)?;
                format!("run {run} of {named} has nothing to show in the log\n")
            }
            None => format!("{named}: nothing in the log yet\n"),
        });
    }
    Ok(Exit::Done)
}

/// Whether logs are to be begun anew; nothing of them is shown then.
fn tending(given: &Given) -> Result<Option<LogWish>, Failure> {
    let wishes = [("--rotate", LogWish::Rotate), ("--flush", LogWish::Clear)];
    let Some((option, wish)) = wishes.into_iter().find(|(option, _)| given.flag(option)) else {
        return Ok(None);
    };
    let mut others = ROW.options.iter().map(|choice| choice.long);
    match others.find(|other| *other != option && is_given(given, other)) {
        None => Ok(Some(wish)),
        Some(other) => Err(
            Failure::usage(format!("{option} and {other} do not go together"))
                .hint(format!("{option} shows nothing")),
        ),
    }
}

fn is_given(given: &Given, option: &str) -> bool {
    given.flag(option) || given.value(option).is_some()
}

/// What the daemon says itself.
fn daemon_log(given: &Given, place: &Place) -> Result<Exit, Failure> {
    let of_services = ["--err", "--run", "--rotate", "--flush"];
    if let Some(option) = of_services
        .into_iter()
        .find(|option| is_given(given, option))
    {
        let message = format!("{option} is about a service's log, --daemon about the daemon's");
        return Err(Failure::usage(message));
    }
    if !given.arguments.is_empty() {
        return Err(Failure::usage("`diakonos logs --daemon` takes no NAME")
            .hint("`diakonos logs --daemon | grep NAME` shows what it says of one"));
    }
    let lines = match start(given)? {
        Start::Last(lines) => Some(lines),
        Start::Oldest | Start::Near { .. } => None,
    };
    let wanted = Wanted {
        last: lines,
        ..Wanted::default()
    };
    let mut output = BufWriter::new(io::stdout().lock());
    let follows = given.flag("--follow");
    let mut shown = 0;
    let told = own_log::show(&place.home, &wanted, follows, &mut |line| {
        shown += 1;
        writeln!(output, "{line}")?;
        match follows {
            true => output.flush(),
            false => Ok(()),
        }
    });
    let told = told.and_then(|()| output.flush());
    told.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(Exit::Done),
        _ => {
            let (path, reason) = (place.home.own_log(), error_text(&error));
            Failure::new(Exit::Failed, format!("{}: {reason}", path.display()))
        }
    })?;
    if shown == 0 && lines != Some(0) {
        aside("the daemon has said nothing yet\n");
    }
    Ok(Exit::Done)
}

/// Refuses a run of which no log knows, and says which there are.
fn check_run(folder: &Path, names: &[String], wanted: u64) -> Result<(), Failure> {
    let mut known: Option<(u64, u64)> = None;
    for name in names {
        let failed = |cause| {
            let name = name.clone();
            failure(LogsError::Read { name, cause })
        };
        let reader = Reader::open(folder, name, Start::Oldest, Mode::Once, Filter::default());
        let mut reader = reader.map_err(failed)?;
        while let Some(entry) = reader.next_entry().map_err(failed)? {
            if entry.run == wanted {
                return Ok(());
            }
            let (first, last) = known.unwrap_or((entry.run, entry.run));
            known = Some((first.min(entry.run), last.max(entry.run)));
        }
    }
    let message = format!("the log of {} has no run {wanted}", names.join(", "));
    Err(Failure::new(Exit::Failed, message).hint(match known {
        Some((first, last)) if first == last => format!("it has run {first}"),
        Some((first, last)) => format!("it has runs from {first} to {last}"),
        None => "it has none yet".to_owned(),
    }))
}

/// Counts what goes through it.
struct Counted<W> {
    inner: W,
    bytes: usize,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes = self.bytes.saturating_add(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
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
    let lines = lines.map_err(|failure| failure.hint("`all` shows all there are"))?;
    // One run is wanted whole, unless somebody says how much of it.
    match (lines, given.value("--run")) {
        (None, Some(_)) => Ok(Start::Oldest),
        (lines, _) => Ok(Start::Last(lines.unwrap_or(LINES))),
    }
}

/// The services whose logs are meant, in the order asked.
fn named(given: &Given, place: &Place) -> Result<Vec<String>, Failure> {
    let with_log = with_log(place);
    if given.arguments.is_empty() {
        return Ok(with_log);
    }
    let mut names: Vec<String> = Vec::new();
    for name in checked_names(&given.arguments)? {
        let mut meant = vec![name.clone()];
        // Of a template: what its instances have said.
        let name = match name.ends_with('@') {
            true => format!("{name}?*"),
            false => name,
        };
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

/// The services that have a log, by name.
fn with_log(place: &Place) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(place.home.logs()) else {
        return Vec::new();
    };
    let files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.strip_suffix(".log")?.to_owned()))
        .filter(|name| UnitName::parse(name).is_ok())
        .collect();
    names.sort_unstable();
    names
}
