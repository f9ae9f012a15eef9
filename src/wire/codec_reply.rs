//! What the daemon answers, as JSON and back: [`Reply`].
//!
//! Owns the flat forms of progress, results, units, the daemon and errors. A reply is bounded by its frame; only the
//! lists of units have a limit of their own.

use miniserde::{Deserialize, Serialize, json};

use crate::engine::UNITS_MAX;

use super::codec_plan::WireStep;
use super::parse::{Bounds, at_most, parse, required};
use super::words::Word;
use super::{DaemonStatus, Final, PlanStep, Progress, Reply, UnitResult, UnitStatus, WireError};
use super::{DecodeError, ErrorKind, FRAME_MAX, LogUntold, ProgressKind, ResultKind};

const REPLY: Bounds = Bounds {
    what: "reply",
    values: FRAME_MAX,
};

/// Any reply; `reply` says which of the other fields counts.
#[derive(Serialize, Deserialize)]
struct WireReply {
    reply: Option<String>,
    /// Whether more of the same answer follows in the next frame.
    more: Option<bool>,
    progress: Option<WireProgress>,
    results: Option<Vec<WireResult>>,
    units: Option<Vec<WireUnit>>,
    daemon: Option<WireDaemon>,
    plan: Option<Vec<WireStep>>,
    error: Option<WireFailure>,
    said: Option<String>,
}

const NO_REPLY: WireReply = WireReply {
    reply: None,
    more: None,
    progress: None,
    results: None,
    units: None,
    daemon: None,
    plan: None,
    error: None,
    said: None,
};

