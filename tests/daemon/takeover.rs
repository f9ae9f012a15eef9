//! What a successor makes of a daemon that was killed.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use diakonos::engine::{Command, FactPhase, Scope, Wait};
use diakonos::sys::files;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::wire::slot::{Slot, newest};
use diakonos::wire::{ResultKind, Saved, decode_saved, encode_saved};

use crate::harness::{Bench, Daemon, Deadline, Lines};

pub(crate) fn die(daemon: &mut Daemon<'_>) {
    daemon.signal(9);
    assert!(!daemon.ended().success());
}

/// Changes what is saved of a unit, as if a daemon had written it so.
pub(crate) fn edit(bench: &Bench, name: &str, change: impl FnOnce(&mut Saved)) {
    let state = bench.home().join(format!("run/{name}.state"));
    let bytes = fs::read(&state).unwrap();
    let mut saved = decode_saved(newest(&bytes).unwrap().1).unwrap();
    change(&mut saved);
    let payload = encode_saved(&saved);
    fs::write(&state, Slot::first(&payload).unwrap().encode(&payload)).unwrap();
}

#[test]
fn a_service_runs_on_and_can_be_stopped() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let before = bench.status("web");
    die(&mut daemon);

    let mut daemon = bench.shell_before_daemon(":");
    let told = daemon.log.until("took back");
    let pid = before.pid.unwrap();
    let expected =
        format!("took back 1 running service of the daemon before: web (PID {pid}); 0 at rest");
    assert!(told.contains(&expected), "{told}");
    let after = bench.status("web");
    assert_eq!((after.pid, after.run), (before.pid, before.run));
    bench.stop("web").is(ResultKind::Stopped);
    assert_eq!(bench.status("web").state, "stopped");
}

/// The predecessor was killed between the birth of a process and the save of its PID.
#[test]
fn a_newborn_that_was_not_written_down_gets_no_twin() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let before = bench.status("web");
    die(&mut daemon);
    edit(&bench, "web", |saved| {
        saved.facts.phase = FactPhase::Starting;
        saved.facts.ready_at = None;
        saved.facts.main.as_mut().unwrap().pid = None;
        // It became `running` a moment after it was born.
        saved.facts.since.0 -= 1_000;
        saved.inodes.clear();
    });

    let mut daemon = bench.lone_daemon();
    daemon.until("web", "running");
    assert_eq!(bench.status("web").pid, before.pid);
    assert_eq!(bench.processes().len(), 1);
    bench.stop("web").is(ResultKind::Stopped);
}

/// It is not our child, and what is known of its end still decides what follows.
#[test]
fn the_status_of_a_service_that_was_taken_over_is_known() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    let go = bench.path("go");
    files::make_fifo(&go, 0o600, None).unwrap();
    let script = format!("read line < {}; exit 7", go.display());
    bench.service("web", "", &script, "");
    bench.start("web").is(ResultKind::Started);
    die(&mut daemon);

    let mut daemon = bench.lone_daemon();
    let mut both = File::options();
    let mut go = both.read(true).write(true).open(&go).unwrap();
    go.write_all(b"\n").unwrap();
    let line = daemon.until("web", "failed");
    let is_told = line.contains("exit code 7");
    assert!(is_told || line.contains("unknown"), "{line}");
}

