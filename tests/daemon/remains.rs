//! What a successor makes of files in `run/` that it cannot read, or that say what cannot be.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use diakonos::daemon::Home;
use diakonos::engine::Command;
use diakonos::sys::cgroup::Tree;
use diakonos::sys::files;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::wire::{DaemonStatus, Final, ResultKind};

use crate::harness::{Bench, Deadline, exists};
use crate::takeover::{die, edit};

fn daemon_status(bench: &Bench) -> DaemonStatus {
    match bench.client().ask(Command::DaemonStatus).last {
        Final::Daemon(status) => status,
        other => panic!("no status: {other:?}"),
    }
}

fn kill(pid: u32) {
    let process = PidFd::open(Pid::from_raw(pid).unwrap()).unwrap();
    process.signal(9).unwrap();
    Deadline::new().wait(process.as_fd(), &|| format!("the end of {pid}"));
}

/// `web` runs, its daemon is dead, and `spoil` is done to its file of facts.
fn spoiled(bench: &Bench, spoil: impl FnOnce(&Path)) -> u32 {
    let mut daemon = bench.lone_daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.service("sound", "", "exec sleep 1000", "");
    for name in ["web", "sound"] {
        bench.start(name).is(ResultKind::Started);
    }
    let pid = bench.status("web").pid.unwrap();
    die(&mut daemon);
    spoil(&bench.home().join("run/web.state"));
    pid
}

/// Nothing is known of it but its name: what may still run is left alone, and gets no twin.
#[test]
fn a_service_whose_state_is_rubbish_is_named_and_not_started_twice() {
    let bench = Bench::new();
    let pid = spoiled(&bench, |state| fs::write(state, "rubbish").unwrap());
    let sound = bench.home().join("run/sound.state");
    assert!(sound.exists());

    let mut daemon = bench.lone_daemon();
    let told = daemon.log.until("web.state: nothing whole in it");
    let aside = bench.home().join("run/unreadable/web.state");
    assert!(
        told.contains("[ERROR]") && told.contains(aside.to_str().unwrap()),
        "{told}"
    );
    assert_eq!(fs::read_to_string(&aside).unwrap(), "rubbish");
    assert_eq!(bench.status("sound").state, "running");
    let lost = daemon_status(&bench).unreadable;
    assert!(matches!(lost.as_slice(), [one] if one.contains("run/web.state: nothing whole")));
    for words in [&["daemon-status"][..], &["daemon-status", "--json"]] {
        let shown = bench.run(words).stdout;
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert!(
            shown.contains("run/web.state: nothing whole in it"),
            "{shown}"
        );
    }

    let refused = bench.start("web");
    let result = refused.is(ResultKind::Failed).result();
    let reason = format!("PID {pid}, which an earlier daemon started, still runs");
    assert!(result.text.contains(&reason), "{result:?}");
    let hint = result.hint.as_deref().unwrap();
    assert!(hint.contains("diakonos start web"), "{hint}");
    // The next daemon has nothing but the name of what was put aside.
    die(&mut daemon);
    let mut daemon = bench.lone_daemon();
    let again = daemon_status(&bench).unreadable;
    assert!(matches!(again.as_slice(), [one] if one.starts_with(aside.to_str().unwrap())));
    bench.start("web").is(ResultKind::Failed);
    kill(pid);
    bench.start("web").is(ResultKind::Started);
    die(&mut daemon);
    let _daemon = bench.lone_daemon();
    bench.restart("web").is(ResultKind::Started);
    assert_eq!(daemon_status(&bench).unreadable, [""; 0]);
}

