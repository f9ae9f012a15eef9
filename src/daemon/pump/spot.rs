//! A text that is looked for in a service's output, which comes in batches of any size.

use crate::engine::RunId;
use crate::log;
use crate::sys::process::error_text;

use super::UnitLog;

/// Bytes of a log in which a text is looked for that may have come while no daemon was there.
const LOOK_BACK_BYTES: u64 = 1024 * 1024;

/// The search for one text, and the end of what was seen without it.
#[derive(Debug)]
pub(super) struct Spot {
    text: Box<[u8]>,
    /// The last bytes that came, fewer than the text has: the text may begin in them.
    tail: Vec<u8>,
    found: Found,
}

/// Whether a text that is looked for has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Found {
    NotYet,
    Yes,
}

impl Spot {
    /// A text of one byte at least.
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.as_bytes().into(),
            tail: Vec::new(),
            found: Found::NotYet,
        }
    }

    pub(super) fn found(&self) -> Found {
        self.found
    }

    /// Looks at what has come.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        if self.found == Found::Yes {
            return;
        }
        // Over the seam, then within.
        let most = self.text.len().saturating_sub(1);
        let seam = bytes.len().min(most);
        self.tail.extend_from_slice(&bytes[..seam]);
        if holds(&self.tail, &self.text) || holds(bytes, &self.text) {
            self.found = Found::Yes;
            self.tail = Vec::new();
            return;
        }
        if bytes.len() >= most {
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[bytes.len() - most..]);
        } else {
            let excess = self.tail.len().saturating_sub(most);
            self.tail.drain(..excess);
        }
    }
}

impl UnitLog {
    /// From now on this text is looked for.
    pub(in crate::daemon) fn look_for(&mut self, text: &str) {
        self.spot = Some(Box::new(Spot::new(text)));
    }

    /// The same for a process that a predecessor began: what is in the log of this run already counts. What came last
    /// counts where that is long.
    pub(in crate::daemon) fn look_back_for(&mut self, text: &str, run: RunId) {
        if self.spot.is_some() {
            return;
        }
        let mut spot = Spot::new(text);
        let start = log::Start::Near {
            lines: u64::MAX,
            bytes: LOOK_BACK_BYTES,
        };
        let filter = log::Filter {
            stream: None,
            run: Some(run.0),
            ..log::Filter::default()
        };
        let once = log::Mode::Once;
        let read = log::Reader::open(&self.directory, &self.name, start, once, filter);
        let seen = read.and_then(|mut reader| {
            while let Some(entry) = reader.next_entry()? {
                if let log::Content::Line { bytes, end, .. } = entry.content {
                    spot.see(&bytes);
                    if end == log::LineEnd::Newline {
                        spot.see(b"\n");
                    }
                }
            }
            Ok(())
        });
        if let Err(error) = seen {
            ::log::warn!("{}: reading its log: {}", self.name, error_text(&error));
        }
        self.spot = Some(Box::new(spot));
    }

    pub(in crate::daemon) fn look_no_more(&mut self) {
        self.spot = None;
    }

    /// Whether the text that is looked for has come; nothing where none is.
    pub(in crate::daemon) fn found(&self) -> Option<Found> {
        self.spot.as_ref().map(|spot| spot.found())
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    let Some((first, _)) = text.split_first() else {
        return true;
    };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(text) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(batches: &[&str]) -> Found {
        let mut spot = Spot::new("ready: ok");
        for batch in batches {
            spot.see(batch.as_bytes());
        }
        spot.found()
    }

    #[test]
    fn a_text_is_found_however_it_comes() {
        for whole in [
            "ready: ok",
            "xx ready: ok\nyy",
            "readyready: ok",
            "ready: o ready: ok",
        ] {
            for size in 1..=whole.len() {
                let batches: Vec<&str> = (0..whole.len())
                    .step_by(size)
                    .map(|at| &whole[at..whole.len().min(at + size)])
                    .collect();
                assert_eq!(search(&batches), Found::Yes, "{batches:?}");
            }
        }
        assert_eq!(search(&["ready: ", "x", "ok"]), Found::NotYet);
        assert_eq!(search(&["ready:", " o", "", "\nready:ok"]), Found::NotYet);
    }
}
