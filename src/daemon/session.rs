//! Clients: accepting them, reading their requests, writing their replies.
//!
//! Owns connections and their buffers. Every client may be slow, silent or hostile: what it costs is bounded by the
//! constants below, and then it loses its connection. What a request means is decided elsewhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

use mio::Token;

use crate::engine::{Command, RequestId};
use crate::sys::clock;
use crate::sys::process::error_text;
use crate::sys::socket::{Peer, peer};
use crate::sys::users::effective_uid;
use crate::wire::{
    CHUNK_MAX, Decoder, ErrorKind, Final, HandedSession, HandedStage, Hello, PROTOCOL_VERSION,
    Reply, Request, WireError, decode_hello, decode_request, encode_hello, frame, frame_reply,
};

use super::crowd::Crowd;
use super::processes::Progress;
use super::sources::{SessionId, Source, Sources};
use super::spare::Spare;
use super::turned_away::{busy, not_allowed, not_understood, other_version, turn_away};

/// Connections at a time; one more takes the place of a silent one, or is told so and closed.
const CLIENTS_MAX: usize = 256;
/// Bytes that may wait for a client that does not read; the next request after that costs the connection.
pub(super) const OUTPUT_MAX: usize = 1 << 20;
/// Bytes that may wait beyond [`OUTPUT_MAX`], for all clients together: several times what all units have to say.
const ANSWERS_MAX: usize = 64 << 20;
/// Clients accepted before everything else has its turn.
const ACCEPT_TURN: usize = 64;
/// Bytes read from one client before the others have their turn.
const INPUT_TURN: usize = 64 << 10;
/// Bytes of one read.
const CHUNK: usize = 4 << 10;
/// What a client's empty output buffer keeps, in bytes.
const OUTPUT_KEPT: usize = 4 << 10;

/// How far a conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The client has not said hello.
    Greeting,
    /// The next request is awaited.
    Idle,
    /// A request is in the daemon's hands; what the client sends meanwhile is left in the socket.
    Busy(Option<RequestId>),
    /// It gets what is in its buffer, and is then closed.
    Leaving,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) stream: UnixStream,
    token: Token,
    peer: Peer,
    /// When it came, monotonic milliseconds.
    pub(super) since_ms: u64,
    /// When it last said something, or had read all that was said to it.
    pub(super) active_ms: u64,
    pub(super) stage: Stage,
    /// The client's, as it said; ours until then.
    pub(super) protocol: u32,
    pub(super) decoder: Decoder,
    pub(super) output: Vec<u8>,
    /// How much of the output is written.
    pub(super) sent: usize,
    /// The last write would have blocked, and no event has come since.
    blocked: bool,
    spare: Spare,
}

/// What came of looking at a session.
#[derive(Debug)]
pub(super) enum Heard {
    /// A request; the session waits until it is answered.
    Request(Peer, Request),
    /// Nothing that is whole; an event will tell of more.
    Nothing,
    /// There is more than one turn may take: look again next turn.
    More,
}

