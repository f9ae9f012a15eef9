//! From a unit and one of its commands to what `sys` needs to start the process.
//!
//! Owns the choice of program, arguments, directory and streams; environment and account have files of their own. A
//! child that fails on the way says only which step and errno: which object that was is remembered here, for the
//! reader.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::engine::{Role, Spawn, SpawnFailure};
use crate::log::Stream;
use crate::sys::files;
use crate::sys::process::{self, Directory, OpenMode, Stdio, Step, errno_text};
use crate::unit::words::expand;
use crate::unit::{Exec, Input, Output, Service, Unit, WorkingDirectory, swallowed_hint};

use super::account::Account;
use super::environment::{Environment, Invocation};
use super::folders::below;
use super::lenience::Lenience;
use super::sandbox::{self, Place};
use super::setting::{root, setting};

/// `ENOENT`.
const NOT_FOUND: i32 = 2;
/// `EACCES`.
const NOT_ALLOWED: i32 = 13;
/// `EAGAIN`.
const TOO_MANY: i32 = 11;

/// One command that is to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub(super) unit: &'a Unit,
    pub(super) service: &'a Service,
    pub(super) exec: &'a Exec,
    pub(super) spawn: &'a Spawn,
    pub(super) account: &'a Account,
    pub(super) invocation: &'a Invocation,
    /// The life whose end has started this unit, where one has and it is known.
    pub(super) ended: Option<&'a Invocation>,
}

/// Where a service's output can go that names no place of its own.
#[derive(Clone, Debug)]
pub(super) struct Fifos {
    pub(super) out: PathBuf,
    pub(super) err: PathBuf,
    /// The output that the daemon itself was given, if it was.
    pub(super) console: Console,
}

/// What our own standard output is: a terminal, a container's output, somebody's pipe or file; or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Console {
    There,
    None,
}

impl Console {
    pub(super) fn ours() -> Self {
        match files::has_output() {
            true => Self::There,
            false => Self::None,
        }
    }
}

impl Fifos {
    pub(super) fn path(&self, stream: Stream) -> &Path {
        match stream {
            Stream::Out => &self.out,
            Stream::Err => &self.err,
        }
    }
}

/// Everything that the child needs, but for its cgroup and limits.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) spawn: process::Spawn<'static>,
    pub(super) objects: Objects,
}

/// What the child's steps are done to, in words; needed until the program runs.
#[derive(Debug)]
pub(super) struct Objects {
    program: String,
    account: String,
    directory: Object,
    streams: [Object; 3],
    /// What may be the matter where there is no such program.
    hint: Option<&'static str>,
    root: Option<PathBuf>,
    /// What the child's mounts are about.
    pub(super) places: Vec<Place>,
}

