//! What a service uses, read by the client itself: its processes, CPU time and memory, from its cgroup or from
//! `/proc`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::daemon::mark_of;
use crate::sorted;
use crate::sys::proc::{self, Mark, Stat};
use crate::sys::process::Pid;
use crate::wire::UnitStatus;

/// Processes of one service that are looked at.
const PROCESSES_MAX: usize = 4096;
/// Folders below a service's cgroup that are looked at, one in another.
const DEPTH_MAX: usize = 16;
/// An average over less than this says nothing.
const AVERAGE_MS: u64 = 1_000;
/// What is read of a small file of the kernel's.
const FILE_MAX: u64 = 64 << 10;

/// What a service uses now. `None`: it is not to be known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) cpu_ms: Option<u64>,
    pub(super) memory: Option<u64>,
    /// Threads.
    pub(super) tasks: Option<u64>,
    pub(super) io: Option<Io>,
    /// Parents before their children, each with its depth in the tree.
    pub(super) processes: Vec<Process>,
}

/// Bytes that went from and to disks. Without a controller only those of processes that still live are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Io {
    pub(super) read: u64,
    pub(super) written: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) depth: usize,
    /// Its command line, or its name in brackets where it has none.
    pub(super) command: String,
}

/// One look at `/proc` for any number of services. The processes are listed when first asked for.
#[derive(Debug, Default)]
pub(super) struct Survey {
    all: Option<Vec<Seen>>,
}

#[derive(Debug)]
struct Seen {
    stat: Stat,
    lock_limit: Option<u64>,
}

impl Survey {
    pub(super) fn usage(&mut self, status: &UnitStatus) -> Usage {
        let cgroup = status.cgroup.as_deref().map(Path::new);
        let members = match cgroup {
            Some(path) => cgroup_members(path),
            None => self.found_members(status),
        };
        if members.is_empty() {
            return Usage::default();
        }
        let cpu_ms = cgroup
            .and_then(cgroup_cpu_ms)
            .unwrap_or_else(|| members.iter().map(cpu_ms).sum());
        let memory = cgroup
            .and_then(|path| number(&path.join("memory.current")))
            .unwrap_or_else(|| {
                let rss = members.iter().map(|stat| proc::rss_bytes(stat.pid));
                rss.filter_map(Result::ok).sum()
            });
        let tasks = cgroup
            .and_then(|path| number(&path.join("pids.current")))
            .unwrap_or_else(|| members.iter().map(|stat| threads(stat.pid)).sum());
        let io = cgroup.and_then(cgroup_io).or_else(|| {
            let all = members.iter().map(|stat| process_io(stat.pid));
            all.reduce(|sum, one| Some(sum?.plus(one?))).flatten()
        });
        Usage {
            cpu_ms: Some(cpu_ms),
            memory: Some(memory),
            tasks: Some(tasks),
            io,
            processes: tree(&members),
        }
    }

    /// Without a cgroup: who is in the main process's session or bears the service's mark, and whoever descends from
    /// one of these.
    fn found_members(&mut self, status: &UnitStatus) -> Vec<Stat> {
        let main = status.pid.and_then(Pid::from_raw);
        let invocations = status.invocations.iter();
        let marks: Vec<Mark> = invocations.filter_map(|id| mark_of(id)).collect();
        if main.is_none() && marks.is_empty() {
            return Vec::new();
        }
        let all = self.all.get_or_insert_with(everybody);
        let limit_of = |main| all.iter().find(|one| one.stat.pid == main)?.lock_limit;
        // Where limits can be marks, nobody's environment need be read, which takes long.
        let has_limits = main.and_then(limit_of).is_some_and(proc::is_mark);
        let is_marked = |one: &Seen| match one.lock_limit {
            limit if !has_limits => proc::is_marked(one.stat.pid, limit, &marks),
            limit => marks.iter().any(|mark| Some(mark.lock_limit) == limit),
        };
        let belongs = |one: &&Seen| {
            let stat = &one.stat;
            let is_near = main.is_some() && (Some(stat.pid) == main || stat.session == main);
            is_near || is_marked(one)
        };
        let mut pids: Vec<Pid> = all.iter().filter(belongs).map(|one| one.stat.pid).collect();
        pids.truncate(PROCESSES_MAX);
        loop {
            let strangers = all.iter().filter(|one| !pids.contains(&one.stat.pid));
            let children = strangers.filter(|one| {
                let parent = one.stat.ppid;
                parent.is_some_and(|parent| pids.contains(&parent))
            });
            let more: Vec<Pid> = children.map(|one| one.stat.pid).collect();
            if more.is_empty() || pids.len() > PROCESSES_MAX {
                break;
            }
            pids.extend(more);
        }
        let members = all.iter().filter(|one| pids.contains(&one.stat.pid));
        members.map(|one| one.stat).collect()
    }
}

/// Whoever lives.
fn everybody() -> Vec<Seen> {
    let all = proc::all().into_iter().filter(|stat| !stat.is_dead());
    let seen = all.map(|stat| Seen {
        stat,
        lock_limit: proc::lock_limit(stat.pid),
    });
    seen.collect()
}

fn cgroup_members(path: &Path) -> Vec<Stat> {
    let mut members = Vec::new();
    collect_members(path, 0, &mut members);
    sorted::sort_by_key(&mut members, |stat| stat.pid);
    members
}

