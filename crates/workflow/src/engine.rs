//! The shell around the [`Machine`]: runs the work, keeps what the machine need not know.
//!
//! Whoever has something to tell (a command, the end of an attempt) puts it into the [`Link`]'s inbox and, if nobody else
//! does so, takes a turn of the engine: everything that has come, one admission by the machine, what starts to the
//! [`runners`]. The order of what happens is the order of the inbox.

mod agents;
mod attempt;
mod combine;
mod command;
mod entry;
mod keep;
mod keeper;
mod link;
mod live;
mod perform;
mod rerun;
mod runners;
mod spans;
mod splice;
mod start;
mod submit;
mod told;
mod within;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::durations::Durations;
use crate::event::{EventKind, Log, Outcome};
use crate::machine::{Action, Attempt, Machine, RunId, Runs, Stop, TaskRef};
use crate::metrics::Metrics;
use crate::run::{Status, Stopped, Waiting};
use crate::source::Troubles;
use crate::task::TaskError;
use agents::Agents;
pub(crate) use agents::{AgentChange, Settings};
use attempt::{Ended, Failure, Job};
pub(crate) use command::{Asker, Command, Done, FirstFailure, Waste};
pub(crate) use entry::Entry;
use keep::Kept;
use keeper::Held;
pub(crate) use keeper::Restored;
pub(crate) use keeper::{Keeper, Known, version_at};
pub(crate) use link::{Link, memory_of};
use live::Live;
pub(crate) use runners::Runners;
use runners::Taker;
pub(crate) use splice::{connect, grow_again};
use told::Told;

/// How many events are told at once at most, and for how many actions memory is kept between turns.
const PIECE: usize = 512;

/// What the engine shares with its handles.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limit: AtomicUsize,
    /// The number of the run that is started next.
    pub(crate) next_run: AtomicU64,
    /// Whether nothing is taken any more.
    pub(crate) closed: AtomicBool,
    /// Whether no more runs are taken, but for those within others.
    pub(crate) draining: AtomicBool,
    /// How many runs are live or on their way to the engine.
    pub(crate) live: watch::Sender<usize>,
    pub(crate) failure: parking_lot::Mutex<Option<FirstFailure>>,
    pub(crate) events: Log,
    pub(crate) troubles: Troubles,
}

pub(crate) struct Engine {
    machine: Machine,
    agents: Agents,
    runs: Runs<Live>,
    link: Arc<Link>,
    runners: Arc<Runners>,
    shared: Arc<Shared>,
    metrics: Metrics,
    fail_fast: bool,
    durations: Durations,
    /// How many tasks are not over.
    open: usize,
    /// What is started at the end of the turn.
    jobs: Vec<Job>,
    told: Told,
    /// Empty between turns; its memory serves them all.
    actions: Vec<Action>,
    waste: Vec<Waste>,
    kept: Kept,
}

impl Shared {
    pub(crate) fn new_id(&self) -> RunId {
        // ORDERING: Relaxed; the ids need only differ.
        RunId(self.next_run.fetch_add(1, Ordering::Relaxed))
    }
}

impl Engine {
    pub(crate) fn new(
        limit: usize,
        mut settings: Settings,
        link: Arc<Link>,
        runners: Arc<Runners>,
        shared: Arc<Shared>,
        metrics: Metrics,
        fail_fast: bool,
    ) -> Self {
        metrics.limit.set(limit as f64);
        let durations = std::mem::take(&mut settings.durations);
        let mut machine = Machine::new(limit);
        Self {
            agents: Agents::new(settings, &mut machine),
            machine,
            runs: Runs::default(),
            runners,
            link,
            metrics,
            fail_fast,
            durations,
            open: 0,
            jobs: Vec::new(),
            told: Told::new(Arc::clone(&shared)),
            shared,
            actions: Vec::new(),
            waste: Vec::new(),
            kept: Kept::default(),
        }
    }

