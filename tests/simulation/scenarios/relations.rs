//! The rarer dependency keys, one scene for each cell of the table: what happens to a unit when what it names is
//! started with it, fails to start, is stopped by hand, is restarted by hand, or ends by itself.
//!
//! `user` has the key, `named` is what it names. Requires, Wants and order are `order.rs`'s.

use diakonos::engine::{
    Answer, Cause, Ending, Event, Failure, Impossible, Notice, Outcome, Refusal, Role, RunId,
    Scope, State, Verb,
};
use diakonos::unit::{Kind, Policy, Relation, Relations, Unit};

use super::{Stage, edged, with};
use crate::units::{group, name, service};

const BAD: Ending = Ending::Code(3);
const GOOD: Ending = Ending::Code(0);

/// The unit, with another name in one of its keys.
pub(super) fn naming(mut unit: Unit, relation: Relation, other: &str) -> Unit {
    let other = name(other);
    let mut rare = unit.relations().clone();
    match relation {
        Relation::Requires => unit.requires.push(other),
        Relation::Wants => unit.wants.push(other),
        Relation::After => unit.after.push(other),
        Relation::Before => unit.before.push(other),
        Relation::Requisite => rare.requisite.push(other),
        Relation::BindsTo => rare.binds_to.push(other),
        Relation::PartOf => rare.part_of.push(other),
        Relation::Upholds => rare.upholds.push(other),
        Relation::Conflicts => rare.conflicts.push(other),
        Relation::OnFailure => rare.on_failure.push(other),
        Relation::OnSuccess => rare.on_success.push(other),
    }
    unit.relations = (rare != Relations::default()).then(|| Box::new(rare));
    unit
}

pub(super) fn flagged(mut unit: Unit, set: impl FnOnce(&mut Relations)) -> Unit {
    let mut rare = unit.relations().clone();
    set(&mut rare);
    unit.relations = Some(Box::new(rare));
    unit
}

/// `user` names `named` in this key and comes after it; both are services.
pub(super) fn pair(relation: Relation) -> Stage {
    pair_of(relation, service("named"))
}

pub(super) fn pair_of(relation: Relation, named: Unit) -> Stage {
    let user = naming(
        naming(service("user"), relation, "named"),
        Relation::After,
        "named",
    );
    Stage::new(vec![user, named])
}

/// Both up, by a wish for both.
pub(super) fn both_up(stage: &mut Stage) -> (RunId, RunId) {
    stage.ask(Verb::Start, &["named", "user"]);
    let named = stage.launch("named", Role::Start);
    let user = stage.launch("user", Role::Start);
    (user, named)
}

pub(super) fn restarting(unit: Unit) -> Unit {
    with(unit, |s| s.restart.policy = Policy::OnFailure)
}

pub(super) fn states(stage: &Stage) -> (State, State) {
    (stage.state("user"), stage.state("named"))
}

/// Whether the request ended in this unit's failure for want of `named`.
fn fails_for(stage: &Stage, request: diakonos::engine::RequestId, unit: &str) -> bool {
    let Some(Outcome::Failed { failure, retry_ms }) = stage.outcome(request, unit) else {
        return false;
    };
    matches!(failure, Failure::Dependency { on, .. } if on == name("named")) && retry_ms.is_none()
}

/// Stopped by hand, `named` takes `user` down first; restarted by hand, it takes it through a restart.
fn follows_by_hand(relation: Relation, cause: fn(diakonos::unit::UnitName) -> Cause) {
    let mut stage = pair(relation);
    let (user, named) = both_up(&mut stage);
    let request = stage.stop("named");
    assert_eq!(stage.state("user"), State::Stopping, "{relation:?}");
    assert_eq!(stage.waits_for("named"), ["user"]);
    stage.end(user, Ending::Code(0));
    stage.end(named, Ending::Code(0));
    assert_eq!(states(&stage), (State::Stopped, State::Stopped));
    assert_eq!(stage.outcome(request, "user"), Some(Outcome::Stopped));
    assert!(
        stage.told_cause("user", &cause(name("named"))),
        "{relation:?}"
    );

    let mut stage = pair(relation);
    let (user, named) = both_up(&mut stage);
    stage.ask(Verb::Restart(Scope::All), &["named"]);
    stage.end(user, Ending::Code(0));
    stage.end(named, Ending::Code(0));
    stage.launch("named", Role::Start);
    stage.launch("user", Role::Start);
    assert_eq!(states(&stage), (State::Running, State::Running));

    // What is down is not started by that.
    let mut stage = pair(relation);
    let (user, named) = both_up(&mut stage);
    stage.stop("user");
    stage.end(user, Ending::Code(0));
    stage.ask(Verb::Restart(Scope::All), &["named"]);
    stage.end(named, Ending::Code(0));
    stage.launch("named", Role::Start);
    assert_eq!(
        states(&stage),
        (State::Stopped, State::Running),
        "{relation:?}"
    );
}

