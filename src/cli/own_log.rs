//! `logs --daemon`: what the daemon and its guardian say themselves, once or followed.
//!
//! Owns finding the lines over rotations, and which of them are wanted. A line begins with its time, RFC 3339 in UTC,
//! so that times compare as texts; one without (a crash is told so) belongs to the line before. No daemon is asked.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::json::Json;
use super::logjson;
use super::logwatch::{LogWatch, Wait as _, Waited};
use super::text::{clean, timestamp};
use crate::daemon::{Home, own_log, settings};
use crate::log::{Level, PlainLog};

/// What [`timestamp`] writes, in bytes.
const STAMP_BYTES: usize = 24;
/// Times that a listing of files is tried again when a rotation comes between.
const TRIES: u32 = 100;

/// Whether a text of this level is wanted.
pub(super) type Sought<'a> = &'a dyn Fn(Level, &[u8]) -> bool;

/// Which lines are wanted.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    /// The last so many of those that the rest lets through; `None`: all.
    pub(super) last: Option<u64>,
    /// Unix milliseconds, both inclusive.
    pub(super) since_ms: Option<u64>,
    pub(super) until_ms: Option<u64>,
    pub(super) text: Option<Sought<'a>>,
}

/// A line, with what it is taken to say of itself; one that does not is as the line before.
pub(super) struct Said {
    line: Vec<u8>,
    stamp: Option<[u8; STAMP_BYTES]>,
    level: Level,
}

impl Said {
    /// As it may be printed.
    pub(super) fn text(&self) -> String {
        clean(&String::from_utf8_lossy(&self.line))
    }

    pub(super) fn object(&self) -> Json {
        let (_, said) = split_stamp(&self.line);
        let head = own_level(said);
        let said = head.map_or(said, |(_, rest)| rest);
        let time = self
            .stamp
            .as_ref()
            .map(|stamp| String::from_utf8_lossy(stamp));
        logjson::own(time.as_deref(), self.level, said)
    }
}

/// Gives lines to `take`; those that are there, and then, where it `follows`, those that come.
///
/// # Errors
/// A file cannot be read; what `take` returns.
pub(super) fn show(
    home: &Home,
    wanted: &Wanted<'_>,
    follows: bool,
    take: &mut dyn FnMut(&Said) -> io::Result<()>,
) -> io::Result<()> {
    // Where the settings are wrong, the files are where they are all the same.
    let log = own_log(home, &settings(home).unwrap_or_default());
    // Begun before the reading, so that nothing is missed.
    let watch = follows.then(|| watch(log.path())).transpose()?;
    let mut sieve = Sieve::new(wanted);
    let mut place = Place::new(log);
    let mut kept = VecDeque::new();
    let last = wanted
        .last
        .map(|last| usize::try_from(last).unwrap_or(usize::MAX));
    place.read(&mut |line| {
        if sieve.lets_through(line) {
            kept.push_back(sieve.said(line));
        }
        if last.is_some_and(|last| kept.len() > last) {
            kept.pop_front();
        }
        Ok(())
    })?;
    for line in kept {
        take(&line)?;
    }
    let Some(mut watch) = watch.map(|watch| watch.until(wanted.until_ms)) else {
        return Ok(());
    };
    loop {
        let waited = watch.wait()?;
        place.read(&mut |line| match sieve.lets_through(line) {
            true => take(&sieve.said(line)),
            false => Ok(()),
        })?;
        if waited == Waited::Ended {
            return Ok(());
        }
    }
}

fn watch(path: &Path) -> io::Result<LogWatch> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(Path::new("/"));
    LogWatch::begin(folder, &[stem.into_owned()])
}

/// The time at a line's head, and what comes after it.
fn split_stamp(line: &[u8]) -> (Option<[u8; STAMP_BYTES]>, &[u8]) {
    match line.split_first_chunk() {
        Some((stamp, said)) if is_stamp(stamp) => (Some(*stamp), said),
        _ => (None, line),
    }
}

