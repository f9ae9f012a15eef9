//! A service's limits on its whole group: what they are to the kernel, and whether this machine can hold them.
//!
//! Owns the way from the keys of systemd.resource-control(5) to the files of cgroup v2. A group that goes on with
//! another definition gets back what the old one had limited.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::sys::cgroup::Cgroup;
use crate::sys::controllers::Controllers;
use crate::sys::process::error_text;
use crate::unit::{
    Amount, Bandwidth, CpuWeight, Delegate, Direction, GroupLimit, MemoryLimit, OomPolicy,
    Resources,
};

use super::account::Account;

/// Microseconds in which a quota of processor time is renewed: systemd's, and the kernel's own.
const CPU_PERIOD_US: u64 = 100_000;
/// `IOWeight=` of who has none.
const IO_WEIGHT: u16 = 100;

/// Something that cannot be had here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) key: &'static str,
    /// For the reader, without the key: object and cause.
    pub(super) reason: String,
    pub(super) errno: i32,
}

/// Where a limit is to hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground<'a> {
    pub(super) controllers: &'a Controllers,
    /// Why there are no groups, if there are none.
    pub(super) no_groups: Option<&'a str>,
}

/// A text for a file of the group's.
struct Order {
    file: &'static CStr,
    text: String,
}

fn order(file: &'static CStr, text: impl Into<String>) -> Order {
    let text = text.into();
    Order { file, text }
}

/// `EOPNOTSUPP`, `ENODEV` and `ENOENT`.
const NOT_SUPPORTED: i32 = 95;
const NO_DEVICE: i32 = 19;
const NO_FILE: i32 = 2;

impl Refused {
    fn new(key: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            key,
            reason,
            errno: NOT_SUPPORTED,
        }
    }

    fn failed(key: &'static str, error: &io::Error) -> Self {
        Self {
            key,
            reason: error_text(error),
            errno: error.raw_os_error().unwrap_or(0),
        }
    }
}

impl Ground<'_> {
    /// What of this cannot be had on this machine.
    pub(super) fn refusals(&self, wanted: &Resources) -> Vec<Refused> {
        let mut refused: Vec<Refused> = Vec::new();
        for limit in &wanted.limits {
            refused.extend(self.lacks(limit.key(), limit.controller()));
        }
        if matches!(wanted.oom_policy, Some(OomPolicy::Stop | OomPolicy::Kill)) {
            refused.extend(self.lacks("OOMPolicy", "memory"));
        }
        match &wanted.delegate {
            Delegate::No => {}
            Delegate::All => {
                refused.extend(
                    self.no_groups
                        .map(|reason| Refused::new("Delegate", format!("no cgroups: {reason}"))),
                );
            }
            Delegate::With(names) => {
                refused.extend(names.iter().find_map(|name| self.lacks("Delegate", name)));
            }
        }
        refused
    }

    /// Why this controller cannot be used, if so.
    fn lacks(&self, key: &'static str, controller: &str) -> Option<Refused> {
        if let Some(reason) = self.no_groups {
            return Some(Refused::new(key, format!("no cgroups: {reason}")));
        }
        if self.controllers.has(controller) {
            return None;
        }
        let reason = self.controllers.reason(controller);
        let reason = reason.unwrap_or("it is not switched on");
        let reason = format!("no {controller} controller: {reason}");
        Some(Refused::new(key, reason))
    }
}

/// Makes a group hold what is `wanted`, where it held what was `before`.
pub(super) fn apply(
    group: &Cgroup,
    before: Option<&Resources>,
    wanted: Option<&Resources>,
) -> Result<(), Refused> {
    let old = before.map_or(&[][..], |before| &before.limits);
    let new = wanted.map_or(&[][..], |wanted| &wanted.limits);
    for limit in old {
        let stays = new.iter().any(|other| other.key() == limit.key());
        if !stays || matches!(limit, GroupLimit::IoBandwidth(..)) {
            lift(group, limit)?;
        }
    }
    for limit in new {
        hold(group, limit)?;
    }
    let threshold = |given: Option<&Resources>| given.and_then(|given| given.restart_memory_max);
    if threshold(wanted).is_some() || threshold(before).is_some() {
        watch_memory(group, wanted)?;
    }
    let kills =
        |given: Option<&Resources>| given.map(Resources::oom_policy) == Some(OomPolicy::Kill);
    if kills(wanted) != kills(before) {
        let text = if kills(wanted) { "1" } else { "0" };
        let written = group.set(c"memory.oom.group", text);
        written.map_err(|error| Refused::failed("OOMPolicy", &error))?;
    }
    Ok(())
}

