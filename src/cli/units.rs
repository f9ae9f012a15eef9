//! Units as this room sees them: what the daemon says of those that it has loaded, and the files of all others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::client::Client;
use super::exit::{Exit, Failure};
use super::instances::Instances;
use super::place::Place;
use super::render::{Files, Item, Origin};
use super::text::clean;
use super::usage::{Survey, Usage};
use crate::daemon::{Home, unit_context};
use crate::engine::{Command, State};
use crate::sorted::{self, Sorted};
use crate::unit::{self, Listed, LoadError, SearchPath, Unit, UnitName, glob, unit_meant};
use crate::wire::UnitStatus;

/// Whether `worker@` stands in a list beside its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Templates {
    Shown,
    Hidden,
}

impl Place {
    pub(super) fn search_path(&self) -> SearchPath {
        SearchPath {
            directories: self.directories.iter().map(PathBuf::from).collect(),
        }
    }
}

/// Every unit: those that the daemon has loaded, if there is one, and those that only have a file; by name.
pub(super) fn gather(
    place: &Place,
    client: Option<&mut Client>,
    templates: Templates,
) -> Result<Vec<Item>, Failure> {
    let loaded = match client {
        Some(client) => client.units(Command::List, &place.directories)?,
        None => Vec::new(),
    };
    let enabled = enabled(place);
    let listing = place.search_path().list();
    for skipped in &listing.skipped {
        let warning = format!("{}: {}", skipped.path.display(), skipped.reason);
        super::output::aside(&format!("warning: {}\n", clean(&warning)));
    }
    let names: BTreeSet<String> = loaded.iter().map(|status| status.name.clone()).sorted_set();
    let is_loaded = |name: &UnitName| names.contains(name.as_str());
    let hidden = |name: &UnitName| templates == Templates::Hidden && name.is_template();
    let context = unit_context();
    let load = |listed: &Listed| unit::load_file(&listed.found.path, &listed.name, &context);
    let mut items: Vec<Item> = Vec::new();
    let mut instances: Vec<Listed> = Vec::new();
    let counts = Instances::of(place);
    for listed in listing
        .units
        .iter()
        .filter(|listed| !is_loaded(&listed.name))
    {
        let result = load(listed);
        if listed.name.is_template()
            && let Ok(template) = &result
        {
            let names = counts.counted(template).unwrap_or_default().into_iter();
            let found = || listed.found.clone();
            instances.extend(names.map(|name| Listed {
                name,
                found: found(),
            }));
        }
        // What is wrong with a template is wrong with all its instances, and nothing else would show it.
        if !hidden(&listed.name) || result.is_err() {
            items.push(from_file(
                listed,
                result,
                is_enabled(&enabled, &listed.name),
            ));
        }
    }
    let files: BTreeSet<&UnitName> = listing.units.iter().map(|listed| &listed.name).sorted_set();
    let has_file = |name: &UnitName| files.contains(name);
    for listed in instances
        .iter()
        .filter(|listed| !is_loaded(&listed.name) && !has_file(&listed.name))
    {
        items.push(from_file(
            listed,
            load(listed),
            is_enabled(&enabled, &listed.name),
        ));
    }
    items.extend(loaded.into_iter().map(from_daemon).filter(is_there));
    sort(&mut items, |item| &item.status.name);
    Ok(items)
}

/// Puts units into the order of their names, the instances of a template by number.
pub(super) fn sort<T>(units: &mut Vec<T>, name: fn(&T) -> &String) {
    let named = units
        .drain(..)
        .map(|unit| (UnitName::parse(name(&unit)).ok(), unit));
    let mut named: Vec<(Option<UnitName>, T)> = named.collect();
    sorted::sort_by(&mut named, |(one, _), (other, _)| match (one, other) {
        (Some(one), Some(other)) => one.by_number(other),
        // The daemon sends names only.
        _ => one.cmp(other),
    });
    units.extend(named.into_iter().map(|(_, unit)| unit));
}

