//! What a unit is told to do, and what that comes to beside what it is doing already: the one place where jobs merge,
//! replace and cancel each other.
//!
//! A unit has one goal at a time, so a later job never queues behind an earlier one: it joins it or takes its place.
//! Whoever waits for what a later job has made impossible is answered at once: "superseded", and by which cause.
//!
//! | the unit … | `Start` | `Pull`, `Revive` | `Stop` | `Restart` | `TryRestart` |
//! | --- | --- | --- | --- | --- | --- |
//! | rests | start | start | nothing | start | nothing |
//! | waits for its turn to start | joined | joined | cancelled | joined | nothing |
//! | waits for its automatic restart | start now | joined | cancelled | start now | nothing |
//! | is starting | joined | joined | start cancelled, stop | restart | restart |
//! | is up | nothing | nothing | stop | restart | restart |
//! | is to stop, and has not begun to | stop taken back | stop taken back | joined | restart | nothing |
//! | is to restart, and has not begun to | joined | joined | stop, not started again | joined | nothing |
//! | is stopping | start after it | start after it | joined | start after it | nothing |
//! | is stopping, to start again | joined | joined | not started again | joined | nothing |
//! | is going down by itself, to restart | start after it | nothing | not started again | start after it | restart |
//! | is going down by itself, for good | start after it | start after it | not started again | start after it | nothing |
//!
//! A stop that is taken back answers those who wait for it "superseded"; so does a cancelled start. "Start after it"
//! leaves a stop that has begun to its end and answers it as done.

use super::FactPhase;
use super::phase::Goal;

/// What a unit is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Start, because it was named.
    Start,
    /// Start, because another unit that was started needs or wants it.
    Pull,
    /// Start, because another unit that starts without a wish needs it.
    Revive,
    Stop,
    /// Stop if it is up, then start: it was named.
    Restart,
    /// Stop and start if it is up: it is taken along.
    TryRestart,
}

/// What a job comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// It is so already, or does not concern the unit as it stands.
    Nothing,
    /// This very wish has done it before, and its answer was lost.
    Done,
    /// It is on its way there already.
    Join,
    /// Start, when the turn has come.
    Start,
    /// A stop that has not begun is taken back.
    Keep,
    /// Start, when the stop under way is complete.
    StartAfter,
    /// Stop, or give up a start.
    Stop,
    /// Stop, then start.
    Restart,
}

/// Where a unit stands, as far as a job is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) kind: FactPhase,
    pub(super) goal: Goal,
    pub(super) sequel: Sequel,
}

/// What comes once a unit has gone down by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequel {
    /// It comes up again, as its restart policy says.
    Restart,
    Rest,
}

impl Job {
    /// Whether the unit was named in the wish.
    pub(super) fn is_named(self) -> bool {
        match self {
            Self::Start | Self::Restart => true,
            Self::Pull | Self::Revive | Self::Stop | Self::TryRestart => false,
        }
    }
}

impl Standing {
    pub(super) const DOWN: Self = Self {
        kind: FactPhase::Stopped,
        goal: Goal::Down,
        sequel: Sequel::Rest,
    };

    /// It has processes, or is up without: there is something to stop.
    pub(super) fn runs(self) -> bool {
        self.kind.starts() || self.kind.is_up() || self.kind.ends()
    }

    /// It goes down without anybody's wish, and nothing brings it up again.
    fn leaves_for_good(self) -> bool {
        self.kind.ends() && self.sequel == Sequel::Rest
    }

    /// The table of the module's head.
    pub(super) fn merge(self, job: Job) -> Deed {
        match job {
            Job::Start | Job::Pull | Job::Revive => self.start(job),
            Job::Stop => self.stop(),
            Job::Restart if self.runs() => match self.goal {
                Goal::Cycle => Deed::Join,
                Goal::Down if self.kind.ends() => Deed::StartAfter,
                Goal::Up if self.kind.ends() => Deed::StartAfter,
                Goal::Up | Goal::Down => Deed::Restart,
            },
            Job::Restart => self.start(job),
            Job::TryRestart if self.leaves_for_good() => Deed::Nothing,
            Job::TryRestart if self.runs() && self.goal == Goal::Up => Deed::Restart,
            Job::TryRestart => Deed::Nothing,
        }
    }

    fn start(self, job: Job) -> Deed {
        let kind = self.kind;
        if kind.rests() || (kind == FactPhase::Backoff && job.is_named()) {
            return Deed::Start;
        }
        match self.goal {
            Goal::Cycle => Deed::Join,
            // A stop that has begun is carried to its end.
            Goal::Down if kind.ends() => Deed::StartAfter,
            Goal::Down => Deed::Keep,
            Goal::Up if kind.ends() && job.is_named() => Deed::StartAfter,
            Goal::Up if self.leaves_for_good() => Deed::StartAfter,
            // One that goes down by itself, to come up again, is left to its restart policy.
            Goal::Up if kind.ends() || kind.is_up() => Deed::Nothing,
            Goal::Up => Deed::Join,
        }
    }

