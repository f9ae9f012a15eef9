//! What follows from what: each change of state names the entry that it came of, down to a wish or to something that
//! happened in the world.
//!
//! Owns the links between changes and wishes. A link goes to what was published last of whoever brought the change
//! about: the wish, another unit, or the unit's own step before. A cause that is an event of its own (a process has
//! ended, a time limit has passed) has no link: there the chain ends. What a cause is called stands in `story_text.rs`.

use crate::unit::UnitName;

use super::phase::{Goal, failure_word};
use super::request::Wish;
use super::service::Service;
use super::{
    Cause, Change, ChangeId, Effect, Engine, FactReason, Failure, Refusal, State, Taken, UnitId,
};

impl Cause {
    /// The other unit that brought it about, if one did.
    #[must_use]
    pub fn other(&self) -> Option<&UnitName> {
        match self {
            Self::RequiredBy(unit)
            | Self::WantedBy(unit)
            | Self::BoundBy(unit)
            | Self::UpheldBy(unit)
            | Self::FailureOf(unit)
            | Self::SuccessOf(unit)
            | Self::Requires(unit)
            | Self::Requisite(unit)
            | Self::BindsTo(unit)
            | Self::PartOf(unit)
            | Self::Conflicts(unit) => Some(unit),
            Self::Failed(failure) => failure.other(),
            Self::Asked(_)
            | Self::Unneeded
            | Self::Ordered
            | Self::AutoRestart { .. }
            | Self::Ready
            | Self::Reloads
            | Self::Reloaded
            | Self::Skipped(_)
            | Self::Ended(_)
            | Self::Gone
            | Self::Leaving
            | Self::Shutdown
            | Self::Restored => None,
        }
    }

    /// Whether it only tells how far the unit has come on its way up, or while it is up.
    fn is_progress(&self) -> bool {
        matches!(self, Self::Ready | Self::Reloads | Self::Reloaded)
    }

    /// Whether somebody wanted it so: what follows from it is carried out, whatever happens on the way.
    fn is_order(&self) -> bool {
        match self {
            Self::Asked(_) | Self::Shutdown | Self::Unneeded => true,
            Self::Failed(_) => false,
            _ => self.other().is_some(),
        }
    }
}

impl Failure {
    /// The other unit whose failure it is first of all, if it is one's.
    fn other(&self) -> Option<&UnitName> {
        let Self::Dependency { on, .. } = self else {
            return None;
        };
        Some(on)
    }
}

impl Engine {
    /// Counts changes and wishes on from `last`, an earlier daemon's: the record outlives daemons. To be called between
    /// events, when all that came of them is written down.
    pub fn count_changes_on_from(&mut self, last: ChangeId) {
        self.last_change = self.last_change.max(last.0);
    }

    /// The youngest change or wish of all; 0 if there was none.
    #[must_use]
    pub fn last_change(&self) -> ChangeId {
        ChangeId(self.last_change)
    }

    fn next_change(&mut self) -> ChangeId {
        self.last_change += 1;
        ChangeId(self.last_change)
    }

    /// A wish is taken up: what follows in this event follows from it.
    pub(super) fn note_wish(&mut self, wish: &Wish) {
        self.wish = Some(self.note(wish, None));
    }

    /// A wish is refused: it is written down, and nothing follows from it.
    pub(super) fn note_refused(&mut self, wish: &Wish, refusal: &Refusal) {
        self.note(wish, Some(refusal.clone()));
    }

    fn note(&mut self, wish: &Wish, refused: Option<Refusal>) -> ChangeId {
        let id = self.next_change();
        self.batch.push(Effect::Taken(Box::new(Taken {
            id,
            at: self.now,
            request: wish.request,
            verb: wish.verb,
            by: wish.by,
            first_asked: wish.first_asked,
            targets: wish.targets.clone(),
            refused,
        })));
        id
    }

    /// Gives the unit another cause. It is published with the next change of its state.
    pub(super) fn give_cause(&mut self, unit: UnitId, cause: Cause) {
        let is_going = |service: &Service| service.goal != Goal::Up;
        if cause.is_progress() && self.service(unit).is_some_and(is_going) {
            // Its stop waits for its turn: that is why it is as it is.
            return;
        }
        let because = self.because(unit, &cause);
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        service.cause = cause;
        service.because = because;
        service.voice = None;
        if service.goal == Goal::Cycle && service.cause.is_order() {
            service.again = Some(Box::new(service.reason()));
        }
    }

