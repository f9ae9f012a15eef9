//! A block of a log file's bytes, so that small records are not as many system calls.

use std::io;

use super::cursor::Cursor;

/// Bytes of log read at once.
const BUFFER_BYTES: usize = 32 * 1024;

/// A block of a log file's bytes.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    offset: u64,
}

impl Buffer {
    /// Bytes at the cursor, up to `end`; none when the file has become shorter.
    pub(super) fn bytes(&mut self, cursor: &Cursor, end: u64) -> io::Result<&[u8]> {
        let held = self.offset..self.offset + self.bytes.len() as u64;
        if !held.contains(&cursor.offset) {
            self.bytes.resize(BUFFER_BYTES, 0);
            let count = cursor.log.read_at(&mut self.bytes, cursor.offset)?;
            self.bytes.truncate(count);
            self.offset = cursor.offset;
        }
        let from = usize::try_from(cursor.offset - self.offset).unwrap_or(usize::MAX);
        let to = usize::try_from(end - self.offset)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        Ok(self.bytes.get(from..to).unwrap_or_default())
    }

    pub(super) fn empty(&mut self) {
        self.bytes.clear();
    }
}
