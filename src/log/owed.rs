//! What an index is still to be told: marks and losses that could not be noted, each with the run whose they are.
//!
//! Owns their order and their bound. Does not own the index, nor the question when it is tried again. Pure.

use std::io;
use std::mem::discriminant;

use super::index::{Loss, Mark, Record, What};
use super::marks::{Marked, judge};

/// So many are kept; of more runs than that only the losses are, as one.
const NOTES_MAX: usize = 64;

/// The index is told of a loss in the midst of the trouble each time that it has become so many times as much.
const GROWTH: u64 = 8;

/// Those of one log, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    notes: Vec<Note>,
    /// Of the last bytes that could not be written; 0 where the system gave none.
    errno: u8,
    /// Bytes that the index has been told of since the trouble began.
    told_bytes: u64,
    /// How often a note came or was paid.
    changes: u32,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// Unix milliseconds.
    pub(super) time_ms: u64,
    pub(super) run: u64,
    pub(super) mark: Mark,
}

/// Bytes of one run that could not be written, of which its log does not tell yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untold {
    pub run: u64,
    /// When the first of them came, unix milliseconds.
    pub since_ms: u64,
    pub bytes: u64,
    /// The system's error number; 0 where it gave none.
    pub errno: u8,
}

impl Note {
    /// The record that tells it, where the log has so many bytes.
    pub(super) fn at(self, offset: u64) -> Record {
        Record {
            time_ms: self.time_ms,
            offset,
            run: self.run,
            what: What::Mark(self.mark),
        }
    }
}

impl Owed {
    /// What these tell, the oldest first.
    pub(super) fn of(notes: impl Iterator<Item = Note>) -> Self {
        let mut owed = Self::default();
        for note in notes {
            owed.push(note);
        }
        let last = owed.untold().last();
        owed.errno = last.map_or(0, |untold| untold.errno);
        owed
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// Another number whenever there are other notes; one that has only grown is the same.
    #[must_use]
    pub fn changes(&self) -> u32 {
        self.changes
    }

    /// How far they tell of a run.
    #[must_use]
    pub fn marked(&self, run: u64) -> Marked {
        let records: Vec<Record> = self.notes.iter().map(|note| note.at(0)).collect();
        judge(&records, run)
    }

    /// The losses among them.
    pub fn untold(&self) -> impl Iterator<Item = Untold> + '_ {
        self.notes.iter().filter_map(|note| match note.mark {
            Mark::Lost(Loss::Unwritten { bytes, errno }) => Some(Untold {
                run: note.run,
                since_ms: note.time_ms,
                bytes: u64::from(bytes),
                errno,
            }),
            _ => None,
        })
    }

    /// A mark that comes after all that is owed.
    pub(super) fn push(&mut self, note: Note) {
        if self.notes.len() >= NOTES_MAX {
            self.shorten(NOTES_MAX / 2);
        }
        self.notes.push(note);
        self.changes = self.changes.wrapping_add(1);
    }

    /// Keeps at most so many: the youngest half of that as they are, and of those before only the losses, as few as
    /// can be.
    pub(super) fn shorten(&mut self, most: usize) {
        if self.notes.len() <= most {
            return;
        }
        let young = self.notes.split_off(self.notes.len() - most / 2);
        let is_lost = |note: &Note| matches!(note.mark, Mark::Lost(_));
        self.notes.retain(is_lost);
        for note in std::mem::take(&mut self.notes) {
            if !self.join(note) {
                self.notes.push(note);
            }
        }
        let over = self.notes.len().saturating_sub(most / 2);
        self.notes.drain(..over);
        self.notes.extend(young);
    }

    /// Bytes of `run` that could not be written, for this error number.
    pub(super) fn lose(&mut self, (time_ms, run): (u64, u64), bytes: u64, errno: Option<i32>) {
        let errno = errno.and_then(|errno| u8::try_from(errno).ok());
        self.errno = errno.unwrap_or(0);
        self.lose_more((time_ms, run), bytes);
    }

    /// More of what was lost last.
    pub(super) fn lose_more(&mut self, (time_ms, run): (u64, u64), bytes: u64) {
        let loss = Loss::Unwritten {
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            errno: self.errno,
        };
        let note = Note {
            time_ms,
            run,
            mark: Mark::Lost(loss),
        };
        let is_same = self.notes.last().is_some_and(|last| last.run == run);
        if bytes > 0 && !(is_same && self.join(note)) {
            self.push(note);
        }
    }

    /// Adds a loss to the last one, where both are bytes.
    fn join(&mut self, note: Note) -> bool {
        if let Some(last) = self.notes.last_mut()
            && let Mark::Lost(Loss::Unwritten { bytes, errno }) = &mut last.mark
            && let Mark::Lost(Loss::Unwritten {
                bytes: more,
                errno: newer,
            }) = note.mark
        {
            *bytes = bytes.saturating_add(more);
            *errno = newer;
            return true;
        }
        false
    }

