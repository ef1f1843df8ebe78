//! Typed graphs: a task's inputs are the outputs of the tasks it comes after, as Rust values.
//!
//! Only a way to build what [`Graph::add`] takes: the engine sees ids and outputs, and a graph may hold tasks of both kinds.

mod inputs;
mod loose;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tidegate_pools::Kind;

use crate::context::{Context, InputError};
use crate::durable::{Keeps, Volatile};
use crate::graph::{AddError, Graph};
use crate::retry::Retry;
use crate::run::Finished;
use crate::task::{Task, TaskError};

pub use inputs::{Inputs, Optional};
pub(crate) use inputs::{Needs, Reader};

impl<K> Graph<K> {
    /// A task to be described: what it comes after, its settings, and last its work, which adds it and gives its [`Handle`].
    ///
    /// The work gets what those before returned, each as an `Arc`; several as a tuple, in the order of
    /// [`after`](TaskBuilder::after). Types follow from the handles and need not be written; those that do not fit do not
    /// compile.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Graph, Orchestrator};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// let text = graph.task("fetch").run(async |_| Ok("to be or not to be".to_owned()))?;
    /// let words = graph.task("words").after(&text).run(async |text| Ok(text.split(' ').count()))?;
    /// let letters = graph.task("letters").after(&text).run(async |text| Ok(text.len()))?;
    /// let mean = graph.task("mean").after((&letters, &words)).run(async |(letters, words)| Ok(*letters / *words))?;
    ///
    /// let finished = Orchestrator::builder().build()?.run(graph).await?;
    /// assert_eq!((*finished.get(&words)?, *finished.get(&mean)?), (6, 3));
    /// # Ok(()) }
    /// ```
    ///
    /// A number is no text:
    /// ```compile_fail,E0599
    /// # use tidegate_workflow::Graph;
    /// # let mut graph = Graph::new();
    /// let number = graph.task("number").run(async |_| Ok(42_u32))?;
    /// let words = graph.task("words").after(&number).run(async |number| Ok(number.split_whitespace().count()))?;
    /// # Ok::<(), tidegate_workflow::AddError>(())
    /// ```
    ///
    /// Nor does a function take what another task returned:
    /// ```compile_fail,E0631
    /// # use std::sync::Arc;
    /// # use tidegate_workflow::{Graph, TaskError};
    /// async fn words(text: Arc<String>) -> Result<usize, TaskError> {
    ///     Ok(text.split(' ').count())
    /// }
    /// # let mut graph = Graph::new();
    /// let number = graph.task("number").run(async |_| Ok(42_u32))?;
    /// graph.task("words").after(&number).run(words)?;
    /// # Ok::<(), tidegate_workflow::AddError>(())
    /// ```
    pub fn task(&mut self, id: impl Into<Arc<str>>) -> TaskBuilder<'_, (), K> {
        TaskBuilder { graph: self, id: id.into(), inputs: (), settings: Vec::new() }
    }
}

/// A task of a [`Graph`] by its id and the type that it returns. Cheap to clone.
///
/// It belongs to the graph that gave it. In another graph it stands for the task of the same id there, if there is one;
/// should that return another type, the tasks that come after it fail and say so.
///
/// # Examples
/// ```
/// use tidegate_workflow::{Graph, Handle, Task, TaskError};
///
/// // A task that was added by id, with a handle that says what it returns.
/// let mut graph = Graph::new();
/// graph.add(Task::new("answer", async |_| Ok::<u32, TaskError>(42)))?;
/// let answer = Handle::<u32>::named("answer");
/// graph.task("twice").after(&answer).run(async |answer| Ok(2 * *answer))?;
/// # Ok::<(), tidegate_workflow::AddError>(())
/// ```
pub struct Handle<T> {
    id: Arc<str>,
    // A handle gives a `T` and holds none, so that it is `Send` and `Sync` whatever `T` is.
    output: PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static> Handle<T> {
    /// A handle of the task with this id, which is said to return a `T`. Whether it does shows when a task reads it.
    pub fn named(id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), output: PhantomData }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// For [`TaskBuilder::after`]: the task starts also if this one does not succeed, and gets `None` then.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Graph, Orchestrator, TaskError};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// let weather = graph.task("weather").run(async |_| Err::<String, TaskError>("no network".into()))?;
    /// let page = graph.task("page").after(weather.optional()).run(async |weather| {
    ///     Ok(weather.map_or("no weather today".to_owned(), |weather| format!("it will be {weather}")))
    /// })?;
    ///
    /// let finished = Orchestrator::builder().build()?.run(graph).await?;
    /// assert_eq!(*finished.get(&page)?, "no weather today");
    /// # Ok(()) }
    /// ```
    pub fn optional(&self) -> Optional<'_, T> {
        Optional(self)
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self { id: Arc::clone(&self.id), output: PhantomData }
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.id).finish()
    }
}

