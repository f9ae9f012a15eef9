//! The daemon itself: `daemon`, `daemon-status`, `kill`.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use simplelog::{ConfigBuilder, LevelFilter, WriteLogger};

use super::page;
use crate::cli::args::Given;
use crate::cli::client::other_answer;
use crate::cli::exit::{Exit, Failure};
use crate::cli::logtail::Tail;
use crate::cli::output::{answer, aside};
use crate::cli::patient::Unwaiting;
use crate::cli::place::{Place, find_home, home_hint};
use crate::cli::render;
use crate::cli::stamp::Stamped;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::text::{clean, span};
use crate::cli::usage::proportional_memory;
use crate::cli::wait::Waiting;
use crate::daemon::{self, BootError, Ended, Guarded, Home};
use crate::engine::Command;
use crate::sys::clock;
use crate::sys::poll::wait_readable;
use crate::sys::process::{Pid, PidFd};
use crate::wire::{Final, UnitResult, UnitStatus};

/// What is kept of a line of the daemon's log until it is whole; a longer one is written in parts.
const LINE_BYTES: usize = 512;
/// How long the daemon may take to end once everything is down: it removes what it has kept of each unit, and there are
/// disks on which removing a file takes milliseconds.
const END_MS: u64 = 120_000;

pub(in crate::cli) const DAEMON: Row = Row {
    name: "daemon",
    alias: None,
    group: Group::Daemon,
    arguments: "",
    count: Count::None,
    options: &[
        Choice::flag(
            "",
            "--background",
            "start it in the background, unless it runs; returns when it is ready",
        ),
        Choice::flag(
            "",
            "--no-guardian",
            "no process that makes a successor should the daemon die",
        ),
        // The hidden options: how a command that starts the daemon in the background hears of it, by what a new
        // guardian finds its daemon, what the next image of a daemon finds, and whether it could go on with that.
        Choice::value("", "--ready-fd", "N", ""),
        Choice::value("", "--guard", "N", ""),
        Choice::value("", "--held", "N", ""),
        Choice::value("", "--handover", "N", ""),
        Choice::flag("", "--rehearse", ""),
    ],
    summary: "run the daemon in the foreground",
    help: &[
        "Needed seldom: the first command that wants a daemon starts one in the background. In the foreground it logs to \
         standard error; one in the background logs to daemon.log in its home.",
        "SIGTERM and Ctrl-C stop all services in order and then the daemon; a second one does not wait. There is one \
         daemon for one home: a second one does not start.",
        "This process stays as the guardian of the daemon that it makes: should that die, it makes a successor at once. \
         --no-guardian leaves that to whoever started it, and so does a set NOTIFY_SOCKET, to which the daemon says when \
         it is ready and when it is stopping, sd_notify(3).",
    ],
    examples: &[(
        "DIAKONOS_HOME=/tmp/try diakonos daemon",
        "a daemon with a home of its own",
    )],
    exits: &[
        (
            Exit::Failed,
            "it could not start; the reason is on standard error",
        ),
        (Exit::NotAllowed, "another daemon serves this home"),
    ],
    run,
};

pub(in crate::cli) const STATUS: Row = Row {
    name: "daemon-status",
    alias: None,
    group: Group::Daemon,
    arguments: "",
    count: Count::None,
    options: &[Choice::flag("", "--json", "one object")],
    summary: "show the daemon: PID, version, memory, what the machine lets it do",
    help: &["Does not start the daemon."],
    examples: &[],
    exits: &[(Exit::NoDaemon, "no daemon runs, or it did not answer")],
    run: status,
};

