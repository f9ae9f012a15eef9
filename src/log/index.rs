//! The index of one log file: its header and its records, to bytes and back. Pure.
//!
//! A header of 32 bytes, then records of 32 bytes, little-endian, so that no record lies across two pages. A record
//! of zeros is no record: a hole that a crash of the machine left is seen.
//!
//! | bytes | header | record |
//! | --- | --- | --- |
//! | 0..8 | `DIAKONOS` | time, unix milliseconds |
//! | 8..16 | `LOGINDEX` | offset of the first byte in the log file |
//! | 16..24 | version (4), bytes of a record (4) | run |
//! | 24..28 | zero | length in bytes; or PID, exit code, signal |
//! | 28..32 | zero | kind (1), error number (1) where it tells of a loss, zero (2) |

/// Bytes of one record, and of the header.
pub const RECORD_BYTES: usize = 32;
/// [`RECORD_BYTES`] as a file offset.
pub(super) const RECORD_STEP: u64 = 32;

const MAGIC: &[u8; 16] = b"DIAKONOSLOGINDEX";
const VERSION: u32 = 1;
const HEADER_RECORD_BYTES: u32 = 32;

const KIND_OUT: u8 = 1;
const KIND_ERR: u8 = 2;
const KIND_NOTICE: u8 = 3;
const KIND_BEGIN: u8 = 4;
const KIND_EXITED: u8 = 5;
const KIND_SIGNALED: u8 = 6;
const KIND_ENDED: u8 = 7;
const KIND_UNWRITTEN: u8 = 8;
const KIND_DROPPED: u8 = 9;
const KIND_LIMITED: u8 = 10;
const KIND_CLEARED: u8 = 16;

/// Which of a service's streams bytes came from. What shares one pipe is `Out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    Out,
    Err,
}

impl Stream {
    /// `out` or `err`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
        }
    }

    /// Its place where something is kept for each.
    pub(super) fn slot(self) -> usize {
        match self {
            Stream::Out => 0,
            Stream::Err => 1,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Exited {
        code: i32,
    },
    Signaled {
        signal: i32,
    },
    /// Nobody could learn it: the run ended while no daemon was there.
    Unknown,
}

/// What of a service's output is not in its log, and why. A count that does not fit is the highest that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It could not be written, for this error number; 0 where the system gave none.
    Unwritten { bytes: u32, errno: u8 },
    /// Whole lines that came faster than the log took them, `LogPolicy=drop`.
    Dropped { lines: u32 },
    /// Whole lines over `LogRateLimitBurst=`.
    Limited { lines: u32 },
}

/// What stands in the index only: a run begins or ends, something is missing here, or the log begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Begin {
        pid: u32,
    },
    End(Ending),
    Lost(Loss),
    /// Somebody wished that all before it be removed.
    Cleared,
}

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The service's bytes.
    Bytes {
        stream: Stream,
        length: u32,
    },
    /// A line of our own in the log file, as earlier versions wrote it where [`Mark::Lost`] stands now.
    Notice {
        length: u32,
    },
    Mark(Mark),
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the batch came, unix milliseconds.
    pub time_ms: u64,
    /// Where it begins in the log file; for a mark, the length of the log file at that moment.
    pub offset: u64,
    pub run: u64,
    pub what: What,
}

impl Record {
    /// Bytes of the log file that the record covers; none for a mark.
    #[must_use]
    pub fn length(&self) -> u32 {
        match self.what {
            What::Bytes { length, .. } | What::Notice { length } => length,
            What::Mark(_) => 0,
        }
    }

