//! Playing a game so that a panic is a failure like any other, and making a failing game shorter.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::{Duration, Instant};

use crate::entropy::Entropy;
use crate::game;
use crate::model::Check;
use crate::trace::Trace;
use crate::units::NAMES;

/// How long shortening may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Plays one game; a panic of the engine's counts as a failure.
pub(crate) fn play(entropy: &mut Entropy, steps: usize) -> Check {
    play_into(entropy, steps, &mut Trace::default())
}

fn play_into(entropy: &mut Entropy, steps: usize, trace: &mut Trace) -> Check {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map_or("", |location| location.file());
            if !place.contains("src/engine") {
                usual(info);
            }
        }));
    });
    let played = catch_unwind(AssertUnwindSafe(|| game::run(entropy, steps, trace)));
    match played {
        Ok(check) => check,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default();
            Err(format!("panic: {text}"))
        }
    }
}

/// Drops steps, and makes choices kinder, while the game still fails. Gives the last failure and its story.
pub(crate) fn shorten(record: &[Vec<u32>], why: &str) -> (String, String) {
    let begin = Instant::now();
    let kind = kind_of(why);
    let mut best = record.to_vec();
    let mut size = best.len() / 2;
    while size > 0 && begin.elapsed() < PATIENCE {
        let mut at = 1;
        let mut dropped = false;
        while at < best.len() && begin.elapsed() < PATIENCE {
            let mut shorter = best.clone();
            shorter.drain(at..(at + size).min(best.len()));
            if fails(&shorter, &kind) {
                best = shorter;
                dropped = true;
            } else {
                at += size;
            }
        }
        if !dropped || size > 1 {
            size /= 2;
        }
    }
    soften(&mut best, &kind, begin);
    let mut trace = Trace::default();
    let steps = best.len();
    let told = play_into(&mut Entropy::taped(best), steps, &mut trace);
    let why = told.err().unwrap_or_else(|| why.to_owned());
    (why, trace.tell())
}

/// Turns single choices into the kindest one.
fn soften(best: &mut [Vec<u32>], kind: &str, begin: Instant) {
    for segment in (0..best.len()).rev() {
        for at in 0..best[segment].len() {
            let was = best[segment][at];
            for kinder in [0, was / 2, was.saturating_sub(1)] {
                if kinder >= best[segment][at] || begin.elapsed() > PATIENCE {
                    continue;
                }
                let before = std::mem::replace(&mut best[segment][at], kinder);
                if fails(best, kind) {
                    break;
                }
                best[segment][at] = before;
            }
        }
    }
}

/// Whether it fails in the same way, which another fault on the way would hide.
fn fails(record: &[Vec<u32>], kind: &str) -> bool {
    play(&mut Entropy::taped(record.to_vec()), record.len()).is_err_and(|why| kind_of(&why) == kind)
}

/// What a failure is about, without names and numbers.
pub(crate) fn kind_of(why: &str) -> String {
    let words = why.split('{').next().unwrap_or("").split_whitespace();
    let telling = words.filter(|word| {
        !word.chars().any(|c| c.is_ascii_digit())
            && !NAMES.iter().any(|name| word.starts_with(name))
    });
    telling.collect::<Vec<_>>().join(" ")
}
