//! A plan as a reader wants it: numbered steps in the order of their turns, each with its reason and what it waits for.
//!
//! Owns the order in which a plan is told; that of the work itself is `settle.rs`'s, by the same rules. It looks only:
//! nothing is done, and no definition is taken over.

use std::collections::{BTreeMap, BTreeSet};

use crate::sorted::{self, Sorted};
use crate::unit::{Unit, UnitName};

use super::job::Deed;
use super::plan::{Because, Ground, Plan, Step};
use super::request::Wish;
use super::service::Service;
use super::stage::Stage;
use super::verb::Reloading;
use super::{
    Absent, Asker, Cause, Engine, FactPhase, Impossible, Mode, Refusal, RequestId, State, UnitId,
    Verb,
};

/// What a wish would do, were it made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// In the order of their turns.
    pub steps: Vec<Prospect>,
    /// What follows from them once they are done. Their places count on from the steps.
    pub foretold: Vec<Prospect>,
    /// Units of the wish to which nothing would be done, and why.
    pub untouched: Vec<(UnitName, Untouched)>,
    /// What is wanted and would not be started, and what would not stay down, and why.
    pub left_out: Vec<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prospect {
    pub unit: UnitName,
    pub act: Act,
    /// A sentence: "api requires it".
    pub reason: String,
    /// The steps that it waits for, by their place in the list.
    pub after: Vec<usize>,
    /// What it waits for that is under way already, and how that stands.
    pub waits_for: Vec<(UnitName, State)>,
}

/// Why nothing would be done to a unit that was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untouched {
    /// It is so, or on its way there.
    Is(State),
    Reloads,
    Impossible(Impossible),
}

/// What would be done to a unit in one step. A restart is two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    Stop,
    Start,
    /// A stop that has not begun is taken back.
    Keep,
    Reload,
}

impl Act {
    /// The word in `plan` and its JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Keep => "keep",
            Self::Reload => "reload",
        }
    }
}

/// A step, before it has a number.
type Node = (UnitId, Act);

/// One plan, being put into order.
struct Sorter<'a> {
    ground: Ground<'a>,
    /// Why, by step; the first reason stands.
    nodes: BTreeMap<Node, String>,
    /// In the order of the plan.
    order: Vec<Node>,
}

impl Engine {
    /// What a wish would do. The arguments are those of [`super::Event::Request`]; only `Start`, `Stop`, `Restart` and
    /// `Reload` have steps to tell of.
    ///
    /// # Errors
    /// The wish would be refused.
    pub fn outlook(
        &self,
        verb: Verb,
        targets: Vec<UnitName>,
        definitions: &[Unit],
        absent: &[Absent],
    ) -> Result<Outlook, Refusal> {
        if self.mode != Mode::Serving {
            return Err(Refusal::ShuttingDown);
        }
        let wish = Wish {
            request: RequestId(0),
            verb,
            by: Asker::Client { uid: 0, pid: 0 },
            first_asked: None,
            targets,
        };
        let left_out = self.check_wish(&wish, definitions, absent)?;
        let stage = Stage::new(self, definitions);
        let (units, plan) = self.plan_of(&wish, &stage, &left_out)?;
        let ground = Ground {
            engine: self,
            stage: &stage,
        };
        let mut outlook = Outlook {
            steps: Sorter::new(ground, &plan).sorted(),
            foretold: Vec::new(),
            untouched: Vec::new(),
            left_out: left_out.into_iter().map(|(_, text)| text).collect(),
        };
        let texts = plan.left_out.iter();
        let texts = texts.filter_map(|left_out| left_out.text(|unit| ground.name(unit)));
        outlook.left_out.extend(texts);
        if verb == Verb::Reload {
            self.foresee_reload(ground, &units, &mut outlook);
        } else {
            self.foresee_nothing(&wish, ground, (&units, &plan), &mut outlook);
        }
        if verb == Verb::Stop {
            self.foresee_what_follows(&plan, &mut outlook);
        }
        Ok(outlook)
    }

    fn foresee_what_follows(&self, plan: &Plan, outlook: &mut Outlook) {
        let foretold = self.foretold(plan);
        let stops = (0..).zip(&outlook.steps);
        let stops = stops.filter(|(_, step)| step.act == Act::Stop);
        let mut places: BTreeMap<UnitName, usize> =
            stops.map(|(at, step)| (step.unit.clone(), at)).sorted_map();
        for unit in &foretold.unneeded {
            let Some(name) = self.name(*unit) else {
                continue;
            };
            let holders = self.graph.of(*unit).holders();
            let names = holders.filter_map(|holder| self.name(*holder));
            let mut after: Vec<usize> = names
                .filter_map(|name| places.get(&name).copied())
                .collect();
            sorted::sort(&mut after);
            after.dedup();
            let place = outlook.steps.len() + outlook.foretold.len();
            places.insert(name.clone(), place);
            outlook.foretold.push(Prospect {
                unit: name,
                act: Act::Stop,
                reason: Cause::Unneeded.to_string(),
                after,
                waits_for: Vec::new(),
            });
        }
        outlook.left_out.extend(self.upheld_texts(&foretold));
    }

