//! What a task is: its name, its needs, its settings and its work.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tidegate_pools::Kind;

use crate::context::Context;
use crate::retry::Retry;

/// What a task hands to those who need it.
pub(crate) type Output = Arc<dyn Any + Send + Sync>;

/// One attempt under way.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<Output, TaskError>> + Send>>;

/// What starts an attempt.
pub(crate) type Body = Arc<dyn Fn(Context) -> Work + Send + Sync>;

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
pub struct Task {
    pub(crate) id: Arc<str>,
    pub(crate) needs: Vec<(Arc<str>, bool)>,
    pub(crate) agent: Arc<str>,
    pub(crate) priority: i32,
    pub(crate) estimate: Duration,
    pub(crate) timeout: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) retry: Retry,
    pub(crate) body: Body,
}

impl fmt::Debug for Task {
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
        let body = move |context| -> Work {
            let attempt = work(context);
            Box::pin(async move {
                attempt.await.map(|value| Arc::new(value) as Output).map_err(Into::into)
            })
        };
        Self {
            id: id.into(),
            needs: Vec::new(),
            agent: Arc::from(DEFAULT_AGENT),
            priority: 0,
            estimate: Duration::from_secs(1),
            timeout: None,
            grace: Duration::from_secs(2),
            retry: Retry::NEVER,
            body: Arc::new(body),
        }
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
        let work = Arc::new(work);
        Self::new(id, move |context: Context| {
            let work = Arc::clone(&work);
            async move {
                let pools = context.pools.get()?;
                pools.run(kind, move || work(context)).await?.map_err(Into::into)
            }
        })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Starts only after these tasks succeeded; if one does not, this task is skipped. They may be added to the graph later.
    pub fn needs<I: Into<Arc<str>>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        self.needs.extend(ids.into_iter().map(|id| (id.into(), false)));
        self
    }

    /// Starts only after these tasks are over, but also if they failed; then [`Context::input`] says that their output is
    /// missing.
    pub fn wants<I: Into<Arc<str>>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        self.needs.extend(ids.into_iter().map(|id| (id.into(), true)));
        self
    }

    /// The agent whose limits hold for it.
    pub fn agent(mut self, name: impl Into<Arc<str>>) -> Self {
        self.agent = name.into();
        self
    }

    /// A higher priority starts first among the tasks that are ready; 0 by default. Among equals the longest estimated way to
    /// the end of the graph goes first.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// How long it will probably take; 1 s by default.
    pub fn estimate(mut self, duration: Duration) -> Self {
        self.estimate = duration;
        self
    }

    /// The longest that one attempt may take. Then its token is cancelled, and after the grace period it is dropped.
    pub fn timeout(mut self, duration: Duration) -> Self {
        self.timeout = Some(duration);
        self
    }

    /// How long an attempt that was asked to stop may take to do so before it is dropped; 2 s by default.
    pub fn grace(mut self, duration: Duration) -> Self {
        self.grace = duration;
        self
    }

    /// How failures and time-outs are followed by further attempts.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

/// Why an attempt failed. Anything that is an error, or a text, becomes one by `?` or `into`.
///
/// # Examples
/// ```
/// use tidegate_workflow::TaskError;
///
/// fn work() -> Result<u16, TaskError> {
///     Ok("80".parse()?)
/// }
/// assert_eq!(work().expect("it is a number"), 80);
/// assert!(!TaskError::fatal("no such model").is_retryable());
/// ```
#[derive(Debug)]
pub struct TaskError {
    cause: Box<dyn std::error::Error + Send + Sync>,
    retryable: bool,
}

impl TaskError {
    /// An error after which another attempt would be in vain, whatever the retry policy says.
    pub fn fatal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), retryable: false }
    }

    /// Whether another attempt may help.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The cause and what caused it, in one line.
    pub(crate) fn message(&self) -> String {
        let mut text = self.cause.to_string();
        let mut source = self.cause.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

// `TaskError` is no `Error` itself: that is what lets every error turn into one by `?`.
impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for TaskError {
    fn from(cause: E) -> Self {
        Self { cause: cause.into(), retryable: true }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}
