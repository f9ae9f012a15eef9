//! Signals to ourselves, read from a descriptor instead of being caught.
//!
//! Owns blocking and reading them. What a signal makes the daemon do is the daemon's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use nix::libc;

use super::files;
use super::process::{Pid, owned};

pub const SIGHUP: i32 = libc::SIGHUP;
pub const SIGINT: i32 = libc::SIGINT;
pub const SIGTERM: i32 = libc::SIGTERM;
pub const SIGCHLD: i32 = libc::SIGCHLD;

/// Bytes of `struct signalfd_siginfo`, signalfd(2).
const RECORD_BYTES: usize = 128;
/// Where in it the sender's PID lies; the signal's number is at the start.
const SENDER_OFFSET: usize = 12;

/// A signal that was sent to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub signal: i32,
    /// `None` when the kernel itself sent it, or somebody outside our PID namespace.
    pub pid: Option<Pid>,
}

/// A nonblocking descriptor that is readable when one of its signals has come, signalfd(2).
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks these signals for this thread, and for the threads it makes from now on, and opens the descriptor for
    /// them. They stay blocked when it is dropped. They get their default effect, since one that our starter had us
    /// ignore would never come, and children of a process that ignores `SIGCHLD` leave no exit status.
    ///
    /// # Errors
    /// `EINVAL` for a number that is no signal; `EMFILE`, `ENFILE`.
    pub fn new(signals: &[i32]) -> io::Result<Self> {
        let set = set(signals)?;
        mask(libc::SIG_BLOCK, &set)?;
        for signal in signals {
            // SAFETY: no handler is installed. It is blocked by now, so the default effect does not strike.
            unsafe { libc::signal(*signal, libc::SIG_DFL) };
        }
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, flags) };
        owned(fd.into()).map(Self)
    }

    /// The next signal that has come, `None` when there is none.
    ///
    /// # Errors
    /// What read(2) gives; `InvalidData` when the kernel's record is not whole.
    pub fn read(&self) -> io::Result<Option<Received>> {
        let mut record = [0_u8; RECORD_BYTES];
        match files::read_into(self.0.as_fd(), &mut record) {
            Ok(RECORD_BYTES) => {}
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        let number = |offset: usize| {
            let bytes = record.get(offset..).and_then(|rest| rest.first_chunk());
            bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
        };
        let signal = i32::try_from(number(0)).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Some(Received {
            signal,
            pid: Pid::from_raw(number(SENDER_OFFSET)),
        }))
    }
}

/// Signals that are read from a descriptor for a while; when it is dropped, they strike again as they do by default.
#[derive(Debug)]
pub struct Watched {
    fd: SignalFd,
    signals: Vec<i32>,
}

impl Watched {
    /// As [`SignalFd::new`].
    ///
    /// # Errors
    /// As [`SignalFd::new`].
    pub fn new(signals: &[i32]) -> io::Result<Self> {
        let fd = SignalFd::new(signals)?;
        let signals = signals.to_vec();
        Ok(Self { fd, signals })
    }

    /// As [`SignalFd::read`].
    ///
    /// # Errors
    /// As [`SignalFd::read`].
    pub fn read(&self) -> io::Result<Option<Received>> {
        self.fd.read()
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Watched {
    /// One that has come and was not read strikes here.
    fn drop(&mut self) {
        let _ = set(&self.signals).and_then(|set| mask(libc::SIG_UNBLOCK, &set));
    }
}

/// # Errors
/// `EINVAL` for a number that is no signal.
fn set(signals: &[i32]) -> io::Result<libc::sigset_t> {
    // SAFETY: a signal set is plain data, emptied before use.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours.
    unsafe { libc::sigemptyset(&raw mut set) };
    for signal in signals {
        // SAFETY: the set is ours; a number out of range is refused.
        if unsafe { libc::sigaddset(&raw mut set, *signal) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(set)
}

/// Changes this thread's mask.
fn mask(how: libc::c_int, set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: the set is initialised; the former mask is not asked for.
    match unsafe { libc::pthread_sigmask(how, set, ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A write that cannot be is from now on an error of the write, not our end: to a pipe or socket that nobody reads
/// (`EPIPE`), and beyond the limit on the size of files (`EFBIG`, setrlimit(2)). Programs that we start get the default
/// back.
pub fn ignore_failed_writes() {
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        // SAFETY: no handler is installed: the kernel is told to drop the signal.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::super::poll::wait_readable;
    use super::super::testing::{alone, await_readable};
    use super::*;

    /// To this thread, because the others of a test do not block it.
    fn raise(signal: i32) {
        // SAFETY: raise takes an integer; the signal is blocked.
        assert_eq!(unsafe { libc::raise(signal) }, 0);
    }

    #[test]
    fn signals_are_read_one_by_one() {
        alone("sys::signals::tests::signals_are_read_one_by_one", || {
            // As a starter may leave it.
            // SAFETY: no handler is installed.
            unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
            let signals = SignalFd::new(&[libc::SIGINT, libc::SIGTERM]).unwrap();
            assert_eq!(signals.read().unwrap(), None);
            assert_eq!(wait_readable(&[signals.as_fd()], Some(0)).unwrap(), [false]);
            raise(libc::SIGTERM);
            raise(libc::SIGINT);
            await_readable(signals.as_fd());
            let ours = Some(Pid::current());
            let mut found = [(); 2].map(|()| signals.read().unwrap().unwrap());
            found.sort_unstable_by_key(|received| received.signal);
            let expected = [libc::SIGINT, libc::SIGTERM];
            assert_eq!(found, expected.map(|signal| Received { signal, pid: ours }));
            assert_eq!(signals.read().unwrap(), None);
        });
    }

    #[test]
    fn what_is_no_longer_watched_strikes_again() {
        let name = "sys::signals::tests::what_is_no_longer_watched_strikes_again";
        alone(name, || {
            let watched = Watched::new(&[libc::SIGINT]).unwrap();
            raise(libc::SIGINT);
            await_readable(watched.as_fd());
            assert!(watched.read().unwrap().is_some());
            drop(watched);
            // SAFETY: a signal set is plain data.
            let mut now: libc::sigset_t = unsafe { std::mem::zeroed() };
            // SAFETY: only the mask as it is, is asked for.
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut now) };
            // SAFETY: the set was filled by the kernel.
            let blocked = unsafe { libc::sigismember(&raw const now, libc::SIGINT) };
            assert_eq!(blocked, 0);
        });
    }

    #[test]
    fn a_number_that_is_no_signal_is_refused() {
        for number in [0, -1, 65, i32::MAX] {
            let error = SignalFd::new(&[number]).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        }
    }

    #[test]
    fn a_broken_pipe_is_an_error_and_not_the_end() {
        alone(
            "sys::signals::tests::a_broken_pipe_is_an_error_and_not_the_end",
            || {
                // SAFETY: no handler is installed.
                unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
                ignore_failed_writes();
                let (reader, writer) = files::pipe().unwrap();
                drop(reader);
                assert_eq!(
                    rustix::io::write(&writer, b"x"),
                    Err(rustix::io::Errno::PIPE)
                );
            },
        );
    }
}
