//! Services that are looked after: the watchdog, the longest time to run, reload by a signal, a stop that is announced.

use std::os::fd::AsFd;

use diakonos::engine::Command;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Client, Deadline, Lines, start};
use crate::notify::{say, say_and_wait};

const ALL: &str = "Type = \"notify\"\nNotifyAccess = \"all\"";

/// A service that says `up`, where it is to be spoken for, and which of these signals it got.
fn begin(bench: &Bench, service: &str) -> (Client, Lines, String) {
    let mut ear = bench.ear();
    let script = "for s in HUP USR1 ABRT TERM; do trap \"echo $s > \\$EAR; \
         [ $s = HUP ] || [ $s = USR1 ] || exit 0\" $s; done; echo $NOTIFY_SOCKET > $EAR; \
         while :; do sleep 1000 & wait $!; kill $! ; done 2> /dev/null";
    bench.service("web", "", script, service);
    let mut client = bench.client();
    client.request(start("web"));
    let socket = ear.next().unwrap();
    (client, ear, socket)
}

fn reload() -> Command {
    Command::Reload {
        names: vec!["web".to_owned()],
    }
}

/// Kills a service's main process, and then whoever is left of all that the bench has started: nobody makes another.
pub(crate) fn end(bench: &Bench, name: &str) {
    let main = Pid::from_raw(bench.status(name).pid.unwrap()).unwrap();
    let main = PidFd::open(main).unwrap();
    main.signal(9).unwrap();
    Deadline::new().wait(main.as_fd(), &|| format!("the end of {name}"));
    for pid in bench.processes() {
        if let Ok(process) = PidFd::open(pid) {
            let _ = process.signal(9);
        }
    }
}

#[test]
fn a_missed_watchdog_ends_a_service_by_its_signal() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let service = "Type = \"notify\"\nNotifyAccess = \"all\"\nWatchdogSec = \"300ms\"\n\
         Restart = \"on-watchdog\"\nRestartSec = 600\nExecStop = \"/bin/false\"";
    let (mut client, mut ear, socket) = begin(&bench, service);
    // Before it is up nobody waits for a sign of life.
    say(&socket, "READY=1");
    client.done().is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "ABRT");
    let line = daemon.until("web", "restarting");
    assert!(
        line.contains("gave no sign of life for 300 ms (WatchdogSec=)"),
        "{line}"
    );
    bench.stop("web").is(ResultKind::Stopped);
}

#[test]
fn a_service_says_itself_that_it_hangs() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    // First with time to tell of the signal, then with so little that it may not come to that.
    for limit in ["infinity", "50ms"] {
        let keys = format!("{ALL}\nWatchdogSignal = \"USR1\"\nTimeoutAbortSec = \"{limit}\"");
        let (mut client, mut ear, socket) = begin(&bench, &keys);
        say(&socket, "READY=1");
        client.done().is(ResultKind::Started);
        say(&socket, "WATCHDOG=trigger");
        if limit == "infinity" {
            assert_eq!(ear.next().unwrap(), "USR1");
            end(&bench, "web");
        }
        let line = daemon.until("web", "failed");
        assert!(line.contains("said itself that it hangs"), "{line}");
    }
}

#[test]
fn a_watchdog_is_told_and_can_be_asked_for_and_given_up() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let post = "[\"/bin/sh\", \"-c\", \"echo $WATCHDOG_USEC none > $EAR\"]";
    let service = format!("{ALL}\nExecStartPre = {post}\nWatchdogSec = \"1h\"");
    let mut ear = bench.ear();
    bench.service(
        "web",
        "",
        "echo $WATCHDOG_USEC > $EAR; echo $NOTIFY_SOCKET > $EAR; exec sleep 1000",
        &service,
    );
    let mut client = bench.client();
    client.request(start("web"));
    assert_eq!(ear.take(2), ["none", "3600000000"]);
    let socket = ear.next().unwrap();
    say(&socket, "READY=1");
    client.done().is(ResultKind::Started);
    say_and_wait(&socket, "WATCHDOG_USEC=0");
    say_and_wait(&socket, "WATCHDOG_USEC=100000");
    let line = daemon.until("web", "stopping");
    assert!(line.contains("gave no sign of life for 100 ms"), "{line}");
    daemon.until("web", "failed");
}

