//! A service's output on its way from the FIFO to the log.
//!
//! Owns the read ends and the log's writer. The daemon holds no write end: end of file comes when the last process that
//! could still write is gone. A child opens the FIFO for reading and writing, so it outlives us. What the bytes say is
//! nobody's business here, and how they lie on disk is `log`'s.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use mio::Token;

use crate::engine::{Core, Ending, LogWish, RunId, UnitId};
use crate::log::{self, Gate, Legacy, Limits, Mark, Marked, Missing, Owed, Stream, Writer};
use crate::sys::process::error_text;
use crate::sys::{clock, files};
use crate::unit::{LogLimits, LogPolicy, Signal};

use super::intake::Intake;
use super::keeper::Keeper;
use super::log_care;
use super::overflow::{Course, News, gate, rate};
use super::sources::{Source, Sources};
use super::spot::{Found, Spot};

/// Bytes that are taken from one pipe before others have their turn.
const TURN_BYTES: usize = 512 * 1024;
/// Bytes that are taken at most when a run has ended, before its end is marked: all that a pipe can hold, and more.
const DRAIN_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of a log in which a text is looked for that may have come while no daemon was there.
const LOOK_BACK_BYTES: u64 = 1024 * 1024;

/// How far a pipe was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// It is empty; somebody can still write to it.
    Empty,
    /// It is empty, and nobody has it open for writing.
    End,
    /// There may be more: come again.
    More,
}

/// One service's pipes and log.
#[derive(Debug)]
pub(super) struct UnitLog {
    pub(super) name: Box<str>,
    directory: Box<Path>,
    limits: Limits,
    /// Nothing where its name is no file name.
    pub(super) writer: Option<Writer>,
    pub(super) pipes: Vec<Pipe>,
    /// Whose bytes they are taken for.
    pub(super) run: RunId,
    /// The main process's run, between its marks.
    main: Option<RunId>,
    /// A text that is looked for.
    pub(super) spot: Option<Box<Spot>>,
    pub(super) policy: LogPolicy,
    /// Where not every line is to be kept.
    pub(super) gate: Option<Box<Gate>>,
    /// What is missing beside what the gate and the writer count.
    pub(super) missing: Missing,
    /// How many lost bytes a successor was to be told of last.
    pub(super) saved_bytes: u64,
    /// As of when a successor was told what the index is owed.
    pub(super) saved_changes: u32,
    /// Whether a successor is to be told more of what is missing.
    pub(super) news: News,
    /// When it is tried again whether the log can be written, monotonic milliseconds.
    pub(super) retry_ms: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) stream: Stream,
    path: PathBuf,
    pub(super) reader: OwnedFd,
    token: Token,
    /// What its buffer holds. Few services need more than the usual one, and what all pipes of a user may have together
    /// is bounded.
    pub(super) size: usize,
    /// By how much it was enlarged; a predecessor's part is not counted.
    granted: usize,
}

impl UnitLog {
    /// A log without pipes yet. That it cannot be opened does not keep the service from running.
    pub(super) fn new(name: &str, directory: &Path, limits: LogLimits) -> Self {
        let mut log = Self {
            name: name.into(),
            directory: directory.into(),
            limits: sizes(limits),
            writer: None,
            pipes: Vec::new(),
            run: RunId(0),
            main: None,
            spot: None,
            policy: limits.policy,
            gate: gate(limits),
            missing: Missing::default(),
            saved_bytes: 0,
            saved_changes: 0,
            news: News::None,
            retry_ms: None,
        };
        let opened = log.open_writer();
        let opened = opened.and_then(|()| log.writer.as_mut().map_or(Ok(()), Writer::look));
        if let Err(error) = opened {
            ::log::warn!("{name}: cannot open its log: {}", error_text(&error));
        }
        log
    }

    /// Other limits from now on.
    pub(super) fn limit(&mut self, limits: LogLimits) {
        self.limits = sizes(limits);
        if let Some(writer) = &mut self.writer {
            writer.limit(self.limits);
        }
        self.policy = limits.policy;
        match &mut self.gate {
            // It stays, open: it has counts to tell of, and may have left out the head of a line whose rest is to come.
            Some(gate) => gate.limit(rate(limits)),
            None => self.gate = gate(limits),
        }
    }