#[test]
fn stop_and_restart_by_hand_spread_to_users() {
    follows_by_hand(Relation::Requires, Cause::Requires);
    follows_by_hand(Relation::Requisite, Cause::Requisite);
    follows_by_hand(Relation::BindsTo, Cause::BindsTo);
    follows_by_hand(Relation::PartOf, Cause::PartOf);
}

#[test]
fn stop_and_restart_by_hand_leave_the_others_alone() {
    for relation in [
        Relation::Wants,
        Relation::After,
        Relation::OnFailure,
        Relation::OnSuccess,
    ] {
        let mut stage = pair(relation);
        let (_, named) = both_up(&mut stage);
        stage.ask(Verb::Restart(Scope::All), &["named"]);
        stage.end(named, Ending::Code(0));
        let named = stage.launch("named", Role::Start);
        stage.stop("named");
        stage.end(named, Ending::Code(0));
        assert_eq!(
            states(&stage),
            (State::Running, State::Stopped),
            "{relation:?}"
        );
    }
}

#[test]
fn a_requisite_has_to_be_up_already() {
    let mut stage = pair(Relation::Requisite);
    let request = stage.start("user");
    assert!(fails_for(&stage, request, "user"));
    assert_eq!(states(&stage), (State::Failed, State::Stopped));
    assert_eq!(stage.started(), [""; 0]);
    stage.bring_up("named");
    stage.bring_up("user");
}

#[test]
fn a_requisite_that_is_on_its_way_is_waited_for() {
    let mut stage = pair(Relation::Requisite);
    stage.ask(Verb::Start, &["user", "named"]);
    assert_eq!(stage.waits_for("user"), ["named"]);
    stage.launch("named", Role::Start);
    stage.launch("user", Role::Start);
    assert_eq!(states(&stage), (State::Running, State::Running));
}

#[test]
fn a_requisite_that_fails_to_start_fails_its_user() {
    let mut stage = pair(Relation::Requisite);
    let request = stage.ask(Verb::Start, &["user", "named"]);
    stage.cannot_spawn("named", Role::Start, 2);
    assert!(fails_for(&stage, request, "user"));
}

#[test]
fn a_requisite_that_ends_by_itself_is_not_missed() {
    for relation in [Relation::Requisite, Relation::Requires, Relation::PartOf] {
        let mut stage = pair(relation);
        let (_, named) = both_up(&mut stage);
        stage.end(named, BAD);
        assert_eq!(
            states(&stage),
            (State::Running, State::Failed),
            "{relation:?}"
        );
    }
}

/// The house's own rule: an automatic restart is waited for.
#[test]
fn a_requisite_in_automatic_restart_is_waited_for() {
    let mut stage = pair_of(Relation::Requisite, restarting(service("named")));
    let named = stage.bring_up("named");
    stage.end(named, BAD);
    stage.start("user");
    assert_eq!(states(&stage), (State::Waiting, State::Backoff));
    stage.pass(200);
    stage.launch("named", Role::Start);
    stage.launch("user", Role::Start);
    assert_eq!(states(&stage), (State::Running, State::Running));
}

#[test]
fn what_a_unit_is_bound_to_is_started_first() {
    let mut stage = pair(Relation::BindsTo);
    stage.start("user");
    assert_eq!(states(&stage), (State::Waiting, State::Starting));
    assert!(stage.told_cause("named", &Cause::BoundBy(name("user"))));
    stage.launch("named", Role::Start);
    stage.launch("user", Role::Start);
    assert_eq!(states(&stage), (State::Running, State::Running));
}

