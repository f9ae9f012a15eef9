//! Templates and their instances: how many there are, `scale` up and down, and one restart after the other.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::Output;

use diakonos::engine::Command;
use diakonos::sys::files;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::wire::{ErrorKind, Final, ResultKind, UnitStatus};

use crate::harness::{Bench, Done};
use crate::repeat::without_waiting;

/// A template whose instances say `up N` before they count as up, and `down N`.
fn template(bench: &Bench, name: &str, service: &str) {
    let ear = bench.path("ear");
    let ear = ear.display();
    let text = format!(
        "[unit]\nDescription = 'number %i of %p'\n[service]\nEnvironment = ['EAR={ear}', 'I=%i']\n\
         ExecStart = ['/bin/sleep', '1000']\n\
         ExecStartPost = ['/bin/sh', '-c', 'echo up $I > $EAR']\n\
         ExecStopPost = ['/bin/sh', '-c', 'echo down $I > $EAR']\n{service}\n"
    );
    bench.file(&format!("{name}@"), &text);
}

fn names(done: &Done) -> Vec<&str> {
    let results = done.results().iter();
    results.map(|result| result.unit.as_str()).collect()
}

fn list(bench: &Bench) -> Vec<UnitStatus> {
    match bench.client().ask(Command::List).last {
        Final::Units(units) => units,
        other => panic!("no list: {other:?}"),
    }
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code();
    (code, text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_template_stands_for_its_instances() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    template(&bench, "worker", "Instances = 3");
    let done = bench.start("worker@");
    assert_eq!(names(&done), ["worker@1", "worker@2", "worker@3"]);
    let status = bench.status("worker@2");
    assert_eq!(status.description, "number 2 of worker");
    // One by any other name is an instance, and none of those.
    bench.start("worker@blue").is(ResultKind::Started);
    let done = bench.stop("worker@");
    assert_eq!(names(&done).len(), 4);
    let done = bench.start("worker@*");
    assert_eq!(names(&done).len(), 4, "what is loaded matches, too");
    let done = bench.stop("worker@[12]");
    assert_eq!(names(&done), ["worker@1", "worker@2"]);
    let done = bench.restart("worker@");
    assert_eq!(names(&done).len(), 4);
    bench.stop("*");

    template(&bench, "job", "");
    let done = bench.start("job@");
    assert_eq!(done.error().kind, ErrorKind::Usage);
    let hint = done.error().hint.clone().unwrap();
    assert!(
        hint.contains("`job@1`") && hint.contains("scale job@ 4"),
        "{hint}"
    );
    assert_eq!(bench.start("job@*").error().kind, ErrorKind::NoSuchUnit);
    let done = bench.stop("job@");
    assert_eq!(done.error().message, "no instance of job@ is loaded");
    assert_eq!(bench.stop("nope@").error().kind, ErrorKind::NoSuchUnit);
    template(&bench, "job", "Instances = 0");
    let done = bench.start("job@");
    assert!(done.error().message.contains("Instances = 0"), "{done:?}");

    // With an error in it no instance starts, and that is said once; a pattern starts the others.
    bench.file("bad@", "[service]\nInstances = 2\n");
    let done = bench.start("bad@");
    assert!(done.error().message.contains("ExecStart"), "{done:?}");
    let done = bench.start("*");
    let bad: Vec<_> = done
        .results()
        .iter()
        .filter(|r| r.kind == ResultKind::Failed)
        .collect();
    assert_eq!(bad.len(), 1, "{done:?}");
    assert_eq!(bad[0].unit, "bad@");
    bench.stop("*");
}

#[test]
fn an_instance_beside_a_stranger_is_not_what_was_meant() {
    let bench = Bench::new();
    template(&bench, "web", "");
    let said = bench.run(&["plan", "start", "web@1", "nosuch"]);
    let (code, _, said) = text(&said);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("nosuch"), "{said}");
    assert!(!said.contains("did you mean"), "{said}");
    let said = bench.run(&["plan", "start", "web@1", "wbe@2"]);
    let (_, _, said) = text(&said);
    assert!(said.contains("did you mean `web@2`?"), "{said}");
}

#[test]
fn drop_ins_hold_for_all_instances_or_for_one() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    template(&bench, "worker", "");
    let drop_in = |folder: &str, text: &str| {
        let folder = bench.units().join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("it.toml"), text).unwrap();
    };
    drop_in(
        "worker@.service.d",
        "[unit]\nDescription = 'any %i'\n[service]\nInstances = 2\n",
    );
    drop_in("worker@2.service.d", "[unit]\nDescription = 'special %i'\n");
    let done = bench.start("worker@");
    assert_eq!(names(&done), ["worker@1", "worker@2"]);
    assert_eq!(bench.status("worker@1").description, "any 1");
    assert_eq!(bench.status("worker@2").description, "special 2");
    bench.stop("worker@");
}

