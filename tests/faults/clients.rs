//! Clients that mean harm, or are merely many, beside one that is served.

use std::collections::VecDeque;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use diakonos::engine::{Command, Wait};
use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::proc;
use diakonos::wire::{self, Final, Hello, PROTOCOL_VERSION, Request, ResultKind};

use crate::harness::{Bench, Client, Daemon, start, stop};
use crate::tools::{Seeded, await_quiet, entries, from_environment, waited_ms};

/// An answer takes well below a millisecond; a daemon that waits for another client would take for ever.
const QUICK_MS: u64 = 5_000;

/// What the daemon may compute for 64 MiB, which take well below a second; one that serves nothing but clients would
/// never have them. The clock would count what others use of the machine.
const LOUD_MS: u64 = 60_000;
/// One that waits for a word that does not come computes nothing, and would never have them either.
const LOST_MS: u64 = 600_000;

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::frame(payload, &mut bytes).unwrap();
    bytes
}

pub(crate) fn hello() -> Vec<u8> {
    let (protocol, program) = (PROTOCOL_VERSION, "test".to_owned());
    framed(&wire::encode_hello(&Hello { protocol, program }))
}

pub(crate) fn asking(bench: &Bench, command: Command) -> Vec<u8> {
    let directories = vec![bench.units().display().to_string()];
    framed(&wire::encode_request(&Request {
        command,
        directories,
        first_asked_ms: None,
    }))
}

fn is_served(daemon: &Daemon<'_>, client: &mut Client) {
    let pid = daemon.pid().to_string();
    // What others kept the two waiting for a processor is not the daemon's doing. Where both waited at once that is
    // taken off twice: on a busy machine less is found than was there, and the bound holds on an idle one.
    let waited = || waited_ms(&pid) + waited_ms("thread-self");
    let (begun_ms, before_ms) = (monotonic_ms(), waited());
    assert!(matches!(client.ask(Command::List).last, Final::Units(units) if units.len() == 1));
    let took = (monotonic_ms() - begun_ms).saturating_sub(waited() - before_ms);
    assert!(took < QUICK_MS, "an answer took {took} ms");
}

/// Writes what the daemon takes without waiting.
fn push(stream: &mut UnixStream, bytes: &[u8]) {
    stream.set_nonblocking(true).unwrap();
    let _ = stream.write_all(bytes);
}

#[test]
fn no_client_keeps_another_one_waiting() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.sleeper("web", "");
    let mut client = bench.client();
    client.ask(start("web")).is(ResultKind::Started);
    await_quiet(daemon.pid());
    let descriptors = entries(daemon.pid(), "fd");

    let list = asking(&bench, Command::List);
    let kinds: [Vec<u8>; 8] = [
        // Nothing at all.
        Vec::new(),
        // Half a frame, in each of its parts, before and after the greeting.
        vec![200, 0],
        b"\xc8\0\0\0{\"pro".to_vec(),
        [hello(), list[..list.len() / 2].to_vec()].concat(),
        // A length that nobody has memory for, and one just above the limit.
        [hello(), vec![0xff; 4]].concat(),
        [hello(), vec![1, 0, 0x10, 0]].concat(),
        // One who never reads.
        [hello(), list.repeat(2_000)].concat(),
        // JSON that never comes to an end.
        [hello(), framed(&b"[".repeat(1 << 19))].concat(),
    ];
    let mut crowd = Vec::new();
    for _ in 0..8 {
        for kind in &kinds {
            let mut stream = bench.connect();
            push(&mut stream, kind);
            crowd.push(stream);
        }
        is_served(&daemon, &mut client);
    }
    is_served(&daemon, &mut bench.client());
    drop(crowd);
    is_served(&daemon, &mut client);
    await_quiet(daemon.pid());
    assert_eq!(
        entries(daemon.pid(), "fd"),
        descriptors,
        "connections are kept"
    );
    client.ask(stop("web")).is(ResultKind::Stopped);
}

/// Log bytes wait for whoever comes, and not for as long as somebody comes.
#[test]
fn clients_that_come_without_end_hold_up_no_output() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let size = 64 << 20;
    let script = format!("exec head -c {size} /dev/zero");
    let keys = "Type = 'oneshot'\nLogMaxSize = '1G'";
    bench.service("loud", "", &script, keys);
    let mut client = bench.client();
    client.request(start("loud"));
    let log = bench.home().join("logs/loud.log");
    let pid = daemon.pid();
    let mut crowd = VecDeque::new();
    let begun_ms = monotonic_ms();
    while fs::metadata(&log).map_or(0, |log| log.len()) < size {
        crowd.push_back(bench.connect());
        // No more than are let in.
        if crowd.len() > 100 {
            crowd.pop_front();
        }
        let ticks = proc::stat(pid).unwrap().cpu_ticks;
        let took = ticks * 1_000 / proc::ticks_per_second();
        assert!(took < LOUD_MS, "{size} bytes took more than {took} ms");
        let lasts_ms = monotonic_ms() - begun_ms;
        assert!(lasts_ms < LOST_MS, "the daemon has forgotten its output");
    }
    client.done().is(ResultKind::Completed);
    daemon.end();
}

