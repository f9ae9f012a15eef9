//! What one image of the daemon hands to the next: descriptors by their numbers, clients with what is on its way to and
//! from them, and who waits for what.
//!
//! Owns the form and its limits. What the units are about is not in it: that is the saved state's. Another version is
//! refused before anything happens: the next image is made to read it before it becomes one.

use miniserde::{Deserialize, Serialize, json};

use crate::engine::Awaited;
use crate::unit::UnitName;

use super::codec_reply::WireResult;
use super::parse::{Bounds, at_most, parse, required};
use super::words::Word;
use super::{DecodeError, UnitResult};

/// The version of this form.
const VERSION: u32 = 1;
/// Clients, at most; more than a daemon serves.
const SESSIONS_MAX: usize = 1024;
/// Descriptors besides, at most: two for each of the most units.
const READERS_MAX: usize = 20_000;
/// Units that one client waits for, and results that it has to come, at most.
const UNITS_MAX: usize = 10_000;
const DIRECTORIES_MAX: usize = 64;
const HANDOVER: Bounds = Bounds {
    what: "handover",
    values: 1 << 22,
};
/// Numbers below are standard input, output and error.
const FIRST_FD: i32 = 3;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// The version of the program that hands over.
    pub program: String,
    /// The control socket.
    pub listener: i32,
    pub lock: i32,
    /// The guardian's PID, and our end of the channel to it.
    pub guardian: Option<(u32, i32)>,
    /// The limit on open descriptors that services get, soft and hard; `u64::MAX` for none.
    pub nofile: (u64, u64),
    /// Where the enabled units' dependencies are looked for; absolute.
    pub directories: Vec<String>,
    /// The read ends of the services' log FIFOs, to be closed when they are open again.
    pub readers: Vec<i32>,
    /// What is of use as it is, each with its key: the notify sockets, and what services have stored.
    pub kept: Vec<(u64, i32)>,
    pub sessions: Vec<HandedSession>,
}

/// One client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedSession {
    pub fd: i32,
    /// The client's protocol.
    pub protocol: u32,
    pub stage: HandedStage,
    /// Bytes that came and are no whole request yet, or are one that is not heard yet.
    pub input: Vec<u8>,
    /// Bytes that are not sent yet.
    pub output: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandedStage {
    /// It has not said hello.
    Greeting,
    Idle,
    Waiting(HandedRequest),
    /// It waits for this very upgrade.
    Upgrading,
    /// It gets the output and is closed.
    Leaving,
}

/// A request that is taken up and not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedRequest {
    pub awaited: Awaited,
    pub units: Vec<UnitName>,
    /// What became of its other units.
    pub results: Vec<UnitResult>,
}

#[derive(Serialize, Deserialize)]
struct WireHandover {
    version: Option<u32>,
    program: Option<String>,
    listener: Option<i32>,
    lock: Option<i32>,
    guardian: Option<u32>,
    channel: Option<i32>,
    nofile_soft: Option<u64>,
    nofile_hard: Option<u64>,
    directories: Option<Vec<String>>,
    readers: Option<Vec<i32>>,
    kept: Option<Vec<WireKept>>,
    sessions: Option<Vec<WireSession>>,
}

#[derive(Serialize, Deserialize)]
struct WireKept {
    key: u64,
    fd: i32,
}

#[derive(Serialize, Deserialize)]
struct WireSession {
    fd: i32,
    stage: String,
    protocol: Option<u32>,
    awaited: Option<String>,
    units: Option<Vec<String>>,
    results: Option<Vec<WireResult>>,
    /// Two hexadecimal digits for each byte.
    input: String,
    output: String,
}

#[must_use]
pub fn encode_handover(handover: &Handover) -> Vec<u8> {
    let kept = handover.kept.iter();
    let kept = kept.map(|(key, fd)| WireKept { key: *key, fd: *fd });
    let wire = WireHandover {
        version: Some(VERSION),
        program: Some(handover.program.clone()),
        listener: Some(handover.listener),
        lock: Some(handover.lock),
        guardian: handover.guardian.map(|(pid, _)| pid),
        channel: handover.guardian.map(|(_, channel)| channel),
        nofile_soft: Some(handover.nofile.0),
        nofile_hard: Some(handover.nofile.1),
        directories: Some(handover.directories.clone()),
        readers: Some(handover.readers.clone()),
        kept: Some(kept.collect()),
        sessions: Some(handover.sessions.iter().map(flatten).collect()),
    };
    json::to_string(&wire).into_bytes()
}

