//! Filters of system calls, seccomp(2).
//!
//! Owns what a filter is made of, by the library that knows the kernel's little machine; the parent makes the programs,
//! the child only hands them to the kernel. Which calls are meant is the shell's.

use std::collections::BTreeMap;
use std::io;

use nix::libc::{self, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use super::super::child::check;
use super::calls::number;

/// What the kernel does about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Allow,
    Kill,
    /// It fails with this errno.
    Fail(u16),
}

/// Filters that a process is to be under. Each forbids by itself; the strictest counts.
#[derive(Debug, Default)]
pub struct Filters {
    programs: Vec<Vec<sock_filter>>,
}

/// When a call is meant: all of these hold.
type When = Vec<(u8, SeccompCmpOp, u64)>;

/// Calls of the x32 kind have this in their numbers, and would pass by a list that does not name them.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;

const EPERM: u32 = libc::EPERM.unsigned_abs();
const WRITE_EXECUTE: u64 = (libc::PROT_WRITE | libc::PROT_EXEC) as u64;
const EXECUTE: u64 = libc::PROT_EXEC as u64;
const SHARED_EXECUTE: u64 = libc::SHM_EXEC as u64;
const SET_ID: [u64; 2] = [libc::S_ISUID as u64, libc::S_ISGID as u64];
const CREATE: u64 = libc::O_CREAT as u64;
/// Without the bit of `O_DIRECTORY`, which it goes with.
const UNNAMED: u64 = (libc::O_TMPFILE & !libc::O_DIRECTORY) as u64;
/// Asks which one is in force.
const NO_PERSONALITY: u64 = 0xffff_ffff;

/// Whether this kernel has filters, and this architecture is one that we can make them for.
#[must_use]
pub fn filters_available() -> bool {
    // SAFETY: prctl with this option takes integers only.
    let mode = unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) };
    mode >= 0 && TargetArch::try_from(std::env::consts::ARCH).is_ok() && number("read").is_some()
}

impl Filters {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// Sockets of these families only, or of all but these.
    ///
    /// # Errors
    /// As [`Self::calls`].
    pub fn families(&mut self, families: &[u16], allowed: bool) -> io::Result<()> {
        let numbers = families.iter().map(|number| u64::from(*number));
        let forbidden: Vec<When> = if allowed {
            // One that is none of them. Without any there is nothing to compare: then it is every one.
            vec![numbers.map(|n| (0, SeccompCmpOp::Ne, n)).collect()]
        } else {
            numbers.map(|n| vec![(0, SeccompCmpOp::Eq, n)]).collect()
        };
        if forbidden.is_empty() {
            return Ok(());
        }
        let errno = libc::EAFNOSUPPORT.unsigned_abs();
        self.forbid(vec![("socket", forbidden)], errno)
    }

    /// The personality stays what it is.
    ///
    /// # Errors
    /// As [`Self::calls`].
    pub fn lock_personality(&mut self) -> io::Result<()> {
        // SAFETY: the call takes an integer, and with this one changes nothing.
        let now = unsafe { libc::personality(NO_PERSONALITY) };
        let other = vec![
            (0, SeccompCmpOp::Ne, u64::from(now.unsigned_abs())),
            (0, SeccompCmpOp::Ne, NO_PERSONALITY),
        ];
        self.forbid(vec![("personality", vec![other])], EPERM)
    }

    /// No memory that can be written becomes executable.
    ///
    /// # Errors
    /// As [`Self::calls`].
    pub fn deny_write_execute(&mut self) -> io::Result<()> {
        let has = |argument, bits| vec![vec![(argument, SeccompCmpOp::MaskedEq(bits), bits)]];
        let calls = vec![
            ("mmap", has(2, WRITE_EXECUTE)),
            ("mprotect", has(2, EXECUTE)),
            ("pkey_mprotect", has(2, EXECUTE)),
            ("shmat", has(2, SHARED_EXECUTE)),
        ];
        self.forbid(calls, EPERM)
    }

    /// No file gets the bits that lend its owner's or group's rights to who executes it.
    ///
    /// # Errors
    /// As [`Self::calls`].
    pub fn deny_set_id(&mut self) -> io::Result<()> {
        let bit = |argument, bit| (argument, SeccompCmpOp::MaskedEq(bit), bit);
        let mode = |argument| SET_ID.map(|set| vec![bit(argument, set)]).to_vec();
        // The mode counts only where a file is made; else there may be anything in its place.
        let opened = |flags, mode| {
            let both = SET_ID
                .map(|set| [CREATE, UNNAMED].map(|how| vec![bit(flags, how), bit(mode, set)]));
            both.concat()
        };
        let calls = vec![
            ("chmod", mode(1)),
            ("fchmod", mode(1)),
            ("fchmodat", mode(2)),
            ("fchmodat2", mode(2)),
            ("mkdir", mode(1)),
            ("mkdirat", mode(2)),
            ("mknod", mode(1)),
            ("mknodat", mode(2)),
            ("creat", mode(1)),
            ("open", opened(1, 2)),
            ("openat", opened(2, 3)),
        ];
        self.forbid(calls, EPERM)?;
        // Its arguments are in memory, where no filter looks; who misses the call takes the older one.
        self.forbid(vec![("openat2", vec![])], libc::ENOSYS.unsigned_abs())
    }

