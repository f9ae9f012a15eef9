//! The graph as it will be once a wish's definitions are taken over, for a plan that is made before they are.
//!
//! Owns which ids new units will have. A wish that is refused, or was only asked what it would do, leaves no trace.

use std::collections::{BTreeMap, BTreeSet};

use crate::unit::{Unit, UnitName};

use super::graph::Graph;
use super::service::Service;
use super::{Engine, UnitId};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// `None`: the one in force.
    graph: Option<Graph>,
    new: BTreeMap<UnitName, UnitId>,
    named: BTreeMap<UnitId, UnitName>,
    /// Known units that are defined anew.
    redefined: BTreeSet<UnitId>,
    /// Those of them that run under another definition than that.
    outdated: BTreeSet<UnitId>,
}

impl Stage {
    /// Where these definitions are in force besides what is known.
    pub(super) fn new(engine: &Engine, definitions: &[Unit]) -> Self {
        if definitions.is_empty() {
            return Self::default();
        }
        let known = engine.services.iter();
        let mut newest: BTreeMap<UnitId, &Unit> =
            known.map(|(id, service)| (*id, service.newest())).collect();
        let mut stage = Self::default();
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
            newest.insert(id, unit);
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

    pub(super) fn graph<'a>(&'a self, engine: &'a Engine) -> &'a Graph {
        self.graph.as_ref().unwrap_or(&engine.graph)
    }
}

impl Engine {
    /// Puts what was planned for into force.
    pub(super) fn take_over(&mut self, definitions: Vec<Unit>, stage: Stage) {
        let Some(graph) = stage.graph else {
            return;
        };
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
        self.graph = graph;
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
