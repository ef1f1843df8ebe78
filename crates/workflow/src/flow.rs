//! Stages that work on items while the stages before them still produce: bounded buffers between, tasks for the items.
//!
//! ```text
//! source ──buffer──▶ stage: at most so many tasks at once ──buffer──▶ … ──buffer──▶ consumer
//! ```
//! 1. Each item is in one place: a buffer, a task, or a finished result that waits for those before it. A place that is full
//!    holds up the one before it, back to the source.
//! 2. Items leave a stage in the order in which they entered it.
//! 3. Whoever fails stops all others; the flow ends when all that ran has ended.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use futures::stream::{FuturesOrdered, FuturesUnordered};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::sub::SubError;
use crate::task::{Task, TaskError};

/// How a part of a flow ended; without an error of its own it was stopped by another.
type End = Result<(), Option<TaskError>>;

type Part = Pin<Box<dyn Future<Output = End> + Send>>;

/// What the parts of a flow share while it runs.
#[derive(Clone)]
struct Scope {
    context: Context,
    stop: CancellationToken,
}

/// A source and stages behind it, which [`run`](Self::run) sets going inside a task.
///
/// # Examples
/// ```
/// use tidegate_workflow::{Flow, Graph, Orchestrator, Task, TaskError};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut graph = Graph::new();
/// let total = graph.task("total").run_with(async |cx, ()| {
///     let flow = Flow::source(4, async |sink| {
///         for page in 1..=100_u64 {
///             sink.send(page).await?; // waits while four pages wait to be read
///         }
///         Ok(())
///     });
///     let flow = flow.stage::<u64, _>("double", 2, 4, |page| {
///         Task::new("double", move |_| async move { Ok::<_, TaskError>(2 * page) }).agent("reader")
///     });
///     let mut total = 0;
///     flow.run(&cx, |page| { total += *page; Ok(()) }).await?;
///     Ok(total)
/// })?;
/// let finished = Orchestrator::builder().build()?.run(graph).await?;
/// assert_eq!(*finished.get(&total)?, 10_100);
/// # Ok(()) }
/// ```
#[must_use = "nothing flows before `run`"]
pub struct Flow<T> {
    parts: Vec<Box<dyn FnOnce(Scope) -> Part + Send>>,
    output: mpsc::Receiver<T>,
    /// How many items were put into the last buffer.
    sent: Arc<AtomicUsize>,
    watch: FlowWatch,
}

impl<T> fmt::Debug for Flow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("watch", &self.watch).finish_non_exhaustive()
    }
}

/// Where the source of a flow puts its items.
#[derive(Debug)]
pub struct Sink<T> {
    buffer: mpsc::Sender<T>,
    sent: Arc<AtomicUsize>,
}

impl<T: Send> Sink<T> {
    /// Hands an item on, as soon as the buffer has room.
    ///
    /// # Errors
    /// When the flow has failed: nobody takes items any more.
    ///
    /// # Cancel safety
    /// If the future is dropped, the item is not handed on.
    pub async fn send(&self, item: T) -> Result<(), SubError> {
        put(&self.buffer, &self.sent, item).await
    }
}

/// What a channel can be made with.
fn room(buffer: usize) -> usize {
    buffer.clamp(1, Semaphore::MAX_PERMITS)
}

async fn put<T>(buffer: &mpsc::Sender<T>, sent: &AtomicUsize, item: T) -> Result<(), SubError> {
    let room = buffer.reserve().await.map_err(|_| SubError::Stopped)?;
    // ORDERING: Relaxed; figures for people. Counted before it can be taken, so that no stage seems to hold less than nothing.
    sent.fetch_add(1, Ordering::Relaxed);
    room.send(item);
    Ok(())
}