#[test]
fn a_service_runs_no_longer_than_it_may() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    bench.service("web", "", "exec sleep 1000", "RuntimeMaxSec = \"200ms\"");
    bench.start("web").is(ResultKind::Started);
    let line = daemon.until("web", "failed");
    assert!(
        line.contains("ran for longer than 200 ms (RuntimeMaxSec=)"),
        "{line}"
    );
}

#[test]
fn a_limit_is_extended() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let (mut client, _ear, socket) = begin(&bench, &format!("{ALL}\nTimeoutStartSec = 90"));
    say_and_wait(&socket, "EXTEND_TIMEOUT_USEC=500000000");
    let status = bench.status("web");
    let left_ms = status.deadline_ms.unwrap() - status.since_ms;
    assert!((499_000..600_000).contains(&left_ms), "{left_ms}");
    say(&socket, "READY=1");
    client.done().is(ResultKind::Started);
}

#[test]
fn a_service_is_reloaded_by_a_signal_and_says_when_it_is_done() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let service = "Type = \"notify-reload\"\nNotifyAccess = \"all\"\nReloadSignal = \"USR1\"";
    let (mut client, mut ear, socket) = begin(&bench, service);
    say(&socket, "READY=1");
    client.done().is(ResultKind::Started);
    let mut client = bench.client();
    client.request(reload());
    assert_eq!(ear.next().unwrap(), "USR1");
    assert_eq!(bench.status("web").phase, "reload-signal");
    // A reload that began before it was told to, and the word that it is done without one that it began.
    say_and_wait(&socket, "RELOADING=1\nMONOTONIC_USEC=1");
    say_and_wait(&socket, "READY=1");
    assert_eq!(bench.status("web").phase, "reload-signal");
    let now = diakonos::sys::clock::monotonic_ms() * 1_000;
    say_and_wait(&socket, &format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    assert_eq!(bench.status("web").phase, "reload-notify");
    say(&socket, "READY=1");
    client.done().is(ResultKind::Reloaded);
    assert_eq!(bench.status("web").state, "running");
    daemon.until("web", "reloading");
    daemon.until("web", "running");

    // And by its own account.
    say_and_wait(&socket, "RELOADING=1");
    let line = daemon.until("web", "reloading");
    assert!(line.contains("running -> reloading"), "{line}");
    say_and_wait(&socket, "READY=1");
    assert_eq!(bench.status("web").state, "running");
}

#[test]
fn a_service_that_says_that_it_stops_is_left_in_peace() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let service = format!("{ALL}\nExecStop = \"/bin/false\"\nTimeoutStopSec = 60");
    let mut ear = bench.ear();
    let go = bench.path("go");
    diakonos::sys::files::make_fifo(&go, 0o600, None).unwrap();
    let script = format!(
        "echo $NOTIFY_SOCKET > $EAR; read line < {}; exit 0",
        go.display()
    );
    bench.service("web", "", &script, &service);
    let mut client = bench.client();
    client.request(start("web"));
    let socket = ear.next().unwrap();
    say(&socket, "READY=1");
    client.done().is(ResultKind::Started);
    say_and_wait(&socket, "STOPPING=1\nSTATUS=closing");
    let line = daemon.until("web", "stopping");
    assert!(line.contains("it says that it stops"), "{line}");
    let status = bench.status("web");
    assert_eq!((&*status.phase, &*status.said), ("stop-notify", "closing"));
    std::fs::write(&go, "\n").unwrap();
    daemon.until("web", "completed");
}

