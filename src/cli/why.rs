//! Why a unit is as it is: from what the daemon says of it and the record, the chain of entries that led there.
//!
//! Owns following the links, and knowing where they end and where they are broken. Pure: it reads nothing, and
//! `render/why.rs` has the words.

use crate::wire::UnitStatus;
use crate::wire::record::{Asked, Changed, Entry, What};

/// The chain, the present first.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    pub(super) steps: Vec<&'a Entry>,
    pub(super) end: End,
    /// What began the life that came to this; nothing where the chain itself goes back to a wish.
    pub(super) origin: Option<Origin<'a>>,
    /// The beginning of a daemon that knows nothing of the unit, after its last entry; where none has begun, the end of
    /// the one that did.
    pub(super) anew: Option<&'a Entry>,
    /// The failure that `reset` has made the daemon forget since, and what led to it; the youngest first.
    pub(super) forgotten: Vec<&'a Entry>,
}

/// How a life began.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    /// From its first step down to the wish, or to what became of another unit.
    pub(super) steps: Vec<&'a Entry>,
    /// How long it was up in the end, in milliseconds, if it was.
    pub(super) ran_ms: Option<u64>,
    /// The automatic restarts on the way.
    pub(super) restarts: usize,
}

/// How a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// In a wish, or in an event of its own.
    Known,
    /// It goes on before the first entry that is kept.
    Older,
    /// The next entry was lost with a daemon that was killed.
    Lost,
    /// Nothing of the unit is in the record.
    Nothing,
}

/// One failure of a unit and what followed.
pub(super) type Setback<'a> = (&'a Entry, &'a Changed);

pub(super) fn chain<'a>(status: &UnitStatus, record: &'a [Entry]) -> Chain<'a> {
    let known = status.entry.and_then(|id| find(record, id));
    let mut anew = None;
    let first = match known {
        Some(entry) => Some(entry),
        // It says why itself, and what that follows from.
        None if status.because.is_some() || status.entry.is_some() => None,
        None => match last_of(&status.name, record) {
            Some((entry, change)) => {
                let stage = stage_after(entry, record);
                let is_at_rest = is_at_rest(&change.to);
                anew = began_after(entry, record).or(stage).filter(|_| is_at_rest);
                // It was up when its daemon or machine ended, and nobody wrote down how it went down.
                stage.filter(|_| !is_at_rest).or(Some(entry))
            }
            None => return Chain::nothing(),
        },
    };
    let next = first.map(|entry| entry.id).or(status.because);
    let (steps, mut end) = follow(next, record);
    if steps.is_empty() && end == End::Known && status.entry.is_some() {
        end = End::Lost;
    }
    let origin = origin(&status.name, &steps, record).filter(|_| end == End::Known);
    let forgotten = forgotten(&status.name, &steps, record);
    Chain {
        steps,
        end,
        origin,
        anew,
        forgotten,
    }
}

/// The failure that ended in the first of these steps, if that is a reset.
fn forgotten<'a>(name: &str, steps: &[&Entry], record: &'a [Entry]) -> Vec<&'a Entry> {
    let is_reset =
        |change: &Changed| change.unit == name && change.from == "failed" && change.to == "stopped";
    let first = steps.first().copied().and_then(as_change);
    let Some((reset, _)) = first.filter(|(_, change)| is_reset(change)) else {
        return Vec::new();
    };
    let place = record.partition_point(|entry| entry.id < reset.id);
    let older = record.get(..place).unwrap_or_default();
    let mut earlier = older.iter().rev().filter_map(as_change);
    let failure = earlier.find(|(_, change)| change.unit == name && change.from != change.to);
    let failure = failure.filter(|(_, change)| change.to == "failed");
    follow(failure.map(|(entry, _)| entry.id), record).0
}