pub(in crate::cli) const KILL: Row = Row {
    name: "kill",
    alias: None,
    group: Group::Daemon,
    arguments: "",
    count: Count::None,
    options: &[],
    summary: "stop all services, then the daemon",
    help: &[
        "The services are stopped in order, as by `stop`. Asked a second time meanwhile, the daemon no longer waits and \
         sends SIGKILL.",
    ],
    examples: &[],
    exits: &[
        (Exit::Done, "no daemon runs any more, or none did"),
        (
            Exit::Failed,
            "it has ended, but what an earlier daemon started runs on",
        ),
        (
            Exit::OutOfTime,
            "everything is down, but the daemon did not end",
        ),
    ],
    run: kill,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    if given.flag("--background") {
        Place::find(given)?.connect_or_start()?;
        return Ok(Exit::Done);
    }
    let descriptor = |option| {
        let number = given.number(option, 1 << 20)?;
        Ok::<_, Failure>(number.and_then(|fd| i32::try_from(fd).ok()))
    };
    let (ready_fd, channel) = (descriptor("--ready-fd")?, descriptor("--guard")?);
    let (held, handover) = (descriptor("--held")?, descriptor("--handover")?);
    let is_background = ready_fd.is_some() || channel.is_some();
    let home = find_home()?;
    if given.flag("--rehearse") {
        let word = daemon::rehearse(&home).map_err(|reason| Failure::new(Exit::Failed, reason))?;
        answer(word)?;
        return Ok(Exit::Done);
    }
    if let Some(note) = handover {
        log_to_stderr(&home);
        return match daemon::run_successor(home, note) {
            Ok(_) => Ok(Exit::Done),
            Err(error) => Err(Failure::new(Exit::Failed, error.to_string())),
        };
    }
    let service_directories = if is_background {
        // Its folder is /, which says nothing.
        Vec::new()
    } else {
        daemon::settings(&home).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let directories = Place::find(given)?.directories;
        directories.into_iter().map(PathBuf::from).collect()
    };
    log_to_stderr(&home);
    let hint = home_hint(home.root());
    let options = daemon::Options {
        home,
        service_directories,
        // Who wants to hear that the daemon is ready looks after it, and hears the process that it has started.
        guarded: if given.flag("--no-guardian") || is_set("NOTIFY_SOCKET") {
            Guarded::ByOthers
        } else {
            Guarded::ByUs
        },
        ready_fd,
    };
    let ended = match channel {
        Some(channel) => daemon::run_guardian(options, channel, held),
        None => daemon::run(options),
    };
    match ended {
        Ok(Ended::InOrder) => Ok(Exit::Done),
        // The daemon that did not start has said so itself.
        Ok(Ended::NeverServed) => Err(Failure::silent(Exit::Failed)),
        // Whoever started it in the background hears it by the descriptor.
        Err(_) if is_background => Err(Failure::silent(Exit::Failed)),
        Err(error) => {
            let text = error.to_string();
            Err(match error {
                // A supervisor that starts the daemon sees by the code that trying again will not help.
                BootError::Locked { .. } => Failure::new(Exit::NotAllowed, text)
                    .hint("`diakonos daemon-status` shows it, `diakonos kill` ends it"),
                BootError::Failed { doing: "use", .. } => {
                    Failure::new(Exit::Failed, text).hint(hint)
                }
                BootError::Failed { .. } => Failure::new(Exit::Failed, text),
            })
        }
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// The daemon narrates to standard error: a terminal, an outer supervisor, or `daemon.log`. Where a terminal closes, it
/// goes on in `daemon.log`.
fn log_to_stderr(home: &Home) {
    let config = ConfigBuilder::new()
        .set_time_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build();
    // The logger writes word by word, and each would be a system call.
    let Ok(out) = Unwaiting::new(std::io::stderr().as_fd(), clock::wall_ms) else {
        // Standard error is closed: nobody reads it.
        return;
    };
    // Where the settings are wrong, that is told elsewhere.
    let settings = daemon::settings(home).unwrap_or_default();
    let out = out.or_else(daemon::own_log(home, &settings));
    let stamped = Stamped::new(out, clock::wall_ms);
    let lines = std::io::LineWriter::with_capacity(LINE_BYTES, stamped);
    // It fails only when a logger is set already, which then does as well.
    let _ = WriteLogger::init(LevelFilter::Info, config, lines);
}

fn status(given: &Given) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let Some(mut client) = place.connect()? else {
        let home = place.home.root().display();
        if given.flag("--json") {
            answer("{\n  \"running\": false\n}\n")?;
            return Ok(Exit::NoDaemon);
        }
        return Err(
            Failure::new(Exit::NoDaemon, format!("no daemon runs for {home}"))
                .hint("the first command that needs one starts it"),
        );
    };
    let last = client.ask(Command::DaemonStatus, &place.directories)?;
    let Final::Daemon(status) = last else {
        return Err(other_answer());
    };
    let memory = proportional_memory(status.pid);
    answer(if given.flag("--json") {
        render::daemon_json(&status, memory).document()
    } else {
        render::daemon(&status, memory, page(given))
    })?;
    Ok(Exit::Done)
}

fn kill(given: &Given) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let Some(mut client) = place.connect_or_succeed()? else {
        return super::nothing_runs("nothing to end");
    };
    let Final::Daemon(status) = client.ask(Command::DaemonStatus, &place.directories)? else {
        return Err(other_answer());
    };
    // Their numbers are still their own, since it has just answered; in another PID namespace they are others.
    let is_near = client.pid() == Some(status.pid);
    let pids = [Some(status.pid), status.guardian].into_iter().flatten();
    let pids = pids.filter(|_| is_near);
    let processes: Vec<PidFd> = pids
        .filter_map(|pid| PidFd::open(Pid::from_raw(pid)?).ok())
        .collect();
    let mut left = client.units(Command::List, &place.directories)?;
    left.retain(|unit| !unit.left_over.is_empty());
    let purpose = "stop all services and the daemon".to_owned();
    let mut waiting = Waiting::new(given, &place, purpose);
    let last = waiting.carry_out(&mut client, Command::Kill)?;
    let spared = match last {
        Final::Results(results) => results,
        _ => Vec::new(),
    };
    // A connection closes a little earlier than its process ends.
    // Should it have died meanwhile, its successor has done it.
    let last = client.process().into_iter();
    let has_ended = if processes.is_empty() {
        client.wait_for_end(END_MS)
    } else {
        processes.iter().chain(last).all(ends)
    };
    if !has_ended {
        let named = format!(" (PID {})", status.pid);
        let message = format!(
            "all services are down, but the daemon{named} did not end within {}",
            span(END_MS)
        );
        return Err(Failure::new(Exit::OutOfTime, message));
    }
    if !left.is_empty() {
        return Err(left_behind(&left));
    }
    tell_spared(given, &spared)
}

