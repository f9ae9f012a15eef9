//! The dependency resolver's ground: who requires, wants and follows whom.
//!
//! Edges point to units that the engine knows; a name that nobody has loaded is no edge (systemd.unit(5): an ordering
//! with a unit that is not there has no effect). No recursion: the depth of a graph is the user's to choose.

use std::collections::{BTreeMap, BTreeSet};

use crate::sorted;
use crate::unit::{Relation, Unit, UnitName};

use super::UnitId;

/// One unit's neighbours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges<'g> {
    pub(super) requires: &'g [UnitId],
    pub(super) wants: &'g [UnitId],
    /// What comes before this unit in order.
    pub(super) after: &'g [UnitId],
    pub(super) required_by: &'g [UnitId],
    /// What comes after this unit in order.
    pub(super) followers: &'g [UnitId],
    pub(super) wanted_by: &'g [UnitId],
    rare: &'g Rare,
}

/// The edges that few units have: its own keys, and where others name it in theirs, as far as anybody asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rare {
    pub(super) requisite: Vec<UnitId>,
    pub(super) requisite_of: Vec<UnitId>,
    pub(super) binds_to: Vec<UnitId>,
    pub(super) bound_by: Vec<UnitId>,
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

impl<'g> Edges<'g> {
    pub(super) fn rare(&self) -> &'g Rare {
        self.rare
    }

    /// Who keeps this unit from being unneeded, unless they rest.
    pub(super) fn holders(&self) -> impl Iterator<Item = &'g UnitId> + use<'g> {
        let rare = self.rare;
        let often = self.required_by.iter().chain(self.wanted_by);
        let seldom = [&rare.requisite_of, &rare.bound_by, &rare.upheld_by];
        often.chain(seldom.into_iter().flatten())
    }
}

/// The edges that many units have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Often {
    Requires,
    Wants,
    After,
    RequiredBy,
    Followers,
    WantedBy,
}

impl Often {
    const ALL: [Self; 6] = [
        Self::Requires,
        Self::Wants,
        Self::After,
        Self::RequiredBy,
        Self::Followers,
        Self::WantedBy,
    ];
}

/// Where one unit's edges are.
#[derive(Clone, Copy, Debug)]
struct Place {
    unit: UnitId,
    begin: u32,
    /// Of each kind of [`Often`], in its order.
    ends: [u32; Often::ALL.len()],
}

/// All edges between the known units. It does not change: where an edge does, another graph is made.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// By the unit's id.
    places: Vec<Place>,
    /// The edges that many units have, list behind list: of thousands of units each list would cost more than what is
    /// in it.
    others: Vec<UnitId>,
    rare: BTreeMap<UnitId, Rare>,
}

impl Graph {
    /// `units`: by id.
    pub(super) fn new(units: &[(UnitId, &Unit)], names: &BTreeMap<UnitName, UnitId>) -> Self {
        let mut graph = Self::default();
        let mut often = Vec::new();
        for (id, unit) in units {
            for (relation, name) in unit.neighbours() {
                match names.get(name) {
                    Some(other) if other != id => graph.relate(*id, relation, *other, &mut often),
                    Some(_) | None => {}
                }
            }
        }
        // As they were written, within each list.
        sorted::sort_by_key(&mut often, |(unit, edge, _)| (*unit, *edge));
        graph.lay_out(units, &often);
        for (id, _) in units
            .iter()
            .filter(|(_, unit)| unit.relations().stop_when_unneeded)
        {
            let holders: Vec<UnitId> = graph.of(*id).holders().copied().collect();
            for holder in holders {
                graph.link_back(holder, *id, |rare| &mut rare.holds);
            }
        }
        graph
    }

