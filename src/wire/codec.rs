//! What the client sends, as JSON and back: [`Hello`] (both sides send it) and [`Request`].
//!
//! Owns the flat form of a command and its limits; the daemon's answers are `codec_reply.rs`'s. A field is added by
//! making it optional here; a verb's word is never used again for another verb.

use miniserde::{Deserialize, Serialize, json};

use crate::engine::{Command, LogWish, Planned, Scope, UNITS_MAX, Wait};
use crate::unit::{INSTANCES_MAX, Signal};

use super::parse::{Bounds, at_most, parse, required};
use super::words::Word;
use super::{DecodeError, Hello, Request};

/// Unit names and patterns in one request, at most: as many as there may be units.
const NAMES_MAX: usize = UNITS_MAX;
/// Bytes of one name or pattern, at most.
const NAME_LENGTH_MAX: usize = 512;
/// Folders of the search path in one request, at most.
const DIRECTORIES_MAX: usize = 64;
/// Bytes of one folder's path, at most: Linux's `PATH_MAX`.
const DIRECTORY_LENGTH_MAX: usize = 4096;
/// Settings in one request, at most, and bytes of one.
const SETTINGS_MAX: usize = 64;
const SETTING_LENGTH_MAX: usize = 4352;

/// Commas of a request: its lists (the names that were found stand in two) and, generously, fields of later versions.
const REQUEST: Bounds = Bounds {
    what: "request",
    values: 2 * NAMES_MAX + DIRECTORIES_MAX + SETTINGS_MAX + 64,
};
const HELLO: Bounds = Bounds {
    what: "hello",
    values: 64,
};

#[derive(Serialize, Deserialize)]
struct WireHello {
    protocol: Option<u32>,
    program: Option<String>,
}

/// Any request. Which fields count is the verb's.
#[derive(Serialize, Deserialize)]
struct WireRequest {
    verb: Option<String>,
    names: Option<Vec<String>>,
    found: Option<Vec<String>>,
    directories: Option<Vec<String>>,
    wait: Option<String>,
    scope: Option<String>,
    of: Option<String>,
    signal: Option<i32>,
    first_asked_ms: Option<u64>,
    settings: Option<Vec<String>>,
    count: Option<u32>,
}

const NO_REQUEST: WireRequest = WireRequest {
    verb: None,
    names: None,
    found: None,
    directories: None,
    wait: None,
    scope: None,
    of: None,
    signal: None,
    first_asked_ms: None,
    settings: None,
    count: None,
};

/// A payload for [`super::frame`].
#[must_use]
pub fn encode_hello(hello: &Hello) -> Vec<u8> {
    let wire = WireHello {
        protocol: Some(hello.protocol),
        program: Some(hello.program.clone()),
    };
    json::to_string(&wire).into_bytes()
}

/// Reads the first frame of either side.
///
/// # Errors
/// What is wrong with it. A version other than ours is none: the caller compares it and says so.
pub fn decode_hello(payload: &[u8]) -> Result<Hello, DecodeError> {
    let wire: WireHello = parse(payload, HELLO)?;
    Ok(Hello {
        protocol: required("protocol", wire.protocol)?,
        program: bounded("program", NAME_LENGTH_MAX, wire.program.unwrap_or_default())?,
    })
}

/// A payload for [`super::frame`], which refuses one that is too long.
#[must_use]
pub fn encode_request(request: &Request) -> Vec<u8> {
    let mut wire = flatten(&request.command);
    wire.directories = Some(request.directories.clone());
    wire.first_asked_ms = request.first_asked_ms;
    json::to_string(&wire).into_bytes()
}

/// Reads one wish of a client.
///
/// # Errors
/// What is wrong with it; [`DecodeError::UnknownVerb`] for a verb of a later version, whatever its other fields are.
pub fn decode_request(payload: &[u8]) -> Result<Request, DecodeError> {
    let wire: WireRequest = parse(payload, REQUEST)?;
    let verb = required("verb", wire.verb.as_deref())?;
    let command = build(verb, &wire)?;
    let first_asked_ms = wire.first_asked_ms;
    let directories = at_most(
        "directories",
        DIRECTORIES_MAX,
        wire.directories.unwrap_or_default(),
    )?;
    let directories = directories
        .into_iter()
        .map(|path| bounded("directories", DIRECTORY_LENGTH_MAX, path))
        .collect::<Result<_, _>>()?;
    Ok(Request {
        command,
        directories,
        first_asked_ms,
    })
}