/// As after an upgrade in place: the same process as before has the services as its children.
#[test]
fn a_child_of_our_own_is_waited_for_and_its_status_is_never_lost() {
    for ends in [Ends::BeforeTheDaemon, Ends::Later] {
        let bench = Bench::new();
        let mut daemon = bench.lone_daemon();
        bench.service("web", "", "exec sleep 1000", "");
        bench.start("web").is(ResultKind::Started);
        die(&mut daemon);
        let mut left = bench.processes();
        let twin = PidFd::open(left.remove(0)).unwrap();
        twin.signal(9).unwrap();
        Deadline::new().wait(twin.as_fd(), &|| "the end of the service".to_owned());

        for name in ["born", "go"] {
            files::make_fifo(&bench.path(name), 0o600, None).unwrap();
        }
        let keep = |name| {
            File::options()
                .read(true)
                .write(true)
                .open(bench.path(name))
        };
        let (born, mut go) = (keep("born").unwrap(), keep("go").unwrap());
        let held = files::lock_exclusive(&bench.path("held")).unwrap();
        // A shell would reap the child; what has taken its place waits for the lock and reaps nobody.
        let mut daemon = bench.shell_before_daemon(
            "me=$$; { while read name < /proc/$me/comm && [ $name != flock ]; do :; done; \
             echo waits > born; read line < go; exit 7; } & \
             echo $! > born; exec flock -F held \"$0\" \"$@\"",
        );
        let mut born = Lines::new(born);
        let pid: u32 = born.next().unwrap().parse().unwrap();
        assert_eq!(born.next().unwrap(), "waits");
        let child = PidFd::open(Pid::from_raw(pid).unwrap()).unwrap();
        edit(&bench, "web", |saved| {
            let main = saved.facts.main.as_mut().unwrap();
            main.pid = Some(pid);
            saved.inodes = vec![(main.run, child.inode().unwrap())];
        });
        if ends == Ends::BeforeTheDaemon {
            go.write_all(b"\n").unwrap();
            Deadline::new().wait(child.as_fd(), &|| "the end of the child".to_owned());
            drop(held);
        } else {
            drop(held);
            daemon.log.until("ready, PID");
            assert_eq!(bench.status("web").pid, Some(pid));
            go.write_all(b"\n").unwrap();
        }
        let line = daemon.until("web", "failed");
        assert!(line.contains("exit code 7"), "{line}");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// Between one program of the process and the next.
    BeforeTheDaemon,
    Later,
}

/// What was in force stays so: its stop command runs, and the change is noticed as a living daemon notices it.
#[test]
fn whatever_becomes_of_a_unit_file_the_service_is_taken_back() {
    type Change = fn(&Path);
    let changes: [Change; 4] = [
        |file| fs::write(file, "[service\nExecStart").unwrap(),
        |file| fs::remove_file(file).unwrap(),
        |file| fs::rename(file, file.with_file_name("other.service")).unwrap(),
        |file| fs::write(file, "[service]\nExecStart = \"/bin/false\"").unwrap(),
    ];
    for change in changes {
        let bench = Bench::new();
        let mut daemon = bench.lone_daemon();
        let stop = "ExecStop = [\"/bin/sh\", \"-c\", \"echo stops > $EAR\"]";
        let file = bench.service("web", "", "exec sleep 1000", stop);
        bench.start("web").is(ResultKind::Started);
        let before = bench.status("web");
        die(&mut daemon);
        change(&file);

        let daemon = bench.lone_daemon();
        let after = bench.status("web");
        assert_eq!((after.pid, after.run), (before.pid, before.run));
        assert_eq!((after.file, after.hash), (before.file, before.hash));
        assert!(crate::files::has_changed(&bench, "web"));
        bench.stop("web").is(ResultKind::Stopped);
        assert_eq!(bench.ear().next().unwrap(), "stops");
        let stopped = bench.home().join("run/web.unit");
        assert!(stopped.exists());
        daemon.end();
        assert!(!stopped.exists());
    }
}

/// The same of a unit without processes, whose definition stands with its facts.
#[test]
fn whatever_becomes_of_the_file_of_a_group_it_is_taken_back() {
    type Change = fn(&Path);
    let changes: [Change; 3] = [
        |file| fs::write(file, "[unit\nRequires").unwrap(),
        |file| fs::remove_file(file).unwrap(),
        |file| fs::write(file, "[unit]\nDescription = \"other\"").unwrap(),
    ];
    for change in changes {
        let bench = Bench::new();
        let mut daemon = bench.lone_daemon();
        bench.sleeper("web", "");
        let file = bench.file("all", "[unit]\nRequires = [\"web\"]");
        bench.start("all").is(ResultKind::Started);
        let before = bench.status("all");
        assert!(!bench.home().join("run/all.unit").exists());
        die(&mut daemon);
        change(&file);

        let daemon = bench.lone_daemon();
        let after = bench.status("all");
        assert_eq!(after.state, before.state);
        assert_eq!((after.file, after.hash), (before.file, before.hash));
        assert!(crate::files::has_changed(&bench, "all"));
        let both = bench.stop("web");
        assert_eq!(both.results().len(), 2, "what needs it stops with it");
        let state = bench.home().join("run/all.state");
        assert!(state.exists());
        daemon.end();
        assert!(!state.exists());
    }
}

/// A restart has read the new file, and has not come to the start when the daemon dies.
#[test]
fn the_definition_that_waits_for_the_next_start_is_not_lost() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    let go = bench.path("go");
    files::make_fifo(&go, 0o600, None).unwrap();
    let wait = format!("echo stops > $EAR; read line < {}", go.display());
    let stop = format!("ExecStop = [\"/bin/sh\", \"-c\", \"{wait}\"]");
    bench.service("web", "", "exec sleep 1000", &stop);
    bench.start("web").is(ResultKind::Started);
    // A successor goes on in the files of the first daemon.
    die(&mut daemon);
    let mut daemon = bench.lone_daemon();
    let file = bench.service("web", "", "echo new > $EAR; exec sleep 1000", "");
    let mut client = bench.client();
    client.request(Command::Restart {
        names: vec!["web".to_owned()],
        wait: Wait::Finished,
        scope: Scope::All,
    });
    let mut ear = bench.ear();
    assert_eq!(ear.next().unwrap(), "stops");
    die(&mut daemon);
    fs::write(file, "rubbish").unwrap();

    let mut daemon = bench.lone_daemon();
    let mut go = File::options().read(true).write(true).open(&go).unwrap();
    go.write_all(b"\n").unwrap();
    daemon.until("web", "running");
    assert_eq!(ear.next().unwrap(), "new");
}

