//! `show`.

use std::collections::BTreeMap;

use super::{checked_names, page};
use crate::cli::args::Given;
use crate::cli::definitions::{self, Loaded};
use crate::cli::exit::{Exit, Failure};
use crate::cli::json::Json;
use crate::cli::output::answer;
use crate::cli::place::Place;
use crate::cli::render::Page;
use crate::cli::style::Tone;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::text::clean;
use crate::cli::units;
use crate::daemon::unit_context;
use crate::sorted::Sorted;
use crate::unit::{
    Key, LoadError, Origin, Unit, UnitName, keys, load_file, nearest, origins, properties,
};

pub(in crate::cli) const ROW: Row = Row {
    name: "show",
    alias: None,
    group: Group::Files,
    arguments: "NAME…",
    count: Count::AtLeast(1),
    options: &[
        Choice::value(
            "-p",
            "--property",
            "KEY",
            "only this key; several are parted by commas",
        ),
        Choice::flag("", "--json", "an array of objects, one for each unit"),
    ],
    summary: "show every key of units, and where its value comes from",
    help: &[
        "For a unit that is loaded it is the definition in force; for any other what its files say. Each key stands with its \
         value and its origin: file and line, a drop-in, `set`, an enabled unit that asks to be wanted, or the default. \
         Where the file has changed since, that is said.",
    ],
    examples: &[
        ("diakonos show web", "all of web"),
        (
            "diakonos show web -p Restart,RestartSec",
            "how web is restarted",
        ),
    ],
    exits: &[
        (Exit::Failed, "a file is wrong or cannot be read"),
        (Exit::NoSuchUnit, "no such unit"),
    ],
    run,
};

/// Keys that only stand for others.
const STAND_INS: [(&str, &str); 2] = [
    ("TimeoutStartSec", "TimeoutSec"),
    ("TimeoutStopSec", "TimeoutSec"),
];

fn run(given: &Given) -> Result<Exit, Failure> {
    let names = checked_names(&given.arguments)?;
    let wanted = wanted(given.value("--property"))?;
    let place = Place::find(given)?;
    let mut client = place.connect_or_succeed()?;
    let items = units::look_up(&place, client.as_mut(), &names)?;
    let found: Vec<String> = items.iter().map(|item| item.status.name.clone()).collect();
    let loaded = match &mut client {
        Some(client) => definitions::loaded(client, &place, &found)?,
        None => Vec::new(),
    };
    let mut shown = Vec::new();
    for item in &items {
        let known = loaded
            .iter()
            .find(|one| one.name.as_str() == item.status.name);
        shown.push(match known {
            Some(known) => Shown::loaded(known),
            None => Shown::from_file(&item.status.name, item.status.file.as_ref())?,
        });
    }
    for one in &mut shown {
        one.lines.retain(|line| match wanted.as_slice() {
            [] => line.value.is_some() || !line.key.default.is_empty(),
            wanted => wanted.contains(&line.key.name),
        });
    }
    if given.flag("--json") {
        answer(Json::List(shown.iter().map(Shown::json).collect()).document())?;
    } else {
        let page = page(given);
        let texts: Vec<String> = shown
            .iter()
            .map(|one| one.text(page, !wanted.is_empty()))
            .collect();
        answer(texts.join("\n"))?;
    }
    Ok(Exit::Done)
}

/// The keys that were asked for; none means all.
fn wanted(given: Option<&str>) -> Result<Vec<&'static str>, Failure> {
    let asked = given.into_iter().flat_map(|text| text.split(','));
    let names = || keys().iter().map(|key| key.name);
    asked
        .map(|name| {
            let name = name.trim();
            names().find(|known| *known == name).ok_or_else(|| {
                let failure = Failure::usage(format!("there is no key `{}`", clean(name)));
                match nearest(name, names()) {
                    Some(near) => failure.hint(crate::unit::did_you_mean(near)),
                    None => failure,
                }
            })
        })
        .collect()
}

/// A key and what it comes to.
struct Line {
    key: &'static Key,
    /// As TOML, and as JSON, writes it; nothing where only its default is known.
    value: Option<String>,
    from: From,
}

/// Where a value comes from.
enum From {
    Default,
    Written(Origin),
    /// `WantedBy=` or `RequiredBy=` of enabled units; beside what the unit says itself.
    Enabled(Vec<UnitName>, Option<Origin>),
    /// `set` has changed it.
    Set,
    /// The file says something else by now, or nothing; where, if it does.
    Before(Option<Origin>),
}

/// A unit with all its keys.
struct Shown {
    name: String,
    file: String,
    is_loaded: bool,
    lines: Vec<Line>,
}

type Origins = BTreeMap<(&'static str, &'static str), Origin>;

