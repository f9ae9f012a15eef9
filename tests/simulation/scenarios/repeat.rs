//! Wishes that are asked again because their answer was lost with the daemon: what was done is not done twice.

use diakonos::engine::{Awaited, Ending, Event, Outcome, RequestId, Role, Scope, State, Verb};
use diakonos::unit::{Kind, Policy, Unit};

use super::{Stage, edged, with};
use crate::units::{name, service};

const RESTART: Verb = Verb::Restart(Scope::All);

fn always(name: &str) -> Unit {
    with(service(name), |s| s.restart.policy = Policy::Always)
}

#[test]
fn a_restart_is_not_done_twice() {
    let mut stage = Stage::new(vec![service("a")]);
    let old = stage.bring_up("a");
    stage.pass(1_000);
    let asked = stage.now;
    stage.pass(10);
    stage.ask(RESTART, &["a"]);
    stage.end(old, Ending::Code(0));
    let new = stage.launch("a", Role::Start);
    stage.succeed_daemon();
    let again = stage.ask_again(asked, RESTART, &["a"]);
    assert_eq!(stage.outcome(again, "a"), Some(Outcome::Started));
    assert_eq!(stage.run("a", Role::Start), new);
    let later = stage.ask(RESTART, &["a"]);
    assert_eq!(
        stage.outcome(later, "a"),
        None,
        "a new wish is a new restart"
    );
    assert_eq!(stage.state("a"), State::Stopping);
}

#[test]
fn a_restart_under_way_is_waited_for() {
    let mut stage = Stage::new(vec![service("a")]);
    let old = stage.bring_up("a");
    stage.pass(1);
    let asked = stage.now;
    stage.ask(RESTART, &["a"]);
    stage.succeed_daemon();
    stage.signals();
    let again = stage.ask_again(asked, RESTART, &["a"]);
    assert_eq!(stage.signals(), [], "it has its signal");
    stage.end(old, Ending::Code(0));
    stage.pass(1);
    stage.launch("a", Role::Start);
    assert_eq!(stage.outcome(again, "a"), Some(Outcome::Started));
    assert_eq!(stage.started().len(), 2);
}

#[test]
fn a_restart_that_never_was_taken_up_is_done() {
    let mut stage = Stage::new(vec![service("a")]);
    let old = stage.bring_up("a");
    stage.pass(1);
    let asked = stage.now;
    stage.succeed_daemon();
    let again = stage.ask_again(asked, RESTART, &["a"]);
    assert_eq!(stage.state("a"), State::Stopping);
    stage.end(old, Ending::Code(0));
    stage.launch("a", Role::Start);
    assert_eq!(stage.outcome(again, "a"), Some(Outcome::Started));
}

/// An automatic restart with the old definition is not what was asked for.
#[test]
fn a_restart_with_a_newer_file_is_done_all_the_same() {
    let mut stage = Stage::new(vec![always("a")]);
    let old = stage.bring_up("a");
    stage.pass(1);
    let asked = stage.now;
    stage.rewrite(edged(always("a"), |unit| {
        unit.description = "newer".to_owned();
    }));
    stage.end(old, Ending::Code(1));
    stage.pass(5_000);
    stage.launch("a", Role::Start);
    stage.ask_again(asked, RESTART, &["a"]);
    assert_eq!(stage.state("a"), State::Stopping);
}

#[test]
fn what_requires_a_restarted_unit_is_not_forgotten() {
    let web = edged(service("web"), |unit| {
        unit.requires = vec![name("db")];
        unit.after = vec![name("db")];
    });
    let mut stage = Stage::new(vec![always("db"), web]);
    stage.start("web");
    stage.launch("db", Role::Start);
    stage.launch("web", Role::Start);
    stage.pass(1);
    let asked = stage.now;
    stage.pass(5);
    // Only the half of an earlier wish was written down: db was restarted, web was not.
    let db = stage.run("db", Role::Start);
    stage.end(db, Ending::Code(1));
    stage.pass(5_000);
    let db = stage.launch("db", Role::Start);
    let again = stage.ask_again(asked, RESTART, &["db"]);
    assert_eq!(stage.run("db", Role::Start), db);
    assert_eq!(stage.state("web"), State::Stopping);
    let web = stage.run("web", Role::Start);
    stage.end(web, Ending::Code(0));
    stage.launch("web", Role::Start);
    assert_eq!(stage.outcome(again, "db"), Some(Outcome::Started));
    assert_eq!(stage.outcome(again, "web"), Some(Outcome::Started));
}

