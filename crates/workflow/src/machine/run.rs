//! One run inside the machine: its tasks, who needs whom, and what is left.

mod plan;

use std::collections::HashMap;
use std::time::Duration;

use super::needs::{Need, Needs, On};
use super::{Attempt, ClassId, End, RunId, Stop, Verdict};
use crate::chunks::Chunks;
use crate::retry::Retry;
pub(crate) use plan::Planned;

/// The end of a list of arrows.
const NONE: u32 = u32::MAX;

/// Missing needs of a task whose end is decided: nothing else makes it ready meanwhile.
const DECIDED: u32 = u32::MAX;

/// How attempts are bounded and repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Policy {
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Retry,
}

/// What the machine is told of a task.
#[derive(Debug, Clone)]
pub(crate) struct NodeSpec {
    pub(crate) needs: Box<[Need]>,
    pub(crate) class: ClassId,
    pub(crate) priority: i32,
    /// How long it will probably run, in seconds.
    pub(crate) estimate: f32,
    pub(crate) complexity: f32,
    /// What it takes out of the run's budget when it first starts.
    pub(crate) cost: u32,
    pub(crate) policy: Policy,
    /// What another process has done of it.
    pub(crate) past: Option<Past>,
}

/// What was done of a task before its run was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    /// All of it.
    Over(End),
    /// So many attempts, which failed.
    Failed(u32),
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
        stop: Option<Stop>,
        /// Whether it has given back what it took.
        parked: bool,
    },
    Backoff {
        failed: u32,
        /// In nanoseconds.
        until: u64,
    },
    Done {
        end: End,
        /// As far as they were this machine's.
        attempts: u32,
    },
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) state: State,
    first_dependent: u32,
    pub(super) class: ClassId,
    policy: u32,
    pub(super) priority: i32,
    /// The longest estimated way from the start of this task to the end of the run, in seconds (b-level).
    pub(super) rank: f32,
    pub(super) estimate: f32,
    pub(super) complexity: f32,
    pub(super) cost: u32,
}

impl Node {
    /// Whether anybody needs the task.
    pub(super) fn is_needed(&self) -> bool {
        self.first_dependent != NONE
    }
}

/// An arrow, seen from the task that is needed: a link of its list of dependents.
#[derive(Debug, Clone, Copy)]
struct Edge {
    dependent: u32,
    on: On,
    next: u32,
}

/// The tasks of a run and their state.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) nodes: Chunks<Node>,
    needs: Needs,
    edges: Chunks<Edge>,
    policies: Vec<Policy>,
    /// Whether each planned task comes after what it needs.
    is_in_order: bool,
    pub(super) left: usize,
    pub(super) fail_fast: bool,
    pub(super) cancelled: bool,
    /// The run of the task within whose work this one is.
    pub(super) parent: Option<RunId>,
    /// What is left to spend.
    pub(super) budget: Option<u64>,
    /// Tasks that were over before the run was submitted.
    pub(super) over_before: Vec<u32>,
    /// How many attempts there were before a task became ready: of others, or of its own.
    failed_before: HashMap<u32, u32>,
    /// How many there were before a task was to run again: those the retry policy does not count.
    earlier: HashMap<u32, u32>,
    /// The classes of tasks that may be of several.
    choices: HashMap<u32, Box<[ClassId]>>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Progress {
    pub(crate) pending: usize,
    pub(crate) ready: usize,
    pub(crate) running: usize,
    pub(crate) backoff: usize,
    pub(crate) over: usize,
    /// The estimated seconds of all that is not over.
    pub(crate) work: f64,
    /// The longest estimated way from something that is not over to the end, in seconds.
    pub(crate) longest: f64,
}

impl Progress {
    /// How much longer it will take on so many slots: no less than the longest way, and no less than all work shared out.
    pub(crate) fn remaining(&self, slots: usize) -> Duration {
        let seconds = self.longest.max(self.work / slots.max(1) as f64);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// What becomes of a task that was added to a live run, or is to run again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decided {
    Pending,
    Ready,
    /// It will never start: a need of it has ended otherwise than it wants, or the run is cancelled.
    Over(End),
}

impl Run {
    /// A run without tasks.
    pub(crate) fn new(fail_fast: bool, budget: Option<u64>) -> Self {
        Self {
            nodes: Chunks::default(),
            needs: Needs::default(),
            edges: Chunks::default(),
            policies: Vec::new(),
            is_in_order: true,
            left: 0,
            fail_fast,
            cancelled: false,
            parent: None,
            budget,
            over_before: Vec::new(),
            failed_before: HashMap::new(),
            earlier: HashMap::new(),
            choices: HashMap::new(),
        }
    }