    /// Takes what has come, in its order, and starts what may start.
    fn turn(&mut self, commands: &mut Vec<Command>, now: Duration, by: &mut Taker) {
        let mut actions = std::mem::take(&mut self.actions);
        self.told.begin();
        if !self.kept.is_empty() {
            self.keep_ends(commands, now, &mut actions);
        }
        // From the end of the list: what a turn that panics has not come to stays there, and is dropped after it.
        commands.reverse();
        while let Some(command) = commands.pop() {
            self.obey(command, now, &mut actions);
            // At once, so that the next command finds what this one has brought about.
            self.perform_all(&mut actions, now);
        }
        self.machine.tick(now, &mut actions);
        self.machine.admit(now, &mut actions);
        self.perform_all(&mut actions, now);
        if !self.kept.is_empty() {
            self.keep_rest(now, &mut actions);
        }
        if !self.waste.is_empty() {
            // The user's destructors come first, and may take long.
            by.is_held_up();
        }
        self.runners.push(&mut self.jobs, by);
        self.told.flush();
        self.publish_load();
        actions.shrink_to(PIECE);
        self.actions = actions;
        self.jobs.shrink_to(PIECE);
    }

    /// What has become of no use; for the caller to drop when it has let go of the engine.
    pub(crate) fn take_waste(&mut self) -> Vec<Waste> {
        std::mem::take(&mut self.waste)
    }

    /// What is left of it is dropped, whatever state it is in.
    pub(crate) fn discard(mut self) {
        self.take_waste().into_iter().for_each(Waste::discard);
        drop_each(self.jobs.drain(..));
        drop_contained(self);
    }

    /// A turn of it has panicked: nothing goes on, and whoever waits is to hear of it.
    pub(crate) fn broke(&self, error: String) {
        let failure =
            FirstFailure { task: Arc::from("engine"), outcome: Outcome::Failed { error } };
        *self.shared.failure.lock() = Some(failure);
        // ORDERING: SeqCst, as everywhere; see `Orchestrator::shutdown`.
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.live.send_replace(0);
    }

    /// When the next turn is needed even if nothing comes.
    pub(crate) fn next_due(&mut self) -> Option<Duration> {
        match (self.machine.next_due(), self.kept.due()) {
            (Some(of_machine), Some(of_kept)) => Some(of_machine.min(of_kept)),
            (of_machine, of_kept) => of_machine.or(of_kept),
        }
    }

