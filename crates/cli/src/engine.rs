//! From a workflow to the engine and back: tasks become nodes of a live graph, outcomes become the summary.
//!
//! A plain task is one node. A `foreach` task is two: `audit (items)`, which computes the items once its upstreams have
//! finished and submits one node for each, and `audit` itself, which waits for them all and gathers what they wrote.
//! Whoever needs `audit` waits for the second, and so for every item.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use minijinja::value::{Serde, Value};
use tidegate_workflow::journal::{Durability, History};
use tidegate_workflow::{
    Builder, Context, Durable, EventKind, Finished, Graph, Next, Orchestrator, Outcome, Retry,
    StartError, Stopped, Task, TaskError, TraceParent,
};
use tokio::sync::SetOnce;
use tokio::sync::mpsc::UnboundedSender;

use crate::event::{Event, Status, label};
use crate::exit;
use crate::job::{Failure, Item, Job, Named, TRACE_PARENT};
use crate::outputs::Files;
use crate::past::{self, Past, Product};
use crate::process::GRACE;
use crate::recording::Kept;
use crate::settings::NO_LIMIT;
use crate::summary::{Counts, Line, Summary};

/// A node of the graph, whose product the journal keeps.
type Node = Task<Durable>;

/// How many events we may be behind the engine; above it only progress suffers, not the summary.
const EVENTS: usize = 1 << 16;

/// Runs the workflow to its end, or until it is told to stop; tells what happens as it happens. `began` is called before
/// anything of it is told, unless the run is refused.
///
/// # Errors
///
/// The engine refused the graph or ended before the run: a broken invariant, told in its words.
pub(crate) async fn execute(
    job: Arc<Job>,
    past: Past,
    history: History,
    events: UnboundedSender<Event>,
    began: impl FnOnce(),
) -> Result<(Summary, Kept), Broken> {
    let removed = removed(&history, &job);
    let (is_told, records) = (SetOnce::new(), Mutex::default());
    let run = Arc::new(Run { job, past, events, is_told, records });
    run.take_over();
    let orchestrator = limits(&run.job).build().map_err(Broken::ours)?;
    let mut seen = orchestrator.events();
    let mut graph = Graph::durable();
    if let Some(parent) = trace_parent() {
        graph = graph.trace_parent(parent);
    }
    for index in 0..run.job.workflow.tasks.len() {
        for node in run.nodes(index) {
            graph.add(node).map_err(Broken::ours)?;
        }
    }
    let graph = graph.journal(history, Durability::ProcessCrash);
    let running = orchestrator.start(graph).map_err(Broken::from)?;
    began();
    let _ = run.is_told.set(());
    if !removed.is_empty() {
        crate::run::say(&format!("no longer in the file: {}", removed.join(", ")));
    }
    let live = (*running).clone();
    let mut end = std::pin::pin!(running.wait());
    let mut stopped = false;
    let finished = loop {
        tokio::select! {
            biased;
            next = seen.next() => if let Some(Next::Event(event)) = next {
                run.tell(&event.kind);
            },
            () = run.job.stop.ask.cancelled(), if !stopped => {
                stopped = true;
                live.cancel();
            }
            finished = &mut end => break finished.map_err(Broken::from)?,
        }
    };
    while let Some(next) = seen.try_next() {
        if let Next::Event(event) = next {
            run.tell(&event.kind);
        }
    }
    let bounds = run.job.workflow.agents.keys().filter_map(|name| {
        let limit = run.job.settings.agent_limit(name);
        (limit < NO_LIMIT).then(|| (name.clone(), limit))
    });
    let kept = Kept::of(finished.report(), orchestrator.limit(), bounds.collect());
    Ok((run.summary(&finished), kept))
}

/// Where in which trace we are, if whoever runs us has said so.
fn trace_parent() -> Option<TraceParent> {
    std::env::var(TRACE_PARENT).ok()?.parse().ok()
}

/// An orchestrator with the limits that are in force.
fn limits(job: &Job) -> Builder {
    let mut builder = Orchestrator::builder().event_capacity(EVENTS).agent_default(usize::MAX);
    for name in job.workflow.agents.keys() {
        builder = builder.agent(agent_name(name), job.settings.agent(name));
    }
    builder.limit(job.settings.limit())
}

/// An agent of the file, as the engine calls it: apart from the engine's own name for no agent.
fn agent_name(name: &str) -> String {
    format!("{AGENT}{name}")
}