    pub(super) fn open_writer(&mut self) -> io::Result<()> {
        if self.writer.is_none() {
            let writer = Writer::unopened(&self.directory, &self.name, self.limits)?;
            self.writer = Some(writer);
        }
        Ok(())
    }

    /// Makes the FIFO and opens our end of it, if that has not been done: before the process that writes is born.
    pub(super) fn open_pipe(
        &mut self,
        (unit, stream): (UnitId, Stream),
        path: &Path,
        owner: Option<(u32, u32)>,
        (sources, keeper): (&mut Sources, &mut Keeper),
    ) -> io::Result<()> {
        files::make_fifo(path, 0o600, owner)?;
        if self.pipes.iter().any(|pipe| pipe.stream == stream) {
            return Ok(());
        }
        let reader = files::open_fifo_reader(path)?;
        let token = sources.add(reader.as_fd(), Source::LogPipe(unit, stream))?;
        keeper.hold(reader.as_fd());
        let size = files::pipe_bytes(reader.as_fd());
        self.pipes.push(Pipe {
            stream,
            path: path.to_owned(),
            reader,
            token,
            size,
            granted: 0,
        });
        Ok(())
    }

    /// What its index is still to be told.
    pub(super) fn owed(&self) -> Option<&Owed> {
        self.writer.as_ref().map(Writer::owed)
    }

    /// Goes on where the log was closed in bad times.
    pub(super) fn inherit(&mut self, legacy: Legacy) {
        if let Some(writer) = &mut self.writer {
            writer.inherit(legacy);
            self.retry();
        }
    }

    /// Our ends of the pipes.
    pub(super) fn readers(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().map(|pipe| pipe.reader.as_fd())
    }

    /// A process of this run is about to write. While there is a main process, all bytes are taken for that one's: they
    /// share its pipe.
    pub(super) fn attribute(&mut self, run: RunId) {
        self.run = self.main.unwrap_or(run);
    }

    /// Marks that a main process's program has begun.
    pub(super) fn begin(&mut self, run: RunId, pid: u32) {
        if self.main.is_some_and(|main| main != run) {
            // Only the first process of a forking service hands over, and only when it has ended well.
            self.end(Ending::Code(0), None);
        }
        self.main = Some(run);
        self.run = run;
        if let Some(gate) = &mut self.gate {
            gate.begin();
        }
        self.mark(run, Mark::Begin { pid });
    }

    /// Goes on with a main process that a predecessor began: marks what it had no time to.
    pub(super) fn resume(&mut self, run: RunId, pid: u32) {
        self.run = run;
        let owed = self.owed().map(|owed| owed.marked(run.0));
        let marked = match owed {
            None | Some(Marked::Nothing) => log::marked(&self.directory, &self.name, run.0),
            Some(marked) => Ok(marked),
        };
        match marked {
            Ok(Marked::Nothing) => self.begin(run, pid),
            Ok(Marked::Begun) | Err(_) => self.main = Some(run),
            Ok(Marked::Ended) => {}
        }
    }

    /// Takes what is left in the pipes and marks the main process's end, if one has begun.
    pub(super) fn end(&mut self, ending: Ending, intake: Option<&mut Intake>) {
        let Some(run) = self.main.take() else { return };
        if let Some(intake) = intake {
            self.drain(intake);
        }
        self.tell_missing();
        self.mark(run, Mark::End(log_ending(ending)));
    }

    fn mark(&mut self, run: RunId, mark: Mark) {
        if let Some(writer) = &mut self.writer {
            writer.mark(clock::wall_ms(), run.0, mark);
            self.say_remade();
        }
    }

