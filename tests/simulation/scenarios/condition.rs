//! Conditions: `ExecCondition=`.

use diakonos::engine::{Ending, Failure, Outcome, Role, State};

use super::{Stage, edged, signal, with};
use crate::units::{exec, name, service};

#[test]
fn a_condition_that_is_met_lets_the_start_go_on() {
    let mut stage = Stage::new(vec![with(service("a"), |s| {
        s.condition = vec![exec("/one"), exec("/two")];
        s.start_pre = vec![exec("/pre")];
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
        s.condition = vec![exec("/one")];
        s.restart.policy = diakonos::unit::Policy::Always;
        s.stop = vec![exec("/stop")];
        s.stop_post = vec![exec("/after")];
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
    let conditional = || with(service("a"), |s| s.condition = vec![exec("/one")]);
    let ended = |unit, ending| {
        let mut stage = Stage::new(vec![unit]);
        let request = stage.start("a");
        let run = stage.launch("a", Role::Condition);
        stage.end(run, ending);
        (stage.outcome(request, "a"), stage.state("a"))
    };
    let how = "exit code 3".into();
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
    let forgiven = with(conditional(), |s| s.condition[0].ignore_failure = true);
    assert_eq!(ended(forgiven, Ending::Code(3)), (None, State::Starting));
}
