//! Conditions: `ExecCondition=`, and `Condition…=` and `Assert…=`.

use diakonos::engine::{Ending, Failure, Outcome, Role, Scope, State, Verb};
use diakonos::unit::{Condition, Demand, Policy, Test, Truth, Unit, Weight};

use super::{Stage, edged, signal, with};
use crate::units::{exec, name, service};

#[test]
fn a_condition_that_is_met_lets_the_start_go_on() {
    let mut stage = Stage::new(vec![with(service("a"), |s| {
        s.condition = vec![exec("/one"), exec("/two")].into();
        s.start_pre = vec![exec("/pre")].into();
        s.restart.success.codes.push(7);
    })]);
    let request = stage.start("a");
    stage.succeed("a", Role::Condition);
    assert_eq!(stage.spawn_of("a", Role::Condition).index, 1);
    let run = stage.launch("a", Role::Condition);
    assert!(!stage.has_run("a", Role::StartPre));
    stage.end(run, Ending::Code(7));
    stage.succeed("a", Role::StartPre);
    stage.launch("a", Role::Start);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Started));
}

#[test]
fn one_that_is_not_met_skips_it_and_fails_nobody() {
    let skipped = with(service("a"), |s| {
        s.condition = vec![exec("/one")].into();
        s.restart.policy = diakonos::unit::Policy::Always;
        s.stop = vec![exec("/stop")].into();
        s.stop_post = vec![exec("/after")].into();
    });
    let follower = edged(service("b"), |unit| {
        unit.requires.push(name("a"));
        unit.after.push(name("a"));
    });
    let mut stage = Stage::new(vec![skipped, follower]);
    let request = stage.ask(diakonos::engine::Verb::Start, &["a", "b"]);
    let run = stage.launch("a", Role::Condition);
    stage.end(run, Ending::Code(254));
    assert!(!stage.has_run("a", Role::Stop), "it never was up");
    let after = stage.spawn_of("a", Role::StopPost);
    let result = after.result.map(|result| result.service_result);
    assert_eq!(result, Some("exec-condition"));
    let run = stage.launch("a", Role::StopPost);
    stage.succeed_daemon();
    stage.end(run, Ending::Code(0));
    assert_eq!(
        stage.state("a"),
        State::Completed,
        "and it is not restarted"
    );
    stage.launch("b", Role::Start);
    assert_eq!(stage.state("b"), State::Running);
    assert_eq!(stage.outcome(request, "a"), None, "its client went");
}

#[test]
fn who_asked_is_told_what_was_said() {
    let conditional = || with(service("a"), |s| s.condition = vec![exec("/one")].into());
    let ended = |unit, ending| {
        let mut stage = Stage::new(vec![unit]);
        let request = stage.start("a");
        let run = stage.launch("a", Role::Condition);
        stage.end(run, ending);
        (stage.outcome(request, "a"), stage.state("a"))
    };
    let how = "its ExecCondition is not met: exit code 3".into();
    let skipped = (Some(Outcome::Skipped { how }), State::Completed);
    assert_eq!(ended(conditional(), Ending::Code(3)), skipped);
    for ending in [Ending::Code(255), signal(9), Ending::Unknown] {
        let failure = Failure::Ended {
            role: Role::Condition,
            ending,
        };
        let retry_ms = None;
        let failed = Some(Outcome::Failed { failure, retry_ms });
        assert_eq!(ended(conditional(), ending), (failed, State::Failed));
    }
    let forgiven = with(conditional(), |s| {
        let mut commands = s.condition.to_vec();
        commands[0].ignore_failure = true;
        s.condition = commands.into();
    });
    assert_eq!(ended(forgiven, Ending::Code(3)), (None, State::Starting));
}

fn conditional(text: &str, demand: Demand) -> Unit {
    edged(service(text), |unit| {
        unit.conditions = Box::new([Condition {
            demand,
            weight: Weight::Each,
            wanted: Truth::True,
            test: Test::PathExists("/flag".into()),
        }]);
    })
}

/// Asked when the turn has come, not before; nothing is begun before the answer.
#[test]
fn the_machine_is_looked_at_when_the_turn_has_come() {
    let after = edged(conditional("b", Demand::Condition), |unit| {
        unit.after.push(name("a"));
        unit.wants.push(name("a"));
    });
    let mut stage = Stage::new(vec![service("a"), after]);
    let request = stage.start("b");
    assert_eq!(stage.questions(), 0, "its turn has not come");
    stage.launch("a", Role::Start);
    assert_eq!(stage.questions(), 1);
    assert_eq!(stage.state("b"), State::Starting);
    assert!(!stage.has_run("b", Role::Start));
    stage.examined(&[Truth::True]);
    stage.launch("b", Role::Start);
    assert_eq!(stage.outcome(request, "b"), Some(Outcome::Started));
}

