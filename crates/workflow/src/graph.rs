//! Graphs by id: tasks in any order, cycles refused when they would close.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashTable;
use tracing::Span;

use crate::chunks::Chunks;
use crate::durable::{Durable, Volatile};
use crate::engine::Restored;
use crate::journal::{Durability, History};
use crate::machine::Need;
use crate::task::Task;
use crate::trace::TraceParent;

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
#[derive(Debug)]
pub struct Graph<K = Volatile> {
    pub(crate) places: Places,
    pub(crate) tasks: Chunks<Slot>,
    pub(crate) fail_fast: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) budget: Option<u64>,
    pub(crate) tenant: Option<Arc<str>>,
    /// Whether the work of tasks that are over is kept.
    pub(crate) work: bool,
    /// What an earlier run has left of its tasks, by their places.
    pub(crate) past: Vec<(u32, Restored)>,
    /// What planners have put into an earlier run and is in it again, with who did so.
    pub(crate) plans: Vec<(Arc<str>, Vec<u8>)>,
    /// The journal of its run, and what is known from it.
    pub(crate) kept: Option<(History, Durability)>,
    /// How many tasks were refused because they would have closed a cycle.
    pub(crate) cycles: u64,
    /// Where in which trace its run is.
    pub(crate) trace_parent: Option<Arc<TraceParent>>,
    /// Of its run.
    pub(crate) span: Span,
    added: usize,
    mark: PhantomData<fn() -> K>,
}

impl Default for Graph {
    fn default() -> Self {
        Self::empty()
    }
}

/// A task whose needs have found their places.
#[derive(Debug)]
pub(crate) struct Planned {
    /// Its `needs` are empty: they are beside it.
    pub(crate) task: Task,
    pub(crate) needs: Box<[Need]>,
}

/// A place in a graph.
#[derive(Debug)]
pub(crate) enum Slot {
    /// Somebody needs it, and nobody has added it yet.
    Named(Arc<str>),
    Planned(Planned),
}

impl Slot {
    fn id(&self) -> &Arc<str> {
        match self {
            Self::Named(id) => id,
            Self::Planned(planned) => &planned.task.id,
        }
    }

    pub(crate) fn planned(self) -> Option<Planned> {
        match self {
            Self::Named(_) => None,
            Self::Planned(planned) => Some(planned),
        }
    }

    pub(crate) fn as_planned(&self) -> Option<&Planned> {
        match self {
            Self::Named(_) => None,
            Self::Planned(planned) => Some(planned),
        }
    }
}

/// The places of ids, in the order in which they were first named. The ids themselves are kept where the places are: whoever
/// looks one up says what stands at a place.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Each with a half of its id's hash, so that growing reads no ids.
    table: HashTable<(u32, u32)>,
    /// Seeded at random, and far cheaper on short ids than the standard library's.
    hasher: foldhash::quality::RandomState,
}

impl Places {
    pub(crate) fn get<'a>(&self, id: &str, id_at: impl Fn(u32) -> &'a str) -> Option<u32> {
        let half = self.half(id);
        let is_it = |of: &(u32, u32)| of.0 == half && id_at(of.1) == id;
        self.table.find(spread(half), is_it).map(|(_, place)| *place)
    }

    /// Gives an id that has no place the next one.
    pub(crate) fn add(&mut self, id: &str) -> u32 {
        let next = u32::try_from(self.table.len()).expect("a graph has fewer than 2^32 tasks");
        let half = self.half(id);
        self.table.insert_unique(spread(half), (half, next), |(half, _)| spread(*half));
        next
    }

    fn half(&self, id: &str) -> u32 {
        // The lower half is as good as the upper.
        self.hasher.hash_one(id) as u32
    }
}

/// A hash of 64 bits, since the table takes its place from one end and its tag from the other.
fn spread(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}

impl Graph {
    /// An empty graph, whose run carries on after a failure: what does not need the failed task finishes.
    pub fn new() -> Self {
        Self::empty()
    }

    /// The graph of one task that needs nobody.
    pub(crate) fn of(task: Task) -> Self {
        let mut graph = Self::empty();
        graph.places.add(&task.id);
        graph.tasks.push(Slot::Planned(Planned { task, needs: Box::default() }));
        graph.added = 1;
        graph
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
        self.kept = (durability != Durability::Memory).then_some((history, durability));
        self
    }
}

impl<K> Graph<K> {
    fn empty() -> Self {
        Self {
            places: Places::default(),
            tasks: Chunks::default(),
            fail_fast: false,
            timeout: None,
            budget: None,
            tenant: None,
            work: false,
            past: Vec::new(),
            plans: Vec::new(),
            kept: None,
            cycles: 0,
            trace_parent: None,
            span: Span::none(),
            added: 0,
            mark: PhantomData,
        }
    }

    /// The same graph, its mark forgotten.
    pub(crate) fn erase(self) -> Graph {
        let Self {
            places,
            tasks,
            fail_fast,
            timeout,
            budget,
            tenant,
            work,
            past,
            plans,
            kept,
            cycles,
            trace_parent,
            span,
            added,
            mark: _,
        } = self;
        let mark = PhantomData;
        Graph {
            places,
            tasks,
            fail_fast,
            timeout,
            budget,
            tenant,
            work,
            past,
            plans,
            kept,
            cycles,
            trace_parent,
            span,
            added,
            mark,
        }
    }

