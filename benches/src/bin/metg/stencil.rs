//! The one-dimensional stencil of Task Bench: each task needs the same place and its two neighbours of the row before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_workflow::{Context, Graph, Orchestrator, Task, TaskError};
use tokio::task::JoinSet;

use crate::kernel::turn;

/// A stencil of so many rows, and the turns of each task's kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stencil {
    pub(crate) width: usize,
    pub(crate) steps: usize,
    pub(crate) turns: u64,
}

impl Stencil {
    pub(crate) fn tasks(self) -> usize {
        self.width * self.steps
    }

    /// The tasks that the task at this place needs; tasks are counted row by row.
    fn needs(self, task: usize) -> std::ops::Range<usize> {
        let (row, at) = (task / self.width, task % self.width);
        let Some(before) = row.checked_sub(1) else { return 0..0 };
        let start = before * self.width;
        start + at.saturating_sub(1)..start + (at + 2).min(self.width)
    }

    /// The tasks that need the task at this place.
    fn dependents(self, task: usize) -> std::ops::Range<usize> {
        let (row, at) = (task / self.width, task % self.width);
        if row + 1 == self.steps {
            return 0..0;
        }
        let start = (row + 1) * self.width;
        start + at.saturating_sub(1)..start + (at + 2).min(self.width)
    }
}

/// Ours: the graph is built, run, and its outputs handed from task to task, with time-outs and the event stream on.
pub(crate) async fn ours(orchestrator: &Orchestrator, stencil: Stencil) -> Duration {
    let start = Instant::now();
    let ids: Vec<Arc<str>> =
        (0..stencil.tasks()).map(|at| Arc::from(format!("task-{at}"))).collect();
    let mut graph = Graph::new();
    for (at, id) in ids.iter().enumerate() {
        let inputs: Vec<Arc<str>> = ids[stencil.needs(at)].to_vec();
        let work = move |cx: Context| {
            let seed = cx.inputs::<u64>().map(|value| value.map(|value| *value));
            let seed = seed.sum::<Result<u64, _>>();
            async move { Ok::<u64, TaskError>(turn(stencil.turns, seed?) & 0xffff) }
        };
        let task = Task::new(Arc::clone(id), work).needs(inputs).timeout(Duration::from_secs(60));
        graph.add(task).expect("ids differ and no cycle closes");
    }
    let finished = orchestrator.run(graph).await.expect("it runs");
    assert!(finished.is_success(), "counting cannot fail");
    start.elapsed()
}

/// What a user writes by hand: counts, and a spawned task for each that is ready.
pub(crate) async fn join_set(stencil: Stencil) -> Duration {
    let start = Instant::now();
    let mut missing: Vec<usize> = (0..stencil.tasks()).map(|at| stencil.needs(at).len()).collect();
    let mut values: Vec<u64> = vec![0; stencil.tasks()];
    let mut set = JoinSet::new();
    for at in 0..stencil.width {
        set.spawn(async move { (at, turn(stencil.turns, 1) & 0xffff) });
    }
    let mut ended = 0;
    while let Some(done) = set.join_next().await {
        let (at, value) = done.expect("counting does not panic");
        values[at] = value;
        ended += 1;
        for next in stencil.dependents(at) {
            missing[next] -= 1;
            if missing[next] == 0 {
                let seed: u64 = values[stencil.needs(next)].iter().sum();
                set.spawn(async move { (next, turn(stencil.turns, seed) & 0xffff) });
            }
        }
    }
    assert_eq!(ended, stencil.tasks(), "each task ran");
    start.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_needs_its_place_and_both_neighbours_of_the_row_before() {
        let stencil = Stencil { width: 4, steps: 3, turns: 0 };
        assert_eq!(stencil.needs(2), 0..0);
        assert_eq!(stencil.needs(4), 0..2);
        assert_eq!(stencil.needs(6), 1..4);
        assert_eq!(stencil.needs(7), 2..4);
    }

    #[test]
    fn dependents_are_the_needs_turned_round() {
        let stencil = Stencil { width: 5, steps: 4, turns: 0 };
        for from in 0..stencil.tasks() {
            for to in 0..stencil.tasks() {
                assert_eq!(
                    stencil.needs(to).contains(&from),
                    stencil.dependents(from).contains(&to)
                );
            }
        }
    }
}
