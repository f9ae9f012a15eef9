//! The runs of which logs tell, for somebody who asks for one.
//!
//! Owns the refusal of one that there is not. Does not own how a run is found.

use std::path::Path;

use super::exit::{Exit, Failure};
use super::logfailure::{LogsError, failure};
use super::logs::RunWish;
use crate::log;

/// So many runs are listed for somebody who asked for one that there is not.
const RUNS_TOLD: usize = 12;

/// Refuses a run of which no log knows, and says which there are.
pub(super) fn check_run(folder: &Path, names: &[String], wanted: RunWish) -> Result<(), Failure> {
    let mut told = Vec::new();
    for name in names {
        let failed = |cause| {
            let name = name.clone();
            failure(LogsError::Read { name, cause })
        };
        if wanted.find(folder, name).map_err(failed)?.is_some() {
            return Ok(());
        }
        let mut runs = log::last_runs(folder, name, RUNS_TOLD + 1).map_err(failed)?;
        // In an index that is damaged one is not where it is looked for.
        if matches!(wanted, RunWish::Number(run) if runs.contains(&run)) {
            return Ok(());
        }
        let are_all = runs.len() <= RUNS_TOLD;
        runs.truncate(RUNS_TOLD);
        let whose = match names {
            [_] => "it".to_owned(),
            _ => name.clone(),
        };
        told.extend(runs_text(&whose, &runs, are_all));
    }
    let named = names.join(", ");
    let message = match wanted {
        RunWish::Number(run) => format!("the log of {named} has no run {run}"),
        RunWish::Back(0) => format!("the log of {named} has no run"),
        RunWish::Back(1) => format!("the log of {named} has no run before the last one"),
        RunWish::Back(back) => format!("the log of {named} has no {back} runs before the last one"),
    };
    Err(
        Failure::new(Exit::Failed, message).hint(match told.is_empty() {
            false => told.join("; "),
            true => "it has none yet".to_owned(),
        }),
    )
}

/// Which runs there are, the youngest first in `runs`. Their numbers need not follow each other.
fn runs_text(whose: &str, runs: &[u64], are_all: bool) -> Option<String> {
    let (last, earlier) = runs.split_first()?;
    let Some((before, _)) = earlier.split_first() else {
        return Some(format!("{whose} has run {last}"));
    };
    let which = if are_all { "" } else { "older ones and " };
    let listed: Vec<String> = earlier.iter().rev().map(u64::to_string).collect();
    let listed = listed.join(", ");
    Some(format!(
        "{whose} has runs {which}{listed} and {last}; -1 is {before}"
    ))
}
