//! Lines with the time before them: what makes the daemon's narration a log.
//!
//! Owns the form, RFC 3339 in UTC, always to the millisecond, so that the columns stand and the lines sort.

use std::io::{self, Write};

use super::text::timestamp;

/// Writes the time of `clock` (unix milliseconds) at the start of each line.
pub(super) struct Stamped<W> {
    inner: W,
    clock: fn() -> u64,
    /// What has been written since the last line end belongs to a line that has its time.
    within_line: bool,
    buffer: Vec<u8>,
}

impl<W> Stamped<W> {
    pub(super) fn new(inner: W, clock: fn() -> u64) -> Self {
        Self {
            inner,
            clock,
            within_line: false,
            buffer: Vec::new(),
        }
    }
}

impl<W: Write> Write for Stamped<W> {
    /// All at once: a line and its time are one system call.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.clear();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.within_line {
                write!(self.buffer, "{} ", timestamp((self.clock)()))?;
            }
            self.buffer.extend_from_slice(line);
            self.within_line = !line.ends_with(b"\n");
        }
        self.inner.write_all(&self.buffer)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_line_has_its_time_once() {
        let mut out = Vec::new();
        let mut stamped = Stamped::new(&mut out, || 1_795_300_813_007);
        for part in ["a", "b\nc", "\n\n", "d"] {
            stamped.write_all(part.as_bytes()).unwrap();
        }
        let time = "2026-11-21T22:40:13.007Z";
        let expected = format!("{time} ab\n{time} c\n{time} \n{time} d");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
