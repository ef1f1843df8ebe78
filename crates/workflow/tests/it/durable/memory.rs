//! What is remembered besides outcomes: budgets, breakers, rates, durations.

use std::time::Duration;

use tidegate_workflow::journal::{Durability, MemoryStore};
use tidegate_workflow::{Agent, Breaker, Durable, Orchestrator, Outcome, Task, Waiting};

use super::{Effects, graph, history, orchestrator, run, settled};

#[tokio::test]
async fn a_budget_and_a_breaker_remember_what_was_spent_and_what_failed() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let cool_down = Duration::from_secs(3600);
    let start = |tasks: Vec<Task<Durable>>| {
        let agent = Agent::new(1).breaker(Breaker { failures: 2, cool_down });
        let orchestrator = Orchestrator::builder().agent("ill", agent).build().expect("sound");
        let graph = graph(tasks).budget(5).journal(history(&store), Durability::ProcessCrash);
        let running = orchestrator.start(graph).expect("it starts");
        (orchestrator, running)
    };
    let ill = |id: &str| effects.flaky(id, 99).agent("ill");
    let dear = || effects.task("dear").cost(4);
    let (_first, running) = start(vec![ill("a"), ill("b"), dear()]);
    running.wait().await.expect("it ends");
    let third = effects.task("c").agent("ill");
    let (second, running) =
        start(vec![ill("a"), ill("b"), dear(), third, effects.task("too").cost(2)]);
    settled(&store, "too").await;
    let why = running.why("c").await;
    assert!(matches!(why, Some(Waiting::Breaker { .. })), "{why:?}");
    running.cancel();
    let report = running.wait().await.expect("it ends").into_report();
    let error = "the run's budget is spent".to_owned();
    assert_eq!(report.tasks[4].outcome, Outcome::Failed { error });
    drop(second);
}

#[tokio::test]
async fn the_starts_of_the_last_minute_count_against_the_rate_of_the_process_that_goes_on() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let orchestrator = |per_minute| {
        let limited = || Agent::new(9).requests_per_minute(per_minute);
        let builder = Orchestrator::builder().agent("slow", limited());
        builder.agent("default", limited()).build().expect("sound")
    };
    let tasks = |last: &str| {
        let slow = ["a", "b", last].map(|id| effects.task(id).agent("slow"));
        graph(slow.into_iter().chain(["c", "d", "e"].map(|id| effects.task(id))))
    };
    let first = orchestrator(2);
    let running = first.start(tasks("z").journal(history(&store), Durability::ProcessCrash));
    let running = running.expect("it starts");
    for id in ["a", "b", "c", "d"] {
        settled(&store, id).await;
    }
    assert!(matches!(running.why("e").await, Some(Waiting::Rate { .. })));
    drop((first, running));
    // Another process may start one more of each agent in this minute.
    let second = orchestrator(3);
    let running = second.start(tasks("z").journal(history(&store), Durability::ProcessCrash));
    let running = running.expect("it starts");
    for id in ["z", "e"] {
        settled(&store, id).await;
    }
    drop((second, running));
    let third = orchestrator(3);
    let mut more = tasks("z");
    more.add(effects.task("y").agent("slow")).expect("a new one");
    more.add(effects.task("f")).expect("a new one");
    let running = third.start(more.journal(history(&store), Durability::ProcessCrash));
    let running = running.expect("it starts");
    for id in ["y", "f"] {
        let why = running.why(id).await;
        assert!(matches!(why, Some(Waiting::Rate { .. })), "{id}: {why:?}");
    }
}

#[tokio::test]
async fn durations_are_learned_again_from_the_journal() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let task = || effects.task("task").kind("kind");
    run(graph([task()]), &store, Durability::ProcessCrash).await;
    let orchestrator = orchestrator();
    let again = graph([task()]).journal(history(&store), Durability::ProcessCrash);
    orchestrator.run(again).await.expect("it runs");
    assert!(orchestrator.durations().await.estimate("kind").is_some());
}

#[tokio::test]
async fn a_tenant_pays_once_for_a_run_in_whatever_process_it_goes_on() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let orchestrator = || Orchestrator::builder().tenant_budget("them", 10).build().expect("sound");
    let run = async |orchestrator: &Orchestrator, ids: &[&str]| {
        let graph = graph(ids.iter().map(|id| effects.task(id).cost(3))).tenant("them");
        let run = orchestrator.run(graph.journal(history(&store), Durability::ProcessCrash));
        let report = run.await.expect("it runs").into_report();
        (orchestrator.tenant_budget("them").await, report.is_success())
    };
    let first = orchestrator();
    assert_eq!(run(&first, &["a"]).await, (Some(7), true));
    assert_eq!(run(&first, &["a", "b"]).await, (Some(4), true), "what it has paid is paid");
    let second = orchestrator();
    assert_eq!(run(&second, &["a", "b"]).await, (Some(4), true));
    assert_eq!(run(&second, &["a", "b", "c", "d"]).await, (Some(1), false));
}
