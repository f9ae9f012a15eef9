//! What services give into our keeping, sd_notify(3), `FDSTORE=1`: descriptors that outlive a restart of their service,
//! and of this daemon.
//!
//! Owns the stored descriptors, and how the next main process is handed them, sd_listen_fds(3). They are let go when
//! their service is at rest, as systemd does it.
//!
//! Files are kept in flight, `sys::parcel`: what lies in our table is in that of each process that we make, too, and is
//! closed when that becomes its program. A file system that never answers would hold up each of them, and our own end.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mio::Token;

use crate::engine::{SpawnFailure, UnitId};
use crate::sys::parcel::{Label, Parcel, Stowed, file_behind};
use crate::sys::poll::has_hung_up;
use crate::sys::process::{self, error_text};
use crate::sys::received;
use crate::unit::{Readiness, Service};
use crate::wire::{STORED_MAX, SavedDescriptor};

use super::super::keeper::{IN_FLIGHT_KEY, Keeper, STORED_KEY};
use super::super::processes::{Processes, Turn};
use super::super::readiness::Before;
use super::super::sources::{Source, Sources};
use super::super::spawn::failure;

/// The name of one that was given none, sd_pid_notify_with_fds(3).
const UNNAMED: &str = "stored";
/// The first number that is handed over.
const FIRST: u16 = 3;
/// With so many that one file was opened for a new one is compared, the newest ones: each has to be opened for that,
/// and costs the child that closes it.
const COMPARED_MAX: usize = 4;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Stores {
    map: BTreeMap<UnitId, Vec<Stored>>,
    /// Given out last.
    last_key: u64,
    /// What a predecessor had, until its service claims it.
    inherited: Vec<(u64, OwnedFd)>,
}

/// One descriptor.
#[derive(Debug)]
pub(in crate::daemon) struct Stored {
    name: Box<str>,
    key: u64,
    fd: Stowed,
    /// Where it is to be let go once its other end has hung up.
    token: Option<Token>,
}

/// What becomes of one whose other end hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum HungUp {
    LetGo,
    /// `FDPOLL=0`
    Kept,
}

/// The number in a key, without its marks.
fn number(key: u64) -> u64 {
    key & !(STORED_KEY | IN_FLIGHT_KEY)
}

impl Stores {
    pub(in crate::daemon) fn of(&self, unit: UnitId) -> &[Stored] {
        self.map.get(&unit).map_or(&[], Vec::as_slice)
    }

