//! For the tests of this room: what earlier versions have written down, byte for byte, in `tests/golden/state/`. Every
//! later version reads it. `DIAKONOS_BLESS=1` writes the file of the present version anew, and never one of an earlier.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use crate::engine::{
    Asker, Cause, ChangeId, Core, Ending, FactFailure, FactGoal, FactPhase, FactReason, FactRun,
    Facts, Moment, Monitor, Role, RunId, RunResult,
};
use crate::unit::{Context, NotifyAccess, UnitName};

use super::slot::{Slot, newest};
use super::{
    Saved, SavedDefinition, SavedDescriptor, decode_definitions, decode_saved, encode_definitions,
    encode_saved,
};

fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/state");
    folder.join(name)
}

/// The payload of a file's newest slot.
fn payload(name: &str) -> Vec<u8> {
    let file = std::fs::read(path(name)).unwrap();
    newest(&file).unwrap().1.to_vec()
}

/// The present version writes what lies there.
fn is_written(name: &str, payload: &[u8]) {
    let file = Slot::first(payload).unwrap().encode(payload);
    if std::env::var_os("DIAKONOS_BLESS").is_some() {
        std::fs::write(path(name), &file).unwrap();
    }
    let golden = std::fs::read(path(name)).unwrap();
    let shown = String::from_utf8_lossy(payload);
    assert!(
        golden == file,
        "{name} differs: does the version have to be raised?\n{shown}"
    );
}

/// Something in every field.
fn present() -> Saved {
    let run = |run, role, pid| FactRun {
        run: RunId(run),
        role,
        index: 1,
        pid,
    };
    Saved {
        facts: Facts {
            unit: UnitName::parse("web@a\\x2db").unwrap(),
            goal: FactGoal::Cycle,
            phase: FactPhase::StopCommand,
            main: Some(run(41, Role::Start, Some(4_711))),
            control: Some(run(42, Role::Stop, None)),
            deadline: Some(Moment(90_000)),
            since: Moment(1_234),
            reason: Some(FactReason {
                cause: Cause::Requires(UnitName::parse("db").unwrap()),
                because: Some(ChangeId(u64::MAX)),
            }),
            again: Some(FactReason {
                cause: Cause::Asked(Asker::Client { uid: 0, pid: 1 }),
                because: None,
            }),
            origin: Some(FactReason {
                cause: Cause::AutoRestart { attempt: 2 },
                because: None,
            }),
            voice: Some(ChangeId(12)),
            restarts: 3,
            attempt: 2,
            last_run: RunId(42),
            begun: Moment(1_000),
            starts: vec![Moment(1_000), Moment(1_100)],
            failure: Some(FactFailure {
                result: "exit-code".to_owned(),
                text: "exit code 1: \"ü\"".to_owned(),
            }),
            frozen: Some(Moment(2_500)),
            ready_at: Some(Moment(1_010)),
            main_ending: Some(Ending::Signal {
                number: 11,
                core: Core::Dumped,
            }),
            watchdog_ms: Some(30_000),
            runtime_due: Some(Moment(90_000)),
            monitor: Some(Monitor {
                unit: UnitName::parse("api").unwrap(),
                result: RunResult {
                    service_result: "exit-code",
                    ending: Some(Ending::Code(3)),
                },
            }),
        },
        file: "/units/web@.service".to_owned(),
        hash: u64::MAX - 1,
        definition: Some(u64::MAX - 2),
        next: Some(77),
        boot_id: "00000000-1111-2222-3333-444444444444".to_owned(),
        inodes: vec![(RunId(41), 9_000_000_001), (RunId(42), 9_000_000_002)],
        cgroup: Some("/sys/fs/cgroup/diakonos.service/web.service".to_owned()),
        invocation: Some("0123456789abcdef0123456789abcdef".to_owned()),
        last_end: Some(Ending::Code(3)),
        life: Some(RunId(40)),
        life_before: Some(RunId(31)),
        log_lost: 12,
        log_dropped: 13,
        log_limited: 14,
        log_owed: vec![0, 28, 0xfe],
        stored: vec![SavedDescriptor {
            key: 1 << 62,
            name: "session".to_owned(),
            polled: true,
        }],
        oom_kills: Some(1),
        said: Some("serving 3 clients".to_owned()),
        access: Some(NotifyAccess::All),
        forgone: Some("Nice=-5: Permission denied".to_owned()),
    }
}

#[test]
fn facts_of_the_first_version_are_read() {
    let mut first = Saved {
        definition: None,
        next: None,
        last_end: None,
        life: None,
        life_before: None,
        log_lost: 0,
        log_dropped: 0,
        log_limited: 0,
        log_owed: Vec::new(),
        stored: Vec::new(),
        oom_kills: None,
        said: None,
        access: None,
        forgone: None,
        ..present()
    };
    first.facts.reason = None;
    first.facts.again = None;
    first.facts.origin = None;
    first.facts.voice = None;
    first.facts.begun = Moment(0);
    first.facts.frozen = None;
    first.facts.watchdog_ms = None;
    first.facts.runtime_due = None;
    first.facts.monitor = None;
    assert_eq!(decode_saved(&payload("facts-1.state")), Ok(first));
}

/// The present version has got more fields since.
#[test]
fn facts_of_the_present_version_with_fewer_fields_are_read() {
    let earlier = Saved {
        life: None,
        life_before: None,
        log_dropped: 0,
        log_limited: 0,
        log_owed: Vec::new(),
        ..present()
    };
    let golden = payload("facts-2-before-lives.state");
    assert_eq!(decode_saved(&golden), Ok(earlier));
}

#[test]
fn facts_of_the_present_version_are_as_in_the_golden_file() {
    is_written("facts-2.state", &encode_saved(&present()));
    assert_eq!(decode_saved(&payload("facts-2.state")), Ok(present()));
}

#[test]
fn definitions_of_the_present_version_are_as_in_the_golden_file() {
    let one = |fingerprint, program: &str| SavedDefinition {
        fingerprint,
        file: "/units/web@.service".to_owned(),
        hash: 5,
        text: format!(
            "[unit]\nDescription = \"100 %% \\\"ü\\\"\"\n[service]\nExecStart = \"{program}\"\n"
        ),
    };
    let both = [one(u64::MAX - 2, "/bin/web --old"), one(77, "/bin/web")];
    is_written("definitions-1.unit", &encode_definitions(&both));
    let read = decode_definitions(&payload("definitions-1.unit")).unwrap();
    assert_eq!(read, both);
    let unit = read[0]
        .unit(&present().facts.unit, &Context::example())
        .unwrap();
    assert_eq!((unit.hash, &*unit.description), (5, "100 % \"ü\""));
    assert_eq!(unit.service.unwrap().start[0].arguments, ["--old"]);
}
