//! Batches for one agent.

use std::sync::Arc;
use std::time::Duration;

use tidegate_workflow::pools::Batcher;
use tidegate_workflow::{Batch, Context, Graph, Orchestrator, Outcome, Task, TaskError};

use super::{alone, limited};
use crate::echo;

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
