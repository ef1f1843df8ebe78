//! What a journal's records add up to: values in, values out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::record::{End, Outcome, Record};
use crate::durable::from_bytes;

/// A run as its journal tells it. [`scan`](super::scan()) gives the records, also of a run that is live.
///
/// # Examples
/// ```
/// use tidegate_workflow::journal::{Ledger, Record};
///
/// let added = Record::TaskAdded { task: 0, id: "fetch".into(), needs: vec![], version: 0, live: false };
/// let started = Record::AttemptStarted { task: 0, attempt: 1, once: false, at_ms: 5 };
/// let ledger = Ledger::of([added, started]);
/// assert!(ledger.tasks[0].is_running());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// The run's id.
    pub run: Option<Arc<str>>,
    /// What its starter wrote of it.
    pub description: Vec<u8>,
    /// When it began, in milliseconds since 1970. Other times count from there.
    pub since_1970_ms: u64,
    /// Its tasks; their places are the numbers by which records and needs name them.
    pub tasks: Vec<Entry>,
    /// The plan of the whole run, if a planner has made it.
    pub plan: Option<Vec<u8>>,
    /// What was to be known later, by name.
    pub facts: BTreeMap<String, Vec<u8>>,
    /// How it ended, if it did and nobody went on with it.
    pub end: Option<End>,
    /// How often another process went on with it.
    pub resumed: u32,
    /// The time of the last record that has one.
    pub last: Duration,
    /// Every end of an attempt in its order: the task, whether it went well, and when.
    pub(crate) ends: Vec<(u32, bool, u64)>,
    /// The attempts that began in the minute before the last one did: the task, and when.
    pub(crate) starts: VecDeque<(u32, u64)>,
}

/// For how long an attempt counts against its agent's rate, in milliseconds.
const MINUTE: u64 = 60_000;

/// A task as the journal tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its id.
    pub id: Arc<str>,
    /// The tasks it needs, by their places.
    pub needs: Vec<u32>,
    /// What changes when the task does.
    pub version: u64,
    /// Whether it was submitted into the live run.
    pub live: bool,
    /// The task that submitted it, by its place, if a task did.
    pub by: Option<u32>,
    /// The tasks before which that one has placed it, by their places.
    pub before: Vec<u32>,
    /// The plan whose tasks it has put into the live run, if a planner has made it.
    pub plan: Option<Vec<u8>>,
    /// The number of its last attempt; 0 if it never started.
    pub attempt: u32,
    /// How often it had succeeded when it was to run again.
    pub generation: u32,
    /// What is done within its work, for the attempt that takes it up.
    pub items: Vec<Item>,
    /// What that has cost, what no longer counts with it.
    pub(crate) items_cost: u64,
    /// How often it began since it was added or was to run again: what it has cost.
    pub(crate) lives: u32,
    /// Whether it has begun since.
    pub(crate) is_begun: bool,
    /// The last attempt whose end is known.
    pub(crate) ended_attempt: u32,
    /// How many attempts failed since it was last to be run afresh.
    pub failed: u32,
    /// What the last failed attempt said.
    pub error: Option<String>,
    /// When the attempt began that has not told its end.
    pub running_since: Option<Duration>,
    /// Whether that attempt must not be repeated without being asked.
    pub once: bool,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What it gave, encoded; [`returned`](Self::returned) reads it.
    pub output: Vec<u8>,
    /// How long its last attempt ran.
    pub took: Duration,
    /// When its last attempt ended.
    pub ended: Option<Duration>,
}

/// A task that is done within the work of another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item {
    /// Its id.
    pub id: Arc<str>,
    /// How many of this id the attempt had run before.
    pub nth: u32,
    /// What changes when the task does.
    pub version: u64,
    /// What it gave, encoded.
    pub output: Vec<u8>,
}

impl Entry {
    /// What it returned, if it succeeded and returned a `T`.
    pub fn returned<T: DeserializeOwned>(&self) -> Option<T> {
        let is_done = self.outcome == Some(Outcome::Done);
        is_done.then(|| from_bytes(&self.output).ok()).flatten()
    }

    /// Whether an attempt began and has not told its end.
    pub fn is_running(&self) -> bool {
        self.running_since.is_some()
    }

    /// Whether an attempt that must not be repeated began, and nobody knows its end.
    pub fn is_doubtful(&self) -> bool {
        self.is_running() && self.once
    }

    /// Whether it is over so that another process has nothing to do: what was skipped or cancelled may still run.
    pub fn is_final(&self) -> bool {
        !matches!(self.outcome, None | Some(Outcome::Skipped(_) | Outcome::Cancelled))
    }
}

