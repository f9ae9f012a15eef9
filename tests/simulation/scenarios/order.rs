//! Who starts and stops when, and whom it takes along.

use diakonos::engine::{
    Answer, Cause, Ending, Event, Failure, Notice, Outcome, Refusal, Role, Scope, State, Verb,
};
use diakonos::unit::{Policy, Unit};

use super::{Stage, edged, signal, with};
use crate::units::{exec, group, name, service};

fn requires(unit: Unit, other: &str) -> Unit {
    edged(unit, |u| u.requires.push(name(other)))
}

fn after(unit: Unit, other: &str) -> Unit {
    edged(unit, |u| u.after.push(name(other)))
}

fn needs(unit: Unit, other: &str) -> Unit {
    after(requires(unit, other), other)
}

/// web needs database.
fn pair() -> Vec<Unit> {
    vec![needs(service("web"), "database"), service("database")]
}

fn pair_up() -> (Stage, diakonos::engine::RunId, diakonos::engine::RunId) {
    let mut stage = Stage::new(pair());
    stage.start("web");
    let database = stage.launch("database", Role::Start);
    let web = stage.launch("web", Role::Start);
    (stage, web, database)
}

#[test]
fn a_start_pulls_in_what_is_required_and_waits_for_it() {
    let mut stage = Stage::new(pair());
    let request = stage.start("web");
    assert_eq!(stage.state("web"), State::Waiting);
    assert_eq!(stage.waits_for("web"), ["database"]);
    let told = Notice::AlsoStarts {
        unit: name("database"),
        cause: Cause::RequiredBy(name("web")),
    };
    assert!(stage.notices(request).contains(&told));
    stage.launch("database", Role::Start);
    assert_eq!(stage.state("web"), State::Starting);
    stage.launch("web", Role::Start);
    assert_eq!(stage.outcome(request, "web"), Some(Outcome::Started));
    assert_eq!(stage.started(), ["database", "web"]);
}

#[test]
fn without_order_both_start_at_once() {
    let mut stage = Stage::new(vec![
        requires(service("web"), "database"),
        service("database"),
    ]);
    stage.start("web");
    assert!(stage.has_run("web", Role::Start) && stage.has_run("database", Role::Start));
}

#[test]
fn before_is_after_turned_round() {
    let first = edged(service("first"), |u| u.before.push(name("second")));
    let mut stage = Stage::new(vec![first, service("second")]);
    stage.ask(Verb::Start, &["second", "first"]);
    assert_eq!(stage.waits_for("second"), ["first"]);
    stage.launch("first", Role::Start);
    assert!(stage.has_run("second", Role::Start));
}

#[test]
fn order_alone_pulls_nothing_in() {
    let mut stage = Stage::new(vec![after(service("web"), "database"), service("database")]);
    stage.start("web");
    assert_eq!(stage.started(), ["web"]);
    assert_eq!(stage.state("database"), State::Stopped);
}

#[test]
fn a_failed_requirement_fails_who_waits_for_it() {
    let mut stage = Stage::new(pair());
    let request = stage.start("web");
    stage.cannot_spawn("database", Role::Start, 2);
    assert_eq!(stage.state("database"), State::Failed);
    assert_eq!(stage.state("web"), State::Failed);
    let Some(Outcome::Failed { failure, retry_ms }) = stage.outcome(request, "web") else {
        panic!("{:?}", stage.answer(request));
    };
    assert_eq!(retry_ms, None);
    assert!(matches!(failure, Failure::Dependency { on, .. } if on == name("database")));
    assert!(!stage.has_run("web", Role::Start));
}

#[test]
fn a_failed_wish_is_no_obstacle() {
    let web = after(
        edged(service("web"), |u| u.wants.push(name("cache"))),
        "cache",
    );
    let mut stage = Stage::new(vec![web, service("cache")]);
    let request = stage.start("web");
    assert_eq!(stage.state("web"), State::Waiting);
    stage.cannot_spawn("cache", Role::Start, 2);
    stage.launch("web", Role::Start);
    assert_eq!(stage.outcome(request, "web"), Some(Outcome::Started));
}

