//! How the kernel is to treat a process: `Nice=`, `OOMScoreAdjust=`, processors, and input and output, systemd.exec(5).
//!
//! Owns their forms and what they demand of each other. Setting them is the shell's.

use crate::sorted;

use super::file::Node;
use super::parse::Reader;
use super::report::Fault;
use super::value::{self, Value, fault, text};

const SERVICE: &str = "service";

/// What is left out stays as the daemon has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scheduling {
    /// -20 to 19.
    pub nice: Option<i32>,
    /// -1000 to 1000.
    pub oom_score_adjust: Option<i32>,
    /// The processors that it may run on, ascending; empty: the daemon's.
    pub cpus: Vec<u16>,
    pub cpu: Option<CpuScheduling>,
    pub io: Option<IoScheduling>,
}

/// `CPUSchedulingPolicy=` and its priority, sched(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CpuScheduling {
    Other,
    Batch,
    Idle,
    /// 1 to 99.
    Fifo(u8),
    /// 1 to 99.
    RoundRobin(u8),
}

/// `IOSchedulingClass=` and its priority, ioprio_set(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IoScheduling {
    None,
    /// 0, the first, to 7.
    Realtime(u8),
    /// 0, the first, to 7.
    BestEffort(u8),
    Idle,
}

impl Scheduling {
    /// The processors as `CPUAffinity=` takes them: `0-3,8`.
    #[must_use]
    pub fn cpu_list(&self) -> String {
        let mut list = String::new();
        let mut cpus = self.cpus.iter().copied().peekable();
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if(|next| *next == last + 1) {
                last = next;
            }
            let part = if list.is_empty() { "" } else { "," };
            list.push_str(&format!("{part}{first}"));
            if last > first {
                list.push_str(&format!("-{last}"));
            }
        }
        list
    }
}

impl CpuScheduling {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Batch => "batch",
            Self::Idle => "idle",
            Self::Fifo(_) => "fifo",
            Self::RoundRobin(_) => "rr",
        }
    }

    #[must_use]
    pub fn priority(self) -> Option<u8> {
        match self {
            Self::Fifo(priority) | Self::RoundRobin(priority) => Some(priority),
            Self::Other | Self::Batch | Self::Idle => None,
        }
    }
}

impl IoScheduling {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Realtime(_) => "realtime",
            Self::BestEffort(_) => "best-effort",
            Self::Idle => "idle",
        }
    }

    #[must_use]
    pub fn priority(self) -> Option<u8> {
        match self {
            Self::Realtime(priority) | Self::BestEffort(priority) => Some(priority),
            Self::None | Self::Idle => None,
        }
    }
}

/// Nothing where none of its keys is written.
pub(super) fn read(reader: &mut Reader) -> Option<Box<Scheduling>> {
    let scheduling = Scheduling {
        nice: reader.one(SERVICE, "Nice", |v, _| value::number(v, -20, 19)),
        oom_score_adjust: reader.one(SERVICE, "OOMScoreAdjust", |v, _| {
            value::number(v, -1_000, 1_000)
        }),
        cpus: cpus(reader),
        cpu: cpu(reader),
        io: io(reader),
    };
    (scheduling != Scheduling::default()).then(|| Box::new(scheduling))
}

fn cpus(reader: &mut Reader) -> Vec<u16> {
    let lists = reader.many(SERVICE, "CPUAffinity", |value, _| processors(value));
    let mut cpus: Vec<u16> = lists.into_iter().flatten().collect();
    sorted::sort(&mut cpus);
    cpus.dedup();
    cpus
}

