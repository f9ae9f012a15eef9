//! Why a log has nothing of what was asked for, as far as a unit's file and the log's own marks say it.
//!
//! Owns the sentences of `logs`. What `status` and a failed start say of a life without words is `logtail`'s.

use super::client::Client;
use super::logjson::ROTATED_AWAY;
use super::logtail::{Removal, removal};
use super::output::aside;
use super::place::Place;
use super::text::clean;
use super::unbegun::is_cut_after;
use crate::daemon::unit_context;
use crate::unit::{self, Output, Service, UnitName};
use crate::wire::UnitStatus;

/// Each of these logs has nothing: why, as far as the daemon knows more than the files.
pub(super) fn all_empty(place: &Place, names: &[String]) -> String {
    let units = Client::glance(place, names).unwrap_or_default();
    let told = |name: &String| {
        let unit = units.iter().find(|unit| unit.name == *name);
        empty(place, name, unit) + "\n"
    };
    names.iter().map(told).collect()
}

/// That the log of a service has nothing.
fn empty(place: &Place, name: &str, unit: Option<&UnitStatus>) -> String {
    let elsewhere = service(place, name).map(|service| service.streams_elsewhere());
    match elsewhere.filter(|streams| !streams.is_empty()) {
        Some(streams) => {
            let streams = clean(&streams.join(", "));
            format!("{name}: nothing in the log: its output goes elsewhere, {streams}")
        }
        None => match (removal(&place.home, name), unit) {
            (Ok(Removal::Emptied), _) => {
                format!("{name}: nothing in the log since it was emptied")
            }
            // Each run begins one, whether or not it prints anything.
            (Ok(Removal::Absent), Some(unit)) if has_run(unit) => {
                format!("{name}: its log is gone: somebody has removed the files")
            }
            (_, Some(unit)) if unit.state == "failed" => {
                let cause = clean(&unit.cause);
                format!("{name}: nothing in the log: it failed: {cause}")
            }
            _ => format!("{name}: nothing in the log yet"),
        },
    }
}

/// Whether it has had a run, which one that has failed at its first step has not.
fn has_run(unit: &UnitStatus) -> bool {
    unit.life.is_some() && (unit.last_end.is_some() || unit.state != "failed")
}

/// Whether what the runs of all these services have printed was removed, and nothing has come since.
pub(super) fn is_emptied(place: &Place, names: &[String]) -> bool {
    let is_emptied = |name: &String| matches!(removal(&place.home, name), Ok(Removal::Emptied));
    names.iter().all(is_emptied)
}

/// That there is no standard error to be shown by itself, where the file of the service says so.
pub(super) fn mixed_errors(place: &Place, name: &str) -> Option<String> {
    let service = service(place, name)?;
    match &service.stderr {
        Output::LogErr => None,
        Output::Log | Output::Inherit => Some(format!(
            "{name}: its standard error is not kept apart; StandardError = \"log:err\" does that"
        )),
        Output::Null | Output::File(_) | Output::Append(_) | Output::Truncate(_) => {
            let streams = service.streams_elsewhere();
            let own = streams.iter().find(|one| one.starts_with("StandardError="));
            let own = own.map(|own| clean(own)).unwrap_or_default();
            Some(format!("{name}: its standard error goes elsewhere: {own}"))
        }
    }
}

fn service(place: &Place, name: &str) -> Option<Box<Service>> {
    let name = UnitName::parse(name).ok()?;
    let found = place.search_path().find(&name)?;
    let unit = unit::load_file(&found.path, &name, &unit_context());
    unit.ok()?.service
}

/// Says of which services standard error is not to be had, and of how many.
pub(super) fn tell_of_errors(place: &Place, names: &[String]) -> usize {
    let told = |name: &String| mixed_errors(place, name).map(|told| told + "\n");
    let told: Vec<String> = names.iter().filter_map(told).collect();
    if !told.is_empty() {
        aside(&told.concat());
    }
    told.len()
}

/// That no log is meant yet.
pub(super) fn nobody(is_named: bool, is_awaited: bool) -> &'static str {
    match (is_named, is_awaited) {
        (false, true) => "no service has a log yet: waiting for one\n",
        (false, false) => "no service has a log yet\n",
        (true, true) => "none of those has a log yet: waiting for one\n",
        (true, false) => "none of those has a log yet\n",
    }
}

/// That there are lines, and none of what was asked for, which was to have come by `until_ms` (unix milliseconds).
pub(super) fn nothing_of_that(place: &Place, names: &[String], until_ms: Option<u64>) -> String {
    let folder = place.home.logs();
    let mut told = format!("{}: nothing of that in the log\n", names.join(", "));
    if let Some(until_ms) = until_ms {
        let cut = names
            .iter()
            .filter(|name| is_cut_after(&folder, name, until_ms));
        told.extend(cut.map(|name| format!("{name}: {ROTATED_AWAY}\n")));
    }
    told
}