/// What a step of the child is done to.
#[derive(Debug)]
enum Object {
    /// A value of the unit file.
    Value { key: &'static str, text: String },
    /// Of our own choice.
    Ours(String),
}

/// A start that failed before there was a process, or in its first steps.
pub(super) fn failure(step: &str, errno: i32, reason: String) -> SpawnFailure {
    SpawnFailure {
        step: step.into(),
        errno,
        reason: reason.into(),
    }
}

/// The command of a role's key at this place.
pub(super) fn command(service: &Service, role: Role, index: usize) -> Option<&Exec> {
    let commands: &[Exec] = match role {
        Role::Condition => &service.condition,
        Role::StartPre => &service.start_pre,
        Role::Start => &service.start,
        Role::StartPost => &service.start_post,
        Role::Reload => &service.reload,
        Role::Stop => &service.stop,
        Role::StopPost => &service.stop_post,
    };
    commands.get(index)
}

/// Whether a service's life begins with this command.
pub(super) fn is_first(service: &Service, spawn: &Spawn) -> bool {
    let before = [
        (Role::Condition, &service.condition),
        (Role::StartPre, &service.start_pre),
    ];
    let first = before.iter().find(|(_, commands)| !commands.is_empty());
    let first = first.map_or(Role::Start, |(role, _)| *role);
    spawn.index == 0 && spawn.role == first
}

/// Works out all that the command needs. Reads environment files; nothing lasting is done.
pub(super) fn prepare(
    order: Order<'_>,
    fifos: &Fifos,
    lenience: &mut Lenience<'_>,
) -> Result<Prepared, SpawnFailure> {
    let Order {
        service,
        exec,
        account,
        ..
    } = order;
    let environment = Environment::new(order)?;
    let root = root(service, lenience)?;
    let program = find_program(&exec.program, environment.get("PATH"), root)?;
    let arguments = if exec.expand {
        expand(&exec.arguments, |name| environment.get(name))
    } else {
        exec.arguments.clone()
    };
    let mut argv = vec![c_string(
        "exec",
        exec.argv0.as_deref().unwrap_or(&exec.program),
    )?];
    for argument in &arguments {
        argv.push(c_string("exec", argument)?);
    }
    let directory = directory(&service.working_directory, account)?;
    let streams = Streams::new(service, fifos)?;
    let objects = Objects {
        program: program.display().to_string(),
        account: account.name.clone(),
        directory: directory_object(&service.working_directory, &directory),
        streams: [
            input_object(&service.stdin),
            output_object("StandardOutput", &service.stdout, fifos),
            output_object("StandardError", &service.stderr, fifos),
        ],
        hint: swallowed_hint(exec),
        root: root.map(Path::to_owned),
        places: Vec::new(),
    };
    let spawn = process::Spawn {
        program: c_path("exec", &program)?,
        argv,
        environment: environment.to_entries()?,
        directory: Some(directory),
        identity: account.identity.clone(),
        umask: service.umask,
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
        cgroup: None,
        nofile: None,
        lock_limit: None,
        setting: setting(service, root, lenience)?,
    };
    Ok(Prepared { spawn, objects })
}

impl Prepared {
    /// What comes again and again while the service runs does not write over what that has written to its files.
    pub(super) fn spare_files(&mut self) {
        for stream in [&mut self.spawn.stdout, &mut self.spawn.stderr] {
            if let Stdio::Path { mode, .. } = stream
                && matches!(mode, OpenMode::Truncate | OpenMode::Write)
            {
                *mode = OpenMode::Append;
            }
        }
    }
}

impl Objects {
    /// The child's report, with what it was about.
    pub(super) fn failure(&self, step: Step, errno: i32) -> SpawnFailure {
        let [stdin, stdout, stderr] = &self.streams;
        let cause = errno_text(errno);
        let object = match step {
            Step::Exec => return self.exec_failure(errno),
            Step::Directory => &self.directory,
            Step::StandardInput => return self.stream_failure(stdin, step, errno),
            Step::StandardOutput => return self.stream_failure(stdout, step, errno),
            Step::StandardError => return self.stream_failure(stderr, step, errno),
            Step::User | Step::Group | Step::Groups => {
                // A name alone would be taken for the program's.
                let reason = format!("{} {}: {cause}", step.name(), self.account);
                return failure(step.name(), errno, reason);
            }
            Step::Cgroup
            | Step::Session
            | Step::ReadyDescriptor
            | Step::DescriptorLimit
            | Step::OomScoreAdjust
            | Step::Limit(_)
            | Step::Nice
            | Step::CpuAffinity
            | Step::CpuScheduling
            | Step::IoScheduling
            | Step::Folders
            | Step::Root => {
                return failure(step.name(), errno, cause);
            }
            Step::PrivateNetwork
            | Step::MountNamespace
            | Step::Mount(_)
            | Step::CapabilityBoundingSet
            | Step::AmbientCapabilities
            | Step::NoNewPrivileges
            | Step::Landlock
            | Step::SystemCalls => return sandbox::failure_at(step, &self.places, errno),
        };
        object_failure(object, step, (errno, &cause))
    }

