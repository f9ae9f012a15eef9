//! A running service's own words, and its silence.

use std::time::Duration;

use diakonos::engine::{Ending, Event, Failure, Outcome, Role, State, Target, Verb, Word};
use diakonos::unit::{Kind, Oversight, Policy, Readiness, Signal, Span, Unit};

use super::{Stage, signal, with};
use crate::units::{exec, name, service};

fn overseen(change: impl FnOnce(&mut Oversight)) -> Unit {
    with(service("a"), |s| {
        let mut oversight = Oversight::default();
        change(&mut oversight);
        s.oversight = Some(Box::new(oversight));
    })
}

fn watched() -> Unit {
    overseen(|o| {
        o.watchdog = Some(Duration::from_secs(30));
        o.timeout_abort = Some(Span::from_secs(5));
    })
}

fn reloads_by_signal() -> Unit {
    with(overseen(|o| o.reload_signal = Signal::USR1), |s| {
        s.kind = Kind::NotifyReload;
        s.readiness = Readiness::Notify;
    })
}

impl Stage {
    fn say(&mut self, unit: &str, word: Word) {
        let unit = self.engine.id(&name(unit)).expect("a known unit");
        self.feed(Event::Said { unit, word });
    }

    /// For how long it has been as it shows.
    fn shown_for(&self, unit: &str) -> u64 {
        let id = self.engine.id(&name(unit)).expect("a known unit");
        let view = self.engine.view(id).expect("a view of a known unit");
        self.now.since_ms(view.since)
    }
}

fn phase(stage: &Stage, unit: &str) -> &'static str {
    stage.facts(unit).phase.word()
}

#[test]
fn a_watchdog_that_is_served_never_bites() {
    let mut stage = Stage::new(vec![watched()]);
    stage.bring_up("a");
    for _ in 0..10 {
        stage.pass(29_000);
        stage.say("a", Word::Alive);
    }
    assert_eq!(stage.state("a"), State::Running);
}

#[test]
fn a_watchdog_that_is_not_served_bites_with_its_own_signal_and_patience() {
    let unit = with(watched(), |s| {
        s.stop = vec![exec("/bin/stop")].into();
        s.restart.policy = Policy::OnWatchdog;
    });
    let mut stage = Stage::new(vec![unit]);
    let run = stage.bring_up("a");
    stage.crowd("a");
    stage.signals();
    stage.pass(30_000);
    assert_eq!(phase(&stage, "a"), "stop-watchdog");
    assert!(!stage.has_run("a", Role::Stop), "what hangs is not asked");
    assert_eq!(
        stage.signals(),
        [(Target::Group, 6), (Target::Group, 18)],
        "SIGABRT, and it may have been stopped"
    );
    stage.pass(5_000);
    assert_eq!(phase(&stage, "a"), "stop-sigkill");
    stage.end(run, signal(9));
    stage.uncrowd("a");
    assert_eq!(stage.state("a"), State::Backoff);
}

#[test]
fn a_watchdog_begins_anew_under_another_daemon_and_can_be_changed() {
    let mut stage = Stage::new(vec![watched()]);
    stage.bring_up("a");
    stage.say("a", Word::WatchdogLimit { ms: 60_000 });
    stage.pass(59_000);
    stage.succeed_daemon();
    stage.pass(59_000);
    assert_eq!(stage.state("a"), State::Running);
    stage.say("a", Word::WatchdogLimit { ms: 0 });
    stage.pass(1_000_000);
    assert_eq!(stage.state("a"), State::Running);
}

#[test]
fn the_longest_time_to_run_counts_under_another_daemon_and_is_extended() {
    let unit = overseen(|o| o.runtime_max = Span::from_secs(100));
    let mut stage = Stage::new(vec![unit]);
    let run = stage.bring_up("a");
    stage.pass(90_000);
    stage.succeed_daemon();
    stage.say("a", Word::Extend { ms: 20_000 });
    stage.pass(19_000);
    assert_eq!(stage.state("a"), State::Running);
    stage.pass(1_000);
    assert_eq!(phase(&stage, "a"), "stop-sigterm");
    stage.end(run, signal(15));
    assert_eq!(stage.state("a"), State::Failed, "its time is a time limit");
}

