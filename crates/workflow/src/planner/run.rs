//! Plans at work: from a goal to a graph, and from a failed step to its alternative.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures::FutureExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::{Failure, Flaw, NoPlan, Plan, Planner, Splice, Step};
use crate::context::Context;
use crate::graph::Graph;
use crate::task::{Task, TaskError, panicked};

/// What the steps before a step returned, by their ids; those that are only wanted and failed are not in it.
pub type StepInputs = BTreeMap<String, Arc<Value>>;

/// One attempt at a step.
pub type Work = Pin<Box<dyn Future<Output = Result<Value, TaskError>> + Send>>;

type Worker = Arc<dyn Fn(Step, StepInputs) -> Work + Send + Sync>;
type Thinking = Pin<Box<dyn Future<Output = Result<Plan, NoPlan>> + Send>>;

/// Who does the steps: an agent's name, and what it does with an instruction and its inputs.
///
/// A step's task belongs to the agent of that name, so that the agent's limits hold.
#[derive(Clone, Default)]
pub struct Workers(BTreeMap<String, Worker>);

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Workers {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more agent; in place of one of the same name.
    #[must_use]
    pub fn with<F, Fut, E>(mut self, agent: impl Into<String>, work: F) -> Self
    where
        F: Fn(Step, StepInputs) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, E>> + Send + 'static,
        E: Into<TaskError>,
    {
        let work = move |step: Step, inputs: StepInputs| -> Work {
            let attempt = work(step, inputs);
            Box::pin(async move { attempt.await.map_err(Into::into) })
        };
        self.0.insert(agent.into(), Arc::new(work));
        self
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

/// Where a plan came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The planner made it now.
    Planner,
    /// It was made earlier for the same goal.
    Remembered,
    /// There was none, so that the whole goal goes to one agent.
    Fallback {
        /// Why there was none.
        because: NoPlan,
    },
}

/// A plan, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// The plan; it was checked.
    pub plan: Plan,
    /// Where it came from.
    pub origin: Origin,
}

/// Plans goals, remembers the plans, and makes graphs of them whose failed steps are replaced while the run is live. Cheap to
/// clone.
///
/// # Examples
/// ```
/// use serde_json::json;
/// use tidegate_workflow::planner::{Plan, Planning, Step, StepInputs, TablePlanner, Workers};
/// use tidegate_workflow::{Orchestrator, TaskError};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let planner = TablePlanner::new()
///     .otherwise(Plan::single("{goal}", "model"))
///     .if_fails("model", Plan::single("{instruction}", "archive"));
/// let workers = Workers::new()
///     .with("model", async |_: Step, _: StepInputs| Err::<serde_json::Value, _>("no connection"))
///     .with("archive", async |step: Step, _: StepInputs| {
///         Ok::<_, TaskError>(json!(format!("about {}: see the archive", step.instruction)))
///     });
/// let planning = Planning::new(planner, workers, "archive", 1);
///
/// let outline = planning.outline("spiders").await;
/// let graph = planning.graph("spiders", &outline.plan)?;
/// let finished = Orchestrator::builder().build()?.run(graph).await?;
/// assert_eq!(*finished.output::<serde_json::Value>("goal")?, json!("about spiders: see the archive"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Planning(Arc<Inner>);

struct Inner {
    plan: Box<dyn Fn(String) -> Thinking + Send + Sync>,
    alternative: Box<dyn Fn(Failure) -> Thinking + Send + Sync>,
    workers: Workers,
    fallback: String,
    rounds: u32,
    remembered: Mutex<HashMap<String, Plan>>,
}

/// How many plans are remembered; then all are forgotten, which costs a round of planning each.
const REMEMBERED: usize = 1000;

impl fmt::Debug for Planning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planning").field("workers", &self.0.workers).finish_non_exhaustive()
    }
}

impl Planning {
    /// Plans by `planner`, work by `workers`; a goal without a plan goes as a whole to the agent `fallback`. A step that fails
    /// for good is replaced by an alternative, and what fails in that by another, up to `rounds` deep; 0 for none.
    pub fn new(
        planner: impl Planner,
        workers: Workers,
        fallback: impl Into<String>,
        rounds: u32,
    ) -> Self {
        let planner = Arc::new(planner);
        let names: Arc<[String]> = workers.names().into();
        let (other, others_names) = (Arc::clone(&planner), Arc::clone(&names));
        let plan = move |goal: String| -> Thinking {
            let (planner, names) = (Arc::clone(&planner), Arc::clone(&names));
            Box::pin(async move {
                checked(AssertUnwindSafe(planner.plan(&goal, &names)).catch_unwind().await, &names)
            })
        };
        let alternative = move |failure: Failure| -> Thinking {
            let (planner, names) = (Arc::clone(&other), Arc::clone(&others_names));
            Box::pin(async move {
                let thought = AssertUnwindSafe(planner.alternative(&failure, &names));
                checked(thought.catch_unwind().await, &names)
            })
        };
        Self(Arc::new(Inner {
            plan: Box::new(plan),
            alternative: Box::new(alternative),
            workers,
            fallback: fallback.into(),
            rounds,
            remembered: Mutex::default(),
        }))
    }

