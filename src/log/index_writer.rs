//! Writing the index beside a log file: one small record a batch, joined with the one before where nothing is lost
//! by it, and what a killed daemon left put right.
//!
//! Growth is bounded. Batches that come within [`JOIN_MS`] of a record grow that record instead of adding one; where
//! the index has outgrown its share of the log the window widens to [`JOIN_CROWDED_MS`], and at the bound that the
//! writer gives nothing is added, until the log is rotated. Bytes without a record belong, to a reader, to the
//! record before.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::sys::files;

use super::index::{self, RECORD_BYTES, RECORD_STEP, Record, Stream, What};

/// Batches of one stream and run that come within this many milliseconds share a record.
const JOIN_MS: u64 = 10;
/// The same, while the index is larger than its share.
const JOIN_CROWDED_MS: u64 = 1000;
/// The index's share: this many bytes, and one for every [`SHARE_DIVISOR`] bytes of log.
const SHARE_BYTES: u64 = 16 * 1024;
const SHARE_DIVISOR: u64 = 8;
/// Bytes that an index is given room for at a time; where a file has some of them, its block of the disk has them all.
const ROOM_BYTES: u64 = 4096;
/// So many records before the last are looked through for the other stream's last bytes.
const LOOK_BACK: usize = 64;

/// The open index of one log file.
#[derive(Debug)]
pub(super) struct IndexWriter {
    file: File,
    /// Up to the end of the last record, whether that is saved or not.
    length: u64,
    last: Option<Last>,
    /// So long it may become without a disk that is full in the way.
    room: u64,
    /// The length with the record that [`IndexWriter::recover`] made.
    guess: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    record: Record,
    saved: Saved,
}

/// Whether the file holds the last record as it is here; a full disk may be in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saved {
    Yes,
    No,
}

/// Gives an index that is new its header.
pub(super) fn prepare(file: &File) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        file.write_all_at(&index::header(), 0)?;
    }
    Ok(())
}

/// Empties a file that holds something. One that is cut to nothing is written out to the disk when it is closed, by
/// ext4 and others, and whoever closes it waits for that: no new file is to have that mark.
pub(super) fn empty(file: &File) -> io::Result<()> {
    match file.metadata()?.len() {
        0 => Ok(()),
        _ => file.set_len(0),
    }
}

impl IndexWriter {
    /// Begins an empty index in `file`, whatever was in it.
    pub(super) fn begin(file: File) -> io::Result<IndexWriter> {
        empty(&file)?;
        file.write_all_at(&index::header(), 0)?;
        Ok(IndexWriter {
            file,
            length: RECORD_STEP,
            last: None,
            room: ROOM_BYTES,
            guess: None,
        })
    }

    /// Goes on with an index that an earlier daemon wrote, for a log of `log_length` bytes that was last written at
    /// `written_ms`: cuts a torn record off and what speaks of bytes that are not there, and gives bytes without a
    /// record the stream and run of those before, which may stand in the index `before` this one. A daemon that is
    /// killed leaves at most one such batch, and in good times the index knew of its run. Where it did not, see
    /// [`IndexWriter::give_uncovered_to`].
    pub(super) fn recover(
        file: File,
        before: Option<File>,
        log_length: u64,
        written_ms: u64,
    ) -> io::Result<IndexWriter> {
        let length = file.metadata()?.len();
        let mut first = [0; RECORD_BYTES];
        let is_ours = length >= RECORD_STEP
            && file.read_exact_at(&mut first, 0).is_ok()
            && first == index::header();
        let mut writer = if is_ours {
            let length = length - length % RECORD_STEP;
            let mut writer = IndexWriter {
                file,
                length,
                last: None,
                room: 0,
                guess: None,
            };
            writer.drop_untrue(log_length)?;
            writer.room = writer.length.next_multiple_of(ROOM_BYTES);
            writer
        } else {
            IndexWriter::begin(file)?
        };
        let last = writer.last.map(|last| last.record);
        let covered = last.map_or(0, |record| record.end());
        if log_length > covered {
            let (run, stream) = owner(last.or_else(|| last_record(&before?)));
            // What a record cannot count is left without one, and so belongs to it all the same.
            let length = u32::try_from(log_length - covered).unwrap_or(u32::MAX);
            let what = What::Bytes { stream, length };
            let record = Record {
                time_ms: written_ms,
                offset: covered,
                run,
                what,
            };
            // Not joined with the one before, since it may turn out to be another run's.
            writer.length += RECORD_STEP;
            writer.last = Some(Last {
                record,
                saved: Saved::No,
            });
            writer.guess = Some(writer.length);
            let _ = writer.save();
        }
        Ok(writer)
    }

