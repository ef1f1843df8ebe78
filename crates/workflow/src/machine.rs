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
//! From every state a task may go back to the beginning: see [`rerun`].
//!
//! Invariants:
//! 1. What runs stays within every limit, overall, of its agent and of each resource; use exceeds a limit only after the
//!    limit shrank. No minute sees more starts of an agent than its rate.
//! 2. A task is started only if all that it takes is free: it takes everything at once or nothing.
//! 3. A blocked agent blocks only itself (see [`admission`]).
//! 4. Every task of a run ends as `Done` exactly once, and once more each time it is to run [again](rerun); and the run is told as done after its last task.
//! 5. Nothing of a run is kept once it is done and handed over.
//! 6. Events change the state; only [`Machine::admit`] starts tasks. The driver calls it when it has told all it knows.

mod action;
mod admission;
mod breaker;
mod budget;
mod by_id;
mod ids;
mod limits;
mod needs;
mod rate;
mod ready;
mod rerun;
mod run;
mod runs;
mod settle;
mod start;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::HashMap;
use std::time::Duration;

pub(crate) use action::{Action, Attempt, End, Stop, Verdict, Waiting};
use admission::Admission;
pub(crate) use admission::{Constraint, Demand};
pub use breaker::Breaker;
use breaker::Health;
pub(crate) use by_id::ById;
pub(crate) use ids::{AgentId, ClassId, ResourceId, RunId, TaskRef, TenantId};
pub(crate) use needs::{Need, On};
use run::State;
pub(crate) use run::{NodeSpec, Past, Planned, Policy, Progress, Run};
pub(crate) use runs::Runs;
use timers::{Due, Timers};

/// From how many tasks on that are ready at once it pays to make room for all of them first.
const MANY: usize = 1024;

/// What is known of a ready task when it is scored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) priority: i32,
    /// The longest estimated way from its start to the end of the run, in seconds.
    pub(crate) rank: f32,
    pub(crate) estimate: f32,
    pub(crate) complexity: f32,
    pub(crate) dependents: u32,
}

/// Puts a number on a ready task; a higher one starts first. Without it: by priority, then by the way to the end (see [`start`]),
/// then by how many need it.
pub(crate) type Score = Box<dyn FnMut(Facts) -> f32 + Send>;

/// A task that was added to a live run, and what is to follow from that.
pub(crate) struct Placed(TaskRef, run::Decided);

