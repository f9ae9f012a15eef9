//! `blame`: how long each unit took, and the critical chain.

use std::collections::BTreeMap;

use super::Page;
use crate::cli::blame::{Link, Start};
use crate::cli::json::Json;
use crate::cli::style::Tone;
use crate::cli::text::{Align, Cell, clean, columns, date};
use crate::sorted;

/// What is shown.
pub(in crate::cli) struct Blame<'a> {
    pub(in crate::cli) starts: &'a BTreeMap<String, Start>,
    /// The last one first.
    pub(in crate::cli) chain: &'a [Link],
    /// Unix milliseconds from which the chain is told.
    pub(in crate::cli) since_ms: u64,
}

pub(in crate::cli) fn blame(blame: &Blame<'_>, page: Page) -> String {
    let aligns = [Align::Right, Align::Left, Align::Left];
    let rows: Vec<Vec<Cell>> = slowest_first(blame.starts)
        .into_iter()
        .map(|(name, start)| {
            let (time, note) = match start.took_ms() {
                Some(took_ms) => (Cell::plain(time(took_ms)), String::new()),
                None => (Cell::none(), "not up yet".to_owned()),
            };
            vec![
                time,
                Cell::plain(clean(name)),
                Cell::toned(Tone::Busy, note),
            ]
        })
        .collect();
    let mut out = columns(&rows, &aligns, page.width, page.palette);
    if let Some(last) = blame.chain.first() {
        let name = page.palette.paint(Tone::Strong, &clean(&last.name));
        let since = date(blame.since_ms);
        out.push_str(&format!(
            "\ncritical chain of {name}: `@` is when a unit was up, counted from {since}, `+` what it took\n"
        ));
    }
    for (depth, link) in blame.chain.iter().enumerate() {
        let up = link.start.up_ms.map_or_else(
            || "not up yet".to_owned(),
            |up_ms| format!("@{}", time(up_ms.saturating_sub(blame.since_ms))),
        );
        let took = link.start.took_ms().map_or_else(String::new, |took| {
            let took = format!("+{}", time(took));
            format!(" {}", page.palette.paint(Tone::Busy, &took))
        });
        let indent = "  ".repeat(depth);
        out.push_str(&format!("{indent}{} {up}{took}\n", clean(&link.name)));
    }
    out
}

fn slowest_first(starts: &BTreeMap<String, Start>) -> Vec<(&String, &Start)> {
    let mut all: Vec<(&String, &Start)> = starts.iter().collect();
    let key = |start: &Start| std::cmp::Reverse(start.took_ms());
    sorted::sort_by_key(&mut all, |(_, start)| {
        (start.took_ms().is_none(), key(start))
    });
    all
}

/// To the millisecond: `1.234s`, `12ms`; minutes where there are any.
fn time(ms: u64) -> String {
    let (minutes, rest) = (ms / 60_000, ms % 60_000);
    match (minutes, rest) {
        (0, 0..1000) => format!("{ms}ms"),
        (0, _) => format!("{}.{:03}s", rest / 1000, rest % 1000),
        _ => format!("{minutes}m {}.{:03}s", rest / 1000, rest % 1000),
    }
}

pub(in crate::cli) fn blame_json(blame: &Blame<'_>) -> Json {
    let fields = |name: &str, start: &Start| {
        Json::Object(vec![
            ("name", Json::text(name)),
            ("took_ms", Json::number(start.took_ms())),
            ("wanted_ms", Json::Number(start.wanted_ms)),
            ("begun_ms", Json::Number(start.begun_ms)),
            ("up_ms", Json::number(start.up_ms)),
        ])
    };
    let units = slowest_first(blame.starts).into_iter();
    let chain = blame.chain.iter();
    Json::Object(vec![
        (
            "units",
            Json::List(units.map(|(name, start)| fields(name, start)).collect()),
        ),
        (
            "critical_chain",
            Json::List(chain.map(|link| fields(&link.name, &link.start)).collect()),
        ),
        ("since_ms", Json::Number(blame.since_ms)),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::list::tests::page;
    use super::*;
    use crate::cli::style::Palette;

    #[test]
    fn blame_reads_as_in_the_golden_file() {
        let start = |wanted_ms, begun_ms, up_ms| Start {
            wanted_ms,
            begun_ms,
            up_ms,
            because: None,
        };
        let at = 1_795_300_813_000;
        let all = [
            ("web", start(at, at + 1_300, Some(at + 1_312))),
            ("db", start(at, at + 50, Some(at + 1_300))),
            ("slow", start(at, at, Some(at + 61_001))),
            ("late", start(at, at, None)),
        ];
        let starts: BTreeMap<String, Start> = all
            .iter()
            .map(|(name, start)| ((*name).to_owned(), *start))
            .collect();
        let link = |name: &str| Link {
            name: name.to_owned(),
            start: starts[name],
        };
        let chain = [link("web"), link("db")];
        let shown = Blame {
            starts: &starts,
            chain: &chain,
            since_ms: at,
        };
        let text = blame(&shown, page(Palette::Plain, Some(40)));
        crate::cli::golden::check("blame", &(text + &blame_json(&shown).document()));
    }
}
