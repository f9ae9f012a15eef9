//! Small safe wrappers over Linux, one per intention: the only room with `unsafe`, nix, rustix and libc.
//!
//! Owns how the kernel is asked. Decides nothing: who is started, signalled or watched, and when, is the caller's.
//! Every descriptor that comes out of here is owned and close-on-exec; every failure is an `io::Error` unless a
//! type says more. Nothing here sleeps; only `poll`, `detach` and the waiting lock may block, and those are for
//! clients.

#![expect(
    unsafe_code,
    reason = "this room is where the kernel's raw interface is made safe"
)]

mod alarm;
mod birth;
mod child;
pub mod handed;
mod hierarchy;
mod lent;
mod setting;
mod spawn;
mod step;
mod streams;
#[cfg(test)]
pub(crate) mod testing;

pub mod census;
pub mod cgroup;
pub mod channel;
pub mod clock;
pub mod confine;
pub mod connect;
pub mod controllers;
pub mod detach;
pub mod ear;
pub mod files;
pub mod folders;
pub mod fork;
mod freezer;
pub mod image;
pub mod inotify;
pub mod kin;
pub mod local;
pub mod machine;
mod maps;
pub mod memory;
pub mod notify;
pub mod parcel;
pub mod poll;
pub mod proc;
pub mod process;
pub mod received;
pub mod search;
pub mod signals;
pub mod socket;
pub mod standard;
pub mod stranger;
pub mod terminal;
pub mod users;
