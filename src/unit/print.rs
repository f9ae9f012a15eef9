//! A unit written as a unit file again.
//!
//! Owns the inverse of the parser: reading what is printed gives a unit that [`same_meaning`] calls equal. Printed
//! are all keys that this version acts on, defaults too; those it does not act on are named in comments.

use super::condition;
use super::restart::POLICIES;
use super::sandbox::Written;
use super::service::KINDS;
use super::stream::{input_word, output_word};
use super::words::quote;
use super::{
    Exec, List, Probe, Readiness, Relation, Restart, Service, Span, StatusSet, Unit, UnitName,
    WorkingDirectory, size,
};

/// Writes a unit as a file that reads back as the same unit.
#[must_use]
pub fn to_toml(unit: &Unit) -> String {
    let mut page = Page(String::new());
    for key in &unit.unhonoured {
        page.0
            .push_str(&format!("# not acted on: {} in [{}]\n", key, key.section));
    }
    page.0.push_str("[unit]\n");
    page.text("Description", &literal(&unit.description));
    page.list(
        "Documentation",
        unit.documentation.iter().map(|link| literal(link)),
    );
    for relation in Relation::ALL {
        page.names(relation.key(), unit.named_in(relation));
    }
    let relations = unit.relations();
    page.flag("RefuseManualStart", relations.refuse_manual_start);
    page.flag("RefuseManualStop", relations.refuse_manual_stop);
    page.flag("StopWhenUnneeded", relations.stop_when_unneeded);
    page.span("StartLimitIntervalSec", unit.start_limit.interval);
    if let Some(burst) = unit.start_limit.burst {
        page.bare("StartLimitBurst", &burst.to_string());
    }
    for (key, values) in condition::lines(&unit.conditions) {
        page.list(key, values.iter().map(|value| literal(value)));
    }
    if let Some(service) = &unit.service {
        page.service(service);
    }
    page.0.push_str("[install]\n");
    page.names("WantedBy", &unit.install.wanted_by);
    page.names("RequiredBy", &unit.install.required_by);
    page.names("Alias", &unit.install.alias);
    page.0
}

/// Whether two units say the same: in everything but where they were read from (path and hash) and which keys
/// stood there that this version does not act on.
#[must_use]
pub fn same_meaning(one: &Unit, other: &Unit) -> bool {
    let bare = |unit: &Unit| Unit {
        path: std::path::PathBuf::new(),
        hash: 0,
        unhonoured: List::default(),
        ..unit.clone()
    };
    bare(one) == bare(other)
}

/// Guards `%` from being read as a specifier.
fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

/// A TOML string.
pub(super) fn string(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                written.push('\\');
                written.push(c);
            }
            _ if c.is_control() => written.push_str(&format!("\\u{:04X}", u32::from(c))),
            _ => written.push(c),
        }
    }
    written.push('"');
    written
}

/// The name of a value in a table of words.
pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    let known = words.iter().find(|(_, known)| known == value);
    known.map_or("", |(word, _)| word)
}

/// A command as one string: array commands too, whose words need no expansion.
fn command(exec: &Exec) -> String {
    let mut first = String::new();
    let prefixes = [
        (exec.ignore_failure, '-'),
        (exec.argv0.is_some(), '@'),
        (!exec.expand, ':'),
        (exec.privileged, '+'),
    ];
    first.extend(
        prefixes
            .iter()
            .filter(|(given, _)| *given)
            .map(|(_, prefix)| *prefix),
    );
    first.push_str(&literal(&exec.program));
    let mut line = quote(&first);
    for argument in exec
        .argv0
        .as_deref()
        .into_iter()
        .chain(exec.arguments.iter().map(String::as_str))
    {
        line.push(' ');
        line.push_str(&quote(&literal(argument)));
    }
    line
}

/// The file as it grows.
pub(super) struct Page(String);

impl Page {
    pub(super) fn bare(&mut self, key: &str, value: &str) {
        self.0.push_str(&format!("{key} = {value}\n"));
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.bare(key, &string(text));
    }

    /// A flag that is off where it is left out.
    fn flag(&mut self, key: &str, is_set: bool) {
        if is_set {
            self.bare(key, "true");
        }
    }

    fn number(&mut self, key: &str, number: Option<impl ToString>) {
        if let Some(number) = number {
            self.bare(key, &number.to_string());
        }
    }

    fn list(&mut self, key: &str, items: impl IntoIterator<Item = String>) {
        let items: Vec<String> = items.into_iter().map(|item| string(&item)).collect();
        if !items.is_empty() {
            self.bare(key, &format!("[{}]", items.join(", ")));
        }
    }

    fn names(&mut self, key: &str, names: &[UnitName]) {
        self.list(key, names.iter().map(|name| name.as_str().to_owned()));
    }

    pub(super) fn span(&mut self, key: &str, span: Option<Span>) {
        if let Some(span) = span {
            self.text(key, &span.to_string());
        }
    }

