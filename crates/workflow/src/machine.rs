//! The scheduler's state as a pure machine: an event comes in, actions go out.
//!
//! It knows no clock, lock, task or I/O. Time is a parameter (since any fixed moment), tasks are numbers. Whoever drives it
//! does what the [`Action`]s say and reports back.
//!
//! ```text
//!            needs done        admitted            ended well
//! Pending ──────────────▶ Ready ──────▶ Running ──────────────▶ Done
//!    │                      ▲  │           │ failed, attempts left    ▲
//!    │ a need failed        │  │ cancelled ▼                          │
//!    ├──────────────────────┼──┼───────▶ Backoff ─── cancelled ───────┤
//!    │                      └──┼─ due ─────┘                          │
//!    └──────────── skipped ────┴──────────────────────────────────────┘
//! ```
//!
//! Invariants:
//! 1. `running` is the number of tasks in `Running`, overall and for each agent; it exceeds a limit only after the limit shrank.
//! 2. A task is started only if a slot of its agent and an overall slot are free: both are taken at once or neither.
//! 3. A blocked agent blocks only itself: every agent has its own ready queue.
//! 4. Every task of a run ends as `Done` exactly once, and the run is told as done after its last task.
//! 5. Nothing of a run is kept once it is done.

mod by_id;
mod ready;
mod run;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

pub(crate) use by_id::ById;
use ready::Ready;
pub(crate) use run::{Need, NodeSpec};
use run::{Run, State};

/// Missing needs of a task that is about to be skipped.
const TO_BE_SKIPPED: u32 = u32::MAX;

/// A number that no two runs of a machine share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RunId(pub(crate) u64);

/// A task: its run, and its place in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TaskRef {
    pub(crate) run: RunId,
    pub(crate) node: u32,
}

/// An agent, by the order in which the machine met them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AgentId(pub(crate) u32);

/// How a task ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    /// It never started, because this task of its run did not succeed.
    Skipped {
        because: u32,
    },
}

/// How one attempt ended, as the driver saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Succeeded,
    Failed { retryable: bool },
}

/// Why a running attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    TimedOut,
    Cancelled,
}

/// What the driver has to do, or to tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Action {
    /// Run this attempt, counted from 1, and report its end with [`Machine::ended`].
    Start { task: TaskRef, attempt: u32 },
    /// Ask the running attempt to stop; its end is still to be reported.
    Stop { task: TaskRef },
    /// All needs of the task are met; it waits for a slot.
    Ready { task: TaskRef },
    /// The attempt did not succeed; the next one may start at `at`.
    Retry { task: TaskRef, failed: u32, timed_out: bool, at: Duration },
    /// The task is over.
    Settled { task: TaskRef, end: End },
    /// Every task of the run is over, and the machine has forgotten it.
    RunDone { run: RunId },
}

/// Why a task is not running.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Waiting {
    /// For these tasks of its run.
    Needs(Vec<u32>),
    /// For an overall slot.
    Limit,
    /// For a slot of its agent.
    AgentLimit,
    /// For its next attempt.
    Backoff { until: Duration },
    /// For nothing: it runs.
    Running,
    /// For nothing: it is over.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Timeout { attempt: u32 },
    Retry { attempt: u32 },
}

#[derive(Debug)]
struct Agent {
    limit: usize,
    running: usize,
    ready: Ready,
}

/// The state of everything that is submitted and not over.
#[derive(Debug)]
pub(crate) struct Machine {
    limit: usize,
    running: usize,
    agents: Vec<Agent>,
    runs: ById<Run>,
    timers: BinaryHeap<Reverse<(Duration, TaskRef, Due)>>,
    next_ready: u64,
}

