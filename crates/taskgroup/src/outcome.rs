//! How one task ended, and which task it was.

use std::any::Any;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

/// Which task: its place in spawn order, and its name if it has one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// Counts the tasks of the group from 0, in the order of their spawning; wraps after 2³² of them.
    pub index: u32,
    /// The name given by [`Spawner::named`](crate::Spawner::named).
    pub name: Option<Arc<str>>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.index)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " `{name}`"))
    }
}

/// How one task ended.
#[derive(Debug)]
pub enum Outcome<T, E> {
    /// It returned `Ok`.
    Value(T),
    /// It returned `Err`.
    Failed(E),
    /// It panicked, or its future did when it was dropped.
    Panicked(Panic),
    /// The group was cancelled before it ended, or before it began.
    Cancelled,
    /// It had not ended when the grace period was over, or cut short by the drop of the group, and was dropped.
    Aborted,
}

impl<T, E> Outcome<T, E> {
    /// The value, if there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it failed or panicked by itself.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Panicked(_))
    }
}

/// A task that ended, and how.
#[derive(Debug)]
pub struct Completed<T, E> {
    /// Which task.
    pub task: Label,
    /// How it ended.
    pub outcome: Outcome<T, E>,
}

/// A panic that was caught in a task.
///
/// The message went to the panic hook when it happened, as always; this is what is left for the program to act on.
pub struct Panic(Box<Caught>);

/// Boxed, so that a panic makes an outcome no bigger than a pointer does.
struct Caught {
    message: Box<str>,
    // A payload is `Send` only; the mutex, never locked while shared, makes the panic `Sync` as errors have to be.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl Panic {
    #[cfg(not(loom))]
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let message = text.unwrap_or("a payload that is no text").into();
        Self(Box::new(Caught { message, payload: Mutex::new(payload) }))
    }

    /// What the task panicked with, where it is text.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the task panicked with.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.0.payload.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with the panic here.
    pub fn resume(self) -> ! {
        resume_unwind(self.into_payload())
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.0.message).finish()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}
