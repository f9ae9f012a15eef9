//! Files of ours that nobody has a use for any more. One that has gone already is as good as removed, and one that
//! stays is told of.

use std::io;
use std::path::Path;

use crate::sys::process::error_text;

pub(super) fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            ::log::warn!("removing {}: {}", path.display(), error_text(&error));
        }
        _ => {}
    }
}
