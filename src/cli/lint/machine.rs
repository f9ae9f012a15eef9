//! What a service names and this machine does not have: programs, users, groups, files and folders.
//!
//! Looks, and changes nothing. What was looked up once is remembered: many units name the same.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Finding, Weight};
use crate::daemon::default_path;
use crate::sys::users::{self, User};
use crate::unit::{Exec, Part, Probe, Readiness, Service, Spot, WorkingDirectory, nearest};

/// So many missing programs are compared with those that there are.
const COMPARED_MAX: usize = 20;

/// This machine, as far as anybody has asked.
#[derive(Debug, Default)]
pub(in crate::cli) struct Machine {
    users: BTreeMap<String, Known<User>>,
    groups: BTreeMap<String, Known<()>>,
    programs: BTreeMap<PathBuf, Program>,
    compared: usize,
}

#[derive(Clone, Debug)]
enum Known<T> {
    Found(T),
    Missing,
    /// The database cannot be read.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Missing,
    Folder,
    /// It has no right to be executed.
    Plain,
    Executable,
}

impl Machine {
    pub(in crate::cli) fn findings(&mut self, service: &Service, findings: &mut Vec<Finding>) {
        self.account(service, findings);
        self.programs(service, findings);
        files(service, findings);
        places(service, findings);
    }

    fn user(&mut self, name: &str) -> Known<User> {
        let known = self.users.entry(name.to_owned());
        known.or_insert_with(|| found(users::lookup(name))).clone()
    }

    fn group(&mut self, name: &str) -> Known<()> {
        let known = self.groups.entry(name.to_owned());
        let look = || found(users::lookup_group(name).map(|group| group.map(drop)));
        known.or_insert_with(look).clone()
    }

    fn program(&mut self, path: &Path) -> Program {
        if let Some(known) = self.programs.get(path) {
            return *known;
        }
        let found = match path.metadata() {
            Err(_) => Program::Missing,
            Ok(data) if data.is_dir() => Program::Folder,
            Ok(data) if data.is_file() && data.permissions().mode() & 0o111 != 0 => {
                Program::Executable
            }
            Ok(_) => Program::Plain,
        };
        self.programs.insert(path.to_owned(), found);
        found
    }

    /// The user and the groups, and whether we may become them.
    fn account(&mut self, service: &Service, findings: &mut Vec<Finding>) {
        let own = users::effective_uid();
        if let (Some(root), true) = (&service.root_directory, own != 0) {
            let message = format!(
                "RootDirectory = {}: only root can change it",
                root.display()
            );
            let weight = privileged(service, "RootDirectory");
            let finding = Finding::new(weight, message).at(value("RootDirectory"));
            findings.push(finding.hint("have root run the daemon, or leave the key out"));
        }
        if let Some(name) = &service.user {
            let spot = value("User");
            let error = |message: String| Finding::new(Weight::Error, message).at(spot.clone());
            match self.user(name) {
                Known::Found(user) if own != 0 && user.uid != own => {
                    let message =
                        format!("User = {name}: only root can start services as another user");
                    let finding = Finding::new(privileged(service, "User"), message).at(spot);
                    findings.push(finding.hint("have root run the daemon, or leave the key out"));
                }
                Known::Found(_) => {}
                Known::Missing => {
                    let finding = error(format!("User = {name}: there is no such user"));
                    findings.push(finding.hint(format!("`useradd --system {name}` makes it")));
                }
                Known::Unknown => findings.push(error(format!(
                    "User = {name}: the user database cannot be read"
                ))),
            }
        }
        let main = service.group.iter().map(|name| ("Group", &**name));
        let more = service.supplementary_groups.iter();
        for (key, name) in main.chain(more.map(|name| ("SupplementaryGroups", name.as_str()))) {
            if matches!(self.group(name), Known::Missing) {
                let message = format!("{key} = {name}: there is no such group");
                let finding = Finding::new(Weight::Error, message).at(Spot::text(key, name));
                findings.push(finding.hint(format!("`groupadd --system {name}` makes it")));
            }
        }
    }

    /// Whether each command's program is there.
    fn programs(&mut self, service: &Service, findings: &mut Vec<Finding>) {
        let uid = match service.user.as_ref().map(|name| self.user(name)) {
            Some(Known::Found(user)) => user.uid,
            None | Some(Known::Missing | Known::Unknown) => users::effective_uid(),
        };
        let mut variables = service.environment.iter().rev();
        let path = variables.find(|(name, _)| name == "PATH");
        let path = path.map_or(default_path(uid), |(_, value)| value);
        // A file may set PATH as well, and is read only when the service starts.
        let certain = match service.environment_files.is_empty() {
            true => Weight::Error,
            false => Weight::Warning,
        };
        let keys: [(&str, Weight, &[Exec]); 7] = [
            ("ExecCondition", certain, &service.condition),
            ("ExecStartPre", certain, &service.start_pre),
            ("ExecStart", certain, &service.start),
            ("ExecStartPost", certain, &service.start_post),
            ("ExecReload", Weight::Warning, &service.reload),
            ("ExecStop", Weight::Warning, &service.stop),
            ("ExecStopPost", Weight::Warning, &service.stop_post),
        ];
        let commands = keys.iter().flat_map(|(key, weight, commands)| {
            commands.iter().map(move |command| (*key, *weight, command))
        });
        let probe = match &service.readiness {
            Readiness::Probe(probe) => match &**probe {
                Probe::Exec(command) => Some(("ReadyWhen", certain, command)),
                _ => None,
            },
            _ => None,
        };
        for (key, weight, command) in commands.chain(probe) {
            let weight = match command.ignore_failure {
                true => Weight::Warning,
                false => weight,
            };
            if let Some((message, hint)) = self.missing(service, command, path) {
                let finding = Finding::new(weight, format!("{key} = {message}"));
                let finding = finding.at(Spot::text(key, &command.program));
                findings.push(finding.hint_if(hint));
            }
        }
    }

