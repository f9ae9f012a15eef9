//! Making all processes of a cgroup v2 stand still, and go on again: `cgroup.freeze`, cgroups(7).
//!
//! Owns asking the kernel for it and whether it has come to it. A process that waits inside the kernel stands still
//! only when it comes out of there, so asking is not having.

use std::io;

use super::cgroup::Cgroup;

impl Cgroup {
    /// Asks that every process in it and in the groups below stands still.
    ///
    /// # Errors
    /// `ENOENT` before Linux 5.2, which has no such file; what open(2) and write(2) give.
    pub fn freeze(&self) -> io::Result<()> {
        self.write(c"cgroup.freeze", b"1")
    }

    /// Lets them go on. A group that has been removed has none.
    ///
    /// # Errors
    /// What open(2) and write(2) give.
    pub fn thaw(&self) -> io::Result<()> {
        match self.write(c"cgroup.freeze", b"0") {
            Err(error) if self.is_removed(&error) => Ok(()),
            other => other,
        }
    }

    /// Whether all of them stand still by now. `cgroup.events` changes when that does.
    ///
    /// # Errors
    /// What open(2) and read(2) give.
    pub fn is_frozen(&self) -> io::Result<bool> {
        self.has_event(b"frozen 1")
    }

    fn is_removed(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::NotFound || !self.path().exists()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::os::fd::AsFd;

    use super::super::cgroup::Tree;
    use super::super::inotify::{BUFFER_BYTES, Inotify, Watch};
    use super::super::process::{Spawn, spawn};
    use super::super::testing::{alone, await_end, await_readable, shell};

    #[test]
    fn a_group_stands_still_goes_on_and_dies_frozen() {
        alone(
            "sys::freezer::tests::a_group_stands_still_goes_on_and_dies_frozen",
            || {
                // Without cgroups there is nothing to be tried here.
                let Ok(tree) = Tree::open(&format!("freezer-{}", std::process::id())) else {
                    return;
                };
                let group = tree.make("one").unwrap();
                let asked = Spawn {
                    cgroup: Some(group.entrance()),
                    ..shell("exec sleep 1000")
                };
                let child = spawn(&asked).unwrap();
                let inotify = Inotify::new().unwrap();
                inotify
                    .watch(&group.events_path(), Watch::Modified)
                    .unwrap();
                let await_frozen = |wanted: bool| {
                    while group.is_frozen().unwrap() != wanted {
                        await_readable(inotify.as_fd());
                        inotify.read(&mut [0; BUFFER_BYTES]).unwrap();
                    }
                };
                group.freeze().unwrap();
                await_frozen(true);
                group.thaw().unwrap();
                await_frozen(false);
                group.freeze().unwrap();
                await_frozen(true);
                child.pidfd.signal(9).unwrap();
                await_end(&child.pidfd);
                tree.remove().unwrap();
                group.thaw().unwrap();
                assert!(!group.is_frozen().unwrap());
            },
        );
    }
}
