//! Services under load, beside which the daemon dies: who they are, what is wished of them, and what must be so
//! afterwards.
//!
//! Writers number their lines and live through everything. Others crash in a loop, and write down themselves what they
//! wrote and how they ended. Some end when they are told to, and some are started, stopped and restarted: simple ones,
//! one with commands before and after, one that forks, one that does not listen to SIGTERM. Every process of a service
//! locks a file of its own and reports when somebody else has it: then there are two.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Child;

use diakonos::engine::{Command, Scope, Wait};
use diakonos::log::index::{Record, What, decode};
use diakonos::log::{Ending, Mark};
use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::wire::{DaemonStatus, Final, ResultKind, UnitStatus};

use crate::harness::{Bench, Client, Deadline, Lines, PATIENCE_MS, start, stop};
use crate::tools::{Orders, Seeded, window};

const WRITERS: usize = 3;
const LOOPS: usize = 2;
const ENDERS: usize = 2;
const HANDS: [&str; 5] = ["plain", "other", "posts", "forks", "deaf"];
/// Lines for each order: more than a pipe holds, so that a writer waits while no daemon reads.
const LINES: usize = 20_000;

/// What is known of a service's wish and process.
#[derive(Clone, Copy, Debug)]
enum Known {
    Up(u32),
    Down,
    /// It has ended, or is about to, with this code.
    Ended(usize),
    /// A request was on its way when the daemon was killed.
    Nothing,
}

/// Whether a part of what ends while no daemon is there may go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Somebody holds the pipes and keeps the statuses.
    Kept,
    /// Nobody of ours was left.
    Lost,
}

/// What a command on its way may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Each is answered as if nothing had happened.
    All,
    /// The daemon that was asked may be no more.
    Some,
}

struct Writer {
    name: String,
    orders: Orders,
    given: usize,
}

pub(crate) struct Fleet<'b> {
    pub(crate) bench: &'b Bench,
    pub(crate) seeded: Seeded,
    writers: Vec<Writer>,
    enders: BTreeMap<String, Orders>,
    /// What must be the same after the next daemon's death.
    known: BTreeMap<String, Known>,
    /// Commands of the program that wait for their answer.
    clients: Vec<(String, Child)>,
    ear: Lines,
}

/// Locks the service's own file first.
fn alone(bench: &Bench, name: &str, script: &str) -> String {
    let lock = bench.path(&format!("{name}.lock"));
    let lock = lock.display();
    format!("exec 9> {lock}; flock -n 9 || {{ echo two of {name} > $EAR; exit 9; }}\n{script}")
}

/// A command for a unit file.
fn command(script: &str) -> String {
    format!("[\"/bin/sh\", \"-c\", '''{script}''']")
}

impl<'b> Fleet<'b> {
    pub(crate) fn new(bench: &'b Bench, seed: u64) -> Self {
        let mut fleet = Self {
            bench,
            seeded: Seeded(seed),
            writers: Vec::new(),
            enders: BTreeMap::new(),
            known: BTreeMap::new(),
            clients: Vec::new(),
            ear: bench.ear(),
        };
        (0..WRITERS).for_each(|count| fleet.add_writer(count));
        (0..LOOPS).for_each(|count| fleet.add_loop(count));
        for count in 0..ENDERS {
            let name = format!("ender{count}");
            let orders = Orders::new(bench, &format!("{name}.orders"));
            let script = format!("read code < {}; exit $code", orders.path.display());
            bench.service(&name, "", &alone(bench, &name, &script), "");
            fleet.enders.insert(name, orders);
        }
        fleet.add_hands();
        fleet
    }

    fn add_writer(&mut self, count: usize) {
        let bench = self.bench;
        let name = format!("writer{count}");
        let orders = Orders::new(bench, &format!("{name}.orders"));
        let script = format!(
            "n=0; while read order; do case $order in end) echo end of {name} > $EAR;; *) \
             seq $n $((n + {LINES} - 1)); n=$((n + {LINES}));; esac; done < {}",
            orders.path.display()
        );
        // Some are rotated often.
        let size = ["1G", "200K", "500K"][count % 3];
        let limits = format!("LogMaxSize = \"{size}\"\nLogMaxFiles = 1000");
        bench.service(&name, "", &alone(bench, &name, &script), &limits);
        let given = 0;
        self.writers.push(Writer {
            name,
            orders,
            given,
        });
    }

