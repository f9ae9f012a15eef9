//! The daemon's folder and what lies where in it. Owns the names; makes and opens nothing.

use std::path::{Path, PathBuf};

/// `$DIAKONOS_HOME`, else `~/.diakonos`; absolute.
#[derive(Clone, Debug)]
pub(super) struct Home {
    root: PathBuf,
}

impl Home {
    /// `root` is absolute.
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where clients connect.
    pub(super) fn socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    /// Held by the daemon for life; contains its PID.
    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// FIFOs and the facts that a successor needs.
    pub(super) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The services' logs.
    pub(super) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The user's own unit files.
    pub(super) fn services(&self) -> PathBuf {
        self.root.join("services")
    }

    /// The list of units that start with the daemon.
    pub(super) fn enabled(&self) -> PathBuf {
        self.root.join("enabled")
    }
}