/// Somebody has removed its state: as little is known of it, and it gets no twin either.
#[test]
fn a_service_whose_state_is_gone_is_named_and_not_started_twice() {
    let bench = Bench::new();
    let pid = spoiled(&bench, |state| fs::remove_file(state).unwrap());
    let mut daemon = bench.lone_daemon();
    let told = daemon.log.until("web: its state was removed from ");
    let runs_on = format!("PID {pid} runs on unwatched");
    assert!(
        told.contains("[ERROR]") && told.contains(&runs_on),
        "{told}"
    );
    assert_eq!(bench.status("sound").state, "running");
    let refused = bench.start("web");
    let result = refused.is(ResultKind::Failed).result();
    let reason = format!("PID {pid}, which an earlier daemon started, still runs");
    assert!(result.text.contains(&reason), "{result:?}");
    die(&mut daemon);
    let _daemon = bench.lone_daemon();
    bench.start("web").is(ResultKind::Failed);
    kill(pid);
    bench.start("web").is(ResultKind::Started);
}

/// Where all of it is gone, the groups still tell.
#[test]
fn services_of_which_all_is_gone_get_no_twins() {
    let bench = Bench::new();
    let run = bench.home().join("run");
    spoiled(&bench, |_| fs::remove_dir_all(run).unwrap());
    let left = bench.processes();
    assert_eq!(left.len(), 2);
    let mut daemon = bench.lone_daemon();
    let has_groups = Tree::open(&Home::new(bench.home()).tree_name()).is_ok();
    if has_groups {
        daemon.log.until("sound: its state was removed from ");
        daemon.log.until("web: its state was removed from ");
        bench.start("web").is(ResultKind::Failed);
        bench.start("sound").is(ResultKind::Failed);
    }
    left.into_iter().for_each(|pid| kill(pid.as_raw()));
    bench.start("web").is(ResultKind::Started);
}

