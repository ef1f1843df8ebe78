//! Tasks that run again, in live runs, in finished ones, and across processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tidegate_workflow::journal::{Durability, History, MemoryStore};
use tidegate_workflow::{
    Context, Durable, EventKind, Finished, Graph, Next, Orchestrator, Outcome, Reach, RerunError,
    Run, Task, TaskError,
};
use tokio::sync::oneshot;

use crate::{echo, failing};

fn orchestrator() -> Orchestrator {
    Orchestrator::builder().limit(4).build().expect("the settings are sound")
}

/// `draft` counts its runs, `text` quotes it, `end` waits for both and for `hold`, so that the run stays live.
fn graph(hold: oneshot::Receiver<()>) -> Graph {
    let count = AtomicU32::new(0);
    let hold = once(hold);
    let mut graph = Graph::new();
    let draft = move |_| {
        let count = 1 + count.fetch_add(1, Ordering::Relaxed);
        async move { Ok::<_, TaskError>(count) }
    };
    graph.add(Task::new("draft", draft)).expect("no cycle");
    let quote =
        async |cx: Context| Ok::<_, TaskError>(format!("draft {}", cx.input::<u32>("draft")?));
    graph.add(Task::new("text", quote).needs(["draft"])).expect("no cycle");
    graph.add(failing("bad")).expect("no cycle");
    graph.add(echo("after bad").needs(["bad"])).expect("no cycle");
    let held = move |_| {
        let hold = hold.lock().expect("nobody panics").take();
        async move {
            if let Some(hold) = hold {
                let _ = hold.await;
            }
            Ok::<(), TaskError>(())
        }
    };
    graph.add(Task::new("hold", held)).expect("no cycle");
    graph.keep_work()
}

fn once<T>(value: T) -> std::sync::Mutex<Option<T>> {
    std::sync::Mutex::new(Some(value))
}

/// Until a run has so many tasks over.
async fn over(run: &Run, count: usize) {
    while run.status().await.expect("it is live").over < count {
        tokio::task::yield_now().await;
    }
}

fn ids(ids: &[Arc<str>]) -> Vec<String> {
    ids.iter().map(|id| id.to_string()).collect()
}

fn attempts(finished: &Finished) -> Vec<u32> {
    finished.report().tasks.iter().map(|task| task.attempts).collect()
}

#[tokio::test]
async fn a_task_of_a_live_run_runs_again_alone_or_with_everything_downstream() {
    for (reach, text, again) in [
        (Reach::Task, "draft 1", vec!["draft"]),
        (Reach::Downstream, "draft 2", vec!["draft", "text"]),
    ] {
        let orchestrator = orchestrator();
        let mut events = orchestrator.events();
        let (release, hold) = oneshot::channel();
        let running = orchestrator.start(graph(hold)).expect("it starts");
        over(&running, 4).await;
        let told = running.rerun("draft", reach).await.expect("it is live");
        assert_eq!(ids(&told), again);
        over(&running, 4).await;
        drop(release);
        let finished = running.wait().await.expect("the orchestrator lives");
        assert_eq!(*finished.output::<u32>("draft").expect("it ran"), 2);
        assert_eq!(*finished.output::<String>("text").expect("it ran"), text);
        assert_eq!(attempts(&finished)[0], 2, "attempts are numbered on");
        let mut told = Vec::new();
        while let Some(Next::Event(event)) = events.try_next() {
            if let EventKind::TaskAgain { task, .. } = event.kind {
                told.push(task.to_string());
            }
        }
        told.sort();
        assert_eq!(told, again);
    }
}

#[tokio::test]
async fn what_cannot_run_again_says_why() {
    let orchestrator = orchestrator();
    let (release, hold) = oneshot::channel();
    let running = orchestrator.start(graph(hold)).expect("it starts");
    let unknown = RerunError::Unknown { id: "nobody".to_owned() };
    assert_eq!(running.rerun("nobody", Reach::Task).await, Err(unknown));
    let mut plain = Graph::new();
    plain.add(echo("a")).expect("no cycle");
    plain.add(crate::until_stopped("b")).expect("no cycle");
    let other = orchestrator.start(plain).expect("it starts");
    assert_eq!(other.rerun("a", Reach::Task).await, Err(RerunError::NotKept));
    drop(release);
    let run = (*running).clone();
    running.wait().await.expect("the orchestrator lives");
    assert_eq!(run.rerun("draft", Reach::Task).await, Err(RerunError::Over));
}

#[tokio::test]
async fn a_failed_task_that_runs_again_gives_those_behind_it_another_chance() {
    let orchestrator = orchestrator();
    let mut graph = Graph::new();
    let flaky = async |cx: Context| if cx.attempt() == 1 { Err("not yet") } else { Ok(()) };
    graph.add(Task::new("flaky", flaky)).expect("no cycle");
    graph.add(echo("after").needs(["flaky"])).expect("no cycle");
    let (release, hold) = oneshot::channel::<()>();
    let hold = once(hold);
    let held = move |_| {
        let hold = hold.lock().expect("nobody panics").take();
        async move { hold.expect("it runs once").await.map_err(TaskError::from) }
    };
    graph.add(Task::new("hold", held)).expect("no cycle");
    let running = orchestrator.start(graph.keep_work()).expect("it starts");
    over(&running, 2).await;
    assert_eq!(running.status().await.expect("it is live").unsuccessful, 2);
    running.rerun("flaky", Reach::Task).await.expect("it is live");
    over(&running, 2).await;
    assert_eq!(running.status().await.expect("it is live").unsuccessful, 0);
    release.send(()).expect("it waits");
    assert!(running.wait().await.expect("the orchestrator lives").is_success());
}

