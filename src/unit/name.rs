//! A unit's name: one file-name component, without the ending `.service`.
//!
//! Owns which names are valid (systemd.unit(5)) and how a name divides into prefix and instance. Where a name's
//! file lies is `search.rs`; patterns over names are `glob.rs`.

use std::cmp::Ordering;
use std::fmt;

/// The ending of every unit file; users may write it or leave it out.
pub(super) const ENDING: &str = ".service";
/// The most instances that a template can have by number.
pub const INSTANCES_MAX: u32 = 1_000;
/// The longest name with its ending, in bytes: what a file name may have.
const MAX_LENGTH: usize = 255;

/// The longest name that is kept in place, in bytes: most names are no longer, and a graph names each unit many times.
const SHORT: usize = 22;

/// A valid unit name such as `web`, `worker@1` or (a template) `worker@`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UnitName(Text);

/// Every text has one form only, so that equal names are equal in all their bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Text {
    /// At most [`SHORT`] bytes; behind them zeros.
    Short {
        length: u8,
        bytes: [u8; SHORT],
    },
    Long(Box<str>),
}

impl Text {
    fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(text.as_bytes());
                Self::Short { length, bytes }
            }
            _ => Self::Long(text.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(text) => text.as_bytes(),
        }
    }
}

impl Ord for UnitName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.bytes().cmp(other.0.bytes())
    }
}