impl Finished {
    /// What a typed task returned.
    ///
    /// # Errors
    /// When it did not succeed, or the handle is of another graph.
    pub fn get<T: Send + Sync + 'static>(&self, handle: &Handle<T>) -> Result<Arc<T>, InputError> {
        self.output(handle.id())
    }
}

type Setting<K> = Box<dyn FnOnce(Task<K>) -> Task<K>>;

/// A task that [`Graph::task`] began; giving its work ends it. Settings mean what they mean on a [`Task`].
#[must_use = "the task is added by `run`, `run_with`, `offload` or `offload_with`"]
pub struct TaskBuilder<'g, I, K = Volatile> {
    graph: &'g mut Graph<K>,
    id: Arc<str>,
    inputs: I,
    settings: Vec<Setting<K>>,
}

impl<I, K> fmt::Debug for TaskBuilder<'_, I, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskBuilder").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<'g, K> TaskBuilder<'g, (), K> {
    /// What it comes after and gets as input: `&handle`, [`handle.optional()`](Handle::optional), a `Vec` of either, or a
    /// `&Vec` or slice of handles, of one type, or a tuple of any of these.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Graph, Orchestrator};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// let mut squares = Vec::new();
    /// for n in 1..=10_u32 {
    ///     squares.push(graph.task(format!("square-{n}")).run(move |_| async move { Ok(n * n) })?);
    /// }
    /// let sum = graph.task("sum").after(&squares).run(async |squares| {
    ///     Ok(squares.iter().map(|square| **square).sum::<u32>())
    /// })?;
    ///
    /// let finished = Orchestrator::builder().build()?.run(graph).await?;
    /// assert_eq!(*finished.get(&sum)?, 385);
    /// # Ok(()) }
    /// ```
    pub fn after<I: Inputs>(self, inputs: I) -> TaskBuilder<'g, I, K> {
        let Self { graph, id, inputs: (), settings } = self;
        TaskBuilder { graph, id, inputs, settings }
    }
}

