//! What a run did, as plain values.

mod ended;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Outcome;
pub(crate) use ended::{Ended, Names};

/// What became of one task. Times count from the start of its run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// Its id.
    pub id: Arc<str>,
    /// Its agent.
    pub agent: Arc<str>,
    /// The tasks that it needed or wanted.
    pub needs: Vec<Arc<str>>,
    /// Its priority.
    #[serde(default)]
    pub priority: i32,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How many attempts it took; 0 if it never started.
    pub attempts: u32,
    /// When its needs were met.
    pub ready: Option<Duration>,
    /// When its first attempt started.
    pub started: Option<Duration>,
    /// When it was over.
    pub ended: Duration,
    /// How long its attempts ran, all together.
    pub busy: Duration,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Every task, in the order in which they came to the graph.
    pub tasks: Vec<TaskReport>,
    /// From the start of the run to its last task's end.
    pub makespan: Duration,
    /// How long all attempts ran: what one after another would have taken.
    pub busy: Duration,
    /// The chain of needs whose attempts ran longest, first task first: no limit could make the run shorter than this.
    pub critical_path: Vec<Arc<str>>,
    /// How long the attempts on the critical path ran.
    pub critical_path_busy: Duration,
    /// The most that ran at once.
    pub peak: usize,
    /// For how long at least two ran at once.
    pub parallel: Duration,
}

impl Report {
    /// Whether every task succeeded.
    pub fn is_success(&self) -> bool {
        self.tasks.iter().all(|task| task.outcome.is_success())
    }

    /// How many tasks ended in each way: `succeeded`, `failed`, `timed_out`, `cancelled`, `declined`, `skipped`, `unknown`.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for task in &self.tasks {
            let name = match task.outcome {
                Outcome::Succeeded => "succeeded",
                Outcome::Failed { .. } => "failed",
                Outcome::TimedOut => "timed_out",
                Outcome::Cancelled => "cancelled",
                Outcome::Declined => "declined",
                Outcome::Skipped { .. } => "skipped",
                Outcome::Unknown => "unknown",
            };
            *counts.entry(name).or_default() += 1;
        }
        counts
    }

    /// The share of the tasks that succeeded, 0 to 1; 1 if there were none.
    pub fn success_rate(&self) -> f64 {
        let succeeded = self.tasks.iter().filter(|task| task.outcome.is_success()).count();
        if self.tasks.is_empty() { 1.0 } else { succeeded as f64 / self.tasks.len() as f64 }
    }

    /// How many tasks succeeded in a second; 0 of a run that took no time.
    pub fn throughput(&self) -> f64 {
        let succeeded = self.tasks.iter().filter(|task| task.outcome.is_success()).count();
        let seconds = self.makespan.as_secs_f64();
        if seconds > 0.0 { succeeded as f64 / seconds } else { 0.0 }
    }

    /// How long the tasks that ran were busy, on average; zero if none ran.
    pub fn mean_busy(&self) -> Duration {
        let ran = self.tasks.iter().filter(|task| task.attempts > 0).count();
        let ran = u32::try_from(ran).unwrap_or(u32::MAX);
        self.busy.checked_div(ran).unwrap_or_default()
    }

    /// What each agent did.
    pub fn by_agent(&self) -> BTreeMap<Arc<str>, AgentReport> {
        let mut agents: BTreeMap<Arc<str>, AgentReport> = BTreeMap::new();
        for task in &self.tasks {
            let agent = agents.entry(Arc::clone(&task.agent)).or_default();
            agent.tasks += 1;
            agent.succeeded += usize::from(task.outcome.is_success());
            agent.attempts += u64::from(task.attempts);
            agent.busy += task.busy;
            let waited = task.started.zip(task.ready);
            agent.waited += waited.map_or(Duration::ZERO, |(to, from)| to.saturating_sub(from));
        }
        agents
    }

    /// How many times faster than one task after another.
    pub fn speed_up(&self) -> f64 {
        ratio(self.busy, self.makespan)
    }

    /// The speed-up over the most that ran at once: 1 when that many ran all the time.
    pub fn parallel_efficiency(&self) -> f64 {
        self.speed_up() / self.peak.max(1) as f64
    }

    /// The share of the run during which at least two tasks ran.
    pub fn parallel_share(&self) -> f64 {
        ratio(self.parallel, self.makespan)
    }
}

/// What one agent did in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentReport {
    /// How many tasks were its.
    pub tasks: usize,
    /// How many of them succeeded.
    pub succeeded: usize,
    /// How many attempts they took.
    pub attempts: u64,
    /// How long those ran, all together: over the makespan it is how many of the agent's slots were in use on average.
    pub busy: Duration,
    /// How long its tasks waited for their first slot, all together.
    pub waited: Duration,
}

/// Of a critical path of more tasks than these only some are named.
const LONGEST: usize = 20;

/// The report in a few lines, for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts().into_iter().map(|(name, count)| format!("{count} {name}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        writeln!(f, "{} tasks: {counts}", self.tasks.len())?;
        writeln!(
            f,
            "{:.3?} for {:.3?} of work: {:.2} times as fast as one after another, at most {} at once, {:.0} % of the time in parallel",
            self.makespan,
            self.busy,
            self.speed_up(),
            self.peak,
            100.0 * self.parallel_share()
        )?;
        let path = match &*self.critical_path {
            [first @ .., last] if first.len() >= LONGEST => {
                format!(
                    "{} -> … -> {last} ({} tasks)",
                    first[..LONGEST / 2].join(" -> "),
                    first.len() + 1
                )
            }
            path => path.join(" -> "),
        };
        writeln!(f, "critical path, {:.3?}: {path}", self.critical_path_busy)?;
        for (name, agent) in self.by_agent() {
            let AgentReport { tasks, succeeded, busy, waited, .. } = agent;
            writeln!(
                f,
                "{name}: {succeeded} of {tasks} succeeded, {busy:.3?} busy, {waited:.3?} waited for a slot"
            )?;
        }
        Ok(())
    }
}

fn ratio(a: Duration, b: Duration) -> f64 {
    if b.is_zero() { 1.0 } else { a.as_secs_f64() / b.as_secs_f64() }
}
