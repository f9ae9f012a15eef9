//! Small pure functions from values to words: spans, sizes, dates, columns.

use super::style::{Palette, Tone};
use crate::sys::local::{self, Civil};

/// `250ms`, `12s`, `3m 12s`, `2h 5m`, `3d 4h`; `1m`, `2h`, `3d` where nothing is over.
pub(super) fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match ms {
        0..1000 => format!("{ms}ms"),
        _ if minutes == 0 => format!("{seconds}s"),
        _ if hours == 0 => two(minutes, 'm', seconds % 60, 's'),
        _ if days == 0 => two(hours, 'h', minutes % 60, 'm'),
        _ => two(days, 'd', hours % 24, 'h'),
    }
}

/// The second part only if there is something of it.
fn two(large: u64, large_unit: char, small: u64, small_unit: char) -> String {
    match small {
        0 => format!("{large}{large_unit}"),
        _ => format!("{large}{large_unit} {small}{small_unit}"),
    }
}

/// Like [`span`], for the time until something: rounded up to a second, so that it never says 0 before its time.
pub(super) fn span_until(ms: u64) -> String {
    if ms < 1000 {
        return span(ms);
    }
    span(ms.div_ceil(1000).saturating_mul(1000))
}

/// A short span to a tenth of a second, for CPU time: `0.4s`, `12.3s`, then as [`span`].
pub(super) fn span_fine(ms: u64) -> String {
    if ms < 60_000 {
        format!("{}.{}s", ms / 1000, ms % 1000 / 100)
    } else {
        span(ms)
    }
}

/// `512B`, `12.3M`; base 1024.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut unit = 1024_u64;
    let mut letter = 'K';
    for next in ['M', 'G', 'T'] {
        if bytes / unit < 1024 {
            break;
        }
        unit *= 1024;
        letter = next;
    }
    let whole = bytes / unit;
    let tenth = bytes % unit * 10 / unit;
    format!("{whole}.{tenth}{letter}")
}

/// Tenths of a per cent as `0.3%`.
pub(super) fn percent(tenths: u64) -> String {
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// Unix milliseconds as `2026-11-21 22:40:13 UTC`.
pub(super) fn date(unix_ms: u64) -> String {
    let (day, time) = day_and_time(unix_ms);
    format!("{day} {time} UTC")
}

/// Unix milliseconds as `2026-11-21T22:40:13.007Z`.
pub(super) fn timestamp(unix_ms: u64) -> String {
    let (day, time) = day_and_time(unix_ms);
    format!("{day}T{time}.{:03}Z", unix_ms % 1000)
}

/// Unix milliseconds as `2026-11-21 23:40:13.007`, where the user is.
pub(super) fn local_time(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1000).ok();
    let Some(Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    }) = seconds.and_then(local::civil)
    else {
        return timestamp(unix_ms);
    };
    let ms = unix_ms % 1000;
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ms:03}")
}

fn day_and_time(unix_ms: u64) -> (String, String) {
    let seconds = unix_ms / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{hour:02}:{minute:02}:{second:02}"),
    )
}

/// Days since 1970-01-01 as year, month and day of the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days / 146_097 * 400;
    let mut rest = days % 146_097;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if rest < length {
            break;
        }
        rest -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    (year, month, rest + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// The text without what could command a terminal: control characters become `�`, line ends and tabs spaces.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' | '\r' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// At most `width` characters, the last one `…` if something was cut off.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The end of a word for a count: `1 process`, `2 processes`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// One cell of a table.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Option<Tone>,
}

impl Cell {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            tone: None,
        }
    }

    pub(super) fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            tone: Some(tone),
        }
    }

    /// Nothing to be said.
    pub(super) fn none() -> Self {
        Self::toned(Tone::Quiet, "-")
    }
}

/// Rows in columns, two spaces apart; no space at a line's end. The last column is cut to the width, if there is one.
pub(super) fn columns(
    rows: &[Vec<Cell>],
    aligns: &[Align],
    width: Option<usize>,
    palette: Palette,
) -> String {
    let widths: Vec<usize> = (0..aligns.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|c| c.text.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut pending = 0; // spaces owed before the next visible cell
        let mut used = 0;
        for (column, cell) in row.iter().enumerate() {
            let last = column + 1 == row.len();
            let room = width
                .filter(|_| last)
                .map(|w| w.saturating_sub(used).max(8));
            let text = room.map_or_else(|| cell.text.clone(), |room| fit(&cell.text, room));
            let padding = widths[column].saturating_sub(text.chars().count());
            let before = if aligns[column] == Align::Right {
                padding
            } else {
                0
            };
            if !text.is_empty() {
                out.extend(std::iter::repeat_n(' ', pending + before));
                out.push_str(
                    &cell
                        .tone
                        .map_or_else(|| text.clone(), |t| palette.paint(t, &text)),
                );
                pending = 0;
            } else {
                pending += before;
            }
            pending += padding - before + 2;
            used += widths[column] + 2;
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_read_well() {
        assert_eq!(span(250), "250ms");
        assert_eq!(span(12_000), "12s");
        assert_eq!(span(192_000), "3m 12s");
        assert_eq!(span(7_500_000), "2h 5m");
        assert_eq!(span(273_600_000), "3d 4h");
        assert_eq!(span(60_000), "1m");
        assert_eq!(span(7_200_000), "2h");
        assert_eq!(span(259_200_000), "3d");
        assert_eq!(span_until(1_001), "2s");
        assert_eq!(span_fine(1_250), "1.2s");
        assert_eq!(size(512), "512B");
        assert_eq!(size(12 * 1024 * 1024 + 400_000), "12.3M");
        assert_eq!(size(1024 * 1024), "1.0M");
        assert_eq!(size(u64::MAX), "16777215.9T");
        assert_eq!(percent(3), "0.3%");
    }

    #[test]
    fn dates_are_gregorian() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(date(1_795_300_813_000), "2026-11-21 22:40:13 UTC");
        assert_eq!(date(4_107_542_400_000), "2100-03-01 00:00:00 UTC");
    }

    #[test]
    fn columns_align_and_leave_no_space_at_the_end() {
        let rows = vec![
            vec![Cell::plain("NAME"), Cell::plain("PID"), Cell::plain("TEXT")],
            vec![Cell::plain("a"), Cell::plain("12"), Cell::plain("")],
            vec![
                Cell::plain("b"),
                Cell::plain("1"),
                Cell::plain("long enough to cut"),
            ],
        ];
        let aligns = [Align::Left, Align::Right, Align::Left];
        assert_eq!(
            columns(&rows, &aligns, Some(20), Palette::Plain),
            "NAME  PID  TEXT\na      12\nb       1  long eno…\n"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\nc"), "a\u{fffd}[31mb c");
    }
}