#[test]
fn others_depend_on_instances_and_not_on_templates() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    template(&bench, "db", "");
    bench.file(
        "worker@",
        "[unit]\nRequires = 'db@%i'\nAfter = 'db@%i'\n\
         [service]\nInstances = 2\nExecStart = 'sleep 1000'\n",
    );
    let done = bench.start("worker@");
    assert_eq!(names(&done), ["worker@1", "worker@2"]);
    for name in ["db@1", "db@2"] {
        assert_eq!(bench.status(name).state, "running");
    }
    let done = bench.stop("db@2");
    let mut down = names(&done);
    down.sort_unstable();
    assert_eq!(down, ["db@2", "worker@2"]);
    bench.file(
        "web",
        "[unit]\nRequires = 'worker@'\n[service]\nExecStart = 'sleep 9'\n",
    );
    let done = bench.start("web");
    let message = &done.error().message;
    assert!(message.contains("`worker@` is a template"), "{message}");
    assert!(
        message.contains("name an instance, such as `worker@1`"),
        "{message}"
    );
    bench.stop("*");
}

#[test]
fn scale_goes_up_from_below_and_down_from_above() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    template(&bench, "worker", "Instances = 2");
    bench.start("worker@");
    ear.take(2);
    let (code, out, err) = text(&bench.run(&["scale", "worker", "5"]));
    assert_eq!((code, &*without_waiting(&err)), (Some(0), ""));
    assert_eq!(ear.take(3), ["up 3", "up 4", "up 5"]);
    assert!(
        out.starts_with("worker@: scaled to 5 instances, from 2\n"),
        "{out}"
    );
    bench.stop("worker@2").is(ResultKind::Stopped);
    bench.start("worker@x").is(ResultKind::Started);
    ear.take(2);
    let (code, ..) = text(&bench.run(&["scale", "worker@.service", "3"]));
    assert_eq!(code, Some(0));
    assert_eq!(ear.take(3), ["down 5", "down 4", "up 2"]);
    let listed: Vec<String> = list(&bench).into_iter().map(|status| status.name).collect();
    assert_eq!(listed, ["worker@1", "worker@2", "worker@3", "worker@x"]);

    // The number outlives the daemon, however that ends.
    let killed = PidFd::open(daemon.pid()).unwrap();
    killed.signal(9).unwrap();
    daemon.log.until("ready, PID");
    let done = bench.restart("worker@");
    assert_eq!(names(&done).len(), 4);
    assert!(
        bench
            .client()
            .ask(enable("worker@"))
            .is(ResultKind::Enabled)
            .result()
            .text
            .contains("3 instances")
    );
    daemon.end();
    let _daemon = bench.daemon();
    // Who asks is answered after the units of the boot are known.
    let done = bench.start("worker@");
    assert_eq!(names(&done), ["worker@1", "worker@2", "worker@3"]);
    assert!(
        done.results().iter().all(
            |result| result.kind == ResultKind::AlreadyUp || result.kind == ResultKind::Started
        )
    );
    assert!(list(&bench).iter().all(|status| status.enabled));

    // Scaled to what the file says, it follows the file.
    text(&bench.run(&["scale", "worker", "2"]));
    assert_eq!(fs::read_to_string(bench.home().join("scale")).unwrap(), "");
    template(&bench, "worker", "Instances = 1");
    text(&bench.run(&["scale", "worker", "1"]));
    let listed: Vec<String> = list(&bench).into_iter().map(|status| status.name).collect();
    assert_eq!(listed, ["worker@1"]);
    let (code, out, _) = text(&bench.run(&["scale", "worker", "0", "--no-wait"]));
    assert_eq!(code, Some(0));
    assert!(out.contains("worker@1: stop requested"), "{out}");
    bench.stop("worker@1");
    let (_, out, err) = text(&bench.run(&["list"]));
    let told = "no units: worker@ is scaled to 0\nhint: `diakonos scale worker@ 2` makes two; ";
    assert!(err.starts_with(told), "{out}{err}");
}

fn enable(name: &str) -> Command {
    Command::Enable {
        names: vec![name.to_owned()],
    }
}

