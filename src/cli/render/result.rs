//! What became of a verb: progress, successes and failures, in lines.

use crate::cli::logtail::Tail;
use crate::cli::style::{Palette, Tone};
use crate::cli::text::{clean, span_until};
use crate::wire::{Progress, ProgressKind, ResultKind, UnitResult};

/// One line (or several, for a changed file) on the way.
pub(in crate::cli) fn progress(progress: &Progress, palette: Palette) -> String {
    let tone = match progress.kind {
        ProgressKind::AlsoStarts
        | ProgressKind::AlsoStops
        | ProgressKind::AlsoRestarts
        | ProgressKind::Waits
        | ProgressKind::Reached
        | ProgressKind::Stopping => Tone::Quiet,
        ProgressKind::Definition | ProgressKind::PulledIn => return String::new(),
        ProgressKind::Retries | ProgressKind::Changed => Tone::Busy,
        ProgressKind::Killing | ProgressKind::Warning => Tone::Bad,
    };
    let name = clean(&progress.unit);
    let mut subject = match (progress.kind, name.is_empty()) {
        (ProgressKind::Warning, true) => "warning".to_owned(),
        (ProgressKind::Warning, false) => format!("warning: {name}"),
        _ => name,
    };
    if !subject.is_empty() {
        subject = format!("{}: ", palette.paint(tone, &subject));
    }
    let mut lines = progress.text.lines();
    let mut out = format!("{subject}{}\n", clean(lines.next().unwrap_or_default()));
    for line in lines {
        out.push_str(&format!("    {}\n", clean(line)));
    }
    out
}

/// Whether this result is what was asked for, or as good as that.
pub(in crate::cli) fn is_success(result: &UnitResult) -> bool {
    match result.kind {
        ResultKind::Started
        | ResultKind::AlreadyUp
        | ResultKind::Completed
        | ResultKind::Skipped
        | ResultKind::Stopped
        | ResultKind::AlreadyDown
        | ResultKind::Reloaded
        | ResultKind::Signaled
        | ResultKind::Frozen
        | ResultKind::Thawed
        | ResultKind::ResetDone
        | ResultKind::Set
        | ResultKind::Renewed
        | ResultKind::Scaled
        | ResultKind::LogTended
        | ResultKind::LeftDown
        | ResultKind::Enabled
        | ResultKind::Disabled => true,
        ResultKind::Failed
        | ResultKind::Superseded
        | ResultKind::Impossible
        | ResultKind::NotRunning => false,
    }
}

/// A line for each unit that went well, for standard output.
pub(in crate::cli) fn successes(results: &[UnitResult], palette: Palette) -> String {
    let mut out = String::new();
    for result in results.iter().filter(|result| is_success(result)) {
        let tone = match result.kind {
            ResultKind::AlreadyUp | ResultKind::AlreadyDown | ResultKind::LeftDown => Tone::Quiet,
            _ => Tone::Good,
        };
        let name = palette.paint(tone, &clean(&result.unit));
        out.push_str(&format!("{name}: {}\n", clean(&result.text)));
    }
    out
}

/// A failure with its reason, its next automatic try and the last log lines of the unit to blame, for standard error.
pub(in crate::cli) fn failures(
    result: &UnitResult,
    (culprit, log): (&str, &Tail),
    palette: Palette,
) -> String {
    let error = palette.paint(Tone::Bad, "error:");
    let name = palette.paint(Tone::Strong, &clean(&result.unit));
    let mut lines = result.text.lines();
    let mut out = format!(
        "{error} {name}: {}\n",
        clean(lines.next().unwrap_or_default())
    );
    for line in lines {
        out.push_str(&format!("       {}\n", clean(line)));
    }
    if let Some(retry_ms) = result.retry_ms {
        let text = format!("it is tried again by itself in {}", span_until(retry_ms));
        out.push_str(&format!("       {}\n", palette.paint(Tone::Busy, &text)));
    }
    if let Some(note) = &log.note {
        let note = palette.paint(Tone::Quiet, note);
        out.push_str(&format!("       {note}\n"));
    }
    if !log.lines.is_empty() {
        let title = match culprit == result.unit {
            true => "its last log lines:".to_owned(),
            false => format!("the last log lines of {}:", clean(culprit)),
        };
        let title = palette.paint(Tone::Quiet, &title);
        out.push_str(&format!("       {title}\n"));
        let bar = palette.paint(Tone::Quiet, "│");
        for line in &log.lines {
            out.push_str(&format!("       {bar} {line}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::golden;

    fn result(unit: &str, kind: ResultKind, text: &str) -> UnitResult {
        UnitResult {
            unit: unit.to_owned(),
            kind,
            text: text.to_owned(),
            retry_ms: None,
            hint: None,
            left: Vec::new(),
        }
    }

    fn step(kind: ProgressKind, unit: &str, text: &str) -> Progress {
        Progress {
            kind,
            unit: unit.to_owned(),
            text: text.to_owned(),
            in_ms: None,
        }
    }

    #[test]
    fn results_are_as_in_the_golden_files() {
        let mut failed = result("web", ResultKind::Failed, "exit code 1");
        failed.retry_ms = Some(200);
        let results = [
            result("database", ResultKind::Started, "started"),
            result("cache", ResultKind::AlreadyUp, "is already up"),
            failed.clone(),
        ];
        let steps = [
            step(
                ProgressKind::AlsoStarts,
                "database",
                "also starts: required by web",
            ),
            step(
                ProgressKind::Changed,
                "web",
                "its file has changed:\nRestart: no → always",
            ),
            step(ProgressKind::Warning, "", "metrics is wanted and missing"),
            step(
                ProgressKind::Killing,
                "slow",
                "did not stop in time: SIGKILL sent",
            ),
        ];
        let lines = ["Traceback (most recent call last):", "OSError"].map(str::to_owned);
        let log = Tail {
            lines: lines.to_vec(),
            note: None,
        };
        for (name, palette) in [
            ("result", Palette::Plain),
            ("result-colored", Palette::Colored),
        ] {
            let mut text: String = steps.iter().map(|step| progress(step, palette)).collect();
            text.push_str(&successes(&results, palette));
            text.push_str(&failures(&failed, ("web", &log), palette));
            golden::check(name, &text);
        }
    }
}