/// Goes from link to link.
fn follow(mut next: Option<u64>, record: &[Entry]) -> (Vec<&Entry>, End) {
    let mut steps = Vec::new();
    while let Some(id) = next {
        let Some(entry) = find(record, id) else {
            let is_older = record.first().is_none_or(|first| id < first.id);
            return (steps, if is_older { End::Older } else { End::Lost });
        };
        steps.push(entry);
        next = match &entry.what {
            // A link goes back in time, or it is none.
            What::Change(change) => change.because.filter(|older| *older < id),
            What::Request(_) | What::Daemon(_) => None,
        };
    }
    (steps, End::Known)
}

/// What began the life whose end the chain goes back to: the unit's own or, where that was started in the chain, that
/// of the unit at its end.
fn origin<'a>(name: &str, steps: &[&'a Entry], record: &'a [Entry]) -> Option<Origin<'a>> {
    let of_own = |step: &&&Entry| matches!(&step.what, What::Change(c) if c.unit == name);
    let is_start = |change: &Changed| is_begin(change) || leads_up(change);
    let begins = |step: &&Entry| matches!(&step.what, What::Change(c) if is_start(c));
    // A chain that ends in a wish says enough.
    let root = steps.last().copied().and_then(as_change)?;
    let own = steps.iter().rev().find(of_own).copied();
    let own = own.filter(|own| !begins(own)).and_then(as_change);
    let (last, of) = own.unwrap_or(root);
    let mut found = Origin {
        steps: Vec::new(),
        ran_ms: None,
        restarts: 0,
    };
    let place = record.partition_point(|entry| entry.id < last.id);
    let earlier = record.get(..place)?.iter().rev().filter_map(as_change);
    for (entry, change) in earlier.filter(|(_, change)| change.unit == of.unit) {
        match change.to.as_str() {
            _ if change.from == change.to => {}
            "running" | "exited" if found.restarts == 0 => {
                let ran_ms = last.at_ms.saturating_sub(entry.at_ms);
                found.ran_ms.get_or_insert(ran_ms);
            }
            "waiting" if is_begin(change) => {
                found.steps = follow(Some(entry.id), record).0;
                return Some(found);
            }
            "waiting" => found.restarts += 1,
            state if is_at_rest(state) => return None,
            _ => {}
        }
    }
    None
}

fn as_change(entry: &Entry) -> Option<(&Entry, &Changed)> {
    match &entry.what {
        What::Change(change) => Some((entry, change)),
        What::Request(_) | What::Daemon(_) => None,
    }
}

/// Whether somebody or something else than its own restart policy has the unit started.
fn is_begin(change: &Changed) -> bool {
    change.to == "waiting" && change.from != change.to && change.cause != "auto-restart"
}

/// Whether its turn to start came, for a reason that is not its own restart policy's.
fn leads_up(change: &Changed) -> bool {
    let is_own = matches!(change.cause.as_str(), "auto-restart" | "ordered");
    change.from == "waiting" && change.to == "starting" && !is_own
}

/// The last wish about the unit that was refused, if nothing has become of the unit since.
pub(super) fn refusal<'a>(name: &str, record: &'a [Entry]) -> Option<(&'a Entry, &'a Asked)> {
    let told = record.iter().rev().find_map(|entry| match &entry.what {
        // Nothing becomes of a unit by these; only their refusal is news.
        What::Request(asked) if asked.refused.is_none() && is_list_wish(asked) => None,
        What::Request(asked) if asked.units.iter().any(|unit| unit == name) => {
            Some((entry, Some(asked)))
        }
        What::Change(change) if change.unit == name => Some((entry, None)),
        _ => None,
    });
    let (entry, asked) = told?;
    asked
        .filter(|asked| asked.refused.is_some())
        .map(|asked| (entry, asked))
}

/// Whether it is about the daemon's lists, and not about what runs.
fn is_list_wish(asked: &Asked) -> bool {
    matches!(asked.verb.as_str(), "enable" | "disable" | "scale" | "set")
}

