//! Where in a unit's files something stands: a key, in the file or in which of its drop-ins, and what is found wrong
//! only once the unit has been read.
//!
//! Owns the way back from a key to its line and column; what a key comes to is the model's. The files are read again
//! for it, so that no unit has to carry its text around. Files that are wrong have places, too.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::sorted::Sorted;

use super::parse::{Id, Reader};
use super::report::{Fault, Problem};
use super::search::read_sources;
use super::specifier::Scope;
use super::value::{self, Value};
use super::{Context, LoadError, Relation, Unit, UnitName};

/// Where a key got its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub path: PathBuf,
    /// From 1.
    pub line: u32,
}

/// The places of all keys that are written, by section and name; of one that is written twice the place that counts.
///
/// # Errors
/// A file cannot be read.
pub fn origins(
    path: &Path,
    name: &UnitName,
    context: &Context,
) -> Result<BTreeMap<Id, Origin>, LoadError> {
    let sources = read_sources(path, name)?;
    let scope = Scope {
        context,
        name,
        path,
    };
    let reader = Reader::new(&sources, scope);
    let place = |(section, key): Id| {
        let (source, key_span, _) = reader.written(section, key)?;
        let source = sources.get(source)?;
        let line = source.line_at(key_span.start);
        let path = source.path.clone();
        Some(((section, key), Origin { path, line }))
    };
    Ok(reader.keys().filter_map(place).sorted_map())
}

/// A key of a unit, or a part of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    pub section: &'static str,
    pub key: &'static str,
    pub part: Part,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The key itself.
    Key,
    Value,
    /// The item of a list that names this unit.
    Name(UnitName),
    /// The first place in the value where this stands as it is, else the whole value.
    Text(String),
}

/// Something to be said of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    pub spot: Spot,
    pub message: String,
    pub hint: Option<String>,
}

impl Spot {
    #[must_use]
    pub fn new(section: &'static str, key: &'static str, part: Part) -> Self {
        Self { section, key, part }
    }

    /// The item of a key of `[unit]` that names a unit.
    #[must_use]
    pub fn name(key: &'static str, name: &UnitName) -> Self {
        Self::new("unit", key, Part::Name(name.clone()))
    }

    /// A text in the value of a key of `[service]`.
    #[must_use]
    pub fn text(key: &'static str, text: &str) -> Self {
        Self::new("service", key, Part::Text(text.to_owned()))
    }
}

/// Which key puts the unit behind the other one in the order, and where it stands: the unit's own `After=`, or the
/// other one's `Before=`. `None` if neither says so.
#[must_use]
pub fn locate_order<'a>(
    unit: &UnitName,
    after: &UnitName,
    find: impl Fn(&UnitName) -> Option<&'a Unit>,
    context: &Context,
) -> Option<(&'static str, Option<Problem>)> {
    let says = |one: &UnitName, relation: Relation, other: &UnitName| {
        let unit = find(one)?;
        let is_named = unit.named_in(relation).contains(other);
        let key = Some(relation.key()).filter(|_| is_named)?;
        let remark = Remark {
            spot: Spot::name(key, other),
            message: String::new(),
            hint: None,
        };
        let mut places = locate(&unit.path, &unit.name, context, &[remark]);
        Some((key, places.pop().flatten()))
    };
    let own = says(unit, Relation::After, after);
    own.or_else(|| says(after, Relation::Before, unit))
}

/// Finds the place of each remark on the unit that was read from the file at `path`, drop-ins included. `None`: its
/// key is written nowhere, or the files are not what they were.
#[must_use]
pub fn locate(
    path: &Path,
    name: &UnitName,
    context: &Context,
    remarks: &[Remark],
) -> Vec<Option<Problem>> {
    let Ok(sources) = read_sources(path, name) else {
        return vec![None; remarks.len()];
    };
    let scope = Scope {
        context,
        name,
        path,
    };
    let reader = Reader::new(&sources, scope);
    let problem = |remark: &Remark| {
        let Spot { section, key, part } = &remark.spot;
        let (source, key, value) = reader.written(section, key)?;
        let source = sources.get(source)?;
        let span = span(part, key, value, &source.text, &scope);
        let fault = Fault::new(span, &*remark.message).hint_if(remark.hint.clone());
        Some(source.problem(fault))
    };
    remarks.iter().map(problem).collect()
}

fn span(part: &Part, key: Range<usize>, value: &Value, text: &str, scope: &Scope) -> Range<usize> {
    match part {
        Part::Key => key,
        Part::Value => value.span(),
        Part::Name(name) => {
            let mut items = value::items(value).iter();
            let item = items.find(|item| value::name(item, scope).as_ref() == Ok(name));
            item.unwrap_or(value).span()
        }
        Part::Text(part) => {
            let whole = value.span();
            let written = text.get(whole.clone()).unwrap_or_default();
            match written.find(part.as_str()) {
                Some(at) if !part.is_empty() => {
                    let start = whole.start + at;
                    start..start + part.len()
                }
                _ => whole,
            }
        }
    }
}
