//! The daemon's start: its folder, its lock, its socket, its place in the family of processes.
//!
//! Everything here may fail loudly; nothing after it may. The lock is taken before anything else is touched, and only
//! who holds it removes a dead daemon's socket.

use std::fs::{self, File, Permissions};
use std::io::{self, Seek as _, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::{fmt, process};

use crate::sys::poll::wait_readable;
use crate::sys::process::Pid;
use crate::sys::{clock, files, proc, process as sys_process, signals, socket};

use super::context::unit_context;
use super::home::Home;

/// How long the lock of a dead daemon is waited for, in milliseconds, and how often it is tried. A process that is made
/// becomes another program within milliseconds, on a machine that has time for it.
const LOCK_MS: u64 = 2_000;
const LOOK_MS: u64 = 2;

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

/// A daemon's place: what is one home's and goes from daemon to daemon, whoever of them dies.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) home: Home,
    /// It makes its holders the only daemon of this home, and contains the daemon's PID.
    pub(super) lock: File,
    /// Who knocks while there is no daemon waits in it for the next one.
    pub(super) listener: UnixListener,
    /// The limit on open descriptors that services get: what ours was, soft and hard.
    pub(super) nofile: (u64, u64),
    /// See [`Options`](super::Options).
    pub(super) directories: Vec<PathBuf>,
}

/// What every process of ours sets for itself.
pub(super) fn prepare_process() {
    sys_process::set_umask(0o077);
    signals::ignore_failed_writes();
}

/// Takes the home, unless another daemon has it. On success the socket listens.
pub(super) fn take_seat(home: Home, directories: Vec<PathBuf>) -> Result<Seat, BootError> {
    prepare_process();
    make(home.root())?;
    let lock = lock(&home, LOCK_MS)?;
    let nofile = sys_process::raise_nofile();
    let listener = bind(&home.socket())?;
    Ok(Seat {
        home,
        lock,
        listener,
        nofile,
        directories,
    })
}

/// Makes this process the daemon in its place, with everything that the loop needs.
pub(super) fn settle_in(seat: &mut Seat) -> Result<signals::SignalFd, BootError> {
    let home = &seat.home;
    make(&home.run())?;
    if let Err(error) = make(&home.logs()) {
        // Services run without logs; without a daemon nobody would watch them. What is not written is counted.
        ::log::error!("{error}; what services print may be lost until that is mended");
    }
    if let Some(folder) = home.record()[0].parent() {
        make(folder)?;
    }
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
    name_holder(&mut seat.lock).map_err(|error| BootError::failed("lock", &home.lock(), error))?;
    if fs::symlink_metadata(home.socket()).is_err() {
        // A predecessor was killed when it had removed it already.
        seat.listener = bind(&home.socket())?;
    }
    socket::listen(seat.listener.as_fd())
        .map_err(|error| BootError::failed("listen on", &home.socket(), error))?;
    Ok(signals)
}

fn make(folder: &Path) -> Result<(), BootError> {
    files::private_directory(folder).map_err(|error| BootError::failed("use", folder, error))
}

/// Takes the lock. Whose it is stands in it once there is a daemon. Where that one is dead, what it was just making has
/// copies of the lock until it is another program: so long is waited for it.
fn lock(home: &Home, patience_ms: u64) -> Result<File, BootError> {
    let path = home.lock();
    let failed = |error| BootError::failed("lock", &path, error);
    let deadline_ms = clock::monotonic_ms().saturating_add(patience_ms);
    let lock = loop {
        if let Some(lock) = files::lock_exclusive(&path).map_err(failed)? {
            break File::from(lock);
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let pid = text.trim().parse().ok();
        if !pid.is_some_and(is_dead) || clock::monotonic_ms() >= deadline_ms {
            let home = home.root().to_owned();
            return Err(BootError::Locked { pid, home });
        }
        wait_readable(&[], Some(LOOK_MS)).map_err(failed)?;
    };
    lock.set_len(0).map_err(failed)?;
    Ok(lock)
}

fn is_dead(pid: u32) -> bool {
    let stat = Pid::from_raw(pid).and_then(|pid| proc::stat(pid).ok());
    stat.is_none_or(|stat| stat.is_dead())
}

/// Writes our PID into the lock, in one piece and as wide as any: who reads it meanwhile finds our predecessor or us.
fn name_holder(lock: &mut File) -> io::Result<()> {
    let text = format!("{:<10}\n", process::id());
    lock.rewind()?;
    lock.write_all(text.as_bytes())?;
    lock.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX))
}

/// Binds the control socket. Whatever lies there is a dead daemon's: we hold the lock.
fn bind(path: &Path) -> Result<UnixListener, BootError> {
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

/// The descriptor on which whoever started us waits for one line. The guardian and each daemon that it makes have it,
/// until one serves.
#[derive(Debug, Default)]
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

    /// Whether somebody waits.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.is_some()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::io::Read as _;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn the_lock_of_a_dead_daemon_is_waited_for_and_no_other() {
        /// No process has it: PIDs end at 4,194,304.
        const NOBODY: u32 = 4_194_305;
        let folder = std::env::temp_dir().join(format!("diakonos-lock-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let home = Home::new(folder.clone());
        let own = process::id();
        for (pid, then, gets_it) in [(NOBODY, "exec sleep 0.1", true), (own, "read line", false)] {
            let mut holder = process::Command::new("flock")
                .arg(home.lock())
                .args(["sh", "-c", &format!("echo held; {then}")])
                .stdin(process::Stdio::piped())
                .stdout(process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut held = [0; 5];
            holder.stdout.take().unwrap().read_exact(&mut held).unwrap();
            fs::write(home.lock(), format!("{pid}\n")).unwrap();
            let locked = lock(&home, 60_000);
            assert_eq!(locked.is_ok(), gets_it, "{locked:?}");
            // Its input ends.
            holder.wait().unwrap();
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    /// Every holder writes as much, so that none has to empty it first; and nothing of an earlier text is left.
    #[test]
    fn the_lock_names_its_holder_in_as_many_bytes_as_any_other() {
        let name = format!("diakonos-boot-{}", process::id());
        let path = std::env::temp_dir().join(name);
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        fs::remove_file(&path).unwrap();
        for before in ["", "4294967295\n", "1\n", "1         \n"] {
            lock.set_len(0).unwrap();
            lock.write_all_at(before.as_bytes(), 0).unwrap();
            name_holder(&mut lock).unwrap();
            let mut text = [0; 32];
            let length = lock.read_at(&mut text, 0).unwrap();
            let text = std::str::from_utf8(&text[..length]).unwrap();
            assert_eq!(text.trim().parse(), Ok(process::id()), "after {before:?}");
            assert_eq!(text.len(), 11, "after {before:?}");
        }
    }
}
