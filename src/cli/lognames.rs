//! Whose logs are meant.
//!
//! Owns what a name, a pattern and a template stand for, now and for services that come later.

use super::args::Given;
use super::commands::checked_names;
use super::exit::Failure;
use super::newcomers::with_log;
use super::place::Place;
use super::units::no_such_unit;
use crate::unit::{UnitName, glob};

/// Of a template: what its instances have said.
fn wide(name: &str) -> String {
    match name.ends_with('@') {
        true => format!("{name}?*"),
        false => name.to_owned(),
    }
}

/// What a service has to be called to be followed as soon as it has a log.
pub(super) fn patterns(given: &Given) -> Vec<String> {
    if given.arguments.is_empty() {
        return vec!["*".to_owned()];
    }
    let names = checked_names(&given.arguments).unwrap_or_default();
    let wide = names.iter().map(|name| wide(name));
    wide.filter(|name| glob::is_pattern(name)).collect()
}

/// The services whose logs are meant, in the order asked.
pub(super) fn named(given: &Given, place: &Place) -> Result<Vec<String>, Failure> {
    let with_log = with_log(&place.home.logs());
    if given.arguments.is_empty() {
        return Ok(with_log);
    }
    let mut names: Vec<String> = Vec::new();
    for name in checked_names(&given.arguments)? {
        let mut meant = vec![name.clone()];
        let name = wide(&name);
        if glob::is_pattern(&name) {
            let matching = with_log.iter().filter(|known| glob::matches(&name, known));
            meant = matching.cloned().collect();
            let template = name.strip_suffix("?*").filter(|name| name.ends_with('@'));
            let is_there = match template {
                Some(template) => has_file(place, template),
                // Whoever follows waits for what is to come.
                None => given.flag("--follow") || is_of_a_file(place, &name),
            };
            if meant.is_empty() && !is_there {
                let name = template.unwrap_or(&name);
                let known = with_log.iter().map(String::as_str);
                return Err(no_such_unit(&place.shown_directories(), name, known));
            }
        } else if !with_log.contains(&name) && !has_file(place, &name) {
            let listing = place.search_path().list();
            let files = listing.units.iter().map(|listed| listed.name.as_str());
            let known = with_log.iter().map(String::as_str).chain(files);
            return Err(no_such_unit(&place.shown_directories(), &name, known));
        }
        for name in meant {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// Whether a pattern is that of a unit that may have a log one day.
fn is_of_a_file(place: &Place, pattern: &str) -> bool {
    let listing = place.search_path().list();
    let mut names = listing.units.iter().map(|listed| listed.name.as_str());
    names.any(|name| glob::matches(pattern, name))
}

fn has_file(place: &Place, name: &str) -> bool {
    UnitName::parse(name).is_ok_and(|name| place.search_path().find(&name).is_some())
}
