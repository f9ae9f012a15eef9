//! What one program leaves to the next that the same process becomes: open descriptors, a note in memory, and where
//! the next one lies.
//!
//! Owns the wrappers. Becoming the program is `fork`'s, and what is in the note the caller's.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};

/// Whether a descriptor outlives the next exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exec {
    Keeps,
    Closes,
}

/// A file without a name, in memory; closed by exec.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOMEM`.
pub fn memory_file(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// # Errors
/// None that a descriptor can have that is open.
pub fn at_exec(fd: BorrowedFd<'_>, exec: Exec) -> io::Result<()> {
    let flags = match exec {
        Exec::Keeps => FdFlags::empty(),
        Exec::Closes => FdFlags::CLOEXEC,
    };
    Ok(fcntl_setfd(fd, flags)?)
}

/// Where the program lies that this process runs, or lay: another one may be there by now.
///
/// # Errors
/// What reading /proc/self/exe gives, proc(5).
pub fn own_program() -> io::Result<PathBuf> {
    let path = std::fs::read_link("/proc/self/exe")?;
    let text = path.to_str().filter(|_| !path.exists());
    let named = text.and_then(|text| text.strip_suffix(" (deleted)"));
    Ok(named.map_or_else(|| path.clone(), PathBuf::from))
}

/// Which file lies there, and in which state: another number when it is replaced or written.
///
/// # Errors
/// As stat(2).
pub fn file_state(path: &Path) -> io::Result<[i64; 5]> {
    let found = std::fs::metadata(path)?;
    let number = |value: u64| i64::from_ne_bytes(value.to_ne_bytes());
    Ok([
        number(found.dev()),
        number(found.ino()),
        number(found.size()),
        found.mtime(),
        found.mtime_nsec(),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::os::fd::AsFd;

    use super::super::testing::alone;
    use super::*;

    #[test]
    fn what_is_kept_is_open_in_the_next_program_and_nothing_else() {
        alone(
            "sys::image::tests::what_is_kept_is_open_in_the_next_program_and_nothing_else",
            || {
                let file = memory_file("note").unwrap();
                let list = |exec| {
                    at_exec(file.as_fd(), exec).unwrap();
                    let mut list = std::process::Command::new("/bin/ls");
                    let output = list.args(["-l", "/proc/self/fd"]).output().unwrap();
                    String::from_utf8(output.stdout).unwrap()
                };
                assert!(list(Exec::Keeps).contains("/memfd:note"));
                assert!(!list(Exec::Closes).contains("/memfd:note"));
            },
        );
    }

    #[test]
    fn the_own_program_is_found() {
        assert_eq!(own_program().unwrap(), std::env::current_exe().unwrap());
        assert!(file_state(&own_program().unwrap()).is_ok());
    }
}
