//! What happened in one game, and how to tell it in words.
//!
//! Owns the record that is printed when a game fails and compared when a seed is played twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use diakonos::engine::{Effect, Event, Moment, UnitId};
use diakonos::unit::{Relation, Unit, UnitName};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    entries: Vec<Entry>,
    /// Who is who now.
    names: BTreeMap<UnitId, UnitName>,
}

#[derive(Debug)]
struct Entry {
    at: Moment,
    what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    /// A definition on disk, new or changed.
    Written(Box<Unit>),
    /// Whatever has no other form.
    Said(String),
    Event(Event),
    Effect(Effect),
    /// This id means that unit from here on.
    Name(UnitId, UnitName),
}

impl Trace {
    pub(crate) fn add(&mut self, at: Moment, what: What) {
        self.entries.push(Entry { at, what });
    }

    pub(crate) fn say(&mut self, at: Moment, text: impl Into<String>) {
        self.add(at, What::Said(text.into()));
    }

    /// Ids mean a unit from here on.
    pub(crate) fn name(&mut self, id: UnitId, name: &UnitName) {
        if self.names.get(&id) != Some(name) {
            self.names.insert(id, name.clone());
            self.add(Moment::default(), What::Name(id, name.clone()));
        }
    }

    /// Everything, one line each.
    pub(crate) fn tell(&self) -> String {
        let mut text = String::new();
        let mut names: BTreeMap<UnitId, &UnitName> = BTreeMap::new();
        let played: BTreeSet<&UnitName> = self.entries.iter().filter_map(Entry::name).collect();
        for Entry { at, what } in &self.entries {
            // Units that the engine never heard of play no part.
            let line = match what {
                What::Written(unit) if !played.contains(&unit.name) => continue,
                What::Name(id, name) => {
                    names.insert(*id, name);
                    continue;
                }
                What::Written(unit) => format!("file   {}", describe(unit)),
                What::Said(said) => said.clone(),
                What::Event(event) => format!("event  {}", tell_event(event, &names)),
                What::Effect(effect) => format!("  does {}", tell_effect(effect, &names)),
            };
            let _ = writeln!(text, "{:>6}.{:03} s  {line}", at.0 / 1000, at.0 % 1000);
        }
        text
    }
}

impl Entry {
    fn name(&self) -> Option<&UnitName> {
        match &self.what {
            What::Name(_, name) => Some(name),
            What::Written(_) | What::Said(_) | What::Event(_) | What::Effect(_) => None,
        }
    }
}

type Names<'a> = BTreeMap<UnitId, &'a UnitName>;

fn told(id: UnitId, names: &Names<'_>) -> String {
    names
        .get(&id)
        .map_or_else(|| format!("unit {id}"), ToString::to_string)
}

fn tell_event(event: &Event, names: &Names<'_>) -> String {
    match event {
        Event::Request {
            request,
            verb,
            by,
            first_asked,
            targets,
            definitions,
            absent,
        } => {
            let read: Vec<&UnitName> = definitions.iter().map(|unit| &unit.name).collect();
            let missing: Vec<&UnitName> = absent.iter().map(|absent| &absent.name).collect();
            format!(
                "request {request}: {verb:?} {targets:?} by {by:?}, first {first_asked:?}, read {read:?}, missing {missing:?}"
            )
        }
        Event::Frozen { unit } => format!("Frozen: {}", told(*unit, names)),
        Event::FreezeFailed { unit, .. } => format!("FreezeFailed: {}", told(*unit, names)),
        Event::Thawed { unit } => format!("Thawed: {}", told(*unit, names)),
        Event::ThawFailed { unit, .. } => format!("ThawFailed: {}", told(*unit, names)),
        Event::Said { unit, word } => format!("{} says {word:?}", told(*unit, names)),
        Event::Examined {
            unit,
            question,
            truths,
        } => format!("{}, question {question}: {truths:?}", told(*unit, names)),
        Event::Forgotten { units } => {
            let gone: Vec<String> = units.iter().map(|unit| told(*unit, names)).collect();
            format!("Forgotten is {}", gone.join(", "))
        }
        Event::GroupEmpty { unit } => format!("GroupEmpty of {}", told(*unit, names)),
        Event::OomKilled { unit } => format!("OomKilled in {}", told(*unit, names)),
        Event::Limited { unit, .. } => format!("Limited is {}", told(*unit, names)),
        Event::Restored { unit, next, facts } => {
            let newer = if next.is_some() {
                ", with a newer definition"
            } else {
                ""
            };
            format!("Restored {}: {facts:?}{newer}", unit.name)
        }
        Event::Detached { .. }
        | Event::Resumed { .. }
        | Event::Spawned { .. }
        | Event::Executed { .. }
        | Event::Ready { .. }
        | Event::Unready { .. }
        | Event::Hopeless { .. }
        | Event::SpawnFailed { .. }
        | Event::Exited { .. }
        | Event::MainFound { .. }
        | Event::MainMissing { .. }
        | Event::Tick => format!("{event:?}"),
    }
}

