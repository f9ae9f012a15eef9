//! `list`: the table of units and what is to be said below it.

use super::{Page, is_up, left_over, restarts_in};
use crate::cli::json::Json;
use crate::cli::style::{Tone, state_tone};
use crate::cli::text::{Align, Cell, clean, columns, fit, percent, size, span};
use crate::cli::usage::{Usage, cpu_tenths};
use crate::wire::UnitStatus;

/// One line of the table.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Item {
    pub(in crate::cli) status: UnitStatus,
    pub(in crate::cli) usage: Usage,
    pub(in crate::cli) files: Files,
    pub(in crate::cli) origin: Origin,
    /// What is wrong with its file, if it could not be read.
    pub(in crate::cli) fault: Option<String>,
}

/// How a unit's files on disk are, beside what was read of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Files {
    AsRead,
    Changed,
    /// What is loaded is all that there is.
    Gone,
}

/// Where a unit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Origin {
    /// Somebody's file.
    File,
    /// `run` has made it, and `reset` clears it once it has ended.
    CommandLine,
}

const ALIGNS: [Align; 8] = [
    Align::Left,
    Align::Left,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Left,
];

const TITLES: [&str; 8] = [
    "NAME",
    "STATE",
    "PID",
    "UPTIME",
    "RESTARTS",
    "CPU",
    "MEMORY",
    "DESCRIPTION",
];

/// The place of `DESCRIPTION`, and the least room that it is worth showing in.
const DESCRIPTION: usize = 7;
const DESCRIPTION_MIN: usize = 12;

/// The columns that a narrow terminal does without, the first to go first.
const DISPENSABLE: [usize; 6] = [DESCRIPTION, 5, 4, 6, 2, 3];

/// How the cause of a unit begins whose condition was not met: it has nothing to show for its start.
const SKIPPED: &str = "skipped, ";

/// What is told of an enabled unit whose start was refused when the daemon began; the reason follows.
pub(in crate::cli) const NOT_STARTED: &str = "it is enabled, and did not start with the daemon";

/// The longest reason below the table, in characters.
const REASON_MAX: usize = 120;

pub(in crate::cli) fn list(items: &[Item], page: Page) -> String {
    let mut rows = vec![
        TITLES
            .map(|title| Cell::toned(Tone::Strong, title))
            .to_vec(),
    ];
    rows.extend(items.iter().map(|item| row(item, page)));
    let aligns = narrowed(&mut rows, page.width);
    let mut out = columns(&rows, &aligns, page.width, page.palette);
    let notes: Vec<String> = items.iter().filter_map(|item| note(item, page)).collect();
    if !notes.is_empty() {
        out.push('\n');
        out.extend(notes);
    }
    out
}

/// Leaves columns out until the rows fit, the least missed first; what is left is how the columns are aligned.
fn narrowed(rows: &mut [Vec<Cell>], width: Option<usize>) -> Vec<Align> {
    let mut kept: Vec<usize> = (0..ALIGNS.len()).collect();
    let Some(width) = width else {
        return ALIGNS.to_vec();
    };
    for column in DISPENSABLE {
        let wide = |place: usize| {
            let texts = rows.iter().filter_map(|row| row.get(place));
            texts.map(|cell| cell.text.chars().count()).max()
        };
        let mut needed = 0;
        for (place, title) in kept.iter().enumerate() {
            needed += match *title == DESCRIPTION {
                // It is cut to what is left for it.
                true => DESCRIPTION_MIN,
                false => wide(place).unwrap_or(0) + 2,
            };
        }
        if needed <= width + 2 {
            break;
        }
        let Some(place) = kept.iter().position(|title| *title == column) else {
            continue;
        };
        kept.remove(place);
        for row in rows.iter_mut() {
            row.remove(place);
        }
    }
    kept.iter()
        .filter_map(|title| ALIGNS.get(*title).copied())
        .collect()
}

fn row(item: &Item, page: Page) -> Vec<Cell> {
    let status = &item.status;
    let state = match status.frozen_ms {
        Some(_) => "frozen",
        None => &status.state,
    };
    let tone = state_tone(state);
    let up_ms = page.now_ms.saturating_sub(status.since_ms);
    let uptime = match restarts_in(status, page.now_ms) {
        Some(text) => Cell::toned(Tone::Busy, text),
        None if is_up(status) => Cell::plain(span(up_ms)),
        None => Cell::none(),
    };
    let or_none = |text: Option<String>| text.map_or_else(Cell::none, Cell::plain);
    let cpu = cpu_tenths(&item.usage, up_ms).filter(|_| is_up(status));
    let restarts = match status.restarts {
        0 => Cell::toned(Tone::Quiet, "0"),
        number => Cell::plain(number.to_string()),
    };
    vec![
        Cell::plain(clean(&status.name)),
        Cell::toned(tone, state),
        or_none(status.pid.map(|pid| pid.to_string())),
        uptime,
        restarts,
        or_none(cpu.map(percent)),
        or_none(item.usage.memory.map(size)),
        Cell::toned(Tone::Quiet, clean(&status.description)),
    ]
}

