//! What `/proc` tells about processes, and who belongs to a service where there is no cgroup.
//!
//! Owns parsing of proc(5). Processes come and go while it is read: one that has vanished is left out, never an
//! error of a list. Decides nothing about those that it finds.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::libc;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Resource, getrlimit};

use super::files;
use super::process::Pid;

/// How many processes one scan looks at.
const SCAN_LIMIT: usize = 65_536;
/// How much of an environment is searched; the kernel's own limit for arguments and environment is 6 MiB at the
/// usual stack.
const ENVIRONMENT_LIMIT: u64 = 6 * 1024 * 1024;
/// A line of `/proc/PID/stat` is some 300 bytes, at most some 1,100.
const STAT_BYTES: usize = 2_048;
const CHUNK_BYTES: usize = 4_096;
/// Of the flags in the ninth field, as proc(5) calls them: the kernel's own.
const PF_EXITING: u64 = 4;

/// A line of `/proc/PID/limits`, its head: "Max file locks".
const LOCK_LINE: &[u8] = b"Max file locks ";
/// `/proc/PID/limits` is some 1,300 bytes, and no line can grow.
const LIMITS_BYTES: usize = 4_096;

/// By what the processes of one life of a service are known, wherever they have gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// `NAME=value`, in the environment that its programs are started with. A program may overwrite that, as those do
    /// that show a title in `ps`.
    pub entry: String,
    /// The limit on file locks, which every process inherits and the kernel has not looked at since Linux 2.4.25: so
    /// nobody has a reason to change it. See `Spawn::lock_limit`.
    pub lock_limit: u64,
}

/// Marks are as large as the kernel's numbers allow: this bit is their highest.
const MARK_BIT: u32 = usize::BITS - 3;

/// A mark for the limit on locks, from any number. What this gives never changes: an older program may have set it.
#[must_use]
pub fn lock_mark(number: u64) -> u64 {
    number >> (66 - usize::BITS) | 1 << MARK_BIT
}

/// Whether a limit on locks is a mark, be it whose it may. Our own is none: where we are a service ourselves, of
/// another daemon, we have it from there, and whoever could be given no mark by us has it, too.
#[must_use]
pub fn is_mark(limit: u64) -> bool {
    limit >> MARK_BIT == 1 && getrlimit(Resource::Locks).current != Some(limit)
}

/// Whether the process, which has this limit on locks, was born with one of the marks.
#[must_use]
pub fn is_marked(pid: Pid, limit: Option<u64>, marks: &[Mark]) -> bool {
    if marks.iter().any(|mark| Some(mark.lock_limit) == limit) {
        return true;
    }
    // Who bears another life's mark need not be asked for its environment, which costs more.
    !limit.is_some_and(is_mark)
        && marks
            .iter()
            .any(|mark| has_environment(pid, mark.entry.as_bytes()))
}

/// Whether this limit on locks is the mark of another life than these: whose number was a process's of theirs.
pub(super) fn is_anothers(limit: Option<u64>, marks: &[Mark]) -> bool {
    let is_own = |limit: u64| marks.iter().any(|mark| mark.lock_limit == limit);
    limit.is_some_and(|limit| is_mark(limit) && !is_own(limit))
}

/// Some of the fields of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: Pid,
    /// `None` for a process whose parent lies outside our PID namespace, and for the first one.
    pub ppid: Option<Pid>,
    /// `None` for kernel threads.
    pub pgrp: Option<Pid>,
    /// `None` for kernel threads.
    pub session: Option<Pid>,
    /// R, S, D, T, t, Z (ended, not reaped), X and others.
    pub state: char,
    /// The end of its first thread has begun.
    is_ending: bool,
    /// User and system time of all threads, in clock ticks, see [`ticks_per_second`].
    pub cpu_ticks: u64,
    pub threads: u32,
    /// Clock ticks from boot to the process's start. With the PID and the boot id it names a process for good.
    pub start_ticks: u64,
    /// How one that has ended did, as wait(2) lays it out; 0 where we have no right to know.
    pub wait_status: i32,
}

