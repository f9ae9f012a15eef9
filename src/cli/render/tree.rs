//! `tree`: lines and corners, states in colour, and what is cut off where it would repeat itself.

use super::Page;
use crate::cli::forest::{Branch, Repeat};
use crate::cli::json::Json;
use crate::cli::style::{Tone, state_tone};
use crate::cli::text::{Align, Cell, clean, columns, fit};

/// Levels that are drawn where there is no terminal to say how many fit.
const LEVELS: usize = 64;
/// The columns of one level.
const LEVEL_WIDTH: usize = 3;
/// The least room for a name that is worth having.
const NAME_MIN: usize = 8;
const GAP: usize = 2;

const ABOVE: &str = "↑";
const CIRCLE: &str = "↺";

/// One line of the tree, and its unit's state.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Leaf {
    pub(in crate::cli) branch: Branch,
    /// As `list` has it; `missing` for a unit that nobody can find.
    pub(in crate::cli) state: String,
}

pub(in crate::cli) fn tree(leaves: &[Leaf], page: Page) -> String {
    let levels = page
        .width
        .map_or(LEVELS, |width| (width / 2 / LEVEL_WIDTH).clamp(1, LEVELS));
    let guides = guides(leaves, levels);
    let mut rows: Vec<Vec<Cell>> = Vec::with_capacity(leaves.len());
    for (leaf, guide) in leaves.iter().zip(guides) {
        let mark = match leaf.branch.repeat {
            Repeat::First => String::new(),
            Repeat::Above => format!(" {ABOVE}"),
            Repeat::Circle => format!(" {CIRCLE}"),
        };
        let name = clean(leaf.branch.name.as_str());
        rows.push(vec![
            Cell::plain(format!("{guide}{name}{mark}")),
            Cell::toned(tone(&leaf.state), clean(&leaf.state)),
            Cell::toned(Tone::Quiet, leaf.branch.keys.join(", ")),
        ]);
    }
    let aligns = narrowed(&mut rows, page.width);
    let mut out = columns(&rows, &aligns, page.width, page.palette);
    let has = |repeat| leaves.iter().any(|leaf| leaf.branch.repeat == repeat);
    let legend = [
        (Repeat::Above, ABOVE, "its branches stand above"),
        (Repeat::Circle, CIRCLE, "a circle: it goes on as above"),
    ];
    let legend = legend.iter().filter(|(repeat, ..)| has(*repeat));
    let legend: Vec<String> = legend
        .map(|(_, mark, text)| page.palette.paint(Tone::Quiet, &format!("{mark} {text}")) + "\n")
        .collect();
    if !legend.is_empty() {
        out.push('\n');
        out.push_str(&legend.concat());
    }
    out
}

fn tone(state: &str) -> Tone {
    match state {
        "missing" => Tone::Bad,
        state => state_tone(state),
    }
}

/// The lines and corners before each name. What is deeper than so many levels begins with its depth.
fn guides(leaves: &[Leaf], levels: usize) -> Vec<String> {
    let mut guides = Vec::with_capacity(leaves.len());
    // From the end: whether more follows on a level, as far as that level's parent goes.
    let mut open: Vec<Follows> = Vec::new();
    for leaf in leaves.iter().rev() {
        let depth = leaf.branch.depth;
        open.resize(depth + 1, Follows::Nothing);
        let mut guide = String::new();
        let first = depth.saturating_sub(levels) + 1;
        if first > 1 {
            guide.push_str(&format!("({depth}) "));
        }
        for level in open.get(first..depth).unwrap_or_default() {
            guide.push_str(match level {
                Follows::Sibling => "│  ",
                Follows::Nothing => "   ",
            });
        }
        if let Some(level) = open.get_mut(depth) {
            if depth > 0 {
                guide.push_str(match level {
                    Follows::Sibling => "├─ ",
                    Follows::Nothing => "└─ ",
                });
            }
            *level = Follows::Sibling;
        }
        guides.push(guide);
    }
    guides.reverse();
    guides
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Follows {
    Sibling,
    Nothing,
}

/// Leaves the keys out where they do not fit, then cuts the names.
fn narrowed(rows: &mut [Vec<Cell>], width: Option<usize>) -> Vec<Align> {
    let aligns = vec![Align::Left; 3];
    let Some(width) = width else {
        return aligns;
    };
    let wide = |rows: &[Vec<Cell>], column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widths = cells.map(|cell| cell.text.chars().count());
        widths.max().unwrap_or(0)
    };
    let (name, state, keys) = (wide(rows, 0), wide(rows, 1), wide(rows, 2));
    if name + state + keys + 2 * GAP <= width {
        return aligns;
    }
    for row in rows.iter_mut() {
        row.truncate(2);
    }
    let room = width.saturating_sub(state + GAP).max(NAME_MIN);
    if name > room {
        for cell in rows.iter_mut().filter_map(|row| row.first_mut()) {
            cell.text = fit(&cell.text, room);
        }
    }
    vec![Align::Left; 2]
}

