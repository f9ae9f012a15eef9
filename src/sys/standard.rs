//! Our own standard output and standard error, led elsewhere.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::unistd::{dup2_stderr, dup2_stdout};
use rustix::fs::fstat;

/// Leads whichever of standard output and standard error is open on the file `held` to `next`: what the runtime prints
/// of a crash, and what a process that is born of this one prints, goes there from now on.
///
/// # Errors
/// None that is known for open descriptors.
pub fn redirect(held: &File, next: &File) -> io::Result<()> {
    let held = id(held.as_fd())?;
    // One that is closed is not led anywhere.
    if id(io::stdout().as_fd()).is_ok_and(|id| id == held) {
        dup2_stdout(next)?;
    }
    if id(io::stderr().as_fd()).is_ok_and(|id| id == held) {
        dup2_stderr(next)?;
    }
    Ok(())
}

fn id(fd: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let found = fstat(fd)?;
    Ok((found.st_dev, found.st_ino))
}
