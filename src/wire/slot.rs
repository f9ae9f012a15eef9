//! A file that is never half written: two slots, written in turn; the reader takes the valid one with the highest
//! number.
//!
//! Owns the slots' form and their places; reading and writing the file is the daemon's. A slot is a header (magic, slot
//! size, sequence number, payload length, checksum) and the payload. Whatever a write that was cut off leaves, the
//! other slot still stands.

/// Each slot begins with this. JSON has no such control characters, so that no part of a payload is ever taken for a
/// slot.
const MAGIC: [u8; 4] = [0xd1, 0xac, 0x05, 0x01];
/// Bytes in front of a payload: magic, size, sequence, length, checksum.
const HEADER: usize = 4 + 4 + 8 + 4 + 4;
/// The smallest slot, in bytes. All others are this times a power of two, so that every slot begins at a multiple of
/// it.
pub const SIZE_MIN: usize = 1024;
/// The longest payload, in bytes.
pub const PAYLOAD_MAX: usize = (1 << 20) - HEADER;

/// Where one state of the file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Counts the writes; a higher one is newer.
    sequence: u64,
    /// Bytes that the slot takes, header included.
    size: usize,
}

impl Slot {
    /// The slot for the first payload of a new file. `None` if it is longer than [`PAYLOAD_MAX`].
    #[must_use]
    pub fn first(payload: &[u8]) -> Option<Self> {
        let size = size_for(payload)?;
        Some(Self { sequence: 0, size })
    }

    /// The slot for the payload that follows this one. `None` if it is longer than [`PAYLOAD_MAX`].
    ///
    /// Slots only grow, at least to the double, and the first of the new size is the second of the file: it lies behind
    /// both old ones and touches neither.
    #[must_use]
    pub fn next(self, payload: &[u8]) -> Option<Self> {
        let size = self.size.max(size_for(payload)?);
        let next = self.sequence.wrapping_add(1);
        let sequence = if size > self.size { next | 1 } else { next };
        Some(Self { sequence, size })
    }

    /// Bytes that the slot takes.
    #[must_use]
    pub fn size(self) -> usize {
        self.size
    }

    /// Where in the file the slot begins, in bytes.
    #[must_use]
    pub fn offset(self) -> usize {
        if self.sequence.is_multiple_of(2) {
            0
        } else {
            self.size
        }
    }

    /// What to write at [`Slot::offset`], in one write: header and payload.
    #[must_use]
    pub fn encode(self, payload: &[u8]) -> Vec<u8> {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        debug_assert!(
            HEADER + payload.len() <= self.size,
            "another payload's slot"
        );
        let mut out = Vec::with_capacity(HEADER + payload.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&number(self.size));
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&number(payload.len()));
        let sum = checksum(&[&out, payload]);
        out.extend_from_slice(&sum.to_le_bytes());
        out.extend_from_slice(payload);
        out
    }
}

/// The newest whole slot of a file, with its payload. `None` if there is none: the file is new, or garbage.
#[must_use]
pub fn newest(file: &[u8]) -> Option<(Slot, &[u8])> {
    whole(file).max_by_key(|(slot, _)| slot.sequence)
}

/// Every whole slot, in no order: beside the newest the one before it, and what they grew out of.
pub fn whole(file: &[u8]) -> impl Iterator<Item = (Slot, &[u8])> {
    let places = (0..file.len()).step_by(SIZE_MIN);
    places.filter_map(|offset| read(file, offset))
}

/// The slot that begins at `offset`, if one does and it is whole.
fn read(file: &[u8], offset: usize) -> Option<(Slot, &[u8])> {
    let (header, rest) = file.get(offset..)?.split_at_checked(HEADER)?;
    let (fields, sum) = header.split_at_checked(HEADER - 4)?;
    let fields_after_magic = fields.strip_prefix(&MAGIC)?;
    let (size, after) = fields_after_magic.split_first_chunk::<4>()?;
    let (sequence, after) = after.split_first_chunk::<8>()?;
    let (length, _) = after.split_first_chunk::<4>()?;
    let payload = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let slot = Slot {
        sequence: u64::from_le_bytes(*sequence),
        size: usize::try_from(u32::from_le_bytes(*size)).ok()?,
    };
    let sound = sum == checksum(&[fields, payload]).to_le_bytes()
        && slot.offset() == offset
        && slot.size >= size_for(payload)?
        && slot.size / SIZE_MIN == (slot.size / SIZE_MIN).next_power_of_two()
        && slot.size.is_multiple_of(SIZE_MIN);
    sound.then_some((slot, payload))
}

fn size_for(payload: &[u8]) -> Option<usize> {
    let length = payload.len();
    (length <= PAYLOAD_MAX).then(|| (HEADER + length).next_power_of_two().max(SIZE_MIN))
}

/// 32-bit FNV-1a over all parts in a row: it is to find a torn write, not an attacker.
fn checksum(parts: &[&[u8]]) -> u32 {
    let mut sum = 0x811c_9dc5_u32;
    for byte in parts.iter().copied().flatten() {
        sum = (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    sum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A file on paper, as `pwrite` would make it.
    fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
        if file.len() < at + bytes.len() {
            file.resize(at + bytes.len(), 0);
        }
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn payload(step: usize) -> Vec<u8> {
        // Short and long ones in turn, some of which make the slots grow.
        let length = [10, 700, 3, 1000, 1001, 20, 5000, 0, 70_000, 1][step % 10];
        vec![b'a' + u8::try_from(step % 26).unwrap(); length]
    }

    #[test]
    fn the_last_write_is_read_and_any_torn_write_leaves_the_one_before() {
        let mut file = Vec::new();
        let mut slot = Slot::first(&payload(0)).unwrap();
        write(&mut file, slot.offset(), &slot.encode(&payload(0)));
        assert_eq!(newest(&file), Some((slot, &payload(0)[..])));
        for step in 1..30 {
            let next = slot.next(&payload(step)).unwrap();
            let bytes = next.encode(&payload(step));
            let (before, after) = (payload(step - 1), payload(step));
            for cut in (0..bytes.len()).step_by(bytes.len() / 37 + 1) {
                let mut torn = file.clone();
                write(&mut torn, next.offset(), &bytes[..cut]);
                assert_eq!(
                    newest(&torn),
                    Some((slot, &before[..])),
                    "{step} cut at {cut}"
                );
            }
            write(&mut file, next.offset(), &bytes);
            assert_eq!(newest(&file), Some((next, &after[..])), "{step}");
            slot = next;
        }
    }

    #[test]
    fn garbage_holds_no_slot() {
        assert_eq!(newest(&[]), None);
        assert_eq!(newest(&[0; 4096]), None);
        assert_eq!(newest(&MAGIC.repeat(2048)), None);
    }

    #[test]
    fn a_changed_bit_anywhere_makes_a_slot_unsound() {
        let slot = Slot::first(b"payload").unwrap();
        let good = slot.encode(b"payload");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(newest(&bad), None, "bit {bit}");
        }
    }

    #[test]
    fn payloads_have_a_limit() {
        assert!(Slot::first(&vec![b'a'; PAYLOAD_MAX]).is_some());
        assert_eq!(Slot::first(&vec![b'a'; PAYLOAD_MAX + 1]), None);
    }
}
