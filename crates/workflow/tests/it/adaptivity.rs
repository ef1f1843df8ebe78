use std::collections::VecDeque;
use std::time::Duration;

use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{
    Agent, BuildError, Config, EventKind, Law, Next, Orchestrator, Reading, RegistrySource, Sample,
};

fn config() -> Config {
    Config {
        base_limit: 2,
        min_limit: 1,
        max_limit: 5,
        increase_step: 1,
        decrease_step: 2,
        queue_high_watermark: 10.0,
        gpu_wait_high: 4.0,
        error_rate_high: 0.2,
        adaptation_interval: Duration::from_secs(2),
    }
}

fn reading(queue: f64, gpu: f64, errors: f64) -> Reading {
    Reading { queue_depth: Some(queue), gpu_wait: Some(gpu), error_rate: Some(errors) }
}

/// The limits that follow from these readings, as the events tell them.
async fn limits(readings: Vec<Reading>) -> Vec<usize> {
    let count = readings.len();
    let mut readings = VecDeque::from(readings);
    let (over, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let source = move || {
        over.send(()).expect("the test listens");
        readings.pop_front().unwrap_or_default()
    };
    let orchestrator =
        Orchestrator::builder().adaptive(config(), source).build().expect("the settings are sound");
    let mut events = orchestrator.events();
    for _ in 0..=count {
        ended.recv().await.expect("the source is read");
    }
    let mut limits = Vec::new();
    while let Some(Next::Event(event)) = events.try_next() {
        if let EventKind::LimitChanged { to, .. } = event.kind {
            limits.push(to);
        }
    }
    limits
}

#[tokio::test(start_paused = true)]
async fn the_limit_steps_up_with_the_queue_and_down_with_the_gpu_wait() {
    let limits =
        limits(vec![reading(20.0, 0.0, 0.0), reading(20.0, 6.0, 0.0), reading(30.0, 0.0, 0.0)])
            .await;
    assert_eq!(limits, [3, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_is_missing_changes_nothing() {
    let unread = Reading { gpu_wait: None, ..reading(20.0, 0.0, 0.0) };
    assert_eq!(limits(vec![unread, reading(0.0, 0.0, 0.9)]).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_changes_nothing_and_is_asked_again() {
    let mut calls = 0;
    let source = move || {
        calls += 1;
        assert!(calls > 1, "not yet");
        reading(20.0, 0.0, 0.0)
    };
    let orchestrator =
        Orchestrator::builder().adaptive(config(), source).build().expect("the settings are sound");
    let mut events = orchestrator.events();
    let Some(Next::Event(event)) = events.next().await else { panic!("the limit must change") };
    assert_eq!(event.kind, EventKind::LimitChanged { from: 2, to: 3 });
    assert_eq!(orchestrator.limit(), 3);
}

#[tokio::test]
async fn a_configuration_that_makes_no_sense_is_refused_with_its_values() {
    let config = Config { min_limit: 9, ..config() };
    let refused = Orchestrator::builder()
        .adaptive(config, Reading::default)
        .build()
        .expect_err("min is above base");
    assert!(matches!(&refused, BuildError::Config(_)), "{refused}");
    assert!(refused.to_string().contains("min_limit is 9"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn the_controller_follows_a_registry_by_metric_name() {
    let registry = Registry::new();
    let mut gauges = Vec::new();
    for name in ["queue_depth", "gpu_wait", "error_rate"] {
        gauges.push(registry.gauge(name, "Of the backend.").expect("the name is free"));
    }
    let source = RegistrySource::new(registry.clone())
        .queue_depth("queue_depth")
        .gpu_wait("gpu_wait")
        .error_rate("error_rate");
    let orchestrator = Orchestrator::builder()
        .adaptive(config(), source)
        .registry(registry.clone())
        .build()
        .expect("the settings are sound");
    let follow = async |queue, gpu, errors| {
        gauges.iter().zip([queue, gpu, errors]).for_each(|(gauge, value)| gauge.set(value));
        // The time between two ticks, after which a tick has been.
        tokio::time::sleep(Duration::from_secs(2)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        (orchestrator.limit(), registry.value("orchestrator_concurrency_limit"))
    };
    assert_eq!(follow(20.0, 0.0, 0.0).await, (3, Some(3.0)));
    assert_eq!(follow(20.0, 0.0, 0.5).await, (1, Some(1.0)));
    assert_eq!(follow(30.0, 0.0, 0.0).await, (2, Some(2.0)));
}

/// A law that always says the same.
#[derive(Debug)]
struct Always(usize);

impl Law for Always {
    fn next(&mut self, _: usize, _: &Sample) -> usize {
        self.0
    }
}

#[tokio::test(start_paused = true)]
async fn a_law_leaves_one_at_least_and_ends_no_pause() {
    let second = Duration::from_secs(1);
    let orchestrator = Orchestrator::builder()
        .limit(3)
        .law(Always(0), second, Reading::default)
        .agent("model", Agent::new(2).adaptive(Always(0), second))
        .agent("paused", Agent::new(2).adaptive(Always(5), second))
        .build()
        .expect("the settings are sound");
    orchestrator.set_agent_limit("paused", 0);
    let mut events = orchestrator.events();
    tokio::time::sleep(5 * second).await;
    let mut told = Vec::new();
    while let Some(Next::Event(event)) = events.try_next() {
        match event.kind {
            EventKind::LimitChanged { to, .. } => told.push(("all".to_owned(), to)),
            EventKind::AgentLimitChanged { agent, to, .. } => told.push((agent.to_string(), to)),
            _ => {}
        }
    }
    told.sort();
    assert_eq!(told, [("all".to_owned(), 1), ("model".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_law_that_is_never_asked_leaves_everything_as_it_is() {
    let builder = Orchestrator::builder().limit(3);
    let builder = builder.law(Always(5), Duration::MAX, Reading::default);
    let orchestrator = builder.build().expect("the settings are sound");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(orchestrator.limit(), 3);
    assert_eq!(orchestrator.drain(Duration::ZERO).await, 0, "its tasks are well");
}

#[test]
#[should_panic(expected = "timers are disabled")]
fn a_runtime_without_its_clock_is_refused_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _ = runtime.block_on(async { Orchestrator::builder().build() });
}
