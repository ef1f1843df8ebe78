//! What is to run, when, and what came of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::agenda::{Due, When};
use super::cron::{Cron, CronError};
use crate::graph::Graph;
use crate::report::Report;

/// What happens to times that nobody saw to, because the scheduler did not look in time: it was busy, or the machine slept. Of the
/// time before a job was [added](super::Scheduler::add), in this process, nothing is known. Those that are due at once run one
/// after another, unless the job may [overlap](Overlap::Allow).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// Nothing: only a time that is at most so old is run.
    Skip {
        /// The greatest age.
        tolerance: Duration,
    },
    /// The job runs once for all of them. The default.
    Once,
    /// The job runs for each of them, the oldest first; if there are more than so many, for the latest.
    Each {
        /// The most runs.
        at_most: u32,
    },
}

/// What happens when a job is due while an earlier run of it lives. It matters where the scheduler
/// [runs by itself](super::Scheduler::run): a tick waits for its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// The new one does not run, and says so. The default.
    Skip,
    /// The new one runs after the earlier; while one waits, further ones do not run.
    Wait,
    /// Both run.
    Allow,
    /// The earlier is cancelled; the new one runs when it has ended.
    Replace,
}

/// Something to run at its time.
#[derive(Clone)]
pub struct Job {
    pub(super) id: Arc<str>,
    pub(super) when: When,
    pub(super) missed: Missed,
    pub(super) overlap: Overlap,
    pub(super) graph: Arc<dyn Fn() -> Graph + Send + Sync>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}

impl Job {
    fn new(
        id: impl Into<Arc<str>>,
        when: When,
        graph: impl Fn() -> Graph + Send + Sync + 'static,
    ) -> Self {
        let (missed, overlap) = (Missed::Once, Overlap::Skip);
        Self { id: id.into(), when, missed, overlap, graph: Arc::new(graph) }
    }

    /// Runs once, as soon as possible.
    pub fn now(id: impl Into<Arc<str>>, graph: impl Fn() -> Graph + Send + Sync + 'static) -> Self {
        Self::new(id, When::At(Timestamp::MIN), graph)
    }

    /// Runs once, at this moment.
    pub fn at(
        id: impl Into<Arc<str>>,
        at: Timestamp,
        graph: impl Fn() -> Graph + Send + Sync + 'static,
    ) -> Self {
        Self::new(id, When::At(at), graph)
    }

    /// Runs again and again: by a cron expression of five fields (minute, hour, day, month, day of the week), or six with
    /// seconds in front, in an IANA time zone such as `Europe/Berlin` or `UTC`.
    ///
    /// # Errors
    /// When the expression or the zone is none.
    pub fn cron(
        id: impl Into<Arc<str>>,
        expression: &str,
        zone: &str,
        graph: impl Fn() -> Graph + Send + Sync + 'static,
    ) -> Result<Self, CronError> {
        Ok(Self::new(id, When::Cron(Arc::new(Cron::parse(expression, zone)?)), graph))
    }

    /// What happens to times that nobody saw to.
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// What happens when it is due while it runs.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }
}

/// What became of a job that was due.
#[derive(Debug, Clone, PartialEq)]
pub struct JobReport {
    /// Its id.
    pub job: Arc<str>,
    /// The time for which it ran; of a job that runs at once, the time of the tick.
    pub due: Timestamp,
    /// How it ended.
    pub end: JobEnd,
    /// Whether it failed together with others and this is what came of it alone.
    pub fell_back: bool,
}

/// How a job that was due ended.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEnd {
    /// Its graph ran to its end; whether its tasks succeeded is in the report.
    Ran(Box<Report>),
    /// It did not run: an earlier run of it lived.
    Overlapped,
    /// Its run was cancelled, by one that took its place or because the scheduler stopped.
    Cancelled,
    /// Its graph could not be made or started.
    Failed(String),
}

impl JobReport {
    /// Whether it ran and each of its tasks succeeded.
    pub fn is_success(&self) -> bool {
        matches!(&self.end, JobEnd::Ran(report) if report.is_success())
    }
}

/// A job of this id is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The id.
    pub job: Arc<str>,
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a job `{}` is there: remove it first", self.job)
    }
}

impl std::error::Error for Duplicate {}

impl Due<Job> {
    pub(super) fn report(&self, end: JobEnd) -> JobReport {
        JobReport { job: Arc::clone(&self.job.id), due: self.at, end, fell_back: false }
    }
}
