//! Tasks as a part of a task's work: sub-graphs, and maps over what is known only at run time.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::durable::Codec;
use crate::engine::{Asker, Command, Known, Restored, drop_contained, version_at};
use crate::event::Outcome;
use crate::graph::Graph;
use crate::machine::{End, Past};
use crate::orchestrator::{StartError, check};
use crate::run::{Finished, Running, SubmitError};
use crate::task::{Extras, Output, Task, TaskError};

impl Context {
    /// Runs a graph as a part of this task, and returns when it is over. It is a run of its own, under all limits; what its
    /// tasks cost is paid from the budgets of this task's run, too, and it is of the same tenant.
    ///
    /// With the first call this attempt gives back its slot and all else that it holds, so that tasks within tasks never wait
    /// for each other's slots; whatever it does afterwards is under no limit. When the attempt is to stop, the graph is
    /// cancelled and what of it runs is asked to stop. A retry or a rerun of this task starts from nothing.
    ///
    /// In a run with a journal what the graph's [durable](Task::durable) tasks returned is kept, each before anything follows
    /// from it, and another process that takes the attempt up does not run them again, as [`sub_task`](Self::sub_task) says.
    /// A task that needs others than it did is another one.
    ///
    /// # Errors
    /// When a need names no task of the graph or a task could never start, or when the attempt is to stop. That a task failed
    /// is no error here: the report says so.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the graph's run.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Graph, Orchestrator};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// let text = graph.task("text").run(async |()| Ok("to be or not to be".to_owned()))?;
    /// let mean = graph.task("mean").after(&text).run_with(async |cx, text| {
    ///     let mut inner = Graph::new();
    ///     let text = inner.task("text").run(move |()| { let text = text.clone(); async move { Ok(text) } })?;
    ///     let words = inner.task("words").after(&text).run(async |text| Ok(text.split(' ').count()))?;
    ///     let letters = inner.task("letters").after(&text).run(async |text| Ok(text.len()))?;
    ///     let finished = cx.sub_graph(inner).await?;
    ///     Ok(*finished.get(&letters)? / *finished.get(&words)?)
    /// })?;
    /// // One slot is enough: who waits for others holds none.
    /// let finished = Orchestrator::builder().limit(1).build()?.run(graph).await?;
    /// assert_eq!(*finished.get(&mean)?, 3);
    /// # Ok(()) }
    /// ```
    pub async fn sub_graph<K>(&self, graph: Graph<K>) -> Result<Finished, SubError> {
        let mut graph = graph.erase();
        let name = self.recall(&mut graph).await?;
        match self.start_within(graph, None, name).await? {
            Within::Running(running, _) => {
                self.finish_within(running, &CancellationToken::new()).await
            }
            Within::Kept(_) => Err(SubError::Stopped),
        }
    }

    /// Takes over what the run's journal knows of a graph's tasks, and has the others kept when they are done; what their keys
    /// begin with, if there are such.
    async fn recall(&self, graph: &mut Graph) -> Result<Option<Arc<str>>, SubError> {
        let tasks = (0_u32..).zip(graph.parts.tasks.iter());
        let mut kept: Vec<(u32, Item)> = tasks
            .filter_map(|(at, of)| Some((at, Item::of(&of.id, of.extras.as_deref(), self)?)))
            .collect();
        if kept.is_empty() {
            return Ok(None);
        }
        for (at, item) in &mut kept {
            item.version = version_at(graph, *at);
        }
        // The first stands for the graph, so that graphs of one attempt differ.
        let of_graph = (Arc::from(""), 0);
        let items = kept.iter().map(|(_, item)| (Arc::clone(&item.id), item.version));
        let items = [of_graph].into_iter().chain(items).collect();
        let (reply, answer) = oneshot::channel();
        let command = Command::Recall { by: self.asker(), items, reply };
        self.run().of.link.send(command).map_err(|_| SubError::Stopped)?;
        let mut known = answer.await.map_err(|_| SubError::Stopped)?.into_iter();
        let Some(Known::New(graphs)) = known.next() else { return Ok(None) };
        for ((at, item), known) in kept.into_iter().zip(known) {
            match known {
                Known::Done(kept) => {
                    let output = Some(item.read(&kept)?);
                    let (past, outcome) = (Past::Over(End::Succeeded), Outcome::Succeeded);
                    let (past, outcome) = (Some(past), Some(outcome));
                    let done =
                        Restored { past, outcome, output, attempts: 1, ..Restored::default() };
                    graph.parts.past.push((at, done));
                }
                Known::New(nth) => self.keep_when_done(graph, at, item, nth),
            }
        }
        graph.parts.past.sort_by_key(|(at, _)| *at);
        graph.parts.past.dedup_by_key(|(at, _)| *at);
        Ok(Some(format!("{}#g{graphs}", self.idempotency_key()).into()))
    }