/// systemd.unit(5): the start is skipped, and what requires the unit goes on.
#[test]
fn an_unmet_condition_skips_the_start_and_fails_nobody() {
    let a = with(conditional("a", Demand::Condition), |s| {
        s.restart.policy = Policy::Always;
    });
    let b = edged(service("b"), |unit| {
        unit.requires.push(name("a"));
        unit.after.push(name("a"));
    });
    let mut stage = Stage::new(vec![a, b]);
    let request = stage.ask(Verb::Start, &["a", "b"]);
    stage.examined(&[Truth::Untrue]);
    assert_eq!(stage.state("a"), State::Completed, "and is not restarted");
    stage.launch("b", Role::Start);
    let how = "ConditionPathExists=/flag is not met".into();
    let skipped = Some(Outcome::Skipped { how });
    assert_eq!(stage.outcome(request, "a"), skipped);
    assert_eq!(stage.outcome(request, "b"), Some(Outcome::Started));
}

#[test]
fn an_unmet_assertion_fails_the_start_and_who_requires_it() {
    let a = with(conditional("a", Demand::Assert), |s| {
        s.restart.policy = Policy::Always;
    });
    let b = edged(service("b"), |unit| {
        unit.requires.push(name("a"));
        unit.after.push(name("a"));
    });
    let mut stage = Stage::new(vec![a, b]);
    let request = stage.ask(Verb::Start, &["a", "b"]);
    stage.examined(&[Truth::Untrue]);
    assert_eq!(stage.state("a"), State::Failed, "and is not tried again");
    assert_eq!(stage.state("b"), State::Failed);
    let failure = Failure::Assertion {
        unmet: "AssertPathExists=/flag is not met".into(),
    };
    let retry_ms = None;
    let failed = Some(Outcome::Failed { failure, retry_ms });
    assert_eq!(stage.outcome(request, "a"), failed);
}

/// A group has them as well, and an automatic restart asks anew.
#[test]
fn every_start_asks() {
    let mut group = conditional("g", Demand::Condition);
    group.service = None;
    let a = with(conditional("a", Demand::Condition), |s| {
        s.restart.policy = Policy::Always;
    });
    let mut stage = Stage::new(vec![group, a]);
    stage.start("g");
    stage.examined(&[Truth::Untrue]);
    assert_eq!(stage.state("g"), State::Completed);
    stage.start("g");
    stage.examined(&[Truth::True]);
    assert_eq!(stage.state("g"), State::Running);
    stage.start("a");
    stage.examined(&[Truth::True]);
    let run = stage.launch("a", Role::Start);
    stage.end(run, Ending::Code(1));
    stage.pass(1_000);
    assert_eq!(stage.questions(), 1);
    stage.examined(&[Truth::Untrue]);
    assert_eq!(stage.state("a"), State::Completed);
}

#[test]
fn a_stop_does_not_wait_for_the_answer_and_an_old_answer_is_none() {
    let mut stage = Stage::new(vec![conditional("a", Demand::Condition)]);
    let first = stage.start("a");
    let stop = stage.stop("a");
    assert_eq!(stage.outcome(stop, "a"), Some(Outcome::Stopped));
    assert!(matches!(
        stage.outcome(first, "a"),
        Some(Outcome::Superseded { .. })
    ));
    stage.start("a");
    stage.examined(&[Truth::Untrue]);
    assert_eq!(
        stage.state("a"),
        State::Starting,
        "that was the first one's"
    );
    stage.ask(Verb::Restart(Scope::All), &["a"]);
    stage.examined(&[Truth::Untrue]);
    assert_eq!(stage.questions(), 1, "a restart asks again");
    stage.examined(&[Truth::True]);
    stage.launch("a", Role::Start);
    assert_eq!(stage.state("a"), State::Running);
}

#[test]
fn a_successor_asks_again() {
    let mut stage = Stage::new(vec![conditional("a", Demand::Condition)]);
    stage.start("a");
    stage.succeed_daemon();
    assert_eq!(stage.questions(), 1);
    stage.examined(&[Truth::True]);
    stage.launch("a", Role::Start);
    assert_eq!(stage.state("a"), State::Running);
}

/// The answer that was asked for says nothing of the conditions of a newer definition.
#[test]
fn conditions_that_change_under_the_question_are_asked_anew() {
    let asked = || conditional("a", Demand::Condition);
    let mut stage = Stage::new(vec![asked()]);
    let request = stage.start("a");
    stage.rewrite(edged(asked(), |unit| {
        unit.conditions[0].test = Test::PathExists("/other".into());
    }));
    stage.ask(Verb::Renew, &["a"]);
    assert_eq!(stage.questions(), 2);
    stage.examined(&[Truth::True]);
    assert_eq!(stage.state("a"), State::Starting);
    assert!(!stage.has_run("a", Role::Start), "that was the old one's");
    stage.examined(&[Truth::True]);
    stage.launch("a", Role::Start);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Started));

    let mut stage = Stage::new(vec![asked()]);
    let request = stage.start("a");
    stage.rewrite(service("a"));
    stage.ask(Verb::Renew, &["a"]);
    stage.launch("a", Role::Start);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Started));
    stage.examined(&[Truth::Untrue]);
    assert_eq!(stage.state("a"), State::Running);
}
