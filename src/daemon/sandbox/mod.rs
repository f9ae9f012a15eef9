//! What a service's process is kept from: from the unit's sandbox keys to what `sys` puts into force.
//!
//! Owns the choice of means: mounts where this daemon may change them, else Landlock; and the refusal of what neither
//! can do, since a restriction that is only believed in is worse than none.

mod allowed;
mod devices;
mod filters;
mod rules;
mod temporary;
mod view;

use std::path::Path;

use crate::engine::SpawnFailure;
use crate::sys::confine::{self, CapabilitySets, Confinement, Network};
use crate::sys::process::{Identity, PidFd, Step, errno_text, error_text};
use crate::unit::{Capabilities, NotifyAccess, ProtectHome, Sandbox};

use super::account::Account;
use super::folders;
use super::lenience::Lenience;
use super::spawn::{Order, failure};

pub(super) use temporary::remove as remove_temporary;

/// `EPERM` and `ENOSYS`.
const NOT_PERMITTED: i32 = 1;
const NOT_THERE: i32 = 38;

const CAP_SETPCAP: u64 = 1 << 8;
const CAP_SYS_RAWIO: u64 = 1 << 17;
const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_MKNOD: u64 = 1 << 27;

/// From this version on Landlock can forbid all writing: before it a file could still be cut to nothing.
const LANDLOCK_VERSION: u32 = 3;

/// What a sandbox needs to know of its surroundings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground<'a> {
    /// The folder of the service's own `/tmp` and `/var/tmp`.
    pub(super) temporary: &'a Path,
    /// The service's main process, if it is alive.
    pub(super) main: Option<&'a PidFd>,
    /// Whether a life of the service begins with this command.
    pub(super) begins: bool,
    /// Files that a process may open again whatever else it may: its log pipes.
    pub(super) pipes: [&'a Path; 2],
}

/// What some steps of the child are about, in the words of the unit file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    key: &'static str,
    path: Box<str>,
    /// The number of the first of its steps; the others follow.
    first: usize,
}

/// The restrictions of a command.
#[derive(Debug)]
pub(super) struct Confined {
    pub(super) confinement: Box<Confinement>,
    /// What its mounts are about, in their order.
    pub(super) places: Vec<Place>,
}

/// All restrictions of a command; `None` where it has none.
pub(super) fn confine(
    order: Order<'_>,
    ground: Ground<'_>,
    lenience: &mut Lenience<'_>,
) -> Result<Option<Confined>, SpawnFailure> {
    let Some(asked) = order.service.sandbox.as_deref() else {
        return Ok(None);
    };
    let held = confine::held_capabilities().map_err(|error| {
        let errno = error.raw_os_error().unwrap_or(0);
        failure("capabilities", errno, error_text(&error))
    })?;
    let account = order.account;
    let who = Who { account, held };
    if order.exec.privileged {
        // It does not see the folders, but the life that begins with it is not to find those of the one before.
        if asked.private_tmp && ground.begins && who.has(CAP_SYS_ADMIN) {
            temporary::provide(ground.temporary, ground.begins)?;
        }
        return Ok(None);
    }
    let mut sandbox = asked.clone();
    let service = order.service;
    let speaks = service.oversight().access != NotifyAccess::None;
    // The path of our socket is not there, and names without one are a network's own.
    let is_out_of_reach = speaks && folders::root(service).is_some();
    refuse(&mut sandbox, (who, is_out_of_reach), lenience)?;
    let mut confinement = Confinement {
        no_new_privileges: sandbox.no_new_privileges,
        capabilities: capabilities(&sandbox),
        network: network(&sandbox, ground)?,
        filters: filters::of(&sandbox)?,
        ..Confinement::default()
    };
    let loses = |identity: &Identity| identity.uid != 0;
    let is_ordinary = !who.has(CAP_SYS_ADMIN) || account.identity.as_ref().is_some_and(loses);
    if is_ordinary && !confinement.filters.is_empty() {
        // The kernel takes filters from nobody who could gain rights under them, as systemd.exec(5) says of each key.
        confinement.no_new_privileges = true;
    }
    let rules = rules::of(order.service, &sandbox, who)?;
    let mut places = Vec::new();
    if who.has(CAP_SYS_ADMIN) {
        let root = folders::root(order.service).unwrap_or(Path::new("/"));
        if sandbox.private_tmp {
            temporary::provide(ground.temporary, ground.begins)?;
        }
        (confinement.mounts, places) = view::steps(&sandbox, &rules, (ground.temporary, root))?;
    } else if let Some(ruleset) = allowed::ruleset(&rules, ground.pipes)? {
        confinement.ruleset = Some(ruleset);
        // The kernel takes Landlock from nobody who could gain rights over it.
        confinement.no_new_privileges = true;
    }
    Ok(Some(Confined {
        confinement: Box::new(confinement),
        places,
    }))
}

