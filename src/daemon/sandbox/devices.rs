//! The `/dev` of `PrivateDevices=`: those devices that every program may expect, and no hardware.

use std::fs;
use std::path::Path;

use crate::engine::SpawnFailure;
use crate::sys::confine::{MountFlags, MountStep, Slot};

use super::super::folders::below;
use super::view::{Script, c_path};

const NODES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];
/// Either may be a link or no link.
const EITHER: [&str; 2] = ["/dev/ptmx", "/dev/log"];
const FOLDERS: [&str; 4] = ["/dev/shm", "/dev/pts", "/dev/mqueue", "/dev/hugepages"];
const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
];

/// What is kept of the machine's own `/dev`.
#[derive(Debug)]
pub(super) struct Taken {
    nodes: Vec<(&'static str, Slot)>,
    folders: Vec<(&'static str, Slot)>,
    links: Vec<(&'static str, std::path::PathBuf)>,
}

impl Taken {
    pub(super) fn new(script: &mut Script) -> Result<Self, SpawnFailure> {
        let mut taken = Self {
            nodes: Vec::new(),
            folders: Vec::new(),
            links: LINKS.map(|(path, target)| (path, target.into())).into(),
        };
        for path in NODES.into_iter().filter(|path| Path::new(path).exists()) {
            taken.nodes.push((path, script.take(Path::new(path))?));
        }
        for path in EITHER {
            if let Ok(target) = fs::read_link(path) {
                taken.links.push((path, target));
            } else if Path::new(path).exists() {
                taken.nodes.push((path, script.take(Path::new(path))?));
            }
        }
        for path in FOLDERS.into_iter().filter(|path| Path::new(path).is_dir()) {
            taken.folders.push((path, script.take(Path::new(path))?));
        }
        Ok(taken)
    }

    /// Below the service's root.
    pub(super) fn put(self, script: &mut Script, root: &Path) -> Result<(), SpawnFailure> {
        let inside = |path: &str| below(root, Path::new(path));
        let dev = inside("/dev");
        let top = script.fresh(c"755")?;
        script.put(top, MountFlags::NONE, &dev)?;
        for (path, _) in &self.nodes {
            let path = c_path(&inside(path))?;
            script.add(MountStep::MakeFile { path });
        }
        for (path, _) in &self.folders {
            let path = c_path(&inside(path))?;
            script.add(MountStep::MakeFolder { path });
        }
        for (path, target) in &self.links {
            let (path, target) = (c_path(&inside(path))?, c_path(target)?);
            script.add(MountStep::MakeLink { path, target });
        }
        for (path, slot) in self.nodes {
            script.put(slot, MountFlags::NONE, &inside(path))?;
        }
        let flags = MountFlags::READ_ONLY.and(MountFlags::NO_SUID);
        script.change(&dev, flags.and(MountFlags::NO_EXEC))?;
        for (path, slot) in self.folders {
            script.put(slot, MountFlags::NONE, &inside(path))?;
        }
        Ok(())
    }
}
