//! The controllers of cgroup v2: switched on for the services' groups, and their files written and read.
//!
//! Owns the way down the tree: a group with controllers for those below it may hold no process itself, but for the
//! root of all, so that the daemon goes into a leaf where that is in its way. What a limit means is the caller's.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::cgroup::{Cgroup, Tree};
use super::files;
use super::process::{Pid, error_text};

/// The controllers that services are given, by the kernel's names.
const WANTED: [&str; 4] = ["cpu", "io", "memory", "pids"];
/// The group of the daemon itself, in its tree: no service's name looks so.
pub(super) const LEAF: &str = "daemon";
/// The group of commands beside a service that divides its own: systemd's name for it.
const BESIDE: &str = ".control";
/// How often processes are moved out of the way: more come while that is done.
const ROUNDS_MAX: usize = 4;
/// What a group's owner may write where it is delegated, cgroups(7).
const DELEGATED: [&str; 3] = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];
/// Bytes of `memory.events.local` and its like.
const EVENTS_LIMIT: usize = 512;

/// What can be limited in the services' groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controllers {
    on: Vec<&'static str>,
    missing: Vec<(&'static str, String)>,
}

impl Controllers {
    /// Whether this one is there, by the kernel's name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.on.contains(&name)
    }

    /// Those that are there.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.on
    }

    /// Those that are not there, each with the reason.
    #[must_use]
    pub fn missing(&self) -> &[(&'static str, String)] {
        &self.missing
    }

    /// Why this one is not there.
    #[must_use]
    pub fn reason(&self, name: &str) -> Option<&str> {
        let found = self.missing.iter().find(|(known, _)| *known == name);
        found.map(|(_, reason)| reason.as_str())
    }

    fn none(reason: &str) -> Self {
        let mut none = Self::default();
        for name in WANTED {
            none.without(name, reason.to_owned());
        }
        none
    }

    fn without(&mut self, name: &'static str, reason: String) {
        self.missing.push((name, reason));
    }
}

impl Tree {
    /// Switches on what there is for the services' groups. `family` are processes of ours, which may be moved out of
    /// the way, as we are ourselves; anybody else stays where he is, and then there are no controllers.
    #[must_use]
    pub fn switch_on(&self, family: &[Pid]) -> Controllers {
        let mut found = Controllers::default();
        let parent = self.path().parent().unwrap_or(self.path());
        let available = match read_words(&parent.join("cgroup.controllers")) {
            Ok(names) => names,
            Err(error) => {
                let reason = format!("cannot read {}: {}", parent.display(), error_text(&error));
                return Controllers::none(&reason);
            }
        };
        let is_there = |name: &str| available.iter().any(|known| known == name);
        // Some controllers could be had beside processes, but then no group below could have any other one.
        let is_asked = WANTED.iter().any(|name| is_there(name));
        if is_asked && let Err(reason) = self.make_way(parent, family) {
            return Controllers::none(&reason);
        }
        for name in WANTED {
            if !is_there(name) {
                found.without(name, absence(name, parent));
                continue;
            }
            match self.switch_on_one(name, parent) {
                Ok(()) => found.on.push(name),
                Err(reason) => found.without(name, reason),
            }
        }
        found
    }

    fn switch_on_one(&self, name: &str, parent: &Path) -> Result<(), String> {
        for group in [parent, self.path()] {
            add_controller(group, name).map_err(|error| {
                let (group, error) = (group.display(), error_text(&error));
                format!("cannot switch it on in {group}: {error}")
            })?;
        }
        Ok(())
    }

    /// Moves us and our family out of the group that is to have controllers for those below it. The root of all may
    /// have both.
    fn make_way(&self, parent: &Path, family: &[Pid]) -> Result<(), String> {
        let is_root = !parent.join("cgroup.type").exists();
        if is_root || members(parent).is_ok_and(|members| members.is_empty()) {
            return Ok(());
        }
        let leaf = self.path().join(LEAF);
        let failed = |what: &str, path: &Path, error: &io::Error| {
            format!("cannot {what} {}: {}", path.display(), error_text(error))
        };
        if let Err(error) = fs::create_dir(&leaf)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(failed("make", &leaf, &error));
        }
        for _ in 0..ROUNDS_MAX {
            let members = members(parent).map_err(|error| failed("look into", parent, &error))?;
            if members.is_empty() {
                return Ok(());
            }
            let is_container = is_namespace();
            let is_ours =
                |pid: &Pid| *pid == Pid::current() || family.contains(pid) || is_container;
            if let Some(stranger) = members.iter().find(|pid| !is_ours(pid)) {
                // Empty as it was made; if it stays it harms nobody.
                let _ = fs::remove_dir(&leaf);
                return Err(format!(
                    "{} holds other processes than the daemon's, such as PID {stranger}",
                    parent.display()
                ));
            }
            for pid in members {
                move_into(&leaf, pid)
                    .map_err(|error| failed("move the daemon into", &leaf, &error))?;
            }
        }
        Ok(())
    }

    /// Goes back to where the daemon was before [`Self::switch_on`], so that the tree can be removed.
    pub fn switch_off(&self) {
        let leaf = self.path().join(LEAF);
        let Some(parent) = self.path().parent().filter(|_| leaf.is_dir()) else {
            return;
        };
        // What cannot be undone stays, and is found again by a daemon that comes later.
        for name in WANTED {
            for group in [self.path(), parent] {
                let _ = fs::write(group.join("cgroup.subtree_control"), format!("-{name}"));
            }
        }
        for pid in members(&leaf).unwrap_or_default() {
            let _ = move_into(parent, pid);
        }
    }
}

