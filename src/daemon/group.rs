//! All processes of one unit, whoever they are by now: who belongs to it, signals to all, and the moment when none is
//! left.
//!
//! Where a cgroup v2 can be made, the kernel keeps the list. Elsewhere members are found: by the sessions of the
//! processes that we started, by descent from them, and by a mark that they inherit, in their environment and in a
//! limit that limits nothing. A process can leave its session and its parents behind and overwrite its environment, as
//! daemons do that show a title; the limit it keeps.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use mio::Token;

use crate::engine::UnitId;
use crate::sys::cgroup::{Cgroup, Tree};
use crate::sys::clock;
use crate::sys::inotify::Watch;
use crate::sys::proc::{self, Descent, Mark};
use crate::sys::process::{Pid, PidFd, error_text};

use super::sources::{Source, Sources};
use super::watches::{Purpose, Watches};

const SIGKILL: i32 = 9;
/// How many members of one unit a signal is sent to where there is no cgroup.
const SIGNALLED_MAX: usize = 4_096;
/// `ESRCH`.
const NO_SUCH_PROCESS: i32 = 3;
/// How many members are held at once, to be signalled or to notice the end of the last one.
const HELD_MAX: usize = 16;

/// Who belongs to a unit.
#[derive(Debug)]
pub(super) struct Group {
    unit: UnitId,
    kind: Kind,
    watch: Watched,
}

#[derive(Debug)]
enum Kind {
    Cgroup(Cgroup),
    Found(Found),
}

/// What members are found by.
#[derive(Debug, Default)]
struct Found {
    /// What the processes were born with; more than one while processes of an earlier life are left.
    marks: Vec<Mark>,
    /// No process before this time bears them (`CLOCK_BOOTTIME`).
    since_ms: u64,
    /// Processes that we started or know to belong here. Their sessions outlive them.
    roots: Vec<Pid>,
    descent: Descent,
    /// Members whose end is waited for, of [`heads_of`].
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    pid: Pid,
    pidfd: PidFd,
    token: Token,
}

/// Whether the end of the last member is waited for, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    Not,
    /// For ourselves, to tidy up.
    Ours,
    /// The engine has asked.
    Asked,
}

impl Group {
    /// The unit's group: a cgroup if one can be made. The other way is told in the daemon's log.
    pub(super) fn new(unit: UnitId, name: &str, tree: Option<&Tree>) -> Self {
        let made = tree.map(|tree| tree.make(name));
        let kind = match made {
            Some(Ok(cgroup)) => Kind::Cgroup(cgroup),
            Some(Err(error)) => {
                let reason = error_text(&error);
                ::log::warn!("{name}: no cgroup can be made ({reason}), tracking by session");
                Kind::Found(Found::default())
            }
            None => Kind::Found(Found::default()),
        };
        Self {
            unit,
            kind,
            watch: Watched::Not,
        }
    }

    /// The group that a predecessor made: the cgroup that it wrote down, if that lies in a tree of this name; else one
    /// of our own.
    pub(super) fn reopen(
        (unit, name): (UnitId, &str),
        path: Option<&Path>,
        tree: Option<&Tree>,
        tree_name: &str,
    ) -> Self {
        let opened = path.map(|path| (path, Cgroup::reopen(path, tree_name, name)));
        match opened {
            Some((_, Ok(cgroup))) => Self {
                unit,
                kind: Kind::Cgroup(cgroup),
                watch: Watched::Not,
            },
            other => {
                // One that is gone had nobody in it: systemd clears away such ones when the daemon dies.
                if let Some((path, Err(error))) = &other
                    && error.kind() != io::ErrorKind::NotFound
                {
                    let (path, reason) = (path.display(), error_text(error));
                    ::log::warn!("{name}: its cgroup {path} is not used: {reason}");
                }
                let mut group = Self::new(unit, name, tree);
                if let Kind::Found(found) = &mut group.kind {
                    found.descent = Descent::Any;
                }
                group
            }
        }
    }

