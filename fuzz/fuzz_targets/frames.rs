//! Bytes in arbitrary chunks through the frame decoder and the codecs: nothing panics, the cut does not matter, and
//! what decodes comes back as it was.
//!
//! The input's first eight bytes say how long the chunks are; the rest is the stream, and also one payload by itself,
//! so that the fuzzer need not find lengths to reach the codecs.

#![no_main]

use diakonos::wire::{self, CHUNK_MAX, Decoder, FRAME_MAX, FrameError};
use libfuzzer_sys::fuzz_target;

/// What a stream gave: whole payloads, and how it ended.
#[derive(Debug, PartialEq)]
struct Outcome {
    payloads: Vec<Vec<u8>>,
    failure: Option<FrameError>,
}

fuzz_target!(|input: &[u8]| {
    let Some((sizes, stream)) = input.split_first_chunk::<8>() else {
        return;
    };
    let whole = feed(stream.chunks(CHUNK_MAX));
    let cut = feed(Chunks {
        sizes: sizes.iter().copied().cycle(),
        rest: stream,
    });
    assert_eq!(whole, cut);
    for payload in &whole.payloads {
        check_payload(payload);
    }
    check_payload(stream);
});

struct Chunks<'s, S> {
    sizes: S,
    rest: &'s [u8],
}

impl<'s, S: Iterator<Item = u8>> Iterator for Chunks<'s, S> {
    type Item = &'s [u8];

    fn next(&mut self) -> Option<&'s [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let size = usize::from(self.sizes.next()?) + 1;
        let (chunk, rest) = self.rest.split_at(size.min(self.rest.len()));
        self.rest = rest;
        Some(chunk)
    }
}

fn feed<'s>(chunks: impl Iterator<Item = &'s [u8]>) -> Outcome {
    let mut decoder = Decoder::new();
    let mut payloads = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        loop {
            match decoder.next() {
                Ok(Some(payload)) => payloads.push(payload),
                Ok(None) => break,
                Err(failure) => {
                    assert!(matches!(failure, FrameError::Long { length } if length > FRAME_MAX));
                    let failure = Some(failure);
                    return Outcome { payloads, failure };
                }
            }
        }
    }
    Outcome {
        payloads,
        failure: None,
    }
}

fn check_payload(payload: &[u8]) {
    if let Ok(hello) = wire::decode_hello(payload) {
        let again = wire::decode_hello(&framed(&wire::encode_hello(&hello)));
        assert_eq!(again, Ok(hello));
    }
    if let Ok(request) = wire::decode_request(payload) {
        let again = wire::decode_request(&framed(&wire::encode_request(&request)));
        assert_eq!(again, Ok(request));
    }
    if let Ok(reply) = wire::decode_reply(payload) {
        let again = wire::decode_reply(&framed(&wire::encode_reply(&reply)));
        assert_eq!(again, Ok(reply));
    }
}

/// Through a frame and out again.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert_eq!(wire::frame(payload, &mut bytes), Ok(()));
    let outcome = feed(bytes.chunks(CHUNK_MAX));
    assert_eq!(outcome.payloads, [payload]);
    payload.to_vec()
}
