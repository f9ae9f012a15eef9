//! Which of a service's lines go to its log, where not all of them are to: `LogRateLimit*=` and `LogPolicy=drop`.
//! Pure.
//!
//! Owns the division at line ends and the count of what is left out. Does not own the bytes, nor the question whether
//! the log can take them. A line goes to the log as a whole or not at all: its head decides for the rest of it.

use super::index::{Loss, Stream};
use super::outcome::Missing;

/// Lines that were dropped are told of before the next line that is kept, and where none comes, after this time.
const TELL_MS: u64 = 1_000;
/// Gaps that follow each other within this time are told of as one, at the last of them: the index does not divide time
/// more finely either.
const GAP_MS: u64 = 10;
/// The same of lines over the rate, where the interval takes longer: a daemon that is killed has told of most.
const TELL_LIMITED_MS: u64 = 5_000;

/// So many lines in so much time, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub interval_ms: u64,
    /// Lines, at least 1.
    pub burst: u32,
}

/// What becomes of the first bytes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Keep(usize),
    LeaveOut(usize),
}

/// Why lines are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// `LogPolicy=drop`.
    Late,
    /// `LogRateLimitBurst=`.
    Limit,
}

/// What becomes of the rest of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    /// What became of its head.
    #[default]
    Same,
    LeftOut,
}

/// One service's gate.
#[derive(Debug, Default)]
pub struct Gate {
    rate: Option<Rate>,
    /// When the interval began, and how many lines have come in it.
    since_ms: u64,
    lines: u32,
    /// What becomes of the rest of the present line, for each stream.
    rest: [Rest; 2],
    /// What nobody has been told of yet, and when that is due.
    untold: Missing,
    due_ms: Option<u64>,
    /// When a gap was told of last.
    gap_ms: u64,
    total: Missing,
}

impl Gate {
    #[must_use]
    pub fn new(rate: Option<Rate>) -> Gate {
        Gate {
            rate,
            ..Gate::default()
        }
    }

    /// Another rate from now on.
    pub fn limit(&mut self, rate: Option<Rate>) {
        if self.rate != rate {
            (self.rate, self.lines) = (rate, 0);
        }
    }

