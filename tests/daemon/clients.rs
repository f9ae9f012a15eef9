//! Clients of every kind, and how a daemon comes to be.

use std::io::Write;
use std::os::unix::net::UnixStream;

use diakonos::engine::Command;
use diakonos::wire::{self, Decoder, ErrorKind, Final, Hello, Reply, Request, ResultKind};

use crate::harness::{Bench, exists, read_payload, start};
use crate::waits::comes;

fn last_reply(stream: &mut UnixStream) -> Option<Reply> {
    let mut decoder = Decoder::new();
    let mut last = None;
    while let Some(payload) = read_payload(stream, &mut decoder) {
        last = wire::decode_reply(&payload).ok();
    }
    last
}

fn hello(protocol: u32) -> Vec<u8> {
    let program = "0.0.1-test".to_owned();
    let mut bytes = Vec::new();
    wire::frame(
        &wire::encode_hello(&Hello { protocol, program }),
        &mut bytes,
    )
    .unwrap();
    bytes
}

fn list() -> Vec<u8> {
    let command = Command::List;
    let directories = Vec::new();
    let request = Request {
        command,
        directories,
        first_asked_ms: None,
    };
    let mut bytes = Vec::new();
    wire::frame(&wire::encode_request(&request), &mut bytes).unwrap();
    bytes
}

#[test]
fn rubbish_costs_only_its_own_connection() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.sleeper("web", "");
    bench.start("web").is(ResultKind::Started);
    let silent: Vec<UnixStream> = (0..20).map(|_| bench.connect()).collect();
    let mut cut_off = bench.connect();
    cut_off.write_all(&[9, 0, 0, 0, b'{']).unwrap();

    for rubbish in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 64],
        vec![0; 64],
        b"\x02\0\0\0{}".to_vec(),
        [&b"\x20\x00\x00\x00"[..], &[b'['; 32]].concat(),
    ] {
        let mut stream = bench.connect();
        // The daemon may have had enough before all is written.
        let _ = stream.write_all(&rubbish);
        match last_reply(&mut stream) {
            Some(Reply::Final(Final::Error(error))) => assert_eq!(error.kind, ErrorKind::Usage),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }
    assert_eq!(bench.status("web").state, "running");
    drop((silent, cut_off));
    bench.stop("web").is(ResultKind::Stopped);
}

#[test]
fn a_client_of_another_version_is_told_so() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut stream = bench.connect();
    stream.write_all(&hello(999)).unwrap();
    stream.write_all(&list()).unwrap();
    match last_reply(&mut stream) {
        Some(Reply::Final(Final::Error(error))) => {
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert!(error.message.contains("protocol 999"), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_that_makes_no_sense_leaves_the_connection() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut client = bench.client();
    client.send(b"{\"verb\":\"dance\"}");
    assert_eq!(client.done().error().kind, ErrorKind::Usage);
    assert!(matches!(client.ask(Command::List).last, Final::Units(units) if units.is_empty()));
}

#[test]
fn requests_may_be_sent_ahead() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.sleeper("web", "");
    let mut client = bench.client();
    client.request(start("web"));
    client.request(Command::List);
    client.request(crate::harness::stop("web"));
    client.done().is(ResultKind::Started);
    assert!(matches!(client.done().last, Final::Units(units) if units[0].state == "running"));
    client.done().is(ResultKind::Stopped);
}

#[test]
fn a_client_that_goes_leaves_its_work() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let go = bench.path("go");
    diakonos::sys::files::make_fifo(&go, 0o600, None).unwrap();
    let service = format!(
        "ExecStartPre = [\"/bin/sh\", \"-c\", \"read x < {}\"]",
        go.display()
    );
    bench.service("slow", "", "echo up > $EAR; exec sleep 1000", &service);
    let mut client = bench.client();
    client.request(start("slow"));
    daemon.until("slow", "starting");
    drop(client);
    // The other client's answer comes after the daemon has noticed.
    assert_eq!(bench.status("slow").state, "starting");
    std::fs::write(&go, "go\n").unwrap();
    assert_eq!(ear.next().unwrap(), "up");
    daemon.until("slow", "running");
}

