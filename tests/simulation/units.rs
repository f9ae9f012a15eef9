//! Units to play with: plain ones for scenarios, drawn ones for the simulation.
//!
//! Owns what definitions can look like. A choice of 0 everywhere gives one plain service that runs for ever.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use diakonos::unit::{
    Condition, Context, Demand, Exec, Install, KillMode, Kind, List, Oversight, Policy, Readiness,
    Restart, Service, Signal, Span, StartLimit, Test, Truth, Unit, UnitName, Weight, parse,
};

use crate::entropy::Entropy;

/// Names of the units of one game.
pub(crate) const NAMES: [&str; 12] = [
    "ares", "baker", "cedar", "delta", "ember", "fjord", "grove", "haven", "iris", "joule", "kite",
    "lark",
];

/// A valid name.
pub(crate) fn name(text: &str) -> UnitName {
    UnitName::parse(text).unwrap_or_else(|_| name("unnamed"))
}

/// A unit without a service.
pub(crate) fn group(text: &str) -> Unit {
    Unit {
        name: name(text),
        path: PathBuf::from(format!("/units/{text}.service")),
        hash: 1,
        description: String::new(),
        documentation: List::default(),
        requires: Vec::new(),
        wants: Vec::new(),
        after: Vec::new(),
        before: List::default(),
        relations: None,
        start_limit: StartLimit::default(),
        conditions: Box::default(),
        install: Install::default(),
        unhonoured: List::default(),
        service: None,
    }
}

/// A `simple` service with every default of the contract.
pub(crate) fn service(text: &str) -> Unit {
    Unit {
        service: Some(Box::new(plain())),
        ..group(text)
    }
}

/// A command line.
pub(crate) fn exec(program: &str) -> Exec {
    Exec {
        program: program.to_owned(),
        arguments: Vec::new(),
        argv0: None,
        ignore_failure: false,
        expand: true,
        privileged: false,
    }
}

/// As the parser reads it, so that every key has its default.
#[allow(clippy::expect_used, reason = "a game without units is none")]
fn plain() -> Service {
    static PLAIN: OnceLock<Service> = OnceLock::new();
    let read = || {
        let context = Context {
            user: String::new(),
            uid: 0,
            home: PathBuf::from("/"),
            host: String::new(),
            runtime: PathBuf::from("/run"),
            state: PathBuf::from("/var/lib"),
            logs: PathBuf::from("/var/log"),
            cache: PathBuf::from("/var/cache"),
            configuration: PathBuf::from("/etc"),
        };
        let text = "[service]\nExecStart = '/bin/main'";
        let unit = parse(text, Path::new("/plain.service"), &name("plain"), &context);
        let service = unit.ok().and_then(|unit| unit.service);
        let Some(service) = service else {
            panic!("a plain service is right");
        };
        *service
    };
    PLAIN.get_or_init(read).clone()
}

/// The first definitions of a game: 1 to 12 units, without an ordering cycle.
pub(crate) fn draw_all(entropy: &mut Entropy) -> Vec<Unit> {
    let most = u32::try_from(NAMES.len()).unwrap_or(1);
    let count = entropy.between(1, most) as usize;
    (0..count)
        .map(|index| draw(entropy, index, count, Edges::Downward))
        .collect()
}

/// Which way order may point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edges {
    /// Later units come after earlier ones only: no cycle can be.
    Downward,
    /// Any way: cycles come about and are to be refused.
    Anyhow,
}

/// A definition for the unit at `index` of `count`.
pub(crate) fn draw(entropy: &mut Entropy, index: usize, count: usize, edges: Edges) -> Unit {
    let mut unit = group(NAMES[index]);
    unit.hash = u64::from(entropy.below(1 << 16));
    for other in 0..count {
        if other != index && entropy.below(u32::try_from(count).unwrap_or(1)) == 1 {
            draw_edge(entropy, &mut unit, index, other, edges);
        }
    }
    if entropy.chance(30) {
        unit.start_limit = StartLimit {
            interval: entropy
                .chance(60)
                .then(|| Span::from_secs(u64::from(entropy.between(0, 40)))),
            burst: entropy.chance(80).then(|| entropy.between(0, 6)),
        };
    }
    if entropy.chance(8) {
        draw_flags(entropy, &mut unit);
    }
    if entropy.chance(15) {
        unit.conditions = draw_conditions(entropy);
    }
    if !entropy.chance(8) {
        unit.service = Some(Box::new(draw_service(entropy)));
    }
    unit
}

fn draw_conditions(entropy: &mut Entropy) -> Box<[Condition]> {
    let one = |entropy: &mut Entropy| Condition {
        demand: entropy.pick(&[Demand::Condition, Demand::Condition, Demand::Assert]),
        weight: entropy.pick(&[Weight::Each, Weight::Any]),
        wanted: Truth::True,
        test: Test::PathExists(PathBuf::from("/some/where")),
    };
    (0..entropy.between(1, 3)).map(|_| one(entropy)).collect()
}

fn draw_edge(entropy: &mut Entropy, unit: &mut Unit, index: usize, other: usize, edges: Edges) {
    let target = name(NAMES[other]);
    let may_order = edges == Edges::Anyhow || other < index;
    if entropy.chance(40) {
        if may_order && entropy.chance(60) {
            unit.after.push(target.clone());
        }
        return draw_rare(entropy, unit, target);
    }
    match entropy.below(6) {
        0 => unit.requires.push(target.clone()),
        1 => unit.wants.push(target.clone()),
        2 | 3 if may_order => {
            unit.requires.push(target.clone());
            unit.after.push(target.clone());
        }
        4 if may_order => {
            unit.wants.push(target.clone());
            unit.after.push(target.clone());
        }
        _ if may_order => unit.after.push(target.clone()),
        _ => unit.before.push(target.clone()),
    }
}

