//! Unit files read again under services that run: `daemon-reload`, `diff`, `show`, `edit`, drop-ins, orphans.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use diakonos::engine::Command;
use diakonos::wire::{Final, ProgressKind, ResultKind};

use crate::files::has_changed;
use crate::harness::{Bench, Done, PROGRAM};
use crate::takeover::die;

fn reload(bench: &Bench) -> Done {
    bench.client().ask(Command::DaemonReload)
}

fn text(done: &Done, name: &str) -> String {
    let mut results = done.results().iter();
    let result = results.find(|result| result.unit == name).unwrap();
    result.text.clone()
}

fn told(done: &Done, kind: ProgressKind, name: &str) -> String {
    let mut steps = done.progress.iter();
    let step = steps.find(|step| step.kind == kind && step.unit == name);
    step.map(|step| step.text.clone()).unwrap_or_default()
}

fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr];
    both.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .concat()
}

const WEB: &str = "echo old > $EAR; exec sleep 1000";

#[test]
fn what_can_change_under_a_running_service_does_and_outlives_the_daemon() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    let mut ear = bench.ear();
    bench.service("web", "", WEB, "");
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "old");
    assert!(reload(&bench).results().is_empty());
    let before = bench.status("web");

    let new = "Restart = \"always\"\nTimeoutStopSec = 5\nLogMaxSize = \"1M\"";
    bench.service(
        "web",
        "Description = 'new'\nWants = 'nobody'",
        "echo new > $EAR; exec sleep 1000",
        new,
    );
    let done = reload(&bench);
    let changes = told(&done, ProgressKind::Changed, "web");
    for change in [
        "Description: ",
        "Wants: + nobody",
        "Restart: no → always",
        "LogMaxSize: 10M → 1M",
    ] {
        assert!(changes.contains(change), "{changes}");
    }
    let result = text(&done, "web");
    assert!(
        result.ends_with("waits for its next start: ExecStart"),
        "{result}"
    );
    let check = |mark: &str| {
        let after = bench.status("web");
        assert_eq!((after.pid, after.run), (before.pid, before.run), "{mark}");
        assert_eq!(
            (after.state.as_str(), after.description.as_str()),
            ("running", "new")
        );
        assert!(
            has_changed(&bench, "web"),
            "{mark}: its program is still that of the old file"
        );
        let shown = said(&bench.run(&["diff", "web"]));
        assert!(
            shown.contains("  ExecStart: ") && !shown.contains("Restart"),
            "{shown}"
        );
        let shown = said(&bench.run(&["show", "-p", "Restart,ExecStart", "web"]));
        assert!(
            shown.contains("Restart = \"always\"  # web.service:7\n"),
            "{shown}"
        );
        assert!(
            shown.contains("# as loaded; web.service:6 says otherwise now"),
            "{shown}"
        );
    };
    check("at once");
    die(&mut daemon);
    let daemon = bench.lone_daemon();
    check("after the daemon's end");

    // The policy that came later is the one in force, and with the next start so is the rest.
    let names = vec!["web".to_owned()];
    let signal = diakonos::unit::Signal::KILL;
    bench.client().ask(Command::Signal { names, signal });
    assert_eq!(ear.next().unwrap(), "new");
    assert!(!has_changed(&bench, "web"));
    assert!(reload(&bench).results().is_empty());

    // What only looks different is marked until it was read.
    let file = bench.units().join("web.service");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("# The web.\n{text}")).unwrap();
    assert!(has_changed(&bench, "web"));
    let shown = said(&bench.run(&["diff"]));
    assert!(shown.contains("has changed, and says the same"), "{shown}");
    let done = reload(&bench);
    assert_eq!(done.progress, []);
    done.is(ResultKind::Renewed);
    assert!(!has_changed(&bench, "web"));
    bench.stop("web").is(ResultKind::Stopped);
    daemon.end();
}

