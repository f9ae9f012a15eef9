//! What all logs of a folder take together, and a bound on that: the oldest files of whoever has most go first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::paths::{Paths, form_of};
use super::rotation;

/// Such a part of the bound is made free.
const SLACK_DIVISOR: u64 = 16;

/// What was removed of one service's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    pub name: String,
    pub files: u32,
    pub bytes: u64,
}

/// What one service's files take, by their numbers.
#[derive(Debug, Default)]
struct Share {
    files: BTreeMap<u32, u64>,
    bytes: u64,
    removed_files: u32,
    removed_bytes: u64,
}

/// Where all logs in `directory` have more than `max` bytes, removes rotated files until they have somewhat less, so
/// that this is not due again at once, or no rotated file is left. Returns what was removed, and what all have now.
/// The folder is read once, and each file looked at.
///
/// # Errors
/// The folder cannot be read, or a file cannot be removed.
pub fn bound_total(directory: &Path, max: u64) -> io::Result<(Vec<Removed>, u64)> {
    let mut shares = shares(directory)?;
    let mut total: u64 = shares.values().map(|share| share.bytes).sum();
    let goal = match total > max {
        true => max - max / SLACK_DIVISOR,
        false => max,
    };
    while total > goal {
        let has_rotated = |share: &&mut Share| share.files.keys().any(|number| *number > 0);
        let rotated = shares.iter_mut().map(|(name, share)| (share, name));
        let rotated = rotated.filter(|(share, _)| has_rotated(share));
        let Some((share, name)) = rotated.max_by_key(|(share, _)| share.bytes) else {
            break;
        };
        let Some((number, bytes)) = share.files.pop_last() else {
            break;
        };
        rotation::remove_file(&Paths::new(directory, name)?, number)?;
        total -= bytes;
        share.bytes -= bytes;
        share.removed_files += 1;
        share.removed_bytes += bytes;
    }
    let removed = shares
        .into_iter()
        .filter(|(_, share)| share.removed_files > 0);
    let removed = removed.map(|(name, share)| Removed {
        name,
        files: share.removed_files,
        bytes: share.removed_bytes,
    });
    Ok((removed.collect(), total))
}

/// The rotated files of logs that have some beyond a free number, where a writer does not look.
#[derive(Debug, Default)]
pub struct Stranded {
    numbers: BTreeMap<String, BTreeSet<u32>>,
}

impl Stranded {
    /// By one look at the folder, of all logs in it. Files beyond a free number stay where they are, so this holds
    /// until a log is emptied.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(directory: &Path) -> io::Result<Stranded> {
        let mut numbers: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            let file = entry?.file_name();
            if let Some((name, number)) = file.to_str().and_then(parts)
                && number > 0
            {
                numbers.entry(name.to_owned()).or_default().insert(number);
            }
        }
        let is_beyond = |(at, number): (u32, &u32)| *number > at;
        numbers.retain(|_, numbers| (1..).zip(numbers.iter()).any(is_beyond));
        Ok(Stranded { numbers })
    }

    /// Removes what is left of a log that was just emptied; later it would take what was rotated since.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove(&mut self, directory: &Path, name: &str) -> io::Result<()> {
        let Some(numbers) = self.numbers.remove(name) else {
            return Ok(());
        };
        let paths = Paths::new(directory, name)?;
        let mut numbers = numbers.iter().rev();
        numbers.try_for_each(|number| rotation::remove_file(&paths, *number))
    }
}

/// Whether anything of this log is there, rotated files too.
///
/// # Errors
/// The folder cannot be read, or `name` is no file name.
pub fn has_log(directory: &Path, name: &str) -> io::Result<bool> {
    let paths = Paths::new(directory, name)?;
    Ok(paths.has(0) || !paths.list()?.is_empty())
}

