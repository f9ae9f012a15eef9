//! What services say of themselves, sd_notify(3): the sockets on which they are heard, and who is believed.
//!
//! Owns a socket for each life of a service that may speak. Its name is the life's own: what an older life says cannot
//! be taken for a younger one's, and a successor of this daemon finds it again. A word is read, acted on and written
//! down before it is taken from the socket: a daemon that dies in between leaves it to its successor.

mod store;
mod word;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use mio::Token;

use crate::engine::{Event, Role, RunId, SpawnFailure, UnitId, Word};
use crate::sys::ear::{Along, Ear, Letter, Sender};
use crate::sys::files;
use crate::sys::process::{Pid, PidFd, error_text};
use crate::sys::users::effective_uid;
use crate::unit::{NotifyAccess, Service};
use crate::wire::{Assignment, DATAGRAM_MAX, parse_notify};

use super::environment::Invocation;
use super::keeper::{EAR_KEY, Keeper};
use super::processes::{Processes, Progress, Turn};
use super::readiness::Before;
use super::sources::{Source, Sources};
use super::spawn::failure;

pub(super) use store::{Stores, hand_over};

/// Words of a service that are heard before the end of one of its processes is, at most.
const LAST_WORDS_MAX: u16 = 512;
/// Complaints about the words of one life that are told.
const COMPLAINTS_MAX: u8 = 10;
/// `EADDRINUSE`
const IN_USE: i32 = 98;

/// All sockets, and what was said on them.
#[derive(Debug, Default)]
pub(super) struct Ears {
    map: BTreeMap<UnitId, Box<Hearing>>,
    /// What units have said of themselves last, for the reader.
    said: BTreeMap<UnitId, Box<str>>,
    /// Units whose first word is acted on and not taken yet, with what came along and is not kept. It is closed last,
    /// so that taking the word closes nothing.
    heard: BTreeMap<UnitId, Vec<OwnedFd>>,
    /// What a predecessor has left, and nobody has claimed.
    inherited: Vec<Ear>,
}

/// One life's socket.
#[derive(Debug)]
struct Hearing {
    ear: Ear,
    name: Box<str>,
    token: Token,
    /// The service's user.
    uid: u32,
    /// `NOTIFYACCESS=` takes the place of what the unit says.
    access: Option<NotifyAccess>,
    /// Whom a forking service has named as its main process before its first one ended.
    main: Option<(Pid, PidFd)>,
    /// How many words a process's end has waited for.
    last_words: u16,
    /// That somebody else spoke was told.
    warned: bool,
    /// How much was told of words that make no sense.
    complaints: u8,
}

/// The name of a life's socket, in the abstract space: no folder's mode and no change of root keeps a service from it.
/// That space is a network's own, so that a service with a network of its own has a path, and needs to see `/run`.
fn name(service: &Service, invocation: &Invocation) -> String {
    let own = format!("diakonos-{}", invocation.text());
    let sandbox = service.sandbox.as_deref();
    let is_apart = sandbox.is_some_and(|sandbox| sandbox.private_network);
    // Only root can have that, and can make a path where everybody gets.
    if is_apart && effective_uid() == 0 {
        format!("/run/{own}")
    } else {
        own
    }
}

/// What `NOTIFY_SOCKET` is for the processes of a life, if they may speak.
pub(super) fn address(service: &Service, invocation: &Invocation) -> Option<String> {
    let speaks = service.oversight().access != NotifyAccess::None;
    let name = speaks.then(|| name(service, invocation))?;
    Some(if name.starts_with('/') {
        name
    } else {
        format!("@{name}")
    })
}

impl Ears {
    /// What a unit has said of itself.
    pub(super) fn said(&self, unit: UnitId) -> Option<&str> {
        self.said.get(&unit).map(|text| &**text)
    }

    /// Who speaks for a unit in its present life, where it has said so itself.
    pub(super) fn access(&self, unit: UnitId) -> Option<NotifyAccess> {
        self.map.get(&unit)?.access
    }

    /// Whether that is news.
    pub(super) fn set_access(&mut self, unit: UnitId, access: Option<NotifyAccess>) -> bool {
        let hearing = self.map.get_mut(&unit);
        hearing.is_some_and(|hearing| std::mem::replace(&mut hearing.access, access) != access)
    }

    /// What a predecessor has written down.
    pub(super) fn remember(&mut self, unit: UnitId, said: Option<&str>) {
        if let Some(said) = said {
            self.said.insert(unit, said.into());
        }
    }