    /// The bytes that had no record came after what the index is still to be told of this run: they are its bytes.
    pub(super) fn give_uncovered_to(&mut self, run: u64) {
        let is_last = self.guess.take() == Some(self.length);
        if let Some(last) = self.last.as_mut().filter(|_| is_last) {
            last.record.run = run;
            last.saved = Saved::No;
            let _ = self.save();
        }
    }

    /// Bytes of the index file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether somebody removed the file.
    pub(super) fn is_removed(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Notes a batch or a mark; nothing more is added once the file has `bound` bytes. Errors are not told: a record
    /// that could not be written is tried again with the next one.
    pub(super) fn note(&mut self, record: Record, bound: u64) {
        let joined = self.last.and_then(|last| self.join(&last.record, &record));
        if let Some(joined) = joined {
            self.last = Some(Last {
                record: joined,
                saved: Saved::No,
            });
            let _ = self.save();
        } else if self.save().is_ok() && self.length < bound {
            self.length += RECORD_STEP;
            self.last = Some(Last {
                record,
                saved: Saved::No,
            });
            let _ = self.save();
        }
    }

    /// Sees to it that so many records can be added, before there is anything that they tell of: text without its
    /// record would be taken for the run's before, and be told at its time. Beyond the bound none is added anyway.
    ///
    /// # Errors
    /// The disk has no room for them, or none for what is there already.
    pub(super) fn make_room(&mut self, records: usize, bound: u64) -> io::Result<()> {
        self.save()?;
        let end = self.length.saturating_add(records as u64 * RECORD_STEP);
        if end > self.room && self.length < bound {
            let bytes = (end - self.room).next_multiple_of(ROOM_BYTES);
            files::set_aside(self.file.as_fd(), self.room, bytes)?;
            self.room = self.room.saturating_add(bytes);
        }
        Ok(())
    }

    /// Adds a record after all others, now or not at all; past the bound it is left out.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn add(&mut self, record: Record, bound: u64) -> io::Result<()> {
        self.save()?;
        if self.length < bound {
            self.file.write_all_at(&record.encode(), self.length)?;
            self.length += RECORD_STEP;
            self.last = Some(Last {
                record,
                saved: Saved::Yes,
            });
        }
        Ok(())
    }

    /// The last record of `stream` among the newest ones.
    pub(super) fn last_of(&self, stream: Stream) -> Option<Record> {
        let is_of =
            |record: &Record| matches!(record.what, What::Bytes { stream: s, .. } if s == stream);
        if let Some(last) = self.last.filter(|last| is_of(&last.record)) {
            return Some(last.record);
        }
        let mut buffer = [0; LOOK_BACK * RECORD_BYTES];
        let wanted = self
            .length
            .saturating_sub(RECORD_STEP)
            .min(LOOK_BACK as u64 * RECORD_STEP);
        let bytes = buffer.get_mut(..usize::try_from(wanted).ok()?)?;
        self.file.read_exact_at(bytes, self.length - wanted).ok()?;
        let mut found = None;
        index::decode_records(bytes, |record| found = record.filter(is_of).or(found));
        found
    }

    /// Both as one, where they are of one kind, follow each other and came at about one time.
    fn join(&self, last: &Record, next: &Record) -> Option<Record> {
        let share = SHARE_BYTES + next.offset / SHARE_DIVISOR;
        let window_ms = if self.length <= share {
            JOIN_MS
        } else {
            JOIN_CROWDED_MS
        };
        let is_near = next.time_ms.saturating_sub(last.time_ms) <= window_ms;
        if !is_near || last.run != next.run || last.end() != next.offset {
            return None;
        }
        match (last.what, next.what) {
            (
                What::Bytes { stream, length },
                What::Bytes {
                    stream: other,
                    length: more,
                },
            ) if stream == other => {
                let length = length.checked_add(more)?;
                Some(Record {
                    what: What::Bytes { stream, length },
                    ..*last
                })
            }
            _ => None,
        }
    }

    /// Writes the last record if it is not in the file yet.
    fn save(&mut self) -> io::Result<()> {
        let unsaved = self.last.as_mut().filter(|last| last.saved == Saved::No);
        if let Some(last) = unsaved {
            let at = self.length - RECORD_STEP;
            self.file.write_all_at(&last.record.encode(), at)?;
            last.saved = Saved::Yes;
        }
        Ok(())
    }

