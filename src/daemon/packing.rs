//! Old log files, packed one after the other by a program that gives way to everything else.
//!
//! Owns whose turn it is, the processes (one packs, then one writes out to the disk what came of it, for which the loop
//! must not wait), and that a failure is said once. A file that could not be packed stays as it is,
//! and is tried again when the log is rotated the next time, or by the next daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use mio::Token;

use crate::log::{Pack, Packing};
use crate::sys::fork;
use crate::sys::process::{
    self, ExecStatus, IoClass, Pid, PidFd, Scheduling, Setting, Spawn, Stdio, Step, Wait,
    errno_text, error_text, read_status,
};
use crate::sys::users;
use crate::unit::LogCompress;

use super::environment::default_path;
use super::sources::{Source, Sources};
use super::text;

/// The lowest priority for the processor.
const NICE: i32 = 19;
const UMASK: u32 = 0o077;
const SIGKILL: i32 = 9;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Packer {
    /// Whose logs may have files to be packed.
    due: BTreeMap<String, Packing>,
    job: Option<Box<Job>>,
    stir: Stir,
    /// Of whom it was said that packing fails.
    told: BTreeSet<String>,
}

#[derive(Debug)]
struct Job {
    name: String,
    packing: Packing,
    pack: Pack,
    pid: Pid,
    pidfd: PidFd,
    token: Token,
    work: Work,
}

/// What a job's process does.
#[derive(Debug)]
enum Work {
    /// Whether it was started at all is to be read there.
    Pack(OwnedFd),
    Sync,
}

/// Whether a job's process may have ended since it was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stir {
    #[default]
    No,
    Yes,
}

impl Packer {
    /// This service's log may have a file to be packed.
    pub(super) fn consider(&mut self, name: &str, compress: LogCompress) {
        let packing = match compress {
            LogCompress::None => return,
            LogCompress::Gzip => Packing::Gzip,
            LogCompress::Zstd => Packing::Zstd,
        };
        self.due.insert(name.to_owned(), packing);
    }

    /// The process that packs at present.
    pub(super) fn child(&self) -> Option<Pid> {
        self.job.as_ref().map(|job| job.pid)
    }

    /// The process may have ended.
    pub(super) fn woken(&mut self) {
        self.stir = Stir::Yes;
    }

    /// Whether a log is to be looked at in the next turn, without anything that has to happen before.
    pub(super) fn is_due(&self) -> bool {
        self.job.is_none() && !self.due.is_empty()
    }

    /// The end of a turn: takes note of what has ended, and looks at the next log; at one, since others wait.
    pub(super) fn go_on(&mut self, logs: &Path, sources: &mut Sources) {
        if std::mem::take(&mut self.stir) == Stir::Yes
            && let Some(job) = self.job.take_if(|job| !job.is_running())
        {
            self.finish(*job, sources);
        }
        if self.job.is_none()
            && let Some((name, packing)) = self.due.pop_first()
        {
            match begin(logs, &name, packing, sources) {
                Ok(job) => self.job = job.map(Box::new),
                Err(reason) => self.tell(&name, packing, &reason),
            }
        }
    }

    /// The daemon ends: what was begun is left undone.
    pub(super) fn end(&mut self, sources: &mut Sources) {
        self.due.clear();
        if let Some(job) = self.job.take() {
            // It is reaped as an orphan.
            let _ = job.pidfd.signal(SIGKILL);
            sources.remove(job.token, job.pidfd.as_fd());
            job.pack.give_up();
        }
    }

    fn finish(&mut self, job: Job, sources: &mut Sources) {
        sources.remove(job.token, job.pidfd.as_fd());
        let (name, packing) = (job.name.clone(), job.packing);
        let done = match (job.result(), &job.work) {
            (Ok(()), Work::Pack(_)) => sync(job, sources).map(Some),
            (Ok(()), Work::Sync) => job.pack.finish().map(|()| None).map_err(words),
            (Err(reason), _) => {
                job.pack.give_up();
                Err(reason)
            }
        };
        match done {
            Err(reason) => self.tell(&name, packing, &reason),
            Ok(Some(next)) => self.job = Some(Box::new(next)),
            Ok(None) => {
                self.told.remove(&name);
                // There may be another file.
                self.due.entry(name).or_insert(packing);
            }
        }
    }

    fn tell(&mut self, name: &str, packing: Packing, reason: &str) {
        if self.told.insert(name.to_owned()) {
            let program = packing.program();
            ::log::warn!("{name}: its old log files stay as they are: {program}: {reason}");
        }
    }
}

impl Job {
    fn is_running(&self) -> bool {
        matches!(self.pidfd.peek(), Ok(Wait::StillRunning))
    }

    /// What came of a process that has ended.
    fn result(&self) -> Result<(), String> {
        let ended = self.pidfd.wait();
        if let Work::Pack(status) = &self.work
            && let Ok(ExecStatus::Failed { errno, .. }) = read_status(status.as_fd())
        {
            return Err(errno_text(errno));
        }
        Err(match ended {
            Ok(Wait::Exited(0)) => return Ok(()),
            Ok(Wait::Exited(_)) if matches!(self.work, Work::Sync) => {
                "what it wrote does not reach the disk".to_owned()
            }
            Ok(Wait::Exited(code)) => format!("it ended with exit code {code}"),
            Ok(Wait::Signaled { signal, .. }) => {
                format!("it was killed by {}", text::signal_name(signal))
            }
            Ok(Wait::NotOurChild | Wait::StillRunning) => "nobody saw its end".to_owned(),
            Err(error) => words(error),
        })
    }
}