impl Shown {
    fn loaded(loaded: &Loaded) -> Self {
        let unit = &loaded.unit;
        let places = origins(&unit.path, &loaded.name, &unit_context()).unwrap_or_default();
        let disk = loaded.on_disk().ok();
        let now: BTreeMap<&str, String> = disk.iter().flat_map(named).sorted_map();
        let is_same_file = disk.as_ref().is_some_and(|disk| disk.hash == unit.hash);
        let line = |key: &'static Key, value: Option<String>| {
            let place = origin(&places, key);
            let pulling = loaded.pulled_in.iter().filter(|(name, _)| name == key.name);
            let pulling: Vec<UnitName> = pulling.map(|(_, unit)| unit.clone()).collect();
            let from = match (now.get(key.name) == value.as_ref(), place) {
                (true, place) if !pulling.is_empty() => From::Enabled(pulling, place),
                (true, Some(place)) => From::Written(place),
                (true, None) => From::Default,
                (false, _) if is_same_file => From::Set,
                (false, place) => From::Before(place),
            };
            Line { key, value, from }
        };
        Self {
            name: loaded.name.to_string(),
            file: unit.path.display().to_string(),
            is_loaded: true,
            lines: lines(unit, line),
        }
    }

    fn from_file(name: &str, file: &std::path::Path) -> Result<Self, Failure> {
        let failed = |error: LoadError| Failure::new(Exit::Failed, error.to_string());
        let name = UnitName::parse(name).map_err(super::refused)?;
        let context = unit_context();
        let unit = load_file(file, &name, &context).map_err(failed)?;
        let places = origins(file, &name, &context).map_err(failed)?;
        let line = |key: &'static Key, value: Option<String>| {
            let from = origin(&places, key).map_or(From::Default, From::Written);
            Line { key, value, from }
        };
        Ok(Self {
            name: name.to_string(),
            file: unit.path.display().to_string(),
            is_loaded: false,
            lines: lines(&unit, line),
        })
    }

    fn text(&self, page: Page, is_part: bool) -> String {
        let palette = page.palette;
        let word = if self.is_loaded {
            "in force"
        } else {
            "not loaded"
        };
        let title = format!("# {}: {} ({word})", self.name, self.file);
        let mut out = palette.paint(Tone::Quiet, &clean(&title)) + "\n";
        let mut section = "";
        for line in &self.lines {
            if line.key.section != section && !is_part {
                section = line.key.section;
                let title = palette.paint(Tone::Strong, &format!("[{section}]"));
                out.push_str(&format!("{title}\n"));
            }
            let value = match &line.value {
                Some(value) => clean(value),
                None if line.key.default.is_empty() => "not set".to_owned(),
                None => palette.paint(Tone::Quiet, &format!("({})", line.key.default)),
            };
            let from = palette.paint(Tone::Quiet, &format!("# {}", self.words(&line.from)));
            out.push_str(&format!("{} = {value}  {from}\n", line.key.name));
        }
        out
    }

    /// An origin in words; a drop-in by the end of its path, the unit's own file by its name.
    fn words(&self, from: &From) -> String {
        let place = |origin: &Origin| {
            let own = origin.path.display().to_string() == self.file;
            let mut parts: Vec<String> = origin
                .path
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            let kept = if own { 1 } else { 2 };
            let parts = parts.split_off(parts.len().saturating_sub(kept));
            format!("{}:{}", clean(&parts.join("/")), origin.line)
        };
        match from {
            From::Default => "default".to_owned(),
            From::Written(origin) => place(origin),
            From::Enabled(units, origin) => {
                let units: Vec<&str> = units.iter().map(UnitName::as_str).collect();
                let asked = format!("{} asks for it and is enabled", units.join(", "));
                match origin {
                    Some(origin) => format!("{}; {asked}", place(origin)),
                    None => asked,
                }
            }
            From::Set => "changed by `set`".to_owned(),
            From::Before(Some(origin)) => {
                format!("as loaded; {} says otherwise now", place(origin))
            }
            From::Before(None) => "as loaded; the file does not say so now".to_owned(),
        }
    }

    fn json(&self) -> Json {
        let lines = self.lines.iter().map(|line| {
            let (word, origin) = match &line.from {
                From::Default => ("default", None),
                From::Written(origin) => ("file", Some(origin)),
                From::Enabled(_, origin) => ("enabled", origin.as_ref()),
                From::Set => ("set", None),
                From::Before(origin) => ("before", origin.as_ref()),
            };
            let path = origin.map(|origin| origin.path.display().to_string());
            let value = line.value.clone().map_or(Json::Null, Json::Written);
            Json::Object(vec![
                ("section", Json::text(line.key.section)),
                ("key", Json::text(line.key.name)),
                ("value", value),
                ("default", Json::text(line.key.default)),
                ("from", Json::text(word)),
                ("file", path.map_or(Json::Null, Json::Text)),
                (
                    "line",
                    Json::number(origin.map(|origin| u64::from(origin.line))),
                ),
            ])
        });
        Json::Object(vec![
            ("name", Json::text(&self.name)),
            ("file", Json::text(&self.file)),
            ("loaded", Json::Bool(self.is_loaded)),
            ("properties", Json::List(lines.collect())),
        ])
    }
}

fn named(unit: &Unit) -> impl Iterator<Item = (&'static str, String)> {
    let all = properties(unit).into_iter();
    all.map(|(key, value)| (key.name, value))
}

fn origin(places: &Origins, key: &Key) -> Option<Origin> {
    let stand_in = STAND_INS.iter().find(|(name, _)| *name == key.name);
    let own = places.get(&(key.section, key.name));
    let other = stand_in.and_then(|(_, name)| places.get(&(key.section, *name)));
    own.or(other).cloned()
}

/// Every key that counts for the unit, in the order of the manual.
fn lines(unit: &Unit, line: impl Fn(&'static Key, Option<String>) -> Line) -> Vec<Line> {
    let mut values: BTreeMap<&str, String> = named(unit).sorted_map();
    // How many instances there are is said of their template.
    let is_foreign = |key: &Key| key.name == "Instances" && !unit.name.is_template();
    let of_unit = |key: &Key| match key.section {
        _ if is_foreign(key) => false,
        "unit" | "install" => true,
        "service" => unit.service.is_some(),
        _ => false,
    };
    let is_stand_in = |key: &Key| STAND_INS.iter().any(|(_, name)| *name == key.name);
    let all = keys().iter().filter(|key| !is_stand_in(key));
    all.filter_map(|key| {
        let value = values.remove(key.name).filter(|value| value != "\"\"");
        (value.is_some() || of_unit(key) && key.honoured).then(|| line(key, value))
    })
    .collect()
}
