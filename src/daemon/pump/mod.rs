//! A service's output on its way from the FIFO to the log.
//!
//! Owns the read ends and the log's writer: how they are opened and closed stands here, how bytes are taken in
//! `taking`, which of them are left out in `overflow`, where a run begins and ends in `marks`, and what is looked for
//! in `spot`. The daemon holds no write end: end of file comes when the last process that could still write is gone. A
//! child opens the FIFO for reading and writing, so it outlives us. How the bytes lie on disk is `log`'s.

mod marks;
mod overflow;
mod spot;
mod taking;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use mio::Token;

use crate::engine::{Ending, LogWish, RunId, UnitId};
use crate::log::{Gate, Legacy, Limits, Missing, Owed, Stream, Writer};
use crate::sys::files;
use crate::sys::proc::open_removed_fifo;
use crate::sys::process::{Pid, error_text};
use crate::unit::{LogLimits, LogPolicy};

use super::intake::Intake;
use super::keeper::Keeper;
use super::log_care;
use super::removing::remove;
use super::sources::{Source, Sources};
use overflow::{gate, rate};
use spot::Spot;

pub(super) use overflow::News;
pub(super) use spot::Found;
pub(super) use taking::Pumped;

/// One service's pipes and log.
#[derive(Debug)]
pub(super) struct UnitLog {
    name: Box<str>,
    directory: Box<Path>,
    limits: Limits,
    /// Nothing where its name is no file name.
    writer: Option<Writer>,
    pipes: Vec<Pipe>,
    /// Whose bytes they are taken for.
    run: RunId,
    /// The main process's run, between its marks.
    main: Option<RunId>,
    /// A text that is looked for.
    spot: Option<Box<Spot>>,
    policy: LogPolicy,
    /// Where not every line is to be kept.
    gate: Option<Box<Gate>>,
    /// What is missing beside what the gate and the writer count.
    missing: Missing,
    /// How many lost bytes a successor was to be told of last.
    saved_bytes: u64,
    /// As of when a successor was told what the index is owed.
    saved_changes: u32,
    /// Whether a successor is to be told more of what is missing.
    news: News,
    /// When it is tried again whether the log can be written, monotonic milliseconds.
    retry_ms: Option<u64>,
}

#[derive(Debug)]
struct Pipe {
    stream: Stream,
    path: PathBuf,
    reader: OwnedFd,
    token: Token,
    /// What its buffer holds. Few services need more than the usual one, and what all pipes of a user may have together
    /// is bounded.
    size: usize,
    /// By how much it was enlarged; a predecessor's part is not counted.
    granted: usize,
}

impl UnitLog {
    /// A log without pipes yet. That it cannot be opened does not keep the service from running.
    pub(super) fn new(name: &str, directory: &Path, limits: LogLimits) -> Self {
        let mut log = Self {
            name: name.into(),
            directory: directory.into(),
            limits: sizes(limits),
            writer: None,
            pipes: Vec::new(),
            run: RunId(0),
            main: None,
            spot: None,
            policy: limits.policy,
            gate: gate(limits),
            missing: Missing::default(),
            saved_bytes: 0,
            saved_changes: 0,
            news: News::None,
            retry_ms: None,
        };
        let opened = log.open_writer();
        let opened = opened.and_then(|()| log.writer.as_mut().map_or(Ok(()), Writer::look));
        if let Err(error) = opened {
            ::log::warn!("{name}: cannot open its log: {}", error_text(&error));
        }
        log
    }

    /// Other limits from now on.
    pub(super) fn limit(&mut self, limits: LogLimits) {
        self.limits = sizes(limits);
        if let Some(writer) = &mut self.writer {
            writer.limit(self.limits);
        }
        self.policy = limits.policy;
        match &mut self.gate {
            // It stays, open: it has counts to tell of, and may have left out the head of a line whose rest is to come.
            Some(gate) => gate.limit(rate(limits)),
            None => self.gate = gate(limits),
        }
    }

    pub(super) fn open_writer(&mut self) -> io::Result<()> {
        if self.writer.is_none() {
            let writer = Writer::unopened(&self.directory, &self.name, self.limits)?;
            self.writer = Some(writer);
        }
        Ok(())
    }

