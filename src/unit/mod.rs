//! Unit files: what they say and where they lie. Pure but for reading files in `search.rs`.
//!
//! Owns the model, the parser and its errors, word splitting, time spans, sizes, signal names, specifiers, the
//! search path and templates. Decides nothing: what a key means for a running service is `engine`'s.

mod call_names;
mod capability;
mod compose;
mod compress;
mod condition;
mod difference;
mod environment;
mod exec;
mod family;
mod file;
mod flow;
mod folders;
mod form;
pub mod glob;
mod hash;
mod help;
mod keys;
mod kill;
mod limits;
mod lint;
mod list;
mod model;
mod name;
mod nearest;
mod oversight;
mod parse;
mod place;
mod print;
mod probe;
mod readiness;
mod relation;
mod renew;
mod report;
mod resources;
mod restart;
mod sandbox;
mod scheduling;
mod search;
mod service;
mod settings;
mod signal;
pub mod size;
mod span;
mod specifier;
mod stream;
mod syscall;
mod value;
pub mod words;

pub use capability::Capabilities;
pub use compose::{Unclear, Wording, compose};
pub use compress::LogCompress;
pub use condition::{Condition, Demand, Test, Truth, Weight};
pub use difference::{Difference, differences, plain, properties};
pub use environment::{EnvironmentError, EnvironmentFault, parse_environment_file};
pub use exec::swallowed_hint;
pub use family::Families;
pub use flow::{LogPolicy, LogRate};
pub use folders::{Folders, Preserve, Purpose};
pub use form::{Bound, Form};
pub use keys::{Key, keys};
pub use kill::{Kill, KillMode};
pub use limits::{Limit, Resource};
pub use lint::{Warning, lint};
pub use list::List;
pub use model::*;
pub use name::{INSTANCES_MAX, NameError, UnitName};
pub use nearest::{did_you_mean, nearest, unit_meant};
pub use oversight::{NotifyAccess, Oversight};
pub use parse::parse;
pub use place::{Origin, Part, Remark, Spot, locate, locate_order, origins};
pub use print::{same_meaning, to_toml};
pub use probe::{Endpoint, Page, Probe};
pub use readiness::Readiness;
pub use relation::{Need, Relation, Relations};
pub use report::{Problem, Report};
pub use resources::*;
pub use sandbox::{ProtectHome, ProtectSystem, Sandbox, SandboxPath};
pub use scheduling::{CpuScheduling, IoScheduling, Scheduling};
pub use search::{
    Found, Listed, Listing, LoadError, SearchPath, Skipped, files, hash_on_disk, load,
    load_changed, load_file,
};
pub use settings::{Settings, parse_settings};
pub use signal::Signal;
pub use span::{Span, SpanError};
pub use specifier::Context;
pub use syscall::{Fate, SystemCalls};

#[cfg(test)]
mod tests;