    /// Whether a copy of this is kept under its name. Where the kernel does not tell, it is not: it is better to have
    /// one twice than not at all. What had to be opened for that is to be closed.
    fn has(
        &self,
        (unit, name): (UnitId, &str),
        (fd, file): (BorrowedFd<'_>, Option<Label>),
        opened: &mut Vec<OwnedFd>,
    ) -> bool {
        let is_copy = |own: BorrowedFd<'_>| received::is_same(own, fd) == Some(true);
        let newest = self.of(unit).iter().rev();
        let mut named = newest.filter(|stored| *stored.name == *name);
        let Some(label) = file else {
            return named.any(|stored| match &stored.fd {
                Stowed::AsItIs(own) => is_copy(own.as_fd()),
                Stowed::InFlight(_) => false,
            });
        };
        let parcels = named.filter_map(|stored| match &stored.fd {
            Stowed::InFlight(parcel) if parcel.label() == Some(label) => Some(parcel),
            Stowed::AsItIs(_) | Stowed::InFlight(_) => None,
        });
        parcels.take(COMPARED_MAX).any(|parcel| {
            parcel.open().is_ok_and(|own| {
                let is_same = is_copy(own.as_fd());
                opened.push(own);
                is_same
            })
        })
    }

    /// What a successor has to know.
    pub(in crate::daemon) fn saved(&self, unit: UnitId) -> Vec<SavedDescriptor> {
        let saved = |stored: &Stored| SavedDescriptor {
            key: stored.key,
            name: stored.name.to_string(),
            polled: stored.token.is_some(),
        };
        self.of(unit).iter().map(saved).collect()
    }

    /// Everything, by the keys that the guardian knows it by.
    pub(in crate::daemon) fn kept(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>)> {
        let all = self.map.values().flatten();
        all.map(|stored| (stored.key, stored.fd.as_fd()))
    }

    pub(in crate::daemon) fn inherit(&mut self, fds: Vec<(u64, OwnedFd)>) {
        self.inherited = fds;
        self.inherited.retain(|(key, _)| key & STORED_KEY != 0);
        let last = self.inherited.iter().map(|(key, _)| number(*key));
        self.last_key = last.max().unwrap_or(0).max(self.last_key);
    }

    pub(in crate::daemon) fn disinherit(&mut self, keeper: &mut Keeper) {
        let unclaimed = std::mem::take(&mut self.inherited).into_iter();
        keeper.closers.close(unclaimed.map(|(_, fd)| fd));
    }

    /// Takes back what a predecessor kept for this unit. How many of them are lost.
    pub(in crate::daemon) fn take_back(
        &mut self,
        unit: UnitId,
        saved: &[SavedDescriptor],
        sources: &mut Sources,
    ) -> usize {
        let mut lost = 0;
        for one in saved {
            self.last_key = self.last_key.max(number(one.key));
            let Some(at) = self.inherited.iter().position(|(key, _)| *key == one.key) else {
                lost += 1;
                continue;
            };
            let (key, fd) = self.inherited.swap_remove(at);
            let fd = if key & IN_FLIGHT_KEY == 0 {
                Stowed::AsItIs(fd)
            } else {
                Stowed::InFlight(Parcel::from_owned(fd))
            };
            let hung_up = if one.polled {
                HungUp::LetGo
            } else {
                HungUp::Kept
            };
            self.put(unit, (&one.name, key, fd), hung_up, sources);
        }
        lost
    }

    fn put(
        &mut self,
        unit: UnitId,
        (name, key, fd): (&str, u64, Stowed),
        hung_up: HungUp,
        sources: &mut Sources,
    ) {
        let token = match (hung_up, &fd) {
            (HungUp::LetGo, Stowed::AsItIs(fd)) => {
                sources.add_end(fd.as_fd(), Source::Stored(unit)).ok()
            }
            // Files never hang up, and a file system would be asked whether they have. A block device could, and so
            // could what nobody tells the kind of; they are in flight all the same, and are kept as with `FDPOLL=0`.
            (HungUp::Kept, _) | (HungUp::LetGo, Stowed::InFlight(_)) => None,
        };
        self.map.entry(unit).or_default().push(Stored {
            name: name.into(),
            key,
            fd,
            token,
        });
    }

    /// Lets go of those that this is true of. Whether there were any.
    fn let_go(
        &mut self,
        unit: UnitId,
        is_meant: impl Fn(&Stored) -> bool,
        (sources, keeper): (&mut Sources, &mut Keeper),
    ) -> bool {
        let Some(all) = self.map.get_mut(&unit) else {
            return false;
        };
        let before = all.len();
        let (gone, left) = std::mem::take(all).into_iter().partition(is_meant);
        *all = left;
        let gone: Vec<Stored> = gone;
        for stored in &gone {
            if let Some(token) = stored.token {
                sources.remove(token, stored.fd.as_fd());
            }
            keeper.release_as(stored.key);
        }
        keeper
            .closers
            .close(gone.into_iter().map(|stored| stored.fd.into()));
        let changed = all.len() < before;
        if all.is_empty() {
            self.map.remove(&unit);
        }
        changed
    }

    pub(in crate::daemon) fn close(
        &mut self,
        unit: UnitId,
        sources: &mut Sources,
        keeper: &mut Keeper,
    ) {
        self.let_go(unit, |_| true, (sources, keeper));
    }
}

impl Processes {
    /// `FDSTORE=1`. Gives back those that are not kept.
    pub(in crate::daemon) fn store(
        &mut self,
        (unit, name): (UnitId, Option<&str>),
        fds: Vec<OwnedFd>,
        hung_up: HungUp,
        turn: &mut Turn<'_>,
    ) -> Vec<OwnedFd> {
        let (mut surplus, mut opened) = (Vec::new(), Vec::new());
        let mut is_full = false;
        let name = name.filter(|name| !name.is_empty()).unwrap_or(UNNAMED);
        for fd in fds {
            let file = file_behind(fd.as_fd());
            let described = (fd.as_fd(), file);
            // A datagram that a predecessor has seen as well, or a service that says it again.
            if self.stores.has((unit, name), described, &mut opened) {
                opened.push(fd);
                continue;
            }
            if self.stores.of(unit).len() >= STORED_MAX {
                surplus.push(fd);
                if !std::mem::replace(&mut is_full, true) {
                    let what =
                        format!("no more than {STORED_MAX} descriptors are kept (FDSTORE=1)");
                    self.complain(unit, &what, turn);
                }
                continue;
            }
            match stow(fd, file) {
                Ok((fd, mark, rest)) => {
                    opened.extend(rest);
                    self.stores.last_key += 1;
                    let key = self.stores.last_key | mark;
                    self.keeper.hold_as(key, fd.as_fd());
                    let stowed = (name, key, fd);
                    self.stores.put(unit, stowed, hung_up, turn.sources);
                }
                Err((error, fd)) => {
                    let reason = match error.kind() {
                        io::ErrorKind::WouldBlock => {
                            "this user has too many in flight; hint: raise the limit on open files"
                                .to_owned()
                        }
                        _ => error_text(&error),
                    };
                    let what = format!("a descriptor is not kept (FDSTORE=1): {reason}");
                    self.complain(unit, &what, turn);
                    surplus.push(fd);
                }
            }
        }
        // Each of them is kept elsewhere, and so nothing ends with its copy.
        self.keeper.closers.close(opened);
        self.save(unit, turn.engine);
        surplus
    }

