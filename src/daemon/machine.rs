//! What this machine can limit, and what each service's group has of it.
//!
//! Owns the moment at which limits come into force: before the first process of each life, and when they are changed.
//! What a limit is to the kernel is `limits.rs`'s.

use std::io;
use std::path::Path;

use crate::engine::{Role, Spawn, SpawnFailure, UnitId};
use crate::sys::cgroup::{Cgroup, Tree};
use crate::sys::controllers::Controllers;
use crate::sys::process::{Pid, error_text};
use crate::sys::users;
use crate::unit::{Delegate, Resources, Service, UnitName};

use super::account::Account;
use super::group::Group;
use super::lenience::Lenience;
use super::limits::{self, Ground, Refused};
use super::memory::Known;
use super::processes::{Hold, Processes};
use super::sandbox;
use super::spawn::{failure, is_first};

/// What the kernel limits for us.
#[derive(Debug, Default)]
pub(super) struct Machine {
    controllers: Controllers,
    no_groups: Option<Box<str>>,
}

/// What a unit's group holds.
#[derive(Debug, Default)]
pub(super) struct Limited {
    /// The keys that are in force.
    resources: Option<Box<Resources>>,
    pub(super) memory: Known,
}

impl Limited {
    pub(super) fn resources(&self) -> Option<&Resources> {
        self.resources.as_deref()
    }

    /// The group holds these now.
    pub(super) fn hold(&mut self, resources: Option<Box<Resources>>) {
        self.resources = resources;
    }

    /// A predecessor's group: what is in force is what that one had written down.
    pub(super) fn taken_over(service: &Service, kills: Option<u64>) -> Self {
        Self {
            resources: service.resources.clone(),
            memory: Known::of_predecessor(kills),
        }
    }
}

impl Limited {
    /// Another group than the service's own for a command beside it, if that is needed.
    pub(super) fn beside(&self, role: Role, group: &Group) -> io::Result<Option<Cgroup>> {
        let divides = self
            .resources()
            .is_some_and(|given| given.delegate != Delegate::No);
        match group.cgroup() {
            Some(cgroup) if divides && !role.begins() => cgroup.beside(),
            Some(_) | None => Ok(None),
        }
    }

    /// Has the group hold what is wanted. Each refusal takes a key away; one that takes nothing away is about a limit
    /// of before, which nobody can go without.
    fn agree(
        &mut self,
        group: &Cgroup,
        wanted: &mut Option<Box<Resources>>,
        lenience: &mut Lenience<'_>,
    ) -> Result<(), SpawnFailure> {
        while self.resources != *wanted {
            match limits::apply(group, self.resources(), wanted.as_deref()) {
                Ok(()) => self.resources.clone_from(wanted),
                Err(refused) => {
                    let failed = told(&refused);
                    if !forgo(wanted, refused, lenience)? {
                        return Err(failed);
                    }
                }
            }
        }
        Ok(())
    }

    /// A predecessor may have written down new limits and died before it set them: they are set again, and what they
    /// do not name is lifted.
    pub(super) fn hold_again(
        &mut self,
        group: &Group,
        machine: &Machine,
        (name, service): (&UnitName, &Service),
    ) {
        let Some(cgroup) = group.cgroup() else {
            return;
        };
        let mut wanted = self.resources.take();
        let mut lenience = Lenience::of(service);
        if let Some(wanted) = &mut wanted {
            for refused in machine.ground().refusals(wanted) {
                wanted.forget(refused.key);
            }
        }
        let lifted = limits::lift_all_but(
            cgroup,
            |name| machine.controllers.has(name),
            wanted.as_deref(),
        );
        let lifted = lifted.map_err(|refused| told(&refused));
        if let Err(failed) = lifted.and_then(|()| self.agree(cgroup, &mut wanted, &mut lenience)) {
            ::log::warn!(
                "{name}: its limits may not be what they should: {}",
                failed.reason
            );
        }
        self.resources.clone_from(&service.resources);
    }

