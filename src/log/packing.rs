//! Old files, packed: `NAME.log.3.gz`, `NAME.log.3.zst`. The index beside one stays as it is, and keeps telling of the
//! bytes that were packed.
//!
//! Owns which program packs and unpacks, and the steps by which a packed file takes the place of a plain one: it is
//! made whole under another name, is written out to the disk, takes its own name, and only then the plain one goes.
//! Where both are there the plain one counts. Does not start what packs, nor what writes out: that takes long, and is
//! the daemon's to wait for. Unpacking is for clients; it blocks.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sys::files;

use super::paths::{Paths, exists};

const FILE_MODE: u32 = 0o600;
/// The youngest rotated file that is packed: the one before is still asked for often.
const FIRST_PACKED: u32 = 2;
/// What is shown of what a program complains of, in bytes.
const WORDS_MAX: usize = 200;

/// How old files are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Gzip,
    Zstd,
}

pub(super) const PACKINGS: [Packing; 2] = [Packing::Gzip, Packing::Zstd];

impl Packing {
    /// The program that packs what it reads on standard input.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Its arguments: it packs standard input to standard output.
    #[must_use]
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Gzip => &["-c"],
            Self::Zstd => &["-q", "-c"],
        }
    }

    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

/// A rotated file that is being packed.
#[derive(Debug)]
pub struct Pack {
    paths: Paths,
    packing: Packing,
    /// What the plain file had when this was begun; rotations move it up.
    number: u32,
    plain: File,
    packed: File,
}

impl Pack {
    /// Opens the oldest file of service `name` in `directory` that is due to be packed, and an empty one for what comes
    /// of it; nothing when none is due. Files are looked for by number, up to the first that is missing: the folder is
    /// not read, which may have many others. One without an index stays plain, since its readers could not tell that
    /// both are the same.
    ///
    /// # Errors
    /// The files cannot be opened.
    pub fn begin(directory: &Path, name: &str, packing: Packing) -> io::Result<Option<Pack>> {
        let paths = Paths::new(directory, name)?;
        let is_due = |number: &u32| exists(&paths.log(*number)) && exists(&paths.index(*number));
        let numbers = (FIRST_PACKED..).take_while(|number| paths.has(*number));
        let Some(number) = numbers.filter(is_due).last() else {
            return Ok(None);
        };
        let plain = File::open(paths.log(number))?;
        // Whoever packed before and was killed, or was not and packs on, has another file.
        let unfinished = paths.unfinished();
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(FILE_MODE);
        let packed = options.open(unfinished)?;
        Ok(Some(Pack {
            paths,
            packing,
            number,
            plain,
            packed,
        }))
    }

    /// What the program reads.
    #[must_use]
    pub fn input(&self) -> BorrowedFd<'_> {
        self.plain.as_fd()
    }

    /// Where the program writes to.
    #[must_use]
    pub fn output(&self) -> BorrowedFd<'_> {
        self.packed.as_fd()
    }

    /// The program has ended well, and what it wrote is on the disk, so that no power cut takes both: its file takes
    /// the place of the plain one, wherever that was moved meanwhile.
    ///
    /// # Errors
    /// A file cannot be renamed or removed; the plain one is there still.
    pub fn finish(self) -> io::Result<()> {
        let plain = self.plain.metadata()?;
        let is_it = |number: u32| {
            let found = fs::metadata(self.paths.log(number));
            found.is_ok_and(|found| (found.dev(), found.ino()) == (plain.dev(), plain.ino()))
        };
        let is_near = |number: &u32| *number == self.number || self.paths.has(*number);
        let mut numbers = (self.number..).take_while(is_near);
        let number = numbers.find(|number| is_it(*number));
        let Some(number) = number.filter(|_| self.packed.metadata().is_ok_and(|it| it.len() > 0))
        else {
            // It was removed, since it was the oldest.
            self.give_up();
            return Ok(());
        };
        // Readers tell by it in which order files were written.
        self.packed.set_modified(plain.modified()?)?;
        let packed = self.paths.packed(number, self.packing);
        fs::rename(self.paths.unfinished(), packed)?;
        fs::remove_file(self.paths.log(number))
    }

    /// The plain file stays.
    pub fn give_up(self) {
        // One that cannot be removed is when the next one is begun.
        let _ = fs::remove_file(self.paths.unfinished());
    }
}

/// Unpacks a file into one without a name, which is gone once it is closed.
pub(super) fn unpack(path: &Path, packed: &File, packing: Packing) -> io::Result<File> {
    let failed = |kind: io::ErrorKind, reason: String| {
        io::Error::new(kind, format!("{}: {reason}", path.display()))
    };
    let unpacked = nameless()?;
    let mut command = Command::new(packing.program());
    let program = command
        .args(["-q", "-d", "-c"])
        .stdin(files::reopen(packed.as_fd())?);
    let program = program.stdout(unpacked.try_clone()?).stderr(Stdio::piped());
    let output = program
        .spawn()
        .and_then(std::process::Child::wait_with_output);
    let output = output.map_err(|error| {
        let (program, reason) = (packing.program(), crate::sys::process::error_text(&error));
        failed(
            error.kind(),
            format!("{program} is needed to read it: {reason}"),
        )
    })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let words: Vec<&str> = words.split_whitespace().collect();
        let words: String = words.join(" ").chars().take(WORDS_MAX).collect();
        return Err(failed(io::ErrorKind::InvalidData, words));
    }
    Ok(unpacked)
}

fn nameless() -> io::Result<File> {
    let folders = [std::env::temp_dir(), PathBuf::from("/var/tmp")];
    let mut last = io::ErrorKind::NotFound.into();
    for folder in folders {
        match files::nameless(&folder) {
            Ok(file) => return Ok(file),
            Err(error) => last = error,
        }
    }
    Err(last)
}
