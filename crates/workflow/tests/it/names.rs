//! Names that come and go: a service that runs for months makes up agents, tenants and amounts for ever.

use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{Agent, Graph, Orchestrator, Task, TaskError};

/// A task of an agent and with an amount that no other round has.
fn round(at: u64) -> Graph {
    let mut graph = Graph::new().tenant(format!("tenant {at}"));
    let work = async |_| Ok::<(), TaskError>(());
    let of_agent = Task::new("of an agent", work).agent(format!("agent {at}"));
    graph.add(of_agent.kind(format!("kind {at}"))).expect("no cycle");
    graph.add(Task::new("takes", work).agent("kept").memory_mb(1 + at)).expect("no cycle");
    graph.add(Task::new("uses", work).uses("disk", 1 + at)).expect("no cycle");
    graph
}

fn series(registry: &Registry) -> usize {
    let text = registry.render(tidegate_workflow::telemetry::Format::Text);
    text.lines().filter(|line| line.starts_with("orchestrator_agent_inflight_tasks{")).count()
}

#[tokio::test]
async fn names_and_amounts_that_nobody_uses_any_more_are_forgotten() {
    let registry = Registry::new();
    let orchestrator = Orchestrator::builder()
        .limit(8)
        .agent("kept", Agent::new(2).memory_mb(1 << 40))
        .resource("disk", 1 << 40)
        .tenant("kept", 3.0)
        .registry(registry.clone())
        .build()
        .expect("the settings are sound");
    // One that is in use all the while.
    let mut held = Graph::new().tenant("held");
    let hold = crate::until_stopped("hold").agent("held").uses("disk", 7);
    held.add(hold).expect("no cycle");
    let held = orchestrator.start(held).expect("it starts");
    let mut most = 0;
    for at in 0..4_000 {
        let finished = orchestrator.run(round(at)).await.expect("it runs");
        assert!(finished.is_success());
        assert_eq!(&*finished.report().tasks[0].agent, format!("agent {at}"));
        if at % 100 == 0 {
            most = most.max(series(&registry));
        }
    }
    assert!(most < 1500, "{most} agents are remembered");
    assert!(orchestrator.durations().await.len() < 4_000, "kinds are bounded too");
    let status = held.status().await.expect("it is live");
    assert_eq!(status.running.len(), 1);
    held.cancel();
    let report = held.wait().await.expect("it ends").into_report();
    assert_eq!(&*report.tasks[0].agent, "held");
}
