//! What the processes of a service may use together: the keys of systemd.resource-control(5), and `OOMPolicy=` and
//! `Delegate=`.
//!
//! Owns the shapes of these keys, their reading and their printing. Which file of the kernel's a limit goes to is the
//! daemon's.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;

use crate::sorted;

use super::file::Node;
use super::form::Form;
use super::keys::find;
use super::parse::Reader;
use super::print::word;
use super::report::Fault;
use super::value::{self, Value};
use super::{nearest, size};

const SERVICE: &str = "service";

/// What is given of these keys; nothing of it for most services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// In the order of the keys, each once.
    pub limits: Vec<GroupLimit>,
    pub oom_policy: Option<OomPolicy>,
    pub delegate: Delegate,
    /// Bytes.
    pub restart_memory_max: Option<u64>,
}

/// One limit on all processes of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GroupLimit {
    Memory(MemoryLimit, Amount),
    /// Per cent of one processor, at least 1; can pass 100.
    CpuQuota(u32),
    CpuWeight(CpuWeight),
    TasksMax(Amount),
    /// 1 to 10,000.
    IoWeight(u16),
    IoBandwidth(Direction, Vec<Bandwidth>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryLimit {
    Max,
    High,
    SwapMax,
    Min,
    Low,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amount {
    Exact(u64),
    /// Per cent of what the machine has, 0 to 100.
    Share(u8),
    Infinite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CpuWeight {
    /// 1 to 10,000.
    Exact(u16),
    Idle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    Read,
    Write,
}

/// At most so many bytes a second from or to the device on which this path lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bandwidth {
    pub path: PathBuf,
    pub bytes: u64,
}

/// `OOMPolicy=`, systemd.service(5): what follows when the kernel kills a process of the service for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OomPolicy {
    Continue,
    Stop,
    Kill,
}

/// `Delegate=`: whether the service may divide its group itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Delegate {
    #[default]
    No,
    /// With every controller that there is.
    All,
    /// With these controllers at least, by their names.
    With(Vec<String>),
}

const POLICIES: [(&str, OomPolicy); 3] = [
    ("continue", OomPolicy::Continue),
    ("stop", OomPolicy::Stop),
    ("kill", OomPolicy::Kill),
];

/// Controllers that systemd knows by name; those that only account, or that version 2 does not have, name nothing.
const CONTROLLERS: [&str; 6] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"];

/// The keys that are limits.
const LIMITS: [&str; 11] = [
    "MemoryMax",
    "MemoryHigh",
    "MemorySwapMax",
    "MemoryMin",
    "MemoryLow",
    "CPUQuota",
    "CPUWeight",
    "TasksMax",
    "IOWeight",
    "IOReadBandwidthMax",
    "IOWriteBandwidthMax",
];

impl Resources {
    /// `OOMPolicy=`; one who divides its group knows itself what to do.
    #[must_use]
    pub fn oom_policy(&self) -> OomPolicy {
        match (self.oom_policy, &self.delegate) {
            (Some(policy), _) => policy,
            (None, Delegate::No) => OomPolicy::Stop,
            (None, Delegate::All | Delegate::With(_)) => OomPolicy::Continue,
        }
    }

    /// Puts a limit in the place of the one with the same key, if there is one.
    pub fn set(&mut self, limit: GroupLimit) {
        self.limits.retain(|known| known.key() != limit.key());
        self.limits.push(limit);
        let place = |limit: &GroupLimit| LIMITS.iter().position(|key| *key == limit.key());
        sorted::sort_by_key(&mut self.limits, place);
    }

    /// Takes a key away, and says whether that changed anything.
    pub fn forget(&mut self, key: &str) -> bool {
        let before = self.clone();
        self.limits.retain(|known| known.key() != key);
        match key {
            "OOMPolicy" => self.oom_policy = None,
            "Delegate" => self.delegate = Delegate::No,
            "RestartMemoryMax" => self.restart_memory_max = None,
            _ => {}
        }
        *self != before
    }

