//! The form of the definitions that a successor needs: what a service was started with, whatever has become of its
//! file.
//!
//! Owns the flat form and its limits. The text is a unit file again, in which everything is resolved: specifiers, and
//! what other units ask of this one.

use std::path::Path;

use miniserde::{Deserialize, Serialize, json};

use crate::unit::{self, Context, Unit, UnitName};

use super::DecodeError;
use super::parse::{Bounds, at_most, parse, required};

/// One definition of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedDefinition {
    /// By which the unit's [`super::Saved`] names it: [`Unit::fingerprint`].
    pub fingerprint: u64,
    /// The file that it was read from, absolute.
    pub file: String,
    /// [`Unit::hash`].
    pub hash: u64,
    /// [`unit::to_toml`].
    pub text: String,
}

/// The version of this form.
const VERSION: u32 = 1;
/// The one in force, and a newer one.
const DEFINITIONS_MAX: usize = 2;
const DEFINITIONS: Bounds = Bounds {
    what: "saved definition",
    values: 32,
};

#[derive(Serialize, Deserialize)]
struct WireDefinitions {
    version: Option<u32>,
    definitions: Option<Vec<WireDefinition>>,
}

#[derive(Serialize, Deserialize)]
struct WireDefinition {
    fingerprint: u64,
    file: String,
    hash: u64,
    text: String,
}

impl SavedDefinition {
    #[must_use]
    pub fn of(unit: &Unit) -> Self {
        Self {
            fingerprint: unit.fingerprint(),
            file: unit.path.display().to_string(),
            hash: unit.hash,
            text: unit::to_toml(unit),
        }
    }

    /// The definition again.
    ///
    /// # Errors
    /// What is wrong with its text, whole: the report of a unit file.
    pub fn unit(&self, name: &UnitName, context: &Context) -> Result<Unit, String> {
        let read = unit::parse(&self.text, Path::new(&self.file), name, context);
        let unit = read.map_err(|report| report.to_string())?;
        let hash = self.hash;
        Ok(Unit { hash, ..unit })
    }
}

/// A payload for [`super::slot::Slot`]. At most two definitions.
#[must_use]
pub fn encode_definitions(definitions: &[SavedDefinition]) -> Vec<u8> {
    let wire = definitions.iter().map(|one| WireDefinition {
        fingerprint: one.fingerprint,
        file: one.file.clone(),
        hash: one.hash,
        text: one.text.clone(),
    });
    let wire = WireDefinitions {
        version: Some(VERSION),
        definitions: Some(wire.collect()),
    };
    json::to_string(&wire).into_bytes()
}

/// Reads what a predecessor saved.
///
/// # Errors
/// What is wrong with it: a newer version, or a file that is none of ours.
pub fn decode_definitions(payload: &[u8]) -> Result<Vec<SavedDefinition>, DecodeError> {
    let wire: WireDefinitions = parse(payload, DEFINITIONS)?;
    let version = required("version", wire.version)?;
    if !(1..=VERSION).contains(&version) {
        return Err(DecodeError::UnknownVersion {
            found: version,
            newest: VERSION,
        });
    }
    let definitions = required("definitions", wire.definitions)?;
    let definitions = at_most("definitions", DEFINITIONS_MAX, definitions)?;
    let rich = |one: WireDefinition| SavedDefinition {
        fingerprint: one.fingerprint,
        file: one.file,
        hash: one.hash,
        text: one.text,
    };
    Ok(definitions.into_iter().map(rich).collect())
}
