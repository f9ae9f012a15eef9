//! Services that speak for themselves, sd_notify(3).

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use diakonos::sys::process::PidFd;
use diakonos::sys::users::effective_uid;
use diakonos::sys::{files, notify};
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Client, Daemon, Deadline, Lines, start};

const SIGKILL: i32 = 9;
const SIGSTOP: i32 = 19;
const SIGCONT: i32 = 18;

/// Says where it is to be spoken for, and then nothing more.
const SILENT: &str = "echo $NOTIFY_SOCKET > $EAR; exec sleep 1000";
const ALL: &str = "Type = \"notify\"\nNotifyAccess = \"all\"";

/// A program that says what its arguments are, one after the other, and sleeps then.
const SPEAKER: &str = "exec perl -MSocket -e 'socket(S, AF_UNIX, SOCK_DGRAM, 0); \
     ($n = $ENV{NOTIFY_SOCKET}) =~ s/^@/\\0/; \
     for (@ARGV) { s/%/\\n/g; s/PID/$$/; send(S, $_, 0, pack_sockaddr_un($n)) or die } sleep 1000'";

/// Says something to this socket, as one of the service's user.
pub(crate) fn say(socket: &str, text: &str) {
    notify::send(&OsString::from(socket), text.as_bytes(), None, None).unwrap();
}

/// Says it, and waits until it has been acted on.
pub(crate) fn say_and_wait(socket: &str, text: &str) {
    say(socket, text);
    let (reader, writer) = files::pipe().unwrap();
    let socket = OsString::from(socket);
    notify::send(&socket, b"BARRIER=1", Some(writer.as_fd()), None).unwrap();
    drop(writer);
    let what = || format!("an answer to {text}");
    Deadline::new().wait(reader.as_fd(), &what);
}

/// Starts a silent service, and tells where it is to be spoken for.
fn begin(bench: &Bench, name: &str, service: &str) -> (Client, Lines, String) {
    let mut ear = bench.ear();
    bench.service(name, "", SILENT, service);
    let mut client = bench.client();
    client.request(start(name));
    let socket = ear.next().unwrap();
    (client, ear, socket)
}

/// Kills the daemon while its guardian looks away, lets something happen, and lets a successor take over.
fn with_nobody_there(daemon: &mut Daemon<'_>, happens: impl FnOnce()) {
    let guardian = PidFd::open(daemon.started()).unwrap();
    let process = PidFd::open(daemon.pid()).unwrap();
    guardian.signal(SIGSTOP).unwrap();
    process.signal(SIGKILL).unwrap();
    Deadline::new().wait(process.as_fd(), &|| "the daemon's end".to_owned());
    happens();
    guardian.signal(SIGCONT).unwrap();
    daemon.log.until("took back");
}

/// Waits until it is told, so that nobody takes what that one has told for a later successor's word.
fn upgrade(bench: &Bench, daemon: &mut Daemon<'_>) {
    assert!(bench.run(&["upgrade"]).status.success());
    daemon.log.until("upgraded: ");
}

#[test]
fn a_service_is_up_when_it_says_so() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let (mut client, _ear, socket) = begin(&bench, "web", ALL);
    say_and_wait(&socket, "STATUS=loading");
    let status = bench.status("web");
    assert_eq!((&*status.state, &*status.said), ("starting", "loading"));
    say(&socket, "READY=1\nSTATUS=serving\nERRNO=2");
    client.done().is(ResultKind::Started);
    daemon.until("web", "running");
    let status = bench.status("web");
    assert_eq!(status.said, "serving; No such file or directory");
    let shown = String::from_utf8(bench.run(&["status", "web"]).stdout).unwrap();
    assert!(shown.contains("says  serving; No such file"), "{shown}");

    // The next life has a socket of its own, and has said nothing.
    let mut client = bench.client();
    let mut ear = bench.ear();
    client.request(crate::harness::stop("web"));
    client.done().is(ResultKind::Stopped);
    assert_eq!(
        bench.status("web").said,
        "serving; No such file or directory"
    );
    let mut client = bench.client();
    client.request(start("web"));
    let other = ear.next().unwrap();
    assert_ne!(other, socket);
    assert_eq!(bench.status("web").said, "");
    say(&other, "READY=1");
    client.done().is(ResultKind::Started);
}

