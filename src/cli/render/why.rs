//! `why`: one unit's state, what it goes back to, and what comes next.

use super::events::{asker, changed, staged, wish};
use super::list::{Files, Item};
use super::{Page, left_over, restarts_in, upheld_in};
use crate::cli::style::{Palette, Tone, state_tone};
use crate::cli::text::{clean, count, date, span, span_until, timestamp};
use crate::cli::units::is_down;
use crate::cli::why::{Chain, End, Setback};
use crate::engine::RestartPlan;
use crate::wire::UnitStatus;
use crate::wire::record::{Asked, Changed, Entry, What};

/// Failures that are shown; the younger ones.
const SETBACKS_SHOWN: usize = 5;
/// Delays to come that are shown.
const DELAYS_SHOWN: usize = 4;

/// All that is known about why.
pub(in crate::cli) struct Why<'a> {
    pub(in crate::cli) item: &'a Item,
    pub(in crate::cli) chain: Chain<'a>,
    pub(in crate::cli) setbacks: Vec<Setback<'a>>,
    /// The last wish about it, if that was refused.
    pub(in crate::cli) refused: Option<(&'a Entry, &'a Asked)>,
    /// What it waits for, as far as the daemon knows it.
    pub(in crate::cli) awaited: Vec<UnitStatus>,
    /// What its restart keys come to, from now on.
    pub(in crate::cli) plan: Option<RestartPlan>,
    /// When the record begins, in unix milliseconds; nothing where there is none.
    pub(in crate::cli) begins_ms: Option<u64>,
    pub(in crate::cli) has_daemon: bool,
    /// Whether anything it has printed is in its log.
    pub(in crate::cli) has_log: bool,
}

pub(in crate::cli) fn why(why: &Why<'_>, page: Page) -> String {
    let status = &why.item.status;
    let palette = page.palette;
    let name = palette.paint(Tone::Strong, &clean(&status.name));
    let state = palette.paint(state_tone(&status.state), &clean(&status.state));
    let mut out = format!("{name}: {state}");
    if status.since_ms > 0 && !is_new(why) {
        let ago = span(page.now_ms.saturating_sub(status.since_ms));
        out.push_str(&format!(" since {}, {ago} ago", date(status.since_ms)));
    }
    out.push('\n');
    let mut lines = Lines { out, palette };
    file(&mut lines, why.item);
    if let Some(left) = left_over(status) {
        lines.add(Tone::Bad, &left);
    }
    lines.plain(&sentence(why));
    if let Some((entry, asked)) = why.refused {
        // What follows the first line shows the place in a file, which `check` does better.
        let refused = asked.refused.as_deref().unwrap_or_default();
        let text = clean(refused.lines().next().unwrap_or_default());
        let (wish, since) = (wish(asked), date(entry.at_ms));
        let by = asker(asked);
        lines.add(
            Tone::Bad,
            &format!("`{wish}` was refused on {since}: {text} ({by})"),
        );
    }
    present(&mut lines, why, page);
    lines.out.push_str(&story(why, palette));
    lines.out
}

/// What is to be said of its file, where that matters.
fn file(lines: &mut Lines, item: &Item) {
    match (item.files, &item.fault) {
        (Files::Gone, _) if is_down(&item.status) => {
            lines.add(Tone::Bad, "its file is gone: it cannot be started again");
        }
        (Files::Gone, _) => {
            let text = "its file is gone: it stays as it was loaded until it is stopped";
            lines.add(Tone::Busy, text);
        }
        (Files::AsRead | Files::Changed, Some(fault)) => {
            lines.add(Tone::Bad, &format!("its file is wrong: {}", clean(fault)));
            lines.add(Tone::Quiet, "`diakonos check` shows all of it");
        }
        (Files::AsRead | Files::Changed, None) => {}
    }
}

struct Lines {
    out: String,
    palette: Palette,
}

impl Lines {
    fn add(&mut self, tone: Tone, text: &str) {
        let text = self.palette.paint(tone, text);
        self.plain(&text);
    }

    fn plain(&mut self, text: &str) {
        if !text.is_empty() {
            self.out.push_str(&format!("  {text}\n"));
        }
    }
}

