//! The room as a whole: files read, refused, found, printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod files;
mod reading;
mod services;

use std::path::Path;

use super::*;

pub(super) fn context() -> Context {
    Context::example()
}

pub(super) fn name(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}

pub(super) fn try_read(unit: &str, text: &str) -> Result<Unit, String> {
    let path = Path::new("/srv/units").join(format!("{unit}.service"));
    parse(text, &path, &name(unit), &context()).map_err(|report| report.to_string())
}

pub(super) fn read(text: &str) -> Unit {
    try_read("web", text).unwrap_or_else(|report| panic!("{report}"))
}

/// Reads a file whose `[service]` holds these lines.
pub(super) fn service(lines: &str) -> Service {
    *read(&format!("[service]\n{lines}\n")).service.unwrap()
}

/// What is wrong with a `[service]` that holds these lines.
pub(super) fn refusal(lines: &str) -> String {
    try_read("web", &format!("[service]\n{lines}\n")).expect_err(lines)
}
