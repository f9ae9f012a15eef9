//! Whose bytes they are: the marks between which a run's output stands in the log.

use crate::engine::{Core, Ending, RunId};
use crate::log::{self, Mark, Marked};
use crate::sys::clock;
use crate::unit::Signal;

use super::super::intake::Intake;
use super::UnitLog;

impl UnitLog {
    /// A process of this run is about to write. While there is a main process, all bytes are taken for that one's: they
    /// share its pipe.
    pub(in crate::daemon) fn attribute(&mut self, run: RunId) {
        self.run = self.main.unwrap_or(run);
    }

    /// Marks that a main process's program has begun.
    pub(in crate::daemon) fn begin(&mut self, run: RunId, pid: u32) {
        if self.main.is_some_and(|main| main != run) {
            // Only the first process of a forking service hands over, and only when it has ended well.
            self.end(Ending::Code(0), None);
        }
        self.main = Some(run);
        self.run = run;
        if let Some(gate) = &mut self.gate {
            gate.begin();
        }
        self.mark(run, Mark::Begin { pid });
    }

    /// Goes on with a main process that a predecessor began: marks what it had no time to.
    pub(in crate::daemon) fn resume(&mut self, run: RunId, pid: u32) {
        self.run = run;
        let owed = self.owed().map(|owed| owed.marked(run.0));
        let marked = match owed {
            None | Some(Marked::Nothing) => log::marked(&self.directory, &self.name, run.0),
            Some(marked) => Ok(marked),
        };
        match marked {
            Ok(Marked::Nothing) => self.begin(run, pid),
            Ok(Marked::Begun) | Err(_) => self.main = Some(run),
            Ok(Marked::Ended) => {}
        }
    }

    /// Takes what is left in the pipes and marks the main process's end, if one has begun.
    pub(in crate::daemon) fn end(&mut self, ending: Ending, intake: Option<&mut Intake>) {
        let Some(run) = self.main.take() else { return };
        if let Some(intake) = intake {
            self.drain(intake);
        }
        self.tell_missing();
        self.mark(run, Mark::End(log_ending(ending)));
    }

    fn mark(&mut self, run: RunId, mark: Mark) {
        if let Some(writer) = &mut self.writer {
            writer.mark(clock::wall_ms(), run.0, mark);
            self.say_remade();
        }
    }
}

fn log_ending(ending: Ending) -> log::Ending {
    match ending {
        Ending::Code(code) => log::Ending::Exited {
            code: i32::from(code),
        },
        Ending::Signal {
            number,
            core: Core::Dumped | Core::None,
        } => log::Ending::Signaled {
            signal: i32::from(number),
        },
        Ending::OomKilled => log::Ending::Signaled {
            signal: Signal::KILL.number(),
        },
        Ending::Unknown => log::Ending::Unknown,
    }
}
