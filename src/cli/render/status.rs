//! `status`: one unit in full.

use super::list::{Files, Item, Origin, fields};
use super::{Page, is_up, left_over, restarts_in, upheld_in};
use crate::cli::json::Json;
use crate::cli::logtail::Tail;
use crate::cli::missing::missing_texts;
use crate::cli::style::{Palette, Tone, state_tone};
use crate::cli::text::{clean, count, date, fit, percent, size, span, span_fine};
use crate::cli::units::is_down;
use crate::cli::usage::{Io, Process, cpu_tenths};
use crate::log::Missing;

/// Processes that are shown; more are counted.
const PROCESSES_SHOWN: usize = 32;
/// Columns of the labels.
const LABEL: usize = 11;

/// `log`: what it said last, as it is to be shown.
pub(in crate::cli) fn status(item: &Item, log: &Tail, page: Page) -> String {
    let status = &item.status;
    let palette = page.palette;
    let tone = state_tone(&status.state);
    let mut out = format!(
        "{} {}",
        palette.paint(tone, "●"),
        palette.paint(Tone::Strong, &clean(&status.name))
    );
    if !status.description.is_empty() {
        out.push_str(&format!(" - {}", clean(&status.description)));
    }
    out.push('\n');
    let mut page_out = Lines { out, palette };
    state(&mut page_out, item, page);
    file(&mut page_out, item);
    processes(&mut page_out, item, page);
    history(&mut page_out, item, page);
    let mut out = page_out.out;
    if !log.lines.is_empty() {
        let title = format!("last log lines (diakonos logs {}):", clean(&status.name));
        out.push_str(&format!("\n{}\n", palette.paint(Tone::Quiet, &title)));
        for line in &log.lines {
            out.push_str(&format!("  {line}\n"));
        }
    }
    if let Some(note) = &log.note {
        out.push_str(&format!("\n{}\n", palette.paint(Tone::Quiet, note)));
    }
    out
}

/// What a unit said before it failed.
pub(in crate::cli) fn words(tail: &Tail, page: Page) -> String {
    let quiet = |text: &str| page.palette.paint(Tone::Quiet, text);
    let note = tail.note.iter().map(|note| format!("  {}\n", quiet(note)));
    if tail.lines.is_empty() {
        return note.collect();
    }
    let lines = tail.lines.iter().map(|line| format!("    {line}\n"));
    let title = quiet("what it said before it ended:");
    format!("  {title}\n{}", lines.collect::<String>())
}

/// Labelled lines.
struct Lines {
    out: String,
    palette: Palette,
}

impl Lines {
    fn add(&mut self, label: &str, text: &str) {
        let label = self.palette.paint(Tone::Quiet, &format!("{label:>LABEL$}"));
        self.out.push_str(&format!("{label}  {text}\n"));
    }

    fn more(&mut self, text: &str) {
        self.out.push_str(&format!("{:LABEL$}  {text}\n", ""));
    }
}

fn state(lines: &mut Lines, item: &Item, page: Page) {
    let status = &item.status;
    let mut text = lines
        .palette
        .paint(state_tone(&status.state), &status.state);
    if !matches!(status.phase.as_str(), "" | "dead") && status.phase != status.state {
        text.push_str(&format!(" ({})", clean(&status.phase)));
    }
    if status.since_ms > 0 {
        let ago = span(page.now_ms.saturating_sub(status.since_ms));
        text.push_str(&format!(" since {}, {ago}", date(status.since_ms)));
    }
    lines.add("state", &text);
    if let Some(since_ms) = status.frozen_ms {
        let ago = span(page.now_ms.saturating_sub(since_ms));
        let text = format!("since {}, {ago}; `thaw` lets it go on", date(since_ms));
        lines.add("frozen", &lines.palette.paint(Tone::Busy, &text));
    }
    if let Some(fault) = &item.fault {
        lines.add("error", &lines.palette.paint(Tone::Bad, &clean(fault)));
    }
    if let Some(left) = left_over(status) {
        lines.add("left over", &lines.palette.paint(Tone::Bad, &left));
    }
    if !status.cause.is_empty() {
        lines.add("why", &clean(&status.cause));
    }
    if !status.said.is_empty() {
        lines.add("says", &clean(&status.said));
    }
    if !status.waits_for.is_empty() {
        lines.add("waits for", &clean(&status.waits_for.join(", ")));
    }
    if !status.awaits.is_empty() {
        lines.add("waits for", &clean(&status.awaits));
    }
    if let Some(due) = restarts_in(status, page.now_ms) {
        let attempt = status.restarts.saturating_add(1);
        lines.add("next try", &format!("automatic restart {attempt} {due}"));
    } else if let Some(due) = upheld_in(status, page.now_ms) {
        lines.add("next try", &format!("upheld, starts {due}"));
    } else if let Some(due_ms) = status.deadline_ms {
        let left = super::span_until(due_ms.saturating_sub(page.now_ms));
        lines.add("time limit", &format!("ends in {left}"));
    }
}