#[test]
fn a_bond_that_fails_to_start_fails_its_user() {
    let mut stage = pair(Relation::BindsTo);
    let request = stage.start("user");
    stage.cannot_spawn("named", Role::Start, 2);
    assert!(fails_for(&stage, request, "user"));
    assert_eq!(states(&stage), (State::Failed, State::Failed));
}

#[test]
fn a_bond_that_ends_takes_its_user_along() {
    for ending in [BAD, GOOD] {
        let mut stage = pair(Relation::BindsTo);
        let (user, named) = both_up(&mut stage);
        stage.end(named, ending);
        assert_eq!(stage.state("user"), State::Stopping);
        assert!(stage.told_cause("user", &Cause::BindsTo(name("named"))));
        stage.end(user, Ending::Code(0));
        assert_eq!(stage.state("user"), State::Stopped);
        stage.pass(100_000);
        assert_eq!(stage.started().len(), 2, "nobody comes back");
    }
}

#[test]
fn a_bond_in_automatic_restart_takes_its_user_through_one() {
    let mut stage = pair_of(Relation::BindsTo, restarting(service("named")));
    let (user, named) = both_up(&mut stage);
    stage.end(named, BAD);
    assert_eq!(states(&stage), (State::Stopping, State::Backoff));
    stage.end(user, Ending::Code(0));
    assert_eq!(stage.waits_for("user"), ["named"]);
    stage.pass(200);
    stage.launch("named", Role::Start);
    stage.launch("user", Role::Start);
    assert_eq!(states(&stage), (State::Running, State::Running));
}

#[test]
fn a_bond_that_gives_up_fails_who_waits_for_it() {
    let named = edged(restarting(service("named")), |u| {
        u.start_limit.burst = Some(1);
    });
    let mut stage = pair_of(Relation::BindsTo, named);
    let (user, named) = both_up(&mut stage);
    stage.end(named, BAD);
    stage.end(user, Ending::Code(0));
    stage.pass(200);
    let named = stage.launch("named", Role::Start);
    assert_eq!(stage.state("user"), State::Starting);
    let user = stage.launch("user", Role::Start);
    stage.end(named, BAD);
    stage.end(user, Ending::Code(0));
    assert_eq!(states(&stage), (State::Failed, State::Failed));
}

/// One that might have restarted and has ended well does not come back: that is no failure of who is bound to it.
#[test]
fn a_bond_that_ends_well_leaves_its_user_stopped() {
    let named = with(restarting(service("named")), |s| {
        s.stop_post = vec![crate::units::exec("/bin/step")].into();
    });
    let mut stage = pair_of(Relation::BindsTo, named);
    let (user, named) = both_up(&mut stage);
    stage.end(named, GOOD);
    stage.end(user, Ending::Code(0));
    assert_eq!(stage.state("user"), State::Stopped);
    stage.succeed("named", Role::StopPost);
    assert_eq!(states(&stage), (State::Stopped, State::Completed));
}

/// Each needs the other, and one of them ends well in no time: taken through a restart, they would never rest.
#[test]
fn a_ring_of_bonds_comes_to_rest() {
    let named = with(restarting(service("named")), |s| s.kind = Kind::Oneshot);
    let named = naming(
        naming(named, Relation::Requires, "user"),
        Relation::After,
        "user",
    );
    let user = naming(service("user"), Relation::BindsTo, "named");
    let mut stage = Stage::new(vec![named, user]);
    stage.start("named");
    let user = stage.launch("user", Role::Start);
    stage.succeed("named", Role::Start);
    assert_eq!(states(&stage), (State::Stopping, State::Stopped));
    stage.end(user, Ending::Code(0));
    assert_eq!(states(&stage), (State::Stopped, State::Stopped));
}

