//! Limits on a process: the `Limit…=` keys, systemd.exec(5) and getrlimit(2).
//!
//! Owns their forms, units and table. Setting them is the shell's.

use super::file::Node;
use super::form::Bound;
use super::parse::Reader;
use super::report::Fault;
use super::value::{Value, fault, wrong_type};
use super::{Span, size};

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    Cpu,
    Fsize,
    Data,
    Stack,
    Core,
    Rss,
    Nofile,
    As,
    Nproc,
    Memlock,
    Locks,
    Sigpending,
    Msgqueue,
    Nice,
    Rtprio,
    Rttime,
}

/// The key of each resource, and what its numbers count.
pub(super) const LIMITS: [(Resource, &str, Bound); 16] = [
    (Resource::Cpu, "LimitCPU", Bound::Seconds),
    (Resource::Fsize, "LimitFSIZE", Bound::Size),
    (Resource::Data, "LimitDATA", Bound::Size),
    (Resource::Stack, "LimitSTACK", Bound::Size),
    (Resource::Core, "LimitCORE", Bound::Size),
    (Resource::Rss, "LimitRSS", Bound::Size),
    (Resource::Nofile, "LimitNOFILE", Bound::Count),
    (Resource::As, "LimitAS", Bound::Size),
    (Resource::Nproc, "LimitNPROC", Bound::Count),
    (Resource::Memlock, "LimitMEMLOCK", Bound::Size),
    (Resource::Locks, "LimitLOCKS", Bound::Count),
    (Resource::Sigpending, "LimitSIGPENDING", Bound::Count),
    (Resource::Msgqueue, "LimitMSGQUEUE", Bound::Size),
    (Resource::Nice, "LimitNICE", Bound::Nice),
    (Resource::Rtprio, "LimitRTPRIO", Bound::Count),
    (Resource::Rttime, "LimitRTTIME", Bound::Micros),
];

/// One limit, in the kernel's unit for this resource. The soft one is not above the hard one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    pub resource: Resource,
    pub soft: u64,
    pub hard: u64,
}

impl Limit {
    /// `infinity`, as the kernel has it.
    pub const NONE: u64 = u64::MAX;

    /// `LimitNOFILE`
    #[must_use]
    pub fn key(&self) -> &'static str {
        let known = LIMITS
            .iter()
            .find(|(resource, ..)| *resource == self.resource);
        known.map_or("", |(_, key, _)| key)
    }

    /// `soft:hard`, or one value where they are the same, as the key takes it.
    #[must_use]
    pub fn value(&self) -> String {
        let one = |value: u64| match value {
            Self::NONE => "infinity".to_owned(),
            value => value.to_string(),
        };
        if self.soft == self.hard {
            one(self.soft)
        } else {
            format!("{}:{}", one(self.soft), one(self.hard))
        }
    }
}

/// Those that are written.
pub(super) fn read(reader: &mut Reader) -> Vec<Limit> {
    let mut limits = Vec::new();
    for (resource, key, bound) in LIMITS {
        let both = reader.one("service", key, |value, _| limit(value, bound));
        limits.extend(both.map(|(soft, hard)| Limit {
            resource,
            soft,
            hard,
        }));
    }
    limits
}

/// `soft:hard`, or one value for both.
pub(super) fn limit(value: &Value, bound: Bound) -> Result<(u64, u64), Fault> {
    let wanted = bound.describe();
    let wrong = || {
        let message = format!("expected {wanted}, or \"soft:hard\"");
        fault(value, message)
    };
    let text = match value.get_ref() {
        Node::Integer(number) => &number.to_string(),
        Node::Text(text) => text,
        _ => return Err(wrong_type(value, wanted)),
    };
    let (soft, hard) = match text.split_once(':') {
        Some((soft, hard)) => (bound.read(soft), bound.read(hard)),
        None => (bound.read(text), bound.read(text)),
    };
    let (soft, hard) = soft.zip(hard).ok_or_else(wrong)?;
    if soft > hard {
        return Err(fault(value, "the soft limit is above the hard one"));
    }
    Ok((soft, hard))
}

impl Bound {
    fn describe(self) -> &'static str {
        match self {
            Self::Count => "a number or \"infinity\"",
            Self::Size => "a size or \"infinity\"",
            Self::Seconds => "a time span or \"infinity\"",
            Self::Micros => "a time span, microseconds without a unit, or \"infinity\"",
            Self::Nice => "a nice level with its sign, a number from 0 to 40, or \"infinity\"",
        }
    }

    /// One of the two limits, in the kernel's unit. A span that is no whole number of these is rounded up.
    fn read(self, text: &str) -> Option<u64> {
        let text = text.trim();
        if text == "infinity" {
            return Some(Limit::NONE);
        }
        let value = match self {
            Self::Count => text.parse().ok(),
            Self::Size => size::parse(text),
            Self::Seconds => units(text, 1_000_000_000),
            Self::Micros => match text.parse() {
                Ok(micros) => Some(micros),
                Err(_) => units(text, 1_000),
            },
            Self::Nice => nice(text),
        };
        value.filter(|value| *value != Limit::NONE)
    }
}

/// A span in units of so many nanoseconds.
fn units(text: &str, nanoseconds: u128) -> Option<u64> {
    match Span::parse(text).ok()? {
        Span::Infinite => Some(Limit::NONE),
        Span::Finite(span) => u64::try_from(span.as_nanos().div_ceil(nanoseconds)).ok(),
    }
}

/// The kernel counts from 40 (nice level -20) down to 1 (19), and 0 allows nothing. With a sign the number is a level.
fn nice(text: &str) -> Option<u64> {
    let level: i64 = text.parse().ok()?;
    let signed = text.starts_with(['+', '-']);
    match level {
        -20..=19 if signed => u64::try_from(20 - level).ok(),
        0..=40 if !signed => u64::try_from(level).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_has_its_unit() {
        for (bound, text, value) in [
            (Bound::Count, "1024", Some(1024)),
            (Bound::Count, "1K", None),
            (Bound::Count, "-1", None),
            (Bound::Size, "1K", Some(1024)),
            (Bound::Seconds, "2min", Some(120)),
            (Bound::Seconds, "1ms", Some(1)),
            (Bound::Seconds, "7", Some(7)),
            (Bound::Micros, "7", Some(7)),
            (Bound::Micros, "2ms", Some(2_000)),
            (Bound::Nice, "+5", Some(15)),
            (Bound::Nice, "-20", Some(40)),
            (Bound::Nice, "5", Some(5)),
            (Bound::Nice, "41", None),
            (Bound::Nice, "-21", None),
            (Bound::Size, "infinity", Some(Limit::NONE)),
            (Bound::Count, "18446744073709551615", None),
        ] {
            assert_eq!(bound.read(text), value, "{text}");
        }
    }
}
