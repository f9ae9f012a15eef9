//! The forms that a key's value can have, and the check of a value against its form.
//!
//! Owns the ranges of the keys that are known and not acted on. Keys that are acted on are read into the model by
//! `parse.rs` and its neighbours, with the same functions of `value.rs`.

use super::exec::commands;
use super::file::Node;
use super::keys::find;
use super::probe;
use super::report::Fault;
use super::size;
use super::specifier::Scope;
use super::stream;
use super::value::{self, Value, fault, items, shorten, text, wrong_type};
use super::{capability, family, folders, limits, sandbox, scheduling, syscall};

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Flag,
    /// Least and most.
    Integer(i64, i64),
    /// 0 to 100.
    Percent,
    /// A share of one processor, which can pass 100 %.
    Quota,
    Weight,
    /// A number, a percentage or `infinity`.
    Tasks,
    Span,
    Spans,
    Size,
    /// A size, a percentage or `infinity`.
    Memory,
    /// `soft:hard`, or one value for both.
    Limit(Bound),
    Mode,
    Signal,
    Statuses,
    Word(&'static [&'static str]),
    /// A flag or one of these words.
    FlagOr(&'static [&'static str]),
    FlagOrTexts,
    Line,
    Texts,
    Links,
    Conditions,
    Names,
    /// Names of keys of `[service]`.
    Keys,
    Account,
    Accounts,
    Path,
    Paths,
    PidFile,
    Directory,
    /// Names of folders that are made below a folder fixed by the key.
    Folders,
    Commands,
    Environment,
    EnvironmentFiles,
    Variables,
    /// Variables, or assignments of which only the very same is meant.
    Unset,
    Input,
    Output,
    ErrorOutput,
    /// What tells that a service is ready.
    Ready,
    /// What tells that a service is well.
    Check,
    Addresses,
    Bandwidths,
    Cpus,
    Capabilities,
    /// Socket address families.
    Families,
    /// System calls and groups of them.
    SystemCalls,
}

/// What a resource limit counts, systemd.exec(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Count,
    Size,
    Seconds,
    Micros,
    Nice,
}

impl Form {
    /// A text for people: what to write.
    #[must_use]
    pub fn describe(self) -> String {
        let fixed = match self {
            Self::Integer(least, most) => return format!("{least} to {most}"),
            Self::Word(words) => return words.join(", "),
            Self::FlagOr(words) => return format!("true, false, {}", words.join(", ")),
            Self::Flag => "true or false",
            Self::Percent => "0 to 100",
            Self::Quota => "per cent of a processor: \"150%\"",
            Self::Weight => "1 to 10000, or \"idle\"",
            Self::Tasks => "a number, a percentage or \"infinity\"",
            Self::Span => "time span",
            Self::Spans => "time spans",
            Self::Size => "size",
            Self::Memory => "size, percentage or \"infinity\"",
            Self::Limit(_) => "one value, or \"soft:hard\"",
            Self::Mode => "octal digits in quotes",
            Self::Signal => "signal",
            Self::Statuses => "exit codes and signals",
            Self::FlagOrTexts => "true, false or texts",
            Self::Line => "text",
            Self::Texts => "texts",
            Self::Conditions => "texts; `!` turns one round, of those with `|` one is enough",
            Self::Links => "http://, https://, file:, info: or man: links",
            Self::Names => "units",
            Self::Keys => "keys of [service]",
            Self::Account => "name or number",
            Self::Accounts => "names or numbers",
            Self::Path | Self::PidFile => "path",
            Self::Paths => "paths",
            Self::Directory => "path or \"~\"",
            Self::Folders => "relative paths",
            Self::Commands => "commands",
            Self::Environment => "\"KEY=value\" texts or a table",
            Self::EnvironmentFiles => "paths, optional with `-`",
            Self::Variables => "names of variables",
            Self::Unset => "names of variables, or \"KEY=value\" texts",
            Self::Input => "null, file:PATH, socket",
            Self::Output => "log, null, file:PATH, append:PATH, truncate:PATH, inherit, socket",
            Self::ErrorOutput => {
                "log, log:err, null, file:PATH, append:PATH, truncate:PATH, inherit, socket"
            }
            Self::Ready => {
                "notify, fd:N, log:TEXT, tcp:HOST:PORT, unix:PATH, http:URL, exec:COMMAND, \
                 file:PATH"
            }
            Self::Check => "tcp:HOST:PORT, unix:PATH, http:URL, exec:COMMAND, file:PATH",
            Self::Addresses => "ports, HOST:PORT, paths or @names",
            Self::Bandwidths => "\"DEVICE BYTES\" texts",
            Self::Cpus => "processor numbers and ranges",
            Self::Capabilities => "capabilities, inverted with `~`",
            Self::Families => "address families, inverted with `~`, or \"none\"",
            Self::SystemCalls => "system calls and @groups, inverted with `~`, with `:ERROR`",
        };
        fixed.to_owned()
    }

