//! One unit after the other: a command for each, and the next only when the one before is done. For `scale` and
//! `restart --rolling`.
//!
//! Owns the end of such a row: at the first failure, at Ctrl-C after the one at hand (a second one no longer waits for
//! that); and saying how far it came.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stderr};
use std::os::fd::AsFd as _;

use super::args::Given;
use super::client::{Client, other_answer};
use super::commands::verbs::report;
use super::exit::{Exit, Failure};
use super::output::{self, aside, hint_line};
use super::place::Place;
use super::render;
use super::text::clean;
use super::units;
use super::wait::{Waiting, await_signals};
use crate::engine::Command;
use crate::sys::clock::wall_ms;
use crate::sys::poll::wait_readable;
use crate::sys::process::error_text;
use crate::sys::signals::Watched;
use crate::unit::Signal;
use crate::wire::{Final, Reply};

/// A row, and the words that tell how far it came.
pub(super) struct Sequence<'a> {
    pub(super) given: &'a Given,
    pub(super) place: &'a Place,
    /// Of each step: `restart`.
    pub(super) verb: &'static str,
    /// Units whose step is done are …
    pub(super) done: &'static str,
    /// … and those whose turn did not come are …
    pub(super) left: &'static str,
}

/// How one step ended.
enum Step {
    Done,
    /// It was tried.
    Failed(Exit),
    /// It was refused, and the unit is as it was.
    Refused(Exit),
    /// Nobody waits for it any more.
    Detached,
}

/// What became of units that a step was not about: whether it went well.
type Along = BTreeMap<String, bool>;

/// What Ctrl-C has asked for so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    GoOn,
    /// To end after the step at hand.
    End,
}

impl Sequence<'_> {
    /// Runs the steps, each a unit and what is to be done to it. `again` is the command that goes on, given the units
    /// that are left.
    pub(super) fn run(
        &self,
        client: &mut Client,
        steps: &[(String, Command)],
        again: &dyn Fn(&[&str]) -> String,
    ) -> Result<Exit, Failure> {
        let interrupts = await_signals(&[Signal::INT])?;
        let mut wish = Wish::GoOn;
        let mut along = Along::new();
        for (place, (unit, command)) in steps.iter().enumerate() {
            // It has gone along with another one since the row began, and once is enough.
            if along.get(unit) == Some(&true) {
                continue;
            }
            let many = steps.len();
            let purpose = format!("{} {unit} ({} of {many})", self.verb, place + 1);
            let mut waiting = Waiting::new(self.given, self.place, purpose);
            client.send(command.clone(), &self.place.directories)?;
            let (last, after) = self.step(client, &mut waiting, (unit, &interrupts, wish))?;
            wish = after;
            let step = match last {
                Some((last, begun_ms)) => self.judge(last, begun_ms, &mut along)?,
                None => Step::Detached,
            };
            let names: Vec<&str> = steps.iter().map(|(unit, _)| unit.as_str()).collect();
            let is_last = place + 1 == many;
            let (how, exit, done) = match step {
                Step::Done if is_last || wish == Wish::GoOn => continue,
                Step::Done => ("", Exit::Detached, place + 1),
                Step::Failed(exit) => ("failed", exit, place),
                Step::Refused(exit) => ("", exit, place),
                Step::Detached => ("not waited for", Exit::Detached, place),
            };
            self.tell(&names, (done, how), &along);
            // A detached step goes on by itself.
            let left = match step {
                Step::Detached => &names[done + 1..],
                _ => &names[done..],
            };
            if !left.is_empty() {
                let hint = format!("`{}` goes on", again(left));
                aside(&hint_line(&hint, self.given.error_palette()));
            }
            return Ok(exit);
        }
        Ok(Exit::Done)
    }

    /// Says which units are done, which one ended the row, if it is neither, and whose turn did not come: of those,
    /// what became of them when one of the others had its turn.
    fn tell(&self, names: &[&str], (done, how): (usize, &str), along: &Along) {
        let (before, rest) = names.split_at(done);
        let (at, left) = match how {
            "" => (None, rest),
            _ => (rest.first(), rest.get(1..).unwrap_or_default()),
        };
        let mut parts = Vec::new();
        if !before.is_empty() {
            parts.push(format!("{}: {}", self.done, before.join(", ")));
        }
        parts.extend(at.map(|at| format!("{how}: {at}")));
        let became = |success: Option<bool>| -> Vec<&str> {
            let is_so = |name: &&&str| along.get(**name).copied() == success;
            left.iter().filter(is_so).copied().collect()
        };
        let groups = [
            ("failed along".to_owned(), became(Some(false))),
            (format!("{} along", self.done), became(Some(true))),
            (self.left.to_owned(), became(None)),
        ];
        let groups = groups.into_iter().filter(|(_, units)| !units.is_empty());
        parts.extend(groups.map(|(how, units)| format!("{how}: {}", units.join(", "))));
        aside(&format!("{}\n", clean(&parts.join("; "))));
    }

    /// Waits for the answer to one step, and tells when it began; nothing if nobody waits for it any more.
    fn step(
        &self,
        client: &mut Client,
        waiting: &mut Waiting<'_>,
        (unit, interrupts, mut wish): (&str, &Watched, Wish),
    ) -> Result<(Option<(Final, u64)>, Wish), Failure> {
        let begun_ms = wall_ms();
        loop {
            match client.reply(0)? {
                Some(Reply::Progress(progress)) => waiting.progress(progress),
                Some(Reply::Final(last)) => {
                    waiting.finish();
                    // One that came while nobody waited.
                    if matches!(interrupts.read(), Ok(Some(_))) {
                        wish = Wish::End;
                    }
                    return Ok((Some((last, begun_ms)), wish));
                }
                None => {
                    let fds = [client.fd(), interrupts.as_fd()];
                    let ready = wait_readable(&fds, Some(waiting.patience_ms()));
                    let ready = ready.map_err(|error| {
                        let reason = error_text(&error);
                        let message = format!("cannot wait for the daemon: {reason}");
                        Failure::new(Exit::Failed, message)
                    })?;
                    if ready.get(1) == Some(&true) && matches!(interrupts.read(), Ok(Some(_))) {
                        waiting.clear();
                        if wish == Wish::End {
                            aside(&format!("detached: the daemon goes on ({unit})\n"));
                            return Ok((None, wish));
                        }
                        wish = Wish::End;
                        // The terminal shows `^C`.
                        let line = if stderr().is_terminal() { "\n" } else { "" };
                        aside(&format!(
                            "{line}ends after {unit} (Ctrl-C: do not wait for it)\n"
                        ));
                    } else if ready.first() != Some(&true) {
                        waiting.show();
                    }
                }
            }
        }
    }

    fn judge(&self, last: Final, begun_ms: u64, along: &mut Along) -> Result<Step, Failure> {
        match last {
            Final::Results(results) => {
                let became = results.iter();
                along.extend(became.map(|one| (one.unit.clone(), render::is_success(one))));
                let exit = report(self.given, self.place, &results, begun_ms)?;
                Ok(match exit {
                    Exit::Done => Step::Done,
                    exit => Step::Failed(exit),
                })
            }
            Final::Error(error) => {
                let failure = units::with_nearest(error.into(), self.place, &self.given.arguments);
                output::failure(&failure, self.given.error_palette());
                Ok(Step::Refused(failure.exit))
            }
            _ => Err(other_answer()),
        }
    }
}
