//! Items of many tasks, gathered and done by few tasks of one agent.

use std::fmt;
use std::sync::Arc;

use tidegate_pools::{Batcher, BatcherBuilder};
use tokio::sync::oneshot;

use crate::context::Context;
use crate::engine::{Command, Link};
use crate::graph::Graph;
use crate::orchestrator::{Orchestrator, StartError, check};
use crate::sub::{SubError, Within, output};
use crate::task::{Task, TaskError};

/// Gathers items by number and delay, and has each batch done by a task; made by [`Orchestrator::batch`].
pub struct Batch<I, O> {
    batcher: Batcher<I, Result<O, SubError>>,
}

impl<I, O> fmt::Debug for Batch<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}

impl Orchestrator {
    /// Gathers what tasks want of one agent, so that it is asked seldom and for much. `task` makes the task that does a batch:
    /// with the agent, its time-out and retries; it returns as many results as it got items, in their order. It is run under
    /// all limits, as a run of its own.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use tidegate_workflow::pools::Batcher;
    /// use tidegate_workflow::{Batch, Graph, Orchestrator, Task, TaskError};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let orchestrator = Orchestrator::builder().limit(4).agent("embedder", 1).build()?;
    /// let settings = Batcher::builder().max_items(32).max_delay(Duration::from_millis(5));
    /// let embed: Arc<Batch<String, usize>> = Arc::new(orchestrator.batch(settings, |texts: Vec<String>| {
    ///     let lengths: Vec<usize> = texts.iter().map(String::len).collect();
    ///     Task::new("embed", move |_| std::future::ready(Ok::<_, TaskError>(lengths.clone()))).agent("embedder")
    /// }));
    /// let mut graph = Graph::new();
    /// let mut lengths = Vec::new();
    /// for page in 0..20 {
    ///     let embed = Arc::clone(&embed);
    ///     lengths.push(graph.task(format!("page {page}")).run_with(move |cx, ()| {
    ///         let embed = Arc::clone(&embed);
    ///         async move { embed.call(&cx, format!("text {page}")).await }
    ///     })?);
    /// }
    /// let finished = orchestrator.run(graph).await?;
    /// assert_eq!(*finished.get(&lengths[12])?, "text 12".len());
    /// assert!(embed.batches() < 20);
    /// # Ok(()) }
    /// ```
    pub fn batch<I, O, F>(&self, settings: BatcherBuilder, task: F) -> Batch<I, O>
    where
        I: Send + 'static,
        O: Send + Sync + 'static,
        F: Fn(Vec<I>) -> Task + Send + Sync + 'static,
    {
        let link = Arc::clone(&self.link);
        let batcher = settings.start(move |items: Vec<I>| {
            let count = items.len();
            let done = done(Arc::clone(&link), Graph::of(task(items)));
            async move {
                match done.await {
                    Ok(values) => values.into_iter().map(Ok).collect(),
                    Err(error) => vec![error; count].into_iter().map(Err).collect(),
                }
            }
        });
        Batch { batcher }
    }
}

/// What the task of a batch returned.
async fn done<O: Send + Sync + 'static>(
    link: Arc<Link>,
    graph: Result<Graph, StartError>,
) -> Result<Vec<O>, SubError> {
    let graph = graph.map_err(SubError::Start)?;
    check(&graph, &link).map_err(SubError::Start)?;
    let (reply, answer) = oneshot::channel();
    let command = Command::StartWithin {
        parent: None,
        graph: Box::new(graph),
        item: None,
        name: None,
        reply,
    };
    link.send(command).map_err(|_| SubError::Stopped)?;
    let Ok(Some(Within::Running(running, _))) = answer.await else { return Err(SubError::Stopped) };
    let finished = running.wait().await.map_err(|_| SubError::Stopped)?;
    let wanted = std::any::type_name::<Vec<O>>();
    let values = output(finished)?.downcast().map_err(|_| SubError::OtherType { wanted })?;
    // Nobody else has the output of a run that is over.
    Arc::try_unwrap(values).map_err(|_| SubError::Stopped)
}

impl<I: Send + 'static, O: Send + Sync + 'static> Batch<I, O> {
    /// What becomes of one item. The attempt gives back its slot and all else that it holds, and does not get it back.
    ///
    /// # Errors
    /// When the task of its batch did not succeed, or returned another number of results than it got items; or when the attempt
    /// is to stop: its item leaves the batch then, unless the batch has left.
    ///
    /// # Cancel safety
    /// Dropping the future takes the item out of its batch, unless the batch has left.
    pub async fn call(&self, context: &Context, item: I) -> Result<O, TaskError> {
        context.park();
        let _waits = context.0.wait();
        tokio::select! {
            biased;
            () = context.token().cancelled() => Err(SubError::Stopped.into()),
            done = self.batcher.call(item) => Ok(done??),
        }
    }

    /// How many batches have left by now.
    pub fn batches(&self) -> u64 {
        self.batcher.stats().batches
    }
}
