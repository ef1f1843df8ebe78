//! Planning: a goal becomes a graph, a failure an alternative that is spliced into the live run.
//!
//! A plan is data: who planned it cannot bring the engine into trouble. It is checked as a whole, every reason is told, and
//! only agents that were made known do its work.
//!
//! How a failure is repaired, for a step `X`:
//!
//! ```text
//! X (try) --wants--> X (repair) --wants--> X <--needs-- whoever needs X
//!                        `- adds the alternative's steps before X
//! ```
//! `X` itself only hands on what `X (try)` or the alternative returned, so that its dependents wait, neither started nor
//! skipped, while the planner thinks. Each added step is an event, one that would close a cycle is
//! refused by the engine, and once all of them are in the run, a [`Splice`] tells what was replaced by what, and what it cost.

#[cfg(feature = "http")]
mod chat;
mod plan;
mod run;
mod splice;
mod table;

use std::fmt;
use std::future::Future;

use serde::{Deserialize, Serialize};

#[cfg(feature = "http")]
pub use chat::ChatPlanner;
pub use plan::{Flaw, Plan, Step};
pub use run::{Origin, Outline, Planning, StepInputs, Work, Workers};
pub use splice::{Spent, Splice};
pub use table::TablePlanner;

/// Turns goals into plans, and failures into alternatives.
///
/// What it returns is checked before anything of it runs; a planner that panics has no plan.
pub trait Planner: Send + Sync + 'static {
    /// A plan for the goal, by these agents.
    fn plan(
        &self,
        goal: &str,
        agents: &[String],
    ) -> impl Future<Output = Result<Plan, NoPlan>> + Send;

    /// Other steps that together do what the failed one was to do; what the last of them returns, or those that nobody in the
    /// plan needs, stands for its result. The default has none.
    fn alternative(
        &self,
        failure: &Failure,
        agents: &[String],
    ) -> impl Future<Output = Result<Plan, NoPlan>> + Send {
        let _ = (failure, agents);
        std::future::ready(Err(NoPlan::because("the planner has no alternatives")))
    }
}

/// A step that failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What the whole plan is for.
    pub goal: String,
    /// The step.
    pub step: Step,
    /// Why it failed.
    pub error: String,
    /// How many alternatives have failed on the way to this step: 0 for a step of the first plan.
    pub depth: u32,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlan {
    /// Each reason.
    pub reasons: Vec<String>,
}

impl NoPlan {
    /// For one reason.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()] }
    }
}

impl fmt::Display for NoPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no plan: {}", self.reasons.join("; "))
    }
}

impl std::error::Error for NoPlan {}