/// A line below the table for what needs a look.
fn note(item: &Item, page: Page) -> Option<String> {
    let status = &item.status;
    let name = clean(&status.name);
    let (tone, text, next) = if let Some(left) = left_over(status) {
        (Tone::Bad, left, format!("diakonos status {name}"))
    } else if item.files == Files::Gone && status.state != "error" {
        let text = "its file is gone: it stays as it was loaded until it is stopped".to_owned();
        (Tone::Busy, text, format!("diakonos stop {name}"))
    } else if let Some(fault) = &item.fault {
        (Tone::Bad, clean(fault), "diakonos check".to_owned())
    } else if status.state == "failed" {
        (
            Tone::Bad,
            clean(&status.cause),
            format!("diakonos status {name}"),
        )
    } else if status.cause.starts_with(NOT_STARTED) {
        (
            Tone::Bad,
            clean(&status.cause),
            format!("diakonos why {name}"),
        )
    } else if status.state == "completed" && status.cause.starts_with(SKIPPED) {
        (
            Tone::Busy,
            clean(&status.cause),
            format!("diakonos why {name}"),
        )
    } else if status.state == "restarting" {
        let end = status.last_end.as_deref().unwrap_or(&status.cause);
        (Tone::Busy, clean(end), format!("diakonos logs {name}"))
    } else if item.origin == Origin::CommandLine
        && matches!(&*status.state, "stopped" | "completed")
    {
        let text = "it was made by `run` and has ended".to_owned();
        (Tone::Quiet, text, format!("diakonos reset {name}"))
    } else if item.files == Files::Changed && is_up(status) {
        let text = "its file has changed since it was started".to_owned();
        (Tone::Busy, text, format!("diakonos diff {name}"))
    } else {
        return None;
    };
    let palette = page.palette;
    let name = palette.paint(tone, &name);
    let text = fit(&text, REASON_MAX);
    let next = palette.paint(Tone::Quiet, &format!("→ {next}"));
    Some(format!("{name}: {text}  {next}\n"))
}

pub(in crate::cli) fn list_json(items: &[Item], now_ms: u64) -> Json {
    Json::List(
        items
            .iter()
            .map(|item| Json::Object(fields(item, now_ms)))
            .collect(),
    )
}

