//! `ExecStartPost=`, and a main process that ends while it runs.
//!
//! What has begun is not cut short, as for systemd: the end is noted, and what comes of it waits for the commands.

use super::phase::{End, Goal, Phase, Why};
use super::restart;
use super::start::Verdict;
use super::{Awaited, Cause, Ending, Engine, Fate, Outcome, Role, UnitId};

impl Engine {
    pub(super) fn next_start_post(&mut self, unit: UnitId, fate: Fate) {
        let Some(Phase::StartPost {
            main,
            control,
            lost,
        }) = self.phase(unit).cloned()
        else {
            return;
        };
        match self.judge_command(unit, control, fate) {
            Verdict::Again => self.start_post(unit, (main, lost), control.index),
            Verdict::Bad(failure) => {
                let end = self.with_loss(unit, End::new(Why::Failed(failure), None));
                self.leave_start_post(unit);
                self.end_run(unit, end);
            }
            Verdict::Good if self.has(unit, Role::StartPost, control.index + 1) => {
                self.start_post(unit, (main, lost), control.index + 1);
            }
            Verdict::Good => match lost {
                None => self.ready(unit, main),
                Some(ending) => self.ready_too_late(unit, ending),
            },
        }
    }

    /// The main process ended; the command beside it goes on.
    pub(super) fn note_loss(&mut self, unit: UnitId, fate: &Fate) {
        let ending = match fate {
            Fate::Ended(ending) => *ending,
            Fate::Unborn(_) => Ending::Unknown,
        };
        if let Some(service) = self.service_mut(unit)
            && let Phase::StartPost { main, lost, .. } = &mut service.phase
        {
            *main = None;
            *lost = Some(ending);
            self.changed.insert(unit);
        }
    }

    /// The end of a run in the light of how its main process ended during `ExecStartPost=`: that came first.
    pub(super) fn with_loss(&self, unit: UnitId, mut end: End) -> End {
        let Some(Phase::StartPost {
            lost: Some(ending), ..
        }) = self.phase(unit)
        else {
            return end;
        };
        let why = self
            .definition(unit)
            .map(|definition| restart::judge(definition, 0, *ending));
        end.main = Some(*ending);
        if let Some(why @ Why::Failed(_)) = why {
            end.why = why;
        }
        end
    }

    /// All is done for a service whose main process is no more.
    fn ready_too_late(&mut self, unit: UnitId, ending: Ending) {
        let now = self.now;
        let end = self.with_loss(unit, End::new(Why::Finished, None));
        self.leave_start_post(unit);
        let Some(service) = self.service_mut(unit) else {
            return;
        };
        if end.why != Why::Finished {
            return self.end_run(unit, end);
        }
        service.ready_at = Some(now);
        let remains = service.definition().is_some_and(|d| d.remain_after_exit);
        if !remains {
            return self.end_run(unit, end);
        }
        let is_wanted = service.goal == Goal::Up;
        self.enter(unit, Phase::Exited, Some(Cause::Ended(ending)));
        if is_wanted {
            self.resolve(unit, Awaited::Up, &Outcome::Started);
        }
    }

    /// No command is under way any more.
    fn leave_start_post(&mut self, unit: UnitId) {
        if let Some(service) = self.service_mut(unit)
            && let Phase::StartPost { main, .. } = service.phase
        {
            service.phase = Phase::Running { main };
        }
    }
}
