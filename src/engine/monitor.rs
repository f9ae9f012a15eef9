//! What a unit that is started by another one's end is told of it: `$MONITOR_*`, systemd.exec(5).

use crate::unit::UnitName;

use super::{Engine, Role, RunResult, UnitId};

/// Whose end has started a unit, and how that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    pub unit: UnitName,
    pub result: RunResult,
}

impl RunResult {
    /// systemd's words for the result of a run.
    const WORDS: [&'static str; 11] = [
        "success",
        "exec-condition",
        "core-dump",
        "oom-kill",
        "signal",
        "exit-code",
        "timeout",
        "watchdog",
        "start-limit-hit",
        "protocol",
        "resources",
    ];

    /// The word as this program has it, if it is one.
    #[must_use]
    pub fn word(text: &str) -> Option<&'static str> {
        Self::WORDS.into_iter().find(|word| *word == text)
    }
}

impl Engine {
    /// What a command of the unit is to know; systemd gives it to those that begin a life.
    pub(super) fn monitor(&self, unit: UnitId, role: Role) -> Option<Box<Monitor>> {
        let service = self.service(unit).filter(|_| role.begins())?;
        service.monitor.clone()
    }
}
