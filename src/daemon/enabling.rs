//! Units that start with the daemon: `enable` and `disable` carried out, and the start of what is enabled at boot.
//!
//! The list itself, and what it says of groups, is `enabled.rs`'s.

use std::path::PathBuf;

use crate::engine::{Asker, Verb};
use crate::sorted;
use crate::unit::{Context, SearchPath, Unit, UnitName};
use crate::wire::{
    ErrorKind, Final, Progress, ProgressKind, Reply, ResultKind, UnitResult, WireError,
};

use super::answer;
use super::enabled::Enabled;
use super::event_loop::Daemon;
use super::loader::Loaded;
use super::sources::SessionId;

impl Daemon {
    /// Starts the enabled units, all as one request.
    pub(super) fn start_enabled(&mut self) {
        self.know_enabled();
        let names = self.enabled_alone();
        self.start_at_boot(names);
    }

    fn start_at_boot(&mut self, names: Vec<UnitName>) {
        if let Some(loaded) = self.load_enabled(names) {
            let targets = loaded.targets.clone();
            let request = self.ask(Verb::Start, Asker::Boot, loaded);
            self.boot.insert(request, targets);
        }
    }

    /// Looks which units are enabled, and where what they need is looked for.
    pub(super) fn know_enabled(&mut self) {
        self.boot_path = self.with_home(self.directories.clone());
        let known = &mut self.boot_path.directories;
        for folder in self.enabled.files().filter_map(|(_, file)| file.parent()) {
            if !known.iter().any(|known| known == folder) {
                known.push(folder.to_owned());
            }
        }
        know(&mut self.enabled, &self.context);
    }

    /// One of these enabled units spoils the request of all. Halves of it are asked for, and halves of those, until it
    /// is refused alone and all others have started: each alone from the beginning would read what they share, and ask
    /// what is enabled, once for every unit.
    pub(super) fn start_in_halves(&mut self, mut names: Vec<UnitName>) {
        if names.len() > 1 {
            let second = names.split_off(names.len().div_ceil(2));
            self.start_at_boot(names);
            self.start_at_boot(second);
        }
    }

    fn enabled_alone(&self) -> Vec<UnitName> {
        let names = self.enabled.files().map(|(name, _)| name.clone());
        // One that was taken back has its own fate: running, failed, or stopped by hand.
        let is_new = |name: &UnitName| self.engine.id(name).is_none();
        let alone = names.filter(|name| self.enabled.starts_alone(name));
        let mut units: Vec<UnitName> = alone
            .flat_map(|name| match name.is_template() {
                true => self.enabled.instances(&name),
                false => vec![name],
            })
            .filter(is_new)
            .collect();
        sorted::sort_by(&mut units, UnitName::by_number);
        units.dedup();
        units
    }

    /// Those of the named units that can be loaded, with what they need; `None` if that is none. Of the others it is
    /// written down why not.
    fn load_enabled(&mut self, names: Vec<UnitName>) -> Option<Loaded> {
        let loader = self.loader(&self.boot_path);
        let mut loaded = loader.for_boot(names);
        for UnitResult { unit, text, .. } in loaded.answered.drain(..) {
            ::log::error!("enabled unit {unit} does not start: {text}");
            self.note_own(("start", vec![unit]), Asker::Boot, Some(text));
        }
        (!loaded.targets.is_empty()).then_some(loaded)
    }

    pub(super) fn enable(
        &mut self,
        targets: &[UnitName],
        path: &SearchPath,
        session: SessionId,
    ) -> Result<Final, WireError> {
        // All are read before one is enabled: a request is done as a whole or not at all.
        let loader = self.loader(path);
        let units = targets.iter().map(|name| loader.read_named(name));
        let units: Vec<Unit> = units.collect::<Result<_, _>>()?;
        let mut results = Vec::new();
        for unit in &units {
            self.is_to_stay(unit)?;
            if unit.name.is_template() {
                loader.counted(&unit.name)?;
            }
        }
        for (name, unit) in targets.iter().zip(units) {
            let through = through(&unit.install.wanted_by, &unit.install.required_by);
            let (path, install) = (unit.path.clone(), unit.install.clone());
            let done = self.enabled.enable(name.clone(), path, install);
            let new = done.map_err(|error| not_written("enable", name, &error))?;
            self.enabled.learn(&unit);
            let which = match self.enabled.instances(name).len() {
                0 => "starts".to_owned(),
                1 => "its one instance starts".to_owned(),
                many => format!("its {many} instances start"),
            };
            let with = through.unwrap_or_else(|| "the daemon".to_owned());
            let text = match new {
                true => format!("enabled: {which} with {with}"),
                false => format!("was enabled already: {which} with {with}"),
            };
            results.push(answer::plain(name, ResultKind::Enabled, text));
        }
        // A unit that is wanted by nobody who starts will not start either, and the reader should know.
        for warning in self.idle_groups(targets) {
            let reply = Reply::Progress(warning);
            self.sessions.reply(session, &reply, &mut self.sources);
        }
        Ok(Final::Results(results))
    }

    fn idle_groups(&self, targets: &[UnitName]) -> Vec<Progress> {
        let alone = targets
            .iter()
            .filter(|name| !self.enabled.starts_alone(name));
        alone
            .filter(|name| !self.enabled.has_enabled_group(name))
            .map(|name| Progress {
                kind: ProgressKind::Warning,
                unit: name.to_string(),
                text: "none of the groups that pull it in is enabled itself, so nothing starts it \
                       with the daemon"
                    .to_owned(),
                in_ms: None,
            })
            .collect()
    }

    pub(super) fn disable(&mut self, targets: &[UnitName]) -> Result<Final, WireError> {
        let mut results = Vec::new();
        for name in targets {
            let done = self.enabled.disable(name);
            let was = done.map_err(|error| not_written("disable", name, &error))?;
            let text = match self.enabled.through_template(name) {
                Some(template) => {
                    format!("still starts with the daemon: its template {template} is enabled")
                }
                None if was => "disabled".to_owned(),
                None => "was not enabled".to_owned(),
            };
            results.push(answer::plain(name, ResultKind::Disabled, text));
        }
        Ok(Final::Results(results))
    }
}

/// Reads the `[install]` sections of the enabled units. One that cannot be read does not start and is no one's.
pub(super) fn know(enabled: &mut Enabled, context: &Context) {
    let files = enabled.files();
    let files: Vec<(UnitName, PathBuf)> = files
        .map(|(name, file)| (name.clone(), file.to_owned()))
        .collect();
    for (name, file) in files {
        match super::loader::read_file(&name, &file, context) {
            Ok(unit) => enabled.learn(&unit),
            Err(reason) => ::log::error!("enabled unit {name} cannot be read: {reason}"),
        }
    }
}

/// "group a, b", if any group pulls the unit in.
fn through(wanted_by: &[UnitName], required_by: &[UnitName]) -> Option<String> {
    let groups: Vec<&str> = wanted_by
        .iter()
        .chain(required_by)
        .map(UnitName::as_str)
        .collect();
    (!groups.is_empty()).then(|| groups.join(", "))
}

fn not_written(verb: &str, name: &UnitName, error: &std::io::Error) -> WireError {
    let reason = crate::sys::process::error_text(error);
    let message = format!("cannot {verb} {name}: the list of enabled units: {reason}");
    answer::error(ErrorKind::Failed, message, None)
}
