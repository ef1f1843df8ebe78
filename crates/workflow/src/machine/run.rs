//! One run inside the machine: its tasks, who needs whom, and what is left.

use std::time::Duration;

use super::{AgentId, End, TaskRef};
use crate::retry::Retry;

/// An arrow of the graph, seen from either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// The task at the other end.
    pub(crate) task: u32,
    /// Whether the dependent starts even when the need did not succeed.
    pub(crate) optional: bool,
}

/// What the machine is told of a task.
#[derive(Debug, Clone)]
pub(crate) struct NodeSpec {
    pub(crate) needs: Vec<Need>,
    pub(crate) agent: AgentId,
    pub(crate) priority: i32,
    pub(crate) estimate: Duration,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Retry,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    /// So many needs are not met.
    Pending {
        missing: u32,
    },
    Ready {
        failed: u32,
        seq: u64,
    },
    Running {
        attempt: u32,
        stop: Option<super::Stop>,
    },
    Backoff {
        failed: u32,
        until: Duration,
    },
    Done {
        ok: bool,
    },
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) needs: Box<[Need]>,
    pub(super) dependents: Vec<Need>,
    pub(super) agent: AgentId,
    pub(super) priority: i32,
    /// The longest estimated way from the start of this task to the end of the run, in microseconds (b-level).
    pub(super) rank: u64,
    pub(super) estimate: u64,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: Retry,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) nodes: Vec<Node>,
    pub(super) left: usize,
    pub(super) fail_fast: bool,
    pub(super) cancelled: bool,
    /// Tasks whose last need was met by the settlement under way.
    pub(super) now_ready: Vec<TaskRef>,
}

/// What became of a task that was added to a live run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    Pending,
    Ready,
    /// It will never start: a need of it has failed, or the run is cancelled.
    Over(End),
}

impl Run {
    /// The run, and the tasks that need nobody.
    pub(super) fn new(specs: Vec<NodeSpec>, fail_fast: bool) -> (Self, Vec<u32>) {
        let mut nodes: Vec<Node> = specs.into_iter().map(Node::new).collect();
        let mut roots = Vec::new();
        for at in 0..nodes.len() {
            let node = number(at);
            let needs = std::mem::take(&mut nodes[at].needs);
            for need in &needs {
                nodes[need.task as usize]
                    .dependents
                    .push(Need { task: node, optional: need.optional });
            }
            if needs.is_empty() {
                roots.push(node);
            }
            nodes[at].needs = needs;
        }
        rank(&mut nodes, &roots);
        let left = nodes.len();
        (Self { nodes, left, fail_fast, cancelled: false, now_ready: Vec::new() }, roots)
    }

    pub(super) fn insert(&mut self, spec: NodeSpec, before: &[u32]) -> (u32, Inserted) {
        let at = number(self.nodes.len());
        let mut node = Node::new(spec);
        let mut missing = 0;
        let mut failed = None;
        for need in &node.needs {
            let upstream = &mut self.nodes[need.task as usize];
            match upstream.state {
                State::Done { ok } if ok || need.optional => {}
                State::Done { .. } => failed = failed.or(Some(need.task)),
                _ => {
                    missing += 1;
                    upstream.dependents.push(Need { task: at, optional: need.optional });
                }
            }
        }
        node.state = State::Pending { missing };
        for dependent in before {
            let follower = &mut self.nodes[*dependent as usize];
            let State::Pending { missing } = &mut follower.state else {
                unreachable!("the caller checked that it is pending")
            };
            *missing += 1;
            let mut needs = std::mem::take(&mut follower.needs).into_vec();
            needs.push(Need { task: at, optional: false });
            follower.needs = needs.into_boxed_slice();
            node.rank = node.rank.max(node.estimate + follower.rank);
            node.dependents.push(Need { task: *dependent, optional: false });
        }
        self.nodes.push(node);
        self.left += 1;
        let verdict = match failed {
            _ if self.cancelled => Inserted::Over(End::Cancelled),
            Some(because) => Inserted::Over(End::Skipped { because }),
            None if missing == 0 => Inserted::Ready,
            None => Inserted::Pending,
        };
        (at, verdict)
    }

    /// Whether a way of dependents leads from `from` to `to`.
    pub(super) fn reaches(&self, from: u32, to: u32) -> bool {
        let mut seen = vec![false; self.nodes.len()];
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if at == to {
                return true;
            }
            if !std::mem::replace(&mut seen[at as usize], true) {
                open.extend(self.nodes[at as usize].dependents.iter().map(|need| need.task));
            }
        }
        false
    }

    /// The needs of a task that are not over.
    pub(super) fn unmet(&self, node: u32) -> Vec<u32> {
        let needs = self.nodes[node as usize].needs.iter().map(|need| need.task);
        needs
            .filter(|need| !matches!(self.nodes[*need as usize].state, State::Done { .. }))
            .collect()
    }
}

impl Node {
    fn new(spec: NodeSpec) -> Self {
        let estimate = u64::try_from(spec.estimate.as_micros()).unwrap_or(u64::MAX >> 8).max(1);
        let missing = number(spec.needs.len());
        Self {
            needs: spec.needs.into_boxed_slice(),
            dependents: Vec::new(),
            agent: spec.agent,
            priority: spec.priority,
            rank: estimate,
            estimate,
            timeout: spec.timeout,
            retry: spec.retry,
            state: State::Pending { missing },
        }
    }
}

/// Ranks every task by the longest estimated way to the end, from the last task backwards.
fn rank(nodes: &mut [Node], roots: &[u32]) {
    let mut missing: Vec<u32> = nodes.iter().map(|node| number(node.needs.len())).collect();
    let mut order = roots.to_vec();
    let mut at = 0;
    while let Some(node) = order.get(at).copied() {
        at += 1;
        for need in &nodes[node as usize].dependents {
            missing[need.task as usize] -= 1;
            if missing[need.task as usize] == 0 {
                order.push(need.task);
            }
        }
    }
    for node in order.into_iter().rev() {
        let longest =
            nodes[node as usize].dependents.iter().map(|need| nodes[need.task as usize].rank).max();
        let node = &mut nodes[node as usize];
        node.rank = node.estimate.saturating_add(longest.unwrap_or(0));
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a run has fewer than 2^32 tasks")
}
