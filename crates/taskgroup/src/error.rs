//! What `wait` returns when not every task gave a value.

use std::error::Error;
use std::fmt;

use crate::{Label, Panic};

/// Why a group did not give all its values: the first thing that went wrong, and what followed.
///
/// The cause is fixed the moment it happens. What tasks return *because* they were cancelled never takes its place; it is
/// found among the followers, or is only counted.
///
/// It is an [`Error`] where `E` is one. Where `E` can only be displayed (a `String`, an `anyhow::Error`), its text names the task
/// and the cause; [`into_error`](Self::into_error) gives the `E` itself.
#[derive(Debug)]
pub struct GroupError<E> {
    /// What went wrong first.
    pub cause: Cause<E>,
    /// What came of it; boxed, so that the error stays small in a `Result`.
    pub aftermath: Box<Aftermath<E>>,
}

/// What came after the cause.
#[derive(Debug)]
pub struct Aftermath<E> {
    /// Failures after the cause, in the order in which they came; bounded, see
    /// [`Builder::keep_failures`](crate::Builder::keep_failures).
    pub followers: Vec<Failure<E>>,
    /// How many failures came after the list was full.
    pub omitted: usize,
    /// How many tasks were dropped, or never started, because the group was cancelled.
    pub cancelled: usize,
    /// Tasks that did not stop within the grace period and were dropped; bounded as the followers are.
    pub aborted: Vec<Label>,
    /// How many tasks did not stop within the grace period.
    pub aborted_count: usize,
}

impl<E> Default for Aftermath<E> {
    fn default() -> Self {
        let (followers, aborted) = (Vec::new(), Vec::new());
        Self { followers, omitted: 0, cancelled: 0, aborted, aborted_count: 0 }
    }
}

/// What went wrong first.
#[derive(Debug)]
pub enum Cause<E> {
    /// A task failed or panicked.
    Task(Failure<E>),
    /// [`Spawner::cancel`](crate::Spawner::cancel) was called, or the token that the group was built with was cancelled.
    Cancelled,
    /// The group's deadline passed.
    Deadline,
    /// The group that this one is a child of was cancelled or dropped.
    Parent,
    /// The runtime shut down and dropped tasks.
    Shutdown,
    /// A task waited for the group that it runs in, which cannot end before the task does.
    WaitedFromInside,
}

/// A task that went wrong by itself.
#[derive(Debug)]
pub struct Failure<E> {
    /// Which task.
    pub task: Label,
    /// What it did.
    pub kind: FailureKind<E>,
}

/// What a task that went wrong did.
#[derive(Debug)]
pub enum FailureKind<E> {
    /// It returned this error.
    Failed(E),
    /// It panicked.
    Panicked(Panic),
}

impl<E> GroupError<E> {
    /// The task's error, when a returned error is the cause.
    pub fn into_error(self) -> Option<E> {
        match self.cause {
            Cause::Task(Failure { kind: FailureKind::Failed(error), .. }) => Some(error),
            _ => None,
        }
    }

    /// Goes on with the panic when a panic is the cause; gives the error back otherwise. All tasks have ended by then.
    #[must_use]
    pub fn resume_panic(self) -> Self {
        match self.cause {
            Cause::Task(Failure { kind: FailureKind::Panicked(panic), .. }) => panic.resume(),
            cause => Self { cause, ..self },
        }
    }

    #[cfg(not(loom))]
    pub(crate) fn bare(cause: Cause<E>) -> Self {
        Self { cause, aftermath: Box::default() }
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)?;
        let after = &self.aftermath;
        let more = after.followers.len() + after.omitted;
        if more != 0 {
            write!(f, " (and {more} more failed)")?;
        }
        if after.aborted_count != 0 {
            write!(f, " ({} did not stop in time", after.aborted_count)?;
            after.aborted.iter().take(3).try_for_each(|label| write!(f, ", {label}"))?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl<E: fmt::Display> fmt::Display for Cause<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(failure) => failure.fmt(f),
            Self::Cancelled => f.write_str("the task group was cancelled"),
            Self::Deadline => f.write_str("the task group passed its deadline"),
            Self::Parent => f.write_str("the parent of the task group was cancelled"),
            Self::Shutdown => f.write_str("the runtime shut down"),
            Self::WaitedFromInside => f.write_str("a task waited for the group that it runs in"),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FailureKind::Failed(error) => write!(f, "{} failed: {error}", self.task),
            FailureKind::Panicked(panic) => write!(f, "{} panicked: {panic}", self.task),
        }
    }
}

/// The source is what the task's error names as its source: the error's own text is part of the message already.
impl<E: Error + 'static> Error for GroupError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Task(Failure { kind: FailureKind::Failed(error), .. }) => error.source(),
            _ => None,
        }
    }
}
