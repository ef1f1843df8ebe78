//! Runs that outlive their process.

mod broken;
mod changed;
mod damaged;
#[cfg(unix)]
mod full;
mod items;
mod memory;
mod once;
mod planned;
mod quick;
mod submitted;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_workflow::journal::{Durability, History, Ledger, MemoryStore, Outcome as Kept, scan};
use tidegate_workflow::{
    Context, Durable, EventKind, Finished, Graph, Next, Orchestrator, Outcome, Retry, Stopped,
    Task, TaskError,
};
use tokio::sync::Notify;

const LEVELS: [Durability; 2] = [Durability::ProcessCrash, Durability::PowerLoss];

/// How often each task was run, by name.
#[derive(Clone, Default)]
struct Effects(Arc<Mutex<Vec<String>>>);

impl Effects {
    fn take(&self) -> Vec<String> {
        let mut taken = std::mem::take(&mut *self.0.lock());
        taken.sort();
        taken
    }

    /// A task that leaves its key behind and returns the length of its id.
    fn task(&self, id: &str) -> Task<Durable> {
        let effects = self.clone();
        Task::durable(id, move |cx: Context| {
            effects.0.lock().push(format!("{}/{}", cx.idempotency_key(), cx.attempt()));
            std::future::ready(Ok::<_, TaskError>(cx.id().len()))
        })
    }

    /// One that fails until this attempt.
    fn flaky(&self, id: &str, well: u32) -> Task<Durable> {
        let effects = self.clone();
        Task::durable(id, move |cx: Context| {
            effects.0.lock().push(format!("{}/{}", cx.idempotency_key(), cx.attempt()));
            let result = if cx.attempt() < well { Err("not yet") } else { Ok(cx.attempt()) };
            std::future::ready(result)
        })
    }
}

/// A task that never ends by itself.
fn endless(id: &str) -> Task<Durable> {
    Task::durable(id, async |cx: Context| {
        cx.token().cancelled().await;
        Err::<(), _>("stopped")
    })
}

fn graph(tasks: impl IntoIterator<Item = Task<Durable>>) -> Graph<Durable> {
    let mut graph = Graph::durable();
    tasks.into_iter().for_each(|task| graph.add(task).expect("ids differ"));
    graph
}

fn history(store: &MemoryStore) -> History {
    let mut history = History::open(store.clone()).expect("memory opens");
    history.begin("r", "");
    history
}

fn orchestrator() -> Orchestrator {
    Orchestrator::builder().limit(4).build().expect("sound")
}

async fn run(graph: Graph<Durable>, store: &MemoryStore, level: Durability) -> Finished {
    orchestrator().run(graph.journal(history(store), level)).await.expect("it runs")
}

fn ledger(store: &MemoryStore) -> Ledger {
    Ledger::of(scan(&store.bytes()).expect("a journal").records)
}

fn outcomes(finished: &Finished) -> Vec<(&str, &Outcome)> {
    finished.report().tasks.iter().map(|task| (&*task.id, &task.outcome)).collect()
}

/// Until so many tasks have told of themselves.
async fn seen(effects: &Effects, count: usize) {
    while effects.0.lock().len() < count {
        tokio::task::yield_now().await;
    }
}

/// Until a task is settled in the journal.
async fn settled(store: &MemoryStore, id: &str) {
    loop {
        let ledger = ledger(store);
        if ledger.tasks.iter().any(|task| &*task.id == id && task.outcome.is_some()) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Runs the graph until its process dies, as soon as these are settled.
async fn dies(graph: Graph<Durable>, store: &MemoryStore, level: Durability, after: &[&str]) {
    let dying = orchestrator();
    let running = dying.start(graph.journal(history(store), level)).expect("it starts");
    for id in after {
        settled(store, id).await;
    }
    drop((dying, running));
}

#[tokio::test]
async fn what_is_over_is_not_run_again_and_its_output_is_there() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let tasks = || {
            let sum = Task::durable("sum", async |cx: Context| {
                Ok::<_, TaskError>(*cx.input::<usize>("a")? + *cx.input::<usize>("bb")?)
            });
            [effects.task("a"), effects.task("bb"), sum.needs(["a", "bb"])]
        };
        let first = run(graph(tasks()), &store, level).await;
        assert_eq!(*first.output::<usize>("sum").expect("it succeeded"), 3);
        assert_eq!(effects.take(), ["r/a/1", "r/bb/1"]);
        let again = run(graph(tasks()), &store, level).await;
        assert_eq!(*again.output::<usize>("sum").expect("it was kept"), 3);
        assert!(effects.take().is_empty(), "nothing runs twice");
        assert_eq!(outcomes(&again), outcomes(&first));
    }
}

