//! Plans at work: from a goal to a graph, and from a failed step to its alternative.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures::FutureExt as _;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::{Failure, Flaw, NoPlan, Plan, Planner, Splice, Step};
use crate::context::Context;
use crate::durable::{Durable, digest};
use crate::event::Outcome;
use crate::graph::Graph;
use crate::journal::History;
use crate::task::{Grown, Task, TaskError, panicked};

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
    /// The run had begun with it.
    Journal,
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

    /// The plan of a run with a journal: the one that it began with, if it has begun, whatever the planner would say now; one
    /// of [`outline`](Self::outline) otherwise, which is in the journal before anything of the run starts.
    ///
    /// Who can read the journal can read the goal, the plan and the alternatives: they are no place for secrets.
    ///
    /// # Errors
    /// When the run was begun for another goal, or its plan is none for these workers, or is too large for a journal.
    ///
    /// # Cancel safety
    /// Dropping the future forgets what the planner thought so far; the history is as it was.
    ///
    /// # Examples
    /// ```
    /// use serde_json::{Value, json};
    /// use tidegate_workflow::journal::{Durability, History, MemoryStore};
    /// use tidegate_workflow::planner::{Origin, Plan, Planning, Step, StepInputs, TablePlanner, Workers};
    /// use tidegate_workflow::{Orchestrator, TaskError};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = MemoryStore::default(); // `FileStore::open(path)` in earnest
    /// let orchestrator = Orchestrator::builder().build()?;
    /// for (agent, origin) in [("today", Origin::Planner), ("tomorrow", Origin::Journal)] {
    ///     let says = async |step: Step, _: StepInputs| Ok::<_, TaskError>(json!(step.agent));
    ///     let workers = Workers::new().with("today", says).with("tomorrow", says);
    ///     let planner = TablePlanner::new().otherwise(Plan::single("{goal}", agent));
    ///     let planning = Planning::new(planner, workers, "today", 1);
    ///
    ///     let mut history = History::open(store.clone())?;
    ///     let outline = planning.outline_of(&mut history, "spiders").await?;
    ///     assert_eq!(outline.origin, origin);
    ///     let graph = planning.graph("spiders", &outline.plan)?;
    ///     let finished = orchestrator.run(graph.journal(history, Durability::ProcessCrash)).await?;
    ///     assert_eq!(*finished.output::<Value>("goal")?, json!("today"));
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn outline_of(&self, history: &mut History, goal: &str) -> Result<Outline, NoPlan> {
        if let Some(kept) = &history.ledger().plan {
            let kept: Kept = serde_json::from_slice(kept)
                .map_err(|why| NoPlan::because(format!("the journal's cannot be read: {why}")))?;
            if kept.goal != goal {
                return Err(NoPlan::because(format!("the run is for another goal: {}", kept.goal)));
            }
            let plan = checked(Ok(Ok(kept.plan)), &self.0.workers.names())?;
            return Ok(Outline { plan, origin: Origin::Journal });
        }
        let outline = self.outline(goal).await;
        let kept = Kept { goal: goal.to_owned(), plan: outline.plan.clone() };
        let kept = serde_json::to_vec(&kept).map_err(|why| NoPlan::because(why.to_string()))?;
        history.planned(kept).map_err(|why| NoPlan::because(why.to_string()))?;
        Ok(outline)
    }

    /// The plan as a graph. Each step is the task of its id and returns a [`Value`]; while alternatives are allowed there are
    /// two more for it, `id (try)` and `id (repair)`. Steps of an alternative are called `id~step`.
    ///
    /// The run may have a journal, in which an alternative stands before anything of it starts: another process goes on with
    /// it and asks the planner for nothing that it has answered. For the plan itself see [`outline_of`](Self::outline_of).
    ///
    /// # Errors
    /// With everything that is wrong with the plan.
    pub fn graph(&self, goal: &str, plan: &Plan) -> Result<Graph<Durable>, NoPlan> {
        let plan = checked(Ok(Ok(plan.clone())), &self.0.workers.names())?;
        let mut graph = Graph::durable();
        for step in &plan.steps {
            for task in self.tasks(&Arc::from(goal), step, "", 0) {
                graph.add(task).map_err(|error| NoPlan::because(error.to_string()))?;
            }
        }
        Ok(graph)
    }

    /// The tasks of a step, each after those of them that it names.
    fn tasks(&self, goal: &Arc<str>, step: &Step, prefix: &str, depth: u32) -> Vec<Task<Durable>> {
        let id = format!("{prefix}{}", step.id);
        let version = version_of(step);
        if depth >= self.0.rounds {
            return vec![self.attempt(id, step, prefix)];
        }
        let (tried, repair) = (format!("{id} (try)"), format!("{id} (repair)"));
        let attempt = self.attempt(tried.clone(), step, prefix);
        let site = Site {
            planning: self.clone(),
            goal: Arc::clone(goal),
            step: step.clone(),
            id: id.clone(),
            by: Arc::from(repair.as_str()),
            depth,
            placed: Arc::default(),
        };
        let (of_try, of_site) = (tried.clone(), site.clone());
        let repairing = Task::durable(repair.clone(), move |cx: Context| {
            let (site, of_try) = (of_site.clone(), of_try.clone());
            async move {
                if cx.input::<Value>(&of_try).is_ok() {
                    return Ok(Vec::new());
                }
                let why = why(&cx, &of_try).await?;
                let spliced = site.splice(&cx, why.clone()).await;
                spliced.map_err(|no| TaskError::fatal(format!("{why}; {no}")))
            }
        });
        let repairing = repairing.grows(move |plan| site.regrow(plan)).version(version);
        let (of_try, of_repair) = (tried.clone(), repair.clone());
        let result = Task::durable(id, move |cx: Context| {
            let (of_try, of_repair) = (of_try.clone(), of_repair.clone());
            async move {
                match result_of(&cx, &of_try, &of_repair) {
                    Some(result) => Ok(result),
                    None => Err(TaskError::fatal(why(&cx, &of_repair).await?)),
                }
            }
        });
        let result = result.wants([tried.clone(), repair]).version(version);
        vec![attempt, repairing.wants([tried]), result]
    }

    /// The task that does a step's work.
    fn attempt(&self, id: String, step: &Step, prefix: &str) -> Task<Durable> {
        // The plan was checked: somebody has this name.
        let worker = self.0.workers.0.get(&step.agent).cloned();
        let full = |ids: &[String]| -> Vec<String> {
            ids.iter().map(|id| format!("{prefix}{id}")).collect()
        };
        let (needs, wants) = (full(&step.needs), full(&step.wants));
        let (prefix, step_too) = (prefix.to_owned(), step.clone());
        let task = Task::durable(id, move |cx: Context| {
            let mut inputs = StepInputs::new();
            for before in step_too.before() {
                if let Ok(value) = cx.input::<Value>(&format!("{prefix}{before}")) {
                    inputs.insert(before.to_owned(), value);
                }
            }
            let work = worker.as_ref().map(|worker| worker(step_too.clone(), inputs));
            async move { work.ok_or_else(|| TaskError::fatal("nobody does this"))?.await }
        });
        let task = task.needs(needs).wants(wants).version(version_of(step));
        task.agent(step.agent.as_str()).kind(step.agent.as_str())
    }
}

