//! What is due at some time.

use std::cmp::Reverse;
use std::time::Duration;

use super::run::State;
use super::{Action, AgentId, Machine, RunId, Stop, TaskRef};

/// How many timers of attempts that are over are kept before they are thrown out.
pub(super) const STALE_TIMERS: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Timeout { task: TaskRef, attempt: u32 },
    Retry { task: TaskRef, attempt: u32 },
    Run { run: RunId },
    Agent { agent: AgentId },
}

impl Machine {
    /// When [`Self::tick`] is next needed, or before: what is due then may have been overtaken.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Does what is due at `now`: time-outs, retries, rates and breakers.
    pub(crate) fn tick(&mut self, now: Duration, out: &mut Vec<Action>) {
        while self.next_due().is_some_and(|at| at <= now) {
            let Reverse((at, due)) = self.timers.pop().expect("it was seen above");
            if !self.is_due(at, due) {
                continue;
            }
            match due {
                Due::Timeout { task, .. } => self.stop(task, Stop::TimedOut, out),
                Due::Retry { task, .. } => self.retry(task, out),
                Due::Run { run } => self.cancel_run(run, out),
                Due::Agent { agent } => self.admission.wake(agent),
            }
        }
    }

    pub(super) fn set_timer(&mut self, at: Duration, due: Due) {
        if self.timers_bound < self.timers.len() {
            let mut timers = std::mem::take(&mut self.timers);
            timers.retain(|Reverse((at, due))| self.is_due(*at, *due));
            self.timers_bound = 2 * timers.len() + STALE_TIMERS;
            self.timers = timers;
        }
        self.timers.push(Reverse((at, due)));
    }

    fn is_due(&self, at: Duration, due: Due) -> bool {
        match due {
            Due::Timeout { task, attempt: of } => matches!(
                self.state(task),
                Some(State::Running { attempt, stop: None, .. }) if attempt == of
            ),
            Due::Retry { task, attempt: of } => {
                matches!(self.state(task), Some(State::Backoff { failed, .. }) if failed == of)
            }
            Due::Run { run } => self.runs.contains_key(&run),
            Due::Agent { agent } => self.admission.wakes_at(agent, at),
        }
    }

    /// The delay of a failed attempt is over. The next one starts, unless a need of it is to run again (see [`super::rerun`]).
    fn retry(&mut self, task: TaskRef, out: &mut Vec<Action>) {
        let run = self.runs.get_mut(&task.run).expect("a task in backoff is of a live run");
        if run.is_met(task.node) {
            return self.make_ready(task, out);
        }
        if let State::Backoff { failed, .. } = run.nodes[task.node].state {
            run.keep_failed(task.node, failed);
        }
        run.nodes[task.node].state = State::Pending { missing: 0 };
        self.decide(task, vec![task.node], out);
        self.close(task.run, out);
    }
}