    /// Nothing follows from the task's end before its output is kept.
    fn keep_when_done(&self, graph: &mut Graph, at: u32, item: Item, nth: u32) {
        let (outer, item) = (self.clone(), Arc::new(item));
        graph.parts.tasks[at].wrap(move |attempt| {
            let (outer, item) = (outer.clone(), Arc::clone(&item));
            async move {
                let output = attempt.await?;
                let kept = outer.keep_item(&item, nth, output).await;
                kept.map_err(|error| match error {
                    SubError::Failed { outcome: Outcome::Failed { error }, .. } => {
                        TaskError::fatal(error)
                    }
                    error => TaskError::fatal(error),
                })
            }
        });
    }

    /// Runs a task as a part of this one, as [`sub_graph`](Self::sub_graph) does, and gives what it returned. It needs
    /// nobody. What the attempt does afterwards is under no limit, as there: put work that has to be limited into tasks.
    ///
    /// In a run with a journal what a [durable](Task::durable) task returned is kept before this returns. When another process
    /// takes the attempt up, or a cancelled run goes on, it is not run again: it is known by its id and version and, if the
    /// attempt runs several of one id, by which of them it is. What has cost something has cost it once. Its
    /// [key](Self::idempotency_key) is the same each time.
    ///
    /// # Errors
    /// When it did not succeed, or returned another type; and those of `sub_graph`.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the task.
    pub async fn sub_task<T: Send + Sync + 'static>(
        &self,
        task: impl Into<Task>,
    ) -> Result<Arc<T>, SubError> {
        self.task_within(task.into(), &CancellationToken::new()).await
    }

    /// Runs a task for each item as a part of this one, at most `at_once` of them at a time besides all other limits, and
    /// gives what they returned in the order of the items. It ends with the first failure: what has not started never will,
    /// and what runs is asked to stop, and has ended when this returns.
    ///
    /// The items are taken one by one as there is room. Ids need not differ. What the attempt itself does afterwards is under no
    /// limit, as after a [`sub_graph`](Self::sub_graph).
    ///
    /// Of durable tasks those that are done are kept as [`sub_task`](Self::sub_task) says: a map that is killed goes on with
    /// what it had not done.
    ///
    /// # Errors
    /// The first failure; otherwise as [`sub_graph`](Self::sub_graph).
    ///
    /// # Cancel safety
    /// Dropping the future cancels what runs.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Graph, Orchestrator, Task, TaskError};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// let pages = graph.task("pages").run(async |()| Ok(vec!["one", "two", "three"]))?;
    /// let lengths = graph.task("lengths").after(&pages).run_with(async |cx, pages| {
    ///     let mut tasks = Vec::new();
    ///     for page in pages.iter().copied() {
    ///         let length = move |_| async move { Ok::<_, TaskError>(page.len()) };
    ///         tasks.push(Task::new(page, length).agent("reader"));
    ///     }
    ///     Ok(cx.map::<usize>(2, tasks).await?)
    /// })?;
    /// let finished = Orchestrator::builder().build()?.run(graph).await?;
    /// let lengths: Vec<usize> = finished.get(&lengths)?.iter().map(|length| **length).collect();
    /// assert_eq!(lengths, [3, 3, 5]);
    /// # Ok(()) }
    /// ```
    pub async fn map<T: Send + Sync + 'static>(
        &self,
        at_once: usize,
        tasks: impl IntoIterator<Item = impl Into<Task>>,
    ) -> Result<Vec<Arc<T>>, SubError> {
        let results = self.each(at_once, tasks, true).await;
        let mut first = None;
        let mut values = Vec::with_capacity(results.len());
        for result in results {
            match result {
                Ok(value) => values.push(value),
                // What the failure has stopped says less than the failure.
                Err(error) if first.is_none() || error.is_failure() => {
                    first = first.filter(SubError::is_failure).or(Some(error));
                }
                Err(_) => {}
            }
        }
        first.map_or(Ok(values), Err)
    }

    /// As [`map`](Self::map), in its limits too, but goes on after failures, and says of each item what became of it.
    ///
    /// # Cancel safety
    /// Dropping the future cancels what runs.
    pub async fn map_all<T: Send + Sync + 'static>(
        &self,
        at_once: usize,
        tasks: impl IntoIterator<Item = impl Into<Task>>,
    ) -> Vec<Result<Arc<T>, SubError>> {
        self.each(at_once, tasks, false).await
    }

    async fn each<T: Send + Sync + 'static>(
        &self,
        at_once: usize,
        tasks: impl IntoIterator<Item = impl Into<Task>>,
        stops: bool,
    ) -> Vec<Result<Arc<T>, SubError>> {
        let stop = CancellationToken::new();
        let mut tasks = tasks.into_iter();
        let mut running = FuturesUnordered::new();
        let mut results = Vec::new();
        loop {
            while running.len() < at_once.max(1) && !stop.is_cancelled() {
                let Some(task) = tasks.next().map(Into::into) else { break };
                let at = results.len();
                results.push(Err(SubError::Stopped));
                let stop = &stop;
                running.push(async move { (at, self.task_within(task, stop).await) });
            }
            let Some((at, result)) = running.next().await else { return results };
            if stops && result.is_err() {
                stop.cancel();
            }
            results[at] = result;
        }
    }

    pub(crate) async fn task_within<T: Send + Sync + 'static>(
        &self,
        task: Task,
        stop: &CancellationToken,
    ) -> Result<Arc<T>, SubError> {
        let item = Item::of(&task.id, task.extras.as_deref(), self);
        let graph = Graph::of(task).map_err(SubError::Start)?;
        let output = match self.start_within(graph, item.as_ref(), None).await? {
            Within::Running(running, nth) => {
                let output = output(self.finish_within(running, stop).await?)?;
                match item {
                    Some(item) => self.keep_item(&item, nth, output).await?,
                    None => output,
                }
            }
            Within::Kept(kept) => item.ok_or(SubError::Stopped)?.read(&kept)?,
        };
        output.downcast().map_err(|_| SubError::OtherType { wanted: std::any::type_name::<T>() })
    }

    /// Returns once the item's output is as safe as the run's journal is to be.
    async fn keep_item(&self, item: &Item, nth: u32, output: Output) -> Result<Output, SubError> {
        let failed = |error: String| SubError::Failed {
            task: Arc::clone(&item.id),
            outcome: Outcome::Failed { error },
        };
        let cannot = |why: String| failed(format!("its output cannot be kept: {why}"));
        let encoded = match catch_unwind(AssertUnwindSafe(|| (item.codec.encode)(&*output))) {
            Ok(encoded) => encoded.map_err(cannot)?,
            Err(panic) => {
                drop_contained(panic);
                return Err(cannot("encoding it panicked".to_owned()));
            }
        };
        let (reply, answer) = oneshot::channel();
        let command = Command::KeepItem {
            by: self.asker(),
            item: ItemDone {
                id: Arc::clone(&item.id),
                nth,
                version: item.version,
                cost: item.cost,
                encoded,
            },
            reply,
        };
        self.run().of.link.send(command).map_err(|_| SubError::Stopped)?;
        match answer.await {
            Ok(Ok(())) => Ok(output),
            Ok(Err(SubmitError::Journal { why, .. })) => Err(cannot(why)),
            Ok(Err(SubmitError::Stopped(why))) => Err(failed(why.to_string())),
            // The attempt that has asked for it is not there any more.
            Ok(Err(_)) | Err(_) => Err(SubError::Stopped),
        }
    }

    async fn start_within(
        &self,
        mut graph: Graph,
        item: Option<&Item>,
        name: Option<Arc<str>>,
    ) -> Result<Within, SubError> {
        let link = &self.run().of.link;
        check(&graph, link).map_err(SubError::Start)?;
        // Its run is in the trace where the attempt is, and its span in the attempt's.
        graph.parts.trace_parent.get_or_insert_with(|| Arc::new(self.trace_parent()));
        graph.parts.span = tracing::info_span!("run", tasks = graph.len());
        let (reply, answer) = oneshot::channel();
        let parent = Some(self.asker());
        let item = item.map(|item| (Arc::clone(&item.id), item.version, self.idempotency_key()));
        let command = Command::StartWithin { parent, graph: Box::new(graph), item, name, reply };
        link.send(command).map_err(|_| SubError::Stopped)?;
        answer.await.ok().flatten().ok_or(SubError::Stopped)
    }

    async fn finish_within(
        &self,
        mut running: Running,
        stop: &CancellationToken,
    ) -> Result<Finished, SubError> {
        let _waits = self.0.wait();
        tokio::select! {
            biased;
            finished = &mut running.done => return finished.ok().and_then(Result::ok).ok_or(SubError::Stopped),
            () = self.token().cancelled() => {}
            () = stop.cancelled() => {}
        }
        running.cancel();
        running.wait().await.map_err(|_| SubError::Stopped)
    }

    /// Gives back the slot of this attempt and all else that it holds.
    pub(crate) fn park(&self) {
        let _ = self.run().of.link.send(Command::Park(self.asker()));
    }

    /// In whose name it asks the engine for something.
    fn asker(&self) -> Asker {
        let (run, task) = (self.run().of.id, self.shared_id());
        Asker { run, task, attempt: self.attempt() }
    }
}