fn flatten(command: &Command) -> WireRequest {
    let plain = |verb: &str| WireRequest {
        verb: Some(verb.to_owned()),
        ..NO_REQUEST
    };
    let named = |verb, names: &[String]| WireRequest {
        names: Some(names.to_vec()),
        ..plain(verb)
    };
    let waiting = |verb, names, wait: &Wait| WireRequest {
        wait: Some(wait.written().to_owned()),
        ..named(verb, names)
    };
    match command {
        Command::List => plain("list"),
        Command::Status { names } => named("status", names),
        Command::Start { names, found, wait } => WireRequest {
            found: (!found.is_empty()).then(|| found.clone()),
            ..waiting("start", names, wait)
        },
        Command::Stop { names, wait } => waiting("stop", names, wait),
        Command::Restart { names, wait, scope } => WireRequest {
            scope: Some(scope.written().to_owned()),
            ..waiting("restart", names, wait)
        },
        Command::Reload { names } => named("reload", names),
        Command::Signal { names, signal } => WireRequest {
            signal: Some(signal.number()),
            ..named("signal", names)
        },
        Command::Freeze { names } => named("freeze", names),
        Command::Thaw { names } => named("thaw", names),
        Command::Reset { names } => named("reset", names),
        Command::Enable { names } => named("enable", names),
        Command::Disable { names } => named("disable", names),
        Command::Set { names, settings } => WireRequest {
            settings: Some(settings.clone()),
            ..named("set", names)
        },
        Command::Definitions { names } => named("definitions", names),
        Command::Logs { names, wish } => WireRequest {
            of: Some(wish.word().to_owned()),
            ..named("logs", names)
        },
        Command::DaemonReload => plain("daemon-reload"),
        Command::Scale { name, count } => WireRequest {
            count: Some(*count),
            ..named("scale", std::slice::from_ref(name))
        },
        Command::Plan { names, wish } => WireRequest {
            of: Some(wish.word().to_owned()),
            scope: match wish {
                Planned::Restart(scope) => Some(scope.written().to_owned()),
                Planned::Start | Planned::Stop | Planned::Reload => None,
            },
            ..named("plan", names)
        },
        Command::DaemonStatus => plain("daemon-status"),
        Command::Upgrade => plain("upgrade"),
        Command::Kill => plain("kill"),
    }
}

fn build(verb: &str, wire: &WireRequest) -> Result<Command, DecodeError> {
    Ok(match verb {
        "list" => Command::List,
        "status" => Command::Status {
            names: names(wire)?,
        },
        "start" => Command::Start {
            names: names(wire)?,
            found: bounded_names("found", wire.found.as_deref().unwrap_or_default())?,
            wait: wait(wire)?,
        },
        "stop" => Command::Stop {
            names: names(wire)?,
            wait: wait(wire)?,
        },
        "restart" => Command::Restart {
            names: names(wire)?,
            wait: wait(wire)?,
            scope: Scope::read_required(wire.scope.as_deref())?,
        },
        "reload" => Command::Reload {
            names: names(wire)?,
        },
        "signal" => Command::Signal {
            names: names(wire)?,
            signal: signal(wire)?,
        },
        "freeze" => Command::Freeze {
            names: names(wire)?,
        },
        "thaw" => Command::Thaw {
            names: names(wire)?,
        },
        "reset" => Command::Reset {
            names: names(wire)?,
        },
        "enable" => Command::Enable {
            names: names(wire)?,
        },
        "disable" => Command::Disable {
            names: names(wire)?,
        },
        "set" => Command::Set {
            names: names(wire)?,
            settings: settings(wire)?,
        },
        "definitions" => Command::Definitions {
            names: names(wire)?,
        },
        "logs" => Command::Logs {
            names: names(wire)?,
            wish: log_wish(wire)?,
        },
        "daemon-reload" => Command::DaemonReload,
        "scale" => Command::Scale {
            name: one_name(wire)?,
            count: count(wire)?,
        },
        "plan" => Command::Plan {
            names: names(wire)?,
            wish: wish(wire)?,
        },
        "daemon-status" => Command::DaemonStatus,
        "upgrade" => Command::Upgrade,
        "kill" => Command::Kill,
        unknown => return Err(DecodeError::unknown_verb(unknown)),
    })
}

fn names(wire: &WireRequest) -> Result<Vec<String>, DecodeError> {
    let names = wire.names.as_deref().unwrap_or_default();
    if names.is_empty() {
        return Err(DecodeError::Missing { field: "names" });
    }
    bounded_names("names", names)
}

