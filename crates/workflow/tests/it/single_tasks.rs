use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{BuildError, Orchestrator, StartError};

#[tokio::test]
async fn go_runs_tasks_in_the_order_of_calls_and_wait_returns_when_all_are_over() {
    let orchestrator = Orchestrator::builder().limit(1).build().expect("the settings are sound");
    let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
    for at in 0..5 {
        let order = Arc::clone(&order);
        let work = async move |_| {
            order.lock().push(at);
            Ok::<(), std::io::Error>(())
        };
        orchestrator.go("work", work).expect("it is open");
    }
    orchestrator.wait().await.expect("none failed");
    assert_eq!(*order.lock(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn failures_count_by_task_and_the_first_is_what_wait_returns() {
    let registry = Registry::new();
    let builder = Orchestrator::builder().limit(1).registry(registry.clone());
    let orchestrator = builder.build().expect("the settings are sound");
    orchestrator.go("train", async |_| Err("no data")).expect("it is open");
    orchestrator.go("train", async |_| Err("still none")).expect("it is open");
    orchestrator.go("fine", async |_| Ok::<(), &str>(())).expect("it is open");
    let first = orchestrator.wait().await.expect_err("two failed");
    assert_eq!(first.to_string(), "task `train` failed: no data");
    orchestrator.wait().await.expect("it was told");
    assert_eq!(
        registry.value_of("orchestrator_task_errors_total", &[("task", "train")]),
        Some(2.0)
    );
    assert_eq!(
        registry.value_of("orchestrator_tasks_total", &[("outcome", "succeeded")]),
        Some(1.0)
    );
    assert_eq!(registry.value("orchestrator_concurrency_limit"), Some(1.0));
    assert_eq!(registry.value("orchestrator_inflight_tasks"), Some(0.0));
}

#[tokio::test]
async fn shutdown_ends_what_runs_refuses_what_comes_and_is_idempotent() {
    let orchestrator = Orchestrator::builder().limit(1).build().expect("the settings are sound");
    let ended = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        let ended = Arc::clone(&ended);
        let work = async move |token: tokio_util::sync::CancellationToken| {
            token.cancelled().await;
            ended.fetch_add(1, Ordering::SeqCst);
            Ok::<(), std::io::Error>(())
        };
        orchestrator.go("long", work).expect("it is open");
    }
    orchestrator.shutdown().await;
    orchestrator.shutdown().await;
    assert!(ended.load(Ordering::SeqCst) <= 1, "those that waited never started");
    assert_eq!(orchestrator.go("late", async |_| Ok::<(), &str>(())), Err(StartError::Closed));
}

#[tokio::test]
async fn a_registry_that_holds_a_metric_of_the_same_name_is_refused() {
    let registry = Registry::new();
    registry
        .gauge("orchestrator_inflight_tasks", "Somebody else's.")
        .expect("the registry is empty");
    let refused =
        Orchestrator::builder().registry(registry).build().expect_err("the name is taken");
    assert!(matches!(refused, BuildError::Metric(_)), "{refused}");
}
