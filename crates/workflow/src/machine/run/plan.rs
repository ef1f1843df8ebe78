//! A run before it starts: its tasks come to their places, and then all of it is linked.

use super::{ClassId, Edge, NONE, Need, Node, NodeSpec, On, Past, Policy, Run, State, number};

/// What is known of a task before its run is to start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Planned {
    pub(crate) priority: i32,
    /// How long it will probably run, in seconds, if somebody has said so.
    pub(crate) estimate: Option<f32>,
    pub(crate) complexity: f32,
    pub(crate) cost: u32,
    pub(crate) policy: Policy,
}

impl Run {
    /// A further place, for a task that somebody has named.
    pub(crate) fn name(&mut self) {
        self.needs.push();
        self.nodes.push(Node::named());
    }

    /// The task of a place, which may need tasks that are still to be planned.
    pub(crate) fn plan(&mut self, at: u32, task: &Planned, needs: &[Need]) {
        let policy = self.policy(task.policy);
        if !needs.is_empty() {
            self.needs.set(at, needs);
        }
        self.is_in_order &= needs.iter().all(|need| need.task < at);
        self.nodes[at] = Node::new(task, policy, number(needs.len()));
        self.left += 1;
    }

    /// Lets a planned task need one more.
    pub(crate) fn connect(&mut self, at: u32, need: u32) {
        self.needs.add(at, Need { task: need, on: On::Success });
        self.is_in_order &= need < at;
        self.nodes[at].state = State::Pending { missing: number(self.needs.get(at).len()) };
    }

    /// The policies of its tasks.
    #[cfg(feature = "config")]
    pub(crate) fn policies_mut(&mut self) -> &mut [Policy] {
        &mut self.policies
    }

    /// What nobody knew of a planned task before.
    pub(crate) fn assign(&mut self, at: u32, class: ClassId, guess: impl FnOnce() -> f32) {
        let node = &mut self.nodes[at];
        node.class = class;
        if node.estimate.is_nan() {
            node.estimate = guess();
            node.rank = node.estimate;
        }
    }

    /// What was done of a planned task before.
    pub(crate) fn restore(&mut self, at: u32, past: Past) {
        match past {
            Past::Failed(attempts) => self.keep_failed(at, attempts),
            Past::Over(end) => {
                self.nodes[at].state = State::Done { end, attempts: 0 };
                self.over_before.push(at);
                self.left -= 1;
            }
        }
    }

    /// Adds a task of which all is known.
    pub(crate) fn push(&mut self, spec: NodeSpec) {
        let at = number(self.nodes.len());
        let task = spec.planned();
        self.name();
        self.plan(at, &task, &spec.needs);
        self.assign(at, spec.class, || spec.estimate);
        if let Some(past) = spec.past {
            self.restore(at, past);
        }
    }

    /// Joins both ends of every arrow, ranks the tasks, and answers with those that need nobody.
    pub(in crate::machine) fn link(&mut self) -> Vec<u32> {
        let mut roots = Vec::new();
        let Self { nodes, needs, edges, .. } = self;
        // Backwards, because each arrow goes to the front of its list.
        for dependent in (0..number(nodes.len())).rev() {
            let needs = needs.get(dependent);
            if needs.is_empty() {
                roots.push(dependent);
                continue;
            }
            let rank = nodes[dependent].rank;
            for need in needs {
                let node = &mut nodes[need.task];
                let next = std::mem::replace(&mut node.first_dependent, number(edges.len()));
                edges.push(Edge { dependent, on: need.on, next });
                node.rank = node.rank.max(node.estimate + rank);
            }
        }
        roots.reverse();
        // Where each task comes after what it needs, all that needs a task was ranked before it.
        if !self.is_in_order {
            self.rank(roots.clone());
        }
        roots
    }

    /// Ranks every task by the longest estimated way to the end, from the last task backwards.
    fn rank(&mut self, roots: Vec<u32>) {
        for node in self.in_order(roots).into_iter().rev() {
            let longest = self.dependents(node).map(|to| self.nodes[to].rank);
            let longest = longest.fold(0.0, f32::max);
            let node = &mut self.nodes[node];
            node.rank = node.estimate + longest;
        }
    }

    /// Every task after those that it needs, from the roots.
    fn in_order(&self, roots: Vec<u32>) -> Vec<u32> {
        let all = 0..number(self.nodes.len());
        let mut missing: Vec<u32> = all.map(|at| number(self.needs.get(at).len())).collect();
        let mut order = roots;
        let mut at = 0;
        while let Some(node) = order.get(at).copied() {
            at += 1;
            for dependent in self.dependents(node) {
                missing[dependent as usize] -= 1;
                if missing[dependent as usize] == 0 {
                    order.push(dependent);
                }
            }
        }
        order
    }
}

impl NodeSpec {
    pub(super) fn planned(&self) -> Planned {
        let Self { priority, estimate, complexity, cost, policy, .. } = *self;
        Planned { priority, estimate: Some(estimate), complexity, cost, policy }
    }
}

impl Node {
    /// The place of a task that nobody has planned yet.
    fn named() -> Self {
        Self {
            state: State::Pending { missing: 0 },
            first_dependent: NONE,
            class: ClassId(0),
            policy: 0,
            priority: 0,
            rank: 0.0,
            estimate: 0.0,
            complexity: 0.0,
            cost: 0,
        }
    }

    /// A task that waits for so many. What it will take is no number until somebody guesses.
    pub(super) fn new(task: &Planned, policy: u32, missing: u32) -> Self {
        let estimate = task.estimate.unwrap_or(f32::NAN);
        Self {
            state: State::Pending { missing },
            policy,
            priority: task.priority,
            rank: estimate,
            estimate,
            complexity: task.complexity,
            cost: task.cost,
            ..Self::named()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::Retry;

    #[test]
    fn the_order_in_which_tasks_are_named_changes_no_rank() {
        let policy = Policy { timeout: None, retry: Retry::NEVER };
        let ranks = |[first, second, third]: [u32; 3]| {
            let mut run = Run::new(false, None);
            (0..3).for_each(|_| run.name());
            let mut plan = |at, seconds, needs: &[u32]| {
                let on = On::Success;
                let needs: Vec<Need> = needs.iter().map(|task| Need { task: *task, on }).collect();
                let estimate = Some(seconds);
                let task = Planned { priority: 0, estimate, complexity: 1.0, cost: 0, policy };
                run.plan(at, &task, &needs);
            };
            plan(first, 1.0, &[]);
            plan(second, 2.0, &[first]);
            plan(third, 4.0, &[second, first]);
            assert_eq!(run.link(), [first]);
            [first, second, third].map(|at| run.nodes[at].rank)
        };
        for places in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            assert_eq!(ranks(places), [7.0, 6.0, 4.0], "{places:?}");
        }
    }
}
