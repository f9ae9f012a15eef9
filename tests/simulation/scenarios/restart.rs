//! Automatic restarts: who gets one, when, and when no more.

use diakonos::engine::{Cause, Core, Effect, Ending, Failure, Outcome, Role, State, Verb};
use diakonos::unit::{Kind, Policy, Signal, Span, Unit};

use super::{Stage, edged, signal, with};
use crate::units::service;

fn policy(policy: Policy) -> Unit {
    with(service("a"), |s| s.restart.policy = policy)
}

/// What follows when the main process of a running service ends so.
fn after(unit: Unit, ending: Ending) -> State {
    let mut stage = Stage::new(vec![unit]);
    let run = stage.bring_up("a");
    stage.end(run, ending);
    stage.state("a")
}

/// The table of systemd.service(5): every value of `Restart=`, every way to end.
#[test]
fn the_table_of_restart_values() {
    let core = Ending::Signal {
        number: 11,
        core: Core::Dumped,
    };
    let endings = [
        Ending::Code(0),
        signal(15),
        signal(1),
        Ending::Code(1),
        Ending::Unknown,
        signal(9),
        core,
    ];
    let rows = [
        (Policy::No, [false; 7]),
        (Policy::Always, [true; 7]),
        (
            Policy::OnSuccess,
            [true, true, true, false, false, false, false],
        ),
        (
            Policy::OnFailure,
            [false, false, false, true, true, true, true],
        ),
        (
            Policy::OnAbnormal,
            [false, false, false, false, false, true, true],
        ),
        (
            Policy::OnAbort,
            [false, false, false, false, false, true, true],
        ),
        (Policy::OnWatchdog, [false; 7]),
    ];
    for (value, row) in rows {
        for (ending, restarts) in endings.iter().zip(row) {
            let clean =
                matches!(ending, Ending::Code(0)) || [signal(15), signal(1)].contains(ending);
            let expected = match (restarts, clean) {
                (true, _) => State::Backoff,
                (false, true) => State::Completed,
                (false, false) => State::Failed,
            };
            assert_eq!(
                after(policy(value), *ending),
                expected,
                "{value:?} after {ending:?}"
            );
        }
    }
}

/// The column "timeout": a start that takes too long.
#[test]
fn a_timeout_counts_for_always_failure_and_abnormal() {
    let rows = [
        (Policy::No, false),
        (Policy::Always, true),
        (Policy::OnSuccess, false),
        (Policy::OnFailure, true),
        (Policy::OnAbnormal, true),
        (Policy::OnAbort, false),
        (Policy::OnWatchdog, false),
    ];
    for (value, restarts) in rows {
        let mut stage = Stage::new(vec![with(policy(value), |s| s.kind = Kind::Forking)]);
        stage.start("a");
        let run = stage.launch("a", Role::Start);
        stage.pass(90_000);
        stage.end(run, signal(15));
        let expected = if restarts {
            State::Backoff
        } else {
            State::Failed
        };
        assert_eq!(stage.state("a"), expected, "{value:?}");
    }
}

#[test]
fn lists_of_statuses_come_before_the_policy() {
    let lists = |value| {
        with(policy(value), |s| {
            s.restart.success.codes.push(7);
            s.restart.prevent.codes.push(3);
            s.restart.prevent.codes.push(4);
            s.restart.force.codes.push(4);
            s.restart.force.codes.push(5);
            s.restart.force.signals.push(Signal::TERM);
        })
    };
    assert_eq!(after(lists(Policy::Always), Ending::Code(3)), State::Failed);
    assert_eq!(
        after(lists(Policy::Always), Ending::Code(4)),
        State::Failed,
        "prevent before force"
    );
    assert_eq!(after(lists(Policy::No), Ending::Code(5)), State::Backoff);
    assert_eq!(after(lists(Policy::No), signal(15)), State::Backoff);
    assert_eq!(
        after(lists(Policy::OnFailure), Ending::Code(7)),
        State::Completed
    );
    assert_eq!(
        after(lists(Policy::OnSuccess), Ending::Code(7)),
        State::Backoff
    );
}

#[test]
fn death_by_a_polite_signal_is_no_success_for_a_oneshot() {
    let unit = with(policy(Policy::No), |s| s.kind = Kind::Oneshot);
    let mut stage = Stage::new(vec![unit]);
    stage.start("a");
    let run = stage.launch("a", Role::Start);
    stage.end(run, signal(15));
    assert_eq!(stage.state("a"), State::Failed);
}

