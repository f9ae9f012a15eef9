//! Forking services, oneshots, groups, and services that do not want to stop.

use diakonos::wire::{ProgressKind, ResultKind};

use crate::harness::{Bench, exists};

#[test]
fn a_forking_service_is_its_pid_file() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let pid_file = bench.path("pid");
    let script = format!("sleep 1000 & echo $! > {}", pid_file.display());
    let service = format!("Type = \"forking\"\nPIDFile = \"{}\"", pid_file.display());
    bench.service("forking", "", &script, &service);
    bench.start("forking").is(ResultKind::Started);
    let named: u32 = std::fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert_eq!(bench.status("forking").pid, Some(named));

    // Its end is noticed although it was never our child.
    let process = diakonos::sys::process::Pid::from_raw(named).unwrap();
    diakonos::sys::process::PidFd::open(process)
        .unwrap()
        .signal(9)
        .unwrap();
    let line = daemon.until("forking", "failed");
    assert!(line.contains("SIGKILL"), "{line}");
}

#[test]
fn a_forking_service_without_a_pid_file_is_what_is_left() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("forking", "", "sleep 1000 &", "Type = \"forking\"");
    bench.start("forking").is(ResultKind::Started);
    let pid = bench.status("forking").pid.expect("a main process");
    bench.stop("forking").is(ResultKind::Stopped);
    assert!(!exists(pid));
}

#[test]
fn oneshots_run_to_their_end() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    bench.service("job", "", "echo job > $EAR", "Type = \"oneshot\"");
    bench.start("job").is(ResultKind::Completed);
    assert_eq!(ear.next().unwrap(), "job");
    assert_eq!(bench.status("job").active, "inactive");

    let remains = "Type = \"oneshot\"\nRemainAfterExit = true";
    bench.service("setup", "", "echo setup > $EAR", remains);
    bench.start("setup").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "setup");
    assert_eq!(bench.status("setup").state, "exited");
    bench.start("setup").is(ResultKind::AlreadyUp);
    bench.stop("setup").is(ResultKind::Stopped);

    bench.service("bad", "", "exit 4", "Type = \"oneshot\"");
    let done = bench.start("bad");
    assert!(
        done.is(ResultKind::Failed)
            .result()
            .text
            .contains("exit code 4")
    );
}

#[test]
fn a_group_is_its_dependencies() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    bench.sleeper("a", "");
    bench.sleeper("b", "");
    bench.file(
        "all",
        "[unit]\nRequires = [\"a\", \"b\"]\nAfter = [\"a\", \"b\"]\n",
    );
    bench.start("all").is(ResultKind::Started);
    let mut up = ear.take(2);
    up.sort();
    assert_eq!(up, ["up a", "up b"]);
    assert_eq!(bench.status("all").kind, "group");
    bench.stop("*");
    assert_eq!(bench.processes(), []);
}

#[test]
fn who_does_not_stop_is_killed_and_that_is_said() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    let script = "trap '' TERM; echo up > $EAR; while :; do sleep 1000; done";
    bench.service("stubborn", "", script, "TimeoutStopSec = 1");
    bench.start("stubborn").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up");
    let done = bench.stop("stubborn");
    let kinds: Vec<ProgressKind> = done.progress.iter().map(|step| step.kind).collect();
    assert_eq!(kinds, [ProgressKind::Stopping, ProgressKind::Killing]);
    assert!(done.progress[0].in_ms.is_some_and(|ms| ms <= 1000));
    assert_eq!(bench.processes(), []);

    // What was killed can live again, in a restart too.
    bench.start("stubborn").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up");
    bench.restart("stubborn").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up");
    assert_eq!(bench.status("stubborn").state, "running");
    bench.stop("stubborn");
}