/// The level that stands there after the time, and what comes after it.
fn own_level(said: &[u8]) -> Option<(Level, &[u8])> {
    let levels = [
        ("[ERROR]", Level::Error),
        ("[WARN]", Level::Warning),
        ("[INFO]", Level::Info),
        ("[DEBUG]", Level::Debug),
        ("[TRACE]", Level::Debug),
    ];
    let head = said.trim_ascii_start();
    let mut levels = levels.into_iter();
    levels.find_map(|(word, level)| {
        let rest = head.strip_prefix(word.as_bytes())?;
        Some((level, rest.strip_prefix(b" ").unwrap_or(rest)))
    })
}

/// The bounds on time and text.
struct Sieve<'a> {
    since: Option<String>,
    until: Option<String>,
    text: Option<Sought<'a>>,
    /// Whether the last line with a time was within the bounds.
    is_within: bool,
    /// What the last line had that has one.
    stamp: Option<[u8; STAMP_BYTES]>,
    level: Level,
}

impl<'a> Sieve<'a> {
    fn new(wanted: &Wanted<'a>) -> Self {
        Self {
            since: wanted.since_ms.map(timestamp),
            until: wanted.until_ms.map(timestamp),
            text: wanted.text,
            is_within: wanted.since_ms.is_none(),
            stamp: None,
            level: Level::Info,
        }
    }

    fn lets_through(&mut self, line: &[u8]) -> bool {
        let (stamp, said) = split_stamp(line);
        if let Some(stamp) = stamp {
            self.stamp = Some(stamp);
            let is_after = self
                .since
                .as_ref()
                .is_none_or(|since| stamp[..] >= *since.as_bytes());
            let is_before = self
                .until
                .as_ref()
                .is_none_or(|until| stamp[..] <= *until.as_bytes());
            self.is_within = is_after && is_before;
        }
        if let Some((level, _)) = own_level(said) {
            self.level = level;
        }
        self.is_within && self.text.is_none_or(|text| text(self.level, said))
    }

    /// The line that was looked at last.
    fn said(&self, line: &[u8]) -> Said {
        Said {
            line: line.to_vec(),
            stamp: self.stamp,
            level: self.level,
        }
    }
}

/// Whether a line's head is a time as [`timestamp`] writes it.
fn is_stamp(head: &[u8]) -> bool {
    let form = b"0000-00-00T00:00:00.000Z";
    head.len() == form.len()
        && head.iter().zip(form).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == form,
        })
}

/// How far the log was read.
struct Place {
    log: PlainLog,
    held: Option<File>,
    /// What has come of a line that is not finished.
    begun: Vec<u8>,
}

impl Place {
    fn new(log: PlainLog) -> Self {
        Self {
            log,
            held: None,
            begun: Vec::new(),
        }
    }

    /// Gives every whole line that has come since the last call; the first call, all that there are.
    fn read(&mut self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        loop {
            self.drain(take)?;
            let Some(next) = self.next()? else {
                return Ok(());
            };
            // What was written before it was left is there by now.
            self.drain(take)?;
            if !self.begun.is_empty() {
                take(&std::mem::take(&mut self.begun))?;
            }
            self.held = Some(next);
        }
    }

