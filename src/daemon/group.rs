//! All processes of one unit, whoever they are by now: who belongs to it, signals to all, and the moment when none is
//! left.
//!
//! Where a cgroup v2 can be made, the kernel keeps the list. Elsewhere members are found: by the sessions of the
//! processes that we started, by descent from them, and by a mark that they inherit, in their environment and in a
//! limit that limits nothing. A process can leave its session and its parents behind and overwrite its environment, as
//! daemons do that show a title; the limit it keeps.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use mio::Token;

use crate::engine::UnitId;
use crate::sorted;
use crate::sys::cgroup::{Cgroup, Tree};
use crate::sys::clock;
use crate::sys::inotify::Watch;
use crate::sys::kin::{Kin, Member, with_descendants};
use crate::sys::proc::Mark;
use crate::sys::process::{Pid, PidFd, error_text};

use super::sources::{Source, Sources};
use super::watches::{Purpose, Watches};

const SIGKILL: i32 = 9;
/// How often SIGKILL to all looks for new members where there is no cgroup. Whoever forks faster than this gets it when
/// it is seen next.
const KILL_ROUNDS: usize = 16;
/// The same for other signals. Against one that ignores them, more of it would only take time: its processes leave us
/// little.
const ROUNDS: usize = 2;
/// `ESRCH`.
const NO_SUCH_PROCESS: i32 = 3;
/// How many members are held at once, to notice the end of the last one.
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
    end: Doom,
    /// Members whose end is waited for, of [`heads_of`].
    held: Vec<Held>,
}

/// Where processes that bear a mark can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Descent {
    /// This daemon started them all: each descends from one of its children.
    #[default]
    Ours,
    /// A predecessor started some: anybody may be their parent.
    Any,
}

