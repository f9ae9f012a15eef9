//! What starts with the daemon.

use diakonos::engine::Command;
use diakonos::wire::{ProgressKind, ResultKind};

use crate::harness::{Bench, Done};

fn enable(bench: &Bench, name: &str) -> Done {
    let names = vec![name.to_owned()];
    bench.client().ask(Command::Enable { names })
}

#[test]
fn enabled_units_start_with_the_daemon() {
    let bench = Bench::new();
    let mut ear = bench.ear();
    bench.sleeper("database", "");
    bench.sleeper("web", "Requires = [\"database\"]\nAfter = [\"database\"]");
    bench.sleeper("broken", "");
    let daemon = bench.daemon();
    enable(&bench, "web").is(ResultKind::Enabled);
    enable(&bench, "broken").is(ResultKind::Enabled);
    assert!(bench.status("web").enabled);
    daemon.end();

    // One that cannot be read keeps none of the others.
    bench.file("broken", "[service]\nnonsense\n");
    let daemon = bench.daemon();
    assert_eq!(ear.take(2), ["up database", "up web"]);
    let names = vec!["web".to_owned()];
    let done = bench.client().ask(Command::Disable { names });
    done.is(ResultKind::Disabled);
    assert!(!bench.status("web").enabled);
    daemon.end();
    assert_eq!(ear.take(2), ["down web", "down database"]);

    let enabled = std::fs::read_to_string(bench.home().join("enabled")).unwrap();
    assert!(
        enabled.starts_with("broken\t") && enabled.lines().count() == 1,
        "{enabled}"
    );
}

#[test]
fn a_unit_that_spoils_the_graph_keeps_none_of_the_others() {
    let bench = Bench::new();
    let mut ear = bench.ear();
    bench.sleeper("good", "");
    bench.sleeper("bad", "");
    let daemon = bench.daemon();
    enable(&bench, "good").is(ResultKind::Enabled);
    enable(&bench, "bad").is(ResultKind::Enabled);
    daemon.end();
    bench.sleeper("bad", "Requires = [\"bad2\"]\nAfter = [\"bad2\"]");
    bench.sleeper("bad2", "After = [\"bad\"]");
    let daemon = bench.daemon();
    assert_eq!(ear.next().unwrap(), "up good");
    daemon.end();
}

#[test]
fn a_group_pulls_in_what_is_wanted_by_it() {
    let bench = Bench::new();
    let mut ear = bench.ear();
    let install = "[install]\nWantedBy = [\"all\"]\nAlias = [\"www\"]";
    bench.service("web", "", "echo up web > $EAR; exec sleep 1000", install);
    bench.file("all", "[unit]\nDescription = \"all\"\n");
    let daemon = bench.daemon();
    let done = enable(&bench, "web");
    done.is(ResultKind::Enabled);
    // Nothing starts it with the daemon as long as the group is not enabled.
    assert!(
        done.progress
            .iter()
            .any(|step| step.kind == ProgressKind::Warning)
    );
    bench.start("all").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up web");
    assert_eq!(bench.status("www").name, "web");
    bench.stop("web").is(ResultKind::Stopped);
    bench.stop("all").is(ResultKind::Stopped);
    assert!(enable(&bench, "all").progress.is_empty());
    daemon.end();

    let daemon = bench.daemon();
    assert_eq!(ear.next().unwrap(), "up web");
    daemon.end();
}
