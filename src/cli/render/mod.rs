//! From values to text: pure functions, compared with golden files. They read nothing and print nothing.

mod blame;
mod daemon;
mod events;
mod findings;
mod list;
mod plan;
mod result;
mod status;
mod tree;
mod why;
mod why_json;

pub(super) use blame::{Blame, blame, blame_json};
pub(super) use daemon::{daemon, daemon_json};
pub(super) use events::{died, event, gap};
pub(super) use findings::{Checked, Verdict, findings, findings_json};
pub(super) use list::{Files, Item, NOT_STARTED, Origin, list, list_json};
pub(super) use plan::{plan, plan_json};
pub(super) use result::{failures, is_success, progress, successes};
pub(super) use status::{status, status_json, words};
pub(super) use tree::{Leaf, tree, tree_json};
pub(super) use why::{Why, why};
pub(super) use why_json::why_json;

use super::text::span_until;
use crate::wire::UnitStatus;

/// What a page of text is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) palette: super::style::Palette,
    /// Columns, where there is a terminal.
    pub(super) width: Option<usize>,
    /// Unix milliseconds.
    pub(super) now_ms: u64,
}

/// So many processes are told of by their numbers.
const PIDS_MAX: usize = 10;

/// What an earlier daemon left of the unit, if anything.
fn left_over(status: &UnitStatus) -> Option<String> {
    let pids = pids(&status.left_over)?;
    Some(format!(
        "{pids} of an earlier daemon, unwatched: its saved state could not be read"
    ))
}

/// `PID 1, 2`; nothing if there is none.
pub(super) fn pids(pids: &[u32]) -> Option<String> {
    let shown: Vec<String> = pids
        .iter()
        .take(PIDS_MAX)
        .map(ToString::to_string)
        .collect();
    let more = if pids.len() > PIDS_MAX {
        " and others"
    } else {
        ""
    };
    (!shown.is_empty()).then(|| format!("PID {}{more}", shown.join(", ")))
}

/// Whether its main process, or what stands for it, is up.
fn is_up(status: &UnitStatus) -> bool {
    matches!(status.state.as_str(), "running" | "reloading" | "exited")
}

/// `in 84ms` for the start of a unit that is down and upheld: nothing else is due for one that is down.
fn upheld_in(status: &UnitStatus, now_ms: u64) -> Option<String> {
    let is_down = matches!(status.active.as_str(), "inactive" | "failed");
    let due_ms = status.deadline_ms.filter(|_| is_down)?;
    Some(format!("in {}", span_until(due_ms.saturating_sub(now_ms))))
}

/// `in 4s` for the next automatic restart.
fn restarts_in(status: &UnitStatus, now_ms: u64) -> Option<String> {
    let due_ms = status
        .deadline_ms
        .filter(|_| status.state == "restarting")?;
    Some(format!("in {}", span_until(due_ms.saturating_sub(now_ms))))
}
