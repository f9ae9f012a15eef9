//! `why --json`: the same as `why.rs` tells, for programs.

use super::why::{Why, sentence};
use crate::cli::json::Json;
use crate::cli::why::End;
use crate::wire::record::{Entry, What};

/// For `--json`.
pub(in crate::cli) fn why_json(why: &Why<'_>) -> Json {
    let status = &why.item.status;
    let text = |text: &Option<String>| text.as_deref().map_or(Json::Null, Json::text);
    let end = match why.chain.end {
        End::Known => "known",
        End::Older => "older",
        End::Lost => "lost",
        End::Nothing => "nothing",
    };
    let origin = why.chain.origin.as_ref();
    let origin = origin.map_or(&[][..], |origin| &origin.steps);
    let awaited = status.waits_for.iter().map(|name| {
        let known = why.awaited.iter().find(|other| other.name == *name);
        let state = known.map(|other| other.state.clone());
        Json::Object(vec![("name", Json::text(name)), ("state", text(&state))])
    });
    let delays = why.plan.as_ref().filter(|_| status.state == "restarting");
    let delays = delays.map_or(&[][..], |plan| &plan.delays_ms);
    Json::Object(vec![
        ("name", Json::text(&status.name)),
        ("state", Json::text(&status.state)),
        ("since_ms", Json::Number(status.since_ms)),
        ("because", Json::text(&sentence(why))),
        ("cause", Json::text(&status.cause)),
        (
            "chain",
            Json::List(why.chain.steps.iter().map(|e| json(e)).collect()),
        ),
        ("chain_end", Json::text(end)),
        (
            "origin",
            Json::List(origin.iter().map(|entry| json(entry)).collect()),
        ),
        (
            "refused",
            why.refused.map_or(Json::Null, |(entry, _)| json(entry)),
        ),
        (
            "failures",
            Json::List(why.setbacks.iter().map(|(e, _)| json(e)).collect()),
        ),
        ("waits_for", Json::List(awaited.collect())),
        ("awaits", Json::text(&status.awaits)),
        ("deadline_ms", Json::number(status.deadline_ms)),
        (
            "delays_ms",
            Json::List(delays.iter().map(|ms| Json::Number(*ms)).collect()),
        ),
        ("error", text(&why.item.fault)),
    ])
}

fn json(entry: &Entry) -> Json {
    let text = |text: &Option<String>| text.as_deref().map_or(Json::Null, Json::text);
    let mut fields = vec![
        ("id", Json::Number(entry.id)),
        ("at_ms", Json::Number(entry.at_ms)),
    ];
    match &entry.what {
        What::Change(change) => fields.extend([
            ("kind", Json::text("change")),
            ("unit", Json::text(&change.unit)),
            ("from", Json::text(&change.from)),
            ("to", Json::text(&change.to)),
            ("cause", Json::text(&change.cause)),
            ("text", Json::text(&change.text)),
            ("other", text(&change.other)),
            ("result", text(&change.result)),
            ("because", Json::number(change.because)),
        ]),
        What::Request(asked) => fields.extend([
            ("kind", Json::text("request")),
            ("verb", Json::text(&asked.verb)),
            ("units", Json::texts(&asked.units)),
            ("more", Json::Number(u64::from(asked.more))),
            ("by", Json::text(&asked.by)),
            ("uid", Json::number(asked.uid.map(u64::from))),
            ("user", text(&asked.user)),
            ("pid", Json::number(asked.pid.map(u64::from))),
            ("command", text(&asked.command)),
            ("refused", text(&asked.refused)),
        ]),
        What::Daemon(stage) => fields.extend([
            ("kind", Json::text("daemon")),
            ("stage", Json::text(&stage.stage)),
            ("pid", Json::Number(u64::from(stage.pid))),
            ("version", Json::text(&stage.version)),
        ]),
    }
    Json::Object(fields)
}
