//! The daemon killed under load, again and again: its services do not notice, and its successor knows them.
//!
//! Writers number their lines and live through every kill. Others crash in a loop, and are started, stopped and
//! restarted by hand. Every service locks a file of its own and reports when somebody else has it: then there are two.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;

use diakonos::engine::{Command, Scope, Wait};
use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::wire::{Final, ResultKind};

use crate::harness::{Bench, Client, Deadline, Lines, start, stop};
use crate::tools::{Orders, Seeded, from_environment, window};

const KILLS: u64 = 20;
const WRITERS: usize = 3;
const HANDS: usize = 3;
/// Lines for each order: more than a pipe holds, so that a writer waits while no daemon reads.
const LINES: usize = 20_000;

/// What is known of a service's wish and process.
#[derive(Clone, Copy, Debug)]
enum Known {
    Up(u32),
    Down,
    /// A request was on its way when the daemon was killed.
    Nothing,
}

struct Fleet<'b> {
    bench: &'b Bench,
    writers: Vec<(String, Orders, usize)>,
    /// What must be the same after the next kill.
    known: BTreeMap<String, Known>,
    seeded: Seeded,
    ear: Lines,
}

/// Locks the service's own file first.
fn alone(bench: &Bench, name: &str, script: &str) -> String {
    let lock = bench.path(&format!("{name}.lock"));
    let lock = lock.display();
    format!("exec 9> {lock}; flock -n 9 || {{ echo two of {name} > $EAR; exit 9; }}\n{script}")
}

impl<'b> Fleet<'b> {
    fn new(bench: &'b Bench, seed: u64) -> Self {
        let mut fleet = Self {
            bench,
            writers: Vec::new(),
            known: BTreeMap::new(),
            seeded: Seeded(seed),
            ear: bench.ear(),
        };
        for count in 0..WRITERS {
            let name = format!("writer{count}");
            let orders = Orders::new(bench, &format!("{name}.orders"));
            let script = format!(
                "n=0; while read order; do case $order in end) echo end of {name} > $EAR;; *) \
                 seq $n $((n + {LINES} - 1)); n=$((n + {LINES}));; esac; done < {}",
                orders.path.display()
            );
            // Some are rotated often.
            let size = ["1G", "100K", "300K"][count % 3];
            let limits = format!("LogMaxSize = \"{size}\"\nLogMaxFiles = 1000");
            bench.service(&name, "", &alone(bench, &name, &script), &limits);
            fleet.writers.push((name, orders, 0));
        }
        for count in 0..2 {
            let name = format!("crash{count}");
            let policy = "Restart = \"always\"\nRestartSec = 0.02";
            let limit = "StartLimitIntervalSec = 0";
            bench.service(
                &name,
                limit,
                &alone(bench, &name, "echo here; exit 1"),
                policy,
            );
        }
        for count in 0..HANDS {
            let name = format!("hand{count}");
            bench.service(
                &name,
                "",
                &alone(bench, &name, "echo here; exec sleep 1000"),
                "",
            );
            fleet.known.insert(name, Known::Down);
        }
        fleet
    }

