//! Units that go down or come up together, where more than one of them is moved by the same event.

use diakonos::engine::{Ending, FactPhase, Role, State};
use diakonos::unit::{Kind, Policy, Relation};

use super::relations::naming;
use super::{Stage, with};
use crate::units::service;

/// Whoever is bound to what fails goes down in order, also where that fails in the midst of an event's work.
#[test]
fn all_that_are_bound_to_one_unit_stop_in_order() {
    let named = naming(service("named"), Relation::Requires, "need");
    let next = naming(service("next"), Relation::BindsTo, "named");
    let mut stage = Stage::new(vec![
        naming(service("first"), Relation::BindsTo, "named"),
        naming(next, Relation::After, "first"),
        naming(named, Relation::After, "need"),
        service("need"),
    ]);
    stage.start("next");
    stage.start("first");
    let first = stage.launch("first", Role::Start);
    let next = stage.launch("next", Role::Start);
    stage.cannot_spawn("need", Role::Start, 2);
    assert_eq!(stage.state("named"), State::Failed);
    assert_eq!(stage.facts("first").phase, FactPhase::Running);
    assert_eq!(stage.facts("next").phase, FactPhase::Killing);
    stage.end(next, Ending::Code(0));
    assert_eq!(stage.facts("first").phase, FactPhase::Killing);
    stage.end(first, Ending::Code(0));
    assert_eq!(stage.state("first"), State::Stopped);
}

/// What needs a unit that is being stopped is not started by its upholder; once that stop is taken back, it is.
#[test]
fn an_upheld_unit_comes_up_beside_a_stop_that_is_taken_back() {
    let mut stage = Stage::new(vec![
        naming(service("user"), Relation::Upholds, "named"),
        naming(service("named"), Relation::Requires, "need"),
        service("need"),
    ]);
    stage.start("user");
    let need = stage.launch("need", Role::Start);
    let named = stage.launch("named", Role::Start);
    stage.launch("user", Role::Start);
    stage.stop("need");
    stage.end(named, Ending::Code(0));
    stage.pass(1_000);
    assert_eq!(stage.state("named"), State::Stopped);
    stage.start("need");
    stage.end(need, Ending::Code(0));
    stage.launch("need", Role::Start);
    stage.pass(1_000);
    assert_eq!(stage.state("named"), State::Starting);
}

/// As an automatic restart does, so does one that follows from another unit's: what it requires starts again with it.
#[test]
fn a_restart_that_follows_brings_back_what_the_unit_requires() {
    let user = naming(service("user"), Relation::BindsTo, "named");
    let mut stage = Stage::new(vec![
        naming(user, Relation::Requires, "need"),
        with(service("named"), |s| s.restart.policy = Policy::Always),
        with(service("need"), |s| s.kind = Kind::Oneshot),
    ]);
    stage.start("user");
    stage.succeed("need", Role::Start);
    let named = stage.launch("named", Role::Start);
    stage.launch("user", Role::Start);
    assert_eq!(stage.state("need"), State::Completed);
    stage.end(named, Ending::Code(1));
    assert_eq!(stage.state("user"), State::Stopping);
    assert_eq!(stage.state("need"), State::Starting);
}