/// It was cleared away, and a wish that leaves it down reads it again.
#[test]
fn what_is_upheld_and_known_again_comes_up() {
    let mut stage = pair(Relation::Upholds);
    stage.ask(Verb::Start, &["named", "user"]);
    let named = stage.launch("named", Role::Start);
    stage.launch("user", Role::Start);
    stage.end(named, BAD);
    let unit = stage.engine.id(&name("named")).unwrap();
    stage.feed(Event::Forgotten { units: vec![unit] });
    stage.ask(Verb::Restart(Scope::Running), &["named"]);
    stage.pass(1_000);
    stage.launch("named", Role::Start);
    assert_eq!(states(&stage), (State::Running, State::Running));
}

/// It was cleared away before who is bound to it came up, and is read again by a wish that leaves it down.
#[test]
fn a_bond_that_is_known_again_is_kept() {
    let mut stage = pair(Relation::BindsTo);
    let (user, named) = both_up(&mut stage);
    stage.ask(Verb::Restart(Scope::All), &["user"]);
    stage.end(named, BAD);
    let unit = stage.engine.id(&name("named")).unwrap();
    stage.feed(Event::Forgotten { units: vec![unit] });
    stage.end(user, Ending::Code(0));
    stage.launch("user", Role::Start);
    assert_eq!(stage.state("user"), State::Running);
    stage.ask(Verb::Restart(Scope::Running), &["named"]);
    assert_eq!(states(&stage), (State::Stopping, State::Stopped));
}

#[test]
fn a_oneshot_that_is_over_is_nothing_to_be_bound_to() {
    let oneshot = |remains: bool| {
        with(service("named"), move |s| {
            s.kind = Kind::Oneshot;
            s.remain_after_exit = remains;
        })
    };
    let mut stage = pair_of(Relation::BindsTo, oneshot(false));
    let request = stage.start("user");
    stage.succeed("named", Role::Start);
    assert!(fails_for(&stage, request, "user"));
    let mut stage = pair_of(Relation::BindsTo, oneshot(true));
    stage.start("user");
    stage.succeed("named", Role::Start);
    stage.launch("user", Role::Start);
    assert_eq!(states(&stage), (State::Running, State::Exited));
}

/// The daemon dies between the end of the one and the stop of the other.
#[test]
fn a_successor_sees_to_bonds_as_well() {
    let mut stage = pair(Relation::BindsTo);
    let (user, named) = both_up(&mut stage);
    stage.lose(named);
    stage.succeed_daemon();
    assert_eq!(stage.state("user"), State::Stopping);
    stage.end(user, Ending::Code(0));
    assert_eq!(stage.state("user"), State::Stopped);
}

#[test]
fn a_part_pulls_nothing_in_and_is_pulled_in_by_nobody() {
    let mut stage = pair(Relation::PartOf);
    stage.bring_up("user");
    assert_eq!(states(&stage), (State::Running, State::Stopped));
    let request = stage.start("named");
    stage.cannot_spawn("named", Role::Start, 2);
    assert!(matches!(
        stage.outcome(request, "named"),
        Some(Outcome::Failed { .. })
    ));
    assert_eq!(stage.state("user"), State::Running);
}

#[test]
fn what_is_upheld_is_started_and_its_failure_is_ignored() {
    let mut stage = pair(Relation::Upholds);
    let request = stage.start("user");
    assert_eq!(states(&stage), (State::Waiting, State::Starting));
    stage.cannot_spawn("named", Role::Start, 2);
    stage.launch("user", Role::Start);
    assert_eq!(stage.outcome(request, "user"), Some(Outcome::Started));
    assert_eq!(stage.state("named"), State::Failed);
}

/// Again and again while its upholder is up, at growing distances.
#[test]
fn what_is_upheld_comes_up_again_however_it_went_down() {
    let mut stage = pair(Relation::Upholds);
    let (user, named) = both_up(&mut stage);
    stage.end(named, GOOD);
    assert_eq!(stage.state("named"), State::Completed);
    stage.pass(100);
    assert!(stage.told_cause("named", &Cause::UpheldBy(name("user"))));
    stage.cannot_spawn("named", Role::Start, 2);
    stage.pass(199);
    assert_eq!(stage.state("named"), State::Failed);
    stage.pass(1);
    let named = stage.launch("named", Role::Start);
    // By hand, and long after.
    stage.pass(70_000);
    let request = stage.stop("named");
    stage.end(named, Ending::Code(0));
    assert_eq!(stage.outcome(request, "named"), Some(Outcome::Stopped));
    stage.pass(100);
    let named = stage.launch("named", Role::Start);
    // Not without its upholder.
    stage.ask(Verb::Stop, &["user", "named"]);
    stage.end(user, Ending::Code(0));
    stage.end(named, Ending::Code(0));
    stage.pass(100_000);
    assert_eq!(states(&stage), (State::Stopped, State::Stopped));
}

