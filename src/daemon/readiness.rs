//! Whether a service that starts is ready: what its unit asks for is waited for here, from the engine's `AwaitReady` to
//! the answer or the end of the start.
//!
//! Owns when and how often is looked: where the world tells (its log, a file, a descriptor), only when it tells; else
//! again and again, at intervals that grow. The looks themselves are `probe`'s.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mio::Token;

use crate::engine::{Event, RunId, Spawn, SpawnFailure, UnitId};
use crate::sys::inotify::Watch;
use crate::sys::process::{Pid, PlacedFifo, error_text};
use crate::sys::{clock, files, proc};
use crate::unit::{Probe, Readiness, Service, Unit};

use super::account::Account;
use super::main_pid::nearest_folder;
use super::probe::{self, Attempt, Tried, Unable};
use super::processes::{Processes, Turn};
use super::pump::Found;
use super::removing::remove;
use super::sources::{Source, Sources};
use super::spawn::failure;
use super::watches::Purpose;

/// The time between two looks, at first and at most.
const FIRST_DELAY_MS: u64 = 20;
const MAX_DELAY_MS: u64 = 1_000;
/// After so many looks in vain, which takes longer than a second, the reason is told again: somebody may wait.
const TOLD_AGAIN: u32 = 7;
/// How long one look may take; then it has failed, and another one follows.
const ATTEMPT_MS: u64 = 5_000;
/// So many looks find a descriptor closed before it is given up, which takes a third of a second: a process that ends
/// closes it too, and how it ended says more. One whose end has begun is waited for, be that as long as it may.
const CLOSED_LOOKS: u32 = 5;
/// How often is read of what a service writes into its FIFO, before others have their turn.
const READS_MAX: usize = 16;

/// A start whose main process runs and is not ready.
#[derive(Debug)]
pub(super) struct Awaiting {
    unit: UnitId,
    /// The look that is under way.
    attempt: Option<Attempt>,
    /// When that one has taken too long, or the next one is due.
    due_ms: Option<u64>,
    delay_ms: u64,
    /// Looks that have failed.
    failed: u32,
    /// Why the last look has failed, as it was told.
    reason: String,
}

/// What was there before the main process was born.
#[derive(Debug)]
pub(super) enum Before {
    /// The file that the service is to make: one of an earlier life, which does not count.
    File(Stamp),
    /// Where it is to write a newline.
    Line(Line),
}

/// A FIFO in `run/`, as the logs have them: what is written while no daemon is there is not lost.
#[derive(Debug)]
pub(super) struct Line {
    path: PathBuf,
    number: u16,
    reader: OwnedFd,
    /// While it is read.
    token: Option<Token>,
}

impl Before {
    /// What the main process is to find.
    pub(super) fn placed(&self) -> Option<PlacedFifo> {
        match self {
            Self::File(_) => None,
            Self::Line(line) => Some(PlacedFifo {
                path: CString::new(line.path.as_os_str().as_bytes()).ok()?,
                number: line.number,
            }),
        }
    }

    /// What is to stay open when we die.
    pub(super) fn reader(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::File(_) => None,
            Self::Line(line) => Some(line.reader.as_fd()),
        }
    }
}

/// Which file it is, and when it was changed last, made or moved there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let found = path.metadata()?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

impl Awaiting {
    fn new(unit: UnitId) -> Self {
        Self {
            unit,
            attempt: None,
            due_ms: None,
            delay_ms: FIRST_DELAY_MS,
            failed: 0,
            reason: String::new(),
        }
    }

    pub(super) fn child(&self) -> Option<Pid> {
        self.attempt.as_ref().and_then(Attempt::child)
    }

    fn end(self, sources: &mut Sources) {
        if let Some(attempt) = self.attempt {
            attempt.end(sources);
        }
    }
}

