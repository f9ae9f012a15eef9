//! The way down: signals, time limits, `KillMode=`, `ExecStop=` and `ExecStopPost=`.

use diakonos::engine::{
    Ending, Failure, Notice, Outcome, Role, RunResult, Scope, State, Target, Verb,
};
use diakonos::unit::{KillMode, Signal, Span, Unit};

use super::{Stage, signal, with};
use crate::units::{exec, service};

fn mode(mode: KillMode) -> Unit {
    with(service("a"), |s| s.kill.mode = mode)
}

#[test]
fn sigterm_then_sigcont_then_sigkill() {
    let mut stage = Stage::new(vec![service("a")]);
    let run = stage.bring_up("a");
    stage.signals();
    let request = stage.stop("a");
    assert_eq!(stage.signals(), [(Target::Group, 15), (Target::Group, 18)]);
    let kill_at = Some(stage.now.plus_ms(10_000));
    let unit = crate::units::name("a");
    assert!(stage.notices(request).contains(&Notice::Stopping {
        unit: unit.clone(),
        kill_at,
        last: Signal::KILL,
    }));
    stage.pass(9_999);
    assert_eq!(stage.signals(), []);
    stage.pass(1);
    assert_eq!(stage.signals(), [(Target::Group, 9)]);
    assert!(stage.notices(request).contains(&Notice::Killing {
        unit,
        last: Signal::KILL
    }));
    stage.end(run, signal(9));
    assert!(stage.answer(request).is_some());
    assert!(!matches!(stage.state("a"), State::Stopping));
}

#[test]
fn the_kill_signal_can_be_another_one() {
    let mut stage = Stage::new(vec![with(service("a"), |s| s.kill.signal = Signal::INT)]);
    stage.bring_up("a");
    stage.signals();
    stage.stop("a");
    assert_eq!(stage.signals(), [(Target::Group, 2), (Target::Group, 18)]);
}

/// systemd.kill(5): `RestartKillSignal=` is for a restart that somebody asked for, and for its first signal only.
#[test]
fn a_restart_can_have_a_signal_of_its_own() {
    let unit = with(service("a"), |s| {
        s.kill.restart_signal = Signal::from_number(10);
        s.stop_post = vec![exec("/bin/after")].into();
    });
    let mut stage = Stage::new(vec![unit]);
    let run = stage.bring_up("a");
    stage.signals();
    stage.ask(Verb::Restart(Scope::All), &["a"]);
    assert_eq!(stage.signals(), [(Target::Group, 10), (Target::Group, 18)]);
    stage.end(run, signal(10));
    stage.crowd("a");
    stage.succeed("a", Role::StopPost);
    assert_eq!(stage.signals(), [(Target::Group, 15), (Target::Group, 18)]);
    stage.uncrowd("a");
    stage.launch("a", Role::Start);
    assert_eq!(stage.state("a"), State::Running);
    stage.signals();
    stage.stop("a");
    assert_eq!(stage.signals(), [(Target::Group, 15), (Target::Group, 18)]);
}

#[test]
fn a_sighup_can_follow_and_the_last_signal_can_be_another_one() {
    let unit = with(service("a"), |s| {
        s.kill.send_sighup = true;
        s.kill.final_signal = Signal::INT;
    });
    let mut stage = Stage::new(vec![unit]);
    stage.bring_up("a");
    stage.signals();
    stage.stop("a");
    let gentle = [15, 18, 1].map(|number| (Target::Group, number));
    assert_eq!(stage.signals(), gentle);
    stage.pass(10_000);
    assert_eq!(stage.signals(), [(Target::Group, 2)]);
}

/// A second shutdown does not wait for a core dump either.
#[test]
fn who_is_in_a_hurry_sends_sigkill() {
    let unit = with(service("a"), |s| s.kill.final_signal = Signal::INT);
    let mut stage = Stage::new(vec![unit]);
    stage.bring_up("a");
    stage.ask(Verb::Shutdown, &[]);
    stage.signals();
    stage.ask(Verb::Shutdown, &[]);
    assert_eq!(stage.signals(), [(Target::Group, 9)]);
}

#[test]
fn a_stop_waits_until_nothing_is_left() {
    let mut stage = Stage::new(vec![service("a")]);
    let run = stage.bring_up("a");
    stage.crowd("a");
    let request = stage.stop("a");
    stage.end(run, signal(15));
    assert_eq!(stage.state("a"), State::Stopping);
    stage.pass(10_000);
    assert!(stage.signals().contains(&(Target::Group, 9)));
    stage.uncrowd("a");
    assert!(stage.answer(request).is_some());
}

