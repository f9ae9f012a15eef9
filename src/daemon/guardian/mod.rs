//! The guardian: the daemon's small parent. It makes daemons, one after the other, and keeps what each needs of the one
//! before.
//!
//! Owns the loop that waits for the daemon's end, for signals and for what the daemon has to say; the lock, the
//! listening socket and the read ends of log FIFOs, all of which are the daemon's, too. It does next to nothing, so
//! that nothing in it can go wrong, and allocates next to nothing: its pages are the daemon's as long as neither writes
//! to them.

mod inherit;
pub(super) mod message;
mod patience;

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;

use crate::sys::channel::{Channel, Passed};
use crate::sys::fork::{self, Fork};
use crate::sys::poll::wait_readable;
use crate::sys::process::{Pid, PidFd, Wait, become_subreaper, error_text, reap_orphans};
use crate::sys::received::Closers;
use crate::sys::signals::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SignalFd};
use crate::sys::stranger::wait_for_stranger;
use crate::sys::{clock, memory, proc};

use super::boot::{BootError, Ready, Seat};
use super::ends::ending;
use super::keeper::{Keeper, let_go};
use inherit::become_guardian;
pub(super) use inherit::{Inherited, inherit};
use message::{MESSAGE_MAX, Message, Note};
use patience::{Fault, Patience};

/// How long after something has happened we reap and give memory back. Where the kernel forgets a status with its
/// process, the daemon has about so long to look at it.
const REST_MS: u64 = 1_000;
/// How long we wait at most until what services have stored is closed: before a daemon is made, which would have it as
/// well, and before we become another program.
const SETTLE_MS: u64 = 100;

/// The option by which a new process learns of the channel that it is to guard.
pub(super) const GUARD_OPTION: &CStr = c"--guard";
/// The option by which it learns what this process held as the program before.
const HELD_OPTION: &CStr = c"--held";

/// How a daemon ended that is to have no successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As it was told to.
    InOrder,
    /// It never served; it has said why.
    NeverServed,
}

/// Who comes out of [`guard`].
pub(super) enum Post {
    /// A process that is to be the daemon, in the place of its guardian.
    Daemon(Box<Seat>, Ready, Box<Keeper>),
    /// The guardian, which has nobody left to guard.
    Guardian(Ended),
}

/// What is held, each by its key.
pub(super) type Kept = Vec<(u64, OwnedFd)>;

/// Guards daemons until one has ended in order. Each of them returns from here, too, in a process of its own.
///
/// # Errors
/// There is no first daemon.
pub(super) fn guard(seat: Seat, ready: Ready, kept: Kept) -> Result<Post, BootError> {
    match Guardian::new(seat, ready) {
        Ok(mut guardian) => {
            guardian.go_on_holding(kept);
            guardian.run()
        }
        Err((error, ready)) => {
            let error = failed("a guardian", error);
            ready.failed(&error);
            Err(error)
        }
    }
}

fn failed(object: &str, error: io::Error) -> BootError {
    BootError::Failed {
        doing: "make",
        object: object.to_owned(),
        error,
    }
}

/// See the module.
pub(super) struct Guardian {
    own: Pid,
    seat: Seat,
    /// Kept until a daemon has served, so that whoever started us goes on waiting when the first one is killed.
    ready: Ready,
    signals: SignalFd,
    ward: Option<Ward>,
    held: Vec<Held>,
    /// Of what services have given the daemon: nothing that is behind it holds us up.
    closers: Closers,
    /// When the next daemon is due; counts only while there is none.
    patience: Patience,
    /// When what has happened is long enough ago to rest.
    rest_ms: Option<u64>,
    /// Who had ended when we rested last.
    ended: Vec<Pid>,
    /// A signal that came while there was no daemon, or that ended one before it was through.
    pending: Option<i32>,
    /// How many daemons there were.
    generation: u32,
}

