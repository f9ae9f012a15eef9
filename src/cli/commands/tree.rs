//! `tree`: who stands on whom, and how each of them is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{checked_names, page};
use crate::cli::args::Given;
use crate::cli::client::Client;
use crate::cli::definitions;
use crate::cli::edges::stands_on;
use crate::cli::exit::{Exit, Failure};
use crate::cli::forest::{Direction, Forest};
use crate::cli::output::{answer, aside};
use crate::cli::place::Place;
use crate::cli::render::{self, Files, Item, Leaf};
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::units::{self, Templates};
use crate::daemon::unit_context;
use crate::sorted;
use crate::unit::{self, Context, LoadError, Relation, Unit, UnitName, glob};

pub(in crate::cli) const ROW: Row = Row {
    name: "tree",
    alias: None,
    group: Group::Looking,
    arguments: "[NAME…]",
    count: Count::Any,
    options: &[
        Choice::flag("-r", "--reverse", "below each unit what stands on it"),
        Choice::flag("", "--json", "an array of objects, one for each line"),
    ],
    summary: "show dependencies as a tree, with states",
    help: &[
        "Below each unit stands what it requires, wants, binds to, upholds or has as requisite, with the key that says so; \
         with --reverse what does that to it. Without a name: all units, from those that no other stands on.",
        "The branches of a unit are shown once; where it comes again, a mark stands behind its name, and another one where \
         a circle closes. `missing` is a unit that has no file, `error` one whose file is wrong. Where the file of a unit \
         that is up has changed, the tree is what it was started with.",
        "Fields of --json: `name`, `state`, `depth` (0: a root), `parent`, `keys`, and `repeat` (`above`, `circle` or null).",
        "Does not start a daemon, unless one has died and left its services behind.",
    ],
    examples: &[
        ("diakonos tree web", "what web needs, down to the ground"),
        (
            "diakonos tree --reverse database",
            "what stands on database",
        ),
    ],
    exits: &[(Exit::NoSuchUnit, "no such unit")],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    let names = checked_names(&given.arguments)?;
    let place = Place::find(given)?;
    let mut client = place.connect_or_succeed()?;
    let items = units::gather(&place, client.as_mut(), Templates::Hidden)?;
    let mut woods = Woods::new(&place, &items);
    if let Some(client) = &mut client {
        woods.ask(client, &items)?;
    }
    let named = woods.named(&names)?;
    woods.read(&named);
    let direction = match given.flag("--reverse") {
        true => Direction::Up,
        false => Direction::Down,
    };
    let all: Vec<UnitName> = woods.states.keys().cloned().collect();
    let forest = woods.forest.read(direction);
    let branches = match names.is_empty() {
        true => forest.walk_all(&all),
        false => forest.walk(&named),
    };
    let state = |name: &UnitName| woods.states.get(name).map_or("missing", String::as_str);
    let leaves = branches.into_iter().map(|branch| Leaf {
        state: state(&branch.name).to_owned(),
        branch,
    });
    let leaves: Vec<Leaf> = leaves.collect();
    if given.flag("--json") {
        answer(render::tree_json(&leaves).document())?;
    } else if leaves.is_empty() {
        aside(&format!(
            "no units: nothing lies in {}\n",
            place.shown_directories()
        ));
    } else {
        answer(render::tree(&leaves, page(given)))?;
    }
    Ok(Exit::Done)
}

/// All units that are known, and what they say of each other.
struct Woods<'p> {
    place: &'p Place,
    context: Context,
    /// Where the file of a unit is that was found already.
    files: BTreeMap<UnitName, PathBuf>,
    states: BTreeMap<UnitName, String>,
    /// What is loaded and does not lie on the disk any more.
    in_force: BTreeMap<UnitName, Unit>,
    forest: Forest,
}

impl<'p> Woods<'p> {
    fn new(place: &'p Place, items: &[Item]) -> Self {
        let mut woods = Self {
            place,
            context: unit_context(),
            files: BTreeMap::new(),
            states: BTreeMap::new(),
            in_force: BTreeMap::new(),
            forest: Forest::default(),
        };
        for Item { status, .. } in items {
            let Ok(name) = UnitName::parse(&status.name) else {
                continue;
            };
            let state = match status.frozen_ms {
                Some(_) => "frozen",
                None => &status.state,
            };
            woods
                .files
                .insert(name.clone(), PathBuf::from(&status.file));
            woods.states.insert(name, state.to_owned());
        }
        woods
    }

