//! The record of events, read by the client itself: all that is kept of it, or what comes.
//!
//! Owns finding whole lines in two files, one of which may take the other's place at any moment. What the daemon was
//! killed at in the midst of a line is no line. Showing them is `render/events.rs`'s, what follows from them `why`'s.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure};
use crate::daemon::Home;
use crate::sys::inotify::{Inotify, Watch};
use crate::sys::poll;
use crate::sys::process::error_text;
use crate::wire::record::{Entry, LINE_MAX, What, decode_entry};

/// Bytes of one read.
const CHUNK: usize = 256 << 10;
/// Bytes of one read of news about the folder.
const EVENT_BYTES: usize = 4096;
/// The folder, when it has to be made.
const DIRECTORY_MODE: u32 = 0o700;

/// One entry and the line that it stands in.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) entry: Entry,
    pub(super) line: String,
    /// The daemon before, where it ended without saying so and this is the beginning of the next one.
    pub(super) died: Option<u32>,
}

/// A place in the record.
#[derive(Debug)]
pub(super) struct Reader {
    /// The file that is written to, and the one before.
    paths: [PathBuf; 2],
    now: Option<Open>,
    /// The number of the youngest entry that was read.
    last: u64,
    /// The daemon that has begun last and did not end.
    serving: Option<u32>,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: u64,
    /// Where the next line begins.
    offset: u64,
}

impl Reader {
    pub(super) fn new(home: &Home) -> Self {
        Self {
            paths: home.record(),
            now: None,
            last: 0,
            serving: None,
        }
    }

    /// Hands over every entry that has come since the last call; the first call, all that there are.
    pub(super) fn read(&mut self, take: &mut dyn FnMut(Read)) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            let reason = error_text(&error);
            Failure::new(
                Exit::Failed,
                format!("the record of events cannot be read: {reason}"),
            )
        };
        if self.now.is_none() {
            // Opened first, so that it is not lost if it takes the other's place meanwhile.
            let newest = open(&self.paths[0]).map_err(failed)?;
            if let Some(mut before) = open(&self.paths[1]).map_err(failed)? {
                self.drain(&mut before, take).map_err(failed)?;
            }
            self.now = newest;
        }
        let Some(mut now) = self.now.take() else {
            return Ok(());
        };
        loop {
            self.drain(&mut now, take).map_err(failed)?;
            let newest = open(&self.paths[0]).map_err(failed)?;
            let next = newest.filter(|newest| newest.inode != now.inode);
            // What was written before it lost its place is there by now.
            self.drain(&mut now, take).map_err(failed)?;
            match next {
                Some(next) => now = next,
                None => break,
            }
        }
        self.now = Some(now);
        Ok(())
    }

    /// Follows who serves; the answer: whom this entry shows to have died.
    fn note_daemon(&mut self, entry: &Entry) -> Option<u32> {
        let What::Daemon(stage) = &entry.what else {
            return None;
        };
        match stage.stage.as_str() {
            "began" => self.serving.replace(stage.pid),
            // The same process, as another program.
            "upgraded" => {
                self.serving = Some(stage.pid);
                None
            }
            _ => {
                self.serving = None;
                None
            }
        }
    }

    /// Every whole line from where the last one ended.
    fn drain(&mut self, open: &mut Open, take: &mut dyn FnMut(Read)) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = open.file.read_at(&mut buffer, open.offset)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
                if count > LINE_MAX {
                    // No line of ours is so long.
                    open.offset += u64::try_from(count).unwrap_or(u64::MAX);
                    continue;
                }
                return Ok(());
            };
            open.offset += u64::try_from(end + 1).unwrap_or(u64::MAX);
            let whole = bytes.get(..end).unwrap_or_default();
            for line in whole.split(|byte| *byte == b'\n') {
                // A line of a newer version's is passed over.
                let Ok(entry) = decode_entry(line) else {
                    continue;
                };
                if entry.id > self.last {
                    self.last = entry.id;
                    let line = String::from_utf8_lossy(line).into_owned();
                    let died = self.note_daemon(&entry);
                    take(Read { entry, line, died });
                }
            }
        }
    }
}

fn open(path: &Path) -> io::Result<Option<Open>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let inode = file.metadata()?.ino();
    let offset = 0;
    Ok(Some(Open {
        file,
        inode,
        offset,
    }))
}

/// All that is kept.
pub(super) fn all(home: &Home) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    Reader::new(home).read(&mut |read| entries.push(read.entry))?;
    Ok(entries)
}

/// Waits for news of a home's record.
pub(super) struct News(Inotify);

impl News {
    /// Begins to watch; the folder is made when it is missing, since the daemon may come later.
    pub(super) fn watch(home: &Home) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            let reason = error_text(&error);
            Failure::new(
                Exit::Failed,
                format!("the record of events cannot be watched: {reason}"),
            )
        };
        let [newest, _] = home.record();
        let folder = newest.parent().unwrap_or_else(|| home.root());
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(DIRECTORY_MODE).create(folder);
        made.map_err(failed)?;
        let inotify = Inotify::new().map_err(failed)?;
        inotify.watch(folder, Watch::Modified).map_err(failed)?;
        Ok(Self(inotify))
    }

    pub(super) fn wait(&self) -> Result<(), Failure> {
        use std::os::fd::AsFd as _;
        let failed = |error: io::Error| {
            let reason = error_text(&error);
            Failure::new(Exit::Failed, format!("cannot wait for events: {reason}"))
        };
        poll::wait_readable(&[self.0.as_fd()], None).map_err(failed)?;
        while !self
            .0
            .read(&mut [0; EVENT_BYTES])
            .map_err(failed)?
            .is_empty()
        {}
        Ok(())
    }
}

impl Read {
    /// Whether a unit of this name is in it.
    pub(super) fn is_of(&self, name: &str) -> bool {
        match &self.entry.what {
            What::Change(change) => change.unit == name,
            What::Request(asked) => asked.units.iter().any(|unit| unit == name),
            What::Daemon(_) => false,
        }
    }

    /// Whether it is about one of these units.
    pub(super) fn is_about(&self, is_meant: &dyn Fn(&str) -> bool) -> bool {
        match &self.entry.what {
            What::Change(change) => is_meant(&change.unit),
            What::Request(asked) => asked.units.iter().any(|unit| is_meant(unit)),
            What::Daemon(_) => true,
        }
    }
}
