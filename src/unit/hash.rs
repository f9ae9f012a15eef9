//! The hashes of a unit: of its files, whether those on disk still are the ones that were read; and of all that it
//! says, by which one definition is told from another.
//!
//! Owns the hash (FNV-1a, 64 bits); which files belong to a unit is `search.rs`. It tells change, not intent: a
//! file made to collide on purpose would only hide a change from its own author.

use std::hash::{Hash, Hasher};

use super::report::Source;
use super::{Unit, UnitName};

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The hash of the file of this unit and its drop-ins, in order. How many instances a template has is nothing to one
/// of them.
pub(super) fn of_sources(sources: &[Source], name: &UnitName) -> u64 {
    let is_instance = !name.is_template() && name.template().is_some();
    sources.iter().fold(OFFSET, |hash, source| {
        let lines = source.text.split_inclusive('\n');
        let counting = lines.filter(|line| !is_instance || !is_count(line));
        let hash = counting.fold(hash, |hash, line| add(hash, line.as_bytes()));
        // No UTF-8 holds this byte, so that bytes moved from one file to the next make a difference.
        step(hash, 0xff)
    })
}

/// Whether the line gives `Instances=`, as it is commonly written.
fn is_count(line: &str) -> bool {
    let rest = line.trim_start().strip_prefix("Instances");
    rest.is_some_and(|rest| rest.trim_start().starts_with('='))
}

impl Unit {
    /// A number for all that the definition says: the same for equal definitions, as long as one program computes it.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = Fnv(OFFSET);
        self.hash(&mut hasher);
        hasher.finish()
    }
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = add(self.0, bytes);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn add(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| step(hash, *byte))
}

fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(PRIME)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn it_is_fnv_1a() {
        assert_eq!(add(OFFSET, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(add(OFFSET, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(add(OFFSET, b"foobar"), 0x8594_4171_f739_67e8);
    }

    fn hash_of(name: &str, texts: &[&str]) -> u64 {
        let sources: Vec<Source> = texts
            .iter()
            .map(|text| Source {
                path: "/u/a".into(),
                text: (*text).to_owned(),
            })
            .collect();
        of_sources(&sources, &UnitName::parse(name).unwrap())
    }

    #[test]
    fn the_number_of_instances_is_nothing_to_one_of_them() {
        let texts = ["a\nInstances = 2\nb", "a\nInstances=3\nb", "a\nb"];
        let [two, three, none] = texts.map(|text| hash_of("worker@1", &[text]));
        assert!(two == three && three == none);
        let [two, three, none] = texts.map(|text| hash_of("worker@", &[text]));
        assert!(two != three && three != none);
        assert_ne!(
            hash_of("worker@1", &["Nice = 1"]),
            hash_of("worker@1", &["Nice = 2"])
        );
    }

    #[test]
    fn where_bytes_stand_counts() {
        let hash = |texts: &[&str]| hash_of("web", texts);
        assert_ne!(hash(&["ab"]), hash(&["a", "b"]));
        assert_ne!(hash(&["ab"]), hash(&["ab", ""]));
        assert_eq!(hash(&["a", "b"]), hash(&["a", "b"]));
    }
}
