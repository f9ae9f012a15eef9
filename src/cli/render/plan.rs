//! A plan: numbered steps, why each is there, what it waits for.

use super::Page;
use crate::cli::json::Json;
use crate::cli::style::Tone;
use crate::cli::text::clean;
use crate::wire::{PlanAct, PlanStep};

/// Columns that the names of the units may take before the reasons no longer stand below each other.
const NAME_MAX: usize = 24;
/// The longest word of a step, `reload`.
const WORD_MAX: usize = 6;
/// Steps that are named as waited for; the others are counted.
const AFTER_MAX: usize = 8;

/// The steps, then what is left as it is.
pub(in crate::cli) fn plan(steps: &[PlanStep], page: Page) -> String {
    let names = steps.iter().filter(|step| word(step.act).is_some());
    let widest = names.map(|step| clean(&step.unit).chars().count()).max();
    let width = widest.unwrap_or_default().min(NAME_MAX);
    let numbered = steps.iter().filter(|step| word(step.act).is_some()).count();
    let digits = numbered.to_string().len();
    let mut out = String::new();
    if steps.is_empty() {
        out.push_str("nothing to do\n");
    }
    for (at, step) in steps.iter().enumerate() {
        let name = clean(&step.unit);
        let Some(word) = word(step.act) else {
            out.push_str(&untouched(step, page));
            continue;
        };
        let tone = match step.act {
            PlanAct::Stop => Tone::Bad,
            PlanAct::Start | PlanAct::Keep => Tone::Good,
            PlanAct::Reload | PlanAct::Nothing | PlanAct::Refused | PlanAct::LeftOut => Tone::Busy,
        };
        let number = format!("{:>digits$}. ", at + 1);
        let reason = reason(step);
        let gap = " ".repeat(WORD_MAX.saturating_sub(word.len()) + 1);
        let pad = " ".repeat(width.saturating_sub(name.chars().count()) + 2);
        let length =
            number.len() + WORD_MAX + 1 + name.chars().count() + pad.len() + reason.chars().count();
        out.push_str(&number);
        out.push_str(&page.palette.paint(tone, word));
        out.push_str(&gap);
        out.push_str(&name);
        if page.width.is_some_and(|columns| length > columns) {
            out.push('\n');
            out.push_str(&" ".repeat(number.len() + 2));
        } else {
            out.push_str(&pad);
        }
        out.push_str(&page.palette.paint(Tone::Quiet, &reason));
        out.push('\n');
    }
    out
}

/// The word of a step; nothing for what is left as it is.
fn word(act: PlanAct) -> Option<&'static str> {
    match act {
        PlanAct::Stop => Some("stop"),
        PlanAct::Start => Some("start"),
        PlanAct::Keep => Some("keep"),
        PlanAct::Reload => Some("reload"),
        PlanAct::Nothing | PlanAct::Refused | PlanAct::LeftOut => None,
    }
}

fn untouched(step: &PlanStep, page: Page) -> String {
    let subject = match (step.act, step.unit.is_empty()) {
        (PlanAct::LeftOut, true) => page.palette.paint(Tone::Bad, "note:"),
        (PlanAct::LeftOut, false) => {
            let title = page.palette.paint(Tone::Bad, "left out:");
            format!("{title} {}:", clean(&step.unit))
        }
        (PlanAct::Refused, _) => {
            let title = page.palette.paint(Tone::Bad, "refused:");
            format!("{title} {}:", clean(&step.unit))
        }
        _ => format!("{}:", page.palette.paint(Tone::Quiet, &clean(&step.unit))),
    };
    let mut lines = step.reason.lines();
    let mut out = format!("{subject} {}", clean(lines.next().unwrap_or_default()));
    if step.act == PlanAct::Nothing {
        out.push_str(", nothing to do");
    }
    out.push('\n');
    for line in lines {
        out.push_str(&format!("    {}\n", clean(line)));
    }
    out
}