/// What the engine's names of agents begin with.
pub(crate) const AGENT: &str = "agent ";

/// Why there is no summary.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) message: String,
    /// To exit with.
    pub(crate) code: u8,
}

impl Broken {
    /// A broken invariant of ours.
    fn ours(error: impl ToString) -> Self {
        Self { message: format!("the engine: {}", error.to_string()), code: exit::INTERNAL }
    }
}

impl From<StartError> for Broken {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Changed { tasks } => {
                let tasks: Vec<&str> = tasks.iter().map(|id| named_in_file(id)).collect();
                let message = format!(
                    "changed since the run began: {}\n  go on by `--accept-changes`: what is done stays as it is, the rest \
                     is run as it is now",
                    tasks.join(", ")
                );
                Self { message, code: exit::USAGE }
            }
            StartError::Journal(error) => Self { message: error.to_string(), code: exit::IO },
            error => Self::ours(error),
        }
    }
}

impl From<Stopped> for Broken {
    fn from(error: Stopped) -> Self {
        match error {
            Stopped::Journal(error) => Self {
                message: format!(
                    "{error}\n  what was done before is kept: go on by `tidegate resume`"
                ),
                code: exit::IO,
            },
            Stopped::Dropped => Self::ours(error),
        }
    }
}

/// Tasks of the journal that the file has no more.
fn removed(history: &History, job: &Job) -> Vec<String> {
    let known = |id: &str| job.workflow.tasks.iter().any(|task| task.id == id);
    let entries = history.ledger().tasks.iter().filter(|entry| !entry.live);
    let ids = entries.map(|entry| &*entry.id).filter(|id| !id.ends_with(ITEMS));
    ids.filter(|id| !known(id)).map(str::to_owned).collect()
}

/// The task of the file that a node is of.
fn named_in_file(node: &str) -> &str {
    node.strip_suffix(ITEMS).unwrap_or(node)
}

/// What the nodes of one run share.
struct Run {
    job: Arc<Job>,
    past: Past,
    events: UnboundedSender<Event>,
    /// Whether it was told that the run has begun, which comes before whatever else is told of it.
    is_told: SetOnce<()>,
    /// By the node that runs the command.
    records: Mutex<BTreeMap<String, Record>>,
}

/// A command of the run, and what came of it.
#[derive(Clone, Debug)]
struct Record {
    /// Position of the task in the workflow.
    task: usize,
    /// Index and label of the item.
    item: Option<(usize, String)>,
    attempts: u32,
    busy: Duration,
    failure: Option<Failure>,
    files: Option<Files>,
}

impl Record {
    fn new(task: usize) -> Self {
        let (item, busy) = (None, Duration::ZERO);
        Self { task, item, attempts: 0, busy, failure: None, files: None }
    }
}

impl Run {
    /// Makes the outputs of tasks that another process has done known to templates and to the summary.
    fn take_over(&self) {
        for (index, task) in self.job.workflow.tasks.iter().enumerate() {
            match self.past.product(&task.id) {
                Some(Product::Wrote { attempt, .. }) => {
                    self.job.keep(task, vec![self.job.files(task, None, *attempt)]);
                }
                Some(Product::Gathered) => {
                    let items = self.past.wrote(&task.id);
                    let files = items.iter().map(|(at, of)| self.job.files(task, Some(*at), of.0));
                    self.job.keep(task, files.collect());
                }
                Some(Product::Items(_)) | None => {}
            }
            if let Some(failure) = self.past.failure(&items_node(&task.id)) {
                let failure = Failure::broken(failure.2);
                self.record(&items_node(&task.id), |of| of.failure = Some(failure), index);
            }
        }
    }

    /// The record of a command, with what another process has left of it.
    fn recorded(&self, node: &str, index: usize, item: Option<(usize, String)>) -> Record {
        let at = item.as_ref().map(|(at, _)| *at);
        let mut record = Record { item, ..Record::new(index) };
        if let Some(Product::Wrote { attempt, seconds }) = self.past.product(node) {
            record.attempts = *attempt;
            record.busy = Duration::try_from_secs_f64(*seconds).unwrap_or_default();
            record.files = Some(self.job.files(&self.job.workflow.tasks[index], at, *attempt));
        }
        if let Some((attempt, took, error)) = self.past.failure(node) {
            record.attempts = attempt;
            record.busy = took;
            record.failure = Some(Failure::broken(error));
        }
        record
    }

