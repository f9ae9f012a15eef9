//! A log of plain lines that several processes append to: the daemon's own, which its guardian writes to as well.
//!
//! Owns its files' names and their rotation: `PATH`, `PATH.1` and so on, the highest number the oldest. It has no
//! index: each line begins with its time. Whoever writes asks before each line which file is the current one, so that
//! a rotation by another process, or a file that somebody removed, is noticed with the next line. One process rotates
//! at a time; the others write on meanwhile, in what is or was the current file.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::sorted;
use crate::sys::files;

use super::rotation::Limits;

const FILE_MODE: u32 = 0o600;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainLog {
    path: PathBuf,
    limits: Limits,
}

impl PlainLog {
    /// Opens nothing.
    #[must_use]
    pub fn new(path: PathBuf, limits: Limits) -> Self {
        let limits = limits.least();
        Self { path, limits }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The current file, made when missing; what is written to it is appended.
    ///
    /// # Errors
    /// What open(2) gives.
    pub fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let options = options.append(true).create(true).mode(FILE_MODE);
        options.open(&self.path)
    }

    /// Whether `held` is, or was, a file of this log. One that has no name any more may have been.
    #[must_use]
    pub fn has(&self, held: &File) -> bool {
        let Ok(held) = held
            .metadata()
            .map(|metadata| (metadata.nlink(), id(&metadata)))
        else {
            return false;
        };
        let mut numbers = 0..=self.limits.max_files;
        let is_it = |number| fs::metadata(self.file(number)).is_ok_and(|file| id(&file) == held.1);
        held.0 == 0 || numbers.any(is_it)
    }

    /// The file to write `more` bytes to, if it is another one than `held`; rotates where they would be too many.
    ///
    /// # Errors
    /// The current file cannot be looked at or opened, or files cannot be renamed: `held` has to do.
    pub fn turn(&self, held: &File, more: usize) -> io::Result<Option<File>> {
        let named = match fs::metadata(&self.path) {
            Ok(named) => named,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.open().map(Some),
            Err(error) => return Err(error),
        };
        let is_held = id(&named) == id(&held.metadata()?);
        if !self.is_full(&named, more) {
            return match is_held {
                true => Ok(None),
                false => self.open().map(Some),
            };
        }
        self.rotate(more)?;
        self.open().map(Some)
    }

    /// The files that there are, the oldest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let (Some(folder), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Ok(Vec::new());
        };
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut numbers: Vec<u32> = Vec::new();
        for entry in entries {
            let file = entry?.file_name();
            let ending = file.as_encoded_bytes();
            let ending = ending.strip_prefix(name.as_encoded_bytes());
            numbers.extend(ending.and_then(super::paths::number_of));
        }
        sorted::sort_by(&mut numbers, |one, other| other.cmp(one));
        Ok(numbers
            .into_iter()
            .map(|number| self.file(number))
            .collect())
    }

    fn is_full(&self, file: &Metadata, more: usize) -> bool {
        file.len() > 0 && file.len().saturating_add(more as u64) > self.limits.max_size
    }

    /// Moves every file one number up, unless another process does that just now or has done it.
    fn rotate(&self, more: usize) -> io::Result<()> {
        // Also where a link leads to it: that is moved in its stead, and a file comes to its place.
        let locked = File::open(&self.path)?;
        if !files::try_lock(locked.as_fd())? {
            return Ok(());
        }
        let (locked, named) = (locked.metadata()?, fs::metadata(&self.path)?);
        if id(&locked) != id(&named) || !self.is_full(&named, more) {
            return Ok(());
        }
        let kept = self.limits.max_files - 1;
        let is_free = |number: &u32| fs::symlink_metadata(self.file(*number)).is_err();
        let top = (1..=kept).find(is_free).unwrap_or(kept);
        // Fewer may be kept than before.
        for number in self.limits.max_files.. {
            if fs::remove_file(self.file(number)).is_err() {
                break;
            }
        }
        if top == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (0..top).rev() {
            fs::rename(self.file(number), self.file(number + 1))?;
        }
        Ok(())
    }

    fn file(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}

