//! What a user is told, and with which exit code, where the answer is neither a plain yes nor a plain no.

use std::fs;
use std::process::Output;

use diakonos::engine::Command;
use diakonos::wire::record::{What, decode_entry};
use diakonos::wire::{ErrorKind, Final, ResultKind};

use crate::harness::Bench;
use crate::repeat::without_waiting;
use crate::reread::edit;

fn text(output: &Output) -> (Option<i32>, String, String) {
    let plain = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        plain(&output.stdout),
        plain(&output.stderr),
    )
}

fn run(bench: &Bench, words: &[&str]) -> (Option<i32>, String, String) {
    text(&bench.run(words))
}

#[test]
fn a_plan_tells_what_would_be_refused_and_what_would_follow() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("nostop", "RefuseManualStop = true", "exec sleep 1000", "");
    bench.service("nostart", "RefuseManualStart = true", "exec sleep 1000", "");
    bench.service("cache", "StopWhenUnneeded = true", "exec sleep 1000", "");
    bench.service(
        "helper",
        "StopWhenUnneeded = true\nRequires = 'cache'",
        "exec sleep 1000",
        "",
    );
    bench.service("user", "Requires = 'helper'", "exec sleep 1000", "");
    bench.service("kept", "", "exec sleep 1000", "");
    bench.service("keeper", "Upholds = 'kept'", "exec sleep 1000", "");
    for name in ["nostop", "user", "keeper"] {
        bench.start(name).is(ResultKind::Started);
    }
    for (verb, name) in [("start", "nostart"), ("stop", "nostop"), ("reload", "user")] {
        let (code, out, _) = run(&bench, &["plan", verb, name]);
        assert_eq!(code, Some(1), "{out}");
        assert!(out.starts_with(&format!("refused: {name}: ")), "{out}");
        assert!(!out.contains("nothing to do"), "{out}");
        assert_eq!(run(&bench, &[verb, name]).0, Some(1));
    }
    let (code, out, _) = run(&bench, &["plan", "stop", "user"]);
    let why = "nobody needs it any more (StopWhenUnneeded)";
    let steps = format!(
        "1. stop   user    you ask for it\n2. stop   helper  {why}; after 1\n\
         3. stop   cache   {why}; after 2\n"
    );
    assert_eq!((code, out), (Some(0), steps));
    let (code, out, _) = run(&bench, &["plan", "stop", "kept"]);
    assert_eq!(code, Some(0));
    assert!(out.ends_with("note: kept will be started again: keeper upholds it, and is up\n"));
    bench.stop("keeper").is(ResultKind::Stopped);
    bench.stop("*");
}

#[test]
fn who_is_enabled_and_was_refused_at_the_start_is_told_in_the_list() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    for name in ["fine", "first", "second", "lonely"] {
        bench.service(name, "", "exec sleep 1000", "");
        assert_eq!(run(&bench, &["enable", name]).0, Some(0));
    }
    daemon.end();
    bench.service("first", "After = 'second'", "exec sleep 1000", "");
    bench.service("second", "After = 'first'", "exec sleep 1000", "");
    bench.service("lonely", "Requires = 'ghost'", "exec sleep 1000", "");
    let mut daemon = bench.daemon();
    daemon.until("fine", "running");
    let (_, out, _) = run(&bench, &["list"]);
    let cycle = "the order has a cycle: first after second (After=, first.service:2)";
    for (name, reason) in [
        ("first", cycle),
        ("second", cycle),
        ("lonely", "needs ghost: "),
    ] {
        let note = format!("\n{name}: it is enabled, and did not start with the daemon: {reason}");
        assert!(out.contains(&note), "{out}");
        let (_, out, _) = run(&bench, &["why", name]);
        assert!(out.contains("it is enabled, and did not start"), "{out}");
        assert!(out.contains(reason), "{out}");
    }
    // The list itself is nobody's start.
    run(&bench, &["disable", "first"]);
    run(&bench, &["enable", "first"]);
    let (_, out, _) = run(&bench, &["why", "first"]);
    assert!(out.contains("`start first` was refused"), "{out}");
    bench.stop("fine");
}

