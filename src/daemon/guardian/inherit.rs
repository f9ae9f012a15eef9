//! How a guardian takes up the guard of a daemon that it has not made as this program.
//!
//! Owns the first words between the two. What follows is the guardian's usual life.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::sys::channel::{Channel, Passed};
use crate::sys::image::{self, Exec};
use crate::sys::poll::wait_readable;
use crate::sys::process::{Pid, PidFd, error_text};
use crate::sys::{clock, files, fork};

use super::super::boot::{Ready, Seat};
use super::super::home::Home;
use super::message::{MESSAGE_MAX, Message};
use super::{GUARD_OPTION, Guardian, HELD_OPTION, Held, Kept, Stage, Ward};

/// How long a daemon may take to say who it is.
const SEAT_MS: u64 = 10_000;

/// What has become of the daemon that is to be guarded.
pub(in crate::daemon) enum Inherited {
    Guarded(Box<Guardian>),
    /// It has ended as it was told to: there is to be no other one.
    Over,
    /// It has died before it could say who it is, or that it ends in order. This is left of it.
    Dead(Kept),
}

/// Writes down what is held, for the program that this process is to become.
fn write_note(held: &[Held]) -> io::Result<File> {
    let lines = held
        .iter()
        .map(|held| format!("{} {}\n", held.key, held.fd.as_raw_fd()));
    let mut note = image::memory_file("diakonos-held")?;
    note.write_all(lines.collect::<String>().as_bytes())?;
    note.rewind()?;
    Ok(note)
}

