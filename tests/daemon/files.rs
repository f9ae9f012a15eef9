//! Unit files that change, break, or are found twice.

use std::fs;
use std::path::Path;

use diakonos::engine::{Command, Wait};
use diakonos::unit::{UnitName, hash_on_disk};
use diakonos::wire::{ErrorKind, ProgressKind, ResultKind, UnitResult};

use crate::harness::{Bench, Done, start};

/// Whether the files of a loaded unit are others than those that were read.
pub(crate) fn has_changed(bench: &Bench, name: &str) -> bool {
    let status = bench.status(name);
    let unit = UnitName::parse(name).unwrap();
    let hash = hash_on_disk(Path::new(&status.file), &unit);
    hash.map_or(true, |hash| hash != status.hash)
}

#[test]
fn a_restart_reads_the_file_again_and_says_what_changed() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    bench.service("web", "", "echo old > $EAR; exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "old");
    assert!(!has_changed(&bench, "web"));

    bench.service(
        "web",
        "",
        "echo new > $EAR; exec sleep 1000",
        "TimeoutStopSec = 5",
    );
    assert!(has_changed(&bench, "web"));
    let done = bench.restart("web");
    done.is(ResultKind::Started);
    let changes = done
        .progress
        .iter()
        .filter(|step| step.kind == ProgressKind::Changed);
    let changes: Vec<&str> = changes.map(|step| step.text.as_str()).collect();
    let [changes] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert!(changes.starts_with("its file has changed:\n"), "{changes}");
    assert!(changes.contains("\nTimeoutStopSec: 10s → 5s"), "{changes}");
    assert!(changes.contains("\nExecStart: "), "{changes}");
    assert_eq!(changes.lines().count(), 3, "{changes}");
    assert_eq!(ear.next().unwrap(), "new");
    assert!(!has_changed(&bench, "web"));
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
    let done = bench.start("web");
    assert_eq!(done.error().kind, ErrorKind::NoSuchUnit);
    let message = &done.error().message;
    let start = "there is no unit `web` any more: ";
    assert!(message.starts_with(start), "{message}");
    assert!(message.ends_with("web.service is gone"));
    let hint = done.error().hint.as_deref().unwrap();
    assert!(hint.contains("restore the file"), "{hint}");
}

#[test]
fn a_list_marks_units_whose_file_is_broken_or_gone() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    for name in ["broken", "fine", "gone", "up"] {
        bench.sleeper(name, "");
        bench.start(name).is(ResultKind::Started);
    }
    for name in ["broken", "fine", "gone"] {
        bench.stop(name).is(ResultKind::Stopped);
    }
    bench.file("broken", "[service]\nExecStrat = \"/bin/true\"\n");
    fs::remove_file(bench.units().join("gone.service")).unwrap();
    bench.file("up", "[service\n");
    let output = bench.run(&["list"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let state = |name: &str| {
        let mut rows = said.lines().map(str::split_whitespace);
        let row = rows.find(|row| row.clone().next() == Some(name)).unwrap();
        row.clone().nth(1).unwrap().to_owned()
    };
    let states = ["broken", "fine", "up"].map(state);
    assert_eq!(states, ["error", "stopped", "running"], "{said}");
    assert!(said.contains("broken: broken.service:"), "{said}");
    // What has neither a file nor a process is no unit any more.
    assert!(!said.contains("gone"), "{said}");
    assert!(said.contains("up: up.service:1:"), "{said}");
    // A name alone tells the same.
    let output = bench.run(&["status", "gone"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let text = "the file is gone: it cannot be started again";
    assert!(said.contains(text), "{said}");
    bench.stop("up").is(ResultKind::Stopped);
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

/// The units of an answer that went as this says, by name.
fn that(done: &Done, kind: ResultKind) -> Vec<&str> {
    let results = done.results().iter().filter(|result| result.kind == kind);
    let mut names: Vec<&str> = results.map(|result| result.unit.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn what_a_pattern_found_and_is_broken_spoils_only_itself_and_what_requires_it() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.file("broken", "[service]\nExecStrat = \"/bin/true\"\n");
    bench.file("worse", "[service\n");
    bench.sleeper("good", "Wants = [\"worse\"]");
    bench.sleeper("leans", "Requires = [\"good\"]");
    bench.sleeper("needs", "Requires = [\"broken\"]");
    bench.sleeper("needs-that", "Requires = [\"needs\"]");
    let done = bench.start("*");
    assert_eq!(that(&done, ResultKind::Started), ["good", "leans"]);
    let failed = ["broken", "needs", "needs-that", "worse"];
    assert_eq!(that(&done, ResultKind::Failed), failed);
    let text = |name: &str| {
        let mut results = done.results().iter();
        let result = results.find(|result| result.unit == name).unwrap();
        result.text.clone()
    };
    assert!(text("broken").contains("broken.service:2:"), "{done:?}");
    assert!(text("broken").contains("did you mean `ExecStart`?"));
    assert!(text("worse").contains("worse.service:1:"), "{done:?}");
    assert!(text("needs").starts_with("needs broken: "), "{done:?}");
    assert!(text("needs-that").starts_with("needs needs broken: "));

    // Whoever names the broken one gets nothing at all.
    bench.stop("*");
    let names = ["good", "broken"].map(str::to_owned).to_vec();
    let both = Command::Start {
        names: names.clone(),
        found: Vec::new(),
        wait: Wait::Finished,
    };
    let done = bench.client().ask(both);
    assert!(done.error().message.contains("broken.service:2:"));
    assert!(done.error().message.ends_with("\nnothing was started"));
    assert_eq!(bench.status("good").state, "stopped");

    // A client that has looked through a folder itself says so.
    let found = Command::Start {
        found: names.clone(),
        names,
        wait: Wait::Finished,
    };
    let done = bench.client().ask(found);
    assert_eq!(that(&done, ResultKind::Started), ["good"]);
    assert_eq!(that(&done, ResultKind::Failed), ["broken"]);

    // What is up goes on under its old file; the others are restarted.
    bench.start("leans").is(ResultKind::Started);
    bench.file("leans", "[service]\nExecStrat = \"/bin/true\"\n");
    let done = bench.restart("*");
    assert_eq!(
        that(&done, ResultKind::Failed),
        ["leans", "needs", "needs-that"]
    );
    assert_eq!(bench.status("leans").state, "running");
    bench.stop("*");

    // The others do not wait for those whose order goes in a circle, and whoever requires one of them is told so.
    bench.sleeper("leans", "After = [\"good\"]");
    bench.sleeper("good", "Before = [\"leans\"]\nAfter = [\"leans\"]");
    bench.sleeper("needs-good", "Requires = [\"good\"]");
    bench.sleeper("apart", "");
    let done = bench.start("*");
    let failed = ["good", "leans", "needs-good"];
    for name in failed {
        assert!(that(&done, ResultKind::Failed).contains(&name), "{done:?}");
    }
    let mut results = done.results().iter();
    let is_one = |result: &&UnitResult| failed.contains(&result.unit.as_str());
    let circle =
        "good after leans (After=, good.service:3), leans after good (After=, leans.service:2)";
    assert!(
        results
            .clone()
            .filter(is_one)
            .all(|result| result.text.contains(circle)),
        "{done:?}"
    );
    let apart = results.find(|result| result.unit == "apart");
    assert_eq!(apart.map(|result| result.kind), Some(ResultKind::Started));
    bench.stop("*");
}
