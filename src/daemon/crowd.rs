//! Who makes room when more clients knock than may be served at a time, and who of them has just come.
//!
//! Owns which of them is let go. Whoever waits for an answer, reads one, or has just said something, never is.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd};

use crate::sorted;
use crate::sys::clock;
use crate::sys::poll::wait_readable;
use crate::wire::{Final, Reply};

use super::precedence::HOLD_MS;
use super::session::{Session, Sessions, Stage, greet};
use super::sources::{SessionId, Sources};
use super::turned_away::{busy, silent};

/// How long a client that has said hello and asks nothing keeps its place when others knock, in milliseconds.
const IDLE_MS: u64 = 10_000;

/// Who can be let go, as it was found when the first of those who knock now found no room.
#[derive(Debug, Default)]
pub(super) struct Crowd(Option<VecDeque<SessionId>>);

impl Sessions {
    /// Whether a client is there that came a moment ago.
    pub(super) fn is_anyone_new(&self, now_ms: u64) -> bool {
        let newest = self.map.values().next_back();
        newest.is_some_and(|newest| now_ms < newest.since_ms + HOLD_MS)
    }

    /// Lets go of the client that has been silent longest; first of those that have not even said hello. Whether there
    /// was one.
    pub(super) fn make_room(&mut self, crowd: &mut Crowd, sources: &mut Sources) -> bool {
        let silent = || self.silent(clock::monotonic_ms());
        let crowd = crowd.0.get_or_insert_with(silent);
        while let Some(id) = crowd.pop_front() {
            // It may have said something since.
            let Some(session) = self.map.get_mut(&id) else {
                continue;
            };
            if are_silent(&[session.stream.as_fd()]) != [true] {
                continue;
            }
            session.dismiss();
            self.close(id, sources);
            return true;
        }
        false
    }

    /// Those that may be let go at this time, in monotonic milliseconds, in their order.
    fn silent(&self, now_ms: u64) -> VecDeque<SessionId> {
        let rank = |session: &Session| match session.stage {
            Stage::Greeting => Some((0, session.since_ms)),
            Stage::Idle => {
                let is_over = session.active_ms + IDLE_MS <= now_ms && session.waiting() == 0;
                is_over.then_some((1, session.active_ms))
            }
            Stage::Busy(_) | Stage::Leaving => None,
        };
        let ranked = self.map.iter();
        let ranked = ranked.filter_map(|(id, session)| Some((rank(session)?, *id, session)));
        let mut ranked: Vec<_> = ranked.collect();
        sorted::sort_by_key(&mut ranked, |(rank, id, _)| (*rank, *id));
        let streams: Vec<_> = ranked.iter().map(|(.., one)| one.stream.as_fd()).collect();
        let are_silent = are_silent(&streams).into_iter();
        let silent = ranked.iter().zip(are_silent).filter(|(_, silent)| *silent);
        silent.map(|((_, id, _), _)| *id).collect()
    }
}

/// For each of them whether it has said nothing that we have not heard; for nobody where that cannot be told.
fn are_silent(streams: &[BorrowedFd<'_>]) -> Vec<bool> {
    let said = wait_readable(streams, Some(0)).unwrap_or_default();
    said.into_iter().map(|said| !said).collect()
}

impl Session {
    /// Tells it why it is let go.
    fn dismiss(&mut self) {
        let error = if self.stage == Stage::Greeting {
            greet(&mut self.output);
            busy("others knock, and this one has said nothing")
        } else {
            silent(IDLE_MS)
        };
        self.say(&Reply::Final(Final::Error(error)));
        // It is let go either way.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use mio::Token;

    use crate::sys::socket::peer;

    use super::*;

    #[test]
    fn whoever_is_silent_longest_goes_first_and_whoever_is_served_stays() {
        const LATE_MS: u64 = 100_000;
        let mut sessions = Sessions::new();
        let mut clients = Vec::new();
        let mut add = |id: u64, stage: Stage, (since_ms, active_ms): (u64, u64)| {
            let (ours, client) = UnixStream::pair().unwrap();
            let peer = peer(ours.as_fd()).unwrap();
            let mut session = Session::new(ours, Token(0), peer);
            (session.stage, session.since_ms) = (stage, since_ms);
            session.active_ms = active_ms;
            sessions.map.insert(SessionId(id), Box::new(session));
            clients.push(client);
        };
        // It came first and has asked a moment ago.
        add(1, Stage::Idle, (0, LATE_MS - 1_000));
        add(2, Stage::Idle, (1, 60_000));
        add(3, Stage::Idle, (2, 50_000));
        add(4, Stage::Greeting, (LATE_MS, LATE_MS));
        add(5, Stage::Busy(None), (3, 3));
        // It reads a long answer.
        add(6, Stage::Idle, (4, 4));
        // It has just asked.
        add(7, Stage::Idle, (5, 5));
        sessions.map.get_mut(&SessionId(6)).unwrap().output = vec![0; 8];
        clients[6].write_all(&[0]).unwrap();
        let ids = [4, 3, 2].map(SessionId);
        assert_eq!(sessions.silent(LATE_MS), ids);
        assert_eq!(sessions.silent(50_000 + IDLE_MS - 1), [SessionId(4)]);
    }
}
