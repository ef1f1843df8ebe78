//! Runs that are part of a task's work.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use super::keeper::Known;
use super::{Asker, Done, Engine, Waste};
use crate::event::EventKind;
use crate::graph::Graph;
use crate::machine::{Action, TaskRef};
use crate::run::{Address, Run, Running, SubmitError};
use crate::sub::{ItemDone, Within};

impl Engine {
    /// A running task waits for others, and gives its slot back.
    pub(super) fn park(&mut self, by: &Asker, now: Duration) {
        if let Some(task) = self.running(by) {
            self.park_task(task, now);
        }
    }

    /// The task whose attempt asks, if that attempt runs: what an earlier one has left behind does not speak for it.
    fn running(&self, by: &Asker) -> Option<TaskRef> {
        let task = self.attempted(by)?;
        self.runs.get(by.run)?.tasks[task.node].running.is_some().then_some(task)
    }

    /// The task whose latest attempt asks.
    fn attempted(&self, by: &Asker) -> Option<TaskRef> {
        let task = self.find(by.run, &by.task)?;
        (self.runs.get(by.run)?.tasks[task.node].attempts == by.attempt).then_some(task)
    }

    fn park_task(&mut self, task: TaskRef, now: Duration) {
        if self.machine.park(task)
            && let Some(live) = self.runs.get_mut(task.run)
        {
            live.parked(task.node, now);
            let agent = live.tasks[task.node].agent;
            self.agents.touch(agent);
        }
    }

    /// Starts a run within the work of a task, which gives its slot back; `None` if the task is no more to run, or nothing is
    /// taken any more.
    pub(super) fn start_within(
        &mut self,
        parent: Option<Asker>,
        graph: Box<Graph>,
        item: Option<(Arc<str>, u64, String)>,
        mut name: Option<Arc<str>>,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Option<Within> {
        let (within, nth) = match self.let_within(parent, item, &mut name, now) {
            Ok(let_in) => let_in,
            Err(answer) => {
                self.waste.push(Waste::Graph(graph));
                return answer;
            }
        };
        let (owner, done) = oneshot::channel();
        let id = self.shared.new_id();
        self.shared.live.send_modify(|live| *live += 1);
        if let Some(Asker { run, task, .. }) = &within {
            self.told.tell(now, || EventKind::RunWithin {
                run: run.0,
                task: Arc::clone(task),
                started: id.0,
            });
        }
        let within = within.map(|by| by.run);
        let trace_parent = graph.parts.trace_parent.clone();
        self.start(id, *graph, None, (Done::Owner(owner), within, name.clone()), now, actions);
        let link = Arc::clone(&self.link);
        let run = Run::new(Address { id, link, name, trace_parent });
        Some(Within::Running(Running { run, done }, nth))
    }

    /// Within which task a run is to start, and the how-manieth of its id it is; or else what is to be answered. The task
    /// gives its slot back.
    fn let_within(
        &mut self,
        parent: Option<Asker>,
        item: Option<(Arc<str>, u64, String)>,
        name: &mut Option<Arc<str>>,
        now: Duration,
    ) -> Result<(Option<Asker>, u32), Option<Within>> {
        // ORDERING: SeqCst with the store in `Orchestrator::shutdown`: what starts after that is refused, and what started
        //   before is there when the engine is told to cancel everything.
        if self.shared.closed.load(Ordering::SeqCst) {
            return Err(None);
        }
        let Some(by) = parent else { return Ok((None, 0)) };
        let task = self.running(&by).ok_or(None)?;
        if self.machine.is_stopping_or_over(task) {
            return Err(None);
        }
        let mut nth = 0;
        if let (Some((item, version, key)), Some(keeper)) = (item, self.keeper(by.run)) {
            match keeper.item(task.node, &item, version) {
                Known::Done(kept) => return Err(Some(Within::Kept(kept))),
                Known::New(of) => nth = of,
            }
            // No key has a `#` in it.
            *name = Some(if nth == 0 { key } else { format!("{key}#{nth}") }.into());
        }
        self.park_task(task, now);
        Ok((Some(by), nth))
    }

    /// What is known of tasks within the work of another, in the order in which its attempt asks.
    pub(super) fn recall(&mut self, by: &Asker, items: &[(Arc<str>, u64)]) -> Vec<Known> {
        let Some(task) = self.running(by) else { return Vec::new() };
        let Some(keeper) = self.keeper(by.run) else { return Vec::new() };
        items.iter().map(|(id, version)| keeper.item(task.node, id, *version)).collect()
    }

    /// Writes down that a task within the work of another is done.
    pub(super) fn keep_item(
        &mut self,
        by: &Asker,
        item: ItemDone,
        now: Duration,
    ) -> Result<(), SubmitError> {
        // The attempt may have been dropped while the item was under way: it is kept all the same.
        let task = self.attempted(by).ok_or(SubmitError::Over)?;
        let id = Arc::clone(&item.id);
        let Some(keeper) = self.keeper(by.run) else { return Ok(()) };
        let kept = keeper.item_done(task.node, item, now);
        kept.map_err(|why| SubmitError::Journal { id: id.to_string(), why: why.to_string() })
    }
}