#[test]
fn what_is_asked_of_the_lists_is_in_the_record() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.service("w@", "", "exec sleep 1000", "");
    run(&bench, &["enable", "web"]);
    run(&bench, &["disable", "w*"]);
    run(&bench, &["scale", "w", "0"]);
    run(&bench, &["disable", "nobody"]);
    let record = fs::read(bench.home().join("events/events.jsonl")).unwrap();
    let entries = record.split(|byte| *byte == b'\n');
    let asked = entries.filter_map(|line| match decode_entry(line).ok()?.what {
        What::Request(asked) => Some((asked.verb, asked.units.join(" "), asked.refused.is_some())),
        _ => None,
    });
    let asked: Vec<(String, String, bool)> = asked.collect();
    let asked: Vec<(&str, &str, bool)> = asked
        .iter()
        .map(|(verb, units, refused)| (verb.as_str(), units.as_str(), *refused))
        .collect();
    let expected = [
        ("enable", "web", false),
        ("disable", "web", false),
        ("scale", "w@", false),
        ("disable", "nobody", true),
    ];
    assert_eq!(asked, expected);
}

#[test]
fn a_stop_and_a_start_tell_what_went_wrong_beside() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("rude", "", "exec sleep 1000", "ExecStop = '/bin/false'");
    bench.service(
        "rare",
        "ConditionPathExists = '/nowhere/at/all'",
        "exec sleep 1000",
        "",
    );
    let needs = "Requires = 'rare'\nAfter = 'rare'";
    bench.service("user", needs, "exec sleep 1000", "");
    bench.start("rude").is(ResultKind::Started);
    let (code, out, _) = run(&bench, &["stop", "rude"]);
    let text = "rude: stopped, nothing is left; it counts as failed: ExecStop: exit code 1\n";
    assert_eq!((code, out.as_str()), (Some(0), text));
    let (code, _, err) = run(&bench, &["start", "user"]);
    assert_eq!(code, Some(0), "{err}");
    let warning = "warning: rare was skipped: ConditionPathExists=/nowhere/at/all is not met\n";
    assert!(err.contains(warning), "{err}");
    let (_, out, _) = run(&bench, &["list"]);
    let note =
        "\nrare: skipped, ConditionPathExists=/nowhere/at/all is not met  → diakonos why rare\n";
    assert!(out.contains(note), "{out}");
    bench.stop("*");
}

#[test]
fn status_says_who_had_it_stopped_and_why_that_it_comes_again() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    bench.service("db", "", "exec sleep 1000", "");
    bench.service(
        "api",
        "Requires = 'db'\nAfter = 'db'",
        "exec sleep 1000",
        "",
    );
    bench.start("api").is(ResultKind::Started);
    bench.stop("db");
    let (_, out, _) = run(&bench, &["status", "api"]);
    assert!(
        out.contains("why  it requires db; nothing of it is left\n"),
        "{out}"
    );

    bench.service("kept", "", "exec sleep 1000", "");
    bench.service("keeper", "Upholds = 'kept'", "exec sleep 1000", "");
    bench.start("keeper").is(ResultKind::Started);
    // Each time it comes up again twice as late, up to a minute; once that is long enough to be seen.
    loop {
        daemon.until("kept", "running");
        bench.stop("kept").is(ResultKind::Stopped);
        let seen = run(&bench, &["why", "kept"]).1;
        if seen.contains("it is upheld: it is started again in ") {
            assert!(!seen.contains("time limit"), "{seen}");
            break;
        }
        // We came too late to see that.
        let ways = ["waiting", "starting", "running"].map(|state| format!("kept: {state} since"));
        assert!(ways.iter().any(|way| seen.starts_with(way)), "{seen}");
    }
    bench.stop("keeper");
    bench.stop("*");
}

