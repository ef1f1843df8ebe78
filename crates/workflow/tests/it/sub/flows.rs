//! Flows of stages with bounded buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_workflow::{Context, Flow, Graph, Outcome, Task, TaskError};
use tokio::sync::Notify;

use super::{Crowd, alone, limited};
use crate::{failing, until_stopped};

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

#[tokio::test]
async fn a_buffer_may_be_of_any_size() {
    let mut graph = Graph::new();
    let flow = async |cx: Context| {
        let flow = Flow::source(usize::MAX, async |sink| Ok(sink.send(7_u32).await?));
        let mut seen = 0;
        let same = |n: u32| Task::new("same", move |_| async move { Ok::<_, TaskError>(n) });
        let flow = flow.stage::<u32, _>("same", usize::MAX, usize::MAX, same);
        flow.run(&cx, |n| {
            seen += *n;
            Ok(())
        })
        .await?;
        Ok::<_, TaskError>(seen)
    };
    graph.add(Task::new("flow", flow)).expect("a new one");
    let orchestrator =
        tidegate_workflow::Orchestrator::builder().build().expect("the settings are sound");
    let finished = orchestrator.run(graph).await.expect("it runs");
    assert_eq!(*finished.output::<u32>("flow").expect("it flowed"), 7);
}