#[tokio::test]
async fn a_finished_run_goes_on_with_some_of_its_tasks() {
    let orchestrator = orchestrator();
    let make = || graph(oneshot::channel().1);
    let first = orchestrator.run(make()).await.expect("it starts");
    assert_eq!(attempts(&first), [1, 1, 1, 0, 1]);
    let again = make().rerun(&first, &["text"], Reach::Downstream).expect("it is there");
    let second = orchestrator.run(again).await.expect("it starts");
    assert_eq!(attempts(&second), [1, 2, 1, 0, 1]);
    assert_eq!(*second.output::<String>("text").expect("it ran"), "draft 1");
    let again = make().rerun(&first, &["draft"], Reach::Downstream).expect("it is there");
    assert_eq!(attempts(&orchestrator.run(again).await.expect("it starts")), [2, 2, 1, 0, 1]);
    let outcomes = |of: &Finished| -> Vec<Outcome> {
        of.report().tasks.iter().map(|task| task.outcome.clone()).collect()
    };
    assert_eq!(outcomes(&second), outcomes(&first), "also of what did not run again");
    let twice = make().rerun(&first, &["bad"], Reach::Task).expect("it is there");
    let twice = twice.rerun(&second, &["text"], Reach::Task).expect("it is there");
    let third = orchestrator.run(twice).await.expect("it starts");
    assert_eq!(attempts(&third), [1, 3, 1, 0, 1], "what was said last counts alone");
    let unknown = make().rerun(&first, &["nobody"], Reach::Task).map(drop);
    assert_eq!(unknown, Err(RerunError::Unknown { id: "nobody".to_owned() }));
}

fn holding(bytes: &[u8]) -> MemoryStore {
    let store = MemoryStore::default();
    store.replace(bytes.to_vec());
    store
}

/// A chain whose tasks leave their keys behind; the last one waits until it is let go.
fn kept(seen: &Arc<std::sync::Mutex<Vec<String>>>, holds: bool) -> Graph<Durable> {
    let mut graph = Graph::durable();
    let task = |id: &str, hangs: bool| {
        let seen = Arc::clone(seen);
        Task::durable(id, move |cx: Context| {
            seen.lock().expect("nobody panics").push(cx.idempotency_key());
            async move {
                if hangs {
                    cx.token().cancelled().await;
                }
                Ok::<_, TaskError>(cx.attempt())
            }
        })
    };
    graph.add(task("a", false)).expect("ids differ");
    graph.add(task("b", false).needs(["a"])).expect("ids differ");
    graph.add(task("c", holds).needs(["b"])).expect("ids differ");
    graph.keep_work()
}

