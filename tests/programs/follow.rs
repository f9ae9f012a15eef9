//! Lines of a file or a pipe as they come, each waited for with a deadline.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::files;
use diakonos::sys::inotify::{BUFFER_BYTES, Inotify, Watch};
use diakonos::sys::poll::wait_readable;

/// How long anything may take on a machine that is busy with other tests, in milliseconds.
const PATIENCE_MS: u64 = 120_000;

/// A moment by which something has to have happened.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(u64);

impl Deadline {
    pub(crate) fn new() -> Self {
        Self(monotonic_ms() + PATIENCE_MS)
    }

    /// Waits until `fd` is readable; `false` at the deadline.
    pub(crate) fn wait(self, fd: BorrowedFd<'_>) -> bool {
        let left = self.0.saturating_sub(monotonic_ms());
        wait_readable(&[fd], Some(left)).unwrap()[0]
    }
}

/// What is read from.
enum From {
    /// Grows; a change of its folder or of itself wakes us.
    Growing(File, Inotify),
    Pipe(File),
}

/// The lines of a file that grows, or of a pipe.
pub(crate) struct Lines {
    from: From,
    bytes: Vec<u8>,
    /// All that was read, for the message of a failure.
    seen: Vec<String>,
}

impl Lines {
    /// Follows a file from its beginning; it need not be there yet, its folder has to.
    pub(crate) fn of_file(path: &Path) -> Self {
        let inotify = Inotify::new().unwrap();
        let deadline = Deadline::new();
        inotify
            .watch(path.parent().unwrap(), Watch::Created)
            .unwrap();
        let file = loop {
            match File::open(path) {
                Ok(file) => break file,
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{}", path.display()),
            }
            let name = path.display();
            assert!(deadline.wait(inotify.as_fd()), "{name} does not appear");
            inotify.read(&mut vec![0; BUFFER_BYTES]).unwrap();
        };
        inotify.watch(path, Watch::Modified).unwrap();
        Self::from(From::Growing(file, inotify))
    }

    pub(crate) fn of_pipe(file: File) -> Self {
        files::set_nonblocking(file.as_fd()).unwrap();
        Self::from(From::Pipe(file))
    }

    fn from(from: From) -> Self {
        let (bytes, seen) = (Vec::new(), Vec::new());
        Self { from, bytes, seen }
    }

    /// The first line from here on that contains all of `parts`.
    pub(crate) fn until(&mut self, parts: &[&str]) -> String {
        let deadline = Deadline::new();
        loop {
            let line = self.next(deadline, parts);
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
        }
    }

    fn next(&mut self, deadline: Deadline, parts: &[&str]) -> String {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                self.seen.push(line.clone());
                return line;
            }
            let mut chunk = [0; 4096];
            let (length, fd) = match &mut self.from {
                From::Growing(file, inotify) => {
                    // Changes that are told after this are looked at again, so none is missed.
                    let _ = inotify.read(&mut vec![0; BUFFER_BYTES]);
                    (file.read(&mut chunk).unwrap(), (*inotify).as_fd())
                }
                From::Pipe(file) => match file.read(&mut chunk) {
                    Ok(0) => panic!("ended without {parts:?}:\n{}", self.seen.join("\n")),
                    Ok(length) => (length, (*file).as_fd()),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        (0, (*file).as_fd())
                    }
                },
            };
            if length == 0 {
                let seen = || self.seen.join("\n");
                assert!(
                    deadline.wait(fd),
                    "no line with {parts:?} after\n{}",
                    seen()
                );
            }
            self.bytes.extend_from_slice(&chunk[..length]);
        }
    }
}
