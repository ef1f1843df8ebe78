//! What is kept of a task, from the graph to the report.

use std::sync::Arc;
use std::time::Duration;

use super::{Waste, drop_contained};
use crate::context::Context;
use crate::event::Outcome;
use crate::machine::AgentId;
use crate::task::{Body, Extras, Output, TaskError, Work};

/// A task: made when its id is named first, never moved, and dropped with the run's result. There may be a million: times
/// are nanoseconds of the engine's clock.
pub(crate) struct Entry {
    pub(crate) id: Arc<str>,
    pub(crate) output: Option<Output>,
    /// What the running attempt sees.
    pub(super) running: Option<Context>,
    /// Away while an attempt runs, and after the last.
    pub(super) body: Option<Body>,
    pub(crate) extras: Option<Arc<Extras>>,
    /// If nothing has gone wrong with it, nothing.
    trouble: Option<Box<Trouble>>,
    ready: u64,
    pub(super) started: u64,
    ended: u64,
    busy: u64,
    /// Whose it is, once its run has started.
    pub(crate) agent: AgentId,
    pub(crate) attempts: u32,
    pub(super) grace_ms: u32,
    stage: Stage,
}

/// How far a task is, as far as the machine does not know better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Somebody needs it, and nobody has added it yet.
    Named,
    Planned,
    Over,
}

/// What has gone wrong with a task.
enum Trouble {
    /// In its last attempt.
    Error(Box<str>),
    /// For good.
    Outcome(Outcome),
}

/// A time that has not come.
const NEVER: u64 = u64::MAX;

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER - 1)
}

fn time(nanos: u64) -> Option<Duration> {
    (nanos != NEVER).then(|| Duration::from_nanos(nanos))
}

impl Entry {
    pub(crate) fn named(id: Arc<str>) -> Self {
        Self {
            id,
            output: None,
            running: None,
            body: None,
            extras: None,
            trouble: None,
            ready: NEVER,
            started: NEVER,
            ended: NEVER,
            busy: 0,
            agent: AgentId::NONE,
            attempts: 0,
            grace_ms: 0,
            stage: Stage::Named,
        }
    }

    /// The task has been added.
    pub(crate) fn plan(&mut self, body: Body, grace: Duration, extras: Option<Box<Extras>>) {
        self.body = Some(body);
        self.grace_ms = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        self.extras = extras.map(Arc::from);
        self.stage = Stage::Planned;
    }

    /// Does more around its work.
    pub(crate) fn wrap<F>(&mut self, around: impl Fn(Work) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<Output, TaskError>> + Send + 'static,
    {
        self.body = self.body.take().map(|body| -> Body {
            Box::new(move |context, place| {
                body(context, place);
                *place = place.take().map(|work| Work::new(around(work)));
            })
        });
    }

    /// Whether the task has been added.
    pub(crate) fn is_planned(&self) -> bool {
        self.stage != Stage::Named
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// The task became ready; the first time counts.
    pub(super) fn is_ready(&mut self, now: Duration) {
        if self.ready == NEVER {
            self.ready = nanos(now);
        }
    }

    /// An attempt starts; the first time counts.
    pub(super) fn starts(&mut self, now: Duration) {
        if self.started == NEVER {
            self.started = nanos(now);
        }
    }

    /// An attempt has run for so long.
    pub(super) fn ran(&mut self, took: Duration) {
        self.busy = self.busy.saturating_add(nanos(took));
    }

    /// An attempt ended with this error.
    pub(super) fn failed(&mut self, error: Box<str>) {
        self.trouble = Some(Box::new(Trouble::Error(error)));
    }

    /// The error of the last attempt, left where it is.
    pub(super) fn error(&self) -> Option<String> {
        match self.trouble.as_deref() {
            Some(Trouble::Error(error)) => Some(error.to_string()),
            Some(Trouble::Outcome(_)) | None => None,
        }
    }

    /// What it is an example of.
    pub(super) fn kind(&self) -> Option<&str> {
        self.extras.as_ref()?.kind.as_deref()
    }

    /// The error of the last attempt.
    pub(super) fn take_error(&mut self) -> Option<String> {
        match *self.trouble.take()? {
            Trouble::Error(error) => Some(error.into()),
            Trouble::Outcome(_) => None,
        }
    }

    /// What it needed to run is of no use any more.
    pub(super) fn let_go(&mut self, waste: &mut Vec<Waste>) {
        waste.extend(self.body.take().map(Waste::Body));
        waste.extend(self.extras.take().map(Waste::Extras));
    }

    pub(super) fn over(&mut self, outcome: Outcome, now: Duration) {
        self.over_well(now);
        self.trouble = (!outcome.is_success()).then(|| Box::new(Trouble::Outcome(outcome)));
    }

    /// The same with [`Outcome::Succeeded`], which most come to.
    pub(super) fn over_well(&mut self, now: Duration) {
        self.ended = nanos(now);
        self.trouble = None;
        self.stage = Stage::Over;
    }

    /// What it has come to no longer counts; whether it was over.
    pub(super) fn again(&mut self) -> bool {
        (self.trouble, self.ended) = (None, NEVER);
        std::mem::replace(&mut self.stage, Stage::Planned) == Stage::Over
    }

    /// How it ended, once it has.
    pub(crate) fn outcome(&self) -> &Outcome {
        match self.trouble.as_deref() {
            Some(Trouble::Outcome(outcome)) => outcome,
            Some(Trouble::Error(_)) | None => &Outcome::Succeeded,
        }
    }

    /// When it became ready and when it was first started, if ever, and when it was over.
    pub(crate) fn times(&self) -> (Option<Duration>, Option<Duration>, Duration) {
        (time(self.ready), time(self.started), Duration::from_nanos(self.ended))
    }

    /// How long its attempts ran, all together.
    pub(crate) fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy)
    }
}

impl Drop for Entry {
    /// One after the other: a second panic while the first unwinds would abort the process.
    fn drop(&mut self) {
        if let Some(output) = self.output.take() {
            drop_contained(output);
        }
        if let Some(body) = self.body.take() {
            drop_contained(body);
        }
        if let Some(extras) = self.extras.take() {
            drop_contained(extras);
        }
    }
}
