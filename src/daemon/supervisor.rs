//! The word to whoever supervises this daemon (systemd above all): that it is ready, and that it is ending.
//!
//! Owns what is said by the protocol of sd_notify(3), and the note by which commands know that there is such a one.
//! That nobody hears a word harms nothing here, and is told in the log. What services tell the daemon by the same
//! protocol is not dealt with here.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use crate::sys::process::error_text;
use crate::sys::{clock, files, notify};

use super::Guarded;
use super::home::Home;
use super::keeper::AS_IT_IS;

/// Names the socket that listens, if one does.
const SOCKET: &str = "NOTIFY_SOCKET";
/// How long a supervisor may take to hear that the daemon is ready, before its loop begins.
const PATIENCE: Duration = Duration::from_millis(500);
/// The first descriptor that a supervisor hands over, and how many may follow.
const FIRST_GIVEN: i32 = 3;
const GIVEN_MAX: u32 = 65_536;
/// Bytes of the note: more than a boot's name has.
const NOTE_LIMIT: usize = 64;
/// What a supervisor hands to its own child alone; a service that inherited it would speak in the daemon's name.
const OURS_ALONE: [&str; 7] = [
    SOCKET,
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
];

/// Whoever started this daemon and wants to know how it is.
#[derive(Debug)]
pub(super) struct Supervisor {
    socket: Option<OsString>,
}

impl Supervisor {
    /// The one that the environment names.
    pub(super) fn find() -> Self {
        let socket = std::env::var_os(SOCKET).filter(|name| !name.is_empty());
        Self { socket }
    }

    /// Clients are heard, and what a predecessor left is taken back.
    pub(super) fn ready(&self, home: &Path) {
        let home = home.display().to_string().replace(char::is_control, "?");
        self.say(&format!("READY=1\nSTATUS=Serving {home}\n"), Some(PATIENCE));
    }

    /// From here on there is no way back.
    pub(super) fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=Stopping every service\n", None);
    }

    fn say(&self, text: &str, patience: Option<Duration>) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = notify::send(socket, text.as_bytes(), None, patience) {
            let (socket, reason) = (socket.display(), error_text(&error));
            let word = text.split('=').next().unwrap_or_default();
            ::log::warn!("{word} was not sent to {SOCKET}={socket}: {reason}");
        }
    }
}

/// What a supervisor keeps open for this daemon's successor: systemd's store of descriptors. Like a guardian it has the
/// read ends of the services' output, so that what is in a pipe outlives a writer that ends while nobody reads.
#[derive(Debug)]
pub(super) struct Store {
    socket: OsString,
    /// What found no room, oldest first.
    unsent: VecDeque<(String, Option<OwnedFd>)>,
    health: Health,
}

/// Whether words arrive: said once when they do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    Failing,
}

impl Store {
    /// The supervisor's, if it wants to be spoken to.
    pub(super) fn find() -> Option<Self> {
        let socket = Supervisor::find().socket?;
        let (unsent, health) = (VecDeque::new(), Health::Good);
        Some(Self {
            socket,
            unsent,
            health,
        })
    }

    /// The pipe with this inode is to stay open. A predecessor's end of it is given back: there would be more of them
    /// with each daemon.
    pub(super) fn keep(&mut self, inode: u64, reader: BorrowedFd<'_>) {
        self.forget(inode);
        // Else it would be closed as soon as its last writer is gone, which is what it is kept for.
        let text = format!("FDSTORE=1\nFDNAME=log-{inode}\nFDPOLL=0\n");
        match reader.try_clone_to_owned() {
            Ok(reader) => self.unsent.push_back((text, Some(reader))),
            Err(error) => self.failed(&error),
        }
        self.send();
    }

    /// Nothing of use is in it any more.
    pub(super) fn forget(&mut self, inode: u64) {
        let name = format!("FDNAME=log-{inode}\n");
        // A supervisor that reads no more must not cost a descriptor for each pipe that ever was.
        self.unsent.retain(|(text, _)| !text.contains(&name));
        let text = format!("FDSTOREREMOVE=1\n{name}");
        self.unsent.push_back((text, None));
        self.send();
    }

