//! Where a service's log files lie: their names, and which of them there are.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, DirEntryExt};
use std::path::{Path, PathBuf};

/// Rotated files are numbered up to here; a higher number is no file of ours.
const NUMBER_MAX: u32 = 1_000_000;
const DIRECTORY_MODE: u32 = 0o700;
/// A folder is listed so often at most, until two listings agree that no file was moved meanwhile.
const LIST_TRIES: u32 = 16;

/// The names of one service's files, all made from `DIRECTORY/NAME`.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    stem: Box<Path>,
}

/// A log file that was seen in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    /// 0 is the current one; the highest number is the oldest.
    pub(super) number: u32,
    pub(super) inode: u64,
}

impl Paths {
    /// Refuses a name that is no single file-name component.
    pub(super) fn new(directory: &Path, name: &str) -> io::Result<Paths> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            let reason = format!("`{name}` cannot name a log file");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        Ok(Paths {
            stem: directory.join(name).into_boxed_path(),
        })
    }

    pub(super) fn log(&self, number: u32) -> PathBuf {
        self.numbered(".log", number)
    }

    pub(super) fn index(&self, number: u32) -> PathBuf {
        self.numbered(".idx", number)
    }

    /// The next log file while it is being prepared.
    pub(super) fn fresh_log(&self) -> PathBuf {
        self.with(".log.new")
    }

    pub(super) fn fresh_index(&self) -> PathBuf {
        self.with(".idx.new")
    }

    /// Makes the folder, for its owner alone, when it is missing.
    pub(super) fn make_directory(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(self.directory())
    }

    /// The log files that there are, the current one first. A missing folder has none.
    pub(super) fn list(&self) -> io::Result<Vec<Seen>> {
        // A listing while files are renamed can miss one.
        let mut seen = self.list_once()?;
        for _ in 0..LIST_TRIES {
            let again = self.list_once()?;
            if again == seen {
                break;
            }
            seen = again;
        }
        Ok(seen)
    }

    fn list_once(&self) -> io::Result<Vec<Seen>> {
        let entries = match fs::read_dir(self.directory()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut first = self.stem.file_name().unwrap_or_default().to_owned();
        first.push(".log");
        let first = first.as_encoded_bytes();
        let mut seen = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(rest) = name.as_encoded_bytes().strip_prefix(first) else {
                continue;
            };
            if let Some(number) = number_of(rest) {
                seen.push(Seen {
                    number,
                    inode: entry.ino(),
                });
            }
        }
        seen.sort_unstable();
        Ok(seen)
    }

    fn directory(&self) -> &Path {
        self.stem.parent().unwrap_or(Path::new("."))
    }

    fn numbered(&self, ending: &str, number: u32) -> PathBuf {
        if number == 0 {
            self.with(ending)
        } else {
            self.with(&format!("{ending}.{number}"))
        }
    }

    fn with(&self, ending: &str) -> PathBuf {
        let mut path = OsString::with_capacity(self.stem.as_os_str().len() + ending.len());
        path.push(self.stem.as_os_str());
        path.push(ending);
        path.into()
    }
}

/// The number that the end of a file's name says: nothing is 0, `.3` is 3.
pub(super) fn number_of(ending: &[u8]) -> Option<u32> {
    let Some((b'.', digits)) = ending.split_first() else {
        return ending.is_empty().then_some(0);
    };
    let text = std::str::from_utf8(digits).ok()?;
    let number: u32 = text.parse().ok()?;
    let is_canonical = number.to_string() == text;
    (is_canonical && (1..=NUMBER_MAX).contains(&number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_numbers_count() {
        assert_eq!(number_of(b""), Some(0));
        assert_eq!(number_of(b".12"), Some(12));
        for other in [
            &b".0"[..],
            b".01",
            b".+1",
            b".new",
            b".",
            b"x",
            b".99999999999",
            b".1.gz",
        ] {
            assert_eq!(number_of(other), None);
        }
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        for name in ["", ".", "..", "a/b", "/etc/x", "a\0b"] {
            assert!(Paths::new(Path::new("/logs"), name).is_err());
        }
    }
}
