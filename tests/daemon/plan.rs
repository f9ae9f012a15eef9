//! `plan`: what was planned is what then happens, and planning does nothing. Also how a wish is waited for: how many
//! have arrived, `--no-wait`, and Ctrl-C, which leaves the work to the daemon.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Output;

use diakonos::engine::{Command, Planned, Scope};
use diakonos::sys::files;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::wire::{Final, PlanAct, ProgressKind, ResultKind};

use crate::harness::{Bench, start};
use crate::takeover::die;

fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code();
    (code, text(&output.stdout), text(&output.stderr))
}

/// web needs cache, and cache needs database.
fn chain(bench: &Bench) {
    bench.sleeper("database", "");
    bench.sleeper("cache", "Requires = [\"database\"]\nAfter = [\"database\"]");
    bench.sleeper("web", "Requires = [\"cache\"]\nAfter = [\"cache\"]");
}

/// The plan as the ear would hear it.
fn heard(bench: &Bench, wish: Planned, name: &str) -> Vec<String> {
    let names = vec![name.to_owned()];
    let done = bench.client().ask(Command::Plan { names, wish });
    let Final::Plan(steps) = done.last else {
        panic!("no plan: {done:?}");
    };
    let words = steps.into_iter().filter_map(|step| match step.act {
        PlanAct::Start => Some(format!("up {}", step.unit)),
        PlanAct::Stop => Some(format!("down {}", step.unit)),
        PlanAct::Keep
        | PlanAct::Reload
        | PlanAct::Nothing
        | PlanAct::Refused
        | PlanAct::LeftOut => None,
    });
    words.collect()
}

#[test]
fn a_plan_starts_nothing_and_no_daemon() {
    let bench = Bench::new();
    chain(&bench);
    let (code, out, err) = text(&bench.run(&["plan", "start", "web"]));
    assert_eq!(
        out,
        "1. start  database  cache requires it\n2. start  cache     web requires it; after 1\n\
         3. start  web       you ask for it; after 2\n"
    );
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let (code, out, _) = text(&bench.run(&["plan", "stop", "--all"]));
    assert_eq!((code, out.as_str()), (Some(0), "nothing to do\n"));
    assert!(!bench.home().join("lock").exists(), "a daemon was started");

    bench.file("wrong", "[service]\nExecStrat = \"/bin/true\"\n");
    for (words, code, said) in [
        (["plan", "start", "wbe"], 4, "did you mean `web`?"),
        (["plan", "strat", "web"], 2, "did you mean `start`?"),
        (["plan", "kill", "web"], 2, "nothing that can be planned"),
        (["plan", "start", "wrong"], 1, "ExecStrat"),
    ] {
        let (found, out, err) = text(&bench.run(&words));
        assert_eq!((found, out.as_str()), (Some(code), ""), "{words:?}: {err}");
        assert!(err.contains(said), "{words:?}: {err}");
    }
}

#[test]
fn what_was_planned_is_what_then_happens() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    let mut ear = bench.ear();
    chain(&bench);
    bench.sleeper("aside", "");
    let planned = heard(&bench, Planned::Start, "web");
    assert_eq!(planned, ["up database", "up cache", "up web"]);
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.take(3), planned);
    assert_eq!(heard(&bench, Planned::Start, "web"), Vec::<String>::new());

    let restart = Planned::Restart(Scope::All);
    let planned = heard(&bench, restart, "cache");
    assert_eq!(planned, ["down web", "down cache", "up cache", "up web"]);
    bench.restart("cache");
    assert_eq!(ear.take(4), planned);
    let running = Planned::Restart(Scope::Running);
    assert_eq!(heard(&bench, running, "aside"), Vec::<String>::new());

    // A successor plans as its predecessor would have.
    die(&mut daemon);
    let mut daemon = bench.shell_before_daemon(":");
    daemon.log.until("ready, PID");
    let planned = heard(&bench, Planned::Stop, "database");
    assert_eq!(planned, ["down web", "down cache", "down database"]);
    bench.stop("database");
    assert_eq!(ear.take(3), planned);

    // The file on disk counts, and stays unread.
    bench.sleeper("web", "");
    assert_eq!(heard(&bench, Planned::Start, "web"), ["up web"]);
    assert_eq!(bench.status("web").requires, ["cache"]);
}

#[test]
fn a_plan_can_be_read_by_programs() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    chain(&bench);
    bench.start("database").is(ResultKind::Started);
    let (code, out, err) = text(&bench.run(&["plan", "restart", "database", "cache", "--json"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = out.lines().map(str::trim).collect();
    let has = |line: &str| lines.contains(&line);
    assert!(
        has("\"verb\": \"restart\",") && has("\"act\": \"stop\","),
        "{out}"
    );
    assert!(has("\"step\": 3,") && !has("\"step\": 4,"), "{out}");
    let (code, out, _) = text(&bench.run(&["plan", "reload", "database"]));
    let expected = "refused: database: its unit file has no ExecReload\n";
    assert_eq!((code, out.as_str()), (Some(1), expected));
}

#[test]
fn who_waits_hears_how_many_have_arrived() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    chain(&bench);
    let done = bench.client().ask(start("web"));
    let counts = |progress: &[diakonos::wire::Progress]| -> Vec<String> {
        let counts = progress
            .iter()
            .filter(|step| step.kind == ProgressKind::Reached);
        counts.map(|step| step.text.clone()).collect()
    };
    // Of those of one turn the last is told.
    let is_told = |progress: &[diakonos::wire::Progress], way: &str| {
        let all: Vec<String> = (1..=3).map(|count| format!("{count} of 3 {way}")).collect();
        let mut rest = all.iter();
        let told = counts(progress);
        assert!(
            told.iter().all(|one| rest.any(|next| next == one)),
            "{told:?}"
        );
        assert!(!told.is_empty());
    };
    is_told(&done.progress, "up");
    is_told(&bench.stop("database").progress, "down");
}

#[test]
fn ctrl_c_and_no_wait_leave_the_work_to_the_daemon() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let gate = bench.path("gate");
    files::make_fifo(&gate, 0o600, None).unwrap();
    let wait = format!("echo at > $EAR; read line < {}", gate.display());
    let pre = format!("ExecStartPre = [\"/bin/sh\", \"-c\", \"{wait}\"]");
    bench.service("slow", "", "exec sleep 1000", &pre);

    let child = bench.begin(&["start", "slow"]);
    ear.until("at");
    let pid = Pid::from_raw(child.id()).unwrap();
    PidFd::open(pid).unwrap().signal(2).unwrap();
    let (code, out, err) = text(&child.wait_with_output().unwrap());
    assert_eq!((code, out.as_str()), (Some(130), ""));
    assert!(
        err.contains("detached: the daemon goes on (start slow)"),
        "{err}"
    );
    let mut pipe = OpenOptions::new().write(true).open(&gate).unwrap();
    pipe.write_all(b"go\n").unwrap();
    drop(pipe);
    daemon.until("slow", "running");

    bench.stop("slow").is(ResultKind::Stopped);
    let (code, out, err) = text(&bench.run(&["start", "--no-wait", "slow"]));
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (Some(0), "slow: start requested\n", "")
    );
    ear.until("at");
    assert_eq!(bench.status("slow").state, "starting");
    bench.stop("slow");
}
