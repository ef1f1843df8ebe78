//! What the engine keeps of a live run, besides the machine's state.

use std::sync::Arc;
use std::time::Duration;

use super::agents::Agents;
use super::attempt::Job;
use super::{Done, Waste};
use crate::chunks::Chunks;
use crate::context::Context;
use crate::durations::{Durations, Estimate};
use crate::event::Outcome;
use crate::graph::Places;
use crate::machine::{self, AgentId, End, Need, Progress, TaskRef, TenantId};
use crate::report::{Report, TaskReport};
use crate::run::{Finished, Run, Status};
use crate::task::{Body, Extras, Output, Task};

pub(super) struct Live {
    pub(super) places: Places,
    pub(super) tasks: Chunks<Entry>,
    pub(super) tenant: TenantId,
    handle: Run,
    done: Done,
    began: Duration,
    running: usize,
    peak: usize,
    parallel: Duration,
    parallel_since: Option<Duration>,
    unsuccessful: usize,
}

/// What is kept of a task. There may be a million: times are nanoseconds of the engine's clock.
pub(super) struct Entry {
    pub(super) id: Arc<str>,
    pub(super) agent: AgentId,
    pub(super) attempts: u32,
    pub(super) output: Option<Output>,
    /// What the running attempt sees.
    pub(super) running: Option<Context>,
    /// Away while an attempt runs, and after the last.
    pub(super) body: Option<Body>,
    extras: Option<Arc<Extras>>,
    fate: Fate,
    ready: u64,
    started: u64,
    ended: u64,
    busy: u64,
    grace_ms: u32,
}

/// How it stands with a task.
enum Fate {
    Open { last_error: Option<Box<str>> },
    Over(Outcome),
}

/// A time that has not come.
const NEVER: u64 = u64::MAX;

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER - 1)
}

impl Entry {
    /// The task became ready; the first time counts.
    pub(super) fn is_ready(&mut self, now: Duration) {
        if self.ready == NEVER {
            self.ready = nanos(now);
        }
    }

    /// An attempt ended with this error.
    pub(super) fn failed(&mut self, error: Box<str>) {
        self.fate = Fate::Open { last_error: Some(error) };
    }

    /// What it is an example of.
    pub(super) fn kind(&self) -> Option<&str> {
        self.extras.as_ref()?.kind.as_deref()
    }

    /// The error of the last attempt.
    pub(super) fn take_error(&mut self) -> Option<String> {
        match &mut self.fate {
            Fate::Open { last_error } => last_error.take().map(String::from),
            Fate::Over(_) => None,
        }
    }
}

impl Live {
    pub(super) fn new(
        handle: Run,
        tenant: TenantId,
        places: Places,
        done: Done,
        now: Duration,
    ) -> Self {
        Self {
            places,
            tasks: Chunks::default(),
            tenant,
            handle,
            done,
            began: now,
            running: 0,
            peak: 0,
            parallel: Duration::ZERO,
            parallel_since: None,
            unsuccessful: 0,
        }
    }

    pub(super) fn add(&mut self, task: Task, agent: AgentId) {
        self.tasks.push(Entry {
            id: task.id,
            agent,
            attempts: 0,
            output: None,
            running: None,
            body: Some(task.body),
            extras: task.extras.map(Arc::from),
            fate: Fate::Open { last_error: None },
            ready: NEVER,
            started: NEVER,
            ended: NEVER,
            busy: 0,
            grace_ms: u32::try_from(task.grace.as_millis()).unwrap_or(u32::MAX),
        });
    }

    pub(super) fn attempt_started(
        &mut self,
        task: TaskRef,
        attempt: u32,
        needs: &[Need],
        waits: bool,
        now: Duration,
    ) -> Job {
        self.running += 1;
        self.peak = self.peak.max(self.running);
        if self.running == 2 {
            self.parallel_since = Some(now);
        }
        let input = |need: &Need| {
            let entry = &self.tasks[need.task];
            (Arc::clone(&entry.id), entry.output.clone())
        };
        let inputs = needs.iter().map(input).collect();
        let entry = &mut self.tasks[task.node];
        entry.attempts = attempt;
        if entry.started == NEVER {
            entry.started = nanos(now);
        }
        let context = Context::new(Arc::clone(&entry.id), attempt, inputs, self.handle.clone());
        entry.running = Some(context.clone());
        Job {
            task,
            context,
            body: entry.body.take().expect("an attempt gives the body back when it fails"),
            grace: Duration::from_millis(u64::from(entry.grace_ms)),
            extras: entry.extras.clone(),
            waits,
        }
    }

    /// Takes the time of an attempt that ended.
    pub(super) fn attempt_ended(&mut self, node: u32, took: Duration, now: Duration) {
        if self.running == 2
            && let Some(since) = self.parallel_since.take()
        {
            self.parallel += now.saturating_sub(since);
        }
        self.running = self.running.saturating_sub(1);
        let entry = &mut self.tasks[node];
        entry.busy = entry.busy.saturating_add(nanos(took));
        entry.running = None;
    }

