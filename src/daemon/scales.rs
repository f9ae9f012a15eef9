//! How many instances of a template there are to be, where `scale` has said so: the file `scale` in the home.
//!
//! Owns what the file says, one line a template: its name, a tab, a number. Like the list of enabled units it outlives
//! the daemon and the machine. What the template's own file says is `Instances=`, and counts where this file is silent.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use crate::unit::{INSTANCES_MAX, UnitName};

use super::lines;

/// The file as it was read, and as it is written.
#[derive(Debug)]
pub struct Scales {
    path: PathBuf,
    counts: BTreeMap<UnitName, u32>,
}

impl Scales {
    /// Reads the file; one that is missing says nothing, a line that makes no sense is logged and left out.
    #[must_use]
    pub fn read(path: PathBuf) -> Self {
        let counts = lines::read(&path, "a template and a number", |name, text| {
            let count = text.parse().ok()?;
            (name.is_template() && count <= INSTANCES_MAX).then_some(count)
        });
        Self { path, counts }
    }

    /// How many instances a template is scaled to, if it is.
    #[must_use]
    pub fn count(&self, template: &UnitName) -> Option<u32> {
        self.counts.get(template).copied()
    }

    /// Scales a template; with no number its file counts again. On an error nothing has changed.
    pub(super) fn set(&mut self, template: &UnitName, count: Option<u32>) -> io::Result<()> {
        if self.count(template) == count {
            return Ok(());
        }
        let mut counts = self.counts.clone();
        match count {
            Some(count) => counts.insert(template.clone(), count),
            None => counts.remove(template),
        };
        let written = counts.iter();
        lines::write(
            &self.path,
            written.map(|(name, count)| (name, count.to_string())),
        )?;
        self.counts = counts;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    #[test]
    fn what_was_scaled_is_read_back() {
        let name = |text: &str| UnitName::parse(text).unwrap();
        let folder = std::env::temp_dir().join(format!("scales-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("scale");
        let mut scales = Scales::read(path.clone());
        scales.set(&name("worker@"), Some(3)).unwrap();
        scales.set(&name("job@"), Some(0)).unwrap();
        scales.set(&name("worker@"), Some(4)).unwrap();
        let mut again = Scales::read(path.clone());
        assert_eq!(again.count(&name("worker@")), Some(4));
        assert_eq!(again.count(&name("job@")), Some(0));
        again.set(&name("job@"), None).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "worker@\t4\n");

        fs::write(
            &path,
            "x\nworker@\t1001\nworker@1\t2\nweb\t2\n@\t1\nok@\t2\n",
        )
        .unwrap();
        let scales = Scales::read(path);
        assert_eq!(scales.counts, BTreeMap::from([(name("ok@"), 2)]));
        fs::remove_dir_all(&folder).unwrap();
    }
}
