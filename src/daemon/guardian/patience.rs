//! When the next daemon is made after one that died. Knows no clock and no process.

/// The shortest time from one daemon's birth to the next one's; it doubles with each that dies by its own fault.
const PACE_MS: u64 = 100;
/// The longest.
const PACE_MAX_MS: u64 = 30_000;
/// The longest as long as somebody knocks.
const KNOCK_MS: u64 = 1_000;
/// So often knocking is heard while no daemon serves: who has given up since is not told from who waits.
const KNOCKS_MAX: u32 = 30;
/// A daemon that lives this long has done well, and what came before is forgotten.
const WELL_MS: u64 = 10_000;

/// What a daemon's end says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// None: it served, and was killed from outside with SIGKILL.
    None,
    /// It served, and died of itself.
    Served,
    /// It died before it served.
    NeverServed,
}

/// How many have died one after the other, and what follows from that. All times are of one clock, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Patience {
    faults: u32,
    due_ms: u64,
    knock_ms: u64,
    /// How often somebody has knocked since a daemon served.
    knocks: u32,
}

impl Patience {
    /// One has died that was born at `born_ms`.
    pub(super) fn died(&mut self, born_ms: u64, died_ms: u64, fault: Fault) {
        if died_ms.saturating_sub(born_ms) >= WELL_MS {
            self.faults = 0;
        }
        let pace_ms = PACE_MS
            .checked_shl(self.faults)
            .map_or(PACE_MAX_MS, |pace_ms| pace_ms.min(PACE_MAX_MS));
        self.due_ms = born_ms.saturating_add(pace_ms);
        if fault != Fault::None {
            // Some more would change nothing.
            self.faults = (self.faults + 1).min(32);
        }
        if fault != Fault::NeverServed {
            self.knocks = 0;
        }
        self.knock_ms = if self.knocks < KNOCKS_MAX {
            self.due_ms.min(born_ms.saturating_add(KNOCK_MS))
        } else {
            self.due_ms
        };
    }

    /// When the next one is due; what lies in the past is due at once.
    pub(super) fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// Whether it matters that somebody knocks.
    pub(super) fn hears_knocks(&self) -> bool {
        self.knock_ms < self.due_ms
    }

    /// Somebody waits for the next one.
    pub(super) fn knocked(&mut self) {
        self.due_ms = self.knock_ms;
        self.knocks += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_killed_is_succeeded_at_once() {
        let mut patience = Patience::default();
        for death in 1..100 {
            patience.died(death * 200, death * 200 + 150, Fault::None);
            assert_eq!(patience.due_ms(), death * 200 + 100);
        }
    }

    #[test]
    fn each_that_dies_at_once_doubles_the_time_until_one_does_well() {
        let mut patience = Patience::default();
        let mut paces = Vec::new();
        for _ in 0..11 {
            let born_ms = patience.due_ms();
            patience.died(born_ms, born_ms + 10, Fault::Served);
            paces.push(patience.due_ms() - born_ms);
        }
        assert_eq!(paces[..4], [100, 200, 400, 800]);
        assert_eq!(paces[8..], [25_600, 30_000, 30_000]);
        for pace in [100, 200] {
            patience.died(0, WELL_MS / pace * 100, Fault::Served);
            assert_eq!(patience.due_ms(), pace);
        }
    }

    #[test]
    fn whoever_knocks_waits_less_but_not_for_ever() {
        let mut patience = Patience::default();
        for fault in [Fault::Served, Fault::NeverServed] {
            let mut knocks = 0;
            for _ in 0..50 {
                patience.died(0, 10, fault);
                if patience.hears_knocks() {
                    patience.knocked();
                    assert_eq!(patience.due_ms(), KNOCK_MS);
                    knocks += 1;
                }
            }
            // One was counted before.
            let heard = if fault == Fault::Served { 46 } else { 29 };
            assert_eq!(knocks, heard);
        }
    }
}
