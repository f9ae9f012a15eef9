//! What client and daemon say to each other, as rich values. How they are written is `codec.rs`'s.
//!
//! A connection: the client's first frame is a [`Hello`], the daemon answers with its own; then requests, each answered
//! by any number of [`Reply::Progress`] frames and one [`Reply::Final`].
//!
//! What every version understands of every other, whatever the protocol: frames, hellos, the request `upgrade`, and as
//! its answer [`Final::Said`] or [`Final::Error`]. These keep their form for good, so that a daemon of any age can be
//! replaced. To any other request a client of another protocol gets an error.

use miniserde::{Deserialize, Serialize};

use crate::engine::Command;

/// The version of this protocol. A daemon serves clients of its own version; to another one it says so.
pub const PROTOCOL_VERSION: u32 = 1;

/// The first frame of each side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub protocol: u32,
    /// The program's version, for messages.
    pub program: String,
}

/// One wish of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub command: Command,
    /// The unit search path, absolute, best first.
    pub directories: Vec<String>,
    /// Set where the answer was lost with the daemon that was to give it, and the request is sent again: when it was
    /// first sent, in milliseconds on the machine's monotonic clock.
    pub first_asked_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Progress(Progress),
    Final(Final),
}

/// Something on the way, for a reader who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub kind: ProgressKind,
    pub unit: String,
    /// A sentence without the unit's name: "also stops: requires database".
    pub text: String,
    /// Milliseconds until what the text announces (SIGKILL, the next try), if it has a time.
    pub in_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressKind {
    AlsoStarts,
    AlsoStops,
    AlsoRestarts,
    Waits,
    Stopping,
    Killing,
    Retries,
    /// How many of the units that the request moves are where it wants them: "3 of 7 up".
    Reached,
    /// The unit file changed: what differs from the definition that was in force, one line each.
    Changed,
    /// The definition in force of a loaded unit, as a [`super::SavedDefinition`].
    Definition,
    /// What enabled units add to a unit's dependencies, one line each: a key, a blank, a name.
    PulledIn,
    Warning,
}

impl ProgressKind {
    /// Whether a client that reads slowly may go without: what it asked for does not hang on it.
    #[must_use]
    pub fn is_spare(self) -> bool {
        use ProgressKind::{
            AlsoRestarts, AlsoStarts, AlsoStops, Killing, Retries, Stopping, Waits,
        };
        let spare = [
            AlsoStarts,
            AlsoStops,
            AlsoRestarts,
            Waits,
            Stopping,
            Killing,
            Retries,
        ];
        spare.contains(&self)
    }
}

/// The last frame of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Final {
    /// Per-unit results of a verb.
    Results(Vec<UnitResult>),
    /// `list` and `status`.
    Units(Vec<UnitStatus>),
    Daemon(DaemonStatus),
    /// What a wish would do: first the steps, in order, then what would be left as it is.
    Plan(Vec<PlanStep>),
    /// A sentence: of `upgrade`, when it is done.
    Said(String),
    /// Nothing was done.
    Error(WireError),
}

/// One step of what a wish would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanStep {
    /// Empty where the reason says all.
    pub unit: String,
    pub act: PlanAct,
    /// A sentence for the reader: "you ask for it", "api requires it".
    pub reason: String,
    /// The steps that it waits for, counted from 1.
    pub after: Vec<u32>,
    /// What it waits for that is under way already, for the reader: "db, which is stopping".
    pub waits_for: Vec<String>,
}

/// What would be done to a unit; a restart is a stop and a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanAct {
    Stop,
    Start,
    /// A stop that has not begun is taken back.
    Keep,
    Reload,
    /// It was named, and there is nothing to do.
    Nothing,
    /// It was named, and this cannot be done to it.
    Refused,
    /// It is wanted and would not be started.
    LeftOut,
}

/// What became of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitResult {
    pub unit: String,
    pub kind: ResultKind,
    /// For the reader: "started", "exit code 1", "requires database, which failed: …".
    pub text: String,
    /// The automatic restart that follows a failure.
    pub retry_ms: Option<u64>,
    pub hint: Option<String>,
    /// Processes that live on after its stop, because its unit says so; the text names them.
    pub left: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    Started,
    AlreadyUp,
    Completed,
    /// A condition of it is not met: it was not started, and that is no failure.
    Skipped,
    Stopped,
    AlreadyDown,
    Reloaded,
    Signaled,
    Frozen,
    Thawed,
    ResetDone,
    /// Limits were changed.
    Set,
    /// A changed file was taken over.
    Renewed,
    /// Its log was begun anew.
    LogTended,
    /// The number of a template's instances is noted.
    Scaled,
    LeftDown,
    Failed,
    Superseded,
    /// It cannot be done to this unit as it is.
    Impossible,
    /// Nor to this one: it has no process.
    NotRunning,
    Enabled,
    Disabled,
}