    /// What is wrong with a command's program, and what to do about it.
    fn missing(
        &mut self,
        service: &Service,
        command: &Exec,
        path: &str,
    ) -> Option<(String, Option<String>)> {
        let program = &command.program;
        let folders = || std::env::split_paths(path).map(|folder| outside(service, &folder));
        if !program.contains('/') {
            let mut places = folders().map(|folder| folder.join(program));
            if places.any(|place| self.program(&place) == Program::Executable) {
                return None;
            }
            let message = format!("{program}: no such program in the service's PATH ({path})");
            let near = self.nearest_program(program, folders());
            return Some((message, near.map(|near| crate::unit::did_you_mean(&near))));
        }
        let place = outside(service, Path::new(program));
        let hint = match self.program(&place) {
            Program::Executable => return None,
            Program::Folder => {
                return Some((format!("{program}: it is a folder, no program"), None));
            }
            Program::Plain => {
                let hint = format!("`chmod +x {}` makes it so", place.display());
                return Some((format!("{program}: it is not executable"), Some(hint)));
            }
            Program::Missing => Path::new(program).file_name().and_then(|name| {
                let mut places = folders().map(|folder| folder.join(name));
                places.find(|place| self.program(place) == Program::Executable)
            }),
        };
        let hint = hint.map(|place| format!("there is {}", place.display()));
        Some((format!("{program}: there is no such program"), hint))
    }

    fn nearest_program(
        &mut self,
        name: &str,
        folders: impl Iterator<Item = PathBuf>,
    ) -> Option<String> {
        self.compared += 1;
        if self.compared > COMPARED_MAX {
            return None;
        }
        let listed = folders
            .filter_map(|folder| folder.read_dir().ok())
            .flatten();
        let names = listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let names: Vec<String> = names.collect();
        nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
    }
}

fn found<T>(looked_up: std::io::Result<Option<T>>) -> Known<T> {
    match looked_up {
        Ok(Some(found)) => Known::Found(found),
        Ok(None) => Known::Missing,
        Err(_) => Known::Unknown,
    }
}

fn value(key: &'static str) -> Spot {
    Spot::new("service", key, Part::Value)
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

/// Files and folders that must be there when the service starts.
fn files(service: &Service, findings: &mut Vec<Finding>) {
    let mut missing = |key: &'static str, path: &Path, what: &str, hint: &str| {
        let path = path.display().to_string();
        let message = format!("{key} = {path}: there is no such {what} now");
        let finding = Finding::new(Weight::Warning, message).at(Spot::text(key, &path));
        findings.push(finding.hint(hint));
    };
    if let WorkingDirectory::Path { path, optional } = &service.working_directory
        && !optional
        && !outside(service, path).is_dir()
    {
        let hint = "make it; or StateDirectory= makes one at each start; with `-` before it, it may be missing";
        missing("WorkingDirectory", path, "folder", hint);
    }
    let root = service.root_directory.as_ref();
    if let Some(root) = root.filter(|root| !root.is_dir()) {
        missing("RootDirectory", root, "folder", "make it before the start");
    }
    for file in &service.environment_files {
        if !file.optional && !file.path.is_file() {
            let hint = "with `-` before it, it may be missing";
            missing("EnvironmentFile", &file.path, "file", hint);
        }
    }
}

/// Paths that a service is restricted by: one that is missing keeps it from starting.
fn places(service: &Service, findings: &mut Vec<Finding>) {
    let Some(sandbox) = service.sandbox.as_deref() else {
        return;
    };
    let lists = [
        ("ReadOnlyPaths", &sandbox.read_only),
        ("ReadWritePaths", &sandbox.read_write),
        ("InaccessiblePaths", &sandbox.inaccessible),
    ];
    for (key, paths) in lists {
        for one in paths.iter().filter(|one| !one.optional) {
            let place = match one.rooted {
                true => outside(service, &one.path),
                false => one.path.clone(),
            };
            if !place.exists() {
                let path = one.path.display().to_string();
                let message = format!("{key} = {path}: there is no such file or folder now");
                let finding = Finding::new(Weight::Warning, message).at(Spot::text(key, &path));
                findings.push(
                    finding.hint(
                        "it must be there at the start; with `-` before it, it may be missing",
                    ),
                );
            }
        }
    }
}
