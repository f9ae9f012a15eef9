//! What tells from outside that a service is ready or well: the forms of `ReadyWhen=` and of `Check=`.
//!
//! Owns their reading and their words. Making the looks is the shell's, and what follows from them the engine's.

use std::fmt;
use std::path::PathBuf;

use super::exec::one_command;
use super::form::Form;
use super::report::Fault;
use super::specifier::Scope;
use super::value::{Value, expand, fault, shorten, text};
use super::words::quote;
use super::{Exec, Readiness};

/// Bytes of a socket's path, `sun_path` of unix(7) less the final NUL.
const SOCKET_PATH_MAX: usize = 107;
/// Bytes of a text that is looked for in a log, or of a web page's path.
const TEXT_MAX: usize = 1_024;
/// The standard streams are not for telling anything, and few programs may have more than these.
const DESCRIPTORS: std::ops::RangeInclusive<u16> = 3..=1_023;
const HTTP_PORT: u16 = 80;
const ADDRESS_HINT: &str = "such as \"tcp:localhost:8080\" or \"tcp:[::1]:8080\"";
const LINK_HINT: &str = "such as \"http://localhost:8080/health\"";

/// A look from outside, which can be repeated at any time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Somebody takes TCP connections there.
    Tcp(Endpoint),
    /// Somebody listens at this socket: an absolute path, or a name after `@`.
    Unix(Box<str>),
    /// A web server answers with a status from 200 to 399.
    Http(Page),
    /// This command ends with exit code 0.
    Exec(Exec),
    /// There is a file of this absolute path, and it is not one that was there before the service was started.
    File(PathBuf),
}

/// Where a TCP server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A name, or an address without brackets.
    pub host: Box<str>,
    /// 1 to 65535.
    pub port: u16,
}

/// A web page, without encryption.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    pub endpoint: Endpoint,
    /// With the leading `/`, and the query.
    pub path: Box<str>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Probe {
    /// As the unit file has it, specifiers and variables apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(endpoint) => write!(f, "tcp:{endpoint}"),
            Self::Unix(place) => write!(f, "unix:{place}"),
            Self::Http(page) => write!(f, "http://{}{}", page.endpoint, page.path),
            Self::Exec(exec) => {
                write!(f, "exec:{}", quote(&exec.program))?;
                let mut words = exec.arguments.iter();
                words.try_for_each(|word| write!(f, " {}", quote(word)))
            }
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// Reads `ReadyWhen=`.
pub(super) fn ready_when(value: &Value, scope: &Scope) -> Result<Readiness, Fault> {
    let (form, rest) = parts(value)?;
    match form {
        "notify" if text(value)? == "notify" => Ok(Readiness::Notify),
        "fd" => descriptor(value, rest).map(Readiness::Descriptor),
        "log" => log_text(value, &expand(value, rest, scope)?).map(Readiness::Log),
        _ => {
            let probe = probe_of(Form::Ready, value, scope)?;
            Ok(Readiness::Probe(Box::new(probe)))
        }
    }
}

/// Reads `Check=`.
pub(super) fn check(value: &Value, scope: &Scope) -> Result<Probe, Fault> {
    probe_of(Form::Check, value, scope)
}

fn parts(value: &Value) -> Result<(&str, &str), Fault> {
    let text = text(value)?;
    Ok(text.split_once(':').unwrap_or((text, "")))
}

fn probe_of(form: Form, value: &Value, scope: &Scope) -> Result<Probe, Fault> {
    let (kind, rest) = parts(value)?;
    let rest = || expand(value, rest, scope);
    match kind {
        "tcp" => endpoint(value, &rest()?, Wanted::Address).map(Probe::Tcp),
        "unix" => socket(value, &rest()?).map(Probe::Unix),
        "http" => page(value, &rest()?).map(Probe::Http),
        "exec" => one_command(value, parts(value)?.1, scope).map(Probe::Exec),
        "file" => super::value::absolute(value, parts(value)?.1, scope).map(Probe::File),
        _ => {
            let message = format!("`{}` is no such check", shorten(text(value)?));
            let hint = match kind {
                "https" => "encrypted pages are for a command: \"exec:curl -fsS URL\"".to_owned(),
                _ => format!("expected {}", form.describe()),
            };
            Err(fault(value, message).hint(hint))
        }
    }
}

fn descriptor(value: &Value, number: &str) -> Result<u16, Fault> {
    let number = number.parse().ok().filter(|fd| DESCRIPTORS.contains(fd));
    let wrong = || {
        let fault = fault(value, "expected the number of a descriptor, 3 to 1023");
        fault.hint("\"fd:3\"")
    };
    number.ok_or_else(wrong)
}

fn log_text(value: &Value, text: &str) -> Result<Box<str>, Fault> {
    if text.is_empty() || text.len() > TEXT_MAX || text.contains('\n') {
        let message = format!("expected a part of a line, of 1 to {TEXT_MAX} bytes");
        return Err(fault(value, message));
    }
    Ok(text.into())
}

/// What an endpoint is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Address,
    /// Without a port it is the usual one.
    Link,
}

/// `HOST:PORT` or `[ADDRESS]:PORT`; without a port only where there is a usual one.
fn endpoint(value: &Value, text: &str, wanted: Wanted) -> Result<Endpoint, Fault> {
    let (usual, form, hint) = match wanted {
        Wanted::Address => (None, "HOST:PORT", ADDRESS_HINT),
        Wanted::Link => (Some(HTTP_PORT), "HOST or HOST:PORT", LINK_HINT),
    };
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (text, usual),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_name = |host: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        !host.is_empty() && host.chars().all(plain)
    };
    let is_right = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    match port.filter(|port| *port > 0 && is_right) {
        Some(port) => Ok(Endpoint {
            host: bare.unwrap_or(host).into(),
            port,
        }),
        None => {
            let message = format!("`{}` is not {form}", shorten(text));
            Err(fault(value, message).hint(hint))
        }
    }
}

fn socket(value: &Value, place: &str) -> Result<Box<str>, Fault> {
    let is_right = place.starts_with('/') || place.len() > 1 && place.starts_with('@');
    if !is_right || place.len() > SOCKET_PATH_MAX || place.contains('\0') {
        let message = format!("`{}` cannot be a socket's place", shorten(place));
        let hint = format!("an absolute path, or a name after @, of {SOCKET_PATH_MAX} bytes");
        return Err(fault(value, message).hint(hint));
    }
    Ok(place.into())
}

/// What follows `http:`, be it the rest of the link or a whole one.
fn page(value: &Value, text: &str) -> Result<Page, Fault> {
    let rest = text.strip_prefix("http:").unwrap_or(text);
    let link = rest.strip_prefix("//").filter(|link| {
        let plain = |b: u8| b.is_ascii_graphic();
        link.len() <= TEXT_MAX && link.bytes().all(plain) && !link.contains('#')
    });
    let Some(link) = link else {
        let message = format!("`{}` is not a page's link", shorten(text));
        return Err(fault(value, message).hint(LINK_HINT));
    };
    let at = link.find(['/', '?']).unwrap_or(link.len());
    let (authority, path) = link.split_at(at);
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(Page {
        endpoint: endpoint(value, authority, Wanted::Link)?,
        path: format!("{slash}{path}").into(),
    })
}
