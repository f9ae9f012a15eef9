//! `cat`.

use std::path::{Path, PathBuf};

use crate::cli::args::Given;
use crate::cli::commands::checked_names;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::answer;
use crate::cli::place::Place;
use crate::cli::style::Tone;
use crate::cli::table::{Count, Group, Row};
use crate::cli::units;
use crate::sys::process::error_text;
use crate::unit::UnitName;

/// What is read of one file, in bytes.
const FILE_MAX: u64 = 1 << 20;

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
    let place = Place::find(given)?;
    let mut client = place.connect()?;
    let names = checked_names(&given.arguments)?;
    let items = units::look_up(&place, client.as_mut(), &names)?;
    let mut out = String::new();
    for item in &items {
        let path = PathBuf::from(&item.status.file);
        let mut files = vec![path.clone()];
        files.extend(drop_ins(&path, &item.status.name));
        for file in files {
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

fn read(file: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file);
    let read = opened.and_then(|opened| opened.take(FILE_MAX).read_to_end(&mut bytes));
    read.map_err(|error| {
        let reason = error_text(&error);
        Failure::new(
            Exit::Failed,
            format!("cannot read {}: {reason}", file.display()),
        )
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `NAME.service.d/*.toml` beside the file, those of the template first.
fn drop_ins(path: &Path, name: &str) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(path);
    let template = UnitName::parse(name).ok().and_then(|name| name.template());
    let names = template
        .map(|name| name.to_string())
        .into_iter()
        .chain([name.to_owned()]);
    let mut files = Vec::new();
    for name in names {
        let Ok(entries) = std::fs::read_dir(folder.join(format!("{name}.service.d"))) else {
            continue;
        };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let mut found: Vec<PathBuf> = paths
            .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
            .collect();
        found.sort_unstable();
        files.extend(found);
    }
    files
}