    /// Whether the kernel is to tell when the service needs too much.
    pub(super) fn is_watched(&self) -> bool {
        let held = self.resources();
        held.is_some_and(|held| held.restart_memory_max.is_some())
    }

    /// What a predecessor had let go of before its end is in force again.
    pub(super) fn watch_again(&self, group: &Group) {
        if let Some(cgroup) = group.cgroup().filter(|_| self.is_watched())
            && let Err(refused) = limits::watch_memory(cgroup, self.resources())
        {
            ::log::warn!("{}: {}", refused.key, refused.reason);
        }
    }

    /// The kernel is not to tell any more what the service needs, but to leave it its cache. When to look is returned
    /// (monotonic milliseconds).
    pub(super) fn rest(&mut self, group: &Group) -> u64 {
        if let Some(held) = self.resources.as_deref_mut()
            && held.restart_memory_max.take().is_some()
            && let Some(cgroup) = group.cgroup()
        {
            // Where that does not work we are only told more often.
            let _ = limits::watch_memory(cgroup, Some(held));
        }
        self.memory.rest()
    }

    /// The service is restarted for its use of memory: it is not to be slowed down on its way.
    pub(super) fn let_go(&mut self, group: &Group) {
        let Some(resources) = self.resources.as_deref_mut() else {
            return;
        };
        resources.restart_memory_max = None;
        if let Some(cgroup) = group.cgroup() {
            // Where that does not work it only takes longer.
            let _ = cgroup.set(c"memory.high", "max");
        }
    }
}

impl Hold {
    /// See [`Limited::beside`].
    pub(super) fn beside(&self, role: Role) -> Result<Option<Cgroup>, SpawnFailure> {
        let made = self.limited.beside(role, &self.group);
        made.map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(0);
            failure("cgroup", errno, error_text(&error))
        })
    }
}

impl Machine {
    pub(super) fn without_groups(reason: String) -> Self {
        Self {
            no_groups: Some(reason.into()),
            controllers: Controllers::default(),
        }
    }

    pub(super) fn ground(&self) -> Ground<'_> {
        Ground {
            controllers: &self.controllers,
            no_groups: self.no_groups.as_deref(),
        }
    }

    /// For `daemon-status`: where the groups are, and what they can be limited in.
    pub(super) fn abilities(&self, groups: Option<&Path>) -> [String; 2] {
        let groups = match (groups, &self.no_groups) {
            (Some(path), _) => format!("cgroups: yes, under {}", path.display()),
            (None, reason) => {
                let reason = reason.as_deref().unwrap_or_default();
                format!("cgroups: no, tracking by session: {reason}")
            }
        };
        [groups, self.limits()]
    }

    fn limits(&self) -> String {
        let names = self.controllers.names().join(", ");
        let missing = self.controllers.missing();
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for (name, reason) in missing {
            match reasons.iter_mut().find(|(known, _)| known == reason) {
                Some((_, names)) => names.push(name),
                None => reasons.push((reason, vec![name])),
            }
        }
        let reasons: Vec<String> = reasons
            .into_iter()
            .map(|(reason, names)| format!("no {}: {reason}", names.join(", ")))
            .collect();
        match (names.is_empty(), reasons.is_empty()) {
            _ if self.no_groups.is_some() => "limits of groups: no".to_owned(),
            (true, _) => format!("limits of groups: {}", reasons.join("; ")),
            (false, true) => format!("limits of groups: {names}"),
            (false, false) => format!("limits of groups: {names}; {}", reasons.join("; ")),
        }
    }
}

impl Processes {
    /// What the machine lets us do, one line each, for `daemon-status`.
    pub(super) fn abilities(&self) -> Vec<String> {
        let groups = self.tree.as_ref().map(Tree::path);
        let [groups, limits] = self.machine.abilities(groups);
        let switching = if users::effective_uid() == 0 {
            "user switching: yes".to_owned()
        } else {
            format!("user switching: no, not root but {}", self.ours.name)
        };
        vec![groups, limits, switching, sandbox::ability()]
    }

