//! What a stop tells of what will follow from it by itself.

use diakonos::engine::{Cause, Ending, Notice, Outlook, Role, State, Verb};
use diakonos::unit::{Relation, Unit};

use super::relations::{both_up, flagged, naming, pair};
use super::{Stage, edged, with};
use crate::units::{exec, name, service};

/// Who stops it is told, and by what it stays up.
#[test]
fn a_stop_of_what_is_upheld_says_that_it_comes_up_again() {
    let mut stage = pair(Relation::Upholds);
    both_up(&mut stage);
    let request = stage.stop("named");
    let text = "named will be started again: user upholds it, and is up".to_owned();
    let warning = Notice::Warning { text };
    assert!(stage.notices(request).contains(&warning));
    // Not where its upholder goes as well.
    let mut stage = pair(Relation::Upholds);
    both_up(&mut stage);
    let request = stage.ask(Verb::Stop, &["named", "user"]);
    assert!(!stage.notices(request).contains(&warning));
}

/// Who stops the last one that needs it is told.
#[test]
fn a_stop_says_who_is_unneeded_then() {
    let unneeded = |unit: Unit| flagged(unit, |r| r.stop_when_unneeded = true);
    let mut stage = Stage::new(vec![
        naming(service("user"), Relation::Wants, "named"),
        naming(unneeded(service("named")), Relation::Wants, "further"),
        unneeded(service("further")),
        naming(service("other"), Relation::Wants, "further"),
    ]);
    stage.start("user");
    let user = stage.launch("user", Role::Start);
    stage.launch("named", Role::Start);
    stage.launch("further", Role::Start);
    let told = |unit: &str| Notice::AlsoStops {
        unit: name(unit),
        cause: Cause::Unneeded,
    };
    let other = stage.bring_up("other");
    let request = stage.stop("user");
    assert!(stage.notices(request).contains(&told("named")));
    assert!(!stage.notices(request).contains(&told("further")));
    stage.end(user, Ending::Code(0));
    assert_eq!(stage.state("named"), State::Stopping);
    stage.end(stage.run("named", Role::Start), Ending::Code(0));
    let request = stage.stop("other");
    assert!(stage.notices(request).contains(&told("further")));
    stage.end(other, Ending::Code(0));
    assert_eq!(stage.state("further"), State::Stopping);
}

/// A plan tells the same, with what each waits for.
#[test]
fn a_plan_of_a_stop_tells_what_follows_from_it() {
    let unneeded = |unit: Unit| flagged(unit, |r| r.stop_when_unneeded = true);
    let mut stage = Stage::new(vec![
        naming(service("user"), Relation::Wants, "named"),
        naming(unneeded(service("named")), Relation::Wants, "further"),
        unneeded(service("further")),
    ]);
    stage.start("user");
    for unit in ["user", "named", "further"] {
        stage.launch(unit, Role::Start);
    }
    let plan = |stage: &Stage, unit: &str| -> Outlook {
        let targets = vec![name(unit)];
        stage.engine.outlook(Verb::Stop, targets, &[], &[]).unwrap()
    };
    let told = plan(&stage, "user");
    assert_eq!(told.steps.len(), 1);
    let follows = told.foretold.iter();
    let follows: Vec<(&str, &[usize])> = follows
        .map(|step| (step.unit.as_str(), step.after.as_slice()))
        .collect();
    assert_eq!(follows, [("named", &[0][..]), ("further", &[1][..])]);

    let mut stage = pair(Relation::Upholds);
    both_up(&mut stage);
    let text = "named will be started again: user upholds it, and is up";
    assert_eq!(plan(&stage, "named").left_out, [text]);
}

/// Whoever requires what has nothing to do is started all the same, and its client would not know.
#[test]
fn a_start_says_which_of_what_it_needs_was_skipped() {
    let mut stage = Stage::new(vec![
        with(service("rare"), |s| s.condition = vec![exec("/one")].into()),
        edged(service("user"), |unit| {
            unit.requires.push(name("rare"));
            unit.after.push(name("rare"));
        }),
    ]);
    let request = stage.start("user");
    let run = stage.launch("rare", Role::Condition);
    stage.end(run, Ending::Code(3));
    stage.launch("user", Role::Start);
    let text = "rare was skipped: its ExecCondition is not met: exit code 3".to_owned();
    assert!(stage.notices(request).contains(&Notice::Warning { text }));
    // Who names it has that in the answer.
    let request = stage.start("rare");
    let run = stage.launch("rare", Role::Condition);
    stage.end(run, Ending::Code(3));
    let is_warning = |notice: &Notice| matches!(notice, Notice::Warning { .. });
    assert!(!stage.notices(request).iter().any(is_warning));
}