    /// Begins the log anew. Returns what was done.
    pub(super) fn tend(&mut self, wish: LogWish) -> io::Result<&'static str> {
        self.open_writer()?;
        match &mut self.writer {
            Some(writer) => log_care::tend(writer, self.run.0, wish),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// By how many bytes the log has grown since this was asked last, and how often it was rotated.
    pub(super) fn take_growth(&mut self) -> (u64, u32) {
        let writer = self.writer.as_mut();
        writer.map_or((0, 0), |writer| {
            (writer.take_written(), writer.take_rotations())
        })
    }

    /// Takes a turn's worth from one pipe.
    pub(super) fn pump(&mut self, pipe: (UnitId, Stream), intake: &mut Intake) -> Pumped {
        let granted = intake.grant(pipe, TURN_BYTES);
        let (taken, pumped) = self.take(pipe.1, intake, granted);
        intake.took(taken);
        if pumped == Pumped::More && self.policy == LogPolicy::Drop {
            self.shed(pipe.1, intake);
        }
        intake.remind(self.due_ms());
        pumped
    }

    /// Takes what is there from all pipes. [`Pumped::End`]: nobody can write any more.
    pub(super) fn drain(&mut self, intake: &mut Intake) -> Pumped {
        let mut all = Pumped::End;
        for stream in [Stream::Out, Stream::Err] {
            match (self.take(stream, intake, DRAIN_BYTES).1, all) {
                (Pumped::End, _) | (_, Pumped::More) => {}
                (other, _) => all = other,
            }
        }
        intake.remind(self.due_ms());
        all
    }

    /// Takes at most `budget` bytes, or one batch more. Returns how many.
    fn take(&mut self, stream: Stream, intake: &mut Intake, budget: usize) -> (usize, Pumped) {
        let mut taken = 0;
        if budget > 0 {
            self.tell_gap();
        }
        while taken < budget {
            let Some(at) = self.pipes.iter().position(|pipe| pipe.stream == stream) else {
                return (taken, Pumped::End);
            };
            match self.take_batch(at, intake, budget - taken) {
                Ok(0) => return (taken, Pumped::End),
                Ok(count) => {
                    taken += count;
                    if let Some(pipe) = self.pipes.get_mut(at) {
                        let size = intake.enlarge(pipe.reader.as_fd(), pipe.size, count);
                        pipe.granted += size - pipe.size;
                        pipe.size = size;
                    }
                }
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        let reason = error_text(&error);
                        ::log::warn!("{}: reading its output: {reason}", self.name);
                    }
                    return (taken, Pumped::Empty);
                }
            }
        }
        (taken, Pumped::More)
    }

    /// From the pipe to the log; what the log does not take is taken from the pipe all the same.
    fn take_batch(&mut self, at: usize, intake: &mut Intake, most: usize) -> io::Result<usize> {
        let Some(pipe) = self.pipes.get(at) else {
            return Ok(0);
        };
        let is_open = self.gate.as_ref().is_none_or(|gate| gate.is_open());
        let reader = pipe.reader.as_fd();
        let of = (pipe.stream, self.run.0);
        let unseen = is_open && self.found() != Some(Found::NotYet);
        let writer = self.writer.as_mut().filter(|_| unseen);
        let moved = writer.and_then(|writer| {
            let now_ms = clock::wall_ms();
            writer.move_from(reader, now_ms, of, most)
        });
        if let Some(moved) = moved {
            self.say_remade();
            return moved;
        }
        let count = intake.look(reader)?;
        let bytes = intake.buffer.get(..count).unwrap_or_default();
        if let Some(spot) = &mut self.spot {
            spot.see(bytes);
        }
        self.sort(at, bytes, Course::Usual)?;
        Ok(count)
    }

    /// From now on this text is looked for.
    pub(super) fn look_for(&mut self, text: &str) {
        self.spot = Some(Box::new(Spot::new(text)));
    }

    /// The same for a process that a predecessor began: what is in the log of this run already counts. What came last
    /// counts where that is long.
    pub(super) fn look_back_for(&mut self, text: &str, run: RunId) {
        if self.spot.is_some() {
            return;
        }
        let mut spot = Spot::new(text);
        let start = log::Start::Near {
            lines: u64::MAX,
            bytes: LOOK_BACK_BYTES,
        };
        let filter = log::Filter {
            stream: None,
            run: Some(run.0),
            ..log::Filter::default()
        };
        let once = log::Mode::Once;
        let read = log::Reader::open(&self.directory, &self.name, start, once, filter);
        let seen = read.and_then(|mut reader| {
            while let Some(entry) = reader.next_entry()? {
                if let log::Content::Line { bytes, end, .. } = entry.content {
                    spot.see(&bytes);
                    if end == log::LineEnd::Newline {
                        spot.see(b"\n");
                    }
                }
            }
            Ok(())
        });
        if let Err(error) = seen {
            ::log::warn!("{}: reading its log: {}", self.name, error_text(&error));
        }
        self.spot = Some(Box::new(spot));
    }

    pub(super) fn look_no_more(&mut self) {
        self.spot = None;
    }

    /// Whether the text that is looked for has come; nothing where none is.
    pub(super) fn found(&self) -> Option<Found> {
        self.spot.as_ref().map(|spot| spot.found())
    }

    /// Closes the pipes and removes their names; for when nobody writes any more.
    pub(super) fn close(
        &mut self,
        intake: &mut Intake,
        (sources, keeper): (&mut Sources, &mut Keeper),
    ) {
        // A main process that nobody could name has gone with the others.
        self.end(Ending::Unknown, None);
        self.tell_missing();
        for pipe in self.pipes.drain(..) {
            sources.remove(pipe.token, pipe.reader.as_fd());
            keeper.release(pipe.reader.as_fd());
            intake.give_back(pipe.granted);
            if let Err(error) = std::fs::remove_file(&pipe.path) {
                ::log::warn!("removing {}: {}", pipe.path.display(), error_text(&error));
            }
        }
    }
}

