//! What a running attempt sees of its run.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use futures::task::AtomicWaker;
use tidegate_pools::Offload;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::engine::drop_each;
use crate::executor::Executor;
use crate::run::Run;
use crate::task::{DEFAULT_AGENT, Output};
use crate::trace::TraceParent;

/// What an attempt gets: its inputs, its number, the token that tells it to stop, and its run. Cheap to clone.
#[derive(Clone)]
pub struct Context(pub(crate) Arc<Shared>);

/// What an attempt, its handles and the engine share.
pub(crate) struct Shared {
    pub(crate) id: Arc<str>,
    pub(crate) attempt: u32,
    /// How often the task had succeeded when it was to run again.
    generation: u32,
    /// Unless it is the default one: most are, and one count of references for all of them would be every core's.
    agent: Option<Arc<str>>,
    pub(crate) inputs: Vec<(Arc<str>, Option<Output>)>,
    /// The places of the inputs by their ids, once somebody asks for one of many.
    order: OnceLock<Box<[u32]>>,
    pub(crate) run: Run,
    /// Made when somebody asks: most tasks end before anybody does.
    token: OnceLock<CancellationToken>,
    is_stopped: AtomicBool,
    /// Whoever polls the attempt, to be woken when it is to stop.
    waker: AtomicWaker,
    /// When it last told of progress, in nanoseconds of the engine's clock.
    progress: AtomicU64,
    /// For how many runs within its work it waits.
    waits: AtomicUsize,
    /// Whether it was stopped for want of progress.
    idle: AtomicBool,
    /// Where OpenTelemetry has put the attempt, if it is there.
    #[cfg(feature = "otel")]
    trace_parent: Option<Box<TraceParent>>,
}

/// So many inputs are searched one after another.
const FEW: usize = 8;

impl Shared {
    /// What the need of this id returned, if it is one. Many are sorted once, and then searched by halves.
    fn input(&self, id: &str) -> Option<&Option<Output>> {
        let of = |at: u32| &*self.inputs[at as usize].0;
        if self.inputs.len() <= FEW {
            let mut inputs = self.inputs.iter();
            // Mostly it is the very text by which the task has named its need.
            let same = inputs.clone().find(|(need, _)| std::ptr::eq(&**need, id));
            let found = same.or_else(|| inputs.find(|(need, _)| **need == *id));
            return found.map(|(_, output)| output);
        }
        let order = self.order.get_or_init(|| {
            let mut order: Box<[u32]> = (0..).take(self.inputs.len()).collect();
            order.sort_unstable_by_key(|at| of(*at));
            order
        });
        let found = order.binary_search_by_key(&id, |at| of(*at)).ok()?;
        Some(&self.inputs[order[found] as usize].1)
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        let token = self.token.get_or_init(CancellationToken::new);
        if self.is_stopped() {
            token.cancel();
        }
        token
    }

    /// Asks the attempt to stop.
    pub(crate) fn stop(&self) {
        // ORDERING: SeqCst with the load in `is_stopped` and the token's own accesses: either this finds the token that
        //   somebody makes, or who makes it finds the flag.
        self.is_stopped.store(true, Ordering::SeqCst);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
        self.waker.wake();
    }

    /// Whether it was asked to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        // ORDERING: SeqCst; see `stop`. Between `watch` and `stop` the waker orders it: a stop that `watch` comes too late
        //   for is seen here.
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Wakes this waker when the attempt is to stop. Look at [`Self::is_stopped`] afterwards.
    pub(crate) fn watch(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn last_progress(&self) -> Duration {
        // ORDERING: Relaxed; a late look makes a time-out later, never earlier.
        Duration::from_nanos(self.progress.load(Ordering::Relaxed))
    }

    pub(crate) fn made_progress(&self, now: Duration) {
        // ORDERING: Relaxed; see `last_progress`.
        self.progress.store(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// While this is held the attempt waits for others, and is not idle; its end is a sign of life.
    pub(crate) fn wait(&self) -> Waits<'_> {
        // ORDERING: Relaxed; the attempt begins its waiting, and is idle by its own clock alone.
        self.waits.fetch_add(1, Ordering::Relaxed);
        Waits(self)
    }

    /// Whether it waits for runs within its work.
    pub(crate) fn is_waiting(&self) -> bool {
        // ORDERING: Acquire with the release in the drop of `Waits`: who sees the end of the waiting sees its sign of life.
        self.waits.load(Ordering::Acquire) > 0
    }

    pub(crate) fn stop_as_idle(&self) {
        // ORDERING: Relaxed; written and read by the attempt alone.
        self.idle.store(true, Ordering::Relaxed);
        self.stop();
    }

    pub(crate) fn was_idle(&self) -> bool {
        // ORDERING: Relaxed; see `stop_as_idle`.
        self.idle.load(Ordering::Relaxed)
    }
}

impl Drop for Shared {
    /// Of what has been taken back meanwhile, or of a run that is over, these may be the last.
    fn drop(&mut self) {
        drop_each(self.inputs.drain(..));
    }
}

/// See [`Shared::wait`].
pub(crate) struct Waits<'a>(&'a Shared);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.made_progress(self.0.run.of.link.now());
        // ORDERING: Release with the load in `is_waiting`.
        self.0.waits.fetch_sub(1, Ordering::Release);
    }
}

