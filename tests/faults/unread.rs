//! A daemon whose log nobody reads.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};

use diakonos::sys::process::{Pid, PidFd};
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Deadline, Lines, start, stop};

/// Each writes some lines; a pipe has room for 64 KiB.
const LIVES: usize = 200;

#[test]
fn a_log_that_nobody_reads_keeps_nobody_waiting() {
    let bench = Bench::new();
    let mut daemon = bench.begin(&["daemon"]);
    let stderr = OwnedFd::from(daemon.stderr.take().unwrap());
    let mut log = Lines::new(File::from(stderr));
    log.until("ready, PID");
    bench.service("web", "", "exec sleep 1000", "");
    let mut client = bench.client();
    for _ in 0..LIVES {
        client.ask(start("web")).is(ResultKind::Started);
        client.ask(stop("web")).is(ResultKind::Stopped);
    }
    assert_eq!(bench.status("web").state, "stopped");
    // Read until there is nothing more: what comes next finds room, and says first what is missing.
    let before = log.all();
    assert!(!before.contains("dropped"), "the pipe was never full");
    client.ask(start("web")).is(ResultKind::Started);
    let line = log.until("dropped here");
    assert!(line.contains("[WARN] "), "{line}");
    log.until("web: ");
    client.ask(stop("web")).is(ResultKind::Stopped);

    let process = PidFd::open(Pid::from_raw(daemon.id()).unwrap()).unwrap();
    process.signal(15).unwrap();
    Deadline::new().wait(process.as_fd(), &|| "the daemon's end".to_owned());
    assert!(daemon.wait().unwrap().success());
}
