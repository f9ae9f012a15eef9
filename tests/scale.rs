//! Thousands of units: what they cost, and that nothing grows faster than their number.
//!
//! Every run plays a thousand groups through. The figures for 1,000, 3,000 and 10,000 services with five edges each,
//! and the bounds that the product promises, are a release build's:
//!
//! ```sh
//! cargo test --release --test scale -- --ignored --nocapture
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used)]
// The figures are what it is run for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Units in the runs that give figures.
const SIZES: [usize; 3] = [1_000, 3_000, 10_000];
/// Names in one command: fewer than a request may have.
const NAMES: usize = 4_000;
/// Each unit's edges lead at most so far back.
const REACH: usize = 200;
/// What loading and checking, and planning for all, may take.
const PROMISED: Duration = Duration::from_secs(1);
/// What a unit that is loaded and does not run may cost, in bytes.
const PROMISED_BYTES: usize = 2_048;
/// How long the daemon has to give memory back.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the units are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing but their edges: they start without a process.
    Groups,
    Services,
}

/// A new folder, in memory where that can be. What a file costs that is made or removed there does not depend on their
/// number; on a disk it may: an ext4 without a journal looks, for each new file, at all that were removed within the
/// last minute, which after a run with thousands of units is most of the time of the next one's `start`.
fn folder(name: &str) -> PathBuf {
    let places = [PathBuf::from("/dev/shm"), std::env::temp_dir()];
    let made = places
        .into_iter()
        .map(|place| place.join(name))
        .find(|root| {
            let _ = fs::remove_dir_all(root);
            fs::create_dir_all(root).is_ok()
        });
    made.expect("a folder for units and a home")
}

/// What a command has cost.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// What whoever waits for it sees, and what grows with whatever else the machine does.
    wall: Duration,
    /// Of the client and of the daemon, as long as that lives.
    cpu: Duration,
}

/// A folder of units and a home, removed in the end with the daemon.
struct Bench {
    root: PathBuf,
    count: usize,
    /// The daemon's PID, once that is known.
    daemon: Cell<Option<usize>>,
}

