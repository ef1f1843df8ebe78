//! Graphs by id: tasks in any order, cycles refused when they would close.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::task::Task;

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
#[derive(Debug, Default)]
pub struct Graph {
    pub(crate) places: Places,
    pub(crate) tasks: Vec<Option<Task>>,
    pub(crate) fail_fast: bool,
    added: usize,
}

/// Ids and their places, in the order in which they were first named.
#[derive(Debug, Default)]
pub(crate) struct Places {
    by_id: HashMap<Arc<str>, u32>,
}

impl Places {
    pub(crate) fn get(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// The place of the id, a new one if it has none.
    pub(crate) fn name(&mut self, id: &Arc<str>) -> u32 {
        let next = u32::try_from(self.by_id.len()).expect("a graph has fewer than 2^32 tasks");
        *self.by_id.entry(Arc::clone(id)).or_insert(next)
    }
}

impl Graph {
    /// An empty graph, whose run carries on after a failure: what does not need the failed task finishes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The graph of one task that needs nobody.
    pub(crate) fn of(task: Task) -> Self {
        let mut places = Places::default();
        places.name(&task.id);
        Self { places, tasks: vec![Some(task)], fail_fast: false, added: 1 }
    }

    /// The run stops at the first task that fails for good: what has not started is cancelled, what runs is asked to stop.
    pub fn fail_fast(mut self, fail_fast: bool) -> Self {
        self.fail_fast = fail_fast;
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
    pub fn add(&mut self, task: Task) -> Result<(), AddError> {
        // Only a task that others have named before can close a cycle: nothing leads to a new name.
        if let Some(place) = self.places.get(&task.id) {
            if self.tasks[place as usize].is_some() {
                return Err(AddError::Duplicate { id: task.id.to_string() });
            }
            if let Some(path) = self.cycle(&task) {
                return Err(AddError::Cycle { path });
            }
        } else if task.needs.iter().any(|(need, _)| *need == task.id) {
            return Err(AddError::Cycle { path: vec![task.id.to_string(), task.id.to_string()] });
        }
        for id in std::iter::once(&task.id).chain(task.needs.iter().map(|(need, _)| need)) {
            if self.places.name(id) as usize == self.tasks.len() {
                self.tasks.push(None);
            }
        }
        let place = self.places.name(&task.id) as usize;
        self.tasks[place] = Some(task);
        self.added += 1;
        Ok(())
    }

    /// The tasks that others need and nobody has added, each with one that needs it.
    pub(crate) fn unresolved(&self) -> Vec<Unresolved> {
        let tasks = self.tasks.iter().flatten();
        let needs = tasks.flat_map(|task| task.needs.iter().map(move |(need, _)| (need, task)));
        let missing = needs.filter(|(need, _)| {
            self.places.get(need).is_none_or(|place| self.tasks[place as usize].is_none())
        });
        missing
            .map(|(need, task)| Unresolved { id: need.to_string(), needed_by: task.id.to_string() })
            .collect()
    }

    /// The cycle that `task` would close, from its id to its id along the needs.
    fn cycle(&self, task: &Task) -> Option<Vec<String>> {
        let mut came_from: HashMap<&str, &str> = HashMap::new();
        let mut open: Vec<&str> = Vec::new();
        for (need, _) in &task.needs {
            came_from.entry(need).or_insert(&task.id);
            open.push(need);
        }
        while let Some(at) = open.pop() {
            if *at == *task.id {
                let mut path = vec![at.to_owned()];
                let mut back = came_from[at];
                while back != at {
                    path.push(back.to_owned());
                    back = came_from[back];
                }
                path.push(at.to_owned());
                path.reverse();
                return Some(path);
            }
            let place = self.places.get(at);
            let Some(known) = place.and_then(|place| self.tasks[place as usize].as_ref()) else {
                continue;
            };
            for (need, _) in &known.needs {
                if !came_from.contains_key(&**need) {
                    came_from.insert(need, at);
                    open.push(need);
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
