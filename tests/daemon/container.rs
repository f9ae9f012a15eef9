//! `up` as the first process of a container: a PID namespace of its own in which the program is PID 1, with its own
//! `/proc`, as an ordinary user by a user namespace.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command as Program, Stdio};

use diakonos::sys::process::{Pid, PidFd};
use diakonos::sys::{proc, users};

use crate::harness::{Bench, Deadline, Lines, PROGRAM};
use crate::waits::comes;

const HUP: i32 = 1;
const QUIT: i32 = 3;
const KILL: i32 = 9;
const USR1: i32 = 10;
const TERM: i32 = 15;

/// Keeps a service there until it is told to end.
const STAY: &str = "exec sleep 1000";

/// A container whose first process is `up`. It ends with the one who waits for it outside.
struct Container {
    outside: Child,
    output: Lines,
    errors: Lines,
}

impl Container {
    fn up(bench: &Bench, words: &[&str]) -> Self {
        Self::prepared(bench, ":", words)
    }

    /// A shell runs a command in it before it becomes the program.
    fn prepared(bench: &Bench, command: &str, words: &[&str]) -> Self {
        let mut program = unshare();
        let script = format!("set -e\n{command}\nexec \"$0\" \"$@\"");
        program.args(["--", "/bin/sh", "-c", &script, PROGRAM, "up"]);
        let program = bench.environment(&mut program).args(words);
        let program = program.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut outside = program.stderr(Stdio::piped()).spawn().unwrap();
        let lines = |fd: OwnedFd| Lines::new(File::from(fd));
        let output = lines(outside.stdout.take().unwrap().into());
        let errors = lines(outside.stderr.take().unwrap().into());
        Self {
            outside,
            output,
            errors,
        }
    }

    /// The first process, by its number outside.
    fn first(&self) -> Pid {
        only_child(Pid::from_raw(self.outside.id()).unwrap())
    }

    fn signal(&self, signal: i32) {
        PidFd::open(self.first()).unwrap().signal(signal).unwrap();
    }

    /// Waits for its end: the exit code of its first process, what else it printed, and what it said aside.
    fn ended(mut self) -> (Option<i32>, String, String) {
        let printed = self.output.rest().join("\n");
        let said = self.errors.rest().join("\n");
        (self.outside.wait().unwrap().code(), printed, said)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.outside.kill();
        let _ = self.outside.wait();
        if std::thread::panicking() {
            eprintln!("the container said:\n{}", self.errors.all());
        }
    }
}

fn unshare() -> Program {
    let mut program = Program::new("unshare");
    program.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    if users::effective_uid() != 0 {
        program.args(["--user", "--map-root-user"]);
    }
    program
}

/// Nothing where no container can be made, which is as it should be only where namespaces are not allowed. The virtual
/// machine has one all the same.
fn bench() -> Option<Bench> {
    let probe = unshare().arg("true").output().unwrap();
    if probe.status.success() {
        return Some(Bench::new());
    }
    let said = String::from_utf8_lossy(&probe.stderr);
    assert!(said.contains("unshare: "), "{said}");
    None
}

fn only_child(pid: Pid) -> Pid {
    let children = proc::children(pid).unwrap();
    assert_eq!(children.len(), 1, "children of {pid}: {children:?}");
    children[0]
}

/// Waits until nobody has this number any more, dead or alive.
fn await_reaped(process: &PidFd) {
    let what = || "the end of a process".to_owned();
    Deadline::new().wait(process.as_fd(), &what);
    comes("it is reaped", || process.signal(0).is_err());
}

/// What a daemon leaves in its home that has not ended in order.
fn remains(bench: &Bench) -> Vec<String> {
    let run = fs::read_dir(bench.home().join("run")).unwrap();
    let mut names: Vec<String> = run
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".state"))
        .collect();
    if bench.home().join("control.sock").exists() {
        names.push("control.sock".to_owned());
    }
    names
}