#[tokio::test]
async fn a_run_whose_process_dies_goes_on_where_it_was() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let tasks = |hangs: bool| {
            let last = if hangs { endless("last") } else { effects.task("last") };
            [effects.task("first"), last.needs(["first"])]
        };
        dies(graph(tasks(true)), &store, level, &["first"]).await;
        assert_eq!(effects.take(), ["r/first/1"]);
        let finished = run(graph(tasks(false)), &store, level).await;
        assert!(finished.is_success());
        assert_eq!(effects.take(), ["r/last/1"], "{level:?}");
        assert_eq!(ledger(&store).resumed, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_that_failed_count_and_one_that_was_under_way_has_its_key_again() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let retry = Retry { attempts: 3, first_delay: Duration::from_secs(3600), ..Retry::default() };
    let dying = orchestrator();
    let task = || effects.flaky("flaky", 9).retry(retry);
    let running = dying.start(graph([task()]).journal(history(&store), Durability::ProcessCrash));
    let running = running.expect("it starts");
    seen(&effects, 1).await;
    while ledger(&store).tasks.first().is_none_or(|task| task.failed < 1) {
        tokio::task::yield_now().await;
    }
    drop((dying, running));
    let finished = run(graph([task()]), &store, Durability::ProcessCrash).await;
    assert_eq!(effects.take(), ["r/flaky/1", "r/flaky/2", "r/flaky/3"], "three in all");
    assert_eq!(finished.report().tasks[0].attempts, 3);
    let third = run(graph([task()]), &store, Durability::ProcessCrash).await;
    assert!(matches!(third.report().tasks[0].outcome, Outcome::Failed { .. }));
    assert!(effects.take().is_empty(), "what has failed for good is over");
}

#[tokio::test(start_paused = true)]
async fn what_timed_out_or_declined_is_over_in_the_next_process_too() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let tasks = || {
            let slow = endless("slow").timeout(Duration::from_secs(1));
            let declines = effects.task("declines").when(|_| false);
            graph([slow, declines, effects.task("after").wants(["slow", "declines"])])
        };
        let first = run(tasks(), &store, level).await;
        let expected = [Outcome::TimedOut, Outcome::Declined, Outcome::Succeeded];
        let of = |finished: &Finished| {
            finished.report().tasks.iter().map(|task| task.outcome.clone()).collect::<Vec<_>>()
        };
        assert_eq!(of(&first), expected);
        let kept = ledger(&store).tasks.into_iter().filter_map(|task| task.outcome);
        assert!(kept.eq([Kept::TimedOut, Kept::Declined, Kept::Done]), "{level:?}");
        assert_eq!(effects.take(), ["r/after/1"]);
        let second = run(tasks(), &store, level).await;
        assert_eq!(of(&second), expected);
        assert!(effects.take().is_empty());
    }
}

#[tokio::test]
async fn a_failed_task_runs_again_when_told_to_and_its_attempts_are_numbered_on() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let tasks = || [effects.flaky("flaky", 2), effects.task("after").needs(["flaky"])];
    let first = run(graph(tasks()), &store, Durability::ProcessCrash).await;
    assert!(!first.report().is_success());
    assert!(matches!(ledger(&store).tasks[1].outcome, Some(Kept::Skipped(_))));
    let mut past = history(&store);
    past.again("flaky").expect("it is there");
    assert_eq!(past.downstream("flaky"), [Arc::from("after")]);
    let second = graph(tasks()).journal(past, Durability::ProcessCrash);
    let second = orchestrator().run(second).await.expect("it runs");
    assert!(second.report().is_success());
    assert_eq!(effects.take(), ["r/after/1", "r/flaky/1", "r/flaky/2"]);
}

#[tokio::test]
async fn the_key_is_another_when_a_task_runs_again_after_it_had_succeeded() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    run(graph([effects.task("a b/c")]), &store, Durability::ProcessCrash).await;
    let mut past = history(&store);
    past.again("a b/c").expect("it is there");
    let second = graph([effects.task("a b/c")]).journal(past, Durability::ProcessCrash);
    orchestrator().run(second).await.expect("it runs");
    assert_eq!(effects.take(), ["r/a%20b%2Fc/1", "r/a%20b%2Fc/1/2"]);
}