    /// Asks for the definitions that are in force and not on the disk.
    fn ask(&mut self, client: &mut Client, items: &[Item]) -> Result<(), Failure> {
        let changed = items.iter().filter(|item| {
            let status = &item.status;
            item.files != Files::AsRead && (units::is_active(status) || item.fault.is_some())
        });
        let names: Vec<String> = changed.map(|item| item.status.name.clone()).collect();
        let loaded = definitions::loaded(client, self.place, &names)?;
        let in_force = loaded.into_iter().map(|loaded| (loaded.name, loaded.unit));
        self.in_force.extend(in_force);
        Ok(())
    }

    /// The units of these names and patterns.
    fn named(&self, names: &[String]) -> Result<Vec<UnitName>, Failure> {
        let mut named = Vec::new();
        for text in names {
            let known = self.states.keys();
            let mut meant: Vec<UnitName> = match UnitName::parse(text) {
                _ if glob::is_pattern(text) => known
                    .filter(|name| glob::matches(text, name.as_str()))
                    .cloned()
                    .collect(),
                Ok(name) if self.file(&name).is_some() => self.standing_for(name),
                _ => Vec::new(),
            };
            if meant.is_empty() && text != "*" {
                let known = self.states.keys().map(UnitName::as_str);
                return Err(units::no_such_unit(
                    &self.place.shown_directories(),
                    text,
                    known,
                ));
            }
            meant.retain(|name| !named.contains(name));
            named.extend(meant);
        }
        Ok(named)
    }

    /// A unit itself; of a template its instances, if it has any.
    fn standing_for(&self, name: UnitName) -> Vec<UnitName> {
        let is_instance = |known: &&UnitName| known.template().as_ref() == Some(&name);
        let mut instances: Vec<UnitName> =
            self.states.keys().filter(is_instance).cloned().collect();
        sorted::sort_by(&mut instances, UnitName::by_number);
        match instances.is_empty() {
            true => vec![name],
            false => instances,
        }
    }

    fn file(&self, name: &UnitName) -> Option<PathBuf> {
        let known = self.files.get(name).cloned();
        known.or_else(|| Some(self.place.search_path().find(name)?.path))
    }

    /// Reads all units that are known, and whatever these and the named ones stand on.
    fn read(&mut self, named: &[UnitName]) {
        let mut pending: Vec<UnitName> = self.states.keys().chain(named).cloned().collect();
        let mut seen: BTreeSet<UnitName> = BTreeSet::new();
        while let Some(name) = pending.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let Some(read) = self.unit(&name) else {
                continue;
            };
            // An instance that nobody has loaded is in no list.
            let otherwise = if read.is_ok() { "stopped" } else { "error" };
            let state = self.states.entry(name);
            state.or_insert_with(|| otherwise.to_owned());
            if let Ok(unit) = read {
                for (relation, name) in stands_on(&unit) {
                    self.forest.add(&unit.name, relation, name);
                    pending.push(name.clone());
                }
            }
        }
        for name in units::enabled(self.place) {
            self.install(&name);
        }
    }

    /// What holds of a unit; nothing if there is no such unit.
    fn unit(&self, name: &UnitName) -> Option<Result<Unit, LoadError>> {
        if let Some(unit) = self.in_force.get(name) {
            return Some(Ok(unit.clone()));
        }
        let file = self.file(name)?;
        Some(unit::load_file(&file, name, &self.context))
    }

    /// An enabled unit can say by whom it is pulled in.
    fn install(&mut self, name: &str) {
        let Ok(name) = UnitName::parse(name) else {
            return;
        };
        let Some(Ok(unit)) = self.unit(&name) else {
            return;
        };
        for name in self.standing_for(name) {
            for by in &unit.install.wanted_by {
                self.forest.add(by, Relation::Wants, &name);
            }
            for by in &unit.install.required_by {
                self.forest.add(by, Relation::Requires, &name);
            }
        }
    }
}