/// Every connection.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) map: BTreeMap<SessionId, Box<Session>>,
    next: u64,
    uid: u32,
    /// Given up for a moment when no other descriptor is left, so that a client can be told so.
    reserve: Option<File>,
    /// Accepting failed while clients were waiting, and no event will come for them.
    waiting: bool,
    /// Requests whose client has gone.
    detached: Vec<RequestId>,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            map: BTreeMap::new(),
            next: 1,
            uid: effective_uid(),
            reserve: spare(),
            waiting: false,
            detached: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether [`Self::accept`] is to be tried again when anything has happened.
    pub(super) fn is_anyone_waiting(&self) -> bool {
        self.waiting
    }

    /// Accepts those who knock, a turn's worth of them; an event follows for each as soon as it says something.
    pub(super) fn accept(&mut self, listener: &UnixListener, sources: &mut Sources) -> Progress {
        let was_waiting = std::mem::take(&mut self.waiting);
        let mut crowd = Crowd::default();
        for _ in 0..ACCEPT_TURN {
            match listener.accept() {
                Ok((stream, _)) => self.admit(stream, &mut crowd, sources),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Progress::Drained,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    // Out of descriptors most likely; the kernel says so even when nobody waits.
                    _ if self.reserve.take().is_some() => {
                        let next = listener.accept();
                        if let Ok((stream, _)) = &next {
                            turn_away(stream, busy("it has no file descriptor left"));
                        }
                        let failure = next.err();
                        self.reserve = spare();
                        if let Some(error) = failure {
                            self.waiting = error.kind() != io::ErrorKind::WouldBlock;
                            return Progress::Drained;
                        }
                    }
                    _ => {
                        // Once, and not as often as it is tried.
                        if !was_waiting {
                            ::log::warn!("cannot accept a client: {}", error_text(&error));
                        }
                        self.waiting = true;
                        return Progress::Drained;
                    }
                },
            }
        }
        Progress::More
    }

    fn admit(&mut self, stream: UnixStream, crowd: &mut Crowd, sources: &mut Sources) {
        let admitted = stream
            .set_nonblocking(true)
            .and_then(|()| peer(stream.as_fd()));
        let peer = match admitted {
            Ok(peer) => peer,
            Err(error) => {
                ::log::warn!("cannot serve a client: {}", error_text(&error));
                return;
            }
        };
        if peer.uid != self.uid && peer.uid != 0 {
            let uid = peer.uid;
            ::log::warn!("turned away a client of user {uid}");
            turn_away(&stream, not_allowed(uid));
            return;
        }
        if self.map.len() >= CLIENTS_MAX && !self.make_room(crowd, sources) {
            let reason = format!("it has {CLIENTS_MAX} clients already");
            turn_away(&stream, busy(&reason));
            return;
        }
        self.watch(stream, peer, sources);
    }

    fn watch(
        &mut self,
        stream: UnixStream,
        peer: Peer,
        sources: &mut Sources,
    ) -> Option<SessionId> {
        let id = SessionId(self.next);
        match sources.add_read_write(stream.as_fd(), Source::Session(id)) {
            Ok(token) => {
                self.next += 1;
                self.map
                    .insert(id, Box::new(Session::new(stream, token, peer)));
                Some(id)
            }
            Err(error) => {
                ::log::warn!("cannot watch a client: {}", error_text(&error));
                None
            }
        }
    }

    /// A connection that another image of the daemon has begun, as it was handed over.
    pub(super) fn take_over(
        &mut self,
        stream: UnixStream,
        handed: &HandedSession,
        sources: &mut Sources,
    ) -> Option<SessionId> {
        let peer = peer(stream.as_fd()).ok()?;
        let id = self.watch(stream, peer, sources)?;
        let session = self.map.get_mut(&id)?;
        session.stage = match handed.stage {
            HandedStage::Greeting => Stage::Greeting,
            HandedStage::Idle => Stage::Idle,
            HandedStage::Waiting(_) | HandedStage::Upgrading => Stage::Busy(None),
            HandedStage::Leaving => Stage::Leaving,
        };
        session.protocol = handed.protocol;
        for chunk in handed.input.chunks(CHUNK_MAX) {
            session.decoder.push(chunk);
        }
        session.output.clone_from(&handed.output);
        Some(id)
    }

    /// An event came for this session. `hung_up`: the client has closed its side.
    pub(super) fn woken(&mut self, id: SessionId, hung_up: bool, sources: &mut Sources) {
        let Some(session) = self.map.get_mut(&id) else {
            return;
        };
        session.blocked = false;
        // While a request is under way nobody reads, so the end of the stream shows here only.
        if hung_up && matches!(session.stage, Stage::Busy(_) | Stage::Leaving) {
            self.close(id, sources);
        }
    }

    /// Reads until a request is whole, nothing is left, or the turn is over.
    pub(super) fn hear(&mut self, id: SessionId, sources: &mut Sources) -> Heard {
        let Some(session) = self.map.get_mut(&id) else {
            return Heard::Nothing;
        };
        match session.hear() {
            Ok(heard) => heard,
            Err(End::Gone) => {
                self.close(id, sources);
                Heard::Nothing
            }
            Err(End::Unread) => {
                ::log::warn!("closed the connection of a client that does not read");
                self.close(id, sources);
                Heard::Nothing
            }
            Err(End::Refused(error)) => {
                session.say(&Reply::Final(Final::Error(error)));
                session.stage = Stage::Leaving;
                Heard::Nothing
            }
        }
    }

    /// The session's request has this id; should the client go, [`Self::take_detached`] tells.
    pub(super) fn attach(&mut self, id: SessionId, request: RequestId) {
        if let Some(session) = self.map.get_mut(&id) {
            session.stage = Stage::Busy(Some(request));
        }
    }

    /// Sends one reply. After a final one the next request may come, and the caller looks at the session again. A
    /// session that is gone, or does not read, is no error.
    pub(super) fn reply(&mut self, id: SessionId, reply: &Reply, sources: &mut Sources) {
        let budget = self.left_for_long_answers(id);
        let Some(session) = self.map.get_mut(&id) else {
            return;
        };
        if session.spare.takes(reply, session.waiting()) {
            return;
        }
        if session.waiting() > budget {
            ::log::warn!("closed the connection of a client that asks for too much");
            self.close(id, sources);
            return;
        }
        if let Some(first) = session.spare.before(reply) {
            session.say(&first);
        }
        session.say(reply);
        if matches!(reply, Reply::Final(_)) && matches!(session.stage, Stage::Busy(_)) {
            session.stage = match session.protocol {
                PROTOCOL_VERSION => Stage::Idle,
                _ => Stage::Leaving,
            };
        }
    }

    /// How many bytes may wait for this client: what the others have not read counts against all of them.
    fn left_for_long_answers(&self, id: SessionId) -> usize {
        let others = self.map.iter().filter(|(other, _)| **other != id);
        let beyond = others.map(|(_, other)| other.waiting().saturating_sub(OUTPUT_MAX));
        ANSWERS_MAX.saturating_sub(beyond.sum()).max(OUTPUT_MAX)
    }

    /// Writes what waits, as far as the clients take it.
    pub(super) fn flush(&mut self, sources: &mut Sources) {
        let mut gone = Vec::new();
        for (id, session) in &mut self.map {
            if session.flush().is_err()
                || (session.stage == Stage::Leaving && session.output.is_empty())
            {
                gone.push(*id);
            }
        }
        for id in gone {
            self.close(id, sources);
        }
    }

    /// The requests whose client has gone since the last call.
    pub(super) fn take_detached(&mut self) -> Vec<RequestId> {
        std::mem::take(&mut self.detached)
    }

    pub(super) fn close(&mut self, id: SessionId, sources: &mut Sources) {
        if let Some(session) = self.map.remove(&id) {
            sources.remove(session.token, session.stream.as_fd());
            if let Stage::Busy(Some(request)) = session.stage {
                self.detached.push(request);
            }
        }
        if self.reserve.is_none() {
            self.reserve = spare();
        }
    }
}

