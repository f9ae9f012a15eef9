//! Which process of a forking service is the main one: by its PID file, or by a guess, systemd.service(5).
//!
//! Owns the search and its rules of trust: a PID file is written by the service, so that what it names must be shown to
//! be the service's own, before anything is done to it. Waiting ends by an answer or by the engine's `StopFinding`.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::engine::{Event, NoMain, Role, RunId, UnitId};
use crate::sys::files;
use crate::sys::inotify::Watch;
use crate::sys::proc;
use crate::sys::process::{Pid, PidFd};
use crate::sys::users;

use super::group::Watched;
use super::processes::{Hold, Processes, Turn};
use super::runs::Run;
use super::sources::Source;
use super::watches::Purpose;

/// Bytes of a PID file; only the first line counts, but some daemons write more.
const FILE_LIMIT: usize = 4_096;
/// How often one look is repeated when processes come and go under it.
const LOOKS_MAX: usize = 8;
/// File times come from a coarser clock than ours and may be older by as much, in milliseconds.
const FILE_TIME_SLACK_MS: u64 = 50;

/// A search that is under way.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) unit: UnitId,
    file: Option<PathBuf>,
    /// Whether to guess where there is no file: `GuessMainPID=`.
    guesses: bool,
}

/// What a look came to.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It cannot be told yet.
    Wait,
    Main(Pid),
    Missing(NoMain),
}

/// What a PID file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    pid: Pid,
    /// The file's owner.
    uid: u32,
    /// Unix milliseconds.
    modified_ms: u64,
}

impl Processes {
    pub(super) fn find_main(&mut self, unit: UnitId, run: RunId, turn: &mut Turn<'_>) {
        let service = turn
            .engine
            .unit(unit)
            .and_then(|unit| unit.service.as_deref());
        let file = service.and_then(|service| service.pid_file.as_deref().map(Path::to_owned));
        let Some(hold) = self.holds.get_mut(&unit) else {
            turn.events.push_back(Event::MainMissing {
                run,
                reason: NoMain::Gone,
            });
            return;
        };
        // The first process has just left a child, which may soon leave session and environment behind as well.
        hold.group.remember_members();
        // When the last process goes, nobody is left who could write the file.
        hold.group.watch(Watched::Ours, &mut self.watches);
        hold.group.hold_members(turn.sources, &mut self.kin);
        let guesses = service.is_none_or(|service| service.oversight().guess_main);
        let finding = Finding {
            unit,
            file,
            guesses,
        };
        self.finding.insert(run, Box::new(finding));
        self.look_for_main(run, turn);
    }

    pub(super) fn stop_finding(&mut self, run: RunId) {
        if let Some(finding) = self.finding.remove(&run) {
            self.watches.remove(Purpose::PidFile(run));
            self.stirred.insert(finding.unit);
        }
    }

    /// Looks once more; called whenever something happened that may have made a difference.
    pub(super) fn look_for_main(&mut self, run: RunId, turn: &mut Turn<'_>) {
        let Some(Finding { unit, file, .. }) = self.finding.get(&run).map(Box::as_ref) else {
            return;
        };
        let unit = *unit;
        if let Some(file) = file {
            // Before the look, so that what is written after it is told.
            self.watches.remove(Purpose::PidFile(run));
            if let Some(folder) = nearest_folder(file)
                && let Err(error) = self
                    .watches
                    .add(folder, Watch::Created, Purpose::PidFile(run))
            {
                ::log::warn!("watching {}: {error}", folder.display());
            }
        }
        let answer = match self.ears.take_main(unit) {
            Some(named) => self.hold_main((unit, run), named, turn),
            None => self.answer((unit, run), turn),
        };
        if let Some(answer) = answer {
            self.stop_finding(run);
            turn.events.push_back(answer);
        }
    }

    /// A verdict on a process holds once it is given again with the process held: from then on its number cannot pass
    /// to another.
    fn answer(&mut self, (unit, run): (UnitId, RunId), turn: &mut Turn<'_>) -> Option<Event> {
        let mut held: Option<(Pid, PidFd)> = None;
        for _ in 0..LOOKS_MAX {
            match (self.judge(run), held.take()) {
                (Verdict::Wait, _) => return None,
                (Verdict::Missing(reason), _) => return Some(Event::MainMissing { run, reason }),
                (Verdict::Main(pid), Some((same, pidfd))) if same == pid => {
                    return self.hold_main((unit, run), (pid, pidfd), turn);
                }
                // One that cannot be opened is gone, which the next look takes into account.
                (Verdict::Main(pid), _) => {
                    held = PidFd::open(pid).ok().map(|pidfd| (pid, pidfd));
                }
            }
        }
        None
    }

    fn judge(&self, run: RunId) -> Verdict {
        let Some(Finding {
            unit,
            file,
            guesses,
        }) = self.finding.get(&run).map(Box::as_ref)
        else {
            return Verdict::Wait;
        };
        let Some(hold) = self.holds.get(unit) else {
            return Verdict::Missing(NoMain::Gone);
        };
        let verdict = match file {
            Some(file) => self.judge_file(hold, *unit, file),
            None if *guesses => return self.guess(hold, *unit),
            None if hold.group.has_no_head() => return Verdict::Missing(NoMain::Gone),
            None => return Verdict::Missing(NoMain::Ambiguous),
        };
        let is_hopeless = || hold.group.has_no_head() && self.strays(*unit).is_empty();
        if verdict == Verdict::Wait && is_hopeless() {
            return Verdict::Missing(NoMain::Gone);
        }
        verdict
    }