#[test]
fn a_oneshot_that_ran_meanwhile_does_not_run_again() {
    for code in [0, 3] {
        let once = with(service("a"), |s| {
            s.kind = Kind::Oneshot;
            s.restart.policy = Policy::No;
        });
        let mut stage = Stage::new(vec![once]);
        let asked = stage.now;
        stage.pass(3);
        stage.start("a");
        let run = stage.launch("a", Role::Start);
        stage.succeed_daemon();
        stage.end(run, Ending::Code(code));
        let again = stage.ask_again(asked, Verb::Start, &["a"]);
        match (code, stage.outcome(again, "a")) {
            (0, Some(Outcome::Completed)) | (3, Some(Outcome::Failed { .. })) => {}
            (_, other) => panic!("code {code}: {other:?}"),
        }
        assert_eq!(stage.started().len(), 1);
        stage.start("a");
        assert_eq!(stage.started().len(), 2);
    }
}

#[test]
fn a_start_that_somebody_took_back_is_superseded() {
    let mut stage = Stage::new(vec![service("a")]);
    let asked = stage.now;
    stage.pass(1);
    let run = stage.bring_up("a");
    stage.stop("a");
    let again = stage.ask_again(asked, Verb::Start, &["a"]);
    let superseded = |outcome| matches!(outcome, Some(Outcome::Superseded { .. }));
    assert!(superseded(stage.outcome(again, "a")));
    stage.end(run, Ending::Code(0));
    let again = stage.ask_again(asked, Verb::Start, &["a"]);
    assert!(superseded(stage.outcome(again, "a")));
    assert_eq!(stage.state("a"), State::Stopped);
}

#[test]
fn a_shutdown_asked_again_is_no_impatience() {
    let mut stage = Stage::new(vec![service("a")]);
    stage.bring_up("a");
    let asked = stage.now;
    stage.ask(Verb::Shutdown, &[]);
    assert_ne!(stage.signals(), []);
    stage.ask_again(asked, Verb::Shutdown, &[]);
    assert_eq!(stage.signals(), []);
    stage.ask(Verb::Shutdown, &[]);
    let kills = stage.signals();
    assert!(kills.iter().any(|(_, signal)| *signal == 9), "{kills:?}");
}

#[test]
fn a_request_is_carried_over_and_answered() {
    let mut stage = Stage::new(vec![service("a"), service("b")]);
    let run = stage.bring_up("a");
    let stop = stage.stop("a");
    let start = stage.ask(Verb::Start, &["a", "b"]);
    let pending = stage.engine.pending(start).unwrap();
    assert_eq!(pending.awaited, Awaited::Up);
    assert_eq!(pending.units, [name("a"), name("b")]);
    let stopping = stage.engine.pending(stop).unwrap();
    assert_eq!(stopping.awaited, Awaited::Down);
    stage.succeed_daemon();
    let resumed = RequestId(77);
    stage.feed(Event::Resumed {
        request: resumed,
        awaited: Awaited::Up,
        units: pending.units,
    });
    stage.feed(Event::Resumed {
        request: RequestId(78),
        awaited: Awaited::Down,
        units: stopping.units,
    });
    stage.launch("b", Role::Start);
    stage.end(run, Ending::Code(0));
    assert_eq!(stage.outcome(RequestId(78), "a"), Some(Outcome::Stopped));
    stage.launch("a", Role::Start);
    for unit in ["a", "b"] {
        assert_eq!(stage.outcome(resumed, unit), Some(Outcome::Started));
    }
}
