//! What a cluster needs of the seam: calls that are submitted, pulled, extended, finished and released, under leases that
//! run out, by workers that vanish, stall and answer twice. The broker is a model in memory of what a message broker does;
//! the orchestrator's side and the workers' side are what an adapter to a real one would be.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_workflow::TaskError;
use tidegate_workflow::executor::{Call, Executing, Executor, Payload, read_outcome};
use tidegate_workflow::pools::process::Host;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cases::{essence, graph, run};
use super::functions::registry;
use super::{Test, block_on};

pub(crate) const TESTS: &[Test] = &[
    (
        "workers_that_vanish_stall_and_answer_twice_change_no_outcome",
        workers_that_vanish_stall_and_answer_twice_change_no_outcome,
    ),
    ("a_cancelled_call_reaches_its_worker", a_cancelled_call_reaches_its_worker),
];

const LEASE: Duration = Duration::from_millis(40);

/// An attempt of a task: what the broker knows it by.
type Id = (u64, Arc<str>, u32);

#[derive(Default)]
struct State {
    waiting: VecDeque<(Id, String)>,
    leased: HashMap<Id, (String, Instant)>,
    outcomes: HashMap<Id, oneshot::Sender<String>>,
    cancels: HashMap<Id, CancellationToken>,
}

#[derive(Default)]
struct Broker {
    state: Mutex<State>,
    wake: Notify,
    /// Deliveries, second ones, and outcomes that came after the first.
    delivered: AtomicUsize,
    again: AtomicUsize,
    late: AtomicUsize,
}

impl Broker {
    fn submit(&self, id: Id, text: String) -> oneshot::Receiver<String> {
        let (outcome, first) = oneshot::channel();
        let mut state = self.state.lock();
        state.outcomes.insert(id.clone(), outcome);
        state.waiting.push_back((id, text));
        drop(state);
        self.wake.notify_one();
        first
    }

