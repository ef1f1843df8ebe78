//! Stores that fail: nothing follows from what is not kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;
use tidegate_workflow::journal::{
    Durability, Fault, History, Ledger, MemoryStore, Outcome as Kept, Store, scan,
};
use tidegate_workflow::{Context, EventKind, Next, StartError, Task, TaskError};

use super::{Effects, LEVELS, graph, history, ledger, orchestrator, run};

#[tokio::test]
async fn a_broken_store_stops_the_run_with_its_error_and_loses_nothing_that_was_acknowledged() {
    let faults = [Fault::Append, Fault::Full { after: 0 }, Fault::Full { after: 9 }, Fault::Sync];
    for fault in faults {
        for level in LEVELS {
            if fault == Fault::Sync && level == Durability::ProcessCrash {
                continue;
            }
            let (store, effects) = (MemoryStore::default(), Effects::default());
            let breaks = store.clone();
            let hits = Arc::new(AtomicU32::new(0));
            let broken = Arc::clone(&hits);
            let second = Task::durable("second", move |_| {
                if broken.fetch_add(1, Ordering::Relaxed) == 0 {
                    breaks.fail_next(fault);
                }
                std::future::ready(Ok::<_, TaskError>(()))
            });
            let second = Arc::new(Mutex::new(Some(second)));
            let tasks = || {
                let second = second.lock().take().unwrap_or_else(|| effects.task("second"));
                [
                    effects.task("first"),
                    second.needs(["first"]),
                    effects.task("third").needs(["second"]),
                ]
            };
            let orchestrator = orchestrator();
            let mut events = orchestrator.events();
            let failed = orchestrator.run(graph(tasks()).journal(history(&store), level)).await;
            let Err(StartError::Journal(why)) = failed else {
                panic!("{fault:?} {level:?}: {failed:?}")
            };
            assert!(why.to_string().starts_with("the journal's store failed"), "{why}");
            assert_eq!(effects.take(), ["r/first/1"], "nothing follows from what is not kept");
            while let Some(Next::Event(event)) = events.try_next() {
                if let EventKind::TaskEnded { task, outcome, .. } = event.kind {
                    assert_eq!(outcome.is_success(), &*task == "first", "{task} {outcome:?}");
                }
            }
            let kept = ledger(&store);
            assert_eq!(kept.tasks[0].outcome, Some(Kept::Done), "{fault:?} {level:?}");
            assert_eq!(kept.tasks[1].outcome, None);
            let finished = run(graph(tasks()), &store, level).await;
            assert!(finished.is_success());
            assert_eq!(effects.take(), ["r/second/1", "r/third/1"]);
        }
    }
}

/// A store that fails once, at the call that is so many calls away: an append or a sync.
struct Failing {
    memory: MemoryStore,
    fault: Fault,
    calls: Arc<AtomicU32>,
}

impl Failing {
    fn counts(&self) {
        if self.calls.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.memory.fail_next(self.fault);
        }
    }
}

impl Store for Failing {
    fn read(&mut self) -> std::io::Result<Vec<u8>> {
        self.memory.read()
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.fault != Fault::Sync {
            self.counts();
        }
        self.memory.append(bytes)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        if self.fault == Fault::Sync {
            self.counts();
        }
        self.memory.sync()
    }

    fn truncate(&mut self, len: u64) -> std::io::Result<()> {
        self.memory.truncate(len)
    }
}

