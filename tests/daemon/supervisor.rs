//! What the daemon tells a supervisor that wants to know, and what services never see of it.

use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;

use diakonos::wire::ResultKind;

use crate::harness::{Bench, Deadline};

fn word(socket: &UnixDatagram) -> String {
    let what = || "a word of the daemon".to_owned();
    Deadline::new().wait(socket.as_fd(), &what);
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

fn listen(bench: &Bench) -> (UnixDatagram, String) {
    let path = bench.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    (socket, format!("export NOTIFY_SOCKET={}", path.display()))
}

#[test]
fn the_supervisor_hears_that_the_daemon_is_ready_and_that_it_ends() {
    let bench = Bench::new();
    let (socket, export) = listen(&bench);
    let mut daemon = bench.daemon_after(&export);
    let ready = word(&socket);
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
    assert!(word(&socket).starts_with("READY=1\n"));
    assert_eq!(bench.status("web").pid, before);
    daemon.end();
    assert!(word(&socket).starts_with("STOPPING=1\n"));
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 16]).is_err(), "one word too many");
}

#[test]
fn kill_is_told_before_the_services_stop() {
    let bench = Bench::new();
    let (socket, export) = listen(&bench);
    let mut daemon = bench.daemon_after(&export);
    word(&socket);
    let go = bench.path("go");
    diakonos::sys::files::make_fifo(&go, 0o600, None).unwrap();
    let stop = format!(
        "ExecStop = [\"/bin/sh\", \"-c\", \"read line < {}\"]",
        go.display()
    );
    bench.service("web", "", "exec sleep 1000", &stop);
    bench.start("web").is(ResultKind::Started);
    let kill = bench.begin(&["kill"]);
    assert!(word(&socket).starts_with("STOPPING=1\n"));
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
    let (_socket, export) = listen(&bench);
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
