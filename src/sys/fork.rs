//! Copies of this process that go on with its own program, for the guardian, and what becomes of one by exec.
//!
//! Owns the making of them. A program for a service is started by `spawn`, not from here.

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char};
use std::io;
use std::ptr;

use nix::libc;

use super::process::{Pid, PidFd};

/// Which of the two we are.
#[derive(Debug)]
pub enum Fork {
    Child,
    /// The child and the handle on it.
    Parent(Pid, PidFd),
}

/// Makes a copy of this process, which must have no other thread. All that is open is open in both.
///
/// # Errors
/// What fork(2) and pidfd_open(2) give; then there is no child.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: no other thread exists, so that no lock is held by one that the child does not have.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        return Ok(Fork::Child);
    }
    let Some(child) = Pid::from_kernel(pid.into()) else {
        return Err(io::Error::last_os_error());
    };
    PidFd::open(child)
        .map(|pidfd| Fork::Parent(child, pidfd))
        .inspect_err(|_| {
            // SAFETY: it is our child and not reaped, so the number is its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            // SAFETY: its status is not asked for.
            unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
        })
}

/// Makes us the leader of a process group of our own, so that a Ctrl-C on the terminal is not meant for us, and lets us
/// write to that terminal all the same.
pub fn leave_foreground() {
    // SAFETY: two integers. It fails only for a session's leader, which is in no foreground group but its own.
    unsafe { libc::setpgid(0, 0) };
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
}

/// Becomes another program with the present environment; what is open and not close-on-exec stays open.
///
/// # Errors
/// What execve(2) gives; then nothing has changed.
pub fn become_program(program: &CStr, words: &[CString]) -> io::Result<Infallible> {
    let mut argv: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
    argv.push(ptr::null());
    // SAFETY: the program is a C string; the vector ends with a null and points to C strings that live through the
    // call.
    unsafe { libc::execv(program.as_ptr(), argv.as_ptr()) };
    Err(io::Error::last_os_error())
}
