//! What a graph refuses.

use std::fmt;

/// Why a task cannot be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddError {
    /// A task of this id is there.
    Duplicate {
        /// The id.
        id: String,
    },
    /// The task would need itself.
    Cycle {
        /// The ids along the needs, the first again at the end.
        path: Vec<String>,
    },
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { id } => write!(f, "a task `{id}` was added before"),
            Self::Cycle { path } => {
                write!(f, "tasks would need each other in a cycle: {}", path.join(" -> "))
            }
        }
    }
}

impl std::error::Error for AddError {}

/// A need that names no task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// The id that nobody added.
    pub id: String,
    /// A task that needs it.
    pub needed_by: String,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task `{}` needs `{}`, which was not added", self.needed_by, self.id)
    }
}