/// What has become of a run within the work of a task.
pub(crate) enum Within {
    /// It runs; an item is the how-manieth of its id, from 0.
    Running(Running, u32),
    /// It had run before: the output as the journal keeps it.
    Kept(Vec<u8>),
}

/// A task whose output is to be kept.
struct Item {
    id: Arc<str>,
    version: u64,
    cost: u32,
    codec: Codec,
}

/// The same when it is done.
pub(crate) struct ItemDone {
    pub(crate) id: Arc<str>,
    pub(crate) nth: u32,
    pub(crate) version: u64,
    pub(crate) cost: u32,
    pub(crate) encoded: Vec<u8>,
}

impl Item {
    /// If the task is durable and the run has a journal.
    fn of(id: &Arc<str>, extras: Option<&Extras>, context: &Context) -> Option<Self> {
        let extras = extras.filter(|_| context.run().of.name.is_some())?;
        let (version, cost, codec) = (extras.version, extras.cost, extras.codec?);
        Some(Self { id: Arc::clone(id), version, cost, codec })
    }

    fn read(&self, kept: &[u8]) -> Result<Output, SubError> {
        (self.codec.decode)(kept).map_err(|why| {
            let error = format!("what was kept of its output cannot be read: {why}");
            SubError::Failed { task: Arc::clone(&self.id), outcome: Outcome::Failed { error } }
        })
    }
}

