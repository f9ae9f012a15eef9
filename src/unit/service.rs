//! The `[service]` section, systemd.service(5), systemd.exec(5) and systemd.kill(5).
//!
//! Owns its keys' reading, their defaults and what they demand of each other; the restart keys are `restart.rs`.

use super::exec::commands;
use super::form;
use super::name::INSTANCES_MAX;
use super::parse::Reader;
use super::print::word;
use super::stream::{self, Stream};
use super::value;
use super::{Exec, Input, Kind, LogLimits, Output, Service, Span, Unit};
use super::{
    WorkingDirectory, compress, flow, folders, kill, limits, oversight, readiness, resources,
    restart, sandbox, scheduling,
};

/// What `Type=` can be.
pub(super) const KINDS: [(&str, Kind); 6] = [
    ("simple", Kind::Simple),
    ("exec", Kind::Exec),
    ("oneshot", Kind::Oneshot),
    ("forking", Kind::Forking),
    ("notify", Kind::Notify),
    ("notify-reload", Kind::NotifyReload),
];

const TIMEOUT_START: Span = Span::from_secs(90);
const TIMEOUT_STOP: Span = Span::from_secs(10);
const UMASK: u32 = 0o022;
const LOG_MAX_SIZE: u64 = 10 << 20;
const LOG_MAX_FILES: u32 = 5;
/// A log file that holds less than a page would turn over with almost every line.
const LEAST_LOG_SIZE: u64 = 4_096;

const SERVICE: &str = "service";

impl Unit {
    /// `Type=` in its own word; `group` without a `[service]`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.service {
            Some(service) => word(&KINDS, &service.kind),
            None => "group",
        }
    }
}

pub(super) fn read(reader: &mut Reader) -> Service {
    let kind = reader.one(SERVICE, "Type", |v, _| value::choice(v, &KINDS));
    let kind = kind.unwrap_or(Kind::Simple);
    let (timeout_start, timeout_stop) = timeouts(reader, kind);
    let readiness = readiness::read(reader, kind);
    let service = Service {
        kind,
        oversight: oversight::read(reader, kind, &readiness),
        readiness,
        remain_after_exit: reader.flag("RemainAfterExit").unwrap_or(false),
        pid_file: reader
            .one(SERVICE, "PIDFile", value::pid_file)
            .map(Into::into),
        condition: execs(reader, "ExecCondition").into(),
        start_pre: execs(reader, "ExecStartPre").into(),
        start: execs(reader, "ExecStart"),
        start_post: execs(reader, "ExecStartPost").into(),
        reload: execs(reader, "ExecReload").into(),
        stop: execs(reader, "ExecStop").into(),
        stop_post: execs(reader, "ExecStopPost").into(),
        restart: restart::read(reader, kind),
        timeout_start,
        timeout_stop,
        kill: kill::read(reader),
        user: reader.one(SERVICE, "User", value::account).map(Into::into),
        group: reader.one(SERVICE, "Group", value::account).map(Into::into),
        supplementary_groups: reader.many(SERVICE, "SupplementaryGroups", value::account),
        umask: reader
            .one(SERVICE, "UMask", |v, _| value::mode(v))
            .unwrap_or(UMASK),
        working_directory: reader
            .one(SERVICE, "WorkingDirectory", value::working_directory)
            .unwrap_or(WorkingDirectory::Home),
        root_directory: reader
            .one(SERVICE, "RootDirectory", value::path)
            .filter(|path| path.parent().is_some())
            .map(Into::into),
        environment: reader
            .read(SERVICE, "Environment", value::environment)
            .unwrap_or_default()
            .into(),
        environment_files: reader.many(SERVICE, "EnvironmentFile", value::environment_file),
        pass_environment: reader.many(SERVICE, "PassEnvironment", value::variable),
        unset_environment: reader.many(SERVICE, "UnsetEnvironment", value::unset),
        folders: folders::read(reader).into(),
        preserve: folders::preserve(reader),
        stdin: now(reader, "StandardInput", Input::Null, stream::input),
        stdout: now(reader, "StandardOutput", Output::Log, stream::output),
        stderr: now(reader, "StandardError", Output::Log, stream::error_output),
        log: log(reader),
        resources: resources::read(reader),
        limits: limits::read(reader).into(),
        scheduling: scheduling::read(reader),
        ignore_unsupported: reader.many(SERVICE, "IgnoreUnsupported", |v, _| form::key(v)),
        sandbox: sandbox::read(reader),
        instances: instances(reader),
    };
    check_commands(reader, &service);
    readiness::check(reader, &service);
    service
}

