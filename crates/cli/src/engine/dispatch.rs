//! Runs nodes as their upstreams end, within the limits.
//!
//! One task owns all state and hears of everything through one channel; nodes run in tasks of their own. A node is
//! waiting (for upstreams), ready (in the queue of its agent), running, or pausing before its next attempt.
//! A full agent holds up only its own queue.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::file::{Retry, Workflow};
use crate::process::Stop;

/// One attempt of a node, by its number from 1; the error says whether another may do better.
pub(super) type Work =
    Arc<dyn Fn(u32) -> Pin<Box<dyn Future<Output = Result<(), Again>> + Send>> + Send + Sync>;

/// Whether another attempt may do better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Again(pub(super) bool);

/// Something to run once all it needs has ended well.
pub(super) struct Node {
    pub(super) id: String,
    pub(super) needs: Vec<String>,
    pub(super) agent: Option<String>,
    pub(super) priority: i32,
    pub(super) retry: Retry,
    pub(super) work: Work,
}

/// How a node ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Ok,
    Failed,
    /// The upstream named here did not end well.
    Skipped(String),
    Cancelled,
}

enum Message {
    Submit(Node),
    Before(Node, String),
    Attempted(String, Result<(), Again>),
    Again(String),
}

/// Submits nodes, also from inside running ones.
#[derive(Clone)]
pub(super) struct Submitter(UnboundedSender<Message>);

impl Submitter {
    /// Adds a node.
    pub(super) fn submit(&self, node: Node) {
        let _ = self.0.send(Message::Submit(node));
    }

    /// Adds a node that `before`, which has not started, must then wait for.
    pub(super) fn submit_before(&self, node: Node, before: &str) {
        let _ = self.0.send(Message::Before(node, before.to_owned()));
    }
}

/// The queue of one agent, or of those without one.
#[derive(Default)]
struct Queue {
    limit: usize,
    running: usize,
    /// Higher priority first, then in the order of submission.
    ready: BinaryHeap<(i32, Reverse<usize>, String)>,
}

struct Slot {
    node: Node,
    order: usize,
    attempt: u32,
    waits_for: usize,
}

/// Runs nodes until none is left.
pub(super) struct Dispatcher {
    sender: UnboundedSender<Message>,
    inbox: UnboundedReceiver<Message>,
    stop: Stop,
    limit: usize,
    running: usize,
    queues: BTreeMap<Option<String>, Queue>,
    slots: BTreeMap<String, Slot>,
    dependents: BTreeMap<String, Vec<String>>,
    ends: BTreeMap<String, End>,
    submitted: usize,
    tasks: JoinSet<()>,
}

impl Dispatcher {
    /// A dispatcher with the limits of `workflow`.
    pub(super) fn new(workflow: &Workflow, stop: Stop) -> Self {
        let (sender, inbox) = unbounded_channel();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let limited = |limit| Queue { limit, ..Queue::default() };
        let agents = workflow.agents.iter().map(|(name, agent)| {
            (Some(name.clone()), limited(agent.concurrency.unwrap_or(usize::MAX)))
        });
        Self {
            sender,
            inbox,
            stop,
            limit: workflow.limits.concurrency.unwrap_or(cores),
            running: 0,
            queues: agents.chain([(None, limited(usize::MAX))]).collect(),
            slots: BTreeMap::new(),
            dependents: BTreeMap::new(),
            ends: BTreeMap::new(),
            submitted: 0,
            tasks: JoinSet::new(),
        }
    }

    /// What submits to this dispatcher.
    pub(super) fn submitter(&self) -> Submitter {
        Submitter(self.sender.clone())
    }

    /// Runs all that was and will be submitted; gives how each node ended.
    pub(super) async fn run(mut self) -> BTreeMap<String, End> {
        let stop = self.stop.clone();
        let mut stopped = false;
        while let Ok(message) = self.inbox.try_recv() {
            self.hear(message);
        }
        loop {
            self.start_ready();
            if self.slots.is_empty() {
                return self.ends;
            }
            tokio::select! {
                Some(message) = self.inbox.recv() => self.hear(message),
                () = stop.ask.cancelled(), if !stopped => {
                    stopped = true;
                    let running = |slot: &Slot| slot.attempt > 0 && slot.waits_for == RUNNING;
                    let idle = self.slots.iter().filter(|(_, slot)| !running(slot));
                    let idle: Vec<String> = idle.map(|(id, _)| id.clone()).collect();
                    idle.into_iter().for_each(|id| self.end(&id, End::Cancelled));
                }
            }
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Submit(node) => self.add(node),
            Message::Before(node, before) => {
                let id = node.id.clone();
                if let Some(slot) = self.slots.get_mut(&before) {
                    slot.waits_for += 1;
                    self.dependents.entry(id).or_default().push(before);
                }
                self.add(node);
            }
            Message::Attempted(id, outcome) => self.attempted(&id, outcome),
            Message::Again(id) => self.queue(&id),
        }
    }

