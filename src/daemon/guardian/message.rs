//! What the daemon tells its guardian, and in which bytes.
//!
//! Both ends are the same program, or two versions of it: what one does not know it passes over.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Bytes of the longest message.
pub(in crate::daemon) const MESSAGE_MAX: usize = 8 << 10;

/// One message of the daemon's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Message {
    /// For a guardian that has not forked us: who we are and what a successor needs to know. With it come the lock and
    /// the listening socket.
    Seat(Note),
    /// With it comes the read end of a FIFO, to be kept open when we die; the number is its inode's.
    Hold(u64),
    /// That FIFO is not used any more.
    Release(u64),
    /// We serve, and hold every process that we know of: what has ended and is nobody's may be reaped. What was held
    /// for a predecessor and not for us is let go.
    Ready,
    /// From now on and until the next [`Message::Ready`] we may look away: nobody is to be reaped.
    Busy,
    /// Everything is down and we end, as we were told to: there is to be no successor.
    Over,
    /// The guardian is to become this program. A new [`Message::Seat`] follows, and all that is to be held.
    Successor(PathBuf),
}

/// What a successor has to be told of its predecessor's place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Note {
    pub(in crate::daemon) pid: u32,
    /// The limit on descriptors that services get, soft and hard.
    pub(in crate::daemon) nofile: (u64, u64),
    /// See [`Options::service_directories`](crate::daemon::Options).
    pub(in crate::daemon) directories: Vec<PathBuf>,
}

const SEAT: u8 = 1;
const HOLD: u8 = 2;
const RELEASE: u8 = 3;
const READY: u8 = 4;
const BUSY: u8 = 5;
const OVER: u8 = 6;
const SUCCESSOR: u8 = 7;

impl Message {
    /// At most [`MESSAGE_MAX`] bytes; folders that do not fit are left out.
    pub(in crate::daemon) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Seat(note) => note.encode(),
            Self::Hold(key) => numbered(HOLD, *key),
            Self::Release(key) => numbered(RELEASE, *key),
            Self::Ready => vec![READY],
            Self::Busy => vec![BUSY],
            Self::Over => vec![OVER],
            Self::Successor(program) => {
                let mut bytes = vec![SUCCESSOR];
                bytes.extend_from_slice(program.as_os_str().as_bytes());
                bytes
            }
        }
    }

    /// `None` for what this version does not know, and for what is not whole.
    pub(in crate::daemon) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let number = || rest.try_into().ok().map(u64::from_le_bytes);
        match *kind {
            SEAT => Note::decode(rest).map(Self::Seat),
            HOLD => number().map(Self::Hold),
            RELEASE => number().map(Self::Release),
            READY => Some(Self::Ready),
            BUSY => Some(Self::Busy),
            OVER => Some(Self::Over),
            SUCCESSOR => Some(Self::Successor(path(rest))),
            _ => None,
        }
    }
}

fn numbered(kind: u8, number: u64) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

impl Note {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![SEAT];
        bytes.extend_from_slice(&self.pid.to_le_bytes());
        bytes.extend_from_slice(&self.nofile.0.to_le_bytes());
        bytes.extend_from_slice(&self.nofile.1.to_le_bytes());
        for directory in &self.directories {
            let text = Path::as_os_str(directory).as_bytes();
            if bytes.len() + text.len() < MESSAGE_MAX {
                bytes.extend_from_slice(text);
                bytes.push(0);
            }
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (pid, rest) = bytes.split_first_chunk()?;
        let (soft, rest) = rest.split_first_chunk()?;
        let (hard, rest) = rest.split_first_chunk()?;
        let names = rest.split(|byte| *byte == 0);
        Some(Self {
            pid: u32::from_le_bytes(*pid),
            nofile: (u64::from_le_bytes(*soft), u64::from_le_bytes(*hard)),
            directories: names.filter(|name| !name.is_empty()).map(path).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_read_as_it_was_written() {
        let note = Note {
            pid: 4711,
            nofile: (1024, u64::MAX),
            directories: vec!["/srv/a b".into(), "/srv/ü".into()],
        };
        let all = [
            Message::Seat(Note::default()),
            Message::Seat(note),
            Message::Hold(u64::MAX),
            Message::Release(0),
            Message::Ready,
            Message::Busy,
            Message::Over,
            Message::Successor("/usr/bin/diakonos".into()),
        ];
        for message in all {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
    }

    #[test]
    fn what_is_not_whole_is_passed_over() {
        for bytes in [&[][..], &[0], &[99, 1], &[HOLD, 1, 2], &[SEAT, 1]] {
            assert_eq!(Message::decode(bytes), None);
        }
    }

    #[test]
    fn folders_that_do_not_fit_are_left_out() {
        let long = PathBuf::from(format!("/{}", "x".repeat(MESSAGE_MAX)));
        let directories = vec![long, "/short".into()];
        let note = Note {
            directories,
            ..Note::default()
        };
        let bytes = Message::Seat(note).encode();
        assert!(bytes.len() <= MESSAGE_MAX);
        let Some(Message::Seat(read)) = Message::decode(&bytes) else {
            panic!("{bytes:?}")
        };
        assert_eq!(read.directories, [PathBuf::from("/short")]);
    }
}
