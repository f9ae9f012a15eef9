//! Between clone and exec: the steps by which a copy of us becomes somebody else's program.
//!
//! Owns the order of the steps. Everything here runs in the child of a process that may have had other threads, so
//! it only makes system calls: no allocation, no lock, no panic, no return. What it needs was prepared by `spawn`.
//! User and group are changed by raw calls, because the C library's versions would try to reach threads that do not
//! exist here.

use std::convert::Infallible;
use std::ffi::{CStr, c_char};
use std::io;
use std::os::fd::RawFd;
use std::ptr;

use super::confine::{self, Clear};
use super::handed::Ready;
use super::process::Identity;
use super::setting::{self, Resource, ResourceLimit, Setting, set_limit};
use super::spawn::{Directory, OpenMode};
use super::step::{REPORT_LENGTH, Step};
use super::streams::{Rights, Stream, open, set_streams};
use nix::libc;

/// Exit code of a child that could not become its program; the report says why, so nobody needs to read it.
const EXIT_FAILED: i32 = 127;

/// Where the one descriptor that is passed on beside the standard streams is placed.
const PASSED_FD: RawFd = 3;

const SIGNALS: i32 = 64;
/// Of the kernel's own signal set, which is smaller than the C library's.
const SIGNAL_SET_BYTES: usize = 8;

/// All that the child does, by reference to memory that its parent prepared.
pub(super) struct Plan<'a> {
    pub(super) program: &'a CStr,
    pub(super) argv: &'a [*const c_char],
    pub(super) environment: &'a [*const c_char],
    pub(super) directory: Option<&'a Directory>,
    pub(super) identity: Option<&'a Identity>,
    /// Who we are.
    pub(super) own_uid: u32,
    pub(super) umask: u32,
    pub(super) streams: [Stream; 3],
    /// A cgroup directory that the child has to enter by itself.
    pub(super) enters: Option<RawFd>,
    pub(super) nofile: Option<(u64, u64)>,
    /// Both the soft and the hard limit on file locks.
    pub(super) lock_limit: Option<u64>,
    /// A descriptor that the program is to find as number 3.
    pub(super) passed: Option<RawFd>,
    pub(super) setting: &'a Setting,
    /// The descriptors of the setting's confinement.
    pub(super) clear: &'a Clear,
    pub(super) handed: &'a Ready,
    /// The status pipe's write end, close-on-exec.
    pub(super) report: RawFd,
}

pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) errno: i32,
}

/// Becomes the program, or reports the step that failed and exits.
pub(super) fn run(plan: &Plan<'_>) -> ! {
    let Err(Failure { step, errno }) = become_program(plan);
    report(plan.report, step.number(), errno);
    exit(EXIT_FAILED)
}

/// One record for the status pipe, see `spawn::decode_report`.
pub(super) fn report(fd: RawFd, first: i32, second: i32) {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
    let record: [u8; REPORT_LENGTH] = [a, b, c, d, e, f, g, h];
    // SAFETY: the record is ours and its true length is given. A pipe takes 8 bytes whole or not at all.
    unsafe { libc::write(fd, record.as_ptr().cast(), record.len()) };
}

pub(super) fn exit(code: i32) -> ! {
    // SAFETY: _exit ends the process at once and runs nothing of the parent's.
    unsafe { libc::_exit(code) }
}

fn become_program(plan: &Plan<'_>) -> Result<Infallible, Failure> {
    default_signals();
    if let Some(directory) = plan.enters {
        enter_cgroup(directory).map_err(at(Step::Cgroup))?;
    }
    // SAFETY: setsid has no arguments; a fresh child leads no process group, so it may.
    check(unsafe { libc::setsid() }.into()).map_err(at(Step::Session))?;
    // Only now, so that a Ctrl-C meant for the terminal's foreground job does not reach us.
    unblock_signals();
    // SAFETY: umask takes an integer and cannot fail.
    unsafe { libc::umask(plan.umask) };
    close_on_exec(PASSED_FD);
    set_streams(plan, Rights::Ours)?;
    if let Some(fd) = plan.passed {
        place(fd, PASSED_FD).map_err(at(Step::Session))?;
    }
    plan.handed.take_effect().map_err(at(Step::Session))?;
    if let Some(fifo) = &plan.setting.fifo {
        let flags = OpenMode::ReadWrite.flags();
        let opened = open(fifo.path.as_ptr(), flags, RawFd::from(fifo.number));
        opened.map_err(at(Step::ReadyDescriptor))?;
    }
    if let Some(mark) = plan.lock_limit {
        // Refused where we bear a lower mark ourselves, and then that one is handed on.
        let _ = set_limit(ResourceLimit {
            resource: Resource::Locks,
            soft: mark,
            hard: mark,
        });
    }
    if let Some((Step::DescriptorLimit, limit)) = descriptor_limit(plan) {
        setting::raise_limit(limit).map_err(at(Step::DescriptorLimit))?;
    }
    if let Some(identity) = plan.identity {
        take_groups(plan, identity)?;
        look_as(identity.uid).map_err(at(Step::User))?;
    }
    set_streams(plan, Rights::Services)?;
    if plan.identity.is_some() {
        look_as(plan.own_uid).map_err(at(Step::User))?;
    }
    set_bounds(plan)?;
    take_place(plan)?;
    // Nothing is opened from here on. Until now it was: above all that our parent has open, which goes with the exec.
    if let Some((step, limit)) = descriptor_limit(plan) {
        settle(plan, step, setting::set_nearest_limit(limit))?;
    }
    let confinement = plan.setting.confinement.as_deref();
    confinement.map_or(Ok(()), |known| confine::seal(known, plan.clear))?;
    // SAFETY: the program is a C string, both vectors end with a null and point to C strings that the plan keeps
    // alive.
    unsafe {
        libc::execve(
            plan.program.as_ptr(),
            plan.argv.as_ptr(),
            plan.environment.as_ptr(),
        );
    }
    Err(Failure {
        step: Step::Exec,
        errno: errno(),
    })
}

