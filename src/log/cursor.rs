//! A place in one log file and its index, going forward: which bytes come next and where they came from.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::body::{Body, open_file, read_at};
use super::entry::{Origin, Source};
use super::index::{self, Mark, RECORD_BYTES, RECORD_STEP, Record, Stream, What};
use super::paths::{FileId, Paths, Seen};
use super::rotation::unix_ms;

/// Records read at once, at first: most of what is wanted lies near.
pub(super) const BLOCK_RECORDS: usize = 64;
/// So many such blocks at once at most, where one is read after the other.
pub(super) const BLOCKS_MAX: usize = 64;
/// [`BLOCK_RECORDS`] in bytes.
const BLOCK_BYTES: usize = BLOCK_RECORDS * RECORD_BYTES;
/// An index without its header is about to get it; so often it is looked at again.
const OPEN_TRIES: u32 = 100;
/// A log without an index may be one that a rotation has just moved; so often it is looked at again.
const MISSING_TRIES: u32 = 8;
/// So often a file is picked anew when a rotation has given its number to another meanwhile.
const PICK_TRIES: u32 = 100;

/// A log file that is read.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) log: Body,
    pub(super) index: Option<Records>,
    pub(super) id: FileId,
    /// What it had when it was opened; a rotation makes it higher.
    number: u32,
    /// The next byte to read.
    pub(super) offset: u64,
    /// The file's length when it was last asked for.
    length: u64,
    /// What the last record that was passed says of the bytes after it.
    origin: Origin,
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Mark {
        time_ms: u64,
        run: u64,
        mark: Mark,
    },
    /// The bytes from the cursor's offset up to `end` have this origin.
    Bytes {
        origin: Origin,
        end: u64,
    },
    /// Nothing that the index knows; but the log goes on up to `end`, and its record may be on its way.
    Unrecorded {
        origin: Origin,
        end: u64,
    },
    End,
    /// The file is shorter than what was read of it: somebody emptied it.
    Emptied,
}

impl Cursor {
    /// Opens file `number` at its beginning; nothing when it is not there.
    pub(super) fn open(paths: &Paths, number: u32) -> io::Result<Option<Cursor>> {
        let mut tries = 0;
        loop {
            let Some(log) = Body::open(paths, number)? else {
                return Ok(None);
            };
            let file = open_index(paths, number)?;
            let tries_max = file.as_ref().map_or(MISSING_TRIES, |_| OPEN_TRIES);
            let index = file.and_then(Records::begin);
            let metadata = log.metadata()?;
            // As long as the name leads to this log, the index was this log's.
            let is_same = log.is_at(paths, number)?;
            tries += 1;
            if is_same && (index.is_some() || tries >= tries_max) {
                let modified = unix_ms(metadata.mtime(), metadata.mtime_nsec());
                let id = FileId {
                    log: metadata.ino(),
                    index: index.as_ref().map_or(0, |index: &Records| index.inode),
                    packing: log.packing(),
                };
                let origin = unknown_origin(modified, 0);
                return Ok(Some(Cursor {
                    log,
                    index,
                    id,
                    number,
                    offset: 0,
                    length: 0,
                    origin,
                }));
            }
        }
    }

    /// Opens the file after this one at its beginning, where this one still has its number. That costs no listing of a
    /// folder in which there may be thousands of files.
    pub(super) fn open_next(&self, paths: &Paths) -> io::Result<Option<Cursor>> {
        let Some(next) = self.number.checked_sub(1) else {
            return Ok(None);
        };
        let next = Cursor::open(paths, next)?;
        // Files are moved up from the oldest on: where this one was not, the one after it was not either.
        Ok(match self.log.is_at(paths, self.number)? {
            true => next,
            false => None,
        })
    }

    /// Opens the file that `choice` names among those that there are, the current one first, at its beginning. What a
    /// rotation moves meanwhile is looked for again.
    pub(super) fn pick(
        paths: &Paths,
        choice: impl Fn(&[Seen]) -> Option<Seen>,
    ) -> io::Result<Option<Cursor>> {
        let mut listed = paths.list()?;
        for _ in 0..PICK_TRIES {
            let Some(seen) = choice(&listed) else {
                return Ok(None);
            };
            match Cursor::open(paths, seen.number)? {
                Some(cursor) if cursor.id == seen.id => return Ok(Some(cursor)),
                _ => listed = paths.list_anew()?,
            }
        }
        Ok(None)
    }

