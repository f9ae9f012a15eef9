//! What a client's command sets off: an answer at once, or an event for the engine.
//!
//! Owns the way from a [`Command`] to its answer, and who waits for which request. What only looks, and the list of
//! enabled units, is answered here; everything that changes a unit's state goes to the engine with exact names.

use std::path::PathBuf;

use crate::engine::{Answer, Asker, Command, Event, LogWish, Moment, RequestId, Verb, Wait};
use crate::sys::process::Pid;
use crate::sys::socket::Peer;
use crate::unit::{SearchPath, UnitName, glob};
use crate::wire::{
    ErrorKind, Final, Reply, Request, ResultKind, UnitResult, UnitStatus, WireError,
};

use super::event_loop::{Daemon, now};
use super::instances::{Counts, Over};
use super::loader::{Among, Loaded, Loader, Reading};
use super::session::Heard;
use super::sources::{SessionId, Source};
use super::{answer, status, text};

/// Bytes of a name that is written down although there may be no such unit.
const NAME_MAX: usize = 255;

/// What a command comes to.
enum Course {
    Answer(Final),
    Ask(Verb, Loaded, Wait),
    TendLogs(Vec<String>, LogWish),
    Upgrade,
}

/// Whoever gets the engine's answer.
pub(super) struct Waiter {
    pub(super) session: SessionId,
    /// What the engine was never asked for, and why.
    pub(super) answered: Vec<UnitResult>,
    in_vain: Option<&'static str>,
}

impl Waiter {
    /// Of a request that another image of the daemon has taken up; it has some of the answer.
    pub(super) fn resumed(session: SessionId, results: Vec<UnitResult>) -> Self {
        Self {
            session,
            answered: results,
            in_vain: None,
        }
    }

    /// The whole answer.
    fn complete(self, last: Final) -> Final {
        match last {
            Final::Results(mut results) => {
                results.extend(self.answered);
                Final::Results(results)
            }
            Final::Error(error) => Final::Error(wholly(error, self.in_vain)),
            other => other,
        }
    }
}

impl Daemon {
    /// Takes the next request of a session, if a whole one has come.
    pub(super) fn hear(&mut self, session: SessionId) {
        match self.sessions.hear(session, &mut self.sources) {
            Heard::Nothing => {}
            Heard::More => {
                self.unfinished.insert(Source::Session(session));
            }
            Heard::Request(peer, request) => self.take_up(session, &peer, request),
        }
    }

    fn take_up(&mut self, session: SessionId, peer: &Peer, request: Request) {
        let in_vain = self.in_vain(&request.command);
        let wish = wish(&request.command);
        let by = Asker::Client {
            uid: peer.uid,
            pid: peer.pid.map_or(0, |pid| pid.as_raw()),
        };
        let first_asked = request.first_asked_ms.map(Moment);
        let course = search_path(request.directories).and_then(|directories| {
            let path = self.with_home(directories);
            self.course(request.command, &path, session)
        });
        match course {
            Ok(Course::Answer(last)) => {
                if let (Some((verb, _)), Final::Results(results)) = (wish, &last) {
                    let units = results.iter().map(|result| result.unit.clone()).collect();
                    self.note_own((verb, units), by, None);
                }
                self.finish(session, last);
            }
            Ok(Course::TendLogs(names, wish)) => self.begin_tending(session, names, wish),
            Ok(Course::Upgrade) => self.begin_upgrade(session),
            Err(error) => {
                if let Some(wish) = wish {
                    self.note_own(wish, by, Some(error.message.clone()));
                }
                self.finish(session, Final::Error(wholly(error, in_vain)));
            }
            Ok(Course::Ask(verb, mut loaded, wait)) => {
                loaded.in_vain = in_vain;
                loaded.first_asked = first_asked;
                self.ask_for(session, verb, by, loaded, wait);
            }
        }
    }