/// Says who lives on because the units say so; that none is left only where that is so.
fn tell_spared(given: &Given, results: &[UnitResult]) -> Result<Exit, Failure> {
    let palette = given.error_palette();
    let (spared, failed): (Vec<&UnitResult>, Vec<&UnitResult>) = results
        .iter()
        .filter(|result| !result.left.is_empty() || !render::is_success(result))
        .partition(|result| render::is_success(result));
    for result in &failed {
        aside(&render::failures(
            result,
            (&result.unit, &Tail::default()),
            palette,
        ));
    }
    if !failed.is_empty() || !spared.is_empty() {
        let spared: Vec<UnitResult> = spared.into_iter().cloned().collect();
        let said = "the daemon has ended; not all processes of its services have";
        answer(format!(
            "{}{said}\n",
            render::successes(&spared, given.palette())
        ))?;
    } else {
        answer("the daemon has ended; no service is left\n")?;
    }
    Ok(match failed.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

/// What the daemon could neither watch nor stop.
fn left_behind(units: &[UnitStatus]) -> Failure {
    let named = units.iter().filter_map(|unit| {
        let pids = render::pids(&unit.left_over)?;
        Some(format!("{} ({pids})", clean(&unit.name)))
    });
    let named: Vec<String> = named.collect();
    let message = format!(
        "the daemon has ended, but what an earlier one started runs on unwatched: {}",
        named.join(", ")
    );
    Failure::new(Exit::Failed, message).hint("nothing of it was signalled; `kill PID` ends it")
}

/// Waits for the end of the daemon's process. Whether it came in time.
fn ends(process: &PidFd) -> bool {
    wait_readable(&[process.as_fd()], Some(END_MS)).is_ok_and(|ready| ready.contains(&true))
}
