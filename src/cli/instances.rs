//! The instances that templates have, as this program sees them without a daemon: by the file that `scale` has left in
//! the home, and by the templates' own files.

use super::exit::{Exit, Failure};
use super::output::aside;
use super::place::Place;
use super::text::clean;
use crate::daemon::{Scales, unit_context};
use crate::sorted;
use crate::unit::{self, Listed, LoadError, SearchPath, Unit, UnitName, glob};

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

/// All that can be started from some folders.
pub(super) struct Startable {
    /// Units, and the instances that templates have.
    pub(super) names: Vec<UnitName>,
    /// Templates that cannot be read, and why.
    broken: Vec<(UnitName, LoadError)>,
}

impl Startable {
    pub(super) fn of(place: &Place, path: &SearchPath) -> Self {
        let instances = Instances::of(place);
        let context = unit_context();
        let (mut names, mut broken) = (Vec::new(), Vec::new());
        for Listed { name, found } in path.list().units {
            if !name.is_template() {
                names.push(name);
                continue;
            }
            match unit::load_file(&found.path, &name, &context) {
                Ok(template) => names.extend(instances.counted(&template).unwrap_or_default()),
                Err(error) => broken.push((name, error)),
            }
        }
        sorted::sort_by(&mut names, UnitName::by_number);
        names.dedup();
        Self { names, broken }
    }

    /// Tells of templates that a pattern means and that cannot be read.
    pub(super) fn warn(&self, pattern: &str) {
        let meant = self.broken.iter();
        for (name, error) in meant.filter(|(name, _)| glob::matches(pattern, name.as_str())) {
            let text = error.to_string();
            let first = clean(text.lines().next().unwrap_or_default());
            aside(&format!("warning: {name} has no instances: {first}\n"));
        }
    }

    /// The instances that a template has.
    pub(super) fn instances(&self, template: &UnitName) -> Result<Vec<String>, Failure> {
        if let Some((_, error)) = self.broken.iter().find(|(name, _)| name == template) {
            return Err(Failure::new(Exit::Failed, error.to_string().trim_end()));
        }
        let is_ours = |name: &&UnitName| {
            name.number().is_some() && name.template().as_ref() == Some(template)
        };
        let ours = self.names.iter().filter(is_ours);
        let names: Vec<String> = ours.map(ToString::to_string).collect();
        if names.is_empty() {
            let message = format!("{template} is a template, and has no instances");
            return Err(Failure::usage(message).hint(format!(
                "for example `{template}1`; or Instances = 4 in its [service], or \
                 `diakonos scale {template} 4`"
            )));
        }
        Ok(names)
    }
}