/// The name of a request that is about one unit.
fn one_name(wire: &WireRequest) -> Result<String, DecodeError> {
    let mut names = at_most("names", 1, names(wire)?)?;
    names.pop().ok_or(DecodeError::Missing { field: "names" })
}

fn count(wire: &WireRequest) -> Result<u32, DecodeError> {
    let field = "count";
    let count = required(field, wire.count)?;
    match count <= INSTANCES_MAX {
        true => Ok(count),
        false => Err(DecodeError::OutOfRange { field }),
    }
}

fn bounded_names(field: &'static str, names: &[String]) -> Result<Vec<String>, DecodeError> {
    if names.len() > NAMES_MAX {
        let limit = NAMES_MAX;
        return Err(DecodeError::Long { field, limit });
    }
    names
        .iter()
        .map(|name| bounded(field, NAME_LENGTH_MAX, name.clone()))
        .collect()
}

fn settings(wire: &WireRequest) -> Result<Vec<String>, DecodeError> {
    let field = "settings";
    let settings = wire.settings.clone().unwrap_or_default();
    if settings.is_empty() {
        return Err(DecodeError::Missing { field });
    }
    let settings = at_most(field, SETTINGS_MAX, settings)?;
    settings
        .into_iter()
        .map(|setting| bounded(field, SETTING_LENGTH_MAX, setting))
        .collect()
}

fn wait(wire: &WireRequest) -> Result<Wait, DecodeError> {
    Wait::read_required(wire.wait.as_deref())
}

fn wish(wire: &WireRequest) -> Result<Planned, DecodeError> {
    let word = required("of", wire.of.as_deref())?;
    match Planned::of(word) {
        Some(Planned::Restart(_)) => {
            Scope::read_required(wire.scope.as_deref()).map(Planned::Restart)
        }
        Some(wish) => Ok(wish),
        None => Err(DecodeError::unknown_verb(word)),
    }
}

fn log_wish(wire: &WireRequest) -> Result<LogWish, DecodeError> {
    let word = required("of", wire.of.as_deref())?;
    LogWish::of(word).ok_or_else(|| DecodeError::unknown_verb(word))
}

fn signal(wire: &WireRequest) -> Result<Signal, DecodeError> {
    let field = "signal";
    let number = required(field, wire.signal)?;
    Signal::from_number(number).ok_or(DecodeError::OutOfRange { field })
}