/// Its first process has ended, and which of its children is the main one was not written down.
#[test]
fn the_main_process_of_a_forking_service_is_found_by_a_successor() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    let script = "sh -c \"sleep 1000 & exec sleep 1000\" &";
    bench.service("web", "", script, "Type = \"forking\"");
    bench.start("web").is(ResultKind::Started);
    let before = bench.status("web");
    if before.cgroup.is_none() {
        // Marks tell who belongs together, and not who is whose child.
        bench.stop("web").is(ResultKind::Stopped);
        return;
    }
    die(&mut daemon);
    edit(&bench, "web", |saved| {
        saved.facts.phase = FactPhase::FindingMain;
        saved.facts.ready_at = None;
        saved.facts.main.as_mut().unwrap().pid = None;
        saved.inodes.clear();
    });
    let mut daemon = bench.lone_daemon();
    daemon.until("web", "running");
    assert_eq!(bench.status("web").pid, before.pid);
    bench.stop("web").is(ResultKind::Stopped);
}

/// The log knows runs by their numbers, and outlives daemons.
#[test]
fn runs_are_numbered_on_from_one_daemon_to_the_next() {
    let bench = Bench::new();
    let daemon = bench.lone_daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web");
    let first = bench.status("web").run.unwrap();
    daemon.end();
    let _daemon = bench.lone_daemon();
    bench.start("web");
    assert!(bench.status("web").run.unwrap() > first);
}

#[test]
fn cgroups_of_a_dead_daemon_are_used_and_in_the_end_removed() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let Some(cgroup) = bench.status("web").cgroup.map(PathBuf::from) else {
        // None can be made here.
        return;
    };
    die(&mut daemon);
    let daemon = bench.lone_daemon();
    assert_eq!(bench.status("web").cgroup, cgroup.to_str().map(Into::into));
    bench.stop("web").is(ResultKind::Stopped);
    assert!(!cgroup.exists());
    assert!(cgroup.parent().unwrap().exists());
    daemon.end();
    assert!(!cgroup.parent().unwrap().exists());
}