/// The fields of a unit in `list --json` and `status --json`.
pub(super) fn fields(item: &Item, now_ms: u64) -> Vec<(&'static str, Json)> {
    let status = &item.status;
    let since = Some(status.since_ms).filter(|ms| *ms > 0);
    let up_ms = now_ms.saturating_sub(status.since_ms);
    let uptime_ms = Some(up_ms).filter(|_| is_up(status));
    let left_over = status.left_over.iter();
    let left_over = left_over.map(|pid| Json::Number(u64::from(*pid)));
    let io = item.usage.io;
    let cpu = uptime_ms.and_then(|ms| cpu_tenths(&item.usage, ms));
    vec![
        ("name", Json::text(&status.name)),
        ("state", Json::text(&status.state)),
        ("active", Json::text(&status.active)),
        ("phase", Json::text(&status.phase)),
        ("kind", Json::text(&status.kind)),
        ("description", Json::text(&status.description)),
        ("documentation", Json::texts(&status.documentation)),
        ("pid", Json::number(status.pid.map(u64::from))),
        ("run", Json::number(status.run)),
        ("since_ms", Json::number(since)),
        ("uptime_ms", Json::number(uptime_ms)),
        ("restarts", Json::Number(u64::from(status.restarts))),
        ("cpu_ms", Json::number(item.usage.cpu_ms)),
        ("cpu_percent", cpu.map_or(Json::Null, Json::Tenths)),
        ("memory_bytes", Json::number(item.usage.memory)),
        ("tasks", Json::number(item.usage.tasks)),
        ("io_read_bytes", Json::number(io.map(|io| io.read))),
        ("io_written_bytes", Json::number(io.map(|io| io.written))),
        ("limits", Json::texts(&status.limits)),
        ("cause", Json::text(&status.cause)),
        (
            "last_end",
            status.last_end.as_deref().map_or(Json::Null, Json::text),
        ),
        ("frozen_ms", Json::number(status.frozen_ms)),
        ("deadline_ms", Json::number(status.deadline_ms)),
        ("waits_for", Json::texts(&status.waits_for)),
        ("awaits", Json::text(&status.awaits)),
        ("requires", Json::texts(&status.requires)),
        ("enabled", Json::Bool(status.enabled)),
        ("file", Json::text(&status.file)),
        ("file_changed", Json::Bool(item.files != Files::AsRead)),
        ("transient", Json::Bool(item.origin == Origin::CommandLine)),
        ("file_gone", Json::Bool(item.files == Files::Gone)),
        ("log_lost_bytes", Json::Number(status.log_lost)),
        ("log_dropped_lines", Json::Number(status.log_dropped)),
        ("log_limited_lines", Json::Number(status.log_limited)),
        ("log_trouble", Json::text(&status.log_trouble)),
        ("says", Json::text(&status.said)),
        ("left_over", Json::List(left_over.collect())),
        ("forgone", Json::texts(&status.forgone)),
        (
            "error",
            item.fault.as_deref().map_or(Json::Null, Json::text),
        ),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::golden;
    use crate::cli::style::Palette;
    use crate::cli::usage::{Io, Process};

    pub(in crate::cli::render) const NOW: u64 = 1_795_300_813_000;

    pub(in crate::cli::render) fn page(palette: Palette, width: Option<usize>) -> Page {
        Page {
            palette,
            width,
            now_ms: NOW,
        }
    }

    fn item(name: &str, state: &str, active: &str) -> Item {
        Item {
            status: UnitStatus {
                name: name.to_owned(),
                state: state.to_owned(),
                active: active.to_owned(),
                phase: state.to_owned(),
                kind: "simple".to_owned(),
                file: format!("/srv/services/{name}.service"),
                since_ms: NOW - 192_000,
                ..UnitStatus::default()
            },
            usage: Usage::default(),
            files: Files::AsRead,
            origin: Origin::File,
            fault: None,
        }
    }

    /// One unit of each kind that looks different.
    pub(in crate::cli::render) fn items() -> Vec<Item> {
        let mut database = item("database", "running", "active");
        database.status.description = "A stand-in for a database".to_owned();
        database.status.documentation = ["https://example.org/database", "man:database(8)"]
            .map(str::to_owned)
            .to_vec();
        database.status.pid = Some(12_345);
        database.status.run = Some(7);
        database.status.cause = "asked by the user root (PID 99)".to_owned();
        database.status.enabled = true;
        database.files = Files::Changed;
        database.status.requires = vec!["disk".to_owned(), "network".to_owned()];
        database.status.limits = vec!["MemoryMax=64M".to_owned(), "TasksMax=20".to_owned()];
        database.usage = Usage {
            cpu_ms: Some(1_250),
            memory: Some(12 * 1024 * 1024 + 400_000),
            tasks: Some(6),
            io: Some(Io {
                read: 4_096,
                written: 3 << 20,
            }),
            processes: vec![
                process(12_345, 0, "database --serve"),
                process(12_346, 1, "database: writer"),
                process(12_348, 2, "database: compressor"),
                process(12_347, 1, "database: reader"),
            ],
        };
        let mut crash = item("crash", "restarting", "activating");
        crash.status.description =
            "Falls over again and again, to show what happens then".to_owned();
        crash.status.restarts = 4;
        crash.status.last_end = Some("exit code 1".to_owned());
        crash.status.deadline_ms = Some(NOW + 3_200);
        let mut frost = item("frost", "running", "active");
        frost.status.frozen_ms = Some(NOW - 61_000);
        let mut web = item("web", "failed", "failed");
        web.status.cause = "exit code 127".to_owned();
        web.status.log_lost = 4_096;
        let mut broken = item("broken", "error", "inactive");
        broken.status.since_ms = 0;
        broken.fault = Some("broken.service:3:1: unknown key `ExecStrat`".to_owned());
        let mut orphan = item("orphan", "running", "active");
        orphan.files = Files::Gone;
        let mut waiting = item("worker@1", "waiting", "activating");
        waiting.status.waits_for = vec!["web".to_owned()];
        let mut slow = item("slow", "starting", "activating");
        slow.status.pid = Some(23_456);
        slow.status.awaits = "ReadyWhen=tcp:localhost:8080: Connection refused".to_owned();
        slow.status.deadline_ms = Some(NOW + 60_000);
        let mut stopped = item("zebra", "stopped", "inactive");
        stopped.status.since_ms = 0;
        stopped.status.left_over = vec![17_174, 17_175];
        vec![
            broken, crash, database, frost, orphan, slow, web, waiting, stopped,
        ]
    }

    fn process(pid: u32, depth: usize, command: &str) -> Process {
        Process {
            pid,
            depth,
            command: command.to_owned(),
        }
    }

    #[test]
    fn the_table_is_as_in_the_golden_files() {
        golden::check("list", &list(&items(), page(Palette::Plain, None)));
        golden::check("list-80", &list(&items(), page(Palette::Plain, Some(80))));
        golden::check("list-40", &list(&items(), page(Palette::Plain, Some(40))));
        golden::check(
            "list-colored",
            &list(&items(), page(Palette::Colored, None)),
        );
        golden::check("list-json", &list_json(&items(), NOW).document());
    }
}