    /// What limits the service, each `KEY=VALUE`, for readers.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let memory = self.restart_memory_max.map(size::show);
        let memory = memory.map(|size| format!("RestartMemoryMax={size}"));
        let limits = self.limits.iter().map(ToString::to_string);
        limits.chain(memory).collect()
    }

    /// These keys as lines of a unit file.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines: Vec<(&'static str, String)> = self
            .limits
            .iter()
            .map(|limit| (limit.key(), limit.toml()))
            .collect();
        if let Some(policy) = self.oom_policy {
            lines.push(("OOMPolicy", quoted(word(&POLICIES, &policy))));
        }
        match &self.delegate {
            Delegate::No => {}
            Delegate::All => lines.push(("Delegate", "true".to_owned())),
            Delegate::With(names) => {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                lines.push(("Delegate", format!("[{}]", names.join(", "))));
            }
        }
        if let Some(bytes) = self.restart_memory_max {
            lines.push(("RestartMemoryMax", quoted(&size::show(bytes))));
        }
        lines
    }
}

impl GroupLimit {
    /// The key of the unit file.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Memory(MemoryLimit::Max, _) => "MemoryMax",
            Self::Memory(MemoryLimit::High, _) => "MemoryHigh",
            Self::Memory(MemoryLimit::SwapMax, _) => "MemorySwapMax",
            Self::Memory(MemoryLimit::Min, _) => "MemoryMin",
            Self::Memory(MemoryLimit::Low, _) => "MemoryLow",
            Self::CpuQuota(_) => "CPUQuota",
            Self::CpuWeight(_) => "CPUWeight",
            Self::TasksMax(_) => "TasksMax",
            Self::IoWeight(_) => "IOWeight",
            Self::IoBandwidth(Direction::Read, _) => "IOReadBandwidthMax",
            Self::IoBandwidth(Direction::Write, _) => "IOWriteBandwidthMax",
        }
    }

    /// The kernel's controller that enforces it.
    #[must_use]
    pub fn controller(&self) -> &'static str {
        match self {
            Self::Memory(..) => "memory",
            Self::CpuQuota(_) | Self::CpuWeight(_) => "cpu",
            Self::TasksMax(_) => "pids",
            Self::IoWeight(_) | Self::IoBandwidth(..) => "io",
        }
    }

    fn toml(&self) -> String {
        match self {
            Self::CpuWeight(CpuWeight::Exact(number)) | Self::IoWeight(number) => {
                number.to_string()
            }
            Self::TasksMax(Amount::Exact(number)) => number.to_string(),
            Self::IoBandwidth(_, all) => {
                let all: Vec<String> = all.iter().map(|one| quoted(&one.to_string())).collect();
                format!("[{}]", all.join(", "))
            }
            other => quoted(&other.value()),
        }
    }

    fn value(&self) -> String {
        match self {
            Self::Memory(_, Amount::Exact(bytes)) => size::show(*bytes),
            Self::TasksMax(Amount::Exact(number)) => number.to_string(),
            Self::Memory(_, Amount::Share(share)) | Self::TasksMax(Amount::Share(share)) => {
                format!("{share}%")
            }
            Self::Memory(_, Amount::Infinite) | Self::TasksMax(Amount::Infinite) => {
                "infinity".to_owned()
            }
            Self::CpuQuota(share) => format!("{share}%"),
            Self::CpuWeight(CpuWeight::Idle) => "idle".to_owned(),
            Self::CpuWeight(CpuWeight::Exact(number)) | Self::IoWeight(number) => {
                number.to_string()
            }
            Self::IoBandwidth(_, all) => {
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                all.join(", ")
            }
        }
    }
}

impl fmt::Display for GroupLimit {
    /// `MemoryMax=64M`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key(), self.value())
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), size::show(self.bytes))
    }
}

