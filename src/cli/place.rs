//! Where things are: the daemon's home, and the folders that unit files are looked for in.

use std::path::{Path, PathBuf};

use super::args::Given;
use super::client::{Client, ConnectError, Tolerance};
use super::exit::{Exit, Failure};
use super::style::Palette;
use crate::daemon::Home;
use crate::sys::process::error_text;

/// Used when neither an option nor the environment names a folder, if it exists.
const DEFAULT_FOLDER: &str = "services";

/// Where a command works.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) home: Home,
    /// The unit search path: absolute, best first.
    pub(super) directories: Vec<String>,
    /// For standard error.
    pub(super) palette: Palette,
}

impl Place {
    /// Finds both; makes nothing.
    pub(super) fn find(given: &Given) -> Result<Self, Failure> {
        let home = find_home()?;
        let mut folders: Vec<PathBuf> = given.service_dirs.iter().map(PathBuf::from).collect();
        if folders.is_empty() {
            folders = named_by_environment();
        }
        for folder in &folders {
            check_folder(folder)?;
        }
        if folders.is_empty() && Path::new(DEFAULT_FOLDER).is_dir() {
            folders.push(PathBuf::from(DEFAULT_FOLDER));
        }
        folders.push(home.services());
        if home.transient().is_dir() {
            folders.push(home.transient());
        }
        let mut directories = Vec::new();
        for folder in folders {
            let text = absolute(&folder)?;
            if !directories.contains(&text) {
                directories.push(text);
            }
        }
        Ok(Self {
            home,
            directories,
            palette: given.error_palette(),
        })
    }

    /// The daemon, if one runs.
    pub(super) fn connect(&self) -> Result<Option<Client>, Failure> {
        self.connect_to(Tolerance::Same)
    }

    /// The same, of any version it may be.
    pub(super) fn connect_to(&self, tolerance: Tolerance) -> Result<Option<Client>, Failure> {
        match Client::connect(self, tolerance) {
            Ok(client) => Ok(Some(client)),
            Err(ConnectError::Absent) => Ok(None),
            Err(ConnectError::Failure(failure)) => Err(failure),
        }
    }

    /// The folders as a reader likes to see them.
    pub(super) fn shown_directories(&self) -> String {
        let transient = self.home.transient();
        let folders = self.directories.iter().map(String::as_str);
        // Nobody looks there for a file of his own.
        let shown: Vec<&str> = folders
            .filter(|folder| Path::new(folder) != transient)
            .collect();
        shown.join(", ")
    }
}

pub(super) fn find_home() -> Result<Home, Failure> {
    Home::find().map_err(|message| {
        Failure::new(Exit::Failed, message)
            .hint("DIAKONOS_HOME names the daemon's folder, from the root on: /…")
    })
}

/// What to do about a daemon's folder that cannot be used.
pub(super) fn home_hint(root: &Path) -> String {
    let is_link = std::fs::symlink_metadata(root).is_ok_and(|found| found.is_symlink());
    match std::fs::canonicalize(root) {
        Ok(target) if is_link => {
            format!("DIAKONOS_HOME={} names where it leads", target.display())
        }
        _ => "DIAKONOS_HOME can name another folder".to_owned(),
    }
}

fn named_by_environment() -> Vec<PathBuf> {
    let named = std::env::var_os("DIAKONOS_SERVICE_DIR").unwrap_or_default();
    let folders = std::env::split_paths(&named);
    folders
        .filter(|folder| !folder.as_os_str().is_empty())
        .collect()
}

fn check_folder(folder: &Path) -> Result<(), Failure> {
    let shown = folder.display();
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Failure::usage(format!("{shown} is no folder"))
            .hint("--service-dir takes the folder in which the unit files lie")),
        Err(error) => {
            let reason = error_text(&error);
            Err(Failure::usage(format!(
                "cannot use the service folder {shown}: {reason}"
            )))
        }
    }
}

fn absolute(folder: &Path) -> Result<String, Failure> {
    // Without `..` and symbolic links, the same folder is the same text for every client.
    let path = match std::fs::canonicalize(folder) {
        Ok(path) => path,
        Err(_) => std::path::absolute(folder).map_err(|error| {
            let reason = error_text(&error);
            Failure::usage(format!(
                "cannot use the service folder {}: {reason}",
                folder.display()
            ))
        })?,
    };
    let shown = path.display().to_string();
    path.into_os_string().into_string().map_err(|_| {
        Failure::usage(format!(
            "the name of the service folder {shown} is not UTF-8"
        ))
    })
}
