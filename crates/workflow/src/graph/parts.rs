//! What a graph is made of, whatever its mark.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use super::agents::Agents;
use super::error::{AddError, Unresolved};
use super::places::Places;
use crate::chunks::Chunks;
use crate::engine::{Entry, Restored};
use crate::journal::{Durability, History};
use crate::machine::{Need, Run};
use crate::task::{Task, arrows};
use crate::trace::TraceParent;

/// Tasks and who needs whom. A task's place is its number everywhere: in these lists, in the machine, in the report. All of
/// it is handed on to the engine as it stands.
pub(crate) struct Parts {
    pub(crate) places: Places,
    pub(crate) tasks: Chunks<Entry>,
    /// The machine's side of the run to be.
    pub(crate) run: Run,
    pub(crate) agents: Agents,
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
    /// How many tasks were added, of all that were named.
    pub(super) added: usize,
    /// Empty but while a task is added; its memory serves them all.
    arrows: Vec<Need>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            places: Places::default(),
            tasks: Chunks::default(),
            run: Run::new(false, None),
            agents: Agents::default(),
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
            arrows: Vec::new(),
        }
    }
}

impl Parts {
    pub(super) fn add<K>(&mut self, task: Task<K>) -> Result<(), AddError> {
        if task.comes_after_itself() {
            self.cycles += 1;
            return Err(AddError::Cycle { path: vec![task.id.to_string(), task.id.to_string()] });
        }
        let tasks = &self.tasks;
        let (place, is_new) = match self.places.get_or_add(&task.id, |at| &tasks[at].id) {
            Err(new) => (new, true),
            Ok(known) if tasks[known].is_planned() => {
                return Err(AddError::Duplicate { id: task.id.to_string() });
            }
            Ok(named) => {
                // Only what others have named before can close a cycle: nothing leads to a new name.
                if let Some(path) = self.cycle(named, &task) {
                    self.cycles += 1;
                    return Err(AddError::Cycle { path });
                }
                (named, false)
            }
        };
        let planned = task.planned();
        let Task { id, needs, agent, body, grace, extras, .. } = task;
        if is_new {
            self.name(id);
        }
        let mut found = std::mem::take(&mut self.arrows);
        arrows(&needs, extras.as_deref())
            .for_each(|(id, on)| found.push(Need { task: self.place(id), on }));
        self.run.plan(place, &planned, &found);
        found.clear();
        self.arrows = found;
        self.agents.set(place, agent);
        self.tasks[place].plan(body, grace, extras);
        self.added += 1;
        Ok(())
    }

    /// The place of an id, a new one if it has none.
    fn place(&mut self, id: &Arc<str>) -> u32 {
        let tasks = &self.tasks;
        self.places.get_or_add(id, |at| &tasks[at].id).unwrap_or_else(|new| {
            self.name(Arc::clone(id));
            new
        })
    }

    /// Makes a place for an id.
    fn name(&mut self, id: Arc<str>) {
        self.tasks.push(Entry::named(id));
        self.run.name();
        self.agents.push();
    }

    pub(crate) fn place_of(&self, id: &str) -> Option<u32> {
        self.places.get(id, |at| &self.tasks[at].id)
    }

    /// The tasks that others need and nobody has added, each with one that needs it.
    pub(crate) fn unresolved(&self) -> Vec<Unresolved> {
        if self.added == self.tasks.len() {
            return Vec::new();
        }
        let id = |at: u32| self.tasks[at].id.to_string();
        let tasks = (0_u32..).take(self.tasks.len());
        let needs = tasks.flat_map(|at| self.run.needs(at).iter().map(move |need| (need.task, at)));
        needs
            .filter(|(need, _)| !self.tasks[*need].is_planned())
            .map(|(need, by)| Unresolved { id: id(need), needed_by: id(by) })
            .collect()
    }

    /// The cycle that `task` would close at its `place`, from its id to its id along the needs.
    fn cycle<K>(&self, place: u32, task: &Task<K>) -> Option<Vec<String>> {
        let mut came_from: HashMap<u32, u32> = HashMap::new();
        let mut open: Vec<u32> = Vec::new();
        for need in task.arrows().filter_map(|(need, _)| self.place_of(need)) {
            came_from.entry(need).or_insert(place);
            open.push(need);
        }
        while let Some(at) = open.pop() {
            if at == place {
                let id = |at: u32| self.tasks[at].id.to_string();
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
            for need in self.run.needs(at) {
                if let Slot::Vacant(new) = came_from.entry(need.task) {
                    new.insert(at);
                    open.push(need.task);
                }
            }
        }
        None
    }
}
