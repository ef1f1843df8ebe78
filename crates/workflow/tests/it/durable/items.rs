//! Tasks within the work of a durable task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tidegate_workflow::journal::{Durability, Fault, MemoryStore};
use tidegate_workflow::{Context, Durable, Graph, Outcome, Retry, StartError, Task, TaskError};

use super::{Effects, LEVELS, endless, graph, history, ledger, orchestrator, run, seen};

/// Does its items, which `item` makes of their numbers, and gives what they returned.
fn map(item: impl Fn(usize) -> Task<Durable> + Clone + Send + Sync + 'static) -> Task<Durable> {
    Task::durable("map", move |cx: Context| {
        let item = item.clone();
        async move {
            let values = cx.map::<usize>(4, (0..20).map(item)).await?;
            Ok::<_, TaskError>(values.into_iter().map(|value| *value).collect::<Vec<_>>())
        }
    })
}

/// Until so many items of the first task are in the journal.
async fn kept(store: &MemoryStore, items: usize) {
    while ledger(store).tasks.first().is_none_or(|task| task.items.len() < items) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_map_that_is_killed_or_cancelled_goes_on_with_the_items_that_were_not_done() {
    for (level, dies) in LEVELS.into_iter().flat_map(|level| [(level, true), (level, false)]) {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let tasks = |hangs: bool| {
            let effects = effects.clone();
            [map(move |at| match at {
                7 | 12.. if hangs => endless(&format!("item-{at}")),
                at => effects.task(&format!("item-{at}")),
            })]
        };
        let first = orchestrator();
        let running = first.start(graph(tasks(true)).journal(history(&store), level));
        let running = running.expect("it starts");
        kept(&store, 11).await;
        if !dies {
            running.cancel();
            running.wait().await.expect("it ends");
        }
        drop(first);
        assert_eq!(effects.take().len(), 11);
        let finished = run(graph(tasks(false)), &store, level).await;
        let values = finished.output::<Vec<usize>>("map").expect("it succeeded");
        let lengths: Vec<usize> = (0..20).map(|at| format!("item-{at}").len()).collect();
        assert_eq!(*values, lengths);
        let mut rest: Vec<String> = [7].into_iter().chain(12..20).map(key).collect();
        rest.sort();
        assert_eq!(effects.take(), rest, "{level:?}");
        assert!(ledger(&store).tasks[0].items.is_empty(), "of no use any more");
    }
}

/// What an item of the map leaves behind: its key is that of the map's and its own.
fn key(at: usize) -> String {
    format!("r%2Fmap/item-{at}/1")
}

#[tokio::test]
async fn items_of_one_id_are_known_by_their_order() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let tasks = |hangs_at: usize| {
        let effects = effects.clone();
        [Task::durable("all", move |cx: Context| {
            let effects = effects.clone();
            async move {
                let mut values = Vec::new();
                for at in 0..3_usize {
                    effects.0.lock().push(format!("{at} begins"));
                    let step = Task::durable("step", move |cx: Context| async move {
                        if at == hangs_at {
                            cx.token().cancelled().await;
                        }
                        Ok::<_, TaskError>((at, cx.idempotency_key()))
                    });
                    values.push(cx.sub_task::<(usize, String)>(step).await?.as_ref().clone());
                }
                Ok::<_, TaskError>(values)
            }
        })]
    };
    let first = orchestrator();
    let running = first.start(graph(tasks(2)).journal(history(&store), Durability::ProcessCrash));
    kept(&store, 2).await;
    seen(&effects, 3).await;
    drop((first, running));
    let finished = run(graph(tasks(9)), &store, Durability::ProcessCrash).await;
    let values = finished.output::<Vec<(usize, String)>>("all").expect("it succeeded");
    let keys = ["r%2Fall/step", "r%2Fall%231/step", "r%2Fall%232/step"];
    assert!(values.iter().map(|(at, key)| (*at, &**key)).eq((0..).zip(keys)), "{values:?}");
}

