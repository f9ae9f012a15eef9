//! A daemon dies while a client waits: the client finds its successor and asks again, and nobody notices.
//!
//! Owns which wishes may be asked twice, and what is said of the others. The first moment of asking goes along, so that
//! what was done already is not done again.

use super::client::Client;
use super::exit::{Exit, Failure};
use crate::engine::Command;
use crate::sys::clock::monotonic_ms;
use crate::wire::{Final, Request};

/// Daemons that may die in a row as soon as they are spoken to, before it is thought to be the wish that kills them.
const LOSSES_MAX: u32 = 50;
/// Daemons that an upgrade may cost: it may be the new program that dies, and each try would end one more.
const UPGRADE_LOSSES_MAX: u32 = 3;
/// A connection that has lived so long was not killed by what was asked on it.
const LIVELY_MS: u64 = 1_000;

/// What was asked, until it is answered.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) request: Request,
    /// The whole request is in the daemon's hands, or was when it died.
    pub(super) was_sent: bool,
    asked_ms: u64,
}

impl Wish {
    pub(super) fn new(command: Command, directories: &[String]) -> Self {
        let request = Request {
            command,
            directories: directories.to_vec(),
            first_asked_ms: None,
        };
        Self {
            request,
            was_sent: false,
            asked_ms: monotonic_ms(),
        }
    }
}

/// How often the daemon was lost lately.
#[derive(Debug)]
pub(super) struct Losses {
    in_a_row: u32,
    connected_ms: u64,
}

impl Losses {
    pub(super) fn new() -> Self {
        Self {
            in_a_row: 0,
            connected_ms: monotonic_ms(),
        }
    }

    /// One more, while this was wanted; whether it is worth trying again.
    fn count(&mut self, command: Option<&Command>) -> bool {
        let is_upgrade = matches!(command, Some(Command::Upgrade));
        let lived_ms = monotonic_ms().saturating_sub(self.connected_ms);
        self.in_a_row = if lived_ms > LIVELY_MS && !is_upgrade {
            1
        } else {
            self.in_a_row.saturating_add(1)
        };
        let most = if is_upgrade {
            UPGRADE_LOSSES_MAX
        } else {
            LOSSES_MAX
        };
        self.in_a_row <= most
    }
}

impl Client {
    /// The connection is lost, and why. Connects to the successor, which is started if there is none, and asks it what
    /// was not answered. An answer comes back where there is nobody left who could give it, and that is the answer.
    pub(super) fn recover(&mut self, failure: Failure) -> Result<Option<Final>, Failure> {
        let command = self.wish.as_ref().map(|wish| &wish.request.command);
        let was_sent = self.wish.as_ref().is_some_and(|wish| wish.was_sent);
        if let Some(unknown) = command.and_then(unknown_whether).filter(|_| was_sent) {
            let named = self.named();
            let message = format!("the daemon{named} ended before it answered: {}", unknown.0);
            return Err(Failure::new(Exit::NoDaemon, message).hint(unknown.1));
        }
        if !self.losses.count(command) {
            return Err(failure);
        }
        let is_kill = matches!(command, Some(Command::Kill));
        let starts = command.is_some_and(starts_a_daemon);
        let successor = if starts {
            Some(self.place.connected_or_started()?.client)
        } else {
            self.place.successor()?
        };
        match successor {
            Some(successor) => self.take_over(successor),
            None if is_kill => {
                self.wish = None;
                return Ok(Some(Final::Results(Vec::new())));
            }
            None => return Err(failure),
        }
        self.losses.connected_ms = monotonic_ms();
        if let Some(wish) = &mut self.wish {
            if wish.was_sent {
                wish.request.first_asked_ms = Some(wish.asked_ms);
            }
            wish.was_sent = false;
        }
        self.send_wish()?;
        Ok(None)
    }
}

/// What nobody knows after a loss, and what to do; nothing for what may simply be asked again.
fn unknown_whether(command: &Command) -> Option<(String, String)> {
    match command {
        Command::Reload { names } => {
            let names = names.join(" ");
            let message = format!("whether {names} was reloaded is not known");
            Some((
                message,
                format!("`diakonos reload {names}` does it (again)"),
            ))
        }
        Command::Signal { names, signal } => {
            let names = names.join(" ");
            let message = format!("whether {names} got {signal} is not known");
            let hint = format!(
                "`diakonos logs {names}` may show it; `diakonos signal {signal} {names}` sends it (again)"
            );
            Some((message, hint))
        }
        Command::List
        | Command::Status { .. }
        | Command::Plan { .. }
        | Command::Start { .. }
        | Command::Stop { .. }
        | Command::Restart { .. }
        | Command::Freeze { .. }
        | Command::Thaw { .. }
        | Command::Reset { .. }
        | Command::Set { .. }
        | Command::Logs { .. }
        | Command::Definitions { .. }
        | Command::DaemonReload
        | Command::Scale { .. }
        | Command::Enable { .. }
        | Command::Disable { .. }
        | Command::DaemonStatus
        | Command::Upgrade
        | Command::Kill => None,
    }
}

/// Whether a daemon is started for this where none is needed for services that run.
fn starts_a_daemon(command: &Command) -> bool {
    matches!(
        command,
        Command::Start { .. }
            | Command::Restart { .. }
            | Command::Enable { .. }
            | Command::Scale { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(command: &Command, connected_ms: u64) -> usize {
        let mut losses = Losses {
            in_a_row: 0,
            connected_ms,
        };
        let again = std::iter::from_fn(|| losses.count(Some(command)).then_some(()));
        again.take(1_000).count()
    }

    #[test]
    fn an_upgrade_whose_program_dies_is_soon_given_up() {
        assert_eq!(tries(&Command::Upgrade, monotonic_ms()), 3);
        assert_eq!(tries(&Command::Upgrade, 0), 3);
    }

    #[test]
    fn other_wishes_survive_a_row_of_deaths() {
        assert_eq!(tries(&Command::List, u64::MAX), 50);
        assert_eq!(tries(&Command::List, 0), 1_000);
    }
}
