//! Runs of graphs at their time: at once, at a moment, by cron.
//!
//! A [`Scheduler`] knows [`Job`]s. Tick by tick it runs what is due and [tells what it did](Scheduler::tick), or it
//! [runs by itself](Scheduler::run). Jobs that are due together run together or one after another ([`Mode`]); what failed
//! together can be tried once more alone ([`Scheduler::fall_back`]).
//!
//! ```
//! use tidegate_workflow::schedule::{Job, Scheduler};
//! use tidegate_workflow::{Graph, Orchestrator, Task, TaskError};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let report = || {
//!     let mut graph = Graph::new();
//!     graph.add(Task::new("report", async |_| Ok::<_, TaskError>("all is well"))).expect("ids differ");
//!     graph
//! };
//! let scheduler = Scheduler::new(Orchestrator::builder().build()?);
//! scheduler.add(Job::cron("daily", "0 9 * * MON-FRI", "Europe/Berlin", report)?)?;
//! scheduler.add(Job::now("once", report))?;
//! let done = scheduler.tick().await;
//! assert_eq!((done.len(), done[0].job.as_ref()), (1, "once"));
//! # Ok(()) }
//! ```
//!
//! # Time zones and daylight saving
//! A cron expression is read in its zone. Where clocks go forward, what stands at a fixed time that does not exist runs as soon
//! as the gap is over; where they go back, it runs once, the first time. What repeats by a `*` or a step in its hours or minutes
//! goes with the time that passes: nothing extra after a gap, and once more in the hour that comes twice. The zones are compiled in.

mod agenda;
mod cron;
mod job;
mod line;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
pub use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::orchestrator::Orchestrator;
use crate::run::Run;
use crate::task::panicked;
use agenda::{Agenda, Due};
pub use cron::CronError;
pub use job::{Duplicate, Job, JobEnd, JobReport, Missed, Overlap};
use line::{Line, Place};

/// The longest sleep before the clock is looked at again: it may have been set, or the machine have slept.
const LOOK: Duration = Duration::from_secs(60);

/// How jobs run that are due together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One after another, in the order of their times.
    Sequential,
    /// Together, under the orchestrator's limits.
    Concurrent,
    /// Together when several are due and more than one task may run at once. The default.
    Auto,
}

