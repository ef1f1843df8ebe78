//! What the engine keeps of a live run, besides the machine's state.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use super::agents::Agents;
use super::attempt::{Attempt, Ended as Tried, Job};
use super::entry::Entry;
use super::keeper::{Keeper, Restored};
use super::spans::Spans;
use super::told::Told;
use super::{Done, Waste};
use crate::chunks::Chunks;
use crate::context::{self, Context};
use crate::durations::{Durations, Estimate};
use crate::event::{EventKind, Outcome};
use crate::graph::Places;
use crate::machine::{self, AgentId, End, Need, Progress, TaskRef, TenantId};
use crate::report::{Ended, Names};
use crate::run::{Finished, Run, Status, SubmitError};
use crate::task::Task;

pub(super) struct Live {
    pub(super) places: Places,
    pub(super) tasks: Chunks<Entry>,
    pub(super) tenant: TenantId,
    handle: Run,
    done: Done,
    /// What planners have put into it, with who did so.
    pub(super) plans: Vec<(Arc<str>, Vec<u8>)>,
    /// Its journal, if it has one.
    pub(super) keeper: Option<Box<Keeper>>,
    /// Whether tasks may run again after their end.
    pub(super) keeps_work: bool,
    /// By how much an attempt's number is above the machine's, and how often the task had succeeded and was to run again.
    bases: HashMap<u32, (u32, u32)>,
    /// Its spans, if anybody watches them.
    pub(super) spans: Option<Box<Spans>>,
    began: Duration,
    running: usize,
    peak: usize,
    /// The tasks that have given their slots back, and when.
    parked: HashMap<u32, Duration>,
    parallel: Duration,
    parallel_since: Option<Duration>,
    unsuccessful: usize,
    /// The memory of attempts that are over, for those to come.
    spare: Vec<Tried>,
}

/// How many of those wait at most.
const SPARE: usize = 64;

impl Live {
    pub(super) fn new(
        handle: Run,
        tenant: TenantId,
        (places, tasks): (Places, Chunks<Entry>),
        done: Done,
        keeps_work: bool,
        now: Duration,
    ) -> Self {
        Self {
            places,
            tasks,
            tenant,
            handle,
            done,
            plans: Vec::new(),
            keeper: None,
            keeps_work,
            bases: HashMap::new(),
            spans: None,
            began: now,
            running: 0,
            peak: 0,
            parked: HashMap::new(),
            parallel: Duration::ZERO,
            parallel_since: None,
            unsuccessful: 0,
            spare: Vec::new(),
        }
    }

    /// The place of the task that is added next.
    pub(super) fn next_place(&self) -> u32 {
        u32::try_from(self.tasks.len()).expect("a run has fewer than 2^32 tasks")
    }

    /// A task that was submitted into the live run; nobody has its id.
    pub(super) fn add(&mut self, task: Task, agent: AgentId) {
        let tasks = &self.tasks;
        let _ = self.places.get_or_add(&task.id, |at| &tasks[at].id);
        let mut entry = Entry::named(task.id);
        entry.plan(task.body, task.grace, task.extras);
        entry.agent = agent;
        self.tasks.push(entry);
    }

    /// Takes over what another process has left of a task.
    pub(super) fn restore(
        &mut self,
        node: u32,
        restored: Restored,
        durations: &mut Durations,
        waste: &mut Vec<Waste>,
    ) {
        let took = restored.took;
        let outcome = restored.outcome.clone();
        self.attempted(node, restored);
        let Some(outcome) = outcome else { return };
        let entry = &mut self.tasks[node];
        if let (true, Some(kind)) = (outcome.is_success(), entry.kind()) {
            durations.observe(kind, took);
        }
        self.unsuccessful += usize::from(!outcome.is_success());
        entry.over(outcome, self.began);
        if !self.keeps_work {
            entry.let_go(waste);
        }
    }

    /// The same of a task whose end the machine is still to tell.
    pub(super) fn attempted(&mut self, node: u32, restored: Restored) {
        if restored.base != (0, 0) {
            self.bases.insert(node, restored.base);
        }
        let entry = &mut self.tasks[node];
        entry.attempts = restored.attempts;
        entry.output = restored.output;
        if let Some(Outcome::Failed { error }) = restored.outcome {
            entry.failed(error.into());
        }
    }

