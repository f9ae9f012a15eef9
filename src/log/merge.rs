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
    head: Head,
}

/// What a reader gives next. One that had nothing is not asked again until something has changed: that would be some
/// system calls for every entry of the others.
#[derive(Debug)]
enum Head {
    Unknown,
    Nothing,
    Entry(Entry),
}

impl Source {
    fn changed(&mut self) {
        self.reader.changed();
        if matches!(self.head, Head::Nothing) {
            self.head = Head::Unknown;
        }
    }
}

impl Merge {
    #[must_use]
    pub fn new(readers: Vec<Reader>) -> Merge {
        let source = |reader| Source {
            reader,
            head: Head::Unknown,
        };
        Merge {
            sources: readers.into_iter().map(source).collect(),
        }
    }

    /// Takes in another reader, the last one of the list.
    pub fn add(&mut self, reader: Reader) {
        self.sources.push(Source {
            reader,
            head: Head::Unknown,
        });
    }

    /// Tells following readers that the files may have changed.
    pub fn changed(&mut self) {
        for source in &mut self.sources {
            source.changed();
        }
    }

    /// Tells only the reader at this place of the list.
    pub fn changed_at(&mut self, place: usize) {
        if let Some(source) = self.sources.get_mut(place) {
            source.changed();
        }
    }

    /// Whether nothing more will come, also to followers.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.sources.iter().all(|source| source.reader.is_over())
    }

    /// Of each reader that left a packed file out: its place in the list, and what it was.
    pub fn left_out(&self) -> impl Iterator<Item = (usize, &str)> {
        let sources = self.sources.iter().enumerate();
        sources.flat_map(|(at, source)| {
            let texts = source.reader.left_out().iter();
            texts.map(move |text| (at, text.as_str()))
        })
    }

    /// The next entry and the place of its reader in the list; nothing when no reader has one (for now).
    ///
    /// # Errors
    /// A file cannot be read: with the place of its reader.
    pub fn next_entry(&mut self) -> Result<Option<(usize, Entry)>, (usize, io::Error)> {
        let mut first: Option<(usize, u64)> = None;
        for (at, source) in self.sources.iter_mut().enumerate() {
            if matches!(source.head, Head::Unknown) {
                let next = source.reader.next_entry().map_err(|cause| (at, cause))?;
                source.head = next.map_or(Head::Nothing, Head::Entry);
            }
            let Head::Entry(head) = &source.head else {
                continue;
            };
            if first.is_none_or(|(_, time_ms)| head.time_ms < time_ms) {
                first = Some((at, head.time_ms));
            }
        }
        let Some((at, _)) = first else {
            return Ok(None);
        };
        match std::mem::replace(&mut self.sources[at].head, Head::Unknown) {
            Head::Entry(entry) => Ok(Some((at, entry))),
            Head::Unknown | Head::Nothing => Ok(None),
        }
    }
}