/// The daemon.
struct Ward {
    pid: Pid,
    pidfd: PidFd,
    /// Nothing once the daemon has closed its end, as it does when it dies.
    channel: Option<Channel>,
    born_ms: u64,
    stage: Stage,
    /// It was told to end.
    ending: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing may be reaped: it does not hold all processes yet.
    Starting,
    Serving,
    /// It serves and has said that it looks away.
    Busy,
    Over,
}

/// The read end of a log FIFO, or what a successor takes over as it is.
struct Held {
    key: u64,
    generation: u32,
    /// It is only held, never read.
    fd: OwnedFd,
}

impl Seat {
    /// What a daemon says of its place, with the lock and the listening socket.
    fn take_over(&mut self, note: Note, fds: Vec<OwnedFd>) {
        if let Ok([lock, listener]) = <[OwnedFd; 2]>::try_from(fds) {
            self.lock = File::from(lock);
            self.listener = UnixListener::from(listener);
            self.nofile = note.nofile;
            self.directories = note.directories;
        }
    }
}

/// What became of waiting.
enum Turn {
    Again,
    Over(Ended),
}

impl Guardian {
    fn new(seat: Seat, ready: Ready) -> Result<Self, (io::Error, Ready)> {
        let signals =
            become_subreaper().and_then(|()| SignalFd::new(&[SIGTERM, SIGINT, SIGHUP, SIGCHLD]));
        let signals = match signals {
            Ok(signals) => signals,
            Err(error) => return Err((error, ready)),
        };
        Ok(Self {
            own: Pid::current(),
            seat,
            ready,
            signals,
            ward: None,
            held: Vec::new(),
            closers: Closers::default(),
            patience: Patience::default(),
            rest_ms: None,
            ended: Vec::new(),
            pending: None,
            generation: 0,
        })
    }

    /// Guards until a daemon has ended in order; see [`guard`].
    pub(super) fn run(mut self) -> Result<Post, BootError> {
        loop {
            let now_ms = clock::monotonic_ms();
            if self.ward.is_none() && (self.pending.is_some() || self.patience.due_ms() <= now_ms) {
                match self.beget(now_ms) {
                    Ok(None) => {}
                    Ok(Some(channel)) => return Ok(self.go_forth(channel)),
                    Err(error) if self.generation == 1 => {
                        self.ready.failed(&error);
                        return Err(error);
                    }
                    Err(error) => {
                        ::log::error!("{error}");
                        self.patience.died(now_ms, now_ms, Fault::NeverServed);
                        // Or it would be tried again and again.
                        self.pending = None;
                    }
                }
            }
            if let Turn::Over(ended) = self.turn() {
                return Ok(Post::Guardian(ended));
            }
        }
    }

    /// Makes a daemon. In it: its end of the channel.
    fn beget(&mut self, now_ms: u64) -> Result<Option<Channel>, BootError> {
        self.generation = self.generation.saturating_add(1);
        let made = |error| failed("a process for the daemon", error);
        let (ours, theirs) = Channel::pair().map_err(made)?;
        self.closers.settle(SETTLE_MS);
        let (pid, pidfd) = match fork::fork().map_err(made)? {
            Fork::Child => return Ok(Some(theirs)),
            Fork::Parent(pid, pidfd) => (pid, pidfd),
        };
        let ending = self.pending.take();
        if let Some(signal) = ending {
            let _ = pidfd.signal(signal);
        }
        self.ward = Some(Ward {
            pid,
            pidfd,
            channel: Some(ours),
            born_ms: now_ms,
            stage: Stage::Starting,
            ending,
        });
        Ok(None)
    }

    /// In the daemon: leaves what is the guardian's.
    fn go_forth(self, channel: Channel) -> Post {
        fork::leave_foreground();
        let held = self.held.into_iter().map(|held| (held.key, held.fd));
        let mut keeper = Keeper::of(self.own, channel);
        keeper.inherit(held.collect());
        keeper.closers = self.closers.in_copy();
        Post::Daemon(Box::new(self.seat), self.ready, Box::new(keeper))
    }

