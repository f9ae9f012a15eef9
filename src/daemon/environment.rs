//! The environment that a service's process is born with: clean, never the daemon's own, systemd.exec(5).
//!
//! Owns which variables there are and who wins: a base by the user, then `PassEnvironment=`, `Environment=`,
//! `EnvironmentFile=` (systemd's order), and last what only this daemon can know. Reading the form of a file is
//! `unit`'s.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::path::Path;

use crate::engine::{Core, Ending, Role, RunResult, SpawnFailure};
use crate::sys::files;
use crate::sys::proc::{self, Mark};
use crate::sys::process::error_text;
use crate::unit::{EnvironmentFile, Service, Signal, parse_environment_file};

use super::account::Account;
use super::notify;
use super::spawn::{Order, failure};
use super::supervisor::is_ours_alone;

const ROOT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const USER_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The same everywhere, whoever started the daemon.
const LANGUAGE: &str = "C.UTF-8";
/// Bytes of one environment file.
const FILE_LIMIT: usize = 1024 * 1024;
/// The step's name in failures.
const STEP: &str = "environment";
const FILE: &str = "EnvironmentFile";

/// By which variable processes are told apart: each start of a service has a value of its own.
const INVOCATION: &str = "INVOCATION_ID";

/// A service's life from its first command to the last: 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invocation(Box<str>);

impl Invocation {
    pub(super) fn from_number(number: u128) -> Self {
        Self(format!("{number:032x}").into())
    }

    /// One that a predecessor wrote down.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let is_one = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| Self(text.into()))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// What each of its processes inherits. The limit is as large as the kernel's numbers allow, so that it is never
    /// one that anybody else would set.
    pub(super) fn mark(&self) -> Mark {
        let half = self.0.get(16..).unwrap_or_default();
        let number = u64::from_str_radix(half, 16).unwrap_or_default();
        Mark {
            entry: format!("{INVOCATION}={}", self.0),
            lock_limit: proc::lock_mark(number),
        }
    }
}

/// Whose life this is the mark of.
pub(super) fn invocation_of(mark: &Mark) -> Option<String> {
    let (_, id) = mark.entry.split_once('=')?;
    Some(id.to_owned())
}

/// What the processes of a life of a service bear that a `UnitStatus` names; `None`: that is no such name.
#[must_use]
pub fn mark_of(invocation: &str) -> Option<Mark> {
    Invocation::from_text(invocation).map(|invocation| invocation.mark())
}

