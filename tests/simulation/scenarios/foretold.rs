//! What a stop tells of what will follow from it by itself.

use diakonos::engine::{Cause, Ending, Notice, Role, State, Verb};
use diakonos::unit::{Relation, Unit};

use super::Stage;
use super::relations::{both_up, flagged, naming, pair};
use crate::units::{name, service};

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
