//! What the daemon tells a supervisor that wants to know, and what services never see of it.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use diakonos::sys::channel::Channel;
use diakonos::sys::files;
use diakonos::sys::process::PidFd;
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Deadline};

/// A supervisor's ear: each word, and the descriptor that came with it.
struct Ear(Channel);

impl Ear {
    fn new(bench: &Bench) -> (Self, String) {
        let path = bench.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let export = format!("export NOTIFY_SOCKET={}", path.display());
        (Self(Channel::from_owned(socket.into())), export)
    }

    fn next(&self) -> (String, Option<OwnedFd>) {
        let what = || "a word of the daemon".to_owned();
        let mut buffer = [0; 4096];
        loop {
            Deadline::new().wait(self.0.as_fd(), &what);
            // What asks for room is no word.
            if let Ok(mut passed) = self.0.receive(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..passed.length]);
                return (text.into_owned(), passed.fds.pop());
            }
        }
    }

    /// The next word that is not about what is to be kept.
    fn word(&self) -> String {
        loop {
            let (word, _) = self.next();
            if !word.starts_with("FDSTORE") {
                return word;
            }
        }
    }
}

#[test]
fn the_supervisor_hears_that_the_daemon_is_ready_and_that_it_ends() {
    let bench = Bench::new();
    let (ear, export) = Ear::new(&bench);
    let mut daemon = bench.daemon_after(&export);
    let ready = ear.word();
    let home = bench.home();
    assert_eq!(
        ready,
        format!("READY=1\nSTATUS=Serving {}\n", home.display())
    );
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let before = bench.status("web").pid;
    daemon.signal(9);
    assert!(!daemon.ended().success());

    // Its successor says so when it has taken back what there was.
    let daemon = bench.daemon_after(&export);
    assert!(ear.word().starts_with("READY=1\n"));
    assert_eq!(bench.status("web").pid, before);
    daemon.end();
    assert!(ear.word().starts_with("STOPPING=1\n"));
}

#[test]
fn kill_is_told_before_the_services_stop() {
    let bench = Bench::new();
    let (ear, export) = Ear::new(&bench);
    let mut daemon = bench.daemon_after(&export);
    ear.word();
    let go = bench.path("go");
    diakonos::sys::files::make_fifo(&go, 0o600, None).unwrap();
    let stop = format!(
        "ExecStop = [\"/bin/sh\", \"-c\", \"read line < {}\"]",
        go.display()
    );
    bench.service("web", "", "exec sleep 1000", &stop);
    bench.start("web").is(ResultKind::Started);
    let kill = bench.begin(&["kill"]);
    assert!(ear.word().starts_with("STOPPING=1\n"));
    std::fs::write(&go, "\n").unwrap();
    assert!(kill.wait_with_output().unwrap().status.success());
    assert!(daemon.ended().success());
}

#[test]
fn a_supervisor_that_is_not_there_is_a_line_in_the_log() {
    let bench = Bench::new();
    for address in ["/nonexistent/socket", "relative", "vsock:2:1"] {
        let mut daemon = bench.daemon_after(&format!("export NOTIFY_SOCKET={address}"));
        let line = daemon.log.until("READY was not sent");
        assert!(
            line.contains(&format!("NOTIFY_SOCKET={address}: ")),
            "{line}"
        );
        daemon.end();
    }
}

#[test]
fn no_service_speaks_in_the_daemons_name() {
    let bench = Bench::new();
    let mut ear = bench.ear();
    let (_ear, export) = Ear::new(&bench);
    let export = format!("{export} WATCHDOG_USEC=1 LISTEN_FDS=1 LISTEN_PID=$$ OTHER=seen");
    let daemon = bench.daemon_after(&export);
    let names = r#"["NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "OTHER"]"#;
    let script = "echo [$NOTIFY_SOCKET$WATCHDOG_USEC$LISTEN_FDS$LISTEN_PID] [$OTHER] > $EAR";
    bench.service(
        "web",
        "",
        &format!("{script}; exec sleep 1000"),
        &format!("PassEnvironment = {names}"),
    );
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "[] [seen]");
    daemon.end();
}

/// A command that finds a daemon dead leaves its successor to whoever makes it, but not for ever.
#[test]
fn commands_know_whether_somebody_makes_successors() {
    let bench = Bench::new();
    let note = bench.home().join("supervised");
    let (_ear, export) = Ear::new(&bench);
    let mut daemon = bench.lone_daemon_after(&export);
    assert!(note.exists());
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let pid = bench.status("web").pid;
    daemon.signal(9);
    assert!(!daemon.ended().success());
    assert!(note.exists());

    // Nobody does.
    let output = bench.run(&["pid", "web"]);
    let word = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert_eq!(word.parse().ok(), pid, "{output:?}");
    // What a command starts has a guardian, which makes its own.
    assert!(!note.exists());
    assert!(bench.run(&["kill"]).status.success());

    bench.lone_daemon_after(&export).end();
    assert!(!note.exists());
}

/// A service says its last words while there is no daemon. Nobody else has its pipe open then.
#[test]
fn what_the_supervisor_keeps_open_is_read_by_the_successor() {
    let bench = Bench::new();
    let (ear, export) = Ear::new(&bench);
    let mut daemon = bench.lone_daemon_after(&export);
    let go = bench.path("go");
    files::make_fifo(&go, 0o600, None).unwrap();
    let script = format!("echo first; read line < {}; echo last words", go.display());
    bench.service("web", "", &script, "");
    bench.start("web").is(ResultKind::Started);
    let (name, kept) = loop {
        let (word, fd) = ear.next();
        if let Some(rest) = word.strip_prefix("FDSTORE=1\nFDNAME=") {
            let name = rest.strip_suffix("\nFDPOLL=0\n").unwrap();
            break (name.to_owned(), fd.unwrap());
        }
    };
    assert_eq!(name, format!("log-{}", files::inode(kept.as_fd()).unwrap()));
    daemon.signal(9);
    assert!(!daemon.ended().success());
    let twin = PidFd::open(bench.processes()[0]).unwrap();
    std::fs::write(&go, "\n").unwrap();
    Deadline::new().wait(twin.as_fd(), &|| "the end of the service".to_owned());

    // As systemd does it, the successor is handed what was kept.
    let given = format!("{export} LISTEN_PID=$$ LISTEN_FDS=1; exec 3</dev/null");
    let mut daemon = bench.lone_daemon_after(&given);
    daemon.log.until("web: stopping -> ");
    let log = std::fs::read_to_string(bench.home().join("logs/web.log")).unwrap();
    assert_eq!(log, "first\nlast words\n");
    let removed = format!("FDSTOREREMOVE=1\nFDNAME={name}\n");
    while ear.next().0 != removed {}
    daemon.end();
}
