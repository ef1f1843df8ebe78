//! The orchestrator: one engine for graphs and for single tasks, under one limit that may follow live metrics.

mod builder;
mod start;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_taskgroup::TaskGroup;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::builder::positive;
use crate::agent::Breaker;
use crate::durations::Durations;
use crate::engine::{AgentChange, Command, Done, Keeper, Link, Shared};
use crate::event::{Events, Outcome};
use crate::graph::Graph;
use crate::machine::RunId;
use crate::run::{Address, Finished, Run, Running, Stopped};
use crate::source::SourceTrouble;
use crate::task::{Task, TaskError};

pub use self::builder::{BuildError, Builder};
pub use self::start::StartError;
pub(crate) use self::start::check;

/// Runs tasks and graphs of tasks under an overall limit and limits for each agent.
///
/// It writes these metrics into its registry: `orchestrator_concurrency_limit`, `orchestrator_inflight_tasks`,
/// `orchestrator_ready_tasks`, `orchestrator_waiting_tasks`, `orchestrator_tasks_total{outcome}`,
/// `orchestrator_task_errors_total{task}`, `orchestrator_task_retries_total`, `orchestrator_attempt_timeouts_total`,
/// `orchestrator_attempt_duration_seconds`, `orchestrator_cycles_refused_total`,
/// `orchestrator_source_failures_total`; and of each agent that tasks have named
/// `orchestrator_agent_inflight_tasks{agent}`, `orchestrator_agent_concurrency_limit{agent}` and
/// `orchestrator_constraints_hit_total{agent,constraint}`, where a constraint is `concurrency`, `requests`, `resource` (memory
/// among them) or `breaker`.
///
/// Dropping it cancels and aborts everything that it runs. [`shutdown`](Self::shutdown) ends it in an orderly way.
///
/// # Examples
/// ```
/// use tidegate_workflow::{Context, Graph, Orchestrator, Task, TaskError};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut graph = Graph::new();
/// graph.add(Task::new("fetch", async |_| Ok::<_, TaskError>("some text".to_owned())))?;
/// graph.add(
///     Task::new("count", async |cx: Context| Ok::<_, TaskError>(cx.input::<String>("fetch")?.len())).needs(["fetch"]),
/// )?;
///
/// let orchestrator = Orchestrator::builder().limit(4).build()?;
/// let finished = orchestrator.run(graph).await?;
/// assert_eq!(*finished.output::<usize>("count")?, 9);
/// assert_eq!(finished.report().critical_path.len(), 2);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Orchestrator {
    pub(crate) link: Arc<Link>,
    shared: Arc<Shared>,
    #[expect(
        dead_code,
        reason = "its drop is its use: it cancels and aborts the engine and every attempt"
    )]
    group: TaskGroup<(), Infallible>,
}

impl Orchestrator {
    /// Settings to start from: as many tasks at once as the machine has processors, three for each named agent.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Starts the graph. Everything in it runs under the limits that all runs share.
    ///
    /// # Errors
    /// When a need names no task of the graph (every such need is told), when a task takes more of a resource than there is,
    /// or after [`shutdown`](Self::shutdown).
    pub fn start<K>(&self, graph: Graph<K>) -> Result<Running, StartError> {
        let mut graph = graph.erase();
        check(&graph, &self.link)?;
        let (owner, done) = oneshot::channel();
        let id = self.shared.new_id();
        let keeper = match graph.parts.kept.take() {
            Some((history, durability)) => {
                Some(Keeper::prepare(&mut graph, history, durability, id, &self.link)?)
            }
            None => None,
        };
        let run = self.submit(id, graph, keeper, Done::Owner(owner))?;
        Ok(Running { run, done })
    }

    /// Runs the graph to its end.
    ///
    /// # Errors
    /// Those of [`start`](Self::start). That a task failed is no error here: the report says so.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the run.
    pub async fn run<K>(&self, graph: Graph<K>) -> Result<Finished, StartError> {
        self.start(graph)?.wait().await.map_err(|stopped| match stopped {
            Stopped::Dropped => StartError::Closed,
            Stopped::Journal(why) => StartError::Journal(why),
        })
    }

