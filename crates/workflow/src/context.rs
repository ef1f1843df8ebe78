//! What a running attempt sees of its run.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::offload::Pools;
use crate::run::Run;
use crate::task::Output;

/// What an attempt gets: its inputs, its number, the token that tells it to stop, and its run.
#[derive(Clone)]
pub struct Context {
    pub(crate) id: Arc<str>,
    pub(crate) attempt: u32,
    pub(crate) inputs: Arc<[(Arc<str>, Option<Output>)]>,
    pub(crate) token: CancellationToken,
    pub(crate) run: Run,
    pub(crate) pools: Arc<Pools>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// The id of the task.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Which attempt this is, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Cancelled when the attempt is to stop: by its time-out, by a cancellation, or because the run failed. An attempt that
    /// has not ended after its grace period is dropped.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The run it belongs to, to submit further tasks.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The output of a task that this one needs or wants.
    ///
    /// # Errors
    /// When the task is not among the needs, did not succeed, or returned another type.
    pub fn input<T: Send + Sync + 'static>(&self, id: &str) -> Result<Arc<T>, InputError> {
        let error = |why| InputError { task: id.to_owned(), why };
        let output = self
            .inputs
            .iter()
            .find(|(need, _)| **need == *id)
            .ok_or_else(|| error(Missing::NotANeed))?;
        let output = output.1.clone().ok_or_else(|| error(Missing::DidNotSucceed))?;
        output
            .downcast()
            .map_err(|_| error(Missing::OtherType { wanted: std::any::type_name::<T>() }))
    }
}

/// Why an input cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// The task whose output was asked for.
    pub task: String,
    /// What stands in the way.
    pub why: Missing,
}

/// What stands between a task and an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The task that asks does not name it in its needs.
    NotANeed,
    /// It is wanted, and it failed, was skipped or cancelled.
    DidNotSucceed,
    /// It returned a value of another type.
    OtherType {
        /// The type that was asked for.
        wanted: &'static str,
    },
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, why } = self;
        match why {
            Missing::NotANeed => write!(f, "no input `{task}`: add it with `needs` or `wants`"),
            Missing::DidNotSucceed => write!(f, "no input `{task}`: it did not succeed"),
            Missing::OtherType { wanted } => write!(f, "input `{task}` is no `{wanted}`"),
        }
    }
}

impl std::error::Error for InputError {}
