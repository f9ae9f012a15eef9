//! The saved state's form: what a successor must know of one unit, as JSON.
//!
//! Owns the flat form and its limits. What the facts mean is the engine's; where they are kept is the daemon's, in the
//! slots of `slot.rs`. A state of a newer version is refused, an older one is read: whoever adds a field that matters
//! or changes the meaning of one raises the version.

use miniserde::{Deserialize, Serialize, json};

use crate::engine::{
    ChangeId, Core, Ending, FactFailure, FactGoal, FactPhase, FactRun, Facts, Moment, Monitor,
    Role, RunId, RunResult,
};
use crate::unit::{NotifyAccess, UnitName};

use super::DecodeError;
use super::definition::SavedDefinition;
use super::handover::{bytes, hex};
use super::parse::{Bounds, at_most, parse, required};
use super::reason::WireReason;
use super::words::Word;

/// One unit's saved state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub facts: Facts,
    /// The unit file, absolute.
    pub file: String,
    /// [`crate::unit::Unit::hash`] of the definition in force.
    pub hash: u64,
    /// Which [`SavedDefinition`] is in force; nothing before version 2.
    pub definition: Option<u64>,
    /// Which one comes into force with the next start, if there is a newer one.
    pub next: Option<u64>,
    /// [`SavedDefinition::text`] of the one in force, where it stands with the facts and not in a file of its own.
    pub text: Option<String>,
    /// The boot that the moments, PIDs and inodes belong to.
    pub boot_id: String,
    /// The pidfd's inode of each run (its start time before Linux 6.9): which process it is, while the machine is up.
    /// Of one that has just ended, too: it may still lie there unreaped.
    pub inodes: Vec<(RunId, u64)>,
    /// The cgroup's folder, if there is one.
    pub cgroup: Option<String>,
    /// The mark in the environment of the present life's processes, `INVOCATION_ID`.
    pub invocation: Option<String>,
    /// How the last main process ended, if one did.
    pub last_end: Option<Ending>,
    /// The first run of its present or last life, and of the one before.
    pub life: Option<RunId>,
    pub life_before: Option<RunId>,
    /// Bytes of output that could not be written.
    pub log_lost: u64,
    /// Lines of output that `LogPolicy=drop` has left out, and `LogRateLimitBurst=`.
    pub log_dropped: u64,
    pub log_limited: u64,
    /// What whoever writes its log next has to know, in the form of the log's own.
    pub log_owed: Vec<u8>,
    /// What it has given into the daemon's keeping, in the order in which it is handed back.
    pub stored: Vec<SavedDescriptor>,
    /// How many of its processes the kernel had killed for want of memory, where it counts.
    pub oom_kills: Option<u64>,
    /// What the service has said of itself last, sd_notify(3).
    pub said: Option<String>,
    /// Who speaks for it in this life, where the service itself has said so (`NOTIFYACCESS=`).
    pub access: Option<NotifyAccess>,
    /// What it goes without, one line each, by `IgnoreUnsupported=`.
    pub forgone: Option<String>,
}

impl Saved {
    /// The definition in force, if it stands with the facts.
    #[must_use]
    pub fn definition_here(&self) -> Option<SavedDefinition> {
        Some(SavedDefinition {
            fingerprint: self.definition?,
            file: self.file.clone(),
            hash: self.hash,
            text: self.text.clone()?,
        })
    }
}

/// A descriptor that a service has stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedDescriptor {
    /// Under which the guardian has it.
    pub key: u64,
    pub name: String,
    /// Whether it is let go when its other end hangs up.
    pub polled: bool,
}

/// Descriptors that a service may store.
pub const STORED_MAX: usize = 64;
/// The version of this form.
const VERSION: u32 = 2;
/// Moments of starts, at most: the highest `StartLimitBurst=`, and the one over it.
const STARTS_MAX: usize = 10_001;
/// Runs of one unit that live at once, at most.
const RUNS_MAX: usize = 64;
const SAVED: Bounds = Bounds {
    what: "saved state",
    values: STARTS_MAX + 8 * RUNS_MAX + 4 * STORED_MAX + 64,
};