/// Why a conversation ends.
enum End {
    Gone,
    /// It asks and asks, and reads no answer.
    Unread,
    Refused(WireError),
}

impl Session {
    pub(super) fn new(stream: UnixStream, token: Token, peer: Peer) -> Self {
        let now_ms = clock::monotonic_ms();
        Self {
            stream,
            token,
            peer,
            since_ms: now_ms,
            active_ms: now_ms,
            stage: Stage::Greeting,
            protocol: PROTOCOL_VERSION,
            decoder: Decoder::new(),
            output: Vec::new(),
            sent: 0,
            blocked: false,
            spare: Spare::default(),
        }
    }

    fn hear(&mut self) -> Result<Heard, End> {
        let mut chunk = [0; CHUNK];
        let mut taken = 0;
        loop {
            match self.stage {
                Stage::Busy(_) | Stage::Leaving => return Ok(Heard::Nothing),
                Stage::Greeting | Stage::Idle => {}
            }
            let payload = self.decoder.next();
            if let Some(payload) = payload.map_err(|error| refused(&error.to_string()))? {
                if self.waiting() > OUTPUT_MAX {
                    return Err(End::Unread);
                }
                if let Some(request) = self.take(&payload)? {
                    self.stage = Stage::Busy(None);
                    return Ok(Heard::Request(self.peer, request));
                }
                continue;
            }
            if taken >= INPUT_TURN {
                return Ok(Heard::More);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(End::Gone),
                Ok(read) => {
                    taken += read;
                    self.decoder.push(chunk.get(..read).unwrap_or_default());
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(Heard::Nothing),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(End::Gone),
                },
            }
        }
    }

    /// Understands one payload: the hello, or a request. One that makes no sense is answered, and the next one may.
    fn take(&mut self, payload: &[u8]) -> Result<Option<Request>, End> {
        self.active_ms = clock::monotonic_ms();
        if self.stage == Stage::Greeting {
            let hello = decode_hello(payload).map_err(|error| refused(&error.to_string()))?;
            // Our own version first, so that a client of another one can tell what it met.
            greet(&mut self.output);
            self.protocol = hello.protocol;
            self.stage = Stage::Idle;
            return Ok(None);
        }
        let request = decode_request(payload);
        let is_upgrade = matches!(&request, Ok(request) if request.command == Command::Upgrade);
        if self.protocol != PROTOCOL_VERSION && !is_upgrade {
            return Err(End::Refused(other_version(self.protocol)));
        }
        match request {
            Ok(request) => Ok(Some(request)),
            Err(error) => {
                let error = not_understood(&error.to_string());
                self.say(&Reply::Final(Final::Error(error)));
                Ok(None)
            }
        }
    }

    /// Bytes that it has not read.
    pub(super) fn waiting(&self) -> usize {
        self.output.len() - self.sent
    }

    pub(super) fn say(&mut self, reply: &Reply) {
        append(reply, &mut self.output);
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(reached) = self.spare.at_turn(self.waiting()) {
            self.say(&reached);
        }
        while !self.blocked && self.sent < self.output.len() {
            let rest = self.output.get(self.sent..).unwrap_or_default();
            match self.stream.write(rest) {
                Ok(written) => self.sent += written,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.blocked = true,
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        if self.sent == self.output.len() && self.sent > 0 {
            self.active_ms = clock::monotonic_ms();
            self.output.clear();
            self.output.shrink_to(OUTPUT_KEPT);
            self.sent = 0;
        }
        Ok(())
    }
}

/// Appends our own hello.
pub(super) fn greet(output: &mut Vec<u8>) {
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    // A hello is far below the limit of a frame.
    let _ = frame(&encode_hello(&hello), output);
}

/// Appends a reply, or, when it is longer than a frame may be, an error that says so.
pub(super) fn append(reply: &Reply, output: &mut Vec<u8>) {
    if let Err(error) = frame_reply(reply, output) {
        let long = WireError {
            kind: ErrorKind::Failed,
            message: format!("the answer is too long: {error}"),
            hint: Some("ask for fewer units at a time".to_owned()),
        };
        // This one is short.
        let _ = frame_reply(&Reply::Final(Final::Error(long)), output);
    }
}

/// A descriptor to be closed when one is needed.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

fn refused(reason: &str) -> End {
    End::Refused(not_understood(reason))
}