    /// Drops records from the end until one is true of a log of `log_length` bytes, and finds the last. Where somebody
    /// has emptied a long log these are nearly all: they are not looked at one by one, since others wait meanwhile.
    fn drop_untrue(&mut self, log_length: u64) -> io::Result<()> {
        while self.length > RECORD_STEP {
            let bytes = self.bytes_at(self.length - RECORD_STEP)?;
            let record = Record::decode(&bytes);
            if record.is_some_and(|record| record.offset > log_length) {
                self.length = self.first_beyond(log_length)?;
                continue;
            }
            if let Some(record) = record.and_then(|record| clip(record, log_length)) {
                let is_whole = record.encode() == bytes;
                let saved = if is_whole { Saved::Yes } else { Saved::No };
                self.last = Some(Last { record, saved });
                break;
            }
            self.length -= RECORD_STEP;
        }
        // Cutting it to its length would take back the room that it was given.
        if self.file.metadata()?.len() != self.length {
            self.file.set_len(self.length)?;
        }
        let _ = self.save();
        Ok(())
    }

    /// Where the first record stands that speaks of what comes after `log_length` bytes, which the last one does.
    fn first_beyond(&self, log_length: u64) -> io::Result<u64> {
        let (mut low, mut high) = (1, self.length / RECORD_STEP - 1);
        while low < high {
            let middle = low.midpoint(high);
            let record = Record::decode(&self.bytes_at(middle * RECORD_STEP)?);
            if record.is_some_and(|record| record.offset <= log_length) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(high * RECORD_STEP)
    }

    fn bytes_at(&self, at: u64) -> io::Result<[u8; RECORD_BYTES]> {
        let mut bytes = [0; RECORD_BYTES];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

/// Whose bytes come after a record, as far as can be known.
fn owner(record: Option<Record>) -> (u64, Stream) {
    match record {
        None => (0, Stream::Out),
        Some(Record {
            run,
            what: What::Bytes { stream, .. },
            ..
        }) => (run, stream),
        Some(Record { run, .. }) => (run, Stream::Out),
    }
}

/// The last record of an index that is written no more.
fn last_record(index: &File) -> Option<Record> {
    let length = index.metadata().ok()?.len();
    let place = (length / RECORD_STEP).checked_sub(1)?;
    let mut bytes = [0; RECORD_BYTES];
    index.read_exact_at(&mut bytes, place * RECORD_STEP).ok()?;
    Record::decode(&bytes)
}

/// The record as far as a log of `log_length` bytes has its bytes.
fn clip(record: Record, log_length: u64) -> Option<Record> {
    let room = log_length.checked_sub(record.offset)?;
    let room = u32::try_from(room).unwrap_or(u32::MAX);
    let what = match record.what {
        What::Mark(mark) => What::Mark(mark),
        What::Bytes { .. } | What::Notice { .. } if room == 0 => return None,
        What::Bytes { stream, length } => What::Bytes {
            stream,
            length: length.min(room),
        },
        What::Notice { length } => What::Notice {
            length: length.min(room),
        },
    };
    Some(Record { what, ..record })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::Folder;
    use super::*;

    /// However much of a log is left, the index tells of that.
    #[test]
    fn an_index_is_cut_where_its_log_is() {
        let folder = Folder::new();
        let open = || {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true).truncate(false);
            options.open(folder.path("web.idx")).unwrap()
        };
        let record = |number: u64| {
            let what = match number % 7 {
                0 => What::Mark(index::Mark::Begin { pid: 1 }),
                _ => What::Bytes {
                    stream: Stream::Out,
                    length: 10,
                },
            };
            Record {
                time_ms: number * 1000,
                offset: (number - number.div_ceil(7)) * 10,
                run: 1,
                what,
            }
        };
        for cut in (0..400).rev().step_by(3).chain([0]) {
            let mut writer = IndexWriter::begin(open()).unwrap();
            for number in 0..50 {
                writer.note(record(number), u64::MAX);
            }
            let expected = (0..50).filter_map(|number| clip(record(number), cut));
            let recovered = IndexWriter::recover(open(), None, cut, 0).unwrap();
            let written = std::fs::read(folder.path("web.idx")).unwrap();
            let records = index::decode(&written).unwrap().records;
            assert_eq!(records, expected.collect::<Vec<_>>(), "{cut}");
            assert_eq!(recovered.length(), written.len() as u64);
        }
    }
}