/// Lets the service's user divide the group, if the unit says so.
pub(super) fn delegate(
    group: &Cgroup,
    wanted: Option<&Resources>,
    owner: &Account,
) -> Result<(), Refused> {
    if wanted.is_none_or(|wanted| wanted.delegate == Delegate::No) {
        return Ok(());
    }
    group.reunite();
    match owner.owner() {
        Some((uid, gid)) => group
            .delegate(uid, gid)
            .map_err(|error| Refused::failed("Delegate", &error)),
        None => Ok(()),
    }
}

/// Puts one limit into force.
pub(super) fn hold(group: &Cgroup, limit: &GroupLimit) -> Result<(), Refused> {
    let orders = orders(limit).map_err(|reason| Refused::new(limit.key(), reason))?;
    for Order { file, text } in orders {
        match group.set(file, &text) {
            Ok(()) => {}
            // Before Linux 5.15 nobody can be idle.
            Err(error) if is_missing(&error) && text == "0" && file == c"cpu.idle" => {}
            Err(error) if is_missing(&error) && file == c"io.weight" => {
                weigh_by_bfq(group, limit)?;
            }
            Err(error) if is_missing(&error) => {
                let reason = format!("the kernel has no {}", file.to_string_lossy());
                return Err(Refused::new(limit.key(), reason));
            }
            Err(error) => return Err(Refused::failed(limit.key(), &error)),
        }
    }
    Ok(())
}

/// Takes back whatever the group may hold beside what is `wanted`, where nobody knows what it held before. `has`:
/// whether there is this controller.
pub(super) fn lift_all_but(
    group: &Cgroup,
    has: impl Fn(&str) -> bool,
    wanted: Option<&Resources>,
) -> Result<(), Refused> {
    let memory = [
        MemoryLimit::Max,
        MemoryLimit::High,
        MemoryLimit::SwapMax,
        MemoryLimit::Min,
        MemoryLimit::Low,
    ];
    let memory = memory.map(|kind| GroupLimit::Memory(kind, Amount::Infinite));
    let others = [
        GroupLimit::CpuQuota(1),
        GroupLimit::CpuWeight(CpuWeight::Idle),
        GroupLimit::TasksMax(Amount::Infinite),
        GroupLimit::IoWeight(IO_WEIGHT),
    ];
    let stays = wanted.map_or(&[][..], |wanted| &wanted.limits);
    for limit in memory.iter().chain(&others) {
        let is_kept = stays.iter().any(|other| other.key() == limit.key());
        if is_kept || !has(limit.controller()) {
            continue;
        }
        match lift(group, limit) {
            // What the kernel does not have it does not hold.
            Err(refused) if refused.errno == NOT_SUPPORTED => {}
            Err(refused) if refused.errno == NO_FILE => {}
            lifted => lifted?,
        }
    }
    if has("memory") && wanted.map(Resources::oom_policy) != Some(OomPolicy::Kill) {
        match group.set(c"memory.oom.group", "0") {
            Err(error) if !is_missing(&error) => return Err(Refused::failed("OOMPolicy", &error)),
            Ok(()) | Err(_) => {}
        }
    }
    lift_devices(group)
}