#[test]
fn a_file_that_is_gone_or_wrong_is_told_as_what_it_is() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let file = bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    bench.file(
        "web",
        "[service]\nExecStart = '/bin/true'\nRestart = 'blue'\n",
    );
    let (_, out, _) = run(&bench, &["status", "web"]);
    assert!(
        out.contains("`restart` is refused until it is right"),
        "{out}"
    );
    let (code, _, err) = run(&bench, &["restart", "web"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("\nit goes on as it was\n"), "{err}");

    fs::remove_file(&file).unwrap();
    let (_, out, _) = run(&bench, &["why", "web"]);
    assert!(out.contains("its file is gone: it stays as it was loaded until it is stopped"));
    assert!(!out.contains("diakonos check"), "{out}");
    assert_eq!(run(&bench, &["restart", "web"]).0, Some(1));
    bench.stop("web").is(ResultKind::Stopped);
    let (_, out, _) = run(&bench, &["why", "web"]);
    assert!(out.starts_with("web: stopped since"), "{out}");
    assert!(
        out.contains("its file is gone: it cannot be started again"),
        "{out}"
    );
    let (code, _, err) = run(&bench, &["start", "web"]);
    assert_eq!(code, Some(4), "{err}");
    assert!(err.contains("there is no unit `web` any more"), "{err}");
}

#[test]
fn who_was_restarted_along_is_not_told_as_left_as_it_was() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("one", "", "exec sleep 1000", "");
    let needs = "Requires = 'one'\nAfter = 'one'";
    bench.service("needs", needs, "exec sleep 1000", "");
    bench.service("two", "", "exec sleep 1000", "");
    bench.start("needs").is(ResultKind::Started);
    bench.start("two").is(ResultKind::Started);
    // It goes along once, and has no turn of its own then.
    let (code, out, err) = run(&bench, &["restart", "--rolling", "one", "needs"]);
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "one: started\nneeds: started\n")
    );
    let err = without_waiting(&err);
    assert_eq!(err, "needs: also restarts: it requires one\n");
    bench.service("one", "", "exit 3", "Type = 'oneshot'");
    let (code, _, err) = run(&bench, &["restart", "--rolling", "one", "two", "needs"]);
    assert_eq!(code, Some(1), "{err}");
    let told = "failed: one; failed along: needs; not come to: two\n";
    assert!(err.contains(told), "{err}");
    bench.stop("*");
}

#[test]
fn of_many_units_few_lines_are_told() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.file("base", "[unit]\n");
    for number in 0..60 {
        bench.file(
            &format!("u{number:02}"),
            "[unit]\nRequires = 'base'\nAfter = 'base'\n",
        );
    }
    let (code, _, err) = run(&bench, &["start", "--all"]);
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = run(&bench, &["stop", "base"]);
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 21, "{err}");
    let last = "… 40 units more also stop: `diakonos plan` names all";
    assert_eq!(lines.last(), Some(&last));
    let (_, out, _) = run(&bench, &["stop", "--all"]);
    assert_eq!(out, "61 units are already down\n");
}

#[test]
fn an_edit_tells_what_cannot_start_and_what_was_left_unsaved() {
    let bench = Bench::new();
    bench.file("web", "[service]\nExecStart = 'sleep 1000'\n");
    let (code, _, err) = text(&edit(
        &bench,
        &["edit", "web"],
        "sed -i s/sleep/sleeeep/ \"$1\"",
    ));
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.starts_with("it cannot start so: ExecStart = sleeeep: no such program"),
        "{err}"
    );
    let (code, _, err) = text(&edit(
        &bench,
        &["edit", "web"],
        "sed -i s/Exec/Exuc/ \"$1\"",
    ));
    assert_eq!(code, Some(1), "{err}");
    let (code, _, err) = text(&edit(&bench, &["edit", "web"], ":"));
    assert_eq!(code, Some(0), "{err}");
    let left = "what was written before and not saved is in ";
    assert!(
        err.contains(left) && err.contains(".web.service.edit-"),
        "{err}"
    );
}

#[test]
fn patterns_are_bounded_since_each_looks_at_everything() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let names = vec!["*".to_owned(); 101];
    bench.file("w", "[unit]\n");
    let done = bench.client().ask(Command::Status { names });
    assert!(!matches!(done.last, Final::Error(_)), "{done:?}");
    let names = (0..101)
        .map(|number| format!("*{}", "*".repeat(number)))
        .collect();
    let error = bench
        .client()
        .ask(Command::Status { names })
        .error()
        .clone();
    assert_eq!(error.kind, ErrorKind::Usage);
    assert_eq!(error.message, "more than 100 patterns in one request");
}
