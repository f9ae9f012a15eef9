//! A clock that interrupts our own system calls: what would wait, and may be left undone, does not wait.
//!
//! Owns the timer of the process and the handler of its signal, which does nothing.

use std::mem::zeroed;
use std::ptr;

use nix::libc;

/// How long a system call may wait, in microseconds: long enough for what takes no time on a busy machine.
const PATIENCE_USEC: libc::suseconds_t = 1_000;

/// While it lives, SIGALRM comes again and again. A connection that lingers is then left to the kernel, socket(7),
/// `SO_LINGER`; what cannot be interrupted waits all the same.
pub(super) struct Alarm(());

extern "C" fn nothing(_signal: libc::c_int) {}

impl Alarm {
    pub(super) fn new() -> Self {
        let handler: extern "C" fn(libc::c_int) = nothing;
        // SAFETY: both structs are plain data, for which zeroes are valid, and outlive the calls. The handler touches
        // nothing, so that it may run at any moment.
        unsafe {
            let mut action: libc::sigaction = zeroed();
            action.sa_sigaction = handler as libc::sighandler_t;
            libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut());
            let mut signals: libc::sigset_t = zeroed();
            libc::sigemptyset(&raw mut signals);
            libc::sigaddset(&raw mut signals, libc::SIGALRM);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const signals, ptr::null_mut());
        }
        every(PATIENCE_USEC);
        Self(())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        every(0);
    }
}

/// Sets the timer; 0 stops it.
fn every(usec: libc::suseconds_t) {
    let span = libc::timeval {
        tv_sec: 0,
        tv_usec: usec,
    };
    let timer = libc::itimerval {
        it_interval: span,
        it_value: span,
    };
    // SAFETY: the timer is ours and outlives the call; the old one is not asked for.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) };
}