/// No device is limited any more. A group without the file has none that is.
fn lift_devices(group: &Cgroup) -> Result<(), Refused> {
    let Ok(text) = fs::read_to_string(group.path().join("io.max")) else {
        return Ok(());
    };
    for device in text.lines().filter_map(|line| line.split(' ').next()) {
        let free = format!("{device} rbps=max wbps=max");
        match group.set(c"io.max", &free) {
            Err(error) if error.raw_os_error() != Some(NO_DEVICE) => {
                return Err(Refused::failed("IOReadBandwidthMax", &error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Takes one limit back.
fn lift(group: &Cgroup, limit: &GroupLimit) -> Result<(), Refused> {
    let free = match limit {
        GroupLimit::Memory(MemoryLimit::Min, _) => {
            GroupLimit::Memory(MemoryLimit::Min, Amount::Exact(0))
        }
        GroupLimit::Memory(MemoryLimit::Low, _) => {
            GroupLimit::Memory(MemoryLimit::Low, Amount::Exact(0))
        }
        GroupLimit::Memory(kind, _) => GroupLimit::Memory(*kind, Amount::Infinite),
        GroupLimit::TasksMax(_) => GroupLimit::TasksMax(Amount::Infinite),
        GroupLimit::CpuWeight(_) => GroupLimit::CpuWeight(CpuWeight::Exact(IO_WEIGHT)),
        GroupLimit::IoWeight(_) => GroupLimit::IoWeight(IO_WEIGHT),
        GroupLimit::CpuQuota(_) => {
            let written = group.set(c"cpu.max", "max");
            return written.map_err(|error| Refused::failed(limit.key(), &error));
        }
        GroupLimit::IoBandwidth(direction, all) => {
            return all
                .iter()
                .try_for_each(|one| lift_bandwidth(group, *direction, one));
        }
    };
    hold(group, &free)
}

/// A device that is gone limits nobody any more.
fn lift_bandwidth(group: &Cgroup, direction: Direction, one: &Bandwidth) -> Result<(), Refused> {
    let bytes = u64::MAX;
    let free = Bandwidth {
        bytes,
        ..one.clone()
    };
    let free = GroupLimit::IoBandwidth(direction, vec![free]);
    let gone = match orders(&free) {
        Err(reason) => reason,
        Ok(_) => match hold(group, &free) {
            Err(refused) if refused.errno == NO_DEVICE => refused.reason,
            other => return other,
        },
    };
    ::log::info!("{} needs not be lifted: {gone}", free.key());
    Ok(())
}

/// Has the kernel tell when the memory passes what a restart is to follow on, unless it tells earlier already.
pub(super) fn watch_memory(group: &Cgroup, wanted: Option<&Resources>) -> Result<(), Refused> {
    let threshold = wanted.and_then(|wanted| wanted.restart_memory_max);
    let high = wanted.and_then(|wanted| {
        wanted.limits.iter().find_map(|limit| match limit {
            GroupLimit::Memory(MemoryLimit::High, amount) => bytes(*amount).ok(),
            _ => None,
        })
    });
    let least = [threshold, high].into_iter().flatten().min();
    let text = least.map_or("max".to_owned(), |least| least.to_string());
    match group.set(c"memory.high", &text) {
        // Then it is looked at from time to time.
        Err(error) if is_missing(&error) => Ok(()),
        written => written.map_err(|error| Refused::failed("RestartMemoryMax", &error)),
    }
}

/// What a limit is to the kernel; a sentence where that cannot be told.
fn orders(limit: &GroupLimit) -> Result<Vec<Order>, String> {
    Ok(match limit {
        GroupLimit::Memory(kind, amount) => {
            let file = match kind {
                MemoryLimit::Max => c"memory.max",
                MemoryLimit::High => c"memory.high",
                MemoryLimit::SwapMax => c"memory.swap.max",
                MemoryLimit::Min => c"memory.min",
                MemoryLimit::Low => c"memory.low",
            };
            vec![order(file, text(*amount, bytes)?)]
        }
        GroupLimit::CpuQuota(share) => {
            let quota = u64::from(*share) * CPU_PERIOD_US / 100;
            vec![order(c"cpu.max", format!("{quota} {CPU_PERIOD_US}"))]
        }
        GroupLimit::CpuWeight(CpuWeight::Idle) => vec![order(c"cpu.idle", "1")],
        GroupLimit::CpuWeight(CpuWeight::Exact(weight)) => {
            vec![
                order(c"cpu.idle", "0"),
                order(c"cpu.weight", weight.to_string()),
            ]
        }
        GroupLimit::TasksMax(amount) => vec![order(c"pids.max", text(*amount, tasks)?)],
        GroupLimit::IoWeight(weight) => vec![order(c"io.weight", format!("default {weight}"))],
        GroupLimit::IoBandwidth(direction, all) => {
            let word = match direction {
                Direction::Read => "rbps",
                Direction::Write => "wbps",
            };
            let one = |one: &Bandwidth| {
                let (major, minor) = device(&one.path)?;
                let bytes = match one.bytes {
                    u64::MAX => "max".to_owned(),
                    bytes => bytes.to_string(),
                };
                Ok(order(c"io.max", format!("{major}:{minor} {word}={bytes}")))
            };
            all.iter().map(one).collect::<Result<_, String>>()?
        }
    })
}

fn text(amount: Amount, number: fn(Amount) -> Result<u64, String>) -> Result<String, String> {
    match amount {
        Amount::Infinite => Ok("max".to_owned()),
        amount => number(amount).map(|number| number.to_string()),
    }
}

/// An amount of memory in bytes; a share is one of the machine's.
fn bytes(amount: Amount) -> Result<u64, String> {
    let share = match amount {
        Amount::Exact(bytes) => return Ok(bytes),
        Amount::Infinite => return Ok(u64::MAX),
        Amount::Share(share) => share,
    };
    let text = read("/proc/meminfo")?;
    let total = text.lines().find_map(|line| {
        let number = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?;
        number.trim().parse::<u64>().ok()
    });
    let total = total.ok_or("/proc/meminfo does not tell how much memory there is")?;
    Ok(total * 1024 / 100 * u64::from(share))
}

/// A number of tasks; a share is one of all that the kernel lets be.
fn tasks(amount: Amount) -> Result<u64, String> {
    let share = match amount {
        Amount::Exact(number) => return Ok(number),
        Amount::Infinite => return Ok(u64::MAX),
        Amount::Share(share) => share,
    };
    let mut most = u64::MAX;
    for path in ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"] {
        let number = read(path)?.trim().parse();
        most = most.min(number.map_err(|_| format!("{path} holds no number"))?);
    }
    Ok((most * u64::from(share)).div_ceil(100))
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {}", error_text(&error)))
}

/// The whole disk of a device's file, or of the file system that a path lies on, by the kernel's numbers.
fn device(path: &Path) -> Result<(u64, u64), String> {
    let found = fs::metadata(path);
    let found = found.map_err(|error| format!("{}: {}", path.display(), error_text(&error)))?;
    let number = if found.file_type().is_block_device() {
        found.rdev()
    } else {
        found.dev()
    };
    let (major, minor) = numbers(number);
    let place = format!("/sys/dev/block/{major}:{minor}");
    // Limits are a disk's: a partition's folder lies in its disk's.
    if Path::new(&place).join("partition").exists() {
        let above = fs::read_to_string(format!("{place}/../dev")).unwrap_or_default();
        let parsed = above.trim().split_once(':');
        let parsed = parsed.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        return parsed.ok_or_else(|| format!("{} lies on no disk that is known", path.display()));
    }
    if !Path::new(&place).exists() {
        return Err(format!("{} lies on no block device", path.display()));
    }
    Ok((major, minor))
}

/// How the C library packs a device's two numbers into one, makedev(3).
fn numbers(device: u64) -> (u64, u64) {
    let major = (device >> 8) & 0xfff | (device >> 32) & !0xfff;
    let minor = device & 0xff | (device >> 12) & !0xff;
    (major, minor & 0xffff_ffff)
}

/// BFQ has a file of its own and a smaller range: what is above the default is drawn together, as systemd does it.
fn weigh_by_bfq(group: &Cgroup, limit: &GroupLimit) -> Result<(), Refused> {
    let GroupLimit::IoWeight(weight) = limit else {
        return Ok(());
    };
    let written = group.set(c"io.bfq.weight", &bfq_weight(*weight).to_string());
    written.map_err(|error| match is_missing(&error) {
        true => Refused::new(
            limit.key(),
            "the kernel has neither io.weight nor io.bfq.weight",
        ),
        false => Refused::failed(limit.key(), &error),
    })
}

fn bfq_weight(weight: u16) -> u16 {
    match weight.checked_sub(IO_WEIGHT) {
        None => weight,
        Some(above) => IO_WEIGHT + above / 11,
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::unit::parse_limit;

    use super::*;

    fn written(text: &str) -> Vec<String> {
        let orders = orders(&parse_limit(text).unwrap()).unwrap();
        let show = |order: &Order| format!("{}: {}", order.file.to_string_lossy(), order.text);
        orders.iter().map(show).collect()
    }

    /// A predecessor has died before it lifted what it had written down as lifted.
    #[test]
    fn what_a_group_holds_and_nobody_wants_is_lifted() {
        let folder = std::env::temp_dir().join(format!("diakonos-lift-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let files = ["memory.max", "pids.max", "cpu.max"];
        for file in files {
            fs::write(folder.join(file), "5").unwrap();
        }
        let group = Cgroup::open(folder.clone()).unwrap();
        let mut wanted = Resources::default();
        wanted.set(parse_limit("MemoryMax=64M").unwrap());
        lift_all_but(&group, |_| true, Some(&wanted)).unwrap();
        let held = files.map(|file| fs::read_to_string(folder.join(file)).unwrap());
        assert_eq!(
            held.map(|text| text.trim_end().to_owned()),
            ["5", "max", "max"]
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn limits_are_what_the_kernel_takes() {
        assert_eq!(written("MemoryMax=64M"), ["memory.max: 67108864"]);
        assert_eq!(written("MemorySwapMax=infinity"), ["memory.swap.max: max"]);
        assert_eq!(written("CPUQuota=20%"), ["cpu.max: 20000 100000"]);
        assert_eq!(written("CPUQuota=250%"), ["cpu.max: 250000 100000"]);
        assert_eq!(written("CPUWeight=idle"), ["cpu.idle: 1"]);
        assert_eq!(written("CPUWeight=7"), ["cpu.idle: 0", "cpu.weight: 7"]);
        assert_eq!(written("TasksMax=5"), ["pids.max: 5"]);
        assert_eq!(written("TasksMax=infinity"), ["pids.max: max"]);
        assert_eq!(written("IOWeight=9"), ["io.weight: default 9"]);
    }

    #[test]
    fn shares_are_of_what_the_machine_has() {
        let whole = bytes(Amount::Share(100)).unwrap();
        let half = bytes(Amount::Share(50)).unwrap();
        assert!(whole > 0 && half * 2 <= whole && half * 2 + 100 > whole);
        assert!(tasks(Amount::Share(100)).unwrap() > 1);
    }

    #[test]
    fn a_weight_for_bfq_is_drawn_together() {
        assert_eq!([1, 100, 10_000].map(bfq_weight), [1, 100, 1_000]);
    }

    #[test]
    fn what_is_on_no_disk_has_no_bandwidth() {
        let reason = device(Path::new("/proc/self")).unwrap_err();
        assert!(reason.contains("lies on no block device"), "{reason}");
    }

    #[test]
    fn the_limit_of_a_device_that_is_gone_is_no_hindrance() {
        let folder = std::env::temp_dir().join(format!("diakonos-gone-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let group = Cgroup::open(folder.clone()).unwrap();
        let gone = Bandwidth {
            path: "/missing/for/sure".into(),
            bytes: 1,
        };
        let mut before = Resources::default();
        before.set(GroupLimit::IoBandwidth(Direction::Write, vec![gone]));
        assert_eq!(apply(&group, Some(&before), None), Ok(()));
        fs::remove_dir(&folder).unwrap();
    }

    #[test]
    fn without_groups_every_limit_is_refused_with_the_reason() {
        let controllers = Controllers::default();
        let ground = Ground {
            controllers: &controllers,
            no_groups: Some("nothing is mounted"),
        };
        let mut wanted = Resources::default();
        wanted.set(parse_limit("TasksMax=1").unwrap());
        wanted.oom_policy = Some(OomPolicy::Continue);
        wanted.delegate = Delegate::All;
        let keys: Vec<&str> = ground.refusals(&wanted).iter().map(|one| one.key).collect();
        assert_eq!(keys, ["TasksMax", "Delegate"]);
    }
}
