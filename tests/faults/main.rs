//! The real binary when things go wrong: killed under load, no room on the disk, no descriptors, hostile clients,
//! system calls that fail. And what it costs when nothing happens at all.
//!
//! Every wait is for an event and has a deadline; nothing sleeps. What `tests/daemon` tests already is not repeated.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and then says what the daemon said"
)]

mod clients;
mod descriptors;
mod disk;
mod fleet;
mod fuse;
mod guardian;
#[path = "../daemon/harness.rs"]
mod harness;
mod heavy;
mod idle;
mod injected;
mod killed;
mod strangers;
mod tools;
mod unread;
