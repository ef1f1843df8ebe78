//! Runs that outlive their process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_workflow::journal::{
    Durability, Fault, History, Ledger, MemoryStore, Outcome as Kept, Store, scan,
};
use tidegate_workflow::{
    Agent, Breaker, Context, Durable, EventKind, Finished, Graph, Next, Orchestrator, Outcome,
    Retry, StartError, Stopped, SubmitError, Task, TaskError, Waiting,
};

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
    finished.report.tasks.iter().map(|task| (&*task.id, &task.outcome)).collect()
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
        let dying = orchestrator();
        let running = dying.start(graph(tasks(true)).journal(history(&store), level));
        let running = running.expect("it starts");
        settled(&store, "first").await;
        drop((dying, running));
        assert_eq!(effects.take(), ["r/first/1"]);
        let finished = run(graph(tasks(false)), &store, level).await;
        assert!(finished.report.is_success());
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
    assert_eq!(finished.report.tasks[0].attempts, 3);
    let third = run(graph([task()]), &store, Durability::ProcessCrash).await;
    assert!(matches!(third.report.tasks[0].outcome, Outcome::Failed { .. }));
    assert!(effects.take().is_empty(), "what has failed for good is over");
}

#[tokio::test]
async fn a_failed_task_runs_again_when_told_to_and_its_attempts_are_numbered_on() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let tasks = || [effects.flaky("flaky", 2), effects.task("after").needs(["flaky"])];
    let first = run(graph(tasks()), &store, Durability::ProcessCrash).await;
    assert!(!first.report.is_success());
    assert!(matches!(ledger(&store).tasks[1].outcome, Some(Kept::Skipped(_))));
    let mut past = history(&store);
    past.again("flaky").expect("it is there");
    assert_eq!(past.downstream("flaky"), [Arc::from("after")]);
    let second = graph(tasks()).journal(past, Durability::ProcessCrash);
    let second = orchestrator().run(second).await.expect("it runs");
    assert!(second.report.is_success());
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
async fn what_commits_before_it_starts_is_not_repeated_without_being_asked() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let tasks = |hangs: bool| {
            let pay = if hangs { endless("pay") } else { effects.task("pay") };
            [pay.commit_before_start(), effects.task("ship").needs(["pay"]), effects.task("else")]
        };
        let dying = orchestrator();
        let running = dying.start(graph(tasks(true)).journal(history(&store), level));
        let running = running.expect("it starts");
        while running.why("pay").await != Some(Waiting::Running) {
            tokio::task::yield_now().await;
        }
        settled(&store, "else").await;
        drop((dying, running));
        effects.take();
        let doubtful = run(graph(tasks(false)), &store, level).await;
        let pay = Arc::from("pay");
        assert_eq!(
            outcomes(&doubtful),
            [
                ("pay", &Outcome::Unknown),
                ("ship", &Outcome::Skipped { because: pay }),
                ("else", &Outcome::Succeeded)
            ],
            "{level:?}"
        );
        assert!(effects.take().is_empty());
        let mut decided = history(&store);
        assert!(decided.task("pay").expect("known").is_doubtful());
        decided.done("pay", &3_usize).expect("it is there");
        let finished = orchestrator().run(graph(tasks(false)).journal(decided, level)).await;
        assert!(finished.expect("it runs").report.is_success());
        assert_eq!(effects.take(), ["r/ship/1"]);
    }
}

#[tokio::test]
async fn the_start_of_what_commits_first_is_in_the_journal_when_it_runs() {
    for level in LEVELS {
        let store = MemoryStore::default();
        let seen = store.clone();
        let task = Task::durable("once", move |_| {
            let bytes = if level == Durability::PowerLoss { seen.synced() } else { seen.bytes() };
            let ledger = Ledger::of(scan(&bytes).expect("a journal").records);
            let begun = ledger.tasks.first().is_some_and(|task| task.is_doubtful());
            std::future::ready(Ok::<_, TaskError>(begun))
        });
        let finished = run(graph([task.commit_before_start()]), &store, level).await;
        assert!(*finished.output::<bool>("once").expect("it ran"), "{level:?}");
    }
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
            assert!(finished.report.is_success());
            assert_eq!(effects.take(), ["r/second/1", "r/third/1"]);
        }
    }
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

