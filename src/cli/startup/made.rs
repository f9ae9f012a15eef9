//! What an installation consists of: files, links, lines of a crontab. Each is put in place and taken away here.
//!
//! What is not ours is never touched: a file is ours if our mark stands in it, a link if it leads to what is ours.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};

use super::super::exit::{Exit, Failure};
use super::super::text::clean;
use super::{Plan, crontab};
use crate::sys::files::read_regular;
use crate::sys::process::error_text;

/// What is read of a file to see whose it is, in bytes.
const FILE_LIMIT: usize = 64 * 1024;

/// One thing to make. Paths are as the machine sees them that boots, without the plan's root.
#[derive(Debug)]
pub(in crate::cli) enum Made {
    File {
        path: PathBuf,
        mode: u32,
        text: String,
    },
    Link {
        path: PathBuf,
        target: PathBuf,
    },
    /// In the user's crontab.
    Lines {
        begin: String,
        line: String,
        end: String,
    },
}

/// What became of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Outcome {
    Changed,
    /// It was so already.
    Same,
}

/// What is found where something is to be.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// Ours, and exactly as it is to be.
    Same,
    /// Ours, but otherwise.
    Ours,
    /// Somebody else's, and how that is known.
    Foreign(String),
}

impl Made {
    pub(super) fn file(path: &Path, text: String) -> Self {
        let (path, mode) = (path.to_owned(), 0o644);
        Self::File { path, mode, text }
    }

    pub(super) fn program(path: &Path, text: String) -> Self {
        let (path, mode) = (path.to_owned(), 0o755);
        Self::File { path, mode, text }
    }

    pub(super) fn link(path: PathBuf, target: PathBuf) -> Self {
        Self::Link { path, target }
    }

    /// Its name, for messages.
    pub(in crate::cli) fn what(&self, plan: &Plan) -> String {
        match self {
            Self::File { .. } => self.place(plan).display().to_string(),
            Self::Link { target, .. } => {
                let place = self.place(plan);
                format!("{} -> {}", place.display(), target.display())
            }
            Self::Lines { line, .. } => format!("your crontab: {line}"),
        }
    }

    /// The whole of it, as `--print` shows it.
    pub(in crate::cli) fn shown(&self) -> String {
        match self {
            Self::File { path, mode, text } => {
                format!("# {} (mode {mode:04o})\n{text}\n", path.display())
            }
            Self::Link { path, target } => {
                format!("# link {} -> {}\n", path.display(), target.display())
            }
            Self::Lines { begin, line, end } => format!("{begin}\n{line}\n{end}\n"),
        }
    }

    /// Fails if it cannot be put in place because something else is there.
    pub(in crate::cli) fn check(&self, plan: &Plan) -> Result<(), Failure> {
        match self.find(plan)? {
            Found::Foreign(reason) => Err(self.foreign(plan, &reason)),
            Found::Nothing | Found::Same | Found::Ours => Ok(()),
        }
    }

    fn foreign(&self, plan: &Plan, reason: &str) -> Failure {
        let message = format!("{} is left as it is: {reason}", self.place(plan).display());
        Failure::new(Exit::Failed, message)
            .hint("move it away if nobody needs it; --print shows what would be written")
    }

    /// Where it lies on this machine; nowhere in particular, if it is no file.
    fn place(&self, plan: &Plan) -> PathBuf {
        match self {
            Self::File { path, .. } | Self::Link { path, .. } => below(plan.root.as_deref(), path),
            Self::Lines { .. } => PathBuf::from("your crontab"),
        }
    }

    /// Puts it in place.
    pub(in crate::cli) fn install(&self, plan: &Plan) -> Result<Outcome, Failure> {
        match self.find(plan)? {
            Found::Same => return Ok(Outcome::Same),
            Found::Foreign(reason) => return Err(self.foreign(plan, &reason)),
            Found::Nothing | Found::Ours => {}
        }
        let path = self.place(plan);
        match self {
            Self::File { mode, text, .. } => {
                let put = make_parent(&path).and_then(|()| put(&path, *mode, text));
                put.map_err(|error| failed("write", &path, &error))?;
            }
            Self::Link { target, .. } => {
                let put = make_parent(&path).and_then(|()| symlink(target, &path));
                put.map_err(|error| failed("make the link", &path, &error))?;
            }
            Self::Lines { begin, line, end } => {
                let split = crontab::split(&crontab::read()?, begin, end)?;
                let mut table = split.before;
                if !table.is_empty() && !table.ends_with('\n') {
                    table.push('\n');
                }
                table.push_str(&format!("{begin}\n{line}\n{end}\n{}", split.after));
                crontab::write(&table)?;
            }
        }
        Ok(Outcome::Changed)
    }

