//! `events`: the record of what became of the units, and why.

use std::collections::VecDeque;

use super::checked_names;
use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{answer, aside};
use crate::cli::place::Place;
use crate::cli::record::{News, Read, Reader};
use crate::cli::render;
use crate::cli::style::Palette;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::units::no_such_unit;
use crate::unit::{UnitName, glob};
use crate::wire::record::What;

/// Events that are shown before those that come, where nobody says how many.
const SHOWN: u64 = 10;
/// The highest number of events to ask for.
const LINES_MAX: u64 = 1_000_000;

pub(in crate::cli) const ROW: Row = Row {
    name: "events",
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
            "only the last N (with -f: 10, unless --since is given)",
        ),
        Choice::value(
            "",
            "--since",
            "ID",
            "only those after the one of this number",
        ),
        Choice::flag("", "--json", "one JSON object a line"),
    ],
    summary: "what became of the units and why, numbered",
    help: &[
        "Every change of a unit's state with its cause, every wish with who asked (user, PID, command line), and the \
         daemon's own beginning and end. The numbers go on from daemon to daemon, so that a script that was interrupted \
         goes on with --since and the last number that it has seen. `(from 12)` names the entry that one follows from.",
        "The record is kept in two files of at most 4 MiB under `events` in the daemon's folder: what is older is gone. \
         It is read there; the daemon is not asked. With a NAME, which may be a pattern, only what is about these units.",
    ],
    examples: &[
        ("diakonos events -f", "watch what happens"),
        ("diakonos events web", "what became of web"),
        (
            "diakonos events -f --since 1200 --json",
            "all after number 1200, for a script",
        ),
    ],
    exits: &[(
        Exit::NoSuchUnit,
        "no such unit, and nothing of that name in the record",
    )],
    run,
};

/// What is wanted, and how.
struct Show {
    names: Vec<String>,
    since: Option<u64>,
    last: Option<usize>,
    json: bool,
    palette: Palette,
    /// The entry before, whether it was shown or not.
    before: Option<u64>,
}

fn run(given: &Given) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let since = given.number("--since", u64::MAX)?;
    let follows = given.flag("--follow");
    let lines = given.number("--lines", LINES_MAX)?;
    let mut show = Show {
        names: checked_names(&given.arguments)?,
        since,
        last: lines
            .or(Some(SHOWN).filter(|_| follows && since.is_none()))
            .map(|lines| usize::try_from(lines).unwrap_or(usize::MAX)),
        json: given.flag("--json"),
        palette: given.palette(),
        before: since,
    };
    let mut reader = Reader::new(&place.home);
    // Begun before the reading, so that nothing is missed.
    let news = follows.then(|| News::watch(&place.home)).transpose()?;
    let mut kept: VecDeque<Read> = VecDeque::new();
    let mut counted = 0;
    let mut oldest = None;
    let mut strange = show.unseen(&place);
    reader.read(&mut |read| {
        oldest.get_or_insert(read.entry.id);
        strange.retain(|name| !read.is_of(name));
        if show.is_wanted(&read) {
            counted += usize::from(show.counts(&read));
            kept.push_back(read);
        }
        while show.last.is_some_and(|last| counted > last)
            && let Some(first) = kept.pop_front()
        {
            counted -= usize::from(show.counts(&first));
            show.before = None;
        }
    })?;
    if let Some(name) = strange.first() {
        let listing = place.search_path().list();
        let known = listing.units.iter().map(|listed| listed.name.as_str());
        let failure = no_such_unit(&place.shown_directories(), name, known);
        return Err(failure);
    }
    if tell_what_is_gone(since, oldest, show.json) {
        show.before = None;
    }
    let nothing = kept.is_empty();
    let text: String = kept.iter().map(|read| show.text(read)).collect();
    answer(text)?;
    let Some(news) = news else {
        if nothing {
            aside("nothing of that is in the record\n");
        }
        return Ok(Exit::Done);
    };
    loop {
        news.wait()?;
        let mut text = String::new();
        reader.read(&mut |read| {
            if show.is_wanted(&read) {
                text.push_str(&show.text(&read));
            }
        })?;
        if !text.is_empty() {
            answer(text)?;
        }
    }
}

/// What is older than the record, a script has missed. Whether there is any.
fn tell_what_is_gone(since: Option<u64>, oldest: Option<u64>, json: bool) -> bool {
    let gone = match (since, oldest) {
        (Some(since), Some(oldest)) => oldest.saturating_sub(since.saturating_add(1)),
        _ => 0,
    };
    if gone > 0 && !json {
        aside(&format!(
            "warning: {gone} older entries are gone: the record does not go back so far\n"
        ));
    }
    gone > 0
}

impl Show {
    /// Of the units that are wanted those that have no file: only the record can know them.
    fn unseen(&self, place: &Place) -> Vec<String> {
        let path = place.search_path();
        let has_file =
            |name: &str| UnitName::parse(name).is_ok_and(|name| path.find(&name).is_some());
        let named = self.names.iter().filter(|name| !glob::is_pattern(name));
        named.filter(|name| !has_file(name)).cloned().collect()
    }

    fn is_wanted(&self, read: &Read) -> bool {
        let is_meant = |unit: &str| {
            self.names.iter().any(|name| match glob::is_pattern(name) {
                true => glob::matches(name, unit),
                false => name == unit,
            })
        };
        let is_new = self.since.is_none_or(|since| read.entry.id > since);
        is_new && (self.names.is_empty() || read.is_about(&is_meant))
    }

    /// Whether it is one of so many that are wanted. What the daemon did stands between those of units that are named.
    fn counts(&self, read: &Read) -> bool {
        self.names.is_empty() || !matches!(read.entry.what, What::Daemon(_))
    }

    fn text(&mut self, read: &Read) -> String {
        let id = read.entry.id;
        if self.json {
            return format!("{}\n", read.line);
        }
        let mut text = String::new();
        // Where only some are shown, nobody can tell what is missing.
        if let Some(before) = self.before.replace(id).filter(|_| self.names.is_empty())
            && id > before.saturating_add(1)
        {
            text.push_str(&render::gap(id - before - 1, self.palette));
        }
        if let Some(pid) = read.died {
            text.push_str(&render::died(pid, self.palette));
        }
        text.push_str(&render::event(&read.entry, self.palette));
        text
    }
}
