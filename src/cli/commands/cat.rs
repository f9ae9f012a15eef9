//! `cat`.

use std::path::{Path, PathBuf};

use crate::cli::args::Given;
use crate::cli::commands::checked_names;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::answer;
use crate::cli::place::Place;
use crate::cli::render::Item;
use crate::cli::style::Tone;
use crate::cli::table::{Count, Group, Row};
use crate::cli::units;
use crate::sys::files;
use crate::sys::process::error_text;
use crate::unit::{self, UnitName};

/// What is read of one file, in bytes.
const FILE_MAX: usize = 1 << 20;

pub(in crate::cli) const ROW: Row = Row {
    name: "cat",
    alias: None,
    group: Group::Files,
    arguments: "NAME…",
    count: Count::AtLeast(1),
    options: &[],
    summary: "print unit files, with their drop-ins",
    help: &[
        "Each file stands after a line with its path. It is the file on disk, which may have changed since the unit was \
             started.",
    ],
    examples: &[(
        "diakonos cat web",
        "prints web.service and web.service.d/*.toml",
    )],
    exits: &[
        (Exit::Failed, "a file cannot be read"),
        (Exit::NoSuchUnit, "no such unit"),
    ],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    let names = checked_names(&given.arguments)?;
    let place = Place::find(given)?;
    let mut client = place.connect()?;
    let items = units::look_up(&place, client.as_mut(), &names)?;
    let mut out = String::new();
    // The instances of a template have one file.
    let mut seen: Vec<PathBuf> = Vec::new();
    for item in &items {
        for file in files(item)? {
            if seen.contains(&file) {
                continue;
            }
            seen.push(file.clone());
            if !out.is_empty() {
                out.push('\n');
            }
            let title = format!("# {}", file.display());
            out.push_str(&given.palette().paint(Tone::Quiet, &title));
            out.push('\n');
            out.push_str(&read(&file)?);
            if !out.ends_with('\n') {
                out.push('\n');
            }
        }
    }
    answer(out)?;
    Ok(Exit::Done)
}

/// The files of a unit, in the order in which they are read.
fn files(item: &Item) -> Result<Vec<PathBuf>, Failure> {
    let path = Path::new(&item.status.file);
    let Ok(name) = UnitName::parse(&item.status.name) else {
        return Ok(vec![path.to_owned()]);
    };
    let files = unit::files(path, &name);
    files.map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

fn read(file: &Path) -> Result<String, Failure> {
    let content = files::read_regular(file, FILE_MAX).map_err(|error| {
        let reason = error_text(&error);
        Failure::new(
            Exit::Failed,
            format!("cannot read {}: {reason}", file.display()),
        )
    })?;
    Ok(String::from_utf8_lossy(&content.bytes).into_owned())
}
