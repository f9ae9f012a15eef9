//! Why a client is not served, in words for it.
//!
//! What is wrong with a request that was understood is `answer.rs`'s.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use crate::wire::{ErrorKind, Final, PROTOCOL_VERSION, Reply, WireError};

use super::session::{append, greet};
use super::text;

/// Says why a client is not served; as much of it as goes into the socket at once, which is all of it.
pub(super) fn turn_away(mut stream: &UnixStream, error: WireError) {
    let mut output = Vec::new();
    greet(&mut output);
    append(&Reply::Final(Final::Error(error)), &mut output);
    // It may be gone already, and it is not served either way.
    let _ = stream.set_nonblocking(true);
    let _ = stream.write(&output);
}

pub(super) fn not_understood(reason: &str) -> WireError {
    WireError {
        kind: ErrorKind::Usage,
        message: format!("the daemon does not understand the request: {reason}"),
        hint: None,
    }
}

pub(super) fn not_allowed(uid: u32) -> WireError {
    WireError {
        kind: ErrorKind::NotAllowed,
        message: format!("this daemon serves its own user and root, not user {uid}"),
        hint: None,
    }
}

pub(super) fn busy(reason: &str) -> WireError {
    WireError {
        kind: ErrorKind::Unavailable,
        message: format!("the daemon cannot serve one more client: {reason}"),
        hint: Some("try again when others have finished".to_owned()),
    }
}

pub(super) fn silent(span_ms: u64) -> WireError {
    let span = text::span(span_ms);
    WireError {
        kind: ErrorKind::Unavailable,
        message: format!("the connection was silent for {span}, and others needed its place"),
        hint: Some("ask once more".to_owned()),
    }
}

pub(super) fn other_version(theirs: u32) -> WireError {
    let ours = env!("CARGO_PKG_VERSION");
    WireError {
        kind: ErrorKind::Unavailable,
        message: format!(
            "the daemon is version {ours} (protocol {PROTOCOL_VERSION}), the client speaks protocol {theirs}"
        ),
        hint: Some(
            "`diakonos upgrade` replaces the daemon by the program that is installed".to_owned(),
        ),
    }
}