#[test]
fn a_service_that_ends_before_it_is_ready_has_failed() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("web", "", "exit 0", "Type = \"notify\"");
    let done = bench.start("web");
    let text = &done.is(ResultKind::Failed).result().text;
    assert_eq!(text, "ended before it was ready: exit code 0");
}

#[test]
fn a_forking_service_names_its_main_process_or_has_none() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let go = bench.path("go");
    diakonos::sys::files::make_fifo(&go, 0o600, None).unwrap();
    let script = format!(
        "sleep 1000 & sleep 1000 & echo $! > $EAR; echo $NOTIFY_SOCKET > $EAR; read line < {}",
        go.display()
    );
    let service = "Type = \"forking\"\nNotifyAccess = \"all\"";
    bench.service("web", "", &script, service);
    let mut client = bench.client();
    client.request(start("web"));
    let (main, socket) = (ear.next().unwrap(), ear.next().unwrap());
    say_and_wait(&socket, &format!("MAINPID={main}"));
    std::fs::write(&go, "\n").unwrap();
    client.done().is(ResultKind::Started);
    assert_eq!(bench.status("web").pid, Some(main.parse().unwrap()));
    bench.stop("web").is(ResultKind::Stopped);

    bench.service(
        "free",
        "",
        "sleep 1000 &",
        "Type = \"forking\"\nGuessMainPID = false",
    );
    bench.start("free").is(ResultKind::Started);
    assert_eq!(bench.status("free").pid, None);
    daemon.until("free", "running");
    bench.stop("free").is(ResultKind::Stopped);
}

/// Nobody knows its main process, so that its word is no run's.
#[test]
fn a_service_without_a_known_main_process_reloads_by_its_own_account() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let script = "echo $NOTIFY_SOCKET > $EAR; sleep 1000 &";
    let service = "Type = \"forking\"\nGuessMainPID = false\nNotifyAccess = \"all\"";
    bench.service("free", "", script, service);
    let mut client = bench.client();
    client.request(start("free"));
    let socket = ear.next().unwrap();
    client.done().is(ResultKind::Started);
    say_and_wait(&socket, "RELOADING=1");
    daemon.until("free", "reloading");
    say_and_wait(&socket, "READY=1");
    assert_eq!(bench.status("free").state, "running");
    bench.stop("free").is(ResultKind::Stopped);
}

/// Says that it lives every tenth of a second, as long as it does. Its watchdog is strict only once it stands still.
#[test]
fn a_service_that_stands_still_misses_its_watchdog() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let script = "exec perl -MSocket -e 'socket(S, AF_UNIX, SOCK_DGRAM, 0); \
         ($n = $ENV{NOTIFY_SOCKET}) =~ s/^@/\\0/; $to = pack_sockaddr_un($n); \
         send(S, \"READY=1\", 0, $to); \
         while (1) { send(S, \"WATCHDOG=1\", 0, $to); select(undef, undef, undef, 0.1) }'";
    let script = &format!("echo $NOTIFY_SOCKET > $EAR; {script}");
    let service = format!("{ALL}\nWatchdogSec = \"1h\"\nRestart = \"on-watchdog\"");
    let mut ear = bench.ear();
    bench.service("web", "", script, &service);
    bench.start("web").is(ResultKind::Started);
    let socket = ear.next().unwrap();
    let first = bench.status("web").pid.unwrap();
    daemon.until("web", "running");
    let process = Pid::from_raw(first).unwrap();
    PidFd::open(process).unwrap().signal(19).unwrap();
    say(&socket, "WATCHDOG_USEC=2000000");
    let line = daemon.until("web", "stopping");
    assert!(line.contains("gave no sign of life for 2 s"), "{line}");
    daemon.until("web", "restarting");
    daemon.until("web", "running");
    assert_ne!(bench.status("web").pid, Some(first));
    bench.stop("web").is(ResultKind::Stopped);
}
