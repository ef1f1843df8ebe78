//! What is left of a run, of which its report is made when somebody asks for it.

use std::sync::Arc;
use std::time::Duration;

use super::{Report, TaskReport};
use crate::chunks::Chunks;
use crate::engine::Entry;
use crate::event::Outcome;
use crate::machine::{AgentId, ById, Run};

/// The names of the agents that a run's tasks were of.
pub(crate) type Names = ById<Arc<str>, AgentId>;

/// A run that is over, as the engine had it: nothing of it is copied before somebody wants to see it.
pub(crate) struct Ended {
    pub(crate) tasks: Chunks<Entry>,
    /// The machine's side of it.
    pub(crate) graph: Run,
    pub(crate) agents: Names,
    pub(crate) began: Duration,
    pub(crate) now: Duration,
    pub(crate) peak: usize,
    pub(crate) parallel: Duration,
    pub(crate) unsuccessful: usize,
}

impl Ended {
    /// The first task that did not succeed, and how it ended.
    pub(crate) fn first_failure(&self) -> Option<(Arc<str>, Outcome)> {
        if self.unsuccessful == 0 {
            return None;
        }
        let failed = self.tasks.iter().find(|task| !task.outcome().is_success())?;
        Some((Arc::clone(&failed.id), failed.outcome().clone()))
    }

    pub(crate) fn report(&self) -> Report {
        let tasks = (0..).zip(self.tasks.iter()).map(|(at, entry)| self.task(at, entry));
        let tasks: Vec<TaskReport> = tasks.collect();
        let (critical, critical_path_busy) = critical_path(&tasks, &self.graph);
        Report {
            critical_path: critical.into_iter().map(|at| Arc::clone(&tasks[at].id)).collect(),
            critical_path_busy,
            busy: tasks.iter().map(|task| task.busy).sum(),
            tasks,
            makespan: self.since(self.now),
            peak: self.peak,
            parallel: self.parallel,
        }
    }

    fn task(&self, at: u32, entry: &Entry) -> TaskReport {
        let needs = self.graph.needs(at).iter();
        let (ready, started, ended) = entry.times();
        TaskReport {
            id: Arc::clone(&entry.id),
            agent: Arc::clone(&self.agents[&entry.agent]),
            needs: needs.map(|need| Arc::clone(&self.tasks[need.task].id)).collect(),
            priority: self.graph.priority(at),
            outcome: entry.outcome().clone(),
            attempts: entry.attempts,
            ready: ready.map(|at| self.since(at)),
            started: started.map(|at| self.since(at)),
            ended: self.since(ended),
            busy: entry.busy(),
        }
    }

    fn since(&self, at: Duration) -> Duration {
        at.saturating_sub(self.began)
    }
}

/// The longest way along needs, by how long tasks were busy.
fn critical_path(tasks: &[TaskReport], graph: &Run) -> (Vec<usize>, Duration) {
    // Of each task the longest way to its end, and the task before it on that way.
    let mut ways: Vec<Option<(Duration, Option<u32>)>> = vec![None; tasks.len()];
    let mut open = Vec::new();
    for last in (0..).take(tasks.len()) {
        open.push(last);
        while let Some(at) = open.last().copied() {
            let unknown = open.len();
            let needs = graph.needs(at).iter().map(|need| need.task);
            if ways[at as usize].is_none() {
                open.extend(needs.clone().filter(|need| ways[*need as usize].is_none()));
            }
            if unknown < open.len() {
                continue;
            }
            open.pop();
            let way = |need: u32| ways[need as usize].map(|(length, _)| (length, Some(need)));
            // Of equally long ones the first.
            let before = needs.filter_map(way).rev().max_by_key(|(length, _)| *length);
            let (length, before) = before.unwrap_or_default();
            ways[at as usize] = Some((length + tasks[at as usize].busy, before));
        }
    }
    let length = |at: usize| ways[at].map_or(Duration::ZERO, |(length, _)| length);
    let Some(last) = (0..tasks.len()).max_by_key(|at| length(*at)) else {
        return (Vec::new(), Duration::ZERO);
    };
    let mut path = vec![last];
    while let Some((_, Some(before))) = ways[path[path.len() - 1]] {
        path.push(before as usize);
    }
    path.reverse();
    path.retain(|at| tasks[*at].attempts > 0);
    (path, length(last))
}
