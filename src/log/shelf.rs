//! The files of one log, listed once and then opened one by one, also while rotations move them.
//!
//! A listing costs as much as there are files in the folder, so whoever goes through a thousand of them makes it once.

use std::io;

use super::cursor::Cursor;
use super::paths::{FileId, Paths, Seen};

/// So often a file is looked for again when a rotation has given its number to another meanwhile.
const OPEN_TRIES: u32 = 100;

/// The files that there were when it was made, the newest first.
#[derive(Debug)]
pub(super) struct Shelf<'a> {
    paths: &'a Paths,
    seen: Vec<Seen>,
}

impl<'a> Shelf<'a> {
    pub(super) fn list(paths: &'a Paths) -> io::Result<Shelf<'a>> {
        let seen = paths.list()?;
        Ok(Shelf { paths, seen })
    }

    pub(super) fn count(&self) -> usize {
        self.seen.len()
    }

    /// Where this file stands.
    pub(super) fn place_of(&self, id: FileId) -> Option<usize> {
        self.seen.iter().position(|seen| seen.id == id)
    }

    /// The file at `place` at its beginning; nothing when there is none, or it was removed meanwhile.
    pub(super) fn open(&mut self, place: usize) -> io::Result<Option<Cursor>> {
        let Some(mut wanted) = self.seen.get(place).copied() else {
            return Ok(None);
        };
        for _ in 0..OPEN_TRIES {
            match Cursor::open(self.paths, wanted.number)? {
                Some(cursor) if cursor.id == wanted.id => return Ok(Some(cursor)),
                _ => {}
            }
            let now = self.paths.list_anew()?;
            match now.iter().find(|seen| seen.id == wanted.id) {
                Some(moved) => wanted = *moved,
                None => return Ok(None),
            }
            if let Some(seen) = self.seen.get_mut(place) {
                *seen = wanted;
            }
        }
        Ok(None)
    }
}