    /// What became of a task that is over.
    pub(super) fn ended(&self, node: u32) -> Option<(Arc<str>, u32, Outcome)> {
        let entry = &self.tasks[node];
        let told = || (Arc::clone(&entry.id), entry.attempts, entry.outcome().clone());
        entry.is_over().then(told)
    }

    /// A task is about to be added; what the run's journal knows of it.
    pub(super) fn submitted(
        &mut self,
        by: Option<u32>,
        task: &Task,
        needs: &[Need],
        followers: &[u32],
    ) -> Result<Option<Restored>, SubmitError> {
        let Some(keeper) = &mut self.keeper else { return Ok(None) };
        let node = u32::try_from(self.tasks.len()).expect("a run has fewer than 2^32 tasks");
        let tasks = &self.tasks;
        let needs = needs.iter().map(|need| (need.task, &tasks[need.task].id, need.on));
        keeper.submitted(node, by, task, needs, followers).map(Some)
    }

    /// Whether nothing can be kept any more that has to be.
    pub(super) fn is_broken(&self) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| keeper.broken.is_some())
    }

    pub(super) fn attempt_started(
        &mut self,
        task: TaskRef,
        attempt: u32,
        agent: &Arc<str>,
        needs: &[Need],
        waits: bool,
        now: Duration,
    ) -> Job {
        self.running += 1;
        self.peak = self.peak.max(self.running);
        if self.running == 2 {
            self.parallel_since = Some(now);
        }
        let (base, generation) = self.base(task.node);
        let attempt = attempt + base;
        let entry = &mut self.tasks[task.node];
        entry.attempts = attempt;
        entry.starts(now);
        let span = self.spans.as_mut().map_or_else(Span::none, |spans| {
            spans.attempt(task.run.0, task.node, (&entry.id, agent), attempt)
        });
        let entry = &self.tasks[task.node];
        let of = context::Attempt {
            id: &entry.id,
            node: task.node,
            attempt,
            generation,
            agent,
            span: &span,
        };
        let inputs = needs.iter().map(|need| {
            let entry = &self.tasks[need.task];
            (Arc::clone(&entry.id), entry.output.clone())
        });
        let context = || Context::new(&of, inputs.clone(), &self.handle);
        let mut job = match self.spare.pop() {
            Some(mut spare) => {
                if !spare.context().renew(&of, inputs.clone()) {
                    *spare.context() = context();
                }
                spare
            }
            None => Attempt::new(context()),
        };
        (job.waits, job.keeps_work) = (waits, self.keeps_work);
        job.take(&mut self.tasks[task.node], span);
        job
    }

    /// By how much an attempt's number is above the machine's, and the task's generation.
    fn base(&self, node: u32) -> (u32, u32) {
        if self.bases.is_empty() {
            return (0, 0);
        }
        self.bases.get(&node).copied().unwrap_or_default()
    }

    /// A task that has begun is to run again: its journal says so from here on.
    pub(super) fn reset(&mut self, node: u32) {
        let entry = &self.tasks[node];
        let kept = self.keeper.as_ref().is_some_and(|keeper| keeper.has_kept(node));
        if kept || (entry.is_over() && entry.outcome().is_success()) {
            self.bases.entry(node).or_default().1 += 1;
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.reset(node);
        }
    }

    /// What a task came to after so many attempts of the machine's no longer counts; whether it was over.
    pub(super) fn again(&mut self, node: u32, attempts: u32, waste: &mut Vec<Waste>) -> bool {
        let entry = &mut self.tasks[node];
        let base = entry.attempts.saturating_sub(attempts);
        let was_well = entry.outcome().is_success();
        let was_over = entry.again();
        self.unsuccessful -= usize::from(was_over && !was_well);
        waste.extend(entry.output.take().map(Waste::Output));
        if base > 0 {
            self.bases.entry(node).or_default().0 = base;
        }
        was_over
    }

    /// All needs of a task are met; it waits for the agent that was chosen, if it had a choice.
    pub(super) fn is_ready(
        &mut self,
        task: TaskRef,
        chosen: Option<AgentId>,
        told: &mut Told,
        now: Duration,
    ) {
        let entry = &mut self.tasks[task.node];
        entry.is_ready(now);
        entry.agent = chosen.unwrap_or(entry.agent);
        let run = task.run.0;
        told.tell(now, || EventKind::TaskReady { run, task: Arc::clone(&entry.id) });
    }

    /// How long an attempt has run itself, of all the time that it took: what it has waited for, parked, is the work of others.
    pub(super) fn own_time(&self, node: u32, took: Duration, now: Duration) -> Duration {
        if self.parked.is_empty() {
            return took;
        }
        let since = self.parked.get(&node);
        since.map_or(took, |since| took.saturating_sub(now.saturating_sub(*since)))
    }

    /// An attempt has ended, having run for so long itself.
    pub(super) fn attempt_ended(
        &mut self,
        mut ended: Tried,
        took: Duration,
        now: Duration,
        waste: &mut Vec<Waste>,
    ) {
        let node = ended.task().node;
        if self.parked.is_empty() || self.parked.remove(&node).is_none() {
            self.runs_no_more(now);
        }
        let entry = &mut self.tasks[node];
        entry.ran(took);
        entry.running = None;
        (entry.body, ended.extras) = (ended.body.take(), None);
        if self.spare.len() < SPARE && ended.context().is_small() {
            self.spare.push(ended);
        } else {
            waste.push(Waste::Attempt(ended));
        }
    }

    /// A running attempt has given its slot back.
    pub(super) fn parked(&mut self, node: u32, now: Duration) {
        self.runs_no_more(now);
        self.parked.insert(node, now);
    }

    fn runs_no_more(&mut self, now: Duration) {
        if self.running == 2
            && let Some(since) = self.parallel_since.take()
        {
            self.parallel += now.saturating_sub(since);
        }
        self.running = self.running.saturating_sub(1);
    }

    /// The task is over; what it needed to run goes to `waste`.
    pub(super) fn settled(
        &mut self,
        node: u32,
        end: End,
        now: Duration,
        waste: &mut Vec<Waste>,
    ) -> (&Entry, &Outcome) {
        if end == End::Succeeded {
            self.tasks[node].over_well(now);
        } else {
            let outcome = self.outcome_of(node, end);
            self.unsuccessful += 1;
            let entry = &mut self.tasks[node];
            waste.extend(entry.output.take().map(Waste::Output));
            entry.over(outcome, now);
        }
        let entry = &mut self.tasks[node];
        if !self.keeps_work {
            entry.let_go(waste);
        }
        let entry = &*entry;
        if let Some(spans) = &mut self.spans {
            spans.over(node, entry.outcome());
        }
        (entry, entry.outcome())
    }

    /// What a task has come to that did not succeed.
    fn outcome_of(&mut self, node: u32, end: End) -> Outcome {
        match end {
            End::Succeeded => Outcome::Succeeded,
            End::Skipped { because } => {
                Outcome::Skipped { because: Arc::clone(&self.tasks[because].id) }
            }
            End::TimedOut => Outcome::TimedOut,
            End::Declined => Outcome::Declined,
            End::Unknown => Outcome::Unknown,
            End::OverBudget => Outcome::Failed { error: "the run's budget is spent".to_owned() },
            End::TenantOverBudget => {
                Outcome::Failed { error: "its tenant's budget is spent".to_owned() }
            }
            End::Failed => {
                Outcome::Failed { error: self.tasks[node].take_error().unwrap_or_default() }
            }
            End::Cancelled => Outcome::Cancelled,
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
        for entry in self.tasks.iter().filter(|entry| !entry.is_over()) {
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

    /// The place of an id.
    pub(super) fn place_of(&self, id: &str) -> Option<u32> {
        self.places.get(id, |at| &self.tasks[at].id)
    }

    /// What the owner gets: all that there is, as it stands. `graph` is the machine's side of it.
    pub(super) fn finish(
        mut self,
        graph: machine::Run,
        agents: &Agents,
        waste: &mut Vec<Waste>,
        now: Duration,
    ) -> (Finished, Done) {
        let mut names = Names::default();
        for entry in self.tasks.iter_mut() {
            names.entry(entry.agent).or_insert_with(|| Arc::clone(agents.name(entry.agent)));
            if self.keeps_work {
                entry.let_go(waste);
            }
        }
        waste.extend(self.spare.drain(..).map(Waste::Attempt));
        let Self { places, tasks, plans, began, peak, parallel, unsuccessful, .. } = self;
        let ended = Ended { tasks, graph, agents: names, began, now, peak, parallel, unsuccessful };
        (Finished::new(places, ended, plans), self.done)
    }
}