#[test]
fn a_service_that_does_not_say_so_fails() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    // So little time that it may end before it has said anything at all.
    let limit = format!("{ALL}\nTimeoutStartSec = \"50ms\"");
    bench.service("web", "", SILENT, &limit);
    let done = bench.start("web");
    let text = &done.is(ResultKind::Failed).result().text;
    assert!(text.starts_with("not ready within 50 ms: "), "{text}");
}

#[test]
fn only_the_main_process_is_heard_unless_the_unit_says_otherwise() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let script = format!("{SPEAKER} STATUS=up%MAINPID=PID READY=1");
    bench.service("web", "", &script, "Type = \"notify\"");
    bench.start("web").is(ResultKind::Started);
    assert_eq!(bench.status("web").said, "up");

    let (mut client, _ear, socket) = begin(&bench, "deaf", "Type = \"notify\"");
    say(&socket, "READY=1");
    let told = daemon.log.until("spoke for it");
    let expected = format!(
        "deaf: PID {} spoke for it, and only its main process is heard (NotifyAccess=)",
        std::process::id()
    );
    assert!(told.contains(&expected), "{told}");
    assert_eq!(bench.status("deaf").state, "starting");
    bench.stop("deaf").is(ResultKind::Stopped);
    client.done();
}

#[test]
fn a_service_says_who_its_main_process_is() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let script = "sleep 1000 & echo $! > $EAR; echo $NOTIFY_SOCKET > $EAR; read line < $GO; exit 3";
    let go = bench.path("go");
    files::make_fifo(&go, 0o600, None).unwrap();
    let service = format!(
        "{ALL}\nPassEnvironment = []\nEnvironment = [\"EAR={}\", \"GO={}\"]",
        bench.path("ear").display(),
        go.display()
    );
    let text = format!("[service]\n{service}\nExecStart = [\"/bin/sh\", \"-c\", '''{script}''']\n");
    bench.file("web", &text);
    let mut client = bench.client();
    client.request(start("web"));
    let (other, socket) = (ear.next().unwrap(), ear.next().unwrap());
    let first = bench.status("web").pid.unwrap();
    say(&socket, "MAINPID=1\nREADY=1");
    daemon.log.until("MAINPID=1 is not taken");
    client.done().is(ResultKind::Started);
    assert_eq!(bench.status("web").pid, Some(first));
    say_and_wait(&socket, &format!("MAINPID={other}"));
    assert_eq!(bench.status("web").pid, Some(other.parse().unwrap()));

    // The first one's end is nobody's business any more; the other one's is the service's.
    std::fs::write(&go, "\n").unwrap();
    with_nobody_there(&mut daemon, || ());
    assert_eq!(bench.status("web").pid, Some(other.parse().unwrap()));
    let main = diakonos::sys::process::Pid::from_raw(other.parse().unwrap()).unwrap();
    PidFd::open(main).unwrap().signal(SIGKILL).unwrap();
    let line = daemon.until("web", "failed");
    assert!(line.contains("SIGKILL"), "{line}");
}

#[test]
fn what_is_said_while_no_daemon_lives_is_heard_by_its_successor() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let (_client, _ear, socket) = begin(&bench, "web", ALL);
    say_and_wait(&socket, "STATUS=loading");
    with_nobody_there(&mut daemon, || say(&socket, "READY=1"));
    daemon.until("web", "running");
    assert_eq!(bench.status("web").said, "loading");
    // Also the second time, when the socket was inherited.
    with_nobody_there(&mut daemon, || say(&socket, "STATUS=done"));
    say_and_wait(&socket, "");
    assert_eq!(bench.status("web").said, "done");
    upgrade(&bench, &mut daemon);
    say_and_wait(&socket, "STATUS=upgraded");
    assert_eq!(bench.status("web").said, "upgraded");
    with_nobody_there(&mut daemon, || say(&socket, "STATUS=once more"));
    say_and_wait(&socket, "");
    assert_eq!(bench.status("web").said, "once more");
}

#[test]
fn a_successor_without_a_guardian_listens_at_the_same_place() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    let (_client, _ear, socket) = begin(&bench, "web", ALL);
    crate::takeover::die(&mut daemon);
    let mut daemon = bench.shell_before_daemon(":");
    daemon.log.until("took back");
    say(&socket, "READY=1");
    daemon.until("web", "running");
}

