//! What follows from a service's words.
//!
//! Owns how they are put into effect: most become events for the engine; which process is the main one, and what is
//! said for the reader, are settled here.

use std::os::fd::{AsFd, OwnedFd};

use crate::engine::{Event, Moment, RunId, State, UnitId, Word};
use crate::sys::ear::Sender;
use crate::sys::proc;
use crate::sys::process::{Pid, PidFd, errno_text};
use crate::sys::users;
use crate::unit::Kind;
use crate::wire::Assignment;

use super::super::processes::{Processes, Turn};
use super::super::runs::Origin;
use super::super::sources::Source;
use super::store::HungUp;

/// Characters of what a service says of itself that are kept.
const SAID_MAX: usize = 512;

/// What a datagram has for the reader.
#[derive(Default)]
struct Said {
    status: Option<String>,
    errno: Option<u32>,
    exit_status: Option<u8>,
}

impl Processes {
    /// Puts one datagram into effect, and gives back the descriptors that are not kept. Who the main process is comes
    /// first, for the rest may be about it.
    pub(super) fn obey(
        &mut self,
        (unit, sender): (UnitId, &Sender),
        (words, fds): (Vec<Assignment>, Vec<OwnedFd>),
        turn: &mut Turn<'_>,
    ) -> Vec<OwnedFd> {
        for word in &words {
            if let Assignment::MainPid(pid) = word {
                self.name_main((unit, sender), *pid, turn);
            }
        }
        let is_begin = |word: &Assignment| match word {
            Assignment::MonotonicUsec(usec) => Some(Moment(usec / 1_000)),
            _ => None,
        };
        let begun = words.iter().find_map(is_begin);
        let mut said = Said::default();
        for word in &words {
            let told = match word {
                Assignment::Reloading => Some(Word::Reloading { begun }),
                Assignment::Stopping => Some(Word::Stopping),
                Assignment::WatchdogAlive => Some(Word::Alive),
                Assignment::WatchdogTrigger => Some(Word::Hung),
                // The longest number stands for none.
                Assignment::WatchdogUsec(u64::MAX) => Some(Word::WatchdogLimit { ms: 0 }),
                Assignment::WatchdogUsec(usec) => Some(Word::WatchdogLimit {
                    ms: usec.div_ceil(1_000),
                }),
                Assignment::ExtendTimeoutUsec(usec) => Some(Word::Extend {
                    ms: usec.div_ceil(1_000),
                }),
                _ => None,
            };
            if let Some(word) = told {
                turn.events.push_back(Event::Said { unit, word });
            }
            match word {
                Assignment::Ready => self.tell_ready(unit, turn),
                Assignment::Status(text) => said.status = Some(text.clone()),
                Assignment::Errno(errno) => said.errno = Some(*errno),
                Assignment::ExitStatus(status) => said.exit_status = Some(*status),
                Assignment::Access(access) => {
                    let is_news = self.ears.set_access(unit, Some(*access));
                    if is_news {
                        self.save(unit, turn.engine);
                    }
                }
                _ => {}
            }
        }
        self.note_said(unit, said, turn);
        self.keep_descriptors(unit, (&words, fds), turn)
    }

    /// What came along and is not to be kept is given back. Its end, once the word is taken, tells a sender that waits
    /// for it that it was heard.
    fn keep_descriptors(
        &mut self,
        unit: UnitId,
        (words, fds): (&[Assignment], Vec<OwnedFd>),
        turn: &mut Turn<'_>,
    ) -> Vec<OwnedFd> {
        let named = words.iter().find_map(|word| match word {
            Assignment::DescriptorName(name) => Some(name.as_str()),
            _ => None,
        });
        if words.contains(&Assignment::StoreDescriptors) && !fds.is_empty() {
            let hung_up = if words.contains(&Assignment::KeepHungUp) {
                HungUp::Kept
            } else {
                HungUp::LetGo
            };
            return self.store((unit, named), fds, hung_up, turn);
        }
        if let (true, Some(name)) = (words.contains(&Assignment::RemoveDescriptors), named) {
            self.unstore(unit, name, turn);
        }
        fds
    }

