//! The orchestrator's metrics.

use tidegate_telemetry::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, RegisterError, Registry,
};

use crate::event::Outcome;
use crate::machine::Constraint;

/// The metrics that the engine writes. Their names are a promise; see [`Orchestrator`](crate::Orchestrator).
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) limit: Gauge,
    pub(crate) running: Gauge,
    pub(crate) ready: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) retries: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) cycles: Counter,
    pub(crate) source_failures: Counter,
    constraints: CounterVec<2>,
    agent_running: GaugeVec<1>,
    agent_limit: GaugeVec<1>,
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
            "Tasks that are over, by how they ended; one whose outcome nobody knows counts as skipped.",
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
            waiting: registry.gauge(
                "orchestrator_waiting_tasks",
                "How many tasks wait for others, or for their next attempt.",
            )?,
            timeouts: registry.counter(
                "orchestrator_attempt_timeouts_total",
                "Attempts that ended by a time-out.",
            )?,
            cycles: registry.counter(
                "orchestrator_cycles_refused_total",
                "Tasks that were refused because they would have closed a cycle.",
            )?,
            source_failures: registry.counter(
                "orchestrator_source_failures_total",
                "Reads of the metrics source that left something out.",
            )?,
            constraints: registry.counter_vec(
                "orchestrator_constraints_hit_total",
                "How often ready tasks were held up by a constraint of their agent.",
                ["agent", "constraint"],
            )?,
            agent_running: registry.gauge_vec(
                "orchestrator_agent_inflight_tasks",
                "How many tasks of the agent run.",
                ["agent"],
            )?,
            agent_limit: registry.gauge_vec(
                "orchestrator_agent_concurrency_limit",
                "How many tasks of the agent may run at once.",
                ["agent"],
            )?,
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

    pub(crate) fn hit(&self, agent: &str, constraint: Constraint) {
        let constraint = match constraint {
            Constraint::Concurrency => "concurrency",
            Constraint::Requests => "requests",
            Constraint::Breaker => "breaker",
            Constraint::Resource => "resource",
        };
        self.constraints.with([agent, constraint]).inc();
    }

    /// How many of an agent run and may run.
    pub(crate) fn agent(&self, name: &str) -> [Gauge; 2] {
        [self.agent_running.with([name]), self.agent_limit.with([name])]
    }

    /// Nobody speaks of the agent any more. What it was held up by stays counted.
    pub(crate) fn forget_agent(&self, name: &str) {
        self.agent_running.remove([name]);
        self.agent_limit.remove([name]);
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
