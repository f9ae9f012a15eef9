//! The names of Linux's capabilities, capabilities(7), and sets of them as `CapabilityBoundingSet=` and
//! `AmbientCapabilities=` write them.

use super::file::Node;
use super::nearest;
use super::report::{Fault, did_you_mean};
use super::value::{Value, fault, items, shorten, text};

/// By number.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A set of capabilities: bit by bit, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Every capability, those of kernels to come too.
    pub const ALL: Self = Self(u64::MAX);
    pub const EMPTY: Self = Self(0);

    /// The bits, by number.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The names of those that have one.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let known = NAMES.iter().enumerate();
        known
            .filter(move |(number, _)| self.0 & (1 << number) != 0)
            .map(|(_, name)| *name)
    }

    /// The list as a unit file has it, for [`read`].
    pub(super) fn words(self) -> Vec<String> {
        // What has no name cannot be written: the rest of a set that is nearly full can be.
        let inverted = self.0 >> NAMES.len() != 0;
        let listed = if inverted { Self(!self.0) } else { self };
        let sign = if inverted { "~" } else { "" };
        let mut words: Vec<String> = listed.names().map(|name| format!("{sign}{name}")).collect();
        if words.is_empty() && inverted {
            words.push(sign.to_owned());
        }
        words
    }
}

/// Reads a list: a text after `~` takes away, and where it is the first, from the full set.
pub(super) fn read(value: &Value, faults: &mut Vec<Fault>) -> Capabilities {
    let mut set = None;
    for item in items(value) {
        match one(item) {
            Ok((Sign::Plus, bits)) => set = Some(set.unwrap_or(0) | bits),
            Ok((Sign::Minus, bits)) => set = Some(set.unwrap_or(u64::MAX) & !bits),
            Err(fault) => faults.push(fault),
        }
    }
    Capabilities(set.unwrap_or(0))
}

enum Sign {
    Plus,
    Minus,
}

fn one(value: &Value) -> Result<(Sign, u64), Fault> {
    let written = match value.get_ref() {
        Node::List(_) => return Err(super::value::wrong_type(value, "a text")),
        _ => text(value)?,
    };
    let (sign, names) = match written.strip_prefix('~') {
        Some(names) => (Sign::Minus, names),
        None => (Sign::Plus, written),
    };
    let mut bits = 0;
    for name in names.split_ascii_whitespace() {
        let wanted = name.to_ascii_uppercase();
        let Some(number) = NAMES.iter().position(|known| *known == wanted) else {
            let message = format!("`{}` is not a capability", shorten(name));
            let near = nearest(&wanted, NAMES.iter().copied()).map(did_you_mean);
            let hint = near.unwrap_or_else(|| "such as \"CAP_NET_BIND_SERVICE\"".to_owned());
            return Err(fault(value, message).hint(hint));
        };
        bits |= 1 << number;
    }
    Ok((sign, bits))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::super::tests::service;
    use super::*;

    fn bounding(list: &str) -> Capabilities {
        let text = format!("CapabilityBoundingSet = {list}\nExecStart = \"a\"");
        service(&text).sandbox.unwrap().bounding.unwrap()
    }

    #[test]
    fn lists_add_and_take_away() {
        assert_eq!(bounding("[]"), Capabilities::EMPTY);
        assert_eq!(bounding("\"CAP_CHOWN cap_kill\"").bits(), 0x21);
        assert_eq!(bounding("\"~CAP_CHOWN CAP_KILL\"").bits(), !0x21);
        assert_eq!(bounding("[\"~CAP_CHOWN\", \"CAP_CHOWN\"]").bits(), u64::MAX);
        assert_eq!(
            bounding("[\"CAP_CHOWN CAP_KILL\", \"~CAP_CHOWN\"]").bits(),
            0x20
        );
        for bits in [0, 1, 0x21, !0x21, u64::MAX] {
            let words = Capabilities::from_bits(bits).words();
            assert_eq!(bounding(&format!("{words:?}")).bits(), bits);
        }
    }
}
