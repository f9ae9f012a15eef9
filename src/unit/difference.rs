//! A unit as the keys that it comes to, and how two definitions of it differ, key by key.
//!
//! Owns this comparison and its words; the values are those that `print.rs` writes, so that whatever is saved is also
//! compared.

use std::collections::BTreeMap;
use std::fmt;

use super::keys::{self, Key};
use super::print::{string, to_toml};
use super::{Unhonoured, Unit};

/// A list in which more than this many items have come or gone is shown as it was and as it is.
const MAX_ITEMS: usize = 20;

/// A key that one of two definitions has otherwise than the other.
#[derive(Clone, Debug)]
pub struct Difference {
    pub key: &'static Key,
    /// As TOML writes it; `None`: it says nothing of it.
    pub old: Option<String>,
    pub new: Option<String>,
}

/// What a unit comes to: each key that it says something of or that has a default of its own, in the order of the
/// manual, with its value as TOML writes it. Such a value is JSON, too.
#[must_use]
pub fn properties(unit: &Unit) -> Vec<(&'static Key, String)> {
    let mut found: BTreeMap<usize, String> = BTreeMap::new();
    let mut section = "";
    let page = to_toml(&filled(unit));
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(" = ") {
            Some((key, value)) => {
                if let Some(place) = place(section, key) {
                    found.insert(place, value.to_owned());
                }
            }
            None => section = line.trim_matches(['[', ']']),
        }
    }
    for key in &unit.unhonoured {
        if let Some(place) = place(key.section, key.key) {
            found.insert(place, unhonoured(key));
        }
    }
    let known = found.into_iter();
    known
        .filter_map(|(place, value)| Some((keys::keys().get(place)?, value)))
        .collect()
}

/// The same with what a unit does not keep in memory where all of it is the default.
fn filled(unit: &Unit) -> Unit {
    let mut unit = unit.clone();
    if let Some(service) = &mut unit.service {
        service.oversight.get_or_insert_default();
    }
    unit
}

fn place(section: &str, key: &str) -> Option<usize> {
    let mut all = keys::keys().iter();
    all.position(|known| known.section == section && known.name == key)
}

/// What this version does not act on has no value of its own.
fn unhonoured(key: &Unhonoured) -> String {
    string(key.value.as_deref().unwrap_or("not acted on"))
}

/// What differs, in the order of the manual.
#[must_use]
pub fn differences(old: &Unit, new: &Unit) -> Vec<Difference> {
    let is_kind_changed = old.service.is_some() != new.service.is_some();
    let mut both: BTreeMap<usize, (Option<String>, Option<String>)> = BTreeMap::new();
    for (key, value) in properties(old) {
        if let Some(place) = place(key.section, key.name) {
            both.entry(place).or_default().0 = Some(value);
        }
    }
    for (key, value) in properties(new) {
        if let Some(place) = place(key.section, key.name) {
            both.entry(place).or_default().1 = Some(value);
        }
    }
    let unlike = both.into_iter().filter(|(_, (old, new))| old != new);
    unlike
        .filter_map(|(place, (old, new))| {
            let key = keys::keys().get(place)?;
            // A service that becomes a group, or the other way round, has nothing to say of its defaults.
            let is_default = |value: &String| key.default.starts_with(&plain(value));
            let one = old.as_ref().xor(new.as_ref());
            let says_nothing = is_kind_changed && one.is_some_and(is_default);
            (!says_nothing).then_some(Difference { key, old, new })
        })
        .collect()
}

impl fmt::Display for Difference {
    /// `Restart: no → always`; of lists only what has come and gone: `After: + disk, - cache`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.key.name)?;
        let lists = (self.old.as_deref(), self.new.as_deref());
        if let (Some(old), Some(new)) = (list(lists.0), list(lists.1)) {
            let gone = old.iter().filter(|item| !new.contains(item));
            let come = new.iter().filter(|item| !old.contains(item));
            let mut texts: Vec<String> = come.map(|item| format!("+ {}", plain(item))).collect();
            texts.extend(gone.map(|item| format!("- {}", plain(item))));
            if (1..=MAX_ITEMS).contains(&texts.len()) {
                return f.write_str(&texts.join(", "));
            }
        }
        let text = |value: &Option<String>| match value {
            Some(value) if value == "\"\"" => "nothing".to_owned(),
            Some(value) => plain(value),
            None if self.key.default.is_empty() => "nothing".to_owned(),
            None => format!("the default, {}", self.key.default),
        };
        write!(f, "{} → {}", text(&self.old), text(&self.new))
    }
}

