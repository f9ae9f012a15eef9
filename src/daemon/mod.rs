//! The daemon: one loop and all that it multiplexes.
//!
//! [`run`] is the whole of it. Its first half may die, loudly, and tells whoever started it; once the socket listens,
//! nothing but the engine's last word ends it.

mod account;
mod answer;
mod births;
mod boot;
mod circles;
mod conditions;
mod context;
mod crowd;
mod enabled;
mod enabling;
mod ends;
mod environment;
mod event_loop;
mod fitness;
mod folders;
mod freezer;
mod group;
mod guardian;
mod handover;
mod home;
mod identity;
mod instances;
mod intake;
mod keeper;
mod knowledge;
mod leftover;
mod lenience;
mod limits;
mod lines;
mod lives;
mod loader;
mod log_care;
mod machine;
mod main_pid;
mod memory;
mod newborn;
mod notify;
mod packing;
mod planning;
mod precedence;
mod probe;
mod processes;
mod pump;
mod readiness;
mod record;
mod removing;
mod request;
mod reread;
mod restore;
mod runs;
mod sandbox;
mod scales;
mod scaling;
mod session;
mod set;
mod setting;
mod settings;
mod settling;
mod sleep;
mod sources;
mod spare;
mod spared;
mod spawn;
mod state;
mod status;
mod supervisor;
mod tending;
mod text;
mod transient;
mod turned_away;
mod upgrade;
mod watches;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use mio::Poll;

use crate::engine::Engine;
use crate::sys::{clock, process};
use crate::unit::SearchPath;

pub use boot::BootError;
pub use context::unit_context;
pub use environment::{default_path, mark_of};
pub use guardian::Ended;
pub use home::Home;
pub use log_care::{clear_rest, tend_unwritten, untended};
pub use planning::plan_alone;
pub use scales::Scales;
pub use settings::{SettingsError, own_log, settings};
pub use state::has_heritage;
pub use supervisor::has_supervisor;

use boot::{Ready, Seat};
use enabled::Enabled;
use event_loop::Daemon;
use guardian::{Inherited, Kept, Post};
use handover::Heritage;
use intake::Intake;
use keeper::Keeper;
use log_care::LogCare;
use processes::Processes;
use record::Record;
use session::Sessions;
use sleep::Memory;
use sources::{Source, Sources};
use supervisor::Supervisor;

/// How to run a daemon.
#[derive(Debug)]
pub struct Options {
    /// The daemon's folder; made when it is missing.
    pub home: Home,
    /// Where the enabled units' dependencies are looked for besides their own folders; absolute.
    pub service_directories: Vec<PathBuf>,
    pub guarded: Guarded,
    /// An inherited descriptor, 3 or above, that gets one line: `ready`, `locked PID` (another daemon serves this home)
    /// or `error: …`; then it is closed. Nothing else in this process may own it.
    pub ready_fd: Option<i32>,
}

/// Who makes a successor of a daemon that dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// This process, which stays as the guardian of daemons that it makes.
    ByUs,
    /// Whoever started us, or nobody: this process becomes the daemon itself.
    ByOthers,
}

/// Runs the daemon until it is told to end; with a guardian, this process and each daemon return from here. Signals and
/// the like are the whole process's: it has no other thread.
///
/// # Errors
/// The daemon could not start; nothing was started then.
pub fn run(options: Options) -> Result<Ended, BootError> {
    run_keeping(options, Vec::new())
}

/// The same, with what a guardian before held.
fn run_keeping(options: Options, kept: Kept) -> Result<Ended, BootError> {
    let ready = Ready::take(options.ready_fd);
    let given = match options.guarded {
        Guarded::ByOthers => supervisor::take_given(),
        Guarded::ByUs => Vec::new(),
    };
    let seat = match boot::take_seat(options.home, options.service_directories) {
        Ok(seat) => seat,
        Err(error) => {
            ready.failed(&error);
            return Err(error);
        }
    };
    supervisor::note(&seat.home, options.guarded);
    match options.guarded {
        Guarded::ByOthers => serve(seat, ready, Keeper::of_supervisor(given), None),
        Guarded::ByUs => follow(guardian::guard(seat, ready, kept)?),
    }
}

/// Is the guardian of a daemon that has no other one: it made this process to be so, or this process was its guardian
/// and has become another program. `channel` is an inherited descriptor, 3 or above, one end of the channel between the
/// two. `held` is another one: what this process held then. Of the options, the folders are those that the daemon
/// tells.
///
/// # Errors
/// As [`run`]: the daemon has died before it could say more, and another one could not start.
pub fn run_guardian(options: Options, channel: i32, held: Option<i32>) -> Result<Ended, BootError> {
    boot::prepare_process();
    match guardian::inherit(&options.home, channel, held) {
        Inherited::Guarded(guardian) => follow(guardian.run()?),
        Inherited::Over => Ok(Ended::InOrder),
        Inherited::Dead(kept) => run_keeping(options, kept),
    }
}

