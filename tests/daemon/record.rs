//! The record of events on disk, and what `why`, `events` and `blame` make of it.

use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use diakonos::sys::process::PidFd;
use diakonos::sys::users;
use diakonos::wire::ResultKind;
use diakonos::wire::record::{Changed, Entry, What, decode_entry};

use crate::harness::{Bench, Deadline, Lines};
use crate::takeover::die;

fn file(bench: &Bench) -> PathBuf {
    bench.home().join("events/events.jsonl")
}

/// Every line; each is whole.
fn entries(bench: &Bench) -> Vec<Entry> {
    let text = fs::read_to_string(file(bench)).unwrap();
    assert!(text.ends_with('\n'), "{text}");
    let all: Vec<Entry> = text
        .lines()
        .map(|line| decode_entry(line.as_bytes()).unwrap())
        .collect();
    assert!(all.is_sorted_by(|one, next| one.id < next.id));
    all
}

fn change<'e>(entries: &'e [Entry], unit: &str, to: &str) -> (&'e Entry, &'e Changed) {
    let found = entries.iter().rev().find_map(|entry| match &entry.what {
        What::Change(change) if change.unit == unit && change.to == to => Some((entry, change)),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{unit} did not become {to}: {entries:#?}"))
}

fn text(bench: &Bench, words: &[&str]) -> String {
    let output = bench.run(words);
    let (out, error) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?}: {error}");
    String::from_utf8(out).unwrap()
}

#[test]
fn a_stop_is_followed_to_who_asked_for_it() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("db", "", "exec sleep 1000", "");
    let needs = "Requires = [\"db\"]\nAfter = [\"db\"]";
    bench.service("web", needs, "exec sleep 1000", "");
    assert!(bench.run(&["start", "web"]).status.success());
    let mut stop = bench.begin(&["stop", "db"]);
    let (pid, user) = (stop.id(), users::current().unwrap().name);
    assert!(stop.wait().unwrap().success());

    let all = entries(&bench);
    let (_, gone) = change(&all, "web", "stopped");
    let (stopping, why) = change(&all, "web", "stopping");
    assert_eq!(gone.because, Some(stopping.id));
    assert_eq!(
        (&*why.cause, why.other.as_deref()),
        ("requires", Some("db"))
    );
    let (first, asked) = change(&all, "db", "stopping");
    assert_eq!((why.because, &*asked.cause), (Some(first.id), "asked"));
    let wish = all.iter().find(|entry| Some(entry.id) == asked.because);
    let What::Request(wish) = &wish.unwrap().what else {
        panic!("{wish:?} is no wish");
    };
    assert_eq!(
        (&*wish.verb, &wish.units[..]),
        ("stop", &["db".to_owned()][..])
    );
    assert_eq!((wish.pid, wish.user.as_deref()), (Some(pid), Some(&*user)));
    let command = wish.command.as_deref().unwrap();
    assert!(command.ends_with("diakonos stop db"), "{command}");

    let told = text(&bench, &["why", "web"]);
    let sentence = format!("because of `stop db`: asked by {user} (uid ");
    assert!(told.contains(&sentence), "{told}");
    assert!(told.contains("; it requires db\n"), "{told}");
    let json = text(&bench, &["why", "web", "--json"]);
    assert!(json.contains("\"chain_end\": \"known\""), "{json}");
}

#[test]
fn a_stop_that_fails_is_followed_to_who_asked_for_it() {
    let bench = Bench::new();
    let mut ear = bench.ear();
    let daemon = bench.daemon();
    let script = "trap '' TERM; echo deaf > $EAR; exec sleep 1000";
    bench.service("deaf", "", script, "TimeoutStopSec = '100ms'");
    assert!(bench.run(&["start", "deaf"]).status.success());
    assert_eq!(ear.next().unwrap(), "deaf");
    bench.run(&["stop", "deaf"]);

    let all = entries(&bench);
    let (_, failed) = change(&all, "deaf", "failed");
    let (stopping, asked) = change(&all, "deaf", "stopping");
    assert_eq!(failed.because, Some(stopping.id));
    assert_eq!(&*asked.cause, "asked");
    let told = text(&bench, &["why", "deaf"]);
    assert!(told.contains("did not stop within 100 ms"), "{told}");
    assert!(told.contains("because of `stop deaf`: asked by "), "{told}");
    daemon.end();
    let told = text(&bench, &["why", "deaf"]);
    assert!(told.contains("  the daemon ended on "), "{told}");
    let daemon = bench.daemon();
    let told = text(&bench, &["why", "deaf"]);
    assert!(told.contains("  the daemon began anew on "), "{told}");
    daemon.end();
}

#[test]
fn the_record_and_the_causes_outlive_a_daemon_that_is_killed() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.service("bad", "", "exit 3", "");
    bench.start("web").is(ResultKind::Started);
    bench.start("bad");
    daemon.until("bad", "failed");
    let before = entries(&bench);
    die(&mut daemon);
    // It was killed in the midst of a line.
    let mut torn = fs::OpenOptions::new()
        .append(true)
        .open(file(&bench))
        .unwrap();
    torn.write_all(br#"{"id":4711,"at_ms":17"#).unwrap();

    let _daemon = bench.lone_daemon();
    // It answers when it has taken over.
    assert_eq!(bench.status("bad").state, "failed");
    let after = entries(&bench);
    assert_eq!(after[..before.len()], before);
    let began = &after[before.len()];
    assert_eq!(began.id, before.last().unwrap().id + 1);
    assert!(matches!(began.what, What::Daemon(_)), "{began:?}");

    let told = text(&bench, &["events", "-n", "1", "bad"]);
    assert!(told.contains("bad: stopping -> failed: "), "{told}");
    assert!(told.contains("the daemon began"), "{told}");
    let told = text(&bench, &["why", "bad"]);
    assert!(told.contains("because: exit code 3; it "), "{told}");
    let origin = "it was started because of `start bad`: asked by ";
    assert!(told.contains(origin), "{told}");
    let told = text(&bench, &["why", "web"]);
    assert!(told.contains("because of `start web`: asked by "), "{told}");
    let status = bench.status("web");
    assert!(!status.cause.contains("taken over"), "{}", status.cause);
    assert!(
        status.cause.starts_with("asked by user "),
        "{}",
        status.cause
    );
    bench.stop("web").is(ResultKind::Stopped);
    let all = entries(&bench);
    assert!(change(&all, "web", "stopped").0.id > began.id);
}

#[test]
fn what_the_record_has_lost_is_told() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let whole = fs::read_to_string(file(&bench)).unwrap();
    // The older file is gone.
    let last = whole.lines().last().unwrap();
    fs::write(file(&bench), format!("{last}\n")).unwrap();
    let told = text(&bench, &["why", "web"]);
    assert!(told.contains("is older than the record"), "{told}");
    // All of it is.
    fs::remove_file(file(&bench)).unwrap();
    let told = text(&bench, &["why", "web"]);
    assert!(told.contains("because: asked by user "), "{told}");
    let output = bench.run(&["events"]);
    assert!(output.status.success() && output.stdout.is_empty());
    bench.stop("web").is(ResultKind::Stopped);
    // One entry was lost with a daemon.
    let kept: Vec<&str> = whole
        .lines()
        .filter(|line| !line.contains("\"request\""))
        .collect();
    die(&mut daemon);
    fs::write(file(&bench), kept.join("\n") + "\n").unwrap();
    let told = text(&bench, &["events"]);
    assert!(told.contains("one entry is missing"), "{told}");
}