/// What a context is made of, besides the run.
pub(crate) struct Attempt<'a> {
    pub(crate) id: &'a Arc<str>,
    pub(crate) node: u32,
    pub(crate) attempt: u32,
    pub(crate) generation: u32,
    pub(crate) agent: &'a Arc<str>,
    pub(crate) span: &'a Span,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.0.id)
            .field("attempt", &self.0.attempt)
            .finish_non_exhaustive()
    }
}

impl Context {
    pub(crate) fn new(
        of: &Attempt<'_>,
        inputs: impl Iterator<Item = (Arc<str>, Option<Output>)>,
        run: &Run,
    ) -> Self {
        let Attempt { id, node, attempt, generation, agent, span } = of;
        #[cfg(not(feature = "otel"))]
        let _ = span;
        Self(Arc::new(Shared {
            id: Arc::clone(id),
            attempt: *attempt,
            generation: *generation,
            agent: (***agent != *DEFAULT_AGENT).then(|| Arc::clone(agent)),
            inputs: inputs.collect(),
            order: OnceLock::new(),
            run: run.of_task(*node),
            token: OnceLock::new(),
            is_stopped: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            progress: AtomicU64::new(0),
            waits: AtomicUsize::new(0),
            idle: AtomicBool::new(false),
            #[cfg(feature = "otel")]
            trace_parent: TraceParent::of(span).map(Box::new),
        }))
    }

    /// Becomes that of another attempt of the run, unless somebody still has it: then it is left as it is, and `false`.
    pub(crate) fn renew(
        &mut self,
        of: &Attempt<'_>,
        inputs: impl Iterator<Item = (Arc<str>, Option<Output>)>,
    ) -> bool {
        let Some(shared) = Arc::get_mut(&mut self.0) else { return false };
        let Attempt { id, node, attempt, generation, agent, span } = of;
        #[cfg(not(feature = "otel"))]
        let _ = span;
        shared.id.clone_from(id);
        (shared.attempt, shared.generation) = (*attempt, *generation);
        let is_its = |of: &Arc<str>| Arc::ptr_eq(of, agent);
        if !shared.agent.as_ref().is_some_and(is_its) {
            shared.agent = (***agent != *DEFAULT_AGENT).then(|| Arc::clone(agent));
        }
        if !shared.inputs.is_empty() {
            // Of what has been taken back meanwhile this may be the last.
            drop_each(shared.inputs.drain(..));
        }
        shared.inputs.extend(inputs);
        shared.order = OnceLock::new();
        shared.run.by = Some(*node);
        shared.token = OnceLock::new();
        *shared.is_stopped.get_mut() = false;
        shared.waker = AtomicWaker::new();
        *shared.progress.get_mut() = 0;
        *shared.waits.get_mut() = 0;
        *shared.idle.get_mut() = false;
        #[cfg(feature = "otel")]
        {
            shared.trace_parent = TraceParent::of(span).map(Box::new);
        }
        true
    }

    /// Whether its memory is worth keeping for another attempt.
    pub(crate) fn is_small(&self) -> bool {
        self.0.inputs.capacity() <= FEW
    }

    /// The id of the task.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Which attempt this is, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// Within whose limits the attempt runs: of several that [can do it](crate::Task::any_agent) the one that was chosen, or else
    /// the task's own, or [`DEFAULT_AGENT`].
    pub fn agent(&self) -> &str {
        self.0.agent.as_deref().unwrap_or(DEFAULT_AGENT)
    }

    /// The same for every attempt of this task, and for no other task of any orchestrator: with it, an effect outside happens
    /// once, however often the task is tried, if the other side asks for such a key. In a run with a journal it is the same in
    /// every process, and another when the task is run [again](crate::journal::History::again) after it had succeeded. It is
    /// fit for a header or an environment variable: letters, digits and `-._~%/`.
    pub fn idempotency_key(&self) -> String {
        let Shared { id, generation, run, .. } = &*self.0;
        let mut key = match &run.of.name {
            Some(name) => escaped(name),
            None => format!("{:016x}-{}", run.of.link.instance, run.of.id.0),
        };
        key.push('/');
        key.push_str(&escaped(id));
        if *generation > 0 {
            key.push_str(&format!("/{generation}"));
        }
        key
    }

    /// Where the attempt is in a distributed trace, for the `traceparent` of what it calls.
    ///
    /// With the feature `otel` and OpenTelemetry's layer it is the attempt's own span. Otherwise nobody records that span, and
    /// it is what [`Graph::trace_parent`](crate::Graph::trace_parent) was told, so that the caller's trace goes on
    /// beyond us; or else it is made up: one trace for the run, in which each attempt has its place.
    pub fn trace_parent(&self) -> TraceParent {
        let Shared { id, attempt, run, .. } = &*self.0;
        #[cfg(feature = "otel")]
        if let Some(parent) = &self.0.trace_parent {
            return **parent;
        }
        match &run.of.trace_parent {
            Some(parent) => **parent,
            None => TraceParent::made_up(run.of.link.instance, run.of.id.0, id, *attempt),
        }
    }

