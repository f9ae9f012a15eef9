//! What `--json` prints: arrays and objects with field names that scripts may rely on.
//!
//! The names are a promise of their own, apart from the wire's: a field is added, never renamed and never given another
//! meaning. Times are unix milliseconds, sizes bytes; what is not there is `null`.

use miniserde::{Serialize, json};

use super::words::Word;
use super::{DaemonStatus, UnitResult, UnitStatus};

#[derive(Serialize)]
struct JsonUnit<'a> {
    name: &'a str,
    description: &'a str,
    state: &'a str,
    active: &'a str,
    phase: &'a str,
    since_ms: u64,
    cause: &'a str,
    pid: Option<u32>,
    run: Option<u64>,
    restarts: u32,
    last_end: Option<&'a str>,
    deadline_ms: Option<u64>,
    waits_for: &'a Vec<String>,
    requires: &'a Vec<String>,
    file: &'a str,
    file_changed: bool,
    enabled: bool,
    #[serde(rename = "type")]
    kind: &'a str,
    cgroup: Option<&'a str>,
    log_lost_bytes: u64,
}

#[derive(Serialize)]
struct JsonDaemon<'a> {
    pid: u32,
    version: &'a str,
    protocol: u32,
    since_ms: u64,
    home: &'a str,
    units: u32,
    running: u32,
    failed: u32,
    clients: u32,
    abilities: &'a Vec<String>,
}

#[derive(Serialize)]
struct JsonResult<'a> {
    unit: &'a str,
    result: &'a str,
    text: &'a str,
    retry_ms: Option<u64>,
    hint: Option<&'a str>,
}

/// An array of one object for each unit, without a line end.
#[must_use]
pub fn units_json(units: &[UnitStatus]) -> String {
    json::to_string(&units.iter().map(unit).collect::<Vec<_>>())
}

/// One object, without a line end.
#[must_use]
pub fn daemon_json(daemon: &DaemonStatus) -> String {
    json::to_string(&JsonDaemon {
        pid: daemon.pid,
        version: &daemon.version,
        protocol: daemon.protocol,
        since_ms: daemon.since_ms,
        home: &daemon.home,
        units: daemon.units,
        running: daemon.running,
        failed: daemon.failed,
        clients: daemon.clients,
        abilities: &daemon.abilities,
    })
}

/// An array of one object for each unit that a verb was for, without a line end.
#[must_use]
pub fn results_json(results: &[UnitResult]) -> String {
    let results = results.iter().map(|result| JsonResult {
        unit: &result.unit,
        result: result.kind.word(),
        text: &result.text,
        retry_ms: result.retry_ms,
        hint: result.hint.as_deref(),
    });
    json::to_string(&results.collect::<Vec<_>>())
}

fn unit(unit: &UnitStatus) -> JsonUnit<'_> {
    JsonUnit {
        name: &unit.name,
        description: &unit.description,
        state: &unit.state,
        active: &unit.active,
        phase: &unit.phase,
        since_ms: unit.since_ms,
        cause: &unit.cause,
        pid: unit.pid,
        run: unit.run,
        restarts: unit.restarts,
        last_end: unit.last_end.as_deref(),
        deadline_ms: unit.deadline_ms,
        waits_for: &unit.waits_for,
        requires: &unit.requires,
        file: &unit.file,
        file_changed: unit.file_changed,
        enabled: unit.enabled,
        kind: &unit.kind,
        cgroup: unit.cgroup.as_deref(),
        log_lost_bytes: unit.log_lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ResultKind;

    #[test]
    fn units_are_an_array_of_objects_with_promised_names() {
        assert_eq!(units_json(&[]), "[]");
        let unit = UnitStatus {
            name: "web".to_owned(),
            description: "a \"web\" server".to_owned(),
            state: "running".to_owned(),
            active: "active".to_owned(),
            phase: "running".to_owned(),
            since_ms: 1_700_000_000_000,
            cause: "asked".to_owned(),
            pid: Some(42),
            requires: vec!["database".to_owned()],
            file: "/s/web.service".to_owned(),
            enabled: true,
            kind: "simple".to_owned(),
            ..UnitStatus::default()
        };
        let expected = concat!(
            r#"[{"name":"web","description":"a \"web\" server","state":"running","active":"active","#,
            r#""phase":"running","since_ms":1700000000000,"cause":"asked","pid":42,"run":null,"#,
            r#""restarts":0,"last_end":null,"deadline_ms":null,"waits_for":[],"requires":["database"],"#,
            r#""file":"/s/web.service","file_changed":false,"enabled":true,"type":"simple","#,
            r#""cgroup":null,"log_lost_bytes":0}]"#,
        );
        assert_eq!(units_json(&[unit]), expected);
    }

    #[test]
    fn results_and_the_daemon_have_promised_names_too() {
        let result = UnitResult {
            unit: "web".to_owned(),
            kind: ResultKind::Failed,
            text: "exit code 1".to_owned(),
            retry_ms: Some(100),
            hint: None,
        };
        assert_eq!(
            results_json(&[result]),
            r#"[{"unit":"web","result":"failed","text":"exit code 1","retry_ms":100,"hint":null}]"#
        );
        let daemon = DaemonStatus {
            pid: 7,
            version: "0.1.0".to_owned(),
            ..DaemonStatus::default()
        };
        let expected = concat!(
            r#"{"pid":7,"version":"0.1.0","protocol":0,"since_ms":0,"home":"","units":0,"#,
            r#""running":0,"failed":0,"clients":0,"abilities":[]}"#,
        );
        assert_eq!(daemon_json(&daemon), expected);
    }
}
