//! The daemon's own log: bounded, over the daemon's death and its upgrade, and read over its rotations.

use std::fs;
use std::os::fd::AsFd;

use diakonos::sys::process::PidFd;

use crate::harness::{Bench, Deadline};

const SIGKILL: i32 = 9;

/// Kills the daemon, not its guardian.
fn kill(bench: &Bench) {
    let process = PidFd::open(bench.daemon_pid()).unwrap();
    process.signal(SIGKILL).unwrap();
    Deadline::new().wait(process.as_fd(), &|| "the daemon's end".to_owned());
}

fn settle(bench: &Bench, text: &str) {
    fs::create_dir_all(bench.home()).unwrap();
    fs::write(bench.home().join("daemon.toml"), text).unwrap();
}

fn run(bench: &Bench, words: &[&str]) -> String {
    let output = bench.run(words);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whoever asks for errors alone is told of every unit that has failed for good.
#[test]
fn a_failure_is_an_error_there_and_a_restart_that_follows_one_a_warning() {
    let bench = Bench::new();
    // Of this type, since `start` waits until it has ended.
    let keys = "Type = 'oneshot'\nRestart = 'no'";
    bench.service("tired", "", "exit 3", keys);
    let keys = "Type = 'oneshot'\nRestart = 'on-failure'\nRestartSec = '1h'";
    bench.service("patient", "", "exit 3", keys);
    bench.run(&["start", "tired", "patient"]);
    let told = |level| run(&bench, &["logs", "--daemon", "-p", level]);
    let (errors, warnings) = (told("err"), told("warning"));
    run(&bench, &["kill"]);
    assert!(errors.contains("tired: stopping -> failed: "), "{errors}");
    assert!(!errors.contains("patient"), "{errors}");
    assert!(
        warnings.contains("; automatic restart 1 in 1h"),
        "{warnings}"
    );
}

#[test]
fn it_is_bounded_over_death_and_upgrade_and_no_line_is_missing() {
    let bench = Bench::new();
    settle(&bench, "[daemon]\nLogMaxSize = '4K'\nLogMaxFiles = 1000\n");
    bench.sleeper("web", "");
    run(&bench, &["start", "web"]);
    let restart = |times| (0..times).for_each(|_| drop(run(&bench, &["restart", "web"])));
    restart(20);
    kill(&bench);
    restart(20);
    run(&bench, &["upgrade"]);
    restart(20);
    let told = run(&bench, &["logs", "--daemon", "-n", "all"]);
    let warned = run(&bench, &["logs", "--daemon", "-n", "all", "-p", "warning"]);
    let words = [
        "logs",
        "--daemon",
        "--json",
        "-n",
        "all",
        "-g",
        "web: starting",
    ];
    let objects = run(&bench, &words);
    run(&bench, &["kill"]);
    let is_object = |line: &str| {
        line.starts_with("{\"time\":\"20")
            && line.contains("Z\",\"priority\":6,\"message\":\"web: starting -> running")
    };
    assert!(
        objects.lines().count() > 60 && objects.lines().all(is_object),
        "{objects}"
    );
    let is_info = |line: &str| line.contains("[INFO]");
    assert!(
        !warned.is_empty() && !warned.lines().any(is_info),
        "{warned}"
    );
    assert!(told.lines().any(is_info));

    let runs = told.matches("web: starting -> running:").count();
    assert_eq!(runs, 61, "{told}");
    for said in ["has died: ", "upgrade: becoming", "took back"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    let mut files = 0;
    for entry in fs::read_dir(bench.home()).unwrap() {
        let entry = entry.unwrap();
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("daemon.log")
        {
            let text = fs::read_to_string(entry.path()).unwrap();
            assert!(text.len() <= 4096 && text.ends_with('\n'), "{text}");
            files += 1;
        }
    }
    assert!(files > 3, "{files}");
    let last = run(&bench, &["logs", "--daemon", "-n", "1"]);
    assert!(
        last.ends_with("ended\n") && last.lines().count() == 1,
        "{last}"
    );
}

#[test]
fn settings_are_checked_with_all_unit_files() {
    let bench = Bench::new();
    bench.sleeper("web", "");
    let check = |words: &[&str]| {
        let output = bench.run(&[&["check"], words].concat());
        let told = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), told)
    };
    let without = check(&[]);
    assert!(!without.1.contains("daemon.toml"), "{}", without.1);
    settle(&bench, "[daemon]\nLogTotalMx = '1G'\n");
    let (code, told) = check(&[]);
    assert_eq!(code, Some(1), "{told}");
    for said in [
        "daemon.toml:2:1: there is no key",
        "did you mean `LogTotalMax`?",
        "1 unit file: 1 error",
    ] {
        assert!(told.contains(said), "{told}");
    }
    let (code, told) = check(&["--json"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("/daemon.toml\",") && told.contains("\"errors\": 1"));
    // Who names a file wants to know of that.
    let (code, told) = check(&["web"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(!told.contains("daemon.toml"), "{told}");
    settle(&bench, "[daemon]\nLogTotalMax = '1G'\n");
    let (code, told) = check(&[]);
    assert!(
        code == Some(0) && told.contains("daemon.toml: ok"),
        "{told}"
    );
}

#[test]
fn settings_that_are_wrong_start_no_daemon_and_are_told_with_their_place() {
    let bench = Bench::new();
    settle(&bench, "[daemon]\nLogTotalMx = '1G'\n");
    bench.sleeper("web", "");
    for words in [&["start", "web"][..], &["daemon"]] {
        let output = bench.run(words);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains("daemon.toml:2:1: there is no key"),
            "{error}"
        );
        assert!(error.contains("did you mean `LogTotalMax`?"), "{error}");
    }
    // A successor is made all the same: its services would be unwatched else.
    settle(&bench, "");
    run(&bench, &["start", "web"]);
    settle(&bench, "[daemon]\nLogTotalMx = '1G'\n");
    kill(&bench);
    run(&bench, &["restart", "web"]);
    run(&bench, &["kill"]);
}