impl Reader<'_> {
    fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.one(SERVICE, key, |value, _| value::flag(value))
    }
}

fn execs(reader: &mut Reader, key: &'static str) -> Vec<Exec> {
    reader.read(SERVICE, key, commands).unwrap_or_default()
}

/// `TimeoutSec=` stands for both of the others, unless one of them is given beside it or in a later file.
fn timeouts(reader: &mut Reader, kind: Kind) -> (Span, Span) {
    let both = reader.one(SERVICE, "TimeoutSec", |v, _| value::limit_span(v));
    let mut limit = |key| {
        let own = reader.one(SERVICE, key, |v, _| value::limit_span(v));
        match both {
            Some(_) if reader.origin(SERVICE, "TimeoutSec") > reader.origin(SERVICE, key) => both,
            _ => own.or(both),
        }
    };
    let start = limit("TimeoutStartSec").unwrap_or(match kind {
        Kind::Oneshot => Span::Infinite,
        Kind::Simple | Kind::Exec | Kind::Forking | Kind::Notify | Kind::NotifyReload => {
            TIMEOUT_START
        }
    });
    (start, limit("TimeoutStopSec").unwrap_or(TIMEOUT_STOP))
}

/// Reads a stream; one that is not acted on is noted, and the default stands in for it.
fn now<T>(
    reader: &mut Reader,
    key: &'static str,
    default: T,
    read: fn(&value::Value, &super::specifier::Scope) -> Result<Stream<T>, super::report::Fault>,
) -> T {
    match reader.one(SERVICE, key, read) {
        None => default,
        Some(Stream::Now(stream)) => stream,
        Some(Stream::Later) => {
            reader.mark_unhonoured(SERVICE, key);
            default
        }
    }
}

fn log(reader: &mut Reader) -> LogLimits {
    let max_size = reader.one(SERVICE, "LogMaxSize", |v, _| {
        let size = value::size_in_bytes(v)?;
        if size < LEAST_LOG_SIZE {
            return Err(value::fault(
                v,
                format!("a log file needs {LEAST_LOG_SIZE} bytes at least"),
            ));
        }
        Ok(size)
    });
    let max_files = reader.one(SERVICE, "LogMaxFiles", |v, _| value::number(v, 1, 1_000));
    let compress = reader.one(SERVICE, "LogCompress", |v, _| compress::read(v));
    LogLimits {
        max_size: max_size.unwrap_or(LOG_MAX_SIZE),
        max_files: max_files.unwrap_or(LOG_MAX_FILES),
        policy: flow::policy(reader),
        rate: flow::rate(reader),
        compress: compress.unwrap_or_default(),
    }
}

/// `Instances=` is the template's: each of its instances reads the key, and has none itself.
fn instances(reader: &mut Reader) -> Option<u32> {
    let most = i64::from(INSTANCES_MAX);
    let instances = reader.one(SERVICE, "Instances", |v, _| value::number(v, 0, most));
    if !reader.is_of_template(SERVICE, "Instances") {
        let hint = "a template is a file NAME@.service, with drop-ins in NAME@.service.d";
        let message = "only a template has instances";
        reader.complain(SERVICE, "Instances", message, Some(hint));
    }
    instances.filter(|_| reader.name().is_template())
}

/// How many commands a service needs and may have.
fn check_commands(reader: &mut Reader, service: &Service) {
    if reader.is_wrong(SERVICE, "Type") {
        return;
    }
    let oneshot = service.kind == Kind::Oneshot;
    if service.start.len() > 1 && !oneshot {
        let message = "more than one ExecStart= command";
        let hint = "only Type = \"oneshot\" runs several; the others can have ExecStartPre=";
        reader.complain(SERVICE, "ExecStart", message, Some(hint));
    }
    // Where ExecStart= is written and wrong, that was said already.
    if !service.start.is_empty() || reader.is_wrong(SERVICE, "ExecStart") {
        return;
    }
    if !oneshot {
        let message = "[service] has no ExecStart=, which only a oneshot can do without";
        let hint = "a unit of dependencies only has no [service] at all";
        reader.complain_section(SERVICE, message, Some(hint));
    } else if service.stop.is_empty() && !reader.is_wrong(SERVICE, "ExecStop") {
        let message = "[service] has neither ExecStart= nor ExecStop=";
        reader.complain_section(SERVICE, message, None);
    } else if !service.remain_after_exit {
        let message = "without ExecStart= a oneshot needs RemainAfterExit = true";
        reader.complain_section(SERVICE, message, None);
    }
}
