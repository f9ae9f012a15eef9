//! What the loop waits on: each registered descriptor has a token, each token a meaning.
//!
//! Owns the map from token to [`Source`] and nothing else: the descriptors belong to whoever registered them. Tokens
//! come from a counter and are never given out twice, so that a late event for a forgotten descriptor means nothing.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::engine::{RunId, UnitId};
use crate::log::Stream;

/// One client's connection; from a counter, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionId(pub(super) u64);

/// What a ready descriptor is to the daemon, in the order in which a turn serves them: a process's end and a client
/// come before a log byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// Where a service speaks of itself: before its end, which may come at once.
    Notify(UnitId),
    /// The pipe on which a newborn child tells how far it came.
    ExecStatus(RunId),
    /// A run's pidfd: readable once the process has ended.
    Exit(RunId),
    /// A process of a unit's group that is no run: readable once it has ended.
    Member(UnitId),
    /// The socket or the process of a look whether this main process is ready.
    Probe(RunId),
    /// The one inotify descriptor: PID files and `cgroup.events`.
    Inotify,
    /// SIGTERM, SIGINT, SIGHUP and SIGCHLD.
    Signals,
    /// The pidfd of the program that may follow us, while it reads what it will find.
    Rehearsal,
    /// The pidfd of the program that packs an old log file.
    Packing,
    /// The channel to the guardian: it has read, or died.
    Guardian,
    /// The control socket, where clients knock.
    Listener,
    Session(SessionId),
    /// Something that a unit has stored: its other end has hung up.
    Stored(UnitId),
    /// The read end of a unit's log FIFO.
    LogPipe(UnitId, Stream),
}

/// All that is registered with the poll.
#[derive(Debug)]
pub(super) struct Sources {
    registry: Registry,
    map: BTreeMap<Token, Source>,
    next: usize,
}

impl Sources {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry,
            map: BTreeMap::new(),
            next: 0,
        }
    }

    /// Registers `fd` for reading, edge-triggered: whoever is told that it is ready reads until it would block.
    pub(super) fn add(&mut self, fd: BorrowedFd<'_>, source: Source) -> io::Result<Token> {
        self.register(fd, source, Interest::READABLE)
    }

    /// Only its end is told, not that it can be read.
    pub(super) fn add_end(&mut self, fd: BorrowedFd<'_>, source: Source) -> io::Result<Token> {
        self.register(fd, source, Interest::PRIORITY)
    }

    /// The same for reading and writing.
    pub(super) fn add_read_write(
        &mut self,
        fd: BorrowedFd<'_>,
        source: Source,
    ) -> io::Result<Token> {
        self.register(fd, source, Interest::READABLE.add(Interest::WRITABLE))
    }

    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        source: Source,
        interest: Interest,
    ) -> io::Result<Token> {
        let token = Token(self.next);
        self.registry
            .register(&mut SourceFd(&fd.as_raw_fd()), token, interest)?;
        self.next += 1;
        self.map.insert(token, source);
        Ok(token)
    }

    /// Forgets a descriptor, which must still be open. An event that already waits for its token then means nothing.
    pub(super) fn remove(&mut self, token: Token, fd: BorrowedFd<'_>) {
        if self.map.remove(&token).is_some() {
            // It fails only for a descriptor that the poll does not hold, which is what is wanted.
            let _ = self.registry.deregister(&mut SourceFd(&fd.as_raw_fd()));
        }
    }

    /// What a token of an event means; `None` if it was forgotten meanwhile.
    pub(super) fn get(&self, token: Token) -> Option<Source> {
        self.map.get(&token).copied()
    }
}
