//! Tasks that come into a live run.

use std::sync::Arc;
use std::time::Duration;

use super::{Engine, Restored, Waste};
use crate::event::EventKind;
use crate::machine::{Action, Need, Placed, RunId, TaskRef};
use crate::run::SubmitError;
use crate::task::{Grown, Task};

/// The place of a task that comes into a live run.
struct Found {
    /// Whom it comes before.
    followers: Vec<u32>,
    /// Whom it comes after.
    needs: Box<[Need]>,
    /// What the run's journal knows of it.
    restored: Option<Restored>,
}

impl Engine {
    /// A task that is refused is dropped after the turn.
    fn submit(
        &mut self,
        run: RunId,
        by: Option<u32>,
        task: Task,
        before: &[Arc<str>],
        now: Duration,
    ) -> Result<Placed, SubmitError> {
        let Found { followers, needs, restored } = match self.find_place(run, by, &task, before) {
            Ok(found) => found,
            Err(error) => {
                self.waste.push(Waste::Task(Box::new(task)));
                return Err(error);
            }
        };
        let live = self.runs.get(run).ok_or(SubmitError::Over)?;
        let (tenant, node) = (live.tenant, live.next_place());
        self.forget_unused();
        let agent = self.agents.id_of(task.agent.as_ref(), &mut self.machine);
        let extras = task.extras.as_deref();
        let choices = self.agents.choices(extras, tenant, &mut self.machine);
        if !choices.is_empty() {
            self.machine.set_choices(TaskRef { run, node }, choices);
        }
        let past = restored.as_ref().and_then(|restored| restored.past);
        let spec = self.spec(&task, needs, (agent, tenant), past);
        let id = Arc::clone(&task.id);
        let live = self.runs.get_mut(run).ok_or(SubmitError::Over)?;
        live.add(task, agent);
        if let Some(restored) = restored {
            live.attempted(node, restored);
        }
        self.open += 1;
        self.told.tell(now, || EventKind::TaskAdded { run: run.0, task: id });
        self.machine.place(run, spec, &followers).ok_or(SubmitError::Over)
    }

    /// Where the task stands, if it may come into the run.
    fn find_place(
        &mut self,
        run: RunId,
        by: Option<u32>,
        task: &Task,
        before: &[Arc<str>],
    ) -> Result<Found, SubmitError> {
        let live = self.runs.get_mut(run).ok_or(SubmitError::Over)?;
        if live.place_of(&task.id).is_some() {
            return Err(SubmitError::Duplicate { id: task.id.to_string() });
        }
        if task.arrows().map(|(need, _)| need).chain(before).any(|id| *id == task.id) {
            self.metrics.cycles.inc();
            let id = task.id.to_string();
            return Err(SubmitError::Cycle { need: id.clone(), follower: id });
        }
        let (agent, extras) = (task.agent.as_deref(), task.extras.as_deref());
        self.link.check(&task.id, agent, extras).map_err(SubmitError::TooMuch)?;
        let place = |id: &Arc<str>| {
            live.place_of(id).ok_or_else(|| SubmitError::Unknown { id: id.to_string() })
        };
        let followers = before.iter().map(place).collect::<Result<Vec<u32>, _>>()?;
        let need = |(id, on)| Ok::<_, SubmitError>(Need { task: place(id)?, on });
        let needs = task.arrows().map(need).collect::<Result<Box<[Need]>, _>>()?;
        for (follower, id) in followers.iter().zip(before) {
            if !self.machine.is_pending(TaskRef { run, node: *follower }) {
                return Err(SubmitError::Late { id: id.to_string() });
            }
            if let Some(at) =
                needs.iter().position(|need| self.machine.reaches(run, *follower, need.task))
            {
                self.metrics.cycles.inc();
                return Err(SubmitError::Cycle {
                    need: live.tasks[needs[at].task].id.to_string(),
                    follower: id.to_string(),
                });
            }
        }
        let restored = live.submitted(by, task, &needs, &followers)?;
        Ok(Found { followers, needs, restored })
    }

    /// Adds all of the tasks before anything follows from one of them, up to the first that cannot be added.
    pub(super) fn submit_all(
        &mut self,
        run: RunId,
        by: Option<u32>,
        tasks: impl IntoIterator<Item = Grown>,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Result<(), SubmitError> {
        let (mut placed, mut taken) = (Vec::new(), Ok(()));
        let mut tasks = tasks.into_iter();
        for Grown { task, before } in tasks.by_ref() {
            match self.submit(run, by, task, &before, now) {
                Ok(task) => placed.push(task),
                Err(error) => {
                    taken = Err(error);
                    break;
                }
            }
        }
        self.refuse(tasks);
        placed.into_iter().for_each(|task| self.machine.settle_in(task, actions));
        taken
    }

    /// Tasks that are not taken.
    pub(super) fn refuse(&mut self, tasks: impl IntoIterator<Item = Grown>) {
        self.waste.extend(tasks.into_iter().map(|grown| Waste::Task(Box::new(grown.task))));
    }
}