    /// What its graph says of all of it.
    pub(crate) fn set(&mut self, fail_fast: bool, budget: Option<u64>) {
        (self.fail_fast, self.budget) = (fail_fast, budget);
    }

    /// It is within the work of a task of this run.
    pub(crate) fn within(&mut self, parent: Option<RunId>) {
        self.parent = parent;
    }

    /// A task whose class is chosen among these whenever it becomes ready.
    pub(crate) fn set_choices(&mut self, node: u32, classes: Box<[ClassId]>) {
        self.choices.insert(node, classes);
    }

    pub(super) fn choices(&self, node: u32) -> Option<&[ClassId]> {
        if self.choices.is_empty() {
            return None;
        }
        self.choices.get(&node).map(|classes| &**classes)
    }

    /// The ready tasks that may be of several classes, and of which they are.
    pub(super) fn ready_with_a_choice(&self) -> impl Iterator<Item = (u32, ClassId)> {
        let is_ready = |node: &u32| matches!(self.nodes[*node].state, State::Ready { .. });
        let ready = self.choices.keys().copied().filter(is_ready);
        ready.map(|node| (node, self.nodes[node].class))
    }

    /// The ready tasks that need nobody.
    pub(super) fn ready_roots(&self) -> impl Iterator<Item = u32> {
        let is_ready = |node: &Node| matches!(node.state, State::Ready { .. });
        let nodes = (0..).zip(self.nodes.iter());
        let roots = nodes.filter(move |(at, node)| is_ready(node) && self.needs(*at).is_empty());
        roots.map(|(at, _)| at)
    }

    /// Every class that a task of it is or may become of.
    pub(super) fn classes(&self) -> impl Iterator<Item = ClassId> {
        let chosen = self.choices.values().flat_map(|classes| classes.iter().copied());
        self.nodes.iter().map(|node| node.class).chain(chosen)
    }

    /// How many attempts of the task failed before it waits for its needs now.
    pub(super) fn failed_before(&self, node: u32) -> u32 {
        if self.failed_before.is_empty() {
            return 0;
        }
        self.failed_before.get(&node).copied().unwrap_or(0)
    }

    /// Whether it was ended before its end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// The tasks that a task needs.
    pub(crate) fn needs(&self, node: u32) -> &[Need] {
        self.needs.get(node)
    }

    pub(super) fn insert(&mut self, spec: NodeSpec, before: &[u32]) -> (u32, Decided) {
        let at = number(self.nodes.len());
        let policy = self.policy(spec.policy);
        let past = spec.past;
        if let Some(Past::Failed(attempts)) = past {
            self.keep_failed(at, attempts);
        }
        let mut node = Node::new(&spec.planned(), policy, number(spec.needs.len()));
        node.class = spec.class;
        for dependent in before {
            let follower = &mut self.nodes[*dependent];
            let State::Pending { missing } = &mut follower.state else {
                unreachable!("the caller checked that it is pending")
            };
            *missing = missing.saturating_add(1);
            self.needs.add(*dependent, Need { task: at, on: On::Success });
            node.rank = node.rank.max(node.estimate + follower.rank);
        }
        // Of needs that are over too: they may run again.
        spec.needs.iter().for_each(|need| self.add_dependent(need.task, at, need.on));
        self.needs.push();
        self.needs.set(at, &spec.needs);
        self.nodes.push(node);
        before.iter().rev().for_each(|dependent| self.add_dependent(at, *dependent, On::Success));
        self.left += 1;
        let decided = match past {
            Some(Past::Over(end)) => Decided::Over(end),
            _ if self.cancelled => Decided::Over(End::Cancelled),
            _ => self.decide(at),
        };
        if let Decided::Over(_) = decided {
            self.nodes[at].state = State::Pending { missing: DECIDED };
        }
        (at, decided)
    }