/// Why, and behind what.
fn reason(step: &PlanStep) -> String {
    let mut reason = clean(&step.reason);
    if step.act == PlanAct::Keep {
        reason.push_str("; its stop has not begun, and is taken back");
    }
    if !step.after.is_empty() {
        let shown = step.after.iter().take(AFTER_MAX).map(ToString::to_string);
        let shown: Vec<String> = shown.collect();
        reason.push_str(&format!("; after {}", shown.join(", ")));
        if step.after.len() > AFTER_MAX {
            reason.push_str(&format!(" and {} more", step.after.len() - AFTER_MAX));
        }
    }
    for waits in &step.waits_for {
        reason.push_str(&format!("; waits for {}", clean(waits)));
    }
    reason
}

/// The same for programs.
pub(in crate::cli) fn plan_json(verb: &str, steps: &[PlanStep]) -> Json {
    let still = |act: PlanAct| {
        let steps = steps.iter().filter(|step| step.act == act);
        let objects = steps.map(|step| {
            Json::Object(vec![
                ("unit", Json::text(&step.unit)),
                ("reason", Json::text(&step.reason)),
            ])
        });
        Json::List(objects.collect())
    };
    let numbered = (1_u64..).zip(steps);
    let numbered = numbered.filter_map(|(number, step)| Some((number, word(step.act)?, step)));
    let objects = numbered.map(|(number, word, step)| {
        let after = step.after.iter();
        Json::Object(vec![
            ("step", Json::Number(number)),
            ("act", Json::text(word)),
            ("unit", Json::text(&step.unit)),
            ("reason", Json::text(&step.reason)),
            (
                "after",
                Json::List(
                    after
                        .map(|number| Json::Number(u64::from(*number)))
                        .collect(),
                ),
            ),
            ("waits_for", Json::texts(&step.waits_for)),
        ])
    });
    Json::Object(vec![
        ("verb", Json::text(verb)),
        ("steps", Json::List(objects.collect())),
        ("untouched", still(PlanAct::Nothing)),
        ("refused", still(PlanAct::Refused)),
        ("left_out", still(PlanAct::LeftOut)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::golden;
    use crate::cli::style::Palette;

    fn steps() -> Vec<PlanStep> {
        let step = |act, unit: &str, reason: &str| PlanStep {
            unit: unit.to_owned(),
            act,
            reason: reason.to_owned(),
            after: Vec::new(),
            waits_for: Vec::new(),
        };
        let after = |after: Vec<u32>, step: PlanStep| PlanStep { after, ..step };
        vec![
            step(PlanAct::Stop, "api", "it requires database"),
            after(vec![1], step(PlanAct::Stop, "database", "you ask for it")),
            PlanStep {
                waits_for: vec!["disk, which is starting".to_owned()],
                ..after(vec![2], step(PlanAct::Start, "database", "you ask for it"))
            },
            after(
                (1..=12).collect(),
                step(PlanAct::Start, "api", "it requires database"),
            ),
            step(
                PlanAct::Keep,
                "a-unit-with-a-very-long-name-indeed",
                "api wants it",
            ),
            step(PlanAct::Reload, "proxy", "you ask for it"),
            step(PlanAct::Nothing, "web", "it is running"),
            step(PlanAct::Refused, "core", "only another unit may stop it"),
            step(
                PlanAct::LeftOut,
                "",
                "mail is left out: it would stop api, which is to start",
            ),
            step(
                PlanAct::LeftOut,
                "worker@1",
                "worker@.service:3: what is this?\nExecStart = 1",
            ),
        ]
    }

    #[test]
    fn the_plan_is_the_golden_one() {
        let page = |palette, width| Page {
            palette,
            width,
            now_ms: 0,
        };
        let plain = page(Palette::Plain, None);
        golden::check("plan", &plan(&steps(), plain));
        golden::check("plan-40", &plan(&steps(), page(Palette::Plain, Some(40))));
        golden::check(
            "plan-colored",
            &plan(&steps(), page(Palette::Colored, Some(100))),
        );
        golden::check("plan-json", &plan_json("restart", &steps()).document());
        assert_eq!(plan(&[], plain), "nothing to do\n");
    }
}