impl Processes {
    /// What has to be in place before the main process is born, so that nothing is missed; and whether it can be looked
    /// at all.
    pub(super) fn prepare_readiness(
        &mut self,
        spawn: &Spawn,
        (unit, service): (&Unit, &Service),
        owner: &Account,
        turn: &mut Turn<'_>,
    ) -> Result<(), SpawnFailure> {
        self.forget_before(spawn.unit, turn.sources);
        match &service.readiness {
            Readiness::Executed | Readiness::Notify => Ok(()),
            Readiness::Descriptor(number) => {
                let path = self.ready_fifo(unit);
                // What is still in one of an earlier life, the guardian may have kept.
                let _ = std::fs::remove_file(&path);
                let made = files::make_fifo(&path, 0o600, owner.owner());
                let opened = made.and_then(|()| self.open_line((spawn.unit, *number), path));
                opened.map_err(|error| {
                    let reason = format!("ReadyWhen=fd:{number}: {}", error_text(&error));
                    failure("ReadyWhen", error.raw_os_error().unwrap_or(0), reason)
                })
            }
            Readiness::Log(text) => {
                let hold = self.holds.get_mut(&spawn.unit);
                if let Some(log) = hold.and_then(|hold| hold.log.as_mut()) {
                    // What others have said before does not count.
                    log.drain(&mut self.intake);
                    log.look_for(text);
                }
                Ok(())
            }
            Readiness::Probe(probe) => {
                if let Probe::File(path) = &**probe
                    && let Ok(stamp) = Stamp::of(path)
                {
                    self.before.insert(spawn.unit, Before::File(stamp));
                }
                probe::check(probe).map_err(|reason| {
                    let reason = format!("ReadyWhen={probe}: {reason}");
                    failure("ReadyWhen", 0, reason)
                })
            }
        }
    }

    /// The main process runs: from now on is looked.
    pub(super) fn await_ready(&mut self, unit: UnitId, run: RunId, turn: &mut Turn<'_>) {
        self.stop_awaiting(run, turn.sources);
        self.awaiting.insert(run, Box::new(Awaiting::new(unit)));
        if let Some((text, unit)) = logged(unit, turn) {
            let hold = self.holds.get_mut(&unit);
            if let Some(log) = hold.and_then(|hold| hold.log.as_mut()) {
                log.look_back_for(text, run);
            }
        }
        self.look_whether_ready(run, turn);
    }

    /// The start is over, or its end has come; nothing is left of the looking.
    pub(super) fn stop_awaiting(&mut self, run: RunId, sources: &mut Sources) {
        let Some(awaiting) = self.awaiting.remove(&run) else {
            return;
        };
        self.watches.remove(Purpose::Ready(run));
        self.forget_before(awaiting.unit, sources);
        let hold = self.holds.get_mut(&awaiting.unit);
        if let Some(log) = hold.and_then(|hold| hold.log.as_mut()) {
            log.look_no_more();
        }
        awaiting.end(sources);
    }

    /// When the next look is due, or one takes too long; monotonic.
    pub(super) fn next_look_ms(&self) -> Option<u64> {
        self.awaiting.values().filter_map(|one| one.due_ms).min()
    }

    /// Does what is due.
    pub(super) fn look_on_time(&mut self, turn: &mut Turn<'_>) {
        let now_ms = clock::monotonic_ms();
        let is_due = |awaiting: &Awaiting| awaiting.due_ms.is_some_and(|due| due <= now_ms);
        let due = self.awaiting.iter().filter(|(_, one)| is_due(one));
        let due: Vec<RunId> = due.map(|(run, _)| *run).collect();
        for run in due {
            let Some(awaiting) = self.awaiting.get_mut(&run) else {
                continue;
            };
            match awaiting.attempt.take() {
                Some(attempt) => {
                    attempt.end(turn.sources);
                    let reason = format!("no answer within {} s", ATTEMPT_MS / 1_000);
                    self.not_ready(run, reason, turn);
                }
                None => self.look_whether_ready(run, turn),
            }
        }
    }

    /// The descriptor of the look that is under way is ready.
    pub(super) fn look_goes_on(&mut self, run: RunId, turn: &mut Turn<'_>) {
        let awaiting = self.awaiting.get_mut(&run);
        let Some(attempt) = awaiting.and_then(|awaiting| awaiting.attempt.as_mut()) else {
            return self.read_line(run, turn);
        };
        let child = attempt.child();
        let tried = attempt.go_on(run, turn.sources);
        // It may have been reaped.
        self.kin.forget(child.as_slice());
        if tried == Tried::Pending {
            return;
        }
        let awaiting = self.awaiting.get_mut(&run);
        if let Some(attempt) = awaiting.and_then(|awaiting| awaiting.attempt.take()) {
            attempt.end(turn.sources);
        }
        match tried {
            Tried::Pending => {}
            Tried::Well => self.is_ready(run, turn),
            Tried::Bad(reason) => self.not_ready(run, reason, turn),
            Tried::Hopeless(reason) => self.is_hopeless(run, reason, turn),
        }
    }

