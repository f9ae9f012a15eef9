//! Memory that runs out: `OOMPolicy=`, and what an end for want of memory counts as.

use diakonos::engine::{Ending, Event, Failure, Outcome, Role, State, Verb};
use diakonos::unit::{OomPolicy, Policy, Resources, Unit};

use super::{Stage, with};
use crate::units::{exec, service};

fn policy(oom_policy: OomPolicy) -> Unit {
    with(service("a"), |s| {
        s.resources = Some(Box::new(Resources {
            oom_policy: Some(oom_policy),
            ..Resources::default()
        }));
        s.stop_post = vec![exec("/bin/after")].into();
    })
}

fn out_of_memory(stage: &mut Stage) {
    let name = crate::units::name("a");
    let unit = stage.engine.id(&name).expect("it is known");
    stage.feed(Event::OomKilled { unit });
}

fn result_of_stop_post(stage: &Stage) -> &'static str {
    let spawn = stage.spawn_of("a", Role::StopPost);
    spawn.result.expect("it has a result").service_result
}

#[test]
fn a_victim_beside_the_main_process_ends_the_service_in_order() {
    for unit in [policy(OomPolicy::Stop), with(service("a"), |_| {})] {
        let has_stop_post = unit
            .service
            .as_ref()
            .is_some_and(|s| !s.stop_post.is_empty());
        let mut stage = Stage::new(vec![unit]);
        let run = stage.bring_up("a");
        stage.signals();
        out_of_memory(&mut stage);
        assert_eq!(stage.state("a"), State::Stopping);
        assert_eq!(stage.signals().len(), 2, "as any stop begins");
        stage.end(run, super::signal(15));
        if has_stop_post {
            assert_eq!(result_of_stop_post(&stage), "oom-kill");
            stage.succeed("a", Role::StopPost);
        }
        assert_eq!(stage.state("a"), State::Failed);
        let failure = stage.facts("a").failure.expect("it failed");
        assert_eq!(failure.result, "oom-kill");
    }
}

#[test]
fn a_service_may_go_on_without_the_victim() {
    let mut stage = Stage::new(vec![policy(OomPolicy::Continue)]);
    stage.bring_up("a");
    stage.signals();
    out_of_memory(&mut stage);
    assert_eq!(stage.state("a"), State::Running);
    assert_eq!(stage.signals(), []);
}

#[test]
fn where_the_kernel_kills_all_the_main_process_tells_of_it() {
    let mut stage = Stage::new(vec![policy(OomPolicy::Kill)]);
    let run = stage.bring_up("a");
    out_of_memory(&mut stage);
    assert_eq!(stage.state("a"), State::Running);
    stage.end(run, Ending::OomKilled);
    assert_eq!(result_of_stop_post(&stage), "oom-kill");
}

#[test]
fn while_it_stops_nothing_follows() {
    let mut stage = Stage::new(vec![policy(OomPolicy::Stop)]);
    let run = stage.bring_up("a");
    stage.stop("a");
    out_of_memory(&mut stage);
    stage.end(run, super::signal(15));
    assert_eq!(result_of_stop_post(&stage), "success");
}

#[test]
fn it_is_abnormal_but_no_abort() {
    for (restart, expected) in [
        (Policy::OnFailure, State::Backoff),
        (Policy::OnAbnormal, State::Backoff),
        (Policy::OnAbort, State::Failed),
        (Policy::OnSuccess, State::Failed),
    ] {
        let mut stage = Stage::new(vec![with(service("a"), |s| s.restart.policy = restart)]);
        let run = stage.bring_up("a");
        stage.end(run, Ending::OomKilled);
        assert_eq!(stage.state("a"), expected, "{restart:?}");
    }
}

#[test]
fn limits_that_were_changed_are_part_of_the_definition() {
    let mut stage = Stage::new(vec![service("a")]);
    stage.bring_up("a");
    let resources = Some(Box::new(Resources {
        restart_memory_max: Some(1),
        ..Resources::default()
    }));
    let unit = stage.engine.id(&crate::units::name("a")).expect("known");
    stage.feed(Event::Limited {
        unit,
        resources: resources.clone(),
    });
    let known = stage
        .engine
        .unit(unit)
        .and_then(|unit| unit.service.as_ref());
    assert_eq!(known.expect("a service").resources, resources);
}

/// Whoever waits for the reload is told that it comes to nothing.
#[test]
fn a_victim_takes_the_reload_along() {
    let mut stage = Stage::new(vec![with(policy(OomPolicy::Stop), |s| {
        s.reload = vec![exec("/bin/reload")].into();
    })]);
    stage.bring_up("a");
    let request = stage.ask(Verb::Reload, &["a"]);
    out_of_memory(&mut stage);
    let failed = Outcome::Failed {
        failure: Failure::OutOfMemory,
        retry_ms: None,
    };
    assert_eq!(stage.outcome(request, "a"), Some(failed));
}
