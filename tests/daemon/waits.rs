//! Waits for what no event tells of, or not to everybody.

use std::fs;
use std::os::fd::AsFd;

use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::inotify::{Inotify, Watch};
use diakonos::sys::poll::wait_readable;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::sys::{files, proc};

use crate::harness::{Bench, Deadline, PATIENCE_MS};

/// How long nobody looks, where nothing tells.
const GLANCE_MS: u64 = 20;

const SIGSTOP: i32 = 19;
pub(crate) const SIGCONT: i32 = 18;

/// Looks again and again, where nothing tells; panics with `what` when that was in vain.
pub(crate) fn comes(what: &str, mut is_there: impl FnMut() -> bool) {
    let deadline_ms = monotonic_ms() + PATIENCE_MS;
    let (never, _writer) = files::pipe().unwrap();
    while !is_there() {
        assert!(monotonic_ms() < deadline_ms, "in vain: {what}");
        wait_readable(&[never.as_fd()], Some(GLANCE_MS)).unwrap();
    }
}

/// Has a daemon that has nothing to do stand still: whatever comes meanwhile it finds all at once when it goes on. A
/// signal alone takes its time, and a daemon in the midst of a turn has looked already who wants something.
pub(crate) fn stand_still(pid: Pid) -> PidFd {
    let is = |state| move || proc::stat(pid).unwrap().state == state;
    comes("the daemon sleeps", is('S'));
    let process = PidFd::open(pid).unwrap();
    process.signal(SIGSTOP).unwrap();
    comes("the daemon stands still", is('T'));
    process
}

/// Waits until this is in the log of a service that was started: what it has written is not there at once.
pub(crate) fn until_logged(bench: &Bench, name: &str, text: &str) {
    let path = bench.home().join(format!("logs/{name}.log"));
    // Its program may run before its log is made.
    comes("a log", || path.exists());
    let news = Inotify::new().unwrap();
    news.watch(&path, Watch::Modified).unwrap();
    let deadline = Deadline::new();
    loop {
        let log = fs::read_to_string(&path).unwrap();
        if log.contains(text) {
            return;
        }
        deadline.wait(news.as_fd(), &|| format!("`{text}` in the log:\n{log}"));
        news.read(&mut [0; 4096]).unwrap();
    }
}