    pub(super) fn cgroup(&self) -> Option<&Cgroup> {
        match &self.kind {
            Kind::Cgroup(cgroup) => Some(cgroup),
            Kind::Found(_) => None,
        }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.cgroup().map(Cgroup::path)
    }

    pub(super) fn watched(&self) -> Watched {
        self.watch
    }

    /// A new life of the service begins, whose processes bear this mark.
    pub(super) fn add_mark(&mut self, mark: Mark) {
        let Kind::Found(found) = &mut self.kind else {
            return;
        };
        let is_restored = found.marks.is_empty() && found.descent == Descent::Any;
        if is_restored || !heads_of(found).is_empty() {
            found.marks.push(mark);
        } else {
            found.marks = vec![mark];
            found.roots.clear();
            found.descent = Descent::Ours;
            found.since_ms = clock::boottime_ms();
        }
    }

    /// A process that belongs here for certain.
    pub(super) fn add_root(&mut self, pid: Pid) {
        if let Kind::Found(found) = &mut self.kind {
            found.roots.push(pid);
        }
    }

    /// Who is a member now stays one, whatever becomes of its session and environment.
    pub(super) fn remember_members(&mut self) {
        if let Kind::Found(found) = &mut self.kind {
            found.roots.extend(members_of(found));
            found.roots.sort_unstable();
            found.roots.dedup();
        }
    }

    /// The living members.
    pub(super) fn members(&self) -> io::Result<Vec<Pid>> {
        match &self.kind {
            Kind::Cgroup(cgroup) => cgroup.procs(),
            Kind::Found(found) => Ok(members_of(found)),
        }
    }

    /// The living members, at least those that are our children.
    pub(super) fn heads(&self) -> io::Result<Vec<Pid>> {
        match &self.kind {
            Kind::Cgroup(cgroup) => cgroup.procs(),
            Kind::Found(found) => Ok(heads_of(found)),
        }
    }

    /// Whether no member lives. What cannot be read counts as not empty: nothing is forgotten on a guess.
    pub(super) fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Cgroup(cgroup) => cgroup.populated().is_ok_and(|populated| !populated),
            Kind::Found(found) => heads_of(found).is_empty(),
        }
    }

    /// Sends a signal to every member. One that has just ended is no error.
    pub(super) fn signal(&self, signal: i32) -> io::Result<()> {
        match &self.kind {
            Kind::Cgroup(cgroup) if signal == SIGKILL => cgroup.kill(),
            Kind::Cgroup(cgroup) => cgroup.signal_all(signal, None).map(drop),
            Kind::Found(found) => signal_found(found, signal),
        }
    }

    /// Waits for the end of the last member from now on. Whoever asks looks at [`Self::is_empty`] afterwards, and has
    /// members held if there are any.
    pub(super) fn watch(&mut self, why: Watched, watches: &mut Watches) {
        let is_new = self.watch == Watched::Not;
        if self.watch != Watched::Asked {
            self.watch = why;
        }
        match &self.kind {
            Kind::Cgroup(cgroup) if is_new => {
                let path = cgroup.events_path();
                let added = watches.add(&path, Watch::Modified, Purpose::Group(self.unit));
                if let Err(error) = added {
                    // SIGCHLD and the ends of our own runs still make us look.
                    ::log::warn!("watching {}: {}", path.display(), error_text(&error));
                }
            }
            Kind::Cgroup(_) | Kind::Found(_) => {}
        }
    }

    /// Ends the waiting.
    pub(super) fn unwatch(&mut self, sources: &mut Sources, watches: &mut Watches) {
        self.watch = Watched::Not;
        watches.remove(Purpose::Group(self.unit));
        if let Kind::Found(found) = &mut self.kind {
            for held in found.held.drain(..) {
                release(sources, &held);
            }
        }
    }

    /// Looks who is left; when one that was held has ended, others take its place.
    pub(super) fn hold_members(&mut self, sources: &mut Sources) {
        let (unit, Kind::Found(found)) = (self.unit, &mut self.kind) else {
            return;
        };
        let members = heads_of(found);
        found.held.retain(|held| {
            let stays = members.contains(&held.pid);
            if !stays {
                release(sources, held);
            }
            stays
        });
        for pid in members {
            if found.held.len() == HELD_MAX {
                return;
            }
            if found.held.iter().any(|held| held.pid == pid) {
                continue;
            }
            let Ok(pidfd) = PidFd::open(pid) else {
                continue;
            };
            if let Ok(token) = sources.add(pidfd.as_fd(), Source::Member(unit)) {
                found.held.push(Held { pid, pidfd, token });
            }
        }
    }

    /// Removes what stands for an empty group.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.cgroup().map_or(Ok(()), Cgroup::remove)
    }
}

