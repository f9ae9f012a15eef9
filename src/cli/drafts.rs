//! Copies that are left of edits which could not be saved.
//!
//! Owns telling of them. What was written is never thrown away, and nobody but its writer knows whether it is of use.

use std::fs;
use std::path::{Path, PathBuf};

use super::output::aside;
use super::text::clean;

/// Says which copies of this file there are; their names begin so.
pub(super) fn tell(target: &Path, begin: &str) {
    let listed = target.parent().and_then(|folder| fs::read_dir(folder).ok());
    let names = listed
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let is_draft = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(begin)
    };
    for draft in names.filter(is_draft) {
        let draft = clean(&draft.display().to_string());
        aside(&format!(
            "what was written before and not saved is in {draft}\n"
        ));
    }
}