    /// The unit comes up again for the reason for which it went down, whatever has happened to it on the way.
    pub(super) fn recall_order(&mut self, unit: UnitId) -> Cause {
        let Some(service) = self.service_mut(unit) else {
            return Cause::Gone;
        };
        if let Some(reason) = service.again.take() {
            service.cause = reason.cause;
            service.because = reason.because;
        }
        service.cause.clone()
    }

    /// Which entry a cause goes back to.
    fn because(&mut self, unit: UnitId, cause: &Cause) -> Option<ChangeId> {
        let service = self.service(unit)?;
        if self.wish.is_none() && service.because.is_some() && service.cause == *cause {
            return service.because;
        }
        let is_order = service.cause.is_order();
        match cause {
            Cause::Asked(_) | Cause::Shutdown => self.wish,
            // Its last run says why; the step before it is that run's.
            Cause::AutoRestart { .. } | Cause::Ready | Cause::Reloaded | Cause::Ordered => {
                self.voice(unit)
            }
            Cause::Gone if is_order || service.shown == State::Stopping => self.voice(unit),
            Cause::Gone => None,
            // What goes wrong with a stop is that stop's.
            Cause::Failed(failure)
                if is_order && service.shown == State::Stopping && failure.other().is_none() =>
            {
                self.voice(unit)
            }
            Cause::Unneeded => {
                // Who had gone before this life began has let go of an earlier one.
                let begun = service.begun;
                let has_let_go = |holder: &UnitId| {
                    let holder = self.service(*holder);
                    holder.is_some_and(|holder| holder.since >= begun)
                };
                let holders = self.graph.of(unit).holders().copied();
                let holders: Vec<UnitId> = holders.filter(has_let_go).collect();
                let voices = holders.into_iter().filter_map(|holder| self.voice(holder));
                voices.max()
            }
            Cause::Reloads
            | Cause::Skipped(_)
            | Cause::Ended(_)
            | Cause::Leaving
            | Cause::Restored => None,
            tie => {
                let other = self.id(tie.other()?)?;
                // A unit that this wish has left as it was is not why.
                match self.passed.get(&other) {
                    Some(passed) => Some(*passed),
                    None => self.wish.max(self.voice(other)),
                }
            }
        }
    }

    /// Publishes why a unit that stays as it is has brought something about. Its own cause stays.
    pub(super) fn explain(&mut self, unit: UnitId, cause: Cause) -> Option<ChangeId> {
        let because = self.because(unit, &cause);
        self.explain_by(unit, cause, because)
    }

    fn explain_by(
        &mut self,
        unit: UnitId,
        cause: Cause,
        because: Option<ChangeId>,
    ) -> Option<ChangeId> {
        let state = self.service(unit)?.shown;
        let change = Change {
            id: self.next_change(),
            unit: self.name(unit)?,
            at: self.now,
            from: state,
            to: state,
            cause,
            because,
            retry: None,
        };
        let id = change.id;
        self.batch.push(Effect::Explain(Box::new(change)));
        Some(id)
    }

    /// The entry that tells why a unit is as it is. Where nothing has been published of that, it is now: somebody
    /// follows it.
    fn voice(&mut self, unit: UnitId) -> Option<ChangeId> {
        let service = self.service(unit)?;
        let has_story = service.cause != Cause::Gone || service.because.is_some();
        if service.voice.is_some() || !has_story {
            return service.voice;
        }
        let FactReason { cause, because } = service.reason();
        let id = Some(self.explain_by(unit, cause, because)?);
        self.changed.insert(unit);
        self.service_mut(unit)?.voice = id;
        id
    }
}

impl Service {
    pub(super) fn reason(&self) -> FactReason {
        FactReason {
            cause: self.cause.clone(),
            because: self.because,
        }
    }
}

impl FactReason {
    /// As it is written down for a successor: of a failure only what people and the restart policy need.
    pub(super) fn kept(self) -> Self {
        let cause = match self.cause {
            Cause::Failed(failure) => Cause::Failed(Failure::Recorded {
                result: failure_word(&failure).into(),
                text: failure.to_string().into(),
            }),
            other => other,
        };
        Self { cause, ..self }
    }
}
