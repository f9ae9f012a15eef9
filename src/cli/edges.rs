//! Which keys name other units, and what each of them asks for: one table, for `check` and `tree`.

use crate::unit::{Unit, UnitName};

/// What a key asks of the unit that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// Without it nothing starts.
    Needs,
    /// It is brought up as well, as far as that goes.
    Wants,
    /// Nothing but when.
    Order,
}

/// One key with the units that it names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges<'u> {
    pub(super) key: &'static str,
    pub(super) tie: Tie,
    pub(super) names: &'u [UnitName],
}

/// Every key of a unit that names others, in the order in which a reader expects them.
pub(super) fn edges(unit: &Unit) -> [Edges<'_>; 4] {
    let row = |key, tie, names| Edges { key, tie, names };
    [
        row("Requires", Tie::Needs, &*unit.requires),
        row("Wants", Tie::Wants, &unit.wants),
        row("After", Tie::Order, &unit.after),
        row("Before", Tie::Order, &unit.before),
    ]
}

/// The same for those keys that bring the named unit up.
pub(super) fn pulls(unit: &Unit) -> impl Iterator<Item = Edges<'_>> {
    let all = edges(unit).into_iter();
    all.filter(|edges| matches!(edges.tie, Tie::Needs | Tie::Wants))
}
