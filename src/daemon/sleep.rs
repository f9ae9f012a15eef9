//! How long the loop sleeps, and what wakes it beside descriptors.
//!
//! Owns the deadlines that are the daemon's own, and that the memory of what has happened is given back before a long
//! sleep. Those of units are the engine's.

use std::io;
use std::time::Duration;

use mio::{Events, Poll};

use crate::engine::Event;
use crate::sys::process::error_text;
use crate::sys::{clock, memory};

use super::event_loop::{Daemon, FIRST_LOG, now};

/// How long nothing may happen before the memory of what has happened is given back.
const QUIET: Duration = Duration::from_secs(1);

/// Whether there is memory of past work to be given back when it is quiet: once, and then the daemon sleeps for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    Tidy,
    Used,
}

impl Daemon {
    /// Sleeps until something is ready or due.
    pub(super) fn wait(&mut self, poll: &mut Poll, ready: &mut Events) {
        ready.clear();
        let long = |timeout: Option<Duration>| timeout.is_none_or(|timeout| timeout > QUIET);
        if self.memory == Memory::Used && long(self.timeout()) {
            poll_for(poll, ready, Some(QUIET));
            if ready.is_empty() {
                self.memory = Memory::Tidy;
                // The last thing before the long sleep: code that ran after it would be mapped again.
                memory::give_back();
            }
        }
        if ready.is_empty() {
            poll_for(poll, ready, self.timeout());
        }
        if self.is_due() || !ready.is_empty() {
            self.memory = Memory::Used;
        }
    }

    fn is_due(&self) -> bool {
        let deadline = self.engine.next_deadline();
        deadline.is_some_and(|due| due <= now())
    }

    /// A deadline passes only when all has been heard that had happened before: a daemon that was kept from running
    /// must not take what it was about to hear for what never came.
    pub(super) fn tick_if_due(&mut self) {
        if self.is_due() {
            self.events.push_back(Event::Tick);
        }
    }

    /// How long the loop may sleep; nothing if no deadline is known.
    fn timeout(&self) -> Option<Duration> {
        let is_packing_due = self.processes.log_care.packer.is_due();
        let held_until_ms = self.held_until_ms();
        let unfinished = self.unfinished.first();
        let is_pressing =
            unfinished.is_some_and(|first| held_until_ms.is_none() || *first < FIRST_LOG);
        let has_work = is_packing_due || !self.tendings.is_empty();
        if is_pressing || !self.events.is_empty() || has_work {
            return Some(Duration::ZERO);
        }
        let due = self.engine.next_deadline();
        let timeout_ms = due.map(|due| due.since_ms(now()));
        let upgrade_ms = self.upgrade.as_ref().map(|upgrade| upgrade.timeout_ms());
        let looks = [
            self.processes.next_look_ms(),
            self.processes.memory_due_ms(),
            self.processes.intake.due_ms(),
            self.processes.keeper.closers.again_ms(),
            held_until_ms,
        ];
        let look_ms = looks.into_iter().flatten().min();
        let look_ms = look_ms.map(|due| due.saturating_sub(clock::monotonic_ms()));
        let others = upgrade_ms.into_iter().chain(self.guard_again_in_ms());
        let others = others.chain(look_ms);
        let soonest = timeout_ms.into_iter().chain(others).min()?;
        Some(Duration::from_millis(soonest))
    }

    /// Whether log bytes wait for a client.
    pub(super) fn is_held(&mut self) -> bool {
        let now_ms = clock::monotonic_ms();
        let is_anyone_new = self.sessions.is_anyone_new(now_ms);
        self.precedence.holds(is_anyone_new, now_ms)
    }

    /// When log bytes are to be taken again at the latest, monotonic milliseconds; nothing if that is now.
    fn held_until_ms(&self) -> Option<u64> {
        let until_ms = self.precedence.held_until_ms()?;
        let is_anyone_new = self.sessions.is_anyone_new(clock::monotonic_ms());
        is_anyone_new.then_some(until_ms)
    }

    /// How long until a guardian is to be tried again; an upgrade needs none before it is through.
    pub(super) fn guard_again_in_ms(&self) -> Option<u64> {
        let again_ms = self.processes.keeper.again_ms();
        let again_ms = again_ms.filter(|_| self.upgrade.is_none())?;
        Some(again_ms.saturating_sub(clock::monotonic_ms()))
    }
}

fn poll_for(poll: &mut Poll, ready: &mut Events, timeout: Option<Duration>) {
    if let Err(error) = poll.poll(ready, timeout) {
        ready.clear();
        if error.kind() != io::ErrorKind::Interrupted {
            ::log::error!("cannot wait for events: {}", error_text(&error));
        }
    }
}
