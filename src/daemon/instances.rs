//! Templates in a request: the instances that a template's name, or a pattern, stands for.
//!
//! Owns how many instances a template has (what `scale` has said, else its `Instances=`) and which of them are meant.
//! A template itself is never loaded: whoever names it means its instances.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{State, UNITS_MAX};
use crate::sorted;
use crate::unit::{self, UnitName, glob};
use crate::wire::{ErrorKind, WireError};

use super::answer;
use super::loader::{Among, Loader};

/// Which instances a template's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// `start`: from 1 to the number that it has.
    Counted,
    /// What is done to services that may run: those that are loaded; if none is, those that it has.
    Loaded,
    /// `restart`, `status`: both.
    Both,
}

/// How many instances each template has, as far as it was asked in one request.
pub(super) type Counts = BTreeMap<UnitName, Option<u32>>;

impl Loader<'_> {
    /// Puts instances in the place of every template among the names; which were put there comes back.
    pub(super) fn spread(
        &self,
        names: &mut Vec<String>,
        over: Over,
    ) -> Result<Vec<String>, WireError> {
        let mut put = Vec::new();
        let mut spread = Vec::with_capacity(names.len());
        let mut templates = BTreeSet::new();
        for name in names.drain(..) {
            match UnitName::parse(&name) {
                // Each means itself once, however often it is named.
                Ok(template) if templates.contains(&template) => {}
                Ok(template) if template.is_template() => {
                    let instances = self.instances(&template, over)?;
                    let instances = instances.iter().map(ToString::to_string);
                    put.extend(instances.clone());
                    spread.extend(instances);
                    if put.len() > UNITS_MAX {
                        let message =
                            format!("these templates have more than {UNITS_MAX} instances");
                        return Err(answer::error(ErrorKind::Failed, message, None));
                    }
                    templates.insert(template);
                }
                // What is wrong with a name is said where it is looked for.
                Ok(_) | Err(_) => spread.push(name),
            }
        }
        *names = spread;
        Ok(put)
    }

    /// By their numbers; at least one.
    fn instances(&self, template: &UnitName, over: Over) -> Result<Vec<UnitName>, WireError> {
        let mut loaded: Vec<UnitName> = match over {
            Over::Counted => Vec::new(),
            Over::Loaded | Over::Both => self.loaded_instances(template).collect(),
        };
        let mut counts = Counts::new();
        loaded.retain(|name| !self.is_surplus(name, &mut counts));
        match over {
            Over::Loaded if !loaded.is_empty() => {}
            Over::Counted => loaded.extend(self.counted(template)?),
            Over::Loaded => match self.counted(template) {
                Ok(counted) => loaded.extend(counted),
                // That it cannot be started as it is does not matter here.
                Err(error) if error.kind == ErrorKind::Usage => {
                    let message = format!("no instance of {template} is loaded");
                    return Err(answer::error(ErrorKind::NoSuchUnit, message, None));
                }
                Err(error) => return Err(error),
            },
            Over::Both => match self.counted(template) {
                Ok(counted) => loaded.extend(counted),
                Err(error) if loaded.is_empty() => return Err(error),
                // Their own files are read next, and say what is wrong.
                Err(_) => {}
            },
        }
        sorted::sort_by(&mut loaded, UnitName::by_number);
        loaded.dedup();
        Ok(loaded)
    }

    fn loaded_instances(&self, template: &UnitName) -> impl Iterator<Item = UnitName> {
        let units = self.engine.units();
        let names = units.filter_map(|id| Some(&self.engine.unit(id)?.name));
        let ours = names.filter(|name| name.template().as_ref() == Some(template));
        ours.cloned()
    }

    /// The instances that a template has, by their numbers; one at least, and its file is right.
    pub(super) fn counted(&self, template: &UnitName) -> Result<Vec<UnitName>, WireError> {
        let said = self.enabled.scales.count(template);
        let unit = self.read_named(template)?;
        let written = unit.service.as_ref().and_then(|service| service.instances);
        let (message, hint) = match said.or(written) {
            Some(0) if said.is_some() => (
                format!("{template} is scaled to 0 instances"),
                format!("`diakonos scale {template} 1` starts one"),
            ),
            Some(0) => (
                format!("{template} has no instances: Instances = 0 in its file"),
                format!("`diakonos scale {template} 1` starts one"),
            ),
            Some(count) => return Ok(numbered(template, count)),
            None => (
                format!("{template} is a template: it needs an instance to be started as"),
                format!(
                    "for example `{template}1`; with Instances = 4 in its [service] or after \
                     `diakonos scale {template} 4` its name stands for four of them"
                ),
            ),
        };
        Err(answer::error(ErrorKind::Usage, message, Some(hint)))
    }

    /// How many instances a template has; nothing where nobody has said, or its file cannot be read.
    fn count(&self, template: &UnitName, counts: &mut Counts) -> Option<u32> {
        if let Some(known) = counts.get(template) {
            return *known;
        }
        let said = self.enabled.scales.count(template);
        let count = said.or_else(|| {
            let service = self.read_named(template).ok()?.service?;
            service.instances
        });
        counts.insert(template.clone(), count);
        count
    }

    /// The known template whose name is nearest to this one.
    pub(super) fn near_template(&self, name: &UnitName) -> Option<String> {
        let known = self.candidates(Among::LoadedAndFiles);
        let templates = known.iter().filter(|known| known.is_template());
        let near = unit::nearest(name.as_str(), templates.map(UnitName::as_str))?;
        Some(format!("did you mean `{near}`?"))
    }

    /// Whether this is an instance beyond the number of its template, and stopped: `scale` has put it away, and only
    /// who names it still means it.
    pub(super) fn is_surplus(&self, name: &UnitName, counts: &mut Counts) -> bool {
        let (Some(number), Some(template)) = (name.number(), name.template()) else {
            return false;
        };
        let view = self.engine.id(name).and_then(|id| self.engine.view(id));
        let is_stopped = view.is_some_and(|view| view.state == State::Stopped);
        is_stopped
            && self
                .count(&template, counts)
                .is_some_and(|count| number > count)
    }

    /// The units, or with `enable` and `disable` templates too, that a pattern means.
    pub(super) fn matching(&self, pattern: &str, among: Among) -> Result<Vec<UnitName>, WireError> {
        let plain = pattern.strip_suffix(".service").unwrap_or(pattern);
        let candidates = self.candidates(among);
        let templates = || candidates.iter().filter(|name| name.is_template());
        let mut counts = Counts::new();
        let mut more = match among {
            Among::Loaded => Vec::new(),
            Among::LoadedAndFiles => self.instances_matching(plain, templates(), &mut counts),
            Among::Enabling => self.templates_matching(plain, templates(), &mut counts),
            Among::Enabled => templates()
                .filter(|name| glob::matches(plain, name.as_str()))
                .cloned()
                .collect(),
        };
        let units = candidates
            .iter()
            .filter(|name| !name.is_template() && glob::matches(plain, name.as_str()));
        let is_covered = |name: &UnitName| {
            among == Among::Enabling
                && name.number().is_some()
                && name
                    .template()
                    .is_some_and(|template| more.contains(&template))
        };
        let units = units.filter(|name| {
            !is_covered(name) && (among == Among::Enabled || !self.is_surplus(name, &mut counts))
        });
        let mut found: Vec<UnitName> = units.cloned().collect();
        found.append(&mut more);
        sorted::sort_by(&mut found, UnitName::by_number);
        found.dedup();
        // `*` is "all there are", and that may be none.
        if found.is_empty() && plain != "*" {
            let message = format!("no unit matches `{pattern}`");
            return Err(answer::error(ErrorKind::NoSuchUnit, message, None));
        }
        Ok(found)
    }

    /// Adds what is not in a list; of a template its instances.
    pub(super) fn add(&self, list: &mut Vec<UnitName>, more: &[&UnitName]) {
        for name in more {
            let names = match name.is_template() {
                true => self.enabled.instances(name),
                false => vec![(*name).clone()],
            };
            for name in names {
                if !list.contains(&name) {
                    list.push(name);
                }
            }
        }
    }

    /// Of these templates, the instances that a pattern means; a template whose file is wrong stands for itself, so
    /// that this is said.
    fn instances_matching<'t>(
        &self,
        pattern: &str,
        templates: impl Iterator<Item = &'t UnitName>,
        counts: &mut Counts,
    ) -> Vec<UnitName> {
        let mut meant = Vec::new();
        for template in templates {
            let matches = |name: &UnitName| glob::matches(pattern, name.as_str());
            match self.count(template, counts) {
                Some(count) => meant.extend(numbered(template, count).into_iter().filter(matches)),
                None if matches(template) && self.read_named(template).is_err() => {
                    meant.push(template.clone());
                }
                None => {}
            }
        }
        meant
    }

    /// Of these templates, those that a pattern means as a whole: their instances are as many as they are told to be.
    fn templates_matching<'t>(
        &self,
        pattern: &str,
        templates: impl Iterator<Item = &'t UnitName>,
        counts: &mut Counts,
    ) -> Vec<UnitName> {
        let matching = templates.filter(|name| glob::matches(pattern, name.as_str()));
        let has_count = |name: &&UnitName| self.count(name, counts).is_some();
        matching.filter(has_count).cloned().collect()
    }
}

/// The first instances of a template.
pub(super) fn numbered(template: &UnitName, count: u32) -> Vec<UnitName> {
    let numbers = 1..=count;
    numbers
        .filter_map(|number| template.numbered(number))
        .collect()
}
