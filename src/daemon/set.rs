//! `set`: other limits for services that run.
//!
//! Owns the check of the whole request before any of it is done, and the way of a new limit into the kernel and into
//! the definition in force. The unit's file stays as it is, and holds again from the next start that reads it.

use crate::engine::{Event, UnitId};
use crate::unit::{GroupLimit, Resources, UnitName, parse_limit};
use crate::wire::{ErrorKind, Final, ResultKind, WireError};

use super::answer;
use super::event_loop::Daemon;
use super::limits::{self, Refused};

/// A service whose limits are to change.
struct Target<'a> {
    name: &'a UnitName,
    unit: UnitId,
    wanted: Resources,
}

impl Daemon {
    /// Puts limits, each `KEY=VALUE`, into force for services that run.
    pub(super) fn set(
        &mut self,
        names: &[UnitName],
        settings: &[String],
    ) -> Result<Final, WireError> {
        let mut new = Vec::new();
        for text in settings {
            let limit = parse_limit(text);
            new.push(limit.map_err(|reason| answer::error(ErrorKind::Usage, reason, None))?);
        }
        let targets = names.iter().map(|name| self.target(name, &new));
        let targets: Vec<Target<'_>> = targets.collect::<Result<_, _>>()?;
        let mut results = Vec::new();
        for target in targets {
            let (name, unit) = (target.name, target.unit);
            let (kind, text) = match self.put_into_force(target) {
                Ok(()) => {
                    for limit in &new {
                        self.processes.forgone.take_back(unit, limit.key());
                    }
                    (ResultKind::Set, shown(&new))
                }
                Err(refused) => {
                    let Refused { key, reason, .. } = refused;
                    (ResultKind::Failed, format!("{key}=: {reason}"))
                }
            };
            results.push(answer::plain(name, kind, text));
        }
        Ok(Final::Results(results))
    }

    /// What the service is to have, if it runs and the machine can limit that.
    fn target<'a>(&self, name: &'a UnitName, new: &[GroupLimit]) -> Result<Target<'a>, WireError> {
        let error = |message: String, hint: &str| {
            answer::error(ErrorKind::Failed, message, Some(hint.to_owned()))
        };
        let unit = self.engine.id(name);
        let held = unit.filter(|unit| self.processes.holds.contains_key(unit));
        let definition = held.and_then(|unit| Some((unit, self.engine.unit(unit)?)));
        let Some((unit, service)) =
            definition.and_then(|(id, unit)| Some((id, unit.service.as_deref()?)))
        else {
            let message = format!("cannot set limits of {name}: it does not run");
            return Err(error(
                message,
                "what is to hold from its start stands in its unit file",
            ));
        };
        let mut wanted = service.resources.as_deref().cloned().unwrap_or_default();
        for limit in new {
            wanted.set(limit.clone());
        }
        let only_new = Resources {
            limits: new.to_vec(),
            ..Resources::default()
        };
        if let Some(refused) = self.processes.machine.ground().refusals(&only_new).first() {
            let message = format!("cannot set {} of {name}: {}", refused.key, refused.reason);
            return Err(error(
                message,
                "`diakonos daemon-status` says what this machine allows",
            ));
        }
        Ok(Target { name, unit, wanted })
    }

    fn put_into_force(&mut self, target: Target<'_>) -> Result<(), Refused> {
        let Target { unit, wanted, .. } = target;
        let Some(hold) = self.processes.holds.get_mut(&unit) else {
            return Ok(());
        };
        if let Some(group) = hold.group.cgroup() {
            limits::apply(group, hold.limited.resources(), Some(&wanted))?;
        }
        let resources = Some(Box::new(wanted));
        hold.limited.hold(resources.clone());
        self.events.push_back(Event::Limited { unit, resources });
        Ok(())
    }
}

fn shown(limits: &[GroupLimit]) -> String {
    let texts: Vec<String> = limits.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
