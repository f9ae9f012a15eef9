//! What a process is to have beside its program, identity and streams.
//!
//! Owns the facts, prepared so that the child only has to make system calls; how it makes them is `child`'s.

use super::confine::Confinement;
use super::step::Step;

/// All of it is optional: by default the process has what its parent has.
#[derive(Debug, Default)]
pub struct Setting {
    /// Where one of these steps fails, the child reports it and goes on.
    pub tolerated: Vec<Step>,
    pub confinement: Option<Box<Confinement>>,
}