/// The state of everything that is submitted and not over.
pub(crate) struct Machine {
    admission: Admission,
    runs: Runs<Run>,
    timers: Timers,
    next_ready: u64,
    score: Option<Score>,
    /// What tenants may still spend, of those for whom there is an end to it.
    tenant_budgets: HashMap<TenantId, u64>,
    /// Runs that are over, until the driver takes them.
    over: Vec<(RunId, Run)>,
    /// Empty; its memory serves every settlement.
    now_ready: Vec<TaskRef>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("admission", &self.admission)
            .field("runs", &self.runs)
            .field("timers", &self.timers)
            .finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine that admits `limit` tasks at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            admission: Admission::new(limit),
            runs: Runs::default(),
            timers: Timers::default(),
            next_ready: 0,
            score: None,
            tenant_budgets: HashMap::new(),
            over: Vec::new(),
            now_ready: Vec::new(),
        }
    }

    /// Takes a run, under an id that was never used. The needs of its tasks close no cycle. Past `timeout` it is cancelled.
    pub(crate) fn submit(
        &mut self,
        id: RunId,
        mut run: Run,
        timeout: Option<Duration>,
        now: Duration,
        out: &mut Vec<Action>,
    ) {
        let ready = run.link();
        if ready.len() >= MANY {
            let classes = ready.iter().map(|node| run.nodes[*node].class);
            self.admission.reserve(classes.collect());
        }
        self.runs.insert(id, run);
        out.push(Action::Began { run: id });
        self.go_on(id, out);
        self.close(id, out);
        if let Some(timeout) = timeout {
            self.set_timer(now.saturating_add(timeout), Due::Run { run: id });
        }
        for node in ready {
            let Some(run) = self.runs.get(id) else { return };
            if matches!(run.nodes[node].state, State::Pending { .. }) {
                self.queue(TaskRef { run: id, node }, None);
            }
        }
    }

    /// Adds a task to a live run, placed before tasks of it that have not started. The caller has checked that no cycle closes
    /// and that every task of `before` is [`Self::is_pending`]. Nothing follows before [`Self::settle_in`], so that others can
    /// be placed before the same tasks, even if this one is over already. `None` when the run is over.
    pub(crate) fn place(&mut self, run: RunId, spec: NodeSpec, before: &[u32]) -> Option<Placed> {
        let (node, decided) = self.runs.get_mut(run)?.insert(spec, before);
        Some(Placed(TaskRef { run, node }, decided))
    }

    /// What follows from a task that was placed.
    pub(crate) fn settle_in(&mut self, Placed(task, decided): Placed, out: &mut Vec<Action>) {
        // Its run may have been cancelled by what followed from another.
        if !self.is_pending(task) {
            return;
        }
        match decided {
            run::Decided::Pending => {}
            run::Decided::Ready => self.make_ready(task, out),
            run::Decided::Over(end) => self.finish(task, end, out),
        }
    }

    /// Hands over a run that was told as done: who needed whom.
    pub(crate) fn take_over(&mut self, run: RunId) -> Option<Run> {
        let at = self.over.iter().position(|(id, _)| *id == run)?;
        Some(self.over.swap_remove(at).1)
    }

    /// The tasks that a task of a live run needs.
    pub(crate) fn needs(&self, task: TaskRef) -> &[Need] {
        self.runs.get(task.run).map_or(&[], |run| run.needs(task.node))
    }

    /// The tasks of a live run that need nobody and only wait for their slots.
    pub(crate) fn ready_roots(&self, run: RunId) -> impl Iterator<Item = u32> {
        self.runs.get(run).into_iter().flat_map(Run::ready_roots)
    }

    /// Whether the task still waits for others, so that one more can be placed before it.
    pub(crate) fn is_pending(&self, task: TaskRef) -> bool {
        self.state(task).is_some_and(|state| matches!(state, State::Pending { .. }))
    }

    /// Whether `to` needs `from`, directly or through others: a task placed before `from` must not need `to`.
    pub(crate) fn reaches(&self, run: RunId, from: u32, to: u32) -> bool {
        self.runs.get(run).is_some_and(|run| run.reaches(from, to))
    }

    /// Reports the end of a running attempt, which ran for so long, without the time for which it was parked. An attempt that was asked to stop ends as what it was
    /// stopped for, unless it succeeded all the same.
    pub(crate) fn ended(
        &mut self,
        task: TaskRef,
        ended: Attempt,
        took: Duration,
        now: Duration,
        out: &mut Vec<Action>,
    ) {
        let Some(run) = self.runs.get_mut(task.run) else { return };
        let Some(verdict) = run.verdict(task.node, ended) else { return };
        let node = &run.nodes[task.node];
        let State::Running { attempt, stop, parked } = node.state else { return };
        let (class, estimate) = (node.class, node.estimate);
        let health = match ended {
            Attempt::Succeeded => Health::Well,
            _ if matches!(stop, Some(Stop::Cancelled | Stop::Rerun | Stop::Discarded)) => {
                Health::Unknown
            }
            Attempt::Declined => Health::Unknown,
            Attempt::Failed { .. } | Attempt::TimedOut => Health::Ill,
        };
        self.admission.ended((class, task, attempt), health, now);
        if parked {
            self.admission.charge(class, (0.0, took));
        } else {
            self.admission.give_back(class, (estimate, took));
        }
        match verdict {
            Verdict::Again { timed_out } => {
                let seed = task.run.0 ^ u64::from(task.node) << 32;
                let of_policy = attempt - run.earlier(task.node);
                let retry = run.policy_of(task.node).retry;
                let at = now.saturating_add(retry.delay_after(of_policy, seed));
                let until = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
                run.nodes[task.node].state = State::Backoff { failed: attempt, until };
                self.set_timer(at, Due::Retry { task, attempt });
                out.push(Action::Retry { task, failed: attempt, timed_out, at });
            }
            Verdict::Afresh => {
                self.forget(task, out);
                self.decide(task, vec![task.node], out);
                self.close(task.run, out);
            }
            Verdict::Over(end) => self.finish(task, end, out),
        }
    }

    /// A running attempt gives back all that it took, and goes on: it waits for others that are to run within its work. Says
    /// whether it had something to give back.
    pub(crate) fn park(&mut self, task: TaskRef) -> bool {
        let Some(run) = self.runs.get_mut(task.run) else { return false };
        let node = &mut run.nodes[task.node];
        let (class, estimate) = (node.class, node.estimate);
        let State::Running { parked, attempt, .. } = &mut node.state else { return false };
        if std::mem::replace(parked, true) {
            return false;
        }
        self.admission.parked((class, task, *attempt));
        // What it has taken of time so far is charged at its end.
        self.admission.give_back(class, (estimate, Duration::ZERO));
        true
    }

    /// What [`Self::ended`] would make of this end; `None` if no attempt of the task runs.
    pub(crate) fn verdict(&self, task: TaskRef, ended: Attempt) -> Option<Verdict> {
        self.runs.get(task.run)?.verdict(task.node, ended)
    }

    /// Why the running attempt was asked to stop, if it was.
    pub(crate) fn stopping(&self, task: TaskRef) -> Option<Stop> {
        match self.state(task) {
            Some(State::Running { stop, .. }) => *stop,
            _ => None,
        }
    }

    /// Whether no attempt of the task runs, or the one that does is to stop.
    pub(crate) fn is_stopping_or_over(&self, task: TaskRef) -> bool {
        !matches!(self.state(task), Some(State::Running { stop: None, .. }))
    }

    /// Cancels a task: it does not start, or is asked to stop. Its dependents are skipped once it has ended.
    pub(crate) fn cancel_task(&mut self, task: TaskRef, out: &mut Vec<Action>) {
        match self.state(task) {
            None | Some(State::Done { .. }) => {}
            Some(State::Running { .. }) => self.stop(task, Stop::Cancelled, out),
            Some(State::Pending { .. } | State::Ready { .. } | State::Backoff { .. }) => {
                self.settle(task, End::Cancelled, out);
                self.close(task.run, out);
            }
        }
    }

    /// Cancels a run: what has not started never will, what runs is asked to stop.
    pub(crate) fn cancel_run(&mut self, run: RunId, out: &mut Vec<Action>) {
        self.cancel_nodes(run, out);
        self.close(run, out);
    }

    /// How far a live run is.
    pub(crate) fn progress(&self, run: RunId) -> Option<Progress> {
        Some(self.runs.get(run)?.progress())
    }

    /// Why the task is not running; `None` when its run is over.
    pub(crate) fn waiting(&mut self, task: TaskRef, now: Duration) -> Option<Waiting> {
        let run = self.runs.get(task.run)?;
        let node = run.nodes.get(task.node)?;
        Some(match node.state {
            State::Pending { .. } => Waiting::Needs(run.unmet(task.node)),
            State::Ready { .. } => self.admission.why(node.class, now),
            State::Backoff { until, .. } => Waiting::Backoff { until: Duration::from_nanos(until) },
            State::Running { .. } => Waiting::Running,
            State::Done { .. } => Waiting::Done,
        })
    }

    fn state(&self, task: TaskRef) -> Option<&State> {
        Some(&self.runs.get(task.run)?.nodes.get(task.node)?.state)
    }

    fn stop(&mut self, task: TaskRef, why: Stop, out: &mut Vec<Action>) {
        let Some(run) = self.runs.get_mut(task.run) else { return };
        if let State::Running { stop, .. } = &mut run.nodes[task.node].state
            // A time-out that is under way is overridden, so that nothing is retried; of the others the last counts.
            && (stop.is_none() || why != Stop::TimedOut)
        {
            let told = stop.is_some();
            let is_stale = matches!(stop, Some(Stop::Rerun | Stop::Discarded));
            *stop = Some(if is_stale && why == Stop::Cancelled { Stop::Discarded } else { why });
            if !told {
                out.push(Action::Stop { task });
            }
        }
    }
}