    /// The offset after the last byte that it covers.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length()))
    }

    /// The record's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let (kind, value) = match self.what {
            What::Bytes {
                stream: Stream::Out,
                length,
            } => (KIND_OUT, length),
            What::Bytes {
                stream: Stream::Err,
                length,
            } => (KIND_ERR, length),
            What::Notice { length } => (KIND_NOTICE, length),
            What::Mark(Mark::Begin { pid }) => (KIND_BEGIN, pid),
            What::Mark(Mark::End(Ending::Exited { code })) => (KIND_EXITED, bits(code)),
            What::Mark(Mark::End(Ending::Signaled { signal })) => (KIND_SIGNALED, bits(signal)),
            What::Mark(Mark::End(Ending::Unknown)) => (KIND_ENDED, 0),
            What::Mark(Mark::Lost(Loss::Unwritten { bytes, .. })) => (KIND_UNWRITTEN, bytes),
            What::Mark(Mark::Lost(Loss::Dropped { lines })) => (KIND_DROPPED, lines),
            What::Mark(Mark::Lost(Loss::Limited { lines })) => (KIND_LIMITED, lines),
            What::Mark(Mark::Cleared) => (KIND_CLEARED, 0),
        };
        let mut bytes = [0; RECORD_BYTES];
        bytes[0..8].copy_from_slice(&self.time_ms.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.run.to_le_bytes());
        bytes[24..28].copy_from_slice(&value.to_le_bytes());
        bytes[28] = kind;
        if let What::Mark(Mark::Lost(Loss::Unwritten { errno, .. })) = self.what {
            bytes[29] = errno;
        }
        bytes
    }

    /// The record in these bytes, or nothing where they are none: an unknown kind, a batch without bytes, an end
    /// past what can be counted, bytes that must be zero and are not.
    #[must_use]
    pub fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Record> {
        let [kind, errno, 0, 0] = part::<4>(bytes, 28) else {
            return None;
        };
        if errno != 0 && kind != KIND_UNWRITTEN {
            return None;
        }
        let offset = u64::from_le_bytes(part(bytes, 8));
        let value = u32::from_le_bytes(part(bytes, 24));
        let what = match kind {
            KIND_OUT => What::Bytes {
                stream: Stream::Out,
                length: value,
            },
            KIND_ERR => What::Bytes {
                stream: Stream::Err,
                length: value,
            },
            KIND_NOTICE => What::Notice { length: value },
            KIND_BEGIN => What::Mark(Mark::Begin { pid: value }),
            KIND_EXITED => What::Mark(Mark::End(Ending::Exited {
                code: number(value),
            })),
            KIND_SIGNALED => What::Mark(Mark::End(Ending::Signaled {
                signal: number(value),
            })),
            KIND_ENDED if value == 0 => What::Mark(Mark::End(Ending::Unknown)),
            KIND_UNWRITTEN => What::Mark(Mark::Lost(Loss::Unwritten {
                bytes: value,
                errno,
            })),
            KIND_DROPPED => What::Mark(Mark::Lost(Loss::Dropped { lines: value })),
            KIND_LIMITED => What::Mark(Mark::Lost(Loss::Limited { lines: value })),
            KIND_CLEARED if value == 0 => What::Mark(Mark::Cleared),
            _ => return None,
        };
        let record = Record {
            time_ms: u64::from_le_bytes(part(bytes, 0)),
            offset,
            run: u64::from_le_bytes(part(bytes, 16)),
            what,
        };
        let is_mark = matches!(record.what, What::Mark(_));
        let is_counted = is_mark || (value > 0 && offset.checked_add(u64::from(value)).is_some());
        is_counted.then_some(record)
    }
}

/// What an index file's bytes hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    pub records: Vec<Record>,
    /// Whole records' worth of bytes that are no record, and are passed over.
    pub unreadable: usize,
    /// Bytes after the last whole record: what a write that was cut short left.
    pub torn_bytes: usize,
}

/// Reads a whole index file; nothing when it does not begin with a header of this version.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Decoded> {
    let (first, rest) = bytes.split_first_chunk::<RECORD_BYTES>()?;
    if *first != header() {
        return None;
    }
    let mut decoded = Decoded::default();
    decoded.torn_bytes = decode_records(rest, |record| match record {
        Some(record) => decoded.records.push(record),
        None => decoded.unreadable += 1,
    });
    Some(decoded)
}

