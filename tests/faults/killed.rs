//! The daemon dies under load, again and again: its services do not notice, and its successor knows them.
//!
//! It is killed, crashes and panics; its guardian dies beside it, or with it.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::{Child, Command as Program, Stdio};

use diakonos::engine::Command;
use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::poll::wait_readable;
use diakonos::sys::process::{Pid, PidFd};

use crate::clients::{asking, hello};
use crate::fleet::{Answers, Care, Fleet, daemon_pid, guardian_pid};
use crate::harness::{Bench, Deadline, Lines};
use crate::tools::{await_that, from_environment, window};

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;

/// Deaths in one game, unless the environment says otherwise.
const KILLS: u64 = 200;
const OTHERS: u64 = 20;
const GUARDIANS: u64 = 4;
const UPGRADES: u64 = 50;

/// A process that is to die.
struct Victim {
    pid: Pid,
    process: PidFd,
}

impl Victim {
    fn new(pid: Pid) -> Self {
        let process = PidFd::open(pid).unwrap();
        Self { pid, process }
    }

    fn has_ended_within(&self, limit_ms: u64) -> bool {
        wait_readable(&[self.process.as_fd()], Some(limit_ms)).unwrap()[0]
    }

    fn signal(&self, signal: i32) {
        // It may be gone already, which is what is wanted.
        let _ = self.process.signal(signal);
    }

    fn await_end(&self) {
        let what = || format!("the end of PID {}", self.pid);
        Deadline::new().wait(self.process.as_fd(), &what);
    }

    /// The runtime swallows the first SIGSEGV that no fault has caused, and two that come before it looks are one.
    fn crash(&self, signal: i32) {
        let ends = || {
            self.signal(signal);
            self.has_ended_within(20)
        };
        await_that("the daemon crashes", ends);
    }
}

/// The daemon makes a new one when the old one has died.
fn guardian(fleet: &Fleet<'_>) -> Victim {
    let mut client = fleet.bench.client();
    let mut found = None;
    await_that("the daemon has a guardian", || {
        found = guardian_pid(&mut client);
        found.is_some()
    });
    Victim::new(found.unwrap())
}

fn play(rounds: u64, answers: Answers, mut die: impl FnMut(&mut Fleet<'_>, &Victim), care: Care) {
    let seed = from_environment("DIAKONOS_FAULTS_SEED").unwrap_or_else(monotonic_ms);
    eprintln!("DIAKONOS_FAULTS_SEED={seed}");
    let bench = Bench::new();
    let mut fleet = Fleet::new(&bench, seed);
    fleet.begin();
    for round in 1..=rounds {
        eprintln!("round {round}");
        let daemon = Victim::new(daemon_pid(&mut bench.client()));
        fleet.load();
        die(&mut fleet, &daemon);
        // Perhaps nobody reads now, and writers go on until their pipe is full.
        fleet.write();
        fleet.end_one();
        fleet.succeed((care, answers));
    }
    fleet.finish(care);
}

#[test]
fn a_killed_daemon_costs_no_process_no_line_and_no_wish() {
    let die = |_: &mut Fleet<'_>, daemon: &Victim| {
        daemon.signal(SIGKILL);
        daemon.await_end();
    };
    let kills = from_environment("DIAKONOS_FAULTS_KILLS").unwrap_or(KILLS);
    play(kills, Answers::All, die, Care::Kept);
}

#[test]
fn a_daemon_that_crashed_costs_as_little() {
    let die = |fleet: &mut Fleet<'_>, daemon: &Victim| {
        daemon.crash([SIGSEGV, SIGABRT][fleet.seeded.below(2)]);
    };
    play(OTHERS, Answers::All, die, Care::Kept);
}

/// A kernel that says that it has sent more than it was given: then what is left to be sent is less than nothing, which
/// is a panic where overflow is looked for. It takes no door in the program for tests.
struct LyingKernel(Child);

impl LyingKernel {
    fn about(process: Pid) -> Self {
        let pid = process.to_string();
        let mut strace = Program::new("strace");
        let strace = strace.args(["-p", &pid, "-e", "trace=sendto", "-e", "signal=none"]);
        let strace = strace.args(["-e", "inject=sendto:retval=1000000", "-o", "/dev/null"]);
        let mut child = strace.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let mut said = Lines::new(std::os::fd::OwnedFd::from(stderr).into());
        said.until("attached");
        Self(child)
    }
}

impl Drop for LyingKernel {
    fn drop(&mut self) {
        // It ends with the process that it was about.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_daemon_that_panicked_costs_as_little() {
    let die = |fleet: &mut Fleet<'_>, daemon: &Victim| {
        let _kernel = LyingKernel::about(daemon.pid);
        let mut stream = fleet.bench.connect();
        let list = asking(fleet.bench, Command::List);
        stream.write_all(&hello()).unwrap();
        while !daemon.has_ended_within(10) {
            // It may die meanwhile, which is what is wanted.
            let _ = stream.write_all(&list);
        }
        let story = fleet.story();
        assert!(story.contains("panicked at"), "no panic: {story}");
    };
    play(OTHERS, Answers::All, die, Care::Kept);
}

#[test]
fn a_guardian_that_was_killed_is_missed_by_nobody() {
    let die = |fleet: &mut Fleet<'_>, _: &Victim| {
        let guardian = guardian(fleet);
        guardian.signal(SIGKILL);
        guardian.await_end();
    };
    // One daemon ceases to make guardians when so many have died at once.
    for _ in 0..OTHERS / GUARDIANS {
        play(GUARDIANS, Answers::All, die, Care::Kept);
    }
}

#[test]
fn fifty_upgrades_cost_nothing_and_no_client_notices() {
    let die = |fleet: &mut Fleet<'_>, daemon: &Victim| {
        let output = fleet.bench.run(&["upgrade"]);
        assert!(output.status.success(), "{output:?}\n{}", fleet.story());
        assert_eq!(daemon_pid(&mut fleet.bench.client()), daemon.pid);
    };
    play(UPGRADES, Answers::All, die, Care::Kept);
}

#[test]
fn a_daemon_killed_while_it_is_upgraded_costs_as_little() {
    let die = |fleet: &mut Fleet<'_>, daemon: &Victim| {
        let upgrade = fleet.bench.begin(&["upgrade"]);
        window(fleet.seeded.below(100) as u64);
        daemon.signal(SIGKILL);
        daemon.await_end();
        upgrade.wait_with_output().unwrap();
    };
    play(OTHERS, Answers::All, die, Care::Kept);
}

/// Somebody else reaps what ends before the next client brings a daemon, and nobody reads what it says.
#[test]
fn a_client_brings_back_both_daemon_and_guardian() {
    let die = |fleet: &mut Fleet<'_>, daemon: &Victim| {
        let guardian = guardian(fleet);
        guardian.signal(SIGKILL);
        daemon.signal(SIGKILL);
        guardian.await_end();
        daemon.await_end();
    };
    play(OTHERS, Answers::Some, die, Care::Lost);
}