/// Reads what the image before has handed over.
///
/// # Errors
/// What is wrong with it: another version, a descriptor twice, or no handover at all.
pub fn decode_handover(payload: &[u8]) -> Result<Handover, DecodeError> {
    let wire: WireHandover = parse(payload, HANDOVER)?;
    let found = required("version", wire.version)?;
    if found != VERSION {
        return Err(DecodeError::UnknownVersion {
            found,
            newest: VERSION,
        });
    }
    let guardian = match (wire.guardian, wire.channel) {
        (Some(pid), Some(channel)) => Some((pid, channel)),
        _ => None,
    };
    let (directories, readers) = (wire.directories, wire.readers);
    let kept = at_most("kept", READERS_MAX, wire.kept.unwrap_or_default())?;
    let sessions = at_most("sessions", SESSIONS_MAX, wire.sessions.unwrap_or_default())?;
    let handover = Handover {
        program: required("program", wire.program)?,
        listener: required("listener", wire.listener)?,
        lock: required("lock", wire.lock)?,
        guardian,
        nofile: (
            required("nofile_soft", wire.nofile_soft)?,
            required("nofile_hard", wire.nofile_hard)?,
        ),
        directories: at_most(
            "directories",
            DIRECTORIES_MAX,
            directories.unwrap_or_default(),
        )?,
        readers: at_most("readers", READERS_MAX, readers.unwrap_or_default())?,
        kept: kept.into_iter().map(|kept| (kept.key, kept.fd)).collect(),
        sessions: sessions
            .into_iter()
            .map(session)
            .collect::<Result<_, _>>()?,
    };
    let mut fds = handover.fds();
    fds.sort_unstable();
    let is_twice = fds.windows(2).any(|pair| pair.first() == pair.last());
    if is_twice || fds.first().is_some_and(|fd| *fd < FIRST_FD) {
        return Err(DecodeError::OutOfRange { field: "fd" });
    }
    Ok(handover)
}

impl Handover {
    /// Every descriptor that is handed over.
    #[must_use]
    pub fn fds(&self) -> Vec<i32> {
        let mut fds = vec![self.listener, self.lock];
        fds.extend(self.guardian.map(|(_, channel)| channel));
        fds.extend(&self.readers);
        fds.extend(self.kept.iter().map(|(_, fd)| fd));
        fds.extend(self.sessions.iter().map(|session| session.fd));
        fds
    }
}

fn flatten(session: &HandedSession) -> WireSession {
    let (word, request) = match &session.stage {
        HandedStage::Greeting => ("greeting", None),
        HandedStage::Idle => ("idle", None),
        HandedStage::Waiting(request) => ("waiting", Some(request)),
        HandedStage::Upgrading => ("upgrading", None),
        HandedStage::Leaving => ("leaving", None),
    };
    let names = |request: &HandedRequest| request.units.iter().map(ToString::to_string).collect();
    let results = |request: &HandedRequest| request.results.iter().map(WireResult::from).collect();
    WireSession {
        fd: session.fd,
        stage: word.to_owned(),
        protocol: Some(session.protocol),
        awaited: request.map(|request| request.awaited.written().to_owned()),
        units: request.map(names),
        results: request.map(results),
        input: hex(&session.input),
        output: hex(&session.output),
    }
}

fn session(wire: WireSession) -> Result<HandedSession, DecodeError> {
    let stage = match wire.stage.as_str() {
        "greeting" => HandedStage::Greeting,
        "idle" => HandedStage::Idle,
        "waiting" => HandedStage::Waiting(request(wire.awaited, wire.units, wire.results)?),
        "upgrading" => HandedStage::Upgrading,
        "leaving" => HandedStage::Leaving,
        unknown => return Err(DecodeError::unknown_word("stage", unknown)),
    };
    Ok(HandedSession {
        fd: wire.fd,
        protocol: required("protocol", wire.protocol)?,
        stage,
        input: bytes("input", &wire.input)?,
        output: bytes("output", &wire.output)?,
    })
}

