//! sd_notify datagrams: nothing panics, limits hold, and each line means the same alone and among others.

#![no_main]

use diakonos::wire::{ASSIGNMENTS_MAX, Assignment, DATAGRAM_MAX, parse_notify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let all = parse_notify(datagram);
    assert!(all.len() <= ASSIGNMENTS_MAX);
    for assignment in &all {
        if let Assignment::Status(text) = assignment {
            assert!(!text.contains(char::is_control));
        }
    }
    // A NUL ends a datagram or spoils it, and bytes that are no text spoil all of it: then lines do not stand alone.
    if datagram.len() <= DATAGRAM_MAX && !datagram.contains(&0) && datagram.is_ascii() {
        let lines = datagram.split(|byte| *byte == b'\n');
        let mut alone: Vec<_> = lines.flat_map(parse_notify).collect();
        alone.truncate(ASSIGNMENTS_MAX);
        assert_eq!(all, alone);
    }
});