#[test]
fn mixed_terms_the_main_process_and_kills_the_rest() {
    let mut stage = Stage::new(vec![mode(KillMode::Mixed)]);
    let run = stage.bring_up("a");
    stage.crowd("a");
    stage.signals();
    let request = stage.stop("a");
    assert_eq!(
        stage.signals(),
        [(Target::Run(run), 15), (Target::Run(run), 18)]
    );
    stage.end(run, signal(15));
    assert_eq!(stage.signals(), [(Target::Group, 9)]);
    // It has stopped in time.
    let is_warned = |notice: &Notice| matches!(notice, Notice::Killing { .. });
    assert!(!stage.notices(request).iter().any(is_warned));
    stage.uncrowd("a");
    assert_eq!(stage.state("a"), State::Stopped);
}

#[test]
fn process_leaves_the_rest_alone() {
    let mut stage = Stage::new(vec![mode(KillMode::Process)]);
    let run = stage.bring_up("a");
    stage.crowd("a");
    stage.signals();
    stage.stop("a");
    assert_eq!(
        stage.signals(),
        [(Target::Run(run), 15), (Target::Run(run), 18)]
    );
    stage.end(run, signal(15));
    assert_eq!(stage.state("a"), State::Stopped);
    assert_eq!(stage.signals(), []);
}

#[test]
fn none_kills_nobody() {
    let mut stage = Stage::new(vec![mode(KillMode::None)]);
    stage.bring_up("a");
    stage.signals();
    let request = stage.stop("a");
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Stopped));
    assert_eq!(stage.signals(), []);
}

/// features 4.5: without SIGKILL and with processes left there is no automatic restart over them.
#[test]
fn without_sigkill_what_remains_is_said() {
    let unit = with(service("a"), |s| {
        s.kill.send_sigkill = false;
        s.restart.policy = diakonos::unit::Policy::Always;
    });
    let mut stage = Stage::new(vec![unit]);
    let run = stage.bring_up("a");
    stage.crowd("a");
    stage.end(run, Ending::Code(1));
    stage.pass(10_000);
    assert!(!stage.signals().iter().any(|(_, number)| *number == 9));
    assert_eq!(stage.state("a"), State::Failed);
    stage.pass(1_000_000);
    assert_eq!(
        stage.state("a"),
        State::Failed,
        "nothing is started beside what is left"
    );
}

#[test]
fn an_infinite_limit_never_kills() {
    let mut stage = Stage::new(vec![with(service("a"), |s| {
        s.timeout_stop = Span::Infinite
    })]);
    let run = stage.bring_up("a");
    let request = stage.stop("a");
    stage.pass(100_000_000);
    assert_eq!(stage.answer(request), None);
    assert!(!stage.signals().iter().any(|(_, number)| *number == 9));
    stage.end(run, signal(15));
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Stopped));
}

fn with_stop() -> Unit {
    with(service("a"), |s| {
        s.stop = vec![exec("/stop"), exec("/more")].into();
        s.stop_post = vec![exec("/clean")].into();
    })
}

#[test]
fn stop_commands_come_before_the_signals_and_clean_up_after() {
    let mut stage = Stage::new(vec![with_stop()]);
    let run = stage.bring_up("a");
    stage.signals();
    let request = stage.stop("a");
    let spawn = stage.spawn_of("a", Role::Stop);
    assert!(spawn.main_pid.is_some());
    stage.succeed("a", Role::Stop);
    assert_eq!(stage.signals(), []);
    stage.succeed("a", Role::Stop);
    assert_eq!(stage.signals(), [(Target::Group, 15), (Target::Group, 18)]);
    stage.end(run, signal(15));
    let spawn = stage.spawn_of("a", Role::StopPost);
    let result = RunResult {
        service_result: "success",
        ending: Some(signal(15)),
    };
    assert_eq!(spawn.result, Some(result));
    stage.succeed("a", Role::StopPost);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Stopped));
    assert_eq!(stage.state("a"), State::Stopped);
}

#[test]
fn stop_commands_run_also_when_the_service_ended_by_itself() {
    let mut stage = Stage::new(vec![with_stop()]);
    let run = stage.bring_up("a");
    stage.end(run, Ending::Code(3));
    stage.succeed("a", Role::Stop);
    stage.succeed("a", Role::Stop);
    let result = RunResult {
        service_result: "exit-code",
        ending: Some(Ending::Code(3)),
    };
    assert_eq!(stage.spawn_of("a", Role::StopPost).result, Some(result));
    stage.succeed("a", Role::StopPost);
    assert_eq!(stage.state("a"), State::Failed);
}

