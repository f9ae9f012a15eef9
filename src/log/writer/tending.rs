//! A log that is begun anew because somebody asks for it: rotated before it is full, or emptied.

use std::io;

use super::super::index::{Mark, Record, What};
use super::super::rotation;
use super::{Current, Ends, Writer, index_bound};

/// What became of the wish for a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    Rotated,
    /// The file ends within a line: it is rotated once that has ended.
    WithLineEnd,
    /// There is nothing in the file that could be set aside.
    Empty,
}

impl Writer {
    /// Rotations since this was asked last.
    pub fn take_rotations(&mut self) -> u32 {
        std::mem::take(&mut self.rotations)
    }

    /// Bytes that were added to log and index since this was asked last, if not less.
    pub fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    /// Rotates now, or where the file ends within a line, as soon as that has ended.
    ///
    /// # Errors
    /// The files cannot be opened, made or renamed; the old one goes on.
    pub fn turn(&mut self) -> io::Result<Turned> {
        self.check_file()?;
        let Some(current) = &mut self.current else {
            return Ok(Turned::Empty);
        };
        if current.pair.length == 0 {
            return Ok(Turned::Empty);
        }
        if current.ends == Ends::WithinLine || self.within_line != [None; 2] {
            current.bound = current.bound.min(current.pair.length);
            return Ok(Turned::WithLineEnd);
        }
        self.rotate().map(|()| Turned::Rotated)
    }

    /// Removes all that was written, rotated files too (beyond a free number they are `Stranded`), and notes at
    /// `now_ms` (unix milliseconds), while `run` is the youngest run, that this was done. What is left when it fails is
    /// the younger part.
    ///
    /// # Errors
    /// The files cannot be removed or made.
    pub fn clear(&mut self, now_ms: u64, run: u64) -> io::Result<()> {
        rotation::remove_old(&self.paths)?;
        let pair = match rotation::rotate(&self.paths, 1) {
            // The room for the next pair is where the last one is.
            Err(error) if is_full(&error) => {
                rotation::empty(&self.paths)?;
                rotation::rotate(&self.paths, 1)?
            }
            made => made?,
        };
        self.current = Some(Current {
            pair,
            bound: self.limits.max_size,
            index_bound: index_bound(self.limits),
            ends: Ends::WithLine,
        });
        self.rotations += 1;
        // What is missing in it was removed with it.
        self.owed.forget();
        // The rest of a line whose beginning is gone begins the new file.
        self.within_line = [None; 2];
        if let Some(current) = &mut self.current {
            let what = What::Mark(Mark::Cleared);
            let record = Record {
                time_ms: now_ms,
                offset: 0,
                run,
                what,
            };
            current.pair.index.note(record, u64::MAX);
        }
        Ok(())
    }
}

/// Whether nothing more has room where the files are.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