/// Paths and words of these keys need no escapes but these.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Reads the keys; `None` where none is given.
pub(super) fn read(reader: &mut Reader) -> Option<Box<Resources>> {
    let mut limits = Vec::new();
    for key in LIMITS {
        limits.extend(reader.read(SERVICE, key, |value, _, faults| {
            limit(key, value).map_err(|fault| faults.push(fault)).ok()
        }));
    }
    let resources = Resources {
        limits: limits.into_iter().flatten().collect(),
        oom_policy: reader.one(SERVICE, "OOMPolicy", |v, _| value::choice(v, &POLICIES)),
        delegate: reader
            .one(SERVICE, "Delegate", |v, _| delegate(v))
            .unwrap_or_default(),
        restart_memory_max: reader.one(SERVICE, "RestartMemoryMax", |v, _| restart_memory(v)),
    };
    (resources != Resources::default()).then(|| Box::new(resources))
}

/// Reads a limit that is written `KEY=VALUE`, as a command line has it.
///
/// # Errors
/// What is wrong with it.
pub fn parse_limit(text: &str) -> Result<GroupLimit, String> {
    let Some((key, written)) = text.split_once('=') else {
        return Err(format!(
            "`{}` sets nothing: write KEY=VALUE",
            value::shorten(text)
        ));
    };
    let Some(key) = LIMITS.into_iter().find(|known| *known == key) else {
        let key = value::shorten(key);
        let near = nearest(&key, LIMITS).map(super::did_you_mean);
        let hint = match (near, find(SERVICE, &key)) {
            (_, Some(_)) => format!("while a service runs, these can be: {}", LIMITS.join(", ")),
            (Some(near), None) => near,
            (None, None) => format!("the limits are {}", LIMITS.join(", ")),
        };
        return Err(format!("`{key}` cannot be set: {hint}"));
    };
    let node = match written.parse::<i64>() {
        Ok(number) => Node::Integer(number),
        Err(_) => Node::Text(written.to_owned()),
    };
    let nowhere: Range<usize> = 0..0;
    limit(key, &Spanned::new(nowhere, node)).map_err(|fault| {
        let hint = fault.hint.map(|hint| format!(" ({hint})"));
        format!(
            "{}: {}{}",
            value::shorten(text),
            fault.message,
            hint.unwrap_or_default()
        )
    })
}

fn limit(key: &'static str, value: &Value) -> Result<GroupLimit, Fault> {
    let form = find(SERVICE, key).map_or(Form::Line, |key| key.form);
    let amount = || amount(form, value);
    let weight = || weight(form, value);
    Ok(match key {
        "MemoryMax" => GroupLimit::Memory(MemoryLimit::Max, amount()?),
        "MemoryHigh" => GroupLimit::Memory(MemoryLimit::High, amount()?),
        "MemorySwapMax" => GroupLimit::Memory(MemoryLimit::SwapMax, amount()?),
        "MemoryMin" => GroupLimit::Memory(MemoryLimit::Min, amount()?),
        "MemoryLow" => GroupLimit::Memory(MemoryLimit::Low, amount()?),
        "CPUQuota" => GroupLimit::CpuQuota(quota(form, value)?),
        "CPUWeight" => GroupLimit::CpuWeight(weight()?),
        "TasksMax" => GroupLimit::TasksMax(amount()?),
        "IOWeight" => GroupLimit::IoWeight(value::number(value, 1, 10_000)?),
        "IOReadBandwidthMax" => GroupLimit::IoBandwidth(Direction::Read, bandwidths(form, value)?),
        _ => GroupLimit::IoBandwidth(Direction::Write, bandwidths(form, value)?),
    })
}

