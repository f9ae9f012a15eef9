//! Services that stand still: with cgroups where there are any, and without.

use std::os::fd::AsFd;

use diakonos::engine::Command;
use diakonos::sys::proc;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Daemon, Deadline, Done, PATIENCE_MS};
use crate::stopping::without_cgroups;
use crate::waits::comes;

fn freeze(bench: &Bench, name: &str) -> Done {
    let names = vec![name.to_owned()];
    bench.client().ask(Command::Freeze { names })
}

fn thaw(bench: &Bench, name: &str) -> Done {
    let names = vec![name.to_owned()];
    bench.client().ask(Command::Thaw { names })
}

/// A service whose main process and its child, a session of its own, answer SIGUSR1 each.
const PAIR: &str = "\
    trap 'echo main > $EAR' USR1; \
    setsid sh -c \"trap 'echo child > \\$EAR' USR1; echo child up > \\$EAR; \
                   while :; do sleep 1000 & wait \\$!; kill \\$!; done\" & \
    echo main up > $EAR; while :; do wait; done";

/// Both answer again.
fn lives(bench: &Bench, ear: &mut crate::harness::Lines) {
    for pid in bench.processes() {
        let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if command.trim() == "sh" {
            let _ = PidFd::open(pid).unwrap().signal(10);
        }
    }
    let mut said = ear.take(2);
    said.sort();
    assert_eq!(said, ["child", "main"]);
}

/// Nobody of them is running or can be woken: each is stopped, or in its frozen group.
fn stands_still(bench: &Bench, with_cgroup: bool) {
    if with_cgroup {
        let group = bench.status("pair").cgroup.unwrap();
        let events = std::fs::read_to_string(format!("{group}/cgroup.events")).unwrap();
        assert!(events.contains("frozen 1"), "{events}");
        return;
    }
    let mut stopped = 0;
    for pid in bench.processes() {
        let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        if ["sh", "sleep"].contains(&command.trim()) {
            // The signal was sent; each process takes it when it next runs.
            let what = format!("PID {pid} is stopped");
            comes(&what, || proc::stat(pid).unwrap().state == 'T');
            stopped += 1;
        }
    }
    assert!(stopped >= 2, "{stopped}");
}

fn stands_still_and_goes_on(bench: &Bench, daemon: Daemon<'_>) {
    let mut ear = bench.ear();
    bench.service("pair", "", PAIR, "TimeoutStopSec = \"1h\"");
    bench.start("pair").is(ResultKind::Started);
    ear.take(2);
    let with_cgroup = bench.status("pair").cgroup.is_some();
    freeze(bench, "pair").is(ResultKind::Frozen);
    stands_still(bench, with_cgroup);
    let status = bench.status("pair");
    assert_eq!(status.state, "running");
    assert!(status.frozen_ms.is_some());
    let list = String::from_utf8(bench.run(&["list"]).stdout).unwrap();
    assert!(list.contains("pair  frozen"), "{list}");
    freeze(bench, "pair").is(ResultKind::Frozen);
    thaw(bench, "pair").is(ResultKind::Thawed);
    assert_eq!(bench.status("pair").frozen_ms, None);
    lives(bench, &mut ear);
    thaw(bench, "pair").is(ResultKind::Thawed);

    // A stop thaws it, so that it can end by itself: SIGTERM was enough.
    freeze(bench, "pair").is(ResultKind::Frozen);
    let done = bench.stop("pair");
    done.is(ResultKind::Stopped);
    assert_eq!(done.progress.len(), 1, "{done:?}");
    freeze(bench, "pair").is(ResultKind::NotRunning);
    thaw(bench, "pair").is(ResultKind::NotRunning);
    daemon.end();
}

#[test]
fn a_service_stands_still_and_goes_on() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    stands_still_and_goes_on(&bench, daemon);
}

#[test]
fn a_service_stands_still_and_goes_on_without_cgroups() {
    let bench = Bench::new();
    let daemon = without_cgroups(&bench);
    stands_still_and_goes_on(&bench, daemon);
}

/// The daemon dies, and its successor knows who stands still.
fn stays_frozen(bench: &Bench, mut daemon: Daemon<'_>) {
    let mut ear = bench.ear();
    bench.service("pair", "", PAIR, "");
    bench.start("pair").is(ResultKind::Started);
    ear.take(2);
    let with_cgroup = bench.status("pair").cgroup.is_some();
    freeze(bench, "pair").is(ResultKind::Frozen);
    let before = bench.status("pair");
    let process = PidFd::open(daemon.pid()).unwrap();
    process.signal(9).unwrap();
    daemon.log.until("ready, PID");
    let after = bench.status("pair");
    assert_eq!(after.pid, before.pid);
    assert!(after.frozen_ms.unwrap().abs_diff(before.frozen_ms.unwrap()) < PATIENCE_MS);
    stands_still(bench, with_cgroup);
    thaw(bench, "pair").is(ResultKind::Thawed);
    lives(bench, &mut ear);
    daemon.end();
}

#[test]
fn a_frozen_service_stays_frozen_when_the_daemon_dies() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    stays_frozen(&bench, daemon);
}

#[test]
fn a_frozen_service_stays_frozen_when_the_daemon_dies_without_cgroups() {
    let bench = Bench::new();
    let daemon = without_cgroups(&bench);
    stays_frozen(&bench, daemon);
}

#[test]
fn a_frozen_service_that_is_killed_is_restarted_and_runs() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let service = "Restart = \"always\"\nRestartSec = 0";
    bench.service("web", "", "echo up > $EAR; exec sleep 1000", service);
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up");
    daemon.until("web", "running");
    freeze(&bench, "web").is(ResultKind::Frozen);
    let pid = bench.status("web").pid.and_then(Pid::from_raw).unwrap();
    let process = PidFd::open(pid).unwrap();
    process.signal(9).unwrap();
    Deadline::new().wait(process.as_fd(), &|| "its end".to_owned());
    assert_eq!(ear.next().unwrap(), "up");
    daemon.until("web", "running");
    assert_eq!(bench.status("web").frozen_ms, None);
    daemon.end();
}

#[test]
fn the_command_line_says_what_cannot_be_frozen() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.sleeper("web", "");
    bench.start("web").is(ResultKind::Started);
    bench.file("all", "[unit]\nRequires = [\"web\"]\n");
    bench.start("all").is(ResultKind::Started);
    let refused = bench.run(&["freeze", "all"]);
    assert_eq!(refused.status.code(), Some(3));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("all: it has no process"), "{text}");
    // Of all, those that can be are.
    let done = bench.run(&["freeze", "--all"]);
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "web: frozen\n");
    let done = bench.run(&["thaw", "--all"]);
    assert!(done.status.success());
    daemon.end();
}
