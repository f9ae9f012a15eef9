//! What a unit is once its file has been read: plain data whose types cannot hold nonsense.
//!
//! Owns the shapes, not their parsing (`parse.rs`) and not their meaning (`engine`).
//! Names and units follow systemd.unit(5), systemd.service(5), systemd.exec(5) and systemd.kill(5).

use std::fmt;
use std::path::{Path, PathBuf};

use super::{
    Condition, Folders, Kill, Limit, List, LogCompress, LogPolicy, LogRate, Oversight, Preserve,
    Readiness, Relations, Resources, Sandbox, Scheduling, Signal, Span, UnitName,
};

/// A unit: a service, or (without [`Unit::service`]) a group that is nothing but its dependencies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unit {
    pub name: UnitName,
    /// The file it was read from, absolute.
    pub path: PathBuf,
    /// A hash of the bytes of the file and its drop-ins: whether the file on disk still is the one in force.
    pub hash: u64,
    pub description: String,
    pub documentation: List<String>,
    pub requires: Vec<UnitName>,
    pub wants: Vec<UnitName>,
    pub after: Vec<UnitName>,
    pub before: List<UnitName>,
    /// `None` where every key of it has its default.
    pub relations: Option<Box<Relations>>,
    pub start_limit: StartLimit,
    /// What has to be true when its turn to start comes.
    pub conditions: Box<[Condition]>,
    pub install: Install,
    /// Keys that the parser knows and this version does not act on: `start` refuses by their name.
    pub unhonoured: List<Unhonoured>,
    pub service: Option<Box<Service>>,
}

/// `StartLimitIntervalSec=` and `StartLimitBurst=` as written; what absence means is the engine's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StartLimit {
    pub interval: Option<Span>,
    /// At most 10,000.
    pub burst: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Install {
    pub wanted_by: List<UnitName>,
    pub required_by: List<UnitName>,
    pub alias: List<UnitName>,
}

/// A key that is known but not acted on yet, or not with this value, with where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unhonoured {
    pub section: &'static str,
    pub key: &'static str,
    /// Where the key is acted on with other values: this one.
    pub value: Option<Box<str>>,
    pub line: u32,
}

impl Unit {
    /// The keys that keep it from being started: what this version does not act on, but for what may be ignored.
    pub fn refused_keys(&self) -> impl Iterator<Item = &Unhonoured> {
        self.unhonoured.iter().filter(|key| !self.ignores(key))
    }

    /// Whether the unit is to be started without this key.
    #[must_use]
    pub fn ignores(&self, key: &Unhonoured) -> bool {
        let service = self.service.as_deref();
        key.section == "service"
            && service.is_some_and(|service| service.ignore_unsupported.contains(&key.key))
    }
}

impl fmt::Display for Unhonoured {
    /// `MemoryMax`, or `Type="notify"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}=\"{value}\"", self.key),
            None => f.write_str(self.key),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    pub kind: Kind,
    pub readiness: Readiness,
    /// `None` where every key of it has its default.
    pub oversight: Option<Box<Oversight>>,
    pub remain_after_exit: bool,
    /// Absolute.
    pub pid_file: Option<Box<Path>>,
    pub condition: List<Exec>,
    pub start_pre: List<Exec>,
    /// Exactly one, but for `oneshot`: any number.
    pub start: Vec<Exec>,
    pub start_post: List<Exec>,
    pub reload: List<Exec>,
    pub stop: List<Exec>,
    pub stop_post: List<Exec>,
    pub restart: Restart,
    pub timeout_start: Span,
    pub timeout_stop: Span,
    pub kill: Kill,
    pub user: Option<Box<str>>,
    pub group: Option<Box<str>>,
    pub supplementary_groups: List<String>,
    /// 0 to 0o777.
    pub umask: u32,
    pub working_directory: WorkingDirectory,
    /// Absolute; other than `/`.
    pub root_directory: Option<Box<Path>>,
    /// In the order written; a later one wins.
    pub environment: List<(String, String)>,
    pub environment_files: List<EnvironmentFile>,
    pub pass_environment: List<String>,
    /// Names, and `NAME=value` where only this value is meant.
    pub unset_environment: List<String>,
    /// At most one entry of each purpose.
    pub folders: List<Folders>,
    pub preserve: Preserve,
    pub stdin: Input,
    pub stdout: Output,
    pub stderr: Output,
    pub log: LogLimits,
    /// What all processes together may use; for most services nothing is said of it.
    pub resources: Option<Box<Resources>>,
    /// `None`: it is kept from nothing.
    pub sandbox: Option<Box<Sandbox>>,
    /// In the order of `getrlimit`'s numbers, each resource at most once.
    pub limits: List<Limit>,
    pub scheduling: Option<Box<Scheduling>>,
    /// `IgnoreUnsupported=`: keys of `[service]` that it goes on without where they cannot be honoured.
    pub ignore_unsupported: List<&'static str>,
    /// `Instances=` of a template: how many instances start with it, at most [`super::INSTANCES_MAX`]. What is no
    /// template has none.
    pub instances: Option<u32>,
}

