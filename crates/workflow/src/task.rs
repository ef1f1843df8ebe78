//! What a task is: its name, its needs, its settings and its work.

mod error;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_pools::Kind;
use tokio_util::sync::ReusableBoxFuture;

use crate::context::Context;
use crate::durable::{Codec, Durable, Keeps, Volatile};
use crate::machine::{On, Planned, Policy};
use crate::retry::Retry;

pub use error::TaskError;
pub(crate) use error::panicked;

/// What a task hands to those who need it.
pub(crate) type Output = Arc<dyn Any + Send + Sync>;

/// One attempt under way. Once it has ended nothing of the user's is in it, and its memory serves another one.
pub(crate) type Work = ReusableBoxFuture<'static, Result<Output, TaskError>>;

/// What starts an attempt: the work is there afterwards, in the place of one that has ended.
pub(crate) type Body = Box<dyn Fn(Context, &mut Option<Work>) + Send + Sync>;

/// The body of a task that does this.
pub(crate) fn body<F, Fut>(work: F) -> Body
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Output, TaskError>> + Send + 'static,
{
    Box::new(move |context, place| {
        let attempt = work(context);
        match place {
            Some(ended) => ended.set(attempt),
            None => *place = Some(Work::new(attempt)),
        }
    })
}

/// Whether a task is to do its work at all.
pub(crate) type Condition = Box<dyn Fn(&Context) -> bool + Send + Sync>;

/// A task of a [`Graph`](crate::Graph), or one for [`Run::submit`](crate::Run::submit).
///
/// The work is called once for each attempt. What it returns is what the tasks that need it read with
/// [`Context::input`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tidegate_workflow::{Context, Retry, Task, TaskError};
///
/// let parse = Task::new("parse", async |cx: Context| {
///     let page = cx.input::<String>("fetch")?;
///     Ok::<usize, TaskError>(page.len())
/// })
/// .needs(["fetch"])
/// .agent("parser")
/// .timeout(Duration::from_secs(30))
/// .retry(Retry::attempts(3));
/// assert_eq!(parse.id(), "parse");
/// ```
///
/// One whose output can be kept in a journal is made by [`Task::durable`].
pub struct Task<K = Volatile> {
    pub(crate) id: Arc<str>,
    /// What has to succeed before it starts.
    pub(crate) needs: Vec<Arc<str>>,
    pub(crate) agent: Option<Arc<str>>,
    pub(crate) priority: i32,
    pub(crate) estimate: Option<Duration>,
    pub(crate) policy: Policy,
    pub(crate) grace: Duration,
    pub(crate) body: Body,
    pub(crate) extras: Option<Box<Extras>>,
    mark: PhantomData<fn() -> K>,
}

/// What a task comes after: what it needs, and then what it wants.
pub(crate) fn arrows<'a>(
    needs: &'a [Arc<str>],
    extras: Option<&'a Extras>,
) -> impl Iterator<Item = (&'a Arc<str>, On)> + Clone {
    let wants = extras.into_iter().flat_map(|extras| &extras.wants);
    let needs = needs.iter().map(|id| (id, On::Success));
    needs.chain(wants.map(|(id, on)| (id, *on)))
}

/// Settings that few tasks have.
pub(crate) struct Extras {
    /// What has to be over, or to have failed, before it starts.
    pub(crate) wants: Vec<(Arc<str>, On)>,
    pub(crate) kind: Option<Arc<str>>,
    pub(crate) any_of: Vec<Arc<str>>,
    pub(crate) memory_mb: u64,
    pub(crate) uses: Vec<(Arc<str>, u64)>,
    pub(crate) cost: u32,
    pub(crate) complexity: f32,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) condition: Option<Condition>,
    pub(crate) commit_before_start: bool,
    pub(crate) version: u64,
    /// How its output is kept.
    pub(crate) codec: Option<Codec>,
    /// Makes the tasks anew that it has put into the live run in an earlier process, of what it has kept of them.
    pub(crate) grow: Option<Grow>,
}

/// From what was kept of a plan to its tasks, or why there are none.
pub(crate) type Grow = Box<dyn Fn(&[u8]) -> Result<Vec<Grown>, String> + Send + Sync>;

/// A task that another puts into the live run, and before which tasks.
pub(crate) struct Grown {
    pub(crate) task: Task,
    pub(crate) before: Vec<Arc<str>>,
}

impl Default for Extras {
    fn default() -> Self {
        Self {
            wants: Vec::new(),
            kind: None,
            any_of: Vec::new(),
            memory_mb: 0,
            uses: Vec::new(),
            cost: 0,
            complexity: 1.0,
            idle_timeout: None,
            condition: None,
            commit_before_start: false,
            version: 0,
            codec: None,
            grow: None,
        }
    }
}

