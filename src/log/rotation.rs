//! The pair of a log file and its index on the writer's side: opening, putting right what a killed daemon left,
//! and moving the pairs one number up.
//!
//! The next pair is made whole under another name first; only then are the others moved, the log always before its
//! index. A kill between two steps leaves at most a free number and an index that lags one number behind its log,
//! and [`open`] moves that one on. The new pair takes its names the other way round, so that where a reader finds
//! a log, its index is there or about to come.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::index_writer::{self, IndexWriter};
use super::packing::PACKINGS;
use super::paths::{Paths, exists};

const FILE_MODE: u32 = 0o600;

/// The most files that can be asked for.
const FILES_MAX: u32 = 1_000;

/// `LogMaxSize=` and `LogMaxFiles=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub max_size: u64,
    /// Files kept, the current one included; at least 1.
    pub max_files: u32,
}

impl Limits {
    /// Limits that remove nothing of a log whose own are not known.
    pub const WIDEST: Self = Self {
        max_size: u64::MAX,
        max_files: FILES_MAX,
    };

    /// Nothing at all would be no log.
    pub(super) fn least(self) -> Self {
        Self {
            max_size: self.max_size.max(1),
            max_files: self.max_files.max(1),
        }
    }
}

/// A log file that is written, and its index.
#[derive(Debug)]
pub(super) struct Pair {
    /// Written at `length`, which is looked up before each batch: a log that somebody empties goes on at its new end.
    pub(super) log: File,
    pub(super) length: u64,
    pub(super) index: IndexWriter,
}

/// Opens the current pair, made when missing, and keeps no more than `max_files` files.
pub(super) fn open(paths: &Paths, max_files: u32) -> io::Result<Pair> {
    paths.make_directory()?;
    finish_moves(paths)?;
    prune(paths, max_files);
    // The index first, with its header: a reader that finds the log finds its index.
    let index = open_index(&paths.index(0))?;
    index_writer::prepare(&index)?;
    let before = File::open(paths.index(1)).ok();
    let log = open_log(&paths.log(0))?;
    let metadata = log.metadata()?;
    let written_ms = unix_ms(metadata.mtime(), metadata.mtime_nsec());
    let index = IndexWriter::recover(index, before, metadata.len(), written_ms)?;
    Ok(Pair {
        log,
        length: metadata.len(),
        index,
    })
}

/// Makes an empty pair the current one and gives every other the next number; the oldest goes when there are
/// `max_files` already.
pub(super) fn rotate(paths: &Paths, max_files: u32) -> io::Result<Pair> {
    let made = make_fresh(paths);
    if made.is_err() {
        // On a disk that is full they can be made, and nothing written to them.
        let _ = remove(&paths.fresh_log());
        let _ = remove(&paths.fresh_index());
    }
    let (log, index) = made?;
    let kept = max_files.saturating_sub(1);
    let is_free = |number: &u32| !paths.has(*number);
    let top = (1..=kept).find(is_free).unwrap_or(kept);
    remove_file(paths, top)?;
    for number in (0..top).rev() {
        move_on(paths, number)?;
        rename(&paths.index(number), &paths.index(number + 1))?;
    }
    fs::rename(paths.fresh_index(), paths.index(0))?;
    fs::rename(paths.fresh_log(), paths.log(0))?;
    Ok(Pair {
        log,
        length: 0,
        index,
    })
}

/// An empty pair under another name.
fn make_fresh(paths: &Paths) -> io::Result<(File, IndexWriter)> {
    let log = open_log(&paths.fresh_log())?;
    index_writer::empty(&log)?;
    let index = IndexWriter::begin(open_index(&paths.fresh_index())?)?;
    Ok((log, index))
}

/// Removes the rotated files up to the first number that is free, the oldest first.
pub(super) fn remove_old(paths: &Paths) -> io::Result<()> {
    let count = (1..).take_while(|number| paths.has(*number)).count();
    let oldest = u32::try_from(count).unwrap_or(u32::MAX);
    for number in (1..=oldest).rev() {
        remove_file(paths, number)?;
    }
    Ok(())
}

/// Cuts the current file off at its beginning, as anybody may do.
pub(super) fn empty(paths: &Paths) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).truncate(true).open(paths.log(0))?;
    Ok(())
}

/// Removes a file and its index.
pub(super) fn remove_file(paths: &Paths, number: u32) -> io::Result<()> {
    remove(&paths.index(number))?;
    for form in paths.forms(number) {
        remove(&form)?;
    }
    Ok(())
}

/// Removes the files whose number is not kept any more. What cannot be removed is tried again at the next opening.
pub(super) fn prune(paths: &Paths, max_files: u32) {
    for number in max_files.max(1).. {
        if !paths.has(number) || remove_file(paths, number).is_err() {
            return;
        }
    }
}

/// Whether the current log's name still leads to `log`.
pub(super) fn is_current(paths: &Paths, log: &File) -> bool {
    let (Ok(named), Ok(held)) = (fs::metadata(paths.log(0)), log.metadata()) else {
        return false;
    };
    (named.dev(), named.ino()) == (held.dev(), held.ino())
}

/// An index whose log was moved on, but not itself, is moved after it.
fn finish_moves(paths: &Paths) -> io::Result<()> {
    let mut number = 0;
    loop {
        let (here, next) = (paths.has(number), paths.has(number + 1));
        if number > 0 && exists(&paths.log(number)) {
            // What was packed had not taken its place yet.
            for packing in PACKINGS {
                remove(&paths.packed(number, packing))?;
            }
        }
        if !here && next && !exists(&paths.index(number + 1)) {
            rename(&paths.index(number), &paths.index(number + 1))?;
        }
        if !here && !next {
            return Ok(());
        }
        number += 1;
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .truncate(false)
        .read(true)
        .create(true)
        .mode(FILE_MODE)
        .open(path)
}

fn open_index(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
}

/// Moves a log file one number up, however it is packed.
fn move_on(paths: &Paths, number: u32) -> io::Result<()> {
    let (from, to) = (paths.forms(number), paths.forms(number + 1));
    for (from, to) in from.iter().zip(&to) {
        rename(from, to)?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    missing_is_fine(fs::remove_file(path))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    missing_is_fine(fs::rename(from, to))
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// A file's time in unix milliseconds; before 1970 is 1970.
pub(super) fn unix_ms(seconds: i64, nanoseconds: i64) -> u64 {
    let ms = seconds
        .saturating_mul(1000)
        .saturating_add(nanoseconds / 1_000_000);
    u64::try_from(ms).unwrap_or(0)
}
