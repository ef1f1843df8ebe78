//! The end of a task, and what follows from it.

use super::run::State;
use super::{Action, End, MANY, Machine, RunId, Stop, TaskRef};

impl Machine {
    /// Draws the consequences of what was over before the run was submitted.
    pub(super) fn go_on(&mut self, id: RunId, out: &mut Vec<Action>) {
        let run = self.runs.get_mut(id).expect("it was put in");
        let mut stops = false;
        for node in std::mem::take(&mut run.over_before) {
            let run = self.runs.get(id).expect("it ends when its caller closes it");
            if let State::Done { end, .. } = run.nodes[node].state {
                stops |= end.is_failure() && run.fail_fast;
                self.follow(TaskRef { run: id, node }, end, out);
            }
        }
        if stops {
            self.cancel_nodes(id, out);
        }
    }

    /// Ends a task for good, with what follows from it for its run.
    pub(super) fn finish(&mut self, task: TaskRef, end: End, out: &mut Vec<Action>) {
        self.settle(task, end, out);
        if end.is_failure() && self.runs[task.run].fail_fast {
            self.cancel_nodes(task.run, out);
        }
        self.close(task.run, out);
    }

    /// Ends a task for good and what follows from it for its dependents, without recursion: chains are long.
    pub(super) fn settle(&mut self, task: TaskRef, end: End, out: &mut Vec<Action>) {
        if self.end_node(task, end, out) {
            self.follow(task, end, out);
        }
    }

    /// Says whether anybody needs the task.
    fn end_node(&mut self, task: TaskRef, end: End, out: &mut Vec<Action>) -> bool {
        let run = self.runs.get_mut(task.run).expect("a task that ends is of a live run");
        run.left -= 1;
        let attempts = run.attempts(task.node);
        let node = &mut run.nodes[task.node];
        let was = std::mem::replace(&mut node.state, State::Done { end, attempts });
        let (class, is_needed) = (node.class, node.is_needed());
        out.push(Action::Settled { task, end });
        if matches!(was, State::Ready { .. }) {
            self.admission.left(class, &self.runs);
        }
        is_needed
    }

    /// What follows from the end of a task for its dependents.
    fn follow(&mut self, task: TaskRef, end: End, out: &mut Vec<Action>) {
        let id = task.run;
        let mut over = Some((task.node, end));
        let mut skipped: Vec<(u32, End)> = Vec::new();
        let mut now_ready = std::mem::take(&mut self.now_ready);
        while let Some((node, end)) = over.take().or_else(|| skipped.pop()) {
            if node != task.node {
                self.end_node(TaskRef { run: id, node }, end, out);
            }
            let run = self.runs.get_mut(id).expect("it was live above");
            let mut next = run.first_dependent(node);
            while let Some((dependent, on, after)) = run.dependent(next) {
                next = after;
                match run.need_ended(dependent, on, end) {
                    None => {}
                    // Ready at once, although more may end: order among them is by priority alone.
                    Some(true) => now_ready.push(TaskRef { run: id, node: dependent }),
                    Some(false) => {
                        // The root of the failure is what a person wants to see, not the skipped task in between.
                        let because =
                            if let End::Skipped { because } = end { because } else { node };
                        skipped.push((dependent, End::Skipped { because }));
                    }
                }
            }
        }
        // In the order of the graph, whatever the order of the arrows.
        if now_ready.len() > 1 {
            now_ready.sort_unstable();
        }
        now_ready.iter().for_each(|ready| self.make_ready(*ready, out));
        now_ready.clear();
        now_ready.shrink_to(MANY);
        self.now_ready = now_ready;
    }

    pub(super) fn cancel_nodes(&mut self, id: RunId, out: &mut Vec<Action>) {
        let Some(run) = self.runs.get_mut(id) else { return };
        run.cancelled = true;
        for node in 0..run.count() {
            let task = TaskRef { run: id, node };
            match self.runs[id].nodes[node].state {
                State::Running { .. } => self.stop(task, Stop::Cancelled, out),
                State::Done { .. } => {}
                State::Pending { .. } | State::Ready { .. } | State::Backoff { .. } => {
                    // Alone, without its dependents: those are cancelled themselves, and say so.
                    self.runs.get_mut(id).expect("it is live").forget_dependents(node);
                    self.settle(task, End::Cancelled, out);
                }
            }
        }
    }

    /// Ends the run if its last task is over (invariants 4 and 5).
    pub(super) fn close(&mut self, run: RunId, out: &mut Vec<Action>) {
        if self.runs.get(run).is_some_and(|state| state.left == 0) {
            self.over.extend(self.runs.remove(run).map(|state| (run, state)));
            out.push(Action::RunDone { run });
        }
    }
}
