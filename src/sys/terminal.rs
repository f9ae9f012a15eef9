//! Whether a descriptor is a terminal, and how large it is.

use std::io::IsTerminal;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// Whether a person may be looking.
#[must_use]
pub fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    fd.is_terminal()
}

/// Columns of the terminal; `None` when it is none or does not know.
#[must_use]
pub fn width(fd: BorrowedFd<'_>) -> Option<u16> {
    size(fd)
        .map(|size| size.ws_col)
        .filter(|columns| *columns > 0)
}

/// Rows of the terminal; `None` when it is none or does not know.
#[must_use]
pub fn height(fd: BorrowedFd<'_>) -> Option<u16> {
    size(fd).map(|size| size.ws_row).filter(|rows| *rows > 0)
}

fn size(fd: BorrowedFd<'_>) -> Option<libc::winsize> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the descriptor is open and `size` is what this request fills in.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (result == 0).then_some(size)
}
