//! From one image of the daemon to the next: what is written down before, and taken up again after.
//!
//! Owns both halves, so that they stand side by side. The services come back as after a crash (`restore.rs`): this is
//! about the rest, which a crash would lose: clients and what they wait for, and descriptors that stay open.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::engine::{Event, RequestId};
use crate::sys::channel::Channel;
use crate::sys::files::take_inherited;
use crate::sys::process::{Pid, error_text};
use crate::wire::{Final, HandedRequest, HandedSession, HandedStage, Handover, decode_handover};

use super::answer;
use super::boot::{BootError, Seat};
use super::context::unit_context;
use super::event_loop::Daemon;
use super::home::Home;
use super::keeper::Keeper;
use super::processes::Processes;
use super::readiness::Before;
use super::request::Waiter;
use super::restore;
use super::session::{Session, Sessions, Stage};
use super::sources::{SessionId, Source};
use super::state::States;

/// Bytes of the note that are read at most.
const NOTE_MAX: u64 = 1 << 30;

/// What this image has got from the one before.
pub(super) struct Heritage {
    program: String,
    /// Held until the FIFOs are open again: with a reader all the while, nothing in them is lost.
    readers: Vec<OwnedFd>,
    sessions: Vec<(HandedSession, OwnedFd)>,
}

/// Reads a note, and whether this program can go on with it and with what lies in `run/`.
///
/// # Errors
/// A sentence for the one who wants to be replaced.
pub(super) fn rehearse(note: File, home: &Home) -> Result<(), String> {
    decode(note).map_err(|reason| format!("cannot read the handover: {reason}"))?;
    restore::rehearse(&States::new(home.run()), &unit_context())
}

fn decode(note: File) -> Result<Handover, String> {
    let mut bytes = Vec::new();
    let read = note.take(NOTE_MAX).read_to_end(&mut bytes);
    read.map_err(|error| error_text(&error))?;
    decode_handover(&bytes).map_err(|error| error.to_string())
}

/// Takes everything over that stands in the inherited note.
pub(super) fn receive(home: Home, note: i32) -> Result<(Seat, Keeper, Heritage), BootError> {
    let failed =
        |error| BootError::failed("take over from", Path::new("the program before"), error);
    let note = take_inherited(note).map_err(failed)?;
    let handed =
        decode(File::from(note)).map_err(|reason| failed(std::io::Error::other(reason)))?;
    let take = |fd: i32| take_inherited(fd).map_err(failed);
    let mut keeper = match handed.guardian {
        Some((pid, channel)) => {
            let channel = Channel::from_owned(take(channel)?);
            Pid::from_raw(pid)
                .map(|pid| Keeper::of(pid, channel))
                .unwrap_or_default()
        }
        None => Keeper::of_supervisor(Vec::new()),
    };
    let kept = handed.kept.into_iter();
    let kept = kept.map(|(key, fd)| Ok((key, take(fd)?)));
    keeper.inherit(kept.collect::<Result<_, _>>()?);
    let seat = Seat {
        home,
        lock: File::from(take(handed.lock)?),
        listener: UnixListener::from(take(handed.listener)?),
        nofile: handed.nofile,
        directories: handed.directories.into_iter().map(PathBuf::from).collect(),
    };
    let readers = handed
        .readers
        .into_iter()
        .map(take)
        .collect::<Result<_, _>>()?;
    let sessions = handed.sessions.into_iter();
    let with_fd = |session: HandedSession| {
        let fd = take(session.fd)?;
        Ok((session, fd))
    };
    let heritage = Heritage {
        program: handed.program,
        readers,
        sessions: sessions.map(with_fd).collect::<Result<_, _>>()?,
    };
    Ok((seat, keeper, heritage))
}

