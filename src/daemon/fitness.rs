//! Whether a changed file is sure to keep a running service from starting again: found out before the old one is ended.
//!
//! Owns that question only. What fails for certain is what a start would look at before its first process runs; what a
//! command may yet bring about (a folder that `ExecStartPre=` makes) is no reason to refuse.

use std::path::Path;

use crate::engine::{Role, RunId, Spawn, UnitId};
use crate::unit::{Exec, Service, Unit, UnitName};
use crate::wire::ErrorKind;

use super::account::Account;
use super::answer;
use super::environment::Invocation;
use super::event_loop::Daemon;
use super::folders::below;
use super::lenience::Lenience;
use super::loader::Loaded;
use super::processes::Processes;
use super::spawn::{Order, command, is_first, prepare};

/// Why, and what to do.
struct Obstacle {
    reason: String,
    hint: String,
}

impl Daemon {
    /// Takes out the units that run and whose changed file cannot start them: they run on as they were.
    pub(super) fn without_unfit(&self, mut loaded: Loaded) -> Loaded {
        let mut unfit = Vec::new();
        for unit in &loaded.definitions {
            // What it was started with is not looked at again.
            let Some(before) = self.up(&unit.name).filter(|up| up.hash != unit.hash) else {
                continue;
            };
            let Some(Obstacle { reason, hint }) = self.processes.obstacle(before, unit) else {
                continue;
            };
            let text = format!("{reason}; it goes on as it was");
            let error = answer::error(ErrorKind::Failed, text, Some(hint));
            unfit.push(answer::spoiled(&unit.name, error));
        }
        let is_unfit = |name: &UnitName| unfit.iter().any(|one| one.unit == name.as_str());
        loaded.targets.retain(|name| !is_unfit(name));
        loaded.definitions.retain(|unit| !is_unfit(&unit.name));
        loaded.answered.extend(unfit);
        loaded
    }
}

impl Processes {
    fn obstacle(&self, before: &Unit, unit: &Unit) -> Option<Obstacle> {
        let file = unit.path.display();
        let Some(service) = unit.service.as_deref() else {
            return before.service.is_some().then(|| Obstacle {
                reason: "its file has no [service] any more, so that it would be a group"
                    .to_owned(),
                hint: format!("write [service] into {file}, or stop it first"),
            });
        };
        if let Some(wanted) = service.resources.as_deref() {
            let mut refused = self.machine.ground().refusals(wanted).into_iter();
            let is_held = |key| !service.ignore_unsupported.contains(&key);
            if let Some(refused) = refused.find(|one| is_held(one.key)) {
                let key = refused.key;
                return Some(Obstacle {
                    reason: format!("{key}: {}", refused.reason),
                    hint: format!(
                        "{key}= in {file}; with IgnoreUnsupported = [\"{key}\"] it goes without"
                    ),
                });
            }
        }
        let reason = self.spoiled_start(unit, service)?;
        let hint = format!("`diakonos check {}` looks at all of {file}", unit.name);
        Some(Obstacle { reason, hint })
    }

    /// Why the first command of a start is sure to fail, if so.
    fn spoiled_start(&self, unit: &Unit, service: &Service) -> Option<String> {
        let wish = |role| Spawn {
            run: RunId(0),
            unit: UnitId(0),
            role,
            index: 0,
            main_pid: None,
            result: None,
            monitor: None,
        };
        let mut roles = [Role::Condition, Role::StartPre, Role::Start]
            .map(wish)
            .into_iter();
        let spawn = roles.find(|spawn| is_first(service, spawn))?;
        let exec = command(service, spawn.role, 0).filter(|exec| !exec.ignore_failure)?;
        let mut lenience = Lenience::of(service);
        let owner = match Account::of_service(service, &self.ours, &mut lenience) {
            Ok(owner) => owner,
            Err(failure) => return Some(failure.reason.into()),
        };
        let order = Order {
            unit,
            service,
            exec,
            spawn: &spawn,
            account: if exec.privileged { &self.ours } else { &owner },
            invocation: &Invocation::from_number(0),
            ended: None,
        };
        match prepare(order, &self.fifos(unit.name.as_str()), &mut lenience) {
            Err(failure) => Some(failure.reason.into()),
            Ok(_) => is_missing(service, exec)
                .then(|| format!("{}: there is no such program", exec.program)),
        }
    }
}

/// Whether a program that is named by its path is not there.
fn is_missing(service: &Service, exec: &Exec) -> bool {
    let path = Path::new(&exec.program);
    let found = match service.root_directory.as_deref() {
        _ if !exec.program.contains('/') => return false,
        None => path.metadata(),
        // A link means another file there than here.
        Some(root) => below(root, path).symlink_metadata(),
    };
    found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
