//! System calls of the daemon that fail when they should not: strace(1) makes them. It has to be there, and allowed.

use std::sync::OnceLock;

use diakonos::sys::cgroup::Tree;
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Daemon};

/// Which call makes the first service's process: where there are cgroups, the first one shows that newborns live there.
fn first_birth() -> u32 {
    static FIRST: OnceLock<u32> = OnceLock::new();
    *FIRST.get_or_init(
        || match Tree::open(&format!("injected-{}", std::process::id())) {
            Ok(tree) => {
                tree.remove().unwrap();
                2
            }
            Err(_) => 1,
        },
    )
}

/// A daemon whose calls fail as `injection` says, such as `clone3:error=EAGAIN:when=1`; of those that take a path, only
/// the calls about `path`.
fn daemon<'b>(bench: &'b Bench, injection: &str, path: Option<&str>) -> Daemon<'b> {
    let call = injection.split(':').next().unwrap();
    let path = path.map(|path| format!("-P {}", bench.home().join(path).display()));
    let trace = bench.path("trace");
    // As its child's grandchild: the daemon is who was started, and strace ends with it.
    let strace = format!(
        "exec strace -D -o {} {} -e trace={call} -e signal=none -e inject={injection} \"$0\" \"$@\"",
        trace.display(),
        path.unwrap_or_default()
    );
    bench.lone_daemon_after(&strace)
}

/// The fault has come.
fn is_injected(bench: &Bench) {
    let trace = std::fs::read_to_string(bench.path("trace")).unwrap();
    assert!(trace.contains("(INJECTED)"), "{trace}");
}

const AGAIN: &str = "Restart = \"on-failure\"\nRestartSec = 0.01";

#[test]
fn a_failed_clone_is_told_and_tried_again() {
    for (error, text) in [
        ("EAGAIN", "Resource temporarily unavailable"),
        ("ENOMEM", "Cannot allocate memory"),
    ] {
        let bench = Bench::new();
        let mut daemon = daemon(
            &bench,
            &format!("clone3:error={error}:when={}", first_birth()),
            None,
        );
        bench.service("web", "", "exec sleep 1000", AGAIN);
        bench.client().request(crate::harness::start("web"));
        let line = daemon.until("web", "restarting");
        assert!(line.contains(text), "{line}");
        daemon.until("web", "running");
        assert_eq!(bench.status("web").restarts, 1);
        is_injected(&bench);
        bench.stop("web").is(ResultKind::Stopped);
        daemon.end();
    }
}

#[test]
fn a_failed_clone_without_a_policy_fails_the_start() {
    let bench = Bench::new();
    let daemon = daemon(
        &bench,
        &format!("clone3:error=EAGAIN:when={}", first_birth()),
        None,
    );
    bench.sleeper("web", "");
    let done = bench.start("web");
    let text = &done.is(ResultKind::Failed).result().text;
    assert!(text.contains("Resource temporarily unavailable"), "{text}");
    assert_eq!(bench.status("web").state, "failed");
    bench.start("web").is(ResultKind::Started);
    bench.stop("web").is(ResultKind::Stopped);
    daemon.end();
}

/// Seccomp filters of container engines answer so; older kernels do not know the call.
#[test]
fn without_clone3_children_are_born_all_the_same() {
    for error in ["ENOSYS", "EPERM"] {
        let bench = Bench::new();
        let daemon = daemon(&bench, &format!("clone3:error={error}"), None);
        bench.sleeper("web", "");
        bench.start("web").is(ResultKind::Started);
        bench.restart("web").is(ResultKind::Started);
        is_injected(&bench);
        bench.stop("web").is(ResultKind::Stopped);
        daemon.end();
    }
}

/// What one service needs and cannot have fails its start and nobody else's; the next try finds all in order.
#[test]
fn what_a_start_needs_fails_only_that_start() {
    for (injection, path, text) in [
        (
            "mknodat:error=ENOSPC:when=2",
            None,
            "No space left on device",
        ),
        ("mknodat:error=EACCES:when=2", None, "Permission denied"),
        (
            "?open,openat:error=ENOSPC:when=1",
            Some("run/web.out"),
            "web.out: No space left on device",
        ),
        (
            "?open,openat:error=EMFILE:when=1",
            Some("run/web.out"),
            "web.out: Too many open files",
        ),
        (
            "pipe2:error=ENFILE:when=3",
            None,
            "Too many open files in system",
        ),
        (
            &format!("clone3:error=EAGAIN:when={}", first_birth() + 1),
            None,
            "Resource temporarily unavailable",
        ),
    ] {
        let bench = Bench::new();
        let daemon = daemon(&bench, injection, path);
        bench.service("other", "", "exec sleep 1000", "");
        bench.start("other").is(ResultKind::Started);
        let other = bench.status("other").pid;
        bench.service("web", "", "exec sleep 1000", "");
        let done = bench.start("web");
        assert_eq!(
            done.result().kind,
            ResultKind::Failed,
            "{injection}: {done:?}"
        );
        assert!(done.result().text.contains(text), "{injection}: {done:?}");
        is_injected(&bench);
        bench.start("web").is(ResultKind::Started);
        let status = bench.status("other");
        assert_eq!((status.state.as_str(), status.pid), ("running", other));
        bench.stop("*");
        daemon.end();
    }
}