    /// Whether all that comes is kept, so that nobody needs to look at it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.rate.is_none() && self.rest == [Rest::Same; 2]
    }

    /// What becomes of the head of `bytes`, which are not empty. `now_ms` is monotonic; `within_line`: the log ends
    /// within a line of this stream.
    pub fn pass(&mut self, now_ms: u64, stream: Stream, within_line: bool, bytes: &[u8]) -> Pass {
        if let Some(pass) = self.finish_line(stream, within_line, bytes) {
            return pass;
        }
        let Some(rate) = self.rate else {
            return Pass::Keep(bytes.len());
        };
        if now_ms.saturating_sub(self.since_ms) >= rate.interval_ms {
            (self.since_ms, self.lines) = (now_ms, 0);
        }
        if self.lines < rate.burst {
            let (lines, count) = head(bytes, rate.burst - self.lines);
            self.lines += lines;
            return Pass::Keep(count);
        }
        let ends_ms = self.since_ms.saturating_add(rate.interval_ms);
        let due_ms = ends_ms.min(now_ms.saturating_add(TELL_LIMITED_MS));
        self.leave_out(Why::Limit, stream, bytes, due_ms)
    }

    /// The same, where the log is behind: only a line that it has begun is still finished.
    pub fn shed(&mut self, now_ms: u64, stream: Stream, within_line: bool, bytes: &[u8]) -> Pass {
        match self.finish_line(stream, within_line, bytes) {
            Some(pass) => pass,
            None => self.leave_out(Why::Late, stream, bytes, now_ms.saturating_add(TELL_MS)),
        }
    }

    /// A run has begun: no line of the run before goes on.
    pub fn begin(&mut self) {
        self.rest = [Rest::Same; 2];
    }

    /// When somebody is to be told what is missing, monotonic milliseconds.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// The lines that were dropped just before the next line that is kept, at `now_ms`; the caller tells. What
    /// [`Self::due_ms`] says stays: then all of this is to be safe.
    pub fn tell_gap(&mut self, now_ms: u64) -> Option<Loss> {
        if self.untold.dropped_lines == 0 || now_ms < self.gap_ms.saturating_add(GAP_MS) {
            return None;
        }
        self.gap_ms = now_ms;
        let lines = std::mem::take(&mut self.untold.dropped_lines);
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        Some(Loss::Dropped { lines })
    }

    /// What nobody has been told of yet; the caller tells.
    pub fn tell(&mut self) -> impl Iterator<Item = Loss> + use<> {
        let untold = std::mem::take(&mut self.untold);
        self.due_ms = None;
        let some = |lines: u64| (lines > 0).then(|| u32::try_from(lines).unwrap_or(u32::MAX));
        let dropped = some(untold.dropped_lines).map(|lines| Loss::Dropped { lines });
        let limited = some(untold.limited_lines).map(|lines| Loss::Limited { lines });
        dropped.into_iter().chain(limited)
    }

    /// What was left out in all.
    #[must_use]
    pub fn missing(&self) -> Missing {
        self.total
    }

    /// The rest of a line whose head came before.
    fn finish_line(&mut self, stream: Stream, within_line: bool, bytes: &[u8]) -> Option<Pass> {
        let rest = &mut self.rest[stream.slot()];
        let (_, count) = head(bytes, 1);
        match *rest {
            Rest::LeftOut => {
                if bytes[..count].ends_with(b"\n") {
                    *rest = Rest::Same;
                }
                Some(Pass::LeaveOut(count))
            }
            Rest::Same => within_line.then_some(Pass::Keep(count)),
        }
    }

    /// Leaves out all lines that begin in `bytes`.
    fn leave_out(&mut self, why: Why, stream: Stream, bytes: &[u8], due_ms: u64) -> Pass {
        let (lines, _) = head(bytes, u32::MAX);
        if !bytes.ends_with(b"\n") {
            self.rest[stream.slot()] = Rest::LeftOut;
        }
        let (dropped_lines, limited_lines) = match why {
            Why::Late => (u64::from(lines), 0),
            Why::Limit => (0, u64::from(lines)),
        };
        let more = Missing {
            bytes: 0,
            dropped_lines,
            limited_lines,
        };
        self.untold = self.untold.and(more);
        self.total = self.total.and(more);
        self.due_ms.get_or_insert(due_ms);
        Pass::LeaveOut(bytes.len())
    }
}

