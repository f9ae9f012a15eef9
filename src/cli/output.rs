//! Where words leave the program: answers to standard output, all else to standard error. The only place that
//! writes there.

use std::io::{self, Write};

use super::exit::{Exit, Failure};
use super::style::{Palette, Tone};
use super::text::clean;
use crate::sys::process::error_text;

/// Writes an answer. Somebody who closes the other end early has seen enough: that is success.
pub(super) fn answer(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_ref()).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(Exit::Done),
        _ => Failure::new(
            Exit::Failed,
            format!("cannot write to standard output: {}", error_text(&error)),
        ),
    })
}

/// Writes what is not the answer. Where nobody can read it, nobody can be told so either.
pub(super) fn aside(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// `error: …` and `hint: …`.
pub(super) fn failure(failure: &Failure, palette: Palette) {
    let mut text = String::new();
    if !failure.message.is_empty() {
        let mut lines = failure.message.lines();
        // Paths and answers stand in it, which may hold anything.
        let first = clean(lines.next().unwrap_or_default());
        text.push_str(&format!("{} {first}\n", palette.paint(Tone::Bad, "error:")));
        for line in lines {
            text.push_str(&format!("{}\n", clean(line)));
        }
    }
    if let Some(hint) = &failure.hint {
        text.push_str(&hint_line(hint, palette));
    }
    aside(&text);
}

pub(super) fn hint_line(hint: &str, palette: Palette) -> String {
    format!("{} {}\n", palette.paint(Tone::Busy, "hint:"), clean(hint))
}

/// Counts what goes through it.
pub(super) struct Counted<W> {
    pub(super) inner: W,
    pub(super) bytes: usize,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes = self.bytes.saturating_add(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
