//! How a guardian takes up the guard of a daemon that it has not made as this program.
//!
//! Owns the first words between the two. What follows is the guardian's usual life.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;

use crate::sys::channel::{Channel, Passed};
use crate::sys::poll::wait_readable;
use crate::sys::process::{Pid, PidFd};
use crate::sys::{clock, files};

use super::super::boot::{Ready, Seat};
use super::super::home::Home;
use super::message::{MESSAGE_MAX, Message};
use super::{Guardian, Stage, Ward};

/// How long a daemon may take to say who it is.
const SEAT_MS: u64 = 10_000;

/// What has become of the daemon that is to be guarded.
pub(in crate::daemon) enum Inherited {
    Guarded(Box<Guardian>),
    /// It has ended as it was told to: there is to be no other one.
    Over,
    /// It has died before it could say who it is, or that it ends in order.
    Dead,
}

/// Takes up the guard of a daemon that is the other end of this inherited channel.
pub(in crate::daemon) fn inherit(home: &Home, channel: i32) -> Inherited {
    let Ok(channel) = files::take_inherited(channel).map(Channel::from_owned) else {
        return Inherited::Dead;
    };
    match take_up(home, &channel) {
        Some(mut guardian) => {
            if let Some(ward) = &mut guardian.ward {
                ward.channel = Some(channel);
            }
            Inherited::Guarded(Box::new(guardian))
        }
        None if is_over(&channel) => Inherited::Over,
        None => Inherited::Dead,
    }
}

fn take_up(home: &Home, channel: &Channel) -> Option<Guardian> {
    let mut buffer = [0; MESSAGE_MAX];
    wait_readable(&[channel.as_fd()], Some(SEAT_MS)).ok()?;
    let Passed { length, fds } = channel.receive(&mut buffer).ok()?;
    let Some(Message::Seat(note)) = Message::decode(buffer.get(..length)?) else {
        return None;
    };
    let [lock, listener] = <[OwnedFd; 2]>::try_from(fds).ok()?;
    let pid = Pid::from_raw(note.pid)?;
    let pidfd = PidFd::open(pid).ok()?;
    // Somebody is there who hears us, and so that number is still the daemon's.
    channel.send(&[0], &[]).ok()?;
    let seat = Seat {
        home: home.clone(),
        lock: File::from(lock),
        listener: UnixListener::from(listener),
        nofile: note.nofile,
        directories: note.directories,
    };
    let mut guardian = Guardian::new(seat, Ready::default()).ok()?;
    guardian.generation = 1;
    guardian.ward = Some(Ward {
        pid,
        pidfd,
        channel: None,
        born_ms: clock::monotonic_ms(),
        stage: Stage::Busy,
        ending: None,
    });
    Some(guardian)
}

/// Whether a daemon that is gone has said before that it ends in order.
fn is_over(channel: &Channel) -> bool {
    let mut buffer = [0; MESSAGE_MAX];
    while let Ok(passed) = channel.receive(&mut buffer) {
        match buffer.get(..passed.length) {
            None | Some([]) => return false,
            Some(bytes) if Message::decode(bytes) == Some(Message::Over) => return true,
            Some(_) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::os::fd::IntoRawFd as _;

    use super::super::message::Note;
    use super::*;

    #[test]
    fn a_daemon_that_ended_before_it_was_guarded_has_no_successor_if_that_was_in_order() {
        let home = Home::new("/nonexistent".into());
        for over in [true, false] {
            let (ours, theirs) = Channel::pair().unwrap();
            let note = Note {
                pid: std::process::id(),
                ..Note::default()
            };
            let (reader, writer) = files::pipe().unwrap();
            let fds = [reader.as_fd(), writer.as_fd()];
            ours.send(&Message::Seat(note).encode(), &fds).unwrap();
            ours.send(&Message::Ready.encode(), &[]).unwrap();
            if over {
                ours.send(&Message::Over.encode(), &[]).unwrap();
            }
            drop(ours);
            let inherited = inherit(&home, OwnedFd::from(theirs).into_raw_fd());
            assert_eq!(matches!(inherited, Inherited::Over), over);
            assert_eq!(matches!(inherited, Inherited::Dead), !over);
        }
    }
}