#[test]
fn a_time_limit_that_comes_later_counts_from_when_the_service_was_ready() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    bench.sleeper("web", "");
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up web");
    let file = bench.units().join("web.service");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\nRuntimeMaxSec = '1ms'\n")).unwrap();
    reload(&bench).is(ResultKind::Renewed);
    assert_eq!(ear.next().unwrap(), "down web");
}

#[test]
fn wrong_files_and_circles_leave_what_was_loaded_in_force() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    for name in ["broken", "good", "other"] {
        bench.service(name, "", "exec sleep 1000", "");
        bench.start(name).is(ResultKind::Started);
    }
    bench.file("broken", "[service]\nExecStrat = 'x'\n");
    bench.service("good", "Description = 'better'", "exec sleep 1000", "");
    let done = reload(&bench);
    assert!(text(&done, "broken").contains("did you mean `ExecStart`?"));
    assert_eq!(text(&done, "good"), "its changed file is in force");
    assert_eq!(bench.status("good").description, "better");
    assert_eq!(bench.status("broken").state, "running");
    let output = bench.run(&["daemon-reload"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));

    bench.service("good", "After = 'other'", "exec sleep 1000", "");
    bench.service("other", "After = 'good'", "exec sleep 1000", "");
    let done = reload(&bench);
    for name in ["good", "other"] {
        let text = text(&done, name);
        let places = "good after other (After=, good.service:2), other after good (After=,";
        assert!(text.contains(places), "{text}");
    }
    // One that nobody knew before is not loaded for such a circle, and keeps nothing else from being applied.
    bench.service("other", "Wants = 'new'", "exec sleep 1000", "");
    bench.service(
        "new",
        "After = 'newer'\nBefore = 'newer'",
        "exec sleep 1000",
        "",
    );
    bench.service("good", "", "exec sleep 1000", "Nice = 3");
    let done = reload(&bench);
    assert_eq!(
        text(&done, "good"),
        "its changed file is in force, but for what waits for its next start: Nice"
    );
    assert!(text(&done, "new").contains("the order has a cycle: "));
    bench.service("good", "After = 'other'", "exec sleep 1000", "");
    bench.service("other", "After = 'good'", "exec sleep 1000", "");
    reload(&bench);
    for name in ["good", "other"] {
        let shown = said(&bench.run(&["show", "-p", "After", name]));
        assert!(shown.contains("not set"), "{shown}");
    }
    // One of the two alone makes no circle; with the other one, a restart is refused and the old one runs on.
    bench.restart("good").is(ResultKind::Started);
    let pid = bench.status("other").pid;
    assert!(bench.restart("other").error().message.contains("cycle"));
    assert_eq!(bench.status("other").pid, pid);
    bench.stop("*");
}

#[test]
fn an_orphan_runs_on_until_it_is_stopped_and_is_gone_then() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    fs::remove_file(bench.units().join("web.service")).unwrap();
    let done = reload(&bench);
    assert!(done.results().is_empty(), "{done:?}");
    assert!(told(&done, ProgressKind::Warning, "web").contains("web.service is gone"));
    let list = said(&bench.run(&["list"]));
    assert!(list.contains("web: its file is gone"), "{list}");
    let list = said(&bench.run(&["list", "--json"]));
    assert!(list.contains("\"file_gone\": true"), "{list}");
    let diff = said(&bench.run(&["diff"]));
    assert!(diff.contains("the file is gone"), "{diff}");
    let status = said(&bench.run(&["status", "web"]));
    assert!(
        status.contains("stays until the unit is stopped"),
        "{status}"
    );
    let message = bench.restart("web").error().message.clone();
    let end = "web.service is gone\nit goes on as it was";
    assert!(message.ends_with(end), "{message}");
    assert_eq!(bench.status("web").state, "running");
    assert!(bench.run(&["logs", "web"]).status.success());
    bench.stop("web").is(ResultKind::Stopped);
    assert!(!said(&bench.run(&["list"])).contains("web"));
    let units = |bench: &Bench| match bench.client().ask(Command::List).last {
        Final::Units(units) => units.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(units(&bench), 1);
    assert!(reload(&bench).progress.is_empty());
    // Nor does the daemon know of it any more.
    assert_eq!(units(&bench), 0);
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    bench.stop("web").is(ResultKind::Stopped);
}