#[test]
fn what_cannot_be_scaled_is_refused_with_a_hint() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    template(&bench, "worker", "Instances = 2");
    bench.sleeper("web", "");
    bench.file("bad@", "[service]\nInstances = 2\n");
    bench.file("group@", "[unit]\nWants = 'worker@%i'\n");
    for (words, code, about) in [
        ("web 2", 2, "only a template has instances"),
        ("worker@1 2", 2, "did you mean `worker@`?"),
        ("wroker 2", 4, "did you mean `worker@`?"),
        ("worker 1001", 2, "it is 0 to 1000"),
        ("worker -- -1", 2, "it is 0 to 1000"),
        ("worker many", 2, "`many` is no number of instances"),
        ("worker", 2, "usage: diakonos scale NAME N"),
        ("worker 1 2", 2, "usage: diakonos scale NAME N"),
        ("bad 2", 1, "ExecStart"),
        ("group 2", 2, "it is a group"),
        ("a/b 2", 2, "is not a unit name"),
    ] {
        let words: Vec<&str> = ["scale"].into_iter().chain(words.split(' ')).collect();
        let (was, _, err) = text(&bench.run(&words));
        assert_eq!(was, Some(code), "{words:?}: {err}");
        assert!(err.contains(about), "{words:?}: {err}");
    }
    assert!(!bench.home().join("scale").exists());
    assert!(list(&bench).is_empty());
}

#[test]
fn an_enabled_template_starts_its_instances() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    template(&bench, "worker", "Instances = 2");
    template(&bench, "job", "");
    let done = bench.client().ask(enable("job@"));
    assert_eq!(done.error().kind, ErrorKind::Usage);
    let done = bench.client().ask(enable("worker@*"));
    assert_eq!(names(&done), ["worker@"]);
    let (code, out, _) = text(&bench.run(&["is-enabled", "worker@2", "worker@3"]));
    assert_eq!((code, out.as_str()), (Some(0), "enabled\ndisabled\n"));
    daemon.end();
    let mut daemon = bench.daemon();
    for name in ["worker@1", "worker@2"] {
        assert_eq!(bench.start(name).results().len(), 1);
        assert_eq!(bench.status(name).state, "running");
    }
    let names = vec!["worker@".to_owned()];
    let done = bench.client().ask(Command::Disable { names });
    done.is(ResultKind::Disabled);
    daemon.log.all();
    assert!(!bench.status("worker@1").enabled);
}

/// A template whose instances start badly where there is a file `bad` with their number, and wait where there is a pipe
/// `gate`.
fn obstinate(bench: &Bench) {
    let folder = bench.units();
    let folder = folder.display();
    let pre = format!(
        "[ ! -e {folder}/bad$I ] || exit 7; [ ! -p {folder}/gate$I ] || {{ echo at $I > $EAR; read x < {folder}/gate$I; }}"
    );
    let service = format!("Instances = 3\nExecStartPre = ['/bin/sh', '-c', '{pre}']");
    template(bench, "worker", &service);
}

#[test]
fn a_rolling_restart_goes_one_by_one_and_stops_at_the_first_failure() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    obstinate(&bench);
    bench.start("worker@");
    ear.take(3);
    let before: Vec<u32> = list(&bench)
        .iter()
        .filter_map(|status| status.pid)
        .collect();
    let (code, out, err) = text(&bench.run(&["restart", "--rolling", "worker@*"]));
    assert_eq!((code, &*without_waiting(&err)), (Some(0), ""), "{out}");
    let steps = ["down 1", "up 1", "down 2", "up 2", "down 3", "up 3"];
    assert_eq!(ear.take(6), steps);
    let after: Vec<u32> = list(&bench)
        .iter()
        .filter_map(|status| status.pid)
        .collect();
    assert!(after.len() == 3 && before.iter().all(|pid| !after.contains(pid)));

    bench.stop("worker@2").is(ResultKind::Stopped);
    let (code, out, _) = text(&bench.run(&["restart", "--rolling", "--if-running", "worker@2"]));
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "worker@2: nothing to restart\n")
    );
    bench.start("worker@2").is(ResultKind::Started);
    fs::write(bench.units().join("bad2"), "").unwrap();
    let (code, out, err) = text(&bench.run(&["restart", "--rolling", "worker@"]));
    assert_eq!(code, Some(1));
    assert_eq!(out, "worker@1: started\n");
    assert!(
        err.contains("new: worker@1; failed: worker@2; not come to: worker@3\n"),
        "{err}"
    );
    assert!(
        err.contains("hint: `diakonos restart --rolling worker@2 worker@3` goes on\n"),
        "{err}"
    );
    assert_eq!(bench.status("worker@3").pid, Some(after[2]));

    // A wrong file is refused, and what runs goes on.
    fs::remove_file(bench.units().join("bad2")).unwrap();
    bench.start("worker@2").is(ResultKind::Started);
    bench.file("worker@", "[service]\nInstances = 3\n");
    let (code, _, err) = text(&bench.run(&["restart", "--rolling", "worker@1", "worker@3"]));
    assert_eq!(code, Some(1));
    assert!(err.contains("not come to: worker@1, worker@3\n"), "{err}");
    assert_eq!(bench.status("worker@3").pid, Some(after[2]));

    for words in [
        ["restart", "--rolling", "--no-wait", "worker@1"],
        ["restart", "--rolling", "nope*", "x"],
    ] {
        let (code, ..) = text(&bench.run(&words));
        assert!(matches!(code, Some(2 | 4)), "{words:?}");
    }
    bench.stop("worker@*");
}

