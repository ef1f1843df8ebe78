//! What a run has come to: told as it happens, and summed up at its end.

use std::sync::Arc;

use tidegate_workflow::{EventKind, Finished, Outcome};

use super::nodes::{ITEMS, Record, Run};
use crate::event::{Event, Status, name};
use crate::job::Failure;
use crate::summary::{Counts, Line, Summary};

impl Run {
    /// Tells an event of the engine, if it is about a command.
    pub(super) fn tell(&self, kind: &EventKind) {
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
        let (index, item) = record.item.clone().unzip();
        let event = match kind {
            EventKind::TaskStarted { attempt, .. } if !helper => {
                Event::TaskStarted { task, item, index, attempt: *attempt }
            }
            EventKind::TaskRetrying { attempt, error, delay, .. } => Event::TaskRetrying {
                task,
                item,
                index,
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
                    index,
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
        let (index, item) = record.item.clone().unzip();
        Line {
            task: task.id.clone(),
            item,
            index,
            status,
            attempts: record.attempts,
            seconds: record.busy.as_secs_f64(),
            error: record.failure.as_ref().map(|failure| failure.message.clone()),
            stdout_file: file("stdout"),
            stderr_file: file("stderr"),
        }
    }

    /// Sums the run up, tasks in file order, items in theirs.
    pub(super) fn summary(&self, finished: &Finished) -> Summary {
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
            Some(name(task, record.item.map(|item| item.0)))
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