    /// The task is over; what it needed to run goes to `waste`.
    pub(super) fn settled(
        &mut self,
        node: u32,
        end: End,
        now: Duration,
        waste: &mut Vec<Waste>,
    ) -> (&Entry, &Outcome) {
        let because = match end {
            End::Skipped { because } => Some(Arc::clone(&self.tasks[because].id)),
            _ => None,
        };
        let entry = &mut self.tasks[node];
        let outcome = match (end, because) {
            (End::Succeeded, _) => Outcome::Succeeded,
            (End::Skipped { .. }, Some(because)) => Outcome::Skipped { because },
            (End::TimedOut, _) => Outcome::TimedOut,
            (End::Declined, _) => Outcome::Declined,
            (End::OverBudget, _) => {
                Outcome::Failed { error: "the run's budget is spent".to_owned() }
            }
            (End::Failed, _) => Outcome::Failed { error: entry.take_error().unwrap_or_default() },
            (End::Cancelled | End::Skipped { .. }, _) => Outcome::Cancelled,
        };
        self.unsuccessful += usize::from(!outcome.is_success());
        entry.ended = nanos(now);
        waste.extend(entry.body.take().map(Waste::Body));
        waste.extend(entry.extras.take().map(Waste::Extras));
        entry.fate = Fate::Over(outcome);
        let entry = &*entry;
        match &entry.fate {
            Fate::Over(outcome) => (entry, outcome),
            Fate::Open { .. } => unreachable!("it was set above"),
        }
    }

    pub(super) fn status(
        &self,
        progress: &Progress,
        slots: usize,
        durations: &Durations,
        now: Duration,
    ) -> Status {
        let running = self.tasks.iter().filter(|entry| entry.running.is_some());
        Status {
            tasks: self.tasks.len(),
            pending: progress.pending,
            ready: progress.ready,
            running: running.map(|entry| Arc::clone(&entry.id)).collect(),
            retrying: progress.backoff,
            over: progress.over,
            unsuccessful: self.unsuccessful,
            elapsed: now.saturating_sub(self.began),
            remaining: self.remaining(progress, slots, durations),
        }
    }

    /// The guess of the machine, as wide as what is known of the kinds of what is left.
    fn remaining(&self, progress: &Progress, slots: usize, durations: &Durations) -> Estimate {
        let mean = progress.remaining(slots);
        let (mut low, mut middle, mut high) = (0.0, 0.0, 0.0);
        for entry in self.tasks.iter().filter(|entry| matches!(entry.fate, Fate::Open { .. })) {
            if let Some(learned) = entry.kind().and_then(|kind| durations.estimate(kind)) {
                low += learned.low.as_secs_f64();
                middle += learned.mean.as_secs_f64();
                high += learned.high.as_secs_f64();
            }
        }
        // The share of the work that is of known kinds spreads as they do.
        let known = if progress.work > 0.0 { (middle / progress.work).min(1.0) } else { 0.0 };
        let scaled = |to: f64| {
            let factor = if middle > 0.0 { 1.0 + known * (to / middle - 1.0) } else { 1.0 };
            Duration::try_from_secs_f64(mean.as_secs_f64() * factor).unwrap_or(Duration::MAX)
        };
        Estimate { low: scaled(low), mean, high: scaled(high) }
    }

    pub(super) fn finish(
        self,
        graph: &machine::Run,
        agents: &Agents,
        now: Duration,
    ) -> (Finished, Done) {
        let began = self.began;
        let since = |at: Duration| at.saturating_sub(began);
        let since_nanos = |at: u64| since(Duration::from_nanos(at));
        let mut outputs = Vec::with_capacity(self.tasks.len());
        let mut tasks: Vec<TaskReport> = Vec::with_capacity(self.tasks.len());
        for entry in self.tasks {
            outputs.push(entry.output);
            let Fate::Over(outcome) = entry.fate else {
                unreachable!("every task of a run that is over has ended")
            };
            tasks.push(TaskReport {
                id: entry.id,
                agent: Arc::clone(agents.name(entry.agent)),
                needs: Vec::new(),
                outcome,
                attempts: entry.attempts,
                ready: Some(entry.ready).filter(|at| *at != NEVER).map(since_nanos),
                started: Some(entry.started).filter(|at| *at != NEVER).map(since_nanos),
                ended: since_nanos(entry.ended),
                busy: Duration::from_nanos(entry.busy),
            });
        }
        for node in (0..).take(tasks.len()) {
            let needs = graph.needs(node).iter();
            tasks[node as usize].needs =
                needs.map(|need| Arc::clone(&tasks[need.task as usize].id)).collect();
        }
        let report = Report::new(tasks, graph, since(now), self.peak, self.parallel);
        (Finished { report, places: self.places, outputs }, self.done)
    }
}