#[tokio::test]
async fn nothing_follows_from_an_end_before_it_is_kept() {
    for level in LEVELS {
        let store = MemoryStore::default();
        let seen = store.clone();
        let first = Task::durable("first", async |_| Ok::<_, TaskError>(()));
        let second = Task::durable("second", move |_| {
            let bytes = if level == Durability::PowerLoss { seen.synced() } else { seen.bytes() };
            let ledger = Ledger::of(scan(&bytes).expect("a journal").records);
            std::future::ready(Ok::<_, TaskError>(ledger.tasks[0].outcome == Some(Kept::Done)))
        });
        let finished = run(graph([first, second.needs(["first"])]), &store, level).await;
        assert!(*finished.output::<bool>("second").expect("it ran"), "{level:?}");
    }
}

#[tokio::test]
async fn a_cancelled_run_goes_on_with_what_was_not_done() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let begun = Arc::new(Notify::new());
        let tasks = |hangs: bool| {
            let begun = Arc::clone(&begun);
            let endless = Task::durable("last", move |cx: Context| {
                begun.notify_one();
                async move {
                    cx.token().cancelled().await;
                    Err::<(), _>("stopped")
                }
            });
            let last = if hangs { endless } else { effects.task("last") };
            [effects.task("first"), last.needs(["first"]), effects.task("end").needs(["last"])]
        };
        let orchestrator = orchestrator();
        let running = orchestrator.start(graph(tasks(true)).journal(history(&store), level));
        let running = running.expect("it starts");
        begun.notified().await;
        running.cancel();
        running.wait().await.expect("it ends");
        assert!(ledger(&store).end.is_some(), "its end is kept before its owner hears of it");
        effects.take();
        assert!(run(graph(tasks(false)), &store, level).await.is_success());
        assert_eq!(
            effects.take(),
            ["r/end/1", "r/last/2"],
            "the attempt that was stopped had an end"
        );
    }
}

#[tokio::test]
async fn restored_tasks_are_told_as_such() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    run(graph([effects.task("a")]), &store, Durability::ProcessCrash).await;
    let orchestrator = orchestrator();
    let mut events = orchestrator.events();
    let tasks = graph([effects.task("a"), effects.task("b")]);
    let again = tasks.journal(history(&store), Durability::ProcessCrash);
    orchestrator.run(again).await.expect("it runs");
    let mut told = Vec::new();
    while let Some(Next::Event(event)) = events.try_next() {
        match event.kind {
            EventKind::TaskRestored { task, .. } => told.push(("restored", task)),
            EventKind::TaskEnded { task, .. } => told.push(("ended", task)),
            _ => {}
        }
    }
    assert_eq!(told, [("restored", Arc::from("a")), ("ended", Arc::from("b"))]);
}

#[tokio::test]
async fn an_orchestrator_that_is_dropped_leaves_the_journal_free() {
    for level in LEVELS {
        let folder = std::env::temp_dir().join(format!("tidegate-free-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let open = || {
            let store = tidegate_workflow::journal::FileStore::open(folder.join("journal"));
            History::open(store.expect("nobody has it")).expect("it opens")
        };
        for _ in 0..20 {
            let orchestrator = orchestrator();
            let running = orchestrator.start(graph([endless("a")]).journal(open(), level));
            let running = running.expect("it starts");
            drop(orchestrator);
            assert!(matches!(running.wait().await, Err(Stopped::Dropped)));
        }
        let done = Effects::default();
        let finished = orchestrator().run(graph([done.task("a")]).journal(open(), level)).await;
        assert!(finished.expect("it runs").is_success());
        drop(open());
        std::fs::remove_dir_all(folder).expect("it goes");
    }
}

#[tokio::test]
async fn a_graph_with_a_journal_in_memory_writes_nothing() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    run(graph([effects.task("a")]), &store, Durability::Memory).await;
    assert_eq!(ledger(&store), Ledger::of([]));
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_has_written_what_had_begun() {
    for level in LEVELS {
        let (store, begun) = (MemoryStore::default(), Arc::new(Notify::new()));
        let told = Arc::clone(&begun);
        let task = Task::durable("hangs", move |_| {
            told.notify_one();
            std::future::pending::<Result<(), TaskError>>()
        });
        let dying = orchestrator();
        let running = dying.start(graph([task]).journal(history(&store), level));
        // The clock stands still meanwhile: nothing is due.
        begun.notified().await;
        drop((dying, running));
        let ledger = ledger(&store);
        assert!(ledger.tasks.iter().any(|task| task.is_running()), "{level:?}");
    }
}
