//! The way up: what each `Type=` waits for, and what its commands do.

use std::path::PathBuf;

use diakonos::engine::{
    Ending, Event, Failure, Impossible, NoMain, Outcome, Role, State, Verb, Word,
};
use diakonos::unit::{Kind, Policy, Readiness, Span, Unit};

use super::{Stage, signal, with};
use crate::units::{exec, service};

fn of(kind: Kind) -> Unit {
    with(service("a"), |s| s.kind = kind)
}

#[test]
fn a_simple_service_is_up_once_its_program_runs() {
    let mut stage = Stage::new(vec![service("a")]);
    let request = stage.start("a");
    let run = stage.run("a", Role::Start);
    stage.feed(Event::Spawned { run, pid: 7 });
    assert_eq!(stage.state("a"), State::Starting);
    stage.feed(Event::Executed { run });
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Started));
    let again = stage.start("a");
    assert_eq!(stage.outcome(again, "a"), Some(Outcome::AlreadyUp));
    assert_eq!(
        stage.path("a"),
        [State::Waiting, State::Starting, State::Running]
    );
}

#[test]
fn a_service_that_says_when_it_is_ready_is_up_then() {
    let mut stage = Stage::new(vec![with(service("a"), |s| {
        s.readiness = Readiness::Notify;
        s.start_post = vec![exec("/after")].into();
    })]);
    let request = stage.start("a");
    let run = stage.launch("a", Role::Start);
    assert_eq!(stage.state("a"), State::Starting);
    assert!(!stage.has_run("a", Role::StartPost));
    stage.succeed_daemon();
    assert_eq!(stage.state("a"), State::Starting, "a successor waits on");
    stage.feed(Event::Ready { run });
    stage.succeed("a", Role::StartPost);
    stage.feed(Event::Ready { run });
    assert_eq!(stage.state("a"), State::Running, "and not a second time");
    assert_eq!(
        stage.outcome(request, "a"),
        None,
        "the client went with its daemon"
    );
}

/// Nobody waits for what cannot come.
#[test]
fn a_service_that_cannot_become_ready_has_failed_at_once() {
    let mut stage = Stage::new(vec![with(service("a"), |s| {
        s.readiness = Readiness::Descriptor(3);
    })]);
    let request = stage.start("a");
    let run = stage.launch("a", Role::Start);
    let hopeless = Event::Hopeless {
        run,
        reason: "it was closed".into(),
    };
    stage.feed(hopeless.clone());
    stage.feed(hopeless);
    stage.end(run, signal(15));
    let failure = Failure::Hopeless {
        awaited: "ReadyWhen=fd:3: it was closed".into(),
    };
    assert_eq!(
        stage.outcome(request, "a"),
        Some(Outcome::Failed {
            failure,
            retry_ms: None
        })
    );
}

#[test]
fn a_service_that_never_becomes_ready_has_failed() {
    let mut stage = Stage::new(vec![with(service("a"), |s| {
        s.readiness = Readiness::Log("up".into());
    })]);
    let request = stage.start("a");
    let run = stage.launch("a", Role::Start);
    stage.feed(Event::Unready {
        run,
        reason: "it is busy".into(),
    });
    stage.pass(90_000);
    stage.end(run, signal(15));
    let failure = Failure::ReadyTimeout {
        limit_ms: 90_000,
        awaited: "ReadyWhen=log:up: it is busy".into(),
    };
    assert_eq!(
        stage.outcome(request, "a"),
        Some(Outcome::Failed {
            failure,
            retry_ms: None
        })
    );
}

#[test]
fn what_waits_for_nothing_is_not_made_ready() {
    for kind in [Kind::Oneshot, Kind::Forking] {
        let mut stage = Stage::new(vec![of(kind)]);
        stage.start("a");
        let run = stage.launch("a", Role::Start);
        stage.feed(Event::Ready { run });
        assert_eq!(stage.state("a"), State::Starting, "{kind:?}");
    }
}

