//! One request on its way: its graph, and the second pass if load has kept the answer from coming.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::answer::{MissingStage, NoAnswer};
use super::draft::Stage;
use super::{Meter, Mode, Plan};
use crate::event::Outcome;
use crate::graph::Graph;
use crate::orchestrator::Orchestrator;
use crate::report::Report;
use crate::run::Finished;
use crate::task::{Output, Task, TaskError, body};

/// A request, and everything that it needs.
pub(super) struct Pass<'a, Q: ?Sized> {
    pub(super) plan: &'a Plan<Q>,
    pub(super) meter: &'a Meter,
    pub(super) orchestrator: &'a Orchestrator,
    pub(super) request: &'a Arc<Q>,
}

/// A request that was answered.
pub(super) struct Over {
    pub(super) value: Output,
    pub(super) missing: Vec<MissingStage>,
    pub(super) report: Report,
    pub(super) given_up: Option<Box<Report>>,
}

impl Over {
    pub(super) fn fell_back(&self) -> bool {
        self.given_up.is_some()
    }
}

/// The stages whose last attempt said that its agent is overloaded.
type Overloaded = Arc<Mutex<HashSet<Arc<str>>>>;

/// What stages have returned, by their ids.
type Kept = HashMap<Arc<str>, Output>;

impl<Q: Send + Sync + ?Sized + 'static> Pass<'_, Q> {
    /// Runs the stages until there is an answer, or no hope for one.
    pub(super) async fn answer(&self, stage: &str, mode: Mode) -> Result<Over, NoAnswer> {
        let overloaded = Overloaded::default();
        let in_order = mode == Mode::Sequential;
        let first = self.run(in_order, &Kept::new(), &overloaded).await?;
        let falls_back = mode == Mode::FallingBack
            && first.value(stage).is_none()
            && self.is_because_of_load(stage, first.report(), &overloaded.lock());
        if !falls_back {
            return self.over(stage, first, &Kept::new(), None);
        }
        let stages = self.plan.stages.iter();
        let kept: Kept = stages
            .filter_map(|stage| Some((Arc::clone(&stage.id), first.value(&stage.id)?)))
            .collect();
        let second = self.run(true, &kept, &overloaded).await?;
        self.over(stage, second, &kept, Some(Box::new(first.into_report())))
    }

    async fn run(
        &self,
        in_order: bool,
        kept: &Kept,
        overloaded: &Overloaded,
    ) -> Result<Finished, NoAnswer> {
        let mut graph = Graph::new();
        // All of them, and not only the last: that one may be skipped while another still runs.
        let mut earlier: Vec<&Arc<str>> = Vec::new();
        for stage in &self.plan.stages {
            let task = match kept.get(&stage.id) {
                Some(output) => Self::returning(stage, output),
                None => {
                    let task = self.task(stage, overloaded);
                    let other = |id: &&&Arc<str>| !stage.before().any(|before| before == **id);
                    let other: Vec<_> = earlier.iter().filter(other).copied().cloned().collect();
                    earlier.extend(in_order.then_some(&stage.id));
                    task.wants(other)
                }
            };
            graph.add(task).expect("the draft took only new ids, each after those that it names");
        }
        self.orchestrator.run(graph).await.map_err(NoAnswer::NotStarted)
    }

    /// The task of a stage that has run: it returns the same again, and takes no slot of the agent.
    fn returning(stage: &Stage<Q>, output: &Output) -> Task {
        let mut task = Task::new(Arc::clone(&stage.id), async |_| Ok::<(), TaskError>(()));
        let output = Arc::clone(output);
        task.body = body(move |_| std::future::ready(Ok(Arc::clone(&output))));
        task
    }

    /// The task of a stage: counted while it works, and remembered while its agent is overloaded.
    fn task(&self, stage: &Stage<Q>, overloaded: &Overloaded) -> Task {
        let mut task = stage.task().needs(stage.needs.required.iter().cloned());
        task = task.wants(stage.needs.optional.iter().cloned());
        let (id, work) = (Arc::clone(&stage.id), Arc::clone(&stage.work));
        let (request, meter) = (Arc::clone(self.request), self.meter.clone());
        let overloaded = Arc::clone(overloaded);
        task.body = body(move |cx| {
            let work = work(cx, Arc::clone(&request));
            let (id, meter, overloaded) = (Arc::clone(&id), meter.clone(), Arc::clone(&overloaded));
            async move {
                overloaded.lock().remove(&id);
                let working = meter.working();
                let result = work.await;
                drop(working);
                if result.as_ref().is_err_and(|error| error.overload().is_some()) {
                    overloaded.lock().insert(id);
                }
                result
            }
        });
        task
    }

    /// Whether the answer, or what it comes after, timed out or met an overloaded agent.
    fn is_because_of_load(
        &self,
        answer: &str,
        report: &Report,
        overloaded: &HashSet<Arc<str>>,
    ) -> bool {
        let mut way: HashSet<&str> = HashSet::from([answer]);
        for stage in self.plan.stages.iter().rev() {
            if way.contains(&*stage.id) {
                way.extend(stage.before().map(|id| &**id));
            }
        }
        report.tasks.iter().filter(|task| way.contains(&*task.id)).any(|task| match task.outcome {
            Outcome::TimedOut => true,
            Outcome::Failed { .. } => overloaded.contains(&task.id),
            _ => false,
        })
    }

    /// The result of a pass; `kept` is what an earlier one has returned.
    fn over(
        &self,
        stage: &str,
        passed: Finished,
        kept: &Kept,
        given_up: Option<Box<Report>>,
    ) -> Result<Over, NoAnswer> {
        let value = passed.value(stage);
        let mut report = passed.into_report();
        report.tasks.retain(|task| !kept.contains_key(&task.id));
        report.critical_path.retain(|id| !kept.contains_key(id));
        match value {
            Some(value) => {
                let missing = MissingStage::of(&report, false);
                Ok(Over { value, missing, report, given_up })
            }
            None => Err(NoAnswer::Failed {
                pipeline: Arc::clone(&self.plan.name),
                missing: MissingStage::of(&report, true),
                report: Box::new(report),
                given_up,
            }),
        }
    }
}
