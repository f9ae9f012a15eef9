//! `StopWhenUnneeded=`: who is held by nobody goes down, and who goes down with it.

use diakonos::engine::{Cause, Change, Effect, Ending, Role, State, Verb};
use diakonos::unit::Relation;

use super::Stage;
use super::relations::{both_up, flagged, naming, pair_of, restarting, states};
use crate::units::{name, service};

const BAD: Ending = Ending::Code(3);
const GOOD: Ending = Ending::Code(0);

#[test]
fn who_is_unneeded_stops() {
    for relation in [
        Relation::Requires,
        Relation::Requisite,
        Relation::Wants,
        Relation::BindsTo,
        Relation::Upholds,
    ] {
        let named = flagged(service("named"), |r| r.stop_when_unneeded = true);
        let mut stage = pair_of(relation, named);
        let (user, named) = both_up(&mut stage);
        stage.stop("user");
        assert_eq!(
            states(&stage),
            (State::Stopping, State::Running),
            "{relation:?}"
        );
        stage.end(user, Ending::Code(0));
        assert_eq!(stage.state("named"), State::Stopping);
        assert!(stage.told_cause("named", &Cause::Unneeded));
        stage.end(named, Ending::Code(0));
        assert_eq!(states(&stage), (State::Stopped, State::Stopped));
    }
}

/// As with systemd: it counts from the moment it is up.
#[test]
fn who_is_started_by_hand_and_needed_by_nobody_stops_too() {
    let named = flagged(service("named"), |r| r.stop_when_unneeded = true);
    let mut stage = Stage::new(vec![named]);
    stage.start("named");
    let named = stage.launch("named", Role::Start);
    assert_eq!(stage.state("named"), State::Stopping);
    stage.end(named, Ending::Code(0));
    assert_eq!(stage.state("named"), State::Stopped);
}

#[test]
fn who_is_held_by_one_of_two_stays() {
    let named = flagged(service("named"), |r| r.stop_when_unneeded = true);
    let mut stage = Stage::new(vec![
        naming(service("user"), Relation::Requires, "named"),
        naming(restarting(service("other")), Relation::Wants, "named"),
        named,
    ]);
    stage.ask(Verb::Start, &["user", "other"]);
    stage.launch("named", Role::Start);
    let user = stage.launch("user", Role::Start);
    let other = stage.launch("other", Role::Start);
    stage.end(user, BAD);
    assert_eq!(stage.state("named"), State::Running);
    stage.end(other, BAD);
    assert_eq!(stage.state("other"), State::Backoff);
    assert_eq!(
        stage.state("named"),
        State::Running,
        "who restarts needs it still"
    );
}

/// A stop that reaches a unit over one that was down already is told of that one too, and goes back to the one that
/// does stop.
#[test]
fn who_stops_over_one_that_is_down_follows_from_the_one_before() {
    let named = flagged(service("named"), |r| r.stop_when_unneeded = true);
    let user = naming(service("user"), Relation::Wants, "named");
    let middle = naming(service("middle"), Relation::Requires, "named");
    let part = naming(service("part"), Relation::PartOf, "middle");
    let mut stage = Stage::new(vec![named, user, middle, part]);
    stage.ask(Verb::Start, &["user", "part"]);
    stage.ask(Verb::Reset, &["middle"]);
    stage.launch("named", Role::Start);
    stage.launch("part", Role::Start);
    let user = stage.launch("user", Role::Start);
    stage.end(user, GOOD);
    assert!(stage.told_cause("part", &Cause::PartOf(name("middle"))));
    let by = stage.facts("part").reason.unwrap().because;
    let explained = |effect| match effect {
        Effect::Explain(change) => Some(*change),
        _ => None,
    };
    let told: Vec<Change> = stage.fresh().into_iter().filter_map(explained).collect();
    let [middle] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!((Some(middle.id), &middle.unit), (by, &name("middle")));
    assert_eq!(middle.cause, Cause::Requires(name("named")));
    assert_eq!(middle.because, stage.facts("named").voice);
    assert_eq!(stage.facts("middle").voice, None, "it is down as before");
}
