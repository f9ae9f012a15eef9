//! When a service is started again, in numbers.

use std::fmt;

use crate::cli::text::span;
use crate::engine::restart_plan;
use crate::unit::{Policy, Service, Unit};

/// Delays that are printed.
const DELAYS: u32 = 6;
/// A delay that grows by itself has reached its longest after so many.
const DOUBLINGS: u32 = 64;
/// Longer delays than this are not counted in seconds.
const SECONDS_MAX_MS: u64 = 120_000;

/// What the restart keys of a service come to. Its text is one line for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Delays {
    when: &'static str,
    /// The first delays, without jitter; no more of them once the longest is reached.
    pub(in crate::cli) first_ms: Vec<u64>,
    pub(in crate::cli) longest_ms: u64,
    /// Per cent that a delay may be shorter or longer.
    pub(in crate::cli) jitter: u8,
    pub(in crate::cli) limit: Option<Limit>,
}

/// So many automatic starts in so much time, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Limit {
    pub(in crate::cli) burst: u32,
    pub(in crate::cli) interval_ms: u64,
    pub(in crate::cli) reach: Reach,
}

/// Whether a service that fails at once meets its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Reach {
    Reached,
    /// The delays alone take longer than the limit looks back.
    Never,
}

impl Delays {
    /// `None`: it is never restarted.
    pub(in crate::cli) fn of(unit: &Unit, service: &Service) -> Option<Self> {
        let when = match service.restart.policy {
            Policy::No => return None,
            Policy::Always => "always",
            Policy::OnSuccess => "after success",
            Policy::OnFailure => "after failure",
            Policy::OnAbnormal => "after a signal or a time-out",
            Policy::OnAbort => "after a signal",
            Policy::OnWatchdog => "after a missed watchdog",
        };
        let all = service.restart.steps.saturating_add(DOUBLINGS);
        let plan = restart_plan(unit.start_limit, &service.restart, all);
        let longest_ms = plan.delays_ms.last().copied().unwrap_or_default();
        let mut first_ms = plan.delays_ms;
        let limit = plan.limit.map(|(burst, interval_ms)| Limit {
            burst,
            interval_ms,
            reach: reach(&first_ms, longest_ms, plan.jitter, (burst, interval_ms)),
        });
        let until = first_ms.iter().position(|delay| *delay == longest_ms);
        let shown = usize::try_from(DELAYS).unwrap_or(usize::MAX);
        first_ms.truncate(until.map_or(shown, |at| shown.min(at + 1)));
        Some(Self {
            when,
            first_ms,
            longest_ms,
            jitter: plan.jitter,
            limit,
        })
    }
}

/// The start that is one too many comes after as many delays as the limit allows starts.
fn reach(
    delays_ms: &[u64],
    longest_ms: u64,
    jitter: u8,
    (burst, interval_ms): (u32, u64),
) -> Reach {
    let known = delays_ms.iter().copied();
    let all = known.chain(std::iter::repeat(longest_ms));
    let burst = usize::try_from(burst).unwrap_or(usize::MAX);
    let mut least_ms = 0_u64;
    for delay in all.take(burst) {
        least_ms = least_ms.saturating_add(delay / 100 * u64::from(100 - jitter.min(100)));
        if least_ms > interval_ms {
            return Reach::Never;
        }
    }
    Reach::Reached
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "restarts {}, after ", self.when)?;
        let delays: Vec<String> = self.first_ms.iter().map(|ms| seconds(*ms)).collect();
        f.write_str(&delays.join(", "))?;
        match self.first_ms.last() {
            Some(last) if *last != self.longest_ms => {
                write!(f, ", … {}", seconds(self.longest_ms))?;
            }
            _ => {}
        }
        if self.jitter > 0 {
            write!(f, ", ±{} %", self.jitter)?;
        }
        let Some(limit) = self.limit else {
            return f.write_str("; never gives up");
        };
        let interval = seconds(limit.interval_ms);
        match limit.reach {
            Reach::Reached => write!(f, "; gives up after {} starts in {interval}", limit.burst),
            Reach::Never => write!(
                f,
                "; never gives up: these delays do not come to {} starts in {interval}",
                limit.burst
            ),
        }
    }
}

/// `0.1 s`, `60 s`; long ones as everywhere.
fn seconds(ms: u64) -> String {
    if ms >= SECONDS_MAX_MS {
        return span(ms);
    }
    let fraction = format!("{:03}", ms % 1000);
    match fraction.trim_end_matches('0') {
        "" => format!("{} s", ms / 1000),
        fraction => format!("{}.{fraction} s", ms / 1000),
    }
}
