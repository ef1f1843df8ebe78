//! What the orchestrator writes into its registry, read back.

use std::time::Duration;

use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{Agent, Breaker, Graph, Orchestrator, Retry, Task, TaskError};

use crate::{echo, failing, until_stopped};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_an_orchestrator_does_is_read_back_from_its_registry() {
    let registry = Registry::new();
    let breaker = Breaker { failures: 1, cool_down: SECOND };
    let orchestrator = Orchestrator::builder()
        .limit(4)
        .agent("model", Agent::new(2).memory_mb(100))
        .agent("rated", Agent::new(9).requests_per_minute(1))
        .agent("frail", Agent::new(9).breaker(breaker))
        .registry(registry.clone())
        .build()
        .expect("the settings are sound");
    let value = |name: &str| registry.value(name);
    let of = |name: &str, labels: &[(&str, &str)]| registry.value_of(name, labels);

    let mut graph = Graph::new();
    let mut add = |task| graph.add(task).expect("no cycle");
    add(until_stopped("a").agent("model"));
    add(until_stopped("b").agent("model"));
    add(until_stopped("c").agent("model"));
    add(echo("d").needs(["c"]));
    add(until_stopped("free"));
    assert!(graph.add(echo("e").needs(["e"])).is_err());
    let running = orchestrator.start(graph).expect("it starts");
    while running.status().await.is_some_and(|status| status.running.len() < 3) {}

    // The queue and the states.
    assert_eq!(value("orchestrator_concurrency_limit"), Some(4.0));
    assert_eq!(value("orchestrator_inflight_tasks"), Some(3.0));
    assert_eq!(value("orchestrator_ready_tasks"), Some(1.0));
    assert_eq!(value("orchestrator_waiting_tasks"), Some(1.0));
    // Use by agent: both of its slots.
    let model = [("agent", "model")];
    assert_eq!(of("orchestrator_agent_inflight_tasks", &model), Some(2.0));
    assert_eq!(of("orchestrator_agent_concurrency_limit", &model), Some(2.0));
    orchestrator.set_agent_limit("model", 5);
    assert_eq!(of("orchestrator_agent_concurrency_limit", &model), Some(5.0));
    assert_eq!(of("orchestrator_agent_inflight_tasks", &model), Some(3.0));
    // Cycles that were refused, before the start and while the run is live.
    assert_eq!(value("orchestrator_cycles_refused_total"), Some(1.0));
    assert!(running.submit(echo("f").needs(["d"]), &["d"]).await.is_err());
    assert_eq!(value("orchestrator_cycles_refused_total"), Some(2.0));

    running.cancel();
    running.wait().await.expect("it ends");
    assert_eq!(of("orchestrator_tasks_total", &[("outcome", "cancelled")]), Some(5.0));
    assert_eq!(of("orchestrator_agent_inflight_tasks", &model), Some(0.0));
    for gauge in ["inflight", "ready", "waiting"] {
        assert_eq!(value(&format!("orchestrator_{gauge}_tasks")), Some(0.0), "{gauge}");
    }

    // Time-outs: of attempts, and of the task in the end; and what held tasks up.
    let mut graph = Graph::new();
    let mut add = |task| graph.add(task).expect("no cycle");
    let retry = Retry { attempts: 2, jitter: 0.0, ..Retry::default() };
    add(until_stopped("slow").timeout(SECOND).retry(retry));
    add(until_stopped("silent").idle_timeout(SECOND));
    add(echo("first").agent("rated"));
    add(echo("second").agent("rated"));
    add(failing("x").agent("frail").priority(1));
    add(echo("y").agent("frail").needs(["first"]));
    let large = |id| {
        let work = async |_| {
            tokio::time::sleep(SECOND).await;
            Ok::<(), TaskError>(())
        };
        Task::new(id, work).agent("model").memory_mb(60)
    };
    add(large("g"));
    add(large("h"));
    orchestrator.run(graph).await.expect("it runs");
    assert_eq!(value("orchestrator_attempt_timeouts_total"), Some(3.0));
    assert_eq!(value("orchestrator_task_retries_total"), Some(1.0));
    assert_eq!(of("orchestrator_tasks_total", &[("outcome", "timed_out")]), Some(2.0));
    assert_eq!(of("orchestrator_task_errors_total", &[("task", "x")]), Some(1.0));
    let hits = |agent, constraint| {
        let labels = [("agent", agent), ("constraint", constraint)];
        of("orchestrator_constraints_hit_total", &labels).unwrap_or(0.0)
    };
    assert!(hits("model", "concurrency") >= 1.0, "a third task of two slots");
    assert!(hits("model", "resource") >= 1.0, "60 MB and 60 MB of 100 MB");
    assert!(hits("rated", "requests") >= 1.0, "a second start within the minute");
    assert!(hits("frail", "breaker") >= 1.0, "one failure opens it");
    assert_eq!(hits("rated", "concurrency"), 0.0);
}