/// What the only task of a run returned.
pub(crate) fn output(finished: Finished) -> Result<Output, SubError> {
    match finished.first_failure() {
        None => finished.output_at(0).ok_or(SubError::Stopped),
        Some((_, Outcome::Cancelled)) => Err(SubError::Stopped),
        Some((task, outcome)) => Err(SubError::Failed { task, outcome }),
    }
}

/// Why a task within a task has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubError {
    /// It cannot be run.
    Start(StartError),
    /// It did not succeed.
    Failed {
        /// Its id.
        task: Arc<str>,
        /// How it ended.
        outcome: Outcome,
    },
    /// It returned a value of another type.
    OtherType {
        /// The type that was asked for.
        wanted: &'static str,
    },
    /// The attempt that asks for it is to stop, or another item has failed.
    Stopped,
}

impl SubError {
    fn is_failure(&self) -> bool {
        *self != Self::Stopped
    }
}

impl fmt::Display for SubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(why) => why.fmt(f),
            Self::Failed { task, outcome: Outcome::Failed { error } } => {
                write!(f, "task `{task}` failed: {error}")
            }
            Self::Failed { task, outcome: Outcome::TimedOut } => {
                write!(f, "task `{task}` timed out")
            }
            Self::Failed { task, .. } => write!(f, "task `{task}` did not succeed"),
            Self::OtherType { wanted } => write!(f, "the task returned no `{wanted}`"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for SubError {}
