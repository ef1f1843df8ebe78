//! What a run would have taken with other limits, priorities or agents: recorded once, replayed in no time.
//!
//! A [`Recording`] is made from the [`Report`] of a run. [`Recording::replay`] gives its tasks to the engine's own scheduler, in
//! virtual time: what starts when follows from the same rules as in earnest, and each task takes as long as it was busy.
//!
//! What a replay does not know: a task's attempts are one, of their length together; memory and other resources are not
//! recorded, nor delays between attempts; every task that ran runs again, and none that did not; lengths are known in advance,
//! where a run goes by estimates; and more at a time may in truth slow each other down.
//!
//! # Examples
//! ```
//! use std::time::Duration;
//! use tidegate_workflow::whatif::{Comparison, Recording, Settings};
//! use tidegate_workflow::{Graph, Orchestrator, Task, TaskError};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut graph = Graph::new();
//! for page in 0..8 {
//!     let work = async |_| Ok::<(), TaskError>(tokio::time::sleep(Duration::from_secs(3)).await);
//!     graph.add(Task::new(format!("page {page}"), work).agent("reader"))?;
//! }
//! let report = Orchestrator::builder().limit(2).agent("reader", 2).build()?.run(graph).await?.into_report();
//!
//! let recording = Recording::of(&report);
//! let json = serde_json::to_string(&recording)?; // to be kept, and read another day
//! let recording: Recording = serde_json::from_str(&json)?;
//! let mut comparison = Comparison::new(&recording);
//! comparison.add("4 at once", Settings::limit(4).agent("reader", 4));
//! comparison.add("8 at once, 2 readers", Settings::limit(8).agent("reader", 2));
//! println!("{comparison}");
//! let makespans: Vec<u64> = comparison.columns().map(|(_, run)| run.makespan.as_secs()).collect();
//! assert_eq!(makespans, [12, 6, 12]);
//! # Ok(()) }
//! ```

mod replay;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::Report;

/// What is known of a run for replaying it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// The tasks that ran.
    pub tasks: Vec<Recorded>,
    /// How it went.
    pub actual: Replayed,
}

/// A task of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Its id.
    pub id: Arc<str>,
    /// Its agent.
    pub agent: Arc<str>,
    /// Its priority.
    pub priority: i32,
    /// The tasks it came after, by their places, in whatever order; what does not lead to a task is passed over.
    pub needs: Vec<usize>,
    /// How long its attempts ran, all together.
    pub busy: Duration,
}

impl Recording {
    /// The recording of a run. Of tasks that never ran nothing is kept; who needed one comes after what that needed.
    pub fn of(report: &Report) -> Self {
        let places = (0..).zip(&report.tasks).map(|(at, task)| (&task.id, at));
        let places: HashMap<&Arc<str>, usize> = places.collect();
        let needs = |at: usize| report.tasks[at].needs.iter().filter_map(|id| places.get(id));
        let ran = |at: usize| report.tasks[at].attempts > 0;
        // The places among those that ran.
        let mut new = vec![None; report.tasks.len()];
        let mut count = 0;
        for (at, new) in new.iter_mut().enumerate().filter(|(at, _)| ran(*at)) {
            *new = Some(count);
            count += usize::from(ran(at));
        }
        let mut tasks = Vec::with_capacity(count);
        for (at, task) in report.tasks.iter().enumerate().filter(|(at, _)| ran(*at)) {
            let (mut open, mut found): (Vec<usize>, _) = (needs(at).copied().collect(), Vec::new());
            let mut seen = vec![];
            while let Some(need) = open.pop() {
                match new[need] {
                    Some(place) => found.push(place),
                    None if !seen.contains(&need) => {
                        seen.push(need);
                        open.extend(needs(need));
                    }
                    None => {}
                }
            }
            found.sort_unstable();
            found.dedup();
            tasks.push(Recorded {
                id: Arc::clone(&task.id),
                agent: Arc::clone(&task.agent),
                priority: task.priority,
                needs: found,
                busy: task.busy,
            });
        }
        let mut agents: BTreeMap<Arc<str>, Used> = BTreeMap::new();
        for task in &tasks {
            agents.entry(Arc::clone(&task.agent)).or_default().busy += task.busy;
        }
        let (makespan, peak, busy) = (report.makespan, report.peak, report.busy);
        let waited = report.by_agent().values().map(|agent| agent.waited).sum();
        let actual = Replayed { makespan, busy, slots: peak, peak, waited, agents };
        Self { tasks, actual }
    }

    /// What the run takes under these settings.
    pub fn replay(&self, settings: &Settings) -> Replayed {
        replay::replay(self, settings)
    }
}

type OfTask<T> = Arc<dyn Fn(&Recorded) -> T + Send + Sync>;

/// Under what a recording is replayed. Agents that are not named have no limit but the overall one.
#[derive(Clone)]
#[must_use]
pub struct Settings {
    limit: usize,
    agents: HashMap<Arc<str>, usize>,
    per_minute: HashMap<Arc<str>, usize>,
    speed: HashMap<Arc<str>, f64>,
    priority: Option<OfTask<i32>>,
    assign: Option<OfTask<Arc<str>>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("limit", &self.limit)
            .field("agents", &self.agents)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// At most so many tasks at once; 0 counts as 1, so that every replay ends.
    pub fn limit(limit: usize) -> Self {
        let (agents, per_minute, speed) = Default::default();
        Self { limit: limit.max(1), agents, per_minute, speed, priority: None, assign: None }
    }

