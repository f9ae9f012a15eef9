//! One write of one slot to a file in `run/`, and room for those that follow.
//!
//! Owns how the bytes come to the disk, not what they say (the folder above it) nor where in the file they stand
//! (`wire::slot`).

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use crate::sys::files;
use crate::wire::slot::Slot;

use super::super::removing::remove;

/// Bytes that a new file gets at least, whatever is in it: one block of most disks.
const RESERVED_MIN: usize = 4096;
/// A write that was cut short has met it.
const ENOSPC: i32 = 28;

/// Writes the slot that follows `before`, or the first one. Where there is none before, what lies there is of a
/// predecessor, and judged by now. Where there is one, and its file is gone, that is `NotFound`.
pub(super) fn write(path: &Path, before: Option<Slot>, payload: &[u8]) -> io::Result<Slot> {
    let slot = match before {
        Some(before) => before.next(payload),
        None => Slot::first(payload),
    };
    let slot = slot.ok_or(io::ErrorKind::FileTooLarge)?;
    let mut bytes = slot.encode(payload);
    if before.is_some() {
        write_slot(&files::open_own_again(path)?, slot, &bytes)?;
        return Ok(slot);
    }
    let file = files::open_own(path)?;
    // All that it will take from now on, so that a disk that is full later keeps nobody from being stopped or
    // restarted. It is written and not set aside by fallocate(2), nor is an empty file truncated: after either of the
    // two ext4 gives a file its blocks at once, one by one, and has to free them one by one when it is removed.
    bytes.resize((2 * slot.size()).max(RESERVED_MIN), 0);
    let written = empty(&file).and_then(|()| write_slot(&file, slot, &bytes));
    if written.is_err() {
        // An empty file would be a riddle to a successor.
        remove(path);
    }
    written.map(|()| slot)
}

/// Takes away what a predecessor has written.
fn empty(file: &File) -> io::Result<()> {
    match file.metadata()?.len() {
        0 => Ok(()),
        _ => file.set_len(0),
    }
}

fn write_slot(file: &File, slot: Slot, bytes: &[u8]) -> io::Result<()> {
    let offset = u64::try_from(slot.offset()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    if files::write_at(file.as_fd(), bytes, offset)? < bytes.len() {
        return Err(io::Error::from_raw_os_error(ENOSPC));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use crate::wire::slot;

    use super::*;

    #[test]
    fn a_new_file_has_what_it_will_take_and_nothing_of_a_predecessor() {
        let path = std::env::temp_dir().join(format!("diakonos-slot-{}", std::process::id()));
        let mut before = None;
        for _ in 0..4 {
            before = Some(write(&path, before, &[b'a'; 9000]).unwrap());
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), 32_768);
        let mut slot = write(&path, None, b"first").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), RESERVED_MIN as u64);
        for payload in [b"other", b"third"] {
            slot = write(&path, Some(slot), payload).unwrap();
            let bytes = fs::read(&path).unwrap();
            assert_eq!(bytes.len(), RESERVED_MIN);
            assert_eq!(slot::newest(&bytes), Some((slot, &payload[..])));
            assert_eq!(slot::whole(&bytes).count(), 2);
        }
        fs::remove_file(&path).unwrap();
    }
}
