//! `check`: unit files and their graph, without a daemon.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::page;
use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::lint::{self, Finding, Graph, Machine, Weight};
use crate::cli::output::{answer, aside};
use crate::cli::place::Place;
use crate::cli::render::{self, Checked, Verdict};
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::text::clean;
use crate::cli::units;
use crate::daemon::{SettingsError, settings, unit_context};
use crate::sys::process::error_text;
use crate::unit::{self, LoadError, SearchPath, Unit, UnitName};

pub(in crate::cli) const ROW: Row = Row {
    name: "check",
    alias: None,
    group: Group::Files,
    arguments: "[FILE…]",
    count: Count::Any,
    options: &[Choice::flag(
        "",
        "--json",
        "one object: files, findings, sums",
    )],
    summary: "find mistakes in unit files and their dependencies",
    help: &[
        "FILE is a unit file, a unit's name or a folder; without one: every unit file of the service folders, and \
         the daemon's own settings, daemon.toml. Shows each \
         mistake with its line and what to do about it, and looks further than the file: a circle in the order, a \
         dependency that has no file, a program, user or folder that is not there, Requires= without After=, drop-ins \
         that nobody reads, and (of whole folders) which units nothing starts. For each service that is restarted it \
         prints the real delays.",
        "Fields of --json: `files` (each with `file`, `unit`, `findings`, `restart`), `together`, `errors`, `warnings`. A \
         finding has `severity` (error, warning, note), `message`, `hint`, `file`, `line`, `column`, `width`; a circle has \
         its edges in `path`.",
        "Asks no daemon and starts none.",
    ],
    examples: &[
        ("diakonos check", "all of ./services"),
        (
            "diakonos check web.service",
            "one file, with its folder for its dependencies",
        ),
        ("diakonos check --json /srv/units", "a folder, for programs"),
    ],
    exits: &[
        (Exit::Done, "no mistake; there may be warnings"),
        (Exit::Failed, "there are mistakes"),
        (Exit::NoSuchUnit, "no such unit or file"),
    ],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let mut asked = Asked {
        path: place.search_path(),
        files: Vec::new(),
        seen: BTreeSet::new(),
        left_out: Vec::new(),
        extent: Extent::Files,
    };
    if given.arguments.is_empty() {
        let path = asked.path.clone();
        asked.folders(&path);
    }
    for argument in &given.arguments {
        asked.argument(argument)?;
    }
    if asked.files.is_empty() && asked.left_out.is_empty() {
        let folders = match given.arguments.as_slice() {
            [] => shown(&asked.path),
            named => clean(&named.join(", ")),
        };
        aside(&format!("no unit files: nothing lies in {folders}\n"));
    }
    let mut verdict = judge(&asked, units::enabled(&place));
    if given.arguments.is_empty() {
        verdict.files.extend(settings_checked(&place));
    }
    if given.flag("--json") {
        answer(render::findings_json(&verdict).document())?;
    } else {
        answer(render::findings(&verdict, page(given)))?;
    }
    Ok(match verdict.number(Weight::Error) {
        0 => Exit::Done,
        _ => Exit::Failed,
    })
}

/// The daemon's own settings, if there are any.
fn settings_checked(place: &Place) -> Option<Checked> {
    let path = place.home.settings();
    let findings = match settings(&place.home) {
        Ok(_) if !path.exists() => return None,
        Ok(_) => Vec::new(),
        Err(SettingsError::Wrong(report)) => lint::broken(&LoadError::Invalid(report)),
        Err(error) => vec![Finding::new(Weight::Error, error.to_string())],
    };
    Some(Checked {
        path,
        unit: None,
        findings,
        delays: None,
    })
}

/// What is to be checked.
struct Asked {
    /// Where dependencies are looked for: the folder of a file that was named is one of them.
    path: SearchPath,
    files: Vec<(UnitName, PathBuf)>,
    seen: BTreeSet<PathBuf>,
    /// Files and folders that are none of a unit's, and why.
    left_out: Vec<(PathBuf, String)>,
    extent: Extent,
}

/// How much was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Files,
    /// All files of a folder at least, so that it can be said who is named by nobody.
    Folders,
}