/// The exit code of a command, and all that it says.
fn said(bench: &Bench, words: &[&str]) -> (Option<i32>, String) {
    let output = bench.run(words);
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// What runs on unwatched is shown by whatever looks, with its file and without, and is not called down.
#[test]
fn what_is_left_over_is_shown_and_never_said_to_be_down() {
    let bench = Bench::new();
    let pid = spoiled(&bench, |state| fs::write(state, "").unwrap());
    let mut daemon = bench.lone_daemon();
    let shown = format!("PID {pid} of an earlier daemon, unwatched");
    for gone in [false, true] {
        if gone {
            fs::remove_file(bench.units().join("web.service")).unwrap();
        }
        let (code, text) = said(&bench, &["list"]);
        assert!(
            code == Some(0) && text.contains(&format!("web: {shown}")),
            "{text}"
        );
        let (code, text) = said(&bench, &["status", "web"]);
        let line = format!("left over  {shown}: its saved state could not be read");
        assert!(code == Some(3) && text.contains(&line), "{text}");
        assert!(!text.contains("nothing of it is left"), "{text}");
        for words in [&["list", "--json"][..], &["status", "web", "--json"]] {
            let (_, text) = said(&bench, words);
            let text: String = text.split_whitespace().collect();
            assert!(text.contains(&format!("\"left_over\":[{pid}]")), "{text}");
        }
        let reason = format!("PID {pid}, which an earlier daemon started, still runs");
        for verb in ["stop", "restart", "start"] {
            let (_, text) = said(&bench, &["plan", verb, "web"]);
            assert!(text.contains(&reason), "plan {verb}: {text}");
            let (code, text) = said(&bench, &[verb, "web"]);
            assert!(code == Some(1) && text.contains(&reason), "{verb}: {text}");
            assert!(
                text.contains(&format!("`kill {pid}`, then `diakonos start web`")),
                "{text}"
            );
        }
    }
    let (code, text) = said(&bench, &["stop", "--all"]);
    assert!(
        code == Some(1) && text.contains(&format!("PID {pid}")),
        "{text}"
    );
    assert_eq!(bench.status("sound").state, "stopped");

    let (code, text) = said(&bench, &["kill"]);
    assert!(
        code == Some(1) && text.contains(&format!("web (PID {pid})")),
        "{text}"
    );
    assert!(!text.contains("no service is left"), "{text}");
    assert!(daemon.ended().success());
    assert!(exists(pid), "it was signalled");
    kill(pid);
    let _daemon = bench.lone_daemon();
    assert!(!said(&bench, &["list"]).1.contains("earlier daemon"));
    let (code, text) = said(&bench, &["kill"]);
    assert!(
        code == Some(0) && text.contains("no service is left"),
        "{text}"
    );
}

/// That a start was refused, alone or for a unit that needs it, does not make the next daemon take it for its own.
#[test]
fn what_is_left_over_is_not_signalled_by_the_daemon_after_the_next() {
    let bench = Bench::new();
    bench.service(
        "top",
        "Requires = \"web\"\nAfter = \"web\"",
        "exec sleep 1000",
        "",
    );
    let pid = spoiled(&bench, |state| fs::write(state, "").unwrap());
    for _ in 0..3 {
        let mut daemon = bench.lone_daemon();
        bench.start("web").is(ResultKind::Failed);
        bench.start("top").is(ResultKind::Failed);
        bench.restart("web").is(ResultKind::Failed);
        bench.stop("web").is(ResultKind::Failed);
        assert_eq!(bench.status("web").left_over, [pid]);
        die(&mut daemon);
    }
    let mut daemon = bench.lone_daemon();
    bench.restart("web").is(ResultKind::Failed);
    daemon.signal(15);
    assert!(daemon.ended().success());
    assert!(exists(pid), "it was signalled");
    kill(pid);
    let _daemon = bench.lone_daemon();
    bench.start("top").is(ResultKind::Started);
    assert_eq!(bench.status("web").state, "running");
}

/// Whatever lies there, the daemon is ready, and the sound service is its own again.
#[test]
fn whatever_lies_in_the_place_of_a_state_harms_no_other() {
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 5] = [
        ("it is not a regular file", |state| {
            fs::remove_file(state).unwrap();
            fs::create_dir_all(state.join("below")).unwrap();
        }),
        ("it is not a regular file", |state| {
            fs::remove_file(state).unwrap();
            files::make_fifo(state, 0o600, None).unwrap();
        }),
        ("it is a symbolic link", |state| {
            let other = state.with_file_name("other");
            fs::rename(state, &other).unwrap();
            std::os::unix::fs::symlink(&other, state).unwrap();
        }),
        ("it is the state of sound", |state| {
            fs::copy(state.with_file_name("sound.state"), state).unwrap();
        }),
        ("File too large", |state| {
            let file = fs::File::options().write(true).open(state).unwrap();
            file.set_len(1 << 40).unwrap();
        }),
    ];
    for (reason, spoil) in spoils {
        let bench = Bench::new();
        let pid = spoiled(&bench, spoil);
        let mut daemon = bench.lone_daemon();
        daemon.log.until(&format!("web.state: {reason}"));
        assert_eq!(bench.status("sound").state, "running");
        bench.start("web").is(ResultKind::Failed);
        kill(pid);
        // What is in the way does not stay there.
        bench.start("web").is(ResultKind::Started);
        assert!(bench.home().join("run/web.state").is_file());
    }
}

#[test]
fn thousands_of_files_of_rubbish_are_counted_and_the_sound_one_is_used() {
    let bench = Bench::new();
    let pid = spoiled(&bench, |state| {
        for count in 0..3_000 {
            fs::write(state.with_file_name(format!("rubbish{count}.state")), "{").unwrap();
        }
    });
    let mut daemon = bench.lone_daemon();
    daemon.log.until("rubbish0.state");
    assert_eq!(bench.status("web").pid, Some(pid));
    let lost = daemon_status(&bench).unreadable;
    assert_eq!(lost.len(), 101);
    assert_eq!(lost.last().unwrap(), "and 2900 more");
}

/// The definition is neither in `run/` nor where it was read.
#[test]
fn a_service_whose_definition_is_lost_everywhere_runs_on_and_gets_no_twin() {
    let bench = Bench::new();
    let mut kept = None;
    let pid = spoiled(&bench, |state| {
        let file = state.with_extension("unit");
        fs::write(&file, "rubbish").unwrap();
        kept = Some(file);
    });
    let file = bench.units().join("web.service");
    let text = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();

    let mut daemon = bench.lone_daemon();
    let told = daemon.log.until("web is not taken over");
    assert!(
        told.contains(&format!("PID {pid} runs on unwatched")),
        "{told}"
    );
    assert!(daemon_status(&bench).unreadable[0].contains("web is not taken over"));
    fs::write(&file, text).unwrap();
    bench.start("web").is(ResultKind::Failed);
    kill(pid);
    bench.start("web").is(ResultKind::Started);
}