    /// At most so many of an agent's; 0 counts as 1.
    pub fn agent(mut self, name: impl Into<Arc<str>>, limit: usize) -> Self {
        self.agents.insert(name.into(), limit.max(1));
        self
    }

    /// At most so many starts of an agent's in a minute; 0 counts as 1.
    pub fn requests_per_minute(mut self, name: impl Into<Arc<str>>, requests: usize) -> Self {
        self.per_minute.insert(name.into(), requests.max(1));
        self
    }

    /// An agent that is so many times as fast as it was; what is no positive number counts as 1.
    pub fn speed(mut self, name: impl Into<Arc<str>>, factor: f64) -> Self {
        let factor = if factor.is_finite() && factor > 0.0 { factor } else { 1.0 };
        self.speed.insert(name.into(), factor);
        self
    }

    /// Other priorities.
    pub fn priority(mut self, of: impl Fn(&Recorded) -> i32 + Send + Sync + 'static) -> Self {
        self.priority = Some(Arc::new(of));
        self
    }

    /// Other agents.
    pub fn assign(mut self, to: impl Fn(&Recorded) -> Arc<str> + Send + Sync + 'static) -> Self {
        self.assign = Some(Arc::new(to));
        self
    }
}

/// What a run takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    /// From its start to its last task's end.
    pub makespan: Duration,
    /// How long its tasks ran, all together.
    pub busy: Duration,
    /// How many tasks may run at once; of what a report tells, the most that did.
    pub slots: usize,
    /// The most that ran at once.
    pub peak: usize,
    /// How long ready tasks waited for a slot, all together.
    pub waited: Duration,
    /// What it had of each agent.
    pub agents: BTreeMap<Arc<str>, Used>,
}

/// What a run had of an agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// How many of its tasks might run at once, if that was limited.
    pub limit: Option<usize>,
    /// How long those ran, all together.
    pub busy: Duration,
}

impl Replayed {
    /// The share of the slots' time that was used, 0 to 1. A limit beyond what the run could use counts in full.
    pub fn utilisation(&self) -> f64 {
        share(self.busy, self.makespan, self.slots)
    }

    /// The same of an agent that has a limit.
    pub fn utilisation_of(&self, agent: &str) -> Option<f64> {
        let used = self.agents.get(agent)?;
        Some(share(used.busy, self.makespan, used.limit?))
    }
}

fn share(busy: Duration, makespan: Duration, slots: usize) -> f64 {
    let all = makespan.as_secs_f64() * slots as f64;
    if all > 0.0 { busy.as_secs_f64() / all } else { 0.0 }
}

/// Replays side by side, the run itself first; its [`Display`](fmt::Display) is a table.
#[derive(Debug, Clone)]
pub struct Comparison<'r> {
    recording: &'r Recording,
    columns: Vec<(String, Replayed)>,
}

impl<'r> Comparison<'r> {
    /// With what a recording tells of its run.
    pub fn new(recording: &'r Recording) -> Self {
        let actual = ("as it was".to_owned(), recording.actual.clone());
        Self { recording, columns: vec![actual] }
    }

    /// Replays the recording under other settings, in a column of this name.
    pub fn add(&mut self, name: impl Into<String>, settings: Settings) -> &Replayed {
        self.columns.push((name.into(), self.recording.replay(&settings)));
        &self.columns[self.columns.len() - 1].1
    }

    /// The columns by their names.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Replayed)> {
        self.columns.iter().map(|(name, run)| (name.as_str(), run))
    }
}

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = || self.columns.iter().map(|(_, run)| run);
        let base = self.recording.actual.makespan.as_secs_f64();
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let mut rows: Vec<(String, Vec<String>)> = vec![
            (String::new(), self.columns.iter().map(|(name, _)| name.clone()).collect()),
            ("makespan".to_owned(), runs().map(|run| format!("{:.3?}", run.makespan)).collect()),
            (
                "times as fast".to_owned(),
                runs().map(|run| format!("{:.2}", base / run.makespan.as_secs_f64())).collect(),
            ),
            ("utilisation".to_owned(), runs().map(|run| percent(run.utilisation())).collect()),
            (
                "at once".to_owned(),
                runs().map(|run| format!("{} of {}", run.peak, run.slots)).collect(),
            ),
            ("waited".to_owned(), runs().map(|run| format!("{:.3?}", run.waited)).collect()),
        ];
        let mut agents: Vec<&Arc<str>> = runs().flat_map(|run| run.agents.keys()).collect();
        agents.sort_unstable();
        agents.dedup();
        for agent in agents {
            let cell = |run: &Replayed| match (run.utilisation_of(agent), run.agents.get(agent)) {
                (Some(share), _) => percent(share),
                (None, Some(used)) => format!("{:.3?}", used.busy),
                (None, None) => "-".to_owned(),
            };
            rows.push((agent.to_string(), runs().map(cell).collect()));
        }
        let width = |text: &String| text.chars().count();
        let first = rows.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| rows.iter().map(|(_, cells)| width(&cells[at])).max().unwrap_or(0))
            .collect();
        for (name, cells) in &rows {
            write!(f, "{name:<first$}")?;
            for (cell, width) in cells.iter().zip(&widths) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