    fn obey(&mut self, command: Command, now: Duration, actions: &mut Vec<Action>) {
        match command {
            Command::Ended(ended) => self.ended(ended, now, actions),
            Command::Start { run, graph, keeper, done } => {
                self.start(run, *graph, keeper, (done, None, None), now, actions);
            }
            Command::Park(by) => self.park(&by, now),
            Command::KeepItem { by, item, reply } => {
                let kept = self.keep_item(&by, item, now);
                self.reply(by.run, kept, reply, now, actions);
            }
            Command::Recall { by, items, reply } => {
                drop(reply.send(self.recall(&by, &items)));
            }
            Command::StartWithin { parent, graph, item, name, reply } => {
                let started = self.start_within(parent, graph, item, name, now, actions);
                // Whoever asked may have gone: what is dropped then is cancelled.
                let _ = reply.send(started);
            }
            Command::Committed { run, commit, result } => {
                self.committed(run, commit, result, now, actions);
            }
            Command::Submit { run, by, tasks, reply } => {
                let taken = self.submit_all(run, by, tasks, now, actions);
                self.reply(run, taken, reply, now, actions);
            }
            Command::Splice { run, by, plan, grown, reply } => {
                let taken = self.splice(run, by, plan, grown, now, actions);
                self.reply(run, taken, reply, now, actions);
            }
            Command::Spliced { run, splice } => {
                self.told.tell(now, || EventKind::PlanSpliced { run: run.0, splice });
            }
            Command::Rerun { run, task, reach, reply } => {
                let taken = self.rerun(run, &task, reach, actions);
                self.perform_all(actions, now);
                self.reply(run, taken, reply, now, actions);
            }
            Command::CancelRun(run) => self.machine.cancel_run(run, actions),
            Command::CancelAll => {
                let mut runs: Vec<RunId> = self.runs.iter().map(|(run, _)| run).collect();
                runs.sort_unstable();
                runs.into_iter().for_each(|run| self.machine.cancel_run(run, actions));
            }
            Command::CancelTask { run, task } => {
                if let Some(task) = self.find(run, &task) {
                    self.machine.cancel_task(task, actions);
                }
            }
            Command::SetPriority { run, task, priority } => {
                if let Some(task) = self.find(run, &task) {
                    self.machine.set_priority(task, priority, actions);
                }
            }
            Command::Why { run, task, reply } => {
                self.machine.admit(now, actions);
                self.perform_all(actions, now);
                let _ = reply.send(self.find(run, &task).and_then(|task| self.why(task, now)));
            }
            Command::Outcome { run, task, reply } => {
                let live = self.runs.get(run);
                let ended = live.and_then(|live| live.ended(live.place_of(&task)?));
                let _ = reply.send(ended.map(|(.., outcome)| outcome));
            }
            Command::Status { run, reply } => {
                self.machine.admit(now, actions);
                self.perform_all(actions, now);
                let _ = reply.send(self.status(run, now));
            }
            Command::SetLimit(limit) => {
                let from = self.machine.limit();
                if from != limit {
                    self.machine.set_limit(limit);
                    // ORDERING: Relaxed; a figure for people and for the controller, which guards nothing.
                    self.shared.limit.store(limit, Ordering::Relaxed);
                    self.metrics.limit.set(limit as f64);
                    self.told.tell(now, || EventKind::LimitChanged { from, to: limit });
                }
            }
            Command::ChangeAgent { agent, change } => {
                let (from, to) = self.agents.change(&agent, change, &mut self.machine);
                if from != to {
                    self.told.tell(now, || EventKind::AgentLimitChanged { agent, from, to });
                }
            }
            Command::ResourceChanged(resource) => {
                let capacity = self.link.capacities.lock().get(&resource).copied();
                if let Some(capacity) = capacity {
                    self.agents.set_resource(&resource, capacity, &mut self.machine);
                }
            }
            Command::SetTenant { tenant, weight } => {
                self.agents.set_tenant(&tenant, weight, &mut self.machine);
            }
            Command::SetTenantBudget { tenant, budget } => {
                self.agents.set_tenant_budget(&tenant, budget, &mut self.machine);
            }
            Command::TenantBudget { tenant, reply } => {
                let _ = reply.send(self.agents.tenant_budget(&tenant, &self.machine));
            }
            Command::Durations(reply) => drop(reply.send(self.durations.clone())),
            Command::Observe { agent, reply } => {
                let _ = reply.send(self.agents.observe(&agent, &self.machine));
            }
        }
    }

    /// Tells whoever has asked for something, as soon as it will not be lost.
    fn reply<T: Send + 'static, E: From<Stopped> + Send + 'static>(
        &mut self,
        run: RunId,
        taken: Result<T, E>,
        reply: oneshot::Sender<Result<T, E>>,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let keeper = if taken.is_ok() { self.keeper(run) } else { None };
        let committed = keeper.map(|keeper| match keeper.broken.clone() {
            Some(error) => (Err(error), keeper),
            None => (keeper.commit(0, writer::Beside::Others), keeper),
        });
        match committed {
            Some((Ok(writer::Commit::UnderWay(commit)), keeper)) => {
                keeper.hold(
                    commit,
                    Held::Reply(Box::new(move |broken| {
                        let failed = broken.map(|error| Err(Stopped::Journal(error).into()));
                        drop(reply.send(failed.unwrap_or(taken)));
                    })),
                );
            }
            Some((Err(error), _)) => {
                drop(reply.send(Err(Stopped::Journal(error.clone()).into())));
                self.committed(run, 0, Err(error), now, actions);
            }
            // Whoever asked may have gone; it is done all the same.
            Some((Ok(writer::Commit::Done), _)) | None => drop(reply.send(taken)),
        }
    }

