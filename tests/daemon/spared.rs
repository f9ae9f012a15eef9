//! What a stop leaves alive because the unit says so is named, and nobody is told that nothing is left.

use std::os::fd::AsFd;
use std::process::Output;

use diakonos::sys::process::{Pid, PidFd};

use crate::harness::{Bench, Deadline, exists};
use crate::stopping::without_cgroups;

/// The exit code and everything that was said.
fn said(
    Output {
        status,
        stdout,
        stderr,
    }: Output,
) -> (Option<i32>, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout) + &text(stderr))
}

fn kill(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    let process = PidFd::open(pid).unwrap();
    process.signal(9).unwrap();
    Deadline::new().wait(process.as_fd(), &|| format!("the end of {pid}"));
}

/// Its main process and a child of that, whose number it says.
const PAIR: &str = "sleep 1001 & echo $! > $EAR; exec sleep 1002";

fn is_named_after_a_stop(bench: &Bench) {
    let mut ear = bench.ear();
    bench.service("km", "", PAIR, "KillMode = \"process\"");
    assert!(bench.run(&["start", "km"]).status.success());
    let pid = ear.next().unwrap();
    // Its number is known before its program runs, so that its name may still be the shell's.
    let left = format!("KillMode=process leaves {pid} (");
    let (code, text) = said(bench.run(&["stop", "km"]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with(&format!("km: stopped; {left}")), "{text}");
    let (_, text) = said(bench.run(&["status", "km"]));
    assert!(text.contains(&left), "{text}");
    assert!(!text.contains("nothing of it is left"), "{text}");
    let (_, text) = said(bench.run(&["stop", "km"]));
    assert!(
        text.starts_with(&format!("km: is already down; {left}")),
        "{text}"
    );
    let (code, text) = said(bench.run(&["kill"]));
    assert!(code == Some(0) && text.contains(&left), "{text}");
    assert!(!text.contains("no service is left"), "{text}");
    assert!(exists(pid.parse().unwrap()));
    kill(&pid);
}

#[test]
fn who_lives_on_after_a_stop_is_named() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    is_named_after_a_stop(&bench);
    assert!(daemon.ended().success());
    let bench = Bench::new();
    let mut daemon = without_cgroups(&bench);
    is_named_after_a_stop(&bench);
    assert!(daemon.ended().success());
}

#[test]
fn kill_says_who_lives_on() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    bench.service("none", "", PAIR, "KillMode = \"none\"");
    bench.service("plain", "", "exec sleep 1003", "");
    let stubborn = "trap '' TERM; echo $$ > $EAR; while read line < $EAR.hold; do :; done";
    diakonos::sys::files::make_fifo(&bench.path("ear.hold"), 0o600, None).unwrap();
    bench.service(
        "stubborn",
        "",
        stubborn,
        "SendSIGKILL = false\nTimeoutStopSec = 1",
    );
    assert!(bench.run(&["start", "none", "plain"]).status.success());
    let child = ear.next().unwrap();
    assert!(bench.run(&["start", "stubborn"]).status.success());
    let main = ear.next().unwrap();
    let other = bench.status("none").pid.unwrap().to_string();
    let (code, text) = said(bench.run(&["kill"]));
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("none: stopped; KillMode=none leaves "),
        "{text}"
    );
    assert!(text.contains(&format!("{child} (")), "{text}");
    assert!(text.contains(&format!("{other} (")), "{text}");
    assert!(
        text.contains(&format!("could not be ended (SendSIGKILL=no): {main} (")),
        "{text}"
    );
    assert!(!text.contains("no service is left"), "{text}");
    assert!(daemon.ended().success());
    for pid in [&child, &other, &main] {
        kill(pid);
    }
}