    /// The service has said what it is to say.
    pub(super) fn log_was_read(&mut self, unit: UnitId, turn: &mut Turn<'_>) {
        let hold = self.holds.get(&unit);
        let log = hold.and_then(|hold| hold.log.as_ref());
        if log.and_then(|log| log.found()) != Some(Found::Yes) {
            return;
        }
        let awaiting = self.awaiting.iter().find(|(_, one)| one.unit == unit);
        if let Some(run) = awaiting.map(|(run, _)| *run) {
            self.is_ready(run, turn);
        }
    }

    /// Looks now, unless a look is under way.
    pub(super) fn look_whether_ready(&mut self, run: RunId, turn: &mut Turn<'_>) {
        let Some(awaiting) = self.awaiting.get_mut(&run) else {
            return;
        };
        if awaiting.attempt.is_some() {
            return;
        }
        awaiting.due_ms = None;
        let unit = awaiting.unit;
        let engine = turn.engine;
        let service = engine.unit(unit).and_then(|unit| unit.service.as_deref());
        match service.map(|service| &service.readiness) {
            Some(Readiness::Log(_)) => self.log_was_read(unit, turn),
            Some(Readiness::Probe(probe)) => match &**probe {
                Probe::File(path) => self.look_for_file(path, (unit, run), turn),
                probe => self.try_probe(probe, (unit, run), turn),
            },
            Some(Readiness::Descriptor(number)) => self.listen_for_line((unit, run), *number, turn),
            Some(Readiness::Executed | Readiness::Notify) | None => {}
        }
    }

    fn try_probe(&mut self, probe: &Probe, (unit, run): (UnitId, RunId), turn: &mut Turn<'_>) {
        match self.attempt(probe, (unit, run), turn) {
            Ok(attempt) => {
                if let Some(awaiting) = self.awaiting.get_mut(&run) {
                    awaiting.attempt = Some(attempt);
                    awaiting.due_ms = Some(clock::monotonic_ms().saturating_add(ATTEMPT_MS));
                }
                self.look_goes_on(run, turn);
            }
            Err(Unable::Now(reason)) => self.not_ready(run, reason, turn),
            Err(Unable::Ever(reason)) => self.is_hopeless(run, reason, turn),
        }
    }

    /// A file is told of when it appears. Where that cannot be watched, it is looked for again and again.
    fn look_for_file(&mut self, path: &Path, (unit, run): (UnitId, RunId), turn: &mut Turn<'_>) {
        // Before the look, so that what is made after it is told.
        self.watches.remove(Purpose::Ready(run));
        let purpose = Purpose::Ready(run);
        let folder = nearest_folder(path).unwrap_or(Path::new("/"));
        let watched = self.watches.add(folder, Watch::Created, purpose);
        // Of a start that a predecessor began nobody knows what was there before.
        let before = match self.before.get(&unit) {
            Some(Before::File(stamp)) => Some(*stamp),
            Some(Before::Line(_)) | None => None,
        };
        match (Stamp::of(path), watched) {
            (Ok(stamp), _) if before != Some(stamp) => self.is_ready(run, turn),
            (found, watched) => {
                let reason = match found {
                    Ok(_) => "it is older than this start".to_owned(),
                    Err(error) => error_text(&error),
                };
                match watched {
                    Ok(()) => self.not_ready_until_told(run, reason, turn),
                    Err(_) => self.not_ready(run, reason, turn),
                }
            }
        }
    }

    fn ready_fifo(&self, unit: &Unit) -> PathBuf {
        self.home.run().join(format!("{}.ready", unit.name))
    }

    fn open_line(&mut self, (unit, number): (UnitId, u16), path: PathBuf) -> io::Result<()> {
        let reader = files::open_fifo_reader(&path)?;
        self.keeper.hold(reader.as_fd());
        let line = Line {
            path,
            number,
            reader,
            token: None,
        };
        self.before.insert(unit, Before::Line(line));
        Ok(())
    }