#[tokio::test]
async fn changed_tasks_are_refused_until_they_are_accepted() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let [a, b, gone] = ["a", "b", "gone"].map(|id| effects.task(id).version(1));
    run(graph([a, b, gone]), &store, Durability::ProcessCrash).await;
    effects.take();
    let tasks = || {
        [
            effects.task("a").version(2),
            effects.task("b").version(1).needs(["a"]),
            effects.task("new"),
        ]
    };
    let refused = orchestrator()
        .start(graph(tasks()).journal(history(&store), Durability::ProcessCrash))
        .map(drop);
    let changed = ["a", "b"].map(str::to_owned).to_vec();
    assert_eq!(refused, Err(StartError::Changed { tasks: changed }));
    let mut accepted = history(&store);
    accepted.accept_changes();
    let accepted = graph(tasks()).journal(accepted, Durability::ProcessCrash);
    assert!(orchestrator().run(accepted).await.expect("it runs").report.is_success());
    assert_eq!(effects.take(), ["r/new/1"], "what is over stays so");
    let again = run(graph(tasks()), &store, Durability::ProcessCrash).await;
    assert!(again.report.is_success(), "accepted once is accepted");
}

#[tokio::test]
async fn submitted_tasks_are_kept_and_not_run_again_when_they_are_submitted_again() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let tasks = |hangs: bool| {
            let children = effects.clone();
            let parent = Task::durable("parent", move |cx: Context| {
                let children = children.clone();
                async move {
                    for id in ["x", "y"] {
                        let child = children.task(id);
                        cx.run().submit(child, &["end"]).await.map_err(TaskError::fatal)?;
                    }
                    if hangs {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, TaskError>(())
                }
            });
            [parent, effects.task("end").needs(["parent"])]
        };
        let dying = orchestrator();
        let running = dying.start(graph(tasks(true)).journal(history(&store), level));
        let running = running.expect("it starts");
        settled(&store, "x").await;
        settled(&store, "y").await;
        drop((dying, running));
        assert_eq!(effects.take(), ["r/x/1", "r/y/1"]);
        assert!(ledger(&store).tasks.iter().filter(|task| task.live).count() == 2);
        let finished = run(graph(tasks(false)), &store, level).await;
        assert!(finished.report.is_success());
        assert_eq!(effects.take(), ["r/end/1"], "{level:?}");
    }
}

#[tokio::test]
async fn a_submitted_task_that_nobody_would_bring_back_is_told_before_anything_runs() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        // The parent is over before its children are.
        let tasks = |hangs: bool| {
            let children = effects.clone();
            let parent = Task::durable("parent", move |cx: Context| {
                let children = children.clone();
                async move {
                    let child = if hangs { endless("child") } else { children.task("child") };
                    for child in [children.task("quick"), child] {
                        cx.run().submit(child, &["end"]).await.map_err(TaskError::fatal)?;
                    }
                    Ok::<_, TaskError>(())
                }
            });
            [parent, effects.task("end").needs(["parent"])]
        };
        let dying = orchestrator();
        let running = dying.start(graph(tasks(true)).journal(history(&store), level));
        let running = running.expect("it starts");
        settled(&store, "parent").await;
        settled(&store, "quick").await;
        drop((dying, running));
        assert_eq!(effects.take(), ["r/quick/1"]);
        let start = |history: History| {
            let orchestrator = orchestrator();
            let graph = graph(tasks(false)).journal(history, level);
            async move { orchestrator.run(graph).await.map(|finished| finished.report) }
        };
        let refused = start(history(&store)).await.expect_err("nobody would submit it");
        let orphans = StartError::Orphans { tasks: vec!["child".into()] };
        assert_eq!(refused, orphans, "{level:?}");
        let bytes = store.bytes();
        assert_eq!(effects.take(), [""; 0]);
        // One way out: its end is decided.
        let mut decided = history(&store);
        decided.done("child", &5_usize).expect("it is there");
        assert!(start(decided).await.expect("it runs").is_success());
        assert_eq!(effects.take(), ["r/end/1"]);
        // Another: it is in the graph.
        store.replace(bytes.clone());
        let mut whole = graph(tasks(false));
        whole.add(effects.task("child")).expect("a new one");
        let orchestrator = orchestrator();
        let finished = orchestrator.run(whole.journal(history(&store), level)).await;
        assert!(finished.expect("it runs").report.is_success());
        assert!(effects.take().contains(&"r/child/1".to_owned()));
        // A third: its parent runs again.
        store.replace(bytes);
        let mut again = history(&store);
        again.again("parent").expect("it is there");
        assert!(start(again).await.expect("it runs").is_success());
        assert_eq!(effects.take(), ["r/child/1", "r/end/1"], "{level:?}");
    }
}

#[tokio::test]
async fn a_task_that_cannot_be_kept_is_not_taken_into_a_run_with_a_journal() {
    let store = MemoryStore::default();
    let parent = Task::durable("parent", async |cx: Context| {
        let child = Task::new("child", async |_| Ok::<_, TaskError>(()));
        let refused = cx.run().submit(child, &[]).await;
        Ok::<_, TaskError>(matches!(refused, Err(SubmitError::Journal { .. })))
    });
    let finished = run(graph([parent]), &store, Durability::ProcessCrash).await;
    assert!(*finished.output::<bool>("parent").expect("it ran"));
}

