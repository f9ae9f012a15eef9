//! The daemon's folder and what lies where in it. Owns the names; makes and opens nothing.

use std::path::{Path, PathBuf};

use crate::sys::process::error_text;
use crate::sys::users;

/// The variable that names the folder.
const VARIABLE: &str = "DIAKONOS_HOME";
/// Its name in the user's home when the variable is not set.
const DEFAULT: &str = ".diakonos";

/// `$DIAKONOS_HOME`, else `~/.diakonos`; absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// Finds the folder of this process's user and environment.
    ///
    /// # Errors
    /// A sentence: the variable holds a relative path, with which each working directory would have a daemon of its
    /// own; or nobody knows the user's home.
    pub fn find() -> Result<Self, String> {
        if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
            let named = PathBuf::from(named);
            if named.is_relative() {
                let named = named.display();
                return Err(format!(
                    "cannot use {VARIABLE}={named}: it is no absolute path"
                ));
            }
            // Without `.` and doubled slashes one folder is one text.
            return Ok(Self::new(std::path::absolute(&named).unwrap_or(named)));
        }
        let home = match std::env::var_os("HOME").filter(|home| !home.is_empty()) {
            Some(home) => PathBuf::from(home),
            None => users::current()
                .map(|user| user.home)
                .map_err(|error| format!("cannot find the home folder: {}", error_text(&error)))?,
        };
        if !home.is_absolute() {
            return Err(format!(
                "the home folder {} is not absolute",
                home.display()
            ));
        }
        Ok(Self::new(home.join(DEFAULT)))
    }

    /// `root` is absolute.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The name of this home's cgroups: the same for each of its daemons, and another for every other home. FNV-1a,
    /// since it has to stay the same.
    #[must_use]
    pub fn tree_name(&self) -> String {
        use std::os::unix::ffi::OsStrExt;
        let bytes = self.root.as_os_str().as_bytes();
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("diakonos-{hash:016x}")
    }

    /// Where clients connect.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    /// Held by the daemon for life; contains its PID.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// There while whoever has started the daemon makes its successor, too; says in which boot of the machine.
    #[must_use]
    pub fn supervised(&self) -> PathBuf {
        self.root.join("supervised")
    }

    /// FIFOs and the facts that a successor needs.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Where a service with a `/tmp` of its own finds it.
    pub(super) fn temporary(&self, name: &str) -> PathBuf {
        self.root.join("tmp").join(name)
    }

    /// What `%t` stands for where the machine gives its user no such folder.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        self.root.join("runtime")
    }

    /// The services' logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// What the daemon and its guardian say themselves.
    #[must_use]
    pub fn own_log(&self) -> PathBuf {
        self.root.join("daemon.log")
    }

    /// What the operator says to the daemon; there may be none.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.root.join("daemon.toml")
    }

    /// The record of what became of the units: the file that is written to, and the one before. Both lie in a folder of
    /// their own, which can be watched.
    #[must_use]
    pub fn record(&self) -> [PathBuf; 2] {
        let folder = self.root.join("events");
        [folder.join("events.jsonl"), folder.join("events.jsonl.1")]
    }

    /// The user's own unit files.
    #[must_use]
    pub fn services(&self) -> PathBuf {
        self.root.join("services")
    }

    /// The units that command lines have described.
    #[must_use]
    pub fn transient(&self) -> PathBuf {
        self.root.join("transient")
    }

    /// The list of units that start with the daemon.
    #[must_use]
    pub fn enabled(&self) -> PathBuf {
        self.root.join("enabled")
    }

    /// How many instances templates are scaled to.
    #[must_use]
    pub fn scales(&self) -> PathBuf {
        self.root.join("scale")
    }
}
