//! The machine reboots: what lies in `run/` is of an earlier boot, and what is enabled starts.

use std::fs;
use std::os::fd::AsFd;

use diakonos::engine::Command;
use diakonos::sys::poll::wait_readable;
use diakonos::sys::process::PidFd;
use diakonos::wire::slot::{Slot, newest};
use diakonos::wire::{Final, ResultKind, Saved, decode_saved, encode_saved};

use crate::harness::{Bench, Daemon, PATIENCE_MS};

const EARLIER: &str = "00000000-1111-2222-3333-444444444444";

fn enable(bench: &Bench, name: &str) {
    let names = vec![name.to_owned()];
    let done = bench.client().ask(Command::Enable { names });
    done.is(ResultKind::Enabled);
}

/// Everything ends at once, and what is left on the disk is of another boot.
fn crash_the_machine(bench: &Bench, daemon: &mut Daemon<'_>, edit: impl Fn(&mut Saved)) {
    daemon.signal(9);
    assert!(!daemon.ended().success());
    for pid in bench.processes() {
        let Ok(process) = PidFd::open(pid) else {
            continue;
        };
        process.signal(9).unwrap();
        let ended = wait_readable(&[process.as_fd()], Some(PATIENCE_MS)).unwrap();
        assert!(ended[0], "PID {pid} lives");
    }
    let mut states = 0;
    for entry in fs::read_dir(bench.home().join("run")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "state") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let mut saved = decode_saved(newest(&bytes).unwrap().1).unwrap();
        saved.boot_id = EARLIER.to_owned();
        edit(&mut saved);
        let payload = encode_saved(&saved);
        fs::write(&path, Slot::first(&payload).unwrap().encode(&payload)).unwrap();
        states += 1;
    }
    assert!(states > 0, "nothing was written down");
}

#[test]
fn what_is_enabled_starts_with_what_it_requires_and_nothing_else() {
    let bench = Bench::new();
    let mut ear = bench.ear();
    let mut daemon = bench.lone_daemon();
    bench.sleeper("database", "");
    bench.sleeper("web", "Requires = [\"database\"]\nAfter = [\"database\"]");
    bench.sleeper("loose", "");
    enable(&bench, "web");
    for name in ["web", "loose"] {
        bench.start(name).is(ResultKind::Started);
    }
    assert_eq!(ear.take(3), ["up database", "up web", "up loose"]);
    let run = bench.status("web").run.unwrap();
    crash_the_machine(&bench, &mut daemon, |_| {});

    let mut daemon = bench.lone_daemon();
    daemon.until("web", "running");
    assert_eq!(ear.take(2), ["up database", "up web"]);
    let web = bench.status("web");
    // It is a start like any other, and logs count their runs on.
    assert_eq!(web.restarts, 0);
    assert!(web.run.unwrap() > run);
    assert_eq!(bench.status("loose").state, "stopped");
    assert!(!bench.home().join("run/loose.state").exists());
    daemon.end();
}

/// As systemd has it: `stop` is for now, `disable` is for good.
#[test]
fn what_is_enabled_and_was_stopped_by_hand_or_had_failed_starts_again() {
    let bench = Bench::new();
    let mut ear = bench.ear();
    let mut daemon = bench.lone_daemon();
    bench.sleeper("stopped", "");
    let gate = bench.path("gate");
    let script = format!(
        "echo up failed > $EAR; test -e {} || exit 1; exec sleep 1000",
        gate.display()
    );
    bench.service("failed", "", &script, "");
    for name in ["stopped", "failed"] {
        enable(&bench, name);
        bench.start(name);
    }
    bench.stop("stopped").is(ResultKind::Stopped);
    if bench.status("failed").state != "failed" {
        daemon.until("failed", "failed");
    }
    let mut before = ear.take(3);
    before.sort();
    assert_eq!(before, ["down stopped", "up failed", "up stopped"]);
    crash_the_machine(&bench, &mut daemon, |_| {});

    fs::write(&gate, "").unwrap();
    let daemon = bench.lone_daemon();
    let mut after = ear.take(2);
    after.sort();
    assert_eq!(after, ["up failed", "up stopped"]);
    daemon.end();
}

/// A look, or the wish that nothing runs, is no reason to start what is enabled.
#[test]
fn after_a_reboot_only_a_command_that_needs_a_daemon_starts_one() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    bench.sleeper("web", "");
    enable(&bench, "web");
    bench.start("web").is(ResultKind::Started);
    crash_the_machine(&bench, &mut daemon, |_| {});
    let output = bench.run(&["kill"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("no daemon runs"), "{output:?}");
    assert_eq!(bench.run(&["daemon-status"]).status.code(), Some(5));
    assert!(bench.processes().is_empty());
}

/// The numbers of an earlier boot belong to anybody now.
#[test]
fn whoever_has_a_number_of_an_earlier_boot_is_left_alone() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let mut stranger = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let pid = stranger.id();
    crash_the_machine(&bench, &mut daemon, |saved| {
        if let Some(main) = &mut saved.facts.main {
            main.pid = Some(pid);
        }
    });
    // What else such a machine leaves: a socket that nobody listens on, a pipe without a writer.
    assert!(bench.home().join("control.sock").exists());
    diakonos::sys::files::make_fifo(&bench.home().join("run/gone.out"), 0o600, None).unwrap();

    let daemon = bench.lone_daemon();
    bench.start("web").is(ResultKind::Started);
    assert_ne!(bench.status("web").pid, Some(pid));
    bench.stop("web").is(ResultKind::Stopped);
    assert!(stranger.try_wait().unwrap().is_none(), "it was ended");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    daemon.end();
}

#[test]
fn an_enabled_template_starts_as_many_as_it_was_scaled_to() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    let ear = bench.path("ear");
    let ear = ear.display();
    let text =
        format!("[service]\nEnvironment = 'EAR={ear}'\nExecStart = 'sleep 1000'\nInstances = 3\n");
    bench.file("worker@", &text);
    enable(&bench, "worker@");
    bench.start("worker@");
    assert!(bench.run(&["scale", "worker", "2"]).status.success());
    crash_the_machine(&bench, &mut daemon, |_| {});
    let mut daemon = bench.lone_daemon();
    let mut up = [
        daemon.log.until("-> running"),
        daemon.log.until("-> running"),
    ];
    up.sort_by_key(|line| line.contains("worker@2"));
    assert!(
        up[0].contains("worker@1: ") && up[1].contains("worker@2: "),
        "{up:?}"
    );
    let names: Vec<String> = match bench.client().ask(Command::List).last {
        Final::Units(units) => units.into_iter().map(|unit| unit.name).collect(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names, ["worker@1", "worker@2"]);
}
