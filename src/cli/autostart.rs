//! The cold start: a command that needs the daemon finds none and starts it.
//!
//! However many commands come at once, one daemon is made: they queue on `start.lock`, and whoever gets it looks
//! again before it starts anything. A daemon that is alive and does not answer is reported, never replaced: the
//! daemon's own lock sees to it.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::client::Client;
use super::exit::{Exit, Failure};
use super::first::Role;
use super::output::{aside, hint_line};
use super::place::{Place, home_hint};
use super::silence::silence;
use super::text::{clean, span};
use super::wait::{MENTION_MS, mention};
use crate::daemon::{Home, SettingsError, has_heritage, has_supervisor, own_log, settings};
use crate::sys::clock::monotonic_ms;
use crate::sys::detach::{Detached, start_detached};
use crate::sys::files;
use crate::sys::inotify::{self, Inotify, Watch};
use crate::sys::poll::wait_readable;
use crate::sys::proc;
use crate::sys::process::{Pid, error_text};
use crate::unit::Settings;

/// How long a daemon may take from its start until it listens.
const START_MS: u64 = 30_000;
/// How long a daemon that holds its lock already may take until it listens.
const LISTEN_MS: u64 = 10_000;
/// How long a supervisor may take until the successor of a daemon that died listens: until then none is made here.
const SUPERVISOR_MS: u64 = 3_000;
/// How soon a socket on which nobody listened is tried again.
const AGAIN_MS: u64 = 50;
/// The descriptor on which the daemon says that it listens.
const READY_FD: &CStr = c"3";
/// What is read of the line that it says.
const LINE_MAX: usize = 4096;

/// A connection, and whether the daemon behind it was started for it.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) fresh: bool,
}

/// What the new daemon said.
enum Word {
    Ready,
    /// Another daemon serves this home; its PID, if it is known.
    Locked(Option<u32>),
}

impl Place {
    /// The daemon, started if none runs.
    pub(super) fn connect_or_start(&self) -> Result<Client, Failure> {
        Ok(self.connect_or_start_fresh()?.client)
    }

    /// The daemon, if one runs; and if one has died and left services behind, its successor: without that nobody could
    /// say how they are, nor stop them.
    pub(super) fn connect_or_succeed(&self) -> Result<Option<Client>, Failure> {
        let client = self.successor()?;
        if let Some(client) = &client {
            self.mention_version(client);
        }
        Ok(client)
    }

    /// The same, without a word about its version.
    pub(super) fn successor(&self) -> Result<Option<Client>, Failure> {
        match self.connect()? {
            Some(client) => Ok(Some(client)),
            None if has_heritage(&self.home) => Ok(Some(self.connected_or_started()?.client)),
            None => Ok(None),
        }
    }

    /// The daemon, started if none runs, and which of the two it was.
    pub(super) fn connect_or_start_fresh(&self) -> Result<Connected, Failure> {
        let connected = self.connected_or_started()?;
        self.mention_version(&connected.client);
        Ok(connected)
    }

    fn mention_version(&self, client: &Client) {
        if let Some(version) = client.other_version() {
            let hint = format!(
                "the daemon is version {version}, this program is {}; `diakonos upgrade` replaces \
                 the daemon, and its services run on",
                env!("CARGO_PKG_VERSION")
            );
            aside(&hint_line(&hint, self.palette));
        }
    }

