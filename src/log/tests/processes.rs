//! A writer in a process of its own: read while it writes, and killed in the midst of it.

use std::process::{Child, Command, Stdio};

use super::super::{Ending, Mark, Marked};
use super::*;
use crate::log::index::{self, Record};

/// Set in the child process of the tests here.
const CHILD_FOLDER: &str = "DIAKONOS_TEST_WRITER_FOLDER";
const LINES: u64 = 20_000;
const LIMITS: Limits = Limits {
    max_size: 40_000,
    max_files: 200,
};

/// A process that is killed and reaped with its test.
struct Process(Child);

impl Process {
    /// Starts [`a_writer_child`] on the folder.
    fn writer(folder: &Folder) -> Process {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "log::tests::processes::a_writer_child"])
            .env(CHILD_FOLDER, &folder.0)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }

    fn is_done(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    texts(entries)
        .iter()
        .map(|text| text.parse().unwrap())
        .collect()
}

#[test]
fn a_successor_learns_which_marks_of_a_run_there_are() {
    let folder = Folder::new();
    let marked = |run| super::super::marked(&folder.0, "web", run).unwrap();
    assert_eq!(marked(7), Marked::Nothing);
    let mut writer = folder.writer(200, 3);
    writer.mark(1, 7, Mark::Begin { pid: 99 });
    assert_eq!((marked(7), marked(8)), (Marked::Begun, Marked::Nothing));
    writer.append(2, Stream::Out, 7, b"a line\n");
    assert_eq!(marked(7), Marked::Begun);
    // The newest file may have no record yet.
    for _ in 0..40 {
        writer.append(3, Stream::Out, 7, b"one of many lines\n");
        assert_eq!(marked(7), Marked::Begun);
    }
    writer.mark(4, 7, Mark::End(Ending::Exited { code: 1 }));
    assert_eq!((marked(7), marked(8)), (Marked::Ended, Marked::Nothing));
    writer.mark(5, 8, Mark::Begin { pid: 100 });
    assert_eq!((marked(7), marked(8)), (Marked::Ended, Marked::Begun));
}

#[test]
fn a_writer_child() {
    let Some(path) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let mut writer = Writer::open(Path::new(&path), "web", LIMITS).unwrap();
    let mut seeded = Seeded(5);
    let mut number = 1_000_000;
    while number < 1_000_000 + LINES {
        let mut batch = String::new();
        for _ in 0..=seeded.below(60) {
            batch.push_str(&format!("{number}\n"));
            number += 1;
        }
        // In two parts, so that readers meet unfinished lines.
        let (first, second) = batch.split_at(batch.len() / 2 + 3);
        for part in [first, second] {
            writer.append(number, Stream::Out, 1, part.as_bytes());
        }
    }
}

#[test]
fn reading_beside_a_writer_sees_every_line_once() {
    let folder = Folder::new();
    let mut follower = folder.reader(Start::Oldest, Mode::Follow, Filter::default());
    let mut process = Process::writer(&folder);
    let mut next = 1_000_000;
    loop {
        let is_done = process.is_done();
        follower.changed();
        for number in numbers(&drain(&mut follower)) {
            assert_eq!(number, next);
            next += 1;
        }
        let mut reader = folder.reader(Start::Last(100), Mode::Follow, Filter::default());
        let mut last = numbers(&drain(&mut reader));
        // What had no record yet is held back once, and counts among the hundred.
        reader.changed();
        last.extend(numbers(&drain(&mut reader)));
        assert!(last.is_sorted_by(|a, b| a + 1 == *b), "{last:?}");
        assert!(last.len() >= 100 || next < 1_000_100, "{}", last.len());
        if is_done {
            break;
        }
    }
    assert!(next >= 1_000_000 + LINES);
    let entries = folder.entries();
    assert_eq!(entries.len() as u64, next - 1_000_000);
    let is_told = |entry: &Entry| entry.run == 1 && entry.time_ms > 1_000_000;
    assert!(entries.iter().all(is_told));
}

#[test]
fn a_killed_writer_leaves_what_it_wrote() {
    for round in 0..8 {
        let folder = Folder::new();
        let mut follower = folder.reader(Start::Oldest, Mode::Follow, Filter::default());
        let mut process = Process::writer(&folder);
        let mut told = 0;
        while told < round * 2_000 && !process.is_done() {
            follower.changed();
            told += drain(&mut follower).len();
        }
        drop(process);
        let before = folder.bytes();
        let mut writer = Writer::open(&folder.0, "web", LIMITS).unwrap();
        assert_eq!(folder.bytes(), before);
        let decoded = index::decode(&fs::read(folder.path("web.idx")).unwrap()).unwrap();
        let length = fs::metadata(folder.path("web.log")).unwrap().len();
        assert_eq!(decoded.records.last().map_or(0, Record::end), length);
        // The service outlived it, and goes on within the line that it was in.
        writer.append(2_000_000, Stream::Out, 1, b"7\nback\n");
        let text = String::from_utf8(folder.bytes()).unwrap();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let told = texts(&folder.entries());
        let differs = told.iter().zip(&lines).find(|(told, line)| told != line);
        assert_eq!((differs, told.len()), (None, lines.len()));
        assert_eq!(text.len(), before.len() + 7);
    }
}
