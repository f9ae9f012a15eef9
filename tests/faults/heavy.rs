//! The daemon killed when there is much at stake: a thousand services, a hundred megabytes of output, a full disk.

use std::fs::{self, DirBuilder};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::process::{Command as Program, Stdio};

use diakonos::engine::{Command, Wait};
use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::poll::wait_readable;
use diakonos::sys::proc;
use diakonos::sys::process::{PidFd, raise_nofile};
use diakonos::wire::{Final, ResultKind, UnitStatus};

use crate::fleet::{daemon_pid, files_of};
use crate::harness::{Bench, Deadline};
use crate::tools::{Orders, Seeded, from_environment, losses, seen_by, window};

/// Kills the daemon, and waits for its end. The next client waits for a successor.
fn kill(bench: &Bench) {
    let process = PidFd::open(daemon_pid(&mut bench.client())).unwrap();
    process.signal(9).unwrap();
    Deadline::new().wait(process.as_fd(), &|| "the killed daemon's end".to_owned());
}

fn all(bench: &Bench) -> Vec<UnitStatus> {
    match bench.client().ask(Command::List).last {
        Final::Units(units) => units,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_thousand_services_are_taken_back_at_once() {
    /// What the successor may compute until it has answered, which a busy machine does not change. A build with
    /// optimization is back within half a second by the clock; one without checks every step and does not inline.
    const LIMIT_MS: u64 = if cfg!(debug_assertions) { 8_000 } else { 1_000 };
    /// Descriptors that the daemon holds for one of them.
    const EACH: u64 = 6;
    let (_, descriptors) = raise_nofile();
    let bench = Bench::new();
    let count = usize::try_from(descriptors / EACH).unwrap();
    let count = crate::tools::crowd(count.min(1_000));
    let daemon = bench.daemon();
    let names: Vec<String> = (0..count).map(|number| format!("s{number}")).collect();
    for name in &names {
        bench.service(name, "", "exec sleep 1000", "");
    }
    // Some at a time, each time with a deadline: all at once take minutes on a machine that others use.
    for some in names.chunks(50) {
        let (names, found, wait) = (some.to_vec(), Vec::new(), Wait::Finished);
        let done = bench.client().ask(Command::Start { names, found, wait });
        let is_up = |result: &diakonos::wire::UnitResult| result.kind == ResultKind::Started;
        assert!(done.results().iter().all(is_up), "{done:?}");
        assert_eq!(done.results().len(), some.len());
    }
    let pids = |units: Vec<UnitStatus>| -> Vec<(String, Option<u32>)> {
        units
            .into_iter()
            .map(|unit| (unit.name, unit.pid))
            .collect()
    };
    let before = pids(all(&bench));
    let (mut took_ms, mut computed_ms) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let process = PidFd::open(bench.daemon_pid()).unwrap();
        let begun_ms = monotonic_ms();
        process.signal(9).unwrap();
        Deadline::new().wait(process.as_fd(), &|| "the killed daemon's end".to_owned());
        let after = pids(all(&bench));
        took_ms.push(monotonic_ms() - begun_ms);
        let ticks = proc::stat(bench.daemon_pid()).unwrap().cpu_ticks;
        computed_ms.push(ticks * 1_000 / proc::ticks_per_second());
        assert_eq!(after, before);
    }
    eprintln!("{count} services are back in {took_ms:?} ms, computing {computed_ms:?} ms");
    let is_quick = |computed: &u64| *computed < LIMIT_MS;
    assert!(computed_ms.iter().all(is_quick), "{computed_ms:?} ms");
    bench.stop("*");
    daemon.end();
}

/// The checksum of what a program says, or of these files.
fn checksum(program: &mut Program) -> String {
    let mut program = program.stdout(Stdio::piped()).spawn().unwrap();
    let output = Program::new("sha256sum")
        .stdin(program.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(program.wait().unwrap().success() && output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_hundred_megabytes_are_all_in_the_log() {
    // Ten million lines of ten bytes.
    const LINES: [&str; 2] = ["100000000", "109999999"];
    let seed = from_environment("DIAKONOS_FAULTS_SEED").unwrap_or_else(monotonic_ms);
    eprintln!("DIAKONOS_FAULTS_SEED={seed}");
    let mut seeded = Seeded(seed);
    let bench = Bench::new();
    let daemon = bench.daemon();
    let mut ear = bench.ear();
    let mut orders = Orders::new(&bench, "orders");
    let [first, last] = LINES;
    let script = format!(
        "read order < {}; seq {first} {last}; echo said > $EAR; exec sleep 1000",
        orders.path.display()
    );
    let limits = "LogMaxSize = \"9M\"\nLogMaxFiles = 100";
    bench.service("loud", "", &script, limits);
    bench.start("loud").is(ResultKind::Started);
    let pid = bench.status("loud").pid;
    orders.give("now");
    let mut kills = 0;
    let file = fs::File::open(bench.path("ear")).unwrap();
    while kills < 20 && !wait_readable(&[file.as_fd()], Some(0)).unwrap()[0] {
        window(seeded.below(60) as u64);
        kill(&bench);
        kills += 1;
    }
    assert_eq!(ear.next().unwrap(), "said");
    assert_eq!(bench.status("loud").pid, pid);
    bench.stop("loud").is(ResultKind::Stopped);
    eprintln!("{kills} kills");
    let written = checksum(Program::new("cat").args(files_of(&bench, "loud", "log")));
    assert_eq!(written, checksum(Program::new("seq").args(LINES)));
    daemon.end();
}

/// Its log and its state are on a disk that is full, and nothing of what was known before is forgotten.
#[test]
fn a_daemon_killed_while_its_disk_is_full_is_succeeded() {
    let probe = Program::new("unshare").args(["-rm", "true"]).output();
    if !probe.unwrap().status.success() {
        // No disk of one's own can be had here; `disk.rs` says when that is as it should be.
        return;
    }
    let bench = Bench::new();
    let home = bench.home();
    for folder in ["disk", "run", "logs"] {
        let mut builder = DirBuilder::new();
        let made = builder
            .recursive(true)
            .mode(0o700)
            .create(home.join(folder));
        made.unwrap();
    }
    let mount = format!(
        "exec unshare -rm /bin/sh -c 'cd {} && mount -t tmpfs -o size=1m,mode=700 none disk && \
         mkdir -m 700 disk/run disk/logs && mount --bind disk/run run && mount --bind disk/logs logs && \
         head -c 500000 /dev/zero > disk/filler && exec \"$0\" \"$@\"' \"$0\" \"$@\"",
        home.display()
    );
    let mut daemon = bench.daemon_after(&mount);
    let mut ear = bench.ear();
    let mut orders = Orders::new(&bench, "orders");
    let script = format!(
        "while read count; do head -c $count /dev/zero | tr '\\0' x; echo; echo said > $EAR; \
         done < {}",
        orders.path.display()
    );
    bench.sleeper("quiet", "");
    bench.service("loud", "", &script, "");
    bench.start("quiet").is(ResultKind::Started);
    bench.start("loud").is(ResultKind::Started);
    let pids = || ["quiet", "loud"].map(|name| bench.status(name).pid);
    assert_eq!(ear.next().unwrap(), "up quiet");
    orders.give("2000000");
    assert_eq!(ear.next().unwrap(), "said");
    daemon.log.until("its log cannot be written");
    for _ in 0..5 {
        let before = pids();
        kill(&bench);
        assert_eq!(pids(), before);
        // It goes on while nothing can be written, and nobody has to wait.
        orders.give("100000");
        assert_eq!(ear.next().unwrap(), "said");
        bench.restart("quiet").is(ResultKind::Started);
        assert_eq!(ear.take(2), ["down quiet", "up quiet"]);
        bench.restart("quiet").is(ResultKind::Started);
        assert_eq!(ear.take(2), ["down quiet", "up quiet"]);
    }
    let guardian = bench.daemon_pid();
    fs::remove_file(seen_by(guardian, &home.join("disk/filler"))).unwrap();
    orders.give("10");
    assert_eq!(ear.next().unwrap(), "said");
    bench.stop("loud").is(ResultKind::Stopped);
    let log = fs::read_to_string(seen_by(guardian, &home.join("logs/loud.log"))).unwrap();
    let told = losses(&seen_by(guardian, &home.join("logs/loud.idx")));
    assert!(
        !told.is_empty() && log.ends_with("\nxxxxxxxxxx\n"),
        "{told:?}"
    );
    bench.stop("quiet").is(ResultKind::Stopped);
    daemon.end();
}
