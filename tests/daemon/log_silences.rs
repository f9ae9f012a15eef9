//! What `logs` says where there is nothing to be shown, or not all of it: why.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};

use diakonos::wire::ResultKind;

use crate::harness::{Bench, Lines};
use crate::waits::until_logged;

/// A service that prints one more line at each signal.
fn talker(bench: &Bench, name: &str) {
    let script = format!(
        "n=0; trap 'n=$((n+1)); echo {name} $n' USR1; echo up {name} > $EAR; \
         while :; do sleep 1000 & wait $!; kill $!; done"
    );
    bench.service(name, "", &script, "");
}

fn speak(bench: &Bench, name: &str) {
    assert!(bench.run(&["signal", "USR1", name]).status.success());
}

/// No file tells of it before it is over, and nothing that is written wakes the follower.
#[test]
fn a_follower_hears_of_a_loss_while_it_lasts() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let logs = bench.home().join("logs");
    fs::create_dir_all(&logs).unwrap();
    let in_its_place = logs.join("web.log");
    symlink(bench.path("nowhere/web.log"), &in_its_place).unwrap();
    let mut ear = bench.ear();
    for name in ["a", "web"] {
        talker(&bench, name);
        bench.start(name).is(ResultKind::Started);
        assert_eq!(ear.next().unwrap(), format!("up {name}"));
    }
    let mut child = bench.begin(&["logs", "-f", "a", "web"]);
    let mut shown = Lines::new(File::from(OwnedFd::from(child.stdout.take().unwrap())));
    let mut told = Lines::new(File::from(OwnedFd::from(child.stderr.take().unwrap())));
    // The second line comes when it has looked for losses, and seen none.
    for number in 1..3 {
        speak(&bench, "a");
        shown.until(&format!("a   | a {number}"));
    }
    speak(&bench, "web");
    let said = told.next().unwrap();
    let reason = "could not be written: No such file or directory";
    assert!(said.starts_with("web: 6B since "), "{said}");
    assert!(said.ends_with(&format!(" {reason}")), "{said}");

    fs::remove_file(&in_its_place).unwrap();
    daemon.log.until("its log is written again, 6 bytes lost");
    shown.until(&format!("web | — 6B {reason} —"));
    speak(&bench, "web");
    shown.until("web | web 2");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(told.next(), None);
    daemon.end();
}

#[test]
fn an_empty_log_says_why() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let program = bench.path("program");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!("[service]\nExecStart = [\"{}\"]\n", program.display());
    fs::write(bench.units().join("closed.service"), text).unwrap();
    bench.start("closed").is(ResultKind::Failed);
    let aside = |name: &str| {
        let output = bench.run(&["logs", name]);
        assert!(output.status.success() && output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    let cause = format!("ExecStart: {}: Permission denied", program.display());
    let expected = format!("closed: nothing in the log: it failed: {cause}\n");
    assert_eq!(aside("closed"), expected);

    let mut ear = bench.ear();
    talker(&bench, "a");
    bench.start("a").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up a");
    speak(&bench, "a");
    bench.service("c", "", "echo down; exit 3", "ReadyWhen = 'log:up'");
    bench.start("c").is(ResultKind::Failed);
    for (name, lines) in [("a", "a 1\n"), ("c", "down\n")] {
        until_logged(&bench, name, lines);
    }
    talker(&bench, "b");
    // All at once: whatever the daemon still writes goes with it.
    fs::rename(bench.home().join("logs"), bench.path("removed")).unwrap();
    for name in ["a", "c"] {
        let expected = format!("{name}: its log is gone: somebody has removed the files\n");
        assert_eq!(aside(name), expected);
    }
    assert_eq!(aside("b"), "b: nothing in the log yet\n");
    // Who mistypes a pattern is told so, as who mistypes a name is; that of a unit without a log is none.
    assert_eq!(aside("b*"), "none of those has a log yet\n");
    let output = bench.run(&["logs", "z*"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("error: there is no unit `z*` in "),
        "{said}"
    );
    daemon.end();
}
