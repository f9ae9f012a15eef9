//! A later wish meets an earlier one: who joins, who gives way, and what each client is told. And wishes that
//! contradict themselves.

use diakonos::engine::{
    Act, Answer, Awaited, Cause, Ending, Impossible, Notice, Outcome, RequestId, Role, RunId,
    Scope, State, Verb,
};
use diakonos::unit::{Policy, Unit};

use super::{Stage, edged, with};
use crate::units::{exec, name, service};

const RESTART: Verb = Verb::Restart(Scope::All);

fn reloading() -> Unit {
    with(service("web"), |s| s.reload = vec![exec("reload")].into())
}

fn needs(unit: Unit, other: &str) -> Unit {
    edged(unit, |u| {
        u.requires.push(name(other));
        u.after.push(name(other));
    })
}

/// It cannot run beside the database.
fn rival() -> Unit {
    edged(service("rival"), |u| {
        let mut relations = u.relations().clone();
        relations.conflicts.push(name("database"));
        u.relations = Some(Box::new(relations));
    })
}

/// A stage on which web runs.
fn up() -> (Stage, RunId) {
    let mut stage = Stage::new(vec![reloading()]);
    let run = stage.bring_up("web");
    (stage, run)
}

fn ends(stage: &mut Stage, run: RunId) {
    stage.end(run, Ending::Code(0));
}

fn is_superseded(stage: &Stage, request: RequestId) -> bool {
    matches!(
        stage.outcome(request, "web"),
        Some(Outcome::Superseded {
            cause: Cause::Asked(_)
        })
    )
}

fn outcomes(stage: &Stage, requests: [RequestId; 2]) -> [Option<Outcome>; 2] {
    requests.map(|request| stage.outcome(request, "web"))
}

#[test]
fn a_start_meets_each_later_wish() {
    for verb in [Verb::Start, Verb::Stop, RESTART, Verb::Reload] {
        let mut stage = Stage::new(vec![reloading()]);
        let first = stage.start("web");
        let run = stage.run("web", Role::Start);
        let then = stage.ask(verb, &["web"]);
        match verb {
            // Joined: one process, one end.
            Verb::Start => {
                stage.launch("web", Role::Start);
                let started = Some(Outcome::Started);
                assert_eq!(outcomes(&stage, [first, then]), [started.clone(), started]);
                assert_eq!(stage.started(), ["web"]);
            }
            Verb::Stop => {
                assert!(is_superseded(&stage, first));
                ends(&mut stage, run);
                assert_eq!(stage.outcome(then, "web"), Some(Outcome::Stopped));
                assert_eq!(stage.state("web"), State::Stopped);
            }
            // Both want it up, and both hear of the second start.
            Verb::Restart(_) => {
                assert_eq!(stage.outcome(first, "web"), None);
                ends(&mut stage, run);
                stage.launch("web", Role::Start);
                let started = Some(Outcome::Started);
                assert_eq!(outcomes(&stage, [first, then]), [started.clone(), started]);
                assert_eq!(stage.started(), ["web", "web"]);
            }
            _ => {
                let reason = Impossible::NotRunning;
                assert_eq!(
                    stage.outcome(then, "web"),
                    Some(Outcome::Impossible { reason })
                );
                stage.launch("web", Role::Start);
                assert_eq!(stage.outcome(first, "web"), Some(Outcome::Started));
            }
        }
    }
}

#[test]
fn a_stop_that_has_begun_meets_each_later_wish() {
    for verb in [Verb::Start, Verb::Stop, RESTART, Verb::Reload] {
        let (mut stage, run) = up();
        let first = stage.stop("web");
        let then = stage.ask(verb, &["web"]);
        assert_eq!(stage.outcome(first, "web"), None, "{verb:?}");
        ends(&mut stage, run);
        // It is carried to its end, whatever comes then.
        assert_eq!(
            stage.outcome(first, "web"),
            Some(Outcome::Stopped),
            "{verb:?}"
        );
        match verb {
            Verb::Start | Verb::Restart(_) => {
                stage.launch("web", Role::Start);
                assert_eq!(stage.outcome(then, "web"), Some(Outcome::Started));
            }
            Verb::Stop => assert_eq!(stage.outcome(then, "web"), Some(Outcome::Stopped)),
            _ => {
                let reason = Impossible::NotRunning;
                assert_eq!(
                    stage.outcome(then, "web"),
                    Some(Outcome::Impossible { reason })
                );
            }
        }
    }
}

