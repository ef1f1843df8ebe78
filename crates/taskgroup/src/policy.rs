//! What a failure does to the others.

/// What a failure does to the other tasks. A panic is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// The first failure cancels the rest; it is the cause that `wait` returns.
    #[default]
    FailFast,
    /// Failures cancel nobody; `wait` returns the first as the cause and *all* others as its followers.
    CollectAll,
    /// Failures cancel nobody and do not make `wait` an error; they are recorded for
    /// [`take_failures`](crate::Spawner::take_failures), bounded by [`Builder::keep_failures`](crate::Builder::keep_failures).
    Supervise,
}