    /// Runs one task, as soon as the limits allow, in the order of calls. Its error counts in
    /// `orchestrator_task_errors_total{task}`, and the first one is what [`wait`](Self::wait) returns.
    ///
    /// # Errors
    /// After [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::Orchestrator;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let orchestrator = Orchestrator::builder().build()?;
    /// orchestrator.go("data_processing", async |_token| Ok::<(), std::io::Error>(()))?;
    /// orchestrator.go("model_training", async |_token| Err("no data"))?;
    /// let error = orchestrator.wait().await.unwrap_err();
    /// assert_eq!(error.to_string(), "task `model_training` failed: no data");
    /// # Ok(()) }
    /// ```
    pub fn go<F, Fut, E>(&self, name: impl Into<Arc<str>>, task: F) -> Result<(), StartError>
    where
        F: FnOnce(CancellationToken) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<TaskError>,
    {
        // Called once, because the task is tried once; the type of a task's work does not say so.
        let task = Mutex::new(Some(task));
        let name: Arc<str> = name.into();
        let kind = Arc::clone(&name);
        let once = Task::new(name, move |context| {
            let work = task.lock().take().map(|task| task(context.token().clone()));
            async move {
                match work {
                    Some(work) => work.await.map_err(Into::into),
                    None => Err(TaskError::fatal("a task of `go` runs once")),
                }
            }
        });
        let graph = Graph::of(once.kind(kind))?;
        self.submit(self.shared.new_id(), graph, None, Done::Service).map(drop)
    }