    /// The nodes that a task is, before it runs.
    fn nodes(self: &Arc<Self>, index: usize) -> Vec<Node> {
        let task = &self.job.workflow.tasks[index];
        let needs = || task.needs.iter().map(|(id, _)| id.clone());
        if task.foreach.is_none() {
            return vec![self.command(&task.id, index, None).needs(needs())];
        }
        let items = items_node(&task.id);
        let run = Arc::clone(self);
        let version = past::version(&self.job.workflow, task);
        let expand = Node::durable(items.clone(), move |context| {
            let run = Arc::clone(&run);
            async move { run.expand(index, &context).await }
        });
        let run = Arc::clone(self);
        let gather = Node::durable(task.id.clone(), move |_| {
            run.gather(index);
            std::future::ready(Ok::<_, TaskError>(Product::Gathered))
        });
        let expand = expand.version(version);
        // Neither takes time: they go first, so that no slot is idle for want of items.
        // The items of a list that is done are told with it; those of any other come when it is told again.
        let known = self.past.product(&task.id).and_then(|_| self.past.items(&items));
        let known = known.and_then(items_of).unwrap_or_default().into_iter();
        let known = known.map(|item| {
            let node = item_node(&task.id, &item);
            self.command(&node, index, Some(item)).needs([items.clone()])
        });
        let known: Vec<Node> = known.collect();
        let helpers =
            [expand.needs(needs()).priority(i32::MAX), gather.needs([items]).priority(i32::MAX)];
        helpers.into_iter().chain(known).collect()
    }

    /// The node that runs a command.
    fn command(self: &Arc<Self>, node: &str, index: usize, item: Option<Item>) -> Node {
        let task = &self.job.workflow.tasks[index];
        let shown = item.as_ref().map(|item| (item.index, item.label(&self.job.secrets)));
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.insert(node.to_owned(), self.recorded(node, index, shown));
        drop(records);
        let run = Arc::clone(self);
        let item = item.map(Arc::new);
        let work = move |context: Context| {
            let (run, item) = (Arc::clone(&run), item.clone());
            async move { run.attempt(&context, index, item.as_deref()).await }
        };
        let own = task.retry.map(|own| Retry {
            attempts: own.attempts,
            first_delay: own.backoff,
            factor: own.factor,
            max_delay: own.max,
            ..Retry::default()
        });
        let retry = own.unwrap_or_else(|| self.job.settings.retry());
        // We end our processes ourselves within the grace period; the engine's comes after it.
        let mut made = Node::durable(node, work)
            .retry(retry)
            .priority(task.priority)
            .grace(2 * GRACE)
            .version(past::version(&self.job.workflow, task));
        if task.once {
            made = made.commit_before_start();
        }
        match &task.agent {
            Some((name, _)) => made.agent(agent_name(name)),
            None => made,
        }
    }

    /// Computes the items of a `foreach` task and submits them all at once, ahead of the node that gathers them: one that is
    /// over already, and failed, must not end that node before the others are there.
    async fn expand(
        self: &Arc<Self>,
        index: usize,
        context: &Context,
    ) -> Result<Product, TaskError> {
        let task = &self.job.workflow.tasks[index];
        // As they were: a list that is computed anew might be another.
        let known = self.past.items(context.id()).and_then(items_of);
        let items = match known {
            Some(items) => items,
            None => self.job.items(task).map_err(|failure| {
                self.record(context.id(), |record| record.failure = Some(failure.clone()), index);
                TaskError::fatal(failure.message)
            })?,
        };
        let product = Product::Items(self.texts_of(&items));
        self.is_told.wait().await;
        let _ = self.events.send(Event::TaskExpanded { task: task.id.clone(), items: items.len() });
        // The need is over when an item starts; it is what puts the items on the critical path.
        let node = |item| {
            let node = item_node(&task.id, &item);
            self.command(&node, index, Some(item)).needs([context.id()])
        };
        let nodes = items.into_iter().map(node);
        context.run().submit_all(nodes, &[&task.id]).await.map_err(TaskError::fatal)?;
        Ok(product)
    }

    /// The items as the journal keeps them: not at all, if one holds a secret.
    fn texts_of(&self, items: &[Item]) -> Option<Vec<String>> {
        let text = |item: &Item| serde_json::to_string(&item.value).ok();
        let texts = items.iter().map(text).collect::<Option<Vec<String>>>()?;
        (!texts.iter().any(|text| self.job.secrets.stand_in(text))).then_some(texts)
    }