    /// A file that could not be opened: what the errno does not say is what is missing, and for whom.
    fn stream_failure(&self, object: &Object, step: Step, errno: i32) -> SpawnFailure {
        let mut cause = errno_text(errno);
        if let Object::Value { text, .. } = object {
            let path = text.split_once(':').map_or("", |(_, path)| path);
            let folder = Path::new(path).parent();
            match folder.filter(|folder| errno == NOT_FOUND && !folder.is_dir()) {
                Some(folder) => {
                    cause.push_str(&format!(" (there is no folder {})", folder.display()))
                }
                None if errno == NOT_ALLOWED => cause.push_str(&format!(" (as {})", self.account)),
                None => {}
            }
        }
        object_failure(object, step, (errno, &cause))
    }

    fn exec_failure(&self, errno: i32) -> SpawnFailure {
        let program = Path::new(&self.program);
        let root = self.root.as_deref();
        let is_there = || {
            root.map_or(program.to_owned(), |root| below(root, program))
                .exists()
        };
        let cause = match self.hint {
            _ if errno == NOT_FOUND && is_there() => {
                "it is there, but the interpreter that it names is not".to_owned()
            }
            Some(hint) if errno == NOT_FOUND => format!("{} ({hint})", errno_text(errno)),
            // That is the only reason for which execve(2) gives it.
            _ if errno == TOO_MANY => format!(
                "{} (its user has as many processes as LimitNPROC= allows)",
                errno_text(errno)
            ),
            _ => errno_text(errno),
        };
        failure(
            Step::Exec.name(),
            errno,
            format!("{}: {cause}", self.program),
        )
    }
}

fn object_failure(object: &Object, step: Step, (errno, cause): (i32, &str)) -> SpawnFailure {
    match object {
        Object::Value { key, text } => failure(key, errno, format!("{key}={text}: {cause}")),
        Object::Ours(path) => {
            let reason = format!("{} {path}: {cause}", step.name());
            failure(step.name(), errno, reason)
        }
    }
}

/// A bare name is looked up in the service's own `PATH`, below its own root; anything else is taken as it is.
fn find_program(
    program: &str,
    search: Option<&str>,
    root: Option<&Path>,
) -> Result<PathBuf, SpawnFailure> {
    if program.contains('/') {
        return Ok(PathBuf::from(program));
    }
    let search = search.unwrap_or_default();
    let folders = search.split(':').filter(|folder| folder.starts_with('/'));
    let is_there = |path: &PathBuf| match root {
        None => is_program(path),
        // A link means another file there than here.
        Some(root) => {
            let path = below(root, path);
            path.is_symlink() || is_program(&path)
        }
    };
    let mut paths = folders.map(|folder| Path::new(folder).join(program));
    let missing = || format!("{program}: not found in PATH ({search})");
    let found = paths.find(is_there);
    found.ok_or_else(|| failure("exec", NOT_FOUND, missing()))
}

fn is_program(path: &Path) -> bool {
    let is_executable = |found: std::fs::Metadata| found.permissions().mode() & 0o111 != 0;
    path.metadata()
        .is_ok_and(|found| found.is_file() && is_executable(found))
}

/// A home is taken where it is: system users often have one that does not exist, and start at `/` then.
fn directory(asked: &WorkingDirectory, account: &Account) -> Result<Directory, SpawnFailure> {
    let (path, optional) = match asked {
        WorkingDirectory::Home => (&account.home, true),
        WorkingDirectory::Path { path, optional } => (path, *optional),
    };
    Ok(Directory {
        path: c_path("directory", path)?,
        optional,
    })
}

struct Streams {
    stdin: Stdio<'static>,
    stdout: Stdio<'static>,
    stderr: Stdio<'static>,
}

impl Streams {
    fn new(service: &Service, fifos: &Fifos) -> Result<Self, SpawnFailure> {
        let source = match &service.stdin {
            Input::Null => None,
            Input::File(path) => Some(path),
        };
        // systemd.exec(5): opened once for both, as a terminal wants it.
        let is_both = source.is_some_and(|path| service.stdout == Output::File(path.clone()));
        let stdin = match source {
            None => Stdio::Null,
            Some(path) if is_both => opened(path, OpenMode::Both)?,
            Some(path) => opened(path, OpenMode::Read)?,
        };
        let stdout = match &service.stdout {
            Output::File(_) if is_both => Stdio::SameAsStdin,
            Output::Inherit if source.is_some() => Stdio::SameAsStdin,
            output => output_stream(output, fifos)?,
        };
        let stderr = match &service.stderr {
            Output::Inherit => Stdio::SameAsStdout,
            // One open file for both, so that they do not write over each other.
            output if *output == service.stdout => Stdio::SameAsStdout,
            output => output_stream(output, fifos)?,
        };
        Ok(Self {
            stdin,
            stdout,
            stderr,
        })
    }
}

fn output_stream(output: &Output, fifos: &Fifos) -> Result<Stdio<'static>, SpawnFailure> {
    match output {
        Output::Log => opened(&fifos.out, OpenMode::ReadWrite),
        Output::LogErr => opened(&fifos.err, OpenMode::ReadWrite),
        Output::File(path) => opened(path, OpenMode::Write),
        Output::Append(path) => opened(path, OpenMode::Append),
        Output::Truncate(path) => opened(path, OpenMode::Truncate),
        Output::Null => Ok(Stdio::Null),
        Output::Inherit if fifos.console == Console::There => Ok(Stdio::Inherit),
        Output::Inherit => opened(&fifos.out, OpenMode::ReadWrite),
    }
}

