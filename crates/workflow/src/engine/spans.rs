//! The `tracing` spans of a run: its own, one for each task from its first start to its end, one for each attempt.
//!
//! Without a subscriber there are none, and nothing is kept for them.

use std::collections::HashMap;

use tracing::{Span, field, info_span};

use crate::event::Outcome;

/// The spans of a run that somebody watches.
pub(super) struct Spans {
    run: Span,
    /// Of those that have started and are not over, by their places.
    tasks: HashMap<u32, Span>,
}

impl Spans {
    /// Nothing, if nobody watches the run.
    pub(super) fn of(run: Span) -> Option<Box<Self>> {
        (!run.is_disabled()).then(|| Box::new(Self { run, tasks: HashMap::new() }))
    }

    /// A span for an attempt. Whoever watches the run gets it, whatever thread this is.
    pub(super) fn attempt(
        &mut self,
        run: u64,
        node: u32,
        (task, agent): (&str, &str),
        attempt: u32,
    ) -> Span {
        let Self { run: of_run, tasks } = self;
        let made = of_run.with_subscriber(|(id, watcher)| {
            tracing::dispatcher::with_default(watcher, || {
                let of_task = tasks.entry(node).or_insert_with(|| {
                    info_span!(
                        parent: id.clone(), "task", run, task, agent, outcome = field::Empty,
                        otel.name = name(task), otel.status_code = field::Empty,
                        otel.status_description = field::Empty
                    )
                });
                info_span!(
                    parent: &*of_task, "attempt", run, task, attempt, error = field::Empty,
                    otel.status_code = field::Empty, otel.status_description = field::Empty
                )
            })
        });
        made.unwrap_or_else(Span::none)
    }

    /// A task is over.
    pub(super) fn over(&mut self, node: u32, outcome: &Outcome) {
        let Some(span) = self.tasks.remove(&node) else { return };
        match outcome {
            Outcome::Succeeded => span.record("outcome", "succeeded"),
            Outcome::Failed { error } => {
                failed(&span, error);
                span.record("outcome", "failed")
            }
            Outcome::TimedOut => {
                failed(&span, "timed out");
                span.record("outcome", "timed out")
            }
            Outcome::Cancelled => span.record("outcome", "cancelled"),
            Outcome::Declined => span.record("outcome", "declined"),
            Outcome::Skipped { .. } => span.record("outcome", "skipped"),
            Outcome::Unknown => span.record("outcome", "unknown"),
        };
    }
}

/// What OpenTelemetry calls the span of a task; for others its id is in another field.
fn name(task: &str) -> Option<String> {
    cfg!(feature = "otel").then(|| format!("task {task}"))
}

/// Marks a span as one of something that failed.
pub(super) fn failed(span: &Span, error: &str) {
    if cfg!(feature = "otel") {
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", error);
    }
}
