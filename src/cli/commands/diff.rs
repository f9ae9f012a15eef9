//! `diff` and `daemon-reload`: what has changed in unit files, and having it take effect.

use super::checked_names;
use super::verbs;
use crate::cli::args::Given;
use crate::cli::client::other_answer;
use crate::cli::definitions::{Loaded, loaded};
use crate::cli::exit::{Exit, Failure};
use crate::cli::json::Json;
use crate::cli::output::{answer, aside, hint_line};
use crate::cli::place::Place;
use crate::cli::style::{Palette, Tone};
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::text::clean;
use crate::cli::units;
use crate::cli::wait::Waiting;
use crate::engine::Command;
use crate::sys::clock::wall_ms;
use crate::unit::{Difference, differences};
use crate::wire::Final;

pub(in crate::cli) const DIFF: Row = Row {
    name: "diff",
    alias: None,
    group: Group::Files,
    arguments: "[NAME…]",
    count: Count::Any,
    options: &[Choice::flag(
        "",
        "--json",
        "an array of objects, one for each unit that differs",
    )],
    summary: "show how loaded units differ from their files",
    help: &[
        "Compares what is in force with what lies on the disk, drop-ins included, key by key: the old value, an arrow, the \
         new one; of a list what has come (+) and gone (-). Comments and the order of keys make no difference. Without a \
         name: every unit that is loaded.",
        "`start` of a stopped unit and `restart` read the file again; `daemon-reload` applies at once what can change under \
         a running service. A unit whose file is wrong is reported, and goes on as it was loaded.",
    ],
    examples: &[
        ("diakonos diff", "all that has changed since it was loaded"),
        ("diakonos diff web", "what a restart of web would change"),
    ],
    exits: &[
        (Exit::Done, "whether anything differs or not"),
        (Exit::Failed, "a file is wrong or cannot be read"),
        (Exit::NoSuchUnit, "no such unit"),
    ],
    run: diff,
};

pub(in crate::cli) const DAEMON_RELOAD: Row = Row {
    name: "daemon-reload",
    alias: None,
    group: Group::Files,
    arguments: "",
    count: Count::None,
    options: &[],
    summary: "read the files of all loaded units again",
    help: &[
        "What can change under a running service does at once: Restart*, time limits, limits of memory, CPU, tasks and IO, \
         log options, signals to stop with, the description, dependencies. What cannot waits for the service's next start, \
         and is named. Nothing is started, stopped or restarted.",
        "A file that is wrong is reported, and what was loaded of it stays in force. A unit whose file is gone stays as it \
         was loaded until it is stopped. Where the changed files together would make a cycle in the order, nothing is \
         changed at all.",
    ],
    examples: &[(
        "diakonos daemon-reload",
        "after unit files were edited, without a restart",
    )],
    exits: &[(
        Exit::Failed,
        "a file is wrong, or the order has a cycle; what was loaded stays in force",
    )],
    run: daemon_reload,
};

fn daemon_reload(given: &Given) -> Result<Exit, Failure> {
    let begun_ms = wall_ms();
    let place = Place::find(given)?;
    let Some(mut client) = place.connect_or_succeed()? else {
        return super::nothing_runs("unit files are read when they are needed");
    };
    let mut waiting = Waiting::new(given, &place, "daemon-reload".to_owned());
    let Final::Results(results) = waiting.carry_out(&mut client, Command::DaemonReload)? else {
        return Err(other_answer());
    };
    if results.is_empty() {
        aside("nothing has changed\n");
    }
    verbs::report(given, &place, &results, begun_ms)
}

