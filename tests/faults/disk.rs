//! A log that cannot be written: the service goes on, what is lost is counted and said.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;
use std::process::Command;

use diakonos::engine::{self, LogWish};
use diakonos::log::Loss;
use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::process::{Pid, PidFd, errno_text};
use diakonos::wire::{ResultKind, UnitStatus};

use crate::harness::{Bench, Daemon, PATIENCE_MS};
use crate::tools::{Orders, losses, seen_by, window};

/// More than any of these disks takes, and less than the size at which a log is rotated.
const FLOOD: usize = 4 << 20;

/// A service says more than there is room for, `make_room` then makes some.
fn flood(bench: &Bench, mut daemon: Daemon<'_>, reason: &str, make_room: &dyn Fn(&Daemon<'_>)) {
    let mut ear = bench.ear();
    let mut orders = Orders::new(bench, "orders");
    let script = format!(
        "while read count; do head -c $count /dev/zero | tr '\\0' x; echo; echo said > $EAR; \
         done < {}",
        orders.path.display()
    );
    bench.sleeper("before", "");
    bench.start("before").is(ResultKind::Started);
    bench.service("loud", "", &script, "");
    bench.start("loud").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up before");
    let pid = bench.status("loud").pid;

    orders.give(&FLOOD.to_string());
    // It was not kept waiting for the log.
    assert_eq!(ear.next().unwrap(), "said");
    let said = daemon.log.until("its log cannot be written");
    assert!(said.contains("loud") && said.contains(reason), "{said}");
    bench.sleeper("after", "");
    bench.start("after").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up after");
    bench.restart("before").is(ResultKind::Started);
    assert_eq!(ear.take(2), ["down before", "up before"]);
    let status = bench.status("loud");
    assert_eq!((status.state.as_str(), status.pid), ("running", pid));
    assert!(status.log_lost > 0, "{status:?}");
    let told = bench.run(&["status", "loud"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("could not be written"), "{told}");

    make_room(&daemon);
    // Nobody needs to print a line for that.
    daemon.log.until("its log is written again");
    assert_eq!(bench.status("loud").log_trouble, "");
    orders.give("10");
    assert_eq!(ear.next().unwrap(), "said");
    // The rest of that line may still be on its way, but not after the service's end.
    bench.stop("loud").is(ResultKind::Stopped);
    let lost = usize::try_from(bench.status("loud").log_lost).unwrap();
    let log = fs::read(seen_by(daemon.pid(), &bench.home().join("logs/loud.log"))).unwrap();
    let log = String::from_utf8(log).unwrap();
    let (first, rest) = log.split_once('\n').unwrap();
    assert!(first.bytes().all(|byte| byte == b'x'));
    assert_eq!(rest, "xxxxxxxxxx\n", "a line is whole or has an end");
    assert_eq!(first.len() + lost, FLOOD + 1);
    let index = seen_by(daemon.pid(), &bench.home().join("logs/loud.idx"));
    let told = losses(&index);
    let mut sum = 0;
    for loss in &told {
        let Loss::Unwritten { bytes, errno } = loss else {
            panic!("{told:?}")
        };
        assert_eq!(errno_text(i32::from(*errno)), reason);
        sum += usize::try_from(*bytes).unwrap();
    }
    // While the trouble lasts it is told, too.
    assert_eq!((sum, told.is_empty()), (lost, false), "{told:?}");
    daemon.end();
}

#[test]
fn a_full_disk_costs_log_bytes_and_nothing_else() {
    let probe = Command::new("unshare")
        .args(["-rm", "true"])
        .output()
        .unwrap();
    if !probe.status.success() {
        // No disk of one's own can be had here, which is as it should be only where namespaces are not allowed. The
        // limit on a file's size is tested all the same.
        let said = String::from_utf8_lossy(&probe.stderr).into_owned();
        assert!(said.contains("unshare failed: "), "{said}");
        return;
    }
    let bench = Bench::new();
    let logs = bench.home().join("logs");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&logs)
        .unwrap();
    let mount = format!(
        "exec unshare -rm /bin/sh -c 'mount -t tmpfs -o size=1m,mode=700 none {0} && \
         head -c 500000 /dev/zero > {0}/filler && exec \"$0\" \"$@\"' \"$0\" \"$@\"",
        logs.display()
    );
    let daemon = bench.daemon_after(&mount);
    flood(&bench, daemon, "No space left on device", &|daemon| {
        let filler = seen_by(daemon.pid(), &logs.join("filler"));
        assert_eq!(fs::metadata(&filler).unwrap().len(), 500_000);
        fs::remove_file(filler).unwrap();
        assert!(
            !Path::new(&logs.join("loud.log")).exists(),
            "no disk of its own"
        );
    });
}