/// The whole chain in a sentence: what it goes back to, then by which ties that came here.
pub(super) fn sentence(why: &Why<'_>) -> String {
    let status = &why.item.status;
    if why.chain.end == End::Nothing && (is_new(why) || status.cause.is_empty()) {
        return never(why);
    }
    if why.chain.end != End::Known || why.chain.steps.is_empty() {
        return format!("because: {}", clean(&status.cause));
    }
    let mut text = told(&why.chain.steps, &status.name);
    if let Some(attempt) = came_back(why) {
        let after = text.strip_prefix("because").unwrap_or(&text);
        let after = after.strip_prefix(':').unwrap_or(after);
        text = format!("it came back by {attempt}, after{after}");
    }
    if let Some(stage) = why.chain.anew {
        let will = match status.enabled {
            true => "",
            false => ", and it is not enabled",
        };
        let since = date(stage.at_ms);
        let before = text.strip_prefix("because: ").unwrap_or(&text);
        let did = match &stage.what {
            What::Daemon(stage) if stage.stage == "ended" => "ended",
            _ => "began anew",
        };
        text = format!("the daemon {did} on {since}{will}; before that: {before}");
    }
    if let Some(origin) = &why.chain.origin {
        if let Some(ran_ms) = origin.ran_ms {
            text.push_str(&format!("; it had been up for {}", span(ran_ms)));
        }
        let began = told(&origin.steps, &status.name);
        text.push_str(&match origin.restarts {
            0 => format!("; it was started {began}"),
            many => {
                let times = count(many, "automatic restart", "automatic restarts");
                format!("; {times} before that, it was started {began}")
            }
        });
    }
    if let Some(failed) = why.chain.forgotten.first() {
        let since = date(failed.at_ms);
        let reason = told(&why.chain.forgotten, &status.name);
        let reason = reason.strip_prefix("because: ").unwrap_or(&reason);
        text.push_str(&format!("; before that it had failed on {since}: {reason}"));
    }
    text
}

/// What steps, the youngest first, come to for a unit.
fn told(steps: &[&Entry], name: &str) -> String {
    let Some((root, ties)) = steps.split_last() else {
        return String::new();
    };
    let (mut text, why) = match &root.what {
        What::Request(asked) => (
            format!("because of `{}`: {}", wish(asked), asker(asked)),
            "",
        ),
        What::Daemon(stage) => (
            format!(
                "because it went down with the daemon before or with the machine: {}",
                staged(stage)
            ),
            "",
        ),
        What::Change(change) if change.unit == name => {
            (format!("because: {}", clean(&change.text)), &*change.text)
        }
        What::Change(change) => (
            format!(
                "because {} {}: {}",
                clean(&change.unit),
                went(&change.to),
                clean(&change.text)
            ),
            &*change.text,
        ),
    };
    for step in ties.iter().rev() {
        if let What::Change(change) = &step.what
            && change.other.is_some()
        {
            let who = match change.unit == name {
                true => String::new(),
                false => format!("{}: ", clean(&change.unit)),
            };
            // Its reason has been told.
            let short = change.text.strip_suffix(why).filter(|_| !why.is_empty());
            let short = short.and_then(|text| text.strip_suffix(": "));
            let tie = format!("; {who}{}", clean(short.unwrap_or(&change.text)));
            if !text.ends_with(&tie) {
                text.push_str(&tie);
            }
        }
    }
    text
}

/// What became of another unit.
fn went(state: &str) -> String {
    match state {
        "stopping" | "stopped" => "went down".to_owned(),
        "failed" => "failed".to_owned(),
        "restarting" => "ended and is to restart".to_owned(),
        "running" | "exited" => "came up".to_owned(),
        other => format!("became {}", clean(other)),
    }
}

/// By what a unit that is up, or on its way up, is back after an end.
fn came_back(why: &Why<'_>) -> Option<String> {
    let status = &why.item.status;
    let is_up = matches!(
        status.state.as_str(),
        "running" | "starting" | "waiting" | "exited" | "reloading"
    );
    let mut changes = why.chain.steps.iter().filter_map(|step| match &step.what {
        What::Change(change) if change.unit == status.name => Some(change),
        _ => None,
    });
    let is_start = |change: &&Changed| {
        change.from != change.to && matches!(change.to.as_str(), "waiting" | "starting")
    };
    let start = changes.find(is_start)?;
    // Where the chain goes on to a wish, that is why it is up.
    if !is_up || matches!(why.chain.root()?.what, What::Request(_)) {
        return None;
    }
    if start.cause == "auto-restart" {
        return Some(clean(&start.text));
    }
    let went_down = |change: &Changed| matches!(change.to.as_str(), "stopping" | "restarting");
    let went_down = changes.any(went_down) || why.chain.root().is_some_and(is_end);
    went_down.then(|| "a restart with another unit".to_owned())
}

