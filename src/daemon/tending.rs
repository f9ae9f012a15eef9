//! `logs --rotate` and `logs --flush`: logs that clients want to be begun anew.
//!
//! Owns who waits for that, and that it goes on by a few logs a turn, so that the logs of a thousand services keep
//! nobody waiting. How a log is begun anew is `log_care`'s. As with any other request, a client that goes leaves its
//! work.

use std::vec;

use crate::engine::{LogWish, UnitId};
use crate::log::{Limits, Stranded};
use crate::unit::UnitName;
use crate::wire::{ErrorKind, Final, ResultKind, UnitResult, WireError};

use super::answer;
use super::event_loop::Daemon;
use super::log_care::{clear_rest, tend_unwritten, untended};
use super::sources::SessionId;

/// Logs that are begun anew in one turn.
const TURN_LOGS: usize = 8;
/// Where so many logs are wished for already, one more wish is refused.
const WAITING_MAX: usize = 100_000;

/// One client's wish on its way.
#[derive(Debug)]
pub(super) struct Tending {
    session: SessionId,
    wish: LogWish,
    /// What writers do not find of logs that are to be emptied; listed once for all of them.
    stranded: Stranded,
    left: vec::IntoIter<String>,
    results: Vec<UnitResult>,
}

impl Tending {
    /// What it costs; a wish for nothing costs something too.
    fn weight(&self) -> usize {
        1 + self.left.len() + self.results.len()
    }
}

impl Daemon {
    /// A client wants the logs of `names` to be begun anew, of whatever there is a log, loaded or not.
    pub(super) fn begin_tending(&mut self, session: SessionId, names: Vec<String>, wish: LogWish) {
        let waiting: usize = self.tendings.iter().map(Tending::weight).sum();
        if waiting >= WAITING_MAX {
            let message =
                format!("the logs cannot be begun anew: {WAITING_MAX} others wait for that");
            let hint = "try again when they are done";
            return self.finish(session, Final::Error(unavailable(message, hint)));
        }
        // Why the folder cannot be read each log that is in it will tell.
        let stranded = match wish {
            LogWish::Clear => Stranded::list(&self.home.logs()).unwrap_or_default(),
            LogWish::Rotate => Stranded::default(),
        };
        self.tendings.push_back(Tending {
            session,
            wish,
            stranded,
            left: names.into_iter(),
            results: Vec::new(),
        });
    }

    /// The end of a turn: the next few logs. What of one fails is that one's result.
    pub(super) fn go_on_tending(&mut self) {
        if self.over {
            for tending in std::mem::take(&mut self.tendings) {
                let left = tending.left.len();
                let message = format!(
                    "the daemon ends before all logs are begun anew: {left} are as they were"
                );
                let hint = "the same without a daemon begins them anew";
                self.finish(tending.session, Final::Error(unavailable(message, hint)));
            }
            return;
        }
        let Some(mut tending) = self.tendings.pop_front() else {
            return;
        };
        let names: Vec<String> = tending.left.by_ref().take(TURN_LOGS).collect();
        let mut results: Vec<UnitResult> = names
            .iter()
            .map(|name| self.tend_log(name, tending.wish))
            .collect();
        // In the same turn, or it would remove what was written and rotated since.
        let stranded = &mut tending.stranded;
        clear_rest(&self.home.logs(), stranded, &mut results, tending.wish);
        tending.results.append(&mut results);
        match tending.left.len() {
            0 => self.finish(tending.session, Final::Results(tending.results)),
            _ => self.tendings.push_back(tending),
        }
    }

    fn tend_log(&mut self, name: &str, wish: LogWish) -> UnitResult {
        let name = match UnitName::parse(name) {
            Ok(name) => name,
            Err(error) => {
                return UnitResult {
                    unit: name.to_owned(),
                    kind: ResultKind::Failed,
                    text: error.to_string(),
                    retry_ms: None,
                    hint: None,
                    left: Vec::new(),
                };
            }
        };
        let unit = self.engine.id(&name);
        if let Some(unit) = unit {
            // What was written before somebody wished for this is to be in the files that are set aside, or removed.
            let (processes, mut turn) = self.with_turn();
            processes.take_in(unit, &mut turn);
        }
        let written = unit.and_then(|unit| self.processes.tend(unit, wish));
        if let Some(unit) = unit {
            self.processes.mind_old_files(unit, &self.engine);
        }
        let tended = written.unwrap_or_else(|| {
            let limits = self.log_limits(unit);
            tend_unwritten(&self.home.logs(), name.as_str(), limits, wish)
        });
        match tended {
            Ok(text) => {
                ::log::info!("{name}: its log: {text}");
                answer::plain(&name, ResultKind::LogTended, text.to_owned())
            }
            Err(error) => untended(&self.home.logs(), name.as_str(), &error),
        }
    }

    fn log_limits(&self, unit: Option<UnitId>) -> Limits {
        let service = unit.and_then(|unit| self.engine.unit(unit)?.service.as_deref());
        service.map_or(Limits::WIDEST, |service| Limits {
            max_size: service.log.max_size,
            max_files: service.log.max_files,
        })
    }
}

fn unavailable(message: String, hint: &str) -> WireError {
    answer::error(ErrorKind::Unavailable, message, Some(hint.to_owned()))
}