/// Which log pipes a service's streams may need. One that inherits may have been born when the daemon had no output of
/// its own.
pub(super) fn streams(service: &Service) -> Vec<Stream> {
    let uses = |wanted: &Output| service.stdout == *wanted || service.stderr == *wanted;
    let inherits = service.stdout == Output::Inherit && service.stdin == Input::Null;
    let out = (uses(&Output::Log) || inherits).then_some(Stream::Out);
    let err = uses(&Output::LogErr).then_some(Stream::Err);
    out.into_iter().chain(err).collect()
}

fn opened(path: &Path, mode: OpenMode) -> Result<Stdio<'static>, SpawnFailure> {
    Ok(Stdio::Path {
        path: c_path("streams", path)?,
        mode,
    })
}

fn directory_object(asked: &WorkingDirectory, taken: &Directory) -> Object {
    let text = taken.path.to_string_lossy().into_owned();
    match asked {
        WorkingDirectory::Home => Object::Ours(text),
        WorkingDirectory::Path { .. } => Object::Value {
            key: "WorkingDirectory",
            text,
        },
    }
}

fn input_object(input: &Input) -> Object {
    match input {
        Input::Null => Object::Ours("/dev/null".to_owned()),
        Input::File(path) => Object::Value {
            key: "StandardInput",
            text: format!("file:{}", path.display()),
        },
    }
}

fn output_object(key: &'static str, output: &Output, fifos: &Fifos) -> Object {
    let value = |kind: &str, path: &Path| Object::Value {
        key,
        text: format!("{kind}:{}", path.display()),
    };
    match output {
        Output::File(path) => value("file", path),
        Output::Append(path) => value("append", path),
        Output::Truncate(path) => value("truncate", path),
        Output::Log | Output::Inherit => Object::Ours(fifos.out.display().to_string()),
        Output::LogErr => Object::Ours(fifos.err.display().to_string()),
        Output::Null => Object::Ours("/dev/null".to_owned()),
    }
}

pub(super) fn c_path(step: &str, path: &Path) -> Result<CString, SpawnFailure> {
    let nul = |_| failure(step, 0, format!("{}: a NUL byte in a path", path.display()));
    CString::new(path.as_os_str().as_bytes()).map_err(nul)
}