/// What takes the room is what is to go.
#[test]
fn a_log_that_fills_its_disk_is_emptied() {
    let probe = Command::new("unshare").args(["-rm", "true"]).output();
    if !probe.unwrap().status.success() {
        return;
    }
    let bench = Bench::new();
    let logs = bench.home().join("logs");
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&logs).unwrap();
    let mount = format!(
        "exec unshare -rm /bin/sh -c 'mount -t tmpfs -o size=1m,mode=700 none {} && \
         exec \"$0\" \"$@\"' \"$0\" \"$@\"",
        logs.display()
    );
    let mut daemon = bench.daemon_after(&mount);
    let mut ear = bench.ear();
    let script = format!("head -c {FLOOD} /dev/zero; echo said > $EAR; exec sleep 1000");
    bench.service("loud", "", &script, "");
    bench.start("loud").is(ResultKind::Started);
    daemon.log.until("its log cannot be written");
    assert_eq!(ear.next().unwrap(), "said");
    let log = seen_by(daemon.pid(), &logs.join("loud.log"));
    let before = fs::metadata(&log).unwrap().len();
    let names = vec!["loud".to_owned()];
    let wish = LogWish::Clear;
    let done = bench.client().ask(engine::Command::Logs { names, wish });
    done.is(ResultKind::LogTended);
    // The rest of it may have come since, which is as much as a pipe holds.
    let after = fs::metadata(&log).unwrap().len();
    assert!(after < before / 2, "{before} bytes, then {after}");
    bench.stop("loud").is(ResultKind::Stopped);
    daemon.end();
}

/// What runs and is not written down is lost to a successor, and started a second time.
#[test]
fn a_service_that_cannot_be_written_down_is_not_started() {
    let probe = Command::new("unshare").args(["-rm", "true"]).output();
    if !probe.unwrap().status.success() {
        return;
    }
    let bench = Bench::new();
    let run = bench.home().join("run");
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&run).unwrap();
    let mount = format!(
        "exec unshare -rm /bin/sh -c 'mount -t tmpfs -o size=256k,mode=700 none {} && \
         exec \"$0\" \"$@\"' \"$0\" \"$@\"",
        run.display()
    );
    let daemon = bench.daemon_after(&mount);
    let mut ear = bench.ear();
    bench.sleeper("before", "");
    bench.sleeper("after", "");
    let in_run = |name: &str| seen_by(daemon.pid(), &run.join(name));
    let client = |words: &[&str]| {
        let told = bench.run(words);
        let (out, error) = (told.stdout, told.stderr);
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&error)
        );
        (told.status.success(), said)
    };
    let (good, said) = client(&["start", "before"]);
    assert!(good, "{said}");
    assert_eq!(ear.next().unwrap(), "up before");
    let filled = fs::write(in_run("filler"), vec![0; 1 << 20]);
    assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);

    let (good, said) = client(&["start", "after"]);
    assert!(
        !good && said.contains("after.state: No space left on device"),
        "{said}"
    );
    assert!(
        said.contains("a daemon that dies would not know of it"),
        "{said}"
    );
    assert!(!in_run("after.state").exists(), "an empty file is a riddle");
    // What a failed start runs too, ExecStopPost=.
    assert_eq!(ear.next().unwrap(), "down after");
    // Its file has room for what follows.
    let (good, said) = client(&["restart", "before"]);
    assert!(good, "{said}");
    assert_eq!(ear.take(2), ["down before", "up before"]);

    fs::remove_file(in_run("filler")).unwrap();
    let (good, said) = client(&["start", "after"]);
    assert!(good, "{said}");
    assert_eq!(ear.next().unwrap(), "up after");
    daemon.end();
}

