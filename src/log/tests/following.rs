//! Following, going back and merging.

use super::*;
use crate::log::{Course, Ending, LineEnd, Listing, Mark, Merge, Sieve};

fn follow(folder: &Folder, start: Start) -> Reader {
    folder.reader(start, Mode::Follow, Filter::default())
}

fn news(reader: &mut Reader) -> Vec<String> {
    reader.changed();
    texts(&drain(reader))
}

#[test]
fn only_whole_lines_are_followed() {
    let folder = Folder::new();
    let mut reader = follow(&folder, Start::Last(10));
    assert!(news(&mut reader).is_empty());
    let mut writer = folder.writer(1000, 2);
    append(&mut writer, 1, "one\nt");
    assert_eq!(news(&mut reader), ["one"]);
    append(&mut writer, 2, "w");
    assert!(news(&mut reader).is_empty());
    append(&mut writer, 500, "o\n");
    assert_eq!(news(&mut reader), ["two"]);
    append(&mut writer, 600, "last");
    writer.mark(700, 1, Mark::End(Ending::Unknown));
    assert_eq!(news(&mut reader), ["last"]);
    assert!(news(&mut reader).is_empty());
}

#[test]
fn the_end_is_where_the_unfinished_line_begins() {
    let folder = Folder::new();
    let mut writer = folder.writer(1000, 2);
    append(&mut writer, 1, "one\ntwo\nthr");
    let mut ends: Vec<_> = (0..3)
        .map(|last| follow(&folder, Start::Last(last)))
        .collect();
    let mut once = folder.reader(Start::Last(2), Mode::Once, Filter::default());
    append(&mut writer, 2, "ee\n");
    let told: Vec<_> = ends.iter_mut().map(news).collect();
    assert_eq!(
        told,
        [
            vec!["three"],
            vec!["two", "three"],
            vec!["one", "two", "three"]
        ]
    );
    let entries = drain(&mut once);
    assert_eq!(texts(&entries), ["two", "thr"]);
    let Content::Line { end, .. } = entries[1].content else {
        panic!("{entries:?}")
    };
    assert_eq!(end, LineEnd::Unfinished);
}

/// Writes a line for each that it is asked about, as a writer that is faster than its reader.
#[derive(Debug)]
struct Faster {
    writer: Writer,
    left: u32,
}

impl Sieve for Faster {
    fn lets_through(&mut self, _: &Entry) -> bool {
        self.left = self.left.checked_sub(1).expect("it is read without end");
        append(&mut self.writer, 2, &format!("{} left\n", self.left));
        true
    }

    fn skim(&self, _: Stream, _: &[u8]) -> usize {
        0
    }
}

#[test]
fn a_writer_that_is_faster_does_not_keep_a_follower_from_its_beginning() {
    for last in [1, 3, 100] {
        let folder = Folder::new();
        let mut writer = folder.writer(1000, 50);
        for number in 0..100 {
            append(&mut writer, 1, &format!("number {number}\n"));
        }
        let sieve = Box::new(Faster { writer, left: 1000 });
        let course = Course {
            start: Start::Last(last),
            mode: Mode::Follow,
        };
        let filter = Filter::default();
        let reader = Reader::sifted(
            &Listing::none(&folder.0),
            "web",
            course,
            filter,
            Some(sieve),
        );
        let first = reader.unwrap().next_entry().unwrap().unwrap();
        assert_eq!(text(&first).unwrap(), format!("number {}", 100 - last));
    }
}

/// A reader that is asked seldom, while files come and go; only removed files may be missing.
#[test]
fn a_slow_follower_misses_only_what_was_removed() {
    let folder = Folder::new();
    let mut writer = folder.writer(64, 4);
    let mut reader = follow(&folder, Start::Oldest);
    let mut seeded = Seeded(11);
    let mut told = Vec::new();
    let mut written = 0;
    for _ in 0..300 {
        for _ in 0..seeded.below(12) {
            append(&mut writer, written, &format!("number {written:05}\n"));
            written += 1;
        }
        told.extend(news(&mut reader));
    }
    let all: Vec<_> = (0..written)
        .map(|number| format!("number {number:05}"))
        .collect();
    assert_eq!(told, all);
    for _ in 0..100 {
        append(&mut writer, written, &format!("number {written:05}\n"));
        written += 1;
    }
    let late = news(&mut reader);
    let all: Vec<_> = (0..written)
        .map(|number| format!("number {number:05}"))
        .collect();
    // The rest of the file that it held, then all that is left.
    let left = texts(&folder.entries());
    assert!(
        left.len() >= 13 && all.ends_with(&left) && late.ends_with(&left),
        "{late:?}"
    );
    assert!(late.is_sorted() && late.len() <= left.len() + 4, "{late:?}");
}

