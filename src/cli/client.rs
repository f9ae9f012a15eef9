//! A connection to the daemon: hello, requests, replies. Blocking, with a bound on every wait that is not the
//! user's own.
//!
//! A daemon that dies is none of the user's business: what was asked and not answered is asked again of its successor
//! (`repeat.rs`). Starts no daemon (`autostart.rs`) and shows nothing (`wait.rs`).

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::exit::{Exit, Failure};
use super::forbearance::{ANSWER_MS, Forbearance};
use super::place::{Place, home_hint};
use super::repeat::{Losses, Wish};
use super::silence::silence;
use super::text::clean;
use super::wait::{MENTION_MS, mention};
use crate::daemon::Home;
use crate::engine::Command;
use crate::sys::clock::monotonic_ms;
use crate::sys::poll::wait_readable;
use crate::sys::proc;
use crate::sys::process::{Pid, PidFd, error_text};
use crate::sys::socket::{connect_within, peer};
use crate::wire::{
    Assembler, CHUNK_MAX, Decoder, Final, Hello, PROTOCOL_VERSION, Reply, UnitStatus, decode_hello,
    encode_hello, encode_request, frame,
};

/// How long it may take whose answer is good to have, and no more than that; nobody is told that it is waited for.
const GLANCE_MS: u64 = 500;
/// How long a request may take to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection on which hello has been said.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) place: Place,
    stream: UnixStream,
    decoder: Decoder,
    assembler: Assembler,
    pid: Option<u32>,
    /// The daemon's process, once it has greeted us, to wait for its end.
    process: Option<PidFd>,
    /// The program's version there.
    version: String,
    /// The daemon has closed its side, or is no more.
    gone: bool,
    /// What was asked and is not answered.
    pub(super) wish: Option<Wish>,
    pub(super) losses: Losses,
}

/// Which daemons are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tolerance {
    /// Those of our own protocol.
    Same,
    /// Every one: for what each version understands.
    Any,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// Nobody listens there.
    Absent,
    Failure(Failure),
}

impl Client {
    /// Connects to the daemon of this place and greets it.
    pub(super) fn connect(place: &Place, tolerance: Tolerance) -> Result<Self, ConnectError> {
        Self::connect_within(place, tolerance, ANSWER_MS)
    }

    fn connect_within(
        place: &Place,
        tolerance: Tolerance,
        patience_ms: u64,
    ) -> Result<Self, ConnectError> {
        let socket = place.home.socket();
        let stream =
            reach(&socket, patience_ms).map_err(|error| not_reached(&place.home, &error))?;
        let pid = peer(stream.as_fd()).ok().and_then(|peer| peer.pid);
        let mut client = Self {
            place: place.clone(),
            stream,
            decoder: Decoder::new(),
            assembler: Assembler::default(),
            pid: pid.map(Pid::as_raw),
            process: None,
            version: String::new(),
            gone: false,
            wish: None,
            losses: Losses::new(),
        };
        match client.greet(tolerance, patience_ms) {
            Ok(()) => {
                // The number is a predecessor's where that was dead already when we were let in.
                let process = pid.and_then(|pid| PidFd::open(pid).ok());
                client.process = process.filter(|process| !is_readable(process.as_fd()));
                Ok(client)
            }
            // A daemon greets even those whom it turns away: this one has just died.
            Err(_) if client.gone => Err(ConnectError::Absent),
            Err(failure) => Err(ConnectError::Failure(failure)),
        }
    }

    /// What a daemon knows of these services, where one runs and says so at once. Nobody else is asked, and nobody is
    /// told that nobody answers.
    pub(super) fn glance(place: &Place, names: &[String]) -> Option<Vec<UnitStatus>> {
        if !is_served(&place.home) {
            return None;
        }
        let deadline_ms = monotonic_ms().saturating_add(GLANCE_MS);
        let mut client = Self::connect_within(place, Tolerance::Any, GLANCE_MS).ok()?;
        // One that the daemon does not know would be the answer for all of them.
        let (command, directories) = match names {
            [name] => {
                let names = vec![name.clone()];
                (Command::Status { names }, &place.directories[..])
            }
            _ => (Command::List, &[][..]),
        };
        client.send(command, directories).ok()?;
        loop {
            let left_ms = deadline_ms.saturating_sub(monotonic_ms());
            let payload = client.payload(left_ms).ok()??;
            match client.assembler.take(&payload).ok()? {
                Some(Reply::Final(Final::Units(units))) => return Some(units),
                Some(Reply::Final(_)) => return None,
                Some(Reply::Progress(_)) | None => {}
            }
        }
    }

