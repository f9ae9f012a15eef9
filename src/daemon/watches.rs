//! The one inotify descriptor and what each watch on it is for.
//!
//! Owns the map from watches to purposes: two PID files in one folder share one watch of the kernel's. Looks at nothing
//! itself; an event is only a reason to look.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use mio::Token;

use crate::engine::{RunId, UnitId};
use crate::sys::inotify::{BUFFER_BYTES, Inotify, Watch, WatchId};

use super::sources::{Source, Sources};

/// Reads of one turn; more wait for the next.
const READS_MAX: usize = 64;

/// Why something is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// A cgroup that is to become empty.
    Group(UnitId),
    /// A cgroup whose memory may run short.
    Memory(UnitId),
    /// A cgroup that is to stand still.
    Freeze(UnitId),
    /// A PID file that is to appear.
    PidFile(RunId),
    /// A file whose appearance tells that a service is ready.
    Ready(RunId),
}

/// The descriptor and its watches.
#[derive(Debug)]
pub(super) struct Watches {
    /// Nothing where none could be had; then only the ends of processes make us look.
    inotify: Option<(Inotify, Token)>,
    map: BTreeMap<WatchId, BTreeSet<Purpose>>,
}

impl Watches {
    pub(super) fn new(sources: &mut Sources) -> Self {
        let opened = Inotify::new().and_then(|inotify| {
            let token = sources.add(inotify.as_fd(), Source::Inotify)?;
            Ok((inotify, token))
        });
        let inotify = opened
            .inspect_err(|error| ::log::warn!("inotify: {error}"))
            .ok();
        Self {
            inotify,
            map: BTreeMap::new(),
        }
    }

    /// Whether changes are told at all.
    pub(super) fn is_working(&self) -> bool {
        self.inotify.is_some()
    }

    /// Watches `path` for `purpose`, besides what it is watched for already.
    pub(super) fn add(&mut self, path: &Path, what: Watch, purpose: Purpose) -> io::Result<()> {
        let Some((inotify, _)) = &self.inotify else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let id = inotify.watch(path, what)?;
        self.map.entry(id).or_default().insert(purpose);
        Ok(())
    }

    /// Ends all watches that are for this purpose alone.
    pub(super) fn remove(&mut self, purpose: Purpose) {
        let inotify = self.inotify.as_ref();
        self.map.retain(|id, purposes| {
            purposes.remove(&purpose);
            if purposes.is_empty() {
                // One that ended with what it watched is what we want.
                let _ = inotify.map(|(inotify, _)| inotify.unwatch(*id));
            }
            !purposes.is_empty()
        });
    }

    /// What there is reason to look at; and whether all was read.
    pub(super) fn read(&mut self) -> (BTreeSet<Purpose>, bool) {
        let mut found = BTreeSet::new();
        let Some((inotify, _)) = &self.inotify else {
            return (found, true);
        };
        let mut buffer = [0; 4 * BUFFER_BYTES];
        for _ in 0..READS_MAX {
            match inotify.read(&mut buffer) {
                Ok(events) if events.is_empty() => return (found, true),
                Ok(events) => {
                    for event in events {
                        if event.overflow {
                            found.extend(self.map.values().flatten());
                        }
                        found.extend(self.map.get(&event.watch).into_iter().flatten());
                    }
                }
                Err(error) => {
                    ::log::warn!("inotify: {error}");
                    return (found, true);
                }
            }
        }
        (found, false)
    }
}
