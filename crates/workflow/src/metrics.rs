//! The orchestrator's metrics.

use tidegate_telemetry::{Counter, CounterVec, Gauge, Histogram, RegisterError, Registry};

use crate::event::Outcome;

/// The metrics that the engine writes. Their names are a promise; see [`Orchestrator`](crate::Orchestrator).
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) limit: Gauge,
    pub(crate) running: Gauge,
    pub(crate) ready: Gauge,
    pub(crate) retries: Counter,
    pub(crate) duration: Histogram,
    errors: CounterVec<1>,
    succeeded: Counter,
    failed: Counter,
    timed_out: Counter,
    cancelled: Counter,
    declined: Counter,
    skipped: Counter,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        // Half-open calls to models take seconds, commands minutes.
        let buckets =
            [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];
        let tasks = registry.counter_vec(
            "orchestrator_tasks_total",
            "Tasks that are over, by how they ended.",
            ["outcome"],
        )?;
        Ok(Self {
            succeeded: tasks.with(["succeeded"]),
            failed: tasks.with(["failed"]),
            timed_out: tasks.with(["timed_out"]),
            cancelled: tasks.with(["cancelled"]),
            declined: tasks.with(["declined"]),
            skipped: tasks.with(["skipped"]),
            limit: registry
                .gauge("orchestrator_concurrency_limit", "How many tasks may run at once.")?,
            running: registry.gauge("orchestrator_inflight_tasks", "How many tasks run.")?,
            ready: registry.gauge("orchestrator_ready_tasks", "How many tasks wait for a slot.")?,
            retries: registry.counter(
                "orchestrator_task_retries_total",
                "Attempts that were followed by another.",
            )?,
            duration: registry.histogram(
                "orchestrator_attempt_duration_seconds",
                "How long attempts ran.",
                buckets,
            )?,
            errors: registry.counter_vec(
                "orchestrator_task_errors_total",
                "Tasks that failed or timed out.",
                ["task"],
            )?,
        })
    }

    pub(crate) fn ended(&self, task: &str, outcome: &Outcome) {
        let count = match outcome {
            Outcome::Succeeded => &self.succeeded,
            Outcome::Failed { .. } => &self.failed,
            Outcome::TimedOut => &self.timed_out,
            Outcome::Cancelled => &self.cancelled,
            Outcome::Declined => &self.declined,
            Outcome::Skipped { .. } | Outcome::Unknown => &self.skipped,
        };
        count.inc();
        if matches!(outcome, Outcome::Failed { .. } | Outcome::TimedOut) {
            self.errors.with([task]).inc();
        }
    }
}