#[tokio::test]
async fn a_retry_starts_from_nothing_and_an_item_of_another_version_is_another() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let tasks = |version: u64, hangs: bool| {
        let effects = effects.clone();
        let work = move |cx: Context| {
            let effects = effects.clone();
            async move {
                let same = effects.task("same");
                let item = effects.task("item").version(version);
                cx.map::<usize>(1, [same, item]).await?;
                if cx.attempt() == 1 {
                    return Err(TaskError::from("once more"));
                }
                if hangs {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        };
        [Task::durable("map", work).retry(Retry::attempts(2))]
    };
    let first = orchestrator();
    let running = first.start(graph(tasks(1, true)).journal(history(&store), LEVELS[0]));
    seen(&effects, 4).await;
    kept(&store, 2).await;
    drop((first, running));
    let [same, item] = ["r%2Fmap/same/1", "r%2Fmap/item/1"];
    assert_eq!(effects.take(), [item, item, same, same]);
    assert!(run(graph(tasks(2, false)), &store, LEVELS[0]).await.is_success());
    assert_eq!(effects.take(), [item]);
}

#[tokio::test]
async fn nothing_follows_from_an_item_that_is_not_kept() {
    for level in LEVELS {
        let store = MemoryStore::default();
        let (breaks, followed) = (store.clone(), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&followed);
        let work = move |cx: Context| {
            let (breaks, count) = (breaks.clone(), Arc::clone(&count));
            async move {
                let item = Task::durable("item", move |_| {
                    breaks.fail_next(Fault::Append);
                    std::future::ready(Ok::<_, TaskError>(1_usize))
                });
                cx.sub_task::<usize>(item).await?;
                count.fetch_add(1, Ordering::Relaxed);
                Ok::<_, TaskError>(())
            }
        };
        let graph = graph([Task::durable("all", work)]);
        let failed = orchestrator().run(graph.journal(history(&store), level)).await;
        assert!(matches!(failed, Err(StartError::Journal(_))), "{level:?}: {failed:?}");
        assert_eq!(followed.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn what_items_have_cost_is_spent_in_the_next_process_too() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let tasks = |hangs: bool| {
        let effects = effects.clone();
        let work = move |cx: Context| {
            let effects = effects.clone();
            async move {
                for id in ["a", "b", "c"] {
                    if hangs && id == "c" {
                        std::future::pending::<()>().await;
                    }
                    cx.sub_task::<usize>(effects.task(id).cost(2)).await?;
                }
                Ok::<_, TaskError>(())
            }
        };
        graph([Task::durable("all", work)]).budget(5)
    };
    let first = orchestrator();
    let running = first.start(tasks(true).journal(history(&store), Durability::ProcessCrash));
    kept(&store, 2).await;
    drop((first, running));
    effects.take();
    let finished = run(tasks(false), &store, Durability::ProcessCrash).await;
    let error = "task `c` failed: the run's budget is spent".to_owned();
    assert_eq!(finished.report().tasks[0].outcome, Outcome::Failed { error });
    assert_eq!(effects.take(), [""; 0]);
}

/// A task whose work is a graph: `first` and `plain`, whose output cannot be kept; `second` after both, then `last`, which
/// gives the sum.
fn nested(effects: &Effects, needed: &'static str, hangs: bool) -> Task<Durable> {
    let effects = effects.clone();
    Task::durable("all", move |cx: Context| {
        let effects = effects.clone();
        async move {
            let mut inner = Graph::new();
            inner.add(effects.task("first").into())?;
            let told = effects.clone();
            let plain = move |cx: Context| {
                told.0.lock().push(format!("{}/{}", cx.idempotency_key(), cx.attempt()));
                std::future::ready(Ok::<_, TaskError>("of no use elsewhere"))
            };
            inner.add(Task::new("plain", plain))?;
            inner.add(effects.task("second").needs([needed]).into())?;
            let last = move |cx: Context| async move {
                if hangs {
                    cx.token().cancelled().await;
                    return Err(TaskError::from("stopped"));
                }
                Ok(*cx.input::<usize>("first")? + *cx.input::<usize>("second")?)
            };
            let last = Task::durable("last", last).needs(["first", "second", "plain"]);
            inner.add(last.into())?;
            let finished = cx.sub_graph(inner).await?;
            Ok::<_, TaskError>(*finished.output::<usize>("last")?)
        }
    })
}

#[tokio::test]
async fn a_graph_within_a_task_goes_on_with_what_was_not_done() {
    for (level, dies) in LEVELS.into_iter().flat_map(|level| [(level, true), (level, false)]) {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let first = orchestrator();
        let tasks = graph([nested(&effects, "first", true)]);
        let running = first.start(tasks.journal(history(&store), level)).expect("it starts");
        kept(&store, 2).await;
        seen(&effects, 3).await;
        if !dies {
            running.cancel();
            running.wait().await.expect("it ends");
        }
        drop(first);
        let [key_of_first, plain, second] =
            ["first", "plain", "second"].map(|id| format!("r%2Fall%23g0/{id}/1"));
        assert_eq!(effects.take(), [key_of_first, plain.clone(), second], "{level:?}");
        let finished = run(graph([nested(&effects, "first", false)]), &store, level).await;
        assert_eq!(*finished.output::<usize>("all").expect("it succeeded"), 11);
        assert_eq!(effects.take(), [plain], "what cannot be kept runs again: {level:?}");
        assert!(ledger(&store).tasks[0].items.is_empty(), "of no use any more");
    }
}

#[tokio::test]
async fn a_task_within_a_graph_that_needs_others_than_it_did_is_another() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let first = orchestrator();
    let tasks = graph([nested(&effects, "first", true)]);
    let running = first.start(tasks.journal(history(&store), LEVELS[0])).expect("it starts");
    kept(&store, 2).await;
    drop((first, running));
    effects.take();
    run(graph([nested(&effects, "plain", false)]), &store, LEVELS[0]).await;
    assert_eq!(effects.take(), ["plain", "second"].map(|id| format!("r%2Fall%23g0/{id}/1")));
}

#[tokio::test]
async fn nothing_follows_from_a_task_within_a_graph_that_is_not_kept() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let (breaks, told) = (store.clone(), effects.clone());
        let work = move |cx: Context| {
            let (breaks, told) = (breaks.clone(), told.clone());
            async move {
                let mut inner = Graph::durable();
                let first = Task::durable("first", move |_| {
                    breaks.fail_next(Fault::Append);
                    std::future::ready(Ok::<_, TaskError>(1_usize))
                });
                inner.add(first)?;
                inner.add(told.task("second").needs(["first"]))?;
                cx.sub_graph(inner).await?;
                Ok::<_, TaskError>(())
            }
        };
        let graph = graph([Task::durable("all", work)]);
        let failed = orchestrator().run(graph.journal(history(&store), level)).await;
        assert!(matches!(failed, Err(StartError::Journal(_))), "{level:?}: {failed:?}");
        assert_eq!(effects.take(), [""; 0]);
    }
}

