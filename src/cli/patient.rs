//! The daemon's narration on its way out: it never waits for a reader.
//!
//! Owns what is dropped and how that is told. Where nobody reads (a full pipe, a terminal after Ctrl-S), a line is
//! dropped and counted, and the next line that finds room comes after one that says how many are missing. Where it goes
//! into the daemon's own log, that is rotated on the way.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd as _, BorrowedFd};

use super::text::{count, timestamp};
use crate::log::PlainLog;
use crate::sys::files::reopen_nonblocking;
use crate::sys::poll::is_writable;
use crate::sys::standard;

/// What is written at once, in bytes: a pipe that is writable has room for as much, `PIPE_BUF` of pipe(7).
const PIECE_BYTES: usize = 4096;
const EIO: i32 = 5;

/// Writes lines to a descriptor, if there is room.
pub(super) struct Unwaiting {
    file: File,
    clock: fn() -> u64,
    /// A regular file has no reader that it would wait for.
    regular: bool,
    /// Lines that nobody has been told of.
    dropped: u64,
    /// The line that is being written is among these: the rest of it goes the same way.
    dropping: bool,
    /// What was written last was no line end.
    within_line: bool,
    log: Log,
}

/// What the daemon's own log has to do with it.
enum Log {
    Unknown,
    /// It goes on there when the terminal has closed.
    Instead(PlainLog),
    /// It is what is written to.
    Here(PlainLog),
}

impl Unwaiting {
    /// Lines to what this descriptor is open on; it itself stays as it is.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`; what fstat(2) gives.
    pub(super) fn new(fd: BorrowedFd<'_>, clock: fn() -> u64) -> io::Result<Self> {
        let mut file = File::from(fd.try_clone_to_owned()?);
        let regular = file.metadata()?.is_file();
        // A terminal may say that it has room, and have too little. Where it may not be opened, a socket or another
        // user's terminal, the question alone has to do.
        if !regular && let Ok(own) = reopen_nonblocking(fd) {
            file = File::from(own);
        }
        Ok(Self {
            file,
            clock,
            regular,
            dropped: 0,
            dropping: false,
            within_line: false,
            log: Log::Unknown,
        })
    }

    /// Where this writes to the daemon's own log it keeps that within its bounds; where it writes to a terminal that
    /// closes, it goes on there.
    pub(super) fn or_else(self, log: PlainLog) -> Self {
        let is_there = self.regular && log.has(&self.file);
        let log = match is_there {
            true => Log::Here(log),
            false => Log::Instead(log),
        };
        Self { log, ..self }
    }

    /// Whether lines go to the other file from now on, where they begin with one that says so.
    fn has_moved(&mut self) -> bool {
        let Log::Instead(log) = &self.log else {
            return false;
        };
        let Ok(file) = log.open() else { return false };
        let log = log.clone();
        self.file = file;
        self.regular = true;
        self.log = Log::Here(log);
        let time = timestamp((self.clock)());
        let text = format!("{time} [WARN] the terminal has closed: the log goes on here\n");
        self.file.write_all(text.as_bytes()).is_ok()
    }

    /// Goes on in the current file of the daemon's own log, which `more` bytes may make another one.
    fn turn(&mut self, more: usize) {
        let Log::Here(log) = &self.log else { return };
        if self.within_line {
            return;
        }
        // Where there is no other file, the one that is held has to do.
        if let Ok(Some(next)) = log.turn(&self.file, more) {
            // A crash would be told in the old one, which is better than nowhere.
            let _ = standard::redirect(&self.file, &next);
            self.file = next;
        }
    }

    fn line(&mut self, line: &[u8]) {
        let ends = line.ends_with(b"\n");
        if !self.dropping {
            self.turn(line.len());
            self.dropping = !self.has_told() || !self.push(line);
            self.dropped = self.dropped.saturating_add(u64::from(self.dropping));
        }
        self.dropping &= !ends;
    }

    /// Says what is missing, if something is. Whether there is nothing left to say.
    fn has_told(&mut self) -> bool {
        if self.dropped == 0 {
            return true;
        }
        let torn = if self.within_line { "\n" } else { "" };
        let time = timestamp((self.clock)());
        let number = usize::try_from(self.dropped).unwrap_or(usize::MAX);
        let lines = count(number, "line", "lines");
        let text = format!("{torn}{time} [WARN] {lines} dropped here: nobody read this log\n");
        let told = self.push(text.as_bytes());
        if told {
            self.dropped = 0;
        }
        told
    }

    /// Writes what there is room for. Whether that was all.
    fn push(&mut self, bytes: &[u8]) -> bool {
        for piece in bytes.chunks(PIECE_BYTES) {
            let mut rest = piece;
            while let Some(last) = rest.last() {
                if !self.regular && !is_writable(self.file.as_fd()).unwrap_or(false) {
                    return false;
                }
                match self.file.write(rest) {
                    Ok(0) => return false,
                    Ok(length) => {
                        let written = rest.get(length - 1).unwrap_or(last);
                        self.within_line = *written != b'\n';
                        rest = rest.get(length..).unwrap_or_default();
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if is_gone(&error) && self.has_moved() => rest = piece,
                    Err(_) => return false,
                }
            }
        }
        true
    }
}

/// `EIO`: the terminal has closed.
fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(EIO)
}

impl Write for Unwaiting {
    /// Takes all: what finds no room is counted.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read as _;

    use super::*;
    use crate::sys::files::{pipe, set_nonblocking};
    use crate::sys::testing::alone;

    fn read(reader: &mut File) -> String {
        let mut bytes = Vec::new();
        let error = reader.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_full_pipe_loses_whole_lines_and_says_how_many() {
        let (reader, writer) = pipe().unwrap();
        set_nonblocking(reader.as_fd()).unwrap();
        let mut reader = File::from(reader);
        let mut lines = Unwaiting::new(writer.as_fd(), || 1_795_300_813_007).unwrap();
        let long = "x".repeat(10_000) + "\n";
        for _ in 0..20 {
            lines.write_all(long.as_bytes()).unwrap();
        }
        lines.write_all(b"half ").unwrap();
        let before = read(&mut reader);
        assert!(before.len() > 10_000 && before.len() < 20 * long.len());
        lines.write_all(b"a line\nlast\n").unwrap();
        let whole = before.matches('\n').count();
        let missing = 20 - whole + 1;
        let torn = if before.ends_with('\n') { "" } else { "\n" };
        let expected = format!(
            "{torn}2026-11-21T22:40:13.007Z [WARN] {missing} lines dropped here: nobody read this log\nlast\n"
        );
        assert_eq!(read(&mut reader), expected);
        lines.write_all(b"more\n").unwrap();
        assert_eq!(read(&mut reader), "more\n");
    }

    #[test]
    fn a_pipe_without_a_reader_is_no_error() {
        alone(
            "cli::patient::tests::a_pipe_without_a_reader_is_no_error",
            || {
                let (reader, writer) = pipe().unwrap();
                let mut lines = Unwaiting::new(writer.as_fd(), || 0).unwrap();
                drop(reader);
                lines.write_all(b"one\ntwo\n").unwrap();
                assert_eq!(lines.dropped, 2);
            },
        );
    }
}