impl Daemon {
    /// All that the next image needs beside the saved state. To be asked for between two turns.
    pub(super) fn handover(&self, upgrading: &[SessionId]) -> Handover {
        let directories = self
            .directories
            .iter()
            .map(|path| path.display().to_string());
        let keeper = &self.processes.keeper;
        let channel = keeper.channel().map(|channel| channel.as_fd().as_raw_fd());
        let sessions = self.sessions.map.iter().map(|(id, session)| {
            let stage = match session.stage {
                _ if upgrading.contains(id) => HandedStage::Upgrading,
                Stage::Greeting => HandedStage::Greeting,
                Stage::Busy(Some(request)) => self.handed_request(request),
                Stage::Idle | Stage::Busy(None) => HandedStage::Idle,
                Stage::Leaving => HandedStage::Leaving,
            };
            session.hand_over(stage)
        });
        Handover {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            listener: self.listener.as_raw_fd(),
            lock: self.lock.as_raw_fd(),
            guardian: keeper.guardian().map(Pid::as_raw).zip(channel),
            nofile: self.processes.limits,
            directories: directories.collect(),
            readers: self.processes.readers().map(|fd| fd.as_raw_fd()).collect(),
            kept: self
                .processes
                .kept_as_it_is()
                .map(|(key, fd)| (key, fd.as_raw_fd()))
                .collect(),
            sessions: sessions.collect(),
        }
    }

    fn handed_request(&self, request: RequestId) -> HandedStage {
        let (Some(pending), Some(waiter)) =
            (self.engine.pending(request), self.waiting.get(&request))
        else {
            return HandedStage::Idle;
        };
        let mut results = answer::results(pending.outcomes, &self.engine);
        results.extend(waiter.answered.iter().cloned());
        HandedStage::Waiting(HandedRequest {
            awaited: pending.awaited,
            units: pending.units,
            results,
        })
    }

    /// Goes on where the image before has left off. To be called instead of [`Daemon::take_back`] alone.
    pub(super) fn go_on_from(&mut self, heritage: Heritage) {
        let mut upgrading = Vec::new();
        // Before any run is told of: whatever has ended meanwhile is an answer to them.
        for (handed, fd) in heritage.sessions {
            let stream = UnixStream::from(fd);
            let taken = self.sessions.take_over(stream, &handed, &mut self.sources);
            let Some(session) = taken else { continue };
            self.unfinished.insert(Source::Session(session));
            match handed.stage {
                HandedStage::Waiting(request) => self.resume(session, request),
                HandedStage::Upgrading => upgrading.push(session),
                HandedStage::Greeting | HandedStage::Idle | HandedStage::Leaving => {}
            }
        }
        self.engine.go_on();
        self.take_back();
        drop(heritage.readers);
        let text = self.upgraded(&heritage.program);
        ::log::info!("{text}");
        for session in upgrading {
            self.finish(session, Final::Said(text.clone()));
        }
    }

    fn resume(&mut self, session: SessionId, handed: HandedRequest) {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.events.push_back(Event::Resumed {
            request,
            awaited: handed.awaited,
            units: handed.units,
        });
        self.waiting
            .insert(request, Box::new(Waiter::resumed(session, handed.results)));
        self.sessions.attach(session, request);
    }

    fn upgraded(&self, before: &str) -> String {
        let program = crate::sys::image::own_program().unwrap_or_default();
        let status = super::status::daemon(&self.engine);
        let services = match status.running {
            1 => "1 running service".to_owned(),
            running => format!("{running} running services"),
        };
        format!(
            "upgraded: version {before} -> {} ({}); PID {} and {services} kept",
            status.version,
            program.display(),
            status.pid
        )
    }
}

impl Session {
    fn hand_over(&self, stage: HandedStage) -> HandedSession {
        HandedSession {
            fd: self.stream.as_raw_fd(),
            protocol: self.protocol,
            stage,
            input: self.decoder.rest().to_vec(),
            output: self.output.get(self.sent..).unwrap_or_default().to_vec(),
        }
    }
}

impl Sessions {
    pub(super) fn streams(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.map.values().map(|session| session.stream.as_fd())
    }
}

impl Processes {
    /// The read ends of all FIFOs: of the logs, and of those on which a service tells that it is ready.
    pub(super) fn readers(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let logs = self.holds.values().filter_map(|hold| hold.log.as_ref());
        let lines = self.before.values().filter_map(Before::reader);
        logs.flat_map(|log| log.readers()).chain(lines)
    }

    /// Whether no child is on its way to its program.
    pub(super) fn is_between_births(&self) -> bool {
        let mut runs = self.runs.values();
        runs.all(|run| run.birth.is_none() && run.failure.is_none())
    }
}
