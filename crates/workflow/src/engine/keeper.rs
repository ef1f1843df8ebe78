//! The journal of one run, as the engine writes it: what is written when, and what waits for it.
//!
//! The machine is told of an end only when the end is kept: no state that others see is ever ahead of the journal. What the
//! machine makes of the end without anybody else's doing (skipped dependents, for instance) is written for readers, and
//! waits for nobody: another process makes the same of it.
//!
//! 1. An end is kept before the machine hears of it. It waits in `held` for the sync, if there is to be one.
//! 2. A task that commits before it starts starts when its start is kept.
//! 3. After an error of the store nothing is kept and therefore nothing succeeds: what ends ends as failed, the run is
//!    cancelled, and its owner gets the error in place of a result.

mod restored;
mod version;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Ended, Job};
use super::writer::{Beside, Commit, Then, Writer};
use super::{Link, splice};
use crate::graph::Graph;
use crate::journal::{self, CommitError, Durability, Entry, History, Ledger, Record, TooLarge};
use crate::machine::{On, RunId};
use crate::orchestrator::StartError;
use crate::run::SubmitError;
use crate::sub::ItemDone;
use crate::task::{DEFAULT_AGENT, Task};
pub(crate) use restored::Restored;
use version::version;
pub(crate) use version::version_at;

/// How long a record that nobody waits for may be unwritten.
pub(super) const LATEST: Duration = Duration::from_millis(20);

pub(crate) struct Keeper {
    writer: Writer,
    /// The run's id in the journal.
    pub(crate) name: Arc<str>,
    /// What the journal calls a task.
    numbers: Vec<u32>,
    next_number: u32,
    /// How much longer the run has been there than the engine's clock.
    lead: i64,
    /// What the journal knows of tasks that are not in the run yet.
    known: HashMap<Arc<str>, (u32, Entry)>,
    /// For the start of the run.
    pub(super) restored: Vec<(u32, Restored)>,
    /// Failures in a row by agent, and how long ago the last was.
    pub(super) ill: Vec<(Arc<str>, u32, Duration)>,
    /// The agent of each attempt of the last minute, and how long ago it began.
    pub(super) starts: Vec<(Arc<str>, Duration)>,
    /// What the run's tasks have cost and its tenant has not paid here.
    pub(super) unpaid: u64,
    /// What is done within the work of tasks, by their nodes.
    items: HashMap<u32, Items>,
    pub(super) broken: Option<CommitError>,
    held: VecDeque<(u64, Held)>,
}

/// The tasks within the work of another.
#[derive(Default)]
struct Items {
    /// Those that are done, by id, and how many of that id came before.
    done: HashMap<(Arc<str>, u32), (u64, Vec<u8>)>,
    /// How many of an id the attempt has asked for.
    asked: HashMap<Arc<str>, u32>,
}

/// What is known of a task within the work of another.
pub(crate) enum Known {
    Done(Vec<u8>),
    /// Nothing. It is the how-manieth of its id, from 0.
    New(u32),
}

/// The name of the fact that says in which orchestrator the run's tenant has paid.
const PAID_IN: &str = "paid in";

/// What waits for a commit.
pub(super) enum Held {
    Ended(Ended),
    Job(Job),
    /// Told of the store's failure, if it has failed.
    Reply(Box<dyn FnOnce(Option<CommitError>) + Send>),
}

