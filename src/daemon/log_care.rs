//! What is done to logs beside writing them: begun anew at somebody's wish, and bounded all together.
//!
//! Owns when that is due: at the daemon's start, and when enough was written. How files lie and move is `log`'s.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::engine::{Engine, LogWish, UnitId};
use crate::log::{self, Limits, Removed, Stranded, Turned, Writer};
use crate::sys::clock;
use crate::sys::process::error_text;
use crate::unit::{Settings, size};
use crate::wire::{ResultKind, UnitResult};

use super::event_loop::Daemon;
use super::packing::Packer;
use super::processes::Processes;
use super::pump::UnitLog;
use super::settings;
use super::sources::Sources;

/// Where nothing can be removed all files are looked at again when such a part of the bound was written, and not before
/// so many bytes.
const LOOK_DIVISOR: u64 = 16;
const LOOK_BYTES: u64 = 64 * 1024;
/// How often it is said of one service that files of its log are removed.
const TELL_MS: u64 = 60_000;

/// See the module.
#[derive(Debug)]
pub(super) struct LogCare {
    /// What all logs may have together.
    total_max: Option<u64>,
    /// The size and number of files of the daemon's own log, whose writer reads the settings once.
    own_log: (u64, u32),
    /// So many bytes may be written before all files are looked at again; none at first.
    headroom: u64,
    /// It was said that the current files alone are more than that.
    excess: Excess,
    /// Of whom it was said that files are removed, and when; monotonic.
    told_ms: BTreeMap<String, u64>,
    pub(super) packer: Packer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excess {
    None,
    Told,
}

impl LogCare {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            total_max: settings.log_total_max,
            own_log: own_log(settings),
            headroom: 0,
            excess: Excess::None,
            told_ms: BTreeMap::new(),
            packer: Packer::default(),
        }
    }

    /// Holds another bound from now on.
    pub(super) fn bound(&mut self, total_max: Option<u64>) {
        self.total_max = total_max;
        self.headroom = 0;
        self.excess = Excess::None;
    }

    /// A log has grown by so many bytes.
    fn grew(&mut self, bytes: u64) {
        self.headroom = self.headroom.saturating_sub(bytes);
    }

    /// There is a file more that can be removed.
    fn rotated(&mut self) {
        if self.excess == Excess::Told {
            self.headroom = 0;
        }
    }

    /// The end of a turn.
    pub(super) fn go_on(&mut self, logs: &Path, sources: &mut Sources) {
        self.packer.go_on(logs, sources);
        self.bound_total(logs);
    }

    /// One look at all logs, if that is due.
    fn bound_total(&mut self, logs: &Path) {
        let Some(max) = self.total_max.filter(|_| self.headroom == 0) else {
            return;
        };
        let soon = (max / LOOK_DIVISOR).max(LOOK_BYTES);
        // Whatever comes of it, it is not tried again at once.
        self.headroom = soon;
        let (removed, total) = match log::bound_total(logs, max) {
            Ok(bounded) => bounded,
            Err(error) => {
                let (path, reason) = (logs.display(), error_text(&error));
                ::log::error!("LogTotalMax={}: {path}: {reason}", size::show(max));
                return;
            }
        };
        self.tell(removed, max);
        let is_over = total > max;
        if !is_over {
            self.headroom = (max - total).max(1);
        }
        if is_over && self.excess == Excess::None {
            let max = size::show(max);
            ::log::warn!(
                "all logs together have {total} bytes, more than LogTotalMax={max}, and no rotated file is left: \
                 smaller LogMaxSize= of the services would help"
            );
        }
        self.excess = if is_over { Excess::Told } else { Excess::None };
    }

    /// Says what was removed; of a service that floods its log, not with each file.
    fn tell(&mut self, removed: Vec<Removed>, max: u64) {
        let now_ms = clock::monotonic_ms();
        for one in removed {
            let told = self.told_ms.get(&one.name);
            if told.is_some_and(|told_ms| now_ms.saturating_sub(*told_ms) < TELL_MS) {
                continue;
            }
            let (name, files, bytes, max) = (&one.name, one.files, one.bytes, size::show(max));
            ::log::info!(
                "{name}: all logs together have LogTotalMax={max}, and it has most: the oldest {bytes} bytes of its log \
                 (files: {files}) are removed; this is said once in a while"
            );
            self.told_ms.insert(one.name, now_ms);
        }
        self.told_ms
            .retain(|_, told_ms| now_ms.saturating_sub(*told_ms) < TELL_MS);
    }
}

impl Processes {
    /// Notes how this unit's log has grown.
    pub(super) fn mind_growth(&mut self, unit: UnitId, engine: &Engine) {
        let log = self.holds.get_mut(&unit).and_then(|hold| hold.log.as_mut());
        let (bytes, rotations) = log.map_or((0, 0), UnitLog::take_growth);
        self.log_care.grew(bytes);
        if rotations > 0 {
            self.log_care.rotated();
            self.mind_old_files(unit, engine);
        }
    }

