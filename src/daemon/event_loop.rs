//! The loop: one poll, no threads. It turns readiness into events, hands them to the engine and carries its effects
//! out.
//!
//! Owns the turn: wait, serve what is ready, settle, hear the clients, flush, wait. It decides nothing, and what comes
//! of an effect is a later event, queued, never fed back from inside. No error here ends the daemon.
//!
//! Nothing in a turn waits but where descriptors that others gave us are closed: for a moment, until the children that
//! do that have begun, see `sys::received`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use mio::{Events, Poll};

use crate::engine::{
    Asker, Change, Effect, Engine, Event, Moment, RequestId, Retry, State, UnitId, Verb,
};
use crate::log::Stream;
use crate::sorted::Sorted;
use crate::sys::process::error_text;
use crate::sys::signals::{SIGCHLD, SIGHUP, SignalFd};
use crate::sys::{clock, files, image};
use crate::unit::{Context, SearchPath, UnitName};
use crate::wire::{Progress, Reply};

use super::Guarded;
use super::answer;
use super::conditions;
use super::enabled::Enabled;
use super::guardian::message::Note;
use super::home::Home;
use super::precedence::Precedence;
use super::processes::{self, Processes, Turn};
use super::record::Record;
use super::request::Waiter;
use super::session::Sessions;
use super::sleep::Memory;
use super::sources::{SessionId, Source, Sources};
use super::supervisor::{self, Supervisor};
use super::tending::Tending;
use super::text;
use super::upgrade::Upgrade;

/// Readiness taken from the kernel in one turn; more waits for the next one.
const READY_MAX: usize = 256;
/// No source stands between a log pipe and this.
pub(super) const FIRST_LOG: Source = Source::LogPipe(UnitId(0), Stream::Out);

/// Everything that one daemon is.
pub(super) struct Daemon {
    pub(super) home: Home,
    pub(super) engine: Engine,
    pub(super) processes: Processes,
    pub(super) enabled: Enabled,
    pub(super) record: Record,
    pub(super) sessions: Sessions,
    pub(super) sources: Sources,
    pub(super) listener: UnixListener,
    pub(super) signals: SignalFd,
    /// What has happened and the engine has not seen.
    pub(super) events: VecDeque<Event>,
    /// Who waits for which request.
    pub(super) waiting: BTreeMap<RequestId, Box<Waiter>>,
    pub(super) next_request: u64,
    /// The requests that start the enabled units, until they are answered, and whom each starts.
    pub(super) boot: BTreeMap<RequestId, Vec<UnitName>>,
    /// The folders that whoever started us has named.
    pub(super) directories: Vec<PathBuf>,
    /// Where the units that start with the daemon are looked for.
    pub(super) boot_path: SearchPath,
    /// What `%` specifiers stand for.
    pub(super) context: Context,
    /// What is to be looked at next turn although no event will tell of it.
    pub(super) unfinished: BTreeSet<Source>,
    /// Unix milliseconds.
    pub(super) since_ms: u64,
    pub(super) memory: Memory,
    /// Of clients over log bytes.
    pub(super) precedence: Precedence,
    /// Logs that clients want to be begun anew; whoever waits longest is first.
    pub(super) tendings: VecDeque<Tending>,
    pub(super) supervisor: Supervisor,
    /// The engine has said that all is over.
    pub(super) over: bool,
    /// The daemon is about to become another program.
    pub(super) upgrade: Option<Box<Upgrade>>,
    /// It makes this the only daemon of its home.
    pub(super) lock: File,
}

impl Daemon {
    /// Runs until the engine ends it.
    pub(super) fn run(&mut self, mut poll: Poll) {
        let mut ready = Events::with_capacity(READY_MAX);
        while !self.over {
            self.wait(&mut poll, &mut ready);
            let mut heard = Vec::new();
            for (source, hung_up) in self.due(&ready) {
                match source {
                    Source::LogPipe(unit, stream) if self.is_held() => {
                        self.processes.intake.pass_over((unit, stream));
                        self.unfinished.insert(source);
                    }
                    _ => self.serve(source, hung_up, &mut heard),
                }
            }
            let (processes, mut turn) = self.with_turn();
            processes.on_time(&mut turn);
            self.mind_memory();
            if self.sessions.is_anyone_waiting() {
                self.accept();
            }
            self.tick_if_due();
            self.settle();
            for session in heard {
                self.hear(session);
                self.settle();
            }
            let (processes, mut turn) = self.with_turn();
            processes.settle(&mut turn);
            self.go_on_tending();
            let logs = self.home.logs();
            self.processes.log_care.go_on(&logs, &mut self.sources);
            self.sessions.flush(&mut self.sources);
            self.note_detached();
            self.guard_again();
            self.processes.keeper.closers.go_on_if_due();
            if let Err(error) = self.processes.keeper.watch(&mut self.sources) {
                ::log::error!("cannot watch the guardian: {}", error_text(&error));
            }
            self.go_on_upgrading();
        }
    }