#[derive(Serialize, Deserialize)]
struct WireSaved {
    version: Option<u32>,
    unit: Option<String>,
    goal: Option<String>,
    phase: Option<String>,
    main: Option<WireRun>,
    control: Option<WireRun>,
    deadline: Option<u64>,
    since: Option<u64>,
    reason: Option<WireReason>,
    again: Option<WireReason>,
    origin: Option<WireReason>,
    voice: Option<u64>,
    restarts: Option<u32>,
    attempt: Option<u32>,
    last_run: Option<u64>,
    begun: Option<u64>,
    starts: Option<Vec<u64>>,
    failure: Option<WireFailure>,
    ready_at: Option<u64>,
    main_ending: Option<WireEnding>,
    frozen: Option<u64>,
    watchdog_ms: Option<u64>,
    runtime_due: Option<u64>,
    monitor: Option<WireMonitor>,
    file: Option<String>,
    hash: Option<u64>,
    definition: Option<u64>,
    next: Option<u64>,
    text: Option<String>,
    boot_id: Option<String>,
    inodes: Option<Vec<WireInode>>,
    cgroup: Option<String>,
    invocation: Option<String>,
    last_end: Option<WireEnding>,
    life: Option<u64>,
    life_before: Option<u64>,
    log_lost: Option<u64>,
    log_dropped: Option<u64>,
    log_limited: Option<u64>,
    /// Two hexadecimal digits for each byte.
    log_owed: Option<String>,
    stored: Option<Vec<WireDescriptor>>,
    oom_kills: Option<u64>,
    said: Option<String>,
    access: Option<String>,
    forgone: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WireRun {
    run: u64,
    role: String,
    index: usize,
    pid: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct WireFailure {
    result: String,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct WireMonitor {
    unit: String,
    result: String,
    ending: Option<WireEnding>,
}

/// A code, or a signal with `core` if one was dumped; neither where nobody knows.
#[derive(Serialize, Deserialize)]
pub(super) struct WireEnding {
    code: Option<u8>,
    signal: Option<u8>,
    core: Option<bool>,
    /// Set beside signal 9: the kernel's, for want of memory.
    oom: Option<bool>,
}

#[derive(Serialize, Deserialize)]
struct WireDescriptor {
    key: u64,
    name: String,
    polled: bool,
}

#[derive(Serialize, Deserialize)]
struct WireInode {
    run: u64,
    inode: u64,
}

/// A payload for [`super::slot::Slot`].
#[must_use]
pub fn encode_saved(saved: &Saved) -> Vec<u8> {
    let facts = &saved.facts;
    let inodes = saved.inodes.iter().map(|(run, inode)| WireInode {
        run: run.0,
        inode: *inode,
    });
    let some = |count: u64| (count > 0).then_some(count);
    let wire = WireSaved {
        version: Some(VERSION),
        unit: Some(facts.unit.as_str().to_owned()),
        goal: Some(facts.goal.written().to_owned()),
        phase: Some(facts.phase.written().to_owned()),
        main: facts.main.as_ref().map(flatten),
        control: facts.control.as_ref().map(flatten),
        deadline: facts.deadline.map(|moment| moment.0),
        since: Some(facts.since.0),
        reason: facts.reason.as_ref().map(WireReason::of),
        again: facts.again.as_ref().map(WireReason::of),
        origin: facts.origin.as_ref().map(WireReason::of),
        voice: facts.voice.map(|change| change.0),
        restarts: Some(facts.restarts),
        attempt: Some(facts.attempt),
        last_run: Some(facts.last_run.0),
        begun: Some(facts.begun.0),
        starts: Some(facts.starts.iter().map(|moment| moment.0).collect()),
        failure: facts.failure.as_ref().map(|failure| WireFailure {
            result: failure.result.clone(),
            text: failure.text.clone(),
        }),
        ready_at: facts.ready_at.map(|moment| moment.0),
        main_ending: facts.main_ending.map(flatten_ending),
        frozen: facts.frozen.map(|moment| moment.0),
        watchdog_ms: facts.watchdog_ms,
        runtime_due: facts.runtime_due.map(|moment| moment.0),
        monitor: facts.monitor.as_ref().map(flatten_monitor),
        file: Some(saved.file.clone()),
        hash: Some(saved.hash),
        definition: saved.definition,
        next: saved.next,
        text: saved.text.clone(),
        boot_id: Some(saved.boot_id.clone()),
        inodes: Some(inodes.collect()),
        cgroup: saved.cgroup.clone(),
        invocation: saved.invocation.clone(),
        last_end: saved.last_end.map(flatten_ending),
        life: saved.life.map(|run| run.0),
        life_before: saved.life_before.map(|run| run.0),
        log_lost: some(saved.log_lost),
        log_dropped: some(saved.log_dropped),
        log_limited: some(saved.log_limited),
        log_owed: (!saved.log_owed.is_empty()).then(|| hex(&saved.log_owed)),
        stored: (!saved.stored.is_empty())
            .then(|| saved.stored.iter().map(flatten_stored).collect()),
        oom_kills: saved.oom_kills,
        said: saved.said.clone(),
        access: saved.access.map(|access| access.written().to_owned()),
        forgone: saved.forgone.clone(),
    };
    json::to_string(&wire).into_bytes()
}

/// Reads what a predecessor saved.
///
/// # Errors
/// What is wrong with it: another version, or a file that is none of ours.
pub fn decode_saved(payload: &[u8]) -> Result<Saved, DecodeError> {
    let wire: WireSaved = parse(payload, SAVED)?;
    let version = required("version", wire.version)?;
    if !(1..=VERSION).contains(&version) {
        return Err(DecodeError::UnknownVersion {
            found: version,
            newest: VERSION,
        });
    }
    let starts = at_most("starts", STARTS_MAX, wire.starts.unwrap_or_default())?;
    let stored = at_most("stored", STORED_MAX, wire.stored.unwrap_or_default())?;
    let inodes = at_most("inodes", RUNS_MAX, wire.inodes.unwrap_or_default())?;
    let facts = Facts {
        unit: unit_name(&required("unit", wire.unit)?)?,
        goal: FactGoal::read_required(wire.goal.as_deref())?,
        phase: FactPhase::read_required(wire.phase.as_deref())?,
        main: wire.main.map(run).transpose()?,
        control: wire.control.map(run).transpose()?,
        deadline: wire.deadline.map(Moment),
        since: Moment(required("since", wire.since)?),
        // One that this version has no word for is as good as none.
        reason: wire.reason.and_then(WireReason::read),
        again: wire.again.and_then(WireReason::read),
        origin: wire.origin.and_then(WireReason::read),
        voice: wire.voice.map(ChangeId),
        restarts: wire.restarts.unwrap_or_default(),
        attempt: wire.attempt.unwrap_or_default(),
        last_run: RunId(wire.last_run.unwrap_or_default()),
        begun: Moment(wire.begun.unwrap_or_default()),
        starts: starts.into_iter().map(Moment).collect(),
        failure: wire.failure.map(|failure| FactFailure {
            result: failure.result,
            text: failure.text,
        }),
        ready_at: wire.ready_at.map(Moment),
        main_ending: wire.main_ending.map(ending),
        frozen: wire.frozen.map(Moment),
        watchdog_ms: wire.watchdog_ms,
        runtime_due: wire.runtime_due.map(Moment),
        monitor: wire.monitor.map(monitor).transpose()?,
    };
    Ok(Saved {
        facts,
        file: required("file", wire.file)?,
        hash: required("hash", wire.hash)?,
        definition: wire.definition,
        next: wire.next,
        text: wire.text,
        boot_id: required("boot_id", wire.boot_id)?,
        inodes: inodes
            .iter()
            .map(|one| (RunId(one.run), one.inode))
            .collect(),
        cgroup: wire.cgroup,
        invocation: wire.invocation,
        last_end: wire.last_end.map(ending),
        life: wire.life.map(RunId),
        life_before: wire.life_before.map(RunId),
        log_lost: wire.log_lost.unwrap_or_default(),
        log_dropped: wire.log_dropped.unwrap_or_default(),
        log_limited: wire.log_limited.unwrap_or_default(),
        // A later version may have another form for it, and a unit's facts are worth more.
        log_owed: bytes("log_owed", &wire.log_owed.unwrap_or_default()).unwrap_or_default(),
        stored: stored.into_iter().map(stored_one).collect(),
        oom_kills: wire.oom_kills,
        said: wire.said,
        access: wire.access.as_deref().map(NotifyAccess::read).transpose()?,
        forgone: wire.forgone,
    })
}

fn flatten_monitor(monitor: &Monitor) -> WireMonitor {
    WireMonitor {
        unit: monitor.unit.as_str().to_owned(),
        result: monitor.result.service_result.to_owned(),
        ending: monitor.result.ending.map(flatten_ending),
    }
}

fn monitor(wire: WireMonitor) -> Result<Monitor, DecodeError> {
    let word = RunResult::word(&wire.result);
    Ok(Monitor {
        unit: unit_name(&wire.unit)?,
        result: RunResult {
            service_result: word.ok_or(DecodeError::OutOfRange { field: "monitor" })?,
            ending: wire.ending.map(ending),
        },
    })
}

fn flatten_stored(stored: &SavedDescriptor) -> WireDescriptor {
    WireDescriptor {
        key: stored.key,
        name: stored.name.clone(),
        polled: stored.polled,
    }
}

fn stored_one(wire: WireDescriptor) -> SavedDescriptor {
    SavedDescriptor {
        key: wire.key,
        name: wire.name,
        polled: wire.polled,
    }
}

fn flatten(run: &FactRun) -> WireRun {
    WireRun {
        run: run.run.0,
        role: run.role.written().to_owned(),
        index: run.index,
        pid: run.pid,
    }
}

pub(super) fn flatten_ending(ending: Ending) -> WireEnding {
    let oom = (ending == Ending::OomKilled).then_some(true);
    let (code, signal, core) = match ending {
        Ending::OomKilled => (None, Some(9), Some(false)),
        Ending::Code(code) => (Some(code), None, None),
        Ending::Signal { number, core } => (None, Some(number), Some(core == Core::Dumped)),
        Ending::Unknown => (None, None, None),
    };
    WireEnding {
        code,
        signal,
        core,
        oom,
    }
}

pub(super) fn ending(wire: WireEnding) -> Ending {
    match (wire.code, wire.signal) {
        (Some(code), _) => Ending::Code(code),
        (None, Some(_)) if wire.oom == Some(true) => Ending::OomKilled,
        (None, Some(number)) => {
            let core = if wire.core == Some(true) {
                Core::Dumped
            } else {
                Core::None
            };
            Ending::Signal { number, core }
        }
        (None, None) => Ending::Unknown,
    }
}

fn run(wire: WireRun) -> Result<FactRun, DecodeError> {
    Ok(FactRun {
        run: RunId(wire.run),
        role: Role::read(&wire.role)?,
        index: wire.index,
        pid: wire.pid,
    })
}

/// The name as it was: the ending is added, since reading a name takes one off.
fn unit_name(name: &str) -> Result<UnitName, DecodeError> {
    UnitName::parse(&format!("{name}.service"))
        .map_err(|_| DecodeError::OutOfRange { field: "unit" })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::engine::{Asker, Cause, FactReason};

    use super::*;

    fn saved(phase: FactPhase, goal: FactGoal, role: Role) -> Saved {
        let run = |run, pid| FactRun {
            run: RunId(run),
            role,
            index: 3,
            pid,
        };
        Saved {
            facts: Facts {
                unit: UnitName::parse("odd.service.service").unwrap(),
                goal,
                phase,
                main: Some(run(u64::MAX, Some(7))),
                control: Some(run(8, None)),
                deadline: Some(Moment(u64::MAX)),
                since: Moment(5),
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
                restarts: 1,
                attempt: 2,
                last_run: RunId(9),
                begun: Moment(4),
                starts: vec![Moment(1), Moment(2)],
                failure: Some(FactFailure {
                    result: "exit-code".to_owned(),
                    text: "exit code 1: \"\u{1F600}\"".to_owned(),
                }),
                frozen: Some(Moment(77)),
                ready_at: Some(Moment(6)),
                main_ending: Some(Ending::Signal {
                    number: 11,
                    core: Core::Dumped,
                }),
                watchdog_ms: Some(0),
                runtime_due: Some(Moment(77)),
                monitor: Some(Monitor {
                    unit: UnitName::parse("web@1").unwrap(),
                    result: RunResult {
                        service_result: "exit-code",
                        ending: Some(Ending::Code(3)),
                    },
                }),
            },
            file: "/s/odd.service".to_owned(),
            hash: u64::MAX - 1,
            definition: Some(u64::MAX),
            next: Some(0),
            text: Some("[unit]\nAfter = [\"db\"]\n".to_owned()),
            boot_id: "b007".to_owned(),
            inodes: vec![(RunId(8), u64::MAX)],
            cgroup: Some("/sys/fs/cgroup/diakonos/odd".to_owned()),
            invocation: Some("0123456789abcdef0123456789abcdef".to_owned()),
            last_end: Some(Ending::OomKilled),
            life: Some(RunId(7)),
            life_before: Some(RunId(u64::MAX)),
            log_lost: 12,
            log_dropped: 13,
            log_limited: 14,
            log_owed: vec![0, 1, 0xfe, 0xff],
            stored: vec![SavedDescriptor {
                key: u64::MAX,
                name: "a \"b".to_owned(),
                polled: true,
            }],
            oom_kills: Some(2),
            said: Some("50 % done".to_owned()),
            access: Some(NotifyAccess::None),
            forgone: Some("Nice=-5: a\nb".to_owned()),
        }
    }

    #[test]
    fn a_state_comes_back_as_it_was() {
        use FactPhase::{Backoff, Completed, Exited, Failed, FinalKilling, FinalKillingHard};
        use FactPhase::{Examining, StartPre, Starting, StopCommand, StopPost, Stopped, Waiting};
        use FactPhase::{FindingMain, Killing, KillingHard, Reloading, Running, StartPost};
        let phases = [
            Stopped,
            Completed,
            Failed,
            Waiting,
            Examining,
            StartPre,
            Starting,
            FindingMain,
            StartPost,
            Running,
            Exited,
            Reloading,
            StopCommand,
            Killing,
            KillingHard,
            StopPost,
            FinalKilling,
            FinalKillingHard,
            Backoff,
        ];
        let roles = [
            Role::Condition,
            Role::StartPre,
            Role::Start,
            Role::StartPost,
            Role::Reload,
            Role::Stop,
            Role::StopPost,
        ];
        for phase in phases {
            for goal in [FactGoal::Up, FactGoal::Down, FactGoal::Cycle] {
                for role in roles {
                    let saved = saved(phase, goal, role);
                    assert_eq!(decode_saved(&encode_saved(&saved)), Ok(saved));
                }
            }
        }
    }

    #[test]
    fn every_ending_comes_back_as_it_was() {
        let signal = |core| Ending::Signal { number: 9, core };
        let endings = [
            None,
            Some(Ending::Code(0)),
            Some(signal(Core::None)),
            Some(signal(Core::Dumped)),
            Some(Ending::Unknown),
        ];
        for ending in endings {
            let mut saved = saved(FactPhase::StopPost, FactGoal::Up, Role::Start);
            saved.facts.main_ending = ending;
            saved.last_end = ending;
            assert_eq!(decode_saved(&encode_saved(&saved)), Ok(saved));
        }
    }

    #[test]
    fn the_longest_state_fits_in_a_slot() {
        let mut saved = saved(FactPhase::Running, FactGoal::Up, Role::Start);
        saved.facts.starts = vec![Moment(u64::MAX); STARTS_MAX];
        saved.inodes = vec![(RunId(u64::MAX), u64::MAX); RUNS_MAX];
        let payload = encode_saved(&saved);
        assert!(payload.len() <= super::super::slot::PAYLOAD_MAX);
        assert_eq!(decode_saved(&payload), Ok(saved));
    }

    #[test]
    fn states_of_the_first_version_still_decode() {
        let text = br#"{"version":1,"unit":"web","goal":"up","phase":"running",
            "main":{"run":4,"role":"start","index":0,"pid":99},"control":null,"deadline":null,"since":12,
            "restarts":0,"attempt":0,"starts":[12],"failure":null,"file":"/s/web.service","hash":77,
            "boot_id":"b","inodes":[{"run":4,"inode":1000}],"cgroup":null}"#;
        let saved = decode_saved(text).unwrap();
        assert_eq!(saved.facts.main.unwrap().pid, Some(99));
        assert_eq!(saved.inodes, [(RunId(4), 1000)]);
        for rubbish in ["0", "zz", "\u{e9}\u{e9}", "00g1"] {
            let end = format!("\"cgroup\":null,\"log_owed\":\"{rubbish}\"}}");
            let text = String::from_utf8_lossy(text).replacen("\"cgroup\":null}", &end, 1);
            assert!(text.contains(rubbish));
            assert_eq!(decode_saved(text.as_bytes()).as_ref(), Ok(&saved));
        }
    }

    #[test]
    fn a_refusal_names_what_is_wrong() {
        let refused = |text: &str| decode_saved(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(refused("{}"), "`version` is missing");
        assert_eq!(
            refused(r#"{"version":3}"#),
            "it is of version 3, and this program knows none beyond 2"
        );
        assert_eq!(
            refused(r#"{"version":1,"unit":"../etc","goal":"up"}"#),
            "`unit` is out of range"
        );
        assert_eq!(
            refused(r#"{"version":1,"unit":"web","goal":"odd"}"#),
            "unknown goal `odd`"
        );
        assert_eq!(refused("\0"), "not the JSON of a saved state");
    }
}
