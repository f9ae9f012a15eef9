//! Unit files that change, break, or are found twice.

use std::fs;

use diakonos::wire::{ErrorKind, ProgressKind, ResultKind};

use crate::harness::{Bench, start};

#[test]
fn a_restart_reads_the_file_again_and_says_what_changed() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    bench.service("web", "", "echo old > $EAR; exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "old");
    assert!(!bench.status("web").file_changed);

    bench.service(
        "web",
        "",
        "echo new > $EAR; exec sleep 1000",
        "TimeoutStopSec = 5",
    );
    assert!(bench.status("web").file_changed);
    let done = bench.restart("web");
    done.is(ResultKind::Started);
    let changes = done
        .progress
        .iter()
        .filter(|step| step.kind == ProgressKind::Changed);
    let changes: Vec<&str> = changes.map(|step| step.text.as_str()).collect();
    assert!(
        changes
            .iter()
            .any(|line| line.starts_with("+ ") && line.contains("TimeoutStopSec"))
    );
    assert!(
        changes
            .iter()
            .any(|line| line.starts_with("- ") && line.contains("old"))
    );
    assert_eq!(ear.next().unwrap(), "new");
    assert!(!bench.status("web").file_changed);
}

#[test]
fn a_broken_file_takes_nothing_down() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    bench.sleeper("web", "");
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up web");
    let path = bench.file("web", "[service]\nExecStrat = \"/bin/true\"\nRestart = 7\n");
    let done = bench.restart("web");
    let error = done.error();
    assert_eq!(error.kind, ErrorKind::Failed);
    let place = format!("{}:2:", path.display());
    assert!(error.message.contains(&place), "{}", error.message);
    assert!(
        error.message.contains("did you mean `ExecStart`?"),
        "{}",
        error.message
    );
    assert_eq!(bench.status("web").state, "running");

    // Gone altogether, it still can be stopped.
    fs::remove_file(path).unwrap();
    bench.stop("web").is(ResultKind::Stopped);
    assert_eq!(ear.next().unwrap(), "down web");
    assert!(matches!(
        bench.start("web").error().kind,
        ErrorKind::Failed | ErrorKind::NoSuchUnit
    ));
}

#[test]
fn one_name_in_two_folders_is_an_error_that_names_both() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.sleeper("web", "");
    bench.start("web").is(ResultKind::Started);
    let other = bench.path("other");
    fs::create_dir(&other).unwrap();
    fs::copy(bench.units().join("web.service"), other.join("web.service")).unwrap();
    let done = bench.client().within(&other).ask(start("web"));
    let message = &done.error().message;
    for folder in [bench.units(), other] {
        assert!(message.contains(&folder.display().to_string()), "{message}");
    }
    bench.stop("web").is(ResultKind::Stopped);
}
