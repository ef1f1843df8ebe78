//! Graphs and outputs that are others than they were.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_workflow::journal::{Durability, MemoryStore};
use tidegate_workflow::{Context, Outcome, Retry, StartError, Task, TaskError};

use super::{Effects, graph, history, orchestrator, run};

#[tokio::test]
async fn changed_tasks_are_refused_until_they_are_accepted() {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let [a, b, gone] = ["a", "b", "gone"].map(|id| effects.task(id).version(1));
    run(graph([a, b, gone]), &store, Durability::ProcessCrash).await;
    effects.take();
    let tasks = || {
        [
            effects.task("a").version(2),
            effects.task("b").version(1).needs(["a"]),
            effects.task("new"),
        ]
    };
    let refused = orchestrator()
        .start(graph(tasks()).journal(history(&store), Durability::ProcessCrash))
        .map(drop);
    let changed = ["a", "b"].map(str::to_owned).to_vec();
    assert_eq!(refused, Err(StartError::Changed { tasks: changed }));
    let mut accepted = history(&store);
    accepted.accept_changes();
    let accepted = graph(tasks()).journal(accepted, Durability::ProcessCrash);
    assert!(orchestrator().run(accepted).await.expect("it runs").is_success());
    assert_eq!(effects.take(), ["r/new/1"], "what is over stays so");
    let again = run(graph(tasks()), &store, Durability::ProcessCrash).await;
    assert!(again.is_success(), "accepted once is accepted");
}

#[tokio::test]
async fn an_output_that_cannot_be_read_back_fails_its_task() {
    let store = MemoryStore::default();
    // Postcard cannot read the one, JSON cannot write the other.
    let task = Task::durable("neither", async |_| {
        Ok::<_, TaskError>(HashMap::from([((1, 2), serde_json::json!(3))]))
    });
    let finished = run(graph([task]), &store, Durability::ProcessCrash).await;
    let Outcome::Failed { error } = &finished.report().tasks[0].outcome else {
        panic!("it failed")
    };
    assert!(error.starts_with("its output cannot be kept"), "{error}");
}

#[tokio::test]
async fn an_output_of_another_type_is_refused_before_anything_runs() {
    let store = MemoryStore::default();
    let text = Task::durable("task", async |_| Ok::<_, TaskError>("text".to_owned()));
    run(graph([text]), &store, Durability::ProcessCrash).await;
    let number = Task::durable("task", async |_| Ok::<_, TaskError>([0_u64; 9]));
    let start = graph([number]).journal(history(&store), Durability::ProcessCrash);
    assert!(matches!(orchestrator().start(start), Err(StartError::Output { .. })));
}

#[tokio::test]
async fn an_output_that_has_to_be_asked_what_it_is_is_there_in_the_next_process() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Answer {
        Text(String),
        Parts { parts: Vec<Option<serde_json::Value>> },
    }
    let answers = || {
        let parts = vec![None, Some(serde_json::json!({"tool": "search"}))];
        vec![Answer::Parts { parts }, Answer::Text("done".to_owned())]
    };
    let (store, runs) = (MemoryStore::default(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..2 {
        let runs = Arc::clone(&runs);
        let task = Task::durable("answer", move |_| {
            runs.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok::<_, TaskError>(answers()))
        });
        let finished = run(graph([task]), &store, Durability::ProcessCrash).await;
        assert_eq!(*finished.output::<Vec<Answer>>("answer").expect("it succeeded"), answers());
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1, "it was kept");
}

#[tokio::test]
async fn json_is_kept_as_it_is() {
    let store = MemoryStore::default();
    let json = serde_json::json!({"a": [1, -2, 0.1, null, {"b": "text"}]});
    let task = || {
        let json = json.clone();
        Task::durable("json", move |_| std::future::ready(Ok::<_, TaskError>(json.clone())))
    };
    run(graph([task()]), &store, Durability::ProcessCrash).await;
    assert_eq!(history(&store).output("json"), Some(json.clone()));
    let mut decided = history(&store);
    decided.done("json", &serde_json::json!("decided")).expect("it is there");
    let again = graph([task()]).journal(decided, Durability::ProcessCrash);
    let finished = orchestrator().run(again).await.expect("it runs");
    assert_eq!(*finished.output::<serde_json::Value>("json").expect("it was kept"), "decided");
}

#[tokio::test(start_paused = true)]
async fn an_output_too_large_for_the_journal_fails_its_attempt_even_one_that_timed_out() {
    let large = Task::durable("large", async |cx: Context| {
        if cx.attempt() == 1 {
            cx.token().cancelled().await;
            return Ok("x".repeat(64 << 20));
        }
        Ok::<_, TaskError>("small enough".to_owned())
    });
    let large = large.timeout(Duration::from_secs(1)).retry(Retry::attempts(2));
    let finished = run(graph([large]), &MemoryStore::default(), Durability::ProcessCrash).await;
    assert_eq!(*finished.output::<String>("large").expect("it succeeded"), "small enough");
}

#[tokio::test]
async fn an_error_too_large_for_the_journal_is_told_and_kept_in_a_few_words() {
    let store = MemoryStore::default();
    for process in 1..=2 {
        let fails = Task::durable("fails", move |_| {
            assert_eq!(process, 1, "it is over");
            std::future::ready(Err::<(), _>("x".repeat(64 << 20)))
        });
        let finished = run(graph([fails]), &store, Durability::ProcessCrash).await;
        let Outcome::Failed { error } = &finished.report().tasks[0].outcome else {
            panic!("it failed")
        };
        assert!(error.len() < 200 && error.contains("67108864"), "{}", error.len());
    }
}

#[tokio::test]
async fn an_output_of_another_type_is_told_and_not_read_as_what_it_is_not() {
    let store = MemoryStore::default();
    let pair = Task::durable("number", async |_| Ok::<_, TaskError>((4_u32, 5_u32)));
    run(graph([pair]), &store, Durability::ProcessCrash).await;
    let number = Task::durable("number", async |_| Ok::<_, TaskError>(4_u32));
    let again = graph([number]).journal(history(&store), Durability::ProcessCrash);
    let refused = orchestrator().start(again).map(drop).expect_err("it has one number too many");
    assert!(
        refused.to_string().contains("task `number` cannot be read: it is no `u32`"),
        "{refused}"
    );
}
