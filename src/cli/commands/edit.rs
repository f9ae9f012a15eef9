//! `edit`.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::args::Given;
use crate::cli::commands::checked_names;
use crate::cli::drafts;
use crate::cli::exit::{Exit, Failure};
use crate::cli::lint::{Machine, Weight};
use crate::cli::output::{answer, aside, hint_line};
use crate::cli::place::Place;
use crate::cli::style::Tone;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::text::clean;
use crate::cli::units;
use crate::cli::wait::await_signals;
use crate::daemon::unit_context;
use crate::engine::find_cycle;
use crate::sys::files::read_regular;
use crate::sys::process::error_text;
use crate::unit::{
    self, LoadError, SearchPath, Signal, Unit, UnitName, differences, load_changed, load_file,
};

/// What is read of one file, in bytes.
const FILE_MAX: usize = 1 << 20;
/// Editors that are tried where no variable names one.
const EDITORS: [&str; 5] = ["editor", "sensible-editor", "nano", "vim", "vi"];
/// The drop-in that `--drop-in` makes.
const DROP_IN: &str = "override.toml";

pub(in crate::cli) const ROW: Row = Row {
    name: "edit",
    alias: None,
    group: Group::Files,
    arguments: "NAME",
    count: Count::AtLeast(1),
    options: &[Choice::flag(
        "",
        "--drop-in",
        "edit NAME.service.d/override.toml beside it, and leave the unit's own file as it is",
    )],
    summary: "edit a unit file, and save it only if it is right",
    help: &[
        "Opens $VISUAL, else $EDITOR, with a copy of the file. What comes back is checked as `check` does: what is wrong is \
         shown, and the editor offered again; the file changes only when the new one can be read and makes no cycle in the \
         order. What was written is never thrown away: the copy stays where the file could not be saved.",
        "A running service goes on as it was: `restart` applies what was changed, `daemon-reload` what can change while it \
         runs.",
    ],
    examples: &[
        ("diakonos edit web", "edits web.service"),
        (
            "EDITOR=nano diakonos edit --drop-in web",
            "edits web.service.d/override.toml with nano",
        ),
    ],
    exits: &[
        (Exit::Done, "it was saved, or nothing was changed"),
        (
            Exit::Failed,
            "it is wrong and was not saved, or the editor failed",
        ),
        (Exit::NoSuchUnit, "no such unit"),
        (Exit::NotAllowed, "the file cannot be written"),
    ],
    run,
};

/// A file that is being edited.
struct Edit {
    name: UnitName,
    /// The unit's own file.
    unit: PathBuf,
    /// The one that is edited: the same, or a drop-in.
    file: PathBuf,
    /// What it really is, links followed.
    target: PathBuf,
    /// What stood in it; nothing if it is new.
    before: Option<Vec<u8>>,
    draft: PathBuf,
    /// Made for a drop-in.
    folder: Option<Made>,
}

