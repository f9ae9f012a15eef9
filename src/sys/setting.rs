//! What a process is to have beside its program, identity and streams: limits, and how the kernel treats it.
//!
//! Owns the facts, prepared so that the child only has to make system calls, and those calls.

use std::ffi::{CStr, CString};
use std::os::fd::RawFd;
use std::path::Path;
use std::ptr;

use nix::libc;
pub use rustix::process::Resource;
use rustix::process::{Rlimit, getrlimit, setrlimit};

use super::child::check;
use super::confine::Confinement;
use super::files;
use super::handed::Handed;
use super::step::Step;

/// All of it is optional: by default the process has what its parent has.
#[derive(Debug, Default)]
pub struct Setting {
    pub limits: Vec<ResourceLimit>,
    pub scheduling: Scheduling,
    pub root: Option<Root>,
    pub fifo: Option<PlacedFifo>,
    pub handed: Handed,
    /// Where one of these steps fails, the child reports it and goes on.
    pub tolerated: Vec<Step>,
    pub confinement: Option<Box<Confinement>>,
}

/// Another root directory. Needs the right to change it (root).
#[derive(Debug)]
pub struct Root {
    pub path: CString,
    /// Folders that are to be seen in it, each with the folder below it at which it is. With these the process gets a
    /// mount namespace of its own.
    pub shown: Vec<(CString, CString)>,
}

/// A FIFO of ours that the program is to find open, for reading and writing, as [`super::process::OpenMode::ReadWrite`]
/// has it.
#[derive(Debug)]
pub struct PlacedFifo {
    pub path: CString,
    /// The descriptor, 3 or above.
    pub number: u16,
}

/// A limit in the kernel's unit, `u64::MAX` for none.
#[derive(Clone, Copy, Debug)]
pub struct ResourceLimit {
    pub resource: Resource,
    pub soft: u64,
    pub hard: u64,
}

/// What is `None` or empty stays as the parent has it.
#[derive(Debug, Default)]
pub struct Scheduling {
    /// -20 to 19.
    pub nice: Option<i32>,
    /// What is written to `oom_score_adj`: -1000 to 1000.
    pub oom_score_adjust: Option<CString>,
    pub cpus: CpuSet,
    /// With the priority, 0 for those that have none.
    pub cpu: Option<(CpuPolicy, i32)>,
    /// With the priority, 0 to 7.
    pub io: Option<(IoClass, u8)>,
}

/// sched(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuPolicy {
    Other,
    Batch,
    Idle,
    Fifo,
    RoundRobin,
}

/// ioprio_set(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoClass {
    None = 0,
    Realtime = 1,
    BestEffort = 2,
    Idle = 3,
}

/// Processors as the kernel's bits; empty means all that the parent has.
#[derive(Debug, Default)]
pub struct CpuSet(Vec<libc::c_ulong>);

impl FromIterator<u16> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u16>>(cpus: I) -> Self {
        const BITS: usize = libc::c_ulong::BITS as usize;
        let mut words: Vec<libc::c_ulong> = Vec::new();
        for cpu in cpus.into_iter().map(usize::from) {
            if words.len() <= cpu / BITS {
                words.resize(cpu / BITS + 1, 0);
            }
            words[cpu / BITS] |= 1 << (cpu % BITS);
        }
        Self(words)
    }
}

