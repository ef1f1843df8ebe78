use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tidegate_workflow::{Context, Graph, Orchestrator, Outcome, Task, TaskError};

use crate::{echo, until_stopped};

const SECOND: Duration = Duration::from_secs(1);

fn orchestrator() -> Orchestrator {
    Orchestrator::builder().limit(9).build().expect("the settings are sound")
}

fn graph(tasks: impl IntoIterator<Item = Task>) -> Graph {
    let mut graph = Graph::new();
    tasks.into_iter().for_each(|task| graph.add(task).expect("no cycle"));
    graph
}

async fn outcomes(graph: Graph) -> Vec<Outcome> {
    let finished = orchestrator().run(graph).await.expect("it runs");
    finished.into_report().tasks.into_iter().map(|task| task.outcome).collect()
}

fn failed(error: &str) -> Outcome {
    Outcome::Failed { error: error.to_owned() }
}

#[tokio::test]
async fn a_task_whose_condition_says_no_is_declined_and_those_that_need_it_are_skipped() {
    let enough = |cx: &Context| cx.input::<usize>("count").is_ok_and(|count| *count > 9);
    let count = Task::new("count", async |_| Ok::<usize, TaskError>(3));
    let tasks = [
        count,
        echo("many").needs(["count"]).when(enough),
        echo("after").needs(["many"]),
        echo("few").needs(["count"]).when(move |cx| !enough(cx)),
    ];
    let because = Arc::from("many");
    assert_eq!(
        outcomes(graph(tasks)).await,
        [Outcome::Succeeded, Outcome::Declined, Outcome::Skipped { because }, Outcome::Succeeded]
    );
}

#[tokio::test]
async fn a_condition_that_panics_fails_its_task_alone() {
    let tasks = [echo("bad").when(|_| panic!("no idea")), echo("good")];
    assert_eq!(outcomes(graph(tasks)).await, [failed("panicked: no idea"), Outcome::Succeeded]);
}

