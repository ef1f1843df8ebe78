use std::sync::Arc;

use tidegate_workflow::{
    Context, Event, EventKind, Graph, Next, Orchestrator, Outcome, SubmitError, Task, TaskError,
    Waiting,
};

use crate::{echo, until_stopped};

fn orchestrator() -> Orchestrator {
    Orchestrator::builder().limit(1).build().expect("the settings are sound")
}

#[tokio::test]
async fn a_running_task_adds_tasks_before_a_waiting_one() {
    let mut graph = Graph::new();
    let expand = Task::new("expand", async |cx: Context| {
        for item in ["one", "two"] {
            cx.run()
                .submit(
                    Task::new(item, async |cx: Context| Ok::<_, TaskError>(cx.id().len())),
                    &["gather"],
                )
                .await?;
        }
        Ok::<(), TaskError>(())
    });
    let gather = Task::new("gather", async |cx: Context| {
        Ok::<_, TaskError>(*cx.input::<usize>("one")? + *cx.input::<usize>("two")?)
    });
    graph.add(expand).expect("no cycle");
    graph.add(gather.needs(["expand"])).expect("no cycle");
    let finished = orchestrator().run(graph).await.expect("every need is there");
    assert_eq!(*finished.output::<usize>("gather").expect("it succeeded"), 6);
    assert_eq!(finished.report().tasks.len(), 4);
}

#[tokio::test]
async fn a_task_that_cannot_be_added_changes_nothing_and_says_why() {
    let mut graph = Graph::new();
    let adds = Task::new("adds", async |cx: Context| {
        let add = async |task: Task, before: &[&str]| {
            cx.run().submit(task, before).await.expect_err("it must be refused")
        };
        Ok::<_, TaskError>([
            add(echo("adds"), &[]).await,
            add(echo("new").needs(["nobody"]), &[]).await,
            add(echo("new"), &["adds"]).await,
            add(echo("new").needs(["last"]), &["next"]).await,
        ])
    });
    graph.add(adds).expect("no cycle");
    graph.add(echo("next").needs(["adds"])).expect("no cycle");
    graph.add(echo("last").needs(["next"])).expect("no cycle");
    let finished = orchestrator().run(graph).await.expect("every need is there");
    let errors = finished.output::<[SubmitError; 4]>("adds").expect("it succeeded");
    let id = |id: &str| id.to_owned();
    let expected = [
        SubmitError::Duplicate { id: id("adds") },
        SubmitError::Unknown { id: id("nobody") },
        SubmitError::Late { id: id("adds") },
        SubmitError::Cycle { need: id("last"), follower: id("next") },
    ];
    assert_eq!(*errors, expected);
    assert_eq!(finished.report().tasks.len(), 3);
}

#[tokio::test]
async fn every_task_says_why_it_is_not_running() {
    let orchestrator =
        Orchestrator::builder().limit(2).agent("gpu", 1).build().expect("the settings are sound");
    let mut graph = Graph::new();
    for task in [
        until_stopped("first").agent("gpu").priority(9),
        until_stopped("second").agent("gpu"),
        until_stopped("third").priority(5),
        until_stopped("fourth"),
        until_stopped("fifth").needs(["first"]),
    ] {
        graph.add(task).expect("no cycle");
    }
    let running = orchestrator.start(graph).expect("every need is there");
    assert_eq!(running.why("first").await, Some(Waiting::Running));
    assert_eq!(running.why("second").await, Some(Waiting::AgentLimit { agent: Arc::from("gpu") }));
    assert_eq!(running.why("fourth").await, Some(Waiting::Limit));
    assert_eq!(
        running.why("fifth").await,
        Some(Waiting::Needs { tasks: vec![Arc::from("first")] })
    );
    assert_eq!(running.why("nobody").await, None);
}

#[tokio::test]
async fn a_cancelled_task_stops_and_those_that_need_it_are_skipped() {
    let mut graph = Graph::new();
    graph.add(until_stopped("long")).expect("no cycle");
    graph.add(echo("after").needs(["long"])).expect("no cycle");
    let orchestrator = orchestrator();
    let running = orchestrator.start(graph).expect("every need is there");
    running.cancel_task("long");
    let report = running.wait().await.expect("the orchestrator lives").into_report();
    assert_eq!(report.tasks[0].outcome, Outcome::Cancelled);
    assert_eq!(report.tasks[1].outcome, Outcome::Skipped { because: Arc::from("long") });
}

#[tokio::test]
async fn dropping_the_owner_of_a_run_cancels_it() {
    let orchestrator = orchestrator();
    let mut graph = Graph::new();
    graph.add(until_stopped("long")).expect("no cycle");
    drop(orchestrator.start(graph).expect("every need is there"));
    orchestrator.wait().await.expect("no task of `go` has failed");
}

#[tokio::test]
async fn events_tell_a_task_from_ready_to_its_end_and_a_slow_reader_what_it_lost() {
    let orchestrator =
        Orchestrator::builder().limit(1).event_capacity(2).build().expect("the settings are sound");
    let mut all = orchestrator.events();
    let mut slow = orchestrator.events();
    let mut graph = Graph::new();
    graph.add(echo("a")).expect("no cycle");
    let running = orchestrator.start(graph).expect("every need is there");
    let mut names = Vec::new();
    while let Some(next) = all.next().await {
        match next {
            Next::Event(Event { kind: EventKind::RunEnded { .. }, .. }) => break,
            Next::Event(event) => {
                let json = serde_json::to_value(&event).expect("an event is plain data");
                names.push(json["event"].as_str().expect("it says what").to_owned());
            }
            Next::Lost(_) => names.push("lost".to_owned()),
        }
    }
    assert_eq!(names.last().map(String::as_str), Some("task_ended"));
    running.wait().await.expect("the orchestrator lives");
    assert_eq!(slow.next().await, Some(Next::Lost(3)), "of 5 events 2 are kept");
}

#[tokio::test]
async fn a_task_that_names_itself_or_what_it_is_placed_before_would_close_a_cycle() {
    let orchestrator = orchestrator();
    let mut graph = Graph::new();
    graph.add(until_stopped("holds")).expect("a new one");
    graph.add(echo("late").needs(["holds"])).expect("a new one");
    let running = orchestrator.start(graph).expect("every need is there");
    for (task, before, name) in [
        (echo("new").needs(["new"]), None, "new"),
        (echo("new"), Some("new"), "new"),
        (echo("new").wants(["late"]), Some("late"), "late"),
    ] {
        let refused = running.submit(task, before.as_slice()).await.expect_err("a cycle");
        assert_eq!(refused, SubmitError::Cycle { need: name.into(), follower: name.into() });
        let told =
            format!("a cycle would close: the task needs `{name}`, which is to come after it");
        assert_eq!(refused.to_string(), told);
    }
}