    /// Counts what a task waits for, as things are now.
    pub(super) fn decide(&mut self, node: u32) -> Decided {
        let mut missing = 0;
        let mut because = None;
        for need in self.needs.get(node) {
            match self.nodes[need.task].state {
                State::Done { end, .. } if need.on.admits(end) => {}
                // The root of the failure is what a person wants to see.
                State::Done { end: End::Skipped { because: root }, .. } => {
                    because = because.or(Some(root));
                }
                State::Done { .. } => because = because.or(Some(need.task)),
                _ => missing += 1,
            }
        }
        // What it is about to be skipped for must not be counted a second time.
        let missing = if because.is_some() { DECIDED } else { missing };
        self.nodes[node].state = State::Pending { missing };
        match because {
            Some(because) => Decided::Over(End::Skipped { because }),
            None if missing == 0 => Decided::Ready,
            None => Decided::Pending,
        }
    }

    /// Whether all that a task needs is over and as it wants it.
    pub(super) fn is_met(&self, node: u32) -> bool {
        let mut needs = self.needs.get(node).iter();
        needs.all(|need| match self.nodes[need.task].state {
            State::Done { end, .. } => need.on.admits(end),
            _ => false,
        })
    }

    /// How many attempts of a task have started here.
    pub(super) fn attempts(&self, node: u32) -> u32 {
        match self.nodes[node].state {
            State::Running { attempt, .. } => attempt,
            State::Ready { failed, .. } | State::Backoff { failed, .. } => failed,
            State::Done { attempts, .. } => attempts,
            State::Pending { .. } => self.failed_before(node),
        }
    }

    /// How many attempts there were before the task was to run again.
    pub(super) fn earlier(&self, node: u32) -> u32 {
        if self.earlier.is_empty() {
            return 0;
        }
        self.earlier.get(&node).copied().unwrap_or(0)
    }

    /// Whether the task is over, or has tried since it was last to begin.
    pub(super) fn has_begun(&self, node: u32) -> bool {
        matches!(self.nodes[node].state, State::Done { .. })
            || self.earlier(node) < self.attempts(node)
    }

    /// The task is to run again: its attempts so far are its past. Says how many they are.
    pub(super) fn begins_afresh(&mut self, node: u32) -> u32 {
        let attempts = self.attempts(node);
        self.left += usize::from(matches!(self.nodes[node].state, State::Done { .. }));
        self.keep_failed(node, attempts);
        if attempts > 0 {
            self.earlier.insert(node, attempts);
        }
        attempts
    }

    /// So many attempts are behind a task that goes back to waiting.
    pub(super) fn keep_failed(&mut self, node: u32, attempts: u32) {
        if attempts > 0 {
            self.failed_before.insert(node, attempts);
        }
    }

    /// A task and all that needs it, directly or through others, each after everything that needs it.
    pub(super) fn downstream(&self, from: u32) -> Vec<u32> {
        let mut seen = vec![false; self.nodes.len()];
        let mut order = Vec::new();
        // Of each task on the way from `from` the next of its dependents.
        let mut way = vec![(from, self.first_dependent(from))];
        while let Some((node, next)) = way.last_mut() {
            let Some((dependent, _, after)) = self.dependent(*next) else {
                order.push(*node);
                way.pop();
                continue;
            };
            *next = after;
            if !std::mem::replace(&mut seen[dependent as usize], true) {
                way.push((dependent, self.first_dependent(dependent)));
            }
        }
        order
    }

    /// Who needs a task.
    pub(super) fn dependents(&self, node: u32) -> impl Iterator<Item = u32> {
        let mut next = self.first_dependent(node);
        std::iter::from_fn(move || {
            let (dependent, _, after) = self.dependent(next)?;
            next = after;
            Some(dependent)
        })
    }

    /// What the end of an attempt means for its task; `None` if none runs.
    #[inline]
    pub(super) fn verdict(&self, node: u32, ended: Attempt) -> Option<Verdict> {
        let State::Running { attempt, stop, .. } = self.nodes[node].state else { return None };
        Some(match (ended, stop) {
            (Attempt::Succeeded, None) => Verdict::Over(End::Succeeded),
            _ => self.verdict_of(node, attempt, ended, stop),
        })
    }

