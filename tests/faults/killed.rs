//! The daemon dies under load, again and again: its services do not notice, and its successor knows them.

use std::os::fd::AsFd;

use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::poll::wait_readable;
use diakonos::sys::proc;
use diakonos::sys::process::{Pid, PidFd};

use crate::fleet::{Answers, Care, Fleet, daemon_pid};
use crate::harness::{Bench, Deadline};
use crate::tools::from_environment;

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;

/// Deaths in one game, unless the environment says otherwise.
const KILLS: u64 = 200;
const OTHERS: u64 = 20;

/// A signal, until the process is gone: the runtime swallows the first SIGSEGV that no fault has caused.
fn end_by(process: &PidFd, signal: i32) {
    let deadline = Deadline::new();
    for _ in 0..20 {
        if process.signal(signal).is_err() {
            break;
        }
        if wait_readable(&[process.as_fd()], Some(20)).unwrap()[0] {
            break;
        }
    }
    deadline.wait(process.as_fd(), &|| "the killed daemon's end".to_owned());
}

/// The daemon's parent, where that is a program of ours.
fn guardian(daemon: Pid) -> Option<Pid> {
    let parent = proc::stat(daemon).ok()?.ppid?;
    let program = |pid: Pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    (program(parent).is_some() && program(parent) == program(daemon)).then_some(parent)
}

fn play(rounds: u64, answers: Answers, mut die: impl FnMut(&mut Fleet<'_>, Pid) -> Care) {
    let seed = from_environment("DIAKONOS_FAULTS_SEED").unwrap_or_else(monotonic_ms);
    let rounds = from_environment("DIAKONOS_FAULTS_KILLS").unwrap_or(rounds);
    eprintln!("DIAKONOS_FAULTS_SEED={seed}");
    let bench = Bench::new();
    let mut fleet = Fleet::new(&bench, seed);
    fleet.begin();
    let mut worst = Care::Kept;
    for round in 1..=rounds {
        eprintln!("round {round}");
        let daemon = daemon_pid(&mut bench.client());
        fleet.load();
        let care = die(&mut fleet, daemon);
        if care == Care::Lost {
            worst = care;
        }
        // Nobody reads now, and writers go on until their pipe is full.
        fleet.write();
        fleet.end_one();
        fleet.succeed((care, answers));
    }
    fleet.finish(worst);
}

fn by_signal(daemon: Pid, signal: i32) -> Care {
    let care = guardian(daemon).map_or(Care::Lost, |_| Care::Kept);
    end_by(&PidFd::open(daemon).unwrap(), signal);
    care
}

#[test]
fn a_killed_daemon_costs_no_process_no_line_and_no_wish() {
    play(KILLS, Answers::Some, |_, daemon| by_signal(daemon, SIGKILL));
}

#[test]
fn a_daemon_that_crashed_costs_as_little() {
    let signals = [SIGSEGV, SIGABRT];
    play(OTHERS, Answers::Some, |fleet, daemon| {
        by_signal(daemon, signals[fleet.seeded.below(2)])
    });
}