#[test]
fn commands_before_and_after_run_one_by_one() {
    let mut stage = Stage::new(vec![with(service("a"), |s| {
        s.start_pre = vec![exec("/one"), exec("/two")].into();
        s.start_post = vec![exec("/three")].into();
    })]);
    let request = stage.start("a");
    assert_eq!(stage.spawn_of("a", Role::StartPre).index, 0);
    stage.succeed("a", Role::StartPre);
    assert_eq!(stage.spawn_of("a", Role::StartPre).index, 1);
    assert!(!stage.has_run("a", Role::Start));
    stage.succeed("a", Role::StartPre);
    stage.launch("a", Role::Start);
    assert_eq!(
        stage.state("a"),
        State::Starting,
        "its ExecStartPost= is part of the start"
    );
    assert!(stage.spawn_of("a", Role::StartPost).main_pid.is_some());
    stage.succeed("a", Role::StartPost);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Started));
}

#[test]
fn a_failed_command_before_fails_the_start() {
    let mut unit = with(service("a"), |s| s.start_pre = vec![exec("/one")].into());
    let mut stage = Stage::new(vec![unit.clone()]);
    let request = stage.start("a");
    let run = stage.launch("a", Role::StartPre);
    stage.end(run, Ending::Code(1));
    assert_eq!(stage.state("a"), State::Failed);
    assert!(matches!(
        stage.outcome(request, "a"),
        Some(Outcome::Failed {
            failure: Failure::Ended {
                role: Role::StartPre,
                ..
            },
            ..
        })
    ));
    unit = with(unit, |s| {
        let mut commands = s.start_pre.to_vec();
        commands[0].ignore_failure = true;
        s.start_pre = commands.into();
    });
    let mut stage = Stage::new(vec![unit]);
    stage.start("a");
    let run = stage.launch("a", Role::StartPre);
    stage.end(run, Ending::Code(1));
    assert!(stage.has_run("a", Role::Start), "a leading - forgives");
}

#[test]
fn a_oneshot_runs_every_command_and_completes() {
    let mut stage = Stage::new(vec![with(of(Kind::Oneshot), |s| {
        s.start = vec![exec("/one"), exec("/two"), exec("/three")];
    })]);
    let request = stage.start("a");
    for index in 0..3 {
        assert_eq!(stage.spawn_of("a", Role::Start).index, index);
        assert_eq!(stage.answer(request), None);
        stage.succeed("a", Role::Start);
    }
    assert_eq!(stage.state("a"), State::Completed);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Completed));
}

#[test]
fn a_failed_command_ends_a_oneshot() {
    let mut stage = Stage::new(vec![with(of(Kind::Oneshot), |s| {
        s.start = vec![exec("/one"), exec("/two")];
    })]);
    stage.start("a");
    let run = stage.launch("a", Role::Start);
    stage.end(run, Ending::Code(1));
    assert_eq!(stage.state("a"), State::Failed);
    assert_eq!(stage.started().len(), 1);
}

#[test]
fn a_oneshot_that_remains_is_exited_and_not_run_again() {
    let mut stage = Stage::new(vec![with(of(Kind::Oneshot), |s| {
        s.remain_after_exit = true
    })]);
    let request = stage.start("a");
    stage.succeed("a", Role::Start);
    assert_eq!(stage.state("a"), State::Exited);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Started));
    let again = stage.start("a");
    assert_eq!(stage.outcome(again, "a"), Some(Outcome::AlreadyUp));
    assert_eq!(stage.started().len(), 1);
    let stop = stage.stop("a");
    assert_eq!(stage.outcome(stop, "a"), Some(Outcome::Stopped));
}

fn search(stage: &Stage) -> diakonos::engine::RunId {
    stage.facts("a").main.expect("a search has a run").run
}

#[test]
fn a_forking_service_is_up_when_its_main_process_is_found() {
    for pid_file in [None, Some(PathBuf::from("/run/a.pid"))] {
        let mut stage = Stage::new(vec![with(of(Kind::Forking), |s| {
            s.pid_file = pid_file.map(Into::into)
        })]);
        let request = stage.start("a");
        stage.crowd("a");
        stage.succeed("a", Role::Start);
        assert_eq!(stage.state("a"), State::Starting);
        let run = search(&stage);
        stage.feed(Event::MainFound { run, pid: 77 });
        assert_eq!(stage.outcome(request, "a"), Some(Outcome::Started));
        stage.uncrowd("a");
        stage.end(run, Ending::Code(0));
        assert_eq!(stage.state("a"), State::Completed);
    }
}

