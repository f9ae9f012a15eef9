//! What is wrong with a unit file, shown so that the reader sees the place.
//!
//! Owns positions in a file's text and how problems are written; what counts as a problem is decided where keys
//! are read.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// So many problems of one unit are kept: a file of rubbish has one in every line.
const MAX_PROBLEMS: usize = 100;
/// So much of a line is shown, in characters.
const MAX_SHOWN: usize = 120;

/// One thing that is wrong in a unit file, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub path: PathBuf,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// The line, without its end; of a very long one the part around the column.
    pub source_line: String,
    /// Where in `source_line` the place begins, in characters from 0.
    pub offset: u32,
    /// How many characters of `source_line` it covers; at least 1.
    pub width: u32,
    pub message: String,
    pub hint: Option<String>,
}

/// `PATH:LINE:COLUMN: message`, the line with carets under the place, and the hint.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        writeln!(f, "{path}:{}:{}: {}", self.line, self.column, self.message)?;
        if !self.source_line.trim().is_empty() {
            writeln!(f, "    {}", self.source_line)?;
            f.write_str("    ")?;
            // A tab stays a tab, so that the carets stand where the eye expects them.
            for c in self.source_line.chars().take(self.offset as usize) {
                f.write_str(if c == '\t' { "\t" } else { " " })?;
            }
            for _ in 0..self.width {
                f.write_str("^")?;
            }
            writeln!(f)?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// All that is wrong with a unit, in the order of its files and lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(Vec<Problem>);

impl Report {
    /// `findings` are faults with the number of their source, in order; at least one.
    pub(super) fn new(findings: Vec<(usize, Fault)>, sources: &[Source]) -> Self {
        let more = findings.len() > MAX_PROBLEMS;
        let findings = findings.into_iter().take(MAX_PROBLEMS);
        let mut problems: Vec<Problem> = findings
            .filter_map(|(source, fault)| Some(sources.get(source)?.problem(fault)))
            .collect();
        if let Some(last) = problems.last_mut().filter(|_| more) {
            last.hint = Some("there are more problems: look again when these are gone".to_owned());
        }
        Self(problems)
    }

    /// At least one.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

/// Every problem, each ending with a line's end.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| write!(f, "{problem}"))
    }
}

impl std::error::Error for Report {}

/// The text of a unit file or of a drop-in.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// Something wrong in a known place of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Bytes of the text.
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn hint_if(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

/// "did you mean `word`?"
pub(super) fn did_you_mean(word: &str) -> String {
    format!("did you mean `{word}`?")
}

impl Source {
    /// The line, from 1, in which a byte of the text stands.
    pub(super) fn line_at(&self, byte: usize) -> u32 {
        let before = self
            .text
            .as_bytes()
            .get(..byte)
            .unwrap_or(self.text.as_bytes());
        count(before.iter().filter(|b| **b == b'\n').count()).saturating_add(1)
    }

    /// Finds the place of a fault in lines and columns.
    pub(super) fn problem(&self, fault: Fault) -> Problem {
        let start = floor(&self.text, fault.span.start);
        let end = floor(&self.text, fault.span.end).max(start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |at| start + at);
        let line = self.text[line_start..line_end].trim_end_matches('\r');
        let column = self.text[line_start..start].chars().count();
        let width = self.text[start..end.min(line_end)].chars().count();

        // Of a long line, a part that begins somewhat before the place.
        let skipped = if line.chars().count() > MAX_SHOWN {
            column.saturating_sub(MAX_SHOWN / 3)
        } else {
            0
        };
        // What a terminal would act on is not passed on to it.
        let shown = line.chars().skip(skipped).take(MAX_SHOWN);
        let shown = shown.map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        });
        let offset = column - skipped;
        Problem {
            path: self.path.clone(),
            line: self.line_at(start),
            column: count(column + 1),
            source_line: shown.collect(),
            offset: count(offset),
            width: count(width.min(MAX_SHOWN.saturating_sub(offset)).max(1)),
            message: fault.message,
            hint: fault.hint,
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The nearest character boundary at or before a byte.
fn floor(text: &str, byte: usize) -> usize {
    let mut at = byte.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source {
            path: "/u/a.service".into(),
            text: text.into(),
        }
    }

    fn problem(text: &str, span: Range<usize>) -> Problem {
        source(text).problem(Fault::new(span, "wrong").hint("do right"))
    }

    #[test]
    fn the_carets_stand_under_the_place() {
        let shown = problem("[unit]\n\té = 'x'\n", 11..14).to_string();
        let expected = "/u/a.service:2:4: wrong\n    \té = 'x'\n    \t  ^^^\nhint: do right\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn any_place_can_be_shown() {
        let text = "a\r\nb\u{1b}[2Jé\n\n";
        for start in 0..20 {
            for end in 0..20 {
                let problem = problem(text, start..end);
                assert!(problem.width >= 1);
                assert!(!problem.to_string().contains('\u{1b}'));
            }
        }
        assert_eq!(
            problem("", 0..0).to_string(),
            "/u/a.service:1:1: wrong\nhint: do right\n"
        );
    }

    #[test]
    fn of_a_long_line_a_part_is_shown() {
        let text = format!("{}here{}", "x".repeat(5_000), "y".repeat(5_000));
        let problem = problem(&text, 5_000..5_004);
        assert_eq!(problem.column, 5_001);
        let shown: String = problem
            .source_line
            .chars()
            .skip(problem.offset as usize)
            .collect();
        assert!(shown.starts_with("here"));
        assert_eq!(problem.source_line.chars().count(), MAX_SHOWN);
        assert_eq!(problem.width, 4);
    }

    #[test]
    fn rubbish_does_not_fill_the_screen() {
        let findings = vec![(0, Fault::new(0..1, "wrong")); 1_000];
        let report = Report::new(findings, &[source("x")]);
        assert_eq!(report.problems().len(), MAX_PROBLEMS);
        assert!(report.to_string().contains("there are more problems"));
    }
}
