//! Settings in force: at the start, and changed while it runs.

use std::time::Duration;

use tidegate_workflow::config::{Effect, Format, Layers};
use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{Context, Graph, Outcome, Retry, Task, TaskError, Waiting};

const YAML: &str = "\
max_concurrent_tasks: 8
default_timeout: 30s
retry: {attempts: 3, first_delay: 1s, jitter: 0}
default_agent: {max_concurrent_tasks: 2}
agents:
  model: {max_concurrent_tasks: 4, max_requests_per_minute: 60, memory_mb: 100, breaker_failures: 5}
resources: {licence: 2}
tenants: {paying: 3}
";

/// So many tasks of an agent that sleep; how many of them ran at once.
async fn peak(orchestrator: &tidegate_workflow::Orchestrator, agent: &str) -> usize {
    let mut graph = Graph::new();
    for at in 0..12 {
        let work = async |_| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<(), TaskError>(())
        };
        graph.add(Task::new(format!("{at}"), work).agent(agent)).expect("the ids differ");
    }
    orchestrator.run(graph).await.expect("it is not shut down").into_report().peak
}

#[tokio::test(start_paused = true)]
async fn settings_are_in_force_from_the_start() {
    let configuration =
        Layers::new().text("c.yaml", Format::Yaml, YAML).load().expect("it is sound");
    let orchestrator = configuration.builder(&Registry::new()).build().expect("it is sound");
    assert_eq!(orchestrator.limit(), 8);
    assert_eq!(peak(&orchestrator, "model").await, 4);
    assert_eq!(peak(&orchestrator, "unknown").await, 2);

    let mut graph = Graph::new().timeout(Duration::from_secs(3600));
    let flaky = async |cx: Context| if cx.attempt() < 3 { Err("busy") } else { Ok(()) };
    graph.add(Task::new("flaky", flaky)).expect("it is the first");
    let hangs = async |_| {
        std::future::pending::<()>().await;
        Ok::<(), TaskError>(())
    };
    graph.add(Task::new("hangs", hangs)).expect("the ids differ");
    graph.add(Task::new("own", hangs).timeout(Duration::from_secs(1))).expect("the ids differ");
    let work = async |_| Ok::<(), TaskError>(());
    graph.add(Task::new("licensed", work).uses("licence", 2)).expect("the ids differ");
    let failing = async |_| Err::<(), TaskError>("busy".into());
    graph.add(Task::new("twice", failing).retry(Retry::attempts(2))).expect("the ids differ");
    let report =
        orchestrator.run(configuration.prepare(graph)).await.expect("it starts").into_report();
    let ends: Vec<(&Outcome, u32)> =
        report.tasks.iter().map(|task| (&task.outcome, task.attempts)).collect();
    assert_eq!(
        ends,
        [
            (&Outcome::Succeeded, 3),
            (&Outcome::TimedOut, 3),
            (&Outcome::TimedOut, 3),
            (&Outcome::Succeeded, 1),
            (&Outcome::Failed { error: "busy".to_owned() }, 2),
        ]
    );
    assert!(report.tasks[2].busy < Duration::from_secs(30), "its own time-out counts");
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_it_runs_and_what_cannot_says_so() {
    let path = std::env::temp_dir().join(format!("tidegate-config-{}.yaml", std::process::id()));
    std::fs::write(&path, YAML).expect("the folder can be written");
    let mut configuration = Layers::new().file(&path).load().expect("it is sound");
    let orchestrator = configuration.builder(&Registry::new()).build().expect("it is sound");
    assert_eq!(configuration.reload(&orchestrator).expect("nothing is other"), []);

    let other = YAML
        .replace("max_concurrent_tasks: 8", "max_concurrent_tasks: 6")
        .replace("model: {max_concurrent_tasks: 4", "model: {max_concurrent_tasks: 5")
        .replace("attempts: 3", "attempts: 2")
        .replace(
            "default_agent: {max_concurrent_tasks: 2}",
            "default_agent: {max_concurrent_tasks: 1}",
        )
        .replace("memory_mb: 100, ", "")
        .replace("resources: {licence: 2}\n", "");
    std::fs::write(&path, other).expect("the folder can be written");
    let changes = configuration.reload(&orchestrator).expect("it is sound");
    let effects: Vec<(&str, Effect)> =
        changes.iter().map(|change| (change.setting.as_str(), change.effect)).collect();
    assert_eq!(
        effects,
        [
            ("agents.model.max_concurrent_tasks", Effect::Now),
            ("agents.model.memory_mb", Effect::NextStart),
            ("default_agent.max_concurrent_tasks", Effect::NextStart),
            ("max_concurrent_tasks", Effect::Now),
            ("resources.licence", Effect::NextStart),
            ("retry.attempts", Effect::NewTasks),
        ]
    );
    assert_eq!(peak(&orchestrator, "model").await, 5);
    assert_eq!(orchestrator.limit(), 6);

    let changes = configuration
        .update(&orchestrator, "agents.model.max_concurrent_tasks", 1)
        .expect("it is sound");
    assert_eq!(
        changes[0].to_string(),
        "agents.model.max_concurrent_tasks: 5 becomes 1 now, set in code"
    );
    assert_eq!(peak(&orchestrator, "model").await, 1);
    // A new agent, while it runs.
    configuration.update(&orchestrator, "agents.new.max_concurrent_tasks", 3).expect("it is sound");
    assert_eq!(peak(&orchestrator, "new").await, 3);

    std::fs::write(&path, "max_concurrent_tasks: many\n").expect("the folder can be written");
    let problems = configuration.reload(&orchestrator).expect_err("it is no number");
    assert!(
        problems.to_string().contains(":1:23: `max_concurrent_tasks` is \"many\""),
        "{problems}"
    );
    assert_eq!(configuration.limit(), 6, "nothing has changed");
    std::fs::remove_file(&path).expect("it was written");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_and_a_rate_that_are_set_while_it_runs_hold_agents_back() {
    let mut configuration = Layers::new().load().expect("nothing is set");
    let orchestrator = configuration.builder(&Registry::new()).build().expect("it is sound");
    for (path, value) in
        [("agents.frail.breaker_failures", 1), ("agents.slow.max_requests_per_minute", 1)]
    {
        configuration.update(&orchestrator, path, value).expect("it is sound");
    }
    let mut graph = Graph::new();
    let work = async |_| Ok::<(), TaskError>(());
    let fails = async |_| Err::<(), TaskError>("broken".into());
    graph.add(Task::new("fails", fails).agent("frail")).expect("the ids differ");
    graph.add(Task::new("after", work).agent("frail").wants(["fails"])).expect("the ids differ");
    graph.add(Task::new("one", work).agent("slow")).expect("the ids differ");
    graph.add(Task::new("two", work).agent("slow").needs(["one"])).expect("the ids differ");
    let running = orchestrator.start(graph).expect("it starts");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let why = running.why("after").await;
    assert!(matches!(why, Some(Waiting::Breaker { .. })), "{why:?}");
    let why = running.why("two").await;
    assert!(matches!(why, Some(Waiting::Rate { .. })), "{why:?}");
}

#[tokio::test(start_paused = true)]
async fn the_requests_of_every_agent_are_limited_by_the_default() {
    let configuration = Layers::new()
        .environment_of([
            ("AGENT_MAX_REQUESTS_PER_MINUTE", "6"),
            ("AGENT_MAX_CONCURRENT_TASKS", "12"),
        ])
        .load()
        .expect("it is sound");
    let orchestrator = configuration.builder(&Registry::new()).build().expect("it is sound");
    let begun = tokio::time::Instant::now();
    peak(&orchestrator, "any").await;
    assert!(begun.elapsed() >= Duration::from_secs(60), "{:?} for 12 requests", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_configuration_follows_what_is_ready() {
    let yaml = "adaptive_scheduling: true\nadaptive: {base_limit: 2, max_limit: 4, queue_high_watermark: 3}\n";
    let mut configuration =
        Layers::new().text("c.yaml", Format::Yaml, yaml).load().expect("it is sound");
    let orchestrator = configuration.builder(&Registry::new()).build().expect("it is sound");
    for _ in 0..100 {
        let work = async |_| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<(), TaskError>(())
        };
        orchestrator.go("work", work).expect("it is open");
    }
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(orchestrator.limit(), 4);
    let changes =
        configuration.update(&orchestrator, "max_concurrent_tasks", 9).expect("it is sound");
    assert_eq!((changes[0].effect, orchestrator.limit()), (Effect::NextStart, 4));
}
