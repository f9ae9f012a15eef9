//! `upgrade`: this process becomes the program that lies on the disk now, and nobody notices.
//!
//! Owns the way there: the new program is first made to read what it will find, in a process of its own; then, between
//! two turns, everything is handed over (`handover.rs`) and the process becomes that program. Until then all can be
//! taken back, and is, when something fails.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use mio::Token;

use crate::sys::fork::become_program;
use crate::sys::image::{Exec, at_exec, file_state, memory_file, own_program};
use crate::sys::process::{
    self, ExecStatus, Pid, PidFd, Setting, Spawn, Stdio, Wait, error_text, kill_group, read_status,
};
use crate::sys::{clock, files};
use crate::wire::{ErrorKind, Final, WireError, encode_handover};

use super::answer;
use super::event_loop::Daemon;
use super::sources::{SessionId, Source};
use super::text;

/// How long the new program may take to read everything, and this daemon to come to a point where it can be replaced.
const PATIENCE_MS: u64 = 20_000;
/// What is read of the words of a program that refuses, in bytes; one that says more is waited for until the deadline.
const WORDS_MAX: usize = 4 << 10;
/// What the new program says when it can go on with what it has read.
pub(super) const CAN_READ: &str = "can go on";
/// The option by which the new program is told to read the note on its standard input, and no more.
const REHEARSE_OPTION: &str = "--rehearse";
/// The option with the descriptor of the note.
const HANDOVER_OPTION: &str = "--handover";
/// Options with a number that was one image's own.
const SPENT_OPTIONS: [&str; 4] = [HANDOVER_OPTION, "--ready-fd", "--guard", "--held"];
/// Why a daemon that was told to end is not replaced.
const ENDING: &str = "it is about to end";
const SIGKILL: i32 = 9;
const UMASK: u32 = 0o077;

/// An upgrade under way.
#[derive(Debug)]
pub(super) struct Upgrade {
    program: PathBuf,
    /// Which file was found to be good.
    file: [i64; 5],
    /// Who wait for it.
    pub(super) sessions: Vec<SessionId>,
    deadline_ms: u64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The new program reads.
    Rehearsing(Rehearsal),
    /// It can go on; the guardian is to reap nobody from here on.
    Due,
    /// It is told so, and there is still something to wait for.
    Announced,
    /// It is told so and all rests: what ended before it was told is looked at once more.
    Looking,
}

/// The new program, in a process of its own.
#[derive(Debug)]
struct Rehearsal {
    pid: Pid,
    pidfd: PidFd,
    token: Token,
    status: OwnedFd,
    words: OwnedFd,
}

impl Upgrade {
    /// How long the loop may sleep.
    pub(super) fn timeout_ms(&self) -> u64 {
        match self.stage {
            Stage::Rehearsing(_) | Stage::Due | Stage::Announced => {
                self.deadline_ms.saturating_sub(clock::monotonic_ms())
            }
            // What ended before the guardian was told is ready now.
            Stage::Looking => 0,
        }
    }
}

impl Daemon {
    /// A client wants the daemon to be replaced.
    pub(super) fn begin_upgrade(&mut self, session: SessionId) {
        if let Some(upgrade) = &mut self.upgrade {
            upgrade.sessions.push(session);
            return;
        }
        let begun = if self.engine.is_ending() {
            Err(ENDING.to_owned())
        } else {
            self.rehearse()
        };
        match begun {
            Ok((program, file, rehearsal)) => {
                ::log::info!(
                    "upgrade: {} is asked whether it can go on",
                    program.display()
                );
                self.processes.rehearsing = Some(rehearsal.pid);
                self.upgrade = Some(Box::new(Upgrade {
                    program,
                    file,
                    sessions: vec![session],
                    deadline_ms: clock::monotonic_ms().saturating_add(PATIENCE_MS),
                    stage: Stage::Rehearsing(rehearsal),
                }));
            }
            Err(reason) => self.finish(session, Final::Error(refused(&reason))),
        }
    }

