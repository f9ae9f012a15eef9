//! Time spans, systemd.time(7).

use std::time::Duration;

/// A length of time as a unit file gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    Finite(Duration),
    /// `infinity`.
    Infinite,
}
