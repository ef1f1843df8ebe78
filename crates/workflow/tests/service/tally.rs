//! The books: what was submitted, what reports and events say, and what the registry shows.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{EventKind, Outcome, Report};

/// What the service's own reports and events add up to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Tasks that were given to the orchestrator, but for those that a planner added.
    pub(crate) submitted: u64,
    /// Tasks of `go` that succeeded, and that failed.
    pub(crate) alone: [u64; 2],
    /// How often cron ran.
    pub(crate) cron: u64,
    outcomes: BTreeMap<&'static str, u64>,
    attempts: u64,
    /// Attempts of the model.
    pub(crate) calls: u64,
    busy: Duration,
    events: EventTally,
}

#[derive(Debug, Default)]
struct EventTally {
    started: u64,
    retrying: u64,
    ended: BTreeMap<&'static str, u64>,
    added: u64,
    spliced: u64,
    splices: u64,
    limits: u64,
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed { .. } => "failed",
        Outcome::TimedOut => "timed_out",
        Outcome::Cancelled => "cancelled",
        Outcome::Declined => "declined",
        Outcome::Skipped { .. } | Outcome::Unknown => "skipped",
    }
}

impl Tally {
    pub(crate) fn report(&mut self, report: &Report) {
        for task in &report.tasks {
            *self.outcomes.entry(name(&task.outcome)).or_default() += 1;
            self.attempts += u64::from(task.attempts);
            self.busy += task.busy;
            if &*task.agent == "model" {
                self.calls += u64::from(task.attempts);
            }
        }
    }

    pub(crate) fn event(&mut self, kind: &EventKind) {
        let events = &mut self.events;
        match kind {
            EventKind::TaskStarted { .. } => events.started += 1,
            EventKind::TaskRetrying { .. } => events.retrying += 1,
            EventKind::TaskAdded { .. } => events.added += 1,
            EventKind::AgentLimitChanged { .. } => events.limits += 1,
            EventKind::PlanSpliced { splice, .. } => {
                events.splices += 1;
                events.spliced += splice.added.len() as u64;
            }
            EventKind::TaskEnded { outcome, .. } => {
                *events.ended.entry(name(outcome)).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Every metric is what the books say. `hung` tasks never answered, `alone` is how long one of `go` takes.
    pub(crate) fn agrees_with(mut self, registry: &Registry, hung: u64, alone: Duration) {
        for (of, count) in ["succeeded", "failed"].into_iter().zip(self.alone) {
            *self.outcomes.entry(of).or_default() += count;
            self.attempts += count;
            self.busy += alone * u32::try_from(count).expect("not so many");
        }
        println!("{self:#?}");
        let value = |name: &str| registry.value(name).expect("it is there");
        let same = |what: &str, metric: f64, books: u64| {
            assert_eq!(metric, books as f64, "{what}: the registry and the books");
        };
        let events = &self.events;
        assert_eq!(events.added, events.spliced, "only the planner has added tasks");
        let over = registry.sum("orchestrator_tasks_total").expect("it is there");
        same("tasks", over, self.submitted + events.spliced);
        assert_eq!(events.ended, self.outcomes, "events and reports");
        for outcome in ["succeeded", "failed", "timed_out", "cancelled", "declined", "skipped"] {
            let metric = registry.value_of("orchestrator_tasks_total", &[("outcome", outcome)]);
            let books = self.outcomes.get(outcome).copied().unwrap_or_default();
            assert!(books > 0, "no task was {outcome}");
            same(outcome, metric.expect("it is there"), books);
        }
        same("attempts", value("orchestrator_attempt_duration_seconds_count"), self.attempts);
        same("starts", value("orchestrator_attempt_duration_seconds_count"), events.started);
        same("retries", value("orchestrator_task_retries_total"), events.retrying);
        same("time-outs", value("orchestrator_attempt_timeouts_total"), hung);
        let errors = self.outcomes["failed"] + self.outcomes["timed_out"];
        same(
            "errors",
            registry.sum("orchestrator_task_errors_total").expect("it is there"),
            errors,
        );
        let (took, busy) =
            (value("orchestrator_attempt_duration_seconds_sum"), self.busy.as_secs_f64());
        assert!((took - busy).abs() < 1e-6 * busy, "{took} s of attempts, {busy} s in the books");
        assert!(events.splices > 0 && events.limits > 0 && events.retrying > 0);
        for gauge in ["inflight", "ready", "waiting"] {
            same(gauge, value(&format!("orchestrator_{gauge}_tasks")), 0);
        }
        same("agents", registry.sum("orchestrator_agent_inflight_tasks").expect("there"), 0);
        let hits = |agent, constraint| {
            let labels = [("agent", agent), ("constraint", constraint)];
            registry.value_of("orchestrator_constraints_hit_total", &labels).unwrap_or_default()
        };
        assert!(hits("model", "concurrency") > 0.0 && hits("tool", "breaker") > 0.0);
    }
}
