//! A mark that a child has from the first moment of its life on. What a mark is stands in `proc.rs`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A mark that we bear ourselves for a moment, as the soft limit on file locks, which anybody may raise again.
#[derive(Debug)]
pub(super) struct Lent {
    before: Rlimit,
}

impl Lent {
    /// Nothing where we bear a lower mark ourselves.
    pub(super) fn new(mark: u64) -> Option<Self> {
        let before = getrlimit(Resource::Locks);
        let lent = Rlimit {
            current: Some(mark),
            maximum: before.maximum,
        };
        setrlimit(Resource::Locks, lent).ok()?;
        Some(Self { before })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Not above the hard limit, as it was before.
        let _ = setrlimit(Resource::Locks, self.before);
    }
}