    /// Each life has a number and a code, some fill their pipe, and all come to their end, whatever they are told.
    fn add_loop(&mut self, count: usize) {
        let bench = self.bench;
        let name = format!("loop{count}");
        let path = |what: &str| bench.path(&format!("{name}.{what}")).display().to_string();
        let (number, lives) = (path("number"), path("lives"));
        let script = format!(
            "trap \"\" TERM; n=0; [ -f {number} ] && read n < {number}; n=$((n + 1)); echo $n > {number}\n\
             lines=$((n % 7)); [ $((n % 5)) = 0 ] && lines=12000\n\
             seq -f \"$n %.0f\" $lines; code=$((n % 200 + 20))\n\
             echo \"$$ $n $lines $code\" >> {lives}; exit $code"
        );
        let policy = ["always", "on-failure"][count % 2];
        let service = format!("Restart = \"{policy}\"\nRestartSec = 0.02\nLogMaxSize = \"1G\"");
        let unit = "StartLimitIntervalSec = 0";
        bench.service(&name, unit, &alone(bench, &name, &script), &service);
    }

    fn add_hands(&mut self) {
        let bench = self.bench;
        let sleeps = |name: &str| alone(bench, name, "echo here; exec sleep 1000");
        bench.service("plain", "", &sleeps("plain"), "");
        bench.service("other", "", &sleeps("other"), "");
        let beside = |key: &str| {
            let name = format!("posts.{key}");
            format!("{key} = {}", command(&alone(bench, &name, "echo beside")))
        };
        let around = ["ExecStartPre", "ExecStartPost", "ExecStopPost"].map(beside);
        bench.service("posts", "", &sleeps("posts"), &around.join("\n"));
        let pid = bench.path("forks.pid");
        let pid = pid.display();
        let script = format!(
            "({}) & echo $! > {pid}.new; mv {pid}.new {pid}",
            sleeps("forks")
        );
        let kind = format!("Type = \"forking\"\nPIDFile = \"{pid}\"");
        bench.service("forks", "", &script, &kind);
        let script = "trap \"\" TERM; echo here; while :; do sleep 1000; done";
        let limit = "TimeoutStopSec = 0.05";
        bench.service("deaf", "", &alone(bench, "deaf", script), limit);
    }

