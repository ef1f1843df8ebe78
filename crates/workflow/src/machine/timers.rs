//! What is due at some time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
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

/// How many different time-outs have a line of their own.
const LINES: usize = 8;

/// All of it. Attempts with the same time-out are due in the order in which they started: they stand in a line, and most
/// leave it from the front as stale ones, before anything is sorted. The rest is in a heap.
#[derive(Debug)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Duration, Due)>>,
    lines: Vec<Line>,
    /// With more than this, those of attempts that are over are thrown out.
    bound: usize,
}

/// Attempts with one time-out, the one that is due first in front.
#[derive(Debug)]
struct Line {
    timeout: Duration,
    due: VecDeque<(Duration, Due)>,
}

impl Default for Timers {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), lines: Vec::new(), bound: STALE_TIMERS }
    }
}

impl Timers {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len() + self.lines.iter().map(|line| line.due.len()).sum::<usize>()
    }

    /// What is due first, and the place of its line if it stands in one.
    fn first(&self) -> Option<(Duration, Option<usize>)> {
        let mut first = self.heap.peek().map(|Reverse((at, _))| (*at, None));
        for (line, of) in self.lines.iter().enumerate() {
            if let Some((at, _)) = of.due.front()
                && first.is_none_or(|(first, _)| *at < first)
            {
                first = Some((*at, Some(line)));
            }
        }
        first
    }

    fn pop(&mut self, line: Option<usize>) -> Option<(Duration, Due)> {
        match line {
            Some(line) => self.lines[line].due.pop_front(),
            None => self.heap.pop().map(|Reverse(due)| due),
        }
    }

    /// The line of this time-out; a new one, or one that is empty, if there is none. `None` when there are too many.
    fn line(&mut self, timeout: Duration) -> Option<usize> {
        let known = self.lines.iter().position(|line| line.timeout == timeout);
        if known.is_some() {
            return known;
        }
        if let Some(empty) = self.lines.iter().position(|line| line.due.is_empty()) {
            self.lines[empty].timeout = timeout;
            return Some(empty);
        }
        if self.lines.len() == LINES {
            return None;
        }
        self.lines.push(Line { timeout, due: VecDeque::new() });
        Some(self.lines.len() - 1)
    }

    fn retain(&mut self, is_due: impl Fn(Duration, Due) -> bool) {
        self.heap.retain(|Reverse((at, due))| is_due(*at, *due));
        self.lines.iter_mut().for_each(|line| line.due.retain(|(at, due)| is_due(*at, *due)));
    }
}

impl Machine {
    /// When [`Self::tick`] is next needed, or before: what is due then may have been overtaken.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        Some(self.timers.first()?.0)
    }

    /// Does what is due at `now`: time-outs, retries, rates and breakers.
    pub(crate) fn tick(&mut self, now: Duration, out: &mut Vec<Action>) {
        while let Some((at, line)) = self.timers.first()
            && at <= now
        {
            let (at, due) = self.timers.pop(line).expect("it was seen above");
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
        self.timers.heap.push(Reverse((at, due)));
        self.throw_out_stale(self.timers.heap.len());
    }

    /// The attempt is to be over when it has run for so long.
    pub(super) fn set_timeout(&mut self, now: Duration, timeout: Duration, of: Due) {
        let Some(line) = self.timers.line(timeout) else {
            return self.set_timer(now.saturating_add(timeout), of);
        };
        // Two for one: a line of attempts that end in time stays as short as they are few.
        for _ in 0..2 {
            let front = self.timers.lines[line].due.front().copied();
            if front.is_none_or(|(at, due)| self.is_due(at, due)) {
                break;
            }
            self.timers.lines[line].due.pop_front();
        }
        let due = &mut self.timers.lines[line].due;
        // Turns read the clock before they begin, and hence not quite in their order.
        let last = due.back().map_or(Duration::ZERO, |(at, _)| *at);
        due.push_back((now.saturating_add(timeout).max(last), of));
        let len = due.len();
        self.throw_out_stale(len);
    }

    /// Throws out what is of attempts that are over, once a line or the heap is long.
    fn throw_out_stale(&mut self, len: usize) {
        if self.timers.bound < len {
            let mut timers = std::mem::take(&mut self.timers);
            timers.retain(|at, due| self.is_due(at, due));
            let lines = timers.lines.iter().map(|line| line.due.len());
            let longest = lines.chain([timers.heap.len()]).max().unwrap_or(0);
            timers.bound = 2 * longest + STALE_TIMERS;
            self.timers = timers;
        }
    }

    fn is_due(&self, at: Duration, due: Due) -> bool {
        match due {
            Due::Timeout { task, attempt: of } => matches!(
                self.state(task),
                Some(State::Running { attempt, stop: None, .. }) if *attempt == of
            ),
            Due::Retry { task, attempt: of } => {
                matches!(self.state(task), Some(State::Backoff { failed, .. }) if *failed == of)
            }
            Due::Run { run } => self.runs.contains(run),
            Due::Agent { agent } => self.admission.wakes_at(agent, at),
        }
    }

    /// The delay of a failed attempt is over. The next one starts, unless a need of it is to run again (see [`super::rerun`]).
    fn retry(&mut self, task: TaskRef, out: &mut Vec<Action>) {
        let run = self.runs.get_mut(task.run).expect("a task in backoff is of a live run");
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
