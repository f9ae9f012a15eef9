//! Dependencies as trees: who stands on whom, walked from some roots, each unit's own branches once.
//!
//! Owns the edges and the walk, both pure. Nothing here recurses: how deep a graph goes is the user's to choose.

use std::collections::{BTreeMap, BTreeSet};

use crate::sorted::Sorted;
use crate::unit::{Relation, UnitName};

/// Which units stand on which others, and by which keys.
#[derive(Debug, Default)]
pub(super) struct Forest {
    edges: BTreeMap<UnitName, Vec<Edge>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Edge {
    to: UnitName,
    keys: Vec<&'static str>,
}

/// Where a tree is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Below a unit stands what it stands on.
    Down,
    /// Below a unit stands what stands on it.
    Up,
}

/// One line of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) name: UnitName,
    /// What it hangs from; nothing for a root.
    pub(super) parent: Option<UnitName>,
    pub(super) depth: usize,
    /// The keys that make the edge.
    pub(super) keys: Vec<&'static str>,
    pub(super) repeat: Repeat,
}

/// Whether a unit's branches follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    First,
    /// They stand somewhere above.
    Above,
    /// It is its own ancestor here: they would go on for ever.
    Circle,
}

/// What is still to be done while a tree is walked.
enum Step {
    Enter(Branch),
    /// All that hangs from it is done.
    Leave(UnitName),
}

impl Forest {
    /// `from` stands on `to`, because this key says so.
    pub(super) fn add(&mut self, from: &UnitName, relation: Relation, to: &UnitName) {
        let edges = self.edges.entry(from.clone()).or_default();
        let key = relation.key();
        match edges.iter_mut().find(|edge| edge.to == *to) {
            Some(edge) if edge.keys.contains(&key) => {}
            Some(edge) => edge.keys.push(key),
            None => edges.push(Edge {
                to: to.clone(),
                keys: vec![key],
            }),
        }
    }

    /// The same edges, read in this direction.
    pub(super) fn read(self, direction: Direction) -> Self {
        if direction == Direction::Down {
            return self;
        }
        let mut turned: BTreeMap<UnitName, Vec<Edge>> = BTreeMap::new();
        for (from, edges) in self.edges {
            for edge in edges {
                turned.entry(edge.to).or_default().push(Edge {
                    to: from.clone(),
                    keys: edge.keys,
                });
            }
        }
        Self { edges: turned }
    }

    fn below(&self, name: &UnitName) -> &[Edge] {
        self.edges.get(name).map_or(&[], Vec::as_slice)
    }

    /// The trees of these units.
    pub(super) fn walk(&self, roots: &[UnitName]) -> Vec<Branch> {
        let mut branches = Vec::new();
        let mut seen = BTreeSet::new();
        for root in roots {
            self.grow(root, &mut seen, &mut branches);
        }
        branches
    }

    /// The trees of all these units: those that hang from no other come first in each, and of a circle that nothing
    /// leads to its first one.
    pub(super) fn walk_all(&self, units: &[UnitName]) -> Vec<Branch> {
        let edges = self.edges.values().flatten();
        let hanging: BTreeSet<&UnitName> = edges.map(|edge| &edge.to).sorted_set();
        let mut branches = Vec::new();
        let mut seen = BTreeSet::new();
        for root in units.iter().filter(|name| !hanging.contains(name)) {
            self.grow(root, &mut seen, &mut branches);
        }
        for root in units {
            if !seen.contains(root) {
                self.grow(root, &mut seen, &mut branches);
            }
        }
        branches
    }

    fn grow(&self, root: &UnitName, seen: &mut BTreeSet<UnitName>, branches: &mut Vec<Branch>) {
        let mut path: BTreeSet<UnitName> = BTreeSet::new();
        let mut steps = vec![Step::Enter(Branch {
            name: root.clone(),
            parent: None,
            depth: 0,
            keys: Vec::new(),
            repeat: Repeat::First,
        })];
        while let Some(step) = steps.pop() {
            let mut branch = match step {
                Step::Enter(branch) => branch,
                Step::Leave(name) => {
                    path.remove(&name);
                    continue;
                }
            };
            let (name, depth) = (branch.name.clone(), branch.depth);
            if path.contains(&name) {
                branch.repeat = Repeat::Circle;
            } else if !seen.insert(name.clone()) {
                branch.repeat = Repeat::Above;
            }
            let is_first = branch.repeat == Repeat::First;
            branches.push(branch);
            if !is_first {
                continue;
            }
            path.insert(name.clone());
            steps.push(Step::Leave(name.clone()));
            // The first of them is on top.
            let below = self.below(&name).iter().rev();
            steps.extend(below.map(|edge| {
                Step::Enter(Branch {
                    name: edge.to.clone(),
                    parent: Some(name.clone()),
                    depth: depth + 1,
                    keys: edge.keys.clone(),
                    repeat: Repeat::First,
                })
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn name(text: &str) -> UnitName {
        UnitName::parse(text).unwrap()
    }

    fn forest(edges: &[(&str, &str)]) -> Forest {
        let mut forest = Forest::default();
        for (from, to) in edges {
            forest.add(&name(from), Relation::Requires, &name(to));
        }
        forest
    }

    fn shown(branches: &[Branch]) -> Vec<String> {
        let line = |branch: &Branch| {
            let mark = match branch.repeat {
                Repeat::First => "",
                Repeat::Above => " above",
                Repeat::Circle => " circle",
            };
            format!("{}{}{mark}", " ".repeat(branch.depth), branch.name)
        };
        branches.iter().map(line).collect()
    }

    #[test]
    fn what_was_shown_is_not_shown_again() {
        let forest = forest(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e")]);
        let lines = shown(&forest.walk(&[name("a"), name("d")]));
        assert_eq!(
            lines,
            ["a", " b", "  d", "   e", " c", "  d above", "d above"]
        );
        let up = forest.read(Direction::Up);
        assert_eq!(
            shown(&up.walk(&[name("d")])),
            ["d", " b", "  a", " c", "  a above"]
        );
    }

    #[test]
    fn a_circle_ends_where_it_began() {
        let forest = forest(&[("a", "b"), ("b", "c"), ("c", "b"), ("x", "y"), ("y", "x")]);
        let units: Vec<UnitName> = ["a", "b", "c", "single", "x", "y"].map(name).to_vec();
        assert_eq!(
            shown(&forest.walk_all(&units)),
            [
                "a",
                " b",
                "  c",
                "   b circle",
                "single",
                "x",
                " y",
                "  x circle"
            ]
        );
    }

    #[test]
    fn keys_of_one_edge_stand_together() {
        let mut forest = forest(&[("a", "b")]);
        forest.add(&name("a"), Relation::Upholds, &name("b"));
        forest.add(&name("a"), Relation::Upholds, &name("b"));
        let branches = forest.walk(&[name("a")]);
        assert_eq!(branches[1].keys, ["Requires", "Upholds"]);
        assert_eq!(branches[1].parent, Some(name("a")));
    }

    #[test]
    fn a_chain_of_any_length_is_walked() {
        let mut forest = Forest::default();
        for n in 0..10_000 {
            let next = name(&format!("u{}", n + 1));
            forest.add(&name(&format!("u{n}")), Relation::Requires, &next);
        }
        let branches = forest.walk(&[name("u0")]);
        assert_eq!(branches.len(), 10_001);
        assert_eq!(branches[10_000].depth, 10_000);
    }
}