    /// What becomes of each call, and of all others. A call that this architecture has not got is passed over.
    ///
    /// # Errors
    /// `InvalidInput` where the list is too long for the kernel.
    pub fn calls<'a>(
        &mut self,
        calls: impl Iterator<Item = (&'a str, Verdict)>,
        default: Verdict,
    ) -> io::Result<()> {
        let mut verdicts: BTreeMap<Verdict, BTreeMap<i64, Vec<SeccompRule>>> = BTreeMap::new();
        for (name, verdict) in calls.filter(|(_, verdict)| *verdict != default) {
            if let Some(number) = number(name) {
                let same = verdicts.entry(verdict).or_default();
                same.insert(number, Vec::new());
            }
        }
        // One program, since the first of several might forbid to load the next. The list of what is allowed comes
        // last: its end is the end of all.
        let mut whole: BpfProgram = Vec::new();
        let allowed = verdicts.remove(&Verdict::Allow);
        for (verdict, rules) in verdicts {
            let mut program = compile(rules, Verdict::Allow, verdict)?;
            // What is not in this list goes on to the next.
            program.pop();
            whole.append(&mut program);
        }
        whole.append(&mut match (allowed, default) {
            (Some(rules), _) => compile(rules, default, Verdict::Allow)?,
            // Nothing is left but to give the default.
            (None, Verdict::Allow) => compile(BTreeMap::new(), Verdict::Allow, Verdict::Kill)?,
            (None, default) => compile(BTreeMap::new(), default, Verdict::Allow)?,
        });
        self.add(whole);
        Ok(())
    }

    /// These calls fail, each where one of the conditions holds, or always where there is none.
    fn forbid(&mut self, calls: Vec<(&str, Vec<When>)>, errno: u32) -> io::Result<()> {
        let mut rules = BTreeMap::new();
        for (name, conditions) in calls {
            let Some(number) = number(name) else { continue };
            let mut chain = Vec::new();
            for when in conditions.into_iter().filter(|when| !when.is_empty()) {
                chain.push(rule(when)?);
            }
            rules.insert(number, chain);
        }
        let errno = u16::try_from(errno).map_err(|_| io::ErrorKind::InvalidInput)?;
        let program = compile(rules, Verdict::Allow, Verdict::Fail(errno))?;
        self.add(program);
        Ok(())
    }

    fn add(&mut self, program: BpfProgram) {
        let mut whole = guard();
        whole.extend(program);
        self.programs.push(whole);
    }
}

/// Calls of another kind than those of the lists do not exist.
#[cfg(target_arch = "x86_64")]
fn guard() -> BpfProgram {
    let step = |code: u32, (jt, jf): (u8, u8), k| sock_filter {
        code: u16::try_from(code).unwrap_or(0),
        jt,
        jf,
        k,
    };
    let refused = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    vec![
        // The call's number is the first thing in what the kernel shows.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, (0, 0), 0),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, (0, 1), X32_BIT),
        step(libc::BPF_RET | libc::BPF_K, (0, 0), refused),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn guard() -> BpfProgram {
    Vec::new()
}

fn rule(when: When) -> io::Result<SeccompRule> {
    let mut conditions = Vec::new();
    for (argument, how, value) in when {
        let length = SeccompCmpArgLen::Dword;
        conditions.push(SeccompCondition::new(argument, length, how, value).map_err(unfit)?);
    }
    SeccompRule::new(conditions).map_err(unfit)
}

fn compile(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    default: Verdict,
    matched: Verdict,
) -> io::Result<BpfProgram> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(unfit)?;
    let (default, matched) = (action(default), action(matched));
    let filter = SeccompFilter::new(rules, default, matched, architecture).map_err(unfit)?;
    BpfProgram::try_from(filter).map_err(unfit)
}

fn action(verdict: Verdict) -> SeccompAction {
    match verdict {
        Verdict::Allow => SeccompAction::Allow,
        Verdict::Kill => SeccompAction::KillProcess,
        Verdict::Fail(errno) => SeccompAction::Errno(errno.into()),
    }
}

fn unfit<E>(_: E) -> io::Error {
    io::ErrorKind::InvalidInput.into()
}

/// From here on the process is under the filters. Needs that no privileges can be gained, or the right to administer.
pub(super) fn load(filters: &Filters) -> Result<(), i32> {
    for program in &filters.programs {
        let program = libc::sock_fprog {
            len: u16::try_from(program.len()).map_err(|_| libc::E2BIG)?,
            filter: program.as_ptr().cast_mut().cast(),
        };
        // SAFETY: both structures have the kernel's form, the true length is given, and they are only read.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const program,
            )
        };
        check(result)?;
    }
    Ok(())
}
