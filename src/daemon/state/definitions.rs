//! The definitions that a unit's facts name: what it was started with, and what comes next.
//!
//! Owns their reading. They are written before the facts that name them, by `save`.

use crate::sys::files;
use crate::sys::process::error_text;
use crate::unit::{Context, Unit};
use crate::wire::slot::{self, Slot};
use crate::wire::{Saved, SavedDefinition, decode_definitions};

use super::{DEFINITIONS, FILE_LIMIT, States};

/// What a service was started with, and what comes next.
#[derive(Debug)]
pub(in crate::daemon) struct Definitions {
    pub(in crate::daemon) in_force: Box<Unit>,
    pub(in crate::daemon) next: Option<Box<Unit>>,
    pub(super) place: Option<Slot>,
    /// Those in the newest slot, by their fingerprints.
    pub(super) written: [Option<u64>; 2],
}

impl Definitions {
    /// One that was not kept, and is in force for want of a better.
    pub(in crate::daemon) fn instead(in_force: Unit) -> Self {
        Self {
            in_force: Box::new(in_force),
            next: None,
            place: None,
            written: [None; 2],
        }
    }
}

impl States {
    /// The definitions that the facts name.
    ///
    /// # Errors
    /// Why the one in force cannot be had. That a newer one cannot is told in the log.
    pub(in crate::daemon) fn definitions(
        &self,
        saved: &Saved,
        context: &Context,
    ) -> Result<Definitions, String> {
        let in_force = saved
            .definition
            .ok_or("the daemon before did not keep it")?;
        let name = &saved.facts.unit;
        if let Some(here) = saved.definition_here() {
            return here.unit(name, context).map(Definitions::instead);
        }
        let path = self.path(name.as_str(), DEFINITIONS);
        let place = |reason: String| format!("{}: {reason}", path.display());
        let bytes = files::read_own(&path, FILE_LIMIT);
        let bytes = bytes.map_err(|error| place(error_text(&error)))?;
        let mut found = Vec::new();
        let mut refused = None;
        for (_, payload) in slot::whole(&bytes) {
            match decode_definitions(payload) {
                Ok(definitions) => found.extend(definitions),
                Err(error) => refused = Some(error.to_string()),
            }
        }
        let find = |wanted: u64| {
            let known = found.iter().find(|one| one.fingerprint == wanted);
            let missing = || {
                refused
                    .clone()
                    .unwrap_or_else(|| "nothing whole in it".to_owned())
            };
            let unit = known
                .ok_or_else(missing)
                .and_then(|one| one.unit(name, context));
            unit.map(Box::new).map_err(place)
        };
        let next = saved.next.map(find).transpose().unwrap_or_else(|reason| {
            ::log::warn!("{name}: its newer definition is lost: {reason}");
            None
        });
        let in_force = find(in_force)?;
        let newest = slot::newest(&bytes);
        let read = newest.and_then(|(_, payload)| decode_definitions(payload).ok());
        Ok(Definitions {
            in_force,
            next,
            place: newest.map(|(slot, _)| slot),
            written: fingerprints(&read.unwrap_or_default()),
        })
    }

    /// The definitions, where the only one is known to be this.
    pub(in crate::daemon) fn unchanged(&self, in_force: Unit) -> Definitions {
        let bytes = files::read_own(&self.path(in_force.name.as_str(), DEFINITIONS), FILE_LIMIT);
        let bytes = bytes.unwrap_or_default();
        let fingerprint = in_force.fingerprint();
        let holds_it = |payload: &[u8]| payload_has(payload, fingerprint);
        match slot::newest(&bytes).filter(|(_, payload)| holds_it(payload)) {
            Some((slot, _)) => Definitions {
                place: Some(slot),
                written: [Some(fingerprint), None],
                ..Definitions::instead(in_force)
            },
            None => {
                let path = self.path(in_force.name.as_str(), DEFINITIONS);
                ::log::warn!("{} is unreadable, and is written anew", path.display());
                self.set_definitions_aside(&in_force.name);
                Definitions::instead(in_force)
            }
        }
    }
}

/// Whether saved definitions have this one among them, without reading them all.
fn payload_has(payload: &[u8], fingerprint: u64) -> bool {
    let number = format!("\"fingerprint\":{fingerprint},");
    let mut places = payload.windows(number.len());
    places.any(|place| place == number.as_bytes())
}

pub(super) fn fingerprints(definitions: &[SavedDefinition]) -> [Option<u64>; 2] {
    let at = |index: usize| definitions.get(index).map(|one| one.fingerprint);
    [at(0), at(1)]
}
