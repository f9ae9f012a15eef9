//! What cannot be started, and whoever cannot start without it: refused where it must be, left out where it is merely
//! wanted, and told where nobody asked.

use diakonos::engine::{Answer, Ending, Notice, Outcome, Refusal, RequestId, Role, State, Verb};
use diakonos::unit::{Relation, Unhonoured, Unit};

use super::Stage;
use super::relations::naming;
use crate::units::{group, name, service};

const BAD: Ending = Ending::Code(3);
const GOOD: Ending = Ending::Code(0);

fn requiring(unit: &str, other: &str) -> Unit {
    naming(service(unit), Relation::Requires, other)
}

/// The unit, with a key that nobody acts on.
fn unfit(unit: Unit) -> Unit {
    let key = Unhonoured {
        section: "service",
        key: "Slice",
        value: None,
        line: 1,
    };
    Unit {
        unhonoured: vec![key].into(),
        ..unit
    }
}

fn warnings(stage: &Stage, request: RequestId) -> Vec<String> {
    let notices = stage.notices(request).into_iter();
    let texts = notices.filter_map(|notice| match notice {
        Notice::Warning { text } => Some(text),
        _ => None,
    });
    texts.collect()
}

#[test]
fn a_wanted_unit_falls_out_with_what_it_requires() {
    let all = || {
        let all = naming(group("all"), Relation::Wants, "api");
        naming(all, Relation::Wants, "web")
    };
    // What it requires is missing, or is there and uses what nobody acts on; or that is so further down.
    let units = [
        vec![all(), requiring("api", "db"), service("web")],
        vec![
            all(),
            requiring("api", "db"),
            service("web"),
            unfit(service("db")),
        ],
        vec![
            all(),
            requiring("api", "pool"),
            requiring("pool", "db"),
            service("web"),
        ],
    ];
    for disk in units {
        let mut stage = Stage::new(disk);
        let request = stage.start("all");
        stage.launch("web", Role::Start);
        assert_eq!(stage.outcome(request, "all"), Some(Outcome::Started));
        assert_eq!(stage.started(), ["web"]);
        let warnings = warnings(&stage, request);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("api is left out: "), "{warnings:?}");
        assert!(warnings[0].contains("db"), "{warnings:?}");
    }
}

#[test]
fn what_is_required_further_down_refuses_the_start() {
    let disk = vec![requiring("api", "pool"), requiring("pool", "db")];
    let mut stage = Stage::new(disk.clone());
    let request = stage.start("api");
    let refusal = Refusal::Missing {
        unit: name("db"),
        needed_by: name("pool"),
        reason: "not found".to_owned(),
    };
    assert_eq!(
        stage.answer(request),
        Some(Answer::Refused(refusal.clone()))
    );
    assert_eq!(stage.started(), [""; 0]);
    let targets = [name("pool"), name("api"), name("web")];
    let hopeless = stage.engine.hopeless(&targets, &disk, &[]);
    assert_eq!(hopeless[&name("api")], refusal);
    assert_eq!(hopeless[&name("pool")], refusal);
    assert_eq!(
        hopeless[&name("web")],
        Refusal::Unknown { unit: name("web") }
    );
}

#[test]
fn a_handler_without_what_it_requires_is_told_of() {
    let user = naming(service("user"), Relation::OnFailure, "alert");
    let mut stage = Stage::new(vec![user, requiring("alert", "mail")]);
    let run = stage.bring_up("user");
    stage.end(run, BAD);
    assert_eq!(stage.state("alert"), State::Stopped);
    let told = ["user failed (OnFailure): alert needs mail: not found"];
    assert_eq!(stage.withheld("alert"), told);
}

#[test]
fn a_ring_of_handlers_ends_with_a_word() {
    let user = naming(service("user"), Relation::OnFailure, "repair");
    let repair = naming(service("repair"), Relation::OnSuccess, "user");
    let mut stage = Stage::new(vec![user, repair]);
    let run = stage.bring_up("user");
    stage.end(run, BAD);
    let run = stage.launch("repair", Role::Start);
    stage.end(run, GOOD);
    assert_eq!(stage.state("user"), State::Failed);
    let told = stage.withheld("user");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("repair ended well (OnSuccess): the end of user"));
}

#[test]
fn a_handler_that_is_being_stopped_is_told_of() {
    let user = naming(service("user"), Relation::OnSuccess, "named");
    let mut stage = Stage::new(vec![user, service("named")]);
    let run = stage.bring_up("user");
    stage.bring_up("named");
    stage.ask(Verb::Stop, &["user", "named"]);
    stage.end(run, GOOD);
    assert_eq!(stage.withheld("named").len(), 1);
}

#[test]
fn what_is_upheld_waits_for_what_it_requires() {
    let user = naming(service("user"), Relation::Upholds, "named");
    let named = requiring("named", "need");
    let mut stage = Stage::new(vec![user, named]);
    stage.bring_up("user");
    stage.pass(100_000);
    assert_eq!(stage.state("named"), State::Stopped);
    assert_eq!(stage.started(), ["user"]);
}

#[test]
fn any_number_of_wanted_units_can_give_way() {
    let names: Vec<String> = (0..300).map(|number| format!("extra-{number}")).collect();
    let mut disk = vec![service("base")];
    let wanting = |all, extra: &String| naming(all, Relation::Wants, extra);
    disk.push(names.iter().fold(group("all"), wanting));
    let extras = names.iter();
    disk.extend(extras.map(|extra| naming(service(extra), Relation::Conflicts, "base")));
    let mut stage = Stage::new(disk);
    let request = stage.ask(Verb::Start, &["base", "all"]);
    assert_eq!(warnings(&stage, request).len(), 300);
    assert_eq!(stage.started(), ["base"]);
}

/// What gives way takes its own wishes along, and these push nobody else out.
#[test]
fn what_falls_with_another_is_no_obstacle() {
    for wanted in [["first", "last"], ["last", "first"]] {
        let all = naming(group("all"), Relation::Wants, wanted[0]);
        let first = naming(service("first"), Relation::Wants, "friend");
        let mut stage = Stage::new(vec![
            naming(all, Relation::Wants, wanted[1]),
            naming(first, Relation::Conflicts, "base"),
            naming(service("last"), Relation::Conflicts, "friend"),
            service("friend"),
            service("base"),
        ]);
        let request = stage.ask(Verb::Start, &["base", "all"]);
        let mut started = stage.started();
        started.sort();
        assert_eq!(started, ["base", "last"], "{wanted:?}");
        assert!(!warnings(&stage, request).is_empty());
    }
}