    /// What finds no room is sent with the next word.
    fn send(&mut self) {
        while let Some((text, fd)) = self.unsent.front() {
            let fd = fd.as_ref().map(AsFd::as_fd);
            match notify::send(&self.socket, text.as_bytes(), fd, None) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => self.failed(&error),
                Ok(()) => self.health = Health::Good,
            }
            self.unsent.pop_front();
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if self.health == Health::Good {
            self.health = Health::Failing;
            let reason = error_text(error);
            ::log::warn!("output is not kept for a successor by {SOCKET}: {reason}");
        }
    }
}

/// What a supervisor kept for this daemon and gave it again, sd_listen_fds(3), by the keys that it was kept as. It has
/// copies of its own. To be called before anything else has opened a descriptor by such a number.
pub(super) fn take_given() -> Vec<(u64, OwnedFd)> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let is_ours = number("LISTEN_PID") == Some(std::process::id());
    let count = number("LISTEN_FDS").filter(|_| is_ours).unwrap_or(0);
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let fds = (FIRST_GIVEN..).take(count.min(GIVEN_MAX) as usize);
    let given = fds.filter_map(|fd| {
        let key = names.next().and_then(|name| name.strip_prefix("log-"));
        // One that is not open does not have to be closed.
        let fd = files::take_inherited(fd).ok()?;
        Some((key?.parse().ok()?, fd))
    });
    let mut kept = given.collect::<Vec<_>>();
    // Pipes are opened by their names.
    kept.retain(|(key, _)| key & AS_IT_IS != 0);
    kept
}

/// Notes who makes the daemon's successor. A command that finds it dead leaves that to its supervisor for a while. One
/// that has no word to be told writes the note itself, as the `run` program for runit does.
pub(super) fn note(home: &Home, guarded: Guarded) {
    let path = home.supervised();
    let noted = match guarded {
        Guarded::ByOthers if Supervisor::find().socket.is_none() => return,
        Guarded::ByOthers => clock::boot_id().and_then(|boot| std::fs::write(&path, boot)),
        Guarded::ByUs => std::fs::remove_file(&path),
    };
    match noted {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            ::log::warn!("cannot change {}: {}", path.display(), error_text(&error));
        }
        _ => {}
    }
}

/// Whether somebody was, in this boot of the machine, to make a successor of this home's daemon.
#[must_use]
pub fn has_supervisor(home: &Home) -> bool {
    let note = files::read_regular(&home.supervised(), NOTE_LIMIT);
    let boot = clock::boot_id().unwrap_or_default();
    note.is_ok_and(|note| !boot.is_empty() && note.bytes.trim_ascii_end() == boot.as_bytes())
}

/// Whether this variable is no service's, even if its unit asks for it.
pub(super) fn is_ours_alone(name: &str) -> bool {
    OURS_ALONE.contains(&name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    #[test]
    fn a_supervisor_that_reads_nothing_costs_no_descriptor_of_a_pipe_that_is_gone() {
        let name = format!("diakonos-store-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _ear = UnixDatagram::bind_addr(&address).unwrap();
        let mut store = Store {
            socket: format!("@{name}").into(),
            unsent: VecDeque::new(),
            health: Health::Good,
        };
        let (reader, _writer) = files::pipe().unwrap();
        let mut inode = 0;
        while store.unsent.len() < 20 {
            inode += 1;
            store.keep(inode, reader.as_fd());
            store.forget(inode);
        }
        assert!(store.unsent.iter().all(|(_, fd)| fd.is_none()));
        // The newest wish about a pipe is the one that counts.
        store.keep(inode, reader.as_fd());
        let (last, fd) = store.unsent.back().unwrap();
        assert!(last.starts_with("FDSTORE=1\n") && fd.is_some());
    }
}
