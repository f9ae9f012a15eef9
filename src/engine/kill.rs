//! Which signals a unit's processes get, and in which order: systemd.kill(5). When they get them is `stop.rs`'s.

use crate::unit::{Kill, KillMode, Signal};

use super::phase::{Goal, Group, Left, Round, Run, Stage};
use super::{Effect, Engine, Mode, Target, UnitId};

impl Engine {
    /// The signals of a kill, to whom it is about.
    pub(super) fn send_kill(&mut self, unit: UnitId, left: Left, (stage, round): (Stage, Round)) {
        let Some(kill) = self.definition(unit).map(|definition| definition.kill) else {
            return;
        };
        let whole = left.group == Group::Watched
            && (kill.mode == KillMode::ControlGroup || stage == Stage::Hard);
        let targets = if whole {
            vec![Target::Group]
        } else {
            targets(left)
        };
        match stage {
            Stage::Gentle => self.signal_gently(unit, &targets, (kill, round)),
            Stage::Hard => {
                let signal = self.last_signal(unit);
                for target in targets {
                    self.signal(unit, target, signal);
                }
            }
        }
    }

    /// The signal that does not ask.
    pub(super) fn last_signal(&self, unit: UnitId) -> Signal {
        match (self.mode, self.definition(unit)) {
            (Mode::Serving | Mode::Ending | Mode::Over, Some(unit)) => unit.kill.final_signal,
            (Mode::Hurrying, _) | (_, None) => Signal::KILL,
        }
    }

    fn signal_gently(&mut self, unit: UnitId, targets: &[Target], (kill, round): (Kill, Round)) {
        let restarts = self
            .service(unit)
            .is_some_and(|service| service.goal == Goal::Cycle);
        let signal = match (round, kill.restart_signal) {
            (Round::Abort, _) => self
                .definition(unit)
                .map_or(kill.signal, |d| d.oversight().watchdog_signal),
            // systemd.kill(5): it is for a restart that was asked for.
            (Round::Main, Some(signal)) if restarts => signal,
            (Round::Main | Round::Final, _) => kill.signal,
        };
        let mut signals = vec![signal];
        // A stopped process cannot act on its signal.
        if signal != Signal::KILL && signal != Signal::CONT {
            signals.push(Signal::CONT);
        }
        if kill.send_sighup && signal != Signal::HUP {
            signals.push(Signal::HUP);
        }
        for signal in signals {
            for target in targets {
                self.signal(unit, *target, signal);
            }
        }
    }

    fn signal(&mut self, unit: UnitId, to: Target, signal: Signal) {
        self.batch.push(Effect::Signal { unit, to, signal });
    }

    /// Ends a command that nobody waits for any more.
    pub(super) fn kill_run(&mut self, unit: UnitId, run: Run) {
        self.signal(unit, Target::Run(run.id), Signal::KILL);
    }
}

fn targets(left: Left) -> Vec<Target> {
    [left.main, left.control]
        .into_iter()
        .flatten()
        .map(|run| Target::Run(run.id))
        .collect()
}
