//! Logs whose beginning is asked for and gone: its file was removed by a rotation.
//!
//! Owns when that is so. Does not own how it is said.

use std::path::{Path, PathBuf};

use super::logs::Options;
use crate::log::{self, Content, Entry, Mark, Start};

/// The services of which nothing was shown yet, where all there is is wanted, or all since some time.
#[derive(Debug)]
pub(super) struct Unbegun {
    directory: PathBuf,
    places: Vec<usize>,
    /// Unix milliseconds.
    since_ms: Option<u64>,
}

impl Unbegun {
    /// So many services whose logs are in `directory`.
    pub(super) fn of(directory: &Path, services: usize, options: &Options) -> Unbegun {
        let places = match options.start {
            Start::Oldest => (0..services).collect(),
            Start::Last(_) | Start::Near { .. } => Vec::new(),
        };
        Unbegun {
            directory: directory.to_owned(),
            places,
            since_ms: options.filter.since_ms,
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
        !is_beginning
            && entry.run > 0
            && self
                .since_ms
                .is_none_or(|since_ms| is_cut_after(&self.directory, name, since_ms))
            && log::is_beheaded(&self.directory, name, entry.run).unwrap_or(false)
    }
}

/// Whether lines of the service that had come by this time (unix milliseconds) were rotated away.
pub(super) fn is_cut_after(directory: &Path, name: &str, time_ms: u64) -> bool {
    log::is_cut_after(directory, name, time_ms).unwrap_or(false)
}
