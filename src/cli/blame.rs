//! What took how long to start: from the record, each unit's last start that came to its end, and the chain that the
//! last of them waited for.
//!
//! Owns telling starts from the record and finding the chain. As systemd-analyze has it: a unit's time is what it took
//! from its turn until it was up; the chain goes, from the unit, each time to the one among those it comes after that
//! was up last before its turn came. Pure.

use std::collections::BTreeMap;

use crate::wire::record::{Changed, Entry, What};

/// One start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// When it was wanted, unix milliseconds.
    pub(super) wanted_ms: u64,
    /// When its turn came.
    pub(super) begun_ms: u64,
    /// When it was up, or had run its course; nothing while it is on its way.
    pub(super) up_ms: Option<u64>,
    /// The entry that it goes back to: a wish, or a failure.
    pub(super) because: Option<u64>,
}

/// A link of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) start: Start,
}

/// Each unit's last start that the record has whole.
pub(super) fn starts(record: &[Entry]) -> BTreeMap<String, Start> {
    let mut found: BTreeMap<String, Start> = BTreeMap::new();
    for entry in record {
        let What::Change(change) = &entry.what else {
            continue;
        };
        note(&mut found, entry.at_ms, change);
    }
    found
}

fn note(found: &mut BTreeMap<String, Start>, at_ms: u64, change: &Changed) {
    let Changed { unit, from, to, .. } = change;
    if from == to {
        return;
    }
    match (from.as_str(), to.as_str()) {
        (_, "waiting") => {
            let start = Start {
                wanted_ms: at_ms,
                begun_ms: at_ms,
                up_ms: None,
                because: change.because,
            };
            found.insert(unit.clone(), start);
        }
        ("waiting", "starting") => {
            if let Some(start) = found.get_mut(unit) {
                start.begun_ms = at_ms;
            }
        }
        ("waiting" | "starting", "running" | "exited") => {
            if let Some(start) = found.get_mut(unit) {
                start.up_ms.get_or_insert(at_ms);
            }
        }
        // A oneshot that has run its course; one that failed has no start to speak of.
        (_, "completed") => {
            if let Some(start) = found.get_mut(unit) {
                start.up_ms.get_or_insert(at_ms);
            }
        }
        ("waiting" | "starting" | "stopping", "failed" | "stopped" | "restarting")
            if found.get(unit).is_some_and(|start| start.up_ms.is_none()) =>
        {
            found.remove(unit);
        }
        _ => {}
    }
}

/// What the start of `name` waited for, one after the other: itself first. `after` says what a unit comes after.
pub(super) fn critical_chain(
    name: &str,
    starts: &BTreeMap<String, Start>,
    after: &dyn Fn(&str) -> Vec<String>,
) -> Vec<Link> {
    let mut chain: Vec<Link> = Vec::new();
    let mut next = starts.get_key_value(name);
    while let Some((name, start)) = next {
        chain.push(Link {
            name: name.clone(),
            start: *start,
        });
        let firsts = after(name);
        let earlier = firsts
            .iter()
            .filter(|first| chain.iter().all(|link| link.name != **first));
        next = earlier
            .filter_map(|first| starts.get_key_value(first))
            .filter(|(_, first)| match first.up_ms {
                // What was up long before has kept nobody waiting.
                Some(up_ms) => up_ms <= start.begun_ms && up_ms >= start.wanted_ms,
                // Whoever is on the way itself waits for it still.
                None => start.up_ms.is_none(),
            })
            .max_by_key(|(_, first)| (first.up_ms.is_none(), first.up_ms));
    }
    chain
}

/// The end of the last start of `name` that did not come to anything.
pub(super) fn failed_start<'a>(name: &str, record: &'a [Entry]) -> Option<(u64, &'a Changed)> {
    record.iter().rev().find_map(|entry| match &entry.what {
        What::Change(change) if change.unit == name && change.from != change.to => {
            Some((entry.at_ms, change))
        }
        _ => None,
    })
}

impl Start {
    pub(super) fn took_ms(&self) -> Option<u64> {
        let up_ms = self.up_ms?;
        Some(up_ms.saturating_sub(self.begun_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(at_ms: u64, unit: &str, from: &str, to: &str) -> Entry {
        let changed = Changed {
            unit: unit.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            ..Changed::default()
        };
        Entry {
            id: at_ms,
            at_ms,
            what: What::Change(changed),
        }
    }

    fn record() -> Vec<Entry> {
        vec![
            change(100, "web", "stopped", "waiting"),
            change(100, "db", "stopped", "waiting"),
            change(100, "log", "stopped", "waiting"),
            change(100, "db", "waiting", "starting"),
            change(101, "log", "waiting", "starting"),
            change(110, "log", "starting", "running"),
            change(150, "db", "starting", "running"),
            change(151, "web", "waiting", "starting"),
            change(160, "web", "starting", "running"),
            change(170, "job", "stopped", "waiting"),
            change(170, "job", "waiting", "starting"),
            change(190, "job", "stopping", "completed"),
            change(200, "bad", "stopped", "waiting"),
            change(201, "bad", "waiting", "starting"),
            change(202, "bad", "stopping", "failed"),
            change(300, "late", "stopped", "waiting"),
        ]
    }

    #[test]
    fn starts_are_told_from_the_record() {
        let found = starts(&record());
        let took = |name: &str| found.get(name).map(|start| start.took_ms());
        assert_eq!(took("db"), Some(Some(50)));
        assert_eq!(took("web"), Some(Some(9)));
        assert_eq!(took("job"), Some(Some(20)));
        assert_eq!((took("bad"), took("late")), (None, Some(None)));
    }

    #[test]
    fn the_chain_goes_by_who_was_up_last() {
        let found = starts(&record());
        let after = |name: &str| match name {
            "web" => vec!["log".to_owned(), "db".to_owned(), "nobody".to_owned()],
            // A ring in today's files.
            "db" => vec!["web".to_owned(), "db".to_owned()],
            _ => Vec::new(),
        };
        let chain = critical_chain("web", &found, &after);
        let names: Vec<&str> = chain.iter().map(|link| link.name.as_str()).collect();
        assert_eq!(names, ["web", "db"]);
        assert!(critical_chain("nobody", &found, &after).is_empty());
        // Log was up before the job was wanted.
        let chain = critical_chain("job", &found, &|_| vec!["log".to_owned()]);
        assert_eq!(chain.len(), 1);
    }
}