fn diff(given: &Given) -> Result<Exit, Failure> {
    let names = checked_names(&given.arguments)?;
    let place = Place::find(given)?;
    let Some(mut client) = place.connect_or_succeed()? else {
        return super::nothing_runs("nothing is loaded that could differ");
    };
    // A pattern or a name that is nobody's is told here, with the nearest one.
    let asked: Vec<String> = match names.is_empty() {
        true => client
            .units(Command::List, &place.directories)?
            .into_iter()
            .map(|status| status.name)
            .collect(),
        false => units::look_up(&place, Some(&mut client), &names)?
            .into_iter()
            .map(|item| item.status.name)
            .collect(),
    };
    let units = loaded(&mut client, &place, &asked)?;
    let mut exit = Exit::Done;
    let mut found = Vec::new();
    for unit in &units {
        let differing = Differing::of(unit);
        if matches!(differing, Differing::Wrong(_)) {
            exit = Exit::Failed;
        }
        if !matches!(differing, Differing::Nothing) {
            found.push((unit, differing));
        }
    }
    if given.flag("--json") {
        let list = found.iter().map(|(unit, what)| what.json(unit)).collect();
        answer(Json::List(list).document())?;
        return Ok(exit);
    }
    let palette = given.palette();
    let texts: Vec<String> = found
        .iter()
        .map(|(unit, what)| what.text(unit, palette))
        .collect();
    answer(texts.join("\n"))?;
    let strangers = asked.iter().filter(|name| {
        names.contains(name) && !units.iter().any(|unit| unit.name.as_str() == name.as_str())
    });
    for name in strangers {
        let name = clean(name);
        aside(&format!("{name} is not loaded: `start` reads its file\n"));
    }
    if found.is_empty() && !units.is_empty() {
        aside("nothing differs from the files on disk\n");
    } else if found
        .iter()
        .any(|(_, what)| matches!(what, Differing::In(_)))
    {
        let hint = "`restart` applies it; `daemon-reload` what can change under a running service";
        aside(&hint_line(hint, given.error_palette()));
    }
    Ok(exit)
}

/// How a loaded unit differs from its file.
enum Differing {
    Nothing,
    /// Only comments, or the order of keys.
    InForm,
    In(Vec<Difference>),
    /// The file is gone.
    Gone,
    /// It cannot be read, and why.
    Wrong(String),
}

impl Differing {
    fn of(unit: &Loaded) -> Self {
        match unit.on_disk() {
            Ok(disk) => match differences(&unit.unit, &disk) {
                found if !found.is_empty() => Self::In(found),
                _ if disk.hash != unit.unit.hash => Self::InForm,
                _ => Self::Nothing,
            },
            Err(_) if !unit.has_file() => Self::Gone,
            Err(error) => Self::Wrong(error.to_string()),
        }
    }

    fn text(&self, unit: &Loaded, palette: Palette) -> String {
        let file = clean(&unit.unit.path.display().to_string());
        let name = palette.paint(Tone::Strong, &clean(unit.name.as_str()));
        let mut out = format!("{name}  {}\n", palette.paint(Tone::Quiet, &file));
        match self {
            Self::Nothing => {}
            Self::InForm => out.push_str("  the file has changed, and says the same\n"),
            Self::In(found) => {
                for difference in found {
                    let text = clean(&difference.to_string());
                    let (key, rest) = text.split_once(':').unwrap_or((&text, ""));
                    out.push_str(&format!("  {}:{rest}\n", palette.paint(Tone::Busy, key)));
                }
            }
            Self::Gone => {
                out.push_str("  the file is gone; what is loaded stays until it is stopped\n")
            }
            Self::Wrong(report) => {
                for line in report.lines() {
                    out.push_str(&format!("  {}\n", palette.paint(Tone::Bad, &clean(line))));
                }
            }
        }
        out
    }

    fn json(&self, unit: &Loaded) -> Json {
        let text = |value: &Option<String>| {
            value
                .as_ref()
                .map_or(Json::Null, |value| Json::Written(value.clone()))
        };
        let changes = match self {
            Self::In(found) => found.iter().map(|difference| {
                Json::Object(vec![
                    ("section", Json::text(difference.key.section)),
                    ("key", Json::text(difference.key.name)),
                    ("old", text(&difference.old)),
                    ("new", text(&difference.new)),
                ])
            }),
            Self::Nothing | Self::InForm | Self::Gone | Self::Wrong(_) => {
                return Json::Object(self.fields(unit, vec![]));
            }
        };
        let changes = changes.collect();
        Json::Object(self.fields(unit, changes))
    }

    fn fields(&self, unit: &Loaded, changes: Vec<Json>) -> Vec<(&'static str, Json)> {
        let error = match self {
            Self::Wrong(report) => Json::text(report),
            Self::Nothing | Self::InForm | Self::In(_) | Self::Gone => Json::Null,
        };
        vec![
            ("name", Json::text(unit.name.as_str())),
            ("file", Json::text(&unit.unit.path.display().to_string())),
            ("file_gone", Json::Bool(matches!(self, Self::Gone))),
            ("changes", Json::List(changes)),
            ("error", error),
        ]
    }
}
