//! What a service waits for before it counts as up: `ReadyWhen=`.
//!
//! Owns which ways there are, and which of them go with which kind of service. The forms of the looks from outside are
//! `probe.rs`.

use std::fmt;
use std::path::Path;

use super::parse::Reader;
use super::probe::ready_when;
use super::{Folders, Kind, Output, Probe, Service};

const SECTION: &str = "service";
const KEY: &str = "ReadyWhen";

/// When a start is complete, as far as the main process goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// Its program runs; for `forking` and `oneshot`: its process has ended well.
    #[default]
    Executed,
    /// The service says `READY=1`, sd_notify(3).
    Notify,
    /// It writes a newline to this descriptor, 3 to 1023, as s6 has it.
    Descriptor(u16),
    /// Its output says this, within one line.
    Log(Box<str>),
    /// A look from outside succeeds.
    Probe(Box<Probe>),
}

impl fmt::Display for Readiness {
    /// As `ReadyWhen=` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Executed => Ok(()),
            Self::Notify => f.write_str("notify"),
            Self::Descriptor(number) => write!(f, "fd:{number}"),
            Self::Log(text) => write!(f, "log:{text}"),
            Self::Probe(probe) => probe.fmt(f),
        }
    }
}

/// Reads `ReadyWhen=`. A kind that notifies is ready when it says so, unless the key is given.
pub(super) fn read(reader: &mut Reader, kind: Kind) -> Readiness {
    let given = reader.one(SECTION, KEY, ready_when);
    given.unwrap_or(if kind.notifies() {
        Readiness::Notify
    } else {
        Readiness::Executed
    })
}

/// Whether it goes with the rest of the service.
pub(super) fn check(reader: &mut Reader, service: &Service) {
    let says = |output: &Output| matches!(output, Output::Log | Output::LogErr);
    let is_heard = says(&service.stdout) || says(&service.stderr);
    let (message, hint) = match (service.kind, &service.readiness) {
        (_, Readiness::Executed) => return,
        (Kind::Oneshot, _) => (
            "a oneshot is ready when its commands have ended: ReadyWhen= does not go with it",
            "leave it out",
        ),
        (Kind::Forking, _) => (
            "a forking service is ready when its first process has ended: ReadyWhen= does not go with it",
            "run it in the foreground, as Type = \"simple\"",
        ),
        (_, Readiness::Log(_)) if !is_heard => (
            "its output does not go to the log, where ReadyWhen= looks for a text",
            "leave StandardOutput= out, or StandardError=",
        ),
        (_, Readiness::Probe(probe)) => return check_sight(reader, service, probe),
        _ => return,
    };
    reader.complain(SECTION, KEY, message, Some(hint));
}

/// Whether the daemon, which looks from where it is, can see what the service makes where that is.
fn check_sight(reader: &mut Reader, service: &Service, probe: &Probe) {
    let Some(key) = hiding(service, probe) else {
        return;
    };
    // Where the service may go without it, it may be seen as well.
    if service.ignore_unsupported.contains(&key) {
        return;
    }
    let message = format!("`{probe}` looks from outside and sees nothing that {key}= hides");
    let hint = "use ReadyWhen = \"exec:COMMAND\", which looks from inside";
    reader.complain(SECTION, KEY, message, Some(hint));
}

/// The key that keeps the daemon from seeing what this looks for.
fn hiding(service: &Service, probe: &Probe) -> Option<&'static str> {
    let sandbox = service.sandbox.as_deref();
    let has_network = sandbox.is_some_and(|sandbox| sandbox.private_network);
    let path = match probe {
        Probe::Exec(_) => return None,
        Probe::Tcp(_) | Probe::Http(_) => return has_network.then_some("PrivateNetwork"),
        Probe::Unix(place) if place.starts_with('@') => {
            return has_network.then_some("PrivateNetwork");
        }
        Probe::Unix(place) => Path::new(&**place),
        Probe::File(path) => path,
    };
    if service.root_directory.is_some() {
        // Its own folders are where they are outside, and seen inside.
        let mut own = service.folders.iter().flat_map(Folders::paths);
        let is_shown = own.any(|own| path.starts_with(own));
        return (!is_shown).then_some("RootDirectory");
    }
    let is_temporary = ["/tmp", "/var/tmp"].iter().any(|tmp| path.starts_with(tmp));
    let has_own = sandbox.is_some_and(|sandbox| sandbox.private_tmp);
    (is_temporary && has_own).then_some("PrivateTmp")
}
