//! Clients before log bytes: whoever has just connected finds the daemon, and the machine, at leisure.
//!
//! Owns when the pipes wait and when they flow. A service that writes as fast as it can fills whatever time there is,
//! and fifty of them keep every processor busy; while nobody takes their bytes they sleep in the kernel, and a client
//! that wants a glance has come and gone before the pipe of an ordinary service is full.

/// How long bytes wait for a client at most, in milliseconds: several times what a `status` takes.
pub(super) const HOLD_MS: u64 = 10;

/// One for all pipes.
#[derive(Debug)]
pub(super) enum Precedence {
    /// The pipes flow, and nobody holds them up before that moment, monotonic milliseconds.
    Flowing {
        until_ms: u64,
    },
    Held {
        since_ms: u64,
    },
}

impl Default for Precedence {
    fn default() -> Self {
        Self::Flowing { until_ms: 0 }
    }
}

impl Precedence {
    /// Whether the pipes wait now. They flow at least as long as they have waited before, however many clients come.
    pub(super) fn holds(&mut self, is_anyone_new: bool, now_ms: u64) -> bool {
        match *self {
            Self::Flowing { until_ms } if is_anyone_new && now_ms >= until_ms => {
                *self = Self::Held { since_ms: now_ms };
            }
            Self::Held { since_ms } if !is_anyone_new || now_ms >= since_ms + HOLD_MS => {
                let until_ms = now_ms + (now_ms - since_ms);
                *self = Self::Flowing { until_ms };
            }
            Self::Flowing { .. } | Self::Held { .. } => {}
        }
        matches!(self, Self::Held { .. })
    }

    /// When they flow again at the latest, monotonic milliseconds.
    pub(super) fn held_until_ms(&self) -> Option<u64> {
        match self {
            Self::Held { since_ms } => Some(since_ms + HOLD_MS),
            Self::Flowing { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_wait_until_the_client_has_gone_and_then_flow_as_long() {
        let mut precedence = Precedence::default();
        assert!(!precedence.holds(false, 100));
        assert!(precedence.holds(true, 100));
        assert_eq!(precedence.held_until_ms(), Some(100 + HOLD_MS));
        assert!(precedence.holds(true, 103));
        assert!(!precedence.holds(false, 104));
        assert_eq!(precedence.held_until_ms(), None);
        assert!(!precedence.holds(true, 107), "they have waited for 4 ms");
        assert!(precedence.holds(true, 108));
    }

    /// However many come, one after the other, bytes flow half of the time.
    #[test]
    fn clients_that_never_cease_leave_half_of_the_time() {
        let mut precedence = Precedence::default();
        let held = (0..1_000).filter(|now_ms| precedence.holds(true, *now_ms));
        assert_eq!(held.count(), 500);
    }
}