    fn judge_file(&self, hold: &Hold, unit: UnitId, file: &Path) -> Verdict {
        let Some(named) = read_pid_file(file) else {
            return Verdict::Wait;
        };
        let is_alive = proc::stat(named.pid).is_ok_and(|stat| !stat.is_dead());
        if !is_alive {
            return Verdict::Wait;
        }
        let is_known = self.runs.values().any(|run| run.pid == named.pid);
        let is_us = named.pid == Pid::current() || named.pid.as_raw() == 1;
        let is_member = hold
            .group
            .members()
            .is_ok_and(|members| members.contains(&named.pid));
        // Root may name whom it likes, as systemd.service(5) has it; an adopted orphan is the service's as far as can
        // be told.
        let is_trusted = (named.uid == 0 && users::effective_uid() == 0)
            || self.strays(unit).contains(&named.pid);
        if is_member || (is_trusted && !is_known && !is_us) {
            return Verdict::Main(named.pid);
        }
        // An old file may still be written anew; one of this start is the service's word.
        let is_fresh = named.modified_ms.saturating_add(FILE_TIME_SLACK_MS) >= hold.started_ms;
        if is_fresh {
            Verdict::Missing(NoMain::Foreign)
        } else {
            Verdict::Wait
        }
    }

    /// `GuessMainPID=`: the only member that is no member's child. It is ours, or, where a predecessor began this
    /// start, the child of whoever adopts orphans for us.
    fn guess(&self, hold: &Hold, unit: UnitId) -> Verdict {
        let Ok(members) = hold.group.members() else {
            return Verdict::Wait;
        };
        let is_member = |pid: Option<Pid>| pid.is_some_and(|pid| members.contains(&pid));
        let is_head = |pid: &Pid| proc::stat(*pid).is_ok_and(|stat| !is_member(stat.ppid));
        let is_known = |pid: Pid| self.runs.values().any(|run| run.pid == pid);
        let mut candidates: Vec<Pid> = members.iter().copied().filter(is_head).collect();
        candidates.extend(self.strays(unit));
        candidates.retain(|pid| !is_known(*pid));
        candidates.dedup();
        match candidates.as_slice() {
            [one] => Verdict::Main(*one),
            [] if members.is_empty() => Verdict::Missing(NoMain::Gone),
            _ => Verdict::Missing(NoMain::Ambiguous),
        }
    }

    /// Where there is no cgroup: living orphans that we adopted and that no unit claims. A daemon that has left its
    /// session and bears none of our marks, which we could not give it or it has shed, is known by nothing else.
    fn strays(&self, unit: UnitId) -> Vec<Pid> {
        let is_tracked = |hold: &Hold| hold.group.cgroup().is_some();
        if self
            .holds
            .get(&unit)
            .map(Box::as_ref)
            .is_none_or(is_tracked)
        {
            return Vec::new();
        }
        let mut strays = proc::children(Pid::current()).unwrap_or_default();
        strays.retain(|pid| !self.runs.values().any(|run| run.pid == *pid));
        strays.retain(|pid| proc::stat(*pid).is_ok_and(|stat| !stat.is_dead()));
        for hold in self.holds.values() {
            if strays.is_empty() {
                break;
            }
            let heads = hold.group.heads().unwrap_or_default();
            strays.retain(|pid| !heads.contains(pid));
        }
        strays
    }

    fn hold_main(
        &mut self,
        (unit, run): (UnitId, RunId),
        (pid, pidfd): (Pid, PidFd),
        turn: &mut Turn<'_>,
    ) -> Option<Event> {
        let exit = turn.sources.add(pidfd.as_fd(), Source::Exit(run)).ok()?;
        let identity = self.identities.of(pid, &pidfd);
        let found = Run::found((unit, Role::Start), (pid, pidfd), exit, identity);
        self.runs.insert(run, found);
        if let Some(hold) = self.holds.get_mut(&unit) {
            hold.group.add_root(pid);
            if let Some(log) = &mut hold.log {
                log.begin(run, pid.as_raw());
            }
        }
        Some(Event::MainFound {
            run,
            pid: pid.as_raw(),
        })
    }
}

/// `None`: it is not there, or says nothing (yet).
fn read_pid_file(path: &Path) -> Option<Named> {
    let content = files::read_regular(path, FILE_LIMIT).ok()?;
    let pid = parse_pid(&content.bytes)?;
    Some(Named {
        pid,
        uid: content.uid,
        modified_ms: content.modified_ms,
    })
}

/// The number in the first line.
fn parse_pid(bytes: &[u8]) -> Option<Pid> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let text = std::str::from_utf8(line).ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| is_number)
        .and_then(Pid::from_raw)
}

/// The folder of the file, or the nearest one above it that is there already.
pub(super) fn nearest_folder(file: &Path) -> Option<&Path> {
    file.ancestors().skip(1).find(|folder| folder.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_pid_file_is_a_number() {
        let pid = Pid::from_raw(123);
        for text in ["123", "123\n", " 123 \n", "123\nmore\n"] {
            assert_eq!(parse_pid(text.as_bytes()), pid, "{text:?}");
        }
        for text in [
            "",
            "\n123",
            "0",
            "-1",
            "+1",
            "12a",
            "99999999999",
            "1 2",
            "\u{661}",
        ] {
            assert_eq!(parse_pid(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_pid(b"\xff\n"), None);
    }

    #[test]
    fn a_folder_that_is_missing_is_awaited_from_above() {
        assert_eq!(
            nearest_folder(Path::new("/proc/no/such/pid")),
            Some(Path::new("/proc"))
        );
    }
}
