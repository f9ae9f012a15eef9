//! The file rules as Landlock has them: a list of what is allowed, since it knows no exceptions from that.
//!
//! Owns the walk that turns "all but this" into such a list: what stands beside an excepted path is allowed one by one.
//! So in a folder above such a path nothing new can be made, which is stricter than asked, never laxer.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::engine::SpawnFailure;
use crate::sys::confine::{Rights, Ruleset};
use crate::sys::process::error_text;

use super::super::spawn::failure;
use super::rules::{Access, Rule};
use super::view::c_path;

/// So many things may stand beside a path that is excepted.
const BESIDE_MAX: usize = 20_000;
/// `E2BIG`.
const TOO_MANY: i32 = 7;

/// `None` where nothing is forbidden.
pub(super) fn ruleset(rules: &[Rule], pipes: [&Path; 2]) -> Result<Option<Ruleset>, SpawnFailure> {
    let Some(strictest) = rules.iter().min_by_key(|rule| rule.access) else {
        return Ok(None);
    };
    let handled = match strictest.access {
        Access::Write => return Ok(None),
        Access::Read => Rights::WRITE,
        Access::Nothing | Access::Empty(_) => Rights::ALL,
    };
    let set = Ruleset::new(handled).map_err(|error| failed(strictest, Path::new("/"), &error))?;
    let walk = Walk { rules, set: &set };
    walk.allow(Path::new("/"), Access::Write)?;
    for pipe in pipes {
        allow(&set, pipe, Rights::ALL).map_err(|error| failed(strictest, pipe, &error))?;
    }
    Ok(Some(set))
}

struct Walk<'a> {
    rules: &'a [Rule],
    set: &'a Ruleset,
}

impl Walk<'_> {
    /// Allows what holds at a path and below, where `above` holds around it. Goes no deeper than the rules do.
    fn allow(&self, path: &Path, above: Access) -> Result<(), SpawnFailure> {
        let own = self.rules.iter().find(|rule| rule.path == path);
        let access = own.map_or(above, |rule| rule.access);
        let is_below = |rule: &&Rule| rule.path != path && rule.path.starts_with(path);
        let below: Vec<&Rule> = self.rules.iter().filter(is_below).collect();
        let strictest = below.iter().min_by_key(|rule| rule.access);
        let everywhere = strictest.map_or(access, |rule| rule.access.min(access));
        let cause = own.or(strictest.copied());
        let told = |path: &Path, error: &io::Error| match cause {
            Some(rule) => failed(rule, path, error),
            None => failure(
                "Landlock",
                error.raw_os_error().unwrap_or(0),
                error_text(error),
            ),
        };
        if let Some(rights) = rights(everywhere) {
            allow(self.set, path, rights).map_err(|error| told(path, &error))?;
        }
        let mut seen: Vec<&std::ffi::OsStr> = Vec::new();
        for rule in &below {
            let rest = rule.path.strip_prefix(path).ok();
            let Some(name) = rest.and_then(|rest| rest.iter().next()) else {
                continue;
            };
            if !seen.contains(&name) {
                seen.push(name);
                self.allow(&path.join(name), access)?;
            }
        }
        let Some(more) = rights(access).filter(|_| access > everywhere) else {
            return Ok(());
        };
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            // Who cannot list it reaches nothing in it that we could name.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(told(path, &error)),
        };
        for (entry, count) in entries.flatten().zip(0..) {
            if count == BESIDE_MAX {
                let error = io::Error::from_raw_os_error(TOO_MANY);
                return Err(told(path, &error));
            }
            let name = entry.file_name();
            // What a link leads to has rules of its own.
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if !is_link && !seen.contains(&name.as_os_str()) {
                let path = entry.path();
                allow(self.set, &path, more).map_err(|error| told(&path, &error))?;
            }
        }
        Ok(())
    }
}

fn rights(access: Access) -> Option<Rights> {
    match access {
        Access::Nothing | Access::Empty(_) => None,
        Access::Read => Some(Rights::READ),
        Access::Write => Some(Rights::ALL),
    }
}

/// What is gone meanwhile, or cannot be reached, needs no permission.
fn allow(set: &Ruleset, path: &Path, rights: Rights) -> io::Result<()> {
    let Ok(name) = c_path(path) else {
        return Ok(());
    };
    match set.allow(&name, rights) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

fn failed(rule: &Rule, path: &Path, error: &io::Error) -> SpawnFailure {
    let Rule {
        key, path: about, ..
    } = rule;
    let errno = error.raw_os_error().unwrap_or(0);
    let (about, path, cause) = (about.display(), path.display(), error_text(error));
    failure(
        key,
        errno,
        format!("{key}={about}: Landlock at {path}: {cause}"),
    )
}
