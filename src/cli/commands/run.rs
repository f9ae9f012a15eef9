//! `run`: a service from a command line, without a file of anybody's.
//!
//! Owns how the line becomes a unit: its name, its program, where its definition lies. What the words of a property
//! mean is `unit`'s; the file that is made of them is read and refused like any other.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::up;
use super::verbs::{DETACHED, FAILED, NO_DAEMON, report};
use crate::cli::args::Given;
use crate::cli::client::{Client, other_answer};
use crate::cli::exit::{Exit, Failure, Source};
use crate::cli::place::Place;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::text::clean;
use crate::cli::wait::{Waiting, mention};
use crate::daemon::unit_context;
use crate::engine::{Command, Wait, unfit};
use crate::sys::clock::wall_ms;
use crate::sys::files::private_directory;
use crate::sys::process::error_text;
use crate::unit::{self, Unclear, UnitName, Wording};
use crate::wire::Final;

/// Names of one program that are tried: `sleep-1` to this one.
const NUMBER_MAX: u32 = 10_000;
/// Characters of a program's name that go into its unit's.
const STEM_MAX: usize = 64;
/// Characters of the command that stand in the description.
const DESCRIPTION_MAX: usize = 200;

pub(in crate::cli) const ROW: Row = Row {
    name: "run",
    alias: None,
    group: Group::Services,
    arguments: "[--] PROGRAM [ARGUMENT…]",
    count: Count::Program,
    options: &[
        Choice::value(
            "",
            "--name",
            "NAME",
            "the unit's name (instead of the program's with a number)",
        ),
        Choice::values(
            "-p",
            "--property",
            "KEY=VALUE",
            "any key of a unit file: Restart=always, MemoryMax=1G, After=db; may be given several times",
        ),
        Choice::values(
            "-E",
            "--set",
            "NAME=VALUE",
            "an environment variable; may be given several times",
        ),
        Choice::value("", "--description", "TEXT", "instead of the command itself"),
        Choice::flag(
            "",
            "--wait",
            "show its output and stay until its end; its exit code is ours",
        ),
        Choice::flag(
            "",
            "--no-wait",
            "return as soon as the daemon has taken the request up",
        ),
    ],
    summary: "run a command as a service, without a unit file",
    help: &[
        "The service is supervised like any other: every other command knows it by its name, and it lives on when the \
         daemon dies. It has the folder and the PATH of whoever calls this, and else a service's clean environment.",
        "A value is taken as TOML where it is, and else as a text: -p Restart=always, -p 'After=[\"db\"]'. ExecStart= is \
         what stands behind the options, as it stands: no $VARIABLE and no % is replaced.",
        "It is known until it has ended and `reset` clears it; its log stays. With --wait it is cleared when it has ended \
         well, and Ctrl-C leaves it alone and running; it reads nothing of what is typed.",
    ],
    examples: &[
        (
            "diakonos run -- python3 -m http.server 8000",
            "a service python3-1",
        ),
        (
            "diakonos run --name job -p MemoryMax=1G --wait make -j4",
            "waits, limits, and has make's exit code",
        ),
    ],
    exits: &[
        FAILED,
        (Exit::Usage, "bad usage, or a property that makes no unit"),
        NO_DAEMON,
        DETACHED,
    ],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    if given.flag("--wait") && given.flag("--no-wait") {
        return Err(Failure::usage("--wait and --no-wait exclude each other"));
    }
    let place = Place::find(given)?;
    let name = given.value("--name").map(named).transpose()?;
    let text = text(given)?;
    // What is wrong with it is said before a daemon is started for it.
    let first = name.clone().map_or_else(|| numbered(given, 1), Ok)?;
    check(&place, &first, &text)?;
    let mut client = place.connect_or_start()?;
    let name = keep(given, &place, &mut client, name, &text)?;
    let path = path_of(&place, &name);
    let begun = if given.flag("--wait") {
        up::attend(given, &place, &mut client, name.as_str())
    } else {
        start(given, &place, &mut client, &name)
    };
    if let Err(failure) = &begun
        && failure.source == Source::Daemon
        && matches!(failure.exit, Exit::Failed | Exit::Usage | Exit::NoSuchUnit)
    {
        // It was refused: there is nothing to be known of it. Where only our own words did not get out, it runs.
        let _ = fs::remove_file(path);
    } else if given.flag("--wait") && matches!(begun, Ok(Exit::Code(0))) {
        let names = vec![name.to_string()];
        client.ask(Command::Reset { names }, &place.directories)?;
    } else if let Ok(Exit::Code(code)) = begun {
        mention(&format!(
            "{name}: exit code {code}; `diakonos reset {name}` clears it"
        ));
    }
    begun
}

