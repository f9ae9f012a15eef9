//! Times, runs and numbers of lines: what is shown is what a look at everything would show, and little else is read.

use super::super::index::{self, Record, What};
use super::super::{Course, LineEnd, Listing, Sieve, has_run, last_runs};
use super::*;

/// What there is, by a look at everything.
fn model(all: &[Entry], filter: Filter) -> Vec<Entry> {
    let wanted = |entry: &&Entry| {
        filter.since_ms.is_none_or(|since| entry.time_ms >= since)
            && filter.until_ms.is_none_or(|until| entry.time_ms <= until)
            && filter.run.is_none_or(|run| entry.run == run)
    };
    all.iter().filter(wanted).cloned().collect()
}

fn filled(seed: u64) -> (Folder, u64) {
    let (folder, mut seeded) = (Folder::new(), Seeded(seed));
    let mut writer = folder.writer(400 + seeded.below(3000), 1000);
    let (mut now_ms, mut line) = (1000, 0);
    for run in 1..6 {
        writer.mark(now_ms, run * 3, super::super::Mark::Begin { pid: 7 });
        for _ in 0..seeded.below(120) {
            now_ms += seeded.below(30);
            let mut text = String::new();
            for _ in 0..seeded.below(4) {
                line += 1;
                text.push_str(&format!("line {line}{}\n", "x".repeat(line % 50)));
            }
            if seeded.below(3) == 0 {
                text.push_str("begun ");
            }
            writer.append(now_ms, Stream::Out, run * 3, text.as_bytes());
        }
        writer.append(now_ms, Stream::Out, run * 3, b"\n");
        now_ms += seeded.below(500);
    }
    (folder, now_ms)
}

#[test]
fn what_is_sought_is_what_a_look_at_everything_shows() {
    for seed in 0..60 {
        let (folder, end_ms) = filled(seed);
        let all = folder.entries();
        let mut seeded = Seeded(seed ^ 77);
        for _ in 0..12 {
            let mut some = |bound| Some(seeded.below(bound)).filter(|_| bound % 2 == 0);
            let filter = Filter {
                since_ms: some(end_ms & !1).or(some(end_ms | 1)),
                until_ms: some((end_ms + 100) | 1).or(some(end_ms & !1)),
                run: None,
                stream: None,
            };
            let by_run = Filter {
                run: some(18),
                ..Filter::default()
            };
            for filter in [
                filter,
                by_run,
                Filter {
                    until_ms: None,
                    ..filter
                },
                Filter {
                    since_ms: None,
                    ..filter
                },
            ] {
                let wanted = model(&all, filter);
                let read = drain(&mut folder.reader(Start::Oldest, Mode::Once, filter));
                assert_eq!(read, wanted, "seed {seed}, {filter:?}");
                let lines = texts(&wanted);
                let number = seeded.below(40);
                let read = drain(&mut folder.reader(Start::Last(number), Mode::Once, filter));
                let skipped = lines.len().saturating_sub(usize::try_from(number).unwrap());
                assert_eq!(
                    texts(&read),
                    lines[skipped..],
                    "seed {seed}, {filter:?}, last {number}"
                );
            }
        }
    }
}