    /// Starts the new program, to read what it will find.
    fn rehearse(&mut self) -> Result<(PathBuf, [i64; 5], Rehearsal), String> {
        let program = own_program().map_err(|error| {
            let reason = error_text(&error);
            format!("it cannot tell where its program lies: {reason}")
        })?;
        let failed = |error: io::Error| format!("{}: {}", program.display(), error_text(&error));
        let file = file_state(&program).map_err(failed)?;
        let note = self.note(&[]).map_err(failed)?;
        let path = CString::new(program.as_os_str().as_bytes()).map_err(|e| failed(e.into()))?;
        let words = [path.clone(), c"daemon".into(), c_text(REHEARSE_OPTION)];
        let (reader, writer) = files::pipe().map_err(failed)?;
        let spawned = process::spawn(&Spawn {
            program: path,
            argv: words.to_vec(),
            environment: environment(),
            directory: None,
            identity: None,
            umask: UMASK,
            stdin: Stdio::Fd(note.as_fd()),
            stdout: Stdio::Fd(writer.as_fd()),
            stderr: Stdio::SameAsStdout,
            cgroup: None,
            nofile: None,
            lock_limit: None,
            setting: Setting::default(),
        })
        .map_err(failed)?;
        let watched = self.sources.add(spawned.pidfd.as_fd(), Source::Rehearsal);
        let token = watched.map_err(|error| {
            // It is reaped as an orphan.
            let _ = spawned.pidfd.signal(SIGKILL);
            failed(error)
        })?;
        let rehearsal = Rehearsal {
            pid: spawned.pid,
            pidfd: spawned.pidfd,
            token,
            status: spawned.status,
            words: reader,
        };
        Ok((program, file, rehearsal))
    }

    /// The end of a turn: the upgrade goes on as far as it can.
    pub(super) fn go_on_upgrading(&mut self) {
        let Some(mut upgrade) = self.upgrade.take() else {
            return;
        };
        let is_late = upgrade.deadline_ms <= clock::monotonic_ms();
        if let Stage::Rehearsing(rehearsal) = upgrade.stage {
            match self.rehearsed(rehearsal, is_late) {
                Ok(stage) => upgrade.stage = stage,
                Err(reason) => {
                    let reason = format!("{}: {reason}", upgrade.program.display());
                    return self.give_up(upgrade.sessions, &reason);
                }
            }
        }
        // It was told so meanwhile, and the next image would not know.
        let is_rehearsed = !matches!(upgrade.stage, Stage::Rehearsing(_));
        if is_rehearsed && self.engine.is_ending() {
            return self.give_up(upgrade.sessions, ENDING);
        }
        // A birth under way tells how far it came on a pipe that is this image's own, and who waits for logs to be
        // begun anew would be forgotten. What is to be closed would be closed on the way, which may never end.
        let is_closed = self.processes.keeper.closers.are_done();
        let rests = is_closed
            && self.events.is_empty()
            && self.tendings.is_empty()
            && self.processes.is_between_births();
        if rests && matches!(upgrade.stage, Stage::Due) {
            self.processes.keeper.busy();
            upgrade.stage = Stage::Announced;
        }
        let is_still = rests && self.processes.keeper.has_said_all();
        match upgrade.stage {
            Stage::Looking if is_still => {
                let reason = self.become_it(&upgrade.program, upgrade.file, &upgrade.sessions);
                return self.give_up(upgrade.sessions, &reason);
            }
            Stage::Due | Stage::Announced | Stage::Looking if is_late && !is_closed => {
                let reason = "what services have stored is still being closed, which does not end";
                return self.give_up(upgrade.sessions, reason);
            }
            Stage::Due | Stage::Announced | Stage::Looking if is_late => {
                let reason = match self.tendings.is_empty() {
                    true => "services were being started all the while",
                    false => "logs were being begun anew all the while",
                };
                return self.give_up(upgrade.sessions, reason);
            }
            Stage::Announced if is_still => upgrade.stage = Stage::Looking,
            // Events tell when a birth is through and when the guardian has read.
            Stage::Looking => upgrade.stage = Stage::Announced,
            Stage::Rehearsing(_) | Stage::Due | Stage::Announced => {}
        }
        self.upgrade = Some(upgrade);
    }

    /// All is as it was before.
    fn give_up(&mut self, sessions: Vec<SessionId>, reason: &str) {
        ::log::error!("not upgraded: {reason}");
        self.processes.keeper.ready();
        for session in sessions {
            self.finish(session, Final::Error(refused(reason)));
        }
    }

    /// Looks what the rehearsal has come to.
    fn rehearsed(&mut self, rehearsal: Rehearsal, is_late: bool) -> Result<Stage, String> {
        let peeked = rehearsal.pidfd.peek();
        if matches!(peeked, Ok(Wait::StillRunning)) && !is_late {
            return Ok(Stage::Rehearsing(rehearsal));
        }
        // Whoever it has started is of no use any more. As long as it is not reaped the group's number is its own.
        let _ = kill_group(rehearsal.pid);
        let _ = rehearsal.pidfd.signal(SIGKILL);
        // One that has not ended yet is reaped as an orphan.
        let waited = match peeked {
            Ok(Wait::StillRunning) => Ok(Wait::StillRunning),
            Ok(_) => rehearsal.pidfd.wait(),
            Err(error) => Err(error),
        };
        self.sources
            .remove(rehearsal.token, rehearsal.pidfd.as_fd());
        self.processes.rehearsing = None;
        let wait = waited.map_err(|error| error_text(&error))?;
        if let Ok(ExecStatus::Failed { errno, .. }) = read_status(rehearsal.status.as_fd()) {
            return Err(process::errno_text(errno));
        }
        let words = first_words(rehearsal.words);
        match wait {
            Wait::Exited(0) if words == CAN_READ => Ok(Stage::Due),
            Wait::Exited(0) => Err("it is no program of ours".to_owned()),
            Wait::Exited(code) if words.is_empty() => {
                Err(format!("it ended with exit code {code}"))
            }
            Wait::Exited(code) => Err(format!("it ended with exit code {code}: {words}")),
            Wait::Signaled { signal, .. } => {
                Err(format!("it was killed by {}", text::signal_name(signal)))
            }
            Wait::NotOurChild | Wait::StillRunning => {
                Err("it did not say in time whether it can go on".to_owned())
            }
        }
    }

