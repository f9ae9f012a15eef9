//! The daemon's side of the channel to its guardian: what is to be kept for a successor is said there.
//!
//! Owns the channel's end and what could not be sent yet. The daemon never waits here: what finds no room is sent when
//! the guardian has read. One without a guardian says all this to nobody.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use mio::Token;

use crate::sys::channel::Channel;
use crate::sys::detach::{Detached, start_detached};
use crate::sys::process::{Pid, error_text};
use crate::sys::received::Closers;
use crate::sys::{clock, files};

use super::guardian::GUARD_OPTION;
use super::guardian::message::{Message, Note};
use super::sources::{Source, Sources};
use super::supervisor::Store;

/// A guardian that lives no longer than this has died at once.
const QUICK_MS: u64 = 10_000;
/// So many that die at once are enough.
const QUICK_MAX: u32 = 5;
/// Bits of a key that say that its descriptor is of use as it is. Other keys are inodes, which are smaller.
pub(super) const AS_IT_IS: u64 = EAR_KEY | STORED_KEY;
/// Marks those of sockets that services speak to.
pub(super) const EAR_KEY: u64 = 1 << 63;
/// Marks those of what services have stored.
pub(super) const STORED_KEY: u64 = 1 << 62;
/// Marks those among them that are in flight.
pub(super) const IN_FLIGHT_KEY: u64 = 1 << 61;
/// How long after a guardian could not be made it is tried again.
const AGAIN_MS: u64 = 60_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    link: Option<Link>,
    /// Of a daemon without a guardian, where its supervisor has one.
    store: Option<Store>,
    /// How many guardians have died one after the other, each soon after it was made.
    quick: u32,
    /// When another one is to be tried, since there is none that should be; monotonic.
    again_ms: Option<u64>,
    /// What a predecessor had kept for us, until it is taken.
    inherited: Vec<(u64, OwnedFd)>,
    /// Of what others have sent us.
    pub(super) closers: Closers,
}

#[derive(Debug)]
struct Link {
    channel: Channel,
    guardian: Pid,
    watched: Option<(Token, Interest)>,
    /// What found no room, oldest first.
    unsent: VecDeque<Unsent>,
    /// Monotonic.
    since_ms: u64,
}

#[derive(Debug)]
struct Unsent {
    message: Message,
    fds: Vec<OwnedFd>,
}

impl Unsent {
    fn let_go(self, closers: &mut Closers) {
        match self.message {
            Message::Hold(key) => let_go(key, self.fds, closers),
            _ => drop(self.fds),
        }
    }
}

/// Closes what is or was held as this: what is stored came from others. What came to a socket is not ours to drop: the
/// socket may be in use.
pub(super) fn let_go(key: u64, fds: impl IntoIterator<Item = OwnedFd>, closers: &mut Closers) {
    if key & STORED_KEY != 0 {
        closers.close(fds);
    } else {
        fds.into_iter().for_each(drop);
    }
}

/// What the loop is to tell of the channel: room would be told each time that the guardian reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interest {
    End,
    EndAndRoom,
}

impl Keeper {
    /// Of a daemon that this guardian has made.
    pub(super) fn of(guardian: Pid, channel: Channel) -> Self {
        let link = Link {
            channel,
            guardian,
            watched: None,
            unsent: VecDeque::new(),
            since_ms: clock::monotonic_ms(),
        };
        let link = Some(link);
        Self {
            link,
            ..Self::default()
        }
    }

    /// Of a daemon whose successors others make.
    pub(super) fn of_supervisor(given: Vec<(u64, OwnedFd)>) -> Self {
        Self {
            inherited: given,
            store: Store::find(),
            ..Self::default()
        }
    }

    /// What was kept for us: the rest of it, which is opened by name, is closed.
    pub(super) fn inherit(&mut self, kept: Vec<(u64, OwnedFd)>) {
        let as_it_is = |kept: &(u64, OwnedFd)| kept.0 & AS_IT_IS != 0;
        self.inherited = kept.into_iter().filter(as_it_is).collect();
    }

    /// Each of these is given once, with the key that it was held as.
    pub(super) fn take_inherited(&mut self) -> Vec<(u64, OwnedFd)> {
        std::mem::take(&mut self.inherited)
    }

