//! All that can happen to the engine: one closed alphabet.

use crate::unit::{Resources, Truth, Unit, UnitName};

use super::{Asker, Awaited, Facts, Moment, QuestionId, RequestId, RunId, UnitId, Verb, Word};

#[derive(Clone, Debug)]
pub enum Event {
    /// A wish. `definitions` are the units read for it: the named ones and, for starts, the stopped or unknown units
    /// that they pull in. They come into force only if the graph that they would make is sound. `absent` says why a
    /// named dependency could not be read.
    ///
    /// `first_asked` is set where a client lost the answer and asks again: when it asked first. What has been begun
    /// since is not begun a second time.
    Request {
        request: RequestId,
        verb: Verb,
        by: Asker,
        first_asked: Option<Moment>,
        targets: Vec<UnitName>,
        definitions: Vec<Unit>,
        absent: Vec<Absent>,
    },
    /// A request that waited when the daemon was replaced: its wishes are marked, its answer is still to come. To be
    /// told after every unit and before any run.
    Resumed {
        request: RequestId,
        awaited: Awaited,
        units: Vec<UnitName>,
    },
    /// The client of this request has gone; the work goes on.
    Detached {
        request: RequestId,
    },
    /// The process exists; its program does not run yet.
    Spawned {
        run: RunId,
        pid: u32,
    },
    /// `execve` worked.
    Executed {
        run: RunId,
    },
    /// The main process is ready in the way that its [`crate::unit::Readiness`] names. It may come before `Executed`,
    /// more than once, and from one that waits for nothing or is on its way down: then it means nothing.
    Ready {
        run: RunId,
    },
    /// It is not ready yet, as the last look has shown: why, for the reader.
    Unready {
        run: RunId,
        reason: Box<str>,
    },
    /// It will not be ready in this life, whatever comes: why, for the reader.
    Hopeless {
        run: RunId,
        reason: Box<str>,
    },
    /// A service says something else of itself, sd_notify(3).
    Said {
        unit: UnitId,
        word: Word,
    },
    /// There is no process (any more): a step before or at `execve` failed. Nothing else follows for this run.
    SpawnFailed {
        run: RunId,
        failure: SpawnFailure,
    },
    /// The process has ended and is reaped.
    Exited {
        run: RunId,
        ending: Ending,
    },
    /// The answer to [`super::Effect::FindMain`]; from here on the shell watches that process under `run`.
    MainFound {
        run: RunId,
        pid: u32,
    },
    /// The other answer: there is no main process to be named, and why.
    MainMissing {
        run: RunId,
        reason: NoMain,
    },
    /// The answer to [`super::Effect::Examine`]: which tests are true, in the order of the unit's conditions.
    Examined {
        unit: UnitId,
        question: QuestionId,
        truths: Vec<Truth>,
    },
    /// The answer to [`super::Effect::WatchGroup`]: no process of the unit is left.
    GroupEmpty {
        unit: UnitId,
    },
    /// The kernel has killed a process of the unit for want of memory. If it was one that has a run, `Exited` says so
    /// as well.
    OomKilled {
        unit: UnitId,
    },
    /// The limits of a service that runs were changed, and these are in force.
    Limited {
        unit: UnitId,
        resources: Option<Box<Resources>>,
    },
    /// The answers to [`super::Effect::Freeze`].
    Frozen {
        unit: UnitId,
    },
    FreezeFailed {
        unit: UnitId,
        reason: Box<str>,
    },
    /// The answers to [`super::Effect::Thaw`].
    Thawed {
        unit: UnitId,
    },
    ThawFailed {
        unit: UnitId,
        reason: Box<str>,
    },
    /// A predecessor's unit. First every unit is told, one after the other, with nothing in between; then each run in
    /// their facts: as `Spawned` (its process lives and goes by its old id; `Executed` too if it has got that far), or
    /// as `Exited`. Nothing is stepped before the first event of another kind; end with a `Tick`.
    /// `next` is the newer definition that waits for the next start.
    Restored {
        unit: Box<Unit>,
        next: Option<Box<Unit>>,
        facts: Box<Facts>,
    },
    /// Their definitions are gone, and they are not to be known any more; nothing to a unit that does not rest.
    Forgotten {
        units: Vec<UnitId>,
    },
    /// Time has passed: whatever is due happens.
    Tick,
}

/// A unit that a definition names and that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    pub name: UnitName,
    /// For the reader: "not found in …", or the first error of its file.
    pub reason: String,
}

/// Which step before or at `execve` failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnFailure {
    /// The step's name, such as `exec`; where another key than the command's is to blame, that key: `User`.
    pub step: Box<str>,
    /// 0 where no system call failed (an unknown user, say).
    pub errno: i32,
    /// For the reader: object and reason, such as `/usr/bin/nope: No such file or directory`; it begins with the key
    /// if that is the step: `User=nope: there is no such user`.
    pub reason: Box<str>,
}

impl SpawnFailure {
    /// Whether the reason says itself which key it is about. Only keys begin with a capital.
    #[must_use]
    pub fn names_key(&self) -> bool {
        self.step.starts_with(|c: char| c.is_ascii_uppercase())
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// 0 to 255.
    Code(u8),
    Signal {
        number: u8,
        core: Core,
    },
    /// SIGKILL by the kernel, for want of memory.
    OomKilled,
    /// It is gone and nobody can say how: it was not our child. The restart policy treats it as a failure.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    Dumped,
    None,
}

/// Why a forking service's main process could not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMain {
    /// No PID file is asked for, and there are several candidates: the service lives while its group does.
    Ambiguous,
    /// No process is left.
    Gone,
    /// The PID file names no process of this service.
    Foreign,
}
