//! What poll(2) tells of a few descriptors: blocking waits for clients, and a question that does not wait. The daemon
//! has its own loop and never waits here.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

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
        let rest = deadline_ms.map(rest_until);
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

/// Whether nobody is at the other end any more, or something is wrong with it.
#[must_use]
pub fn has_hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(fd, PollFlags::empty())];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    retry_on_intr(|| poll(&mut asked, Some(&at_once))).is_ok_and(|count| count > 0)
}

/// Whether a write to the descriptor would not block now: there is room (in a pipe for `PIPE_BUF` bytes at least), or
/// the write would fail.
///
/// # Errors
/// `ENOMEM`.
pub fn is_writable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut asked = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    retry_on_intr(|| poll(&mut asked, Some(&at_once)))?;
    Ok(!asked[0].revents().is_empty())
}

/// What [`wait_writable_or_readable`] waits for has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// As [`is_writable`].
    Room,
    Data,
}

/// Waits until a write to `out` would not block, or `other` can be read; the room counts where both have come.
///
/// # Errors
/// `ENOMEM`.
pub fn wait_writable_or_readable(out: BorrowedFd<'_>, other: BorrowedFd<'_>) -> io::Result<Came> {
    let mut asked = [
        PollFd::from_borrowed_fd(out, PollFlags::OUT),
        PollFd::from_borrowed_fd(other, PollFlags::IN),
    ];
    retry_on_intr(|| poll(&mut asked, None))?;
    Ok(if asked[0].revents().is_empty() {
        Came::Data
    } else {
        Came::Room
    })
}

/// What [`wait_readable_while_heard`] waits for has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Data,
    /// Nobody reads any more what is written to the other descriptor.
    Nobody,
    /// The time is over.
    Nothing,
}

/// Waits until `fd` can be read, or nobody is left at the other end of `out`, at most `timeout_ms` milliseconds.
///
/// # Errors
/// `ENOMEM`.
pub fn wait_readable_while_heard(
    fd: BorrowedFd<'_>,
    out: BorrowedFd<'_>,
    timeout_ms: Option<u64>,
) -> io::Result<Heard> {
    let deadline_ms = timeout_ms.map(|timeout_ms| clock::monotonic_ms().saturating_add(timeout_ms));
    loop {
        let mut asked = [
            PollFd::from_borrowed_fd(fd, PollFlags::IN),
            // An error or a hangup is told unasked.
            PollFd::from_borrowed_fd(out, PollFlags::empty()),
        ];
        let rest = deadline_ms.map(rest_until);
        match poll(&mut asked, rest.as_ref()) {
            Ok(0) => return Ok(Heard::Nothing),
            Ok(_) if asked[0].revents().is_empty() => return Ok(Heard::Nobody),
            Ok(_) => return Ok(Heard::Data),
            Err(rustix::io::Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
    }
}

fn rest_until(deadline_ms: u64) -> Timespec {
    let rest_ms = deadline_ms.saturating_sub(clock::monotonic_ms());
    Timespec {
        tv_sec: i64::try_from(rest_ms / 1_000).unwrap_or(i64::MAX),
        // Below a thousand million, so it fits everywhere.
        tv_nsec: (rest_ms % 1_000 * 1_000_000).try_into().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::os::fd::AsFd;

    use super::super::files;
    use super::super::testing::alone;
    use super::*;

    #[test]
    fn a_full_pipe_does_not_keep_from_hearing() {
        alone(
            "sys::poll::tests::a_full_pipe_does_not_keep_from_hearing",
            || {
                let (reader, full) = files::pipe().unwrap();
                let (data, data_writer) = files::pipe().unwrap();
                let wait = || wait_writable_or_readable(full.as_fd(), data.as_fd()).unwrap();
                rustix::io::write(&data_writer, b"x").unwrap();
                assert_eq!(wait(), Came::Room);
                files::set_nonblocking(full.as_fd()).unwrap();
                while rustix::io::write(&full, &[0; 4096]).is_ok() {}
                assert_eq!(wait(), Came::Data);
                drop(reader);
                assert_eq!(wait(), Came::Room);
            },
        );
    }

    #[test]
    fn data_and_the_end_of_file_can_be_read() {
        alone(
            "sys::poll::tests::data_and_the_end_of_file_can_be_read",
            || {
                let (quiet, quiet_writer) = files::pipe().unwrap();
                let (busy, busy_writer) = files::pipe().unwrap();
                rustix::io::write(&busy_writer, b"x").unwrap();
                let both = [quiet.as_fd(), busy.as_fd()];
                assert_eq!(wait_readable(&both, None).unwrap(), [false, true]);
                assert_eq!(wait_readable(&both, Some(u64::MAX)).unwrap(), [false, true]);
                drop(quiet_writer);
                assert_eq!(wait_readable(&both, None).unwrap(), [true, true]);
            },
        );
    }

    #[test]
    fn a_pipe_is_writable_until_it_is_full() {
        alone(
            "sys::poll::tests::a_pipe_is_writable_until_it_is_full",
            || {
                let (reader, writer) = files::pipe().unwrap();
                let mut pages = 0;
                while is_writable(writer.as_fd()).unwrap() {
                    assert_eq!(rustix::io::write(&writer, &[0; 4096]), Ok(4096));
                    pages += 1;
                }
                assert!(pages > 0);
                drop(reader);
                assert!(is_writable(writer.as_fd()).unwrap());
            },
        );
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
