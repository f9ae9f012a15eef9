//! `upgrade`: the daemon becomes another program, and neither services nor clients notice.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Output};

use diakonos::engine::Command;
use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::files;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::wire::{
    self, Decoder, Final, Hello, PROTOCOL_VERSION, ResultKind, decode_hello, encode_hello,
};

use crate::harness::{Bench, Daemon, Deadline, read_payload, start};

/// The program itself, once more.
const SAME: &str = "cat \"$0\"";

/// A daemon of a program that the test may replace.
fn begin<'b>(bench: &'b Bench, words: &[&str]) -> (Daemon<'b>, PathBuf) {
    let program = bench.path("diakonos");
    install(&program, SAME);
    let daemon = bench.daemon_by(Program::new(&program).arg("daemon").args(words));
    (daemon, program)
}

/// Has a shell make a program with what a script prints, `$0` being the one under test, and moves it there whole. No
/// process of ours ever has it open for writing: it is to be executed.
fn install(path: &Path, script: &str) {
    let new = path.with_extension("new");
    let script = format!("{{ {script}; }} > \"$1\" && chmod 755 \"$1\" && mv \"$1\" \"$2\"");
    let mut shell = Program::new("/bin/sh");
    let shell = shell.args(["-c", &script, env!("CARGO_BIN_EXE_diakonos")]);
    assert!(shell.arg(&new).arg(path).status().unwrap().success());
}

fn upgrade(bench: &Bench) -> Output {
    bench.run(&["upgrade"])
}

fn succeeded(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.starts_with("upgraded: "),
        "{output:?}"
    );
}

fn fifo(bench: &Bench, name: &str) -> File {
    let path = bench.path(name);
    files::make_fifo(&path, 0o600, None).unwrap();
    File::options().read(true).write(true).open(path).unwrap()
}

#[test]
fn services_and_clients_go_on() {
    // The stop is to be under way as long as daemons change, and its limit to come: how long that takes on a busy
    // machine nobody knows beforehand.
    for words in [&[][..], &["--no-guardian"]] {
        let mut limit_s = 3;
        loop {
            let passed_ms = go_on(words, limit_s);
            if passed_ms < limit_s * 1_000 {
                break;
            }
            limit_s = passed_ms / 500;
        }
    }
}

/// How long the upgrades took, during which a stop was under way that may take so long.
fn go_on(words: &[&str], limit_s: u64) -> u64 {
    let bench = Bench::new();
    let (mut daemon, program) = begin(&bench, words);
    let mut ear = bench.ear();
    let mut go = fifo(&bench, "go");
    let count = "i=0; while :; do i=$((i+1)); echo line $i; done";
    bench.service("count", "", count, "LogMaxFiles = 500");
    let once = format!(
        "echo once > $EAR; read line < {}",
        bench.path("go").display()
    );
    bench.service("once", "", &once, "Type = \"oneshot\"");
    let stubborn = "trap 'echo term > $EAR' TERM; echo up > $EAR; while :; do sleep 0.02; done";
    let limit = format!("TimeoutStopSec = {limit_s}");
    bench.service("stubborn", "", stubborn, &limit);
    let keys = "Restart = \"always\"\nRestartSec = 2";
    bench.service("again", "", "exit 3", keys);
    bench.start("count").is(ResultKind::Started);
    bench.start("stubborn").is(ResultKind::Started);
    ear.until("up");
    let starting = bench.begin(&["start", "once"]);
    ear.until("once");
    let begun_ms = monotonic_ms();
    let stopping = bench.begin(&["stop", "stubborn"]);
    ear.until("term");
    let mut follows = bench.client();
    follows.request(start("once"));
    bench.start("again");
    let before = ["count", "once"].map(|name| bench.status(name));
    let pid = daemon.pid();

    let life = |status: &wire::UnitStatus| (status.pid, status.run, status.restarts);
    let old = bench.status("stubborn");
    let mut new = old.clone();
    for round in 0..3 {
        install(&program, SAME);
        succeeded(&upgrade(&bench));
        assert_eq!(daemon.pid(), pid);
        daemon.log.until("upgraded: ");
        for old in &before {
            let new = bench.status(&old.name);
            assert_eq!(life(&new), life(old), "{} after {round}", old.name);
        }
        new = bench.status("stubborn");
    }
    let passed_ms = monotonic_ms() - begun_ms;
    if passed_ms < limit_s * 1_000 {
        assert_eq!(life(&new), life(&old), "stubborn");
        // A limit that began anew would be off by all of the time that has passed.
        let off_ms = old.deadline_ms.unwrap().abs_diff(new.deadline_ms.unwrap());
        assert!(off_ms < 200.max(passed_ms / 2), "{off_ms} of {passed_ms}");
    }
    // It has written enough: what it writes is to be read in a while, too.
    bench.stop("count").is(ResultKind::Stopped);

    go.write_all(b"\n").unwrap();
    assert!(starting.wait_with_output().unwrap().status.success());
    follows.done().is(ResultKind::Completed);
    let output = stopping.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let state = bench.status("stubborn").state;
    assert_eq!(state, "failed", "it was killed at its deadline");
    daemon.until("again", "starting");
    bench.stop("again");
    numbered(&bench, "count");
    assert_eq!(ear.all().matches("term").count(), 1, "one signal is enough");
    daemon.end();
    passed_ms
}