    /// A new life begins: what the one before said is no longer true.
    pub(super) fn forget_words(&mut self, unit: UnitId) {
        self.said.remove(&unit);
    }

    fn inherit(&mut self, fds: Vec<OwnedFd>) {
        self.inherited = fds.into_iter().map(Ear::from_owned).collect();
    }

    /// Whom a forking service has named, if it has.
    pub(super) fn take_main(&mut self, unit: UnitId) -> Option<(Pid, PidFd)> {
        self.map.get_mut(&unit)?.main.take()
    }

    /// Every socket.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.map.values().map(|hearing| hearing.ear.as_fd())
    }

    fn open(
        &mut self,
        (unit, uid): (UnitId, u32),
        name: String,
        (sources, keeper): (&mut Sources, &mut Keeper),
    ) -> io::Result<()> {
        if self.map.get(&unit).is_some_and(|old| *old.name == *name) {
            return Ok(());
        }
        self.close(unit, sources, keeper);
        let is_it = |ear: &Ear| ear.name().as_deref() == Some(&*name);
        let ear = match self.inherited.iter().position(is_it) {
            Some(at) => self.inherited.swap_remove(at),
            None => Ear::bind(&name)?,
        };
        let token = sources.add(ear.as_fd(), Source::Notify(unit))?;
        keep(keeper, ear.as_fd());
        let hearing = Hearing {
            ear,
            name: name.into(),
            token,
            uid,
            access: None,
            main: None,
            last_words: 0,
            warned: false,
            complaints: 0,
        };
        self.map.insert(unit, Box::new(hearing));
        Ok(())
    }

    pub(super) fn close(&mut self, unit: UnitId, sources: &mut Sources, keeper: &mut Keeper) {
        let surplus = self.heard.remove(&unit);
        if let Some(hearing) = self.map.remove(&unit) {
            let fd = hearing.ear.as_fd();
            sources.remove(hearing.token, fd);
            hearing.ear.vanish();
            if let Ok(inode) = files::inode(fd) {
                keeper.release_as(inode | EAR_KEY);
            }
            // Words that nobody has heard go with it, and what came along with them.
            hearing.ear.end();
            keeper.closers.close(surplus.into_iter().flatten());
        }
    }
}

/// A successor is to have it.
fn keep(keeper: &mut Keeper, fd: BorrowedFd<'_>) {
    if let Ok(inode) = files::inode(fd) {
        keeper.hold_as(inode | EAR_KEY, fd);
    }
}

