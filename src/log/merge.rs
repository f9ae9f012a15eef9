//! Several services' logs as one, by time.

use std::io;

use super::entry::Entry;
use super::reader::Reader;

/// Readers whose entries are given in the order of their times. Each reader's own order is kept; of equal times the
/// earlier reader's entry comes first.
#[derive(Debug)]
pub struct Merge {
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    reader: Reader,
    head: Option<Entry>,
}

impl Merge {
    #[must_use]
    pub fn new(readers: Vec<Reader>) -> Merge {
        let source = |reader| Source { reader, head: None };
        Merge {
            sources: readers.into_iter().map(source).collect(),
        }
    }

    /// Tells following readers that the files may have changed.
    pub fn changed(&mut self) {
        for source in &mut self.sources {
            source.reader.changed();
        }
    }

    /// The next entry and the place of its reader in the list; nothing when no reader has one (for now).
    ///
    /// # Errors
    /// A file cannot be read: with the place of its reader.
    pub fn next_entry(&mut self) -> Result<Option<(usize, Entry)>, (usize, io::Error)> {
        let mut first: Option<(usize, u64)> = None;
        for (at, source) in self.sources.iter_mut().enumerate() {
            if source.head.is_none() {
                source.head = source.reader.next_entry().map_err(|cause| (at, cause))?;
            }
            let Some(head) = &source.head else { continue };
            if first.is_none_or(|(_, time_ms)| head.time_ms < time_ms) {
                first = Some((at, head.time_ms));
            }
        }
        let Some((at, _)) = first else {
            return Ok(None);
        };
        Ok(self.sources[at].head.take().map(|entry| (at, entry)))
    }
}
