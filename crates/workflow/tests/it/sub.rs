//! Tasks within tasks: sub-graphs, maps, flows, batches, and what all of it costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_workflow::pools::Batcher;
use tidegate_workflow::{
    Batch, Context, EventKind, Finished, Flow, Graph, Next, Orchestrator, Outcome, Retry, SubError,
    Task, TaskError,
};
use tokio::sync::Notify;
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
async fn a_slow_stage_holds_up_its_source_and_every_item_passes_once_in_order() {
    let produced = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&produced);
    let finished = alone(&limited(9), move |cx: Context| {
        let count = Arc::clone(&count);
        async move {
            let sent = Arc::clone(&count);
            let source = async move |sink: tidegate_workflow::Sink<usize>| {
                for item in 0..51 {
                    sink.send(item).await?;
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            };
            let crowd = Crowd::default();
            let slow = crowd.clone();
            let flow = Flow::source(3, source)
                .stage("slow", 2, 4, move |item| slow.task(item))
                .stage("fast", 1, 1, |item: Arc<usize>| {
                    Task::new("fast", move |_| std::future::ready(Ok::<_, TaskError>(*item)))
                });
            let watch = flow.watch();
            let mut ahead = 0;
            let mut passed = Vec::new();
            flow.run(&cx, |item: Arc<usize>| {
                ahead = ahead.max(count.load(Ordering::Relaxed) - passed.len());
                assert!(watch.in_flight() <= 3 + 2 + 4 + 1 + 1);
                assert!(watch.stages()[0].waiting <= 3 && watch.stages()[0].working <= 2);
                passed.push(*item);
                Ok(())
            })
            .await?;
            assert_eq!((watch.in_flight(), watch.stages()[0].done), (0, 51));
            Ok((crowd.most(), ahead, passed))
        }
    })
    .await;
    let all = finished.output::<(usize, usize, Vec<usize>)>("all").expect("it ran");
    assert_eq!(all.0, 2);
    assert!(all.1 <= 12, "the source was {} ahead", all.1);
    // The last one is alone in its stage when the source has ended.
    assert!(all.2.iter().copied().eq(0..51));
    assert_eq!(produced.load(Ordering::Relaxed), 51);
}

