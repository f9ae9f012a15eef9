//! `daemon-status`.

use super::Page;
use crate::cli::json::Json;
use crate::cli::style::Tone;
use crate::cli::text::{clean, date, size, span};
use crate::wire::DaemonStatus;

/// `memory`: what the client read of the daemon's process, in bytes.
pub(in crate::cli) fn daemon(status: &DaemonStatus, memory: Option<u64>, page: Page) -> String {
    let palette = page.palette;
    let mut out = format!(
        "{} {}\n",
        palette.paint(Tone::Good, "●"),
        palette.paint(Tone::Strong, "the daemon runs")
    );
    let mut line = |label: &str, text: &str| {
        let label = palette.paint(Tone::Quiet, &format!("{label:>9}"));
        out.push_str(&format!("{label}  {text}\n"));
    };
    line("pid", &status.pid.to_string());
    let guardian = match status.guardian {
        Some(pid) => pid.to_string(),
        None => "none: should the daemon die, the next command makes a successor".to_owned(),
    };
    line("guardian", &guardian);
    line(
        "version",
        &format!("{} (protocol {})", clean(&status.version), status.protocol),
    );
    let up = span(page.now_ms.saturating_sub(status.since_ms));
    line("since", &format!("{}, {up}", date(status.since_ms)));
    line("home", &clean(&status.home));
    let units = format!(
        "{} loaded, {} running, {} failed",
        status.units, status.running, status.failed
    );
    line("units", &units);
    line("clients", &status.clients.to_string());
    if let Some(memory) = memory {
        line("memory", &size(memory));
    }
    for (place, ability) in status.abilities.iter().enumerate() {
        line(if place == 0 { "machine" } else { "" }, &clean(ability));
    }
    for (place, unreadable) in status.unreadable.iter().enumerate() {
        line(if place == 0 { "lost" } else { "" }, &clean(unreadable));
    }
    out
}

pub(in crate::cli) fn daemon_json(status: &DaemonStatus, memory: Option<u64>) -> Json {
    Json::Object(vec![
        ("running", Json::Bool(true)),
        ("pid", Json::Number(u64::from(status.pid))),
        ("guardian", Json::number(status.guardian.map(u64::from))),
        ("version", Json::text(&status.version)),
        ("protocol", Json::Number(u64::from(status.protocol))),
        ("since_ms", Json::Number(status.since_ms)),
        ("home", Json::text(&status.home)),
        ("units", Json::Number(u64::from(status.units))),
        ("running_units", Json::Number(u64::from(status.running))),
        ("failed_units", Json::Number(u64::from(status.failed))),
        ("clients", Json::Number(u64::from(status.clients))),
        ("memory_bytes", Json::number(memory)),
        ("abilities", Json::texts(&status.abilities)),
        ("unreadable", Json::texts(&status.unreadable)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::golden;
    use crate::cli::render::list::tests::{NOW, page};
    use crate::cli::style::Palette;

    #[test]
    fn daemon_status_is_as_in_the_golden_files() {
        let status = DaemonStatus {
            pid: 4_711,
            version: "0.1.0".to_owned(),
            protocol: 1,
            since_ms: NOW - 7_500_000,
            home: "/root/.diakonos".to_owned(),
            units: 12,
            running: 9,
            failed: 1,
            clients: 1,
            abilities: vec![
                "cgroups: yes, under /sys/fs/cgroup/diakonos".to_owned(),
                "user switching: yes".to_owned(),
            ],
            unreadable: vec![
                "/root/.diakonos/run/web.state: nothing whole in it; kept as \
                 /root/.diakonos/run/unreadable/web.state"
                    .to_owned(),
            ],
            guardian: Some(4_710),
        };
        let text = daemon(&status, Some(1_200_000), page(Palette::Plain, None));
        golden::check("daemon-status", &text);
        let json = daemon_json(&status, None).document();
        golden::check("daemon-status-json", &json);
    }
}