#[test]
fn a_stop_that_has_not_begun_meets_each_later_wish() {
    for verb in [Verb::Start, Verb::Stop, RESTART, Verb::Reload] {
        let mut stage = Stage::new(vec![reloading(), needs(service("top"), "web")]);
        stage.start("top");
        let web = stage.launch("web", Role::Start);
        let top = stage.launch("top", Role::Start);
        let first = stage.stop("web");
        assert_eq!(stage.waits_for("web"), ["top"]);
        let then = stage.ask(verb, &["web"]);
        match verb {
            // Taken back: web stays up. What required it goes on stopping.
            Verb::Start => {
                assert_eq!(stage.outcome(then, "web"), Some(Outcome::AlreadyUp));
                ends(&mut stage, top);
                assert!(is_superseded(&stage, first));
                assert_eq!(stage.state("web"), State::Running);
                assert_eq!(stage.state("top"), State::Stopped);
            }
            Verb::Stop => {
                ends(&mut stage, top);
                ends(&mut stage, web);
                let stopped = Some(Outcome::Stopped);
                assert_eq!(outcomes(&stage, [first, then]), [stopped.clone(), stopped]);
            }
            Verb::Restart(_) => {
                ends(&mut stage, top);
                assert!(is_superseded(&stage, first));
                ends(&mut stage, web);
                stage.launch("web", Role::Start);
                assert_eq!(stage.outcome(then, "web"), Some(Outcome::Started));
            }
            _ => {
                let reason = Impossible::NotRunning;
                assert_eq!(
                    stage.outcome(then, "web"),
                    Some(Outcome::Impossible { reason })
                );
                assert_eq!(stage.outcome(first, "web"), None);
            }
        }
    }
}

#[test]
fn a_restart_meets_each_later_wish() {
    for verb in [Verb::Start, Verb::Stop, RESTART, Verb::Reload] {
        let (mut stage, run) = up();
        let first = stage.ask(RESTART, &["web"]);
        let then = stage.ask(verb, &["web"]);
        if verb == Verb::Stop {
            assert!(is_superseded(&stage, first));
            ends(&mut stage, run);
            assert_eq!(stage.outcome(then, "web"), Some(Outcome::Stopped));
            assert_eq!(stage.state("web"), State::Stopped);
            continue;
        }
        ends(&mut stage, run);
        stage.launch("web", Role::Start);
        assert_eq!(
            stage.outcome(first, "web"),
            Some(Outcome::Started),
            "{verb:?}"
        );
        let then = stage.outcome(then, "web");
        match verb {
            Verb::Reload => {
                let reason = Impossible::NotRunning;
                assert_eq!(then, Some(Outcome::Impossible { reason }));
            }
            _ => assert_eq!(then, Some(Outcome::Started), "{verb:?}"),
        }
        // Once, however many ask for it.
        assert_eq!(stage.started(), ["web", "web"], "{verb:?}");
    }
}

#[test]
fn a_reload_meets_each_later_wish() {
    for verb in [Verb::Start, Verb::Stop, RESTART, Verb::Reload] {
        let (mut stage, _) = up();
        let first = stage.ask(Verb::Reload, &["web"]);
        let then = stage.ask(verb, &["web"]);
        match verb {
            Verb::Stop | Verb::Restart(_) => assert!(is_superseded(&stage, first), "{verb:?}"),
            Verb::Start => {
                assert_eq!(stage.outcome(then, "web"), Some(Outcome::AlreadyUp));
                stage.succeed("web", Role::Reload);
                assert_eq!(stage.outcome(first, "web"), Some(Outcome::Reloaded));
            }
            _ => {
                stage.succeed("web", Role::Reload);
                let reloaded = Some(Outcome::Reloaded);
                assert_eq!(
                    outcomes(&stage, [first, then]),
                    [reloaded.clone(), reloaded]
                );
            }
        }
    }
}

#[test]
fn who_waits_is_told_how_many_have_arrived() {
    let mut stage = Stage::new(vec![
        needs(service("web"), "api"),
        needs(service("api"), "database"),
        service("database"),
    ]);
    let reached = |stage: &Stage, request| -> Vec<(Awaited, usize, usize)> {
        let notices = stage.notices(request).into_iter();
        let counts = notices.filter_map(|notice| match notice {
            Notice::Reached {
                awaited,
                arrived,
                all,
            } => Some((awaited, arrived, all)),
            _ => None,
        });
        counts.collect()
    };
    let request = stage.start("web");
    let runs = ["database", "api", "web"].map(|unit| stage.launch(unit, Role::Start));
    let up = |arrived| (Awaited::Up, arrived, 3);
    assert_eq!(reached(&stage, request), [up(1), up(2), up(3)]);
    let request = stage.stop("database");
    for run in runs.into_iter().rev() {
        ends(&mut stage, run);
    }
    let down = |arrived| (Awaited::Down, arrived, 3);
    assert_eq!(reached(&stage, request), [down(1), down(2), down(3)]);
    let request = stage.start("database");
    stage.launch("database", Role::Start);
    assert_eq!(reached(&stage, request), []);
}

#[test]
fn an_outlook_changes_nothing() {
    let stage = Stage::new(Vec::new());
    let definitions = [needs(service("web"), "database"), service("database")];
    let plan = |verb| {
        let outlook = stage
            .engine
            .outlook(verb, vec![name("web")], &definitions, &[]);
        let steps = outlook.unwrap().steps.into_iter();
        let steps = steps.map(|step| (step.act, step.unit.to_string(), step.reason, step.after));
        steps.collect::<Vec<_>>()
    };
    let step =
        |unit: &str, reason: &str, after| (Act::Start, unit.to_owned(), reason.to_owned(), after);
    let steps = [
        step("database", "web requires it", vec![]),
        step("web", "you ask for it", vec![0]),
    ];
    assert_eq!(plan(Verb::Start), steps);
    assert_eq!(plan(RESTART), steps);
    assert_eq!(plan(Verb::Stop), []);
    assert_eq!(stage.engine.units().count(), 0);
}