fn tell_effect(effect: &Effect, names: &Names<'_>) -> String {
    match effect {
        Effect::Save { unit } => format!("save {}", told(*unit, names)),
        Effect::Spawn(spawn) => format!(
            "spawn {} {:?}[{}] as run {} (main {:?}, result {:?})",
            told(spawn.unit, names),
            spawn.role,
            spawn.index,
            spawn.run,
            spawn.main_pid,
            spawn.result,
        ),
        Effect::Examine { unit, question } => {
            format!("examine {}, question {question}", told(*unit, names))
        }
        Effect::FindMain { unit, run } => {
            format!(
                "find the main process of {} for run {run}",
                told(*unit, names)
            )
        }
        Effect::StopFinding { run } => format!("stop finding for run {run}"),
        Effect::AwaitReady { unit, run } => {
            format!("await that run {run} of {} is ready", told(*unit, names))
        }
        Effect::StopAwaiting { run } => format!("stop awaiting run {run}"),
        Effect::Signal { unit, to, signal } => {
            format!(
                "signal {} to {} {to:?}",
                signal.number(),
                told(*unit, names)
            )
        }
        Effect::Freeze { unit } => format!("freeze {}", told(*unit, names)),
        Effect::Thaw { unit } => format!("thaw {}", told(*unit, names)),
        Effect::Renew { unit, request } => {
            format!("renew {} for {request}", told(*unit, names))
        }
        Effect::WatchGroup { unit } => format!("watch the group of {}", told(*unit, names)),
        Effect::Taken(taken) => format!("take up #{}: request {}", taken.id, taken.request),
        Effect::Explain(change) => format!(
            "explain #{} {}: {} ({:?}, because of {:?})",
            change.id, change.unit, change.to, change.cause, change.because
        ),
        Effect::Publish(change) => format!(
            "publish #{} {}: {} -> {} ({:?}, because of {:?})",
            change.id, change.unit, change.from, change.to, change.cause, change.because
        ),
        Effect::Withheld { unit, cause, why } => format!("withhold {unit} ({cause:?}): {why}"),
        Effect::Notify { request, notice } => format!("notify {request}: {notice:?}"),
        Effect::Answer { request, answer } => format!("answer {request}: {answer:?}"),
        Effect::Exit => "exit".to_owned(),
    }
}

/// A definition in one line; what is as by default stays unsaid.
fn describe(unit: &Unit) -> String {
    let mut text = unit.name.to_string();
    for relation in Relation::ALL {
        let list = unit.named_in(relation);
        if !list.is_empty() {
            let _ = write!(text, ", {} {list:?}", relation.key());
        }
    }
    let relations = unit.relations();
    for (word, is_set) in [
        ("starts for others only", relations.refuse_manual_start),
        ("stops for others only", relations.refuse_manual_stop),
        ("stops when unneeded", relations.stop_when_unneeded),
    ] {
        if is_set {
            let _ = write!(text, ", {word}");
        }
    }
    for condition in &unit.conditions {
        let _ = write!(text, ", {condition}");
    }
    if unit.start_limit.burst.is_some() || unit.start_limit.interval.is_some() {
        let _ = write!(text, ", {:?}", unit.start_limit);
    }
    let Some(service) = &unit.service else {
        text.push_str(", a group");
        return text;
    };
    let _ = write!(text, ", {:?}", service.kind);
    if service.remain_after_exit {
        text.push_str(", remains after exit");
    }
    if service.pid_file.is_some() {
        text.push_str(", pid file");
    }
    for (word, list) in [
        ("pre", &service.start_pre[..]),
        ("start", &service.start[..]),
        ("post", &service.start_post[..]),
        ("reload", &service.reload[..]),
        ("stop", &service.stop[..]),
        ("stop post", &service.stop_post[..]),
    ] {
        let forgiven = list.iter().filter(|exec| exec.ignore_failure).count();
        if !list.is_empty() && (word != "start" || list.len() > 1 || forgiven > 0) {
            let _ = write!(text, ", {} {word} ({forgiven} forgiven)", list.len());
        }
    }
    let restart = &service.restart;
    let _ = write!(text, ", restart {:?}", restart.policy);
    if restart.delay.is_some() || restart.steps > 0 || restart.jitter.is_some() {
        let _ = write!(
            text,
            " (delay {:?}, {} steps, max {:?}, jitter {:?})",
            restart.delay, restart.steps, restart.max_delay, restart.jitter
        );
    }
    let _ = write!(
        text,
        ", limits {:?}/{:?}, kill {:?} {} {}",
        service.timeout_start,
        service.timeout_stop,
        service.kill.mode,
        service.kill.signal.number(),
        if service.kill.send_sigkill {
            "then 9"
        } else {
            "only"
        },
    );
    text
}
