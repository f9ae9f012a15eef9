//! The real binary in a home of its own, with real processes. Every wait is for an event and has a deadline; nothing
//! sleeps.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and then says what the daemon said"
)]

mod boot;
mod bounds;
mod clients;
mod container;
mod emptied;
mod ending;
mod files;
mod folders;
mod freeze;
mod graph;
mod harness;
mod home;
mod inherits;
mod kinds;
mod last_words;
mod lenience;
mod lifecycle;
mod limits;
mod log_silences;
mod log_wishes;
mod logs;
mod memory;
mod missing;
mod notify;
mod order;
mod oversight;
mod own_log;
mod plan;
mod ready;
mod reboot;
mod record;
mod relations;
mod remains;
mod repeat;
mod reread;
mod restart;
mod roots;
mod run;
mod sandbox;
mod spared;
mod startup;
mod stopping;
mod streams;
mod supervisor;
mod systemd;
mod takeover;
mod templates;
mod told;
mod up;
mod upgrade;
mod waits;
mod words;