impl<K> fmt::Debug for Task<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id)
            .field("needs", &self.needs)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// The agent of a task that names none.
pub const DEFAULT_AGENT: &str = "default";

impl Task {
    /// A task that does `work`, needs nobody, belongs to the agent [`DEFAULT_AGENT`], is tried once and has no time-out.
    pub fn new<F, Fut, T, E>(id: impl Into<Arc<str>>, work: F) -> Self
    where
        F: Fn(Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + Sync + 'static,
        E: Into<TaskError>,
    {
        Self::make(id, work)
    }

    /// A task whose work is a plain function, run where its kind belongs: computations on the orchestrator's CPU pool, calls
    /// that wait in the kernel on its blocking pool. Otherwise as [`new`](Self::new).
    ///
    /// A time-out or a cancellation cannot end a function that has started: its slot is free once the grace period is over,
    /// its thread when it returns. Long functions look at [`Context::token`] now and then.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::pools::{Kind, Priority};
    /// use tidegate_workflow::{Task, TaskError};
    ///
    /// let sum = Task::offloaded("sum", Kind::Cpu(Priority::Normal), |_| Ok::<_, TaskError>((1..=1000_u64).sum::<u64>()));
    /// let read = Task::offloaded("read", Kind::Blocking, |_| std::fs::read_to_string("Cargo.toml"));
    /// # assert_eq!((sum.id(), read.id()), ("sum", "read"));
    /// ```
    pub fn offloaded<F, T, E>(id: impl Into<Arc<str>>, kind: Kind, work: F) -> Self
    where
        F: Fn(Context) -> Result<T, E> + Send + Sync + 'static,
        T: Send + Sync + 'static,
        E: Into<TaskError> + Send + 'static,
    {
        Self::make_offloaded(id, kind, work)
    }
}

impl Task<Durable> {
    /// A task for a [durable graph](crate::Graph::durable), otherwise as [`Task::new`]. What it returns can be kept: that is
    /// checked here, by the compiler. It is encoded in postcard, or in JSON if its type has to be asked what it is, as an untagged
    /// enum or a `serde_json::Value`. An attempt whose value neither of them can read back fails.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Graph, Task, TaskError};
    ///
    /// let mut graph = Graph::durable();
    /// graph.add(Task::durable("fetch", async |_| Ok::<_, TaskError>("some text".to_owned())))?;
    /// # Ok::<(), tidegate_workflow::AddError>(())
    /// ```
    ///
    /// A connection cannot be kept:
    /// ```compile_fail,E0277
    /// # use tidegate_workflow::{Task, TaskError};
    /// Task::durable("connect", async |_| Ok::<_, TaskError>(std::net::TcpStream::connect("[::1]:80")?));
    /// ```
    pub fn durable<F, Fut, T, E>(id: impl Into<Arc<str>>, work: F) -> Self
    where
        F: Fn(Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
        E: Into<TaskError>,
    {
        Self::make(id, work)
    }
}

impl From<Task<Durable>> for Task {
    /// The same task where it is not asked for that its output can be kept; it still is where it can be.
    fn from(task: Task<Durable>) -> Self {
        task.erase()
    }
}

impl<K> Task<K> {
    /// A task of either mark.
    pub(crate) fn make<F, Fut, T, E>(id: impl Into<Arc<str>>, work: F) -> Self
    where
        K: Keeps<T>,
        F: Fn(Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + Sync + 'static,
        E: Into<TaskError>,
    {
        let body = body(move |context| {
            let attempt = work(context);
            async move { attempt.await.map(|value| Arc::new(value) as Output).map_err(Into::into) }
        });
        Self {
            id: id.into(),
            needs: Vec::new(),
            agent: None,
            priority: 0,
            estimate: None,
            policy: Policy { timeout: None, retry: Retry::NEVER },
            grace: Duration::from_secs(2),
            body,
            extras: K::codec()
                .map(|codec| Box::new(Extras { codec: Some(codec), ..Extras::default() })),
            mark: PhantomData,
        }
    }

    /// An offloaded one of either mark.
    pub(crate) fn make_offloaded<F, T, E>(id: impl Into<Arc<str>>, kind: Kind, work: F) -> Self
    where
        K: Keeps<T>,
        F: Fn(Context) -> Result<T, E> + Send + Sync + 'static,
        T: Send + Sync + 'static,
        E: Into<TaskError> + Send + 'static,
    {
        let work = Arc::new(work);
        Self::make(id, move |context: Context| {
            let work = Arc::clone(&work);
            async move {
                let pools = context.pools()?;
                pools.run(kind, move || work(context)).await?.map_err(Into::into)
            }
        })
    }

    /// The same task, its mark forgotten.
    pub(crate) fn erase(self) -> Task {
        let Self {
            id,
            needs,
            agent,
            priority,
            estimate,
            policy,
            grace,
            body,
            extras,
            mark: PhantomData,
        } = self;
        let mark = PhantomData;
        Task { id, needs, agent, priority, estimate, policy, grace, body, extras, mark }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Starts only after these tasks succeeded; if one does not, this task is skipped. They may be added to the graph later.
    #[inline]
    pub fn needs<I: Into<Arc<str>>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        let ids = ids.into_iter().map(Into::into);
        if self.needs.is_empty() {
            // A list that is given away becomes this one.
            self.needs = ids.collect();
        } else {
            self.needs.extend(ids);
        }
        self
    }

    /// Starts only after these tasks are over, but also if they failed; then [`Context::input`] says that their output is
    /// missing.
    pub fn wants<I: Into<Arc<str>>>(self, ids: impl IntoIterator<Item = I>) -> Self {
        self.after(ids, On::End)
    }

    /// Starts only if these tasks failed or timed out for good: a fallback. Otherwise it is skipped. What goes on with either
    /// result `wants` both and takes [`Context::first_input`].
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Context, Graph, Orchestrator, Task, TaskError};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// graph.add(Task::new("live", async |_| Err::<u32, _>("no connection")))?;
    /// graph.add(Task::new("archive", async |_| Ok::<u32, TaskError>(7)).on_failure(["live"]))?;
    /// graph.add(
    ///     Task::new("use", async |cx: Context| Ok::<_, TaskError>(*cx.first_input::<u32>(&["live", "archive"])?))
    ///         .wants(["live", "archive"]),
    /// )?;
    /// let finished = Orchestrator::builder().build()?.run(graph).await?;
    /// assert_eq!(*finished.output::<u32>("use")?, 7);
    /// # Ok(()) }
    /// ```
    pub fn on_failure<I: Into<Arc<str>>>(self, ids: impl IntoIterator<Item = I>) -> Self {
        self.after(ids, On::Failure)
    }

