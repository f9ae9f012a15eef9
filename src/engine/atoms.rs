//! How what happens to one unit is passed on along the edges of the graph: one table, and nothing else.
//!
//! Each row is an atom: *when this happens to a unit, its neighbours along this edge are told that*. A key of the unit
//! file is some rows (systemd calls them dependency atoms; systemd.unit(5) says what each key means). What a unit makes
//! of what it is told is in `job.rs`; who is told in the end is `plan.rs`.

use crate::unit::UnitName;

use super::graph::Edges;
use super::job::Job;
use super::{Cause, UnitId};

/// A way from a unit to its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    Requires,
    Wants,
    /// Those that require it.
    RequiredBy,
}

/// What happens to a unit and concerns others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A wish starts it.
    Start,
    /// It starts without a wish for it: an automatic restart, or a restart that takes it along.
    Revival,
    Stop,
    /// It goes down and comes up again.
    Restart,
}

/// What becomes of a plan in which the neighbour cannot be told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strength {
    /// Nothing of it is done.
    Must,
    /// The neighbour is left out, and what it alone brings in.
    May,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Atom {
    pub(super) on: Occasion,
    pub(super) along: Edge,
    pub(super) tells: Job,
    pub(super) strength: Strength,
    /// Why, for the neighbour; the name is that of the unit to which it happens.
    pub(super) because: fn(UnitName) -> Cause,
}

const fn must(on: Occasion, along: Edge, tells: Job, because: fn(UnitName) -> Cause) -> Atom {
    Atom {
        on,
        along,
        tells,
        strength: Strength::Must,
        because,
    }
}

const fn may(on: Occasion, along: Edge, tells: Job, because: fn(UnitName) -> Cause) -> Atom {
    Atom {
        on,
        along,
        tells,
        strength: Strength::May,
        because,
    }
}

/// The table. Neighbours are told in the order of the rows.
pub(super) const ATOMS: &[Atom] = &[
    must(
        Occasion::Start,
        Edge::Requires,
        Job::Pull,
        Cause::RequiredBy,
    ),
    may(Occasion::Start, Edge::Wants, Job::Pull, Cause::WantedBy),
    // What it merely wants is not started again: somebody may have stopped that by hand.
    must(
        Occasion::Revival,
        Edge::Requires,
        Job::Revive,
        Cause::RequiredBy,
    ),
    must(Occasion::Stop, Edge::RequiredBy, Job::Stop, Cause::Requires),
    may(
        Occasion::Restart,
        Edge::RequiredBy,
        Job::TryRestart,
        Cause::Requires,
    ),
];

/// The neighbours along an edge.
pub(super) fn neighbours(edges: &Edges, along: Edge) -> &[UnitId] {
    match along {
        Edge::Requires => &edges.requires,
        Edge::Wants => &edges.wants,
        Edge::RequiredBy => &edges.required_by,
    }
}
