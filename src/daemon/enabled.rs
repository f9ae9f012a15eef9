//! Which units start with the daemon: the file `enabled` and what the `[install]` of those units asks for.
//!
//! Owns the file, one line a unit: its name, a tab, the path of its file. The file is always whole: it is written
//! beside itself and renamed. Reading the units is `loader.rs`'s.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::unit::{Install, Unit, UnitName};

use super::instances::numbered;
use super::lines;
use super::scales::Scales;

/// The enabled units that ask to be wanted, and to be required, by one group.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    pub(super) wants: Vec<&'a UnitName>,
    pub(super) requires: Vec<&'a UnitName>,
}

/// The enabled units, as the file has them.
#[derive(Debug)]
pub(super) struct Enabled {
    path: PathBuf,
    entries: BTreeMap<UnitName, Entry>,
    /// How many instances the templates have.
    pub(super) scales: Scales,
}

#[derive(Clone, Debug)]
struct Entry {
    file: PathBuf,
    /// As the unit's file had it when it was last read; empty before.
    install: Install,
    /// `Instances=` of a template, likewise.
    instances: Option<u32>,
}

impl Enabled {
    /// Reads the file; one that is missing enables nothing, a line that makes no sense is logged and left out.
    pub(super) fn read(path: PathBuf, scales: Scales) -> Self {
        let entries = lines::read(&path, "a name and a path", |_, text| {
            let entry = Entry {
                file: PathBuf::from(text),
                install: Install::default(),
                instances: None,
            };
            entry.file.is_absolute().then_some(entry)
        });
        Self {
            path,
            entries,
            scales,
        }
    }

    pub(super) fn contains(&self, name: &UnitName) -> bool {
        self.entries.contains_key(name)
    }

    /// Every enabled unit with its file.
    pub(super) fn files(&self) -> impl Iterator<Item = (&UnitName, &Path)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name, entry.file.as_path()))
    }

    /// The file that this unit was enabled from.
    pub(super) fn file(&self, name: &UnitName) -> Option<&Path> {
        self.entries.get(name).map(|entry| entry.file.as_path())
    }

    /// Whether one of the groups that pull this unit in is enabled itself.
    pub(super) fn has_enabled_group(&self, name: &UnitName) -> bool {
        self.entries.get(name).is_some_and(|entry| {
            let mut groups = entry
                .install
                .wanted_by
                .iter()
                .chain(&entry.install.required_by);
            groups.any(|group| self.contains(group))
        })
    }

    /// Notes what the unit's file says now.
    pub(super) fn learn(&mut self, unit: &Unit) {
        if let Some(entry) = self.entries.get_mut(&unit.name) {
            entry.install.clone_from(&unit.install);
            entry.instances = unit.service.as_ref().and_then(|service| service.instances);
        }
    }

    /// The instances of an enabled template, by their numbers.
    pub(super) fn instances(&self, template: &UnitName) -> Vec<UnitName> {
        numbered(template, self.count(template))
    }

    fn count(&self, template: &UnitName) -> u32 {
        let written = || self.entries.get(template)?.instances;
        let count = self.scales.count(template).or_else(written);
        count.unwrap_or(0)
    }

    /// The instances of a template beyond this number that are enabled themselves.
    pub(super) fn beyond(&self, template: &UnitName, count: u32) -> Vec<UnitName> {
        let ours = self
            .entries
            .keys()
            .filter(|name| name.template().as_ref() == Some(template));
        let beyond = ours.filter(|name| name.number().is_some_and(|number| number > count));
        beyond.cloned().collect()
    }

    /// Whether a unit starts with the daemon: it is enabled itself, or its template is.
    pub(super) fn is_enabled(&self, name: &UnitName) -> bool {
        self.contains(name) || self.through_template(name).is_some()
    }

    /// The enabled template as one of whose instances this unit starts.
    pub(super) fn through_template(&self, name: &UnitName) -> Option<UnitName> {
        let number = name.number()?;
        let template = name.template().filter(|template| self.contains(template))?;
        (number <= self.count(&template)).then_some(template)
    }

    /// Whether this unit starts with the daemon by itself, and not through a group.
    pub(super) fn starts_alone(&self, name: &UnitName) -> bool {
        self.entries.get(name).is_some_and(|entry| {
            entry.install.wanted_by.is_empty() && entry.install.required_by.is_empty()
        })
    }

    /// What the enabled units ask of groups. Made once for many units: each alone would look at all that are enabled.
    pub(super) fn asked(&self) -> BTreeMap<&UnitName, Asked<'_>> {
        let mut asked: BTreeMap<&UnitName, Asked<'_>> = BTreeMap::new();
        for (name, entry) in &self.entries {
            for group in &entry.install.wanted_by {
                asked.entry(group).or_default().wants.push(name);
            }
            for group in &entry.install.required_by {
                asked.entry(group).or_default().requires.push(name);
            }
        }
        asked
    }

    /// The enabled unit that has this second name.
    pub(super) fn alias(&self, name: &UnitName) -> Option<&UnitName> {
        self.entries
            .iter()
            .filter(|(known, _)| !known.is_template())
            .find(|(_, entry)| entry.install.alias.contains(name))
            .map(|(name, _)| name)
    }

    /// Enables a unit. `false`: it was enabled from this very file.
    pub(super) fn enable(
        &mut self,
        name: UnitName,
        file: PathBuf,
        install: Install,
    ) -> io::Result<bool> {
        let instances = None;
        if !is_one_line(&file) {
            let reason = "its path has a character that ends a line or a field";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let entry = Entry {
            file,
            install,
            instances,
        };
        let before = self.entries.insert(name.clone(), entry.clone());
        if before.as_ref().is_some_and(|b| b.file == entry.file) {
            return Ok(false);
        }
        if let Err(error) = self.write() {
            match before {
                Some(before) => self.entries.insert(name, before),
                None => self.entries.remove(&name),
            };
            return Err(error);
        }
        Ok(true)
    }

    /// Disables a unit. `false`: it was not enabled.
    pub(super) fn disable(&mut self, name: &UnitName) -> io::Result<bool> {
        let Some(before) = self.entries.remove(name) else {
            return Ok(false);
        };
        if let Err(error) = self.write() {
            self.entries.insert(name.clone(), before);
            return Err(error);
        }
        Ok(true)
    }

    fn write(&self) -> io::Result<()> {
        let path = |file: &Path| file.to_string_lossy().into_owned();
        let written = self.files().map(|(name, file)| (name, path(file)));
        lines::write(&self.path, written)
    }
}