/// Goes on as the daemon that this process has been when it ran the program before. `note` is an inherited descriptor,
/// 3 or above: what that one has handed over.
///
/// # Errors
/// As [`run`]: the handover cannot be read, although it could when this program was asked.
pub fn run_successor(home: Home, note: i32) -> Result<Ended, BootError> {
    boot::prepare_process();
    let (seat, keeper, heritage) = handover::receive(home, note)?;
    serve(seat, Ready::default(), keeper, Some(heritage))
}

/// Reads what a daemon of this home would hand over, on standard input, and what it has saved: whether this program
/// could go on with it. The answer is the word to say; it changes nothing.
///
/// # Errors
/// A sentence: why it could not.
pub fn rehearse(home: &Home) -> Result<&'static str, String> {
    let note = std::io::stdin().as_fd().try_clone_to_owned();
    let note = note.map_err(|error| process::error_text(&error))?;
    handover::rehearse(note.into(), home)?;
    Ok(upgrade::CAN_READ)
}

/// What is left to do for who comes from the guardian's loop.
fn follow(post: Post) -> Result<Ended, BootError> {
    match post {
        Post::Daemon(seat, ready, keeper) => serve(*seat, ready, *keeper, None),
        Post::Guardian(ended) => Ok(ended),
    }
}

/// The daemon's life.
fn serve(
    seat: Seat,
    ready: Ready,
    keeper: Keeper,
    heritage: Option<Heritage>,
) -> Result<Ended, BootError> {
    let (mut daemon, poll) = match start(seat, keeper) {
        Ok(started) => started,
        Err(error) => {
            if !ready.is_awaited() {
                ::log::error!("{error}");
            }
            ready.failed(&error);
            return Err(error);
        }
    };
    // Whoever started us connects from here on, and from here on nothing may die.
    ready.ready();
    ::log::info!(
        "ready, PID {}, version {}",
        std::process::id(),
        env!("CARGO_PKG_VERSION")
    );
    match heritage {
        None => {
            daemon.begin_record("began");
            daemon.take_back();
            daemon.introduce();
            daemon.supervisor.ready(daemon.home.root());
            daemon.start_enabled();
        }
        Some(heritage) => {
            daemon.begin_record("upgraded");
            daemon.go_on_from(heritage);
            daemon.introduce();
            daemon.renew_guardian();
            daemon.supervisor.ready(daemon.home.root());
            // Whoever is enabled was started, or is not to be.
            daemon.know_enabled();
        }
    }
    daemon.run(poll);
    daemon.end();
    Ok(Ended::InOrder)
}

/// All that may fail.
fn start(mut seat: Seat, keeper: Keeper) -> Result<(Daemon, Poll), BootError> {
    let signals = boot::settle_in(&mut seat)?;
    let Seat {
        home,
        lock,
        listener,
        nofile,
        directories,
    } = seat;
    let failed = |error: io::Error| BootError::failed("make", Path::new("the event loop"), error);
    let poll = Poll::new().map_err(failed)?;
    let mut sources = Sources::new(poll.registry().try_clone().map_err(failed)?);
    sources
        .add(listener.as_fd(), Source::Listener)
        .map_err(failed)?;
    sources
        .add(signals.as_fd(), Source::Signals)
        .map_err(failed)?;
    let intake = Intake::new().map_err(failed)?;
    let mut processes = Processes::new(&home, &mut sources, nofile, intake);
    processes.keeper = keeper;
    processes.keeper.watch(&mut sources).map_err(failed)?;
    processes.switch_on_controllers();
    match settings(&home) {
        Ok(settings) => processes.log_care = LogCare::new(&settings),
        Err(error) => ::log::error!("the daemon goes on without its settings: {error}"),
    }
    let enabled = Enabled::read(home.enabled(), Scales::read(home.scales()));
    let seed = clock::wall_ms() ^ u64::from(process::Pid::current().as_raw()).rotate_left(32);
    let record = Record::new(&home);
    let daemon = Daemon {
        home,
        engine: Engine::new(seed),
        processes,
        enabled,
        record,
        sessions: Sessions::new(),
        sources,
        listener,
        signals,
        events: VecDeque::new(),
        waiting: BTreeMap::new(),
        next_request: 1,
        boot: BTreeMap::new(),
        directories,
        boot_path: SearchPath::default(),
        context: unit_context(),
        unfinished: BTreeSet::new(),
        precedence: precedence::Precedence::default(),
        tendings: VecDeque::new(),
        since_ms: clock::wall_ms(),
        memory: Memory::Used,
        supervisor: Supervisor::find(),
        over: false,
        upgrade: None,
        lock,
    };
    Ok((daemon, poll))
}