    /// `FDSTOREREMOVE=1`
    pub(in crate::daemon) fn unstore(&mut self, unit: UnitId, name: &str, turn: &mut Turn<'_>) {
        let kept = (&mut *turn.sources, &mut self.keeper);
        if self.stores.let_go(unit, |one| *one.name == *name, kept) {
            self.save(unit, turn.engine);
        }
    }

    /// Something that a unit has stored has lost its other end.
    pub(in crate::daemon) fn drop_hung_up(&mut self, unit: UnitId, turn: &mut Turn<'_>) {
        let is_over = |one: &Stored| one.token.is_some() && has_hung_up(one.fd.as_fd());
        let kept = (&mut *turn.sources, &mut self.keeper);
        if self.stores.let_go(unit, is_over, kept) {
            self.save(unit, turn.engine);
        }
    }
}

/// As it is to be kept, the marks of its key, and what of it is to be closed.
fn stow(
    fd: OwnedFd,
    file: Option<Label>,
) -> Result<(Stowed, u64, Option<OwnedFd>), (io::Error, OwnedFd)> {
    let Some(label) = file else {
        return Ok((Stowed::AsItIs(fd), STORED_KEY, None));
    };
    match Parcel::pack(fd.as_fd(), label) {
        Ok(parcel) => {
            let mark = STORED_KEY | IN_FLIGHT_KEY;
            Ok((Stowed::InFlight(parcel), mark, Some(fd)))
        }
        Err(error) => Err((error, fd)),
    }
}

/// Hands a new main process what its service has stored and what it is to say that it is ready on, and tells it what
/// only it can know: its own number.
pub(in crate::daemon) fn hand_over(
    request: &mut process::Spawn<'_>,
    service: &Service,
    (stored, before): (&[Stored], Option<&Before>),
) -> Result<(), SpawnFailure> {
    request.setting.fifo = before.and_then(Before::placed);
    let handed = &mut request.setting.handed;
    if service.oversight().watchdog.is_some() {
        handed.own_pid.push(c"WATCHDOG_PID".to_owned());
    }
    if stored.is_empty() {
        return Ok(());
    }
    let end = u16::try_from(stored.len()).map_or(u16::MAX, |count| count.saturating_add(FIRST));
    if let Readiness::Descriptor(number) = service.readiness
        && number < end
    {
        let reason = format!("ReadyWhen=fd:{number}: what the service has stored has that number");
        return Err(failure("ReadyWhen", 0, reason));
    }
    for one in stored {
        let copied = one.fd.try_clone();
        handed.fds.push(copied.map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(0);
            failure("descriptors", errno, error_text(&error))
        })?);
    }
    handed.own_pid.push(c"LISTEN_PID".to_owned());
    let names: Vec<&str> = stored.iter().map(|one| &*one.name).collect();
    let variables = [
        format!("LISTEN_FDS={}", stored.len()),
        format!("LISTEN_FDNAMES={}", names.join(":")),
    ];
    // The first of two counts.
    let variables = variables
        .into_iter()
        .filter_map(|text| CString::new(text).ok());
    request.environment.splice(0..0, variables);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::fs::File;

    use super::*;

    const UNIT: UnitId = UnitId(1);

    #[test]
    fn a_file_that_is_kept_many_times_is_compared_with_few() {
        let opens: Vec<File> = (0..STORED_MAX)
            .map(|_| File::open("/proc/self/exe").unwrap())
            .collect();
        let label = file_behind(opens[0].as_fd());
        let mut stores = Stores::default();
        let kept = opens.iter().map(|file| Stored {
            name: UNNAMED.into(),
            key: 1,
            fd: Stowed::InFlight(Parcel::pack(file.as_fd(), label.unwrap()).unwrap()),
            token: None,
        });
        stores.map.insert(UNIT, kept.collect());
        let new = File::open("/proc/self/exe").unwrap();
        let mut opened = Vec::new();
        let mut has = |name, fd: &File| stores.has((UNIT, name), (fd.as_fd(), label), &mut opened);
        assert!(!has(UNNAMED, &new) && !has("another", &opens[0]));
        let newest = &opens[STORED_MAX - 1];
        // A sandbox may keep us from asking.
        let is_told = received::is_same(newest.as_fd(), newest.as_fd()).is_some();
        assert_eq!(has(UNNAMED, newest), is_told);
        assert!(opened.len() <= 2 * COMPARED_MAX, "{}", opened.len());
    }
}