/// A folder that was made for what may never come: it goes again where nothing lies in it in the end.
struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Makes a folder, if there is none.
fn made(folder: &Path) -> Result<Option<Made>, Failure> {
    match fs::create_dir(folder) {
        Ok(()) => Ok(Some(Made(folder.to_owned()))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(refused("make", folder, &error)),
    }
}

fn run(given: &Given) -> Result<Exit, Failure> {
    let names = checked_names(&given.arguments)?;
    let [name] = names.as_slice() else {
        return Err(Failure::usage("one unit is edited at a time"));
    };
    if unit::glob::is_pattern(name) {
        return Err(
            Failure::usage("one unit is edited at a time").hint("name it, without a pattern")
        );
    }
    let place = Place::find(given)?;
    let subject = subject(&place, name)?;
    let mut edit = Edit::begin(&subject, given.flag("--drop-in"))?;
    let done = edit.work(given, &place.search_path());
    if matches!(done, Ok(Some(_)) | Ok(None)) {
        let _ = fs::remove_file(&edit.draft);
    }
    drop(edit.folder.take());
    let Some((old, new)) = done? else {
        aside("nothing was changed\n");
        return Ok(Exit::Done);
    };
    edit.tell(given, &subject, old.as_ref(), &new)
}

/// Whose file is edited.
struct Subject {
    name: UnitName,
    file: PathBuf,
    /// For the reader, what runs as it was before; nothing if nothing does.
    running: Option<String>,
}

/// A template is meant itself here, and not its instances.
fn subject(place: &Place, name: &str) -> Result<Subject, Failure> {
    let mut client = place.connect()?;
    let parsed = UnitName::parse(name).map_err(super::refused)?;
    if parsed.is_template()
        && let Some(found) = place.search_path().find(&parsed)
    {
        let instances = format!("instances of {name} run");
        return Ok(Subject {
            name: parsed,
            file: found.path,
            running: client.map(|_| format!("{instances} as they were, if any do")),
        });
    }
    let items = units::look_up(place, client.as_mut(), &[name.to_owned()])?;
    let no_such = || {
        Failure::new(
            Exit::NoSuchUnit,
            format!("there is no unit `{}`", clean(name)),
        )
    };
    let item = items.into_iter().next().ok_or_else(no_such)?;
    let status = item.status;
    let is_up = status.pid.is_some() || ["active", "reloading"].contains(&&*status.active);
    Ok(Subject {
        name: parsed,
        file: status.file.into(),
        running: is_up.then(|| format!("{name} runs as it was")),
    })
}

impl Edit {
    /// Makes the copy that is edited.
    fn begin(subject: &Subject, drop_in: bool) -> Result<Self, Failure> {
        let (name, unit) = (subject.name.clone(), subject.file.clone());
        let (file, folder) = match drop_in {
            true => {
                let folder = unit.with_file_name(format!("{name}.service.d"));
                (folder.join(DROP_IN), made(&folder)?)
            }
            false => (unit.clone(), None),
        };
        let target = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
        let before = match read_regular(&target, FILE_MAX) {
            Ok(content) => Some(content.bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound && drop_in => None,
            Err(error) => return Err(refused("read", &target, &error)),
        };
        let own = target.file_name().unwrap_or_default().to_string_lossy();
        // Hidden, so that nobody takes it for a unit or a drop-in; the ending tells an editor what it is.
        let begin = format!(".{own}.edit-");
        drafts::tell(&target, &begin);
        let draft = format!("{begin}{}.toml", std::process::id());
        let draft = target.with_file_name(draft);
        let text = before
            .clone()
            .unwrap_or_else(|| template(&name).into_bytes());
        let mut made = fs::OpenOptions::new();
        made.write(true).create_new(true).mode(0o600);
        let mut made = made
            .open(&draft)
            .map_err(|error| refused("write in", target.parent().unwrap_or(&target), &error))?;
        let edit = Self {
            name,
            unit,
            file,
            target,
            before,
            draft,
            folder,
        };
        let written = made.write_all(&text);
        written.map_err(|error| {
            let _ = fs::remove_file(&edit.draft);
            refused("write", &edit.draft, &error)
        })?;
        Ok(edit)
    }

    /// Edits until it is right, unchanged or given up. What it was and what it is; nothing if it is as it was.
    fn work(
        &self,
        given: &Given,
        path: &SearchPath,
    ) -> Result<Option<(Option<Unit>, Unit)>, Failure> {
        let context = unit_context();
        let old = load_file(&self.unit, &self.name, &context).ok();
        loop {
            self.open_editor()?;
            let read = read_regular(&self.draft, FILE_MAX);
            let bytes = read
                .map_err(|error| refused("read", &self.draft, &error))?
                .bytes;
            let is_same = match &self.before {
                Some(before) => *before == bytes,
                None => bytes == template(&self.name).into_bytes(),
            };
            if is_same {
                return Ok(None);
            }
            match self.check(&bytes, path) {
                Ok(new) => {
                    self.save(&bytes)?;
                    return Ok(Some((old, new)));
                }
                Err(report) => {
                    let palette = given.error_palette();
                    let title = palette.paint(Tone::Bad, "error:");
                    let name = clean(&self.file.display().to_string());
                    aside(&format!(
                        "{title} {name} is not saved, because it would be wrong:\n"
                    ));
                    for line in report.lines() {
                        aside(&format!("  {}\n", clean(line)));
                    }
                }
            }
            if !again() {
                return Err(self.left(Failure::silent(Exit::Failed)));
            }
        }
    }

    fn left(&self, failure: Failure) -> Failure {
        let draft = self.draft.display();
        failure.hint(format!("what you wrote is in {draft}"))
    }

    /// The unit as it would be, if it would be right.
    fn check(&self, bytes: &[u8], path: &SearchPath) -> Result<Unit, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let context = unit_context();
        let changed = (self.file.as_path(), text);
        let new =
            load_changed(&self.unit, changed, &self.name, &context).map_err(
                |error| match error {
                    LoadError::Invalid(report) => report.to_string(),
                    other => other.to_string(),
                },
            )?;
        let listing = path.list();
        let others = listing.units.iter().filter(|one| one.name != self.name);
        let others: Vec<Unit> = others
            .filter_map(|one| load_file(&one.found.path, &one.name, &context).ok())
            .collect();
        if find_cycle(others.iter()).is_some() {
            // It was there before, and is none of this file's.
            return Ok(new);
        }
        match find_cycle(others.iter().chain([&new])) {
            None => Ok(new),
            Some(cycle) => {
                let names: Vec<&str> = cycle.iter().map(UnitName::as_str).collect();
                Err(format!(
                    "the order goes in a circle: {}",
                    names.join(" after ")
                ))
            }
        }
    }

    /// Puts the copy in the place of the file, which stays what it was to its owner.
    fn save(&self, bytes: &[u8]) -> Result<(), Failure> {
        let now = match read_regular(&self.target, FILE_MAX) {
            Ok(content) => Some(content.bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.left(refused("read", &self.target, &error))),
        };
        if now != self.before {
            let target = self.target.display();
            let message =
                format!("{target} was changed by somebody else meanwhile, and is not overwritten");
            return Err(self.left(Failure::new(Exit::Failed, message)));
        }
        // What was checked is what is saved: an editor that has gone into the background may still write to the copy.
        let own = self.draft.file_name().unwrap_or_default();
        let mut name = own.to_owned();
        name.push(".new");
        let checked = self.draft.with_file_name(name);
        self.replace(bytes, &checked).map_err(|error| {
            let _ = fs::remove_file(&checked);
            self.left(refused("write", &self.target, &error))
        })
    }

    /// Writes the file anew beside itself and renames it: whoever reads it has the old one or the new.
    fn replace(&self, bytes: &[u8], beside: &Path) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        let mut new = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(beside)?;
        new.write_all(bytes)?;
        match fs::metadata(&self.target) {
            Ok(found) => {
                // Only root can give a file away; anybody else owns what he may replace, or takes it over.
                let _ = std::os::unix::fs::chown(beside, Some(found.uid()), Some(found.gid()));
                new.set_permissions(found.permissions())?;
            }
            Err(_) => new.set_permissions(fs::Permissions::from_mode(0o644))?,
        }
        new.sync_all()?;
        fs::rename(beside, &self.target)
    }

    /// The editor has the terminal until it ends, Ctrl-C included.
    fn open_editor(&self) -> Result<(), Failure> {
        let editor = editor().ok_or_else(|| {
            let reason = match io::stdin().is_terminal() {
                true => "there is no editor",
                false => "there is no terminal for an editor",
            };
            Failure::new(Exit::Failed, reason).hint("name one: EDITOR=nano diakonos edit …")
        });
        let editor = editor.inspect_err(|_| drop(fs::remove_file(&self.draft)))?;
        let meant_for_it = await_signals(&[Signal::INT, Signal::QUIT])?;
        // The shell divides what the variable says into words, as everybody expects of it.
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(format!("exec {editor} \"$1\""))
            .arg("editor")
            .arg(&self.draft);
        let shown = clean(&editor);
        let ended = command.status();
        while matches!(meant_for_it.read(), Ok(Some(_))) {}
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let message = format!("the editor `{shown}` failed: {status}; nothing was saved");
                let is_as_it_was = self.before.as_deref() == fs::read(&self.draft).ok().as_deref();
                let failure = Failure::new(Exit::Failed, message);
                if is_as_it_was || self.before.is_none() {
                    let _ = fs::remove_file(&self.draft);
                    return Err(failure);
                }
                Err(self.left(failure))
            }
            Err(error) => {
                let reason = error_text(&error);
                let message = format!("cannot run the editor `{shown}`: {reason}");
                Err(self.left(Failure::new(Exit::Failed, message)))
            }
        }
    }

    fn tell(
        &self,
        given: &Given,
        subject: &Subject,
        old: Option<&Unit>,
        new: &Unit,
    ) -> Result<Exit, Failure> {
        let name = clean(self.name.as_str());
        let mut out = format!("saved {}\n", clean(&self.target.display().to_string()));
        let found = old.map(|old| differences(old, new)).unwrap_or_default();
        for difference in &found {
            out.push_str(&format!("  {}\n", clean(&difference.to_string())));
        }
        answer(out)?;
        let palette = given.error_palette();
        let warnings = unit::lint(new).into_iter();
        let warnings =
            warnings.map(|warning| (Weight::Warning, warning.message, Some(warning.hint)));
        let mut missing = Vec::new();
        if let Some(service) = &new.service {
            Machine::default().findings(service, &mut missing);
        }
        let missing = missing.into_iter();
        let missing = missing.map(|finding| (finding.weight, finding.message, finding.hint));
        for (weight, message, hint) in warnings.chain(missing) {
            let title = match weight {
                // It was saved, since it can be read; what `check` says of it is said here.
                Weight::Error => palette.paint(Tone::Bad, "it cannot start so:"),
                Weight::Warning | Weight::Note => palette.paint(Tone::Busy, "warning:"),
            };
            aside(&format!("{title} {}\n", clean(&message)));
            aside(&hint.map_or_else(String::new, |hint| hint_line(&hint, palette)));
        }
        if let Some(running) = &subject.running {
            let running = clean(running);
            let hint = format!(
                "{running}: `diakonos restart {name}` applies this, `diakonos daemon-reload` what can change \
                 while it runs"
            );
            aside(&hint_line(&hint, palette));
        }
        Ok(Exit::Done)
    }
}