#[test]
fn events_are_followed_over_the_files_change_and_a_daemons_death() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let since = entries(&bench).last().unwrap().id;
    let since = since.to_string();
    let mut follower = bench.begin(&["events", "-f", "--since", &since, "--json", "web"]);
    let out = std::os::fd::OwnedFd::from(follower.stdout.take().unwrap());
    let mut lines = Lines::new(out.into());
    bench.stop("web").is(ResultKind::Stopped);
    lines.until("\"stopped\"");
    // As the daemon does it when the file is full.
    fs::rename(file(&bench), bench.home().join("events/events.jsonl.1")).unwrap();
    bench.start("web").is(ResultKind::Started);
    lines.until("\"to\":\"running\"");
    die(&mut daemon);
    let _daemon = bench.lone_daemon();
    bench.stop("web").is(ResultKind::Stopped);
    let line = lines.until("\"to\":\"stopped\"");
    let entry = decode_entry(line.trim().as_bytes()).unwrap();
    assert_eq!(entry, *change(&entries(&bench), "web", "stopped").0);
    follower.kill().unwrap();
    follower.wait().unwrap();
    let all = text(&bench, &["events", "--since", &since, "--json", "web"]);
    assert!(
        all.lines()
            .all(|line| decode_entry(line.as_bytes()).is_ok())
    );
    assert!(all.lines().count() > 6, "{all}");
}

#[test]
fn a_unit_that_waits_says_what_for_and_blame_has_the_chain() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("slow", "", "exec sleep 1000", "Type = \"notify\"");
    let needs = "Requires = [\"slow\"]\nAfter = [\"slow\"]";
    bench.service("web", needs, "exec sleep 1000", "");
    let started = bench.run(&["start", "--no-wait", "web"]);
    assert!(started.status.success());
    let told = text(&bench, &["why", "web"]);
    assert!(
        told.contains("it waits for slow, which is starting"),
        "{told}"
    );
    assert!(told.contains("READY=1"), "{told}");
    let told = text(&bench, &["blame", "web"]);
    assert!(
        told.ends_with("web not up yet\n  slow not up yet\n"),
        "{told}"
    );
    bench.stop("slow");
    let failed = bench.run(&["blame", "web"]);
    let said = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(said.contains("web did not come up: "), "{said}");
    bench.sleeper("db", "");
    let never = text(&bench, &["why", "db", "--json"]);
    assert!(never.contains("never started"), "{never}");

    bench.sleeper("api", "Requires = [\"db\"]\nAfter = [\"db\"]");
    bench.start("api").is(ResultKind::Started);
    let told = text(&bench, &["blame", "api"]);
    let (_, chain) = told.split_once("critical chain of api").unwrap();
    let names: Vec<&str> = chain
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(names, ["api", "db"], "{told}");
    assert_eq!(bench.run(&["blame", "nobody"]).status.code(), Some(4));
}

