//! Graphs by id: tasks in any order, cycles refused when they would close.

mod agents;
mod error;
mod parts;
mod places;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::durable::{Durable, Volatile};
use crate::journal::{Durability, History};
use crate::orchestrator::StartError;
use crate::task::Task;
use crate::trace::TraceParent;

pub(crate) use agents::Agents;
pub use error::{AddError, Unresolved};
pub(crate) use parts::Parts;
pub(crate) use places::Places;

/// Tasks and who needs whom. Tasks come in any order: a need may name a task that is added later.
///
/// # Examples
/// ```
/// use tidegate_workflow::{Graph, Task, TaskError};
///
/// let noop = |id: &'static str| Task::new(id, async |_| Ok::<(), TaskError>(()));
/// let mut graph = Graph::new();
/// graph.add(noop("report").needs(["fetch", "parse"]))?;
/// graph.add(noop("parse").needs(["fetch"]))?;
/// let refused = graph.add(noop("fetch").needs(["report"])).unwrap_err();
/// assert!(refused.to_string().ends_with("fetch -> report -> fetch"));
/// graph.add(noop("fetch"))?;
/// assert_eq!(graph.len(), 3);
/// # Ok::<(), tidegate_workflow::AddError>(())
/// ```
pub struct Graph<K = Volatile> {
    pub(crate) parts: Parts,
    mark: PhantomData<fn() -> K>,
}

impl<K> fmt::Debug for Graph<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Default for Graph {
    fn default() -> Self {
        Self::empty()
    }
}

impl Graph {
    /// An empty graph, whose run carries on after a failure: what does not need the failed task finishes.
    pub fn new() -> Self {
        Self::empty()
    }

    /// The graph of one task that needs nobody. Who else it names is found when it starts; itself it names in vain.
    pub(crate) fn of(task: Task) -> Result<Self, StartError> {
        if task.arrows().any(|(need, _)| *need == task.id) {
            let (id, needed_by) = (task.id.to_string(), task.id.to_string());
            return Err(StartError::Unresolved(vec![Unresolved { id, needed_by }]));
        }
        let mut graph = Self::empty();
        graph.add(task).expect("it does not need itself, and nobody else is there");
        Ok(graph)
    }
}

impl Graph<Durable> {
    /// An empty graph whose run may have a [`journal`](Self::journal): what its tasks return can be kept, which the compiler
    /// checks. Otherwise as [`Graph::new`].
    pub fn durable() -> Self {
        Self::empty()
    }

    /// Writes its run into a journal, and goes on where `history` ends: what is over is not run again, and its outputs are
    /// there; attempts that failed count. A completion that `durability` says is kept before anything follows from it, and
    /// before anybody is told.
    ///
    /// Tasks that the history does not know are run; a task of the history that is not in the graph is left alone. A task
    /// that was begun and not ended is run again under the same [key](crate::Context::idempotency_key), unless it is to
    /// [commit before it starts](Task::commit_before_start). What is submitted into the run later and is over in the history
    /// is not run either.
    pub fn journal(mut self, history: History, durability: Durability) -> Self {
        self.parts.kept = (durability != Durability::Memory).then_some((history, durability));
        self
    }
}

impl<K> Graph<K> {
    fn empty() -> Self {
        Self { parts: Parts::default(), mark: PhantomData }
    }

    /// The same graph, its mark forgotten.
    pub(crate) fn erase(self) -> Graph {
        Graph { parts: self.parts, mark: PhantomData }
    }

    /// The run stops at the first task that fails for good: what has not started is cancelled, what runs is asked to stop.
    pub fn fail_fast(mut self, fail_fast: bool) -> Self {
        self.parts.fail_fast = fail_fast;
        self
    }

    /// The longest that the run may take. Then what has not started is cancelled, and what runs is asked to stop.
    pub fn timeout(mut self, duration: Duration) -> Self {
        self.parts.timeout = Some(duration);
        self
    }

    /// What its tasks may [`cost`](Task::cost) together, in any unit: cents, tokens.
    pub fn budget(mut self, budget: u64) -> Self {
        self.parts.budget = Some(budget);
        self
    }

    /// Whose run it is. Tenants share the slots by their weights: see [`Builder::tenant`](crate::Builder::tenant).
    pub fn tenant(mut self, name: impl Into<Arc<str>>) -> Self {
        self.parts.tenant = Some(name.into());
        self
    }

    /// Makes the run part of a trace that has begun elsewhere: by the request that the run answers, or by whoever called the
    /// command that it is in. See [`Context::trace_parent`](crate::Context::trace_parent).
    pub fn trace_parent(mut self, parent: TraceParent) -> Self {
        self.parts.trace_parent = Some(Arc::new(parent));
        self
    }

    /// How many tasks were added.
    pub fn len(&self) -> usize {
        self.parts.added
    }

    /// Whether no task was added.
    pub fn is_empty(&self) -> bool {
        self.parts.added == 0
    }

    /// Adds a task.
    ///
    /// # Errors
    /// When a task of this id was added before, or when the task would close a cycle; the graph is then as it was.
    pub fn add(&mut self, task: Task<K>) -> Result<(), AddError> {
        self.parts.add(task)
    }

    pub(crate) fn place_of(&self, id: &str) -> Option<u32> {
        self.parts.place_of(id)
    }
}
