//! The simulation, played by the fuzzer: its bytes are every choice that is drawn, of units, wishes, processes and
//! faults.
//!
//! The game, its world and its rules are those of `tests/simulation/`, taken by path. A failure is shortened and told
//! as there.

#![no_main]
#![allow(dead_code)] // The test has more uses for these files.

#[path = "../../tests/simulation/answers.rs"]
mod answers;
#[path = "../../tests/simulation/chain.rs"]
mod chain;
#[path = "../../tests/simulation/entropy.rs"]
mod entropy;
#[path = "../../tests/simulation/foresight.rs"]
mod foresight;
#[path = "../../tests/simulation/game.rs"]
mod game;
#[path = "../../tests/simulation/grammar.rs"]
mod grammar;
#[path = "../../tests/simulation/life.rs"]
mod life;
#[path = "../../tests/simulation/model.rs"]
mod model;
#[path = "../../tests/simulation/rules.rs"]
mod rules;
#[path = "../../tests/simulation/shorten.rs"]
mod shorten;
#[path = "../../tests/simulation/sweep.rs"]
mod sweep;
#[path = "../../tests/simulation/ties.rs"]
mod ties;
#[path = "../../tests/simulation/trace.rs"]
mod trace;
#[path = "../../tests/simulation/units.rs"]
mod units;
#[path = "../../tests/simulation/world.rs"]
mod world;

use entropy::Entropy;
use libfuzzer_sys::fuzz_target;

/// Steps of one game; the game ends before, when the bytes do.
const STEPS: usize = 400;

fuzz_target!(|bytes: &[u8]| {
    let mut entropy = Entropy::from_bytes(bytes);
    if let Err(why) = shorten::play(&mut entropy, STEPS) {
        let (why, story) = shorten::shorten(entropy.record(), &why);
        panic!("{why}\n\n{story}");
    }
});
