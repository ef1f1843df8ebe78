//! Who syncs: the journal's thread, or whoever takes the turn.

use std::io;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use tidegate_workflow::journal::{Durability, Fault, History, MemoryStore, Outcome as Kept, Store};
use tidegate_workflow::{Durable, Graph, Task, TaskError};
use tokio::sync::Notify;

use super::{Effects, graph, ledger, orchestrator, settled};

/// Notes of each sync whether the journal's own thread makes it.
#[derive(Clone, Default)]
struct Watched {
    memory: MemoryStore,
    syncs: Arc<Mutex<Vec<bool>>>,
}

impl Store for Watched {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        self.memory.read()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.memory.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.syncs.lock().push(thread::current().name() == Some("tidegate-journal"));
        self.memory.sync()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.memory.truncate(len)
    }
}

impl Watched {
    /// For a run that syncs.
    fn journal(&self, graph: Graph<Durable>) -> Graph<Durable> {
        let history = History::open(self.clone()).expect("memory opens");
        self.syncs.lock().clear();
        graph.journal(history, Durability::PowerLoss)
    }

    /// How many syncs the thread has made, and how many others.
    fn count(&self) -> (usize, usize) {
        let syncs = self.syncs.lock();
        let by_thread = syncs.iter().filter(|by_thread| **by_thread).count();
        (by_thread, syncs.len() - by_thread)
    }
}

fn chain(
    tasks: usize,
    task: impl Fn(usize) -> Task<Durable>,
) -> impl Iterator<Item = Task<Durable>> {
    let before = |at: usize| at.checked_sub(1).map(|before| format!("task-{before}"));
    (0..tasks).map(move |at| task(at).needs(before(at)))
}

fn noop(at: usize) -> Task<Durable> {
    Task::durable(format!("task-{at}"), |_| std::future::ready(Ok::<(), TaskError>(())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_that_nothing_runs_beside_are_synced_in_their_turn() {
    let store = Watched::default();
    let finished = orchestrator().run(store.journal(graph(chain(200, noop)))).await;
    assert!(finished.expect("it runs").is_success());
    let (by_thread, others) = store.count();
    // How many depends on how long the machine lets a sync take; none would be a rule broken.
    assert!(others >= 50, "{others} of {}", by_thread + others);
    assert!(by_thread + others > 200, "each end has a sync of its own, and the run's end");
    assert!(ledger(&store.memory).tasks.iter().all(|task| task.outcome == Some(Kept::Done)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_turn_waits_for_a_sync_while_another_attempt_runs() {
    let (store, release) = (Watched::default(), Arc::new(Notify::new()));
    let held = Arc::clone(&release);
    let beside = Task::durable("beside", move |_| {
        let held = Arc::clone(&held);
        async move {
            held.notified().await;
            Ok::<_, TaskError>(())
        }
    });
    // Both start in the first turn.
    let tasks = graph([beside].into_iter().chain(chain(40, noop)));
    let orchestrator = orchestrator();
    let running = orchestrator.start(store.journal(tasks)).expect("it starts");
    settled(&store.memory, "task-39").await;
    assert_eq!(store.count().1, 0, "of {:?}", store.count());
    release.notify_one();
    assert!(running.wait().await.expect("it ends").is_success());
}

#[tokio::test]
async fn the_only_worker_never_waits_for_a_sync() {
    let store = Watched::default();
    let finished = orchestrator().run(store.journal(graph(chain(40, noop)))).await;
    assert!(finished.expect("it runs").is_success());
    assert_eq!(store.count().1, 0, "of {:?}", store.count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_follows_from_an_end_whose_sync_fails_in_its_turn() {
    for fault in [Fault::Sync, Fault::Append, Fault::Full { after: 5 }] {
        let (store, effects) = (Watched::default(), Effects::default());
        let task = |at: usize| {
            let (memory, effects) = (store.memory.clone(), effects.clone());
            Task::durable(format!("task-{at}"), move |_| {
                effects.0.lock().push(at.to_string());
                if at == 60 {
                    memory.fail_next(fault);
                }
                std::future::ready(Ok::<_, TaskError>(()))
            })
        };
        let stopped = orchestrator().run(store.journal(graph(chain(100, task)))).await;
        assert!(stopped.is_err(), "{fault:?}: its journal failed");
        assert_eq!(effects.take().len(), 61, "{fault:?}");
        let done = ledger(&store.memory).tasks.into_iter().map(|task| task.outcome);
        let done = done.filter(|outcome| *outcome == Some(Kept::Done)).count();
        assert_eq!(done, 60, "{fault:?}");
    }
}
