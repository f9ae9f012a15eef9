//! `check`: what was found, file by file, each with its place, the line itself and what to do.

use std::path::{Path, PathBuf};

use super::Page;
use crate::cli::json::Json;
use crate::cli::lint::{Delays, Finding, Reach, Step, Weight};
use crate::cli::style::Tone;
use crate::cli::text::{clean, count};
use crate::unit::Problem;

/// What stands before a line of a unit file.
const INDENT: &str = "      ";
/// The least of such a line that is shown.
const LINE_MIN: usize = 20;

/// What was found in one file.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Checked {
    pub(in crate::cli) path: PathBuf,
    /// Nothing where the file belongs to none.
    pub(in crate::cli) unit: Option<String>,
    pub(in crate::cli) findings: Vec<Finding>,
    pub(in crate::cli) delays: Option<Delays>,
}

/// What was found in all.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Verdict {
    /// Unit files that were asked for.
    pub(in crate::cli) asked: usize,
    pub(in crate::cli) files: Vec<Checked>,
    /// What is wrong with no single file, but with what several say together.
    pub(in crate::cli) together: Vec<Finding>,
    /// Where the reader is: paths below it are shown from there.
    pub(in crate::cli) folder: PathBuf,
}

impl Verdict {
    /// How many findings have this weight.
    pub(in crate::cli) fn number(&self, weight: Weight) -> usize {
        let single = self.files.iter().flat_map(|file| &file.findings);
        number(single.chain(&self.together), weight)
    }

    fn shown<'p>(&self, path: &'p Path) -> std::path::Display<'p> {
        let below = path.strip_prefix(&self.folder);
        below.unwrap_or(path).display()
    }
}

fn number<'f>(findings: impl IntoIterator<Item = &'f Finding>, weight: Weight) -> usize {
    let findings = findings.into_iter();
    findings.filter(|finding| finding.weight == weight).count()
}

pub(in crate::cli) fn findings(verdict: &Verdict, page: Page) -> String {
    let mut out = String::new();
    for file in &verdict.files {
        let path = verdict.shown(&file.path).to_string();
        title(&mut out, &path, &file.findings, page);
        for finding in &file.findings {
            one(&mut out, finding, verdict, page);
        }
        if let Some(delays) = &file.delays {
            out.push_str(&format!("  {delays}\n"));
        }
    }
    if !verdict.together.is_empty() {
        title(&mut out, "all files together", &verdict.together, page);
    }
    for finding in &verdict.together {
        one(&mut out, finding, verdict, page);
    }
    let files = count(verdict.asked, "unit file", "unit files");
    let errors = count(verdict.number(Weight::Error), "error", "errors");
    let warnings = count(verdict.number(Weight::Warning), "warning", "warnings");
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&format!("{files}: {errors}, {warnings}\n"));
    out
}

fn title(out: &mut String, name: &str, findings: &[Finding], page: Page) {
    let errors = number(findings, Weight::Error);
    let warnings = number(findings, Weight::Warning);
    let words = [
        (errors > 0).then(|| count(errors, "error", "errors")),
        (warnings > 0).then(|| count(warnings, "warning", "warnings")),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    let (tone, words) = match (errors, warnings) {
        (0, 0) => (Tone::Good, "ok".to_owned()),
        (0, _) => (Tone::Busy, words.join(", ")),
        _ => (Tone::Bad, words.join(", ")),
    };
    let name = page.palette.paint(Tone::Strong, &clean(name));
    out.push_str(&format!("{name}: {}\n", page.palette.paint(tone, &words)));
}

fn one(out: &mut String, finding: &Finding, verdict: &Verdict, page: Page) {
    let tone = match finding.weight {
        Weight::Error => Tone::Bad,
        Weight::Warning => Tone::Busy,
        Weight::Note => Tone::Quiet,
    };
    let label = page
        .palette
        .paint(tone, &format!("{}:", word(finding.weight)));
    let place = match &finding.place {
        Some(place) => {
            let path = clean(&verdict.shown(&place.path).to_string());
            format!("{path}:{}:{}: ", place.line, place.column)
        }
        None => String::new(),
    };
    let message = clean(&finding.message);
    out.push_str(&format!("  {label} {place}{message}\n"));
    if let Some(place) = &finding.place {
        line(out, place, tone, page);
    }
    for step in &finding.steps {
        edge(out, step, verdict);
    }
    if let Some(hint) = &finding.hint {
        let label = page.palette.paint(Tone::Quiet, "hint:");
        out.push_str(&format!("    {label} {}\n", clean(hint)));
    }
}

fn word(weight: Weight) -> &'static str {
    match weight {
        Weight::Error => "error",
        Weight::Warning => "warning",
        Weight::Note => "note",
    }
}