/// What stands in a note. A line that makes no sense is left out.
fn read_note(note: i32) -> io::Result<Kept> {
    let mut text = String::new();
    File::from(files::take_inherited(note)?).read_to_string(&mut text)?;
    let line = |line: &str| {
        let (key, fd) = line.split_once(' ')?;
        let fd = files::take_inherited(fd.parse().ok()?).ok()?;
        Some((key.parse().ok()?, fd))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// Becomes this program, which finds the daemon by the channel, and what is held by a note: the daemon may die before
/// it has told everything anew. If that cannot be, all is as before.
pub(super) fn become_guardian(program: &Path, channel: &Channel, held: &[Held]) {
    let Err(error) = try_to_become(program, channel, held);
    let (path, reason) = (program.display(), error_text(&error));
    ::log::error!("the guardian cannot become {path}: {reason}; it goes on as it is");
    let _ = channel.keep_over_exec(false);
    for one in held {
        let _ = image::at_exec(one.fd.as_fd(), Exec::Closes);
    }
}

fn try_to_become(program: &Path, channel: &Channel, held: &[Held]) -> io::Result<Infallible> {
    let note = write_note(held)?;
    let number = |fd: i32| CString::new(fd.to_string());
    let words = [
        CString::new(program.as_os_str().as_bytes())?,
        c"daemon".to_owned(),
        GUARD_OPTION.to_owned(),
        number(channel.as_fd().as_raw_fd())?,
        HELD_OPTION.to_owned(),
        number(note.as_raw_fd())?,
    ];
    for one in held {
        image::at_exec(one.fd.as_fd(), Exec::Keeps)?;
    }
    image::at_exec(note.as_fd(), Exec::Keeps)?;
    channel.keep_over_exec(true)?;
    fork::become_program(&words[0], &words)
}

/// Takes up the guard of a daemon that is the other end of this inherited channel. `held` is a note by [`write_note`],
/// if this process was its guardian as another program.
pub(in crate::daemon) fn inherit(home: &Home, channel: i32, held: Option<i32>) -> Inherited {
    let kept = held.map_or(Ok(Vec::new()), read_note);
    let kept = kept.unwrap_or_else(|error| {
        ::log::warn!("what was held is lost: {}", error_text(&error));
        Vec::new()
    });
    let Ok(channel) = files::take_inherited(channel).map(Channel::from_owned) else {
        return Inherited::Dead(kept);
    };
    let Some(mut guardian) = take_up(home, &channel) else {
        return if hear_out(&channel, None) {
            Inherited::Over
        } else {
            Inherited::Dead(kept)
        };
    };
    guardian.go_on_holding(kept);
    if let Some(ward) = &mut guardian.ward {
        ward.channel = Some(channel);
    } else if hear_out(&channel, Some(&mut guardian)) {
        return Inherited::Over;
    } else {
        // It is due at once.
        ::log::warn!("the daemon died before it was guarded; a successor takes over");
    }
    Inherited::Guarded(Box::new(guardian))
}

/// The guardian of whoever says who it is; one without a daemon, if that has died since.
fn take_up(home: &Home, channel: &Channel) -> Option<Guardian> {
    let mut buffer = [0; MESSAGE_MAX];
    wait_readable(&[channel.as_fd()], Some(SEAT_MS)).ok()?;
    let Passed { length, fds } = channel.receive(&mut buffer).ok()?;
    let Some(Message::Seat(note)) = Message::decode(buffer.get(..length)?) else {
        return None;
    };
    let [lock, listener] = <[OwnedFd; 2]>::try_from(fds).ok()?;
    let pid = Pid::from_raw(note.pid)?;
    let pidfd = PidFd::open(pid);
    // Somebody is there who hears us, and so that number is still the daemon's.
    let pidfd = match channel.send(&[0], &[]) {
        Ok(()) => Some(pidfd.ok()?),
        // Nobody has the other end any more, which is closed by death alone.
        Err(error) if is_end(&error) => None,
        Err(_) => return None,
    };
    let seat = Seat {
        home: home.clone(),
        lock: File::from(lock),
        listener: UnixListener::from(listener),
        nofile: note.nofile,
        directories: note.directories,
    };
    let mut guardian = Guardian::new(seat, Ready::default()).ok()?;
    guardian.generation = 1;
    guardian.ward = pidfd.map(|pidfd| Ward {
        pid,
        pidfd,
        channel: None,
        born_ms: clock::monotonic_ms(),
        stage: Stage::Busy,
        ending: None,
    });
    Some(guardian)
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

/// Takes what a daemon that is gone has said before, and keeps for its successor what is to be kept. Whether it has
/// said that it ends in order.
fn hear_out(channel: &Channel, mut guardian: Option<&mut Guardian>) -> bool {
    let mut buffer = [0; MESSAGE_MAX];
    while let Ok(Passed { length, mut fds }) = channel.receive(&mut buffer) {
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
            return false;
        };
        match (Message::decode(bytes), &mut guardian) {
            (Some(Message::Over), _) => return true,
            (Some(Message::Hold(key)), Some(guardian)) => {
                if let Some(reader) = fds.pop() {
                    guardian.hold(key, reader);
                }
            }
            _ => {}
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
    use crate::sys::testing::alone;

    #[test]
    fn a_daemon_that_died_before_it_was_guarded_has_a_successor_unless_that_was_in_order() {
        alone(
            "daemon::guardian::inherit::tests::a_daemon_that_died_before_it_was_guarded_has_a_successor_unless_that_was_in_order",
            || {
                let home = Home::new("/nonexistent".into());
                for over in [true, false] {
                    let (ours, theirs) = Channel::pair().unwrap();
                    let note = Note {
                        pid: std::process::id(),
                        nofile: (5, 6),
                        ..Note::default()
                    };
                    let (reader, writer) = files::pipe().unwrap();
                    let fds = [reader.as_fd(), writer.as_fd()];
                    ours.send(&Message::Seat(note).encode(), &fds).unwrap();
                    ours.send(&Message::Hold(7).encode(), &fds[..1]).unwrap();
                    ours.send(&Message::Ready.encode(), &[]).unwrap();
                    if over {
                        ours.send(&Message::Over.encode(), &[]).unwrap();
                    }
                    drop(ours);
                    let fd = OwnedFd::from(theirs).into_raw_fd();
                    let (held, _lost) = files::pipe().unwrap();
                    let held = [Held {
                        key: 8,
                        generation: 0,
                        fd: held,
                    }];
                    let held_note = write_note(&held).unwrap().into_raw_fd();
                    std::mem::forget(held);
                    match inherit(&home, fd, Some(held_note)) {
                        Inherited::Over => assert!(over),
                        Inherited::Guarded(guardian) => {
                            assert!(!over && guardian.ward.is_none());
                            assert_eq!(guardian.seat.nofile, (5, 6));
                            assert_eq!(
                                guardian.held.len(),
                                2,
                                "what it held, and what it was told"
                            );
                            assert_eq!(guardian.patience.due_ms(), 0);
                        }
                        Inherited::Dead(_) => panic!("it has said who it is"),
                    }
                }
            },
        );
    }
}