/// Whichever of its calls fails, by whichever thread it is made: the run stops with the error, what was told is there, and
/// the next run does the rest.
async fn fails_at_each_call(level: Durability) {
    let faults = [Fault::Append, Fault::Full { after: 0 }, Fault::Full { after: 9 }, Fault::Sync];
    for fault in faults {
        if fault == Fault::Sync && level == Durability::ProcessCrash {
            continue;
        }
        for call in 1_u32.. {
            let (memory, effects) = (MemoryStore::default(), Effects::default());
            let tasks = || {
                let id = |at: usize| format!("task-{at}");
                let needs = |at: usize| at.checked_sub(2).map(id);
                let task = |at: usize| effects.task(&id(at)).needs(needs(at));
                graph(
                    (0..8)
                        .map(|at| if at == 5 { task(at).commit_before_start() } else { task(at) }),
                )
            };
            let calls = Arc::new(AtomicU32::new(u32::MAX));
            let store = Failing { memory: memory.clone(), fault, calls: Arc::clone(&calls) };
            let mut past = History::open(store).expect("it opens");
            past.begin("r", "");
            calls.store(call, Ordering::Relaxed);
            let orchestrator = orchestrator();
            let mut events = orchestrator.events();
            let ended = orchestrator.run(tasks().journal(past, level)).await;
            let kept =
                if level == Durability::PowerLoss { memory.synced() } else { memory.bytes() };
            let kept = Ledger::of(scan(&kept).expect("a journal").records);
            let done = |id: &str| {
                let entry = kept.tasks.iter().find(|task| *task.id == *id);
                entry.is_some_and(|task| task.outcome == Some(Kept::Done))
            };
            while let Some(Next::Event(event)) = events.try_next() {
                if let EventKind::TaskEnded { task, outcome, .. } = event.kind {
                    assert!(!outcome.is_success() || done(&task), "{fault:?} {call}: {task}");
                }
            }
            if let Ok(finished) = ended {
                // There were fewer calls.
                assert!(finished.is_success() && call > 4, "{fault:?} {call}");
                let left = calls.load(Ordering::Relaxed);
                assert!((1..=call).contains(&left), "{fault:?} {call}: an error was not told");
                break;
            }
            let ran = effects.take();
            let mut past = history(&memory);
            let doubtful = past.task("task-5").is_some_and(|task| task.is_doubtful());
            if doubtful {
                past.again("task-5").expect("it is there");
            }
            let known = past.ledger().tasks.iter().filter(|task| task.outcome == Some(Kept::Done));
            let (known, all) = (known.count(), 8);
            let after = orchestrator.run(tasks().journal(past, level)).await;
            assert!(after.expect("it runs").is_success(), "{fault:?} {call}");
            assert_eq!(effects.take().len(), all - known, "{fault:?} {call}: {ran:?}");
        }
    }
}

#[tokio::test]
async fn whichever_call_of_its_store_fails_a_run_stops_and_what_was_told_is_there() {
    for level in LEVELS {
        fails_at_each_call(level).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_where_turns_wait_for_syncs() {
    fails_at_each_call(Durability::PowerLoss).await;
}

#[tokio::test]
async fn a_store_that_fails_at_the_start_of_what_commits_first_keeps_it_from_running() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let past = history(&store);
        store.fail_next(Fault::Append);
        let task = effects.task("once").commit_before_start();
        let failed = orchestrator().run(graph([task]).journal(past, level)).await;
        assert!(matches!(failed, Err(StartError::Journal(_))), "{level:?}: {failed:?}");
        assert!(effects.take().is_empty());
    }
}

/// A store that panics at a sync after it was opened.
struct Panicking(MemoryStore, Arc<AtomicBool>);

impl Store for Panicking {
    fn read(&mut self) -> std::io::Result<Vec<u8>> {
        self.0.read()
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.append(bytes)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        assert!(!self.1.load(Ordering::Relaxed), "out of order");
        self.0.sync()
    }

    fn truncate(&mut self, len: u64) -> std::io::Result<()> {
        self.0.truncate(len)
    }
}

#[tokio::test]
async fn a_store_that_panics_stops_its_run_with_an_error() {
    let breaks = Arc::new(AtomicBool::new(false));
    let store = Panicking(MemoryStore::default(), Arc::clone(&breaks));
    let history = History::open(store).expect("it opens");
    breaks.store(true, Ordering::Relaxed);
    let graph = graph([Effects::default().task("task")]).journal(history, Durability::PowerLoss);
    let stopped = orchestrator().run(graph).await.expect_err("its journal failed");
    assert!(stopped.to_string().contains("the store panicked"), "{stopped}");
}

#[tokio::test]
async fn whoever_submits_hears_that_the_store_has_failed() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let told = Arc::new(Mutex::new(None));
        let (breaks, tells, child) = (store.clone(), Arc::clone(&told), effects.clone());
        let parent = Task::durable("parent", move |cx: Context| {
            let (breaks, tells, child) = (breaks.clone(), Arc::clone(&tells), child.task("child"));
            async move {
                breaks.fail_next(Fault::Append);
                *tells.lock() = cx.run().submit(child, &[]).await.err();
                Ok::<_, TaskError>(())
            }
        });
        let graph = graph([parent]).journal(history(&store), level);
        orchestrator().run(graph).await.expect_err("its store has failed");
        let told = told.lock().take().expect("it was not taken").to_string();
        assert!(told.starts_with("the journal's store failed"), "{level:?}: {told}");
    }
}
