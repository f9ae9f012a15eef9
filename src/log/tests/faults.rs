//! What a kill, a full disk and other people's hands do to a log.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::*;
use crate::log::index::{self, Record, What};
use crate::log::{Ending, Failure, Legacy, LineEnd, Loss, Mark, Marked, Part, Remade};

const ENOSPC: i32 = 28;
const EFBIG: i32 = 27;
/// Set in the child process of [`a_file_that_may_not_grow`].
const CHILD_FOLDER: &str = "DIAKONOS_TEST_LIMITED_FOLDER";

fn decoded(folder: &Folder) -> index::Decoded {
    index::decode(&fs::read(folder.path("web.idx")).unwrap()).unwrap()
}

fn add(path: &Path, bytes: &[u8]) {
    OpenOptions::new()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(bytes)
        .unwrap();
}

#[test]
fn a_torn_record_is_cut_off() {
    for torn in 1..index::RECORD_BYTES {
        let folder = Folder::new();
        append(&mut folder.writer(1000, 2), 5, "one\n");
        let record = Record {
            time_ms: 9,
            offset: 4,
            run: 1,
            what: What::Bytes {
                stream: Stream::Out,
                length: 4,
            },
        };
        add(&folder.path("web.log"), b"two\n");
        add(&folder.path("web.idx"), &record.encode()[..torn]);
        append(&mut folder.writer(1000, 2), 8000, "three\n");
        let decoded = decoded(&folder);
        assert_eq!((decoded.unreadable, decoded.torn_bytes), (0, 0));
        assert_eq!(decoded.records.last().unwrap().end(), 14);
        assert_eq!(texts(&folder.entries()), ["one", "two", "three"]);
    }
}

/// Killed between the first write to a new file and its record.
#[test]
fn the_first_bytes_of_a_file_belong_to_the_run_before() {
    let folder = Folder::new();
    let mut writer = folder.writer(8, 3);
    writer.append(1, Stream::Out, 7, b"first\n");
    writer.append(2, Stream::Out, 7, b"second\nth");
    drop(writer);
    let file = OpenOptions::new()
        .write(true)
        .open(folder.path("web.idx"))
        .unwrap();
    file.set_len(index::RECORD_BYTES as u64).unwrap();
    folder.writer(8, 3).append(900, Stream::Out, 7, b"ird\n");
    let entries = folder.entries();
    assert_eq!(texts(&entries), ["first", "second", "third"]);
    assert!(entries.iter().all(|entry| entry.run == 7));
}

#[test]
fn an_index_that_claims_too_much_is_put_right() {
    let folder = Folder::new();
    let mut writer = folder.writer(1000, 2);
    append(&mut writer, 100, "one\n");
    append(&mut writer, 200, "two\n");
    append(&mut writer, 300, "three\n");
    drop(writer);
    let log = OpenOptions::new()
        .write(true)
        .open(folder.path("web.log"))
        .unwrap();
    log.set_len(6).unwrap();
    append(&mut folder.writer(1000, 2), 400, "!\n");
    let ends: Vec<_> = decoded(&folder).records.iter().map(Record::end).collect();
    assert_eq!(ends, [4, 6, 8]);
    assert_eq!(texts(&folder.entries()), ["one", "tw!"]);
}

#[test]
fn any_bytes_as_an_index_do_no_harm() {
    for seed in 0..200 {
        let folder = Folder::new();
        append(&mut folder.writer(1000, 2), 5, "one\ntwo\n");
        let mut bytes = fs::read(folder.path("web.idx")).unwrap();
        let mut seeded = Seeded(seed);
        for _ in 0..seeded.below(200) {
            bytes.push(u8::try_from(seeded.below(256)).unwrap());
        }
        for _ in 0..seeded.below(20) {
            let at = usize::try_from(seeded.below(bytes.len() as u64)).unwrap();
            bytes[at] = u8::try_from(seeded.below(8)).unwrap();
        }
        write(&folder.path("web.idx"), &bytes);
        let read = |start| {
            let mut reader = folder.reader(start, Mode::Once, Filter::default());
            // Made-up runs and streams move lines, but each byte is told once.
            let mut bytes = texts(&drain(&mut reader)).concat().into_bytes();
            bytes.sort_unstable();
            bytes
        };
        assert_eq!(read(Start::Oldest), b"enootw", "seed {seed}");
        read(Start::Last(1));
        append(&mut folder.writer(1000, 2), 50_000, "three\n");
        assert_eq!(folder.bytes(), b"one\ntwo\nthree\n");
        assert_eq!(read(Start::Oldest), b"eeehnoorttw", "seed {seed}");
    }
}