    /// What a refusal means for the others, where a request is about several units, and for one that runs.
    fn in_vain(&self, command: &Command) -> Option<&'static str> {
        let (names, text, alone) = match command {
            Command::Start { names, .. } => (names, "nothing was started", None),
            Command::Restart { names, .. } => {
                (names, "nothing was restarted", Some("it goes on as it was"))
            }
            Command::DaemonReload => {
                return Some("nothing was changed: what was loaded stays in force");
            }
            _ => return None,
        };
        match names.as_slice() {
            [name] if !glob::is_pattern(name) => {
                let name = UnitName::parse(name).ok()?;
                alone.filter(|_| self.up(&name).is_some())
            }
            _ => Some(text),
        }
    }

    /// The search path of a request always ends with the user's own units.
    pub(super) fn with_home(&self, mut directories: Vec<PathBuf>) -> SearchPath {
        for own in [self.home.services(), self.home.transient()] {
            if !directories.contains(&own) {
                directories.push(own);
            }
        }
        SearchPath { directories }
    }

    pub(super) fn loader<'a>(&'a self, path: &'a SearchPath) -> Loader<'a> {
        Loader::new(&self.engine, &self.enabled, &self.context, path)
    }

    fn course(
        &mut self,
        command: Command,
        path: &SearchPath,
        session: SessionId,
    ) -> Result<Course, WireError> {
        let loader = self.loader(path);
        let known = |names: Vec<String>| {
            let targets = loader.resolve(names, Among::Loaded)?;
            loader.for_loaded(targets)
        };
        let now_finished = |verb, loaded| Course::Ask(verb, loaded, Wait::Finished);
        Ok(match command {
            Command::List => Course::Answer(Final::Units(self.all_units(path))),
            Command::Status { names } => {
                let targets = loader.resolve(names, Among::LoadedAndFiles)?;
                Course::Answer(Final::Units(self.some_units(&targets, path)?))
            }
            Command::DaemonStatus => Course::Answer(Final::Daemon(self.own_status())),
            Command::Start { names, found, wait } => {
                let loaded = self.to_start((names, found), Reading::IfDown, path)?;
                Course::Ask(Verb::Start, loaded, wait)
            }
            Command::Restart { names, wait, scope } => {
                let loaded = self.to_start((names, Vec::new()), Reading::Always, path)?;
                Course::Ask(Verb::Restart(scope), self.without_unfit(loaded), wait)
            }
            Command::Stop { names, wait } => {
                Course::Ask(Verb::Stop, self.to_stop(names, &loader)?, wait)
            }
            Command::Reload { names } => now_finished(Verb::Reload, known(names)?),
            Command::Freeze { names } => now_finished(Verb::Freeze, known(names)?),
            Command::Thaw { names } => now_finished(Verb::Thaw, known(names)?),
            Command::Reset { names } => {
                let loaded = known(self.with_transient(names))?;
                now_finished(Verb::Reset, self.without_cleared(loaded))
            }
            Command::Signal { names, signal } => now_finished(Verb::Signal(signal), known(names)?),
            Command::Set { names, settings } => {
                let targets = loader.resolve(names, Among::Loaded)?;
                Course::Answer(self.set(&targets, &settings)?)
            }
            Command::Plan { names, wish } => Course::Answer(self.foresee(names, wish, path)?),
            Command::Definitions { names } => {
                Course::Answer(self.tell_definitions(names, path, session)?)
            }
            Command::Logs { names, wish } => Course::TendLogs(names, wish),
            Command::DaemonReload => now_finished(Verb::Renew, self.reread(path)),
            Command::Upgrade => Course::Upgrade,
            Command::Kill => now_finished(Verb::Shutdown, self.for_the_end()),
            Command::Enable { names } => {
                let targets = loader.resolve(names, Among::Enabling)?;
                Course::Answer(self.enable(&targets, path, session)?)
            }
            Command::Scale { name, count } => {
                Course::Answer(self.scale((&name, count), path, session)?)
            }
            Command::Disable { names } => {
                let targets = loader.resolve(names, Among::Enabled)?;
                Course::Answer(self.disable(&targets)?)
            }
        })
    }

    /// What a stop brings to the engine.
    pub(super) fn to_stop(
        &self,
        mut names: Vec<String>,
        loader: &Loader<'_>,
    ) -> Result<Loaded, WireError> {
        loader.spread(&mut names, Over::Loaded)?;
        let mut left = self.processes.part_with_left(&mut names);
        left.extend(self.processes.left_that_match(&names));
        let loaded = loader.for_loaded(loader.resolve(names, Among::Loaded)?)?;
        Ok(self.processes.without_left(loaded, left))
    }

    /// What a start, or a restart that reads all files again, brings to the engine.
    pub(super) fn to_start(
        &self,
        (mut names, mut found): (Vec<String>, Vec<String>),
        reading: Reading,
        path: &SearchPath,
    ) -> Result<Loaded, WireError> {
        let loader = self.loader(path);
        let (over, among) = match reading {
            Reading::IfDown => (Over::Counted, Among::LoadedAndFiles),
            Reading::Always => (Over::Both, Among::Loaded),
        };
        found.extend(loader.spread(&mut names, over)?);
        let left = self.processes.part_with_left(&mut names);
        let meant = loader.meant(&names, &found, among)?;
        let loaded = loader.for_start(meant, reading)?;
        Ok(self.processes.without_left(loaded, left))
    }

    /// Hands a client's request to the engine.
    fn ask_for(
        &mut self,
        session: SessionId,
        verb: Verb,
        by: Asker,
        mut loaded: Loaded,
        wait: Wait,
    ) {
        let targets = match wait {
            Wait::Accepted => loaded.targets.clone(),
            Wait::Finished => Vec::new(),
        };
        let notices = loaded.take_notices();
        let waiter = Waiter {
            session,
            answered: std::mem::take(&mut loaded.answered),
            in_vain: loaded.in_vain,
        };
        let request = self.ask(verb, by, loaded);
        self.waiting.insert(request, waiter);
        self.sessions.attach(session, request);
        for notice in notices {
            self.tell(request, notice);
        }
        if wait == Wait::Accepted {
            // A refusal comes at once, and is the answer then.
            self.settle();
            if let Some(waiter) = self.waiting.remove(&request) {
                self.events.push_back(Event::Detached { request });
                let last = answer::accepted(&targets, text::verb(verb));
                self.finish(session, waiter.complete(last));
            }
        }
    }

    /// Queues a request for the engine; its answer goes to whoever is noted as waiting for it.
    pub(super) fn ask(&mut self, verb: Verb, by: Asker, loaded: Loaded) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        if verb == Verb::Shutdown {
            self.supervisor.stopping();
        }
        self.events.push_back(Event::Request {
            request,
            verb,
            by,
            first_asked: loaded.first_asked,
            targets: loaded.targets,
            definitions: loaded.definitions,
            absent: loaded.absent,
        });
        request
    }

    /// The engine's last word on a request.
    pub(super) fn answered(&mut self, request: RequestId, answer: Answer) {
        let refused = matches!(answer, Answer::Refused(_));
        let mut last = answer::last(answer, &self.engine);
        self.processes.name_spared(&mut last, &self.engine);
        if let Some(waiter) = self.waiting.remove(&request) {
            return self.finish(waiter.session, waiter.complete(last));
        }
        log_answer(last);
        if let Some(names) = self.boot.remove(&request).filter(|_| refused) {
            self.start_in_halves(names);
        }
    }

    /// Sends the last frame of a session's request; the next request may lie in its buffer already.
    pub(super) fn finish(&mut self, session: SessionId, last: Final) {
        let reply = Reply::Final(last);
        self.sessions.reply(session, &reply, &mut self.sources);
        self.unfinished.insert(Source::Session(session));
    }

    /// The loaded ones, and those that only have a left-over.
    fn all_units(&self, path: &SearchPath) -> Vec<UnitStatus> {
        let surroundings = self.surroundings();
        let loader = self.loader(path);
        let mut counts = Counts::new();
        let ids = self.engine.units();
        let ids = ids.filter(|id| {
            let unit = self.engine.unit(*id);
            !unit.is_some_and(|unit| loader.is_surplus(&unit.name, &mut counts))
        });
        let mut units: Vec<UnitStatus> = ids
            .filter_map(|id| status::unit(id, &surroundings))
            .collect();
        units.extend(self.only_left(&loader));
        units
    }

    /// In the order asked. One that is not loaded is read for its description, and is down.
    fn some_units(
        &self,
        targets: &[UnitName],
        path: &SearchPath,
    ) -> Result<Vec<UnitStatus>, WireError> {
        let surroundings = self.surroundings();
        let loader = self.loader(path);
        let units = targets.iter().map(|name| {
            let id = self.engine.id(name);
            match id.and_then(|id| status::unit(id, &surroundings)) {
                Some(status) => Ok(status),
                None => {
                    let unit = loader.read_named(name)?;
                    let pids = self.processes.left_over(name);
                    let found = (self.enabled.is_enabled(name), &pids);
                    Ok(status::not_loaded(name, Some(&unit), found))
                }
            }
        });
        units.collect()
    }

    fn surroundings(&self) -> status::Surroundings<'_> {
        status::Surroundings::new(&self.engine, &self.processes, &self.enabled, now())
    }

    fn own_status(&self) -> crate::wire::DaemonStatus {
        let mut status = status::daemon(&self.engine);
        status.since_ms = self.since_ms;
        status.home = self.home.root().display().to_string();
        status.clients = u32::try_from(self.sessions.len()).unwrap_or(u32::MAX);
        status.abilities = self.processes.abilities();
        status.unreadable = self.processes.leftovers.told();
        status.guardian = self.processes.keeper.guardian().map(Pid::as_raw);
        status
    }
}