#[tokio::test]
async fn an_output_that_cannot_be_read_back_fails_its_task() {
    let store = MemoryStore::default();
    let task = Task::durable("json", async |_| Ok::<_, TaskError>(serde_json::json!({"a": 1})));
    let finished = run(graph([task]), &store, Durability::ProcessCrash).await;
    let Outcome::Failed { error } = &finished.report.tasks[0].outcome else { panic!("it failed") };
    assert!(error.starts_with("its output cannot be kept"), "{error}");
}

#[tokio::test]
async fn an_output_of_another_type_is_refused_before_anything_runs() {
    let store = MemoryStore::default();
    let text = Task::durable("task", async |_| Ok::<_, TaskError>("text".to_owned()));
    run(graph([text]), &store, Durability::ProcessCrash).await;
    let number = Task::durable("task", async |_| Ok::<_, TaskError>([0_u64; 9]));
    let start = graph([number]).journal(history(&store), Durability::ProcessCrash);
    assert!(matches!(orchestrator().start(start), Err(StartError::Output { .. })));
}

#[tokio::test]
async fn a_cancelled_run_goes_on_with_what_was_not_done() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let tasks = |hangs: bool| {
            let last = if hangs { endless("last") } else { effects.task("last") };
            [effects.task("first"), last.needs(["first"]), effects.task("end").needs(["last"])]
        };
        let orchestrator = orchestrator();
        let running = orchestrator.start(graph(tasks(true)).journal(history(&store), level));
        let running = running.expect("it starts");
        settled(&store, "first").await;
        running.cancel();
        running.wait().await.expect("it ends");
        assert!(ledger(&store).end.is_some(), "its end is kept before its owner hears of it");
        effects.take();
        assert!(run(graph(tasks(false)), &store, level).await.report.is_success());
        assert_eq!(
            effects.take(),
            ["r/end/1", "r/last/2"],
            "the attempt that was stopped had an end"
        );
    }
}

#[tokio::test]
async fn a_budget_and_a_breaker_remember_what_was_spent_and_what_failed() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let cool_down = Duration::from_secs(3600);
    let start = |tasks: Vec<Task<Durable>>| {
        let agent = Agent::new(1).breaker(Breaker { failures: 2, cool_down });
        let orchestrator = Orchestrator::builder().agent("ill", agent).build().expect("sound");
        let graph = graph(tasks).budget(5).journal(history(&store), Durability::ProcessCrash);
        let running = orchestrator.start(graph).expect("it starts");
        (orchestrator, running)
    };
    let ill = |id: &str| effects.flaky(id, 99).agent("ill");
    let dear = || effects.task("dear").cost(4);
    let (_first, running) = start(vec![ill("a"), ill("b"), dear()]);
    running.wait().await.expect("it ends");
    let third = effects.task("c").agent("ill");
    let (second, running) =
        start(vec![ill("a"), ill("b"), dear(), third, effects.task("too").cost(2)]);
    settled(&store, "too").await;
    let why = running.why("c").await;
    assert!(matches!(why, Some(Waiting::Breaker { .. })), "{why:?}");
    running.cancel();
    let report = running.wait().await.expect("it ends").report;
    let error = "the run's budget is spent".to_owned();
    assert_eq!(report.tasks[4].outcome, Outcome::Failed { error });
    drop(second);
}

#[tokio::test]
async fn the_starts_of_the_last_minute_count_against_the_rate_of_the_process_that_goes_on() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let orchestrator = |per_minute| {
        let limited = || Agent::new(9).requests_per_minute(per_minute);
        let builder = Orchestrator::builder().agent("slow", limited());
        builder.agent("default", limited()).build().expect("sound")
    };
    let tasks = |last: &str| {
        let slow = ["a", "b", last].map(|id| effects.task(id).agent("slow"));
        graph(slow.into_iter().chain(["c", "d", "e"].map(|id| effects.task(id))))
    };
    let first = orchestrator(2);
    let running = first.start(tasks("z").journal(history(&store), Durability::ProcessCrash));
    let running = running.expect("it starts");
    for id in ["a", "b", "c", "d"] {
        settled(&store, id).await;
    }
    assert!(matches!(running.why("e").await, Some(Waiting::Rate { .. })));
    drop((first, running));
    // Another process may start one more of each agent in this minute.
    let second = orchestrator(3);
    let running = second.start(tasks("z").journal(history(&store), Durability::ProcessCrash));
    let running = running.expect("it starts");
    for id in ["z", "e"] {
        settled(&store, id).await;
    }
    drop((second, running));
    let third = orchestrator(3);
    let mut more = tasks("z");
    more.add(effects.task("y").agent("slow")).expect("a new one");
    more.add(effects.task("f")).expect("a new one");
    let running = third.start(more.journal(history(&store), Durability::ProcessCrash));
    let running = running.expect("it starts");
    for id in ["y", "f"] {
        let why = running.why(id).await;
        assert!(matches!(why, Some(Waiting::Rate { .. })), "{id}: {why:?}");
    }
}