impl Asked {
    /// Every file of these folders.
    fn folders(&mut self, folders: &SearchPath) {
        let listing = folders.list();
        let skipped = listing.skipped.into_iter();
        self.left_out
            .extend(skipped.map(|skipped| (skipped.path, skipped.reason)));
        self.left_out.extend(lint::unread(folders));
        for listed in listing.units {
            for hidden in listed.found.hidden {
                let reason = format!(
                    "it is not read: {} comes first",
                    listed.found.path.display()
                );
                self.left_out.push((hidden, reason));
            }
            self.add(listed.name, listed.found.path);
        }
        self.extent = Extent::Folders;
    }

    fn add(&mut self, name: UnitName, file: PathBuf) {
        if self.seen.insert(file.clone()) {
            self.files.push((name, file));
        }
    }

    /// A file, a folder or the name of a unit.
    fn argument(&mut self, argument: &str) -> Result<(), Failure> {
        let file = Path::new(argument);
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        if !argument.contains('/') && !file.exists() {
            let name = UnitName::parse(argument).map_err(super::refused)?;
            let Some(found) = self.path.find(&name) else {
                let listing = self.path.list();
                let known = listing.units.iter().map(|listed| listed.name.as_str());
                return Err(units::no_such_unit(&shown(&self.path), argument, known));
            };
            self.add(name, found.path);
            return Ok(());
        }
        if absolute.is_dir() && !argument.trim_end_matches('/').ends_with(".service.d") {
            self.join(&absolute);
            let directories = vec![absolute];
            self.folders(&SearchPath { directories });
            return Ok(());
        }
        if let Err(error) = absolute.metadata() {
            let (path, reason) = (clean(argument), error_text(&error));
            let message = format!("cannot read {path}: {reason}");
            return Err(Failure::new(Exit::NoSuchUnit, message));
        }
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        if !name.ends_with(".service") {
            let message = format!("{} is not named NAME.service", clean(argument));
            let failure = Failure::usage(message);
            let is_drop_in = name.ends_with(".toml") || name.ends_with(".service.d");
            return Err(match is_drop_in {
                true => failure.hint("a drop-in is checked with its unit: name that"),
                false => failure,
            });
        }
        let name = UnitName::parse(name).map_err(super::refused)?;
        self.join(absolute.parent().unwrap_or(&absolute));
        self.add(name, absolute);
        Ok(())
    }

    fn join(&mut self, folder: &Path) {
        if !self.path.directories.iter().any(|known| known == folder) {
            self.path.directories.insert(0, folder.to_owned());
        }
    }
}

fn judge(asked: &Asked, enabled: Vec<String>) -> Verdict {
    let context = unit_context();
    let mut verdict = Verdict {
        asked: asked.files.len(),
        folder: std::env::current_dir().unwrap_or_default(),
        ..Verdict::default()
    };
    for (path, reason) in &asked.left_out {
        verdict.files.push(Checked {
            path: path.clone(),
            unit: None,
            findings: vec![Finding::new(Weight::Warning, &**reason)],
            delays: None,
        });
    }
    let (mut units, mut twins) = (Vec::new(), Vec::new());
    let mut names = BTreeSet::new();
    for (name, file) in &asked.files {
        match unit::load_file(file, name, &context) {
            Ok(unit) if names.insert(name.clone()) => units.push(unit),
            // In the graph there is room for one of a name.
            Ok(unit) => twins.push(unit),
            Err(error) => verdict.files.push(Checked {
                path: file.clone(),
                unit: Some(name.to_string()),
                findings: lint::broken(&error),
                delays: None,
            }),
        }
    }
    // What a broken file names cannot be known.
    if asked.extent == Extent::Folders && names.len() + twins.len() == asked.files.len() {
        let note = lint::unstarted(units.iter(), &enabled);
        verdict.together.extend(note);
    }
    let graph = Graph::new(units, &asked.path, &context, enabled);
    let mut machine = Machine::default();
    let checked = |unit: &Unit| Checked {
        path: unit.path.clone(),
        unit: Some(unit.name.to_string()),
        findings: graph.findings(unit, &mut machine),
        delays: graph.delays(unit),
    };
    let units = names.iter().filter_map(|name| graph.unit(name));
    verdict.files.extend(units.chain(&twins).map(checked));
    verdict.together.splice(0..0, graph.cycles());
    verdict
}

fn shown(path: &SearchPath) -> String {
    let folders = path.directories.iter();
    let folders: Vec<String> = folders.map(|f| f.display().to_string()).collect();
    folders.join(", ")
}