#[test]
fn three_hundred_connections_at_once_leave_the_first_one_served() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.sleeper("web", "");
    let mut client = bench.client();
    client.ask(start("web")).is(ResultKind::Started);
    let greeting = [hello(), asking(&bench, Command::List)].concat();
    let mut crowd = Vec::new();
    for _ in 0..300 {
        let mut stream = bench.connect();
        push(&mut stream, &greeting);
        crowd.push(stream);
        // Were it silent for ten seconds, it would have to make room, too.
        is_served(&daemon, &mut client);
    }
    is_served(&daemon, &mut client);
    drop(crowd);
    is_served(&daemon, &mut client);
    // Room again, for as many as before.
    let mut clients: Vec<Client> = (0..100).map(|_| bench.client()).collect();
    clients
        .iter_mut()
        .for_each(|client| is_served(&daemon, client));
    drop(clients);
    client.ask(stop("web")).is(ResultKind::Stopped);
    daemon.end();
}

/// Whoever has said nothing, or half a word, makes room; whoever is served stays.
#[test]
fn silent_clients_keep_nobody_out() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.sleeper("web", "");
    let mut client = bench.client();
    client.ask(start("web")).is(ResultKind::Started);
    let mut crowd = Vec::new();
    for number in 0..600 {
        let mut stream = bench.connect();
        if number % 2 == 0 {
            push(&mut stream, &hello()[..5]);
        }
        crowd.push(stream);
    }
    let mut newcomers: Vec<Client> = (0..20).map(|_| bench.client()).collect();
    newcomers
        .iter_mut()
        .for_each(|client| is_served(&daemon, client));
    is_served(&daemon, &mut client);
    client.ask(stop("web")).is(ResultKind::Stopped);
    drop(crowd);
    daemon.end();
}

#[test]
fn a_connection_may_break_at_any_byte() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.sleeper("web", "");
    let mut ear = bench.ear();
    let mut client = bench.client();
    client.ask(start("web")).is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up web");
    let all = [hello(), asking(&bench, Command::List)].concat();
    for length in 0..=all.len() {
        bench.connect().write_all(&all[..length]).unwrap();
    }
    is_served(&daemon, &mut client);

    // Whoever has sent a request whole has made a wish, though nobody waits for the answer.
    let names = vec!["web".to_owned()];
    let wait = Wait::Finished;
    let restart = asking(&bench, Command::Stop { names, wait });
    bench
        .connect()
        .write_all(&[hello(), restart].concat())
        .unwrap();
    assert_eq!(ear.next().unwrap(), "down web");
    daemon.end();
}

#[test]
fn any_bytes_cost_only_their_own_connection() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.sleeper("web", "");
    let mut client = bench.client();
    client.ask(start("web")).is(ResultKind::Started);
    let seed = from_environment("DIAKONOS_FAULTS_SEED").unwrap_or_else(monotonic_ms);
    eprintln!("DIAKONOS_FAULTS_SEED={seed}");
    let mut seeded = Seeded(seed);
    let status = Command::Status {
        names: vec!["web".to_owned()],
    };
    // No verb that changes the service: a change of a byte or two keeps most of a request's sense.
    let good = [
        hello(),
        asking(&bench, Command::List),
        asking(&bench, status),
    ]
    .concat();
    for _ in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..=seeded.below(4) {
            let at = seeded.below(bytes.len());
            match seeded.below(3) {
                0 => bytes[at] = seeded.next().to_le_bytes()[0],
                1 => bytes[at] ^= 1 << seeded.below(8),
                _ => drop(bytes.drain(at..(at + seeded.below(9)).min(bytes.len()))),
            }
        }
        let mut stream = bench.connect();
        if let Err(error) = stream.write_all(&bytes) {
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
    }
    is_served(&daemon, &mut client);
    assert_eq!(bench.status("web").state, "running");
    // A name that leads out of every folder is no unit's.
    for name in [
        "../web",
        "/etc/passwd",
        "a/b",
        "",
        ".",
        "..",
        "web\0",
        "\u{202e}web",
    ] {
        let done = client.ask(start(name));
        assert!(!done.error().message.is_empty(), "{name:?}");
        assert!(done.progress.is_empty(), "{name:?}");
    }
    // A folder that is none has no units; and whoever goes mad after a sensible request is let go.
    let mut astray = bench.client().within(Path::new("/nope"));
    let kind = astray.ask(start("other")).error().kind;
    assert_eq!(kind, wire::ErrorKind::NoSuchUnit);
    assert!(astray.try_write(&[0xff; 8]));
    is_served(&daemon, &mut client);
    client.ask(stop("web")).is(ResultKind::Stopped);
    daemon.end();
}