/// The items of a list that is written in TOML; nothing said is none, and what is no list has none either.
fn list(value: Option<&str>) -> Option<Vec<&str>> {
    let Some(value) = value else {
        return Some(Vec::new());
    };
    let inner = value.strip_prefix('[')?.strip_suffix(']')?;
    let mut items = Vec::new();
    let (mut begin, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                items.push(inner[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    let last = inner[begin..].trim();
    if !last.is_empty() {
        items.push(last);
    }
    Some(items)
}

/// A value for readers: one string loses its quotes; what could not stand in a line stays escaped.
#[must_use]
pub fn plain(value: &str) -> String {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some("") | None => value.to_owned(),
        Some(inner) => {
            let mut text = String::with_capacity(inner.len());
            let mut characters = inner.chars();
            while let Some(c) = characters.next() {
                match (c, characters.clone().next()) {
                    ('\\', Some(next @ ('"' | '\\'))) => {
                        text.push(next);
                        characters.next();
                    }
                    _ => text.push(c),
                }
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::super::tests::{context, name};
    use super::super::{parse, same_meaning};
    use super::*;

    fn unit(text: &str) -> Unit {
        let path = Path::new("/u/web.service");
        parse(text, path, &name("web"), &context()).unwrap()
    }

    fn texts(old: &str, new: &str) -> Vec<String> {
        let found = differences(&unit(old), &unit(new));
        found.iter().map(ToString::to_string).collect()
    }

    const OLD: &str = "[unit]\nAfter = [\"a\", \"b\"]\n[service]\nExecStart = '/bin/x \"a b\"'\n";

    #[test]
    fn each_key_that_differs_is_named_once_with_both_values() {
        let new = "[unit]\nAfter = [\"b\", \"c\"]\nRequires = \"c\"\n[service]\nExecStart = '/bin/y'\n\
                   RestartSec = 5\nRestart = 'always'\nEnvironment = ['A=1, 2', 'B=\"q\"']\n";
        assert_eq!(
            texts(OLD, new),
            [
                "Requires: + c",
                "After: + c, - a",
                "ExecStart: /bin/x \"a b\" → /bin/y",
                "Restart: no → always",
                "RestartSec: the default, 100ms, doubling up to 60s → 5s",
                "Environment: + A=1, 2, + B=\"q\"",
            ]
        );
    }

    #[test]
    fn what_says_the_same_does_not_differ() {
        let spaced = OLD.replace('\n', "\n# hm\n");
        assert!(texts(OLD, &spaced).is_empty());
        assert!(same_meaning(&unit(OLD), &unit(&spaced)));
    }

    #[test]
    fn a_list_in_another_order_is_shown_whole() {
        let new = OLD.replace("\"a\", \"b\"", "\"b\", \"a\"");
        assert_eq!(texts(OLD, &new), ["After: [\"a\", \"b\"] → [\"b\", \"a\"]"]);
    }

    #[test]
    fn an_empty_text_is_nothing() {
        let described = OLD.replace("[unit]", "[unit]\nDescription = \"x\"");
        assert_eq!(texts(OLD, &described), ["Description: nothing → x"]);
        assert_eq!(texts(&described, OLD), ["Description: x → nothing"]);
    }

    #[test]
    fn a_group_is_no_service() {
        let found = texts(OLD, "[unit]\nAfter = [\"a\", \"b\"]\n");
        assert!(
            found
                .iter()
                .any(|text| text == "ExecStart: /bin/x \"a b\" → nothing")
        );
        assert!(found.len() < 8, "{found:?}");
    }

    #[test]
    fn every_value_is_of_the_table() {
        let properties = properties(&unit(OLD));
        let names: Vec<&str> = properties.iter().map(|(key, _)| key.name).collect();
        for key in ["After", "Type", "ExecStart", "TimeoutStopSec", "LogMaxSize"] {
            assert!(names.contains(&key), "{names:?}");
        }
    }
}
