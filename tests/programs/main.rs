//! Real programs as services of the real binary, and the examples of `services/`: started, reloaded, killed, restarted,
//! stopped, with nothing left. Every wait is for an event and has a deadline.
//!
//! Debian's packages redis-server, nginx, haproxy, postgresql, python3 and python3-jsonschema have to be installed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and then says what the daemon said"
)]

mod examples;
mod follow;
mod haproxy;
mod house;
mod nginx;
mod postgres;
mod redis;
mod schema;