/// 100 ms, doubling, at most 60 s, each within ±10 %; no limit of tries.
#[test]
fn the_delay_grows_by_itself() {
    let mut stage = Stage::new(vec![policy(Policy::Always)]);
    let mut run = stage.bring_up("a");
    let mut expected = 100;
    for attempt in 1..=14 {
        stage.end(run, Ending::Code(1));
        assert_eq!(stage.state("a"), State::Backoff, "try {attempt}");
        let delay = stage.due_in("a").expect("a deadline");
        let reach = expected / 10;
        assert!(
            (expected - reach..=expected + reach).contains(&delay),
            "try {attempt}: {delay} ms, {expected} expected"
        );
        stage.pass(delay - 1);
        assert!(!stage.has_run("a", Role::Start), "not before its time");
        stage.pass(1);
        run = stage.launch("a", Role::Start);
        assert_eq!(stage.facts("a").restarts, attempt);
        expected = (expected * 2).min(60_000);
    }
}

#[test]
fn jitter_spreads_the_delays() {
    let mut delays = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut stage = Stage::new(vec![with(policy(Policy::Always), |s| {
            s.restart.delay = Some(Span::from_secs(10));
            s.restart.jitter = Some(50);
        })]);
        stage.engine = diakonos::engine::Engine::new(seed * 0x0123_4567_89AB_CDEF);
        let run = stage.bring_up("a");
        stage.end(run, Ending::Code(1));
        let delay = stage.due_in("a").expect("a deadline");
        assert!((5_000..=15_000).contains(&delay), "{delay}");
        delays.insert(delay);
    }
    assert!(delays.len() > 10, "{delays:?}");
}

#[test]
fn a_good_run_brings_the_delay_back() {
    let mut stage = Stage::new(vec![policy(Policy::Always)]);
    let mut run = stage.bring_up("a");
    for _ in 0..5 {
        stage.end(run, Ending::Code(1));
        stage.pass(10_000);
        run = stage.launch("a", Role::Start);
    }
    stage.pass(59_999);
    stage.end(run, Ending::Code(1));
    assert!(
        stage.due_in("a").expect("a deadline") > 2_000,
        "not yet a good run"
    );
    stage.pass(10_000);
    run = stage.launch("a", Role::Start);
    stage.pass(60_000);
    stage.end(run, Ending::Code(1));
    let delay = stage.due_in("a").expect("a deadline");
    assert!((90..=110).contains(&delay), "{delay}");
}

/// `RestartSec=` alone: the delay is fixed, and systemd's 5 starts in 10 s hold.
#[test]
fn a_fixed_delay_has_a_limit() {
    let unit = with(policy(Policy::Always), |s| {
        s.restart.delay = Some(Span::from_secs(1))
    });
    let mut stage = Stage::new(vec![unit]);
    let mut run = stage.bring_up("a");
    for attempt in 1..=5 {
        stage.end(run, Ending::Code(1));
        assert_eq!(stage.due_in("a"), Some(1000), "try {attempt}");
        stage.pass(1000);
        run = stage.launch("a", Role::Start);
    }
    stage.end(run, Ending::Code(1));
    assert_eq!(stage.state("a"), State::Failed, "the sixth within 10 s");
    let gave_up = stage.fresh().into_iter().any(|effect| {
        let Effect::Publish(change) = effect else {
            return false;
        };
        matches!(
            change.cause,
            Cause::Failed(Failure::StartLimit {
                burst: 5,
                interval_ms: 10_000,
                ..
            })
        )
    });
    assert!(gave_up, "giving up has a reason of its own");
    stage.bring_up("a");
    assert_eq!(
        stage.facts("a").starts,
        Vec::new(),
        "a start by hand clears the count"
    );
}

#[test]
fn slow_failures_stay_within_the_limit() {
    let unit = with(policy(Policy::Always), |s| {
        s.restart.delay = Some(Span::from_secs(1))
    });
    let mut stage = Stage::new(vec![unit]);
    let mut run = stage.bring_up("a");
    for _ in 0..20 {
        stage.pass(1_000);
        stage.end(run, Ending::Code(1));
        assert_eq!(stage.state("a"), State::Backoff);
        stage.pass(1_000);
        run = stage.launch("a", Role::Start);
    }
}

#[test]
fn starts_by_hand_never_count() {
    let unit = edged(policy(Policy::Always), |u| {
        u.start_limit.burst = Some(2);
        u.start_limit.interval = Some(Span::from_secs(100));
    });
    let mut stage = Stage::new(vec![unit]);
    for _ in 0..10 {
        let run = stage.bring_up("a");
        stage.stop("a");
        stage.end(run, signal(15));
        assert_eq!(stage.state("a"), State::Stopped);
    }
    let mut run = stage.bring_up("a");
    for _ in 0..2 {
        stage.end(run, Ending::Code(1));
        assert_eq!(stage.state("a"), State::Backoff);
        stage.pass(1_000);
        run = stage.launch("a", Role::Start);
    }
    stage.end(run, Ending::Code(1));
    assert_eq!(stage.state("a"), State::Failed);
    stage.ask(Verb::Reset, &["a"]);
    assert_ne!(stage.state("a"), State::Failed, "reset forgets the failure");
}