/// Every line is in the log once, and in order.
fn numbered(bench: &Bench, name: &str) {
    let output = bench.run(&["logs", "-n", "all", name]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter_map(|line| line.split("line ").nth(1));
    let mut expected = 1;
    for line in lines {
        assert_eq!(line.parse(), Ok(expected), "of {name}");
        expected += 1;
    }
    assert!(expected > 10);
}

#[test]
fn a_program_that_cannot_go_on_is_refused_and_nothing_has_happened() {
    let bench = Bench::new();
    let (mut daemon, program) = begin(&bench, &[]);
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let (before, pid) = (bench.status("web").pid, daemon.pid());
    let bad = [
        ("echo no program", "Exec format error"),
        (
            "echo '#!/bin/sh'; echo 'echo ouch >&2; exit 1'",
            "exit code 1: ouch",
        ),
        ("echo '#!/bin/sh'; echo 'echo hello'", "no program of ours"),
        ("echo '#!/bin/sh'; echo 'kill -11 $$'", "killed by SIGSEGV"),
        ("head -c 20000 \"$0\"", "diakonos: "),
        ("printf ''", "diakonos: "),
    ];
    for (script, reason) in bad {
        install(&program, script);
        let output = upgrade(&bench);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{script}: {output:?}");
        assert!(
            said.contains(reason) && said.contains("not upgraded"),
            "{script}: {said}"
        );
        daemon.log.until("not upgraded");
    }
    fs::remove_file(&program).unwrap();
    let output = upgrade(&bench);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("No such file"),
        "{output:?}"
    );
    assert_eq!((bench.status("web").pid, daemon.pid()), (before, pid));
    install(&program, SAME);
    succeeded(&upgrade(&bench));
    assert_eq!((bench.status("web").pid, daemon.pid()), (before, pid));
    bench.stop("web").is(ResultKind::Stopped);
    daemon.end();
}

/// Not even those that have outlived their parent.
#[test]
fn a_refused_program_leaves_nobody_behind() {
    let bench = Bench::new();
    let (daemon, program) = begin(&bench, &[]);
    let told = bench.path("left");
    let left = format!("(sleep 103 & echo $! > {}); exit 3", told.display());
    install(&program, &format!("echo '#!/bin/sh'; echo '{left}'"));
    let said = upgrade(&bench).stderr;
    assert!(String::from_utf8_lossy(&said).contains("exit code 3"));
    let left = fs::read_to_string(told).unwrap().trim().parse().unwrap();
    if let Ok(left) = PidFd::open(Pid::from_raw(left).unwrap()) {
        Deadline::new().wait(left.as_fd(), &|| {
            "the end of what it has started".to_owned()
        });
    }
    daemon.end();
}

/// Half a request before, the other half after; and requests that were sent ahead.
#[test]
fn what_clients_have_sent_is_not_lost() {
    let bench = Bench::new();
    let (daemon, _) = begin(&bench, &[]);
    let mut go = fifo(&bench, "go");
    let once = format!("read line < {}", bench.path("go").display());
    bench.service("once", "", &once, "Type = \"oneshot\"");
    let mut ahead = bench.client();
    ahead.request(start("once"));
    ahead.request(Command::List);
    let mut torn = bench.client();
    let mut frame = Vec::new();
    wire::frame(b"{\"verb\":\"list\"}", &mut frame).unwrap();
    assert!(torn.try_write(&frame[..7]));
    let mut silent = bench.connect();
    succeeded(&upgrade(&bench));
    assert!(torn.try_write(&frame[7..]));
    assert!(matches!(torn.done().last, Final::Units(units) if units.len() == 1));
    go.write_all(b"\n").unwrap();
    ahead.done().is(ResultKind::Completed);
    assert!(matches!(ahead.done().last, Final::Units(_)));
    let mut hello = Vec::new();
    let greeting = Hello {
        protocol: PROTOCOL_VERSION,
        program: "test".to_owned(),
    };
    wire::frame(&encode_hello(&greeting), &mut hello).unwrap();
    silent.write_all(&hello).unwrap();
    let payload = read_payload(&mut silent, &mut Decoder::new()).unwrap();
    assert_eq!(decode_hello(&payload).unwrap().protocol, PROTOCOL_VERSION);
    daemon.end();
}