    /// Who keeps for us, if somebody does.
    pub(super) fn guardian(&self) -> Option<Pid> {
        self.link.as_ref().map(|link| link.guardian)
    }

    /// The channel's end, for one who hands it over.
    pub(super) fn channel(&self) -> Option<&Channel> {
        self.link.as_ref().map(|link| &link.channel)
    }

    /// From now on the loop tells when the guardian has died; and when it has read, as long as something is unsent. To
    /// be called again whenever much may have been said.
    pub(super) fn watch(&mut self, sources: &mut Sources) -> io::Result<()> {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let wanted = if link.unsent.is_empty() {
            Interest::End
        } else {
            Interest::EndAndRoom
        };
        let fd = link.channel.as_fd();
        match link.watched {
            Some((_, interest)) if interest == wanted => return Ok(()),
            Some((token, _)) => sources.remove(token, fd),
            None => {}
        }
        link.watched = None;
        let token = match wanted {
            Interest::End => sources.add(fd, Source::Guardian),
            Interest::EndAndRoom => sources.add_read_write(fd, Source::Guardian),
        };
        link.watched = Some((token?, wanted));
        Ok(())
    }

    /// The read end of a FIFO: it is to stay open when we die, so that what is in it outlives its writer.
    pub(super) fn hold(&mut self, reader: BorrowedFd<'_>) {
        if let Ok(key) = files::inode(reader) {
            self.hold_as(key, reader);
        }
    }

    /// The same for anything else, under a key by which a successor knows it.
    pub(super) fn hold_as(&mut self, key: u64, reader: BorrowedFd<'_>) {
        if let Some(link) = &mut self.link {
            link.say(Message::Hold(key), &[reader], &mut self.closers);
        }
        if let Some(store) = &mut self.store {
            store.keep(key, reader);
        }
    }

    /// It is about to be closed, and nothing of use is in it.
    pub(super) fn release(&mut self, reader: BorrowedFd<'_>) {
        if let Ok(key) = files::inode(reader) {
            self.release_as(key);
        }
    }

    /// What was held under this key is of no use any more.
    pub(super) fn release_as(&mut self, key: u64) {
        if let Some(store) = &mut self.store {
            store.forget(key);
        }
        if let Some(link) = &mut self.link {
            let wish = Message::Hold(key);
            match link.unsent.iter().position(|unsent| unsent.message == wish) {
                Some(at) => {
                    if let Some(unsent) = link.unsent.remove(at) {
                        unsent.let_go(&mut self.closers);
                    }
                }
                None => link.say(Message::Release(key), &[], &mut self.closers),
            }
        }
    }

