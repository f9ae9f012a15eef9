//! Files read again under services that run: what can change at once, and what waits for the next start.

use std::time::Duration;

use diakonos::engine::{Effect, Ending, Failure, Outcome, Role, State, Verb};
use diakonos::unit::{KillMode, Kind, Oversight, Policy, Relations, Span, Unit};

use super::{Stage, edged, with};
use crate::units::{exec, name, service};

fn renewed(waiting: &[&'static str]) -> Option<Outcome> {
    let waiting = waiting.to_vec();
    Some(Outcome::Renewed { waiting })
}

fn lasting(ms: u64) -> Unit {
    with(service("a"), |s| {
        s.oversight = Some(Box::new(Oversight {
            runtime_max: Span::Finite(Duration::from_millis(ms)),
            ..Oversight::default()
        }));
    })
}

#[test]
fn a_policy_counts_at_once_and_a_program_from_the_next_start() {
    let mut stage = Stage::new(vec![service("a")]);
    let run = stage.bring_up("a");
    stage.rewrite(with(service("a"), |s| {
        s.restart.policy = Policy::Always;
        s.start = vec![exec("/bin/newer")];
    }));
    let request = stage.ask(Verb::Renew, &["a"]);
    assert_eq!(stage.outcome(request, "a"), renewed(&["ExecStart"]));
    assert_eq!(stage.state("a"), State::Running);
    let id = stage.engine.id(&name("a")).unwrap();
    let program = |unit: Option<&Unit>| {
        let service = unit.unwrap().service.as_deref().unwrap();
        service.start[0].program.clone()
    };
    let old = program(stage.engine.unit(id));
    assert_ne!(old, "/bin/newer");
    assert_eq!(program(stage.engine.next_unit(id)), "/bin/newer");

    stage.end(run, super::signal(9));
    assert_eq!(stage.state("a"), State::Backoff);
    stage.pass(60_000);
    assert_eq!(program(stage.engine.unit(id)), "/bin/newer");
    assert_eq!(stage.engine.next_unit(id), None);
    assert!(stage.has_run("a", Role::Start));
}

#[test]
fn what_is_held_of_a_service_is_brought_in_line_before_the_answer() {
    let mut stage = Stage::new(vec![service("a")]);
    stage.bring_up("a");
    stage.rewrite(with(service("a"), |s| s.log.max_files = 9));
    stage.fresh();
    let request = stage.ask(Verb::Renew, &["a"]);
    let unit = stage.engine.id(&name("a")).unwrap();
    let effects = stage.fresh();
    let place = |wanted: &Effect| effects.iter().position(|effect| effect == wanted);
    let answer = effects
        .iter()
        .position(|effect| matches!(effect, Effect::Answer { .. }));
    let (saved, held) = (
        place(&Effect::Save { unit }),
        place(&Effect::Renew { unit, request }),
    );
    assert!(saved < held && held < answer, "{effects:?}");
    assert_eq!(stage.engine.next_unit(unit), None);
}

#[test]
fn one_that_is_down_has_its_new_definition_at_once() {
    let mut stage = Stage::new(vec![service("a")]);
    let request = stage.start("a");
    stage.launch("a", Role::Start);
    stage.outcome(request, "a");
    let stop = stage.stop("a");
    stage.succeed("a", Role::Start);
    assert_eq!(stage.outcome(stop, "a"), Some(Outcome::Stopped));
    stage.rewrite(with(service("a"), |s| s.start = vec![exec("/bin/newer")]));
    let request = stage.ask(Verb::Renew, &["a"]);
    assert_eq!(stage.outcome(request, "a"), renewed(&[]));
    assert_eq!(stage.state("a"), State::Stopped);
    let unit = stage.engine.id(&name("a")).unwrap();
    let none = |effect: &Effect| !matches!(effect, Effect::Renew { .. });
    assert!(stage.fresh().iter().all(none));
    assert_eq!(stage.engine.next_unit(unit), None);
}

#[test]
fn how_long_it_may_run_counts_from_when_it_was_ready() {
    let mut stage = Stage::new(vec![service("a")]);
    stage.bring_up("a");
    stage.pass(5_000);
    for (limit_ms, left_ms) in [(8_000, Some(3_000)), (60_000, Some(55_000))] {
        stage.rewrite(lasting(limit_ms));
        stage.ask(Verb::Renew, &["a"]);
        let due = stage.engine.next_deadline();
        assert_eq!(due.map(|due| due.since_ms(stage.now)), left_ms);
    }
    stage.rewrite(service("a"));
    stage.ask(Verb::Renew, &["a"]);
    assert_eq!(stage.engine.next_deadline(), None);
    stage.rewrite(lasting(1_000));
    stage.ask(Verb::Renew, &["a"]);
    stage.pass(1);
    assert_eq!(stage.state("a"), State::Stopping);
    stage.end(stage.run("a", Role::Start), super::signal(15));
    let failure = stage.facts("a").failure.map(|failure| failure.result);
    assert_eq!(failure.as_deref(), Some("timeout"));
}

#[test]
fn a_dependency_that_comes_later_counts_for_the_next_stop() {
    let mut stage = Stage::new(vec![service("a"), service("b")]);
    stage.bring_up("a");
    stage.bring_up("b");
    let mut needy = service("a");
    needy.requires = vec![name("b")];
    needy.after = vec![name("b")];
    stage.rewrite(needy);
    let request = stage.ask(Verb::Renew, &["a"]);
    assert_eq!(stage.outcome(request, "a"), renewed(&[]));
    stage.stop("b");
    assert_eq!(stage.state("a"), State::Stopping);
}

/// The limit that has passed is the one that was set when the start began.
#[test]
fn a_start_that_takes_too_long_names_the_limit_that_it_had() {
    let limited = |ms| {
        with(service("a"), |s| {
            s.kind = Kind::Oneshot;
            s.timeout_start = Span::Finite(Duration::from_millis(ms));
        })
    };
    let mut stage = Stage::new(vec![limited(2_000)]);
    let request = stage.start("a");
    stage.rewrite(limited(90_000));
    stage.ask(Verb::Renew, &["a"]);
    stage.pass(2_000);
    stage.end(stage.run("a", Role::Start), super::signal(15));
    let Some(Outcome::Failed { failure, .. }) = stage.outcome(request, "a") else {
        panic!("{:?}", stage.outcome(request, "a"));
    };
    let limit_ms = 2_000;
    let role = Role::Start;
    assert_eq!(failure, Failure::StartTimeout { role, limit_ms });
}

/// The kill that a predecessor began waits for nobody any more by the newer definition.
#[test]
fn a_successor_does_not_wait_for_whom_a_newer_kill_mode_lets_live() {
    let patient = |mode| {
        with(service("a"), move |s| {
            s.timeout_stop = Span::Infinite;
            s.kill.mode = mode;
        })
    };
    let mut stage = Stage::new(vec![patient(KillMode::ControlGroup)]);
    let run = stage.bring_up("a");
    stage.crowd("a");
    stage.stop("a");
    stage.end(run, Ending::Code(0));
    stage.rewrite(patient(KillMode::None));
    stage.ask(Verb::Renew, &["a"]);
    assert_eq!(stage.state("a"), State::Stopping);
    stage.succeed_daemon();
    assert_eq!(stage.state("a"), State::Stopped);
}

/// A bond that a newer file brings: that it is not kept follows from the wish that has brought it.
#[test]
fn a_bond_that_is_new_follows_from_the_wish_that_brought_it() {
    let mut stage = Stage::new(vec![service("named"), service("user")]);
    stage.bring_up("user");
    stage.ask(Verb::Restart(diakonos::engine::Scope::Running), &["named"]);
    stage.rewrite(edged(service("user"), |unit| {
        let binds_to = vec![name("named")];
        let relations = Relations {
            binds_to,
            ..Relations::default()
        };
        unit.relations = Some(Box::new(relations));
    }));
    stage.fresh();
    stage.ask(Verb::Renew, &["user"]);
    let effects = stage.fresh();
    let wish = effects.iter().find_map(|effect| match effect {
        Effect::Taken(taken) => Some(taken.id),
        _ => None,
    });
    let because = effects.iter().find_map(|effect| match effect {
        Effect::Publish(change) if change.unit == name("user") => Some(change.because),
        _ => None,
    });
    assert!(wish.is_some());
    assert_eq!(because, Some(wish));
    assert_eq!(stage.state("user"), State::Stopping);
}