    /// Waits for something, and sees to it.
    fn turn(&mut self) -> Turn {
        let due_ms = if self.ward.is_some() {
            self.rest_ms
        } else {
            Some(self.patience.due_ms())
        };
        let timeout_ms = due_ms.map(|due_ms| due_ms.saturating_sub(clock::monotonic_ms()));
        let waited = match &self.ward {
            Some(ward) => {
                let (signals, pidfd) = (self.signals.as_fd(), ward.pidfd.as_fd());
                match &ward.channel {
                    Some(channel) => wait_readable(&[signals, pidfd, channel.as_fd()], timeout_ms),
                    None => wait_readable(&[signals, pidfd], timeout_ms),
                }
            }
            None => {
                let (signals, door) = (self.signals.as_fd(), self.seat.listener.as_fd());
                if self.patience.hears_knocks() {
                    wait_readable(&[signals, door], timeout_ms)
                } else {
                    wait_readable(&[signals], timeout_ms)
                }
            }
        };
        let ready = waited.unwrap_or_default();
        // What it has said before comes before what happened then.
        self.listen();
        if ready.first() == Some(&true) {
            self.take_signals();
        }
        let other = ready.get(1) == Some(&true);
        if other && self.ward.is_none() {
            self.patience.knocked();
        } else if let Some(ended) = other.then(|| self.bury()).flatten() {
            return Turn::Over(ended);
        }
        if ready.contains(&true) {
            let due_ms = clock::monotonic_ms().saturating_add(REST_MS);
            self.rest_ms.get_or_insert(due_ms);
        }
        self.rest();
        Turn::Again
    }