#[tokio::test(start_paused = true)]
async fn whoever_fails_in_a_flow_ends_all_of_it() {
    for (bad, text) in [
        ("source", "no more"),
        ("stage", "task `bad` failed: out of order"),
        ("consumer", "no room"),
    ] {
        let finished = alone(&limited(9), move |cx: Context| async move {
            let source = async move |sink: tidegate_workflow::Sink<usize>| {
                for item in 0..5 {
                    sink.send(item).await?;
                }
                match bad {
                    "source" => Err("no more".into()),
                    // It would go on for ever.
                    _ => std::future::pending().await,
                }
            };
            let flow = Flow::source(1, source)
                .stage::<usize, _>("first", 2, 1, |item| {
                    Task::new("first", move |_| std::future::ready(Ok::<_, TaskError>(item)))
                })
                .stage::<usize, _>("second", 2, 1, move |item| match (bad, *item) {
                    ("stage", 3) => failing("bad"),
                    ("consumer", _) | (_, 0..3) => {
                        Task::new("second", move |_| std::future::ready(Ok::<_, TaskError>(*item)))
                    }
                    _ => until_stopped("long"),
                });
            let consume = |item: Arc<usize>| match (bad, *item) {
                ("consumer", 2) => Err(TaskError::from("no room")),
                _ => Ok(()),
            };
            flow.run(&cx, consume).await
        })
        .await;
        let error = text.to_owned();
        assert_eq!(finished.report().tasks[0].outcome, Outcome::Failed { error }, "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flow_ends_with_its_task() {
    let orchestrator = limited(9);
    let begun = Arc::new(Notify::new());
    let told = Arc::clone(&begun);
    let mut graph = Graph::new();
    let endless = move |cx: Context| {
        let told = Arc::clone(&told);
        async move {
            let source = async |sink: tidegate_workflow::Sink<usize>| loop {
                sink.send(1).await?;
            };
            let flow = Flow::source(1, source).stage::<(), _>("stuck", 1, 1, move |_| {
                told.notify_one();
                until_stopped("stuck")
            });
            flow.run(&cx, |_| Ok(())).await
        }
    };
    graph.add(Task::new("all", endless)).expect("no cycle");
    let running = orchestrator.start(graph).expect("it starts");
    begun.notified().await;
    running.cancel();
    let report = running.wait().await.expect("the orchestrator lives").into_report();
    assert_eq!(report.tasks[0].outcome, Outcome::Cancelled);
    orchestrator.wait().await.expect("nothing is live");
}

#[tokio::test(start_paused = true)]
async fn items_for_one_agent_are_done_together_under_its_limits() {
    let orchestrator = Orchestrator::builder().limit(1).agent("model", 1).build();
    let orchestrator = orchestrator.expect("the settings are sound");
    let settings = Batcher::builder().max_items(4).max_delay(Duration::from_secs(1));
    let batch: Arc<Batch<usize, usize>> =
        Arc::new(orchestrator.batch(settings, |items: Vec<usize>| {
            let doubled: Vec<usize> = items.iter().map(|item| 2 * item).collect();
            let work = move |_| {
                let doubled = doubled.clone();
                async move { if doubled.contains(&14) { Err("seven") } else { Ok(doubled) } }
            };
            Task::new("batch", work).agent("model")
        }));
    let mut graph = Graph::new();
    for item in 0..10_usize {
        let batch = Arc::clone(&batch);
        let work = move |cx: Context| {
            let batch = Arc::clone(&batch);
            async move { batch.call(&cx, item).await }
        };
        graph.add(Task::new(format!("item {item}"), work)).expect("ids differ");
    }
    let finished = orchestrator.run(graph).await.expect("it starts");
    let output = |item: usize| finished.output::<usize>(&format!("item {item}")).ok().map(|it| *it);
    let expected = (0..10).map(|item| (!(4..8).contains(&item)).then_some(2 * item));
    assert!((0..10).map(output).eq(expected), "the second batch of four fails as one");
    let error = "task `batch` failed: seven".to_owned();
    assert_eq!(finished.report().tasks[4].outcome, Outcome::Failed { error });
    assert_eq!(batch.batches(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_is_cancelled_leaves_the_batch_at_once_and_the_others_are_done() {
    let orchestrator = limited(1);
    let settings = Batcher::builder().max_items(9).max_delay(Duration::from_secs(60));
    let batch: Arc<Batch<(), usize>> = Arc::new(orchestrator.batch(settings, |items: Vec<()>| {
        let all = vec![items.len(); items.len()];
        Task::new("batch", move |_| std::future::ready(Ok::<_, TaskError>(all.clone())))
    }));
    let mut graph = Graph::new();
    for item in ["stays", "goes"] {
        let batch = Arc::clone(&batch);
        let work = move |cx: Context| {
            let batch = Arc::clone(&batch);
            async move { batch.call(&cx, ()).await }
        };
        graph.add(Task::new(item, work)).expect("ids differ");
    }
    let running = orchestrator.start(graph).expect("it starts");
    tokio::time::sleep(Duration::from_secs(1)).await;
    running.cancel_task("goes");
    let status = loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let status = running.status().await.expect("it is live");
        if status.over == 1 {
            break status;
        }
        assert!(status.elapsed < Duration::from_secs(2), "it still waits for its batch");
    };
    assert_eq!(status.running, [Arc::from("stays")]);
    let finished = running.wait().await.expect("the engine is there");
    assert_eq!(*finished.output::<usize>("stays").expect("it was done"), 1, "alone");
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
async fn a_batch_whose_task_can_never_run_says_why_to_each_of_its_items() {
    let orchestrator = limited(1);
    let batch: Arc<Batch<(), ()>> =
        Arc::new(orchestrator.batch(Batcher::builder().max_items(2), |_| echo("a").uses("b", 1)));
    let finished = alone(&orchestrator, move |cx: Context| {
        let batch = Arc::clone(&batch);
        async move {
            let (one, other) = tokio::join!(batch.call(&cx, ()), batch.call(&cx, ()));
            Ok([one, other].map(|result| result.expect_err("there is no `b`").to_string()))
        }
    })
    .await;
    let errors = finished.output::<[String; 2]>("all").expect("it ran");
    assert!(errors.iter().all(|error| error.contains("`b`")), "{errors:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flow_returns_when_all_that_ran_in_it_has_ended() {
    for bad in ["stage", "consumer"] {
        let ended = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ended);
        let finished = alone(&limited(9), move |cx: Context| {
            let ended = Arc::clone(&count);
            async move {
                let source = async |sink: tidegate_workflow::Sink<usize>| {
                    for item in 0.. {
                        sink.send(item).await?;
                    }
                    Ok(())
                };
                let flow = Flow::source(9, source).stage::<usize, _>("work", 4, 1, move |item| {
                    let ended = Arc::clone(&ended);
                    Task::new("work", move |cx: Context| {
                        let ended = Arc::clone(&ended);
                        async move {
                            // Several at the same moment, so that the next place is full.
                            tokio::time::sleep(Duration::from_secs(1)).await;
                            if bad == "stage" && item == 1 {
                                return Err("out of order");
                            }
                            if item < 3 {
                                return Ok(item);
                            }
                            cx.token().cancelled().await;
                            tokio::time::sleep(Duration::from_secs(1)).await;
                            ended.fetch_add(1, Ordering::Relaxed);
                            Ok(item)
                        }
                    })
                });
                let consume = |_| if bad == "consumer" { Err("no room".into()) } else { Ok(()) };
                flow.run(&cx, consume).await.expect_err("it is bad");
                Ok::<(), TaskError>(())
            }
        })
        .await;
        finished.output::<()>("all").expect("the flow has failed, and this has not");
        assert!(ended.load(Ordering::Relaxed) > 0, "{bad}");
    }
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
