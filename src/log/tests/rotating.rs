//! Rotation: every line once, in order, whole.

use super::*;
use crate::log::index;
use crate::log::{Ending, Mark};

/// `count` numbered lines of many lengths, a few longer than a file.
fn numbered(seeded: &mut Seeded, count: u32) -> String {
    let mut all = String::new();
    for number in 0..count {
        let length = match seeded.below(40) {
            0 => 700,
            1 => 0,
            other => usize::try_from(other).unwrap(),
        };
        all.push_str(&format!("{number} {}\n", "x".repeat(length)));
    }
    all
}

#[test]
fn no_line_is_lost_divided_or_moved() {
    for seed in 0..25 {
        let folder = Folder::new();
        let mut seeded = Seeded(seed);
        let all = numbered(&mut seeded, 400);
        let mut writer = folder.writer(512, 1000);
        let mut follower = folder.reader(Start::Oldest, Mode::Follow, Filter::default());
        let mut followed = Vec::new();
        let mut rest = all.as_bytes();
        let mut now_ms = 1000;
        while !rest.is_empty() {
            let most = if seeded.below(10) == 0 { 3000 } else { 90 };
            let count = usize::try_from(seeded.below(most) + 1)
                .unwrap()
                .min(rest.len());
            let (batch, after) = rest.split_at(count);
            assert_eq!(
                writer.append(now_ms, Stream::Out, 1, batch),
                Appended::Written
            );
            rest = after;
            now_ms += seeded.below(20);
            match seeded.below(12) {
                // The daemon is killed and started again.
                0 => writer = folder.writer(512, 1000),
                1 => {
                    follower.changed();
                    followed.extend(drain(&mut follower));
                }
                _ => {}
            }
        }
        assert_eq!(folder.bytes(), all.as_bytes(), "seed {seed}");
        let lines: Vec<_> = all.lines().map(str::to_owned).collect();
        assert_eq!(texts(&folder.entries()), lines, "seed {seed}");
        follower.changed();
        followed.extend(drain(&mut follower));
        assert_eq!(texts(&followed), lines, "seed {seed}");
        let is_timed = |entry: &Entry| (1000..=now_ms).contains(&entry.time_ms) && entry.run == 1;
        assert!(followed.iter().all(is_timed), "seed {seed}");
        check_files(&folder, seed);
        for last in [0, 1, 7, 399, 400, 1000] {
            let mut reader = folder.reader(Start::Last(last), Mode::Once, Filter::default());
            let from = lines.len().saturating_sub(usize::try_from(last).unwrap());
            assert_eq!(
                texts(&drain(&mut reader)),
                lines[from..],
                "seed {seed}, last {last}"
            );
        }
    }
}

/// Each file ends with a line, is within bounds but for its last line, and its index covers all of it.
fn check_files(folder: &Folder, seed: u64) {
    for number in 0..1000 {
        let ending = if number == 0 {
            String::new()
        } else {
            format!(".{number}")
        };
        let Ok(bytes) = fs::read(folder.path(&format!("web.log{ending}"))) else {
            break;
        };
        assert_eq!(bytes.last(), Some(&b'\n'), "seed {seed}, file {number}");
        // A line that came in parts may end past the bound, but it began before.
        let last_line = bytes.split_inclusive(|byte| *byte == b'\n').next_back();
        let before = bytes.len() - last_line.unwrap().len();
        assert!(before < 512, "seed {seed}, file {number}");
        let index = fs::read(folder.path(&format!("web.idx{ending}"))).unwrap();
        let decoded = index::decode(&index).unwrap();
        let mut end = 0;
        for record in &decoded.records {
            assert_eq!(record.offset, end, "seed {seed}, file {number}");
            end = record.end();
        }
        assert_eq!(end, bytes.len() as u64, "seed {seed}, file {number}");
        assert_eq!((decoded.unreadable, decoded.torn_bytes), (0, 0));
    }
}

#[test]
fn two_streams_divide_no_line_of_each_other() {
    for seed in 0..30 {
        let folder = Folder::new();
        let mut seeded = Seeded(seed);
        let mut writer = folder.writer(400, 1000);
        let outs = numbered(&mut seeded, 120);
        let errs = numbered(&mut seeded, 120);
        let (mut out, mut err) = (outs.as_bytes(), errs.as_bytes());
        let mut now_ms = 0;
        while !(out.is_empty() && err.is_empty()) {
            now_ms += seeded.below(30);
            let (rest, stream) = match seeded.below(2) {
                0 => (&mut out, Stream::Out),
                _ => (&mut err, Stream::Err),
            };
            let count = usize::try_from(seeded.below(120)).unwrap().min(rest.len());
            let (batch, after) = rest.split_at(count);
            assert_eq!(writer.append(now_ms, stream, 1, batch), Appended::Written);
            *rest = after;
        }
        assert!(folder.path("web.log.1").exists());
        for (stream, all) in [(Stream::Out, &outs), (Stream::Err, &errs)] {
            let filter = Filter {
                stream: Some(stream),
                ..Filter::default()
            };
            let lines: Vec<_> = all.lines().map(str::to_owned).collect();
            let mut reader = folder.reader(Start::Oldest, Mode::Once, filter);
            assert_eq!(texts(&drain(&mut reader)), lines, "seed {seed}");
            let mut reader = folder.reader(Start::Last(5), Mode::Once, filter);
            assert_eq!(texts(&drain(&mut reader)), lines[115..], "seed {seed}");
        }
        let whole = folder.entries();
        assert_eq!(texts(&whole).len(), 240, "seed {seed}");
    }
}