    /// The run stops at the first task that fails for good: what has not started is cancelled, what runs is asked to stop.
    pub fn fail_fast(mut self, fail_fast: bool) -> Self {
        self.fail_fast = fail_fast;
        self
    }

    /// The longest that the run may take. Then what has not started is cancelled, and what runs is asked to stop.
    pub fn timeout(mut self, duration: Duration) -> Self {
        self.timeout = Some(duration);
        self
    }

    /// What its tasks may [`cost`](Task::cost) together, in any unit: cents, tokens.
    pub fn budget(mut self, budget: u64) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Whose run it is. Tenants share the slots by their weights: see [`Builder::tenant`](crate::Builder::tenant).
    pub fn tenant(mut self, name: impl Into<Arc<str>>) -> Self {
        self.tenant = Some(name.into());
        self
    }

    /// Makes the run part of a trace that has begun elsewhere: by the request that the run answers, or by whoever called the
    /// command that it is in. See [`Context::trace_parent`](crate::Context::trace_parent).
    pub fn trace_parent(mut self, parent: TraceParent) -> Self {
        self.trace_parent = Some(Arc::new(parent));
        self
    }

    /// How many tasks were added.
    pub fn len(&self) -> usize {
        self.added
    }

    /// Whether no task was added.
    pub fn is_empty(&self) -> bool {
        self.added == 0
    }

    /// Adds a task.
    ///
    /// # Errors
    /// When a task of this id was added before, or when the task would close a cycle; the graph is then as it was.
    pub fn add(&mut self, task: Task<K>) -> Result<(), AddError> {
        let mut task = task.erase();
        if task.needs.iter().any(|(need, _)| *need == task.id) {
            self.cycles += 1;
            return Err(AddError::Cycle { path: vec![task.id.to_string(), task.id.to_string()] });
        }
        let named = self.tasks.len();
        let place = self.place(&task.id);
        // Only a task that others have named before can close a cycle: nothing leads to a new name.
        if (place as usize) < named {
            if self.tasks[place].as_planned().is_some() {
                return Err(AddError::Duplicate { id: task.id.to_string() });
            }
            if let Some(path) = self.cycle(place, &task) {
                self.cycles += 1;
                return Err(AddError::Cycle { path });
            }
        }
        let needs = std::mem::take(&mut task.needs);
        let needs = needs.into_iter().map(|(id, on)| Need { task: self.place(&id), on }).collect();
        self.tasks[place] = Slot::Planned(Planned { task, needs });
        self.added += 1;
        Ok(())
    }

    fn place(&mut self, id: &Arc<str>) -> u32 {
        self.place_of(id).unwrap_or_else(|| {
            self.tasks.push(Slot::Named(Arc::clone(id)));
            self.places.add(id)
        })
    }

    pub(crate) fn place_of(&self, id: &str) -> Option<u32> {
        self.places.get(id, |at| self.tasks[at].id())
    }

    /// The tasks that others need and nobody has added, each with one that needs it.
    pub(crate) fn unresolved(&self) -> Vec<Unresolved> {
        if self.added == self.tasks.len() {
            return Vec::new();
        }
        let tasks = self.tasks.iter().filter_map(Slot::as_planned);
        let needs = tasks.flat_map(|of| of.needs.iter().map(move |need| (need.task, &of.task.id)));
        needs
            .filter_map(|(place, needed_by)| match &self.tasks[place] {
                Slot::Named(id) => {
                    Some(Unresolved { id: id.to_string(), needed_by: needed_by.to_string() })
                }
                Slot::Planned(_) => None,
            })
            .collect()
    }

    /// The cycle that `task` would close at its `place`, from its id to its id along the needs.
    fn cycle(&self, place: u32, task: &Task) -> Option<Vec<String>> {
        let mut came_from: HashMap<u32, u32> = HashMap::new();
        let mut open: Vec<u32> = Vec::new();
        for need in task.needs.iter().filter_map(|(need, _)| self.place_of(need)) {
            came_from.entry(need).or_insert(place);
            open.push(need);
        }
        while let Some(at) = open.pop() {
            if at == place {
                let id = |at: u32| self.tasks[at].id().to_string();
                let mut path = vec![id(at)];
                let mut back = came_from[&at];
                while back != at {
                    path.push(id(back));
                    back = came_from[&back];
                }
                path.push(id(at));
                path.reverse();
                return Some(path);
            }
            for need in self.tasks[at].as_planned().iter().flat_map(|of| of.needs.iter()) {
                if let std::collections::hash_map::Entry::Vacant(new) = came_from.entry(need.task) {
                    new.insert(at);
                    open.push(need.task);
                }
            }
        }
        None
    }
}

/// Why a task cannot be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddError {
    /// A task of this id is there.
    Duplicate {
        /// The id.
        id: String,
    },
    /// The task would need itself.
    Cycle {
        /// The ids along the needs, the first again at the end.
        path: Vec<String>,
    },
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { id } => write!(f, "a task `{id}` was added before"),
            Self::Cycle { path } => {
                write!(f, "tasks would need each other in a cycle: {}", path.join(" -> "))
            }
        }
    }
}

impl std::error::Error for AddError {}

/// A need that names no task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// The id that nobody added.
    pub id: String,
    /// A task that needs it.
    pub needed_by: String,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task `{}` needs `{}`, which was not added", self.needed_by, self.id)
    }
}
