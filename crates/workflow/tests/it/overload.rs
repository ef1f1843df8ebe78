//! What follows when an agent says that it can bear no more.

use std::sync::Arc;
use std::time::Duration;

use tidegate_workflow::{
    Agent, Context, Graph, Law, Orchestrator, Retry, Sample, Task, TaskError, Waiting,
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// A task that is refused at its first attempt, and tells when it succeeded.
fn refused_once(id: &'static str, wait: Option<Duration>, began: Instant) -> Task {
    Task::new(id, move |cx: Context| async move {
        if cx.attempt() == 1 {
            return Err(TaskError::overloaded("too many requests", wait));
        }
        Ok(began.elapsed())
    })
    .retry(Retry { first_delay: SECOND, jitter: 0.0, ..Retry::default() })
}

fn timed(id: &'static str, began: Instant) -> Task {
    Task::new(id, move |_| async move { Ok::<_, TaskError>(began.elapsed()) })
}

#[tokio::test(start_paused = true)]
async fn nothing_of_an_overloaded_agent_starts_before_the_time_it_told() {
    let began = Instant::now();
    let orchestrator =
        Orchestrator::builder().limit(9).agent("model", 1).build().expect("the settings are sound");
    let mut graph = Graph::new();
    for task in [
        refused_once("first", Some(30 * SECOND), began).agent("model").priority(1),
        timed("next", began).agent("model"),
        timed("other", began).agent("tool"),
        refused_once("nobody's", Some(30 * SECOND), began),
    ] {
        graph.add(task).expect("no cycle");
    }
    let running = orchestrator.start(graph).expect("every need is there");
    tokio::time::sleep(10 * SECOND).await;
    let waiting = running.why("next").await;
    let Some(Waiting::Rate { remaining: Some(remaining), .. }) = waiting else {
        panic!("it waits for its agent: {waiting:?}");
    };
    assert_eq!(remaining.as_secs(), 20 - 1 + u64::from(remaining.subsec_nanos() == 0));
    let finished = running.wait().await.expect("the orchestrator is there");
    let at = |id: &str| finished.output::<Duration>(id).expect("it succeeded").as_secs();
    assert_eq!((at("first"), at("next")), (30, 30));
    assert_eq!((at("other"), at("nobody's")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn without_a_time_the_agent_goes_on_and_the_task_waits_as_its_retry_says() {
    let began = Instant::now();
    let orchestrator =
        Orchestrator::builder().agent("model", 1).build().expect("the settings are sound");
    let mut graph = Graph::new();
    graph.add(refused_once("first", None, began).agent("model").priority(1)).expect("no cycle");
    graph.add(timed("next", began).agent("model")).expect("no cycle");
    let finished = orchestrator.run(graph).await.expect("every need is there");
    let at = |id: &str| finished.output::<Duration>(id).expect("it succeeded").as_secs();
    assert_eq!((at("first"), at("next")), (1, 0));
}

/// Halves the limit when it hears of an overload.
#[derive(Debug)]
struct Halving;

impl Law for Halving {
    fn next(&mut self, limit: usize, sample: &Sample) -> usize {
        if sample.overloads > 0 { limit / 2 } else { limit }
    }
}

#[tokio::test(start_paused = true)]
async fn the_law_of_an_agents_limit_hears_of_overloads() {
    let orchestrator = Orchestrator::builder()
        .agent("model", Agent::new(8).adaptive(Halving, SECOND))
        .build()
        .expect("the settings are sound");
    let mut events = orchestrator.events();
    let mut graph = Graph::new();
    let refused = refused_once("refused", Some(3 * SECOND), Instant::now());
    graph.add(refused.agent("model")).expect("no cycle");
    orchestrator.run(graph).await.expect("every need is there");
    let mut limits = Vec::new();
    while let Some(tidegate_workflow::Next::Event(event)) = events.try_next() {
        if let tidegate_workflow::EventKind::AgentLimitChanged { agent, to, .. } = event.kind {
            assert_eq!(agent, Arc::from("model"));
            limits.push(to);
        }
    }
    assert_eq!(limits, [4], "one overload, heard of once");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_wants_nothing_for_ever_is_asked_again_after_an_hour_or_when_told_to() {
    for resumes in [false, true] {
        let began = Instant::now();
        let orchestrator = Orchestrator::builder().agent("model", 1).build().expect("sound");
        let mut graph = Graph::new();
        graph.add(refused_once("task", Some(Duration::MAX), began).agent("model")).expect("one");
        let run = orchestrator.start(graph).expect("it is open");
        tokio::time::sleep(60 * SECOND).await;
        if resumes {
            orchestrator.resume_agent("model");
        }
        let finished = run.wait().await.expect("it runs");
        let after = *finished.output::<Duration>("task").expect("it succeeded");
        let expected = if resumes { 60 * SECOND } else { 3600 * SECOND };
        assert!(expected <= after && after < expected + SECOND, "{after:?}");
    }
}