fn template(name: &UnitName) -> String {
    format!(
        "# What stands here takes the place of what {name}.service says, key by key: `diakonos show {name}`.\n\n[service]\n"
    )
}

/// `$VISUAL`, `$EDITOR`, or what there is.
fn editor() -> Option<String> {
    let named = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|text| !text.trim().is_empty())
    };
    let found = || {
        let path = std::env::var("PATH").unwrap_or_default();
        let is_there = |name: &&str| {
            let mut folders = path.split(':').filter(|folder| !folder.is_empty());
            folders.any(|folder| {
                let found = fs::metadata(Path::new(folder).join(name));
                found.is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
            })
        };
        EDITORS
            .iter()
            .find(|name| is_there(name))
            .map(|name| (*name).to_owned())
    };
    // What nobody has named wants a terminal.
    let found = || found().filter(|_| io::stdin().is_terminal());
    named("VISUAL").or_else(|| named("EDITOR")).or_else(found)
}

/// Whether the editor is to be opened again. Without a terminal nobody can say so.
fn again() -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    aside("edit it again? [Y/n] ");
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => false,
        Ok(_) => !line.trim_start().starts_with(['n', 'N', 'q', 'Q']),
    }
}

fn refused(doing: &str, path: &Path, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Exit::NotAllowed,
        _ => Exit::Failed,
    };
    let reason = error_text(error);
    Failure::new(exit, format!("cannot {doing} {}: {reason}", path.display()))
}