/// A step of the child that did not work, in the words of the unit file; the places are those of its mounts.
pub(super) fn failure_at(step: Step, places: &[Place], errno: i32) -> SpawnFailure {
    let cause = errno_text(errno);
    let name = step.name();
    let place = match step {
        Step::Mount(number) => {
            let mut begun = places.iter().rev();
            begun.find(|place| place.first <= usize::from(number))
        }
        // All of them need it; one is named.
        Step::MountNamespace => places.first(),
        _ => None,
    };
    match (step, place) {
        (Step::Mount(_), Some(Place { key, path, .. })) => {
            failure(key, errno, format!("{key}, at {path}: {cause}"))
        }
        (_, Some(Place { key, .. })) => failure(key, errno, format!("{key}: {name}: {cause}")),
        (_, None) => failure(name, errno, format!("{name}: {cause}")),
    }
}

/// What this machine lets us restrict services in, for `daemon-status`.
pub(super) fn ability() -> String {
    let held = confine::held_capabilities().unwrap_or(0);
    let version = confine::landlock_version();
    let mut means = Vec::new();
    if held & CAP_SYS_ADMIN != 0 {
        means.push("mounts and networks of their own".to_owned());
    } else if version >= LANDLOCK_VERSION {
        means.push(format!("files by Landlock, version {version}"));
    }
    if held & CAP_SETPCAP != 0 {
        means.push("capabilities".to_owned());
    }
    if confine::filters_available() {
        means.push("filters of system calls".to_owned());
    }
    means.push("no new privileges".to_owned());
    format!("restrictions: {}", means.join(", "))
}

/// On whose behalf the child acts.
#[derive(Clone, Copy, Debug)]
struct Who<'a> {
    account: &'a Account,
    /// The capabilities of this daemon.
    held: u64,
}

impl Who<'_> {
    fn has(self, capability: u64) -> bool {
        self.held & capability != 0
    }
}

/// A key that cannot be put into force here.
fn refused(key: &'static str, errno: i32, reason: &str) -> SpawnFailure {
    failure(key, errno, format!("{key}: {reason}"))
}

