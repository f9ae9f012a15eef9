//! A text that is looked for in a stream of bytes that come in batches of any size.

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
pub(super) enum Found {
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
