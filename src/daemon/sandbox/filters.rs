//! The keys of systemd.exec(5) that are about system calls, as filters.
//!
//! Owns what is filtered for which key. `PrivateDevices=` has a part in it, too: who sees no hardware has no business
//! with its ports.

use std::io;

use crate::engine::SpawnFailure;
use crate::sys::confine::{Filters, Verdict, filters_available};
use crate::sys::process::error_text;
use crate::unit::{Families, Fate, Sandbox, SystemCalls};

use super::super::lenience::Lenience;
use super::super::spawn::failure;
use super::{NOT_PERMITTED, NOT_THERE, refused};

const PORTS: [&str; 5] = [
    "ioperm",
    "iopl",
    "pciconfig_iobase",
    "pciconfig_read",
    "pciconfig_write",
];

/// All filters of a sandbox.
pub(super) fn of(sandbox: &Sandbox) -> Result<Filters, SpawnFailure> {
    let mut filters = Filters::default();
    let set = &mut filters;
    if let Some(families) = &sandbox.families {
        let made = match families {
            Families::Only(numbers) => set.families(numbers, true),
            Families::AllBut(numbers) => set.families(numbers, false),
        };
        made.map_err(failed("RestrictAddressFamilies"))?;
    }
    if sandbox.lock_personality {
        let made = set.lock_personality();
        made.map_err(failed("LockPersonality"))?;
    }
    if sandbox.memory_deny_write_execute {
        let made = set.deny_write_execute();
        made.map_err(failed("MemoryDenyWriteExecute"))?;
    }
    if sandbox.restrict_suid_sgid {
        set.deny_set_id().map_err(failed("RestrictSUIDSGID"))?;
    }
    if sandbox.private_devices && filters_available() {
        let errno = u16::try_from(NOT_PERMITTED).unwrap_or(1);
        let ports = PORTS.map(|name| (name, Verdict::Fail(errno)));
        let made = set.calls(ports.into_iter(), Verdict::Allow);
        made.map_err(failed("PrivateDevices"))?;
    }
    // The last, since it may forbid to load another.
    if let Some(calls) = &sandbox.system_calls {
        system_calls(set, calls).map_err(failed("SystemCallFilter"))?;
    }
    Ok(filters)
}

fn system_calls(filters: &mut Filters, calls: &SystemCalls) -> io::Result<()> {
    let fates = calls.fates();
    let listed = fates.iter().map(|(name, fate)| (*name, verdict(*fate)));
    filters.calls(listed, verdict(calls.default_fate()))
}

fn verdict(fate: Fate) -> Verdict {
    match fate {
        Fate::Allowed => Verdict::Allow,
        Fate::Killed => Verdict::Kill,
        Fate::Fails(errno) => Verdict::Fail(errno),
    }
}

fn failed(key: &'static str) -> impl Fn(io::Error) -> SpawnFailure {
    move |error| failure(key, 0, format!("{key}: {}", error_text(&error)))
}

/// Refuses the keys, and takes them out, where there are no filters.
pub(super) fn refuse(sandbox: &mut Sandbox, lenience: &mut Lenience<'_>) {
    if filters_available() {
        return;
    }
    let given = [
        ("RestrictAddressFamilies", sandbox.families.is_some()),
        ("LockPersonality", sandbox.lock_personality),
        ("MemoryDenyWriteExecute", sandbox.memory_deny_write_execute),
        ("RestrictSUIDSGID", sandbox.restrict_suid_sgid),
        ("SystemCallFilter", sandbox.system_calls.is_some()),
    ];
    for (key, _) in given.into_iter().filter(|(_, given)| *given) {
        let reason = "no filters of system calls (seccomp) for this kernel or architecture";
        lenience.defer(key, refused(key, NOT_THERE, reason));
    }
    sandbox.families = None;
    sandbox.lock_personality = false;
    sandbox.memory_deny_write_execute = false;
    sandbox.restrict_suid_sgid = false;
    sandbox.system_calls = None;
}