    fn greet(&mut self, tolerance: Tolerance, patience_ms: u64) -> Result<(), Failure> {
        let timeout = Some(WRITE_TIMEOUT);
        self.stream
            .set_write_timeout(timeout)
            .map_err(|error| self.lost("cannot talk to", &error))?;
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
        };
        // One that turns clients away may have closed its side already; what it said is read all the same.
        let written = self.write(&encode_hello(&hello));
        let mut time = Forbearance::of(patience_ms);
        let payload = loop {
            match self.payload(time.left_ms()) {
                Ok(Some(payload)) => break payload,
                Ok(None) if patience_ms < ANSWER_MS || time.is_over(&self.place.home) => {
                    return Err(silence(&self.place.home, time.waited_ms()));
                }
                Ok(None) => {}
                Err(failure) => return Err(written.err().unwrap_or(failure)),
            }
        };
        let theirs = decode_hello(&payload)
            .map_err(|error| self.nonsense(&format!("its hello is {error}")))?;
        self.version = clean(&theirs.program);
        if theirs.protocol != PROTOCOL_VERSION && tolerance == Tolerance::Same {
            return Err(self.stranger(theirs.protocol));
        }
        Ok(())
    }

    /// One that speaks another protocol.
    fn stranger(&self, protocol: u32) -> Failure {
        let (named, theirs, ours) = (self.named(), &self.version, env!("CARGO_PKG_VERSION"));
        let message = format!(
            "the daemon{named} is version {theirs} (protocol {protocol}), this program is version \
             {ours} (protocol {PROTOCOL_VERSION})"
        );
        let failure = Failure::new(Exit::NoDaemon, message);
        if protocol < PROTOCOL_VERSION {
            failure.hint("`diakonos upgrade` replaces the daemon; its services run on")
        } else {
            failure.hint("this program is the older one: use the one that the daemon was made from")
        }
    }

    /// The program's version there, where it is another one than ours.
    pub(super) fn other_version(&self) -> Option<&str> {
        Some(self.version.as_str()).filter(|version| *version != env!("CARGO_PKG_VERSION"))
    }

    /// What polls readable when a reply comes.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Sends a request; its replies are taken with [`Client::reply`].
    pub(super) fn send(&mut self, command: Command, directories: &[String]) -> Result<(), Failure> {
        self.wish = Some(Wish::new(command, directories));
        self.send_wish()
    }

    /// Writes the wish, for the first time or once more. That the daemon is gone shows when its answer is read: it may
    /// have left one.
    pub(super) fn send_wish(&mut self) -> Result<(), Failure> {
        let Some(wish) = &mut self.wish else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        frame(&encode_request(&wish.request), &mut bytes)
            .map_err(|error| Failure::usage(format!("the request is too long: {error}")))?;
        match self.stream.write_all(&bytes) {
            Ok(()) => wish.was_sent = true,
            Err(error) if is_loss(&error) => {}
            Err(error) => return Err(self.lost("cannot send the request to", &error)),
        }
        Ok(())
    }

    /// Takes the place of this connection: the daemon behind it is gone.
    pub(super) fn take_over(&mut self, successor: Self) {
        let Self {
            stream,
            decoder,
            assembler,
            pid,
            process,
            version,
            gone,
            ..
        } = successor;
        (self.stream, self.gone) = (stream, gone);
        (self.decoder, self.assembler) = (decoder, assembler);
        (self.pid, self.process, self.version) = (pid, process, version);
    }

    /// Sends a request that the daemon answers at once, and takes the last reply.
    pub(super) fn ask(
        &mut self,
        command: Command,
        directories: &[String],
    ) -> Result<Final, Failure> {
        self.send(command, directories)?;
        let mut time = Forbearance::of(ANSWER_MS);
        loop {
            match self.reply(time.left_ms())? {
                Some(Reply::Final(Final::Error(error))) => return Err(error.into()),
                Some(Reply::Final(last)) => return Ok(last),
                Some(Reply::Progress(_)) => {}
                None if time.is_over(&self.place.home) => {
                    return Err(silence(&self.place.home, time.waited_ms()));
                }
                None => {}
            }
        }
    }

    /// As [`Client::ask`], for a command whose answer is units.
    pub(super) fn units(
        &mut self,
        command: Command,
        directories: &[String],
    ) -> Result<Vec<UnitStatus>, Failure> {
        match self.ask(command, directories)? {
            Final::Units(units) => Ok(units),
            _ => Err(other_answer()),
        }
    }

    /// The next reply; nothing if none comes in time. Should the daemon die, its successor is asked.
    pub(super) fn reply(&mut self, timeout_ms: u64) -> Result<Option<Reply>, Failure> {
        let deadline_ms = monotonic_ms().saturating_add(timeout_ms);
        loop {
            let payload = match self.payload(deadline_ms.saturating_sub(monotonic_ms())) {
                Ok(Some(payload)) => payload,
                Ok(None) => return Ok(None),
                Err(failure) if self.gone => match self.recover(failure)? {
                    Some(last) => return Ok(Some(Reply::Final(last))),
                    None => continue,
                },
                Err(failure) => return Err(failure),
            };
            let reply = self.assembler.take(&payload);
            let reply = reply.map_err(|error| self.nonsense(&format!("its answer is {error}")))?;
            match reply {
                // Only a part of it.
                None => {}
                Some(Reply::Final(last)) => {
                    self.wish = None;
                    return Ok(Some(Reply::Final(last)));
                }
                Some(progress) => return Ok(Some(progress)),
            }
        }
    }

    /// The daemon's number, as it is known to us.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The daemon's process, to wait for its end.
    pub(super) fn process(&self) -> Option<&PidFd> {
        self.process.as_ref()
    }

    /// Waits until the daemon has closed the connection. Whether it did in time.
    pub(super) fn wait_for_end(&mut self, timeout_ms: u64) -> bool {
        let deadline_ms = monotonic_ms().saturating_add(timeout_ms);
        let mut buffer = [0; 512];
        loop {
            let left_ms = deadline_ms.saturating_sub(monotonic_ms());
            match wait_readable(&[self.stream.as_fd()], Some(left_ms)) {
                Ok(ready) if !ready.contains(&true) => return false,
                Err(_) => return false,
                Ok(_) => {}
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return true,
                _ => {}
            }
        }
    }

    fn write(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        frame(payload, &mut bytes)
            .map_err(|error| Failure::usage(format!("the request is too long: {error}")))?;
        let written = self.stream.write_all(&bytes);
        written.map_err(|error| self.lost("cannot send the request to", &error))
    }

    /// The next payload; nothing if it does not come in time.
    fn payload(&mut self, timeout_ms: u64) -> Result<Option<Vec<u8>>, Failure> {
        let mut mentioned = false;
        let deadline_ms = monotonic_ms().saturating_add(timeout_ms);
        loop {
            let next = self.decoder.next();
            let next = next.map_err(|error| self.nonsense(&error.to_string()))?;
            if next.is_some() {
                return Ok(next);
            }
            let left_ms = deadline_ms.saturating_sub(monotonic_ms());
            let mut patience_ms = left_ms;
            if timeout_ms > MENTION_MS && !mentioned {
                patience_ms = left_ms.min(MENTION_MS);
            }
            // Where a process of the daemon's has a copy of the connection and cannot end, nothing else tells of the
            // daemon's end.
            let both = [self.stream.as_fd()].into_iter();
            let both: Vec<BorrowedFd<'_>> =
                both.chain(self.process.iter().map(AsFd::as_fd)).collect();
            let ready = wait_readable(&both, Some(patience_ms))
                .map_err(|error| self.lost("cannot wait for", &error))?;
            if !ready.contains(&true) {
                if patience_ms == left_ms {
                    return Ok(None);
                }
                mentioned = true;
                mention(&format!(
                    "waiting for the daemon{} to answer …",
                    self.named()
                ));
                continue;
            }
            // What it said before is still there.
            if ready.first() == Some(&false) && !is_readable(self.stream.as_fd()) {
                self.gone = true;
                return Err(self.hung_up());
            }
            let mut buffer = vec![0; CHUNK_MAX];
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.gone = true;
                    return Err(self.hung_up());
                }
                Ok(length) => self.decoder.push(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.gone = is_loss(&error);
                    return Err(self.lost("cannot hear", &error));
                }
            }
        }
    }

    /// ` (PID 12)`, if it is known.
    pub(super) fn named(&self) -> String {
        self.pid
            .map(|pid| format!(" (PID {pid})"))
            .unwrap_or_default()
    }

    fn hung_up(&self) -> Failure {
        let message = format!(
            "the daemon{} closed the connection before it answered",
            self.named()
        );
        Failure::new(Exit::NoDaemon, message).hint("its log is daemon.log in its home")
    }

    fn lost(&self, doing: &str, error: &io::Error) -> Failure {
        let reason = error_text(error);
        Failure::new(
            Exit::NoDaemon,
            format!("{doing} the daemon{}: {reason}", self.named()),
        )
    }

    fn nonsense(&self, what: &str) -> Failure {
        let message = format!(
            "the daemon{} does not speak our language: {what}",
            self.named()
        );
        Failure::new(Exit::NoDaemon, message)
    }
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    wait_readable(&[fd], Some(0)).is_ok_and(|ready| ready.contains(&true))
}