#[test]
fn a_unit_that_was_refused_says_so_and_by_whom() {
    let bench = Bench::new();
    let daemon = bench.lone_daemon();
    bench.service("web", "Requires = [\"ghost\"]", "exec sleep 1000", "");
    assert!(!bench.run(&["start", "web"]).status.success());
    let told = text(&bench, &["why", "web"]);
    assert!(told.contains("`start web` was refused on "), "{told}");
    assert!(told.contains("web needs ghost: "), "{told}");
    let told = text(&bench, &["events", "web"]);
    assert!(told.contains("; refused: web needs ghost"), "{told}");
    // Before the engine hears of it.
    assert!(!bench.run(&["start", "nobody"]).status.success());
    let told = text(&bench, &["events"]);
    let refused = told.lines().find(|line| line.contains("start nobody: "));
    assert!(
        refused.is_some_and(|line| line.contains("; refused: ")),
        "{told}"
    );
    text(&bench, &["enable", "web"]);
    drop(daemon);
    let _daemon = bench.lone_daemon();
    let told = text(&bench, &["why", "web"]);
    assert!(told.contains("did not start with the daemon"), "{told}");
    assert!(told.contains("(the daemon began, and it is"), "{told}");
}

#[test]
fn who_came_back_says_by_what_and_what_began_it() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    let once = bench.home().join("once");
    let once = once.display();
    let program = format!("test -e {once} && exec sleep 1000; touch {once}; exit 7");
    bench.service(
        "web",
        "",
        &program,
        "Restart = \"always\"\nRestartSec = \"10ms\"",
    );
    bench.run(&["start", "web"]);
    daemon.until("web", "restarting");
    daemon.until("web", "running");
    let told = text(&bench, &["why", "web"]);
    let came_back = "it came back by automatic restart 1, after exit code 7";
    assert!(told.contains(came_back), "{told}");
    let origin = "it was started because of `start web`: asked by ";
    assert!(told.contains(origin), "{told}");
}

#[test]
fn events_of_nobody_are_refused() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.sleeper("web", "");
    let refused = bench.run(&["events", "wbe"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("did you mean `web`?"), "{said}");
    assert!(refused.stdout.is_empty());
    // Nothing has become of it yet; and one whose file is gone is in the record.
    assert!(bench.run(&["events", "web"]).status.success());
    bench.start("web").is(ResultKind::Started);
    bench.stop("web").is(ResultKind::Stopped);
    std::fs::remove_file(bench.units().join("web.service")).unwrap();
    assert!(bench.run(&["events", "web"]).status.success());
    daemon.end();
}

#[test]
fn a_daemon_that_died_is_told() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.run(&["daemon-status"]);
    let old = bench.daemon_pid();
    let process = PidFd::open(old).unwrap();
    process.signal(9).unwrap();
    let deadline = Deadline::new();
    while bench.daemon_pid() == old {
        deadline.wait(process.as_fd(), &|| "its end".to_owned());
        bench.run(&["list"]);
    }
    // It serves when it answers, and has written by then that it began.
    bench.run(&["daemon-status"]);
    let events = String::from_utf8(bench.run(&["events"]).stdout).unwrap();
    let expected = format!("the daemon with PID {old} died without ending");
    assert_eq!(events.matches(&expected).count(), 1, "{events}");
    daemon.end();
    let daemon = bench.daemon();
    let events = String::from_utf8(bench.run(&["events"]).stdout).unwrap();
    assert_eq!(events.matches("died without").count(), 1, "{events}");
    daemon.end();
}

#[test]
fn a_reset_leaves_the_failure_in_the_story() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.service("web", "", "exit 7", "Type = \"notify\"");
    assert!(!bench.run(&["start", "web"]).status.success());
    assert!(bench.run(&["reset", "web"]).status.success());
    let told = text(&bench, &["why", "web"]);
    assert!(told.contains("because of `reset web`"), "{told}");
    assert!(told.contains("before that it had failed on "), "{told}");
    assert!(
        told.contains("web: stopping -> failed: exit code 7"),
        "{told}"
    );
    daemon.end();
}

#[test]
fn the_command_that_runs_is_named() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let mut ear = bench.ear();
    let keys = "ExecStartPre = [\"/bin/sh\", \"-c\", \"echo pre > $EAR; exec sleep 1000\"]";
    bench.service("web", "", "exit 7", keys);
    assert!(bench.run(&["start", "--no-wait", "web"]).status.success());
    assert_eq!(ear.next().unwrap(), "pre");
    let told = text(&bench, &["why", "web"]);
    assert!(
        told.contains("ExecStartPre= is running; its time limit ends in 1m"),
        "{told}"
    );
    bench.stop("web");
    daemon.end();
}
