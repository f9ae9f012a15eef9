//! What is known of a unit's lives when they are over: among others which runs they had, by which what they have
//! printed is found.
//!
//! A life has a run for each of its commands, from its first condition to its last `ExecStopPost=`. Their numbers only
//! grow, so that its first one tells it from the others.

use crate::engine::{Ending, RunId};
use crate::log::{Legacy, Missing};

use super::environment::Invocation;

/// What outlives a unit's holding.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) missing: Missing,
    /// What whoever opens its log next has to know; nothing in good times.
    pub(super) legacy: Option<Box<Legacy>>,
    pub(super) last_end: Option<Ending>,
    /// Its last life, where another unit is told of its end.
    pub(super) invocation: Option<Invocation>,
    pub(super) lives: Lives,
}

/// The first runs of the two youngest lives of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lives {
    /// Of the present life, or where the unit is down of its last one.
    pub(super) last: Option<RunId>,
    pub(super) before: Option<RunId>,
}

impl Lives {
    /// A life begins with this run.
    pub(super) fn begin(&mut self, run: RunId) {
        if self.last != Some(run) {
            self.before = self.last.replace(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_youngest_are_known() {
        let mut lives = Lives::default();
        lives.begin(RunId(3));
        assert_eq!((lives.last, lives.before), (Some(RunId(3)), None));
        lives.begin(RunId(7));
        lives.begin(RunId(7));
        assert_eq!((lives.last, lives.before), (Some(RunId(7)), Some(RunId(3))));
    }
}
