//! Frames: a payload's length in four bytes, little-endian, then the payload.
//!
//! Owns cutting a stream of bytes into payloads and the limit on each; what a payload says is `codec.rs`'s. A stream
//! whose length is out of bounds has lost its place: the decoder stays failed, and the connection is of no more use.

use std::fmt;

/// The longest payload, in bytes.
pub const FRAME_MAX: usize = 1 << 20;
/// The most that [`Decoder::push`] takes at once, in bytes.
pub const CHUNK_MAX: usize = 64 << 10;

/// Bytes of the length in front of each payload.
const HEADER: usize = 4;
/// What an idle decoder keeps of its buffer, in bytes: a connection that once carried a long frame costs no more than
/// others.
const KEPT: usize = 4 << 10;

/// Cuts what a connection brings into payloads, in whatever pieces it comes. Take every payload with [`Decoder::next`]
/// after each [`Decoder::push`]: the buffer holds one frame and one chunk.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the next frame begins in the buffer.
    start: usize,
    failure: Option<FrameError>,
}

/// Why a frame cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A payload of so many bytes: more than [`FRAME_MAX`].
    Long { length: usize },
    /// More was pushed than one frame and one chunk without taking frames out.
    Overrun,
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream, at most [`CHUNK_MAX`]. After an error more bytes are dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        self.compact();
        if self.buffer.len() + bytes.len() > HEADER + FRAME_MAX + CHUNK_MAX {
            self.fail(FrameError::Overrun);
            return;
        }
        match self.length_with(bytes) {
            Some(length) if length > FRAME_MAX => {
                self.fail(FrameError::Long { length });
            }
            Some(_) | None => self.buffer.extend_from_slice(bytes),
        }
    }

    /// The next whole payload; `None` until more bytes come.
    ///
    /// # Errors
    /// The stream is broken for good: a length above [`FRAME_MAX`], or the caller left frames lying.
    #[allow(clippy::should_implement_trait)] // An iterator ends; this goes on after `None`.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let Some(length) = self.length_with(&[]) else {
            return Ok(None);
        };
        if length > FRAME_MAX {
            return Err(self.fail(FrameError::Long { length }));
        }
        let from = self.start + HEADER;
        let Some(payload) = self.buffer.get(from..from + length) else {
            return Ok(None);
        };
        let payload = payload.to_vec();
        self.start = from + length;
        self.compact();
        Ok(Some(payload))
    }

    /// What was pushed and not taken out.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The next frame's length, if the buffer and then `bytes` hold all of its header.
    fn length_with(&self, bytes: &[u8]) -> Option<usize> {
        let held = self.buffer.get(self.start..).unwrap_or_default();
        let mut header = [0; HEADER];
        let mut source = held.iter().chain(bytes);
        for byte in &mut header {
            *byte = *source.next()?;
        }
        usize::try_from(u32::from_le_bytes(header)).ok()
    }

    /// Drops what was handed out, once that is all or more than what is left.
    fn compact(&mut self) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(KEPT);
            self.start = 0;
        } else if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
    }

    fn fail(&mut self, failure: FrameError) -> FrameError {
        self.failure = Some(failure);
        self.buffer = Vec::new();
        self.start = 0;
        failure
    }
}

/// Appends `payload` to `out` as one frame.
///
/// # Errors
/// The payload is longer than [`FRAME_MAX`]; `out` is as it was.
pub fn frame(payload: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
    let length = payload.len();
    let header = u32::try_from(length).map_err(|_| FrameError::Long { length })?;
    if length > FRAME_MAX {
        return Err(FrameError::Long { length });
    }
    out.reserve(HEADER + length);
    out.extend_from_slice(&header.to_le_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long { length } => {
                write!(
                    f,
                    "a message of {length} bytes, at most {FRAME_MAX} are allowed"
                )
            }
            Self::Overrun => f.write_str("more bytes than one message may have"),
        }
    }
}

impl std::error::Error for FrameError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn stream(payloads: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for payload in payloads {
            frame(payload, &mut out).unwrap();
        }
        out
    }

    fn drain(decoder: &mut Decoder) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| decoder.next().unwrap()).collect()
    }

    #[test]
    fn a_frame_is_a_little_endian_length_and_the_payload() {
        assert_eq!(stream(&[b"ab"]), [2, 0, 0, 0, b'a', b'b']);
    }

    #[test]
    fn frames_come_out_whole_however_they_were_cut() {
        let payloads: [&[u8]; 4] = [b"one", b"", b"{}", &[7; 300]];
        let bytes = stream(&payloads);
        for size in 1..=bytes.len() {
            let mut decoder = Decoder::new();
            let mut got = Vec::new();
            for chunk in bytes.chunks(size) {
                decoder.push(chunk);
                got.extend(drain(&mut decoder));
            }
            assert_eq!(got, payloads, "chunks of {size}");
        }
    }

    #[test]
    fn the_longest_frame_passes_and_one_byte_more_does_not() {
        let longest = vec![1; FRAME_MAX];
        let mut decoder = Decoder::new();
        for chunk in stream(&[&longest]).chunks(CHUNK_MAX) {
            decoder.push(chunk);
        }
        assert_eq!(decoder.next(), Ok(Some(longest)));
        assert!(
            decoder.buffer.capacity() <= KEPT,
            "the buffer is given back"
        );

        let length = FRAME_MAX + 1;
        let mut out = vec![9];
        let error = Err(FrameError::Long { length });
        assert_eq!(frame(&vec![1; length], &mut out), error);
        assert_eq!(out, [9]);
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_a_byte_is_kept() {
        let mut decoder = Decoder::new();
        decoder.push(&[255, 255]);
        assert_eq!(decoder.next(), Ok(None));
        decoder.push(&[255, 255, 1, 2, 3]);
        let error = Err(FrameError::Long {
            length: 0xffff_ffff,
        });
        assert_eq!(decoder.next(), error);
        assert_eq!(decoder.buffer.capacity(), 0);
        decoder.push(&stream(&[b"late"]));
        assert_eq!(decoder.next(), error, "it stays failed");
    }

    #[test]
    fn a_bad_length_behind_a_good_frame_fails_after_that_frame() {
        let mut bytes = stream(&[b"good"]);
        bytes.extend_from_slice(&[0, 0, 0, 128]);
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        assert_eq!(decoder.next(), Ok(Some(b"good".to_vec())));
        assert!(decoder.next().is_err());
    }

    #[test]
    fn the_buffer_is_bounded_even_if_nobody_takes_frames() {
        let mut decoder = Decoder::new();
        let chunk = stream(&[&[0; 1000]]);
        for _ in 0..2000 {
            decoder.push(&chunk);
        }
        assert_eq!(decoder.next(), Err(FrameError::Overrun));
    }
}
