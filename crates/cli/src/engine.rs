//! From a workflow to the engine and back: tasks become nodes of a live graph, outcomes become the summary.
//!
//! A plain task is one node. A `foreach` task is two, `audit (items)`, which computes the items once its upstreams have
//! finished and submits one node for each, and `audit` itself, which waits for them all and gathers what they wrote.
//! Whoever needs `audit` waits for the second, and so for every item.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::event::{Event, Status};
use crate::file::{Retry, Task};
use crate::job::{Failure, Item, Job};
use crate::outputs::Files;
use crate::summary::{Counts, Line, Summary};

mod dispatch;

use dispatch::{Again, Dispatcher, End, Node, Submitter};

/// Runs the workflow to its end, or until it is told to stop; tells what happens as it happens.
pub(crate) async fn execute(job: Arc<Job>, events: UnboundedSender<Event>) -> Summary {
    let run = Arc::new(Run { job, events, records: Mutex::default() });
    let engine = Dispatcher::new(&run.job.workflow, run.job.stop.clone());
    let submitter = engine.submitter();
    for index in 0..run.job.workflow.tasks.len() {
        run.submit(&submitter, index);
    }
    let ends = engine.run().await;
    run.summary(&ends)
}

/// What the nodes of one run share.
struct Run {
    job: Arc<Job>,
    events: UnboundedSender<Event>,
    records: Mutex<BTreeMap<String, Record>>,
}

/// What is known of one command: a plain task, or an item.
#[derive(Clone, Debug, Default)]
struct Record {
    task: usize,
    item: Option<(usize, String)>,
    attempts: u32,
    started: Option<Instant>,
    ended: Option<Instant>,
    /// Time in attempts, without the pauses between them.
    busy: Duration,
    failure: Option<Failure>,
    files: Option<Files>,
}

/// A command of the run, by the node that runs it.
#[derive(Clone, Debug)]
struct Command {
    node: String,
    /// Position of the task in the workflow.
    task: usize,
    item: Option<Item>,
}

impl Run {
    fn task(&self, command: &Command) -> &Task {
        &self.job.workflow.tasks[command.task]
    }

    fn submit(self: &Arc<Self>, engine: &Submitter, index: usize) {
        let task = &self.job.workflow.tasks[index];
        let needs: Vec<String> = task.needs.iter().map(|(id, _)| id.clone()).collect();
        if task.foreach.is_none() {
            let command = Command { node: task.id.clone(), task: index, item: None };
            engine.submit(self.node(command, needs));
            return;
        }
        let expand = items_node(&task.id);
        let (run, live) = (Arc::clone(self), engine.clone());
        engine.submit(helper(expand.clone(), needs, move || run.expand(&live, index)));
        let run = Arc::clone(self);
        engine.submit(helper(task.id.clone(), vec![expand], move || {
            run.gather(index);
            Ok(())
        }));
    }

    /// The node that runs a command.
    fn node(self: &Arc<Self>, command: Command, needs: Vec<String>) -> Node {
        let task = self.task(&command);
        let (run, id) = (Arc::clone(self), command.node.clone());
        self.record(&id, |record| {
            record.task = command.task;
            record.item = command.item.as_ref().map(|item| (item.index, item.label()));
        });
        Node {
            id,
            needs,
            agent: task.agent.as_ref().map(|(name, _)| name.clone()),
            priority: task.priority,
            retry: task.retry,
            work: Arc::new(move |attempt| {
                let (run, command) = (Arc::clone(&run), command.clone());
                Box::pin(async move {
                    run.attempt(&command, attempt).await.map_err(|f| Again(f.again()))
                })
            }),
        }
    }

    /// Computes the items of a `foreach` task and submits them ahead of the node that gathers them.
    fn expand(self: &Arc<Self>, engine: &Submitter, index: usize) -> Result<(), Failure> {
        let task = &self.job.workflow.tasks[index];
        let items = self.job.items(task).inspect_err(|failure| {
            self.record(&task.id, |record| {
                record.task = index;
                record.failure = Some(failure.clone());
            });
            self.finished(&task.id, Status::Failed);
        })?;
        let _ = self.events.send(Event::TaskExpanded { task: task.id.clone(), items: items.len() });
        for item in items {
            let node = format!("{}[{}]", task.id, item.index);
            let command = Command { node, task: index, item: Some(item) };
            engine.submit_before(self.node(command, Vec::new()), &task.id);
        }
        Ok(())
    }

    /// Keeps the outputs of all items, in their order.
    fn gather(&self, index: usize) {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let mut items: Vec<(usize, Files)> = records
            .values()
            .filter(|record| record.task == index)
            .filter_map(|record| Some((record.item.as_ref()?.0, record.files.clone()?)))
            .collect();
        drop(records);
        items.sort_by_key(|&(index, _)| index);
        let files = items.into_iter().map(|(_, files)| files).collect();
        self.job.keep(&self.job.workflow.tasks[index], files);
    }