/// A plan as a journal keeps it, and what it is for.
#[derive(Serialize, Deserialize)]
struct Kept {
    goal: String,
    plan: Plan,
}

/// A step that says something else is another one.
fn version_of(step: &Step) -> u64 {
    // Texts and lists of texts: there is no way to fail.
    let text = serde_json::to_vec(step).unwrap_or_default();
    digest([text.as_slice()])
}

/// Why a task that this one wants has not succeeded. The run knows it, in whatever process the task failed.
async fn why(cx: &Context, id: &str) -> Result<String, TaskError> {
    match cx.run().outcome(id).await {
        Some(Outcome::Failed { error }) => Ok(error),
        Some(Outcome::TimedOut) => Ok("timed out".to_owned()),
        _ => Err(TaskError::fatal("what it needs did not succeed")),
    }
}

/// Where an alternative is put in.
#[derive(Clone)]
struct Site {
    planning: Planning,
    goal: Arc<str>,
    step: Step,
    id: String,
    /// The task that puts it in.
    by: Arc<str>,
    depth: u32,
    /// The last steps of the alternative that is in the run.
    placed: Arc<Mutex<Option<Vec<String>>>>,
}

impl Site {
    /// Asks for an alternative and puts it into the run before the step's own task; its last steps. Nothing of it starts before
    /// all of it is there, because all of it needs the task that puts it in; should that fail, it is skipped as a whole.
    async fn splice(self, cx: &Context, error: String) -> Result<Vec<String>, NoPlan> {
        let placed = self.placed.lock().clone();
        if let Some(ends) = placed {
            // By another process, or by an attempt that was stopped before it could tell.
            return Ok(ends);
        }
        let goal = self.goal.to_string();
        let failure = Failure { goal, step: self.step.clone(), error, depth: self.depth };
        let began = Instant::now();
        let plan = (self.planning.0.alternative)(failure.clone()).await?;
        let took = began.elapsed();
        let (grown, ends) = self.grow(&plan);
        let added = grown.iter().map(|grown| Arc::clone(&grown.task.id)).collect();
        let kept = serde_json::to_vec(&plan).map_err(|why| NoPlan::because(why.to_string()))?;
        let taken = cx.run().splice(kept, grown).await;
        taken.map_err(|error| NoPlan::because(error.to_string()))?;
        *self.placed.lock() = Some(ends.clone());
        cx.run().tell_splice(Splice {
            task: self.id.into(),
            by: self.by,
            failure,
            added,
            ends: ends.iter().map(|end| Arc::from(end.as_str())).collect(),
            took,
            spent: plan.spent,
        });
        Ok(ends)
    }

    /// The same tasks in another process.
    fn regrow(&self, kept: &[u8]) -> Result<Vec<Grown>, String> {
        let plan: Plan = serde_json::from_slice(kept).map_err(|why| why.to_string())?;
        let plan = checked(Ok(Ok(plan)), &self.planning.0.workers.names());
        let (grown, ends) = self.grow(&plan.map_err(|no| no.to_string())?);
        *self.placed.lock() = Some(ends);
        Ok(grown)
    }

    /// The tasks of an alternative, and the last of its steps.
    fn grow(&self, plan: &Plan) -> (Vec<Grown>, Vec<String>) {
        let prefix = format!("{}~", self.id);
        let (ends, mut grown) = (plan.ends(), Vec::new());
        for step in in_order(plan) {
            let is_end = ends.contains(&step.id.as_str());
            let full = format!("{prefix}{}", step.id);
            for task in self.planning.tasks(&self.goal, step, &prefix, self.depth + 1) {
                let is_result = is_end && task.id() == full;
                let before = if is_result { vec![Arc::from(&*self.id)] } else { Vec::new() };
                let task = task.needs([Arc::clone(&self.by)]).erase();
                grown.push(Grown { task, before });
            }
        }
        (grown, ends.into_iter().map(|end| format!("{prefix}{end}")).collect())
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
