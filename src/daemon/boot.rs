//! The daemon's start: its folder, its lock, its socket, its place in the family of processes.
//!
//! Everything here may fail loudly; nothing after it may. The lock is taken before anything else is touched, and only
//! who holds it removes a dead daemon's socket.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::{fmt, process};

use crate::sys::{files, process as sys_process, signals};

use super::context::unit_context;
use super::home::Home;

/// Why the daemon did not start.
#[derive(Debug)]
pub enum BootError {
    /// Another daemon serves this home.
    Locked {
        /// What the lock says; nothing if its holder has not written it yet.
        pid: Option<u32>,
        home: PathBuf,
    },
    /// `doing` and `object`: "cannot make", "/home/x/.diakonos".
    Failed {
        doing: &'static str,
        object: String,
        error: io::Error,
    },
}

impl BootError {
    pub(super) fn failed(doing: &'static str, path: &Path, error: io::Error) -> Self {
        let object = path.display().to_string();
        Self::Failed {
            doing,
            object,
            error,
        }
    }
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { pid, home } => {
                write!(f, "another daemon already serves {}", home.display())?;
                match pid {
                    Some(pid) => write!(f, ": PID {pid}"),
                    None => Ok(()),
                }
            }
            Self::Failed {
                doing,
                object,
                error,
            } => {
                let reason = sys_process::error_text(error);
                write!(f, "cannot {doing} {object}: {reason}")
            }
        }
    }
}

impl std::error::Error for BootError {}

/// What the start has made; all of it is held for the daemon's life.
#[derive(Debug)]
pub(super) struct Booted {
    pub(super) home: Home,
    pub(super) listener: UnixListener,
    pub(super) signals: signals::SignalFd,
    /// The limit on open descriptors that services get: what ours was, soft and hard.
    pub(super) nofile: (u64, u64),
    /// Held, never read: it is what makes us the only daemon of this home.
    pub(super) lock: File,
}

/// Takes the home and makes everything that the loop needs. On success the socket listens.
pub(super) fn boot(home: Home) -> Result<Booted, BootError> {
    sys_process::set_umask(0o077);
    signals::ignore_failed_writes();
    make(home.root())?;
    let lock = lock(&home)?;
    make(&home.run())?;
    make(&home.logs())?;
    if unit_context().runtime == home.runtime() {
        make(&home.runtime())?;
    }
    // The user's own: it may be a link to wherever the files are kept.
    match fs::create_dir(home.services()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(BootError::failed("make", &home.services(), error));
        }
        _ => {}
    }
    let nofile = sys_process::raise_nofile();
    let object = Path::new("the family of processes");
    sys_process::become_subreaper()
        .map_err(|error| BootError::failed("become the reaper of", object, error))?;
    let signals = signals::SignalFd::new(&[
        signals::SIGTERM,
        signals::SIGINT,
        signals::SIGHUP,
        signals::SIGCHLD,
    ])
    .map_err(|error| BootError::failed("receive", Path::new("signals"), error))?;
    let listener = listen(&home.socket())?;
    Ok(Booted {
        home,
        listener,
        signals,
        nofile,
        lock,
    })
}

fn make(folder: &Path) -> Result<(), BootError> {
    files::private_directory(folder).map_err(|error| BootError::failed("use", folder, error))
}

/// Takes the lock and writes our PID into it.
fn lock(home: &Home) -> Result<File, BootError> {
    let path = home.lock();
    let failed = |error| BootError::failed("lock", &path, error);
    let Some(lock) = files::lock_exclusive(&path).map_err(failed)? else {
        let text = fs::read_to_string(&path).unwrap_or_default();
        return Err(BootError::Locked {
            pid: text.trim().parse().ok(),
            home: home.root().to_owned(),
        });
    };
    let mut lock = File::from(lock);
    let text = format!("{}\n", process::id());
    lock.set_len(0)
        .and_then(|()| lock.write_all(text.as_bytes()))
        .map_err(failed)?;
    Ok(lock)
}

/// Binds the control socket. Whatever lies there is a dead daemon's: we hold the lock.
fn listen(path: &Path) -> Result<UnixListener, BootError> {
    let failed = |error| BootError::failed("listen on", path, error);
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// The descriptor on which whoever started us waits for one line.
#[derive(Debug)]
pub(super) struct Ready(Option<File>);

impl Ready {
    /// Takes the descriptor over; a number that is none tells nobody.
    pub(super) fn take(number: Option<i32>) -> Self {
        let taken = number.map(files::take_inherited);
        match taken.transpose() {
            Ok(fd) => Self(fd.map(File::from)),
            Err(error) => {
                let reason = sys_process::error_text(&error);
                ::log::warn!("nobody is told that the daemon is ready: {reason}");
                Self(None)
            }
        }
    }

    /// `ready`: the socket listens. The descriptor is closed with it.
    pub(super) fn ready(self) {
        self.say("ready\n");
    }

    /// `locked PID`, or `error: …` in one line.
    pub(super) fn failed(self, error: &BootError) {
        let line = match error {
            BootError::Locked { pid: Some(pid), .. } => format!("locked {pid}\n"),
            BootError::Locked { pid: None, .. } => "locked\n".to_owned(),
            BootError::Failed { .. } => {
                format!("error: {}\n", error.to_string().replace('\n', " "))
            }
        };
        self.say(&line);
    }

    fn say(self, line: &str) {
        // Whoever started us may be gone, and then nobody is there to be told.
        if let Some(mut file) = self.0 {
            let _ = file.write_all(line.as_bytes());
        }
    }
}
