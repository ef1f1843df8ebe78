//! Why a job was not taken, or has no result.

use std::any::Any;
use std::fmt;

/// Why a job has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobError {
    /// It panicked. The thread lives on.
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The pool was dropped before the job started.
    Cancelled,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { message } => write!(f, "the job panicked: {message}"),
            Self::Cancelled => f.write_str("the pool was dropped before the job started"),
        }
    }
}

impl std::error::Error for JobError {}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmitError {
    /// The queue is full.
    Full {
        /// How many jobs wait.
        waiting: usize,
    },
    /// Every thread is held by a call whose handle was dropped and that has not ended.
    Stuck {
        /// How many such calls there are.
        abandoned: usize,
    },
    /// The system refused the only thread that could have run it.
    NoThread,
    /// The pool was closed.
    Closed,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { waiting } => write!(f, "the pool's queue is full: {waiting} jobs wait"),
            Self::Stuck { abandoned } => write!(
                f,
                "each of the pool's threads ({abandoned}) is held by a call that nobody waits for any more and that has not ended"
            ),
            Self::NoThread => f.write_str("the system refused to start the pool's first thread"),
            Self::Closed => f.write_str("the pool is closed"),
        }
    }
}

impl std::error::Error for SubmitError {}

pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a value that is no text")
        .to_owned()
}
