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
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
pub use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::graph::Graph;
use crate::orchestrator::Orchestrator;
use crate::report::Report;
use crate::run::Run;
use crate::task::panicked;
use agenda::{Agenda, Due, When};
use cron::Cron;
pub use cron::CronError;

/// The longest sleep before the clock is looked at again: it may have been set, or the machine have slept.
const LOOK: Duration = Duration::from_secs(60);

/// What happens to times that nobody saw to, because the scheduler was not there or did not tick in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// Nothing: only a time that is at most so old is run.
    Skip {
        /// The greatest age.
        tolerance: Duration,
    },
    /// The job runs once for all of them. The default.
    Once,
    /// The job runs for each of them, the oldest first; if there are more than so many, for the latest.
    Each {
        /// The most runs.
        at_most: u32,
    },
}

/// What happens when a job is due while an earlier run of it lives. It matters where the scheduler
/// [runs by itself](Scheduler::run): a tick waits for its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// The new one does not run, and says so. The default.
    Skip,
    /// The new one runs after the earlier; while one waits, further ones do not run.
    Wait,
    /// Both run.
    Allow,
    /// The earlier is cancelled; the new one runs when it has ended.
    Replace,
}

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

/// Something to run at its time.
#[derive(Clone)]
pub struct Job {
    id: Arc<str>,
    when: When,
    missed: Missed,
    overlap: Overlap,
    graph: Arc<dyn Fn() -> Graph + Send + Sync>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}

impl Job {
    fn new(
        id: impl Into<Arc<str>>,
        when: When,
        graph: impl Fn() -> Graph + Send + Sync + 'static,
    ) -> Self {
        let (missed, overlap) = (Missed::Once, Overlap::Skip);
        Self { id: id.into(), when, missed, overlap, graph: Arc::new(graph) }
    }

    /// Runs once, as soon as possible.
    pub fn now(id: impl Into<Arc<str>>, graph: impl Fn() -> Graph + Send + Sync + 'static) -> Self {
        Self::new(id, When::At(Timestamp::MIN), graph)
    }

    /// Runs once, at this moment.
    pub fn at(
        id: impl Into<Arc<str>>,
        at: Timestamp,
        graph: impl Fn() -> Graph + Send + Sync + 'static,
    ) -> Self {
        Self::new(id, When::At(at), graph)
    }

    /// Runs again and again: by a cron expression of five fields (minute, hour, day, month, day of the week), or six with
    /// seconds in front, in an IANA time zone such as `Europe/Berlin` or `UTC`.
    ///
    /// # Errors
    /// When the expression or the zone is none.
    pub fn cron(
        id: impl Into<Arc<str>>,
        expression: &str,
        zone: &str,
        graph: impl Fn() -> Graph + Send + Sync + 'static,
    ) -> Result<Self, CronError> {
        Ok(Self::new(id, When::Cron(Arc::new(Cron::parse(expression, zone)?)), graph))
    }

    /// What happens to times that nobody saw to.
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// What happens when it is due while it runs.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }
}

/// What became of a job that was due.
#[derive(Debug, Clone, PartialEq)]
pub struct JobReport {
    /// Its id.
    pub job: Arc<str>,
    /// The time for which it ran; of a job that runs at once, the time of the tick.
    pub due: Timestamp,
    /// How it ended.
    pub end: JobEnd,
    /// Whether it failed together with others and this is what came of it alone.
    pub fell_back: bool,
}

/// How a job that was due ended.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEnd {
    /// Its graph ran to its end; whether its tasks succeeded is in the report.
    Ran(Box<Report>),
    /// It did not run: an earlier run of it lived.
    Overlapped,
    /// Its run was cancelled, by one that took its place or because the scheduler stopped.
    Cancelled,
    /// Its graph could not be made or started.
    Failed(String),
}

impl JobReport {
    /// Whether it ran and each of its tasks succeeded.
    pub fn is_success(&self) -> bool {
        matches!(&self.end, JobEnd::Ran(report) if report.is_success())
    }
}

/// A job of this id is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The id.
    pub job: Arc<str>,
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a job `{}` is there: remove it first", self.job)
    }
}

impl std::error::Error for Duplicate {}

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
            for due in self.agenda.lock().due(now) {
                let line = lines.entry(Arc::clone(&due.job.id)).or_default();
                match line.join(due.job.overlap, &stop) {
                    None => told(due.report(JobEnd::Overlapped)),
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
                Some(done) = running.join_next() => done.into_iter().for_each(&mut told),
            }
            // What is over and gone is not remembered.
            lines.retain(|_, line| line.is_busy());
        }
        while let Some(done) = running.join_next().await {
            done.into_iter().for_each(&mut told);
        }
    }

    async fn perform_in_line(&self, due: &Due<Job>, place: Place) -> JobReport {
        let _turn = match &place.turn {
            Some(turn) => Some(Arc::clone(turn).lock_owned().await),
            None => None,
        };
        let one_by_one = match self.mode {
            Mode::Sequential => Some(self.alone.lock().await),
            Mode::Concurrent | Mode::Auto => None,
        };
        let mut report = self.perform(due, &place.cancel).await;
        if one_by_one.is_none() {
            self.repeat_alone(due, &mut report, &place.cancel).await;
        }
        report
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
                    Ok(finished) => due.report(JobEnd::Ran(Box::new(finished.report))),
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

impl Due<Job> {
    fn report(&self, end: JobEnd) -> JobReport {
        JobReport { job: Arc::clone(&self.job.id), due: self.at, end, fell_back: false }
    }
}

/// The runs of one job, where the scheduler runs by itself.
#[derive(Default)]
struct Line {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// How to cancel each of the runs that have not ended.
    runs: Vec<Weak<CancellationToken>>,
}

/// A run's place in the line; gone with the run.
struct Place {
    cancel: Arc<CancellationToken>,
    /// To be had before it begins, unless others may run meanwhile.
    turn: Option<Arc<tokio::sync::Mutex<()>>>,
}

impl Line {
    fn is_busy(&self) -> bool {
        self.runs.iter().any(|run| run.strong_count() > 0)
    }

    /// A place for a run that is due, if it may run.
    fn join(&mut self, overlap: Overlap, stop: &CancellationToken) -> Option<Place> {
        self.runs.retain(|run| run.strong_count() > 0);
        match overlap {
            Overlap::Skip if !self.runs.is_empty() => return None,
            // One runs, and another waits.
            Overlap::Wait if self.runs.len() > 1 => return None,
            Overlap::Replace => {
                self.runs.iter().filter_map(Weak::upgrade).for_each(|run| run.cancel());
            }
            Overlap::Skip | Overlap::Wait | Overlap::Allow => {}
        }
        let cancel = Arc::new(stop.child_token());
        self.runs.push(Arc::downgrade(&cancel));
        let turn = (overlap != Overlap::Allow).then(|| Arc::clone(&self.turn));
        Some(Place { cancel, turn })
    }
}