    /// The processes, and what their handlers work with.
    pub(super) fn with_turn(&mut self) -> (&mut Processes, Turn<'_>) {
        let turn = Turn {
            engine: &self.engine,
            sources: &mut self.sources,
            events: &mut self.events,
        };
        (&mut self.processes, turn)
    }

    /// Every service is down: leaves the home as a daemon would find it that was never here.
    pub(super) fn end(&mut self) {
        let (processes, mut turn) = self.with_turn();
        processes.finish(&mut turn);
        self.processes.log_care.packer.end(&mut self.sources);
        self.processes.keeper.over();
        self.end_record();
        supervisor::note(&self.home, Guarded::ByUs);
        let socket = self.home.socket();
        if let Err(error) = fs::remove_file(&socket) {
            ::log::warn!("cannot remove {}: {}", socket.display(), error_text(&error));
        }
        ::log::info!("ended");
        // The guardian has it as well, and whoever waits for our end may start another daemon before that ends.
        if let Err(error) = files::unlock(self.lock.as_fd()) {
            ::log::warn!("cannot give up the lock: {}", error_text(&error));
        }
    }

    /// The channel to the guardian has an event. One that has died is replaced, so that nobody has to mind.
    fn look_at_guardian(&mut self) {
        let Some(died) = self.processes.keeper.woken(&mut self.sources) else {
            return;
        };
        match self.processes.keeper.renew() {
            Ok(pid) => {
                ::log::warn!("the guardian (PID {died}) has died; PID {pid} takes its place");
                self.introduce();
            }
            Err(reason) => ::log::error!(
                "the guardian (PID {died}) has died, and there is no other one: {reason}; should this daemon die, the \
                 next command makes a successor"
            ),
        }
    }

    /// Makes the guardian that could not be made before, if that is due.
    fn guard_again(&mut self) {
        if self.guard_again_in_ms() != Some(0) {
            return;
        }
        // Why not has been said.
        if let Ok(pid) = self.processes.keeper.renew() {
            ::log::info!("PID {pid} is the guardian now");
            self.introduce();
        }
    }

    /// Has the guardian become the program that we are, and tells it everything anew.
    pub(super) fn renew_guardian(&mut self) {
        match image::own_program() {
            Ok(program) => {
                self.processes.keeper.replace(&program);
                self.introduce();
            }
            Err(error) => ::log::warn!("the guardian stays as it is: {}", error_text(&error)),
        }
    }

    /// Tells the guardian all that a successor will need of it, and that we hold what we know of.
    pub(super) fn introduce(&mut self) {
        let note = Note {
            pid: std::process::id(),
            nofile: self.processes.limits,
            directories: self.directories.clone(),
        };
        let fds = [self.lock.as_fd(), self.listener.as_fd()];
        self.processes.keeper.seat(note, fds);
        self.processes.keep_for_successor();
        self.processes.keeper.ready();
    }

    /// What this turn has to serve, in its order, and whether the other side has hung up.
    fn due(&mut self, ready: &Events) -> impl Iterator<Item = (Source, bool)> + use<> {
        let left = std::mem::take(&mut self.unfinished).into_iter();
        let mut due: BTreeMap<Source, bool> = left.map(|source| (source, false)).sorted_map();
        for event in ready {
            if let Some(source) = self.sources.get(event.token()) {
                *due.entry(source).or_default() |= event.is_read_closed();
            }
        }
        // Log pipes stand last. Whoever had no turn is the first of them, and those before it are the last.
        let first = self.processes.intake.begin_turn();
        let first = first.map_or(FIRST_LOG, |(unit, stream)| Source::LogPipe(unit, stream));
        let from_first = due.split_off(&first);
        let others = due.split_off(&FIRST_LOG);
        due.into_iter().chain(from_first).chain(others)
    }

    fn serve(&mut self, source: Source, hung_up: bool, heard: &mut Vec<SessionId>) {
        match source {
            Source::Listener => {
                self.accept();
                self.processes.keeper.hasten();
            }
            Source::Signals => self.take_signals(),
            Source::Guardian => self.look_at_guardian(),
            // They are looked at when the turn ends.
            Source::Rehearsal => {}
            Source::Packing => self.processes.log_care.packer.woken(),
            Source::Session(id) => {
                self.sessions.woken(id, hung_up, &mut self.sources);
                heard.push(id);
            }
            Source::Notify(_)
            | Source::Stored(_)
            | Source::Exit(_)
            | Source::ExecStatus(_)
            | Source::Member(_)
            | Source::Probe(_)
            | Source::LogPipe(..)
            | Source::Inotify => {
                let (processes, mut turn) = self.with_turn();
                if processes.ready(source, &mut turn) == processes::Progress::More {
                    self.unfinished.insert(source);
                }
            }
        }
    }

