//! One write of one slot to a file in `run/`, and room for those that follow.
//!
//! Owns how the bytes come to the disk, not what they say (`state`) nor where in the file they stand (`wire::slot`).

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use crate::sys::files;
use crate::sys::process::error_text;
use crate::wire::slot::Slot;

/// Bytes that a new file gets at least, whatever is in it: one block of most disks.
const RESERVED_MIN: usize = 4096;
/// A write that was cut short has met it.
const ENOSPC: i32 = 28;

/// Writes the slot that follows `before`, or the first one. Where there is none before, what lies there is of a
/// predecessor, and judged by now.
pub(super) fn write(path: &Path, before: Option<Slot>, payload: &[u8]) -> io::Result<Slot> {
    let slot = match before {
        Some(before) => before.next(payload),
        None => Slot::first(payload),
    };
    let slot = slot.ok_or(io::ErrorKind::FileTooLarge)?;
    let file = files::open_own(path)?;
    let bytes = slot.encode(payload);
    if before.is_some() {
        write_slot(&file, slot, &bytes)?;
        return Ok(slot);
    }
    // What it will take from now on, so that a disk that is full later keeps nobody from being stopped or restarted.
    let length = (2 * slot.size()).max(RESERVED_MIN);
    let written = file
        .set_len(0)
        .and_then(|()| files::reserve(file.as_fd(), length))
        .and_then(|()| write_slot(&file, slot, &bytes));
    if written.is_err() {
        // An empty file would be a riddle to a successor.
        remove(path);
    }
    written.map(|()| slot)
}

fn write_slot(file: &File, slot: Slot, bytes: &[u8]) -> io::Result<()> {
    let offset = u64::try_from(slot.offset()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    if files::write_at(file.as_fd(), bytes, offset)? < bytes.len() {
        return Err(io::Error::from_raw_os_error(ENOSPC));
    }
    Ok(())
}

pub(super) fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            ::log::warn!("removing {}: {}", path.display(), error_text(&error));
        }
        _ => {}
    }
}