/// The line of the file, as much of it as there is room for, with carets under the place.
fn line(out: &mut String, place: &Problem, tone: Tone, page: Page) {
    if place.source_line.trim().is_empty() {
        return;
    }
    let room = page.width.map_or(usize::MAX, |width| {
        width.saturating_sub(INDENT.len()).max(LINE_MIN)
    });
    let (offset, width) = (cast(place.offset), cast(place.width));
    let length = place.source_line.chars().count();
    // Of a line that is too long, what stands around the place.
    let skipped = match length > room {
        true => offset.saturating_sub(room / 3).min(length - room),
        false => 0,
    };
    let shown: String = place.source_line.chars().skip(skipped).take(room).collect();
    let offset = offset.saturating_sub(skipped);
    let blank = |c| if c == '\t' { '\t' } else { ' ' };
    let before: String = shown.chars().take(offset).map(blank).collect();
    let carets = "^".repeat(width.min(room.saturating_sub(offset)).max(1));
    let carets = page.palette.paint(tone, &carets);
    out.push_str(&format!("{INDENT}{shown}\n{INDENT}{before}{carets}\n"));
}

fn cast(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn edge(out: &mut String, step: &Step, verdict: &Verdict) {
    let Step {
        unit, after, key, ..
    } = step;
    let place = match &step.place {
        Some(place) => format!(", {}:{}", verdict.shown(&place.path), place.line),
        None => String::new(),
    };
    let place = clean(&place);
    out.push_str(&format!(
        "{INDENT}{unit} comes after {after}: {key}={place}\n"
    ));
}

pub(in crate::cli) fn findings_json(verdict: &Verdict) -> Json {
    let files = verdict.files.iter().map(|file| {
        let unit = file.unit.as_deref();
        Json::Object(vec![
            ("file", Json::text(&file.path.display().to_string())),
            ("unit", unit.map_or(Json::Null, Json::text)),
            ("findings", list(&file.findings)),
            ("restart", file.delays.as_ref().map_or(Json::Null, delays)),
        ])
    });
    let total = |weight| Json::number(u64::try_from(verdict.number(weight)).ok());
    Json::Object(vec![
        ("files", Json::List(files.collect())),
        ("together", list(&verdict.together)),
        ("errors", total(Weight::Error)),
        ("warnings", total(Weight::Warning)),
    ])
}

fn list(findings: &[Finding]) -> Json {
    let finding = |finding: &Finding| {
        let mut fields = vec![
            ("severity", Json::text(word(finding.weight))),
            ("message", Json::text(&finding.message)),
            (
                "hint",
                finding.hint.as_deref().map_or(Json::Null, Json::text),
            ),
        ];
        fields.extend(position(finding.place.as_ref()));
        if !finding.steps.is_empty() {
            fields.push(("path", Json::List(finding.steps.iter().map(step).collect())));
        }
        Json::Object(fields)
    };
    Json::List(findings.iter().map(finding).collect())
}

fn position(place: Option<&Problem>) -> [(&'static str, Json); 4] {
    let path = place.map(|place| place.path.display().to_string());
    let number = |of: fn(&Problem) -> u32| Json::number(place.map(of).map(u64::from));
    [
        ("file", path.as_deref().map_or(Json::Null, Json::text)),
        ("line", number(|place| place.line)),
        ("column", number(|place| place.column)),
        ("width", number(|place| place.width)),
    ]
}

fn step(step: &Step) -> Json {
    let [file, line, ..] = position(step.place.as_ref());
    Json::Object(vec![
        ("unit", Json::text(step.unit.as_str())),
        ("after", Json::text(step.after.as_str())),
        ("key", Json::text(step.key)),
        file,
        line,
    ])
}

fn delays(delays: &Delays) -> Json {
    let first = delays.first_ms.iter().map(|ms| Json::Number(*ms)).collect();
    let limit = delays.limit.map_or(Json::Null, |limit| {
        Json::Object(vec![
            ("starts", Json::Number(u64::from(limit.burst))),
            ("within_ms", Json::Number(limit.interval_ms)),
            ("reachable", Json::Bool(limit.reach == Reach::Reached)),
        ])
    });
    Json::Object(vec![
        ("summary", Json::text(&delays.to_string())),
        ("first_delays_ms", Json::List(first)),
        ("longest_delay_ms", Json::Number(delays.longest_ms)),
        ("jitter_percent", Json::Number(u64::from(delays.jitter))),
        ("limit", limit),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use super::*;
    use crate::cli::golden::check;
    use crate::cli::style::Palette;
    use crate::unit::UnitName;

    fn problem(line: u32, source_line: &str, offset: u32, width: u32) -> Problem {
        Problem {
            path: "/srv/units/web.service".into(),
            line,
            column: offset + 1,
            source_line: source_line.to_owned(),
            offset,
            width,
            message: String::new(),
            hint: None,
        }
    }

    fn finding(weight: Weight, message: &str, place: Option<Problem>) -> Finding {
        let mut finding = Finding::new(weight, message);
        finding.place = place;
        finding
    }

    fn step(unit: &str, after: &str, key: &'static str) -> Step {
        let name = |name| UnitName::parse(name).ok();
        Step {
            unit: name(unit).expect("a name"),
            after: name(after).expect("a name"),
            key,
            place: Some(problem(4, "", 0, 1)),
        }
    }

    fn verdict() -> Verdict {
        let start =
            "ExecStart = \"pyton3 -m http.server --directory /srv/www/a/long/way/down 8080\"";
        let web = vec![
            finding(
                Weight::Error,
                "ExecStart = pyton3: no such program",
                Some(problem(7, start, 13, 6)),
            )
            .hint("did you mean `python3`?"),
            finding(
                Weight::Warning,
                "the last argument is odd",
                Some(problem(7, start, 72, 4)),
            ),
            finding(Weight::Note, "good to \u{1b} know", None),
        ];
        let mut circle = finding(Weight::Error, "the order goes in a circle", None);
        circle.steps = vec![step("a", "b", "After"), step("b", "a", "Before")];
        let checked = |name: &str, findings| Checked {
            path: format!("/srv/units/{name}.service").into(),
            unit: Some(name.to_owned()),
            findings,
            delays: None,
        };
        Verdict {
            asked: 2,
            files: vec![checked("good", vec![]), checked("web", web)],
            together: vec![circle],
            folder: "/srv".into(),
        }
    }

    fn page(palette: Palette, width: Option<usize>) -> Page {
        Page {
            palette,
            width,
            now_ms: 0,
        }
    }

    #[test]
    fn findings_are_as_in_the_golden_files() {
        let verdict = verdict();
        check("check", &findings(&verdict, page(Palette::Plain, None)));
        check(
            "check-40",
            &findings(&verdict, page(Palette::Plain, Some(40))),
        );
        check(
            "check-colored",
            &findings(&verdict, page(Palette::Colored, None)),
        );
        check("check-json", &findings_json(&verdict).document());
    }
}
