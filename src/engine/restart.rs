//! The restart policy: whether, when, and when no more. Pure functions over what a unit says and how its run ended.
//!
//! The order of the decision and the table are systemd.service(5)'s; the growing default delay, its return after a good
//! run and starts by hand that never count are Diakonos's own (see the unit file's contract).

use std::time::Duration;

use crate::unit::{Kind, List, Policy, Restart, Service, Signal, Span, StartLimit, StatusSet};

use super::phase::{Why, failure_word};
use super::{Ending, Failure, Moment, Role};

/// The first delay where none is given, doubled with each attempt.
const GROWING_FIRST_MS: u64 = 100;
/// The longest delay where none is given.
const GROWING_MAX_MS: u64 = 60_000;
/// Per cent of jitter where the delay grows by itself.
const GROWING_JITTER: u8 = 10;
/// systemd's limit, in force where `RestartSec=` is given: so many starts …
const LIMIT_BURST: u32 = 5;
/// … in this time.
const LIMIT_INTERVAL_MS: u64 = 10_000;

/// Whether this ending counts as success for the main process. systemd.service(5), `SuccessExitStatus=`: 0, and death
/// by HUP, INT, TERM or PIPE unless it is a oneshot, and what the unit adds.
fn is_clean(service: &Service, ending: Ending) -> bool {
    const CLEAN: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::TERM, Signal::PIPE];
    match ending {
        Ending::Code(0) => true,
        Ending::Signal { number, .. }
            if service.kind != Kind::Oneshot
                && CLEAN
                    .iter()
                    .any(|signal| signal.number() == i32::from(number)) =>
        {
            true
        }
        Ending::Code(_) | Ending::Signal { .. } => listed(&service.restart.success, ending),
        // Whoever calls SIGKILL a success does not mean this one.
        Ending::OomKilled | Ending::Unknown => false,
    }
}

fn listed(set: &StatusSet, ending: Ending) -> bool {
    match ending {
        Ending::OomKilled => set.signals.contains(&Signal::KILL),
        Ending::Code(code) => set.codes.contains(&code),
        Ending::Signal { number, .. } => set
            .signals
            .iter()
            .any(|signal| signal.number() == i32::from(number)),
        Ending::Unknown => false,
    }
}

/// Whether a run that ended by itself is to be followed by another one. `main` is how the main process ended, if it
/// did.
pub(super) fn is_wanted(restart: &Restart, why: &Why, main: Option<Ending>) -> bool {
    let failure = match why {
        // A condition that is not met now is asked again by whoever starts it again.
        Why::Asked | Why::Skipped(_) => return false,
        Why::Finished => None,
        Why::Failed(failure) => Some(failure),
    };
    if let Some(ending) = main {
        if listed(&restart.prevent, ending) {
            return false;
        }
        if listed(&restart.force, ending) {
            return true;
        }
    }
    match restart.policy {
        Policy::No => false,
        Policy::OnWatchdog => failure.is_some_and(is_watchdog),
        Policy::Always => true,
        Policy::OnSuccess => failure.is_none(),
        Policy::OnFailure => failure.is_some(),
        Policy::OnAbnormal => failure.is_some_and(|failure| {
            is_signal(failure)
                || is_timeout(failure)
                || is_watchdog(failure)
                || failure_word(failure) == "oom-kill"
        }),
        Policy::OnAbort => failure.is_some_and(is_signal),
    }
}

fn is_signal(failure: &Failure) -> bool {
    matches!(failure_word(failure), "signal" | "core-dump")
}

fn is_watchdog(failure: &Failure) -> bool {
    failure_word(failure) == "watchdog"
}

fn is_timeout(failure: &Failure) -> bool {
    failure_word(failure) == "timeout"
}

/// Whether another try cannot help: the one place that sorts `errno`. What can pass by itself (no memory, no
/// descriptors, a busy program file, a disk that fails) is worth another try.
pub(super) fn is_hopeless(failure: &Failure) -> bool {
    const EIO: i32 = 5;
    const ENOMEM: i32 = 12;
    const EAGAIN: i32 = 11;
    const EBUSY: i32 = 16;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ETXTBSY: i32 = 26;
    const ENOSPC: i32 = 28;
    const ESTALE: i32 = 116;
    const EDQUOT: i32 = 122;
    const PASSING: [i32; 10] = [
        EIO, ENOMEM, EAGAIN, EBUSY, ENFILE, EMFILE, ETXTBSY, ENOSPC, ESTALE, EDQUOT,
    ];
    match failure {
        Failure::Spawn { failure, .. } => !PASSING.contains(&failure.errno),
        Failure::Ended { .. }
        | Failure::StartTimeout { .. }
        | Failure::ReadyTimeout { .. }
        | Failure::MainTimeout { .. }
        | Failure::StopTimeout { .. }
        | Failure::Watchdog { .. }
        | Failure::Runtime { .. }
        | Failure::NeverReady { .. }
        | Failure::Hopeless { .. }
        | Failure::NoMain { .. }
        | Failure::OutOfMemory
        | Failure::Assertion { .. }
        | Failure::Dependency { .. }
        | Failure::StartLimit { .. }
        | Failure::Remains
        | Failure::Recorded { .. } => false,
    }
}

/// Whether an end that comes by itself may be followed by another run, whatever it is like.
pub(super) fn may_follow(restart: &Restart) -> bool {
    let force = &restart.force;
    restart.policy != Policy::No || !force.codes.is_empty() || !force.signals.is_empty()
}

