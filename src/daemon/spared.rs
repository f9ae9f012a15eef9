//! Processes that a stop leaves alive because the unit says so: `KillMode=process` and `none`, `SendSIGKILL=no`.
//!
//! Only names them, so that nobody is told that nothing is left. They are watched still; who stops them is the user.

use std::fs::File;
use std::io::Read as _;

use crate::engine::{Cause, Engine, Failure, State, UnitId};
use crate::sys::proc;
use crate::sys::process::Pid;
use crate::unit::{Kill, KillMode, UnitName};
use crate::wire::{Final, ResultKind, UnitResult};

use super::answer;
use super::event_loop::Daemon;
use super::loader::Loaded;
use super::processes::Processes;
use super::settling::is_rest;
use super::text;

/// So many are named one by one.
const NAMED_MAX: usize = 4;
/// What is read of a command line, in bytes: enough to know it again.
const COMMAND_MAX: u64 = 40;

impl Daemon {
    /// What the end of everything is asked with: units that are down already are told of where somebody lives on.
    pub(super) fn for_the_end(&self) -> Loaded {
        Loaded {
            answered: self.processes.all_spared(&self.engine),
            ..Loaded::default()
        }
    }
}

impl Processes {
    /// Who lives on of a unit that has stopped well: told in words, and by their PIDs. Costs nothing for any unit
    /// whose stop waits for all of them.
    pub(super) fn spared(&self, unit: UnitId, engine: &Engine) -> Option<(String, Vec<u32>)> {
        let mode = match kill_of(unit, engine)?.mode {
            KillMode::Process => "process",
            KillMode::None => "none",
            KillMode::ControlGroup | KillMode::Mixed => return None,
        };
        let pids = self.survivors(unit);
        let text = format!("KillMode={mode} leaves {}", named(&pids)?);
        Some((text, pids))
    }

    /// Why a unit is in this state, in words that do not call it gone while somebody of it lives on.
    pub(super) fn cause(
        &self,
        (unit, state): (UnitId, State),
        cause: &Cause,
        engine: &Engine,
    ) -> String {
        let is_gone = *cause == Cause::Gone && is_rest(Some(state));
        match is_gone.then(|| self.spared(unit, engine)).flatten() {
            Some((text, _)) => text,
            None => text::cause(cause, &self.ours),
        }
    }

    /// Completes results of the engine's: who is left of each unit.
    pub(super) fn name_spared(&self, last: &mut Final, engine: &Engine) {
        let Final::Results(results) = last else {
            return;
        };
        for result in results {
            let unit = UnitName::parse(&result.unit).ok();
            let Some(unit) = unit.and_then(|name| engine.id(&name)) else {
                continue;
            };
            match result.kind {
                ResultKind::Stopped | ResultKind::AlreadyDown => {
                    if let Some((text, pids)) = self.spared(unit, engine) {
                        let done = match result.kind {
                            ResultKind::Stopped => "stopped",
                            _ => "is already down",
                        };
                        result.text = format!("{done}; {text}");
                        result.left = pids;
                    }
                }
                ResultKind::Failed if has_remains(unit, engine) => {
                    let pids = self.survivors(unit);
                    let why = kill_of(unit, engine).is_some_and(|kill| !kill.send_sigkill);
                    let why = if why { " (SendSIGKILL=no)" } else { "" };
                    if let Some(named) = named(&pids) {
                        result.text.push_str(&format!("{why}: {named}"));
                        result.left = pids;
                    }
                }
                _ => {}
            }
        }
    }

    /// Units that are down already, and of which somebody lives on.
    fn all_spared(&self, engine: &Engine) -> Vec<UnitResult> {
        let resting = self.holds.keys().filter_map(|unit| engine.view(*unit));
        let resting = resting.filter(|view| is_rest(Some(view.state)));
        let results = resting.map(|view| {
            let text = "is already down".to_owned();
            answer::plain(&view.unit.name, ResultKind::AlreadyDown, text)
        });
        let mut last = Final::Results(results.collect());
        self.name_spared(&mut last, engine);
        match last {
            Final::Results(mut results) => {
                results.retain(|result| !result.left.is_empty());
                results
            }
            _ => Vec::new(),
        }
    }

    fn survivors(&self, unit: UnitId) -> Vec<u32> {
        let hold = self.holds.get(&unit);
        let members = hold.and_then(|hold| hold.group.members().ok());
        let living = |pid: &Pid| proc::stat(*pid).is_ok_and(|stat| !stat.is_dead());
        let living = members.unwrap_or_default().into_iter().filter(living);
        living.map(Pid::as_raw).collect()
    }
}

fn kill_of(unit: UnitId, engine: &Engine) -> Option<Kill> {
    Some(engine.unit(unit)?.service.as_deref()?.kill)
}

/// Whether its last stop could not end all of its processes.
fn has_remains(unit: UnitId, engine: &Engine) -> bool {
    let cause = engine.view(unit).map(|view| view.cause);
    matches!(cause, Some(Cause::Failed(Failure::Remains)))
}

/// "20937 (sleep 345), 20938 (sleep 346)"; nothing if there is nobody.
fn named(pids: &[u32]) -> Option<String> {
    let shown = pids.iter().take(NAMED_MAX);
    let shown: Vec<String> = shown
        .map(|pid| {
            format!(
                "{pid} ({})",
                command(*pid, COMMAND_MAX).unwrap_or_else(|| "?".to_owned())
            )
        })
        .collect();
    let more = match pids.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!shown.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
}

/// The beginning of a command line; the program's name where there is none. Nothing of a process that is gone.
pub(super) fn command(pid: u32, bytes_max: u64) -> Option<String> {
    let read = |name: &str| {
        let mut bytes = Vec::new();
        let file = File::open(format!("/proc/{pid}/{name}"));
        let read = file.and_then(|file| file.take(bytes_max).read_to_end(&mut bytes));
        let text = read.map(|_| String::from_utf8_lossy(&bytes).replace('\0', " "));
        let text = text.unwrap_or_default().trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    };
    read("cmdline").or_else(|| read("comm"))
}
