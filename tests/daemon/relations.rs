//! The rarer dependency keys with real processes; every cell of their table is a scene in the simulator.

use diakonos::sys::process::{Pid, PidFd};
use diakonos::wire::ResultKind;

use crate::harness::Bench;
use crate::takeover::die;

fn main_process(bench: &Bench, name: &str) -> PidFd {
    let pid = bench.status(name).pid.unwrap();
    PidFd::open(Pid::from_raw(pid).unwrap()).unwrap()
}

/// A service's process is killed, and not by the daemon.
fn kill(bench: &Bench, name: &str) {
    main_process(bench, name).signal(9).unwrap();
}

#[test]
fn what_is_bound_goes_down_with_it_and_comes_up_with_it() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    bench.service("database", "", "exec sleep 1000", "");
    bench.sleeper("web", "BindsTo = \"database\"\nAfter = \"database\"");
    bench.start("web").is(ResultKind::Started);
    kill(&bench, "database");
    daemon.until("web", "stopped");
    // Which of the two is told last is not said anywhere.
    if bench.status("database").state != "failed" {
        daemon.until("database", "failed");
    }
    assert_eq!(bench.status("database").state, "failed");
    let again = "Restart = \"always\"\nRestartSec = 0.01";
    bench.service("database", "", "exec sleep 1000", again);
    bench.start("web").is(ResultKind::Started);
    let before = bench.status("web").pid;
    kill(&bench, "database");
    daemon.until("database", "restarting");
    daemon.until("web", "running");
    assert_ne!(bench.status("web").pid, before);
    daemon.end();
}

/// The daemon dies at the same time: its successor finds one of the two gone.
#[test]
fn a_successor_stops_what_was_bound() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    bench.service("database", "", "exec sleep 1000", "");
    bench.service("web", "BindsTo = \"database\"", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let database = main_process(&bench, "database");
    daemon.signal(19);
    database.signal(9).unwrap();
    die(&mut daemon);
    let mut daemon = bench.lone_daemon();
    daemon.until("web", "stopped");
}

#[test]
fn a_handler_knows_whose_failure_it_was() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let told = "echo $MONITOR_UNIT $MONITOR_SERVICE_RESULT $MONITOR_EXIT_CODE $MONITOR_EXIT_STATUS \
                ${#MONITOR_INVOCATION_ID} > $EAR";
    let path = bench.service("alert@", "", told, "Type = \"oneshot\"");
    assert!(path.exists());
    bench.service(
        "fine",
        "",
        "echo fine $MONITOR_EXIT_STATUS > $EAR",
        "Type = \"oneshot\"",
    );
    let ends = "OnFailure = \"alert@%p\"\nOnSuccess = \"fine\"";
    bench.service("web", ends, "exit 3", "");
    bench.service("job", ends, "exit 0", "Type = \"oneshot\"");
    bench.start("web");
    assert_eq!(ear.take(1), ["web.service exit-code exited 3 32"]);
    bench.start("job").is(ResultKind::Completed);
    assert_eq!(ear.take(1), ["fine 0"]);
    // Whoever asks for what is under way asks for no other one.
    if bench.status("alert@web").state != "completed" {
        daemon.until("alert@web", "completed");
    }
    // By hand it is nobody's handler.
    bench.start("alert@web").is(ResultKind::Completed);
    assert_eq!(ear.take(1), ["0"]);
    daemon.until("alert@web", "completed");
}

/// It was never started, and a successor starts it all the same.
#[test]
fn a_handler_outlives_the_daemon() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    let mut ear = bench.ear();
    bench.service(
        "alert",
        "",
        "echo $MONITOR_UNIT $MONITOR_SERVICE_RESULT > $EAR",
        "",
    );
    bench.service("web", "OnFailure = \"alert\"", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    die(&mut daemon);
    let _daemon = bench.lone_daemon();
    kill(&bench, "web");
    assert_eq!(ear.take(1), ["web.service signal"]);
}

#[test]
fn those_that_conflict_are_never_side_by_side() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    bench.sleeper("old", "");
    bench.sleeper("new", "Conflicts = \"old\"");
    bench.start("old").is(ResultKind::Started);
    bench.start("new").is(ResultKind::Started);
    assert_eq!(bench.status("old").state, "stopped");
    bench.start("old").is(ResultKind::Started);
    assert_eq!(bench.status("new").state, "stopped");
    let lines = ear.take(5);
    assert_eq!(
        lines,
        ["up old", "down old", "up new", "down new", "up old"]
    );
    let output = bench.run(&["start", "old", "new"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("conflicts"),
        "{said}"
    );
}

#[test]
fn what_is_upheld_comes_up_again() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    bench.service("worker", "", "exec sleep 1000", "");
    bench.service("web", "Upholds = \"worker\"", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    daemon.until("worker", "running");
    kill(&bench, "worker");
    daemon.until("worker", "failed");
    daemon.until("worker", "running");
    bench.stop("worker").is(ResultKind::Stopped);
    daemon.until("worker", "running");
    daemon.end();
}

#[test]
fn some_units_are_for_other_units() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let flags = "RefuseManualStart = true\nRefuseManualStop = true\nStopWhenUnneeded = true";
    bench.service("socketd", flags, "exec sleep 1000", "");
    bench.service("web", "Requires = \"socketd\"", "exec sleep 1000", "");
    let said = bench.run(&["start", "socketd"]);
    assert!(!said.status.success());
    bench.start("web").is(ResultKind::Started);
    daemon.until("socketd", "running");
    let said = bench.run(&["stop", "socketd"]);
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(text.contains("RefuseManualStop"), "{text}");
    bench.stop("web").is(ResultKind::Stopped);
    daemon.until("socketd", "stopped");
    daemon.end();
}