/// Fails for what cannot be done here, and takes out what the service goes on without.
fn refuse(
    sandbox: &mut Sandbox,
    (who, is_out_of_reach): (Who<'_>, bool),
    lenience: &mut Lenience<'_>,
) -> Result<(), SpawnFailure> {
    if sandbox.bounding.is_some() && !who.has(CAP_SETPCAP) {
        let reason = "only root (CAP_SETPCAP) can cut capabilities; an ordinary user's service has \
                      none, and NoNewPrivileges = true keeps it from gaining any";
        let key = "CapabilityBoundingSet";
        lenience.defer(key, refused(key, NOT_PERMITTED, reason));
        sandbox.bounding = None;
    }
    let ambient = sandbox.ambient.bits();
    // "All" means all that there are.
    let missing = Capabilities::from_bits(ambient & !who.held);
    let names: Vec<&str> = missing.names().collect();
    if !names.is_empty() {
        let reason = format!("this daemon has not got {} itself", names.join(" "));
        let key = "AmbientCapabilities";
        lenience.defer(key, refused(key, NOT_PERMITTED, &reason));
    }
    sandbox.ambient = Capabilities::from_bits(ambient & who.held);
    filters::refuse(sandbox, lenience);
    if sandbox.private_network && is_out_of_reach {
        let reason = "the service is to notify us, and would not reach our socket from below its \
                      RootDirectory=";
        let key = "PrivateNetwork";
        lenience.defer(key, refused(key, NOT_PERMITTED, reason));
        sandbox.private_network = false;
    }
    if who.has(CAP_SYS_ADMIN) {
        return lenience.verdict();
    }
    refuse_namespaces(sandbox, who, lenience);
    refuse_landlock(sandbox, lenience);
    lenience.verdict()
}

/// What takes namespaces, and so the right to administer the machine.
fn refuse_namespaces(sandbox: &mut Sandbox, who: Who<'_>, lenience: &mut Lenience<'_>) {
    let mut forgo = |key, what| {
        let reason = format!("only root (CAP_SYS_ADMIN) can {what}");
        lenience.defer(key, refused(key, NOT_PERMITTED, &reason));
    };
    let mount = "change what is mounted";
    if sandbox.private_network {
        forgo("PrivateNetwork", "make a network of its own");
        sandbox.private_network = false;
    }
    if sandbox.private_tmp {
        forgo("PrivateTmp", mount);
        sandbox.private_tmp = false;
    }
    if sandbox.private_devices {
        forgo("PrivateDevices", mount);
        sandbox.private_devices = false;
    }
    if sandbox.protect_home == ProtectHome::Tmpfs {
        forgo(
            "ProtectHome",
            "put empty folders there; `true` hides them too",
        );
        sandbox.protect_home = ProtectHome::No;
    }
    // From another user's processes the kernel's own files are safe by their owner.
    if sandbox.protect_kernel_tunables && who.account.uid == 0 {
        forgo("ProtectKernelTunables", mount);
        sandbox.protect_kernel_tunables = false;
    }
}

/// The keys about files, where the kernel's Landlock does not do what they say.
fn refuse_landlock(sandbox: &mut Sandbox, lenience: &mut Lenience<'_>) {
    let keys = rules::keys(sandbox);
    let version = confine::landlock_version();
    if keys.is_empty() || version >= LANDLOCK_VERSION {
        return;
    }
    let found = match version {
        0 => "it has none, or it is switched off".to_owned(),
        version => format!("it has version {version}"),
    };
    let reason = format!(
        "without root this takes Landlock of version {LANDLOCK_VERSION} (Linux 6.2) in the \
         kernel: {found}"
    );
    for key in keys {
        lenience.defer(key, refused(key, NOT_THERE, &reason));
    }
    *sandbox = Sandbox {
        protect_system: Default::default(),
        protect_home: Default::default(),
        protect_kernel_tunables: false,
        read_only: crate::unit::List::default(),
        read_write: crate::unit::List::default(),
        inaccessible: crate::unit::List::default(),
        ..std::mem::take(sandbox)
    };
}

fn capabilities(sandbox: &Sandbox) -> Option<CapabilitySets> {
    let mut bounding = sandbox.bounding.map_or(u64::MAX, Capabilities::bits);
    if sandbox.private_devices {
        bounding &= !(CAP_MKNOD | CAP_SYS_RAWIO);
    }
    let ambient = sandbox.ambient.bits();
    let sets = CapabilitySets { bounding, ambient };
    (bounding != u64::MAX || ambient != 0).then_some(sets)
}

fn network(sandbox: &Sandbox, ground: Ground<'_>) -> Result<Network, SpawnFailure> {
    if !sandbox.private_network {
        return Ok(Network::Shared);
    }
    let Some(main) = ground.main else {
        return Ok(Network::Own);
    };
    // What the service listens on is reached by its other commands in its own network only.
    Network::of(main).map_err(|error| {
        let errno = error.raw_os_error().unwrap_or(0);
        refused("PrivateNetwork", errno, &error_text(&error))
    })
}