/// An ordinary user can have this anywhere. A process that goes beyond it is killed, unless it has seen to that.
#[test]
fn a_limit_on_the_size_of_files_costs_log_bytes_and_nothing_else() {
    let bench = Bench::new();
    let daemon = bench.daemon_after("ulimit -S -f 256");
    flood(&bench, daemon, "File too large", &|daemon| {
        let pid = daemon.pid().to_string();
        let limits = ["--pid", &pid, "--fsize=unlimited:"];
        assert!(
            Command::new("prlimit")
                .args(limits)
                .status()
                .unwrap()
                .success()
        );
    });
}

/// A service whose whole life falls into the trouble: what became of its words is said at once, and told in its log
/// when the next run has one.
#[test]
fn the_loss_of_a_run_is_not_forgotten_with_it() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let logs = bench.home().join("logs");
    // Its folder is there before a first service needs it, or not.
    let _ = fs::remove_dir_all(&logs);
    fs::write(&logs, b"in its place").unwrap();
    bench.service(
        "short",
        "",
        "echo one; echo two; exit 4",
        "Type = \"notify\"",
    );
    let expected = "its last run printed 8B that could not be written: File exists";
    let said = bench.run(&["start", "short"]);
    let said =
        String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.contains(expected), "{said}");
    let status = bench.run(&["status", "short"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains(expected), "{status}");

    fs::remove_file(&logs).unwrap();
    bench.start("short");
    let shown = bench.run(&["logs", "-n", "all", "short"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let parts: Vec<&str> = shown
        .lines()
        .map(|line| line.trim_start_matches("short | "))
        .collect();
    assert!(parts[0].contains(" began"), "{shown}");
    assert_eq!(
        parts[1], "— 8B could not be written: File exists —",
        "{shown}"
    );
    assert!(parts[2].contains("exited with code 4"), "{shown}");
    assert!(parts[3].contains(" began"), "{shown}");
    assert_eq!(parts[4..6], ["one", "two"], "{shown}");
    let status = bench.run(&["status", "short"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(!status.contains("that could not be written"), "{status}");
    daemon.end();
}

/// The daemon dies, is replaced and dies once more while nothing can be written: what the log is to be told is told in
/// the end, each of it once and in its order.
#[test]
fn a_successor_tells_of_the_losses_before_it() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let logs = bench.home().join("logs");
    fs::create_dir_all(&logs).unwrap();
    let in_its_place = logs.join("web.log");
    symlink(bench.path("nowhere/web.log"), &in_its_place).unwrap();
    let mut ear = bench.ear();
    let mut orders = Orders::new(&bench, "orders");
    let script = format!(
        "while read order; do case $order in end) exit 4;; *) echo $order; echo said > $EAR;; esac; \
         done < {}",
        orders.path.display()
    );
    bench.service(
        "web",
        "",
        &script,
        "Restart = \"always\"\nRestartSec = \"0\"",
    );
    bench.start("web").is(ResultKind::Started);
    let mut say = |order: &str| {
        orders.give(order);
        order.len() as u64 + 1
    };
    let untold =
        |status: &UnitStatus| -> u64 { status.log_untold.iter().map(|untold| untold.bytes).sum() };

    let mut lost = say("one");
    assert_eq!(ear.next().unwrap(), "said");
    let first = until(&bench, |status| untold(status) == lost);
    tells_of_four_bytes(&bench);
    kill(daemon.pid());
    daemon.log.until("took back 1 running service");
    let taken = bench.status("web");
    assert_eq!((taken.log_untold, taken.pid), (first.log_untold, first.pid));
    tells_of_four_bytes(&bench);
    lost += say("three");
    assert_eq!(ear.next().unwrap(), "said");
    let before = until(&bench, |status| untold(status) == lost);
    assert_eq!(before.log_lost, lost);
    let upgraded = bench.run(&["upgrade"]);
    assert!(upgraded.status.success(), "{upgraded:?}");
    daemon.log.until("took back 1 running service");
    assert_eq!(bench.status("web").log_untold, before.log_untold);
    say("end");
    until(&bench, |status| {
        status.restarts == 1 && status.state == "running"
    });
    kill(daemon.pid());
    daemon.log.until("took back 1 running service");

    fs::remove_file(&in_its_place).unwrap();
    daemon.log.until("its log is written again, 10 bytes lost");
    say("back");
    assert_eq!(ear.next().unwrap(), "said");
    bench.stop("web").is(ResultKind::Stopped);
    let shown = bench.run(&["logs", "-n", "all", "web"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let told: Vec<&str> = shown.lines().collect();
    let expected = [
        " began, PID ",
        "10B could not be written: No such file or directory",
        " exited with code 4",
        " began, PID ",
        "back",
        " was ended by SIGTERM",
    ];
    assert_eq!(told.len(), expected.len(), "{shown}");
    for (line, expected) in told.iter().zip(expected) {
        assert!(line.contains(expected), "{shown}");
    }
    assert_eq!(bench.status("web").log_lost, lost);
    daemon.end();
}

/// Nobody would watch the services if it did.
#[test]
fn a_successor_needs_no_folder_of_logs() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let logs = bench.home().join("logs");
    let mut ear = bench.ear();
    let mut orders = Orders::new(&bench, "orders");
    let script = format!(
        "while read order; do echo $order; echo said > $EAR; done < {}",
        orders.path.display()
    );
    bench.service("web", "", &script, "");
    bench.start("web").is(ResultKind::Started);
    let pid = bench.status("web").pid;
    // All of it goes at once: the daemon may be about to make a file in there.
    let gone = bench.path("gone");
    fs::rename(&logs, &gone).unwrap();
    fs::write(&logs, b"in its place").unwrap();
    fs::remove_dir_all(&gone).unwrap();
    kill(daemon.pid());
    let said = daemon.log.until("what services print may be lost");
    assert!(said.contains("logs: it is no folder; "), "{said}");
    daemon.log.until("took back 1 running service");
    orders.give("one");
    assert_eq!(ear.next().unwrap(), "said");
    let status = until(&bench, |status| status.log_lost == 4);
    assert_eq!((status.state.as_str(), status.pid), ("running", pid));
    fs::remove_file(&logs).unwrap();
    daemon.log.until("its log is written again, 4 bytes lost");
    daemon.end();
}

/// `logs` does, though nothing of that is in the log.
fn tells_of_four_bytes(bench: &Bench) {
    let logs = |words: &[&str]| {
        let told = bench.run(&[&["logs"], words].concat());
        assert!(told.status.success(), "{told:?}");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(told.stdout), text(told.stderr))
    };
    let reason = "could not be written: No such file or directory";
    for words in [&["web"][..], &[], &["--run", "1", "web"], &["-g", "could"]] {
        let (out, aside) = logs(words);
        let is_told =
            aside.starts_with("web: 4B since ") && aside.ends_with(&format!(" {reason}\n"));
        assert!(out.is_empty() && is_told, "{words:?}: {out}{aside}");
    }
    let (out, aside) = logs(&["--json", "web"]);
    let object = format!("\"event\":\"lost\",\"lost_bytes\":4,\"message\":\"4B {reason}\"}}\n");
    assert!(out.ends_with(&object) && aside.is_empty(), "{out}{aside}");
    for words in [&["-q", "web"][..], &["-g", "else"], &["--until", "-1h"]] {
        let (out, aside) = logs(words);
        assert!(
            out.is_empty() && !aside.contains("4B"),
            "{words:?}: {out}{aside}"
        );
    }
}

/// Looks until the service's status is so: what it has printed is taken in after those who ask are answered.
fn until(bench: &Bench, is_so: impl Fn(&UnitStatus) -> bool) -> UnitStatus {
    let deadline_ms = monotonic_ms() + PATIENCE_MS;
    loop {
        let status = bench.status("web");
        if is_so(&status) {
            return status;
        }
        assert!(monotonic_ms() < deadline_ms, "never: {status:?}");
        window(5);
    }
}

fn kill(pid: Pid) {
    PidFd::open(pid).unwrap().signal(9).unwrap();
}
