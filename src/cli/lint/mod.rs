//! What `check` finds beyond a file's own mistakes: in the graph, and on this machine. Looks, and changes nothing.
//!
//! Owns the findings and the graph of the units that are checked. What the machine lacks is `machine.rs`, where
//! streams lead `streams.rs`, when a service is restarted `delays.rs`, and what nobody starts or reads `unused.rs`; how
//! all that is shown is `render`'s.

mod delays;
mod machine;
mod streams;
mod unused;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use delays::{Delays, Reach};
pub(super) use machine::Machine;
pub(super) use unused::{unread, unstarted};

use super::edges::{Tie, stands_on, tie};
use crate::engine::find_cycles;
use crate::sorted::{self, Sorted};
use crate::unit::{
    self, Context, LoadError, Part, Problem, Relation, Remark, SearchPath, Spot, Unit, UnitName,
};

/// Units that are followed from those asked for.
const GRAPH_MAX: usize = 10_000;
/// So many unknown names are compared with the known ones.
const COMPARED_MAX: usize = 100;
/// So many names of a circle stand in one line.
const NAMED_MAX: usize = 12;
/// Keys that name what is started with a unit, or by its end.
const LEADS: [Relation; 4] = [
    Relation::Requires,
    Relation::BindsTo,
    Relation::OnFailure,
    Relation::OnSuccess,
];
/// So many circles in the order are shown.
const CYCLES_MAX: usize = 10;

/// One thing to be said of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) weight: Weight,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// Which key it is about, until [`place`] has found where that stands.
    spot: Option<Spot>,
    pub(super) place: Option<Problem>,
    /// The way that leads into a circle, edge by edge.
    pub(super) steps: Vec<Step>,
}

/// One edge of the order: `unit` comes after `after`, because this key in this place says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) unit: UnitName,
    pub(super) after: UnitName,
    pub(super) key: &'static str,
    pub(super) place: Option<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// It cannot start so.
    Error,
    /// It can, and is hardly what was meant.
    Warning,
    /// Good to know.
    Note,
}

impl Finding {
    pub(super) fn new(weight: Weight, message: impl Into<String>) -> Self {
        Self {
            weight,
            message: message.into(),
            hint: None,
            spot: None,
            place: None,
            steps: Vec::new(),
        }
    }

