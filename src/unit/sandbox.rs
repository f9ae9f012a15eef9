//! What a service is kept from: the sandbox keys of `[service]`, systemd.exec(5).
//!
//! Owns their model, their reading and their printing. How they are enforced is the shell's and `sys`'s.

use std::path::PathBuf;

use super::List;
use super::capability::{self, Capabilities};
use super::family::{self, Families};
use super::file::Node;
use super::parse::Reader;
use super::report::Fault;
use super::specifier::Scope;
use super::syscall::{self, SystemCalls};
use super::value::{self, Value};

const SERVICE: &str = "service";

pub(super) const PROTECT_SYSTEM: [(&str, ProtectSystem); 2] = [
    ("full", ProtectSystem::Full),
    ("strict", ProtectSystem::Strict),
];

pub(super) const PROTECT_HOME: [(&str, ProtectHome); 2] = [
    ("read-only", ProtectHome::ReadOnly),
    ("tmpfs", ProtectHome::Tmpfs),
];

/// All restrictions of a service. The default restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sandbox {
    pub no_new_privileges: bool,
    /// `None`: the daemon's own.
    pub bounding: Option<Capabilities>,
    pub ambient: Capabilities,
    pub private_tmp: bool,
    pub private_network: bool,
    pub private_devices: bool,
    pub protect_system: ProtectSystem,
    pub protect_home: ProtectHome,
    pub protect_kernel_tunables: bool,
    pub read_only: List<SandboxPath>,
    pub read_write: List<SandboxPath>,
    pub inaccessible: List<SandboxPath>,
    /// `None`: all.
    pub families: Option<Families>,
    /// `None`: all.
    pub system_calls: Option<SystemCalls>,
    pub lock_personality: bool,
    pub memory_deny_write_execute: bool,
    pub restrict_suid_sgid: bool,
}

/// `ProtectSystem=`: what is read-only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProtectSystem {
    #[default]
    No,
    /// `/usr` and the boot loader's folders.
    Yes,
    /// `/etc` too.
    Full,
    /// Everything but `/dev`, `/proc`, `/sys` and the homes.
    Strict,
}

/// `ProtectHome=`: what becomes of `/home`, `/root` and `/run/user`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProtectHome {
    #[default]
    No,
    /// Inaccessible.
    Yes,
    ReadOnly,
    /// Empty folders take their place.
    Tmpfs,
}

/// A path of `ReadOnlyPaths=` and its siblings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SandboxPath {
    /// Absolute.
    pub path: PathBuf,
    /// A leading `-`: it may be missing.
    pub optional: bool,
    /// A leading `+`: it counts from `RootDirectory=`.
    pub rooted: bool,
}

pub(super) fn read(reader: &mut Reader) -> Option<Box<Sandbox>> {
    let sandbox = Sandbox {
        no_new_privileges: flag(reader, "NoNewPrivileges"),
        bounding: reader.read(SERVICE, "CapabilityBoundingSet", |v, _, faults| {
            capability::read(v, faults)
        }),
        ambient: reader
            .read(SERVICE, "AmbientCapabilities", |v, _, faults| {
                capability::read(v, faults)
            })
            .unwrap_or_default(),
        private_tmp: flag(reader, "PrivateTmp"),
        private_network: flag(reader, "PrivateNetwork"),
        private_devices: flag(reader, "PrivateDevices"),
        protect_system: reader
            .one(SERVICE, "ProtectSystem", |v, _| {
                let plain = (ProtectSystem::No, ProtectSystem::Yes);
                flag_or(v, plain, &PROTECT_SYSTEM)
            })
            .unwrap_or_default(),
        protect_home: reader
            .one(SERVICE, "ProtectHome", |v, _| {
                flag_or(v, (ProtectHome::No, ProtectHome::Yes), &PROTECT_HOME)
            })
            .unwrap_or_default(),
        protect_kernel_tunables: flag(reader, "ProtectKernelTunables"),
        read_only: reader.many(SERVICE, "ReadOnlyPaths", path),
        read_write: reader.many(SERVICE, "ReadWritePaths", path),
        inaccessible: reader.many(SERVICE, "InaccessiblePaths", path),
        families: reader
            .read(SERVICE, "RestrictAddressFamilies", |v, _, faults| {
                family::read(v, faults)
            })
            .flatten(),
        system_calls: reader
            .read(SERVICE, "SystemCallFilter", |v, _, faults| {
                syscall::read(v, faults)
            })
            .flatten(),
        lock_personality: flag(reader, "LockPersonality"),
        memory_deny_write_execute: flag(reader, "MemoryDenyWriteExecute"),
        restrict_suid_sgid: flag(reader, "RestrictSUIDSGID"),
    };
    (sandbox != Sandbox::default()).then(|| Box::new(sandbox))
}

