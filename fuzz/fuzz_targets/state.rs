//! A predecessor's saved state: nothing panics, what decodes comes back as it was, and whatever a file holds, the next
//! write to it is the one that is read.

#![no_main]

use diakonos::wire::slot::{self, Slot};
use diakonos::wire::{decode_definitions, decode_saved, encode_definitions, encode_saved};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(saved) = decode_saved(bytes) {
        assert_eq!(decode_saved(&encode_saved(&saved)), Ok(saved));
    }
    if let Ok(definitions) = decode_definitions(bytes) {
        assert_eq!(
            decode_definitions(&encode_definitions(&definitions)),
            Ok(definitions)
        );
    }
    let mut file = bytes.to_vec();
    let found = slot::newest(bytes);
    if let Some((_, payload)) = found {
        let _ = decode_saved(payload);
    }
    let payload = b"{\"next\":true}";
    let next = match found {
        Some((slot, _)) => slot.next(payload),
        None => Slot::first(payload),
    };
    let Some(next) = next else {
        return;
    };
    let write = next.encode(payload);
    let end = next.offset() + write.len();
    if end > 1 << 22 {
        return;
    }
    if file.len() < end {
        file.resize(end, 0);
    }
    file[next.offset()..end].copy_from_slice(&write);
    assert_eq!(slot::newest(&file), Some((next, &payload[..])));
});