impl Machine {
    /// A machine that admits `limit` tasks at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            running: 0,
            agents: Vec::new(),
            runs: ById::default(),
            timers: BinaryHeap::new(),
            next_ready: 0,
        }
    }

    /// Adds an agent that admits `limit` tasks at once.
    pub(crate) fn add_agent(&mut self, limit: usize) -> AgentId {
        self.agents.push(Agent { limit, running: 0, ready: Ready::default() });
        AgentId(u32::try_from(self.agents.len() - 1).expect("fewer than 2^32 agents"))
    }

    /// How many run, and how many are ready to.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.running, self.agents.iter().map(|agent| agent.ready.len()).sum())
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Changes the overall limit. Shrinking stops nothing; nobody is admitted until use is below the limit.
    pub(crate) fn set_limit(&mut self, limit: usize, now: Duration, out: &mut Vec<Action>) {
        self.limit = limit;
        self.admit(now, out);
    }

    /// Changes the limit of one agent, in the same way.
    pub(crate) fn set_agent_limit(
        &mut self,
        AgentId(agent): AgentId,
        limit: usize,
        now: Duration,
        out: &mut Vec<Action>,
    ) {
        self.agents[agent as usize].limit = limit;
        self.admit(now, out);
    }

    /// Takes a run, under an id that was never used, with its first tasks. `needs` point into the same list, in any order, without cycles.
    pub(crate) fn submit(
        &mut self,
        id: RunId,
        nodes: Vec<NodeSpec>,
        fail_fast: bool,
        now: Duration,
        out: &mut Vec<Action>,
    ) {
        let (run, ready) = Run::new(nodes, fail_fast);
        self.runs.insert(id, run);
        if self.runs[&id].left == 0 {
            self.runs.remove(&id);
            out.push(Action::RunDone { run: id });
        }
        ready.into_iter().for_each(|node| self.make_ready(TaskRef { run: id, node }, out));
        self.admit(now, out);
    }

    /// Adds a task to a live run, placed before tasks of it that have not started. The caller has checked that no cycle closes
    /// and that every task of `before` is [`Self::is_pending`]. Answers with the task, or `None` when the run is over.
    pub(crate) fn insert(
        &mut self,
        run: RunId,
        spec: NodeSpec,
        before: &[u32],
        now: Duration,
        out: &mut Vec<Action>,
    ) -> Option<TaskRef> {
        let state = self.runs.get_mut(&run)?;
        let (node, verdict) = state.insert(spec, before);
        let task = TaskRef { run, node };
        match verdict {
            run::Inserted::Pending => {}
            run::Inserted::Ready => {
                self.make_ready(task, out);
                self.admit(now, out);
            }
            run::Inserted::Over(end) => {
                self.settle(task, end, out);
                self.close(run, out);
            }
        }
        Some(task)
    }

    /// Whether the task still waits for others, so that one more can be placed before it.
    pub(crate) fn is_pending(&self, task: TaskRef) -> bool {
        self.state(task).is_some_and(|state| matches!(state, State::Pending { .. }))
    }

    /// Whether `to` needs `from`, directly or through others: a task placed before `from` must not need `to`.
    pub(crate) fn reaches(&self, run: RunId, from: u32, to: u32) -> bool {
        self.runs.get(&run).is_some_and(|run| run.reaches(from, to))
    }

    /// Reports the end of a running attempt. An attempt that was asked to stop ends as what it was stopped for, unless it
    /// succeeded all the same.
    pub(crate) fn ended(
        &mut self,
        task: TaskRef,
        ended: Attempt,
        now: Duration,
        out: &mut Vec<Action>,
    ) {
        let Some(run) = self.runs.get_mut(&task.run) else { return };
        let fail_fast = run.fail_fast;
        let cancelled = run.cancelled;
        let node = &mut run.nodes[task.node as usize];
        let State::Running { attempt, stop } = node.state else { return };
        let agent = node.agent;
        let attempts_left = attempt < node.retry.attempts;
        let retry_at = now.saturating_add(
            node.retry.delay_after(attempt, task.run.0 ^ u64::from(task.node) << 32),
        );
        self.running -= 1;
        self.agents[agent.0 as usize].running -= 1;
        let timed_out = stop == Some(Stop::TimedOut);
        let retryable = timed_out || matches!(ended, Attempt::Failed { retryable: true });
        let end = match (ended, stop) {
            (Attempt::Succeeded, _) => Some(End::Succeeded),
            (_, Some(Stop::Cancelled)) => Some(End::Cancelled),
            _ if retryable && attempts_left && !cancelled => None,
            (_, Some(Stop::TimedOut)) => Some(End::TimedOut),
            (Attempt::Failed { .. }, None) => Some(End::Failed),
        };
        match end {
            None => {
                node.state = State::Backoff { failed: attempt, until: retry_at };
                self.timers.push(Reverse((retry_at, task, Due::Retry { attempt })));
                out.push(Action::Retry { task, failed: attempt, timed_out, at: retry_at });
            }
            Some(end) => {
                self.settle(task, end, out);
                if fail_fast && matches!(end, End::Failed | End::TimedOut) {
                    self.cancel_nodes(task.run, out);
                }
                self.close(task.run, out);
            }
        }
        self.admit(now, out);
    }

    /// When [`Self::tick`] is next needed.
    pub(crate) fn next_due(&mut self) -> Option<Duration> {
        while let Some(Reverse((at, task, due))) = self.timers.peek() {
            if self.is_due(*task, *due) {
                return Some(*at);
            }
            self.timers.pop();
        }
        None
    }

    /// Does what is due at `now`: time-outs and retries.
    pub(crate) fn tick(&mut self, now: Duration, out: &mut Vec<Action>) {
        while let Some(at) = self.next_due() {
            if now < at {
                break;
            }
            let Reverse((_, task, due)) = self.timers.pop().expect("next_due has just seen it");
            match due {
                Due::Timeout { .. } => self.stop(task, Stop::TimedOut, out),
                Due::Retry { .. } => self.make_ready(task, out),
            }
        }
        self.admit(now, out);
    }

    /// Cancels a task: it does not start, or is asked to stop. Its dependents are skipped once it has ended.
    pub(crate) fn cancel_task(&mut self, task: TaskRef, now: Duration, out: &mut Vec<Action>) {
        match self.state(task) {
            None | Some(State::Done { .. }) => return,
            Some(State::Running { .. }) => self.stop(task, Stop::Cancelled, out),
            Some(State::Pending { .. } | State::Ready { .. } | State::Backoff { .. }) => {
                self.settle(task, End::Cancelled, out);
                self.close(task.run, out);
            }
        }
        self.admit(now, out);
    }

    /// Cancels a run: what has not started never will, what runs is asked to stop.
    pub(crate) fn cancel_run(&mut self, run: RunId, now: Duration, out: &mut Vec<Action>) {
        self.cancel_nodes(run, out);
        self.close(run, out);
        self.admit(now, out);
    }

    /// Why the task is not running; `None` when its run is over.
    pub(crate) fn waiting(&self, task: TaskRef) -> Option<Waiting> {
        let run = self.runs.get(&task.run)?;
        let node = run.nodes.get(task.node as usize)?;
        let agent = &self.agents[node.agent.0 as usize];
        Some(match node.state {
            State::Pending { .. } => Waiting::Needs(run.unmet(task.node)),
            State::Ready { .. } if agent.limit <= agent.running => Waiting::AgentLimit,
            State::Ready { .. } => Waiting::Limit,
            State::Backoff { until, .. } => Waiting::Backoff { until },
            State::Running { .. } => Waiting::Running,
            State::Done { .. } => Waiting::Done,
        })
    }

    fn state(&self, task: TaskRef) -> Option<State> {
        Some(self.runs.get(&task.run)?.nodes.get(task.node as usize)?.state)
    }

    fn is_due(&self, task: TaskRef, due: Due) -> bool {
        match (self.state(task), due) {
            (Some(State::Running { attempt, stop: None }), Due::Timeout { attempt: of }) => {
                attempt == of
            }
            (Some(State::Backoff { failed, .. }), Due::Retry { attempt: of }) => failed == of,
            _ => false,
        }
    }

    fn make_ready(&mut self, task: TaskRef, out: &mut Vec<Action>) {
        let run = self.runs.get_mut(&task.run).expect("a ready task's run is live");
        let node = &mut run.nodes[task.node as usize];
        let failed = if let State::Backoff { failed, .. } = node.state { failed } else { 0 };
        let seq = self.next_ready;
        self.next_ready += 1;
        node.state = State::Ready { failed, seq };
        self.agents[node.agent.0 as usize].ready.push(node.priority, node.rank, seq, task);
        out.push(Action::Ready { task });
    }

    /// Starts ready tasks while both an overall slot and one of their agent are free (invariant 2).
    fn admit(&mut self, now: Duration, out: &mut Vec<Action>) {
        while self.running < self.limit {
            let open =
                self.agents.iter().enumerate().filter(|(_, agent)| agent.running < agent.limit);
            let best = open.filter_map(|(at, agent)| agent.ready.best().map(|key| (key, at))).max();
            let Some((_, at)) = best else { break };
            let task = self.agents[at].ready.pop().expect("its best key was just seen");
            self.start(task, now, out);
        }
    }

    fn start(&mut self, task: TaskRef, now: Duration, out: &mut Vec<Action>) {
        let run = self.runs.get_mut(&task.run).expect("a ready task's run is live");
        let node = &mut run.nodes[task.node as usize];
        let State::Ready { failed, .. } = node.state else {
            unreachable!("only ready tasks are queued")
        };
        let attempt = failed + 1;
        node.state = State::Running { attempt, stop: None };
        self.running += 1;
        self.agents[node.agent.0 as usize].running += 1;
        if let Some(timeout) = node.timeout {
            self.timers.push(Reverse((
                now.saturating_add(timeout),
                task,
                Due::Timeout { attempt },
            )));
        }
        out.push(Action::Start { task, attempt });
    }

    fn stop(&mut self, task: TaskRef, why: Stop, out: &mut Vec<Action>) {
        let Some(run) = self.runs.get_mut(&task.run) else { return };
        if let State::Running { stop, .. } = &mut run.nodes[task.node as usize].state
            // A cancellation overrides a time-out that is under way, so that it is not retried.
            && (stop.is_none() || (*stop == Some(Stop::TimedOut) && why == Stop::Cancelled))
        {
            let told = stop.is_some();
            *stop = Some(why);
            if !told {
                out.push(Action::Stop { task });
            }
        }
    }

    /// Ends a task for good and what follows from it for its dependents, without recursion: chains are long.
    fn settle(&mut self, task: TaskRef, end: End, out: &mut Vec<Action>) {
        let mut ended = vec![(task.node, end)];
        while let Some((node, end)) = ended.pop() {
            let run = self.runs.get_mut(&task.run).expect("a task that ends is of a live run");
            let at = &mut run.nodes[node as usize];
            if let State::Ready { seq, .. } = at.state {
                self.agents[at.agent.0 as usize].ready.remove(at.priority, at.rank, seq);
            }
            at.state = State::Done { ok: end == End::Succeeded };
            run.left -= 1;
            out.push(Action::Settled { task: TaskRef { run: task.run, node }, end });
            for need in std::mem::take(&mut at.dependents) {
                let dependent = &mut run.nodes[need.task as usize];
                let State::Pending { missing } = &mut dependent.state else { continue };
                if *missing == TO_BE_SKIPPED {
                    continue;
                }
                if end == End::Succeeded || need.optional {
                    *missing -= 1;
                    if *missing == 0 {
                        let ready = TaskRef { run: task.run, node: need.task };
                        // Ready at once, although more may end: order among them is by priority alone.
                        run.now_ready.push(ready);
                    }
                } else {
                    // The root of the failure is what a person wants to see, not the skipped task in between.
                    let because = if let End::Skipped { because } = end { because } else { node };
                    // A second failed need must not skip it twice.
                    *missing = TO_BE_SKIPPED;
                    ended.push((need.task, End::Skipped { because }));
                }
            }
        }
        let run = self.runs.get_mut(&task.run).expect("it was live above");
        for ready in std::mem::take(&mut run.now_ready) {
            self.make_ready(ready, out);
        }
    }

    fn cancel_nodes(&mut self, id: RunId, out: &mut Vec<Action>) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.cancelled = true;
        let count = u32::try_from(run.nodes.len()).expect("a run has fewer than 2^32 tasks");
        for node in 0..count {
            let task = TaskRef { run: id, node };
            match self.runs[&id].nodes[node as usize].state {
                State::Running { .. } => self.stop(task, Stop::Cancelled, out),
                State::Done { .. } => {}
                State::Pending { .. } | State::Ready { .. } | State::Backoff { .. } => {
                    // Alone, without its dependents: those are cancelled themselves, and say so.
                    self.runs.get_mut(&id).expect("it is live").nodes[node as usize]
                        .dependents
                        .clear();
                    self.settle(task, End::Cancelled, out);
                }
            }
        }
    }

    /// Forgets the run if its last task is over (invariants 4 and 5).
    fn close(&mut self, run: RunId, out: &mut Vec<Action>) {
        if self.runs.get(&run).is_some_and(|state| state.left == 0) {
            self.runs.remove(&run);
            out.push(Action::RunDone { run });
        }
    }
}
