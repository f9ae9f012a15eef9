//! Copies of this process that go on with its own program, for the guardian, and what becomes of one by exec.
//!
//! Owns the making of them. A program for a service is started by `spawn`, not from here.

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
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

/// Has a copy of this process write a file out to the disk, which may take long, and end: with status 0 once it is
/// there. The copy holds nothing else that is open here, but for Linux before 5.9, where it holds everything.
///
/// # Errors
/// As for [`fork`].
pub fn sync_aside(file: BorrowedFd<'_>) -> io::Result<(Pid, PidFd)> {
    match fork()? {
        Fork::Parent(pid, pidfd) => Ok((pid, pidfd)),
        Fork::Child => {
            // SAFETY: two integers; what was known as 0 is this copy's own.
            let is_held = unsafe { libc::dup2(file.as_raw_fd(), 0) } == 0;
            // SAFETY: three integers; nobody uses a descriptor of this copy again, but for 0.
            unsafe { libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0) };
            // SAFETY: an integer.
            let is_synced = is_held && unsafe { libc::fsync(0) } == 0;
            // SAFETY: an integer. Nothing of what the other process would do at its end is done.
            unsafe { libc::_exit(i32::from(!is_synced)) }
        }
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::File;
    use std::os::fd::AsFd;

    use super::super::poll;
    use super::super::process::Wait;
    use super::*;

    fn status(file: BorrowedFd<'_>) -> i32 {
        let (_, pidfd) = sync_aside(file).unwrap();
        poll::wait_readable(&[pidfd.as_fd()], None).unwrap();
        match pidfd.wait().unwrap() {
            Wait::Exited(status) => status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_written_out_and_what_is_none_is_not() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(status(file.as_fd()), 0);
        let (reader, _writer) = super::super::files::pipe().unwrap();
        assert_eq!(status(reader.as_fd()), 1);
    }
}