#[test]
fn a_restart_of_what_is_upheld_is_a_restart() {
    let mut stage = pair(Relation::Upholds);
    let (_, named) = both_up(&mut stage);
    stage.ask(Verb::Restart(Scope::All), &["named"]);
    stage.end(named, Ending::Code(0));
    stage.launch("named", Role::Start);
    assert_eq!(states(&stage), (State::Running, State::Running));
}

#[test]
fn an_upheld_unit_is_upheld_by_a_successor_too() {
    let mut stage = pair(Relation::Upholds);
    let (_, named) = both_up(&mut stage);
    stage.end(named, BAD);
    stage.succeed_daemon();
    stage.pass(100);
    assert_eq!(stage.state("named"), State::Starting);
}

/// Upholding does not push out what somebody has wished, so that two that contradict each other come to rest.
#[test]
fn an_upheld_unit_waits_for_what_it_conflicts_with() {
    let mut stage = Stage::new(vec![
        naming(service("user"), Relation::Upholds, "named"),
        naming(service("named"), Relation::Conflicts, "other"),
        service("other"),
    ]);
    stage.ask(Verb::Start, &["user"]);
    stage.launch("user", Role::Start);
    let named = stage.launch("named", Role::Start);
    stage.start("other");
    stage.end(named, Ending::Code(0));
    let other = stage.launch("other", Role::Start);
    stage.pass(1_000_000);
    assert_eq!(stage.state("named"), State::Stopped);
    assert_eq!(stage.state("other"), State::Running);
    stage.end(other, GOOD);
    stage.pass(100);
    stage.launch("named", Role::Start);
    assert_eq!(stage.state("named"), State::Running);
}

/// Not even where it is something else that contradicts it, further down.
#[test]
fn an_upheld_unit_waits_for_what_its_needs_conflict_with() {
    let mut stage = Stage::new(vec![
        naming(service("user"), Relation::Upholds, "named"),
        naming(service("named"), Relation::Requires, "need"),
        naming(service("need"), Relation::Conflicts, "other"),
        service("other"),
    ]);
    stage.ask(Verb::Start, &["user"]);
    stage.launch("user", Role::Start);
    let named = stage.launch("named", Role::Start);
    let need = stage.launch("need", Role::Start);
    stage.start("other");
    stage.end(named, Ending::Code(0));
    stage.end(need, Ending::Code(0));
    let other = stage.launch("other", Role::Start);
    stage.pass(1_000_000);
    assert_eq!(stage.state("named"), State::Stopped);
    stage.end(other, GOOD);
    stage.pass(200);
    stage.launch("named", Role::Start);
}

/// Until the files say that they do not.
#[test]
fn an_upheld_unit_is_held_back_by_nothing_once_its_file_is_read_again() {
    let need = || naming(service("need"), Relation::Conflicts, "other");
    let mut stage = Stage::new(vec![
        naming(service("user"), Relation::Upholds, "named"),
        naming(service("named"), Relation::Requires, "need"),
        need(),
        service("other"),
    ]);
    stage.ask(Verb::Start, &["user"]);
    stage.launch("user", Role::Start);
    let named = stage.launch("named", Role::Start);
    let need = stage.launch("need", Role::Start);
    stage.start("other");
    stage.end(named, GOOD);
    stage.end(need, GOOD);
    stage.launch("other", Role::Start);
    stage.pass(10_000);
    assert_eq!(stage.state("named"), State::Stopped);
    stage.rewrite(service("need"));
    stage.ask(Verb::Renew, &["need"]);
    stage.pass(60_000);
    stage.launch("named", Role::Start);
    assert_eq!(stage.state("other"), State::Running);
}

