//! What stands in the way of a start: units that cannot be started, and whoever cannot start without them.
//!
//! Owns what is found out before a plan is made. Each unit is looked at once, and what is wrong with it is carried back
//! to all that require it: as in systemd's transactions, a unit that is merely wanted falls out of a start with all
//! that it requires. A name that nobody has loaded is no edge of the graph, so this looks at the definitions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::sorted::Sorted;
use crate::unit::{Need, Unit, UnitName};

use super::service::Service;
use super::{Absent, Engine, Refusal, UnitId};

/// What is in the way of these units, and of all that they bring in.
pub(super) struct Obstacles<'a> {
    /// In the order in which they were come across.
    found: Vec<&'a UnitName>,
    units: BTreeMap<&'a UnitName, Option<&'a Unit>>,
    absent: BTreeMap<&'a UnitName, &'a Absent>,
    barred: BTreeMap<&'a UnitName, Culprit<'a>>,
}

/// A unit that cannot be started, whoever asks for it, and who needs it.
#[derive(Clone, Copy)]
struct Culprit<'a> {
    unit: &'a UnitName,
    needed_by: &'a UnitName,
}

impl Engine {
    /// Which of these units cannot be started, and why: for their own sake, or for that of anything that they require.
    /// `definitions` count before what is known; what is `absent` counts as missing even where it is known.
    #[must_use]
    pub fn hopeless(
        &self,
        targets: &[UnitName],
        definitions: &[Unit],
        absent: &[Absent],
    ) -> BTreeMap<UnitName, Refusal> {
        let new = definitions
            .iter()
            .map(|unit| (&unit.name, unit))
            .sorted_map();
        let obstacles = self.obstacles(targets, &new, absent);
        let why = |name: &UnitName| Some((name.clone(), obstacles.of(name)?));
        targets.iter().filter_map(why).sorted_map()
    }

    pub(super) fn obstacles<'a>(
        &'a self,
        targets: &'a [UnitName],
        new: &BTreeMap<&UnitName, &'a Unit>,
        absent: &'a [Absent],
    ) -> Obstacles<'a> {
        let find = |name: &UnitName| {
            new.get(name).copied().or_else(|| {
                let id = self.id(name)?;
                self.service(id).map(Service::newest)
            })
        };
        let absent = absent.iter().map(|absent| (&absent.name, absent));
        let mut obstacles = Obstacles {
            found: Vec::new(),
            units: BTreeMap::new(),
            absent: absent.sorted_map(),
            barred: BTreeMap::new(),
        };
        obstacles.look_around(targets, find);
        obstacles.carry_back();
        obstacles
    }

    /// Why a unit that nobody asks for cannot be started, if so.
    pub(super) fn obstacle(&self, unit: UnitId) -> Option<Refusal> {
        let name = self.name(unit)?;
        self.hopeless(std::slice::from_ref(&name), &[], &[])
            .remove(&name)
    }
}

impl<'a> Obstacles<'a> {
    /// Finds all that these units bring in, and what each of them is.
    fn look_around(
        &mut self,
        targets: &'a [UnitName],
        find: impl Fn(&UnitName) -> Option<&'a Unit>,
    ) {
        let mut todo: Vec<&UnitName> = targets.iter().rev().collect();
        while let Some(name) = todo.pop() {
            if self.units.contains_key(name) {
                continue;
            }
            let unit = find(name).filter(|_| !self.absent.contains_key(name));
            self.found.push(name);
            self.units.insert(name, unit);
            // The last one put there is looked at first.
            let from = todo.len();
            todo.extend(unit.into_iter().flat_map(needed).map(|(_, other)| other));
            if let Some(new) = todo.get_mut(from..) {
                new.reverse();
            }
        }
    }

