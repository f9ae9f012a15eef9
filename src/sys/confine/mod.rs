//! What a new process is kept from: capabilities, its own view of the file system and the network, Landlock, seccomp.
//!
//! Owns what is prepared for it by the parent and the order in which the child applies it; each means has a file of
//! its own. Between clone and exec only system calls are made here. Which restrictions a service gets is the shell's.

mod calls;
mod capability;
mod filter;
mod landlock;
mod mount;
mod network;

pub use capability::{CapabilitySets, held as held_capabilities};
pub use filter::{Filters, Verdict, filters_available};
pub use landlock::{Rights, Ruleset, version as landlock_version};
pub use mount::{MountFlags, MountStep, Slot};
pub use network::Network;

use std::io;
use std::os::fd::RawFd;

use nix::libc;

use super::child::{Failure, at, check};
use super::step::Step;

/// The restrictions of a process. The default restricts nothing.
#[derive(Debug, Default)]
pub struct Confinement {
    pub no_new_privileges: bool,
    /// `None` leaves the caller's.
    pub capabilities: Option<CapabilitySets>,
    pub network: Network,
    /// Steps in a mount namespace of the process's own; without any it shares the caller's.
    pub mounts: Vec<MountStep>,
    pub ruleset: Option<Ruleset>,
    pub filters: Filters,
}

/// Descriptors of a confinement, as the child has them.
#[derive(Debug, Default)]
pub(super) struct Clear {
    network: Network,
    ruleset: Option<Ruleset>,
}

impl Confinement {
    /// Copies that lie clear of all that the child places below this number.
    pub(super) fn clear(&self, above: RawFd) -> io::Result<Clear> {
        let ruleset = self.ruleset.as_ref();
        Ok(Clear {
            network: self.network.lifted(above)?,
            ruleset: ruleset.map(|known| known.lifted(above)).transpose()?,
        })
    }
}

/// What needs the caller's rights: to be done before the process takes on its user.
pub(super) fn enter(confinement: &Confinement, clear: &Clear) -> Result<(), Failure> {
    network::enter(&clear.network).map_err(at(Step::PrivateNetwork))?;
    mount::enter(&confinement.mounts)?;
    match &confinement.capabilities {
        Some(sets) => capability::limit(sets),
        None => Ok(()),
    }
}

/// The capabilities that outlive the change of user.
pub(super) fn keep(confinement: &Confinement) -> Result<(), Failure> {
    match &confinement.capabilities {
        Some(sets) => capability::keep(sets).map_err(at(Step::AmbientCapabilities)),
        None => Ok(()),
    }
}

/// What would hinder the other steps: the last thing before the program.
pub(super) fn seal(confinement: &Confinement, clear: &Clear) -> Result<(), Failure> {
    if confinement.no_new_privileges {
        // SAFETY: prctl with this option takes integers only.
        let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        check(result.into()).map_err(at(Step::NoNewPrivileges))?;
    }
    if let Some(ruleset) = &clear.ruleset {
        landlock::restrict(ruleset).map_err(at(Step::Landlock))?;
    }
    filter::load(&confinement.filters).map_err(at(Step::SystemCalls))
}
