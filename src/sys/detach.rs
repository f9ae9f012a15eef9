//! Starting the daemon in the background, for the client.
//!
//! Owns the double fork: the new process is no child of ours nor of the shell's job, leads a session of its own,
//! and lives in `/`. Does not wait until the daemon is ready: that comes through the descriptor that it is given.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use nix::libc;
use rustix::pipe::{PipeFlags, pipe_with};

use super::child::{self, Plan};
use super::files;
use super::process::{Directory, Pid, Spawn, Stdio};
use super::spawn::{Prepared, REPORT_LENGTH, SignalsBlocked, decode_report, lifted};

/// In the first place of a report: the second is a PID. Steps count from 1.
const PID_FOLLOWS: i32 = 0;
const UMASK: u32 = 0o022;

/// What to start in the background.
#[derive(Debug)]
pub struct Detached<'a> {
    /// A path; no search along `PATH` is made.
    pub program: CString,
    /// With the program's own name first.
    pub argv: Vec<CString>,
    /// `NAME=value`; the whole environment.
    pub environment: Vec<CString>,
    /// Its standard output and standard error. Its standard input is `/dev/null`.
    pub output: BorrowedFd<'a>,
    /// What it finds as descriptor 3, the write end of a pipe on which it says that it is ready. Ours is closed, so
    /// that the reader sees the end of the file when the daemon ends early.
    pub ready: OwnedFd,
}

/// Starts the program. When this returns it has been executed.
///
/// # Errors
/// What fork(2) or the step that failed gave, execve(2) above all.
pub fn start_detached(detached: Detached<'_>) -> io::Result<Pid> {
    let spawn = Spawn {
        program: detached.program,
        argv: detached.argv,
        environment: detached.environment,
        directory: Some(Directory {
            path: c"/".into(),
            optional: false,
        }),
        identity: None,
        umask: UMASK,
        stdin: Stdio::Null,
        stdout: Stdio::Fd(detached.output),
        stderr: Stdio::SameAsStdout,
        cgroup: None,
        nofile: None,
    };
    let (reports, report) = pipe_with(PipeFlags::CLOEXEC)?;
    let report = lifted(report.as_fd())?;
    let ready = lifted(detached.ready.as_fd())?;
    let prepared = Prepared::new(&spawn)?;
    let plan = Plan {
        passed: Some(ready.as_raw_fd()),
        ..prepared.plan(&spawn, report.as_raw_fd())
    };
    fork_twice(&plan)?;
    drop((report, ready));
    read_reports(reports.as_fd())
}

/// Makes a grandchild that becomes the program, and reaps the child between.
fn fork_twice(plan: &Plan<'_>) -> io::Result<()> {
    let _blocked = SignalsBlocked::new();
    // SAFETY: the child only forks again, reports and exits; the grandchild calls `child::run`. Both make only system
    // calls and never return.
    let between = unsafe { libc::fork() };
    if between == 0 {
        // SAFETY: as above.
        match unsafe { libc::fork() } {
            0 => child::run(plan),
            pid if pid > 0 => {
                child::report(plan.report, PID_FOLLOWS, pid);
                child::exit(0)
            }
            _ => child::exit(1),
        }
    }
    if between < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the child is ours; its status is not asked for.
    while unsafe { libc::waitpid(between, ptr::null_mut(), 0) } < 0 {
        // Anything else means that it is gone: one whose SIGCHLD is ignored is reaped by the kernel.
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            break;
        }
    }
    Ok(())
}

/// Reads until the pipe closes, which is when the program has been executed.
fn read_reports(reports: BorrowedFd<'_>) -> io::Result<Pid> {
    let mut started = None;
    let mut record = [0_u8; REPORT_LENGTH];
    while files::read_into(reports, &mut record)? == REPORT_LENGTH {
        match decode_report(record) {
            (PID_FOLLOWS, pid) => started = Pid::from_kernel(pid.into()),
            (_, errno) => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
    // No PID: the second fork failed, and the only one who knew why is gone.
    started.ok_or_else(|| io::Error::from_raw_os_error(libc::EAGAIN))
}