impl Ledger {
    /// What these records add up to.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Self {
        let mut ledger = Self::default();
        records.into_iter().for_each(|record| ledger.add(record));
        ledger
    }

    /// Whether it knows of no run.
    pub fn is_empty(&self) -> bool {
        self.run.is_none()
    }

    /// Takes one more record. What names a task that was not added says nothing, and changes nothing.
    pub(crate) fn add(&mut self, record: Record) {
        match record {
            Record::RunStarted { run, description, since_1970_ms } => {
                self.run = Some(run.into());
                self.description = description;
                self.since_1970_ms = since_1970_ms;
            }
            Record::RunResumed { at_ms } => {
                self.resumed += 1;
                self.end = None;
                self.passed(at_ms);
            }
            Record::TaskAdded { task, id, needs, version, live } => {
                let added = Entry { id, needs, version, live, ..Entry::default() };
                if task as usize == self.tasks.len() {
                    self.tasks.push(added);
                } else {
                    let Entry { needs, version, .. } = added;
                    self.change(task, |entry| {
                        *entry = Entry { needs, version, ..std::mem::take(entry) };
                    });
                }
            }
            Record::AttemptStarted { task, attempt, once, at_ms } => {
                let at = self.passed(at_ms);
                self.starts.push_back((task, at_ms));
                while self.starts.front().is_some_and(|(_, of)| *of + MINUTE < at_ms) {
                    self.starts.pop_front();
                }
                self.change(task, |entry| {
                    entry.attempt = attempt;
                    entry.lives += u32::from(!entry.is_begun);
                    entry.is_begun = true;
                    entry.once = once;
                    entry.running_since = Some(at);
                });
            }
            Record::AttemptFailed { task, attempt, error, took_us, at_ms } => {
                let at = self.passed(at_ms);
                self.ends.push((task, false, at_ms));
                self.change(task, |entry| {
                    entry.ended(attempt, took_us, at);
                    entry.items = Vec::new();
                    entry.failed += 1;
                    entry.error = Some(error);
                });
            }
            Record::Settled { task, attempt, outcome, output, took_us, at_ms } => {
                let at = self.passed(at_ms);
                match outcome {
                    Outcome::Done => self.ends.push((task, true, at_ms)),
                    Outcome::Failed(_) | Outcome::TimedOut => self.ends.push((task, false, at_ms)),
                    Outcome::Skipped(_) | Outcome::Cancelled | Outcome::Declined => {}
                }
                self.change(task, |entry| {
                    entry.ended(attempt, took_us, at);
                    entry.outcome = Some(outcome);
                    entry.output = output;
                    if entry.is_final() {
                        entry.items = Vec::new();
                    }
                });
            }
            Record::Reset { task } => self.change(task, Entry::reset),
            Record::ItemDone { task, item, nth, version, cost, output, at_ms } => {
                self.passed(at_ms);
                self.change(task, |entry| {
                    entry.items_cost += u64::from(cost);
                    entry.items.push(Item { id: item.into(), nth, version, output });
                });
            }
            Record::Planned { by: Some(by), plan } => {
                self.change(by, |entry| entry.plan = Some(plan).filter(|plan| !plan.is_empty()));
            }
            Record::Planned { by: None, plan } => self.plan = Some(plan),
            Record::Fact { name, value } => drop(self.facts.insert(name, value)),
            Record::Submitted { task, by, before } => {
                self.change(task, |entry| (entry.by, entry.before) = (Some(by), before));
            }
            Record::RunEnded { end, at_ms } => {
                self.passed(at_ms);
                self.end = Some(end);
            }
        }
    }

    /// Whether nobody would bring the task back: it was submitted by one that is over, and is not over itself. What was
    /// skipped follows from others.
    pub(crate) fn is_orphan(&self, entry: &Entry) -> bool {
        let is_open = matches!(entry.outcome, None | Some(Outcome::Cancelled));
        is_open && self.has_no_parent(entry)
    }

    /// Whether nobody would bring the task back, and one before which it was placed would run without it.
    pub(crate) fn is_missed(&self, entry: &Entry) -> bool {
        let mut followers = entry.before.iter().filter_map(|at| self.tasks.get(*at as usize));
        self.has_no_parent(entry) && followers.any(|follower| self.may_run(follower))
    }

    fn has_no_parent(&self, entry: &Entry) -> bool {
        let by = entry.by.and_then(|by| self.tasks.get(by as usize));
        entry.live && by.is_some_and(Entry::is_final)
    }

    /// Whether another process may run it: not what will be skipped there, too.
    fn may_run(&self, entry: &Entry) -> bool {
        match &entry.outcome {
            None | Some(Outcome::Cancelled) => true,
            Some(Outcome::Skipped(because)) => {
                let cause = self.tasks.iter().find(|task| *task.id == **because);
                cause.is_none_or(|cause| cause.live || !cause.is_final())
            }
            Some(_) => false,
        }
    }

    fn passed(&mut self, at_ms: u64) -> Duration {
        self.last = Duration::from_millis(at_ms);
        self.last
    }

    fn change(&mut self, task: u32, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.tasks.get_mut(task as usize) {
            change(entry);
        }
    }
}

impl Entry {
    /// What it came to no longer counts.
    pub(crate) fn reset(&mut self) {
        self.generation += u32::from(self.outcome == Some(Outcome::Done));
        self.failed = 0;
        self.is_begun = false;
        self.running_since = None;
        self.outcome = None;
        self.output = Vec::new();
        self.items = Vec::new();
    }

    fn ended(&mut self, attempt: u32, took_us: u64, at: Duration) {
        self.ended_attempt = self.ended_attempt.max(attempt);
        self.running_since = None;
        self.took = Duration::from_micros(took_us);
        self.ended = Some(at);
    }
}

#[cfg(test)]
mod tests;
