//! `up`: services in the foreground of a terminal, for as long as it is wanted.

use std::io::{self, BufWriter};
use std::os::fd::{AsFd as _, BorrowedFd};

use super::checked_names;
use super::logs::failure;
use super::verbs::report;
use crate::cli::args::Given;
use crate::cli::client::Client;
use crate::cli::exit::{Exit, Failure};
use crate::cli::family::{self, Family, Meant};
use crate::cli::logs::{LogWatch, LogsError, Options, View};
use crate::cli::output::{aside, hint_line};
use crate::cli::place::Place;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::wait::{Waiting, await_signals};
use crate::engine::{Command, Wait};
use crate::log::{Filter, Mode, Start};
use crate::sys::clock::{monotonic_ms, wall_ms};
use crate::sys::poll::wait_readable;
use crate::sys::signals::Watched;
use crate::unit::Signal;
use crate::wire::{Final, Reply, UnitResult};

pub(in crate::cli) const ROW: Row = Row {
    name: "up",
    alias: None,
    group: Group::Services,
    arguments: "[NAME…]",
    count: Count::Any,
    options: &[Choice::value(
        "",
        "--exit-with",
        "NAME",
        "end when this service does, with its exit code (128 + n for signal n)",
    )],
    summary: "start services, show their logs, stop them at Ctrl-C",
    help: &[
        "Without a name: every unit of the service folder. A daemon that runs already is used. Ctrl-C stops what this \
         command has started, in order, and leaves alone what was up before; a second Ctrl-C no longer waits for that. It \
         ends by itself when all that it has started is down for good.",
        "A unit that a pattern or the folder brought in and whose file is wrong is reported, and the others start.",
    ],
    examples: &[
        ("diakonos up", "all of ./services"),
        (
            "diakonos up --exit-with tests tests",
            "for scripts: with tests' dependencies",
        ),
    ],
    exits: &[
        (Exit::Done, "stopped by Ctrl-C, or all have ended well"),
        (Exit::Failed, "a service failed"),
        (Exit::NoSuchUnit, "no such unit; nothing was done"),
        (
            Exit::NoDaemon,
            "the daemon did not start, or ended meanwhile",
        ),
    ],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let meant = family::meant(&place, &given.arguments)?;
    let members = family::with_dependencies(&place, &meant.names);
    let exit_with = match given.value("--exit-with") {
        None => None,
        Some(name) => Some(exit_with(name, &members)?),
    };
    let connected = place.connect_or_start_fresh()?;
    let mut client = connected.client;
    let signals = await_signals(&[Signal::INT, Signal::TERM, Signal::HUP])?;
    let folder = place.home.logs();
    let watch = LogWatch::begin(&folder, &members).map_err(|e| failure(LogsError::Wait(e)))?;
    let options = Options {
        start: Start::Last(0),
        mode: Mode::Follow,
        filter: Filter::default(),
    };
    let view = View::open(&folder, &members, options).map_err(failure)?;
    let family = Family::new(&mut client, members)?;
    let mut up = Up {
        given,
        place: &place,
        view,
        watch,
        signals,
        family,
        audience: Audience::There,
        begun_ms: wall_ms(),
    };
    let exit = up.run(&mut client, meant, exit_with.as_deref())?;
    if connected.fresh {
        let hint = "the daemon that this started still runs; `diakonos kill` ends it";
        aside(&hint_line(hint, given.error_palette()));
    }
    Ok(exit)
}

fn exit_with(name: &str, members: &[String]) -> Result<String, Failure> {
    let name = checked_names(&[name.to_owned()])?.pop().unwrap_or_default();
    if members.contains(&name) {
        return Ok(name);
    }
    let near = crate::unit::nearest(&name, members.iter().map(String::as_str));
    let failure = Failure::usage(format!(
        "--exit-with {name}: it is not among what is started"
    ));
    Err(match near {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure.hint("it must be one of the units named, or one that they depend on"),
    })
}

/// What this command holds while it is up.
struct Up<'a> {
    given: &'a Given,
    place: &'a Place,
    view: View,
    watch: LogWatch,
    signals: Watched,
    family: Family,
    audience: Audience,
    begun_ms: u64,
}

/// Whether somebody reads what is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    There,
    /// The other end of standard output is closed: that means the same as Ctrl-C.
    Gone,
}

/// What a wait brought.
struct Woken {
    interrupted: bool,
    daemon: bool,
}