fn draw_rare(entropy: &mut Entropy, unit: &mut Unit, target: UnitName) {
    let rare = unit.relations.get_or_insert_default();
    match entropy.below(7) {
        0 => rare.binds_to.push(target),
        1 => rare.part_of.push(target),
        2 => rare.requisite.push(target),
        3 => rare.upholds.push(target),
        4 => rare.conflicts.push(target),
        5 => rare.on_failure.push(target),
        _ => rare.on_success.push(target),
    }
}

fn draw_flags(entropy: &mut Entropy, unit: &mut Unit) {
    let flags = unit.relations.get_or_insert_default();
    match entropy.below(4) {
        0 => flags.refuse_manual_start = true,
        1 => flags.refuse_manual_stop = true,
        _ => flags.stop_when_unneeded = true,
    }
}

fn draw_service(entropy: &mut Entropy) -> Service {
    let mut service = plain();
    service.kind = entropy.pick(&[Kind::Simple, Kind::Exec, Kind::Oneshot, Kind::Forking]);
    if matches!(service.kind, Kind::Simple | Kind::Exec) && entropy.chance(40) {
        service.readiness = match entropy.below(2) {
            0 => Readiness::Notify,
            _ => Readiness::Log("up".into()),
        };
        if service.readiness == Readiness::Notify && entropy.chance(40) {
            service.kind = Kind::NotifyReload;
        }
    }
    if entropy.chance(25) {
        service.oversight = Some(Box::new(draw_oversight(entropy)));
    }
    service.remain_after_exit = entropy.chance(25);
    if service.kind == Kind::Forking && entropy.chance(50) {
        service.pid_file = Some(Path::new("/run/main.pid").into());
    }
    if service.kind == Kind::Oneshot {
        service.start = commands(entropy, 1, 3);
    }
    if entropy.chance(15) {
        service.condition = commands(entropy, 1, 2).into();
    }
    if entropy.chance(40) {
        service.start_pre = commands(entropy, 0, 2).into();
        service.start_post = commands(entropy, 0, 2).into();
    }
    if entropy.chance(40) {
        service.stop = commands(entropy, 0, 2).into();
        service.stop_post = commands(entropy, 0, 2).into();
    }
    if entropy.chance(50) {
        service.reload = commands(entropy, 1, 2).into();
    }
    service.restart = draw_restart(entropy, service.kind);
    service.timeout_start = draw_limit(entropy, 90);
    service.timeout_stop = draw_limit(entropy, 10);
    service.kill.mode = entropy.pick(&[
        KillMode::ControlGroup,
        KillMode::ControlGroup,
        KillMode::ControlGroup,
        KillMode::Mixed,
        KillMode::Process,
        KillMode::None,
    ]);
    service.kill.send_sigkill = !entropy.chance(15);
    service.kill.signal = entropy.pick(&[Signal::TERM, Signal::TERM, Signal::INT]);
    if entropy.chance(10) {
        service.kill.restart_signal = Some(Signal::HUP);
        service.kill.send_sighup = entropy.chance(50);
    }
    service
}

fn draw_oversight(entropy: &mut Entropy) -> Oversight {
    let watchdog = entropy.pick(&[None, Some(30), Some(3)]);
    Oversight {
        watchdog: watchdog.map(Duration::from_secs),
        timeout_abort: entropy.chance(50).then(|| draw_limit(entropy, 5)),
        runtime_max: entropy.pick(&[Span::Infinite, Span::from_secs(60), Span::from_secs(3_600)]),
        ..Oversight::default()
    }
}

fn commands(entropy: &mut Entropy, low: u32, high: u32) -> Vec<Exec> {
    (0..entropy.between(low, high))
        .map(|_| Exec {
            ignore_failure: entropy.chance(20),
            ..exec("/bin/step")
        })
        .collect()
}

fn draw_limit(entropy: &mut Entropy, usual_s: u64) -> Span {
    match entropy.below(8) {
        0..=3 => Span::from_secs(usual_s),
        4 => Span::from_millis(50),
        5 => Span::from_secs(2),
        6 => Span::from_secs(600),
        _ => Span::Infinite,
    }
}

fn draw_restart(entropy: &mut Entropy, kind: Kind) -> Restart {
    let policy = match kind {
        // systemd.service(5): these two are the only ones that a oneshot may not have.
        Kind::Oneshot => entropy.pick(&[Policy::No, Policy::OnFailure, Policy::OnAbnormal]),
        _ => entropy.pick(&[
            Policy::No,
            Policy::Always,
            Policy::OnFailure,
            Policy::OnSuccess,
            Policy::Always,
            Policy::OnFailure,
            Policy::OnAbnormal,
            Policy::OnAbort,
            Policy::OnWatchdog,
        ]),
    };
    let mut restart = Restart {
        policy,
        ..plain().restart
    };
    match entropy.below(5) {
        0..=2 => {}
        3 => restart.delay = Some(Span::from_millis(u64::from(entropy.below(5000)))),
        _ => {
            restart.delay = Some(Span::from_secs(1));
            restart.steps = entropy.between(1, 5);
            restart.max_delay = Some(Span::from_secs(u64::from(entropy.between(1, 30))));
        }
    }
    if entropy.chance(15) {
        restart.jitter = Some(u8::try_from(entropy.below(101)).unwrap_or(0));
    }
    if entropy.chance(20) {
        restart.success.codes.push(7);
        restart.prevent.codes.push(3);
        restart.force.codes.push(4);
        restart.force.signals.push(Signal::HUP);
    }
    restart
}