/// The steps of a rotation, cut off after each of them by a kill.
#[test]
fn a_rotation_that_was_cut_off_is_finished() {
    let moves = [
        ("web.log.1", "web.log.2"),
        ("web.idx.1", "web.idx.2"),
        ("web.log", "web.log.1"),
        ("web.idx", "web.idx.1"),
        ("web.idx.new", "web.idx"),
        ("web.log.new", "web.log"),
    ];
    for done in 0..=moves.len() {
        let folder = Folder::new();
        let mut writer = folder.writer(8, 3);
        writer.append(1, Stream::Out, 1, b"first\n");
        writer.append(100, Stream::Err, 2, b"second\n");
        drop(writer);
        write(&folder.path("web.log.new"), b"");
        write(&folder.path("web.idx.new"), &index::header());
        for (from, to) in &moves[..done] {
            fs::rename(folder.path(from), folder.path(to)).unwrap();
        }
        let mut writer = folder.writer(8, 3);
        assert_eq!(
            writer.append(200, Stream::Out, 3, b"third\n"),
            Appended::Written
        );
        let told: Vec<_> = folder
            .entries()
            .iter()
            .map(|entry| (entry.time_ms, entry.run, text(entry).unwrap()))
            .collect();
        let expected = [(1, 1, "first"), (100, 2, "second"), (200, 3, "third")];
        let expected = expected.map(|(time, run, text)| (time, run, text.to_owned()));
        assert_eq!(told, expected, "after {done} steps");
        assert_eq!(
            writer.append(300, Stream::Out, 3, b"fourth\n"),
            Appended::Written
        );
        assert_eq!(texts(&folder.entries()).last().unwrap(), "fourth");
    }
}

