//! The shell around the [`Machine`]: owns the clock, runs the work, keeps what the machine need not know.
//!
//! One task drives everything. Commands and the ends of attempts come through one channel, so that the order of what
//! happens is the order of that channel; nothing is locked and nothing is polled for.

mod attempt;
mod live;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_taskgroup::Spawner;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::event::{Event, EventKind, Outcome};
use crate::graph::Graph;
use crate::machine::{Action, AgentId, Attempt, ById, End, Machine, RunId, TaskRef};
use crate::metrics::Metrics;
use crate::offload::Pools;
use crate::run::{Finished, Run, SubmitError, Waiting};
use crate::task::{Output, Task, TaskError};
use live::Live;

/// How many messages one turn of the loop takes at most.
const BATCH: usize = 256;

/// What the engine is told.
#[derive(Debug)]
pub(crate) enum Command {
    Start {
        run: RunId,
        graph: Graph,
        done: Done,
    },
    Submit {
        run: RunId,
        task: Box<Task>,
        before: Vec<Arc<str>>,
        reply: oneshot::Sender<Result<(), SubmitError>>,
    },
    CancelRun(RunId),
    CancelAll,
    CancelTask {
        run: RunId,
        task: Arc<str>,
    },
    Why {
        run: RunId,
        task: Arc<str>,
        reply: oneshot::Sender<Option<Waiting>>,
    },
    SetLimit(usize),
    SetAgentLimit {
        agent: Arc<str>,
        limit: usize,
    },
    Ended {
        task: TaskRef,
        result: Ended,
    },
}

/// Who learns that a run is over.
#[derive(Debug)]
pub(crate) enum Done {
    /// The owner of a graph's run.
    Owner(oneshot::Sender<Finished>),
    /// Nobody in particular: a task of `go`, whose failure is kept for `wait`.
    Service,
}

/// How an attempt ended.
pub(crate) type Ended = Result<AttemptOutput, TaskError>;

/// An output, with the `Debug` that the channel's error wants.
pub(crate) struct AttemptOutput(pub(crate) Output);

impl std::fmt::Debug for AttemptOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AttemptOutput")
    }
}

/// The first failure among the tasks of `go`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FirstFailure {
    pub(crate) task: Arc<str>,
    pub(crate) outcome: Outcome,
}

/// What the engine shares with its handles.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limit: AtomicUsize,
    /// How many runs are live or on their way to the engine.
    pub(crate) live: watch::Sender<usize>,
    pub(crate) failure: parking_lot::Mutex<Option<FirstFailure>>,
    pub(crate) events: broadcast::Sender<Event>,
}

/// The limits of agents, by name.
#[derive(Debug, Clone)]
pub(crate) struct AgentLimits {
    pub(crate) default: usize,
    pub(crate) named: HashMap<Arc<str>, usize>,
}

pub(crate) struct Engine {
    machine: Machine,
    agents: HashMap<Arc<str>, AgentId>,
    agent_limits: AgentLimits,
    runs: ById<Live>,
    commands: mpsc::UnboundedSender<Command>,
    group: Spawner<(), Infallible>,
    shared: Arc<Shared>,
    metrics: Metrics,
    pools: Arc<Pools>,
    fail_fast: bool,
    clock: Instant,
}

impl Engine {
    pub(crate) fn new(
        limit: usize,
        agent_limits: AgentLimits,
        commands: mpsc::UnboundedSender<Command>,
        group: Spawner<(), Infallible>,
        shared: Arc<Shared>,
        metrics: Metrics,
        fail_fast: bool,
    ) -> Self {
        metrics.limit.set(limit as f64);
        Self {
            machine: Machine::new(limit),
            agents: HashMap::new(),
            agent_limits,
            runs: ById::default(),
            commands,
            group,
            shared,
            metrics,
            pools: Arc::default(),
            fail_fast,
            clock: Instant::now(),
        }
    }

