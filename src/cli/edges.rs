//! What a key that names another unit asks of it, as far as a reader of unit files is concerned: one table, for `check`
//! and `tree`. What follows from it for a running service is the engine's.

use crate::unit::{Relation, Unit, UnitName};

/// What a key asks of the unit that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// Without it nothing starts.
    Needs,
    /// It is brought up as well, as far as that goes.
    Wants,
    /// It is started later, once something has happened.
    Calls,
    /// Nothing but when, or what else goes down.
    Heeds,
}

pub(super) fn tie(relation: Relation) -> Tie {
    match relation {
        Relation::Requires | Relation::Requisite | Relation::BindsTo => Tie::Needs,
        Relation::Wants | Relation::Upholds => Tie::Wants,
        Relation::OnFailure | Relation::OnSuccess => Tie::Calls,
        Relation::PartOf | Relation::Conflicts | Relation::After | Relation::Before => Tie::Heeds,
    }
}

/// What a unit stands on: all that it needs or wants, key by key.
pub(super) fn stands_on(unit: &Unit) -> impl Iterator<Item = (Relation, &UnitName)> {
    let all = unit.neighbours();
    all.filter(|(relation, _)| matches!(tie(*relation), Tie::Needs | Tie::Wants))
}

/// Whom a unit has started by itself. What it only demands to be up already is not among them.
pub(super) fn starts(unit: &Unit) -> impl Iterator<Item = &UnitName> {
    let all = unit.neighbours();
    let started = all.filter(|(relation, _)| match tie(*relation) {
        Tie::Needs | Tie::Wants | Tie::Calls => *relation != Relation::Requisite,
        Tie::Heeds => false,
    });
    started.map(|(_, name)| name)
}