#[test]
fn sigterm_stops_all_in_order_and_ends_the_daemon() {
    for signal in [TERM, QUIT] {
        let Some(bench) = bench() else { return };
        let mut ear = bench.ear();
        bench.sleeper("database", "");
        bench.sleeper("web", "Requires = [\"database\"]\nAfter = [\"database\"]");
        bench.service(
            "voice",
            "After = [\"web\"]",
            &format!("echo up; {STAY}"),
            "",
        );
        let mut container = Container::up(&bench, &["--exit-with", "web", "web", "voice"]);
        container.output.until("voice    | up");
        assert_eq!(ear.take(2), ["up database", "up web"]);
        container.signal(signal);
        let (code, _, said) = container.ended();
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(ear.take(2), ["down web", "down database"]);
        assert_eq!(bench.processes(), []);
        assert_eq!(remains(&bench), [""; 0], "{said}");
    }
}

#[test]
fn it_ends_with_the_service_and_its_code() {
    for (script, expected) in [
        ("echo bye; exit 7", 7),
        ("echo bye; kill -9 $$", 137),
        ("echo bye", 0),
    ] {
        let Some(bench) = bench() else { return };
        let mut ear = bench.ear();
        bench.sleeper("database", "");
        let requires = "Requires = [\"database\"]\nAfter = [\"database\"]";
        bench.service("job", requires, script, "");
        let container = Container::up(&bench, &["--exit-with", "job", "job"]);
        let (code, printed, said) = container.ended();
        assert_eq!(code, Some(expected), "{said}");
        assert!(printed.contains("bye"), "{printed}");
        assert_eq!(ear.take(2), ["up database", "down database"]);
        assert_eq!(remains(&bench), [""; 0], "{said}");
    }
}

#[test]
fn a_service_that_never_ran_is_no_success() {
    let Some(bench) = bench() else { return };
    bench.service("job", "", "exit 0", "");
    let (code, _, said) = Container::up(&bench, &["--exit-with", "job", "job"]).ended();
    assert_eq!(code, Some(0), "{said}");
    bench.file("job", "[service]\nExecStart = \"/missing/program\"\n");
    let (code, _, said) = Container::up(&bench, &["--exit-with", "job", "job"]).ended();
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("/missing/program"), "{said}");
}

#[test]
fn a_service_that_does_not_end_well_at_sigterm_is_no_success() {
    let Some(bench) = bench() else { return };
    let script = "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done";
    bench.service("web", "", script, "");
    let mut container = Container::up(&bench, &["--exit-with", "web", "web"]);
    container.output.until("up");
    container.signal(TERM);
    let (code, _, said) = container.ended();
    assert_eq!(code, Some(9), "{said}");
}

