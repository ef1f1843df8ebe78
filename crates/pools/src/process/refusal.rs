//! Why a worker could not run or answer a job that reached it.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Refusal {
    /// No function has that name.
    Unknown(String),
    /// The input could not be read back.
    Input(String),
    /// What the function gave could not be encoded.
    Output(String),
    /// What the function gave is larger than a frame may be.
    TooLarge { max: usize },
}
