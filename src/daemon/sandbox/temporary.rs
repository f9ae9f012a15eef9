//! The `/tmp` and `/var/tmp` of `PrivateTmp=`: folders that live as long as the service.
//!
//! Owns their making and their end. What is in them can be much, so another program removes it: the loop does not wait.

use std::ffi::CString;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::engine::SpawnFailure;
use crate::sys::process::{self, Setting, Spawn, Stdio, error_text};

use super::super::spawn::failure;

/// So that several removals can be under way.
static SERIAL: AtomicU32 = AtomicU32::new(0);

const FOLDERS: [&str; 2] = ["tmp", "var-tmp"];
/// Ours alone; a service gets there by its mounts only.
const MODE: u32 = 0o700;
/// As `/tmp` has it.
const MODE_INSIDE: u32 = 0o1777;

/// Makes the folders, anew where a life of the service begins: what an earlier one left is gone.
pub(super) fn provide(path: &Path, begins: bool) -> Result<(), SpawnFailure> {
    if !begins && path.is_dir() {
        return Ok(());
    }
    remove(path);
    make(path).map_err(|error| {
        let errno = error.raw_os_error().unwrap_or(0);
        let reason = format!("PrivateTmp: {}: {}", path.display(), error_text(&error));
        failure("PrivateTmp", errno, reason)
    })
}

fn make(path: &Path) -> io::Result<()> {
    // The folder above is made with the same mode.
    DirBuilder::new().recursive(true).mode(MODE).create(path)?;
    for name in FOLDERS {
        let folder = path.join(name);
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(MODE_INSIDE))?;
    }
    Ok(())
}

/// Removes the folders with all that is in them, by way of another name, so that theirs is free at once.
pub(in crate::daemon) fn remove(path: &Path) {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let old = path.with_extension(format!("old-{}-{serial}", std::process::id()));
    match fs::rename(path, &old) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            ::log::warn!("removing {}: {}", path.display(), error_text(&error));
        }
        Ok(()) => start_removal(&old),
    }
}

/// Nobody waits for it: it is reaped as an orphan.
fn start_removal(path: &Path) {
    let mut argv = vec![c"rm".to_owned(), c"-rf".to_owned(), c"--".to_owned()];
    argv.extend(CString::new(path.as_os_str().as_bytes()));
    let started = process::spawn(&Spawn {
        program: c"/bin/rm".to_owned(),
        argv,
        environment: Vec::new(),
        directory: None,
        identity: None,
        umask: 0o077,
        stdin: Stdio::Null,
        stdout: Stdio::Null,
        stderr: Stdio::Null,
        cgroup: None,
        nofile: None,
        lock_limit: None,
        setting: Setting::default(),
    });
    if let Err(error) = started {
        ::log::warn!("removing {}: {}", path.display(), error_text(&error));
    }
}