/// Tells the time.
type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Runs jobs at their times.
pub struct Scheduler {
    orchestrator: Orchestrator,
    mode: Mode,
    fall_back: bool,
    clock: Clock,
    agenda: Mutex<Agenda<Job>>,
    /// Jobs were added.
    changed: Notify,
    /// Who runs alone, whatever else does.
    alone: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Scheduler {
    /// A scheduler without jobs.
    pub fn new(orchestrator: Orchestrator) -> Self {
        Self {
            orchestrator,
            mode: Mode::Auto,
            fall_back: false,
            clock: Box::new(Timestamp::now),
            agenda: Mutex::default(),
            changed: Notify::new(),
            alone: tokio::sync::Mutex::new(()),
        }
    }

    /// What it runs jobs on; others may run on it beside them.
    pub fn orchestrator(&self) -> &Orchestrator {
        &self.orchestrator
    }

    /// How jobs run that are due together.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Whether a job that did not succeed together with others is run once more by itself. Its tasks must bear to be repeated.
    pub fn fall_back(mut self, fall_back: bool) -> Self {
        self.fall_back = fall_back;
        self
    }

    /// Another clock than the machine's. It may jump.
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Adds a job; of one by cron the first time is the first after now.
    ///
    /// # Errors
    /// When a job of this id is there. One that runs once is not any more when it has been due.
    pub fn add(&self, job: Job) -> Result<(), Duplicate> {
        let id = Arc::clone(&job.id);
        let (when, missed) = (job.when.clone(), job.missed);
        if !self.agenda.lock().add(Arc::clone(&id), when, missed, job, (self.clock)()) {
            return Err(Duplicate { job: id });
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Takes a job out; whether it was there. What runs of it goes on.
    pub fn remove(&self, id: &str) -> bool {
        self.agenda.lock().remove(id)
    }

    /// When which job is next due.
    pub fn next(&self) -> Option<(Arc<str>, Timestamp)> {
        self.agenda.lock().next()
    }

    /// Runs what is due now to its end and says what became of it, in the order of the times.
    ///
    /// # Cancel safety
    /// Dropping the future cancels what runs. What was due does not come again.
    pub async fn tick(&self) -> Vec<JobReport> {
        let due = self.agenda.lock().due((self.clock)());
        let together = match self.mode {
            Mode::Sequential => false,
            Mode::Concurrent => true,
            Mode::Auto => 1 < due.len() && 1 < self.orchestrator.limit(),
        };
        let forever = CancellationToken::new();
        if together {
            let mut reports = join_all(due.iter().map(|due| self.perform(due, &forever))).await;
            for (due, report) in due.iter().zip(&mut reports) {
                self.repeat_alone(due, report, &forever).await;
            }
            return reports;
        }
        let mut reports = Vec::with_capacity(due.len());
        for due in &due {
            reports.push(self.perform(due, &forever).await);
        }
        reports
    }

    /// Runs what is due when it is due, until `stop` is cancelled. Then what runs is cancelled, and this returns when it has
    /// ended. `told` learns what became of each job that was due; it must not wait.
    ///
    /// # Cancel safety
    /// Dropping the future cancels what runs.
    pub async fn run(self: &Arc<Self>, stop: CancellationToken, mut told: impl FnMut(JobReport)) {
        let mut running = JoinSet::new();
        let mut lines: HashMap<Arc<str>, Line> = HashMap::new();
        while !stop.is_cancelled() {
            let now = (self.clock)();
            let due = self.agenda.lock().due(now);
            for due in in_places(due) {
                let job = &due[0].job;
                let line = lines.entry(Arc::clone(&job.id)).or_default();
                match line.join(job.overlap, &stop) {
                    None => due.iter().for_each(|due| told(due.report(JobEnd::Overlapped))),
                    Some(place) => {
                        let this = Arc::clone(self);
                        running.spawn(async move { this.perform_in_line(&due, place).await });
                    }
                }
            }
            let wait = self.next().map_or(LOOK, |(_, at)| {
                Duration::try_from(at.duration_since(now)).unwrap_or_default().min(LOOK)
            });
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                () = self.changed.notified() => {}
                Some(done) = running.join_next() => done.into_iter().flatten().for_each(&mut told),
            }
            // What is over and gone is not remembered.
            lines.retain(|_, line| line.is_busy());
        }
        while let Some(done) = running.join_next().await {
            done.into_iter().flatten().for_each(&mut told);
        }
    }

    /// Runs the times of one place, one after another.
    async fn perform_in_line(&self, due: &[Due<Job>], place: Place) -> Vec<JobReport> {
        let _turn = match &place.turn {
            Some(turn) => Some(Arc::clone(turn).lock_owned().await),
            None => None,
        };
        let mut reports = Vec::with_capacity(due.len());
        for due in due {
            let one_by_one = match self.mode {
                Mode::Sequential => Some(self.alone.lock().await),
                Mode::Concurrent | Mode::Auto => None,
            };
            let mut report = self.perform(due, &place.cancel).await;
            if one_by_one.is_none() {
                self.repeat_alone(due, &mut report, &place.cancel).await;
            }
            reports.push(report);
        }
        reports
    }

    async fn perform(&self, due: &Due<Job>, cancel: &CancellationToken) -> JobReport {
        let failed = |why: String| due.report(JobEnd::Failed(why));
        if cancel.is_cancelled() {
            return due.report(JobEnd::Cancelled);
        }
        let graph = match catch_unwind(AssertUnwindSafe(|| (due.job.graph)())) {
            Ok(graph) => graph,
            Err(panic) => return failed(format!("making its graph {}", panicked(panic))),
        };
        let running = match self.orchestrator.start(graph) {
            Ok(running) => running,
            Err(error) => return failed(error.to_string()),
        };
        let run = Run::clone(&running);
        let mut ended = std::pin::pin!(running.wait());
        let mut is_cancelled = false;
        loop {
            tokio::select! {
                done = &mut ended => return match done {
                    Ok(_) if is_cancelled => due.report(JobEnd::Cancelled),
                    Ok(finished) => due.report(JobEnd::Ran(Box::new(finished.into_report()))),
                    Err(error) => failed(error.to_string()),
                },
                () = cancel.cancelled(), if !is_cancelled => {
                    is_cancelled = true;
                    run.cancel();
                }
            }
        }
    }

    /// If it failed in company and may be repeated, what comes of it alone.
    async fn repeat_alone(
        &self,
        due: &Due<Job>,
        report: &mut JobReport,
        cancel: &CancellationToken,
    ) {
        if self.fall_back && !report.is_success() && report.end != JobEnd::Cancelled {
            let _alone = self.alone.lock().await;
            *report = JobReport { fell_back: true, ..self.perform(due, cancel).await };
        }
    }
}

/// What is due, by what is to run in one place: the times of a job that are due at once are no overlap, and run one after another
/// unless they may run together.
fn in_places(due: Vec<Due<Job>>) -> Vec<Vec<Due<Job>>> {
    let mut places: Vec<Vec<Due<Job>>> = Vec::new();
    let mut of_job: HashMap<Arc<str>, usize> = HashMap::new();
    for due in due {
        let next = places.len();
        let alone = due.job.overlap == Overlap::Allow;
        let at = if alone { next } else { *of_job.entry(Arc::clone(&due.job.id)).or_insert(next) };
        match places.get_mut(at) {
            Some(place) => place.push(due),
            None => places.push(vec![due]),
        }
    }
    places
}
