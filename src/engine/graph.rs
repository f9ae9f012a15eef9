//! The dependency resolver's ground: who requires, wants and follows whom, and whether the order has a cycle.
//!
//! Edges point to units that the engine knows; a name that nobody has loaded is no edge (systemd.unit(5): an ordering
//! with a unit that is not there has no effect). No recursion: the depth of a graph is the user's to choose.

use std::collections::{BTreeMap, BTreeSet};

use crate::unit::{Unit, UnitName};

use super::UnitId;

/// One unit's neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Edges {
    pub(super) requires: Vec<UnitId>,
    pub(super) wants: Vec<UnitId>,
    /// What comes before this unit in order.
    pub(super) after: Vec<UnitId>,
    pub(super) required_by: Vec<UnitId>,
    /// What comes after this unit in order.
    pub(super) followers: Vec<UnitId>,
}

/// All edges between the known units.
#[derive(Debug, Default)]
pub(super) struct Graph {
    edges: BTreeMap<UnitId, Edges>,
    none: Edges,
}

impl Graph {
    pub(super) fn new(units: &[(UnitId, &Unit)], names: &BTreeMap<UnitName, UnitId>) -> Self {
        let mut edges: BTreeMap<UnitId, Edges> = units
            .iter()
            .map(|(id, _)| (*id, Edges::default()))
            .collect();
        for (id, unit) in units {
            for required in unit.requires.iter().filter_map(|name| names.get(name)) {
                link(&mut edges, *id, *required, |edges| &mut edges.requires);
                link(&mut edges, *required, *id, |edges| &mut edges.required_by);
            }
            for wanted in unit.wants.iter().filter_map(|name| names.get(name)) {
                link(&mut edges, *id, *wanted, |edges| &mut edges.wants);
            }
            for first in unit.after.iter().filter_map(|name| names.get(name)) {
                order(&mut edges, *first, *id);
            }
            for then in unit.before.iter().filter_map(|name| names.get(name)) {
                order(&mut edges, *id, *then);
            }
        }
        Self {
            edges,
            none: Edges::default(),
        }
    }

    pub(super) fn of(&self, unit: UnitId) -> &Edges {
        self.edges.get(&unit).unwrap_or(&self.none)
    }

    /// Every unit that this one's state may concern.
    pub(super) fn neighbours(&self, unit: UnitId) -> impl Iterator<Item = UnitId> + '_ {
        let edges = self.of(unit);
        edges
            .after
            .iter()
            .chain(&edges.followers)
            .chain(&edges.required_by)
            .copied()
    }
}

fn order(edges: &mut BTreeMap<UnitId, Edges>, first: UnitId, then: UnitId) {
    link(edges, then, first, |edges| &mut edges.after);
    link(edges, first, then, |edges| &mut edges.followers);
}

fn link(
    edges: &mut BTreeMap<UnitId, Edges>,
    from: UnitId,
    to: UnitId,
    list: impl Fn(&mut Edges) -> &mut Vec<UnitId>,
) {
    if from != to
        && let Some(edges) = edges.get_mut(&from)
    {
        let list = list(edges);
        if !list.contains(&to) {
            list.push(to);
        }
    }
}

/// A cycle in the order (`After=`, `Before=`) of these units: each name comes after the next one, the first stands at
/// the end again. `None` if the order is sound.
#[must_use]
pub fn find_cycle<'a>(units: impl Iterator<Item = &'a Unit>) -> Option<Vec<UnitName>> {
    let mut after: BTreeMap<&UnitName, Vec<&UnitName>> = BTreeMap::new();
    for unit in units {
        after.entry(&unit.name).or_default().extend(&unit.after);
        for then in &unit.before {
            after.entry(then).or_default().push(&unit.name);
        }
    }
    let mut done: BTreeSet<&UnitName> = BTreeSet::new();
    for start in after.keys() {
        if let Some(cycle) = search(start, &after, &mut done) {
            return Some(cycle.into_iter().cloned().collect());
        }
    }
    None
}

/// Depth first from `start`, with a path of our own in place of the stack.
fn search<'a>(
    start: &'a UnitName,
    after: &BTreeMap<&'a UnitName, Vec<&'a UnitName>>,
    done: &mut BTreeSet<&'a UnitName>,
) -> Option<Vec<&'a UnitName>> {
    let mut path: Vec<(&UnitName, usize)> = vec![(start, 0)];
    let mut on_path: BTreeSet<&UnitName> = BTreeSet::from([start]);
    while let Some((unit, next)) = path.last_mut() {
        let unit: &'a UnitName = unit;
        let child = after.get(unit).and_then(|list| list.get(*next)).copied();
        *next += 1;
        match child {
            Some(child) if on_path.contains(child) => {
                let from = path
                    .iter()
                    .position(|(name, _)| *name == child)
                    .unwrap_or(0);
                let mut cycle: Vec<&UnitName> =
                    path[from..].iter().map(|(name, _)| *name).collect();
                cycle.push(child);
                return Some(cycle);
            }
            Some(child) if !done.contains(child) => {
                on_path.insert(child);
                path.push((child, 0));
            }
            Some(_) => {}
            None => {
                on_path.remove(unit);
                done.insert(unit);
                path.pop();
            }
        }
    }
    None
}