/// The units of these names and patterns, in the order asked. A unit whose file is wrong is among them.
pub(super) fn look_up(
    place: &Place,
    client: Option<&mut Client>,
    names: &[String],
) -> Result<Vec<Item>, Failure> {
    let mut client = client;
    if let Some(client) = &mut client {
        let asked = Command::Status {
            names: names.to_vec(),
        };
        match client.units(asked, &place.directories) {
            Ok(units) => {
                let named = |item: &Item| names.contains(&item.status.name);
                let items = units.into_iter().map(from_daemon);
                return Ok(items.filter(|item| named(item) || is_there(item)).collect());
            }
            // It may be a unit that the daemon cannot read: its file says more.
            Err(failure) if matches!(failure.exit, Exit::NoSuchUnit | Exit::Failed) => {}
            // Or a template without instances.
            Err(_) if names.iter().any(|name| name.ends_with('@')) => {}
            Err(failure) => return Err(failure),
        }
    }
    let items = gather(place, client, Templates::Shown)?;
    let mut picked: Vec<Item> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for name in names {
        let of_pattern = |pattern: &str| -> Vec<&Item> {
            let meant = items
                .iter()
                .filter(|item| is_meant(pattern, &item.status.name));
            meant.collect()
        };
        let mut meant = of_pattern(name);
        // A template means its instances, if it has any.
        if name.ends_with('@') {
            let instances = of_pattern(&format!("{name}?*"));
            meant = if instances.is_empty() {
                meant
            } else {
                instances
            };
        }
        // `*` is "all there are", and that may be none.
        if meant.is_empty() && name != "*" {
            picked.push(instance(place, name, &items)?);
        }
        for item in meant {
            if seen.insert(item.status.name.clone()) {
                picked.push(item.clone());
            }
        }
    }
    Ok(picked)
}

fn is_meant(pattern: &str, name: &str) -> bool {
    match glob::is_pattern(pattern) {
        true => glob::matches(pattern, name),
        false => pattern == name,
    }
}

/// An instance of a template has no file of its own, and no line in a list.
fn instance(place: &Place, name: &str, items: &[Item]) -> Result<Item, Failure> {
    let found = UnitName::parse(name).ok().and_then(|name| {
        let found = place.search_path().find(&name)?;
        Some(Listed { name, found })
    });
    let Some(listed) = found else {
        let known = items.iter().map(|item| item.status.name.as_str());
        return Err(no_such_unit(&place.shown_directories(), name, known));
    };
    let result = unit::load_file(&listed.found.path, &listed.name, &unit_context());
    let enabled = is_enabled(&enabled(place), &listed.name);
    Ok(from_file(&listed, result, enabled))
}

/// `folders` as a reader likes to see them; `known`, what the nearest name is looked for among.
pub(super) fn no_such_unit<'a>(
    folders: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Failure {
    let otherwise = "`diakonos list` shows all units; --service-dir names another folder";
    let hint = unit_meant(name, known).unwrap_or_else(|| otherwise.to_owned());
    let message = format!("there is no unit `{}` in {folders}", clean(name));
    Failure::new(Exit::NoSuchUnit, message).hint(hint)
}

/// Adds the nearest known name where the daemon knew none.
pub(super) fn with_nearest(failure: Failure, place: &Place, names: &[String]) -> Failure {
    if failure.exit != Exit::NoSuchUnit || failure.hint.is_some() {
        return failure;
    }
    let path = place.search_path();
    let listing = path.list();
    let known = || listing.units.iter().map(|listed| listed.name.as_str());
    // Also an instance of which there is no file but its template's.
    let has_file = |name: &str| UnitName::parse(name).is_ok_and(|name| path.find(&name).is_some());
    let strangers = names
        .iter()
        .filter(|name| !has_file(name))
        // What is near a pattern has not been mistyped.
        .filter(|name| !glob::is_pattern(name));
    match strangers
        .filter_map(|name| unit_meant(name, known()))
        .next()
    {
        Some(meant) => failure.hint(meant),
        None => failure.hint("`diakonos list` shows all units; --service-dir names another folder"),
    }
}

/// A unit that the daemon has loaded. Its file may have been broken or deleted since: the next start would find that.
fn from_daemon(mut status: UnitStatus) -> Item {
    let file = PathBuf::from(&status.file);
    let name = UnitName::parse(&status.name)
        .ok()
        .filter(|_| status.hash != 0);
    let files = name.as_ref().map_or(Files::AsRead, |name| {
        match unit::hash_on_disk(&file, name) {
            Ok(hash) if hash == status.hash => Files::AsRead,
            Err(_) if !file.exists() => Files::Gone,
            Ok(_) | Err(_) => Files::Changed,
        }
    });
    let read = name
        .filter(|_| files != Files::AsRead)
        .map(|name| unit::load_file(&file, &name, &unit_context()));
    let fault = read.and_then(|read| Some(first_problem(&read.err()?)));
    // That it is gone is no fault of the file's, unless somebody counts on it.
    let fault = match files {
        Files::Gone if status.enabled => Some(format!("{} is gone", file.display())),
        Files::Gone => None,
        Files::AsRead | Files::Changed => fault,
    };
    if fault.is_some() && status.state == State::Stopped.word() {
        "error".clone_into(&mut status.state);
    }
    Item {
        origin: origin(&status),
        status,
        usage: Usage::default(),
        files,
        fault,
    }
}

