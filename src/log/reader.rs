//! The client's side: a service's log as entries, from the oldest file into the current one, once or on and on.
//!
//! A reader holds one pair of files open, a block of bytes and its unfinished lines. It finds the next file by what
//! file it holds, not by number, so a rotation at any moment neither repeats nor skips a line; only files that were
//! removed before it came to them are missing.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::buffer::Buffer;
use super::cursor::{Cursor, Next};
use super::entry::{Assembler, Content, Entry, LineEnd, Origin, Source};
use super::index::Mark;
use super::paths::{FileId, Paths, Seen};
use super::seek::{self, Place, Sought};
use super::tail::{self, Located, Stretch};
use super::wanted::{Course, Filter, Mode, Sieve, Start};

/// Where a sieve holds lines back, so many are looked through at first, and then this many times as many.
const SIFTED_LINES: u64 = 1000;
const STRETCH_GROWTH: u64 = 4;
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
    /// The one run that is wanted has ended, or a later one has begun.
    run_is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// With this byte of this file.
    At {
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
        Self::sifted(directory, name, Course { start, mode }, filter, None)
    }

    /// As [`Reader::open`], and only the lines that the sieve lets through.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn sifted(
        directory: &Path,
        name: &str,
        course: Course,
        filter: Filter,
        sieve: Option<Box<dyn Sieve>>,
    ) -> io::Result<Reader> {
        let paths = Paths::new(directory, name)?;
        let end = match course.mode {
            Mode::Follow => End::Never {
                change: 0,
                waiting: None,
            },
            // Without a current file the end is that of the newest one: no file has that id.
            Mode::Once => current(&paths)?.map_or(
                End::At {
                    id: FileId::NONE,
                    offset: 0,
                },
                |metadata| End::At {
                    id: paths.current_id(&metadata),
                    offset: metadata.len(),
                },
            ),
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
            run_is_over: false,
        };
        match course.start {
            Start::Oldest => {
                reader.cursor = match reader.floor()? {
                    None => reader.oldest()?,
                    floor => floor,
                }
            }
            Start::Last(lines) => reader.go_back(lines, u64::MAX)?,
            Start::Near { lines, bytes } => reader.go_back(lines, bytes)?,
        }
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

    /// Goes back to a place that lies `lines` lines or more before the end, or `bytes` bytes, and counts how many lines
    /// too many they are. Where a sieve holds lines back it goes on in longer and longer stretches until enough are
    /// found.
    fn go_back(&mut self, lines: u64, bytes: u64) -> io::Result<()> {
        let floor = self.floor()?;
        let mut ceiling = self.ceiling()?;
        let end = self.end;
        let mut stretch_lines = match self.sieve {
            Some(_) if lines > 0 => lines.max(SIFTED_LINES),
            _ => lines,
        };
        let mut count = 0;
        loop {
            let stretch = Stretch {
                lines: stretch_lines,
                bytes,
                filter: self.filter,
                floor: floor.as_ref(),
                ceiling,
            };
            let (cursor, is_beginning) = match tail::locate(&self.paths, stretch)? {
                None => return Ok(()),
                Some(Located::Enough(cursor)) => (cursor, bytes != u64::MAX),
                // No line too many, also when one more has no line end: nothing need be counted.
                Some(Located::Beginning { cursor, missing })
                    if missing > 1 && self.sieve.is_none() =>
                {
                    self.go_to(cursor, end);
                    return Ok(());
                }
                Some(Located::Beginning { cursor, .. }) => (cursor, true),
            };
            let place = cursor.try_clone()?;
            count += self.count_from(cursor)?;
            if lines == 0 {
                // What was there is passed over, marks too; only the line that is not finished is kept.
                return Ok(());
            }
            let begun = Place {
                id: place.id,
                offset: place.offset,
            };
            self.go_to(place, end);
            if count >= lines || is_beginning {
                self.skip = count.saturating_sub(lines);
                return Ok(());
            }
            // What has been counted is not looked at again.
            ceiling = Some(begun);
            self.end = End::At {
                id: begun.id,
                offset: begun.offset,
            };
            stretch_lines = stretch_lines.saturating_mul(STRETCH_GROWTH);
        }
    }

    /// Reads on from `cursor` to the end, and counts the lines.
    fn count_from(&mut self, cursor: Cursor) -> io::Result<u64> {
        self.cursor = Some(cursor);
        let mut count = 0;
        while let Some(entry) = self.next_entry()? {
            count += u64::from(self.counts(&entry));
        }
        Ok(count)
    }

    fn go_to(&mut self, cursor: Cursor, end: End) {
        self.cursor = Some(cursor);
        self.end = end;
        self.assembler = Assembler::default();
        self.buffer.empty();
        self.later = 0;
    }

    /// Where what is wanted begins, if that is not the beginning of all there is.
    fn floor(&self) -> io::Result<Option<Cursor>> {
        match (self.filter.since_ms, self.filter.run) {
            (Some(since_ms), _) => seek::begin(&self.paths, Sought::Since(since_ms)),
            (None, Some(run)) => seek::begin(&self.paths, Sought::Run(run)),
            (None, None) => Ok(None),
        }
    }

    /// Where what is wanted ends, if that is not the end of all there is.
    fn ceiling(&self) -> io::Result<Option<Place>> {
        match (self.filter.until_ms, self.filter.run) {
            (Some(until_ms), _) => seek::end(&self.paths, Sought::After(until_ms)),
            (None, Some(run)) => seek::end(&self.paths, Sought::Beyond(run)),
            (None, None) => Ok(None),
        }
    }

    /// Takes one mark or one block of bytes in, or goes on to the next file.
    fn step(&mut self) -> io::Result<Step> {
        if self.end == End::Reached {
            return Ok(Step::Nothing);
        }
        if self.cursor.is_none() {
            self.cursor = self.oldest()?;
        }
        let Some(cursor) = &mut self.cursor else {
            return self.finish();
        };
        let mut next = cursor.next()?;
        if next == Next::End {
            if current_inode(&self.paths)? == Some(cursor.id.log) {
                return self.finish();
            }
            // The writer has left this file; what it wrote before that is all there now.
            next = cursor.next()?;
        }
        if let End::At { id, offset } = self.end {
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
            Next::Unrecorded { origin, end } => {
                if self.may_take_unrecorded()? {
                    self.take(origin, end)
                } else {
                    Ok(Step::Nothing)
                }
            }
            Next::Emptied => self.begin_again(),
            Next::End => match self.newer()? {
                Some(newer) => {
                    self.buffer.empty();
                    self.cursor = Some(newer);
                    Ok(Step::Went)
                }
                None => self.finish(),
            },
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
            End::At { .. } | End::Reached => self.finish(),
        }
    }

    /// A writer notes its bytes a moment after it has written them. A follower waits for that, but not for a record
    /// that does not come (a full disk can be in the way), nor in a file that is written no more.
    fn may_take_unrecorded(&mut self) -> io::Result<bool> {
        let End::Never { change, waiting } = &mut self.end else {
            return Ok(true);
        };
        let Some(cursor) = &self.cursor else {
            return Ok(false);
        };
        if current_inode(&self.paths)? != Some(cursor.id.log) {
            return Ok(true);
        }
        match *waiting {
            Some((since, at)) if at == cursor.offset => Ok(since != *change),
            _ => {
                *waiting = Some((*change, cursor.offset));
                Ok(false)
            }
        }
    }

    /// The file that was begun after the one that is held.
    fn newer(&self) -> io::Result<Option<Cursor>> {
        let Some(held) = &self.cursor else {
            return Ok(None);
        };
        let left = modified(&held.log.metadata()?);
        // Where the held one is removed, the oldest of those that were written after it.
        let is_later = |seen: &&Seen| {
            fs::metadata(self.paths.file(seen)).is_ok_and(|metadata| modified(&metadata) >= left)
        };
        let newer = Cursor::pick(&self.paths, |seen| {
            match seen.iter().position(|seen| seen.id == held.id) {
                Some(at) => at.checked_sub(1).and_then(|at| seen.get(at)).copied(),
                None => seen.iter().rev().find(is_later).copied(),
            }
        })?;
        Ok(newer.map(|mut newer| {
            newer.continue_from(held);
            newer
        }))
    }

    fn oldest(&self) -> io::Result<Option<Cursor>> {
        Cursor::pick(&self.paths, |seen| seen.last().copied())
    }

    /// The end: for a follower only for now, unless its one run is over; for any other with what is not finished.
    fn finish(&mut self) -> io::Result<Step> {
        let is_for_now = matches!(self.end, End::Never { .. }) && !self.run_is_over;
        if is_for_now || self.end == End::Reached {
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

fn current_inode(paths: &Paths) -> io::Result<Option<u64>> {
    Ok(current(paths)?.map(|metadata| metadata.ino()))
}

/// When a file was last written, to the nanosecond.
fn modified(metadata: &fs::Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}