    /// Gives each to `note`, until one of them cannot be noted.
    pub(super) fn pay(&mut self, mut note: impl FnMut(Note) -> io::Result<()>) -> io::Result<()> {
        let mut paid = 0;
        let mut result = Ok(());
        for one in &self.notes {
            result = note(*one);
            if result.is_err() {
                break;
            }
            if let Mark::Lost(Loss::Unwritten { bytes, .. }) = one.mark {
                self.told_bytes += u64::from(bytes);
            }
            paid += 1;
            self.changes = self.changes.wrapping_add(1);
        }
        self.notes.drain(..paid);
        result
    }

    pub(super) fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Those that an index with these records at its end has been told of already: whoever told it was killed before
    /// that was written down. A loss may have grown meanwhile.
    pub(super) fn forget_told(&mut self, records: &[Record]) {
        let is_told = |note: &Note| {
            records.iter().any(|record| {
                let is_same =
                    matches!(record.what, What::Mark(mark) if is_one_kind(mark, note.mark));
                is_same && (record.run, record.time_ms) == (note.run, note.time_ms)
            })
        };
        let told = self.notes.iter().take_while(|note| is_told(note)).count();
        self.notes.drain(..told);
    }

    /// Whether so much is untold that the index is to be told in the midst of the trouble: at first, and then when it
    /// is [`GROWTH`] times as much, so that an index does not grow with the time that a disk is full.
    pub(super) fn is_due(&self) -> bool {
        let untold: u64 = self.untold().map(|untold| untold.bytes).sum();
        untold > 0 && untold >= self.told_bytes.saturating_mul(GROWTH - 1)
    }

    /// The log that was to tell it is begun anew.
    pub(super) fn forget(&mut self) {
        self.notes.clear();
        self.told_bytes = 0;
        self.changes = self.changes.wrapping_add(1);
    }

    /// The trouble is over.
    pub(super) fn end(&mut self) {
        self.told_bytes = 0;
    }
}

/// Whether they tell of the same; how much of it does not matter.
fn is_one_kind(one: Mark, other: Mark) -> bool {
    match (one, other) {
        (Mark::Lost(one), Mark::Lost(other)) => discriminant(&one) == discriminant(&other),
        (one, other) => discriminant(&one) == discriminant(&other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_forgotten_and_nothing_of_its_moment_with_it() {
        let note = |loss| Note {
            time_ms: 5,
            run: 1,
            mark: Mark::Lost(loss),
        };
        let unwritten = |bytes| note(Loss::Unwritten { bytes, errno: 28 });
        let limited = note(Loss::Limited { lines: 7 });
        let owed = || Owed::of([unwritten(9), limited].into_iter());
        let left = |records: &[Record]| {
            let mut owed = owed();
            owed.forget_told(records);
            owed.notes
        };
        assert_eq!(left(&[unwritten(4).at(0)]), [limited]);
        assert_eq!(left(&[unwritten(4).at(0), limited.at(0)]), []);
        assert_eq!(left(&[]), owed().notes);
    }

    #[test]
    fn one_that_is_paid_and_one_that_comes_are_a_change() {
        let mut owed = Owed::default();
        owed.lose((1, 4), 3, Some(28));
        let (before, count) = (owed.changes(), owed.notes.len());
        assert!(owed.pay(|_| Ok(())).is_ok());
        owed.lose((2, 5), 3, Some(28));
        assert_eq!(owed.notes.len(), count);
        assert_ne!(owed.changes(), before);
    }

    #[test]
    fn many_runs_on_a_full_disk_cost_little_and_no_count() {
        let mut owed = Owed::default();
        for run in 0..1000 {
            for mark in [
                Mark::Begin { pid: 1 },
                Mark::End(super::super::Ending::Unknown),
            ] {
                owed.push(Note {
                    time_ms: run,
                    run,
                    mark,
                });
                owed.lose((run, run), 3, Some(28));
            }
        }
        assert!(owed.notes.len() <= NOTES_MAX);
        let bytes: u64 = owed.untold().map(|untold| untold.bytes).sum();
        assert_eq!(bytes, 6000);
    }

    #[test]
    fn a_loss_is_its_runs() {
        let mut owed = Owed::default();
        owed.lose((1, 4), 3, Some(28));
        owed.lose((2, 4), 4, Some(28));
        owed.lose((3, 6), 5, Some(30));
        let untold: Vec<_> = owed
            .untold()
            .map(|untold| (untold.run, untold.bytes, untold.errno))
            .collect();
        assert_eq!(untold, [(4, 7, 28), (6, 5, 30)]);
        assert!(owed.is_due());
        let paid = owed.pay(|note| match note.run {
            4 => Ok(()),
            _ => Err(io::ErrorKind::StorageFull.into()),
        });
        assert!(paid.is_err() && !owed.is_due());
        assert_eq!(owed.untold().count(), 1);
    }
}