impl<T: Send + 'static> Flow<T> {
    /// What `produce` puts into its sink, of which at most `buffer` items wait for the first stage. It runs in the task's own
    /// attempt, and is dropped when the flow fails.
    pub fn source<F, Fut>(buffer: usize, produce: F) -> Self
    where
        F: FnOnce(Sink<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let (sender, output) = mpsc::channel(room(buffer));
        let sent = Arc::new(AtomicUsize::new(0));
        let sink = Sink { buffer: sender, sent: Arc::clone(&sent) };
        let part = move |scope: Scope| -> Part {
            let producing = produce(sink);
            Box::pin(async move {
                tokio::select! {
                    // First: a source that finds its buffer closed tells of it, and not of why.
                    biased;
                    () = scope.stop.cancelled() => Err(None),
                    produced = producing => produced.map_err(Some),
                }
            })
        };
        let watch =
            FlowWatch { source: Arc::clone(&sent), stages: Vec::new(), used: Arc::default() };
        Self { parts: vec![Box::new(part)], output, sent, watch }
    }

    /// A stage: `task` makes a task of each item, as [`Context::sub_task`] runs it, at most `at_once` at a time besides all
    /// other limits; of what they return at most `buffer` wait for the next stage. What is done waits in its place for what
    /// entered before it. A [durable](Task::durable) task (`.into()` makes a `Task` of it) is kept as `sub_task` says.
    pub fn stage<U, F>(
        self,
        name: impl Into<Arc<str>>,
        at_once: usize,
        buffer: usize,
        task: F,
    ) -> Flow<Arc<U>>
    where
        U: Send + Sync + 'static,
        F: Fn(T) -> Task + Send + 'static,
    {
        let Self { mut parts, output: input, sent: entered, mut watch } = self;
        let (sender, output) = mpsc::channel(room(buffer));
        let (taken, sent) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = Counts {
            name: name.into(),
            entered,
            taken: Arc::clone(&taken),
            left: Arc::clone(&sent),
        };
        let to = Sink { buffer: sender, sent: Arc::clone(&sent) };
        parts.push(Box::new(move |scope| {
            Box::pin(work(scope, input, to, taken, at_once.max(1), task))
        }));
        watch.stages.push(counts);
        Flow { parts, output, sent, watch }
    }

    /// A handle that says how many items are where, also while the flow runs.
    pub fn watch(&self) -> FlowWatch {
        self.watch.clone()
    }

    /// Sets everything going and gives each item that has passed the last stage to `consume`, in order. Returns when the source
    /// has ended and every item is consumed, or when something has failed and all that ran has ended. Source and consumer, and what the
    /// attempt does afterwards, are under no limit, as after a [`sub_graph`](Context::sub_graph); the tasks of the stages are.
    ///
    /// # Errors
    /// The first failure of source, stage or consumer; or that the attempt is to stop.
    ///
    /// # Cancel safety
    /// Dropping the future stops everything.
    pub async fn run(
        self,
        context: &Context,
        mut consume: impl FnMut(T) -> Result<(), TaskError> + Send,
    ) -> Result<(), TaskError> {
        let Self { parts, mut output, watch, .. } = self;
        let stop = CancellationToken::new();
        let scope = Scope { context: context.clone(), stop: stop.clone() };
        let consumer: Pin<Box<dyn Future<Output = End> + Send + '_>> = Box::pin(async {
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Err(None),
                    item = output.recv() => match item {
                        Some(item) => {
                            // ORDERING: Relaxed; a figure for people.
                            watch.used.fetch_add(1, Ordering::Relaxed);
                            consume(item).map_err(Some)?;
                        }
                        None => return Ok(()),
                    }
                }
            }
        });
        let mut all: FuturesUnordered<_> = parts
            .into_iter()
            .map(|part| -> Pin<Box<dyn Future<Output = End> + Send + '_>> { part(scope.clone()) })
            .chain([consumer])
            .collect();
        let (mut first, mut is_stopped) = (None, false);
        loop {
            tokio::select! {
                ended = all.next() => match ended {
                    None => break,
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        is_stopped = true;
                        first = first.or(error);
                        stop.cancel();
                    }
                },
                () = context.token().cancelled(), if !stop.is_cancelled() => stop.cancel(),
            }
        }
        match first {
            Some(error) => Err(error),
            None if is_stopped => Err(SubError::Stopped.into()),
            None => Ok(()),
        }
    }
}

/// One stage at work.
async fn work<T, U: Send + Sync + 'static>(
    scope: Scope,
    mut input: mpsc::Receiver<T>,
    to: Sink<Arc<U>>,
    taken: Arc<AtomicUsize>,
    at_once: usize,
    task: impl Fn(T) -> Task,
) -> End {
    let Scope { context, stop } = &scope;
    let mut running = FuturesOrdered::new();
    let mut is_open = true;
    let result = loop {
        if !is_open && running.is_empty() {
            break Ok(());
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break Err(None),
            Some(done) = running.next(), if !running.is_empty() => {
                let value = match done {
                    Ok(value) => value,
                    Err(SubError::Stopped) => break Err(None),
                    Err(error) => break Err(Some(TaskError::from(error))),
                };
                let handed_on = tokio::select! {
                    sent = to.send(value) => sent.is_ok(),
                    () = stop.cancelled() => false,
                };
                if !handed_on {
                    break Err(None);
                }
            }
            item = input.recv(), if is_open && running.len() < at_once => match item {
                Some(item) => {
                    // ORDERING: Relaxed; a figure for people.
                    taken.fetch_add(1, Ordering::Relaxed);
                    running.push_back(context.task_within::<U>(task(item), stop));
                }
                None => is_open = false,
            },
        }
    };
    if result.is_err() {
        stop.cancel();
        // They have been told to stop.
        while running.next().await.is_some() {}
    }
    result
}

#[derive(Debug, Clone)]
struct Counts {
    name: Arc<str>,
    entered: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
    left: Arc<AtomicUsize>,
}

/// Says how many items of a flow are where. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FlowWatch {
    source: Arc<AtomicUsize>,
    stages: Vec<Counts>,
    used: Arc<AtomicUsize>,
}

/// What a stage has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageView {
    /// Its name.
    pub name: Arc<str>,
    /// How many items wait in the buffer before it.
    pub waiting: usize,
    /// How many it works on, those among them that are done and wait for others or for room.
    pub working: usize,
    /// How many have left it.
    pub done: usize,
}

impl FlowWatch {
    /// The stages in their order. The figures of one look are close together, and of one moment when nothing moves.
    pub fn stages(&self) -> Vec<StageView> {
        // ORDERING: Relaxed; figures for people. Read from the end, so that none is ahead of the one before it by much.
        let view = |counts: &Counts| {
            let done = counts.left.load(Ordering::Relaxed);
            let taken = counts.taken.load(Ordering::Relaxed);
            let entered = counts.entered.load(Ordering::Relaxed);
            StageView {
                name: Arc::clone(&counts.name),
                waiting: entered.saturating_sub(taken),
                working: taken.saturating_sub(done),
                done,
            }
        };
        self.stages.iter().map(view).collect()
    }

    /// How many items the source has handed on that are not consumed.
    pub fn in_flight(&self) -> usize {
        // ORDERING: Relaxed; as above.
        let used = self.used.load(Ordering::Relaxed);
        self.source.load(Ordering::Relaxed).saturating_sub(used)
    }
}
