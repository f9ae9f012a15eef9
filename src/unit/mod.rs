//! Unit files: what they say and where they lie. Pure but for reading files in `search.rs`.
//!
//! Owns the model, the parser and its errors, word splitting, time spans, sizes, signal names, specifiers, the search path
//! and templates. Decides nothing: what a key means for a running service is `engine`'s.

mod environment;
mod file;
pub mod glob;
mod model;
mod name;
mod nearest;
mod report;
mod signal;
pub mod size;
mod span;
mod specifier;
pub mod words;

pub use environment::{
    EnvironmentError, EnvironmentFault, is_variable_name, parse_environment_file,
};
pub use model::*;
pub use name::{NameError, UnitName};
pub use nearest::nearest;
pub use report::{Problem, Report};
pub use signal::Signal;
pub use span::{Span, SpanError};
pub use specifier::Context;
