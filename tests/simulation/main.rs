//! The deterministic simulation of the engine: random units, random processes, random wishes, random faults and the
//! daemon's death at any step, on a virtual clock. A failure prints its seed and its shortened story.
//!
//! `DIAKONOS_SIM_SEED=n` plays one seed, `DIAKONOS_SIM_SEEDS=n` so many, `DIAKONOS_SIM_STEPS=n` steps in each. A hunt
//! through a million histories, on all cores and as fast as a release, goes on where `DIAKONOS_SIM_FIRST=n` says:
//!
//! ```sh
//! DIAKONOS_SIM_SEEDS=1000000 DIAKONOS_SIM_STEPS=100 \
//!     cargo test --profile hunt --test simulation -- --ignored --nocapture hunt
//! ```

mod answers;
mod chain;
mod entropy;
mod foresight;
mod game;
mod grammar;
mod hunt;
mod life;
mod model;
mod rules;
mod scenarios;
mod shorten;
mod sweep;
mod ties;
mod trace;
mod transitions;
mod units;
mod world;

use std::collections::BTreeMap;

use entropy::Entropy;
use trace::Trace;

const SEEDS: u64 = 256;
const STEPS: usize = 400;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn steps() -> usize {
    number("DIAKONOS_SIM_STEPS").map_or(STEPS, |steps| usize::try_from(steps).unwrap_or(STEPS))
}

/// Half of the seeds each, so that two cores share them.
#[test]
fn every_even_seed_holds() {
    hold(0);
}

#[test]
fn every_odd_seed_holds() {
    hold(1);
}

fn hold(remainder: u64) {
    let seeds = match number("DIAKONOS_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DIAKONOS_SIM_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds.filter(|seed| seed % 2 == remainder) {
        let mut entropy = Entropy::seeded(seed);
        let played = shorten::play(&mut entropy, steps());
        if let Err(why) = played {
            let (why, story) = shorten::shorten(entropy.record(), &why);
            panic!("seed {seed}, {} steps: {why}\n\n{story}", steps());
        }
    }
}

/// The same seed tells the same story, to the letter.
#[test]
fn a_seed_replays() {
    for seed in 0..4 {
        let tell = || {
            let mut trace = Trace::default();
            let outcome = game::run(&mut Entropy::seeded(seed), steps(), &mut trace);
            (outcome, trace.tell())
        };
        assert_eq!(tell(), tell(), "seed {seed}");
    }
}

/// What a fuzzer feeds: any bytes play a game, and none at all a dull one.
#[test]
fn bytes_play_too() {
    let mut bytes = Vec::new();
    for round in 0..64_u8 {
        let played = game::run(&mut Entropy::from_bytes(&bytes), 100, &mut Trace::default());
        assert_eq!(played, Ok(()), "bytes {bytes:?}");
        bytes.extend([round.wrapping_mul(73), round ^ 0x5A, 255 - round]);
    }
}

/// Many histories at once; see above.
#[test]
#[ignore = "for hunting by hand: it takes as long as it is told to"]
fn hunt_for_failures() {
    let first = number("DIAKONOS_SIM_FIRST").unwrap_or(0);
    let count = number("DIAKONOS_SIM_SEEDS").unwrap_or(SEEDS);
    hunt::hunt(first, first.saturating_add(count), steps());
}

/// For whoever hunts: every kind of failure in many seeds, with the first seed that shows it.
// Whoever hunts for hours wants to see what was found so far.
#[allow(clippy::print_stderr)]
#[test]
#[ignore = "for hunting by hand: it tells kinds of failures and shortens none"]
fn survey() {
    let mut kinds: BTreeMap<String, (u64, u32)> = BTreeMap::new();
    let first = number("DIAKONOS_SIM_FIRST").unwrap_or(0);
    for seed in first..first + number("DIAKONOS_SIM_SEEDS").unwrap_or(SEEDS) {
        let mut entropy = Entropy::seeded(seed);
        if let Err(why) = shorten::play(&mut entropy, steps()) {
            eprintln!("seed {seed}: {}", why.lines().next().unwrap_or_default());
            kinds.entry(shorten::kind_of(&why)).or_insert((seed, 0)).1 += 1;
        }
    }
    let lines = kinds
        .iter()
        .map(|(kind, (seed, count))| format!("{count:5} seed {seed:5} {kind}\n"));
    assert!(kinds.is_empty(), "\n{}", lines.collect::<String>());
}