#[test]
fn a_log_that_was_removed_or_emptied_goes_on() {
    let folder = Folder::new();
    let mut writer = folder.writer(1000, 2);
    append(&mut writer, 1, "one\n");
    fs::remove_file(folder.path("web.log")).unwrap();
    append(&mut writer, 100, "two\n");
    assert_eq!(folder.bytes(), b"two\n");
    assert_eq!(folder.entries()[0].time_ms, 100);
    fs::remove_dir_all(&folder.0).unwrap();
    append(&mut writer, 200, "three\n");
    assert_eq!(texts(&folder.entries()), ["three"]);
    write(&folder.path("web.log"), b"");
    append(&mut writer, 300, "four\n");
    assert_eq!(folder.bytes(), b"four\n");
    assert_eq!(folder.entries()[0].time_ms, 300);
    fs::rename(folder.path("web.log"), folder.path("elsewhere")).unwrap();
    fs::remove_file(folder.path("web.idx")).unwrap();
    writer.mark(400, 2, Mark::Begin { pid: 1 });
    append(&mut writer, 500, "five\n");
    assert_eq!(folder.bytes(), b"five\n");
    assert_eq!(folder.entries().len(), 2);
    let mode = |name| {
        fs::metadata(folder.path(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("web.log"), mode("web.idx")), (0o600, 0o600));
}

/// A device that is always full stands in for the log, then makes room.
#[test]
fn a_full_disk_is_counted_and_said() {
    let folder = Folder::new();
    symlink("/dev/full", folder.path("web.log")).unwrap();
    let mut writer = folder.writer(1000, 2);
    assert_eq!(
        writer.append(1, Stream::Out, 1, b"gone\n"),
        Appended::Failed { lost_bytes: 5 }
    );
    let again = writer.append(2, Stream::Out, 1, b"gone too\n");
    assert_eq!(again, Appended::StillFailing { lost_bytes: 9 });
    assert_eq!(
        writer.failure(),
        Some(Failure {
            lost_bytes: 14,
            errno: Some(ENOSPC)
        })
    );
    assert_eq!(
        writer.failure().unwrap().reason(),
        "No space left on device"
    );
    fs::remove_file(folder.path("web.log")).unwrap();
    writer.mark(3, 2, Mark::Begin { pid: 9 });
    let resumed = writer.append(4, Stream::Out, 2, b"back\n");
    assert_eq!(resumed, Appended::Resumed { lost_bytes: 14 });
    assert_eq!((writer.failure(), writer.lost_bytes()), (None, 14));
    assert_eq!(folder.bytes(), b"back\n");
    let loss = Loss::Unwritten {
        bytes: 14,
        errno: 28,
    };
    let entries = folder.entries();
    assert_eq!(texts(&entries), ["back"]);
    let (first, second) = (&entries[0], &entries[1]);
    assert_eq!(
        (first.run, &first.content),
        (1, &Content::Mark(Mark::Lost(loss)))
    );
    assert_eq!(
        (second.run, &second.content),
        (2, &Content::Mark(Mark::Begin { pid: 9 }))
    );
    assert_eq!(writer.take_remade(), Remade::Yes);
    assert_eq!(writer.take_remade(), Remade::No);
}

/// What the index tells beside the bytes.
fn marks(folder: &Folder) -> Vec<(u64, Mark)> {
    let mark = |record: &Record| match record.what {
        What::Mark(mark) => Some((record.run, mark)),
        What::Bytes { .. } | What::Notice { .. } => None,
    };
    decoded(folder).records.iter().filter_map(mark).collect()
}

const ENDED: Mark = Mark::End(Ending::Exited { code: 4 });

#[test]
fn a_loss_belongs_to_the_run_whose_bytes_it_was() {
    let folder = Folder::new();
    symlink("/dev/full", folder.path("web.log")).unwrap();
    let mut writer = folder.writer(1000, 2);
    writer.mark(1, 4, Mark::Begin { pid: 9 });
    writer.append(2, Stream::Out, 4, b"gone\n");
    assert_eq!(writer.retry(3), None, "the log is as full as before");
    let lost = |bytes| {
        let errno = 28;
        Mark::Lost(Loss::Unwritten { bytes, errno })
    };
    let begun = Mark::Begin { pid: 9 };
    let in_between = [(4, begun), (4, lost(5))];
    assert_eq!(marks(&folder), in_between, "the index has room");
    writer.append(4, Stream::Out, 4, b"too\n");
    writer.mark(5, 4, ENDED);
    writer.mark(6, 6, begun);
    writer.append(7, Stream::Out, 6, b"six\n");
    fs::remove_file(folder.path("web.log")).unwrap();
    writer.mark(8, 8, begun);
    assert_eq!(writer.retry(8), Some(13));
    assert_eq!((writer.failure(), writer.retry(9)), (None, None));
    writer.append(10, Stream::Out, 8, b"back\n");
    let first = [(4, begun), (4, lost(5)), (4, lost(4)), (4, ENDED)];
    let then = [(6, begun), (6, lost(4)), (8, begun)];
    assert_eq!(marks(&folder), [&first[..], &then].concat());
    assert_eq!(folder.bytes(), b"back\n");
}

/// Neither the log nor its index could be made, not even before the service began.
#[test]
fn what_could_not_be_told_is_told_later() {
    let folder = Folder::new();
    let logs = folder.path("logs");
    fs::write(&logs, b"in its place").unwrap();
    let limits = Limits {
        max_size: 1000,
        max_files: 2,
    };
    let mut first = Writer::unopened(&logs, "web", limits).unwrap();
    first.mark(1, 1, Mark::Begin { pid: 9 });
    let lost = first.append(2, Stream::Out, 1, b"gone\n");
    assert_eq!(lost, Appended::Failed { lost_bytes: 5 });
    first.mark(3, 1, ENDED);
    assert_eq!(first.retry(4), None);
    let untold: Vec<_> = first.owed().untold().collect();
    assert_eq!((untold.len(), untold[0].run, untold[0].bytes), (1, 1, 5));

    // The service is down for a while, and its log closed.
    let mut second = Writer::unopened(&logs, "web", limits).unwrap();
    second.inherit(*first.legacy().unwrap());
    fs::remove_file(&logs).unwrap();
    second.mark(5, 2, Mark::Begin { pid: 10 });
    second.append(6, Stream::Out, 2, b"back\n");
    assert!(second.owed().is_empty());
    assert_eq!(second.take_remade(), Remade::No);
    let mut reader =
        Reader::open(&logs, "web", Start::Oldest, Mode::Once, Filter::default()).unwrap();
    let told: Vec<_> = drain(&mut reader)
        .iter()
        .map(|entry| (entry.time_ms, entry.run, entry.content.clone()))
        .collect();
    let errno = 17;
    let expected = [
        (1, 1, Mark::Begin { pid: 9 }),
        (2, 1, Mark::Lost(Loss::Unwritten { bytes: 5, errno })),
        (3, 1, ENDED),
        (5, 2, Mark::Begin { pid: 10 }),
    ];
    let expected = expected.map(|(time, run, mark)| (time, run, Content::Mark(mark)));
    assert_eq!(told[..4], expected);
    assert_eq!((told.len(), told[4].1), (5, 2));
}

/// All that a writer of another process knows of this one's.
fn left(writer: &Writer) -> Legacy {
    let legacy = *writer.legacy().unwrap();
    let bytes = legacy.to_bytes();
    let read = Legacy::from_bytes(&bytes);
    assert_eq!(read, Legacy::from_bytes(&read.to_bytes()));
    // Whatever else lies there is no reason to fail.
    for end in 0..bytes.len() {
        let _ = Legacy::from_bytes(&bytes[..end]);
    }
    read
}

/// The daemon is killed while the disk is full, within a line, and once more after the index was told of it all, before
/// that could be written down.
#[test]
fn a_successor_pays_what_the_index_is_owed_once() {
    let folder = Folder::new();
    let mut first = folder.writer(1000, 2);
    first.mark(1, 4, Mark::Begin { pid: 9 });
    first.append(2, Stream::Out, 4, b"cut o");
    drop(first);
    let kept = folder.path("kept");
    fs::rename(folder.path("web.log"), &kept).unwrap();
    symlink("/dev/full", folder.path("web.log")).unwrap();
    let mut first = folder.writer(1000, 2);
    first.append(3, Stream::Out, 4, b"ff\ngone, and the head of anoth");
    first.mark(4, 4, ENDED);
    first.mark(5, 6, Mark::Begin { pid: 10 });
    first.append(6, Stream::Out, 6, b"gone too, and the head of anoth");
    let left = left(&first);
    drop(first);

    // There is room again.
    fs::remove_file(folder.path("web.log")).unwrap();
    fs::rename(&kept, folder.path("web.log")).unwrap();
    for writing in [1, 2] {
        let mut next = folder.writer(1000, 2);
        next.inherit(left.clone());
        let resumed = next.retry(7);
        assert_eq!(resumed, Some(61), "{writing}");
        assert!(next.owed().is_empty());
        if writing == 2 {
            next.append(8, Stream::Out, 6, b"er one\nwhole\n");
        }
    }
    assert_eq!(folder.bytes(), b"cut o\nwhole\n");
    let begun = |pid| Mark::Begin { pid };
    let lost = |bytes| Mark::Lost(Loss::Unwritten { bytes, errno: 28 });
    let told = [
        (4, begun(9)),
        (4, lost(30)),
        (4, ENDED),
        (6, begun(10)),
        (6, lost(31)),
        (6, lost(7)),
    ];
    assert_eq!(marks(&folder), told);
}

/// The line that was cut is one of a run that is over, and the next run's first line is whole.
#[test]
fn a_line_that_was_cut_is_ended_by_its_run() {
    let folder = Folder::new();
    let mut writer = folder.writer(1000, 2);
    writer.mark(1, 4, Mark::Begin { pid: 9 });
    writer.append(2, Stream::Out, 4, b"cut o");
    let error = std::io::Error::from_raw_os_error(ENOSPC);
    writer.lose(&error, 3, (Stream::Out, 4), b"ff\n");
    writer.mark(4, 4, ENDED);
    writer.mark(5, 6, Mark::Begin { pid: 10 });
    writer.append(6, Stream::Out, 6, b"whole\n");
    assert_eq!(texts(&folder.entries()), ["cut o", "whole"]);
}

/// Its end is ours, and it is told in its place and as what it is.
#[test]
fn a_line_that_was_cut_is_told_before_what_is_missing() {
    let folder = Folder::new();
    let mut writer = folder.writer(1000, 2);
    writer.mark(1, 4, Mark::Begin { pid: 9 });
    writer.append(2, Stream::Out, 4, b"cut o");
    let error = std::io::Error::from_raw_os_error(ENOSPC);
    writer.lose(&error, 3, (Stream::Out, 4), b"ff\n");
    assert_eq!(writer.retry(40), Some(3));
    writer.append(90, Stream::Out, 4, b"\nwhole\n");
    assert_eq!(folder.bytes(), b"cut o\n\nwhole\n");
    let line = |text: &str, end| Content::Line {
        stream: Stream::Out,
        bytes: text.as_bytes().to_vec(),
        part: Part::Head,
        end,
    };
    let lost = Mark::Lost(Loss::Unwritten {
        bytes: 3,
        errno: 28,
    });
    let told = folder.entries().into_iter();
    let told: Vec<_> = told.map(|entry| (entry.time_ms, entry.content)).collect();
    let expected = [
        (1, Content::Mark(Mark::Begin { pid: 9 })),
        (2, line("cut o", LineEnd::Unfinished)),
        (3, Content::Mark(lost)),
        (90, line("", LineEnd::Newline)),
        (90, line("whole", LineEnd::Newline)),
    ];
    assert_eq!(told, expected);
}

/// The daemon is killed when it has written the first text after a full disk, and before the index was told of the runs
/// that had come meanwhile.
#[test]
fn text_without_a_record_belongs_to_the_run_that_the_index_is_owed() {
    for is_opened_first in [false, true] {
        let folder = Folder::new();
        let elsewhere = folder.path("elsewhere");
        fs::write(&elsewhere, b"in its place").unwrap();
        let limits = Limits {
            max_size: 1000,
            max_files: 2,
        };
        let mut full = Writer::unopened(&elsewhere, "web", limits).unwrap();
        full.mark(3, 4, ENDED);
        full.mark(4, 6, Mark::Begin { pid: 10 });
        full.append(5, Stream::Out, 6, b"gone\n");
        let mut first = folder.writer(1000, 2);
        first.mark(1, 4, Mark::Begin { pid: 9 });
        first.append(2, Stream::Out, 4, b"four\n");
        drop(first);
        add(&folder.path("web.log"), b"six and ");

        let mut next = Writer::unopened(&folder.0, "web", limits).unwrap();
        if is_opened_first {
            next.look().unwrap();
        }
        next.inherit(left(&full));
        assert_eq!(next.retry(8), Some(5), "{is_opened_first}");
        assert!(next.owed().is_empty());
        next.append(9, Stream::Out, 6, b"whole\n");
        let entries = folder.entries();
        let lines = entries.iter().filter_map(|entry| {
            let text = text(entry)?;
            Some((entry.run, text))
        });
        let lines: Vec<_> = lines.collect();
        let expected = [(4, "four"), (6, "six and "), (6, "whole")];
        let expected = expected.map(|(run, text)| (run, text.to_owned()));
        assert_eq!(lines, expected, "{is_opened_first}");
    }
}

#[test]
fn what_is_left_to_a_successor_is_short_and_counts_all() {
    let folder = Folder::new();
    let logs = folder.path("logs");
    fs::write(&logs, b"in its place").unwrap();
    let limits = Limits {
        max_size: 1000,
        max_files: 2,
    };
    let mut writer = Writer::unopened(&logs, "web", limits).unwrap();
    for run in 0..100 {
        writer.mark(run, run, Mark::Begin { pid: 9 });
        writer.append(run, Stream::Out, run, b"gone\n");
        writer.mark(run, run, ENDED);
    }
    let legacy = writer.legacy().unwrap();
    assert!(legacy.to_bytes().len() < 600);
    let read = Legacy::from_bytes(&legacy.to_bytes());
    let bytes: u64 = read.owed().untold().map(|untold| untold.bytes).sum();
    assert_eq!((bytes, read.owed().marked(99)), (500, Marked::Ended));
    assert_eq!(Legacy::from_bytes(b""), Legacy::default());
}

/// In a process of its own, under a limit on the size of files, which any user can set.
fn under_a_limit(child: &str, folder: &Folder) {
    let output = Command::new("/bin/sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -S -f 8 && exec \"$0\" --exact \"$1\" --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .arg(format!("log::tests::faults::{child}"))
        .env(CHILD_FOLDER, &folder.0)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("1 passed"), "{said}");
}

/// The index is full before the log is: no line is told of another run or at another time.
#[test]
fn no_text_is_written_that_the_index_cannot_tell_of() {
    let folder = Folder::new();
    under_a_limit("an_index_that_may_not_grow_child", &folder);
    let entries = folder.entries();
    let mut lines = 0;
    for entry in &entries {
        if let Some(text) = text(entry) {
            assert_eq!(text, format!("run {:03}", entry.run));
            assert_eq!(entry.time_ms, entry.run * 1000);
            lines += 1;
        }
    }
    let lost = |entry: &Entry| match entry.content {
        Content::Mark(Mark::Lost(Loss::Unwritten { bytes, errno: 27 })) => u64::from(bytes),
        _ => 0,
    };
    let lost: u64 = entries.iter().map(lost).sum();
    assert_eq!(lines * 8 + lost, 501 * 8);
    assert!(lines > 20 && lost > 0, "{lines} lines, {lost} bytes lost");
    let times: Vec<_> = entries.iter().map(|entry| entry.time_ms).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(text(entries.last().unwrap()).unwrap(), "run 500");
}

#[test]
fn an_index_that_may_not_grow_child() {
    let Some(path) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let folder = std::mem::ManuallyDrop::new(Folder(path.into()));
    let mut writer = folder.writer(1 << 20, 3);
    let say = |writer: &mut Writer, run: u64| {
        writer.mark(run * 1000, run, Mark::Begin { pid: 9 });
        let said = format!("run {run:03}\n");
        writer.append(run * 1000, Stream::Out, run, said.as_bytes())
    };
    for run in 0..500 {
        say(&mut writer, run);
        assert_eq!(writer.retry(run * 1000), None);
        // Killed now and then.
        if run % 50 == 49 {
            let left = writer.legacy();
            writer = folder.writer(1 << 20, 3);
            writer.inherit(left.map(|left| *left).unwrap_or_default());
        }
    }
    let failure = writer.failure().unwrap();
    assert_eq!(failure.errno, Some(EFBIG));
    let pid = std::process::id().to_string();
    let limits = ["--pid", &pid, "--fsize=unlimited:"];
    let raised = Command::new("prlimit").args(limits).status();
    assert!(raised.unwrap().success());
    assert_eq!(writer.retry(500_000), Some(failure.lost_bytes));
    assert_eq!(say(&mut writer, 500), Appended::Written);
}

/// A write that is cut short: under a limit on the size of files, which any user can set, in a process of its own.
#[test]
fn a_file_that_may_not_grow() {
    let folder = Folder::new();
    under_a_limit("a_file_that_may_not_grow_child", &folder);
    let entries = folder.entries();
    let told = texts(&entries);
    // Half a line is ended, and what comes after it is whole.
    assert_eq!(&told[told.len() - 2..], ["01234567", "back"]);
    let lost = Mark::Lost(Loss::Unwritten {
        bytes: 2452,
        errno: 27,
    });
    let count = |entry: &&Entry| entry.content == Content::Mark(lost);
    assert_eq!(entries.iter().filter(count).count(), 1);
}

#[test]
fn a_file_that_may_not_grow_child() {
    let Some(path) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let folder = std::mem::ManuallyDrop::new(Folder(path.into()));
    // `ulimit -f` counts 512 or 1024 bytes a block, as the shell likes.
    let mut writer = folder.writer(1 << 20, 3);
    let line = "0123456789abcde\n".repeat(62);
    let mut written = 0;
    let lost = loop {
        match writer.append(written, Stream::Out, 1, line.as_bytes()) {
            Appended::Written => written += line.len() as u64,
            Appended::Failed { lost_bytes } => break lost_bytes,
            other => panic!("{other:?}"),
        }
    };
    let length = fs::metadata(folder.path("web.log")).unwrap().len();
    assert_eq!(written + line.len() as u64 - lost, length);
    assert!(length == 4096 || length == 8192);
    assert_eq!(decoded(&folder).records.last().unwrap().end(), length);
    assert_eq!(writer.failure().unwrap().errno, Some(EFBIG));
    let rest_of_line = b"of it\n";
    let missing = 2452 - lost - rest_of_line.len() as u64;
    let rest = vec![b'n'; usize::try_from(missing).unwrap()];
    let again = writer.append(9, Stream::Out, 1, &rest);
    assert_eq!(
        again,
        Appended::StillFailing {
            lost_bytes: missing
        }
    );
    assert_eq!(fs::metadata(folder.path("web.log")).unwrap().len(), length);
    // Room again: somebody cuts the log back to half a line.
    let log = OpenOptions::new()
        .write(true)
        .open(folder.path("web.log"))
        .unwrap();
    log.set_len(1000).unwrap();
    assert_eq!(
        writer.append(10, Stream::Out, 1, rest_of_line),
        Appended::Written
    );
    let resumed = writer.append(11, Stream::Out, 1, b"back\n");
    assert_eq!(resumed, Appended::Resumed { lost_bytes: 2452 });
    let bytes = fs::read(folder.path("web.log")).unwrap();
    assert!(bytes.ends_with(b"01234567\nback\n"));
}
