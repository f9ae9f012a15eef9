//! What the outside does: weighted actions, with weights drawn for each game.
//!
//! Swarm testing: a game in which some actions never happen reaches corners that an even mix of all of them does not.

use diakonos::engine::{Scope, Verb};
use diakonos::unit::Signal;

use crate::entropy::Entropy;

/// One step of a game. The first one is the kindest: the world goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A report reaches the engine, or time goes on to the next one.
    GoOn,
    Start,
    Stop,
    Restart,
    RestartIfRunning,
    Reload,
    /// Files are read again under what runs.
    Renew,
    Reset,
    Signal,
    Freeze,
    Thaw,
    Shutdown,
    /// A client goes away without waiting for its answer.
    Vanish,
    /// A process ends out of its turn.
    Strike,
    /// A unit file changes, appears or disappears.
    Rewrite,
    SmallStep,
    HugeStep,
    /// The daemon dies now, or in the middle of what it does next.
    Crash,
    /// A service says something of itself.
    Speak,
    /// A unit's definition is cleared away, if it rests.
    Forget,
    /// Facts read back are the same facts.
    Compare,
}

const ACTIONS: [Action; 21] = [
    Action::GoOn,
    Action::Start,
    Action::Stop,
    Action::Restart,
    Action::RestartIfRunning,
    Action::Reload,
    Action::Renew,
    Action::Reset,
    Action::Signal,
    Action::Freeze,
    Action::Thaw,
    Action::Shutdown,
    Action::Vanish,
    Action::Strike,
    Action::Rewrite,
    Action::SmallStep,
    Action::HugeStep,
    Action::Crash,
    Action::Speak,
    Action::Forget,
    Action::Compare,
];

/// How often each action comes, beside the others.
#[derive(Clone, Debug)]
pub(crate) struct Weights([u32; ACTIONS.len()]);

impl Weights {
    pub(crate) fn draw(entropy: &mut Entropy) -> Self {
        let mut weights = [0; ACTIONS.len()];
        for (action, weight) in ACTIONS.iter().zip(&mut weights) {
            *weight = match action {
                Action::GoOn => entropy.pick(&[200, 60, 600]),
                Action::Start => entropy.pick(&[30, 10, 60]),
                Action::Stop | Action::Restart => entropy.pick(&[0, 10, 30, 60]),
                Action::RestartIfRunning
                | Action::Reload
                | Action::Renew
                | Action::Reset
                | Action::Signal => entropy.pick(&[0, 4, 15]),
                Action::Freeze | Action::Thaw => entropy.pick(&[0, 0, 10]),
                Action::Shutdown => entropy.pick(&[0, 0, 0, 1, 3]),
                Action::Speak => entropy.pick(&[0, 10, 60]),
                Action::Vanish | Action::Rewrite => entropy.pick(&[0, 5, 25]),
                Action::Strike => entropy.pick(&[0, 10, 60]),
                Action::SmallStep => entropy.pick(&[0, 10, 60]),
                Action::HugeStep => entropy.pick(&[0, 2, 10]),
                Action::Crash => entropy.pick(&[0, 0, 5, 20]),
                Action::Forget => entropy.pick(&[0, 0, 5]),
                Action::Compare => 3,
            };
        }
        Self(weights)
    }

    pub(crate) fn choose(&self, entropy: &mut Entropy) -> Action {
        ACTIONS[entropy.weighted(&self.0)]
    }
}

impl Action {
    /// The wish that this action is, if it is one.
    pub(crate) fn verb(self, entropy: &mut Entropy) -> Option<Verb> {
        match self {
            Self::Start => Some(Verb::Start),
            Self::Stop => Some(Verb::Stop),
            Self::Restart => Some(Verb::Restart(Scope::All)),
            Self::RestartIfRunning => Some(Verb::Restart(Scope::Running)),
            Self::Reload => Some(Verb::Reload),
            Self::Renew => Some(Verb::Renew),
            Self::Reset => Some(Verb::Reset),
            Self::Freeze => Some(Verb::Freeze),
            Self::Thaw => Some(Verb::Thaw),
            Self::Signal => Some(Verb::Signal(entropy.pick(&[
                Signal::HUP,
                Signal::TERM,
                Signal::KILL,
                Signal::CONT,
            ]))),
            Self::Shutdown => Some(Verb::Shutdown),
            Self::GoOn
            | Self::Vanish
            | Self::Strike
            | Self::Rewrite
            | Self::SmallStep
            | Self::HugeStep
            | Self::Crash
            | Self::Speak
            | Self::Forget
            | Self::Compare => None,
        }
    }
}
