//! The restart keys of `[service]`, systemd.service(5).
//!
//! Owns their reading and what they demand of each other; when a service restarts is the engine's.

use super::form::percent;
use super::parse::Reader;
use super::value;
use super::{Kind, Policy, Restart, Span};

pub(super) const POLICIES: [(&str, Policy); 7] = [
    ("no", Policy::No),
    ("always", Policy::Always),
    ("on-success", Policy::OnSuccess),
    ("on-failure", Policy::OnFailure),
    ("on-abnormal", Policy::OnAbnormal),
    ("on-abort", Policy::OnAbort),
    ("on-watchdog", Policy::OnWatchdog),
];

const RESET: Span = Span::from_secs(60);

pub(super) fn read(reader: &mut Reader, kind: Kind) -> Restart {
    let policy = reader.one("service", "Restart", |v, _| value::choice(v, &POLICIES));
    let mut statuses = |key| {
        let set = reader.read("service", key, |v, _, faults| value::statuses(v, faults));
        set.unwrap_or_default()
    };
    let success = statuses("SuccessExitStatus");
    let prevent = statuses("RestartPreventExitStatus");
    let force = statuses("RestartForceExitStatus");
    let restart = Restart {
        policy: policy.unwrap_or(Policy::No),
        delay: reader.one("service", "RestartSec", |v, _| value::span(v)),
        steps: steps(reader),
        max_delay: reader.one("service", "RestartMaxDelaySec", |v, _| value::span(v)),
        jitter: reader.one("service", "RestartJitter", |v, _| percent(v)),
        reset: reader
            .one("service", "RestartResetSec", |v, _| value::span(v))
            .unwrap_or(RESET),
        success,
        prevent,
        force,
    };
    check(reader, &restart, kind);
    restart
}

fn steps(reader: &mut Reader) -> u32 {
    let steps = reader.one("service", "RestartSteps", |v, _| value::number(v, 0, 1_000));
    steps.unwrap_or(0)
}

fn check(reader: &mut Reader, restart: &Restart, kind: Kind) {
    if kind == Kind::Oneshot && matches!(restart.policy, Policy::Always | Policy::OnSuccess) {
        let message = "a oneshot that ends well is done: Restart= cannot be always or on-success";
        reader.complain(
            "service",
            "Restart",
            message,
            Some("`on-failure` tries again"),
        );
    }
    let max_delay = restart.max_delay.filter(|span| *span != Span::Infinite);
    match (restart.steps > 0, max_delay) {
        (true, None) => {
            let message = "RestartSteps= needs RestartMaxDelaySec=, where the steps lead to";
            reader.complain("service", "RestartSteps", message, None);
        }
        (false, Some(_)) => {
            let message = "RestartMaxDelaySec= needs RestartSteps=, how many steps lead there";
            reader.complain("service", "RestartMaxDelaySec", message, None);
        }
        (false, None) | (true, Some(_)) => {}
    }
    let delay = restart.delay.map(Span::as_millis);
    let longer = match (delay, max_delay.map(Span::as_millis)) {
        (Some(None), Some(Some(_))) => true,
        (Some(Some(delay)), Some(Some(max_delay))) => delay > max_delay,
        _ => false,
    };
    if longer {
        let message = "RestartMaxDelaySec= is shorter than RestartSec=";
        reader.complain("service", "RestartMaxDelaySec", message, None);
    }
}
