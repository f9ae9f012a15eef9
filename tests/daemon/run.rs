//! `run`: services that only a command line has described.

use std::fs;
use std::process::{Command, Output};

use diakonos::sys::process::PidFd;
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Deadline, PROGRAM};

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a shell program that may speak to the bench's ear.
fn words<'w>(ear: &'w str, before: &[&'w str], script: &'w str) -> Vec<&'w str> {
    let mut words = vec!["run", "-E", ear];
    words.extend(before);
    words.extend(["sh", "-c", script]);
    words
}

fn ear(bench: &Bench) -> String {
    format!("EAR={}", bench.path("ear").display())
}

#[test]
fn a_command_is_a_service_until_it_is_cleared() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let (ear, script) = (ear(&bench), "echo $PWD $1 > $EAR; exec sleep 1000");
    let mut lines = bench.ear();
    let done = bench.run(&words(&ear, &["-p", "Restart=always"], script));
    assert_eq!(stdout(&done), "sh-1: started\n", "{}", stderr(&done));
    let here = fs::canonicalize(bench.path("")).unwrap();
    assert_eq!(lines.next().unwrap(), here.display().to_string());
    let done = bench.run(&words(&ear, &["--name", "other"], script));
    assert_eq!(stdout(&done), "other: started\n");
    lines.next();

    // It is supervised as any other.
    let status = bench.status("sh-1");
    let before = PidFd::open(diakonos::sys::process::Pid::from_raw(status.pid.unwrap()).unwrap());
    before.unwrap().signal(9).unwrap();
    assert!(lines.next().is_some(), "it came again");

    let again = bench.run(&words(&ear, &["--name", "other"], "true"));
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("still known"), "{}", stderr(&again));
    let reset = bench.run(&["reset", "other"]);
    assert_eq!(stdout(&reset), "other: failures forgotten\n", "it runs");
    let enabled = bench.run(&["enable", "other"]);
    assert!(
        stderr(&enabled).contains("made by `run`"),
        "{}",
        stderr(&enabled)
    );
    bench.stop("other").is(ResultKind::Stopped);
    bench.stop("sh-1").is(ResultKind::Stopped);
    let list = stdout(&bench.run(&["list"]));
    assert!(list.contains("has ended  → diakonos reset other"), "{list}");
    let reset = bench.run(&["reset", "*"]);
    let told = "other: cleared; its log stays\nsh-1: cleared; its log stays\n";
    assert_eq!(stdout(&reset), told, "{}", stderr(&reset));
    assert_eq!(bench.run(&["status", "other"]).status.code(), Some(4));
    assert!(!stdout(&bench.run(&["list"])).contains("sh-1"));
    let left = fs::read_dir(bench.home().join("transient")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn waiting_shows_the_output_and_has_the_exit_code() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let ear = ear(&bench);
    let script = "echo out $A; echo err >&2; exit 7";
    let done = bench.run(&words(&ear, &["--wait", "--set", "A=b c"], script));
    assert_eq!(done.status.code(), Some(7), "{}", stderr(&done));
    assert_eq!(stdout(&done), "out b c\nerr\n");
    assert_eq!(
        bench.status("sh-1").state,
        "failed",
        "that is to be read of"
    );
    let done = bench.run(&words(&ear, &["--wait"], "kill -9 $$"));
    assert_eq!(done.status.code(), Some(137));
    let done = bench.run(&words(&ear, &["--wait", "-p", "Type=oneshot"], "echo well"));
    assert_eq!((done.status.code(), &*stdout(&done)), (Some(0), "well\n"));
    // What has ended well is cleared at once.
    assert_eq!(bench.run(&["status", "sh-3"]).status.code(), Some(4));
    assert!(stdout(&bench.run(&["logs", "sh-3"])).contains("well"));
}

#[test]
fn it_outlives_its_daemon_and_who_waits_for_it_waits_on() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let ear = ear(&bench);
    let go = bench.path("go");
    diakonos::sys::files::make_fifo(&go, 0o600, None).unwrap();
    let script = format!(
        "echo up > $EAR; read x < {}; echo over; exit 5",
        go.display()
    );
    let mut lines = bench.ear();
    let child = bench.begin(&words(&ear, &["--wait", "--name", "job"], &script));
    assert_eq!(lines.next().unwrap(), "up");
    let held = PidFd::open(bench.daemon_pid()).unwrap();
    held.signal(9).unwrap();
    Deadline::new().wait(std::os::fd::AsFd::as_fd(&held), &|| "its end".to_owned());
    fs::write(&go, "\n").unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(5), "{}", stderr(&done));
    assert_eq!(stdout(&done), "over\n");
    assert_eq!(bench.status("job").state, "failed");
    let reset = bench.run(&["reset", "job"]);
    assert_eq!(stdout(&reset), "job: cleared; its log stays\n");
    drop(daemon);
}

#[test]
fn what_makes_no_service_leaves_nothing() {
    let bench = Bench::new();
    bench.file("web", "[service]\nExecStart = '/bin/true'\n");
    for (words, code, why) in [
        (&["run", "no-such-program"][..], 1, "no folder of PATH"),
        (&["run", "./no-such"], 1, "No such file"),
        (
            &["run", "-p", "Restart=alwys", "true"],
            2,
            "did you mean `always`?",
        ),
        (
            &["run", "-p", "Restrat=no", "true"],
            2,
            "did you mean `Restart`?",
        ),
        (&["run", "--name", "a@", "true"], 2, "template"),
        (&["run", "--name", "web", "true"], 1, "web.service"),
        (&["run", "--wait", "--no-wait", "true"], 2, "exclude"),
        (&["run", "-p", "Requires=nobody", "true"], 1, "nobody"),
        (&["run"], 2, "needs"),
    ] {
        let done = bench.run(words);
        assert_eq!(
            done.status.code(),
            Some(code),
            "{words:?}: {}",
            stderr(&done)
        );
        assert!(stderr(&done).contains(why), "{words:?}: {}", stderr(&done));
    }
    let left = fs::read_dir(bench.home().join("transient"));
    assert_eq!(left.map_or(0, Iterator::count), 0);
    bench.run(&["kill"]);
}

/// That nobody could be told of its start takes nothing from a service.
#[test]
fn a_service_keeps_its_definition_where_the_answer_gets_lost() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let ear = ear(&bench);
    let script = "echo up > $EAR; exec sleep 1000";
    let mut lines = bench.ear();
    let full = || {
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    for (name, options) in [("plain", &[][..]), ("watched", &["--wait"][..])] {
        let before = [&["--name", name], options].concat();
        let script = if name == "watched" {
            "echo up > $EAR; echo out; exec sleep 1000"
        } else {
            script
        };
        let mut program = Command::new(PROGRAM);
        let program = bench.environment(&mut program);
        let program = program.args(words(&ear, &before, script)).stdout(full());
        let done = program.output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{}", stderr(&done));
        assert!(stderr(&done).contains("No space left"), "{}", stderr(&done));
        assert_eq!(lines.next().unwrap(), "up");
        let status = bench.status(name);
        assert_eq!(status.state, "running");
        assert!(fs::exists(&status.file).unwrap(), "{}", status.file);
        bench.stop(name).is(ResultKind::Stopped);
    }
}
