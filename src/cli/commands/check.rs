//! `check`: unit files and their graph, without a daemon.

use std::path::{Path, PathBuf};

use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::lint::{Finding, Graph, Weight};
use crate::cli::output::answer;
use crate::cli::place::Place;
use crate::cli::style::{Palette, Tone};
use crate::cli::table::{Count, Group, Row};
use crate::cli::text::{clean, count};
use crate::daemon::unit_context;
use crate::unit::{self, LoadError, SearchPath, Unit, UnitName};

pub(in crate::cli) const ROW: Row = Row {
    name: "check",
    alias: None,
    group: Group::Files,
    arguments: "[FILE…]",
    count: Count::Any,
    options: &[],
    summary: "find mistakes in unit files and their dependencies",
    help: &[
        "Without a file: every unit file of the service folders. Shows each mistake with its place, and looks further than \
         the file: a cycle in the order, a dependency that has no file, a program that is not there, a user that does not \
         exist, Requires= without After=. For each service that is restarted it prints the real delays.",
        "Asks no daemon and starts none.",
    ],
    examples: &[
        ("diakonos check", "all of ./services"),
        (
            "diakonos check web.service",
            "one file, with its folder for its dependencies",
        ),
    ],
    exits: &[
        (Exit::Done, "no mistake; there may be warnings"),
        (Exit::Failed, "there are mistakes"),
    ],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let mut path = place.search_path();
    let mut report = Report {
        palette: given.palette(),
        out: String::new(),
        errors: 0,
        warnings: 0,
    };
    let files = files(given, &mut path, &mut report)?;
    let context = unit_context();
    let mut units = Vec::new();
    for (name, file) in &files {
        match unit::load_file(file, name, &context) {
            Ok(unit) => units.push(unit),
            Err(error) => report.broken(file, &error),
        }
    }
    let graph = Graph::new(units.clone(), &path);
    for unit in &units {
        report.unit(unit, &graph.findings(unit));
    }
    if let Some(cycle) = graph.cycle() {
        report.order(&cycle);
    }
    report.summary(files.len());
    answer(&report.out)?;
    Ok(if report.errors > 0 {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// The files to check, each with the name of its unit. The folder of a file joins the search path.
fn files(
    given: &Given,
    path: &mut SearchPath,
    report: &mut Report,
) -> Result<Vec<(UnitName, PathBuf)>, Failure> {
    if given.arguments.is_empty() {
        let listing = path.list();
        for skipped in listing.skipped {
            report.trouble(&skipped.path, &skipped.reason);
        }
        let listed = listing.units.into_iter();
        return Ok(listed
            .map(|listed| (listed.name, listed.found.path))
            .collect());
    }
    let mut files = Vec::new();
    for argument in &given.arguments {
        let file = Path::new(argument);
        if !argument.contains('/') && !file.exists() {
            let name = UnitName::parse(argument).map_err(super::refused)?;
            let Some(found) = path.find(&name) else {
                let listing = path.list();
                let known = listing.units.iter().map(|listed| listed.name.as_str());
                return Err(no_such_unit_in(path, argument, known));
            };
            files.push((name, found.path));
            continue;
        }
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if !name.ends_with(".service") {
            let message = format!("{} is not named NAME.service", clean(argument));
            return Err(Failure::usage(message));
        }
        let name = UnitName::parse(name).map_err(super::refused)?;
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let folder = absolute.parent().unwrap_or(&absolute).to_owned();
        if !path.directories.contains(&folder) {
            path.directories.insert(0, folder);
        }
        files.push((name, absolute));
    }
    Ok(files)
}

fn no_such_unit_in<'a>(
    path: &SearchPath,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Failure {
    let folders: Vec<String> = path
        .directories
        .iter()
        .map(|f| f.display().to_string())
        .collect();
    let message = format!(
        "there is no unit `{}` in {}",
        clean(name),
        folders.join(", ")
    );
    let failure = Failure::new(Exit::NoSuchUnit, message);
    match unit::nearest(name, known) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("a file is named by its path, a unit by its name"),
    }
}

/// What was found, as text, and how much of it.
struct Report {
    palette: Palette,
    out: String,
    errors: usize,
    warnings: usize,
}

impl Report {
    /// A file that cannot be read as a unit.
    fn broken(&mut self, file: &Path, error: &LoadError) {
        let number = match error {
            LoadError::Invalid(report) => report.problems().len(),
            LoadError::NotFound { .. } | LoadError::Io { .. } => 1,
        };
        self.errors += number;
        let word = count(number, "error", "errors");
        self.title(file, Tone::Bad, &word);
        for line in error.to_string().lines() {
            self.out.push_str(&format!("  {}\n", clean(line)));
        }
    }

    /// A file or folder that is left out.
    fn trouble(&mut self, path: &Path, reason: &str) {
        self.warnings += 1;
        self.title(path, Tone::Busy, "left out");
        self.out.push_str(&format!("  {}\n", clean(reason)));
    }

    fn unit(&mut self, unit: &Unit, findings: &[Finding]) {
        let number = |weight: Weight| findings.iter().filter(|f| f.weight == weight).count();
        let (errors, warnings) = (number(Weight::Error), number(Weight::Warning));
        let words = [
            (errors > 0).then(|| count(errors, "error", "errors")),
            (warnings > 0).then(|| count(warnings, "warning", "warnings")),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        match (errors, warnings) {
            (0, 0) => self.title(&unit.path, Tone::Good, "ok"),
            (0, _) => self.title(&unit.path, Tone::Busy, &words.join(", ")),
            _ => self.title(&unit.path, Tone::Bad, &words.join(", ")),
        }
        for finding in findings {
            self.finding(finding);
        }
    }

    fn title(&mut self, path: &Path, tone: Tone, word: &str) {
        let path = self
            .palette
            .paint(Tone::Strong, &clean(&path.display().to_string()));
        let word = self.palette.paint(tone, word);
        self.out.push_str(&format!("{path}: {word}\n"));
    }

    /// What is wrong with no single file, but with what several say together.
    fn order(&mut self, cycle: &Finding) {
        let title = self.palette.paint(Tone::Strong, "all files together");
        let word = self.palette.paint(Tone::Bad, "1 error");
        self.out.push_str(&format!("{title}: {word}\n"));
        self.finding(cycle);
    }

    fn finding(&mut self, finding: &Finding) {
        let label = match finding.weight {
            Weight::Error => {
                self.errors += 1;
                self.palette.paint(Tone::Bad, "error:") + " "
            }
            Weight::Warning => {
                self.warnings += 1;
                self.palette.paint(Tone::Busy, "warning:") + " "
            }
            Weight::Note => String::new(),
        };
        self.out
            .push_str(&format!("  {label}{}\n", clean(&finding.message)));
        if let Some(hint) = &finding.hint {
            let label = self.palette.paint(Tone::Quiet, "hint:");
            self.out.push_str(&format!("    {label} {}\n", clean(hint)));
        }
    }

    fn summary(&mut self, files: usize) {
        let files = count(files, "unit file", "unit files");
        let errors = count(self.errors, "error", "errors");
        let warnings = count(self.warnings, "warning", "warnings");
        self.out
            .push_str(&format!("\n{files}: {errors}, {warnings}\n"));
    }
}