    /// Becomes the program. Whoever returns from here has not, and this is why.
    fn become_it(&mut self, program: &Path, file: [i64; 5], upgrading: &[SessionId]) -> String {
        let units: Vec<_> = self.engine.units().collect();
        for unit in units {
            self.processes.save(unit, &self.engine);
        }
        if !self.processes.states.is_good() {
            return "its state cannot be written".to_owned();
        }
        let shown = program.display();
        if file_state(program).ok() != Some(file) {
            return format!("{shown} has changed meanwhile: try again");
        }
        let failed = |error: io::Error| format!("{shown}: {}", error_text(&error));
        let note = match self.note(upgrading) {
            Ok(note) => note,
            Err(error) => return failed(error),
        };
        let path = c_text(program.as_os_str().as_bytes());
        let words = words(note.as_raw_fd());
        ::log::info!("upgrade: becoming {shown}");
        // The next image begins it anew.
        self.processes.log_care.packer.end(&mut self.sources);
        let kept = self.kept(&note);
        let keep = kept.iter().try_for_each(|fd| at_exec(*fd, Exec::Keeps));
        let error = match keep.and_then(|()| become_program(&path, &words)) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        for fd in kept {
            // It worked the other way a moment ago.
            let _ = at_exec(fd, Exec::Closes);
        }
        failed(error)
    }

    /// What is handed over, in memory, at its start.
    fn note(&self, upgrading: &[SessionId]) -> io::Result<File> {
        let mut note = memory_file("diakonos-handover")?;
        note.write_all(&encode_handover(&self.handover(upgrading)))?;
        io::Seek::rewind(&mut note)?;
        Ok(note)
    }

    fn kept<'a>(&'a self, note: &'a File) -> Vec<BorrowedFd<'a>> {
        let mut kept = vec![note.as_fd(), self.listener.as_fd(), self.lock.as_fd()];
        kept.extend(self.processes.keeper.channel().map(AsFd::as_fd));
        kept.extend(self.processes.readers());
        kept.extend(self.processes.kept_as_it_is().map(|(_, fd)| fd));
        kept.extend(self.sessions.streams());
        kept
    }
}

/// The words that this process was started with, but for those that meant only its first image.
fn words(note: i32) -> Vec<CString> {
    let mut given = std::env::args_os();
    let mut words: Vec<OsString> = given.next().into_iter().collect();
    while let Some(word) = given.next() {
        let rest = |option: &&str| word.as_bytes().strip_prefix(option.as_bytes());
        match SPENT_OPTIONS.iter().find_map(rest) {
            // Its value is the next word.
            Some([]) => drop(given.next()),
            Some([b'=', ..]) => {}
            Some(_) | None => words.push(word),
        }
    }
    words.extend([HANDOVER_OPTION.into(), note.to_string().into()]);
    let words = words.into_iter();
    words
        .filter_map(|word| CString::new(word.into_vec()).ok())
        .collect()
}

fn environment() -> Vec<CString> {
    let entry = |(name, value): (OsString, OsString)| {
        CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
    };
    std::env::vars_os().filter_map(entry).collect()
}

/// A text without a zero byte in it, as C has it.
fn c_text(text: impl AsRef<[u8]>) -> CString {
    CString::new(text.as_ref()).unwrap_or_default()
}

/// What a program has printed, as one line.
fn first_words(reader: OwnedFd) -> String {
    let mut bytes = vec![0; WORDS_MAX];
    // The pipe is nonblocking, and whoever wrote is gone.
    let length = File::from(reader).read(&mut bytes).unwrap_or(0);
    let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default());
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

fn refused(reason: &str) -> WireError {
    let hint = "the daemon goes on as it was, and so do its services";
    answer::error(
        ErrorKind::Failed,
        format!("the daemon is not upgraded: {reason}"),
        Some(hint.to_owned()),
    )
}
