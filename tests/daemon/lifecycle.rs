//! One service: start, status, restart, stop, and what can be wrong with it.

use std::fs;
use std::os::fd::AsFd;

use diakonos::engine::{Command, Wait};
use diakonos::sys::poll::wait_readable;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::unit::Signal;
use diakonos::wire::{ErrorKind, Final, ResultKind};

use crate::harness::{Bench, exists, start};
use crate::waits::comes;

fn pid_of(bench: &Bench, name: &str) -> u32 {
    bench.status(name).pid.expect("a main process")
}

#[test]
fn a_service_starts_restarts_and_stops() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let mut ear = bench.ear();
    bench.sleeper("web", "Description = \"A test\"");

    let before = bench.status("web");
    assert_eq!((before.state.as_str(), before.pid), ("stopped", None));

    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up web");
    let status = bench.status("web");
    assert_eq!(
        (status.state.as_str(), status.active.as_str()),
        ("running", "active")
    );
    assert_eq!(status.description, "A test");
    let (asked, since) = status.cause.split_once("; ").expect("why, and what then");
    assert!(asked.starts_with("asked by user "), "{asked}");
    assert_eq!(since, "it became ready");
    let first = status.pid.expect("a main process");
    assert!(exists(first));
    bench.start("web").is(ResultKind::AlreadyUp);

    bench.restart("web").is(ResultKind::Started);
    assert_eq!(ear.take(2), ["down web", "up web"]);
    let second = pid_of(&bench, "web");
    assert!(first != second && !exists(first));

    bench.stop("web").is(ResultKind::Stopped);
    assert_eq!(ear.next().unwrap(), "down web");
    assert!(!exists(second));
    assert_eq!(bench.processes(), []);
    bench.stop("web").is(ResultKind::AlreadyDown);
    assert_eq!(bench.status("web").state, "stopped");
    daemon.end();
}

#[test]
fn what_a_service_leaves_behind_is_stopped_with_it() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    // The shell inside says its own PID; it has left the session of the one outside.
    let script = "setsid sh -c 'sleep 1000 & echo $$ > $EAR; wait' & exec sleep 1000";
    bench.service("web", "", script, "");
    bench.start("web").is(ResultKind::Started);
    let pid = ear.next().unwrap().parse().unwrap();
    let child = PidFd::open(Pid::from_raw(pid).unwrap()).unwrap();
    assert!(!wait_readable(&[child.as_fd()], Some(0)).unwrap()[0]);
    bench.stop("web").is(ResultKind::Stopped);
    assert!(wait_readable(&[child.as_fd()], Some(0)).unwrap()[0]);
    assert_eq!(bench.processes(), []);
}

#[test]
fn a_start_that_fails_says_why() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.sleeper("good", "");
    bench.start("good").is(ResultKind::Started);

    bench.file("missing", "[service]\nExecStart = \"/nope/program\"\n");
    let done = bench.start("missing");
    let text = &done.is(ResultKind::Failed).result().text;
    assert!(
        text.contains("/nope/program: No such file or directory"),
        "{text}"
    );
    let hint = |key: &str, name: &str| {
        let file = bench.units().join(format!("{name}.service"));
        Some(format!("{key}= in {}", file.display()))
    };
    assert_eq!(done.result().hint, hint("ExecStart", "missing"));
    let output = bench.run(&["start", "missing"]);
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = hint("ExecStart", "missing").unwrap();
    assert!(said.contains(&format!("hint: {expected}\n")), "{said}");
    let status = bench.status("missing");
    assert_eq!(status.state, "failed");
    assert!(status.cause.contains("No such file"), "{}", status.cause);

    bench.file(
        "nobody",
        "[service]\nExecStart = \"/bin/true\"\nUser = \"nobody-like-this\"\n",
    );
    let done = bench.start("nobody");
    let text = &done.is(ResultKind::Failed).result().text;
    let expected = "User=nobody-like-this: there is no such user";
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(done.result().hint, hint("User", "nobody"));

    bench.file(
        "nowhere",
        "[service]\nExecStart = \"/bin/true\"\nWorkingDirectory = \"/nope\"\n",
    );
    let done = bench.start("nowhere");
    let text = &done.is(ResultKind::Failed).result().text;
    assert_eq!(text, "WorkingDirectory=/nope: No such file or directory");
    assert_eq!(done.result().hint, hint("WorkingDirectory", "nowhere"));

    assert_eq!(bench.status("good").state, "running");
    bench.stop("good").is(ResultKind::Stopped);
}

#[test]
fn names_that_mean_nothing_are_refused_with_what_is_near() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.sleeper("database", "");
    let done = bench.start("databse");
    let error = done.error();
    assert_eq!(error.kind, ErrorKind::NoSuchUnit);
    assert!(
        error.message.contains(&bench.units().display().to_string()),
        "{error:?}"
    );
    assert_eq!(error.hint.as_deref(), Some("did you mean `database`?"));

    bench.file("worker@", "[service]\nExecStart = \"/bin/true\"\n");
    let done = bench.start("worker@");
    assert_eq!(done.error().kind, ErrorKind::Usage);
    assert_eq!(bench.start("a b").error().kind, ErrorKind::Usage);
    assert_eq!(bench.start("x*").error().kind, ErrorKind::NoSuchUnit);
}

