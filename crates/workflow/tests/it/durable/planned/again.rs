//! Planners that are asked again, and those that are not.

use super::*;

#[tokio::test]
async fn a_planner_that_is_to_think_again_is_not_given_the_results_of_its_last_thought() {
    let (store, done) = (MemoryStore::default(), Log::default());
    let first = Moody { process: 1, ..Moody::default() };
    run(&store, LEVELS[0], first, workers(&done)).await.expect("it runs");
    let mut history = history(&store);
    let again = history.downstream("x (repair)");
    history.again("x (repair)").expect("it is there");
    for id in again.iter().filter(|id| !id.contains('~')) {
        history.again(id).expect("it is there");
    }
    let asked = Log::default();
    let second = Moody { asked: Arc::clone(&asked), process: 2 };
    let planning = Planning::new(second, workers(&done), "says", 2);
    let outline = planning.outline_of(&mut history, "goal").await.expect("of this goal");
    let graph = planning.graph("goal", &outline.plan).expect("nothing is wrong with it");
    done.lock().clear();
    let finished = orchestrator().run(graph.journal(history, LEVELS[0])).await.expect("it runs");
    assert!(finished.output::<Value>("y").is_ok());
    assert_eq!(*asked.lock(), ["x", "b"]);
    let alternative = "alternative of 2";
    assert_eq!(*done.lock(), [alternative, alternative, "plan of 1"]);
}

/// Plans a step that fails; in its place one that works in the first process and fails in the second, in whose place one that
/// works.
struct Worse {
    process: u32,
}

impl Planner for Worse {
    async fn plan(&self, _: &str, _: &[String]) -> Result<Plan, NoPlan> {
        Ok(plan([step("x", "fails", "", &[])]))
    }

    async fn alternative(&self, failure: &Failure, _: &[String]) -> Result<Plan, NoPlan> {
        let agent = if failure.depth == 0 && self.process == 2 { "fails" } else { "says" };
        Ok(plan([step("a", agent, "", &[])]))
    }
}

#[tokio::test]
async fn a_step_that_was_not_to_be_replaced_is_when_another_of_its_name_fails() {
    let store = MemoryStore::default();
    for process in 1..=2 {
        let planning = Planning::new(Worse { process }, workers(&Log::default()), "says", 2);
        let mut past = history(&store);
        if process == 2 {
            for id in ["x (repair)", "x"] {
                past.again(id).expect("it is there");
            }
        }
        let outline = planning.outline_of(&mut past, "goal").await.expect("of this goal");
        let graph = planning.graph("goal", &outline.plan).expect("nothing is wrong with it");
        let finished = orchestrator().run(graph.journal(past, LEVELS[0])).await.expect("it runs");
        let result = finished.output::<Value>("x").expect("it was mended");
        assert_eq!(*result, json!({ "a": {} }));
        assert_eq!(finished.output::<Value>("x~a (try)").is_ok(), process == 1);
    }
}

#[tokio::test]
async fn an_alternative_stays_when_the_task_that_put_it_in_runs_again_in_the_live_run() {
    let store = MemoryStore::default();
    let waits = Arc::new(tokio::sync::Notify::new());
    let workers = |waits: &Arc<tokio::sync::Notify>, hangs: bool| {
        let waits = Arc::clone(waits);
        let says = move |step: Step, _: StepInputs| {
            let waits = Arc::clone(&waits);
            async move {
                if hangs && step.id == "y" {
                    waits.notified().await;
                }
                Ok::<_, TaskError>(json!(step.id))
            }
        };
        let workers = Workers::new().with("says", says);
        workers.with("fails", async |_: Step, _: StepInputs| Err::<Value, _>("out of order"))
    };
    let planning = |process, asked: &Log, hangs| {
        let planner = Moody { asked: Arc::clone(asked), process };
        Planning::new(planner, workers(&waits, hangs), "says", 2)
    };
    let asked = Log::default();
    let first = planning(1, &asked, true);
    let mut begun = history(&store);
    let outline = first.outline_of(&mut begun, "goal").await.expect("of this goal");
    let graph = first.graph("goal", &outline.plan).expect("nothing is wrong with it").keep_work();
    let dying = orchestrator();
    let running = dying.start(graph.journal(begun, LEVELS[0])).expect("it starts");
    settled(&store, "x").await;
    let again = running.rerun("x (repair)", Reach::Downstream).await.expect("it is over");
    assert!(again.iter().any(|id| &**id == "x~a"), "{again:?}");
    while ledger(&store).tasks.iter().any(|task| &*task.id == "x" && task.outcome.is_none()) {
        tokio::task::yield_now().await;
    }
    drop((running, dying));
    assert_eq!(*asked.lock(), ["goal", "x", "b"], "it is not asked twice");
    let second = planning(2, &asked, false);
    let mut past = history(&store);
    let outline = second.outline_of(&mut past, "goal").await.expect("of this goal");
    let graph = second.graph("goal", &outline.plan).expect("nothing is wrong with it");
    let finished = orchestrator().run(graph.journal(past, LEVELS[0])).await.expect("it runs");
    assert_eq!(*finished.output::<Value>("y").expect("it was mended"), json!("y"));
    assert_eq!(*asked.lock(), ["goal", "x", "b"], "nor by the next process");
}