fn id(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use super::super::tests::Folder;
    use super::*;

    fn log(folder: &Folder, max_size: u64, max_files: u32) -> PlainLog {
        let limits = Limits {
            max_size,
            max_files,
        };
        PlainLog::new(folder.path("daemon.log"), limits)
    }

    fn write(log: &PlainLog, held: &mut File, line: &str) {
        if let Some(next) = log.turn(held, line.len()).unwrap() {
            *held = next;
        }
        held.write_all(line.as_bytes()).unwrap();
    }

    fn all(log: &PlainLog) -> String {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        log.files().unwrap().into_iter().map(read).collect()
    }

    /// Two processes write by turns, one of them goes on with whatever the other has rotated.
    #[test]
    fn no_line_is_lost_or_divided_by_two_writers() {
        let folder = Folder::new();
        let log = log(&folder, 100, 50);
        let (mut one, mut two) = (log.open().unwrap(), log.open().unwrap());
        let mut expected = String::new();
        for number in 0..90 {
            let line = format!("line {number}\n");
            let held = match number % 7 {
                0 => &mut two,
                _ => &mut one,
            };
            write(&log, held, &line);
            expected.push_str(&line);
        }
        assert_eq!(all(&log), expected);
        for path in log.files().unwrap() {
            let text = fs::read_to_string(path).unwrap();
            assert!(text.len() <= 100 && text.ends_with('\n'), "{text}");
        }
        assert!(log.files().unwrap().len() > 5);
    }

    #[test]
    fn no_more_files_are_kept_than_that() {
        let folder = Folder::new();
        for kept in [3, 1, 2] {
            let log = log(&folder, 20, kept);
            let mut held = log.open().unwrap();
            for number in 0..20 {
                write(&log, &mut held, &format!("{kept} line {number}\n"));
            }
            let files = log.files().unwrap().len();
            assert_eq!(files, usize::try_from(kept).unwrap());
            assert!(all(&log).ends_with(&format!("{kept} line 19\n")));
        }
    }

    /// A kill between two renames leaves a free number, and nothing is lost by the next rotation.
    #[test]
    fn a_rotation_that_was_cut_short_loses_nothing() {
        let folder = Folder::new();
        let log = log(&folder, 20, 10);
        let mut held = log.open().unwrap();
        for number in 0..6 {
            write(&log, &mut held, &format!("the line {number}\n"));
        }
        let before = all(&log);
        assert_eq!(log.files().unwrap().len(), 6);
        for number in (2..6).rev() {
            fs::rename(log.file(number), log.file(number + 1)).unwrap();
        }
        write(&log, &mut held, "the last line\n");
        assert_eq!(all(&log), before + "the last line\n");
    }

    #[test]
    fn a_link_in_its_place_is_moved_as_a_file_is() {
        let folder = Folder::new();
        let log = log(&folder, 20, 3);
        let elsewhere = folder.path("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, log.path()).unwrap();
        let mut held = log.open().unwrap();
        for number in 0..3 {
            write(&log, &mut held, &format!("the line {number}\n"));
        }
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "the line 0\n");
        assert_eq!(all(&log), "the line 0\nthe line 1\nthe line 2\n");
    }

    #[test]
    fn a_file_that_is_removed_is_made_again() {
        let folder = Folder::new();
        let log = log(&folder, 1000, 2);
        let mut held = log.open().unwrap();
        write(&log, &mut held, "one\n");
        assert!(log.has(&held));
        fs::remove_file(log.path()).unwrap();
        assert!(log.has(&held));
        write(&log, &mut held, "two\n");
        assert_eq!(all(&log), "two\n");
        let other = File::create(folder.path("other")).unwrap();
        assert!(!log.has(&other));
    }
}
