//! Diakonos, a service manager for Linux: the map of the house.
//!
//! Floors, top to bottom; imports point down only (`tests/tidy.rs` holds it):
//!
//! | floor | room | what it is | the README's name for it |
//! | --- | --- | --- | --- |
//! | 4 | [`cli`] | the command table, arguments, rendering, the thin client | CLI |
//! | 4 | [`daemon`] | the loop and all that it multiplexes: sockets, processes, logs, state | service supervisor |
//! | 3 | [`wire`] | frames, messages, notify datagrams, the saved state's form | |
//! | 2 | [`engine`] | the rules: phases, goals, requests, order, restarts, timers; pure | service manager, dependency resolver |
//! | 2 | [`log`] | a service's log on disk: write, rotate, index, read, follow | |
//! | 1 | [`unit`] | what a unit file says: model, parser, words, spans, search path, templates | unit parser |
//! | 1 | [`sys`] | small safe wrappers over Linux; the only `unsafe` | |
//! | 0 | `sorted` | sorting, and sorted collections, in little code | |
//!
//! One request's life: `cli` builds a [`engine::Command`], `wire` encodes it, `daemon` reads the frame, loads
//! the unit files it needs and hands both to [`engine::Engine::handle`]; the engine answers with
//! [`engine::Effect`]s, which `daemon` carries out; what comes of them returns as [`engine::Event`]s.

pub mod cli;
pub mod daemon;
pub mod engine;
pub mod log;
mod sorted;
pub mod sys;
pub mod unit;
pub mod wire;
