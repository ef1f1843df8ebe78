//! Answers, and what is missing in them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Outcome;
use crate::orchestrator::StartError;
use crate::report::{Report, TaskReport};

/// What a pipeline answered, without whom, and how it came about.
#[derive(Debug, Clone)]
pub struct Answer<A> {
    /// The pipeline that answered.
    pub pipeline: Arc<str>,
    /// What the stage that answers returned.
    pub value: Arc<A>,
    /// The stages whose outputs the answer had to do without, and those that were skipped because of them. A stage whose
    /// [condition](crate::Task::when) said no is not missing.
    pub missing: Vec<MissingStage>,
    /// From the request to the answer.
    pub took: Duration,
    /// What happened, of each stage that ran; after a concurrent run that was given up, of those that ran once more.
    pub report: Report,
    /// The concurrent run that was given up; see [`Mode::FallingBack`](super::Mode::FallingBack).
    pub given_up: Option<Box<Report>>,
}

impl<A> Answer<A> {
    /// Whether it had to do without anybody.
    pub fn is_degraded(&self) -> bool {
        !self.missing.is_empty()
    }
}

/// A stage that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingStage {
    /// Its id.
    pub stage: Arc<str>,
    /// Its agent.
    pub agent: Arc<str>,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl MissingStage {
    /// Those of a report, in the order of the stages; what a condition said no to is among them only if `all` are asked for.
    pub(super) fn of(report: &Report, all: bool) -> Vec<Self> {
        let is_missing = |task: &&TaskReport| {
            !task.outcome.is_success() && (all || !was_declined(report, &task.outcome))
        };
        let missing = report.tasks.iter().filter(is_missing);
        missing
            .map(|task| Self {
                stage: Arc::clone(&task.id),
                agent: Arc::clone(&task.agent),
                outcome: task.outcome.clone(),
            })
            .collect()
    }
}

/// Whether a condition said no, to the task or to what it was skipped because of.
fn was_declined(report: &Report, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Declined => true,
        Outcome::Skipped { because } => {
            let cause = report.tasks.iter().find(|task| task.id == *because);
            cause.is_some_and(|cause| was_declined(report, &cause.outcome))
        }
        _ => false,
    }
}

impl fmt::Display for MissingStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, agent, outcome } = self;
        write!(f, "agent `{agent}` ")?;
        if agent != stage {
            write!(f, "at stage `{stage}` ")?;
        }
        match outcome {
            Outcome::Succeeded => f.write_str("succeeded"),
            Outcome::Failed { error } => write!(f, "failed: {error}"),
            Outcome::TimedOut => f.write_str("timed out"),
            Outcome::Cancelled => f.write_str("was cancelled"),
            Outcome::Declined => f.write_str("was not to start: its condition said no"),
            Outcome::Skipped { because } => {
                write!(f, "was skipped, because `{because}` did not succeed")
            }
            Outcome::Unknown => f.write_str("ended nobody knows how"),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub enum NoAnswer {
    /// The orchestrator did not take the request's graph.
    NotStarted(StartError),
    /// The stage that answers did not succeed.
    Failed {
        /// The pipeline.
        pipeline: Arc<str>,
        /// Every stage that did not succeed, in the order of the stages.
        missing: Vec<MissingStage>,
        /// What happened, as in an [`Answer`].
        report: Box<Report>,
        /// As in an [`Answer`].
        given_up: Option<Box<Report>>,
    },
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(why) => write!(f, "no answer: {why}"),
            Self::Failed { pipeline, missing, .. } => {
                write!(f, "no answer from pipeline `{pipeline}`")?;
                for (at, stage) in missing.iter().enumerate() {
                    write!(f, "{} {stage}", if at == 0 { ":" } else { ";" })?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for NoAnswer {}