#[test]
fn drop_ins_of_templates_and_instances_are_noticed_and_taken_over() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("worker@", "", "exec sleep 1000", "");
    for name in ["worker@1", "worker@2"] {
        bench.start(name).is(ResultKind::Started);
    }
    let drop_in = |folder: &str, text: &str| {
        let folder = bench.units().join(format!("{folder}.service.d"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.toml"), text).unwrap();
    };
    drop_in(
        "worker@",
        "[unit]\nDescription = 'all %i'\n[service]\nTimeoutStopSec = 3\n",
    );
    drop_in("worker@1", "[service]\nTimeoutStopSec = 4\n");
    assert!(has_changed(&bench, "worker@1") && has_changed(&bench, "worker@2"));
    let done = reload(&bench);
    let one = told(&done, ProgressKind::Changed, "worker@1");
    assert!(one.contains("TimeoutStopSec: 10s → 4s"), "{one}");
    assert!(one.contains("→ all 1"), "{one}");
    let two = told(&done, ProgressKind::Changed, "worker@2");
    assert!(two.contains("TimeoutStopSec: 10s → 3s"), "{two}");
    assert!(!has_changed(&bench, "worker@1") && !has_changed(&bench, "worker@2"));
    let shown = said(&bench.run(&["show", "worker@1", "-p", "TimeoutStopSec,Description"]));
    assert!(
        shown.contains("\"4s\"  # worker@1.service.d/a.toml:2"),
        "{shown}"
    );
    assert!(
        shown.contains("\"all 1\"  # worker@.service.d/a.toml:2"),
        "{shown}"
    );

    // A file of its own comes before the template's.
    bench.service("worker@2", "Description = 'own'", "exec sleep 1000", "");
    reload(&bench).is(ResultKind::Renewed);
    assert_eq!(bench.status("worker@2").description, "all 2");
    bench.restart("worker@2").is(ResultKind::Started);
    assert!(bench.status("worker@2").file.ends_with("worker@2.service"));
    bench.stop("*");
}

#[test]
fn a_restart_into_what_the_machine_cannot_do_is_refused() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    let pid = bench.status("web").pid;
    // Nobody has this controller.
    let wanted = "Delegate = 'hugetlb'\nOOMPolicy = 'continue'";
    bench.service("web", "", "exec sleep 1000", wanted);
    let done = bench.restart("web");
    if done.results()[0].kind == ResultKind::Failed {
        let text = text(&done, "web");
        assert!(text.starts_with("Delegate: "), "{text}");
        assert!(text.ends_with("it goes on as it was"), "{text}");
        assert_eq!(bench.status("web").pid, pid);
    }
    assert_eq!(bench.status("web").state, "running");
    bench.stop("web").is(ResultKind::Stopped);
}

/// Makes a program. Another process writes it: what this one has open for writing a child of another test has for a
/// moment, too, and meanwhile nobody can run it (`ETXTBSY`).
pub(crate) fn executable(path: &Path, text: &str) {
    let mut writer = std::process::Command::new("/bin/sh");
    let writer = writer.args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""]);
    let status = writer.arg(path).arg(text).status().unwrap();
    assert!(status.success(), "{}", path.display());
}

/// Runs `edit` with an editor that is this shell program; `$1` is the file.
pub(crate) fn edit(bench: &Bench, words: &[&str], editor: &str) -> Output {
    let path = bench.path("editor");
    executable(&path, &format!("#!/bin/sh\n{editor}\n"));
    let mut program = std::process::Command::new(PROGRAM);
    let program = bench.environment(&mut program).args(words);
    let program = program.env("VISUAL", &path).stdin(Stdio::null());
    program.output().unwrap()
}

