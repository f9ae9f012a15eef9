//! What happens when a service ends by itself.

use diakonos::wire::ResultKind;

use crate::harness::Bench;

#[test]
fn a_crash_is_followed_by_a_restart() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let count = bench.path("count");
    let script = format!(
        "echo run >> {0}; echo run > $EAR; [ $(wc -l < {0}) -ge 3 ] && exec sleep 1000; exit 3",
        count.display()
    );
    bench.service(
        "crash",
        "",
        &script,
        "Restart = \"on-failure\"\nRestartSec = 0.01",
    );
    bench.start("crash");
    assert_eq!(ear.take(3), ["run", "run", "run"]);
    daemon.until("crash", "restarting");
    daemon.until("crash", "restarting");
    daemon.until("crash", "running");
    let status = bench.status("crash");
    assert_eq!((status.state.as_str(), status.restarts), ("running", 2));
    assert_eq!(status.last_end.as_deref(), Some("exit code 3"));
    assert_eq!(status.cause, "automatic restart 2; it became ready");
    bench.stop("crash").is(ResultKind::Stopped);
}

#[test]
fn without_a_policy_a_failure_stays() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    bench.service("once", "", "exit 7", "");
    bench.start("once");
    daemon.until("once", "failed");
    let status = bench.status("once");
    assert_eq!(status.state, "failed");
    assert!(status.cause.contains("exit code 7"), "{}", status.cause);
    assert_eq!(status.restarts, 0);
}

#[test]
fn a_crash_loop_can_be_stopped_while_it_waits() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    bench.service(
        "crash",
        "",
        "exit 1",
        "Restart = \"always\"\nRestartSec = 3600",
    );
    bench.start("crash");
    daemon.until("crash", "restarting");
    let status = bench.status("crash");
    assert_eq!(status.state, "restarting");
    assert!(status.deadline_ms.is_some());
    bench.stop("crash").is(ResultKind::Stopped);
    assert_eq!(bench.status("crash").state, "stopped");
}

#[test]
fn the_start_limit_gives_up() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let unit = "StartLimitBurst = 3\nStartLimitIntervalSec = 1000";
    bench.service(
        "crash",
        unit,
        "exit 1",
        "Restart = \"always\"\nRestartSec = 0.001",
    );
    bench.start("crash");
    let line = daemon.until("crash", "failed");
    assert!(line.contains("gave up"), "{line}");
}

/// What is sure to fail is no reason to end what works.
#[test]
fn a_restart_that_cannot_succeed_is_refused_and_the_old_one_runs_on() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let pid = bench.status("web").pid;
    let wrong = [
        (
            "[service]\nExecStart = 'sleep 1'\nUser = 'nobody-here'\n",
            "User=nobody-here",
        ),
        (
            "[service]\nExecStart = '/no/such/program'\n",
            "/no/such/program",
        ),
        (
            "[service]\nExecStart = 'no-such-program'\n",
            "no-such-program: not found",
        ),
        ("", "no [service] any more"),
    ];
    for (file, expected) in wrong {
        bench.file("web", file);
        let done = bench.restart("web");
        let result = &done.results()[0];
        assert_eq!(result.kind, ResultKind::Failed, "{}", result.text);
        assert!(result.text.contains(expected), "{}", result.text);
        assert!(
            result.text.ends_with("it goes on as it was"),
            "{}",
            result.text
        );
        let status = bench.status("web");
        assert_eq!((status.state.as_str(), status.pid), ("running", pid));
    }
    // A command that makes what the next one needs is given its chance.
    let program = bench.path("made");
    let file = format!(
        "[service]\nExecStartPre = '/bin/cp /bin/sleep {0}'\nExecStart = '{0} 1000'\n",
        program.display()
    );
    bench.file("web", &file);
    bench.restart("web").is(ResultKind::Started);
    bench.stop("web").is(ResultKind::Stopped);
}
