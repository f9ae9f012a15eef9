//! What the record of events adds to how units stand now: the daemon keeps only the last step of each.
//!
//! Owns which units are worth a look into it, since it is read for them; what the entries say is theirs.

use super::record;
use super::render::{Item, NOT_STARTED};
use super::why::refusal;
use crate::daemon::Home;
use crate::wire::record::{Entry, What};

/// The last step of every stop, as it is told of a unit that is down.
const LAST_STEP: &str = "nothing of it is left";

/// Adds why units went down, and why enabled ones did not come up. A record that cannot be read adds nothing.
pub(super) fn add(items: &mut [Item], home: &Home) {
    if items.iter().any(|item| went_down(item) || never_came(item)) {
        let record = record::all(home).unwrap_or_default();
        for item in items {
            add_to(item, &record);
        }
    }
}

/// The same of those that did not come up only.
pub(super) fn add_refusals(items: &mut [Item], home: &Home) {
    if items.iter().any(never_came) {
        let record = record::all(home).unwrap_or_default();
        for item in items.iter_mut().filter(|item| never_came(item)) {
            add_to(item, &record);
        }
    }
}

fn add_to(item: &mut Item, record: &[Entry]) {
    if went_down(item)
        && let Some(reason) = reason(item, record)
    {
        item.status.cause = format!("{reason}; {LAST_STEP}");
    }
    if never_came(item)
        && let Some((_, asked)) = refusal(&item.status.name, record)
        && asked.by == "boot"
    {
        let text = asked.refused.as_deref().unwrap_or_default();
        item.status.cause = format!("{NOT_STARTED}: {text}");
    }
}

fn went_down(item: &Item) -> bool {
    item.status.cause == LAST_STEP && item.status.because.is_some()
}

fn never_came(item: &Item) -> bool {
    let status = &item.status;
    // One that was read and refused is known to the daemon, and no step of it is.
    let has_no_past = status.since_ms == 0 || (status.entry.is_none() && status.because.is_none());
    status.enabled && status.state == "stopped" && has_no_past
}

/// Why the unit began to go down.
fn reason<'a>(item: &Item, record: &'a [Entry]) -> Option<&'a str> {
    let because = item.status.because?;
    let place = record
        .binary_search_by_key(&because, |entry| entry.id)
        .ok()?;
    match &record.get(place)?.what {
        What::Change(change) if change.unit == item.status.name => Some(&change.text),
        What::Change(_) | What::Request(_) | What::Daemon(_) => None,
    }
}