impl Cgroup {
    /// Writes one of the group's files.
    ///
    /// # Errors
    /// `NotFound` where the controller is not switched on, or lacks this file; what the kernel says of the value.
    pub fn set(&self, file: &CStr, value: &str) -> io::Result<()> {
        self.write(file, value.as_bytes())
    }

    /// How many processes of this very group the kernel has killed for want of memory; `None` where it does not
    /// count that.
    #[must_use]
    pub fn oom_kills(&self) -> Option<u64> {
        self.event(c"memory.events.local", "oom_kill")
    }

    /// The file that changes when memory is short, for inotify.
    #[must_use]
    pub fn memory_events_path(&self) -> PathBuf {
        self.path().join("memory.events.local")
    }

    /// Bytes that the group holds and the kernel cannot simply take back: without the cache of files.
    #[must_use]
    pub fn working_memory(&self) -> Option<u64> {
        let text = fs::read_to_string(self.path().join("memory.current")).ok()?;
        let current: u64 = text.trim().parse().ok()?;
        let stat = fs::read_to_string(self.path().join("memory.stat")).ok()?;
        let cached = ["active_file ", "inactive_file ", "slab_reclaimable "];
        let lines = stat.lines();
        let numbers = lines.filter_map(|line| cached.iter().find_map(|key| line.strip_prefix(key)));
        let cache: u64 = numbers
            .filter_map(|number| number.parse::<u64>().ok())
            .sum();
        Some(current.saturating_sub(cache))
    }

    /// Hands the division of the group to a user.
    ///
    /// # Errors
    /// What chown(2) gives.
    pub fn delegate(&self, uid: u32, gid: u32) -> io::Result<()> {
        chown(self.path(), Some(uid), Some(gid))?;
        for file in DELEGATED {
            chown(self.path().join(file), Some(uid), Some(gid))?;
        }
        Ok(())
    }

    /// A group for commands beside the service, where that has divided its own: then no process can be born there.
    ///
    /// # Errors
    /// What mkdir(2) and open(2) give.
    pub fn beside(&self) -> io::Result<Option<Self>> {
        if read_words(&self.path().join("cgroup.subtree_control"))?.is_empty() {
            return Ok(None);
        }
        let path = self.path().join(BESIDE);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Self::open(path).map(Some),
        }
    }

    /// Undoes what a life before has made of a group that was its own to divide: groups in which nobody is, and
    /// controllers for them, beside which the group could hold no process.
    pub fn reunite(&self) {
        let Ok(entries) = fs::read_dir(self.path()) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(group) = Self::open(entry.path())
            {
                // One that still holds somebody stays.
                let _ = group.remove();
            }
        }
        for name in read_words(&self.path().join("cgroup.subtree_control")).unwrap_or_default() {
            let _ = self.set(c"cgroup.subtree_control", &format!("-{name}"));
        }
    }

    fn event(&self, file: &CStr, key: &str) -> Option<u64> {
        let mut buffer = [0; EVENTS_LIMIT];
        let bytes = files::read_small(self.fd().as_fd(), file, &mut buffer).ok()?;
        let text = std::str::from_utf8(bytes).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse().ok()
    }
}

/// Where the tree lies whose leaf we are in, if it is our home's.
pub(super) fn out_of_leaf<'a>(own: &'a Path, tree: &Path) -> Option<&'a Path> {
    let above = own.parent()?;
    (own.ends_with(LEAF) && above.ends_with(tree)).then(|| above.parent())?
}

fn add_controller(group: &Path, name: &str) -> io::Result<()> {
    let file = group.join("cgroup.subtree_control");
    if read_words(&file)?.iter().any(|known| known == name) {
        return Ok(());
    }
    fs::write(file, format!("+{name}"))
}

/// Whether our group is the uppermost of its namespace: whoever is in it is of our container.
fn is_namespace() -> bool {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups.lines().any(|line| line == "0::/")
}

fn absence(name: &str, parent: &Path) -> String {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let v1_name = if name == "io" { "blkio" } else { name };
    let mut lists = groups.lines().filter_map(|line| line.split(':').nth(1));
    if lists.any(|list| list.split(',').any(|one| one == v1_name)) {
        return "cgroup v1 has it, and version 2 is needed".to_owned();
    }
    format!("it is not there in {}", parent.display())
}

fn move_into(group: &Path, pid: Pid) -> io::Result<()> {
    match fs::write(group.join("cgroup.procs"), pid.to_string()) {
        // It has ended meanwhile.
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(()),
        other => other,
    }
}

/// The processes in this very group.
fn members(group: &Path) -> io::Result<Vec<Pid>> {
    let text = fs::read_to_string(group.join("cgroup.procs"))?;
    let pids = text.lines().filter_map(|line| line.parse().ok());
    Ok(pids.filter_map(Pid::from_raw).collect())
}

fn read_words(path: &Path) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(path)?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_of_the_leaf_is_the_own_trees() {
        let out = |own: &'static str| out_of_leaf(Path::new(own), Path::new("home.service"));
        assert_eq!(out("/sys/a/home.service/daemon"), Some(Path::new("/sys/a")));
        assert_eq!(out("/sys/a/other.service/daemon"), None);
        assert_eq!(out("/sys/a/home.service/web.service"), None);
        assert_eq!(out("/"), None);
    }

    /// Whatever this machine has, each controller is either there or its absence is explained.
    #[test]
    fn every_controller_is_there_or_its_absence_is_explained() {
        let name = format!("diakonos-controllers-{}", std::process::id());
        let Ok(tree) = Tree::open(&name) else { return };
        let found = tree.switch_on(&[]);
        for name in WANTED {
            assert_ne!(found.has(name), found.reason(name).is_some(), "{found:?}");
        }
        tree.switch_off();
        let _ = tree.remove();
    }
}
