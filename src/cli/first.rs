//! The first process of a container or a machine: what we owe there as PID 1, and nowhere else.
//!
//! Owns which signals `up` hears then, what each of them means, and who is reaped; and the last thing of all. Everybody
//! dies with PID 1, so that it ends the daemon before itself; that is `up`'s, as is what becomes of a signal.

use super::exit::{Exit, Failure};
use super::output::{self, aside};
use super::style::Palette;
use crate::sys::clock::monotonic_ms;
use crate::sys::machine;
use crate::sys::process::{Pid, error_text, reap_orphans};
use crate::sys::signals::Received;
use crate::unit::Signal;

/// How long somebody who has ended is left unreaped: where guardian and daemon were killed together their successor
/// can still see how the services ended.
const REAP_MS: u64 = 1_000;

/// The last thing that any command does. A machine whose first process ends would panic: it is switched off.
pub(super) fn leave(palette: Palette) {
    if !machine::are_we_first() {
        return;
    }
    aside("the first process has ended: the machine is switched off\n");
    let Err(error) = machine::switch_off();
    let message = format!("cannot switch the machine off: {}", error_text(&error));
    output::failure(&Failure::new(Exit::Failed, message), palette);
}

/// What kind of process this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Ordinary,
    /// PID 1: the kernel leaves it every orphan, keeps from it each signal that it does not wait for, and kills
    /// everybody when it ends.
    First,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Stop the services and end.
    Stop,
    /// Give it to the service.
    HandOn(Signal),
    /// A child has ended.
    Reap,
}

impl Role {
    pub(super) fn find() -> Self {
        match Pid::current().as_raw() {
            1 => Self::First,
            _ => Self::Ordinary,
        }
    }

    /// The signals that are to be waited for.
    pub(super) fn signals(self) -> &'static [Signal] {
        match self {
            Self::Ordinary => &[Signal::INT, Signal::TERM, Signal::HUP],
            Self::First => &[
                Signal::INT,
                Signal::TERM,
                Signal::QUIT,
                Signal::HUP,
                Signal::USR1,
                Signal::USR2,
                Signal::CHLD,
            ],
        }
    }

    pub(super) fn meaning(self, received: Received) -> Meaning {
        match (self, Signal::from_number(received.signal)) {
            (Self::First, Some(Signal::CHLD)) => Meaning::Reap,
            (Self::First, Some(signal @ (Signal::HUP | Signal::USR1 | Signal::USR2))) => {
                Meaning::HandOn(signal)
            }
            _ => Meaning::Stop,
        }
    }
}

/// Those whose parent has died, and who have ended since.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    due_ms: Option<u64>,
}

impl Orphans {
    /// Somebody has ended.
    pub(super) fn note(&mut self) {
        let due_ms = monotonic_ms().saturating_add(REAP_MS);
        self.due_ms.get_or_insert(due_ms);
    }

    /// How long until they are due; nothing if there is none.
    pub(super) fn in_ms(&self) -> Option<u64> {
        Some(self.due_ms?.saturating_sub(monotonic_ms()))
    }

    /// Reaps them if they are due. Nobody else in this process waits for a child meanwhile.
    pub(super) fn reap(&mut self) {
        if self.in_ms() == Some(0) {
            self.due_ms = None;
            while !reap_orphans(|_| false).is_empty() {}
        }
    }
}
