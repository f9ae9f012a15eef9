//! Who makes room when more clients knock than may be served at a time.
//!
//! Owns which of them is let go. Whoever waits for an answer, or has just said something, never is.

use std::os::fd::AsFd as _;

use crate::sys::clock;
use crate::sys::poll::wait_readable;
use crate::wire::{Final, Reply};

use super::session::{Session, Sessions, Stage, greet};
use super::sources::Sources;
use super::turned_away::busy;

/// How long a client that has said hello and asks nothing keeps its place when others knock, in milliseconds.
const IDLE_MS: u64 = 10_000;

impl Sessions {
    /// Lets go of the client that has been silent longest; first of those that have not even said hello.
    pub(super) fn make_room(&mut self, sources: &mut Sources) -> bool {
        let now_ms = clock::monotonic_ms();
        let greeting = |session: &Session| session.stage == Stage::Greeting;
        let idle = |session: &Session| {
            session.stage == Stage::Idle && session.since_ms + IDLE_MS <= now_ms
        };
        let silent = |is_meant: &dyn Fn(&Session) -> bool| {
            let mut all = self.map.iter();
            let found = all.find(|(_, session)| is_meant(session) && session.is_silent());
            found.map(|(id, _)| *id)
        };
        let Some(id) = silent(&greeting).or_else(|| silent(&idle)) else {
            return false;
        };
        if let Some(session) = self.map.get_mut(&id) {
            let error = busy("others knock, and this one asks nothing");
            if session.stage == Stage::Greeting {
                greet(&mut session.output);
            }
            session.say(&Reply::Final(Final::Error(error)));
            // It is let go either way.
            let _ = session.flush();
        }
        self.close(id, sources);
        true
    }
}

impl Session {
    /// Whether it has said nothing that we have not heard.
    fn is_silent(&self) -> bool {
        let said = wait_readable(&[self.stream.as_fd()], Some(0));
        said.is_ok_and(|said| !said.contains(&true))
    }
}
