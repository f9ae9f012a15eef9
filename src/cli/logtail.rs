//! The last lines of a service's log, for `status`, `why` and what has failed. Reading is `log`'s; a log that cannot
//! be read is an empty one here, with a word on that, since what is asked for is something else.

use std::{fs, io};

use super::logs::mark_text;
use super::missing::loss_text;
use super::shown::{self, Colors};
use super::text::clean;
use crate::daemon::Home;
use crate::log::{Content, Entry, Filter, Loss, Mark, Mode, Reader, Start, last_runs, split_level};
use crate::sys::process::error_text;
use crate::wire::{LogUntold, UnitStatus};

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
            of_life(home, status, life, lines).tail(status, is_end_of_program(&status.cause))
        }
        Some(_) | None => {
            let mut shown = end_of_log(home, &status.name, lines);
            add_untold(&mut shown, &status.log_untold, lines);
            Tail {
                lines: shown,
                note: None,
            }
        }
    }
}

/// What a unit said in the life that has ended last, whether or not another one has begun, where that ended in a
/// failure.
pub(super) fn before_failure(home: &Home, status: &UnitStatus, lines: usize) -> Tail {
    let failed = matches!(status.state.as_str(), "failed" | "restarting");
    let came_back = is_alive(status) && status.restarts > 0;
    let life = ended_life(status).filter(|_| failed || came_back);
    life.map_or_else(Tail::default, |life| {
        of_life(home, status, life, lines).tail(status, false)
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
    let found = of_life(home, status, Life { since_ms, ..life }, lines);
    found.tail(status, is_end_of_program(failure))
}

/// Whether this is what is said of a program's end. Where none has run there was nobody who could have said anything.
fn is_end_of_program(text: &str) -> bool {
    ["exit code", "killed by"]
        .iter()
        .any(|end| text.contains(end))
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
    /// The run of which there may be more in packed files, which are not looked at.
    packed: Option<u64>,
    /// Why the log cannot be read.
    unread: Option<String>,
    /// Whether what it has printed was removed since.
    loss: Removal,
    /// What could not be written, of which the log does not tell.
    untold: Vec<LogUntold>,
}

/// What became of a log whose service may have printed something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Removal {
    #[default]
    None,
    /// By `logs --flush`.
    Emptied,
    /// There are no files.
    Absent,
}

impl Removal {
    /// Why nothing of a unit's last run is in its log.
    fn absence(self, status: &UnitStatus) -> String {
        match self {
            Self::Emptied if status.streams.is_empty() => {
                "nothing of its last run is in the log, which was emptied".to_owned()
            }
            Self::Absent if status.streams.is_empty() => {
                "nothing of its last run is in a log: there is none".to_owned()
            }
            Self::None | Self::Emptied | Self::Absent => silence(status),
        }
    }
}

impl Found {
    /// `ran`: whether one of its programs has begun, as far as is known from elsewhere.
    fn tail(self, status: &UnitStatus, ran: bool) -> Tail {
        let mut lines = self.lines;
        let is_empty = lines.is_empty();
        let note = match (self.untold.as_slice(), self.unread, self.packed) {
            ([.., last], ..) if is_empty => {
                let bytes = self.untold.iter().map(|untold| untold.bytes).sum();
                let text = loss_text(loss(LogUntold { bytes, ..*last }));
                let text = text.replacen(' ', " that ", 1);
                Some(format!("its last run printed {text}"))
            }
            (untold @ [_, ..], ..) => {
                add_untold(&mut lines, untold, usize::MAX);
                None
            }
            ([], Some(reason), _) if is_empty => Some(format!("its log cannot be read: {reason}")),
            ([], _, Some(run)) if is_empty => Some(format!(
                "what its last run printed, if anything, is in a packed file: `diakonos logs {} --run {run}`",
                clean(&status.name)
            )),
            ([], ..) if !is_empty || self.is_far || !(self.has_run || ran) => None,
            ([], ..) => Some(self.loss.absence(status)),
        };
        Tail { lines, note }
    }
}

/// The last lines of a life's runs, the youngest run first looked at.
fn of_life(home: &Home, status: &UnitStatus, life: Life, lines: usize) -> Found {
    let unit = &status.name;
    let mut found = Found::default();
    let is_of_life = |untold: &&LogUntold| untold.run >= life.first && untold.run < life.end;
    let untold = status.log_untold.iter().filter(is_of_life);
    found.untold = untold.copied().collect();
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
        match removal(home, unit) {
            Ok(removal) => found.loss = removal,
            Err(error) => found.unread = found.unread.or(Some(error_text(&error))),
        }
    }
    found
}

/// Whether a log was emptied or removed, and nothing was printed since.
///
/// # Errors
/// It cannot be read.
pub(super) fn removal(home: &Home, unit: &str) -> io::Result<Removal> {
    let path = home.logs().join(format!("{unit}.log"));
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(Removal::Absent);
    }
    let mut found = Removal::None;
    read(home, unit, (Filter::default(), 1), |entry| {
        found = match entry.content {
            Content::Mark(Mark::Cleared) => Removal::Emptied,
            Content::Mark(_) => found,
            Content::Line { .. } | Content::Notice { .. } => Removal::None,
        };
    })?;
    Ok(found)
}

pub(super) fn loss(untold: LogUntold) -> Loss {
    Loss::Unwritten {
        bytes: u32::try_from(untold.bytes).unwrap_or(u32::MAX),
        errno: untold.errno,
    }
}

/// Adds what could not be written as the log would tell it, at most `most` lines in all.
fn add_untold(lines: &mut Vec<String>, untold: &[LogUntold], most: usize) {
    let text = |untold: &LogUntold| mark_text(untold.run, Mark::Lost(loss(*untold)));
    lines.extend(untold.iter().map(text));
    let over = lines.len().saturating_sub(most);
    lines.drain(..over);
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