    /// Puts list behind list. `often`: by unit and kind.
    fn lay_out(&mut self, units: &[(UnitId, &Unit)], often: &[(UnitId, Often, UnitId)]) {
        let mut lists = often.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).peekable();
        let mut seen = BTreeSet::new();
        self.places.reserve_exact(units.len());
        self.others.reserve_exact(often.len());
        for (unit, _) in units {
            let begin = place_of(self.others.len());
            let ends = Often::ALL.map(|edge| {
                let is_it = |list: &&[(UnitId, Often, UnitId)]| {
                    list.first()
                        .is_some_and(|first| (first.0, first.1) == (*unit, edge))
                };
                seen.clear();
                let list = lists.next_if(is_it).unwrap_or_default().iter();
                let others = list.map(|(_, _, other)| *other);
                self.others
                    .extend(others.filter(|other| seen.insert(*other)));
                place_of(self.others.len())
            });
            let unit = *unit;
            self.places.push(Place { unit, begin, ends });
        }
    }

    pub(super) fn of(&self, unit: UnitId) -> Edges<'_> {
        let found = self.places.binary_search_by_key(&unit, |place| place.unit);
        let place = found.ok().and_then(|found| self.places.get(found));
        let mut begin = place.map_or(0, |place| place.begin);
        let ends = place.map_or([0; Often::ALL.len()], |place| place.ends);
        let [requires, wants, after, required_by, followers, wanted_by] = ends.map(|end| {
            let from = usize::try_from(begin).unwrap_or(usize::MAX);
            let to = usize::try_from(end).unwrap_or(usize::MAX);
            begin = end;
            self.others.get(from..to).unwrap_or_default()
        });
        Edges {
            requires,
            wants,
            after,
            required_by,
            followers,
            wanted_by,
            rare: self.rare.get(&unit).unwrap_or(&NONE),
        }
    }

    /// Both ends of what `unit` says of `other`. Those that many units have are gathered in `often`.
    fn relate(
        &mut self,
        unit: UnitId,
        relation: Relation,
        other: UnitId,
        often: &mut Vec<(UnitId, Often, UnitId)>,
    ) {
        let mut tie = |edge, back| often.extend([(unit, edge, other), (other, back, unit)]);
        match relation {
            Relation::Requires => tie(Often::Requires, Often::RequiredBy),
            Relation::Wants => tie(Often::Wants, Often::WantedBy),
            Relation::After => tie(Often::After, Often::Followers),
            Relation::Before => tie(Often::Followers, Often::After),
            Relation::Requisite => {
                self.link(unit, other, |rare| &mut rare.requisite);
                self.link_back(other, unit, |rare| &mut rare.requisite_of);
            }
            Relation::BindsTo => {
                self.link(unit, other, |rare| &mut rare.binds_to);
                self.link_back(other, unit, |rare| &mut rare.bound_by);
            }
            Relation::PartOf => self.link_back(other, unit, |rare| &mut rare.parts),
            Relation::Upholds => {
                self.link(unit, other, |rare| &mut rare.upholds);
                self.link_back(other, unit, |rare| &mut rare.upheld_by);
            }
            Relation::Conflicts => {
                self.link(unit, other, |rare| &mut rare.conflicts);
                self.link_back(other, unit, |rare| &mut rare.conflicted_by);
            }
            Relation::OnFailure => self.link(unit, other, |rare| &mut rare.on_failure),
            Relation::OnSuccess => self.link(unit, other, |rare| &mut rare.on_success),
        }
    }

    fn link(&mut self, from: UnitId, to: UnitId, list: fn(&mut Rare) -> &mut Vec<UnitId>) {
        let list = list(self.rare.entry(from).or_insert_with(Rare::none));
        if !list.contains(&to) {
            list.push(to);
        }
    }

    /// The same for what others say of `from`: unit for unit, so that a repeated one is the last.
    fn link_back(&mut self, from: UnitId, to: UnitId, list: fn(&mut Rare) -> &mut Vec<UnitId>) {
        let list = list(self.rare.entry(from).or_insert_with(Rare::none));
        if list.last() != Some(&to) {
            list.push(to);
        }
    }

    /// Every unit that this one's state may concern.
    pub(super) fn neighbours(&self, unit: UnitId) -> impl Iterator<Item = UnitId> + '_ {
        let edges = self.of(unit);
        let rare = edges.rare();
        let often = [edges.after, edges.followers, edges.required_by];
        let seldom = [
            &rare.requisite_of,
            &rare.bound_by,
            &rare.upholds,
            &rare.conflicts,
            &rare.conflicted_by,
            &rare.holds,
        ];
        let seldom = seldom.into_iter().flatten();
        often.into_iter().flatten().chain(seldom).copied()
    }
}

/// A place among the edges: units are few, and so are the edges of each.
fn place_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
