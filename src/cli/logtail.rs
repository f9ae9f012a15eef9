//! The last lines of a service's log, for `status` and for what has failed. Reading is `log`'s; a log that cannot
//! be read is an empty one here, since what is asked for is something else.

use super::text::clean;
use crate::daemon::Home;
use crate::log::{Content, Entry, Filter, Mode, Reader, Start};

/// Characters of a line that are shown.
const LINE_MAX: usize = 400;
/// Bytes before the end of a log that are looked at: one without line ends would be read whole, again and again.
const BYTES_MAX: u64 = 256 * 1024;
/// Entries that are read at most, marks among them.
const ENTRIES_MAX: usize = 10_000;

/// The last `lines` lines, fit for a terminal.
pub(super) fn last(home: &Home, unit: &str, lines: u64) -> Vec<String> {
    entries(home, unit, lines).iter().filter_map(text).collect()
}

/// Those of them that came at this time (unix milliseconds) or later.
pub(super) fn since(home: &Home, unit: &str, lines: u64, begun_ms: u64) -> Vec<String> {
    let entries = entries(home, unit, lines);
    let new = entries.iter().filter(|entry| entry.time_ms >= begun_ms);
    new.filter_map(text).collect()
}

fn entries(home: &Home, unit: &str, lines: u64) -> Vec<Entry> {
    let filter = Filter::default();
    let bytes = BYTES_MAX;
    let start = Start::Near { lines, bytes };
    let Ok(mut reader) = Reader::open(&home.logs(), unit, start, Mode::Once, filter) else {
        return Vec::new();
    };
    let mut entries = Vec::new();
    while let Ok(Some(entry)) = reader.next_entry() {
        entries.push(entry);
        if entries.len() >= ENTRIES_MAX {
            break;
        }
    }
    entries
}

fn text(entry: &Entry) -> Option<String> {
    let bytes = match &entry.content {
        Content::Line { bytes, .. } | Content::Notice { bytes } => bytes,
        Content::Mark(_) => return None,
    };
    let text = String::from_utf8_lossy(bytes);
    Some(super::text::fit(&clean(&text), LINE_MAX))
}
