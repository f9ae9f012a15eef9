//! Which keys can change under a running service, and a definition in which they have.
//!
//! Owns that choice: what a process was started with stays as it is until it is started again; what only says how it is
//! looked after, limited, ended and written down can change at once, and so can all of `[unit]` and `[install]`.

use super::{Oversight, Service, Unit};

impl Unit {
    /// This definition with what can change under a running service taken from a newer one. It is the newer one where
    /// nothing else differs, but for its file's hash where something does: that tells which file its process is from.
    #[must_use]
    pub fn renewed(&self, newer: &Unit) -> Unit {
        let service = match (&self.service, &newer.service) {
            (Some(own), Some(newer)) => Some(Box::new(own.renewed(newer))),
            (own, _) => own.clone(),
        };
        let unhonoured = match self.service.is_some() == newer.service.is_some() {
            true => newer.unhonoured.clone(),
            false => self.unhonoured.clone(),
        };
        let mixed = Unit {
            service,
            unhonoured,
            path: self.path.clone(),
            hash: self.hash,
            ..newer.clone()
        };
        match super::same_meaning(&mixed, newer) {
            true => newer.clone(),
            false => mixed,
        }
    }
}

impl Service {
    fn renewed(&self, newer: &Service) -> Service {
        // What a service of another kind is given stands and falls with its kind.
        if self.kind != newer.kind {
            return self.clone();
        }
        let (own, given) = (self.oversight(), newer.oversight());
        let oversight = Oversight {
            watchdog_signal: given.watchdog_signal,
            timeout_abort: given.timeout_abort,
            runtime_max: given.runtime_max,
            ..own
        };
        let divides = |service: &Service| {
            let resources = service.resources.as_deref();
            resources.map(|given| given.delegate.clone())
        };
        // A group that its service may divide itself is given over when the service is born.
        let resources =
            match divides(self).unwrap_or_default() == divides(newer).unwrap_or_default() {
                true => newer.resources.clone(),
                false => self.resources.clone(),
            };
        Service {
            oversight: (oversight != Oversight::default()).then(|| Box::new(oversight)),
            restart: newer.restart.clone(),
            timeout_start: newer.timeout_start,
            timeout_stop: newer.timeout_stop,
            kill: newer.kill,
            log: newer.log,
            resources,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::super::{differences, same_meaning};
    use super::*;

    const OLD: &str = "[unit]\nWants = 'a'\n[service]\nExecStart = '/bin/x'\nTimeoutStopSec = 5\n";

    fn keys(old: &Unit, new: &Unit) -> Vec<&'static str> {
        let found = differences(old, new);
        found.iter().map(|one| one.key.name).collect()
    }

    #[test]
    fn what_can_change_does_and_the_rest_waits() {
        let (old, mut new) = (
            read(OLD),
            read(
                "[unit]\nDescription = 'n'\nAfter = 'b'\n[service]\nExecStart = '/bin/y'\nRestart = 'always'\n\
                 RestartSec = 1\nTimeoutStopSec = 6\nTimeoutStartSec = 7\nRuntimeMaxSec = 8\nUser = 'u'\n\
                 WatchdogSec = 9\nMemoryMax = '1G'\nLogMaxSize = '1M'\nKillSignal = 'INT'\n",
            ),
        );
        new.hash = old.hash ^ 1;
        let mixed = old.renewed(&new);
        assert_eq!(
            keys(&mixed, &new),
            ["ExecStart", "NotifyAccess", "WatchdogSec", "User"]
        );
        assert_eq!(keys(&old, &mixed).len(), keys(&old, &new).len() - 4);
        assert_eq!(mixed.hash, old.hash);
    }

    #[test]
    fn where_nothing_else_differs_it_is_the_newer_one() {
        let (old, mut new) = (read(OLD), read(&OLD.replace("= 5", "= 6")));
        new.hash = old.hash ^ 1;
        assert_eq!(old.renewed(&new), new);
    }

    #[test]
    fn another_kind_changes_nothing_of_the_service() {
        let (old, group) = (read(OLD), read("[unit]\nWants = 'b'\n"));
        let mixed = old.renewed(&group);
        assert_eq!(mixed.service, old.service);
        assert_eq!(mixed.wants, group.wants);
        assert!(!same_meaning(&mixed, &group));
        let oneshot = read(&OLD.replace("[service]", "[service]\nType = 'oneshot'"));
        assert_eq!(old.renewed(&oneshot).service, old.service);
    }
}