    /// Checks type and range of a value.
    pub(super) fn check(self, value: &Value, scope: &Scope, faults: &mut Vec<Fault>) {
        match self {
            Self::Commands => {
                commands(value, scope, faults);
            }
            Self::Environment => {
                value::environment(value, scope, faults);
            }
            Self::Statuses => {
                value::statuses(value, faults);
            }
            Self::Capabilities => {
                capability::read(value, faults);
            }
            Self::Families => {
                family::read(value, faults);
            }
            Self::SystemCalls => {
                syscall::read(value, faults);
            }
            _ if self.is_list() => {
                let found = items(value).iter().map(|item| self.check_one(item, scope));
                faults.extend(found.filter_map(Result::err));
            }
            _ => faults.extend(self.check_one(value, scope).err()),
        }
    }

    /// Whether it takes several values, each by itself.
    pub(super) fn is_list(self) -> bool {
        matches!(
            self,
            Self::Spans
                | Self::Texts
                | Self::Links
                | Self::Conditions
                | Self::Names
                | Self::Keys
                | Self::Accounts
                | Self::Paths
                | Self::Folders
                | Self::Variables
                | Self::Unset
                | Self::EnvironmentFiles
                | Self::Addresses
                | Self::Bandwidths
                | Self::Cpus
                | Self::FlagOrTexts
        )
    }

    /// Checks one value, or one item of a list.
    fn check_one(self, value: &Value, scope: &Scope) -> Result<(), Fault> {
        match self {
            Self::Flag => value::flag(value).map(drop),
            Self::Integer(least, most) => value::integer(value, least, most).map(drop),
            Self::Percent => percent(value).map(drop),
            Self::Span | Self::Spans => value::span(value).map(drop),
            Self::Size => value::size_in_bytes(value).map(drop),
            Self::Mode => value::mode(value).map(drop),
            Self::Signal => value::signal(value).map(drop),
            Self::Word(words) => word(value, words),
            Self::FlagOr(words) => match value.get_ref() {
                Node::Text(_) => word(value, words),
                _ => value::flag(value).map(drop),
            },
            Self::FlagOrTexts => match value.get_ref() {
                Node::Flag(_) => Ok(()),
                _ => value::expanded(value, scope).map(drop),
            },
            Self::Line => value::line(value, scope).map(drop),
            Self::Links => link(value, scope).map(drop),
            Self::Texts | Self::Conditions => value::expanded(value, scope).map(drop),
            Self::Names => value::name(value, scope).map(drop),
            Self::Keys => key(value).map(drop),
            Self::Account | Self::Accounts => value::account(value, scope).map(drop),
            Self::Path => value::path(value, scope).map(drop),
            Self::Paths => sandbox::path(value, scope).map(drop),
            Self::PidFile => value::pid_file(value, scope).map(drop),
            Self::Directory => value::working_directory(value, scope).map(drop),
            Self::Folders => folders::folder(value, scope).map(drop),
            Self::EnvironmentFiles => value::environment_file(value, scope).map(drop),
            Self::Variables => value::variable(value, scope).map(drop),
            Self::Unset => value::unset(value, scope).map(drop),
            Self::Input => stream::input(value, scope).map(drop),
            Self::Output => stream::output(value, scope).map(drop),
            Self::ErrorOutput => stream::error_output(value, scope).map(drop),
            Self::Ready => probe::ready_when(value, scope).map(drop),
            Self::Check => probe::check(value, scope).map(drop),
            Self::Cpus => scheduling::processors(value).map(drop),
            Self::Limit(bound) => limits::limit(value, bound).map(drop),
            Self::Commands | Self::Environment | Self::Statuses => Ok(()),
            Self::Capabilities | Self::Families | Self::SystemCalls => Ok(()),
            _ => self.check_quantity(value),
        }
    }