    /// Keeps the outputs of all items, in their order.
    fn gather(&self, index: usize) {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let of_task = records.values().filter(|record| record.task == index);
        let mut items: Vec<(usize, Files)> = of_task
            .filter_map(|record| Some((record.item.as_ref()?.0, record.files.clone()?)))
            .collect();
        drop(records);
        items.sort_by_key(|&(index, _)| index);
        let files = items.into_iter().map(|(_, files)| files).collect();
        self.job.keep(&self.job.workflow.tasks[index], files);
    }

    /// One attempt of a command, recorded.
    async fn attempt(
        &self,
        context: &Context,
        index: usize,
        item: Option<&Item>,
    ) -> Result<Product, TaskError> {
        let task = &self.job.workflow.tasks[index];
        let started = tokio::time::Instant::now();
        let named = Named {
            attempt: context.attempt(),
            key: context.idempotency_key(),
            trace_parent: context.trace_parent(),
        };
        let outcome = self.job.attempt(task, item, &named).await;
        let taken = started.elapsed();
        let change = |record: &mut Record| {
            record.attempts = context.attempt();
            record.busy += taken;
            record.failure = outcome.as_ref().err().cloned();
            record.files = outcome.as_ref().ok().cloned();
        };
        self.record(context.id(), change, index);
        match outcome {
            Ok(files) => {
                if item.is_none() {
                    self.job.keep(task, vec![files]);
                }
                let busy = self.known(context.id()).map_or(taken, |record| record.busy);
                let (attempt, seconds) = (context.attempt(), busy.as_secs_f64());
                Ok(Product::Wrote { attempt, seconds })
            }
            Err(failure) => {
                let (again, message) = (failure.again(), failure.message);
                Err(if again { message.into() } else { TaskError::fatal(message) })
            }
        }
    }

