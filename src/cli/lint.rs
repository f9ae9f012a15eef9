//! What `check` finds beyond a file's own mistakes: in the graph, and on this machine. Looks, and changes nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::text::span;
use crate::daemon::{default_path, unit_context};
use crate::engine::{find_cycle, restart_plan};
use crate::sys::users;
use crate::unit::{
    self, Exec, LoadError, Policy, SearchPath, Service, Unit, UnitName, WorkingDirectory, nearest,
};

/// Delays that are printed.
const DELAYS: u32 = 6;
/// A delay that grows by itself has reached its longest after so many.
const DOUBLINGS: u32 = 64;
/// Units that are followed from those asked for.
const GRAPH_MAX: usize = 10_000;

/// One thing to be said of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) weight: Weight,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// It cannot start so.
    Error,
    /// It can, and is hardly what was meant.
    Warning,
    /// Good to know.
    Note,
}

impl Finding {
    fn new(weight: Weight, message: impl Into<String>) -> Self {
        Self {
            weight,
            message: message.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The units that were asked for, and all that these name.
#[derive(Debug, Default)]
pub(super) struct Graph {
    units: BTreeMap<UnitName, Unit>,
    /// Named and not to be read, and why.
    absent: BTreeMap<UnitName, LoadError>,
    known: Vec<String>,
}

impl Graph {
    /// Reads what the units require, want, and are ordered by, on and on.
    pub(super) fn new(asked: Vec<Unit>, path: &SearchPath) -> Self {
        let context = unit_context();
        let listing = path.list();
        let known = listing.units.iter().map(|listed| listed.name.to_string());
        let mut graph = Self {
            known: known.collect(),
            ..Self::default()
        };
        let mut pending: Vec<UnitName> = Vec::new();
        for unit in asked {
            pending.extend(neighbours(&unit).cloned());
            graph.units.insert(unit.name.clone(), unit);
        }
        while let Some(name) = pending.pop() {
            let is_known = graph.units.contains_key(&name) || graph.absent.contains_key(&name);
            if is_known || graph.units.len() >= GRAPH_MAX {
                continue;
            }
            match unit::load(&name, path, &context) {
                Ok(unit) => {
                    pending.extend(neighbours(&unit).cloned());
                    graph.units.insert(name, unit);
                }
                Err(error) => drop(graph.absent.insert(name, error)),
            }
        }
        graph
    }

    /// A cycle in the order, as one line.
    pub(super) fn cycle(&self) -> Option<Finding> {
        let cycle = find_cycle(self.units.values())?;
        let names: Vec<&str> = cycle.iter().map(UnitName::as_str).collect();
        let message = format!("the order goes in a circle: {}", names.join(" after "));
        Some(Finding::new(Weight::Error, message).hint("take one After= or Before= of it away"))
    }

    /// What this unit names and cannot have.
    fn dependencies(&self, unit: &Unit, findings: &mut Vec<Finding>) {
        let order = unit.after.iter().chain(&unit.before);
        let named = [("Requires", Weight::Error), ("Wants", Weight::Warning)];
        for ((key, weight), names) in named.into_iter().zip([&unit.requires, &unit.wants]) {
            for name in names {
                let Some(error) = self.absent.get(name) else {
                    continue;
                };
                findings.push(match error {
                    LoadError::NotFound { .. } => {
                        let message = format!("{key} = {name}: there is no such unit");
                        self.hinted(Finding::new(weight, message), name)
                    }
                    LoadError::Io { .. } | LoadError::Invalid(_) => {
                        let message = format!("{key} = {name}: its file is wrong");
                        Finding::new(weight, message)
                            .hint(format!("check it: diakonos check {name}"))
                    }
                });
            }
        }
        for name in order {
            let is_pulled_in = unit.requires.contains(name) || unit.wants.contains(name);
            let missing = matches!(self.absent.get(name), Some(LoadError::NotFound { .. }));
            if missing && !is_pulled_in {
                let message = format!("ordered by {name}, which is no unit: that has no effect");
                findings.push(self.hinted(Finding::new(Weight::Warning, message), name));
            }
        }
    }

    fn hinted(&self, finding: Finding, name: &UnitName) -> Finding {
        match nearest(name.as_str(), self.known.iter().map(String::as_str)) {
            Some(near) => finding.hint(format!("did you mean {near}?")),
            None => finding,
        }
    }

    /// All that is to be said of one unit.
    pub(super) fn findings(&self, unit: &Unit) -> Vec<Finding> {
        let mut findings = Vec::new();
        for unhonoured in &unit.unhonoured {
            let (weight, then) = if unit.ignores(unhonoured) {
                (Weight::Warning, "the unit goes without")
            } else {
                (Weight::Error, "so `start` refuses the unit")
            };
            let message = format!(
                "line {}: {unhonoured} is not supported by this version, {then}",
                unhonoured.line
            );
            findings.push(Finding::new(weight, message));
        }
        self.dependencies(unit, &mut findings);
        for warning in unit::lint(unit) {
            findings.push(Finding::new(Weight::Warning, warning.message).hint(warning.hint));
        }
        if let Some(service) = &unit.service {
            account(service, &mut findings);
            programs(service, &mut findings);
            files(service, &mut findings);
            findings.extend(restarts(unit, service));
        }
        findings
    }
}

fn neighbours(unit: &Unit) -> impl Iterator<Item = &UnitName> {
    let lists = [&unit.requires, &unit.wants, &unit.after, &unit.before];
    lists.into_iter().flatten()
}

/// The user and the groups, and whether we may become them.
fn account(service: &Service, findings: &mut Vec<Finding>) {
    let own = users::effective_uid();
    if let (Some(root), true) = (&service.root_directory, own != 0) {
        let message = format!(
            "RootDirectory = {}: only root can change it",
            root.display()
        );
        findings.push(Finding::new(privileged(service, "RootDirectory"), message));
    }
    if let Some(name) = &service.user
        && let Ok(Some(user)) = users::lookup(name)
        && own != 0
        && user.uid != own
    {
        let message = format!("User = {name}: only root can start services as another user");
        findings.push(Finding::new(privileged(service, "User"), message));
    }
    let mut error = |message: String| findings.push(Finding::new(Weight::Error, message));
    if let Some(name) = &service.user {
        match users::lookup(name) {
            Ok(Some(_)) => {}
            Ok(None) => error(format!("User = {name}: there is no such user")),
            Err(_) => error(format!("User = {name}: the user database cannot be read")),
        }
    }
    for name in service.group.iter().chain(&service.supplementary_groups) {
        if matches!(users::lookup_group(name), Ok(None)) {
            error(format!("there is no group {name}"));
        }
    }
}

/// What is missing where a key needs root.
fn privileged(service: &Service, key: &str) -> Weight {
    if service.ignore_unsupported.contains(&key) {
        Weight::Warning
    } else {
        Weight::Error
    }
}

/// Where a path of the service's is for us: below its root directory, if it has one.
fn outside(service: &Service, path: &Path) -> PathBuf {
    match &service.root_directory {
        Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    }
}

/// Whether each command's program is there.
fn programs(service: &Service, findings: &mut Vec<Finding>) {
    let named = |user: &String| users::lookup(user).ok().flatten();
    let user = service.user.as_ref().and_then(named);
    let uid = user.map_or_else(users::effective_uid, |user| user.uid);
    let path = service
        .environment
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH");
    let path = path.map_or(default_path(uid), |(_, value)| value);
    // A file may set PATH as well, and is read only when the service starts.
    let is_certain = service.environment_files.is_empty();
    let keys = [
        ("ExecStartPre", &service.start_pre),
        ("ExecStart", &service.start),
        ("ExecStartPost", &service.start_post),
        ("ExecReload", &service.reload),
        ("ExecStop", &service.stop),
        ("ExecStopPost", &service.stop_post),
    ];
    for (key, commands) in keys {
        for command in commands {
            let weight = match key {
                "ExecStartPre" | "ExecStart" | "ExecStartPost" if is_certain => Weight::Error,
                _ => Weight::Warning,
            };
            if let Err(message) = find_program(service, command, path) {
                findings.push(Finding::new(weight, format!("{key} = {message}")));
            }
        }
    }
}

fn find_program(service: &Service, command: &Exec, path: &str) -> Result<(), String> {
    let program = &command.program;
    if program.contains('/') {
        let path = &*outside(service, Path::new(program));
        return match path.metadata() {
            Err(_) => Err(format!("{program}: there is no such program")),
            Ok(_) if is_executable(path) => Ok(()),
            Ok(_) => Err(format!("{program}: it is not executable")),
        };
    }
    let mut folders = std::env::split_paths(path);
    match folders.any(|folder| is_executable(&outside(service, &folder.join(program)))) {
        true => Ok(()),
        false => Err(format!(
            "{program}: no such program in the service's PATH ({path})"
        )),
    }
}

fn is_executable(path: &Path) -> bool {
    let metadata = path.metadata();
    metadata.is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Files and folders that must be there when the service starts.
fn files(service: &Service, findings: &mut Vec<Finding>) {
    let mut missing = |key: &str, path: &PathBuf, what: &str| {
        let message = format!("{key} = {}: there is no such {what} now", path.display());
        findings.push(Finding::new(Weight::Warning, message));
    };
    if let WorkingDirectory::Path { path, optional } = &service.working_directory
        && !optional
        && !outside(service, path).is_dir()
    {
        missing("WorkingDirectory", path, "folder");
    }
    if let Some(root) = service
        .root_directory
        .as_ref()
        .filter(|root| !root.is_dir())
    {
        missing("RootDirectory", root, "folder");
    }
    for file in &service.environment_files {
        if !file.optional && !file.path.is_file() {
            missing("EnvironmentFile", &file.path, "file");
        }
    }
}

/// When the service is started again, in numbers.
fn restarts(unit: &Unit, service: &Service) -> Option<Finding> {
    let when = match service.restart.policy {
        Policy::No => return None,
        Policy::Always => "always",
        Policy::OnSuccess => "after success",
        Policy::OnFailure => "after failure",
        Policy::OnAbnormal => "after a signal or a time-out",
        Policy::OnAbort => "after a signal",
        Policy::OnWatchdog => "after a missed watchdog",
    };
    let plan = restart_plan(unit.start_limit, &service.restart, DELAYS);
    let is_fixed = plan.delays_ms.windows(2).all(|pair| pair[0] == pair[1]);
    let shown = if is_fixed { 1 } else { plan.delays_ms.len() };
    let delays: Vec<String> = plan
        .delays_ms
        .iter()
        .take(shown)
        .map(|ms| delay(*ms))
        .collect();
    let on = if is_fixed { "" } else { ", …" };
    let most = if is_fixed {
        String::new()
    } else {
        let all = service.restart.steps.saturating_add(DOUBLINGS);
        let later = restart_plan(unit.start_limit, &service.restart, all).delays_ms;
        let longest = later.last().copied().unwrap_or_default();
        format!(" at most {}", delay(longest))
    };
    let jitter = match plan.jitter {
        0 => String::new(),
        jitter => format!(", ±{jitter} %"),
    };
    let limit = match plan.limit {
        None => "no limit".to_owned(),
        Some((burst, interval_ms)) => {
            format!("gives up after {burst} starts in {}", span(interval_ms))
        }
    };
    let delays = delays.join(", ");
    let message = format!("restarts {when}, after {delays}{on}{most}{jitter}; {limit}");
    Some(Finding::new(Weight::Note, message))
}

fn delay(ms: u64) -> String {
    match ms % 1000 {
        0 => span(ms),
        _ if (1000..60_000).contains(&ms) => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => span(ms),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(name: &str, text: &str) -> Unit {
        let path = PathBuf::from(format!("/srv/{name}.service"));
        let name = UnitName::parse(name).unwrap();
        unit::parse(text, &path, &name, &unit_context()).unwrap()
    }

    fn graph(units: &[(&str, &str)]) -> Graph {
        let units = units.iter().map(|(name, text)| parse(name, text)).collect();
        Graph::new(units, &SearchPath::default())
    }

    fn messages(graph: &Graph, name: &str) -> Vec<String> {
        let unit = &graph.units[&UnitName::parse(name).unwrap()];
        graph
            .findings(unit)
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn a_cycle_is_shown_whole() {
        let sound = graph(&[("a", "[unit]\nAfter = [\"b\"]\n"), ("b", "[unit]\n")]);
        assert_eq!(sound.cycle(), None);
        let cyclic = graph(&[
            ("a", "[unit]\nAfter = [\"b\"]\n"),
            ("b", "[unit]\nBefore = [\"a\"]\nAfter = [\"a\"]\n"),
        ]);
        let message = cyclic.cycle().unwrap().message;
        assert!(message.contains("a after b after a"), "{message}");
    }

    #[test]
    fn what_is_not_there_is_said() {
        let graph = graph(&[(
            "web",
            "[unit]\nRequires = [\"nothing\"]\nAfter = [\"nothing\"]\n[service]\n\
             ExecStart = \"no-such-program-anywhere\"\nUser = \"no-such-user-anywhere\"\n",
        )]);
        let text = messages(&graph, "web").join("\n");
        assert!(
            text.contains("Requires = nothing: there is no such unit"),
            "{text}"
        );
        assert!(
            text.contains("no-such-program-anywhere: no such program"),
            "{text}"
        );
        assert!(
            text.contains("User = no-such-user-anywhere: there is no such user"),
            "{text}"
        );
    }

    #[test]
    fn delays_are_printed_in_numbers() {
        let growing = "[service]\nExecStart = \"/bin/true\"\nRestart = \"always\"\n";
        let fixed =
            "[service]\nExecStart = \"/bin/true\"\nRestart = \"on-failure\"\nRestartSec = 5\n";
        let slowly = "[service]\nExecStart = \"/bin/true\"\nRestart = \"always\"\nRestartSec = 1\n\
                      RestartSteps = 100\nRestartMaxDelaySec = \"1h\"\n";
        let graph = graph(&[("growing", growing), ("fixed", fixed), ("slowly", slowly)]);
        let slowly = messages(&graph, "slowly").join("");
        assert!(slowly.contains("at most 1h;"), "{slowly}");
        assert_eq!(
            messages(&graph, "growing"),
            [
                "restarts always, after 100ms, 200ms, 400ms, 800ms, 1.6s, 3.2s, … at most 1m, ±10 %; no limit"
            ]
        );
        assert_eq!(
            messages(&graph, "fixed"),
            ["restarts after failure, after 5s; gives up after 5 starts in 10s"]
        );
    }
}