    /// As [`Place::connect_or_start_fresh`], without a word about its version.
    pub(super) fn connected_or_started(&self) -> Result<Connected, Failure> {
        if let Some(client) = self.connect()? {
            let fresh = false;
            return Ok(Connected { client, fresh });
        }
        let home = &self.home;
        files::private_directory(home.root()).map_err(|error| {
            let exit = match error.kind() {
                io::ErrorKind::PermissionDenied => Exit::NotAllowed,
                _ => Exit::NoDaemon,
            };
            let (path, reason) = (home.root().display(), error_text(&error));
            Failure::new(
                exit,
                format!("cannot use the daemon's folder {path}: {reason}"),
            )
            .hint(home_hint(home.root()))
        })?;
        let _lock = lock(&home.root().join("start.lock"))?;
        // Whoever held the lock before us may have started it.
        if let Some(client) = self.connect()? {
            let fresh = false;
            return Ok(Connected { client, fresh });
        }
        let watch = watch(home)?;
        // A rival would keep the supervisor's own daemon from starting.
        if has_supervisor(home)
            && let Ok(Some(connected)) = self.await_socket(&watch, None, SUPERVISOR_MS)
        {
            return Ok(connected);
        }
        let deadline_ms = monotonic_ms().saturating_add(LISTEN_MS);
        loop {
            let pid = match start(home)? {
                Word::Ready => {
                    let client = self.connect()?.ok_or_else(|| died(home))?;
                    let fresh = true;
                    return Ok(Connected { client, fresh });
                }
                Word::Locked(pid) => pid,
            };
            let left_ms = deadline_ms.saturating_sub(monotonic_ms());
            if let Some(connected) = self.await_socket(&watch, pid, left_ms)? {
                return Ok(connected);
            }
        }
    }

    /// Another daemon, not started by a command, is on its way: its socket comes, or it is stuck. Nothing if it was on
    /// its way out: one that was killed has its lock until the last of its descriptors is closed.
    fn await_socket(
        &self,
        watch: &Inotify,
        pid: Option<u32>,
        patience_ms: u64,
    ) -> Result<Option<Connected>, Failure> {
        let deadline_ms = monotonic_ms().saturating_add(patience_ms);
        let mut buffer = vec![0; inotify::BUFFER_BYTES];
        mention("waiting for the daemon to listen …");
        loop {
            if let Some(client) = self.connect()? {
                let fresh = false;
                return Ok(Some(Connected { client, fresh }));
            }
            let left_ms = deadline_ms.saturating_sub(monotonic_ms());
            if left_ms == 0 {
                break;
            }
            // A socket is seen a moment before somebody listens on it, so it is tried again without a reason, too.
            let failed = wait_readable(&[watch.as_fd()], Some(left_ms.min(AGAIN_MS))).is_err();
            if failed {
                break;
            }
            // What it was does not matter: each is a reason to try again.
            while watch
                .read(&mut buffer)
                .is_ok_and(|events| !events.is_empty())
            {}
            if pid.and_then(Pid::from_raw).is_some_and(has_died) {
                return Ok(None);
            }
        }
        Err(silence(&self.home, patience_ms))
    }
}

fn has_died(pid: Pid) -> bool {
    proc::stat(pid).map_or(true, |stat| stat.is_dead())
}

/// Takes the lock of all who start a daemon; says so if that takes its time.
fn lock(path: &Path) -> Result<OwnedFd, Failure> {
    let failed = |error: io::Error| {
        let reason = error_text(&error);
        Failure::new(
            Exit::NoDaemon,
            format!("cannot lock {}: {reason}", path.display()),
        )
        .hint("so no daemon can be started; services of one that died run on")
    };
    if let Some(lock) = files::lock_exclusive(path).map_err(failed)? {
        return Ok(lock);
    }
    mention("another command is starting the daemon; waiting for it …");
    files::lock_exclusive_wait(path).map_err(failed)
}

fn watch(home: &Home) -> Result<Inotify, Failure> {
    let watching = Inotify::new().and_then(|inotify| {
        inotify.watch(home.root(), Watch::Created)?;
        Ok(inotify)
    });
    watching.map_err(|error| {
        let (path, reason) = (home.root().display(), error_text(&error));
        Failure::new(Exit::NoDaemon, format!("cannot watch {path}: {reason}"))
    })
}