/// Whether all members were sent SIGKILL: those that have escaped it get it when they are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Doom {
    #[default]
    None,
    Killed,
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

    /// What members bear, where there is no cgroup.
    pub(super) fn marks(&self) -> &[Mark] {
        match &self.kind {
            Kind::Cgroup(_) => &[],
            Kind::Found(found) => &found.marks,
        }
    }

    pub(super) fn watched(&self) -> Watched {
        self.watch
    }

    /// A new life of the service begins, whose processes bear this mark.
    pub(super) fn add_mark(&mut self, mark: Mark, kin: &mut Kin) {
        let Kind::Found(found) = &mut self.kind else {
            return;
        };
        found.end = Doom::None;
        let is_restored = found.marks.is_empty() && found.descent == Descent::Any;
        if !found.marks.is_empty() {
            kin.refresh();
        }
        if is_restored || !heads_of(found, kin).is_empty() {
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
            sorted::sort(&mut found.roots);
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
            Kind::Found(found) => {
                let heads = heads_of(found, &mut Kin::fresh());
                Ok(heads.iter().map(|head| head.pid).collect())
            }
        }
    }

    /// The same, asked of the kernel anew.
    pub(super) fn has_no_head(&self) -> bool {
        self.heads().is_ok_and(|heads| heads.is_empty())
    }

    /// Whether no member lives. What cannot be read counts as not empty: nothing is forgotten on a guess.
    pub(super) fn is_empty(&self, kin: &mut Kin) -> bool {
        match &self.kind {
            Kind::Cgroup(cgroup) => cgroup.populated().is_ok_and(|populated| !populated),
            Kind::Found(found) => {
                kin.refresh();
                heads_of(found, kin).is_empty()
            }
        }
    }

    /// Sends a signal to every member. One that has just ended is no error.
    pub(super) fn signal(&mut self, signal: i32, kin: &mut Kin) -> io::Result<()> {
        match &mut self.kind {
            Kind::Cgroup(cgroup) if signal == SIGKILL => cgroup.kill(),
            Kind::Cgroup(cgroup) => cgroup.signal_all(signal, None).map(drop),
            Kind::Found(found) => {
                if signal == SIGKILL {
                    found.end = Doom::Killed;
                }
                signal_found(found, signal, kin)
            }
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

    /// Looks who is left; when one that was held has ended, others take its place. Whether anybody's end will be told
    /// of; else there is nobody any more, or nobody can be held.
    pub(super) fn hold_members(&mut self, sources: &mut Sources, kin: &mut Kin) -> bool {
        let (unit, Kind::Found(found)) = (self.unit, &mut self.kind) else {
            return true;
        };
        if found.end == Doom::Killed {
            // Who may not be signalled is told of by whoever sent the first one.
            let _ = signal_found(found, SIGKILL, kin);
        }
        kin.refresh();
        let heads = heads_of(found, kin);
        let members: Vec<Pid> = heads.iter().map(|head| head.pid).collect();
        found.held.retain(|held| {
            let stays = members.contains(&held.pid);
            if !stays {
                release(sources, held);
            }
            stays
        });
        for pid in members {
            if found.held.len() == HELD_MAX {
                break;
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
        !found.held.is_empty()
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
    let all = who_is_in(found, &mut Kin::fresh());
    let mut pids: Vec<Pid> = all.iter().map(|member| member.pid).collect();
    sorted::sort(&mut pids);
    pids
}

fn who_is_in(found: &Found, kin: &mut Kin) -> Vec<Member> {
    let heads = heads_of(found, kin);
    match found.descent {
        Descent::Any => heads,
        Descent::Ours => with_descendants(heads),
    }
}

/// Those members whose ends tell when none is left, and none while there is no member.
fn heads_of(found: &Found, kin: &mut Kin) -> Vec<Member> {
    match found.descent {
        _ if found.marks.is_empty() => Vec::new(),
        Descent::Ours => kin.heads(&found.roots, &found.marks, found.since_ms),
        Descent::Any => kin.census().members(&found.roots, &found.marks),
    }
}

/// Each member is held first and looked at again: only who is still the process that was found gets the signal, so no
/// number is mistaken. Those that are born meanwhile are found by the next round.
fn signal_found(found: &Found, signal: i32, kin: &mut Kin) -> io::Result<()> {
    let mut done: BTreeSet<Member> = BTreeSet::new();
    let mut result = Ok(());
    let rounds = match signal {
        SIGKILL => KILL_ROUNDS,
        _ => ROUNDS,
    };
    for round in 0..rounds {
        let known = || done.iter().copied().collect();
        let mut members = match found.descent {
            // To look at everybody again takes long, and who was born meanwhile is most likely a child of these.
            Descent::Any if round > 0 && signal != SIGKILL => with_descendants(known()),
            Descent::Any | Descent::Ours => {
                if round > 0 {
                    kin.look_anew();
                }
                kin.refresh();
                who_is_in(found, kin)
            }
        };
        members.retain(|member| done.insert(*member));
        if members.is_empty() {
            break;
        }
        for member in members {
            let sent = PidFd::open(member.pid).and_then(|pidfd| match member.is_there() {
                true => pidfd.signal(signal),
                false => Ok(()),
            });
            match sent {
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
        let mut kin = Kin::default();
        let mark = Mark {
            entry: marker.clone(),
            lock_limit: u64::MAX - 1,
        };
        group.add_mark(mark, &mut kin);
        assert!(group.is_empty(&mut kin));
        let mut child = marked(&marker);
        let pid = Pid::from_raw(child.id()).unwrap();
        assert_eq!(group.members().unwrap(), [pid]);
        group.watch(Watched::Asked, &mut watches);
        group.hold_members(&mut sources, &mut kin);
        group.signal(SIGKILL, &mut kin).unwrap();
        child.wait().unwrap();
        assert!(group.is_empty(&mut kin));
        group.unwatch(&mut sources, &mut watches);
        assert_eq!(group.watched(), Watched::Not);
    }
}
