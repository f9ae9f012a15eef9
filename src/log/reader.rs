//! The client's side: a service's log as entries, from the oldest file into the current one, once or on and on.
//!
//! A reader holds one pair of files open, a block of bytes and its unfinished lines. It finds the next file by what
//! file it holds, not by number, so a rotation at any moment neither repeats nor skips a line; only files that were
//! removed before it came to them are missing.

mod absence;
mod back;
mod damage;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::sys::search;

use super::buffer::Buffer;
use super::cursor::{Cursor, Next};
use super::entry::{Assembler, Content, Entry, LineEnd, Origin, Source};
use super::index::Mark;
use super::listing::Listing;
use super::paths::{FileId, Paths, Seen};
use super::seek::Before;
use super::tail;
use super::wanted::{Course, Filter, Mode, Sieve, Start};

/// After so many records of later runs, one after the other, a run has nothing more to say.
const LATER_MAX: u32 = 4096;

/// One service's log, being read.
#[derive(Debug)]
pub struct Reader {
    paths: Paths,
    filter: Filter,
    sieve: Option<Box<dyn Sieve>>,
    end: End,
    cursor: Option<Cursor>,
    assembler: Assembler,
    buffer: Buffer,
    /// Lines still to be passed over before the first that is given.
    skip: u64,
    /// Records of later runs that were passed one after the other, where one run is wanted.
    later: u32,
    packed: Packed,
    /// Where what is wanted begins with a time or a run.
    before: Before,
    /// The packed files that could not be unpacked, and those that are missing: each with the reason.
    left_out: Vec<String>,
    /// The last one that was looked at in vain.
    told_damage: Option<FileId>,
    /// The one run that is wanted has ended, or a later one has begun.
    run_is_over: bool,
}

/// Whether packed files are before what is read that were not looked at, since only what lies near is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Packed {
    Included,
    Before,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// With this byte of this file.
    At {
        id: FileId,
        offset: u64,
    },
    /// As `At`, but only for as long as lines are counted: a line that is not finished there goes on.
    Pause {
        id: FileId,
        offset: u64,
    },
    Reached,
    /// Bytes that no record tells of at offset `waiting` were held back; they are given when after another change
    /// there still is no record.
    Never {
        change: u64,
        waiting: Option<(u64, u64)>,
    },
}

/// Whether a file is still written.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Written,
    /// The writer has gone on to the next one.
    Left,
}

/// What a look at the files brought.
enum Step {
    Went,
    Nothing,
}

impl Reader {
    /// Opens the log of service `name` in `directory`. A service without a log yet is an empty one.
    ///
    /// # Errors
    /// The folder or a file cannot be read, or `name` is no file name.
    pub fn open(
        directory: &Path,
        name: &str,
        start: Start,
        mode: Mode,
        filter: Filter,
    ) -> io::Result<Reader> {
        let listing = Listing::none(directory);
        Self::sifted(&listing, name, Course { start, mode }, filter, None)
    }

