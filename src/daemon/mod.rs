//! The daemon: one loop and all that it multiplexes.

mod answer;
mod boot;
mod home;
mod sources;
mod text;