fn sizes(limits: LogLimits) -> Limits {
    Limits {
        max_size: limits.max_size,
        max_files: limits.max_files,
    }
}

fn log_ending(ending: Ending) -> log::Ending {
    match ending {
        Ending::Code(code) => log::Ending::Exited {
            code: i32::from(code),
        },
        Ending::Signal {
            number,
            core: Core::Dumped | Core::None,
        } => log::Ending::Signaled {
            signal: i32::from(number),
        },
        Ending::OomKilled => log::Ending::Signaled {
            signal: Signal::KILL.number(),
        },
        Ending::Unknown => log::Ending::Unknown,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::io::Write;

    use super::super::intake::BUFFER_BYTES;
    use super::*;
    use crate::sys::testing::alone;
    use crate::unit::LogCompress;

    /// A child holds the FIFO for reading and writing; its bytes are in the log before the end of its run is marked.
    #[test]
    fn bytes_reach_the_log_and_the_end_of_all_writers_is_noticed() {
        alone(
            "daemon::pump::tests::bytes_reach_the_log_and_the_end_of_all_writers_is_noticed",
            || {
                let name = format!("diakonos-pump-{}", std::process::id());
                let folder = std::env::temp_dir().join(name);
                fs::create_dir_all(&folder).unwrap();
                let poll = mio::Poll::new().unwrap();
                let mut sources = Sources::new(poll.registry().try_clone().unwrap());
                let limits = LogLimits {
                    max_size: 1 << 20,
                    max_files: 2,
                    compress: LogCompress::None,
                    policy: LogPolicy::Block,
                    rate: None,
                };
                let mut log = UnitLog::new("web", &folder, limits);
                let fifo = folder.join("web.out");
                let mut intake = Intake::new().unwrap();
                let pipe = (UnitId(1), Stream::Out);
                log.open_pipe(pipe, &fifo, None, (&mut sources, &mut Keeper::default()))
                    .unwrap();
                assert_eq!(
                    log.pump(pipe, &mut intake),
                    Pumped::End,
                    "nobody writes yet"
                );

                let mut writer = fs::OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open(&fifo)
                    .unwrap();
                log.begin(RunId(7), 99);
                writer.write_all(b"one\ntwo\n").unwrap();
                assert_eq!(log.pump(pipe, &mut intake), Pumped::Empty);
                writer.write_all(b"last").unwrap();
                log.end(Ending::Code(0), Some(&mut intake));
                drop(writer);
                assert_eq!(log.drain(&mut intake), Pumped::End);
                assert_eq!(fs::read(folder.join("web.log")).unwrap(), b"one\ntwo\nlast");

                let index = log::index::decode(&fs::read(folder.join("web.idx")).unwrap()).unwrap();
                let end = index.records.last().unwrap();
                assert_eq!(
                    end.what,
                    log::index::What::Mark(Mark::End(log::Ending::Exited { code: 0 }))
                );
                assert!(index.records.iter().all(|record| record.run == 7));
                log.close(&mut intake, (&mut sources, &mut Keeper::default()));
                assert!(!fifo.exists());
                fs::remove_dir_all(&folder).unwrap();
            },
        );
    }

    /// Far from the bound bytes are moved unseen, near it they are looked at; no line is lost, doubled or divided.
    #[test]
    fn rotation_is_at_line_ends_by_either_way() {
        let name = format!("diakonos-bound-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let poll = mio::Poll::new().unwrap();
        let mut sources = Sources::new(poll.registry().try_clone().unwrap());
        let max_size = 5 * BUFFER_BYTES as u64 / 2;
        let limits = LogLimits {
            max_size,
            max_files: 9,
            compress: LogCompress::None,
            policy: LogPolicy::Block,
            rate: None,
        };
        let mut log = UnitLog::new("web", &folder, limits);
        let fifo = folder.join("web.out");
        let mut intake = Intake::new().unwrap();
        let pipe = (UnitId(1), Stream::Out);
        log.open_pipe(pipe, &fifo, None, (&mut sources, &mut Keeper::default()))
            .unwrap();
        let mut writer = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&fifo)
            .unwrap();
        log.begin(RunId(7), 99);
        let lines: Vec<String> = (0..60_000).map(|number| format!("{number}\n")).collect();
        // Few enough for a pipe of any size, and whole lines.
        for some in lines.chunks(600) {
            writer.write_all(some.concat().as_bytes()).unwrap();
            assert_eq!(log.pump(pipe, &mut intake), Pumped::Empty);
        }
        let file = |number| fs::read(folder.join(number)).unwrap();
        let files = [file("web.log.2"), file("web.log.1"), file("web.log")];
        for full in &files[..2] {
            let length = full.len() as u64;
            assert!(length <= max_size && length + 6 > max_size, "{length}");
            assert_eq!(full.last(), Some(&b'\n'));
        }
        assert_eq!(files.concat(), lines.concat().as_bytes());
        log.close(&mut intake, (&mut sources, &mut Keeper::default()));
        fs::remove_dir_all(&folder).unwrap();
    }

    /// A pipe that writes lines, its log, and what the log is to take.
    struct Bench {
        folder: std::path::PathBuf,
        log: UnitLog,
        intake: Intake,
        writer: fs::File,
        sources: Sources,
        _poll: mio::Poll,
    }

    const PIPE: (UnitId, Stream) = (UnitId(1), Stream::Out);

    impl Bench {
        fn new(name: &str, policy: LogPolicy, rate: Option<crate::unit::LogRate>) -> Bench {
            let name = format!("diakonos-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(&folder).unwrap();
            let poll = mio::Poll::new().unwrap();
            let mut sources = Sources::new(poll.registry().try_clone().unwrap());
            let limits = LogLimits {
                max_size: 1 << 20,
                max_files: 2,
                compress: LogCompress::None,
                policy,
                rate,
            };
            let mut log = UnitLog::new("web", &folder.join("logs"), limits);
            let fifo = folder.join("web.out");
            let keeper = &mut Keeper::default();
            log.open_pipe(PIPE, &fifo, None, (&mut sources, keeper))
                .unwrap();
            let mut options = fs::OpenOptions::new();
            let writer = options.read(true).write(true).open(&fifo).unwrap();
            log.begin(RunId(7), 99);
            Bench {
                folder,
                log,
                intake: Intake::new().unwrap(),
                writer,
                sources,
                _poll: poll,
            }
        }

        fn written(&self) -> String {
            fs::read_to_string(self.folder.join("logs/web.log")).unwrap()
        }

        /// What the index tells of missing lines, and where.
        fn told_at(&self) -> Vec<(u64, log::Loss)> {
            let index = fs::read(self.folder.join("logs/web.idx")).unwrap();
            let records = log::index::decode(&index).unwrap().records;
            let lost = records.iter().filter_map(|record| match record.what {
                log::index::What::Mark(Mark::Lost(loss)) => Some((record.offset, loss)),
                _ => None,
            });
            lost.collect()
        }

        fn told(&self) -> Vec<log::Loss> {
            self.told_at().into_iter().map(|(_, loss)| loss).collect()
        }

        fn end(mut self) {
            let kept = (&mut self.sources, &mut Keeper::default());
            self.log.close(&mut self.intake, kept);
            fs::remove_dir_all(&self.folder).unwrap();
        }
    }

    /// Also where the next interval's lines are read before anybody has looked at the clock.
    #[test]
    fn what_is_left_out_is_told_of_before_the_line_that_follows_it() {
        let rate = crate::unit::LogRate {
            interval_ms: 1,
            burst: 1,
        };
        let mut bench = Bench::new("rate-order", LogPolicy::Block, Some(rate));
        bench.writer.write_all(b"one\ntwo\n").unwrap();
        bench.log.pump(PIPE, &mut bench.intake);
        let left_out_ms = clock::monotonic_ms();
        while clock::monotonic_ms() <= left_out_ms + 1 {
            std::thread::yield_now();
        }
        bench.writer.write_all(b"three\n").unwrap();
        bench.log.pump(PIPE, &mut bench.intake);
        assert_eq!(bench.written(), "one\nthree\n");
        let index = fs::read(bench.folder.join("logs/web.idx")).unwrap();
        let records = log::index::decode(&index).unwrap().records;
        let lost = log::index::What::Mark(Mark::Lost(log::Loss::Limited { lines: 1 }));
        let lost = records.iter().find(|record| record.what == lost).unwrap();
        assert_eq!(lost.offset, 4, "{records:?}");
        bench.end();
    }

    #[test]
    fn lines_over_the_rate_are_left_out_and_told_of() {
        let rate = crate::unit::LogRate {
            interval_ms: 3_600_000,
            burst: 2,
        };
        let mut bench = Bench::new("rate", LogPolicy::Block, Some(rate));
        let before_ms = clock::monotonic_ms();
        bench.writer.write_all(b"one\ntw").unwrap();
        bench.log.pump(PIPE, &mut bench.intake);
        bench.writer.write_all(b"o\nthree\nfour\nfi").unwrap();
        bench.log.pump(PIPE, &mut bench.intake);
        assert_eq!(bench.written(), "one\ntwo\n");
        assert_eq!(bench.log.missing().limited_lines, 3);
        let due_ms = bench.intake.due_ms().unwrap();
        assert!(due_ms > before_ms);
        assert_eq!(bench.log.on_time(due_ms - 1), Some(due_ms));
        assert_eq!((bench.told(), bench.log.take_news()), (vec![], News::None));
        assert_eq!(bench.log.on_time(due_ms), None);
        assert_eq!(bench.told(), [log::Loss::Limited { lines: 3 }]);
        assert_eq!(bench.log.take_news(), News::Some);
        // An end tells of the rest at once.
        bench.writer.write_all(b"ve\nsix\n").unwrap();
        bench.log.end(Ending::Code(0), Some(&mut bench.intake));
        assert_eq!(bench.told()[1..], [log::Loss::Limited { lines: 1 }]);
        assert_eq!(bench.written(), "one\ntwo\n");
        bench.end();
    }

    /// What was left out is told of, and of a line whose head was left out the rest is, too.
    #[test]
    fn a_limit_that_is_taken_away_leaves_no_half_line() {
        let rate = crate::unit::LogRate {
            interval_ms: 3_600_000,
            burst: 1,
        };
        let mut bench = Bench::new("unlimited", LogPolicy::Block, Some(rate));
        bench.writer.write_all(b"one\ntwo\nhal").unwrap();
        bench.log.pump(PIPE, &mut bench.intake);
        bench.log.limit(LogLimits {
            max_size: 1 << 20,
            max_files: 2,
            compress: LogCompress::None,
            policy: LogPolicy::Block,
            rate: None,
        });
        bench.writer.write_all(b"f\nnext\n").unwrap();
        bench.log.pump(PIPE, &mut bench.intake);
        assert_eq!(bench.written(), "one\nnext\n");
        let due_ms = bench.intake.due_ms().unwrap();
        assert_eq!(bench.log.on_time(due_ms), None);
        assert_eq!(bench.told(), [log::Loss::Limited { lines: 2 }]);
        assert_eq!(bench.log.missing().limited_lines, 2);
        bench.end();
    }

    /// A line of which nothing could be written is one line, and over no limit.
    #[test]
    fn the_rest_of_a_lost_line_is_no_new_one() {
        let rate = crate::unit::LogRate {
            interval_ms: 3_600_000,
            burst: 1,
        };
        let mut bench = Bench::new("lost-head", LogPolicy::Block, Some(rate));
        let file = bench.folder.join("logs/web.log");
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/full", &file).unwrap();
        bench.log.writer = None;
        bench.log.open_writer().unwrap();
        for piece in [&b"head"[..], b" and rest\n"] {
            bench.writer.write_all(piece).unwrap();
            assert_eq!(bench.log.pump(PIPE, &mut bench.intake), Pumped::Empty);
        }
        let missing = bench.log.missing();
        assert_eq!((missing.bytes, missing.limited_lines), (14, 0));
        bench.end();
    }

    /// Nothing may be taken in this turn, and the pipe is full: a service that must not wait loses lines.
    #[test]
    fn a_log_that_is_behind_leaves_out_whole_lines() {
        for policy in [LogPolicy::Block, LogPolicy::Drop] {
            let mut bench = Bench::new(&format!("behind-{policy:?}"), policy, None);
            bench.writer.write_all(b"kept\nbegun ").unwrap();
            assert_eq!(bench.log.pump(PIPE, &mut bench.intake), Pumped::Empty);
            let other = (UnitId(2), Stream::Out);
            let all = bench.intake.grant(other, usize::MAX);
            bench.intake.took(all);
            let lines = "x".repeat(99) + "\n";
            let full = "and ended\n".to_owned() + &lines.repeat(600) + "not ended";
            bench.writer.write_all(full.as_bytes()).unwrap();
            assert_eq!(bench.log.pump(PIPE, &mut bench.intake), Pumped::More);
            if policy == LogPolicy::Block {
                assert_eq!(bench.written(), "kept\nbegun ");
                assert_eq!(bench.log.missing(), Missing::default());
            } else {
                assert_eq!(bench.written(), "kept\nbegun and ended\n");
                assert_eq!(bench.log.missing().dropped_lines, 601);
                bench.intake.begin_turn();
                bench.writer.write_all(b" yet\nwhole again\n").unwrap();
                assert_eq!(bench.log.pump(PIPE, &mut bench.intake), Pumped::Empty);
                assert_eq!(bench.written(), "kept\nbegun and ended\nwhole again\n");
                // It is told of where it is missing, and at once.
                let dropped = log::Loss::Dropped { lines: 601 };
                assert_eq!(bench.told_at(), [(21, dropped)]);
            }
            bench.end();
        }
    }

    /// systemd.service(5), Type=forking: the first process has ended well when another one becomes the main process.
    #[test]
    fn a_main_process_that_hands_over_has_ended_well() {
        let name = format!("diakonos-handover-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let limits = LogLimits {
            max_size: 1 << 20,
            max_files: 2,
            compress: LogCompress::None,
            policy: LogPolicy::Block,
            rate: None,
        };
        let mut log = UnitLog::new("web", &folder, limits);
        log.begin(RunId(7), 99);
        log.begin(RunId(8), 100);
        let index = log::index::decode(&fs::read(folder.join("web.idx")).unwrap()).unwrap();
        let end = log::index::What::Mark(Mark::End(log::Ending::Exited { code: 0 }));
        let of_seven = index.records.iter().rfind(|record| record.run == 7);
        assert_eq!(of_seven.unwrap().what, end);
        fs::remove_dir_all(&folder).unwrap();
    }
}