fn flag(reader: &mut Reader, key: &'static str) -> bool {
    let flag = reader.one(SERVICE, key, |v, _| value::flag(v));
    flag.unwrap_or(false)
}

/// A flag, or one of the words that say more.
fn flag_or<T: Clone>(
    value: &Value,
    (no, yes): (T, T),
    words: &[(&'static str, T)],
) -> Result<T, Fault> {
    match value.get_ref() {
        Node::Text(_) => value::choice(value, words),
        _ => value::flag(value).map(|flag| if flag { yes } else { no }),
    }
}

/// An absolute path, which `-` before it makes optional and `+` takes from the root directory.
pub(super) fn path(value: &Value, scope: &Scope) -> Result<SandboxPath, Fault> {
    let text = value::text(value)?;
    let (optional, bare) = match text.strip_prefix('-') {
        Some(bare) => (true, bare),
        None => (false, text),
    };
    let (rooted, bare) = match bare.strip_prefix('+') {
        Some(bare) => (true, bare),
        None => (false, bare),
    };
    Ok(SandboxPath {
        path: value::absolute(value, bare, scope)?,
        optional,
        rooted,
    })
}

/// What a key of a sandbox is printed as.
pub(super) enum Written {
    Flag(bool),
    Word(&'static str),
    List(Vec<String>),
}

impl Sandbox {
    /// The keys that say more than the default, for the printer.
    pub(super) fn written(&self) -> Vec<(&'static str, Written)> {
        let flags = [
            ("NoNewPrivileges", self.no_new_privileges),
            ("PrivateTmp", self.private_tmp),
            ("PrivateNetwork", self.private_network),
            ("PrivateDevices", self.private_devices),
            ("ProtectKernelTunables", self.protect_kernel_tunables),
            ("LockPersonality", self.lock_personality),
            ("MemoryDenyWriteExecute", self.memory_deny_write_execute),
            ("RestrictSUIDSGID", self.restrict_suid_sgid),
        ];
        let flags = flags.into_iter().filter(|(_, flag)| *flag);
        let mut written: Vec<_> = flags
            .map(|(key, flag)| (key, Written::Flag(flag)))
            .collect();
        match self.protect_system {
            ProtectSystem::No => {}
            ProtectSystem::Yes => written.push(("ProtectSystem", Written::Flag(true))),
            other => {
                let word = super::print::word(&PROTECT_SYSTEM, &other);
                written.push(("ProtectSystem", Written::Word(word)));
            }
        }
        match self.protect_home {
            ProtectHome::No => {}
            ProtectHome::Yes => written.push(("ProtectHome", Written::Flag(true))),
            other => {
                let word = super::print::word(&PROTECT_HOME, &other);
                written.push(("ProtectHome", Written::Word(word)));
            }
        }
        let mut list = |key, words: Vec<String>| written.push((key, Written::List(words)));
        if let Some(bounding) = self.bounding {
            list("CapabilityBoundingSet", bounding.words());
        }
        if self.ambient != Capabilities::EMPTY {
            list("AmbientCapabilities", self.ambient.words());
        }
        if let Some(families) = &self.families {
            list("RestrictAddressFamilies", families.words());
        }
        if let Some(calls) = &self.system_calls {
            list("SystemCallFilter", calls.words());
        }
        let paths = [
            ("ReadOnlyPaths", &self.read_only),
            ("ReadWritePaths", &self.read_write),
            ("InaccessiblePaths", &self.inaccessible),
        ];
        for (key, paths) in paths.into_iter().filter(|(_, paths)| !paths.is_empty()) {
            list(key, paths.iter().map(SandboxPath::word).collect());
        }
        written
    }
}

impl SandboxPath {
    /// With the signs before it, `%` guarded.
    fn word(&self) -> String {
        let dash = if self.optional { "-" } else { "" };
        let plus = if self.rooted { "+" } else { "" };
        let path = self.path.to_string_lossy().replace('%', "%%");
        format!("{dash}{plus}{path}")
    }
}