/// Whether a unit has gone down in it.
fn is_end(entry: &Entry) -> bool {
    match &entry.what {
        What::Change(change) => matches!(change.to.as_str(), "stopping" | "restarting"),
        What::Request(_) | What::Daemon(_) => false,
    }
}

/// Nothing has ever become of it.
fn is_new(why: &Why<'_>) -> bool {
    let status = &why.item.status;
    why.chain.end == End::Nothing && matches!(status.state.as_str(), "stopped" | "template")
}

/// Of a unit that no entry is about.
fn never(why: &Why<'_>) -> String {
    let status = &why.item.status;
    let since = match why.begins_ms {
        Some(begins_ms) => format!(
            "never started, as far as the record goes back (to {})",
            date(begins_ms)
        ),
        None => "never started: there is no record yet".to_owned(),
    };
    let will = match (status.state.as_str(), status.enabled, why.has_daemon) {
        ("template", ..) => "it is a template: an instance of it can be started",
        (_, true, false) => "it is enabled: it starts with the daemon, and no daemon runs",
        (_, true, true) if why.refused.is_some_and(|(_, asked)| asked.by == "boot") => {
            "it is enabled, and did not start with the daemon"
        }
        (_, true, true) => "it is enabled: it starts when the daemon starts anew",
        (_, false, _) => "it is not enabled, so that it does not start with the daemon",
    };
    format!("{since}; {will}")
}

/// What it is at, and what comes next.
fn present(lines: &mut Lines, why: &Why<'_>, page: Page) {
    let status = &why.item.status;
    let left = |due_ms: u64| span_until(due_ms.saturating_sub(page.now_ms));
    if let Some(since_ms) = status.frozen_ms {
        let ago = span(page.now_ms.saturating_sub(since_ms));
        lines.add(
            Tone::Busy,
            &format!("it stands still since {ago}; `diakonos thaw` lets it go on"),
        );
    }
    if !status.awaits.is_empty() {
        lines.plain(&format!("its start waits for {}", clean(&status.awaits)));
    }
    for name in &status.waits_for {
        let known = why.awaited.iter().find(|other| other.name == *name);
        let text = known.map_or_else(String::new, |other| describe(other, page));
        lines.plain(&format!("it waits for {}{text}", clean(name)));
    }
    if let Some(due) = restarts_in(status, page.now_ms) {
        let attempt = status.restarts.saturating_add(1);
        lines.plain(&format!("automatic restart {attempt} comes {due}"));
    } else if let Some(due) = upheld_in(status, page.now_ms) {
        lines.plain(&format!("it is upheld: it is started again {due}"));
    } else if let Some(due_ms) = status.deadline_ms {
        let runs = running(&status.phase).map(|key| format!("{key}= is running; "));
        let runs = runs.unwrap_or_default();
        lines.plain(&format!("{runs}its time limit ends in {}", left(due_ms)));
    }
    if let Some(plan) = why.plan.as_ref().filter(|_| status.state == "restarting") {
        lines.plain(&to_come(plan));
    }
    if status.state == "failed" && why.has_log {
        let name = clean(&status.name);
        lines.add(Tone::Quiet, &format!("→ diakonos logs {name}"));
    }
}

/// The key whose command runs beside the main process, or before or after it.
fn running(phase: &str) -> Option<&'static str> {
    Some(match phase {
        "condition" => "ExecCondition",
        "start-pre" => "ExecStartPre",
        "start-post" => "ExecStartPost",
        "reload" => "ExecReload",
        "stop" => "ExecStop",
        "stop-post" => "ExecStopPost",
        _ => return None,
    })
}