impl<'a> Chain<'a> {
    fn nothing() -> Self {
        Self {
            steps: Vec::new(),
            end: End::Nothing,
            origin: None,
            anew: None,
            forgotten: Vec::new(),
        }
    }

    /// What it all goes back to.
    pub(super) fn root(&self) -> Option<&'a Entry> {
        self.steps.last().copied()
    }
}

/// The unit's failures since somebody or something else than its own restart policy had it started; the oldest first.
pub(super) fn setbacks<'a>(name: &str, record: &'a [Entry]) -> Vec<Setback<'a>> {
    let mut found = Vec::new();
    for entry in record {
        let What::Change(change) = &entry.what else {
            continue;
        };
        if change.unit != name {
            continue;
        }
        match change.to.as_str() {
            "waiting" if change.cause != "auto-restart" => found.clear(),
            "restarting" | "failed" if change.from != change.to => found.push((entry, change)),
            _ => {}
        }
    }
    found
}

fn find(record: &[Entry], id: u64) -> Option<&Entry> {
    let place = record.binary_search_by_key(&id, |entry| entry.id).ok()?;
    record.get(place)
}

/// One that was down and has only passed a stop on is down for what was told before that.
fn last_of<'a>(name: &str, record: &'a [Entry]) -> Option<(&'a Entry, &'a Changed)> {
    let has_passed_on = |change: &Changed| change.from == change.to && is_at_rest(&change.to);
    record.iter().rev().find_map(|entry| match &entry.what {
        What::Change(change) if change.unit == name && !has_passed_on(change) => {
            Some((entry, change))
        }
        _ => None,
    })
}

fn stage_after<'a>(entry: &Entry, record: &'a [Entry]) -> Option<&'a Entry> {
    let mut later = record.iter().filter(|later| later.id > entry.id);
    later.find(|later| matches!(later.what, What::Daemon(_)))
}

fn began_after<'a>(entry: &Entry, record: &'a [Entry]) -> Option<&'a Entry> {
    let mut later = record.iter().filter(|later| later.id > entry.id);
    later.find(|later| matches!(&later.what, What::Daemon(stage) if stage.stage == "began"))
}