impl PartialOrd for UnitName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl UnitName {
    /// Reads a name with or without `.service`.
    ///
    /// # Errors
    /// What is wrong with it, by the rules of systemd.unit(5): letters, digits and `:-_.\@`, at most 255 bytes
    /// with the ending, one path component, no dot in front.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = text.strip_suffix(ENDING).unwrap_or(text);
        let fault = if name.is_empty() {
            Some(Fault::Empty)
        } else if name.len() + ENDING.len() > MAX_LENGTH {
            Some(Fault::Long)
        } else if name.starts_with('.') {
            Some(Fault::Dot)
        } else if name.starts_with('@') {
            Some(Fault::Prefix)
        } else {
            name.chars().find(|c| !is_allowed(*c)).map(Fault::Character)
        };
        match fault {
            None => Ok(Self(Text::new(name))),
            Some(fault) => Err(NameError {
                name: text.chars().take(MAX_LENGTH).collect(),
                fault,
            }),
        }
    }

    /// The name as written, without `.service`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // What was parsed is ASCII.
            Text::Short { .. } => std::str::from_utf8(self.0.bytes()).unwrap_or_default(),
            Text::Long(text) => text,
        }
    }

    /// What stands before the first `@`; the whole name where there is none.
    #[must_use]
    pub fn prefix(&self) -> &str {
        let name = self.as_str();
        name.split_once('@').map_or(name, |(prefix, _)| prefix)
    }

    /// What stands after the first `@`: `Some("1")` for `worker@1`, nothing for a template or a plain name.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        let (_, instance) = self.as_str().split_once('@')?;
        (!instance.is_empty()).then_some(instance)
    }

    /// Whether this is a template, such as `worker@`: it can be read, not started.
    #[must_use]
    pub fn is_template(&self) -> bool {
        let parts = self.as_str().split_once('@');
        parts.is_some_and(|(_, rest)| rest.is_empty())
    }

    /// The template of an instance: `worker@` for `worker@1`.
    #[must_use]
    pub fn template(&self) -> Option<Self> {
        self.instance()?;
        Some(Self(Text::new(&format!("{}@", self.prefix()))))
    }

    /// An instance of this template by its number: `worker@3` for `worker@` and 3. Nothing for what is no template, or
    /// where the name would be too long.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Option<Self> {
        let name = self.is_template().then(|| format!("{self}{number}"))?;
        Self::parse(&name).ok()
    }

    /// The number of an instance: 3 for `worker@3`; from 1 to [`INSTANCES_MAX`]. Nothing for any other name:
    /// `worker@03` is an instance, and not the third one.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        let instance = self.instance()?;
        let digits = instance.bytes().all(|byte| byte.is_ascii_digit());
        let number = instance.parse().ok().filter(|_| digits)?;
        let is_plain = !instance.starts_with('0');
        (is_plain && (1..=INSTANCES_MAX).contains(&number)).then_some(number)
    }

    /// The order for people: as the names have it, but the instances of a template by their numbers.
    #[must_use]
    pub fn by_number(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }

    /// What [`UnitName::by_number`] compares: a prefix's own unit, its template, its numbered instances, the others.
    fn order(&self) -> (&str, bool, bool, Option<u32>, &str) {
        let number = self.number();
        let is_instance = self.instance().is_some();
        (
            self.prefix(),
            is_instance,
            number.is_none(),
            number,
            self.as_str(),
        )
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@')
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no unit name, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    name: String,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Empty,
    Long,
    Dot,
    Prefix,
    Character(char),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.escape_debug();
        write!(f, "`{name}` is not a unit name: ")?;
        match self.fault {
            Fault::Empty => f.write_str("it is empty"),
            Fault::Long => write!(f, "with {ENDING} it is longer than {MAX_LENGTH} bytes"),
            Fault::Dot => f.write_str("it begins with a dot"),
            Fault::Prefix => f.write_str("nothing stands before the `@`"),
            Fault::Character('/') => f.write_str("it holds a `/`"),
            Fault::Character(c) => {
                let c = c.escape_debug();
                write!(f, "`{c}` is none of letters, digits and :-_.\\@")
            }
        }
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_ending_is_stripped_once() {
        assert_eq!(UnitName::parse("web").unwrap().as_str(), "web");
        assert_eq!(UnitName::parse("web.service").unwrap().as_str(), "web");
        let twice = UnitName::parse("web.service.service").unwrap();
        assert_eq!(twice.as_str(), "web.service");
    }

    #[test]
    fn bad_names_are_refused_with_the_reason() {
        for (bad, reason) in [
            ("", "it is empty"),
            (".service", "it is empty"),
            (".hidden", "begins with a dot"),
            ("..", "begins with a dot"),
            ("/etc", "holds a `/`"),
            ("a/b", "holds a `/`"),
            ("@1", "before the `@`"),
            ("a b", "` ` is none of"),
            ("a\0", "`\\0` is none of"),
            ("wéb", "`é` is none of"),
        ] {
            let error = UnitName::parse(bad).unwrap_err().to_string();
            assert!(error.contains(reason), "{bad:?}: {error}");
        }
        assert!(UnitName::parse(&"x".repeat(247)).is_ok());
        assert!(UnitName::parse(&"x".repeat(248)).is_err());
        assert!(UnitName::parse(&format!("{}.service", "x".repeat(247))).is_ok());
    }

    #[test]
    fn a_name_is_the_same_however_long() {
        let mut names: Vec<String> = (1..=2 * SHORT).map(|length| "n".repeat(length)).collect();
        names.extend((1..=2 * SHORT).map(|length| "N".repeat(length) + "@x"));
        let parsed = |name: &String| UnitName::parse(name).unwrap();
        for name in &names {
            assert_eq!(parsed(name).as_str(), name);
        }
        let mut sorted: Vec<UnitName> = names.iter().map(parsed).collect();
        sorted.sort();
        names.sort();
        let sorted: Vec<&str> = sorted.iter().map(UnitName::as_str).collect();
        assert_eq!(sorted, names);
        assert!(size_of::<UnitName>() <= 24);
    }

    #[test]
    fn a_name_divides_at_the_first_at_sign() {
        let plain = UnitName::parse("web").unwrap();
        assert_eq!((plain.prefix(), plain.instance()), ("web", None));
        assert!(!plain.is_template() && plain.template().is_none());

        let template = UnitName::parse("worker@.service").unwrap();
        assert_eq!((template.prefix(), template.instance()), ("worker", None));
        assert!(template.is_template() && template.template().is_none());

        let instance = UnitName::parse("worker@a@b").unwrap();
        assert_eq!(
            (instance.prefix(), instance.instance()),
            ("worker", Some("a@b"))
        );
        assert_eq!(instance.template(), Some(template));
    }

    #[test]
    fn instances_are_counted_from_one() {
        let name = |text: &str| UnitName::parse(text).unwrap();
        assert_eq!(name("worker@").numbered(3), Some(name("worker@3")));
        assert_eq!(name("worker").numbered(3), None);
        assert_eq!(name("worker@1").numbered(3), None);
        assert_eq!(name("worker@12").number(), Some(12));
        assert_eq!(name("worker@1000").number(), Some(1_000));
        for other in ["0", "01", "1001", "99999999999", "a", "1a", "1@2", ""] {
            assert_eq!(name(&format!("worker@{other}")).number(), None, "{other}");
        }
        let mut names = ["x@10", "w@9", "x@2", "x@b", "x", "x@1"].map(name);
        names.sort_by(UnitName::by_number);
        let sorted: Vec<&str> = names.iter().map(UnitName::as_str).collect();
        assert_eq!(sorted, ["w@9", "x", "x@1", "x@2", "x@10", "x@b"]);
    }
}
