//! How a daemon ends.

use diakonos::engine::Command;
use diakonos::wire::{ErrorKind, Final};

use crate::harness::{Bench, start};

#[test]
fn sigterm_stops_all_in_order_and_leaves_nothing() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    bench.sleeper("database", "");
    bench.sleeper("web", "Requires = [\"database\"]\nAfter = [\"database\"]");
    bench.client().ask(start("web"));
    assert_eq!(ear.take(2), ["up database", "up web"]);
    daemon.signal(15);
    assert_eq!(ear.take(2), ["down web", "down database"]);
    assert!(daemon.ended().success());
    assert_eq!(bench.processes(), []);
    assert!(!bench.home().join("control.sock").exists());
    let left = std::fs::read_dir(bench.home().join("run")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["last-run"]);
}

#[test]
fn a_second_signal_does_not_wait() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let script = "trap '' TERM; echo up > $EAR; while :; do sleep 1000; done";
    bench.service("stubborn", "", script, "TimeoutStopSec = \"infinity\"");
    bench.client().ask(start("stubborn"));
    assert_eq!(ear.next().unwrap(), "up");
    daemon.signal(2);
    daemon.until("stubborn", "stopping");
    daemon.signal(2);
    assert!(daemon.ended().success());
    assert_eq!(bench.processes(), []);
}

#[test]
fn kill_ends_services_and_daemon() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    bench.sleeper("web", "");
    bench.client().ask(start("web"));
    let done = bench.client().ask(Command::Kill);
    assert!(matches!(done.last, Final::Results(_)), "{done:?}");
    assert!(daemon.ended().success());
    assert_eq!(bench.processes(), []);
}

#[test]
fn a_daemon_that_ends_takes_no_more_requests() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let script =
        "trap 'echo stopping > $EAR' TERM; echo up > $EAR; while :; do sleep 1000 & wait $!; done";
    bench.service("slow", "", script, "TimeoutStopSec = \"infinity\"");
    bench.sleeper("other", "");
    bench.client().ask(start("slow"));
    assert_eq!(ear.next().unwrap(), "up");
    daemon.signal(15);
    assert_eq!(ear.next().unwrap(), "stopping");
    let done = bench.client().ask(start("other"));
    assert_eq!(done.error().kind, ErrorKind::Unavailable);
    daemon.signal(15);
    assert!(daemon.ended().success());
}
