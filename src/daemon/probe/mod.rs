//! One look from outside at a running service: whether it takes connections, answers, or satisfies a command.
//!
//! Owns a single attempt, which never makes the loop wait: it is begun, goes on when its descriptor is ready, and can
//! be ended at any moment. Who looks how often, and what for, is not for here (`readiness.rs`).

mod command;
mod connection;
mod hosts;

use crate::engine::{RunId, UnitId};
use crate::sys::connect::Address;
use crate::sys::process::Pid;
use crate::unit::Probe;

use super::processes::{Processes, Turn};
use super::sources::Sources;

use command::Command;
use connection::Connection;

/// What an attempt has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// Its descriptor will tell.
    Pending,
    Well,
    /// Why not, for the reader.
    Bad(String),
    /// Why not, and why it need not be tried again.
    Hopeless(String),
}

/// Why a look could not be begun, for the reader.
#[derive(Debug)]
pub(super) enum Unable {
    Now(String),
    /// Nor later.
    Ever(String),
}

impl From<String> for Unable {
    fn from(reason: String) -> Self {
        Self::Now(reason)
    }
}

/// One look that is under way. Its descriptor is registered as [`super::sources::Source::Probe`] of the run.
#[derive(Debug)]
pub(super) enum Attempt {
    Connection(Connection),
    Command(Box<Command>),
}

impl Attempt {
    /// Goes on as far as it can without waiting. After anything but `Pending` it is to be ended.
    pub(super) fn go_on(&mut self, run: RunId, sources: &mut Sources) -> Tried {
        match self {
            Self::Connection(connection) => connection.go_on(run, sources),
            Self::Command(command) => command.go_on(),
        }
    }

    /// Nothing of it is left, whether it has come to an end or not.
    pub(super) fn end(self, sources: &mut Sources) {
        match self {
            Self::Connection(mut connection) => connection.close(sources),
            Self::Command(command) => command.end(sources),
        }
    }

    /// A child of ours, which nobody else is to reap.
    pub(super) fn child(&self) -> Option<Pid> {
        match self {
            Self::Connection(_) => None,
            Self::Command(command) => command.child(),
        }
    }
}

impl Processes {
    /// Begins to look. A file is looked at elsewhere: that takes no time.
    pub(super) fn attempt(
        &mut self,
        probe: &Probe,
        (unit, run): (UnitId, RunId),
        turn: &mut Turn<'_>,
    ) -> Result<Attempt, Unable> {
        let connection =
            |addresses, page| Ok(Attempt::Connection(Connection::new(addresses, page)));
        match probe {
            Probe::Tcp(endpoint) => connection(hosts::addresses(endpoint)?, None),
            Probe::Unix(place) => connection(vec![Address::Local(place.clone())], None),
            Probe::Http(page) => connection(hosts::addresses(&page.endpoint)?, Some(page.clone())),
            Probe::Exec(exec) => {
                let command = self.begin_command(exec, (unit, run), turn)?;
                Ok(Attempt::Command(Box::new(command)))
            }
            Probe::File(path) => Err(format!("{} is not looked for", path.display()).into()),
        }
    }
}

/// Whether it could be looked at all: a host that is unknown today is not known a moment later.
pub(super) fn check(probe: &Probe) -> Result<(), String> {
    match probe {
        Probe::Tcp(endpoint) => hosts::addresses(endpoint).map(drop),
        Probe::Http(page) => hosts::addresses(&page.endpoint).map(drop),
        Probe::Unix(_) | Probe::Exec(_) | Probe::File(_) => Ok(()),
    }
}