    /// Runs until it is dropped with the orchestrator's group.
    pub(crate) async fn drive(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Command>,
    ) -> Result<(), Infallible> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut actions = Vec::new();
        loop {
            let due = self.machine.next_due();
            let timer = async {
                match due {
                    Some(at) => tokio::time::sleep_until(self.clock + at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                received = inbox.recv_many(&mut batch, BATCH) => if received == 0 { return Ok(()) },
                () = timer => self.machine.tick(self.clock.elapsed(), &mut actions),
            }
            for command in batch.drain(..) {
                self.obey(command, &mut actions);
                // At once, so that the next command finds what this one has brought about.
                self.perform_all(&mut actions);
            }
            self.perform_all(&mut actions);
            self.publish_load();
        }
    }

    fn obey(&mut self, command: Command, actions: &mut Vec<Action>) {
        let now = self.clock.elapsed();
        match command {
            Command::Start { run, graph, done } => self.start(run, graph, done, now, actions),
            Command::Submit { run, task, before, reply } => {
                let taken = self.submit(run, *task, &before, now, actions);
                // Whoever asked may have gone; the task is in the run all the same.
                let _ = reply.send(taken);
            }
            Command::CancelRun(run) => self.machine.cancel_run(run, now, actions),
            Command::CancelAll => {
                let mut runs: Vec<RunId> = self.runs.keys().copied().collect();
                runs.sort_unstable();
                runs.into_iter().for_each(|run| self.machine.cancel_run(run, now, actions));
            }
            Command::CancelTask { run, task } => {
                if let Some(task) = self.find(run, &task) {
                    self.machine.cancel_task(task, now, actions);
                }
            }
            Command::Why { run, task, reply } => {
                let _ = reply.send(self.find(run, &task).and_then(|task| self.why(task, now)));
            }
            Command::SetLimit(limit) => {
                let from = self.machine.limit();
                if from != limit {
                    self.machine.set_limit(limit, now, actions);
                    // ORDERING: Relaxed; a figure for people and for the controller, which guards nothing.
                    self.shared.limit.store(limit, Ordering::Relaxed);
                    self.metrics.limit.set(limit as f64);
                    self.tell(EventKind::LimitChanged { from, to: limit });
                }
            }
            Command::SetAgentLimit { agent, limit } => {
                self.agent_limits.named.insert(Arc::clone(&agent), limit);
                if let Some(id) = self.agents.get(&agent) {
                    self.machine.set_agent_limit(*id, limit, now, actions);
                }
            }
            Command::Ended { task, result } => self.ended(task, result, now, actions),
        }
    }

    fn start(
        &mut self,
        run: RunId,
        graph: Graph,
        done: Done,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let fail_fast = graph.fail_fast;
        let mut live = Live::new(done, now);
        let mut specs = Vec::with_capacity(graph.tasks.len());
        let Graph { places, tasks, .. } = graph;
        for task in tasks.into_iter().flatten() {
            let agent = self.agent(&task.agent);
            let spec = Live::spec(&places, &task, agent);
            live.add(task, spec.needs.iter().map(|need| need.task).collect());
            specs.push(spec);
        }
        live.places = places;
        self.tell(EventKind::RunStarted { run: run.0, tasks: specs.len() });
        self.runs.insert(run, live);
        self.machine.submit(run, specs, fail_fast, now, actions);
    }

    fn submit(
        &mut self,
        run: RunId,
        task: Task,
        before: &[Arc<str>],
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Result<(), SubmitError> {
        let live = self.runs.get(&run).ok_or(SubmitError::Over)?;
        if live.places.get(&task.id).is_some() {
            return Err(SubmitError::Duplicate { id: task.id.to_string() });
        }
        let place = |id: &Arc<str>| {
            live.places.get(id).ok_or_else(|| SubmitError::Unknown { id: id.to_string() })
        };
        let followers = before.iter().map(place).collect::<Result<Vec<u32>, _>>()?;
        let needs =
            task.needs.iter().map(|(need, _)| place(need)).collect::<Result<Vec<u32>, _>>()?;
        for (follower, id) in followers.iter().zip(before) {
            if !self.machine.is_pending(TaskRef { run, node: *follower }) {
                return Err(SubmitError::Late { id: id.to_string() });
            }
            if let Some(at) =
                needs.iter().position(|need| self.machine.reaches(run, *follower, *need))
            {
                return Err(SubmitError::Cycle {
                    need: task.needs[at].0.to_string(),
                    follower: id.to_string(),
                });
            }
        }
        let agent = self.agent(&task.agent);
        let id = Arc::clone(&task.id);
        let live = self.runs.get_mut(&run).ok_or(SubmitError::Over)?;
        let spec = Live::spec(&live.places, &task, agent);
        live.places.name(&id);
        let node = live.add(task, needs);
        for follower in &followers {
            live.needs[*follower as usize].push(node);
            live.tasks[*follower as usize].task.needs.push((Arc::clone(&id), false));
        }
        self.tell(EventKind::TaskAdded { run: run.0, task: id });
        self.machine.insert(run, spec, &followers, now, actions);
        Ok(())
    }

    fn ended(&mut self, task: TaskRef, result: Ended, now: Duration, actions: &mut Vec<Action>) {
        let Some(live) = self.runs.get_mut(&task.run) else { return };
        let attempt = live.attempt_ended(task.node, now);
        self.metrics.duration.observe_duration(attempt);
        let ended = match result {
            Ok(AttemptOutput(output)) => {
                live.tasks[task.node as usize].output = Some(output);
                Attempt::Succeeded
            }
            Err(error) => {
                live.tasks[task.node as usize].error = Some(error.message());
                Attempt::Failed { retryable: error.is_retryable() }
            }
        };
        self.machine.ended(task, ended, now, actions);
    }

    fn perform_all(&mut self, actions: &mut Vec<Action>) {
        for action in actions.drain(..) {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        let now = self.clock.elapsed();
        match action {
            Action::Ready { task } => {
                let Some(live) = self.runs.get_mut(&task.run) else { return };
                let entry = &mut live.tasks[task.node as usize];
                entry.ready.get_or_insert(now);
                let id = Arc::clone(&entry.task.id);
                self.tell(EventKind::TaskReady { run: task.run.0, task: id });
            }
            Action::Start { task, attempt } => self.start_attempt(task, attempt, now),
            Action::Stop { task } => {
                let token = self
                    .runs
                    .get(&task.run)
                    .and_then(|live| live.tasks[task.node as usize].token.as_ref());
                if let Some(token) = token {
                    token.cancel();
                }
            }
            Action::Retry { task, failed, timed_out, at } => {
                self.metrics.retries.inc();
                let Some(live) = self.runs.get_mut(&task.run) else { return };
                let entry = &mut live.tasks[task.node as usize];
                let error = entry
                    .error
                    .take()
                    .filter(|_| !timed_out)
                    .unwrap_or_else(|| "timed out".to_owned());
                let id = Arc::clone(&entry.task.id);
                let delay = at.saturating_sub(now);
                self.tell(EventKind::TaskRetrying {
                    run: task.run.0,
                    task: id,
                    attempt: failed,
                    error,
                    delay,
                });
            }
            Action::Settled { task, end } => self.settled(task, end, now),
            Action::RunDone { run } => self.run_done(run, now),
        }
    }

    fn start_attempt(&mut self, task: TaskRef, attempt: u32, now: Duration) {
        let Some(live) = self.runs.get_mut(&task.run) else { return };
        let run = Run { id: task.run, commands: self.commands.clone() };
        let pools = Arc::clone(&self.pools);
        let (context, body, grace) = live.attempt_started(task.node, attempt, run, pools, now);
        let entry = &live.tasks[task.node as usize];
        let (id, agent) = (Arc::clone(&entry.task.id), Arc::clone(&entry.task.agent));
        let work = attempt::attempt(task, context, body, grace, self.commands.clone());
        self.tell(EventKind::TaskStarted { run: task.run.0, task: id, attempt, agent });
        // A refusal means that the orchestrator was dropped: the attempt's guard reports its end, and this loop ends with it.
        let _ = self.group.spawn(work);
    }

    fn settled(&mut self, task: TaskRef, end: End, now: Duration) {
        let Some(live) = self.runs.get_mut(&task.run) else { return };
        let because = match end {
            End::Skipped { because } => Some(Arc::clone(&live.tasks[because as usize].task.id)),
            _ => None,
        };
        let entry = &mut live.tasks[task.node as usize];
        let outcome = match (end, because) {
            (End::Skipped { .. }, Some(because)) => Outcome::Skipped { because },
            (End::Succeeded, _) => Outcome::Succeeded,
            (End::TimedOut, _) => Outcome::TimedOut,
            (End::Failed, _) => Outcome::Failed { error: entry.error.take().unwrap_or_default() },
            (End::Cancelled | End::Skipped { .. }, _) => Outcome::Cancelled,
        };
        entry.ended = Some((now, outcome.clone()));
        let (id, attempts) = (Arc::clone(&entry.task.id), entry.attempts);
        self.metrics.ended(&id, &outcome);
        self.tell(EventKind::TaskEnded { run: task.run.0, task: id, attempts, outcome });
    }

    fn run_done(&mut self, run: RunId, now: Duration) {
        let Some(live) = self.runs.remove(&run) else { return };
        self.tell(EventKind::RunEnded { run: run.0 });
        let (finished, done) = live.finish(now);
        match done {
            // The owner may have gone.
            Done::Owner(owner) => drop_contained(owner.send(finished)),
            Done::Service => {
                let failed = finished.report.tasks.iter().find(|task| !task.outcome.is_success());
                if let Some(task) = failed {
                    let first =
                        FirstFailure { task: Arc::clone(&task.id), outcome: task.outcome.clone() };
                    let is_first =
                        self.shared.failure.lock().get_or_insert_with(|| first.clone()) == &first;
                    if self.fail_fast && is_first {
                        let _ = self.commands.send(Command::CancelAll);
                    }
                }
                drop_contained(finished);
            }
        }
        // Before anybody learns that the run is over, so that the figures agree with it.
        self.publish_load();
        self.shared.live.send_modify(|live| *live -= 1);
    }

    fn publish_load(&self) {
        let (running, ready) = self.machine.load();
        self.metrics.running.set(running as f64);
        self.metrics.ready.set(ready as f64);
    }

    fn why(&self, task: TaskRef, now: Duration) -> Option<Waiting> {
        use crate::machine::Waiting as Why;
        let live = self.runs.get(&task.run)?;
        let id = |node: u32| Arc::clone(&live.tasks[node as usize].task.id);
        Some(match self.machine.waiting(task)? {
            Why::Needs(needs) => Waiting::Needs { tasks: needs.into_iter().map(id).collect() },
            Why::Limit => Waiting::Limit,
            Why::AgentLimit => Waiting::AgentLimit {
                agent: Arc::clone(&live.tasks[task.node as usize].task.agent),
            },
            Why::Backoff { until } => Waiting::Backoff { remaining: until.saturating_sub(now) },
            Why::Running => Waiting::Running,
            Why::Done => Waiting::Over,
        })
    }

    fn find(&self, run: RunId, id: &str) -> Option<TaskRef> {
        Some(TaskRef { run, node: self.runs.get(&run)?.places.get(id)? })
    }

    fn agent(&mut self, name: &Arc<str>) -> AgentId {
        if let Some(id) = self.agents.get(name) {
            return *id;
        }
        let limits = &self.agent_limits;
        let limit = limits.named.get(name).copied();
        let default = if **name == *crate::DEFAULT_AGENT { usize::MAX } else { limits.default };
        let id = self.machine.add_agent(limit.unwrap_or(default));
        self.agents.insert(Arc::clone(name), id);
        id
    }

    /// Costs next to nothing while nobody listens.
    fn tell(&self, kind: EventKind) {
        if self.shared.events.receiver_count() > 0 {
            // Nobody listens any more: the event is of no use.
            let _ = self.shared.events.send(Event { at: self.clock.elapsed(), kind });
        }
    }
}

/// Drops values of the user, whose destructors may panic, without taking the engine down.
fn drop_contained<T>(value: T) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(value)));
}
