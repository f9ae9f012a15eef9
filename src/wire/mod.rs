//! What leaves the process: frames, messages, notify datagrams, and the saved state's form.
//!
//! Internal types never are the wire's form: `codec.rs` and its kin convert to flat structs and back, and every text
//! and limit of a refusal is ours. Bytes from anywhere may be garbage: every decoder here refuses with a value, and
//! none allocates more than a small multiple of what it was given.

mod codec;
mod codec_plan;
mod codec_reply;
mod definition;
mod error;
mod frame;
#[cfg(test)]
mod golden;
mod handover;
mod message;
mod notify;
mod parse;
mod parts;
mod reason;
pub mod record;
pub mod slot;
mod state;
mod words;

pub use codec::{decode_hello, decode_request, encode_hello, encode_request};
pub use codec_reply::{decode_reply, encode_reply};
pub use definition::{SavedDefinition, decode_definitions, encode_definitions};
pub use error::DecodeError;
pub use frame::{CHUNK_MAX, Decoder, FRAME_MAX, FrameError, frame};
pub use handover::{
    HandedRequest, HandedSession, HandedStage, Handover, decode_handover, encode_handover,
};
pub use message::*;
pub use notify::{ASSIGNMENTS_MAX, Assignment, DATAGRAM_MAX, parse_notify};
pub use parts::{Assembler, frame_reply};
pub use state::{STORED_MAX, Saved, SavedDescriptor, decode_saved, encode_saved};
