//! The record on disk: what became of every unit and why, and who asked for it.
//!
//! Owns the two files of a home, their bounds and their end: lines are appended once a turn and are whole, whenever
//! this daemon is killed; the count goes on from daemon to daemon. What a line says is `wire::record`'s, what is worth
//! one the engine's. The record is read by the clients; nothing here depends on it.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::engine::{Asker, Cause, Change, ChangeId, Effect, Moment, Taken, failure_word};
use crate::sys::process::error_text;
use crate::sys::{clock, files};
use crate::wire::record::{
    Asked, Changed, Entry, LINE_MAX, Stage, UNITS_MAX, What, cause_word, decode_entry, encode_entry,
};

use super::account::Account;
use super::event_loop::{Daemon, now};
use super::home::Home;
use super::spared::command;
use super::text;

/// Bytes of one file; the one before is kept as well, and all older entries are gone.
const FILE_MAX: u64 = 4 << 20;
/// Lines that wait for the end of their turn, in bytes: more are written at once.
const WAITING_MAX: usize = 64 << 10;
/// Bytes of a client's command line.
const COMMAND_MAX: u64 = 512;
/// Bytes at the end of a file in which its last whole line is looked for.
const TAIL: u64 = 4 * LINE_MAX as u64;

/// The folder, when somebody has removed it.
const FOLDER_MODE: u32 = 0o700;

/// See the module.
#[derive(Debug)]
pub(super) struct Record {
    /// The one that is written to, and the one before.
    paths: [PathBuf; 2],
    lines: Vec<u8>,
    health: Health,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// It was said that nothing can be written.
    Failing,
}

impl Record {
    pub(super) fn new(home: &Home) -> Self {
        Self {
            paths: home.record(),
            lines: Vec::new(),
            health: Health::Good,
        }
    }

    /// The number of the youngest entry; 0 if there is none. A line that a dead daemon did not finish is taken off.
    fn last(&self) -> ChangeId {
        let [newest, _] = &self.paths;
        if let Err(error) = take_off_torn(newest) {
            let reason = error_text(&error);
            ::log::warn!("cannot go on with {}: {reason}", newest.display());
        }
        let last = |path: &PathBuf| {
            let tail = read_tail(path).ok()?;
            let mut lines = tail.split(|byte| *byte == b'\n').rev();
            lines.find_map(|line| decode_entry(line).ok())
        };
        let entry = self.paths.iter().find_map(last);
        ChangeId(entry.map_or(0, |entry| entry.id))
    }

    fn add(&mut self, entry: &Entry) {
        encode_entry(entry, &mut self.lines);
        if self.lines.len() > WAITING_MAX {
            self.flush();
        }
    }

    /// Writes what waits. What cannot be written is lost: a service is more than its story.
    fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        let [newest, before] = &self.paths;
        match (append(newest, before, &lines), self.health) {
            (Err(error), Health::Good) => {
                let (path, reason) = (newest.display(), error_text(&error));
                ::log::error!("writing {path}: {reason}; `why` and `events` will not know");
                self.health = Health::Failing;
            }
            (Ok(()), Health::Failing) => {
                ::log::info!("the record of events is written again");
                self.health = Health::Good;
            }
            (Ok(()), Health::Good) | (Err(_), Health::Failing) => {}
        }
    }
}

impl Daemon {
    /// Begins to keep the record. To be called before the first event.
    pub(super) fn begin_record(&mut self, stage: &str) {
        let id = ChangeId(self.record.last().0 + 1);
        self.engine.count_changes_on_from(id);
        self.note_stage(id, stage);
    }

    /// The last entry of this daemon.
    pub(super) fn end_record(&mut self) {
        let id = ChangeId(self.engine.last_change().0 + 1);
        self.note_stage(id, "ended");
    }