    fn ended(&mut self, mut ended: Ended, now: Duration, actions: &mut Vec<Action>) {
        let task = ended.task();
        let Some(live) = self.runs.get_mut(task.run) else {
            return self.waste.push(Waste::Attempt(ended));
        };
        let mut result = ended.take_result();
        if live.is_broken() {
            self.waste.extend(result.ok().flatten().map(Waste::Output));
            result = Err(Failure::of(TaskError::fatal("its end could not be kept")));
        }
        let took = live.own_time(task.node, ended.took(), now);
        self.metrics.duration.observe_duration(took);
        let entry = &mut live.tasks[task.node];
        let agent = entry.agent;
        let verdict = match result {
            Ok(output) => {
                let before = std::mem::replace(&mut entry.output, output);
                self.waste.extend(before.map(Waste::Output));
                if let Some(kind) = entry.kind() {
                    self.durations.observe(kind, took);
                }
                Attempt::Succeeded
            }
            Err(Failure::Declined) => Attempt::Declined,
            Err(Failure::Idle) => {
                entry.failed("made no progress for too long".into());
                Attempt::TimedOut
            }
            Err(Failure::Error { message, retryable, overload }) => {
                entry.failed(message);
                if let Some(wait) = overload {
                    self.agents.overloaded(agent, wait, &mut self.machine, now);
                }
                Attempt::Failed { retryable }
            }
        };
        self.agents.set_waits(agent, ended.waits);
        live.attempt_ended(ended, took, now, &mut self.waste);
        self.agents.touch(agent);
        let is_good = verdict == Attempt::Succeeded;
        let stopping = if is_good { None } else { self.machine.stopping(task) };
        match (verdict, stopping) {
            (Attempt::Failed { .. }, Some(Stop::TimedOut)) => {
                self.metrics.timeouts.inc();
                self.agents.ended(agent, took, Attempt::TimedOut);
            }
            // That it was cancelled says nothing about its agent.
            (
                Attempt::Failed { .. } | Attempt::TimedOut,
                Some(Stop::Cancelled | Stop::Rerun | Stop::Discarded),
            ) => {}
            (verdict, _) => {
                if verdict == Attempt::TimedOut {
                    self.metrics.timeouts.inc();
                }
                self.agents.ended(agent, took, verdict);
            }
        }
        self.machine.ended(task, verdict, took, now, actions);
    }

    fn publish_load(&mut self) {
        let (running, ready) = self.machine.load();
        self.metrics.waiting.set(self.open.saturating_sub(running + ready) as f64);
        self.agents.publish(&mut self.machine, &self.metrics);
        self.metrics.running.set(running as f64);
        self.metrics.ready.set(ready as f64);
    }

    fn why(&mut self, task: TaskRef, now: Duration) -> Option<Waiting> {
        use crate::machine::Waiting as Why;
        let why = self.machine.waiting(task, now)?;
        let live = self.runs.get(task.run)?;
        let id = |node: u32| Arc::clone(&live.tasks[node].id);
        let agent = || Arc::clone(self.agents.name(live.tasks[task.node].agent));
        let remaining =
            |until: Duration| (until < Duration::MAX).then(|| until.saturating_sub(now));
        Some(match why {
            Why::Needs(needs) => Waiting::Needs { tasks: needs.into_iter().map(id).collect() },
            Why::Limit => Waiting::Limit,
            Why::AgentLimit => Waiting::AgentLimit { agent: agent() },
            Why::Rate { until } => Waiting::Rate { agent: agent(), remaining: remaining(until) },
            Why::Breaker { until } => {
                Waiting::Breaker { agent: agent(), remaining: remaining(until) }
            }
            Why::Resource { resource, wanted, free } => {
                Waiting::Resource { resource: self.agents.resource_name(resource), wanted, free }
            }
            Why::Backoff { until } => Waiting::Backoff { remaining: until.saturating_sub(now) },
            Why::Running => Waiting::Running,
            Why::Done => Waiting::Over,
        })
    }

    fn status(&self, run: RunId, now: Duration) -> Option<Status> {
        let progress = self.machine.progress(run)?;
        Some(self.runs.get(run)?.status(&progress, self.machine.limit(), &self.durations, now))
    }

    fn find(&self, run: RunId, id: &str) -> Option<TaskRef> {
        Some(TaskRef { run, node: self.runs.get(run)?.place_of(id)? })
    }
}

/// Drops a value of the user, whose destructor may panic, without taking the engine down.
pub(crate) fn drop_contained<T>(value: T) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) else { return };
    // What it has panicked with is the user's as well.
    if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(worse);
    }
}

/// The same with several, one after the other: a second panic while the first unwinds would abort the process.
pub(crate) fn drop_each<T>(values: impl IntoIterator<Item = T>) {
    let mut values = values.into_iter();
    while let Err(panic) = catch_unwind(AssertUnwindSafe(|| values.by_ref().for_each(drop))) {
        drop_contained(panic);
    }
}
