//! In which order what has changed is written down, so that a daemon that dies between two writes leaves no half behind
//! that its successor takes for the whole.
//!
//! Owns that order, and who is written down at all: whoever has changed, and whom such a unit names. A unit that was
//! loaded and nothing more is read from its file again. What has brought something about is written behind it: a
//! successor that finds the older state of the one comes to the same end again, and finds the other done already.

use std::collections::BTreeSet;

use super::phase::Goal;
use super::{Effect, Engine, FactPhase, UnitId};

/// Where a unit stands in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    /// It goes down: those that need it first, who go down with it.
    Falling,
    /// It comes up, or has never been up: what it names first, or it would start without.
    Rising,
    /// It has come to rest or is about to try again; what starts by its end stands before it.
    Over,
}

impl Engine {
    /// These units in the order in which they are to be written down: where daemons save more at once than one event
    /// has changed, they ask for it again.
    #[must_use]
    pub fn saving_order(&self, units: &BTreeSet<UnitId>) -> Vec<UnitId> {
        if units.len() < 2 {
            return units.iter().copied().collect();
        }
        let named_first = self.named_first(units);
        let of = |rank: Rank| {
            let ranked = named_first.iter().copied();
            ranked.filter(move |unit| self.rank(*unit) == rank)
        };
        let falling: Vec<UnitId> = of(Rank::Falling).collect();
        let falling = falling.into_iter().rev();
        falling
            .chain(of(Rank::Rising))
            .chain(of(Rank::Over))
            .collect()
    }

    fn rank(&self, unit: UnitId) -> Rank {
        let Some(service) = self.service(unit) else {
            return Rank::Over;
        };
        let kind = service.kind();
        let is_new = service.voice.is_none();
        match service.goal {
            _ if kind.rests() && !is_new => Rank::Over,
            _ if kind == FactPhase::Backoff => Rank::Over,
            Goal::Down | Goal::Cycle if !kind.rests() => Rank::Falling,
            Goal::Up | Goal::Down | Goal::Cycle => Rank::Rising,
        }
    }

    /// Each behind what it names, unless the names run in a circle. No recursion, as in `graph.rs`.
    fn named_first(&self, units: &BTreeSet<UnitId>) -> Vec<UnitId> {
        let mut seen = BTreeSet::new();
        let mut order = Vec::with_capacity(units.len());
        for unit in units {
            if !seen.insert(*unit) {
                continue;
            }
            let mut path = vec![(*unit, self.named_by(*unit))];
            while let Some((unit, open)) = path.last_mut() {
                match open.pop() {
                    Some(next) if units.contains(&next) && seen.insert(next) => {
                        path.push((next, self.named_by(next)));
                    }
                    Some(_) => {}
                    None => {
                        order.push(*unit);
                        path.pop();
                    }
                }
            }
        }
        order
    }

    /// What comes up with the unit, is needed for that, or starts by its end.
    fn named_by(&self, unit: UnitId) -> Vec<UnitId> {
        let edges = self.graph.of(unit);
        let rare = edges.rare();
        let often = edges.wants.iter().chain(edges.requires);
        let seldom = [
            &rare.on_success,
            &rare.on_failure,
            &rare.upholds,
            &rare.binds_to,
            &rare.requisite,
        ];
        often.chain(seldom.into_iter().flatten()).copied().collect()
    }

    /// Hands over what this event asks for, the saves first: no process is born that a successor could not know of.
    pub(super) fn hand_over(&mut self) {
        let mut changed = std::mem::take(&mut self.changed);
        self.add_named(&mut changed);
        let saves = self.saving_order(&changed).into_iter();
        self.effects.extend(saves.map(|unit| Effect::Save { unit }));
        self.effects.extend(self.batch.drain(..));
    }

    /// Nobody is saved who names a unit that is not: a successor would have to do without it, when a start needs it or
    /// an end starts it.
    fn add_named(&mut self, changed: &mut BTreeSet<UnitId>) {
        if self.unsaved.is_empty() {
            return;
        }
        let mut open: Vec<UnitId> = changed.iter().copied().collect();
        while let Some(unit) = open.pop() {
            self.unsaved.remove(&unit);
            let named = self.named_by(unit).into_iter();
            let unknown = named.filter(|named| self.unsaved.contains(named));
            open.extend(unknown.filter(|named| changed.insert(*named)));
        }
    }
}