#[tokio::test]
async fn a_rerun_that_was_told_as_taken_is_in_the_journal_wherever_it_is_cut_after() {
    for level in [Durability::ProcessCrash, Durability::PowerLoss] {
        let store = MemoryStore::default();
        let seen = Arc::default();
        let open = |store: &MemoryStore| {
            let mut history = History::open(store.clone()).expect("memory opens");
            history.begin("r", "");
            history
        };
        let dying = orchestrator();
        let running = dying.start(kept(&seen, true).journal(open(&store), level));
        let running = running.expect("it starts");
        // An attempt that is stopped before it begins does no work.
        while seen.lock().expect("nobody panics").len() < 3 {
            tokio::task::yield_now().await;
        }
        over(&running, 2).await;
        let before = store.bytes().len();
        let told = running.rerun("a", Reach::Downstream).await.expect("it is live");
        assert_eq!(ids(&told), ["a", "b", "c"]);
        let acknowledged = store.bytes().len();
        while seen.lock().expect("nobody panics").len() < 6 {
            tokio::task::yield_now().await;
        }
        drop((running, dying));
        let bytes = store.bytes();
        let mut first = None;
        for cut in before..=bytes.len() {
            let store = holding(&bytes[..cut]);
            let history = open(&store);
            let outcome = |id: &str| history.task(id).and_then(|task| task.outcome.clone());
            let is_over = ["a", "b"].map(|id| outcome(id).is_some());
            assert!(!is_over[1] || is_over[0], "cut at {cut}: b is over, and what it needs is not");
            let generations =
                ["a", "b"].map(|id| history.task(id).expect("it is there").generation);
            assert!(generations[1] >= generations[0], "cut at {cut}: b is stale");
            assert!(cut < acknowledged || generations == [1, 1], "cut at {cut}: it is lost");
            first = first.or((generations == [1, 1]).then_some(cut));
        }
        // Another process goes on from the middle of it: the keys are those of a task that runs again.
        let seen = Arc::default();
        let store = holding(&bytes[..first.expect("it is in the journal")]);
        let finished = orchestrator().run(kept(&seen, false).journal(open(&store), level)).await;
        assert!(finished.expect("it starts").is_success());
        assert_eq!(*seen.lock().expect("nobody panics"), ["r/a/1", "r/b/1", "r/c"], "{level:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_cancelled_in_a_finished_run_is_run_whatever_the_order_of_its_graph() {
    let orchestrator = orchestrator();
    let make = |ids: [&'static str; 3]| {
        let mut graph = Graph::new();
        for id in ids {
            graph.add(if id == "long" { crate::until_stopped(id) } else { echo(id) }).expect("new");
        }
        graph
    };
    let running = orchestrator.start(make(["a", "long", "b"])).expect("it starts");
    over(&running, 2).await;
    running.cancel();
    let first = running.wait().await.expect("the orchestrator lives");
    let mut graph = Graph::new();
    for id in ["b", "long", "a"] {
        graph.add(echo(id)).expect("ids differ");
    }
    let graph = graph.rerun(&first, &[], Reach::Task).expect("nothing is unknown");
    let second = orchestrator.run(graph).await.expect("it starts");
    assert_eq!(attempts(&second), [1, 2, 1]);
    assert_eq!(*second.output::<&str>("a").expect("it is there"), "a");
    assert_eq!(*second.output::<&str>("long").expect("it ran"), "long");
}

#[tokio::test]
async fn a_task_that_was_over_elsewhere_is_numbered_on_when_it_runs_again() {
    let orchestrator = orchestrator();
    let make = || graph(oneshot::channel().1);
    let first = orchestrator.run(make()).await.expect("it starts");
    let (release, hold) = oneshot::channel();
    let again = graph(hold).rerun(&first, &["hold"], Reach::Task).expect("it is there");
    let running = orchestrator.start(again).expect("it starts");
    over(&running, 4).await;
    running.rerun("draft", Reach::Task).await.expect("it is live");
    over(&running, 4).await;
    drop(release);
    let second = running.wait().await.expect("the orchestrator lives");
    assert_eq!(attempts(&second), [2, 1, 1, 0, 2]);
}

/// What cannot be dropped without a panic.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the destructor of an output");
    }
}

#[tokio::test]
async fn what_succeeded_and_runs_again_does_so_under_another_key_and_its_output_is_dropped_apart() {
    let orchestrator = orchestrator();
    let keys = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&keys);
    let work = move |cx: Context| {
        told.lock().expect("nobody panics").push(cx.idempotency_key());
        async { Ok::<_, TaskError>(Bomb) }
    };
    let mut graph = Graph::new();
    graph.add(Task::new("bomb", work)).expect("no cycle");
    graph.add(crate::until_stopped("hold")).expect("no cycle");
    let running = orchestrator.start(graph.keep_work()).expect("it starts");
    for _ in 0..2 {
        over(&running, 1).await;
        running.rerun("bomb", Reach::Task).await.expect("it is live");
    }
    over(&running, 1).await;
    running.cancel();
    std::mem::forget(running.wait().await.expect("the orchestrator lives"));
    let mut keys = keys.lock().expect("nobody panics").clone();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

/// A value whose destructor panics, if it is the first of its kind.
struct First(bool);

impl Drop for First {
    fn drop(&mut self) {
        assert!(!self.0, "in drop");
    }
}

#[tokio::test]
async fn what_a_task_returned_before_it_ran_again_may_panic_where_its_last_reader_lets_go_of_it() {
    let (release, hold) = oneshot::channel::<()>();
    let (count, hold) = (AtomicU32::new(0), once(hold));
    let mut graph = Graph::new();
    let make = move |_| {
        let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
        async move { Ok::<_, TaskError>(First(is_first)) }
    };
    graph.add(Task::new("make", make)).expect("no cycle");
    let read = move |cx: Context| {
        let hold = hold.lock().expect("nobody panics").take();
        async move {
            if let Some(hold) = hold {
                let _ = hold.await;
            }
            Ok::<bool, TaskError>(cx.input::<First>("make")?.0)
        }
    };
    graph.add(Task::new("read", read).needs(["make"])).expect("no cycle");
    graph.add(echo("after").needs(["read"])).expect("no cycle");
    let orchestrator = orchestrator();
    let running = orchestrator.start(graph.keep_work()).expect("it starts");
    over(&running, 1).await;
    running.rerun("make", Reach::Task).await.expect("it is over");
    over(&running, 1).await;
    release.send(()).expect("it waits");
    let finished = running.wait().await.expect("it goes on");
    assert!(*finished.output::<bool>("read").expect("it succeeded"), "what it began with");
    assert!(finished.is_success());
    let again = Task::new("again", async |_| Ok::<(), TaskError>(()));
    let mut graph = Graph::new();
    graph.add(again).expect("no cycle");
    assert!(orchestrator.run(graph).await.expect("the engine goes on").is_success());
}
