//! A pipe that a service writes to, and what of it is in the log.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;

use crate::log::index::{self, Record, What};
use crate::log::{self, Loss, Mark};
use crate::sys::clock;
use crate::sys::testing::alone;
use crate::unit::{LogCompress, LogRate};

use super::super::intake::BUFFER_BYTES;
use super::*;

const HOUR_MS: u32 = 3_600_000;

/// A service's pipe, whoever writes to it, and its log.
struct Bench {
    folder: PathBuf,
    log: UnitLog,
    intake: Intake,
    writer: fs::File,
    sources: Sources,
    _poll: mio::Poll,
}

const PIPE: (UnitId, Stream) = (UnitId(1), Stream::Out);

const USUAL: LogLimits = LogLimits {
    max_size: 1 << 20,
    max_files: 2,
    compress: LogCompress::None,
    policy: LogPolicy::Block,
    rate: None,
};

/// So many lines are kept of all that come in this time.
fn at_most(burst: u32, interval_ms: u32) -> LogLimits {
    LogLimits {
        rate: Some(LogRate { interval_ms, burst }),
        ..USUAL
    }
}

impl Bench {
    /// Run 7 has begun. As a child does, the writer holds the FIFO for reading and writing.
    fn new(name: &str, limits: LogLimits) -> Bench {
        let name = format!("diakonos-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        // Somebody who had our number may have been killed.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let poll = mio::Poll::new().unwrap();
        let mut sources = Sources::new(poll.registry().try_clone().unwrap());
        let mut log = UnitLog::new("web", &folder.join("logs"), limits);
        let fifo = folder.join("web.out");
        let kept = (&mut sources, &mut Keeper::default());
        log.open_pipe(PIPE, &fifo, None, kept).unwrap();
        let mut intake = Intake::new().unwrap();
        let before = log.pump(PIPE, &mut intake);
        assert_eq!(before, Pumped::End, "nobody writes yet");
        let mut options = fs::OpenOptions::new();
        let writer = options.read(true).write(true).open(&fifo).unwrap();
        log.begin(RunId(7), 99);
        Bench {
            folder,
            log,
            intake,
            writer,
            sources,
            _poll: poll,
        }
    }

    fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.writer.write_all(bytes.as_ref()).unwrap();
    }

