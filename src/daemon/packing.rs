//! Old log files, packed one after the other by a program that gives way to everything else.
//!
//! Owns whose turn it is, the process, and that a failure is said once. A file that could not be packed stays as it is,
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
    status: OwnedFd,
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

    /// The end of a turn: takes note of what has ended, and begins the next.
    pub(super) fn go_on(&mut self, logs: &Path, sources: &mut Sources) {
        if let Some(job) = self.job.take_if(|job| !job.is_running()) {
            self.finish(*job, sources);
        }
        while self.job.is_none()
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
        let failed = match job.pidfd.wait() {
            Ok(Wait::Exited(0)) => None,
            Ok(Wait::Exited(code)) => Some(format!("it ended with exit code {code}")),
            Ok(Wait::Signaled { signal, .. }) => {
                Some(format!("it was killed by {}", text::signal_name(signal)))
            }
            Ok(Wait::NotOurChild | Wait::StillRunning) => Some("nobody saw its end".to_owned()),
            Err(error) => Some(error_text(&error)),
        };
        let failed = match read_status(job.status.as_fd()) {
            Ok(ExecStatus::Failed { errno, .. }) => Some(errno_text(errno)),
            _ => failed,
        };
        let (name, packing) = (job.name, job.packing);
        let failed = match failed {
            Some(reason) => {
                job.pack.give_up();
                Some(reason)
            }
            None => job.pack.finish().err().map(|error| error_text(&error)),
        };
        match failed {
            Some(reason) => self.tell(&name, packing, &reason),
            None => {
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
}

/// Begins to pack the next file of one log; nothing if there is none.
fn begin(
    logs: &Path,
    name: &str,
    packing: Packing,
    sources: &mut Sources,
) -> Result<Option<Job>, String> {
    let words = |error: io::Error| error_text(&error);
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
            status: spawned.status,
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
    match sources.add(spawned.pidfd.as_fd(), Source::Packing) {
        Ok(token) => Ok((spawned, token)),
        Err(error) => {
            // It is reaped as an orphan.
            let _ = spawned.pidfd.signal(SIGKILL);
            Err(error)
        }
    }
}

/// Where a program lies.
fn find(program: &str) -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = default_path(users::effective_uid());
    let folders = std::env::split_paths(&path).chain(std::env::split_paths(OsStr::new(usual)));
    let mut files = folders.map(|folder| folder.join(program));
    let is_program = |file: &PathBuf| {
        let found = std::fs::metadata(file);
        found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no such program in PATH");
    files.find(is_program).ok_or_else(missing)
}