    fn foresee_reload(&self, ground: Ground<'_>, units: &[UnitId], outlook: &mut Outlook) {
        for unit in units {
            let Some(name) = ground.name(*unit) else {
                continue;
            };
            match self.reloading_of(*unit) {
                Reloading::Run => outlook.steps.push(Prospect {
                    unit: name,
                    act: Act::Reload,
                    reason: ASKED.to_owned(),
                    after: Vec::new(),
                    waits_for: Vec::new(),
                }),
                Reloading::Join => outlook.untouched.push((name, Untouched::Reloads)),
                Reloading::Impossible(reason) => {
                    outlook
                        .untouched
                        .push((name, Untouched::Impossible(reason)));
                }
            }
        }
    }

    /// Those that were named and have nothing to do.
    fn foresee_nothing(
        &self,
        wish: &Wish,
        ground: Ground<'_>,
        (units, plan): (&[UnitId], &Plan),
        outlook: &mut Outlook,
    ) {
        let busy: BTreeSet<UnitId> = plan
            .steps
            .iter()
            .filter(|step| !step.acts().is_empty())
            .map(|step| step.unit)
            .sorted_set();
        for unit in units.iter().filter(|unit| !busy.contains(unit)) {
            let state = self.service(*unit).map_or(State::Stopped, |s| s.state());
            let refused = ground.stage.not_by_hand(self, wish, *unit);
            let why = refused.map_or(Untouched::Is(state), Untouched::Impossible);
            outlook
                .untouched
                .extend(ground.name(*unit).map(|name| (name, why)));
        }
    }
}

/// The reason of what was named.
const ASKED: &str = "you ask for it";

impl Step {
    /// What it does, in this order.
    fn acts(&self) -> &'static [Act] {
        match self.deed {
            Deed::Nothing | Deed::Done | Deed::Join => &[],
            Deed::Start | Deed::StartAfter => &[Act::Start],
            Deed::Keep => &[Act::Keep],
            Deed::Stop => &[Act::Stop],
            Deed::Restart => &[Act::Stop, Act::Start],
        }
    }
}

impl<'a> Sorter<'a> {
    fn new(ground: Ground<'a>, plan: &Plan) -> Self {
        let mut sorter = Self {
            ground,
            nodes: BTreeMap::new(),
            order: Vec::new(),
        };
        for step in &plan.steps {
            let reason = match step.because {
                Because::Asked => ASKED.to_owned(),
                Because::Edge(atom, from) => ground
                    .name(from)
                    .map_or_else(String::new, |from| (atom.because)(from).to_string()),
            };
            for act in step.acts() {
                let node = (step.unit, *act);
                if !sorter.nodes.contains_key(&node) {
                    sorter.order.push(node);
                    sorter.nodes.insert(node, reason.clone());
                }
            }
        }
        sorter
    }

    /// Each step behind those that it waits for; where that leaves a choice, in the order of the plan.
    fn sorted(self) -> Vec<Prospect> {
        let place: BTreeMap<Node, usize> = self.order.iter().copied().zip(0..).sorted_map();
        let mut ahead: Vec<Vec<usize>> = Vec::with_capacity(self.order.len());
        let mut behind: Vec<Vec<usize>> = vec![Vec::new(); self.order.len()];
        for (at, node) in self.order.iter().enumerate() {
            let steps = self.ahead(*node).into_iter();
            let steps: BTreeSet<usize> = steps.filter_map(|n| place.get(&n).copied()).sorted_set();
            for step in &steps {
                if let Some(list) = behind.get_mut(*step) {
                    list.push(at);
                }
            }
            ahead.push(steps.into_iter().collect());
        }
        let mut open: Vec<usize> = ahead.iter().map(Vec::len).collect();
        let mut ready: BTreeSet<usize> = (0..)
            .zip(&open)
            .filter(|(_, n)| **n == 0)
            .map(|(at, _)| at)
            .sorted_set();
        let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
        let mut prospects = Vec::with_capacity(self.order.len());
        while let Some(at) = ready.pop_first() {
            let (Some(node), Some(before)) = (self.order.get(at), ahead.get(at)) else {
                break;
            };
            numbers.insert(at, prospects.len());
            prospects.extend(
                self.prospect(
                    *node,
                    nearest(before, &ahead)
                        .iter()
                        .filter_map(|at| numbers.get(at)),
                ),
            );
            for next in behind.get(at).into_iter().flatten() {
                if let Some(left) = open.get_mut(*next) {
                    *left -= 1;
                    if *left == 0 {
                        ready.insert(*next);
                    }
                }
            }
        }
        debug_assert_eq!(prospects.len(), self.order.len(), "the order has no cycle");
        prospects
    }