    /// There may be files of its log that are to be packed.
    pub(super) fn mind_old_files(&mut self, unit: UnitId, engine: &Engine) {
        if let Some(unit) = engine.unit(unit)
            && let Some(service) = &unit.service
        {
            let packer = &mut self.log_care.packer;
            packer.consider(unit.name.as_str(), service.log.compress);
        }
    }

    /// Begins the log of a unit that writes at present anew.
    pub(super) fn tend(&mut self, unit: UnitId, wish: LogWish) -> Option<io::Result<&'static str>> {
        let log = self.holds.get_mut(&unit)?.log.as_mut()?;
        Some(log.tend(wish))
    }
}

impl Daemon {
    /// Reads the daemon's settings again. A file that is wrong changes nothing, and what is wrong is the result; so is
    /// what has to wait.
    pub(super) fn reread_settings(&mut self) -> Option<UnitResult> {
        match settings(&self.home) {
            Ok(read) => {
                self.processes.log_care.bound(read.log_total_max);
                let is_waiting = own_log(&read) != self.processes.log_care.own_log;
                let text = "LogMaxSize and LogMaxFiles of daemon.log wait for the daemon's next start, or `upgrade`";
                is_waiting.then(|| settings_result(ResultKind::Renewed, text.to_owned()))
            }
            Err(error) => Some(UnitResult {
                hint: Some("the daemon goes on with the settings that it has".to_owned()),
                ..settings_result(ResultKind::Failed, error.to_string())
            }),
        }
    }
}

fn own_log(settings: &Settings) -> (u64, u32) {
    (settings.own_log_max_size, settings.own_log_max_files)
}

fn settings_result(kind: ResultKind, text: String) -> UnitResult {
    UnitResult {
        unit: "daemon.toml".to_owned(),
        kind,
        text,
        retry_ms: None,
        hint: None,
        left: Vec::new(),
    }
}

const WITH_LINE_END: &str = "to be rotated once the line that was begun ends";

/// Begins the log of service `name` in the folder `logs` anew, to which nobody writes. Returns what was done.
///
/// # Errors
/// There is no such log, or its files cannot be made, renamed or removed.
pub fn tend_unwritten(
    logs: &Path,
    name: &str,
    limits: Limits,
    wish: LogWish,
) -> io::Result<&'static str> {
    if !log::has_log(logs, name)? {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is none"));
    }
    let mut writer = Writer::open(logs, name, limits)?;
    match tend(&mut writer, 0, wish)? {
        // Nobody is there to end it.
        WITH_LINE_END => Ok("not rotated: its last line has no end"),
        done => Ok(done),
    }
}

/// That this service's log in `logs` could not be begun anew.
#[must_use]
pub fn untended(logs: &Path, name: &str, error: &io::Error) -> UnitResult {
    let (folder, reason) = (logs.display(), error_text(error));
    let (text, hint) = match error.kind() {
        io::ErrorKind::NotFound => (
            format!("it has no log in {folder}"),
            "a log begins with the first start".to_owned(),
        ),
        _ => (
            format!("its log in {folder} cannot be begun anew: {reason}"),
            match log::is_full(error) {
                true => format!("make room in {folder}"),
                false => format!("files must be made, renamed and removed in {folder}"),
            },
        ),
    };
    UnitResult {
        unit: name.to_owned(),
        kind: ResultKind::Failed,
        text,
        retry_ms: None,
        hint: Some(hint),
        left: Vec::new(),
    }
}

/// Where logs were emptied, removes what is left of them beside the files that a writer knows of. What cannot be is
/// that log's result.
pub fn clear_rest(logs: &Path, stranded: &mut Stranded, results: &mut [UnitResult], wish: LogWish) {
    if wish != LogWish::Clear {
        return;
    }
    for result in results {
        if result.kind == ResultKind::LogTended
            && let Err(error) = stranded.remove(logs, &result.unit)
        {
            *result = untended(logs, &result.unit, &error);
        }
    }
}

/// The same of one that is written, in the midst of this run.
pub(super) fn tend(writer: &mut Writer, run: u64, wish: LogWish) -> io::Result<&'static str> {
    match wish {
        LogWish::Clear => writer
            .clear(clock::wall_ms(), run)
            .map(|()| "emptied, rotated files too"),
        LogWish::Rotate => writer.turn().map(|turned| match turned {
            Turned::Rotated => "rotated",
            Turned::WithLineEnd => WITH_LINE_END,
            Turned::Empty => "not rotated: nothing was written since its last file was begun",
        }),
    }
}
