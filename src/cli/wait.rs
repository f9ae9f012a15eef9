//! Waiting for the daemon to carry out a wish: progress as it comes, who is still alive, and Ctrl-C, which detaches.
//!
//! Everything here goes to standard error; the answer is its caller's.

use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;

use super::along::Along;
use super::announced::Announced;
use super::args::Given;
use super::client::Client;
use super::exit::{Exit, Failure};
use super::output::aside;
use super::place::Place;
use super::render;
use super::style::{Palette, Tone};
use super::text::{clean, count, fit, span_until};
use super::usage::Survey;
use crate::engine::{Command, State};
use crate::sys::clock::{monotonic_ms, wall_ms};
use crate::sys::poll::wait_readable;
use crate::sys::process::error_text;
use crate::sys::signals::Watched;
use crate::unit::Signal;
use crate::wire::{Final, Progress, ProgressKind, Reply, UnitStatus};

/// After this long a command that waits says what it waits for.
pub(super) const MENTION_MS: u64 = 1_000;
/// How often what is said is brought up to date.
const REFRESH_MS: u64 = 1_000;
/// Units that are asked after each time, until one is found that is not over.
const LOOKS_MAX: usize = 8;
/// Living processes that are named in one line.
const NAMED_MAX: usize = 4;

/// Says on a terminal what is waited for.
pub(super) fn mention(text: &str) {
    if std::io::stderr().is_terminal() {
        aside(&format!("{text}\n"));
    }
}

/// Until it is dropped these signals do not end the program, but make the descriptor readable.
pub(super) fn await_signals(signals: &[Signal]) -> Result<Watched, Failure> {
    let numbers: Vec<i32> = signals.iter().map(|signal| signal.number()).collect();
    Watched::new(&numbers).map_err(|error| {
        let reason = error_text(&error);
        Failure::new(Exit::Failed, format!("cannot wait for Ctrl-C: {reason}"))
    })
}

/// A wish under way.
pub(super) struct Waiting<'a> {
    place: &'a Place,
    palette: Palette,
    terminal: bool,
    /// What it is about, for the line that says so.
    purpose: String,
    /// What may be over before anybody need know: shown when it takes its time.
    announced: Announced,
    along: Along,
    /// Units whose living processes were named where no line can be taken back.
    named: Vec<String>,
    /// "3 of 7 up"; empty where there is nothing to count.
    count: String,
    transient: bool,
    begun_ms: u64,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(given: &Given, place: &'a Place, purpose: String) -> Self {
        Self {
            place,
            palette: given.error_palette(),
            terminal: std::io::stderr().is_terminal(),
            purpose,
            announced: Announced::default(),
            along: Along::default(),
            named: Vec::new(),
            count: String::new(),
            transient: false,
            begun_ms: monotonic_ms(),
        }
    }

    /// Sends the command and waits for its last reply.
    pub(super) fn carry_out(
        &mut self,
        client: &mut Client,
        command: Command,
    ) -> Result<Final, Failure> {
        let interrupts = await_signals(&[Signal::INT])?;
        client.send(command, &self.place.directories)?;
        loop {
            match client.reply(0)? {
                Some(Reply::Progress(progress)) => self.progress(progress),
                Some(Reply::Final(last)) => {
                    self.finish();
                    return match last {
                        Final::Error(error) => Err(error.into()),
                        last => Ok(last),
                    };
                }
                None => {
                    let fds = [client.fd(), interrupts.as_fd()];
                    let ready = wait_readable(&fds, Some(self.patience_ms())).map_err(|error| {
                        let reason = error_text(&error);
                        Failure::new(
                            Exit::Failed,
                            format!("cannot wait for the daemon: {reason}"),
                        )
                    })?;
                    if ready.get(1) == Some(&true) && matches!(interrupts.read(), Ok(Some(_))) {
                        return Err(self.detached());
                    }
                    if ready.first() != Some(&true) {
                        self.show();
                    }
                }
            }
        }
    }

    /// How long until there is something to say.
    pub(super) fn patience_ms(&self) -> u64 {
        let passed_ms = monotonic_ms().saturating_sub(self.begun_ms);
        match MENTION_MS.checked_sub(passed_ms) {
            Some(left_ms) if left_ms > 0 => left_ms,
            _ => REFRESH_MS,
        }
    }

    /// Shows a step on the way, or keeps it for [`Waiting::show`].
    pub(super) fn progress(&mut self, progress: Progress) {
        match progress.kind {
            ProgressKind::Reached => self.count = clean(&progress.text),
            ProgressKind::Waits | ProgressKind::Stopping => {
                self.announced.add(progress, monotonic_ms());
            }
            kind => {
                self.announced.forget(&progress.unit);
                if self.along.shows(kind) {
                    self.clear();
                    aside(&render::progress(&progress, self.palette));
                }
            }
        }
    }

    /// Brings the line that says what is waited for up to date; without a terminal each thing is said once.
    pub(super) fn show(&mut self) {
        let Some((progress, at_ms, status)) = self.newest() else {
            let passed_ms = monotonic_ms().saturating_sub(self.begun_ms);
            let text = format!("{} … {}", self.purpose, span_until(passed_ms));
            self.transient(&self.counted(&text));
            return;
        };
        let unit = clean(&progress.unit);
        let passed_ms = monotonic_ms().saturating_sub(at_ms);
        let text = if progress.kind == ProgressKind::Stopping {
            let left = progress.in_ms.map(|in_ms| in_ms.saturating_sub(passed_ms));
            let alive = status.as_ref().map_or_else(unknown, alive);
            match left {
                Some(left_ms) => {
                    let text = clean(&progress.text);
                    format!("{unit}: {text} in {}; {alive}", span_until(left_ms))
                }
                None => format!("{unit}: {alive}"),
            }
        } else if let Some(now) = status.as_ref().filter(|now| is_only_starting(now)) {
            format!("{unit}: is starting{}", time_left(now))
        } else {
            format!("{unit}: {}", clean(&progress.text))
        };
        if self.terminal {
            self.transient(&self.counted(&text));
        } else if !self.named.contains(&progress.unit) {
            self.named.push(progress.unit);
            aside(&format!("{text}\n"));
        }
    }

    /// How many units are there stands first, so that it stays in a narrow line.
    fn counted(&self, text: &str) -> String {
        match self.count.as_str() {
            "" => text.to_owned(),
            count => format!("{count} · {text}"),
        }
    }

    /// What was announced last and is not over, a stop before anything else, and how its unit is, if that is known.
    /// What is over is forgotten: an end takes no time where no process is left, and nobody tells of it.
    fn newest(&mut self) -> Option<(Progress, u64, Option<UnitStatus>)> {
        for _ in 0..LOOKS_MAX {
            let (progress, at_ms) = self.announced.first()?;
            let status = self.status(&progress.unit);
            if !status.as_ref().is_some_and(|now| is_over(progress, now)) {
                return Some((progress.clone(), *at_ms, status));
            }
            let unit = progress.unit.clone();
            self.announced.forget(&unit);
        }
        None
    }

    fn status(&self, unit: &str) -> Option<UnitStatus> {
        let mut client = self.place.connect().ok().flatten()?;
        let names = vec![unit.to_owned()];
        let units = client.units(Command::Status { names }, &[]).ok()?;
        units.into_iter().next()
    }

    fn transient(&mut self, text: &str) {
        if !self.terminal {
            return;
        }
        let width = crate::sys::terminal::width(std::io::stderr().as_fd()).unwrap_or(80);
        let text = fit(text, usize::from(width).saturating_sub(1));
        aside(&format!(
            "\r\x1b[K{}",
            self.palette.paint(Tone::Quiet, &text)
        ));
        self.transient = true;
    }

    /// Takes the line away that says what is waited for, before something else is printed.
    pub(super) fn clear(&mut self) {
        if self.transient {
            aside("\r\x1b[K");
            self.transient = false;
        }
    }

    /// To be called when the answer has come: says how many were not named.
    pub(super) fn finish(&mut self) {
        self.clear();
        if let Some(rest) = self.along.take_rest() {
            aside(&format!("{}\n", self.palette.paint(Tone::Quiet, &rest)));
        }
    }

    fn detached(&mut self) -> Failure {
        self.clear();
        let message = if self.terminal { "\n" } else { "" };
        aside(&format!(
            "{message}detached: the daemon goes on ({})\n",
            self.purpose
        ));
        Failure::silent(Exit::Detached).hint("`diakonos list` shows how far it is")
    }
}

