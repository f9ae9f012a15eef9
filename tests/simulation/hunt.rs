//! The runner for many histories: all cores, progress on standard error, and in the end the first failures, shortened.

// Whoever hunts for hours wants to see how far it is; and a thread that panicked has failed by that.
#![allow(clippy::print_stderr, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::entropy::Entropy;
use crate::shorten;

/// So many failures end a hunt.
const FAILURES_MAX: usize = 8;
/// How often it says how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// One history that failed: its seed, and why.
type Failure = (u64, String);

/// What the threads of a hunt share.
struct Hunt {
    steps: usize,
    last: u64,
    next: AtomicU64,
    done: AtomicU64,
    begun: Instant,
    reported: Mutex<Instant>,
    failures: Mutex<Vec<Failure>>,
}

/// Plays the seeds from `first` up to `last` on all cores. Panics with the shortened story of each failure, one of a
/// kind.
pub(crate) fn hunt(first: u64, last: u64, steps: usize) {
    let now = Instant::now();
    let hunt = Hunt {
        steps,
        last,
        next: AtomicU64::new(first),
        done: AtomicU64::new(0),
        begun: now,
        reported: Mutex::new(now),
        failures: Mutex::new(Vec::new()),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| hunt.play());
        }
    });
    hunt.tell();
    let mut failures = hunt.failures.into_inner().unwrap();
    failures.sort();
    let mut kinds: BTreeMap<String, Failure> = BTreeMap::new();
    for (seed, why) in failures {
        let kind = shorten::kind_of(&why);
        kinds.entry(kind).or_insert((seed, why));
    }
    let stories = kinds.values().map(|(seed, _)| story(*seed, steps));
    assert!(kinds.is_empty(), "\n{}", stories.collect::<String>());
}

impl Hunt {
    fn play(&self) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            let is_over = self.failures.lock().unwrap().len() >= FAILURES_MAX;
            if seed >= self.last || is_over {
                return;
            }
            if let Err(why) = shorten::play(&mut Entropy::seeded(seed), self.steps) {
                eprintln!("seed {seed}: {}", why.lines().next().unwrap_or_default());
                self.failures.lock().unwrap().push((seed, why));
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            let Ok(mut reported) = self.reported.try_lock() else {
                continue;
            };
            if reported.elapsed() >= REPORT_EVERY {
                *reported = Instant::now();
                self.tell();
            }
        }
    }

    fn tell(&self) {
        let done = self.done.load(Ordering::Relaxed);
        let passed = self.begun.elapsed().as_secs_f64();
        let rate = done as f64 / passed.max(0.001);
        let steps = self.steps;
        eprintln!("{done} histories of {steps} steps in {passed:.0} s, {rate:.0} a second");
    }
}

fn story(seed: u64, steps: usize) -> String {
    let mut entropy = Entropy::seeded(seed);
    let Err(why) = shorten::play(&mut entropy, steps) else {
        return format!("seed {seed} failed once and does not again\n");
    };
    let (why, story) = shorten::shorten(entropy.record(), &why);
    format!("seed {seed}, {steps} steps: {why}\n\n{story}\n")
}
