//! What a planner has put into a live run, and what its thinking took.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Failure;

/// An alternative that was put into a live run in place of a failed step. All of its tasks are in the run, and none of them
/// has started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Splice {
    /// The id of the step's task, whose result the alternative stands for.
    pub task: Arc<str>,
    /// The task that asked for the alternative; every added task needs it.
    pub by: Arc<str>,
    /// The step that failed, its error, and what the plan is for.
    pub failure: Failure,
    /// The tasks that were added, each after those that it needs.
    pub added: Vec<Arc<str>>,
    /// Those of them whose results stand for the step's.
    pub ends: Vec<Arc<str>>,
    /// How long the planner thought.
    pub took: Duration,
    /// What that cost.
    pub spent: Spent,
}

/// What a planner spent on one plan; all zero if it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// How often it asked a model.
    pub requests: u32,
    /// The tokens of the questions.
    pub prompt_tokens: u64,
    /// The tokens of the answers.
    pub completion_tokens: u64,
    /// In the currency of the model's price.
    pub cost: f64,
}
