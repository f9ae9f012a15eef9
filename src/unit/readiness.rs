//! What a service waits for before it counts as up.

/// When a start is complete, as far as the main process goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// Its program runs; for `forking` and `oneshot`: its process has ended well.
    #[default]
    Executed,
    /// The service says `READY=1`, sd_notify(3).
    Notify,
}
