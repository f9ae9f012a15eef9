//! Whether the order (`After=`, `Before=`) can be kept at all: the cycles in it.
//!
//! Owns the search. No recursion: the depth of a graph is the user's to choose.

use std::collections::{BTreeMap, BTreeSet};

use crate::unit::{Unit, UnitName};

use super::Engine;

/// What each unit comes after.
type Order<'a> = BTreeMap<&'a UnitName, Vec<&'a UnitName>>;

impl Engine {
    /// The cycles that the order would have with these definitions, as [`find_cycles`] has them. `definitions` count
    /// before what is known.
    #[must_use]
    pub fn cycles(&self, definitions: &[Unit]) -> Vec<Vec<UnitName>> {
        let new = definitions.iter().map(|unit| (&unit.name, unit)).collect();
        self.cycles_among(&new, usize::MAX)
    }

    /// The same of definitions by their names, and at most so many.
    pub(super) fn cycles_among(
        &self,
        new: &BTreeMap<&UnitName, &Unit>,
        most: usize,
    ) -> Vec<Vec<UnitName>> {
        // Most requests change no edge: those of thousands of units are not looked at for them.
        if !new.values().any(|unit| self.relates_otherwise(unit)) {
            return Vec::new();
        }
        let known = self.services.values().map(|service| service.newest());
        let rest = known.filter(|unit| !new.contains_key(&unit.name));
        find_cycles(rest.chain(new.values().copied()), most)
    }
}

/// A cycle in the order of these units: each name comes after the next one, the first stands at the end again. `None`
/// if the order is sound.
#[must_use]
pub fn find_cycle<'a>(units: impl Iterator<Item = &'a Unit>) -> Option<Vec<UnitName>> {
    find_cycles(units, 1).pop()
}

/// Cycles in the order of these units, at most so many. No two have a unit in common, and without the units of all of
/// them the order is sound. Costs one look at each edge.
#[must_use]
pub fn find_cycles<'a>(units: impl Iterator<Item = &'a Unit>, most: usize) -> Vec<Vec<UnitName>> {
    let mut after = Order::new();
    for unit in units {
        after.entry(&unit.name).or_default().extend(&unit.after);
        for then in &unit.before {
            after.entry(then).or_default().push(&unit.name);
        }
    }
    let mut cycles = Vec::new();
    let mut done: BTreeSet<&UnitName> = BTreeSet::new();
    for start in after.keys() {
        search(start, &after, &mut done, |cycle| {
            cycles.push(cycle.into_iter().cloned().collect());
            cycles.len() < most
        });
        if cycles.len() >= most {
            break;
        }
    }
    cycles
}

/// Depth first from `start`, with a path of our own in place of the stack, for as long as `found` wants more. The units
/// of a cycle count as done when it is found: whatever comes before them has to do without.
fn search<'a>(
    start: &'a UnitName,
    after: &Order<'a>,
    done: &mut BTreeSet<&'a UnitName>,
    mut found: impl FnMut(Vec<&'a UnitName>) -> bool,
) {
    if done.contains(start) {
        return;
    }
    let mut path: Vec<(&UnitName, usize)> = vec![(start, 0)];
    let mut on_path: BTreeSet<&UnitName> = BTreeSet::from([start]);
    while let Some((unit, next)) = path.last_mut() {
        let unit: &'a UnitName = unit;
        let child = after.get(unit).and_then(|list| list.get(*next)).copied();
        *next += 1;
        match child {
            Some(child) if on_path.contains(child) => {
                let from = path.iter().rposition(|(name, _)| *name == child);
                let round = path.split_off(from.unwrap_or(0));
                let mut cycle: Vec<&UnitName> = round.into_iter().map(|(name, _)| name).collect();
                for unit in &cycle {
                    on_path.remove(unit);
                    done.insert(unit);
                }
                cycle.push(child);
                if !found(cycle) {
                    return;
                }
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
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::*;
    use crate::unit::{Context, parse};

    fn unit(name: &str, after: &[&str]) -> Unit {
        let after: Vec<String> = after.iter().map(|name| format!("{name:?}")).collect();
        let text = format!("[unit]\nAfter = [{}]\n", after.join(", "));
        let name = UnitName::parse(name).unwrap();
        let context = Context::example();
        parse(&text, Path::new("/x.service"), &name, &context).unwrap()
    }

    fn cycles(units: &[Unit]) -> Vec<String> {
        let found = find_cycles(units.iter(), usize::MAX);
        let line = |cycle: &Vec<UnitName>| {
            let names: Vec<&str> = cycle.iter().map(UnitName::as_str).collect();
            names.join(" ")
        };
        found.iter().map(line).collect()
    }

    #[test]
    fn all_cycles_that_share_no_unit_are_found_in_one_go() {
        let units = [
            unit("a", &["b"]),
            unit("b", &["c", "d"]),
            unit("c", &["b", "a"]),
            unit("d", &["e"]),
            unit("e", &[]),
            unit("x", &["a", "y"]),
            unit("y", &["z"]),
            unit("z", &["x", "e"]),
        ];
        assert_eq!(cycles(&units), ["b c b", "x y z x"]);
        assert_eq!(find_cycles(units.iter(), 1).len(), 1);
        let rest = units
            .iter()
            .filter(|unit| ["a", "d", "e"].contains(&unit.name.as_str()));
        assert_eq!(find_cycle(rest), None);
    }

    #[test]
    fn thousands_of_cycles_cost_one_look_at_each_edge() {
        let name = |at: usize| format!("u{at:05}");
        let units: Vec<Unit> = (0..4_000)
            .map(|at| unit(&name(at), &[&name(at ^ 1), &name(4_000 + at / 2)]))
            .collect();
        let found = find_cycles(units.iter(), usize::MAX);
        let cut: BTreeSet<&UnitName> = found.iter().flatten().collect();
        let rest = units.iter().filter(|unit| !cut.contains(&unit.name));
        assert_eq!(find_cycle(rest), None);
    }
}