    /// When the log was last written, unix milliseconds.
    pub(super) fn modified_ms(&self) -> io::Result<u64> {
        let metadata = self.log.metadata()?;
        Ok(unix_ms(metadata.mtime(), metadata.mtime_nsec()))
    }

    /// Whether this one was next to `older` when they were opened.
    pub(super) fn follows(&self, older: &Cursor) -> bool {
        self.number.checked_add(1) == Some(older.number)
    }

    /// Whose the bytes are, or were, that come next or came last.
    pub(super) fn run(&self) -> u64 {
        self.origin.run
    }

    /// A second cursor at the same place.
    pub(super) fn try_clone(&self) -> io::Result<Cursor> {
        let index = self.index.as_ref().map(Records::try_clone).transpose()?;
        Ok(Cursor {
            log: self.log.try_clone()?,
            index,
            ..*self
        })
    }

    /// What comes next. Marks are passed by being told; bytes by moving `offset` on.
    pub(super) fn next(&mut self) -> io::Result<Next> {
        // The index is asked before the log is measured, so that bytes without a record are rare.
        let upcoming = loop {
            let Some(index) = &mut self.index else {
                break None;
            };
            match index.peek()? {
                Some(record) if record.offset <= self.offset => {
                    index.pass();
                    match record.what {
                        What::Mark(mark) => {
                            let (time_ms, run) = (record.time_ms, record.run);
                            self.origin = unknown_origin(time_ms, run);
                            return Ok(Next::Mark { time_ms, run, mark });
                        }
                        _ => self.origin = origin_of(&record).unwrap_or(self.origin),
                    }
                }
                upcoming => break upcoming.map(|record| record.offset),
            }
        };
        let recorded = match (&self.index, upcoming) {
            (_, Some(offset)) => offset,
            (None, None) => u64::MAX,
            (Some(index), None) => index.passed_end,
        };
        if upcoming.is_none() || recorded > self.length {
            self.length = self.log.length()?;
        }
        let (origin, length) = (self.origin, self.length);
        Ok(if length < self.offset {
            Next::Emptied
        } else if length == self.offset {
            Next::End
        } else if recorded > self.offset {
            Next::Bytes {
                origin,
                end: recorded.min(length),
            }
        } else {
            Next::Unrecorded {
                origin,
                end: length,
            }
        })
    }

    /// This file was begun after `older`: what has no record in it yet is of the same run and stream.
    pub(super) fn continue_from(&mut self, older: &Cursor) {
        self.origin = older.origin;
    }

    /// Goes back to the beginning of a file that was emptied. Its index still tells of the old bytes until the
    /// writer has seen it too; those records are passed.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        (self.offset, self.length) = (0, 0);
        if let Some(index) = &mut self.index {
            index.seek(index.count()?);
        }
        Ok(())
    }
}

/// The index of a log. A rotation moves the log first: until its index has followed, that stands one number lower,
/// where there is no log, and stays there when the daemon was killed just then.
fn open_index(paths: &Paths, number: u32) -> io::Result<Option<File>> {
    if let Some(index) = open_file(&paths.index(number))? {
        return Ok(Some(index));
    }
    let Some(before) = number.checked_sub(1) else {
        return Ok(None);
    };
    let index = open_file(&paths.index(before))?;
    // Only after the index has followed its log another one comes there.
    match open_file(&paths.index(number))? {
        None if Body::open(paths, before)?.is_none() => Ok(index),
        followed => Ok(followed),
    }
}

/// What a record says of its bytes; nothing for a mark.
pub(super) fn origin_of(record: &Record) -> Option<Origin> {
    let source = match record.what {
        What::Bytes { stream, .. } => Source::Service(stream),
        What::Notice { .. } => Source::Notice,
        What::Mark(_) => return None,
    };
    Some(Origin {
        time_ms: record.time_ms,
        run: record.run,
        source,
    })
}

/// The origin of bytes that no record tells of: before any there is no run, after a mark it is that of the mark.
pub(super) fn unknown_origin(time_ms: u64, run: u64) -> Origin {
    Origin {
        time_ms,
        run,
        source: Source::Service(Stream::Out),
    }
}