#[test]
fn a_reload_by_signal_waits_for_both_words() {
    let mut stage = Stage::new(vec![reloads_by_signal()]);
    stage.start("a");
    let run = stage.launch("a", Role::Start);
    stage.feed(Event::Ready { run });
    stage.signals();
    let request = stage.ask(Verb::Reload, &["a"]);
    assert_eq!(stage.signals(), [(Target::Run(run), 10)]);
    stage.feed(Event::Ready { run });
    assert_eq!(phase(&stage, "a"), "reload-signal");
    stage.say("a", Word::Reloading { begun: None });
    assert_eq!(phase(&stage, "a"), "reload-notify");
    stage.feed(Event::Ready { run });
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Reloaded));
    assert_eq!(stage.state("a"), State::Running);
}

#[test]
fn a_reload_whose_daemon_died_is_asked_for_once_more_and_has_its_limit() {
    let mut stage = Stage::new(vec![reloads_by_signal()]);
    stage.start("a");
    let run = stage.launch("a", Role::Start);
    stage.feed(Event::Ready { run });
    stage.ask(Verb::Reload, &["a"]);
    stage.signals();
    stage.succeed_daemon();
    assert_eq!(stage.signals(), [(Target::Run(run), 10)]);
    stage.pass(90_000);
    assert_eq!(
        stage.state("a"),
        State::Running,
        "a failed reload harms nobody"
    );
}

#[test]
fn a_reload_does_not_begin_the_time_it_is_up_anew() {
    let mut stage = Stage::new(vec![with(service("a"), |s| {
        s.reload = vec![exec("/bin/reload")].into();
    })]);
    stage.bring_up("a");
    for code in [0, 1] {
        stage.ask(Verb::Reload, &["a"]);
        let run = stage.launch("a", Role::Reload);
        stage.pass(1_000);
        assert_eq!(stage.state("a"), State::Reloading);
        stage.end(run, Ending::Code(code));
        stage.pass(1_000);
        stage.succeed_daemon();
        assert_eq!(stage.state("a"), State::Running);
    }
    assert_eq!(stage.shown_for("a"), 4_000);
    stage.say("a", Word::Reloading { begun: None });
    stage.pass(1_000);
    assert_eq!(stage.shown_for("a"), 5_000);
    stage.stop("a");
    stage.pass(100);
    assert_eq!(stage.state("a"), State::Stopping);
    assert_eq!(stage.shown_for("a"), 100);
}

#[test]
fn a_start_whose_time_was_extended_fails_with_the_time_it_really_had() {
    let mut stage = Stage::new(vec![with(reloads_by_signal(), |s| {
        s.timeout_start = Span::from_secs(2);
    })]);
    let request = stage.start("a");
    let run = stage.launch("a", Role::Start);
    stage.pass(1_513);
    stage.say("a", Word::Extend { ms: 1_000 });
    stage.pass(500);
    stage.say("a", Word::Extend { ms: 1_000 });
    stage.pass(1_000);
    stage.end(run, signal(15));
    let Some(Outcome::Failed { failure, .. }) = stage.outcome(request, "a") else {
        panic!("it was not ready");
    };
    let text = failure.to_string();
    assert!(text.starts_with("not ready within 3 s: "), "{text}");
}

#[test]
fn a_service_that_hangs_in_its_reload_ends_both() {
    let mut stage = Stage::new(vec![reloads_by_signal()]);
    stage.start("a");
    let run = stage.launch("a", Role::Start);
    stage.feed(Event::Ready { run });
    let request = stage.ask(Verb::Reload, &["a"]);
    stage.say("a", Word::Hung);
    let failure = Failure::Watchdog { limit_ms: None };
    let retry_ms = None;
    assert_eq!(
        stage.outcome(request, "a"),
        Some(Outcome::Failed { failure, retry_ms })
    );
    stage.end(run, signal(6));
    assert_eq!(stage.state("a"), State::Failed);
}

#[test]
fn a_service_that_says_that_it_goes_is_left_alone_until_its_limit() {
    let unit = with(service("a"), |s| s.stop = vec![exec("/bin/stop")].into());
    for ends in [true, false] {
        let mut stage = Stage::new(vec![unit.clone()]);
        let run = stage.bring_up("a");
        stage.signals();
        stage.say("a", Word::Stopping);
        assert_eq!(stage.state("a"), State::Stopping);
        stage.succeed_daemon();
        assert_eq!(phase(&stage, "a"), "stop-notify");
        assert_eq!(stage.signals(), []);
        if ends {
            stage.end(run, Ending::Code(0));
            assert_eq!(stage.state("a"), State::Completed);
        } else {
            stage.pass(10_000);
            assert_eq!(phase(&stage, "a"), "stop-sigkill");
            stage.end(run, signal(9));
            assert_eq!(stage.state("a"), State::Failed);
        }
        assert!(!stage.has_run("a", Role::Stop));
    }
}