    fn accept(&mut self) {
        let progress = self.sessions.accept(&self.listener, &mut self.sources);
        if progress == processes::Progress::More {
            self.unfinished.insert(Source::Listener);
        }
    }

    fn take_signals(&mut self) {
        loop {
            let signal = match self.signals.read() {
                Ok(Some(received)) => received.signal,
                Ok(None) => return,
                Err(error) => {
                    ::log::error!("cannot read signals: {}", error_text(&error));
                    return;
                }
            };
            match signal {
                SIGCHLD => {
                    let (processes, mut turn) = self.with_turn();
                    processes.orphans(&mut turn);
                }
                SIGHUP => ::log::info!("SIGHUP: nothing to do"),
                _ => {
                    let name = text::signal_name(signal);
                    ::log::info!("{name}: stopping every service, then the daemon");
                    self.ask(
                        Verb::Shutdown,
                        Asker::Signal,
                        super::loader::Loaded::default(),
                    );
                }
            }
        }
    }

    /// Hands events to the engine and carries out what it says, until neither is left.
    pub(super) fn settle(&mut self) {
        loop {
            self.note_detached();
            let mut batch = Vec::new();
            while let Some(event) = self.events.pop_front() {
                self.engine.handle(now(), event);
                batch.extend(std::iter::from_fn(|| self.engine.poll_effect()));
            }
            if batch.is_empty() {
                return;
            }
            self.save(&batch);
            self.keep_record(&batch);
            for effect in batch {
                self.carry_out(effect);
            }
        }
    }

    fn note_detached(&mut self) {
        for request in self.sessions.take_detached() {
            self.waiting.remove(&request);
            self.events.push_back(Event::Detached { request });
        }
    }

    /// Writes the facts of every unit that the batch touches, before anything else of it is done: no process is born
    /// that a successor could not know of.
    fn save(&mut self, batch: &[Effect]) {
        let units: BTreeSet<UnitId> = batch
            .iter()
            .filter_map(|effect| match effect {
                Effect::Save { unit } => Some(*unit),
                _ => None,
            })
            .sorted_set();
        for unit in self.engine.saving_order(&units) {
            self.processes.save(unit, &self.engine);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Save { .. } => {}
            Effect::Examine { unit, question } => {
                let truths = conditions::look(self.engine.unit(unit));
                self.events.push_back(Event::Examined {
                    unit,
                    question,
                    truths,
                });
            }
            Effect::Spawn(_)
            | Effect::FindMain { .. }
            | Effect::StopFinding { .. }
            | Effect::AwaitReady { .. }
            | Effect::StopAwaiting { .. }
            | Effect::Signal { .. }
            | Effect::WatchGroup { .. }
            | Effect::Freeze { .. }
            | Effect::Thaw { .. } => {
                let (processes, mut turn) = self.with_turn();
                processes.apply(&effect, &mut turn);
            }
            Effect::Taken(_) | Effect::Explain(_) => {}
            Effect::Withheld { unit, cause, why } => {
                ::log::warn!("{unit}: {cause}; nothing follows from that: {why}");
            }
            Effect::Renew { unit, request } => self.renew(unit, request),
            Effect::Publish(change) => {
                let cause = self.cause_text(&change);
                publish(&change, &cause);
            }
            Effect::Notify { request, notice } => {
                self.tell(request, answer::progress(notice, now()));
            }
            Effect::Answer { request, answer } => {
                self.tell_forgone(request, &answer);
                self.answered(request, answer);
            }
            Effect::Exit => self.over = true,
        }
    }

    /// Tells the client of a request something on the way; nobody, if it has gone.
    pub(super) fn tell(&mut self, request: RequestId, progress: Progress) {
        if let Some(waiter) = self.waiting.get(&request) {
            let reply = Reply::Progress(progress);
            self.sessions
                .reply(waiter.session, &reply, &mut self.sources);
        }
    }
}

/// Every change of state goes to the daemon's log with its cause, as what it is to whoever reads that log.
fn publish(change: &Change, cause: &str) {
    let Change {
        unit,
        from,
        to,
        retry,
        ..
    } = change;
    let level = match to {
        State::Failed => ::log::Level::Error,
        State::Backoff => ::log::Level::Warn,
        _ => ::log::Level::Info,
    };
    match retry {
        Some(Retry { attempt, delay_ms }) => {
            let delay = text::span(*delay_ms);
            ::log::log!(
                level,
                "{unit}: {from} -> {to}: {cause}; automatic restart {attempt} in {delay}"
            );
        }
        None => ::log::log!(level, "{unit}: {from} -> {to}: {cause}"),
    }
}

pub(super) fn now() -> Moment {
    Moment(clock::monotonic_ms())
}