    /// One attempt of a command, told and recorded.
    async fn attempt(&self, command: &Command, attempt: u32) -> Result<(), Failure> {
        let task = self.task(command);
        let label = command.item.as_ref().map(Item::label);
        let started = Instant::now();
        let _ = self.events.send(Event::TaskStarted {
            task: task.id.clone(),
            item: label.clone(),
            attempt,
        });
        let outcome = self.job.attempt(task, command.item.as_ref(), attempt).await;
        let ended = Instant::now();
        self.record(&command.node, |record| {
            record.attempts = attempt;
            record.started.get_or_insert(started);
            record.ended = Some(ended);
            record.busy += ended - started;
            record.failure = outcome.as_ref().err().cloned();
            record.files = outcome.as_ref().ok().cloned();
        });
        match outcome {
            Ok(files) => {
                if command.item.is_none() {
                    self.job.keep(task, vec![files]);
                }
                self.finished(&command.node, Status::Ok);
                Ok(())
            }
            Err(failure) if failure.again() && attempt < task.retry.attempts => {
                let _ = self.events.send(Event::TaskRetrying {
                    task: task.id.clone(),
                    item: label,
                    attempt,
                    error: failure.message.clone(),
                    retry_in_seconds: task.retry.pause(attempt).as_secs_f64(),
                    stderr: failure.stderr.clone(),
                });
                Err(failure)
            }
            Err(failure) => {
                self.finished(&command.node, failure.status());
                Err(failure)
            }
        }
    }

    fn record(&self, node: &str, change: impl FnOnce(&mut Record)) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        change(records.entry(node.to_owned()).or_default());
    }

    /// Tells that a command has ended.
    fn finished(&self, node: &str, status: Status) {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let record = records.get(node).cloned().unwrap_or_default();
        drop(records);
        let line = self.line(node, &record, status);
        let files = record.attempts.checked_sub(1).map(|_| {
            let task = &self.job.workflow.tasks[record.task];
            let folder = self.job.dir.task(&task.id, record.item.as_ref().map(|item| item.0));
            folder.join(format!("{}.stdout", record.attempts)).display().to_string()
        });
        let _ = self.events.send(Event::TaskFinished {
            task: line.task,
            item: line.item,
            status,
            attempts: line.attempts,
            seconds: line.seconds,
            error: line.error,
            stderr: record.failure.map(|failure| failure.stderr).filter(|text| !text.is_empty()),
            stdout_file: files,
            stderr_file: line.stderr_file,
        });
    }

    fn line(&self, node: &str, record: &Record, status: Status) -> Line {
        let task = &self.job.workflow.tasks[record.task];
        let stderr_file = (record.attempts > 0).then(|| {
            let folder = self.job.dir.task(&task.id, record.item.as_ref().map(|item| item.0));
            folder.join(format!("{}.stderr", record.attempts)).display().to_string()
        });
        let _ = node;
        Line {
            task: task.id.clone(),
            item: record.item.as_ref().map(|(_, label)| label.clone()),
            status,
            attempts: record.attempts,
            seconds: record.busy.as_secs_f64(),
            error: record.failure.as_ref().map(|failure| failure.message.clone()),
            stderr_file,
        }
    }
}

/// The node that computes the items of a `foreach` task; no task can have this id.
fn items_node(id: &str) -> String {
    format!("{id} (items)")
}

fn helper(
    id: String,
    needs: Vec<String>,
    work: impl Fn() -> Result<(), Failure> + Send + Sync + 'static,
) -> Node {
    let work = Arc::new(work);
    Node {
        id,
        needs,
        agent: None,
        priority: 0,
        retry: Retry::default(),
        work: Arc::new(move |_| {
            let work = Arc::clone(&work);
            Box::pin(async move { work().map_err(|_| Again(false)) })
        }),
    }
}

