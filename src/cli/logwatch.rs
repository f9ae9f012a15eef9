//! Waiting for logs to change, told by the kernel.
//!
//! Owns the watch of the folder, also when it is removed and made anew, and the notice that nobody reads any more what
//! is printed. Does not own reading.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::newcomers::Newcomers;
use crate::log;
use crate::sys::clock::{monotonic_ms, wall_ms};
use crate::sys::inotify::{Event, Inotify, Watch, WatchId};
use crate::sys::poll::{self, Heard};

/// Changes of the folder that are read at once.
const EVENT_BYTES: usize = 4096;
/// The folder of logs, when it has to be made.
const DIRECTORY_MODE: u32 = 0o700;

/// Waits until logs may have changed.
pub(super) trait Wait {
    /// # Errors
    /// The wait is impossible.
    fn wait(&mut self) -> io::Result<Waited>;

    /// The services whose logs have begun since the last call; their places are the next ones.
    fn take_begun(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// Why a wait is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Changed(Changes),
    /// It is time to look for what no file tells of.
    Due,
    /// Nobody wants more.
    Ended,
}

/// Which logs may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    Nothing,
    /// Those at these places of the list.
    Of(Vec<usize>),
    All,
}

/// When it is time for the next look.
#[derive(Clone, Copy, Debug)]
struct Looks {
    /// From one to the next, milliseconds.
    every_ms: u64,
    /// On the monotonic clock.
    next_ms: u64,
}

impl Looks {
    fn from_now(every_ms: u64) -> Self {
        let next_ms = monotonic_ms().saturating_add(every_ms);
        Self { every_ms, next_ms }
    }

    fn rest_ms(self) -> u64 {
        self.next_ms.saturating_sub(monotonic_ms())
    }
}

/// Watches a folder of logs.
#[derive(Debug)]
pub(super) struct LogWatch {
    inotify: Inotify,
    directory: PathBuf,
    /// Of the folder that this folder is in: as long as somebody has a file of a removed folder open, the kernel does
    /// not tell of its end, but of the new one in its place.
    around: Option<WatchId>,
    names: Vec<String>,
    until_ms: Option<u64>,
    newcomers: Option<Newcomers>,
    looks: Option<Looks>,
    /// So many at the end of `names` were not told of yet.
    begun: usize,
}

impl LogWatch {
    /// Begins to watch the logs of `names` in `directory`, which is made when it is missing: a service may log for
    /// the first time later.
    ///
    /// # Errors
    /// The folder cannot be made or watched.
    pub(super) fn begin(directory: &Path, names: &[String]) -> io::Result<LogWatch> {
        let watch = LogWatch {
            inotify: Inotify::new()?,
            directory: directory.to_owned(),
            around: None,
            names: names.to_vec(),
            until_ms: None,
            newcomers: None,
            looks: None,
            begun: 0,
        };
        watch.look_there()?;
        let parent = directory.parent();
        // Without it only a removal of the folder goes unseen.
        let around = parent.and_then(|parent| watch.inotify.watch(parent, Watch::Created).ok());
        Ok(LogWatch { around, ..watch })
    }

    /// The same, and the wait ends at this time, unix milliseconds.
    #[must_use]
    pub(super) fn until(self, until_ms: Option<u64>) -> Self {
        Self { until_ms, ..self }
    }

    /// The same, and the wait is interrupted every so many milliseconds, whether or not something changes.
    #[must_use]
    pub(super) fn looking_every(self, every_ms: u64) -> Self {
        let looks = Some(Looks::from_now(every_ms));
        Self { looks, ..self }
    }

    /// The same, and services that match and have no log yet are taken in.
    #[must_use]
    pub(super) fn with(self, newcomers: Option<Newcomers>) -> Self {
        let mut watch = Self { newcomers, ..self };
        watch.find_begun();
        watch
    }

    /// Looks through the folder.
    fn find_begun(&mut self) {
        let newcomers = self.newcomers.as_ref();
        let there = newcomers.map_or_else(Vec::new, |new| new.there(&self.directory));
        for name in there {
            if !self.names.contains(&name) {
                self.names.push(name);
                self.begun += 1;
            }
        }
    }

    fn look_there(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(&self.directory)?;
        // A rotation needs no watch of its own: the first write to the new file tells of it.
        self.inotify.watch(&self.directory, Watch::Modified)?;
        Ok(())
    }