    fn note_stage(&mut self, id: ChangeId, stage: &str) {
        let stage = Stage {
            stage: stage.to_owned(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: self.processes.states.boot_id().to_owned(),
        };
        self.record.add(&Entry {
            id: id.0,
            at_ms: clock::wall_ms(),
            what: What::Daemon(stage),
        });
        self.record.flush();
    }

    /// Writes down what of a batch is worth it.
    pub(super) fn keep_record(&mut self, batch: &[Effect]) {
        let at = now();
        let at_ms = clock::wall_ms();
        let wall = |moment: Moment| at_ms.saturating_sub(at.since_ms(moment));
        for effect in batch {
            match effect {
                Effect::Taken(taken) => {
                    let asked = asked(taken, &self.processes.ours);
                    self.record.add(&Entry {
                        id: taken.id.0,
                        at_ms: wall(taken.at),
                        what: What::Request(asked),
                    });
                }
                Effect::Publish(change) => self.note_change(change, wall(change.at)),
                Effect::Explain(change) => self.note_change(change, wall(change.at)),
                _ => {}
            }
        }
        self.record.flush();
    }

    /// Writes down a wish that the engine never hears of: one that was refused before, for this reason, or one that is
    /// the daemon's own to fulfil.
    pub(super) fn note_own(
        &mut self,
        (verb, units): (&str, Vec<String>),
        by: Asker,
        refused: Option<String>,
    ) {
        let id = ChangeId(self.engine.last_change().0 + 1);
        self.engine.count_changes_on_from(id);
        let (units, more) = named(units.into_iter());
        let asked = Asked {
            verb: verb.to_owned(),
            units,
            more,
            refused,
            ..asker(by, &self.processes.ours)
        };
        self.record.add(&Entry {
            id: id.0,
            at_ms: clock::wall_ms(),
            what: What::Request(asked),
        });
        self.record.flush();
    }

    fn note_change(&mut self, change: &Change, at_ms: u64) {
        let text = self.cause_text(change);
        let retry = change.retry.as_ref();
        let entry = Entry {
            id: change.id.0,
            at_ms,
            what: What::Change(Changed {
                unit: change.unit.to_string(),
                from: change.from.word().to_owned(),
                to: change.to.word().to_owned(),
                cause: cause_word(&change.cause).to_owned(),
                text,
                other: change.cause.other().map(ToString::to_string),
                result: match &change.cause {
                    Cause::Failed(failure) => Some(failure_word(failure).to_owned()),
                    _ => None,
                },
                because: change.because.map(|entry| entry.0),
                attempt: retry.map(|retry| retry.attempt),
                delay_ms: retry.map(|retry| retry.delay_ms),
            }),
        };
        self.record.add(&entry);
    }

    /// Why a unit has changed, in words.
    pub(super) fn cause_text(&self, change: &Change) -> String {
        match self.engine.id(&change.unit) {
            Some(unit) => {
                let state = (unit, change.to);
                self.processes.cause(state, &change.cause, &self.engine)
            }
            None => text::cause(&change.cause, &self.processes.ours),
        }
    }
}

fn asked(taken: &Taken, ours: &Account) -> Asked {
    let (units, more) = named(taken.targets.iter().map(ToString::to_string));
    Asked {
        verb: text::verb(taken.verb).to_owned(),
        units,
        more,
        refused: taken.refused.as_ref().map(ToString::to_string),
        repeated: taken.first_asked.is_some(),
        ..asker(taken.by, ours)
    }
}

/// The first of them, and how many others there are.
fn named(mut units: impl Iterator<Item = String>) -> (Vec<String>, u32) {
    let first = units.by_ref().take(UNITS_MAX).collect();
    (first, u32::try_from(units.count()).unwrap_or(u32::MAX))
}

fn asker(by: Asker, ours: &Account) -> Asked {
    let word = |word: &str| Asked {
        by: word.to_owned(),
        ..Asked::default()
    };
    match by {
        Asker::Boot => word("boot"),
        Asker::Signal => word("signal"),
        Asker::Memory => word("memory"),
        // It waits for us at the other end of its socket: its number is its own.
        Asker::Client { uid, pid } => Asked {
            uid: Some(uid),
            user: text::user(uid, ours).map(ToOwned::to_owned),
            pid: Some(pid),
            command: command(pid, COMMAND_MAX),
            ..word("client")
        },
    }
}

/// Appends lines; with them the file is not longer than [`FILE_MAX`]. All of them are in it then, or none.
fn append(newest: &Path, before: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = match files::open_own(newest) {
        // Somebody has removed the folder.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = newest.parent() {
                make_folder(folder)?;
            }
            files::open_own(newest)?
        }
        opened => opened?,
    };
    let mut length = file.metadata()?.len();
    let count = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    if length > 0 && length.saturating_add(count) > FILE_MAX {
        std::fs::rename(newest, before)?;
        file = files::open_own(newest)?;
        length = 0;
    }
    let written = files::write_at(file.as_fd(), lines, length);
    let short = match written {
        Ok(written) if written == lines.len() => return Ok(()),
        Ok(_) => io::ErrorKind::StorageFull.into(),
        Err(error) => error,
    };
    file.set_len(length)?;
    Err(short)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER_MODE).create(folder)
}

/// Cuts off what stands after the last line's end.
fn take_off_torn(path: &Path) -> io::Result<()> {
    let tail = match read_tail(path) {
        Ok(tail) => tail,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let end = tail.iter().rposition(|byte| *byte == b'\n');
    let torn = tail.len() - end.map_or(0, |end| end + 1);
    if torn == 0 {
        return Ok(());
    }
    let file = files::open_own(path)?;
    let length = file.metadata()?.len();
    file.set_len(length.saturating_sub(u64::try_from(torn).unwrap_or(0)))
}

fn read_tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(bytes)
}