    /// As [`Reader::open`], of a folder that may be listed already, and only the lines that the sieve lets through.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn sifted(
        listing: &Listing,
        name: &str,
        course: Course,
        filter: Filter,
        sieve: Option<Box<dyn Sieve>>,
    ) -> io::Result<Reader> {
        let paths = listing.paths(name)?;
        let end = match course.mode {
            Mode::Follow => End::Never {
                change: 0,
                waiting: None,
            },
            // Without a current file the end is that of the newest one: no file has that id.
            Mode::Once => {
                let (id, offset) = end_now(&paths)?.unwrap_or((FileId::NONE, 0));
                End::At { id, offset }
            }
        };
        let mut reader = Reader {
            paths,
            filter,
            sieve,
            end,
            cursor: None,
            assembler: Assembler::default(),
            buffer: Buffer::default(),
            skip: 0,
            later: 0,
            packed: Packed::Included,
            before: Before::Nothing,
            left_out: Vec::new(),
            told_damage: None,
            run_is_over: false,
        };
        match course.start {
            Start::Oldest => {
                reader.cursor = match reader.floor()? {
                    None => reader.oldest()?,
                    Some(floor) => Some(tail::whole(floor)?),
                }
            }
            Start::Last(lines) => reader.go_back(lines, u64::MAX)?,
            Start::Near { lines, bytes } => reader.go_back(lines, bytes)?,
        }
        reader.paths.forget();
        Ok(reader)
    }

    /// Tells a following reader that the files may have changed, before it is asked for entries again.
    pub fn changed(&mut self) {
        if let End::Never { change, .. } = &mut self.end {
            *change += 1;
        }
    }

    /// The next entry; nothing at the end, which for a following reader is the end for now.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        loop {
            while let Some(entry) = self.assembler.next() {
                if !self.is_wanted(&entry) {
                    continue;
                }
                if self.skip == 0 {
                    return Ok(Some(entry));
                }
                self.skip -= u64::from(self.counts(&entry));
            }
            if matches!(self.step()?, Step::Nothing) {
                return Ok(None);
            }
        }
    }

    /// Whether there may be more before the beginning, in packed files, which [`Start::Near`] does not look at.
    #[must_use]
    pub fn leaves_packed(&self) -> bool {
        self.packed == Packed::Before
    }

    /// Whether the log had something before the time or the run from which on it is wanted.
    #[must_use]
    pub fn leaves_earlier(&self) -> bool {
        self.before == Before::Something
    }

    /// Which files were left out because they could not be unpacked or are missing.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Whether nothing more will come, also to a follower.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.end == End::Reached
    }

    fn is_wanted(&mut self, entry: &Entry) -> bool {
        if self
            .filter
            .until_ms
            .is_some_and(|until_ms| entry.time_ms > until_ms)
        {
            // What comes after it is later still.
            self.end = End::Reached;
            self.assembler.finish_all();
            return false;
        }
        if self
            .filter
            .since_ms
            .is_some_and(|since_ms| entry.time_ms < since_ms)
        {
            return false;
        }
        match (&entry.content, &mut self.sieve) {
            (Content::Line { .. }, Some(sieve)) => sieve.lets_through(entry),
            (Content::Line { .. } | Content::Notice { .. } | Content::Mark(_), _) => true,
        }
    }

    /// Whether an entry is one of the lines that are asked for by their number. Of a line that comes in pieces it is
    /// the last, unless only some of them may have been let through.
    fn counts(&self, entry: &Entry) -> bool {
        match &entry.content {
            Content::Line { end, .. } => *end != LineEnd::Cut || self.sieve.is_some(),
            Content::Notice { .. } | Content::Mark(_) => false,
        }
    }

    /// Takes one mark or one block of bytes in, or goes on to the next file, also where this one is damaged.
    fn step(&mut self) -> io::Result<Step> {
        if self.end == End::Reached {
            return Ok(Step::Nothing);
        }
        let stepped = self.step_on();
        stepped.or_else(|cause| self.leave_out(cause))
    }

    fn step_on(&mut self) -> io::Result<Step> {
        if self.cursor.is_none() {
            self.cursor = self.oldest()?;
        }
        let Some(cursor) = &mut self.cursor else {
            return self.finish();
        };
        let mut next = cursor.next()?;
        let mut stage = Stage::Written;
        if matches!(next, Next::End | Next::Unrecorded { .. }) {
            if current_inode(&self.paths)? != Some(cursor.id.log) {
                // The writer has left this file; what it wrote before that is all there now, and its records too.
                stage = Stage::Left;
                next = cursor.next()?;
            } else if next == Next::End {
                return self.finish();
            }
        }
        if let End::At { id, offset } | End::Pause { id, offset } = self.end {
            let is_last = id == cursor.id;
            if is_last && cursor.offset >= offset && !matches!(next, Next::Mark { .. }) {
                return self.finish();
            }
            if let (true, Next::Bytes { end, .. } | Next::Unrecorded { end, .. }) =
                (is_last, &mut next)
            {
                *end = offset.min(*end);
            }
        }
        match next {
            Next::Mark { time_ms, run, mark } => {
                self.run_is_over |= self.filter.run.is_some_and(|wanted| {
                    run > wanted || run == wanted && matches!(mark, Mark::End(_))
                });
                if self.filter.is_run(run) {
                    self.assembler.mark(time_ms, run, mark);
                }
                Ok(Step::Went)
            }
            Next::Bytes { origin, end } => self.take(origin, end),
            Next::Unrecorded { origin, end } => match self.unrecorded_end(stage, end)? {
                Some(end) => self.take(origin, end),
                None => Ok(Step::Nothing),
            },
            Next::Emptied => self.begin_again(),
            Next::End => self.go_on(),
        }
    }

    /// Goes on to the next file, or ends where there is none.
    fn go_on(&mut self) -> io::Result<Step> {
        match self.newer()? {
            Some(newer) => {
                self.tell_missing(&newer)?;
                self.buffer.empty();
                self.cursor = Some(newer);
                Ok(Step::Went)
            }
            None => self.finish(),
        }
    }

    /// Takes bytes up to `end` in, at most a block of them.
    fn take(&mut self, origin: Origin, end: u64) -> io::Result<Step> {
        let Some(cursor) = &mut self.cursor else {
            return Ok(Step::Nothing);
        };
        if !self.filter.lets_through(origin) {
            cursor.offset = end;
            let is_later = self.filter.run.is_some_and(|wanted| origin.run > wanted);
            self.later = if is_later { self.later + 1 } else { 0 };
            self.run_is_over |= is_later;
            return match self.later > LATER_MAX {
                true => self.finish(),
                false => Ok(Step::Went),
            };
        }
        self.later = 0;
        let bytes = self.buffer.bytes(cursor, end)?;
        if bytes.is_empty() {
            return self.begin_again();
        }
        cursor.offset += bytes.len() as u64;
        let is_past = |until_ms| origin.time_ms > until_ms;
        match (&self.sieve, origin.source) {
            // What comes too late ends the reading, so it has to be seen.
            (Some(sieve), Source::Service(stream))
                if !self.filter.until_ms.is_some_and(is_past) =>
            {
                self.assembler.sifted(&**sieve, (origin, stream), bytes);
            }
            (Some(_) | None, _) => self.assembler.bytes(origin, bytes),
        }
        Ok(Step::Went)
    }

    /// The file was emptied under us.
    fn begin_again(&mut self) -> io::Result<Step> {
        self.buffer.empty();
        self.assembler.finish_all();
        if let Some(cursor) = &mut self.cursor {
            cursor.rewind()?;
        }
        match self.end {
            End::Never { .. } => Ok(Step::Went),
            End::At { .. } | End::Pause { .. } | End::Reached => self.finish(),
        }
    }

    /// A writer notes its bytes a moment after it has written them. A follower waits for that, but not for a record
    /// that does not come (a full disk can be in the way), nor in a file that is written no more. Returns up to where
    /// bytes may be taken that no record tells of.
    ///
    /// Whose they are is a guess, and the record may come at any moment and say otherwise, so what is guessed ends
    /// with a line: the rest of one would be told apart from its beginning.
    fn unrecorded_end(&mut self, stage: Stage, end: u64) -> io::Result<Option<u64>> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let offset = cursor.offset;
        let is_final = match &mut self.end {
            End::At { .. } | End::Reached => true,
            _ if stage == Stage::Left => true,
            End::Pause { .. } => return Ok(None),
            End::Never { change, waiting } => match *waiting {
                Some((since, at)) if at == offset && since != *change => false,
                Some((_, at)) if at == offset => return Ok(None),
                _ => {
                    *waiting = Some((*change, offset));
                    return Ok(None);
                }
            },
        };
        // A block from here on, so that only a line that is longer than one is without its end there.
        self.buffer.empty();
        let bytes = self.buffer.bytes(cursor, end)?;
        let block_end = offset + bytes.len() as u64;
        Ok(match search::last(b'\n', bytes) {
            Some(at) => Some(offset + at as u64 + 1),
            None if is_final || block_end < end => Some(end),
            None => None,
        })
    }

    /// The file that was begun after the one that is held.
    fn newer(&self) -> io::Result<Option<Cursor>> {
        let Some(held) = &self.cursor else {
            return Ok(None);
        };
        if let Some(mut newer) = held.open_next(&self.paths)? {
            newer.continue_from(held);
            return Ok(Some(newer));
        }
        let left = modified(&held.log.metadata()?);
        // Where the held one is removed, the oldest of those that were written after it.
        let is_later = |seen: &&Seen| {
            fs::metadata(self.paths.file(seen)).is_ok_and(|metadata| modified(&metadata) >= left)
        };
        let newer = Cursor::pick(&self.paths, |seen| {
            match seen.iter().position(|seen| seen.id == held.id) {
                Some(at) => at.checked_sub(1).and_then(|at| seen.get(at)).copied(),
                // Where the end is removed too, all that there is came after it.
                None if self.is_past_end(seen) => None,
                None => seen.iter().rev().find(is_later).copied(),
            }
        })?;
        Ok(newer.map(|mut newer| {
            newer.continue_from(held);
            newer
        }))
    }

    fn is_past_end(&self, seen: &[Seen]) -> bool {
        match self.end {
            End::At { id, .. } | End::Pause { id, .. } => {
                !id.is_none() && seen.iter().all(|seen| seen.id != id)
            }
            End::Reached | End::Never { .. } => false,
        }
    }

    fn oldest(&self) -> io::Result<Option<Cursor>> {
        Cursor::pick(&self.paths, |seen| seen.last().copied())
    }

    /// The end: for a follower only for now, unless its one run is over; for any other with what is not finished.
    fn finish(&mut self) -> io::Result<Step> {
        let goes_on = matches!(self.end, End::Never { .. } | End::Pause { .. });
        if (goes_on && !self.run_is_over) || self.end == End::Reached {
            return Ok(Step::Nothing);
        }
        self.end = End::Reached;
        self.assembler.finish_all();
        Ok(Step::Went)
    }
}

/// The current log file, if there is one; there is none for a moment within a rotation.
fn current(paths: &Paths) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(paths.log(0)) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the current log file ends.
fn end_now(paths: &Paths) -> io::Result<Option<(FileId, u64)>> {
    let now = current(paths)?;
    Ok(now.map(|metadata| (paths.current_id(&metadata), metadata.len())))
}

fn current_inode(paths: &Paths) -> io::Result<Option<u64>> {
    Ok(current(paths)?.map(|metadata| metadata.ino()))
}

/// When a file was last written, to the nanosecond.
fn modified(metadata: &fs::Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}
