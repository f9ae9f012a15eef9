//! The word to whoever supervises this daemon (systemd above all): that it is ready, and that it is ending.
//!
//! Owns what is said by the protocol of sd_notify(3). That nobody hears it harms nothing here, and is told in the log.
//! What services tell the daemon by the same protocol is not dealt with here.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::sys::notify;
use crate::sys::process::error_text;

/// Names the socket that listens, if one does.
const SOCKET: &str = "NOTIFY_SOCKET";
/// How long a supervisor may take to hear that the daemon is ready, before its loop begins.
const PATIENCE: Duration = Duration::from_millis(500);
/// What a supervisor hands to its own child alone; a service that inherited it would speak in the daemon's name.
const OURS_ALONE: [&str; 7] = [
    SOCKET,
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
];

/// Whoever started this daemon and wants to know how it is.
#[derive(Debug)]
pub(super) struct Supervisor {
    socket: Option<OsString>,
}

impl Supervisor {
    /// The one that the environment names.
    pub(super) fn find() -> Self {
        let socket = std::env::var_os(SOCKET).filter(|name| !name.is_empty());
        Self { socket }
    }

    /// Clients are heard, and what a predecessor left is taken back.
    pub(super) fn ready(&self, home: &Path) {
        let home = home.display().to_string().replace(char::is_control, "?");
        self.say(&format!("READY=1\nSTATUS=Serving {home}\n"), Some(PATIENCE));
    }

    /// From here on there is no way back.
    pub(super) fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=Stopping every service\n", None);
    }

    fn say(&self, text: &str, patience: Option<Duration>) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = notify::send(socket, text.as_bytes(), patience) {
            let (socket, reason) = (socket.display(), error_text(&error));
            let word = text.split('=').next().unwrap_or_default();
            ::log::warn!("{word} was not sent to {SOCKET}={socket}: {reason}");
        }
    }
}

/// Whether this variable is no service's, even if its unit asks for it.
pub(super) fn is_ours_alone(name: &str) -> bool {
    OURS_ALONE.contains(&name)
}