#[test]
fn signals_are_handed_on_to_the_service() {
    let Some(bench) = bench() else { return };
    let script =
        "trap 'echo hangup' HUP; trap 'echo user' USR1; echo up; while :; do sleep 0.1; done";
    bench.service("web", "", script, "");
    let mut container = Container::up(&bench, &["web"]);
    container.output.until("up");
    container.signal(HUP);
    container.output.until("hangup");
    container.signal(USR1);
    container.output.until("user");
    container.signal(TERM);
    let (code, _, said) = container.ended();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn who_is_left_to_the_first_process_is_reaped() {
    let Some(bench) = bench() else { return };
    bench.service("web", "", &format!("echo up; {STAY}"), "");
    let mut container = Container::prepared(&bench, "sleep 1000 & sleep 1000 &", &["web"]);
    container.output.until("up");
    // The guardian leads a session.
    let is_orphan = |pid: &Pid| proc::stat(*pid).is_ok_and(|stat| stat.session != Some(*pid));
    let mut orphans = proc::children(container.first()).unwrap();
    orphans.retain(is_orphan);
    assert_eq!(orphans.len(), 2);
    for orphan in orphans {
        let orphan = PidFd::open(orphan).unwrap();
        orphan.signal(KILL).unwrap();
        await_reaped(&orphan);
    }
    container.signal(TERM);
    let (code, _, said) = container.ended();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn it_goes_on_when_daemon_and_guardian_are_killed() {
    let Some(bench) = bench() else { return };
    bench.service("web", "", &format!("echo up; {STAY}"), "");
    let mut container = Container::up(&bench, &["--exit-with", "web", "web"]);
    container.output.until("up");
    let guardian = only_child(container.first());
    let daemon = only_child(guardian);
    let before = bench.status("web").pid;
    let both = [guardian, daemon].map(|pid| PidFd::open(pid).unwrap());
    for process in &both {
        process.signal(KILL).unwrap();
    }
    for process in &both {
        await_reaped(process);
    }
    let socket = bench.home().join("control.sock");
    comes("a successor", || UnixStream::connect(&socket).is_ok());
    assert_eq!(bench.status("web").pid, before);
    container.signal(TERM);
    let (code, _, said) = container.ended();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(bench.processes(), []);
}

/// The same folder, as a container's own files are there again when it is started again.
#[test]
fn a_container_that_was_killed_begins_anew() {
    let Some(bench) = bench() else { return };
    bench.service(
        "web",
        "",
        &format!("echo web; {STAY}"),
        "Restart = \"always\"",
    );
    bench.service(
        "other",
        "",
        &format!("echo other; {STAY}"),
        "Restart = \"always\"",
    );
    let mut container = Container::up(&bench, &["web", "other"]);
    container.output.until("web");
    container.signal(KILL);
    container.ended();
    let mut container = Container::up(&bench, &["--exit-with", "web", "web"]);
    container.output.until("web");
    assert_eq!(bench.status("other").state, "stopped");
    container.signal(TERM);
    let (code, _, said) = container.ended();
    assert_eq!(code, Some(0), "{said}");
}

/// As `docker run --read-only --tmpfs HOME` has it: nothing else can be written, and the kernel's settings neither.
#[test]
fn a_read_only_root_is_enough() {
    let Some(bench) = bench() else { return };
    fs::create_dir(bench.home()).unwrap();
    bench.service("web", "", &format!("echo up; {STAY}"), "");
    let read_only = "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; \
                     mount --rbind / /; mount -o remount,bind,ro /; cd \"$PWD\"";
    let home = "mount -t tmpfs tmpfs \"$DIAKONOS_HOME\"";
    let command = format!("{read_only}; {home}");
    let mut container = Container::prepared(&bench, &command, &["--exit-with", "web", "web"]);
    container.output.until("up");
    container.signal(TERM);
    let (code, _, said) = container.ended();
    assert_eq!(code, Some(0), "{said}");
    let container = Container::prepared(&bench, read_only, &["--exit-with", "web", "web"]);
    let (code, _, said) = container.ended();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
    assert!(said.contains("hint: DIAKONOS_HOME"), "{said}");
}

/// What the first process prints to is the container's output, and a service can have it as it is.
#[test]
fn a_service_inherits_the_containers_output() {
    let Some(bench) = bench() else { return };
    let keys = "StandardOutput = \"inherit\"\nStandardError = \"inherit\"";
    bench.service("web", "", &format!("echo raw; {STAY}"), keys);
    bench.service("other", "", &format!("echo logged; {STAY}"), "");
    let mut container = Container::up(&bench, &["web", "other"]);
    let (mut raw, mut logged) = (false, false);
    while !(raw && logged) {
        let line = container.output.next().unwrap();
        raw |= line == "raw";
        logged |= line.contains("other | logged");
    }
    container.signal(TERM);
    let (code, printed, said) = container.ended();
    assert_eq!(code, Some(0), "{said}");
    let log = fs::read(bench.home().join("logs/web.log")).unwrap_or_default();
    assert_eq!(log, b"", "{printed}");
}