    /// A plan for the goal: remembered, made now, or one step if there is none. A plan that was made is remembered.
    ///
    /// # Cancel safety
    /// Dropping the future forgets what the planner thought so far.
    pub async fn outline(&self, goal: &str) -> Outline {
        let remembered = self.0.remembered.lock().get(goal).cloned();
        if let Some(plan) = remembered {
            return Outline { plan, origin: Origin::Remembered };
        }
        match (self.0.plan)(goal.to_owned()).await {
            Ok(plan) => {
                let mut remembered = self.0.remembered.lock();
                if remembered.len() >= REMEMBERED {
                    remembered.clear();
                }
                remembered.insert(goal.to_owned(), plan.clone());
                Outline { plan, origin: Origin::Planner }
            }
            Err(because) => {
                let plan = Plan::single(goal, self.0.fallback.as_str());
                Outline { plan, origin: Origin::Fallback { because } }
            }
        }
    }

    /// Forgets the plan for a goal, for example because it failed.
    pub fn forget(&self, goal: &str) {
        self.0.remembered.lock().remove(goal);
    }

    /// The plan as a graph. Each step is the task of its id and returns a [`Value`]; while alternatives are allowed there are
    /// two more for it, `id (try)` and `id (repair)`. Steps of an alternative are called `id~step`.
    ///
    /// # Errors
    /// With everything that is wrong with the plan.
    pub fn graph(&self, goal: &str, plan: &Plan) -> Result<Graph, NoPlan> {
        let plan = checked(Ok(Ok(plan.clone())), &self.0.workers.names())?;
        let mut graph = Graph::new();
        for step in &plan.steps {
            for task in self.tasks(&Arc::from(goal), step, "", 0) {
                graph.add(task).map_err(|error| NoPlan::because(error.to_string()))?;
            }
        }
        Ok(graph)
    }

    /// The tasks of a step, each after those of them that it names.
    fn tasks(&self, goal: &Arc<str>, step: &Step, prefix: &str, depth: u32) -> Vec<Task> {
        let id = format!("{prefix}{}", step.id);
        if depth >= self.0.rounds {
            return vec![self.attempt(id, step, prefix, Arc::default())];
        }
        let (tried, repair) = (format!("{id} (try)"), format!("{id} (repair)"));
        let error: Arc<Mutex<Option<String>>> = Arc::default();
        let attempt = self.attempt(tried.clone(), step, prefix, Arc::clone(&error));
        let site = Site {
            planning: self.clone(),
            goal: Arc::clone(goal),
            step: step.clone(),
            id: id.clone(),
            depth,
        };
        let (of_try, of_error) = (tried.clone(), Arc::clone(&error));
        let repairing = Task::new(repair.clone(), move |cx: Context| {
            let (site, of_try, error) = (site.clone(), of_try.clone(), Arc::clone(&of_error));
            async move {
                if cx.input::<Value>(&of_try).is_ok() {
                    return Ok(Vec::new());
                }
                let why = error.lock().clone();
                let why = why.ok_or_else(|| TaskError::fatal("what it needs did not succeed"))?;
                let spliced = site.splice(&cx, why.clone()).await;
                spliced.map_err(|no| {
                    let text = format!("{why}; {no}");
                    *error.lock() = Some(text.clone());
                    TaskError::fatal(text)
                })
            }
        });
        let (of_try, of_repair) = (tried.clone(), repair.clone());
        let result = Task::new(id, move |cx: Context| {
            let result = result_of(&cx, &of_try, &of_repair);
            let why = error.lock().clone();
            async move {
                result.ok_or_else(|| {
                    TaskError::fatal(why.unwrap_or_else(|| "what it needs did not succeed".into()))
                })
            }
        });
        vec![attempt, repairing.wants([tried.clone()]), result.wants([tried, repair])]
    }