impl CpuSet {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// This process's hard limit, `u64::MAX` for none.
#[must_use]
pub fn hard_limit(resource: Resource) -> u64 {
    getrlimit(resource).maximum.unwrap_or(u64::MAX)
}

/// By way of rustix, since the C libraries do not agree on the types; one system call and nothing else.
pub(super) fn set_limit(limit: ResourceLimit) -> Result<(), i32> {
    let limited = |value: u64| Some(value).filter(|value| *value != u64::MAX);
    let wanted = Rlimit {
        current: limited(limit.soft),
        maximum: limited(limit.hard),
    };
    setrlimit(limit.resource, wanted).map_err(|error| error.raw_os_error())
}

/// Has folders be seen elsewhere, by this process and its children only.
pub(super) fn show(shown: &[(CString, CString)]) -> Result<(), i32> {
    if shown.is_empty() {
        return Ok(());
    }
    // SAFETY: the call takes an integer.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) }.into())?;
    // What is mounted outside from now on is seen here too, and nothing the other way round.
    mount(None, c"/", libc::MS_REC | libc::MS_SLAVE)?;
    for (from, to) in shown {
        mount(Some(from), to, libc::MS_BIND | libc::MS_REC)?;
    }
    Ok(())
}

fn mount(from: Option<&CStr>, to: &CStr, flags: libc::c_ulong) -> Result<(), i32> {
    let from = from.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: the paths are C strings or null, as the kernel allows for what it does not look at.
    let result = unsafe { libc::mount(from, to.as_ptr(), ptr::null(), flags, ptr::null()) };
    check(result.into()).map(drop)
}

/// Changes the root directory, and leaves what was outside.
pub(super) fn change_root(path: &CStr) -> Result<(), i32> {
    // SAFETY: the path is a C string.
    check(unsafe { libc::chroot(path.as_ptr()) }.into())?;
    // SAFETY: as above.
    check(unsafe { libc::chdir(c"/".as_ptr()) }.into()).map(drop)
}

/// As near to it as this process may come, which is below its own hard limit. To lower a limit is nobody's privilege.
pub(super) fn set_nearest_limit(limit: ResourceLimit) -> Result<(), i32> {
    let hard = limit.hard.min(hard_limit(limit.resource));
    let soft = limit.soft.min(hard);
    set_limit(ResourceLimit {
        soft,
        hard,
        ..limit
    })
}

/// Only as much of it as may take a right: a higher hard limit, if that is asked for.
pub(super) fn raise_limit(limit: ResourceLimit) -> Result<(), i32> {
    let own = getrlimit(limit.resource);
    match own.maximum {
        Some(hard) if hard < limit.hard => set_limit(ResourceLimit {
            soft: own.current.unwrap_or(u64::MAX),
            ..limit
        }),
        _ => Ok(()),
    }
}

/// Has the kernel prefer, or spare, this process when memory runs out, proc_pid_oom_score_adj(5).
pub(super) fn set_oom_score(text: &CString) -> Result<(), i32> {
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    // SAFETY: the path is a C string.
    let file: RawFd = unsafe { libc::open(c"/proc/self/oom_score_adj".as_ptr(), flags) };
    check(file.into())?;
    let bytes = text.as_bytes();
    // SAFETY: the bytes are ours and their true length is given.
    let written = unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) };
    let result = check(if written < 0 { -1 } else { 0 });
    // SAFETY: the descriptor was made here.
    unsafe { libc::close(file) };
    result.map(drop)
}

pub(super) fn set_nice(level: i32) -> Result<(), i32> {
    // SAFETY: the call takes three integers; 0 is the caller.
    check(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, level) }).map(drop)
}

/// The processors that this machine has and that are switched on, as the kernel lists them: `0-3,8`. `None` where it
/// does not say.
#[must_use]
pub fn processors() -> Option<String> {
    const LIST: &str = "/sys/devices/system/cpu/online";
    const LIST_MAX: usize = 4_096;
    let content = files::read_regular(Path::new(LIST), LIST_MAX).ok()?;
    let text = String::from_utf8(content.bytes).ok()?;
    let list = text.trim();
    (!list.is_empty()).then(|| list.to_owned())
}

pub(super) fn set_cpus(CpuSet(words): &CpuSet) -> Result<(), i32> {
    let bytes = size_of_val(words.as_slice());
    // SAFETY: the words are ours, and their true length in bytes is given; the kernel only reads them.
    check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, bytes, words.as_ptr()) }).map(drop)
}

/// By the raw call, which musl's version refuses to make.
pub(super) fn set_cpu_policy(policy: CpuPolicy, priority: i32) -> Result<(), i32> {
    let policy = match policy {
        CpuPolicy::Other => libc::SCHED_OTHER,
        CpuPolicy::Batch => libc::SCHED_BATCH,
        CpuPolicy::Idle => libc::SCHED_IDLE,
        CpuPolicy::Fifo => libc::SCHED_FIFO,
        CpuPolicy::RoundRobin => libc::SCHED_RR,
    };
    // The kernel's `struct sched_param` is this number alone.
    let parameter: libc::c_int = priority;
    // SAFETY: the parameter is ours and only read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            policy,
            &raw const parameter,
        )
    };
    check(result).map(drop)
}

pub(super) fn set_io_class(class: IoClass, priority: u8) -> Result<(), i32> {
    /// `IOPRIO_WHO_PROCESS`
    const PROCESS: libc::c_int = 1;
    const CLASS_SHIFT: u32 = 13;
    let value = (class as libc::c_int) << CLASS_SHIFT | libc::c_int::from(priority);
    // SAFETY: the call takes three integers; 0 is the caller.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS, 0, value) }).map(drop)
}