    /// Starts them all, in a daemon that the first command starts.
    pub(crate) fn begin(&mut self) {
        let output = self.bench.run(&["start", "*"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let stay = self.writers.iter().map(|writer| writer.name.clone());
        let names = stay
            .chain(self.enders.keys().cloned())
            .chain(HANDS.map(str::to_owned));
        for name in names.collect::<Vec<_>>() {
            let pid = self.bench.status(&name).pid;
            let pid = pid.unwrap_or_else(|| panic!("{name} does not run: {said}"));
            self.known.insert(name, Known::Up(pid));
        }
        self.bench.stop("plain").is(ResultKind::Stopped);
        self.known.insert("plain".to_owned(), Known::Down);
    }

    /// Some load, and the moment that comes after it.
    pub(crate) fn load(&mut self) {
        let mut client = self.bench.client();
        for _ in 0..self.seeded.below(8) {
            self.act(&mut client);
        }
        let moment_ms = self.seeded.below(30) as u64;
        window(moment_ms);
    }

    fn act(&mut self, client: &mut Client) {
        let name = self.hand();
        // Two wishes on two connections have no order, and one may be in the other's way.
        let is_free = !matches!(self.known[&name], Known::Nothing);
        match self.seeded.below(10) {
            0..=2 => self.write(),
            5 | 6 => self.end_one(),
            3 | 4 if is_free => self.wish(client, &name),
            7 if is_free => {
                let verb = ["start", "stop", "restart"][self.seeded.below(3)];
                self.clients
                    .push((format!("{verb} {name}"), self.bench.begin(&[verb, &name])));
                self.known.insert(name, Known::Nothing);
            }
            8.. if is_free => {
                let wish = match self.seeded.below(3) {
                    0 => start(&name),
                    1 => stop(&name),
                    _ => restart(&name),
                };
                self.known.insert(name, Known::Nothing);
                self.bench.client().request(wish);
            }
            _ => {}
        }
    }

    /// One of the writers writes more than its pipe holds.
    pub(crate) fn write(&mut self) {
        let writer = self.seeded.below(WRITERS);
        let writer = &mut self.writers[writer];
        writer.orders.give("write");
        writer.given += LINES;
    }

    /// One of those that end when they are told to does.
    pub(crate) fn end_one(&mut self) {
        let name = format!("ender{}", self.seeded.below(ENDERS));
        if let Known::Up(_) = self.known[&name] {
            let code = 10 + self.seeded.below(200);
            if let Some(orders) = self.enders.get_mut(&name) {
                orders.give(&code.to_string());
            }
            self.known.insert(name, Known::Ended(code));
        }
    }

    /// A wish that is answered, and what came of it.
    fn wish(&mut self, client: &mut Client, name: &str) {
        let (wish, goes_up) = match self.seeded.below(3) {
            0 => (start(name), true),
            1 => (stop(name), false),
            _ => (restart(name), true),
        };
        let is_restart = matches!(wish, Command::Restart { .. });
        let done = client.ask(wish);
        let pid = self.bench.status(name).pid;
        let story = || format!("{name}: {pid:?} after {done:?}\n{}", self.story());
        assert_eq!(goes_up, pid.is_some(), "{}", story());
        if let (Known::Up(before), true) = (self.known[name], is_restart) {
            assert_ne!(Some(before), pid, "{}", story());
        }
        self.known
            .insert(name.to_owned(), pid.map_or(Known::Down, Known::Up));
    }

    fn hand(&mut self) -> String {
        HANDS[self.seeded.below(HANDS.len())].to_owned()
    }

    /// What the daemons said.
    pub(crate) fn story(&self) -> String {
        let log = fs::read_to_string(self.bench.home().join("daemon.log")).unwrap();
        let calm = |line: &&str| !line.contains("] loop");
        let lines: Vec<&str> = log.lines().filter(calm).collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// The next client finds a daemon, and in it everything as it was.
    pub(crate) fn succeed(&mut self, (care, answers): (Care, Answers)) {
        let output = self.bench.run(&["list"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}\n{}", self.story());
        self.await_clients(answers);
        let mut client = self.bench.client();
        for (name, known) in self.known.clone() {
            let status = status(&mut client, &name);
            let story = || format!("{name}: {known:?}, {status:?}\n{}", self.story());
            match known {
                Known::Up(pid) => {
                    assert_eq!(status.pid, Some(pid), "{}", story());
                    assert_eq!(status.state, "running", "{}", story());
                }
                Known::Down => assert_eq!(status.pid, None, "{}", story()),
                Known::Ended(code) => {
                    self.check_end(&name, code, care);
                    self.start_again(&mut client, &name);
                }
                Known::Nothing => self.wish(&mut client, &name),
            }
        }
    }

    fn await_clients(&mut self, answers: Answers) {
        for (words, child) in std::mem::take(&mut self.clients) {
            let process = PidFd::open(Pid::from_raw(child.id()).unwrap()).unwrap();
            let what = || format!("the answer to {words}\n{}", self.story());
            Deadline::new().wait(process.as_fd(), &what);
            let output = child.wait_with_output().unwrap();
            if answers == Answers::All {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(output.status.success(), "{words}: {said}\n{}", self.story());
            }
        }
    }

    /// How one ended that was told to is known, whoever was there at that moment.
    fn check_end(&self, name: &str, code: usize, care: Care) {
        let mut client = self.bench.client();
        let status = until(&mut client, name, |status| status.pid.is_none());
        let story = || format!("{name}: {code}, {status:?}\n{}", self.story());
        assert_eq!(status.state, "failed", "{}", story());
        let expected = format!("exit code {code}");
        let last_end = status.last_end.clone().unwrap_or_default();
        let is_lost = care == Care::Lost && last_end.contains("unknown");
        assert!(last_end == expected || is_lost, "{}", story());
        assert!(is_lost || status.cause.contains(&expected), "{}", story());
    }

    fn start_again(&mut self, client: &mut Client, name: &str) {
        client.ask(start(name)).is(ResultKind::Started);
        let pid = status(client, name).pid.unwrap();
        self.known.insert(name.to_owned(), Known::Up(pid));
    }

    /// Every line once and in order, in all of a log's files; each life with its beginning and its end.
    pub(crate) fn finish(mut self, care: Care) {
        for writer in &mut self.writers {
            writer.orders.give("end");
        }
        let mut ends: Vec<String> = (0..WRITERS).map(|_| self.ear.next().unwrap()).collect();
        ends.sort();
        let names = self.writers.iter().map(|writer| &writer.name);
        let expected: Vec<String> = names.map(|name| format!("end of {name}")).collect();
        // Anything else said that there were two of a service.
        assert_eq!(ends, expected);
        for Writer { name, given, .. } in &self.writers {
            // The pipe is emptied before the end is told.
            self.bench.stop(name).is(ResultKind::Stopped);
            let text = whole_log(self.bench, name);
            let mut lines = text.lines();
            for expected in 0..*given {
                let expected = expected.to_string();
                let found = lines.next();
                assert_eq!(found, Some(expected.as_str()), "{name}, of {given}");
            }
            assert_eq!(lines.next(), None, "{name}");
        }
        for count in 0..LOOPS {
            let name = format!("loop{count}");
            self.bench.stop(&name).is(ResultKind::Stopped);
            self.check_lives(&name, care);
        }
        let output = self.bench.run(&["kill"]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(self.bench.processes(), []);
    }

    /// What a service that crashed in a loop wrote down itself stands in its log.
    fn check_lives(&self, name: &str, care: Care) {
        let lives = fs::read_to_string(self.bench.path(&format!("{name}.lives"))).unwrap();
        let text = whole_log(self.bench, name);
        let mut lines = text.lines().peekable();
        let mut marks = marks(self.bench, name).into_iter().peekable();
        for life in lives.lines() {
            let words: Vec<i64> = life.split(' ').map(|word| word.parse().unwrap()).collect();
            let &[pid, number, count, code] = &words[..] else {
                panic!("{name}: {life}");
            };
            for line in 1..=count {
                let expected = format!("{number} {line}");
                let is_next = lines.next_if_eq(&expected.as_str()).is_some();
                assert!(
                    is_next || care == Care::Lost,
                    "{name}: {life}: {:?}, not {expected}",
                    lines.peek()
                );
            }
            let begin = Mark::Begin {
                pid: u32::try_from(pid).unwrap(),
            };
            let end = Mark::End(Ending::Exited {
                code: i32::try_from(code).unwrap(),
            });
            let unknown = Mark::End(Ending::Unknown);
            for expected in [begin, end] {
                if marks.next_if_eq(&expected).is_none() {
                    let at = marks.peek();
                    assert!(
                        care == Care::Lost,
                        "{name}: {life}: {at:?}, not {expected:?}"
                    );
                    marks.next_if_eq(&unknown);
                }
            }
        }
        // Where something was lost, what comes then may begin within a line.
        assert!(lines.next().is_none() || care == Care::Lost, "{name}");
        // The last one may have been told to stop before it had shut its ears.
        let last: Vec<Mark> = marks.collect();
        let stopped = Mark::End(Ending::Signaled { signal: 15 });
        assert!(
            matches!(last[..], [] | [Mark::Begin { .. }, _])
                && last.get(1).is_none_or(|end| *end == stopped),
            "{name}: {last:?}"
        );
        eprintln!("{name}: {} lives", lives.lines().count());
    }
}

fn restart(name: &str) -> Command {
    let names = vec![name.to_owned()];
    let (wait, scope) = (Wait::Finished, Scope::All);
    Command::Restart { names, wait, scope }
}

pub(crate) fn status(client: &mut Client, name: &str) -> UnitStatus {
    let names = vec![name.to_owned()];
    match client.ask(Command::Status { names }).last {
        Final::Units(mut units) => units.remove(0),
        other => panic!("no status of {name}: {other:?}"),
    }
}

/// Looks until it is as it should be: what a process's end brings about takes a moment.
pub(crate) fn until(
    client: &mut Client,
    name: &str,
    is_so: impl Fn(&UnitStatus) -> bool,
) -> UnitStatus {
    let deadline_ms = monotonic_ms() + PATIENCE_MS;
    loop {
        let status = status(client, name);
        if is_so(&status) || monotonic_ms() > deadline_ms {
            return status;
        }
        window(5);
    }
}

fn daemon_status(client: &mut Client) -> DaemonStatus {
    match client.ask(Command::DaemonStatus).last {
        Final::Daemon(status) => status,
        other => panic!("{other:?}"),
    }
}

/// The process that serves this home.
pub(crate) fn daemon_pid(client: &mut Client) -> Pid {
    Pid::from_raw(daemon_status(client).pid).unwrap()
}

/// The process that would make another one.
pub(crate) fn guardian_pid(client: &mut Client) -> Option<Pid> {
    daemon_status(client).guardian.and_then(Pid::from_raw)
}

/// A log's files, oldest first.
pub(crate) fn files_of(bench: &Bench, name: &str, ending: &str) -> Vec<PathBuf> {
    let logs = bench.home().join("logs");
    let path = |number: usize| match number {
        0 => logs.join(format!("{name}.{ending}")),
        _ => logs.join(format!("{name}.{ending}.{number}")),
    };
    let count = (0..).take_while(|number| path(*number).exists()).count();
    (0..count).rev().map(path).collect()
}

/// A log with all that was rotated away.
pub(crate) fn whole_log(bench: &Bench, name: &str) -> String {
    let files = files_of(bench, name, "log");
    files
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

/// The beginnings and ends of a service's lives, as its log has them.
pub(crate) fn marks(bench: &Bench, name: &str) -> Vec<Mark> {
    let files = files_of(bench, name, "idx");
    let records = files
        .iter()
        .flat_map(|path| decode(&fs::read(path).unwrap()).unwrap().records);
    let mark = |record: Record| match record.what {
        What::Mark(mark) => Some(mark),
        _ => None,
    };
    records.filter_map(mark).collect()
}