    /// Takes in what the descriptor tells, for callers that wait for other things too.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(super) fn take_changes(&mut self) -> io::Result<Changes> {
        let mut buffer = [0; EVENT_BYTES];
        let mut places = Vec::new();
        let mut is_all = false;
        loop {
            let events = self.inotify.read(&mut buffer)?;
            if events.is_empty() {
                break;
            }
            for event in events {
                if self.is_begun_again(&event) {
                    self.look_there()?;
                    is_all = true;
                } else if Some(event.watch) != self.around {
                    // What is no text is no file of ours.
                    let name = event.name.as_ref();
                    let place = name.map(|name| {
                        let known = name.to_str().and_then(|name| self.place(name));
                        known.or_else(|| self.begin_of(name.as_bytes()))
                    });
                    match place {
                        Some(Some(place)) if !places.contains(&place) => places.push(place),
                        Some(_) => {}
                        None => is_all = true,
                    }
                }
            }
        }
        if is_all {
            self.find_begun();
        }
        Ok(match (is_all, places.is_empty()) {
            (true, _) => Changes::All,
            (false, true) => Changes::Nothing,
            (false, false) => Changes::Of(places),
        })
    }

    fn due(&mut self) -> Waited {
        self.looks = self.looks.map(|looks| Looks::from_now(looks.every_ms));
        Waited::Due
    }

    /// Whether the folder was removed, or is there again.
    fn is_begun_again(&self, event: &Event) -> bool {
        match Some(event.watch) == self.around {
            true => event.name.as_deref() == self.directory.file_name(),
            false => event.gone,
        }
    }

    /// The place of a service that is wanted and not known yet.
    fn begin_of(&mut self, file: &[u8]) -> Option<usize> {
        let name = self.newcomers.as_ref()?.of_file(file)?;
        self.names.push(name);
        self.begun += 1;
        self.names.len().checked_sub(1)
    }

    /// Whose file it is.
    fn place(&self, file: &str) -> Option<usize> {
        let service = log::service_of(file)?;
        self.names.iter().position(|name| name == service)
    }
}

impl AsFd for LogWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl Wait for LogWatch {
    fn take_begun(&mut self) -> Vec<String> {
        let told = self.names.len() - std::mem::take(&mut self.begun);
        self.names[told..].to_vec()
    }

    fn wait(&mut self) -> io::Result<Waited> {
        let out = io::stdout();
        loop {
            let until = |until_ms: u64| until_ms.saturating_sub(wall_ms());
            let rest_ms = self.until_ms.map(until);
            let look_ms = self.looks.map(Looks::rest_ms);
            let look_ms =
                look_ms.filter(|look_ms| rest_ms.is_none_or(|rest_ms| *look_ms < rest_ms));
            if look_ms == Some(0) {
                return Ok(self.due());
            }
            let rest_ms = look_ms.or(rest_ms);
            match poll::wait_readable_while_heard(self.inotify.as_fd(), out.as_fd(), rest_ms)? {
                Heard::Data => match self.take_changes()? {
                    Changes::Nothing => {}
                    changes => return Ok(Waited::Changed(changes)),
                },
                Heard::Nothing if look_ms.is_some() => return Ok(self.due()),
                Heard::Nobody | Heard::Nothing => return Ok(Waited::Ended),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::log::{Limits, Stream, Writer};
    use crate::sys::testing::alone;

    const LIMITS: Limits = Limits {
        max_size: 200,
        max_files: 5,
    };

    fn say(folder: &Path, name: &str) {
        let mut writer = Writer::open(folder, name, LIMITS).unwrap();
        writer.append(1, Stream::Out, 1, b"said\n");
    }

    #[test]
    fn only_changes_of_these_services_count() {
        alone(
            "cli::logwatch::tests::only_changes_of_these_services_count",
            || {
                let name = format!("diakonos-watch-{}", std::process::id());
                let folder = std::env::temp_dir().join(name);
                let names = ["web".to_owned(), "db".to_owned()];
                let mut watch = LogWatch::begin(&folder, &names).unwrap();
                for other in ["web2", "web.log", "web.log.1"] {
                    say(&folder, other);
                    assert_eq!(watch.take_changes().unwrap(), Changes::Nothing, "{other}");
                }
                say(&folder, "db");
                assert_eq!(watch.take_changes().unwrap(), Changes::Of(vec![1]));
                assert_eq!(watch.take_changes().unwrap(), Changes::Nothing);
                // A folder that is removed and made again is watched again, also where a file of it is still open.
                let open = fs::File::open(folder.join("db.log")).unwrap();
                fs::remove_dir_all(&folder).unwrap();
                assert_eq!(watch.take_changes().unwrap(), Changes::Nothing);
                fs::create_dir(&folder).unwrap();
                assert_eq!(watch.take_changes().unwrap(), Changes::All);
                // Now the kernel tells of the old one's end too.
                drop(open);
                watch.take_changes().unwrap();
                say(&folder, "web");
                assert_eq!(watch.take_changes().unwrap(), Changes::Of(vec![0]));
                // Also where there is always something to be read.
                let mut watch = watch.looking_every(0);
                say(&folder, "web");
                assert_eq!(watch.wait().unwrap(), Waited::Due);
                let mut watch = watch.looking_every(u64::MAX);
                assert_eq!(watch.wait().unwrap(), Waited::Changed(Changes::Of(vec![0])));
                let mut watch = watch.looking_every(1);
                assert_eq!(watch.wait().unwrap(), Waited::Due);
                let mut watch = watch.until(Some(0));
                assert_eq!(watch.wait().unwrap(), Waited::Ended);
                fs::remove_dir_all(&folder).unwrap();
            },
        );
    }
}