/// One that has stood for a while comes up again as quickly as the first time.
#[test]
fn an_upheld_group_that_was_up_for_long_does_not_wait_for_long() {
    let user = naming(service("user"), Relation::Upholds, "named");
    let mut stage = Stage::new(vec![user, group("named")]);
    stage.ask(Verb::Start, &["user"]);
    stage.launch("user", Role::Start);
    for _ in 0..5 {
        assert_eq!(stage.state("named"), State::Running);
        stage.pass(100_000);
        stage.stop("named");
        assert_eq!(stage.state("named"), State::Stopped);
        stage.pass(200);
    }
    assert_eq!(stage.state("named"), State::Running);
}

#[test]
fn a_start_stops_what_it_conflicts_with_and_waits_until_it_is_gone() {
    // Neither order nor who has the key makes a difference.
    for (first, then) in [("named", "user"), ("user", "named")] {
        let user = naming(service("user"), Relation::Conflicts, "named");
        let mut stage = Stage::new(vec![user, service("named")]);
        let old = stage.bring_up(first);
        let request = stage.start(then);
        assert_eq!(stage.state(first), State::Stopping);
        assert_eq!(stage.waits_for(then), [first]);
        assert!(stage.told_cause(first, &Cause::Conflicts(name(then))));
        let told = Notice::AlsoStops {
            unit: name(first),
            cause: Cause::Conflicts(name(then)),
        };
        assert!(stage.notices(request).contains(&told));
        stage.end(old, Ending::Code(0));
        let new = stage.launch(then, Role::Start);
        assert_eq!(stage.outcome(request, then), Some(Outcome::Started));
        assert_eq!(
            (stage.state(first), stage.state(then)),
            (State::Stopped, State::Running)
        );
        // The stop or the end of the one brings nothing back.
        stage.stop(then);
        stage.end(new, Ending::Code(0));
        stage.pass(100_000);
        assert_eq!(
            (stage.state(first), stage.state(then)),
            (State::Stopped, State::Stopped)
        );
    }
}

/// What is down already passes no stop on.
#[test]
fn a_part_of_what_is_down_is_left_alone() {
    let user = naming(service("user"), Relation::Conflicts, "named");
    let part = naming(service("part"), Relation::PartOf, "named");
    let mut stage = Stage::new(vec![user, service("named"), part]);
    stage.ask(Verb::Start, &["named", "part"]);
    let named = stage.launch("named", Role::Start);
    stage.launch("part", Role::Start);
    stage.end(named, GOOD);
    stage.bring_up("user");
    assert_eq!(stage.state("part"), State::Running);
}

#[test]
fn an_automatic_restart_is_given_up_for_what_it_conflicts_with() {
    let user = naming(restarting(service("user")), Relation::Conflicts, "named");
    let mut stage = Stage::new(vec![user, service("named")]);
    let user = stage.bring_up("user");
    stage.end(user, BAD);
    assert_eq!(stage.state("user"), State::Backoff);
    stage.bring_up("named");
    assert_eq!(states(&stage), (State::Stopped, State::Running));
}

#[test]
fn a_contradiction_is_refused_or_gives_way() {
    let user = naming(service("user"), Relation::Conflicts, "named");
    let mut stage = Stage::new(vec![user.clone(), service("named")]);
    let request = stage.ask(Verb::Start, &["user", "named"]);
    let refused = stage.answer(request);
    assert!(
        matches!(
            refused,
            Some(Answer::Refused(Refusal::Contradiction { .. }))
        ),
        "{refused:?}"
    );
    assert_eq!(stage.started(), [""; 0]);
    // What is merely wanted gives way.
    let wants = naming(user, Relation::Wants, "named");
    let mut stage = Stage::new(vec![wants, service("named")]);
    stage.bring_up("user");
    assert_eq!(states(&stage), (State::Running, State::Stopped));
    assert_eq!(stage.started(), ["user"]);
}