/// Whether this says that nobody is at the other end any more.
fn is_loss(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
}

/// Connects; a daemon that does not run, while more have connected than it listens for, is not waited for without end.
fn reach(socket: &Path, patience_ms: u64) -> io::Result<UnixStream> {
    let begun_ms = monotonic_ms();
    let mut mentioned = false;
    let patience = Duration::from_millis(patience_ms.min(MENTION_MS));
    connect_within(socket, patience, &mut || {
        if !mentioned && patience_ms > MENTION_MS {
            mentioned = true;
            mention("waiting for the daemon to take the connection up …");
        }
        monotonic_ms().saturating_sub(begun_ms) >= patience_ms
    })
}

fn not_reached(home: &Home, error: &io::Error) -> ConnectError {
    let socket = home.socket();
    let path = socket.display();
    let failure = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => return ConnectError::Absent,
        io::ErrorKind::TimedOut => silence(home, ANSWER_MS),
        kind => {
            let (exit, reason) = match kind {
                io::ErrorKind::PermissionDenied => (Exit::NotAllowed, error_text(error)),
                io::ErrorKind::NotADirectory => {
                    let home = home.root().display();
                    (Exit::NoDaemon, format!("{home} is no folder"))
                }
                io::ErrorKind::InvalidInput => {
                    let reason = "the path is too long for a socket";
                    (Exit::NoDaemon, reason.to_owned())
                }
                _ => (Exit::NoDaemon, error_text(error)),
            };
            let failure = Failure::new(exit, format!("cannot connect to {path}: {reason}"));
            match (kind, socket.parent()) {
                (io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory, Some(home)) => {
                    failure.hint(home_hint(home))
                }
                _ => failure,
            }
        }
    };
    ConnectError::Failure(failure)
}

/// The daemon has mistaken the question.
pub(super) fn other_answer() -> Failure {
    Failure::new(
        Exit::NoDaemon,
        "the daemon gave an answer to another question",
    )
}

/// Whether the daemon whose number the lock has is alive. A guardian between two daemons holds the socket as well, and
/// would take a connection for a wish to have the next one at once.
fn is_served(home: &Home) -> bool {
    let text = std::fs::read_to_string(home.lock()).unwrap_or_default();
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let stat = pid.and_then(|pid| proc::stat(pid).ok());
    stat.is_some_and(|stat| !stat.is_dead())
}
