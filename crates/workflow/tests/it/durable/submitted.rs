//! Tasks that were submitted into the live run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_workflow::journal::{Durability, Fault, History, MemoryStore};
use tidegate_workflow::{Context, Durable, StartError, SubmitError, Task, TaskError};

use super::{Effects, LEVELS, dies, endless, graph, history, ledger, orchestrator, run};

/// A task that puts others before `end`, and is over then or never.
fn parent(
    children: impl Fn() -> Vec<Task<Durable>> + Send + Sync + 'static,
    hangs: bool,
) -> Task<Durable> {
    Task::durable("parent", move |cx: Context| {
        let children = children();
        async move {
            for child in children {
                cx.run().submit(child, &["end"]).await.map_err(TaskError::fatal)?;
            }
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok::<_, TaskError>(())
        }
    })
}

#[tokio::test]
async fn submitted_tasks_are_kept_and_not_run_again_when_they_are_submitted_again() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let tasks = |hangs: bool| {
            let children = effects.clone();
            let parent = parent(move || ["x", "y"].map(|id| children.task(id)).into(), hangs);
            [parent, effects.task("end").needs(["parent"])]
        };
        dies(graph(tasks(true)), &store, level, &["x", "y"]).await;
        assert_eq!(effects.take(), ["r/x/1", "r/y/1"]);
        assert!(ledger(&store).tasks.iter().filter(|task| task.live).count() == 2);
        let finished = run(graph(tasks(false)), &store, level).await;
        assert!(finished.is_success());
        assert_eq!(effects.take(), ["r/end/1"], "{level:?}");
    }
}

#[tokio::test]
async fn tasks_that_are_submitted_again_at_once_are_not_run_again_for_one_of_them_that_is_over() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let tasks = |hangs: bool| {
            let children = effects.clone();
            let parent = Task::durable("parent", move |cx: Context| {
                let both = [children.task("x"), children.task("y").needs(["x"])];
                async move {
                    cx.run().submit_all(both, &["end"]).await.map_err(TaskError::fatal)?;
                    if hangs {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, TaskError>(())
                }
            });
            [parent, effects.task("end").needs(["parent"])]
        };
        dies(graph(tasks(true)), &store, level, &["x", "y"]).await;
        assert_eq!(effects.take(), ["r/x/1", "r/y/1"]);
        assert!(run(graph(tasks(false)), &store, level).await.is_success());
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
            let children = move || {
                let child = if hangs { endless("child") } else { children.task("child") };
                vec![children.task("quick"), child]
            };
            [parent(children, false), effects.task("end").needs(["parent"])]
        };
        dies(graph(tasks(true)), &store, level, &["parent", "quick"]).await;
        assert_eq!(effects.take(), ["r/quick/1"]);
        let start = |history: History| {
            let orchestrator = orchestrator();
            let graph = graph(tasks(false)).journal(history, level);
            async move { orchestrator.run(graph).await.map(|finished| finished.into_report()) }
        };
        let refused = start(history(&store)).await.expect_err("nobody would submit it");
        let orphans = StartError::Orphans { tasks: ["quick", "child"].map(str::to_owned).into() };
        assert_eq!(refused, orphans, "{level:?}");
        let bytes = store.bytes();
        assert_eq!(effects.take(), [""; 0]);
        // One way out: its end is decided, and nobody misses what is over.
        let mut decided = history(&store);
        decided.accept_changes();
        let refused = start(decided).await.expect_err("what is not over is still missing");
        assert_eq!(refused, StartError::Orphans { tasks: vec!["child".into()] });
        let mut decided = history(&store);
        decided.accept_changes();
        decided.done("child", &5_usize).expect("it is there");
        assert!(start(decided).await.expect("it runs").is_success());
        assert_eq!(effects.take(), ["r/end/1"]);
        // Another: it is in the graph.
        store.replace(bytes.clone());
        let mut whole = graph(tasks(false));
        for id in ["quick", "child"] {
            whole.add(effects.task(id)).expect("a new one");
        }
        let orchestrator = orchestrator();
        let finished = orchestrator.run(whole.journal(history(&store), level)).await;
        assert!(finished.expect("it runs").is_success());
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
async fn a_submission_that_cannot_be_kept_is_not_told_as_taken() {
    for level in LEVELS {
        let store = MemoryStore::default();
        let (breaks, taken) = (store.clone(), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&taken);
        let parent = Task::durable("parent", move |cx: Context| {
            let (breaks, told, child) = (breaks.clone(), Arc::clone(&told), endless("child"));
            async move {
                breaks.fail_next(Fault::Append);
                cx.run().submit(child, &[]).await.map_err(TaskError::fatal)?;
                told.store(true, Ordering::Relaxed);
                Ok::<_, TaskError>(())
            }
        });
        let failed = orchestrator().run(graph([parent]).journal(history(&store), level)).await;
        assert!(matches!(failed, Err(StartError::Journal(_))), "{level:?}: {failed:?}");
        assert!(!taken.load(Ordering::Relaxed), "{level:?}");
    }
}