/// Names in the abstract space are a network's own.
#[test]
fn a_service_with_a_network_of_its_own_is_heard() {
    if effective_uid() != 0 {
        return;
    }
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let keys =
        "Type = \"notify\"\nPrivateNetwork = true\nUser = \"nobody\"\nWorkingDirectory = \"/\"";
    bench.service("web", "", &format!("{SPEAKER} READY=1"), keys);
    bench.start("web").is(ResultKind::Started);

    let keys = "Type = \"notify\"\nNotifyAccess = \"all\"\nPrivateNetwork = true";
    let (_client, _ear, socket) = begin(&bench, "late", keys);
    with_nobody_there(&mut daemon, || say(&socket, "READY=1"));
    daemon.until("late", "running");
    for name in ["web", "late"] {
        bench.stop(name).is(ResultKind::Stopped);
    }
    assert!(!Path::new(&socket).exists(), "{socket} is left");
}

/// Gives a descriptor into the daemon's keeping, and waits until it has it.
fn store(socket: &str, words: &str, fd: BorrowedFd<'_>) {
    let text = format!("FDSTORE=1\n{words}");
    notify::send(&OsString::from(socket), text.as_bytes(), Some(fd), None).unwrap();
    say_and_wait(socket, "");
}

#[test]
fn what_is_stored_outlives_restarts_of_the_service_and_the_daemon() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let told = "echo $LISTEN_FDS $LISTEN_FDNAMES $([ \"$LISTEN_PID\" = $$ ] && echo mine) \
         $([ \"$WATCHDOG_PID\" = $$ ] && echo watched)";
    let script = format!(
        "echo $NOTIFY_SOCKET > $EAR; {told} > $EAR; [ -z \"$LISTEN_FDS\" ] || {told} >&3; exec sleep 1000"
    );
    let service = "NotifyAccess = \"all\"\nWatchdogSec = \"1h\"";
    bench.service("web", "", &script, service);
    bench.start("web").is(ResultKind::Started);
    let socket = ear.next().unwrap();
    assert_eq!(ear.next().unwrap(), "watched");

    let (reader, writer) = files::pipe().unwrap();
    let (ended, end) = files::pipe().unwrap();
    let mut kept = Lines::new(reader.into());
    store(&socket, "FDNAME=way", writer.as_fd());
    store(&socket, "FDNAME=way", writer.as_fd());
    store(&socket, "", writer.as_fd());
    store(&socket, "FDNAME=gone", ended.as_fd());
    store(&socket, "FDNAME=gone but kept\nFDPOLL=0", ended.as_fd());
    store(&socket, "FDNAME=removed", writer.as_fd());
    say_and_wait(&socket, "FDSTOREREMOVE=1\nFDNAME=removed");
    // Not the same, though they are of one file.
    for _ in 0..2 {
        let null = std::fs::File::open("/dev/null").unwrap();
        store(&socket, "FDNAME=twin", null.as_fd());
        store(&socket, "FDNAME=twin", null.as_fd());
    }
    drop((writer, ended, end));
    with_nobody_there(&mut daemon, || ());
    upgrade(&bench, &mut daemon);
    with_nobody_there(&mut daemon, || ());

    bench.restart("web").is(ResultKind::Started);
    let expected = "5 way:stored:gone but kept:twin:twin mine watched";
    assert_eq!(ear.take(2)[1], expected);
    assert_eq!(kept.next().unwrap(), expected);
    bench.stop("web").is(ResultKind::Stopped);
    assert_eq!(kept.next(), None, "nobody has it any more");
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.take(2)[1], "watched");
}

#[test]
fn who_may_speak_from_now_on_is_known_to_a_successor() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let (mut client, _ear, socket) = begin(&bench, "web", ALL);
    say(&socket, "READY=1");
    client.done().is(ResultKind::Started);
    say_and_wait(&socket, "STATUS=first\nNOTIFYACCESS=none");
    for _ in 0..2 {
        with_nobody_there(&mut daemon, || say(&socket, "STATUS=more"));
        say_and_wait(&socket, "STATUS=yet more");
        assert_eq!(bench.status("web").said, "first");
        upgrade(&bench, &mut daemon);
    }
    say_and_wait(&socket, "STATUS=yet more");
    assert_eq!(bench.status("web").said, "first");
}
