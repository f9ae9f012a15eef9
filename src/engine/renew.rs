//! Newer definitions under running services: what can change at once does, the rest waits for the next start.
//!
//! Which keys these are is `unit`'s to say; what the shell holds of them it brings in line itself.

use crate::unit::{Span, differences};

use super::request::{Open, Wish};
use super::{Awaited, Effect, Engine, FactPhase, Outcome, RequestId, UnitId, restart};

impl Engine {
    /// The definitions have been taken over as newer ones; a unit without a process has its own in force already.
    pub(super) fn on_renew(&mut self, wish: &Wish, units: &[UnitId]) {
        let mut open = Open::new(Awaited::Down, units);
        for unit in units {
            let waiting = self.renew_now(*unit, wish.request);
            open.settle(*unit, Outcome::Renewed { waiting });
        }
        self.open(wish.request, open);
    }

    /// The keys that wait for the next start.
    fn renew_now(&mut self, unit: UnitId, request: RequestId) -> Vec<&'static str> {
        let Some(service) = self.service_mut(unit) else {
            return Vec::new();
        };
        let Some(next) = service.next.take() else {
            return Vec::new();
        };
        let longest = |unit: &crate::unit::Unit| {
            let service = unit.service.as_deref();
            service.map(|service| service.oversight().runtime_max)
        };
        let renewed = service.unit.renewed(&next);
        let limit = longest(&renewed).filter(|limit| longest(&service.unit) != Some(*limit));
        let asks_otherwise = service.unit.conditions != renewed.conditions;
        let mut waiting = Vec::new();
        if renewed != *next {
            let keys = differences(&renewed, &next).into_iter();
            waiting.extend(keys.map(|difference| difference.key.name));
            service.next = Some(next);
        }
        *service.unit = renewed;
        self.changed.insert(unit);
        self.work.insert(unit);
        self.batch.push(Effect::Renew { unit, request });
        if let Some(limit) = limit {
            self.limit_life(unit, limit);
        }
        if asks_otherwise {
            self.ask_otherwise(unit);
        }
        waiting
    }

    /// The answer that a start waits for would be one to other conditions.
    fn ask_otherwise(&mut self, unit: UnitId) {
        let Some(service) = self.service(unit) else {
            return;
        };
        match service.kind() {
            FactPhase::Examining if service.unit.conditions.is_empty() => self.begin(unit),
            FactPhase::Examining => self.ask_again(unit),
            _ => {}
        }
    }

    /// `RuntimeMaxSec=` counts from when the service was ready. The time limits of one that stands still do, too.
    fn limit_life(&mut self, unit: UnitId, limit: Span) {
        let Some(service) = self.service(unit) else {
            return;
        };
        let since = service.ready_at.filter(|_| service.kind().is_overseen());
        let Some(since) = since.filter(|_| service.freeze.is_none()) else {
            return;
        };
        let at = match limit {
            Span::Finite(_) => Some(since.plus_ms(restart::ms(limit).max(1))),
            Span::Infinite => None,
        };
        self.runtimes.set(unit, at);
    }
}