impl Run {
    /// Tells what was not done, and sums the run up.
    fn summary(&self, ends: &BTreeMap<String, End>) -> Summary {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut lines = Vec::new();
        let mut work = Duration::ZERO;
        let mut spans: Vec<Option<(Instant, Duration)>> = vec![None; self.job.workflow.tasks.len()];
        for (index, task) in self.job.workflow.tasks.iter().enumerate() {
            let mut commands: Vec<(&String, &Record)> = records
                .iter()
                .filter(|(_, record)| {
                    record.task == index && (record.item.is_some() || task.foreach.is_none())
                })
                .collect();
            commands.sort_by_key(|(_, record)| record.item.as_ref().map(|item| item.0));
            for (node, record) in &commands {
                let mut record = (*record).clone();
                let status = self.status(ends.get(*node), &mut record);
                if matches!(status, Status::Skipped | Status::Cancelled) && record.attempts == 0 {
                    self.record(node, |kept| kept.failure.clone_from(&record.failure));
                    self.finished(node, status);
                }
                work += record.busy;
                if let (Some(started), Some(ended)) = (record.started, record.ended) {
                    let span = ended - started;
                    if spans[index].is_none_or(|(_, longest)| longest < span) {
                        let end = spans[index].map_or(ended, |(end, _)| end.max(ended));
                        spans[index] = Some((end, span));
                    }
                }
                lines.push(self.line(node, &record, status));
            }
            if commands.is_empty() {
                // A `foreach` that never had items: skipped, broken, ended early, or empty and well.
                let mut record = records.get(&task.id).cloned().unwrap_or_default();
                record.task = index;
                let told = record.failure.is_some();
                let end = ends.get(&items_node(&task.id));
                let status = self.status(end, &mut record);
                self.record(&task.id, |kept| *kept = record.clone());
                if !told {
                    self.finished(&task.id, status);
                }
                lines.push(self.line(&task.id, &record, status));
            }
        }
        let (critical_path, longest) = self.critical_path(&spans);
        let mut counts = Counts::default();
        for line in &lines {
            let count = match line.status {
                Status::Ok => &mut counts.ok,
                Status::Failed | Status::TimedOut => &mut counts.failed,
                Status::Skipped => &mut counts.skipped,
                Status::Cancelled => &mut counts.cancelled,
            };
            *count += 1;
            counts.retries += line.attempts.saturating_sub(1) as usize;
        }
        let status = lines.iter().map(|line| line.status).max().unwrap_or(Status::Ok);
        Summary {
            run: self.job.dir.id.clone(),
            status,
            seconds: 0.0,
            work_seconds: work.as_secs_f64(),
            speed_up: 0.0,
            critical_path,
            critical_path_seconds: longest.as_secs_f64(),
            counts,
            tasks: lines,
            dir: self.job.dir.path.display().to_string(),
        }
    }

    /// The status of a command, with the reason for what never started put into its record.
    fn status(&self, end: Option<&End>, record: &mut Record) -> Status {
        match end {
            Some(End::Ok) => Status::Ok,
            Some(End::Failed) => record.failure.as_ref().map_or(Status::Failed, Failure::status),
            Some(End::Skipped(upstream)) => {
                // The reader knows `audit`, not the node that lists its items, nor one item of it.
                let upstream = upstream.strip_suffix(" (items)").unwrap_or(upstream);
                let upstream = upstream.split('[').next().unwrap_or(upstream);
                record.failure = Some(Failure::skipped(upstream));
                Status::Skipped
            }
            Some(End::Cancelled) | None => {
                record.failure.get_or_insert_with(Failure::cancelled);
                Status::Cancelled
            }
        }
    }

    /// The chain of tasks that took longest, and how long; a `foreach` counts with its longest item.
    fn critical_path(&self, spans: &[Option<(Instant, Duration)>]) -> (Vec<String>, Duration) {
        let tasks = &self.job.workflow.tasks;
        let index: BTreeMap<&str, usize> =
            tasks.iter().enumerate().map(|(i, task)| (task.id.as_str(), i)).collect();
        // What a task needs has ended before it: by end is an order in which upstreams come first.
        let mut order: Vec<usize> = (0..tasks.len()).filter(|&i| spans[i].is_some()).collect();
        order.sort_by_key(|&i| spans[i].map(|(ended, _)| ended));
        let mut best: Vec<Option<(Duration, Option<usize>)>> = vec![None; tasks.len()];
        for &i in &order {
            let before = tasks[i]
                .needs
                .iter()
                .filter_map(|(id, _)| index.get(id.as_str()).copied())
                .filter_map(|upstream| Some((best[upstream]?.0, upstream)))
                .max();
            let own = spans[i].map_or(Duration::ZERO, |(_, span)| span);
            let sum = own + before.map_or(Duration::ZERO, |(sum, _)| sum);
            best[i] = Some((sum, before.map(|(_, upstream)| upstream)));
        }
        let last = (0..tasks.len()).filter_map(|i| Some((best[i]?.0, i))).max();
        let mut path = Vec::new();
        let mut at = last.map(|(_, i)| i);
        while let Some(i) = at {
            path.push(tasks[i].id.clone());
            at = best[i].and_then(|(_, before)| before);
        }
        path.reverse();
        (path, last.map_or(Duration::ZERO, |(sum, _)| sum))
    }
}
