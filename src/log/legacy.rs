//! What a writer leaves to the next one of its log, also to that of another process: what the index is still owed, and
//! in which trouble it was.
//!
//! Owns its form in bytes. Whoever keeps them looks at none of them; what is no such thing is as good as nothing.

use super::index::{RECORD_BYTES, Record, What};
use super::marks;
use super::outcome::Failure;
use super::owed::{Note, Owed};
use super::writer::Writer;

/// So many notes are left to another process: with them all that is kept of a service still lies in one block of the
/// disk, which may be the very one that is full.
const NOTES_MAX: usize = 24;
/// Bytes of one: those of its record without the place and what is always zero.
const NOTE_BYTES: usize = 22;
/// Bytes before the notes: which lines are cut, whether writing fails, the error number, and how many bytes are lost.
const HEAD_BYTES: usize = 10;

const OUT_CUT: u8 = 1;
const ERR_CUT: u8 = 2;
const FAILING: u8 = 4;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Legacy {
    owed: Owed,
    failure: Option<Failure>,
    /// Whether the present line's head was lost, for each stream.
    is_line_lost: [bool; 2],
}

impl Legacy {
    #[must_use]
    pub fn owed(&self) -> &Owed {
        &self.owed
    }

    /// Nothing is written as no bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        if *self == Self::default() {
            return Vec::new();
        }
        let mut owed = self.owed.clone();
        owed.shorten(NOTES_MAX);
        let [out, err] = self.is_line_lost;
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags = flag(out, OUT_CUT) | flag(err, ERR_CUT) | flag(self.failure.is_some(), FAILING);
        let errno = self.failure.and_then(|failure| failure.errno);
        let errno = errno.and_then(|errno| u8::try_from(errno).ok());
        let lost_bytes = self.failure.map_or(0, |failure| failure.lost_bytes);
        let mut bytes = vec![flags, errno.unwrap_or(0)];
        bytes.extend(lost_bytes.to_le_bytes());
        for note in owed.notes() {
            let record = note.at(0).encode();
            bytes.extend(&record[..8]);
            bytes.extend(&record[16..30]);
        }
        bytes
    }

    /// What was left as these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Some((&[flags, errno, ref lost_bytes @ ..], notes)) =
            bytes.split_first_chunk::<HEAD_BYTES>()
        else {
            return Self::default();
        };
        let (notes, _) = notes.as_chunks::<NOTE_BYTES>();
        let notes = notes.iter().take(NOTES_MAX).filter_map(note);
        let failure = Failure {
            lost_bytes: u64::from_le_bytes(*lost_bytes),
            errno: (errno != 0).then_some(i32::from(errno)),
        };
        Self {
            owed: Owed::of(notes),
            failure: (flags & FAILING != 0).then_some(failure),
            is_line_lost: [flags & OUT_CUT != 0, flags & ERR_CUT != 0],
        }
    }
}

fn note(bytes: &[u8; NOTE_BYTES]) -> Option<Note> {
    let mut record = [0; RECORD_BYTES];
    record[..8].copy_from_slice(&bytes[..8]);
    record[16..30].copy_from_slice(&bytes[8..]);
    let Record {
        time_ms, run, what, ..
    } = Record::decode(&record)?;
    match what {
        What::Mark(mark) => Some(Note { time_ms, run, mark }),
        What::Bytes { .. } | What::Notice { .. } => None,
    }
}

impl Writer {
    /// What the next writer has to know; nothing in good times.
    #[must_use]
    pub fn legacy(&self) -> Option<Box<Legacy>> {
        let is_in_trouble = !self.owed.is_empty() || self.failure.is_some();
        let is_any = is_in_trouble || self.is_line_lost != [false; 2];
        is_any.then(|| {
            Box::new(Legacy {
                owed: self.owed.clone(),
                failure: self.failure,
                is_line_lost: self.is_line_lost,
            })
        })
    }

    /// Goes on where another writer of this log has left off. It is to be seen, by [`Self::retry`], whether the trouble
    /// is over.
    pub fn inherit(&mut self, legacy: Legacy) {
        let Legacy {
            mut owed,
            failure,
            is_line_lost,
        } = legacy;
        // What cannot be read holds nothing that could be told twice.
        let records = marks::youngest(&self.paths).unwrap_or_default();
        owed.forget_told(&records);
        let is_owed = !owed.is_empty();
        self.owed = owed;
        if is_owed {
            self.attribute();
        }
        self.is_line_lost = is_line_lost;
        self.failure = failure.or(is_owed.then_some(Failure {
            lost_bytes: 0,
            errno: None,
        }));
    }
}
