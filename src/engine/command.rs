//! The one vocabulary of wishes: built by the CLI, encoded by the wire, carried out by the engine.
//!
//! [`Command`] is what a client says, with name patterns; [`Verb`] is what reaches the engine once the shell has
//! resolved the patterns and loaded the files. What only looks (list, status) or only writes the list of enabled
//! units never reaches the engine: the shell answers it.

use crate::unit::Signal;

/// What a client can ask of the daemon. `names` are unit names or globs (`worker@*`), at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Every loaded unit.
    List,
    Status {
        names: Vec<String>,
    },
    Start {
        names: Vec<String>,
        /// Those of `names` that nobody has named, because a folder or a pattern brought them in: one of these that
        /// cannot be started is left out, and the others start.
        found: Vec<String>,
        wait: Wait,
    },
    Stop {
        names: Vec<String>,
        wait: Wait,
    },
    Restart {
        names: Vec<String>,
        wait: Wait,
        scope: Scope,
    },
    Reload {
        names: Vec<String>,
    },
    Signal {
        names: Vec<String>,
        signal: Signal,
    },
    /// Have all processes stand still.
    Freeze {
        names: Vec<String>,
    },
    Thaw {
        names: Vec<String>,
    },
    /// Forget failures, counters and start limits.
    Reset {
        names: Vec<String>,
    },
    /// Start with the daemon from now on; starting now is a second request of the client.
    Enable {
        names: Vec<String>,
    },
    Disable {
        names: Vec<String>,
    },
    /// Note how many instances a template is to have; starting and stopping them are further requests of the client.
    Scale {
        /// A template's name, with or without its `@`.
        name: String,
        count: u32,
    },
    /// Say what a wish would do, and do nothing.
    Plan {
        names: Vec<String>,
        wish: Planned,
    },
    /// Change limits of services that run; each setting is a `KEY=VALUE`, at least one.
    Set {
        names: Vec<String>,
        settings: Vec<String>,
    },
    /// The definitions in force of those that are loaded.
    Definitions {
        names: Vec<String>,
    },
    /// Begin the logs of these services anew.
    Logs {
        /// Exact names; there need be no such unit any more.
        names: Vec<String>,
        wish: LogWish,
    },
    /// Read the files of all loaded units again, and have what can change under a running service change at once.
    DaemonReload,
    DaemonStatus,
    /// Make the daemon anew from the program that lies on the disk now.
    Upgrade,
    /// Stop every service, then the daemon.
    Kill,
}

/// Whether the answer comes at the end of the work or at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    Finished,
    Accepted,
}

/// How a log is begun anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogWish {
    /// What was written is set aside, as when it is long enough.
    Rotate,
    /// All that was written is removed.
    Clear,
}

impl LogWish {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rotate => "rotate",
            Self::Clear => "clear",
        }
    }

    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let all = [Self::Rotate, Self::Clear];
        all.into_iter().find(|wish| wish.word() == word)
    }
}

/// Which units a restart touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All named; those that are down start.
    All,
    /// `--if-running`: those that are down stay down.
    Running,
}

/// The wishes that can be planned: those that may concern more than the units that are named, and `reload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    Start,
    Stop,
    Restart(Scope),
    Reload,
}

impl Planned {
    #[must_use]
    pub fn verb(self) -> Verb {
        match self {
            Self::Start => Verb::Start,
            Self::Stop => Verb::Stop,
            Self::Restart(scope) => Verb::Restart(scope),
            Self::Reload => Verb::Reload,
        }
    }

    /// The word on the command line and on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart(_) => "restart",
            Self::Reload => "reload",
        }
    }

    /// The wish of this word; a restart is of all that are named.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let all = [
            Self::Start,
            Self::Stop,
            Self::Restart(Scope::All),
            Self::Reload,
        ];
        all.into_iter().find(|wish| wish.word() == word)
    }
}

/// What the engine is asked to do with exactly named units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Start,
    Stop,
    Restart(Scope),
    Reload,
    Reset,
    /// Take newer definitions over as far as that can be done under a running service.
    Renew,
    Signal(Signal),
    Freeze,
    Thaw,
    /// Stop everything; [`super::Effect::Exit`] follows. Asked again, it no longer waits: SIGKILL.
    Shutdown,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A client, by its peer credentials.
    Client { uid: u32, pid: u32 },
    /// The daemon itself at its start, for an enabled unit.
    Boot,
    /// A signal to the daemon.
    Signal,
    /// The daemon itself, for a service that has grown past `RestartMemoryMax=`.
    Memory,
}