#[test]
fn a_missing_wish_is_a_warning_and_a_missing_requirement_a_refusal() {
    let web = edged(service("web"), |u| u.wants.push(name("ghost")));
    let mut stage = Stage::new(vec![web]);
    let request = stage.start("web");
    assert!(matches!(
        stage.notices(request)[..],
        [Notice::Warning { .. }, ..]
    ));
    assert!(stage.has_run("web", Role::Start));
    let mut stage = Stage::new(vec![requires(service("web"), "ghost")]);
    let request = stage.start("web");
    assert!(matches!(
        stage.answer(request),
        Some(Answer::Refused(Refusal::Missing { unit, .. })) if unit == name("ghost")
    ));
    assert_eq!(stage.started(), [""; 0]);
}

#[test]
fn a_cycle_is_refused_whole() {
    let ring = vec![
        after(service("a"), "b"),
        after(service("b"), "c"),
        after(service("c"), "a"),
    ];
    let mut stage = Stage::new(ring);
    let request = stage.ask(Verb::Start, &["a", "b", "c"]);
    let Some(Answer::Refused(Refusal::Cycle(cycle))) = stage.answer(request) else {
        panic!("{:?}", stage.answer(request));
    };
    assert_eq!(cycle.len(), 4);
    assert_eq!(cycle.first(), cycle.last());
}

/// The second trap of features 4.3: a dependency that fails once and comes up then takes its dependents up with it.
#[test]
fn a_dependency_in_automatic_restart_keeps_its_dependents_waiting() {
    let database = with(service("database"), |s| {
        s.restart.policy = Policy::OnFailure
    });
    let web = needs(service("web"), "database");
    let mut stage = Stage::new(vec![web, database]);
    let request = stage.start("web");
    for _ in 0..3 {
        stage.cannot_spawn("database", Role::Start, 12);
        assert_eq!(stage.state("database"), State::Backoff);
        assert_eq!(stage.state("web"), State::Waiting);
        assert_eq!(stage.answer(request), None);
        stage.pass(1_000);
    }
    stage.launch("database", Role::Start);
    stage.launch("web", Role::Start);
    assert_eq!(stage.outcome(request, "web"), Some(Outcome::Started));
}

#[test]
fn they_fail_when_it_gives_up() {
    let database = edged(
        with(service("database"), |s| {
            s.restart.policy = Policy::OnFailure
        }),
        |u| u.start_limit.burst = Some(2),
    );
    let mut stage = Stage::new(vec![needs(service("web"), "database"), database]);
    let request = stage.start("web");
    for _ in 0..3 {
        assert_eq!(stage.state("web"), State::Waiting);
        stage.cannot_spawn("database", Role::Start, 12);
        stage.pass(500);
    }
    assert_eq!(stage.state("database"), State::Failed);
    assert_eq!(stage.state("web"), State::Failed);
    assert!(matches!(
        stage.outcome(request, "web"),
        Some(Outcome::Failed { .. })
    ));
}

#[test]
fn a_requirement_that_fails_later_leaves_its_dependents_alone() {
    let (mut stage, _, database) = pair_up();
    stage.end(database, Ending::Code(1));
    assert_eq!(stage.state("database"), State::Failed);
    assert_eq!(stage.state("web"), State::Running);
}

#[test]
fn a_stop_takes_dependents_along_in_reverse_order() {
    let (mut stage, web, database) = pair_up();
    let request = stage.stop("database");
    assert_eq!(stage.state("web"), State::Stopping);
    assert_eq!(
        stage.signals().len(),
        2,
        "only web is told: SIGTERM and SIGCONT"
    );
    stage.end(web, signal(15));
    assert_eq!(stage.state("web"), State::Stopped);
    assert_eq!(stage.answer(request), None);
    assert_eq!(stage.signals().len(), 2, "now database is told");
    stage.end(database, signal(15));
    let Some(Answer::Outcomes(outcomes)) = stage.answer(request) else {
        panic!("no answer");
    };
    assert_eq!(
        outcomes,
        [
            (name("database"), Outcome::Stopped),
            (name("web"), Outcome::Stopped)
        ]
    );
}