/// `infinity`, a percentage, or a number with or without a suffix; which of them may stand is the form's.
fn amount(form: Form, value: &Value) -> Result<Amount, Fault> {
    form.check_quantity(value)?;
    let read = match value.get_ref() {
        Node::Integer(number) => u64::try_from(*number).ok().map(Amount::Exact),
        Node::Text(text) if text == "infinity" => Some(Amount::Infinite),
        Node::Text(text) => match text.strip_suffix('%') {
            Some(share) => share.parse().ok().map(Amount::Share),
            None => size::parse(text).map(Amount::Exact),
        },
        _ => None,
    };
    read.ok_or_else(|| wrong(form, value))
}

fn weight(form: Form, value: &Value) -> Result<CpuWeight, Fault> {
    form.check_quantity(value)?;
    match value.get_ref() {
        Node::Text(_) => Ok(CpuWeight::Idle),
        _ => value::number(value, 1, 10_000).map(CpuWeight::Exact),
    }
}

fn quota(form: Form, value: &Value) -> Result<u32, Fault> {
    form.check_quantity(value)?;
    let share = value::text(value)?.strip_suffix('%');
    let share = share.and_then(|share| share.parse().ok());
    share.ok_or_else(|| wrong(form, value))
}

fn bandwidths(form: Form, value: &Value) -> Result<Vec<Bandwidth>, Fault> {
    let one = |item: &Value| {
        form.check_quantity(item)?;
        let text = value::text(item)?.trim();
        let (path, bytes) = text.rsplit_once([' ', '\t']).unwrap_or_default();
        let bytes = size::parse(bytes).ok_or_else(|| wrong(form, item))?;
        let path = PathBuf::from(path.trim_end());
        Ok(Bandwidth { path, bytes })
    };
    value::items(value).iter().map(one).collect()
}

fn restart_memory(value: &Value) -> Result<u64, Fault> {
    match value::size_in_bytes(value)? {
        0 => Err(value::fault(value, "a service cannot do without memory")),
        bytes => Ok(bytes),
    }
}

fn delegate(value: &Value) -> Result<Delegate, Fault> {
    if let Node::Flag(flag) = value.get_ref() {
        return Ok(if *flag { Delegate::All } else { Delegate::No });
    }
    let mut names = Vec::new();
    for item in value::items(value) {
        let name = value::text(item)?;
        if !CONTROLLERS.contains(&name) {
            return Err(value::unknown_word(item, name, &CONTROLLERS));
        }
        names.push(name.to_owned());
    }
    Ok(if names.is_empty() {
        Delegate::No
    } else {
        Delegate::With(names)
    })
}

fn wrong(form: Form, value: &Value) -> Fault {
    let wanted = form.describe();
    value::fault(value, "the value has the wrong form").hint(format!("expected {wanted}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn limits_read_from_a_command_line_print_as_they_were_written() {
        for text in [
            "MemoryMax=64M",
            "MemoryHigh=10%",
            "MemorySwapMax=0",
            "MemoryLow=infinity",
            "CPUQuota=150%",
            "CPUWeight=200",
            "CPUWeight=idle",
            "TasksMax=20",
            "TasksMax=5%",
            "IOWeight=1",
            "IOReadBandwidthMax=/dev/vda 1M",
        ] {
            assert_eq!(parse_limit(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_set_is_told() {
        for (text, part) in [
            ("MemoryMax", "KEY=VALUE"),
            ("MemoryMx=1", "did you mean `MemoryMax`?"),
            ("User=root", "these can be: MemoryMax"),
            ("MemoryMax=x", "expected size"),
            ("CPUQuota=0%", "expected per cent"),
            ("TasksMax=-1", "expected a number"),
            ("IOWeight=10001", "out of range"),
        ] {
            let reason = parse_limit(text).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    #[test]
    fn a_limit_takes_the_place_of_the_one_before() {
        let mut resources = Resources::default();
        for text in ["TasksMax=1", "MemoryMax=1M", "TasksMax=2"] {
            resources.set(parse_limit(text).unwrap());
        }
        let texts: Vec<String> = resources.limits.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["MemoryMax=1M", "TasksMax=2"]);
    }
}