/// `Type=`, systemd.service(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Behaves as `Exec`: up once `execve` has worked.
    Simple,
    Exec,
    Forking,
    Oneshot,
    /// Up once it says so, sd_notify(3).
    Notify,
    /// As `Notify`, and reloads by a signal.
    NotifyReload,
}

impl Kind {
    /// Whether its one process is the main process from the beginning.
    #[must_use]
    pub fn is_main(self) -> bool {
        match self {
            Self::Simple | Self::Exec | Self::Notify | Self::NotifyReload => true,
            Self::Forking | Self::Oneshot => false,
        }
    }

    /// Whether it speaks for itself by sd_notify(3).
    #[must_use]
    pub fn notifies(self) -> bool {
        matches!(self, Self::Notify | Self::NotifyReload)
    }
}

impl Service {
    /// How it is looked after.
    #[must_use]
    pub fn oversight(&self) -> Oversight {
        self.oversight.as_deref().copied().unwrap_or_default()
    }
}

/// One command line of an `Exec*=` key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exec {
    /// Absolute, or a bare name that is looked up in the service's `PATH`.
    pub program: String,
    /// The arguments from `argv[1]` on; variables not yet expanded.
    pub arguments: Vec<String>,
    /// Prefix `@`: what to pass as `argv[0]` in place of the program.
    pub argv0: Option<Box<str>>,
    /// Prefix `-`: a failure counts as success.
    pub ignore_failure: bool,
    /// Whether `$VAR` and `${VAR}` in the arguments are expanded: a string without prefix `:`. An array is taken
    /// as it is.
    pub expand: bool,
    /// Prefix `+`: `User=` and `Group=` do not apply.
    pub privileged: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Restart {
    pub policy: Policy,
    /// `RestartSec=` as written. Absent: the delay grows by itself.
    pub delay: Option<Span>,
    pub steps: u32,
    pub max_delay: Option<Span>,
    /// Per cent of the delay, 0 to 100: `RestartJitter=`. Default 10 where the delay grows by itself, else 0.
    pub jitter: Option<u8>,
    /// A run of this length brings the delay back to the start.
    pub reset: Span,
    pub success: StatusSet,
    pub prevent: StatusSet,
    pub force: StatusSet,
}

/// `Restart=`, systemd.service(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    No,
    Always,
    OnSuccess,
    OnFailure,
    OnAbnormal,
    OnAbort,
    OnWatchdog,
}

/// A list of exit codes and signals: `SuccessExitStatus=` and its kin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatusSet {
    pub codes: List<u8>,
    pub signals: List<Signal>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WorkingDirectory {
    /// `~`, and the default: the home of the service's user.
    Home,
    /// Absolute. `optional` (a leading `-`): if missing, `/` stands in.
    Path { path: PathBuf, optional: bool },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnvironmentFile {
    /// Absolute; read at each start.
    pub path: PathBuf,
    /// A leading `-`: it may be missing.
    pub optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    Null,
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// The service's log; standard output and standard error share one pipe, so that their order is kept.
    Log,
    /// `StandardError=log:err`: a pipe of its own, tagged as the error stream.
    LogErr,
    Null,
    /// Written from its start without truncating it, as `file:` does in systemd.exec(5).
    File(PathBuf),
    Append(PathBuf),
    /// Emptied each time that it is opened, which every command does.
    Truncate(PathBuf),
    /// Standard output: what standard input has, and where that is nothing, what the daemon has; the log where that is
    /// nothing, too. Standard error: what standard output has.
    Inherit,
}

/// `LogMaxSize=`, `LogMaxFiles=`, `LogCompress=`, `LogPolicy=` and `LogRateLimit*=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogLimits {
    /// Bytes of one file, at least 4096.
    pub max_size: u64,
    /// Files kept, the current one included, 1 to 1000.
    pub max_files: u32,
    pub policy: LogPolicy,
    pub rate: Option<LogRate>,
    pub compress: LogCompress,
}
