//! The last lines of a service's log, for `status`, `why` and what has failed. Reading is `log`'s; a log that cannot
//! be read is an empty one here, with a word on that, since what is asked for is something else.

use std::io;

use super::logs::mark_text;
use super::shown::{self, Colors};
use super::text::clean;
use crate::daemon::Home;
use crate::log::{Content, Entry, Filter, Mark, Mode, Reader, Start, last_runs, split_level};
use crate::sys::process::error_text;
use crate::wire::UnitStatus;

/// Characters of a line that are shown.
const LINE_MAX: usize = 400;
/// Bytes of a character at most.
const UTF8_MAX: usize = 4;
/// Bytes before the end of a log that are looked at: one without line ends would be read whole, again and again.
const BYTES_MAX: u64 = 64 * 1024;
/// Runs that are looked through for those of a life that has ended: what the present one has had, and its own.
const RUNS_MAX: usize = 32;

/// What a service said last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// Fit for a terminal.
    pub(super) lines: Vec<String>,
    /// Why there is none, where that is worth a word.
    pub(super) note: Option<String>,
}

/// A life of a unit: the runs that are its own, and when it began at the earliest (unix milliseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    first: u64,
    /// The first run of the one after it.
    end: u64,
    since_ms: u64,
}

/// What a unit said last: where it is down, in the life that has ended; else the end of its log, with the ends of runs
/// among the lines.
pub(super) fn last(home: &Home, status: &UnitStatus, lines: usize) -> Tail {
    match ended_life(status) {
        Some(life) if !is_alive(status) => {
            of_life(home, &status.name, life, lines).tail(status, true)
        }
        Some(_) | None => Tail {
            lines: end_of_log(home, &status.name, lines),
            note: None,
        },
    }
}

/// What a unit said in the life that has ended last, whether or not another one has begun, where that ended in a
/// failure.
pub(super) fn before_failure(home: &Home, status: &UnitStatus, lines: usize) -> Tail {
    let failed = matches!(status.state.as_str(), "failed" | "restarting");
    let came_back = is_alive(status) && status.restarts > 0;
    let life = ended_life(status).filter(|_| failed || came_back);
    life.map_or_else(Tail::default, |life| {
        let found = of_life(home, &status.name, life, lines);
        let has_run = found.has_run;
        found.tail(status, has_run)
    })
}

/// What a unit said in the life that has ended last, if that has begun at this time (unix milliseconds) or later.
/// `failure`: what is said of its end.
pub(super) fn last_words(
    home: &Home,
    status: &UnitStatus,
    (lines, since_ms): (usize, u64),
    failure: &str,
) -> Tail {
    let Some(life) = ended_life(status) else {
        return Tail::default();
    };
    let found = of_life(home, &status.name, Life { since_ms, ..life }, lines);
    // Where no program has run there was nobody who could have said anything.
    let has_run = found.has_run || failure.contains("exit code") || failure.contains("killed by");
    found.tail(status, has_run)
}

/// The life that has ended last: that before the present one, if there is one.
fn ended_life(status: &UnitStatus) -> Option<Life> {
    let last = status.life?;
    let (first, end) = match is_alive(status) && status.state != "stopping" {
        true => (status.life_before?, last),
        false => (last, u64::MAX),
    };
    Some(Life {
        first,
        end,
        since_ms: 0,
    })
}

fn is_alive(status: &UnitStatus) -> bool {
    matches!(
        status.state.as_str(),
        "starting" | "running" | "reloading" | "stopping" | "exited"
    )
}

/// That a life has left nothing in the log, and why that may be.
fn silence(status: &UnitStatus) -> String {
    match status.streams.is_empty() {
        true => "its last run printed nothing".to_owned(),
        false => format!(
            "nothing of its last run is in the log: {}",
            clean(&status.streams.join(", "))
        ),
    }
}

#[derive(Debug, Default)]
struct Found {
    lines: Vec<String>,
    /// Whether its program has begun.
    has_run: bool,
    /// Whether its runs lie too far back to be found.
    is_far: bool,
    /// Whether the log was emptied, by `logs --flush`.
    is_cleared: bool,
    /// The run of which there may be more in packed files, which are not looked at.
    packed: Option<u64>,
    /// Why the log cannot be read.
    unread: Option<String>,
}