/// Groups may lie in groups: the depth is bounded here.
fn collect_members(path: &Path, depth: usize, members: &mut Vec<Stat>) {
    let text = read(&path.join("cgroup.procs")).unwrap_or_default();
    let pids = text
        .lines()
        .filter_map(|line| line.parse().ok())
        .filter_map(Pid::from_raw);
    let stats = pids.filter_map(|pid| proc::stat(pid).ok());
    let room = PROCESSES_MAX.saturating_sub(members.len());
    members.extend(stats.filter(|stat| !stat.is_dead()).take(room));
    if depth >= DEPTH_MAX {
        return;
    }
    let Ok(entries) = std::fs::read_dir(path) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_members(&entry.path(), depth + 1, members);
        }
    }
}

fn cgroup_cpu_ms(path: &Path) -> Option<u64> {
    let text = read(&path.join("cpu.stat"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "))?;
    let microseconds: u64 = line.trim().parse().ok()?;
    Some(microseconds / 1000)
}

impl Io {
    fn plus(self, other: Self) -> Self {
        Self {
            read: self.read.saturating_add(other.read),
            written: self.written.saturating_add(other.written),
        }
    }
}

/// The sum over all disks.
fn cgroup_io(path: &Path) -> Option<Io> {
    let text = read(&path.join("io.stat"))?;
    let mut sum = Io::default();
    for word in text.split_whitespace() {
        let bytes = |key: &str| word.strip_prefix(key).and_then(|text| text.parse().ok());
        sum = sum.plus(Io {
            read: bytes("rbytes=").unwrap_or(0),
            written: bytes("wbytes=").unwrap_or(0),
        });
    }
    Some(sum)
}

/// Nothing where we may not know it.
fn process_io(pid: Pid) -> Option<Io> {
    let text = read(Path::new(&format!("/proc/{pid}/io")))?;
    let bytes = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse().ok()
    };
    Some(Io {
        read: bytes("read_bytes:")?,
        written: bytes("write_bytes:")?,
    })
}

fn threads(pid: Pid) -> u64 {
    let text = read(Path::new(&format!("/proc/{pid}/status"))).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Threads:"));
    line.and_then(|line| line.trim().parse().ok()).unwrap_or(1)
}

fn cpu_ms(stat: &Stat) -> u64 {
    stat.cpu_ticks.saturating_mul(1000) / proc::ticks_per_second().max(1)
}

fn number(path: &Path) -> Option<u64> {
    read(path)?.trim().parse().ok()
}

fn read(path: &Path) -> Option<String> {
    let mut text = Vec::new();
    let file = File::open(path).ok()?;
    file.take(FILE_MAX).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Parents before children, by rising PID among siblings; without recursion.
fn tree(members: &[Stat]) -> Vec<Process> {
    let is_member = |pid: Option<Pid>| pid.is_some_and(|pid| members.iter().any(|m| m.pid == pid));
    let mut pending: Vec<(&Stat, usize)> = Vec::new();
    let roots = members.iter().rev().filter(|stat| !is_member(stat.ppid));
    pending.extend(roots.map(|stat| (stat, 0)));
    let mut processes = Vec::new();
    while let Some((stat, depth)) = pending.pop() {
        processes.push(Process {
            pid: stat.pid.as_raw(),
            depth,
            command: command(stat.pid.as_raw()),
        });
        let children = members
            .iter()
            .rev()
            .filter(|child| child.ppid == Some(stat.pid));
        pending.extend(children.map(|child| (child, depth + 1)));
        if processes.len() >= PROCESSES_MAX {
            break;
        }
    }
    processes
}

/// A process's command line in one line.
fn command(pid: u32) -> String {
    let line = read(Path::new(&format!("/proc/{pid}/cmdline"))).unwrap_or_default();
    let words = line.trim_end_matches('\0').replace('\0', " ");
    if !words.trim().is_empty() {
        return super::text::clean(&words);
    }
    let name = read(Path::new(&format!("/proc/{pid}/comm"))).unwrap_or_default();
    format!("[{}]", super::text::clean(name.trim_end()))
}

/// The average share of one CPU since the run began, in tenths of a per cent; in the first moments there is none.
pub(super) fn cpu_tenths(usage: &Usage, running_ms: u64) -> Option<u64> {
    let cpu_ms = usage.cpu_ms.filter(|_| running_ms >= AVERAGE_MS)?;
    cpu_ms.saturating_mul(1000).checked_div(running_ms)
}

/// See [`proc::proportional_bytes`].
pub(super) fn proportional_memory(pid: u32) -> Option<u64> {
    proc::proportional_bytes(Pid::from_raw(pid)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_found_with_cpu_and_memory() {
        let status = UnitStatus {
            pid: Some(std::process::id()),
            ..UnitStatus::default()
        };
        let usage = Survey::default().usage(&status);
        let own = usage.processes.iter().find(|p| p.pid == std::process::id());
        let program = std::env::args().next().unwrap_or_default();
        let name = program.rsplit('/').next().unwrap_or_default();
        assert!(own.is_some_and(|p| p.command.contains(name)), "{own:?}");
        assert!(usage.memory.is_some_and(|bytes| bytes > 0));
        assert!(usage.cpu_ms.is_some());
    }

    #[test]
    fn a_service_that_is_down_uses_nothing() {
        let usage = Survey::default().usage(&UnitStatus::default());
        assert_eq!(usage, Usage::default());
    }
}
