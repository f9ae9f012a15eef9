//! A daemon that dies while clients wait: they find the next one and ask again, and nobody notices.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use diakonos::sys::files;
use diakonos::sys::process::PidFd;
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Daemon, Deadline, Lines};

/// What a command has said on its way, but for what a stop still waits for: that is said once it takes a second, which
/// any stop may on a machine that is busy.
pub(crate) fn without_waiting(said: &str) -> String {
    let is_waiting = |line: &&str| {
        let waits = [
            " still alive (",
            ": is stopping",
            ": is starting",
            ": waits for ",
        ];
        waits.iter().any(|words| line.contains(words))
    };
    let others = said.split_inclusive('\n');
    others.filter(|line| !is_waiting(line)).collect()
}

/// Kills the daemon, not its guardian.
fn kill(bench: &Bench) {
    let process = PidFd::open(bench.daemon_pid()).unwrap();
    process.signal(9).unwrap();
    Deadline::new().wait(process.as_fd(), &|| "the daemon's end".to_owned());
}

/// A daemon that is succeeded by its guardian's care, or by the client's.
fn daemon(bench: &Bench, guarded: bool) -> Daemon<'_> {
    if guarded {
        bench.daemon()
    } else {
        bench.lone_daemon()
    }
}

fn end(bench: &Bench, mut daemon: Daemon<'_>, guarded: bool) {
    if !guarded {
        assert!(!daemon.ended().success());
        assert!(bench.run(&["kill"]).status.success());
    }
}

fn fifo(bench: &Bench, name: &str) -> File {
    let path = bench.path(name);
    files::make_fifo(&path, 0o600, None).unwrap();
    File::options().read(true).write(true).open(path).unwrap()
}

#[test]
fn a_oneshot_is_waited_for_and_runs_once() {
    for guarded in [true, false] {
        let bench = Bench::new();
        let daemon = daemon(&bench, guarded);
        let (mut ear, mut go) = (bench.ear(), fifo(&bench, "go"));
        let script = format!(
            "echo once > $EAR; read line < {}",
            bench.path("go").display()
        );
        bench.service("once", "", &script, "Type = \"oneshot\"");
        let client = bench.begin(&["start", "once"]);
        ear.until("once");
        kill(&bench);
        // With a guardian it may end while nobody looks; without one its status would go to whoever reaps it.
        if !guarded {
            bench.run(&["is-active", "once"]);
        }
        go.write_all(b"\n").unwrap();
        let output = client.wait_with_output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        assert_eq!(ear.all().matches("once").count(), 1, "it ran twice");
        end(&bench, daemon, guarded);
    }
}

#[test]
fn a_restart_is_done_once() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let (mut ear, mut go) = (bench.ear(), fifo(&bench, "go"));
    let script = format!(
        "trap 'echo term > $EAR; read line < {}; exit' TERM; echo up > $EAR; while :; do sleep 0.02; done",
        bench.path("go").display()
    );
    bench.service("web", "", &script, "TimeoutStopSec = 60");
    bench.start("web").is(ResultKind::Started);
    ear.until("up");
    let client = bench.begin(&["restart", "web"]);
    ear.until("term");
    kill(&bench);
    go.write_all(b"\n").unwrap();
    ear.until("up");
    let output = client.wait_with_output().unwrap();
    let said = without_waiting(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.is_empty(), "{output:?}");
    // Those that read it when the traps of both lives run.
    go.write_all(b"\n\n").unwrap();
    bench.stop("web");
    assert_eq!(ear.all().matches("up").count(), 2, "it was restarted twice");
}

#[test]
fn what_cannot_be_repeated_is_said() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let (mut ear, mut go) = (bench.ear(), fifo(&bench, "go"));
    let reload = format!(
        "ExecReload = [\"/bin/sh\", \"-c\", \"echo reload > $EAR; read line < {}\"]",
        bench.path("go").display()
    );
    bench.service("web", "", "exec sleep 1000", &reload);
    bench.start("web").is(ResultKind::Started);
    let client = bench.begin(&["reload", "web"]);
    ear.until("reload");
    kill(&bench);
    let output = client.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(
        said.contains("whether web was reloaded is not known"),
        "{said}"
    );
    assert!(said.contains("hint: `diakonos reload web`"), "{said}");
    go.write_all(b"\n").unwrap();
}

#[test]
fn up_goes_on_and_stops_what_it_started() {
    for guarded in [true, false] {
        let bench = Bench::new();
        let daemon = daemon(&bench, guarded);
        bench.service(
            "web",
            "",
            "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done",
            "",
        );
        let mut up = bench.begin(&["up", "web"]);
        let mut output = Lines::new(File::from(OwnedFd::from(up.stdout.take().unwrap())));
        output.until("line 3");
        kill(&bench);
        output.until("line 60");
        assert_eq!(bench.run(&["is-active", "web"]).status.code(), Some(0));
        kill(&bench);
        let client = diakonos::sys::process::Pid::from_raw(up.id()).unwrap();
        PidFd::open(client).unwrap().signal(2).unwrap();
        let output = up.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains("stopping web"),
            "{output:?}"
        );
        assert_eq!(bench.run(&["is-active", "web"]).status.code(), Some(3));
        end(&bench, daemon, guarded);
    }
}

#[test]
fn kill_ends_the_successor_as_well() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let (mut ear, mut go) = (bench.ear(), fifo(&bench, "go"));
    let script = format!(
        "trap 'echo term > $EAR; read line < {}; exit' TERM; echo up > $EAR; while :; do sleep 0.02; done",
        bench.path("go").display()
    );
    bench.service("web", "", &script, "TimeoutStopSec = 60");
    bench.start("web").is(ResultKind::Started);
    ear.until("up");
    let client = bench.begin(&["kill"]);
    ear.until("term");
    kill(&bench);
    go.write_all(b"\n\n").unwrap();
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(daemon.ended().success());
}
