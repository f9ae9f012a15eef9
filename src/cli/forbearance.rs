//! How long an answer is waited for that should come at once: longer, where who is to give it works all the time.
//!
//! On a machine that others use, a daemon may get so little of a processor that it needs longer for an answer than
//! anybody waits for one that hangs. Owns that difference. Does not own the waiting.

use crate::daemon::Home;
use crate::sys::clock::monotonic_ms;
use crate::sys::proc;

/// How long the daemon may take to say hello, and to answer what it can answer at once.
pub(super) const ANSWER_MS: u64 = 10_000;
/// How long it is looked at then before it counts as idle.
const LOOK_MS: u64 = 1_000;
/// How long it may take where it works: it may also be caught in a loop.
const WORKING_MS: u64 = 120_000;

/// The time for one answer.
#[derive(Debug)]
pub(super) struct Forbearance {
    begun_ms: u64,
    deadline_ms: u64,
    /// The work that had been done when it was looked at.
    seen: Option<Work>,
}

/// What those who hold a home have done, and whether they do something now.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    ticks: u64,
    is_busy: bool,
}

impl Forbearance {
    /// At first so long.
    pub(super) fn of(span_ms: u64) -> Self {
        let begun_ms = monotonic_ms();
        Self {
            begun_ms,
            deadline_ms: begun_ms.saturating_add(span_ms),
            seen: None,
        }
    }

    /// How long to wait until [`Self::is_over`] is to be asked.
    pub(super) fn left_ms(&self) -> u64 {
        self.deadline_ms.saturating_sub(monotonic_ms())
    }

    /// How long it has been until now, in whole seconds.
    pub(super) fn waited_ms(&self) -> u64 {
        monotonic_ms().saturating_sub(self.begun_ms) / 1_000 * 1_000
    }

    /// Whether nothing is to be hoped for; else there is some time left again.
    pub(super) fn is_over(&mut self, home: &Home) -> bool {
        let now_ms = monotonic_ms();
        if now_ms < self.deadline_ms {
            return false;
        }
        let Some(work) = work(home) else { return true };
        let more_ms = match self.seen.replace(work) {
            _ if work.is_busy => ANSWER_MS,
            Some(before) if before.ticks != work.ticks => ANSWER_MS,
            Some(_) => return true,
            None => LOOK_MS,
        };
        self.deadline_ms = now_ms.saturating_add(more_ms);
        now_ms.saturating_sub(self.begun_ms) >= WORKING_MS
    }
}

/// Nothing where nobody can be seen, or where a signal has stopped one of them.
fn work(home: &Home) -> Option<Work> {
    let holders = proc::writers(&home.lock());
    let mut sum = None;
    for stat in holders.into_iter().filter_map(|pid| proc::stat(pid).ok()) {
        if stat.is_stopped() {
            return None;
        }
        let work: &mut Work = sum.get_or_insert_default();
        work.ticks = work.ticks.saturating_add(stat.cpu_ticks);
        work.is_busy |= stat.is_busy();
    }
    sum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::io::Write as _;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Killed and reaped with its test.
    struct Holder(Child);

    impl Drop for Holder {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A process that holds this home, and is not idle until it has been told something.
    fn holder(home: &Home) -> Holder {
        let script = format!(
            "exec 3>{}; while ! read -r line; do :; done; read -r line",
            home.lock().display()
        );
        let mut holder = Command::new("/bin/sh");
        let holder = holder.args(["-c", &script]).stdin(Stdio::piped());
        Holder(holder.spawn().unwrap())
    }

    fn until_held(holder: &mut Holder, home: &Home) {
        while proc::writers(&home.lock()).is_empty() {
            assert!(holder.0.try_wait().unwrap().is_none(), "it has ended");
            std::thread::yield_now();
        }
    }

    #[test]
    fn who_works_has_more_time_and_who_is_idle_has_not() {
        let folder = std::env::temp_dir().join(format!("diakonos-forbear-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let home = Home::new(folder.clone());
        let mut nobody = Forbearance::of(0);
        assert!(nobody.is_over(&home));
        let mut child = holder(&home);
        drop(child.0.stdin.take());
        until_held(&mut child, &home);
        // Its input has ended, and it asks for more without end.
        let mut works = Forbearance::of(0);
        assert!(!works.is_over(&home));
        // It may be on its way there.
        while works.left_ms() <= LOOK_MS {
            works = Forbearance::of(0);
            assert!(!works.is_over(&home));
        }
        (works.deadline_ms, works.begun_ms) = (0, monotonic_ms().saturating_sub(WORKING_MS));
        assert!(works.is_over(&home), "not for ever");
        drop(child);

        let mut child = holder(&home);
        let mut input = child.0.stdin.take().unwrap();
        input.write_all(b"now\n").unwrap();
        until_held(&mut child, &home);
        let mut idle = Forbearance::of(0);
        while !idle.is_over(&home) {
            idle.deadline_ms = 0;
        }
        assert!(idle.seen.is_some());
        drop(child);
        fs::remove_dir_all(&folder).unwrap();
    }
}