/// At most `most` lines from the head of `bytes`: how many begin there, and how long they are together. The last one
/// may have no end yet.
fn head(bytes: &[u8], most: u32) -> (u32, usize) {
    let (mut lines, mut count) = (0, 0);
    while lines < most && count < bytes.len() {
        let rest = &bytes[count..];
        let line = rest.iter().position(|byte| *byte == b'\n');
        count += line.map_or(rest.len(), |at| at + 1);
        lines += 1;
    }
    (lines, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        interval_ms: 1000,
        burst: 3,
    };

    /// What of `pieces`, each with its moment, goes to the log.
    fn through(gate: &mut Gate, pieces: &[(u64, &str)]) -> String {
        let mut log = String::new();
        for (now_ms, piece) in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let within = !log.is_empty() && !log.ends_with('\n');
                let pass = gate.pass(*now_ms, Stream::Out, within, rest.as_bytes());
                let (Pass::Keep(count) | Pass::LeaveOut(count)) = pass;
                assert!(count > 0);
                if matches!(pass, Pass::Keep(_)) {
                    log.push_str(&rest[..count]);
                }
                rest = &rest[count..];
            }
        }
        log
    }

    #[test]
    fn so_many_lines_in_an_interval() {
        let mut gate = Gate::new(Some(RATE));
        let log = through(
            &mut gate,
            &[(5000, "a\nb\nc\nd\ne\n"), (5999, "f\n"), (6000, "g\n")],
        );
        assert_eq!(log, "a\nb\nc\ng\n");
        assert_eq!(gate.due_ms(), Some(6000));
        assert_eq!(
            gate.tell().collect::<Vec<_>>(),
            [Loss::Limited { lines: 3 }]
        );
        assert_eq!((gate.due_ms(), gate.tell().count()), (None, 0));
        assert_eq!(gate.missing().limited_lines, 3);
    }

    #[test]
    fn a_long_interval_is_not_waited_for() {
        let interval_ms = 3_600_000;
        let mut gate = Gate::new(Some(Rate {
            interval_ms,
            burst: 1,
        }));
        through(&mut gate, &[(10, "a\nb\n"), (20, "c\n")]);
        assert_eq!(gate.due_ms(), Some(10 + TELL_LIMITED_MS));
        assert_eq!(
            gate.tell().collect::<Vec<_>>(),
            [Loss::Limited { lines: 2 }]
        );
        through(&mut gate, &[(interval_ms - 5, "d\n")]);
        assert_eq!(gate.due_ms(), Some(interval_ms));
    }

    #[test]
    fn a_line_is_left_out_as_a_whole_or_not_at_all() {
        let mut gate = Gate::new(Some(RATE));
        let pieces = [
            (5000, "a\nb\nhalf"),
            (5001, " of it\nnot"),
            (5002, " this"),
            (7000, " either\nbut this\n"),
        ];
        assert_eq!(through(&mut gate, &pieces), "a\nb\nhalf of it\nbut this\n");
        assert_eq!(gate.missing().limited_lines, 1);
        assert!(!gate.is_open());
    }

    #[test]
    fn a_log_that_is_behind_finishes_its_line() {
        let mut gate = Gate::new(None);
        assert!(gate.is_open());
        let shed = gate.shed(10, Stream::Out, true, b"end\nx\ny");
        assert_eq!(shed, Pass::Keep(4));
        assert_eq!(
            gate.shed(10, Stream::Out, false, b"x\ny"),
            Pass::LeaveOut(3)
        );
        assert!(!gate.is_open(), "a line is not over");
        assert_eq!(
            gate.pass(20, Stream::Out, false, b"y\nz\n"),
            Pass::LeaveOut(2)
        );
        assert_eq!(gate.pass(20, Stream::Out, false, b"z\n"), Pass::Keep(2));
        assert!(gate.is_open());
        assert_eq!(gate.due_ms(), Some(10 + TELL_MS));
        assert_eq!(
            gate.tell().collect::<Vec<_>>(),
            [Loss::Dropped { lines: 2 }]
        );
    }

    #[test]
    fn each_gap_is_told_of_unless_they_are_many() {
        let mut gate = Gate::new(None);
        let mut told = Vec::new();
        for now_ms in [10, 20, 24, 29, 30, 31] {
            gate.shed(now_ms, Stream::Out, false, b"x\ny\n");
            let gap = gate.tell_gap(now_ms);
            told.extend(gap.map(|loss| (now_ms, loss)));
        }
        let gap = |now_ms, lines| (now_ms, Loss::Dropped { lines });
        assert_eq!(told, [gap(10, 2), gap(20, 2), gap(30, 6)]);
        assert_eq!(gate.due_ms(), Some(10 + TELL_MS));
        assert_eq!(
            gate.tell().collect::<Vec<_>>(),
            [Loss::Dropped { lines: 2 }]
        );
        assert_eq!(gate.missing().dropped_lines, 12);
    }

    #[test]
    fn streams_and_runs_have_lines_of_their_own() {
        let mut gate = Gate::new(None);
        gate.shed(10, Stream::Out, false, b"x");
        assert_eq!(gate.pass(10, Stream::Err, false, b"y\n"), Pass::Keep(2));
        gate.begin();
        assert_eq!(gate.pass(10, Stream::Out, false, b"z\n"), Pass::Keep(2));
    }
}
