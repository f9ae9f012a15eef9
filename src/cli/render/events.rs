//! `events`: one line for each entry of the record.

use crate::cli::style::{Palette, Tone, state_tone};
use crate::cli::text::{clean, span, timestamp};
use crate::wire::record::{Asked, Changed, Entry, Stage, What};

/// Columns of the numbers.
const NUMBER: usize = 6;

/// With its line end.
pub(in crate::cli) fn event(entry: &Entry, palette: Palette) -> String {
    let id = palette.paint(Tone::Quiet, &format!("{:>NUMBER$}", entry.id));
    let time = palette.paint(Tone::Quiet, &timestamp(entry.at_ms));
    let text = match &entry.what {
        What::Change(change) => changed(change, palette) + &link(change, palette),
        What::Request(asked) => requested(asked),
        What::Daemon(stage) => staged(stage),
    };
    format!("{id}  {time}  {text}\n")
}

/// A daemon that could not say that it ended.
pub(in crate::cli) fn died(pid: u32, palette: Palette) -> String {
    let text =
        format!("the daemon with PID {pid} died without ending; the next one took its place");
    palette.paint(Tone::Bad, &format!("{:>NUMBER$}  {text}\n", "…"))
}

/// Entries that are not there.
pub(in crate::cli) fn gap(missing: u64, palette: Palette) -> String {
    let text = match missing {
        1 => "one entry is missing: it was lost with a daemon that was killed".to_owned(),
        _ => format!("{missing} entries are missing: they were lost with a daemon that was killed"),
    };
    palette.paint(Tone::Busy, &format!("{:>NUMBER$}  {text}\n", "…"))
}

pub(super) fn changed(change: &Changed, palette: Palette) -> String {
    let unit = palette.paint(Tone::Strong, &clean(&change.unit));
    let to = palette.paint(state_tone(&change.to), &clean(&change.to));
    let step = match change.from == change.to {
        true => to,
        false => format!("{} -> {to}", clean(&change.from)),
    };
    let mut text = format!("{unit}: {step}: {}", clean(&change.text));
    if let (Some(attempt), Some(delay_ms)) = (change.attempt, change.delay_ms) {
        text.push_str(&format!(
            "; automatic restart {attempt} in {}",
            span(delay_ms)
        ));
    }
    text
}

/// The entry that a change follows from.
fn link(change: &Changed, palette: Palette) -> String {
    let link = change.because.map(|because| format!(" (from {because})"));
    palette.paint(Tone::Quiet, &link.unwrap_or_default())
}

fn requested(asked: &Asked) -> String {
    let mut text = format!("{}: {}", wish(asked), asker(asked));
    if asked.repeated {
        text.push_str("; asked again, since a daemon died with the answer");
    }
    if let Some(refused) = &asked.refused {
        text.push_str(&format!("; refused: {}", clean(refused)));
    }
    text
}

/// `start web, db`.
pub(super) fn wish(asked: &Asked) -> String {
    let mut text = clean(&asked.verb);
    for (place, unit) in asked.units.iter().enumerate() {
        text.push_str(if place == 0 { " " } else { ", " });
        text.push_str(&clean(unit));
    }
    if asked.more > 0 {
        text.push_str(&format!(" and {} more", asked.more));
    }
    text
}

/// Who wanted it.
pub(super) fn asker(asked: &Asked) -> String {
    match asked.by.as_str() {
        "boot" => return "the daemon began, and it is enabled".to_owned(),
        "signal" => return "the daemon was told to end by a signal".to_owned(),
        "memory" => return "it used more memory than RestartMemoryMax= lets it".to_owned(),
        _ => {}
    }
    let uid = asked.uid.map(|uid| uid.to_string()).unwrap_or_default();
    let who = match &asked.user {
        Some(name) => format!("{} (uid {uid})", clean(name)),
        None => format!("uid {uid}"),
    };
    let pid = asked.pid.unwrap_or_default();
    match &asked.command {
        Some(command) => format!("asked by {who} with `{}` (PID {pid})", clean(command)),
        None => format!("asked by {who}, PID {pid}"),
    }
}

pub(super) fn staged(stage: &Stage) -> String {
    let Stage { pid, version, .. } = stage;
    let what = match stage.stage.as_str() {
        "began" => "began".to_owned(),
        "upgraded" => "went on as a new program".to_owned(),
        "ended" => "ended".to_owned(),
        other => clean(other),
    };
    format!("the daemon {what}: PID {pid}, version {}", clean(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(what: What) -> Entry {
        Entry {
            id: 12,
            at_ms: 1_795_300_813_007,
            what,
        }
    }

    #[test]
    fn events_read_as_in_the_golden_file() {
        let change = Changed {
            unit: "web".to_owned(),
            from: "running".to_owned(),
            to: "restarting".to_owned(),
            cause: "failed".to_owned(),
            text: "exit code \u{1b}3".to_owned(),
            because: Some(11),
            attempt: Some(2),
            delay_ms: Some(200),
            ..Changed::default()
        };
        let explained = Changed {
            unit: "web".to_owned(),
            from: "stopping".to_owned(),
            to: "stopping".to_owned(),
            text: "it requires db".to_owned(),
            ..Changed::default()
        };
        let asked = Asked {
            verb: "start".to_owned(),
            units: vec!["web".to_owned(), "db".to_owned()],
            by: "client".to_owned(),
            uid: Some(1000),
            user: Some("alice".to_owned()),
            pid: Some(77),
            command: Some("diakonos start web db".to_owned()),
            ..Asked::default()
        };
        let by = |by: &str| Asked {
            by: by.to_owned(),
            more: 3,
            ..asked.clone()
        };
        let nameless = Asked {
            by: "client".to_owned(),
            verb: "shutdown".to_owned(),
            uid: Some(1),
            ..Asked::default()
        };
        let stage = |stage: &str| Stage {
            stage: stage.to_owned(),
            pid: 7,
            version: "0.1.0".to_owned(),
            ..Stage::default()
        };
        let all = [
            What::Change(change),
            What::Change(explained),
            What::Request(asked.clone()),
            What::Request(by("boot")),
            What::Request(by("signal")),
            What::Request(by("memory")),
            What::Request(nameless),
            What::Daemon(stage("began")),
            What::Daemon(stage("upgraded")),
            What::Daemon(stage("ended")),
        ];
        let lines = all.map(|what| event(&entry(what), Palette::Plain));
        let gaps = [gap(1, Palette::Plain), gap(7, Palette::Plain)];
        crate::cli::golden::check("events", &(lines.concat() + &gaps.concat()));
    }
}