impl Stat {
    /// It has ended; only its exit status is left.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// It runs, would run if it had a processor, or waits for a disk.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self.state, 'R' | 'D')
    }

    /// A signal has stopped it, and another one can let it go on.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.state == 'T'
    }

    /// Whether it was certainly there at this time of `CLOCK_BOOTTIME`.
    pub(super) fn began_before(&self, boottime_ms: u64) -> bool {
        let ticks = self.start_ticks.saturating_add(1);
        ticks.saturating_mul(1_000) / ticks_per_second() < boottime_ms
    }
}

/// What the kernel says about one process.
///
/// # Errors
/// `NotFound` or `ESRCH` when there is none; `InvalidData` when the line is not what proc(5) says.
pub fn stat(pid: Pid) -> io::Result<Stat> {
    stat_at(pid, format!("/proc/{pid}/stat").as_ref())
}

fn stat_at(pid: Pid, path: &Path) -> io::Result<Stat> {
    let mut buffer = [0_u8; STAT_BYTES];
    let file = File::open(path)?;
    // The kernel gives the line whole where there is room for it.
    let length = files::read_into(file.as_fd(), &mut buffer)?;
    let line = buffer.get(..length).unwrap_or_default();
    parse_stat(pid, line).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Whether the end of all its threads has begun: one that ends says so before it closes its files, which is some time
/// before anybody can hear of it. Others may work on where the first one has ended.
#[must_use]
pub fn is_ending(pid: Pid) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    let works_on = |path: &Path| matches!(stat_at(pid, path), Ok(stat) if !stat.is_ending);
    !threads
        .flatten()
        .any(|thread| works_on(&thread.path().join("stat")))
}

/// Reads to the end, or as much as there is room for.
fn read_whole(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn parse_stat(pid: Pid, line: &[u8]) -> Option<Stat> {
    // The program's name stands in parentheses and may hold anything, parentheses and spaces too.
    let name_end = line.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(line.get(name_end + 1..)?).ok()?;
    let fields: Fields<'_> = Fields(rest);
    let number = |index| fields.at(index)?.parse::<u64>().ok();
    let process = |index| number(index).and_then(|raw| u32::try_from(raw).ok());
    Some(Stat {
        pid,
        state: fields.at(3)?.chars().next()?,
        is_ending: number(9)? & PF_EXITING != 0,
        ppid: Pid::from_raw(process(4)?),
        pgrp: Pid::from_raw(process(5)?),
        session: Pid::from_raw(process(6)?),
        cpu_ticks: number(14)?.saturating_add(number(15)?),
        threads: process(20)?,
        start_ticks: number(22)?,
        wait_status: fields
            .at(52)
            .and_then(|field| field.parse().ok())
            .unwrap_or(0),
    })
}

/// The fields after the name, by their number in proc(5), which counts from 1 and the name as the second.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn at(&self, index: usize) -> Option<&'a str> {
        self.0.split_ascii_whitespace().nth(index.checked_sub(3)?)
    }
}

/// All processes that there are now, by rising PID as `/proc` lists them. An unreadable `/proc` has none.
#[must_use]
pub fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse().ok().and_then(Pid::from_raw)
    });
    pids.take(SCAN_LIMIT)
        .filter_map(|pid| stat(pid).ok())
        .collect()
}

/// The children of a process, of all its threads, ended ones included.
///
/// # Errors
/// When `/proc` cannot be read or the process is gone.
pub fn children(pid: Pid) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        match fs::read_to_string(task?.path().join("children")) {
            Ok(list) => {
                let pids = list
                    .split_ascii_whitespace()
                    .filter_map(|word| word.parse().ok());
                found.extend(pids.filter_map(Pid::from_raw));
            }
            // A kernel without this file, or a thread that has just ended: the long way finds them all.
            Err(_) => return Ok(children_by_scan(pid)),
        }
    }
    Ok(found)
}

