//! Words from anybody, and what comes along with them. The name of a notify socket is in `/proc/net/unix`.

use std::ffi::OsString;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use diakonos::sys::process::{Pid, PidFd};
use diakonos::sys::{files, notify, proc};
use diakonos::wire::ResultKind;
use rustix::net::sockopt::set_socket_linger;

use crate::harness::{Bench, Daemon, Deadline, Lines, start, stop};
use crate::tools::{await_quiet, await_that, entries};

/// A service that says where it is heard.
const SCRIPT: &str = "echo $NOTIFY_SOCKET > $EAR; exec sleep 1000";
/// Words that find room in a socket that nobody reads.
const BATCH: usize = 8;
const STOP: i32 = 19;
const CONTINUE: i32 = 18;

/// A connection whose end waits for a reader that never reads.
fn lingering() -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    while socket.write(&[0; 65_536]).is_ok() {}
    set_socket_linger(&socket, Some(Duration::from_secs(1_000))).unwrap();
    (socket.into(), peer)
}

/// Gives this away, and keeps no copy of it.
pub(crate) fn send(socket: &OsString, text: &str, fd: OwnedFd) {
    let patience = Some(Duration::from_secs(60));
    notify::send(socket, text.as_bytes(), Some(fd.as_fd()), patience).unwrap();
}

/// Sends away as many connections as a socket's queue has room for. The daemon stands still meanwhile: whoever has the
/// last copy of one waits for its end, and that is not to be us. The other sides are given back.
fn send_lingering(
    daemon: Pid,
    socket: &OsString,
    text: impl Fn(usize) -> String,
) -> Vec<TcpStream> {
    let process = PidFd::open(daemon).unwrap();
    process.signal(STOP).unwrap();
    await_that("the daemon stands still", || {
        proc::stat(daemon).unwrap().is_stopped()
    });
    let peers = (0..BATCH).map(|number| {
        let (connection, peer) = lingering();
        send(socket, &text(number), connection);
        peer
    });
    let peers = peers.collect();
    process.signal(CONTINUE).unwrap();
    barrier(socket);
    peers
}

/// Waits until all that was said before is heard.
pub(crate) fn barrier(socket: &OsString) {
    let (reader, writer) = files::pipe().unwrap();
    send(socket, "BARRIER=1", writer);
    Deadline::new().wait(reader.as_fd(), &|| "the end of a word".to_owned());
}

pub(crate) fn speaker(bench: &Bench, name: &str, access: &str) -> OsString {
    let mut ear: Lines = bench.ear();
    bench.service(name, "", SCRIPT, &format!("NotifyAccess = '{access}'"));
    bench.start(name).is(ResultKind::Started);
    ear.next().unwrap().into()
}

/// Its children that are no services.
fn children(daemon: &Daemon<'_>) -> usize {
    let pid = daemon.pid();
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(path).unwrap();
    children.split_whitespace().count()
}

#[test]
fn what_strangers_send_along_costs_neither_children_nor_descriptors() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let socket = speaker(&bench, "web", "main");
    await_quiet(daemon.pid());
    let before = (children(&daemon), entries(daemon.pid(), "fd"));
    let mut peers = Vec::new();
    for _ in 0..4 {
        let text = |_| "FDSTORE=1".to_owned();
        peers.extend(send_lingering(daemon.pid(), &socket, text));
    }
    bench.client().ask(stop("web")).is(ResultKind::Stopped);
    bench.client().ask(start("web")).is(ResultKind::Started);
    await_quiet(daemon.pid());
    let after = (children(&daemon), entries(daemon.pid(), "fd"));
    assert_eq!(after, before);
    daemon.log.until("only its main process is heard");
    drop(peers);
    daemon.end();
}

/// Whoever makes successors cannot be held up by what a service has stored, and lets go.
#[test]
fn a_guardian_is_not_blocked_by_a_stored_connection_that_lingers() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let socket = speaker(&bench, "web", "all");
    let text = |number| format!("FDSTORE=1\nFDNAME=x{number}\nFDPOLL=0");
    let peers = send_lingering(daemon.pid(), &socket, text);
    for number in 0..BATCH {
        let (reader, writer) = files::pipe().unwrap();
        send(
            &socket,
            &format!("FDSTOREREMOVE=1\nFDNAME=x{number}"),
            writer,
        );
        Deadline::new().wait(reader.as_fd(), &|| "the end of a word".to_owned());
    }
    let dead = PidFd::open(daemon.pid()).unwrap();
    dead.signal(9).unwrap();
    daemon.log.until("ready, PID");
    assert_eq!(bench.status("web").state, "running");
    drop(peers);
    daemon.end();
}

/// A word that makes no sense, said for ever.
#[test]
fn words_without_sense_do_not_fill_the_log() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let socket = speaker(&bench, "web", "all");
    for _ in 0..1_000 {
        let (_reader, writer) = files::pipe().unwrap();
        send(&socket, "MAINPID=1", writer);
    }
    barrier(&socket);
    daemon
        .log
        .until("no more is told of its words in this life");
    bench.client().ask(stop("web")).is(ResultKind::Stopped);
    daemon.until("web", "stopping");
    let log = daemon.log.all();
    assert_eq!(log.matches("MAINPID=1 is not taken").count(), 10, "{log}");
    daemon.end();
}