#[derive(Debug)]
struct Ending(&'static str);

impl Sieve for Ending {
    fn lets_through(&mut self, entry: &Entry) -> bool {
        text(entry).is_some_and(|text| text.ends_with(self.0))
    }

    fn skim(&self, _: Stream, bytes: &[u8]) -> usize {
        // A line that ends so has this in it.
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let is_other =
            |line: &&[u8]| line.ends_with(b"\n") && !String::from_utf8_lossy(line).contains(self.0);
        lines.take_while(is_other).map(<[u8]>::len).sum()
    }
}

#[test]
fn the_last_lines_that_a_sieve_lets_through_are_found() {
    let folder = Folder::new();
    let mut writer = folder.writer(64 * 1024, 1000);
    for number in 0..20_000 {
        append(&mut writer, number, &format!("number {number}\n"));
    }
    let read = |lines, ending| {
        let course = Course {
            start: Start::Last(lines),
            mode: Mode::Once,
        };
        let sieve: Box<dyn Sieve> = Box::new(Ending(ending));
        let filter = Filter::default();
        let reader = Reader::sifted(
            &Listing::none(&folder.0),
            "web",
            course,
            filter,
            Some(sieve),
        );
        texts(&drain(&mut reader.unwrap()))
    };
    assert_eq!(read(2, "999"), ["number 18999", "number 19999"]);
    let twelve = read(12, "999");
    assert_eq!(twelve.first().map(String::as_str), Some("number 8999"));
    assert_eq!(read(100, "999").len(), 20);
    assert_eq!(read(3, " 17"), ["number 17"]);
    assert!(read(3, "nothing").is_empty());
    assert!(read(0, "999").is_empty());
}

#[test]
fn a_line_of_many_pieces_is_one() {
    let folder = Folder::new();
    let mut writer = folder.writer(1 << 30, 5);
    append(&mut writer, 1, "first\n");
    append(&mut writer, 2, &"y".repeat(300_000));
    append(&mut writer, 3, "\nlast\n");
    let filter = Filter::default();
    let entries = drain(&mut folder.reader(Start::Last(2), Mode::Once, filter));
    let bytes: usize = texts(&entries).iter().map(String::len).sum();
    assert_eq!(bytes, 300_000 + 4);
    let ends = entries.iter().filter(
        |entry| matches!(&entry.content, Content::Line { end, .. } if *end == LineEnd::Newline),
    );
    assert_eq!(ends.count(), 2);
}

#[test]
fn runs_are_told_from_the_index() {
    let (folder, _) = filled(5);
    let runs = last_runs(&folder.0, "web", 3).unwrap();
    assert_eq!(runs, [15, 12, 9]);
    assert_eq!(last_runs(&folder.0, "web", 99).unwrap(), [15, 12, 9, 6, 3]);
    assert_eq!(last_runs(&folder.0, "other", 99).unwrap(), []);
    for run in 0..20 {
        let is_one = run > 0 && run < 16 && run % 3 == 0;
        assert_eq!(has_run(&folder.0, "web", run).unwrap(), is_one, "{run}");
    }
}

/// Bytes and calls of this thread's reading, as the kernel counts them.
fn reading() -> (u64, u64) {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    (number("rchar:"), number("syscr:"))
}

/// A log of ten gigabytes: a hole, but for the lines at its end, and a record for each ten thousand bytes.
fn vast() -> (Folder, u64) {
    const SIZE: u64 = 10 << 30;
    const BATCH: u32 = 10_000;
    let folder = Folder::new();
    let lines: String = (0..10_000).map(|n| format!("{n:099}\n")).collect();
    let file = fs::File::create(folder.path("web.log")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, lines.as_bytes(), SIZE - 1_000_000).unwrap();
    let mut bytes = index::header().to_vec();
    let (mut offset, mut time_ms) = (0, 0);
    while offset < SIZE {
        let length = u32::try_from((SIZE - offset).min(u64::from(BATCH))).unwrap();
        let what = What::Bytes {
            stream: Stream::Out,
            length,
        };
        let run = 1 + offset / (SIZE / 4);
        bytes.extend(
            Record {
                time_ms,
                offset,
                run,
                what,
            }
            .encode(),
        );
        offset += u64::from(length);
        time_ms += 20;
    }
    write(&folder.path("web.idx"), &bytes);
    (folder, time_ms - 20)
}

#[test]
fn of_ten_gigabytes_little_is_read() {
    let (folder, end_ms) = vast();
    let read = |start, filter| {
        let before = reading();
        let entries = drain(&mut folder.reader(start, Mode::Once, filter));
        let after = reading();
        (entries.len(), after.0 - before.0, after.1 - before.1)
    };
    let all = Filter::default();
    let since = Filter {
        since_ms: Some(end_ms - 1000),
        ..all
    };
    let apart = Filter {
        stream: Some(Stream::Err),
        ..all
    };
    for (start, filter, wanted, bytes_max) in [
        (Start::Last(100), all, 100, 300_000),
        (Start::Oldest, since, 5_024, 1_500_000),
        (Start::Last(100), since, 100, 300_000),
        // Whatever is of another stream is passed in the index, once back and once forth.
        (Start::Last(100), apart, 0, 80_000_000),
    ] {
        let (count, bytes, calls) = read(start, filter);
        let told = format!("{start:?} {filter:?}: {count} lines, {bytes} bytes, {calls} calls");
        assert!(count.abs_diff(wanted) <= 100, "{told}");
        assert!(bytes < bytes_max && calls < 1_000, "{told}");
    }
    let before = reading();
    assert_eq!(last_runs(&folder.0, "web", 9).unwrap(), [4, 3, 2, 1]);
    assert!(reading().0 - before.0 < 1_000_000);
}

/// Of many logs the folder is listed once; whoever is opened later finds files that were moved, made and removed since.
#[test]
fn an_old_listing_shows_what_a_new_one_does() {
    let names = ["web", "db", "late"].map(str::to_owned);
    let starts = [Start::Oldest, Start::Last(4), Start::Last(1000)];
    for (lines, since_ms) in [
        (0, None),
        (1, None),
        (30, None),
        (500, Some(12)),
        (30, Some(3)),
    ] {
        let folder = Folder::new();
        let write = |name: &str, from: u64, to: u64| {
            let limits = Limits {
                max_size: 60,
                max_files: 5,
            };
            let mut writer = Writer::open(&folder.0, name, limits).unwrap();
            for number in from..to {
                let line = format!("{name} {number}\n");
                writer.append(number * 20, Stream::Out, 1, line.as_bytes());
            }
        };
        write("web", 0, 30);
        write("db", 0, 3);
        let listing = Listing::of(&folder.0, &names);
        write("web", 30, 30 + lines);
        write("db", 3, 3 + lines);
        write("late", 0, lines);
        let filter = Filter {
            since_ms: since_ms.map(|number| number * 20),
            ..Filter::default()
        };
        for (name, start) in names
            .iter()
            .flat_map(|name| starts.map(|start| (name, start)))
        {
            let mode = Mode::Once;
            let course = Course { start, mode };
            let mut one = Reader::sifted(&listing, name, course, filter, None).unwrap();
            let mut other = Reader::open(&folder.0, name, start, mode, filter).unwrap();
            let told = texts(&drain(&mut one));
            assert_eq!(told, texts(&drain(&mut other)), "{name} {start:?} {lines}");
        }
    }
}