    fn prospect<'n>(
        &self,
        (unit, act): Node,
        after: impl Iterator<Item = &'n usize>,
    ) -> Option<Prospect> {
        let mut after: Vec<usize> = after.copied().collect();
        sorted::sort(&mut after);
        let waits = self.under_way((unit, act)).into_iter();
        let waits_for = waits.filter_map(|unit| {
            let service = self.ground.engine.service(unit)?;
            Some((service.unit.name.clone(), service.state()))
        });
        Some(Prospect {
            unit: self.ground.name(unit)?,
            act,
            reason: self.nodes.get(&(unit, act)).cloned().unwrap_or_default(),
            after,
            waits_for: waits_for.collect(),
        })
    }

    /// The steps that this one waits for, if they are in the plan.
    fn ahead(&self, (unit, act): Node) -> Vec<Node> {
        let edges = self.ground.graph().of(unit);
        let stops = edges.followers.iter().map(|next| (*next, Act::Stop));
        match act {
            Act::Stop => stops.collect(),
            Act::Start => {
                let first = edges.after.iter();
                let first = first.flat_map(|first| [(*first, Act::Stop), (*first, Act::Start)]);
                let beside = edges.rare().opponents().map(|other| (other, Act::Stop));
                let first = first.chain(stops).chain(beside);
                first.chain([(unit, Act::Stop)]).collect()
            }
            Act::Keep | Act::Reload => Vec::new(),
        }
    }

    /// What it waits for that is on its way already.
    fn under_way(&self, (unit, act): Node) -> Vec<UnitId> {
        let engine = self.ground.engine;
        let edges = self.ground.graph().of(unit);
        let planned = |other: UnitId| {
            [Act::Stop, Act::Start, Act::Keep]
                .into_iter()
                .any(|act| self.nodes.contains_key(&(other, act)))
        };
        let stopping = |other: &UnitId| {
            engine
                .service(*other)
                .is_some_and(|service| service.is_stopping())
                && !planned(*other)
        };
        let coming = |first: &UnitId| {
            let required = edges.requires.contains(first);
            let on_its_way = |service: &Service| {
                let kind = service.kind();
                let comes = kind.starts() || kind == FactPhase::Waiting || service.is_stopping();
                comes || (required && kind == FactPhase::Backoff)
            };
            engine.service(*first).is_some_and(on_its_way) && !planned(*first)
        };
        let stops = edges.followers.iter().copied().filter(stopping);
        match act {
            Act::Stop => stops.collect(),
            Act::Start => {
                let own = engine.service(unit).filter(|service| service.kind().ends());
                let first = edges.after.iter().copied().filter(coming);
                own.map(|_| unit)
                    .into_iter()
                    .chain(first)
                    .chain(stops)
                    .collect()
            }
            Act::Keep | Act::Reload => Vec::new(),
        }
    }
}

/// Those of `before` that none of the others waits for itself: the rest goes without saying.
/// Both lists are sorted; of two, the shorter one is gone through, since a hub may stand behind thousands.
fn nearest(before: &[usize], ahead: &[Vec<usize>]) -> Vec<usize> {
    if before.len() <= 1 {
        return before.to_vec();
    }
    let mut behind_others = BTreeSet::new();
    for others in before.iter().filter_map(|at| ahead.get(*at)) {
        let (few, many) = match others.len() < before.len() {
            true => (others.as_slice(), before),
            false => (before, others.as_slice()),
        };
        let both = few.iter().filter(|at| many.binary_search(at).is_ok());
        behind_others.extend(both.copied());
    }
    let before = before.iter().copied();
    before.filter(|at| !behind_others.contains(at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_without_saying_is_left_out_however_long_the_lists() {
        let hub: Vec<usize> = (0..100).collect();
        let mut ahead = vec![Vec::new(); 100];
        ahead.push(hub.clone());
        assert_eq!(nearest(&[100], &ahead), [100]);
        assert_eq!(nearest(&[3, 100], &ahead), [100]);
        assert_eq!(nearest(&hub, &ahead), hub);
        ahead.push(vec![7]);
        let all: Vec<usize> = (0..100).chain([101]).collect();
        assert!(!nearest(&all, &ahead).contains(&7));
    }
}
