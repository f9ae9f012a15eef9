//! The dependency resolver's ground: who requires, wants and follows whom, and whether the order has a cycle.
//!
//! Edges point to units that the engine knows; a name that nobody has loaded is no edge (systemd.unit(5): an ordering
//! with a unit that is not there has no effect). No recursion: the depth of a graph is the user's to choose.

use std::collections::{BTreeMap, BTreeSet};

use crate::unit::{Relation, Unit, UnitName};

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
    pub(super) wanted_by: Vec<UnitId>,
    /// `None`: none of them.
    rare: Option<Box<Rare>>,
}

/// The edges that few units have: each of its own keys, and where others name it in theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rare {
    pub(super) requisite: Vec<UnitId>,
    pub(super) requisite_of: Vec<UnitId>,
    pub(super) binds_to: Vec<UnitId>,
    pub(super) bound_by: Vec<UnitId>,
    pub(super) part_of: Vec<UnitId>,
    pub(super) parts: Vec<UnitId>,
    pub(super) upholds: Vec<UnitId>,
    pub(super) upheld_by: Vec<UnitId>,
    pub(super) conflicts: Vec<UnitId>,
    pub(super) conflicted_by: Vec<UnitId>,
    pub(super) on_failure: Vec<UnitId>,
    pub(super) on_success: Vec<UnitId>,
    /// What this unit keeps from being unneeded, where that is asked for.
    pub(super) holds: Vec<UnitId>,
}

static NONE: Rare = Rare::none();

impl Rare {
    const fn none() -> Self {
        Self {
            requisite: Vec::new(),
            requisite_of: Vec::new(),
            binds_to: Vec::new(),
            bound_by: Vec::new(),
            part_of: Vec::new(),
            parts: Vec::new(),
            upholds: Vec::new(),
            upheld_by: Vec::new(),
            conflicts: Vec::new(),
            conflicted_by: Vec::new(),
            on_failure: Vec::new(),
            on_success: Vec::new(),
            holds: Vec::new(),
        }
    }

    /// What the unit cannot run beside, whichever of the two says so.
    pub(super) fn opponents(&self) -> impl Iterator<Item = UnitId> + '_ {
        self.conflicts.iter().chain(&self.conflicted_by).copied()
    }
}

impl Edges {
    pub(super) fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NONE)
    }

    /// Who keeps this unit from being unneeded, unless they rest.
    pub(super) fn holders(&self) -> impl Iterator<Item = &UnitId> {
        let rare = self.rare();
        let often = self.required_by.iter().chain(&self.wanted_by);
        let seldom = [&rare.requisite_of, &rare.bound_by, &rare.upheld_by];
        often.chain(seldom.into_iter().flatten())
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| Box::new(Rare::none()))
    }
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
            for (relation, name) in unit.neighbours() {
                if let Some(other) = names.get(name) {
                    relate(&mut edges, *id, relation, *other);
                }
            }
        }
        for (id, unit) in units {
            if unit.relations().stop_when_unneeded {
                let edges_of = edges.get(id).cloned().unwrap_or_default();
                for holder in edges_of.holders() {
                    link(&mut edges, *holder, *id, |e| &mut e.rare_mut().holds);
                }
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
        let rare = edges.rare();
        let often = [&edges.after, &edges.followers, &edges.required_by];
        let seldom = [
            &rare.requisite_of,
            &rare.bound_by,
            &rare.upholds,
            &rare.conflicts,
            &rare.conflicted_by,
            &rare.holds,
        ];
        often.into_iter().chain(seldom).flatten().copied()
    }
}

/// Both ends of what `unit` says of `other`.
fn relate(edges: &mut BTreeMap<UnitId, Edges>, unit: UnitId, relation: Relation, other: UnitId) {
    let mut tie = |list: fn(&mut Edges) -> &mut Vec<UnitId>,
                   back: fn(&mut Edges) -> &mut Vec<UnitId>| {
        link(edges, unit, other, list);
        link(edges, other, unit, back);
    };
    match relation {
        Relation::Requires => tie(|e| &mut e.requires, |e| &mut e.required_by),
        Relation::Wants => tie(|e| &mut e.wants, |e| &mut e.wanted_by),
        Relation::Requisite => tie(
            |e| &mut e.rare_mut().requisite,
            |e| &mut e.rare_mut().requisite_of,
        ),
        Relation::BindsTo => tie(
            |e| &mut e.rare_mut().binds_to,
            |e| &mut e.rare_mut().bound_by,
        ),
        Relation::PartOf => tie(|e| &mut e.rare_mut().part_of, |e| &mut e.rare_mut().parts),
        Relation::Upholds => tie(
            |e| &mut e.rare_mut().upholds,
            |e| &mut e.rare_mut().upheld_by,
        ),
        Relation::Conflicts => tie(
            |e| &mut e.rare_mut().conflicts,
            |e| &mut e.rare_mut().conflicted_by,
        ),
        Relation::OnFailure => link(edges, unit, other, |e| &mut e.rare_mut().on_failure),
        Relation::OnSuccess => link(edges, unit, other, |e| &mut e.rare_mut().on_success),
        Relation::After => order(edges, other, unit),
        Relation::Before => order(edges, unit, other),
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