impl Keeper {
    /// Compares the graph with what is known of its run, writes down what is new, and prepares what is to be restored. The
    /// graph's budget is lowered by what was spent.
    pub(crate) fn prepare(
        graph: &mut Graph,
        mut history: History,
        durability: Durability,
        run: RunId,
        link: &Arc<Link>,
    ) -> Result<Box<Self>, StartError> {
        let arrows = splice::regrow(graph, history.ledger(), link)?;
        let mut next_number = number(history.ledger().tasks.len());
        let known_before = next_number;
        let tasks = graph.parts.tasks.iter();
        let numbers: Vec<u32> = tasks
            .clone()
            .map(|task| {
                history.number_of(&task.id).unwrap_or_else(|| {
                    next_number += 1;
                    next_number - 1
                })
            })
            .collect();
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for ((node, of), task) in (0..).zip(tasks).zip(&numbers) {
            let needs = graph.parts.run.needs(node).iter();
            let version = version_at(graph, node);
            let is_new = known_before <= *task;
            if !is_new && history.ledger().tasks[*task as usize].version != version {
                changed.push(of.id.to_string());
            } else if !is_new {
                continue;
            }
            let needs = needs.map(|need| numbers[need.task as usize]).collect();
            added.push((*task, Arc::clone(&of.id), needs, version));
        }
        if !changed.is_empty() && !history.accepts_changes {
            return Err(StartError::Changed { tasks: changed });
        }
        let is_missing = |entry: &&Entry| graph.place_of(&entry.id).is_none();
        let missing = history.ledger().tasks.iter().filter(is_missing);
        let ledger = history.ledger();
        let orphans = missing.filter(|entry| {
            ledger.is_orphan(entry) || !history.accepts_changes && ledger.is_missed(entry)
        });
        let orphans: Vec<String> = orphans.map(|entry| entry.id.to_string()).collect();
        if !orphans.is_empty() {
            return Err(StartError::Orphans { tasks: orphans });
        }
        let since = history.go_on().map_err(StartError::TooLarge)?;
        // The numbers of the new ones follow on each other.
        for (task, id, needs, version) in added {
            history.add_task(task, id, needs, version).map_err(StartError::TooLarge)?;
        }
        let paid_in = link.instance.to_le_bytes().to_vec();
        let is_paid = history.ledger().facts.get(PAID_IN) == Some(&paid_in);
        if graph.parts.tenant.is_some() && !is_paid {
            history.note(PAID_IN, paid_in).map_err(StartError::TooLarge)?;
        }
        // Their versions do not count what was put before them.
        splice::connect(graph, &arrows);
        history.commit_first(durability).map_err(StartError::Journal)?;
        let (journal, ledger) = history.into_parts();
        let mut keeper = Self {
            writer: Writer::new(journal, durability, run, link)
                .map_err(|error| StartError::Journal(error.into()))?,
            name: ledger.run.clone().unwrap_or_default(),
            numbers,
            next_number,
            lead: millis(since) - millis(link.now()),
            known: HashMap::new(),
            restored: Vec::new(),
            ill: Vec::new(),
            starts: Vec::new(),
            unpaid: 0,
            items: HashMap::new(),
            broken: None,
            held: VecDeque::new(),
        };
        keeper.read(graph, ledger, since)?;
        if is_paid {
            keeper.unpaid = 0;
        }
        Ok(Box::new(keeper))
    }

    fn read(&mut self, graph: &mut Graph, ledger: Ledger, now: Duration) -> Result<(), StartError> {
        let mut spent = 0;
        let mut agents: HashMap<u32, Arc<str>> = HashMap::new();
        for (node, of) in (0_u32..).zip(graph.parts.tasks.iter()) {
            let task = self.numbers[node as usize];
            // A new one has left nothing.
            let Some(entry) = ledger.tasks.get(task as usize) else { continue };
            spent += entry.items_cost;
            if !entry.items.is_empty() {
                self.items.insert(node, Items::of(entry));
            }
            if entry.attempt == 0 && entry.outcome.is_none() {
                continue;
            }
            let extras = of.extras.as_deref();
            if entry.attempt > 0 {
                spent += extras.map_or(0, |extras| u64::from(extras.cost)) * u64::from(entry.lives);
                let agent = graph.parts.agents.name_of(node);
                agents.insert(task, agent.map_or_else(|| DEFAULT_AGENT.into(), Arc::clone));
            }
            let restored = Restored::of(entry, extras)
                .map_err(|error| StartError::Output { task: of.id.to_string(), error })?;
            self.restored.push((node, restored));
        }
        graph.parts.budget = graph.parts.budget.map(|budget| budget.saturating_sub(spent));
        self.unpaid = spent;
        let ago = |at_ms| now.saturating_sub(Duration::from_millis(at_ms));
        let starts = ledger.starts.iter();
        self.starts = starts
            .filter_map(|(task, at_ms)| Some((Arc::clone(agents.get(task)?), ago(*at_ms))))
            .collect();
        let mut ill: HashMap<&Arc<str>, (u32, u64)> = HashMap::new();
        for (task, is_well, at_ms) in &ledger.ends {
            let Some(agent) = agents.get(task) else { continue };
            let (failures, last) = ill.entry(agent).or_default();
            *failures = if *is_well { 0 } else { *failures + 1 };
            *last = *at_ms;
        }
        self.ill = ill
            .into_iter()
            .filter(|(_, (failures, _))| *failures > 0)
            .map(|(agent, (failures, last))| (Arc::clone(agent), failures, ago(last)))
            .collect();
        let known =
            (0..).zip(ledger.tasks).filter(|(_, entry)| graph.place_of(&entry.id).is_none());
        self.known = known.map(|(task, entry)| (Arc::clone(&entry.id), (task, entry))).collect();
        Ok(())
    }