/// Starts the daemon in the background and takes its first word.
fn start(home: &Home) -> Result<Word, Failure> {
    let failed = |error: io::Error| {
        let reason = error_text(&error);
        Failure::new(Exit::NoDaemon, format!("cannot start the daemon: {reason}"))
    };
    let settings = checked_settings(home)?;
    let program = std::env::current_exe().map_err(failed)?;
    let program = CString::new(program.as_os_str().as_bytes()).map_err(|e| failed(e.into()))?;
    let words: [&CStr; 4] = [&program, c"daemon", c"--ready-fd", READY_FD];
    let log = own_log(home, &settings).open().map_err(failed)?;
    let (reader, writer) = files::pipe().map_err(failed)?;
    // The output of a container is that of its first process, and services can have it, too.
    let stdout = io::stdout();
    start_detached(Detached {
        program: program.clone(),
        argv: words.map(CStr::to_owned).to_vec(),
        environment: environment(home),
        output: (Role::find() == Role::First).then_some(stdout.as_fd()),
        errors: log.as_fd(),
        ready: writer,
    })
    .map_err(failed)?;
    let line = first_line(reader, home)?;
    understand(&line, home)
}

/// The daemon's settings. One that has to make a successor goes on without them: services would be unwatched else.
fn checked_settings(home: &Home) -> Result<Settings, Failure> {
    let refused = |error: SettingsError| {
        let message = format!("cannot start the daemon with these settings:\n{error}");
        Failure::new(Exit::Failed, message)
    };
    match settings(home) {
        Err(_) if has_heritage(home) => Ok(Settings::default()),
        read => read.map_err(refused),
    }
}

/// Ours, but for what was meant for us alone.
fn environment(home: &Home) -> Vec<CString> {
    const DROPPED: [&str; 6] = [
        "DIAKONOS_HOME",
        "DIAKONOS_SERVICE_DIR",
        "NOTIFY_SOCKET",
        "LISTEN_PID",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
    ];
    let entry = |name: &OsStr, value: &OsStr| {
        let bytes = [name.as_bytes(), b"=", value.as_bytes()].concat();
        CString::new(bytes).ok()
    };
    let kept = std::env::vars_os().filter(|(name, _)| !DROPPED.iter().any(|drop| name == drop));
    let mut entries: Vec<CString> = kept
        .filter_map(|(name, value)| entry(&name, &value))
        .collect();
    entries.extend(entry(OsStr::new("DIAKONOS_HOME"), home.root().as_os_str()));
    entries
}

/// The line that the new daemon says; nothing if it ends without a word.
fn first_line(reader: OwnedFd, home: &Home) -> Result<String, Failure> {
    let begun_ms = monotonic_ms();
    let mut text = Vec::new();
    let mut file = File::from(reader);
    let mut mentioned = false;
    while !text.contains(&b'\n') && text.len() < LINE_MAX {
        let passed_ms = monotonic_ms().saturating_sub(begun_ms);
        let until_ms = if mentioned { START_MS } else { MENTION_MS };
        let ready = wait_readable(&[file.as_fd()], Some(until_ms.saturating_sub(passed_ms)));
        if ready.is_ok_and(|ready| ready.contains(&true)) {
            let mut buffer = [0; 512];
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => text.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        } else if !mentioned {
            mentioned = true;
            mention("waiting for the daemon to start …");
        } else {
            let message = format!("the daemon is not ready after {}", span(START_MS));
            let hint = format!("its log is {}", home.own_log().display());
            return Err(Failure::new(Exit::OutOfTime, message).hint(hint));
        }
    }
    let line = String::from_utf8_lossy(&text);
    Ok(line.lines().next().unwrap_or_default().to_owned())
}

fn understand(line: &str, home: &Home) -> Result<Word, Failure> {
    if line == "ready" {
        return Ok(Word::Ready);
    }
    if let Some(reason) = line.strip_prefix("error: ") {
        let message = format!("the daemon did not start: {}", clean(reason));
        return Err(Failure::new(Exit::NoDaemon, message));
    }
    match line.strip_prefix("locked") {
        Some(pid) => Ok(Word::Locked(pid.trim().parse().ok())),
        None => Err(died(home)),
    }
}

fn died(home: &Home) -> Failure {
    let log = home.own_log();
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let message = match text.lines().last() {
        Some(last) => format!(
            "the daemon ended as soon as it was started: {}",
            clean(last)
        ),
        None => "the daemon ended as soon as it was started".to_owned(),
    };
    Failure::new(Exit::NoDaemon, message).hint(format!("its log is {}", log.display()))
}
