//! A service's log on disk: written by the daemon, read and followed by the client.
//!
//! `NAME.log` holds the service's own bytes, untouched. `NAME.idx` beside it says of each batch when it came, from
//! which stream and which run, and holds the marks that a run began or ended, or that something is missing; so those
//! never stand in the file.
//! Rotated files are `NAME.log.1`, `NAME.log.2` and so on, the highest number the oldest, each with its index.
//!
//! The daemon's own log, plain lines with their time before them, is bounded the same way.
//!
//! Owns the two files' form, rotation, recovery, reading, following and merging. Does not own the pipe that the
//! bytes come from, the clock (times are arguments, unix milliseconds), waiting for changes, or rendering.
//!
//! What holds at any moment, also after `kill -9`: bytes are written before their record, so the index never
//! speaks of bytes that are not there; a log is renamed before its index, so a name that still leads to the same
//! log leads to its index too.

mod body;
mod buffer;
mod cursor;
mod entry;
mod gate;
pub mod index;
mod index_writer;
mod legacy;
mod level;
mod listing;
mod losing;
mod marks;
mod merge;
mod outcome;
mod owed;
mod packing;
mod paths;
mod plain;
mod reader;
mod rotation;
mod runs;
mod seek;
mod shelf;
mod tail;
#[cfg(test)]
mod tests;
mod total;
mod wanted;
mod writer;

pub use entry::{Content, Entry, LINE_BYTES_MAX, LineEnd, Part};
pub use gate::{Gate, Pass, Rate};
pub use index::{Ending, Loss, Mark, Stream};
pub use legacy::Legacy;
pub use level::{LEVELS, Level, split_level};
pub use listing::Listing;
pub use marks::{Marked, marked};
pub use merge::Merge;
pub use outcome::{Appended, Failure, Missing};
pub use owed::{Owed, Untold};
pub use packing::{Pack, Packing};
pub use plain::PlainLog;
pub use reader::Reader;
pub use rotation::Limits;
pub use runs::{has_run, is_beheaded, is_cut_after, last_runs};
pub use total::{Removed, Stranded, bound_total, has_log, service_of, with_log};
pub use wanted::{Course, Filter, Mode, Sieve, Start};
pub use writer::{Remade, Turned, Writer, is_full};
