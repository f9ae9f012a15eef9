//! How a service is ended: `KillMode=` and the signals, systemd.kill(5).
//!
//! Owns these keys' reading, printing and defaults; when which signal is sent is the engine's.

use super::parse::Reader;
use super::print::{Page, word};
use super::{Signal, value};

const SERVICE: &str = "service";

const MODES: [(&str, KillMode); 4] = [
    ("control-group", KillMode::ControlGroup),
    ("mixed", KillMode::Mixed),
    ("process", KillMode::Process),
    ("none", KillMode::None),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kill {
    pub mode: KillMode,
    pub signal: Signal,
    /// Where a restart was asked for; `None`: the same as ever.
    pub restart_signal: Option<Signal>,
    /// SIGHUP too, right after the first signal.
    pub send_sighup: bool,
    pub send_sigkill: bool,
    /// What is sent when the time limit has passed, if `send_sigkill`.
    pub final_signal: Signal,
}

/// `KillMode=`, systemd.kill(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KillMode {
    ControlGroup,
    Mixed,
    Process,
    None,
}

impl Default for Kill {
    fn default() -> Self {
        Self {
            mode: KillMode::ControlGroup,
            signal: Signal::TERM,
            restart_signal: None,
            send_sighup: false,
            send_sigkill: true,
            final_signal: Signal::KILL,
        }
    }
}

pub(super) fn read(reader: &mut Reader) -> Kill {
    let ours = Kill::default();
    let mode = reader.one(SERVICE, "KillMode", |v, _| value::choice(v, &MODES));
    let mut signal = |key| reader.one(SERVICE, key, |v, _| value::signal(v));
    let (first, restart) = (signal("KillSignal"), signal("RestartKillSignal"));
    let last = signal("FinalKillSignal");
    let mut flag = |key| reader.one(SERVICE, key, |v, _| value::flag(v));
    Kill {
        mode: mode.unwrap_or(ours.mode),
        signal: first.unwrap_or(ours.signal),
        restart_signal: restart,
        send_sighup: flag("SendSIGHUP").unwrap_or(ours.send_sighup),
        send_sigkill: flag("SendSIGKILL").unwrap_or(ours.send_sigkill),
        final_signal: last.unwrap_or(ours.final_signal),
    }
}

impl Page {
    pub(super) fn kill(&mut self, kill: &Kill) {
        self.text("KillMode", word(&MODES, &kill.mode));
        self.text("KillSignal", &kill.signal.to_string());
        if let Some(signal) = kill.restart_signal {
            self.text("RestartKillSignal", &signal.to_string());
        }
        self.bare("SendSIGHUP", &kill.send_sighup.to_string());
        self.bare("SendSIGKILL", &kill.send_sigkill.to_string());
        self.text("FinalKillSignal", &kill.final_signal.to_string());
    }
}
