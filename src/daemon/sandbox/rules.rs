//! Which part of the file system a service may read and write, as a list of paths: the keys of systemd.exec(5) that
//! are about files, brought to one form.
//!
//! Owns what the words of `ProtectSystem=`, `ProtectHome=` and `ProtectKernelTunables=` stand for, and which of several
//! wishes about a path holds. What is done about it is the neighbours' business.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use crate::engine::SpawnFailure;
use crate::sorted;
use crate::sys::process::error_text;
use crate::unit::{ProtectHome, ProtectSystem, Purpose, Sandbox, SandboxPath, Service};

use super::super::folders;
use super::super::spawn::failure;
use super::Who;

/// What a service may do below a path, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    Nothing,
    /// An empty folder with this mode stands there.
    Empty(&'static std::ffi::CStr),
    Read,
    Write,
}

/// One path, all symbolic links followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) path: PathBuf,
    pub(super) access: Access,
    pub(super) key: &'static str,
}

const SYSTEM: &str = "ProtectSystem";
const HOME: &str = "ProtectHome";
const TUNABLES: &str = "ProtectKernelTunables";

/// With their modes, where they stand empty.
const HOMES: [(&str, &std::ffi::CStr); 3] =
    [("/home", c"755"), ("/root", c"700"), ("/run/user", c"755")];

/// The kernel's switches, which processes have no business with.
const TUNABLE: [(&str, Access); 19] = [
    ("/proc/acpi", Access::Read),
    ("/proc/apm", Access::Read),
    ("/proc/asound", Access::Read),
    ("/proc/bus", Access::Read),
    ("/proc/fs", Access::Read),
    ("/proc/irq", Access::Read),
    ("/proc/kallsyms", Access::Nothing),
    ("/proc/kcore", Access::Nothing),
    ("/proc/latency_stats", Access::Read),
    ("/proc/mtrr", Access::Read),
    ("/proc/scsi", Access::Read),
    ("/proc/sys", Access::Read),
    ("/proc/sysrq-trigger", Access::Read),
    ("/proc/timer_stats", Access::Read),
    ("/sys", Access::Read),
    ("/sys/fs/bpf", Access::Read),
    ("/sys/fs/cgroup", Access::Write),
    ("/sys/kernel/debug", Access::Read),
    ("/sys/kernel/tracing", Access::Read),
];

/// All rules of a sandbox: each path once, those above before those below.
pub(super) fn of(
    service: &Service,
    sandbox: &Sandbox,
    who: Who<'_>,
) -> Result<Vec<Rule>, SpawnFailure> {
    let mut list = List {
        rules: Vec::new(),
        root: folders::root(service),
    };
    list.protect_system(sandbox.protect_system)?;
    list.protect_home(sandbox.protect_home)?;
    if sandbox.protect_kernel_tunables {
        for (path, access) in TUNABLE {
            // What is below /proc belongs to root, and no other user's process can write to it.
            if who.account.uid == 0 || !path.starts_with("/proc") || who.has(super::CAP_SYS_ADMIN) {
                list.known(Path::new(path), access, TUNABLES)?;
            }
        }
    }
    list.given(&sandbox.inaccessible, Access::Nothing, "InaccessiblePaths")?;
    list.given(&sandbox.read_only, Access::Read, "ReadOnlyPaths")?;
    list.given(&sandbox.read_write, Access::Write, "ReadWritePaths")?;
    // What was made for the service is its own.
    for folders in &service.folders {
        let access = match folders.purpose {
            Purpose::Configuration => continue,
            Purpose::Runtime | Purpose::State | Purpose::Cache | Purpose::Logs => Access::Write,
        };
        for path in folders.paths() {
            list.known(&path, access, folders.purpose.key())?;
        }
    }
    list.reduced()
}

/// The given keys that are about paths.
pub(super) fn keys(sandbox: &Sandbox) -> Vec<&'static str> {
    let given = [
        (SYSTEM, sandbox.protect_system != ProtectSystem::No),
        (HOME, sandbox.protect_home != ProtectHome::No),
        (TUNABLES, sandbox.protect_kernel_tunables),
        ("InaccessiblePaths", !sandbox.inaccessible.is_empty()),
        ("ReadOnlyPaths", !sandbox.read_only.is_empty()),
        ("ReadWritePaths", !sandbox.read_write.is_empty()),
    ];
    let given = given.into_iter().filter(|(_, given)| *given);
    given.map(|(key, _)| key).collect()
}

struct List<'a> {
    rules: Vec<Rule>,
    /// `RootDirectory=`.
    root: Option<&'a Path>,
}

