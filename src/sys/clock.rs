//! The clocks and the boot's identity: the only place where time enters the program.
//!
//! Owns reading them. Does not own deadlines: those are the engine's.

use std::fs;
use std::io;

use rustix::time::{ClockId, clock_gettime};

use super::process::Pid;
use super::{machine, proc};

/// Milliseconds of `CLOCK_MONOTONIC`: counts from boot, never steps, stands still while the machine is suspended.
#[must_use]
pub fn monotonic_ms() -> u64 {
    milliseconds(ClockId::Monotonic)
}

/// Milliseconds of `CLOCK_BOOTTIME`: as [`monotonic_ms`], and goes on while the machine is suspended. Start times of
/// processes are counted by it.
#[must_use]
pub fn boottime_ms() -> u64 {
    milliseconds(ClockId::Boottime)
}

/// Milliseconds since 1970-01-01 00:00 UTC. May step in either direction; before 1970 it is 0.
#[must_use]
pub fn wall_ms() -> u64 {
    milliseconds(ClockId::Realtime)
}

fn milliseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000 + nanoseconds / 1_000_000
}

/// The random id that the kernel gave this boot, 36 characters, see random(4).
///
/// # Errors
/// Whatever reading `/proc` gives.
pub fn boot_id() -> io::Result<String> {
    let mut text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// What PIDs, start times and moments belong to: this boot of the machine, and where we are in a container, this life
/// of the container: the boot's id and when its first process was started. Equal texts, same world.
///
/// # Errors
/// As [`boot_id`].
pub fn world_id() -> io::Result<String> {
    let boot = boot_id()?;
    if machine::is_ours() {
        return Ok(boot);
    }
    // It may be hidden from other users, and then is for as long as there is this container.
    let first = Pid::from_raw(1).and_then(|first| proc::stat(first).ok());
    Ok(match first {
        Some(first) => format!("{boot}+{}", first.start_ticks),
        None => boot,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn clocks_advance_and_agree_with_the_standard_library() {
        let before = monotonic_ms();
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        assert!(wall_ms().abs_diff(u64::try_from(wall.as_millis()).unwrap()) < 10_000);
        assert!(monotonic_ms() >= before);
    }

    #[test]
    fn boot_id_is_one_line() {
        let id = boot_id().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(id, boot_id().unwrap());
    }

    #[test]
    fn the_world_is_of_this_boot() {
        let id = world_id().unwrap();
        assert!(id.starts_with(&boot_id().unwrap()), "{id}");
        assert_eq!(id, world_id().unwrap());
    }
}