fn children_by_scan(parent: Pid) -> Vec<Pid> {
    all()
        .into_iter()
        .filter(|stat| stat.ppid == Some(parent))
        .map(|stat| stat.pid)
        .collect()
}

/// Bytes of memory that the process holds now, shared pages counted in full.
///
/// # Errors
/// `NotFound` or `ESRCH` when there is no such process.
pub fn rss_bytes(pid: Pid) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = text
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|field| field.parse::<u64>().ok());
    pages
        .map(|pages| pages.saturating_mul(page_size()))
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A process's own memory and its share of what it has in common with others, in bytes; what it holds in all where the
/// kernel does not tell.
///
/// # Errors
/// `NotFound` or `ESRCH` when there is no such process.
pub fn proportional_bytes(pid: Pid) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    match kilobytes {
        Some(kilobytes) => Ok(u64::saturating_mul(kilobytes, 1024)),
        None => rss_bytes(pid),
    }
}

/// The processes that have this file open for writing, as far as we may look into them, by rising PID.
#[must_use]
pub fn writers(path: &Path) -> Vec<Pid> {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    let Ok(wanted) = fs::metadata(path).map(identity) else {
        return Vec::new();
    };
    let has_it = |entry: fs::DirEntry| {
        let writes = entry.metadata().is_ok_and(|link| link.mode() & 0o200 != 0);
        writes
            && fs::metadata(entry.path())
                .map(identity)
                .is_ok_and(|found| found == wanted)
    };
    let holds = |pid: &Pid| {
        let entries = fs::read_dir(format!("/proc/{pid}/fd"));
        entries.is_ok_and(|entries| entries.flatten().any(has_it))
    };
    all()
        .into_iter()
        .map(|stat| stat.pid)
        .filter(holds)
        .collect()
}

/// Our end of the FIFO that lay at `path`, was removed, and is the process's standard output or error still. Nothing
/// where that is not so, or where we may not look at it.
#[must_use]
pub fn open_removed_fifo(pid: Pid, path: &Path) -> Option<OwnedFd> {
    // As proc(5) writes it, without the symbolic links that lead there.
    let folder = path.parent()?.canonicalize().ok()?;
    let mut name = folder.join(path.file_name()?).into_os_string();
    name.push(" (deleted)");
    let outputs = [1, 2].map(|fd| format!("/proc/{pid}/fd/{fd}"));
    let is_it = |link: &&String| fs::read_link(link).is_ok_and(|it| it.as_os_str() == name);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let reader = File::from(open(outputs.iter().find(is_it)?, flags, Mode::empty()).ok()?);
    let is_fifo = reader.metadata().ok()?.file_type().is_fifo();
    is_fifo.then(|| reader.into())
}

/// Whether the environment that the process was started with holds exactly this entry, `NAME=value`. One that
/// cannot be read, or that the process has overwritten, holds nothing.
#[must_use]
pub fn has_environment(pid: Pid, entry: &[u8]) -> bool {
    let Ok(file) = File::open(format!("/proc/{pid}/environ")) else {
        return false;
    };
    holds_entry(file.take(ENVIRONMENT_LIMIT), entry)
}

/// The soft limit on file locks; `None` where there is none, or it cannot be read. That of one that has ended can be
/// read until it is reaped.
#[must_use]
pub fn lock_limit(pid: Pid) -> Option<u64> {
    let mut buffer = [0_u8; LIMITS_BYTES];
    let path = format!("/proc/{pid}/limits");
    let length = read_whole(&mut File::open(path).ok()?, &mut buffer).ok()?;
    parse_lock_limit(buffer.get(..length)?)
}

fn parse_lock_limit(limits: &[u8]) -> Option<u64> {
    let mut lines = limits.split(|byte| *byte == b'\n');
    let values = lines.find_map(|line| line.strip_prefix(LOCK_LINE))?;
    let soft = std::str::from_utf8(values).ok()?;
    soft.split_ascii_whitespace().next()?.parse().ok()
}