    /// Cancelled when the attempt is to stop: by its time-out, by a cancellation, or because the run failed. An attempt that
    /// has not ended after its grace period is dropped.
    pub fn token(&self) -> &CancellationToken {
        self.0.token()
    }

    /// A sign of life, which puts off the [`idle_timeout`](crate::Task::idle_timeout). Costs a few nanoseconds.
    pub fn progress(&self) {
        self.0.made_progress(self.0.run.of.link.now());
    }

    /// The run it belongs to, to submit further tasks.
    pub fn run(&self) -> &Run {
        &self.0.run
    }

    pub(crate) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.0.id)
    }

    pub(crate) fn executor(&self) -> Option<Arc<dyn Executor>> {
        self.0.run.of.link.executor.clone()
    }

    pub(crate) fn pools(&self) -> io::Result<Arc<Offload>> {
        self.0.run.of.link.pools.get()
    }

    /// The first of these outputs that is there.
    ///
    /// # Errors
    /// When none is, as [`input`](Self::input) says of the last.
    pub fn first_input<T: Send + Sync + 'static>(
        &self,
        ids: &[&str],
    ) -> Result<Arc<T>, InputError> {
        let mut last = InputError { task: String::new(), why: Missing::NotANeed };
        for id in ids {
            match self.input(id) {
                Ok(output) => return Ok(output),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The output of a task that this one needs or wants.
    ///
    /// # Errors
    /// When the task is not among the needs, did not succeed, or returned another type.
    pub fn input<T: Send + Sync + 'static>(&self, id: &str) -> Result<Arc<T>, InputError> {
        let not_a_need = || InputError { task: id.to_owned(), why: Missing::NotANeed };
        typed(id, self.0.input(id).ok_or_else(not_a_need)?)
    }

    /// The outputs of all that this task comes after: of what it needs, then of what it wants, each in the order in which they
    /// are named, and then of what was placed before it in the live run.
    ///
    /// # Errors
    /// Each as of [`input`](Self::input).
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Context, Graph, Orchestrator, Task, TaskError};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// for page in 1..=3_u64 {
    ///     let read = move |_| async move { Ok::<u64, TaskError>(100 * page) };
    ///     graph.add(Task::new(format!("page {page}"), read))?;
    /// }
    /// let sum = async |cx: Context| {
    ///     let words: Vec<_> = cx.inputs::<u64>().collect::<Result<_, _>>()?;
    ///     Ok::<u64, TaskError>(words.iter().map(|words| **words).sum())
    /// };
    /// graph.add(Task::new("words", sum).needs((1..=3).map(|page| format!("page {page}"))))?;
    /// let finished = Orchestrator::builder().build()?.run(graph).await?;
    /// assert_eq!(*finished.output::<u64>("words")?, 600);
    /// # Ok(()) }
    /// ```
    pub fn inputs<T: Send + Sync + 'static>(
        &self,
    ) -> impl ExactSizeIterator<Item = Result<Arc<T>, InputError>> {
        self.0.inputs.iter().map(|(id, output)| typed(id, output))
    }
}

/// An output as who reads it wants it.
fn typed<T: Send + Sync + 'static>(
    id: &str,
    output: &Option<Output>,
) -> Result<Arc<T>, InputError> {
    let error = |why| InputError { task: id.to_owned(), why };
    let output = output.clone().ok_or_else(|| error(Missing::DidNotSucceed))?;
    output.downcast().map_err(|_| error(Missing::OtherType { wanted: std::any::type_name::<T>() }))
}

/// Percent-encoded, but for what RFC 3986 leaves as it is.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Why an input, or what a run's task returned, cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// The task whose output was asked for.
    pub task: String,
    /// What stands in the way.
    pub why: Missing,
}

/// What stands between a task and an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The task that asks does not name it in its needs.
    NotANeed,
    /// It is wanted, and it failed, was skipped or cancelled.
    DidNotSucceed,
    /// It returned a value of another type.
    OtherType {
        /// The type that was asked for.
        wanted: &'static str,
    },
    /// The run that is over had no such task.
    NoTask {
        /// A task that may have been meant.
        nearest: Option<String>,
    },
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, why } = self;
        match why {
            Missing::NotANeed => write!(f, "no input `{task}`: add it with `needs` or `wants`"),
            Missing::DidNotSucceed => write!(f, "no output of `{task}`: it did not succeed"),
            Missing::OtherType { wanted } => write!(f, "the output of `{task}` is no `{wanted}`"),
            Missing::NoTask { nearest } => {
                write!(f, "no task `{task}` was in the run")?;
                nearest.iter().try_for_each(|nearest| write!(f, "; did you mean `{nearest}`?"))
            }
        }
    }
}

impl std::error::Error for InputError {}

#[cfg(test)]
mod tests;
