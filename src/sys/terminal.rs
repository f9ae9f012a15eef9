//! How wide a terminal is.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// Columns of the terminal; `None` when it is none or does not know.
#[must_use]
pub fn width(fd: BorrowedFd<'_>) -> Option<u16> {
    size(fd)
        .map(|size| size.ws_col)
        .filter(|columns| *columns > 0)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::fs::File;
    use std::os::fd::AsFd;

    use super::super::files;
    use super::*;

    #[test]
    fn a_pipe_is_no_terminal() {
        let (reader, _writer) = files::pipe().unwrap();
        assert_eq!(width(reader.as_fd()), None);
    }

    #[test]
    fn a_terminal_has_the_width_that_it_was_given() {
        let terminal = File::options()
            .read(true)
            .write(true)
            .open("/dev/ptmx")
            .unwrap();
        assert_eq!(width(terminal.as_fd()), None);
        let size = libc::winsize {
            ws_row: 50,
            ws_col: 132,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: the descriptor is open and `size` is what this request reads.
        unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(width(terminal.as_fd()), Some(132));
    }
}