/// A delay that doubles with each attempt, from 0, where nobody says otherwise.
pub(super) fn growing_ms(attempt: u32) -> u64 {
    let doubled = GROWING_FIRST_MS.saturating_mul(1 << attempt.min(32));
    doubled.min(GROWING_MAX_MS)
}

/// The delay before automatic restart number `attempt` (from 0), in milliseconds. `chance` is any number; it places the
/// delay within the jitter.
pub(super) fn delay_ms(restart: &Restart, attempt: u32, chance: u64) -> u64 {
    let (base, jitter) = match restart.delay {
        None => (
            growing_ms(attempt),
            restart.jitter.unwrap_or(GROWING_JITTER),
        ),
        Some(delay) => (
            stepped_ms(restart, ms(delay), attempt),
            restart.jitter.unwrap_or(0),
        ),
    };
    let reach = base / 100 * u64::from(jitter) + base % 100 * u64::from(jitter) / 100;
    base - reach + chance % (2 * reach + 1)
}

/// systemd's formula: `delay × (max ÷ delay)^(attempt ÷ steps)`, and `max` from then on. systemd.service(5),
/// `RestartSteps=`.
fn stepped_ms(restart: &Restart, delay: u64, attempt: u32) -> u64 {
    let Some(max) = restart.max_delay.map(ms).filter(|_| restart.steps > 0) else {
        return delay;
    };
    // No delay does not grow, and a maximum below the delay is none.
    if delay == 0 || delay >= max {
        return delay;
    }
    if attempt >= restart.steps {
        return max;
    }
    // A millisecond's precision of delays far below 2^53 ms: the conversions lose nothing that counts.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    {
        let from = delay as f64;
        let growth = max as f64 / from;
        (from * power(growth, attempt, restart.steps) + 0.5) as u64
    }
}

/// `base` to the power of `part ÷ whole`, which is between 0 and 1: the exponent in binary, a square root for each
/// digit. The C library has this in a part of its own, which nothing else of ours would need.
fn power(base: f64, part: u32, whole: u32) -> f64 {
    let (mut rest, whole) = (u64::from(part), u64::from(whole));
    let (mut root, mut result) = (base, 1.0);
    for _ in 0..f64::MANTISSA_DIGITS {
        root = root.sqrt();
        rest *= 2;
        if rest >= whole {
            rest -= whole;
            result *= root;
        }
    }
    result
}

/// Milliseconds of a span; an infinite one is as long as can be counted.
pub(super) fn ms(span: Span) -> u64 {
    match span {
        Span::Finite(duration) => whole_ms(duration),
        Span::Infinite => u64::MAX / 4,
    }
}

/// A started millisecond counts as a whole one, so that no deadline comes early.
fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u64::MAX / 4)
}

/// A limit on automatic starts: so many in so many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) burst: u32,
    pub(super) interval_ms: u64,
}

/// The limit in force: what the unit gives, completed with systemd's numbers; none where neither a limit nor a delay is
/// given.
pub(super) fn limit(given: StartLimit, restart: &Restart) -> Option<Limit> {
    if given.burst.is_none() && given.interval.is_none() && restart.delay.is_none() {
        return None;
    }
    let limit = Limit {
        burst: given.burst.unwrap_or(LIMIT_BURST),
        interval_ms: given.interval.map_or(LIMIT_INTERVAL_MS, ms),
    };
    // systemd.unit(5): an interval of 0 turns the limit off.
    (limit.interval_ms > 0).then_some(limit)
}

/// What a unit's restart keys come to, for readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartPlan {
    /// The delays before the first automatic restarts, without jitter.
    pub delays_ms: Vec<u64>,
    /// Per cent that a delay may be shorter or longer.
    pub jitter: u8,
    /// So many automatic starts within so many milliseconds, and no more.
    pub limit: Option<(u32, u64)>,
}

/// The first `count` delays and what bounds them.
#[must_use]
pub fn restart_plan(given: StartLimit, restart: &Restart, count: u32) -> RestartPlan {
    let growing = restart.delay.is_none();
    let exact = Restart {
        jitter: Some(0),
        ..restart.clone()
    };
    RestartPlan {
        delays_ms: (0..count)
            .map(|attempt| delay_ms(&exact, attempt, 0))
            .collect(),
        jitter: restart
            .jitter
            .unwrap_or(if growing { GROWING_JITTER } else { 0 }),
        limit: limit(given, restart).map(|limit| (limit.burst, limit.interval_ms)),
    }
}

/// Whether an automatic start at `at` would be one too many after those at `starts`. Forgets those out of the window.
pub(super) fn is_exceeded(limit: Limit, starts: &mut List<Moment>, at: Moment) -> bool {
    let all = std::mem::take(starts).into_iter();
    *starts = all
        .filter(|start| at.since_ms(*start) < limit.interval_ms)
        .collect();
    starts.len() >= usize::try_from(limit.burst).unwrap_or(usize::MAX)
}

/// How the end of a main process is to be judged.
pub(super) fn judge(service: &Service, index: usize, ending: Ending) -> Why {
    let forgiven = service
        .start
        .get(index)
        .is_some_and(|exec| exec.ignore_failure);
    if is_clean(service, ending) || (forgiven && ending != Ending::Unknown) {
        Why::Finished
    } else {
        Why::Failed(Failure::Ended {
            role: Role::Start,
            ending,
        })
    }
}