impl<I: Inputs, K> TaskBuilder<'_, I, K> {
    /// Any setting of [`Task`].
    ///
    /// # Examples
    /// ```
    /// # use tidegate_workflow::Graph;
    /// # let mut graph = Graph::new();
    /// graph.task("log").with(|task| task.wants(["a task by its id"])).run(async |_| Ok(()))?;
    /// # Ok::<(), tidegate_workflow::AddError>(())
    /// ```
    pub fn with(mut self, setting: impl FnOnce(Task<K>) -> Task<K> + 'static) -> Self {
        self.settings.push(Box::new(setting));
        self
    }

    /// As [`Task::needs`]: further tasks that have to succeed before, by id, whose outputs are not asked for.
    pub fn needs<N: Into<Arc<str>>>(self, ids: impl IntoIterator<Item = N>) -> Self {
        let ids: Vec<Arc<str>> = ids.into_iter().map(Into::into).collect();
        self.with(|task| task.needs(ids))
    }

    /// As [`Task::agent`].
    pub fn agent(self, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        self.with(|task| task.agent(name))
    }

    /// As [`Task::priority`].
    pub fn priority(self, priority: i32) -> Self {
        self.with(move |task| task.priority(priority))
    }

    /// As [`Task::estimate`].
    pub fn estimate(self, duration: Duration) -> Self {
        self.with(move |task| task.estimate(duration))
    }

    /// As [`Task::timeout`].
    pub fn timeout(self, duration: Duration) -> Self {
        self.with(move |task| task.timeout(duration))
    }

    /// As [`Task::grace`].
    pub fn grace(self, duration: Duration) -> Self {
        self.with(move |task| task.grace(duration))
    }

    /// As [`Task::retry`].
    pub fn retry(self, retry: Retry) -> Self {
        self.with(move |task| task.retry(retry))
    }

    /// Adds the task, whose work is an async function of its inputs. It is called once for each attempt.
    ///
    /// Work that captures something cannot lend it to its future, which may outlive the call: it gives each attempt a copy,
    /// `move |input| { let client = client.clone(); async move { … } }`.
    ///
    /// # Errors
    /// As [`Graph::add`]. No cycle can close but through ids given to [`needs`](Self::needs) or [`with`](Self::with).
    pub fn run<F, Fut, T>(self, work: F) -> Result<Handle<T>, AddError>
    where
        K: Keeps<T>,
        F: Fn(I::Values) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, TaskError>> + Send + 'static,
        T: Send + Sync + 'static,
    {
        self.run_with(move |_, inputs| work(inputs))
    }

    /// As [`run`](Self::run), with the attempt's [`Context`]: its number, its token, its run.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Graph, Orchestrator, Retry};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// let flaky = graph.task("flaky").retry(Retry::attempts(3)).run_with(async |cx, ()| {
    ///     if cx.attempt() < 2 { Err("not yet".into()) } else { Ok(cx.attempt()) }
    /// })?;
    /// let finished = Orchestrator::builder().build()?.run(graph).await?;
    /// assert_eq!(*finished.get(&flaky)?, 2);
    /// # Ok(()) }
    /// ```
    pub fn run_with<F, Fut, T>(self, work: F) -> Result<Handle<T>, AddError>
    where
        K: Keeps<T>,
        F: Fn(Context, I::Values) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, TaskError>> + Send + 'static,
        T: Send + Sync + 'static,
    {
        self.add(|id, read| {
            Task::make(id, move |cx: Context| {
                // Read before the first await: what the future keeps is the inputs, not the whole context.
                let attempt = read(&cx).map(|inputs| work(cx, inputs));
                async move { attempt?.await }
            })
        })
    }

    /// Adds the task, whose work is a plain function that runs where its kind belongs; see [`Task::offloaded`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::pools::{Kind, Priority};
    /// use tidegate_workflow::{Graph, Orchestrator};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// let text = graph.task("read").offload(Kind::Blocking, |()| Ok(std::fs::read_to_string("Cargo.toml")?))?;
    /// let lines = graph.task("count").after(&text).offload(Kind::Cpu(Priority::Normal), |text| Ok(text.lines().count()))?;
    /// let finished = Orchestrator::builder().build()?.run(graph).await?;
    /// assert!(*finished.get(&lines)? > 10);
    /// # Ok(()) }
    /// ```
    pub fn offload<F, T>(self, kind: Kind, work: F) -> Result<Handle<T>, AddError>
    where
        K: Keeps<T>,
        F: Fn(I::Values) -> Result<T, TaskError> + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        self.offload_with(kind, move |_, inputs| work(inputs))
    }

    /// As [`offload`](Self::offload), with the attempt's [`Context`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn offload_with<F, T>(self, kind: Kind, work: F) -> Result<Handle<T>, AddError>
    where
        K: Keeps<T>,
        F: Fn(Context, I::Values) -> Result<T, TaskError> + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        self.add(|id, read| {
            Task::make_offloaded(id, kind, move |cx: Context| {
                let inputs = read(&cx)?;
                work(cx, inputs)
            })
        })
    }

    /// Adds what `make` makes of the id and the reader of the inputs.
    pub(crate) fn add<T: Send + Sync + 'static>(
        self,
        make: impl FnOnce(Arc<str>, Reader<I::Values>) -> Task<K>,
    ) -> Result<Handle<T>, AddError> {
        let (needs, read) = Needs::of(self.inputs);
        let mut task = make(Arc::clone(&self.id), read);
        task = task.needs(needs.required).wants(needs.optional);
        for setting in self.settings {
            task = setting(task);
        }
        self.graph.add(task)?;
        Ok(Handle::named(self.id))
    }
}