/// Whether there is anything of the unit but the daemon's memory of it: a file, a process, a failure to be read of, or
/// that it is to start with the daemon.
fn is_there(item: &Item) -> bool {
    let ended = ["error", State::Stopped.word(), State::Completed.word()];
    let is_down = ended.contains(&item.status.state.as_str());
    let is_left = !item.status.left_over.is_empty() || item.status.enabled;
    item.files != Files::Gone || !is_down || is_left
}

/// A unit that nobody has started: what its file says.
fn from_file(listed: &Listed, result: Result<Unit, LoadError>, enabled: bool) -> Item {
    let mut status = UnitStatus {
        name: listed.name.to_string(),
        state: State::Stopped.word().to_owned(),
        active: State::Stopped.active_state().to_owned(),
        phase: "dead".to_owned(),
        file: listed.found.path.display().to_string(),
        enabled,
        ..UnitStatus::default()
    };
    let mut fault = None;
    if listed.name.is_template() {
        "template".clone_into(&mut status.state);
    }
    match result {
        Ok(unit) => {
            unit.kind().clone_into(&mut status.kind);
            status.requires = unit.requires.iter().map(ToString::to_string).collect();
            status.description = unit.description;
            status.documentation = unit.documentation.into_iter().collect();
        }
        Err(error) => {
            "error".clone_into(&mut status.state);
            fault = Some(first_problem(&error));
        }
    }
    Item {
        origin: origin(&status),
        status,
        usage: Usage::default(),
        files: Files::AsRead,
        fault,
    }
}

/// Where what is known of it lies.
fn origin(status: &UnitStatus) -> Origin {
    let folder = Path::new(&status.file).parent();
    // The daemon's path may have another name for the same folder.
    let is_ours = |folder: &Path, home: &Home| {
        let ours = home.transient();
        let names = [folder, &ours].map(Path::file_name);
        names[0] == names[1] && folder.canonicalize().ok() == ours.canonicalize().ok()
    };
    match (folder, Home::find()) {
        (Some(folder), Ok(home)) if is_ours(folder, &home) => Origin::CommandLine,
        _ => Origin::File,
    }
}

/// One line of what is wrong with a file.
fn first_problem(error: &LoadError) -> String {
    match error {
        LoadError::Invalid(report) => match report.problems() {
            [] => error.to_string(),
            [problem, rest @ ..] => {
                let file = problem.path.file_name().unwrap_or_default();
                let place = format!("{}:{}", file.to_string_lossy(), problem.line);
                let more = match rest.len() {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                };
                format!("{place}: {}{more}", problem.message)
            }
        },
        _ => error.to_string(),
    }
}

/// The names in the daemon's list of enabled units, sorted: one a line, up to a tab.
pub(super) fn enabled(place: &Place) -> Vec<String> {
    let text = std::fs::read_to_string(place.home.enabled()).unwrap_or_default();
    let names = text.lines().filter_map(|line| line.split('\t').next());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    sorted::sort(&mut names);
    names
}

/// Whether a unit, or the template that it is an instance of, is among these, which are sorted.
fn is_enabled(enabled: &[String], name: &UnitName) -> bool {
    let has = |name: &UnitName| {
        enabled
            .binary_search_by(|known| known.as_str().cmp(name.as_str()))
            .is_ok()
    };
    has(name) || (name.number().is_some() && name.template().is_some_and(|name| has(&name)))
}

/// Adds what each unit uses.
pub(super) fn measure(items: &mut [Item]) {
    let mut survey = Survey::default();
    for item in items {
        item.usage = survey.usage(&item.status);
    }
}

/// Whether it is neither up nor on its way there.
pub(super) fn is_down(status: &UnitStatus) -> bool {
    let down = [State::Stopped, State::Completed, State::Failed];
    down.iter().any(|state| status.state == state.word())
}

/// As systemd's is-active judges it.
pub(super) fn is_active(status: &UnitStatus) -> bool {
    matches!(status.active.as_str(), "active" | "reloading")
}