    /// Takes it away. `Same`: there was nothing, or nothing of ours.
    pub(in crate::cli) fn remove(&self, plan: &Plan) -> Result<Outcome, Failure> {
        match self.find(plan)? {
            Found::Nothing | Found::Foreign(_) => return Ok(Outcome::Same),
            Found::Same | Found::Ours => {}
        }
        match self {
            Self::File { .. } | Self::Link { .. } => {
                let path = self.place(plan);
                fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
                remove_own_folders(&path);
            }
            Self::Lines { begin, end, .. } => {
                let split = crontab::split(&crontab::read()?, begin, end)?;
                crontab::write(&format!("{}{}", split.before, split.after))?;
            }
        }
        Ok(Outcome::Changed)
    }

    fn find(&self, plan: &Plan) -> Result<Found, Failure> {
        let path = self.place(plan);
        match self {
            Self::File { mode, text, .. } => find_file(&path, (*mode, text), &plan.mark),
            Self::Link { target, .. } => match find_link(&path, target)? {
                Found::Same if leads_to_foreign(plan)? => {
                    let reason = "what it leads to is not ours".to_owned();
                    Ok(Found::Foreign(reason))
                }
                found => Ok(found),
            },
            Self::Lines { begin, line, end } => {
                if plan.root.is_some() {
                    let message = "a crontab can be changed on the running machine only";
                    return Err(Failure::usage(message).hint("leave --root out"));
                }
                let split = crontab::split(&crontab::read()?, begin, end)?;
                Ok(match split.ours {
                    None => Found::Nothing,
                    Some(ours) if ours == format!("{begin}\n{line}\n{end}\n") => Found::Same,
                    Some(_) => Found::Ours,
                })
            }
        }
    }
}

/// The path within the folder that stands for `/`.
pub(super) fn below(root: Option<&Path>, path: &Path) -> PathBuf {
    match root {
        Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    }
}

fn find_file(path: &Path, expected: (u32, &String), mark: &str) -> Result<Found, Failure> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_missing(&error) => return Ok(Found::Nothing),
        Err(error) => return Err(failed("look at", path, &error)),
    };
    if !metadata.is_file() {
        return Ok(Found::Foreign("it is no regular file".to_owned()));
    }
    let content = match read_regular(path, FILE_LIMIT) {
        Ok(content) => content,
        Err(error) => return Err(failed("read", path, &error)),
    };
    let (mode, text) = expected;
    if content.bytes == text.as_bytes() && metadata.permissions().mode() & 0o7777 == mode {
        return Ok(Found::Same);
    }
    let held = String::from_utf8_lossy(&content.bytes);
    if held.lines().any(|line| line == mark) {
        return Ok(Found::Ours);
    }
    let reason = "`diakonos startup` did not make it for this home";
    Ok(Found::Foreign(reason.to_owned()))
}

fn find_link(path: &Path, target: &Path) -> Result<Found, Failure> {
    match fs::read_link(path) {
        Ok(found) if found == *target => Ok(Found::Same),
        Ok(found) => {
            let reason = format!("it leads to {}", found.display());
            Ok(Found::Foreign(reason))
        }
        Err(error) if is_missing(&error) => Ok(Found::Nothing),
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            Ok(Found::Foreign("it is no symbolic link".to_owned()))
        }
        Err(error) => Err(failed("look at", path, &error)),
    }
}

/// Whether what a link of this name leads to is somebody else's, none of it ours.
fn leads_to_foreign(plan: &Plan) -> Result<bool, Failure> {
    let mut is_foreign = false;
    for made in &plan.made {
        if let Made::File { mode, text, .. } = made {
            match find_file(&made.place(plan), (*mode, text), &plan.mark)? {
                Found::Same | Found::Ours => return Ok(false),
                Found::Foreign(_) => is_foreign = true,
                Found::Nothing => {}
            }
        }
    }
    Ok(is_foreign)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Writes a file whole or not at all.
fn put(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let beside = path.with_extension("diakonos-new");
    let written = fs::write(&beside, text)
        .and_then(|()| fs::set_permissions(&beside, Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What was not written cannot be removed either, and then nothing is left.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Folders that are made for what lies in them, and go with the last of it: a service's of runit, and those of a
/// target's links.
fn remove_own_folders(path: &Path) {
    let services = Path::new("etc/sv");
    let is_ours = |folder: &&Path| {
        let is_wants = folder.extension().is_some_and(|ending| ending == "wants");
        let mut above = folder.ancestors().skip(1);
        is_wants || above.any(|folder| folder.ends_with(services))
    };
    for folder in path.ancestors().skip(1).take_while(is_ours) {
        // It stays while anything is left in it.
        let _ = fs::remove_dir(folder);
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot {what} {}: {}", path.display(), error_text(error));
    if error.kind() == ErrorKind::PermissionDenied {
        return Failure::new(Exit::NotAllowed, message);
    }
    Failure::new(Exit::Failed, message)
}

/// Runs a command that tells the init system; its output if it fails.
pub(in crate::cli) fn run(words: &[&str]) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else {
        return Ok(());
    };
    let mut program = Program::new(program);
    let output = program.args(arguments).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            Err(clean(complaint.lines().next().unwrap_or("it failed")))
        }
        Err(error) => Err(error_text(&error)),
    }
}