    fn optional(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, &literal(text));
        }
    }

    /// Several commands of a key become one string, parted by `;`.
    fn commands(&mut self, key: &str, commands: &[Exec]) {
        if !commands.is_empty() {
            let lines: Vec<String> = commands.iter().map(command).collect();
            self.text(key, &lines.join(" ; "));
        }
    }

    fn statuses(&mut self, key: &str, set: &StatusSet) {
        let codes = set.codes.iter().map(ToString::to_string);
        let signals = set.signals.iter().map(ToString::to_string);
        self.list(key, codes.chain(signals));
    }

    fn service(&mut self, service: &Service) {
        self.0.push_str("[service]\n");
        self.text("Type", word(&KINDS, &service.kind));
        self.bare("RemainAfterExit", &service.remain_after_exit.to_string());
        let pid_file = service.pid_file.as_ref().map(|path| path.to_string_lossy());
        self.optional("PIDFile", pid_file.as_deref());
        self.readiness(&service.readiness);
        self.commands("ExecCondition", &service.condition);
        self.commands("ExecStartPre", &service.start_pre);
        self.commands("ExecStart", &service.start);
        self.commands("ExecStartPost", &service.start_post);
        self.commands("ExecReload", &service.reload);
        self.commands("ExecStop", &service.stop);
        self.commands("ExecStopPost", &service.stop_post);
        self.restart(&service.restart);
        self.span("TimeoutStartSec", Some(service.timeout_start));
        self.span("TimeoutStopSec", Some(service.timeout_stop));
        if let Some(oversight) = &service.oversight {
            self.oversight(oversight);
        }
        self.kill(&service.kill);
        self.surroundings(service);
        self.text("StandardInput", &literal(&input_word(&service.stdin)));
        self.text("StandardOutput", &literal(&output_word(&service.stdout)));
        self.text("StandardError", &literal(&output_word(&service.stderr)));
        self.text("LogMaxSize", &size::show(service.log.max_size));
        self.bare("LogMaxFiles", &service.log.max_files.to_string());
        self.log_flow(&service.log);
        self.text("LogCompress", service.log.compress.word());
        for (key, value) in service.resources.iter().flat_map(|given| given.lines()) {
            self.bare(key, &value);
        }
        self.scheduling(service);
        for limit in &service.limits {
            self.text(limit.key(), &limit.value());
        }
        self.number("Instances", service.instances);
        let ignored = service.ignore_unsupported.iter();
        self.list("IgnoreUnsupported", ignored.map(|key| (*key).to_owned()));
        for (key, written) in service.sandbox.iter().flat_map(|sandbox| sandbox.written()) {
            match written {
                Written::Flag(flag) => self.bare(key, &flag.to_string()),
                Written::Word(word) => self.text(key, word),
                Written::List(items) if items.is_empty() => self.bare(key, "[]"),
                Written::List(items) => self.list(key, items),
            }
        }
    }

    fn readiness(&mut self, readiness: &Readiness) {
        let exec = match readiness {
            Readiness::Executed => return,
            Readiness::Probe(probe) => match &**probe {
                Probe::Exec(exec) => Some(exec),
                _ => None,
            },
            _ => None,
        };
        let text = match exec {
            Some(exec) => format!("exec:{}", command(exec)),
            None => literal(&readiness.to_string()),
        };
        self.text("ReadyWhen", &text);
    }

    fn restart(&mut self, restart: &Restart) {
        self.text("Restart", word(&POLICIES, &restart.policy));
        self.span("RestartSec", restart.delay);
        self.bare("RestartSteps", &restart.steps.to_string());
        self.span("RestartMaxDelaySec", restart.max_delay);
        if let Some(jitter) = restart.jitter {
            self.bare("RestartJitter", &jitter.to_string());
        }
        self.span("RestartResetSec", Some(restart.reset));
        self.statuses("SuccessExitStatus", &restart.success);
        self.statuses("RestartPreventExitStatus", &restart.prevent);
        self.statuses("RestartForceExitStatus", &restart.force);
    }

    fn scheduling(&mut self, service: &Service) {
        let Some(scheduling) = &service.scheduling else {
            return;
        };
        self.number("Nice", scheduling.nice);
        self.number("OOMScoreAdjust", scheduling.oom_score_adjust);
        let cpus = Some(scheduling.cpu_list()).filter(|list| !list.is_empty());
        self.optional("CPUAffinity", cpus.as_deref());
        if let Some(cpu) = scheduling.cpu {
            self.text("CPUSchedulingPolicy", cpu.word());
            self.number("CPUSchedulingPriority", cpu.priority());
        }
        if let Some(io) = scheduling.io {
            self.text("IOSchedulingClass", io.word());
            self.number("IOSchedulingPriority", io.priority());
        }
    }

    /// Who runs it, where, and with which environment.
    fn surroundings(&mut self, service: &Service) {
        self.optional("User", service.user.as_deref());
        self.optional("Group", service.group.as_deref());
        let groups = service
            .supplementary_groups
            .iter()
            .map(|group| literal(group));
        self.list("SupplementaryGroups", groups);
        self.text("UMask", &format!("{:03o}", service.umask));
        match &service.working_directory {
            WorkingDirectory::Home => self.text("WorkingDirectory", "~"),
            WorkingDirectory::Path { path, optional } => {
                let dash = if *optional { "-" } else { "" };
                let path = literal(&path.to_string_lossy());
                self.text("WorkingDirectory", &format!("{dash}{path}"));
            }
        }
        let root = service
            .root_directory
            .as_ref()
            .map(|path| path.to_string_lossy());
        self.optional("RootDirectory", root.as_deref());
        let variables = service.environment.iter();
        self.list(
            "Environment",
            variables.map(|(key, value)| format!("{key}={}", literal(value))),
        );
        let files = service.environment_files.iter().map(|file| {
            let dash = if file.optional { "-" } else { "" };
            format!("{dash}{}", literal(&file.path.to_string_lossy()))
        });
        self.list("EnvironmentFile", files);
        self.list("PassEnvironment", service.pass_environment.iter().cloned());
        let unset = service.unset_environment.iter();
        self.list("UnsetEnvironment", unset.map(|item| literal(item)));
        for folders in &service.folders {
            let (key, mode_key) = folders.purpose.keys();
            self.list(key, folders.names.iter().map(|name| literal(name)));
            self.text(mode_key, &format!("{:03o}", folders.mode));
        }
        self.text("RuntimeDirectoryPreserve", service.preserve.word());
    }
}
