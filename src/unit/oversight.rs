//! How a running service is looked after: who may speak for it, and within which times it has to show that it is well.
//!
//! Owns the reading, printing and defaults of these keys, systemd.service(5) and sd_notify(3); what follows when a time
//! has passed is the engine's.

use std::time::Duration;

use super::parse::Reader;
use super::print::{Page, word};
use super::{Kind, Readiness, Signal, Span, value};

const SERVICE: &str = "service";

const ACCESS: [(&str, NotifyAccess); 4] = [
    ("none", NotifyAccess::None),
    ("main", NotifyAccess::Main),
    ("exec", NotifyAccess::Exec),
    ("all", NotifyAccess::All),
];

/// Whose sd_notify(3) messages are heard, `NotifyAccess=` in systemd.service(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotifyAccess {
    None,
    Main,
    /// The main process and the service's commands.
    Exec,
    All,
}

/// See the module. A service that says nothing of all this has none of it in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Oversight {
    pub access: NotifyAccess,
    /// How often the service has to say that it lives; `None`: it does not.
    pub watchdog: Option<Duration>,
    /// What one gets that does not.
    pub watchdog_signal: Signal,
    /// How long it may take to end from that; `None`: as long as any stop.
    pub timeout_abort: Option<Span>,
    /// How long the service may be up.
    pub runtime_max: Span,
    /// What makes a `notify-reload` service reload.
    pub reload_signal: Signal,
    /// Whether the main process of a forking service is guessed where no PID file names it.
    pub guess_main: bool,
}

impl Default for Oversight {
    fn default() -> Self {
        Self {
            access: NotifyAccess::None,
            watchdog: None,
            watchdog_signal: Signal::ABRT,
            timeout_abort: None,
            runtime_max: Span::Infinite,
            reload_signal: Signal::HUP,
            guess_main: true,
        }
    }
}

/// `None` where it is all the default. Whoever is to speak is heard: systemd.service(5), `WatchdogSec=`.
pub(super) fn read(
    reader: &mut Reader,
    kind: Kind,
    readiness: &Readiness,
) -> Option<Box<Oversight>> {
    let ours = Oversight::default();
    let watchdog = reader.one(SERVICE, "WatchdogSec", |v, _| value::span(v));
    let watchdog = match watchdog {
        Some(Span::Finite(limit)) if !limit.is_zero() => Some(limit),
        Some(Span::Finite(_) | Span::Infinite) | None => None,
    };
    let speaks = kind.notifies() || *readiness == Readiness::Notify || watchdog.is_some();
    let access = reader.one(SERVICE, "NotifyAccess", |v, _| value::choice(v, &ACCESS));
    let access = access.filter(|access| !(speaks && *access == NotifyAccess::None));
    let mut signal = |key| reader.one(SERVICE, key, |v, _| value::signal(v));
    let (abort, reload) = (signal("WatchdogSignal"), signal("ReloadSignal"));
    let mut limit = |key| reader.one(SERVICE, key, |v, _| value::limit_span(v));
    let (timeout_abort, runtime_max) = (limit("TimeoutAbortSec"), limit("RuntimeMaxSec"));
    let guess = reader.one(SERVICE, "GuessMainPID", |v, _| value::flag(v));
    let oversight = Oversight {
        access: access.unwrap_or(if speaks {
            NotifyAccess::Main
        } else {
            ours.access
        }),
        watchdog,
        watchdog_signal: abort.unwrap_or(ours.watchdog_signal),
        timeout_abort,
        runtime_max: runtime_max.unwrap_or(ours.runtime_max),
        reload_signal: reload.unwrap_or(ours.reload_signal),
        guess_main: guess.unwrap_or(ours.guess_main),
    };
    (oversight != ours).then(|| Box::new(oversight))
}

impl Page {
    pub(super) fn oversight(&mut self, oversight: &Oversight) {
        self.text("NotifyAccess", word(&ACCESS, &oversight.access));
        self.span("WatchdogSec", oversight.watchdog.map(Span::Finite));
        self.text("WatchdogSignal", &oversight.watchdog_signal.to_string());
        self.span("TimeoutAbortSec", oversight.timeout_abort);
        self.span("RuntimeMaxSec", Some(oversight.runtime_max));
        self.text("ReloadSignal", &oversight.reload_signal.to_string());
        self.bare("GuessMainPID", &oversight.guess_main.to_string());
    }
}