/// Bytes of one run that could not be written to its log, of which that does not tell yet.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct LogUntold {
    pub run: u64,
    pub bytes: u64,
    /// The system's error number; 0 where it gave none.
    pub errno: u8,
    /// When the first of them came; older daemons do not say.
    pub since_ms: Option<u64>,
}

/// One unit in full. Times are unix milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitStatus {
    pub name: String,
    pub description: String,
    /// Links.
    pub documentation: Vec<String>,
    /// `running`, `failed` …: see `engine::State::word`.
    pub state: String,
    /// systemd's ActiveState.
    pub active: String,
    pub phase: String,
    /// When it came into this state.
    pub since_ms: u64,
    /// Why it is in this state, for the reader.
    pub cause: String,
    /// Its entry in the record that tells of this cause, and the one that this follows from; see [`super::record`].
    pub entry: Option<u64>,
    pub because: Option<u64>,
    pub pid: Option<u32>,
    /// The number of the present run of the main process, for `logs --run`.
    pub run: Option<u64>,
    /// Automatic restarts since the last start by hand.
    pub restarts: u32,
    /// How the last run of the main process ended, for the reader.
    pub last_end: Option<String>,
    /// The first run of its present life, or where it is down of its last one, and that of the life before. All that a
    /// life has printed has its first run's number or a higher one.
    pub life: Option<u64>,
    pub life_before: Option<u64>,
    /// When the next automatic restart, or the running time limit, is due.
    pub deadline_ms: Option<u64>,
    pub waits_for: Vec<String>,
    pub requires: Vec<String>,
    pub file: String,
    /// [`crate::unit::Unit::hash`] of the definition in force: who looks compares it with the files on disk. 0 if none
    /// is in force.
    pub hash: u64,
    pub enabled: bool,
    /// `simple`, `forking` …; `group` without a `[service]`.
    pub kind: String,
    /// The cgroup's folder, if there is one: the client reads CPU and memory there.
    pub cgroup: Option<String>,
    /// Where there is no cgroup: of which lives of the service there may be processes, each its invocation's id. The
    /// client finds them by that.
    pub invocations: Vec<String>,
    /// Since when it stands still, if it does.
    pub frozen_ms: Option<u64>,
    /// Log bytes that could not be written.
    pub log_lost: u64,
    /// Where its output goes other than to its log, each `KEY=VALUE`.
    pub streams: Vec<String>,
    /// Lines that `LogPolicy=drop` has left out of the log.
    pub log_dropped: u64,
    /// Lines that `LogRateLimitBurst=` has left out of it.
    pub log_limited: u64,
    /// Why the log cannot be written at present; empty if it can.
    pub log_trouble: String,
    /// What could not be written, of which the log does not tell.
    pub log_untold: Vec<LogUntold>,
    /// What its start waits for while its program runs, and why that has not come, for the reader.
    pub awaits: String,
    /// Processes that an earlier daemon started, and that nobody watches.
    pub left_over: Vec<u32>,
    /// What its processes together may use, each `KEY=VALUE`.
    pub limits: Vec<String>,
    /// What the service says of itself, sd_notify(3); empty if nothing.
    pub said: String,
    /// What it goes without, by `IgnoreUnsupported=`: each names a key and says why it is not honoured.
    pub forgone: Vec<String>,
}

/// `daemon-status`. Sizes are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonStatus {
    pub pid: u32,
    pub version: String,
    pub protocol: u32,
    /// Unix milliseconds.
    pub since_ms: u64,
    pub home: String,
    pub units: u32,
    pub running: u32,
    pub failed: u32,
    pub clients: u32,
    /// What the machine lets the daemon do, one line each: "cgroups: yes, under …", "user switching: no, not root".
    pub abilities: Vec<String>,
    /// What the daemon before left and could not be taken over, one line each: which file, why, and where it is now.
    pub unreadable: Vec<String>,
    /// Who makes a successor should the daemon die; older daemons have none.
    pub guardian: Option<u32>,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    pub kind: ErrorKind,
    /// Operation, object, cause; may have several lines (a unit file's problems).
    pub message: String,
    pub hint: Option<String>,
}

/// What a script must tell apart: each kind is one exit code of the CLI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// 1: a unit file is wrong, a graph has a cycle, the daemon could not do it.
    Failed,
    /// 2: the request makes no sense.
    Usage,
    /// 4
    NoSuchUnit,
    /// 5: the daemon ends, or speaks another version.
    Unavailable,
    /// 6
    NotAllowed,
}