#[test]
fn a_forking_service_without_a_known_main_lives_while_its_group_does() {
    let mut stage = Stage::new(vec![of(Kind::Forking)]);
    let request = stage.start("a");
    stage.crowd("a");
    stage.succeed("a", Role::Start);
    let run = search(&stage);
    stage.feed(Event::MainMissing {
        run,
        reason: NoMain::Ambiguous,
    });
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Started));
    assert_eq!(stage.state("a"), State::Running);
    stage.uncrowd("a");
    assert_eq!(stage.state("a"), State::Completed);
}

/// Whoever waits for the reload is told that it comes to nothing.
#[test]
fn a_group_that_is_gone_takes_the_reload_along() {
    let mut stage = Stage::new(vec![with(of(Kind::Forking), |s| {
        s.reload = vec![exec("/bin/reload")].into();
    })]);
    stage.start("a");
    stage.crowd("a");
    stage.succeed("a", Role::Start);
    let run = search(&stage);
    stage.feed(Event::MainMissing {
        run,
        reason: NoMain::Ambiguous,
    });
    let request = stage.ask(Verb::Reload, &["a"]);
    let unit = stage.engine.id(&crate::units::name("a")).unwrap();
    stage.feed(Event::GroupEmpty { unit });
    assert!(matches!(
        stage.outcome(request, "a"),
        Some(Outcome::Failed { .. })
    ));
}

/// Of a service of which nobody knows the main process, whoever speaks for it ends the reload that it has told of; and
/// the end of its group is heard of, whichever daemon watches.
#[test]
fn a_reload_of_nobody_in_particular_comes_to_an_end() {
    for (is_done, state) in [(true, State::Running), (false, State::Completed)] {
        let mut stage = Stage::new(vec![with(of(Kind::Forking), |s| {
            s.timeout_start = Span::Infinite;
        })]);
        stage.start("a");
        stage.crowd("a");
        stage.succeed("a", Role::Start);
        let run = search(&stage);
        let reason = NoMain::Ambiguous;
        stage.feed(Event::MainMissing { run, reason });
        let unit = stage.engine.id(&crate::units::name("a")).unwrap();
        let word = Word::Reloading { begun: None };
        stage.feed(Event::Said { unit, word });
        assert_eq!(stage.state("a"), State::Reloading);
        stage.succeed_daemon();
        assert_eq!(stage.state("a"), State::Reloading);
        if is_done {
            let unit = stage.engine.id(&crate::units::name("a")).unwrap();
            let word = Word::Ready;
            stage.feed(Event::Said { unit, word });
        } else {
            stage.uncrowd("a");
        }
        assert_eq!(stage.state("a"), state);
    }
}

#[test]
fn a_forking_service_that_leaves_nobody_or_a_stranger_fails() {
    for reason in [NoMain::Gone, NoMain::Foreign] {
        let mut stage = Stage::new(vec![of(Kind::Forking)]);
        let request = stage.start("a");
        stage.succeed("a", Role::Start);
        let run = search(&stage);
        stage.feed(Event::MainMissing { run, reason });
        assert_eq!(stage.state("a"), State::Failed);
        assert!(matches!(
            stage.outcome(request, "a"),
            Some(Outcome::Failed {
                failure: Failure::NoMain { .. },
                ..
            })
        ));
    }
}

#[test]
fn a_start_that_takes_too_long_is_stopped_and_killed() {
    let mut stage = Stage::new(vec![of(Kind::Forking)]);
    let request = stage.start("a");
    let run = stage.launch("a", Role::Start);
    stage.pass(89_999);
    assert_eq!(stage.state("a"), State::Starting);
    stage.signals();
    stage.pass(1);
    assert_eq!(stage.state("a"), State::Stopping);
    assert!(stage.signals().iter().any(|(_, number)| *number == 15));
    stage.pass(10_000);
    assert!(stage.signals().iter().any(|(_, number)| *number == 9));
    stage.end(run, signal(9));
    assert_eq!(stage.state("a"), State::Failed);
    assert!(matches!(
        stage.outcome(request, "a"),
        Some(Outcome::Failed {
            failure: Failure::StartTimeout {
                limit_ms: 90_000,
                ..
            },
            ..
        })
    ));
}