fn is_one_line(path: &Path) -> bool {
    path.to_str()
        .is_some_and(|text| !text.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    fn name(text: &str) -> UnitName {
        UnitName::parse(text).unwrap()
    }

    #[test]
    fn what_was_enabled_is_read_back() {
        let folder = std::env::temp_dir().join(format!("enabled-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("enabled");
        let scales = || Scales::read(folder.join("scale"));
        let mut enabled = Enabled::read(path.clone(), scales());
        let group = Install {
            wanted_by: vec![name("all")].into(),
            alias: vec![name("www")].into(),
            ..Install::default()
        };
        let web = || PathBuf::from("/s/web.service");
        assert!(enabled.enable(name("web"), web(), group.clone()).unwrap());
        assert!(!enabled.enable(name("web"), web(), group).unwrap());
        let install = Install::default();
        let job = PathBuf::from("/s/job.service");
        assert!(enabled.enable(name("job"), job, install).unwrap());
        assert_eq!(enabled.asked()[&name("all")].wants, [&name("web")]);
        assert_eq!(enabled.alias(&name("www")), Some(&name("web")));
        assert!(enabled.starts_alone(&name("job")) && !enabled.starts_alone(&name("web")));

        let odd = PathBuf::from("/s/a\tb.service");
        assert!(
            enabled
                .enable(name("odd"), odd, Install::default())
                .is_err()
        );

        let mut again = Enabled::read(path.clone(), scales());
        let files: Vec<_> = again.files().map(|(name, _)| name.clone()).collect();
        assert_eq!(files, [name("job"), name("web")]);
        assert!(again.disable(&name("web")).unwrap());
        assert!(!again.disable(&name("web")).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "job\t/s/job.service\n");

        fs::write(&path, "nonsense\n\t/x\njob\trelative\nok\t/s/ok.service\n").unwrap();
        let files = Enabled::read(path, scales());
        assert_eq!(files.files().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