#[tokio::test]
async fn a_submitted_task_of_another_version_is_another_task() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let tasks = |version: u64, hangs: bool| {
        let children = effects.clone();
        let children = move || vec![children.task("same"), children.task("x").version(version)];
        [parent(children, hangs), effects.task("end").needs(["parent"])]
    };
    dies(graph(tasks(1, true)), &store, Durability::ProcessCrash, &["same", "x"]).await;
    effects.take();
    let finished = run(graph(tasks(2, false)), &store, Durability::ProcessCrash).await;
    assert!(finished.is_success());
    // What had succeeded under the old key succeeds under another.
    assert_eq!(effects.take(), ["r/end/1", "r/x/1/2"]);
}

/// Panics when it is read while the test says so.
#[derive(serde::Serialize)]
struct Moody;

static IS_MOODY: AtomicBool = AtomicBool::new(false);

impl<'de> serde::Deserialize<'de> for Moody {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        assert!(!IS_MOODY.load(Ordering::Relaxed), "not today");
        <()>::deserialize(from).map(|()| Self)
    }
}

#[tokio::test]
async fn a_kept_output_whose_reading_panics_is_the_submitters_error_alone() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let told = Arc::new(parking_lot::Mutex::new(None));
    let tasks = |hangs: bool| {
        let told = Arc::clone(&told);
        let parent = Task::durable("parent", move |cx: Context| {
            let told = Arc::clone(&told);
            async move {
                let child = Task::durable("child", async |_| Ok::<_, TaskError>(Moody));
                *told.lock() = cx.run().submit(child, &["end"]).await.err();
                if hangs {
                    std::future::pending::<()>().await;
                }
                Ok::<_, TaskError>(())
            }
        });
        [parent, effects.task("end").needs(["parent"])]
    };
    dies(graph(tasks(true)), &store, Durability::ProcessCrash, &["child"]).await;
    assert_eq!(told.lock().take(), None);
    IS_MOODY.store(true, Ordering::Relaxed);
    let finished = run(graph(tasks(false)), &store, Durability::ProcessCrash).await;
    let why = "reading it panicked: not today".to_owned();
    assert_eq!(*told.lock(), Some(SubmitError::Journal { id: "child".into(), why }));
    assert!(finished.is_success());
}

#[tokio::test]
async fn what_is_over_and_would_be_missing_to_a_task_that_is_still_to_run_is_told() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        // All that was submitted is over, and so is who has submitted it; `end` has its input and has not run.
        let tasks = |hangs: bool| {
            let children = effects.clone();
            let end = Task::durable("end", move |cx: Context| async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                Ok::<_, TaskError>(cx.inputs::<usize>().filter(Result::is_ok).count())
            });
            [parent(move || vec![children.task("child")], false), end.needs(["parent"])]
        };
        dies(graph(tasks(true)), &store, level, &["parent", "child"]).await;
        assert_eq!(effects.take(), ["r/child/1"]);
        let start = |history: History| {
            let orchestrator = orchestrator();
            let graph = graph(tasks(false)).journal(history, level);
            async move { orchestrator.run(graph).await }
        };
        let refused = start(history(&store)).await.map(drop).expect_err("`end` would miss it");
        assert_eq!(refused, StartError::Orphans { tasks: vec!["child".into()] }, "{level:?}");
        // The parent submits it again; it is not run again, and its output is there.
        let mut again = history(&store);
        again.again("parent").expect("it is there");
        let finished = start(again).await.expect("it runs");
        assert_eq!(*finished.output::<usize>("end").expect("it ran"), 1);
        assert_eq!(effects.take(), [""; 0]);
        // When nothing is to run, nobody misses anything.
        assert!(start(history(&store)).await.expect("it is over").is_success());
    }
}