/// `RestartSec × (max ÷ RestartSec)^((i-1) ÷ N)`, and the maximum once i > N: systemd's example.
#[test]
fn steps_grow_by_systemds_formula() {
    let unit = with(
        edged(policy(Policy::Always), |u| {
            u.start_limit.interval = Some(Span::from_secs(0))
        }),
        |s| {
            s.restart.delay = Some(Span::from_secs(1));
            s.restart.steps = 4;
            s.restart.max_delay = Some(Span::from_secs(16));
        },
    );
    let mut stage = Stage::new(vec![unit]);
    let mut run = stage.bring_up("a");
    for expected in [1_000, 2_000, 4_000, 8_000, 16_000, 16_000] {
        stage.end(run, Ending::Code(1));
        assert_eq!(stage.due_in("a"), Some(expected));
        stage.pass(expected);
        run = stage.launch("a", Role::Start);
    }
}

/// systemd's `service_restart_usec_next`: a maximum that is no larger than the delay changes nothing.
#[test]
fn steps_below_the_delay_change_nothing() {
    for (delay, max) in [(5_000, 5_000), (5_000, 2_000), (0, 2_000)] {
        let unit = with(policy(Policy::Always), |s| {
            s.restart.delay = Some(Span::from_millis(delay));
            s.restart.steps = 3;
            s.restart.max_delay = Some(Span::from_millis(max));
        });
        let mut stage = Stage::new(vec![unit]);
        let mut run = stage.bring_up("a");
        for _ in 0..3 {
            stage.end(run, Ending::Code(1));
            // No delay at all is one turn of the loop.
            assert_eq!(stage.due_in("a"), Some(delay.max(1)), "{delay} {max}");
            stage.pass(delay.max(1));
            run = stage.launch("a", Role::Start);
        }
    }
}

#[test]
fn a_start_by_hand_cuts_the_delay_short() {
    let mut stage = Stage::new(vec![policy(Policy::Always)]);
    let run = stage.bring_up("a");
    stage.end(run, Ending::Code(1));
    assert_eq!(stage.state("a"), State::Backoff);
    let request = stage.start("a");
    stage.launch("a", Role::Start);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Started));
    assert_eq!(stage.facts("a").restarts, 0);
}

#[test]
fn a_restart_cuts_the_delay_short() {
    let mut stage = Stage::new(vec![policy(Policy::Always)]);
    let run = stage.bring_up("a");
    stage.end(run, Ending::Code(1));
    let request = stage.ask(Verb::Restart(diakonos::engine::Scope::All), &["a"]);
    stage.launch("a", Role::Start);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Started));
}

#[test]
fn a_stop_ends_the_backing_off() {
    let mut stage = Stage::new(vec![policy(Policy::Always)]);
    let run = stage.bring_up("a");
    stage.end(run, Ending::Code(1));
    let request = stage.stop("a");
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Stopped));
    assert_eq!(stage.state("a"), State::Stopped);
    stage.pass(1_000_000);
    assert_eq!(stage.state("a"), State::Stopped);
}

#[test]
fn a_process_that_ends_while_it_is_stopped_is_not_restarted() {
    let mut stage = Stage::new(vec![policy(Policy::Always)]);
    let run = stage.bring_up("a");
    stage.stop("a");
    stage.end(run, Ending::Code(1));
    stage.pass(1_000_000);
    assert!(matches!(stage.state("a"), State::Stopped | State::Failed));
    assert!(!stage.has_run("a", Role::Start));
}

/// A missing program does not appear by waiting; no memory may.
#[test]
fn hopeless_and_passing_spawn_failures() {
    let mut stage = Stage::new(vec![policy(Policy::Always)]);
    let request = stage.start("a");
    stage.cannot_spawn("a", Role::Start, 2);
    assert_eq!(stage.state("a"), State::Failed);
    assert!(matches!(
        stage.outcome(request, "a"),
        Some(Outcome::Failed {
            failure: Failure::Spawn { .. },
            retry_ms: None
        })
    ));
    let mut stage = Stage::new(vec![policy(Policy::Always)]);
    stage.start("a");
    stage.cannot_spawn("a", Role::Start, 12);
    assert_eq!(stage.state("a"), State::Backoff);
}

/// No delay and no limit: each try still ends with a deadline, so that the shell's loop turns between two of them.
#[test]
fn without_a_delay_the_loop_still_turns() {
    let mut stage = Stage::new(vec![with(policy(Policy::Always), |s| {
        s.restart.delay = Some(Span::from_millis(0));
    })]);
    let run = stage.bring_up("a");
    stage.end(run, Ending::Code(1));
    assert_eq!(stage.state("a"), State::Backoff);
    assert_eq!(stage.due_in("a"), Some(1));
    stage.pass(1);
    assert_eq!(stage.state("a"), State::Starting);
}
