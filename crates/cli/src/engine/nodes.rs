//! The nodes that the tasks of a file are, and what they share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use minijinja::value::{Serde, Value};
use tidegate_workflow::{Context, Durable, Retry, Task, TaskError};
use tokio::sync::SetOnce;
use tokio::sync::mpsc::UnboundedSender;

use super::agent_name;
use crate::event::Event;
use crate::job::{Failure, Item, Job, Named};
use crate::outputs::Files;
use crate::past::{self, Past, Product};
use crate::process::GRACE;

/// A node of the graph, whose product the journal keeps.
type Node = Task<Durable>;
/// What the nodes of one run share.
pub(super) struct Run {
    pub(super) job: Arc<Job>,
    pub(super) past: Past,
    pub(super) events: UnboundedSender<Event>,
    /// Whether it was told that the run has begun, which comes before whatever else is told of it.
    pub(super) is_told: SetOnce<()>,
    /// By the node that runs the command.
    pub(super) records: Mutex<BTreeMap<String, Record>>,
}

/// A command of the run, and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Position of the task in the workflow.
    pub(super) task: usize,
    /// Index and label of the item.
    pub(super) item: Option<(usize, String)>,
    pub(super) attempts: u32,
    pub(super) busy: Duration,
    pub(super) failure: Option<Failure>,
    pub(super) files: Option<Files>,
}

impl Record {
    fn new(task: usize) -> Self {
        let (item, busy) = (None, Duration::ZERO);
        Self { task, item, attempts: 0, busy, failure: None, files: None }
    }
}

impl Run {
    /// Makes the outputs of tasks that another process has done known to templates and to the summary.
    pub(super) fn take_over(&self) {
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
    pub(super) fn nodes(self: &Arc<Self>, index: usize) -> Vec<Node> {
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
        // The items of a list that is done are told with it; those of any other come when it is told again.
        let known = self.past.product(&task.id).and_then(|_| self.past.items(&items));
        let known = known.and_then(items_of).unwrap_or_default().into_iter();
        let known = known.map(|item| {
            let node = item_node(&task.id, &item);
            self.command(&node, index, Some(item)).needs([items.clone()])
        });
        let known: Vec<Node> = known.collect();
        // Neither takes time: they go first, so that no slot is idle for want of items.
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
    pub(super) fn known(&self, node: &str) -> Option<Record> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = records.get(node) {
            return Some(record.clone());
        }
        let id = node.strip_suffix(ITEMS)?;
        let task = self.job.workflow.tasks.iter().position(|task| task.id == id)?;
        Some(Record::new(task))
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

/// The task of the file that a node is of.
pub(super) fn named_in_file(node: &str) -> &str {
    node.strip_suffix(ITEMS).unwrap_or(node)
}
