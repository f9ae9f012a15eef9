//! The graph as it will be once a wish's definitions are taken over, for a plan that is made before they are.
//!
//! Owns which ids new units will have. A wish that is refused, or was only asked what it would do, leaves no trace.

use std::collections::{BTreeMap, BTreeSet};

use crate::unit::{Unit, UnitName};

use super::graph::Graph;
use super::request::Wish;
use super::service::Service;
use super::{Asker, Engine, Impossible, UnitId, Verb};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// `None`: the one in force, and nothing changes in it.
    graph: Option<Graph>,
    new: BTreeMap<UnitName, UnitId>,
    named: BTreeMap<UnitId, UnitName>,
    /// Known units that are defined anew.
    redefined: BTreeSet<UnitId>,
    /// Those of them that run under another definition than that.
    outdated: BTreeSet<UnitId>,
    /// What those defined here may not be asked by a person, where there is anything.
    guarded: BTreeMap<UnitId, Guard>,
}

/// `RefuseManualStart=` and `RefuseManualStop=`: what a person may not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    Nothing,
    Start,
    Stop,
    Both,
}

impl Guard {
    pub(super) fn of(unit: &Unit) -> Self {
        let relations = unit.relations();
        match (relations.refuse_manual_start, relations.refuse_manual_stop) {
            (false, false) => Self::Nothing,
            (true, false) => Self::Start,
            (false, true) => Self::Stop,
            (true, true) => Self::Both,
        }
    }

    /// Why a person's wish leaves the unit as it is. A restart is both.
    pub(super) fn refuses(self, wish: &Wish) -> Option<Impossible> {
        let Asker::Client { .. } = wish.by else {
            return None;
        };
        match (wish.verb, self) {
            (Verb::Start | Verb::Restart(_), Self::Start | Self::Both) => {
                Some(Impossible::ManualStart)
            }
            (Verb::Stop | Verb::Restart(_), Self::Stop | Self::Both) => {
                Some(Impossible::ManualStop)
            }
            (
                Verb::Start
                | Verb::Stop
                | Verb::Restart(_)
                | Verb::Reload
                | Verb::Renew
                | Verb::Reset
                | Verb::Signal(_)
                | Verb::Freeze
                | Verb::Thaw
                | Verb::Shutdown,
                _,
            ) => None,
        }
    }
}

impl Stage {
    /// Where these definitions are in force besides what is known.
    pub(super) fn new(engine: &Engine, definitions: &[Unit]) -> Self {
        if definitions.is_empty() {
            return Self::default();
        }
        let mut stage = Self::default();
        let mut newest: BTreeMap<UnitId, &Unit> = BTreeMap::new();
        let mut last = engine.last_unit;
        for unit in definitions {
            let id = stage.id(engine, &unit.name).unwrap_or_else(|| {
                // As `Engine::add` counts.
                last += 1;
                UnitId(last)
            });
            if let Some(service) = engine.service(id) {
                stage.redefined.insert(id);
                if !service.is_free() && *unit != *service.unit {
                    stage.outdated.insert(id);
                }
            } else {
                stage.new.insert(unit.name.clone(), id);
                stage.named.insert(id, unit.name.clone());
            }
            let guard = Guard::of(unit);
            if guard != Guard::Nothing {
                stage.guarded.insert(id, guard);
            }
            newest.insert(id, unit);
        }
        // Most requests change no edge: those of thousands of units are not made anew for them.
        if !definitions
            .iter()
            .any(|unit| engine.relates_otherwise(unit))
        {
            return stage;
        }
        let known = engine.services.iter();
        for (id, service) in known {
            newest.entry(*id).or_insert_with(|| service.newest());
        }
        let units: Vec<(UnitId, &Unit)> = newest.into_iter().collect();
        stage.graph = Some(if stage.new.is_empty() {
            Graph::new(&units, &engine.names)
        } else {
            let mut names = engine.names.clone();
            names.extend(stage.new.clone());
            Graph::new(&units, &names)
        });
        stage
    }

    pub(super) fn id(&self, engine: &Engine, name: &UnitName) -> Option<UnitId> {
        engine.id(name).or_else(|| self.new.get(name).copied())
    }

    pub(super) fn name(&self, engine: &Engine, unit: UnitId) -> Option<UnitName> {
        engine.name(unit).or_else(|| self.named.get(&unit).cloned())
    }

    /// Whether the unit runs under a definition that is not the newest.
    pub(super) fn is_outdated(&self, engine: &Engine, unit: UnitId) -> bool {
        if self.redefined.contains(&unit) {
            return self.outdated.contains(&unit);
        }
        engine
            .service(unit)
            .is_some_and(|service| service.next.is_some())
    }

    /// Why a person's wish leaves this unit as it is.
    pub(super) fn not_by_hand(
        &self,
        engine: &Engine,
        wish: &Wish,
        unit: UnitId,
    ) -> Option<Impossible> {
        let is_here = self.redefined.contains(&unit) || self.named.contains_key(&unit);
        match is_here {
            true => self.guarded.get(&unit)?.refuses(wish),
            false => Guard::of(engine.service(unit)?.newest()).refuses(wish),
        }
    }

    pub(super) fn graph<'a>(&'a self, engine: &'a Engine) -> &'a Graph {
        self.graph.as_ref().unwrap_or(&engine.graph)
    }
}

impl Engine {
    /// Puts what was planned for into force.
    pub(super) fn take_over(&mut self, definitions: Vec<Unit>, stage: Stage) {
        for unit in definitions {
            self.define(unit);
        }
        debug_assert!(
            stage
                .new
                .iter()
                .all(|(name, id)| self.id(name) == Some(*id)),
            "new units get the ids that were planned with"
        );
        self.unsaved.extend(stage.new.values());
        // Who is new and is to be up while another one is may be down.
        self.work.extend(stage.new.values());
        let redefined = stage.redefined.iter().copied();
        // What a unit no longer names may be unneeded now, and what it names now may be down.
        for unit in redefined.clone() {
            self.work.extend(self.graph.neighbours(unit));
        }
        self.work.extend(redefined.clone());
        let Some(graph) = stage.graph else {
            return;
        };
        self.graph = graph;
        // What has kept an upheld unit down may be gone from the files.
        self.release_held_back();
        for unit in redefined.chain(stage.new.values().copied()) {
            self.work.extend(self.graph.neighbours(unit));
        }
        // Whoever waits for its turn may wait for somebody else now, or for nobody.
        let is_waiting = |service: &Service| {
            service.kind() == super::FactPhase::Waiting || service.awaits_stop()
        };
        let waiting = self
            .services
            .iter()
            .filter(|(_, service)| is_waiting(service));
        self.work.extend(waiting.map(|(id, _)| *id));
    }
}