/// Looks for an entry among those that NULs separate, a piece at a time.
fn holds_entry(mut source: impl Read, entry: &[u8]) -> bool {
    let mut chunk = [0_u8; CHUNK_BYTES];
    // How much of the current entry has been found equal; `None` once it differs.
    let mut equal = Some(0);
    loop {
        let length = match source.read(&mut chunk) {
            Ok(0) => return equal == Some(entry.len()) && !entry.is_empty(),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return false,
        };
        for byte in chunk.iter().take(length) {
            equal = match (*byte, equal) {
                (0, Some(count)) if count == entry.len() && count > 0 => return true,
                (0, _) => Some(0),
                (byte, Some(count)) if entry.get(count) == Some(&byte) => Some(count + 1),
                _ => None,
            };
        }
    }
}

/// The unit of [`Stat::cpu_ticks`] and [`Stat::start_ticks`], 100 almost everywhere.
#[must_use]
pub fn ticks_per_second() -> u64 {
    system_value(libc::_SC_CLK_TCK).unwrap_or(100)
}

/// Bytes of a page of memory.
#[must_use]
pub fn page_size() -> u64 {
    system_value(libc::_SC_PAGESIZE).unwrap_or(4_096)
}

fn system_value(name: i32) -> Option<u64> {
    // SAFETY: sysconf takes an integer and returns one.
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).ok().filter(|value| *value > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::os::fd::AsFd;

    use rustix::process::{Rlimit, setrlimit};

    use super::super::census::Census;
    use super::super::clock;
    use super::super::kin::{Kin, with_descendants};
    use super::super::process::{
        PidFd, Spawn, Spawned, Stdio, Wait, become_subreaper, reap_orphans, spawn,
    };
    use super::super::testing::{
        alone, await_end, await_readable, become_ordinary, c, read_line, shell,
    };
    use super::*;

    fn pid(raw: u32) -> Pid {
        Pid::from_raw(raw).unwrap()
    }

    /// A mark in the environment alone.
    fn entry(text: &str) -> Mark {
        Mark {
            entry: text.to_owned(),
            lock_limit: u64::MAX - 1,
        }
    }

    /// The members, which both ways of looking find.
    fn found(roots: &[Pid], mark: &Mark) -> Vec<Pid> {
        let marks = std::slice::from_ref(mark);
        let all = Census::take().members(roots, marks);
        let found: Vec<Pid> = all.iter().map(|member| member.pid).collect();
        let ours = children(Pid::current()).unwrap();
        let heads: Vec<Pid> = found
            .iter()
            .copied()
            .filter(|pid| ours.contains(pid))
            .collect();
        let mut remembered = Kin::default();
        remembered.refresh();
        remembered.refresh();
        for kin in [Kin::fresh(), remembered] {
            let members = kin.heads(roots, marks, 0);
            let quick: Vec<Pid> = members.iter().map(|head| head.pid).collect();
            assert_eq!(quick, heads);
            let all = with_descendants(members);
            let mut all: Vec<Pid> = all.iter().map(|member| member.pid).collect();
            all.sort_unstable();
            assert_eq!(all, found);
        }
        assert_eq!(heads.is_empty(), found.is_empty());
        found
    }

    /// Starts a shell whose first line of output is a PID.
    fn shell_and_other(script: &str, marker: &str) -> (Spawned, Pid) {
        let (reader, writer) = files::pipe().unwrap();
        let mut asked = Spawn {
            stdout: Stdio::Fd(writer.as_fd()),
            ..shell(script)
        };
        asked.environment.push(c(marker));
        let spawned = spawn(&asked).unwrap();
        let other = read_line(reader.as_fd()).parse().unwrap();
        (spawned, pid(other))
    }

    fn kill(pid: Pid) {
        let process = PidFd::open(pid).unwrap();
        process.signal(libc::SIGKILL).unwrap();
        await_readable(process.as_fd());
    }

    #[test]
    fn an_end_has_begun_when_no_thread_works_on() {
        let working = spawn(&shell("exec sleep 1000")).unwrap();
        assert!(!is_ending(working.pid));
        working.pidfd.signal(libc::SIGKILL).unwrap();
        // Nobody reaps it meanwhile.
        await_readable(working.pidfd.as_fd());
        assert!(is_ending(working.pid));
        await_end(&working.pidfd);
        assert!(!is_ending(working.pid));
    }

    #[test]
    fn a_line_is_parsed_whatever_the_program_is_called() {
        let line = b"77 (a) S (b\xff) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 2 18 19 20 21\n";
        let stat = parse_stat(pid(77), line).unwrap();
        let expected = Stat {
            pid: pid(77),
            state: 'Z',
            is_ending: true,
            ppid: Some(pid(1)),
            pgrp: Some(pid(2)),
            session: Some(pid(3)),
            cpu_ticks: 11 + 12,
            threads: 2,
            start_ticks: 19,
            wait_status: 0,
        };
        assert_eq!(
            stat,
            Stat {
                start_ticks: 19,
                ..expected
            }
        );
        assert!(stat.is_dead());
        for garbage in [
            "",
            "77",
            "77 (a)",
            "77 (a) S 1 2",
            "77 (a) S x 2 3 4 5 6 7 8 9 10",
        ] {
            assert_eq!(parse_stat(pid(77), garbage.as_bytes()), None);
        }
        assert_eq!(parse_stat(pid(77), b"77 (a) \xff\xff"), None);
    }

    #[test]
    fn a_process_is_told_apart_by_its_stat() {
        alone(
            "sys::proc::tests::a_process_is_told_apart_by_its_stat",
            || {
                become_subreaper().unwrap();
                let (shell, child) =
                    shell_and_other("sleep 1000 & echo $!; exec sleep 1000", "A=b");
                let stat_of_shell = stat(shell.pid).unwrap();
                assert_eq!(stat_of_shell.ppid, Some(Pid::current()));
                assert_eq!(stat_of_shell.session, Some(shell.pid));
                assert_eq!(stat_of_shell.threads, 1);
                assert_eq!(stat(child).unwrap().ppid, Some(shell.pid));
                assert_eq!(children(shell.pid).unwrap(), [child]);
                assert_eq!(children_by_scan(shell.pid), [child]);
                assert!(children(Pid::current()).unwrap().contains(&shell.pid));
                assert!(rss_bytes(shell.pid).unwrap() >= page_size());
                shell.pidfd.signal(libc::SIGKILL).unwrap();
                await_readable(shell.pidfd.as_fd());
                assert!(stat(shell.pid).unwrap().is_dead());
                await_end(&shell.pidfd);
                let gone = stat(shell.pid).unwrap_err();
                assert_eq!(gone.kind(), io::ErrorKind::NotFound);
                assert!(children(shell.pid).is_err());
                assert!(rss_bytes(shell.pid).is_err());
                kill(child);
                assert_eq!(reap_orphans(|_| false), [child]);
            },
        );
    }

    #[test]
    fn all_holds_ourselves_and_the_first() {
        let all = all();
        assert!(all.iter().any(|stat| stat.pid == Pid::current()));
        assert!(all.iter().any(|stat| stat.pid.as_raw() == 1));
    }

    #[test]
    fn an_entry_is_found_only_whole() {
        let holds =
            |environment: &str, entry: &str| holds_entry(environment.as_bytes(), entry.as_bytes());
        assert!(holds("A=1\0ID=ab\0", "ID=ab"));
        assert!(holds("ID=ab", "ID=ab"));
        assert!(!holds("A=1\0ID=abc\0", "ID=ab"));
        assert!(!holds("A=1\0XID=ab\0", "ID=ab"));
        assert!(!holds("A=1\0ID=a\0", "ID=ab"));
        assert!(!holds("\0\0", ""));
        let long = "x".repeat(CHUNK_BYTES - 3) + "\0ID=ab\0";
        assert!(holds(&long, "ID=ab"));
        assert!(!holds(&"x".repeat(3 * CHUNK_BYTES), "ID=ab"));
    }

    #[test]
    fn members_are_found_by_session_parent_and_marker() {
        alone(
            "sys::proc::tests::members_are_found_by_session_parent_and_marker",
            || {
                become_subreaper().unwrap();
                let marker = format!("INVOCATION_ID={}", Pid::current());
                // Forks twice and leaves the session: only what it was started with tells whose it is.
                let escape = "(setsid sh -c 'echo $$; exec sleep 1000' &)";
                let (root, escaped) = shell_and_other(escape, &marker);
                assert_eq!(await_end(&root.pidfd), Wait::Exited(0));
                assert_eq!(stat(escaped).unwrap().ppid, Some(Pid::current()));
                assert_ne!(stat(escaped).unwrap().session, Some(root.pid));
                assert_eq!(found(&[root.pid], &entry(&marker)), [escaped]);
                assert_eq!(found(&[root.pid], &entry("INVOCATION_ID=other")), []);
                kill(escaped);
                assert_eq!(
                    found(&[root.pid], &entry(&marker)),
                    [],
                    "a zombie is no member"
                );
                assert_eq!(reap_orphans(|_| false), [escaped]);
                // Hides its environment, but stays in the session, which outlives its leader.
                let hide = "env -i sh -c 'echo $$; exec sleep 1000' & exec sleep 1000";
                let (root, hidden) = shell_and_other(hide, &marker);
                let mut both = [root.pid, hidden];
                both.sort_unstable();
                assert_eq!(found(&[root.pid], &entry("no=marker")), both);
                assert_eq!(found(&[], &entry(&marker)), both, "by the parent's marker");
                root.pidfd.signal(libc::SIGKILL).unwrap();
                await_readable(root.pidfd.as_fd());
                assert_eq!(found(&[root.pid], &entry("no=marker")), [hidden]);
                await_end(&root.pidfd);
                assert_eq!(found(&[root.pid], &entry("no=marker")), [hidden]);
                kill(hidden);
                assert_eq!(reap_orphans(|_| false), [hidden]);
            },
        );
    }

    #[test]
    fn a_limit_is_a_mark_that_cannot_be_overwritten() {
        alone(
            "sys::proc::tests::a_limit_is_a_mark_that_cannot_be_overwritten",
            || {
                become_subreaper().unwrap();
                let born_ms = clock::boottime_ms();
                // Nobody else's: this test may run twice on a machine, and one that was killed leaves its process.
                let number = u64::from(Pid::current().as_raw()) << 40 | born_ms << 2;
                let mark = Mark {
                    entry: "no=marker".to_owned(),
                    lock_limit: lock_mark(number),
                };
                let (reader, writer) = files::pipe().unwrap();
                // Leaves its session, its parent and its environment behind.
                let asked = Spawn {
                    stdout: Stdio::Fd(writer.as_fd()),
                    lock_limit: Some(mark.lock_limit),
                    ..shell("(env -i setsid sh -c 'echo $$; exec sleep 1000' &)")
                };
                let root = spawn(&asked).unwrap();
                let hidden = pid(read_line(reader.as_fd()).parse().unwrap());
                assert_eq!(await_end(&root.pidfd), Wait::Exited(0));
                assert_eq!(found(&[], &mark), [hidden]);
                let heads = |since_ms| {
                    let heads = Kin::fresh().heads(&[], std::slice::from_ref(&mark), since_ms);
                    heads.iter().map(|head| head.pid).collect::<Vec<Pid>>()
                };
                assert_eq!(heads(born_ms), [hidden]);
                assert_eq!(heads(u64::MAX), []);
                let ours = Pid::current();
                assert!(!is_marked(ours, lock_limit(ours), &[mark]));
                kill(hidden);
                assert_eq!(reap_orphans(|_| false), [hidden]);
            },
        );
    }

    #[test]
    fn a_roots_number_that_another_life_has_now_brings_nobody_in() {
        alone(
            "sys::proc::tests::a_roots_number_that_another_life_has_now_brings_nobody_in",
            || {
                become_subreaper().unwrap();
                let (reader, writer) = files::pipe().unwrap();
                let asked = Spawn {
                    stdout: Stdio::Fd(writer.as_fd()),
                    lock_limit: Some(lock_mark(u64::MAX >> 1)),
                    ..shell("sh -c 'echo $$; exec sleep 1000' & wait")
                };
                let another = spawn(&asked).unwrap();
                let child = pid(read_line(reader.as_fd()).parse().unwrap());
                assert_eq!(found(&[another.pid], &entry("no=marker")), []);
                // Nor its session, which has outlived it.
                another.pidfd.signal(libc::SIGKILL).unwrap();
                await_end(&another.pidfd);
                assert_eq!(stat(child).unwrap().session, Some(another.pid));
                assert_eq!(found(&[another.pid], &entry("no=marker")), []);
                kill(child);
                assert_eq!(reap_orphans(|_| false), [child]);
            },
        );
    }

    #[test]
    fn a_mark_of_our_own_makes_nobody_a_stranger() {
        alone(
            "sys::proc::tests::a_mark_of_our_own_makes_nobody_a_stranger",
            || {
                let own = Some(lock_mark(0));
                let limit = Rlimit {
                    current: own,
                    maximum: own,
                };
                setrlimit(Resource::Locks, limit).unwrap();
                become_ordinary();
                become_subreaper().unwrap();
                let entry = format!("INVOCATION_ID={}", Pid::current());
                let mark = Mark {
                    entry: entry.clone(),
                    lock_limit: lock_mark(u64::MAX),
                };
                let unknown = Mark {
                    entry: "no=marker".to_owned(),
                    ..mark.clone()
                };
                let (reader, writer) = files::pipe().unwrap();
                // Refused, since ours is lower: only its environment tells whose it is.
                let mut asked = Spawn {
                    stdout: Stdio::Fd(writer.as_fd()),
                    lock_limit: Some(mark.lock_limit),
                    ..shell("sh -c 'echo $$; exec sleep 1000' & wait")
                };
                asked.environment.push(c(&entry));
                let root = spawn(&asked).unwrap();
                let child = pid(read_line(reader.as_fd()).parse().unwrap());
                assert_eq!(lock_limit(root.pid), own);
                let mut both = [root.pid, child];
                both.sort_unstable();
                assert_eq!(found(&[root.pid], &unknown), both, "by its number");
                assert_eq!(found(&[], &mark), both, "by its environment");
                root.pidfd.signal(libc::SIGKILL).unwrap();
                await_end(&root.pidfd);
                assert_eq!(found(&[root.pid], &unknown), [child], "by its session");
                kill(child);
                assert_eq!(reap_orphans(|_| false), [child]);
            },
        );
    }

    #[test]
    fn the_limit_on_locks_is_read() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax file size  1  2  bytes\n\
                    Max file locks            12345                67890                locks     \n";
        assert_eq!(parse_lock_limit(text.as_bytes()), Some(12_345));
        let unlimited = text.replace("12345", "unlimited");
        for garbage in [&unlimited, "", "Max file locks ", "Max file locks x"] {
            assert_eq!(parse_lock_limit(garbage.as_bytes()), None, "{garbage:?}");
        }
    }

    #[test]
    fn a_stranger_with_a_roots_number_brings_nobody_in() {
        let parent = pid(std::os::unix::process::parent_id());
        assert_eq!(found(&[parent], &entry("no=marker")), []);
        assert_eq!(found(&[Pid::current()], &entry("no=marker")), []);
    }

    #[test]
    fn the_machine_has_memory_pages_and_ticks() {
        assert!(page_size().is_power_of_two());
        assert!(ticks_per_second() >= 100);
    }
}