#[tokio::test]
async fn a_graph_within_a_task_that_can_never_run_says_why_in_a_run_with_a_journal_too() {
    let work = async |cx: Context| {
        let mut inner = Graph::durable();
        inner.add(Effects::default().task("a").needs(["nobody"]))?;
        let error = cx.sub_graph(inner).await.expect_err("there is no such task");
        Ok::<_, TaskError>(error.to_string())
    };
    let all = graph([Task::durable("all", work)]);
    let finished = run(all, &MemoryStore::default(), LEVELS[0]).await;
    let why = finished.output::<String>("all").expect("it says why");
    assert!(why.contains("nobody"), "{why}");
}

/// Says of itself what cannot be written.
struct Unwritable;

impl serde::Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("no words")
    }
}

impl<'de> serde::Deserialize<'de> for Unwritable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

#[tokio::test]
async fn an_item_that_cannot_be_kept_says_why() {
    let store = MemoryStore::default();
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let (tells, breaks) = (Arc::clone(&told), store.clone());
    let all = Task::durable("all", move |cx: Context| {
        let (tells, breaks) = (Arc::clone(&tells), breaks.clone());
        async move {
            let mute = Task::durable("mute", async |_| Ok::<_, TaskError>(Unwritable));
            let first = cx.sub_task::<Unwritable>(mute).await.err();
            let huge = Task::durable("huge", async |_| Ok::<_, TaskError>("x".repeat(65 << 20)));
            let second = cx.sub_task::<String>(huge).await.err();
            breaks.fail_next(Fault::Append);
            let plain = Task::durable("plain", async |_| Ok::<_, TaskError>(()));
            let third = cx.sub_task::<()>(plain).await.err();
            let texts = [first, second, third].map(|error| error.map(|error| error.to_string()));
            tells.lock().extend(texts.into_iter().flatten());
            Ok::<_, TaskError>(())
        }
    });
    let graph = graph([all]).journal(history(&store), Durability::ProcessCrash);
    orchestrator().run(graph).await.expect_err("its store has failed");
    let told = told.lock();
    let [mute, huge, plain] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(mute, "task `mute` failed: its output cannot be kept: encoding it panicked");
    assert!(huge.starts_with("task `huge` failed: its output cannot be kept: "), "{huge}");
    assert!(plain.starts_with("task `plain` failed: the journal's store failed"), "{plain}");
}