#[test]
fn the_oldest_file_goes() {
    let folder = Folder::new();
    let mut writer = folder.writer(100, 3);
    for number in 0..100 {
        append(&mut writer, number, &format!("line {number:03}\n"));
    }
    let mut names: Vec<_> = fs::read_dir(&folder.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "web.idx",
        "web.idx.1",
        "web.idx.2",
        "web.log",
        "web.log.1",
        "web.log.2",
    ];
    assert_eq!(names, expected);
    let left = texts(&folder.entries());
    assert_eq!(left.last().unwrap(), "line 099");
    assert_eq!(left.len(), 11 + 11 + 1);
    drop(writer);
    // Fewer and other files from now on: what is above the new count goes at once.
    let mut writer = folder.writer(100, 1);
    assert!(!folder.path("web.log.1").exists());
    append(&mut writer, 100, &"y".repeat(98));
    append(&mut writer, 101, "\nnext\n");
    assert_eq!(folder.bytes(), b"next\n");
    assert!(!folder.path("web.log.1").exists());
}

#[test]
fn marks_stand_in_the_index_only() {
    let folder = Folder::new();
    let mut writer = folder.writer(1000, 3);
    writer.mark(1, 1, Mark::Begin { pid: 70 });
    writer.append(2, Stream::Out, 1, b"one\nhalf");
    writer.mark(3, 1, Mark::End(Ending::Exited { code: 3 }));
    writer.mark(4, 2, Mark::Begin { pid: 71 });
    writer.append(5, Stream::Out, 2, b"two\n");
    writer.mark(6, 2, Mark::End(Ending::Signaled { signal: 9 }));
    assert_eq!(folder.bytes(), b"one\nhalftwo\n");
    let told: Vec<_> = folder
        .entries()
        .iter()
        .map(|entry| (entry.time_ms, entry.run, text(entry).unwrap_or_default()))
        .collect();
    let expected = [
        (1, 1, ""),
        (2, 1, "one"),
        (2, 1, "half"),
        (3, 1, ""),
        (4, 2, ""),
    ];
    assert_eq!(
        &told[..5],
        expected.map(|(time, run, text)| (time, run, text.to_owned()))
    );
    assert_eq!(
        &told[5..],
        [(5, 2, "two".to_owned()), (6, 2, String::new())]
    );
    let second = Filter {
        run: Some(2),
        ..Filter::default()
    };
    let entries = drain(&mut folder.reader(Start::Oldest, Mode::Once, second));
    assert_eq!(texts(&entries), ["two"]);
    assert_eq!(entries.len(), 3);
}

#[test]
fn a_look_at_the_end_is_bounded_in_bytes() {
    let folder = Folder::new();
    let mut writer = folder.writer(1 << 20, 3);
    append(&mut writer, 1, "first\n");
    append(&mut writer, 50, &"x".repeat(100_000));
    writer.mark(100, 1, Mark::End(Ending::Exited { code: 3 }));
    let near = |lines, bytes| {
        let start = Start::Near { lines, bytes };
        drain(&mut folder.reader(start, Mode::Once, Filter::default()))
    };
    for bytes in [1, 500, 20_000] {
        let entries = near(10, bytes);
        assert_eq!(
            texts(&entries),
            ["x".repeat(usize::try_from(bytes).unwrap())]
        );
        let end = Content::Mark(Mark::End(Ending::Exited { code: 3 }));
        assert_eq!(entries.last().unwrap().content, end);
    }
    let all = texts(&near(10, u64::MAX));
    assert_eq!(all[0], "first");
    assert_eq!(near(0, 500), []);
}

/// A service that is restarted for ever and says nothing, and one that writes a byte at a time, fill no disk.
#[test]
fn the_index_is_bounded() {
    let folder = Folder::new();
    let mut writer = folder.writer(4096, 2);
    for run in 0..20_000 {
        writer.mark(run, run, Mark::Begin { pid: 1 });
    }
    let sizes = |name| fs::metadata(folder.path(name)).unwrap().len();
    assert!(sizes("web.idx") <= 65 * 1024 && sizes("web.idx.1") <= 65 * 1024);
    drop(writer);
    let folder = Folder::new();
    let mut writer = folder.writer(10 << 20, 2);
    for number in 0..30_000 {
        append(&mut writer, number * 11, "z");
    }
    let sizes = |name| fs::metadata(folder.path(name)).unwrap().len();
    assert_eq!(sizes("web.log"), 30_000);
    assert!(sizes("web.idx") <= 32 * 1024, "{}", sizes("web.idx"));
}

/// The daemon was killed between the two renames of a rotation and does not come back.
#[test]
fn a_log_whose_index_was_not_moved_yet_keeps_its_times() {
    let folder = Folder::new();
    let mut writer = folder.writer(1000, 5);
    for now_ms in [1000, 2000, 3000] {
        append(&mut writer, now_ms, "a line\n");
    }
    drop(writer);
    fs::rename(folder.path("web.log"), folder.path("web.log.1")).unwrap();
    let times: Vec<u64> = folder.entries().iter().map(|entry| entry.time_ms).collect();
    assert_eq!(times, [1000, 2000, 3000]);
}