    /// The program has its descriptor, and may have written to it already. A predecessor's is opened again.
    fn listen_for_line(&mut self, (unit, run): (UnitId, RunId), number: u16, turn: &mut Turn<'_>) {
        let engine = turn.engine;
        let opened = match (self.before.get(&unit), engine.unit(unit)) {
            (Some(Before::Line(_)), _) | (_, None) => Ok(()),
            (_, Some(definition)) => self.open_line((unit, number), self.ready_fifo(definition)),
        };
        let added = opened.and_then(|()| match self.before.get_mut(&unit) {
            Some(Before::Line(line)) if line.token.is_none() => {
                let reader = line.reader.as_fd();
                line.token = Some(turn.sources.add(reader, Source::Probe(run))?);
                Ok(())
            }
            _ => Ok(()),
        });
        match added {
            Ok(()) => self.read_line(run, turn),
            Err(error) => self.not_ready_until_told(run, error_text(&error), turn),
        }
    }

    fn read_line(&mut self, run: RunId, turn: &mut Turn<'_>) {
        let unit = self.awaiting.get(&run).map(|awaiting| awaiting.unit);
        let Some(Before::Line(line)) = unit.and_then(|unit| self.before.get(&unit)) else {
            return;
        };
        let mut chunk = [0; 512];
        for _ in 0..READS_MAX {
            let reason = match files::read_into(line.reader.as_fd(), &mut chunk) {
                Ok(0) => return self.line_was_closed(run, turn),
                Ok(length) if chunk[..length].contains(&b'\n') => return self.is_ready(run, turn),
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => error_text(&error),
            };
            return self.not_ready_until_told(run, reason, turn);
        }
        // It is not empty yet, and nobody will tell so again.
        if let Some(awaiting) = self.awaiting.get_mut(&run) {
            awaiting.due_ms = Some(clock::monotonic_ms());
        }
    }

    fn line_was_closed(&mut self, run: RunId, turn: &mut Turn<'_>) {
        let reason = "it was closed without a newline".to_owned();
        let awaiting = self.awaiting.get(&run);
        let is_enough = awaiting.is_some_and(|awaiting| awaiting.failed + 1 >= CLOSED_LOOKS);
        let main = self.runs.get(run).map(|run| run.pid);
        let is_ending = is_enough && main.is_some_and(proc::is_ending);
        if is_enough && !is_ending {
            return self.is_hopeless(run, reason, turn);
        }
        self.not_ready(run, reason, turn);
    }

    /// What was there before the start is of no use any more.
    pub(super) fn forget_before(&mut self, unit: UnitId, sources: &mut Sources) {
        let Some(Before::Line(line)) = self.before.remove(&unit) else {
            return;
        };
        if let Some(token) = line.token {
            sources.remove(token, line.reader.as_fd());
        }
        self.keeper.release(line.reader.as_fd());
        remove(&line.path);
    }

    fn is_ready(&mut self, run: RunId, turn: &mut Turn<'_>) {
        self.stop_awaiting(run, turn.sources);
        turn.events.push_back(Event::Ready { run });
    }

    /// No look follows.
    fn is_hopeless(&mut self, run: RunId, reason: String, turn: &mut Turn<'_>) {
        if let Some(awaiting) = self.awaiting.get_mut(&run) {
            awaiting.due_ms = None;
        }
        let reason = reason.into();
        turn.events.push_back(Event::Hopeless { run, reason });
    }

    /// Another look follows when something tells of a change.
    fn not_ready_until_told(&mut self, run: RunId, reason: String, turn: &mut Turn<'_>) {
        self.not_ready(run, reason, turn);
        if let Some(awaiting) = self.awaiting.get_mut(&run) {
            awaiting.due_ms = None;
        }
    }

    /// Another look follows. The same reason is told once, and once more when it has lasted.
    fn not_ready(&mut self, run: RunId, reason: String, turn: &mut Turn<'_>) {
        let Some(awaiting) = self.awaiting.get_mut(&run) else {
            return;
        };
        let delay_ms = awaiting.delay_ms;
        awaiting.due_ms = Some(clock::monotonic_ms().saturating_add(delay_ms));
        awaiting.delay_ms = (2 * delay_ms).min(MAX_DELAY_MS);
        awaiting.failed = awaiting.failed.saturating_add(1);
        if reason != awaiting.reason || awaiting.failed == TOLD_AGAIN {
            let told = reason.as_str().into();
            turn.events.push_back(Event::Unready { run, reason: told });
            awaiting.reason = reason;
        }
    }
}

/// The text that the unit's log is to say.
fn logged<'t>(unit: UnitId, turn: &Turn<'t>) -> Option<(&'t str, UnitId)> {
    let definition: &'t Unit = turn.engine.unit(unit)?;
    match &definition.service.as_deref()?.readiness {
        Readiness::Log(text) => Some((text, unit)),
        _ => None,
    }
}
