//! `run/` goes while the daemon lives: removed as a whole, or file by file.

use std::fs::{self, OpenOptions};
use std::io::Write;

use diakonos::engine::Command;
use diakonos::log::Stream;
use diakonos::sys::files;
use diakonos::sys::process::PidFd;
use diakonos::wire::ResultKind;

use crate::harness::Bench;
use crate::takeover::die;

fn remove_folder(bench: &Bench) {
    fs::remove_dir_all(bench.home().join("run")).unwrap();
}

fn remove_files(bench: &Bench) {
    for entry in fs::read_dir(bench.home().join("run")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

/// Others start, a successor knows all of them, and nothing is lost of what is said: by a process that has its pipe
/// from before, by one that gets it now beside that one, and by the next life.
fn goes_on_without(remove: fn(&Bench)) {
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
    let reload = "ExecReload = [\"/bin/sh\", \"-c\", \"echo reload; echo said > $EAR\"]";
    bench.service("web", "", &script, reload);
    bench.service("other", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let pid = bench.status("web").pid;

    remove(&bench);
    bench.start("other").is(ResultKind::Started);
    let names = vec!["web".to_owned()];
    let reloaded = bench.client().ask(Command::Reload { names });
    reloaded.is(ResultKind::Reloaded);
    assert_eq!(ear.next().unwrap(), "said");
    daemon
        .log
        .until("what a successor has to know is written anew");
    orders_in.write_all(b"one\n").unwrap();
    assert_eq!(ear.next().unwrap(), "said");
    bench.restart("web").is(ResultKind::Started);
    orders_in.write_all(b"two\n").unwrap();
    assert_eq!(ear.next().unwrap(), "said");
    let now = bench.status("web").pid;
    assert_ne!(now, pid);

    die(&mut daemon);
    let mut daemon = bench.shell_before_daemon(":");
    daemon.log.until("took back 2 running");
    assert_eq!(bench.status("web").pid, now);
    assert_eq!(bench.status("other").state, "running");
    bench.stop("web").is(ResultKind::Stopped);
    let log = fs::read_to_string(bench.home().join("logs/web.log")).unwrap();
    let mut lines: Vec<&str> = log.lines().collect();
    // Those of two processes of one life may stand in either order.
    lines[..2].sort_unstable();
    assert_eq!(lines, ["one", "reload", "two"]);
    daemon.end();
}

#[test]
fn a_folder_that_is_removed_is_made_again_and_nobody_is_forgotten() {
    goes_on_without(remove_folder);
}

#[test]
fn files_that_are_removed_are_written_again_and_nobody_is_forgotten() {
    goes_on_without(remove_files);
}

/// How a daemon gets a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Succession {
    Guarded,
    Lone,
    Upgrade,
}

/// What is removed, and who writes to it.
type Removal = (fn(&Bench), Stream);

const REMOVED: [Removal; 2] = [(remove_folder, Stream::Out), (remove_files, Stream::Err)];
/// More than a pipe holds, also one that was enlarged.
const LONG: usize = 1_500_000;

/// Who was not restarted in between writes to a FIFO that has no name. A successor reads that one, too: what lies in
/// it, and what is written from then on, be that more than it can hold.
fn is_heard_by_a_successor((remove, stream): Removal, succession: Succession) {
    let bench = Bench::new();
    let mut ear = bench.ear();
    let mut daemon = match succession {
        Succession::Lone => bench.lone_daemon(),
        Succession::Guarded | Succession::Upgrade => bench.daemon(),
    };
    let orders = bench.path("orders");
    files::make_fifo(&orders, 0o600, None).unwrap();
    let mut both = OpenOptions::new();
    let mut orders_in = both.read(true).write(true).open(&orders).unwrap();
    let exec = match stream {
        Stream::Out => "",
        Stream::Err => "exec >&2;",
    };
    let script = format!(
        "{exec} while read word; do head -c {LONG} /dev/zero | tr '\\0' x; echo $word; \
         echo said > $EAR; done < {}",
        orders.display()
    );
    let keys = "StandardError = \"log:err\"\nExecReload = [\"/bin/true\"]";
    bench.service("web", "", &script, keys);
    bench.service("other", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    orders_in.write_all(b"one\n").unwrap();
    assert_eq!(ear.next().unwrap(), "said");
    let pid = bench.status("web").pid;
    remove(&bench);
    bench.start("other").is(ResultKind::Started);
    let names = vec!["web".to_owned()];
    let reloaded = bench.client().ask(Command::Reload { names });
    reloaded.is(ResultKind::Reloaded);
    daemon
        .log
        .until("what a successor has to know is written anew");

    match succession {
        Succession::Lone => {
            die(&mut daemon);
            orders_in.write_all(b"two\n").unwrap();
            daemon = bench.shell_before_daemon(":");
            daemon.log.until("took back 2 running");
        }
        Succession::Guarded => {
            let process = PidFd::open(bench.daemon_pid()).unwrap();
            process.signal(9).unwrap();
            orders_in.write_all(b"two\n").unwrap();
            daemon.log.until("took back 2 running");
        }
        Succession::Upgrade => {
            orders_in.write_all(b"two\n").unwrap();
            let output = bench.run(&["upgrade"]);
            assert!(output.status.success(), "{output:?}");
        }
    }
    assert_eq!(ear.next().unwrap(), "said", "{succession:?}");
    orders_in.write_all(b"three\n").unwrap();
    assert_eq!(ear.next().unwrap(), "said", "{succession:?}");
    assert_eq!(bench.status("web").pid, pid);
    bench.stop("web").is(ResultKind::Stopped);
    let log = fs::read_to_string(bench.home().join("logs/web.log")).unwrap();
    for word in ["one", "two", "three"] {
        let long = "x".repeat(LONG) + word;
        assert_eq!(log.matches(&long).count(), 1, "{word} {succession:?}");
    }
    daemon.end();
}

#[test]
fn who_writes_to_a_removed_pipe_is_heard_by_whoever_succeeds_a_dead_daemon() {
    for removed in REMOVED {
        is_heard_by_a_successor(removed, Succession::Lone);
        is_heard_by_a_successor(removed, Succession::Guarded);
    }
}

#[test]
fn who_writes_to_a_removed_pipe_is_heard_after_an_upgrade() {
    for removed in REMOVED {
        is_heard_by_a_successor(removed, Succession::Upgrade);
    }
}
