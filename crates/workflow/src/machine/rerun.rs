//! Running tasks of a live run again.
//!
//! 1. A task that is to run again forgets what it came to and waits for its needs anew. One that runs is asked to stop, and
//!    what it returns is not used.
//! 2. Who needs such a task and has not started waits for its new end. Who has started goes on with what it had, unless it is
//!    to run again itself.
//! 3. What becomes of who was skipped because of the task is decided anew.
//! 4. No attempt starts while a need of it is not over, nor a further attempt of a task that began before.
//! 5. Attempts are numbered on, so that no timer of an earlier one is taken for that of a later; the policy of retries
//!    begins anew.

use super::run::{Decided, State};
use super::{Action, End, Machine, Stop, TaskRef};

impl Machine {
    /// Lets a task run again, and if `downstream`, all that needs it, directly or through others. Answers with those of them
    /// that had begun or were over, each after everything that needs it; `None` when the run is over or cancelled.
    pub(crate) fn rerun(
        &mut self,
        task: TaskRef,
        downstream: bool,
        out: &mut Vec<Action>,
    ) -> Option<Vec<u32>> {
        let run = self.runs.get(task.run).filter(|run| !run.cancelled)?;
        let mut again = run.downstream(task.node);
        again.retain(|node| {
            let state = run.nodes[*node].state;
            let because = End::Skipped { because: task.node };
            let was_skipped = matches!(state, State::Done { end, .. } if end == because);
            downstream || *node == task.node || was_skipped
        });
        let followers = again.iter().flat_map(|node| run.dependents(*node));
        let mut open: Vec<u32> = followers.collect();
        let begun = again.iter().copied().filter(|node| run.has_begun(*node)).collect();
        for node in again {
            let task = TaskRef { run: task.run, node };
            if matches!(self.state(task), Some(State::Running { .. })) {
                self.stop(task, Stop::Rerun, out);
            } else {
                self.forget(task, out);
                open.push(node);
            }
        }
        open.sort_unstable();
        open.dedup();
        self.decide(task, open, out);
        self.close(task.run, out);
        Some(begun)
    }

    /// The task is to begin afresh, whatever it has come to; [`Self::decide`] says when.
    pub(super) fn forget(&mut self, task: TaskRef, out: &mut Vec<Action>) {
        let run = self.runs.get_mut(task.run).expect("what runs again is of a live run");
        let has_begun = run.has_begun(task.node);
        let attempts = run.begins_afresh(task.node);
        self.unqueue(task);
        if has_begun {
            out.push(Action::Again { task, attempts });
        }
    }

    /// Takes a ready task out of its line, and lets it wait.
    fn unqueue(&mut self, task: TaskRef) {
        let run = self.runs.get_mut(task.run).expect("what runs again is of a live run");
        let node = &mut run.nodes[task.node];
        let (was, class) = (node.state, node.class);
        node.state = State::Pending { missing: 0 };
        if let State::Ready { failed, .. } = was {
            run.keep_failed(task.node, failed);
            self.admission.left(class, &self.runs);
        }
    }

    /// Says anew of each of these tasks of a run, unless it has started, whether it waits, is ready or is skipped.
    pub(super) fn decide(&mut self, of: TaskRef, nodes: Vec<u32>, out: &mut Vec<Action>) {
        let mut decided = Vec::new();
        for node in nodes {
            let task = TaskRef { run: of.run, node };
            if matches!(self.state(task), Some(State::Ready { .. })) {
                self.unqueue(task);
            }
            if matches!(self.state(task), Some(State::Pending { .. })) {
                decided.push(task);
            }
        }
        let Some(run) = self.runs.get_mut(of.run) else { return };
        // All of it first: what follows from the one reads what the others wait for.
        let decided: Vec<(TaskRef, Decided)> =
            decided.into_iter().map(|task| (task, run.decide(task.node))).collect();
        for (task, decided) in decided {
            match decided {
                Decided::Pending => {}
                Decided::Ready => self.make_ready(task, out),
                Decided::Over(end) => self.settle(task, end, out),
            }
        }
    }
}
