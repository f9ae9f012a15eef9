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

use super::birth::SignalsBlocked;
use super::child::{self, Plan};
use super::files;
use super::process::{Directory, Pid, Setting, Spawn, Stdio};
use super::spawn::{Prepared, lifted};
use super::step::{REPORT_LENGTH, decode_report};

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
    /// Its standard output; without one it is `/dev/null`, as its standard input is.
    pub output: Option<BorrowedFd<'a>>,
    pub errors: BorrowedFd<'a>,
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
        stdout: detached.output.map_or(Stdio::Null, Stdio::Fd),
        stderr: Stdio::Fd(detached.errors),
        cgroup: None,
        nofile: None,
        lock_limit: None,
        setting: Setting::default(),
    };
    let (reports, low_report) = pipe_with(PipeFlags::CLOEXEC)?;
    let report = lifted(low_report.as_fd())?;
    let ready = lifted(detached.ready.as_fd())?;
    let prepared = Prepared::new(&spawn)?;
    let plan = Plan {
        passed: Some(ready.as_raw_fd()),
        ..prepared.plan(&spawn, report.as_raw_fd())
    };
    fork_twice(&plan)?;
    // While one copy of the write end is ours, the reader would wait for us.
    drop((low_report, report));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::fs::{self, File};

    use super::super::process::{PidFd, Wait, become_subreaper};
    use super::super::testing::{Scratch, alone, await_end, c, read_all};
    use super::super::{proc, signals};
    use super::*;

    fn detached<'a>(script: &str, output: BorrowedFd<'a>, ready: OwnedFd) -> Detached<'a> {
        Detached {
            program: c("/bin/sh"),
            argv: vec![c("sh"), c("-c"), c(script)],
            environment: vec![c("PATH=/usr/bin:/bin"), c("COLOUR=blue")],
            output: Some(output),
            errors: output,
            ready,
        }
    }

    #[test]
    fn the_program_runs_by_itself_and_says_that_it_is_ready() {
        alone(
            "sys::detach::tests::the_program_runs_by_itself_and_says_that_it_is_ready",
            || {
                // So that it comes to us and can be reaped.
                become_subreaper().unwrap();
                signals::ignore_failed_writes();
                let scratch = Scratch::new();
                let output = File::create(scratch.path("output")).unwrap();
                let (reader, ready) = files::pipe().unwrap();
                let script = "pwd; echo $COLOUR; echo oops >&2; ls /proc/self/fd; echo ready >&3; \
                          exec 3>&-; exec sleep 1000";
                let pid = start_detached(detached(script, output.as_fd(), ready)).unwrap();
                assert_eq!(read_all(reader.as_fd()), "ready\n");
                let stat = proc::stat(pid).unwrap();
                assert_eq!(stat.session, Some(pid));
                assert_eq!(stat.pgrp, Some(pid));
                assert_eq!(proc::children(Pid::current()).unwrap(), [pid]);
                let process = PidFd::open(pid).unwrap();
                process.signal(libc::SIGTERM).unwrap();
                let expected = Wait::Signaled {
                    signal: libc::SIGTERM,
                    core: false,
                };
                assert_eq!(await_end(&process), expected);
                let said = fs::read_to_string(scratch.path("output")).unwrap();
                // The descriptors are the streams, the readiness pipe and the directory that ls reads.
                assert_eq!(said, "/\nblue\noops\n0\n1\n2\n3\n4\n");
            },
        );
    }

    #[test]
    fn a_program_that_cannot_be_executed_is_an_error() {
        alone(
            "sys::detach::tests::a_program_that_cannot_be_executed_is_an_error",
            || {
                become_subreaper().unwrap();
                let (reader, ready) = files::pipe().unwrap();
                let output = File::open("/dev/null").unwrap();
                let asked = Detached {
                    program: c("/missing"),
                    ..detached("", output.as_fd(), ready)
                };
                let error = start_detached(asked).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::NotFound);
                assert_eq!(read_all(reader.as_fd()), "");
                for child in proc::children(Pid::current()).unwrap() {
                    assert_eq!(await_end(&PidFd::open(child).unwrap()), Wait::Exited(127));
                }
            },
        );
    }
}