fn release(sources: &mut Sources, held: &Held) {
    sources.remove(held.token, held.pidfd.as_fd());
}

fn members_of(found: &Found) -> Vec<Pid> {
    // The list of all processes is long, and after most ends nobody is left.
    let heads = heads_of(found);
    match found.descent {
        Descent::Any => heads,
        Descent::Ours if heads.is_empty() => heads,
        Descent::Ours => proc::members(&found.roots, &found.marks, Descent::Ours),
    }
}

/// Those members whose ends tell when none is left, and none while there is no member.
fn heads_of(found: &Found) -> Vec<Pid> {
    match found.descent {
        _ if found.marks.is_empty() => Vec::new(),
        Descent::Ours => proc::heads(&found.roots, &found.marks, found.since_ms),
        Descent::Any => proc::members(&found.roots, &found.marks, Descent::Any),
    }
}

/// Each member is held first and looked for again: only who is a member then gets the signal, so no number is mistaken.
/// Those that are born meanwhile are found by the next scan.
fn signal_found(found: &Found, signal: i32) -> io::Result<()> {
    let mut done: Vec<Pid> = Vec::new();
    let mut result = Ok(());
    while done.len() < SIGNALLED_MAX {
        let mut fresh = members_of(found);
        fresh.retain(|pid| !done.contains(pid));
        let mut held = Vec::new();
        for pid in fresh.into_iter().take(HELD_MAX) {
            done.push(pid);
            match PidFd::open(pid) {
                Ok(pidfd) => held.push((pid, pidfd)),
                Err(error) if is_gone(&error) => {}
                Err(error) => result = Err(error),
            }
        }
        if held.is_empty() {
            break;
        }
        let still = members_of(found);
        for (_, pidfd) in held.iter().filter(|(pid, _)| still.contains(pid)) {
            match pidfd.signal(signal) {
                Err(error) if !is_gone(&error) => result = Err(error),
                _ => {}
            }
        }
    }
    result
}

/// `ESRCH`: it has ended and was reaped.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(NO_SUCH_PROCESS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{Read, Write};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A child that was born with the mark, in a session that is not its own.
    fn marked(marker: &str) -> Child {
        let (name, value) = marker.split_once('=').unwrap();
        let mut child = Command::new("cat")
            .env(name, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The kernel lays the environment out after it has let the parent of an execve go on: the child has to speak.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        let mut said = [0];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut said)
            .unwrap();
        child
    }

    #[test]
    fn without_a_cgroup_members_are_found_signalled_and_missed() {
        let poll = mio::Poll::new().unwrap();
        let mut sources = Sources::new(poll.registry().try_clone().unwrap());
        let mut watches = Watches::new(&mut sources);
        let mut group = Group::new(UnitId(1), "web", None);
        let marker = format!("INVOCATION_ID=group-test-{}", std::process::id());
        group.add_mark(Mark {
            entry: marker.clone(),
            lock_limit: u64::MAX - 1,
        });
        assert!(group.is_empty());
        let mut child = marked(&marker);
        let pid = Pid::from_raw(child.id()).unwrap();
        assert_eq!(group.members().unwrap(), [pid]);
        group.watch(Watched::Asked, &mut watches);
        group.hold_members(&mut sources);
        group.signal(SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(group.is_empty());
        group.unwatch(&mut sources, &mut watches);
        assert_eq!(group.watched(), Watched::Not);
    }
}
