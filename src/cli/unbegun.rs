//! Logs whose beginning is asked for and gone: its file was removed by a rotation.
//!
//! Owns when that is so. Does not own how it is said.

use std::path::Path;

use super::logs::Options;
use crate::log::{self, Content, Entry, Listing, Mark, Reader, Start};

/// The services of which nothing was shown yet, where all there is is wanted, or all since some time.
#[derive(Debug)]
pub(super) struct Unbegun {
    /// Made when the readers were opened, and kept while it is of use.
    listing: Option<Listing>,
    places: Vec<usize>,
}

impl Unbegun {
    /// The services of these readers, whose logs are in this folder.
    pub(super) fn of(listing: Listing, readers: &[Reader], options: &Options) -> Unbegun {
        // Of one run it does not matter what was before.
        let is_cut =
            |reader: &Reader| options.filter.since_ms.is_none() || !reader.leaves_earlier();
        let places: Vec<usize> = match options.start {
            Start::Oldest => (0..)
                .zip(readers)
                .filter(|(_, reader)| is_cut(reader))
                .map(|(place, _)| place)
                .collect(),
            Start::Last(_) | Start::Near { .. } => Vec::new(),
        };
        Unbegun {
            listing: Some(listing).filter(|_| !places.is_empty()),
            places,
        }
    }

    /// Whether this is the first entry of the service with this place and name, and something came before it.
    pub(super) fn is_beheaded(&mut self, (place, name): (usize, &str), entry: &Entry) -> bool {
        let Some(at) = self.places.iter().position(|unbegun| *unbegun == place) else {
            return false;
        };
        self.places.swap_remove(at);
        let is_beginning = matches!(
            entry.content,
            Content::Mark(Mark::Begin { .. } | Mark::Cleared)
        );
        // What no index tells of has run 0. Where the files cannot be read, the reader says so.
        let is_cut = |listing: &Listing| {
            let told = log::is_beheaded(listing, name, entry.run);
            told.unwrap_or(false)
        };
        let is_beheaded =
            !is_beginning && entry.run > 0 && self.listing.as_ref().is_some_and(is_cut);
        if self.places.is_empty() {
            self.listing = None;
        }
        is_beheaded
    }
}

/// Whether lines of the service that had come by this time (unix milliseconds) were rotated away.
pub(super) fn is_cut_after(directory: &Path, name: &str, time_ms: u64) -> bool {
    log::is_cut_after(directory, name, time_ms).unwrap_or(false)
}