    fn add(&mut self, node: Node) {
        if self.stop.ask.is_cancelled() {
            self.ends.insert(node.id, End::Cancelled);
            return;
        }
        let id = node.id.clone();
        let mut waits_for = 0;
        let mut bad = None;
        for upstream in &node.needs {
            match self.ends.get(upstream) {
                Some(End::Ok) => {}
                Some(_) => bad = Some(upstream.clone()),
                None => {
                    waits_for += 1;
                    self.dependents.entry(upstream.clone()).or_default().push(id.clone());
                }
            }
        }
        self.submitted += 1;
        let slot = Slot { node, order: self.submitted, attempt: 0, waits_for };
        self.slots.insert(id.clone(), slot);
        match bad {
            Some(upstream) => self.end(&id, End::Skipped(upstream)),
            None if waits_for == 0 => self.queue(&id),
            None => {}
        }
    }

    fn queue(&mut self, id: &str) {
        let Some(slot) = self.slots.get(id) else { return };
        let entry = (slot.node.priority, Reverse(slot.order), id.to_owned());
        if let Some(queue) = self.queues.get_mut(&slot.node.agent) {
            queue.ready.push(entry);
        }
    }

    /// Starts what may start: of the agents with room, the best first.
    fn start_ready(&mut self) {
        while self.running < self.limit {
            let open = self.queues.values_mut().filter(|queue| queue.running < queue.limit);
            let best = open.max_by(|a, b| a.ready.peek().cmp(&b.ready.peek()));
            let Some((queue, (.., id))) = best.and_then(|q| {
                let e = q.ready.pop()?;
                Some((q, e))
            }) else {
                return;
            };
            // One that was cancelled in the meantime left its entry behind.
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            queue.running += 1;
            self.running += 1;
            slot.attempt += 1;
            slot.waits_for = RUNNING;
            let work = (slot.node.work)(slot.attempt);
            let sender = self.sender.clone();
            self.tasks.spawn(async move {
                // A panic in the work is a failure of its node, not of the run.
                let outcome = tokio::spawn(work).await.unwrap_or(Err(Again(false)));
                let _ = sender.send(Message::Attempted(id, outcome));
            });
        }
    }

    fn attempted(&mut self, id: &str, outcome: Result<(), Again>) {
        while self.tasks.try_join_next().is_some() {}
        let Some(slot) = self.slots.get_mut(id) else { return };
        self.running -= 1;
        if let Some(queue) = self.queues.get_mut(&slot.node.agent) {
            queue.running -= 1;
        }
        match outcome {
            Ok(()) => self.end(id, End::Ok),
            Err(_) if self.stop.ask.is_cancelled() => self.end(id, End::Cancelled),
            Err(Again(true)) if slot.attempt < slot.node.retry.attempts => {
                slot.waits_for = 0;
                let pause = slot.node.retry.pause(slot.attempt);
                let (sender, id) = (self.sender.clone(), id.to_owned());
                self.tasks.spawn(async move {
                    tokio::time::sleep(pause).await;
                    let _ = sender.send(Message::Again(id));
                });
            }
            Err(_) => self.end(id, End::Failed),
        }
    }

    /// Ends a node, and with it those that can no longer start.
    fn end(&mut self, id: &str, end: End) {
        let mut ending = vec![(id.to_owned(), end)];
        while let Some((id, end)) = ending.pop() {
            if self.slots.remove(&id).is_none() {
                continue;
            }
            for dependent in self.dependents.remove(&id).unwrap_or_default() {
                let Some(slot) = self.slots.get_mut(&dependent) else { continue };
                match &end {
                    End::Ok => {
                        slot.waits_for -= 1;
                        if slot.waits_for == 0 {
                            self.queue(&dependent);
                        }
                    }
                    End::Cancelled => ending.push((dependent, End::Cancelled)),
                    End::Failed | End::Skipped(_) => {
                        ending.push((dependent, End::Skipped(id.clone())));
                    }
                }
            }
            self.ends.insert(id, end);
        }
    }
}

/// Marks a slot that runs; nothing waits for this many.
const RUNNING: usize = usize::MAX;