impl Up<'_> {
    fn run(
        &mut self,
        client: &mut Client,
        meant: Meant,
        exit_with: Option<&str>,
    ) -> Result<Exit, Failure> {
        let start = Command::Start {
            names: meant.names,
            found: meant.found,
            wait: Wait::Finished,
        };
        client.send(start, &self.place.directories)?;
        let mut waiting = Some(Waiting::new(self.given, self.place, "starting".to_owned()));
        let mut failed = false;
        let mut look_at_ms: Option<u64> = None;
        loop {
            if self.audience == Audience::Gone {
                return self.stop();
            }
            let woken = self.wait(client.fd(), look_at_ms, waiting.as_mut())?;
            if woken.interrupted {
                return self.stop();
            }
            if woken.daemon
                && let Some(results) = hear(client, waiting.as_mut())?
            {
                failed |= self.report(&results, self.begun_ms)? != Exit::Done;
                waiting = None;
                look_at_ms = Some(0);
            }
            if self.family.has_lost_one() {
                look_at_ms = Some(0);
            }
            if waiting.is_some() || look_at_ms.is_none_or(|at_ms| at_ms > monotonic_ms()) {
                continue;
            }
            let look = self.family.look(client)?;
            look_at_ms = look.again_ms.map(|ms| monotonic_ms().saturating_add(ms));
            if let Some(name) = exit_with
                && self.family.is_over(name)
            {
                let code = self.family.exit_code(self.place, name);
                self.stop()?;
                return Ok(Exit::Code(code));
            }
            if !look.alive {
                self.view.changed();
                self.print()?;
                aside("nothing is left to wait for\n");
                failed |= look.failed;
                return Ok(if failed { Exit::Failed } else { Exit::Done });
            }
        }
    }

    /// Waits for a signal, the daemon, a log, or the end of a main process, and prints what was logged. Whoever
    /// waits for the daemon's answer is told what takes its time.
    fn wait(
        &mut self,
        daemon: BorrowedFd<'_>,
        until_ms: Option<u64>,
        waiting: Option<&mut Waiting<'_>>,
    ) -> Result<Woken, Failure> {
        let timeout_ms = match &waiting {
            Some(waiting) => Some(waiting.patience_ms()),
            None => until_ms.map(|at_ms| at_ms.saturating_sub(monotonic_ms())),
        };
        let mut fds = vec![self.signals.as_fd(), daemon, self.watch.as_fd()];
        fds.extend(self.family.mains());
        let failed = |error: io::Error| failure(LogsError::Wait(error));
        let ready = wait_readable(&fds, timeout_ms).map_err(failed)?;
        let is_ready = |place: usize| ready.get(place) == Some(&true);
        if let Some(waiting) = waiting {
            match ready.contains(&true) {
                true => waiting.clear(),
                false => waiting.show(),
            }
        }
        if is_ready(2) && self.watch.take_changes().map_err(failed)? {
            self.view.changed();
            self.print()?;
        }
        self.family.note_ends(ready.get(3..).unwrap_or_default());
        Ok(Woken {
            interrupted: is_ready(0) && matches!(self.signals.read(), Ok(Some(_))),
            daemon: is_ready(1),
        })
    }

    fn print(&mut self) -> Result<(), Failure> {
        if self.audience == Audience::Gone {
            return Ok(());
        }
        let mut output = BufWriter::new(io::stdout().lock());
        match self.view.print(&self.given.palette(), &mut output) {
            Err(LogsError::Write(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => {
                self.audience = Audience::Gone;
                Ok(())
            }
            printed => printed.map_err(failure),
        }
    }

    /// Says what became of each unit. That nobody reads it is no failure of theirs.
    fn report(&mut self, results: &[UnitResult], begun_ms: u64) -> Result<Exit, Failure> {
        match report(self.given, self.place, results, begun_ms) {
            Err(failure) if failure.exit == Exit::Done => {
                self.audience = Audience::Gone;
                Ok(Exit::Done)
            }
            reported => reported,
        }
    }

    /// Stops what is ours, still showing the logs.
    fn stop(&mut self) -> Result<Exit, Failure> {
        let ended = || Failure::new(Exit::NoDaemon, "the daemon has ended meanwhile");
        let mut client = self.place.connect_or_succeed()?.ok_or_else(ended)?;
        let names = self.family.to_stop(&mut client)?;
        if names.is_empty() {
            self.view.changed();
            self.print()?;
            return Ok(Exit::Done);
        }
        aside(&format!(
            "\nstopping {} (Ctrl-C: do not wait)\n",
            names.join(", ")
        ));
        let wait = Wait::Finished;
        client.send(Command::Stop { names, wait }, &self.place.directories)?;
        let mut waiting = Waiting::new(self.given, self.place, "stopping".to_owned());
        loop {
            let woken = self.wait(client.fd(), None, Some(&mut waiting))?;
            if woken.interrupted {
                aside("detached: the daemon goes on stopping them\n");
                return Err(Failure::silent(Exit::Detached));
            }
            if woken.daemon
                && let Some(results) = hear(&mut client, Some(&mut waiting))?
            {
                self.view.changed();
                self.print()?;
                return self.report(&results, wall_ms());
            }
        }
    }
}

/// Takes the daemon's replies; the results, once they have come.
fn hear(
    client: &mut Client,
    mut waiting: Option<&mut Waiting<'_>>,
) -> Result<Option<Vec<UnitResult>>, Failure> {
    while let Some(reply) = client.reply(0)? {
        match (reply, &mut waiting) {
            (Reply::Progress(progress), Some(waiting)) => waiting.progress(progress),
            (Reply::Progress(_), None) => {}
            (Reply::Final(Final::Error(error)), _) => return Err(error.into()),
            (Reply::Final(Final::Results(results)), _) => return Ok(Some(results)),
            (Reply::Final(_), _) => return Ok(Some(Vec::new())),
        }
    }
    Ok(None)
}