impl List<'_> {
    fn protect_system(&mut self, protect: ProtectSystem) -> Result<(), SpawnFailure> {
        let read_only: &[&str] = match protect {
            ProtectSystem::No => &[],
            ProtectSystem::Yes => &["/usr", "/boot", "/efi"],
            ProtectSystem::Full => &["/usr", "/boot", "/efi", "/etc"],
            ProtectSystem::Strict => &["/"],
        };
        for path in read_only {
            self.known(Path::new(path), Access::Read, SYSTEM)?;
        }
        if protect == ProtectSystem::Strict {
            for path in ["/dev", "/proc", "/sys", "/home", "/root", "/run/user"] {
                self.known(Path::new(path), Access::Write, SYSTEM)?;
            }
        }
        Ok(())
    }

    fn protect_home(&mut self, protect: ProtectHome) -> Result<(), SpawnFailure> {
        for (path, mode) in HOMES {
            let access = match protect {
                ProtectHome::No => return Ok(()),
                ProtectHome::Yes => Access::Nothing,
                ProtectHome::ReadOnly => Access::Read,
                ProtectHome::Tmpfs => Access::Empty(mode),
            };
            self.known(Path::new(path), access, HOME)?;
        }
        Ok(())
    }

    /// A path of ours below the service's root, which need not be there.
    fn known(
        &mut self,
        path: &Path,
        access: Access,
        key: &'static str,
    ) -> Result<(), SpawnFailure> {
        let path = SandboxPath {
            path: path.to_owned(),
            optional: true,
            rooted: true,
        };
        self.add(&path, access, key)
    }

    fn given(
        &mut self,
        paths: &[SandboxPath],
        access: Access,
        key: &'static str,
    ) -> Result<(), SpawnFailure> {
        paths
            .iter()
            .try_for_each(|path| self.add(path, access, key))
    }

    fn add(
        &mut self,
        asked: &SandboxPath,
        access: Access,
        key: &'static str,
    ) -> Result<(), SpawnFailure> {
        let root = self.root.filter(|_| asked.rooted);
        let place = root.map_or(asked.path.clone(), |root| folders::below(root, &asked.path));
        let found = match root {
            Some(root) => resolve_below(root, &asked.path),
            None => place.canonicalize(),
        };
        match found {
            Ok(path) => self.rules.push(Rule { path, access, key }),
            Err(error) if asked.optional && error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(0);
                let reason = format!("{key}={}: {}", place.display(), error_text(&error));
                return Err(failure(key, errno, reason));
            }
        }
        Ok(())
    }

    /// Of several rules for a path the strictest holds; what changes nothing is left out.
    fn reduced(mut self) -> Result<Vec<Rule>, SpawnFailure> {
        sorted::sort_by(&mut self.rules, |a, b| {
            (&a.path, a.access).cmp(&(&b.path, b.access))
        });
        self.rules
            .dedup_by(|later, earlier| later.path == earlier.path);
        let mut kept: Vec<Rule> = Vec::new();
        for rule in self.rules {
            let above = kept
                .iter()
                .rev()
                .find(|above| rule.path.starts_with(&above.path));
            let holds = above.map_or(Access::Write, |above| above.access);
            match (holds, above) {
                // Nobody gets to it.
                (Access::Nothing, _) => {}
                (Access::Empty(_), Some(above)) if rule.key == "ReadWritePaths" => {
                    let (path, hidden) = (rule.path.display(), above.path.display());
                    let reason = format!(
                        "ReadWritePaths={path}: {key} hides all that is in {hidden}",
                        key = above.key
                    );
                    return Err(failure(rule.key, super::NOT_PERMITTED, reason));
                }
                (Access::Empty(_), _) => {}
                (holds, _) if holds == rule.access => {}
                _ => kept.push(rule),
            }
        }
        Ok(kept)
    }
}
/// So many links are followed, as the kernel does.
const LINKS_MAX: usize = 40;

/// What a path comes to for whoever has this root: every link in there starts there, and nothing leads out.
fn resolve_below(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let root = root.canonicalize()?;
    let mut reached = root.clone();
    let mut links = 0;
    // The next name is the last.
    let mut names = names_backwards(path);
    while let Some(name) = names.pop() {
        if name == ".." {
            if reached != root {
                reached.pop();
            }
            continue;
        }
        let place = reached.join(&name);
        if !place.symlink_metadata()?.is_symlink() {
            reached = place;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(ErrorKind::InvalidInput.into());
        }
        let target = place.read_link()?;
        if target.is_absolute() {
            reached.clone_from(&root);
        }
        names.extend(names_backwards(&target));
    }
    Ok(reached)
}

fn names_backwards(path: &Path) -> Vec<OsString> {
    let named = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_starts_at_the_root_that_it_is_followed_in() {
        let root = std::env::temp_dir().join(format!("diakonos-rules-{}", std::process::id()));
        fs::create_dir_all(root.join("data/home/user")).unwrap();
        symlink("/data/home", root.join("home")).unwrap();
        symlink("data/../data", root.join("inside")).unwrap();
        symlink("../../../data", root.join("outside")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        for (path, found) in [
            ("/home", Some("data/home")),
            ("/home/user", Some("data/home/user")),
            ("/inside/home", Some("data/home")),
            ("/outside", Some("data")),
            ("/data/home", Some("data/home")),
            ("/missing", None),
            ("/loop", None),
        ] {
            let wanted = found.map(|name| root.canonicalize().unwrap().join(name));
            assert_eq!(resolve_below(&root, Path::new(path)).ok(), wanted, "{path}");
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