/// Whether the unit has gone on since this was announced.
fn is_over(progress: &Progress, now: &UnitStatus) -> bool {
    match progress.kind {
        ProgressKind::Stopping => now.state != State::Stopping.word(),
        ProgressKind::Waits => {
            let ways = [State::Waiting, State::Starting, State::Reloading];
            !ways.iter().any(|way| now.state == way.word())
        }
        _ => false,
    }
}

/// Whether it has all that it waited for, and is at its own commands now.
fn is_only_starting(now: &UnitStatus) -> bool {
    now.state == State::Starting.word() && now.waits_for.is_empty() && now.awaits.is_empty()
}

/// When its time to start is over, in words.
fn time_left(now: &UnitStatus) -> String {
    let left_ms = now.deadline_ms.map(|at_ms| at_ms.saturating_sub(wall_ms()));
    left_ms.map_or_else(String::new, |left_ms| {
        format!(", its time limit ends in {}", span_until(left_ms))
    })
}

fn unknown() -> String {
    "is stopping".to_owned()
}

/// Who of a unit's processes is still there, in words.
fn alive(status: &UnitStatus) -> String {
    let processes = Survey::default().usage(status).processes;
    if processes.is_empty() {
        return unknown();
    }
    let shown = processes.iter().take(NAMED_MAX);
    let shown: Vec<String> = shown
        .map(|process| format!("{} {}", process.pid, fit(&process.command, 24)))
        .collect();
    let more = if processes.len() > NAMED_MAX {
        ", …"
    } else {
        ""
    };
    let number = count(processes.len(), "process", "processes");
    format!("{number} still alive ({}{more})", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_announced_is_over_once_the_unit_has_gone_on() {
        let now = |state: State| UnitStatus {
            state: state.word().to_owned(),
            ..UnitStatus::default()
        };
        let told = |kind| Progress {
            kind,
            unit: "web".to_owned(),
            text: "SIGKILL follows".to_owned(),
            in_ms: Some(10_000),
        };
        let stopping = told(ProgressKind::Stopping);
        assert!(!is_over(&stopping, &now(State::Stopping)));
        for state in [
            State::Stopped,
            State::Failed,
            State::Backoff,
            State::Running,
        ] {
            assert!(is_over(&stopping, &now(state)));
        }
        let waits = told(ProgressKind::Waits);
        assert!(!is_over(&waits, &now(State::Waiting)));
        assert!(!is_over(&waits, &now(State::Starting)));
        assert!(is_over(&waits, &now(State::Failed)));
    }
}