    fn pump(&mut self) -> Pumped {
        self.log.pump(PIPE, &mut self.intake)
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join("logs").join(name)).unwrap()
    }

    fn written(&self) -> String {
        self.file("web.log")
    }

    fn records(&self) -> Vec<Record> {
        let index = fs::read(self.folder.join("logs/web.idx")).unwrap();
        index::decode(&index).unwrap().records
    }

    /// What the index tells of missing lines, and where.
    fn told_at(&self) -> Vec<(u64, Loss)> {
        let lost = self.records().into_iter();
        let lost = lost.filter_map(|record| match record.what {
            What::Mark(Mark::Lost(loss)) => Some((record.offset, loss)),
            _ => None,
        });
        lost.collect()
    }

    fn told(&self) -> Vec<Loss> {
        self.told_at().into_iter().map(|(_, loss)| loss).collect()
    }

    fn end(mut self) {
        let kept = (&mut self.sources, &mut Keeper::default());
        self.log.close(&mut self.intake, kept);
        assert!(!self.folder.join("web.out").exists());
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// All bytes are in the log before the end of their run is marked. Alone, since the child of another test has a copy
/// of the pipe until it is a program of its own.
#[test]
fn bytes_reach_the_log_and_the_end_of_all_writers_is_noticed() {
    let name = "bytes_reach_the_log_and_the_end_of_all_writers_is_noticed";
    alone(&format!("daemon::pump::tests::{name}"), || {
        let mut bench = Bench::new("pump", USUAL);
        bench.write("one\ntwo\n");
        assert_eq!(bench.pump(), Pumped::Empty);
        bench.write("last");
        bench.log.end(Ending::Code(0), Some(&mut bench.intake));
        bench.writer = fs::File::open("/dev/null").unwrap();
        assert_eq!(bench.log.drain(&mut bench.intake), Pumped::End);
        assert_eq!(bench.written(), "one\ntwo\nlast");
        let records = bench.records();
        let end = What::Mark(Mark::End(log::Ending::Exited { code: 0 }));
        assert_eq!(records.last().unwrap().what, end);
        assert!(records.iter().all(|record| record.run == 7));
        bench.end();
    });
}

/// Far from the bound bytes are moved unseen, near it they are looked at; no line is lost, doubled or divided.
#[test]
fn rotation_is_at_line_ends_by_either_way() {
    let max_size = 5 * BUFFER_BYTES as u64 / 2;
    let limits = LogLimits {
        max_size,
        max_files: 9,
        ..USUAL
    };
    let mut bench = Bench::new("bound", limits);
    let lines: Vec<String> = (0..60_000).map(|number| format!("{number}\n")).collect();
    // Few enough for a pipe of any size, and whole lines.
    for some in lines.chunks(600) {
        bench.write(some.concat());
        assert_eq!(bench.pump(), Pumped::Empty);
    }
    let files = ["web.log.2", "web.log.1", "web.log"].map(|name| bench.file(name));
    for full in &files[..2] {
        let length = full.len() as u64;
        assert!(length <= max_size && length + 6 > max_size, "{length}");
        assert!(full.ends_with('\n'));
    }
    assert_eq!(files.concat(), lines.concat());
    bench.end();
}

/// Also where the next interval's lines are read before anybody has looked at the clock.
#[test]
fn what_is_left_out_is_told_of_before_the_line_that_follows_it() {
    let mut bench = Bench::new("rate-order", at_most(1, 1));
    bench.write("one\ntwo\n");
    bench.pump();
    let left_out_ms = clock::monotonic_ms();
    while clock::monotonic_ms() <= left_out_ms + 1 {
        std::thread::yield_now();
    }
    bench.write("three\n");
    bench.pump();
    assert_eq!(bench.written(), "one\nthree\n");
    let records = bench.records();
    let lost = What::Mark(Mark::Lost(Loss::Limited { lines: 1 }));
    let lost = records.iter().find(|record| record.what == lost).unwrap();
    assert_eq!(lost.offset, 4, "{records:?}");
    bench.end();
}

#[test]
fn lines_over_the_rate_are_left_out_and_told_of() {
    let mut bench = Bench::new("rate", at_most(2, HOUR_MS));
    let before_ms = clock::monotonic_ms();
    bench.write("one\ntw");
    bench.pump();
    bench.write("o\nthree\nfour\nfi");
    bench.pump();
    assert_eq!(bench.written(), "one\ntwo\n");
    assert_eq!(bench.log.missing().limited_lines, 3);
    let due_ms = bench.intake.due_ms().unwrap();
    assert!(due_ms > before_ms);
    assert_eq!(bench.log.on_time(due_ms - 1), Some(due_ms));
    assert_eq!((bench.told(), bench.log.take_news()), (vec![], News::None));
    assert_eq!(bench.log.on_time(due_ms), None);
    assert_eq!(bench.told(), [Loss::Limited { lines: 3 }]);
    assert_eq!(bench.log.take_news(), News::Some);
    // An end tells of the rest at once.
    bench.write("ve\nsix\n");
    bench.log.end(Ending::Code(0), Some(&mut bench.intake));
    assert_eq!(bench.told()[1..], [Loss::Limited { lines: 1 }]);
    assert_eq!(bench.written(), "one\ntwo\n");
    bench.end();
}

/// What was left out is told of, and of a line whose head was left out the rest is, too.
#[test]
fn a_limit_that_is_taken_away_leaves_no_half_line() {
    let mut bench = Bench::new("unlimited", at_most(1, HOUR_MS));
    bench.write("one\ntwo\nhal");
    bench.pump();
    bench.log.limit(USUAL);
    bench.write("f\nnext\n");
    bench.pump();
    assert_eq!(bench.written(), "one\nnext\n");
    let due_ms = bench.intake.due_ms().unwrap();
    assert_eq!(bench.log.on_time(due_ms), None);
    assert_eq!(bench.told(), [Loss::Limited { lines: 2 }]);
    assert_eq!(bench.log.missing().limited_lines, 2);
    bench.end();
}

/// A line of which nothing could be written is one line, and over no limit.
#[test]
fn the_rest_of_a_lost_line_is_no_new_one() {
    let mut bench = Bench::new("lost-head", at_most(1, HOUR_MS));
    let file = bench.folder.join("logs/web.log");
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    bench.log.writer = None;
    bench.log.open_writer().unwrap();
    for piece in ["head", " and rest\n"] {
        bench.write(piece);
        assert_eq!(bench.pump(), Pumped::Empty);
    }
    let missing = bench.log.missing();
    assert_eq!((missing.bytes, missing.limited_lines), (14, 0));
    bench.end();
}

/// Nothing may be taken in this turn, and the pipe is full: a service that must not wait loses lines.
#[test]
fn a_log_that_is_behind_leaves_out_whole_lines() {
    for policy in [LogPolicy::Block, LogPolicy::Drop] {
        let mut bench = Bench::new(&format!("behind-{policy:?}"), LogLimits { policy, ..USUAL });
        bench.write("kept\nbegun ");
        assert_eq!(bench.pump(), Pumped::Empty);
        let other = (UnitId(2), Stream::Out);
        let all = bench.intake.grant(other, usize::MAX);
        bench.intake.took(all);
        let lines = "x".repeat(99) + "\n";
        let full = "and ended\n".to_owned() + &lines.repeat(600) + "not ended";
        bench.write(full);
        assert_eq!(bench.pump(), Pumped::More);
        if policy == LogPolicy::Block {
            assert_eq!(bench.written(), "kept\nbegun ");
            assert_eq!(bench.log.missing(), Missing::default());
        } else {
            assert_eq!(bench.written(), "kept\nbegun and ended\n");
            assert_eq!(bench.log.missing().dropped_lines, 601);
            bench.intake.begin_turn();
            bench.write(" yet\nwhole again\n");
            assert_eq!(bench.pump(), Pumped::Empty);
            assert_eq!(bench.written(), "kept\nbegun and ended\nwhole again\n");
            // It is told of where it is missing, and at once.
            let dropped = Loss::Dropped { lines: 601 };
            assert_eq!(bench.told_at(), [(21, dropped)]);
        }
        bench.end();
    }
}

/// A process of the life before has a pipe that was removed, and fills it without end.
#[test]
fn a_loud_pipe_keeps_nobody_out_who_has_the_same_stream() {
    let mut bench = Bench::new("two", USUAL);
    let fifo = bench.folder.join("web.out");
    fs::remove_file(&fifo).unwrap();
    let kept = (&mut bench.sources, &mut Keeper::default());
    bench.log.open_pipe(PIPE, &fifo, None, kept).unwrap();
    let mut options = fs::OpenOptions::new();
    let mut quiet = options.read(true).write(true).open(&fifo).unwrap();
    quiet.write_all(b"quiet\n").unwrap();
    for _ in 0..2 {
        bench.write("loud\n".repeat(100));
        bench.intake.begin_turn();
        let all = bench.intake.grant((UnitId(2), Stream::Out), usize::MAX);
        bench.intake.took(all - 5);
        assert_eq!(bench.pump(), Pumped::More);
    }
    let written = bench.written();
    assert!(written.starts_with("loud\n") && written.contains("quiet"));
    drop(quiet);
    bench.end();
}

/// systemd.service(5), Type=forking: the first process has ended well when another one becomes the main process.
#[test]
fn a_main_process_that_hands_over_has_ended_well() {
    let mut bench = Bench::new("handover", USUAL);
    bench.log.begin(RunId(8), 100);
    let records = bench.records();
    let end = What::Mark(Mark::End(log::Ending::Exited { code: 0 }));
    let of_seven = records.iter().rfind(|record| record.run == 7);
    assert_eq!(of_seven.unwrap().what, end);
    bench.end();
}