/// Either has a disk give each file its room at once, and take it back piece by piece when thousands are removed.
#[test]
fn room_for_a_new_state_is_neither_set_aside_nor_truncated() {
    for name in ["web", "all"] {
        let bench = Bench::new();
        let state = format!("run/{name}.state");
        let daemon = daemon(&bench, "fallocate,ftruncate:error=EIO", Some(&state));
        bench.service("web", "", "exec sleep 1000", "");
        bench.file("all", "[unit]\nDescription = \"nothing but this\"");
        bench.start(name).is(ResultKind::Started);
        bench.stop(name).is(ResultKind::Stopped);
        let length = std::fs::metadata(bench.home().join(&state)).unwrap().len();
        assert!(
            length >= 4096,
            "{length} bytes are not all that it will take"
        );
        daemon.end();
        let trace = std::fs::read_to_string(bench.path("trace")).unwrap();
        assert!(!trace.contains("(INJECTED)"), "{trace}");
    }
}

/// A state that cannot be written, a log that cannot be opened or written: said, and the service runs.
#[test]
fn what_a_service_can_do_without_does_not_keep_it_from_running() {
    for (injection, path, text) in [
        (
            "?open,openat:error=ENOSPC:when=1",
            "run/web.state",
            "web.state: No space left on device",
        ),
        (
            "pwrite64:error=ENOSPC:when=1",
            "run/web.state",
            "web.state: No space left on device",
        ),
        (
            "?open,openat:error=ENOSPC:when=1",
            "logs/web.log",
            "web: cannot open its log: No space left",
        ),
        (
            "?open,openat:error=EIO:when=1",
            "logs/web.idx",
            "web: cannot open its log: Input/output error",
        ),
        (
            "splice:error=EIO:when=1",
            "logs/web.log",
            "web: its log cannot be written: Input/output",
        ),
        (
            "tee:error=EIO:when=1",
            "run/web.out",
            "web: reading its output: Input/output error",
        ),
    ] {
        let bench = Bench::new();
        let mut daemon = daemon(&bench, injection, Some(path));
        let mut ear = bench.ear();
        let script = "trap 'echo more; echo said > $EAR' USR1; echo first; echo up > $EAR; \
                      while :; do sleep 1000 & wait $!; kill $!; done";
        // So near a rotation each batch is looked at before it is moved.
        bench.service("web", "", script, "LogMaxSize = \"60K\"");
        bench.start("web").is(ResultKind::Started);
        assert_eq!(ear.next().unwrap(), "up");
        daemon.log.until(text);
        is_injected(&bench);
        let names = vec!["web".to_owned()];
        let signal = diakonos::unit::Signal::parse("USR1").unwrap();
        let command = diakonos::engine::Command::Signal { names, signal };
        bench.client().ask(command).is(ResultKind::Signaled);
        assert_eq!(ear.next().unwrap(), "said");
        bench.stop("web").is(ResultKind::Stopped);
        let log = std::fs::read_to_string(bench.home().join("logs/web.log")).unwrap();
        assert!(log.ends_with("more\n"), "{injection}: {log}");
        daemon.end();
    }
}

/// Far from a rotation output is moved unseen; where that fails, it is looked at and written after all.
#[test]
fn a_failed_move_loses_nothing() {
    let bench = Bench::new();
    let daemon = daemon(&bench, "splice:error=EIO:when=1", Some("logs/web.log"));
    let mut ear = bench.ear();
    let script = "echo first; echo up > $EAR; exec sleep 1000";
    bench.service("web", "", script, "");
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up");
    bench.stop("web").is(ResultKind::Stopped);
    is_injected(&bench);
    let log = std::fs::read_to_string(bench.home().join("logs/web.log")).unwrap();
    assert_eq!(log, "first\n");
    daemon.end();
}

/// The loop's own calls: what fails once is tried again.
#[test]
fn the_loop_goes_on() {
    for injection in [
        "accept4:error=ECONNABORTED:when=1",
        "accept4:error=ENOMEM:when=1",
        "?epoll_wait,?epoll_pwait:error=EINTR:when=2+3",
        "recvfrom:error=EINTR:when=1",
        "recvfrom:error=ECONNRESET:when=1",
        "sendto:error=EPIPE:when=1",
        "waitid:error=EINTR:when=1",
        "pidfd_send_signal:error=EPERM:when=1",
        "inotify_add_watch:error=ENOSPC",
    ] {
        eprintln!("with {injection}");
        let bench = Bench::new();
        let daemon = daemon(&bench, injection, None);
        bench.service("web", "", "exec sleep 1000", "TimeoutStopSec = 0.1");
        // This one may be the victim.
        if let Ok(mut stream) =
            std::os::unix::net::UnixStream::connect(bench.home().join("control.sock"))
        {
            let _ = std::io::Write::write_all(&mut stream, b"\x02\0\0\0{}");
            let mut decoder = diakonos::wire::Decoder::new();
            while crate::harness::read_payload(&mut stream, &mut decoder).is_some() {}
        }
        bench.start("web").is(ResultKind::Started);
        bench.restart("web").is(ResultKind::Started);
        bench.stop("web").is(ResultKind::Stopped);
        assert_eq!(bench.processes(), []);
        daemon.end();
    }
}
