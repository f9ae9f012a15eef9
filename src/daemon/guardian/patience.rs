//! When the next daemon is made after one that died. Knows no clock and no process.

/// The shortest time from one daemon's birth to the next one's; it doubles with each that dies by its own fault.
const PACE_MS: u64 = 100;
/// The longest.
const PACE_MAX_MS: u64 = 30_000;
/// A daemon that lives this long has done well, and what came before is forgotten.
const WELL_MS: u64 = 10_000;

/// Whose fault a daemon's end was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It had served and was killed from outside, with SIGKILL.
    Others,
    Its,
}

/// How many have died one after the other.
#[derive(Debug, Default)]
pub(super) struct Patience {
    faults: u32,
}

impl Patience {
    /// One has died that was born at `born_ms`: when its successor is due. Both are times of one clock, as is the
    /// answer; what lies in the past is due at once.
    pub(super) fn next(&mut self, born_ms: u64, died_ms: u64, fault: Fault) -> u64 {
        if died_ms.saturating_sub(born_ms) >= WELL_MS {
            self.faults = 0;
        }
        let pace_ms = PACE_MS
            .checked_shl(self.faults)
            .map_or(PACE_MAX_MS, |pace_ms| pace_ms.min(PACE_MAX_MS));
        if fault == Fault::Its {
            // Some more would change nothing.
            self.faults = (self.faults + 1).min(32);
        }
        born_ms.saturating_add(pace_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_has_served_is_succeeded_at_once() {
        let mut patience = Patience::default();
        for death in 1..100 {
            let due = patience.next(death * 200, death * 200 + 150, Fault::Others);
            assert_eq!(due, death * 200 + 100);
        }
    }

    #[test]
    fn each_that_dies_at_once_doubles_the_time_until_one_does_well() {
        let mut patience = Patience::default();
        let mut born = 0;
        let mut paces = Vec::new();
        for _ in 0..11 {
            let due = patience.next(born, born + 10, Fault::Its);
            paces.push(due - born);
            born = due;
        }
        assert_eq!(paces[..4], [100, 200, 400, 800]);
        assert_eq!(paces[8..], [25_600, 30_000, 30_000]);
        assert_eq!(patience.next(0, WELL_MS, Fault::Its), 100);
        assert_eq!(patience.next(0, 10, Fault::Its), 200);
    }
}
