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
    BindsTo,
    Upholds,
    OnFailure,
    OnSuccess,
    Conflicts,
    /// Those that name it as what they cannot run beside.
    ConflictedBy,
    /// Those that require it.
    RequiredBy,
    RequisiteOf,
    BoundBy,
    /// Those that are part of it.
    Parts,
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
    /// It has come to rest, and has failed.
    Failure,
    /// It has come to rest, and has not failed.
    Success,
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
        Edge::Conflicts,
        Job::Stop,
        Cause::Conflicts,
    ),
    must(
        Occasion::Start,
        Edge::ConflictedBy,
        Job::Stop,
        Cause::Conflicts,
    ),
    must(
        Occasion::Start,
        Edge::Requires,
        Job::Pull,
        Cause::RequiredBy,
    ),
    must(Occasion::Start, Edge::BindsTo, Job::Pull, Cause::BoundBy),
    may(Occasion::Start, Edge::Wants, Job::Pull, Cause::WantedBy),
    may(Occasion::Start, Edge::Upholds, Job::Pull, Cause::UpheldBy),
    // What it merely wants is not started again: somebody may have stopped that by hand.
    must(
        Occasion::Revival,
        Edge::Conflicts,
        Job::Stop,
        Cause::Conflicts,
    ),
    must(
        Occasion::Revival,
        Edge::ConflictedBy,
        Job::Stop,
        Cause::Conflicts,
    ),
    must(
        Occasion::Revival,
        Edge::Requires,
        Job::Revive,
        Cause::RequiredBy,
    ),
    must(
        Occasion::Revival,
        Edge::BindsTo,
        Job::Revive,
        Cause::BoundBy,
    ),
    must(Occasion::Stop, Edge::RequiredBy, Job::Stop, Cause::Requires),
    must(
        Occasion::Stop,
        Edge::RequisiteOf,
        Job::Stop,
        Cause::Requisite,
    ),
    must(Occasion::Stop, Edge::BoundBy, Job::Stop, Cause::BindsTo),
    must(Occasion::Stop, Edge::Parts, Job::Stop, Cause::PartOf),
    may(
        Occasion::Restart,
        Edge::RequiredBy,
        Job::TryRestart,
        Cause::Requires,
    ),
    may(
        Occasion::Restart,
        Edge::RequisiteOf,
        Job::TryRestart,
        Cause::Requisite,
    ),
    may(
        Occasion::Restart,
        Edge::BoundBy,
        Job::TryRestart,
        Cause::BindsTo,
    ),
    may(
        Occasion::Restart,
        Edge::Parts,
        Job::TryRestart,
        Cause::PartOf,
    ),
    may(
        Occasion::Failure,
        Edge::OnFailure,
        Job::Pull,
        Cause::FailureOf,
    ),
    may(
        Occasion::Success,
        Edge::OnSuccess,
        Job::Pull,
        Cause::SuccessOf,
    ),
];

/// The neighbours along an edge.
pub(super) fn neighbours(edges: Edges<'_>, along: Edge) -> &[UnitId] {
    let rare = edges.rare();
    match along {
        Edge::Requires => edges.requires,
        Edge::Wants => edges.wants,
        Edge::BindsTo => &rare.binds_to,
        Edge::Upholds => &rare.upholds,
        Edge::OnFailure => &rare.on_failure,
        Edge::OnSuccess => &rare.on_success,
        Edge::Conflicts => &rare.conflicts,
        Edge::ConflictedBy => &rare.conflicted_by,
        Edge::RequisiteOf => &rare.requisite_of,
        Edge::BoundBy => &rare.bound_by,
        Edge::Parts => &rare.parts,
        Edge::RequiredBy => edges.required_by,
    }
}