fn is_at_rest(state: &str) -> bool {
    matches!(state, "stopped" | "failed" | "completed")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::wire::record::Stage;

    fn change(id: u64, unit: &str, to: &str, because: Option<u64>) -> Entry {
        let changed = Changed {
            unit: unit.to_owned(),
            from: "x".to_owned(),
            to: to.to_owned(),
            because,
            ..Changed::default()
        };
        Entry {
            id,
            at_ms: id,
            what: What::Change(changed),
        }
    }

    fn other(id: u64, what: What) -> Entry {
        Entry {
            id,
            at_ms: id,
            what,
        }
    }

    fn status(name: &str, entry: Option<u64>, because: Option<u64>) -> UnitStatus {
        UnitStatus {
            name: name.to_owned(),
            entry,
            because,
            ..UnitStatus::default()
        }
    }

    fn ids(chain: &Chain<'_>) -> Vec<u64> {
        chain.steps.iter().map(|step| step.id).collect()
    }

    #[test]
    fn a_chain_is_followed_to_its_end() {
        let record = [
            other(2, What::Request(Asked::default())),
            change(3, "db", "stopping", Some(2)),
            change(4, "web", "stopping", Some(3)),
            change(5, "web", "stopped", Some(4)),
        ];
        let found = chain(&status("web", Some(5), Some(4)), &record);
        assert_eq!((ids(&found), found.end), (vec![5, 4, 3, 2], End::Known));
        // A cause that is not published yet.
        let found = chain(&status("web", None, Some(3)), &record);
        assert_eq!((ids(&found), found.end), (vec![3, 2], End::Known));
        // One that the daemon does not know.
        let found = chain(&status("web", None, None), &record);
        assert_eq!(ids(&found), [5, 4, 3, 2]);
        assert_eq!(chain(&status("new", None, None), &record).end, End::Nothing);
    }

    #[test]
    fn what_is_missing_is_told() {
        let record = [
            change(4, "web", "stopping", Some(3)),
            change(8, "db", "stopping", Some(6)),
            change(9, "bad", "stopping", Some(9)),
        ];
        let of = |name, entry| chain(&status(name, entry, None), &record);
        assert_eq!(of("web", Some(4)).end, End::Older);
        assert_eq!(of("db", Some(8)).end, End::Lost);
        assert_eq!(of("db", Some(7)).end, End::Lost);
        assert_eq!(ids(&of("bad", Some(9))), [9]);
        assert_eq!(chain(&status("x", None, Some(1)), &[]).end, End::Older);
    }

    #[test]
    fn who_was_up_when_the_daemon_ended_went_with_it() {
        let record = [
            change(4, "web", "running", None),
            other(6, What::Daemon(Stage::default())),
            other(7, What::Daemon(Stage::default())),
        ];
        let found = chain(&status("web", None, None), &record);
        assert_eq!(ids(&found), [6]);
    }

    #[test]
    fn a_life_goes_back_to_who_began_it() {
        let step = |id, from: &str, to: &str, (cause, because): (&str, Option<u64>)| {
            let mut entry = change(id, "web", to, because);
            if let What::Change(change) = &mut entry.what {
                from.clone_into(&mut change.from);
                cause.clone_into(&mut change.cause);
            }
            entry
        };
        let record = [
            other(1, What::Request(Asked::default())),
            step(2, "stopped", "waiting", ("asked", Some(1))),
            step(3, "waiting", "running", ("ordered", Some(2))),
            step(4, "running", "restarting", ("failed", None)),
            step(5, "restarting", "waiting", ("auto-restart", Some(4))),
            step(6, "waiting", "running", ("ordered", Some(5))),
            step(9, "running", "failed", ("failed", None)),
        ];
        let found = chain(&status("web", Some(9), None), &record);
        let origin = found.origin.unwrap();
        let ids: Vec<u64> = origin.steps.iter().map(|step| step.id).collect();
        assert_eq!((ids, origin.ran_ms), (vec![2, 1], Some(3)));
        assert_eq!(origin.restarts, 1);
        // It is up again by itself.
        let found = chain(&status("web", Some(6), None), &record[..6]);
        let origin = found.origin.unwrap();
        assert_eq!(origin.steps.last().map(|step| step.id), Some(1));
        assert_eq!((origin.ran_ms, origin.restarts), (Some(1), 0));
    }

    #[test]
    fn a_reset_does_not_hide_the_failure() {
        let mut reset = change(6, "web", "stopped", Some(5));
        if let What::Change(change) = &mut reset.what {
            "failed".clone_into(&mut change.from);
        }
        let record = [
            change(3, "web", "stopping", None),
            change(4, "web", "failed", Some(3)),
            other(5, What::Request(Asked::default())),
            reset,
        ];
        let found = chain(&status("web", Some(6), None), &record);
        let ids: Vec<u64> = found.forgotten.iter().map(|step| step.id).collect();
        assert_eq!(ids, [4, 3]);
        let before = chain(&status("web", Some(4), None), &record);
        assert!(before.forgotten.is_empty());
    }

    #[test]
    fn setbacks_are_those_since_the_last_start_from_outside() {
        let auto = |id| {
            let mut entry = change(id, "web", "waiting", None);
            if let What::Change(change) = &mut entry.what {
                "auto-restart".clone_into(&mut change.cause);
            }
            entry
        };
        let record = [
            change(1, "web", "failed", None),
            change(2, "web", "waiting", None),
            change(3, "web", "restarting", None),
            auto(4),
            change(5, "db", "failed", None),
            change(6, "web", "failed", None),
        ];
        let found = setbacks("web", &record);
        assert_eq!(
            found.iter().map(|(entry, _)| entry.id).collect::<Vec<_>>(),
            [3, 6]
        );
    }
}
