//! One line about each key, for `schema` and whoever else has to explain them. What a key takes is `form.rs`'s.

use super::Key;

/// Sections and keys as in the table of keys, each key with its line: `Key: what it is for`.
static HELP: &str = include_str!("help.txt");

impl Key {
    /// What it is for: part of a sentence, without a full stop.
    #[must_use]
    pub fn help(&self) -> &'static str {
        let mut lines =
            lines().filter(|(section, name, _)| *section == self.section && *name == self.name);
        lines.next().map_or("", |(_, _, help)| help)
    }
}

/// Section, key and line.
fn lines() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let mut section = "";
    HELP.lines().filter_map(move |line| {
        let title = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'));
        if let Some(title) = title {
            section = title;
        }
        let (name, help) = line.split_once(": ")?;
        Some((section, name, help))
    })
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    #[test]
    fn every_key_is_explained_and_nothing_else() {
        for key in keys() {
            let help = key.help();
            assert!(!help.is_empty(), "{} in [{}]", key.name, key.section);
            assert!(!help.ends_with('.') && help.len() <= 110, "{help}");
        }
        for (section, name, _) in lines() {
            let is_it = |key: &Key| key.section == section && key.name == name;
            assert!(keys().iter().any(is_it), "{name} in [{section}]");
        }
        assert_eq!(lines().count(), keys().len());
    }
}