/// `user`'s failure starts `handler`, which knows whose it was and how.
#[test]
fn a_failure_starts_its_handler() {
    let user = naming(service("user"), Relation::OnFailure, "named");
    let mut stage = Stage::new(vec![user, service("named")]);
    let run = stage.bring_up("user");
    stage.end(run, BAD);
    assert_eq!(states(&stage), (State::Failed, State::Starting));
    assert!(stage.told_cause("named", &Cause::FailureOf(name("user"))));
    let monitor = stage.spawn_of("named", Role::Start).monitor.unwrap();
    assert_eq!(monitor.unit, name("user"));
    assert_eq!(monitor.result.service_result, "exit-code");
    assert_eq!(monitor.result.ending, Some(BAD));
    // A start by hand is nobody's sequel.
    let named = stage.launch("named", Role::Start);
    stage.end(named, GOOD);
    stage.start("named");
    assert_eq!(stage.spawn_of("named", Role::Start).monitor, None);
}

/// Nobody has stopped it: it comes again for the second one.
#[test]
fn a_handler_that_is_just_ending_is_started_for_the_next_failure() {
    let handler = with(service("named"), |s| {
        s.stop_post = vec![crate::units::exec("/bin/step")].into();
    });
    let mut stage = Stage::new(vec![
        naming(service("user"), Relation::OnFailure, "named"),
        naming(service("other"), Relation::OnFailure, "named"),
        handler,
    ]);
    let user = stage.bring_up("user");
    let other = stage.bring_up("other");
    stage.end(user, BAD);
    let named = stage.launch("named", Role::Start);
    stage.end(named, GOOD);
    assert_eq!(stage.state("named"), State::Stopping);
    stage.end(other, BAD);
    stage.succeed("named", Role::StopPost);
    let monitor = stage.spawn_of("named", Role::Start).monitor.unwrap();
    assert_eq!(monitor.unit, name("other"));
}

/// What somebody stops is left to that.
#[test]
fn a_handler_that_is_being_stopped_stays_down() {
    let user = naming(service("user"), Relation::OnFailure, "named");
    let mut stage = Stage::new(vec![user, service("named")]);
    let user = stage.bring_up("user");
    let named = stage.bring_up("named");
    stage.stop("named");
    stage.end(user, BAD);
    stage.end(named, GOOD);
    assert_eq!(states(&stage), (State::Failed, State::Stopped));
}

#[test]
fn a_start_that_fails_is_a_failure_too() {
    let user = naming(service("user"), Relation::OnFailure, "named");
    let mut stage = Stage::new(vec![user, service("named")]);
    stage.start("user");
    stage.cannot_spawn("user", Role::Start, 2);
    assert_eq!(states(&stage), (State::Failed, State::Starting));
    // Also where it is what the unit needs that fails.
    let user = naming(service("user"), Relation::OnFailure, "named");
    let user = naming(
        naming(user, Relation::Requires, "need"),
        Relation::After,
        "need",
    );
    let mut stage = Stage::new(vec![user, service("named"), service("need")]);
    stage.start("user");
    stage.cannot_spawn("need", Role::Start, 2);
    assert_eq!(states(&stage), (State::Failed, State::Starting));
}

#[test]
fn a_failure_counts_when_nobody_tries_again() {
    let user = edged(restarting(service("user")), |u| {
        u.start_limit.burst = Some(1)
    });
    let user = naming(user, Relation::OnFailure, "named");
    let mut stage = Stage::new(vec![user, service("named")]);
    let run = stage.bring_up("user");
    stage.end(run, BAD);
    assert_eq!(states(&stage), (State::Backoff, State::Stopped));
    stage.pass(200);
    let run = stage.launch("user", Role::Start);
    stage.end(run, BAD);
    assert_eq!(states(&stage), (State::Failed, State::Starting));
    let monitor = stage.spawn_of("named", Role::Start).monitor.unwrap();
    assert_eq!(monitor.result.service_result, "start-limit-hit");
}

#[test]
fn a_good_end_starts_the_other_handler() {
    for by_hand in [false, true] {
        let user = naming(service("user"), Relation::OnFailure, "other");
        let user = naming(user, Relation::OnSuccess, "named");
        let mut stage = Stage::new(vec![user, service("named"), service("other")]);
        let run = stage.bring_up("user");
        // As with systemd, whoever stops it has it end well.
        if by_hand {
            stage.stop("user");
        }
        stage.end(run, GOOD);
        assert_eq!(stage.state("named"), State::Starting);
        assert_eq!(stage.state("other"), State::Stopped);
        let monitor = stage.spawn_of("named", Role::Start).monitor.unwrap();
        assert_eq!(monitor.result.service_result, "success");
        assert!(stage.told_cause("named", &Cause::SuccessOf(name("user"))));
    }
}

