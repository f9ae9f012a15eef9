//! From values to text: pure functions, compared with golden files. They read nothing and print nothing.

mod daemon;
mod list;
mod result;
mod status;

pub(super) use daemon::{daemon, daemon_json};
pub(super) use list::{Item, list, list_json};
pub(super) use result::{failures, is_success, progress, successes};
pub(super) use status::{status, status_json};

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

/// Whether its main process, or what stands for it, is up.
fn is_up(status: &UnitStatus) -> bool {
    matches!(status.state.as_str(), "running" | "reloading" | "exited")
}

/// `in 4s` for the next automatic restart.
fn restarts_in(status: &UnitStatus, now_ms: u64) -> Option<String> {
    let due_ms = status
        .deadline_ms
        .filter(|_| status.state == "restarting")?;
    Some(format!("in {}", span_until(due_ms.saturating_sub(now_ms))))
}