    fn at(mut self, spot: Spot) -> Self {
        self.spot = Some(spot);
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn hint_if(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

/// What is wrong with a file that is no unit.
pub(super) fn broken(error: &LoadError) -> Vec<Finding> {
    let LoadError::Invalid(report) = error else {
        return vec![Finding::new(Weight::Error, error.to_string())];
    };
    let problems = report.problems().iter();
    let finding = |problem: &Problem| Finding {
        place: Some(problem.clone()),
        ..Finding::new(Weight::Error, &*problem.message).hint_if(problem.hint.clone())
    };
    problems.map(finding).collect()
}

/// Finds where the keys that the findings are about stand; then all are in the order of their places.
fn place(unit: &Unit, findings: &mut [Finding], context: &Context) {
    let spots = findings.iter().filter_map(|finding| finding.spot.clone());
    let remarks: Vec<Remark> = spots.map(remark).collect();
    if remarks.is_empty() {
        return;
    }
    let mut places = unit::locate(&unit.path, &unit.name, context, &remarks).into_iter();
    for finding in findings.iter_mut() {
        if finding.spot.take().is_some() {
            finding.place = places.next().flatten();
        }
    }
    let order = |finding: &Finding| {
        let place = finding.place.as_ref();
        let place = place.map(|place| (place.path != unit.path, place.line, place.column));
        (finding.weight == Weight::Note, place.is_none(), place)
    };
    sorted::sort_by_key(findings, order);
}

fn remark(spot: Spot) -> Remark {
    Remark {
        spot,
        message: String::new(),
        hint: None,
    }
}

/// The units that were asked for, and all that these name.
#[derive(Debug)]
pub(super) struct Graph<'c> {
    context: &'c Context,
    /// Names of units that start with the daemon.
    enabled: BTreeSet<String>,
    units: BTreeMap<UnitName, Unit>,
    /// Named and not to be read, and why.
    absent: BTreeMap<UnitName, LoadError>,
    /// What was perhaps meant by a name that no unit has.
    meant: BTreeMap<UnitName, String>,
    /// Second names that are first names of other units.
    taken: BTreeSet<UnitName>,
}

impl<'c> Graph<'c> {
    /// Reads what the units name, on and on. `enabled`: which start with the daemon.
    pub(super) fn new(
        asked: Vec<Unit>,
        path: &SearchPath,
        context: &'c Context,
        enabled: Vec<String>,
    ) -> Self {
        let mut graph = Self {
            context,
            enabled: enabled.into_iter().sorted_set(),
            units: BTreeMap::new(),
            absent: BTreeMap::new(),
            meant: BTreeMap::new(),
            taken: BTreeSet::new(),
        };
        let mut pending: Vec<UnitName> = Vec::new();
        for unit in asked {
            pending.extend(neighbours(&unit).cloned());
            let taken = unit.install.alias.iter();
            let taken = taken.filter(|alias| path.find(alias).is_some());
            graph.taken.extend(taken.cloned());
            graph.units.insert(unit.name.clone(), unit);
        }
        while let Some(name) = pending.pop() {
            let is_known = graph.units.contains_key(&name) || graph.absent.contains_key(&name);
            if is_known || graph.units.len() >= GRAPH_MAX {
                continue;
            }
            match unit::load(&name, path, context) {
                Ok(unit) => {
                    pending.extend(neighbours(&unit).cloned());
                    graph.units.insert(name, unit);
                }
                Err(error) => drop(graph.absent.insert(name, error)),
            }
        }
        graph.compare(path);
        graph
    }

    /// Looks for what was meant by the names that no unit has.
    fn compare(&mut self, path: &SearchPath) {
        if self.absent.is_empty() {
            return;
        }
        let listing = path.list();
        let known = || listing.units.iter().map(|listed| listed.name.as_str());
        let absent = self.absent.iter();
        let unknown = absent.filter(|(_, error)| matches!(error, LoadError::NotFound { .. }));
        let meant = unknown.take(COMPARED_MAX).filter_map(|(name, _)| {
            let meant = unit::unit_meant(name.as_str(), known())?;
            Some((name.clone(), meant))
        });
        self.meant = meant.sorted_map();
    }

    pub(super) fn unit(&self, name: &UnitName) -> Option<&Unit> {
        self.units.get(name)
    }

    /// The circles in the order that have nothing to do with each other.
    pub(super) fn cycles(&self) -> Vec<Finding> {
        let cycles = find_cycles(self.units.values(), CYCLES_MAX);
        cycles.iter().map(|cycle| self.cycle(cycle)).collect()
    }

    fn cycle(&self, cycle: &[UnitName]) -> Finding {
        let mut names: Vec<&str> = cycle.iter().map(UnitName::as_str).collect();
        // The edges follow, all of them.
        if names.len() > NAMED_MAX {
            names.splice(NAMED_MAX / 2..names.len() - 1, ["…"]);
        }
        let message = format!("the order goes in a circle: {}", names.join(" after "));
        let pairs = cycle.windows(2).filter_map(|pair| match pair {
            [unit, after] => self.step(unit, after),
            _ => None,
        });
        Finding {
            steps: pairs.collect(),
            ..Finding::new(Weight::Error, message).hint("take one After= or Before= of it away")
        }
    }

    /// Which key of which of the two says so.
    fn step(&self, unit: &UnitName, after: &UnitName) -> Option<Step> {
        let find = |name: &UnitName| self.units.get(name);
        let (key, place) = unit::locate_order(unit, after, find, self.context)?;
        let (unit, after) = (unit.clone(), after.clone());
        Some(Step {
            unit,
            after,
            key,
            place,
        })
    }

    /// What this unit names and cannot have, or cannot have together.
    fn dependencies(&self, unit: &Unit, findings: &mut Vec<Finding>) {
        for (relation, name) in unit.neighbours() {
            let key = relation.key();
            let spot = Spot::name(key, name);
            match self.absent.get(name) {
                Some(LoadError::NotFound { .. }) => {
                    // What is ordered and pulled in was said of already.
                    if tie(relation) == Tie::Heeds && is_pulled(unit, name) {
                        continue;
                    }
                    let (weight, then) = match tie(relation) {
                        Tie::Needs => (Weight::Error, ""),
                        Tie::Wants | Tie::Calls => (Weight::Warning, ""),
                        Tie::Heeds => (Weight::Warning, ", so this has no effect"),
                    };
                    let message = format!("{key} = {name}: there is no such unit{then}");
                    let meant = self.meant.get(name).cloned();
                    findings.push(Finding::new(weight, message).at(spot).hint_if(meant));
                }
                Some(LoadError::Io { .. } | LoadError::Invalid(_)) => {
                    let weight = match tie(relation) {
                        Tie::Needs => Weight::Error,
                        Tie::Wants | Tie::Calls => Weight::Warning,
                        Tie::Heeds => continue,
                    };
                    let message = format!("{key} = {name}: its file is wrong");
                    let finding = Finding::new(weight, message).at(spot);
                    findings.push(finding.hint(format!("check it: diakonos check {name}")));
                }
                None => findings.extend(self.quarrel(unit, relation, name)),
            }
        }
    }

    /// What cannot be up together: this unit and one that it pulls in, or two that it pulls in.
    fn quarrel(&self, unit: &Unit, relation: Relation, name: &UnitName) -> Option<Finding> {
        let key = relation.key();
        let message = match tie(relation) {
            Tie::Heeds if relation == Relation::Conflicts && is_pulled(unit, name) => {
                format!("{key} = {name}: the unit also needs or wants it")
            }
            Tie::Needs | Tie::Wants => {
                let enemies = self.units.get(name)?.named_in(Relation::Conflicts);
                let is_enemy = |enemy: &&UnitName| **enemy == unit.name || is_pulled(unit, enemy);
                let enemy = enemies.iter().find(is_enemy)?;
                let whom = match *enemy == unit.name {
                    true => "it",
                    false => enemy.as_str(),
                };
                format!("{key} = {name}: {name} conflicts with {whom}")
            }
            Tie::Calls => return self.ring(unit, key, name),
            Tie::Heeds => return None,
        };
        let finding = Finding::new(Weight::Error, message).at(Spot::name(key, name));
        Some(finding.hint("the two cannot be up together: take one away"))
    }

    /// A handler whose own end, or whose need, is to start this unit: the daemon does not turn in such a ring.
    fn ring(&self, unit: &Unit, key: &'static str, handler: &UnitName) -> Option<Finding> {
        let mut seen = [handler].into_iter().sorted_set();
        let mut todo = vec![handler];
        while let Some(name) = todo.pop() {
            let led = self.units.get(name).into_iter().flat_map(|unit| {
                let keys = LEADS.into_iter();
                keys.flat_map(|key| unit.named_in(key))
            });
            todo.extend(led.filter(|led| seen.insert(led)));
        }
        let unit = seen.get(&unit.name)?;
        let message = format!("{key} = {handler}: that leads back to {unit}, which is not started");
        let finding = Finding::new(Weight::Warning, message).at(Spot::name(key, handler));
        Some(finding.hint(format!(
            "what has led to an end is not started by it, or the two would never rest; with \
             Restart= {unit} comes up again by itself"
        )))
    }

    /// `WantedBy=` and `RequiredBy=` count for enabled units alone, as in systemd.
    fn installs(&self, unit: &Unit, findings: &mut Vec<Finding>) {
        let is_enabled = self.enabled.contains(unit.name.as_str());
        for name in unit.install.alias.iter() {
            if *name != unit.name && self.taken.contains(name) {
                let message =
                    format!("Alias = {name}: there is a unit of that name, and it is meant by it");
                let spot = Spot::new("install", "Alias", Part::Name(name.clone()));
                let finding = Finding::new(Weight::Warning, message).at(spot);
                findings.push(finding.hint("choose a name that no unit has"));
            }
        }
        for (key, names) in installs(unit) {
            for name in names {
                let spot = Spot::new("install", key, Part::Name(name.clone()));
                if self.absent.contains_key(name) {
                    let message = format!("{key} = {name}: there is no such unit");
                    let finding = Finding::new(Weight::Warning, message).at(spot);
                    findings.push(finding.hint_if(self.meant.get(name).cloned()));
                } else if !is_enabled && !unit.name.is_template() {
                    let unit = &unit.name;
                    let message =
                        format!("{key} = {name} has no effect as long as {unit} is not enabled");
                    let finding = Finding::new(Weight::Note, message).at(spot);
                    findings.push(finding.hint(format!("`diakonos enable {unit}`")));
                }
            }
        }
    }

    /// All that is to be said of one unit, each in its place.
    pub(super) fn findings(&self, unit: &Unit, machine: &mut Machine) -> Vec<Finding> {
        let mut findings = self.lacks(unit, machine);
        if unit.name.is_template() && !findings.is_empty() {
            self.of_sample(unit, machine, &mut findings);
        }
        // Of a unit that is not there no more need be said.
        let is_absent = |spot: &Spot| match &spot.part {
            Part::Name(name) => self.absent.contains_key(name),
            Part::Key | Part::Value | Part::Text(_) => false,
        };
        let warnings = unit::lint(unit).into_iter();
        for warning in warnings.filter(|warning| !is_absent(&warning.spot)) {
            let finding = Finding::new(Weight::Warning, warning.message);
            findings.push(finding.at(warning.spot).hint(warning.hint));
        }
        place(unit, &mut findings, self.context);
        findings
    }

    /// A template was read as its first instance. What would not be said of the second one is about that instance,
    /// which there may never be.
    fn of_sample(&self, template: &Unit, machine: &mut Machine, findings: &mut [Finding]) {
        let second = template.name.numbered(2);
        let second =
            second.and_then(|name| unit::load_file(&template.path, &name, self.context).ok());
        let others = second.map_or_else(Vec::new, |second| self.lacks(&second, machine));
        let service = template.service.as_ref();
        let is_started = service.is_some_and(|service| service.instances > Some(0));
        for finding in findings {
            if others.iter().any(|other| other.message == finding.message) {
                continue;
            }
            finding.message = format!("as {}1: {}", template.name, finding.message);
            if !is_started {
                finding.weight = Weight::Note;
            }
        }
    }

    /// What the unit needs and this version, the other units or this machine do not have.
    fn lacks(&self, unit: &Unit, machine: &mut Machine) -> Vec<Finding> {
        let mut findings = Vec::new();
        for unhonoured in &unit.unhonoured {
            let (weight, then) = if unit.ignores(unhonoured) {
                (Weight::Warning, "the unit goes without")
            } else {
                (Weight::Error, "so `start` refuses the unit")
            };
            let message = format!("{unhonoured} is not supported by this version, {then}");
            let spot = Spot::new(unhonoured.section, unhonoured.key, Part::Key);
            findings.push(Finding::new(weight, message).at(spot));
        }
        self.dependencies(unit, &mut findings);
        self.installs(unit, &mut findings);
        if let Some(service) = &unit.service {
            machine.findings(service, &mut findings);
            findings.extend(streams::findings(unit, service, self.context));
        }
        findings
    }

    /// How a unit's service is restarted.
    pub(super) fn delays(&self, unit: &Unit) -> Option<Delays> {
        Delays::of(unit, unit.service.as_deref()?)
    }
}

fn is_pulled(unit: &Unit, name: &UnitName) -> bool {
    stands_on(unit).any(|(_, known)| known == name)
}

fn neighbours(unit: &Unit) -> impl Iterator<Item = &UnitName> {
    let named = unit.neighbours().map(|(_, name)| name);
    named.chain(installs(unit).into_iter().flat_map(|(_, names)| names))
}

/// The keys by which a unit says who is to pull it in.
fn installs(unit: &Unit) -> [(&'static str, &[UnitName]); 2] {
    let install = &unit.install;
    [
        ("WantedBy", &*install.wanted_by),
        ("RequiredBy", &*install.required_by),
    ]
}

#[cfg(test)]
mod tests;