    fn after<I: Into<Arc<str>>>(mut self, ids: impl IntoIterator<Item = I>, on: On) -> Self {
        let ids = ids.into_iter().map(|id| (id.into(), on));
        self.extras().wants.extend(ids);
        self
    }

    /// What it comes after: what it needs, and then what it wants.
    pub(crate) fn arrows(&self) -> impl Iterator<Item = (&Arc<str>, On)> + Clone {
        arrows(&self.needs, self.extras.as_deref())
    }

    /// Whether it names itself among those it comes after.
    pub(crate) fn comes_after_itself(&self) -> bool {
        let wants = self.extras.as_deref().map_or(&[][..], |extras| &extras.wants);
        self.needs.contains(&self.id) || wants.iter().any(|(id, _)| *id == self.id)
    }

    /// It comes after nobody.
    pub(crate) fn forget_arrows(&mut self) {
        self.needs = Vec::new();
        if let Some(extras) = &mut self.extras {
            extras.wants = Vec::new();
        }
    }

    /// What the machine is told of it.
    pub(crate) fn planned(&self) -> Planned {
        let extras = self.extras.as_deref();
        Planned {
            priority: self.priority,
            estimate: self.estimate.map(|estimate| estimate.as_secs_f32()),
            complexity: extras.map_or(1.0, |extras| extras.complexity),
            cost: extras.map_or(0, |extras| extras.cost),
            policy: self.policy,
        }
    }

    fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_with(Box::default)
    }

    /// Does its work only if the condition, asked when its needs are met and it has its slot, says yes. Otherwise it ends as
    /// [`Outcome::Declined`](crate::Outcome::Declined), and those that need it are skipped. A condition that panics fails the
    /// attempt.
    pub fn when(mut self, condition: impl Fn(&Context) -> bool + Send + Sync + 'static) -> Self {
        self.extras().condition = Some(Box::new(condition));
        self
    }

    /// The agent whose limits hold for it. Of this and [`any_agent`](Self::any_agent) the last one counts.
    #[inline]
    pub fn agent(mut self, name: impl Into<Arc<str>>) -> Self {
        self.agent = Some(name.into());
        if let Some(extras) = &mut self.extras {
            extras.any_of.clear();
        }
        self
    }