    /// What a successor needs beside what was inherited: our place, with the lock and the listening socket.
    pub(super) fn seat(&mut self, note: Note, fds: [BorrowedFd<'_>; 2]) {
        if let Some(link) = &mut self.link {
            link.say(Message::Seat(note), &fds, &mut self.closers);
        }
    }

    /// We serve, and hold all that we know of. Ends [`Keeper::busy`].
    pub(super) fn ready(&mut self) {
        self.say(Message::Ready);
    }

    /// Until [`Keeper::ready`] no process that ends is to be reaped: we are about to become another program. Whoever
    /// has said this once more serves what is ready, for what ended before.
    pub(super) fn busy(&mut self) {
        self.say(Message::Busy);
    }

    /// Whether nothing waits to be sent.
    pub(super) fn has_said_all(&self) -> bool {
        self.link.as_ref().is_none_or(|link| link.unsent.is_empty())
    }

    /// Everything is down, and we end: no successor is wanted.
    pub(super) fn over(&mut self) {
        self.say(Message::Over);
    }

    /// The guardian is to become this program, too. What it holds goes with it: it has to be told everything anew.
    pub(super) fn replace(&mut self, program: &Path) {
        self.say(Message::Successor(program.to_owned()));
    }

    fn say(&mut self, message: Message) {
        if let Some(link) = &mut self.link {
            link.say(message, &[], &mut self.closers);
        }
    }

    /// The channel has an event. The answer: the guardian that has died; there is none from then on.
    pub(super) fn woken(&mut self, sources: &mut Sources) -> Option<Pid> {
        let link = self.link.as_mut()?;
        link.send_unsent(&mut self.closers);
        if link.is_alive() {
            return None;
        }
        let guardian = link.guardian;
        if let Some((token, _)) = link.watched {
            sources.remove(token, link.channel.as_fd());
        }
        let lived_ms = clock::monotonic_ms().saturating_sub(link.since_ms);
        self.quick = if lived_ms < QUICK_MS {
            self.quick + 1
        } else {
            0
        };
        for unsent in link.unsent.drain(..) {
            unsent.let_go(&mut self.closers);
        }
        self.link = None;
        Some(guardian)
    }

    /// When [`Keeper::renew`] is to be tried again, monotonic milliseconds; nothing while that is not wanted.
    pub(super) fn again_ms(&self) -> Option<u64> {
        self.again_ms
    }

    /// It is worth while to try again now, unless those that were made have died at once.
    pub(super) fn hasten(&mut self) {
        if self.again_ms.is_some() && self.quick < QUICK_MAX {
            self.again_ms = Some(clock::monotonic_ms());
        }
    }

    /// Makes another guardian, of our own program in a process of its own. It has to be told everything.
    ///
    /// # Errors
    /// A sentence without subject: why there is none. It is to be tried again at [`Keeper::again_ms`].
    pub(super) fn renew(&mut self) -> Result<Pid, String> {
        let now_ms = clock::monotonic_ms();
        let is_again = self.again_ms.is_some_and(|again_ms| again_ms <= now_ms);
        self.again_ms = Some(now_ms.saturating_add(AGAIN_MS));
        if self.quick >= QUICK_MAX && !is_again {
            return Err(format!("{QUICK_MAX} have died at once"));
        }
        let made = Channel::pair().and_then(|(ours, theirs)| Ok((ours, start(theirs)?)));
        let (channel, guardian) = made.map_err(|error| error_text(&error))?;
        let (quick, closers) = (self.quick, std::mem::take(&mut self.closers));
        *self = Self {
            quick,
            closers,
            ..Self::of(guardian, channel)
        };
        Ok(guardian)
    }
}

/// Starts a guardian with this end of the channel.
fn start(channel: Channel) -> io::Result<Pid> {
    let path = std::env::current_exe()?;
    // The program may have been replaced; the one that we are is there as long as we are.
    let path = if path.exists() {
        path.into_os_string()
    } else {
        OsString::from("/proc/self/exe")
    };
    let program = CString::new(path.into_vec())?;
    let words = [&program, c"daemon", GUARD_OPTION, c"3"].map(CStr::to_owned);
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        let entry = [name.as_bytes(), b"=", value.as_bytes()].concat();
        CString::new(entry).ok()
    });
    let (output, errors) = (std::io::stdout(), std::io::stderr());
    start_detached(Detached {
        program: program.clone(),
        argv: words.to_vec(),
        environment: environment.collect(),
        output: Some(output.as_fd()),
        errors: errors.as_fd(),
        ready: channel.into(),
    })
}

impl Link {
    fn say(&mut self, message: Message, fds: &[BorrowedFd<'_>], closers: &mut Closers) {
        // The order is kept.
        self.send_unsent(closers);
        if self.unsent.is_empty() {
            match self.channel.send(&message.encode(), fds) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // That nobody reads any more is told by an event.
                Ok(()) | Err(_) => return,
            }
        }
        let copies = fds.iter().map(|fd| fd.try_clone_to_owned()).collect();
        match copies {
            Ok(fds) => self.unsent.push_back(Unsent { message, fds }),
            Err(error) => {
                let reason = error_text(&error);
                ::log::warn!("output is not kept for a successor: {reason}");
            }
        }
    }

    fn send_unsent(&mut self, closers: &mut Closers) {
        while let Some(unsent) = self.unsent.pop_front() {
            let fds: Vec<BorrowedFd<'_>> = unsent.fds.iter().map(AsFd::as_fd).collect();
            match self.channel.send(&unsent.message.encode(), &fds) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.unsent.push_front(unsent);
                }
                Ok(()) | Err(_) => unsent.let_go(closers),
            }
        }
    }

    /// What the guardian says only asks whether we are there; so all that counts is its end.
    fn is_alive(&self) -> bool {
        let mut nothing = [0; 1];
        loop {
            match self.channel.receive(&mut nothing) {
                Ok(passed) if passed.length > 0 => {}
                Ok(_) => return false,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }
}