    /// A task is submitted into the run as its node of this number; what is known of it.
    pub(super) fn submitted<'a>(
        &mut self,
        node: u32,
        by: Option<u32>,
        task: &Task,
        needs: impl Iterator<Item = (u32, &'a Arc<str>, On)> + Clone,
        followers: &[u32],
    ) -> Result<Restored, SubmitError> {
        let fails = |why: String| SubmitError::Journal { id: task.id.to_string(), why };
        if task.extras.as_ref().is_none_or(|extras| extras.codec.is_none()) {
            return Err(fails("its output cannot be kept: make it by `Task::durable`".to_owned()));
        }
        debug_assert_eq!(node as usize, self.numbers.len());
        let extras = task.extras.as_deref();
        let version = version(extras, needs.clone().map(|(_, id, on)| (&**id, on)));
        let (number, mut entry) = match self.known.remove(&task.id) {
            Some((number, entry)) => (number, Some(entry)),
            None => (self.next_number, None),
        };
        // One that had put others in is asked anew: they are not there.
        let is_same = |entry: &Entry| entry.version == version && entry.plan.is_none();
        let is_known = entry.as_ref().is_some_and(is_same);
        let restored = match &mut entry {
            Some(entry) => {
                if !is_known {
                    entry.reset();
                }
                Restored::of(entry, extras)
            }
            None => Ok(Restored::default()),
        };
        let restored = match restored {
            Ok(restored) => restored,
            Err(error) => {
                let put_back = entry.map(|entry| (Arc::clone(&task.id), (number, entry)));
                self.known.extend(put_back);
                return Err(fails(error));
            }
        };
        if !is_known {
            let needs = needs.map(|(node, ..)| self.numbers[node as usize]).collect();
            let id = Arc::clone(&task.id);
            let record = Record::TaskAdded { task: number, id, needs, version, live: true };
            self.writer.append(&record).map_err(|why| fails(why.to_string()))?;
            if let Some(by) = by {
                let by = self.numbers[by as usize];
                let before = followers.iter().map(|node| self.numbers[*node as usize]).collect();
                self.append(&Record::Submitted { task: number, by, before });
            }
            if let Some(entry) = &entry {
                // What another task of that id came to does not count, nor what it has put in.
                self.append(&Record::Reset { task: number });
                if entry.plan.is_some() {
                    self.append(&Record::Planned { by: Some(number), plan: Vec::new() });
                }
            }
        }
        self.next_number = self.next_number.max(number + 1);
        self.numbers.push(number);
        Ok(restored)
    }

    /// Writes down the plan of which a task puts the tasks into the run.
    pub(super) fn planned(&mut self, by: u32, plan: Vec<u8>) -> Result<(), TooLarge> {
        self.writer.append(&Record::Planned { by: Some(self.numbers[by as usize]), plan })
    }

    pub(super) fn started(&mut self, node: u32, attempt: u32, once: bool, now: Duration) {
        let task = self.numbers[node as usize];
        self.append(&Record::AttemptStarted { task, attempt, once, at_ms: self.at(now) });
    }

    /// Writes down that an attempt came to nothing and another is to follow.
    pub(super) fn failed(
        &mut self,
        node: u32,
        attempt: u32,
        error: String,
        took: Duration,
        now: Duration,
    ) {
        self.items.remove(&node);
        let (task, took_us, at_ms) = (self.numbers[node as usize], micros(took), self.at(now));
        self.append(&Record::AttemptFailed { task, attempt, error, took_us, at_ms });
    }