    /// Makes the FIFO and opens our end of it, if that has not been done: before the process that writes is born. One
    /// that was removed stays open beside the new one, for whoever has it.
    pub(super) fn open_pipe(
        &mut self,
        (unit, stream): (UnitId, Stream),
        path: &Path,
        owner: Option<(u32, u32)>,
        (sources, keeper): (&mut Sources, &mut Keeper),
    ) -> io::Result<()> {
        files::make_fifo(path, 0o600, owner)?;
        let reader = files::open_fifo_reader(path)?;
        self.add_pipe((unit, stream), path, reader, (sources, keeper))
    }

    /// The same with a FIFO that was removed before we began, and that this process writes to still: nobody else would
    /// ever read it.
    pub(super) fn reopen_removed(
        &mut self,
        (unit, stream): (UnitId, Stream),
        path: &Path,
        writer: Pid,
        kept: (&mut Sources, &mut Keeper),
    ) -> io::Result<()> {
        match open_removed_fifo(writer, path) {
            Some(reader) => self.add_pipe((unit, stream), path, reader, kept),
            None => Ok(()),
        }
    }

    fn add_pipe(
        &mut self,
        (unit, stream): (UnitId, Stream),
        path: &Path,
        reader: OwnedFd,
        (sources, keeper): (&mut Sources, &mut Keeper),
    ) -> io::Result<()> {
        let inode = files::inode(reader.as_fd())?;
        let is_it = |pipe: &Pipe| files::inode(pipe.reader.as_fd()).is_ok_and(|it| it == inode);
        if self.pipes.iter().any(is_it) {
            return Ok(());
        }
        let token = sources.add(reader.as_fd(), Source::LogPipe(unit, stream))?;
        keeper.hold(reader.as_fd());
        let size = files::pipe_bytes(reader.as_fd());
        self.pipes.push(Pipe {
            stream,
            path: path.to_owned(),
            reader,
            token,
            size,
            granted: 0,
        });
        Ok(())
    }

    /// What its index is still to be told.
    pub(super) fn owed(&self) -> Option<&Owed> {
        self.writer.as_ref().map(Writer::owed)
    }

    /// Goes on where the log was closed in bad times.
    pub(super) fn inherit(&mut self, legacy: Legacy) {
        if let Some(writer) = &mut self.writer {
            writer.inherit(legacy);
            self.retry();
        }
    }

    /// The same for whoever opens the log next, and what else is not in it yet.
    pub(super) fn legacy(&self) -> Option<Box<Legacy>> {
        self.writer.as_ref().and_then(Writer::legacy)
    }

    /// Our ends of the pipes.
    pub(super) fn readers(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().map(|pipe| pipe.reader.as_fd())
    }

    /// Begins the log anew. Returns what was done.
    pub(super) fn tend(&mut self, wish: LogWish) -> io::Result<&'static str> {
        self.open_writer()?;
        match &mut self.writer {
            Some(writer) => log_care::tend(writer, self.run.0, wish),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// By how many bytes the log has grown since this was asked last, and how often it was rotated.
    pub(super) fn take_growth(&mut self) -> (u64, u32) {
        let writer = self.writer.as_mut();
        writer.map_or((0, 0), |writer| {
            (writer.take_written(), writer.take_rotations())
        })
    }

    /// Closes the pipes and removes their names; for when nobody writes any more.
    pub(super) fn close(
        &mut self,
        intake: &mut Intake,
        (sources, keeper): (&mut Sources, &mut Keeper),
    ) {
        // A main process that nobody could name has gone with the others.
        self.end(Ending::Unknown, None);
        self.tell_missing();
        for pipe in self.pipes.drain(..) {
            sources.remove(pipe.token, pipe.reader.as_fd());
            keeper.release(pipe.reader.as_fd());
            intake.give_back(pipe.granted);
            remove(&pipe.path);
        }
    }
}

fn sizes(limits: LogLimits) -> Limits {
    Limits {
        max_size: limits.max_size,
        max_files: limits.max_files,
    }
}

#[cfg(test)]
mod tests;