#[tokio::test]
async fn a_fallback_runs_after_a_failure_only() {
    let fails = Task::new("fails", async |_| Err::<(), _>("no"));
    let tasks = [
        fails,
        echo("fine"),
        echo("instead").on_failure(["fails"]),
        echo("unneeded").on_failure(["fine"]),
    ];
    let because = Arc::from("fine");
    assert_eq!(
        outcomes(graph(tasks)).await,
        [failed("no"), Outcome::Succeeded, Outcome::Succeeded, Outcome::Skipped { because }]
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_progress_ends_as_timed_out_and_progress_puts_that_off() {
    let silent = Task::new("silent", async |cx: Context| {
        cx.token().cancelled().await;
        Err::<(), _>("stopped")
    });
    let lively = Task::new("lively", async |cx: Context| {
        for _ in 0..10 {
            tokio::time::sleep(SECOND).await;
            cx.progress();
        }
        Ok::<(), TaskError>(())
    });
    let idle = |task: Task| task.idle_timeout(3 * SECOND / 2);
    let began = tokio::time::Instant::now();
    let found = outcomes(graph([idle(silent), idle(lively)])).await;
    assert_eq!(found, [Outcome::TimedOut, Outcome::Succeeded]);
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_run_past_its_timeout_is_cancelled() {
    let tasks = [until_stopped("long"), echo("short"), echo("after").needs(["long"])];
    let found = outcomes(graph(tasks).timeout(SECOND)).await;
    assert_eq!(found, [Outcome::Cancelled, Outcome::Succeeded, Outcome::Cancelled]);
}

#[tokio::test]
async fn a_budget_is_never_overdrawn() {
    let tasks = ["one", "two", "three"].map(|id| echo(id).cost(4));
    let found = outcomes(graph(tasks).budget(9)).await;
    let spent = failed("the run's budget is spent");
    assert_eq!(found, [Outcome::Succeeded, Outcome::Succeeded, spent]);
}

#[tokio::test]
async fn a_waiting_task_can_be_given_another_priority() {
    let orchestrator = Orchestrator::builder().limit(1).build().expect("the settings are sound");
    let running = orchestrator
        .start(graph([until_stopped("first").priority(1), echo("second"), echo("third")]))
        .expect("it starts");
    running.set_priority("third", 1);
    running.cancel_task("first");
    let report = running.wait().await.expect("it lives").into_report();
    assert!(report.tasks[2].started < report.tasks[1].started);
}

#[tokio::test(start_paused = true)]
async fn status_tells_how_far_a_run_is_and_how_much_longer_it_may_take() {
    let orchestrator = Orchestrator::builder().limit(2).build().expect("the settings are sound");
    let second = |task: Task| task.estimate(SECOND);
    let wait = |id: &'static str| {
        second(Task::new(id, async |_| {
            tokio::time::sleep(SECOND).await;
            Ok::<(), TaskError>(())
        }))
    };
    let tasks = [wait("a").priority(1), wait("b").needs(["a"]), wait("c"), wait("d"), wait("e")];
    let running = orchestrator.start(graph(tasks)).expect("it starts");
    let status = running.status().await.expect("it is live");
    assert_eq!((status.tasks, status.pending, status.ready, status.over), (5, 1, 2, 0));
    assert_eq!(status.running.len(), 2);
    assert_eq!(status.remaining.mean, 5 * SECOND / 2, "five seconds of work in two slots");
    tokio::time::sleep(3 * SECOND / 2).await;
    let status = running.status().await.expect("it is live");
    assert_eq!((status.over, status.progress()), (2, 0.4));
    assert_eq!(status.elapsed, 3 * SECOND / 2);
    let run = (*running).clone();
    running.wait().await.expect("it lives");
    assert_eq!(run.status().await, None);
}

#[tokio::test]
async fn a_closure_that_holds_the_last_orchestrator_ends_it_without_blocking() {
    let orchestrator = Arc::new(orchestrator());
    let held = Arc::clone(&orchestrator);
    let task = Task::new("holds", move |_| {
        let _ = &held;
        std::future::ready(Ok::<(), TaskError>(()))
    });
    let running = orchestrator.start(graph([task])).expect("it starts");
    drop(orchestrator);
    // Whether the run came to its end first is not the point: nobody hangs.
    let _ = running.wait().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_that_block_their_thread_hold_up_nobody_below_the_limit() {
    let orchestrator = Orchestrator::builder().limit(8).build().expect("the settings are sound");
    // Each waits for all others: it ends only if all eight run at once.
    let barrier = Arc::new(std::sync::Barrier::new(8));
    let tasks = (0..8).map(|at| {
        let barrier = Arc::clone(&barrier);
        Task::new(format!("task {at}"), move |_| {
            let barrier = Arc::clone(&barrier);
            async move {
                tokio::task::block_in_place(|| barrier.wait());
                Ok::<(), TaskError>(())
            }
        })
    });
    assert!(orchestrator.run(graph(tasks)).await.expect("it runs").is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_submits_and_then_blocks_its_thread_does_not_keep_the_attempt_from_starting() {
    let orchestrator = Arc::new(orchestrator());
    for waits in [false, true] {
        let work = move |_| async move {
            if waits {
                tokio::task::yield_now().await;
            }
            Ok::<(), TaskError>(())
        };
        // The next attempt is expected to do as this one.
        orchestrator.run(graph([Task::new("first", work)])).await.expect("it runs");
        let other = Arc::clone(&orchestrator);
        let blocked = tokio::spawn(async move {
            let (told, hears) = mpsc::channel();
            let work = move |_| std::future::ready(told.send(()).map_err(TaskError::from));
            other.go("work", work).expect("it is open");
            hears.recv_timeout(Duration::from_secs(30))
        });
        let heard = blocked.await.expect("it does not panic");
        assert!(heard.is_ok(), "the attempt did not start; an attempt that waits: {waits}");
    }
}

#[tokio::test]
async fn attempts_that_wait_take_as_many_tasks_of_the_runtime_as_are_in_flight() {
    let orchestrator = Orchestrator::builder().limit(4).build().expect("the settings are sound");
    let tasks = (0..100).map(|at| {
        Task::new(format!("task {at}"), async |_| {
            tokio::task::yield_now().await;
            Ok::<_, TaskError>(tokio::task::id())
        })
    });
    let finished = orchestrator.run(graph(tasks)).await.expect("it runs");
    let task = |at| *finished.output::<tokio::task::Id>(&format!("task {at}")).expect("it is one");
    let tasks: std::collections::HashSet<_> = (0..100).map(task).collect();
    // The first ones were a runner's until they waited.
    assert!(tasks.len() <= 8, "{} tasks", tasks.len());
}

/// Waits, when it is dropped, until somebody tells it something, and says whether that has come.
struct Slow(Mutex<mpsc::Receiver<()>>, mpsc::Sender<bool>);

impl Drop for Slow {
    fn drop(&mut self) {
        let hears = self.0.get_mut().expect("nobody panicked");
        let _ = self.1.send(hears.recv_timeout(10 * SECOND).is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_destructor_does_not_hold_up_who_starts_because_of_the_end() {
    let orchestrator = Orchestrator::builder().limit(1).build().expect("the settings are sound");
    // From then on attempts are expected to wait.
    let waits = async |_| {
        tokio::task::yield_now().await;
        Ok::<(), TaskError>(())
    };
    orchestrator.run(graph([Task::new("first", waits)])).await.expect("it runs");
    let (told, hears) = mpsc::channel();
    let (dropped, has_heard) = mpsc::channel();
    let slow = Slow(Mutex::new(hears), dropped);
    let failing = Task::new("fails", move |_| {
        let _ = &slow;
        async {
            tokio::task::yield_now().await;
            Err::<(), _>(TaskError::fatal("out of order"))
        }
    });
    let next =
        Task::new("next", move |_| std::future::ready(told.send(()).map_err(TaskError::from)));
    orchestrator.run(graph([failing.priority(1), next])).await.expect("it runs");
    assert_eq!(has_heard.recv(), Ok(true), "the other began only after the drop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_comes_to_an_attempt_that_blocks_its_thread() {
    let orchestrator = orchestrator();
    let blocks = |cx: Context| async move {
        let since = std::time::Instant::now();
        while !cx.token().is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
            if since.elapsed() > Duration::from_secs(10) {
                return Err(TaskError::fatal("nobody told it to stop"));
            }
        }
        Ok(())
    };
    for at in 0..20 {
        let blocks = Task::new("blocks", blocks).needs(["first"]).timeout(Duration::from_millis(5));
        let finished = orchestrator.run(graph([echo("first"), blocks])).await.expect("it runs");
        let end = format!("{finished:?}");
        assert!(!end.contains("nobody"), "round {at}: {end}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_from_many_threads_are_all_run_once() {
    let orchestrator = Arc::new(orchestrator());
    let count = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (orchestrator, count) = (Arc::clone(&orchestrator), Arc::clone(&count));
            std::thread::spawn(move || {
                for at in 0..2_500 {
                    let count = Arc::clone(&count);
                    let task = async move |_| {
                        count.fetch_add(1, Ordering::Relaxed);
                        if at % 7 == 0 {
                            tokio::task::yield_now().await;
                        }
                        Ok::<(), TaskError>(())
                    };
                    orchestrator.go("work", task).expect("it is open");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    orchestrator.wait().await.expect("none failed");
    assert_eq!(count.load(Ordering::Relaxed), 10_000);
}

#[tokio::test(start_paused = true)]
async fn durations_learned_by_kind_feed_order_and_remaining_time() {
    let lasting = |id: &'static str, seconds: u32| {
        Task::new(id, move |_| async move {
            tokio::time::sleep(SECOND * seconds).await;
            Ok::<(), TaskError>(())
        })
    };
    let limit_1 = || Orchestrator::builder().limit(1);
    let teacher = limit_1().build().expect("the settings are sound");
    let lessons = [lasting("a", 8).kind("slow"), lasting("b", 12).kind("slow"), lasting("c", 2)];
    teacher.run(graph(lessons)).await.expect("it runs");
    let durations = teacher.durations().await;
    assert_eq!(durations.estimate("slow").map(|learned| learned.mean), Some(10 * SECOND));
    assert_eq!(durations.len(), 1, "nothing is learned of what has no kind");

    let orchestrator = limit_1().durations(durations).build().expect("the settings are sound");
    let tasks = [lasting("quick", 2).estimate(2 * SECOND), lasting("slow", 9).kind("slow")];
    let running = orchestrator.start(graph(tasks)).expect("it starts");
    let remaining = running.status().await.expect("it is live").remaining;
    assert_eq!(remaining.mean, 12 * SECOND);
    assert!(remaining.low < 10 * SECOND && 14 * SECOND < remaining.high, "{remaining:?}");
    let report = running.wait().await.expect("it lives").into_report();
    assert!(report.tasks[1].started < report.tasks[0].started, "the longer one goes first");
}

#[tokio::test(start_paused = true)]
async fn a_report_sums_up_by_agent_and_reads_as_text() {
    let second = |id: &'static str| {
        let work = async |_| {
            tokio::time::sleep(SECOND).await;
            Ok::<(), TaskError>(())
        };
        Task::new(id, work).agent("model")
    };
    let orchestrator =
        Orchestrator::builder().agent("model", 1).build().expect("the settings are sound");
    let tasks = [second("a"), second("b"), Task::new("c", async |_| Err::<(), _>("no"))];
    let report = orchestrator.run(graph(tasks)).await.expect("it runs").into_report();
    let model = report.by_agent()["model"];
    assert_eq!((model.tasks, model.succeeded, model.attempts), (2, 2, 2));
    assert_eq!((model.busy, model.waited), (2 * SECOND, SECOND));
    assert!((report.success_rate() - 2.0 / 3.0).abs() < 1e-9);
    let text = report.to_string();
    assert!(
        text.starts_with("3 tasks: 1 failed, 2 succeeded\n2.000s for 2.000s of work"),
        "{text}"
    );
    assert!(
        text.contains("model: 2 of 2 succeeded, 2.000s busy, 1.000s waited for a slot"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_that_compute_share_the_workers() {
    let orchestrator = Orchestrator::builder().limit(2).build().expect("the settings are sound");
    for _ in 0..200 {
        // Each computes until the other has begun: it ends only if both workers are at it.
        let begun = Arc::new(AtomicUsize::new(0));
        let tasks = ["one", "two"].map(|id| {
            let begun = Arc::clone(&begun);
            Task::new(id, move |_| {
                let begun = Arc::clone(&begun);
                async move {
                    begun.fetch_add(1, Ordering::SeqCst);
                    while begun.load(Ordering::SeqCst) < 2 {
                        std::hint::spin_loop();
                    }
                    Ok::<(), TaskError>(())
                }
            })
        });
        assert!(orchestrator.run(graph(tasks)).await.expect("it runs").is_success());
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_tells_throughput_share_in_parallel_and_agents_at_once() {
    let work = |seconds| {
        move |_| async move {
            tokio::time::sleep(seconds * SECOND).await;
            Ok::<(), TaskError>(())
        }
    };
    let tasks = [
        Task::new("a", work(2)).agent("x"),
        Task::new("b", work(1)).agent("y"),
        Task::new("c", work(1)).agent("x").needs(["b"]),
        Task::new("d", work(2)).needs(["a", "c"]),
        Task::new("fails", async |_| Err::<(), _>("no")),
    ];
    let report = orchestrator().run(graph(tasks)).await.expect("it runs").into_report();
    // Two at once for 2 s of 4 s, 6 s of work, four that succeeded.
    assert_eq!((report.makespan, report.busy), (4 * SECOND, 6 * SECOND));
    assert_eq!((report.parallel_share(), report.throughput()), (0.5, 1.0));
    assert_eq!((report.speed_up(), report.mean_busy()), (1.5, 6 * SECOND / 5));
    assert_eq!((report.counts()["succeeded"], report.counts()["failed"], report.peak), (4, 1, 3));
    assert_eq!(report.by_agent()["x"].busy, 3 * SECOND);
}

#[tokio::test]
async fn what_is_cancelled_before_its_first_poll_does_not_begin() {
    let begun = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&begun);
    let work = move |_| {
        flag.store(true, Ordering::Relaxed);
        std::future::ready(Ok::<(), TaskError>(()))
    };
    let orchestrator = orchestrator();
    let run = orchestrator.start(graph([Task::new("task", work)])).expect("it is open");
    // Nothing was polled yet: this thread is the only one.
    run.cancel();
    let report = run.wait().await.expect("it runs").into_report();
    assert_eq!(report.tasks[0].outcome, Outcome::Cancelled);
    assert!(!begun.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_live_runs_end_takes_no_more_and_cancels_what_is_left() {
    let orchestrator = orchestrator();
    let short = Task::new("short", async |cx: Context| {
        tokio::time::sleep(SECOND).await;
        // What is part of a live task's work is still taken.
        let mut inner = Graph::new();
        inner.add(echo("inner"))?;
        cx.sub_graph(inner).await?;
        Ok::<(), TaskError>(())
    });
    let short = orchestrator.start(graph([short])).expect("it is open");
    let long = orchestrator.start(graph([until_stopped("long")])).expect("it is open");
    let drained = orchestrator.drain(60 * SECOND);
    tokio::pin!(drained);
    assert!(futures::poll!(&mut drained).is_pending());
    assert!(orchestrator.start(graph([echo("late")])).is_err());
    assert_eq!(drained.await, 1, "one run was cut short");
    assert!(short.wait().await.expect("it ran").is_success());
    let report = long.wait().await.expect("it ran").into_report();
    assert_eq!(report.tasks[0].outcome, Outcome::Cancelled);
    assert_eq!(orchestrator.drain(SECOND).await, 0, "a second one is harmless");
}

#[tokio::test]
async fn amounts_of_one_resource_add_up() {
    let orchestrator = Orchestrator::builder().resource("gpu", 3).build().expect("sound");
    let refused = orchestrator.run(graph([echo("task").uses("gpu", 2).uses("gpu", 2)])).await;
    let text = refused.expect_err("four of three").to_string();
    assert!(text.contains("4") && text.contains("3"), "{text}");
}
