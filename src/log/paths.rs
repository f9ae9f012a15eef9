//! Where a service's log files lie: their names, and which of them there are.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::packing::{PACKINGS, Packing};

/// Rotated files are numbered up to here; a higher number is no file of ours.
const NUMBER_MAX: u32 = 1_000_000;
const DIRECTORY_MODE: u32 = 0o700;
/// A folder is listed so often at most, until two listings agree that no file was moved meanwhile.
const LIST_TRIES: u32 = 16;

/// The names of one service's files, all made from `DIRECTORY/NAME`.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    stem: Box<Path>,
    /// What a listing for many logs has found of this one.
    known: Option<Box<[Seen]>>,
}

/// A log file that was seen in the directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// 0 is the current one; the highest number is the oldest.
    pub(super) number: u32,
    pub(super) id: FileId,
}

/// Which file of a log it is, whatever its number. As long as somebody holds it open it is known by its inode; a packed
/// one is another file than the plain one that it comes from, but has the same index.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileId {
    pub(super) log: u64,
    /// The inode of its index; 0 where there is none.
    pub(super) index: u64,
    pub(super) packing: Option<Packing>,
}

impl FileId {
    /// That of no file.
    pub(super) const NONE: Self = Self {
        log: 0,
        index: 0,
        packing: None,
    };

    pub(super) fn is_none(self) -> bool {
        self.log == 0
    }
}

impl PartialEq for FileId {
    fn eq(&self, other: &Self) -> bool {
        let was_packed = self.packing.is_some() != other.packing.is_some();
        match was_packed {
            true => self.index != 0 && self.index == other.index,
            false => self.log != 0 && self.log == other.log,
        }
    }
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
            known: None,
        })
    }

    /// The same, and what there is was listed before; with a rotation since then that is of no use.
    pub(super) fn known(directory: &Path, name: &str, seen: &[Seen]) -> io::Result<Paths> {
        let paths = Paths::new(directory, name)?;
        let now = fs::metadata(paths.log(0)).ok();
        let now = now.map(|metadata| paths.current_id(&metadata));
        let listed = seen.first().filter(|first| first.number == 0);
        let inodes = |id: FileId| (id.log, id.index);
        let is_now = now.map(inodes) == listed.map(|first| inodes(first.id));
        let known = (is_now && !seen.is_empty()).then(|| seen.into());
        Ok(Paths { known, ..paths })
    }

    /// What was listed is of no use any more.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    pub(super) fn log(&self, number: u32) -> PathBuf {
        self.numbered(".log", number)
    }

    pub(super) fn index(&self, number: u32) -> PathBuf {
        self.numbered(".idx", number)
    }

    /// A rotated file that is packed.
    pub(super) fn packed(&self, number: u32, packing: Packing) -> PathBuf {
        let mut path = self.log(number).into_os_string();
        path.push(packing.ending());
        path.into()
    }

    /// Which file the current one is, whose metadata this is.
    pub(super) fn current_id(&self, log: &Metadata) -> FileId {
        let index = fs::metadata(self.index(0));
        FileId {
            log: log.ino(),
            index: index.map_or(0, |index| index.ino()),
            packing: None,
        }
    }

    /// Where a file lies that was seen.
    pub(super) fn file(&self, seen: &Seen) -> PathBuf {
        match seen.id.packing {
            None => self.log(seen.number),
            Some(packing) => self.packed(seen.number, packing),
        }
    }

    /// All names that the log file of this number may have. The current one is never packed: a packed file of its name
    /// is not ours.
    pub(super) fn forms(&self, number: u32) -> Vec<PathBuf> {
        let packings = PACKINGS.iter().filter(|_| number > 0);
        let packed = packings.map(|packing| self.packed(number, *packing));
        std::iter::once(self.log(number)).chain(packed).collect()
    }

    /// Whether there is a log file of this number, packed or not.
    pub(super) fn has(&self, number: u32) -> bool {
        self.forms(number).iter().any(|form| exists(form))
    }

    /// A file that is being packed.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.with(".log.pack")
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

    /// The log files that there are, the current one first. A missing folder has none. What is known was so a moment
    /// ago; where it is not any more, [`Self::list_anew`] tells.
    pub(super) fn list(&self) -> io::Result<Vec<Seen>> {
        match &self.known {
            Some(known) => Ok(known.to_vec()),
            None => self.list_anew(),
        }
    }

    /// The log files that there are now.
    pub(super) fn list_anew(&self) -> io::Result<Vec<Seen>> {
        // A listing while files are renamed can miss one.
        let mut seen = self.list_once()?;
        for _ in 0..LIST_TRIES {
            let again = self.list_once()?;
            if is_same_listing(&again, &seen) {
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
        let stem = self.stem.file_name().unwrap_or_default();
        let stem = stem.as_encoded_bytes();
        let mut files = Files::default();
        for entry in entries {
            let entry = entry?;
            if let Some(ending) = entry.file_name().as_encoded_bytes().strip_prefix(stem) {
                files.add(ending, entry.ino());
            }
        }
        Ok(files.seen())
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

/// What a listing has found of one log.
#[derive(Debug, Default)]
pub(super) struct Files {
    logs: BTreeMap<u32, Seen>,
    indexes: BTreeMap<u32, u64>,
}

impl Files {
    /// Takes a file in, whose name ends with this after that of the service.
    pub(super) fn add(&mut self, ending: &[u8], inode: u64) {
        if let Some(number) = ending.strip_prefix(b".idx").and_then(number_of) {
            self.indexes.insert(number, inode);
        }
        let Some((number, packing)) = ending.strip_prefix(b".log").and_then(form_of) else {
            return;
        };
        // Where both are there the packed one has not taken its place yet.
        if packing.is_none() || !self.logs.contains_key(&number) {
            let id = FileId {
                log: inode,
                index: 0,
                packing,
            };
            let seen = Seen { number, id };
            self.logs.insert(number, seen);
        }
    }

    /// The log files, each with its index, the current one first.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let has_log = |number: u32| self.logs.contains_key(&number);
        let index_of = |number: u32| {
            // A rotation moves the log first: until its index has followed, that stands one number lower.
            let before = number.checked_sub(1).filter(|before| !has_log(*before));
            let index = self.indexes.get(&number);
            index.or_else(|| self.indexes.get(&before?)).copied()
        };
        let mut seen: Vec<Seen> = self.logs.values().copied().collect();
        for one in &mut seen {
            one.id.index = index_of(one.number).unwrap_or(0);
        }
        seen
    }
}

pub(super) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Whether no file was moved between two listings.
pub(super) fn is_same_listing(one: &[Seen], other: &[Seen]) -> bool {
    let told = |seen: &Seen| (seen.number, seen.id.log, seen.id.index);
    one.iter().map(told).eq(other.iter().map(told))
}

/// The same of a log, which may be packed.
pub(super) fn form_of(ending: &[u8]) -> Option<(u32, Option<Packing>)> {
    for packing in PACKINGS {
        if let Some(plain) = ending.strip_suffix(packing.ending().as_bytes()) {
            // The one that is written is never packed.
            let number = number_of(plain).filter(|number| *number > 0);
            return number.map(|number| (number, Some(packing)));
        }
    }
    number_of(ending).map(|number| (number, None))
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
