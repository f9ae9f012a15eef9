//! Where what a service prints goes.

use std::fs;
use std::os::unix::fs::symlink;

use diakonos::sys::process::PidFd;
use diakonos::sys::users;
use diakonos::wire::ResultKind;

use crate::harness::{Bench, start};

fn oneshot(script: &str, keys: &str) -> String {
    format!(
        "[service]\nType = \"oneshot\"\nExecStart = [\"/bin/sh\", \"-c\", '''{script}''']\n{keys}\n"
    )
}

/// What `start` says of a unit that cannot.
fn refused(bench: &Bench, name: &str) -> String {
    let done = bench.start(name);
    done.is(ResultKind::Failed).result().text.clone()
}

#[test]
fn a_file_is_written_as_its_word_says() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let out = bench.path("out");
    let place = out.display();
    for (way, expected) in [
        ("file", "new\nand longer\n"),
        ("append", "old and longer\nnew\n"),
        ("truncate", "new\n"),
    ] {
        fs::write(&out, "old and longer\n").unwrap();
        let keys = format!("StandardOutput = '{way}:{place}'");
        bench.file("web", &oneshot("echo new", &keys));
        bench.start("web").is(ResultKind::Completed);
        assert_eq!(fs::read_to_string(&out).unwrap(), expected, "{way}");
    }
    // One open file for both: neither writes over the other.
    let keys = format!("StandardOutput = 'truncate:{place}'\nStandardError = 'truncate:{place}'");
    bench.file("web", &oneshot("echo out; echo err >&2; echo out", &keys));
    bench.start("web").is(ResultKind::Completed);
    assert_eq!(fs::read_to_string(&out).unwrap(), "out\nerr\nout\n");
    // Every command opens it anew, as systemd.exec(5) says.
    let keys = format!("StandardOutput = 'truncate:{place}'\nExecStartPre = \"/bin/echo before\"");
    bench.file("web", &oneshot("echo after", &keys));
    bench.start("web").is(ResultKind::Completed);
    assert_eq!(fs::read_to_string(&out).unwrap(), "after\n");

    let keys = "StandardOutput = 'append:/nowhere/at/all/out'";
    bench.file("web", &oneshot("echo never", keys));
    let text = refused(&bench, "web");
    let expected = "StandardOutput=append:/nowhere/at/all/out: No such file or directory \
                    (there is no folder /nowhere/at/all)";
    assert!(text.contains(expected), "{text}");
    daemon.end();
}

#[test]
fn one_file_can_be_both_ends() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let line = bench.path("line");
    fs::write(&line, "question\n").unwrap();
    let place = line.display();
    for output in [format!("file:{place}"), "null".to_owned()] {
        let keys = format!("StandardInput = 'file:{place}'\nStandardOutput = '{output}'");
        let script = "read -r word && test \"$word\" = question && echo answer";
        bench.file("web", &oneshot(script, &keys));
        bench.start("web").is(ResultKind::Completed);
    }
    assert_eq!(fs::read_to_string(&line).unwrap(), "question\nanswer\n");
    // What standard input has, which is open for reading only.
    let keys = format!("StandardInput = 'file:{place}'\nStandardOutput = 'inherit'");
    bench.file(
        "web",
        &oneshot("echo nothing 2>/dev/null && exit 0; exit 7", &keys),
    );
    assert!(refused(&bench, "web").contains("exit code 7"));
    daemon.end();
}

