//! The daemon: one loop and all that it multiplexes.

mod home;
mod sources;
