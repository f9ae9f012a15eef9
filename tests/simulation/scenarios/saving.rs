//! In which order units are saved: a daemon that dies between two writes leaves no half that is taken for the whole.

use diakonos::engine::{Asker, Effect, Ending, Event, RequestId, Role, State, Verb};
use diakonos::unit::{Relation, Unit};

use super::relations::naming;
use super::{Stage, with};
use crate::units::service;

const BAD: Ending = Ending::Code(3);

/// The names of those that were saved since the last look, in order.
fn saved(stage: &mut Stage) -> Vec<String> {
    let saves: Vec<Effect> = stage.fresh();
    let saves = saves.iter().filter_map(|effect| match effect {
        Effect::Save { unit } => stage.engine.unit(*unit),
        _ => None,
    });
    saves.map(|unit| unit.name.to_string()).collect()
}

/// It was named in a wish by which nothing happens.
fn get_known(stage: &mut Stage, unit: Unit) {
    stage.feed(Event::Request {
        request: RequestId(1_000),
        verb: Verb::Stop,
        by: Asker::Client { uid: 0, pid: 1 },
        first_asked: None,
        targets: vec![unit.name.clone()],
        definitions: vec![unit],
        absent: Vec::new(),
    });
}

/// A daemon that dies between two saves has not lost whom the failure starts: who failed is saved last.
#[test]
fn whose_failure_starts_another_one_is_saved_behind_it() {
    let user = naming(service("user"), Relation::OnFailure, "named");
    let named = service("named");
    // Whoever is known first has the lower number.
    for first in [user.clone(), named.clone()] {
        let mut stage = Stage::new(vec![user.clone(), named.clone()]);
        get_known(&mut stage, first);
        let run = stage.bring_up("user");
        stage.fresh();
        stage.end(run, BAD);
        assert_eq!(stage.state("user"), State::Failed);
        assert!(saved(&mut stage).ends_with(&["named".to_owned(), "user".to_owned()]));
    }
}

/// Nobody is known to wait who does not know what it needs.
#[test]
fn what_a_start_needs_is_saved_before_it_and_behind_it_when_both_stop() {
    for relation in [Relation::Requires, Relation::BindsTo, Relation::Wants] {
        for names in [["user", "named"], ["named", "user"]] {
            let user = naming(service("user"), relation, "named");
            let mut stage = Stage::new(vec![user, service("named")]);
            stage.ask(Verb::Start, &names);
            assert_eq!(saved(&mut stage), ["named", "user"], "{relation:?}");
            stage.launch("named", Role::Start);
            stage.launch("user", Role::Start);
            stage.fresh();
            stage.ask(Verb::Stop, &names);
            assert_eq!(saved(&mut stage), ["user", "named"], "{relation:?}");
        }
    }
}

/// Nothing came of it: its file says all there is to know of it.
#[test]
fn who_is_only_loaded_is_not_saved() {
    let mut stage = Stage::new(Vec::new());
    get_known(&mut stage, service("named"));
    assert_eq!(saved(&mut stage), [""; 0]);
}

/// A successor is to find everybody whom a unit that it knows could start or need, however many steps away.
#[test]
fn whoever_is_named_by_one_that_is_saved_is_saved_before_it() {
    for relation in [Relation::OnFailure, Relation::OnSuccess, Relation::Upholds] {
        let user = naming(service("user"), relation, "handler");
        let handler = naming(service("handler"), Relation::OnFailure, "last");
        let disk = vec![service("last"), handler, service("other"), user];
        let mut stage = Stage::new(disk.clone());
        for unit in disk {
            get_known(&mut stage, unit);
        }
        assert_eq!(saved(&mut stage), [""; 0], "{relation:?}");
        stage.ask(Verb::Start, &["user"]);
        assert_eq!(
            saved(&mut stage)[..3],
            ["last", "handler", "user"],
            "{relation:?}"
        );
    }
}

/// A handler that a unit gets while it runs is known before the unit names it.
#[test]
fn whom_a_unit_names_by_a_new_definition_is_saved_with_it() {
    let mut stage = Stage::new(vec![service("user")]);
    stage.bring_up("user");
    stage.fresh();
    stage.feed(Event::Request {
        request: RequestId(1_001),
        verb: Verb::Renew,
        by: Asker::Client { uid: 0, pid: 1 },
        first_asked: None,
        targets: vec![service("user").name],
        definitions: vec![
            naming(service("user"), Relation::OnFailure, "handler"),
            service("handler"),
        ],
        absent: Vec::new(),
    });
    assert_eq!(saved(&mut stage)[..2], ["handler", "user"]);
}

/// What a handler was told outlives the daemon.
#[test]
fn a_successor_knows_whose_failure_it_was() {
    let user = naming(service("user"), Relation::OnFailure, "named");
    let named = with(service("named"), |s| {
        s.start_pre = vec![crate::units::exec("/bin/step")].into()
    });
    let mut stage = Stage::new(vec![user, named]);
    let run = stage.bring_up("user");
    stage.end(run, BAD);
    let pre = stage.launch("named", Role::StartPre);
    stage.succeed_daemon();
    stage.end(pre, Ending::Code(0));
    let monitor = stage.spawn_of("named", Role::Start).monitor.unwrap();
    assert_eq!(monitor.result.ending, Some(BAD));
}
