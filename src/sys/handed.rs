//! What a program is handed at its birth beside the standard streams, sd_listen_fds(3): descriptors from number 3 on,
//! and variables that hold its own PID, which nobody knows before it is there.
//!
//! Owns both halves: what is prepared, and the system calls of the child.

use std::cell::Cell;
use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

use nix::libc;
use rustix::io::fcntl_dupfd_cloexec;

use super::child::place;
use super::parcel::{self, Parcel, Stowed};

/// The number of the first one.
pub(super) const FIRST: RawFd = 3;
/// The digits of a PID, and the zero after them.
const DIGITS: usize = 11;

/// By default nothing.
#[derive(Debug, Default)]
pub struct Handed {
    pub fds: Vec<Stowed>,
    /// Variables that are set to the process's PID.
    pub own_pid: Vec<CString>,
}

/// What the child needs of it.
#[derive(Debug)]
pub(super) struct Ready {
    /// Clear of the places that they go to.
    fds: Vec<Stowed>,
    /// `NAME=` and room for the number.
    entries: Vec<Box<[Cell<u8>]>>,
}

impl Handed {
    /// The first number that is free behind them.
    pub(super) fn end(&self) -> RawFd {
        FIRST.saturating_add(RawFd::try_from(self.fds.len()).unwrap_or(RawFd::MAX))
    }

    pub(super) fn ready(&self, above: RawFd) -> io::Result<Ready> {
        let lifted = |stowed: &Stowed| -> io::Result<Stowed> {
            let fd = fcntl_dupfd_cloexec(stowed, above)?;
            Ok(match stowed {
                Stowed::AsItIs(_) => Stowed::AsItIs(fd),
                Stowed::InFlight(_) => Stowed::InFlight(Parcel::from_owned(fd)),
            })
        };
        let entry = |name: &CString| {
            let mut bytes = name.as_bytes().to_vec();
            bytes.push(b'=');
            bytes.resize(bytes.len() + DIGITS, 0);
            bytes.into_iter().map(Cell::new).collect()
        };
        Ok(Ready {
            fds: self.fds.iter().map(lifted).collect::<io::Result<_>>()?,
            entries: self.own_pid.iter().map(entry).collect(),
        })
    }
}

impl Ready {
    /// The variables, as the environment has them.
    pub(super) fn entries(&self) -> impl Iterator<Item = *const c_char> {
        self.entries.iter().map(|entry| entry.as_ptr().cast())
    }

    /// In the child: puts the descriptors in their places and its number into the variables.
    pub(super) fn take_effect(&self) -> Result<(), i32> {
        for (stowed, target) in self.fds.iter().zip(FIRST..) {
            match stowed {
                Stowed::AsItIs(fd) => place(fd.as_raw_fd(), target)?,
                Stowed::InFlight(parcel) => unpack(parcel, target)?,
            }
        }
        // SAFETY: it has no arguments and always succeeds.
        let pid = unsafe { libc::getpid() }.unsigned_abs();
        for entry in &self.entries {
            write_digits(pid, entry);
        }
        Ok(())
    }
}

/// Takes out what is in flight, and where all below is taken, at once to its place: a second copy would be closed by
/// the exec, and its file system asked.
fn unpack(parcel: &Parcel, target: RawFd) -> Result<(), i32> {
    // SAFETY: an integer. What was known by it here is the parent's, and is not needed where something else is to be.
    unsafe { libc::close(target) };
    let fd = parcel::open(parcel).map_err(rustix::io::Errno::raw_os_error)?;
    place(fd.into_raw_fd(), target)
}

/// Writes a number into the last bytes of an entry, with a zero after it, which ends the string.
fn write_digits(number: u32, entry: &[Cell<u8>]) {
    let mut digits = [0_u8; DIGITS];
    let mut rest = number;
    let mut at = DIGITS - 1;
    loop {
        at -= 1;
        // Below ten, so it is one digit.
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 || at == 0 {
            break;
        }
    }
    let room = entry.iter().rev().take(DIGITS).rev();
    for (place, digit) in room.zip(&digits[at..]) {
        place.set(*digit);
    }
}
