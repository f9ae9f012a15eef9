//! What is not in a log: left out by the user's wish, or lost with a folder that somebody removed.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;

use diakonos::sys::files;
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Lines};
use crate::takeover::die;
use crate::waits::until_logged;

fn said(bench: &Bench, words: &[&str]) -> String {
    let output = bench.run(words);
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// An interval of an hour ends for nobody here: what is missing is told of when the run ends, and before that.
#[test]
fn lines_over_the_rate_are_counted_over_a_crash() {
    let bench = Bench::new();
    let mut ear = bench.ear();
    let mut daemon = bench.lone_daemon();
    let keys = "LogRateLimitIntervalSec = '1h'\nLogRateLimitBurst = 4\n";
    let script = "seq 10; echo said > $EAR; exec sleep 1000";
    bench.service("web", "", script, keys);
    for _ in 0..2 {
        bench.start("web").is(ResultKind::Started);
        assert_eq!(ear.next().unwrap(), "said");
        bench.stop("web").is(ResultKind::Stopped);
    }
    assert_eq!(bench.status("web").log_limited, 12);
    let log = fs::read_to_string(bench.home().join("logs/web.log")).unwrap();
    assert_eq!(log, "1\n2\n3\n4\n1\n2\n3\n4\n");
    let told = said(&bench, &["logs", "web"]);
    let notices = told.matches("6 lines left out by LogRateLimitBurst");
    assert_eq!(notices.count(), 2, "{told}");

    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "said");
    let mut follower = bench.begin(&["logs", "-f", "web"]);
    let mut lines = Lines::new(File::from(OwnedFd::from(follower.stdout.take().unwrap())));
    for _ in 0..3 {
        lines.until("6 lines left out by LogRateLimitBurst");
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
    // What was told is saved in the same turn.
    assert_eq!(bench.status("web").log_limited, 18);
    die(&mut daemon);
    let mut daemon = bench.shell_before_daemon(":");
    daemon.log.until("took back");
    let status = bench.status("web");
    assert_eq!(status.state, "running");
    assert_eq!(status.log_limited, 18, "{status:?}");
    let told = said(&bench, &["status", "web"]);
    assert!(
        told.contains("lines left out by LogRateLimitBurst"),
        "{told}"
    );
    let told = said(&bench, &["list", "--json"]);
    assert!(
        told.lines().any(|line| line
            .trim_end_matches(',')
            .ends_with("\"log_limited_lines\": 18")),
        "{told}"
    );
    daemon.end();
}

#[test]
fn a_removed_folder_of_logs_is_made_anew() {
    let bench = Bench::new();
    let mut ear = bench.ear();
    let mut daemon = bench.lone_daemon();
    let orders = bench.path("orders");
    files::make_fifo(&orders, 0o600, None).unwrap();
    let mut both = OpenOptions::new();
    let mut orders_in = both.read(true).write(true).open(&orders).unwrap();
    let script = format!(
        "while read word; do echo $word; echo said > $EAR; done < {}",
        orders.display()
    );
    bench.service("web", "", &script, "");
    bench.start("web").is(ResultKind::Started);
    orders_in.write_all(b"one\n").unwrap();
    assert_eq!(ear.next().unwrap(), "said");
    // Or the log would be made anew while it is removed.
    until_logged(&bench, "web", "one\n");
    let logs = bench.home().join("logs");
    let pid = bench.status("web").pid;
    fs::remove_dir_all(&logs).unwrap();
    orders_in.write_all(b"two\n").unwrap();
    assert_eq!(ear.next().unwrap(), "said");
    daemon.log.until("it is made anew");
    assert_eq!(bench.status("web").pid, pid);
    bench.stop("web").is(ResultKind::Stopped);
    assert_eq!(fs::read(logs.join("web.log")).unwrap(), b"two\n");
    daemon.end();
}

/// More at once than a turn takes: each has its share, and every byte of it.
#[test]
fn many_that_write_at_once_lose_nothing() {
    const SERVICES: usize = 20;
    const LINES: usize = 50_000;
    let bench = Bench::new();
    let mut ear = bench.ear();
    let daemon = bench.daemon();
    let names: Vec<String> = (0..SERVICES).map(|number| format!("w{number}")).collect();
    let script = format!("seq {LINES}; echo said > $EAR; exec sleep 1000");
    for name in &names {
        bench.service(name, "", &script, "");
    }
    let command: Vec<&str> = ["start"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    assert!(bench.run(&command).status.success());
    assert_eq!(bench.status("w0").state, "running");
    assert_eq!(ear.take(SERVICES), ["said"; SERVICES]);
    let lines: Vec<String> = (1..=LINES).map(|number| format!("{number}\n")).collect();
    let expected = lines.concat();
    for name in &names {
        bench.stop(name).is(ResultKind::Stopped);
        let log = fs::read(bench.home().join(format!("logs/{name}.log"))).unwrap();
        assert!(log == expected.as_bytes(), "{name}: {} bytes", log.len());
    }
    daemon.end();
}