#[test]
fn a_stop_leaves_what_is_required_up() {
    let (mut stage, web, _) = pair_up();
    stage.stop("web");
    stage.end(web, signal(15));
    assert_eq!(stage.state("database"), State::Running);
}

#[test]
fn a_stop_passes_through_a_completed_oneshot() {
    let migrate = with(needs(service("migrate"), "database"), |s| {
        s.kind = diakonos::unit::Kind::Oneshot;
    });
    let mut stage = Stage::new(vec![
        needs(service("web"), "migrate"),
        migrate,
        service("database"),
    ]);
    stage.start("web");
    stage.launch("database", Role::Start);
    stage.succeed("migrate", Role::Start);
    let web = stage.launch("web", Role::Start);
    assert_eq!(stage.state("migrate"), State::Completed);
    stage.stop("database");
    stage.end(web, signal(15));
    assert_eq!(stage.state("web"), State::Stopped);
}

#[test]
fn a_restart_takes_running_dependents_along() {
    let (mut stage, web, database) = pair_up();
    let request = stage.ask(Verb::Restart(Scope::All), &["database"]);
    stage.end(web, signal(15));
    stage.end(database, signal(15));
    assert!(!stage.has_run("web", Role::Start), "database first");
    stage.launch("database", Role::Start);
    stage.launch("web", Role::Start);
    assert_eq!(stage.outcome(request, "database"), Some(Outcome::Started));
    assert_eq!(stage.outcome(request, "web"), Some(Outcome::Started));
}

#[test]
fn a_restart_leaves_dependents_that_are_down() {
    let mut stage = Stage::new(pair());
    let database = stage.bring_up("database");
    stage.ask(Verb::Restart(Scope::All), &["database"]);
    stage.end(database, signal(15));
    stage.launch("database", Role::Start);
    assert_eq!(stage.state("web"), State::Stopped);
}

#[test]
fn restart_if_running_leaves_down_what_is_down() {
    let mut stage = Stage::new(vec![service("a")]);
    let request = stage.ask(Verb::Restart(Scope::Running), &["a"]);
    assert_eq!(stage.outcome(request, "a"), Some(Outcome::LeftDown));
    assert_eq!(stage.state("a"), State::Stopped);
}

#[test]
fn a_start_while_stopping_comes_after_the_stop() {
    let mut stage = Stage::new(vec![service("a")]);
    let run = stage.bring_up("a");
    let stop = stage.stop("a");
    let start = stage.start("a");
    assert_eq!(stage.state("a"), State::Stopping);
    assert!(!stage.has_run("a", Role::StopPost) && stage.answer(start).is_none());
    stage.end(run, signal(15));
    assert!(stage.answer(stop).is_some(), "the stop has its answer");
    stage.launch("a", Role::Start);
    assert_eq!(stage.outcome(start, "a"), Some(Outcome::Started));
}

#[test]
fn a_stop_while_starting_ends_the_start() {
    let mut stage = Stage::new(vec![service("a")]);
    let start = stage.start("a");
    let run = stage.run("a", Role::Start);
    stage.feed(diakonos::engine::Event::Spawned { run, pid: 9 });
    let stop = stage.stop("a");
    assert!(matches!(
        stage.outcome(start, "a"),
        Some(Outcome::Superseded { .. })
    ));
    stage.end(run, signal(15));
    assert_eq!(stage.outcome(stop, "a"), Some(Outcome::Stopped));
    assert!(!stage.has_run("a", Role::Start));
}