fn file(lines: &mut Lines, item: &Item) {
    let status = &item.status;
    let enabled = if status.enabled {
        "enabled: starts with the daemon"
    } else {
        "not enabled"
    };
    if !status.kind.is_empty() {
        lines.add("kind", &clean(&status.kind));
    }
    if !status.file.is_empty() {
        lines.add("file", &format!("{} ({enabled})", clean(&status.file)));
    }
    let mark = match item.files {
        Files::AsRead => "",
        Files::Changed if item.fault.is_some() => {
            "the file has changed since it was started and is wrong: `restart` is refused until it is right"
        }
        Files::Changed => {
            "the file has changed since it was started: `diff` shows how, `restart` applies it"
        }
        Files::Gone if is_down(status) => "the file is gone: it cannot be started again",
        Files::Gone => "the file is gone: what is loaded stays until the unit is stopped",
    };
    if item.origin == Origin::CommandLine {
        lines.more("made by `run`: `reset` clears it once it has ended");
    }
    if !mark.is_empty() {
        lines.more(&lines.palette.paint(Tone::Busy, mark));
    }
    for (place, key) in status.forgone.iter().enumerate() {
        let text = lines.palette.paint(Tone::Busy, &clean(key));
        match place {
            0 => lines.add("without", &text),
            _ => lines.more(&text),
        }
    }
    for (place, link) in status.documentation.iter().enumerate() {
        match place {
            0 => lines.add("docs", &clean(link)),
            _ => lines.more(&clean(link)),
        }
    }
    if !status.requires.is_empty() {
        lines.add("requires", &clean(&status.requires.join(", ")));
    }
}

fn processes(lines: &mut Lines, item: &Item, page: Page) {
    let status = &item.status;
    if let Some(pid) = status.pid {
        let run = status
            .run
            .map(|run| format!(" (run {run})"))
            .unwrap_or_default();
        lines.add("pid", &format!("{pid}{run}"));
    }
    for (place, text) in tree(&item.usage.processes, page.width).iter().enumerate() {
        match place {
            0 => lines.add("processes", text),
            _ => lines.more(text),
        }
    }
    let up_ms = page.now_ms.saturating_sub(status.since_ms);
    if let Some(cpu_ms) = item.usage.cpu_ms {
        let share = cpu_tenths(&item.usage, up_ms).filter(|_| is_up(status));
        let share = share.map(|tenths| format!(", {} of one CPU on average", percent(tenths)));
        lines.add(
            "cpu",
            &format!("{}{}", span_fine(cpu_ms), share.unwrap_or_default()),
        );
    }
    if let Some(memory) = item.usage.memory {
        lines.add("memory", &size(memory));
    }
    if let Some(tasks) = item.usage.tasks {
        lines.add("tasks", &tasks.to_string());
    }
    if let Some(Io { read, written }) = item.usage.io.filter(|io| *io != Io::default()) {
        let text = format!("{} read, {} written", size(read), size(written));
        lines.add("disk", &text);
    }
    if !status.limits.is_empty() {
        lines.add("limits", &clean(&status.limits.join(", ")));
    }
}