/// `, which is starting for 12s: READY=1, sd_notify(3); its time limit ends in 78s`.
fn describe(other: &UnitStatus, page: Page) -> String {
    let ago = span(page.now_ms.saturating_sub(other.since_ms));
    let mut text = format!(", which is {} for {ago}", clean(&other.state));
    if !other.awaits.is_empty() {
        text.push_str(&format!(" and waits for {}", clean(&other.awaits)));
    }
    if !other.waits_for.is_empty() {
        text.push_str(&format!(
            " and waits for {}",
            clean(&other.waits_for.join(", "))
        ));
    }
    if let Some(due) = restarts_in(other, page.now_ms) {
        text.push_str(&format!("; it is tried again {due}"));
    } else if let Some(due_ms) = other.deadline_ms {
        let left = span_until(due_ms.saturating_sub(page.now_ms));
        text.push_str(&format!("; its time limit ends in {left}"));
    }
    text
}

/// The delays after the next try, and when it is given up.
fn to_come(plan: &RestartPlan) -> String {
    let delays: Vec<String> = plan
        .delays_ms
        .iter()
        .take(DELAYS_SHOWN)
        .map(|ms| span(*ms))
        .collect();
    let is_fixed = plan.delays_ms.windows(2).all(|pair| pair[0] == pair[1]);
    let then = match (is_fixed, delays.first()) {
        (_, None) => String::new(),
        (true, Some(delay)) => format!("should that fail, always after {delay}"),
        (false, Some(_)) => format!("should that fail, after {}, …", delays.join(", ")),
    };
    let jitter = match plan.jitter {
        0 => String::new(),
        jitter => format!(" (±{jitter} %)"),
    };
    let limit = match plan.limit {
        Some((burst, interval_ms)) => format!(
            "; given up after {burst} automatic starts within {}",
            span(interval_ms)
        ),
        None => "; never given up".to_owned(),
    };
    format!("{then}{jitter}{limit}")
}

/// The steps, the youngest first, and the failures on the way.
fn story(why: &Why<'_>, palette: Palette) -> String {
    let mut out = String::new();
    let mut before: Option<&Entry> = None;
    for step in &why.chain.steps {
        // One step of several says the same.
        if !before.is_some_and(|before| is_same(before, step)) {
            out.push_str(&line(step, palette));
        }
        before = Some(step);
    }
    match why.chain.end {
        End::Known | End::Nothing => {}
        End::Older => out.push_str("  … what led to that is older than the record\n"),
        End::Lost => out.push_str("  … what led to that was lost with a daemon that was killed\n"),
    }
    if let Some(origin) = &why.chain.origin {
        for step in &origin.steps {
            out.push_str(&line(step, palette));
        }
    }
    for step in &why.chain.forgotten {
        out.push_str(&line(step, palette));
    }
    let all = &why.setbacks;
    if all.len() > 1 {
        let is_failure = |(_, change): &&Setback<'_>| change.cause != "ended";
        let times = match all.iter().all(|one| is_failure(&one)) {
            true => count(all.len(), "failure", "failures"),
            false => count(all.len(), "end", "ends"),
        };
        // What the chain has told is not told again.
        let is_told = |entry: &Entry| why.chain.steps.iter().any(|step| step.id == entry.id);
        let rest: Vec<&Entry> = all.iter().map(|(entry, _)| *entry).collect();
        let rest: Vec<&Entry> = rest.into_iter().filter(|entry| !is_told(entry)).collect();
        let which = match rest.len() < all.len() {
            true => "; the others",
            false => "",
        };
        out.push_str(&format!("  {times} since it was started{which}:\n"));
        for entry in rest.iter().skip(rest.len().saturating_sub(SETBACKS_SHOWN)) {
            out.push_str(&line(entry, palette));
        }
    }
    out
}

fn line(entry: &Entry, palette: Palette) -> String {
    let time = palette.paint(Tone::Quiet, &timestamp(entry.at_ms));
    let text = match &entry.what {
        What::Change(change) => changed(change, palette),
        What::Request(asked) => format!("{}: {}", wish(asked), asker(asked)),
        What::Daemon(stage) => staged(stage),
    };
    format!("    {time}  {text}\n")
}

fn is_same(younger: &Entry, older: &Entry) -> bool {
    match (&younger.what, &older.what) {
        (What::Change(younger), What::Change(older)) => {
            younger.unit == older.unit && younger.text == older.text && younger.to == older.to
        }
        _ => false,
    }
}
