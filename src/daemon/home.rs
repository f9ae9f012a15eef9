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
    /// A sentence: the variable holds a relative path that cannot be made absolute, or nobody knows the user's home.
    pub fn find() -> Result<Self, String> {
        if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
            return std::path::absolute(&named).map(Self::new).map_err(|error| {
                let reason = error_text(&error);
                let named = Path::new(&named).display();
                format!("cannot use {VARIABLE}={named}: {reason}")
            });
        }
        let home = match std::env::var_os("HOME").filter(|home| !home.is_empty()) {
            Some(home) => PathBuf::from(home),
            None => users::current()
                .map(|user| user.home)
                .map_err(|error| format!("cannot find the home folder: {}", error_text(&error)))?,
        };
        let hint = format!("{VARIABLE} can name another folder");
        if !home.is_absolute() {
            return Err(format!(
                "the home folder {} is not absolute; {hint}",
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

    /// FIFOs and the facts that a successor needs.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
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

    /// The user's own unit files.
    #[must_use]
    pub fn services(&self) -> PathBuf {
        self.root.join("services")
    }

    /// The list of units that start with the daemon.
    #[must_use]
    pub fn enabled(&self) -> PathBuf {
        self.root.join("enabled")
    }
}