    fn note_said(&mut self, unit: UnitId, said: Said, turn: &Turn<'_>) {
        let Said {
            status,
            errno,
            exit_status,
        } = said;
        if status.is_none() && errno.is_none() && exit_status.is_none() {
            return;
        }
        let errno = errno.and_then(|errno| i32::try_from(errno).ok());
        let errno = errno.filter(|errno| *errno != 0).map(errno_text);
        let exit = exit_status.map(|status| format!("exit status {status}"));
        let parts = status.into_iter().chain(errno).chain(exit);
        let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
        let text: String = parts.join("; ").chars().take(SAID_MAX).collect();
        if self.ears.said.get(&unit).map(|old| &**old) == Some(&*text) {
            return;
        }
        self.ears.said.insert(unit, text.into());
        self.save(unit, turn.engine);
    }

    /// `MAINPID=`: another process is the main one from now on. It has to be the service's own, unless root says so.
    fn name_main(&mut self, (unit, sender): (UnitId, &Sender), number: u32, turn: &mut Turn<'_>) {
        let taken = self.take_main_word((unit, sender), number, turn);
        if let Err(why) = taken {
            let what = format!("MAINPID={number} is not taken: {why}");
            self.complain(unit, &what, turn);
        }
    }

    /// Why it is not taken, if it is not.
    fn take_main_word(
        &mut self,
        (unit, sender): (UnitId, &Sender),
        number: u32,
        turn: &mut Turn<'_>,
    ) -> Result<(), &'static str> {
        let Some(pid) = Pid::from_raw(number).filter(|pid| *pid != Pid::current()) else {
            return Err("it is no process of this service");
        };
        if self.runs.of(unit).any(|(_, run)| run.pid == pid) {
            return Ok(());
        }
        // Held first, so that the number cannot pass to another while it is looked at.
        let Ok(pidfd) = PidFd::open(pid) else {
            return Err("there is no such process");
        };
        if !proc::stat(pid).is_ok_and(|stat| !stat.is_dead()) {
            return Err("it has ended");
        }
        let by_root = sender.uid == 0 && users::effective_uid() == 0 && number != 1;
        if !self.is_member(unit, number) && !by_root {
            return Err("it is no process of this service");
        }
        if self.runs.values().any(|run| run.pid == pid) {
            return Err("it is the process of another command");
        }
        let service = turn
            .engine
            .unit(unit)
            .and_then(|unit| unit.service.as_deref());
        let is_forking = service.is_some_and(|service| service.kind == Kind::Forking);
        let is_up = turn
            .engine
            .view(unit)
            .is_some_and(|view| view.state != State::Starting);
        if is_forking && !is_up {
            // Its first process is to end before another one is the main process.
            if let Some(hearing) = self.ears.map.get_mut(&unit) {
                hearing.main = Some((pid, pidfd));
            }
            self.look_again(unit, turn);
            return Ok(());
        }
        let Some(id) = self.main_run(unit) else {
            return Err("the service has no main process at the moment");
        };
        self.change_main(id, (pid, pidfd), turn);
        Ok(())
    }

    /// The run goes on in another process; the one before is one of the group from now on.
    fn change_main(&mut self, id: RunId, (pid, pidfd): (Pid, PidFd), turn: &mut Turn<'_>) {
        let exit = match turn.sources.add(pidfd.as_fd(), Source::Exit(id)) {
            Ok(exit) => exit,
            Err(error) => {
                ::log::error!("PID {pid} cannot be watched: {error}");
                return;
            }
        };
        let identity = self.identities.of(pid, &pidfd);
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        run.leave(turn.sources);
        (run.pid, run.pidfd, run.exit, run.identity) = (pid, pidfd, exit, identity);
        run.origin = Origin::Found;
        let unit = run.unit;
        if let Some(hold) = self.holds.get_mut(&unit) {
            hold.group.add_root(pid);
        }
        turn.events.push_back(Event::Spawned {
            run: id,
            pid: pid.as_raw(),
        });
    }
}