impl Processes {
    /// Makes sure that the unit's present life is heard, if it may speak. A new life has said nothing yet.
    pub(super) fn open_ear(
        &mut self,
        (unit, service): (UnitId, &Service),
        uid: u32,
        turn: &mut Turn<'_>,
    ) -> Result<(), SpawnFailure> {
        let Some(hold) = self.holds.get(&unit) else {
            return Ok(());
        };
        if service.oversight().access == NotifyAccess::None {
            self.ears.close(unit, turn.sources, &mut self.keeper);
            return Ok(());
        }
        let name = name(service, &hold.invocation);
        let kept = (&mut *turn.sources, &mut self.keeper);
        let opened = self.ears.open((unit, uid), name, kept);
        opened.map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(0);
            let reason = if errno == IN_USE {
                "its name is taken".to_owned()
            } else {
                error_text(&error)
            };
            failure("notify socket", errno, reason)
        })
    }

    /// Every socket and every stored descriptor, by the keys that the guardian knows them by.
    pub(super) fn kept_as_it_is(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>)> {
        let key = |fd: BorrowedFd<'_>| files::inode(fd).ok().map(|inode| inode | EAR_KEY);
        let ears = self.ears.sockets();
        let ears = ears.filter_map(move |fd| Some((key(fd)?, fd)));
        ears.chain(self.stores.kept())
    }

    /// What a predecessor has left; to be called before any service is taken back.
    pub(super) fn inherit(&mut self) {
        let kept = self.keeper.take_inherited().into_iter();
        let (ears, stored): (Vec<_>, Vec<_>) = kept.partition(|(key, _)| key & EAR_KEY != 0);
        self.ears
            .inherit(ears.into_iter().map(|(_, fd)| fd).collect());
        self.stores.inherit(stored);
    }

    /// Nobody will claim the rest.
    pub(super) fn disinherit(&mut self) {
        self.ears.inherited.drain(..).for_each(|ear| ear.end());
        self.stores.disinherit(&mut self.keeper);
    }

    /// Has the guardian hold every pipe and every socket.
    pub(super) fn keep_for_successor(&mut self) {
        for log in self.holds.values().filter_map(|hold| hold.log.as_ref()) {
            for reader in log.readers() {
                self.keeper.hold(reader);
            }
        }
        for reader in self.before.values().filter_map(Before::reader) {
            self.keeper.hold(reader);
        }
        for hearing in self.ears.map.values() {
            keep(&mut self.keeper, hearing.ear.as_fd());
        }
        for (key, fd) in self.stores.kept() {
            self.keeper.hold_as(key, fd);
        }
    }

    /// Acts on a service's first word, if it has said one. It is taken at the end of the turn. What a stranger has sent
    /// along is never opened here.
    pub(super) fn hear(&mut self, unit: UnitId, turn: &mut Turn<'_>) -> Progress {
        let Some(hearing) = self.ears.map.get(&unit) else {
            return Progress::Drained;
        };
        if self.ears.heard.contains_key(&unit) {
            return Progress::More;
        }
        let mut buffer = [0; DATAGRAM_MAX + 1];
        let mut fds = Vec::new();
        match hearing.ear.peek(&mut buffer, Along::Nothing) {
            Ok(letter) => {
                let words = parse_notify(buffer.get(..letter.length).unwrap_or(&buffer));
                let is_plain = |word: &Assignment| matches!(word, Assignment::Barrier);
                // Who only wants to know when it was heard is told by the word's end.
                if !words.iter().all(is_plain)
                    && let Some(sender) = letter.sender
                    && self.is_heard(unit, &sender, turn)
                {
                    fds = self.read((unit, words, &mut buffer), turn);
                }
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    let what = format!("reading the notify socket: {}", error_text(&error));
                    self.complain(unit, &what, turn);
                }
                return Progress::Drained;
            }
        }
        self.ears.heard.insert(unit, fds);
        Progress::More
    }

    /// Acts on a word of one who seems to be heard. What came along is left where nobody could close it.
    fn read(
        &mut self,
        (unit, words, buffer): (UnitId, Vec<Assignment>, &mut [u8]),
        turn: &mut Turn<'_>,
    ) -> Vec<OwnedFd> {
        let are_full = self.keeper.closers.are_full();
        let along = if are_full { Along::Nothing } else { Along::All };
        let hearing = self.ears.map.get(&unit);
        let letter = hearing.and_then(|hearing| hearing.ear.peek(buffer, along).ok());
        let Some(Letter {
            sender: Some(sender),
            fds,
            cut,
            ..
        }) = letter
        else {
            return Vec::new();
        };
        if !self.is_heard(unit, &sender, turn) {
            return fds;
        }
        if are_full && words.contains(&Assignment::StoreDescriptors) {
            let what =
                "descriptors are not taken: too many that were given before are still being closed";
            self.complain(unit, what, turn);
        } else if cut && !are_full {
            self.complain(unit, "descriptors that came with its word are lost", turn);
        }
        self.obey((unit, &sender), (words, fds), turn)
    }

    /// Tells of a word that makes no sense, as long as there are few of them.
    fn complain(&mut self, unit: UnitId, what: &str, turn: &Turn<'_>) {
        let Some(hearing) = self.ears.map.get_mut(&unit) else {
            return;
        };
        hearing.complaints = hearing.complaints.saturating_add(1);
        let name = turn.engine.unit(unit).map(|unit| unit.name.as_str());
        let name = name.unwrap_or_default();
        if hearing.complaints <= COMPLAINTS_MAX {
            ::log::warn!("{name}: {what}");
        }
        if hearing.complaints == COMPLAINTS_MAX {
            ::log::warn!("{name}: no more is told of its words in this life");
        }
    }

    /// A process has ended: what its service has said before comes before that.
    pub(super) fn hear_last_words(&mut self, run: RunId, turn: &mut Turn<'_>) -> Progress {
        let Some(unit) = self.runs.get(run).map(|run| run.unit) else {
            return Progress::Drained;
        };
        if self.hear(unit, turn) == Progress::More
            && let Some(hearing) = self.ears.map.get_mut(&unit)
            && hearing.last_words < LAST_WORDS_MAX
        {
            hearing.last_words += 1;
            return Progress::More;
        }
        if let Some(hearing) = self.ears.map.get_mut(&unit) {
            hearing.last_words = 0;
        }
        Progress::Drained
    }

    /// At the end of a turn: what was acted on is taken from its socket.
    pub(super) fn take_words(&mut self) {
        for (unit, surplus) in std::mem::take(&mut self.ears.heard) {
            if let Some(hearing) = self.ears.map.get(&unit)
                && let Err(error) = hearing.ear.drop_first()
            {
                let fd = hearing.ear.as_fd().as_raw_fd();
                ::log::warn!("taking a word from socket {fd}: {}", error_text(&error));
            }
            if !surplus.is_empty() {
                self.keeper.closers.close(surplus);
            }
        }
    }

    /// `NotifyAccess=`: whether this process speaks for the service.
    fn is_heard(&mut self, unit: UnitId, sender: &Sender, turn: &Turn<'_>) -> bool {
        let service = turn
            .engine
            .unit(unit)
            .and_then(|unit| unit.service.as_deref());
        let given = service.map(|service| service.oversight().access);
        let hearing = self.ears.map.get(&unit);
        let access = hearing.and_then(|hearing| hearing.access).or(given);
        let is_heard = match access {
            None | Some(NotifyAccess::None) => false,
            Some(NotifyAccess::Main) => self.has_run(unit, sender, &[Role::Start]),
            Some(NotifyAccess::Exec) => self.has_run(unit, sender, &[]),
            Some(NotifyAccess::All) => self.is_of(unit, sender),
        };
        if let (false, Some(hearing)) = (is_heard, self.ears.map.get_mut(&unit))
            && !std::mem::replace(&mut hearing.warned, true)
        {
            let whom = match access {
                Some(NotifyAccess::Main) => "only its main process is heard",
                Some(NotifyAccess::Exec) => "only its main process and commands are heard",
                Some(NotifyAccess::All) => "only its own processes are heard",
                Some(NotifyAccess::None) | None => "nobody is heard",
            };
            let name = turn.engine.unit(unit).map(|unit| unit.name.as_str());
            let name = name.unwrap_or_default();
            let pid = sender.pid;
            ::log::warn!("{name}: PID {pid} spoke for it, and {whom} (NotifyAccess=)");
        }
        is_heard
    }

    /// Whether the sender is one of the unit's runs: in one of these roles, or in any.
    fn has_run(&self, unit: UnitId, sender: &Sender, roles: &[Role]) -> bool {
        self.runs.of(unit).any(|(_, run)| {
            (roles.is_empty() || roles.contains(&run.role))
                && run.pid.as_raw() == sender.pid
                && self.is_same(sender, (run.pid, run.identity))
        })
    }

    /// A number may have passed to another process since; a handle does not.
    fn is_same(&self, sender: &Sender, (pid, identity): (Pid, u64)) -> bool {
        let sent_by = sender.pidfd.as_ref();
        sent_by.is_none_or(|pidfd| match self.identities.of(pid, pidfd) {
            // It is gone since, and its number still is the one of a process that we hold.
            0 => true,
            sent_by => sent_by == identity,
        })
    }

    /// Whether the sender belongs to the unit. One that has ended since is known by its user alone. The socket's
    /// name is no secret: /proc/net/unix tells it to everybody.
    fn is_of(&self, unit: UnitId, sender: &Sender) -> bool {
        if self.has_run(unit, sender, &[]) {
            return true;
        }
        let hearing = self.ears.map.get(&unit);
        let theirs = hearing.is_some_and(|hearing| {
            sender.uid == hearing.uid || sender.uid == 0 || sender.uid == self.ours.uid
        });
        theirs || self.is_member(unit, sender.pid)
    }

    fn is_member(&self, unit: UnitId, pid: u32) -> bool {
        let members = self
            .holds
            .get(&unit)
            .and_then(|hold| hold.group.members().ok());
        Pid::from_raw(pid).is_some_and(|pid| members.is_some_and(|all| all.contains(&pid)))
    }

    /// The main process of the unit's present life.
    fn main_run(&self, unit: UnitId) -> Option<RunId> {
        let mut all = self.runs.of(unit);
        let main = all.rfind(|(_, run)| run.role == Role::Start);
        main.map(|(id, _)| id)
    }

    fn tell_ready(&self, unit: UnitId, turn: &mut Turn<'_>) {
        let event = match self.main_run(unit) {
            Some(run) => Event::Ready { run },
            // Nobody knows its main process, and it may say that it has done reloading.
            None => Event::Said {
                unit,
                word: Word::Ready,
            },
        };
        turn.events.push_back(event);
    }
}