fn entries(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn an_edit_is_saved_only_if_it_is_right() {
    let bench = Bench::new();
    let file = bench.service("web", "", "exec sleep 1000", "");
    bench.service("api", "After = ['web']", "exec sleep 1000", "");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let text = || fs::read_to_string(&file).unwrap();
    let before = text();

    let output = edit(&bench, &["edit", "web"], "echo 'Nice = 3' >> \"$1\"");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        said(&output).contains("Nice: the default, 0 → 3"),
        "{}",
        said(&output)
    );
    assert_eq!(text(), format!("{before}Nice = 3\n"));
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);

    let output = edit(&bench, &["edit", "web"], ":");
    assert_eq!(output.status.code(), Some(0));
    assert!(
        said(&output).contains("nothing was changed"),
        "{}",
        said(&output)
    );
    assert_eq!(entries(bench.units()), ["api.service", "web.service"]);

    let saved = text();
    for (editor, reason) in [
        ("echo 'Nic = 3' >> \"$1\"", "did you mean `Nice`?"),
        (
            "echo '[unit]\nAfter = \"api\"\n[service]\nExecStart = \"x\"' > \"$1\"",
            "circle",
        ),
        ("echo x >> \"$1\"; exit 3", "failed"),
        ("rm \"$1\"", "No such file"),
        ("head -c 100 /dev/zero > \"$1\"", "web.service"),
    ] {
        let output = edit(&bench, &["edit", "web"], editor);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(reason), "{}", said(&output));
        assert_eq!(text(), saved);
        for left in entries(bench.units())
            .iter()
            .filter(|name| name.starts_with('.'))
        {
            assert!(said(&output).contains(left.as_str()), "{}", said(&output));
            fs::remove_file(bench.units().join(left)).unwrap();
        }
    }
    // Whoever was faster is not overwritten.
    let faster = format!(
        "echo 'LogMaxFiles = 2' >> \"$1\"; echo 'Nice = 5' > {}",
        file.display()
    );
    let output = edit(&bench, &["edit", "web"], &faster);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("changed by somebody else"),
        "{}",
        said(&output)
    );
    assert_eq!(text(), "Nice = 5\n");
}

#[test]
fn a_drop_in_and_a_link_are_edited_where_they_are() {
    let bench = Bench::new();
    let real = bench.path("real.service");
    fs::write(&real, "[service]\nExecStart = 'sleep 1'\n").unwrap();
    let link = bench.units().join("web.service");
    symlink(&real, &link).unwrap();
    let output = edit(&bench, &["edit", "web"], "echo 'Nice = 3' >> \"$1\"");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().ends_with("Nice = 3\n"));

    let output = edit(&bench, &["edit", "--drop-in", "web"], ":");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(entries(bench.units()), ["web.service"], "no empty folder");
    let output = edit(
        &bench,
        &["edit", "--drop-in", "web"],
        "echo 'Nice = 4' >> \"$1\"",
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let shown = said(&bench.run(&["show", "-p", "Nice", "web"]));
    assert!(
        shown.contains("Nice = 4  # web.service.d/override.toml:4"),
        "{shown}"
    );
    let output = edit(&bench, &["edit", "wbe"], ":");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
}

#[test]
fn whom_a_changed_file_names_is_loaded_with_it() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    bench.service("web", "", "exec sleep 1000", "");
    bench.start("web").is(ResultKind::Started);
    bench.service("alert", "", "echo alert > $EAR", "Type = \"oneshot\"");
    let ends = "OnFailure = [\"alert\", \"nobody\"]";
    bench.service("web", ends, "exec sleep 1000", "");
    let done = reload(&bench);
    assert_eq!(text(&done, "alert"), "loaded: another unit names it");
    let missing = told(&done, ProgressKind::Warning, "web");
    assert!(missing.contains("nobody"), "{missing}");
    let again = reload(&bench);
    assert_eq!((again.results().len(), again.progress.len()), (0, 0));
    let names = vec!["web".to_owned()];
    let signal = diakonos::unit::Signal::KILL;
    bench.client().ask(Command::Signal { names, signal });
    assert_eq!(ear.next().unwrap(), "alert");
    daemon.until("alert", "completed");
}