fn bounded(field: &'static str, limit: usize, text: String) -> Result<String, DecodeError> {
    if text.len() > limit {
        return Err(DecodeError::Long { field, limit });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn names() -> Vec<String> {
        vec![
            "web".to_owned(),
            "worker@*".to_owned(),
            "\"\n\u{1F600}".to_owned(),
        ]
    }

    fn commands() -> Vec<Command> {
        let mut all = vec![
            Command::List,
            Command::DaemonReload,
            Command::DaemonStatus,
            Command::Upgrade,
            Command::Kill,
        ];
        let names = names();
        all.push(Command::Status {
            names: names.clone(),
        });
        all.push(Command::Definitions {
            names: names.clone(),
        });
        all.push(Command::Reload {
            names: names.clone(),
        });
        all.push(Command::Reset {
            names: names.clone(),
        });
        all.push(Command::Set {
            names: names.clone(),
            settings: vec!["MemoryMax=1".to_owned(), "\"".to_owned()],
        });
        for wish in [LogWish::Rotate, LogWish::Clear] {
            let names = names.clone();
            all.push(Command::Logs { names, wish });
        }
        for (name, count) in [("worker@", 0), ("\"", INSTANCES_MAX)] {
            let name = name.to_owned();
            all.push(Command::Scale { name, count });
        }
        all.push(Command::Freeze {
            names: names.clone(),
        });
        all.push(Command::Thaw {
            names: names.clone(),
        });
        all.push(Command::Enable {
            names: names.clone(),
        });
        all.push(Command::Disable {
            names: names.clone(),
        });
        let restart = [Scope::All, Scope::Running].map(Planned::Restart);
        for wish in [Planned::Start, Planned::Stop, Planned::Reload]
            .into_iter()
            .chain(restart)
        {
            let names = names.clone();
            all.push(Command::Plan { names, wish });
        }
        for number in 1..=64 {
            all.push(Command::Signal {
                names: names.clone(),
                signal: Signal::from_number(number).unwrap(),
            });
        }
        for wait in [Wait::Finished, Wait::Accepted] {
            let names = || names.clone();
            for found in [Vec::new(), names()] {
                all.push(Command::Start {
                    names: names(),
                    found,
                    wait,
                });
            }
            all.push(Command::Stop {
                names: names(),
                wait,
            });
            for scope in [Scope::All, Scope::Running] {
                all.push(Command::Restart {
                    names: names(),
                    wait,
                    scope,
                });
            }
        }
        all
    }

    #[test]
    fn every_command_comes_back_as_it_was() {
        for command in commands() {
            for directories in [vec![], vec!["/a/services".to_owned(), "/ö".to_owned()]] {
                let request = Request {
                    command: command.clone(),
                    first_asked_ms: (!directories.is_empty()).then_some(u64::MAX),
                    directories,
                };
                assert_eq!(decode_request(&encode_request(&request)), Ok(request));
            }
        }
    }

    #[test]
    fn a_hello_comes_back_as_it_was() {
        let hello = Hello {
            protocol: u32::MAX,
            program: "0.1.0".to_owned(),
        };
        assert_eq!(decode_hello(&encode_hello(&hello)), Ok(hello));
        assert_eq!(
            decode_hello(b"{}"),
            Err(DecodeError::Missing { field: "protocol" })
        );
    }

    #[test]
    fn frames_of_the_first_version_still_decode() {
        let hello = br#"{"protocol":1,"program":"0.1.0"}"#;
        assert_eq!(decode_hello(hello).unwrap().protocol, 1);
        let text = br#"{"verb":"restart","names":["web"],"directories":["/s"],"wait":"accepted",
            "scope":"running","signal":null}"#;
        let request = Request {
            command: Command::Restart {
                names: vec!["web".to_owned()],
                wait: Wait::Accepted,
                scope: Scope::Running,
            },
            directories: vec!["/s".to_owned()],
            first_asked_ms: None,
        };
        assert_eq!(decode_request(text), Ok(request));
        let text = br#"{"verb":"list","later":{"field":[1,2]}}"#;
        assert_eq!(decode_request(text).unwrap().command, Command::List);
    }

    fn refused(text: &str) -> String {
        decode_request(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_refusal_names_what_is_wrong() {
        assert_eq!(refused("{}"), "`verb` is missing");
        assert_eq!(refused(r#"{"verb":"fly"}"#), "unknown verb `fly`");
        assert_eq!(refused(r#"{"verb":"\u001b[2J"}"#), "unknown verb `[2J`");
        assert_eq!(refused(r#"{"verb":"stop"}"#), "`names` is missing");
        assert_eq!(
            refused(r#"{"verb":"stop","names":[]}"#),
            "`names` is missing"
        );
        assert_eq!(refused(r#"{"verb":7}"#), "not the JSON of a request");
        let web = r#""names":["web"]"#;
        let soon = format!(r#"{{"verb":"stop",{web},"wait":"soon"}}"#);
        assert_eq!(refused(&soon), "unknown wait `soon`");
        for number in ["0", "65", "-1"] {
            let signal = format!(r#"{{"verb":"signal",{web},"signal":{number}}}"#);
            assert_eq!(refused(&signal), "`signal` is out of range");
        }
    }

    #[test]
    fn lists_and_texts_have_limits() {
        let status = |names: Vec<String>, directories: Vec<String>| {
            let request = Request {
                command: Command::Status { names },
                directories,
                first_asked_ms: None,
            };
            decode_request(&encode_request(&request)).map(drop)
        };
        let web = || vec!["web".to_owned()];
        let long = |field, limit| Err(DecodeError::Long { field, limit });

        assert_eq!(status(vec!["w".to_owned(); NAMES_MAX], vec![]), Ok(()));
        let names = vec!["w".to_owned(); NAMES_MAX + 1];
        assert_eq!(status(names, vec![]), long("names", NAMES_MAX));
        let names = vec!["w".repeat(NAME_LENGTH_MAX + 1)];
        assert_eq!(status(names, vec![]), long("names", NAME_LENGTH_MAX));
        let folders = vec!["/".to_owned(); DIRECTORIES_MAX + 1];
        assert_eq!(status(web(), folders), long("directories", DIRECTORIES_MAX));
        let folders = vec!["/".repeat(DIRECTORY_LENGTH_MAX + 1)];
        assert_eq!(
            status(web(), folders),
            long("directories", DIRECTORY_LENGTH_MAX)
        );
    }
}