/// Where only what was kept in `run/` is lost, the unit's own file says the same.
#[test]
fn a_definition_that_is_lost_in_run_is_read_from_its_file() {
    let bench = Bench::new();
    let pid = spoiled(&bench, |state| {
        fs::remove_file(state.with_extension("unit")).unwrap();
    });
    let _daemon = bench.lone_daemon();
    assert_eq!(bench.status("web").pid, Some(pid));
    assert_eq!(daemon_status(&bench).unreadable, [""; 0]);
}

/// What is in the way of the definitions does not stay there, whether the unit's file says the same or not.
#[test]
fn a_definition_is_written_anew_where_something_else_lies() {
    for text in [None, Some("[service]\nExecStart = \"/bin/sleep 999\"\n")] {
        let bench = Bench::new();
        let pid = spoiled(&bench, |state| {
            let kept = state.with_extension("unit");
            fs::remove_file(&kept).unwrap();
            fs::create_dir_all(kept.join("below")).unwrap();
        });
        if let Some(text) = text {
            bench.file("web", text);
        }
        let mut daemon = bench.lone_daemon();
        assert_eq!(bench.status("web").pid, Some(pid));
        assert_eq!(
            daemon_status(&bench).unreadable.len(),
            usize::from(text.is_some())
        );
        bench.stop("web").is(ResultKind::Stopped);
        assert!(bench.home().join("run/web.unit").is_file());
        die(&mut daemon);
        let _daemon = bench.lone_daemon();
        assert_eq!(bench.status("web").state, "stopped");
    }
}

/// A number that has passed to somebody else, and the daemon's own family.
#[test]
fn nobody_is_signalled_for_bearing_a_number_that_was_written_down() {
    let bench = Bench::new();
    let mut stranger = Program::new("sleep").arg("1000").spawn().unwrap();
    let inode = |pid: u32| {
        let pidfd = PidFd::open(Pid::from_raw(pid).unwrap()).unwrap();
        pidfd.inode().unwrap()
    };
    let parent = std::process::id();
    for (pid, identity) in [(stranger.id(), 1), (parent, inode(parent))] {
        let web = spoiled(&bench, |_| {});
        kill(web);
        edit(&bench, "web", |saved| {
            let main = saved.facts.main.as_mut().unwrap();
            main.pid = Some(pid);
            saved.inodes = vec![(main.run, identity)];
        });
        let mut daemon = bench.lone_daemon();
        let line = daemon.until("web", "failed");
        assert!(line.contains("status unknown"), "{line}");
        daemon.end();
    }
    assert!(stranger.try_wait().unwrap().is_none(), "it was signalled");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// A path that was written down is used only if it is the service's own group in a tree of this home.
#[test]
fn a_cgroup_that_is_somebody_elses_is_not_touched() {
    let bench = Bench::new();
    let Ok(tree) = Tree::open(&Home::new(bench.path("elsewhere")).tree_name()) else {
        // None can be made here.
        return;
    };
    let group = tree.make("web").unwrap();
    let mut stranger = Program::new("sleep").arg("1000").spawn().unwrap();
    fs::write(group.path().join("cgroup.procs"), stranger.id().to_string()).unwrap();
    spoiled(&bench, |_| {});
    let place: PathBuf = group.path().to_owned();
    edit(&bench, "web", |saved| {
        saved.cgroup = Some(place.display().to_string())
    });

    let mut daemon = bench.lone_daemon();
    daemon.log.until("web: its cgroup");
    bench.stop("web").is(ResultKind::Stopped);
    assert!(stranger.try_wait().unwrap().is_none(), "it was signalled");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    tree.remove().unwrap();
}
