//! Whether a service that starts is ready: what its unit asks for is waited for here, from the engine's `AwaitReady` to
//! the answer or the end of the start.
//!
//! Owns when and how often is looked: where the world tells (its log, a file, a descriptor), only when it tells; else
//! again and again, at intervals that grow. The looks themselves are `probe`'s.

use std::path::Path;

use crate::engine::{Event, RunId, Spawn, SpawnFailure, UnitId};
use crate::sys::clock;
use crate::sys::inotify::Watch;
use crate::sys::process::{Pid, error_text};
use crate::unit::{Probe, Readiness, Service, Unit};

use super::main_pid::nearest_folder;
use super::probe::{self, Attempt, Tried};
use super::processes::{Processes, Turn};
use super::sources::Sources;
use super::spawn::failure;
use super::spot::Found;
use super::watches::Purpose;

/// The time between two looks, at first and at most.
const FIRST_DELAY_MS: u64 = 20;
const MAX_DELAY_MS: u64 = 1_000;
/// How long one look may take; then it has failed, and another one follows.
const ATTEMPT_MS: u64 = 5_000;
/// File times come from a coarser clock than ours and may be older by as much, in milliseconds.
const FILE_TIME_SLACK_MS: u64 = 50;

/// A start whose main process runs and is not ready.
#[derive(Debug)]
pub(super) struct Awaiting {
    unit: UnitId,
    /// The look that is under way.
    attempt: Option<Attempt>,
    /// When that one has taken too long, or the next one is due.
    due_ms: Option<u64>,
    delay_ms: u64,
    /// Why the last look has failed, as it was told.
    reason: String,
}

impl Awaiting {
    fn new(unit: UnitId) -> Self {
        Self {
            unit,
            attempt: None,
            due_ms: None,
            delay_ms: FIRST_DELAY_MS,
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
        service: &Service,
    ) -> Result<(), SpawnFailure> {
        match &service.readiness {
            Readiness::Executed | Readiness::Notify | Readiness::Descriptor(_) => Ok(()),
            Readiness::Log(text) => {
                let hold = self.holds.get_mut(&spawn.unit);
                if let Some(log) = hold.and_then(|hold| hold.log.as_mut()) {
                    // What others have said before does not count.
                    log.drain(&mut self.intake);
                    log.look_for(text);
                }
                Ok(())
            }
            Readiness::Probe(probe) => probe::check(probe).map_err(|reason| {
                let reason = format!("ReadyWhen={probe}: {reason}");
                failure("ReadyWhen", 0, reason)
            }),
        }
    }

    /// The main process runs: from now on is looked.
    pub(super) fn await_ready(&mut self, unit: UnitId, run: RunId, turn: &mut Turn<'_>) {
        self.stop_awaiting(run, turn.sources);
        self.awaiting.insert(run, Awaiting::new(unit));
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
            return;
        };
        let tried = attempt.go_on(run, turn.sources);
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
            Some(Readiness::Executed | Readiness::Notify | Readiness::Descriptor(_)) | None => {}
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
            Err(reason) => self.not_ready(run, reason, turn),
        }
    }

    /// A file is told of when it appears. Where that cannot be watched, it is looked for again and again.
    fn look_for_file(&mut self, path: &Path, (unit, run): (UnitId, RunId), turn: &mut Turn<'_>) {
        // Before the look, so that what is made after it is told.
        self.watches.remove(Purpose::Ready(run));
        let purpose = Purpose::Ready(run);
        let folder = nearest_folder(path).unwrap_or(Path::new("/"));
        let watched = self.watches.add(folder, Watch::Created, purpose);
        let since_ms = self.holds.get(&unit).map_or(0, |hold| hold.started_ms);
        match (age(path), watched) {
            (Ok(changed_ms), _) if changed_ms.saturating_add(FILE_TIME_SLACK_MS) >= since_ms => {
                self.is_ready(run, turn);
            }
            (found, watched) => {
                let reason = match found {
                    Ok(_) => "it is older than this start".to_owned(),
                    Err(error) => error_text(&error),
                };
                self.not_ready(run, reason, turn);
                if let (Ok(()), Some(awaiting)) = (watched, self.awaiting.get_mut(&run)) {
                    awaiting.due_ms = None;
                }
            }
        }
    }

    fn is_ready(&mut self, run: RunId, turn: &mut Turn<'_>) {
        self.stop_awaiting(run, turn.sources);
        turn.events.push_back(Event::Ready { run });
    }

    /// Another look follows. The same reason is told once.
    fn not_ready(&mut self, run: RunId, reason: String, turn: &mut Turn<'_>) {
        let Some(awaiting) = self.awaiting.get_mut(&run) else {
            return;
        };
        let delay_ms = awaiting.delay_ms;
        awaiting.due_ms = Some(clock::monotonic_ms().saturating_add(delay_ms));
        awaiting.delay_ms = (2 * delay_ms).min(MAX_DELAY_MS);
        if reason != awaiting.reason {
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

/// When the file was changed, made or moved here, unix milliseconds.
fn age(path: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let found = path.metadata()?;
    let changed_ms = found
        .ctime()
        .saturating_mul(1_000)
        .saturating_add(found.ctime_nsec() / 1_000_000);
    Ok(u64::try_from(changed_ms).unwrap_or(0))
}