    /// Finds out what can be limited, and makes way for it.
    pub(super) fn switch_on_controllers(&mut self) {
        if let Some(tree) = &self.tree {
            let family: Vec<Pid> = self.keeper.guardian().into_iter().collect();
            self.machine.controllers = tree.switch_on(&family);
        }
    }

    /// Has the service's group hold what the unit says, before its first process of this life is born.
    pub(super) fn limit_group(
        &mut self,
        spawn: &Spawn,
        service: &Service,
        owner: &Account,
        lenience: &mut Lenience<'_>,
    ) -> Result<(), SpawnFailure> {
        if !self.holds.contains_key(&spawn.unit) || !is_first(service, spawn) {
            return Ok(());
        }
        self.agree_on_limits((spawn.unit, service), lenience)?;
        let Some(hold) = self.holds.get_mut(&spawn.unit) else {
            return Ok(());
        };
        let Some(group) = hold.group.cgroup() else {
            return Ok(());
        };
        let mut wanted = hold.limited.resources().cloned().map(Box::new);
        if let Err(refused) = limits::delegate(group, wanted.as_deref(), owner) {
            forgo(&mut wanted, refused, lenience)?;
        }
        Ok(())
    }

    /// Has the group of a unit that is held, if it has one, hold what its definition limits.
    pub(super) fn agree_on_limits(
        &mut self,
        (unit, service): (UnitId, &Service),
        lenience: &mut Lenience<'_>,
    ) -> Result<(), SpawnFailure> {
        let Some(hold) = self.holds.get_mut(&unit) else {
            return Ok(());
        };
        let mut wanted = service.resources.clone();
        if let Some(given) = service.resources.as_deref() {
            for refused in self.machine.ground().refusals(given) {
                lenience.defer(refused.key, told(&refused));
                if let Some(wanted) = &mut wanted {
                    wanted.forget(refused.key);
                }
            }
        }
        lenience.verdict()?;
        if let Some(group) = hold.group.cgroup() {
            hold.limited.agree(group, &mut wanted, lenience)?;
        }
        let memory = &mut hold.limited.memory;
        *memory = Known::default();
        let told = (&mut self.watches, &mut self.looks);
        memory.begin((unit, service), &hold.group, told);
        Ok(())
    }
}

/// Goes on without a key, if that is allowed, and says whether anything was wanted by it.
fn forgo(
    wanted: &mut Option<Box<Resources>>,
    refused: Refused,
    lenience: &mut Lenience<'_>,
) -> Result<bool, SpawnFailure> {
    let Refused { key, .. } = refused;
    lenience.forgo(key, told(&refused))?;
    Ok(wanted.as_mut().is_some_and(|wanted| wanted.forget(key)))
}

fn told(refused: &Refused) -> SpawnFailure {
    let Refused { key, reason, errno } = refused;
    failure(key, *errno, format!("{key}: {reason}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use crate::unit::{Context, parse, parse_limit};

    use super::*;

    #[test]
    fn an_old_limit_that_cannot_be_lifted_fails_the_start() {
        let folder = std::env::temp_dir().join(format!("diakonos-old-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let group = Cgroup::open(folder.clone()).unwrap();
        let mut before = Resources::default();
        before.set(parse_limit("TasksMax=5").unwrap());
        let mut limited = Limited::default();
        limited.hold(Some(Box::new(before)));
        // There is no `pids.max` in this folder.
        let text = "[service]\nExecStart = [\"/bin/true\"]\nIgnoreUnsupported = [\"TasksMax\"]";
        let name = UnitName::parse("web").unwrap();
        let context = Context::example();
        let path = Path::new("/units/web.service");
        let unit = parse(text, path, &name, &context).unwrap();
        let mut lenience = Lenience::of(unit.service.as_deref().unwrap());
        let failed = limited.agree(&group, &mut None, &mut lenience).unwrap_err();
        assert!(failed.reason.starts_with("TasksMax: "), "{failed:?}");
        std::fs::remove_dir(&folder).unwrap();
    }
}