#[test]
fn a_restart_and_a_shutdown_are_no_ends() {
    let user = || naming(service("user"), Relation::OnSuccess, "named");
    let mut stage = Stage::new(vec![user(), service("named")]);
    let run = stage.bring_up("user");
    stage.ask(Verb::Restart(Scope::All), &["user"]);
    stage.end(run, GOOD);
    let run = stage.launch("user", Role::Start);
    assert_eq!(states(&stage), (State::Running, State::Stopped));
    stage.ask(Verb::Shutdown, &[]);
    stage.end(run, GOOD);
    assert_eq!(states(&stage), (State::Stopped, State::Stopped));
}

/// A handler that is stopped in the same breath stays down.
#[test]
fn a_handler_that_somebody_stops_is_not_started() {
    let user = naming(service("user"), Relation::OnSuccess, "named");
    let mut stage = Stage::new(vec![user, service("named")]);
    let (user, named) = both_up(&mut stage);
    stage.ask(Verb::Stop, &["user", "named"]);
    stage.end(user, GOOD);
    stage.end(named, GOOD);
    assert_eq!(states(&stage), (State::Stopped, State::Stopped));
}

/// Two that handle each other's failures come to rest.
#[test]
fn handlers_in_a_ring_come_to_rest() {
    let mut stage = Stage::new(vec![
        naming(service("user"), Relation::OnFailure, "named"),
        naming(service("named"), Relation::OnFailure, "user"),
    ]);
    let run = stage.bring_up("user");
    stage.end(run, BAD);
    let run = stage.launch("named", Role::Start);
    stage.end(run, BAD);
    assert_eq!(states(&stage), (State::Failed, State::Failed));
    assert_eq!(stage.started(), ["user", "named"]);
}

#[test]
fn some_are_for_other_units_alone() {
    let named = flagged(service("named"), |r| {
        r.refuse_manual_start = true;
        r.refuse_manual_stop = true;
    });
    let mut stage = pair_of(Relation::Requires, named);
    let request = stage.start("named");
    let refused = |reason| Some(Outcome::Impossible { reason });
    assert_eq!(
        stage.outcome(request, "named"),
        refused(Impossible::ManualStart)
    );
    assert_eq!(stage.started(), [""; 0]);
    stage.start("user");
    let named = stage.launch("named", Role::Start);
    let user = stage.launch("user", Role::Start);
    let request = stage.stop("named");
    assert_eq!(
        stage.outcome(request, "named"),
        refused(Impossible::ManualStop)
    );
    let request = stage.ask(Verb::Restart(Scope::All), &["named"]);
    assert_eq!(
        stage.outcome(request, "named"),
        refused(Impossible::ManualStart)
    );
    assert_eq!(states(&stage), (State::Running, State::Running));
    // The daemon may.
    stage.ask(Verb::Shutdown, &[]);
    stage.end(user, Ending::Code(0));
    stage.end(named, Ending::Code(0));
    assert_eq!(states(&stage), (State::Stopped, State::Stopped));
}

/// A group holds its parts together: `stop` and `restart` of it are theirs.
#[test]
fn parts_of_a_group_go_with_it() {
    let mut stage = Stage::new(vec![
        edged(group("named"), |u| u.wants.push(name("user"))),
        naming(service("user"), Relation::PartOf, "named"),
    ]);
    stage.start("named");
    let user = stage.launch("user", Role::Start);
    stage.ask(Verb::Restart(Scope::All), &["named"]);
    assert_eq!(stage.state("user"), State::Stopping);
    stage.end(user, Ending::Code(0));
    let user = stage.launch("user", Role::Start);
    stage.stop("named");
    stage.end(user, Ending::Code(0));
    assert_eq!(states(&stage), (State::Stopped, State::Stopped));
}