#[test]
fn a_stop_of_a_unit_that_waits_is_done_at_once() {
    let mut stage = Stage::new(pair());
    let start = stage.start("web");
    let stop = stage.stop("web");
    assert!(matches!(
        stage.outcome(start, "web"),
        Some(Outcome::Superseded { .. })
    ));
    assert_eq!(stage.outcome(stop, "web"), Some(Outcome::Stopped));
    assert_eq!(stage.state("database"), State::Starting);
}

#[test]
fn a_group_is_up_when_its_units_are() {
    let all = after(after(requires(requires(group("all"), "a"), "b"), "a"), "b");
    let mut stage = Stage::new(vec![all, service("a"), service("b")]);
    let request = stage.start("all");
    stage.launch("a", Role::Start);
    assert_eq!(stage.state("all"), State::Waiting);
    stage.launch("b", Role::Start);
    assert_eq!(stage.state("all"), State::Running);
    assert_eq!(stage.outcome(request, "all"), Some(Outcome::Started));
}

#[test]
fn shutdown_stops_in_order_and_ends() {
    use diakonos::engine::Effect;
    let (mut stage, web, database) = pair_up();
    stage.fresh();
    stage.ask(Verb::Shutdown, &[]);
    assert_eq!(stage.signals().len(), 2, "web first");
    let refused = stage.start("web");
    assert_eq!(
        stage.answer(refused),
        Some(Answer::Refused(Refusal::ShuttingDown))
    );
    stage.end(web, signal(15));
    stage.end(database, signal(15));
    assert_eq!(stage.fresh().last(), Some(&Effect::Exit));
}

#[test]
fn a_second_shutdown_kills() {
    let (mut stage, ..) = pair_up();
    stage.ask(Verb::Shutdown, &[]);
    stage.signals();
    stage.ask(Verb::Shutdown, &[]);
    let killed = stage
        .signals()
        .iter()
        .filter(|(_, number)| *number == 9)
        .count();
    assert_eq!(killed, 2, "both at once, whatever the order");
}

#[test]
fn a_stop_that_waits_for_its_turn_ends_the_reloading() {
    let database = with(service("database"), |s| {
        s.reload = vec![exec("/one"), exec("/two")].into();
    });
    let mut stage = Stage::new(vec![needs(service("web"), "database"), database]);
    stage.start("web");
    let database = stage.launch("database", Role::Start);
    let web = stage.launch("web", Role::Start);
    let reload = stage.ask(Verb::Reload, &["database"]);
    let first = stage.launch("database", Role::Reload);
    let stop = stage.stop("database");
    assert!(matches!(
        stage.outcome(reload, "database"),
        Some(Outcome::Superseded { .. })
    ));
    stage.end(first, Ending::Code(0));
    assert!(
        !stage.has_run("database", Role::Reload),
        "no second command"
    );
    stage.end(web, signal(15));
    stage.end(database, signal(15));
    assert_eq!(stage.outcome(stop, "database"), Some(Outcome::Stopped));
}

#[test]
fn a_unit_is_forgotten_once_it_rests() {
    let follower = edged(service("b"), |unit| unit.after.push(name("a")));
    let mut stage = Stage::new(vec![service("a"), follower]);
    let main = stage.bring_up("a");
    let unit = stage.engine.id(&name("a")).unwrap();
    stage.feed(Event::Forgotten { units: vec![unit] });
    assert_eq!(stage.state("a"), State::Running, "it runs");
    let stop = stage.stop("a");
    stage.feed(Event::Forgotten { units: vec![unit] });
    assert!(stage.engine.id(&name("a")).is_some(), "it is on its way");
    stage.end(main, Ending::Code(0));
    assert_eq!(stage.outcome(stop, "a"), Some(Outcome::Stopped));
    stage.feed(Event::Forgotten { units: vec![unit] });
    assert_eq!(stage.engine.id(&name("a")), None);
    // Its name may be given again, and its order is its definition's.
    stage.start("b");
    stage.launch("b", Role::Start);
    stage.bring_up("a");
    assert_ne!(stage.engine.id(&name("a")), Some(unit));
}