    /// The task that does a step's work.
    fn attempt(
        &self,
        id: String,
        step: &Step,
        prefix: &str,
        error: Arc<Mutex<Option<String>>>,
    ) -> Task {
        // The plan was checked: somebody has this name.
        let worker = self.0.workers.0.get(&step.agent).cloned();
        let full = |ids: &[String]| -> Vec<String> {
            ids.iter().map(|id| format!("{prefix}{id}")).collect()
        };
        let (needs, wants) = (full(&step.needs), full(&step.wants));
        let (prefix, step_too) = (prefix.to_owned(), step.clone());
        let task = Task::new(id, move |cx: Context| {
            let mut inputs = StepInputs::new();
            for before in step_too.before() {
                if let Ok(value) = cx.input::<Value>(&format!("{prefix}{before}")) {
                    inputs.insert(before.to_owned(), value);
                }
            }
            // What stays if the attempt is dropped.
            *error.lock() = Some("timed out".to_owned());
            let error = Arc::clone(&error);
            let (worker, step) = (worker.clone(), step_too.clone());
            async move {
                let worker = worker.ok_or_else(|| TaskError::fatal("nobody does this"))?;
                // In it too what the worker does before its first wait: its panic is the step's failure.
                let work = async move { worker(step, inputs).await };
                let ended = AssertUnwindSafe(work).catch_unwind().await;
                let result = ended.unwrap_or_else(|panic| Err(panicked(panic)));
                if let Err(failed) = &result {
                    *error.lock() = Some(failed.to_string());
                }
                result
            }
        });
        task.needs(needs).wants(wants).agent(step.agent.as_str()).kind(step.agent.as_str())
    }
}

/// Where an alternative is put in.
#[derive(Clone)]
struct Site {
    planning: Planning,
    goal: Arc<str>,
    step: Step,
    id: String,
    depth: u32,
}

impl Site {
    /// Asks for an alternative and puts it into the run before the step's own task; its last steps. Nothing of it starts before
    /// all of it is there, because all of it needs the task that puts it in; should that fail, it is skipped as a whole.
    async fn splice(self, cx: &Context, error: String) -> Result<Vec<String>, NoPlan> {
        let Self { planning, goal, step, id, depth } = self;
        let failure = Failure { goal: goal.to_string(), step, error, depth };
        let began = Instant::now();
        let plan = (planning.0.alternative)(failure.clone()).await?;
        let (took, mut added) = (began.elapsed(), Vec::new());
        let prefix = format!("{id}~");
        let ends = plan.ends();
        for step in in_order(&plan) {
            let is_end = ends.contains(&step.id.as_str());
            let full = format!("{prefix}{}", step.id);
            for task in planning.tasks(&goal, step, &prefix, depth + 1) {
                let before: &[&str] = if is_end && task.id() == full { &[&id] } else { &[] };
                let task = task.needs([cx.id()]);
                added.push(Arc::from(task.id()));
                let taken = cx.run().submit(task, before).await;
                taken.map_err(|error| NoPlan::because(error.to_string()))?;
            }
        }
        let ends: Vec<String> = ends.into_iter().map(|end| format!("{prefix}{end}")).collect();
        cx.run().tell_splice(Splice {
            task: id.into(),
            by: cx.shared_id(),
            failure,
            added,
            ends: ends.iter().map(|end| Arc::from(end.as_str())).collect(),
            took,
            spent: plan.spent,
        });
        Ok(ends)
    }
}

/// What a step returned: by itself, or by its alternative.
fn result_of(cx: &Context, tried: &str, repair: &str) -> Option<Value> {
    if let Ok(value) = cx.input::<Value>(tried) {
        return Some(Value::clone(&value));
    }
    let ends = cx.input::<Vec<String>>(repair).ok()?;
    let mut values: Vec<Value> = ends
        .iter()
        .map(|end| cx.input::<Value>(end).ok().map(|value| Value::clone(&value)))
        .collect::<Option<_>>()?;
    if values.len() == 1 { values.pop() } else { Some(Value::Array(values)) }
}

/// The steps, each after those that it needs. The plan was checked, so that there is such an order.
fn in_order(plan: &Plan) -> Vec<&Step> {
    let mut order: Vec<&Step> = Vec::new();
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    while order.len() < plan.steps.len() {
        let before = order.len();
        for step in &plan.steps {
            if !placed.contains(step.id.as_str()) && step.before().all(|id| placed.contains(id)) {
                placed.insert(&step.id);
                order.push(step);
            }
        }
        if order.len() == before {
            break;
        }
    }
    order
}

/// A plan that was thought of, if nothing is wrong with it.
fn checked(
    thought: Result<Result<Plan, NoPlan>, Box<dyn Any + Send>>,
    agents: &[String],
) -> Result<Plan, NoPlan> {
    let plan = thought
        .unwrap_or_else(|panic| Err(NoPlan::because(format!("the planner {}", panicked(panic)))))?;
    let reasons: Vec<String> = plan.check(agents).iter().map(Flaw::to_string).collect();
    if reasons.is_empty() { Ok(plan) } else { Err(NoPlan { reasons }) }
}
