//! The log as a whole: a writer and readers on a folder of their own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod faults;
mod following;
mod packing;
mod processes;
mod rotating;
mod seeking;
mod tending;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Appended, Content, Entry, Filter, Limits, Mode, Reader, Start, Stream, Writer};

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A folder that goes with the test.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> Folder {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("diakonos-log-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn writer(&self, max_size: u64, max_files: u32) -> Writer {
        Writer::open(
            &self.0,
            "web",
            Limits {
                max_size,
                max_files,
            },
        )
        .unwrap()
    }

    fn reader(&self, start: Start, mode: Mode, filter: Filter) -> Reader {
        Reader::open(&self.0, "web", start, mode, filter).unwrap()
    }

    /// All entries that there are.
    fn entries(&self) -> Vec<Entry> {
        drain(&mut self.reader(Start::Oldest, Mode::Once, Filter::default()))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The bytes of all files, the oldest first.
    fn bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for number in (1..1000).rev() {
            all.extend(fs::read(self.path(&format!("web.log.{number}"))).unwrap_or_default());
        }
        all.extend(fs::read(self.path("web.log")).unwrap_or_default());
        all
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Numbers that look random, the same for the same seed.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn drain(reader: &mut Reader) -> Vec<Entry> {
    std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
}

fn text(entry: &Entry) -> Option<String> {
    match &entry.content {
        Content::Line { bytes, .. } | Content::Notice { bytes } => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        Content::Mark(_) => None,
    }
}

fn texts(entries: &[Entry]) -> Vec<String> {
    entries.iter().filter_map(text).collect()
}

fn append(writer: &mut Writer, now_ms: u64, bytes: &str) {
    assert_eq!(
        writer.append(now_ms, Stream::Out, 1, bytes.as_bytes()),
        Appended::Written
    );
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}