fn c_string(step: &str, text: &str) -> Result<CString, SpawnFailure> {
    let nul = |_| failure(step, 0, "a NUL byte in an argument".to_owned());
    CString::new(text).map_err(nul)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use crate::engine::{Core, Ending, RunId, RunResult, UnitId};
    use crate::sys::process::Identity;
    use crate::unit::{Context, UnitName, parse};

    use super::*;

    fn unit(text: &str) -> Unit {
        let context = Context::example();
        let name = UnitName::parse("web").unwrap();
        parse(text, Path::new("/units/web.service"), &name, &context).unwrap()
    }

    fn account() -> Account {
        let identity = Some(Identity {
            uid: 1000,
            gid: 1000,
            groups: vec![],
        });
        Account {
            name: "me".to_owned(),
            uid: 1000,
            gid: 1000,
            home: "/home/me".into(),
            shell: "/bin/sh".into(),
            identity,
        }
    }

    fn prepared(text: &str) -> Result<(Vec<String>, Vec<String>), SpawnFailure> {
        let unit = unit(text);
        let service = unit.service.as_deref().unwrap();
        let ending = Ending::Signal {
            number: 15,
            core: Core::None,
        };
        let spawn = Spawn {
            run: RunId(1),
            unit: UnitId(1),
            role: Role::Start,
            index: 0,
            main_pid: Some(42),
            result: Some(RunResult {
                service_result: "signal",
                ending: Some(ending),
            }),
            monitor: None,
        };
        let exec = command(service, spawn.role, spawn.index).unwrap();
        let account = account();
        let invocation = &Invocation::from_number(255);
        let order = Order {
            unit: &unit,
            service,
            exec,
            spawn: &spawn,
            account: &account,
            invocation,
            ended: None,
        };
        let fifos = Fifos {
            console: Console::None,
            out: "/r/web.out".into(),
            err: "/r/web.err".into(),
        };
        let Prepared { spawn, .. } = prepare(order, &fifos, &mut Lenience::of(service))?;
        let texts = |all: &[CString]| all.iter().map(|c| c.to_str().unwrap().to_owned()).collect();
        Ok((texts(&spawn.argv), texts(&spawn.environment)))
    }

    #[test]
    fn the_environment_is_clean_and_says_what_only_we_know() {
        let (argv, environment) = prepared(
            "[service]\nExecStart = \"sh -c '$A' ${A}x $A\"\nEnvironment = [\"A=b c\", \"HOME=/x\"]",
        )
        .unwrap();
        assert_eq!(argv, ["sh", "-c", "b", "c", "b cx", "b", "c"]);
        let invocation = format!("INVOCATION_ID={}ff", "0".repeat(30));
        assert_eq!(
            environment,
            [
                "A=b c",
                "DIAKONOS_UNIT=web",
                "EXIT_CODE=killed",
                "EXIT_STATUS=TERM",
                "HOME=/x",
                &invocation,
                "LANG=C.UTF-8",
                "LOGNAME=me",
                "MAINPID=42",
                "PATH=/usr/local/bin:/usr/bin:/bin",
                "SERVICE_RESULT=signal",
                "SHELL=/bin/sh",
                "USER=me",
            ]
        );
    }

    #[test]
    fn an_environment_file_wins_and_a_missing_one_is_named() {
        let name = format!("diakonos-environment-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        fs::write(&file, "A=file\n").unwrap();
        let text = |path: &str| {
            let path = format!("EnvironmentFile = \"{path}\"");
            format!("[service]\nExecStart = \"/bin/echo $A\"\nEnvironment = [\"A=unit\"]\n{path}")
        };
        let (argv, _) = prepared(&text(file.to_str().unwrap())).unwrap();
        assert_eq!(argv, ["/bin/echo", "file"]);
        fs::remove_file(&file).unwrap();
        let failure = prepared(&text("/nope/env")).unwrap_err();
        assert_eq!(
            (&*failure.step, failure.errno),
            ("EnvironmentFile", NOT_FOUND)
        );
        let reason = "EnvironmentFile=/nope/env: No such file or directory";
        assert_eq!(&*failure.reason, reason);
        let (argv, _) = prepared(&text("-/nope/env")).unwrap();
        assert_eq!(argv, ["/bin/echo", "unit"]);
    }

    #[test]
    fn a_program_is_looked_for_in_the_services_own_path() {
        let text = "[service]\nExecStart = \"nope\"\nEnvironment = [\"PATH=/a:/b\"]";
        let failure = prepared(text).unwrap_err();
        assert_eq!((&*failure.step, failure.errno), ("exec", NOT_FOUND));
        assert_eq!(&*failure.reason, "nope: not found in PATH (/a:/b)");
    }
}
