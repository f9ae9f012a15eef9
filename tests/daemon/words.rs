//! Commands as a user types them: which units they mean, and the exit codes that scripts rely on.

use std::os::fd::OwnedFd;
use std::process::Output;

use diakonos::wire::ResultKind;

use crate::harness::{Bench, Lines};
use crate::oversight::end;

/// Exit code, standard output, standard error.
fn run(bench: &Bench, words: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = bench.run(words);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_signal_goes_to_those_that_run() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let mut ear = bench.ear();
    let script = "trap 'echo usr > $EAR' USR1; echo up > $EAR; while :; do sleep 1000 & wait $!; kill $!; done";
    bench.service("a", "", script, "");
    bench.service("b", "", script, "");
    let (code, _, said) = run(&bench, &["signal", "--all", "USR1"]);
    assert_eq!((code, said.contains("none of these")), (3, true), "{said}");
    bench.start("a").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up");
    bench.start("b").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up");
    bench.stop("b").is(ResultKind::Stopped);

    for words in [
        ["signal", "USR1", "--all"],
        ["signal", "USR1", "?"],
        ["signal", "USR1", "a"],
    ] {
        let (code, _, said) = run(&bench, &words);
        assert_eq!(code, 0, "{said}");
        assert_eq!(ear.next().unwrap(), "usr");
    }
    let (code, _, said) = run(&bench, &["signal", "USR1", "b"]);
    assert_eq!(code, 3, "{said}");
    let (code, _, said) = run(&bench, &["signal", "USR1", "a", "b"]);
    assert_eq!(code, 3, "{said}");
    assert_eq!(ear.next().unwrap(), "usr");
    for wrong in [
        &["signal", "--all"][..],
        &["signal", "--all", "USR1", "a"],
        &["signal", "USR1"],
    ] {
        assert_eq!(run(&bench, wrong).0, 2);
    }
    bench.stop("a").is(ResultKind::Stopped);
    daemon.end();
}

#[test]
fn scripts_may_ask_about_all_units() {
    let bench = Bench::new();
    for ask in ["is-active", "is-failed", "is-enabled"] {
        let (code, out, said) = run(&bench, &[ask, "--all"]);
        assert!(
            matches!(code, 1 | 3) && out.is_empty(),
            "{ask}: {code} {out} {said}"
        );
    }
    let daemon = bench.daemon();
    bench.service("a", "", "exec sleep 1000", "");
    bench.service("b", "", "exec sleep 1000", "");
    bench.start("a").is(ResultKind::Started);
    let (code, out, _) = run(&bench, &["is-active", "--all"]);
    assert_eq!((code, out.as_str()), (0, "active\ninactive\n"));
    let (code, out, _) = run(&bench, &["is-failed", "?"]);
    assert_eq!((code, out.as_str()), (1, "active\ninactive\n"));
    assert_eq!(run(&bench, &["is-active", "--all", "a"]).0, 2);
    bench.stop("a").is(ResultKind::Stopped);
    daemon.end();
}

#[test]
fn a_run_that_never_was_is_an_error_that_names_those_that_were() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let mut ear = bench.ear();
    let script = "echo hello; echo said > $EAR; exec sleep 1000";
    bench.service("web", "", script, "");
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "said");
    bench.restart("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "said");
    bench.stop("web").is(ResultKind::Stopped);
    let (code, out, said) = run(&bench, &["logs", "--run", "9999", "web"]);
    assert_eq!((code, out.as_str()), (1, ""), "{said}");
    assert!(
        said.contains("error: the log of web has no run 9999"),
        "{said}"
    );
    assert!(said.contains("hint: it has runs "), "{said}");
    assert!(said.contains("; -1 is "), "{said}");
    let (code, _, said) = run(&bench, &["logs", "-n", "x", "web"]);
    assert_eq!((code, said.contains("hint: `all`")), (2, true), "{said}");
    daemon.end();
}

/// A service whose end took no time is not said to be stopping while another one is waited for.
#[test]
fn what_has_long_ended_is_not_said_to_be_stopping() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.service("ended", "", "exit 1", "");
    let file = "[service]\nType = \"oneshot\"\nExecStart = \"/bin/sleep 2\"\n";
    bench.file("slow", file);
    let (code, out, said) = run(&bench, &["start", "ended", "slow"]);
    assert_eq!(code, 0, "{out}{said}");
    assert!(out.contains("slow: has run to its end"), "{out}");
    assert!(
        !said.contains("SIGKILL") && !said.contains("is stopping"),
        "{said}"
    );
    daemon.end();
}

/// The line says which signal is the last one.
#[test]
fn a_stop_that_takes_long_names_its_last_signal() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let mut ear = bench.ear();
    let script = "trap '' TERM; echo deaf > $EAR; while :; do sleep 1000; done";
    bench.service(
        "web",
        "",
        script,
        "FinalKillSignal = \"QUIT\"\nTimeoutStopSec = 1000",
    );
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "deaf");
    let mut stop = bench.begin(&["stop", "web"]);
    let said = OwnedFd::from(stop.stderr.take().unwrap());
    let mut said = Lines::new(said.into());
    said.until("web: SIGQUIT follows in ");
    end(&bench, "web");
    said.rest();
    stop.wait().unwrap();
    daemon.end();
}

#[test]
fn what_does_not_run_is_told_apart_from_what_cannot_be_done() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let (code, _, said) = run(&bench, &["reload", "web"]);
    assert_eq!((code, said.contains("no ExecReload")), (1, true), "{said}");
    bench.stop("web").is(ResultKind::Stopped);
    for words in [["reload", "web"], ["thaw", "web"], ["freeze", "web"]] {
        let (code, _, said) = run(&bench, &words);
        assert_eq!(
            (code, said.contains("web: not running")),
            (3, true),
            "{said}"
        );
    }
    daemon.end();
}