#[test]
fn a_file_with_what_is_not_supported_stays_out() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let again = "Restart = \"always\"\nRestartSec = 0.01";
    bench.service("web", "", "exec sleep 1000", again);
    bench.start("web").is(ResultKind::Started);
    let socket = format!("{again}\n[socket]\nListenStream = '80'");
    bench.service("web", "Description = 'new'", "exec sleep 1000", &socket);
    let done = reload(&bench);
    let refused = text(&done, "web");
    assert!(refused.contains("ListenStream"), "{refused}");
    let pid = bench.status("web").pid;
    let names = vec!["web".to_owned()];
    let signal = diakonos::unit::Signal::KILL;
    bench.client().ask(Command::Signal { names, signal });
    daemon.until("web", "restarting");
    daemon.until("web", "running");
    let after = bench.status("web");
    assert_ne!(after.pid, pid);
    assert_ne!(after.description, "new");
    bench.stop("web").is(ResultKind::Stopped);
}

#[test]
fn what_enabled_units_ask_of_a_group_is_read_again_with_it() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.file("all", "[unit]\nWants = 'web'\n");
    bench.service("web", "", "exec sleep 1000", "");
    let wanted = "Instances = 2\n[install]\nWantedBy = 'all'";
    bench.service("worker@", "", "exec sleep 1000", wanted);
    bench.start("all").is(ResultKind::Started);
    let diff = |what: &str| {
        let shown = said(&bench.run(&["diff"]));
        assert!(shown.contains(what), "{shown}");
    };
    let names = || vec!["worker@".to_owned()];
    bench.client().ask(Command::Enable { names: names() });
    diff("Wants: + worker@1, + worker@2");
    let come = told(&reload(&bench), ProgressKind::Changed, "all");
    assert!(come.contains("Wants: + worker@1, + worker@2"), "{come}");
    diff("nothing differs");
    assert!(reload(&bench).results().is_empty());
    daemon.end();
    let planned = said(&bench.run(&["plan", "start", "all"]));
    assert!(planned.contains("worker@2"), "without a daemon: {planned}");

    let _daemon = bench.daemon();
    bench.start("all").is(ResultKind::Started);
    bench.client().ask(Command::Disable { names: names() });
    diff("Wants: - worker@1, - worker@2");
    let gone = told(&reload(&bench), ProgressKind::Changed, "all");
    assert!(gone.contains("Wants: - worker@1, - worker@2"), "{gone}");
    diff("nothing differs");
    bench.stop("*");
}

/// What an editor writes once it is thought to have ended was seen by nobody.
#[test]
fn only_what_was_checked_is_saved() {
    let bench = Bench::new();
    let file = bench.service("web", "", "exec sleep 1000", "");
    let go = bench.path("go");
    diakonos::sys::files::make_fifo(&go, 0o600, None).unwrap();
    let mut lines = bench.ear();
    let late = format!(
        "exec 3>>\"$1\"; echo 'Nice = 5' >&3\n\
         (read x < {}; echo 'Nic = 6' >&3; echo over > {}) >/dev/null 2>&1 &",
        go.display(),
        bench.path("ear").display()
    );
    let output = edit(&bench, &["edit", "web"], &late);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let saved = fs::read_to_string(&file).unwrap();
    assert!(saved.ends_with("Nice = 5\n"), "{saved}");
    fs::write(&go, "\n").unwrap();
    assert_eq!(lines.next().unwrap(), "over");
    assert_eq!(fs::read_to_string(&file).unwrap(), saved);
    assert_eq!(entries(bench.units()), ["web.service"]);
}