    /// Writes down that a task is over.
    pub(super) fn settled(
        &mut self,
        node: u32,
        attempt: u32,
        outcome: journal::Outcome,
        output: Vec<u8>,
        took: Duration,
        now: Duration,
    ) -> Result<(), TooLarge> {
        self.items.remove(&node);
        let (task, took_us, at_ms) = (self.numbers[node as usize], micros(took), self.at(now));
        let record = Record::Settled { task, attempt, outcome, output, took_us, at_ms };
        self.writer.append(&record)
    }

    /// The attempt of this task asks for a task within its work.
    pub(super) fn item(&mut self, node: u32, id: &Arc<str>, version: u64) -> Known {
        let items = self.items.entry(node).or_default();
        let asked = items.asked.entry(Arc::clone(id)).or_default();
        let nth = *asked;
        *asked += 1;
        match items.done.get(&(Arc::clone(id), nth)) {
            Some((of, output)) if *of == version => Known::Done(output.clone()),
            _ => Known::New(nth),
        }
    }

    /// Writes down that such a task is done.
    pub(super) fn item_done(
        &mut self,
        node: u32,
        done: ItemDone,
        now: Duration,
    ) -> Result<(), TooLarge> {
        let ItemDone { id, nth, version, cost, encoded: output } = done;
        let (task, item, at_ms) = (self.numbers[node as usize], id.to_string(), self.at(now));
        self.writer.append(&Record::ItemDone { task, item, nth, version, cost, output, at_ms })
    }

    /// Appends what is never too large: texts are cut.
    fn append(&mut self, record: &Record) {
        // A message of 64 MiB is not worth the run: without it another process repeats the attempt.
        let _ = self.writer.append(record);
    }

    pub(super) fn has_unwritten(&self) -> bool {
        !self.writer.is_empty()
    }

    pub(super) fn flush(&mut self) -> Result<(), CommitError> {
        self.writer.flush()
    }

    pub(super) fn commit(&mut self, ends: usize, beside: Beside) -> Result<Commit, CommitError> {
        self.writer.commit(ends, beside)
    }

    /// Lets something wait for a commit.
    pub(super) fn hold(&mut self, commit: u64, held: Held) {
        self.held.push_back((commit, held));
    }

    /// Whether the success of a running attempt is written down, and only waits to be acted on.
    pub(super) fn has_kept(&self, node: u32) -> bool {
        let is_it = |held: &Held| match held {
            Held::Ended(ended) => ended.task().node == node && ended.result.is_ok(),
            Held::Job(_) | Held::Reply(_) => false,
        };
        self.held.iter().any(|(_, held)| is_it(held))
    }

    /// Writes down that a task is to run again.
    pub(super) fn reset(&mut self, node: u32) {
        self.items.remove(&node);
        self.append(&Record::Reset { task: self.numbers[node as usize] });
    }

    /// What has waited for this commit or an earlier one.
    pub(super) fn released(&mut self, commit: u64) -> Option<Held> {
        self.held.pop_front_if(|(of, _)| *of <= commit).map(|(_, held)| held)
    }

    /// Writes down that the run is over, and closes the journal.
    pub(super) fn close(self, cancelled: bool, now: Duration, then: Then) -> Option<super::Waste> {
        let end = if cancelled { journal::End::Cancelled } else { journal::End::Complete };
        let record = Record::RunEnded { end, at_ms: self.at(now) };
        let Self { mut writer, held, broken, .. } = self;
        let _ = writer.append(&record);
        for (_, held) in held {
            if let Held::Reply(reply) = held {
                reply(broken.clone());
            }
        }
        writer.close(then)
    }

    fn at(&self, now: Duration) -> u64 {
        u64::try_from(millis(now) + self.lead).unwrap_or(0)
    }
}

impl Items {
    fn of(entry: &Entry) -> Self {
        let done = entry
            .items
            .iter()
            .map(|item| ((Arc::clone(&item.id), item.nth), (item.version, item.output.clone())));
        Self { done: done.collect(), asked: HashMap::new() }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a run has fewer than 2^32 tasks")
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