#[test]
fn a_rolling_restart_goes_on_over_the_death_of_the_daemon() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    obstinate(&bench);
    bench.start("worker@");
    ear.take(3);
    let gate = bench.units().join("gate2");
    files::make_fifo(&gate, 0o600, None).unwrap();
    let child = bench.begin(&["restart", "--rolling", "worker@"]);
    assert_eq!(ear.take(4), ["down 1", "up 1", "down 2", "at 2"]);
    PidFd::open(daemon.pid()).unwrap().signal(9).unwrap();
    daemon.log.until("ready, PID");
    open(&gate);
    let (code, out, err) = text(&child.wait_with_output().unwrap());
    assert_eq!((code, &*without_waiting(&err)), (Some(0), ""), "{out}");
    assert_eq!(ear.take(3), ["up 2", "down 3", "up 3"]);
    let (code, out, err) = text(&bench.run(&["enable", "worker@2"]));
    assert_eq!(code, Some(0), "{out}{err}");
    let (_, _, err) = text(&bench.run(&["scale", "worker", "1"]));
    assert!(
        err.contains("warning: worker@2: it is enabled by itself"),
        "{err}"
    );
    bench.stop("worker@");
}

/// Lets whoever waits at this pipe go on.
fn open(gate: &Path) {
    let mut pipe = OpenOptions::new().write(true).open(gate).unwrap();
    pipe.write_all(b"go\n").unwrap();
}

#[test]
fn ctrl_c_ends_a_rolling_restart_after_the_one_at_hand() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    obstinate(&bench);
    bench.start("worker@");
    let gate = bench.units().join("gate2");
    files::make_fifo(&gate, 0o600, None).unwrap();
    let mut child = bench.begin(&["restart", "--rolling", "worker@"]);
    ear.until("at 2");
    PidFd::open(Pid::from_raw(child.id()).unwrap())
        .unwrap()
        .signal(2)
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("ends after worker@2") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0);
    }
    open(&gate);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(
        rest.contains("new: worker@1, worker@2; not come to: worker@3\n"),
        "{rest}"
    );
    assert!(
        rest.contains("hint: `diakonos restart --rolling worker@3` goes on\n"),
        "{rest}"
    );
    bench.stop("worker@");
}

#[test]
fn up_and_list_know_instances_that_nobody_has_started() {
    let bench = Bench::new();
    let job = "[service]\nType = 'oneshot'\nExecStart = 'echo I am %i'\nInstances = 11\n";
    bench.file("job@", job);
    let _daemon = bench.daemon();
    let (code, out, _) = text(&bench.run(&["list", "--all"]));
    assert_eq!(code, Some(0));
    let listed: Vec<&str> = out
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next())
        .collect();
    let mut expected = vec!["job@".to_owned()];
    expected.extend((1..=11).map(|number| format!("job@{number}")));
    assert_eq!(listed, expected);
    for words in [&["up"][..], &["up", "job@"], &["up", "job@1*"]] {
        let (code, out, err) = text(&bench.run(words));
        assert_eq!(code, Some(0), "{words:?}: {out}{err}");
        for number in [1, 10, 11] {
            assert!(
                out.contains(&format!("I am {number}\n")),
                "{words:?}: {out}"
            );
        }
        assert_eq!(
            out.contains("I am 2\n"),
            words.last() != Some(&"job@1*"),
            "{words:?}: {out}"
        );
    }
    let (code, _, err) = text(&bench.run(&["up", "jbo@"]));
    assert_eq!(code, Some(4), "{err}");
    bench.file("none@", "[service]\nExecStart = 'true'\n");
    let (code, _, err) = text(&bench.run(&["up", "none@"]));
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("scale none@ 4"), "{err}");
}
