//! A blocking wait on a few descriptors, poll(2), for clients. The daemon has its own loop and never waits here.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::clock;

/// Waits until one of the descriptors can be read without blocking (data, end of file or an error), at most
/// `timeout_ms` milliseconds. For each descriptor: whether it can be. All false: the time is over.
///
/// # Errors
/// `ENOMEM`, `EINVAL` for more descriptors than may be open.
pub fn wait_readable(fds: &[BorrowedFd<'_>], timeout_ms: Option<u64>) -> io::Result<Vec<bool>> {
    let deadline_ms = timeout_ms.map(|timeout_ms| clock::monotonic_ms().saturating_add(timeout_ms));
    let mut waits: Vec<PollFd<'_>> = fds
        .iter()
        .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
        .collect();
    loop {
        let rest = deadline_ms.map(|deadline_ms| {
            let rest_ms = deadline_ms.saturating_sub(clock::monotonic_ms());
            Timespec {
                tv_sec: i64::try_from(rest_ms / 1_000).unwrap_or(i64::MAX),
                // Below a thousand million, so it fits everywhere.
                tv_nsec: (rest_ms % 1_000 * 1_000_000).try_into().unwrap_or(0),
            }
        });
        match poll(&mut waits, rest.as_ref()) {
            Ok(_) => {
                return Ok(waits
                    .iter()
                    .map(|wait| !wait.revents().is_empty())
                    .collect());
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::os::fd::AsFd;

    use super::super::files;
    use super::*;

    #[test]
    fn data_and_the_end_of_file_can_be_read() {
        let (quiet, quiet_writer) = files::pipe().unwrap();
        let (busy, busy_writer) = files::pipe().unwrap();
        rustix::io::write(&busy_writer, b"x").unwrap();
        let both = [quiet.as_fd(), busy.as_fd()];
        assert_eq!(wait_readable(&both, None).unwrap(), [false, true]);
        assert_eq!(wait_readable(&both, Some(u64::MAX)).unwrap(), [false, true]);
        drop(quiet_writer);
        assert_eq!(wait_readable(&both, None).unwrap(), [true, true]);
    }

    #[test]
    fn the_time_passes_when_nothing_comes() {
        let (quiet, _writer) = files::pipe().unwrap();
        let before_ms = clock::monotonic_ms();
        assert_eq!(wait_readable(&[quiet.as_fd()], Some(30)).unwrap(), [false]);
        assert!(clock::monotonic_ms() >= before_ms + 29);
        assert!(wait_readable(&[], Some(0)).unwrap().is_empty());
    }
}