pub(in crate::cli) fn tree_json(leaves: &[Leaf]) -> Json {
    let leaf = |leaf: &Leaf| {
        let branch = &leaf.branch;
        let parent = branch.parent.as_ref();
        let repeat = match branch.repeat {
            Repeat::First => Json::Null,
            Repeat::Above => Json::text("above"),
            Repeat::Circle => Json::text("circle"),
        };
        let keys = branch.keys.iter().map(|key| Json::text(key));
        Json::Object(vec![
            ("name", Json::text(branch.name.as_str())),
            ("state", Json::text(&leaf.state)),
            ("depth", Json::number(u64::try_from(branch.depth).ok())),
            (
                "parent",
                parent.map_or(Json::Null, |name| Json::text(name.as_str())),
            ),
            ("keys", Json::List(keys.collect())),
            ("repeat", repeat),
        ])
    };
    Json::List(leaves.iter().map(leaf).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cli::golden::check;
    use crate::cli::style::Palette;
    use crate::unit::UnitName;

    fn leaf(depth: usize, name: &str, state: &str, keys: &[&'static str]) -> Leaf {
        Leaf {
            branch: Branch {
                name: UnitName::parse(name).unwrap(),
                parent: None,
                depth,
                keys: keys.to_vec(),
                repeat: Repeat::First,
            },
            state: state.to_owned(),
        }
    }

    fn leaves() -> Vec<Leaf> {
        let mut leaves = vec![
            leaf(0, "shop", "running", &[]),
            leaf(
                1,
                "api-with-a-long-name",
                "waiting",
                &["Requires", "Upholds"],
            ),
            leaf(2, "database", "restarting", &["Requires"]),
            leaf(3, "prepare", "exited", &["BindsTo"]),
            leaf(2, "cache", "missing", &["Wants"]),
            leaf(1, "web", "failed", &["Wants"]),
            leaf(2, "database", "restarting", &["Requires"]),
            leaf(0, "x", "stopped", &[]),
            leaf(1, "y", "stopped", &["Wants"]),
            leaf(2, "x", "stopped", &["Wants"]),
        ];
        leaves[6].branch.repeat = Repeat::Above;
        leaves[9].branch.repeat = Repeat::Circle;
        leaves
    }

    fn page(palette: Palette, width: Option<usize>) -> Page {
        Page {
            palette,
            width,
            now_ms: 0,
        }
    }

    #[test]
    fn a_tree_is_as_in_the_golden_files() {
        let leaves = leaves();
        check("tree", &tree(&leaves, page(Palette::Plain, None)));
        check("tree-40", &tree(&leaves, page(Palette::Plain, Some(40))));
        check("tree-20", &tree(&leaves, page(Palette::Plain, Some(20))));
        check("tree-colored", &tree(&leaves, page(Palette::Colored, None)));
        check("tree-json", &tree_json(&leaves).document());
    }

    #[test]
    fn depth_does_not_fill_the_line() {
        let chain: Vec<Leaf> = (0..1_000)
            .map(|depth| leaf(depth, "u", "running", &[]))
            .collect();
        let text = tree(&chain, page(Palette::Plain, Some(40)));
        assert!(
            text.lines().all(|line| line.chars().count() <= 40),
            "{text}"
        );
        assert!(text.contains("(999) "));
    }
}
