//! The daemon's side of the channel to its guardian: what is to be kept for a successor is said there.
//!
//! Owns the channel's end and what could not be sent yet. The daemon never waits here: what finds no room is sent when
//! the guardian has read. One without a guardian says all this to nobody.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use mio::Token;

use crate::sys::channel::Channel;
use crate::sys::files;
use crate::sys::process::{Pid, error_text};

use super::guardian::message::Message;
use super::sources::{Source, Sources};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    link: Option<Link>,
}

#[derive(Debug)]
struct Link {
    channel: Channel,
    guardian: Pid,
    token: Option<Token>,
    /// What found no room, oldest first.
    unsent: VecDeque<Unsent>,
}

#[derive(Debug)]
struct Unsent {
    message: Message,
    fds: Vec<OwnedFd>,
}

/// What came of looking at the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    Fine,
    /// The guardian with this number has died.
    Died(Pid),
}

impl Keeper {
    /// Of a daemon that this guardian has made.
    pub(super) fn of(guardian: Pid, channel: Channel) -> Self {
        let link = Link {
            channel,
            guardian,
            token: None,
            unsent: VecDeque::new(),
        };
        Self { link: Some(link) }
    }

    /// Who keeps for us, if somebody does.
    pub(super) fn guardian(&self) -> Option<Pid> {
        self.link.as_ref().map(|link| link.guardian)
    }

    /// The channel's end, for one who hands it over.
    pub(super) fn channel(&self) -> Option<&Channel> {
        self.link.as_ref().map(|link| &link.channel)
    }

    /// From now on the loop tells when the guardian has read, or died.
    pub(super) fn watch(&mut self, sources: &mut Sources) -> io::Result<()> {
        if let Some(link) = &mut self.link {
            let token = sources.add_read_write(link.channel.as_fd(), Source::Guardian)?;
            link.token = Some(token);
        }
        Ok(())
    }

    /// The read end of a FIFO: it is to stay open when we die, so that what is in it outlives its writer.
    pub(super) fn hold(&mut self, reader: BorrowedFd<'_>) {
        if let (Some(link), Ok(key)) = (&mut self.link, files::inode(reader)) {
            link.say(Message::Hold(key), &[reader]);
        }
    }

    /// It is about to be closed, and nothing of use is in it.
    pub(super) fn release(&mut self, reader: BorrowedFd<'_>) {
        if let (Some(link), Ok(key)) = (&mut self.link, files::inode(reader)) {
            let before = link.unsent.len();
            link.unsent
                .retain(|unsent| unsent.message != Message::Hold(key));
            if link.unsent.len() == before {
                link.say(Message::Release(key), &[]);
            }
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

    /// Everything is down, and we end: no successor is wanted.
    pub(super) fn over(&mut self) {
        self.say(Message::Over);
    }

    /// The guardian is to become this program, too.
    pub(super) fn replace(&mut self, program: &Path) {
        self.say(Message::Successor(program.to_owned()));
    }

    fn say(&mut self, message: Message) {
        if let Some(link) = &mut self.link {
            link.say(message, &[]);
        }
    }

    /// The channel has an event. One whose guardian has died has none from then on.
    pub(super) fn woken(&mut self, sources: &mut Sources) -> Looked {
        let Some(link) = &mut self.link else {
            return Looked::Fine;
        };
        link.send_unsent();
        if link.is_alive() {
            return Looked::Fine;
        }
        let guardian = link.guardian;
        if let Some(token) = link.token {
            sources.remove(token, link.channel.as_fd());
        }
        self.link = None;
        Looked::Died(guardian)
    }
}

impl Link {
    fn say(&mut self, message: Message, fds: &[BorrowedFd<'_>]) {
        // The order is kept.
        self.send_unsent();
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

    fn send_unsent(&mut self) {
        while let Some(Unsent { message, fds }) = self.unsent.front() {
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            match self.channel.send(&message.encode(), &fds) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(()) | Err(_) => drop(self.unsent.pop_front()),
            }
        }
    }

    /// The guardian never says anything: what can be read is its end.
    fn is_alive(&self) -> bool {
        let mut nothing = [0; 1];
        match self.channel.receive(&mut nothing) {
            Ok(passed) => passed.length > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}
