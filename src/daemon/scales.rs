//! How many instances of a template there are to be, where `scale` has said so: the file `scale` in the home.
//!
//! Owns the file, one line a template: its name, a tab, a number. Like the list of enabled units it outlives the daemon
//! and the machine. What the template's own file says is `Instances=`, and counts where this file is silent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::sys::process::error_text;
use crate::unit::{INSTANCES_MAX, UnitName};

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
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    let reason = error_text(&error);
                    ::log::error!("cannot read {}: {reason}", path.display());
                }
                String::new()
            }
        };
        let mut counts = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            match entry(line) {
                Some((name, count)) => {
                    counts.insert(name, count);
                }
                None => ::log::warn!("{}:{number}: not a template and a number", path.display()),
            }
        }
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
        let mut text = String::new();
        for (name, count) in &counts {
            text.push_str(&format!("{name}\t{count}\n"));
        }
        replace(&self.path, &text)?;
        self.counts = counts;
        Ok(())
    }
}

fn entry(line: &str) -> Option<(UnitName, u32)> {
    let (name, count) = line.split_once('\t')?;
    let name = UnitName::parse(name).ok()?;
    let count = count.parse().ok()?;
    (name.is_template() && count <= INSTANCES_MAX).then_some((name, count))
}

/// Writes a file anew: whoever reads it finds the old text or the new one, also after the power failed.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // Whoever was told that it is written finds it so after the power failed: the new name is on the disk, too.
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

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