    fn drain(&mut self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let Some(held) = &mut self.held else {
            return Ok(());
        };
        held.read_to_end(&mut self.begun)?;
        let end = self.begun.iter().rposition(|byte| *byte == b'\n');
        let Some(end) = end else { return Ok(()) };
        let rest = self.begun.split_off(end + 1);
        let whole = std::mem::replace(&mut self.begun, rest);
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            take(line.strip_suffix(b"\n").unwrap_or(line))?;
        }
        Ok(())
    }

    /// The file that was begun after the one that is held; the oldest, if none is held or that one is removed.
    fn next(&self) -> io::Result<Option<File>> {
        let held = self.held.as_ref().map(File::metadata).transpose()?;
        let held = held.map(|held| held.ino());
        for _ in 0..TRIES {
            let files = self.log.files()?;
            let inode = |path| fs::metadata(path).map(|file| file.ino()).ok();
            let inodes: Vec<Option<u64>> = files.iter().map(inode).collect();
            let at = inodes
                .iter()
                .position(|inode| inode.is_some() && *inode == held);
            let at = at.map_or(0, |at| at + 1);
            let Some(path) = files.get(at) else {
                return Ok(None);
            };
            // A rotation meanwhile has given the name to another file.
            match File::open(path) {
                Ok(file) if Some(file.metadata()?.ino()) == inodes[at] => return Ok(Some(file)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write as _;

    use super::*;
    use crate::log::Limits;

    #[test]
    fn lines_are_chosen_by_time_and_text() {
        let is_web = |_: Level, line: &[u8]| line.windows(3).any(|three| three == b"web");
        let wanted = Wanted {
            since_ms: Some(1_795_300_813_007),
            until_ms: Some(1_795_300_814_000),
            text: Some(&is_web),
            ..Wanted::default()
        };
        let mut sieve = Sieve::new(&wanted);
        for (line, expected) in [
            ("web: a crash before", false),
            ("2026-11-21T22:40:13.006Z [INFO] web: too early", false),
            ("web: told with the line before", false),
            ("2026-11-21T22:40:13.007Z [INFO] web: now", true),
            ("2026-11-21T22:40:13.500Z [INFO] db: another", false),
            ("  a backtrace of web", true),
            ("2026-11-21T22:40:14.001Z [INFO] web: too late", false),
        ] {
            assert_eq!(sieve.lets_through(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_line_is_an_object() {
        let wanted = Wanted::default();
        let mut sieve = Sieve::new(&wanted);
        let mut object = |line: &[u8]| {
            assert!(sieve.lets_through(line));
            sieve.said(line).object().line()
        };
        let told = "{\"time\":null,\"priority\":6,\"message\":\"cut off\"}\n";
        assert_eq!(object(b"cut off"), told);
        let time = "{\"time\":\"2026-11-21T22:40:13.007Z\",\"priority\":";
        let told = format!("{time}4,\"message\":\" web: a \\\"b\\\"\"}}\n");
        assert_eq!(
            object(b"2026-11-21T22:40:13.007Z [WARN]  web: a \"b\""),
            told
        );
        // What names neither goes on with what was said before.
        let told = format!("{time}4,\"message\":\"  \u{fffd}\",\"bytes\":\"ICD/\"}}\n");
        assert_eq!(object(b"  \xff"), told);
        let told = format!("{time}3,\"message\":\"no\"}}\n");
        assert_eq!(object(b"2026-11-21T22:40:13.007Z [ERROR] no"), told);
    }

    #[test]
    fn every_line_is_read_once_over_rotations() {
        let folder = std::env::temp_dir().join(format!("diakonos-own-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let limits = Limits {
            max_size: 60,
            max_files: 100,
        };
        let log = PlainLog::new(folder.join("daemon.log"), limits);
        let mut place = Place::new(log.clone());
        let mut read = Vec::new();
        let mut held = log.open().unwrap();
        let mut expected = Vec::new();
        for number in 0..100 {
            let line = format!("number {number}");
            if let Some(next) = log.turn(&held, line.len() + 1).unwrap() {
                held = next;
            }
            writeln!(held, "{line}").unwrap();
            expected.push(line);
            if number % 13 == 0 {
                let mut take = |line: &[u8]| {
                    read.push(String::from_utf8_lossy(line).into_owned());
                    Ok(())
                };
                place.read(&mut take).unwrap();
            }
        }
        let mut take = |line: &[u8]| {
            read.push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        };
        place.read(&mut take).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(read, expected);
    }
}