#[test]
fn a_start_that_failed_has_only_the_clean_up() {
    let mut stage = Stage::new(vec![with_stop()]);
    stage.start("a");
    stage.cannot_spawn("a", Role::Start, 2);
    assert!(
        !stage.has_run("a", Role::Stop),
        "ExecStop= is for starts that succeeded"
    );
    let spawn = stage.spawn_of("a", Role::StopPost);
    assert_eq!(
        spawn.result.map(|result| result.service_result),
        Some("resources")
    );
    stage.succeed("a", Role::StopPost);
    assert_eq!(stage.state("a"), State::Failed);
}

#[test]
fn a_stop_command_that_takes_too_long_gives_way_to_the_signals() {
    let mut stage = Stage::new(vec![with_stop()]);
    let run = stage.bring_up("a");
    let request = stage.stop("a");
    let command = stage.launch("a", Role::Stop);
    stage.signals();
    stage.pass(10_000);
    assert_eq!(stage.signals(), [(Target::Group, 15), (Target::Group, 18)]);
    stage.end(command, signal(15));
    stage.end(run, signal(15));
    assert_eq!(
        stage
            .spawn_of("a", Role::StopPost)
            .result
            .map(|r| r.service_result),
        Some("timeout")
    );
    stage.succeed("a", Role::StopPost);
    assert!(stage.answer(request).is_some());
}

#[test]
fn a_start_that_took_too_long_says_so_to_the_clean_up() {
    let mut stage = Stage::new(vec![with(with_stop(), |s| {
        s.kind = diakonos::unit::Kind::Forking
    })]);
    let request = stage.start("a");
    let run = stage.launch("a", Role::Start);
    stage.pass(90_000);
    stage.end(run, signal(15));
    let result = RunResult {
        service_result: "timeout",
        ending: Some(signal(15)),
    };
    assert_eq!(stage.spawn_of("a", Role::StopPost).result, Some(result));
    stage.succeed("a", Role::StopPost);
    assert!(matches!(
        stage.outcome(request, "a"),
        Some(Outcome::Failed {
            failure: Failure::StartTimeout { .. },
            ..
        })
    ));
}

/// After SIGKILL the kernel needs its time, however short the unit's own limit is.
#[test]
fn a_short_limit_does_not_shorten_the_wait_after_sigkill() {
    let mut stage = Stage::new(vec![with(service("a"), |s| {
        s.timeout_stop = Span::from_millis(200);
    })]);
    let run = stage.bring_up("a");
    let request = stage.stop("a");
    stage.pass(200);
    assert!(stage.signals().contains(&(Target::Group, 9)));
    stage.pass(9_999);
    assert_eq!(stage.answer(request), None, "it is still waited for");
    stage.end(run, signal(9));
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Stopped));
}

/// systemd.kill(5): `SendSIGKILL=no` holds for what `KillMode=mixed` leaves, too.
#[test]
fn mixed_without_sigkill_leaves_the_rest() {
    let unit = with(mode(KillMode::Mixed), |s| s.kill.send_sigkill = false);
    let mut stage = Stage::new(vec![unit]);
    let run = stage.bring_up("a");
    stage.crowd("a");
    let request = stage.stop("a");
    stage.end(run, signal(15));
    stage.pass(10_000);
    assert!(!stage.signals().iter().any(|(_, number)| *number == 9));
    assert!(matches!(
        stage.outcome(request, "a"),
        Some(Outcome::Failed {
            failure: Failure::Remains,
            ..
        })
    ));
}

/// A predecessor's process is not our child: how it ended may be unknown, but a stop that was asked for has worked.
#[test]
fn an_unknown_end_after_a_stop_is_a_stop() {
    let mut stage = Stage::new(vec![service("a")]);
    let run = stage.bring_up("a");
    let request = stage.stop("a");
    stage.end(run, Ending::Unknown);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Stopped));
    assert_eq!(stage.state("a"), State::Stopped);

    let run = stage.bring_up("a");
    stage.stop("a");
    stage.pass(10_000);
    stage.end(run, Ending::Unknown);
    assert_eq!(stage.state("a"), State::Failed, "it had to be killed");

    let run = stage.bring_up("a");
    stage.end(run, Ending::Unknown);
    assert_eq!(stage.state("a"), State::Failed, "nobody asked");
}