/// Of whom there is a log, in the order of their names; rotated files alone are one, an index alone or a
/// folder is none.
///
/// # Errors
/// The folder cannot be read; a missing one has none.
pub fn with_log(directory: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let file = entry.file_name();
        let file = file.to_str().unwrap_or_default();
        if let Some((name, _)) = parts(file)
            && file[name.len()..].starts_with(".log")
            && entry.file_type().is_ok_and(|kind| !kind.is_dir())
        {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

fn shares(directory: &Path) -> io::Result<BTreeMap<String, Share>> {
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(shares),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(file) = entry.file_name().into_string() else {
            continue;
        };
        let Some((name, number)) = parts(&file) else {
            continue;
        };
        // One that a rotation has just moved is counted the next time.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let share = shares.entry(name.to_owned()).or_default();
        *share.files.entry(number).or_default() += metadata.len();
        share.bytes += metadata.len();
    }
    Ok(shares)
}

/// Whose log or index a file of this name is, packed or not; nothing for any other file.
#[must_use]
pub fn service_of(file: &str) -> Option<&str> {
    parts(file).map(|(name, _)| name)
}

/// Whose log or index a file is, and its number.
fn parts(file: &str) -> Option<(&str, u32)> {
    let at = [".log", ".idx"].iter().filter_map(|kind| file.rfind(kind));
    let at = at.max()?;
    let (number, _) = form_of(file.get(at + 4..)?.as_bytes())?;
    Some((file.get(..at)?, number)).filter(|(name, _)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::Folder;
    use super::super::{Limits, Stream, Writer};
    use super::*;

    #[test]
    fn files_tell_whose_they_are() {
        for (file, expected) in [
            ("web.log", Some(("web", 0))),
            ("web.idx.12", Some(("web", 12))),
            ("a.log.log.1", Some(("a.log", 1))),
            ("a@b.idx", Some(("a@b", 0))),
            ("web.log.3.gz", Some(("web", 3))),
            ("web.log.3.zst", Some(("web", 3))),
            ("web.log.gz", None),
            ("web.log.new", None),
            ("web.log.01", None),
            (".log", None),
            ("web", None),
        ] {
            assert_eq!(parts(file), expected, "{file}");
        }
    }

    #[test]
    fn files_beyond_a_free_number_go_too() {
        let folder = Folder::new();
        for name in ["a", "b"] {
            for ending in ["log.1", "log.3", "idx.3", "log.7.gz", "idx.9"] {
                fs::write(folder.path(&format!("{name}.{ending}")), "x").unwrap();
            }
        }
        assert!(has_log(&folder.0, "a").unwrap() && !has_log(&folder.0, "c").unwrap());
        for file in ["c.log.1", "c.log.2"] {
            fs::write(folder.path(file), "x").unwrap();
        }
        let mut stranded = Stranded::list(&folder.0).unwrap();
        // What a writer finds by itself is not listed.
        assert_eq!(stranded.numbers.keys().collect::<Vec<_>>(), ["a", "b"]);
        stranded.remove(&folder.0, "a").unwrap();
        stranded.remove(&folder.0, "c").unwrap();
        for file in ["c.log.1", "c.log.2"] {
            fs::remove_file(folder.path(file)).unwrap();
        }
        assert!(!has_log(&folder.0, "a").unwrap() && has_log(&folder.0, "b").unwrap());
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 5);
        fs::write(folder.path("c.idx"), "x").unwrap();
        fs::create_dir(folder.path("d.log")).unwrap();
        let names = with_log(&folder.0).unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn the_oldest_of_the_greediest_goes_first() {
        let folder = Folder::new();
        let write = |name: &str, files: u32| {
            let limits = Limits {
                max_size: 1000,
                max_files: 100,
            };
            let mut writer = Writer::open(&folder.0, name, limits).unwrap();
            for number in 0..files {
                let line = format!("{number} {}\n", "x".repeat(900));
                writer.append(1, Stream::Out, 1, line.as_bytes());
            }
        };
        write("small", 3);
        write("large", 10);
        let count = |name: &str| {
            let paths = Paths::new(&folder.0, name).unwrap();
            paths.list().unwrap().len()
        };
        let (removed, total) = bound_total(&folder.0, 20_000).unwrap();
        assert_eq!((removed, count("large")), (vec![], 10));
        let (removed, left) = bound_total(&folder.0, total - 1).unwrap();
        assert_eq!(removed.len(), 1);
        assert_eq!((removed[0].name.as_str(), removed[0].files), ("large", 1));
        assert_eq!(left, total - removed[0].bytes);
        assert!(!folder.path("large.log.9").exists() && !folder.path("large.idx.9").exists());
        assert!(folder.path("large.log.8").exists());
        bound_total(&folder.0, 5500).unwrap();
        assert_eq!((count("small"), count("large")), (2, 3));
        // Nobody loses the file that is written.
        let (_, left) = bound_total(&folder.0, 0).unwrap();
        assert_eq!((count("small"), count("large")), (1, 1));
        assert!(left > 1800);
        // And who writes goes on.
        write("large", 2);
        assert_eq!(count("large"), 3);
    }
}