/// Gives each whole record in `bytes` to `take`, an unreadable one as nothing, and returns how many bytes are left
/// over.
pub(super) fn decode_records(bytes: &[u8], mut take: impl FnMut(Option<Record>)) -> usize {
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first_chunk::<RECORD_BYTES>() {
        take(Record::decode(first));
        rest = after;
    }
    rest.len()
}

/// The bytes that an index file begins with.
#[must_use]
pub fn header() -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[0..16].copy_from_slice(MAGIC);
    bytes[16..20].copy_from_slice(&VERSION.to_le_bytes());
    bytes[20..24].copy_from_slice(&HEADER_RECORD_BYTES.to_le_bytes());
    bytes
}

fn bits(number: i32) -> u32 {
    u32::from_le_bytes(number.to_le_bytes())
}

fn number(bits: u32) -> i32 {
    i32::from_le_bytes(bits.to_le_bytes())
}

/// `N` bytes from `at` on; the places are constants that lie within a record.
fn part<const N: usize>(bytes: &[u8; RECORD_BYTES], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn samples() -> Vec<Record> {
        let whats = [
            What::Bytes {
                stream: Stream::Out,
                length: 7,
            },
            What::Bytes {
                stream: Stream::Err,
                length: u32::MAX,
            },
            What::Notice { length: 80 },
            What::Mark(Mark::Begin { pid: 4321 }),
            What::Mark(Mark::End(Ending::Exited { code: -1 })),
            What::Mark(Mark::End(Ending::Signaled { signal: 9 })),
            What::Mark(Mark::End(Ending::Unknown)),
            What::Mark(Mark::Lost(Loss::Unwritten {
                bytes: 9,
                errno: 28,
            })),
            What::Mark(Mark::Lost(Loss::Dropped { lines: 3 })),
            What::Mark(Mark::Lost(Loss::Limited { lines: u32::MAX })),
            What::Mark(Mark::Cleared),
        ];
        let record = |(at, what)| Record {
            time_ms: 1_700_000_000_000,
            offset: at * 9,
            run: at,
            what,
        };
        (0..).zip(whats).map(record).collect()
    }

    #[test]
    fn a_file_comes_back_as_it_was_written() {
        let mut bytes = header().to_vec();
        for record in samples() {
            bytes.extend(record.encode());
        }
        bytes.extend([1, 2, 3]);
        let decoded = decode(&bytes).unwrap();
        assert_eq!(decoded.records, samples());
        assert_eq!((decoded.unreadable, decoded.torn_bytes), (0, 3));
    }

    #[test]
    fn what_is_no_record_is_passed_over() {
        let good = samples()[0];
        let mut bytes = header().to_vec();
        bytes.extend([0; RECORD_BYTES]);
        let mut reserved = good.encode();
        reserved[30] = 1;
        bytes.extend(reserved);
        let far = Record {
            offset: u64::MAX,
            ..good
        };
        bytes.extend(far.encode());
        bytes.extend(good.encode());
        let decoded = decode(&bytes).unwrap();
        assert_eq!(decoded.records, [good]);
        assert_eq!(decoded.unreadable, 3);
    }

    #[test]
    fn another_header_is_refused() {
        assert_eq!(decode(b""), None);
        assert_eq!(decode(&header()[..31]), None);
        let mut other = header();
        other[16] = 2;
        assert_eq!(decode(&other), None);
        assert_eq!(decode(&header()), Some(Decoded::default()));
    }

    /// Any bytes that decode to a record are exactly that record's bytes.
    #[test]
    fn every_bit_counts() {
        for record in samples() {
            for bit in 0..RECORD_BYTES * 8 {
                let mut bytes = record.encode();
                bytes[bit / 8] ^= 1 << (bit % 8);
                if let Some(other) = Record::decode(&bytes) {
                    assert_ne!(other, record);
                    assert_eq!(other.encode(), bytes);
                }
            }
        }
    }
}
