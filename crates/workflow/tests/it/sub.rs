//! Tasks within tasks: sub-graphs, maps, and what all of it costs.

mod batches;
mod flows;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_workflow::{
    Context, EventKind, Finished, Graph, Next, Orchestrator, Outcome, Retry, SubError, Task,
    TaskError,
};
use tokio::time::Instant;

use crate::{echo, failing, until_stopped};

fn limited(limit: usize) -> Orchestrator {
    Orchestrator::builder().limit(limit).build().expect("the settings are sound")
}

/// Runs one task with this work.
async fn alone<F, Fut, T>(orchestrator: &Orchestrator, work: F) -> Finished
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, TaskError>> + Send + 'static,
    T: Send + Sync + 'static,
{
    let mut graph = Graph::new();
    graph.add(Task::new("all", work)).expect("no cycle");
    orchestrator.run(graph).await.expect("it starts")
}

/// How many are at it, and the most that ever were.
#[derive(Clone, Default)]
struct Crowd(Arc<[AtomicUsize; 2]>);

impl Crowd {
    async fn join(&self) {
        let now = 1 + self.0[0].fetch_add(1, Ordering::Relaxed);
        self.0[1].fetch_max(now, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.0[0].fetch_sub(1, Ordering::Relaxed);
    }

    fn most(&self) -> usize {
        self.0[1].load(Ordering::Relaxed)
    }

    fn task(&self, at: usize) -> Task {
        let crowd = self.clone();
        Task::new(format!("item {at}"), move |_| {
            let crowd = crowd.clone();
            async move {
                crowd.join().await;
                Ok::<_, TaskError>(at)
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn graphs_within_graphs_need_one_slot_and_hold_none() {
    let orchestrator = limited(1);
    let mut events = orchestrator.events();
    let finished = alone(&orchestrator, async |cx: Context| {
        let mut outer = Graph::new();
        let within = async |cx: Context| {
            let mut inner = Graph::new();
            inner.add(echo("a"))?;
            inner.add(echo("b").needs(["a"]))?;
            Ok::<_, TaskError>(cx.sub_graph(inner).await?.into_report().tasks.len())
        };
        outer.add(Task::new("within", within))?;
        Ok(*cx.sub_graph(outer).await?.output::<usize>("within")?)
    })
    .await;
    assert_eq!(*finished.output::<usize>("all").expect("it ran"), 2);
    let mut within = 0;
    while let Some(Next::Event(event)) = events.try_next() {
        within += usize::from(matches!(event.kind, EventKind::RunWithin { .. }));
    }
    assert_eq!(within, 2);
}

#[tokio::test(start_paused = true)]
async fn a_map_keeps_its_own_limit_and_the_order_of_its_items() {
    for (own, of_all, most) in [(3, 9, 3), (9, 2, 2), (0, 9, 1)] {
        let crowd = Crowd::default();
        let items = crowd.clone();
        let finished = alone(&limited(of_all), move |cx: Context| {
            let crowd = items.clone();
            async move { Ok(cx.map::<usize>(own, (0..10).map(|at| crowd.task(at))).await?) }
        })
        .await;
        let values = finished.output::<Vec<Arc<usize>>>("all").expect("it ran");
        assert!(values.iter().map(|value| **value).eq(0..10));
        assert_eq!(crowd.most(), most);
    }
}

#[tokio::test(start_paused = true)]
async fn a_map_ends_with_its_first_failure_when_what_ran_has_ended() {
    let (started, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (of_started, of_ended) = (Arc::clone(&started), ended);
    let finished = alone(&limited(9), move |cx: Context| {
        let (started, ended) = (Arc::clone(&of_started), Arc::clone(&of_ended));
        let count = Arc::clone(&ended);
        async move {
            let tasks = (0..10).map(|at| {
                started.fetch_add(1, Ordering::Relaxed);
                let ended = Arc::clone(&ended);
                Task::new(if at == 1 { "bad" } else { "long" }, move |cx: Context| {
                    let ended = Arc::clone(&ended);
                    async move {
                        if at == 1 {
                            return Err::<(), _>("out of order");
                        }
                        cx.token().cancelled().await;
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        ended.fetch_add(1, Ordering::Relaxed);
                        Err("stopped")
                    }
                })
            });
            let error = cx.map::<()>(3, tasks).await.expect_err("one fails");
            assert_eq!(count.load(Ordering::Relaxed), 2);
            let Some(status) = cx.run().status().await else { return Err("it is live".into()) };
            assert_eq!(status.running.len(), 1);
            Ok(error)
        }
    })
    .await;
    let error = finished.output::<SubError>("all").expect("it ran");
    assert_eq!(error.to_string(), "task `bad` failed: out of order");
    assert_eq!(started.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn of_failures_of_one_moment_a_map_tells_that_of_the_first_item() {
    let finished = alone(&limited(9), async |cx: Context| {
        let tasks = ["a", "b", "c"].map(failing);
        Ok(cx.map::<()>(3, tasks).await.expect_err("all fail").to_string())
    })
    .await;
    let error = finished.output::<String>("all").expect("it ran");
    assert_eq!(*error, "task `a` failed: out of order");
}

#[tokio::test]
async fn a_map_that_goes_on_says_of_each_item_what_became_of_it() {
    let finished = alone(&limited(2), async |cx: Context| {
        let tasks = (0..5).map(|at| if at % 2 == 1 { failing("bad") } else { echo("good") });
        Ok(cx.map_all::<&str>(2, tasks).await)
    })
    .await;
    let results = finished.output::<Vec<Result<Arc<&str>, SubError>>>("all").expect("it ran");
    assert_eq!(
        results.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true, false, true]
    );
}

#[tokio::test(start_paused = true)]
async fn what_runs_within_a_task_ends_with_it() {
    let orchestrator = limited(2);
    let mut graph = Graph::new();
    let inner = async |cx: Context| {
        cx.sub_task::<()>(until_stopped("inner")).await.map(drop).map_err(TaskError::from)
    };
    graph.add(Task::new("outer", inner)).expect("no cycle");
    let running = orchestrator.start(graph).expect("it starts");
    let mut events = orchestrator.events();
    while !matches!(events.next().await, Some(Next::Event(event)) if matches!(&event.kind, EventKind::TaskStarted { task, .. } if &**task == "inner"))
    {
    }
    let cancelled = Instant::now();
    running.cancel();
    let report = running.wait().await.expect("the orchestrator lives").into_report();
    assert_eq!(report.tasks[0].outcome, Outcome::Cancelled);
    assert_eq!(cancelled.elapsed(), Duration::ZERO, "it was not left to its grace period");
    orchestrator.wait().await.expect("nothing is live");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_to_stop_begins_nothing_more() {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let orchestrator = limited(9);
    let mut graph = Graph::new();
    let late = move |cx: Context| {
        let begun = Arc::clone(&count);
        async move {
            cx.token().cancelled().await;
            let begins = move |_| {
                begun.fetch_add(1, Ordering::Relaxed);
                std::future::ready(Ok::<(), TaskError>(()))
            };
            let within = cx.sub_task::<()>(Task::new("late", begins)).await;
            assert_eq!(within, Err(SubError::Stopped));
            Ok::<_, TaskError>("it has seen that")
        }
    };
    graph.add(Task::new("all", late)).expect("no cycle");
    let running = orchestrator.start(graph).expect("it starts");
    tokio::time::sleep(Duration::from_secs(1)).await;
    running.cancel();
    let finished = running.wait().await.expect("the orchestrator lives");
    finished.output::<&str>("all").expect("it has seen that");
    assert_eq!(begun.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_can_never_run_within_a_task_says_why() {
    let finished = alone(&limited(9), async |cx: Context| {
        let mut graph = Graph::new();
        graph.add(echo("a").needs(["nobody"]))?;
        Ok::<_, TaskError>(cx.sub_graph(graph).await.expect_err("there is no such task"))
    })
    .await;
    let why = finished.output::<SubError>("all").expect("it ran");
    assert!(matches!(&*why, SubError::Start(_)), "{why}");
    assert!(why.to_string().contains("nobody"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_what_runs_within_it_is_not_busy_and_not_beside_others() {
    let mut graph = Graph::new();
    let pause = |secs| {
        Task::new("pause", move |_| async move {
            tokio::time::sleep(Duration::from_secs(secs)).await;
            Ok::<(), TaskError>(())
        })
    };
    let waits = move |cx: Context| async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        cx.sub_task::<()>(pause(10)).await.map(drop)
    };
    graph.add(Task::new("waits", waits)).expect("no cycle");
    graph.add(pause(20)).expect("no cycle");
    let report = limited(9).run(graph).await.expect("it starts").into_report();
    assert_eq!(report.tasks[0].busy, Duration::from_secs(2));
    assert_eq!(report.parallel, Duration::from_secs(2));
    assert_eq!((report.peak, report.makespan), (2, Duration::from_secs(20)));
}

/// A task that costs so much, and fails twice before it succeeds.
fn dear(cost: u32) -> Task {
    let flaky = async |cx: Context| if cx.attempt() < 3 { Err("not yet") } else { Ok(()) };
    let retry = Retry { first_delay: Duration::ZERO, ..Retry::attempts(3) };
    Task::new("dear", flaky).retry(retry).cost(cost)
}

#[tokio::test(start_paused = true)]
async fn what_tasks_within_a_task_cost_is_paid_by_its_run_once_for_all_attempts() {
    let orchestrator = limited(1);
    let mut graph = Graph::new().budget(10);
    let work = async |cx: Context| {
        let results = cx.map_all::<()>(1, (0..4).map(|_| dear(3))).await;
        Ok::<_, TaskError>(results.iter().filter(|result| result.is_ok()).count())
    };
    graph.add(Task::new("all", work).cost(1)).expect("no cycle");
    graph.add(dear(1).wants(["all"])).expect("no cycle");
    let finished = orchestrator.run(graph).await.expect("it starts");
    assert_eq!(*finished.output::<usize>("all").expect("it ran"), 3);
    let spent = Outcome::Failed { error: "the run's budget is spent".to_owned() };
    assert_eq!(finished.report().tasks[1].outcome, spent);
}

#[tokio::test(start_paused = true)]
async fn a_tenants_budget_holds_over_all_its_runs_and_can_be_renewed() {
    let orchestrator = Orchestrator::builder().limit(4).tenant_budget("guest", 7).build();
    let orchestrator = orchestrator.expect("the settings are sound");
    let run = async |tenant: &'static str| {
        let mut graph = Graph::new().tenant(tenant).budget(100);
        let within = async |cx: Context| cx.sub_task::<()>(dear(2)).await.map(drop);
        graph.add(Task::new("all", within).cost(1)).expect("no cycle");
        let report = orchestrator.run(graph).await.expect("it starts").into_report();
        report.tasks[0].outcome.clone()
    };
    for left in [4, 1] {
        assert_eq!(run("guest").await, Outcome::Succeeded);
        assert_eq!(orchestrator.tenant_budget("guest").await, Some(left));
    }
    let error = "task `dear` failed: its tenant's budget is spent".to_owned();
    assert_eq!(run("guest").await, Outcome::Failed { error });
    assert_eq!(run("owner").await, Outcome::Succeeded);
    orchestrator.set_tenant_budget("guest", None);
    assert_eq!(run("guest").await, Outcome::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn what_a_task_has_waited_for_its_sub_graph_is_not_its_own_time() {
    let orchestrator = limited(1);
    let work = async |cx: Context| {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut inner = Graph::new();
        let slow = async |_| {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok::<(), TaskError>(())
        };
        inner.add(Task::new("slow", slow))?;
        cx.sub_graph(inner).await?;
        Ok::<(), TaskError>(())
    };
    let mut graph = Graph::new();
    graph.add(Task::new("outer", work).kind("outer")).expect("no cycle");
    let report = orchestrator.run(graph).await.expect("it runs").into_report();
    let seconds = |time: Duration| time.as_secs();
    assert_eq!((seconds(report.tasks[0].busy), seconds(report.makespan)), (2, 62));
    let learned = orchestrator.durations().await.estimate("outer").expect("it has run");
    assert_eq!(seconds(learned.mean), 2);
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_has_left_behind_asks_for_nothing_in_the_name_of_the_next() {
    let second = Duration::from_secs(1);
    let (orchestrator, told) = (limited(1), Arc::new(Mutex::new(None)));
    let tells = Arc::clone(&told);
    let tries = Task::new("tries", move |cx: Context| {
        let tells = Arc::clone(&tells);
        async move {
            if cx.attempt() == 1 {
                tokio::spawn(async move {
                    tokio::time::sleep(second).await;
                    *tells.lock() = Some(cx.sub_task::<&str>(echo("late")).await);
                });
                return Err(TaskError::from("once more"));
            }
            tokio::time::sleep(9 * second).await;
            Ok(())
        }
    });
    let mut graph = Graph::new();
    graph
        .add(tries.retry(Retry { first_delay: Duration::ZERO, ..Retry::attempts(2) }))
        .expect("new");
    graph.add(echo("beside").priority(-1)).expect("new");
    let finished = orchestrator.run(graph).await.expect("it starts");
    assert!(finished.is_success());
    assert_eq!(finished.report().peak, 1, "there is one slot");
    assert_eq!(told.lock().take(), Some(Err(SubError::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_tasks_within_is_not_idle() {
    let second = Duration::from_secs(1);
    let waits = async |cx: Context, idles: bool| {
        let slow = Task::new("slow", async |_| {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok::<(), TaskError>(())
        });
        cx.sub_task::<()>(slow).await?;
        if idles {
            std::future::pending::<()>().await;
        }
        Ok::<(), TaskError>(())
    };
    let mut graph = Graph::new();
    for (id, idles) in [("waits", false), ("idles", true)] {
        let task = Task::new(id, move |cx| waits(cx, idles)).grace(Duration::ZERO);
        graph.add(task.idle_timeout(9 * second).retry(Retry::NEVER)).expect("new");
    }
    let report = limited(9).run(graph).await.expect("it starts").into_report();
    assert_eq!(report.tasks[0].outcome, Outcome::Succeeded);
    assert_eq!((&report.tasks[1].outcome, report.makespan), (&Outcome::TimedOut, 69 * second));
}

#[tokio::test]
async fn a_task_within_that_names_itself_is_told_so() {
    let orchestrator = limited(1);
    let finished = alone(&orchestrator, async |cx: Context| {
        let error = cx
            .sub_task::<&str>(echo("self").wants(["self"]))
            .await
            .expect_err("it waits for itself");
        Ok(error.to_string())
    });
    let told = finished.await.output::<String>("all").expect("it is told");
    assert_eq!(*told, "task `self` needs `self`, which was not added");
}
