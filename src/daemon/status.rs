//! How things stand, for `list`, `status` and `daemon-status`. Only looks.

use std::collections::BTreeSet;

use crate::engine::{Cause, Engine, Moment, State, UnitId, View};
use crate::log;
use crate::sys::clock;
use crate::sys::process::Pid;
use crate::unit::{Resources, Service, Unit, UnitName};
use crate::wire::{DaemonStatus, LogUntold, PROTOCOL_VERSION, UnitStatus};

use super::enabled::Enabled;
use super::environment::invocation_of;
use super::lenience::is_about;
use super::processes::Processes;
use super::text;

/// Why a unit is down that the daemon knows nothing else of.
const NOT_STARTED: &str = "not started since the daemon began";

/// Whom to ask about a unit, at one moment.
pub(super) struct Surroundings<'a> {
    engine: &'a Engine,
    processes: &'a Processes,
    enabled: &'a Enabled,
    now: Moment,
    wall_ms: u64,
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        processes: &'a Processes,
        enabled: &'a Enabled,
        now: Moment,
    ) -> Self {
        let wall_ms = clock::wall_ms();
        Self {
            engine,
            processes,
            enabled,
            now,
            wall_ms,
        }
    }

    /// A moment in unix milliseconds, by the wall clock as it is set now.
    fn wall(&self, at: Moment) -> u64 {
        let past = self.now.since_ms(at);
        let ahead = at.since_ms(self.now);
        self.wall_ms.saturating_sub(past).saturating_add(ahead)
    }
}

/// A loaded unit in full.
pub(super) fn unit(id: UnitId, around: &Surroundings<'_>) -> Option<UnitStatus> {
    let view = around.engine.view(id)?;
    let process = around.processes.status(id);
    let last_end = process.last_end.map(|ending| ending.to_string());
    let left = around.processes.left_over(&view.unit.name);
    let mut status = UnitStatus {
        state: view.state.word().to_owned(),
        active: view.state.active_state().to_owned(),
        phase: view.phase.to_owned(),
        since_ms: around.wall(view.since),
        cause: why(&view, around),
        entry: view.change.map(|entry| entry.0),
        because: view.because.map(|entry| entry.0),
        pid: view.main.map(|main| main.pid),
        run: view.main.map(|main| main.run.0),
        restarts: view.restarts,
        last_end,
        life: process.lives.last.map(|run| run.0),
        life_before: process.lives.before.map(|run| run.0),
        frozen_ms: view.frozen.map(|at| around.wall(at)),
        deadline_ms: view.deadline.map(|at| around.wall(at)),
        awaits: view.awaits.unwrap_or_default(),
        waits_for: view.waits_for.iter().map(ToString::to_string).collect(),
        cgroup: process.cgroup.map(|path| path.display().to_string()),
        invocations: process.marks.iter().filter_map(invocation_of).collect(),
        log_lost: process.missing.bytes,
        log_dropped: process.missing.dropped_lines,
        log_limited: process.missing.limited_lines,
        log_untold: process.untold.iter().map(untold).collect(),
        log_trouble: process.log_trouble.unwrap_or_default(),
        said: process.said.unwrap_or_default().to_owned(),
        forgone: process.forgone.iter().map(ToString::to_string).collect(),
        ..described(view.unit, around.enabled.is_enabled(&view.unit.name))
    };
    let lacking = lacking(view.unit, around.processes);
    // What it goes without, or was refused for, does not limit it.
    let is_void = |limit: &String| {
        let key = limit.split('=').next().unwrap_or_default();
        let forgone = status.forgone.iter().any(|reason| is_about(reason, key));
        forgone || lacking.contains(&key)
    };
    status.limits.retain(|limit| !is_void(limit));
    Some(with_left(status, &left))
}

fn untold(untold: &log::Untold) -> LogUntold {
    LogUntold {
        run: untold.run,
        bytes: untold.bytes,
        errno: untold.errno,
        since_ms: Some(untold.since_ms),
    }
}

/// Whatever the engine believes of the unit, these run.
fn with_left(mut status: UnitStatus, left: &BTreeSet<Pid>) -> UnitStatus {
    if !left.is_empty() {
        status.left_over = left.iter().map(|pid| pid.as_raw()).collect();
        "what an earlier daemon started runs on, and nobody watches it"
            .clone_into(&mut status.cause);
    }
    status
}

/// Why a unit is as it is: why its present life began, and what came of that since.
fn why(view: &View<'_>, around: &Surroundings<'_>) -> String {
    let processes = around.processes;
    if *view.cause == Cause::Gone && view.change.is_none() && view.because.is_none() {
        return NOT_STARTED.to_owned();
    }
    let last = processes.cause((view.id, view.state), view.cause, around.engine);
    match view.origin.filter(|origin| *origin != view.cause) {
        Some(origin) => format!("{}; {last}", text::cause(origin, &processes.ours)),
        None => last,
    }
}

/// A unit that the engine does not know: it has a file, or processes of an earlier daemon, or both.
pub(super) fn not_loaded(
    name: &UnitName,
    unit: Option<&Unit>,
    (enabled, left): (bool, &BTreeSet<Pid>),
) -> UnitStatus {
    let unknown = || UnitStatus {
        name: name.to_string(),
        enabled,
        ..UnitStatus::default()
    };
    let status = UnitStatus {
        state: State::Stopped.word().to_owned(),
        active: State::Stopped.active_state().to_owned(),
        phase: "dead".to_owned(),
        cause: NOT_STARTED.to_owned(),
        ..unit.map_or_else(unknown, |unit| described(unit, enabled))
    };
    with_left(status, left)
}

/// What a unit's definition says of it.
fn described(unit: &Unit, enabled: bool) -> UnitStatus {
    UnitStatus {
        name: unit.name.to_string(),
        description: unit.description.clone(),
        documentation: unit.documentation.to_vec(),
        requires: unit.requires.iter().map(ToString::to_string).collect(),
        file: unit.path.display().to_string(),
        hash: unit.hash,
        enabled,
        kind: unit.kind().to_owned(),
        limits: limits(unit),
        streams: streams(unit),
        ..UnitStatus::default()
    }
}

/// Where the unit's output goes other than to its log, each `KEY=VALUE`.
fn streams(unit: &Unit) -> Vec<String> {
    let service = unit.service.as_deref();
    service.map(Service::streams_elsewhere).unwrap_or_default()
}

/// What the unit's processes together may use, each `KEY=VALUE`.
fn limits(unit: &Unit) -> Vec<String> {
    let service = unit.service.as_deref();
    let resources = service.and_then(|service| service.resources.as_deref());
    resources.map(Resources::texts).unwrap_or_default()
}

/// The keys of limits that cannot hold on this machine.
fn lacking(unit: &Unit, processes: &Processes) -> Vec<&'static str> {
    let service = unit.service.as_deref();
    let resources = service.and_then(|service| service.resources.as_deref());
    let refused = resources.map(|wanted| processes.machine.ground().refusals(wanted));
    refused.into_iter().flatten().map(|one| one.key).collect()
}

/// The part of `daemon-status` that the units tell; the caller fills in the rest.
pub(super) fn daemon(engine: &Engine) -> DaemonStatus {
    let mut status = DaemonStatus {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL_VERSION,
        ..DaemonStatus::default()
    };
    for id in engine.units() {
        status.units += 1;
        match engine.view(id).map(|view| view.state) {
            Some(State::Running | State::Reloading) => status.running += 1,
            Some(State::Failed) => status.failed += 1,
            _ => {}
        }
    }
    status
}
