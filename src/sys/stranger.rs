//! How a process ended that is not our child: a predecessor started it, and somebody else reaps it.
//!
//! Owns the two ways to know: `/proc` has the status until the process is reaped, and the kernel keeps it for those who
//! hold a pidfd afterwards (since Linux 6.15).

use std::os::fd::AsRawFd;

use nix::libc;

use super::proc;
use super::process::{Pid, PidFd, Wait};

/// Looks how the process has ended, or whether it has. [`Wait::NotOurChild`]: it has, and nobody can say how.
#[must_use]
pub fn wait_for_stranger(pid: Pid, pidfd: &PidFd) -> Wait {
    let stat = proc::stat(pid).ok();
    // The number was still this process's when it was looked at, if the process has not been reaped by now.
    let stat = stat.filter(|_| !is_reaped(pidfd));
    match stat {
        Some(stat) if !stat.is_dead() => Wait::StillRunning,
        Some(stat) if may_look_into(pid) => decode(stat.wait_status),
        _ => kept_status(pidfd).map_or(Wait::NotOurChild, decode),
    }
}

fn is_reaped(pidfd: &PidFd) -> bool {
    let asked = pidfd.signal(0);
    asked.is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH))
}

/// Whether `/proc` tells us the truth about the status: for others it says 0. The link is guarded by the same right,
/// proc(5).
fn may_look_into(pid: Pid) -> bool {
    std::fs::read_link(format!("/proc/{pid}/ns/user")).is_ok()
}

/// `struct pidfd_info` of the kernel's first version.
#[repr(C)]
#[derive(Default)]
struct Information {
    mask: u64,
    cgroup: u64,
    /// Process, thread group and parent, and the eight ids of users and groups.
    ids: [u32; 11],
    status: i32,
}

/// `PIDFD_GET_INFO`: read and write, 64 bytes, number 11 of the pidfd's own.
const GET_INFO: u32 = 0xc040_ff0b;
/// `PIDFD_INFO_EXIT`.
const EXIT: u64 = 1 << 3;

/// The wait status of a process that has been reaped.
fn kept_status(pidfd: &PidFd) -> Option<i32> {
    const { assert!(size_of::<Information>() == 64) };
    let mut information = Information {
        mask: EXIT,
        ..Information::default()
    };
    // SAFETY: the descriptor is open, and the kernel writes at most the 64 bytes that the request names. What a kernel
    // does not know it refuses.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO as _, &raw mut information) };
    (result == 0 && information.mask & EXIT != 0).then_some(information.status)
}

/// As wait(2) lays it out.
fn decode(status: i32) -> Wait {
    match status & 0x7f {
        0 => Wait::Exited(status >> 8 & 0xff),
        signal => Wait::Signaled {
            signal,
            core: status & 0x80 != 0,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::io::Write;
    use std::os::fd::AsFd;

    use super::super::files;
    use super::super::process::{Spawn, Spawned, Stdio, spawn};
    use super::super::testing::{Scratch, await_end, await_readable, read_line, shell};
    use super::*;

    /// A grandchild that exits with 7 when it reads a line, and what its parent, our child, does meanwhile.
    fn grandchild(scratch: &Scratch, parent: &str) -> (Spawned, std::os::fd::OwnedFd, PidFd, Pid) {
        let fifo = scratch.path("fifo");
        files::make_fifo(&fifo, 0o600, None).unwrap();
        let (reader, writer) = files::pipe().unwrap();
        let script = format!(
            "sh -c 'echo $$; read line < {}; exit 7' & {parent}",
            fifo.display()
        );
        let child = spawn(&Spawn {
            stdout: Stdio::Fd(writer.as_fd()),
            ..shell(&script)
        })
        .unwrap();
        let pid = Pid::from_raw(read_line(reader.as_fd()).parse().unwrap()).unwrap();
        let pidfd = PidFd::open(pid).unwrap();
        assert_eq!(wait_for_stranger(pid, &pidfd), Wait::StillRunning);
        let mut both = std::fs::File::options();
        let mut line = both.read(true).write(true).open(&fifo).unwrap();
        line.write_all(b"\n").unwrap();
        await_readable(pidfd.as_fd());
        (child, reader, pidfd, pid)
    }

    fn end(child: &Spawned) {
        child.pidfd.signal(libc::SIGKILL).unwrap();
        await_end(&child.pidfd);
    }

    #[test]
    fn one_that_nobody_reaps_shows_its_status() {
        let scratch = Scratch::new();
        let (child, _reader, pidfd, pid) = grandchild(&scratch, "exec sleep 1000");
        assert_eq!(wait_for_stranger(pid, &pidfd), Wait::Exited(7));
        end(&child);
    }

    #[test]
    fn one_that_was_reaped_has_left_its_status() {
        let scratch = Scratch::new();
        let parent = "wait; echo reaped; exec sleep 1000";
        let (child, reader, pidfd, pid) = grandchild(&scratch, parent);
        assert_eq!(read_line(reader.as_fd()), "reaped");
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>());
        let version = (
            numbers.next().unwrap().unwrap(),
            numbers.next().unwrap().unwrap(),
        );
        let expected = if version >= (6, 15) {
            Wait::Exited(7)
        } else {
            Wait::NotOurChild
        };
        assert_eq!(wait_for_stranger(pid, &pidfd), expected);
        end(&child);
    }

    #[test]
    fn a_status_is_read_as_wait_has_it() {
        assert_eq!(decode(0x0700), Wait::Exited(7));
        let signaled = |signal, core| Wait::Signaled { signal, core };
        assert_eq!(decode(9), signaled(9, false));
        assert_eq!(decode(0x8b), signaled(11, true));
    }
}