#[test]
fn reload_runs_its_commands_and_the_service_runs_on() {
    let mut stage = Stage::new(vec![with(service("a"), |s| {
        s.reload = vec![exec("/one"), exec("/two")].into();
    })]);
    stage.bring_up("a");
    let request = stage.ask(Verb::Reload, &["a"]);
    assert_eq!(stage.state("a"), State::Reloading);
    stage.succeed("a", Role::Reload);
    stage.succeed("a", Role::Reload);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Reloaded));
    let request = stage.ask(Verb::Reload, &["a"]);
    let run = stage.launch("a", Role::Reload);
    stage.end(run, Ending::Code(1));
    assert!(matches!(
        stage.outcome(request, "a"),
        Some(Outcome::Failed { .. })
    ));
    assert_eq!(
        stage.state("a"),
        State::Running,
        "a failed reload stops nothing"
    );
}

#[test]
fn reload_needs_a_command_and_a_running_service() {
    let mut stage = Stage::new(vec![service("a")]);
    stage.bring_up("a");
    let request = stage.ask(Verb::Reload, &["a"]);
    let reason = Impossible::NoReload;
    assert_eq!(
        stage.outcome(request, "a"),
        Some(Outcome::Impossible { reason })
    );
    stage.stop("a");
    let request = stage.ask(Verb::Reload, &["a"]);
    let reason = Impossible::NotRunning;
    assert_eq!(
        stage.outcome(request, "a"),
        Some(Outcome::Impossible { reason })
    );
}

#[test]
fn a_new_definition_waits_for_the_next_start() {
    let mut stage = Stage::new(vec![service("a")]);
    let run = stage.bring_up("a");
    stage.rewrite(with(service("a"), |s| {
        s.start_pre = vec![exec("/new")].into()
    }));
    let request = stage.ask(Verb::Restart(diakonos::engine::Scope::All), &["a"]);
    stage.end(run, signal(15));
    stage.succeed("a", Role::StartPre);
    stage.launch("a", Role::Start);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Started));
}

fn with_start_post() -> Unit {
    with(service("a"), |s| {
        s.start_post = vec![exec("/bin/after"), exec("/bin/last")].into()
    })
}

/// systemd's rule: what runs beside a main process that ends is not cut short.
#[test]
fn start_post_is_not_cut_short_when_the_main_process_ends() {
    let unit = with(with_start_post(), |s| s.restart.policy = Policy::OnFailure);
    let mut stage = Stage::new(vec![unit]);
    stage.start("a");
    let run = stage.launch("a", Role::Start);
    stage.launch("a", Role::StartPost);
    stage.signals();
    stage.end(run, Ending::Code(3));
    assert_eq!(stage.state("a"), State::Starting);
    assert_eq!(stage.signals(), []);
    stage.succeed_daemon();
    let first = stage.run("a", Role::StartPost);
    stage.end(first, Ending::Code(0));
    stage.succeed("a", Role::StartPost);
    assert_eq!(
        stage.state("a"),
        State::Backoff,
        "it failed, and is tried again"
    );
}

#[test]
fn a_main_process_that_ends_well_before_its_start_is_complete() {
    for (remains, state) in [(false, State::Completed), (true, State::Exited)] {
        let unit = with(with_start_post(), |s| {
            s.remain_after_exit = remains;
            s.stop = vec![exec("/bin/stop")].into();
        });
        let mut stage = Stage::new(vec![unit]);
        stage.start("a");
        let run = stage.launch("a", Role::Start);
        stage.end(run, Ending::Code(0));
        stage.succeed("a", Role::StartPost);
        stage.succeed("a", Role::StartPost);
        if !remains {
            stage.succeed("a", Role::Stop);
        }
        assert_eq!(stage.state("a"), state);
    }
}

#[test]
fn a_start_post_that_fails_beside_a_lost_main_process_has_failed_by_that() {
    let mut stage = Stage::new(vec![with_start_post()]);
    let request = stage.start("a");
    let run = stage.launch("a", Role::Start);
    stage.end(run, Ending::Code(3));
    let post = stage.launch("a", Role::StartPost);
    stage.end(post, Ending::Code(1));
    let Some(Outcome::Failed { failure, .. }) = stage.outcome(request, "a") else {
        panic!("{:?}", stage.answer(request));
    };
    let role = Role::Start;
    let ending = Ending::Code(3);
    assert_eq!(failure, Failure::Ended { role, ending });
}
