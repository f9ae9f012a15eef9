//! `freeze` and `thaw`.

use diakonos::engine::{
    Effect, Ending, Event, Failure, Impossible, Moment, Outcome, Role, State, UnitId, Verb,
};
use diakonos::unit::Kind;

use super::{Stage, signal, with};
use crate::units::{exec, name, service};

fn id(stage: &Stage) -> UnitId {
    stage.engine.id(&name("a")).expect("a known unit")
}

fn freeze(stage: &mut Stage) {
    let request = stage.ask(Verb::Freeze, &["a"]);
    let unit = id(stage);
    assert!(stage.fresh().contains(&Effect::Freeze { unit }));
    assert_eq!(stage.answer(request), None, "it takes a moment");
    stage.feed(Event::Frozen { unit });
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Frozen));
}

#[test]
fn a_frozen_service_is_up_and_can_be_thawed() {
    let mut stage = Stage::new(vec![service("a")]);
    stage.bring_up("a");
    freeze(&mut stage);
    assert_eq!(stage.state("a"), State::Running);
    assert!(stage.facts("a").frozen.is_some());
    let again = stage.ask(Verb::Freeze, &["a"]);
    assert_eq!(stage.outcome(again, "a"), Some(Outcome::Frozen));
    stage.fresh();
    let request = stage.ask(Verb::Thaw, &["a"]);
    let unit = id(&stage);
    assert!(stage.fresh().contains(&Effect::Thaw { unit }));
    assert!(
        stage.facts("a").frozen.is_some(),
        "it is one until it is thawed"
    );
    stage.feed(Event::Thawed { unit });
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Thawed));
    assert_eq!(stage.facts("a").frozen, None);
    let request = stage.ask(Verb::Thaw, &["a"]);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::Thawed));
}

#[test]
fn what_ends_a_run_thaws_it_before_anything_else() {
    let unit = with(service("a"), |s| s.stop = vec![exec("/bin/stop")].into());
    let mut stage = Stage::new(vec![unit]);
    let run = stage.bring_up("a");
    freeze(&mut stage);
    stage.fresh();
    stage.stop("a");
    let unit = id(&stage);
    let tells = |effect: &Effect| {
        matches!(
            effect,
            Effect::Save { .. } | Effect::Taken(_) | Effect::Publish(_)
        )
    };
    let first = stage.fresh().into_iter().find(|effect| !tells(effect));
    assert_eq!(first, Some(Effect::Thaw { unit }));
    stage.feed(Event::Thawed { unit });
    stage.succeed("a", Role::Stop);
    stage.end(run, signal(15));
    assert_eq!(stage.state("a"), State::Stopped);
    assert_eq!(stage.facts("a").frozen, None);
}

#[test]
fn a_main_process_that_is_killed_while_it_is_frozen_has_ended() {
    let mut stage = Stage::new(vec![service("a")]);
    let run = stage.bring_up("a");
    freeze(&mut stage);
    stage.fresh();
    stage.end(run, signal(9));
    let unit = id(&stage);
    assert!(stage.fresh().contains(&Effect::Thaw { unit }));
    stage.feed(Event::Thawed { unit });
    assert_eq!(stage.state("a"), State::Failed);
}

#[test]
fn a_frozen_service_stays_frozen_under_another_daemon() {
    let mut stage = Stage::new(vec![service("a")]);
    stage.bring_up("a");
    freeze(&mut stage);
    let since = stage.facts("a").frozen;
    stage.fresh();
    stage.pass(500);
    stage.succeed_daemon();
    let unit = id(&stage);
    assert!(stage.fresh().contains(&Effect::Freeze { unit }));
    stage.feed(Event::Frozen { unit });
    assert_eq!(stage.facts("a").frozen, since);
}

/// The daemon before has died between the order and the deed.
#[test]
fn a_stop_under_way_is_no_freeze_for_a_successor() {
    let mut stage = Stage::new(vec![service("a")]);
    stage.bring_up("a");
    freeze(&mut stage);
    stage.stop("a");
    stage.fresh();
    stage.succeed_daemon();
    let unit = id(&stage);
    let does = |effect: &Effect| !matches!(effect, Effect::Save { .. } | Effect::Publish(_));
    let first = stage.fresh().into_iter().find(does);
    assert_eq!(first, Some(Effect::Thaw { unit }));
}

#[test]
fn a_freeze_that_fails_is_undone_and_a_thaw_that_fails_is_not() {
    let mut stage = Stage::new(vec![service("a")]);
    stage.bring_up("a");
    let request = stage.ask(Verb::Freeze, &["a"]);
    let (unit, reason) = (id(&stage), "no".into());
    stage.fresh();
    stage.feed(Event::FreezeFailed { unit, reason });
    assert!(stage.fresh().contains(&Effect::Thaw { unit }));
    let failed = |outcome: Option<Outcome>| {
        matches!(outcome, Some(Outcome::Failed { failure: Failure::Recorded { text, .. }, .. })
            if &*text == "no")
    };
    assert!(failed(stage.outcome(request, "a")));
    stage.feed(Event::Thawed { unit });
    assert_eq!(stage.facts("a").frozen, None);

    freeze(&mut stage);
    let request = stage.ask(Verb::Thaw, &["a"]);
    let reason = "no".into();
    stage.feed(Event::ThawFailed { unit, reason });
    assert!(failed(stage.outcome(request, "a")));
    assert!(stage.facts("a").frozen.is_some());
}

#[test]
fn only_what_runs_and_does_nothing_else_can_be_frozen() {
    let oneshot = with(service("a"), |s| {
        s.kind = Kind::Oneshot;
        s.remain_after_exit = true;
    });
    let mut stage = Stage::new(vec![oneshot]);
    stage.start("a");
    let run = stage.launch("a", Role::Start);
    let request = stage.ask(Verb::Freeze, &["a"]);
    let reason = Impossible::NotRunning;
    let impossible = |reason| Some(Outcome::Impossible { reason });
    assert_eq!(stage.outcome(request, "a"), impossible(reason));
    let request = stage.ask(Verb::Thaw, &["a"]);
    assert_eq!(stage.outcome(request, "a"), impossible(reason));
    stage.end(run, Ending::Code(0));
    let request = stage.ask(Verb::Freeze, &["a"]);
    let reason = Impossible::NoProcess;
    assert_eq!(stage.outcome(request, "a"), impossible(reason));

    let unit = with(service("a"), |s| {
        s.reload = vec![exec("/bin/reload")].into()
    });
    let mut stage = Stage::new(vec![unit]);
    stage.bring_up("a");
    freeze(&mut stage);
    let request = stage.ask(Verb::Reload, &["a"]);
    let reason = Impossible::Frozen;
    assert_eq!(stage.outcome(request, "a"), impossible(reason));
    assert!(stage.facts("a").frozen > Some(Moment(0)));
}
