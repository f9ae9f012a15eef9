//! `up`: what it starts ends with it, and nothing else does.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::Child;

use crate::harness::{Bench, Lines};

/// `up` under way, and what it prints.
fn begin(bench: &Bench, words: &[&str]) -> (Child, Lines) {
    let mut child = bench.begin(&[&["up"], words].concat());
    let output = OwnedFd::from(child.stdout.take().unwrap());
    (child, Lines::new(File::from(output)))
}

fn interrupt(child: &Child) {
    let pid = diakonos::sys::process::Pid::from_raw(child.id()).unwrap();
    let process = diakonos::sys::process::PidFd::open(pid).unwrap();
    process.signal(2).unwrap();
}

#[test]
fn ctrl_c_stops_what_it_started_and_leaves_the_rest() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.sleeper("before", "");
    bench.service("database", "", "echo ready; exec sleep 1000", "");
    let requires = "Requires = [\"database\", \"before\"]\nAfter = [\"database\"]";
    bench.service("web", requires, "echo serving; exec sleep 1000", "");
    bench.start("before");
    let (child, mut output) = begin(&bench, &["web"]);
    let line = output.until("serving");
    assert!(line.starts_with("web "), "a name before each line: {line}");
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("stopping "), "{said}");
    assert_eq!(bench.status("web").state, "stopped");
    assert_eq!(bench.status("database").state, "stopped");
    assert_eq!(bench.status("before").state, "running");
    daemon.end();
}

#[test]
fn a_reader_that_goes_means_the_same() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let script = "while echo tick; do sleep 0.05; done";
    bench.service("clock", "", script, "");
    let (child, mut output) = begin(&bench, &["clock"]);
    output.until("tick");
    drop(output);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(bench.status("clock").state, "stopped");
    daemon.end();
}

#[test]
fn a_reader_that_does_not_read_keeps_nobody_from_ctrl_c() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let script = "yes | head -c 300000; echo done > $EAR; exec sleep 1000";
    bench.service("flood", "", script, "");
    let mut ear = bench.ear();
    let child = bench.begin(&["up", "flood"]);
    ear.until("done");
    interrupt(&child);
    // Before anything is read of what it prints.
    daemon.until("flood", "stopping");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(bench.status("flood").state, "stopped");
    daemon.end();
}

#[test]
fn it_ends_with_the_service_that_was_named_and_its_code() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.sleeper("database", "");
    let requires = "Requires = [\"database\"]\nAfter = [\"database\"]";
    bench.service("tests", requires, "printf 'no line end'; exit 7", "");
    let child = bench.begin(&["up", "--exit-with", "tests", "tests"]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("no line end"), "{output:?}");
    assert_eq!(bench.status("database").state, "stopped");
    daemon.end();
}

/// What one prints into a file or a pipe is that one's; among the lines of others it is text.
#[test]
fn only_one_service_alone_is_passed_on_as_it_is() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let clear = "printf '<3>\\033[2Jcleared\\n'";
    bench.service("clear", "", clear, "Type = \"oneshot\"");
    bench.service("other", "", "echo other", "Type = \"oneshot\"");
    let printed = |words: &[&str]| {
        let output = bench.run(&[&["up"], words].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let alone = printed(&["clear"]);
    assert!(alone.contains("<3>\x1b[2Jcleared\n"), "{alone:?}");
    let both = printed(&["clear", "other"]);
    assert!(both.contains("clear | \\x1b[2Jcleared\n"), "{both:?}");
    assert!(!both.contains('\x1b'), "{both:?}");
    daemon.end();
}

#[test]
fn it_ends_when_all_is_over() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.service("good", "", "echo done", "Type = \"oneshot\"");
    let output = bench.run(&["up", "good"]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("done"));
    bench.service("bad", "", "exit 3", "Type = \"oneshot\"");
    let output = bench.run(&["up", "good", "bad"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    daemon.end();
}

#[test]
fn one_broken_file_of_the_folder_does_not_keep_the_others_down() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.service("good", "", "echo done", "Type = \"oneshot\"");
    bench.file("broken", "[service]\nExecStrat = \"/bin/true\"\n");
    let output = bench.run(&["up"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("broken.service:2:"), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("done"));
    // It waits for what will never run no longer than for what has ended.
    bench.sleeper("long", "");
    let output = bench.run(&["up", "--exit-with", "broken"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(bench.status("long").state, "stopped");
    // Named, it is the whole request.
    let output = bench.run(&["up", "good", "broken"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    daemon.end();
}