/// The records of an index file, read in blocks.
#[derive(Debug)]
pub(super) struct Records {
    file: File,
    inode: u64,
    /// Place of the first record in `block`, counted from 0.
    block_at: u64,
    block: Vec<Option<Record>>,
    /// Blocks of [`BLOCK_RECORDS`] to read next.
    blocks: usize,
    /// Place of the next record to pass.
    place: u64,
    /// Where the bytes of the last record that was passed end, as far as is known.
    passed_end: u64,
}

impl Records {
    /// Nothing when the file is no index of ours.
    fn begin(file: File) -> Option<Records> {
        let mut first = [0; RECORD_BYTES];
        file.read_exact_at(&mut first, 0).ok()?;
        let is_ours = first == index::header();
        let block = Vec::new();
        let inode = file.metadata().ok()?.ino();
        is_ours.then_some(Records {
            file,
            inode,
            block_at: 0,
            block,
            blocks: 1,
            place: 0,
            passed_end: 0,
        })
    }

    fn try_clone(&self) -> io::Result<Records> {
        let file = self.file.try_clone()?;
        Ok(Records {
            file,
            block: Vec::new(),
            ..*self
        })
    }

    /// How many whole records there are now.
    pub(super) fn count(&self) -> io::Result<u64> {
        Ok((self.file.metadata()?.len() / RECORD_STEP).saturating_sub(1))
    }

    /// The records from `place` on, as many as stand in a block.
    pub(super) fn read(&self, place: u64, block: &mut Vec<Option<Record>>) -> io::Result<()> {
        self.read_blocks(place, 1, block)
    }

    fn read_blocks(
        &self,
        place: u64,
        blocks: usize,
        block: &mut Vec<Option<Record>>,
    ) -> io::Result<()> {
        let mut bytes = vec![0; blocks * BLOCK_BYTES];
        let from = (place + 1).saturating_mul(RECORD_STEP);
        let count = read_at(&self.file, &mut bytes, from)?;
        block.clear();
        index::decode_records(&bytes[..count], |record| block.push(record));
        Ok(())
    }

    /// The `blocks` times [`BLOCK_RECORDS`] records before `end`, or as many as there are, and the place of the first.
    pub(super) fn read_back(
        &self,
        end: u64,
        blocks: usize,
        block: &mut Vec<Option<Record>>,
    ) -> io::Result<u64> {
        let first = end.saturating_sub((blocks * BLOCK_RECORDS) as u64);
        let wanted = usize::try_from((end - first).saturating_mul(RECORD_STEP)).unwrap_or(0);
        let mut bytes = vec![0; wanted];
        let from = (first + 1).saturating_mul(RECORD_STEP);
        let count = read_at(&self.file, &mut bytes, from)?;
        block.clear();
        index::decode_records(&bytes[..count], |record| block.push(record));
        Ok(first)
    }

    /// The next record is the one at `place`.
    pub(super) fn seek(&mut self, place: u64) {
        self.place = place;
        self.block.clear();
        self.blocks = 1;
        self.passed_end = 0;
    }

    /// The record that is not passed yet.
    fn peek(&mut self) -> io::Result<Option<Record>> {
        let mut is_fresh = false;
        loop {
            let at = self
                .place
                .checked_sub(self.block_at)
                .and_then(|at| usize::try_from(at).ok());
            match at.and_then(|at| self.block.get(at)) {
                Some(Some(record)) => return Ok(Some(*record)),
                Some(None) => self.place += 1,
                None if is_fresh => return Ok(None),
                None => {
                    // The last record that was passed may have grown since: it is read again.
                    let from = self.place.saturating_sub(1);
                    let mut block = std::mem::take(&mut self.block);
                    self.read_blocks(from, self.blocks, &mut block)?;
                    self.blocks = match block.len() < self.blocks * BLOCK_RECORDS {
                        true => 1,
                        false => (self.blocks * 2).min(BLOCKS_MAX),
                    };
                    let is_cut = block.is_empty() && self.place > self.count()?;
                    self.block = block;
                    self.block_at = from;
                    if is_cut {
                        // The writer has begun the index again.
                        self.seek(0);
                        continue;
                    }
                    if let (true, Some(Some(record))) = (self.place > 0, self.block.first()) {
                        self.passed_end = self.passed_end.max(record.end());
                    }
                    is_fresh = true;
                }
            }
        }
    }

    /// Passes the record that was peeked at.
    fn pass(&mut self) {
        if let Ok(Some(record)) = self.peek() {
            self.passed_end = self.passed_end.max(record.end());
            self.place += 1;
        }
    }
}
