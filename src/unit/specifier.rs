//! Specifiers: `%n`, `%i`, `%h` and the other of systemd.unit(5) that units use here.
//!
//! Owns which there are and what each becomes, from plain facts that the caller gives. Which keys are expanded is
//! decided where those keys are read.

use std::fmt;
use std::path::{Path, PathBuf};

use super::UnitName;
use super::name::ENDING;

/// What specifiers need to know of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// `%u`: the name of the user the daemon runs as.
    pub user: String,
    /// `%U`
    pub uid: u32,
    /// `%h`: that user's home.
    pub home: PathBuf,
    /// `%H`
    pub host: String,
    /// `%t`: where services put what lasts as long as they run. A relative `PIDFile=` starts here.
    pub runtime: PathBuf,
    /// `%S`
    pub state: PathBuf,
    /// `%L`
    pub logs: PathBuf,
    /// `%C`
    pub cache: PathBuf,
    /// `%E`
    pub configuration: PathBuf,
}

#[cfg(test)]
impl Context {
    /// Where tests read their units.
    pub(crate) fn example() -> Self {
        Self {
            user: "ada".into(),
            uid: 1000,
            home: "/home/ada".into(),
            host: "engine".into(),
            runtime: "/run/user/1000".into(),
            state: "/home/ada/state".into(),
            logs: "/home/ada/logs".into(),
            cache: "/home/ada/cache".into(),
            configuration: "/home/ada/etc".into(),
        }
    }
}

/// What `%i` stands for in a template that is read as itself.
const SAMPLE: &str = "1";

/// One unit in its context: all that a specifier can stand for.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) context: &'a Context,
    pub(super) name: &'a UnitName,
    /// The unit's file, absolute.
    pub(super) path: &'a Path,
}

/// Why a text cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SpecifierError {
    Unknown(char),
    /// A `%` at the very end.
    Unfinished,
    /// It stands for a path that is not UTF-8.
    Utf8(char),
}

impl fmt::Display for SpecifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(c) => write!(f, "`%{}` is not a specifier", c.escape_debug()),
            Self::Unfinished => f.write_str("a lone `%` at the end"),
            Self::Utf8(c) => write!(f, "`%{c}` stands for a path that is not UTF-8"),
        }
    }
}

impl Scope<'_> {
    /// Replaces every specifier; `%%` is a per cent sign.
    pub(super) fn expand(&self, text: &str) -> Result<String, SpecifierError> {
        let mut result = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c == '%' {
                self.push(chars.next().ok_or(SpecifierError::Unfinished)?, &mut result)?;
            } else {
                result.push(c);
            }
        }
        Ok(result)
    }

    fn push(&self, specifier: char, result: &mut String) -> Result<(), SpecifierError> {
        let (name, context) = (self.name, self.context);
        let path = match specifier {
            't' => &*context.runtime,
            'S' => &*context.state,
            'L' => &*context.logs,
            'C' => &*context.cache,
            'E' => &*context.configuration,
            'h' => &*context.home,
            'y' => self.path,
            'Y' => self.folder(),
            'U' => {
                result.push_str(&context.uid.to_string());
                return Ok(());
            }
            'I' | 'J' | 'P' => {
                let escaped = match specifier {
                    'I' => self.instance().unwrap_or_default(),
                    'J' => last_part(name.prefix()),
                    _ => name.prefix(),
                };
                unescape(escaped, result);
                return Ok(());
            }
            'f' => {
                let escaped = self.instance().unwrap_or(name.prefix());
                let start = result.len();
                result.push('/');
                unescape(escaped, result);
                if result[start..].starts_with("//") {
                    result.remove(start);
                }
                return Ok(());
            }
            'n' => {
                result.push_str(name.as_str());
                result.push_str(ENDING);
                return Ok(());
            }
            _ => {
                result.push_str(match specifier {
                    'N' => name.as_str(),
                    'p' => name.prefix(),
                    'i' => self.instance().unwrap_or_default(),
                    'u' => &context.user,
                    'j' => last_part(name.prefix()),
                    'H' => &context.host,
                    'l' => context.host.split('.').next().unwrap_or_default(),
                    'T' => "/tmp",
                    'V' => "/var/tmp",
                    '%' => "%",
                    other => return Err(SpecifierError::Unknown(other)),
                });
                return Ok(());
            }
        };
        result.push_str(path.to_str().ok_or(SpecifierError::Utf8(specifier))?);
        Ok(())
    }

    /// A template is read as its first instance would be: what is right only with a name in it can be judged then.
    fn instance(&self) -> Option<&str> {
        let sample = || self.name.is_template().then_some(SAMPLE);
        self.name.instance().or_else(sample)
    }

    /// The folder of the unit's file.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(self.path)
    }
}

/// What stands behind the last dash: `%j`.
fn last_part(prefix: &str) -> &str {
    prefix.rsplit('-').next().unwrap_or(prefix)
}

/// Undoes systemd-escape(1): `-` is `/`, `\x2d` a byte. What is no such escape stays as it is.
fn unescape(text: &str, result: &mut String) {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'\\')
            .then(|| after.strip_prefix(b"x"))
            .flatten()
            .and_then(|digits| digits.get(..2))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|value| *value != 0);
        match escaped {
            Some(value) => {
                bytes.push(value);
                rest = &after[3..];
            }
            None => {
                bytes.push(if byte == b'-' { b'/' } else { byte });
                rest = after;
            }
        }
    }
    result.push_str(&String::from_utf8_lossy(&bytes));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn expand(name: &str, text: &str) -> Result<String, SpecifierError> {
        let context = Context::example();
        Scope {
            context: &context,
            name: &UnitName::parse(name).unwrap(),
            path: Path::new("/srv/units/x.service"),
        }
        .expand(text)
    }

    #[test]
    fn each_specifier_has_its_meaning() {
        for (text, expected) in [
            (
                "%n %N %p",
                r"worker@a-b\x2dc.service worker@a-b\x2dc worker",
            ),
            ("%i %I", r"a-b\x2dc a/b-c"),
            ("%u %U %h %H", "ada 1000 /home/ada engine"),
            ("%t %S %L", "/run/user/1000 /home/ada/state /home/ada/logs"),
            ("%C %E", "/home/ada/cache /home/ada/etc"),
            ("%y %Y", "/srv/units/x.service /srv/units"),
            ("100%% é", "100% é"),
            ("%f %T %V %l", "/a/b-c /tmp /var/tmp engine"),
        ] {
            assert_eq!(expand(r"worker@a-b\x2dc", text).as_deref(), Ok(expected));
        }
        assert_eq!(
            expand(r"a-b\x2dc", "%j %J %P %f").as_deref(),
            Ok(r"b\x2dc b-c a/b-c /a/b-c")
        );
        assert_eq!(expand("web", "%p.%i.%I.").as_deref(), Ok("web..."));
        assert_eq!(expand("web@", "%p.%i%f").as_deref(), Ok("web.1/1"));
        assert_eq!(expand(r"a@\xzz\x", "%I").as_deref(), Ok(r"\xzz\x"));
    }

    #[test]
    fn unknown_specifiers_are_refused() {
        assert_eq!(expand("a", "%s"), Err(SpecifierError::Unknown('s')));
        assert_eq!(expand("a", "50%"), Err(SpecifierError::Unfinished));
        assert_eq!(expand("a", "%%%"), Err(SpecifierError::Unfinished));
    }
}