/// What is written down of a wish that the engine does not hear of: its word, and whom it named.
fn wish(command: &Command) -> Option<(&'static str, Vec<String>)> {
    let (verb, names) = match command {
        Command::Start { names, .. } => ("start", names.as_slice()),
        Command::Restart { names, .. } => ("restart", names.as_slice()),
        Command::Stop { names, .. } => ("stop", names.as_slice()),
        Command::Enable { names } => ("enable", names.as_slice()),
        Command::Disable { names } => ("disable", names.as_slice()),
        Command::Set { names, .. } => ("set", names.as_slice()),
        Command::Scale { name, .. } => ("scale", std::slice::from_ref(name)),
        _ => return None,
    };
    let short = names.iter().filter(|name| name.len() <= NAME_MAX);
    Some((verb, short.cloned().collect()))
}

/// A refusal of a whole request.
fn wholly(mut error: WireError, in_vain: Option<&str>) -> WireError {
    if let Some(text) = in_vain {
        error.message.push('\n');
        error.message.push_str(text);
    }
    error
}

/// The client's search path: absolute, or it would mean our own working directory.
fn search_path(directories: Vec<String>) -> Result<Vec<PathBuf>, WireError> {
    let directories: Vec<PathBuf> = directories.into_iter().map(PathBuf::from).collect();
    match directories.iter().find(|path| !path.is_absolute()) {
        None => Ok(directories),
        Some(relative) => Err(answer::error(
            ErrorKind::Usage,
            format!("the search path is not absolute: {}", relative.display()),
            None,
        )),
    }
}

/// An answer that no client waits for: of the boot, of a signal, or of somebody who has gone.
fn log_answer(last: Final) {
    match last {
        Final::Error(error) => ::log::error!("{}", error.message),
        Final::Results(results) => {
            for result in results {
                if result.kind == ResultKind::Failed {
                    ::log::warn!("{}: {}", result.unit, result.text);
                }
            }
        }
        Final::Units(_) | Final::Daemon(_) | Final::Plan(_) | Final::Said(_) => {}
    }
}
