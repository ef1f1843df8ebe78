//! Why an item has no result.

use std::fmt;

/// Why an item has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchError {
    /// The call for its batch panicked.
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The call answered with a number of results that is not that of its items, so that none can be told whose it is.
    WrongCount {
        /// Items of the batch.
        items: usize,
        /// Results that came.
        results: usize,
    },
    /// The runtime ended.
    Closed,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { message } => write!(f, "the call for the batch panicked: {message}"),
            Self::WrongCount { items, results } => {
                write!(f, "the call for a batch of {items} items gave {results} results")
            }
            Self::Closed => f.write_str("the runtime of the batcher has ended"),
        }
    }
}

impl std::error::Error for BatchError {}