#[test]
fn an_emptied_or_removed_log_is_followed_on() {
    let folder = Folder::new();
    let mut writer = folder.writer(20, 3);
    append(&mut writer, 1, "old, long ago, so it is\n");
    append(&mut writer, 2, "one\n");
    let mut reader = follow(&folder, Start::Last(1));
    assert_eq!(news(&mut reader), ["one"]);
    write(&folder.path("web.log"), b"");
    assert!(news(&mut reader).is_empty());
    append(&mut writer, 300, "2\n");
    assert_eq!(news(&mut reader), ["2"]);
    append(&mut writer, 400, "three\n");
    reader.changed();
    let entries = drain(&mut reader);
    assert_eq!(
        (texts(&entries)[0].as_str(), entries[0].time_ms),
        ("three", 400)
    );
    fs::remove_file(folder.path("web.log")).unwrap();
    append(&mut writer, 500, "four\n");
    assert_eq!(news(&mut reader), ["four"]);
}

/// Bytes whose record does not come are held back for one change, no longer.
#[test]
fn bytes_without_a_record_come_late_but_come() {
    let folder = Folder::new();
    let mut writer = folder.writer(1000, 2);
    append(&mut writer, 1, "one\n");
    let mut reader = follow(&folder, Start::Oldest);
    assert_eq!(news(&mut reader), ["one"]);
    write(&folder.path("web.log"), b"one\ntwo\n");
    assert!(news(&mut reader).is_empty());
    assert!(drain(&mut reader).is_empty());
    assert_eq!(news(&mut reader), ["two"]);
}

/// A writer that is interrupted between its bytes and their record, for longer than they are held back: whose they are
/// is only a guess then, and what is right comes in the midst of a line.
#[test]
fn a_line_whose_record_comes_within_it_stays_one() {
    for (known, start) in [(0, Start::Oldest), (0, Start::Last(9)), (1, Start::Oldest)] {
        let folder = Folder::new();
        let mut writer = folder.writer(1000, 2);
        let index = folder.path("web.idx");
        if known > 0 {
            append(&mut writer, 1, "known\n");
        }
        let before = fs::read(&index).unwrap();
        let mut say = |time_ms, bytes: &[u8]| {
            let written = writer.append(time_ms, Stream::Err, 2, bytes);
            assert_eq!(written, Appended::Written);
        };
        say(100, b"one\ntwo");
        let after = fs::read(&index).unwrap();
        assert!(after.len() > before.len());
        write(&index, &before);
        let mut reader = follow(&folder, start);
        let mut told = texts(&drain(&mut reader));
        for _ in 0..3 {
            told.extend(news(&mut reader));
        }
        write(&index, &after);
        say(200, b"\nthree\n");
        told.extend(news(&mut reader));
        let all = ["known", "one", "two", "three"];
        assert_eq!(told, all[1 - known..], "{known}, {start:?}");
    }
}

#[test]
fn services_are_merged_by_time() {
    let folder = Folder::new();
    let limits = Limits {
        max_size: 30,
        max_files: 9,
    };
    let names = ["a", "b", "c"];
    let mut writers = names.map(|name| Writer::open(&folder.0, name, limits).unwrap());
    let mut expected = Vec::new();
    let mut seeded = Seeded(3);
    for time_ms in 0..60 {
        let at = usize::try_from(seeded.below(3)).unwrap();
        let line = format!("at {time_ms:02}\n");
        writers[at].append(time_ms * 20, Stream::Out, 1, line.as_bytes());
        expected.push((at, line.trim_end().to_owned()));
    }
    for (at, writer) in writers.iter_mut().enumerate() {
        writer.append(5000, Stream::Out, 1, b"same\n");
        expected.push((at, "same".to_owned()));
    }
    let open = |name| {
        Reader::open(
            &folder.0,
            name,
            Start::Oldest,
            Mode::Follow,
            Filter::default(),
        )
        .unwrap()
    };
    let mut merge = Merge::new(names.map(open).into());
    let mut told = Vec::new();
    while let Some((at, entry)) = merge.next_entry().unwrap() {
        told.push((at, text(&entry).unwrap()));
    }
    assert_eq!(told, expected);
    writers[1].append(6000, Stream::Out, 1, b"more\n");
    merge.changed();
    let (at, entry) = merge.next_entry().unwrap().unwrap();
    assert_eq!((at, text(&entry).unwrap()), (1, "more".to_owned()));
    assert!(merge.next_entry().unwrap().is_none());
}

/// Whoever opened the log meanwhile would have read it to its end without marks and runs.
#[test]
fn no_log_is_there_before_its_index_is_whole() {
    let folder = Folder::new();
    // Nothing can be made in its place, so that the writer stops where a reader could first have found it.
    fs::create_dir(folder.path("web.log")).unwrap();
    let limits = Limits {
        max_size: 1000,
        max_files: 3,
    };
    assert!(Writer::open(&folder.0, "web", limits).is_err());
    let index = fs::read(folder.path("web.idx")).unwrap();
    assert_eq!(index, crate::log::index::header());
}
