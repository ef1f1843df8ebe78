//! What the engine keeps of a live run, besides the machine's state.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Done;
use crate::context::Context;
use crate::event::Outcome;
use crate::graph::Places;
use crate::machine::{AgentId, Need, NodeSpec};
use crate::offload::Pools;
use crate::report::{Report, TaskReport};
use crate::run::{Finished, Run};
use crate::task::{Body, Output, Task};

pub(super) struct Live {
    pub(super) places: Places,
    pub(super) tasks: Vec<Entry>,
    /// The places that each task needs, in the order of its needs.
    pub(super) needs: Vec<Vec<u32>>,
    done: Done,
    began: Duration,
    running: usize,
    peak: usize,
    parallel: Duration,
    parallel_since: Option<Duration>,
}

pub(super) struct Entry {
    pub(super) task: Task,
    pub(super) attempts: u32,
    pub(super) ready: Option<Duration>,
    pub(super) output: Option<Output>,
    pub(super) error: Option<String>,
    pub(super) token: Option<CancellationToken>,
    pub(super) ended: Option<(Duration, Outcome)>,
    started: Option<Duration>,
    attempt_started: Duration,
    busy: Duration,
}

impl Live {
    pub(super) fn new(done: Done, now: Duration) -> Self {
        Self {
            places: Places::default(),
            tasks: Vec::new(),
            needs: Vec::new(),
            done,
            began: now,
            running: 0,
            peak: 0,
            parallel: Duration::ZERO,
            parallel_since: None,
        }
    }

    /// What the machine is told of a task.
    pub(super) fn spec(places: &Places, task: &Task, agent: AgentId) -> NodeSpec {
        let place =
            |id: &str| places.get(id).expect("the caller has checked that every need is there");
        let needs =
            task.needs.iter().map(|(id, optional)| Need { task: place(id), optional: *optional });
        NodeSpec {
            needs: needs.collect(),
            agent,
            priority: task.priority,
            estimate: task.estimate,
            timeout: task.timeout,
            retry: task.retry,
        }
    }

    pub(super) fn add(&mut self, task: Task, needs: Vec<u32>) -> u32 {
        let place = u32::try_from(self.tasks.len()).expect("a run has fewer than 2^32 tasks");
        self.tasks.push(Entry {
            task,
            attempts: 0,
            ready: None,
            output: None,
            error: None,
            token: None,
            ended: None,
            started: None,
            attempt_started: Duration::ZERO,
            busy: Duration::ZERO,
        });
        self.needs.push(needs);
        place
    }

    pub(super) fn attempt_started(
        &mut self,
        node: u32,
        attempt: u32,
        run: Run,
        pools: Arc<Pools>,
        now: Duration,
    ) -> (Context, Body, Duration) {
        self.running += 1;
        self.peak = self.peak.max(self.running);
        if self.running == 2 {
            self.parallel_since = Some(now);
        }
        let task = &self.tasks[node as usize].task;
        let outputs = task.needs.iter().zip(&self.needs[node as usize]);
        let inputs = outputs
            .map(|((id, _), place)| (Arc::clone(id), self.tasks[*place as usize].output.clone()))
            .collect();
        let entry = &mut self.tasks[node as usize];
        entry.attempts = attempt;
        entry.started.get_or_insert(now);
        entry.attempt_started = now;
        let token = CancellationToken::new();
        entry.token = Some(token.clone());
        let context =
            Context { id: Arc::clone(&entry.task.id), attempt, inputs, token, run, pools };
        (context, Arc::clone(&entry.task.body), entry.task.grace)
    }

    /// Takes the time of the attempt that ended, and answers with it.
    pub(super) fn attempt_ended(&mut self, node: u32, now: Duration) -> Duration {
        if self.running == 2
            && let Some(since) = self.parallel_since.take()
        {
            self.parallel += now.saturating_sub(since);
        }
        self.running = self.running.saturating_sub(1);
        let entry = &mut self.tasks[node as usize];
        let took = now.saturating_sub(entry.attempt_started);
        entry.busy += took;
        entry.token = None;
        took
    }

    pub(super) fn finish(self, now: Duration) -> (Finished, Done) {
        let began = self.began;
        let since = |at: Duration| at.saturating_sub(began);
        let ids: Vec<Arc<str>> =
            self.tasks.iter().map(|entry| Arc::clone(&entry.task.id)).collect();
        let mut outputs = HashMap::new();
        let mut tasks = Vec::with_capacity(self.tasks.len());
        for (entry, needs) in self.tasks.into_iter().zip(&self.needs) {
            let (ended, outcome) = entry.ended.expect("every task of a run that is over has ended");
            if let Some(output) = entry.output {
                outputs.insert(Arc::clone(&entry.task.id), output);
            }
            tasks.push(TaskReport {
                id: Arc::clone(&entry.task.id),
                agent: Arc::clone(&entry.task.agent),
                needs: needs.iter().map(|need| Arc::clone(&ids[*need as usize])).collect(),
                outcome,
                attempts: entry.attempts,
                ready: entry.ready.map(since),
                started: entry.started.map(since),
                ended: since(ended),
                busy: entry.busy,
            });
        }
        let report = Report::new(tasks, &self.needs, since(now), self.peak, self.parallel);
        (Finished { report, outputs }, self.done)
    }
}
