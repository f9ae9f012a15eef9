//! Which marks of a run an earlier daemon has written: whoever goes on in its place writes the others, each once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::cursor::BLOCK_RECORDS;
use super::index::{self, Mark, RECORD_STEP, Record, What};
use super::paths::Paths;

/// So many files are looked at: one that has just been begun is empty, and a rotation that was cut short leaves a
/// number free.
const FILES: u32 = 3;

/// What the index of service `name` in `directory` tells of its youngest runs.
///
/// # Errors
/// The folder or a file cannot be read, or `name` is no file name.
pub fn marked(directory: &Path, name: &str, run: u64) -> io::Result<Marked> {
    let records = youngest(&Paths::new(directory, name)?)?;
    Ok(judge(&records, run))
}

/// The last records of the youngest index that has any.
pub(super) fn youngest(paths: &Paths) -> io::Result<Vec<Record>> {
    // Not listed, since a folder is long where there are many services.
    for number in 0..FILES {
        let records = match File::open(paths.index(number)) {
            Ok(file) => last_records(&file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // One that was begun just now says nothing: what came before stands in the file before.
        if !records.is_empty() {
            return Ok(records);
        }
    }
    Ok(Vec::new())
}

/// How far a run's marks have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    Nothing,
    Begun,
    Ended,
}

pub(super) fn judge(records: &[Record], run: u64) -> Marked {
    let own = || records.iter().filter(|record| record.run == run);
    if own().any(|record| matches!(record.what, What::Mark(Mark::End(_)))) {
        Marked::Ended
    } else if own().next().is_some() {
        Marked::Begun
    } else {
        Marked::Nothing
    }
}

/// The youngest records of an index: a daemon dies soon after the mark that its successor asks for, or bytes of that
/// run have followed.
fn last_records(index: &File) -> io::Result<Vec<Record>> {
    let count = (index.metadata()?.len() / RECORD_STEP).saturating_sub(1);
    let wanted = count.min(BLOCK_RECORDS as u64);
    let mut bytes = vec![0; usize::try_from(wanted * RECORD_STEP).unwrap_or(0)];
    // The header stands first.
    index.read_exact_at(&mut bytes, (1 + count - wanted) * RECORD_STEP)?;
    let mut records = Vec::new();
    index::decode_records(&bytes, |record| records.extend(record));
    Ok(records)
}