fn start(
    given: &Given,
    place: &Place,
    client: &mut Client,
    name: &UnitName,
) -> Result<Exit, Failure> {
    let begun_ms = wall_ms();
    let wait = match given.flag("--no-wait") {
        true => Wait::Accepted,
        false => Wait::Finished,
    };
    let command = Command::Start {
        names: vec![name.to_string()],
        found: Vec::new(),
        wait,
    };
    let mut waiting = Waiting::new(given, place, format!("start {name}"));
    let Final::Results(results) = waiting.carry_out(client, command)? else {
        return Err(other_answer());
    };
    let exit = report(given, place, &results, begun_ms)?;
    mention(&match exit {
        Exit::Done => format!("`diakonos logs {name}` shows what it says, `stop {name}` stops it"),
        _ => format!("`diakonos reset {name}` clears it"),
    });
    Ok(exit)
}

fn named(text: &str) -> Result<UnitName, Failure> {
    let name = UnitName::parse(text).map_err(|error| Failure::usage(error.to_string()))?;
    if name.is_template() {
        let message = format!("--name {name}: that is the name of a template");
        return Err(Failure::usage(message).hint(format!("an instance is named {name}1")));
    }
    Ok(name)
}

/// The name that the program gives, with this number.
fn numbered(given: &Given, number: u32) -> Result<UnitName, Failure> {
    let program = given.arguments.first().map_or("", String::as_str);
    let file = Path::new(program).file_name().unwrap_or_default();
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let stem: String = file.to_string_lossy().chars().filter(fits).collect();
    let stem: String = stem
        .trim_start_matches(['.', '-'])
        .chars()
        .take(STEM_MAX)
        .collect();
    let stem = if stem.is_empty() { "run" } else { &stem };
    named(&format!("{stem}-{number}"))
}

/// The unit file that says what the command line says.
fn text(given: &Given) -> Result<String, Failure> {
    let directory = env::current_dir().map_err(|error| {
        let reason = error_text(&error);
        Failure::new(
            Exit::Failed,
            format!("the current folder is unknown: {reason}"),
        )
    })?;
    let search = env::var("PATH").unwrap_or_default();
    let mut command = given.arguments.clone();
    let description = match given.value("--description") {
        Some(text) => text.to_owned(),
        None => shown(&command),
    };
    let mut properties = given.all("--property");
    let is_elsewhere = properties
        .iter()
        .any(|one| one.starts_with("RootDirectory="));
    if let Some(program) = command.first_mut().filter(|_| !is_elsewhere) {
        *program = located(program, &directory, &search)?;
    }
    for property in &mut properties {
        *property = placed(property, &directory);
    }
    let mut variables = Vec::new();
    if !search.is_empty() {
        variables.push(format!("PATH={search}"));
    }
    variables.extend(given.all("--set"));
    let directory = utf8(directory)?;
    let wording = Wording {
        description: &description,
        command: &command,
        directory: &directory,
        variables: &variables,
        properties: &properties,
    };
    unit::compose(&wording).map_err(|Unclear { message, hint }| Failure {
        hint: hint.or_else(|| Some("`diakonos help run` says more".to_owned())),
        ..Failure::usage(message)
    })
}

fn shown(command: &[String]) -> String {
    let line = command.join(" ");
    let printable = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(DESCRIPTION_MAX).collect()
}

/// A relative folder starts where this command does, not at the file that is made.
fn placed(property: &str, directory: &Path) -> String {
    let Some(("WorkingDirectory", folder)) = property.split_once('=') else {
        return property.to_owned();
    };
    let (dash, bare) = match folder.strip_prefix('-') {
        Some(bare) => ("-", bare),
        None => ("", folder),
    };
    if bare.is_empty() || bare.starts_with(['/', '~', '%', '"', '\'']) {
        return property.to_owned();
    }
    let base = directory.to_string_lossy().replace('%', "%%");
    format!("WorkingDirectory={dash}{base}/{bare}")
}

