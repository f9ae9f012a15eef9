//! Keys that cannot be honoured: refused by name, or gone without where the unit says so.

use diakonos::sys::process::PidFd;
use diakonos::wire::{ProgressKind, ResultKind};

use crate::harness::Bench;

#[test]
fn what_is_ignored_is_warned_of_and_shown() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let keys = "RestartOnCalendar = \"daily\"";
    bench.service("web", "", "exec sleep 1000", keys);
    let done = bench.start("web");
    let refused = done.error();
    assert!(refused.message.contains("RestartOnCalendar"), "{refused:?}");
    let hint = refused.hint.as_deref().expect("what to do about it");
    assert!(hint.contains("IgnoreUnsupported"), "{hint}");

    let ignoring = format!("{keys}\nIgnoreUnsupported = [\"RestartOnCalendar\"]");
    bench.service("web", "", "exec sleep 1000", &ignoring);
    let done = bench.start("web");
    done.is(ResultKind::Started);
    let warning = "goes without RestartOnCalendar: this version does not act on it";
    let is_told = |kind, text: &str| kind == ProgressKind::Warning && text == warning;
    let mut told = done.progress.iter();
    assert!(told.any(|step| is_told(step.kind, &step.text)), "{done:?}");
    let expected = ["RestartOnCalendar: this version does not act on it"];
    assert_eq!(bench.status("web").forgone, expected);
    let page = bench.run(&["status", "web"]);
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.contains("without  RestartOnCalendar: this"), "{page}");

    // A successor knows it, too.
    PidFd::open(daemon.pid()).unwrap().signal(9).unwrap();
    daemon.log.until("ready, PID");
    assert_eq!(bench.status("web").forgone, expected);

    bench.service("web", "", "exec sleep 1000", "");
    bench.restart("web").is(ResultKind::Started);
    assert!(bench.status("web").forgone.is_empty());
}

#[test]
fn a_key_is_named_where_none_is_ignored() {
    let bench = Bench::new();
    let path = bench.service("web", "", "exec true", "IgnoreUnsupported = [\"Instance\"]");
    let check = bench.run(&["check", &path.display().to_string()]);
    let text = String::from_utf8([check.stdout, check.stderr].concat()).unwrap();
    assert!(text.contains("did you mean `Instances`?"), "{text}");
}