/// Its parent is the same process as before, so that its status is known.
#[test]
fn a_service_that_ends_meanwhile_leaves_its_status() {
    let bench = Bench::new();
    let (mut daemon, _) = begin(&bench, &["--no-guardian"]);
    let mut go = fifo(&bench, "go");
    for number in 0..8 {
        let script = format!("read line < {}; exit 7", bench.path("go").display());
        bench.service(&format!("s{number}"), "", &script, "");
        bench.start(&format!("s{number}")).is(ResultKind::Started);
    }
    let upgrading = bench.begin(&["upgrade"]);
    for _ in 0..8 {
        go.write_all(b"\n").unwrap();
    }
    succeeded(&upgrading.wait_with_output().unwrap());
    for number in 0..8 {
        let name = format!("s{number}");
        while bench.status(&name).state != "failed" {
            daemon.log.next();
        }
        let status = bench.status(&name);
        assert!(status.cause.contains("exit code 7"), "{status:?}");
    }
    daemon.end();
}

/// Whatever a client speaks, it may have the daemon replaced; and nothing else.
#[test]
fn a_client_of_another_protocol_can_upgrade() {
    let bench = Bench::new();
    let (daemon, _) = begin(&bench, &[]);
    for (verb, answer) in [("upgrade", "upgraded: "), ("list", "speaks protocol 999")] {
        let mut stream = bench.connect();
        let mut bytes = Vec::new();
        let text = "{\"protocol\":999,\"program\":\"9.9.9\",\"later\":[1]}";
        wire::frame(text.as_bytes(), &mut bytes).unwrap();
        let text = format!("{{\"verb\":\"{verb}\",\"later\":{{}}}}");
        wire::frame(text.as_bytes(), &mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut decoder = Decoder::new();
        read_payload(&mut stream, &mut decoder).unwrap();
        let payload = read_payload(&mut stream, &mut decoder).unwrap();
        let text = String::from_utf8(payload).unwrap();
        assert!(text.contains(answer), "{verb}: {text}");
        assert_eq!(
            read_payload(&mut stream, &mut decoder),
            None,
            "and that was all"
        );
    }
    daemon.end();
}

/// Plays a daemon that says this hello, and answers one request with this.
fn pretend(bench: &Bench, hello: &str, answer: &str) -> Output {
    fs::create_dir_all(bench.home()).unwrap();
    let socket = bench.home().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let client = bench.begin(&["list"]);
    Deadline::new().wait(listener.as_fd(), &|| "a client".to_owned());
    let (mut stream, _) = listener.accept().unwrap();
    let mut bytes = Vec::new();
    for text in [hello, answer] {
        wire::frame(text.as_bytes(), &mut bytes).unwrap();
    }
    let mut decoder = Decoder::new();
    read_payload(&mut stream, &mut decoder).unwrap();
    stream.write_all(&bytes).unwrap();
    let output = client.wait_with_output().unwrap();
    // Until it has gone.
    let _ = stream.read_to_end(&mut Vec::new());
    fs::remove_file(&socket).unwrap();
    output
}

#[test]
fn a_client_that_meets_an_older_daemon_says_so_and_what_to_do() {
    let bench = Bench::new();
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let answer = "{\"reply\":\"units\",\"units\":[]}";
    let output = pretend(&bench, "{\"protocol\":0,\"program\":\"0.0.9\"}", answer);
    assert_eq!(output.status.code(), Some(5));
    let text = said(&output);
    assert!(
        text.contains("0.0.9") && text.contains("`diakonos upgrade`"),
        "{text}"
    );
    let hello = format!("{{\"protocol\":{PROTOCOL_VERSION},\"program\":\"0.0.9\"}}");
    let output = pretend(&bench, &hello, answer);
    assert!(
        output.status.success(),
        "it is served all the same: {output:?}"
    );
    let text = said(&output);
    assert!(
        text.contains("0.0.9") && text.contains("`diakonos upgrade`"),
        "{text}"
    );
}

#[test]
fn the_guardian_becomes_the_new_program_too_and_guards_on() {
    let bench = Bench::new();
    let (mut daemon, program) = begin(&bench, &[]);
    let count = "i=0; while :; do i=$((i+1)); echo line $i; done";
    bench.service("count", "", count, "LogMaxFiles = 500");
    bench.start("count").is(ResultKind::Started);
    let before = bench.status("count");
    install(&program, SAME);
    for _ in 0..3 {
        succeeded(&upgrade(&bench));
        daemon.log.until("ready, PID");
        let old = PidFd::open(daemon.pid()).unwrap();
        old.signal(9).unwrap();
        daemon.log.until("ready, PID");
        let after = bench.status("count");
        assert_eq!((after.pid, after.run), (before.pid, before.run));
    }
    succeeded(&upgrade(&bench));
    let guardian = daemon.started();
    let image = |pid: Pid| fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert_eq!(
        (image(guardian), image(daemon.pid())),
        (program.clone(), program)
    );
    bench.stop("count").is(ResultKind::Stopped);
    numbered(&bench, "count");
    daemon.end();
}
