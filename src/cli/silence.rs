//! A daemon that holds its home and does not answer: who that is, and what helps.
//!
//! Whose number the lock's file or the socket has may be dead: a guardian then holds both and has made no successor.

use crate::daemon::Home;
use crate::sys::proc;

use super::exit::{Exit, Failure};
use super::text::span;

/// Nobody has answered within this time.
pub(super) fn silence(home: &Home, waited_ms: u64) -> Failure {
    let holders = proc::writers(&home.lock());
    let named: Vec<String> = holders.iter().map(|pid| format!("PID {pid}")).collect();
    let named = match named.is_empty() {
        true => String::new(),
        false => format!(" ({})", named.join(", ")),
    };
    let (root, waited) = (home.root().display(), span(waited_ms));
    let message = format!("the daemon of {root}{named} did not answer within {waited}");
    let is_stopped = |pid| proc::stat(pid).is_ok_and(|stat| stat.is_stopped());
    let hint = match holders.into_iter().find(|pid| is_stopped(*pid)) {
        Some(pid) => format!("a signal has stopped PID {pid}: `kill -CONT {pid}` lets it go on"),
        None => format!(
            "it is not replaced while it lives, and its services run on; its log is {}",
            home.own_log().display()
        ),
    };
    Failure::new(Exit::NoDaemon, message).hint(hint)
}