#[test]
fn patterns_and_instances_name_several() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let ear = bench.path("ear");
    let script = format!("echo up %i > {}; exec sleep 1000", ear.display());
    let marked = format!("EAR={}", ear.display());
    bench.file(
        "worker@",
        &format!(
            "[service]\nEnvironment = [\"{marked}\"]\nExecStart = \"/bin/sh -c '{script}'\"\n"
        ),
    );
    let mut ear = bench.ear();
    let names = ["worker@1", "worker@2.service", "worker@1"].map(str::to_owned);
    let done = bench.client().ask(Command::Start {
        found: Vec::new(),
        names: names.to_vec(),
        wait: Wait::Finished,
    });
    let units: Vec<&str> = done
        .results()
        .iter()
        .map(|result| result.unit.as_str())
        .collect();
    assert_eq!(units, ["worker@1", "worker@2"]);
    let mut up = ear.take(2);
    up.sort();
    assert_eq!(up, ["up 1", "up 2"]);
    let done = bench.stop("worker@*");
    assert_eq!(done.results().len(), 2);
    assert_eq!(bench.processes(), []);
}

#[test]
fn a_request_that_does_not_wait_is_answered_at_once() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    // It would take for ever to come up.
    bench.service(
        "slow",
        "",
        "exec sleep 1000",
        "ExecStartPre = \"/bin/sleep 1000\"",
    );
    let done = bench.client().ask(Command::Start {
        found: Vec::new(),
        names: vec!["slow".to_owned()],
        wait: Wait::Accepted,
    });
    assert_eq!(
        done.is(ResultKind::Started).result().text,
        "start requested"
    );
    daemon.until("slow", "starting");
    bench.stop("slow").is(ResultKind::Stopped);

    let done = bench.client().ask(Command::Start {
        found: Vec::new(),
        names: vec!["none".to_owned()],
        wait: Wait::Accepted,
    });
    assert_eq!(done.error().kind, ErrorKind::NoSuchUnit);
}

#[test]
fn signal_reload_and_reset_reach_the_service() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    let script = "trap 'echo hup > $EAR' HUP; trap 'echo usr > $EAR' USR1; echo up > $EAR; \
                  while :; do sleep 1000 & wait $!; kill $!; done";
    bench.service(
        "web",
        "",
        script,
        "ExecReload = \"/bin/kill -HUP $MAINPID\"",
    );
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up");
    let names = || vec!["web".to_owned()];
    bench
        .client()
        .ask(Command::Reload { names: names() })
        .is(ResultKind::Reloaded);
    assert_eq!(ear.next().unwrap(), "hup");
    let signal = Signal::parse("USR1").unwrap();
    bench
        .client()
        .ask(Command::Signal {
            names: names(),
            signal,
        })
        .is(ResultKind::Signaled);
    assert_eq!(ear.next().unwrap(), "usr");
    bench
        .client()
        .ask(Command::Reset { names: names() })
        .is(ResultKind::ResetDone);
    bench.stop("web").is(ResultKind::Stopped);
}

#[test]
fn output_goes_to_the_log() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let script = "echo one; echo two >&2; seq 1 2000; echo last";
    bench.service("job", "", script, "Type = \"oneshot\"");
    bench.start("job").is(ResultKind::Completed);
    bench.client().ask(start("job"));
    let log = fs::read_to_string(bench.home().join("logs/job.log")).unwrap();
    assert!(
        log.starts_with("one\ntwo\n1\n2\n"),
        "{}",
        &log[..log.len().min(80)]
    );
    assert!(log.contains("\n2000\nlast\n"));
}

#[test]
fn the_daemon_tells_of_itself() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.sleeper("web", "");
    bench.start("web").is(ResultKind::Started);
    let mut client = bench.client();
    // Several requests on one connection, one after the other. The connection before may be open for a moment still: a
    // child of another test has all descriptors until it is another program.
    comes("one client", || {
        match client.ask(Command::DaemonStatus).last {
            Final::Daemon(status) => status.clients == 1,
            other => panic!("{other:?}"),
        }
    });
    match client.ask(Command::DaemonStatus).last {
        Final::Daemon(status) => {
            assert_eq!(status.pid, daemon.pid().as_raw());
            assert_eq!((status.units, status.running, status.clients), (1, 1, 1));
            assert_eq!(status.home, bench.home().display().to_string());
            assert!(!status.abilities.is_empty());
        }
        other => panic!("{other:?}"),
    }
    match client.ask(Command::List).last {
        Final::Units(units) => assert_eq!(units[0].name, "web"),
        other => panic!("{other:?}"),
    }
}