/// Processors by number and range: `0-3,8`.
pub(super) fn processors(value: &Value) -> Result<Vec<u16>, Fault> {
    /// As many as the kernel can be built for.
    const CPU_MAX: u16 = 8_191;
    if let Node::Integer(_) = value.get_ref() {
        return Ok(vec![value::number(value, 0, i64::from(CPU_MAX))?]);
    }
    let number = |text: &str| text.parse::<u16>().ok().filter(|cpu| *cpu <= CPU_MAX);
    let part = |part: &str| match part.split_once('-') {
        Some((first, last)) => Some(number(first)?..=number(last)?),
        None => Some(number(part)?..=number(part)?),
    };
    let parts = text(value)?
        .split([',', ' '])
        .filter(|part| !part.is_empty());
    let ranges: Option<Vec<_>> = parts.map(part).collect();
    let ranges = ranges.filter(|ranges| {
        !ranges.is_empty() && ranges.iter().all(|range| range.start() <= range.end())
    });
    match ranges {
        Some(ranges) => Ok(ranges.into_iter().flatten().collect()),
        None => Err(fault(
            value,
            "expected processor numbers and ranges, such as \"0-3,8\"",
        )),
    }
}

fn cpu(reader: &mut Reader) -> Option<CpuScheduling> {
    const POLICY: &str = "CPUSchedulingPolicy";
    const PRIORITY: &str = "CPUSchedulingPriority";
    const POLICIES: [(&str, CpuScheduling); 5] = [
        ("other", CpuScheduling::Other),
        ("batch", CpuScheduling::Batch),
        ("idle", CpuScheduling::Idle),
        ("fifo", CpuScheduling::Fifo(1)),
        ("rr", CpuScheduling::RoundRobin(1)),
    ];
    let policy = reader.one(SERVICE, POLICY, |v, _| value::choice(v, &POLICIES));
    let priority = reader.one(SERVICE, PRIORITY, |v, _| value::number(v, 1, 99));
    match (policy, priority) {
        (Some(CpuScheduling::Fifo(_)), Some(priority)) => Some(CpuScheduling::Fifo(priority)),
        (Some(CpuScheduling::RoundRobin(_)), Some(priority)) => {
            Some(CpuScheduling::RoundRobin(priority))
        }
        (policy, None) => policy,
        (policy, Some(_)) => {
            if !reader.is_wrong(SERVICE, POLICY) {
                let message = "only the policies fifo and rr have a priority";
                let hint = "write CPUSchedulingPolicy = \"rr\", or leave the priority out";
                reader.complain(SERVICE, PRIORITY, message, Some(hint));
            }
            policy
        }
    }
}

/// A priority without a class is one of best effort, and the priority in the middle is meant where none is written.
fn io(reader: &mut Reader) -> Option<IoScheduling> {
    const CLASS: &str = "IOSchedulingClass";
    const PRIORITY: &str = "IOSchedulingPriority";
    const MIDDLE: u8 = 4;
    const CLASSES: [(&str, IoScheduling); 4] = [
        ("none", IoScheduling::None),
        ("realtime", IoScheduling::Realtime(MIDDLE)),
        ("best-effort", IoScheduling::BestEffort(MIDDLE)),
        ("idle", IoScheduling::Idle),
    ];
    let class = reader.one(SERVICE, CLASS, |v, _| value::choice(v, &CLASSES));
    let priority = reader.one(SERVICE, PRIORITY, |v, _| value::number(v, 0, 7));
    match (class, priority) {
        (class, None) => class,
        (Some(IoScheduling::Realtime(_)), Some(priority)) => Some(IoScheduling::Realtime(priority)),
        (Some(IoScheduling::BestEffort(_)) | None, Some(priority)) => {
            Some(IoScheduling::BestEffort(priority))
        }
        (Some(IoScheduling::None | IoScheduling::Idle), Some(_)) => {
            let message = "the classes none and idle have no priority";
            reader.complain(SERVICE, PRIORITY, message, None);
            class
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_listed_in_ranges() {
        for (cpus, list) in [
            (&[][..], ""),
            (&[3], "3"),
            (&[0, 1, 2, 5, 7, 8], "0-2,5,7-8"),
        ] {
            let scheduling = Scheduling {
                cpus: cpus.to_vec(),
                ..Scheduling::default()
            };
            assert_eq!(scheduling.cpu_list(), list);
        }
    }
}
