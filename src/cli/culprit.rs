//! Which unit to look at when one has failed: it, or the one behind it that it requires. Shows nothing.

use super::logtail;
use super::place::Place;
use crate::engine::Command;
use crate::wire::{Final, UnitStatus};

/// A failed unit's last log lines that are shown.
const LOG_LINES: u64 = 10;
/// Requirements behind requirements that are followed.
const CHAIN_MAX: usize = 32;

/// What the unit printed whose own failure it was.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) unit: String,
    pub(super) lines: Vec<String>,
}

/// What a failed unit has said since `begun_ms` (unix milliseconds). One that never ran, because what it requires failed, has
/// said nothing: then that one is asked.
pub(super) fn said(place: &Place, failed: &str, begun_ms: u64) -> Said {
    let said = |unit: String| {
        let lines = logtail::since(&place.home, &unit, LOG_LINES, begun_ms);
        Said { unit, lines }
    };
    let own = said(failed.to_owned());
    if !own.lines.is_empty() {
        return own;
    }
    culprit(place, failed).map_or(own, said)
}

/// The failed unit at the end of the chain of requirements; nothing if that is the unit itself.
fn culprit(place: &Place, failed: &str) -> Option<String> {
    let mut client = place.connect().ok()??;
    let mut status = |names: Vec<String>| match client.ask(Command::Status { names }, &[]) {
        Ok(Final::Units(units)) => units,
        _ => Vec::new(),
    };
    let mut at = status(vec![failed.to_owned()]).pop()?;
    for _ in 0..CHAIN_MAX {
        if at.requires.is_empty() {
            break;
        }
        let mut required = status(at.requires.clone()).into_iter();
        match required.find(|unit: &UnitStatus| unit.state == "failed") {
            Some(next) => at = next,
            None => break,
        }
    }
    (at.name != failed).then_some(at.name)
}
