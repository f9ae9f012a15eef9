//! Limits on a service's whole group, on whatever machine this is: they hold, or they are refused with the reason.
//! What the kernel makes of them is tested in a virtual machine.

use diakonos::engine::Command;
use diakonos::wire::{ErrorKind, ResultKind};

use crate::harness::Bench;

/// Whether this machine has the controllers, by what the daemon says of it.
fn has_memory_controller(bench: &Bench) -> bool {
    let told = bench.run(&["daemon-status"]);
    let text = String::from_utf8(told.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("limits of groups:"));
    let line = line.expect("it says what it can limit");
    let able = line.split(';').next().unwrap_or_default();
    able.contains("memory") && !able.contains("no ")
}

#[test]
fn a_limit_holds_or_is_refused_with_the_reason() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("web", "", "exec sleep 1000", "MemoryMax = '64M'");
    let done = bench.start("web");
    if has_memory_controller(&bench) {
        done.is(ResultKind::Started);
        let group = bench.status("web").cgroup.expect("it has a group");
        let limit = std::fs::read_to_string(format!("{group}/memory.max")).unwrap();
        assert_eq!(limit, "67108864\n");
        return;
    }
    let text = &done.is(ResultKind::Failed).result().text;
    let parts = ["MemoryMax: no ", ": "];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");

    let keys = "MemoryMax = '64M'\nIgnoreUnsupported = 'MemoryMax'";
    bench.service("web", "", "exec sleep 1000", keys);
    bench.start("web").is(ResultKind::Started);
    let status = bench.status("web");
    assert!(
        status.forgone[0].starts_with("MemoryMax: no "),
        "{status:?}"
    );
    assert_eq!(status.limits, [""; 0], "it is not in force");
}

#[test]
fn all_limits_that_cannot_hold_are_named_at_once() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    if has_memory_controller(&bench) {
        return;
    }
    let keys = "MemoryMax = '1G'\nTasksMax = 5\nRestartMemoryMax = '1G'";
    bench.service("web", "", "exec sleep 1000", keys);
    let done = bench.start("web");
    let result = done.is(ResultKind::Failed).result();
    assert!(result.text.contains("MemoryMax"), "{result:?}");
    let hint = result.hint.as_deref().expect("what to do about it");
    let limits = bench.status("web").limits;
    assert!(
        limits.iter().all(|limit| !limit.starts_with("MemoryMax")),
        "{limits:?}"
    );
    if result.text.contains("TasksMax") {
        let ignored = "IgnoreUnsupported = [\"MemoryMax\", \"TasksMax\"]";
        assert!(hint.contains(ignored), "{hint}");
        let keys = format!("{keys}\n{ignored}");
        bench.service("web", "", "exec sleep 1000", &keys);
        bench.start("web").is(ResultKind::Started);
        assert_eq!(bench.status("web").limits, ["RestartMemoryMax=1G"]);
    }
}

#[test]
fn a_limit_is_set_for_who_runs_or_refused_with_the_reason() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.sleeper("web", "");
    let set = |setting: &str| {
        bench.client().ask(Command::Set {
            names: vec!["web".to_owned()],
            settings: vec![setting.to_owned()],
        })
    };
    bench.start("web").is(ResultKind::Started);
    assert_eq!(set("MemoryMax=lots").error().kind, ErrorKind::Usage);
    assert_eq!(set("User=root").error().kind, ErrorKind::Usage);
    if has_memory_controller(&bench) {
        set("MemoryMax=64M").is(ResultKind::Set);
        assert_eq!(bench.status("web").limits, ["MemoryMax=64M"]);
    } else {
        let refused = set("MemoryMax=64M");
        let error = refused.error();
        assert!(
            error.message.contains("cannot set MemoryMax of web: no "),
            "{error:?}"
        );
        assert!(error.hint.is_some());
    }
    bench.stop("web").is(ResultKind::Stopped);
    let error = set("MemoryMax=64M");
    assert!(
        error.error().message.contains("it does not run"),
        "{error:?}"
    );
    let told = bench.run(&["set", "web"]);
    assert_eq!(told.status.code(), Some(2));
}

/// It is looked at from time to time where no event tells, and not before it has run for a while.
#[test]
fn a_service_that_has_grown_too_large_is_restarted() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    // The shell keeps what it reads.
    let script = "echo $$ > $EAR; A=$(head -c 30000000 /dev/zero | tr '\\0' x); sleep 1000";
    bench.service("web", "", script, "RestartMemoryMax = '8M'");
    bench.start("web").is(ResultKind::Started);
    let first = ear.next().unwrap();
    let line = daemon.until("web", "stopping");
    assert!(line.contains("RestartMemoryMax="), "{line}");
    daemon.until("web", "running");
    let status = bench.status("web");
    assert_ne!(status.pid.map(|pid| pid.to_string()), Some(first.clone()));
    assert_ne!(ear.next().unwrap(), first);
    assert!(status.cause.contains("RestartMemoryMax="), "{status:?}");
}