    fn stop(self) -> Deed {
        match self.goal {
            Goal::Up | Goal::Cycle => Deed::Stop,
            Goal::Down if self.kind.rests() => Deed::Nothing,
            Goal::Down => Deed::Join,
        }
    }

    /// Where the unit stands once that is noted.
    pub(super) fn after(self, deed: Deed) -> Self {
        let (kind, goal) = match deed {
            Deed::Nothing | Deed::Done | Deed::Join => (self.kind, self.goal),
            Deed::Start => (FactPhase::Waiting, Goal::Up),
            Deed::Keep => (self.kind, Goal::Up),
            Deed::StartAfter | Deed::Restart => (self.kind, Goal::Cycle),
            Deed::Stop => (self.kind, Goal::Down),
        };
        let sequel = self.sequel;
        Self { kind, goal, sequel }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the module's head, each with the places that it stands for.
    const ROWS: [(&[FactPhase], Goal, Sequel, [Deed; 6]); 11] = {
        use Deed::{Join, Keep, Nothing, Restart, Start, StartAfter, Stop};
        use FactPhase as P;
        const STARTING: &[FactPhase] = &[
            P::Examining,
            P::StartPre,
            P::Starting,
            P::FindingMain,
            P::StartPost,
        ];
        const UP: &[FactPhase] = &[
            P::Running,
            P::Exited,
            P::Reloading,
            P::ReloadSignal,
            P::ReloadNotify,
        ];
        const BEGUN: &[FactPhase] = &[
            P::Examining,
            P::StartPre,
            P::Starting,
            P::FindingMain,
            P::StartPost,
            P::Running,
            P::Exited,
            P::Reloading,
            P::ReloadSignal,
            P::ReloadNotify,
        ];
        const ENDING: &[FactPhase] = &[
            P::Leaving,
            P::StopCommand,
            P::Aborting,
            P::Killing,
            P::KillingHard,
            P::StopPost,
            P::FinalKilling,
            P::FinalKillingHard,
        ];
        const RESTING: &[FactPhase] = &[P::Stopped, P::Completed, P::Failed];
        // Start, Pull, Revive, Stop, Restart, TryRestart.
        [
            (
                RESTING,
                Goal::Down,
                Sequel::Restart,
                [Start, Start, Start, Nothing, Start, Nothing],
            ),
            (
                &[P::Waiting],
                Goal::Up,
                Sequel::Restart,
                [Join, Join, Join, Stop, Join, Nothing],
            ),
            (
                &[P::Backoff],
                Goal::Up,
                Sequel::Restart,
                [Start, Join, Join, Stop, Start, Nothing],
            ),
            (
                STARTING,
                Goal::Up,
                Sequel::Restart,
                [Join, Join, Join, Stop, Restart, Restart],
            ),
            (
                UP,
                Goal::Up,
                Sequel::Restart,
                [Nothing, Nothing, Nothing, Stop, Restart, Restart],
            ),
            (
                BEGUN,
                Goal::Down,
                Sequel::Restart,
                [Keep, Keep, Keep, Join, Restart, Nothing],
            ),
            (
                BEGUN,
                Goal::Cycle,
                Sequel::Restart,
                [Join, Join, Join, Stop, Join, Nothing],
            ),
            (
                ENDING,
                Goal::Down,
                Sequel::Restart,
                [
                    StartAfter, StartAfter, StartAfter, Join, StartAfter, Nothing,
                ],
            ),
            (
                ENDING,
                Goal::Cycle,
                Sequel::Restart,
                [Join, Join, Join, Stop, Join, Nothing],
            ),
            (
                ENDING,
                Goal::Up,
                Sequel::Restart,
                [StartAfter, Nothing, Nothing, Stop, StartAfter, Restart],
            ),
            (
                ENDING,
                Goal::Up,
                Sequel::Rest,
                [
                    StartAfter, StartAfter, StartAfter, Stop, StartAfter, Nothing,
                ],
            ),
        ]
    };

    const JOBS: [Job; 6] = [
        Job::Start,
        Job::Pull,
        Job::Revive,
        Job::Stop,
        Job::Restart,
        Job::TryRestart,
    ];

    #[test]
    fn every_job_merges_as_the_table_says() {
        for (kinds, goal, sequel, deeds) in ROWS {
            for kind in kinds {
                let kind = *kind;
                let standing = Standing { kind, goal, sequel };
                for (job, deed) in JOBS.into_iter().zip(deeds) {
                    assert_eq!(standing.merge(job), deed, "{job:?} on {kind:?}, {goal:?}");
                }
            }
        }
    }

    #[test]
    fn the_table_speaks_of_every_phase() {
        for kind in FactPhase::ALL {
            assert!(
                ROWS.iter().any(|(kinds, ..)| kinds.contains(&kind)),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_job_that_is_told_twice_changes_nothing_the_second_time() {
        for (kinds, goal, sequel, _) in ROWS {
            for kind in kinds {
                let kind = *kind;
                let standing = Standing { kind, goal, sequel };
                for job in JOBS {
                    let then = standing.after(standing.merge(job));
                    assert_eq!(
                        then.after(then.merge(job)),
                        then,
                        "{job:?} on {kind:?}, {goal:?}"
                    );
                }
            }
        }
    }
}