    /// Takes all that the daemon has said.
    fn listen(&mut self) {
        let mut buffer = [0; MESSAGE_MAX];
        while let Some(ward) = &mut self.ward {
            let Some(channel) = &ward.channel else {
                return;
            };
            let Ok(Passed { length, mut fds }) = channel.receive(&mut buffer) else {
                return;
            };
            let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
                ward.channel = None;
                return;
            };
            match Message::decode(bytes) {
                Some(Message::Hold(key)) => {
                    if let Some(reader) = fds.pop() {
                        self.hold(key, reader);
                    }
                }
                Some(Message::Release(key)) => self.let_go(|held| held.key == key),
                Some(Message::Ready) => {
                    ward.stage = Stage::Serving;
                    self.ready = Ready::default();
                    let generation = self.generation;
                    self.let_go(|held| held.generation != generation);
                }
                Some(Message::Busy) => ward.stage = Stage::Busy,
                Some(Message::Over) => ward.stage = Stage::Over,
                Some(Message::Seat(note)) => self.seat.take_over(note, fds),
                Some(Message::Successor(program)) => {
                    // The next program would not know of it.
                    if self.closers.settle(SETTLE_MS) {
                        become_guardian(&program, channel, &self.held);
                    } else {
                        let program = program.display();
                        ::log::error!(
                            "the guardian cannot become {program}: what services have stored is still being closed; \
                             it goes on as it is"
                        );
                    }
                }
                None => {}
            }
        }
    }

    fn hold(&mut self, key: u64, reader: OwnedFd) {
        let held = Held {
            key,
            generation: self.generation,
            fd: reader,
        };
        match self.held.iter_mut().find(|held| held.key == key) {
            Some(old) => {
                let old = std::mem::replace(old, held);
                let_go(key, [old.fd], &mut self.closers);
            }
            None => self.held.push(held),
        }
    }

    fn let_go(&mut self, is_meant: impl Fn(&Held) -> bool) {
        for gone in self.held.extract_if(.., |held| is_meant(held)) {
            let_go(gone.key, [gone.fd], &mut self.closers);
        }
    }

    /// What was held before: until a daemon has told everything.
    fn go_on_holding(&mut self, kept: Kept) {
        let generation = 0;
        let held = kept.into_iter().map(|(key, fd)| Held {
            key,
            generation,
            fd,
        });
        self.held.extend(held);
    }

    fn take_signals(&mut self) {
        while let Ok(Some(received)) = self.signals.read() {
            match (received.signal, &mut self.ward) {
                (SIGCHLD, _) => self.closers.go_on(),
                (signal, Some(ward)) => {
                    if signal != SIGHUP {
                        ward.ending = Some(signal);
                    }
                    // It may have ended, which is told by its handle.
                    let _ = ward.pidfd.signal(signal);
                }
                (SIGHUP, None) => {}
                (signal, None) => self.pending = Some(signal),
            }
        }
    }

    /// Does what has time until it is quiet, and then sleeps for good.
    fn rest(&mut self) {
        let now_ms = clock::monotonic_ms();
        if self.rest_ms.is_none_or(|due_ms| due_ms > now_ms) {
            return;
        }
        self.rest_ms = None;
        self.reap();
        self.closers.go_on_if_due();
        if !self.ended.is_empty() || self.closers.again_ms().is_some() {
            self.rest_ms = Some(now_ms.saturating_add(REST_MS));
        }
        memory::give_back();
    }

    /// Reaps whoever had ended and was left to us when we rested before, while a daemon serves; a status that nobody
    /// has asked for is kept for a successor.
    fn reap(&mut self) {
        let Some(ward) = &self.ward else { return };
        if ward.stage != Stage::Serving {
            return;
        }
        let has_ended = || wait_readable(&[ward.pidfd.as_fd()], Some(0));
        // When the daemon ends its children become ours in the same moment: those are its successor's.
        reap_orphans(|pid| {
            !self.ended.contains(&pid) || has_ended().map_or(true, |ended| ended.contains(&true))
        });
        let is_dead = |pid: &Pid| proc::stat(*pid).is_ok_and(|stat| stat.is_dead());
        let own = proc::children(self.own).unwrap_or_default().into_iter();
        self.ended = own.filter(|pid| *pid != ward.pid).filter(is_dead).collect();
    }

    /// Sees how the daemon has ended. The answer: what is left to do for us, if there is to be no other one.
    fn bury(&mut self) -> Option<Ended> {
        let ward = self.ward.as_ref()?;
        let wait = match ward.pidfd.wait() {
            // One that we have not made.
            Ok(Wait::NotOurChild) => wait_for_stranger(ward.pid, &ward.pidfd),
            Ok(wait) => wait,
            Err(error) => {
                ::log::warn!("waiting for the daemon: {}", error_text(&error));
                Wait::NotOurChild
            }
        };
        if wait == Wait::StillRunning {
            return None;
        }
        self.listen();
        let ward = self.ward.take()?;
        if wait == Wait::Exited(0) || ward.stage == Stage::Over {
            return Some(Ended::InOrder);
        }
        let has_served = ward.stage != Stage::Starting;
        if !has_served && self.generation == 1 && matches!(wait, Wait::Exited(_)) {
            return Some(Ended::NeverServed);
        }
        let now_ms = clock::monotonic_ms();
        let from_outside = matches!(
            wait,
            Wait::Signaled {
                signal: SIGKILL,
                ..
            }
        );
        let fault = match (has_served, from_outside) {
            (true, true) => Fault::None,
            (true, false) => Fault::Served,
            (false, _) => Fault::NeverServed,
        };
        self.patience.died(ward.born_ms, now_ms, fault);
        let (pid, how) = (ward.pid, ending(wait));
        let in_ms = self.patience.due_ms().saturating_sub(now_ms);
        match (ward.ending, has_served) {
            (Some(_), false) => {
                ::log::error!("the daemon (PID {pid}) ended before it served: {how}");
                return Some(Ended::NeverServed);
            }
            (Some(signal), true) => {
                ::log::warn!("the daemon (PID {pid}) has died while it was ending: {how}");
                self.pending = Some(signal);
            }
            (None, _) if in_ms == 0 => {
                ::log::warn!("the daemon (PID {pid}) has died: {how}; a successor takes over");
            }
            (None, _) => {
                ::log::error!(
                    "the daemon (PID {pid}) has died: {how}; a successor comes in {in_ms} ms at the latest"
                );
            }
        }
        None
    }
}

const SIGKILL: i32 = 9;