    fn verdict_of(&self, node: u32, attempt: u32, ended: Attempt, stop: Option<Stop>) -> Verdict {
        let timed_out = stop == Some(Stop::TimedOut) || ended == Attempt::TimedOut;
        let retryable = timed_out || matches!(ended, Attempt::Failed { retryable: true });
        let attempts = self.policy_of(node).retry.attempts;
        let of_policy = attempt - self.earlier(node);
        match (ended, stop) {
            (_, Some(Stop::Rerun)) => Verdict::Afresh,
            (_, Some(Stop::Discarded)) => Verdict::Over(End::Cancelled),
            (Attempt::Succeeded, _) => Verdict::Over(End::Succeeded),
            (_, Some(Stop::Cancelled)) => Verdict::Over(End::Cancelled),
            (Attempt::Declined, _) => Verdict::Over(End::Declined),
            _ if retryable && of_policy < attempts => Verdict::Again { timed_out },
            _ if timed_out => Verdict::Over(End::TimedOut),
            _ => Verdict::Over(End::Failed),
        }
    }

    /// Where the list of a task's dependents begins.
    pub(super) fn first_dependent(&self, node: u32) -> u32 {
        self.nodes[node].first_dependent
    }

    /// A link of such a list: the dependent, on what it goes on, and the next link.
    pub(super) fn dependent(&self, link: u32) -> Option<(u32, On, u32)> {
        let edge = self.edges.get(link)?;
        Some((edge.dependent, edge.on, edge.next))
    }

    /// Counts an ended need of a waiting task: `None` if it waits on, else whether it may start.
    pub(super) fn need_ended(&mut self, dependent: u32, on: On, end: End) -> Option<bool> {
        let State::Pending { missing } = &mut self.nodes[dependent].state else { return None };
        if *missing == DECIDED {
            return None;
        }
        if !on.admits(end) {
            // A second need that ends badly must not skip it twice.
            *missing = DECIDED;
            return Some(false);
        }
        *missing -= 1;
        (*missing == 0).then_some(true)
    }

    /// Nothing follows from the end of this task.
    pub(super) fn forget_dependents(&mut self, node: u32) {
        self.nodes[node].first_dependent = NONE;
    }

    pub(crate) fn priority(&self, node: u32) -> i32 {
        self.nodes[node].priority
    }

    pub(super) fn policy_of(&self, node: u32) -> Policy {
        self.policies[self.nodes[node].policy as usize]
    }

    pub(super) fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        for node in self.nodes.iter() {
            match node.state {
                State::Pending { .. } => progress.pending += 1,
                State::Ready { .. } => progress.ready += 1,
                State::Running { .. } => progress.running += 1,
                State::Backoff { .. } => progress.backoff += 1,
                State::Done { .. } => {
                    progress.over += 1;
                    continue;
                }
            }
            progress.work += f64::from(node.estimate);
            progress.longest = progress.longest.max(f64::from(node.rank));
        }
        progress
    }

    pub(super) fn count(&self) -> u32 {
        number(self.nodes.len())
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
                open.extend(self.dependents(at));
            }
        }
        false
    }

    /// The needs of a task that are not over.
    pub(super) fn unmet(&self, node: u32) -> Vec<u32> {
        let needs = self.needs.get(node).iter().map(|need| need.task);
        needs.filter(|need| !matches!(self.nodes[*need].state, State::Done { .. })).collect()
    }

    fn add_dependent(&mut self, of: u32, dependent: u32, on: On) {
        let edge = number(self.edges.len());
        let next = std::mem::replace(&mut self.nodes[of].first_dependent, edge);
        self.edges.push(Edge { dependent, on, next });
    }

    /// Most tasks of a run share a few policies.
    fn policy(&mut self, policy: Policy) -> u32 {
        let last = self.policies.len().wrapping_sub(1);
        // The last one is mostly the next one.
        if self.policies.last() == Some(&policy) {
            return number(last);
        }
        let known = self.policies.iter().rev().take(8).position(|of| *of == policy);
        let at = known.map(|back| last - back).unwrap_or_else(|| {
            self.policies.push(policy);
            self.policies.len() - 1
        });
        number(at)
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a run has fewer than 2^32 tasks and arrows")
}