/// The limit on descriptors, and whose it is: the unit's own, else the one that everybody gets.
fn descriptor_limit(plan: &Plan<'_>) -> Option<(Step, ResourceLimit)> {
    let resource = Resource::Nofile;
    let mut own = plan.setting.limits.iter();
    if let Some(limit) = own.find(|limit| limit.resource == resource) {
        return Some((Step::Limit(resource), *limit));
    }
    let (soft, hard) = plan.nofile?;
    let limit = ResourceLimit {
        resource,
        soft,
        hard,
    };
    Some((Step::DescriptorLimit, limit))
}

/// The file system and the network as the service is to have them, its user, and where it starts.
fn take_place(plan: &Plan<'_>) -> Result<(), Failure> {
    let confinement = plan.setting.confinement.as_deref();
    let root = plan.setting.root.as_ref();
    if let Some(root) = root {
        setting::show(&root.shown).map_err(at(Step::Folders))?;
    }
    confinement.map_or(Ok(()), |known| confine::enter(known, plan.clear))?;
    if let Some(root) = root {
        setting::change_root(&root.path).map_err(at(Step::Root))?;
    }
    if let Some(identity) = plan.identity {
        take_user(identity)?;
    }
    confinement.map_or(Ok(()), confine::keep)?;
    if let Some(directory) = plan.directory {
        enter_directory(directory).map_err(at(Step::Directory))?;
    }
    Ok(())
}

/// Limits and scheduling, while we may still do what the service's user may not. Whom the limits allow a better
/// treatment gets it after them; a file is opened before.
fn set_bounds(plan: &Plan<'_>) -> Result<(), Failure> {
    let scheduling = &plan.setting.scheduling;
    if let Some(text) = &scheduling.oom_score_adjust {
        settle(plan, Step::OomScoreAdjust, setting::set_oom_score(text))?;
    }
    for limit in &plan.setting.limits {
        let result = if limit.resource == Resource::Nofile {
            // The rest of it waits until nothing is to be opened any more.
            setting::raise_limit(*limit)
        } else {
            set_limit(*limit)
        };
        if result.is_err() && limit.resource != Resource::Nofile {
            // What it is then is told as the failure that is gone on without.
            let _ = setting::set_nearest_limit(*limit);
        }
        settle(plan, Step::Limit(limit.resource), result)?;
    }
    if let Some(level) = scheduling.nice {
        settle(plan, Step::Nice, setting::set_nice(level))?;
    }
    if !scheduling.cpus.is_empty() {
        let result = setting::set_cpus(&scheduling.cpus);
        settle(plan, Step::CpuAffinity, result)?;
    }
    if let Some((policy, priority)) = scheduling.cpu {
        let result = setting::set_cpu_policy(policy, priority);
        settle(plan, Step::CpuScheduling, result)?;
    }
    if let Some((class, priority)) = scheduling.io {
        let result = setting::set_io_class(class, priority);
        settle(plan, Step::IoScheduling, result)?;
    }
    Ok(())
}

/// Takes the kernel's result of a call and gives errno when it failed.
pub(super) fn check(result: libc::c_long) -> Result<libc::c_long, i32> {
    if result < 0 { Err(errno()) } else { Ok(result) }
}

fn errno() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

/// Goes on without a step that is tolerated, and says so.
fn settle(plan: &Plan<'_>, step: Step, result: Result<(), i32>) -> Result<(), Failure> {
    match result {
        Err(errno) if plan.setting.tolerated.contains(&step) => {
            report(plan.report, step.tolerated_number(), errno);
            Ok(())
        }
        other => other.map_err(at(step)),
    }
}

pub(super) fn at(step: Step) -> impl Fn(i32) -> Failure {
    move |errno| Failure { step, errno }
}