    /// A call whose lease nobody holds, under a lease; `None` after a while in which there was none.
    async fn pull(&self) -> Option<(Id, String, CancellationToken)> {
        let _ = tokio::time::timeout(LEASE / 4, self.wake.notified()).await;
        let now = Instant::now();
        let mut state = self.state.lock();
        let expired: Vec<Id> = state
            .leased
            .iter()
            .filter(|(_, (_, until))| *until <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in expired {
            let (text, _) = state.leased.remove(&id).expect("it was just found");
            self.again.fetch_add(1, Ordering::Relaxed);
            state.waiting.push_back((id, text));
        }
        let (id, text) = state.waiting.pop_front()?;
        state.leased.insert(id.clone(), (text.clone(), now + LEASE));
        let token = state.cancels.entry(id.clone()).or_default().clone();
        if !state.waiting.is_empty() {
            self.wake.notify_one();
        }
        self.delivered.fetch_add(1, Ordering::Relaxed);
        Some((id, text, token))
    }

    fn extend(&self, id: &Id) {
        if let Some((_, until)) = self.state.lock().leased.get_mut(id) {
            *until = Instant::now() + LEASE;
        }
    }

    /// Gives an unstarted call back.
    fn release(&self, id: &Id) {
        let mut state = self.state.lock();
        if let Some((text, _)) = state.leased.remove(id) {
            state.waiting.push_back((id.clone(), text));
        }
        drop(state);
        self.wake.notify_one();
    }

    /// The first outcome of an attempt counts.
    fn finish(&self, id: &Id, outcome: String) {
        let mut state = self.state.lock();
        state.leased.remove(id);
        state.cancels.remove(id);
        match state.outcomes.remove(id) {
            Some(first) => drop(first.send(outcome)),
            None => drop(self.late.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn cancel(&self, id: &Id) {
        let mut state = self.state.lock();
        state.waiting.retain(|(waiting, _)| waiting != id);
        if let Some(token) = state.cancels.remove(id) {
            token.cancel();
        }
    }
}

/// The orchestrator's side.
#[derive(Clone)]
struct Remote(Arc<Broker>);

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remote")
    }
}

impl Executor for Remote {
    fn execute(&self, call: Call, input: Payload) -> Executing {
        let broker = Arc::clone(&self.0);
        Box::pin(async move {
            let id = (call.run, Arc::clone(&call.task), call.attempt);
            let mut outcome = broker.submit(id.clone(), call.encode(&input)?);
            tokio::select! {
                outcome = &mut outcome => read_outcome(&outcome.map_err(|_| "the broker is gone")?),
                () = call.token.cancelled() => {
                    broker.cancel(&id);
                    Err(TaskError::from("cancelled"))
                }
            }
        })
    }
}

/// How a worker misbehaves.
#[derive(Clone, Copy)]
enum Habit {
    Good,
    /// Takes a call and is never heard of again, now and then.
    Vanishes,
    /// Answers, but after its lease, now and then.
    Stalls,
    /// Takes more than it wants to run, and gives it back.
    Greedy,
}

async fn worker(broker: Arc<Broker>, habit: Habit) {
    let registry = registry();
    let mut taken = 0_u32;
    loop {
        let Some((id, text, token)) = broker.pull().await else { continue };
        taken += 1;
        match habit {
            Habit::Vanishes if taken % 3 == 1 => continue,
            Habit::Greedy if taken % 2 == 1 => {
                broker.release(&id);
                continue;
            }
            _ => {}
        }
        let mut served = std::pin::pin!(registry.serve(&text, token));
        let outcome = loop {
            tokio::select! {
                outcome = &mut served => break outcome,
                () = tokio::time::sleep(LEASE / 3) => broker.extend(&id),
            }
        };
        if matches!(habit, Habit::Stalls) && taken % 2 == 1 {
            tokio::time::sleep(2 * LEASE).await;
        }
        broker.finish(&id, outcome);
    }
}

fn workers_that_vanish_stall_and_answer_twice_change_no_outcome(_: &Host) {
    let expected = essence(&run(registry(), graph().0));
    block_on(async {
        let broker = Arc::new(Broker::default());
        for habit in [Habit::Vanishes, Habit::Stalls, Habit::Greedy, Habit::Good] {
            tokio::spawn(worker(Arc::clone(&broker), habit));
        }
        let orchestrator = tidegate_workflow::Orchestrator::builder()
            .limit(4)
            .executor(Remote(Arc::clone(&broker)))
            .build()
            .expect("it is sound");
        for _ in 0..10 {
            let (graph, all) = graph();
            let finished = orchestrator.run(graph).await.expect("it starts");
            assert_eq!(essence(&finished), expected);
            assert_eq!(finished.get(&all).expect("it succeeded").0.len(), 4);
        }
        // The last stalled answers come when all is over.
        tokio::time::sleep(3 * LEASE).await;
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        assert!(count(&broker.again) > 10, "no lease ran out: the test shows nothing");
        assert!(count(&broker.late) > 0, "nobody answered late: the test shows nothing");
        let state = broker.state.lock();
        assert!(state.outcomes.is_empty() && state.waiting.is_empty());
    });
}

fn a_cancelled_call_reaches_its_worker(_: &Host) {
    block_on(async {
        let broker = Arc::new(Broker::default());
        let (told, hears) = oneshot::channel();
        let side = Arc::clone(&broker);
        tokio::spawn(async move {
            let (_, _, token) = loop {
                if let Some(pulled) = side.pull().await {
                    break pulled;
                }
            };
            token.cancelled().await;
            let _ = told.send(());
        });
        let orchestrator = tidegate_workflow::Orchestrator::builder()
            .executor(Remote(broker))
            .build()
            .expect("it is sound");
        let running = orchestrator.start(graph().0).expect("it starts");
        while running.status().await.is_some_and(|status| status.running.is_empty()) {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(LEASE).await;
        running.cancel();
        hears.await.expect("the worker is told");
        assert!(!running.wait().await.expect("it ends").is_success());
    });
}