fn words(error: io::Error) -> String {
    error_text(&error)
}

/// A file was packed: has it written out to the disk.
fn sync(job: Job, sources: &mut Sources) -> Result<Job, String> {
    let started = fork::sync_aside(job.pack.output()).and_then(|(pid, pidfd)| {
        let token = watch(&pidfd, sources)?;
        Ok((pid, pidfd, token))
    });
    match started {
        Ok((pid, pidfd, token)) => Ok(Job {
            pid,
            pidfd,
            token,
            work: Work::Sync,
            ..job
        }),
        Err(error) => {
            job.pack.give_up();
            Err(words(error))
        }
    }
}

/// Begins to pack the next file of one log; nothing if there is none.
fn begin(
    logs: &Path,
    name: &str,
    packing: Packing,
    sources: &mut Sources,
) -> Result<Option<Job>, String> {
    let Some(pack) = Pack::begin(logs, name, packing).map_err(words)? else {
        return Ok(None);
    };
    let started = start(&pack, packing, sources);
    match started {
        Ok((spawned, token)) => Ok(Some(Job {
            name: name.to_owned(),
            packing,
            pack,
            pid: spawned.pid,
            pidfd: spawned.pidfd,
            token,
            work: Work::Pack(spawned.status),
        })),
        Err(error) => {
            pack.give_up();
            Err(words(error))
        }
    }
}

fn start(
    pack: &Pack,
    packing: Packing,
    sources: &mut Sources,
) -> io::Result<(process::Spawned, Token)> {
    let program = find(packing.program())?;
    let path = CString::new(program.as_os_str().as_bytes())?;
    let mut argv = vec![path.clone()];
    for argument in packing.arguments() {
        argv.push(CString::new(*argument)?);
    }
    let scheduling = Scheduling {
        nice: Some(NICE),
        io: Some((IoClass::Idle, 0)),
        ..Scheduling::default()
    };
    let setting = Setting {
        scheduling,
        // It packs all the same where the machine does not let us choose.
        tolerated: vec![Step::Nice, Step::IoScheduling],
        ..Setting::default()
    };
    let spawned = process::spawn(&Spawn {
        program: path,
        argv,
        environment: vec![CString::new("LC_ALL=C")?],
        directory: None,
        identity: None,
        umask: UMASK,
        stdin: Stdio::Fd(pack.input()),
        stdout: Stdio::Fd(pack.output()),
        stderr: Stdio::Null,
        cgroup: None,
        nofile: None,
        lock_limit: None,
        setting,
    })?;
    let token = watch(&spawned.pidfd, sources)?;
    Ok((spawned, token))
}

fn watch(pidfd: &PidFd, sources: &mut Sources) -> io::Result<Token> {
    sources
        .add(pidfd.as_fd(), Source::Packing)
        .inspect_err(|_| {
            // It is reaped as an orphan.
            let _ = pidfd.signal(SIGKILL);
        })
}

/// Where a program lies: where this system has its programs, or else where whoever started us looks for them. What is
/// relative there would lead to wherever we were started.
fn find(program: &str) -> io::Result<PathBuf> {
    find_in(default_path(users::effective_uid()).as_ref(), program)
        .or_else(|| find_in(&std::env::var_os("PATH")?, program))
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such program in PATH"))
}

fn find_in(path: &OsStr, program: &str) -> Option<PathBuf> {
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    let is_program = |file: &PathBuf| {
        let found = std::fs::metadata(file);
        found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    folders.map(|folder| folder.join(program)).find(is_program)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn programs_are_not_looked_for_where_we_happen_to_be() {
        // Any file that may be executed, here by a relative name.
        let program = std::env::current_exe().unwrap();
        let (folder, name) = (program.parent().unwrap(), program.file_name().unwrap());
        let here = std::env::current_dir().unwrap();
        let name = name.to_str().unwrap();
        let absolute = folder.as_os_str();
        assert_eq!(find_in(absolute, name), Some(program.clone()));
        let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
        let relative = up.join(folder.strip_prefix("/").unwrap());
        assert!(relative.join(name).exists());
        assert_eq!(find_in(relative.as_os_str(), name), None);
        assert_eq!(
            find_in(OsStr::new(""), relative.join(name).to_str().unwrap()),
            None
        );
    }

    #[test]
    fn one_log_is_looked_at_in_a_turn() {
        let poll = mio::Poll::new().unwrap();
        let mut sources = Sources::new(poll.registry().try_clone().unwrap());
        let mut packer = Packer::default();
        packer.consider("never", LogCompress::None);
        assert!(!packer.is_due());
        for name in ["a", "b", "c"] {
            packer.consider(name, LogCompress::Gzip);
        }
        for left in [2, 1, 0] {
            assert!(packer.is_due());
            packer.go_on(Path::new("/nowhere"), &mut sources);
            assert_eq!(packer.due.len(), left);
        }
        assert!(!packer.is_due());
    }
}
