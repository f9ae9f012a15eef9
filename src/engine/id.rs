//! Names for things that last: each a counter's value, never used twice by one daemon or its successor.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id!(
    /// A unit that the engine knows.
    UnitId
);
id!(
    /// One life of one process: the main process, or one command of an `Exec…=` key.
    RunId
);
id!(
    /// One wish of one client; the shell gives it and routes the answer by it.
    RequestId
);
id!(
    /// One published change of state.
    ChangeId
);

id!(
    /// One question to the shell about the machine.
    QuestionId
);

/// A moment: milliseconds on the machine's monotonic clock. Only `sys` can make one from the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// This much later; saturating.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here, 0 if it is not earlier.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
