//! A life's mark on this process itself, while a child that is to bear it is made.
//!
//! What the mark is for is `spawn`'s to say (`Spawn::lock_limit`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A mark that we bear ourselves for a moment, so that a child has it from the first moment of its life on: as the soft
/// limit on file locks, which anybody may raise again.
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