/// Variables by name. Values hold no NUL.
#[derive(Debug, Default)]
pub(super) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// All that the command's process is to see.
    pub(super) fn new(order: Order<'_>) -> Result<Self, SpawnFailure> {
        let Order {
            unit,
            service,
            spawn,
            account,
            invocation,
            ended,
            ..
        } = order;
        let mut environment = Self::default();
        environment.add_base(account);
        environment.add_folders(service);
        environment.pass(&service.pass_environment)?;
        for (name, value) in &service.environment {
            environment.set(name, value);
        }
        for file in &service.environment_files {
            environment.read(file)?;
        }
        environment.set(INVOCATION, invocation.text());
        environment.set("DIAKONOS_UNIT", unit.name.as_str());
        if let Some(address) = notify::address(service, invocation) {
            environment.set("NOTIFY_SOCKET", &address);
        }
        let watchdog = service.oversight().watchdog;
        if let Some(limit) = watchdog.filter(|_| spawn.role == Role::Start) {
            environment.set("WATCHDOG_USEC", &limit.as_micros().to_string());
        }
        if let Some(pid) = spawn.main_pid {
            environment.set("MAINPID", &pid.to_string());
        }
        if let Some(result) = &spawn.result {
            environment.add_result("", *result);
        }
        if let Some(monitor) = &spawn.monitor {
            environment.add_result("MONITOR_", monitor.result);
            // As `%n` has it, so that a handler for both supervisors reads the same.
            environment.set("MONITOR_UNIT", &format!("{}.service", monitor.unit));
        }
        if let Some(ended) = ended {
            environment.set("MONITOR_INVOCATION_ID", ended.text());
        }
        for item in &service.unset_environment {
            environment.unset(item);
        }
        Ok(environment)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// As execve(2) takes it.
    pub(super) fn to_entries(&self) -> Result<Vec<CString>, SpawnFailure> {
        let entry = |(name, value): (&String, &String)| {
            let nul = |_| failure(STEP, 0, format!("the value of {name} holds a NUL byte"));
            CString::new(format!("{name}={value}")).map_err(nul)
        };
        self.0.iter().map(entry).collect()
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// `NAME`, or `NAME=value` where only this value is to go.
    fn unset(&mut self, item: &str) {
        match item.split_once('=') {
            Some((name, value)) if self.get(name) != Some(value) => {}
            Some((name, _)) => drop(self.0.remove(name)),
            None => drop(self.0.remove(item)),
        }
    }

    /// Where the service's own folders are, with colons between several.
    fn add_folders(&mut self, service: &Service) {
        for folders in &service.folders {
            let paths: Vec<String> = folders
                .paths()
                .map(|path| path.to_string_lossy().into_owned())
                .collect();
            self.set(folders.purpose.variable(), &paths.join(":"));
        }
    }

    fn add_base(&mut self, account: &Account) {
        self.set("PATH", default_path(account.uid));
        self.set("LANG", LANGUAGE);
        self.set("USER", &account.name);
        self.set("LOGNAME", &account.name);
        self.set("HOME", &account.home.to_string_lossy());
        self.set("SHELL", &account.shell.to_string_lossy());
    }

    /// What the daemon has of these; a variable that it does not have is left out, and so is one by which its
    /// supervisor speaks with it.
    fn pass(&mut self, names: &[String]) -> Result<(), SpawnFailure> {
        for name in names.iter().filter(|name| !is_ours_alone(name)) {
            match std::env::var(name) {
                Ok(value) => self.set(name, &value),
                Err(std::env::VarError::NotPresent) => {}
                Err(std::env::VarError::NotUnicode(_)) => {
                    let reason = format!("PassEnvironment={name}: its value is not UTF-8");
                    return Err(failure("PassEnvironment", 0, reason));
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, file: &EnvironmentFile) -> Result<(), SpawnFailure> {
        let path = &file.path;
        let content = match files::read_regular(path, FILE_LIMIT) {
            Ok(content) => content,
            Err(error) if file.optional && error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unreadable(path, &error)),
        };
        let refuse = |why: &str| failure(FILE, 0, format!("{FILE}={}: {why}", path.display()));
        let text = String::from_utf8(content.bytes).map_err(|_| refuse("it is not UTF-8"))?;
        let pairs = parse_environment_file(&text).map_err(|error| refuse(&error.to_string()))?;
        self.0.extend(pairs);
        Ok(())
    }

    /// `$SERVICE_RESULT`, `$EXIT_CODE` and `$EXIT_STATUS` as systemd.exec(5) has them. An end that nobody saw has no
    /// status.
    /// How a run went, in variables whose names begin so.
    fn add_result(&mut self, prefix: &str, result: RunResult) {
        self.set(&format!("{prefix}SERVICE_RESULT"), result.service_result);
        let (code, status) = match result.ending {
            None | Some(Ending::Unknown) => return,
            Some(Ending::Code(code)) => ("exited", code.to_string()),
            // As for any signal: which it was, `$SERVICE_RESULT` says.
            Some(Ending::OomKilled) => ("killed", "KILL".to_owned()),
            Some(Ending::Signal { number, core }) => {
                let word = if core == Core::Dumped {
                    "dumped"
                } else {
                    "killed"
                };
                (word, signal_name(number))
            }
        };
        self.set(&format!("{prefix}EXIT_CODE"), code);
        self.set(&format!("{prefix}EXIT_STATUS"), &status);
    }
}

/// Where the programs of a user's services are looked for, unless the unit says otherwise.
#[must_use]
pub fn default_path(uid: u32) -> &'static str {
    if uid == 0 { ROOT_PATH } else { USER_PATH }
}

/// `TERM`, `RTMIN+3`: without `SIG`, as systemd.exec(5) has it.
fn signal_name(number: u8) -> String {
    let name = Signal::from_number(i32::from(number)).map(|signal| signal.to_string());
    let name = name.unwrap_or_else(|| number.to_string());
    name.strip_prefix("SIG").unwrap_or(&name).to_owned()
}

fn unreadable(path: &Path, error: &io::Error) -> SpawnFailure {
    let reason = format!("{FILE}={}: {}", path.display(), error_text(error));
    failure(FILE, error.raw_os_error().unwrap_or(0), reason)
}