impl Bench {
    fn new(name: &str, count: usize, kind: Kind) -> Self {
        let own = std::process::id();
        let root = folder(&format!("diakonos-scale-{own}-{name}-{count}"));
        fs::create_dir_all(root.join("units")).unwrap();
        let daemon = Cell::new(None);
        let bench = Self {
            root,
            count,
            daemon,
        };
        // Any numbers will do, but the same ones each time.
        let mut chance = 0x2545_f491_4f6c_dd1d_u64;
        for number in 0..count {
            let mut draw = |below: usize| {
                chance ^= chance << 13;
                chance ^= chance >> 7;
                chance ^= chance << 17;
                usize::try_from(chance % u64::try_from(below).unwrap()).unwrap()
            };
            let path = bench
                .root
                .join("units")
                .join(format!("{}.service", name_of(number)));
            let reach = number.min(REACH);
            let mut others: Vec<usize> = Vec::new();
            while others.len() < reach.min(3) {
                let other = number - 1 - draw(reach);
                if !others.contains(&other) {
                    others.push(other);
                }
            }
            fs::write(path, text(number, &others, kind)).unwrap();
        }
        bench
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_diakonos"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("DIAKONOS_HOME", self.root.join("home"))
            .current_dir(&self.root)
            .arg("--service-dir")
            .arg(self.root.join("units"))
            .args(words)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that has to succeed. What it printed, and what it cost.
    fn run(&self, words: &[&str]) -> (String, Cost) {
        let (begun, cpu) = (Instant::now(), self.cpu());
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(words).output().unwrap();
        let wall = begun.elapsed();
        let cpu = self.cpu().saturating_sub(cpu);
        let said = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{words:?}: {status}: {said:.2000}");
        (String::from_utf8(stdout).unwrap(), Cost { wall, cpu })
    }

    /// What all clients and the daemon have used until now.
    fn cpu(&self) -> Duration {
        let daemon = self.daemon.get();
        let daemon = daemon.map_or(Duration::ZERO, |pid| used(&pid.to_string(), 13));
        used("self", 15) + daemon
    }

    /// Has the daemon begin where there is none, and counts its work from now on.
    fn know_daemon(&self) -> usize {
        let (status, _) = self.run(&["daemon-status", "--json"]);
        let pid = number_behind(&status, "\"pid\":");
        self.daemon.set(Some(pid));
        pid
    }

    /// Has the daemon load every unit, and start none.
    fn load(&self) -> Cost {
        let names: Vec<String> = (0..self.count).map(name_of).collect();
        let mut all = Cost::default();
        for names in names.chunks(NAMES) {
            let mut words = vec!["stop"];
            words.extend(names.iter().map(String::as_str));
            let (_, cost) = self.run(&words);
            all.wall += cost.wall;
            all.cpu += cost.cpu;
        }
        all
    }

    /// What the daemon weighs, in bytes.
    fn weight(&self) -> usize {
        let pid = self.know_daemon();
        let rollup = Path::new("/proc")
            .join(pid.to_string())
            .join("smaps_rollup");
        let rollup = fs::read_to_string(rollup).unwrap();
        number_behind(&rollup, "\nPss:") * 1_024
    }

    /// The same, once it has given back what it does not need any more.
    fn weight_at_rest(&self) -> usize {
        let pid = self.know_daemon();
        let rollup = Path::new("/proc")
            .join(pid.to_string())
            .join("smaps_rollup");
        let begun = Instant::now();
        let mut least = usize::MAX;
        while begun.elapsed() < PATIENCE {
            let rollup = fs::read_to_string(&rollup).unwrap();
            least = least.min(number_behind(&rollup, "\nPss:") * 1_024);
            std::thread::yield_now();
        }
        least
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.command(&["kill"]).output();
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn name_of(number: usize) -> String {
    format!("unit-{number:05}")
}

/// One requirement, one wish and three edges of order.
fn text(number: usize, others: &[usize], kind: Kind) -> String {
    let list = |others: &[usize]| {
        let names: Vec<String> = others
            .iter()
            .map(|other| format!("\"{}\"", name_of(*other)))
            .collect();
        format!("[{}]", names.join(", "))
    };
    let (requires, wants) = (
        &others[..others.len().min(1)],
        &others[others.len().min(1)..others.len().min(2)],
    );
    let unit = format!(
        "[unit]\nDescription = \"Unit number {number}\"\nRequires = {}\nWants = {}\nAfter = {}\n",
        list(requires),
        list(wants),
        list(others)
    );
    let service = "\n[service]\nExecStart = \"/bin/sleep 1000\"\nRestart = \"on-failure\"\n";
    match kind {
        Kind::Groups => unit,
        Kind::Services => unit + service,
    }
}

/// CPU time from `/proc/PID/stat`: the two numbers that begin with this one, counted from 0, in hundredths of a second.
/// Nothing of a process that is gone.
fn used(pid: &str, first: usize) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let numbers = behind_name.split_whitespace().skip(first - 2).take(2);
    let ticks: u64 = numbers.map(|number| number.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

fn number_behind(text: &str, key: &str) -> usize {
    let (_, rest) = text.split_once(key).unwrap();
    let digits: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap()
}

#[test]
fn a_thousand_units_go_through_everything() {
    let bench = Bench::new("groups", 1_000, Kind::Groups);
    let lines = |text: &str| text.lines().filter(|line| line.contains("unit-")).count();
    bench.run(&["check"]);
    let (plan, _) = bench.run(&["plan", "start", "*"]);
    assert!(lines(&plan) >= 1_000, "{plan:.2000}");
    let (started, _) = bench.run(&["start", "*"]);
    assert_eq!(lines(&started), 1_000, "{started:.2000}");
    let (list, _) = bench.run(&["list"]);
    assert_eq!(lines(&list), 1_000, "{list:.2000}");
    bench.run(&["restart", "*"]);
    let (stopped, _) = bench.run(&["stop", "*"]);
    assert_eq!(lines(&stopped), 1_000, "{stopped:.2000}");
}

#[test]
#[ignore = "figures of a release build; see the head"]
fn figures() {
    if cfg!(debug_assertions) {
        eprintln!("this is no release build: the figures mean little, and no bound is held");
    }
    println!("milliseconds on the clock, and of them on a CPU in client and daemon");
    println!(
        "units  check      list       load       plan       start      restart    stop       kill"
    );
    let mut all = Vec::new();
    for count in SIZES {
        let bench = Bench::new("services", count, Kind::Services);
        let (_, list) = bench.run(&["list"]);
        let (_, check) = bench.run(&["check"]);
        let empty = bench.weight();
        let load = bench.load();
        let weight = bench.weight_at_rest();
        let each = weight.saturating_sub(empty) / count;
        drop(bench);
        let bench = Bench::new("groups", count, Kind::Groups);
        bench.run(&["list"]);
        bench.know_daemon();
        let (_, plan) = bench.run(&["plan", "start", "*"]);
        let (_, start) = bench.run(&["start", "*"]);
        let (_, restart) = bench.run(&["restart", "*"]);
        let (_, stop) = bench.run(&["stop", "*"]);
        bench.run(&["start", "*"]);
        let (_, kill) = bench.run(&["kill"]);
        let costs = [check, list, load, plan, start, restart, stop, kill];
        let shown = costs.map(|cost| {
            let (wall, cpu) = (cost.wall.as_millis(), cost.cpu.as_millis());
            format!("{:10}", format!("{wall}/{cpu}"))
        });
        println!("{count:6} {} {each} bytes a unit", shown.join(" "));
        all.push((count, costs, each));
    }
    if cfg!(debug_assertions) {
        return;
    }
    let (_, [check, _, load, plan, ..], _) = all[all.len() - 1];
    // An idle machine is the promise: what others use of this one is not ours.
    for cost in [check, load, plan] {
        assert!(
            cost.cpu <= PROMISED,
            "check {check:?}, load {load:?}, plan {plan:?}"
        );
    }
    for (count, _, each) in &all {
        assert!(*each <= PROMISED_BYTES, "{each} bytes a unit of {count}");
    }
    // Ten times the units, ten times the work: twice that is room for what a busy machine adds to it. The daemon's part
    // of `kill` is gone with it, and seen on the clock.
    let (few, many) = (&all[0], &all[all.len() - 1]);
    for (few, many) in few.1.iter().zip(&many.1) {
        assert!(
            many.cpu <= few.cpu * 20 + PROMISED / 10,
            "{few:?} becomes {many:?}"
        );
    }
    let (few, many) = (few.1[7].wall, many.1[7].wall);
    assert!(
        many <= few * 20 + PROMISED,
        "kill: {few:?} becomes {many:?}"
    );
}