/// The processes as a tree of light lines.
fn tree(processes: &[Process], width: Option<usize>) -> Vec<String> {
    let mut texts = Vec::new();
    for (place, process) in processes.iter().enumerate().take(PROCESSES_SHOWN) {
        let mut text = String::new();
        for level in 1..=process.depth {
            let goes_on = has_later_sibling(&processes[place + 1..], level);
            text.push_str(match (level == process.depth, goes_on) {
                (true, true) => "├─ ",
                (true, false) => "└─ ",
                (false, true) => "│  ",
                (false, false) => "   ",
            });
        }
        text.push_str(&format!("{} {}", process.pid, process.command));
        let room = width.map_or(120, |width| width.saturating_sub(LABEL + 2).max(20));
        texts.push(fit(&text, room));
    }
    if processes.len() > PROCESSES_SHOWN {
        let more = processes.len() - PROCESSES_SHOWN;
        texts.push(format!(
            "… and {} more",
            count(more, "process", "processes")
        ));
    }
    texts
}

/// Whether another process of this depth follows under the same parent.
fn has_later_sibling(later: &[Process], depth: usize) -> bool {
    let mut family = later.iter().take_while(|process| process.depth >= depth);
    family.any(|process| process.depth == depth)
}

fn history(lines: &mut Lines, item: &Item, page: Page) {
    let status = &item.status;
    if status.restarts > 0 {
        let number = usize::try_from(status.restarts).unwrap_or(usize::MAX);
        let text = count(number, "automatic restart", "automatic restarts");
        lines.add("restarts", &format!("{text} since the last start by hand"));
    }
    if let Some(end) = &status.last_end {
        lines.add("last end", &clean(end));
    }
    for (place, stream) in status.streams.iter().enumerate() {
        match place {
            0 => lines.add("output", &clean(stream)),
            _ => lines.more(&clean(stream)),
        }
    }
    let missing = Missing {
        bytes: status.log_lost,
        dropped_lines: status.log_dropped,
        limited_lines: status.log_limited,
    };
    for text in missing_texts(missing, &clean(&status.log_trouble)) {
        lines.add("log", &page.palette.paint(Tone::Bad, &text));
    }
}

/// `log`: what it said last.
pub(in crate::cli) fn status_json(item: &Item, log: &Tail, now_ms: u64) -> Json {
    let mut all = fields(item, now_ms);
    let process = |process: &Process| {
        Json::Object(vec![
            ("pid", Json::Number(u64::from(process.pid))),
            ("depth", Json::number(u64::try_from(process.depth).ok())),
            ("command", Json::text(&process.command)),
        ])
    };
    let cgroup = item.status.cgroup.as_deref();
    all.push(("cgroup", cgroup.map_or(Json::Null, Json::text)));
    let processes = item.usage.processes.iter().map(process);
    all.push(("processes", Json::List(processes.collect())));
    all.push(("log", Json::texts(&log.lines)));
    all.push(("output", Json::texts(&item.status.streams)));
    Json::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::golden;
    use crate::cli::render::list::tests::{NOW, items, page};

    #[test]
    fn status_is_as_in_the_golden_files() {
        let lines = ["listening on port 5432", "ready"].map(str::to_owned);
        let log = Tail {
            lines: lines.to_vec(),
            note: None,
        };
        let silent = Tail {
            lines: Vec::new(),
            note: Some("its last run printed nothing".to_owned()),
        };
        let all = |palette: Palette| {
            let texts = items().into_iter().map(|item| {
                let log = match item.status.name.as_str() {
                    "database" => log.clone(),
                    "web" => silent.clone(),
                    _ => Tail::default(),
                };
                status(&item, &log, page(palette, None))
            });
            texts.collect::<Vec<_>>().join("\n")
        };
        golden::check("status", &all(Palette::Plain));
        golden::check("status-colored", &all(Palette::Colored));
        let json: Vec<Json> = items()
            .iter()
            .map(|item| status_json(item, &log, NOW))
            .collect();
        golden::check("status-json", &Json::List(json).document());
    }
}
