//! A log's index: any bytes may stand in the file; what decodes comes back as it was, and every byte is accounted for.

#![no_main]

use diakonos::log::index::{Decoded, RECORD_BYTES, Record, decode, header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    check(&[&header(), bytes].concat());
});

fn check(bytes: &[u8]) {
    let Some(decoded) = decode(bytes) else {
        return;
    };
    let Decoded {
        records,
        unreadable,
        torn_bytes,
    } = &decoded;
    let slots = 1 + records.len() + unreadable;
    assert_eq!(slots * RECORD_BYTES + torn_bytes, bytes.len());
    for record in records {
        assert_eq!(Record::decode(&record.encode()), Some(*record));
        assert!(record.end() >= record.offset);
    }
    let mut again = header().to_vec();
    again.extend(records.iter().flat_map(Record::encode));
    let expected = Decoded {
        records: records.clone(),
        unreadable: 0,
        torn_bytes: 0,
    };
    assert_eq!(decode(&again), Some(expected));
}
