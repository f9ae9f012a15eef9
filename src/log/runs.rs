//! Which runs a log tells of, found by bisection in its index.

use std::io;
use std::path::Path;

use super::index::{Mark, What};
use super::listing::Listing;
use super::paths::Paths;
use super::seek::{self, Sought};
use super::shelf::Shelf;

/// The youngest runs that the log of service `name` in `directory` tells of, at most `most`, the youngest first.
///
/// # Errors
/// The folder or a file cannot be read, or `name` is no file name.
pub fn last_runs(directory: &Path, name: &str, most: usize) -> io::Result<Vec<u64>> {
    let paths = Paths::new(directory, name)?;
    let mut shelf = Shelf::list(&paths)?;
    let mut runs: Vec<u64> = Vec::new();
    let mut below = u64::MAX;
    while runs.len() < most {
        match seek::last_before(&mut shelf, Sought::Run(below))? {
            // A run has a number above 0, and those before it have smaller ones.
            Some(record) if (1..below).contains(&record.run) => {
                runs.push(record.run);
                below = record.run;
            }
            _ => break,
        }
    }
    Ok(runs)
}

/// Whether the log of service `name` in `directory` tells of this run.
///
/// # Errors
/// As [`last_runs`].
pub fn has_run(directory: &Path, name: &str, run: u64) -> io::Result<bool> {
    let paths = Paths::new(directory, name)?;
    let record = seek::first(&paths, Sought::Run(run))?;
    Ok(record.is_some_and(|record| record.run == run))
}

/// Whether what is left of this run, which does not begin with its mark, is only a part: the file with its beginning
/// was removed. Commands before and after the main process have runs without marks.
///
/// # Errors
/// As [`last_runs`].
pub fn is_beheaded(listing: &Listing, name: &str, run: u64) -> io::Result<bool> {
    let paths = listing.paths(name)?;
    let mut shelf = Shelf::list(&paths)?;
    let last = seek::last_before(&mut shelf, Sought::Beyond(run))?;
    if last.is_some_and(|last| last.run == run && matches!(last.what, What::Mark(Mark::End(_)))) {
        return Ok(true);
    }
    // One that goes on, and has filled files.
    let later = seek::first(&paths, Sought::Beyond(run))?;
    Ok(later.is_none() && shelf.count() > 1)
}

/// Whether some of what had come by this time (unix milliseconds) is gone: the oldest of what is left came later, and
/// is only a part of its run.
///
/// # Errors
/// As [`last_runs`].
pub fn is_cut_after(directory: &Path, name: &str, time_ms: u64) -> io::Result<bool> {
    let paths = Paths::new(directory, name)?;
    // What no index tells of has run 0.
    match seek::first(&paths, Sought::Since(0))? {
        Some(first) if first.time_ms > time_ms && first.run > 0 => match first.what {
            What::Mark(Mark::Begin { .. } | Mark::Cleared) => Ok(false),
            _ => is_beheaded(&Listing::none(directory), name, first.run),
        },
        Some(_) | None => Ok(false),
    }
}
