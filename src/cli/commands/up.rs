//! `up`: services in the foreground of a terminal, for as long as it is wanted.

use std::collections::VecDeque;
use std::io::{self, BufWriter};
use std::os::fd::{AsFd as _, BorrowedFd};

use super::verbs::report;
use crate::cli::args::Given;
use crate::cli::attentive::{Attentive, is_the_end};
use crate::cli::client::Client;
use crate::cli::exit::{Exit, Failure};
use crate::cli::family::{self, Family, Meant};
use crate::cli::first::{Meaning, Orphans, Role};
use crate::cli::logfailure::failure;
use crate::cli::logs::{LogsError, Options, View};
use crate::cli::logwatch::{Changes, LogWatch};
use crate::cli::output::{self, aside, hint_line};
use crate::cli::place::Place;
use crate::cli::render;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::wait::{Waiting, await_signals};
use crate::engine::{Command, Wait};
use crate::sys::clock::{monotonic_ms, wall_ms};
use crate::sys::poll::wait_readable;
use crate::sys::signals::{Received, Watched};
use crate::unit::Signal;
use crate::wire::{Final, Reply, ResultKind, UnitResult};

/// How long the daemon may take to end once everything is down.
const END_MS: u64 = 5_000;

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
        "What services print is shown as by `logs`: it cannot do anything to a terminal. Only one service alone whose output \
         goes into a file or a pipe is passed on byte for byte.",
        "With --exit-with, the exit code is NAME's own when that ends, and after Ctrl-C where NAME failed.",
        "As the first process of a container (PID 1) it reaps whoever is left to it, takes SIGTERM and SIGQUIT for \
         Ctrl-C, hands SIGHUP, SIGUSR1 and SIGUSR2 on to NAME, or to the one unit it was given, and ends the daemon, \
         with all that runs, before itself.",
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
        Some(name) => Some(family::exit_with(name, &members)?),
    };
    let role = Role::find();
    let await_all = || await_signals(role.signals());
    // Nothing ends the first process while it waits for the daemon, and no signal may be lost meanwhile.
    let early = (role == Role::First).then(await_all).transpose()?;
    let connected = place.connect_or_start_fresh()?;
    let mut client = connected.client;
    let signals = early.map_or_else(await_all, Ok)?;
    let folder = place.home.logs();
    let watch = LogWatch::begin(&folder, &members).map_err(|e| failure(LogsError::Wait(e)))?;
    let options = Options::foreground(given.palette(), members.len());
    let view = View::open(&folder, &members, options).map_err(failure)?;
    let family = match role {
        Role::Ordinary => Family::of_the_down(&mut client, members)?,
        Role::First => Family::of_all(members),
    };
    let mut up = Up {
        given,
        place: &place,
        role,
        view,
        watch,
        signals,
        noted: VecDeque::new(),
        family,
        audience: Audience::There,
        orphans: Orphans::default(),
        receiver: receiver(exit_with.as_deref(), &meant),
        begun_ms: wall_ms(),
        parting: Parting::Stop,
    };
    up.orphans.note();
    let exit = up.run(&mut client, meant, exit_with.as_deref());
    match role {
        Role::First => up.end_daemon(&exit),
        Role::Ordinary if connected.fresh && exit.is_ok() => {
            let hint = "the daemon that this started still runs; `diakonos kill` ends it";
            aside(&hint_line(hint, given.error_palette()));
        }
        Role::Ordinary => {}
    }
    exit
}

/// Starts one service that nobody has started, shows what it prints, and has its exit code in the end.
pub(super) fn attend(
    given: &Given,
    place: &Place,
    client: &mut Client,
    name: &str,
) -> Result<Exit, Failure> {
    let names = vec![name.to_owned()];
    let folder = place.home.logs();
    let watch = LogWatch::begin(&folder, &names).map_err(|e| failure(LogsError::Wait(e)))?;
    let options = Options::foreground(given.palette(), names.len());
    let view = View::open(&folder, &names, options).map_err(failure)?;
    let mut up = Up {
        given,
        place,
        role: Role::Ordinary,
        view: view.without_marks(),
        watch,
        signals: await_signals(Role::Ordinary.signals())?,
        noted: VecDeque::new(),
        family: Family::of_all(names.clone()),
        audience: Audience::There,
        orphans: Orphans::default(),
        receiver: None,
        begun_ms: wall_ms(),
        parting: Parting::Leave,
    };
    let found = Vec::new();
    up.run(client, Meant { names, found }, Some(name))
}