/// The program's file, as a shell would find it.
fn located(program: &str, directory: &Path, search: &str) -> Result<String, Failure> {
    if program.contains('/') {
        let path = directory.join(program);
        return match fs::metadata(&path) {
            Ok(found) if is_program(&found) => utf8(path),
            Ok(_) => Err(not_run(program, "it is no program")),
            Err(error) => Err(not_run(program, &error_text(&error))),
        };
    }
    let mut places = env::split_paths(search).map(|folder| directory.join(folder).join(program));
    match places.find(|path| fs::metadata(path).is_ok_and(|found| is_program(&found))) {
        Some(path) => utf8(path),
        None => {
            let failure = not_run(program, "no folder of PATH has a program of that name");
            Err(failure.hint(format!("PATH is {}", clean(search))))
        }
    }
}

fn is_program(found: &fs::Metadata) -> bool {
    found.is_file() && found.permissions().mode() & 0o111 != 0
}

fn not_run(program: &str, reason: &str) -> Failure {
    let message = format!("cannot run `{}`: {reason}", clean(program));
    Failure::new(Exit::Failed, message)
}

fn utf8(path: PathBuf) -> Result<String, Failure> {
    path.into_os_string().into_string().map_err(|path| {
        let shown = clean(&path.to_string_lossy());
        Failure::usage(format!("the path {shown} is not UTF-8"))
    })
}

fn path_of(place: &Place, name: &UnitName) -> PathBuf {
    place.home.transient().join(format!("{name}.service"))
}

/// Whether the text makes a unit that can be started.
fn check(place: &Place, name: &UnitName, text: &str) -> Result<(), Failure> {
    let read = unit::parse(text, &path_of(place, name), name, &unit_context());
    let unit = read.map_err(|report| {
        let problems = report.problems().iter();
        let texts: Vec<String> = problems.map(|one| said(&one.to_string())).collect();
        Failure::usage(format!(
            "this makes no unit:\n{}",
            texts.concat().trim_end()
        ))
    })?;
    match unfit(&unit) {
        Some(refusal) => Err(Failure::usage(refusal.to_string())),
        None => Ok(()),
    }
}

/// A problem without the place in a file that nobody has seen.
fn said(problem: &str) -> String {
    let (place, rest) = problem.split_once(": ").unwrap_or(("", problem));
    match place.contains(".service:") {
        true => rest.to_owned(),
        false => problem.to_owned(),
    }
}

/// Writes the definition down under a name that nobody has.
fn keep(
    given: &Given,
    place: &Place,
    client: &mut Client,
    name: Option<UnitName>,
    text: &str,
) -> Result<UnitName, Failure> {
    let folder = place.home.transient();
    private_directory(&folder).map_err(|error| not_kept(&folder, &error))?;
    let loaded = client.units(Command::List, &place.directories)?;
    let files = place.search_path();
    let is_taken = |name: &UnitName| {
        let has_name = |status: &crate::wire::UnitStatus| status.name == name.as_str();
        loaded.iter().any(has_name) || files.find(name).is_some()
    };
    if let Some(name) = name {
        if is_taken(&name) || !write_new(&path_of(place, &name), text)? {
            return Err(taken(place, &name));
        }
        return Ok(name);
    }
    for number in 1..=NUMBER_MAX {
        let name = numbered(given, number)?;
        if !is_taken(&name) && write_new(&path_of(place, &name), text)? {
            return Ok(name);
        }
    }
    let message = format!("all names up to {} are taken", numbered(given, NUMBER_MAX)?);
    Err(Failure::new(Exit::Failed, message).hint("`diakonos reset NAME` clears those that ended"))
}

fn taken(place: &Place, name: &UnitName) -> Failure {
    if path_of(place, name).exists() {
        let message = format!("{name} was run before, and is still known");
        return Failure::new(Exit::Failed, message).hint(format!(
            "`diakonos reset {name}` clears it once it has ended"
        ));
    }
    let message = match place.search_path().find(name) {
        Some(found) => format!("{name} is the unit of {}", found.path.display()),
        None => format!("the daemon has a unit {name} already"),
    };
    Failure::new(Exit::Failed, message).hint("--name gives another name")
}

/// Whole, or not at all; `false` where there is such a file.
fn write_new(path: &Path, text: &str) -> Result<bool, Failure> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let failed = |error: io::Error| not_kept(path, &error);
    fs::write(&beside, text).map_err(failed)?;
    let linked = fs::hard_link(&beside, path);
    let _ = fs::remove_file(&beside);
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn not_kept(path: &Path, error: &io::Error) -> Failure {
    let (path, reason) = (path.display(), error_text(error));
    Failure::new(Exit::Failed, format!("cannot write {path}: {reason}"))
}