/// Every signal gets its default effect again: an ignored one would stay ignored in the program. By the raw call,
/// because the C library keeps two signals for itself and would leave those as we inherited them.
fn default_signals() {
    // `struct sigaction` of the kernel, no longer than this anywhere: all zeroes is the default with an empty mask.
    let default = [0_u64; 8];
    for signal in 1..=SIGNALS {
        // SAFETY: the action is ours and only read. For SIGKILL and SIGSTOP the call is refused, as it should be.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null_mut::<libc::c_void>(),
                SIGNAL_SET_BYTES,
            );
        }
    }
}

fn unblock_signals() {
    // SAFETY: the set is plain data, emptied before use.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

fn enter_cgroup(directory: RawFd) -> Result<(), i32> {
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    // SAFETY: the descriptor is the parent's cgroup directory, the name is a C string.
    let file = unsafe { libc::openat(directory, c"cgroup.procs".as_ptr(), flags) };
    check(file.into())?;
    // SAFETY: one byte of a static string. "0" means whoever writes.
    let written = unsafe { libc::write(file, c"0".as_ptr().cast(), 1) };
    check(if written < 0 { -1 } else { 0 })?;
    Ok(())
}

/// Descriptors are close-on-exec by construction; this makes it hold for those that we ourselves inherited, too.
/// Before Linux 5.11 the call is missing, and what we inherited is passed on.
fn close_on_exec(first: RawFd) {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: the call takes three integers and closes nothing: it sets a flag.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            libc::c_uint::MAX,
            CLOSE_RANGE_CLOEXEC,
        )
    };
}

/// Makes the descriptor known as `target` too, to be kept by the program.
pub(super) fn place(fd: RawFd, target: RawFd) -> Result<(), i32> {
    // SAFETY: both calls take integers; the descriptors are this child's own copies.
    let result = unsafe {
        if fd == target {
            libc::fcntl(fd, libc::F_SETFD, 0)
        } else {
            libc::dup2(fd, target)
        }
    };
    check(result.into()).map(|_| ())
}

/// On these two the plain calls know only 16-bit ids.
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
mod calls {
    use nix::libc;
    pub(super) const SETGROUPS: libc::c_long = libc::SYS_setgroups32;
    pub(super) const SETRESGID: libc::c_long = libc::SYS_setresgid32;
    pub(super) const SETRESUID: libc::c_long = libc::SYS_setresuid32;
    pub(super) const SETFSUID: libc::c_long = libc::SYS_setfsuid32;
}

#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
mod calls {
    use nix::libc;
    pub(super) const SETGROUPS: libc::c_long = libc::SYS_setgroups;
    pub(super) const SETRESGID: libc::c_long = libc::SYS_setresgid;
    pub(super) const SETRESUID: libc::c_long = libc::SYS_setresuid;
    pub(super) const SETFSUID: libc::c_long = libc::SYS_setfsuid;
}

/// Before the user: after that the right to change them is gone.
fn take_groups(plan: &Plan<'_>, identity: &Identity) -> Result<(), Failure> {
    let (gid, groups) = (identity.gid, identity.groups.as_slice());
    // SAFETY: the list and its true length are given; the kernel only reads it.
    let result = unsafe { libc::syscall(calls::SETGROUPS, groups.len(), groups.as_ptr()) };
    settle(plan, Step::Groups, check(result).map(drop))?;
    // SAFETY: the call takes three integers.
    let result = unsafe { libc::syscall(calls::SETRESGID, gid, gid, gid) };
    check(result).map_err(at(Step::Group))?;
    Ok(())
}

/// From now on files are opened with this user's rights, and ours else. The right to change that is kept.
pub(super) fn look_as(uid: u32) -> Result<(), i32> {
    /// Nobody's number: asks only.
    const ASK: u32 = u32::MAX;
    // SAFETY: the call takes an integer.
    unsafe { libc::syscall(calls::SETFSUID, uid) };
    // It never says that it has failed, only who it was before.
    // SAFETY: as above.
    let is = unsafe { libc::syscall(calls::SETFSUID, ASK) };
    if u32::try_from(is) == Ok(uid) {
        Ok(())
    } else {
        Err(libc::EPERM)
    }
}

fn take_user(identity: &Identity) -> Result<(), Failure> {
    let uid = identity.uid;
    // SAFETY: the call takes three integers.
    let result = unsafe { libc::syscall(calls::SETRESUID, uid, uid, uid) };
    check(result).map_err(at(Step::User))?;
    Ok(())
}

fn enter_directory(directory: &Directory) -> Result<(), i32> {
    let enter = |path: &CStr| {
        // SAFETY: the path is a C string that outlives the call.
        check(unsafe { libc::chdir(path.as_ptr()) }.into())
    };
    match enter(&directory.path) {
        Err(_) if directory.optional => enter(c"/"),
        other => other,
    }?;
    Ok(())
}