/// Who gets the signals that are handed on: the one service that this is about, if it is about one.
fn receiver(exit_with: Option<&str>, meant: &Meant) -> Option<String> {
    match (exit_with, meant.names.as_slice()) {
        (Some(name), _) => Some(name.to_owned()),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    }
}

/// What this command holds while it is up.
struct Up<'a> {
    given: &'a Given,
    place: &'a Place,
    role: Role,
    view: View,
    watch: LogWatch,
    signals: Watched,
    /// What came while something was printed.
    noted: VecDeque<Received>,
    family: Family,
    audience: Audience,
    orphans: Orphans,
    receiver: Option<String>,
    begun_ms: u64,
    parting: Parting,
}

/// What becomes of the services when this command ends before them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parting {
    Stop,
    /// They go on, and nothing but what they print is shown.
    Leave,
}

/// Whether somebody reads what is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    There,
    /// The other end of standard output is closed, which means the same as Ctrl-C; or it is full, and somebody did not
    /// want to wait for it.
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
            if self.audience == Audience::Gone && self.parting == Parting::Stop {
                return self.stop(exit_with);
            }
            let woken = self.wait(client.fd(), look_at_ms, waiting.as_mut())?;
            if woken.interrupted {
                return self.part(exit_with);
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
                match self.parting {
                    Parting::Stop => drop(self.stop(None)?),
                    Parting::Leave => {
                        self.view.changed(&Changes::All);
                        self.print()?;
                    }
                }
                return Ok(Exit::Code(code));
            }
            if !look.alive {
                self.view.changed(&Changes::All);
                self.print()?;
                aside("nothing is left to wait for\n");
                failed |= look.failed;
                return Ok(if failed { Exit::Failed } else { Exit::Done });
            }
        }
    }

    /// Ctrl-C.
    fn part(&mut self, exit_with: Option<&str>) -> Result<Exit, Failure> {
        if self.parting == Parting::Stop {
            return self.stop(exit_with);
        }
        let name = exit_with.unwrap_or_default();
        aside(&format!(
            "\ndetached: {name} goes on; `diakonos stop {name}` stops it\n"
        ));
        Err(Failure::silent(Exit::Detached))
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
            None => {
                let look_ms = until_ms.map(|at_ms| at_ms.saturating_sub(monotonic_ms()));
                look_ms.into_iter().chain(self.orphans.in_ms()).min()
            }
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
        if is_ready(2) {
            let changes = self.watch.take_changes().map_err(failed)?;
            if changes != Changes::Nothing {
                self.view.changed(&changes);
                self.print()?;
            }
        }
        self.family.note_ends(ready.get(3..).unwrap_or_default());
        self.orphans.reap();
        Ok(Woken {
            interrupted: self.take_signals(),
            daemon: is_ready(1),
        })
    }

    /// Does what the signals that have come ask for. The answer: whether that is to stop.
    fn take_signals(&mut self) -> bool {
        while let Some(received) = self.next_signal() {
            match self.role.meaning(received) {
                Meaning::Stop => return true,
                Meaning::HandOn(signal) => self.hand_on(signal),
                Meaning::Reap => self.orphans.note(),
            }
        }
        false
    }

    fn next_signal(&mut self) -> Option<Received> {
        let noted = self.noted.pop_front();
        noted.or_else(|| self.signals.read().ok().flatten())
    }

    /// Has the daemon send a signal to the main process of the service that this is about.
    fn hand_on(&self, signal: Signal) {
        let Some(name) = &self.receiver else {
            aside(&format!(
                "{signal}: no one service is meant; --exit-with names the one that gets it\n"
            ));
            return;
        };
        let names = vec![name.clone()];
        let command = Command::Signal { names, signal };
        let said = match self.place.connect() {
            Ok(Some(mut client)) => client.ask(command, &self.place.directories),
            Ok(None) => Err(Failure::new(Exit::NoDaemon, "no daemon runs")),
            Err(failure) => Err(failure),
        };
        match said {
            Ok(Final::Results(results)) => {
                let lost = |result: &&UnitResult| result.kind != ResultKind::Signaled;
                for result in results.iter().filter(lost) {
                    aside(&format!("{signal}: {}: {}\n", result.unit, result.text));
                }
            }
            Ok(_) => {}
            Err(failure) => output::failure(&failure, self.given.error_palette()),
        }
    }

    fn print(&mut self) -> Result<(), Failure> {
        if self.audience == Audience::Gone {
            return Ok(());
        }
        let stdout = io::stdout();
        let output = Attentive::new(stdout.as_fd(), &self.signals, self.role, &mut self.noted);
        let mut output = BufWriter::new(output.map_err(|e| failure(LogsError::Write(e)))?);
        match self.view.print(&self.given.palette(), &mut output) {
            Err(LogsError::Write(cause)) if is_the_end(&cause) => {
                self.audience = Audience::Gone;
                Ok(())
            }
            printed => printed.map_err(failure),
        }
    }

    /// Says what became of each unit. That nobody reads it is no failure of theirs.
    fn report(&mut self, results: &[UnitResult], begun_ms: u64) -> Result<Exit, Failure> {
        let mut results = results.to_vec();
        if self.parting == Parting::Leave {
            // Only what the service prints goes where that goes.
            let skipped = |result: &&UnitResult| result.kind == ResultKind::Skipped;
            for result in results.iter().filter(skipped) {
                aside(&format!("{}: {}\n", result.unit, result.text));
            }
        }
        if self.audience == Audience::Gone || self.parting == Parting::Leave {
            results.retain(|result| !render::is_success(result));
        }
        match report(self.given, self.place, &results, begun_ms) {
            Err(failure) if failure.exit == Exit::Done => {
                self.audience = Audience::Gone;
                Ok(Exit::Done)
            }
            reported => reported,
        }
    }

    /// Stops what is ours, still showing the logs. The exit code is this unit's where it failed.
    fn stop(&mut self, exit_with: Option<&str>) -> Result<Exit, Failure> {
        let ended = || Failure::new(Exit::NoDaemon, "the daemon has ended meanwhile");
        let mut client = self.place.connect_or_succeed()?.ok_or_else(ended)?;
        let names = self.family.to_stop(&mut client)?;
        let mut exit = Exit::Done;
        if names.is_empty() {
            self.view.changed(&Changes::All);
            self.print()?;
        } else {
            aside(&format!(
                "\nstopping {} (Ctrl-C: do not wait)\n",
                names.join(", ")
            ));
            let wait = Wait::Finished;
            let results = self.carry_out(&mut client, Command::Stop { names, wait })?;
            exit = self.report(&results, wall_ms())?;
        }
        if let Some(name) = exit_with {
            self.family.look(&mut client)?;
            if self.family.has_failed(name) {
                exit = Exit::Code(self.family.exit_code(self.place, name));
            }
        }
        Ok(exit)
    }

    /// Has the daemon do what ends services, still showing the logs.
    fn carry_out(
        &mut self,
        client: &mut Client,
        command: Command,
    ) -> Result<Vec<UnitResult>, Failure> {
        client.send(command, &self.place.directories)?;
        let mut waiting = Waiting::new(self.given, self.place, "stopping".to_owned());
        loop {
            let woken = self.wait(client.fd(), None, Some(&mut waiting))?;
            if woken.interrupted {
                aside(match self.role {
                    Role::Ordinary => "detached: the daemon goes on stopping them\n",
                    Role::First => "not waiting: what still runs is killed\n",
                });
                return Err(Failure::silent(Exit::Detached));
            }
            if woken.daemon
                && let Some(results) = hear(client, Some(&mut waiting))?
            {
                self.view.changed(&Changes::All);
                self.print()?;
                return Ok(results);
            }
        }
    }

    /// Stops whatever runs in this container and ends its daemon, so that nobody is killed and nothing half written
    /// when we end; unless nobody wants to wait.
    fn end_daemon(&mut self, exit: &Result<Exit, Failure>) {
        if matches!(exit, Err(failure) if failure.exit == Exit::Detached) {
            return;
        }
        let ended = match self.place.connect() {
            Ok(Some(mut client)) => self
                .carry_out(&mut client, Command::Kill)
                .map(|_| client.wait_for_end(END_MS)),
            Ok(None) => return,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = ended {
            output::failure(&failure, self.given.error_palette());
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
            (Reply::Final(Final::Results(results)), waiting) => {
                waiting.iter_mut().for_each(|waiting| waiting.finish());
                return Ok(Some(results));
            }
            (Reply::Final(_), _) => return Ok(Some(Vec::new())),
        }
    }
    Ok(None)
}
