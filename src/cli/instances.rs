//! The instances that templates have, as this program sees them without a daemon: by the file that `scale` has left in
//! the home, and by the templates' own files.

use super::output::aside;
use super::place::Place;
use super::text::clean;
use crate::daemon::{Scales, unit_context};
use crate::unit::{self, Listed, SearchPath, Unit, UnitName};

/// How many instances templates have.
pub(super) struct Instances(Scales);

impl Instances {
    pub(super) fn of(place: &Place) -> Self {
        Self(Scales::read(place.home.scales()))
    }

    /// The numbered instances of a template that was read, if anybody has said how many there are.
    pub(super) fn counted(&self, template: &Unit) -> Option<Vec<UnitName>> {
        let written = || template.service.as_ref()?.instances;
        let count = self.0.count(&template.name).or_else(written)?;
        let numbers = 1..=count;
        Some(
            numbers
                .filter_map(|number| template.name.numbered(number))
                .collect(),
        )
    }
}

/// The names of all that can be started from these folders: units, and the instances that templates have. A template
/// that cannot be read is told of.
pub(super) fn startable(place: &Place, path: &SearchPath) -> Vec<UnitName> {
    let instances = Instances::of(place);
    let context = unit_context();
    let mut names = Vec::new();
    for Listed { name, found } in path.list().units {
        if !name.is_template() {
            names.push(name);
            continue;
        }
        match unit::load_file(&found.path, &name, &context) {
            Ok(template) => names.extend(instances.counted(&template).unwrap_or_default()),
            Err(error) => {
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default();
                aside(&format!(
                    "warning: {name} has no instances: {}\n",
                    clean(first)
                ));
            }
        }
    }
    names.sort_by(UnitName::by_number);
    names.dedup();
    names
}