    /// Agents any of which can do it. Whenever it becomes ready, and before each further attempt, it is given to one whose
    /// breaker is closed and that has the least to do for its number of tasks at once; its work asks
    /// [`Context::agent`](crate::Context::agent) which one that is. Each of them has to be able to bear it: a task that wants more
    /// memory than one of them has is refused.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Graph, Orchestrator, Task, TaskError};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// for page in 0..6 {
    ///     let work = async |_| Ok::<(), TaskError>(());
    ///     graph.add(Task::new(format!("page {page}"), work).any_agent(["large", "small"]))?;
    /// }
    /// let orchestrator = Orchestrator::builder().agent("large", 4).agent("small", 2).build()?;
    /// let report = orchestrator.run(graph).await?.into_report();
    /// assert_eq!((report.by_agent()["large"].tasks, report.by_agent()["small"].tasks), (4, 2));
    /// # Ok(()) }
    /// ```
    pub fn any_agent<I: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = I>) -> Self {
        let names: Vec<Arc<str>> = names.into_iter().map(Into::into).collect();
        self.agent = names.first().map(Arc::clone);
        self.extras().any_of = names;
        self
    }

    /// A higher priority starts first among the tasks that are ready; 0 by default. Among equals goes first
    /// what has the longest estimated way to the end of the graph after it, with 0.6 of its own length.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// How long it will probably take. Without it the orchestrator goes by how long tasks of its [`kind`](Self::kind) took,
    /// and by 1 s while it knows nothing.
    pub fn estimate(mut self, duration: Duration) -> Self {
        self.estimate = Some(duration);
        self
    }

    /// What it is an example of: the orchestrator learns how long tasks of a kind take, for the order of those to come and
    /// for [`Status::remaining`](crate::Status::remaining). Of a task without a kind nothing is learned.
    pub fn kind(mut self, kind: impl Into<Arc<str>>) -> Self {
        self.extras().kind = Some(kind.into());
        self
    }

    /// How hard it is, for prioritizers that ask; 1 by default.
    pub fn complexity(mut self, complexity: f32) -> Self {
        self.extras().complexity = complexity;
        self
    }

    /// It must not be run twice without being asked: in a run with a journal, that it starts is kept there before it does. If
    /// another process finds it begun and not ended, it ends there as [`Outcome::Unknown`](crate::Outcome::Unknown) until
    /// somebody decides by [`History::again`](crate::journal::History::again), [`done`](crate::journal::History::done) or
    /// [`failed`](crate::journal::History::failed).
    pub fn commit_before_start(mut self) -> Self {
        self.extras().commit_before_start = true;
        self
    }

    /// What changes when its work does, a digest of its definition for instance: a run that is resumed with a task of another
    /// version, or of other needs, than it began with is refused until the changes are
    /// [accepted](crate::journal::History::accept_changes). 0 by default.
    pub fn version(mut self, version: u64) -> Self {
        self.extras().version = version;
        self
    }

    /// What it puts into the live run by a splice can be made anew by another process.
    pub(crate) fn grows(
        mut self,
        grow: impl Fn(&[u8]) -> Result<Vec<Grown>, String> + Send + Sync + 'static,
    ) -> Self {
        self.extras().grow = Some(Box::new(grow));
        self
    }

    /// How much of its agent's memory it takes while it runs.
    pub fn memory_mb(mut self, megabytes: u64) -> Self {
        self.extras().memory_mb = megabytes;
        self
    }

    /// How much of a resource, made known by [`Builder::resource`](crate::Builder::resource), it takes while it runs. It
    /// starts when everything that it takes is free, and never holds a part of it while it waits.
    pub fn uses(mut self, resource: impl Into<Arc<str>>, amount: u64) -> Self {
        let resource = resource.into();
        let uses = &mut self.extras().uses;
        match uses.iter_mut().find(|(of, _)| *of == resource) {
            Some((_, sum)) => *sum = sum.saturating_add(amount),
            None => uses.push((resource, amount)),
        }
        self
    }

    /// What it takes out of its graph's [`budget`](crate::Graph::budget) when it first starts, in the budget's unit. A task
    /// that the budget cannot pay any more fails without starting.
    pub fn cost(mut self, cost: u32) -> Self {
        self.extras().cost = cost;
        self
    }

    /// The longest that an attempt may go without a call of [`Context::progress`]. Then it ends as with a time-out. While it
    /// waits for tasks [within](Context::sub_graph) its work it is not idle, and their end is a sign of life.
    pub fn idle_timeout(mut self, duration: Duration) -> Self {
        self.extras().idle_timeout = Some(duration);
        self
    }

    /// The longest that one attempt may take. Then its token is cancelled, and after the grace period it is dropped.
    pub fn timeout(mut self, duration: Duration) -> Self {
        self.policy.timeout = Some(duration);
        self
    }

    /// How long an attempt that was asked to stop may take to do so before it is dropped; 2 s by default.
    pub fn grace(mut self, duration: Duration) -> Self {
        self.grace = duration;
        self
    }

    /// How failures and time-outs are followed by further attempts.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.policy.retry = retry;
        self
    }
}
