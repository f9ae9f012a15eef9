//! `logs` as its users know it: a follower and what befalls it, and what is refused.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::process::Child;

use diakonos::wire::ResultKind;

use crate::harness::{Bench, Lines};

/// A service that prints one more line at each signal.
fn talker(bench: &Bench, name: &str) {
    let script = format!(
        "n=0; trap 'n=$((n+1)); echo {name} $n' USR1; echo up {name} > $EAR; \
         while :; do sleep 1000 & wait $!; kill $!; done"
    );
    bench.service(name, "", &script, "");
}

fn speak(bench: &Bench, name: &str) {
    assert!(bench.run(&["signal", "USR1", name]).status.success());
}

fn follow(bench: &Bench, words: &[&str]) -> (Child, Lines) {
    let mut child = bench.begin(&[&["logs", "-f", "-q"], words].concat());
    let output = OwnedFd::from(child.stdout.take().unwrap());
    (child, Lines::new(File::from(output)))
}

fn refused(bench: &Bench, words: &[&str]) -> String {
    let output = bench.run(&[&["logs"], words].concat());
    assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_follower_outlives_the_daemon_and_the_folder_of_logs() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    talker(&bench, "a");
    bench.start("a").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up a");
    let (mut child, mut lines) = follow(&bench, &["a"]);
    speak(&bench, "a");
    assert_eq!(lines.next().unwrap(), "a 1");
    let process = diakonos::sys::process::PidFd::open(daemon.pid()).unwrap();
    process.signal(9).unwrap();
    daemon.log.until("ready, PID");
    speak(&bench, "a");
    assert_eq!(lines.next().unwrap(), "a 2");
    fs::remove_dir_all(bench.home().join("logs")).unwrap();
    speak(&bench, "a");
    assert_eq!(lines.next().unwrap(), "a 3");
    speak(&bench, "a");
    assert_eq!(lines.next().unwrap(), "a 4");
    child.kill().unwrap();
    child.wait().unwrap();
    daemon.end();
}

#[test]
fn a_follower_ends_when_nobody_reads_it() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let mut ear = bench.ear();
    talker(&bench, "a");
    bench.start("a").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up a");
    let (child, mut lines) = follow(&bench, &["a"]);
    speak(&bench, "a");
    assert_eq!(lines.next().unwrap(), "a 1");
    // Without another line.
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    daemon.end();
}

#[test]
fn a_follower_shows_what_is_wanted_until_its_time() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let mut ear = bench.ear();
    for name in ["a", "b"] {
        talker(&bench, name);
        bench.start(name).is(ResultKind::Started);
        assert_eq!(ear.next().unwrap(), format!("up {name}"));
    }
    let (mut child, mut lines) = follow(&bench, &["-g", "[24]", "a", "b"]);
    let (mut witness, mut all) = follow(&bench, &["a", "b"]);
    for number in 1..=2 {
        speak(&bench, "a");
        speak(&bench, "b");
        // Of two signals that come at once the shell sees one.
        let mut both = all.take(2);
        both.sort_unstable();
        assert_eq!(both, [format!("a | a {number}"), format!("b | b {number}")]);
    }
    witness.kill().unwrap();
    witness.wait().unwrap();
    let mut two = lines.take(2);
    two.sort_unstable();
    assert_eq!(two, ["a | a 2", "b | b 2"]);
    child.kill().unwrap();
    child.wait().unwrap();
    // What is asked for lies behind, so there is nothing to wait for.
    let output = bench.run(&["logs", "-f", "-q", "--until", "now", "a"]);
    assert_eq!(output.stdout, b"a 1\na 2\n", "{output:?}");
    daemon.end();
}

#[test]
fn a_follower_of_one_run_ends_with_it() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let mut ear = bench.ear();
    let script = "trap 'echo a 2' USR1; echo a 1; echo up a > $EAR; \
                  while :; do sleep 1000 & wait $!; kill $!; done";
    bench.service("a", "", script, "");
    for _ in 0..2 {
        assert!(bench.run(&["restart", "a"]).status.success());
        assert_eq!(ear.next().unwrap(), "up a");
    }
    // That one has ended.
    for run in ["-1", "1"] {
        for lines in ["all", "0"] {
            let output = bench.run(&["logs", "-f", "-n", lines, "--run", run, "a"]);
            let told = if lines == "0" { "" } else { "a 1\n" };
            assert_eq!(String::from_utf8_lossy(&output.stdout), told, "{output:?}");
        }
    }
    let (child, mut lines) = follow(&bench, &["--run", "last", "a"]);
    assert_eq!(lines.next().unwrap(), "a 1");
    speak(&bench, "a");
    assert_eq!(lines.next().unwrap(), "a 2");
    assert!(bench.run(&["restart", "a"]).status.success());
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(ear.next().unwrap(), "up a");
    // One that there is not never comes.
    for words in [
        &["logs", "-f", "--run", "99", "a"][..],
        &["logs", "--run", "99", "a"],
    ] {
        let output = bench.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("has no run 99"), "{said}");
        assert!(said.contains("it has runs 1, 2 and 3; -1 is 2"), "{said}");
    }
    daemon.end();
}

#[test]
fn a_follower_takes_in_what_begins_later() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let mut ear = bench.ear();
    // There is no log of anything yet.
    let (mut all, mut of_all) = follow(&bench, &[]);
    let (mut some, mut of_some) = follow(&bench, &["web*"]);
    let mut begin = |name: &str| {
        talker(&bench, name);
        bench.start(name).is(ResultKind::Started);
        assert_eq!(ear.next().unwrap(), format!("up {name}"));
        speak(&bench, name);
    };
    begin("web1");
    assert_eq!(of_all.next().unwrap(), "web1 1");
    assert_eq!(of_some.next().unwrap(), "web1 1");
    begin("db");
    assert_eq!(of_all.next().unwrap(), "db   | db 1");
    begin("web2");
    assert_eq!(of_all.next().unwrap(), "web2 | web2 1");
    assert_eq!(of_some.next().unwrap(), "web2 | web2 1");
    for child in [&mut all, &mut some] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    daemon.end();
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bench = Bench::new();
    bench.service("web", "", "true", "");
    for (words, told) in [
        (["--since", "soon"], "error: --since: `soon` is no moment"),
        (["--until", "5min"], "hint: `-5min` or `5min ago`"),
        (["--grep", "a(b"], "at character 2"),
        (["--run", "first"], "error: --run: `first` is no run"),
        (["--priority", "loud"], "hint: levels are emerg"),
        (["--raw", "--json"], "do not go together"),
    ] {
        let said = refused(&bench, &words);
        assert!(said.contains(told), "{said}");
    }
    let said = refused(&bench, &["--since", "-1min", "--until", "-2min"]);
    assert!(said.contains("--until is earlier than --since"), "{said}");
}