    /// Marks what cannot be started, and from there all that requires it.
    fn carry_back(&mut self) {
        let is_bad = |name: &&&UnitName| match self.units.get(**name) {
            Some(Some(unit)) => unfit(unit).is_some(),
            Some(None) | None => true,
        };
        let bad: Vec<&UnitName> = self.found.iter().filter(is_bad).copied().collect();
        if bad.is_empty() {
            return;
        }
        let mut users: BTreeMap<&UnitName, Vec<&UnitName>> = BTreeMap::new();
        for user in &self.found {
            let unit = self.units.get(user).copied().flatten();
            let musts = unit.into_iter().flat_map(needed);
            for (_, other) in musts.filter(|(need, _)| *need == Need::Must) {
                users.entry(other).or_default().push(user);
            }
        }
        for unit in &bad {
            let needed_by = unit;
            self.barred.insert(unit, Culprit { unit, needed_by });
        }
        let mut todo = VecDeque::from(bad);
        while let Some(unit) = todo.pop_front() {
            let Some(culprit) = self.barred.get(unit).copied() else {
                continue;
            };
            for user in users.get(unit).into_iter().flatten().copied() {
                if self.barred.contains_key(user) {
                    continue;
                }
                let needed_by = if culprit.unit == unit {
                    user
                } else {
                    culprit.needed_by
                };
                self.barred.insert(
                    user,
                    Culprit {
                        needed_by,
                        ..culprit
                    },
                );
                todo.push_back(user);
            }
        }
    }

    /// Why this unit cannot be started.
    pub(super) fn of(&self, name: &UnitName) -> Option<Refusal> {
        let culprit = self.barred.get(name)?;
        self.refusal(*culprit)
    }

    fn refusal(&self, culprit: Culprit<'_>) -> Option<Refusal> {
        let Culprit { unit, needed_by } = culprit;
        match self.units.get(unit).copied().flatten() {
            Some(unit) => unfit(unit),
            None => match self.absent.get(unit).copied() {
                None if unit == needed_by => Some(Refusal::Unknown { unit: unit.clone() }),
                absent => Some(Refusal::missing(unit, needed_by, absent)),
            },
        }
    }

    /// What these units want and cannot have, each with the reason.
    pub(super) fn left_out(&self, targets: &'a [UnitName]) -> Vec<(UnitName, String)> {
        if self.barred.is_empty() {
            return Vec::new();
        }
        let mut left_out = Vec::new();
        let mut seen: BTreeSet<&UnitName> = targets.iter().sorted_set();
        let mut todo: Vec<&UnitName> = targets.iter().rev().collect();
        while let Some(user) = todo.pop() {
            let unit = self.units.get(user).copied().flatten();
            let mut further = Vec::new();
            for (_, name) in unit.into_iter().flat_map(needed) {
                if !seen.insert(name) {
                    continue;
                }
                let Some(culprit) = self.barred.get(name) else {
                    further.push(name);
                    continue;
                };
                let is_it = culprit.unit == name;
                let needed_by = if is_it { user } else { culprit.needed_by };
                let refusal = self.refusal(Culprit {
                    needed_by,
                    ..*culprit
                });
                let text = refusal.map(|refusal| match is_it {
                    true => refusal.to_string(),
                    false => format!("{name} is left out: {refusal}"),
                });
                left_out.extend(text.map(|text| (name.clone(), text)));
            }
            todo.extend(further.into_iter().rev());
        }
        left_out
    }
}

/// Everything that a start of the unit brings in, or needs to be up.
fn needed(unit: &Unit) -> impl Iterator<Item = (Need, &UnitName)> {
    let all = unit.neighbours();
    all.filter_map(|(relation, other)| Some((relation.need()?, other)))
}

/// Why this unit can be started by nobody, if so.
#[must_use]
pub fn unfit(unit: &Unit) -> Option<Refusal> {
    if unit.name.is_template() {
        return Some(Refusal::Template {
            unit: unit.name.clone(),
        });
    }
    let keys: Vec<String> = unit.refused_keys().map(ToString::to_string).collect();
    (!keys.is_empty()).then(|| Refusal::Unhonoured {
        unit: unit.name.clone(),
        keys,
    })
}
