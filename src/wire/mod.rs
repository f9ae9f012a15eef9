//! What leaves the process: frames, messages, notify datagrams, and the saved state's form.
//!
//! Internal types never are the wire's form: `codec.rs` converts to flat structs and back, and every text and limit of a
//! refusal is ours.

mod message;

pub use message::*;