#[test]
fn a_wish_that_contradicts_itself_leaves_no_trace() {
    let web = needs(needs(service("web"), "database"), "rival");
    let mut stage = Stage::new(vec![web, rival(), service("database")]);
    let request = stage.start("web");
    let Some(Answer::Refused(refusal)) = stage.answer(request) else {
        panic!("{:?}", stage.answer(request));
    };
    assert_eq!(
        refusal.to_string(),
        "database cannot both start and stop: start, because web requires it; stop, because it \
         conflicts with rival"
    );
    assert_eq!(stage.engine.units().count(), 0);
}

#[test]
fn of_what_is_merely_wanted_the_contradiction_gives_way() {
    let web = edged(needs(service("web"), "database"), |u| {
        u.wants.push(name("rival"))
    });
    let mut stage = Stage::new(vec![web, rival(), service("database")]);
    let request = stage.start("web");
    stage.launch("database", Role::Start);
    stage.launch("web", Role::Start);
    assert_eq!(stage.outcome(request, "web"), Some(Outcome::Started));
    assert_eq!(stage.started(), ["database", "web"]);
    let told = stage.notices(request).into_iter();
    let warnings: Vec<String> = told
        .filter_map(|notice| match notice {
            Notice::Warning { text } => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(
        warnings,
        ["rival is left out: it would stop database, which is to start"]
    );
}

/// What is up without what it requires is taken through a restart of that, however that went down.
#[test]
fn a_restart_of_what_is_down_takes_its_users_along() {
    let database = || {
        with(service("database"), |s| {
            s.restart.policy = Policy::OnFailure
        })
    };
    for backs_off in [false, true] {
        let database = if backs_off {
            database()
        } else {
            service("database")
        };
        let mut stage = Stage::new(vec![needs(service("web"), "database"), database]);
        stage.start("web");
        let old = stage.launch("database", Role::Start);
        let web = stage.launch("web", Role::Start);
        stage.end(old, Ending::Code(1));
        let down = if backs_off {
            State::Backoff
        } else {
            State::Failed
        };
        assert_eq!(stage.state("database"), down);
        assert_eq!(stage.state("web"), State::Running);
        stage.ask(RESTART, &["database"]);
        assert_eq!(stage.state("web"), State::Stopping);
        ends(&mut stage, web);
        stage.launch("database", Role::Start);
        stage.launch("web", Role::Start);
        assert_eq!(stage.state("web"), State::Running);
    }
}

/// A stage on which the database goes down by itself, its main process gone and a last command running.
fn on_its_way_down(policy: Policy, ending: Ending) -> Stage {
    let database = with(service("database"), |s| {
        s.restart.policy = policy;
        s.stop_post = vec![exec("clean")].into();
    });
    let web = needs(service("web"), "database");
    let mut stage = Stage::new(vec![web, database]);
    let run = stage.bring_up("database");
    stage.end(run, ending);
    assert_eq!(stage.state("database"), State::Stopping);
    stage
}

/// Nothing else would bring it up again.
#[test]
fn what_goes_down_for_good_is_started_again_for_whoever_needs_it() {
    let ways = [
        (Policy::No, Ending::Code(1)),
        (Policy::No, Ending::Code(0)),
        (Policy::OnFailure, Ending::Code(0)),
    ];
    for (policy, ending) in ways {
        let mut stage = on_its_way_down(policy, ending);
        let request = stage.start("web");
        stage.succeed("database", Role::StopPost);
        stage.launch("database", Role::Start);
        stage.launch("web", Role::Start);
        assert_eq!(stage.outcome(request, "web"), Some(Outcome::Started));
        assert_eq!(stage.started(), ["database", "database", "web"]);
    }
    // What restarts by itself does so after its delay.
    let mut stage = on_its_way_down(Policy::OnFailure, Ending::Code(1));
    stage.start("web");
    stage.succeed("database", Role::StopPost);
    assert_eq!(stage.state("database"), State::Backoff);
    assert_eq!(stage.waits_for("web"), ["database"]);
}

#[test]
fn what_goes_down_for_good_is_not_taken_through_a_restart() {
    for (policy, comes_up) in [(Policy::No, false), (Policy::OnFailure, true)] {
        let user = with(needs(service("web"), "database"), |s| {
            s.restart.policy = policy;
            s.stop_post = vec![exec("clean")].into();
        });
        let mut stage = Stage::new(vec![user, service("database")]);
        stage.start("web");
        let database = stage.launch("database", Role::Start);
        let web = stage.launch("web", Role::Start);
        stage.end(web, Ending::Code(1));
        stage.ask(RESTART, &["database"]);
        stage.succeed("web", Role::StopPost);
        ends(&mut stage, database);
        stage.launch("database", Role::Start);
        assert_eq!(stage.has_run("web", Role::Start), comes_up, "{policy:?}");
    }
}