fn request(
    awaited: Option<String>,
    units: Option<Vec<String>>,
    results: Option<Vec<WireResult>>,
) -> Result<HandedRequest, DecodeError> {
    let units = at_most("units", UNITS_MAX, required("units", units)?)?;
    let results = at_most("results", UNITS_MAX, results.unwrap_or_default())?;
    // The ending is added, since reading a name takes one off.
    let name = |name: String| UnitName::parse(&format!("{name}.service"));
    let units: Result<Vec<UnitName>, _> = units.into_iter().map(name).collect();
    let results = results.into_iter().map(WireResult::rich);
    Ok(HandedRequest {
        awaited: Awaited::read_required(awaited.as_deref())?,
        units: units.map_err(|_| DecodeError::OutOfRange { field: "units" })?,
        results: results.collect::<Result<_, _>>()?,
    })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

pub(super) fn bytes(field: &'static str, text: &str) -> Result<Vec<u8>, DecodeError> {
    let wrong = DecodeError::OutOfRange { field };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let byte = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes.filter(|_| rest.is_empty()).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::wire::ResultKind;

    fn handed(fd: i32, stage: HandedStage) -> HandedSession {
        HandedSession {
            fd,
            protocol: u32::MAX,
            stage,
            input: vec![0, 1, 0xfe, 0xff],
            output: b"\"}".to_vec(),
        }
    }

    fn whole() -> Handover {
        let name = |name| UnitName::parse(name).unwrap();
        let result = UnitResult {
            unit: "c".to_owned(),
            kind: ResultKind::Failed,
            text: "a \"quoted\"\n text".to_owned(),
            retry_ms: Some(7),
            hint: None,
            left: vec![7],
        };
        let waits = |awaited| {
            HandedStage::Waiting(HandedRequest {
                awaited,
                units: vec![name("a"), name("odd.service.service")],
                results: vec![result.clone()],
            })
        };
        let stages = [
            HandedStage::Greeting,
            HandedStage::Idle,
            waits(Awaited::Up),
            waits(Awaited::Down),
            waits(Awaited::Reload),
            HandedStage::Upgrading,
            HandedStage::Leaving,
        ];
        Handover {
            program: "0.0.9".to_owned(),
            listener: 3,
            lock: 4,
            guardian: Some((4711, 5)),
            nofile: (1024, u64::MAX),
            directories: vec!["/srv/ü".to_owned()],
            readers: vec![6, 7],
            kept: vec![(u64::MAX, 100)],
            sessions: (8..)
                .zip(stages)
                .map(|(fd, stage)| handed(fd, stage))
                .collect(),
        }
    }

    #[test]
    fn a_handover_comes_back_as_it_was() {
        let alone = Handover {
            guardian: None,
            sessions: Vec::new(),
            ..whole()
        };
        for handover in [whole(), alone] {
            assert_eq!(decode_handover(&encode_handover(&handover)), Ok(handover));
        }
    }

    #[test]
    fn the_first_version_still_decodes() {
        let text = br#"{"version":1,"program":"0.1.0","listener":5,"lock":4,"nofile_soft":1024,
            "nofile_hard":4096,"sessions":[{"fd":9,"protocol":1,"stage":"waiting","awaited":"down",
            "units":["web"],"results":[],"input":"","output":"00ff"}]}"#;
        let handover = decode_handover(text).unwrap();
        assert_eq!(handover.fds(), [5, 4, 9]);
        assert_eq!(handover.sessions[0].output, [0, 255]);
    }

    #[test]
    fn rubbish_is_refused() {
        let refused = |text: &str| decode_handover(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(refused("{}"), "`version` is missing");
        assert!(refused(r#"{"version":2}"#).contains("version 2"));
        assert_eq!(refused(r#"{"version":1}"#), "`program` is missing");
        assert_eq!(refused("rubbish"), "not the JSON of a handover");
        let changed = |change: fn(&mut Handover)| {
            let mut handover = whole();
            change(&mut handover);
            decode_handover(&encode_handover(&handover)).map(drop)
        };
        let fd = Err(DecodeError::OutOfRange { field: "fd" });
        assert_eq!(changed(|handover| handover.lock = 3), fd);
        assert_eq!(changed(|handover| handover.lock = 2), fd);
        assert_eq!(changed(|handover| handover.lock = -1), fd);
        assert_eq!(changed(|handover| handover.sessions[0].fd = 6), fd);
        let text = String::from_utf8(encode_handover(&whole())).unwrap();
        assert_eq!(
            refused(&text.replacen("0001fe", "0001f", 1)),
            "`input` is out of range"
        );
        assert_eq!(
            refused(&text.replacen("0001fe", "000xfe", 1)),
            "`input` is out of range"
        );
        assert_eq!(
            refused(&text.replacen("\"down\"", "\"soon\"", 1)),
            "unknown awaited `soon`"
        );
    }
}
