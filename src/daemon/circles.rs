//! Files whose order goes in a circle: who is not started for it, and what is said.
//!
//! Owns the choice and its words. Finding the cycles is the engine's, which refuses a wish that would bring one in.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Absent;
use crate::sorted::Sorted;
use crate::unit::{Unit, UnitName, locate_order};
use crate::wire::{ErrorKind, UnitResult, WireError};

use super::answer;
use super::loader::{Loaded, Loader};

/// So often it is looked whether what is left has a cycle, too; only units that are loaded already can make it so.
const ROUNDS_MAX: usize = 16;
/// So many cycles are told with the places in their files, which are read again for it; and so many edges of each.
const PLACED_MAX: usize = 50;
const EDGES_MAX: usize = 8;

const HINT: &str = "take one After= or Before= of it away";

/// Why a unit is not started: the cycle that it is in.
type Spoiled = BTreeMap<UnitName, String>;

impl Loader<'_> {
    /// Takes out the units whose order goes in a circle. Those that were `found` are answered; those that others need
    /// are missing to them. One that was named spoils it all.
    pub(super) fn part_with_cycles(
        &self,
        found: &BTreeSet<UnitName>,
        loaded: &mut Loaded,
    ) -> Result<(), WireError> {
        let targets: BTreeSet<UnitName> = loaded.targets.iter().cloned().sorted_set();
        let is_named = |name: &UnitName| targets.contains(name) && !found.contains(name);
        let spoiled = self.spoiled_by_cycles(&mut loaded.definitions);
        if let Some((_, text)) = spoiled.iter().find(|(name, _)| is_named(name)) {
            return Err(refusal(text));
        }
        loaded.targets.retain(|name| !spoiled.contains_key(name));
        for (name, text) in spoiled {
            if targets.contains(&name) {
                loaded.answered.push(answer::spoiled(&name, refusal(&text)));
            }
            let reason = text;
            loaded.absent.push(Absent { name, reason });
        }
        Ok(())
    }

    /// The same where loaded units are read again: what was loaded of those stays in force, as `stays` says.
    pub(super) fn leave_cycles(&self, loaded: &mut Loaded, stays: &str) {
        let spoiled = self.spoiled_by_cycles(&mut loaded.definitions);
        loaded.targets.retain(|name| !spoiled.contains_key(name));
        let is_spoiled = |result: &UnitResult| {
            let name = UnitName::parse(&result.unit);
            name.is_ok_and(|name| spoiled.contains_key(&name))
        };
        let results = spoiled.iter().map(|(name, text)| UnitResult {
            hint: Some(stays.to_owned()),
            ..answer::spoiled(name, refusal(text))
        });
        // One that was named by another unit and read for that is not loaded after all.
        loaded.answered.retain(|result| !is_spoiled(result));
        loaded.answered.extend(results);
    }

    /// Takes the definitions out that would bring a cycle in, each with its reason.
    fn spoiled_by_cycles(&self, definitions: &mut Vec<Unit>) -> Spoiled {
        let mut spoiled = Spoiled::new();
        let mut placed = 0;
        for _ in 0..ROUNDS_MAX {
            let cycles = self.engine.cycles(definitions);
            let new: BTreeMap<&UnitName, &Unit> = definitions
                .iter()
                .map(|unit| (&unit.name, unit))
                .sorted_map();
            let before = spoiled.len();
            for cycle in &cycles {
                placed += 1;
                let text = match placed <= PLACED_MAX {
                    true => self.placed(cycle, &new),
                    false => names(cycle),
                };
                let ours = cycle.iter().filter(|name| new.contains_key(name));
                spoiled.extend(ours.map(|name| (name.clone(), text.clone())));
            }
            if spoiled.len() == before {
                break;
            }
            definitions.retain(|unit| !spoiled.contains_key(&unit.name));
        }
        spoiled
    }

    /// "the order has a cycle: a after b (After=, a.service:2), b after a (Before=, a.service:3)".
    fn placed(&self, cycle: &[UnitName], new: &BTreeMap<&UnitName, &Unit>) -> String {
        let known = |name: &UnitName| {
            let id = self.engine.id(name)?;
            self.engine.next_unit(id).or(self.engine.unit(id))
        };
        let find = |name: &UnitName| new.get(name).copied().or_else(|| known(name));
        let edge = |pair: &[UnitName]| {
            let [unit, after] = pair else { return None };
            let said = locate_order(unit, after, find, self.context);
            let place = said.and_then(|(key, place)| {
                let place = place?;
                let file = place.path.file_name()?.to_string_lossy().into_owned();
                Some(format!(" ({key}=, {file}:{})", place.line))
            });
            Some(format!("{unit} after {after}{}", place.unwrap_or_default()))
        };
        let edges = cycle.windows(2).take(EDGES_MAX).filter_map(edge);
        let edges: Vec<String> = edges.collect();
        let more = cycle.len().saturating_sub(1 + EDGES_MAX);
        let more = match more {
            0 => String::new(),
            more => format!(", and so on over {more} more"),
        };
        format!("{CYCLE}{}{more}", edges.join(", "))
    }
}

const CYCLE: &str = "the order has a cycle: ";

/// The cycle by the names of its units.
fn names(cycle: &[UnitName]) -> String {
    let names: Vec<&str> = cycle.iter().take(EDGES_MAX).map(UnitName::as_str).collect();
    let more = match cycle.len() > EDGES_MAX {
        true => " after …",
        false => "",
    };
    format!("{CYCLE}{}{more}", names.join(" after "))
}

fn refusal(text: &str) -> WireError {
    answer::error(ErrorKind::Failed, text.to_owned(), Some(HINT.to_owned()))
}