#[test]
fn many_clients_are_served_and_one_too_many_is_told_so() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let go = bench.path("go");
    diakonos::sys::files::make_fifo(&go, 0o600, None).unwrap();
    let service = format!(
        "ExecStartPre = [\"/bin/sh\", \"-c\", \"read x < {}\"]\nTimeoutStartSec = \"infinity\"",
        go.display()
    );
    bench.service("slow", "", "exec sleep 1000", &service);
    // Each has asked for something: whoever is silent for ten seconds would make room for the next one.
    let busy = |_| {
        let mut client = bench.client();
        client.request(start("slow"));
        client
    };
    let mut clients: Vec<_> = (0..256).map(busy).collect();
    let mut stream = bench.connect();
    match last_reply(&mut stream) {
        Some(Reply::Final(Final::Error(error))) => assert_eq!(error.kind, ErrorKind::Unavailable),
        other => panic!("{other:?}"),
    }
    std::fs::write(&go, "go\n").unwrap();
    for client in &mut clients {
        client.done().is(ResultKind::Started);
        assert!(matches!(client.ask(Command::List).last, Final::Units(_)));
    }
}

#[test]
fn who_does_not_read_loses_the_connection() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    for number in 0..200 {
        bench.file(
            &format!("unit{number}"),
            "[unit]\nDescription = \"one of many\"\n",
        );
    }
    bench.start("*");
    let mut client = bench.client();
    let bytes = list();
    // Each answer has some hundred bytes a unit, so that the daemon has enough long before this ends.
    let went_on = (0..10_000).all(|_| client.try_write(&bytes));
    assert!(!went_on, "the daemon takes everything");
    daemon.log.until("does not read");
    assert!(matches!(
        bench.client().ask(Command::List).last,
        Final::Units(_)
    ));
    bench.stop("*");
}

#[test]
fn without_descriptors_clients_are_told_so() {
    let bench = Bench::new();
    let _daemon = bench.daemon_after("ulimit -n 64");
    let mut clients: Vec<UnixStream> = (0..80).map(|_| bench.connect()).collect();
    let mut last = clients.pop().unwrap();
    match last_reply(&mut last) {
        Some(Reply::Final(Final::Error(error))) => {
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert!(error.message.contains("descriptor"), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
    drop(clients);
    // The daemon hears of their end before it hears of a client that comes after it has answered one.
    // A child of another test has them all until it is another program.
    comes("the daemon has room again and uses it", || {
        let mut stream = bench.connect();
        if stream.write_all(&hello(wire::PROTOCOL_VERSION)).is_err() {
            return false;
        }
        let mut decoder = Decoder::new();
        read_payload(&mut stream, &mut decoder).expect("a hello in any case");
        if stream.write_all(&list()).is_err() {
            return false;
        }
        let reply = read_payload(&mut stream, &mut decoder).map(|bytes| wire::decode_reply(&bytes));
        matches!(reply, Some(Ok(Reply::Final(Final::Units(_)))))
    });
}

#[test]
fn twenty_clients_at_once_make_one_daemon() {
    let bench = Bench::new();
    bench.sleeper("web", "");
    let clients: Vec<_> = (0..20).map(|_| bench.begin(&["start", "web"])).collect();
    for client in clients {
        let output = client.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
    }
    let lock = std::fs::read_to_string(bench.home().join("lock")).unwrap();
    let pid: u32 = lock.trim().parse().unwrap();
    assert!(exists(pid));
    let log = std::fs::read_to_string(bench.home().join("daemon.log")).unwrap();
    assert_eq!(log.matches("ready, PID").count(), 1, "{log}");
    let output = bench.run(&["kill"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(bench.processes(), []);
}

#[test]
fn a_second_daemon_is_refused() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let output = bench.run(&["daemon"]);
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains(&format!("PID {}", daemon.pid())), "{error}");
    assert!(matches!(
        bench.client().ask(Command::List).last,
        Final::Units(_)
    ));
}