    /// Checks what is written as a number or as a text that holds one.
    pub(super) fn check_quantity(self, value: &Value) -> Result<(), Fault> {
        let number = match value.get_ref() {
            Node::Integer(number) => Some(u64::try_from(*number).ok()),
            Node::Text(_) => None,
            _ => return Err(wrong_type(value, &self.describe())),
        };
        let written = match value.get_ref() {
            Node::Text(text) => text.as_str(),
            _ => "",
        };
        let share = written
            .strip_suffix('%')
            .and_then(|text| text.parse::<u32>().ok());
        let right = match (self, number) {
            (Self::Quota, None) => share.is_some_and(|share| share > 0),
            (Self::Weight, Some(number)) => number.is_some_and(|n| (1..=10_000).contains(&n)),
            (Self::Weight, None) => written == "idle",
            (Self::Tasks | Self::Memory, Some(number)) => number.is_some(),
            (Self::Tasks, None) => is_share(share) || written == "infinity",
            (Self::Memory, None) => {
                is_share(share) || written == "infinity" || size::parse(written).is_some()
            }
            (Self::Addresses, Some(number)) => number.is_some_and(is_port),
            (Self::Addresses, None) => is_address(written),
            (Self::Bandwidths, None) => is_bandwidth(written),
            _ => false,
        };
        if right {
            return Ok(());
        }
        let wanted = self.describe();
        Err(fault(value, "the value has the wrong form").hint(format!("expected {wanted}")))
    }
}

/// `10` or `"10%"`: 0 to 100.
pub(super) fn percent(value: &Value) -> Result<u8, Fault> {
    let Node::Text(text) = value.get_ref() else {
        return value::number(value, 0, 100);
    };
    let share = text.strip_suffix('%').and_then(|text| text.parse().ok());
    let share = share.filter(|share| *share <= 100);
    share.ok_or_else(|| fault(value, "expected a percentage from 0 to 100"))
}

/// A link as `Documentation=` takes it, systemd.unit(5).
pub(super) fn link(value: &Value, scope: &Scope) -> Result<String, Fault> {
    let text = value::line(value, scope)?;
    let known = ["http://", "https://", "file:", "info:", "man:"];
    if known.iter().any(|start| text.starts_with(start)) {
        return Ok(text);
    }
    let message = format!("`{}` is not a link", shorten(&text));
    Err(fault(value, message).hint("it begins with http://, https://, file:, info: or man:"))
}

fn is_share(share: Option<u32>) -> bool {
    share.is_some_and(|share| share <= 100)
}

fn is_port(number: u64) -> bool {
    (1..=65_535).contains(&number)
}

fn word(value: &Value, words: &'static [&'static str]) -> Result<(), Fault> {
    let word = text(value)?;
    if words.contains(&word) {
        return Ok(());
    }
    Err(value::unknown_word(value, word, words))
}

/// The name of a key of `[service]`.
pub(super) fn key(value: &Value) -> Result<&'static str, Fault> {
    let name = text(value)?;
    if let Some(key) = find("service", name) {
        return Ok(key.name);
    }
    let known = super::keys().iter().filter(|key| key.section == "service");
    let near = super::nearest(name, known.map(|key| key.name));
    let fault = fault(value, format!("[service] has no key `{}`", shorten(name)));
    Err(fault.hint_if(near.map(super::report::did_you_mean)))
}

/// A port, `HOST:PORT`, `[ADDRESS]:PORT`, an absolute path or an abstract name.
fn is_address(text: &str) -> bool {
    if text.starts_with('/') || text.len() > 1 && text.starts_with('@') {
        return true;
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("*", text));
    !host.is_empty() && port.parse().is_ok_and(is_port)
}

fn is_bandwidth(text: &str) -> bool {
    let (device, bytes) = text.trim().rsplit_once([' ', '\t']).unwrap_or_default();
    device.starts_with('/') && size::parse(bytes).is_some()
}
