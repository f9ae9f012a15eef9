//! A daemon whose log nobody reads.

use std::fs::{self, File};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command as Program, Stdio};

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

#[test]
fn the_log_of_a_daemon_whose_terminal_has_closed_goes_on_in_its_home() {
    let bench = Bench::new();
    let command = format!("exec {} daemon", env!("CARGO_BIN_EXE_diakonos"));
    let mut terminal = Program::new("script");
    let terminal = terminal.args(["-qfc", &command, "/dev/null"]);
    let terminal = terminal.env("DIAKONOS_HOME", bench.home());
    let terminal = terminal.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut terminal = terminal.spawn().unwrap();
    let screen = OwnedFd::from(terminal.stdout.take().unwrap());
    Lines::new(File::from(screen)).until("ready, PID");
    terminal.kill().unwrap();
    terminal.wait().unwrap();

    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let log = fs::read_to_string(bench.home().join("daemon.log")).unwrap();
    let moved = "the terminal has closed: the log goes on here";
    assert!(log.lines().next().unwrap().contains(moved), "{log}");
    assert!(log.contains("web: "), "{log}");
    assert!(bench.run(&["kill"]).status.success());
}