#[tokio::test]
async fn durations_are_learned_again_from_the_journal() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let task = || effects.task("task").kind("kind");
    run(graph([task()]), &store, Durability::ProcessCrash).await;
    let orchestrator = orchestrator();
    let again = graph([task()]).journal(history(&store), Durability::ProcessCrash);
    orchestrator.run(again).await.expect("it runs");
    assert!(orchestrator.durations().await.estimate("kind").is_some());
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
        assert!(finished.expect("it runs").report.is_success());
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

/// Goes on from damaged journals of one run: what they still tell as done is not run, everything else is.
async fn goes_on_from(damaged: impl Iterator<Item = Vec<u8>>, tasks: usize) {
    let orchestrator = orchestrator();
    let ids: Vec<String> = (0..tasks).map(|at| format!("task-{at}")).collect();
    for bytes in damaged {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let told = scan(&bytes).map(|scan| Ledger::of(scan.records)).unwrap_or_default();
        store.replace(bytes);
        let mut graph = Graph::durable();
        for (at, id) in ids.iter().enumerate() {
            let needs = at.checked_sub(3).map(|need| ids[need].clone());
            graph.add(effects.task(id).needs(needs)).expect("ids differ");
        }
        let graph = graph.journal(history(&store), Durability::ProcessCrash);
        assert!(orchestrator.run(graph).await.expect("it runs").report.is_success());
        let done = told.tasks.iter().filter(|task| task.outcome.is_some()).count();
        assert_eq!(effects.take().len(), tasks - done);
        let after = ledger(&store);
        assert!(after.tasks.iter().all(|task| task.outcome == Some(Kept::Done)));
    }
}

async fn whole_journal(tasks: usize) -> Vec<u8> {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let mut graph = Graph::durable();
    for at in 0..tasks {
        let needs = at.checked_sub(3).map(|need| format!("task-{need}"));
        graph.add(effects.task(&format!("task-{at}")).needs(needs)).expect("ids differ");
    }
    run(graph, &store, Durability::ProcessCrash).await;
    store.bytes()
}

/// Every place of a damage, or every so manieth in a short run of the tests.
fn step(short: usize) -> usize {
    if std::env::var_os("TIDEGATE_NIGHTLY").is_some() { 1 } else { short }
}

#[tokio::test]
async fn a_run_goes_on_from_a_journal_that_is_cut_at_any_byte() {
    let whole = whole_journal(80).await;
    assert!(whole.len() > 4096 + 16, "{} bytes", whole.len());
    let cuts = (whole.len() - 4096..whole.len()).step_by(step(13));
    goes_on_from(cuts.map(|cut| whole[..cut].to_vec()), 80).await;
}

#[tokio::test]
async fn a_run_goes_on_from_a_journal_with_any_bit_flipped() {
    let whole = whole_journal(4).await;
    // Behind the header, which is told as somebody else's file when it is damaged.
    let bits = (16 * 8..whole.len() * 8).step_by(step(3));
    let flipped = bits.map(|bit| {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    goes_on_from(flipped, 4).await;
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
    let orchestrator = Orchestrator::builder().build().expect("sound");
    let stopped = orchestrator.run(graph).await.expect_err("its journal failed");
    assert!(stopped.to_string().contains("the store panicked"), "{stopped}");
}

#[tokio::test(start_paused = true)]
async fn an_output_too_large_for_the_journal_fails_its_attempt_even_one_that_timed_out() {
    let large = Task::durable("large", async |cx: Context| {
        if cx.attempt() == 1 {
            cx.token().cancelled().await;
            return Ok("x".repeat(64 << 20));
        }
        Ok::<_, TaskError>("small enough".to_owned())
    });
    let large = large.timeout(Duration::from_secs(1)).retry(Retry::attempts(2));
    let history = History::open(MemoryStore::default()).expect("it opens");
    let graph = graph([large]).journal(history, Durability::ProcessCrash);
    let orchestrator = Orchestrator::builder().build().expect("sound");
    let finished = orchestrator.run(graph).await.expect("it runs");
    assert_eq!(*finished.output::<String>("large").expect("it succeeded"), "small enough");
}