    /// Returns once nothing is live: no run, no task of [`go`](Self::go). More may be started afterwards.
    ///
    /// # Errors
    /// With the first failure among the tasks of `go` since the last `wait`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn wait(&self) -> Result<(), GoError> {
        let mut live = self.shared.live.subscribe();
        // An error would mean that the sender is gone, and `self` holds it.
        let _ = live.wait_for(|live| *live == 0).await;
        match self.shared.failure.lock().take() {
            None => Ok(()),
            Some(first) => Err(GoError { task: first.task, outcome: first.outcome }),
        }
    }

    /// Takes nothing more, cancels everything that is live, and returns when all of it has ended. Calling it again is
    /// harmless.
    ///
    /// # Cancel safety
    /// Dropping the future leaves everything cancelled; call it again to wait.
    pub async fn shutdown(&self) {
        // ORDERING: SeqCst with the load in `submit`, as the count of live runs is: a run that was not refused has been
        //   counted before this looks at the count.
        self.shared.closed.store(true, Ordering::SeqCst);
        let _ = self.link.send(Command::CancelAll);
        let mut live = self.shared.live.subscribe();
        let _ = live.wait_for(|live| *live == 0).await;
    }

    /// Takes no more runs, lets those that are live go on for so long, and then [shuts down](Self::shutdown). How many runs
    /// were cancelled by that: what they have not done is in their owners' reports.
    ///
    /// # Cancel safety
    /// Dropping the future stops the wait alone: what is live goes on, and no run is taken any more.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use tidegate_workflow::{Orchestrator, TaskError};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let orchestrator = Orchestrator::builder().build()?;
    /// orchestrator.go("tidy up", async |_| Ok::<(), TaskError>(()))?;
    /// let cut_short = orchestrator.drain(Duration::from_secs(30)).await;
    /// assert_eq!(cut_short, 0);
    /// assert!(orchestrator.go("too late", async |_| Ok::<(), TaskError>(())).is_err());
    /// # Ok(()) }
    /// ```
    pub async fn drain(&self, patience: Duration) -> usize {
        // ORDERING: SeqCst with the load in `submit`, as in `shutdown`: a run that was not refused is counted in what follows.
        self.shared.draining.store(true, Ordering::SeqCst);
        let mut live = self.shared.live.subscribe();
        // Too late, or (never) without its sender: what is left says so.
        let _ = tokio::time::timeout(patience, live.wait_for(|live| *live == 0)).await;
        let left = *live.borrow();
        self.shutdown().await;
        left
    }

    /// Changes the overall limit. Shrinking stops nothing; nobody is admitted until use is below it.
    pub fn set_limit(&self, limit: usize) {
        let _ = self.link.send(Command::SetLimit(limit));
    }

    /// Changes the limit of one agent, in the same way.
    pub fn set_agent_limit(&self, agent: &str, limit: usize) {
        self.change_agent(agent, AgentChange::Concurrency(limit));
    }

    /// Changes how many attempts of an agent may start in a minute; `None` for as many as come.
    pub fn set_requests_per_minute(&self, agent: &str, requests: Option<usize>) {
        self.change_agent(agent, AgentChange::PerMinute(requests));
    }

    /// Lets an agent start again that wants nothing for a time, because it has [said so](crate::TaskError::overloaded).
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::Orchestrator;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let orchestrator = Orchestrator::builder().agent("model", 4).build()?;
    /// // Its provider has raised the quota: nobody needs to wait for the hour that it told.
    /// orchestrator.resume_agent("model");
    /// # Ok(()) }
    /// ```
    pub fn resume_agent(&self, agent: &str) {
        self.change_agent(agent, AgentChange::Resume);
    }

    /// Gives an agent another breaker, closed, or none.
    pub fn set_breaker(&self, agent: &str, breaker: Option<Breaker>) {
        self.change_agent(agent, AgentChange::Breaker(breaker));
    }

    /// Changes how much of a resource there is, or makes a new one known. Less takes nothing away from what runs; tasks that
    /// were taken and cannot have what they take any more wait until there is enough again.
    pub fn set_resource(&self, resource: &str, capacity: u64) {
        let resource: Arc<str> = Arc::from(resource);
        self.link.capacities.lock().insert(Arc::clone(&resource), capacity);
        // The engine looks the capacity up, so that of two changes the later one stays.
        let _ = self.link.send(Command::ResourceChanged(resource));
    }

    /// Changes a tenant's weight; what is not positive counts as the smallest share.
    pub fn set_tenant_weight(&self, tenant: &str, weight: f64) {
        let (tenant, weight) = (Arc::from(tenant), positive(weight));
        let _ = self.link.send(Command::SetTenant { tenant, weight });
    }

    /// Says what a tenant's tasks may [`cost`](Task::cost) from now on, over all its runs; `None` for as much as they like.
    pub fn set_tenant_budget(&self, tenant: &str, budget: Option<u64>) {
        let _ = self.link.send(Command::SetTenantBudget { tenant: Arc::from(tenant), budget });
    }

    /// What a tenant's tasks may still cost, if there is an end to it.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn tenant_budget(&self, tenant: &str) -> Option<u64> {
        let (reply, answer) = oneshot::channel();
        self.link.send(Command::TenantBudget { tenant: Arc::from(tenant), reply }).ok()?;
        answer.await.ok()?
    }

    fn change_agent(&self, agent: &str, change: AgentChange) {
        let _ = self.link.send(Command::ChangeAgent { agent: Arc::from(agent), change });
    }

    /// The overall limit that was last in force.
    pub fn limit(&self) -> usize {
        // ORDERING: Relaxed; a figure for people, which guards nothing.
        self.shared.limit.load(Ordering::Relaxed)
    }

    /// The last time that the source of metrics left something out; `None` if it never has.
    pub fn source_trouble(&self) -> Option<SourceTrouble> {
        self.shared.troubles.last()
    }

    /// What has been learned of how long tasks of a kind take: to be kept, and given to
    /// [`Builder::durations`] another time.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn durations(&self) -> Durations {
        let (reply, answer) = oneshot::channel();
        // A refusal drops the sender, and nothing was learned.
        let _ = self.link.send(Command::Durations(reply));
        answer.await.unwrap_or_default()
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        Events(self.shared.events.subscribe())
    }

    fn submit(
        &self,
        id: RunId,
        mut graph: Graph,
        keeper: Option<Box<Keeper>>,
        done: Done,
    ) -> Result<Run, StartError> {
        let name = keeper.as_ref().map(|keeper| Arc::clone(&keeper.name));
        // Here, so that it is a child of the span that the caller is in.
        graph.parts.span = tracing::info_span!("run", run = id.0, tasks = graph.len());
        #[cfg(feature = "otel")]
        if let Some(parent) = graph.parts.trace_parent.as_deref() {
            parent.adopt(&graph.parts.span);
        }
        let trace_parent = graph.parts.trace_parent.clone();
        self.shared.live.send_modify(|live| *live += 1);
        // ORDERING: SeqCst both; see `shutdown` and `drain`.
        let closed = self.shared.closed.load(Ordering::SeqCst);
        let draining = self.shared.draining.load(Ordering::SeqCst);
        if closed
            || draining
            || self
                .link
                .send(Command::Start { run: id, graph: Box::new(graph), keeper, done })
                .is_err()
        {
            self.shared.live.send_modify(|live| *live = live.saturating_sub(1));
            return Err(StartError::Closed);
        }
        let link = Arc::clone(&self.link);
        let run = Run::new(Address { id, link, name, trace_parent });
        // ORDERING: SeqCst; a shutdown between the load above and the send has told the engine to cancel before this run
        //   arrived there.
        if self.shared.closed.load(Ordering::SeqCst) {
            run.cancel();
        }
        Ok(run)
    }
}

impl Drop for Orchestrator {
    fn drop(&mut self) {
        // Before the group: what its tasks report while they are aborted starts nothing more.
        self.link.close();
    }
}

/// The first failure among the tasks of [`Orchestrator::go`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoError {
    /// The task's name.
    pub task: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
}

impl fmt::Display for GoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, outcome } = self;
        match outcome {
            Outcome::Failed { error } => write!(f, "task `{task}` failed: {error}"),
            Outcome::TimedOut => write!(f, "task `{task}` timed out"),
            _ => write!(f, "task `{task}` was cancelled"),
        }
    }
}

impl std::error::Error for GoError {}