/// Where the daemon has an output of its own, by whoever started it.
#[test]
fn output_is_inherited_from_the_daemon() {
    let bench = Bench::new();
    let out = bench.path("out");
    let script = "echo \"$0\"; echo oops >&2";
    let keys = "StandardOutput = 'inherit'\nStandardError = 'inherit'";
    let in_log = || fs::read_to_string(bench.home().join("logs/web.log")).unwrap_or_default();
    // In the background it has none: nothing is lost, it goes to the log.
    let daemon = bench.daemon();
    bench.file("web", &oneshot(script, keys));
    bench.start("web").is(ResultKind::Completed);
    assert_eq!(in_log(), "/bin/sh\noops\n");
    daemon.end();

    fs::write(&out, "").unwrap();
    let daemon = bench.daemon_after(&format!("exec >>{}", out.display()));
    bench.start("web").is(ResultKind::Completed);
    assert_eq!(fs::read_to_string(&out).unwrap(), "/bin/sh\noops\n");
    assert_eq!(in_log(), "/bin/sh\noops\n");
    // A successor has it, too.
    let before = bench.daemon_pid();
    PidFd::open(before).unwrap().signal(9).unwrap();
    bench.file("other", &oneshot("echo again", keys));
    let started = bench.run(&["start", "other"]);
    assert!(started.status.success(), "{started:?}");
    assert_ne!(bench.daemon_pid(), before);
    assert_eq!(fs::read_to_string(&out).unwrap(), "/bin/sh\noops\nagain\n");
    daemon.end();
}

/// As in systemd, a file that only root may write can be named; but whoever owns a folder cannot lead root elsewhere.
#[test]
fn a_file_is_opened_for_the_services_user() {
    if users::effective_uid() != 0 {
        return;
    }
    let bench = Bench::new();
    let daemon = bench.daemon();
    let out = bench.path("out");
    fs::write(&out, "").unwrap();
    let keys = |path: &std::path::Path| {
        let place = path.display();
        format!("User = 'nobody'\nWorkingDirectory = '/'\nStandardOutput = 'append:{place}'")
    };
    bench.file("web", &oneshot("echo as $(id -un)", &keys(&out)));
    bench.start("web").is(ResultKind::Completed);
    assert_eq!(fs::read_to_string(&out).unwrap(), "as nobody\n");

    let link = bench.path("link");
    symlink(&out, &link).unwrap();
    bench.file("web", &oneshot("echo never", &keys(&link)));
    let text = refused(&bench, "web");
    assert!(text.contains("Permission denied (as nobody)"), "{text}");
    fs::remove_file(&link).unwrap();
    fs::hard_link(&out, &link).unwrap();
    for way in ["append", "truncate"] {
        let keys = keys(&link).replace("append", way);
        bench.file("web", &oneshot("echo never", &keys));
        let text = refused(&bench, "web");
        assert!(text.contains("Permission denied (as nobody)"), "{text}");
    }
    assert_eq!(fs::read_to_string(&out).unwrap(), "as nobody\n");
    fs::remove_file(&link).unwrap();
    let keys = keys(&out).replace("append", "truncate");
    bench.file("web", &oneshot("echo new", &keys));
    bench.start("web").is(ResultKind::Completed);
    assert_eq!(fs::read_to_string(&out).unwrap(), "new\n");
    daemon.end();
}

/// It comes again and again, and every command opens a file anew.
#[test]
fn a_probe_does_not_empty_the_services_file() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let (out, count) = (bench.path("out"), bench.path("count"));
    // The looks that count are those after the service has spoken.
    let probe = format!(
        "echo probe; test -e {0} || exit 1; echo x >> {0}; test $(wc -l < {0}) -ge 3",
        count.display()
    );
    let keys = format!(
        "StandardOutput = 'truncate:{}'\nReadyWhen = '''exec:/bin/sh -c \"{probe}\"'''",
        out.display()
    );
    let script = "echo service; echo up > $EAR; exec sleep 1000";
    bench.service("web", "", script, &keys);
    let mut ear = bench.ear();
    let mut client = bench.client();
    client.request(start("web"));
    assert_eq!(ear.next().unwrap(), "up");
    fs::write(&count, "").unwrap();
    client.done().is(ResultKind::Started);
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.matches("probe\n").count() >= 3, "{text}");
    assert!(text.contains("service\n"), "{text}");
    bench.stop("web").is(ResultKind::Stopped);
    daemon.end();
}