#[derive(Serialize, Deserialize)]
struct WireProgress {
    kind: String,
    unit: String,
    text: String,
    in_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireResult {
    unit: String,
    kind: String,
    text: String,
    retry_ms: Option<u64>,
    hint: Option<String>,
    left: Option<Vec<u32>>,
}

#[derive(Serialize, Deserialize)]
struct WireUnit {
    name: String,
    description: String,
    state: String,
    active: String,
    phase: String,
    since_ms: u64,
    cause: String,
    pid: Option<u32>,
    run: Option<u64>,
    restarts: u32,
    last_end: Option<String>,
    deadline_ms: Option<u64>,
    waits_for: Vec<String>,
    requires: Vec<String>,
    file: String,
    hash: Option<u64>,
    enabled: bool,
    kind: String,
    cgroup: Option<String>,
    log_lost: u64,
    log_dropped: Option<u64>,
    log_limited: Option<u64>,
    log_trouble: Option<String>,
    log_untold: Option<Vec<LogUntold>>,
    documentation: Option<Vec<String>>,
    left_over: Option<Vec<u32>>,
    limits: Option<Vec<String>>,
    frozen_ms: Option<u64>,
    said: Option<String>,
    forgone: Option<Vec<String>>,
    awaits: Option<String>,
    invocations: Option<Vec<String>>,
    entry: Option<u64>,
    because: Option<u64>,
    life: Option<u64>,
    life_before: Option<u64>,
    streams: Option<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
struct WireDaemon {
    pid: u32,
    version: String,
    protocol: u32,
    since_ms: u64,
    home: String,
    units: u32,
    running: u32,
    failed: u32,
    clients: u32,
    abilities: Vec<String>,
    unreadable: Option<Vec<String>>,
    guardian: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct WireFailure {
    kind: String,
    message: String,
    hint: Option<String>,
}

/// Whether a frame is the last of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    Nothing,
    Follows,
}

/// What one frame brings.
pub(super) enum Piece {
    Whole(Reply),
    /// The next frame has more of it.
    Part(Final),
}

/// A payload for [`super::frame`], which refuses one that is too long; [`super::frame_reply`] cuts it.
#[must_use]
pub fn encode_reply(reply: &Reply) -> Vec<u8> {
    let (word, wire) = match reply {
        Reply::Progress(progress) => (
            "progress",
            WireReply {
                progress: Some(WireProgress::from(progress)),
                ..NO_REPLY
            },
        ),
        Reply::Final(Final::Results(results)) => return encode_results(results, More::Nothing),
        Reply::Final(Final::Units(units)) => return encode_units(units, More::Nothing),
        Reply::Final(Final::Plan(steps)) => return encode_plan(steps, More::Nothing),
        Reply::Final(Final::Daemon(daemon)) => (
            "daemon",
            WireReply {
                daemon: Some(WireDaemon::from(daemon)),
                ..NO_REPLY
            },
        ),
        Reply::Final(Final::Said(text)) => (
            "said",
            WireReply {
                said: Some(text.clone()),
                ..NO_REPLY
            },
        ),
        Reply::Final(Final::Error(error)) => (
            "error",
            WireReply {
                error: Some(WireFailure::from(error)),
                ..NO_REPLY
            },
        ),
    };
    encode(word, More::Nothing, wire)
}

/// Some of the results of an answer, or all.
pub(super) fn encode_results(results: &[UnitResult], more: More) -> Vec<u8> {
    let wire = WireReply {
        results: Some(results.iter().map(WireResult::from).collect()),
        ..NO_REPLY
    };
    encode("results", more, wire)
}

/// Some of the units of an answer, or all.
pub(super) fn encode_units(units: &[UnitStatus], more: More) -> Vec<u8> {
    let wire = WireReply {
        units: Some(units.iter().map(WireUnit::from).collect()),
        ..NO_REPLY
    };
    encode("units", more, wire)
}

/// Some of the steps of a plan, or all.
pub(super) fn encode_plan(steps: &[PlanStep], more: More) -> Vec<u8> {
    let wire = WireReply {
        plan: Some(steps.iter().map(WireStep::from).collect()),
        ..NO_REPLY
    };
    encode("plan", more, wire)
}

fn encode(word: &str, more: More, mut wire: WireReply) -> Vec<u8> {
    wire.reply = Some(word.to_owned());
    wire.more = (more == More::Follows).then_some(true);
    json::to_string(&wire).into_bytes()
}

/// Reads one frame of an answer; [`super::Assembler`] puts those together that belong together.
///
/// # Errors
/// What is wrong with it: the daemon is of another version, or no daemon.
pub fn decode_reply(payload: &[u8]) -> Result<Reply, DecodeError> {
    decode_piece(payload).map(|piece| match piece {
        Piece::Whole(reply) => reply,
        Piece::Part(part) => Reply::Final(part),
    })
}

pub(super) fn decode_piece(payload: &[u8]) -> Result<Piece, DecodeError> {
    let wire: WireReply = parse(payload, REPLY)?;
    let word = required("reply", wire.reply.as_deref())?;
    let last = match word {
        "progress" => {
            let progress = required("progress", wire.progress)?.rich()?;
            return Ok(Piece::Whole(Reply::Progress(progress)));
        }
        "results" => {
            let results = at_most("results", UNITS_MAX, required("results", wire.results)?)?;
            let results = results.into_iter().map(WireResult::rich);
            Final::Results(results.collect::<Result<_, _>>()?)
        }
        "units" => {
            let units = at_most("units", UNITS_MAX, required("units", wire.units)?)?;
            Final::Units(units.into_iter().map(WireUnit::rich).collect())
        }
        "plan" => {
            let steps = required("plan", wire.plan)?.into_iter().map(WireStep::rich);
            Final::Plan(steps.collect::<Result<_, _>>()?)
        }
        "daemon" => Final::Daemon(required("daemon", wire.daemon)?.rich()),
        "said" => Final::Said(required("said", wire.said)?),
        "error" => Final::Error(required("error", wire.error)?.rich()?),
        unknown => return Err(DecodeError::unknown_word("reply", unknown)),
    };
    Ok(match wire.more {
        Some(true) => Piece::Part(last),
        Some(false) | None => Piece::Whole(Reply::Final(last)),
    })
}

impl From<&Progress> for WireProgress {
    fn from(progress: &Progress) -> Self {
        Self {
            kind: progress.kind.written().to_owned(),
            unit: progress.unit.clone(),
            text: progress.text.clone(),
            in_ms: progress.in_ms,
        }
    }
}

impl WireProgress {
    fn rich(self) -> Result<Progress, DecodeError> {
        Ok(Progress {
            kind: ProgressKind::read(&self.kind)?,
            unit: self.unit,
            text: self.text,
            in_ms: self.in_ms,
        })
    }
}

impl From<&UnitResult> for WireResult {
    fn from(result: &UnitResult) -> Self {
        Self {
            unit: result.unit.clone(),
            kind: result.kind.written().to_owned(),
            text: result.text.clone(),
            retry_ms: result.retry_ms,
            hint: result.hint.clone(),
            left: (!result.left.is_empty()).then(|| result.left.clone()),
        }
    }
}

impl WireResult {
    pub(super) fn rich(self) -> Result<UnitResult, DecodeError> {
        Ok(UnitResult {
            unit: self.unit,
            kind: ResultKind::read(&self.kind)?,
            text: self.text,
            retry_ms: self.retry_ms,
            hint: self.hint,
            left: self.left.unwrap_or_default(),
        })
    }
}

impl From<&WireError> for WireFailure {
    fn from(error: &WireError) -> Self {
        Self {
            kind: error.kind.written().to_owned(),
            message: error.message.clone(),
            hint: error.hint.clone(),
        }
    }
}

impl WireFailure {
    fn rich(self) -> Result<WireError, DecodeError> {
        Ok(WireError {
            kind: ErrorKind::read(&self.kind)?,
            message: self.message,
            hint: self.hint,
        })
    }
}

/// The two conversions between a rich struct and a flat one whose fields have the same names and types; those that came
/// `later` may be missing.
macro_rules! same_fields {
    ($rich:ident, $wire:ident { $($field:ident),+ $(,)? } later { $($later:ident),* }) => {
        impl From<&$rich> for $wire {
            fn from(rich: &$rich) -> Self {
                Self {
                    $($field: rich.$field.clone(),)+
                    $($later: Some(rich.$later.clone()),)*
                }
            }
        }

        impl $wire {
            fn rich(self) -> $rich {
                $rich {
                    $($field: self.$field,)+
                    $($later: self.$later.unwrap_or_default(),)*
                }
            }
        }
    };
}

same_fields!(
    UnitStatus,
    WireUnit {
        name,
        description,
        state,
        active,
        phase,
        since_ms,
        cause,
        pid,
        run,
        restarts,
        last_end,
        deadline_ms,
        waits_for,
        requires,
        file,
        enabled,
        kind,
        cgroup,
        log_lost,
        frozen_ms,
        entry,
        because,
        life,
        life_before,
    }
    later {
        streams, hash, documentation, log_dropped, log_limited, log_trouble, log_untold, left_over,
        said, forgone, awaits, limits, invocations
    }
);

same_fields!(
    DaemonStatus,
    WireDaemon {
        pid,
        version,
        protocol,
        since_ms,
        home,
        units,
        running,
        failed,
        clients,
        abilities,
        guardian,
    }
    later { unreadable }
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TEXT: &str = "a \"quoted\"\n\u{1F600}\u{7f} text";

    fn check(reply: &Reply) {
        let payload = encode_reply(reply);
        assert_eq!(decode_reply(&payload).as_ref(), Ok(reply));
    }

    fn status() -> UnitStatus {
        UnitStatus {
            name: "web".to_owned(),
            description: TEXT.to_owned(),
            documentation: vec!["man:web(8)".to_owned(), TEXT.to_owned()],
            state: "running".to_owned(),
            active: "active".to_owned(),
            phase: "running".to_owned(),
            since_ms: u64::MAX,
            cause: TEXT.to_owned(),
            pid: Some(u32::MAX),
            run: Some(u64::MAX),
            restarts: 3,
            last_end: Some("exit code 1".to_owned()),
            deadline_ms: Some(5),
            waits_for: vec!["database".to_owned()],
            requires: vec!["database".to_owned(), "disk".to_owned()],
            file: "/s/web.service".to_owned(),
            hash: u64::MAX,
            enabled: true,
            kind: "simple".to_owned(),
            cgroup: Some("/sys/fs/cgroup/diakonos/web".to_owned()),
            log_lost: 9,
            log_dropped: 10,
            log_limited: 11,
            log_trouble: "it is full".to_owned(),
            log_untold: vec![LogUntold {
                run: u64::MAX,
                bytes: 9,
                errno: 28,
                since_ms: Some(1_700_000_000_000),
            }],
            frozen_ms: Some(1_700_000_000_000),
            left_over: vec![1, u32::MAX],
            limits: vec!["MemoryMax=1M".to_owned()],
            said: TEXT.to_owned(),
            forgone: vec!["Nice=5: why".to_owned()],
            entry: Some(u64::MAX),
            because: Some(0),
            awaits: TEXT.to_owned(),
            invocations: vec![TEXT.to_owned()],
            life: Some(7),
            life_before: Some(u64::MAX),
            streams: vec![TEXT.to_owned()],
        }
    }

    #[test]
    fn every_progress_comes_back_as_it_was() {
        use ProgressKind::{AlsoRestarts, AlsoStarts, AlsoStops, Changed, Killing, Retries};
        use ProgressKind::{Stopping, Waits, Warning};
        let kinds = [
            AlsoStarts,
            AlsoStops,
            AlsoRestarts,
            Waits,
            Stopping,
            Killing,
            Retries,
            Changed,
            Warning,
        ];
        for kind in kinds {
            for in_ms in [None, Some(0), Some(u64::MAX)] {
                check(&Reply::Progress(Progress {
                    kind,
                    unit: "web".to_owned(),
                    text: TEXT.to_owned(),
                    in_ms,
                }));
            }
        }
    }

    #[test]
    fn every_result_comes_back_as_it_was() {
        use ResultKind::{AlreadyDown, AlreadyUp, Completed, Disabled, Enabled, Failed};
        use ResultKind::{Impossible, LeftDown, Reloaded, ResetDone, Signaled, Started, Stopped};
        let kinds = [
            Started,
            AlreadyUp,
            Completed,
            Stopped,
            AlreadyDown,
            Reloaded,
            Signaled,
            ResetDone,
            ResultKind::Set,
            ResultKind::LogTended,
            LeftDown,
            Failed,
            ResultKind::Superseded,
            Impossible,
            ResultKind::NotRunning,
            Enabled,
            Disabled,
        ];
        let results = kinds.map(|kind| UnitResult {
            unit: "web".to_owned(),
            kind,
            text: TEXT.to_owned(),
            retry_ms: (kind == Failed).then_some(7),
            hint: (kind == Impossible).then(|| TEXT.to_owned()),
            left: if kind == Stopped { vec![1, 2] } else { vec![] },
        });
        check(&Reply::Final(Final::Results(results.to_vec())));
        check(&Reply::Final(Final::Results(vec![])));
    }

    #[test]
    fn units_the_daemon_and_errors_come_back_as_they_were() {
        let units = vec![UnitStatus::default(), status()];
        check(&Reply::Final(Final::Units(units)));
        check(&Reply::Final(Final::Units(vec![])));
        check(&Reply::Final(Final::Daemon(DaemonStatus {
            pid: 1,
            version: "0.1.0".to_owned(),
            protocol: 1,
            since_ms: 2,
            home: "/home/a/.diakonos".to_owned(),
            units: 3,
            running: 4,
            failed: 5,
            clients: 6,
            abilities: vec!["cgroups: yes".to_owned()],
            unreadable: vec!["run/web.state: nothing whole in it".to_owned()],
            guardian: Some(7),
        })));
        for kind in [
            ErrorKind::Failed,
            ErrorKind::Usage,
            ErrorKind::NoSuchUnit,
            ErrorKind::Unavailable,
            ErrorKind::NotAllowed,
        ] {
            for hint in [None, Some(TEXT.to_owned())] {
                check(&Reply::Final(Final::Said(TEXT.to_owned())));
                check(&Reply::Final(Final::Error(WireError {
                    kind,
                    message: TEXT.to_owned(),
                    hint,
                })));
            }
        }
    }

    #[test]
    fn frames_of_the_first_version_still_decode() {
        let text = br#"{"reply":"units","progress":null,"units":[{"name":"web","description":"","state":"running",
            "active":"active","phase":"running","since_ms":1,"cause":"","pid":null,"run":null,"restarts":0,
            "last_end":null,"deadline_ms":null,"waits_for":[],"requires":[],"file":"","file_changed":false,
            "enabled":false,"kind":"simple","cgroup":null,"log_lost":0,"later":[{}]}]}"#;
        let Ok(Reply::Final(Final::Units(units))) = decode_reply(text) else {
            panic!("{:?}", decode_reply(text));
        };
        assert_eq!(units[0].name, "web");
        let text = br#"{"reply":"error","error":{"kind":"usage","message":"no"}}"#;
        assert!(matches!(
            decode_reply(text),
            Ok(Reply::Final(Final::Error(WireError { hint: None, .. })))
        ));
    }

    #[test]
    fn a_refusal_names_what_is_wrong() {
        let refused = |text: &str| decode_reply(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(refused("{}"), "`reply` is missing");
        assert_eq!(refused(r#"{"reply":"song"}"#), "unknown reply `song`");
        assert_eq!(refused(r#"{"reply":"units"}"#), "`units` is missing");
        assert_eq!(
            refused(r#"{"reply":"results","results":[{"unit":"a","kind":"odd","text":""}]}"#),
            "unknown result `odd`"
        );
    }
}
