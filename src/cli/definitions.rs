//! The definitions that the daemon has loaded, and those that lie on the disk, side by side.
//!
//! Owns asking for the former and reading the latter as the daemon would: with what enabled units add to it.

use std::path::Path;

use super::client::Client;
use super::exit::{Exit, Failure};
use super::forbearance::{ANSWER_MS, Forbearance};
use super::place::Place;
use crate::daemon::unit_context;
use crate::engine::Command;
use crate::unit::{self, LoadError, Unit, UnitName};
use crate::wire::{Final, ProgressKind, Reply, decode_definitions};

/// How many the daemon is asked for at a time: what waits for a client is bounded.
const AT_A_TIME: usize = 50;

/// What the daemon has of one unit.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) name: UnitName,
    /// In force: what its processes were started with.
    pub(super) unit: Unit,
    /// What enabled units add to its dependencies: key and unit.
    pub(super) pulled_in: Vec<(String, UnitName)>,
}

/// The loaded units among these.
pub(super) fn loaded(
    client: &mut Client,
    place: &Place,
    names: &[String],
) -> Result<Vec<Loaded>, Failure> {
    let mut found: Vec<Loaded> = Vec::new();
    for some in names.chunks(AT_A_TIME) {
        let names = some.to_vec();
        client.send(Command::Definitions { names }, &place.directories)?;
        let mut time = Forbearance::of(ANSWER_MS);
        loop {
            match client.reply(time.left_ms())? {
                Some(Reply::Final(Final::Error(error))) => return Err(error.into()),
                Some(Reply::Final(_)) => break,
                Some(Reply::Progress(frame)) => match frame.kind {
                    ProgressKind::Definition => found.push(read(&frame.unit, &frame.text)?),
                    ProgressKind::PulledIn => {
                        if let Some(last) =
                            found.last_mut().filter(|l| l.name.as_str() == frame.unit)
                        {
                            last.pulled_in = frame.text.lines().filter_map(line).collect();
                        }
                    }
                    _ => {}
                },
                None if time.is_over(&place.home) => {
                    return Err(super::silence::silence(&place.home, time.waited_ms()));
                }
                None => {}
            }
        }
    }
    Ok(found)
}

fn line(line: &str) -> Option<(String, UnitName)> {
    let (key, name) = line.split_once(' ')?;
    Some((key.to_owned(), UnitName::parse(name).ok()?))
}

fn read(name: &str, text: &str) -> Result<Loaded, Failure> {
    let nonsense = |reason: String| {
        let message = format!("the daemon's definition of {name} cannot be read: {reason}");
        Failure::new(Exit::NoDaemon, message)
    };
    let known = UnitName::parse(name).map_err(|error| nonsense(error.to_string()))?;
    let both = decode_definitions(text.as_bytes()).map_err(|error| nonsense(error.to_string()))?;
    let [in_force] = both.as_slice() else {
        return Err(nonsense("it is none".to_owned()));
    };
    Ok(Loaded {
        unit: in_force.unit(&known, &unit_context()).map_err(nonsense)?,
        name: known,
        pulled_in: Vec::new(),
    })
}

impl Loaded {
    /// The unit as it lies on the disk, with what the daemon would add to it.
    pub(super) fn on_disk(&self) -> Result<Unit, LoadError> {
        let mut unit = unit::load_file(&self.unit.path, &self.name, &unit_context())?;
        for (key, name) in &self.pulled_in {
            let list = match key.as_str() {
                "Wants" => &mut unit.wants,
                _ => &mut unit.requires,
            };
            if !list.contains(name) {
                list.push(name.clone());
            }
        }
        Ok(unit)
    }

    /// Whether its file is there at all.
    pub(super) fn has_file(&self) -> bool {
        Path::new(&self.unit.path).exists()
    }
}
