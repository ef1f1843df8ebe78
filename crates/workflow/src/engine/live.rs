//! What the engine keeps of a live run, besides the machine's state.

use std::sync::Arc;
use std::time::Duration;

use super::Done;
use super::agents::Agents;
use super::attempt::Job;
use crate::chunks::Chunks;
use crate::context::Context;
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

pub(super) struct Entry {
    pub(super) id: Arc<str>,
    pub(super) agent: AgentId,
    pub(super) attempts: u32,
    pub(super) ready: Option<Duration>,
    pub(super) output: Option<Output>,
    pub(super) error: Option<Box<str>>,
    /// What the running attempt sees.
    pub(super) running: Option<Context>,
    /// Away while an attempt runs, and after the last.
    pub(super) body: Option<Body>,
    extras: Option<Arc<Extras>>,
    grace: Duration,
    outcome: Option<Outcome>,
    started: Option<Duration>,
    ended: Duration,
    busy: Duration,
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
            ready: None,
            output: None,
            error: None,
            running: None,
            body: Some(task.body),
            extras: task.extras.map(Arc::from),
            grace: task.grace,
            outcome: None,
            started: None,
            ended: Duration::ZERO,
            busy: Duration::ZERO,
        });
    }

    pub(super) fn attempt_started(
        &mut self,
        task: TaskRef,
        attempt: u32,
        needs: &[Need],
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
        entry.started.get_or_insert(now);
        let context = Context::new(Arc::clone(&entry.id), attempt, inputs, self.handle.clone());
        entry.running = Some(context.clone());
        Job {
            task,
            context,
            body: entry.body.take().expect("an attempt gives the body back when it fails"),
            grace: entry.grace,
            extras: entry.extras.clone(),
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
        entry.busy += took;
        entry.running = None;
    }

    /// The task is over; what it needed to run is dropped.
    pub(super) fn settled(&mut self, node: u32, end: End, now: Duration) -> (&Entry, &Outcome) {
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
            (End::Failed, _) => {
                Outcome::Failed { error: entry.error.take().map_or_else(String::new, String::from) }
            }
            (End::Cancelled | End::Skipped { .. }, _) => Outcome::Cancelled,
        };
        self.unsuccessful += usize::from(!outcome.is_success());
        entry.ended = now;
        let (body, extras) = (entry.body.take(), entry.extras.take());
        super::drop_contained((body, extras));
        entry.outcome = Some(outcome);
        let entry = &*entry;
        (entry, entry.outcome.as_ref().expect("it was set above"))
    }

    pub(super) fn status(&self, progress: &Progress, slots: usize, now: Duration) -> Status {
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
            remaining: progress.remaining(slots),
        }
    }

    pub(super) fn finish(
        self,
        graph: &machine::Run,
        agents: &Agents,
        now: Duration,
    ) -> (Finished, Done) {
        let began = self.began;
        let since = |at: Duration| at.saturating_sub(began);
        let mut outputs = Vec::with_capacity(self.tasks.len());
        let mut tasks: Vec<TaskReport> = Vec::with_capacity(self.tasks.len());
        for entry in self.tasks {
            outputs.push(entry.output);
            tasks.push(TaskReport {
                id: entry.id,
                agent: Arc::clone(agents.name(entry.agent)),
                needs: Vec::new(),
                outcome: entry.outcome.expect("every task of a run that is over has ended"),
                attempts: entry.attempts,
                ready: entry.ready.map(since),
                started: entry.started.map(since),
                ended: since(entry.ended),
                busy: entry.busy,
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