    fn begin(&mut self) {
        let output = self.bench.run(&["start", "writer*", "crash*", "hand*"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let names: Vec<String> = self.writers.iter().map(|(name, ..)| name.clone()).collect();
        let hands = self.known.keys().cloned().collect::<Vec<_>>();
        for name in names.into_iter().chain(hands) {
            let pid = self.bench.status(&name).pid;
            let pid = pid.unwrap_or_else(|| panic!("{name} does not run: {said}"));
            self.known.insert(name, Known::Up(pid));
        }
        let stopped = "hand0";
        self.bench.stop(stopped).is(ResultKind::Stopped);
        self.known.insert(stopped.to_owned(), Known::Down);
    }

    /// One piece of load.
    fn act(&mut self, client: &mut Client) {
        match self.seeded.below(6) {
            0..=2 => {
                let writer = self.seeded.below(WRITERS);
                let (_, orders, given) = &mut self.writers[writer];
                orders.give("write");
                *given += LINES;
            }
            3 => {
                let name = self.hand();
                // Two wishes on two connections have no order.
                if !matches!(self.known[&name], Known::Nothing) {
                    self.wish(client, &name);
                }
            }
            _ => {
                let name = self.hand();
                let names = vec![name.clone()];
                let (wait, scope) = (Wait::Finished, Scope::All);
                let wish = match self.seeded.below(3) {
                    0 => start(&name),
                    1 => stop(&name),
                    _ => Command::Restart { names, wait, scope },
                };
                self.known.insert(name, Known::Nothing);
                self.bench.client().request(wish);
            }
        }
    }

    /// A wish that is answered, and what came of it.
    fn wish(&mut self, client: &mut Client, name: &str) {
        let is_start = self.seeded.below(2) == 0;
        let done = client.ask(if is_start { start(name) } else { stop(name) });
        let pid = self.bench.status(name).pid;
        let story = || format!("{name}: {pid:?} after {done:?}\n{}", self.story());
        assert_eq!(is_start, pid.is_some(), "{}", story());
        self.known
            .insert(name.to_owned(), pid.map_or(Known::Down, Known::Up));
    }

    /// What the daemons said.
    fn story(&self) -> String {
        let log = fs::read_to_string(self.bench.home().join("daemon.log")).unwrap();
        let hands = |line: &&str| !line.contains("crash");
        let lines: Vec<&str> = log.lines().filter(hands).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn hand(&mut self) -> String {
        format!("hand{}", self.seeded.below(HANDS))
    }

    fn kill(&mut self) {
        let mut client = self.bench.client();
        for _ in 0..self.seeded.below(8) {
            self.act(&mut client);
        }
        let daemon = daemon_pid(&mut client);
        let process = PidFd::open(daemon).unwrap();
        window(self.seeded.below(30) as u64);
        process.signal(9).unwrap();
        Deadline::new().wait(process.as_fd(), &|| "the killed daemon's end".to_owned());
        // Nobody reads now, and writers go on until their pipe is full.
        let writer = self.seeded.below(WRITERS);
        let (_, orders, given) = &mut self.writers[writer];
        orders.give("write");
        *given += LINES;
    }

    /// The next client finds a daemon, and in it everything as it was.
    fn succeed(&mut self) {
        let output = self.bench.run(&["list"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let mut unknown = Vec::new();
        for (name, known) in &self.known {
            let status = self.bench.status(name);
            let story = || format!("{name}: {status:?}\n{}", self.story());
            match known {
                Known::Up(pid) => {
                    assert_eq!(status.pid, Some(*pid), "{}", story());
                    assert_eq!(status.state, "running", "{}", story());
                }
                Known::Down => assert_eq!(status.pid, None, "{}", story()),
                Known::Nothing => unknown.push(name.clone()),
            }
        }
        for name in unknown {
            self.wish(&mut self.bench.client(), &name);
        }
    }

    /// Every line once and in order, in all of a log's files.
    fn check_logs(&mut self) {
        for (_, orders, _) in &mut self.writers {
            orders.give("end");
        }
        let mut ends: Vec<String> = (0..WRITERS).map(|_| self.ear.next().unwrap()).collect();
        ends.sort();
        let expected: Vec<String> = self
            .writers
            .iter()
            .map(|(name, ..)| format!("end of {name}"))
            .collect();
        // Anything else said that there were two of a service.
        assert_eq!(ends, expected);
        for (name, _, given) in &self.writers {
            // The pipe is emptied before the end is told.
            self.bench.stop(name).is(ResultKind::Stopped);
            let text = whole_log(self.bench, name);
            let mut lines = text.lines();
            for expected in 0..*given {
                let found = lines.next();
                assert_eq!(
                    found,
                    Some(expected.to_string().as_str()),
                    "{name}, of {given}"
                );
            }
            assert_eq!(lines.next(), None, "{name}");
        }
    }
}

fn daemon_pid(client: &mut Client) -> Pid {
    match client.ask(Command::DaemonStatus).last {
        Final::Daemon(status) => Pid::from_raw(status.pid).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A log with all that was rotated away, oldest first.
fn whole_log(bench: &Bench, name: &str) -> String {
    let logs = bench.home().join("logs");
    let path = |number: usize| -> PathBuf {
        let ending = if number == 0 {
            String::new()
        } else {
            format!(".{number}")
        };
        logs.join(format!("{name}.log{ending}"))
    };
    let count = (0..).take_while(|number| path(*number).exists()).count();
    (0..count)
        .rev()
        .map(|number| fs::read_to_string(path(number)).unwrap())
        .collect()
}

#[test]
fn a_killed_daemon_costs_no_process_no_line_and_no_wish() {
    let seed = from_environment("DIAKONOS_FAULTS_SEED").unwrap_or_else(monotonic_ms);
    let kills = from_environment("DIAKONOS_FAULTS_KILLS").unwrap_or(KILLS);
    eprintln!("DIAKONOS_FAULTS_SEED={seed}");
    let bench = Bench::new();
    let mut fleet = Fleet::new(&bench, seed);
    fleet.begin();
    for kill in 1..=kills {
        eprintln!("kill {kill}");
        fleet.kill();
        fleet.succeed();
    }
    fleet.check_logs();
    let output = bench.run(&["kill"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(bench.processes(), []);
}