    fn record(&self, node: &str, change: impl FnOnce(&mut Record), task: usize) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        change(records.entry(node.to_owned()).or_insert_with(|| Record::new(task)));
    }

    /// What is known of a command, and of a `foreach` that ended before it had items.
    fn known(&self, node: &str) -> Option<Record> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = records.get(node) {
            return Some(record.clone());
        }
        let id = node.strip_suffix(ITEMS)?;
        let task = self.job.workflow.tasks.iter().position(|task| task.id == id)?;
        Some(Record::new(task))
    }

    /// Tells an event of the engine, if it is about a command.
    fn tell(&self, kind: &EventKind) {
        let (node, kind) = match kind {
            EventKind::TaskStarted { task, .. }
            | EventKind::TaskRetrying { task, .. }
            | EventKind::TaskEnded { task, .. }
            | EventKind::TaskRestored { task, .. } => (&**task, kind),
            _ => return,
        };
        let Some(mut record) = self.known(node) else { return };
        let helper = node.ends_with(ITEMS);
        let task = self.job.workflow.tasks[record.task].id.clone();
        let item = record.item.as_ref().map(|(_, label)| label.clone());
        let event = match kind {
            EventKind::TaskStarted { attempt, .. } if !helper => {
                Event::TaskStarted { task, item, attempt: *attempt }
            }
            EventKind::TaskRetrying { attempt, error, delay, .. } => Event::TaskRetrying {
                task,
                item,
                attempt: *attempt,
                error: error.clone(),
                retry_in_seconds: delay.as_secs_f64(),
                stderr: record.failure.map(|failure| failure.stderr).unwrap_or_default(),
            },
            EventKind::TaskEnded { outcome, .. } | EventKind::TaskRestored { outcome, .. } => {
                if helper && outcome.is_success() {
                    return;
                }
                let status = status(outcome, &mut record);
                let line = self.line(&record, status);
                let stderr = record.failure.map(|failure| failure.stderr);
                Event::TaskFinished {
                    task,
                    item,
                    status,
                    attempts: line.attempts,
                    seconds: line.seconds,
                    error: line.error,
                    stderr: stderr.filter(|text| !text.is_empty()),
                    stdout_file: line.stdout_file,
                    stderr_file: line.stderr_file,
                }
            }
            _ => return,
        };
        let _ = self.events.send(event);
    }

    fn line(&self, record: &Record, status: Status) -> Line {
        let task = &self.job.workflow.tasks[record.task];
        let file = |stream: &str| {
            let folder = self.job.dir.task(&task.id, record.item.as_ref().map(|item| item.0));
            let path = folder.join(format!("{}.{stream}", record.attempts));
            path.exists().then(|| path.display().to_string())
        };
        Line {
            task: task.id.clone(),
            item: record.item.as_ref().map(|(_, label)| label.clone()),
            status,
            attempts: record.attempts,
            seconds: record.busy.as_secs_f64(),
            error: record.failure.as_ref().map(|failure| failure.message.clone()),
            stdout_file: file("stdout"),
            stderr_file: file("stderr"),
        }
    }

    /// Sums the run up, tasks in file order, items in theirs.
    fn summary(&self, finished: &Finished) -> Summary {
        let report = finished.report();
        let mut found: Vec<(Record, Status)> = Vec::new();
        for node in &report.tasks {
            let Some(mut record) = self.known(&node.id) else { continue };
            // The node that lists the items is worth a line when it is all there is.
            if !(node.id.ends_with(ITEMS) && node.outcome.is_success()) {
                let status = status(&node.outcome, &mut record);
                found.push((record, status));
            }
        }
        found.sort_by_key(|(record, _)| (record.task, record.item.as_ref().map(|item| item.0)));
        let tasks: Vec<Line> =
            found.iter().map(|(record, status)| self.line(record, *status)).collect();
        let mut counts = Counts::default();
        for line in &tasks {
            let count = match line.status {
                Status::Ok => &mut counts.ok,
                Status::Failed | Status::TimedOut => &mut counts.failed,
                Status::Skipped => &mut counts.skipped,
                Status::Cancelled => &mut counts.cancelled,
            };
            *count += 1;
            counts.retries += line.attempts.saturating_sub(1) as usize;
        }
        let named = |node: &Arc<str>| {
            let record = self.known(node).filter(|_| !node.ends_with(ITEMS))?;
            let task = &self.job.workflow.tasks[record.task].id;
            Some(label(task, record.item.as_ref().map(|(_, label)| label.as_str())))
        };
        Summary {
            run: self.job.dir.id.clone(),
            status: tasks.iter().map(|line| line.status).max().unwrap_or(Status::Ok),
            seconds: report.makespan.as_secs_f64(),
            work_seconds: report.busy.as_secs_f64(),
            speed_up: report.speed_up(),
            critical_path: report.critical_path.iter().filter_map(named).collect(),
            critical_path_seconds: report.critical_path_busy.as_secs_f64(),
            counts,
            tasks,
            dir: self.job.dir.path.display().to_string(),
        }
    }
}

/// The status of a command, with the reason for what did not run put into its record.
fn status(outcome: &Outcome, record: &mut Record) -> Status {
    match outcome {
        Outcome::Succeeded => Status::Ok,
        Outcome::TimedOut => Status::TimedOut,
        Outcome::Failed { error } => {
            // A panic of ours leaves no record of its own.
            record.failure.get_or_insert_with(|| Failure::broken(error.as_str())).status()
        }
        Outcome::Skipped { because } => {
            // The reader knows `audit`, not the node that lists its items, nor one item of it.
            let upstream = because.strip_suffix(ITEMS).unwrap_or(because);
            let upstream = upstream.split('[').next().unwrap_or(upstream);
            record.failure = Some(Failure::skipped(upstream));
            Status::Skipped
        }
        // No task of a file has a condition of the engine's.
        Outcome::Unknown => {
            record.failure = Some(Failure::unknown());
            Status::Cancelled
        }
        Outcome::Cancelled | Outcome::Declined => {
            record.failure.get_or_insert_with(Failure::cancelled);
            Status::Cancelled
        }
    }
}

/// What the id of the node that computes the items of a `foreach` ends in; no task can have such an id.
pub(crate) const ITEMS: &str = " (items)";

/// The items that the journal has kept.
fn items_of(texts: &[String]) -> Option<Vec<Item>> {
    let value = |text: &String| serde_json::from_str::<serde_json::Value>(text).ok();
    let values = texts.iter().map(value).collect::<Option<Vec<_>>>()?;
    let item = |(index, value)| Item { index, value: Value::from(Serde(value)) };
    Some(values.into_iter().enumerate().map(item).collect())
}

fn item_node(id: &str, item: &Item) -> String {
    format!("{id}[{}]", item.index)
}

pub(crate) fn items_node(id: &str) -> String {
    format!("{id}{ITEMS}")
}