impl Found {
    fn tail(self, status: &UnitStatus, may_be_silent: bool) -> Tail {
        let is_empty = self.lines.is_empty();
        let silent = is_empty && may_be_silent && !self.is_far;
        let note = match (self.unread, self.packed) {
            (Some(reason), _) if is_empty => Some(format!("its log cannot be read: {reason}")),
            (_, Some(run)) if is_empty => Some(format!(
                "what its last run printed, if anything, is in a packed file: `diakonos logs {} --run {run}`",
                clean(&status.name)
            )),
            _ => silent.then(|| match self.is_cleared && status.streams.is_empty() {
                true => "nothing of its last run is in the log, which was emptied".to_owned(),
                false => silence(status),
            }),
        };
        let lines = self.lines;
        Tail { lines, note }
    }
}

/// The last lines of a life's runs, the youngest run first looked at.
fn of_life(home: &Home, unit: &str, life: Life, lines: usize) -> Found {
    let mut found = Found::default();
    let runs = last_runs(&home.logs(), unit, RUNS_MAX).unwrap_or_else(|error| {
        found.unread = Some(error_text(&error));
        Vec::new()
    });
    found.is_far = runs.len() == RUNS_MAX && runs.iter().all(|run| *run >= life.end);
    for run in runs {
        if found.lines.len() >= lines || run < life.first {
            break;
        }
        if run >= life.end {
            continue;
        }
        let filter = Filter {
            run: Some(run),
            since_ms: (life.since_ms > 0).then_some(life.since_ms),
            ..Filter::default()
        };
        let mut of_run = Vec::new();
        let left = lines - found.lines.len();
        let read = read(home, unit, (filter, left), |entry| {
            found.has_run |= matches!(entry.content, Content::Mark(Mark::Begin { .. }));
            of_run.extend(text(entry));
        });
        match read {
            Ok(Packed::Before) => found.packed = found.packed.or(Some(run)),
            Ok(Packed::Nothing) => {}
            Err(error) => found.unread = Some(error_text(&error)),
        }
        let over = of_run.len().saturating_sub(left);
        found.lines.splice(..0, of_run.into_iter().skip(over));
    }
    // What was begun after that has left its mark.
    if found.lines.is_empty() && !found.has_run {
        let read = read(home, unit, (Filter::default(), lines), |entry| {
            found.is_cleared |= matches!(entry.content, Content::Mark(Mark::Cleared));
        });
        found.unread = found.unread.or(read.err().map(|error| error_text(&error)));
    }
    found
}

/// The last lines, whoever's they are, and between them how runs have ended.
fn end_of_log(home: &Home, unit: &str, lines: usize) -> Vec<String> {
    let mut shown = Vec::new();
    // Runs that have printed nothing follow each other without end: only the last one is told.
    let mut ended = None;
    // One that cannot be read is an empty one here.
    let _ = read(home, unit, (Filter::default(), lines), |entry| {
        if let Content::Mark(mark @ Mark::End(_)) = entry.content {
            ended = (!shown.is_empty()).then(|| mark_text(entry.run, mark));
        }
        if let Some(text) = text(entry) {
            shown.extend(ended.take());
            shown.push(text);
        }
    });
    shown.extend(ended);
    shown
}

/// Whether there may be more in packed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packed {
    Nothing,
    Before,
}

fn read(
    home: &Home,
    unit: &str,
    (filter, lines): (Filter, usize),
    mut take: impl FnMut(&Entry),
) -> io::Result<Packed> {
    let start = Start::Near {
        lines: u64::try_from(lines).unwrap_or(u64::MAX),
        bytes: BYTES_MAX,
    };
    let mut reader = Reader::open(&home.logs(), unit, start, Mode::Once, filter)?;
    while let Some(entry) = reader.next_entry()? {
        take(&entry);
    }
    Ok(match reader.leaves_packed() {
        true => Packed::Before,
        false => Packed::Nothing,
    })
}

fn text(entry: &Entry) -> Option<String> {
    let bytes = match &entry.content {
        Content::Line { bytes, .. } | Content::Notice { bytes } => bytes,
        // What was dropped or could not be written stands where it would have stood.
        Content::Mark(mark @ Mark::Lost(_)) => return Some(mark_text(entry.run, *mark)),
        Content::Mark(Mark::Begin { .. } | Mark::End(_) | Mark::Cleared) => return None,
    };
    // What lies far behind the end of what is shown need not be looked at.
    let head = bytes.get(..LINE_MAX * UTF8_MAX).unwrap_or(bytes);
    let mut shown = Vec::new();
    shown::line(split_level(head).1, Colors::Removed, &mut shown);
    let text = String::from_utf8_lossy(&shown);
    Some(super::text::fit(&text, LINE_MAX))
}
